/* The models, rows and answers of the sink's tests. */
#include "sink_test.h"

static const char *url; /* of our own database; NULL: none */

static void exec_sql(struct pg *pg, const char *sql)
{
	struct err err;
	OK(pg_exec(pg, sql, &err));
}

/* --- database --- */

struct pg *connect_or_skip(void)
{
	struct pg *pg;
	struct err err;
	if (url == NULL) {
		print_message("DATABASE_URL is not set, or its role may not create a database\n");
		skip();
	}
	OK(pg_open(&pg, url, "docrow test", &err));
	return pg;
}

static const char functions[] =
	"CREATE FUNCTION n(uuid) RETURNS bigint LANGUAGE sql AS $$ SELECT ('x' || right(docrow.uuid_to_objectid($1), "
	"8))"
	"::bit(32)::bigint $$;"
	/* the ObjectId or the string in a one-field document */
	"CREATE FUNCTION n(bytea) RETURNS text LANGUAGE sql AS $$ SELECT CASE get_byte($1, 4) WHEN 7 THEN"
	" (('x' || right(encode($1, 'hex'), 10))::bit(32)::bigint)::text ELSE encode($1, 'hex') END $$;";

static bool prepare(const char *base, const char *name)
{
	struct pg *pg;
	struct err err;
	if (!pg_open(&pg, base, "docrow test", &err))
		return false;
	bool ok = pg_execf(pg, &err, "CREATE DATABASE %s ENCODING 'UTF8' TEMPLATE template0", name);
	pg_close(pg);
	if (!ok || !pg_open(&pg, url, "docrow test", &err))
		return false;
	ok = state_install(pg, &err) && pg_exec(pg, functions, &err);
	pg_close(pg);
	return ok;
}

static void drop(const char *base, const char *name)
{
	struct pg *pg;
	struct err err;
	if (!pg_open(&pg, base, "docrow test", &err))
		return;
	if (!pg_execf(pg, &err, "DROP DATABASE IF EXISTS %s", name))
		print_message("%s: %s\n", name, err.message);
	pg_close(pg);
}

int run_with_database(int (*run)(void))
{
	static char text[4096];
	char name[64];
	const char *base = getenv("DATABASE_URL");
	if (base == NULL)
		return run();
	snprintf(name, sizeof name, "docrow_sink_test_%d", (int)getpid());
	snprintf(text, sizeof text, "%s%sdbname=%s", base,
		 strstr(base, "://") == NULL ? " " : (strchr(base, '?') == NULL ? "?" : "&"), name);
	url = text;
	if (!prepare(base, name)) {
		drop(base, name);
		url = NULL;
	}
	int failed = run();
	if (url != NULL)
		drop(base, name);
	return failed;
}

int setup(void **state)
{
	struct fixture *f = mem_zalloc(sizeof *f);
	*state = f;
	f->arena = arena_new();
	f->ledger = ledger_new();
	f->s = (struct schema){
		.name = "public", .tables = f->tables, .refs = f->refs, .junctions = f->junctions, .enums = f->enums};
	return 0;
}

int teardown(void **state)
{
	struct fixture *f = *state;
	struct err err;
	if (f->pg != NULL) {
		OK(pg_exec(f->pg, "ROLLBACK; BEGIN", &err));
		OK(sink_drop(f->pg, &f->s, &err));
		OK(pg_exec(f->pg, "TRUNCATE docrow.reject, docrow.finding, docrow.id_map; COMMIT", &err));
		pg_close(f->pg);
	}
	ledger_free(f->ledger);
	arena_free(f->arena);
	free(f);
	return 0;
}

/* --- model --- */

static void add_column(struct fixture *f, struct schema_table *t, char *text)
{
	struct schema_column *c = &t->columns[t->ncolumns];
	while (*text == ' ')
		text++;
	if (*text == '*')
		t->primary_key[t->nprimary_key++] = (int)t->ncolumns;
	c->not_null = *text == '*' || *text == '!';
	text += c->not_null;
	char *blank = strchr(text, ' '), *def = strstr(text, " DEFAULT ");
	if (def != NULL) {
		c->default_sql = arena_strdup(f->arena, def + 9);
		*def = '\0';
	}
	*blank = '\0';
	c->name = arena_strdup(f->arena, text);
	assert_true(pgtype_parse(f->arena, blank + 1, &c->type));
	t->ncolumns++;
}

int table(struct fixture *f, const char *name, const char *collection, const char *columns)
{
	struct schema_table *t = &f->tables[f->s.ntables];
	char *copy = arena_strdup(f->arena, columns), *rest = NULL;
	*t = (struct schema_table){.name = name,
				   .collection = collection,
				   .parent_table = -1,
				   .parent_column = -1,
				   .ordinal_column = -1};
	t->columns = arena_alloc(f->arena, MAX_THINGS * sizeof *t->columns);
	t->primary_key = arena_alloc(f->arena, MAX_THINGS * sizeof *t->primary_key);
	t->indexes = arena_alloc(f->arena, MAX_THINGS * sizeof *t->indexes);
	t->fkeys = arena_alloc(f->arena, MAX_THINGS * sizeof *t->fkeys);
	for (char *c = strtok_r(copy, ",", &rest); c != NULL; c = strtok_r(NULL, ",", &rest))
		add_column(f, t, c);
	return (int)f->s.ntables++;
}

int column(const struct fixture *f, int t, const char *name)
{
	int c = schema_find_column(&f->tables[t], name);
	assert_true(c >= 0);
	return c;
}

int add_index(struct fixture *f, int t, struct schema_index index)
{
	if (index.method == NULL)
		index.method = "btree";
	f->tables[t].indexes[f->tables[t].nindexes] = index;
	return (int)f->tables[t].nindexes++;
}

int soft_reference(struct fixture *f, int t, const char *name, int parent, enum orphan_policy policy)
{
	f->refs[f->s.nrefs] = (struct schema_ref){.table = t,
						  .column = column(f, t, name),
						  .ref_table = parent,
						  .ref_column = f->tables[parent].primary_key[0],
						  .fkey = -1,
						  .policy = policy,
						  .move_to = -1};
	return (int)f->s.nrefs++;
}

int reference(struct fixture *f, int t, const char *name, int parent, enum orphan_policy policy)
{
	struct schema_table *child = &f->tables[t], *p = &f->tables[parent];
	int ref = soft_reference(f, t, name, parent, policy);
	child->fkeys[child->nfkeys] =
		(struct schema_fkey){.name = arena_printf(f->arena, "%s_%s_fkey", child->name, name),
				     .column = name,
				     .ref_table = parent,
				     .ref_column = p->columns[p->primary_key[0]].name,
				     .on_update = FK_CASCADE};
	f->refs[ref].fkey = (int)child->nfkeys++;
	return ref;
}

/* --- rows --- */

void make_oid(int n, uint8_t oid[12])
{
	static const uint8_t head[8] = {0x65, 0, 0, 0, 0xab, 0xcd, 0xef, 1};
	memcpy(oid, head, 8);
	for (int i = 0; i < 4; i++)
		oid[8 + i] = (uint8_t)(n >> (24 - 8 * i));
}

static void put_cell(struct rowbuf *rb, const struct pgtype *type, const char *cell)
{
	uint8_t oid[12], uuid[16];
	if (strcmp(cell, "-") == 0) {
		rowbuf_put_null(rb);
	} else if (type->base == PGT_UUID && strlen(cell) == 36) {
		assert_true(id_uuid_parse(cell, 36, uuid));
		rowbuf_put_bytes(rb, uuid, 16);
	} else if (type->base == PGT_UUID || type->base == PGT_BYTEA) {
		make_oid(atoi(cell), oid);
		id_objectid_to_uuid(oid, uuid);
		rowbuf_put_bytes(rb, type->base == PGT_UUID ? uuid : oid, type->base == PGT_UUID ? 16 : 12);
	} else if (type->base == PGT_INT4) {
		rowbuf_put_i32(rb, atoi(cell));
	} else if (type->base == PGT_INT8) {
		rowbuf_put_i64(rb, atoll(cell));
	} else {
		rowbuf_put_bytes(rb, cell, strlen(cell));
	}
}

static void copy_rows(struct fixture *f, const struct schema_copy *c, const struct pgtype **types, const char *rows)
{
	char *copy = arena_strdup(f->arena, rows), *rest = NULL;
	uint64_t n = 0, taken = 0;
	struct rowbuf rb;
	struct err err;
	rowbuf_init(&rb);
	OK(sink_copy_begin(f->pg, &f->s, c, &err));
	for (char *row = strtok_r(copy, "|", &rest); row != NULL; row = strtok_r(NULL, "|", &rest), n++) {
		char *more = NULL, *cell = strtok_r(row, " ", &more);
		rowbuf_begin_row(&rb, (int)c->ncolumns);
		for (size_t i = 0; i < c->ncolumns; i++, cell = strtok_r(NULL, " ", &more)) {
			assert_non_null(cell);
			put_cell(&rb, types[i], cell);
		}
		assert_true(rowbuf_end_row(&rb));
		if (n % 2 == 0)
			OK(sink_copy_put(f->pg, &rb, &err));
	}
	OK(sink_copy_put(f->pg, &rb, &err));
	OK(sink_copy_end(f->pg, &taken, &err));
	assert_int_equal(taken, n);
	rowbuf_free(&rb);
}

void load(struct fixture *f, const char *name, const char *rows)
{
	int t = schema_find_table(&f->s, name), columns[MAX_THINGS];
	const struct pgtype *types[MAX_THINGS];
	assert_true(t >= 0);
	for (size_t i = 0; i < f->tables[t].ncolumns; i++) {
		columns[i] = (int)i;
		types[i] = &f->tables[t].columns[i].type;
	}
	struct schema_copy c = {t, -1, columns, f->tables[t].ncolumns};
	copy_rows(f, &c, types, rows);
}

void load_pairs(struct fixture *f, int junction, const char *rows)
{
	const struct schema_junction *j = &f->junctions[junction];
	static const struct pgtype side = {.base = PGT_TEXT};
	const struct pgtype *types[] = {&f->tables[j->table].columns[j->left_column].type,
					&f->tables[j->table].columns[j->right_column].type, &side};
	struct schema_copy c = {j->table, junction, NULL, 3};
	copy_rows(f, &c, types, rows);
}

/* --- steps --- */

void create(struct fixture *f)
{
	struct err err;
	f->pg = connect_or_skip();
	OK(sink_check(f->pg, &f->s, false, &err));
	OK(pg_exec(f->pg, "BEGIN", &err));
	OK(sink_create(f->pg, &f->s, &err));
	OK(pg_exec(f->pg, "COMMIT", &err));
	OK(sink_resolve(f->pg, &f->s, &err));
}

void begin(struct fixture *f)
{
	struct err err;
	exec_sql(f->pg, "BEGIN");
	OK(sink_begin_settle(f->pg, &err));
}

void commit(struct fixture *f)
{
	exec_sql(f->pg, "COMMIT");
}

enum key_state key_state(struct fixture *f, int table, int fkey)
{
	struct err err;
	enum key_state state;
	OK(sink_key_state(f->pg, &f->s, table, fkey, &state, &err));
	return state;
}

void add_keys(struct fixture *f)
{
	struct err err;
	begin(f);
	for (size_t t = 0; t < f->s.ntables; t++)
		OK(sink_add_primary_key(f->pg, &f->s, (int)t, &err));
	commit(f);
}

void settle_orphans(struct fixture *f)
{
	struct sink_orphan_group *groups;
	struct err err;
	size_t n = sink_orphan_groups(&f->s, f->arena, &groups);
	for (size_t i = 0; i < n; i++) {
		begin(f);
		OK(sink_settle_orphan_group(f->pg, &f->s, groups[i].refs, groups[i].nrefs, RUN, STEP, f->ledger,
					    &err));
		commit(f);
	}
}

char *answer(struct fixture *f, const char *sql)
{
	struct pg_result *r;
	struct err err;
	struct buf out;
	buf_init(&out, 0);
	OK(pg_query(f->pg, sql, NULL, 0, &r, &err));
	for (int i = 0; i < pg_rows(r); i++)
		for (int c = 0; c < pg_columns(r); c++) {
			const char *cell = pg_get(r, i, c);
			buf_puts(&out, c > 0 ? " " : (i > 0 ? "|" : ""));
			buf_puts(&out, cell == NULL ? "-" : cell);
		}
	char *text = arena_strdup(f->arena, buf_cstr(&out));
	buf_free(&out);
	pg_result_free(r);
	return text;
}

uint64_t counted(struct fixture *f, enum ledger_kind kind, const char *object, const char *path)
{
	return *ledger_slot(f->ledger, kind, object, path);
}

/* The bundled mapping of NextCRM against the tables of facts in tests/data/nextcrm (see its README). */
#include "mapping_test.h"

#define MAX_FIELDS 16

/* ---- tables of facts: tab-separated, the first line names the fields ---- */

struct tsv {
	struct buf text;
	const char *head[MAX_FIELDS];
	const char **cells; /* nrows x nfields */
	size_t nfields, nrows;
};

static size_t cut(char *line, const char **cells)
{
	size_t n = 0;
	for (char *s = line; s != NULL && n < MAX_FIELDS;)
		cells[n++] = strsep(&s, "\t");
	return n;
}

static void tsv_read(struct tsv *t, const char *name)
{
	char path[256];
	const char *line_cells[MAX_FIELDS];
	snprintf(path, sizeof path, "tests/data/nextcrm/%s.tsv", name);
	*t = (struct tsv){0};
	read_source(path, &t->text);
	buf_putc(&t->text, '\0');
	char *rest = (char *)t->text.data;
	t->nfields = cut(strsep(&rest, "\n"), t->head);
	t->cells = mem_alloc((t->text.len + 1) * sizeof *t->cells);
	for (char *line = strsep(&rest, "\n"); line != NULL; line = strsep(&rest, "\n")) {
		if (line[0] == '\0')
			continue;
		assert_int_equal(cut(line, line_cells), t->nfields);
		memcpy(&t->cells[t->nrows++ * t->nfields], line_cells, t->nfields * sizeof *line_cells);
	}
	assert_true(t->nrows > 0);
}

static void tsv_free(struct tsv *t)
{
	free(t->cells);
	buf_free(&t->text);
}

static const char *cell(const struct tsv *t, size_t row, const char *field)
{
	for (size_t i = 0; i < t->nfields; i++)
		if (strcmp(t->head[i], field) == 0)
			return t->cells[row * t->nfields + i];
	fail_msg("no field %s", field);
	return NULL;
}

static bool is(const struct tsv *t, size_t row, const char *field, const char *value)
{
	return strcmp(cell(t, row, field), value) == 0;
}

/* ---- the mapping ---- */

static struct mapping *m;
static struct plan *p;

static int setup(void **state)
{
	struct err err;
	assert_true(mapping_load(&m, source_path("mappings/nextcrm.yaml"), NULL, &err));
	p = compile(m);
	return 0;
}

static int teardown(void **state)
{
	plan_free(p);
	mapping_free(m);
	return 0;
}

static const struct schema_table *table_of(const char *name)
{
	int t = schema_find_table(&p->schema, name);
	if (t < 0)
		fail_msg("no table %s", name);
	return &p->schema.tables[t];
}

static const struct map_column *column_of(const char *collection, const char *field)
{
	int c = plan_find_collection(p, collection);
	assert_true(c >= 0);
	for (size_t i = 0; i < m->collections[c].ncolumns; i++)
		if (strcmp(m->collections[c].columns[i].from[0], field) == 0)
			return &m->collections[c].columns[i];
	return NULL;
}

static bool is_move(const char *table, const char *column)
{
	return strcmp(table, "tasksComments") == 0 && strcmp(column, "task") == 0;
}

/* ---- the target ---- */

static bool in_key(const struct schema_table *t, int column)
{
	for (size_t i = 0; i < t->nprimary_key; i++)
		if (t->primary_key[i] == column)
			return true;
	return false;
}

static void columns_are_as_in_the_facts(void **state)
{
	struct tsv f;
	size_t columns = 0;
	const char *last = "";
	int table = -1;
	tsv_read(&f, "target-columns");
	assert_int_equal(f.nrows, 410);
	for (size_t i = 0; i < f.nrows; i++) {
		const char *tn = cell(&f, i, "table"), *cn = cell(&f, i, "column");
		const struct schema_table *t = table_of(tn);
		if (strcmp(tn, last) != 0)
			assert_string_equal(p->schema.tables[++table].name, tn); /* tables in the facts' order */
		last = tn;
		int at = schema_find_column(t, cn);
		struct pgtype want;
		struct buf a, b;
		assert_int_equal(at + 1, atoi(cell(&f, i, "position")));
		assert_true(pgtype_parse(m->arena, cell(&f, i, "pg_type"), &want));
		buf_init(&a, 0);
		buf_init(&b, 0);
		pgtype_sql(&a, &t->columns[at].type, NULL);
		pgtype_sql(&b, &want, NULL);
		assert_string_equal(buf_cstr(&a), buf_cstr(&b));
		buf_free(&a);
		buf_free(&b);
		/* The one allowed difference. */
		assert_int_equal(t->columns[at].not_null, is(&f, i, "nullable", "no") && !is_move(tn, cn));
		const char *sql = t->columns[at].default_sql;
		assert_string_equal(sql != NULL ? sql : "", cell(&f, i, "default"));
		assert_int_equal(in_key(t, at), is(&f, i, "primary_key", "yes"));
	}
	for (size_t i = 0; i < p->schema.ntables; i++)
		columns += p->schema.tables[i].ncolumns;
	assert_int_equal(columns, 410);
	assert_int_equal(p->schema.ntables, 39);
	tsv_free(&f);
}

static void enums_are_as_in_the_facts(void **state)
{
	struct tsv f;
	size_t labels = 0;
	tsv_read(&f, "target-enums");
	for (size_t i = 0; i < f.nrows; i++) {
		int e = schema_find_enum(&p->schema, cell(&f, i, "enum"));
		assert_true(e >= 0);
		assert_string_equal(p->schema.enums[e].labels[atoi(cell(&f, i, "position")) - 1],
				    cell(&f, i, "value"));
	}
	for (size_t i = 0; i < p->schema.nenums; i++)
		labels += p->schema.enums[i].nlabels;
	assert_int_equal(labels, f.nrows);
	tsv_free(&f);
}

static void join_columns(struct buf *out, const struct schema_index *x)
{
	buf_reset(out);
	for (size_t i = 0; i < x->ncolumns; i++)
		buf_printf(out, "%s%s", i > 0 ? "," : "", x->columns[i]);
}

static const struct schema_index *index_of(const struct schema_table *t, const char *name)
{
	for (size_t i = 0; i < t->nindexes; i++)
		if (strcmp(t->indexes[i].name, name) == 0)
			return &t->indexes[i];
	fail_msg("no index %s", name);
	return NULL;
}

static size_t count_indexes(bool search)
{
	size_t n = 0;
	for (size_t i = 0; i < p->schema.ntables; i++)
		for (size_t k = 0; k < p->schema.tables[i].nindexes; k++)
			n += (p->schema.tables[i].indexes[k].tier == INDEX_TIER_SEARCH) == search;
	return n;
}

static void indexes_are_as_in_the_facts(void **state)
{
	struct tsv f;
	struct buf columns;
	tsv_read(&f, "target-indexes");
	buf_init(&columns, 0);
	for (size_t i = 0; i < f.nrows; i++) {
		const struct schema_index *x = index_of(table_of(cell(&f, i, "table")), cell(&f, i, "index_name"));
		join_columns(&columns, x);
		assert_string_equal(buf_cstr(&columns), cell(&f, i, "columns"));
		assert_string_equal(x->method, cell(&f, i, "method"));
		assert_int_equal(x->unique, is(&f, i, "unique", "yes"));
		assert_int_equal(x->tier, is(&f, i, "tier", "FK") ? INDEX_TIER_REFERENCE : INDEX_TIER_FILTER);
		assert_null(x->where);
		assert_null(x->expression);
	}
	assert_int_equal(count_indexes(false), f.nrows);
	assert_int_equal(f.nrows, 121);
	buf_free(&columns);
	tsv_free(&f);
}

/* Every column of the list stands in the expression, as SQL writes it. */
static bool names_all(const char *expression, const char *columns)
{
	char list[256];
	snprintf(list, sizeof list, "%s", columns);
	for (char *rest = list, *c = strsep(&rest, ","); c != NULL; c = strsep(&rest, ",")) {
		char plain[128], quoted[128];
		snprintf(plain, sizeof plain, "coalesce(%s, '')", c);
		snprintf(quoted, sizeof quoted, "coalesce(\"%s\", '')", c);
		bool lower = strpbrk(c, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") == NULL;
		if (strstr(expression, lower ? plain : quoted) == NULL)
			return false;
	}
	return true;
}

static void check_search_index(const struct tsv *f, size_t row)
{
	const struct schema_table *t = table_of(cell(f, row, "table"));
	struct buf columns;
	size_t found = 0;
	bool text = is(f, row, "kind", "full-text"), partial = strncmp(cell(f, row, "kind"), "partial", 7) == 0;
	buf_init(&columns, 0);
	for (size_t i = 0; i < t->nindexes; i++) {
		const struct schema_index *x = &t->indexes[i];
		join_columns(&columns, x);
		if (x->tier != INDEX_TIER_SEARCH || strcmp(x->method, cell(f, row, "method")) != 0)
			continue;
		if (text)
			found += x->expression != NULL &&
				 strncmp(x->expression, "to_tsvector('simple'::regconfig, ", 33) == 0 &&
				 names_all(x->expression, cell(f, row, "columns"));
		else
			found += strcmp(buf_cstr(&columns), cell(f, row, "columns")) == 0 &&
				 (x->where != NULL) == partial;
	}
	buf_free(&columns);
	if (found != 1)
		fail_msg("%zu search indexes for row %zu", found, row);
}

static void search_indexes_are_as_in_the_facts(void **state)
{
	struct tsv f;
	tsv_read(&f, "spec-only-indexes");
	for (size_t i = 0; i < f.nrows; i++)
		check_search_index(&f, i);
	assert_int_equal(count_indexes(true), f.nrows);
	assert_string_equal(index_of(table_of("Users"), "Users_userStatus_active_idx")->where,
			    "\"userStatus\" = 'ACTIVE'");
	tsv_free(&f);
}

static void foreign_keys_are_as_in_the_facts(void **state)
{
	struct tsv f;
	size_t n = 0;
	tsv_read(&f, "target-foreign-keys");
	for (size_t i = 0; i < f.nrows; i++) {
		const struct schema_table *t = table_of(cell(&f, i, "table"));
		const struct schema_fkey *k = NULL;
		for (size_t j = 0; j < t->nfkeys; j++)
			if (strcmp(t->fkeys[j].name, cell(&f, i, "constraint_name")) == 0)
				k = &t->fkeys[j];
		assert_non_null(k);
		assert_string_equal(k->column, cell(&f, i, "columns"));
		assert_string_equal(p->schema.tables[k->ref_table].name, cell(&f, i, "ref_table"));
		assert_string_equal(k->ref_column, cell(&f, i, "ref_columns"));
		assert_string_equal(fk_action_sql(k->on_delete), cell(&f, i, "on_delete"));
		assert_string_equal(fk_action_sql(k->on_update), cell(&f, i, "on_update"));
	}
	for (size_t i = 0; i < p->schema.ntables; i++)
		n += p->schema.tables[i].nfkeys;
	assert_int_equal(n, f.nrows);
	assert_int_equal(n, 52);
	tsv_free(&f);
}

/* ---- the source ---- */

static void every_field_goes_where_the_facts_say(void **state)
{
	struct tsv f;
	size_t fields = 0;
	tsv_read(&f, "entity-map");
	for (size_t i = 0; i < f.nrows; i++) {
		if (!is(&f, i, "row_kind", "field"))
			continue;
		const struct map_column *c = column_of(cell(&f, i, "source_collection"), cell(&f, i, "source_field"));
		assert_non_null(c);
		assert_int_equal(c->nfrom, 1);
		assert_string_equal(c->name, cell(&f, i, "target_column"));
		fields++;
	}
	assert_int_equal(fields, 409 - 19);
	tsv_free(&f);
}

static bool is_side(const struct map_side *s, const struct tsv *f, size_t row)
{
	return s->npath == 1 && strcmp(s->collection, cell(f, row, "source_collection")) == 0 &&
	       strcmp(s->path[0], cell(f, row, "source_field")) == 0 &&
	       strcmp(s->column, cell(f, row, "target_column")) == 0;
}

static void junctions_are_as_in_the_facts(void **state)
{
	struct tsv f;
	size_t sides = 0;
	tsv_read(&f, "entity-map");
	for (size_t i = 0; i < f.nrows; i++) {
		bool found = false;
		if (!is(&f, i, "row_kind", "junction"))
			continue;
		for (size_t k = 0; k < m->njunctions; k++) {
			const struct map_junction *j = &m->junctions[k];
			if (strcmp(j->table, cell(&f, i, "target_table")) == 0)
				found = is_side(&j->left, &f, i) || is_side(&j->right, &f, i);
		}
		assert_true(found);
	}
	for (size_t k = 0; k < m->njunctions; k++) {
		sides += (size_t)(m->junctions[k].left.npath > 0) + (size_t)(m->junctions[k].right.npath > 0);
		assert_int_equal(m->junctions[k].sides, PAIRS_UNION);
		assert_int_equal(m->junctions[k].if_orphan, ORPHAN_REJECT);
		assert_int_equal(m->junctions[k].left.accept, MAP_ACCEPT_HEX_ID);
		assert_int_equal(m->junctions[k].right.accept, MAP_ACCEPT_HEX_ID);
	}
	assert_int_equal(m->njunctions, 10);
	assert_int_equal(sides, 19);
	tsv_free(&f);
}

/* ---- policies ---- */

static bool is_constant(const char *fact)
{
	return fact[0] != '\0' && strcmp(fact, "auto()") != 0 && strstr(fact, "now()") == NULL &&
	       strstr(fact, "every update") == NULL;
}

static void unquote(char out[64], const char *fact)
{
	size_t n = strlen(fact);
	bool quoted = n >= 2 && fact[0] == '"';
	snprintf(out, 64, "%.*s", (int)(quoted ? n - 2 : n), fact + quoted);
}

static bool is_id_time(const char *table, const char *column)
{
	static const char *const named[][2] = {{"crm_Accounts", "createdAt"},
					       {"crm_Opportunities", "createdAt"},
					       {"Invoices", "date_created"},
					       {"tasksComments", "createdAt"},
					       {"Users", "created_on"}};
	for (size_t i = 0; i < 5; i++)
		if (strcmp(named[i][0], table) == 0 && strcmp(named[i][1], column) == 0)
			return true;
	return false;
}

static void check_missing(const struct map_column *c, const char *table, const char *fact, bool optional)
{
	const struct map_value *v = &c->if_missing;
	char literal[64];
	unquote(literal, fact);
	if (is_id_time(table, c->name)) {
		assert_int_equal(v->kind, MAP_VALUE_ID_TIME);
	} else if (strcmp(table, "Invoices") == 0 && strcmp(c->name, "last_updated") == 0) {
		assert_int_equal(v->kind, MAP_VALUE_PATH);
		assert_string_equal(v->path[0], "date_created");
		assert_int_equal(v->otherwise->kind, MAP_VALUE_ID_TIME);
	} else if (is_move(table, c->name)) {
		assert_int_equal(v->kind, MAP_VALUE_REJECT);
		assert_int_equal(c->if_null.kind, MAP_VALUE_REJECT);
		return;
	} else if (!optional && is_constant(fact)) {
		assert_int_equal(v->kind, MAP_VALUE_LITERAL);
		assert_string_equal(v->literal, literal);
	} else {
		assert_int_equal(v->kind, MAP_VALUE_UNSET);
	}
	assert_int_equal(c->if_null.kind, MAP_VALUE_UNSET);
	assert_int_equal(c->if_invalid.kind, MAP_VALUE_UNSET);
}

static void nothing_is_put_in_place_unasked(void **state)
{
	struct tsv f;
	size_t literals = 0;
	tsv_read(&f, "source-fields");
	for (size_t i = 0; i < f.nrows; i++) {
		const struct map_column *c = column_of(cell(&f, i, "collection"), cell(&f, i, "mongo_field"));
		if (is(&f, i, "m2m_array", "yes") || c == NULL) {
			assert_null(c);
			continue;
		}
		check_missing(c, cell(&f, i, "collection"), cell(&f, i, "default"), is(&f, i, "optional", "yes"));
		literals += c->if_missing.kind == MAP_VALUE_LITERAL;
	}
	assert_true(literals > 5);
	tsv_free(&f);
}

static void other_types_are_accepted_as_the_facts_say(void **state)
{
	static const struct {
		const char *also;
		unsigned accept;
	} rules[] = {{"string of 24 hex", MAP_ACCEPT_HEX_ID},
		     {"timestamp, string", MAP_ACCEPT_ISO_STRING | MAP_ACCEPT_TIMESTAMP},
		     {"int32, double", 0},
		     {"any BSON value", 0},
		     {"", 0}};
	struct tsv f;
	tsv_read(&f, "source-fields");
	for (size_t i = 0; i < f.nrows; i++) {
		const struct map_column *c = column_of(cell(&f, i, "collection"), cell(&f, i, "mongo_field"));
		bool known = false;
		for (size_t k = 0; k < 5; k++)
			if (is(&f, i, "bson_also", rules[k].also)) {
				known = true;
				if (c != NULL)
					assert_int_equal(c->accept, rules[k].accept);
			}
		assert_true(known);
	}
	tsv_free(&f);
}

static void orphans_go_by_nullability(void **state)
{
	assert_int_equal(p->schema.nrefs, 32);
	for (size_t i = 0; i < p->schema.nrefs; i++) {
		const struct schema_ref *r = &p->schema.refs[i];
		const struct schema_table *t = &p->schema.tables[r->table];
		const struct schema_column *c = &t->columns[r->column];
		assert_true(r->fkey >= 0);
		if (is_move(t->name, c->name)) {
			assert_int_equal(r->policy, ORPHAN_MOVE_TO);
			assert_int_equal(r->otherwise, ORPHAN_REJECT);
			assert_string_equal(t->columns[r->move_to].name, "assigned_crm_account_task");
			assert_string_equal(p->schema.tables[r->move_ref_table].name, "crm_Accounts_Tasks");
		} else {
			assert_int_equal(r->policy, c->not_null ? ORPHAN_REJECT : ORPHAN_NULL);
		}
	}
}

/* 23 columns hold ids without a foreign key: they keep them, whatever they point to. */
static void ids_without_constraint_are_kept(void **state)
{
	size_t n = 0;
	for (size_t i = 0; i < m->ncollections; i++)
		for (size_t k = 0; k < m->collections[i].ncolumns; k++) {
			const struct map_column *c = &m->collections[i].columns[k];
			if (c->type.base != PGT_UUID || c->is_id || c->references.constraint)
				continue;
			assert_int_equal(c->references.given & MAP_GIVEN_IF_ORPHAN, 0);
			n++;
		}
	assert_int_equal(n, 23);
}

static void duplicate_addresses_are_rejects(void **state)
{
	const struct schema_index *x = index_of(table_of("Users"), "Users_email_key");
	assert_true(x->unique);
	assert_int_equal(x->duplicates, DUP_REJECT);
	assert_false(p->collections[plan_find_collection(p, "Users")].map->optional);
}

/* The seven phases as one would tell them; what a foreign key needs comes before it. */
static void phases_are_as_one_would_tell_them(void **state)
{
	static const struct {
		const char *name;
		size_t ntables;
		const char *holds, *last;
	} phases[] = {
		{"lookups", 9, "crm_Industry_Type", "gpt_models"},
		{"core", 5, "Users", "Users"},
		{"CRM", 6, "crm_Accounts", "crm_Contracts"},
		{"tasks and boards", 5, "Boards", "tasksComments"},
		{"documents and invoices", 2, "Documents", "Documents"},
		{"integrations", 2, "openAi_keys", "openAi_keys"},
		{"junctions", 10, "BoardWatchers", "ContactsToOpportunities"},
	};
	struct arena *a = arena_new();
	struct schema_order o = schema_order(&p->schema, a);
	assert_int_equal(o.nphases, sizeof phases / sizeof phases[0]);
	for (size_t i = 0; i < o.nphases; i++) {
		const struct schema_phase *got = &o.phases[i];
		assert_string_equal(got->name, phases[i].name);
		assert_int_equal(got->ntables, phases[i].ntables);
		assert_int_equal(o.phase[schema_find_table(&p->schema, phases[i].holds)], i);
		assert_string_equal(p->schema.tables[got->tables[got->ntables - 1]].name, phases[i].last);
	}
	for (size_t t = 0; t < p->schema.ntables; t++)
		for (size_t f = 0; f < p->schema.tables[t].nfkeys; f++)
			assert_true(o.step[p->schema.tables[t].fkeys[f].ref_table] < o.step[t]);
	arena_free(a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(columns_are_as_in_the_facts),
		cmocka_unit_test(enums_are_as_in_the_facts),
		cmocka_unit_test(indexes_are_as_in_the_facts),
		cmocka_unit_test(search_indexes_are_as_in_the_facts),
		cmocka_unit_test(foreign_keys_are_as_in_the_facts),
		cmocka_unit_test(every_field_goes_where_the_facts_say),
		cmocka_unit_test(junctions_are_as_in_the_facts),
		cmocka_unit_test(nothing_is_put_in_place_unasked),
		cmocka_unit_test(other_types_are_accepted_as_the_facts_say),
		cmocka_unit_test(orphans_go_by_nullability),
		cmocka_unit_test(ids_without_constraint_are_kept),
		cmocka_unit_test(duplicate_addresses_are_rejects),
		cmocka_unit_test(phases_are_as_one_would_tell_them),
	};
	return cmocka_run_group_tests_name("nextcrm", tests, setup, teardown);
}

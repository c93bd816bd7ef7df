/* feed.c - the mapping compiled for checking. Paths and policies are read from the mapping; of the plan only the
 * schema, the rules of ids and which column is fed by what are taken.
 */
#include "validate_private.h"

static const char *join(struct arena *a, const char *above, const char *own)
{
	return above[0] == '\0' ? own : arena_printf(a, "%s.%s", above, own);
}

/* --- columns --- */

static struct spec spec_of(const struct plan *p, const struct pgtype *type, const struct map_column *m)
{
	struct spec s = {.type = *type, .id_namespace = p->mapping->id_namespace};

	if (type->base == PGT_ENUM) {
		int e = type->enum_index >= 0 ? type->enum_index : schema_find_enum(&p->schema, type->enum_name);
		s.enumeration = e >= 0 ? &p->schema.enums[e] : NULL;
	}
	if (m == NULL)
		return s;
	s.accept = m->accept;
	s.bson = m->bson;
	s.encoding = m->encoding;
	s.json = m->json;
	s.duplicate_keys = m->duplicate_keys;
	s.fold_case = m->fold_case;
	s.labels = m->labels;
	s.nlabels = m->nlabels;
	return s;
}

static struct spec id_spec(const struct plan *p, const struct pgtype *type, enum map_id rule,
			   enum map_uuid_order order, unsigned accept, bool is_id)
{
	struct spec s = spec_of(p, type, NULL);

	s.id_rule = rule;
	s.uuid_order = order;
	s.accept = accept;
	s.is_id = is_id;
	s.is_reference = !is_id;
	return s;
}

static bool in_primary_key(const struct schema_table *t, int column)
{
	for (size_t i = 0; i < t->nprimary_key; i++)
		if (t->primary_key[i] == column)
			return true;
	return false;
}

static void compile_column(struct arena *a, const struct plan *p, const struct schema_table *t,
			   const struct plan_column *pc, int at, const char *above, struct column *c)
{
	int column = (int)(pc->column - t->columns);

	*c = (struct column){.name = pc->column->name,
			     .feed = pc->feed,
			     .map = pc->map,
			     .spec = spec_of(p, &pc->column->type, pc->map),
			     .nullable = !pc->column->not_null && !in_primary_key(t, column),
			     .at = at,
			     .column = column,
			     .path = ""};
	c->spec.id_rule = pc->id_rule;
	c->spec.uuid_order = pc->uuid_order;
	c->spec.is_id = pc->feed == PLAN_FEED_ID;
	c->spec.is_reference = pc->is_reference;
	if (pc->feed == PLAN_FEED_VALUE)
		c->constant = (struct map_value){.kind = MAP_VALUE_LITERAL, .literal = pc->map->value};
	else if (pc->map != NULL)
		c->path =
			pc->map->nfrom == 0 ? above : join(a, above, map_path_text(a, pc->map->from, pc->map->nfrom));
}

static size_t count_literals(const struct map_value *v)
{
	size_t n = 0;

	for (; v != NULL; v = v->otherwise)
		n += v->kind == MAP_VALUE_LITERAL;
	return n;
}

static size_t list_literals(const struct map_value *v, struct literal *out, size_t n)
{
	for (; v != NULL; v = v->otherwise)
		if (v->kind == MAP_VALUE_LITERAL)
			out[n++] = (struct literal){.of = v, .len = -1};
	return n;
}

static void prepare_literals(struct arena *a, struct column *c)
{
	const struct map_column *m = c->map;

	if (m == NULL)
		return;
	const struct map_value *all[] = {&m->if_missing, &m->if_null, &m->if_invalid, &c->constant};
	size_t n = 0, count = sizeof all / sizeof *all;
	for (size_t i = 0; i < count; i++)
		n += count_literals(all[i]);
	c->literals = arena_alloc(a, (n + 1) * sizeof *c->literals);
	for (size_t i = 0; i < count; i++)
		c->nliterals = list_literals(all[i], c->literals, c->nliterals);
}

/* --- tables --- */

static const struct plan_output *output_of(const struct plan_collection *k, enum plan_output_kind kind, int table)
{
	for (size_t i = 0; i < k->noutputs; i++)
		if (k->outputs[i].kind == kind && (table < 0 || k->outputs[i].copy.table == table))
			return &k->outputs[i];
	return NULL;
}

/* The column by which rows are asked for: the primary key's that _id feeds, or any that _id feeds as an id. */
static int find_key(const struct feed_table *t, const struct schema_table *st, bool main)
{
	for (size_t i = 0; i < t->ncolumns; i++)
		if (main ? t->columns[i].feed == PLAN_FEED_ID
			 : st->nprimary_key == 1 && st->primary_key[0] == t->columns[i].column)
			return (int)i;
	return -1;
}

static void put_columns(struct buf *sql, const struct plan *p, const struct feed_table *t, int by)
{
	const struct schema_table *st = &p->schema.tables[t->table];

	buf_puts(sql, "SELECT ");
	for (size_t i = 0; i < t->ncolumns; i++) {
		buf_puts(sql, i > 0 ? ", " : "");
		sql_ident(sql, t->columns[i].name);
	}
	buf_puts(sql, " FROM ");
	sql_table(sql, &p->schema, st);
	buf_puts(sql, " WHERE ");
	sql_ident(sql, t->columns[by].name);
}

static void put_select(struct buf *sql, const struct plan *p, const struct feed_table *t, int by)
{
	put_columns(sql, p, t, by);
	buf_puts(sql, " = ANY ($1::");
	pgtype_sql(sql, &t->columns[by].spec.type, p->schema.name);
	buf_puts(sql, "[])");
}

static void compile_table(struct arena *a, const struct plan *p, const struct plan_output *o, const char *above,
			  struct feed_table *t)
{
	const struct schema_table *st = &p->schema.tables[o->copy.table];
	struct buf sql;

	t->table = o->copy.table;
	t->unmapped = o->unmapped;
	t->key = t->parent = t->ordinal = t->made = -1;
	t->ncolumns = o->ncolumns;
	t->columns = arena_alloc(a, (o->ncolumns + 1) * sizeof *t->columns);
	for (size_t i = 0; i < o->ncolumns; i++) {
		struct column *c = &t->columns[i];
		compile_column(a, p, st, &o->columns[i], (int)i, above, c);
		prepare_literals(a, c);
		if (c->feed == PLAN_FEED_PARENT)
			t->parent = (int)i;
		else if (c->feed == PLAN_FEED_ORDINAL)
			t->ordinal = (int)i;
		else if (c->feed == PLAN_FEED_ROW_KEY)
			t->made = (int)i;
	}
	t->key = find_key(t, st, o->kind == PLAN_OUTPUT_MAIN);
	t->is_matched = o->kind == PLAN_OUTPUT_MAIN && (t->key < 0 || st->nprimary_key == 0);
	if (t->is_matched)
		return; /* match.c asks */
	int by = o->kind == PLAN_OUTPUT_MAIN ? t->key : t->parent;
	if (by < 0)
		return;
	buf_init(&sql, 0);
	put_select(&sql, p, t, by);
	t->select = arena_strdup(a, buf_cstr(&sql));
	buf_reset(&sql);
	if (o->kind == PLAN_OUTPUT_MAIN && t->columns[by].spec.type.base == PGT_UUID) {
		put_columns(&sql, p, t, by);
		buf_puts(&sql, " BETWEEN $1::pg_catalog.uuid AND $2::pg_catalog.uuid LIMIT $3::bigint");
		t->select_between = arena_strdup(a, buf_cstr(&sql));
	}
	buf_free(&sql);
}

static void compile_children(struct arena *a, const struct plan *p, const struct plan_collection *k,
			     struct feed_table *above, const struct map_child *list, size_t n, const char *path)
{
	above->children = arena_alloc(a, (n + 1) * sizeof *above->children);
	above->nchildren = n;
	for (size_t i = 0; i < n; i++) {
		const struct map_child *m = &list[i];
		struct feed_table *t = &above->children[i];
		const struct plan_output *o =
			output_of(k, PLAN_OUTPUT_CHILD, schema_find_table(&p->schema, m->table));
		t->path = m->from;
		t->npath = m->nfrom;
		t->path_text = join(a, path, map_path_text(a, m->from, m->nfrom));
		compile_table(a, p, o, t->path_text, t);
		if (t->parent >= 0)
			t->owner = id_spec(p, &t->columns[t->parent].spec.type, k->id_rule, k->map->uuid_order,
					   k->id_accept, true);
		compile_children(a, p, k, t, m->children, m->nchildren, t->path_text);
	}
}

/* --- pairs --- */

static enum map_uuid_order order_of(const struct plan *p, const char *collection)
{
	int i = plan_find_collection(p, collection);

	return i >= 0 ? p->collections[i].map->uuid_order : MAP_UUID_ORDER_UNSET;
}

static void compile_pairs(struct arena *a, const struct plan *p, const struct plan_output *o,
			  const struct plan_collection *k, struct feed_pairs *f)
{
	const struct plan_junction *j = &p->junctions[o->copy.junction];
	const struct map_side *own = o->left ? &j->map->left : &j->map->right;
	const struct map_side *other = o->left ? &j->map->right : &j->map->left;

	*f = (struct feed_pairs){.junction = o->copy.junction,
				 .table = o->copy.table,
				 .left = o->left,
				 .path = own->path,
				 .npath = own->npath,
				 .path_text = map_path_text(a, own->path, own->npath),
				 .scalar_array = (own->accept & MAP_ACCEPT_SCALAR_ARRAY) != 0};
	f->owner = id_spec(p, o->left ? &j->left_type : &j->right_type, o->left ? j->left_rule : j->right_rule,
			   k->map->uuid_order, k->id_accept, true);
	f->element = id_spec(p, o->left ? &j->right_type : &j->left_type, o->left ? j->right_rule : j->left_rule,
			     order_of(p, other->collection), own->accept, false);
}

/* Rests are written as the collection's policies say. */
static void prepare_leftovers(struct arena *a, const struct feed *f, struct feed_table *t)
{
	const struct map_policies *p = &f->collection->map->policies;

	leftover_prepare(a, f, t);
	for (size_t i = 0; i < t->ncolumns; i++)
		if (t->columns[i].feed == PLAN_FEED_UNMAPPED) {
			t->columns[i].spec.encoding = p->encoding;
			t->columns[i].spec.json = p->json;
			t->columns[i].spec.duplicate_keys = p->duplicate_keys;
		}
	for (size_t i = 0; i < t->nchildren; i++)
		prepare_leftovers(a, f, &t->children[i]);
}

static void compile_feed(struct arena *a, const struct plan *p, const struct plan_collection *k, struct feed *f)
{
	f->collection = k;
	f->main.path_text = "";
	compile_table(a, p, output_of(k, PLAN_OUTPUT_MAIN, -1), "", &f->main);
	compile_children(a, p, k, &f->main, k->map->children, k->map->nchildren, "");
	f->pairs = arena_alloc(a, (k->noutputs + 1) * sizeof *f->pairs);
	for (size_t i = 0; i < k->noutputs; i++)
		if (k->outputs[i].kind == PLAN_OUTPUT_PAIRS)
			compile_pairs(a, p, &k->outputs[i], k, &f->pairs[f->npairs++]);
	prepare_leftovers(a, f, &f->main);
}

/* A table that one of its collections feeds no key is matched for all of them. */
static void share_matching(struct feed *f, size_t n)
{
	for (size_t i = 0; i < n; i++)
		for (size_t k = 0; f[i].main.is_matched && k < n; k++)
			if (f[k].main.table == f[i].main.table)
				f[k].main.is_matched = true;
}

struct feed *feeds_new(struct arena *a, const struct plan *p, size_t *n)
{
	struct feed *f = arena_alloc(a, (p->ncollections + 1) * sizeof *f);

	*n = p->ncollections;
	for (size_t i = 0; i < *n; i++)
		compile_feed(a, p, &p->collections[i], &f[i]);
	share_matching(f, *n);
	return f;
}

/* A main table is known by its key; a child table by parent and ordinal, else parent and own key, else the parent. */
void feed_row_key_columns(const struct plan *p, int table, int columns[2], size_t *n)
{
	const struct schema_table *t = &p->schema.tables[table];

	*n = 0;
	for (size_t i = 0; i < p->ncollections; i++) {
		const struct plan_collection *k = &p->collections[i];
		for (size_t o = 0; o < k->noutputs; o++) {
			const struct plan_output *out = &k->outputs[o];
			int parent = -1, ordinal = -1, id = -1, own = -1;
			if (out->copy.table != table || out->kind == PLAN_OUTPUT_PAIRS)
				continue;
			for (size_t c = 0; c < out->ncolumns; c++) {
				int column = (int)(out->columns[c].column - t->columns);
				if (out->columns[c].feed == PLAN_FEED_PARENT)
					parent = column;
				else if (out->columns[c].feed == PLAN_FEED_ORDINAL)
					ordinal = column;
				else if (out->columns[c].feed == PLAN_FEED_ID)
					id = column;
				if (t->nprimary_key == 1 && t->primary_key[0] == column)
					own = column;
			}
			if (out->kind == PLAN_OUTPUT_MAIN) {
				if (id >= 0)
					columns[(*n)++] = id;
			} else {
				columns[(*n)++] = parent;
				if (ordinal >= 0 || own >= 0)
					columns[(*n)++] = ordinal >= 0 ? ordinal : own;
			}
			return;
		}
	}
}

/* --- literals --- */

static bool is_read_here(const struct pgtype *t)
{
	/* PostgreSQL forgets an offset when it reads a timestamp; labels and folding are ours */
	return t->array || !(t->base == PGT_DATE || t->base == PGT_TIME || t->base == PGT_TIMESTAMP ||
			     t->base == PGT_TIMESTAMPTZ || t->base == PGT_INTERVAL || t->base == PGT_ENUM);
}

static bool read_literal(struct pg *pg, const struct plan *p, const struct column *c, struct literal *l,
			 struct arena *a, struct err *err)
{
	_cleanup_(pg_result_freep) struct pg_result *r = NULL;
	_cleanup_(buf_free) struct buf sql = {0};
	struct pg_param param = PG_TEXT(l->of->literal);
	const uint8_t *field;

	buf_puts(&sql, "SELECT $1::text::");
	pgtype_sql(&sql, &c->spec.type, p->schema.name);
	if (!pg_exec(pg, "SAVEPOINT docrow_literal", err))
		return false;
	if (!pg_query_binary(pg, buf_cstr(&sql), &param, 1, &r, err))
		return !pg_is_lost(pg) && pg_exec(pg, "ROLLBACK TO SAVEPOINT docrow_literal", err);
	field = pg_get_field(r, 0, 0, &l->len);
	l->data = l->len >= 0 ? arena_memdup(a, field, (size_t)l->len + 1) : NULL;
	return pg_exec(pg, "RELEASE SAVEPOINT docrow_literal", err);
}

static bool read_literals_of(struct pg *pg, const struct plan *p, struct feed_table *t, struct arena *a,
			     struct err *err)
{
	for (size_t i = 0; i < t->ncolumns; i++)
		for (size_t k = 0; k < t->columns[i].nliterals; k++)
			if (is_read_here(&t->columns[i].spec.type) &&
			    !read_literal(pg, p, &t->columns[i], &t->columns[i].literals[k], a, err))
				return false;
	for (size_t i = 0; i < t->nchildren; i++)
		if (!read_literals_of(pg, p, &t->children[i], a, err))
			return false;
	return true;
}

bool feeds_read_literals(struct pg *pg, const struct plan *p, struct feed *feeds, size_t n, struct arena *a,
			 struct err *err)
{
	if (!pg_exec(pg, "BEGIN READ ONLY", err))
		return false;
	for (size_t i = 0; i < n; i++)
		if (!read_literals_of(pg, p, &feeds[i].main, a, err))
			return false;
	return pg_commit(pg, err);
}

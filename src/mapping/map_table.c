/* map_table.c - columns, primary key and indexes of one table of the target. */
#include "map_private.h"

/* ---- columns ---- */

static void add_column(struct schema_table *t, const char *name, const struct pgtype *type, bool not_null,
		       const char *default_sql)
{
	t->columns[t->ncolumns++] =
		(struct schema_column){.name = name, .type = *type, .not_null = not_null, .default_sql = default_sql};
}

static const struct pgtype integer_type = {
	.base = PGT_INT4, .length = -1, .precision = -1, .scale = 0, .enum_index = -1, .oid = 23};
static const struct pgtype uuid_type = {
	.base = PGT_UUID, .length = -1, .precision = -1, .scale = 0, .enum_index = -1, .oid = 2950};
static const struct pgtype jsonb_type = {
	.base = PGT_JSONB, .length = -1, .precision = -1, .scale = 0, .enum_index = -1, .oid = 3802};
static const struct pgtype unknown_type = {
	.base = PGT_COUNT, .length = -1, .precision = -1, .scale = 0, .enum_index = -1};

/* The key of the row above, which a child's rows take over: one column, and fed by _id where the row above is a
 * document. */
static const struct pgtype *parent_key_type(struct schema_builder *b, const struct map_owner *o)
{
	const struct map_owner *above = &b->owners[o->parent];
	int t = b->owner_table[o->parent];
	if (t < 0)
		return &unknown_type;
	const struct schema_table *p = &b->s->tables[t];
	if (above->child == NULL && (p->nprimary_key != 1 || key_column(above->collection) == NULL ||
				     !key_column(above->collection)->primary_key)) {
		complain(b->c, o->line, o->col, "table \"%s\" needs a key of table \"%s\" that is _id alone",
			 o->table, p->name);
		return &unknown_type;
	}
	if (p->nprimary_key != 1) {
		complain(b->c, o->line, o->col,
			 "table \"%s\" hangs on table \"%s\", which needs a primary key of one column for that: add "
			 "key: NAME there, and docrow makes one",
			 o->table, p->name);
		return &unknown_type;
	}
	return &p->columns[p->primary_key[0]].type;
}

/* Both sides of the proof write these the same way: see docs/mapping.md, "Keys that docrow makes". */
static bool makes_keys(const struct pgtype *t, bool is_id)
{
	switch (t->base) {
	case PGT_UUID:
	case PGT_TEXT:
	case PGT_VARCHAR:
	case PGT_CITEXT:
	case PGT_INT2:
	case PGT_INT4:
	case PGT_INT8:
	case PGT_BYTEA:
	case PGT_COUNT: /* told already */
		return !t->array;
	case PGT_JSONB:
		return !t->array && is_id;
	default:
		return false;
	}
}

static void add_made_key(struct schema_builder *b, const struct map_owner *o, struct schema_table *t)
{
	const struct map_child *ch = o->child;
	if (ch->parent != NULL &&
	    !makes_keys(&t->columns[t->parent_column].type, b->owners[o->parent].child == NULL)) {
		_cleanup_(buf_free) struct buf type = {0};
		pgtype_sql(&type, &t->columns[t->parent_column].type, NULL);
		complain_field(b->c, b->m, &ch->key, o->line, o->col,
			       "key is made of a key above that is uuid, text, varchar, citext, smallint, integer, "
			       "bigint or bytea (an _id: jsonb, too); here it is %s",
			       buf_cstr(&type));
	}
	for (size_t i = 0; i < o->ncolumns; i++)
		if (o->columns[i].primary_key)
			complain_field(b->c, b->m, &o->columns[i].primary_key, o->columns[i].line, o->columns[i].col,
				       "table \"%s\" has a primary key already: key \"%s\", which docrow makes",
				       o->table, ch->key);
	t->primary_key[t->nprimary_key++] = (int)t->ncolumns;
	add_column(t, ch->key, &uuid_type, true, NULL);
	t->columns[t->ncolumns - 1].exact = true;
}

static void add_child_columns(struct schema_builder *b, const struct map_owner *o, struct schema_table *t)
{
	const struct map_child *ch = o->child;
	if (ch->parent != NULL) {
		t->parent_column = (int)t->ncolumns;
		add_column(t, ch->parent, parent_key_type(b, o), true, NULL);
	}
	if (ch->ordinal != NULL) {
		t->ordinal_column = (int)t->ncolumns;
		add_column(t, ch->ordinal, &integer_type, true, NULL);
		t->columns[t->ncolumns - 1].exact = true;
	}
	if (ch->key != NULL)
		add_made_key(b, o, t);
}

static void set_primary_key(struct schema_table *t, const struct map_owner *o, size_t first)
{
	size_t at = first;
	if (t->nprimary_key > 0)
		return; /* docrow makes it */
	for (size_t i = 0; i < o->ncolumns; i++) {
		if (o->columns[i].name == NULL)
			continue;
		if (o->columns[i].primary_key)
			t->primary_key[t->nprimary_key++] = (int)at;
		at++;
	}
	if (o->child == NULL || t->nprimary_key > 0 || o->child->ordinal == NULL || o->child->parent == NULL)
		return;
	t->primary_key[0] = t->parent_column;
	t->primary_key[1] = t->parent_column + 1;
	t->nprimary_key = 2;
}

const char *primary_key_name(struct schema_builder *b, const char *given, const char *table)
{
	if (given != NULL || b->m->names == MAP_NAMES_AS_IS || table == NULL)
		return given;
	return map_made_name(b->arena, b->m, table, "_pkey");
}

void build_table(struct schema_builder *b, size_t owner, struct schema_table *t)
{
	const struct map_owner *o = &b->owners[owner];
	t->columns = arena_alloc(b->arena, (o->ncolumns + 4) * sizeof *t->columns);
	t->primary_key = arena_alloc(b->arena, (o->ncolumns + 2) * sizeof *t->primary_key);
	t->primary_key_name = primary_key_name(b, o->primary_key_name, o->table);
	t->duplicates = o->child == NULL ? o->collection->duplicates : DUP_REJECT;
	t->parent_table = o->parent >= 0 ? b->owner_table[o->parent] : -1;
	t->parent_column = t->ordinal_column = -1;
	t->id_column = -1;
	if (o->child != NULL)
		add_child_columns(b, o, t);
	size_t first = t->ncolumns;
	for (size_t i = 0; i < o->ncolumns; i++) {
		const struct map_column *col = &o->columns[i];
		if (col->name == NULL)
			continue;
		add_column(t, col->name, &col->type, col->not_null || col->primary_key, col->default_sql);
		t->columns[t->ncolumns - 1].generated_sql = col->generated_sql;
		t->columns[t->ncolumns - 1].no_source = col->no_source;
		if (o->child == NULL && col->is_id)
			t->id_column = (int)t->ncolumns;
	}
	set_primary_key(t, o, first);
	if (o->unmapped->how == MAP_UNMAPPED_KEEP) {
		add_column(t, o->unmapped->column, &jsonb_type, false, NULL);
		t->columns[t->ncolumns - 1].exact = true;
	}
}

/* ---- PostgreSQL's limits for a table ---- */

#define COLUMNS_MAX 1600

/* The mapping's columns alone: a table that is there already may have more. */
void check_sizes(struct schema_builder *b)
{
	for (size_t i = 0; i < b->s->ntables; i++) {
		const struct schema_table *t = &b->s->tables[i];
		const struct map_owner *o = b->table_owner[i] >= 0 ? &b->owners[b->table_owner[i]] : NULL;
		size_t needed = schema_row_bytes(t, true), all = schema_row_bytes(t, false);
		if (o == NULL)
			continue;
		if (t->ncolumns > COLUMNS_MAX)
			complain(b->c, o->line, o->col, "table \"%s\" has %zu columns, PostgreSQL takes %d", t->name,
				 t->ncolumns, COLUMNS_MAX);
		else if (needed > SCHEMA_ROW_MAX)
			complain(b->c, o->line, o->col,
				 "a row of table \"%s\" has %zu bytes at least in its columns that take no NULL, "
				 "PostgreSQL takes %d",
				 t->name, needed, SCHEMA_ROW_MAX);
		else if (all > SCHEMA_ROW_MAX && b->c->warnings != NULL)
			complain(b->c->warnings, o->line, o->col,
				 "a row of table \"%s\" with a value in every column has %zu bytes at least, "
				 "PostgreSQL takes %d: such documents are rejects",
				 t->name, all, SCHEMA_ROW_MAX);
	}
}

/* ---- a table fed by several collections ---- */

static bool same_text(const char *a, const char *b)
{
	return a == b || (a != NULL && b != NULL && strcmp(a, b) == 0);
}

static bool same_type(const struct pgtype *a, const struct pgtype *b)
{
	return a->base == b->base && a->array == b->array && a->dims == b->dims && a->length == b->length &&
	       a->precision == b->precision && a->scale == b->scale && a->enum_index == b->enum_index &&
	       same_text(a->domain, b->domain);
}

static bool same_reference(const struct map_reference *a, const struct map_reference *b)
{
	return same_text(a->table, b->table) && same_text(a->column, b->column) && same_text(a->name, b->name) &&
	       a->constraint == b->constraint && a->on_delete == b->on_delete && a->on_update == b->on_update &&
	       a->if_orphan == b->if_orphan && same_text(a->move_to, b->move_to) && a->otherwise == b->otherwise;
}

static const char *column_difference(const struct map_column *x, const struct map_column *y)
{
	if (!same_text(x->name, y->name))
		return "name";
	if (!same_type(&x->type, &y->type))
		return "type";
	if (x->primary_key != y->primary_key)
		return "primary_key";
	if (x->not_null != y->not_null)
		return "not_null";
	if (!same_text(x->default_sql, y->default_sql))
		return "default";
	if (!same_text(x->generated_sql, y->generated_sql))
		return "generated";
	return same_reference(&x->references, &y->references) ? NULL : "references";
}

/* The column that keeps what no other one takes; NULL: there is none. */
static const char *keeping_column(const struct map_leftover *l)
{
	return l->how == MAP_UNMAPPED_KEEP ? l->column : NULL;
}

/* The later entry may leave the name out. */
static bool is_named_alike(const char *first, const char *second)
{
	return second == NULL || same_text(first, second);
}

static const char *collection_difference(const struct map_collection *p, const struct map_collection *q)
{
	return p->id != q->id                   ? "id"
	       : p->duplicates != q->duplicates ? "duplicates"
	       : !same_text(keeping_column(&p->unmapped), keeping_column(&q->unmapped))
		       ? "the column of unmapped: keep"
	       : !is_named_alike(p->primary_key_name, q->primary_key_name) ? "primary_key_name"
									   : NULL;
}

static const char *child_difference(const struct map_child *p, const struct map_child *q)
{
	return !same_text(p->parent, q->parent)     ? "parent"
	       : !same_text(p->ordinal, q->ordinal) ? "ordinal"
	       : !same_text(p->key, q->key)         ? "key"
	       : !same_text(keeping_column(&p->unmapped), keeping_column(&q->unmapped))
		       ? "the column of unmapped: keep"
	       : !is_named_alike(p->primary_key_name, q->primary_key_name) ? "primary_key_name"
									   : NULL;
}

void check_same_shape(struct schema_builder *b, size_t first, size_t second)
{
	const struct map_owner *x = &b->owners[first], *y = &b->owners[second];
	const char *other = y->child != NULL ? child_difference(x->child, y->child)
					     : collection_difference(x->collection, y->collection);
	if (other != NULL)
		complain(b->c, y->line, y->col, "table \"%s\" is fed by collection \"%s\" (line %d), too: %s differs",
			 y->table, x->collection->name, x->line, other);
	if (x->ncolumns != y->ncolumns)
		complain(b->c, y->line, y->col,
			 "table \"%s\" has %zu columns here, %zu in line %d: the same ones in the same order are "
			 "needed",
			 y->table, y->ncolumns, x->ncolumns, x->line);
	for (size_t i = 0; i < x->ncolumns && i < y->ncolumns; i++) {
		const char *what = column_difference(&x->columns[i], &y->columns[i]);
		if (what != NULL)
			complain(b->c, y->columns[i].line, y->columns[i].col,
				 "column %zu of table \"%s\" is not as in line %d: %s differs", i + 1, y->table,
				 x->columns[i].line, what);
	}
}

/* ---- indexes ---- */

static void check_index_columns(struct schema_builder *b, const struct schema_table *t, const struct map_index *x)
{
	for (size_t i = 0; i < x->ncolumns; i++) {
		if (schema_find_column(t, x->columns[i]) >= 0)
			continue;
		const char **known = arena_alloc(b->arena, (t->ncolumns + 1) * sizeof *known);
		for (size_t k = 0; k < t->ncolumns; k++)
			known[k] = t->columns[k].name;
		complain_field(b->c, b->m, &x->columns[i], x->line, x->col, "table \"%s\" has no column \"%s\"%s",
			       t->name, x->columns[i], map_suggest(b->arena, x->columns[i], known, t->ncolumns));
	}
}

static void check_method(struct schema_builder *b, const struct map_index *x)
{
	static const char *const known[] = {"btree", "hash",  "gin",  "gist",   "spgist",
					    "brin",  "bloom", "hnsw", "ivfflat"};
	for (size_t i = 0; i < COUNT_OF(known); i++)
		if (strcmp(x->method, known[i]) == 0)
			return;
	complain_field(b->c, b->m, &x->method, x->line, x->col, "no index method is called \"%s\"%s", x->method,
		       map_suggest(b->arena, x->method, known, COUNT_OF(known)));
}

static void check_index(struct schema_builder *b, const struct schema_table *t, const struct map_index *x)
{
	if ((x->ncolumns > 0) == (x->expression != NULL))
		complain(b->c, x->line, x->col, "an index has columns or an expression, one of them");
	if (x->name == NULL && x->expression != NULL)
		complain(b->c, x->line, x->col, "an index with an expression needs a name");
	if (x->ncolumns > 32)
		complain_field(b->c, b->m, &x->columns, x->line, x->col, "an index takes at most 32 columns");
	if (x->unique && strcmp(x->method, "btree") != 0)
		complain_field(b->c, b->m, &x->method, x->line, x->col, "only a btree index can be unique");
	if (!x->unique && x->nulls_not_distinct)
		complain_field(b->c, b->m, &x->nulls_not_distinct, x->line, x->col,
			       "nulls_not_distinct is for unique indexes");
	if (!x->unique && (x->given & MAP_GIVEN_DUPLICATES) != 0)
		complain_field(b->c, b->m, &x->duplicates, x->line, x->col, "duplicates is for unique indexes");
	check_method(b, x);
	check_index_columns(b, t, x);
}

static bool is_same_index(const struct schema_index *a, const struct map_index *x)
{
	if (!same_text(a->name, x->name) || a->ncolumns != x->ncolumns || a->unique != x->unique ||
	    !same_text(a->expression, x->expression) || !same_text(a->where, x->where) ||
	    !same_text(a->method, x->method))
		return false;
	for (size_t i = 0; i < a->ncolumns; i++)
		if (strcmp(a->columns[i], x->columns[i]) != 0)
			return false;
	return true;
}

/* A second collection of the table may say the first one's indexes again. */
static bool is_repeat(const struct schema_table *t, size_t before, const struct map_index *x)
{
	for (size_t i = 0; i < before; i++)
		if (is_same_index(&t->indexes[i], x))
			return true;
	return false;
}

void build_indexes(struct schema_builder *b, struct schema_table *t, const struct map_index *list, size_t n)
{
	size_t before = t->nindexes;
	struct schema_index *all = arena_alloc(b->arena, (before + n + 1) * sizeof *all);
	if (before > 0)
		memcpy(all, t->indexes, before * sizeof *all);
	t->indexes = all;
	for (size_t i = 0; i < n; i++) {
		const struct map_index *x = &list[i];
		check_index(b, t, x);
		if (is_repeat(t, before, x) || x->name == NULL)
			continue;
		b->placed[b->nplaced++] = x;
		all[t->nindexes++] = (struct schema_index){.name = x->name,
							   .columns = x->columns,
							   .ncolumns = x->ncolumns,
							   .expression = x->expression,
							   .method = x->method,
							   .where = x->where,
							   .unique = x->unique,
							   .nulls_not_distinct = x->nulls_not_distinct,
							   .tier = x->tier,
							   .duplicates = x->duplicates};
	}
}

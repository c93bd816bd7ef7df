/* index_filter.c - partialFilterExpression as a WHERE over the columns. What cannot be said exactly is not said. */
#include "id.h"
#include "index_private.h"
#include "iso.h"
#include "text.h"

struct filter {
	struct arena *arena;
	const struct plan *plan;
	const struct plan_collection *collection;
	struct buf out;
	const char *why; /* NULL so far */
	int depth;
};

#define FILTER_DEPTH 20

static bool cannot(struct filter *f, const char *path, const char *what)
{
	_cleanup_(buf_free) struct buf shown = {0};
	text_escape(&shown, path, strlen(path));
	f->why = arena_printf(f->arena, "%s of the filter %s", buf_cstr(&shown), what);
	return false;
}

/* ---- values ---- */

static bool is_number_type(enum pgt t)
{
	return t == PGT_INT2 || t == PGT_INT4 || t == PGT_INT8 || t == PGT_NUMERIC || t == PGT_FLOAT4 ||
	       t == PGT_FLOAT8;
}

static bool put_number(struct filter *f, const struct val *v)
{
	char text[32];
	if (v->kind == BSON_K_INT32)
		buf_printf(&f->out, "%d", (int)val_i32(v));
	else if (v->kind == BSON_K_INT64)
		buf_printf(&f->out, "%lld", (long long)val_i64(v));
	else if (v->kind != BSON_K_DOUBLE || val_double(v) - val_double(v) != 0)
		return false;
	else {
		text_double(val_double(v), text);
		buf_puts(&f->out, text);
	}
	return true;
}

static bool has_label(const struct filter *f, const struct place *at, const char *text)
{
	const struct schema *s = &f->plan->schema;
	int e = at->column->type.enum_name != NULL ? schema_find_enum(s, at->column->type.enum_name) : -1;
	bool renamed = at->feed->map->nlabels > 0 || at->feed->map->fold_case;
	for (size_t i = 0; e >= 0 && !renamed && i < s->enums[e].nlabels; i++)
		if (strcmp(s->enums[e].labels[i], text) == 0)
			return true;
	return false;
}

static bool put_text(struct filter *f, const struct place *at, const struct val *v)
{
	size_t n;
	const char *s = val_text(v, &n);
	if (utf8_check(s, n, NULL) != UTF8_OK)
		return false;
	const char *text = arena_strndup(f->arena, s, n);
	bool fits = at->column->type.base == PGT_ENUM
			    ? has_label(f, at, text)
			    : index_is_text(&at->column->type) && at->column->type.base != PGT_CHAR;
	if (fits)
		sql_literal(&f->out, text);
	return fits;
}

static bool put_time(struct filter *f, const struct place *at, const struct val *v)
{
	char text[48];
	int64_t ms = val_i64(v);
	int n = iso_format(ms, text);
	bool whole_day = ms % 86400000 == 0;
	if (n != 24 || !index_is_time(&at->column->type) || (at->column->type.base == PGT_DATE && !whole_day))
		return false;
	buf_printf(&f->out, "'%s'", text);
	return true;
}

static bool put_id(struct filter *f, const struct place *at, const struct val *v)
{
	uint8_t uuid[UUID_SIZE];
	char text[UUID_TEXT_SIZE];
	if (at->column->type.base != PGT_UUID || at->feed->id_rule != MAP_ID_UUIDV7 ||
	    (!at->feed->is_reference && at->feed->feed != PLAN_FEED_ID))
		return false;
	id_objectid_to_uuid(v->data, uuid);
	id_uuid_format(uuid, text);
	buf_printf(&f->out, "'%s'", text);
	return true;
}

static bool put_value(struct filter *f, const struct place *at, const struct val *v)
{
	switch (v->kind) {
	case BSON_K_STRING:
		return put_text(f, at, v);
	case BSON_K_DATE:
		return put_time(f, at, v);
	case BSON_K_OBJECTID:
		return put_id(f, at, v);
	case BSON_K_BOOL:
		buf_puts(&f->out, val_bool(v) ? "true" : "false");
		return at->column->type.base == PGT_BOOL;
	default:
		return is_number_type(at->column->type.base) && put_number(f, v);
	}
}

/* ---- conditions on one column ---- */

static void put_column(struct filter *f, const struct place *at, bool in_order)
{
	sql_ident(&f->out, at->column->name);
	/* the order of strings is that of their bytes */
	if (in_order && index_is_text(&at->column->type) && at->column->type.base != PGT_CITEXT)
		buf_puts(&f->out, " COLLATE \"C\"");
}

static bool put_equal(struct filter *f, const struct place *at, const char *path, const struct val *v)
{
	put_column(f, at, false);
	if (v->kind == BSON_K_NULL) {
		buf_puts(&f->out, " IS NULL");
		return true;
	}
	buf_puts(&f->out, " = ");
	return put_value(f, at, v) ||
	       cannot(f, path, "is compared with a value that its column cannot hold as it is");
}

static bool put_in(struct filter *f, const struct place *at, const char *path, const struct val *v)
{
	struct doc_iter it;
	struct field e;
	size_t n = 0;
	if (v->kind != BSON_K_ARRAY || !doc_iter_val(&it, v))
		return cannot(f, path, "has an $in that is no list");
	put_column(f, at, false);
	buf_puts(&f->out, " IN (");
	while (doc_iter_next(&it, &e)) {
		buf_puts(&f->out, n++ > 0 ? ", " : "");
		if (!put_value(f, at, &e.val))
			return cannot(f, path, "is compared with a value that its column cannot hold as it is");
	}
	buf_putc(&f->out, ')');
	return n > 0 || cannot(f, path, "has an empty $in");
}

static bool type_matches(const struct pgtype *t, const char *alias)
{
	if (strcmp(alias, "string") == 0)
		return index_is_text(t) || t->base == PGT_ENUM;
	if (strcmp(alias, "number") == 0)
		return is_number_type(t->base);
	if (strcmp(alias, "bool") == 0)
		return t->base == PGT_BOOL;
	if (strcmp(alias, "date") == 0)
		return index_is_time(t);
	return strcmp(alias, "objectId") == 0 && t->base == PGT_UUID;
}

static bool put_type(struct filter *f, const struct place *at, const char *path, const struct val *v)
{
	static const struct {
		int number;
		const char *alias;
	} numbers[] = {{2, "string"}, {7, "objectId"}, {8, "bool"}, {9, "date"}};
	const char *alias = "";
	size_t n;
	if (v->kind == BSON_K_STRING)
		alias = arena_strndup(f->arena, val_text(v, &n), v->len - 5);
	for (size_t i = 0; v->kind == BSON_K_INT32 && i < sizeof numbers / sizeof numbers[0]; i++)
		if (numbers[i].number == val_i32(v))
			alias = numbers[i].alias;
	if (!type_matches(&at->column->type, alias))
		return cannot(f, path, "asks for a BSON type that its column does not tell from others");
	put_column(f, at, false);
	buf_puts(&f->out, " IS NOT NULL");
	return true;
}

static bool put_operator(struct filter *f, const struct place *at, const char *path, const struct field *op)
{
	static const struct {
		const char *word, *sql;
	} orders[] = {{"$gt", " > "}, {"$gte", " >= "}, {"$lt", " < "}, {"$lte", " <= "}};
	if (strcmp(op->key, "$eq") == 0)
		return put_equal(f, at, path, &op->val);
	if (strcmp(op->key, "$in") == 0)
		return put_in(f, at, path, &op->val);
	if (strcmp(op->key, "$type") == 0)
		return put_type(f, at, path, &op->val);
	if (strcmp(op->key, "$exists") == 0) {
		bool yes = op->val.kind != BSON_K_BOOL || val_bool(&op->val);
		put_column(f, at, false);
		buf_puts(&f->out, yes ? " IS NOT NULL" : " IS NULL");
		return true;
	}
	for (size_t i = 0; i < sizeof orders / sizeof orders[0]; i++) {
		if (strcmp(op->key, orders[i].word) != 0 || at->column->type.base == PGT_ENUM ||
		    at->column->type.base == PGT_UUID)
			continue;
		put_column(f, at, true);
		buf_puts(&f->out, orders[i].sql);
		return put_value(f, at, &op->val) ||
		       cannot(f, path, "is compared with a value that its column cannot hold as it is");
	}
	return cannot(f, path, arena_printf(f->arena, "has %.40s, which the columns cannot say exactly", op->key));
}

static bool put_operators(struct filter *f, const struct place *at, const char *path, const struct val *v)
{
	struct doc_iter it;
	struct field op;
	size_t n = 0;
	if (!doc_iter_val(&it, v))
		return cannot(f, path, "is not readable");
	while (doc_iter_next(&it, &op)) {
		buf_puts(&f->out, n++ > 0 ? " AND " : "");
		if (!put_operator(f, at, path, &op))
			return false;
	}
	return n > 0 || cannot(f, path, "is compared with an empty document");
}

static bool put_condition(struct filter *f, const struct field *c)
{
	struct place at = index_place(f->plan, f->collection, c->key);
	if (at.kind != PLACE_COLUMN || !at.is_main || at.column->type.array)
		return cannot(f, c->key, "is in no single column of the table");
	return c->val.kind == BSON_K_DOCUMENT ? put_operators(f, &at, c->key, &c->val)
					      : put_equal(f, &at, c->key, &c->val);
}

/* ---- the expression ---- */

static bool put_expression(struct filter *f, const struct val *v);

static bool put_list(struct filter *f, const struct field *c)
{
	struct doc_iter it;
	struct field e;
	size_t n = 0;
	const char *word = strcmp(c->key, "$or") == 0 ? " OR " : " AND ";
	if (c->val.kind != BSON_K_ARRAY || !doc_iter_val(&it, &c->val))
		return cannot(f, c->key, "is not readable");
	buf_putc(&f->out, '(');
	while (doc_iter_next(&it, &e)) {
		buf_puts(&f->out, n++ > 0 ? word : "");
		if (e.val.kind != BSON_K_DOCUMENT || !put_expression(f, &e.val))
			return f->why != NULL ? false : cannot(f, c->key, "is not readable");
	}
	buf_putc(&f->out, ')');
	return n > 0 || cannot(f, c->key, "is empty");
}

static bool put_expression(struct filter *f, const struct val *v)
{
	struct doc_iter it;
	struct field c;
	size_t n = 0;
	if (f->depth == FILTER_DEPTH || !doc_iter_val(&it, v))
		return cannot(f, "a part", "is nested too deep");
	f->depth++;
	buf_putc(&f->out, '(');
	while (doc_iter_next(&it, &c)) {
		buf_puts(&f->out, n++ > 0 ? " AND " : "");
		bool is_list = strcmp(c.key, "$and") == 0 || strcmp(c.key, "$or") == 0;
		if (!is_list && c.key[0] == '$')
			return cannot(f, c.key, "is no operator that the columns can say");
		if (!(is_list ? put_list(f, &c) : put_condition(f, &c)))
			return false;
	}
	buf_putc(&f->out, ')');
	f->depth--;
	return n > 0 || cannot(f, "a part", "is empty");
}

const char *index_filter(struct arena *a, const struct plan *p, const struct plan_collection *k,
			 const struct val *filter, const char **why)
{
	struct filter f = {.arena = a, .plan = p, .collection = k};
	buf_init(&f.out, 0);
	const char *sql = put_expression(&f, filter) ? arena_strdup(a, buf_cstr(&f.out)) : NULL;
	*why = f.why;
	buf_free(&f.out);
	return sql;
}

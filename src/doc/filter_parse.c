/* filter_parse.c - a filter's BSON into a tree. What a server would refuse is refused here, too; and everything that
 * is not evaluated here, by its name.
 */
#include <math.h>
#include <stdio.h>

#include "compare.h"
#include "filter_private.h"

#define DEPTH_MAX 100

struct parser {
	struct arena *arena;
	char *why;
	int depth;
};

static const struct filter_node *refuse(struct parser *p, const char *what, const char *name)
{
	snprintf(p->why, FILTER_WHY, "%s%.100s", what, name);
	return NULL;
}

static struct filter_node *new_node(struct parser *p, enum filter_kind kind)
{
	struct filter_node *n = arena_alloc(p->arena, sizeof *n);
	n->kind = kind;
	return n;
}

static void add_child(struct parser *p, struct filter_node *to, const struct filter_node *child)
{
	const struct filter_node **more = arena_alloc(p->arena, (to->nchildren + 1) * sizeof *more);
	if (to->nchildren > 0)
		memcpy(more, to->children, to->nchildren * sizeof *more);
	more[to->nchildren++] = child;
	to->children = more;
}

/* ---- paths ---- */

struct path {
	const struct field *parts;
	size_t n;
};

static bool is_number(const char *s, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (s[i] < '0' || s[i] > '9')
			return false;
	return n > 0;
}

/* Keys between the dots; val.kind of a part says whether it can be a position in an array. */
static struct path split_path(struct parser *p, const struct field *f)
{
	size_t n = 1, at = 0;
	for (uint32_t i = 0; i < f->key_len; i++)
		n += f->key[i] == '.';
	struct field *parts = arena_alloc(p->arena, n * sizeof *parts);
	for (size_t i = 0; i < n; i++) {
		const char *dot = memchr(f->key + at, '.', f->key_len - at);
		size_t len = dot != NULL ? (size_t)(dot - f->key) - at : f->key_len - at;
		parts[i].key = f->key + at;
		parts[i].key_len = (uint32_t)len;
		parts[i].val.kind = is_number(parts[i].key, len) ? 1 : 0;
		at += len + 1;
	}
	return (struct path){parts, n};
}

static struct filter_node *new_leaf(struct parser *p, enum filter_kind kind, const struct path *path)
{
	struct filter_node *n = new_node(p, kind);
	n->path = path->parts;
	n->npath = path->n;
	return n;
}

/* ---- operators of a field ---- */

static const struct filter_node *parse_field(struct parser *p, const struct path *path, const struct val *v);
static const struct filter_node *parse_operators(struct parser *p, const struct path *path, const struct val *v);
static const struct filter_node *parse_document(struct parser *p, const struct val *v);

static const struct filter_node *negate(struct parser *p, const struct filter_node *n)
{
	if (n == NULL)
		return NULL;
	struct filter_node *not_n = new_node(p, FILTER_NOT);
	add_child(p, not_n, n);
	return not_n;
}

static const struct filter_node *compare_with(struct parser *p, const struct path *path, enum filter_op op,
					      const struct val *v)
{
	if (v->kind == BSON_K_UNDEFINED)
		return refuse(p, "a comparison with undefined", "");
	if (v->kind == BSON_K_REGEX)
		return refuse(p, "a regular expression", "");
	struct filter_node *n = new_leaf(p, FILTER_COMPARE, path);
	n->op = op;
	n->value = *v;
	return n;
}

static const struct filter_node *parse_eq(struct parser *p, const struct path *path, const struct val *v)
{
	return compare_with(p, path, FILTER_EQ, v);
}

static const struct filter_node *parse_ne(struct parser *p, const struct path *path, const struct val *v)
{
	return negate(p, compare_with(p, path, FILTER_EQ, v));
}

static const struct filter_node *parse_lt(struct parser *p, const struct path *path, const struct val *v)
{
	return compare_with(p, path, FILTER_LT, v);
}

static const struct filter_node *parse_lte(struct parser *p, const struct path *path, const struct val *v)
{
	return compare_with(p, path, FILTER_LTE, v);
}

static const struct filter_node *parse_gt(struct parser *p, const struct path *path, const struct val *v)
{
	return compare_with(p, path, FILTER_GT, v);
}

static const struct filter_node *parse_gte(struct parser *p, const struct path *path, const struct val *v)
{
	return compare_with(p, path, FILTER_GTE, v);
}

static size_t count_elements(const struct val *v)
{
	struct doc_iter it;
	struct field f;
	size_t n = 0;
	for (bool ok = doc_iter_val(&it, v); ok && doc_iter_next(&it, &f);)
		n++;
	return n;
}

/* {$gt: 1}: the first key decides, as the server has it; {$ref, $id} is a value. */
static bool is_operators(const struct val *v)
{
	struct doc_iter it;
	struct field f;
	if (v->kind != BSON_K_DOCUMENT || !doc_iter_val(&it, v) || !doc_iter_next(&it, &f) || f.key[0] != '$')
		return false;
	return strcmp(f.key, "$ref") != 0 && strcmp(f.key, "$id") != 0 && strcmp(f.key, "$db") != 0;
}

static bool check_in_value(struct parser *p, const struct val *v)
{
	if (v->kind == BSON_K_UNDEFINED)
		return refuse(p, "a comparison with undefined", "") != NULL;
	if (v->kind == BSON_K_REGEX)
		return refuse(p, "a regular expression", "") != NULL;
	return !is_operators(v) || refuse(p, "an operator inside $in", "") != NULL;
}

static const struct filter_node *parse_in(struct parser *p, const struct path *path, const struct val *v)
{
	struct doc_iter it;
	struct field f;
	if (v->kind != BSON_K_ARRAY || !doc_iter_val(&it, v))
		return refuse(p, "$in and $nin without a list", "");
	struct filter_node *n = new_leaf(p, FILTER_IN, path);
	struct val *list = arena_alloc(p->arena, (count_elements(v) + 1) * sizeof *list);
	n->values = list;
	while (doc_iter_next(&it, &f)) {
		if (!check_in_value(p, &f.val))
			return NULL;
		list[n->nvalues++] = f.val;
	}
	return n;
}

static const struct filter_node *parse_nin(struct parser *p, const struct path *path, const struct val *v)
{
	return negate(p, parse_in(p, path, v));
}

static bool is_true(const struct val *v)
{
	static const int32_t zero;
	const struct val nothing = {(const uint8_t *)&zero, 4, BSON_K_INT32};
	if (val_class(v->kind) == val_class(BSON_K_INT32))
		return val_compare(v, &nothing) != 0;
	if (v->kind == BSON_K_BOOL)
		return val_bool(v);
	return v->kind != BSON_K_NULL && v->kind != BSON_K_UNDEFINED;
}

static const struct filter_node *parse_exists(struct parser *p, const struct path *path, const struct val *v)
{
	const struct filter_node *n = new_leaf(p, FILTER_EXISTS, path);
	return is_true(v) ? n : negate(p, n);
}

/* A whole number of any type. */
static bool read_whole(const struct val *v, int64_t *out)
{
	double d;
	switch (v->kind) {
	case BSON_K_INT32:
		*out = val_i32(v);
		return true;
	case BSON_K_INT64:
		*out = val_i64(v);
		return true;
	case BSON_K_DOUBLE:
		d = val_double(v);
		*out = d > -1e9 && d < 1e9 ? (int64_t)d : 0;
		return d == (double)*out;
	default:
		return false;
	}
}

static bool add_type(struct parser *p, struct filter_node *n, const struct val *v)
{
	int64_t code;
	bool known = false;
	if (v->kind == BSON_K_STRING) {
		size_t len;
		const char *word = val_text(v, &len);
		bool any_number = strcmp(word, "number") == 0;
		for (unsigned k = 1; k < 256; k++) {
			bool is = any_number ? val_class((uint8_t)k) == val_class(BSON_K_INT32)
					     : bson_payload_size[k] != BSON_SIZE_BAD &&
						       strcmp(bson_kind_name((uint8_t)k), word) == 0;
			n->kinds[k] |= is;
			known |= is;
		}
		return known || refuse(p, "$type with ", word) != NULL;
	}
	known = read_whole(v, &code) && code != 0 && code >= -1 && code < 256 &&
		bson_payload_size[(uint8_t)code] != BSON_SIZE_BAD && (code <= 0x13 || code == 127 || code == -1);
	if (!known)
		return refuse(p, "$type without a type's name or number", "") != NULL;
	n->kinds[(uint8_t)code] = true;
	return true;
}

static const struct filter_node *parse_type(struct parser *p, const struct path *path, const struct val *v)
{
	struct filter_node *n = new_leaf(p, FILTER_TYPE, path);
	struct doc_iter it;
	struct field f;
	if (v->kind != BSON_K_ARRAY)
		return add_type(p, n, v) ? n : NULL;
	if (count_elements(v) == 0 || !doc_iter_val(&it, v))
		return refuse(p, "$type without a type", "");
	while (doc_iter_next(&it, &f))
		if (!add_type(p, n, &f.val))
			return NULL;
	return n;
}

static const struct filter_node *parse_size(struct parser *p, const struct path *path, const struct val *v)
{
	struct filter_node *n = new_leaf(p, FILTER_SIZE, path);
	if (!read_whole(v, &n->size) || n->size < 0)
		return refuse(p, "$size without a whole number from 0 up", "");
	return n;
}

static bool is_logical(const struct val *v)
{
	struct doc_iter it;
	struct field f;
	return doc_iter_val(&it, v) && doc_iter_next(&it, &f) &&
	       (strcmp(f.key, "$and") == 0 || strcmp(f.key, "$or") == 0 || strcmp(f.key, "$nor") == 0);
}

static const struct filter_node *parse_elem_match(struct parser *p, const struct path *path, const struct val *v)
{
	if (v->kind != BSON_K_DOCUMENT)
		return refuse(p, "$elemMatch without a document", "");
	bool is_value = is_operators(v) && !is_logical(v);
	struct filter_node *n = new_leaf(p, is_value ? FILTER_ELEM_VALUE : FILTER_ELEM_OBJECT, path);
	const struct filter_node *inner =
		is_value ? parse_operators(p, &(struct path){NULL, 0}, v) : parse_document(p, v);
	if (inner == NULL)
		return NULL;
	add_child(p, n, inner);
	return n;
}

/* Every value of the list is in the array; or, when the first is an $elemMatch, all of them are that. */
static const struct filter_node *parse_all(struct parser *p, const struct path *path, const struct val *v)
{
	struct doc_iter it;
	struct field f, first;
	if (v->kind != BSON_K_ARRAY || !doc_iter_val(&it, v))
		return refuse(p, "$all without a list", "");
	struct filter_node *n = new_node(p, count_elements(v) == 0 ? FILTER_NEVER : FILTER_AND);
	while (doc_iter_next(&it, &f)) {
		const struct filter_node *one;
		struct doc_iter inner;
		if (!is_operators(&f.val))
			one = compare_with(p, path, FILTER_EQ, &f.val);
		else if (doc_iter_val(&inner, &f.val) && doc_iter_next(&inner, &first) &&
			 strcmp(first.key, "$elemMatch") == 0 && count_elements(&f.val) == 1)
			one = parse_elem_match(p, path, &first.val);
		else
			one = refuse(p, "an operator inside $all", "");
		if (one == NULL)
			return NULL;
		add_child(p, n, one);
	}
	return n;
}

static const struct filter_node *parse_not(struct parser *p, const struct path *path, const struct val *v)
{
	if (v->kind == BSON_K_REGEX)
		return refuse(p, "a regular expression", "");
	if (!is_operators(v))
		return refuse(p, "$not without operators", "");
	return negate(p, parse_operators(p, path, v));
}

typedef const struct filter_node *parse_fn(struct parser *p, const struct path *path, const struct val *v);

static const struct {
	const char *name;
	parse_fn *parse;
} operators[] = {
	{"$eq", parse_eq},
	{"$ne", parse_ne},
	{"$lt", parse_lt},
	{"$lte", parse_lte},
	{"$gt", parse_gt},
	{"$gte", parse_gte},
	{"$in", parse_in},
	{"$nin", parse_nin},
	{"$exists", parse_exists},
	{"$type", parse_type},
	{"$size", parse_size},
	{"$all", parse_all},
	{"$elemMatch", parse_elem_match},
	{"$not", parse_not},
};

static const struct filter_node *parse_operator(struct parser *p, const struct path *path, const struct field *f)
{
	for (size_t i = 0; i < sizeof operators / sizeof operators[0]; i++)
		if (strcmp(operators[i].name, f->key) == 0)
			return operators[i].parse(p, path, &f->val);
	return f->key[0] == '$' ? refuse(p, "the operator ", f->key)
				: refuse(p, "operators beside the field ", f->key);
}

static const struct filter_node *parse_operators(struct parser *p, const struct path *path, const struct val *v)
{
	struct doc_iter it;
	struct field f;
	struct filter_node *all = new_node(p, FILTER_AND);
	if (++p->depth > DEPTH_MAX)
		return refuse(p, "a filter that is nested too deeply", "");
	for (bool ok = doc_iter_val(&it, v); ok && doc_iter_next(&it, &f);) {
		const struct filter_node *one = parse_operator(p, path, &f);
		if (one == NULL)
			return NULL;
		add_child(p, all, one);
	}
	p->depth--;
	return all;
}

static const struct filter_node *parse_field(struct parser *p, const struct path *path, const struct val *v)
{
	return is_operators(v) ? parse_operators(p, path, v) : compare_with(p, path, FILTER_EQ, v);
}

/* ---- documents ---- */

static const struct filter_node *parse_logical(struct parser *p, enum filter_kind kind, const struct field *f)
{
	struct doc_iter it;
	struct field one;
	struct filter_node *n = new_node(p, kind);
	if (f->val.kind != BSON_K_ARRAY || count_elements(&f->val) == 0 || !doc_iter_val(&it, &f->val))
		return refuse(p, f->key, " without a list of filters");
	while (doc_iter_next(&it, &one)) {
		if (one.val.kind != BSON_K_DOCUMENT)
			return refuse(p, f->key, " with something that is no filter");
		const struct filter_node *child = parse_document(p, &one.val);
		if (child == NULL)
			return NULL;
		add_child(p, n, child);
	}
	return n;
}

static const struct filter_node *parse_entry(struct parser *p, const struct field *f)
{
	static const struct {
		const char *name;
		enum filter_kind kind;
	} logical[] = {{"$and", FILTER_AND}, {"$or", FILTER_OR}, {"$nor", FILTER_NOR}};
	for (size_t i = 0; i < sizeof logical / sizeof logical[0]; i++)
		if (strcmp(logical[i].name, f->key) == 0)
			return parse_logical(p, logical[i].kind, f);
	if (f->key[0] == '$')
		return refuse(p, "the operator ", f->key);
	struct path path = split_path(p, f);
	return parse_field(p, &path, &f->val);
}

static const struct filter_node *parse_document(struct parser *p, const struct val *v)
{
	struct doc_iter it;
	struct field f;
	struct filter_node *all = new_node(p, FILTER_AND);
	if (++p->depth > DEPTH_MAX)
		return refuse(p, "a filter that is nested too deeply", "");
	for (bool ok = doc_iter_val(&it, v); ok && doc_iter_next(&it, &f);) {
		const struct filter_node *one = parse_entry(p, &f);
		if (one == NULL)
			return NULL;
		add_child(p, all, one);
	}
	p->depth--;
	return all;
}

const struct filter_node *filter_parse(struct arena *a, const uint8_t *bytes, size_t len, char why[FILTER_WHY])
{
	struct parser p = {.arena = a, .why = why};
	if (!doc_is_wellformed(bytes, len))
		return refuse(&p, "a filter that is not well-formed", "");
	struct val v = {bytes, (uint32_t)len, BSON_K_DOCUMENT};
	return parse_document(&p, &v);
}

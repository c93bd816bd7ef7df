/* filter.c - asks a compiled filter about a document.
 *
 * A path leads to any number of elements: on its way through an array it goes into every element that is a document,
 * and into the one at a position when the next key is a number; at its end an array gives its elements and itself. A
 * leaf matches when one of these does. (MongoDB: BSONElementIterator.)
 */
#include "compare.h"
#include "filter_private.h"

static bool matches_document(const struct filter_node *n, const struct val *doc);
static bool matches_element(const struct filter_node *n, const struct val *v);

static const struct val missing;

/* ---- paths ---- */

/* What a walk along a path asks of the elements that it comes to. */
struct asker {
	const struct filter_node *node;
	bool whole; /* at its end an array is asked as a whole only */
};

static bool find_field(const struct val *doc, const struct field *key, struct val *out)
{
	struct doc_iter it;
	struct field f;
	if (!doc_iter_val(&it, doc))
		return false;
	while (doc_iter_next(&it, &f))
		if (f.key_len == key->key_len && memcmp(f.key, key->key, f.key_len) == 0) {
			*out = f.val;
			return true;
		}
	return false;
}

static bool ask_in_document(const struct asker *a, size_t at, const struct val *doc);
static bool ask_in_array(const struct asker *a, size_t at, const struct val *array);

static bool is_position(const struct field *part, const struct field *element)
{
	return part->val.kind != 0 && part->key_len == element->key_len &&
	       memcmp(part->key, element->key, part->key_len) == 0;
}

/* The element at the position that the path names. */
static bool ask_at_position(const struct asker *a, size_t at, const struct val *v)
{
	if (at + 1 == a->node->npath)
		return matches_element(a->node, v);
	if (v->kind == BSON_K_ARRAY)
		return ask_in_array(a, at + 1, v);
	return v->kind == BSON_K_DOCUMENT && ask_in_document(a, at + 1, v);
}

static bool ask_in_array(const struct asker *a, size_t at, const struct val *array)
{
	struct doc_iter it;
	struct field f;
	bool ended = at == a->node->npath;
	if (ended && a->whole)
		return matches_element(a->node, array);
	if (!doc_iter_val(&it, array))
		return false;
	while (doc_iter_next(&it, &f)) {
		if (ended) {
			if (matches_element(a->node, &f.val))
				return true;
			continue;
		}
		if (f.val.kind == BSON_K_DOCUMENT && ask_in_document(a, at, &f.val))
			return true;
		if (is_position(&a->node->path[at], &f) && ask_at_position(a, at, &f.val))
			return true;
	}
	return ended && matches_element(a->node, array);
}

static bool ask_in_document(const struct asker *a, size_t at, const struct val *doc)
{
	struct val v = *doc;
	for (; at < a->node->npath; at++) {
		if (v.kind != BSON_K_DOCUMENT || !find_field(&v, &a->node->path[at], &v))
			return matches_element(a->node, &missing);
		if (v.kind == BSON_K_ARRAY)
			return ask_in_array(a, at + 1, &v);
	}
	return matches_element(a->node, &v);
}

/* ---- leaves ---- */

static bool compare(enum filter_op op, int d)
{
	switch (op) {
	case FILTER_EQ:
		return d == 0;
	case FILTER_LT:
		return d < 0;
	case FILTER_LTE:
		return d <= 0;
	case FILTER_GT:
		return d > 0;
	case FILTER_GTE:
		return d >= 0;
	}
	return false;
}

static bool takes_equal(enum filter_op op)
{
	return op == FILTER_EQ || op == FILTER_LTE || op == FILTER_GTE;
}

/* Values of different classes meet in three cases only: null with what is missing, and MinKey and MaxKey, which lie
 * below and above everything. */
static bool compare_classes(const struct filter_node *n, const struct val *v)
{
	if (val_class(v->kind) + val_class(n->value.kind) == val_class(BSON_K_NULL))
		return takes_equal(n->op);
	if (n->value.kind == BSON_K_MAXKEY)
		return n->op == FILTER_LT || n->op == FILTER_LTE;
	if (n->value.kind == BSON_K_MINKEY)
		return n->op == FILTER_GT || n->op == FILTER_GTE;
	return false;
}

static bool matches_comparison(const struct filter_node *n, const struct val *v)
{
	if (val_class(v->kind) != val_class(n->value.kind))
		return compare_classes(n, v);
	if (val_is_nan(v) || val_is_nan(&n->value))
		return takes_equal(n->op) && val_is_nan(v) && val_is_nan(&n->value);
	return compare(n->op, val_compare(v, &n->value));
}

static bool matches_in(const struct filter_node *n, const struct val *v)
{
	bool is_nothing = val_class(v->kind) == 0; /* missing or undefined: null is its like */
	for (size_t i = 0; i < n->nvalues; i++) {
		const struct val *one = &n->values[i];
		if (is_nothing ? one->kind == BSON_K_NULL
			       : val_class(v->kind) == val_class(one->kind) && val_compare(v, one) == 0)
			return true;
	}
	return false;
}

static bool has_size(const struct val *v, int64_t size)
{
	struct doc_iter it;
	struct field f;
	int64_t n = 0;
	if (v->kind != BSON_K_ARRAY || !doc_iter_val(&it, v))
		return false;
	while (doc_iter_next(&it, &f))
		n++;
	return n == size;
}

static bool all_match(const struct filter_node *n, const struct val *v)
{
	bool is_value = n->kind == FILTER_ELEM_VALUE;
	for (size_t i = 0; i < n->nchildren; i++)
		if (is_value ? !matches_element(n->children[i], v) : !matches_document(n->children[i], v))
			return false;
	return true;
}

static bool has_match(const struct filter_node *n, const struct val *v)
{
	struct doc_iter it;
	struct field f;
	if (v->kind != BSON_K_ARRAY || !doc_iter_val(&it, v))
		return false;
	while (doc_iter_next(&it, &f)) {
		bool is_object = f.val.kind == BSON_K_DOCUMENT || f.val.kind == BSON_K_ARRAY;
		if ((n->kind == FILTER_ELEM_VALUE || is_object) && all_match(n, &f.val))
			return true;
	}
	return false;
}

/* ---- the tree ---- */

typedef bool ask_fn(const struct filter_node *n, const struct val *v);

static bool ask_children(const struct filter_node *n, const struct val *v, ask_fn *ask)
{
	switch (n->kind) {
	case FILTER_AND:
		for (size_t i = 0; i < n->nchildren; i++)
			if (!ask(n->children[i], v))
				return false;
		return true;
	case FILTER_OR:
	case FILTER_NOR:
		for (size_t i = 0; i < n->nchildren; i++)
			if (ask(n->children[i], v))
				return n->kind == FILTER_OR;
		return n->kind == FILTER_NOR;
	case FILTER_NOT:
		return !ask(n->children[0], v);
	default:
		return false; /* NEVER */
	}
}

/* One element that a path has come to, or an element of the array that $elemMatch looks at. */
static bool matches_element(const struct filter_node *n, const struct val *v)
{
	switch (n->kind) {
	case FILTER_COMPARE:
		return matches_comparison(n, v);
	case FILTER_IN:
		return matches_in(n, v);
	case FILTER_EXISTS:
		return v->kind != 0;
	case FILTER_TYPE:
		return v->kind != 0 && n->kinds[v->kind];
	case FILTER_SIZE:
		return has_size(v, n->size);
	case FILTER_ELEM_OBJECT:
	case FILTER_ELEM_VALUE:
		return has_match(n, v);
	default:
		return ask_children(n, v, matches_element);
	}
}

static bool is_leaf(const struct filter_node *n)
{
	return n->kind >= FILTER_COMPARE && n->kind != FILTER_NEVER;
}

/* doc is a document, or an array that stands for one. */
static bool matches_document(const struct filter_node *n, const struct val *doc)
{
	if (!is_leaf(n))
		return ask_children(n, doc, matches_document);
	struct val top = {doc->data, doc->len, BSON_K_DOCUMENT};
	struct asker a = {n, n->kind == FILTER_SIZE || n->kind == FILTER_ELEM_OBJECT || n->kind == FILTER_ELEM_VALUE};
	return ask_in_document(&a, 0, &top);
}

struct filter *filter_new(const uint8_t *filter, size_t len, char why[FILTER_WHY])
{
	struct arena *a = arena_new();
	const uint8_t *copy = arena_memdup(a, filter, len);
	const struct filter_node *root = filter_parse(a, copy, len, why);
	if (root == NULL) {
		arena_free(a);
		return NULL;
	}
	struct filter *f = arena_alloc(a, sizeof *f);
	*f = (struct filter){a, root};
	return f;
}

void filter_free(struct filter *f)
{
	if (f != NULL)
		arena_free(f->arena);
}

bool filter_matches(const struct filter *f, const uint8_t *doc, size_t len)
{
	struct val v = {doc, (uint32_t)len, BSON_K_DOCUMENT};
	return !doc_is_wellformed(doc, len) || matches_document(f->root, &v);
}

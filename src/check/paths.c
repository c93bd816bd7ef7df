/* paths.c - see paths.h. A tree of keys: a key is looked up among the children of the path above it, and since
 * documents mostly keep their order, the child after the one found last is tried first. */
#include "paths.h"

#include <stdlib.h>
#include <string.h>

#include "doc.h"

#define DEEPEST      16
#define MAX_CHILDREN 1000 /* more are data, not a shape: ids used as keys and the like */
#define KINDS        (sizeof check_kinds / sizeof check_kinds[0])

const uint8_t check_kinds[22] = {
	BSON_K_DOUBLE,     BSON_K_STRING, BSON_K_DOCUMENT,   BSON_K_ARRAY, BSON_K_BINARY,    BSON_K_UNDEFINED,
	BSON_K_OBJECTID,   BSON_K_BOOL,   BSON_K_DATE,       BSON_K_NULL,  BSON_K_REGEX,     BSON_K_DBPOINTER,
	BSON_K_CODE,       BSON_K_SYMBOL, BSON_K_CODEWSCOPE, BSON_K_INT32, BSON_K_TIMESTAMP, BSON_K_INT64,
	BSON_K_DECIMAL128, BSON_K_MINKEY, BSON_K_MAXKEY,     BSON_K_EOD};

struct node {
	char *key; /* "[]" for the elements of an array; NULL: the document itself */
	uint32_t key_len;
	struct node **children;
	size_t nchildren, cap, guess;
	uint64_t by_kind[KINDS];
};

struct paths {
	struct node *roots; /* by collection */
	size_t *counts;     /* paths of each */
	size_t n;
	uint8_t place[256]; /* kind → position in check_kinds */
};

struct paths *paths_new(size_t ncollections)
{
	struct paths *p = mem_zalloc(sizeof *p);
	p->n = ncollections;
	p->roots = mem_zalloc((ncollections + 1) * sizeof *p->roots);
	p->counts = mem_zalloc((ncollections + 1) * sizeof *p->counts);
	memset(p->place, KINDS - 1, sizeof p->place);
	for (size_t i = 0; i < KINDS; i++)
		p->place[check_kinds[i]] = (uint8_t)i;
	return p;
}

static void free_children(struct node *n)
{
	for (size_t i = 0; i < n->nchildren; i++) {
		free_children(n->children[i]);
		free(n->children[i]->key);
		free(n->children[i]);
	}
	free(n->children);
}

void paths_free(struct paths *p)
{
	if (p == NULL)
		return;
	for (size_t c = 0; c < p->n; c++)
		free_children(&p->roots[c]);
	free(p->roots);
	free(p->counts);
	free(p);
}

static struct node *new_child(struct paths *p, size_t c, struct node *above, const char *key, size_t len)
{
	if (p->counts[c] >= CHECK_MAX_PATHS || above->nchildren >= MAX_CHILDREN) {
		key = "(other)";
		len = 7;
	}
	for (size_t i = 0; i < above->nchildren; i++)
		if (above->children[i]->key_len == len && memcmp(above->children[i]->key, key, len) == 0)
			return above->children[i];
	if (above->nchildren == above->cap) {
		above->cap = above->cap > 0 ? above->cap * 2 : 8;
		above->children = mem_realloc(above->children, above->cap * sizeof *above->children);
	}
	struct node *n = mem_zalloc(sizeof *n);
	n->key = mem_alloc(len + 1);
	memcpy(n->key, key, len);
	n->key[len] = '\0';
	n->key_len = (uint32_t)len;
	above->children[above->nchildren++] = n;
	p->counts[c]++;
	return n;
}

static bool is_key(const struct node *n, const char *key, size_t len)
{
	return n->key_len == len && memcmp(n->key, key, len) == 0;
}

static struct node *child(struct paths *p, size_t c, struct node *above, const char *key, size_t len)
{
	if (above->guess < above->nchildren && is_key(above->children[above->guess], key, len))
		return above->children[above->guess++];
	for (size_t i = 0; i < above->nchildren; i++)
		if (is_key(above->children[i], key, len)) {
			above->guess = i + 1;
			return above->children[i];
		}
	return new_child(p, c, above, key, len);
}

static bool is_inside(const struct val *v)
{
	return v->kind == BSON_K_DOCUMENT || v->kind == BSON_K_ARRAY;
}

/* Calls itself DEEPEST times at most. */
static void add_fields(struct paths *p, size_t c, struct node *above, bool in_array, struct doc_iter *it, int depth)
{
	struct field f;
	above->guess = 0;
	while (doc_iter_next(it, &f)) {
		struct node *n = in_array ? child(p, c, above, "[]", 2) : child(p, c, above, f.key, f.key_len);
		struct doc_iter inner;
		n->by_kind[p->place[f.val.kind]]++;
		if (depth < DEEPEST && is_inside(&f.val) && doc_iter_val(&inner, &f.val))
			add_fields(p, c, n, f.val.kind == BSON_K_ARRAY, &inner, depth + 1);
		if (in_array)
			above->guess = 0;
	}
}

void paths_add(struct paths *p, int collection, const uint8_t *doc, size_t len)
{
	struct doc_iter it;
	if (doc_iter_init(&it, doc, len))
		add_fields(p, (size_t)collection, &p->roots[collection], false, &it, 1);
}

static void merge_node(struct paths *into, size_t c, struct node *to, const struct node *from)
{
	for (size_t k = 0; k < KINDS; k++)
		to->by_kind[k] += from->by_kind[k];
	for (size_t i = 0; i < from->nchildren; i++) {
		const struct node *n = from->children[i];
		merge_node(into, c, child(into, c, to, n->key, n->key_len), n);
	}
}

void paths_merge(struct paths *into, const struct paths *from)
{
	for (size_t c = 0; c < into->n; c++)
		merge_node(into, c, &into->roots[c], &from->roots[c]);
}

struct lister {
	struct arena *arena;
	const char *collection;
	struct check_path *list;
	size_t n;
};

static int by_path(const void *a, const void *b)
{
	return strcmp(((const struct check_path *)a)->path, ((const struct check_path *)b)->path);
}

static void list_children(struct lister *l, const struct node *above, const char *prefix)
{
	for (size_t i = 0; i < above->nchildren; i++) {
		const struct node *n = above->children[i];
		bool is_element = strcmp(n->key, "[]") == 0;
		const char *path =
			arena_printf(l->arena, "%s%s%s", prefix, prefix[0] == '\0' || is_element ? "" : ".", n->key);
		struct check_path *out = &l->list[l->n++];
		out->collection = l->collection;
		out->path = path;
		memcpy(out->by_kind, n->by_kind, sizeof out->by_kind);
		list_children(l, n, path);
	}
}

size_t paths_list(const struct paths *p, const struct plan *plan, struct arena *a, const struct check_path **list)
{
	size_t room = 0;
	for (size_t c = 0; c < p->n; c++)
		room += p->counts[c];
	struct lister l = {.arena = a};
	l.list = arena_alloc(a, (room + 1) * sizeof *l.list);
	for (size_t c = 0; c < p->n; c++) {
		size_t from = l.n;
		l.collection = plan->collections[c].name;
		list_children(&l, &p->roots[c], "");
		qsort(l.list + from, l.n - from, sizeof *l.list, by_path);
	}
	*list = l.list;
	return l.n;
}

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
	struct texts *texts; /* NULL: not kept */
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
		texts_free(n->children[i]->texts);
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

static bool is_text(const struct val *v)
{
	return v->kind == BSON_K_STRING || v->kind == BSON_K_SYMBOL;
}

static void add_text(struct texts *t, const struct val *v)
{
	size_t n;
	const char *s = val_text(v, &n);
	texts_add(t, s, n, 1);
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
		if (n->texts != NULL && is_text(&f.val))
			add_text(n->texts, &f.val);
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
	if (to->texts != NULL && from->texts != NULL)
		texts_merge(to->texts, from->texts);
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

/* --- texts of single paths --- */

/* What a tree of wanted paths leads to: a slot or, slot -1, the array whose elements are a scope. */
struct goal {
	int slot, scope;
};

static bool is_goal(const struct plan_node *t, const struct goal *g)
{
	return g->slot >= 0 ? t->slot == g->slot : t->scope == g->scope;
}

static bool leads_to(const struct plan_node *t, const struct goal *g)
{
	bool found = is_goal(t, g);
	for (size_t i = 0; !found && i < t->nchildren; i++)
		found = leads_to(t->children[i], g);
	return found;
}

static struct node *descend(struct paths *p, size_t c, struct node *n, const struct plan_node *t,
			    const struct goal *g)
{
	while (!is_goal(t, g)) {
		size_t i = 0;
		while (i < t->nchildren && !leads_to(t->children[i], g))
			i++;
		if (i == t->nchildren)
			break;
		t = t->children[i];
		n = child(p, c, n, t->key, t->key_len);
	}
	return n;
}

/* The node of the document or element itself. Goes as deep as arrays are nested in the mapping. */
static struct node *scope_node(struct paths *p, const struct plan_collection *pc, size_t c, int scope)
{
	const struct goal g = {-1, scope};
	int parent = pc->scopes[scope].parent;
	if (parent < 0)
		return &p->roots[c];
	return child(p, c, descend(p, c, scope_node(p, pc, c, parent), pc->scopes[parent].root, &g), "[]", 2);
}

/* Made where it is not there yet. */
static struct node *slot_node(struct paths *p, const struct plan_collection *pc, size_t c, int scope, int slot)
{
	const struct goal g = {slot, -1};
	struct node *n = scope_node(p, pc, c, scope);
	return slot == pc->scopes[scope].element_slot ? n : descend(p, c, n, pc->scopes[scope].root, &g);
}

static struct node *texts_node(struct paths *p, const struct plan_collection *pc, const struct check_place *at)
{
	struct node *n = slot_node(p, pc, (size_t)at->collection, at->scope, at->slot);
	return at->elements ? child(p, (size_t)at->collection, n, "[]", 2) : n;
}

void paths_keep_texts(struct paths *p, const struct plan_collection *pc, const struct check_place *at)
{
	struct node *n = texts_node(p, pc, at);
	if (n->texts == NULL)
		n->texts = texts_new();
}

const struct texts *paths_texts(struct paths *p, const struct plan_collection *pc, const struct check_place *at)
{
	return texts_node(p, pc, at)->texts;
}

/* --- as a list --- */

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

/* Paths whose texts are kept are there before the first document has them. */
static bool is_met(const struct node *n)
{
	for (size_t k = 0; k < KINDS; k++)
		if (n->by_kind[k] > 0)
			return true;
	return false;
}

static void list_children(struct lister *l, const struct node *above, const char *prefix)
{
	for (size_t i = 0; i < above->nchildren; i++) {
		const struct node *n = above->children[i];
		bool is_element = strcmp(n->key, "[]") == 0;
		const char *path =
			arena_printf(l->arena, "%s%s%s", prefix, prefix[0] == '\0' || is_element ? "" : ".", n->key);
		if (is_met(n)) {
			struct check_path *out = &l->list[l->n++];
			out->collection = l->collection;
			out->path = path;
			memcpy(out->by_kind, n->by_kind, sizeof out->by_kind);
		}
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

/* plan_tree.c - the tree of paths that are wanted of a document or an element. */
#include "plan_private.h"

static struct plan_node *new_node(struct arena *a, const char *key)
{
	struct plan_node *n = arena_alloc(a, sizeof *n);
	n->key = key;
	n->key_len = (uint32_t)strlen(key);
	n->slot = -1;
	n->scope = -1;
	return n;
}

void tree_init(struct tree *t, struct arena *a)
{
	t->arena = a;
	t->root = new_node(a, "");
	t->nslots = 0;
}

static struct plan_node *child_of(struct tree *t, struct plan_node *n, const char *key)
{
	for (size_t i = 0; i < n->nchildren; i++)
		if (strcmp(n->children[i]->key, key) == 0)
			return n->children[i];
	/* Full when the count is a power of two. */
	if ((n->nchildren & (n->nchildren - 1)) == 0) {
		size_t cap = n->nchildren == 0 ? 1 : n->nchildren * 2;
		struct plan_node **more = arena_alloc(t->arena, cap * sizeof(struct plan_node *));
		if (n->nchildren > 0)
			memcpy(more, n->children, n->nchildren * sizeof(struct plan_node *));
		n->children = more;
	}
	return n->children[n->nchildren++] = new_node(t->arena, key);
}

struct plan_node *tree_node(struct tree *t, const char *const *path, size_t n)
{
	struct plan_node *at = t->root;
	for (size_t i = 0; i < n; i++)
		at = child_of(t, at, path[i]);
	return at;
}

int tree_slot(struct tree *t, const char *const *path, size_t n)
{
	struct plan_node *at = tree_node(t, path, n);
	if (at->slot < 0)
		at->slot = t->nslots++;
	return at->slot;
}

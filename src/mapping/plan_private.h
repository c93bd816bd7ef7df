/* plan_private.h - the tree of wanted paths while a plan is built. */
#ifndef DOCROW_PLAN_PRIVATE_H
#define DOCROW_PLAN_PRIVATE_H

#include "plan.h"

/* A scope on its way: plan_scope's root and nslots grow as columns ask for paths. */
struct tree {
	struct arena *arena;
	struct plan_node *root;
	int nslots;
};
void tree_init(struct tree *t, struct arena *a);
/* Node of a path, made where it is not there yet. */
struct plan_node *tree_node(struct tree *t, const char *const *path, size_t n);
/* Slot of a path's value. */
int tree_slot(struct tree *t, const char *const *path, size_t n);

/* Does a list of names, one a line as plan_choose writes it, hold this one? */
bool plan_is_listed(const char *list, const char *name);

#endif

/* phases.c - dependency order of the tables: strongly connected components after Tarjan (1972), then the longest way
 * down. An edge leads from a table to one that it refers to, so a component is finished after all that it needs.
 */
#include "schema.h"

struct walk {
	const struct schema *s;
	int *phase;
	int *index, *low; /* order of discovery, -1 before; lowest reachable one on the stack */
	int *stack;
	bool *on_stack;
	int depth, next, phases;
};

/* Calls fn for every table that table t refers to, itself excepted. */
static void each_parent(struct walk *w, int t, void (*fn)(struct walk *w, int t, int parent))
{
	const struct schema_table *table = &w->s->tables[t];
	for (size_t i = 0; i < table->nfkeys; i++)
		if (table->fkeys[i].ref_table >= 0 && table->fkeys[i].ref_table != t)
			fn(w, t, table->fkeys[i].ref_table);
	if (table->parent_table >= 0 && table->parent_table != t)
		fn(w, t, table->parent_table);
}

static void visit(struct walk *w, int t);

static void follow(struct walk *w, int t, int parent)
{
	if (w->index[parent] < 0) {
		visit(w, parent);
		if (w->low[parent] < w->low[t])
			w->low[t] = w->low[parent];
	} else if (w->on_stack[parent] && w->index[parent] < w->low[t]) {
		w->low[t] = w->index[parent];
	}
}

/* Tables of the component itself have no phase yet (-1) while its phase is looked for. */
static void raise_phase(struct walk *w, int t, int parent)
{
	if (w->phase[parent] >= w->next)
		w->next = w->phase[parent] + 1;
}

static void finish_component(struct walk *w, int t)
{
	int from = w->depth, saved = w->next;
	do
		w->on_stack[w->stack[--from]] = false;
	while (w->stack[from] != t);
	w->next = 0;
	for (int i = from; i < w->depth; i++)
		each_parent(w, w->stack[i], raise_phase);
	for (int i = from; i < w->depth; i++)
		w->phase[w->stack[i]] = w->next;
	if (w->next >= w->phases)
		w->phases = w->next + 1;
	w->next = saved;
	w->depth = from;
}

/* Recursion is bounded by the number of tables. */
static void visit(struct walk *w, int t)
{
	w->index[t] = w->low[t] = w->next++;
	w->stack[w->depth++] = t;
	w->on_stack[t] = true;
	each_parent(w, t, follow);
	if (w->low[t] == w->index[t])
		finish_component(w, t);
}

int schema_phases(const struct schema *s, int *phase)
{
	struct arena *a = arena_new();
	size_t n = s->ntables;
	struct walk w = {.s = s,
			 .phase = phase,
			 .index = arena_alloc(a, n * sizeof(int)),
			 .low = arena_alloc(a, n * sizeof(int)),
			 .stack = arena_alloc(a, n * sizeof(int)),
			 .on_stack = arena_alloc(a, n * sizeof(bool))};
	for (size_t i = 0; i < n; i++)
		phase[i] = w.index[i] = -1;
	for (size_t i = 0; i < n; i++)
		if (w.index[i] < 0)
			visit(&w, (int)i);
	arena_free(a);
	return w.phases;
}

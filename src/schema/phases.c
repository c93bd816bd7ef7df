/* phases.c - the order of loading, from the foreign keys.
 *
 * A table and its child tables come from the same documents and go together: a family. Families that refer to each
 * other are one component (after Tarjan, 1972); an edge leads from a family to one that it refers to, so components
 * are found after all that they need. Each then gets its phase: the mapping's, raised to that of what it needs, or a
 * computed one; and inside the phase its step.
 */
#include <string.h>

#include "schema.h"

struct walk {
	const struct schema *s;
	const int *family;    /* by table: its uppermost table                                 */
	const bool *junction; /* by table */
	int *component;       /* by family, then by table: in the order in which they are found */
	int *index, *low;     /* order of discovery, -1 before; lowest reachable one on the stack */
	int *stack;
	bool *on_stack;
	int depth, next, components;
};

/* What is known of a component. */
struct group {
	int named; /* the latest phase that the mapping names for one of its tables, from 1; 0: none */
	int level; /* the longest way down                                                            */
	bool refers, referred, junction, circle;
	int phase, step;
};

typedef void edge_fn(struct walk *w, void *ctx, int family, int parent);

/* Calls fn for every other family that table t refers to. */
static void each_parent(struct walk *w, int t, edge_fn *fn, void *ctx)
{
	const struct schema_table *table = &w->s->tables[t];
	for (size_t i = 0; i < table->nfkeys; i++) {
		int ref = table->fkeys[i].ref_table;
		if (ref >= 0 && w->family[ref] != w->family[t])
			fn(w, ctx, w->family[t], w->family[ref]);
	}
}

static void visit(struct walk *w, int family);

static void follow(struct walk *w, void *ctx, int family, int parent)
{
	if (w->index[parent] < 0) {
		visit(w, parent);
		if (w->low[parent] < w->low[family])
			w->low[family] = w->low[parent];
	} else if (w->on_stack[parent] && w->index[parent] < w->low[family]) {
		w->low[family] = w->index[parent];
	}
}

/* Recursion is bounded by the number of tables. */
static void visit(struct walk *w, int family)
{
	int from = w->depth;
	w->index[family] = w->low[family] = w->next++;
	w->stack[w->depth++] = family;
	w->on_stack[family] = true;
	for (size_t t = 0; t < w->s->ntables; t++)
		if (w->family[t] == family)
			each_parent(w, (int)t, follow, NULL);
	if (w->low[family] != w->index[family])
		return;
	for (; w->depth > from; w->depth--) {
		w->on_stack[w->stack[w->depth - 1]] = false;
		w->component[w->stack[w->depth - 1]] = w->components;
	}
	w->components++;
}

static int *families(const struct schema *s, struct arena *a)
{
	int *family = arena_alloc(a, (s->ntables + 1) * sizeof *family);
	for (size_t t = 0; t < s->ntables; t++) {
		int top = (int)t;
		while (s->tables[top].parent_table >= 0)
			top = s->tables[top].parent_table;
		family[t] = top;
	}
	return family;
}

static bool *junctions(const struct schema *s, struct arena *a)
{
	bool *is = arena_alloc(a, s->ntables + 1);
	for (size_t j = 0; j < s->njunctions; j++)
		is[s->junctions[j].table] = true;
	return is;
}

static struct walk find_components(const struct schema *s, struct arena *a)
{
	size_t n = s->ntables + 1;
	struct walk w = {.s = s,
			 .family = families(s, a),
			 .junction = junctions(s, a),
			 .component = arena_alloc(a, n * sizeof(int)),
			 .index = arena_alloc(a, n * sizeof(int)),
			 .low = arena_alloc(a, n * sizeof(int)),
			 .stack = arena_alloc(a, n * sizeof(int)),
			 .on_stack = arena_alloc(a, n * sizeof(bool))};
	for (size_t i = 0; i < s->ntables; i++)
		w.index[i] = -1;
	for (size_t i = 0; i < s->ntables; i++)
		if (w.index[w.family[i]] < 0)
			visit(&w, w.family[i]);
	for (size_t i = 0; i < s->ntables; i++)
		w.component[i] = w.component[w.family[i]];
	return w;
}

/* ---- phases of components, in the order in which they are found ---- */

/* Kinds of computed phases come in this order, after those that the mapping names. */
enum { UNCONNECTED = 1000000, JUNCTIONS };

static void look_at_edge(struct walk *w, void *ctx, int family, int parent)
{
	struct group *groups = ctx, *from = &groups[w->component[family]], *to = &groups[w->component[parent]];
	if (from == to) {
		from->circle = true;
		return;
	}
	from->refers = to->referred = true;
	if (from->level <= to->level)
		from->level = to->level + 1;
}

/* A phase as the mapping gives it, or as it follows from the place in the graph; what it needs may raise it. */
static int own_phase(const struct schema *s, const struct group *g)
{
	if (g->named > 0)
		return g->named - 1;
	bool is_named = s->nphases > 0 && strcmp(s->phases[s->nphases - 1], "junctions") == 0;
	if (g->junction)
		return is_named ? (int)s->nphases - 1 : JUNCTIONS;
	if (s->nphases > 0)
		return 0;
	if (!g->refers && !g->referred && !g->circle)
		return UNCONNECTED;
	return g->level;
}

static void raise_phase(struct walk *w, void *ctx, int family, int parent)
{
	struct group *groups = ctx, *from = &groups[w->component[family]], *to = &groups[w->component[parent]];
	if (from != to && from->phase < to->phase)
		from->phase = to->phase;
}

static void raise_step(struct walk *w, void *ctx, int family, int parent)
{
	struct group *groups = ctx, *from = &groups[w->component[family]], *to = &groups[w->component[parent]];
	if (from != to && from->phase == to->phase && from->step <= to->step)
		from->step = to->step + 1;
}

static void each_edge_of(struct walk *w, int component, edge_fn *fn, struct group *groups)
{
	for (size_t t = 0; t < w->s->ntables; t++)
		if (w->component[t] == component)
			each_parent(w, (int)t, fn, groups);
}

static struct group *place_components(struct walk *w, struct arena *a)
{
	struct group *groups = arena_alloc(a, (w->s->ntables + 1) * sizeof *groups);
	for (size_t t = 0; t < w->s->ntables; t++) {
		struct group *g = &groups[w->component[t]];
		if (g->named < w->s->tables[t].phase)
			g->named = w->s->tables[t].phase;
		g->junction |= w->junction[t];
	}
	for (int c = 0; c < w->components; c++) {
		each_edge_of(w, c, look_at_edge, groups);
		if (groups[c].circle && groups[c].level == 0)
			groups[c].level = 1; /* no lookups: they refer to something */
	}
	for (int c = 0; c < w->components; c++) {
		groups[c].phase = own_phase(w->s, &groups[c]);
		each_edge_of(w, c, raise_phase, groups);
		each_edge_of(w, c, raise_step, groups);
	}
	return groups;
}

/* ---- the result ---- */

struct place {
	int phase, step, table;
};

static bool is_before(const struct place *x, const struct place *y)
{
	if (x->phase != y->phase)
		return x->phase < y->phase;
	return x->step != y->step ? x->step < y->step : x->table < y->table;
}

/* By phase, step and place in the schema. */
static struct place *sorted_places(const struct walk *w, const struct group *groups, struct arena *a)
{
	size_t n = w->s->ntables;
	struct place *list = arena_alloc(a, (n + 1) * sizeof *list);
	for (size_t t = 0; t < n; t++) {
		const struct group *g = &groups[w->component[t]];
		struct place p = {g->phase, g->step, (int)t};
		size_t at = t;
		for (; at > 0 && is_before(&p, &list[at - 1]); at--)
			list[at] = list[at - 1];
		list[at] = p;
	}
	return list;
}

static const char *phase_name(const struct schema *s, struct arena *a, int phase)
{
	if (phase == JUNCTIONS)
		return "junctions";
	if (phase == UNCONNECTED)
		return "unconnected";
	if (s->nphases > 0)
		return s->phases[phase];
	return phase == 0 ? "lookups" : arena_printf(a, "level %d", phase + 1);
}

static void add_table(struct schema_order *o, const struct place *p, const struct place *before, const char *name,
		      int *tables, int *phase, int *step)
{
	if (before == NULL || p->phase != before->phase)
		o->phases[o->nphases++] = (struct schema_phase){.name = name, .tables = tables};
	if (before == NULL || p->phase != before->phase || p->step != before->step)
		o->nsteps++;
	o->phases[o->nphases - 1].ntables++;
	*tables = p->table;
	phase[p->table] = (int)o->nphases - 1;
	step[p->table] = o->nsteps - 1;
}

struct schema_order schema_order(const struct schema *s, struct arena *a)
{
	size_t n = s->ntables + 1;
	int *tables = arena_alloc(a, n * sizeof(int)), *phase = arena_alloc(a, n * sizeof(int)),
	    *step = arena_alloc(a, n * sizeof(int));
	bool *circle = arena_alloc(a, n);
	struct walk w = find_components(s, a);
	struct group *groups = place_components(&w, a);
	struct place *places = sorted_places(&w, groups, a);
	struct schema_order o = {.phases = arena_alloc(a, n * sizeof *o.phases),
				 .phase = phase,
				 .step = step,
				 .component = w.component,
				 .circle = circle};
	for (size_t i = 0; i < s->ntables; i++) {
		add_table(&o, &places[i], i > 0 ? &places[i - 1] : NULL, phase_name(s, a, places[i].phase),
			  &tables[i], phase, step);
		circle[i] = groups[w.component[i]].circle;
	}
	return o;
}

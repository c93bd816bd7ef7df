/* sink_groups.c - which references are settled together and in which order. Pure.
 *
 * Tables are nodes. An edge from a table to another says: its rows depend on which rows the other keeps (it refers to
 * it, moves ids to a reference to it, or is its child table). A stub reference also makes the other depend on it,
 * since it adds rows there. Strongly connected tables make one group (Tarjan); Tarjan finds them parents first.
 */
#include "sink.h"
#include "sink_stage.h"

struct graph {
	const struct schema *s;
	size_t n;
	bool *edge; /* [from * n + to] */
	int *component, ncomponents;
	int *number, *low, *stack, depth, counter;
	bool *on_stack;
};

static void add_edge(struct graph *g, int from, int to)
{
	if (from >= 0 && to >= 0)
		g->edge[(size_t)from * g->n + (size_t)to] = true;
}

static bool has_edge(const struct graph *g, size_t from, size_t to)
{
	return g->edge[from * g->n + to];
}

static void add_reference(struct graph *g, const struct schema_ref *r)
{
	add_edge(g, r->table, r->ref_table);
	if (r->policy == ORPHAN_MOVE_TO && r->move_to >= 0)
		add_edge(g, r->table, r->move_ref_table);
	if (r->policy == ORPHAN_STUB || (r->policy == ORPHAN_MOVE_TO && r->otherwise == ORPHAN_STUB))
		add_edge(g, r->ref_table, r->table);
}

static void graph_init(struct graph *g, const struct schema *s, struct arena *a)
{
	*g = (struct graph){.s = s, .n = s->ntables};
	g->edge = arena_alloc(a, (g->n * g->n + 1) * sizeof *g->edge);
	g->component = arena_alloc(a, (g->n + 1) * sizeof *g->component);
	g->number = arena_alloc(a, (g->n + 1) * sizeof *g->number);
	g->low = arena_alloc(a, (g->n + 1) * sizeof *g->low);
	g->stack = arena_alloc(a, (g->n + 1) * sizeof *g->stack);
	g->on_stack = arena_alloc(a, (g->n + 1) * sizeof *g->on_stack);
	for (size_t i = 0; i < s->nrefs; i++)
		add_reference(g, &s->refs[i]);
	for (size_t t = 0; t < s->ntables; t++)
		add_edge(g, (int)t, s->tables[t].parent_table);
	for (size_t i = 0; i < s->nneeds; i++)
		add_edge(g, s->needs[i].table, s->needs[i].other);
}

static void close_component(struct graph *g, int v)
{
	int w;
	do {
		w = g->stack[--g->depth];
		g->on_stack[w] = false;
		g->component[w] = g->ncomponents;
	} while (w != v);
	g->ncomponents++;
}

/* Recursion is as deep as the longest path of tables. */
static void visit(struct graph *g, int v)
{
	g->number[v] = g->low[v] = ++g->counter;
	g->stack[g->depth++] = v;
	g->on_stack[v] = true;
	for (size_t w = 0; w < g->n; w++) {
		if (!has_edge(g, (size_t)v, w))
			continue;
		if (g->number[w] == 0)
			visit(g, (int)w);
		if (g->on_stack[w] && g->low[w] < g->low[v])
			g->low[v] = g->low[w];
	}
	if (g->low[v] == g->number[v])
		close_component(g, v);
}

/* reach[c * n + d]: component c depends on component d, directly or not. Components are numbered parents first, so
 * what d reaches is complete when c is looked at. */
static bool *component_reach(const struct graph *g, struct arena *a)
{
	size_t n = (size_t)g->ncomponents;
	bool *reach = arena_alloc(a, n * n + 1);
	for (size_t c = 0; c < n; c++)
		for (size_t v = 0; v < g->n; v++)
			for (size_t w = 0; (size_t)g->component[v] == c && w < g->n; w++) {
				size_t d = (size_t)g->component[w];
				if (!has_edge(g, v, w) || d == c)
					continue;
				reach[c * n + d] = true;
				for (size_t e = 0; e < n; e++)
					reach[c * n + e] |= reach[d * n + e];
			}
	return reach;
}

static void fill_group(const struct graph *g, int component, struct arena *a, struct sink_orphan_group *out)
{
	const struct schema *s = g->s;
	*out = (struct sink_orphan_group){0};
	out->refs = arena_alloc(a, (s->nrefs + 1) * sizeof *out->refs);
	out->tables = arena_alloc(a, (s->ntables + 1) * sizeof *out->tables);
	out->after = arena_alloc(a, ((size_t)g->ncomponents + 1) * sizeof *out->after);
	for (size_t i = 0; i < s->nrefs; i++)
		if (g->component[s->refs[i].table] == component) {
			out->refs[out->nrefs++] = (int)i;
			out->cyclic |= g->component[s->refs[i].ref_table] == component;
		}
	for (size_t t = 0; t < s->ntables; t++)
		if (g->component[t] == component)
			out->tables[out->ntables++] = (int)t;
}

/* A removed row takes its child rows with it: their tables count among those that the group changes. */
static void add_child_tables(const struct schema *s, struct sink_orphan_group *out)
{
	for (size_t i = 0; i < out->ntables; i++)
		for (size_t t = 0; t < s->ntables; t++) {
			bool known = s->tables[t].parent_table != out->tables[i];
			for (size_t k = 0; k < out->ntables && !known; k++)
				known = out->tables[k] == (int)t;
			if (!known)
				out->tables[out->ntables++] = (int)t;
		}
}

static void find_components(struct graph *g, const struct schema *s, struct arena *a)
{
	graph_init(g, s, a);
	for (size_t t = 0; t < g->n; t++)
		if (g->number[t] == 0)
			visit(g, (int)t);
}

size_t sink_orphan_groups(const struct schema *s, struct arena *a, struct sink_orphan_group **groups)
{
	struct graph g;
	find_components(&g, s, a);
	size_t ncomponents = (size_t)g.ncomponents, n = 0;
	const bool *reach = component_reach(&g, a);
	int *group_of = arena_alloc(a, (ncomponents + 1) * sizeof *group_of);
	*groups = arena_alloc(a, (ncomponents + 1) * sizeof **groups);
	for (size_t c = 0; c < ncomponents; c++) {
		struct sink_orphan_group *out = &(*groups)[n];
		group_of[c] = -1;
		fill_group(&g, (int)c, a, out);
		if (out->nrefs == 0)
			continue;
		group_of[c] = (int)n++;
		for (size_t d = 0; d < c; d++)
			if (reach[c * ncomponents + d] && group_of[d] >= 0)
				out->after[out->nafter++] = group_of[d];
		add_child_tables(s, out);
	}
	return n;
}

/* The tables of one component; *cyclic: some of them need another one of them, or themselves. */
static void fill_unit(const struct graph *g, int component, struct arena *a, struct sink_unit *out)
{
	out->tables = arena_alloc(a, (g->n + 1) * sizeof *out->tables);
	for (size_t v = 0; v < g->n; v++)
		if (g->component[v] == component && g->s->tables[v].stage != NULL)
			out->tables[out->ntables++] = (int)v;
	for (size_t v = 0; v < g->n; v++)
		for (size_t w = 0; w < g->n; w++)
			out->cyclic |=
				g->component[v] == component && g->component[w] == component && has_edge(g, v, w);
}

bool sink_share_circle(const struct schema *s, int one, int other)
{
	struct arena *a = arena_new();
	struct graph g;

	find_components(&g, s, a);
	bool share = g.component[one] == g.component[other];
	arena_free(a);
	return share;
}

size_t sink_units(const struct schema *s, struct arena *a, struct sink_unit **units)
{
	struct graph g;
	size_t n = 0;
	find_components(&g, s, a);
	*units = arena_alloc(a, ((size_t)g.ncomponents + 1) * sizeof **units);
	for (int c = 0, group = 0; c < g.ncomponents; c++) {
		struct sink_unit u = {.group = -1};
		struct sink_orphan_group of;
		fill_group(&g, c, a, &of);
		fill_unit(&g, c, a, &u);
		if (of.nrefs > 0)
			u.group = group++;
		if (u.ntables > 0)
			(*units)[n++] = u;
	}
	return n;
}

/* settle.c - which steps settle a run, in what order, and their bodies.
 *
 * By table: key (with the duplicates that stand in its way) → unique indexes (the same) → foreign keys NOT VALID →
 * orphans, parents before children, which validates the keys → plain indexes → sequences, VACUUM. Tables that refer
 * to each other in a circle settle their orphans first and get their foreign keys afterwards. Junctions are made of
 * their pairs when both ends are final. Why this order is right: sink.h.
 *
 * Where keys stay in force (sink_stage.h) rows wait in stages meanwhile: keys, what they have in common with rows
 * that are there already, and unique indexes are settled there; then, parents before those that need them, orphans,
 * and the move into the table, which is a barrier for all that refer to it. There is no structure to make.
 *
 * It is a heap of ready steps, not phases with barriers: a step waits only for those in its `after` list and for
 * running ones whose locks conflict. All steps are written with the run, so a resume finds the same.
 */
#include <stdio.h>
#include <stdlib.h>

#include "engine_private.h"
#include "sink_existing.h"

struct settle {
	const struct schema *schema;
	struct arena *arena;
	struct sink_orphan_group *groups; /* parents before children */
	int ngroups;
	struct sink_unit *units; /* parents before children; with stages only */
	int nunits;
};

struct settle *settle_new(const struct plan *p)
{
	struct settle *s = mem_zalloc(sizeof *s);
	s->schema = &p->schema;
	s->arena = arena_new();
	s->ngroups = (int)sink_orphan_groups(&p->schema, s->arena, &s->groups);
	s->nunits = (int)sink_units(&p->schema, s->arena, &s->units);
	return s;
}

void settle_free(struct settle *s)
{
	if (s == NULL)
		return;
	arena_free(s->arena);
	free(s);
}

/* --- the list of steps --- */

/* Keys and references go before plain indexes of the same size: more waits for them. */
#define KEY_FIRST 4

struct ints {
	int *list;
	int n, cap;
};

struct steps {
	struct engine *e;
	const struct schema *s;
	struct arena *arena;
	struct state_step_def *defs;
	size_t n, cap;
	/* By table: steps that make or change its rows, and all that touch it. */
	struct ints *data, *touching;
	int *group_step; /* by group: its orphans step */
	bool staged;
	uint64_t *weight; /* by table: documents expected */
};

static void push(struct ints *l, int v)
{
	if (l->n == l->cap) {
		l->cap = l->cap > 0 ? l->cap * 2 : 8;
		l->list = mem_realloc(l->list, sizeof(int) * (size_t)l->cap);
	}
	l->list[l->n++] = v;
}

static int add_step(struct steps *st, enum state_step_kind kind, int table, int object, uint64_t weight,
		    const char *name)
{
	if (st->n == st->cap) {
		st->cap = st->cap > 0 ? st->cap * 2 : 256;
		st->defs = mem_realloc(st->defs, st->cap * sizeof *st->defs);
	}
	st->defs[st->n] = (struct state_step_def){
		.kind = kind,
		.phase = kind == STEP_SPLIT ? STATE_SPLIT : STATE_SETTLE,
		.name = name,
		.table = table,
		.object = object,
		.weight = weight,
	};
	return (int)st->n++;
}

static void set_after(struct steps *st, int step, const struct ints *after)
{
	struct state_step_def *d = &st->defs[step];
	int *all = arena_alloc(st->arena, sizeof(int) * (size_t)(d->nafter + after->n + 1));
	if (d->nafter > 0)
		memcpy(all, d->after, sizeof(int) * (size_t)d->nafter);
	for (int i = 0; i < after->n; i++) {
		bool known = after->list[i] == step;
		for (int k = 0; k < d->nafter && !known; k++)
			known = all[k] == after->list[i];
		if (!known)
			all[d->nafter++] = after->list[i];
	}
	d->after = all;
}

static void set_after_one(struct steps *st, int step, int other)
{
	struct ints one = {&other, 1, 1};
	if (other >= 0)
		set_after(st, step, &one);
}

static void set_locks(struct steps *st, int step, const struct state_lock_def *locks, int n)
{
	st->defs[step].locks = arena_memdup(st->arena, locks, sizeof *locks * (size_t)n);
	st->defs[step].nlocks = n;
	for (int i = 0; i < n; i++)
		push(&st->touching[locks[i].table], step);
}

static void lock_one(struct steps *st, int step, int table, enum state_lock lock)
{
	struct state_lock_def l = {table, lock};
	set_locks(st, step, &l, 1);
}

static const char *table_name(const struct steps *st, int t)
{
	return st->s->tables[t].name;
}

#define COUNT_WHOLE 1 /* object of a STEP_COUNT: all documents of the collection, not those of the entry */

static void add_collections(struct steps *st)
{
	struct engine *e = st->e;
	for (size_t c = 0; c < e->plan->ncollections; c++) {
		const char *name = e->plan->collections[c].name;
		if (!e->tables[c].present)
			continue;
		uint64_t weight = e->tables[c].est_docs;
		int split = add_step(st, STEP_SPLIT, -1, -1, weight, arena_printf(st->arena, "split %s", name));
		int count = add_step(st, STEP_COUNT, -1, -1, weight,
				     arena_printf(st->arena, "count %s in the source", name));
		st->defs[split].collection = st->defs[count].collection = name;
		if (plan_parts(e->plan, c, NULL) > 0) {
			int whole = add_step(st, STEP_COUNT, -1, COUNT_WHOLE, weight,
					     arena_printf(st->arena, "count what no where takes of %s",
							  e->plan->collections[c].source));
			st->defs[whole].collection = name;
		}
		st->weight[e->plan->collections[c].outputs[0].copy.table] += weight;
	}
	for (size_t t = 0; t < st->s->ntables; t++)
		if (st->s->tables[t].parent_table >= 0)
			st->weight[t] = st->weight[st->s->tables[t].parent_table];
	for (size_t j = 0; j < st->s->njunctions; j++) {
		const struct schema_junction *u = &st->s->junctions[j];
		st->weight[u->table] = st->weight[u->left_table] + st->weight[u->right_table];
	}
}

static bool is_junction(const struct schema *s, int t)
{
	for (size_t j = 0; j < s->njunctions; j++)
		if (s->junctions[j].table == t)
			return true;
	return false;
}

static void add_key(struct steps *st, int t)
{
	const struct schema_table *table = &st->s->tables[t];
	struct state_lock_def *locks = arena_alloc(st->arena, sizeof *locks * (st->s->ntables + 1));
	int n = 0;
	if (table->nprimary_key == 0)
		return;
	int step = add_step(st, STEP_PRIMARY_KEY, t, -1, st->weight[t] * KEY_FIRST,
			    arena_printf(st->arena, "primary key of %s", table->name));
	set_after(st, step, &st->data[t]);
	locks[n++] = (struct state_lock_def){t, LOCK_ACCESS_EXCLUSIVE};
	/* The child rows of a duplicated key go and come with it. */
	for (size_t c = 0; c < st->s->ntables; c++)
		if (st->s->tables[c].parent_table == t)
			locks[n++] = (struct state_lock_def){(int)c, LOCK_SHARE_ROW_EXCLUSIVE};
	set_locks(st, step, locks, n);
	for (int i = 0; i < n; i++)
		push(&st->data[locks[i].table], step);
}

static void add_uniques(struct steps *st, int t)
{
	const struct schema_table *table = &st->s->tables[t];
	for (size_t i = 0; i < table->nindexes; i++) {
		if (!table->indexes[i].unique)
			continue;
		int step = add_step(st, STEP_UNIQUE, t, (int)i, st->weight[t] * KEY_FIRST,
				    arena_printf(st->arena, "unique index %s", table->indexes[i].name));
		set_after(st, step, &st->data[t]);
		lock_one(st, step, t, table->indexes[i].exclusive ? LOCK_ACCESS_EXCLUSIVE : LOCK_SHARE_ROW_EXCLUSIVE);
		push(&st->data[t], step);
	}
}

/* --- references --- */

static int add_fkey(struct steps *st, int t, int f)
{
	const struct schema_fkey *k = &st->s->tables[t].fkeys[f];
	struct state_lock_def both[2] = {{t, LOCK_SHARE_ROW_EXCLUSIVE}, {k->ref_table, LOCK_SHARE_ROW_EXCLUSIVE}};
	int step = add_step(st, STEP_FKEY, t, f, st->weight[t] * KEY_FIRST,
			    arena_printf(st->arena, "foreign key %s", k->name));
	set_after(st, step, &st->data[t]);
	set_after(st, step, &st->data[k->ref_table]);
	set_locks(st, step, both, k->ref_table == t ? 1 : 2);
	return step;
}

static void add_validate(struct steps *st, int t, int f, int fkey_step)
{
	const struct schema_fkey *k = &st->s->tables[t].fkeys[f];
	struct state_lock_def locks[2] = {{t, LOCK_SHARE_UPDATE_EXCLUSIVE}, {k->ref_table, LOCK_ROW_SHARE}};
	int step = add_step(st, STEP_VALIDATE, t, f, st->weight[t], arena_printf(st->arena, "validate %s", k->name));
	set_after_one(st, step, fkey_step);
	set_locks(st, step, locks, k->ref_table == t ? 1 : 2);
}

static void add_lock(struct state_lock_def *locks, int *n, int table, enum state_lock lock)
{
	for (int i = 0; i < *n; i++)
		if (locks[i].table == table) {
			if (locks[i].lock < lock)
				locks[i].lock = lock;
			return;
		}
	locks[(*n)++] = (struct state_lock_def){table, lock};
}

static const char *group_name(struct steps *st, const struct sink_orphan_group *g)
{
	const char *first = table_name(st, st->s->refs[g->refs[0]].table);
	return g->cyclic ? arena_printf(st->arena, "orphans of %s and what refers to it in a circle", first)
			 : arena_printf(st->arena, "orphans of %s", first);
}

/* Parents of a group must be final, and hold still while it looks at them. */
static void wait_for_parents(struct steps *st, int step, const struct sink_orphan_group *g,
			     struct state_lock_def *locks, int *n)
{
	for (size_t i = 0; i < g->nrefs; i++) {
		const struct schema_ref *r = &st->s->refs[g->refs[i]];
		set_after(st, step, &st->data[r->ref_table]);
		add_lock(locks, n, r->ref_table, LOCK_ROW_SHARE);
		if (r->move_to >= 0) {
			set_after(st, step, &st->data[r->move_ref_table]);
			add_lock(locks, n, r->move_ref_table, LOCK_ROW_SHARE);
		}
	}
	for (size_t i = 0; i < g->nafter; i++)
		set_after_one(st, step, st->group_step[g->after[i]]);
}

static void add_group_fkeys(struct steps *st, const struct sink_orphan_group *g, int orphans)
{
	for (size_t i = 0; i < g->nrefs; i++) {
		const struct schema_ref *r = &st->s->refs[g->refs[i]];
		if (r->fkey < 0)
			continue;
		int fkey = add_fkey(st, r->table, r->fkey);
		for (size_t k = 0; k < g->nafter; k++)
			set_after_one(st, fkey, st->group_step[g->after[k]]);
		if (g->cyclic) {
			set_after_one(st, fkey, orphans);
			add_validate(st, r->table, r->fkey, fkey);
		} else {
			set_after_one(st, orphans, fkey);
		}
	}
}

static void add_orphans(struct steps *st, int index)
{
	const struct sink_orphan_group *g = &st->e->settle->groups[index];
	struct state_lock_def *locks = arena_alloc(st->arena, sizeof *locks * (2 * st->s->ntables + 2));
	int n = 0;
	uint64_t weight = 0;
	st->group_step[index] = -1;
	if (g->nrefs == 0)
		return;
	int step = add_step(st, STEP_ORPHANS, st->s->refs[g->refs[0]].table, index, 0, group_name(st, g));
	wait_for_parents(st, step, g, locks, &n);
	for (size_t i = 0; i < g->ntables; i++) {
		set_after(st, step, &st->data[g->tables[i]]);
		add_lock(locks, &n, g->tables[i], LOCK_SHARE_ROW_EXCLUSIVE);
		weight += st->weight[g->tables[i]];
	}
	st->defs[step].weight = weight * KEY_FIRST;
	set_locks(st, step, locks, n);
	if (!st->staged)
		add_group_fkeys(st, g, step);
	for (size_t i = 0; i < g->ntables; i++)
		push(&st->data[g->tables[i]], step);
	st->group_step[index] = step;
}

/* Rejects of a collection come from its table and its child tables. */
static void add_fetch(struct steps *st, size_t c)
{
	const struct plan_collection *pc = &st->e->plan->collections[c];
	int main_table = pc->outputs[0].copy.table;
	if (!st->e->tables[c].present)
		return;
	int step = add_step(st, STEP_FETCH, main_table, -1, st->weight[main_table],
			    arena_printf(st->arena, "documents of rejects of %s", pc->name));
	st->defs[step].collection = pc->name;
	for (size_t o = 0; o < pc->noutputs; o++)
		set_after(st, step, &st->data[pc->outputs[o].copy.table]);
}

static void add_pairs(struct steps *st, int j)
{
	const struct schema_junction *u = &st->s->junctions[j];
	struct state_lock_def locks[3];
	int n = 0;
	int step = add_step(st, STEP_PAIRS, u->table, j, st->weight[u->table],
			    arena_printf(st->arena, "pairs of %s", table_name(st, u->table)));
	set_after(st, step, &st->data[u->left_table]);
	set_after(st, step, &st->data[u->right_table]);
	add_lock(locks, &n, u->table, LOCK_SHARE_ROW_EXCLUSIVE);
	add_lock(locks, &n, u->left_table, LOCK_ACCESS_SHARE);
	add_lock(locks, &n, u->right_table, LOCK_ACCESS_SHARE);
	set_locks(st, step, locks, n);
	push(&st->data[u->table], step);
}

/* --- what is left of the structure --- */

static bool has_ref(const struct schema *s, int t, int fkey)
{
	for (size_t r = 0; r < s->nrefs; r++)
		if (s->refs[r].table == t && s->refs[r].fkey == fkey)
			return true;
	return false;
}

/* Foreign keys whose orphans are no group's: the ends of junctions. */
static void add_other_fkeys(struct steps *st, int t)
{
	for (size_t f = 0; f < st->s->tables[t].nfkeys; f++)
		if (!has_ref(st->s, t, (int)f))
			add_validate(st, t, (int)f, add_fkey(st, t, (int)f));
}

static void add_indexes(struct steps *st, int t)
{
	const struct schema_table *table = &st->s->tables[t];
	for (size_t i = 0; i < table->nindexes; i++) {
		if (table->indexes[i].unique ||
		    (table->indexes[i].tier == INDEX_TIER_SEARCH && st->e->options.no_search_indexes))
			continue;
		int step = add_step(st, STEP_INDEX, t, (int)i, st->weight[t],
				    arena_printf(st->arena, "index %s", table->indexes[i].name));
		set_after(st, step, &st->data[t]);
		lock_one(st, step, t, table->indexes[i].exclusive ? LOCK_ACCESS_EXCLUSIVE : LOCK_SHARE);
	}
}

/* What else a target that existed had: foreign keys of other tables, exclusion constraints, triggers. */
static void add_restores(struct steps *st)
{
	for (size_t i = 0; i < st->s->nrestores; i++) {
		const struct schema_restore *x = &st->s->restores[i];
		enum state_lock lock = x->exclusive ? LOCK_ACCESS_EXCLUSIVE : LOCK_SHARE_ROW_EXCLUSIVE;
		int table = x->table >= 0 ? x->table : x->other_table;
		struct state_lock_def locks[2];
		int n = 0;
		int step = add_step(st, STEP_RESTORE, table, (int)i, st->weight[table],
				    arena_printf(st->arena, "%s %s of %s", x->kind, x->name, x->table_name));
		set_after(st, step, &st->data[table]);
		add_lock(locks, &n, table, lock);
		if (x->other_table >= 0) {
			set_after(st, step, &st->data[x->other_table]);
			add_lock(locks, &n, x->other_table, lock);
		}
		set_locks(st, step, locks, n);
	}
}

/* --- stages --- */

static void lock_children(struct steps *st, int table, struct state_lock_def *locks, int *n)
{
	for (size_t c = 0; c < st->s->ntables; c++)
		if (st->s->tables[c].parent_table == table && (int)c != table) {
			add_lock(locks, n, (int)c, LOCK_SHARE_ROW_EXCLUSIVE);
			lock_children(st, (int)c, locks, n);
		}
}

/* Of tables that hold rows. A row's children go with it. */
static void add_conflicts(struct steps *st, int t)
{
	struct state_lock_def *locks = arena_alloc(st->arena, sizeof *locks * (st->s->ntables + 1));
	int n = 0;
	if (st->e->way.conflict == SINK_CONFLICT_NONE)
		return;
	int step = add_step(st, STEP_CONFLICTS, t, -1, st->weight[t] * KEY_FIRST,
			    arena_printf(st->arena, "rows of %s that are there already", table_name(st, t)));
	add_lock(locks, &n, t, LOCK_SHARE_ROW_EXCLUSIVE);
	lock_children(st, t, locks, &n);
	for (int i = 0; i < n; i++)
		set_after(st, step, &st->data[locks[i].table]);
	set_locks(st, step, locks, n);
	for (int i = 0; i < n; i++)
		push(&st->data[locks[i].table], step);
}

/* Rows of child tables go with their parents' while keys and unique indexes are settled: both must be there still. */
static void wait_for_children(struct steps *st, int step, int table)
{
	for (size_t c = 0; c < st->s->ntables; c++)
		if (st->s->tables[c].parent_table == table && (int)c != table) {
			set_after(st, step, &st->data[c]);
			wait_for_children(st, step, (int)c);
		}
}

static void wait_for_needs(struct steps *st, int step, int table)
{
	for (size_t i = 0; i < st->s->nneeds; i++)
		if (st->s->needs[i].table == table)
			set_after(st, step, &st->data[st->s->needs[i].other]);
	if (st->s->tables[table].parent_table >= 0)
		set_after(st, step, &st->data[st->s->tables[table].parent_table]);
}

static void add_move(struct steps *st, int index)
{
	const struct sink_unit *u = &st->e->settle->units[index];
	struct state_lock_def *locks = arena_alloc(st->arena, sizeof *locks * (st->s->ntables + 1));
	int n = 0;
	uint64_t weight = 0;
	int step = add_step(st, STEP_MOVE, u->tables[0], index, 0,
			    arena_printf(st->arena, "move of %s%s", table_name(st, u->tables[0]),
					 u->ntables > 1 ? " and what refers to it in a circle" : ""));
	for (size_t i = 0; i < u->ntables; i++) {
		set_after(st, step, &st->data[u->tables[i]]);
		wait_for_children(st, step, u->tables[i]);
		wait_for_needs(st, step, u->tables[i]);
		add_lock(locks, &n, u->tables[i], LOCK_SHARE_ROW_EXCLUSIVE);
		if (st->e->way.conflict == SINK_CONFLICT_REPLACE) /* old rows go, with all below them */
			lock_children(st, u->tables[i], locks, &n);
		weight += st->weight[u->tables[i]];
	}
	st->defs[step].weight = weight * KEY_FIRST;
	set_locks(st, step, locks, n);
	for (size_t i = 0; i < u->ntables; i++)
		push(&st->data[u->tables[i]], step);
}

/* Groups and units come in the same order, and what a unit's group or children wait for is of earlier ones. A
 * junction is a unit by itself. */
static void add_moves(struct steps *st, bool junctions)
{
	for (int u = 0; u < st->e->settle->nunits; u++) {
		const struct sink_unit *unit = &st->e->settle->units[u];
		if (is_junction(st->s, unit->tables[0]) != junctions)
			continue;
		if (unit->group >= 0)
			add_orphans(st, unit->group);
		add_move(st, u);
	}
}

static void add_vacuum(struct steps *st, int t)
{
	int step = add_step(st, STEP_VACUUM, t, -1, st->weight[t],
			    arena_printf(st->arena, "vacuum and analyze %s", table_name(st, t)));
	set_after(st, step, &st->touching[t]);
	lock_one(st, step, t, LOCK_SHARE_UPDATE_EXCLUSIVE);
}

/* Keys, what is there already, unique indexes: of the rows that wait. */
static void add_staged(struct steps *st, bool junctions)
{
	int ntables = (int)st->s->ntables;
	for (int t = 0; t < ntables; t++)
		if (is_junction(st->s, t) == junctions)
			add_key(st, t);
	for (int t = 0; t < ntables; t++)
		if (is_junction(st->s, t) == junctions)
			add_conflicts(st, t);
	for (int t = 0; t < ntables; t++)
		if (is_junction(st->s, t) == junctions)
			add_uniques(st, t);
}

static void list_staged_steps(struct steps *st)
{
	add_staged(st, false);
	add_moves(st, false);
	for (size_t c = 0; c < st->e->plan->ncollections; c++)
		add_fetch(st, c);
	for (int j = 0; j < (int)st->s->njunctions; j++)
		add_pairs(st, j);
	add_staged(st, true);
	add_moves(st, true);
	add_restores(st);
	for (int t = 0; t < (int)st->s->ntables; t++)
		add_vacuum(st, t);
}

static void list_steps(struct steps *st)
{
	int ntables = (int)st->s->ntables;
	add_collections(st);
	if (st->e->options.load_only)
		return;
	if (st->staged) {
		list_staged_steps(st);
		return;
	}
	for (int t = 0; t < ntables; t++)
		if (!is_junction(st->s, t))
			add_key(st, t);
	for (int t = 0; t < ntables; t++)
		if (!is_junction(st->s, t))
			add_uniques(st, t);
	for (int g = 0; g < st->e->settle->ngroups; g++)
		add_orphans(st, g);
	for (size_t c = 0; c < st->e->plan->ncollections; c++)
		add_fetch(st, c);
	for (int j = 0; j < (int)st->s->njunctions; j++)
		add_pairs(st, j);
	for (int t = 0; t < ntables; t++)
		if (is_junction(st->s, t)) {
			add_key(st, t);
			add_uniques(st, t);
		}
	for (int t = 0; t < ntables; t++)
		add_other_fkeys(st, t);
	for (int t = 0; t < ntables; t++)
		add_indexes(st, t);
	add_restores(st);
	for (int t = 0; t < ntables; t++)
		add_vacuum(st, t);
}

static struct ints *new_lists(size_t n)
{
	return mem_zalloc(sizeof(struct ints) * (n + 1));
}

static void free_lists(struct ints *l, size_t n)
{
	for (size_t i = 0; i < n; i++)
		free(l[i].list);
	free(l);
}

bool settle_add_steps(struct engine *e, struct pg *pg, int64_t run, struct err *err)
{
	size_t n = e->plan->schema.ntables;
	struct steps st = {
		.e = e, .s = &e->plan->schema, .arena = arena_new(), .staged = e->existing && e->way.keep_indexes};
	st.data = new_lists(n);
	st.touching = new_lists(n);
	st.weight = mem_zalloc(sizeof(uint64_t) * (n + 1));
	st.group_step = mem_zalloc(sizeof(int) * ((size_t)e->settle->ngroups + 1));
	list_steps(&st);
	bool ok = state_steps_add(pg, run, st.defs, st.n, err);
	free_lists(st.data, n);
	free_lists(st.touching, n);
	free(st.weight);
	free(st.group_step);
	free(st.defs);
	arena_free(st.arena);
	return ok;
}

/* --- bodies: inside a transaction that is begun and ended here --- */

static bool step_count(struct worker *w, const struct state_unit *u, struct err *err)
{
	uint64_t n;
	int c = plan_find_collection(w->engine->plan, u->collection);
	if (u->object == COUNT_WHOLE && c >= 0)
		return count_parts(w, (size_t)c, err);
	if (!source_count(w->engine->source, u->collection, &n, err))
		return false;
	ledger_add(w->ledger, LEDGER_SOURCE, u->collection, "", n);
	return true;
}

typedef bool step_body(struct worker *w, const struct state_unit *u, struct err *err);

/* Does the server refuse what was asked for, so that asking again is of no use? A missing privilege is for people to
 * mend, and the run waits for that. */
static bool is_refusal(const struct worker *w, const struct err *err)
{
	if (pg_is_lost(w->pg) || err->class == ERR_CLASS_RETRY || strcmp(err->sqlstate, "42501") == 0)
		return false;
	return err->class == ERR_CLASS_DATA || strncmp(err->sqlstate, "42", 2) == 0 ||
	       strncmp(err->sqlstate, "0A", 2) == 0;
}

/* What the step makes, as docrow.ddl names it. `definition` takes the text. */
static struct sink_object object_of(const struct worker *w, const struct state_unit *u, struct buf *definition,
				    struct buf *name)
{
	const struct schema *s = &w->engine->plan->schema;
	const struct schema_table *t = &s->tables[u->table];
	struct sink_object o = {.kind = "index", .table = t->name};
	if (u->kind == STEP_RESTORE) {
		const struct schema_restore *x = &s->restores[u->object];
		return (struct sink_object){x->kind, x->table_name, x->name, x->definition};
	}
	if (u->kind == STEP_FKEY) {
		o.kind = "foreign key";
		o.name = t->fkeys[u->object].name;
		schema_sql_fkey(definition, s, t, &t->fkeys[u->object], false);
	} else if (u->kind == STEP_PRIMARY_KEY) {
		o.kind = "primary key";
		schema_primary_key_name(name, t);
		o.name = buf_cstr(name);
		schema_sql_primary_key(definition, s, t);
	} else {
		o.name = t->indexes[u->object].name;
		schema_sql_index(definition, s, t, &t->indexes[u->object]);
	}
	o.definition = buf_cstr(definition);
	return o;
}

static bool note_refused(struct worker *w, const struct state_unit *u, const struct err *why, struct err *err)
{
	_cleanup_(buf_free) struct buf definition = {0};
	_cleanup_(buf_free) struct buf name = {0};
	struct sink_object o = object_of(w, u, &definition, &name);
	log_line(LOG_WARN, "%s %s of %s is left out: %s", o.kind, o.name, o.table, why->message);
	ledger_reset(w->ledger); /* what it counted is rolled back, too */
	ledger_add(w->ledger, LEDGER_INDEX_REFUSED, o.table, o.name, 1);
	return sink_note_refused(w->pg, &o, w->engine->run, u->id, why, err);
}

/* A target that existed gets everything back; docrow.ddl says what is there again. */
static bool mark_restored(struct worker *w, const struct state_unit *u, struct err *err)
{
	_cleanup_(buf_free) struct buf definition = {0};
	_cleanup_(buf_free) struct buf name = {0};
	if (!w->engine->existing)
		return true;
	struct sink_object o = object_of(w, u, &definition, &name);
	return sink_mark_restored(w->pg, w->engine->run, o.table, o.name, err);
}

/* An index may be refused however good the rows are: one is too long for a B-tree, an expression fails on one. The
 * whole move must not stand still for that, so the rows stay, the index is left out, and people are told. */
static bool build_or_note(struct worker *w, const struct state_unit *u, step_body *build, struct err *err)
{
	struct err why;
	err_clear(&why);
	if (!pg_exec(w->pg, "SAVEPOINT docrow_build", err))
		return false;
	if (build(w, u, &why))
		return pg_exec(w->pg, "RELEASE SAVEPOINT docrow_build", err) && mark_restored(w, u, err);
	if (!is_refusal(w, &why)) {
		*err = why;
		return false;
	}
	return pg_exec(w->pg, "ROLLBACK TO SAVEPOINT docrow_build; RELEASE SAVEPOINT docrow_build", err) &&
	       note_refused(w, u, &why, err);
}

static bool build_unique(struct worker *w, const struct state_unit *u, struct err *err)
{
	return sink_settle_unique(w->pg, &w->engine->plan->schema, u->table, u->object, w->engine->run, u->id,
				  w->ledger, err);
}

static bool build_index(struct worker *w, const struct state_unit *u, struct err *err)
{
	return sink_add_index(w->pg, &w->engine->plan->schema, u->table, u->object, err);
}

static bool is_staged(const struct worker *w, int table)
{
	return w->engine->plan->schema.tables[table].stage != NULL;
}

static bool step_unique(struct worker *w, const struct state_unit *u, struct err *err)
{
	if (is_staged(w, u->table))
		return build_unique(w, u, err);
	return build_or_note(w, u, build_unique, err);
}

static bool step_index(struct worker *w, const struct state_unit *u, struct err *err)
{
	return build_or_note(w, u, build_index, err);
}

/* What is moved already when the step runs is in the table; the rest waits. */
static struct schema view_of_unit(const struct worker *w, int unit)
{
	const struct engine *e = w->engine;
	return sink_stage_view(&e->plan->schema, e->settle->units, (size_t)unit, w->arena);
}

static int unit_of_group(const struct settle *s, int group)
{
	for (int u = 0; u < s->nunits; u++)
		if (s->units[u].group == group)
			return u;
	return 0; /* no stages: no units */
}

static bool step_orphans(struct worker *w, const struct state_unit *u, struct err *err)
{
	const struct sink_orphan_group *g = &w->engine->settle->groups[u->object];
	struct schema view = view_of_unit(w, unit_of_group(w->engine->settle, u->object));
	return sink_settle_orphan_group(w->pg, &view, g->refs, g->nrefs, w->engine->run, u->id, w->ledger, err);
}

/* Of the documents that feed the table. */
static uint64_t most_refused(const struct engine *e, int table)
{
	uint64_t most = 0;
	for (size_t c = 0; c < e->plan->ncollections; c++) {
		const struct table_progress *t = &e->tables[c];
		bool feeds = false;
		for (size_t o = 0; o < e->plan->collections[c].noutputs; o++)
			feeds |= e->plan->collections[c].outputs[o].copy.table == table;
		if (!feeds)
			continue;
		most += t->reject_limit.percent > 0
				? (uint64_t)((double)atomic_load(&t->docs) * t->reject_limit.percent / 100)
				: t->reject_limit.n;
	}
	return most;
}

static bool step_move(struct worker *w, const struct state_unit *u, struct err *err)
{
	const struct settle *s = w->engine->settle;
	const struct sink_unit *unit = &s->units[u->object];
	struct schema view = view_of_unit(w, u->object);
	struct sink_moving m = {.unit = unit,
				.most_refused = most_refused(w->engine, u->table),
				.conflict = w->engine->way.conflict,
				.run = w->engine->run,
				.step = u->id,
				.ledger = w->ledger};
	if (unit->group >= 0) {
		m.refs = s->groups[unit->group].refs;
		m.nrefs = s->groups[unit->group].nrefs;
	}
	return sink_move(w->pg, &view, &m, err);
}

static bool step_conflicts(struct worker *w, const struct state_unit *u, struct err *err)
{
	return sink_settle_conflicts(w->pg, &w->engine->plan->schema, u->table, w->engine->way.conflict,
				     w->engine->run, u->id, w->ledger, err);
}

static bool step_pairs(struct worker *w, const struct state_unit *u, struct err *err)
{
	return sink_settle_pairs(w->pg, &w->engine->plan->schema, u->object, w->engine->run, u->id, w->ledger, err);
}

static bool build_key(struct worker *w, const struct state_unit *u, struct err *err)
{
	return sink_settle_primary_key(w->pg, &w->engine->plan->schema, u->table, w->engine->run, u->id, w->ledger,
				       err);
}

/* What is keyed by _id holds no key that is too long (converting saw to that), and everything refers to it. */
static bool step_primary_key(struct worker *w, const struct state_unit *u, struct err *err)
{
	const struct schema *s = &w->engine->plan->schema;
	bool duplicates;
	if (!sink_is_keyed_by_id(s, u->table))
		return is_staged(w, u->table) ? build_key(w, u, err) : build_or_note(w, u, build_key, err);
	if (!sink_try_primary_key(w->pg, s, u->table, &duplicates, err))
		return false;
	if (duplicates && (!load_duplicates(w, u, err) || !sink_add_primary_key(w->pg, s, u->table, err)))
		return false;
	return is_staged(w, u->table) || mark_restored(w, u, err);
}

static bool build_fkey(struct worker *w, const struct state_unit *u, struct err *err)
{
	return sink_add_fkey(w->pg, &w->engine->plan->schema, u->table, u->object, err);
}

/* One that the target brought along may need a unique index that was refused, and the like. */
static bool step_fkey(struct worker *w, const struct state_unit *u, struct err *err)
{
	return w->engine->existing ? build_or_note(w, u, build_fkey, err) : build_fkey(w, u, err);
}

static bool build_restore(struct worker *w, const struct state_unit *u, struct err *err)
{
	return sink_restore(w->pg, &w->engine->plan->schema, u->object, err);
}

static bool step_restore(struct worker *w, const struct state_unit *u, struct err *err)
{
	return build_or_note(w, u, build_restore, err);
}

static bool step_validate(struct worker *w, const struct state_unit *u, struct err *err)
{
	return sink_validate_fkey(w->pg, &w->engine->plan->schema, u->table, u->object, err);
}

static step_body *const bodies[STEP_KIND_COUNT] = {
	[STEP_COUNT] = step_count,     [STEP_FETCH] = fetch_rejects, [STEP_UNIQUE] = step_unique,
	[STEP_ORPHANS] = step_orphans, [STEP_PAIRS] = step_pairs,    [STEP_PRIMARY_KEY] = step_primary_key,
	[STEP_INDEX] = step_index,     [STEP_FKEY] = step_fkey,      [STEP_VALIDATE] = step_validate,
	[STEP_RESTORE] = step_restore, [STEP_MOVE] = step_move,      [STEP_CONFLICTS] = step_conflicts,
};

static const char *describe_step(const struct engine *e, const struct state_unit *u, char out[160])
{
	const char *table = u->table >= 0 ? e->plan->schema.tables[u->table].name : "";
	snprintf(out, 160, "%s %s", state_step_kind_name(u->kind), u->collection != NULL ? u->collection : table);
	return out;
}

static void show_step(struct engine *e, const struct state_unit *u)
{
	char text[160];
	describe_step(e, u, text);
	pthread_mutex_lock(&e->lock);
	memcpy(e->current, text, sizeof text);
	pthread_mutex_unlock(&e->lock);
}

bool settle_step(struct worker *w, const struct state_unit *u, bool *mine, struct err *err)
{
	struct engine *e = w->engine;
	char text[160];
	double started = clock_seconds();
	show_step(e, u);
	bool ok;
	if (u->kind == STEP_VACUUM) /* can't run inside a transaction; doing it twice does no harm */
		ok = sink_vacuum(w->pg, &e->plan->schema, u->table, err) && pg_begin(w->pg, false, err) &&
		     sink_settle_sequences(w->pg, &e->plan->schema, u->table, err);
	else
		ok = pg_begin(w->pg, false, err) && sink_begin_settle(w->pg, err) && bodies[u->kind](w, u, err);
	ok = ok && commit_if_mine(w, u, started, mine, err);
	if (ok && *mine)
		atomic_fetch_add(&e->steps_done, 1);
	if (!ok)
		err_where(err, "%s", describe_step(e, u, text));
	return ok;
}

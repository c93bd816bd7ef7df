/* sink_settle_group.c - the references of a group to a fixpoint.
 *
 * 1. Search: foreign keys that are there NOT VALID are validated; for the other references one scan of each table
 *    counts the orphans (LEFT JOINs). None: done.
 * 2. References whose orphans are rejects, until no row goes any more: a row that went makes those look again that
 *    refer to its table. So a row that is rejected is not first changed by another rule.
 * 3. Stubs; then moves, NULLs and kept ones, one statement for each table. None of these takes rows out.
 * 4. Keys whose validation failed are validated again, but for those whose orphans are kept.
 * References go in the order of the schema, so the result is always the same.
 */
#include <stdlib.h>

#include "sink_settle.h"

struct member {
	int ref;
	enum key_state key;
	bool may_have; /* orphans: for stubs and changes     */
	bool look;     /* for rows to reject (again)         */
};

struct group {
	struct settle st;
	struct member *members;
	size_t n;
	int *scratch; /* [n] refs of one statement */
	bool removed;
};

static const struct schema_ref *ref_at(const struct group *g, size_t i)
{
	return &g->st.s->refs[g->members[i].ref];
}

static bool in_table(const struct group *g, size_t i, int table)
{
	return ref_at(g, i)->table == table;
}

static bool is_first_of_table(const struct group *g, size_t i)
{
	for (size_t k = 0; k < i; k++)
		if (in_table(g, k, ref_at(g, i)->table))
			return false;
	return true;
}

static bool fail_at(const struct group *g, size_t i)
{
	const struct schema_ref *r = ref_at(g, i);
	const struct schema_table *t = &g->st.s->tables[r->table];
	return err_where(g->st.err, "reference %s.%s", t->name, t->columns[r->column].name);
}

/* --- 1: search --- */

static bool read_key_state(struct group *g, size_t i)
{
	const struct schema_ref *r = ref_at(g, i);
	/* a stage has no keys, whatever its table has */
	return r->fkey < 0 || g->st.s->tables[r->table].stage != NULL ||
	       sink_key_state(g->st.pg, g->st.s, r->table, r->fkey, &g->members[i].key, g->st.err);
}

static bool validate(struct group *g, size_t i, bool *refused)
{
	_cleanup_(buf_free) struct buf sql = {0};
	sql_validate(&sql, g->st.s, ref_at(g, i)->table, ref_at(g, i)->fkey);
	if (refused != NULL)
		return sink_try(g->st.pg, buf_cstr(&sql), "23503", refused, g->st.err);
	return pg_exec(g->st.pg, buf_cstr(&sql), g->st.err);
}

static void mark(struct group *g, size_t i, bool has_orphans)
{
	g->members[i].may_have = g->members[i].look = has_orphans;
}

static bool search_keys(struct group *g)
{
	for (size_t i = 0; i < g->n; i++) {
		bool refused;
		if (!read_key_state(g, i))
			return fail_at(g, i);
		if (g->members[i].key != KEY_NOT_VALID)
			continue;
		if (!validate(g, i, &refused))
			return fail_at(g, i);
		mark(g, i, refused);
		if (!refused)
			g->members[i].key = KEY_VALID;
	}
	return true;
}

static size_t gather(struct group *g, int table, bool (*wanted)(const struct group *g, size_t i))
{
	size_t n = 0;
	for (size_t i = 0; i < g->n; i++)
		if (in_table(g, i, table) && wanted(g, i))
			g->scratch[n++] = g->members[i].ref;
	return n;
}

static bool has_no_key(const struct group *g, size_t i)
{
	return g->members[i].key == KEY_NONE;
}

static bool search_table(struct group *g, int table, uint64_t *counts)
{
	size_t n = gather(g, table, has_no_key);
	if (n == 0)
		return true;
	if (!orphans_count(&g->st, g->scratch, n, counts))
		return err_where(g->st.err, "orphans of %s", g->st.s->tables[table].name);
	for (size_t i = 0, k = 0; i < g->n; i++)
		if (in_table(g, i, table) && has_no_key(g, i))
			mark(g, i, counts[k++] > 0);
	return true;
}

static bool search(struct group *g)
{
	uint64_t *counts = mem_alloc((g->n + 1) * sizeof *counts);
	bool ok = search_keys(g);
	for (size_t i = 0; i < g->n && ok; i++)
		if (is_first_of_table(g, i))
			ok = search_table(g, ref_at(g, i)->table, counts);
	free(counts);
	return ok;
}

/* --- 2: rejects --- */

/* Who refers to a table that lost rows looks again. */
static void mark_after_removal(struct group *g)
{
	for (size_t i = 0; i < g->n; i++) {
		const struct schema_ref *r = ref_at(g, i);
		if (g->st.shrunk[r->ref_table])
			mark(g, i, true);
		else if (r->policy == ORPHAN_MOVE_TO && r->move_to >= 0 && g->st.shrunk[r->move_ref_table])
			g->members[i].look = true;
	}
}

static bool reject_member(struct group *g, size_t i)
{
	uint64_t removed;
	g->members[i].look = false;
	memset(g->st.shrunk, 0, g->st.s->ntables * sizeof *g->st.shrunk);
	if (!orphans_reject(&g->st, g->members[i].ref, &removed))
		return fail_at(g, i);
	g->removed |= removed > 0;
	mark_after_removal(g);
	return true;
}

static bool find_reject(const struct group *g, size_t *found)
{
	for (size_t i = 0; i < g->n; i++)
		if (g->members[i].look && orphan_can_reject(ref_at(g, i))) {
			*found = i;
			return true;
		}
	return false;
}

static bool reject_all(struct group *g)
{
	size_t i;
	while (find_reject(g, &i))
		if (!reject_member(g, i))
			return false;
	return true;
}

/* --- 3: the rest --- */

static bool stub_all(struct group *g)
{
	for (size_t i = 0; i < g->n; i++)
		if (g->members[i].may_have && orphan_can_stub(ref_at(g, i)) &&
		    !orphans_stub(&g->st, g->members[i].ref))
			return fail_at(g, i);
	return true;
}

static bool wants_change(const struct group *g, size_t i)
{
	return g->members[i].may_have && orphan_can_change(ref_at(g, i));
}

static bool change_all(struct group *g)
{
	for (size_t i = 0; i < g->n; i++) {
		int table = ref_at(g, i)->table;
		if (!is_first_of_table(g, i))
			continue;
		size_t n = gather(g, table, wants_change);
		if (n > 0 && !orphans_change(&g->st, g->scratch, n))
			return err_where(g->st.err, "orphans of %s", g->st.s->tables[table].name);
	}
	return true;
}

/* --- 4: keys --- */

static bool keeps_orphans(const struct schema_ref *r)
{
	return r->policy == ORPHAN_KEEP || (r->policy == ORPHAN_MOVE_TO && r->otherwise == ORPHAN_KEEP);
}

static bool validate_all(struct group *g)
{
	for (size_t i = 0; i < g->n; i++)
		if (g->members[i].key == KEY_NOT_VALID && !keeps_orphans(ref_at(g, i)) && !validate(g, i, NULL))
			return fail_at(g, i);
	return true;
}

/* --- all of it --- */

static bool settle_group(struct settle *st, const int *refs, size_t n, bool *removed)
{
	struct group g = {.st = *st, .n = n};
	struct arena *a = arena_new();
	g.members = arena_alloc(a, (n + 1) * sizeof *g.members);
	g.scratch = arena_alloc(a, (n + 1) * sizeof *g.scratch);
	g.st.shrunk = arena_alloc(a, (st->s->ntables + 1) * sizeof *g.st.shrunk);
	for (size_t i = 0; i < n; i++)
		g.members[i].ref = refs[i];
	bool ok = search(&g) && reject_all(&g) && stub_all(&g) && change_all(&g) && validate_all(&g);
	*removed = g.removed;
	arena_free(a);
	return ok;
}

bool sink_settle_orphan_group(struct pg *pg, const struct schema *s, const int *refs, size_t n, int64_t run,
			      int64_t step, struct ledger *l, struct err *err)
{
	struct settle st = {.pg = pg, .s = s, .run = run, .step = step, .ledger = l, .err = err};
	bool removed;
	return settle_group(&st, refs, n, &removed);
}

bool sink_settle_orphans(struct pg *pg, const struct schema *s, int ref, int64_t run, int64_t step, struct ledger *l,
			 bool *changed, struct err *err)
{
	struct settle st = {.pg = pg, .s = s, .run = run, .step = step, .ledger = l, .err = err};
	return settle_group(&st, &ref, 1, changed);
}

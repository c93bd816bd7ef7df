/* sink_settle_group.c - the references of a group to a fixpoint.
 *
 * 1. One scan of each table counts the orphans of all its references (LEFT JOINs). None: done.
 * 2. References whose orphans are rejects, until no row goes any more: a row that went makes those look again that
 *    refer to its table. So a row that is rejected is not first changed by another rule.
 * 3. Stubs, then moves, NULLs, kept ones: none of these takes rows out.
 * References of a kind go in the order of the schema, so the result is always the same.
 */
#include <stdio.h>
#include <stdlib.h>

#include "sink_settle.h"

struct group {
	struct settle st;
	const int *refs;
	size_t n;
	bool *dirty; /* [n] may have orphans */
};

static const struct schema_ref *ref_at(const struct group *g, size_t i)
{
	return &g->st.s->refs[g->refs[i]];
}

/* --- 1: search --- */

static void put_search(struct buf *sql, const struct group *g, int table)
{
	const struct schema *s = g->st.s;
	_cleanup_(buf_free) struct buf joins;
	const char *comma = "SELECT ";
	buf_init(&joins, 0);
	for (size_t i = 0; i < g->n; i++) {
		const struct schema_ref *r = ref_at(g, i);
		char alias[32];
		if (r->table != table)
			continue;
		snprintf(alias, sizeof alias, "docrow_p%zu", i);
		buf_printf(sql, "%scount(*) FILTER (WHERE ", comma);
		comma = ", ";
		sql_column(sql, ROW_ALIAS, &s->tables[table], r->column);
		buf_puts(sql, " IS NOT NULL AND ");
		sql_column(sql, alias, &s->tables[r->ref_table], r->ref_column);
		buf_puts(sql, " IS NULL)");
		buf_puts(&joins, " LEFT JOIN ");
		sql_table(&joins, s, &s->tables[r->ref_table]);
		buf_printf(&joins, " AS %s ON ", alias);
		sql_column(&joins, alias, &s->tables[r->ref_table], r->ref_column);
		buf_puts(&joins, " = ");
		sql_column(&joins, ROW_ALIAS, &s->tables[table], r->column);
	}
	buf_puts(sql, " FROM ");
	sql_table(sql, s, &s->tables[table]);
	buf_printf(sql, " AS " ROW_ALIAS "%s", buf_cstr(&joins));
}

static bool search_table(struct group *g, int table, uint64_t *counts)
{
	_cleanup_(buf_free) struct buf sql;
	int n = 0;
	buf_init(&sql, 0);
	put_search(&sql, g, table);
	for (size_t i = 0; i < g->n; i++)
		n += ref_at(g, i)->table == table;
	if (!sink_counts(g->st.pg, buf_cstr(&sql), counts, n, g->st.err))
		return err_where(g->st.err, "orphans of %s", g->st.s->tables[table].name);
	n = 0;
	for (size_t i = 0; i < g->n; i++)
		if (ref_at(g, i)->table == table)
			g->dirty[i] = counts[n++] > 0;
	return true;
}

static bool is_first_of_table(const struct group *g, size_t i)
{
	for (size_t k = 0; k < i; k++)
		if (ref_at(g, k)->table == ref_at(g, i)->table)
			return false;
	return true;
}

static bool search(struct group *g)
{
	uint64_t *counts = mem_alloc((g->n + 1) * sizeof *counts);
	bool ok = true;
	for (size_t i = 0; i < g->n && ok; i++)
		if (is_first_of_table(g, i))
			ok = search_table(g, ref_at(g, i)->table, counts);
	free(counts);
	return ok;
}

/* --- 2 and 3: settle --- */

enum round { ROUND_REJECT, ROUND_MOVE_OR_REJECT, ROUND_STUB, ROUND_MOVE, ROUND_NULL, ROUND_KEEP, ROUND_COUNT };

static enum round round_of(const struct schema_ref *r)
{
	static const enum round by_policy[] = {[ORPHAN_REJECT] = ROUND_REJECT,
					       [ORPHAN_NULL] = ROUND_NULL,
					       [ORPHAN_KEEP] = ROUND_KEEP,
					       [ORPHAN_MOVE_TO] = ROUND_MOVE,
					       [ORPHAN_STUB] = ROUND_STUB};
	if (r->policy != ORPHAN_MOVE_TO)
		return by_policy[r->policy];
	if (r->otherwise == ORPHAN_REJECT || r->otherwise == ORPHAN_MOVE_TO)
		return ROUND_MOVE_OR_REJECT;
	return ROUND_MOVE;
}

static bool find_dirty(const struct group *g, enum round round, size_t *found)
{
	for (size_t i = 0; i < g->n; i++)
		if (g->dirty[i] && round_of(ref_at(g, i)) == round) {
			*found = i;
			return true;
		}
	return false;
}

static void mark_dirty(struct group *g)
{
	for (size_t i = 0; i < g->n; i++) {
		const struct schema_ref *r = ref_at(g, i);
		g->dirty[i] |= g->st.shrunk[r->ref_table];
	}
}

static bool settle_one(struct group *g, size_t i)
{
	uint64_t removed;
	g->dirty[i] = false;
	memset(g->st.shrunk, 0, g->st.s->ntables * sizeof *g->st.shrunk);
	if (!settle_reference(&g->st, g->refs[i], &removed))
		return false;
	mark_dirty(g);
	return true;
}

static bool settle_all(struct group *g)
{
	size_t i;
	while (find_dirty(g, ROUND_REJECT, &i) || find_dirty(g, ROUND_MOVE_OR_REJECT, &i))
		if (!settle_one(g, i))
			return false;
	for (enum round round = ROUND_STUB; round < ROUND_COUNT; round++)
		while (find_dirty(g, round, &i))
			if (!settle_one(g, i))
				return false;
	return true;
}

bool sink_settle_orphan_group(struct pg *pg, const struct schema *s, const int *refs, size_t n, int64_t run,
			      int64_t step, struct ledger *l, struct err *err)
{
	struct group g = {
		.st = {.pg = pg, .s = s, .run = run, .step = step, .ledger = l, .err = err}, .refs = refs, .n = n};
	g.dirty = mem_zalloc((n + 1) * sizeof *g.dirty);
	g.st.shrunk = mem_zalloc((s->ntables + 1) * sizeof *g.st.shrunk);
	bool ok = search(&g) && settle_all(&g);
	free(g.st.shrunk);
	free(g.dirty);
	return ok;
}

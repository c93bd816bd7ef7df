/* sink_stage_leftovers.c - what a replaced row had below it and its document no longer has.
 *
 * The rows of a child table that hang on a replaced row, and whose key does not wait in the stage, go; so does all
 * that hangs on them in tables further down, in the same statement, before a foreign key could cascade. Each is kept
 * by a finding of kind 'removed'. What hangs on rows that are themselves replaced is found when its table moves.
 *
 *   WITH docrow_o AS (DELETE the rows, RETURNING them and the links to child tables),
 *        docrow_x<table> AS (DELETE the rows linked to docrow_o or to the docrow_x above), ...
 *        docrow_n, docrow_n<table> AS (INSERT the findings)
 *   SELECT the counts
 */
#include <stdio.h>
#include <stdlib.h>

#include "sink_settle.h"

#define WAITING "docrow_waiting" /* the stage */

struct leftovers {
	struct settle *st;
	struct schema there; /* as if nothing waited: ids are looked up where the old rows are */
	int *tables;         /* that lose rows, the first is docrow_o's                        */
	int n;
};

static void put_first(struct buf *sql, const struct leftovers *l, int table)
{
	const struct schema_table *t = &l->st->s->tables[table];
	buf_puts(sql, "WITH docrow_o AS (DELETE FROM ");
	sql_table(sql, l->st->s, t);
	buf_printf(sql,
		   " AS " ROW_ALIAS
		   " WHERE EXISTS (SELECT FROM docrow.finding f WHERE f.run = %lld AND f.kind = 'replaced' "
		   "AND f.table_name = ",
		   (long long)l->st->run);
	sql_literal(sql, l->st->s->tables[t->parent_table].name);
	buf_puts(sql, " AND f.key = ");
	sql_column(sql, ROW_ALIAS, t, t->parent_column);
	buf_puts(sql, "::text)");
	if (t->nprimary_key > 0) {
		buf_printf(sql, " AND NOT EXISTS (SELECT FROM %s AS " WAITING " WHERE ", t->stage);
		sql_same_key(sql, t, ROW_ALIAS, WAITING);
		buf_putc(sql, ')');
	}
	buf_puts(sql, " RETURNING ");
	settle_put_row(sql, &l->there, t, l->st->run);
	settle_put_links(sql, &l->there, table);
	buf_putc(sql, ')');
}

static void query_name(const struct leftovers *l, int i, char name[32])
{
	if (i == 0)
		snprintf(name, 32, "docrow_o");
	else
		snprintf(name, 32, "docrow_x%d", l->tables[i]);
}

static void put_findings(struct buf *sql, const struct leftovers *l, int i)
{
	const struct schema_table *t = &l->there.tables[l->tables[i]];
	char name[32];
	query_name(l, i, name);
	buf_printf(sql,
		   ", docrow_n%d AS (INSERT INTO docrow.finding (run, step, kind, fault, table_name, collection, "
		   "doc_id, doc_id_text, key, ordinal, value_text) SELECT %lld, %lld, 'removed', '%s', ",
		   i, (long long)l->st->run, (long long)l->st->step, fault_name(FAULT_EXISTS));
	sql_literal(sql, t->name);
	buf_puts(sql, ", ");
	sql_text_or_null(sql, schema_feeder(t));
	buf_printf(sql,
		   ", doc_id, doc_id_text, key, ordinal, row_text FROM %s ORDER BY key COLLATE \"C\", row_text "
		   "COLLATE \"C\")",
		   name);
}

static bool run_leftovers(struct leftovers *l, int table, uint64_t *counts)
{
	_cleanup_(buf_free) struct buf sql = {0};
	char name[32];
	put_first(&sql, l, table);
	l->tables[0] = table;
	l->n = settle_put_children(&sql, &l->there, table, "docrow_o", l->st->run, l->tables, 1);
	for (int i = 0; i < l->n; i++)
		put_findings(&sql, l, i);
	for (int i = 0; i < l->n; i++) {
		query_name(l, i, name);
		buf_printf(&sql, "%s(SELECT count(*) FROM %s)", i == 0 ? " SELECT " : ", ", name);
	}
	if (!sink_counts(l->st->pg, buf_cstr(&sql), counts, l->n, l->st->err))
		return false;
	for (int i = 0; i < l->n; i++)
		ledger_add(l->st->ledger, LEDGER_REPLACED, l->there.tables[l->tables[i]].name, "", counts[i]);
	return true;
}

bool leftovers_remove(struct settle *st, int table)
{
	const struct schema_table *t = &st->s->tables[table];
	if (t->parent_table < 0 || t->parent_column < 0)
		return true;
	struct arena *a = arena_new();
	struct leftovers l = {.st = st, .there = *st->s};
	l.tables = arena_alloc(a, (st->s->ntables + 1) * sizeof *l.tables);
	l.there.tables = arena_memdup(a, st->s->tables, st->s->ntables * sizeof *l.there.tables);
	for (size_t i = 0; i < st->s->ntables; i++)
		l.there.tables[i].stage = NULL;
	bool ok = run_leftovers(&l, table, arena_alloc(a, (st->s->ntables + 1) * sizeof(uint64_t)));
	arena_free(a);
	return ok;
}

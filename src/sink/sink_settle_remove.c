/* sink_settle_remove.c - takes rows out of a table: each becomes a reject or a finding in the same statement, and the
 * rows that its document put into child tables go with it.
 *
 *   WITH docrow_o AS (the rows: spot, message, value, value_text),
 *        docrow_g AS (DELETE them, RETURNING all that is written about them and the links to child tables),
 *        docrow_x<table> AS (DELETE the child rows linked to docrow_g or to the docrow_x above), ...
 *        docrow_n AS (INSERT the notes)
 *   SELECT the counts
 */
#include <stdio.h>
#include <stdlib.h>

#include "sink_settle.h"

static bool is_child_of(const struct schema *s, size_t child, int table)
{
	return s->tables[child].parent_table == table && (int)child != table &&
	       sink_link_column(s, &s->tables[child]) >= 0;
}

void settle_put_links(struct buf *sql, const struct schema *s, int table)
{
	for (size_t c = 0; c < s->ntables; c++) {
		if (!is_child_of(s, c, table))
			continue;
		buf_puts(sql, ", ");
		sql_column(sql, ROW_ALIAS, &s->tables[table], sink_link_column(s, &s->tables[c]));
		buf_printf(sql, " AS link_%zu", c);
	}
}

void settle_put_row(struct buf *sql, const struct schema *s, const struct schema_table *t, int64_t run)
{
	sql_row_identity(sql, ROW_ALIAS, s, t, run);
	/* json, not jsonb: no limit below the row's own, and the columns in their order */
	buf_puts(sql, ", row_to_json(" ROW_ALIAS ".*)::text AS row_text");
}

static void put_deleted(struct buf *sql, const struct settle *st, const struct removal *r)
{
	const struct schema_table *t = &st->s->tables[r->table];
	buf_puts(sql, ", docrow_g AS (DELETE FROM ");
	sql_rows(sql, st->s, t);
	buf_puts(sql, " AS " ROW_ALIAS " USING docrow_o WHERE " ROW_ALIAS ".ctid = docrow_o.spot RETURNING ");
	settle_put_row(sql, st->s, t, st->run);
	buf_puts(sql, ", docrow_o.message, docrow_o.value, docrow_o.value_text");
	buf_puts(sql, r->has_sqlstate ? ", docrow_o.sqlstate" : ", NULL::text AS sqlstate");
	settle_put_links(sql, st->s, r->table);
	buf_putc(sql, ')');
}

int settle_put_children(struct buf *sql, const struct schema *s, int table, const char *from, int64_t run,
			int *tables, int n)
{
	for (size_t c = 0; c < s->ntables; c++) {
		if (!is_child_of(s, c, table))
			continue;
		char name[32];
		snprintf(name, sizeof name, "docrow_x%zu", c);
		buf_printf(sql, ", %s AS (DELETE FROM ", name);
		sql_rows(sql, s, &s->tables[c]);
		buf_printf(sql, " AS " ROW_ALIAS " USING (SELECT DISTINCT link_%zu FROM %s) docrow_up WHERE ", c,
			   from);
		sql_column(sql, ROW_ALIAS, &s->tables[c], s->tables[c].parent_column);
		buf_printf(sql, " = docrow_up.link_%zu RETURNING ", c);
		if (run > 0)
			settle_put_row(sql, s, &s->tables[c], run);
		else
			buf_puts(sql, "1 AS one");
		settle_put_links(sql, s, (int)c);
		buf_putc(sql, ')');
		tables[n++] = (int)c;
		n = settle_put_children(sql, s, (int)c, name, run, tables, n);
	}
	return n;
}

static void put_names(struct buf *sql, const struct settle *st, const struct removal *r)
{
	sql_literal(sql, st->s->tables[r->table].name);
	buf_puts(sql, ", ");
	sql_text_or_null(sql, r->column);
	buf_puts(sql, ", ");
	sql_text_or_null(sql, schema_feeder(&st->s->tables[r->table]));
}

static void put_rejects(struct buf *sql, const struct settle *st, const struct removal *r)
{
	buf_printf(sql,
		   ", docrow_n AS (INSERT INTO docrow.reject (run, step, fault, code, table_name, column_name, "
		   "collection, message, sqlstate, doc_id, doc_id_text, key, ordinal, row_text) SELECT %lld, %lld, "
		   "'%s', '%s', ",
		   (long long)st->run, (long long)st->step, fault_name(r->fault), fault_code(r->fault));
	put_names(sql, st, r);
	buf_puts(sql, ", message, sqlstate, doc_id, doc_id_text, key, ordinal, row_text FROM docrow_g ORDER BY key "
		      "COLLATE \"C\", "
		      "row_text COLLATE \"C\")");
}

static void put_findings(struct buf *sql, const struct settle *st, const struct removal *r)
{
	buf_printf(sql,
		   ", docrow_n AS (INSERT INTO docrow.finding (run, step, kind, fault, table_name, column_name, "
		   "collection, doc_id, doc_id_text, key, ordinal, value, value_text) SELECT %lld, %lld, '%s', "
		   "'%s', ",
		   (long long)st->run, (long long)st->step, r->skip ? "skipped" : "dropped", fault_name(r->fault));
	put_names(sql, st, r);
	buf_puts(sql,
		 ", doc_id, doc_id_text, key, ordinal, value, row_text FROM docrow_g ORDER BY key COLLATE \"C\", "
		 "row_text COLLATE \"C\")");
}

static void put_counts(struct buf *sql, const int *tables, int n)
{
	buf_puts(sql, " SELECT (SELECT count(*) FROM docrow_g)");
	for (int i = 0; i < n; i++)
		buf_printf(sql, ", (SELECT count(*) FROM docrow_x%d)", tables[i]);
}

static void count_removed(struct settle *st, const struct removal *r, const uint64_t *counts, const int *tables,
			  int n)
{
	const struct schema_table *t = &st->s->tables[r->table];
	if (r->skip)
		ledger_add(st->ledger, LEDGER_SKIPPED, t->name, "", counts[0]);
	else if (r->drop)
		ledger_add(st->ledger, LEDGER_DROPPED, t->name, r->path, counts[0]);
	else
		ledger_add(st->ledger, LEDGER_REJECT_ROW, t->name, fault_name(r->fault), counts[0]);
	if (st->shrunk != NULL && counts[0] > 0)
		st->shrunk[r->table] = true;
	for (int i = 0; i < n; i++) {
		if (counts[i + 1] == 0)
			continue;
		ledger_add(st->ledger, r->skip ? LEDGER_SKIPPED : LEDGER_CHILD_OF_REJECT,
			   st->s->tables[tables[i]].name, "", counts[i + 1]);
		if (st->shrunk != NULL)
			st->shrunk[tables[i]] = true;
	}
}

static bool run_removal(struct settle *st, const struct removal *r, int *tables, uint64_t *counts)
{
	_cleanup_(buf_free) struct buf sql = {0};
	buf_printf(&sql, "WITH docrow_o AS MATERIALIZED (%s)", r->rows);
	put_deleted(&sql, st, r);
	int n = r->keep_children ? 0 : settle_put_children(&sql, st->s, r->table, "docrow_g", 0, tables, 0);
	if (r->drop)
		put_findings(&sql, st, r);
	else
		put_rejects(&sql, st, r);
	put_counts(&sql, tables, n);
	if (!sink_counts(st->pg, buf_cstr(&sql), counts, n + 1, st->err))
		return false;
	count_removed(st, r, counts, tables, n);
	return true;
}

bool settle_remove(struct settle *st, const struct removal *r, uint64_t *removed)
{
	int *tables = mem_alloc(st->s->ntables * sizeof *tables);
	uint64_t *counts = mem_zalloc((st->s->ntables + 1) * sizeof *counts);
	bool ok = run_removal(st, r, tables, counts);
	if (removed != NULL)
		*removed = counts[0];
	free(counts);
	free(tables);
	return ok;
}

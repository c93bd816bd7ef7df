/* sink_stage_conflicts.c - rows that wait in a stage against those that are in the table already.
 *
 * A row whose primary key is there is skipped or becomes a reject, as asked; where it is to replace the old one, the
 * move does that. A row that has the same as one of another key in a further unique index cannot go in whatever the
 * rule is: a reject that names the index. What goes takes its child rows along, as everywhere.
 */
#include "sink_settle.h"
#include "sink_stage.h"

struct conflicts {
	struct settle st;
	int table;
	const struct schema_table *t;
	enum sink_conflict rule;
};

#define THERE "docrow_there"

static bool remove_rows(struct conflicts *c, const char *column, bool skip, const char *rows)
{
	struct removal r = {
		.table = c->table, .column = column, .fault = FAULT_EXISTS, .drop = skip, .skip = skip, .rows = rows};
	return settle_remove(&c->st, &r, NULL);
}

/* "<id> has the same email as <id>, which was there before the run (unique index people_email_key)" */
static void put_select(struct buf *sql, const struct conflicts *c, const char *spot, const char *what,
		       const char *reason)
{
	_cleanup_(buf_free) struct buf text = {0};
	buf_printf(sql, "SELECT %s AS spot, coalesce(", spot);
	sql_document_id(sql, SQL_ID_TEXT, ROW_ALIAS, c->st.s, c->t, c->st.run);
	buf_printf(&text, " has the same %s as ", what);
	buf_puts(sql, ", 'a row') || ");
	sql_literal(sql, buf_cstr(&text));
	buf_puts(sql, " || coalesce(");
	sql_document_id(sql, SQL_ID_TEXT, THERE, c->st.s, c->t, c->st.run);
	buf_puts(sql, ", 'another row') || ");
	buf_reset(&text);
	buf_printf(&text, ", which was there before the run (%s)", reason);
	sql_literal(sql, buf_cstr(&text));
	buf_puts(sql, " AS message, NULL::bytea AS value, NULL::text AS value_text FROM ");
}

/* --- the primary key --- */

static bool settle_key(struct conflicts *c)
{
	_cleanup_(buf_free) struct buf sql = {0};
	if (c->t->nprimary_key == 0 || c->rule == SINK_CONFLICT_REPLACE)
		return true;
	put_select(&sql, c, ROW_ALIAS ".ctid", "key", "primary key");
	buf_printf(&sql, "%s AS " ROW_ALIAS " JOIN ", c->t->stage);
	sql_table(&sql, c->st.s, c->t);
	buf_puts(&sql, " AS " THERE " ON ");
	sql_same_key(&sql, c->t, THERE, ROW_ALIAS);
	return remove_rows(c, c->t->nprimary_key == 1 ? c->t->columns[c->t->primary_key[0]].name : NULL,
			   c->rule == SINK_CONFLICT_SKIP, buf_cstr(&sql));
}

/* --- other unique indexes --- */

static void put_indexed(struct buf *sql, const struct schema_index *i, const char *keys, const char *from)
{
	buf_printf(sql, "(SELECT ctid AS docrow_spot, *, ROW(%s) AS docrow_keys FROM %s WHERE ", keys, from);
	unique_put_which(sql, i, keys);
	buf_putc(sql, ')');
}

/* Columns are compared one by one, so that the index can be used. */
static void put_equal(struct buf *sql, const struct schema_index *i)
{
	const char *test = i->nulls_not_distinct ? "IS NOT DISTINCT FROM" : "=";
	if (i->expression != NULL)
		buf_printf(sql, THERE ".docrow_keys %s " ROW_ALIAS ".docrow_keys", test);
	for (size_t k = 0; i->expression == NULL && k < i->ncolumns; k++) {
		buf_puts(sql, k > 0 ? " AND " THERE "." : THERE ".");
		sql_ident(sql, i->columns[k]);
		buf_printf(sql, " %s " ROW_ALIAS ".", test);
		sql_ident(sql, i->columns[k]);
	}
}

/* Rows that are to be replaced have what their successor has when it counts. */
static void put_stays(struct buf *sql, const struct conflicts *c)
{
	if (c->t->nprimary_key == 0)
		return;
	buf_puts(sql, " AND NOT (");
	sql_same_key(sql, c->t, THERE, ROW_ALIAS);
	buf_putc(sql, ')');
	if (c->rule != SINK_CONFLICT_REPLACE)
		return;
	buf_printf(sql, " AND NOT EXISTS (SELECT FROM %s AS docrow_next WHERE ", c->t->stage);
	sql_same_key(sql, c->t, THERE, "docrow_next");
	buf_putc(sql, ')');
}

static bool settle_index(struct conflicts *c, const struct schema_index *i)
{
	_cleanup_(buf_free) struct buf sql = {0}, keys = {0}, real = {0}, what = {0}, reason = {0};
	unique_put_keys(&keys, i);
	unique_put_what(&what, i);
	buf_printf(&reason, "unique index %s", i->name);
	sql_table(&real, c->st.s, c->t);
	put_select(&sql, c, ROW_ALIAS ".docrow_spot", buf_cstr(&what), buf_cstr(&reason));
	put_indexed(&sql, i, buf_cstr(&keys), c->t->stage);
	buf_puts(&sql, " AS " ROW_ALIAS " JOIN ");
	put_indexed(&sql, i, buf_cstr(&keys), buf_cstr(&real));
	buf_puts(&sql, " AS " THERE " ON ");
	put_equal(&sql, i);
	put_stays(&sql, c);
	return remove_rows(c, i->ncolumns == 1 ? i->columns[0] : NULL, false, buf_cstr(&sql)) ||
	       err_where(c->st.err, "unique index %s", i->name);
}

/* --- all of it --- */

static bool count_before(struct conflicts *c)
{
	_cleanup_(buf_free) struct buf sql = {0};
	uint64_t n;
	buf_puts(&sql, "SELECT count(*) FROM ");
	sql_table(&sql, c->st.s, c->t);
	if (!sink_counts(c->st.pg, buf_cstr(&sql), &n, 1, c->st.err))
		return false;
	ledger_add(c->st.ledger, LEDGER_BEFORE, c->t->name, "", n);
	return true;
}

bool sink_settle_conflicts(struct pg *pg, const struct schema *s, int table, enum sink_conflict rule, int64_t run,
			   int64_t step, struct ledger *l, struct err *err)
{
	struct conflicts c = {.st = {.pg = pg, .s = s, .run = run, .step = step, .ledger = l, .err = err},
			      .table = table,
			      .t = &s->tables[table],
			      .rule = rule};
	bool ok = count_before(&c) && settle_key(&c);
	for (size_t i = 0; ok && i < c.t->nindexes; i++)
		if (c.t->indexes[i].unique)
			ok = settle_index(&c, &c.t->indexes[i]);
	return ok;
}

/* sink_settle_orphans.c - references that point to no row, by the policy of each.
 *
 *   reject     the row becomes a reject, its child rows go with it
 *   move_to    the id goes to the other column, if that is NULL and its table has the id; else by `otherwise`
 *   stub       a parent row with only the key
 *   null       NULL, with a finding
 *   keep       a finding only
 *
 * What is searched is a plain anti-join over whole tables; the row's place (ctid) leads from the search to the
 * change, so no index on the referring column is needed.
 */
#include "sink_settle.h"

static const struct schema_column *ref_type_column(const struct schema *s, const struct schema_ref *r)
{
	return &s->tables[r->table].columns[r->column];
}

/* "FROM child AS row WHERE it is an orphan" */
static void put_orphans(struct buf *sql, const struct schema *s, const struct schema_ref *r)
{
	const struct schema_table *child = &s->tables[r->table], *parent = &s->tables[r->ref_table];
	buf_puts(sql, " FROM ");
	sql_table(sql, s, child);
	buf_puts(sql, " AS " ROW_ALIAS " WHERE ");
	sql_column(sql, ROW_ALIAS, child, r->column);
	buf_puts(sql, " IS NOT NULL AND NOT EXISTS (SELECT 1 FROM ");
	sql_table(sql, s, parent);
	buf_puts(sql, " AS " PARENT_ALIAS " WHERE ");
	sql_column(sql, PARENT_ALIAS, parent, r->ref_column);
	buf_puts(sql, " = ");
	sql_column(sql, ROW_ALIAS, child, r->column);
	buf_putc(sql, ')');
}

/* " AND the id can go to the other column" */
static void put_movable(struct buf *sql, const struct schema *s, const struct schema_ref *r)
{
	const struct schema_table *child = &s->tables[r->table], *other = &s->tables[r->move_ref_table];
	buf_puts(sql, " AND ");
	sql_column(sql, ROW_ALIAS, child, r->move_to);
	buf_puts(sql, " IS NULL AND EXISTS (SELECT 1 FROM ");
	sql_table(sql, s, other);
	buf_puts(sql, " AS " PARENT_ALIAS " WHERE ");
	sql_column(sql, PARENT_ALIAS, other, r->move_ref_column);
	buf_puts(sql, " = ");
	sql_column(sql, ROW_ALIAS, child, r->column);
	buf_putc(sql, ')');
}

static void put_value_columns(struct buf *sql, const struct settle *st, const struct schema_ref *r)
{
	const struct schema_table *child = &st->s->tables[r->table];
	_cleanup_(buf_free) struct buf column;
	buf_init(&column, 0);
	sql_column(&column, ROW_ALIAS, child, r->column);
	sql_id(sql, SQL_ID_BSON_VALUE, &ref_type_column(st->s, r)->type, buf_cstr(&column), st->run);
	buf_puts(sql, " AS value, ");
	sql_id(sql, SQL_ID_JSON, &ref_type_column(st->s, r)->type, buf_cstr(&column), st->run);
	buf_puts(sql, " AS value_text");
}

static bool count_orphans(struct settle *st, const struct schema_ref *r, uint64_t *n)
{
	_cleanup_(buf_free) struct buf sql;
	buf_init(&sql, 0);
	buf_puts(&sql, "SELECT count(*)");
	put_orphans(&sql, st->s, r);
	return sink_counts(st->pg, buf_cstr(&sql), n, 1, st->err);
}

/* --- reject --- */

static bool reject_orphans(struct settle *st, const struct schema_ref *r, uint64_t *n)
{
	const struct schema_table *child = &st->s->tables[r->table];
	_cleanup_(buf_free) struct buf rows;
	_cleanup_(buf_free) struct buf text;
	buf_init(&rows, 0);
	buf_init(&text, 0);
	buf_puts(&rows, "SELECT " ROW_ALIAS ".ctid AS spot, ");
	buf_printf(&text, "%s points to ", child->columns[r->column].name);
	sql_literal(&rows, buf_cstr(&text));
	buf_puts(&rows, " || ");
	sql_id(&rows, SQL_ID_TEXT, &child->columns[r->column].type,
	       sql_column_text(&text, ROW_ALIAS, child, r->column), st->run);
	buf_puts(&rows, " || ");
	buf_reset(&text);
	buf_printf(&text, ", which is no row of %s", st->s->tables[r->ref_table].name);
	sql_literal(&rows, buf_cstr(&text));
	buf_puts(&rows, " AS message, ");
	put_value_columns(&rows, st, r);
	put_orphans(&rows, st->s, r);
	struct removal removal = {.table = r->table,
				  .column = child->columns[r->column].name,
				  .fault = FAULT_ORPHAN,
				  .rows = buf_cstr(&rows)};
	return settle_remove(st, &removal, n);
}

/* --- null, move, keep: a finding for each, and perhaps an UPDATE --- */

struct change {
	const char *kind;
	enum ledger_kind count;
	bool move;   /* only those that can be moved */
	bool update; /* to NULL, after move */
};

static void put_changed_rows(struct buf *sql, const struct settle *st, const struct schema_ref *r,
			     const struct change *c)
{
	const struct schema_table *child = &st->s->tables[r->table];
	buf_puts(sql, "WITH docrow_o AS MATERIALIZED (SELECT " ROW_ALIAS ".ctid AS spot, ");
	sql_key_text(sql, ROW_ALIAS, child);
	buf_puts(sql, " AS key, ");
	sql_document_id(sql, SQL_ID_BSON_ID, ROW_ALIAS, child, st->run);
	buf_puts(sql, " AS doc_id, ");
	sql_document_id(sql, SQL_ID_JSON, ROW_ALIAS, child, st->run);
	buf_puts(sql, " AS doc_id_text, ");
	sql_ordinal(sql, ROW_ALIAS, child);
	buf_puts(sql, " AS ordinal, ");
	put_value_columns(sql, st, r);
	put_orphans(sql, st->s, r);
	if (c->move)
		put_movable(sql, st->s, r);
	buf_putc(sql, ')');
}

static void put_update(struct buf *sql, const struct schema *s, const struct schema_ref *r, const struct change *c)
{
	const struct schema_table *child = &s->tables[r->table];
	buf_puts(sql, ", docrow_u AS (UPDATE ");
	sql_table(sql, s, child);
	buf_puts(sql, " AS " ROW_ALIAS " SET ");
	if (c->move) {
		sql_ident(sql, child->columns[r->move_to].name);
		buf_puts(sql, " = ");
		sql_column(sql, ROW_ALIAS, child, r->column);
		buf_puts(sql, ", ");
	}
	sql_ident(sql, child->columns[r->column].name);
	buf_puts(sql, " = NULL FROM docrow_o WHERE " ROW_ALIAS ".ctid = docrow_o.spot)");
}

static void put_finding(struct buf *sql, const struct settle *st, const struct schema_ref *r, const struct change *c)
{
	const struct schema_table *child = &st->s->tables[r->table];
	buf_printf(
		sql,
		", docrow_n AS (INSERT INTO docrow.finding (run, step, kind, fault, table_name, column_name, "
		"collection, doc_id, doc_id_text, key, ordinal, value, value_text) SELECT %lld, %lld, '%s', '%s', ",
		(long long)st->run, (long long)st->step, c->kind, fault_name(FAULT_ORPHAN));
	sql_literal(sql, child->name);
	buf_puts(sql, ", ");
	sql_literal(sql, child->columns[r->column].name);
	buf_puts(sql, ", ");
	sql_text_or_null(sql, child->collection);
	buf_puts(sql,
		 ", doc_id, doc_id_text, key, ordinal, value, value_text FROM docrow_o ORDER BY key COLLATE \"C\", "
		 "value_text COLLATE \"C\")");
}

static bool change_orphans(struct settle *st, const struct schema_ref *r, const struct change *c)
{
	const struct schema_table *child = &st->s->tables[r->table];
	_cleanup_(buf_free) struct buf sql;
	uint64_t n = 0;
	buf_init(&sql, 0);
	put_changed_rows(&sql, st, r, c);
	if (c->update)
		put_update(&sql, st->s, r, c);
	put_finding(&sql, st, r, c);
	buf_puts(&sql, " SELECT count(*) FROM docrow_o");
	if (!sink_counts(st->pg, buf_cstr(&sql), &n, 1, st->err))
		return false;
	ledger_add(st->ledger, c->count, child->name, child->columns[r->column].name, n);
	return true;
}

/* --- stub --- */

static bool check_stub(struct settle *st, const struct schema_ref *r)
{
	const struct schema_table *parent = &st->s->tables[r->ref_table];
	for (size_t c = 0; c < parent->ncolumns; c++) {
		const struct schema_column *col = &parent->columns[c];
		if ((int)c == r->ref_column || !col->not_null || col->default_sql != NULL)
			continue;
		err_set(st->err, ERR_MAPPING, "no row of %s can stand in for a missing one", parent->name);
		err_detail(st->err, "column %s takes no NULL and has no default", col->name);
		return err_hint(st->err, "choose another if_orphan for %s.%s", st->s->tables[r->table].name,
				ref_type_column(st->s, r)->name);
	}
	return true;
}

static void put_stub_notes(struct buf *sql, const struct settle *st, const struct schema_ref *r)
{
	const struct schema_table *parent = &st->s->tables[r->ref_table];
	const struct pgtype *type = &parent->columns[r->ref_column].type;
	buf_printf(
		sql,
		", docrow_n AS (INSERT INTO docrow.finding (run, step, kind, fault, table_name, column_name, "
		"collection, doc_id, doc_id_text, key, ordinal, value, value_text) SELECT %lld, %lld, 'stub', '%s', ",
		(long long)st->run, (long long)st->step, fault_name(FAULT_ORPHAN));
	sql_literal(sql, parent->name);
	buf_puts(sql, ", ");
	sql_literal(sql, parent->columns[r->ref_column].name);
	buf_puts(sql, ", ");
	sql_text_or_null(sql, parent->collection);
	buf_puts(sql, ", ");
	sql_id(sql, SQL_ID_BSON_ID, type, "v", st->run);
	buf_puts(sql, ", ");
	sql_id(sql, SQL_ID_JSON, type, "v", st->run);
	buf_puts(sql, ", v::text, -1, ");
	sql_id(sql, SQL_ID_BSON_VALUE, type, "v", st->run);
	buf_puts(sql, ", ");
	sql_id(sql, SQL_ID_JSON, type, "v", st->run);
	buf_puts(sql, " FROM docrow_o ORDER BY ");
	sql_order_by(sql, "v", type);
	buf_putc(sql, ')');
}

static bool make_stubs(struct settle *st, const struct schema_ref *r)
{
	const struct schema_table *child = &st->s->tables[r->table], *parent = &st->s->tables[r->ref_table];
	_cleanup_(buf_free) struct buf sql;
	uint64_t n = 0;
	buf_init(&sql, 0);
	if (!check_stub(st, r))
		return false;
	buf_puts(&sql, "WITH docrow_o AS MATERIALIZED (SELECT DISTINCT ");
	sql_column(&sql, ROW_ALIAS, child, r->column);
	buf_puts(&sql, " AS v");
	put_orphans(&sql, st->s, r);
	buf_puts(&sql, "), docrow_i AS (INSERT INTO ");
	sql_table(&sql, st->s, parent);
	buf_puts(&sql, " (");
	sql_ident(&sql, parent->columns[r->ref_column].name);
	buf_puts(&sql, ") SELECT v FROM docrow_o ORDER BY ");
	sql_order_by(&sql, "v", &parent->columns[r->ref_column].type);
	buf_putc(&sql, ')');
	put_stub_notes(&sql, st, r);
	buf_puts(&sql, " SELECT count(*) FROM docrow_o");
	if (!sink_counts(st->pg, buf_cstr(&sql), &n, 1, st->err))
		return false;
	buf_reset(&sql);
	buf_printf(&sql, "%s.%s", child->name, child->columns[r->column].name);
	ledger_add(st->ledger, LEDGER_STUB, parent->name, buf_cstr(&sql), n);
	return true;
}

/* --- one reference --- */

static bool settle_by(struct settle *st, const struct schema_ref *r, enum orphan_policy policy, uint64_t *removed)
{
	static const struct change null = {"orphan_null", LEDGER_ORPHAN_NULL, false, true};
	static const struct change keep = {"orphan_kept", LEDGER_ORPHAN_KEPT, false, false};
	switch (policy) {
	case ORPHAN_NULL:
		return change_orphans(st, r, &null);
	case ORPHAN_KEEP:
		return change_orphans(st, r, &keep);
	case ORPHAN_STUB:
		return make_stubs(st, r);
	case ORPHAN_MOVE_TO: /* as `otherwise` it makes no sense: the strict rule */
	case ORPHAN_REJECT:
		break;
	}
	return reject_orphans(st, r, removed);
}

static bool settle_found(struct settle *st, const struct schema_ref *r, uint64_t *removed)
{
	static const struct change move = {"orphan_moved", LEDGER_ORPHAN_MOVED, true, true};
	uint64_t left;
	if (r->policy != ORPHAN_MOVE_TO)
		return settle_by(st, r, r->policy, removed);
	if (r->move_to >= 0 && !change_orphans(st, r, &move))
		return false;
	return count_orphans(st, r, &left) && (left == 0 || settle_by(st, r, r->otherwise, removed));
}

bool settle_reference(struct settle *st, int ref, uint64_t *removed)
{
	const struct schema_ref *r = &st->s->refs[ref];
	uint64_t n = 0;
	*removed = 0;
	bool ok = count_orphans(st, r, &n) && (n == 0 || settle_found(st, r, removed));
	return ok ||
	       err_where(st->err, "orphans of %s.%s", st->s->tables[r->table].name, ref_type_column(st->s, r)->name);
}

bool sink_settle_orphans(struct pg *pg, const struct schema *s, int ref, int64_t run, int64_t step, struct ledger *l,
			 bool *changed, struct err *err)
{
	struct settle st = {.pg = pg, .s = s, .run = run, .step = step, .ledger = l, .err = err};
	uint64_t removed;
	*changed = false;
	if (!settle_reference(&st, ref, &removed))
		return false;
	*changed = removed > 0;
	return true;
}

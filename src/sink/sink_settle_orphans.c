/* sink_settle_orphans.c - references that point to no row: what to do with them, by the policy of each.
 *
 *   reject     the row becomes a reject, its child rows go with it
 *   move_to    the id goes to the other column, if that is NULL and its table has the id; else by `otherwise`
 *   stub       a parent row with only the key
 *   null       NULL, with a finding
 *   keep       a finding only
 *
 * The search is an anti-join over whole tables (LEFT JOIN to the parent, "docrow_p<ref>", and for move_to to the
 * other parent, "docrow_q<ref>"); the row's place (ctid) leads from the search to the change, so no index on the
 * referring column is needed.
 */
#include <stdio.h>

#include "sink_settle.h"

static bool rejects_rest(const struct schema_ref *r)
{
	return r->otherwise == ORPHAN_REJECT || r->otherwise == ORPHAN_MOVE_TO;
}

bool orphan_can_reject(const struct schema_ref *r)
{
	return r->policy == ORPHAN_REJECT || (r->policy == ORPHAN_MOVE_TO && rejects_rest(r));
}

bool orphan_can_stub(const struct schema_ref *r)
{
	return r->policy == ORPHAN_STUB || (r->policy == ORPHAN_MOVE_TO && r->otherwise == ORPHAN_STUB);
}

bool orphan_can_change(const struct schema_ref *r)
{
	return r->policy == ORPHAN_NULL || r->policy == ORPHAN_KEEP || r->policy == ORPHAN_MOVE_TO;
}

void settle_table(struct buf *sql, const struct settle *st, int table)
{
	if (st->staged != NULL && st->staged[table])
		buf_printf(sql, "pg_temp.docrow_t%d", table);
	else
		sql_rows(sql, st->s, &st->s->tables[table]);
}

/* --- the search --- */

static const struct schema_ref *ref_at(const struct settle *st, int ref)
{
	return &st->s->refs[ref];
}

static const struct schema_table *child_of(const struct settle *st, int ref)
{
	return &st->s->tables[ref_at(st, ref)->table];
}

static const struct schema_column *column_of(const struct settle *st, int ref)
{
	return &child_of(st, ref)->columns[ref_at(st, ref)->column];
}

static bool can_move(const struct schema_ref *r)
{
	return r->policy == ORPHAN_MOVE_TO && r->move_to >= 0;
}

/* Does an earlier reference of the row move its id to the same column? It goes first then. */
static bool moves_before(const struct settle *st, int earlier, int ref)
{
	const struct schema_ref *e = ref_at(st, earlier), *r = ref_at(st, ref);
	return earlier < ref && can_move(e) && e->table == r->table && e->move_to == r->move_to;
}

/* The parent's row, in the table or among those that wait beside it. Few rows are looked up here, so each is looked
 * up by itself. */
static void put_staged_join(struct buf *sql, const struct settle *st, int ref, const char *alias, int table,
			    int column)
{
	const struct schema_table *parent = &st->s->tables[table];
	buf_puts(sql, " LEFT JOIN LATERAL (");
	for (int staged = 0; staged < (st->staged[table] ? 2 : 1); staged++) {
		buf_puts(sql, staged ? " UNION ALL SELECT " : "SELECT ");
		sql_column(sql, "docrow_x", parent, column);
		buf_puts(sql, " FROM ");
		if (staged)
			settle_table(sql, st, table);
		else
			sql_table(sql, st->s, parent);
		buf_puts(sql, " AS docrow_x WHERE ");
		sql_column(sql, "docrow_x", parent, column);
		buf_puts(sql, " = ");
		sql_column(sql, ROW_ALIAS, child_of(st, ref), ref_at(st, ref)->column);
	}
	buf_printf(sql, " LIMIT 1) AS %s ON true", alias);
}

/* Rows that a reference may point to: those that wait in the stage, and beside them those of others in the table. */
static void put_parents(struct buf *sql, const struct settle *st, const struct schema_table *parent, int column)
{
	if (parent->stage == NULL || !parent->has_others) {
		sql_rows(sql, st->s, parent);
		return;
	}
	buf_puts(sql, "(SELECT ");
	sql_ident(sql, parent->columns[column].name);
	buf_printf(sql, " FROM %s UNION SELECT ", parent->stage);
	sql_ident(sql, parent->columns[column].name);
	buf_puts(sql, " FROM ");
	sql_table(sql, st->s, parent);
	buf_putc(sql, ')');
}

static void put_join(struct buf *sql, const struct settle *st, int ref, char letter, int table, int column)
{
	const struct schema_table *parent = &st->s->tables[table];
	char alias[32];
	snprintf(alias, sizeof alias, "docrow_%c%d", letter, ref);
	if (st->staged != NULL) {
		put_staged_join(sql, st, ref, alias, table, column);
		return;
	}
	buf_puts(sql, " LEFT JOIN ");
	put_parents(sql, st, parent, column);
	buf_printf(sql, " AS %s ON ", alias);
	sql_column(sql, alias, parent, column);
	buf_puts(sql, " = ");
	sql_column(sql, ROW_ALIAS, child_of(st, ref), ref_at(st, ref)->column);
}

static void put_joins_of(struct buf *sql, const struct settle *st, int ref)
{
	const struct schema_ref *r = ref_at(st, ref);
	put_join(sql, st, ref, 'p', r->ref_table, r->ref_column);
	if (can_move(r))
		put_join(sql, st, ref, 'q', r->move_ref_table, r->move_ref_column);
}

/* " FROM child AS row LEFT JOIN ..." with all that the conditions on these refs need. */
static void put_from(struct buf *sql, const struct settle *st, const int *refs, size_t n)
{
	buf_puts(sql, " FROM ");
	settle_table(sql, st, ref_at(st, refs[0])->table);
	buf_puts(sql, " AS " ROW_ALIAS);
	for (int ref = 0; ref < (int)st->s->nrefs; ref++) {
		bool wanted = false;
		for (size_t i = 0; i < n && !wanted; i++)
			wanted = refs[i] == ref || (can_move(ref_at(st, refs[i])) && moves_before(st, ref, refs[i]));
		if (wanted)
			put_joins_of(sql, st, ref);
	}
}

static void put_has(struct buf *sql, const struct settle *st, int ref, char letter, int table, int column,
		    const char *test)
{
	char alias[32];
	snprintf(alias, sizeof alias, "docrow_%c%d", letter, ref);
	sql_column(sql, alias, &st->s->tables[table], column);
	buf_puts(sql, test);
}

/* "(the reference is an orphan)" */
static void put_orphan(struct buf *sql, const struct settle *st, int ref)
{
	const struct schema_ref *r = ref_at(st, ref);
	buf_putc(sql, '(');
	sql_column(sql, ROW_ALIAS, child_of(st, ref), r->column);
	buf_puts(sql, " IS NOT NULL AND ");
	put_has(sql, st, ref, 'p', r->ref_table, r->ref_column, " IS NULL)");
}

/* "(it is an orphan and can go to the other column)" */
static void put_movable(struct buf *sql, const struct settle *st, int ref)
{
	const struct schema_ref *r = ref_at(st, ref);
	if (!can_move(r)) {
		buf_puts(sql, "false");
		return;
	}
	buf_putc(sql, '(');
	put_orphan(sql, st, ref);
	buf_puts(sql, " AND ");
	sql_column(sql, ROW_ALIAS, child_of(st, ref), r->move_to);
	buf_puts(sql, " IS NULL AND ");
	put_has(sql, st, ref, 'q', r->move_ref_table, r->move_ref_column, " IS NOT NULL");
	for (int earlier = 0; earlier < ref; earlier++)
		if (moves_before(st, earlier, ref)) {
			buf_puts(sql, " AND NOT ");
			put_movable(sql, st, earlier);
		}
	buf_putc(sql, ')');
}

/* " WHERE it is an orphan that stays where it is" */
static void put_where_stuck(struct buf *sql, const struct settle *st, int ref)
{
	buf_puts(sql, " WHERE ");
	put_orphan(sql, st, ref);
	if (!can_move(ref_at(st, ref)))
		return;
	buf_puts(sql, " AND NOT ");
	put_movable(sql, st, ref);
}

static void put_reference_id(struct buf *sql, const struct settle *st, int ref, enum sql_id_form form)
{
	const struct schema_ref *r = ref_at(st, ref);
	const struct id_origin origin = {st->run, &st->s->tables[r->ref_table]};
	_cleanup_(buf_free) struct buf column = {0};
	sql_id(sql, form, &column_of(st, ref)->type,
	       sql_column_text(&column, ROW_ALIAS, child_of(st, ref), r->column), &origin);
}

bool orphans_count(struct settle *st, const int *refs, size_t n, uint64_t *counts)
{
	_cleanup_(buf_free) struct buf sql = {0};
	for (size_t i = 0; i < n; i++) {
		buf_puts(&sql, i == 0 ? "SELECT count(*) FILTER (WHERE " : ", count(*) FILTER (WHERE ");
		put_orphan(&sql, st, refs[i]);
		buf_putc(&sql, ')');
	}
	put_from(&sql, st, refs, n);
	return sink_counts(st->pg, buf_cstr(&sql), counts, (int)n, st->err);
}

/* --- reject --- */

/* What would have kept the row, and still can. */
static void put_no_null(struct buf *text, const struct settle *st, int ref)
{
	buf_puts(text, ", and the column takes no NULL: ALTER TABLE ");
	sql_table(text, st->s, &st->s->tables[st->s->refs[ref].table]);
	buf_puts(text, " ALTER COLUMN ");
	sql_ident(text, column_of(st, ref)->name);
	buf_puts(text, " DROP NOT NULL, then docrow retry");
}

void orphans_put_rejected(struct buf *sql, struct settle *st, int ref)
{
	const struct schema_ref *r = ref_at(st, ref);
	_cleanup_(buf_free) struct buf text = {0};
	buf_puts(sql, "SELECT " ROW_ALIAS ".ctid AS spot, ");
	buf_printf(&text, "%s points to ", column_of(st, ref)->name);
	sql_literal(sql, buf_cstr(&text));
	buf_puts(sql, " || ");
	put_reference_id(sql, st, ref, SQL_ID_TEXT);
	buf_puts(sql, " || ");
	buf_reset(&text);
	buf_printf(&text, ", which is no row of %s", st->s->tables[r->ref_table].name);
	if (can_move(r))
		buf_printf(&text, " and cannot go to %s", child_of(st, ref)->columns[r->move_to].name);
	if (r->no_null)
		put_no_null(&text, st, ref);
	sql_literal(sql, buf_cstr(&text));
	buf_puts(sql, " AS message, NULL::bytea AS value, NULL::text AS value_text");
	if (st->staged != NULL)
		buf_puts(sql, ", " ROW_ALIAS ".docrow_item AS item");
	put_from(sql, st, &ref, 1);
	put_where_stuck(sql, st, ref);
}

bool orphans_reject(struct settle *st, int ref, uint64_t *removed)
{
	const struct schema_ref *r = ref_at(st, ref);
	_cleanup_(buf_free) struct buf rows = {0};
	orphans_put_rejected(&rows, st, ref);
	struct removal removal = {.table = r->table,
				  .column = column_of(st, ref)->name,
				  .fault = FAULT_ORPHAN,
				  .rows = buf_cstr(&rows)};
	return settle_remove(st, &removal, removed);
}

/* --- null, move, keep: a finding for each, one UPDATE for all --- */

static const char *change_kind(const struct schema_ref *r)
{
	enum orphan_policy p = r->policy == ORPHAN_MOVE_TO ? r->otherwise : r->policy;
	return p == ORPHAN_KEEP ? "orphan_kept" : "orphan_null";
}

static bool becomes_null(const struct schema_ref *r)
{
	return r->policy == ORPHAN_NULL || (r->policy == ORPHAN_MOVE_TO && r->otherwise == ORPHAN_NULL);
}

static void put_row_columns(struct buf *sql, const struct settle *st, const struct schema_table *child)
{
	buf_puts(sql, "WITH docrow_o AS MATERIALIZED (SELECT " ROW_ALIAS ".ctid AS spot, ");
	if (st->staged == NULL) {
		sql_row_identity(sql, ROW_ALIAS, st->s, child, st->run);
		return;
	}
	/* the rows above wait, too: the document is that of the item */
	sql_key_text(sql, ROW_ALIAS, child);
	buf_puts(sql,
		 " AS key, (SELECT i.doc_id FROM pg_temp.docrow_item i WHERE i.item = " ROW_ALIAS ".docrow_item) AS "
		 "doc_id, (SELECT i.doc_id_text FROM pg_temp.docrow_item i WHERE i.item = " ROW_ALIAS
		 ".docrow_item) AS doc_id_text, ");
	sql_ordinal(sql, ROW_ALIAS, child);
	buf_puts(sql, " AS ordinal");
}

/* Per ref: what it is (bad_, moved_) and its original (value_, text_). */
static void put_changed_rows(struct buf *sql, const struct settle *st, const int *refs, size_t n)
{
	put_row_columns(sql, st, child_of(st, refs[0]));
	for (size_t i = 0; i < n; i++) {
		buf_puts(sql, ", ");
		put_orphan(sql, st, refs[i]);
		buf_printf(sql, " AS bad_%d, ", refs[i]);
		put_movable(sql, st, refs[i]);
		buf_printf(sql, " AS moved_%d, ", refs[i]);
		put_reference_id(sql, st, refs[i], SQL_ID_BSON_VALUE);
		buf_printf(sql, " AS value_%d, ", refs[i]);
		put_reference_id(sql, st, refs[i], SQL_ID_JSON);
		buf_printf(sql, " AS text_%d", refs[i]);
	}
	put_from(sql, st, refs, n);
	for (size_t i = 0; i < n; i++) {
		buf_puts(sql, i == 0 ? " WHERE " : " OR ");
		put_orphan(sql, st, refs[i]);
	}
	buf_putc(sql, ')');
}

/* "WHEN ... THEN ..." for every reason why this column gets another value; nothing when there is none. */
static void put_cases(struct buf *sql, const struct settle *st, const int *refs, size_t n, int column)
{
	for (size_t i = 0; i < n; i++) {
		const struct schema_ref *r = ref_at(st, refs[i]);
		if (can_move(r) && r->move_to == column) {
			buf_printf(sql, " WHEN docrow_o.moved_%d THEN ", refs[i]);
			sql_column(sql, ROW_ALIAS, child_of(st, refs[i]), r->column);
		}
		if (r->column == column && (becomes_null(r) || can_move(r)))
			buf_printf(sql, " WHEN docrow_o.%s_%d THEN NULL", becomes_null(r) ? "bad" : "moved", refs[i]);
	}
}

static void put_update(struct buf *sql, const struct settle *st, const int *refs, size_t n)
{
	const struct schema_table *child = child_of(st, refs[0]);
	_cleanup_(buf_free) struct buf sets = {0};
	_cleanup_(buf_free) struct buf cases = {0};
	for (int c = 0; c < (int)child->ncolumns; c++) {
		buf_reset(&cases);
		put_cases(&cases, st, refs, n, c);
		if (cases.len == 0)
			continue;
		buf_puts(&sets, sets.len > 0 ? ", " : "");
		sql_ident(&sets, child->columns[c].name);
		buf_printf(&sets, " = CASE%s ELSE ", buf_cstr(&cases));
		sql_column(&sets, ROW_ALIAS, child, c);
		buf_puts(&sets, " END");
	}
	if (sets.len == 0)
		return;
	buf_puts(sql, ", docrow_u AS (UPDATE ");
	settle_table(sql, st, ref_at(st, refs[0])->table);
	buf_printf(sql, " AS " ROW_ALIAS " SET %s FROM docrow_o WHERE " ROW_ALIAS ".ctid = docrow_o.spot AND (false",
		   buf_cstr(&sets));
	for (size_t i = 0; i < n; i++)
		buf_printf(sql, " OR docrow_o.%s_%d", becomes_null(ref_at(st, refs[i])) ? "bad" : "moved", refs[i]);
	buf_puts(sql, "))");
}

static void put_findings(struct buf *sql, const struct settle *st, int ref)
{
	const struct schema_table *child = child_of(st, ref);
	buf_printf(sql,
		   ", docrow_n%d AS (INSERT INTO docrow.finding (run, step, fault, kind, table_name, column_name,"
		   " collection, doc_id, doc_id_text, key, ordinal, value, value_text) SELECT %lld, %lld, '%s',"
		   " CASE WHEN moved_%d THEN 'orphan_moved' ELSE '%s' END, ",
		   ref, (long long)st->run, (long long)st->step, fault_name(FAULT_ORPHAN), ref,
		   change_kind(ref_at(st, ref)));
	sql_literal(sql, child->name);
	buf_puts(sql, ", ");
	sql_literal(sql, column_of(st, ref)->name);
	buf_puts(sql, ", ");
	sql_text_or_null(sql, schema_feeder(child));
	buf_printf(sql,
		   ", doc_id, doc_id_text, key, ordinal, value_%d, text_%d FROM docrow_o WHERE bad_%d ORDER BY key"
		   " COLLATE \"C\", text_%d COLLATE \"C\")",
		   ref, ref, ref, ref);
}

static void put_change(struct buf *sql, const struct settle *st, const int *refs, size_t n)
{
	put_changed_rows(sql, st, refs, n);
	put_update(sql, st, refs, n);
	for (size_t i = 0; i < n; i++)
		put_findings(sql, st, refs[i]);
	for (size_t i = 0; i < n; i++)
		buf_printf(sql, "%scount(*) FILTER (WHERE moved_%d), count(*) FILTER (WHERE bad_%d AND NOT moved_%d)",
			   i == 0 ? " SELECT " : ", ", refs[i], refs[i], refs[i]);
	buf_puts(sql, " FROM docrow_o");
}

static void count_change(struct settle *st, int ref, uint64_t moved, uint64_t rest)
{
	const char *table = child_of(st, ref)->name, *column = column_of(st, ref)->name;
	bool null = becomes_null(ref_at(st, ref));
	ledger_add(st->ledger, LEDGER_ORPHAN_MOVED, table, column, moved);
	ledger_add(st->ledger, null ? LEDGER_ORPHAN_NULL : LEDGER_ORPHAN_KEPT, table, column, rest);
}

bool orphans_change(struct settle *st, const int *refs, size_t n)
{
	_cleanup_(buf_free) struct buf sql = {0};
	put_change(&sql, st, refs, n);
	struct arena *a = arena_new();
	uint64_t *counts = arena_alloc(a, 2 * n * sizeof *counts);
	bool ok = sink_counts(st->pg, buf_cstr(&sql), counts, (int)(2 * n), st->err);
	for (size_t i = 0; ok && i < n; i++)
		count_change(st, refs[i], counts[2 * i], counts[2 * i + 1]);
	arena_free(a);
	return ok;
}

/* --- stub --- */

static bool check_stub(struct settle *st, int ref)
{
	const struct schema_ref *r = ref_at(st, ref);
	const struct schema_table *parent = &st->s->tables[r->ref_table];
	for (size_t c = 0; c < parent->ncolumns; c++) {
		const struct schema_column *col = &parent->columns[c];
		if ((int)c == r->ref_column || !col->not_null || col->default_sql != NULL ||
		    col->generated_sql != NULL)
			continue;
		err_set(st->err, ERR_MAPPING, "no row of %s can stand in for a missing one", parent->name);
		err_detail(st->err, "column %s takes no NULL and has no default", col->name);
		return err_hint(st->err, "choose another if_orphan for %s.%s", child_of(st, ref)->name,
				column_of(st, ref)->name);
	}
	return true;
}

static void put_stub_findings(struct buf *sql, const struct settle *st, const struct schema_ref *r)
{
	const struct schema_table *parent = &st->s->tables[r->ref_table];
	const struct pgtype *type = &parent->columns[r->ref_column].type;
	const struct id_origin origin = {st->run, parent};
	buf_printf(sql,
		   ", docrow_n AS (INSERT INTO docrow.finding (run, step, kind, fault, table_name, column_name,"
		   " collection, doc_id, doc_id_text, key, ordinal, value, value_text) SELECT %lld, %lld, 'stub', "
		   "'%s', ",
		   (long long)st->run, (long long)st->step, fault_name(FAULT_ORPHAN));
	sql_literal(sql, parent->name);
	buf_puts(sql, ", ");
	sql_literal(sql, parent->columns[r->ref_column].name);
	buf_puts(sql, ", ");
	sql_text_or_null(sql, schema_feeder(parent));
	buf_puts(sql, ", ");
	sql_id(sql, SQL_ID_BSON_ID, type, "v", &origin);
	buf_puts(sql, ", ");
	sql_id(sql, SQL_ID_JSON, type, "v", &origin);
	buf_puts(sql, ", v::text, NULL::bigint, ");
	sql_id(sql, SQL_ID_BSON_VALUE, type, "v", &origin);
	buf_puts(sql, ", ");
	sql_id(sql, SQL_ID_JSON, type, "v", &origin);
	buf_puts(sql, " FROM docrow_o ORDER BY ");
	sql_order_by(sql, "v", type);
	buf_putc(sql, ')');
}

static void put_stub(struct buf *sql, const struct settle *st, int ref)
{
	const struct schema_ref *r = ref_at(st, ref);
	const struct schema_table *parent = &st->s->tables[r->ref_table];
	buf_puts(sql, "WITH docrow_o AS MATERIALIZED (SELECT DISTINCT ");
	sql_column(sql, ROW_ALIAS, child_of(st, ref), r->column);
	buf_puts(sql, " AS v");
	put_from(sql, st, &ref, 1);
	put_where_stuck(sql, st, ref);
	buf_puts(sql, "), docrow_i AS (INSERT INTO ");
	sql_rows(sql, st->s, parent);
	buf_puts(sql, " (");
	sql_ident(sql, parent->columns[r->ref_column].name);
	buf_puts(sql, ") SELECT v FROM docrow_o ORDER BY ");
	sql_order_by(sql, "v", &parent->columns[r->ref_column].type);
	buf_putc(sql, ')');
	put_stub_findings(sql, st, r);
	buf_puts(sql, " SELECT count(*) FROM docrow_o");
}

bool orphans_stub(struct settle *st, int ref)
{
	_cleanup_(buf_free) struct buf sql = {0};
	_cleanup_(buf_free) struct buf path = {0};
	uint64_t n = 0;
	if (!check_stub(st, ref))
		return false;
	put_stub(&sql, st, ref);
	if (!sink_counts(st->pg, buf_cstr(&sql), &n, 1, st->err))
		return false;
	buf_printf(&path, "%s.%s", child_of(st, ref)->name, column_of(st, ref)->name);
	ledger_add(st->ledger, LEDGER_STUB, st->s->tables[ref_at(st, ref)->ref_table].name, buf_cstr(&path), n);
	return true;
}

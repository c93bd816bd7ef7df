/* sink_retry.c - rejects that are tried again: their rows wait in temporary tables beside the target's, where keys,
 * unique indexes and references are settled set-wise, and what may go in is inserted with all constraints in force.
 *
 *   sink_retry_new → sink_retry_item*, sink_retry_put*, sink_retry_row* → sink_retry_settle → sink_retry_verdicts
 *                  → sink_retry_store → sink_retry_free
 *
 * All of it inside the caller's savepoint: when the server refuses, the whole try is rolled back. An item is what one
 * reject (or all of a document's) stands for. It is blocked when its own row cannot go in; a row of a child table
 * that came with its document is taken out by itself and becomes a reject of its own, as in settling.
 *
 *   pg_temp.docrow_item     the items: kind 'd' document, 'e' element, 'r' row; verdict
 *   pg_temp.docrow_t<i>     rows for table i, with their item
 *   pg_temp.docrow_j<i>     raw pairs for junction i, with their item
 */
#include "sink_retry.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void retry_columns(struct buf *sql, const struct schema_table *t, const struct schema_copy *c, const char *alias)
{
	size_t n = c != NULL ? c->ncolumns : t->ncolumns;
	bool first = true;
	for (size_t i = 0; i < n; i++) {
		int column = c != NULL ? c->columns[i] : (int)i;
		if (t->columns[column].generated_sql != NULL)
			continue;
		buf_puts(sql, first ? "" : ", ");
		first = false;
		if (alias != NULL)
			sql_column(sql, alias, t, column);
		else
			sql_ident(sql, t->columns[column].name);
	}
}

/* --- the temporary tables --- */

static bool create_items(struct sink_retry *r, struct err *err)
{
	return pg_exec(
		r->st.pg,
		"CREATE TEMP TABLE docrow_item (item bigint PRIMARY KEY, kind \"char\" NOT NULL, tab integer NOT "
		"NULL, doc_id bytea, doc_id_text text, lead bigint, is_stub boolean NOT NULL DEFAULT false, "
		"fault text, column_name text, message text) ON COMMIT DROP",
		err);
}

static bool create_rows(struct sink_retry *r, int table, struct err *err)
{
	const struct schema *s = r->st.s;
	const struct schema_table *t = &s->tables[table];
	_cleanup_(buf_free) struct buf sql = {0};
	buf_printf(&sql, "CREATE TEMP TABLE docrow_t%d ON COMMIT DROP AS SELECT 0::bigint AS docrow_item, ", table);
	retry_columns(&sql, t, NULL, ROW_ALIAS);
	buf_puts(&sql, " FROM ");
	sql_table(&sql, s, t);
	buf_printf(&sql,
		   " AS " ROW_ALIAS
		   " WHERE false; ALTER TABLE pg_temp.docrow_t%d ADD COLUMN docrow_n bigint GENERATED "
		   "ALWAYS AS IDENTITY",
		   table);
	return pg_exec(r->st.pg, buf_cstr(&sql), err);
}

static bool create_pairs(struct sink_retry *r, int junction, struct err *err)
{
	return pg_execf(
		r->st.pg, err,
		"CREATE TEMP TABLE docrow_j%d ON COMMIT DROP AS SELECT 0::bigint AS docrow_item, l, r, side FROM "
		"docrow.pairs_%d WHERE false; CREATE TEMP TABLE docrow_k%d ON COMMIT DROP AS SELECT l, r FROM "
		"docrow.pairs_%d WHERE false",
		junction, junction, junction, junction);
}

static bool create_stages(struct sink_retry *r, const struct schema_copy *const *copies, size_t n, struct err *err)
{
	const struct schema *s = r->st.s;
	for (size_t i = 0; i < n; i++) {
		const struct schema_copy *c = copies[i];
		if (c->junction >= 0 || r->staged[c->table])
			continue;
		r->staged[c->table] = true;
		r->copies[c->table] = c;
		r->order[r->norder++] = c->table;
		if (!create_rows(r, c->table, err))
			return false;
	}
	/* every junction that has an end here: pairs that wait for one of these rows are looked at, too */
	for (size_t j = 0; j < s->njunctions; j++) {
		const struct schema_junction *u = &s->junctions[j];
		r->pairs[j] = u->left_table == r->main_table || u->right_table == r->main_table;
		for (size_t i = 0; i < n; i++)
			r->pairs[j] |= copies[i]->junction == (int)j;
		if (r->pairs[j] && !create_pairs(r, (int)j, err))
			return false;
	}
	return true;
}

bool sink_retry_new(struct sink_retry **out, struct pg *pg, const struct schema *s, int64_t run, int64_t step,
		    struct ledger *l, const struct schema_copy *const *copies, size_t n, struct err *err)
{
	struct sink_retry *r = mem_zalloc(sizeof *r);
	*out = r;
	r->arena = arena_new();
	r->staged = arena_alloc(r->arena, (s->ntables + 1) * sizeof *r->staged);
	r->pairs = arena_alloc(r->arena, (s->njunctions + 1) * sizeof *r->pairs);
	r->copies = arena_alloc(r->arena, (s->ntables + 1) * sizeof *r->copies);
	r->order = arena_alloc(r->arena, (s->ntables + 1) * sizeof *r->order);
	r->main_table = copies[0]->table;
	r->st = (struct settle){
		.pg = pg, .s = s, .run = run, .step = step, .ledger = l, .err = err, .staged = r->staged};
	return create_items(r, err) && create_stages(r, copies, n, err);
}

static void put_drop(struct buf *sql, char letter, size_t i)
{
	buf_printf(sql, ", pg_temp.docrow_%c%zu", letter, i);
}

bool sink_retry_end(struct sink_retry *r, struct err *err)
{
	_cleanup_(buf_free) struct buf sql = {0};
	buf_puts(&sql, "DROP TABLE pg_temp.docrow_item");
	for (size_t i = 0; i < r->st.s->ntables; i++)
		if (r->staged[i])
			put_drop(&sql, 't', i);
	for (size_t j = 0; j < r->st.s->njunctions; j++)
		if (r->pairs[j]) {
			put_drop(&sql, 'j', j);
			put_drop(&sql, 'k', j);
		}
	return pg_exec(r->st.pg, buf_cstr(&sql), err);
}

void sink_retry_free(struct sink_retry *r)
{
	if (r == NULL)
		return;
	arena_free(r->arena);
	free(r);
}

/* --- what waits --- */

bool sink_retry_items(struct sink_retry *r, struct rowbuf *items, struct err *err)
{
	_cleanup_(rowbuf_free) struct rowbuf edge = {0};
	rowbuf_init(&edge);
	rowbuf_header(&edge);
	return pg_copy_begin(r->st.pg,
			     "COPY pg_temp.docrow_item (item, kind, tab, doc_id, doc_id_text, lead) FROM STDIN WITH "
			     "(FORMAT binary)",
			     err) &&
	       pg_copy_put(r->st.pg, edge.buf.data, edge.buf.len, err) && sink_copy_put(r->st.pg, items, err) &&
	       sink_copy_end(r->st.pg, NULL, err);
}

bool sink_retry_put(struct sink_retry *r, const struct schema_copy *c, struct rowbuf *rows, struct err *err)
{
	if (rows->rows == 0)
		return true;
	_cleanup_(buf_free) struct buf sql = {0};
	_cleanup_(rowbuf_free) struct rowbuf edge = {0};
	rowbuf_init(&edge);
	rowbuf_header(&edge);
	if (c->junction >= 0) {
		buf_printf(&sql, "COPY pg_temp.docrow_j%d (docrow_item, l, r, side", c->junction);
	} else {
		buf_printf(&sql, "COPY pg_temp.docrow_t%d (docrow_item, ", c->table);
		retry_columns(&sql, &r->st.s->tables[c->table], c, NULL);
	}
	buf_puts(&sql, ") FROM STDIN WITH (FORMAT binary)");
	return pg_copy_begin(r->st.pg, buf_cstr(&sql), err) &&
	       pg_copy_put(r->st.pg, edge.buf.data, edge.buf.len, err) && sink_copy_put(r->st.pg, rows, err) &&
	       sink_copy_end(r->st.pg, NULL, err);
}

bool sink_retry_row(struct sink_retry *r, int64_t item, int table, int64_t reject, struct err *err)
{
	const struct schema_table *t = &r->st.s->tables[table];
	_cleanup_(buf_free) struct buf sql = {0};
	buf_printf(&sql, "INSERT INTO pg_temp.docrow_t%d (docrow_item, ", table);
	retry_columns(&sql, t, NULL, NULL);
	buf_printf(&sql, ") SELECT %lld, ", (long long)item);
	retry_columns(&sql, t, NULL, "p");
	buf_puts(&sql, " FROM docrow.reject o, json_populate_record(NULL::");
	sql_table(&sql, r->st.s, t);
	buf_printf(&sql, ", o.row_text::json) p WHERE o.id = %lld", (long long)reject);
	return pg_exec(r->st.pg, buf_cstr(&sql), err);
}

/* --- what hung on a row that was taken out --- */

/* A row of table `table` that hangs on an item of kind 'r': it counted as child_of_reject. */
#define IS_INSIDE "i.kind = 'r' AND i.tab <> %d"

static bool count_inside(struct sink_retry *r, int table, const char *sql, bool comes)
{
	uint64_t n;
	if (!sink_counts(r->st.pg, sql, &n, 1, r->st.err))
		return false;
	ledger_add(r->st.ledger, LEDGER_CHILD_OF_REJECT, r->st.s->tables[table].name, "", comes ? 0 - n : n);
	return true;
}

/* Rows that wait for an item take those below them along. */
static bool hand_down(struct sink_retry *r, int table, int link)
{
	const struct schema *s = r->st.s;
	const struct schema_table *t = &s->tables[table];
	_cleanup_(buf_free) struct buf sql = {0};
	buf_puts(&sql, "UPDATE ");
	retry_stage(&sql, table);
	buf_puts(&sql, " AS " ROW_ALIAS " SET docrow_item = up.docrow_item FROM ");
	retry_stage(&sql, t->parent_table);
	buf_puts(&sql,
		 " AS up JOIN pg_temp.docrow_item i ON i.item = up.docrow_item AND i.kind = 'r' WHERE " ROW_ALIAS
		 ".docrow_item < 0 AND ");
	sql_column(&sql, "up", &s->tables[t->parent_table], link);
	buf_puts(&sql, " = ");
	sql_column(&sql, ROW_ALIAS, t, t->parent_column);
	return pg_exec(r->st.pg, buf_cstr(&sql), r->st.err);
}

/* Rows that are rejects of their own come by themselves. */
static bool leave_rejects(struct sink_retry *r, int table)
{
	const struct schema_table *t = &r->st.s->tables[table];
	_cleanup_(buf_free) struct buf sql = {0};
	buf_puts(&sql, "DELETE FROM ");
	retry_stage(&sql, table);
	buf_puts(&sql, " AS " ROW_ALIAS " USING pg_temp.docrow_item i, docrow.reject x");
	if (t->nprimary_key == 0) {
		buf_puts(&sql, ", json_populate_record(NULL::");
		sql_table(&sql, r->st.s, t);
		buf_puts(&sql, ", x.row_text::json) p");
	}
	buf_printf(&sql,
		   " WHERE i.item = " ROW_ALIAS ".docrow_item AND " IS_INSIDE
		   " AND x.run = %lld AND x.state = 'open' "
		   "AND x.row_text IS NOT NULL AND x.table_name = ",
		   table, (long long)r->st.run);
	sql_literal(&sql, t->name);
	if (t->nprimary_key > 0) {
		buf_puts(&sql, " AND x.key = ");
		sql_key_text(&sql, ROW_ALIAS, t);
	} else {
		buf_puts(&sql, " AND ROW(");
		retry_columns(&sql, t, NULL, "p");
		buf_puts(&sql, ")::text = ROW(");
		retry_columns(&sql, t, NULL, ROW_ALIAS);
		buf_puts(&sql, ")::text");
	}
	return pg_exec(r->st.pg, buf_cstr(&sql), r->st.err);
}

static bool take_inside(struct sink_retry *r, int table)
{
	const struct schema_table *t = &r->st.s->tables[table];
	int link = t->parent_table >= 0 && r->staged[t->parent_table] ? sink_link_column(r->st.s, t) : -1;
	_cleanup_(buf_free) struct buf count = {0};
	buf_printf(&count,
		   "SELECT count(*) FROM pg_temp.docrow_t%d t JOIN pg_temp.docrow_item i ON i.item = t.docrow_item "
		   "WHERE " IS_INSIDE,
		   table, table);
	return (link < 0 || hand_down(r, table, link)) &&
	       pg_execf(r->st.pg, r->st.err, "DELETE FROM pg_temp.docrow_t%d WHERE docrow_item < 0", table) &&
	       leave_rejects(r, table) && count_inside(r, table, buf_cstr(&count), true);
}

bool sink_retry_inside(struct sink_retry *r, struct err *err)
{
	r->st.err = err;
	for (size_t i = 0; i < r->norder; i++)
		if (r->order[i] != r->main_table && !take_inside(r, r->order[i]))
			return false;
	return true;
}

/* --- blocking --- */

static bool purge_table(struct sink_retry *r, int table)
{
	_cleanup_(buf_free) struct buf sql = {0};
	buf_printf(&sql,
		   "WITH d AS (DELETE FROM pg_temp.docrow_t%d t USING pg_temp.docrow_item i WHERE i.item = "
		   "t.docrow_item AND i.fault IS NOT NULL RETURNING " IS_INSIDE " AS inside) SELECT count(*) FILTER "
		   "(WHERE inside) FROM d",
		   table, table);
	return count_inside(r, table, buf_cstr(&sql), false);
}

/* Rows of blocked items wait for nothing. */
static bool purge(struct sink_retry *r)
{
	const struct schema *s = r->st.s;
	for (size_t i = 0; i < s->ntables; i++)
		if (r->staged[i] && !purge_table(r, (int)i))
			return false;
	for (size_t j = 0; j < s->njunctions; j++)
		if (r->pairs[j] &&
		    !pg_execf(r->st.pg, r->st.err,
			      "DELETE FROM pg_temp.docrow_j%zu t USING pg_temp.docrow_item i WHERE i.item "
			      "= t.docrow_item AND i.fault IS NOT NULL",
			      j))
			return false;
	return true;
}

/* A row that waits for `table`, as a query `rows` finds it: spot, item, message. */
struct block {
	int table;
	const char *column; /* or NULL */
	enum fault fault;
	const char *rows;
};

static bool block_items(struct sink_retry *r, const struct block *b, uint64_t *n)
{
	_cleanup_(buf_free) struct buf sql = {0};
	buf_printf(&sql,
		   "WITH o AS MATERIALIZED (%s), u AS (UPDATE pg_temp.docrow_item AS i SET fault = '%s', message = "
		   "o.message, column_name = ",
		   b->rows, fault_name(b->fault));
	sql_text_or_null(&sql, b->column);
	buf_printf(&sql,
		   " FROM o WHERE i.item = o.item AND i.tab = %d AND i.fault IS NULL RETURNING 1) SELECT count(*) "
		   "FROM u",
		   b->table);
	return sink_counts(r->st.pg, buf_cstr(&sql), n, 1, r->st.err);
}

/* What hangs on rows that were taken out of docrow_t<table> (in `from`, with link_<child>) goes with them. */
static int put_children(struct buf *sql, const struct sink_retry *r, int table, const char *from, int *tables, int n)
{
	const struct schema *s = r->st.s;
	for (size_t c = 0; c < s->ntables; c++) {
		int link =
			r->staged[c] && s->tables[c].parent_table == table ? sink_link_column(s, &s->tables[c]) : -1;
		if (link < 0)
			continue;
		char name[32];
		snprintf(name, sizeof name, "docrow_x%zu", c);
		buf_printf(sql, ", %s AS (DELETE FROM pg_temp.docrow_t%zu AS " ROW_ALIAS " USING %s up WHERE ", name,
			   c, from);
		sql_column(sql, ROW_ALIAS, &s->tables[c], s->tables[c].parent_column);
		buf_puts(sql, " = up.");
		sql_ident(sql, s->tables[table].columns[link].name);
		buf_puts(sql, " AND " ROW_ALIAS ".docrow_item = up.docrow_item RETURNING " ROW_ALIAS ".*)");
		tables[n++] = (int)c;
		n = put_children(sql, r, (int)c, name, tables, n);
	}
	return n;
}

/* Rows that came with their document and cannot go in: rejects of their own. */
static void put_taken_out(struct buf *sql, const struct sink_retry *r, const struct block *b)
{
	const struct schema_table *t = &r->st.s->tables[b->table];
	buf_printf(sql,
		   "WITH o AS MATERIALIZED (%s), g AS (DELETE FROM pg_temp.docrow_t%d AS " ROW_ALIAS
		   " USING o, pg_temp.docrow_item i WHERE " ROW_ALIAS
		   ".ctid = o.spot AND i.item = o.item AND i.tab <> %d "
		   "RETURNING " ROW_ALIAS ".*, o.message AS docrow_message, ",
		   b->rows, b->table, b->table);
	sql_key_text(sql, ROW_ALIAS, t);
	buf_puts(sql, " AS docrow_key, ");
	sql_ordinal(sql, ROW_ALIAS, t);
	buf_puts(sql, " AS docrow_ordinal)");
}

static void put_their_rejects(struct buf *sql, const struct sink_retry *r, const struct block *b)
{
	const struct schema_table *t = &r->st.s->tables[b->table];
	buf_printf(
		sql,
		", n AS (INSERT INTO docrow.reject (run, step, fault, code, table_name, column_name, collection, "
		"message, doc_id, doc_id_text, key, ordinal, document, document_text, row_text) SELECT %lld, %lld, "
		"'%s', '%s', ",
		(long long)r->st.run, (long long)r->st.step, fault_name(b->fault), fault_code(b->fault));
	sql_literal(sql, t->name);
	buf_puts(sql, ", ");
	sql_text_or_null(sql, b->column);
	buf_puts(sql, ", ");
	buf_puts(sql, "(SELECT l.collection FROM docrow.reject l WHERE l.id = i.lead)");
	buf_puts(sql, ", g.docrow_message, i.doc_id, i.doc_id_text, g.docrow_key, g.docrow_ordinal, w.document, "
		      "w.document_text, row_to_json((SELECT x FROM (SELECT ");
	retry_columns(sql, t, NULL, "g");
	buf_puts(sql,
		 ") x))::text FROM g JOIN pg_temp.docrow_item i ON i.item = g.docrow_item LEFT JOIN docrow.reject w "
		 "ON w.id = i.lead AND i.kind <> 'e' ORDER BY g.docrow_key COLLATE \"C\")");
}

static bool take_out(struct sink_retry *r, const struct block *b)
{
	const struct schema *s = r->st.s;
	int *tables = arena_alloc(r->arena, (s->ntables + 1) * sizeof *tables);
	uint64_t *counts = arena_alloc(r->arena, (s->ntables + 1) * sizeof *counts);
	_cleanup_(buf_free) struct buf sql = {0};
	put_taken_out(&sql, r, b);
	int n = put_children(&sql, r, b->table, "g", tables, 0);
	put_their_rejects(&sql, r, b);
	buf_puts(&sql, " SELECT (SELECT count(*) FROM g)");
	for (int i = 0; i < n; i++)
		buf_printf(&sql, ", (SELECT count(*) FROM docrow_x%d)", tables[i]);
	if (!sink_counts(r->st.pg, buf_cstr(&sql), counts, n + 1, r->st.err))
		return false;
	ledger_add(r->st.ledger, LEDGER_REJECT_ROW, s->tables[b->table].name, fault_name(b->fault), counts[0]);
	for (int i = 0; i < n; i++)
		ledger_add(r->st.ledger, LEDGER_CHILD_OF_REJECT, s->tables[tables[i]].name, "", counts[i + 1]);
	return true;
}

static bool block(struct sink_retry *r, const struct block *b, bool *any)
{
	uint64_t n;
	if (b->table != r->main_table && !take_out(r, b))
		return false;
	if (!block_items(r, b, &n))
		return false;
	if (any != NULL)
		*any |= n > 0;
	return n == 0 || purge(r);
}

/* --- what may not go in --- */

/* A row of a child table whose row above is not there. */
static bool block_without_parent(struct sink_retry *r, int table)
{
	const struct schema *s = r->st.s;
	const struct schema_table *t = &s->tables[table];
	int up = t->parent_table, link = up >= 0 ? sink_link_column(s, t) : -1;
	if (link < 0)
		return true;
	_cleanup_(buf_free) struct buf rows = {0};
	buf_puts(&rows, "SELECT " ROW_ALIAS ".ctid AS spot, " ROW_ALIAS ".docrow_item AS item, ");
	buf_puts(&rows, "'the row above it is not in ' || ");
	sql_literal(&rows, s->tables[up].name);
	buf_puts(&rows, " AS message FROM ");
	retry_stage(&rows, table);
	buf_puts(&rows, " AS " ROW_ALIAS " WHERE true");
	for (int staged = 0; staged < (r->staged[up] ? 2 : 1); staged++) {
		buf_puts(&rows, " AND NOT EXISTS (SELECT FROM ");
		if (staged)
			retry_stage(&rows, up);
		else
			sql_table(&rows, s, &s->tables[up]);
		buf_puts(&rows, " AS up WHERE ");
		sql_column(&rows, "up", &s->tables[up], link);
		buf_puts(&rows, " = ");
		sql_column(&rows, ROW_ALIAS, t, t->parent_column);
		buf_putc(&rows, ')');
	}
	return block(r, &(struct block){.table = table, .fault = FAULT_ORPHAN, .rows = buf_cstr(&rows)}, NULL);
}

/* Stand-ins made for references are no owners: the document takes their place. */
static bool find_stubs(struct sink_retry *r)
{
	const struct schema_table *t = &r->st.s->tables[r->main_table];
	_cleanup_(buf_free) struct buf sql = {0};
	buf_puts(&sql, "UPDATE pg_temp.docrow_item AS i SET is_stub = true FROM ");
	retry_stage(&sql, r->main_table);
	buf_printf(&sql,
		   " AS " ROW_ALIAS ", docrow.finding f WHERE i.item = " ROW_ALIAS
		   ".docrow_item AND f.run = %lld AND "
		   "f.kind = 'stub' AND f.state = 'open' AND f.table_name = ",
		   (long long)r->st.run);
	sql_literal(&sql, t->name);
	buf_puts(&sql, " AND f.key = ");
	sql_key_text(&sql, ROW_ALIAS, t);
	return t->nprimary_key != 1 || pg_exec(r->st.pg, buf_cstr(&sql), r->st.err);
}

static void put_owner(struct buf *sql, const struct sink_retry *r, const struct schema_table *t, const char *alias)
{
	buf_puts(sql, "coalesce(");
	sql_document_id(sql, SQL_ID_TEXT, alias, r->st.s, t, r->st.run);
	buf_puts(sql, ", 'another row')");
}

/* Message of a row that has the same `what` as one that stays. */
static void put_same(struct buf *sql, const struct sink_retry *r, const struct schema_table *t, const char *what,
		     const char *owner, const char *reason)
{
	_cleanup_(buf_free) struct buf text = {0};
	buf_printf(&text, " has the same %s as ", what);
	buf_puts(sql, "(SELECT coalesce(");
	sql_document_id(sql, SQL_ID_TEXT, ROW_ALIAS, r->st.s, t, r->st.run);
	buf_puts(sql, ", 'a row')) || ");
	sql_literal(sql, buf_cstr(&text));
	buf_printf(sql, " || %s || ", owner);
	buf_reset(&text);
	buf_printf(&text, ", which stays (%s)", reason);
	sql_literal(sql, buf_cstr(&text));
	buf_puts(sql, " AS message");
}

static bool block_key_taken(struct sink_retry *r, int table)
{
	const struct schema_table *t = &r->st.s->tables[table];
	_cleanup_(buf_free) struct buf rows = {0}, owner = {0};
	put_owner(&owner, r, t, "there");
	buf_puts(&rows, "SELECT " ROW_ALIAS ".ctid AS spot, " ROW_ALIAS ".docrow_item AS item, ");
	put_same(&rows, r, t, "key", buf_cstr(&owner), "primary key");
	buf_puts(&rows, " FROM ");
	retry_stage(&rows, table);
	buf_puts(&rows, " AS " ROW_ALIAS " JOIN pg_temp.docrow_item i ON i.item = " ROW_ALIAS
			".docrow_item AND NOT i.is_stub JOIN ");
	sql_table(&rows, r->st.s, t);
	buf_puts(&rows, " AS there ON ");
	sql_same_key(&rows, t, "there", ROW_ALIAS);
	return block(r, &(struct block){.table = table, .fault = FAULT_DUPLICATE, .rows = buf_cstr(&rows)}, NULL);
}

static void put_key_list(struct buf *sql, const struct schema_table *t, const char *alias)
{
	for (size_t i = 0; i < t->nprimary_key; i++) {
		buf_puts(sql, i > 0 ? ", " : "");
		sql_column(sql, alias, t, t->primary_key[i]);
	}
}

/* All but the first of the rows that wait; items come in the order of their _ids. */
static bool block_key_twice(struct sink_retry *r, int table)
{
	const struct schema_table *t = &r->st.s->tables[table];
	_cleanup_(buf_free) struct buf rows = {0}, owner = {0};
	put_owner(&owner, r, t, ROW_ALIAS);
	buf_puts(&rows, "SELECT spot, item, message FROM (SELECT " ROW_ALIAS ".ctid AS spot, " ROW_ALIAS
			".docrow_item AS item, ");
	put_same(&rows, r, t, "key", "'another one that waits'", "primary key");
	buf_puts(&rows, ", row_number() OVER (PARTITION BY ");
	put_key_list(&rows, t, ROW_ALIAS);
	buf_puts(&rows, " ORDER BY " ROW_ALIAS ".docrow_item, " ROW_ALIAS ".docrow_n) AS place FROM ");
	retry_stage(&rows, table);
	buf_puts(&rows, " AS " ROW_ALIAS ") p WHERE place > 1");
	return block(r, &(struct block){.table = table, .fault = FAULT_DUPLICATE, .rows = buf_cstr(&rows)}, NULL);
}

/* --- unique indexes --- */

struct unique {
	const struct schema_table *t;
	const struct schema_index *i;
	struct buf keys; /* bare names or the expression */
	struct buf what, reason;
};

static void unique_init(struct unique *u, const struct schema_table *t, const struct schema_index *i)
{
	*u = (struct unique){.t = t, .i = i};
	buf_init(&u->keys, 0);
	buf_init(&u->what, 0);
	buf_init(&u->reason, 0);
	for (size_t k = 0; i->expression == NULL && k < i->ncolumns; k++) {
		buf_puts(&u->keys, k > 0 ? ", " : "");
		sql_ident(&u->keys, i->columns[k]);
		buf_printf(&u->what, "%s%s", k > 0 ? ", " : "", i->columns[k]);
	}
	if (i->expression != NULL) {
		buf_puts(&u->keys, i->expression);
		buf_puts(&u->what, "key");
	}
	buf_printf(&u->reason, "unique index %s", i->name);
}

static void unique_free(struct unique *u)
{
	buf_free(&u->keys);
	buf_free(&u->what);
	buf_free(&u->reason);
}

/* Rows that the index holds: "SELECT ctid AS docrow_spot, *, ROW(keys) AS docrow_keys FROM x WHERE ..." */
static void put_indexed(struct buf *sql, struct unique *u, const char *from)
{
	buf_printf(sql, "(SELECT ctid AS docrow_spot, *, ROW(%s) AS docrow_keys FROM %s WHERE ", buf_cstr(&u->keys),
		   from);
	if (u->i->nulls_not_distinct)
		buf_puts(sql, "true");
	else
		buf_printf(sql, "num_nulls(%s) = 0", buf_cstr(&u->keys));
	if (u->i->where != NULL)
		buf_printf(sql, " AND (%s)", u->i->where);
	buf_putc(sql, ')');
}

/* Columns are compared one by one, so that the index can be used. */
static void put_equal(struct buf *sql, const struct unique *u, const char *alias, const char *other)
{
	const char *test = u->i->nulls_not_distinct ? "IS NOT DISTINCT FROM" : "=";
	if (u->i->expression != NULL)
		buf_printf(sql, "%s.docrow_keys %s %s.docrow_keys", alias, test, other);
	for (size_t k = 0; u->i->expression == NULL && k < u->i->ncolumns; k++) {
		int c = schema_find_column(u->t, u->i->columns[k]);
		buf_puts(sql, k > 0 ? " AND " : "");
		sql_column(sql, alias, u->t, c);
		buf_printf(sql, " %s ", test);
		sql_column(sql, other, u->t, c);
	}
}

static bool block_unique(struct sink_retry *r, int table, struct unique *u, const char *rows)
{
	return block(r,
		     &(struct block){.table = table,
				     .column = u->i->ncolumns == 1 ? u->i->columns[0] : NULL,
				     .fault = FAULT_DUPLICATE,
				     .rows = rows},
		     NULL);
}

static bool block_unique_taken(struct sink_retry *r, int table, struct unique *u)
{
	_cleanup_(buf_free) struct buf rows = {0}, owner = {0}, from = {0};
	put_owner(&owner, r, u->t, "there");
	buf_puts(&rows, "SELECT " ROW_ALIAS ".docrow_spot AS spot, " ROW_ALIAS ".docrow_item AS item, ");
	put_same(&rows, r, u->t, buf_cstr(&u->what), buf_cstr(&owner), buf_cstr(&u->reason));
	buf_puts(&rows, " FROM ");
	retry_stage(&from, table);
	put_indexed(&rows, u, buf_cstr(&from));
	buf_puts(&rows, " AS " ROW_ALIAS " JOIN ");
	buf_reset(&from);
	sql_table(&from, r->st.s, u->t);
	put_indexed(&rows, u, buf_cstr(&from));
	buf_puts(&rows, " AS there ON ");
	put_equal(&rows, u, "there", ROW_ALIAS);
	if (u->t->nprimary_key > 0) { /* not the stand-in that the row replaces */
		buf_puts(&rows, " AND NOT (");
		sql_same_key(&rows, u->t, "there", ROW_ALIAS);
		buf_putc(&rows, ')');
	}
	return block_unique(r, table, u, buf_cstr(&rows));
}

static bool block_unique_twice(struct sink_retry *r, int table, struct unique *u)
{
	_cleanup_(buf_free) struct buf rows = {0}, from = {0};
	retry_stage(&from, table);
	buf_puts(&rows, "SELECT spot, item, message FROM (SELECT " ROW_ALIAS ".docrow_spot AS spot, " ROW_ALIAS
			".docrow_item AS item, ");
	put_same(&rows, r, u->t, buf_cstr(&u->what), "'another one that waits'", buf_cstr(&u->reason));
	buf_puts(&rows, ", row_number() OVER (PARTITION BY " ROW_ALIAS ".docrow_keys ORDER BY ");
	sql_key_order(&rows, ROW_ALIAS, u->t, u->i->duplicates == DUP_LAST);
	buf_puts(&rows, ") AS place FROM ");
	put_indexed(&rows, u, buf_cstr(&from));
	buf_puts(&rows, " AS " ROW_ALIAS ") p WHERE place > 1");
	return block_unique(r, table, u, buf_cstr(&rows));
}

/* Columns of an index that computes something or takes some rows only: the server knows which it looks at. */
static bool has_mapped_columns(struct sink_retry *r, const struct schema_table *t, const struct schema_index *i,
			       bool *yes)
{
	const struct pg_param p[] = {PG_TEXT(r->st.s->name), PG_TEXT(i->name)};
	struct pg_result *columns;

	if (!pg_query(
		    r->st.pg,
		    "SELECT a.attname FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = "
		    "c.relnamespace "
		    "JOIN pg_catalog.pg_depend d ON d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND "
		    "d.objid = "
		    "c.oid AND d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.refobjsubid > 0 JOIN "
		    "pg_catalog.pg_attribute a ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid "
		    "WHERE n.nspname = $1 AND c.relname = $2",
		    p, 2, &columns, r->st.err))
		return false;
	*yes = true;
	for (int row = 0; row < pg_rows(columns); row++)
		*yes &= schema_find_column(t, pg_get(columns, row, 0)) >= 0;
	pg_result_free(columns);
	return true;
}

/* What the mapping does not feed the server alone knows: it refuses the row then. */
static bool is_mapped(struct sink_retry *r, const struct schema_table *t, const struct schema_index *i, bool *yes)
{
	if (i->expression != NULL || i->where != NULL)
		return has_mapped_columns(r, t, i, yes);
	*yes = true;
	for (size_t k = 0; k < i->ncolumns; k++)
		*yes &= schema_find_column(t, i->columns[k]) >= 0;
	return true;
}

static bool block_by_index(struct sink_retry *r, int table, const struct schema_index *i)
{
	const struct schema_table *t = &r->st.s->tables[table];
	struct unique u;
	bool mapped;

	if (!is_mapped(r, t, i, &mapped))
		return false;
	if (!mapped)
		return true;
	unique_init(&u, t, i);
	bool ok = block_unique_taken(r, table, &u) && block_unique_twice(r, table, &u);
	unique_free(&u);
	return ok;
}

static bool block_duplicates(struct sink_retry *r, int table)
{
	const struct schema_table *t = &r->st.s->tables[table];
	if (t->nprimary_key > 0 && (!block_key_twice(r, table) || !block_key_taken(r, table)))
		return false;
	for (size_t i = 0; i < t->nindexes; i++)
		if (t->indexes[i].unique && !block_by_index(r, table, &t->indexes[i]))
			return err_where(r->st.err, "unique index %s", t->indexes[i].name);
	return true;
}

/* --- references --- */

static bool block_orphans_of(struct sink_retry *r, int ref, bool *any)
{
	const struct schema_ref *f = &r->st.s->refs[ref];
	_cleanup_(buf_free) struct buf rows = {0};
	orphans_put_rejected(&rows, &r->st, ref);
	return block(r,
		     &(struct block){.table = f->table,
				     .column = r->st.s->tables[f->table].columns[f->column].name,
				     .fault = FAULT_ORPHAN,
				     .rows = buf_cstr(&rows)},
		     any);
}

/* To a fixpoint: a row that is blocked may be what another one of them refers to. */
static bool block_orphans(struct sink_retry *r)
{
	for (bool any = true; any;) {
		any = false;
		for (size_t i = 0; i < r->st.s->nrefs; i++)
			if (r->staged[r->st.s->refs[i].table] && orphan_can_reject(&r->st.s->refs[i]) &&
			    !block_orphans_of(r, (int)i, &any))
				return false;
	}
	return true;
}

static bool change_orphans_of(struct sink_retry *r, int table)
{
	const struct schema *s = r->st.s;
	int *refs = arena_alloc(r->arena, (s->nrefs + 1) * sizeof *refs);
	size_t n = 0;
	for (size_t i = 0; i < s->nrefs; i++) {
		if (s->refs[i].table != table)
			continue;
		if (orphan_can_stub(&s->refs[i]) && !orphans_stub(&r->st, (int)i))
			return false;
		if (orphan_can_change(&s->refs[i]))
			refs[n++] = (int)i;
	}
	return n == 0 || orphans_change(&r->st, refs, n);
}

bool sink_retry_settle(struct sink_retry *r, struct err *err)
{
	r->st.err = err;
	bool ok = find_stubs(r);
	for (size_t i = 0; ok && i < r->norder; i++)
		ok = block_without_parent(r, r->order[i]) && block_duplicates(r, r->order[i]);
	ok = ok && block_orphans(r);
	for (size_t i = 0; ok && i < r->norder; i++)
		ok = change_orphans_of(r, r->order[i]);
	return ok;
}

bool sink_retry_verdicts(struct sink_retry *r, struct arena *a, struct sink_verdict **out, size_t *n, struct err *err)
{
	_cleanup_(pg_result_freep) struct pg_result *res = NULL;
	if (!pg_query(r->st.pg,
		      "SELECT item, fault, column_name, message FROM pg_temp.docrow_item WHERE fault IS NOT NULL",
		      NULL, 0, &res, err))
		return false;
	*n = (size_t)pg_rows(res);
	*out = arena_alloc(a, (*n + 1) * sizeof **out);
	for (size_t i = 0; i < *n; i++) {
		struct sink_verdict *v = &(*out)[i];
		v->item = pg_get_i64(res, (int)i, 0);
		v->fault = strcmp(pg_get(res, (int)i, 1), fault_name(FAULT_DUPLICATE)) == 0 ? FAULT_DUPLICATE
											    : FAULT_ORPHAN;
		v->column = pg_get(res, (int)i, 2) != NULL ? arena_strdup(a, pg_get(res, (int)i, 2)) : NULL;
		v->message = pg_get(res, (int)i, 3) != NULL ? arena_strdup(a, pg_get(res, (int)i, 3)) : "";
	}
	return true;
}

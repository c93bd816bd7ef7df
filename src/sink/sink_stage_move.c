/* sink_stage_move.c - rows go from their stages into the tables, all keys in force.
 *
 * A table goes in by statements of some MB each, tables that need each other by one. When the server refuses a row (a
 * CHECK of a domain, a trigger, an exclusion or foreign key that the mapping does not know, a row that someone else
 * has put in meanwhile), the stage is halved in savepoints until the guilty rows are found; these become rejects and
 * the others go in. Tables of a circle need each other's rows: there the halves are tried without the references
 * among themselves, and taken back; then orphans of the rows that had to go are settled, and the whole goes in again.
 */
#include <stdio.h>
#include <stdlib.h>

#include "sink_settle.h"
#include "sink_stage.h"

#define REMOVED_AT_ONCE 1000
#define BLOCKS_AT_ONCE  2048 /* 16 MB */
#define THERE           "docrow_there"

struct refusal {
	const char *spot, *message;
	char sqlstate[6];
};

struct move {
	struct settle st;
	const struct sink_moving *m;
	struct arena *arena;
	bool bare;             /* without the references inside the unit         */
	uint64_t first, after; /* blocks of the stage in hand; after 0: all of it */
	struct refusal *refused;
	size_t nrefused, cap;
	uint64_t total; /* refused, over all tables and rounds */
};

/* Rows [from, to) of pg_temp.docrow_move. */
struct range {
	uint64_t from, to;
};

static const struct schema_table *table_at(const struct move *m, int table)
{
	return &m->st.s->tables[table];
}

static bool in_unit(const struct move *m, int table)
{
	for (size_t i = 0; i < m->m->unit->ntables; i++)
		if (m->m->unit->tables[i] == table)
			return true;
	return false;
}

static bool is_inner_ref(const struct move *m, int table, int column)
{
	for (size_t i = 0; i < m->st.s->nrefs; i++) {
		const struct schema_ref *r = &m->st.s->refs[i];
		if (r->table == table && r->column == column && in_unit(m, r->ref_table))
			return true;
	}
	return false;
}

/* --- the statement --- */

static bool is_fed(const struct schema_column *c)
{
	return !c->no_source && c->generated_sql == NULL;
}

static void put_columns(struct buf *sql, const struct move *m, int table, bool values)
{
	const struct schema_table *t = table_at(m, table);
	bool first = true;
	for (int c = 0; c < (int)t->ncolumns; c++) {
		if (!is_fed(&t->columns[c]))
			continue;
		buf_puts(sql, first ? "" : ", ");
		first = false;
		if (!values)
			sql_ident(sql, t->columns[c].name);
		else if (m->bare && is_inner_ref(m, table, c))
			buf_puts(sql, "NULL");
		else
			sql_column(sql, ROW_ALIAS, t, c);
	}
}

static bool replaces(const struct move *m, int table)
{
	return m->m->conflict == SINK_CONFLICT_REPLACE && table_at(m, table)->nprimary_key > 0;
}

/* " FROM <the stage, or the rows of the range> AS row" */
static void put_stage(struct buf *sql, const struct move *m, int table, const struct range *r)
{
	const char *stage = table_at(m, table)->stage;
	if (m->after > 0)
		buf_printf(sql,
			   " FROM (SELECT * FROM %s WHERE ctid >= '(%llu,0)'::tid AND ctid < '(%llu,0)'::tid) "
			   "AS " ROW_ALIAS,
			   stage, (unsigned long long)m->first, (unsigned long long)m->after);
	else
		buf_printf(sql, " FROM %s AS " ROW_ALIAS, stage);
	if (r != NULL)
		buf_printf(sql,
			   " JOIN pg_temp.docrow_move m ON m.spot = " ROW_ALIAS
			   ".ctid AND m.n >= %llu AND m.n < %llu",
			   (unsigned long long)r->from, (unsigned long long)r->to);
}

static void put_insert(struct buf *sql, const struct move *m, int table, const struct range *r)
{
	const struct schema_table *t = table_at(m, table);
	buf_puts(sql, "INSERT INTO ");
	sql_table(sql, m->st.s, t);
	buf_puts(sql, " (");
	put_columns(sql, m, table, false);
	buf_puts(sql, ") OVERRIDING SYSTEM VALUE SELECT ");
	put_columns(sql, m, table, true);
	put_stage(sql, m, table, r);
	if (!replaces(m, table))
		return;
	buf_puts(sql, " WHERE NOT EXISTS (SELECT FROM ");
	sql_table(sql, m->st.s, t);
	buf_puts(sql, " AS " THERE " WHERE ");
	sql_same_key(sql, t, THERE, ROW_ALIAS);
	buf_putc(sql, ')');
}

/* --- rows that are replaced --- */

static void put_set(struct buf *sql, const struct move *m, int table)
{
	const struct schema_table *t = table_at(m, table);
	const char *comma = "";
	for (int c = 0; c < (int)t->ncolumns; c++) {
		if (!is_fed(&t->columns[c]) || schema_in_key(t, c))
			continue;
		buf_puts(sql, comma);
		comma = ", ";
		sql_ident(sql, t->columns[c].name);
		buf_puts(sql, " = ");
		if (m->bare && is_inner_ref(m, table, c))
			buf_puts(sql, "NULL");
		else
			sql_column(sql, ROW_ALIAS, t, c);
	}
	if (comma[0] != '\0')
		return;
	sql_ident(sql,
		  t->columns[t->primary_key[0]].name); /* nothing but the key: the row is the run's all the same */
	buf_puts(sql, " = ");
	sql_column(sql, ROW_ALIAS, t, t->primary_key[0]);
}

/* "docrow_o<i> AS (the old rows), docrow_n<i> AS (the findings that keep them), docrow_u<i> AS (UPDATE)" */
static void put_replace(struct buf *sql, const struct move *m, int table, const struct range *r, size_t i)
{
	const struct schema_table *t = table_at(m, table);
	buf_printf(sql, "docrow_o%zu AS MATERIALIZED (SELECT ", i);
	sql_row_identity(sql, THERE, m->st.s, t, m->st.run);
	buf_puts(sql, ", row_to_json(" THERE ".*)::text AS row_text");
	put_stage(sql, m, table, r);
	buf_puts(sql, " JOIN ");
	sql_table(sql, m->st.s, t);
	buf_puts(sql, " AS " THERE " ON ");
	sql_same_key(sql, t, THERE, ROW_ALIAS);
	buf_printf(sql,
		   "), docrow_n%zu AS (INSERT INTO docrow.finding (run, step, kind, fault, table_name, collection, "
		   "doc_id,"
		   " doc_id_text, key, ordinal, value_text) SELECT %lld, %lld, 'replaced', '%s', ",
		   i, (long long)m->st.run, (long long)m->st.step, fault_name(FAULT_EXISTS));
	sql_literal(sql, t->name);
	buf_puts(sql, ", ");
	sql_text_or_null(sql, schema_feeder(t));
	buf_printf(sql,
		   ", doc_id, doc_id_text, key, ordinal, row_text FROM docrow_o%zu ORDER BY key COLLATE \"C\"), "
		   "docrow_u%zu AS (UPDATE ",
		   i, i);
	sql_table(sql, m->st.s, t);
	buf_puts(sql, " AS " THERE " SET ");
	put_set(sql, m, table);
	put_stage(sql, m, table, r);
	buf_puts(sql, " WHERE ");
	sql_same_key(sql, t, THERE, ROW_ALIAS);
	buf_puts(sql, " RETURNING 1)");
}

static bool replace_table(struct move *m, int table, const struct range *r, uint64_t *replaced)
{
	_cleanup_(buf_free) struct buf sql = {0};
	*replaced = 0;
	if (!replaces(m, table))
		return true;
	buf_puts(&sql, "WITH ");
	put_replace(&sql, m, table, r, 0);
	buf_puts(&sql, " SELECT count(*) FROM docrow_u0");
	return sink_counts(m->st.pg, buf_cstr(&sql), replaced, 1, m->st.err);
}

/* First those that replace, which may free what another row of the table needs. */
static bool put_table(struct move *m, int table, const struct range *r, uint64_t *taken, uint64_t *replaced)
{
	_cleanup_(buf_free) struct buf sql = {0};
	put_insert(&sql, m, table, r);
	if (!replace_table(m, table, r, replaced) || !pg_run(m->st.pg, buf_cstr(&sql), NULL, 0, taken, m->st.err))
		return false;
	*taken += *replaced;
	return true;
}

/* The server remembers each row whose foreign keys it has yet to check, until the statement ends: a table that needs
 * no row of its own goes in by several. Before version 14 each of them would read the whole stage. */
static bool put_by_blocks(struct move *m, int table, uint64_t *taken, uint64_t *replaced)
{
	_cleanup_(buf_free) struct buf sql = {0};
	uint64_t blocks, n, old;
	if (pg_server_version(m->st.pg) < 140000)
		return put_table(m, table, NULL, taken, replaced);
	buf_printf(&sql,
		   "SELECT pg_catalog.pg_relation_size('%s') / pg_catalog.current_setting('block_size')::bigint",
		   table_at(m, table)->stage);
	if (!sink_counts(m->st.pg, buf_cstr(&sql), &blocks, 1, m->st.err))
		return false;
	bool ok = true;
	*taken = *replaced = 0;
	for (m->first = 0; ok && m->first < blocks; m->first += BLOCKS_AT_ONCE) {
		m->after = m->first + BLOCKS_AT_ONCE;
		ok = put_table(m, table, NULL, &n, &old);
		*taken += ok ? n : 0;
		*replaced += ok ? old : 0;
	}
	m->after = 0;
	return ok;
}

/* The foreign keys among the tables are checked when the whole statement ends. */
static bool put_unit(struct move *m, uint64_t *taken, uint64_t *replaced)
{
	const struct sink_unit *u = m->m->unit;
	_cleanup_(buf_free) struct buf sql = {0};
	if (u->ntables == 1 && u->cyclic && !replaces(m, u->tables[0]))
		return put_table(m, u->tables[0], NULL, &taken[0], &replaced[0]);
	if (!u->cyclic)
		return put_by_blocks(m, u->tables[0], &taken[0], &replaced[0]);
	for (size_t i = 0; i < u->ntables; i++) {
		buf_puts(&sql, i == 0 ? "WITH " : ", ");
		if (replaces(m, u->tables[i])) {
			put_replace(&sql, m, u->tables[i], NULL, i);
			buf_puts(&sql, ", ");
		}
		buf_printf(&sql, "docrow_i%zu AS (", i);
		put_insert(&sql, m, u->tables[i], NULL);
		buf_puts(&sql, " RETURNING 1)");
	}
	for (size_t i = 0; i < u->ntables; i++) {
		buf_printf(&sql, "%s(SELECT count(*) FROM docrow_i%zu), ", i == 0 ? " SELECT " : ", ", i);
		if (replaces(m, u->tables[i]))
			buf_printf(&sql, "(SELECT count(*) FROM docrow_u%zu)", i);
		else
			buf_putc(&sql, '0');
	}
	uint64_t *counts = arena_alloc(m->arena, 2 * u->ntables * sizeof *counts);
	if (!sink_counts(m->st.pg, buf_cstr(&sql), counts, 2 * (int)u->ntables, m->st.err))
		return false;
	for (size_t i = 0; i < u->ntables; i++) {
		taken[i] = counts[2 * i] + counts[2 * i + 1];
		replaced[i] = counts[2 * i + 1];
	}
	return true;
}

static bool count_waiting(struct move *m, int table, uint64_t *n)
{
	_cleanup_(buf_free) struct buf sql = {0};
	buf_printf(&sql, "SELECT count(*) FROM %s", table_at(m, table)->stage);
	return sink_counts(m->st.pg, buf_cstr(&sql), n, 1, m->st.err);
}

static bool check_taken(struct move *m, int table, uint64_t taken, uint64_t sent)
{
	if (taken == sent)
		return true;
	err_set(m->st.err, ERR_TARGET_DATA, "the server took %llu rows of %llu for %s", (unsigned long long)taken,
		(unsigned long long)sent, table_at(m, table)->name);
	m->st.err->class = ERR_CLASS_DATA; /* halving finds which */
	return err_detail(m->st.err, "a trigger or rule that drops rows would look like this");
}

static bool put_all(struct move *m)
{
	const struct sink_unit *u = m->m->unit;
	uint64_t *taken = arena_alloc(m->arena, (u->ntables + 1) * sizeof *taken), sent;
	uint64_t *replaced = arena_alloc(m->arena, (u->ntables + 1) * sizeof *replaced);
	if (!put_unit(m, taken, replaced))
		return false;
	for (size_t i = 0; i < u->ntables; i++)
		if (!count_waiting(m, u->tables[i], &sent) || !check_taken(m, u->tables[i], taken[i], sent))
			return false;
	for (size_t i = 0; i < u->ntables; i++)
		ledger_add(m->st.ledger, LEDGER_REPLACED, table_at(m, u->tables[i])->name, "", replaced[i]);
	return true;
}

static bool put_range(struct move *m, int table, const struct range *r)
{
	uint64_t taken, replaced;
	if (!put_table(m, table, r, &taken, &replaced) || !check_taken(m, table, taken, r->to - r->from))
		return false;
	if (!m->bare) /* a probe is taken back */
		ledger_add(m->st.ledger, LEDGER_REPLACED, table_at(m, table)->name, "", replaced);
	return true;
}

/* --- tries --- */

static bool begin_try(struct move *m)
{
	return pg_exec(m->st.pg, "SAVEPOINT docrow_move", m->st.err);
}

static bool keep_try(struct move *m)
{
	return sink_mark_savepoint(m->st.pg, m->st.run, m->st.err) &&
	       pg_exec(m->st.pg, "RELEASE SAVEPOINT docrow_move", m->st.err);
}

/* True when rows were refused, which `why` tells, and the transaction is as before the try. */
static bool undo_try(struct move *m, struct err *why)
{
	if (m->st.err->class != ERR_CLASS_DATA || pg_is_lost(m->st.pg))
		return false;
	*why = *m->st.err;
	return pg_exec(m->st.pg, "ROLLBACK TO SAVEPOINT docrow_move; RELEASE SAVEPOINT docrow_move", m->st.err);
}

/* --- halving --- */

static bool number_rows(struct move *m, int table)
{
	return pg_execf(m->st.pg, m->st.err,
			"DROP TABLE IF EXISTS pg_temp.docrow_move; CREATE TEMP TABLE docrow_move ON COMMIT DROP AS"
			" SELECT row_number() OVER (ORDER BY ctid) AS n, ctid AS spot FROM %s; CREATE UNIQUE INDEX ON"
			" pg_temp.docrow_move (n); ANALYZE pg_temp.docrow_move",
			table_at(m, table)->stage);
}

static bool too_many(struct move *m, int table)
{
	if (m->total <= m->m->most_refused)
		return false;
	err_set(m->st.err, ERR_MAX_REJECTS, "the server refuses more than %llu rows of %s",
		(unsigned long long)m->m->most_refused, table_at(m, table)->name);
	err_detail(m->st.err, "the last: %s", m->refused[m->nrefused - 1].message);
	err_hint(m->st.err, "mend what refuses them, or go on with a higher limit: docrow migrate --resume "
			    "--max-rejects N");
	return true;
}

static bool note_refusal(struct move *m, int table, uint64_t n, const struct err *why)
{
	_cleanup_(pg_result_freep) struct pg_result *r = NULL;
	_cleanup_(buf_free) struct buf sql = {0};
	buf_printf(&sql, "SELECT spot::text FROM pg_temp.docrow_move WHERE n = %llu", (unsigned long long)n);
	if (!pg_query(m->st.pg, buf_cstr(&sql), NULL, 0, &r, m->st.err))
		return false;
	if (m->nrefused == m->cap) {
		m->cap = m->cap > 0 ? m->cap * 2 : 64;
		m->refused = mem_realloc(m->refused, m->cap * sizeof *m->refused);
	}
	struct refusal *x = &m->refused[m->nrefused++];
	x->spot = arena_strdup(m->arena, pg_get(r, 0, 0));
	memcpy(x->sqlstate, why->sqlstate, sizeof x->sqlstate);
	x->message = why->sqlstate[0] == '\0'
			     ? arena_printf(m->arena, "%s; %.150s", fault_sentence(FAULT_REFUSED), why->detail)
			     : arena_printf(m->arena, "%s; SQLSTATE %s: %.150s", fault_sentence(FAULT_REFUSED),
					    why->sqlstate, why->message);
	m->total++;
	return !too_many(m, table);
}

static bool halve(struct move *m, int table, struct range r)
{
	struct err why;
	if (r.from == r.to)
		return true;
	if (!begin_try(m))
		return false;
	if (put_range(m, table, &r))
		return keep_try(m);
	if (!undo_try(m, &why))
		return false;
	if (r.to - r.from == 1)
		return note_refusal(m, table, r.from, &why);
	uint64_t middle = r.from + (r.to - r.from) / 2;
	return halve(m, table, (struct range){r.from, middle}) && halve(m, table, (struct range){middle, r.to});
}

static bool remove_some(struct move *m, int table, size_t from, size_t to)
{
	_cleanup_(buf_free) struct buf rows = {0};
	buf_puts(&rows, "SELECT v.spot::tid AS spot, v.message, NULL::bytea AS value, NULL::text AS value_text, "
			"v.sqlstate FROM (VALUES ");
	for (size_t i = from; i < to; i++) {
		const struct refusal *x = &m->refused[i];
		buf_puts(&rows, i > from ? ", (" : "(");
		sql_literal(&rows, x->spot);
		buf_puts(&rows, ", ");
		sql_literal(&rows, x->message);
		buf_puts(&rows, ", ");
		sql_text_or_null(&rows, x->sqlstate[0] != '\0' ? x->sqlstate : NULL);
		buf_putc(&rows, ')');
	}
	buf_puts(&rows, ") v(spot, message, sqlstate)");
	struct removal r = {.table = table, .fault = FAULT_REFUSED, .has_sqlstate = true, .rows = buf_cstr(&rows)};
	return settle_remove(&m->st, &r, NULL);
}

/* What was found refused becomes rejects, and its child rows go with it. */
static bool remove_refused(struct move *m, int table)
{
	for (size_t from = 0; from < m->nrefused; from += REMOVED_AT_ONCE) {
		size_t left = m->nrefused - from, n = left < REMOVED_AT_ONCE ? left : REMOVED_AT_ONCE;
		if (!remove_some(m, table, from, from + n))
			return false;
	}
	m->nrefused = 0;
	return true;
}

static bool halve_table(struct move *m, int table)
{
	uint64_t n;
	return count_waiting(m, table, &n) && number_rows(m, table) && halve(m, table, (struct range){1, n + 1});
}

/* --- circles --- */

/* A row can be tried alone only when the references among the tables can be left out. */
static bool can_try_bare(struct move *m, const struct err *why)
{
	const struct schema *s = m->st.s;
	const char *trouble = NULL;
	for (size_t i = 0; i < s->nrefs; i++) {
		const struct schema_ref *r = &s->refs[i];
		if (in_unit(m, r->table) && in_unit(m, r->ref_table) &&
		    s->tables[r->table].columns[r->column].not_null)
			trouble = arena_printf(m->arena, "%s.%s", s->tables[r->table].name,
					       s->tables[r->table].columns[r->column].name);
	}
	for (size_t i = 0; i < s->nneeds; i++)
		if (in_unit(m, s->needs[i].table) && in_unit(m, s->needs[i].other))
			trouble = s->tables[s->needs[i].table].name;
	if (trouble == NULL)
		return true;
	*m->st.err = *why;
	err_where(m->st.err, "tables that refer to each other in a circle, which %s makes indivisible", trouble);
	return err_hint(m->st.err,
			"which row it is cannot be found by halves; let the column take NULL until the rows "
			"are in, or mend what refuses the row, then go on with docrow migrate --resume");
}

/* Finds the guilty rows of one table and takes everything back but them. */
static bool probe_table(struct move *m, int table)
{
	if (!pg_exec(m->st.pg, "SAVEPOINT docrow_probe", m->st.err))
		return false;
	m->bare = true;
	bool ok = halve_table(m, table);
	m->bare = false;
	return ok &&
	       pg_exec(m->st.pg, "ROLLBACK TO SAVEPOINT docrow_probe; RELEASE SAVEPOINT docrow_probe", m->st.err) &&
	       remove_refused(m, table);
}

static bool probe(struct move *m, const struct err *why)
{
	const struct sink_unit *u = m->m->unit;
	uint64_t before = m->total;
	if (!can_try_bare(m, why))
		return false;
	for (size_t i = 0; i < u->ntables; i++)
		if (!probe_table(m, u->tables[i]))
			return false;
	if (m->total == before) { /* each alone is taken, all together are not */
		*m->st.err = *why;
		return false;
	}
	return m->m->nrefs == 0 || sink_settle_orphan_group(m->st.pg, m->st.s, m->m->refs, m->m->nrefs, m->st.run,
							    m->st.step, m->st.ledger, m->st.err);
}

static bool remove_leftovers(struct move *m)
{
	for (size_t i = 0; i < m->m->unit->ntables; i++)
		if (m->m->conflict == SINK_CONFLICT_REPLACE && !leftovers_remove(&m->st, m->m->unit->tables[i]))
			return false;
	return true;
}

/* --- all of it --- */

static bool move_rows(struct move *m)
{
	struct err why;
	for (;;) {
		if (!begin_try(m))
			return false;
		if (put_all(m))
			return keep_try(m);
		if (!undo_try(m, &why))
			return false;
		if (!m->m->unit->cyclic)
			return halve_table(m, m->m->unit->tables[0]) && remove_refused(m, m->m->unit->tables[0]);
		if (!probe(m, &why))
			return false;
	}
}

static bool drop_stages(struct move *m)
{
	for (size_t i = 0; i < m->m->unit->ntables; i++)
		if (!pg_execf(m->st.pg, m->st.err, "DROP TABLE %s", table_at(m, m->m->unit->tables[i])->stage))
			return false;
	return true;
}

bool sink_move(struct pg *pg, const struct schema *s, const struct sink_moving *moving, struct err *err)
{
	struct move m = {.st = {.pg = pg,
				.s = s,
				.run = moving->run,
				.step = moving->step,
				.ledger = moving->ledger,
				.err = err},
			 .m = moving,
			 .arena = arena_new()};
	bool ok = pg_exec(pg, "SET CONSTRAINTS ALL IMMEDIATE", err) && remove_leftovers(&m) && move_rows(&m) &&
		  drop_stages(&m);
	free(m.refused);
	arena_free(m.arena);
	return ok || err_where(err, "%s", s->tables[moving->unit->tables[0]].name);
}

/* sink_existing.c - see sink_existing.h: what is written down and dropped, made again, and rows taken back. */
#include <stdio.h>

#include "sink_catalog.h"
#include "sink_existing.h"
#include "sink_sql.h"
#include "sink_stage.h"
#include "text.h"

static struct pg_param run_param(char text[24], int64_t run)
{
	snprintf(text, 24, "%lld", (long long)run);
	return PG_TEXT(text);
}

bool sink_find_tables(struct pg *pg, const struct schema *s, size_t *found, struct err *err)
{
	_cleanup_(pg_result_freep) struct pg_result *r = NULL;
	_cleanup_(buf_free) struct buf sql = {0};
	buf_puts(&sql,
		 "SELECT count(*) FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace"
		 " WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND n.nspname = ");
	sql_literal(&sql, s->name);
	buf_puts(&sql, " AND c.relname IN (NULL");
	for (size_t i = 0; i < s->ntables; i++) {
		buf_puts(&sql, ", ");
		sql_literal(&sql, s->tables[i].name);
	}
	buf_putc(&sql, ')');
	if (!pg_query(pg, buf_cstr(&sql), NULL, 0, &r, err))
		return false;
	*found = (size_t)pg_get_i64(r, 0, 0);
	return true;
}

static void put_tables(struct buf *sql, const struct schema *s)
{
	for (size_t i = 0; i < s->ntables; i++) {
		buf_puts(sql, i > 0 ? ", " : "");
		sql_table(sql, s, &s->tables[i]);
	}
}

bool sink_lock_tables(struct pg *pg, const struct schema *s, const struct sink_way *way, double seconds,
		      struct err *err)
{
	_cleanup_(buf_free) struct buf sql = {0};
	buf_printf(&sql, "SET LOCAL lock_timeout = %lld; LOCK TABLE ", (long long)(seconds * 1000));
	put_tables(&sql, s);
	buf_puts(&sql,
		 way->keep_indexes && !way->disable_triggers ? " IN ACCESS SHARE MODE" : " IN ACCESS EXCLUSIVE MODE");
	if (pg_exec(pg, buf_cstr(&sql), err))
		return true;
	if (strcmp(err->sqlstate, "55P03") == 0)
		err_hint(
			err,
			"nothing was changed; end the sessions that use the tables (pg_stat_activity shows them) and "
			"start again");
	return false;
}

/* --- taking away --- */

/* Of what stays in force while rows are loaded only foreign keys are away while rows are taken back: they would take
 * rows of others along. */
#define AWAY "facts ? 'drop' AND (state <> 'kept' OR kind = 'foreign key')"

/* Foreign keys first: the keys that they need cannot go before them. */
static bool drop_recorded(struct pg *pg, int64_t run, const char *which, struct err *err)
{
	_cleanup_(pg_result_freep) struct pg_result *r = NULL;
	_cleanup_(buf_free) struct buf sql = {0};
	char id[24];
	struct pg_param params[] = {run_param(id, run)};
	buf_printf(&sql,
		   "SELECT facts ->> 'drop' FROM docrow.ddl WHERE run = $1::bigint AND %s ORDER BY kind <> "
		   "'foreign key', id",
		   which);
	if (!pg_query(pg, buf_cstr(&sql), params, 1, &r, err))
		return false;
	buf_reset(&sql);
	for (int i = 0; i < pg_rows(r); i++)
		buf_printf(&sql, "%s;\n", pg_get(r, i, 0));
	return pg_rows(r) == 0 || pg_exec(pg, buf_cstr(&sql), err);
}

bool sink_is_existing(struct pg *pg, int64_t run, bool *yes, struct err *err)
{
	_cleanup_(pg_result_freep) struct pg_result *r = NULL;
	char id[24];
	struct pg_param params[] = {run_param(id, run)};
	if (!pg_query(pg, "SELECT 1 FROM docrow.ddl WHERE run = $1::bigint AND kind = 'table' LIMIT 1", params, 1, &r,
		      err))
		return false;
	*yes = pg_rows(r) > 0;
	return true;
}

/* --- making again --- */

bool sink_restore(struct pg *pg, const struct schema *s, int restore, struct err *err)
{
	const struct schema_restore *x = &s->restores[restore];
	bool broken = false;
	bool ok = x->not_valid == NULL ? pg_exec(pg, x->definition, err)
				       : sink_try(pg, x->definition, "23503", &broken, err);
	ok = ok && (!broken || pg_exec(pg, x->not_valid, err));
	return ok || err_where(err, "%s %s", x->kind, x->name);
}

bool sink_mark_restored(struct pg *pg, int64_t run, const char *table, const char *object, struct err *err)
{
	char id[24];
	struct pg_param params[] = {run_param(id, run), PG_TEXT(table), PG_TEXT(object)};
	return pg_run(
		pg,
		"UPDATE docrow.ddl SET state = 'restored' WHERE run = $1::bigint AND table_name = $2 AND object = $3"
		" AND state = 'taken'",
		params, 3, NULL, err);
}

/* An error that trying again may mend stays as it is. False. */
static bool cannot_make(const struct pg_result *r, int row, enum err_code code, const char *when, const char *hint,
			struct err *err)
{
	char reason[sizeof err->message];
	snprintf(reason, sizeof reason, "%s", err->message);
	char sqlstate[6];
	memcpy(sqlstate, err->sqlstate, sizeof sqlstate);
	if (err->class == ERR_CLASS_RETRY)
		return false;
	err_set(err, code, "%s %s of %s cannot be made again %s", pg_get(r, row, 1), pg_get(r, row, 2),
		pg_get(r, row, 3), when);
	memcpy(err->sqlstate, sqlstate, sizeof sqlstate);
	err_detail(err, "SQLSTATE %s: %s", sqlstate, reason);
	return err_hint(err, "%s", hint);
}

static bool make_again(struct pg *pg, int64_t run, const char *which, enum err_code code, const char *when,
		       const char *hint, struct err *err)
{
	_cleanup_(pg_result_freep) struct pg_result *r = NULL;
	_cleanup_(buf_free) struct buf sql = {0};
	char id[24];
	struct pg_param params[] = {run_param(id, run)};
	buf_printf(&sql,
		   "SELECT definition || coalesce(facts ->> 'after', ''), kind, object, table_name FROM docrow.ddl"
		   " WHERE run = $1::bigint AND %s ORDER BY id",
		   which);
	if (!pg_query(pg, buf_cstr(&sql), params, 1, &r, err))
		return false;
	for (int i = 0; i < pg_rows(r); i++) {
		buf_reset(&sql);
		buf_printf(&sql, "SET LOCAL default_tablespace = ''; %s", pg_get(r, i, 0));
		if (!pg_exec(pg, buf_cstr(&sql), err))
			return cannot_make(r, i, code, when, hint, err);
	}
	return true;
}

static bool make_all_again(struct pg *pg, int64_t run, struct err *err)
{
	return make_again(pg, run, AWAY, ERR_TARGET_CHANGED, "over the rows that stay",
			  "nothing was taken back; mend the rows that docrow did not write, or what refers to those "
			  "that it did, then try again",
			  err);
}

/* What the role may not make (a function or a schema that it has no right to, an event trigger) is found now, on
 * empty tables, rather than after the load. Foreign keys ask for no more than was looked at, and an index over plain
 * columns for no more than the first of its schema: all of NextCRM's on trial took half a second. */
#define TRIED "run = $1::bigint AND kind IN ('primary key', 'unique', 'index', 'exclusion') AND state = 'taken'"

static bool rehearse(struct pg *pg, int64_t run, struct err *err)
{
	return pg_exec(pg, "SAVEPOINT docrow_rehearsal", err) &&
	       make_again(
		       pg, run,
		       TRIED " AND ((facts ->> 'needs_others')::boolean OR id IN (SELECT pg_catalog.min(id) FROM"
			     " docrow.ddl WHERE " TRIED " GROUP BY facts ->> 'schema'))",
		       ERR_TARGET_MISMATCH, "after the load",
		       "nothing was changed; have the right granted, or drop what cannot be made, then start again",
		       err) &&
	       pg_exec(pg, "ROLLBACK TO SAVEPOINT docrow_rehearsal; RELEASE SAVEPOINT docrow_rehearsal", err);
}

bool sink_take_away(struct pg *pg, const struct schema *s, int64_t run, const struct sink_way *way, struct err *err)
{
	if (!catalog_record(pg, s, run, way->disable_triggers, way->keep_indexes, err))
		return false;
	if (!drop_recorded(pg, run, "facts ? 'drop' AND state = 'taken'", err))
		return err_where(err, "taking keys and indexes away");
	return way->keep_indexes || rehearse(pg, run, err);
}

/* --- whose rows --- */

/* Transactions of the run, as xmin shows them: its chunks and steps, and the savepoints inside them. */
#define MINE                                                                                                         \
	"WITH docrow_mine AS MATERIALIZED (SELECT xid::text::bigint & 4294967295 AS x FROM docrow.chunk WHERE run "  \
	"= "                                                                                                         \
	"$1::bigint AND xid IS NOT NULL UNION SELECT xid::text::bigint & 4294967295 FROM docrow.step WHERE run = "   \
	"$1::bigint AND xid IS NOT NULL UNION SELECT xmin::text::bigint FROM docrow.savepoint WHERE run = "          \
	"$1::bigint) "

bool sink_count_foreign_rows(struct pg *pg, const struct schema *s, int64_t run, int table, uint64_t *n,
			     struct err *err)
{
	_cleanup_(pg_result_freep) struct pg_result *r = NULL;
	_cleanup_(buf_free) struct buf sql = {0};
	char id[24];
	struct pg_param params[] = {run_param(id, run)};
	buf_puts(&sql, MINE "SELECT count(*) FROM ");
	sql_table(&sql, s, &s->tables[table]);
	buf_puts(&sql, " WHERE xmin::text::bigint NOT IN (SELECT x FROM docrow_mine)");
	if (!pg_query(pg, buf_cstr(&sql), params, 1, &r, err))
		return false;
	*n = (uint64_t)pg_get_i64(r, 0, 0);
	return true;
}

static bool count_all_foreign(struct pg *pg, const struct schema *s, int64_t run, uint64_t *left, struct err *err)
{
	*left = 0;
	for (size_t i = 0; i < s->ntables; i++) {
		uint64_t n;
		if (!sink_count_foreign_rows(pg, s, run, (int)i, &n, err))
			return false;
		*left += n;
	}
	return true;
}

static bool empty_tables(struct pg *pg, const struct schema *s, struct err *err)
{
	_cleanup_(buf_free) struct buf sql = {0};
	buf_puts(&sql, "TRUNCATE ");
	put_tables(&sql, s);
	return pg_exec(pg, buf_cstr(&sql), err);
}

/* The columns that can be written, of the table as it is. */
static bool put_written_columns(struct pg *pg, const struct schema *s, int table, struct buf *names,
				struct buf *values, struct err *err)
{
	_cleanup_(pg_result_freep) struct pg_result *r = NULL;
	struct pg_param params[] = {PG_TEXT(s->name), PG_TEXT(s->tables[table].name)};
	if (!pg_query(pg,
		      "SELECT pg_catalog.string_agg(pg_catalog.quote_ident(a.attname), ', ' ORDER BY a.attnum),"
		      " pg_catalog.string_agg('p.' || pg_catalog.quote_ident(a.attname), ', ' ORDER BY a.attnum)"
		      " FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_class c ON c.oid = a.attrelid"
		      " JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = $1 AND c.relname "
		      "= $2"
		      " AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = ''",
		      params, 2, &r, err))
		return false;
	buf_puts(names, pg_get(r, 0, 0));
	buf_puts(values, pg_get(r, 0, 1));
	return true;
}

/* Rows that the run replaced or removed come back as docrow.finding has them, the former in place of the run's own
 * (docrow_gone): one that was changed since stays as it is. */
static bool put_back(struct pg *pg, const struct schema *s, int64_t run, int table, struct err *err)
{
	_cleanup_(buf_free) struct buf names = {0}, values = {0}, sql = {0};
	if (!put_written_columns(pg, s, table, &names, &values, err))
		return false;
	buf_puts(&sql, "INSERT INTO ");
	sql_table(&sql, s, &s->tables[table]);
	buf_printf(&sql,
		   " (%s) OVERRIDING SYSTEM VALUE SELECT %s FROM docrow.finding f, "
		   "pg_catalog.json_populate_record(NULL::",
		   buf_cstr(&names), buf_cstr(&values));
	sql_table(&sql, s, &s->tables[table]);
	buf_printf(&sql,
		   ", f.value_text::json) p WHERE f.run = %lld AND (f.kind = 'removed' OR f.kind = 'replaced' AND "
		   "f.key IN "
		   "(SELECT key FROM pg_temp.docrow_gone)) AND f.table_name = ",
		   (long long)run);
	sql_literal(&sql, s->tables[table].name);
	return pg_exec(pg, buf_cstr(&sql), err);
}

static bool delete_rows(struct pg *pg, const struct schema *s, int64_t run, int table, struct err *err)
{
	_cleanup_(buf_free) struct buf sql = {0};
	char id[24];
	struct pg_param params[] = {run_param(id, run)};
	buf_puts(&sql, MINE ", docrow_g AS (DELETE FROM ");
	sql_table(&sql, s, &s->tables[table]);
	buf_puts(&sql, " AS " ROW_ALIAS " WHERE " ROW_ALIAS
		       ".xmin::text::bigint IN (SELECT x FROM docrow_mine) RETURNING ");
	sql_key_text(&sql, ROW_ALIAS, &s->tables[table]);
	buf_puts(&sql, " AS key) INSERT INTO pg_temp.docrow_gone SELECT key FROM docrow_g");
	return pg_run(pg, buf_cstr(&sql), params, 1, NULL, err);
}

/* No foreign key is in force, so none of them cascades. */
static bool delete_mine(struct pg *pg, const struct schema *s, int64_t run, struct err *err)
{
	if (!pg_exec(pg, "CREATE TEMP TABLE docrow_gone (key text) ON COMMIT DROP", err))
		return false;
	for (size_t i = 0; i < s->ntables; i++)
		if (!delete_rows(pg, s, run, (int)i, err) || !put_back(pg, s, run, (int)i, err) ||
		    !pg_exec(pg, "TRUNCATE pg_temp.docrow_gone", err))
			return false;
	return true;
}

static bool count_changed(struct pg *pg, int64_t run, uint64_t *n, struct err *err)
{
	_cleanup_(buf_free) struct buf sql = {0};
	buf_printf(&sql, "SELECT count(*) FROM docrow.finding WHERE run = %lld AND kind IN ('replaced', 'removed')",
		   (long long)run);
	return sink_counts(pg, buf_cstr(&sql), n, 1, err);
}

static bool drop_staging(struct pg *pg, const struct schema *s, struct err *err)
{
	for (size_t i = 0; i < s->njunctions; i++)
		if (!pg_execf(pg, err, "DROP TABLE IF EXISTS docrow.pairs_%zu", i))
			return false;
	return true;
}

bool sink_give_back(struct pg *pg, const struct schema *s, int64_t run, double lock_seconds, uint64_t *left,
		    struct err *err)
{
	const struct sink_way all = {0};
	uint64_t changed;
	return sink_lock_tables(pg, s, &all, lock_seconds, err) && sink_begin_settle(pg, err) &&
	       drop_recorded(pg, run, AWAY, err) && count_all_foreign(pg, s, run, left, err) &&
	       count_changed(pg, run, &changed, err) &&
	       (*left + changed == 0 ? empty_tables(pg, s, err) : delete_mine(pg, s, run, err)) &&
	       make_all_again(pg, run, err) && drop_staging(pg, s, err) && sink_stage_drop(pg, s, err);
}

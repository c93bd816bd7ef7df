/* gather.c - see gather.h. */
#include "gather.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "buf.h"
#include "sink_existing.h"
#include "text.h"

#define SLOWEST 5
#define PAGE    1000

static struct pg_param number_param(char text[24], int64_t n)
{
	snprintf(text, 24, "%lld", (long long)n);
	return PG_TEXT(text);
}

static double to_double(const char *text)
{
	double v = 0;

	return text && text_parse_double(text, strlen(text), &v) ? v : 0;
}

/* --- times --- */

/* Units overlap: what counts is the length of their union. pf is the latest end among the earlier ones. */
static const char times_sql[] =
	"WITH u AS (SELECT collection AS name, 'load' AS phase, "
	"finished - make_interval(secs => seconds) AS s, finished AS f FROM docrow.chunk "
	"WHERE run = $1::bigint AND state = 'done' "
	"UNION ALL SELECT name, phase, finished - make_interval(secs => seconds), finished FROM docrow.step "
	"WHERE run = $1::bigint AND state = 'done' AND phase = 'settle' AND kind <> 'retry'), "
	"c AS (SELECT name, s, f, max(f) OVER (PARTITION BY name ORDER BY s, f ROWS BETWEEN UNBOUNDED PRECEDING AND "
	"1 "
	"PRECEDING) AS pf FROM u WHERE phase = 'load'), "
	"p AS (SELECT phase, s, f, max(f) OVER (PARTITION BY phase ORDER BY s, f ROWS BETWEEN UNBOUNDED PRECEDING "
	"AND 1 "
	"PRECEDING) AS pf FROM u) "
	"SELECT 'c', name, sum(greatest(0, extract(epoch FROM f - greatest(s, pf)))) FROM c GROUP BY name "
	"UNION ALL "
	"SELECT 'p', phase, sum(greatest(0, extract(epoch FROM f - greatest(s, pf)))) FROM p GROUP BY phase";

bool gather_times(struct pg *pg, int64_t run, struct arena *a, struct report_facts *f, struct err *err)
{
	char id[24];
	struct pg_param params[] = {number_param(id, run)};
	_cleanup_(pg_result_freep) struct pg_result *r = NULL;

	if (!pg_query(pg, times_sql, params, 1, &r, err))
		return false;
	struct report_time *times = arena_alloc(a, ((size_t)pg_rows(r) + 1) * sizeof(*times));
	f->times = times;
	f->ntimes = 0;
	for (int i = 0; i < pg_rows(r); i++) {
		const char *name = pg_get(r, i, 1);
		double seconds = to_double(pg_get(r, i, 2));
		if (pg_get(r, i, 0)[0] == 'c')
			times[f->ntimes++] = (struct report_time){arena_strdup(a, name), seconds};
		else if (strcmp(name, "load") == 0)
			f->load_seconds = seconds;
		else
			f->settle_seconds = seconds;
	}
	return true;
}

bool gather_rate(struct pg *pg, int64_t run, double *rate, struct err *err)
{
	char id[24];
	struct pg_param params[] = {number_param(id, run)};
	_cleanup_(pg_result_freep) struct pg_result *r = NULL;

	if (!pg_query(
		    pg,
		    "SELECT sum(docs) / greatest(1, least(60, extract(epoch FROM clock_timestamp() - "
		    "min(finished - make_interval(secs => seconds))))) FROM docrow.chunk WHERE run = $1::bigint AND "
		    "state = 'done' AND finished > clock_timestamp() - interval '60 s'",
		    params, 1, &r, err))
		return false;
	*rate = to_double(pg_get(r, 0, 0));
	return true;
}

/* --- the tables themselves --- */

/* Of a run that added to rows of others: without those. */
static bool count_own(struct pg *pg, const struct report_facts *f, size_t table, int64_t *rows, struct err *err)
{
	uint64_t others = 0;

	if (!state_run_appended(&f->run))
		return true;
	if (!sink_count_foreign_rows(pg, &f->plan->schema, f->run.id, (int)table, &others, err))
		return false;
	*rows -= (int64_t)others;
	return true;
}

static bool count_tables_of(struct pg *pg, const struct plan *plan, struct arena *a, struct report_facts *f,
			    struct err *err)
{
	const struct schema *s = &plan->schema;
	int64_t *rows = arena_alloc(a, (s->ntables + 1) * sizeof(*rows));

	for (size_t i = 0; i < s->ntables; i++) {
		_cleanup_(pg_result_freep) struct pg_result *r = NULL;
		_cleanup_(buf_free) struct buf sql = {0};
		buf_puts(&sql, "SELECT count(*) FROM ");
		sql_table(&sql, s, &s->tables[i]);
		if (!pg_query(pg, buf_cstr(&sql), NULL, 0, &r, err))
			return false;
		rows[i] = pg_get_i64(r, 0, 0);
		if (!count_own(pg, f, i, &rows[i], err))
			return false;
	}
	f->table_rows = rows;
	return true;
}

/* One that was not valid before the run is none of ours. */
static const char kept_keys_sql[] =
	"SELECT r.relname, c.conname FROM pg_catalog.pg_constraint c "
	"JOIN pg_catalog.pg_class r ON r.oid = c.conrelid JOIN pg_catalog.pg_namespace n ON n.oid = r.relnamespace "
	"WHERE n.nspname = $1::text AND c.contype = 'f' AND NOT c.convalidated AND NOT EXISTS ("
	"SELECT FROM docrow.ddl d WHERE d.run = $2::bigint AND d.kind = 'foreign key' AND d.table_name = r.relname "
	"AND d.object = c.conname AND d.definition LIKE '% NOT VALID') ORDER BY 1, 2";

bool gather_kept_keys(struct pg *pg, int64_t run, const struct schema *s, struct arena *a, const char ***keys,
		      size_t *n, struct err *err)
{
	char id[24];
	struct pg_param params[] = {PG_TEXT(s->name), number_param(id, run)};
	_cleanup_(pg_result_freep) struct pg_result *r = NULL;

	*n = 0;
	if (!pg_query(pg, kept_keys_sql, params, 2, &r, err))
		return false;
	*keys = arena_alloc(a, ((size_t)pg_rows(r) + 1) * sizeof(**keys));
	for (int i = 0; i < pg_rows(r); i++)
		if (schema_find_table(s, pg_get(r, i, 0)) >= 0)
			(*keys)[(*n)++] = arena_printf(a, "%s on %s", pg_get(r, i, 1), pg_get(r, i, 0));
	return true;
}

bool gather_facts_here(struct pg *pg, const struct state_run *run, const struct plan *plan, bool count_tables,
		       struct arena *a, struct report_facts *f, struct err *err)
{
	struct state_entry *entries;
	struct state_progress *progress;
	struct state_unit_line *slowest;
	struct state_pattern *rejects, *findings;
	struct state_refused *refused;

	memset(f, 0, sizeof(*f));
	f->plan = plan;
	f->run = *run;
	f->target = arena_strdup(a, pg_describe(pg));
	if (!state_ledger(pg, run->id, a, &entries, &f->nentries, err) ||
	    !state_progress(pg, run->id, a, &progress, &f->nprogress, err) ||
	    !state_slowest(pg, run->id, true, SLOWEST, a, &slowest, &f->nslowest, err) ||
	    !state_reject_patterns(pg, run->id, a, &rejects, &f->nrejects, err) ||
	    !state_finding_patterns(pg, run->id, a, &findings, &f->nfindings, err) ||
	    !state_refused(pg, run->id, a, &refused, &f->nrefused, err) || !gather_times(pg, run->id, a, f, err))
		return false;
	f->entries = entries;
	f->progress = progress;
	f->slowest = slowest;
	f->rejects = rejects;
	f->findings = findings;
	f->refused = refused;
	return !count_tables || (count_tables_of(pg, plan, a, f, err) &&
				 gather_kept_keys(pg, run->id, &plan->schema, a, &f->kept_keys, &f->nkept_keys, err));
}

bool gather_facts(struct pg *pg, const struct state_run *run, const struct plan *plan, bool count_tables,
		  struct arena *a, struct report_facts *f, struct err *err)
{
	/* In a transaction, which lifts the time limits that a role may carry: counting large tables takes its time.
	 */
	bool ok = pg_begin(pg, false, err) && gather_facts_here(pg, run, plan, count_tables, a, f, err) &&
		  pg_commit(pg, err);
	if (!ok)
		pg_rollback(pg);
	return ok;
}

/* --- rejects --- */

static const char rejects_sql[] =
	"SELECT id, collection, table_name, column_name, path, fault, code, sqlstate, message, bson_type, "
	"doc_id_text, "
	"key, ordinal, to_char(created AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.MS\"Z\"'), state, attempts "
	"FROM docrow.reject WHERE run = $1::bigint AND " REJECT_FILTER
	" AND id > $8::bigint ORDER BY id LIMIT $9::bigint";

static struct report_reject reject_of_row(const struct pg_result *r, int i)
{
	return (struct report_reject){.id = pg_get(r, i, 0),
				      .collection = pg_get(r, i, 1),
				      .table = pg_get(r, i, 2),
				      .column = pg_get(r, i, 3),
				      .path = pg_get(r, i, 4),
				      .fault = pg_get(r, i, 5),
				      .code = pg_get(r, i, 6),
				      .sqlstate = pg_get(r, i, 7),
				      .message = pg_get(r, i, 8),
				      .bson_type = pg_get(r, i, 9),
				      .doc_id = pg_get(r, i, 10),
				      .key = pg_get(r, i, 11),
				      .ordinal = pg_get(r, i, 12),
				      .created = pg_get(r, i, 13),
				      .state = pg_get(r, i, 14),
				      .attempts = pg_get(r, i, 15)};
}

static struct pg_param text_or_null(const char *text)
{
	return text ? PG_TEXT(text) : PG_NULL;
}

void gather_filter(const struct reject_filter *filter, struct pg_param params[7], char id[24])
{
	const char *texts[] = {filter->collection, filter->table, filter->fault, filter->path, filter->state};

	for (int i = 0; i < 5; i++)
		params[i + 1] = text_or_null(texts[i]);
	params[6] = PG_NULL;
	if (filter->id > 0)
		params[6] = number_param(id, filter->id);
}

bool gather_rejects(struct pg *pg, int64_t run, const struct reject_filter *filter, uint64_t limit, reject_each *each,
		    void *ctx, struct err *err)
{
	int64_t last = 0;

	for (uint64_t left = limit; left > 0;) {
		char texts[4][24];
		uint64_t page = left < PAGE ? left : PAGE;
		struct pg_param params[9] = {number_param(texts[0], run)};
		gather_filter(filter, params, texts[1]);
		params[7] = number_param(texts[2], last);
		params[8] = number_param(texts[3], (int64_t)page);
		_cleanup_(pg_result_freep) struct pg_result *r = NULL;
		if (!pg_query(pg, rejects_sql, params, 9, &r, err))
			return false;
		int n = pg_rows(r);
		for (int i = 0; i < n; i++) {
			struct report_reject reject = reject_of_row(r, i);
			if (!each(ctx, &reject))
				return true;
		}
		if ((uint64_t)n < page)
			return true;
		last = pg_get_i64(r, n - 1, 0);
		left -= page;
	}
	return true;
}

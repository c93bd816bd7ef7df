/* state_read.c - the account of a run, read for summaries, status and reports. Nothing here writes. */
#include <string.h>

#include "state_internal.h"

/* Reads rows of `sql` ($1 = run, $2 = limit if it uses one) into an array of structs by `fill`. */
typedef void fill_fn(void *item, struct arena *a, const struct pg_result *r, int row);

static bool read_rows(struct pg *pg, const char *sql, const struct pg_param *params, int nparams, struct arena *a,
		      size_t size, fill_fn *fill, void **out, size_t *n, struct err *err)
{
	struct pg_result *r;
	if (!state_query(pg, sql, params, nparams, &r, err))
		return false;
	*n = (size_t)pg_rows(r);
	char *items = arena_alloc(a, (*n + 1) * size);
	for (size_t i = 0; i < *n; i++)
		fill(items + i * size, a, r, (int)i);
	*out = items;
	pg_result_free(r);
	return true;
}

static void fill_entry(void *item, struct arena *a, const struct pg_result *r, int row)
{
	*(struct state_entry *)item = (struct state_entry){
		.kind = cell(a, r, row, 0),
		.object = cell(a, r, row, 1),
		.path = cell(a, r, row, 2),
		.n = (uint64_t)pg_get_i64(r, row, 3),
	};
}

bool state_ledger(struct pg *pg, int64_t run, struct arena *a, struct state_entry **out, size_t *n, struct err *err)
{
	char id[24];
	void *items;
	const struct pg_param params[] = {param_i64(id, run)};
	if (!read_rows(pg,
		       "SELECT kind, object, path, n FROM docrow.ledger WHERE run = $1 ORDER BY kind, object COLLATE "
		       "\"C\", path COLLATE \"C\"",
		       params, 1, a, sizeof(**out), fill_entry, &items, n, err))
		return false;
	*out = items;
	return true;
}

static void fill_progress(void *item, struct arena *a, const struct pg_result *r, int row)
{
	struct state_progress *p = item;
	*p = (struct state_progress){.name = cell(a, r, row, 1), .seconds = pg_get_double(r, row, 11)};
	uint64_t *const fields[] = {&p->total, &p->done, &p->running, &p->est_docs, &p->est_docs_done,
				    &p->docs,  &p->rows, &p->rejects, &p->bytes};
	for (int i = 0; i < 9; i++)
		*fields[i] = (uint64_t)pg_get_i64(r, row, i + 2);
	if (!state_phase_parse(pg_get(r, row, 0), &p->phase))
		p->phase = STATE_DONE;
}

/* count, done, running, estimates, documents, rows, rejects, bytes, seconds */
#define SUMS(est)                                                                                                    \
	"count(*), count(*) FILTER (WHERE state = 'done'), count(*) FILTER (WHERE state = 'running'), "              \
	"sum(" est ")::bigint, (sum(" est ") FILTER (WHERE state = 'done'))::bigint, sum(docs)::bigint, "            \
	"sum(row_count)::bigint, sum(rejects)::bigint, sum(bytes)::bigint, coalesce(sum(seconds), 0)"

bool state_progress(struct pg *pg, int64_t run, struct arena *a, struct state_progress **out, size_t *n,
		    struct err *err)
{
	char id[24];
	void *items;
	const struct pg_param params[] = {param_i64(id, run)};
	if (!read_rows(pg,
		       "(SELECT 'load', collection, " SUMS(
			       "est_docs") " FROM docrow.chunk WHERE run = $1 "
					   "GROUP BY collection ORDER BY min(load_step), min(id)) UNION ALL "
					   "(SELECT phase, kind, " SUMS("0") " FROM docrow.step WHERE run = $1 "
									     "GROUP BY phase, kind ORDER BY min(id))",
		       params, 1, a, sizeof(**out), fill_progress, &items, n, err))
		return false;
	*out = items;
	return true;
}

/* --- patterns --- */

static void fill_pattern(void *item, struct arena *a, const struct pg_result *r, int row)
{
	struct state_pattern *p = item;
	const char **const fields[] = {&p->kind,   &p->fault, &p->code,      &p->collection, &p->table,
				       &p->column, &p->path,  &p->bson_type, &p->message,    &p->example_id};
	*p = (struct state_pattern){
		.n = (uint64_t)pg_get_i64(r, row, 10),
		.open = (uint64_t)pg_get_i64(r, row, 11),
		.example = pg_get_i64(r, row, 12),
	};
	for (int i = 0; i < 10; i++)
		*fields[i] = cell(a, r, row, i);
}

bool state_reject_patterns(struct pg *pg, int64_t run, struct arena *a, struct state_pattern **out, size_t *n,
			   struct err *err)
{
	char id[24];
	void *items;
	const struct pg_param params[] = {param_i64(id, run)};
	/* The example is the first of its kind that is open: id, then looked up once a pattern. */
	if (!read_rows(
		    pg,
		    "SELECT NULL, p.fault, e.code, p.collection, p.table_name, p.column_name, p.path, p.bson_type, "
		    "e.message, e.doc_id_text, p.n, p.open, e.id FROM ("
		    "SELECT fault, collection, table_name, column_name, path, bson_type, count(*) AS n, "
		    "count(*) FILTER (WHERE state = 'open') AS open, coalesce(min(id) FILTER (WHERE state = 'open'), "
		    "min(id)) AS example FROM docrow.reject "
		    "WHERE run = $1 GROUP BY 1, 2, 3, 4, 5, 6) p JOIN docrow.reject e ON e.id = p.example "
		    "ORDER BY p.open DESC, p.n DESC, e.collection, e.table_name, e.path, e.column_name, e.fault, "
		    "e.bson_type, e.id",
		    params, 1, a, sizeof(**out), fill_pattern, &items, n, err))
		return false;
	*out = items;
	return true;
}

bool state_finding_patterns(struct pg *pg, int64_t run, struct arena *a, struct state_pattern **out, size_t *n,
			    struct err *err)
{
	char id[24];
	void *items;
	const struct pg_param params[] = {param_i64(id, run)};
	if (!read_rows(pg,
		       "SELECT p.kind, p.fault, NULL, p.collection, p.table_name, p.column_name, p.path, NULL, NULL, "
		       "e.doc_id_text, p.n, 0, e.id FROM ("
		       "SELECT kind, fault, collection, table_name, column_name, path, count(*) AS n, min(id) AS "
		       "example "
		       "FROM docrow.finding WHERE run = $1 GROUP BY 1, 2, 3, 4, 5, 6) p "
		       "JOIN docrow.finding e ON e.id = p.example ORDER BY p.n DESC, e.id",
		       params, 1, a, sizeof(**out), fill_pattern, &items, n, err))
		return false;
	*out = items;
	return true;
}

/* --- single units --- */

static void fill_line(void *item, struct arena *a, const struct pg_result *r, int row)
{
	*(struct state_unit_line *)item = (struct state_unit_line){
		.kind = cell(a, r, row, 0),
		.name = cell(a, r, row, 1),
		.state = cell(a, r, row, 2),
		.error = cell(a, r, row, 3),
		.attempts = (int)pg_get_i64(r, row, 4),
		.seconds = pg_get_double(r, row, 5),
	};
}

#define STEP_LINES "SELECT kind, name, state, error, attempts, seconds, id FROM docrow.step WHERE run = $1 "
#define CHUNK_LINES                                                                                                  \
	"SELECT 'chunk', collection || ', chunk ' || ordinal, state, error, attempts, seconds, id FROM "             \
	"docrow.chunk WHERE run = $1 "

static bool read_lines(struct pg *pg, const char *sql, int64_t run, int limit, struct arena *a,
		       struct state_unit_line **out, size_t *n, struct err *err)
{
	char text[2][24];
	void *items;
	const struct pg_param params[] = {param_i64(text[0], run), param_i64(text[1], limit)};
	if (!read_rows(pg, sql, params, 2, a, sizeof(**out), fill_line, &items, n, err))
		return false;
	*out = items;
	return true;
}

bool state_slowest(struct pg *pg, int64_t run, bool steps_only, int limit, struct arena *a,
		   struct state_unit_line **out, size_t *n, struct err *err)
{
	return read_lines(pg,
			  steps_only ? STEP_LINES "AND state = 'done' ORDER BY seconds DESC, id LIMIT $2::integer"
				     : STEP_LINES "AND state = 'done' UNION ALL " CHUNK_LINES
						  "AND state = 'done' ORDER BY seconds DESC, id LIMIT $2::integer",
			  run, limit, a, out, n, err);
}

bool state_failed(struct pg *pg, int64_t run, int limit, struct arena *a, struct state_unit_line **out, size_t *n,
		  struct err *err)
{
	return read_lines(pg,
			  CHUNK_LINES "AND state <> 'done' AND error IS NOT NULL UNION ALL " STEP_LINES
				      "AND state <> 'done' AND error IS NOT NULL ORDER BY id LIMIT $2::integer",
			  run, limit, a, out, n, err);
}

static void fill_refused(void *item, struct arena *a, const struct pg_result *r, int row)
{
	struct state_refused *f = item;
	f->object = cell(a, r, row, 0);
	f->table = cell(a, r, row, 1);
	f->sqlstate = cell(a, r, row, 2);
	f->reason = cell(a, r, row, 3);
	f->definition = cell(a, r, row, 4);
}

bool state_refused(struct pg *pg, int64_t run, struct arena *a, struct state_refused **out, size_t *n,
		   struct err *err)
{
	char text[24];
	void *items;
	const struct pg_param params[] = {param_i64(text, run)};
	if (!read_rows(pg,
		       "SELECT object, table_name, sqlstate, reason, definition FROM docrow.ddl WHERE run = $1 "
		       "AND state = 'refused' ORDER BY table_name, object",
		       params, 1, a, sizeof(**out), fill_refused, &items, n, err))
		return false;
	*out = items;
	return true;
}

/* Measured: worker-seconds of each kind per weight, over worker-seconds of loading a document. */
#define STEP_COST                                                                                                    \
	"weight * CASE kind WHEN 'index' THEN 0.15 WHEN 'pairs' THEN 0.25 WHEN 'vacuum' THEN 0.6 WHEN 'orphans' "    \
	"THEN 0.065 WHEN 'move' THEN 0.25 WHEN 'count' THEN 0.04 WHEN 'foreign_key' THEN 0.003 ELSE 0.02 END"

bool state_weights(struct pg *pg, int64_t run, double *all, double *done, struct err *err)
{
	char text[24];
	struct pg_result *r;
	const struct pg_param params[] = {param_i64(text, run)};
	if (!state_query(pg,
			 "SELECT sum(" STEP_COST ")::float8, (sum(" STEP_COST
			 ") FILTER (WHERE state = 'done'))::float8 "
			 "FROM docrow.step WHERE run = $1 AND phase = 'settle'",
			 params, 1, &r, err))
		return false;
	*all = pg_get_double(r, 0, 0);
	*done = pg_get_double(r, 0, 1);
	pg_result_free(r);
	return true;
}

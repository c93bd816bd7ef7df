/* state_run.c - a run: made, found, its status, cleaned, its phase moved.
 *
 * The run's row is the lock that coordinators share: creating a run, claiming a step and moving the phase take it.
 */
#include <string.h>

#include "state_internal.h"

static const char *const phase_names[] = {"split", "load", "settle", "done"};

const char *state_phase_name(enum state_phase phase)
{
	return phase_names[phase];
}

bool state_phase_parse(const char *name, enum state_phase *phase)
{
	for (size_t i = 0; i < sizeof(phase_names) / sizeof(phase_names[0]); i++) {
		if (strcmp(name, phase_names[i]) == 0) {
			*phase = (enum state_phase)i;
			return true;
		}
	}
	return false;
}

/* Of two who create at once the second waits here for the first's commit, then sees its run. */
static bool refuse_second(struct pg *pg, struct err *err)
{
	struct pg_result *r;
	if (!pg_exec(pg, "LOCK TABLE docrow.run IN SHARE ROW EXCLUSIVE MODE", err))
		return state_explain(err);
	if (!state_query(pg,
			 "SELECT id, status, mapping_name FROM docrow.run WHERE status NOT IN ('done', 'cleaned') "
			 "ORDER BY id DESC LIMIT 1",
			 NULL, 0, &r, err))
		return false;
	bool ok = pg_rows(r) == 0;
	if (!ok) {
		err_set(err, ERR_RUN_UNFINISHED, "run %s on this target is not finished", pg_get(r, 0, 0));
		err_detail(err, "mapping %.100s, status %s", pg_get(r, 0, 2), pg_get(r, 0, 1));
		err_hint(err, "go on with it: docrow migrate --resume; or begin again: docrow migrate --clean");
	}
	pg_result_free(r);
	return ok;
}

bool state_run_create(struct pg *pg, struct state_run *run, struct err *err)
{
	struct pg_result *r;
	const struct pg_param params[] = {
		PG_TEXT(run->mapping_name),    PG_TEXT(run->mapping_text),    PG_TEXT(run->mapping_digest),
		PG_TEXT(run->source_identity), PG_TEXT(run->source_describe), PG_TEXT(run->operation_time),
		PG_TEXT(run->options),         PG_TEXT(run->version),
	};
	if (!refuse_second(pg, err))
		return false;
	if (!state_query(pg,
			 "INSERT INTO docrow.run (mapping_name, mapping_text, mapping_digest, source_identity, "
			 "source_describe, operation_time, options, version) "
			 "VALUES ($1, $2, $3, $4, $5, $6, coalesce($7, '{}')::jsonb, $8) RETURNING id",
			 params, 8, &r, err))
		return false;
	run->id = pg_get_i64(r, 0, 0);
	run->phase = STATE_SPLIT;
	pg_result_free(r);
	return true;
}

#define ISO(column) "to_char(" column " AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"')"

bool state_run_find(struct pg *pg, struct arena *a, struct state_run *run, bool *found, struct err *err)
{
	struct pg_result *r;
	if (!state_query(
		    pg,
		    "SELECT id, mapping_name, mapping_text, mapping_digest, source_identity, source_describe, "
		    "operation_time, options, version, phase, status, error, " ISO("started") ", " ISO(
			    "finished") ", coalesce(options ->> 'left_out', ''), coalesce(options ->> 'schema', "
					"'public'), coalesce(options ->> 'way', '') FROM docrow.run WHERE status <> "
					"'cleaned' ORDER BY id DESC LIMIT 1",
		    NULL, 0, &r, err))
		return false;
	*found = pg_rows(r) > 0;
	*run = (struct state_run){0};
	bool ok = true;
	if (*found) {
		char **const fields[] = {&run->mapping_name,    &run->mapping_text,    &run->mapping_digest,
					 &run->source_identity, &run->source_describe, &run->operation_time,
					 &run->options,         &run->version};
		run->id = pg_get_i64(r, 0, 0);
		for (int i = 0; i < 8; i++)
			*fields[i] = cell(a, r, 0, i + 1);
		ok = state_phase_parse(pg_get(r, 0, 9), &run->phase);
		if (!ok)
			err_set(err, ERR_TARGET_STATE, "the run's phase is unknown: %.40s", pg_get(r, 0, 9));
		run->status = cell(a, r, 0, 10);
		run->error = cell(a, r, 0, 11);
		run->started = cell(a, r, 0, 12);
		run->finished = cell(a, r, 0, 13);
		run->left_out = cell(a, r, 0, 14);
		run->schema = cell(a, r, 0, 15);
		run->way = cell(a, r, 0, 16);
	}
	pg_result_free(r);
	return ok;
}

static bool gone(int64_t run, struct err *err)
{
	err_set(err, ERR_TARGET_STATE, "run %lld is not in schema docrow any more", (long long)run);
	return err_hint(err, "was it cleaned meanwhile? docrow status shows what is there");
}

/* One row or TARGET_STATE. */
static bool update_run(struct pg *pg, int64_t run, const char *sql, const struct pg_param *params, int n,
		       struct err *err)
{
	uint64_t rows;
	if (!state_exec(pg, sql, params, n, &rows, err))
		return false;
	return rows == 1 || gone(run, err);
}

bool state_run_set_status(struct pg *pg, int64_t run, const char *status, const char *error, struct err *err)
{
	char id[24];
	const struct pg_param params[] = {param_i64(id, run), PG_TEXT(status), PG_TEXT(error)};
	/* What is done stays done, whatever a straggler says. */
	return update_run(
		pg, run,
		"UPDATE docrow.run SET status = CASE WHEN status IN ('done', 'cleaned') AND $2 <> 'cleaned' "
		"THEN status ELSE $2 END, error = $3 WHERE id = $1",
		params, 3, err);
}

bool state_run_clean(struct pg *pg, int64_t run, struct err *err)
{
	static const char *const statements[] = {
		"DELETE FROM docrow.worker WHERE run = $1",    "DELETE FROM docrow.chunk WHERE run = $1",
		"DELETE FROM docrow.step WHERE run = $1",      "DELETE FROM docrow.reject WHERE run = $1",
		"DELETE FROM docrow.finding WHERE run = $1",   "DELETE FROM docrow.id_map WHERE run = $1",
		"DELETE FROM docrow.revision WHERE run = $1",  "DELETE FROM docrow.ddl WHERE run = $1",
		"DELETE FROM docrow.savepoint WHERE run = $1",
	};
	char id[24];
	const struct pg_param params[] = {param_i64(id, run)};
	/* The run's row first: claims of steps and moves of the phase wait, then find nothing. */
	if (!update_run(pg, run,
			"UPDATE docrow.run SET status = 'cleaned', finished = coalesce(finished, clock_timestamp()) "
			"WHERE id = $1",
			params, 1, err))
		return false;
	for (size_t i = 0; i < sizeof(statements) / sizeof(statements[0]); i++)
		if (!state_exec(pg, statements[i], params, 1, NULL, err))
			return false;
	return true;
}

/* --- revisions of the mapping --- */

bool state_revision_add(struct pg *pg, int64_t run, const char *name, const char *text, const char *digest,
			const char *version, struct err *err)
{
	char id[24];
	const struct pg_param params[] = {param_i64(id, run), PG_TEXT(name), PG_TEXT(text), PG_TEXT(digest),
					  PG_TEXT(version)};
	return state_exec(
		pg,
		"INSERT INTO docrow.revision (run, number, mapping_name, mapping_text, mapping_digest, version) "
		"SELECT r.id, coalesce(v.number, 0) + 1, $2, $3, $4, $5 FROM docrow.run r LEFT JOIN LATERAL "
		"(SELECT number, mapping_digest FROM docrow.revision WHERE run = r.id ORDER BY number DESC LIMIT 1) "
		"v ON true WHERE r.id = $1 AND coalesce(v.mapping_digest, r.mapping_digest) <> $4 "
		"ON CONFLICT DO NOTHING",
		params, 5, NULL, err);
}

bool state_revision_find(struct pg *pg, int64_t run, struct arena *a, char **name, char **text, bool *found,
			 struct err *err)
{
	char id[24];
	struct pg_result *r;
	const struct pg_param params[] = {param_i64(id, run)};
	if (!state_query(pg, "SELECT to_regclass('docrow.revision') IS NOT NULL", NULL, 0, &r, err))
		return false;
	*found = pg_get_bool(r, 0, 0); /* a state of version 1 has none */
	pg_result_free(r);
	if (!*found)
		return true;
	if (!state_query(pg,
			 "SELECT mapping_name, mapping_text FROM docrow.revision WHERE run = $1 ORDER BY number DESC "
			 "LIMIT 1",
			 params, 1, &r, err))
		return false;
	*found = pg_rows(r) > 0;
	*name = *found ? cell(a, r, 0, 0) : NULL;
	*text = *found ? cell(a, r, 0, 1) : NULL;
	pg_result_free(r);
	return true;
}

/* --- moving the phase --- */

/* Units of a phase that are not done, counted in the tables themselves. */
static bool count_open(struct pg *pg, int64_t run, enum state_phase phase, int64_t *open, struct err *err)
{
	char id[24];
	struct pg_result *r;
	const struct pg_param params[] = {param_i64(id, run), PG_TEXT(state_phase_name(phase))};
	if (!state_query(
		    pg,
		    "SELECT (SELECT count(*) FROM docrow.step WHERE run = $1 AND phase = $2 AND state <> 'done') + "
		    "(SELECT count(*) FROM docrow.chunk WHERE run = $1 AND $2 = 'load' AND state <> 'done')",
		    params, 2, &r, err))
		return false;
	*open = pg_get_i64(r, 0, 0);
	pg_result_free(r);
	return true;
}

static bool lock_phase(struct pg *pg, int64_t run, enum state_phase *now, struct err *err)
{
	char id[24];
	struct pg_result *r;
	const struct pg_param params[] = {param_i64(id, run)};
	if (!state_query(pg, "SELECT phase FROM docrow.run WHERE id = $1 AND status <> 'cleaned' FOR UPDATE", params,
			 1, &r, err))
		return false;
	bool ok = pg_rows(r) == 1 ? state_phase_parse(pg_get(r, 0, 0), now) : gone(run, err);
	pg_result_free(r);
	return ok;
}

static bool set_phase(struct pg *pg, int64_t run, enum state_phase phase, struct err *err)
{
	char id[24];
	const struct pg_param params[] = {param_i64(id, run), PG_TEXT(state_phase_name(phase))};
	return update_run(pg, run,
			  phase == STATE_DONE
				  ? "UPDATE docrow.run SET phase = $2, status = 'done', error = NULL, finished = "
				    "clock_timestamp() WHERE id = $1"
				  : "UPDATE docrow.run SET phase = $2 WHERE id = $1",
			  params, 2, err);
}

/* Units of the phase that begins have just been written, and the planner knows nothing of them: without statistics it
 * sorts all of them at every claim. */
static bool analyze_units(struct pg *pg, enum state_phase phase, struct err *err)
{
	if (phase == STATE_DONE)
		return true;
	return pg_exec(pg, phase == STATE_LOAD ? "ANALYZE docrow.chunk" : "ANALYZE docrow.step", err) ||
	       state_explain(err);
}

static bool advance(struct pg *pg, int64_t run, enum state_phase from, bool *moved, enum state_phase *now,
		    struct err *err)
{
	int64_t open;
	if (!lock_phase(pg, run, now, err))
		return false;
	if (*now != from || from == STATE_DONE)
		return true;
	if (!count_open(pg, run, from, &open, err))
		return false;
	if (open > 0)
		return true;
	*now = from + 1;
	*moved = true;
	return set_phase(pg, run, *now, err) && analyze_units(pg, *now, err);
}

bool state_advance(struct pg *pg, int64_t run, enum state_phase from, bool *moved, enum state_phase *now,
		   struct err *err)
{
	*moved = false;
	/* A stalled worker's open transaction would hold locks against the next phase. */
	if (!state_evict(pg, run, NULL, err) || !pg_begin(pg, true, err))
		return false;
	if (advance(pg, run, from, moved, now, err) && pg_commit(pg, err))
		return true;
	*moved = false;
	pg_rollback(pg);
	return false;
}

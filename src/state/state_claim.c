/* state_claim.c - which unit a worker gets next.
 *
 * Chunks: one statement; a row that another claim holds is passed over, so any number of workers of any number of
 * processes claim at once. Steps: one transaction under the run's row, since whether a step may start depends on the
 * others.
 *
 * A statement that locks rows looks at them twice: once by its snapshot, and again, if the row has changed meanwhile,
 * at the newest version of that row alone. So conditions on the row to be locked name its own columns only; which
 * workers are dead is settled beforehand, in an array. Joined to docrow.worker instead, a unit that was claimed a
 * moment ago by a worker that the snapshot does not know would look abandoned.
 */
#include <assert.h>
#include <string.h>

#include "state_internal.h"

/* The claim itself need not reach the disk: a crash ends the worker's connection, too. */
#define ASYNCHRONOUS "(SELECT set_config('synchronous_commit', 'off', true)) s"

#define TAKE(table, returning)                                                                                       \
	" UPDATE " table " c SET state = 'running', worker = $2, epoch = c.epoch + 1, attempts = c.attempts + 1 "    \
	"FROM u, " ASYNCHRONOUS " WHERE c.id = u.id "                                                                \
	"RETURNING c.id, c.epoch, c.attempts, c.collection, " returning

/* Workers that hold units of `table` and cannot go on with them: dead, gone, or the one who asks. */
#define ABANDONED(table)                                                                                             \
	"ARRAY(SELECT d.worker FROM " table " d LEFT JOIN docrow.worker w ON w.id = d.worker WHERE d.run = $1 "      \
	"AND d.state = 'running' AND (d.worker = $2 OR w.id IS NULL OR NOT " STATE_FRESH "))"

#define CHUNK_RETURNING "c.bounds, c.ordinal, c.est_docs, c.est_bytes"

#define CLAIM_CHUNK(condition)                                                                                       \
	"WITH u AS MATERIALIZED (SELECT id FROM docrow.chunk WHERE run = $1 AND " condition                          \
	" ORDER BY rank DESC, load_step, id LIMIT 1 FOR UPDATE SKIP LOCKED)" TAKE("docrow.chunk", CHUNK_RETURNING)

static const char claim_pending_chunk[] = CLAIM_CHUNK("$2::bigint IS NOT NULL AND state = 'pending'");
static const char claim_abandoned_chunk[] =
	CLAIM_CHUNK("state = 'running' AND worker = ANY (" ABANDONED("docrow.chunk") ")");

void state_unit_head(struct state_unit *u, bool is_chunk, struct arena *a, const struct pg_result *r)
{
	*u = (struct state_unit){
		.is_chunk = is_chunk,
		.id = pg_get_i64(r, 0, 0),
		.epoch = pg_get_i64(r, 0, 1),
		.attempts = (int)pg_get_i64(r, 0, 2),
		.collection = cell(a, r, 0, 3),
		.table = -1,
		.object = -1,
	};
}

static void fill_chunk(struct state_unit *u, struct arena *a, const struct pg_result *r)
{
	struct buf bounds;
	state_unit_head(u, true, a, r);
	u->ordinal = pg_get_i64(r, 0, 5);
	u->est_docs = (uint64_t)pg_get_i64(r, 0, 6);
	u->est_bytes = (uint64_t)pg_get_i64(r, 0, 7);
	u->name = arena_printf(a, "%s, chunk %lld", u->collection, (long long)u->ordinal);
	if (pg_get(r, 0, 4) == NULL)
		return;
	buf_init(&bounds, 0);
	pg_get_bytea(r, 0, 4, &bounds);
	u->bounds_len = bounds.len;
	u->bounds = arena_memdup(a, bounds.len > 0 ? (const void *)bounds.data : "", bounds.len);
	buf_free(&bounds);
}

/* *got false: none. */
static bool try_chunk(struct pg *pg, const char *sql, int64_t run, int64_t worker, struct arena *a,
		      struct state_unit *unit, bool *got, struct err *err)
{
	char text[2][24];
	struct pg_result *r;
	const struct pg_param params[] = {param_i64(text[0], run), param_i64(text[1], worker)};
	*got = false;
	if (!state_query(pg, sql, params, 2, &r, err))
		return false;
	*got = pg_rows(r) > 0;
	if (*got)
		fill_chunk(unit, a, r);
	pg_result_free(r);
	return true;
}

static bool claim_chunk(struct pg *pg, int64_t run, int64_t worker, struct arena *a, struct state_unit *unit,
			bool *got, struct err *err)
{
	if (!try_chunk(pg, claim_pending_chunk, run, worker, a, unit, got, err))
		return false;
	if (*got)
		return true;
	if (!try_chunk(pg, claim_abandoned_chunk, run, worker, a, unit, got, err))
		return false;
	/* Whose unit this was may still have it half done in an open transaction, with locks on the tables. */
	return !*got || state_evict(pg, run, NULL, err);
}

/* --- steps --- */

/* A step of phase $3 that is free, whose predecessors are done and whose locks go together with those of the steps
 * that run. $2 is the worker. Under the run's lock nobody else turns pending into running. */
#define READY_STEP                                                                                                   \
	"SELECT t.id FROM docrow.step t WHERE t.run = $1 AND t.phase = $3 "                                          \
	"AND (t.state = 'pending' OR (t.state = 'running' AND t.worker = ANY (" ABANDONED(                           \
		"docrow.step") "))) "                                                                                \
			       "AND NOT EXISTS (SELECT FROM docrow.step p WHERE p.run = $1 AND p.id = ANY "          \
			       "(t.after) AND p.state <> 'done') "                                                   \
			       "AND NOT t.lock_conflicts && ARRAY(SELECT h FROM docrow.step o JOIN docrow.worker w " \
			       "ON w.id = o.worker, "                                                                \
			       "unnest(o.lock_holds) h WHERE o.run = $1 AND o.state = 'running' AND o.worker <> $2 " \
			       "AND " STATE_FRESH ") "                                                               \
			       "ORDER BY t.weight DESC, t.id LIMIT 1"

static const char find_step[] = READY_STEP;
static const char claim_step[] =
	"WITH u AS MATERIALIZED (" READY_STEP
	" FOR UPDATE SKIP LOCKED)" TAKE("docrow.step", "c.kind, c.name, c.table_index, c.object");

static bool fill_step(struct state_unit *u, struct arena *a, const struct pg_result *r, struct err *err)
{
	state_unit_head(u, false, a, r);
	u->name = cell(a, r, 0, 5);
	u->table = (int)pg_get_i64(r, 0, 6);
	u->object = (int)pg_get_i64(r, 0, 7);
	if (state_step_kind_parse(pg_get(r, 0, 4), &u->kind))
		return true;
	err_set(err, ERR_TARGET_STATE, "docrow.step has a step of unknown kind: %.40s", pg_get(r, 0, 4));
	return err_hint(err, "use the docrow that began the run");
}

/* A run that was cleaned meanwhile has no steps; state_advance will say so. */
static bool lock_run(struct pg *pg, const struct pg_param *params, struct err *err)
{
	return state_exec(pg, "SELECT FROM docrow.run WHERE id = $1 AND status <> 'cleaned' FOR UPDATE", params, 1,
			  NULL, err);
}

static bool take_step(struct pg *pg, const struct pg_param *params, struct arena *a, struct state_unit *unit,
		      bool *got, struct err *err)
{
	struct pg_result *r;
	if (!lock_run(pg, params, err) || !state_query(pg, claim_step, params, 3, &r, err))
		return false;
	*got = pg_rows(r) > 0;
	bool ok = !*got || fill_step(unit, a, r, err);
	pg_result_free(r);
	return ok;
}

static bool is_step_ready(struct pg *pg, const struct pg_param *params, bool *ready, struct err *err)
{
	struct pg_result *r;
	if (!state_query(pg, find_step, params, 3, &r, err))
		return false;
	*ready = pg_rows(r) > 0;
	pg_result_free(r);
	return true;
}

static bool claim_step_of(struct pg *pg, int64_t run, int64_t worker, enum state_phase phase, bool asks_again,
			  struct arena *a, struct state_unit *unit, bool *got, struct err *err)
{
	char text[2][24];
	bool ready = true;
	const struct pg_param params[] = {param_i64(text[0], run), param_i64(text[1], worker),
					  PG_TEXT(state_phase_name(phase))};
	*got = false;
	if (!state_evict(pg, run, NULL, err) || (asks_again && !is_step_ready(pg, params, &ready, err)))
		return false;
	if (!ready)
		return true;
	if (!pg_begin(pg, false, err))
		return false;
	if (take_step(pg, params, a, unit, got, err) && pg_commit(pg, err))
		return true;
	*got = false;
	pg_rollback(pg);
	return false;
}

/* --- both --- */

static bool busy_or_none(struct pg *pg, int64_t run, enum state_phase phase, enum state_claim *result,
			 struct err *err)
{
	char id[24];
	struct pg_result *r;
	const struct pg_param params[] = {param_i64(id, run), PG_TEXT(state_phase_name(phase))};
	if (!state_query(
		    pg,
		    "SELECT EXISTS (SELECT FROM docrow.step WHERE run = $1 AND phase = $2 AND state <> 'done') OR "
		    "($2 = 'load' AND EXISTS (SELECT FROM docrow.chunk WHERE run = $1 AND state <> 'done'))",
		    params, 2, &r, err))
		return false;
	*result = pg_get_bool(r, 0, 0) ? STATE_BUSY : STATE_NONE;
	pg_result_free(r);
	/* A unit that is held by a stalled worker's transaction comes free only when that has ended. */
	return *result == STATE_NONE || phase != STATE_LOAD || state_evict(pg, run, NULL, err);
}

bool state_claim(struct pg *pg, int64_t run, int64_t worker, enum state_phase phase, bool asks_again, struct arena *a,
		 struct state_unit *unit, enum state_claim *result, struct err *err)
{
	bool got = false;
	*result = STATE_NONE;
	if (phase == STATE_DONE)
		return true;
	if (phase == STATE_LOAD && !claim_chunk(pg, run, worker, a, unit, &got, err))
		return false;
	if (!got && !claim_step_of(pg, run, worker, phase, asks_again, a, unit, &got, err))
		return false;
	*result = STATE_CLAIMED;
	return got || busy_or_none(pg, run, phase, result, err);
}

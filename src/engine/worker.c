/* worker.c - the loop of a worker and the heartbeat.
 *
 *   claim a unit → run it in one transaction with its mark → next;  nothing left in the phase → move the phase
 *
 * After any lost connection memory is thrown away and the state is read again: the worker enters itself anew, so that
 * its old row, and with it its old claim, is gone; a COMMIT whose answer was lost shows as the unit's mark.
 */
#include <stdio.h>
#include <unistd.h>

#include "engine_private.h"
#include "text.h"

#define BUSY_WAIT_MS             30
#define LOOK_AT_REPLICAS_SECONDS 1.0
#define LOOK_AT_WEIGHTS_SECONDS  1.0
#define CANCEL_AFTER_SECONDS     1.0 /* after a stop, units may roll back by themselves for so long */

static void worker_disconnect(struct worker *w)
{
	pthread_mutex_lock(&w->pg_lock);
	pg_close(w->pg);
	w->pg = NULL;
	pthread_mutex_unlock(&w->pg_lock);
}

bool worker_connect(struct worker *w, struct err *err)
{
	struct engine *e = w->engine;
	if (w->pg != NULL && !pg_is_lost(w->pg))
		return true;
	worker_disconnect(w);
	struct pg *pg = NULL;
	if (!pg_open(&pg, e->target_uri, "docrow worker", err))
		return false;
	pthread_mutex_lock(&w->pg_lock);
	w->pg = pg;
	pthread_mutex_unlock(&w->pg_lock);
	int64_t old = atomic_exchange(&w->id, 0), fresh = 0;
	if (old != 0 && !state_worker_remove(pg, old, err))
		return false;
	if (!state_worker_add(pg, e->run, e->host, getpid(), e->options.lease_seconds, &fresh, err))
		return false;
	atomic_store(&w->id, fresh);
	return true;
}

/* Takes the worker's row away, so that a resume need not wait for its lease. */
void worker_close(struct worker *w)
{
	struct err ignored;
	int64_t id = atomic_exchange(&w->id, 0);
	if (w->pg != NULL && id != 0 && !pg_is_lost(w->pg) && !state_worker_remove(w->pg, id, &ignored))
		log_line(LOG_DEBUG, "worker row not removed: %s", ignored.message);
	if (w->reader != NULL)
		source_reader_close(w->reader);
	w->reader = NULL;
	worker_disconnect(w);
}

bool worker_reader(struct worker *w, struct err *err)
{
	return w->reader != NULL || source_reader_open(&w->reader, w->engine->source, err);
}

static bool read_chunk(struct worker *w, const char *collection, const struct buf *bounds, each_document_fn *each,
		       void *ctx, bool *enough, struct err *err)
{
	const uint8_t *doc;
	size_t len;
	int got;
	if (!source_read(w->reader, collection, bounds->data, bounds->len, err))
		return false;
	while ((got = source_next(w->reader, &doc, &len, err)) == 1) {
		if (!each(ctx, doc, len, enough, err))
			return false;
		if (*enough)
			return true;
	}
	return got == 0;
}

bool worker_read_all(struct worker *w, const char *collection, each_document_fn *each, void *ctx, struct err *err)
{
	_cleanup_(pg_result_freep) struct pg_result *r = NULL;
	_cleanup_(buf_free) struct buf bounds = {0};
	char run[24];
	bool enough = false;
	snprintf(run, sizeof run, "%lld", (long long)w->engine->run);
	struct pg_param params[] = {PG_TEXT(run), PG_TEXT(collection)};
	if (!worker_reader(w, err) ||
	    !pg_query(w->pg,
		      "SELECT bounds FROM docrow.chunk WHERE run = $1::bigint AND collection = $2::text ORDER BY id",
		      params, 2, &r, err))
		return false;
	for (int row = 0; row < pg_rows(r) && !enough; row++) {
		buf_reset(&bounds);
		pg_get_bytea(r, row, 0, &bounds);
		if (!read_chunk(w, collection, &bounds, each, ctx, &enough, err))
			return false;
	}
	return true;
}

bool commit_if_mine(struct worker *w, const struct state_unit *u, double started, bool *mine, struct err *err)
{
	if (!state_finish(w->pg, u, w->ledger, clock_seconds() - started, mine, err))
		return false;
	if (!*mine) {
		pg_rollback(w->pg);
		return true;
	}
	if (!pg_commit(w->pg, err))
		return false;
	atomic_fetch_add(&w->engine->units_done, 1);
	return true;
}

/* --- one unit --- */

static bool run_unit(struct worker *w, const struct state_unit *u, bool *mine, struct err *err)
{
	ledger_reset(w->ledger);
	sink_notes_reset(w->notes);
	if (u->is_chunk)
		return load_chunk(w, u, mine, err);
	if (u->kind == STEP_SPLIT)
		return load_split(w, u, mine, err);
	return settle_step(w, u, mine, err);
}

/* After a failure inside a unit: roll back and give it back, as far as the connection still allows. What can't be
 * given back is claimable again once this worker has entered itself anew or its lease has run out. */
static void give_back(struct worker *w, const struct state_unit *u, const struct err *why)
{
	struct err ignored;
	char text[sizeof why->where + sizeof why->message + 2];
	if (pg_is_lost(w->pg)) {
		worker_disconnect(w);
		return;
	}
	snprintf(text, sizeof text, "%s%s%s", why->where, why->where[0] ? ": " : "", why->message);
	pg_rollback(w->pg);
	if (pg_is_lost(w->pg) || !state_release(w->pg, u, why->kind == ERR_KIND_STOPPED ? NULL : text, &ignored))
		worker_disconnect(w);
}

bool wait_and_retry(struct worker *w, const struct err *err)
{
	struct engine *e = w->engine;
	if (engine_is_stopping(e))
		return false;
	if (err->class != ERR_CLASS_RETRY)
		return false;
	if (!w->waiting) {
		backoff_init(&w->backoff, e->options.retry_seconds);
		w->waiting = true;
		w->seen_units = atomic_load(&e->units_done);
		log_line(LOG_WARN, "%s: trying again for up to %.0f s", err->message, e->options.retry_seconds);
	}
	engine_message(e, "%s: trying again", err->message);
	if (err->kind == ERR_KIND_SOURCE && w->reader != NULL) {
		source_reader_close(w->reader);
		w->reader = NULL;
	}
	return backoff_wait(&w->backoff);
}

/* After a round that went well. Where a unit failed, a claim that found nothing to do proves nothing: the same unit
 * would fail again, and patience would start anew each time, without end. */
void trouble_is_over(struct worker *w)
{
	if (!w->waiting || (w->in_unit && atomic_load(&w->engine->units_done) == w->seen_units))
		return;
	w->waiting = w->in_unit = false;
	engine_message(w->engine, "%s", "");
	log_line(LOG_INFO, "going on");
}

static bool claim_and_run(struct worker *w, enum state_claim *claim, struct err *err)
{
	struct engine *e = w->engine;
	struct state_unit u = {0};
	bool mine = false;
	arena_reset(w->arena);
	if (!state_claim(w->pg, e->run, atomic_load(&w->id), (enum state_phase)atomic_load(&e->phase), w->asks_again,
			 w->arena, &u, claim, err))
		return false;
	w->asks_again = *claim == STATE_BUSY;
	if (*claim != STATE_CLAIMED)
		return true;
	atomic_store(&w->busy, true);
	bool ok = run_unit(w, &u, &mine, err);
	if (!ok)
		give_back(w, &u, err);
	w->in_unit |= !ok;
	atomic_store(&w->busy, false);
	return ok;
}

static bool move_phase(struct engine *e, struct worker *w, struct err *err)
{
	bool moved;
	enum state_phase from = (enum state_phase)atomic_load(&e->phase), now;
	if (!state_advance(w->pg, e->run, from, &moved, &now, err))
		return false;
	/* Only forward: another worker may have read a later phase meanwhile. */
	int seen = atomic_load(&e->phase);
	while (seen < (int)now && !atomic_compare_exchange_weak(&e->phase, &seen, (int)now))
		;
	return true;
}

/* Settling runs on --index-jobs workers; the others wait for the end. */
static bool is_surplus(const struct worker *w)
{
	const struct engine *e = w->engine;
	return atomic_load(&e->phase) == STATE_SETTLE && w->index >= e->options.index_jobs;
}

static bool one_round(struct worker *w, struct err *err)
{
	enum state_claim claim;
	if (!worker_connect(w, err) || !claim_and_run(w, &claim, err))
		return false;
	trouble_is_over(w);
	if (claim == STATE_BUSY)
		clock_sleep_ms(BUSY_WAIT_MS);
	return claim != STATE_NONE || move_phase(w->engine, w, err);
}

void *worker_main(void *arg)
{
	struct worker *w = arg;
	struct engine *e = w->engine;
	struct err err;
	while (!engine_is_stopping(e) && atomic_load(&e->phase) != STATE_DONE) {
		err_clear(&err);
		if (is_surplus(w) || pace_is_lagging(&e->pace)) {
			clock_sleep_ms(BUSY_WAIT_MS);
		} else if (!one_round(w, &err) && !wait_and_retry(w, &err)) {
			if (!engine_is_stopping(e) && err.kind != ERR_KIND_STOPPED)
				engine_fail(e, &err);
			break;
		}
	}
	atomic_fetch_sub(&e->running, 1);
	return NULL;
}

/* --- heartbeat --- */

static void cancel_all(struct engine *e)
{
	for (int i = 0; i < e->nworkers; i++) {
		struct worker *w = &e->workers[i];
		pthread_mutex_lock(&w->pg_lock);
		if (w->pg != NULL && atomic_load(&w->busy))
			pg_cancel(w->pg);
		pthread_mutex_unlock(&w->pg_lock);
	}
}

static bool heartbeat_connect(struct engine *e, struct pg **pg, struct err *err)
{
	if (*pg != NULL && pg_is_lost(*pg)) {
		pg_close(*pg);
		*pg = NULL;
	}
	return *pg != NULL || pg_open(pg, e->target_uri, "docrow heartbeat", err);
}

static bool beat(struct engine *e, struct pg **pg, struct err *err)
{
	int64_t ids[256];
	int n = 0;
	for (int i = 0; i < e->nworkers && n < 256; i++) {
		int64_t id = atomic_load(&e->workers[i].id);
		if (id != 0)
			ids[n++] = id;
	}
	return n == 0 || (heartbeat_connect(e, pg, err) && state_heartbeat(*pg, ids, n, err));
}

static void look_at_replicas(struct engine *e, struct pg **pg)
{
	bool has_looked = e->pace.has_looked, was_lagging = has_looked && pace_is_lagging(&e->pace);
	uint64_t behind;
	char text[2][32];
	struct err err;
	if (!heartbeat_connect(e, pg, &err) || !pace_look(&e->pace, *pg, &behind, &err)) {
		log_line(has_looked ? LOG_DEBUG : LOG_WARN, "waiting to see how far replicas are behind: %s",
			 err.message);
		return;
	}
	if (pace_is_lagging(&e->pace))
		engine_message(e, "waiting for a replica that is %s behind (--max-lag %s)",
			       text_bytes(behind, text[0]), text_bytes(e->options.max_lag, text[1]));
	else if (was_lagging)
		engine_message(e, "%s", "");
	if (pace_is_lagging(&e->pace) != was_lagging)
		log_line(LOG_INFO,
			 was_lagging ? "replicas have caught up: going on" : "a replica is %s behind: waiting",
			 text_bytes(behind, text[0]));
}

/* How far settling is, for the display only. */
static void look_at_weights(struct engine *e, struct pg **pg)
{
	double all, done;
	struct err err;
	if (!heartbeat_connect(e, pg, &err) || !state_weights(*pg, e->run, &all, &done, &err)) {
		log_line(LOG_DEBUG, "weights: %s", err.message);
		return;
	}
	if (atomic_load(&e->phase) == STATE_SETTLE && atomic_load(&e->settle_started_at) == 0) {
		atomic_store(&e->settle_weight_done, done);
		atomic_store(&e->settle_started_at, clock_seconds());
	}
	atomic_store(&e->weight, all);
	atomic_store(&e->weight_done, done);
}

/* Renews the leases three times as often as they run out, and cancels what still runs a second after a stop. */
void *heartbeat_main(void *arg)
{
	struct engine *e = arg;
	struct pg *pg = NULL;
	struct err err;
	double next = 0, next_look = 0, next_weights = 0, cancel_at = 0;
	while (atomic_load(&e->running) > 0) {
		double now = clock_seconds();
		if (engine_is_stopping(e)) {
			if (cancel_at == 0)
				cancel_at = now + CANCEL_AFTER_SECONDS;
			if (now >= cancel_at)
				cancel_all(e);
		}
		if (now >= next) {
			next = now + e->options.lease_seconds / 4;
			if (!beat(e, &pg, &err))
				log_line(LOG_DEBUG, "heartbeat: %s", err.message);
		}
		if (now >= next_weights) {
			next_weights = now + LOOK_AT_WEIGHTS_SECONDS;
			look_at_weights(e, &pg);
		}
		if (e->options.max_lag > 0 && now >= next_look) {
			next_look = now + LOOK_AT_REPLICAS_SECONDS;
			look_at_replicas(e, &pg);
		}
		usleep(100 * 1000);
	}
	pg_close(pg);
	return NULL;
}

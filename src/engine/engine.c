/* engine.c - start, poll, stop, finish. The work is in begin.c (before the threads), worker.c (the loop), load.c
 * (rows) and settle.c (steps). */
#include "engine.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "engine_private.h"

static void workers_init(struct engine *e)
{
	e->nworkers = e->options.mode == ENGINE_RETRY ? 1 : e->options.workers;
	e->workers = mem_zalloc(sizeof *e->workers * (size_t)e->nworkers);
	for (int i = 0; i < e->nworkers; i++) {
		struct worker *w = &e->workers[i];
		w->engine = e;
		w->index = i;
		w->convs = mem_zalloc(sizeof *w->convs * e->plan->ncollections);
		w->ledger = ledger_new();
		w->scratch = ledger_new();
		w->notes = sink_notes_new();
		w->arena = arena_new();
		pthread_mutex_init(&w->pg_lock, NULL);
	}
}

static void workers_free(struct engine *e)
{
	for (int i = 0; i < e->nworkers; i++) {
		struct worker *w = &e->workers[i];
		for (size_t c = 0; c < e->plan->ncollections; c++)
			if (w->convs[c] != NULL)
				conv_free(w->convs[c]);
		free(w->convs);
		ledger_free(w->ledger);
		ledger_free(w->scratch);
		sink_notes_free(w->notes);
		arena_free(w->arena);
		pthread_mutex_destroy(&w->pg_lock);
	}
	free(e->workers);
}

struct conv *engine_conv(const struct engine *e, int collection, struct ledger *ledger)
{
	struct conv *c = conv_new(e->plan, collection, ledger);
	conv_set_server_version(c, e->server_version);
	return c;
}

static bool threads_start(struct engine *e, struct err *err)
{
	if (pthread_create(&e->heartbeat, NULL, heartbeat_main, e) != 0)
		return err_set(err, ERR_INTERNAL, "cannot start a thread");
	e->has_heartbeat = true;
	for (int i = 0; i < e->nworkers; i++) {
		struct worker *w = &e->workers[i];
		atomic_fetch_add(&e->running, 1);
		void *(*work)(void *) = e->options.mode == ENGINE_RETRY ? retry_main : worker_main;
		if (pthread_create(&w->thread, NULL, work, w) != 0) {
			atomic_fetch_sub(&e->running, 1);
			err_set(err, ERR_INTERNAL, "cannot start a thread");
			engine_fail(e, err);
			return false;
		}
		w->has_thread = true;
	}
	return true;
}

int engine_load_step(const struct engine *e, size_t collection)
{
	return e->order.step[e->plan->collections[collection].outputs[0].copy.table];
}

void engine_set_order(struct engine *e)
{
	e->order = schema_order(&e->plan->schema, e->arena);
	for (size_t i = 0; i < e->plan->ncollections; i++) {
		size_t at = i;
		for (; at > 0 && engine_load_step(e, e->display[at - 1]) > engine_load_step(e, i); at--)
			e->display[at] = e->display[at - 1];
		e->display[at] = i;
	}
}

bool engine_start(struct engine **out, struct plan *p, struct source *s, const struct engine_options *o,
		  struct err *err)
{
	struct engine *e = mem_zalloc(sizeof *e);
	e->plan = p;
	e->source = s;
	e->options = *o;
	e->target_uri = mem_strdup(o->target_uri);
	e->options.target_uri = e->target_uri;
	e->started_at = clock_seconds();
	if (gethostname(e->host, sizeof e->host - 1) != 0)
		snprintf(e->host, sizeof e->host, "unknown");
	pthread_mutex_init(&e->lock, NULL);
	pthread_mutex_init(&e->big_slot, NULL);
	pace_init(&e->pace, o->max_rate, o->max_lag);
	e->settle = settle_new(p);
	e->tables = mem_zalloc(sizeof *e->tables * p->ncollections);
	e->shown = mem_zalloc(sizeof *e->shown * p->ncollections);
	e->display = mem_zalloc(sizeof *e->display * p->ncollections);
	e->arena = arena_new();
	engine_set_order(e);
	workers_init(e);
	*out = e;
	if (!begin_run(e, err)) {
		atomic_store(&e->stopping, true);
		e->failed = true;
		e->error = *err;
		return false;
	}
	if (o->mode == ENGINE_CLEAN_ONLY || atomic_load(&e->phase) == STATE_DONE)
		return true;
	return threads_start(e, err);
}

static void snapshot_tables(struct engine *e)
{
	for (size_t i = 0; i < e->plan->ncollections; i++) {
		struct table_progress *t = &e->tables[e->display[i]];
		struct engine_table *s = &e->shown[i];
		const struct plan_collection *c = &e->plan->collections[e->display[i]];
		int table = c->outputs[0].copy.table;
		s->collection = c->name;
		s->table = e->plan->schema.tables[table].name;
		s->load_phase = e->order.phases[e->order.phase[table]].name;
		s->est_docs = t->est_docs;
		s->present = t->present;
		s->docs = atomic_load(&t->docs);
		s->rejects = atomic_load(&t->rejects);
		s->retried = atomic_load(&t->retried);
		s->chunks = atomic_load(&t->chunks);
		s->chunks_done = atomic_load(&t->chunks_done);
		s->started_at = atomic_load(&t->started_at);
		s->finished_at = atomic_load(&t->finished_at);
		s->started = s->started_at > 0;
		s->finished = s->finished_at > 0;
	}
}

void engine_poll(struct engine *e, struct engine_snapshot *out)
{
	memset(out, 0, sizeof *out);
	snapshot_tables(e);
	out->tables = e->shown;
	out->ntables = e->plan->ncollections;
	out->phase = (enum state_phase)atomic_load(&e->phase);
	out->finished = atomic_load(&e->running) == 0;
	out->stopping = engine_is_stopping(e);
	out->started_at = e->started_at;
	out->steps = atomic_load(&e->steps);
	out->steps_done = atomic_load(&e->steps_done);
	out->weight = atomic_load(&e->weight);
	out->weight_done = atomic_load(&e->weight_done);
	out->settle_started_at = atomic_load(&e->settle_started_at);
	out->settle_weight_done = atomic_load(&e->settle_weight_done);
	pthread_mutex_lock(&e->lock);
	memcpy(out->current, e->current, sizeof out->current);
	memcpy(out->message, e->message, sizeof out->message);
	pthread_mutex_unlock(&e->lock);
}

void engine_stop(struct engine *e)
{
	atomic_store(&e->user_stop, true);
	atomic_store(&e->stopping, true);
}

void engine_fail(struct engine *e, const struct err *err)
{
	pthread_mutex_lock(&e->lock);
	if (!e->failed) {
		e->failed = true;
		e->error = *err;
	}
	pthread_mutex_unlock(&e->lock);
	atomic_store(&e->stopping, true);
}

void engine_message(struct engine *e, const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	pthread_mutex_lock(&e->lock);
	vsnprintf(e->message, sizeof e->message, fmt, ap);
	pthread_mutex_unlock(&e->lock);
	va_end(ap);
}

/* The run's row says how it ended. A failure to write that is only logged: the state of the units is what counts. */
static void record_end(struct engine *e)
{
	struct err err;
	const char *status = e->failed ? "failed" : "stopped";
	char error[sizeof e->error.message + 16] = "";
	_cleanup_(pg_closep) struct pg *pg = NULL;
	if (e->failed)
		snprintf(error, sizeof error, "%s: %s", err_code_text(e->error.code), e->error.message);
	if (!pg_open(&pg, e->target_uri, "docrow", &err) ||
	    !state_run_set_status(pg, e->run, status, e->failed ? error : NULL, &err))
		log_line(LOG_WARN, "the run's status could not be recorded: %s", err.message);
}

bool engine_finish(struct engine *e, struct err *err)
{
	for (int i = 0; i < e->nworkers; i++)
		if (e->workers[i].has_thread)
			pthread_join(e->workers[i].thread, NULL);
	atomic_store(&e->stopping, true);
	if (e->has_heartbeat)
		pthread_join(e->heartbeat, NULL);
	for (int i = 0; i < e->nworkers; i++)
		worker_close(&e->workers[i]);
	if (!e->failed && (e->options.mode == ENGINE_CLEAN_ONLY || atomic_load(&e->phase) == STATE_DONE))
		return true;
	if (e->run != 0 && e->has_heartbeat && e->options.mode != ENGINE_RETRY)
		record_end(e);
	if (e->failed) {
		*err = e->error;
		return false;
	}
	return err_set(err, ERR_STOPPED, "stopped before the end");
}

struct engine_retry engine_retry_result(const struct engine *e)
{
	return e->retried;
}

void engine_free(struct engine *e)
{
	if (e == NULL)
		return;
	workers_free(e);
	settle_free(e->settle);
	retry_free(e->retry);
	pthread_mutex_destroy(&e->lock);
	pthread_mutex_destroy(&e->big_slot);
	pace_free(&e->pace);
	free(e->tables);
	free(e->shown);
	free(e->display);
	arena_free(e->arena);
	free(e->target_uri);
	free(e);
}

/* pool.c - threads that take tasks until none is left.
 *
 * What a task finds, counts and adds to the tally is kept apart until it is done, and taken back when a server was
 * lost on the way: then the connections are made anew, and the task is done from its beginning.
 */
#include <stdlib.h>

#include "validate_private.h"

void remember(struct validation *v, const struct err *err)
{
	pthread_mutex_lock(&v->lock);
	if (!v->failed || v->first_error.code == ERR_STOPPED)
		v->first_error = *err;
	v->failed = true;
	pthread_mutex_unlock(&v->lock);
	atomic_store(&v->stop, true);
}

/* --- sums of columns --- */

static void stats_reset(const struct plan *p, struct column_stats **s)
{
	for (size_t i = 0; i < p->schema.ntables; i++)
		for (size_t c = 0; c < p->schema.tables[i].ncolumns; c++)
			s[i][c] = (struct column_stats){.least = INT64_MAX, .most = INT64_MIN};
}

struct column_stats **stats_new(const struct plan *p)
{
	struct column_stats **s = mem_zalloc((p->schema.ntables + 1) * sizeof *s);

	for (size_t i = 0; i < p->schema.ntables; i++)
		s[i] = mem_zalloc((p->schema.tables[i].ncolumns + 1) * sizeof **s);
	stats_reset(p, s);
	return s;
}

void stats_free(const struct plan *p, struct column_stats **s)
{
	for (size_t i = 0; s != NULL && i < p->schema.ntables; i++)
		free(s[i]);
	free(s);
}

static void stats_merge(struct validation *v, struct column_stats **from)
{
	pthread_mutex_lock(&v->lock);
	for (size_t i = 0; i < v->plan->schema.ntables; i++)
		for (size_t c = 0; c < v->plan->schema.tables[i].ncolumns; c++) {
			struct column_stats *to = &v->stats[i][c], *x = &from[i][c];
			to->values += x->values;
			to->nan += x->nan;
			to->taken += x->taken;
			for (int k = 0; k < STAT_KINDS; k++) {
				to->kinds[k] += x->kinds[k];
				to->misfits[k] += x->misfits[k];
			}
			to->least = x->least < to->least ? x->least : to->least;
			to->most = x->most > to->most ? x->most : to->most;
		}
	pthread_mutex_unlock(&v->lock);
}

/* --- one task --- */

static struct task *next_task(struct validation *v)
{
	struct task *t = NULL;

	pthread_mutex_lock(&v->lock);
	if (!validation_stopped(v) && v->next_task < v->ntasks)
		t = &v->tasks[v->next_task++];
	pthread_mutex_unlock(&v->lock);
	return t;
}

static enum validate_layer layer_of(const struct validation *v, enum task_kind k)
{
	switch (k) {
	case TASK_REFERENCE:
		return LAYER_REFERENCES;
	case TASK_TYPES:
		return LAYER_TYPES;
	case TASK_CHUNK:
		return wants_layer(v, LAYER_VALUES) ? LAYER_VALUES : LAYER_COUNTS;
	case TASK_MATCH:
	case TASK_PAIR:
		return LAYER_VALUES;
	default:
		return LAYER_COUNTS;
	}
}

static bool run_task(struct worker *w, const struct task *t, struct err *err)
{
	switch (t->kind) {
	case TASK_CHUNK:
		return chunk_look(w, t, LOOK_ALL, err);
	case TASK_ROWS:
		return rows_tally(w, t->index, err);
	case TASK_TYPES:
		return types_check(w, t->index, err);
	case TASK_REFERENCE:
		return reference_check(w, &w->v->references[t->index], err);
	case TASK_PART:
		return part_compare(w, t->index, err);
	case TASK_NAME_ROWS:
		return rows_name(w, t->index, err);
	case TASK_NAME_DOCS:
		return chunk_look(w, t, LOOK_NAME, err);
	case TASK_PROBE:
		return chunk_look(w, t, LOOK_PROBE, err);
	case TASK_MATCH:
		return chunk_look(w, t, LOOK_MATCH, err);
	case TASK_PAIR:
		return chunk_look(w, t, LOOK_PAIR, err);
	}
	return true;
}

static bool needs_target(const struct task *t)
{
	return t->kind != TASK_PART && t->kind != TASK_NAME_DOCS && t->kind != TASK_PROBE;
}

static bool try_task(struct worker *w, const struct task *t, struct err *err)
{
	if (needs_target(t) && w->pg == NULL && !target_open(w->v, &w->pg, err))
		return false;
	return run_task(w, t, err);
}

static void keep_task(struct worker *w, const struct task *t)
{
	found_merge(w->v->found, w->found);
	if (t->kind == TASK_MATCH)
		undo_keep(w, w->v->feeds[t->index].main.table);
	else
		undo_forget(w);
	if (t->kind == TASK_CHUNK || t->kind == TASK_MATCH || t->kind == TASK_PAIR) {
		stats_merge(w->v, w->stats);
		stats_reset(w->v->plan, w->stats);
	}
}

/* Whichever server it was: both connections are in an unknown state. */
static void forget_task(struct worker *w)
{
	tally_forget(w->tally);
	found_reset(w->found);
	stats_reset(w->v->plan, w->stats);
	undo_all(w);
	if (w->reader != NULL)
		source_reader_close(w->reader);
	w->reader = NULL;
	pg_closep(&w->pg);
}

static void finish_task(struct worker *w, const struct task *t)
{
	struct err err;

	tally_begin(w->tally);
	while (!try_task(w, t, &err)) {
		forget_task(w);
		if (!patience_wait(w->v, &w->patience, &err)) {
			remember(w->v, &err);
			return;
		}
	}
	patience_end(&w->patience);
	keep_task(w, t);
}

/* --- a worker --- */

static void worker_open(struct worker *w)
{
	judge_init(&w->judge, w->v->server_version);
	w->arena = arena_new();
	w->tally = tally_writer_new(w->v->tally);
	w->found = found_new(w->v->plan);
	w->stats = stats_new(w->v->plan);
}

static void worker_close(struct worker *w)
{
	struct err err;

	if (!tally_writer_close(w->tally, &err))
		remember(w->v, &err);
	found_free(w->found);
	free(w->undo.odds);
	free(w->undo.spots);
	free(w->undo.left);
	stats_free(w->v->plan, w->stats);
	if (w->reader != NULL)
		source_reader_close(w->reader);
	pg_close(w->pg);
	judge_free(&w->judge);
	arena_free(w->arena);
	view_free(&w->view);
	view_free(&w->inner);
}

static void *work(void *arg)
{
	struct worker *w = arg;
	struct validation *v = w->v;
	struct task *t;

	worker_open(w);
	while ((t = next_task(v)) != NULL) {
		double began = clock_seconds();
		finish_task(w, t);
		pthread_mutex_lock(&v->lock);
		v->layer_seconds[layer_of(v, t->kind)] += clock_seconds() - began;
		pthread_mutex_unlock(&v->lock);
		atomic_fetch_add(&v->tasks_done, 1);
	}
	worker_close(w);
	return NULL;
}

bool run_pool(struct validation *v)
{
	int n = v->o.workers;
	struct worker *workers = mem_zalloc((size_t)n * sizeof *workers);

	v->next_task = 0;
	if ((size_t)n > v->ntasks)
		n = v->ntasks > 0 ? (int)v->ntasks : 1;
	int started = 0;
	for (; started < n; started++) { /* where no more threads are to be had, those that are there do the work */
		workers[started].v = v;
		if (pthread_create(&workers[started].thread, NULL, work, &workers[started]) != 0)
			break;
	}
	for (int i = 0; i < started; i++)
		pthread_join(workers[i].thread, NULL);
	free(workers);
	if (started == 0 && v->ntasks > 0 && !v->failed) {
		err_set(&v->first_error, ERR_INTERNAL, "cannot start a thread");
		v->failed = true;
	}
	if (validation_stopped(v) && !v->failed) {
		err_set(&v->first_error, ERR_STOPPED, "stopped by a signal");
		v->failed = true;
	}
	return !v->failed;
}

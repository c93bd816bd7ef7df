/* synth.c - the run: units of documents made by several threads, written in one order.
 *
 * Unit u is documents [first, first + UNIT) of one collection; which ones depends on the counts alone. A thread takes
 * the next unit, makes it, then waits for its turn to write. Memory: one unit a thread.
 */
#include "synth.h"

#include <pthread.h>
#include <unistd.h>

#include "synth_private.h"
#include "sys.h"

enum { UNIT = 2000 };

struct run {
	const struct model *m;
	const struct synth_options *opts;
	struct output *output;
	struct synth_result *result;
	uint64_t total;
	pthread_mutex_t lock;
	pthread_cond_t turned;
	/* Under the lock: */
	uint64_t next_unit, turn, nunits;
	bool failed;
	struct err err;
};

/* An empty collection is a unit without documents: its file is there all the same. */
static uint64_t units_of(const struct coll *c)
{
	return c->docs == 0 ? 1 : (c->docs + UNIT - 1) / UNIT;
}

struct unit {
	const struct coll *coll;
	uint64_t first, end;
	bool is_last;
};

static struct unit unit_at(const struct model *m, uint64_t u)
{
	size_t i = 0;

	while (u >= units_of(&m->colls[i]))
		u -= units_of(&m->colls[i++]);
	const struct coll *c = &m->colls[i];
	uint64_t first = u * UNIT;
	return (struct unit){c, first, c->docs - first < UNIT ? c->docs : first + UNIT, u + 1 == units_of(c)};
}

static void fail(struct run *r, const struct err *err)
{
	pthread_mutex_lock(&r->lock);
	if (!r->failed)
		r->err = *err;
	r->failed = true;
	pthread_cond_broadcast(&r->turned);
	pthread_mutex_unlock(&r->lock);
}

/* False when there is nothing left to do. */
static bool take_unit(struct run *r, uint64_t *unit)
{
	bool has_more;

	pthread_mutex_lock(&r->lock);
	has_more = !r->failed && r->next_unit < r->nunits;
	if (has_more)
		*unit = r->next_unit++;
	pthread_mutex_unlock(&r->lock);
	return has_more;
}

static bool wait_for_turn(struct run *r, uint64_t unit)
{
	bool ok;

	pthread_mutex_lock(&r->lock);
	while (!r->failed && r->turn != unit)
		pthread_cond_wait(&r->turned, &r->lock);
	ok = !r->failed;
	pthread_mutex_unlock(&r->lock);
	return ok;
}

/* Counts are kept by whoever has the turn, so they need no lock of their own. */
static void count_unit(struct run *r, const struct unit *u, const struct gen *g)
{
	struct synth_collection *c = &r->result->collections[u->coll->index];

	c->docs += u->end - u->first;
	c->bytes += g->out.len;
	c->faults += g->nfaults;
	r->result->docs += u->end - u->first;
	r->result->bytes += g->out.len;
	r->result->faults += g->nfaults;
	if (r->opts->progress)
		r->opts->progress(r->opts->ctx, r->result->docs, r->total);
}

static void end_turn(struct run *r)
{
	pthread_mutex_lock(&r->lock);
	r->turn++;
	pthread_cond_broadcast(&r->turned);
	pthread_mutex_unlock(&r->lock);
}

static bool do_unit(struct run *r, struct output_worker *w, struct gen *g, uint64_t number, struct err *err)
{
	struct unit u = unit_at(r->m, number);

	buf_reset(&g->out);
	buf_reset(&g->faults);
	g->nfaults = 0;
	for (uint64_t i = u.first; i < u.end; i++)
		gen_document(g, u.coll, i);
	if (stop_requested())
		return err_set(err, ERR_STOPPED, "stopped by a signal");
	if (!output_prepare(w, u.coll, g, err))
		return false;
	if (!wait_for_turn(r, number))
		return true;
	if (!output_write(w, u.coll, u.is_last, g, err))
		return false;
	count_unit(r, &u, g);
	end_turn(r);
	return true;
}

static void *work(void *arg)
{
	struct run *r = arg;
	struct output_worker *w = NULL;
	struct err err;
	struct gen g;
	uint64_t unit;
	bool ok;

	gen_init(&g, r->m);
	ok = output_worker_open(&w, r->output, &err);
	while (ok && take_unit(r, &unit))
		ok = do_unit(r, w, &g, unit, &err);
	if (!ok)
		fail(r, &err);
	output_worker_close(w);
	gen_free(&g);
	return NULL;
}

static unsigned thread_count(const struct run *r)
{
	long processors = sysconf(_SC_NPROCESSORS_ONLN);
	uint64_t n = r->opts->threads > 0 ? r->opts->threads : processors > 0 ? (uint64_t)processors : 1;

	if (n > 64)
		n = 64;
	return (unsigned)(n < r->nunits ? n : r->nunits > 0 ? r->nunits : 1);
}

static bool run_threads(struct run *r, struct err *err)
{
	unsigned n = thread_count(r), started = 0;
	pthread_t *threads = mem_alloc(n * sizeof *threads);
	struct err e;

	pthread_mutex_init(&r->lock, NULL);
	pthread_cond_init(&r->turned, NULL);
	while (started < n && pthread_create(&threads[started], NULL, work, r) == 0)
		started++;
	if (started == 0) {
		err_set(&e, ERR_INTERNAL, "no thread can be started");
		fail(r, &e);
	}
	for (unsigned i = 0; i < started; i++)
		pthread_join(threads[i], NULL);
	free(threads);
	pthread_cond_destroy(&r->turned);
	pthread_mutex_destroy(&r->lock);
	if (r->failed)
		*err = r->err;
	return !r->failed;
}

/* The database of the URI: what stands between the third slash and a question mark. */
static const char *uri_database(struct arena *a, const char *uri)
{
	const char *start = uri ? strstr(uri, "://") : NULL, *slash = start ? strchr(start + 3, '/') : NULL;
	size_t n = slash ? strcspn(slash + 1, "?") : 0;

	return n > 0 ? arena_strndup(a, slash + 1, n) : NULL;
}

static const char *choose_database(const struct plan *p, const struct synth_options *o, struct arena *a)
{
	const char *name = o->database ? o->database : uri_database(a, o->uri);

	if (!name)
		name = p->mapping->source_database;
	return name ? name : "sample";
}

static bool check_options(const struct synth_options *o, struct err *err)
{
	if (!o->folder == !o->uri)
		return err_set(err, ERR_SETTING, "either a folder or a server is needed to write to");
	if (!(o->dirt >= 0 && o->dirt <= 1))
		return err_set(err, ERR_SETTING, "the share of dirt is between 0 and 1");
	if (o->gzip && o->uri)
		return err_set(err, ERR_SETTING, "only files can be packed");
	return true;
}

static bool run_model(const struct model *m, const struct synth_options *o, const char *database,
		      struct synth_result *result, struct err *err)
{
	struct run r = {.m = m, .opts = o, .result = result};
	bool ok;

	for (size_t i = 0; i < m->ncolls; i++) {
		r.nunits += units_of(&m->colls[i]);
		r.total += m->colls[i].docs;
	}
	ok = output_open(&r.output, m, o, database, err) && run_threads(&r, err);
	if (!ok) {
		output_abort(r.output);
		return false;
	}
	return output_close(r.output, err);
}

bool synth_run(const struct plan *p, const struct synth_options *o, struct synth_result *result, struct err *err)
{
	double start = clock_seconds();
	uint64_t *counts = mem_zalloc((p->ncollections + 1) * sizeof *counts);
	struct arena *a = arena_new();
	struct model *m = NULL;
	bool ok;

	*result = (struct synth_result){.ncollections = p->ncollections};
	result->collections = mem_zalloc((p->ncollections + 1) * sizeof *result->collections);
	for (size_t i = 0; i < p->ncollections; i++)
		result->collections[i].name = p->collections[i].name;
	ok = check_options(o, err) && synth_counts(p, o, counts, err) &&
	     model_make(&m, p, counts, o->seed, o->dirt, err) &&
	     run_model(m, o, choose_database(p, o, a), result, err);
	result->seconds = clock_seconds() - start;
	model_free(m);
	arena_free(a);
	free(counts);
	return ok;
}

void synth_result_free(struct synth_result *result)
{
	free(result->collections);
	*result = (struct synth_result){0};
}

/* engine_private.h - what the files of engine/ share.
 *
 * THREADS. A worker owns its connection, reader, converters and ledger. Shared are the plan (constant after
 * begin_run), the counters for display (atomics) and the first error (under `lock`). Only `pg` of a worker is touched
 * by another thread, to cancel, under the worker's `pg_lock`.
 */
#ifndef DOCROW_ENGINE_PRIVATE_H
#define DOCROW_ENGINE_PRIVATE_H

#include <pthread.h>
#include <stdatomic.h>

#include "convert.h"
#include "engine.h"
#include "pace.h"
#include "sink.h"
#include "sink_stage.h"
#include "sys.h"

struct table_progress {
	atomic_ullong docs, rejects, chunks, chunks_done, retried;
	_Atomic double started_at, finished_at;
	uint64_t est_docs;
	struct map_limit reject_limit;
	const char *limit_from; /* for people: who set it */
	bool present;
};

struct worker {
	struct engine *engine;
	int index;
	pthread_t thread;
	bool has_thread;
	pthread_mutex_t pg_lock; /* around open, close and cancel of pg                    */
	struct pg *pg;
	atomic_llong id; /* row in docrow.worker; 0 none                           */
	struct source_reader *reader;
	struct conv **convs;    /* one per collection, made on first use                  */
	struct ledger *ledger;  /* of the unit in hand                                    */
	struct ledger *scratch; /* of conversions that are not counted                    */
	struct sink_notes *notes;
	struct arena *arena;    /* of the unit in hand                                    */
	struct backoff backoff; /* running while there is trouble                         */
	bool waiting;           /* for trouble to pass                                    */
	bool in_unit;           /* it came up inside a unit, not on connecting or claiming */
	uint64_t seen_units;    /* units_done when it came up                             */
	bool asks_again;        /* its last claim found nothing free                      */
	unsigned since_rate;    /* rate_count: over all units, which may be small         */
	atomic_bool busy;       /* inside a unit                                          */
};

struct engine {
	struct plan *plan;
	struct source *source;
	struct engine_options options;
	char *target_uri;
	char host[128];
	int64_t run;
	int server_version;    /* of the target; known from begin_run on                     */
	bool existing;         /* the target's tables were there before the run         */
	struct sink_way way;   /* how those are filled; of a resume the run's own       */
	struct settle *settle; /* groups of references: settle.c                         */
	struct retry *retry;   /* docrow retry: retry.c                                   */
	struct engine_retry retried;
	struct table_progress *tables;
	struct arena *arena;        /* of the order of loading                                */
	struct schema_order order;  /* by the target's foreign keys once begin_run is through */
	size_t *display;            /* collections in this order                              */
	struct engine_table *shown; /* for engine_poll                                        */
	struct worker *workers;
	int nworkers;
	pthread_t heartbeat;
	bool has_heartbeat;
	pthread_mutex_t lock;     /* error, message, current                                */
	pthread_mutex_t big_slot; /* documents over 4 MB go through one at a time           */
	struct err error;
	bool failed;
	atomic_bool stopping; /* stop asked for, or failed                              */
	atomic_bool user_stop;
	atomic_int phase;
	atomic_int running; /* worker threads that have not returned                  */
	atomic_ullong steps, steps_done;
	_Atomic double weight, weight_done, settle_started_at, settle_weight_done; /* for the display */
	atomic_ullong units_done; /* by this process: a sign that trouble is over           */
	char message[256], current[160];
	struct pace pace;
	double started_at, stop_at;
};

/* begin.c: everything before the threads start: checks, guard, clean, a new run or the old one. */
bool begin_run(struct engine *e, struct err *err) MUST_CHECK;

/* target.c: tables that docrow makes, or that are there already. */
/* Decides which (e->existing) for a new run, and that all is well. Writes nothing. */
bool target_check(struct engine *e, struct pg *pg, struct err *err) MUST_CHECK;
/* Makes the tables, or takes keys and indexes of those that are there away and adapts the plan to them. In the
 * transaction that makes the run. */
bool target_prepare(struct engine *e, struct pg *pg, int64_t run, struct err *err) MUST_CHECK;
/* The same plan for a run that goes on. */
bool target_reopen(struct engine *e, struct pg *pg, int64_t run, struct err *err) MUST_CHECK;
/* Types of the target for a retry: of the plan and of the run's own. */
bool target_for_retry(struct engine *e, struct pg *pg, struct plan *run_plan, struct err *err) MUST_CHECK;
/* --clean, in the caller's transaction: drops what docrow made, or empties what it filled and gives keys and indexes
 * back. `s`: of the run's own mapping. */
bool target_clean(struct engine *e, struct pg *pg, const struct schema *s, int64_t run, struct err *err) MUST_CHECK;

/* load.c: bodies of units that move rows. Each does its own transaction up to and with COMMIT; *mine false: rolled
 * back, since the unit belongs to another claim. */
bool load_chunk(struct worker *w, const struct state_unit *u, bool *mine, struct err *err) MUST_CHECK;
bool load_split(struct worker *w, const struct state_unit *u, bool *mine, struct err *err) MUST_CHECK;
/* Loads the documents of duplicated keys anew: the lowest _id keeps the key, the others become rejects. Inside the
 * caller's transaction. */
bool load_duplicates(struct worker *w, const struct state_unit *u, struct err *err) MUST_CHECK;
/* Drops what a converter has gathered for its outputs, and buffers that grew too large. */
/* A converter for this target. */
struct conv *engine_conv(const struct engine *e, int collection, struct ledger *ledger);
void load_reset_rows(struct conv *conv, const struct plan_collection *c);
/* One COPY of all rows in rb, which is reset; the server must take every one. *rows gets how many. */
bool load_copy_rows(struct worker *w, const struct plan_output *o, struct rowbuf *rb, uint64_t *rows,
		    struct err *err) MUST_CHECK;
/* What the converter noted of its last document: a rejected element (counted in l), a value that was replaced. */
void load_note_element(struct worker *w, const char *collection, struct ledger *l, const struct conv *conv,
		       const struct conv_note *n);
void load_note_finding(struct worker *w, const char *collection, const struct conv *conv, const struct conv_note *n);
bool worker_reader(struct worker *w, struct err *err) MUST_CHECK;
/* Every document of a collection, chunk by chunk; `each` may say that it has seen enough. */
typedef bool each_document_fn(void *ctx, const uint8_t *doc, size_t len, bool *enough, struct err *err);
bool worker_read_all(struct worker *w, const char *collection, each_document_fn *each, void *ctx,
		     struct err *err) MUST_CHECK;

/* fetch.c: the documents of rows that were taken out while settling. Inside the caller's transaction. */
bool fetch_rejects(struct worker *w, const struct state_unit *u, struct err *err) MUST_CHECK;

/* settle.c: which steps there are, and their bodies. */
struct settle *settle_new(const struct plan *p);
void settle_free(struct settle *s);
/* All steps of a run (split and settle), in the caller's transaction. */
bool settle_add_steps(struct engine *e, struct pg *pg, int64_t run, struct err *err) MUST_CHECK;
bool settle_step(struct worker *w, const struct state_unit *u, bool *mine, struct err *err) MUST_CHECK;

/* retry.c: after begin_run found the run that is done. */
bool begin_retry(struct engine *e, struct pg *pg, const struct state_run *run, struct arena *a,
		 struct err *err) MUST_CHECK;
void *retry_main(void *arg);
void retry_free(struct retry *r);

/* parts.c: is the collection's whole counted, as a step of this (its first) entry? And that step's body. */
bool count_parts(struct worker *w, size_t collection, struct err *err) MUST_CHECK;

/* worker.c */
void *worker_main(void *arg);
/* Opens the connection anew when it was lost, and enters the worker in docrow.worker. */
bool worker_connect(struct worker *w, struct err *err) MUST_CHECK;
/* True when the trouble may pass and the worker should try again (it has waited). */
bool wait_and_retry(struct worker *w, const struct err *err) MUST_CHECK;
void trouble_is_over(struct worker *w);
void *heartbeat_main(void *arg);
void worker_close(struct worker *w);

/* engine.c */
/* The order of loading, by the plan's schema as it is now. */
void engine_set_order(struct engine *e);
int engine_load_step(const struct engine *e, size_t collection);
void engine_fail(struct engine *e, const struct err *err); /* first error wins; stops the others */
void engine_message(struct engine *e, const char *fmt, ...) PRINTF_LIKE(2, 3);
static inline bool engine_is_stopping(struct engine *e)
{
	return atomic_load_explicit(&e->stopping, memory_order_relaxed) || stop_requested();
}
bool commit_if_mine(struct worker *w, const struct state_unit *u, double started, bool *mine,
		    struct err *err) MUST_CHECK;

#endif

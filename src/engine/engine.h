/* engine.h - chunks → workers → transactions → settle; stop, resume, clean.
 *
 *   engine_start → engine_poll* (until it says finished) → engine_finish
 *
 * engine_start returns at once after the checks; the work runs on threads of its own. engine_poll is for the thread
 * that draws; engine_stop may be called from any thread. Includes neither libpq nor libmongoc and names no type.
 */
#ifndef DOCROW_ENGINE_H
#define DOCROW_ENGINE_H

#include "err.h"
#include "mem.h"
#include "plan.h"
#include "sink_existing.h"
#include "source.h"
#include "state.h"

enum engine_mode {
	ENGINE_NEW,
	ENGINE_RESUME,
	ENGINE_JOIN,
	ENGINE_CLEAN /* clean, then new */,
	ENGINE_CLEAN_ONLY,
	ENGINE_RETRY /* the rejects of the finished run; needs no source */
};

/* Which rejects docrow retry takes; NULL and 0: any. */
struct retry_filter {
	const char *collection, *table, *fault, *path;
	int64_t id; /* docrow.reject.id */
};

/* Whose the tables are: docrow makes them, or they are there. AUTO looks. */
enum engine_target { ENGINE_TARGET_AUTO, ENGINE_TARGET_OWNED, ENGINE_TARGET_EXISTING };

struct engine_options {
	enum engine_mode mode;
	enum engine_target target; /* of a new run */
	struct sink_way way;       /* of tables that exist                                    */
	bool way_is_given;         /* a resume must have the same then; else it keeps the run's  */
	double lock_seconds;       /* how long their locks are waited for                     */
	const char *source_uri, *target_uri;
	int workers; /* threads, each with one client and one connection          */
	int index_jobs;
	double max_rate;                /* documents a second of this process; 0: no limit          */
	uint64_t max_lag;               /* bytes of WAL that a replica of the target may be behind; 0: don't look */
	uint64_t batch_docs;            /* 0: by size                                               */
	uint64_t chunk_bytes;           /* default 16 MB                                            */
	double lease_seconds;           /* default 15                                               */
	double retry_seconds;           /* how long a lost server is waited for; default 120        */
	struct map_limit max_rejects;   /* not given: the mapping's, else 10,000 or 1 % of the collection */
	const char *max_rejects_source; /* "--max-rejects"                                   */
	bool no_search_indexes;         /* leave out indexes of tier search                         */
	bool load_only;                 /* stop after the rows (bench): no keys, no indexes         */
	const char *version;
	const char *left_out; /* collections that the plan leaves out, as plan_choose wrote them; NULL: none */
	struct retry_filter retry;
	bool dry_run; /* ENGINE_RETRY: everything in one transaction, which is rolled back */
};

/* Makes the entries of the mapping that take a part of a collection known to the source, under their names; before
 * anything is read by them. */
bool engine_define_parts(const struct plan *p, struct source *s, struct err *err) MUST_CHECK;

struct engine;

/* What docrow retry did. */
struct engine_retry {
	uint64_t tried, loaded; /* rejects: a document with all that was rejected of it counts once */
	uint64_t restored;      /* references and pairs that got back what they named               */
	uint64_t batches;
	uint64_t rejects, open;               /* of the run, now (a dry run: as they would be)                     */
	const struct state_pattern *patterns; /* likewise; lent until engine_free                      */
	size_t npatterns;
};

struct engine_table { /* one per collection, in the order of loading */
	const char *collection, *table;
	const char *load_phase; /* of the table, for people; NULL: not said */
	uint64_t est_docs, docs, rejects, chunks, chunks_done;
	uint64_t retried; /* docrow retry: loaded */
	bool present, started, finished;
	double started_at, finished_at; /* clock_seconds, 0 = not yet */
};
struct engine_snapshot {
	enum state_phase phase;
	const char *doing; /* shown in place of the phase's name; NULL: that one */
	bool finished, stopping;
	double started_at;
	const struct engine_table *tables; /* lent until the next poll */
	size_t ntables;
	uint64_t steps, steps_done;
	/* Of settling, as state_weights gives it; 0: not known yet. */
	double weight, weight_done;
	double settle_started_at, settle_weight_done; /* when it began, 0: not yet; weight_done then */
	char current[160];                            /* "index crm_Accounts_status_idx"                           */
	char message[256];                            /* "PostgreSQL is away: trying again (3)", or ""             */
};

bool engine_start(struct engine **e, struct plan *p, struct source *s, const struct engine_options *o,
		  struct err *err) MUST_CHECK;
void engine_poll(struct engine *e, struct engine_snapshot *out);
void engine_stop(struct engine *e); /* finish or roll back the current units within a second or two */
/* Waits for the threads. False: err says why the run did not reach its end (also STOPPED). */
bool engine_finish(struct engine *e, struct err *err) MUST_CHECK;
/* After engine_finish said true, of mode ENGINE_RETRY. */
struct engine_retry engine_retry_result(const struct engine *e);
void engine_free(struct engine *e);

#endif

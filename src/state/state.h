/* state.h - runs, workers, chunks, steps and the ledger: tables in schema docrow of the target. Truth is there only,
 * never in memory or in a file.
 *
 *   run.phase:   split → load → settle → done      moved by state_advance only
 *   unit.state:  pending → running → done          a unit is a chunk or a step
 *                          running → pending       released by its worker, or its worker's lease ran out
 *
 * What always holds (tests quote the numbers):
 *   (1) A unit's rows, rejects, findings, counts and its "done" are committed in one transaction.
 *   (2) Each claim raises the unit's epoch; only the claim with the current epoch can finish it. A worker that lost
 *       its unit finds no row to update and must roll back.
 *   (3) All chunks of a collection are written in one transaction with the "done" of its split step.
 *   (4) The phase moves in a synchronous transaction that finds no unfinished unit of the phase in the table itself.
 *   (5) Times are the server's clock_timestamp(); the heartbeat is the worker's row, never the unit's.
 *   (6) Chunk transactions may commit asynchronously: the mark is lost or kept with the rows.
 *   (7) Two steps run together only if their locks are compatible and all steps named in `after` are done.
 *
 * Functions that do not say "in the caller's transaction" make their own; call them outside of one. All strings that
 * come back live in the arena that was given. Errors of class RETRY mean: connect anew and read the state again.
 */
#ifndef DOCROW_STATE_H
#define DOCROW_STATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "err.h"
#include "ledger.h"
#include "mem.h"
#include "pg.h"

enum state_phase { STATE_SPLIT, STATE_LOAD, STATE_SETTLE, STATE_DONE };
const char *state_phase_name(enum state_phase phase);
/* False: no such name. */
bool state_phase_parse(const char *name, enum state_phase *phase);

/* Schema, tables, view, SQL functions; does nothing when they are there in this version. When the role may not create
 * the schema: TARGET_SCHEMA with the SQL for the administrator in the hint (state_admin_sql has all of it). Own
 * transaction, safe against a second docrow doing the same. */
bool state_install(struct pg *pg, struct err *err) MUST_CHECK;
/* The same in the caller's transaction. */
bool state_install_here(struct pg *pg, struct err *err) MUST_CHECK;
/* Whether it would work, by the rights alone; the same error if not. Writes nothing. */
bool state_may_install(struct pg *pg, struct err *err) MUST_CHECK;
void state_admin_sql(struct pg *pg, struct buf *out);
/* True when schema docrow with its tables is there. */
bool state_is_installed(struct pg *pg, bool *yes, struct err *err) MUST_CHECK;
/* Removes tables and views of the schema, and the id functions and the schema itself unless they are to stay. Never
 * CASCADE: what someone else built on them makes it fail, with nothing removed. */
bool state_uninstall(struct pg *pg, bool keep_functions, struct err *err) MUST_CHECK;

struct state_run {
	int64_t id;
	char *mapping_name, *mapping_text, *mapping_digest; /* digest: hex */
	char *source_identity, *source_describe, *operation_time;
	char *options;  /* JSON of the options that resume must keep                    */
	char *schema;   /* read from options: where the tables are                                      */
	char *way;      /* read from options: how tables that were there are filled; "" the usual way */
	char *left_out; /* read from options: names of collections left out, one a line; "" none */
	char *version;
	enum state_phase phase;
	char *status; /* running, stopped, failed, done, cleaned                      */
	char *error;  /* last error, one line, or NULL                                */
	char *started, *finished;
};
/* Did the run add to rows of others? The words of `way` begin with "append" then. */
static inline bool state_run_appended(const struct state_run *r)
{
	return r->way != NULL && strncmp(r->way, "append", 6) == 0;
}

/* In the caller's transaction (with sink_create), which then serialises with other creators. Sets run->id; refused
 * (RUN_UNFINISHED) when there is a run that is neither done nor cleaned. */
bool state_run_create(struct pg *pg, struct state_run *run, struct err *err) MUST_CHECK;
/* The newest run that is not cleaned; *found false when there is none. Strings in the arena. */
bool state_run_find(struct pg *pg, struct arena *a, struct state_run *run, bool *found, struct err *err) MUST_CHECK;
bool state_run_set_status(struct pg *pg, int64_t run, const char *status, const char *error,
			  struct err *err) MUST_CHECK;
/* --clean: marks the run cleaned and removes its workers, chunks, steps, rejects, findings, ids. Caller's
 * transaction. */
bool state_run_clean(struct pg *pg, int64_t run, struct err *err) MUST_CHECK;

/* The mappings that docrow retry was told to use. state_revision_add writes nothing when the newest (or the run's
 * own, if there is none) has this digest. */
bool state_revision_add(struct pg *pg, int64_t run, const char *name, const char *text, const char *digest,
			const char *version, struct err *err) MUST_CHECK;
/* The newest; *found false: there is none, the run's own holds. In the arena. */
bool state_revision_find(struct pg *pg, int64_t run, struct arena *a, char **name, char **text, bool *found,
			 struct err *err) MUST_CHECK;

/* --- workers and leases --- */
struct state_lease {
	int live;            /* workers with a fresh heartbeat                                          */
	int waiting_seconds; /* until the last of their leases runs out, rounded up                     */
	double newest;       /* newest heartbeat, server's clock, seconds: it moves only if they live   */
	char holder[128];    /* "host, process 4711" of the newest                                      */
};
/* Enters a worker of this connection, with its backend unless a pooler stands between (its server processes serve
 * others, too). */
bool state_worker_add(struct pg *pg, int64_t run, const char *host, int pid, double lease_seconds, int64_t *worker,
		      struct err *err) MUST_CHECK;
/* One statement for all workers of the process. */
bool state_heartbeat(struct pg *pg, const int64_t *workers, int n, struct err *err) MUST_CHECK;
/* Its units can be claimed at once afterwards. When pg is another connection than the worker's, ends what is left of
 * the old one on the server. */
bool state_worker_remove(struct pg *pg, int64_t worker, struct err *err) MUST_CHECK;
/* For --resume after kill -9: wait while live > 0; if `newest` moves meanwhile, somebody is alive. */
bool state_leases(struct pg *pg, int64_t run, struct state_lease *out, struct err *err) MUST_CHECK;
/* Ends backends of workers whose lease has run out while a transaction of theirs is still open (a stopped process, a
 * vanished host: they would keep locks, or the row of a unit that is about to be done). Never one whose pid and start
 * do not both match; a missing privilege is no error. state_claim and state_advance call it when it is time.
 * *evicted may be NULL. */
bool state_evict(struct pg *pg, int64_t run, int *evicted, struct err *err) MUST_CHECK;
struct state_worker {
	int64_t id;
	const char *host;
	int pid;
	bool live;
	double age;       /* seconds since its heartbeat                      */
	const char *unit; /* "crm_Accounts, chunk 4", a step's name, or NULL  */
};
bool state_workers(struct pg *pg, int64_t run, struct arena *a, struct state_worker **out, size_t *n,
		   struct err *err) MUST_CHECK;

/* --- units --- */
/* X(NAME, name in docrow.step.kind), in the order in which they are shown. */
#define STATE_STEP_KINDS(X)                                                                                          \
	X(SPLIT, "split")                                                                                            \
	X(COUNT, "count")                                                                                            \
	X(UNIQUE, "unique")                                                                                          \
	X(ORPHANS, "orphans")                                                                                        \
	X(FETCH, "fetch")                                                                                            \
	X(PAIRS, "pairs")                                                                                            \
	X(PRIMARY_KEY, "primary_key")                                                                                \
	X(INDEX, "index")                                                                                            \
	X(FKEY, "foreign_key")                                                                                       \
	X(VALIDATE, "validate")                                                                                      \
	X(CONFLICTS, "conflicts")                                                                                    \
	X(MOVE, "move")                                                                                              \
	X(RESTORE, "restore")                                                                                        \
	X(VACUUM, "vacuum")                                                                                          \
	X(RETRY, "retry")
enum state_step_kind {
#define X(NAME, name) STEP_##NAME,
	STATE_STEP_KINDS(X)
#undef X
		STEP_KIND_COUNT
};
const char *state_step_kind_name(enum state_step_kind kind);

struct state_unit {
	bool is_chunk;
	int64_t id;
	int64_t epoch;
	int attempts;     /* 1: the first claim                                           */
	char *collection; /* chunk, STEP_SPLIT, STEP_COUNT; else NULL                     */
	/* chunk */
	uint8_t *bounds;
	size_t bounds_len;
	int64_t ordinal; /* of the chunk in its collection                               */
	uint64_t est_docs, est_bytes;
	/* step */
	enum state_step_kind kind;
	char *name; /* for people; of a chunk: "crm_Accounts, chunk 4"                 */
	int table;  /* index into the plan's schema.tables, -1                      */
	int object; /* index, fkey, ref or junction by kind, -1                     */
};

/* PostgreSQL's table lock modes, weakest first. X(NAME, name in docrow.step.locks) */
#define STATE_LOCKS(X)                                                                                               \
	X(ACCESS_SHARE, "access share")                     /* SELECT                                            */  \
	X(ROW_SHARE, "row share")                           /* SELECT FOR UPDATE; VALIDATE on the parent         */  \
	X(ROW_EXCLUSIVE, "row exclusive")                   /* INSERT, UPDATE, DELETE, COPY                      */  \
	X(SHARE_UPDATE_EXCLUSIVE, "share update exclusive") /* VALIDATE on the child, VACUUM, ANALYZE            */  \
	X(SHARE, "share")                                   /* CREATE INDEX                                      */  \
	X(SHARE_ROW_EXCLUSIVE, "share row exclusive")       /* ADD FOREIGN KEY, on both tables; CREATE TRIGGER   */  \
	X(EXCLUSIVE, "exclusive")                           /* alone but for readers                             */  \
	X(ACCESS_EXCLUSIVE, "access exclusive")             /* ADD PRIMARY KEY, other ALTER TABLE, TRUNCATE      */
enum state_lock {
#define X(NAME, name) LOCK_##NAME,
	STATE_LOCKS(X)
#undef X
		LOCK_COUNT
};
/* PostgreSQL's own table of conflicts. Symmetric. */
bool state_locks_conflict(enum state_lock a, enum state_lock b);

struct state_lock_def {
	int table; /* index into the plan's schema.tables */
	enum state_lock lock;
};

struct state_step_def {
	enum state_step_kind kind;
	enum state_phase phase;
	const char *collection; /* or NULL                                                      */
	const char *name;       /* for people: "primary key of crm_Accounts"                    */
	int table, object;
	uint64_t weight; /* the heaviest ready one goes first; of equals the first added */
	/* Tables it touches and how: two steps whose locks conflict on one table never run together. Name a stronger
	 * lock than the statements take where two must not meet for other reasons (two DELETEs on one table may
	 * deadlock: EXCLUSIVE). */
	const struct state_lock_def *locks;
	int nlocks;
	const int *after; /* indexes into the same array of definitions                   */
	int nafter;
};
/* A step of kind retry, claimed for the worker with epoch 1. In the caller's transaction, which also finishes it:
 * nobody ever sees it unfinished. */
bool state_retry_step(struct pg *pg, int64_t run, int64_t worker, const char *collection, const char *table,
		      int64_t *step, struct err *err) MUST_CHECK;
/* In the caller's transaction. */
bool state_steps_add(struct pg *pg, int64_t run, const struct state_step_def *defs, size_t n,
		     struct err *err) MUST_CHECK;
/* Writes the chunks of one collection; in the transaction that finishes its split step. */
struct state_chunk_def {
	const char *collection;
	const uint8_t *bounds;
	size_t bounds_len;
	int64_t ordinal;
	uint64_t est_docs, est_bytes;
	int load_step; /* in the order of loading (struct schema_order): lower ones are claimed first */
};
bool state_chunks_add(struct pg *pg, int64_t run, const struct state_chunk_def *defs, size_t n,
		      struct err *err) MUST_CHECK;

enum state_claim {
	STATE_CLAIMED,
	STATE_BUSY /* unfinished units, none free now */,
	STATE_NONE /* the phase has no unfinished unit */
};
/* Claims one unit of the phase for the worker: pending ones first, then those whose worker's lease ran out or whose
 * worker is gone, and those that this worker left behind (its connection was lost). Waits for nobody: what another
 * transaction holds is passed over. unit is filled when CLAIMED only. asks_again: the last claim said BUSY; whether a
 * step is ready now is looked at without the run's lock first, since who waits for one asks often. */
bool state_claim(struct pg *pg, int64_t run, int64_t worker, enum state_phase phase, bool asks_again, struct arena *a,
		 struct state_unit *unit, enum state_claim *result, struct err *err) MUST_CHECK;
/* Last statement before COMMIT: counts and mark. *mine false: the unit belongs to another claim now → ROLLBACK. */
bool state_finish(struct pg *pg, const struct state_unit *unit, const struct ledger *counts, double seconds,
		  bool *mine, struct err *err) MUST_CHECK;
/* Counts of a run that has no units (a scan), as one finished step. Caller's transaction. */
bool state_note_counts(struct pg *pg, int64_t run, const struct ledger *counts, struct err *err) MUST_CHECK;
/* Back to pending (after ROLLBACK, on stop or failure), with the error's text if any. Own transaction. */
bool state_release(struct pg *pg, const struct state_unit *unit, const char *error, struct err *err) MUST_CHECK;
/* Moves the phase in one synchronous transaction if (4) holds. *moved false: unfinished units are left. The phase in
 * the table is returned in *now (another process may have moved it). */
bool state_advance(struct pg *pg, int64_t run, enum state_phase from, bool *moved, enum state_phase *now,
		   struct err *err) MUST_CHECK;

/* --- reading the account --- */
struct state_entry {
	const char *kind, *object, *path;
	uint64_t n;
};
bool state_ledger(struct pg *pg, int64_t run, struct arena *a, struct state_entry **out, size_t *n,
		  struct err *err) MUST_CHECK;
struct state_progress { /* one row per collection or step kind */
	const char *name;
	enum state_phase phase;
	uint64_t total, done, running, est_docs, est_docs_done, docs, rows, rejects;
	uint64_t bytes; /* of documents read                                          */
	double seconds; /* sum over the units that are done                           */
};
/* Collections (phase load) in the order of loading, then step kinds. Cheap: no JSON is opened. */
bool state_progress(struct pg *pg, int64_t run, struct arena *a, struct state_progress **out, size_t *n,
		    struct err *err) MUST_CHECK;

/* Rejects and findings that look alike: one row per (fault or kind, collection, table, column, path, BSON type), most
 * frequent first. */
struct state_pattern {
	const char *kind; /* findings: "orphan_null" ...; rejects: NULL                */
	const char *fault, *code;
	const char *collection, *table, *column, *path; /* may be NULL                  */
	const char *bson_type;                          /* rejects; may be NULL         */
	const char *message;                            /* rejects: of the example      */
	const char *example_id;                         /* Extended JSON, or NULL       */
	int64_t example;                                /* docrow.reject.id, finding.id */
	uint64_t n, open;                               /* open: rejects not yet retried successfully */
};
bool state_reject_patterns(struct pg *pg, int64_t run, struct arena *a, struct state_pattern **out, size_t *n,
			   struct err *err) MUST_CHECK;
bool state_finding_patterns(struct pg *pg, int64_t run, struct arena *a, struct state_pattern **out, size_t *n,
			    struct err *err) MUST_CHECK;
/* The slowest units that are done, and the unfinished ones whose last attempt failed. */
struct state_unit_line {
	const char *kind; /* "chunk" or the step's kind                                  */
	const char *name; /* as state_unit.name                                          */
	const char *state, *error;
	int attempts;
	double seconds;
};
/* What settling costs and what of it is done, in documents loaded (as much work as loading so many): weights of the
 * steps times what a step of the kind costs for one document, as measured with NextCRM. For the display only. */
bool state_weights(struct pg *pg, int64_t run, double *all, double *done, struct err *err) MUST_CHECK;
/* Indexes that the server refused to build: docrow.ddl, state 'refused'. */
struct state_refused {
	const char *object, *table, *sqlstate, *reason, *definition;
};
bool state_refused(struct pg *pg, int64_t run, struct arena *a, struct state_refused **out, size_t *n,
		   struct err *err) MUST_CHECK;
bool state_slowest(struct pg *pg, int64_t run, bool steps_only, int limit, struct arena *a,
		   struct state_unit_line **out, size_t *n, struct err *err) MUST_CHECK;
bool state_failed(struct pg *pg, int64_t run, int limit, struct arena *a, struct state_unit_line **out, size_t *n,
		  struct err *err) MUST_CHECK;

#endif

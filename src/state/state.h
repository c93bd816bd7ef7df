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
 * its unit finds no row to update and must roll back. (3) All chunks of a collection are written in one transaction
 * with the "done" of its split step. (4) The phase moves in a synchronous transaction that finds no unfinished unit
 * of the phase in the table itself. (5) Times are the server's clock_timestamp(); the heartbeat is the worker's row,
 * never the unit's. Chunk transactions may commit asynchronously: the mark is lost or kept with the rows.
 */
#ifndef DOCROW_STATE_H
#define DOCROW_STATE_H

#include "err.h"
#include "ledger.h"
#include "mem.h"
#include "pg.h"

enum state_phase { STATE_SPLIT, STATE_LOAD, STATE_SETTLE, STATE_DONE };
const char *state_phase_name(enum state_phase phase);

/* Schema, tables, view, SQL functions; does nothing when they are there in this version. When the role may not create
 * the schema: TARGET_SCHEMA with the SQL for the administrator in the hint (state_admin_sql has all of it). Own
 * transaction, safe against a second docrow doing the same. */
bool state_install(struct pg *pg, struct err *err) MUST_CHECK;
void state_admin_sql(struct pg *pg, struct buf *out);
/* True when schema docrow with its tables is there. */
bool state_is_installed(struct pg *pg, bool *yes, struct err *err) MUST_CHECK;

struct state_run {
	int64_t id;
	char *mapping_name, *mapping_text, *mapping_digest; /* digest: hex */
	char *source_identity, *source_describe, *operation_time;
	char *options; /* JSON of the options that resume must keep                    */
	char *version;
	enum state_phase phase;
	char *status; /* running, stopped, failed, done, cleaned                      */
	char *error;  /* last error, one line, or NULL                                */
	char *started, *finished;
};
/* In the caller's transaction (with sink_create). */
bool state_run_create(struct pg *pg, struct state_run *run, struct err *err) MUST_CHECK;
/* The newest run that is not cleaned; *found false when there is none. Strings in the arena. */
bool state_run_find(struct pg *pg, struct arena *a, struct state_run *run, bool *found, struct err *err) MUST_CHECK;
bool state_run_set_status(struct pg *pg, int64_t run, const char *status, const char *error,
			  struct err *err) MUST_CHECK;
/* --clean: marks the run cleaned and removes its chunks, steps, rejects, findings. Caller's transaction. */
bool state_run_clean(struct pg *pg, int64_t run, struct err *err) MUST_CHECK;

/* --- workers and leases --- */
struct state_lease {
	int live;
	int waiting_seconds;
	char holder[128];
}; /* workers with a fresh heartbeat; until the last runs out */
bool state_worker_add(struct pg *pg, int64_t run, const char *host, int pid, double lease_seconds, int64_t *worker,
		      struct err *err) MUST_CHECK;
/* One statement for all workers of the process. */
bool state_heartbeat(struct pg *pg, const int64_t *workers, int n, struct err *err) MUST_CHECK;
bool state_worker_remove(struct pg *pg, int64_t worker, struct err *err) MUST_CHECK;
bool state_leases(struct pg *pg, int64_t run, struct state_lease *out, struct err *err) MUST_CHECK;

/* --- units --- */
enum state_step_kind { /* X-macro of names in state.c; order = phase and then preference */
		       STEP_SPLIT,
		       STEP_COUNT,
		       STEP_DUPLICATES,
		       STEP_UNIQUE,
		       STEP_ORPHANS,
		       STEP_PAIRS,
		       STEP_PRIMARY_KEY,
		       STEP_INDEX,
		       STEP_FKEY,
		       STEP_VALIDATE,
		       STEP_VACUUM,
		       STEP_KIND_COUNT
};
const char *state_step_kind_name(enum state_step_kind kind);

struct state_unit {
	bool is_chunk;
	int64_t id;
	int64_t epoch;
	char *collection; /* chunk, STEP_SPLIT, STEP_COUNT                                */
	/* chunk */
	uint8_t *bounds;
	size_t bounds_len;
	int64_t ordinal; /* of the chunk in its collection                               */
	uint64_t est_docs, est_bytes;
	/* step */
	enum state_step_kind kind;
	int table;  /* index into the plan's schema.tables, -1                      */
	int object; /* index, fkey, ref or junction by kind, -1                     */
};

/* PostgreSQL's table lock modes, weakest first; which conflict stands in its manual ("Explicit Locking"). */
enum state_lock {
	LOCK_ACCESS_SHARE,
	LOCK_ROW_SHARE,
	LOCK_ROW_EXCLUSIVE,
	LOCK_SHARE_UPDATE_EXCLUSIVE,
	LOCK_SHARE,
	LOCK_SHARE_ROW_EXCLUSIVE,
	LOCK_EXCLUSIVE,
	LOCK_ACCESS_EXCLUSIVE
};
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
	uint64_t weight; /* the heaviest ready one goes first                            */
	/* Tables it touches and how: two steps whose locks conflict on one table never run together. */
	const struct state_lock_def *locks;
	int nlocks;
	const int *after; /* indexes into the same array of definitions                   */
	int nafter;
};
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
};
bool state_chunks_add(struct pg *pg, int64_t run, const struct state_chunk_def *defs, size_t n,
		      struct err *err) MUST_CHECK;

enum state_claim {
	STATE_CLAIMED,
	STATE_BUSY /* unfinished units, none free now */,
	STATE_NONE /* the phase has no unfinished unit */
};
/* Claims one unit of the phase for the worker in a transaction of its own: pending ones, those whose worker's lease
 * ran out, and those that this worker left behind (its connection was lost). Strings live in the arena. */
bool state_claim(struct pg *pg, int64_t run, int64_t worker, enum state_phase phase, struct arena *a,
		 struct state_unit *unit, enum state_claim *result, struct err *err) MUST_CHECK;
/* Last statement before COMMIT: counts and mark. *mine false: the unit belongs to another claim now → ROLLBACK. */
bool state_finish(struct pg *pg, const struct state_unit *unit, const struct ledger *counts, double seconds,
		  bool *mine, struct err *err) MUST_CHECK;
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
	double seconds;
};
bool state_progress(struct pg *pg, int64_t run, struct arena *a, struct state_progress **out, size_t *n,
		    struct err *err) MUST_CHECK;

#endif

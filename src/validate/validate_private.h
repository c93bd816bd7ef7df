/* validate_private.h - what the files of src/validate share.
 *
 *   feed.c     the mapping compiled for checking: which columns of which table a collection's documents feed
 *   leftover.c fields that no column takes
 *   listed.c   what schema docrow lists as rejected, dropped, replaced: it explains what is missing
 *   found.c    findings and counts, thread-safe
 *   catalog.c  layer schema, and the foreign keys of layer references
 *   refs.c     orphans, by set queries
 *   types.c    counts of a table's columns
 *   rows.c     keys of a table or junction into the tally
 *   chunk.c    a stretch of documents, and what is done with each; elements.c: keys, elements and pairs into the
 * tally batch.c    a row against its document, field by field; children.c: rows of child tables against elements
 *   match.c    tables without a key: rows and documents as multisets
 *   spots.c    where the rows of such a table are
 *   sets.c     the tally's verdict, sums, and what is to be named by a second look
 *   drift.c    what changed after the copy
 *   resume.c   which chunks are proved, for going on after an interruption
 *   connect.c  connections at one snapshot, and patience with servers that went away
 *   pool.c     threads, and tasks that are made anew when a server was lost
 *   run.c      the order of all this
 */
#ifndef DOCROW_VALIDATE_PRIVATE_H
#define DOCROW_VALIDATE_PRIVATE_H

#include <pthread.h>
#include <stdatomic.h>

#include "column.h"
#include "key.h"
#include "matrix.h"
#include "pg.h"
#include "rate.h"
#include "spots.h"
#include "state.h"
#include "sys.h"
#include "tally.h"
#include "validate.h"

/* --- feed.c --- */

struct feed_table {
	int table;
	const char *const *path; /* of the array, within the row above's element; main tables: none */
	size_t npath;
	const char *path_text;
	struct column *columns;
	size_t ncolumns;
	int key;                    /* of columns: the one that identifies a row (main: takes _id); -1   */
	int parent, ordinal;        /* of columns; -1                                                    */
	int made;                   /* of columns: the key that is made, see docs/mapping.md; -1         */
	struct spec owner;          /* children of the main table: the document's key as parent          */
	bool is_matched;            /* main tables: no key tells the rows apart (match.c) */
	enum map_unmapped unmapped; /* fields that no column takes */
	struct known *known;        /* paths that the mapping names */
	const char *select;         /* rows by key (main) or by parent (child): text array as $1; NULL   */
	const char *select_between; /* main tables with a uuid key: from $1 to $2, at most $3; NULL       */
	struct feed_table *children;
	size_t nchildren;
};

struct feed_pairs {
	int junction, table;
	bool left;
	const char *const *path;
	size_t npath;
	const char *path_text;
	struct spec owner, element;
	bool scalar_array;
};

struct feed {
	const struct plan_collection *collection;
	struct feed_table main;
	struct feed_pairs *pairs;
	size_t npairs;
	bool present;       /* the source has the collection      */
	uint64_t documents; /* by the source's own count          */
	uint64_t below;     /* a hash below it is in the sample   */
	atomic_uint_least64_t total, done, found;
	atomic_bool sparse; /* between its documents' keys stand many others */
};

struct validation;

struct feed *feeds_new(struct arena *a, const struct plan *p, size_t *n);
/* Asks the server for the literals of all policies. Own transaction. */
bool feeds_read_literals(struct pg *pg, const struct plan *p, struct feed *feeds, size_t n, struct arena *a,
			 struct err *err) MUST_CHECK;
/* key and parent columns' hash inputs: what a row of a table is known by in the tally. */
void feed_row_key_columns(const struct plan *p, int table, int columns[2], size_t *n);

/* --- leftover.c --- */

void leftover_prepare(struct arena *a, const struct feed *f, struct feed_table *t);
/* The fields of v (a document or element) that no column takes, as a document in out; false: none are left. */
bool leftover_of(const struct feed_table *t, const struct val *v, struct buf *out, struct val *rest);

/* --- rows.c: of a table --- */

/* The table in a FROM list; of a run that added to rows of others only its own. An alias must follow. */
void rows_put(struct buf *sql, const struct validation *v, int table);
/* How many rows of others are beside the run's. */
bool rows_count_others(const struct validation *v, struct pg *pg, int table, uint64_t *n, struct err *err) MUST_CHECK;

/* --- listed.c --- */

enum listed_kind {
	LISTED_DOCUMENT,
	LISTED_BYTES,
	LISTED_KEY,
	LISTED_ELEMENT,
	LISTED_NULL,
	LISTED_MOVED,
	LISTED_REPLACED,
	LISTED_KEPT,
	LISTED_STUB
};
struct listed;
struct listed *listed_new(void);
void listed_free(struct listed *l);
/* Rejects and findings of the run. Pairs that are listed as orphans go into the tally as TALLY_MAYBE. */
bool listed_load(struct listed *l, struct pg *pg, int64_t run, const struct plan *p, struct tally_writer *w,
		 struct err *err) MUST_CHECK;
/* Hashes of what is looked up. id: bytes of the BSON document {_id: ...}. */
uint64_t listed_document(const char *collection, const uint8_t *id, size_t n);
uint64_t listed_bytes(const char *collection, const uint8_t *doc, size_t n);
uint64_t listed_key(const char *table, const void *key, size_t n);
uint64_t listed_element(const char *table, const uint8_t *id, size_t n, int64_t ordinal);
uint64_t listed_cell(enum listed_kind k, const char *table, const char *column, const uint8_t *id, size_t n,
		     int64_t ordinal);
uint64_t listed_cell_key(enum listed_kind k, const char *table, const char *column, const char *key, size_t n);
uint64_t listed_stub(const char *table, const void *key, size_t n);
/* Nothing is: no hash need be made. */
bool listed_is_empty(const struct listed *l);
/* Is it listed? *fault (may be NULL): of a reject, FAULT_OK for others. Thread-safe after loading. */
bool listed_has(const struct listed *l, uint64_t hash, enum fault *fault);
/* Counts by table: rejects, dropped, stubs; by (table, column): references set to NULL. */
uint64_t listed_count(const struct listed *l, enum listed_kind k, const char *table, const char *column);

uint64_t pair_hash(const uint8_t *l, size_t nl, const uint8_t *r, size_t nr);

void listed_add(struct listed *l, uint64_t hash);
/* Of a document, by the key of its row. */
uint64_t owner_hash(int table, const uint8_t *key, size_t n);

/* --- found.c --- */

struct found;
struct found *found_new(const struct plan *p);
void found_free(struct found *f);
void found_reset(struct found *f);
/* Adds what a task found to what all found, and empties `from`. */
void found_merge(struct found *to, struct found *from);
/* Texts are copied. */
void found_add(struct found *f, const struct validate_finding *x);
/* Of a whole table, or column of it (NULL: none): `size` of the detail's things, 0 where it counts none. */
void found_of_table(struct found *f, enum validate_kind kind, const struct schema_table *t, const char *column,
		    const char *detail, uint64_t size);
void found_note(struct found *f, const char *fmt, ...) PRINTF_LIKE(2, 3);
struct validate_table *found_table(struct found *f,
				   int table); /* counts: the owner of the thread adds by found_count */
void found_count(struct found *f, int table, size_t offset, uint64_t n);
#define FOUND_COUNT(f, table, member, n) found_count(f, table, offsetof(struct validate_table, member), n)
size_t found_list(struct found *f, struct validate_finding **out);
size_t found_notes(struct found *f, const char ***out);
uint64_t found_total(const struct found *f);

/* --- the whole --- */

#define STAT_KINDS (MATRIX_KINDS + 1)                    /* of matrix_kind; the last: missing */
struct column_stats {                                    /* what the documents say */
	uint64_t kinds[STAT_KINDS], misfits[STAT_KINDS]; /* values by type; those that do not go in */
	uint64_t values;                                 /* rows that should have a value here                  */
	uint64_t nan;                                    /* at most so many NaN                                 */
	uint64_t taken; /* references that are NULL by rule, where the list cannot say whose                    */
	int64_t least, most; /* of dates, milliseconds; least > most: none seen     */
};
struct row_stats { /* what the server says; seconds since 1970 */
	bool known;
	uint64_t values, nan, infinite;
	double least, most;
	bool has_times;
	bool judged; /* by what the documents hold */
};

enum task_kind {
	TASK_CHUNK,
	TASK_ROWS,
	TASK_TYPES,
	TASK_REFERENCE,
	TASK_PART,
	TASK_NAME_ROWS,
	TASK_NAME_DOCS,
	TASK_PROBE,
	TASK_MATCH,
	TASK_PAIR
};
struct task {
	enum task_kind kind;
	int index; /* feed, table, reference, part by kind */
	uint8_t *bounds;
	size_t bounds_len;
	uint64_t est_docs;
};

/* A key that one side lacks, to be named by a second look. */
struct odd {
	uint32_t set;
	uint64_t hash;
	enum validate_kind kind;
	uint64_t left; /* to be named yet; under lock */
};

struct reference { /* of refs.c */
	int table, column, ref_table, ref_column;
	enum orphan_policy policy;
	bool checked; /* orphans are findings; else they are counted only */
	bool is_end;  /* of a junction */
};

struct validation {
	struct validate_options o;
	const struct plan *plan;
	struct source *source;
	struct arena *arena; /* of the coordinator */
	struct feed *feeds;
	size_t nfeeds;
	struct listed *listed;
	struct found *found;
	struct tally *tally;
	struct reference *references;
	size_t nreferences;
	struct state_run run;
	bool has_state;
	double run_started, run_finished; /* seconds since 1970, 0: unknown */
	bool *exists;                     /* by table */
	int server_version;

	pthread_mutex_t big_slot;   /* documents of many MB are compared one at a time */
	pthread_mutex_t connecting; /* what follows */
	struct pg *keeper;          /* the connection that exports the snapshot, and the coordinator's own */
	const char *snapshot;       /* exported; NULL: each connection has its own */
	const char *moment;         /* what the snapshot sees */

	pthread_t coordinator;
	bool has_coordinator;
	pthread_mutex_t lock; /* what follows */
	struct task *tasks;
	atomic_size_t ntasks; /* also read by validate_poll */
	size_t next_task;
	atomic_size_t tasks_done;
	atomic_uint_least64_t resumed; /* chunks that were proved before an interruption */
	struct err first_error;
	bool failed;
	struct column_stats **stats; /* by table and column */
	struct row_stats **row_stats;
	struct odd *odd;
	size_t nodd, odd_cap;
	struct listed *left; /* documents that no row of a matched table is like, at most MOST_LEFT */
	size_t nleft;
	uint64_t *uncompared;   /* by table: how many more there are */
	atomic_bool **foretold; /* of matched tables, by column: what the column holds can be told from the document
				   alone */
	struct spots **spots;   /* of matched tables; NULL: others */
	double layer_seconds[LAYER_COUNT];
	uint64_t layer_checked[LAYER_COUNT];

	atomic_bool stop, finished;
	_Atomic(const char *) doing;
	struct validate_progress *progress;
	struct validate_result result;
	double started;
	struct resume *resume;
	struct rate rate; /* --max-rate */
};

#define MOST_LEFT 200000 /* 16 bytes each, twice that where they are kept */

/* What a task took that others must not take, until it is done. */
struct undo {
	struct odd **odds;   /* named */
	struct spot **spots; /* matched */
	uint64_t *left;      /* hashes for validation.left */
	size_t nodds, nspots, nleft;
};

struct patience {
	struct backoff backoff;
	bool waiting;
};

/* What a task finds and counts is the worker's own until the task is done. */
struct worker {
	struct validation *v;
	pthread_t thread;
	struct pg *pg;                /* NULL: to be opened */
	struct source_reader *reader; /* NULL: to be opened */
	struct judge judge;
	struct arena *arena; /* of a batch */
	struct tally_writer *tally;
	struct found *found;
	struct column_stats **stats;
	struct view view, inner;
	struct undo undo;
	struct patience patience;
	unsigned since_rate; /* rate_count */
};

/* --- resume.c --- */

struct proved { /* a chunk without findings */
	uint64_t chunk, digest, documents, compared, fields;
};
bool resume_open(struct validation *v, struct err *err) MUST_CHECK;
/* Tables that were written to since then. */
bool resume_look(struct validation *v, struct err *err) MUST_CHECK;
const struct proved *resume_find(const struct validation *v, const struct task *t); /* NULL: to be compared */
void resume_add(struct validation *v, const struct task *t, struct proved p);
void resume_close(struct validation *v, bool done);

/* --- connect.c --- */

/* The keeper's connection, and a snapshot for all. */
bool keeper_open(struct validation *v, struct err *err) MUST_CHECK;
/* The keeper, opened anew if it was lost. */
bool keeper_ready(struct validation *v, struct err *err) MUST_CHECK;
/* NULL: there is none, each connection sees its own moment. */
const char *current_snapshot(struct validation *v);
/* A connection at the snapshot. */
bool target_open(struct validation *v, struct pg **pg, struct err *err) MUST_CHECK;
/* After a failure: waits when another try may help. False: err stands, or is STOPPED. */
bool patience_wait(struct validation *v, struct patience *p, struct err *err) MUST_CHECK;
void patience_end(struct patience *p);

/* --- pool.c --- */

/* All tasks, by all workers. False: v->first_error. */
bool run_pool(struct validation *v) MUST_CHECK;
void remember(struct validation *v, const struct err *err);
struct column_stats **stats_new(const struct plan *p);
void stats_free(const struct plan *p, struct column_stats **s);

/* --- match.c --- */

/* Tables, columns and places of rows; after the catalog is read. */
void match_prepare(struct validation *v);
void match_free(struct validation *v);
/* The places of a table's rows. */
bool match_rows(struct worker *w, int table, struct err *err) MUST_CHECK;
/* Rows that no document explains, as layer counts found them. */
bool match_name_rows(struct worker *w, int table, struct err *err) MUST_CHECK;
/* After matching: what only the number tells. */
void match_check(struct validation *v);
bool match_sort(struct validation *v, struct err *err) MUST_CHECK;
/* Is the table's content to be told by columns that can be foretold, since none holds _id? */
bool match_is_probed(const struct validation *v, int table);
void undo_keep(struct worker *w, int table);
void undo_forget(struct worker *w);
void undo_all(struct worker *w);

bool wants_layer(const struct validation *v, enum validate_layer l);
bool validation_stopped(const struct validation *v);

bool catalog_check(struct validation *v, struct pg *pg, struct err *err) MUST_CHECK;
void references_list(struct validation *v);
bool reference_check(struct worker *w, const struct reference *r, struct err *err) MUST_CHECK;
bool types_check(struct worker *w, int table, struct err *err) MUST_CHECK;
bool rows_tally(struct worker *w, int table, struct err *err) MUST_CHECK;
/* Why a stretch of documents is read. */
enum look {
	LOOK_ALL,   /* keys, elements and pairs; fields, where rows have keys */
	LOOK_NAME,  /* which documents those are that lack a row              */
	LOOK_PROBE, /* matched tables: which columns can be foretold          */
	LOOK_MATCH, /* matched tables: the row that is as the document says   */
	LOOK_PAIR   /* matched tables: what the others differ in              */
};
bool chunk_look(struct worker *w, const struct task *t, enum look look, struct err *err) MUST_CHECK;
/* odd: sorted list of hashes to name. */
bool rows_name(struct worker *w, int table, struct err *err) MUST_CHECK;
/* One of those that are to be named; NULL: it is none, or all are. */
const struct odd *odd_take(struct worker *w, uint32_t set, uint64_t hash, bool missing);
/* Before odd_take, odd_is_missing. */
void odd_sort(struct validation *v);
/* Did the tally miss a row (an element, a pair) with this hash? */
bool odd_is_missing(const struct validation *v, uint32_t set, uint64_t hash);
bool odd_has(const struct validation *v, int table, bool missing);
/* After naming: those that were not met again are findings all the same. */
void odd_tell_unmet(struct validation *v);
/* Findings that a change of the document after the copy explains are marked, and taken out of the counts. */
bool drift_check(struct validation *v, struct err *err) MUST_CHECK;
bool part_compare(struct worker *w, int part, struct err *err) MUST_CHECK;
void counts_check(struct validation *v);
void stats_check(struct validation *v);

/* Walks rows of COPY ... (FORMAT binary). */
struct copy_rows {
	struct pg *pg;
	bool started;
	const uint8_t *p, *end;
};
/* 1: a row, its fields in f (n of them); 0: the end; -1: failed. */
int copy_rows_next(struct copy_rows *c, struct field_bytes *f, int n, struct err *err) MUST_CHECK;

#endif

/* check.h - what a migration would meet, found out before anything moves.
 *
 *   check_scan_start → check_scan_poll* (until finished) → check_scan_finish → check_scan_free
 *
 * A scan reads and converts documents as the real run does, with the same code, and writes nothing that stays: keys,
 * references and what unique indexes hold go into scratch tables, where the code that settles a real run settles
 * them, all in ONE transaction that is rolled back in the end. So rejects, defaults, orphans and duplicates are the
 * very ones of the real run, memory is bounded, and a kill -9 leaves nothing behind. (One thing is counted
 * differently: of documents whose _ids give the same key the real run reads all anew, and the lists of those that
 * lose count as elements of rejected documents; a scan counts them as pairs named twice.) Whoever wants to know the
 * result reads it from schema docrow inside that transaction (check_scan_finish calls back).
 */
#ifndef DOCROW_CHECK_H
#define DOCROW_CHECK_H

#include "err.h"
#include "mem.h"
#include "pg.h"
#include "plan.h"
#include "source.h"
#include "state.h"

struct check_scan_options {
	const char *target_uri;
	int workers;
	uint64_t chunk_bytes;
	uint64_t sample; /* documents a collection, from its beginning, middle and end; 0: every document. A sample
			    has no orphans and no duplicates: what is missing from it may be elsewhere. */
	double max_rate; /* documents a second of all readers; 0: no limit */
	const char *version;
	struct arena *results; /* what check_scan_paths and check_scan_enums give lives in it */
};

struct check_scan;

struct check_progress { /* one per collection of the plan */
	const char *collection;
	bool present;
	uint64_t est_docs, docs, rejects;
};

/* Splits and starts the threads. The plan is left as it is. */
bool check_scan_start(struct check_scan **scan, const struct plan *p, struct source *s,
		      const struct check_scan_options *o, struct err *err) MUST_CHECK;
/* True when all threads have ended. *list (plan's order) is lent until the next call. */
bool check_scan_poll(struct check_scan *scan, const struct check_progress **list, size_t *n);
/* Settles, calls `look` with the connection and the scan's run inside the transaction, and rolls back. */
typedef bool check_look(void *ctx, struct pg *pg, int64_t run, struct err *err);
bool check_scan_finish(struct check_scan *scan, check_look *look, void *ctx, struct err *err) MUST_CHECK;
/* The unique index in whose way a reject or finding of the scan stood, by its step; NULL: another reason. */
const char *check_scan_index(const struct check_scan *scan, int64_t step);
/* From another thread, once stop_requested() is true: the statement that check_scan_finish waits for is given up. */
void check_scan_interrupt(struct check_scan *scan);
/* Also after a failure. */
void check_scan_free(struct check_scan *scan);

/* --- the target's server --- */

struct check_target {
	const char *version, *encoding, *collation, *ctype, *time_zone; /* in the arena */
	uint64_t database_bytes;
	int max_connections, reserved, in_use; /* in_use: by others, over all databases */
	int free;                              /* what we may have: also the role's and the database's limits */
	const char *limited_by;                /* "role x", "database x": whose limit it is; NULL: the server's */
	/* The folder that the database's files lie in, and room on its disk: only of a server on this machine, and
	 * of a role that may know the folder. */
	const char *folder; /* NULL: not known, and why_not says why */
	const char *why_not;
	uint64_t disk_free;
};
bool check_target_read(struct pg *pg, struct arena *a, struct check_target *t, struct err *err) MUST_CHECK;

/* --- how long, how large --- */

struct check_estimate {
	uint64_t docs;                       /* that were loaded to find out                    */
	double share;                        /* of the source's bytes whose collections were tried */
	double load_seconds, settle_seconds; /* of one worker, for everything                   */
	uint64_t bytes;                      /* tables, keys and indexes                        */
};
/* Loads a few thousand documents of the largest collections into scratch tables with their indexes, measures,
 * multiplies, and rolls back: some seconds. */
bool check_trial(const struct plan *p, struct source *s, const char *target_uri, struct check_estimate *out,
		 struct err *err) MUST_CHECK;

/* --- what the documents hold; after check_scan_finish --- */

#define CHECK_MAX_PATHS 10000 /* a collection; then "(other)" */
struct check_path {
	const char *collection, *path; /* "address.city", elements of arrays as "tags[]" */
	uint64_t by_kind[22];          /* values by BSON type: check_kinds[i]            */
};
extern const uint8_t check_kinds[22]; /* enum bson_kind */
/* Sorted by collection (plan's order) and path. */
size_t check_scan_paths(struct check_scan *scan, const struct check_path **paths);

/* The texts that documents have where an enum column is fed from. */
#define CHECK_MAX_TEXTS 200 /* of one path; what comes later is only counted */
#define CHECK_TEXT      80  /* bytes that are kept of one */
struct check_text {
	char text[CHECK_TEXT]; /* its beginning, not ended by a NUL: bytes, as they are */
	size_t len;            /* of the whole text */
	uint64_t n;            /* how often it was met */
	const char *label;     /* that it stands for; NULL: none */
};
struct check_enum {
	const char *collection, *table, *column;
	const struct schema_enum *type;
	const struct check_text *texts; /* most frequent first */
	size_t ntexts;
	uint64_t more; /* further values, of texts that are not in the list */
};
size_t check_scan_enums(struct check_scan *scan, const struct check_enum **list);

/* The longest value of a text column that a B-tree index holds, when it may be too long for it. Lent until free. */
struct check_long {
	const char *table, *column, *index;
	uint64_t bytes;
};
size_t check_scan_long(struct check_scan *scan, const struct check_long **list);
/* Unique indexes of the target whose duplicates could not be looked for: their expressions need what the documents do
 * not feed. Table and index only. */
size_t check_scan_skipped(struct check_scan *scan, const struct check_long **list);

#endif

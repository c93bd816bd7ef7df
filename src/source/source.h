/* source.h - where documents come from: one contract, several sources.
 *
 *   source_open → source_collections → (source_split, source_count)* → per worker:
 *       source_reader_open → (source_read → source_next* )* → source_reader_close → source_close
 *
 * A document lent by source_next is valid until the next call on that reader. `struct source` is shared by all
 * threads; a reader belongs to one. This folder knows documents, never tables or columns. No `if (kind == ...)`
 * outside source_open: each source is a table of functions (struct source_ops in source_ops.h).
 */
#ifndef DOCROW_SOURCE_H
#define DOCROW_SOURCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "buf.h"
#include "err.h"
#include "mem.h"

enum source_kind { /* of a collection, from listCollections */
		   SOURCE_COLLECTION,
		   SOURCE_CAPPED,
		   SOURCE_CLUSTERED,
		   SOURCE_VIEW,
		   SOURCE_TIMESERIES
};

struct source_collection {
	const char *name; /* bytes as MongoDB has them                                      */
	enum source_kind kind;
	uint8_t uuid[16];   /* all zero: none                                                 */
	uint64_t est_docs;  /* from metadata: for planning and progress, never for proof      */
	uint64_t est_bytes; /* uncompressed                                                   */
	bool skipped;       /* system.*: named, never read                                    */
};

struct source;
struct source_reader;

struct source_options {
	const char *database; /* NULL: from the URI or the dump (the only one in it)            */
	const char *prefer;   /* of several in a dump, when `database` is NULL                  */
	const char *app_name;
};

/* `where` is a mongodb URI (mongodb://, mongodb+srv://), or the path of a dump: a folder or archive of mongodump
 * ("-": an archive on standard input, which is read to its end here), a folder or file of mongoexport's JSON.
 * Connects, checks version and kind of server (a shard by direct connection is refused), takes the operation time. */
bool source_open(struct source **s, const char *where, const struct source_options *opts, struct err *err) MUST_CHECK;
void source_close(struct source *s);

const char *source_database(const struct source *s);
/* "MongoDB 6.0.5, replica set rs0, host:port/nextcrm" or "dump archive x.gz": no password. */
const char *source_describe(const struct source *s);
/* What a person wants to know of the source before a move, in whole texts: members of the replica set and which of
 * them is read, how far its oplog reaches, room for temporary files. What cannot be found out is a text that says so:
 * nothing fails. All of it lives in the arena. */
struct source_fact {
	const char *label, *text;
	const char *worry; /* what may go wrong, a sentence without capital and full stop; NULL: nothing */
	const char *hint;  /* what to do about it, or NULL */
};
struct source_facts {
	struct arena *arena;
	struct source_fact *list;
	size_t n;
};
void source_tell(struct source *s, struct source_facts *f);
/* Stable text that names this source across runs, hosts and passwords: database, replica set name; of a dump the
 * database and kind. Per-collection identity is the collection's uuid (or size and digests):
 * source_collection_identity. */
const char *source_identity(const struct source *s);
/* What must be said once about this source, in whole sentences (of a dump: that it is not a single point in time).
 * Some come up while it is read, and are logged then; *notes is lent until the source is closed. */
size_t source_notes(const struct source *s, const char *const **notes);
/* The primary's operationTime before the first read, as hex of a BSON timestamp ("" for dumps and standalone
 * servers). */
const char *source_operation_time(const struct source *s);
/* Reads from now on are causally after this (resume: the time stored with the run). */
bool source_set_operation_time(struct source *s, const char *operation_time, struct err *err) MUST_CHECK;

/* Documents that were inserted, changed or deleted since an operation time, by the source's own record: `each` gets
 * the collection and {_id: ...}, or no id where the whole collection changed (dropped, renamed). *known false: the
 * source cannot say (a dump, a standalone server, a record that does not reach back so far, a user who may not read
 * it). */
typedef void source_changed(void *ctx, const char *collection, const uint8_t *id, size_t len);
bool source_changed_since(struct source *s, const char *operation_time, source_changed *each, void *ctx, bool *known,
			  struct err *err) MUST_CHECK;

/* All collections with their estimates, sorted by name, in the arena. */
bool source_collections(struct source *s, struct arena *a, struct source_collection **out, size_t *n,
			struct err *err) MUST_CHECK;
/* Appends the text that identifies one collection: kind + uuid, or file size and digests of head and tail. */
bool source_collection_identity(struct source *s, const char *collection, struct buf *out,
				struct err *err) MUST_CHECK;

/* A collection's indexes as the source describes them: BSON documents as of listIndexes ({key: {...}, name: ...,
 * unique: true, ...}), in the arena. None of a view. *known false: the source keeps no record of them (a JSON export,
 * a dump without metadata). */
struct source_index {
	const uint8_t *doc;
	size_t len;
};
bool source_indexes(struct source *s, const char *collection, struct arena *a, struct source_index **out, size_t *n,
		    bool *known, struct err *err) MUST_CHECK;

/* Cuts a collection into ranges, in _id (or file) order, together exactly the whole collection. `bounds` is a BSON
 * document that only the source understands. chunk_docs > 0: exactly that many documents a range; otherwise about
 * chunk_bytes. An empty collection gives one range. `add` returns false to stop (err filled). */
struct source_range {
	const uint8_t *bounds;
	size_t bounds_len;
	uint64_t est_docs, est_bytes;
};
typedef bool source_add_range(void *ctx, const struct source_range *range, struct err *err);
bool source_split(struct source *s, const char *collection, uint64_t chunk_docs, uint64_t chunk_bytes,
		  source_add_range *add, void *ctx, struct err *err) MUST_CHECK;
/* Exact number of documents by the source's own count ($count; a dump: by walking), never metadata. */
bool source_count(struct source *s, const char *collection, uint64_t *n, struct err *err) MUST_CHECK;

/* Gives the documents of a collection that `where` takes (a MongoDB filter as BSON; NULL: all) a name of their own,
 * that every call above and below then takes in place of a collection's. Before any reader is opened; a name that is
 * defined again means the new part. ERR_WHERE when the source does not know such a filter: a live server is asked,
 * for the others doc/filter.h says what it knows. source_count of a part counts by the same filter, independently of
 * reads. */
bool source_define(struct source *s, const char *name, const char *collection, const uint8_t *where, size_t len,
		   struct err *err) MUST_CHECK;
/* Of the defined parts (all of one collection): its documents, those that no part takes, and how often a document is
 * taken more than once. So the counts of the parts add up to all - none + extra. */
struct source_tally {
	uint64_t all, none, extra;
};
bool source_tally(struct source *s, const char *const *names, size_t n, struct source_tally *t,
		  struct err *err) MUST_CHECK;

bool source_reader_open(struct source_reader **r, struct source *s, struct err *err) MUST_CHECK;
void source_reader_close(struct source_reader *r);
/* Starts reading a range (an earlier one is dropped). */
bool source_read(struct source_reader *r, const char *collection, const uint8_t *bounds, size_t bounds_len,
		 struct err *err) MUST_CHECK;
/* 1 = a document, 0 = the range is finished, -1 = failed (err filled; class RETRY where opening anew may help). */
int source_next(struct source_reader *r, const uint8_t **doc, size_t *len, struct err *err) MUST_CHECK;
/* Reads the documents whose _id equals one of n (each `ids[i]` a BSON document {_id: ...}; 1, 1.0 and 1L are equal)
 * through source_next: a live source asks for them, a dump walks the file. */
bool source_read_ids(struct source_reader *r, const char *collection, const uint8_t *const *ids, const size_t *lens,
		     size_t n, struct err *err) MUST_CHECK;
/* Interrupts a blocked read from another thread as far as the source can (a live one: best effort). */
void source_reader_interrupt(struct source_reader *r);

#endif

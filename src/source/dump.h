/* dump.h - a mongodump folder as a source, shared by its files; private to source/.
 *
 *   source_bson.c     table of functions, open and close, collections, identity, count, split
 *   dump_layout.c     which file holds which collection
 *   dump_stream.c     documents of one file one after the other: plain, gzip or zstd, told by content
 *   dump_read.c       a reader: one range, or the documents with given ids
 *
 * Offsets are always those of the uncompressed content.
 */
#ifndef DOCROW_DUMP_H
#define DOCROW_DUMP_H

#include <pthread.h>

#include "source_ops.h"

/* ---- one file ---- */

enum dump_format { DUMP_PLAIN, DUMP_GZIP, DUMP_ZSTD };

#define DUMP_MAX_DOCUMENT (64u << 20) /* MongoDB stops at 16 MB and some kB; far beyond, a length is damage */

struct dump_stream;

bool dump_stream_open(struct dump_stream **s, const char *path, struct err *err) MUST_CHECK;
void dump_stream_close(struct dump_stream *s);
enum dump_format dump_stream_format(const struct dump_stream *s);
uint64_t dump_stream_at(const struct dump_stream *s);   /* where the next document begins    */
uint64_t dump_stream_docs(const struct dump_stream *s); /* whole documents before it         */
/* 1 = a document, lent until the next call; 0 = end of the file; -1 = damaged or unreadable (err says where). */
int dump_stream_next(struct dump_stream *s, const uint8_t **doc, size_t *len, struct err *err) MUST_CHECK;
/* The same without its bytes: of a plain file large documents are not even read. */
int dump_stream_skip(struct dump_stream *s, size_t *len, struct err *err) MUST_CHECK;
/* Goes to a document's beginning. Plain: at once; compressed: forward by decompressing, backward from the start. */
bool dump_stream_seek(struct dump_stream *s, uint64_t at, uint64_t docs, struct err *err) MUST_CHECK;
/* No document is left (or none can be read). */
bool dump_stream_ended(struct dump_stream *s);
/* Whole uncompressed content of a small file. */
bool dump_read_file(const char *path, size_t max, struct buf *out, struct err *err) MUST_CHECK;
/* Uncompressed bytes and documents, guessed from sizes and the first documents; never fails. */
void dump_estimate(const char *path, uint64_t *docs, uint64_t *bytes);

/* ---- the folder ---- */

struct dump_file {
	const char *name; /* of the collection, as MongoDB has it                                   */
	const char *path; /* of the file with the documents; NULL: there is none                    */
	enum source_kind kind;
	uint8_t uuid[16];
	bool skipped; /* system.*, or a cut name that no metadata completes                         */
};

struct dump_layout {
	char *folder, *database; /* owned by the arena, as all below */
	struct dump_file *files; /* sorted by name                   */
	size_t n;
	bool has_oplog;
};

bool dump_layout_find(struct dump_layout *l, struct arena *a, const char *path, const char *database,
		      struct err *err) MUST_CHECK;
/* The file of a collection that can be read. */
const struct dump_file *dump_layout_file(const struct dump_layout *l, const char *collection, struct err *err);

/* ---- the source ---- */

struct parked { /* a decompressor that another range may go on with */
	struct dump_stream *stream;
	const struct dump_file *file;
};

#define DUMP_MAX_PARKED 16

struct source_bson {
	struct source base; /* first: ops reach it by cast */
	struct arena *arena;
	struct dump_layout layout;
	pthread_mutex_t lock;                  /* guards what follows */
	struct parked parked[DUMP_MAX_PARKED]; /* oldest first */
	size_t n_parked;
};

static inline struct source_bson *dump_of(struct source *s)
{
	return (struct source_bson *)s;
}

/* Keeps an open compressed stream for whoever reads on from about there; takes the stream over. */
void dump_park(struct source_bson *s, const struct dump_file *file, struct dump_stream *stream);
/* The parked stream of the file that stands nearest before `at`; NULL: none. */
struct dump_stream *dump_unpark(struct source_bson *s, const struct dump_file *file, uint64_t at);

bool dump_reader_open(struct source_reader **r, struct source *s, struct err *err);
void dump_reader_close(struct source_reader *r);
bool dump_read(struct source_reader *r, const char *collection, const uint8_t *bounds, size_t len, struct err *err);
int dump_next(struct source_reader *r, const uint8_t **doc, size_t *len, struct err *err);
bool dump_read_ids(struct source_reader *r, const char *collection, const uint8_t *const *ids, const size_t *lens,
		   size_t n, struct err *err);
void dump_interrupt(struct source_reader *r);

#endif

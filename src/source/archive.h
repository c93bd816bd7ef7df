/* archive.h - a mongodump archive: all collections of one or more databases in one file; private to source/.
 *
 *   mark, prelude                 a header document, one document a collection (db, collection, metadata, …),
 * terminator block, block, …               a namespace header {db, collection, EOF, CRC}, documents of that
 * collection, terminator
 *
 * Blocks of several collections are interleaved. The last block of a collection has EOF: true, no documents, and the
 * check sum (CRC-64) of all its documents. A terminator is the length -1.
 *
 *   archive.c        prelude and choice of the database; the walk that finds the blocks and checks the sums
 *   archive_read.c   documents of one collection
 */
#ifndef DOCROW_ARCHIVE_H
#define DOCROW_ARCHIVE_H

#include <stdatomic.h>

#include "dump.h"
#include "spool.h"

struct archive_found {    /* of one collection, by a walk */
	uint64_t *blocks; /* where documents of it begin, in order; NULL: there are too many to remember */
	size_t nblocks, cap;
	bool too_many, ended;
	struct borders borders;
	struct border end;
	uint64_t crc;
};

struct archive_walk { /* constant once it is published */
	struct archive_walk *older;
	uint64_t chunk_docs, chunk_bytes;
	struct archive_found *found; /* as archive.parts */
};

struct archive;
struct archive_part { /* one collection of the chosen database */
	struct archive *archive;
	const char *name;
	size_t index;
};

struct archive {
	struct arena *arena; /* the source's */
	struct dump_layout *layout;
	struct dump_file whole;  /* stands for all collections in messages */
	struct spool raw, plain; /* of standard input; of what is compressed with zstd */
	const char *database;
	uint64_t size; /* of the content, guessed      */
	uint64_t body; /* where the first block begins */
	struct archive_part *parts;
	size_t nparts;
	pthread_mutex_t walking;
	struct archive_walk *_Atomic walk; /* the newest, or NULL */
};

struct archive_header { /* texts are lent until the next read */
	const char *database, *collection;
	bool is_end, has_crc;
	uint64_t crc;
};

extern const struct dump_framing archive_framing;

/* 1 = a header, behind which a block's documents begin; 0 = the end of the archive. */
int archive_next_block(struct dump_stream *s, struct archive_header *h, struct err *err) MUST_CHECK;
/* 1 = a document of *len bytes begins at s->at; 0 = the block's terminator was there and is passed. */
int archive_next_length(struct dump_stream *s, uint32_t *len, struct err *err) MUST_CHECK;
/* Passes over the documents of a block and its terminator. */
bool archive_pass_block(struct dump_stream *s, struct err *err) MUST_CHECK;

#endif

/* content.h - the uncompressed bytes of one file, readable from any place; private to source/.
 *
 *   content_open → (content_read | content_seek)* → content_close
 *
 * Plain, gzip or zstd is told by the first bytes, never by the name. Offsets are those of the uncompressed content.
 * A plain file is read from anywhere at once. A gzip file can be entered where a `struct content_points` has a point;
 * points come about while it is read the first time, so that later readers need not begin at its start. A zstd file
 * is decompressed forward, and from its start to go back.
 */
#ifndef DOCROW_CONTENT_H
#define DOCROW_CONTENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "buf.h"
#include "err.h"

enum content_format { CONTENT_PLAIN, CONTENT_GZIP, CONTENT_ZSTD };

/* Where a gzip file can be entered. Shared by any number of readers of the same file, from any thread; at most 32 MB
 * whatever the file's size. `distance`: bytes of content between two (0: 32 MB). */
struct content_points;
struct content_points *content_points_new(uint64_t distance);
void content_points_free(struct content_points *p);

struct content_file {
	const char *path;              /* to open it                                              */
	const char *name;              /* for messages                                            */
	struct content_points *points; /* NULL: none are kept                                     */
};

struct content;
bool content_open(struct content **c, const struct content_file *f, struct err *err) MUST_CHECK;
void content_close(struct content *c);
enum content_format content_format(const struct content *c);
/* Of the file as it lies there, compressed or not. */
uint64_t content_file_size(const struct content *c);
/* The first n bytes of the file as it lies there; false: it has fewer. */
bool content_peek_file(const struct content *c, uint8_t *out, size_t n, uint64_t at) MUST_CHECK;
uint64_t content_at(const struct content *c);
/* 1 to n next bytes; *got 0: the end. Damage is ERR_SOURCE_CORRUPT with the facts in err->detail. */
bool content_read(struct content *c, uint8_t *out, size_t n, size_t *got, struct err *err) MUST_CHECK;
/* Goes to an offset; beyond the end: ERR_SOURCE_CHANGED. */
bool content_seek(struct content *c, uint64_t at, struct err *err) MUST_CHECK;

/* Size and digests of head and tail of the file as it lies there: the same file gives the same text. */
bool content_identity(const struct content_file *f, struct buf *out, struct err *err) MUST_CHECK;
/* Uncompressed size: exact for a plain file, else guessed from what the format says of it. */
uint64_t content_guess_size(const struct content *c);

#endif

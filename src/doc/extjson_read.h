/* extjson_read.h - reads documents of Extended JSON into BSON; any depth, without recursion.
 *
 *   extjson_reader_new → extjson_read* → extjson_reader_free
 *
 * Understood are version 2 (canonical and relaxed) and the spellings of version 1 that mongoexport used to write. The
 * bytes come in pieces, so a document need not lie in memory as text. What the text says is kept: order and double
 * keys, all digits (a whole number beyond 64 bits that no double holds becomes Decimal128), NUL and bytes that are
 * not UTF-8 in strings (a lone surrogate becomes its three bytes, which are no UTF-8). A wrapper that is not well
 * formed, such as
 * {"$oid": "x"}, stays the sub-document that it is.
 */
#ifndef DOCROW_EXTJSON_READ_H
#define DOCROW_EXTJSON_READ_H

#include <stdbool.h>
#include <stdint.h>

#include "buf.h"

struct extjson_input {
	const uint8_t *p, *end; /* bytes at hand */
	/* All bytes are used up: gives more (sets p and end); false: there are none. */
	bool (*more)(struct extjson_input *in);
};

struct extjson_reader;
struct extjson_reader *extjson_reader_new(void);
void extjson_reader_free(struct extjson_reader *r);
/* Reads the document that begins at in->p with '{'; in->p is behind it afterwards. Replaces what is in `out`, whose
 * ceiling is the largest document. False: *trouble says what is wrong at in->p ("a colon is missing"). */
bool extjson_read(struct extjson_reader *r, struct extjson_input *in, struct buf *out, const char **trouble);
/* Has a bare number been read (not in a wrapper): one that relaxed Extended JSON writes? */
bool extjson_reader_saw_bare(const struct extjson_reader *r);

#endif

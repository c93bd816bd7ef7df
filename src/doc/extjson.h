/* extjson.h - writes BSON values as MongoDB Extended JSON v2 (and a plain form), any depth, without recursion.
 *
 * Format: MongoDB specification "Extended JSON", version 2. int64 and Decimal128 keep all digits, doubles are the
 * shortest text that reads back the same.
 */
#ifndef DOCROW_EXTJSON_H
#define DOCROW_EXTJSON_H

#include "buf.h"
#include "doc.h"
#include "fault.h"

enum extjson_mode {
	EXTJSON_RELAXED,   /* bare numbers, ISO dates within years 1970-9999 */
	EXTJSON_CANONICAL, /* every type told                                */
	EXTJSON_PLAIN /* ISO dates, hex or uuid ids, bare numbers; NaN and infinities still as {"$numberDouble": ...}
		       */
};

enum extjson_text {                       /* what to do with NUL and bytes that are not UTF-8, in values and keys */
		    EXTJSON_TEXT_REFUSE,  /* FAULT_NUL, FAULT_UTF8                     */
		    EXTJSON_TEXT_REPLACE, /* U+FFFD                                    */
		    EXTJSON_TEXT_STRIP,
		    EXTJSON_TEXT_ESCAPE /* \xHH as visible text: for logs and rejects, never fails */
};

enum extjson_dup { EXTJSON_DUP_REFUSE, EXTJSON_DUP_FIRST, EXTJSON_DUP_LAST, EXTJSON_DUP_KEEP };

struct extjson_opts {
	enum extjson_mode mode;
	enum extjson_text text;
	enum extjson_dup dup;
};

/* What happened while writing, for the ledger. */
struct extjson_info {
	bool mended;        /* NUL or bad bytes were replaced, left out or escaped                 */
	bool left_out;      /* a key stood twice and one of its values was left out                */
	bool negative_zero; /* a bare -0 was written, whose sign a jsonb number cannot keep        */
};

/* Appends v (any kind) to out as JSON. FAULT_OK, or FAULT_NUL, FAULT_UTF8, FAULT_DUPLICATE_KEY, FAULT_CORRUPT,
 * FAULT_TOO_LARGE (out's ceiling); then out->len is as before. */
enum fault extjson_write(struct buf *out, const struct val *v, const struct extjson_opts *opts,
			 struct extjson_info *info);
/* For rejects, findings and logs: relaxed, escaping, keeps double keys; on corrupt bytes it stops and closes with
 * what could be read. Never fails. */
void extjson_write_safe(struct buf *out, const uint8_t *doc, size_t len);
/* One value, e.g. an _id, the same way. */
void extjson_write_val_safe(struct buf *out, const struct val *v);

#endif

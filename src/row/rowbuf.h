/* rowbuf.h - a buffer of rows in PostgreSQL's COPY BINARY format that can take back the current row.
 *
 *   rowbuf_begin_row → rowbuf_put_*  (one for each column, in order) → rowbuf_end_row | rowbuf_undo_row
 *
 * No libpq, no libbson, no I/O. The header and trailer of the stream are written by rowbuf_header/_trailer, so
 * that one buffer can be sent in pieces. Format: PostgreSQL manual, "COPY", Binary Format; the values are those of
 * each type's receive function.
 */
#ifndef DOCROW_ROWBUF_H
#define DOCROW_ROWBUF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "buf.h"

struct rowbuf {
	struct buf buf;
	size_t row_start; /* offset of the current row                             */
	uint64_t rows;    /* finished rows since rowbuf_reset                      */
	int ncolumns;     /* of the current row                                    */
	int column;       /* columns put so far                                    */
};

#define ROWBUF_MAX_FIELD ((size_t)0x3fffffff) /* 1 GB - 1: MaxAllocSize of the server */

void rowbuf_init(struct rowbuf *rb);
void rowbuf_free(struct rowbuf *rb);
void rowbuf_reset(struct rowbuf *rb);
void rowbuf_header(struct rowbuf *rb);
void rowbuf_trailer(struct rowbuf *rb);

void rowbuf_begin_row(struct rowbuf *rb, int ncolumns);
/* False when the row grew past what the server takes (then it is undone). Asserts that all columns were put. */
bool rowbuf_end_row(struct rowbuf *rb);
void rowbuf_undo_row(struct rowbuf *rb);

/* Where a buffer stands between two rows, to take back all rows since. */
struct rowbuf_mark {
	size_t len;
	uint64_t rows;
};
static inline struct rowbuf_mark rowbuf_mark(const struct rowbuf *rb)
{
	return (struct rowbuf_mark){rb->buf.len, rb->rows};
}
void rowbuf_take_back(struct rowbuf *rb, const struct rowbuf_mark *mark);

static inline uint8_t *rowbuf_field(struct rowbuf *rb, uint32_t len)
{
	if (!buf_reserve(&rb->buf, 4 + (size_t)len))
		return NULL;
	uint8_t *p = rb->buf.data + rb->buf.len;
	uint32_t n = __builtin_bswap32(len);
	memcpy(p, &n, 4);
	rb->buf.len += 4 + (size_t)len;
	rb->column++;
	return p + 4;
}
static inline void rowbuf_put_null(struct rowbuf *rb)
{
	static const uint8_t minus_one[4] = {0xff, 0xff, 0xff, 0xff};
	buf_put(&rb->buf, minus_one, 4);
	rb->column++;
}
static inline void rowbuf_put_bytes(struct rowbuf *rb, const void *data, size_t len)
{
	uint8_t *p = len <= ROWBUF_MAX_FIELD ? rowbuf_field(rb, (uint32_t)len) : NULL;
	if (p != NULL && len > 0)
		memcpy(p, data, len);
	else if (p == NULL)
		rb->buf.failed = true;
}
static inline void rowbuf_put_bool(struct rowbuf *rb, bool v)
{
	uint8_t *p = rowbuf_field(rb, 1);
	if (p != NULL)
		*p = v;
}
static inline void rowbuf_put_i16(struct rowbuf *rb, int16_t v)
{
	uint8_t *p = rowbuf_field(rb, 2);
	uint16_t x = __builtin_bswap16((uint16_t)v);
	if (p != NULL)
		memcpy(p, &x, 2);
}
static inline void rowbuf_put_i32(struct rowbuf *rb, int32_t v)
{
	uint8_t *p = rowbuf_field(rb, 4);
	uint32_t x = __builtin_bswap32((uint32_t)v);
	if (p != NULL)
		memcpy(p, &x, 4);
}
static inline void rowbuf_put_i64(struct rowbuf *rb, int64_t v)
{
	uint8_t *p = rowbuf_field(rb, 8);
	uint64_t x = __builtin_bswap64((uint64_t)v);
	if (p != NULL)
		memcpy(p, &x, 8);
}
void rowbuf_put_f32(struct rowbuf *rb, float v);
void rowbuf_put_f64(struct rowbuf *rb, double v);
void rowbuf_put_jsonb(struct rowbuf *rb, const void *json, size_t len); /* version byte 1 + text */

/* Opens a field whose length is not known yet (arrays, jsonb); rowbuf_close_field writes it. Returns the offset to
 * give back. Appends in between go straight to rb->buf. */
size_t rowbuf_open_field(struct rowbuf *rb);
void rowbuf_close_field(struct rowbuf *rb, size_t mark);

/* One-dimensional array: open, then n elements (each rowbuf_put_* counts as a column: close takes that back), close.
 * n = 0 gives the empty array. Lower bound 1. */
size_t rowbuf_open_array(struct rowbuf *rb, uint32_t elem_oid, int32_t n, bool has_null);
/* The same with several dimensions (n elements in all: their product, none of them 0; ndims 0: empty). */
size_t rowbuf_open_array_n(struct rowbuf *rb, uint32_t elem_oid, int ndims, const int32_t *dims, bool has_null);
void rowbuf_close_array(struct rowbuf *rb, size_t mark);

/* PostgreSQL numeric from decimal digits: value = digits x 10^exponent. dscale covers all digits sent. False when it
 * is outside numeric's range (131072 digits before, 16383 after the point). */
bool rowbuf_put_numeric(struct rowbuf *rb, bool negative, const char *digits, size_t ndigits, int exponent);
enum numeric_special { NUMERIC_NAN, NUMERIC_PINF, NUMERIC_NINF };
void rowbuf_put_numeric_special(struct rowbuf *rb, enum numeric_special s); /* infinities: PostgreSQL 14 and later */

/* Milliseconds since 1970 (BSON date) to PostgreSQL microseconds or days since 2000; false outside the type's range
 * (4713 BC .. 294276 AD; date: 5874897 AD) - never an accidental infinity. */
bool row_timestamp_from_ms(int64_t ms, int64_t *us);
bool row_date_from_ms(int64_t ms, int32_t *days, bool *has_time_of_day);

#endif

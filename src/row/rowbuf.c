/* rowbuf.c - rows, fields and arrays in PostgreSQL's COPY BINARY format. */
#include <assert.h>

#include "rowbuf.h"

static void put_u16(struct buf *b, uint16_t v)
{
	uint16_t x = __builtin_bswap16(v);
	buf_put(b, &x, 2);
}

static void put_u32(struct buf *b, uint32_t v)
{
	uint32_t x = __builtin_bswap32(v);
	buf_put(b, &x, 4);
}

static uint32_t read_u32(const uint8_t *p)
{
	uint32_t x;
	memcpy(&x, p, 4);
	return __builtin_bswap32(x);
}

void rowbuf_init(struct rowbuf *rb)
{
	*rb = (struct rowbuf){0};
	buf_init(&rb->buf, 0);
}

void rowbuf_free(struct rowbuf *rb)
{
	buf_free(&rb->buf);
}

void rowbuf_reset(struct rowbuf *rb)
{
	buf_reset(&rb->buf);
	rb->row_start = 0;
	rb->rows = 0;
	rb->ncolumns = rb->column = 0;
}

void rowbuf_header(struct rowbuf *rb)
{
	static const char signature[11] = {'P', 'G', 'C', 'O', 'P', 'Y', '\n', '\xff', '\r', '\n', '\0'};
	static const uint8_t flags_and_extension[8] = {0};
	buf_put(&rb->buf, signature, sizeof signature);
	buf_put(&rb->buf, flags_and_extension, sizeof flags_and_extension);
}

void rowbuf_trailer(struct rowbuf *rb)
{
	put_u16(&rb->buf, 0xffff);
}

void rowbuf_begin_row(struct rowbuf *rb, int ncolumns)
{
	rb->row_start = rb->buf.len;
	rb->ncolumns = ncolumns;
	rb->column = 0;
	put_u16(&rb->buf, (uint16_t)ncolumns);
}

bool rowbuf_end_row(struct rowbuf *rb)
{
	if (!buf_ok(&rb->buf) || rb->buf.len - rb->row_start > ROWBUF_MAX_FIELD) {
		rowbuf_undo_row(rb);
		return false;
	}
	assert(rb->column == rb->ncolumns);
	rb->row_start = rb->buf.len;
	rb->rows++;
	return true;
}

void rowbuf_undo_row(struct rowbuf *rb)
{
	rb->buf.len = rb->row_start;
	rb->buf.failed = false;
	rb->column = rb->ncolumns = 0;
}

void rowbuf_take_back(struct rowbuf *rb, const struct rowbuf_mark *mark)
{
	rb->buf.len = rb->row_start = mark->len;
	rb->buf.failed = false;
	rb->rows = mark->rows;
	rb->column = rb->ncolumns = 0;
}

void rowbuf_put_f32(struct rowbuf *rb, float v)
{
	int32_t bits;
	memcpy(&bits, &v, sizeof bits);
	rowbuf_put_i32(rb, bits);
}

void rowbuf_put_f64(struct rowbuf *rb, double v)
{
	int64_t bits;
	memcpy(&bits, &v, sizeof bits);
	rowbuf_put_i64(rb, bits);
}

void rowbuf_put_jsonb(struct rowbuf *rb, const void *json, size_t len)
{
	uint8_t *p = len < ROWBUF_MAX_FIELD ? rowbuf_field(rb, (uint32_t)len + 1) : NULL;
	if (p == NULL) {
		rb->buf.failed = true;
		return;
	}
	p[0] = 1; /* version of jsonb's text format, read by jsonb_recv */
	if (len > 0)
		memcpy(p + 1, json, len);
}

size_t rowbuf_open_field(struct rowbuf *rb)
{
	size_t mark = rb->buf.len;
	put_u32(&rb->buf, 0);
	return mark;
}

void rowbuf_close_field(struct rowbuf *rb, size_t mark)
{
	rb->column++;
	if (!buf_ok(&rb->buf))
		return;
	size_t len = rb->buf.len - mark - 4;
	if (len > ROWBUF_MAX_FIELD) {
		rb->buf.failed = true;
		return;
	}
	uint32_t x = __builtin_bswap32((uint32_t)len);
	memcpy(rb->buf.data + mark, &x, 4);
}

size_t rowbuf_open_array_n(struct rowbuf *rb, uint32_t elem_oid, int ndims, const int32_t *dims, bool has_null)
{
	size_t mark = rowbuf_open_field(rb);
	put_u32(&rb->buf, (uint32_t)ndims);
	put_u32(&rb->buf, has_null);
	put_u32(&rb->buf, elem_oid);
	for (int i = 0; i < ndims; i++) {
		put_u32(&rb->buf, (uint32_t)dims[i]);
		put_u32(&rb->buf, 1); /* lower bound */
	}
	return mark;
}

size_t rowbuf_open_array(struct rowbuf *rb, uint32_t elem_oid, int32_t n, bool has_null)
{
	return rowbuf_open_array_n(rb, elem_oid, n == 0 ? 0 : 1, &n, has_null);
}

/* The elements put since the array was opened were counted as columns; how many they were stands in its header. */
void rowbuf_close_array(struct rowbuf *rb, size_t mark)
{
	if (buf_ok(&rb->buf)) {
		const uint8_t *p = rb->buf.data + mark + 4;
		uint32_t ndims = read_u32(p), n = ndims > 0;
		for (uint32_t i = 0; i < ndims; i++)
			n *= read_u32(p + 12 + 8 * (size_t)i);
		rb->column -= (int)n;
	}
	rowbuf_close_field(rb, mark);
}

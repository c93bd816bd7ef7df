/* arrays.c - arrays into T[], T[][] and pgvector's vector. */
#include <float.h>
#include <math.h>

#include "convert_private.h"
#include "decimal.h"
#include "text.h"

/* Shape of an array: elements by dimension, and whether a leaf is NULL. */
struct shape {
	int32_t dims[PGTYPE_MAX_DIMS]; /* -1: not met yet */
	int ndims;
	bool has_null, is_corrupt;
};

static bool is_null(const struct val *v)
{
	return v->kind == BSON_K_NULL || v->kind == BSON_K_UNDEFINED;
}

/* Recursion is as deep as the type has dimensions. */
static bool measure(const struct val *v, struct shape *s, int depth)
{
	struct doc_iter it;
	struct field f;
	int32_t n = 0;
	if (!doc_iter_val(&it, v)) {
		s->is_corrupt = true;
		return false;
	}
	for (; doc_iter_next(&it, &f); n++) {
		if (depth + 1 == s->ndims)
			s->has_null |= is_null(&f.val);
		else if (f.val.kind != BSON_K_ARRAY || !measure(&f.val, s, depth + 1))
			return false;
	}
	s->is_corrupt |= it.corrupt;
	if (s->dims[depth] < 0)
		s->dims[depth] = n;
	return s->dims[depth] == n && !it.corrupt;
}

static enum fault put_element(struct conv *c, struct column *col, const struct val *v)
{
	struct column *e = col->element;
	if (is_null(v) && e->type.domain_not_null)
		return FAULT_ELEMENT_NULL;
	if (is_null(v)) {
		if (v->kind == BSON_K_UNDEFINED)
			count_column(c, col, COUNT_UNDEFINED);
		rowbuf_put_null(e->rows);
		return FAULT_OK;
	}
	return e->put[at_of(v->kind)](c, e, v);
}

static enum fault put_elements(struct conv *c, struct column *col, const struct val *v, int depth)
{
	struct doc_iter it;
	struct field f;
	enum fault fault = FAULT_OK;
	if (!doc_iter_val(&it, v))
		return FAULT_CORRUPT;
	for (int64_t i = 0; fault == FAULT_OK && doc_iter_next(&it, &f); i++) {
		if (depth + 1 < col->type.dims) {
			fault = put_elements(c, col, &f.val, depth + 1);
			continue;
		}
		fault = put_element(c, col, &f.val);
		if (fault == FAULT_TYPE || (fault != FAULT_OK && c->where.note[0] == '\0'))
			fault_note(c, fault, "element %lld, BSON type %s", (long long)i, bson_kind_name(f.val.kind));
	}
	return fault;
}

static bool is_empty(const struct shape *s)
{
	return s->dims[0] == 0;
}

/* An array with an empty dimension inside ([[], []]) has no counterpart in PostgreSQL. */
static bool has_empty_inside(const struct shape *s)
{
	for (int i = 1; i < s->ndims; i++)
		if (s->dims[i] <= 0)
			return !is_empty(s);
	return false;
}

enum fault put_array(struct conv *c, struct column *col, const struct val *v)
{
	struct shape s = {.dims = {-1, -1, -1, -1, -1, -1}, .ndims = col->type.dims > 0 ? col->type.dims : 1};
	if (!measure(v, &s, 0) || has_empty_inside(&s))
		return s.is_corrupt ? FAULT_CORRUPT : fault_note(c, FAULT_SHAPE, "not %d-dimensional", s.ndims);
	size_t mark = rowbuf_open_array_n(col->rows, col->type.oid, is_empty(&s) ? 0 : s.ndims, s.dims, s.has_null);
	enum fault f = put_elements(c, col, v, 0);
	if (f == FAULT_OK)
		rowbuf_close_array(col->rows, mark);
	return f;
}

enum fault put_value_as_array(struct conv *c, struct column *col, const struct val *v)
{
	size_t mark = rowbuf_open_array(col->rows, col->type.oid, 1, false);
	enum fault f = put_element(c, col, v);
	if (f != FAULT_OK)
		return f;
	rowbuf_close_array(col->rows, mark);
	count_column(c, col, COUNT_ACCEPTED);
	return FAULT_OK;
}

/* --- vector(n): int16 dimensions, int16 unused, then float4s (pgvector's vector_recv) --- */

/* A vector that is being written. */
struct vector {
	struct column *col;
	size_t mark;
	int64_t n; /* coordinates so far */
	bool is_rounded;
};

static bool read_number(const struct val *v, double *out)
{
	struct decimal d;
	char text[48];
	switch (v->kind) {
	case BSON_K_DOUBLE:
		*out = val_double(v);
		return true;
	case BSON_K_INT32:
		*out = val_i32(v);
		return true;
	case BSON_K_INT64:
		*out = (double)val_i64(v);
		return true;
	case BSON_K_DECIMAL128:
		decimal_read(v, &d);
		return text_parse_double(text, (size_t)decimal_text(&d, text), out);
	default:
		return false;
	}
}

/* Is x the very number of v? */
static bool is_exact(const struct val *v, double d, float x)
{
	if (v->kind == BSON_K_INT64)
		return fabs(d) < 9007199254740992.0 && (double)x == d;
	return v->kind != BSON_K_DECIMAL128 && (double)x == d;
}

/* A vector is made of float4: who asks for the type asks for the nearest one, and it is counted. NaN and infinities
 * are no coordinates. */
static enum fault put_coordinate(struct conv *c, struct vector *to, const struct val *v)
{
	double d;
	int64_t at = to->n++;
	if (!read_number(v, &d))
		return fault_note(c, FAULT_SHAPE, "element %lld, BSON type %s", (long long)at,
				  bson_kind_name(v->kind));
	if (!isfinite(d) || fabs(d) > FLT_MAX)
		return fault_note(c, FAULT_RANGE, "element %lld is outside real", (long long)at);
	float x = (float)d;
	uint32_t bits;
	to->is_rounded |= !is_exact(v, d, x);
	memcpy(&bits, &x, 4);
	bits = __builtin_bswap32(bits);
	buf_put(&to->col->rows->buf, &bits, 4);
	return FAULT_OK;
}

static bool is_vector_size(const struct column *col, int32_t n)
{
	enum { MOST_DIMENSIONS = 16000 };
	return n >= 1 && n <= MOST_DIMENSIONS && (col->type.length < 0 || n == col->type.length);
}

static enum fault open_vector(struct conv *c, struct column *col, int32_t n, struct vector *to)
{
	*to = (struct vector){.col = col};
	if (!is_vector_size(col, n))
		return fault_note(c, FAULT_SHAPE, "%d dimension%s", n, n == 1 ? "" : "s");
	to->mark = rowbuf_open_field(col->rows);
	uint16_t head[2] = {__builtin_bswap16((uint16_t)n), 0};
	buf_put(&col->rows->buf, head, sizeof head);
	return FAULT_OK;
}

static void close_vector(struct conv *c, struct vector *to)
{
	rowbuf_close_field(to->col->rows, to->mark);
	if (to->is_rounded)
		count_column(c, to->col, COUNT_ROUNDED);
}

enum fault put_vector(struct conv *c, struct column *col, const struct val *v)
{
	struct shape s = {.dims = {-1}, .ndims = 1};
	struct doc_iter it;
	struct field f;
	struct vector to = {.col = col};
	if (!measure(v, &s, 0) || !doc_iter_val(&it, v))
		return FAULT_CORRUPT;
	enum fault fault = open_vector(c, col, s.dims[0], &to);
	while (fault == FAULT_OK && doc_iter_next(&it, &f))
		fault = put_coordinate(c, &to, &f.val);
	if (fault == FAULT_OK)
		close_vector(c, &to);
	return fault;
}

enum fault put_number_as_vector(struct conv *c, struct column *col, const struct val *v)
{
	struct vector to = {.col = col};
	enum fault f = open_vector(c, col, 1, &to);
	if (f == FAULT_OK)
		f = put_coordinate(c, &to, v);
	if (f != FAULT_OK)
		return f;
	close_vector(c, &to);
	count_column(c, col, COUNT_ACCEPTED);
	return FAULT_OK;
}

/* MongoDB's own vectors: binary of subtype 9: type of the coordinates, bits unused at the end, coordinates. */
enum fault put_binary_as_vector(struct conv *c, struct column *col, const struct val *v)
{
	enum { SUBTYPE_VECTOR = 9, INT8 = 0x03, FLOAT32 = 0x27 };
	uint8_t subtype;
	size_t len;
	struct vector to = {.col = col};
	const uint8_t *p = val_binary(v, &subtype, &len);
	if (subtype != SUBTYPE_VECTOR)
		return fault_note(c, FAULT_TYPE, "binary of subtype %u", subtype);
	size_t size = len >= 2 && p[0] == INT8 ? 1 : 4, n = len >= 2 ? (len - 2) / size : 0;
	if (len < 2 || (p[0] != INT8 && p[0] != FLOAT32) || p[1] != 0 || n * size != len - 2 || n > INT32_MAX)
		return fault_note(c, FAULT_FORMAT, "no vector of int8 or float32");
	enum fault f = open_vector(c, col, (int32_t)n, &to);
	for (p += 2; f == FAULT_OK && n > 0; p += size, n--) {
		float x = 0;
		memcpy(&x, p, size);
		double d = size == 1 ? (int8_t)*p : (double)x;
		struct val number = {.data = (const uint8_t *)&d, .len = 8, .kind = BSON_K_DOUBLE};
		f = put_coordinate(c, &to, &number);
	}
	if (f == FAULT_OK)
		close_vector(c, &to);
	return f;
}

/* arrays.c - arrays into T[], T[][] and pgvector's vector. */
#include <float.h>
#include <math.h>

#include "convert_private.h"
#include "decimal.h"

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
	if (is_null(v)) {
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
		if (fault != FAULT_OK && c->where.note[0] == '\0')
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

static bool read_number(const struct val *v, double *out)
{
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
	default:
		return false;
	}
}

/* A vector is made of float4: who asks for the type asks for the nearest one. NaN and infinities are no coordinates.
 */
static enum fault put_coordinate(struct conv *c, struct column *col, const struct val *v, int64_t i)
{
	double d;
	if (!read_number(v, &d))
		return fault_note(c, FAULT_SHAPE, "element %lld, BSON type %s", (long long)i,
				  bson_kind_name(v->kind));
	if (!isfinite(d) || fabs(d) > FLT_MAX)
		return fault_note(c, FAULT_RANGE, "element %lld is outside real", (long long)i);
	float x = (float)d;
	uint32_t bits;
	memcpy(&bits, &x, 4);
	bits = __builtin_bswap32(bits);
	buf_put(&col->rows->buf, &bits, 4);
	return FAULT_OK;
}

static size_t open_vector(struct column *col, int32_t n)
{
	size_t mark = rowbuf_open_field(col->rows);
	uint16_t head[2] = {__builtin_bswap16((uint16_t)n), 0};
	buf_put(&col->rows->buf, head, sizeof head);
	return mark;
}

static bool is_vector_size(const struct column *col, int32_t n)
{
	enum { MOST_DIMENSIONS = 16000 };
	return n >= 1 && n <= MOST_DIMENSIONS && (col->type.length < 0 || n == col->type.length);
}

enum fault put_vector(struct conv *c, struct column *col, const struct val *v)
{
	struct shape s = {.dims = {-1}, .ndims = 1};
	struct doc_iter it;
	struct field f;
	enum fault fault = FAULT_OK;
	if (!measure(v, &s, 0) || !doc_iter_val(&it, v))
		return FAULT_CORRUPT;
	int32_t n = s.dims[0];
	if (!is_vector_size(col, n))
		return fault_note(c, FAULT_SHAPE, "%d dimensions", n);
	size_t mark = open_vector(col, n);
	for (int64_t i = 0; fault == FAULT_OK && doc_iter_next(&it, &f); i++)
		fault = put_coordinate(c, col, &f.val, i);
	if (fault == FAULT_OK)
		rowbuf_close_field(col->rows, mark);
	return fault;
}

enum fault put_number_as_vector(struct conv *c, struct column *col, const struct val *v)
{
	if (!is_vector_size(col, 1))
		return fault_note(c, FAULT_SHAPE, "1 dimension");
	size_t mark = open_vector(col, 1);
	enum fault f = put_coordinate(c, col, v, 0);
	if (f != FAULT_OK)
		return f;
	rowbuf_close_field(col->rows, mark);
	count_column(c, col, COUNT_ACCEPTED);
	return FAULT_OK;
}

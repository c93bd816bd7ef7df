/* value.c - which function looks at which type; arrays. */
#include "value.h"
#include "matrix.h"

void judge_init(struct judge *j, int server_version)
{
	*j = (struct judge){.server_version = server_version, .arena = arena_new()};
	buf_init(&j->text, 0);
	buf_init(&j->key, 0);
}

void judge_free(struct judge *j)
{
	arena_free(j->arena);
	buf_free(&j->text);
	buf_free(&j->key);
}

typedef enum verdict check_fn(struct judge *j, const struct spec *s, const struct val *v, struct field_bytes f);

static check_fn *const checks[PGT_COUNT] = {
	[PGT_BOOL] = check_boolean,      [PGT_INT2] = check_integer,      [PGT_INT4] = check_integer,
	[PGT_INT8] = check_integer,      [PGT_FLOAT4] = check_float,      [PGT_FLOAT8] = check_float,
	[PGT_NUMERIC] = check_numeric,   [PGT_TEXT] = check_text,         [PGT_VARCHAR] = check_text,
	[PGT_CHAR] = check_text,         [PGT_NAME] = check_text,         [PGT_CITEXT] = check_text,
	[PGT_UUID] = check_uuid,         [PGT_BYTEA] = check_bytea,       [PGT_DATE] = check_instant,
	[PGT_TIME] = check_time_of_day,  [PGT_TIMESTAMP] = check_instant, [PGT_TIMESTAMPTZ] = check_instant,
	[PGT_INTERVAL] = check_interval, [PGT_JSON] = check_json,         [PGT_JSONB] = check_json,
	[PGT_INET] = check_inet,         [PGT_VECTOR] = check_vector,     [PGT_ENUM] = check_enum,
};

/* A value behind a DBRef where the column takes them; deeper ones are no ids. */
static bool behind_dbref(const struct spec *s, const struct val *v, struct val *id)
{
	switch (s->type.base) {
	case PGT_INT2:
	case PGT_INT4:
	case PGT_INT8:
	case PGT_FLOAT4:
	case PGT_FLOAT8:
	case PGT_NUMERIC:
		return v->kind == BSON_K_DOCUMENT && (s->accept & MAP_ACCEPT_DBREF) != 0 &&
		       doc_find(v->data, v->len, "$id", id) && !val_is_nothing(id) && id->kind != BSON_K_DOCUMENT;
	default:
		return false;
	}
}

static enum verdict check_scalar(struct judge *j, const struct spec *s, const struct val *v, struct field_bytes f)
{
	struct val id;

	if (s->bson != 0 && (s->bson & 1u << matrix_kind(v->kind)) == 0)
		return unfit(j, FAULT_TYPE);
	if (behind_dbref(s, v, &id))
		v = &id;
	return checks[s->type.base](j, s, v, f);
}

/* --- arrays: int32 dimensions, int32 has nulls, oid, (int32 size, int32 lower bound) each, then the elements --- */

struct elements {
	struct judge *j;
	const struct spec *s; /* of one element */
	const uint8_t *p, *end;
	int32_t sizes[PGTYPE_MAX_DIMS];
	int ndims; /* that the type has */
	bool same;
};

/* The field's next element; false when there is none left (then they differ). */
static bool next_field(struct elements *e, struct field_bytes *f)
{
	*f = (struct field_bytes){NULL, -1};
	if (e->end - e->p < 4)
		return e->same = false;
	f->len = (int32_t)big_endian(e->p, 4);
	e->p += 4;
	if (f->len < 0)
		return true;
	if (f->len > e->end - e->p) {
		f->len = -1;
		return e->same = false;
	}
	f->data = e->p;
	e->p += f->len;
	return true;
}

static bool check_leaf(struct elements *e, const struct val *v)
{
	struct field_bytes f;
	bool there = next_field(e, &f);

	if (val_is_nothing(v)) {
		e->same = e->same && there && f.len < 0;
		return true;
	}
	if (v->kind == BSON_K_ARRAY && e->s->type.base != PGT_JSON && e->s->type.base != PGT_JSONB &&
	    e->s->type.base != PGT_VECTOR)
		return unfit(e->j, FAULT_SHAPE) != UNFIT;
	enum verdict r = check_scalar(e->j, e->s, v, f);
	e->same = e->same && there && r == SAME;
	return r != UNFIT;
}

/* Elements in order; the sizes of inner arrays must agree. Recursion is as deep as the type has dimensions. */
static bool check_level(struct elements *e, const struct val *v, int depth)
{
	struct doc_iter it;
	struct field f;
	int32_t n = 0;

	if (!doc_iter_val(&it, v))
		return unfit(e->j, FAULT_CORRUPT) != UNFIT;
	for (; doc_iter_next(&it, &f); n++) {
		if (depth + 1 == e->ndims        ? !check_leaf(e, &f.val)
		    : f.val.kind != BSON_K_ARRAY ? unfit(e->j, FAULT_SHAPE) == UNFIT
						 : !check_level(e, &f.val, depth + 1))
			return false;
	}
	if (it.corrupt)
		return unfit(e->j, FAULT_CORRUPT) != UNFIT;
	if (e->sizes[depth] >= 0 && e->sizes[depth] != n)
		return unfit(e->j, FAULT_SHAPE) != UNFIT;
	e->sizes[depth] = n;
	return true;
}

static void open_array(struct elements *e, struct field_bytes f)
{
	size_t header = 12;

	e->p = e->end = f.data;
	e->same = f.len >= 12;
	if (!e->same)
		return;
	header += 8 * (size_t)big_endian(f.data, 4);
	e->same = header <= (size_t)f.len;
	if (e->same) {
		e->p = f.data + header;
		e->end = f.data + f.len;
	}
}

/* Dimensions as the server has them: none for an empty array, lower bounds 1. */
static bool same_dimensions(const struct elements *e, struct field_bytes f)
{
	int ndims = (int)big_endian(f.data, 4);

	if (e->sizes[0] == 0)
		return ndims == 0;
	if (ndims != e->ndims)
		return false;
	for (int i = 0; i < ndims; i++)
		if ((int32_t)big_endian(f.data + 12 + 8 * i, 4) != e->sizes[i] ||
		    big_endian(f.data + 16 + 8 * i, 4) != 1)
			return false;
	return true;
}

static bool has_empty_inside(const struct elements *e)
{
	for (int i = 1; i < e->ndims; i++)
		if (e->sizes[0] > 0 && e->sizes[i] <= 0)
			return true;
	return false;
}

static enum verdict check_array(struct judge *j, const struct spec *s, const struct val *v, struct field_bytes f)
{
	struct spec one = *s;
	struct elements e = {.j = j, .s = &one, .ndims = s->type.dims > 0 ? s->type.dims : 1};

	one.type.array = false;
	one.type.dims = 0;
	for (int i = 0; i < PGTYPE_MAX_DIMS; i++)
		e.sizes[i] = -1;
	open_array(&e, f);
	if (v->kind == BSON_K_ARRAY) {
		if (!check_level(&e, v, 0))
			return UNFIT;
		if (has_empty_inside(&e))
			return unfit(j, FAULT_SHAPE);
	} else {
		if ((s->accept & MAP_ACCEPT_SCALAR_ARRAY) == 0 || e.ndims > 1)
			return unfit(j, FAULT_TYPE);
		e.sizes[0] = 1;
		if (!check_leaf(&e, v))
			return UNFIT;
	}
	return same_if(e.same && e.p == e.end && same_dimensions(&e, f));
}

enum verdict check_value(struct judge *j, const struct spec *s, const struct val *v, struct field_bytes f)
{
	return s->type.array ? check_array(j, s, v, f) : check_scalar(j, s, v, f);
}

/* canon.c - the canonical bytes of an _id. This format may never change (promise 3): UUIDv5 keys are made of it.
 *
 *   value     one tag byte, then
 *   'm' 'M'   nothing: MinKey, MaxKey
 *   'u' 'z'   nothing: undefined, null
 *   'N'       nothing: NaN of any type
 *   '<' '>'   nothing: -infinity, +infinity
 *   '0'       nothing: zero of any sign and type
 *   '+' '-'   a number: value = sign x n x 2^a x 5^b, n not divisible by 2 or 5: n as 16 bytes, a and b as 4 bytes
 *             each (two's complement). Every double, integer and Decimal128 has exactly one such form.
 *   's'       string or symbol: length (4 bytes), bytes
 *   'b'       binary: length of the bytes (4 bytes), subtype, bytes as stored
 *   'i'       ObjectId: 12 bytes
 *   't' 'f'   nothing: true, false
 *   'd'       date: 8 bytes
 *   'T'       timestamp: 8 bytes, seconds first
 *   'r'       regex: pattern, NUL, options, NUL
 *   'p'       DBPointer: length (4 bytes), name, 12 bytes
 *   'c'       code: length (4 bytes), bytes
 *   'w'       code with scope: length (4 bytes), bytes, then the scope as '{' ...
 *   '{'       document: per field 1, key, NUL, value; at the end 0
 *   '['       array: per element 1, value; at the end 0
 * All integers are big-endian.
 */
#include "canon.h"

#include <math.h>
#include <stdlib.h>

#include "decimal.h"

typedef unsigned __int128 u128;

static void put_be(struct buf *out, uint64_t x, int bytes)
{
	while (bytes-- > 0)
		buf_putc(out, (char)(x >> (8 * bytes)));
}

static void put_counted(struct buf *out, const void *bytes, size_t n)
{
	put_be(out, n, 4);
	buf_put(out, bytes, n);
}

/* sign x n x 2^a x 5^b, reduced. */
static void put_number(struct buf *out, bool negative, u128 n, int a, int b)
{
	if (n == 0) {
		buf_putc(out, '0');
		return;
	}
	for (; (n & 1) == 0; n >>= 1)
		a++;
	for (; n % 5 == 0; n /= 5)
		b++;
	buf_putc(out, negative ? '-' : '+');
	put_be(out, (uint64_t)(n >> 64), 8);
	put_be(out, (uint64_t)n, 8);
	put_be(out, (uint32_t)a, 4);
	put_be(out, (uint32_t)b, 4);
}

static void put_integer(struct buf *out, int64_t x)
{
	uint64_t magnitude = x < 0 ? -(uint64_t)x : (uint64_t)x;

	put_number(out, x < 0, magnitude, 0, 0);
}

static void put_infinity(struct buf *out, bool negative)
{
	buf_putc(out, negative ? '<' : '>');
}

static void put_double(struct buf *out, double x)
{
	int exponent;
	double fraction;

	if (isnan(x)) {
		buf_putc(out, 'N');
	} else if (isinf(x)) {
		put_infinity(out, x < 0);
	} else {
		fraction = frexp(fabs(x), &exponent); /* 53 bits below the point */
		put_number(out, x < 0, (uint64_t)ldexp(fraction, 53), exponent - 53, 0);
	}
}

static void put_decimal(struct buf *out, const struct val *v)
{
	struct decimal d;
	u128 n = 0;
	int i;

	decimal_read(v, &d);
	if (d.kind == DECIMAL_NAN) {
		buf_putc(out, 'N');
	} else if (d.kind == DECIMAL_INFINITY) {
		put_infinity(out, d.negative);
	} else {
		for (i = 0; i < d.ndigits; i++)
			n = n * 10 + (unsigned)(d.digits[i] - '0');
		put_number(out, d.negative, n, d.exponent, d.exponent);
	}
}

static void put_text(struct buf *out, char tag, const struct val *v)
{
	size_t len;
	const char *text = val_text(v, &len);

	buf_putc(out, tag);
	put_counted(out, text, len);
}

static void put_binary(struct buf *out, const struct val *v)
{
	buf_putc(out, 'b');
	put_be(out, v->len - 5, 4);
	buf_put(out, v->data + 4, v->len - 4);
}

static void put_dbpointer(struct buf *out, const struct val *v)
{
	const uint8_t *oid;
	size_t len;
	const char *name = val_dbpointer(v, &len, &oid);

	buf_putc(out, 'p');
	put_counted(out, name, len);
	buf_put(out, oid, 12);
}

/* Everything but documents, arrays and code with scope. */
static void put_leaf(struct buf *out, const struct val *v)
{
	static const char bare[256] = {
		[BSON_K_UNDEFINED] = 'u', [BSON_K_NULL] = 'z', [BSON_K_MINKEY] = 'm', [BSON_K_MAXKEY] = 'M'};

	switch (v->kind) {
	case BSON_K_DOUBLE:
		put_double(out, val_double(v));
		break;
	case BSON_K_INT32:
		put_integer(out, val_i32(v));
		break;
	case BSON_K_INT64:
		put_integer(out, val_i64(v));
		break;
	case BSON_K_DECIMAL128:
		put_decimal(out, v);
		break;
	case BSON_K_STRING:
	case BSON_K_SYMBOL:
		put_text(out, 's', v);
		break;
	case BSON_K_CODE:
		put_text(out, 'c', v);
		break;
	case BSON_K_BINARY:
		put_binary(out, v);
		break;
	case BSON_K_OBJECTID:
		buf_putc(out, 'i');
		buf_put(out, v->data, 12);
		break;
	case BSON_K_BOOL:
		buf_putc(out, val_bool(v) ? 't' : 'f');
		break;
	case BSON_K_DATE:
	case BSON_K_TIMESTAMP:
		buf_putc(out, v->kind == BSON_K_DATE ? 'd' : 'T');
		put_be(out, (uint64_t)val_i64(v), 8);
		break;
	case BSON_K_REGEX:
		buf_putc(out, 'r');
		buf_put(out, v->data, v->len);
		break;
	case BSON_K_DBPOINTER:
		put_dbpointer(out, v);
		break;
	default:
		buf_putc(out, bare[v->kind]);
	}
}

/* The documents that are open; grows with the depth. */
struct level {
	struct doc_iter it;
	bool is_array;
};
struct levels {
	struct level fixed[32], *all;
	size_t n, cap;
};

static bool open_level(struct levels *s, struct buf *out, const struct val *v)
{
	if (s->n == s->cap) {
		struct level *bigger = mem_alloc(2 * s->cap * sizeof *bigger);

		memcpy(bigger, s->all, s->n * sizeof *bigger);
		if (s->all != s->fixed)
			free(s->all);
		s->all = bigger;
		s->cap *= 2;
	}
	s->all[s->n].is_array = v->kind == BSON_K_ARRAY;
	buf_putc(out, v->kind == BSON_K_ARRAY ? '[' : '{');
	return doc_iter_val(&s->all[s->n++].it, v);
}

/* Writes a value, or opens it if it holds a document. */
static bool put_or_open(struct levels *s, struct buf *out, const struct val *v)
{
	struct val scope;
	const char *code;
	size_t len;

	if (v->kind == BSON_K_DOCUMENT || v->kind == BSON_K_ARRAY)
		return open_level(s, out, v);
	if (v->kind == BSON_K_CODEWSCOPE) {
		code = val_codewscope(v, &len, &scope);
		buf_putc(out, 'w');
		put_counted(out, code, len);
		return open_level(s, out, &scope);
	}
	put_leaf(out, v);
	return true;
}

bool canon_write(struct buf *out, const struct val *v)
{
	struct levels s;
	struct field f;
	size_t start = out->len;
	bool ok;

	s.all = s.fixed;
	s.cap = sizeof s.fixed / sizeof s.fixed[0];
	s.n = 0;
	ok = put_or_open(&s, out, v);
	while (ok && s.n > 0) {
		struct level *top = &s.all[s.n - 1];

		if (doc_iter_next(&top->it, &f)) {
			buf_putc(out, 1);
			if (!top->is_array)
				buf_put(out, f.key, f.key_len + 1u);
			ok = put_or_open(&s, out, &f.val);
		} else {
			ok = !top->it.corrupt;
			buf_putc(out, 0);
			s.n--;
		}
	}
	if (s.all != s.fixed)
		free(s.all);
	if (!ok)
		out->len = start;
	return ok;
}

/* compare.c - see compare.h. */
#include "compare.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "decimal.h"

static const uint8_t classes[256] = {
	[BSON_K_MINKEY] = 1,     [BSON_K_NULL] = 5,        [BSON_K_DOUBLE] = 10,     [BSON_K_INT32] = 10,
	[BSON_K_INT64] = 10,     [BSON_K_DECIMAL128] = 10, [BSON_K_STRING] = 15,     [BSON_K_SYMBOL] = 15,
	[BSON_K_DOCUMENT] = 20,  [BSON_K_ARRAY] = 25,      [BSON_K_BINARY] = 30,     [BSON_K_OBJECTID] = 35,
	[BSON_K_BOOL] = 40,      [BSON_K_DATE] = 45,       [BSON_K_TIMESTAMP] = 47,  [BSON_K_REGEX] = 50,
	[BSON_K_DBPOINTER] = 55, [BSON_K_CODE] = 60,       [BSON_K_CODEWSCOPE] = 65, [BSON_K_MAXKEY] = 127,
};

int val_class(uint8_t kind)
{
	return kind == BSON_K_MINKEY ? -1 : classes[kind];
}

static int order(bool less, bool more)
{
	return less ? -1 : more;
}

/* ---- numbers ---- */

bool val_is_nan(const struct val *v)
{
	struct decimal d;
	if (v->kind == BSON_K_DOUBLE)
		return isnan(val_double(v));
	if (v->kind != BSON_K_DECIMAL128)
		return false;
	decimal_read(v, &d);
	return d.kind == DECIMAL_NAN;
}

static int64_t integer_of(const struct val *v)
{
	return v->kind == BSON_K_INT32 ? val_i32(v) : val_i64(v);
}

static int compare_integers(int64_t a, int64_t b)
{
	return order(a<b, a> b);
}

static int compare_doubles(double a, double b)
{
	if (isnan(a) || isnan(b))
		return isnan(a) ? (isnan(b) ? 0 : -1) : 1;
	return order(a<b, a> b);
}

/* A double beyond 2^53 is whole, so it compares as an integer where it is in range. */
static int compare_mixed(int64_t a, double b)
{
	const double edge = 9223372036854775808.0; /* 2^63 */
	if (a >= -(INT64_C(1) << 53) && a <= INT64_C(1) << 53)
		return compare_doubles((double)a, b);
	if (isnan(b) || b < -edge)
		return 1;
	return b >= edge ? -1 : compare_integers(a, (int64_t)b);
}

/* A number written out: 0.DIGITS x 10^top. A double has 767 digits at most. */
struct written {
	enum { FINITE, NOT_A_NUMBER, INFINITE } kind;
	bool negative;
	int top;
	int ndigits; /* 0: zero */
	char digits[800];
};

/* "1.2500e+03" or "125": whatever character the locale puts between the digits is passed over. */
static void write_text(const char *text, int whole_digits, struct written *w)
{
	int zeros = 0;
	for (const char *p = text; *p != '\0' && *p != 'e'; p++) {
		if (*p < '0' || *p > '9')
			continue;
		if (w->ndigits > 0 || *p != '0')
			w->digits[w->ndigits++] = *p;
		else
			zeros++;
	}
	w->top = whole_digits - zeros;
}

static void write_double(double v, struct written *w)
{
	char text[832];
	w->negative = signbit(v);
	if (!isfinite(v)) {
		w->kind = isnan(v) ? NOT_A_NUMBER : INFINITE;
		return;
	}
	snprintf(text, sizeof text, "%.766e", fabs(v));
	const char *e = strchr(text, 'e');
	write_text(text, 1 + (e != NULL ? atoi(e + 1) : 0), w);
}

static void write_integer(int64_t v, struct written *w)
{
	char text[32];
	w->negative = v < 0;
	int n = snprintf(text, sizeof text, "%llu", (unsigned long long)(v < 0 ? -(uint64_t)v : (uint64_t)v));
	write_text(text, n, w);
}

static void write_decimal(const struct val *v, struct written *w)
{
	struct decimal d;
	decimal_read(v, &d);
	w->negative = d.negative;
	w->kind = d.kind == DECIMAL_NAN ? NOT_A_NUMBER : d.kind == DECIMAL_INFINITY ? INFINITE : FINITE;
	if (w->kind == FINITE)
		write_text(d.digits, d.exponent + d.ndigits, w);
}

static void write_number(const struct val *v, struct written *w)
{
	w->kind = FINITE;
	w->ndigits = w->top = 0;
	if (v->kind == BSON_K_DECIMAL128)
		write_decimal(v, w);
	else if (v->kind == BSON_K_DOUBLE)
		write_double(val_double(v), w);
	else
		write_integer(integer_of(v), w);
}

/* -1, 0 or 1 */
static int sign_of(const struct written *w)
{
	return w->kind == FINITE && w->ndigits == 0 ? 0 : w->negative ? -1 : 1;
}

static int compare_magnitudes(const struct written *a, const struct written *b)
{
	if (a->kind == INFINITE || b->kind == INFINITE)
		return (a->kind == INFINITE) - (b->kind == INFINITE);
	if (a->top != b->top)
		return order(a->top<b->top, a->top> b->top);
	for (int i = 0; i < a->ndigits || i < b->ndigits; i++) {
		char x = i < a->ndigits ? a->digits[i] : '0', y = i < b->ndigits ? b->digits[i] : '0';
		if (x != y)
			return x < y ? -1 : 1;
	}
	return 0;
}

static int compare_written(const struct val *a, const struct val *b)
{
	struct written v, w;
	write_number(a, &v);
	write_number(b, &w);
	if (v.kind == NOT_A_NUMBER || w.kind == NOT_A_NUMBER)
		return (w.kind == NOT_A_NUMBER) - (v.kind == NOT_A_NUMBER);
	int x = sign_of(&v), y = sign_of(&w);
	if (x != y || x == 0)
		return compare_integers(x, y);
	return x * compare_magnitudes(&v, &w);
}

static int compare_numbers(const struct val *a, const struct val *b)
{
	if (a->kind == BSON_K_DECIMAL128 || b->kind == BSON_K_DECIMAL128)
		return compare_written(a, b);
	if (a->kind == BSON_K_DOUBLE && b->kind == BSON_K_DOUBLE)
		return compare_doubles(val_double(a), val_double(b));
	if (a->kind == BSON_K_DOUBLE)
		return -compare_mixed(integer_of(b), val_double(a));
	if (b->kind == BSON_K_DOUBLE)
		return compare_mixed(integer_of(a), val_double(b));
	return compare_integers(integer_of(a), integer_of(b));
}

/* ---- other classes ---- */

static int compare_bytes(const void *a, size_t na, const void *b, size_t nb)
{
	size_t n = na < nb ? na : nb;
	int d = n > 0 ? memcmp(a, b, n) : 0;
	return d != 0 ? d : order(na<nb, na> nb);
}

static int compare_texts(const struct val *a, const struct val *b)
{
	size_t na, nb;
	const char *x = val_text(a, &na), *y = val_text(b, &nb);
	return compare_bytes(x, na, y, nb);
}

/* The shorter payload is less, whatever it holds; then subtype and bytes. */
static int compare_binaries(const struct val *a, const struct val *b)
{
	if (a->len != b->len)
		return a->len < b->len ? -1 : 1;
	return memcmp(a->data + 4, b->data + 4, a->len - 4);
}

static int compare_payloads(const struct val *a, const struct val *b)
{
	if (a->len != b->len)
		return a->len < b->len ? -1 : 1;
	return memcmp(a->data, b->data, a->len);
}

static int compare_regexes(const struct val *a, const struct val *b)
{
	const char *pa, *pb, *oa, *ob;
	size_t npa, npb, noa, nob;
	val_regex(a, &pa, &npa, &oa, &noa);
	val_regex(b, &pb, &npb, &ob, &nob);
	int d = compare_bytes(pa, npa, pb, npb);
	return d != 0 ? d : compare_bytes(oa, noa, ob, nob);
}

/* Field by field: class, then name, then value. Corrupt bytes end a document. */
static int compare_documents(const struct val *a, const struct val *b)
{
	struct doc_iter x, y;
	struct field f, g;
	bool has_x = doc_iter_val(&x, a), has_y = doc_iter_val(&y, b);
	for (;;) {
		has_x = has_x && doc_iter_next(&x, &f);
		has_y = has_y && doc_iter_next(&y, &g);
		if (!has_x || !has_y)
			return (int)has_x - (int)has_y;
		int d = val_class(f.val.kind) - val_class(g.val.kind);
		if (d == 0)
			d = compare_bytes(f.key, f.key_len, g.key, g.key_len);
		if (d == 0)
			d = val_compare(&f.val, &g.val);
		if (d != 0)
			return d;
	}
}

static int compare_scoped(const struct val *a, const struct val *b)
{
	struct val sa, sb;
	size_t na, nb;
	const char *x = val_codewscope(a, &na, &sa), *y = val_codewscope(b, &nb, &sb);
	int d = compare_bytes(x, na, y, nb);
	return d != 0 ? d : compare_documents(&sa, &sb);
}

static int compare_timestamps(const struct val *a, const struct val *b)
{
	uint64_t x = (uint64_t)val_i64(a), y = (uint64_t)val_i64(b);
	return order(x<y, x> y);
}

int val_compare(const struct val *a, const struct val *b)
{
	int x = val_class(a->kind), y = val_class(b->kind);
	if (x != y)
		return x < y ? -1 : 1;
	switch (a->kind) {
	case BSON_K_DOUBLE:
	case BSON_K_INT32:
	case BSON_K_INT64:
	case BSON_K_DECIMAL128:
		return compare_numbers(a, b);
	case BSON_K_STRING:
	case BSON_K_SYMBOL:
	case BSON_K_CODE:
		return compare_texts(a, b);
	case BSON_K_DOCUMENT:
	case BSON_K_ARRAY:
		return compare_documents(a, b);
	case BSON_K_BINARY:
		return compare_binaries(a, b);
	case BSON_K_OBJECTID:
	case BSON_K_DBPOINTER:
		return compare_payloads(a, b);
	case BSON_K_BOOL:
		return (int)val_bool(a) - (int)val_bool(b);
	case BSON_K_DATE:
		return compare_integers(val_i64(a), val_i64(b));
	case BSON_K_TIMESTAMP:
		return compare_timestamps(a, b);
	case BSON_K_REGEX:
		return compare_regexes(a, b);
	case BSON_K_CODEWSCOPE:
		return compare_scoped(a, b);
	default:
		return 0; /* null, undefined, MinKey, MaxKey */
	}
}

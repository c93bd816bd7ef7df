/* value_number.c - numbers: what a BSON number is exactly, and whether an integer, floating point, numeric or boolean
 * field is the same.
 */
#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#include "value.h"

__extension__ typedef unsigned __int128 u128;

#define TWO_TO_63 9223372036854775808.0

/* --- decimal numbers --- */

void number_trim(struct number *x)
{
	for (; x->n > 0 && x->digits[0] == '0'; x->n--)
		x->digits++;
	for (; x->n > 0 && x->digits[x->n - 1] == '0'; x->n--)
		x->exponent++;
	if (x->n == 0)
		x->exponent = 0;
}

static bool is_word(const char *s, size_t n, const char *word)
{
	return n == strlen(word) && strncasecmp(s, word, n) == 0;
}

static bool parse_exponent(const char *s, const char *end, int64_t *exponent)
{
	bool negative = false;
	int64_t e = 0;

	if (s == end)
		return true;
	if (*s++ != 'e' && s[-1] != 'E')
		return false;
	if (s < end && (*s == '+' || *s == '-'))
		negative = *s++ == '-';
	if (s == end || end - s > 12)
		return false;
	for (; s < end; s++) {
		if (*s < '0' || *s > '9')
			return false;
		e = e * 10 + (*s - '0');
	}
	*exponent += negative ? -e : e;
	return true;
}

bool number_parse(const char *s, size_t n, struct buf *scratch, struct number *out)
{
	const char *end = s + n;
	bool signed_text = n > 0 && (*s == '-' || *s == '+');

	*out = (struct number){.negative = n > 0 && *s == '-'};
	s += signed_text;
	buf_reset(scratch);
	if (is_word(s, (size_t)(end - s), "infinity")) {
		out->kind = NUMBER_INFINITE;
		return true;
	}
	if (is_word(s, (size_t)(end - s), "nan")) {
		out->kind = NUMBER_NAN;
		return !out->negative;
	}
	for (; s < end && *s >= '0' && *s <= '9'; s++)
		buf_putc(scratch, *s);
	if (s < end && *s == '.')
		for (s++; s < end && *s >= '0' && *s <= '9'; s++, out->exponent--)
			buf_putc(scratch, *s);
	if (scratch->len == 0 || !parse_exponent(s, end, &out->exponent))
		return false;
	out->digits = (const char *)scratch->data;
	out->n = scratch->len;
	for (; out->n > 0 && out->digits[0] == '0'; out->n--)
		out->digits++;
	return true;
}

bool number_equal(const struct number *a, const struct number *b)
{
	struct number x = *a, y = *b;

	if (x.kind != y.kind || x.kind == NUMBER_NAN)
		return x.kind == y.kind;
	if (x.kind == NUMBER_INFINITE)
		return x.negative == y.negative;
	x.digits = a->digits;
	y.digits = b->digits;
	number_trim(&x);
	number_trim(&y);
	return x.n == y.n && x.exponent == y.exponent && (x.n == 0 || x.negative == y.negative) &&
	       (x.n == 0 || memcmp(x.digits, y.digits, x.n) == 0);
}

static void set_digits(struct number *x, u128 m)
{
	char *p = x->own + sizeof x->own;

	for (; m != 0; m /= 10)
		*--p = (char)('0' + (int)(m % 10));
	x->digits = p;
	x->n = (size_t)(x->own + sizeof x->own - p);
}

static void number_of_i64(int64_t v, struct number *x)
{
	*x = (struct number){.negative = v < 0};
	set_digits(x, (u128)(v < 0 ? 0 - (uint64_t)v : (uint64_t)v));
}

/* IEEE 754-2008 Decimal128 in its binary integer form: sign, 14 bits of exponent, 113 bits of coefficient. */
void number_of_decimal128(const struct val *v, struct number *x)
{
	uint64_t low, high;
	u128 m;

	memcpy(&low, v->data, 8);
	memcpy(&high, v->data + 8, 8);
	*x = (struct number){.negative = high >> 63 != 0};
	if ((high >> 58 & 31) >= 30) {
		x->kind = (high >> 58 & 31) == 31 ? NUMBER_NAN : NUMBER_INFINITE;
		return;
	}
	if ((high >> 61 & 3) == 3) { /* a coefficient beyond 34 digits: zero */
		x->exponent = (int64_t)(high >> 47 & 0x3fff) - 6176;
		return;
	}
	x->exponent = (int64_t)(high >> 49 & 0x3fff) - 6176;
	m = (u128)(high & UINT64_C(0x1ffffffffffff)) << 64 | low;
	set_digits(x, m);
	if (x->n > 34)
		x->n = 0;
}

static bool digits_read_back(double d, int precision, struct number *x)
{
	char text[48];
	char *e;
	int n = 0;

	snprintf(text, sizeof text, "%.*e", precision - 1, fabs(d));
	if (strtod(text, NULL) != fabs(d))
		return false;
	e = strchr(text, 'e');
	for (const char *p = text; p < e; p++)
		if (*p != '.')
			x->own[n++] = *p;
	x->digits = x->own;
	x->n = (size_t)n;
	x->exponent = strtol(e + 1, NULL, 10) - (n - 1);
	return true;
}

void number_of_double(double d, struct number *x)
{
	*x = (struct number){.negative = signbit(d) != 0};
	if (isnan(d)) {
		x->kind = NUMBER_NAN;
		x->negative = false;
	} else if (isinf(d)) {
		x->kind = NUMBER_INFINITE;
	} else if (d != 0) {
		/* Up to 15 digits no two decimals are one double (but among the subnormal ones). */
		for (int p = fabs(d) < DBL_MIN ? 1 : 15; p <= 17; p++)
			if (digits_read_back(d, p, x))
				break;
		number_trim(x);
	}
}

double double_of_field(const uint8_t *p)
{
	uint64_t bits = big_endian(p, 8);
	double d;

	memcpy(&d, &bits, 8);
	return d;
}

static double double_of_number(const struct number *x)
{
	char text[64];

	if (x->n > 40)
		return NAN;
	snprintf(text, sizeof text, "%s%.*se%lld", x->negative ? "-" : "", x->n > 0 ? (int)x->n : 1,
		 x->n > 0 ? x->digits : "0", (long long)x->exponent);
	return strtod(text, NULL);
}

bool number_is_double(const struct number *got, double d)
{
	struct number x = *got, shortest;

	x.digits = got->digits;
	if (x.kind != NUMBER_FINITE || !isfinite(d))
		return false;
	number_trim(&x);
	if (x.n == 0 || d == 0)
		return x.n == 0 && d == 0;
	if (x.n > 17 || double_of_number(&x) != d)
		return false;
	if (x.n <= 15 && fabs(d) >= DBL_MIN)
		return true;
	number_of_double(d, &shortest);
	return x.n <= shortest.n;
}

/* --- texts of numbers --- */

static int put_plain(const struct number *x, int64_t point, char *o)
{
	int n = 0;

	if (point <= 0) {
		n += sprintf(o, "0.");
		for (int64_t i = point; i < 0; i++)
			o[n++] = '0';
	}
	for (int64_t i = 0; i < (int64_t)x->n || i < point; i++) {
		if (i == point && i > 0)
			o[n++] = '.';
		o[n++] = i < (int64_t)x->n ? x->digits[i] : '0';
	}
	o[n] = '\0';
	return n;
}

static int put_scientific(const struct number *x, int64_t exponent, const char *e, char *o)
{
	int n = 0;

	o[n++] = x->digits[0];
	if (x->n > 1) {
		o[n++] = '.';
		memcpy(o + n, x->digits + 1, x->n - 1);
		n += (int)x->n - 1;
	}
	return n + sprintf(o + n, "%s%s%lld", e, exponent < 0 ? "-" : "+",
			   (long long)(exponent < 0 ? -exponent : exponent));
}

int number_double_text(double d, bool with_point, char out[48])
{
	struct number x;
	int n = 0;
	int64_t point;

	number_of_double(d, &x);
	if (x.kind != NUMBER_FINITE)
		return sprintf(out, "%s", x.kind == NUMBER_NAN ? "NaN" : x.negative ? "-Infinity" : "Infinity");
	if (x.negative)
		out[n++] = '-';
	if (x.n == 0) {
		out[n++] = '0';
		out[n] = '\0';
		point = 1;
	} else {
		point = (int64_t)x.n + x.exponent;
		if (point > 21 || point <= -6)
			return n + put_scientific(&x, point - 1, "e", out + n);
		n += put_plain(&x, point, out + n);
	}
	if (with_point && point >= (int64_t)x.n)
		n += sprintf(out + n, ".0");
	return n;
}

int number_decimal_text(const struct number *x, char out[64])
{
	int64_t adjusted, point;
	struct number zero = *x;
	int n = 0;

	if (x->kind == NUMBER_NAN)
		return sprintf(out, "NaN");
	if (x->negative)
		out[n++] = '-';
	if (x->kind == NUMBER_INFINITE)
		return n + sprintf(out + n, "Infinity");
	zero.digits = x->n > 0 ? x->digits : "0";
	zero.n = x->n > 0 ? x->n : 1;
	adjusted = x->exponent + (int64_t)zero.n - 1;
	point = (int64_t)zero.n + x->exponent;
	if (x->exponent > 0 || adjusted < -6)
		return n + put_scientific(&zero, adjusted, "E", out + n);
	return n + put_plain(&zero, point, out + n);
}

/* --- what a BSON value is as a number --- */

/* The number that goes into a column of numbers; false: no number (j->why). */
static bool number_of(struct judge *j, const struct spec *s, const struct val *v, struct number *x)
{
	size_t n;
	const char *text;

	switch (v->kind) {
	case BSON_K_INT32:
		number_of_i64(val_i32(v), x);
		return true;
	case BSON_K_INT64:
		number_of_i64(val_i64(v), x);
		return true;
	case BSON_K_DOUBLE:
		number_of_double(val_double(v), x);
		return true;
	case BSON_K_DECIMAL128:
		number_of_decimal128(v, x);
		return true;
	case BSON_K_BOOL:
		number_of_i64(val_bool(v), x);
		j->why = FAULT_TYPE;
		return (s->accept & MAP_ACCEPT_BOOL_NUMBER) != 0;
	case BSON_K_STRING:
		text = val_text(v, &n);
		j->why = FAULT_TYPE;
		if ((s->accept & MAP_ACCEPT_NUMERIC_STRING) == 0)
			return false;
		j->why = FAULT_FORMAT;
		return number_parse(text, n, &j->text, x);
	default:
		j->why = FAULT_TYPE;
		return false;
	}
}

/* --- integers --- */

static bool whole_i64(struct judge *j, const struct val *v, struct number *x, int64_t *out)
{
	uint64_t u = 0;

	if (v->kind == BSON_K_DOUBLE) { /* all digits of the double itself, not of its shortest text */
		double d = val_double(v);
		j->why = FAULT_RANGE;
		if (!(d >= -TWO_TO_63 && d < TWO_TO_63))
			return false;
		j->why = FAULT_INEXACT;
		*out = (int64_t)d;
		return d == trunc(d);
	}
	number_trim(x);
	j->why = FAULT_RANGE;
	if (x->kind != NUMBER_FINITE || x->exponent > 19 || (int64_t)x->n + x->exponent > 19)
		return false;
	j->why = FAULT_INEXACT;
	if (x->exponent < 0)
		return false;
	j->why = FAULT_RANGE;
	for (size_t i = 0; i < x->n; i++)
		u = u * 10 + (uint64_t)(x->digits[i] - '0');
	for (int64_t i = 0; i < x->exponent; i++)
		u *= 10;
	if (u > (uint64_t)INT64_MAX + x->negative)
		return false;
	*out = x->negative ? (int64_t)(0 - u) : (int64_t)u;
	return true;
}

enum verdict check_integer(struct judge *j, const struct spec *s, const struct val *v, struct field_bytes f)
{
	static const int sizes[] = {[PGT_INT2] = 2, [PGT_INT4] = 4, [PGT_INT8] = 8};
	int size = sizes[s->type.base];
	int64_t want, most = size == 8 ? INT64_MAX : (INT64_C(1) << (8 * size - 1)) - 1;
	struct number x;

	if (v->kind == BSON_K_INT32)
		want = val_i32(v);
	else if (v->kind == BSON_K_INT64)
		want = val_i64(v);
	else if (!number_of(j, s, v, &x) || !whole_i64(j, v, &x, &want))
		return UNFIT;
	if (want > most || want < -most - 1)
		return unfit(j, FAULT_RANGE);
	if (f.len != size)
		return DIFFERENT;
	uint64_t raw = big_endian(f.data, (size_t)size);
	unsigned unused = (unsigned)(64 - 8 * size);
	return same_if((int64_t)(raw << unused) >> unused == want);
}

/* --- floating point --- */

/* x is the double `d` to the last digit. A double has 53 bits, so its exact decimal expansion may be long: compared
 * are x and d as fractions m x 2^a x 5^b. */
static bool is_exactly(const struct number *x, double d)
{
	int e;
	u128 want = 0, have;
	double fraction = frexp(fabs(d), &e);
	int64_t twos, fives;

	if (x->n == 0 || d == 0)
		return x->n == 0 && d == 0;
	if (x->n > 38 || x->negative != (signbit(d) != 0))
		return false;
	for (size_t i = 0; i < x->n; i++)
		want = want * 10 + (unsigned)(x->digits[i] - '0');
	have = (u128)(uint64_t)ldexp(fraction, 53);
	twos = x->exponent - (e - 53);
	fives = x->exponent;
	for (; want % 2 == 0; want /= 2)
		twos++;
	for (; have % 2 == 0; have /= 2)
		twos--;
	for (; fives < 0; fives++, want /= 5)
		if (want % 5 != 0)
			return false;
	for (; fives > 0; fives--, have /= 5)
		if (have % 5 != 0)
			return false;
	return twos == 0 && want == have;
}

/* The shortest digits that name a real; those below its full precision have fewer than FLT_DIG. */
static void number_of_real(float f, struct number *x)
{
	char text[48];
	int p = 0;

	do
		snprintf(text, sizeof text, "%.*e", p, (double)f);
	while (strtof(text, NULL) != f && ++p < FLT_DECIMAL_DIG);
	/* as a double of those digits, which are few enough to come back from it */
	number_of_double(strtod(text, NULL), x);
}

/* Text is taken for the nearest double if its digits come back. */
static bool double_of_text(struct judge *j, const struct spec *s, const struct number *x, double *out)
{
	struct number back, want = *x;
	bool is_real = s->type.base == PGT_FLOAT4;

	want.digits = x->digits;
	number_trim(&want);
	*out = double_of_number(x);
	if (want.n > 40) {
		char *text = arena_printf(j->arena, "%.*se%lld", (int)x->n, x->digits, (long long)x->exponent);
		*out = strtod(text, NULL) * (x->negative ? -1 : 1);
	}
	j->why = FAULT_RANGE;
	if (!isfinite(*out) || (want.n == 0) != (*out == 0))
		return false;
	if (is_real && want.n <= FLT_DIG) {
		float nearest = (float)*out;
		*out = (double)nearest;
		if (!isfinite(*out) || (want.n == 0) != (*out == 0))
			return false;
		j->why = FAULT_INEXACT;
		if (fabs(*out) >= (double)FLT_MIN || want.n == 0)
			return true;
		number_of_real(nearest, &back);
		return number_equal(&want, &back);
	}
	j->why = FAULT_INEXACT;
	number_of_double(*out, &back);
	return (want.n <= DBL_DIG && fabs(*out) >= DBL_MIN) || number_equal(&want, &back) || is_exactly(&want, *out);
}

static bool double_of(struct judge *j, const struct spec *s, const struct val *v, double *out)
{
	struct number x;

	if (v->kind == BSON_K_DOUBLE) {
		*out = val_double(v);
		return true;
	}
	if (!number_of(j, s, v, &x))
		return false;
	if (x.kind != NUMBER_FINITE) {
		*out = x.kind == NUMBER_NAN ? (double)NAN : x.negative ? -INFINITY : INFINITY;
		return true;
	}
	if (v->kind == BSON_K_STRING)
		return double_of_text(j, s, &x, out);
	*out = double_of_number(&x);
	j->why = FAULT_INEXACT;
	number_trim(&x);
	return isfinite(*out) && is_exactly(&x, *out);
}

static bool same_double(double a, double b)
{
	return isnan(a) ? isnan(b) : a == b && signbit(a) == signbit(b);
}

enum verdict check_float(struct judge *j, const struct spec *s, const struct val *v, struct field_bytes f)
{
	double want;

	if (!double_of(j, s, v, &want))
		return UNFIT;
	if (s->type.base == PGT_FLOAT8)
		return same_if(f.len == 8 && same_double(double_of_field(f.data), want));
	if (isfinite(want) && fabs(want) > FLT_MAX)
		return unfit(j, FAULT_RANGE);
	if (!isnan(want) && (double)(float)want != want)
		return unfit(j, FAULT_INEXACT);
	if (f.len != 4)
		return DIFFERENT;
	uint32_t bits = (uint32_t)big_endian(f.data, 4);
	float got;
	memcpy(&got, &bits, 4);
	return same_if(same_double((double)got, want));
}

/* --- numeric --- */

bool number_of_numeric(struct field_bytes f, struct buf *scratch, struct number *x, int *scale)
{
	unsigned sign;
	int groups, weight;

	if (f.len < 8)
		return false;
	groups = (int)big_endian(f.data, 2);
	weight = (int16_t)big_endian(f.data + 2, 2);
	sign = (unsigned)big_endian(f.data + 4, 2);
	if (scale != NULL)
		*scale = (int)big_endian(f.data + 6, 2);
	*x = (struct number){.negative = sign == 0x4000 || sign == 0xf000};
	if ((sign & 0xc000) == 0xc000) {
		x->kind = sign == 0xc000 ? NUMBER_NAN : NUMBER_INFINITE;
		return true;
	}
	if (f.len != 8 + 2 * groups)
		return false;
	buf_reset(scratch);
	for (int g = 0; g < groups; g++)
		buf_printf(scratch, "%04u", (unsigned)big_endian(f.data + 8 + 2 * g, 2));
	x->digits = (const char *)scratch->data;
	x->n = scratch->len;
	x->exponent = 4 * ((int64_t)weight - groups + 1);
	number_trim(x);
	return true;
}

/* A numeric(p,s) column: what the server would round or refuse does not go in. */
static bool fits_modifier(struct judge *j, const struct pgtype *t, const struct number *x)
{
	if (x->n == 0 || t->precision < 0)
		return true;
	j->why = FAULT_INEXACT;
	if (x->exponent < -(int64_t)t->scale)
		return false;
	j->why = FAULT_RANGE;
	return (int64_t)x->n + x->exponent <= t->precision - t->scale;
}

static bool fits_numeric(struct judge *j, const struct spec *s, const struct number *x, const struct number *bare)
{
	j->why = FAULT_RANGE;
	if (x->kind == NUMBER_INFINITE)
		return j->server_version >= 140000 && s->type.precision < 0;
	if (x->kind == NUMBER_NAN)
		return true;
	if (!fits_modifier(j, &s->type, bare))
		return false;
	j->why = FAULT_RANGE;
	return (int64_t)x->n + x->exponent <= 131072 && x->exponent >= -16383;
}

enum verdict check_numeric(struct judge *j, const struct spec *s, const struct val *v, struct field_bytes f)
{
	struct number want, bare, got;
	int dscale = 0;

	if (!number_of(j, s, v, &want))
		return UNFIT;
	bare = want;
	bare.digits = want.digits;
	number_trim(&bare);
	if (!fits_numeric(j, s, &want, &bare))
		return UNFIT;
	if (f.len < 0 || !number_of_numeric(f, &j->key, &got, &dscale))
		return DIFFERENT;
	if (want.kind != NUMBER_FINITE || got.kind != NUMBER_FINITE)
		return same_if(number_equal(&want, &got));
	if (v->kind == BSON_K_DOUBLE ? !number_is_double(&got, val_double(v)) : !number_equal(&bare, &got))
		return DIFFERENT;
	if (s->type.precision >= 0)
		return SAME;
	/* 1.10 is not 1.1 for Decimal128 and text; a double has no zeros of its own */
	const struct number *written = v->kind == BSON_K_DOUBLE ? &got : &want;
	return same_if(dscale == (written->exponent < 0 ? -written->exponent : 0));
}

/* --- boolean --- */

static enum verdict same_bool(bool want, struct field_bytes f)
{
	return same_if(f.len == 1 && (f.data[0] != 0) == want);
}

enum verdict check_boolean(struct judge *j, const struct spec *s, const struct val *v, struct field_bytes f)
{
	struct number x;
	size_t n;
	const char *text;

	if (v->kind == BSON_K_BOOL)
		return same_bool(val_bool(v), f);
	if (v->kind == BSON_K_STRING && (s->accept & MAP_ACCEPT_BOOL_STRING) != 0) {
		text = val_text(v, &n);
		if (!is_word(text, n, "true") && !is_word(text, n, "false"))
			return unfit(j, FAULT_FORMAT);
		return same_bool(is_word(text, n, "true"), f);
	}
	if (v->kind == BSON_K_STRING || (s->accept & MAP_ACCEPT_BOOL_NUMBER) == 0)
		return unfit(j, FAULT_TYPE);
	if (!number_of(j, s, v, &x))
		return UNFIT;
	number_trim(&x);
	bool one = x.n == 1 && x.digits[0] == '1' && x.exponent == 0 && !x.negative;
	if (x.kind != NUMBER_FINITE || (x.n > 0 && !one))
		return unfit(j, FAULT_RANGE);
	return same_bool(one, f);
}

/* --- vector: int16 dimensions, int16 unused, float4 each --- */

static double decimal_as_double(const struct val *v)
{
	struct number x;

	number_of_decimal128(v, &x);
	return x.kind == NUMBER_FINITE ? double_of_number(&x) : (double)NAN;
}

static bool coordinate(struct judge *j, const struct val *v, float *out)
{
	double d;

	j->why = FAULT_SHAPE;
	if (v->kind == BSON_K_DOUBLE)
		d = val_double(v);
	else if (v->kind == BSON_K_INT32)
		d = val_i32(v);
	else if (v->kind == BSON_K_INT64)
		d = (double)val_i64(v);
	else if (v->kind == BSON_K_DECIMAL128)
		d = decimal_as_double(v);
	else
		return false;
	j->why = FAULT_RANGE;
	*out = (float)d;
	return isfinite(d) && fabs(d) <= FLT_MAX;
}

/* One coordinate against the field at its place. */
static bool same_coordinate(struct field_bytes f, size_t i, float want)
{
	uint32_t bits;
	float got;

	if (f.len < (int)(4 + 4 * (i + 1)))
		return false;
	bits = (uint32_t)big_endian(f.data + 4 + 4 * i, 4);
	memcpy(&got, &bits, 4);
	return got == want;
}

static enum verdict end_vector(struct judge *j, const struct spec *s, size_t n, bool same, struct field_bytes f)
{
	if (n == 0 || n > 16000 || (s->type.length >= 0 && n != (size_t)s->type.length))
		return unfit(j, FAULT_SHAPE);
	return same_if(same && f.len == (int)(4 + 4 * n) && big_endian(f.data, 2) == n);
}

/* MongoDB's own vectors, binary of subtype 9: a byte for int8 (3) or float32 (0x27), a byte of padding, coordinates.
 */
static enum verdict check_binary_vector(struct judge *j, const struct spec *s, const struct val *v,
					struct field_bytes f)
{
	uint8_t subtype;
	size_t len, size, n;
	const uint8_t *p = val_binary(v, &subtype, &len);
	bool same = f.len >= 4;
	float x;

	if (subtype != 9)
		return unfit(j, FAULT_TYPE);
	size = len > 0 && p[0] == 3 ? 1 : 4;
	if (len < 2 || (p[0] != 3 && p[0] != 0x27) || p[1] != 0 || (len - 2) % size != 0)
		return unfit(j, FAULT_FORMAT);
	n = (len - 2) / size;
	if (n == 0 || n > 16000 || (s->type.length >= 0 && n != (size_t)s->type.length))
		return unfit(j, FAULT_SHAPE);
	for (size_t i = 0; i < n; i++) {
		x = (float)(int8_t)p[2 + i];
		if (size == 4)
			memcpy(&x, p + 2 + 4 * i, 4); /* little-endian, as we are */
		if (!isfinite(x))
			return unfit(j, FAULT_RANGE);
		same = same && same_coordinate(f, i, x);
	}
	return end_vector(j, s, n, same, f);
}

enum verdict check_vector(struct judge *j, const struct spec *s, const struct val *v, struct field_bytes f)
{
	struct doc_iter it;
	struct field e;
	size_t n = 0;
	bool same = f.len >= 4;
	float x;

	if (v->kind == BSON_K_BINARY)
		return check_binary_vector(j, s, v, f);
	if (v->kind != BSON_K_ARRAY) {
		if ((s->accept & MAP_ACCEPT_SCALAR_ARRAY) == 0 || v->kind == BSON_K_STRING)
			return unfit(j, FAULT_TYPE);
		if (!coordinate(j, v, &x))
			return unfit(j, j->why == FAULT_SHAPE ? FAULT_TYPE : j->why);
		same = same && same_coordinate(f, n++, x);
	} else {
		if (!doc_iter_val(&it, v))
			return unfit(j, FAULT_CORRUPT);
		for (; doc_iter_next(&it, &e); n++) {
			if (!coordinate(j, &e.val, &x))
				return UNFIT;
			same = same && same_coordinate(f, n, x);
		}
	}
	return end_vector(j, s, n, same, f);
}

/* numbers.c - integers, floating point, numeric and boolean. Exact or refused: see each function. */
#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "convert_private.h"
#include "decimal.h"
#include "text.h"

/* --- decimal digits --- */

static const char *skip_digits(const char *s, const char *end, struct buf *digits)
{
	const char *from = s;
	while (s < end && *s >= '0' && *s <= '9')
		s++;
	buf_put(digits, from, (size_t)(s - from));
	return s;
}

static bool read_exponent(const char *s, const char *end, int64_t *exponent)
{
	if (s == end)
		return true;
	if ((*s | 0x20) != 'e' || ++s == end)
		return false;
	if (*s == '+' && ++s < end && *s == '-')
		return false;
	int64_t e;
	/* Anything that long is out of every range; the sum below must not overflow. */
	if (end - s > 12 || !text_parse_i64(s, (size_t)(end - s), &e) || (end[-1] < '0' || end[-1] > '9'))
		return false;
	*exponent += e;
	return true;
}

static bool is_word(const char *s, const char *end, const char *word)
{
	return (size_t)(end - s) == strlen(word) && strncasecmp(s, word, (size_t)(end - s)) == 0;
}

bool digits_parse(const char *s, size_t n, struct buf *scratch, struct digits *out)
{
	const char *end = s + n;
	*out = (struct digits){0};
	buf_reset(scratch);
	if (s < end && (*s == '-' || *s == '+'))
		out->negative = *s++ == '-';
	if (is_word(s, end, "infinity"))
		out->kind = DIGITS_INFINITY;
	else if (is_word(s, end, "nan") && !out->negative)
		out->kind = DIGITS_NAN;
	if (out->kind != DIGITS_FINITE)
		return true;
	s = skip_digits(s, end, scratch);
	if (s < end && *s == '.') {
		size_t before = scratch->len;
		s = skip_digits(s + 1, end, scratch);
		out->exponent = -(int64_t)(scratch->len - before);
	}
	out->digits = (const char *)scratch->data;
	out->n = scratch->len;
	return scratch->len > 0 && read_exponent(s, end, &out->exponent);
}

void digits_trim(struct digits *d)
{
	for (; d->n > 0 && *d->digits == '0'; d->n--)
		d->digits++;
	for (; d->n > 0 && d->digits[d->n - 1] == '0'; d->n--)
		d->exponent++;
	if (d->n == 0)
		d->exponent = 0;
}

void digits_of_decimal(const struct val *v, struct decimal *dec, struct digits *d)
{
	decimal_read(v, dec);
	*d = (struct digits){.negative = dec->negative,
			     .digits = dec->digits,
			     .n = (size_t)dec->ndigits,
			     .exponent = dec->exponent,
			     .kind = dec->kind == DECIMAL_NAN        ? DIGITS_NAN
				     : dec->kind == DECIMAL_INFINITY ? DIGITS_INFINITY
								     : DIGITS_FINITE};
}

static enum fault text_digits(struct conv *c, const struct val *v, struct digits *d)
{
	size_t n;
	const char *s = val_text(v, &n);
	return digits_parse(s, n, &c->text, d) ? FAULT_OK : FAULT_FORMAT;
}

static enum fault accepted(struct conv *c, struct column *col, enum fault f)
{
	if (f == FAULT_OK)
		count_column(c, col, COUNT_ACCEPTED);
	return f;
}

/* --- integers --- */

static enum fault put_int(struct conv *c, struct column *col, int64_t v)
{
	if (v < col->lo || v > col->hi)
		return fault_note(c, FAULT_RANGE, "outside %s", pgt_name(col->type.base));
	if (col->type.base == PGT_INT4)
		rowbuf_put_i32(col->rows, (int32_t)v);
	else if (col->type.base == PGT_INT8)
		rowbuf_put_i64(col->rows, v);
	else
		rowbuf_put_i16(col->rows, (int16_t)v);
	return FAULT_OK;
}

enum fault put_int32_as_int(struct conv *c, struct column *col, const struct val *v)
{
	return put_int(c, col, val_i32(v));
}

enum fault put_int64_as_int(struct conv *c, struct column *col, const struct val *v)
{
	return put_int(c, col, val_i64(v));
}

#define TWO_TO_63 9223372036854775808.0

enum fault put_double_as_int(struct conv *c, struct column *col, const struct val *v)
{
	double d = val_double(v);
	if (!isfinite(d) || d < -TWO_TO_63 || d >= TWO_TO_63)
		return fault_note(c, FAULT_RANGE, "outside %s", pgt_name(col->type.base));
	if (d != trunc(d))
		return fault_note(c, FAULT_INEXACT, "not a whole number");
	if (d == 0 && signbit(d))
		count_column(c, col, COUNT_NEGATIVE_ZERO);
	return put_int(c, col, (int64_t)d);
}

static enum fault put_digits_as_int(struct conv *c, struct column *col, struct digits *d)
{
	digits_trim(d);
	if (d->kind == DIGITS_FINITE && d->n == 0) {
		if (d->negative)
			count_column(c, col, COUNT_NEGATIVE_ZERO);
		return put_int(c, col, 0);
	}
	if (d->kind == DIGITS_FINITE && d->exponent < 0)
		return fault_note(c, FAULT_INEXACT, "not a whole number");
	if (d->kind != DIGITS_FINITE || d->exponent > 19 || (int64_t)d->n + d->exponent > 19)
		return fault_note(c, FAULT_RANGE, "outside %s", pgt_name(col->type.base));
	uint64_t u = 0; /* 19 digits fit */
	for (size_t i = 0; i < d->n + (size_t)d->exponent; i++)
		u = u * 10 + (i < d->n ? (uint64_t)(d->digits[i] - '0') : 0);
	if (u > (uint64_t)INT64_MAX + d->negative)
		return fault_note(c, FAULT_RANGE, "outside %s", pgt_name(col->type.base));
	return put_int(c, col, d->negative ? (int64_t)(0 - u) : (int64_t)u);
}

enum fault put_decimal_as_int(struct conv *c, struct column *col, const struct val *v)
{
	struct decimal dec;
	struct digits d;
	digits_of_decimal(v, &dec, &d);
	return put_digits_as_int(c, col, &d);
}

enum fault put_bool_as_int(struct conv *c, struct column *col, const struct val *v)
{
	return accepted(c, col, put_int(c, col, val_bool(v)));
}

enum fault put_text_as_int(struct conv *c, struct column *col, const struct val *v)
{
	struct digits d;
	enum fault f = text_digits(c, v, &d);
	return accepted(c, col, f != FAULT_OK ? f : put_digits_as_int(c, col, &d));
}

/* --- floating point --- */

static enum fault put_float(struct conv *c, struct column *col, double d)
{
	if (col->type.base == PGT_FLOAT8) {
		rowbuf_put_f64(col->rows, d);
		return FAULT_OK;
	}
	if (isfinite(d) && fabs(d) > FLT_MAX)
		return fault_note(c, FAULT_RANGE, "outside real");
	if (!isnan(d) && (double)(float)d != d)
		return fault_note(c, FAULT_INEXACT, "needs double precision");
	rowbuf_put_f32(col->rows, (float)d);
	return FAULT_OK;
}

enum fault put_double_as_float(struct conv *c, struct column *col, const struct val *v)
{
	return put_float(c, col, val_double(v));
}

enum fault put_int32_as_float(struct conv *c, struct column *col, const struct val *v)
{
	return put_float(c, col, val_i32(v));
}

enum fault put_int64_as_float(struct conv *c, struct column *col, const struct val *v)
{
	int64_t i = val_i64(v);
	double d = (double)i;
	if (d >= TWO_TO_63 || (int64_t)d != i)
		return fault_note(c, FAULT_INEXACT, "more digits than %s holds", pgt_name(col->type.base));
	return put_float(c, col, d);
}

enum fault put_bool_as_float(struct conv *c, struct column *col, const struct val *v)
{
	return accepted(c, col, put_float(c, col, val_bool(v)));
}

__extension__ typedef unsigned __int128 uint128;

/* The double that equals digits x 10^exponent, if there is one. At most 38 digits. value = odd x 2^twos in the end:
 * ten is two times five, so fives are divided out (or multiplied in) and must leave a number of at most 53 bits. */
static bool exact_double(const struct digits *d, double *out)
{
	uint128 m = 0;
	int64_t fives = d->exponent, twos = d->exponent;
	if (d->n > 38)
		return false;
	for (size_t i = 0; i < d->n; i++)
		m = m * 10 + (unsigned)(d->digits[i] - '0');
	if (m == 0) {
		*out = d->negative ? -0.0 : 0.0;
		return true;
	}
	for (; m % 2 == 0; m /= 2)
		twos++;
	for (; fives < 0; fives++, m /= 5)
		if (m % 5 != 0)
			return false;
	for (; fives > 0 && m >> 53 == 0; fives--)
		m *= 5;
	if (fives > 0 || m >> 53 != 0 || twos > 1100 || twos < -1100)
		return false;
	double v = ldexp((double)(uint64_t)m, (int)twos);
	*out = d->negative ? -v : v;
	return isfinite(v) && ldexp(v, (int)-twos) == (double)(uint64_t)m;
}

static enum fault put_special_float(struct conv *c, struct column *col, const struct digits *d)
{
	return put_float(c, col, d->kind == DIGITS_NAN ? (double)NAN : d->negative ? -INFINITY : INFINITY);
}

enum fault put_decimal_as_float(struct conv *c, struct column *col, const struct val *v)
{
	struct decimal dec;
	struct digits d;
	double x;
	digits_of_decimal(v, &dec, &d);
	if (d.kind != DIGITS_FINITE)
		return put_special_float(c, col, &d);
	digits_trim(&d);
	if (!exact_double(&d, &x))
		return fault_note(c, FAULT_INEXACT, "no %s equals it", pgt_name(col->type.base));
	return put_float(c, col, x);
}

/* Text is taken for the double nearest to it as long as the digits come back: 0.1 is fine, 9007199254740993 is not.
 */
static bool has_digits(const struct digits *wanted, const char *text, int n)
{
	char copy[32];
	struct digits got;
	struct buf scratch = {.data = (uint8_t *)copy, .cap = sizeof copy};
	return digits_parse(text, (size_t)n, &scratch, &got) && (digits_trim(&got), got.n == wanted->n) &&
	       got.exponent == wanted->exponent && memcmp(got.digits, wanted->digits, got.n) == 0;
}

/* So many digits always come back from a number of full precision; subnormal ones hold fewer. */
static bool comes_back_from_double(const struct digits *wanted, double x)
{
	char text[32];
	if (wanted->n <= DBL_DIG && fabs(x) >= DBL_MIN)
		return true;
	return has_digits(wanted, text, text_double(x, text));
}

static bool comes_back_from_real(const struct digits *wanted, float x)
{
	char text[32];
	int n = 0;
	if (wanted->n <= FLT_DIG && fabsf(x) >= FLT_MIN)
		return true;
	for (int p = 0; p < FLT_DECIMAL_DIG; p++) {
		n = snprintf(text, sizeof text, "%.*e", p, (double)x);
		if (strtof(text, NULL) == x)
			break;
	}
	return has_digits(wanted, text, n);
}

static enum fault put_text_float(struct conv *c, struct column *col, const struct val *v, struct digits *d)
{
	bool is_real = col->type.base == PGT_FLOAT4;
	double x;
	size_t n;
	const char *s = val_text(v, &n);
	if (d->kind != DIGITS_FINITE)
		return put_special_float(c, col, d);
	if (n > 0 && *s == '+') {
		s++;
		n--;
	}
	if (!text_parse_double(s, n, &x) || !isfinite(x))
		return fault_note(c, FAULT_RANGE, "outside %s", pgt_name(col->type.base));
	digits_trim(d);
	if (is_real && isfinite((double)(float)x) && d->n <= FLT_DIG && (d->n == 0) == ((float)x == 0)) {
		if (!comes_back_from_real(d, (float)x))
			return fault_note(c, FAULT_INEXACT, "more digits than real holds");
		rowbuf_put_f32(col->rows, (float)x);
		return FAULT_OK;
	}
	if ((d->n == 0) != (x == 0))
		return fault_note(c, FAULT_RANGE, "outside %s", pgt_name(col->type.base));
	double exact;
	if (!comes_back_from_double(d, x) && !(exact_double(d, &exact) && fabs(exact) == fabs(x)))
		return fault_note(c, FAULT_INEXACT, "more digits than %s holds", pgt_name(col->type.base));
	return put_float(c, col, x);
}

enum fault put_text_as_float(struct conv *c, struct column *col, const struct val *v)
{
	struct digits d;
	enum fault f = text_digits(c, v, &d);
	return accepted(c, col, f != FAULT_OK ? f : put_text_float(c, col, v, &d));
}

/* --- numeric --- */

static enum fault put_special_numeric(struct conv *c, struct column *col, const struct digits *d)
{
	if (d->kind == DIGITS_NAN) {
		rowbuf_put_numeric_special(col->rows, NUMERIC_NAN);
		return FAULT_OK;
	}
	if (c->server_version < 140000)
		return fault_note(c, FAULT_RANGE, "infinity needs PostgreSQL 14");
	if (col->type.precision >= 0)
		return fault_note(c, FAULT_RANGE, "infinity in numeric(%d,%d)", col->type.precision, col->type.scale);
	rowbuf_put_numeric_special(col->rows, d->negative ? NUMERIC_NINF : NUMERIC_PINF);
	return FAULT_OK;
}

/* The server would round to the scale without a word; so digits beyond it are refused here, and what is left needs
 * no zeros beyond it either. */
static enum fault fit_numeric(struct conv *c, const struct column *col, struct digits *d)
{
	struct digits bare = *d;
	digits_trim(&bare);
	if (bare.n > 0 && bare.exponent < -(int64_t)col->type.scale)
		return fault_note(c, FAULT_INEXACT, "%lld digits after the point, at most %d",
				  (long long)-bare.exponent, col->type.scale);
	if (bare.n > 0 && (int64_t)bare.n + bare.exponent > col->type.precision - col->type.scale)
		return fault_note(c, FAULT_RANGE, "outside numeric(%d,%d)", col->type.precision, col->type.scale);
	*d = bare;
	return FAULT_OK;
}

static enum fault put_digits_as_numeric(struct conv *c, struct column *col, struct digits *d)
{
	if (d->kind != DIGITS_FINITE)
		return put_special_numeric(c, col, d);
	if (col->type.precision >= 0) {
		enum fault f = fit_numeric(c, col, d);
		if (f != FAULT_OK)
			return f;
	}
	struct digits bare = *d;
	digits_trim(&bare);
	if (bare.n == 0 && d->negative)
		count_column(c, col, COUNT_NEGATIVE_ZERO);
	if (d->exponent < -1000000 || d->exponent > 1000000 ||
	    !rowbuf_put_numeric(col->rows, d->negative, d->digits, d->n, (int)d->exponent))
		return fault_note(c, FAULT_RANGE, "outside numeric");
	return FAULT_OK;
}

static enum fault put_int_as_numeric(struct conv *c, struct column *col, int64_t v)
{
	char text[24];
	char *p = text + sizeof text;
	uint64_t u = v < 0 ? 0 - (uint64_t)v : (uint64_t)v;
	do
		*--p = (char)('0' + u % 10);
	while ((u /= 10) != 0);
	struct digits d = {.negative = v < 0, .digits = p, .n = (size_t)(text + sizeof text - p)};
	return put_digits_as_numeric(c, col, &d);
}

enum fault put_int32_as_numeric(struct conv *c, struct column *col, const struct val *v)
{
	return put_int_as_numeric(c, col, val_i32(v));
}

enum fault put_int64_as_numeric(struct conv *c, struct column *col, const struct val *v)
{
	return put_int_as_numeric(c, col, val_i64(v));
}

enum fault put_double_as_numeric(struct conv *c, struct column *col, const struct val *v)
{
	char text[32];
	struct digits d;
	digits_parse(text, (size_t)text_double(val_double(v), text), &c->text, &d);
	if (d.kind == DIGITS_FINITE)
		digits_trim(&d); /* 5.0 is 5: a double has no scale of its own */
	return put_digits_as_numeric(c, col, &d);
}

enum fault put_decimal_as_numeric(struct conv *c, struct column *col, const struct val *v)
{
	struct decimal dec;
	struct digits d;
	digits_of_decimal(v, &dec, &d);
	return put_digits_as_numeric(c, col, &d);
}

enum fault put_bool_as_numeric(struct conv *c, struct column *col, const struct val *v)
{
	return accepted(c, col, put_int_as_numeric(c, col, val_bool(v)));
}

enum fault put_text_as_numeric(struct conv *c, struct column *col, const struct val *v)
{
	struct digits d;
	enum fault f = text_digits(c, v, &d);
	return accepted(c, col, f != FAULT_OK ? f : put_digits_as_numeric(c, col, &d));
}

/* --- boolean --- */

enum fault put_bool(struct conv *c, struct column *col, const struct val *v)
{
	rowbuf_put_bool(col->rows, val_bool(v));
	return FAULT_OK;
}

static enum fault put_zero_or_one(struct conv *c, struct column *col, bool is_zero, bool is_one)
{
	if (!is_zero && !is_one)
		return fault_note(c, FAULT_RANGE, "neither 0 nor 1");
	rowbuf_put_bool(col->rows, is_one);
	return accepted(c, col, FAULT_OK);
}

enum fault put_int32_as_bool(struct conv *c, struct column *col, const struct val *v)
{
	return put_zero_or_one(c, col, val_i32(v) == 0, val_i32(v) == 1);
}

enum fault put_int64_as_bool(struct conv *c, struct column *col, const struct val *v)
{
	return put_zero_or_one(c, col, val_i64(v) == 0, val_i64(v) == 1);
}

enum fault put_double_as_bool(struct conv *c, struct column *col, const struct val *v)
{
	return put_zero_or_one(c, col, val_double(v) == 0, val_double(v) == 1);
}

enum fault put_decimal_as_bool(struct conv *c, struct column *col, const struct val *v)
{
	struct decimal dec;
	struct digits d;
	digits_of_decimal(v, &dec, &d);
	digits_trim(&d);
	bool finite = d.kind == DIGITS_FINITE;
	return put_zero_or_one(c, col, finite && d.n == 0,
			       finite && d.n == 1 && d.digits[0] == '1' && d.exponent == 0 && !d.negative);
}

enum fault put_text_as_bool(struct conv *c, struct column *col, const struct val *v)
{
	size_t n;
	const char *s = val_text(v, &n);
	bool yes = is_word(s, s + n, "true");
	if (!yes && !is_word(s, s + n, "false"))
		return FAULT_FORMAT;
	rowbuf_put_bool(col->rows, yes);
	return accepted(c, col, FAULT_OK);
}

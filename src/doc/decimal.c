/* decimal.c - Decimal128 in its BID encoding.
 *
 * Bits from the top: sign; then, unless the next two are both 1, 14 bits of exponent and 113 of coefficient. 11110
 * after the sign is infinity, 11111 NaN; any other 11... would be a coefficient of 10^34 or more, which IEEE 754
 * calls non-canonical and reads as 0, as it does a plain coefficient above 10^34 - 1.
 */
#include "decimal.h"

#include <stdio.h>

typedef unsigned __int128 u128;

enum { BIAS = 6176 };

static void put_digits(struct decimal *d, u128 coefficient)
{
	char reversed[40];
	int n = 0, i;

	/* Chunks that fit 64 bits: dividing 128 bits digit by digit is slow. */
	while (coefficient > UINT64_MAX) {
		uint64_t low = (uint64_t)(coefficient % UINT64_C(10000000000000000000));

		coefficient /= UINT64_C(10000000000000000000);
		for (i = 0; i < 19; i++, low /= 10)
			reversed[n++] = (char)('0' + low % 10);
	}
	for (uint64_t low = (uint64_t)coefficient; low > 0 || n == 0; low /= 10)
		reversed[n++] = (char)('0' + low % 10);
	for (i = 0; i < n; i++)
		d->digits[i] = reversed[n - 1 - i];
	d->digits[n] = 0;
	d->ndigits = n;
}

void decimal_read(const struct val *v, struct decimal *d)
{
	const u128 largest = (u128)UINT64_C(10000000000000000) * UINT64_C(1000000000000000000) - 1; /* 10^34 - 1 */
	uint64_t lo, hi;
	u128 coefficient;

	memcpy(&lo, v->data, 8);
	memcpy(&hi, v->data + 8, 8);
	memset(d, 0, sizeof *d);
	d->kind = DECIMAL_FINITE;
	d->negative = hi >> 63;
	if ((hi >> 59 & 0xF) == 0xF) { /* 1111x */
		d->kind = hi >> 58 & 1 ? DECIMAL_NAN : DECIMAL_INFINITY;
		return;
	}
	if ((hi >> 61 & 3) == 3) {
		d->exponent = (int)(hi >> 47 & 0x3FFF) - BIAS;
		coefficient = 0;
	} else {
		d->exponent = (int)(hi >> 49 & 0x3FFF) - BIAS;
		coefficient = (u128)(hi & UINT64_C(0x1FFFFFFFFFFFF)) << 64 | lo;
		if (coefficient > largest)
			coefficient = 0;
	}
	put_digits(d, coefficient);
}

static int text_scientific(const struct decimal *d, int adjusted, char *out)
{
	int n = 0;

	out[n++] = d->digits[0];
	if (d->ndigits > 1) {
		out[n++] = '.';
		memcpy(out + n, d->digits + 1, (size_t)d->ndigits - 1);
		n += d->ndigits - 1;
	}
	return n + sprintf(out + n, "E%+d", adjusted);
}

/* exponent <= 0, and at most five zeros before the first digit */
static int text_plain(const struct decimal *d, char *out)
{
	int whole = d->ndigits + d->exponent, n = 0, i;

	if (whole <= 0) {
		out[n++] = '0';
		out[n++] = '.';
		for (i = whole; i < 0; i++)
			out[n++] = '0';
	}
	for (i = 0; i < d->ndigits; i++) {
		if (i == whole && i > 0)
			out[n++] = '.';
		out[n++] = d->digits[i];
	}
	return n;
}

int decimal_text(const struct decimal *d, char out[48])
{
	int n = 0, adjusted;

	if (d->kind == DECIMAL_NAN) {
		memcpy(out, "NaN", 4);
		return 3;
	}
	if (d->negative)
		out[n++] = '-';
	if (d->kind == DECIMAL_INFINITY) {
		memcpy(out + n, "Infinity", 9);
		return n + 8;
	}
	adjusted = d->exponent + d->ndigits - 1;
	if (d->exponent > 0 || adjusted < -6)
		n += text_scientific(d, adjusted, out + n);
	else
		n += text_plain(d, out + n);
	out[n] = 0;
	return n;
}

/* ---- from text ---- */

enum { MAX_EXPONENT = 6111, MIN_EXPONENT = -6176, MAX_DIGITS = 34 };

struct scan {
	u128 coefficient;
	int ndigits, exponent;
	bool has_digits, is_too_long;
};

static void scan_digit(struct scan *s, int digit, bool behind_point)
{
	s->has_digits = true;
	if (s->ndigits == MAX_DIGITS) { /* more digits are noughts or cannot be held */
		s->is_too_long = s->is_too_long || digit != 0;
		s->exponent += !behind_point;
		return;
	}
	s->coefficient = s->coefficient * 10 + (unsigned)digit;
	s->ndigits += s->ndigits > 0 || digit > 0;
	s->exponent -= behind_point;
}

static bool scan_exponent(const char *p, const char *end, int *out)
{
	bool negative = p < end && *p == '-';
	int x = 0;

	if (p < end && (*p == '-' || *p == '+'))
		p++;
	if (p == end)
		return false;
	for (; p < end; p++) {
		if (*p < '0' || *p > '9')
			return false;
		if (x < 1000000)
			x = x * 10 + (*p - '0');
	}
	*out = negative ? -x : x;
	return true;
}

static bool scan_number(struct scan *s, const char *p, const char *end)
{
	bool behind_point = false;
	int exponent = 0;

	for (; p < end && *p != 'e' && *p != 'E'; p++) {
		if (*p >= '0' && *p <= '9')
			scan_digit(s, *p - '0', behind_point);
		else if (*p == '.' && !behind_point)
			behind_point = true;
		else
			return false;
	}
	if (p < end && !scan_exponent(p + 1, end, &exponent))
		return false;
	s->exponent += exponent;
	return s->has_digits && !s->is_too_long;
}

/* Brings the exponent into its range as far as noughts at the end of the digits allow. */
static bool clamp(struct scan *s)
{
	if (s->coefficient == 0) {
		s->exponent = s->exponent > MAX_EXPONENT   ? MAX_EXPONENT
			      : s->exponent < MIN_EXPONENT ? MIN_EXPONENT
							   : s->exponent;
		return true;
	}
	for (; s->exponent > MAX_EXPONENT && s->ndigits < MAX_DIGITS; s->exponent--, s->ndigits++)
		s->coefficient *= 10;
	for (; s->exponent < MIN_EXPONENT && s->coefficient % 10 == 0; s->exponent++)
		s->coefficient /= 10;
	return s->exponent >= MIN_EXPONENT && s->exponent <= MAX_EXPONENT;
}

static void store(uint8_t out[16], bool negative, uint64_t hi, uint64_t lo)
{
	hi |= (uint64_t)negative << 63;
	memcpy(out, &lo, 8);
	memcpy(out + 8, &hi, 8);
}

static bool is_word(const char *p, const char *end, const char *word)
{
	return (size_t)(end - p) == strlen(word) && memcmp(p, word, strlen(word)) == 0;
}

bool decimal_parse(const char *text, size_t len, uint8_t out[16])
{
	const char *p = text, *end = text + len;
	bool negative = p < end && *p == '-';
	struct scan s = {0};

	if (p < end && (*p == '-' || *p == '+'))
		p++;
	if (is_word(p, end, "NaN"))
		store(out, false, UINT64_C(0x7c00000000000000), 0);
	else if (is_word(p, end, "Infinity") || is_word(p, end, "Inf"))
		store(out, negative, UINT64_C(0x7800000000000000), 0);
	else if (scan_number(&s, p, end) && clamp(&s))
		store(out, negative, (uint64_t)(s.exponent + BIAS) << 49 | (uint64_t)(s.coefficient >> 64),
		      (uint64_t)s.coefficient);
	else
		return false;
	return true;
}

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

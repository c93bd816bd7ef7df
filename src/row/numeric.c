/* numeric.c - PostgreSQL's binary numeric (numeric_recv): base-10000 digits, weight of the first, sign, dscale. */
#include "rowbuf.h"

#define NBASE_DIGITS 4
#define MAX_DSCALE   16383
#define MAX_WEIGHT   32767 /* 131072 digits before the point, in groups of four */

enum { SIGN_POSITIVE = 0x0000, SIGN_NEGATIVE = 0x4000, SIGN_NAN = 0xc000, SIGN_PINF = 0xd000, SIGN_NINF = 0xf000 };

static void put_u16(uint8_t *p, unsigned v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

static void put_header(uint8_t *p, size_t ngroups, int weight, unsigned sign, int dscale)
{
	put_u16(p, (unsigned)ngroups);
	put_u16(p + 2, (unsigned)weight & 0xffff);
	put_u16(p + 4, sign);
	put_u16(p + 6, (unsigned)dscale);
}

static long floor_div(long a, long b)
{
	return a >= 0 ? a / b : -((-a + b - 1) / b);
}

/* The groups of four are counted from the decimal point, so the first and the last may be short of digits. */
static void put_groups(uint8_t *p, size_t ngroups, long weight, const char *digits, size_t ndigits, long exponent)
{
	long top = (weight + 1) * NBASE_DIGITS; /* power of ten just above the first group */
	for (size_t g = 0; g < ngroups; g++) {
		unsigned v = 0;
		for (int k = 0; k < NBASE_DIGITS; k++) {
			long power = --top;
			long i = (long)ndigits - 1 - (power - exponent);
			v = v * 10 + (i >= 0 && i < (long)ndigits ? (unsigned)(digits[i] - '0') : 0);
		}
		put_u16(p + 2 * g, v);
	}
}

bool rowbuf_put_numeric(struct rowbuf *rb, bool negative, const char *digits, size_t ndigits, int exponent)
{
	int dscale = exponent < 0 ? -exponent : 0;
	if (exponent < -MAX_DSCALE)
		return false;
	for (; ndigits > 0 && *digits == '0'; ndigits--)
		digits++;
	/* Trailing zeros need no digits of their own: dscale keeps the ones that show. */
	while (ndigits > 0 && digits[ndigits - 1] == '0') {
		ndigits--;
		exponent++;
	}
	if (ndigits == 0) {
		uint8_t *zero = rowbuf_field(rb, 8);
		if (zero != NULL)
			put_header(zero, 0, 0, SIGN_POSITIVE, dscale);
		return true;
	}
	long high = (long)exponent + (long)ndigits - 1; /* power of ten of the first digit */
	long weight = floor_div(high, NBASE_DIGITS), low = floor_div(exponent, NBASE_DIGITS);
	if (weight > MAX_WEIGHT)
		return false;
	size_t ngroups = (size_t)(weight - low + 1);
	uint8_t *p = rowbuf_field(rb, (uint32_t)(8 + 2 * ngroups));
	if (p != NULL) {
		put_header(p, ngroups, (int)weight, negative ? SIGN_NEGATIVE : SIGN_POSITIVE, dscale);
		put_groups(p + 8, ngroups, weight, digits, ndigits, exponent);
	}
	return true;
}

void rowbuf_put_numeric_special(struct rowbuf *rb, enum numeric_special s)
{
	static const unsigned signs[] = {
		[NUMERIC_NAN] = SIGN_NAN, [NUMERIC_PINF] = SIGN_PINF, [NUMERIC_NINF] = SIGN_NINF};
	uint8_t *p = rowbuf_field(rb, 8);
	if (p != NULL)
		put_header(p, 0, 0, signs[s], 0);
}

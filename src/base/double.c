/* double.c - doubles as the shortest text that reads back the same, and back.
 *
 * Most doubles in documents are whole or have a few decimals: m / 10^k with m < 2^53 and k <= 22 is one correctly
 * rounded division, so trying k = 0, 1, 2 ... finds the digits without big numbers. The rest goes through printf at
 * 15, 16 and 17 digits. Decimals of up to 15 digits are kept apart by doubles, so the first hit is the shortest.
 */
#include <errno.h>
#include <float.h>
#include <locale.h>
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "text.h"

/* v = 0.d1d2d3... x 10^point */
struct digits {
	char d[24];
	int n, point;
};

static void drop_trailing_zeros(struct digits *g)
{
	while (g->n > 1 && g->d[g->n - 1] == '0')
		g->n--;
}

static void from_whole(struct digits *g, uint64_t m, int decimals)
{
	char reversed[24];
	int i = 0;

	do {
		reversed[i++] = (char)('0' + m % 10);
		m /= 10;
	} while (m > 0);
	g->n = i;
	g->point = i - decimals;
	while (i > 0) {
		i--;
		g->d[g->n - 1 - i] = reversed[i];
	}
	drop_trailing_zeros(g);
}

static const double powers[] = {1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11};

/* v > 0 as a whole number over a power of ten; at most 15 digits, so that the hit is the only one. */
static bool by_division(struct digits *g, double v)
{
	size_t k;

	for (k = 0; k < sizeof powers / sizeof powers[0]; k++) {
		double m = rint(v * powers[k]);

		if (m >= 1e15)
			return false;
		if (m > 0 && m / powers[k] == v) {
			from_whole(g, (uint64_t)m, (int)k);
			return true;
		}
	}
	return false;
}

/* Reads "d.ddde[+-]xx" whatever the locale's decimal point is. */
static void from_printf(struct digits *g, const char *text)
{
	const char *e = strchr(text, 'e'), *p;

	g->n = 0;
	for (p = text; p < e; p++)
		if (*p >= '0' && *p <= '9')
			g->d[g->n++] = *p;
	g->point = atoi(e + 1) + 1;
}

static bool reads_back(const struct digits *g, double v)
{
	char text[40];

	snprintf(text, sizeof text, "%.*se%d", g->n, g->d, g->point - g->n);
	return strtod(text, NULL) == v;
}

/* The next larger decimal of as many digits. */
static void increment(struct digits *g)
{
	int i = g->n - 1;

	while (i >= 0 && g->d[i] == '9')
		g->d[i--] = '0';
	if (i >= 0) {
		g->d[i]++;
		return;
	}
	g->d[0] = '1';
	g->point++;
}

static void by_printf(struct digits *g, double v)
{
	int exponent, precision = v < DBL_MIN ? 1 : 15; /* subnormals hold fewer digits */
	bool is_power_of_two = frexp(v, &exponent) == 0.5;
	char text[40];

	for (;; precision++) {
		snprintf(text, sizeof text, "%.*e", precision - 1, v);
		from_printf(g, text);
		if (precision == 17 || reads_back(g, v))
			break;
		/* Below a power of two doubles lie closer: the next decimal above may be in reach. */
		increment(g);
		if (is_power_of_two && reads_back(g, v))
			break;
	}
	drop_trailing_zeros(g);
}

static int put_plain(const struct digits *g, char *out)
{
	int o = 0, i;

	if (g->point <= 0) {
		out[o++] = '0';
		out[o++] = '.';
		for (i = g->point; i < 0; i++)
			out[o++] = '0';
	}
	for (i = 0; i < g->n || i < g->point; i++) {
		if (i == g->point && i > 0)
			out[o++] = '.';
		out[o++] = i < g->n ? g->d[i] : '0';
	}
	if (g->point >= g->n) {
		out[o++] = '.';
		out[o++] = '0';
	}
	return o;
}

static int put_scientific(const struct digits *g, char *out)
{
	int o = 0;

	out[o++] = g->d[0];
	if (g->n > 1) {
		out[o++] = '.';
		memcpy(out + o, g->d + 1, (size_t)g->n - 1);
		o += g->n - 1;
	}
	return o + sprintf(out + o, "e%+d", g->point - 1);
}

int text_double(double v, char out[32])
{
	struct digits g;
	int o = 0;

	if (isnan(v)) {
		memcpy(out, "NaN", 4);
		return 3;
	}
	if (signbit(v))
		out[o++] = '-';
	v = fabs(v);
	if (isinf(v)) {
		memcpy(out + o, "Infinity", 9);
		return o + 8;
	}
	if (v == 0) {
		memcpy(out + o, "0.0", 4);
		return o + 3;
	}
	if (!by_division(&g, v))
		by_printf(&g, v);
	/* The same borders between the two forms as in JavaScript. */
	o += g.point > -6 && g.point <= 21 ? put_plain(&g, out + o) : put_scientific(&g, out + o);
	out[o] = 0;
	return o;
}

/* Checks [+-]digits[.digits][e[+-]digits] and tells whether any digit but 0 stands before the exponent. */
static bool is_decimal(const char *s, size_t n, bool *is_zero)
{
	size_t i = n > 0 && (s[0] == '-' || s[0] == '+'), start, digits = 0;

	*is_zero = true;
	for (; i < n && ((s[i] >= '0' && s[i] <= '9') || s[i] == '.'); i++) {
		if (s[i] == '.') {
			if (memchr(s, '.', i))
				return false;
			continue;
		}
		digits++;
		if (s[i] != '0')
			*is_zero = false;
	}
	if (digits == 0)
		return false;
	if (i == n)
		return true;
	if (s[i] != 'e' && s[i] != 'E')
		return false;
	i++;
	if (i < n && (s[i] == '-' || s[i] == '+'))
		i++;
	for (start = i; i < n && s[i] >= '0' && s[i] <= '9'; i++)
		;
	return i == n && i > start;
}

static bool parse_special(const char *s, size_t n, double *out)
{
	static const struct {
		const char *text;
		double value;
	} specials[] = {{"NaN", (double)NAN}, {"Infinity", (double)INFINITY}, {"-Infinity", -(double)INFINITY}};
	size_t i;

	for (i = 0; i < sizeof specials / sizeof specials[0]; i++) {
		if (strlen(specials[i].text) == n && memcmp(specials[i].text, s, n) == 0) {
			*out = specials[i].value;
			return true;
		}
	}
	return false;
}

static locale_t c_locale;
static void make_c_locale(void)
{
	c_locale = newlocale(LC_ALL_MASK, "C", (locale_t)0);
}

bool text_parse_double(const char *s, size_t n, double *out)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	char small[128], *text = small;
	bool is_zero;
	double v;

	if (parse_special(s, n, out))
		return true;
	if (!is_decimal(s, n, &is_zero))
		return false;
	pthread_once(&once, make_c_locale);
	if (n >= sizeof small)
		text = mem_alloc(n + 1);
	memcpy(text, s, n);
	text[n] = 0;
	v = c_locale ? strtod_l(text, NULL, c_locale) : strtod(text, NULL);
	if (text != small)
		free(text);
	if (isinf(v) || (v == 0 && !is_zero))
		return false;
	*out = v;
	return true;
}

/* case_decode.c - binary fields to text, after the server's own output functions. */
#include "case_decode.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

uint64_t case_read_be(const uint8_t *p, size_t n)
{
	uint64_t x = 0;
	for (size_t i = 0; i < n; i++)
		x = x << 8 | p[i];
	return x;
}

static int64_t read_int(const uint8_t *p, size_t n)
{
	uint64_t x = case_read_be(p, n);
	return n == 2 ? (int16_t)x : n == 4 ? (int32_t)x : (int64_t)x;
}

/* Shortest text that reads back: found by trying precisions. PostgreSQL writes an exponent below -4 and from 15 (6
 * for real) on. */
static void put_float(struct buf *out, double d, bool is_real)
{
	char text[64];
	int precision = 1, most = is_real ? 9 : 17;
	if (isnan(d) || isinf(d)) {
		buf_puts(out, isnan(d) ? "NaN" : d < 0 ? "-Infinity" : "Infinity");
		return;
	}
	for (; precision < most; precision++) {
		snprintf(text, sizeof text, "%.*e", precision - 1, d);
		if (is_real ? strtof(text, NULL) == (float)d : strtod(text, NULL) == d)
			break;
	}
	snprintf(text, sizeof text, "%.*e", precision - 1, d);
	int exponent = atoi(strchr(text, 'e') + 1), limit = is_real ? 6 : 15;
	if (exponent >= -4 && exponent < limit)
		snprintf(text, sizeof text, "%.*f", precision - 1 - exponent > 0 ? precision - 1 - exponent : 0, d);
	buf_puts(out, text);
}

static void put_numeric(struct buf *out, const uint8_t *p)
{
	int n = (int)read_int(p, 2), weight = (int)read_int(p + 2, 2), dscale = (int)read_int(p + 6, 2);
	unsigned sign = (unsigned)case_read_be(p + 4, 2);
	if (sign >= 0xc000) {
		buf_puts(out, sign == 0xc000 ? "NaN" : sign == 0xd000 ? "Infinity" : "-Infinity");
		return;
	}
	buf_puts(out, sign != 0 ? "-" : "");
	if (weight < 0)
		buf_putc(out, '0');
	for (int g = 0; g <= weight; g++)
		buf_printf(out, g > 0 ? "%04d" : "%d", g < n ? (int)read_int(p + 8 + 2 * g, 2) : 0);
	if (dscale > 0)
		buf_putc(out, '.');
	for (int i = 0; i < dscale; i++) {
		int g = weight + 1 + i / 4, v = g >= 0 && g < n ? (int)read_int(p + 8 + 2 * g, 2) : 0;
		static const int tens[] = {1000, 100, 10, 1};
		buf_putc(out, (char)('0' + v / tens[i % 4] % 10));
	}
}

/* numeric(p,s) is shown with its scale: the server pads (and would round: what is cut off must be zero). */
static void put_scaled(struct buf *out, const struct pgtype *t, const uint8_t *p)
{
	size_t from = out->len;
	put_numeric(out, p);
	if (t->precision < 0 || !isdigit(out->data[out->len - 1]))
		return;
	const char *dot = memchr(out->data + from, '.', out->len - from);
	int have = dot != NULL ? (int)((const char *)out->data + out->len - dot - 1) : 0;
	if (have == 0 && t->scale > 0)
		buf_putc(out, '.');
	for (; have < t->scale; have++)
		buf_putc(out, '0');
	for (; have > t->scale; have--)
		if (out->data[--out->len] != '0')
			buf_puts(out, "(rounded)");
}

static void put_hex(struct buf *out, const uint8_t *p, size_t n)
{
	for (size_t i = 0; i < n; i++)
		buf_printf(out, "%02x", p[i]);
}

static void put_uuid(struct buf *out, const uint8_t *p)
{
	static const size_t groups[] = {4, 2, 2, 2, 6};
	for (size_t i = 0; i < 5; p += groups[i], i++) {
		buf_puts(out, i > 0 ? "-" : "");
		put_hex(out, p, groups[i]);
	}
}

/* Day by day of 400 years' cycles; slow and plain. */
static void put_day(struct buf *out, int64_t day, bool *is_bc)
{
	int64_t cycle = day >= 0 ? day / 146097 : -((-day + 146096) / 146097), year = 2000 + cycle * 400;
	static const int lengths[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
	day -= cycle * 146097;
	for (;; year++) {
		int leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
		if (day < 365 + leap)
			break;
		day -= 365 + leap;
	}
	int month = 0, leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
	for (; day >= lengths[month] + (month == 1 ? leap : 0); month++)
		day -= lengths[month] + (month == 1 ? leap : 0);
	*is_bc = year <= 0;
	buf_printf(out, "%04lld-%02d-%02d", (long long)(year > 0 ? year : 1 - year), month + 1, (int)day + 1);
}

static void put_clock(struct buf *out, int64_t us)
{
	buf_printf(out, "%02d:%02d:%02d", (int)(us / INT64_C(3600000000)), (int)(us / 60000000 % 60),
		   (int)(us / 1000000 % 60));
	if (us % 1000000 == 0)
		return;
	buf_printf(out, ".%06d", (int)(us % 1000000));
	while (out->data[out->len - 1] == '0')
		out->len--;
}

static void put_stamp(struct buf *out, int64_t us, const char *zone)
{
	int64_t day = us / INT64_C(86400000000);
	bool is_bc;
	if (us % INT64_C(86400000000) < 0)
		day--;
	put_day(out, day, &is_bc);
	buf_putc(out, ' ');
	put_clock(out, us - day * INT64_C(86400000000));
	buf_printf(out, "%s%s", zone, is_bc ? " BC" : "");
}

static void put_part(struct buf *out, int n, const char *unit)
{
	if (n != 0)
		buf_printf(out, "%s%d %s%s", out->len > 0 ? " " : "", n, unit, n == 1 ? "" : "s");
}

static void put_interval(struct buf *out, const uint8_t *p)
{
	int64_t us = read_int(p, 8), months = read_int(p + 12, 4);
	put_part(out, (int)(months / 12), "year");
	put_part(out, (int)(months % 12), "mon");
	put_part(out, (int)read_int(p + 8, 4), "day");
	if (us == 0)
		return;
	buf_puts(out, out->len > 0 ? " " : "");
	put_clock(out, us);
}

static void put_inet(struct buf *out, const uint8_t *p)
{
	char text[64];
	inet_ntop(p[0] == 2 ? AF_INET : AF_INET6, p + 4, text, sizeof text);
	/* as inet::text, which always shows the prefix */
	buf_printf(out, "%s/%d", text, p[1]);
}

static void put_vector(struct buf *out, const uint8_t *p)
{
	int n = (int)read_int(p, 2);
	for (int i = 0; i < n; i++) {
		uint32_t bits = (uint32_t)case_read_be(p + 4 + 4 * i, 4);
		float f;
		memcpy(&f, &bits, 4);
		buf_putc(out, i == 0 ? '[' : ',');
		put_float(out, (double)f, true);
	}
	buf_putc(out, ']');
}

static bool needs_quotes(const char *s)
{
	return *s == '\0' || strcasecmp(s, "NULL") == 0 || strpbrk(s, "{}\", \\\t\n") != NULL;
}

static void put_element(struct buf *out, const char *s)
{
	bool quotes = needs_quotes(s);
	buf_puts(out, quotes ? "\"" : "");
	for (; *s != '\0'; s++) {
		if (*s == '"' || *s == '\\')
			buf_putc(out, '\\');
		buf_putc(out, *s);
	}
	buf_puts(out, quotes ? "\"" : "");
}

static const uint8_t *put_dimension(struct buf *out, const struct pgtype *e, const uint8_t *dims, int left,
				    const uint8_t *p)
{
	int n = (int)read_int(dims, 4);
	buf_putc(out, '{');
	for (int i = 0; i < n; i++) {
		buf_puts(out, i > 0 ? "," : "");
		if (left > 1) {
			p = put_dimension(out, e, dims + 8, left - 1, p);
			continue;
		}
		int32_t len = (int32_t)case_read_be(p, 4);
		p += 4;
		if (len < 0) {
			buf_puts(out, "NULL");
			continue;
		}
		struct buf one;
		buf_init(&one, 0);
		case_decode(&one, e, p, (size_t)len);
		/* an array shows booleans as t and f, and no prefix of a whole address */
		if (e->base == PGT_BOOL)
			one.len = 1;
		if (e->base == PGT_INET && p[1] == (p[0] == 2 ? 32 : 128))
			one.len = (size_t)(strchr(buf_cstr(&one), '/') - buf_cstr(&one));
		put_element(out, buf_cstr(&one));
		buf_free(&one);
		p += len;
	}
	buf_putc(out, '}');
	return p;
}

static void put_array(struct buf *out, const struct pgtype *t, const uint8_t *p, size_t n)
{
	struct pgtype e = *t;
	e.array = false;
	e.dims = 0;
	int ndims = (int)read_int(p, 4);
	if (ndims == 0) {
		buf_puts(out, "{}");
		return;
	}
	const uint8_t *end = put_dimension(out, &e, p + 12, ndims, p + 12 + 8 * ndims);
	if (end != p + n)
		buf_puts(out, "(bytes left over)");
}

static void put_real(struct buf *out, const uint8_t *p, size_t n)
{
	double d;
	float f;
	uint64_t bits = case_read_be(p, n);
	uint32_t half = (uint32_t)bits;
	memcpy(&d, &bits, 8);
	memcpy(&f, &half, 4);
	put_float(out, n == 4 ? (double)f : d, n == 4);
}

void case_decode(struct buf *out, const struct pgtype *t, const uint8_t *p, size_t n)
{
	bool is_bc = false;
	if (t->array) {
		put_array(out, t, p, n);
		return;
	}
	switch (t->base) {
	case PGT_BOOL:
		buf_puts(out, p[0] != 0 ? "true" : "false");
		return;
	case PGT_INT2:
	case PGT_INT4:
	case PGT_INT8:
		buf_printf(out, "%lld", (long long)read_int(p, n));
		return;
	case PGT_FLOAT4:
	case PGT_FLOAT8:
		put_real(out, p, n);
		return;
	case PGT_NUMERIC:
		put_scaled(out, t, p);
		return;
	case PGT_UUID:
		put_uuid(out, p);
		return;
	case PGT_BYTEA:
		buf_puts(out, "\\x");
		put_hex(out, p, n);
		return;
	case PGT_DATE:
		put_day(out, read_int(p, 4), &is_bc);
		buf_puts(out, is_bc ? " BC" : "");
		return;
	case PGT_TIME:
		put_clock(out, read_int(p, 8));
		return;
	case PGT_TIMESTAMP:
		put_stamp(out, read_int(p, 8), "");
		return;
	case PGT_TIMESTAMPTZ:
		put_stamp(out, read_int(p, 8), "+00");
		return;
	case PGT_INTERVAL:
		put_interval(out, p);
		return;
	case PGT_INET:
		put_inet(out, p);
		return;
	case PGT_VECTOR:
		put_vector(out, p);
		return;
	case PGT_JSONB:
		buf_puts(out, p[0] == 1 ? "" : "(no version)");
		buf_put(out, p + 1, n - 1);
		return;
	default:
		buf_put(out, p, n);
	}
}

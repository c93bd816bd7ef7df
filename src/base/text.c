/* text.c - UTF-8, escaping, hex and small number formatting. Doubles are in double.c. */
#include "text.h"

#include <stdio.h>
#include <stdlib.h>

static uint64_t load8(const char *s)
{
	uint64_t x;

	memcpy(&x, s, 8);
	return x;
}

#define ONES  UINT64_C(0x0101010101010101)
#define HIGHS UINT64_C(0x8080808080808080)

/* Length of the plain stretch at s: bytes 0x01-0x7F. */
static size_t ascii_run(const char *s, size_t n)
{
	size_t i = 0;

	for (; i + 16 <= n; i += 16) {
		uint64_t a = load8(s + i), b = load8(s + i + 8);

		/* x - ONES has a high bit where a byte of pure ASCII is 0 (or below one that is). */
		if ((a | b | (a - ONES) | (b - ONES)) & HIGHS)
			break;
	}
	for (; i + 8 <= n; i += 8) {
		uint64_t a = load8(s + i);

		if ((a | (a - ONES)) & HIGHS)
			break;
	}
	while (i < n && (unsigned char)s[i] - 1u < 0x7F)
		i++;
	return i;
}

/* Length of the valid character of two or more bytes at s, 0 if there is none. */
static size_t multibyte_len(const char *text, size_t n)
{
	const unsigned char *s = (const unsigned char *)text;
	unsigned char lo = 0x80, hi = 0xBF; /* range of the second byte */
	size_t len, i;

	if (s[0] < 0xC2 || s[0] > 0xF4)
		return 0;
	len = s[0] < 0xE0 ? 2 : s[0] < 0xF0 ? 3 : 4;
	if (n < len)
		return 0;
	if (s[0] == 0xE0)
		lo = 0xA0; /* overlong */
	else if (s[0] == 0xED)
		hi = 0x9F; /* surrogates */
	else if (s[0] == 0xF0)
		lo = 0x90; /* overlong */
	else if (s[0] == 0xF4)
		hi = 0x8F; /* beyond U+10FFFF */
	if (s[1] < lo || s[1] > hi)
		return 0;
	for (i = 2; i < len; i++)
		if ((s[i] & 0xC0) != 0x80)
			return 0;
	return len;
}

enum utf8_result utf8_check(const char *s, size_t n, size_t *at)
{
	size_t i = 0, nul = SIZE_MAX, len;

	for (;;) {
		i += ascii_run(s + i, n - i);
		if (i == n)
			break;
		if (s[i] == 0) {
			if (nul == SIZE_MAX)
				nul = i;
			i++;
			continue;
		}
		len = multibyte_len(s + i, n - i);
		if (len == 0) {
			if (at)
				*at = i;
			return UTF8_BAD;
		}
		i += len;
	}
	if (nul == SIZE_MAX)
		return UTF8_OK;
	if (at)
		*at = nul;
	return UTF8_NUL;
}

size_t utf8_char_len(const char *s, size_t n)
{
	if (n == 0)
		return 0;
	return (unsigned char)s[0] < 0x80 ? 1 : multibyte_len(s, n);
}

size_t utf8_count(const char *s, size_t n)
{
	size_t i = 0, continuations = 0;

	for (; i + 8 <= n; i += 8) {
		uint64_t x = load8(s + i);

		/* 10xxxxxx: top bit set, the next one clear. */
		continuations += (size_t)__builtin_popcountll(x & HIGHS & ~(x << 1));
	}
	for (; i < n; i++)
		continuations += ((unsigned char)s[i] & 0xC0) == 0x80;
	return n - continuations;
}

void utf8_mend(struct buf *out, const char *s, size_t n, bool replace)
{
	size_t i = 0, len;

	while (i < n) {
		len = ascii_run(s + i, n - i);
		if (len == 0 && s[i] != 0)
			len = multibyte_len(s + i, n - i);
		if (len > 0) {
			buf_put(out, s + i, len);
			i += len;
			continue;
		}
		if (replace)
			buf_put(out, "\xEF\xBF\xBD", 3);
		i++;
	}
}

static const char hex_digits[] = "0123456789abcdef";

static void put_hex_escape(struct buf *out, const char *prefix, unsigned char c)
{
	buf_puts(out, prefix);
	buf_putc(out, hex_digits[c >> 4]);
	buf_putc(out, hex_digits[c & 15]);
}

/* U+0080 to U+009F are control characters, too. */
static bool is_c1_control(const char *s, size_t len)
{
	return len == 2 && (unsigned char)s[0] == 0xC2 && (unsigned char)s[1] < 0xA0;
}

void text_escape(struct buf *out, const char *s, size_t n)
{
	size_t i = 0, len, k;

	while (i < n) {
		unsigned char c = (unsigned char)s[i];

		len = 1;
		if (c == '\\') {
			buf_puts(out, "\\\\");
		} else if (c >= 0x20 && c < 0x7F) {
			buf_putc(out, s[i]);
		} else if (c >= 0x80 && (len = multibyte_len(s + i, n - i)) > 0 && !is_c1_control(s + i, len)) {
			buf_put(out, s + i, len);
		} else {
			len = len ? len : 1;
			for (k = 0; k < len; k++)
				put_hex_escape(out, "\\x", (unsigned char)s[i + k]);
		}
		i += len;
	}
}

/* Bytes that stand for themselves inside a JSON string. */
static bool is_json_plain(unsigned char c)
{
	return c >= 0x20 && c < 0x80 && c != '"' && c != '\\';
}

static void put_json_escape(struct buf *out, unsigned char c)
{
	static const char letters[] = "btn\0fr"; /* of 0x08 to 0x0D */

	if (c == '"' || c == '\\') {
		buf_putc(out, '\\');
		buf_putc(out, (char)c);
	} else if (c >= 0x08 && c <= 0x0D && letters[c - 0x08]) {
		buf_putc(out, '\\');
		buf_putc(out, letters[c - 0x08]);
	} else if (c == 0 || c >= 0x80) {
		put_hex_escape(out, "\\\\x", c);
	} else {
		put_hex_escape(out, "\\u00", c);
	}
}

void text_json_string(struct buf *out, const char *s, size_t n)
{
	size_t i = 0, start, len;

	buf_putc(out, '"');
	while (i < n) {
		start = i;
		while (i < n && is_json_plain((unsigned char)s[i]))
			i++;
		buf_put(out, s + start, i - start);
		if (i == n)
			break;
		len = (unsigned char)s[i] >= 0x80 ? multibyte_len(s + i, n - i) : 0;
		if (len > 0) {
			buf_put(out, s + i, len);
			i += len;
		} else {
			put_json_escape(out, (unsigned char)s[i++]);
		}
	}
	buf_putc(out, '"');
}

void text_hex(const uint8_t *data, size_t n, char *out)
{
	size_t i;

	for (i = 0; i < n; i++) {
		out[2 * i] = hex_digits[data[i] >> 4];
		out[2 * i + 1] = hex_digits[data[i] & 15];
	}
	out[2 * n] = 0;
}

static int hex_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c = (char)(c | 0x20);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool text_unhex(const char *s, size_t n, uint8_t *out)
{
	size_t i;

	if (n % 2 != 0)
		return false;
	for (i = 0; i < n; i += 2) {
		int hi = hex_value(s[i]), lo = hex_value(s[i + 1]);

		if (hi < 0 || lo < 0)
			return false;
		out[i / 2] = (uint8_t)(hi << 4 | lo);
	}
	return true;
}

static int base64_value(char c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	return c == '+' ? 62 : c == '/' ? 63 : -1;
}

/* Without its padding: digits only, and bits of the last one that stand for nothing are 0. */
static bool is_base64(const char *s, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (base64_value(s[i]) < 0)
			return false;
	if (n % 4 == 2)
		return (base64_value(s[n - 1]) & 15) == 0;
	return n % 4 != 1 && (n % 4 == 0 || (base64_value(s[n - 1]) & 3) == 0);
}

bool text_unbase64(const char *s, size_t n, uint8_t *out, size_t *len)
{
	uint32_t bits = 0;

	*len = 0;
	if (n % 4 != 0)
		return false;
	for (int padding = 0; padding < 2 && n > 0 && s[n - 1] == '='; padding++)
		n--;
	if (!is_base64(s, n))
		return false;
	for (size_t i = 0; i < n; i++) {
		bits = bits << 6 | (uint32_t)base64_value(s[i]);
		if (i % 4 != 0)
			out[(*len)++] = (uint8_t)(bits >> (6 - 2 * (i % 4)));
	}
	return true;
}

bool text_parse_i64(const char *s, size_t n, int64_t *out)
{
	bool negative = n > 0 && s[0] == '-';
	size_t i = n > 0 && (s[0] == '-' || s[0] == '+');
	int64_t x = 0;

	if (i == n)
		return false;
	for (; i < n; i++) {
		int digit = s[i] - '0';

		if (digit < 0 || digit > 9)
			return false;
		/* Downwards, since the most negative number has no positive twin. */
		if (__builtin_mul_overflow(x, 10, &x) || __builtin_sub_overflow(x, digit, &x))
			return false;
	}
	if (!negative && __builtin_sub_overflow(0, x, &x))
		return false;
	*out = x;
	return true;
}

const char *text_thousands(uint64_t n, char out[32])
{
	char digits[24];
	int len = snprintf(digits, sizeof digits, "%llu", (unsigned long long)n), i, o = 0;

	for (i = 0; i < len; i++) {
		if (i > 0 && (len - i) % 3 == 0)
			out[o++] = ',';
		out[o++] = digits[i];
	}
	out[o] = 0;
	return out;
}

const char *text_bytes(uint64_t n, char out[32])
{
	static const char units[][3] = {"B", "kB", "MB", "GB", "TB", "PB", "EB"};
	uint64_t unit = 1, tenths;
	size_t u = 0;

	/* 999,500 is "1.0 MB", not "1000 kB". */
	while (u + 1 < sizeof units / sizeof units[0] && n / unit + (n % unit >= unit / 2 && u > 0) >= 1000) {
		unit *= 1000;
		u++;
	}
	if (u == 0) {
		snprintf(out, 32, "%u B", (unsigned)n);
		return out;
	}
	tenths = n / (unit / 10) + (n % (unit / 10) >= unit / 20);
	if (tenths < 100)
		snprintf(out, 32, "%u.%u %s", (unsigned)(tenths / 10), (unsigned)(tenths % 10), units[u]);
	else
		snprintf(out, 32, "%u %s", (unsigned)(n / unit + (n % unit >= unit / 2)), units[u]);
	return out;
}

const char *text_duration(double seconds, char out[32])
{
	uint64_t ms, s;

	if (!(seconds > 0))
		seconds = 0;
	if (seconds > 1e9)
		seconds = 1e9;
	ms = (uint64_t)(seconds * 1000 + 0.5);
	s = (ms + 500) / 1000;
	if (ms < 1000)
		snprintf(out, 32, "%u ms", (unsigned)ms);
	else if (ms < 59950)
		snprintf(out, 32, "%u.%u s", (unsigned)((ms + 50) / 1000), (unsigned)((ms + 50) / 100 % 10));
	else if (s < 3600)
		snprintf(out, 32, "%u m %02u s", (unsigned)(s / 60), (unsigned)(s % 60));
	else
		snprintf(out, 32, "%u h %02u m %02u s", (unsigned)(s / 3600), (unsigned)(s / 60 % 60),
			 (unsigned)(s % 60));
	return out;
}

size_t text_distance(const char *a, const char *b)
{
	size_t na = strlen(a), nb = strlen(b), i, j, best;
	size_t *row = mem_alloc((nb + 1) * sizeof *row);

	for (j = 0; j <= nb; j++)
		row[j] = j;
	for (i = 1; i <= na; i++) {
		size_t diagonal = row[0];

		row[0] = i;
		for (j = 1; j <= nb; j++) {
			best = diagonal + (a[i - 1] != b[j - 1]);
			diagonal = row[j];
			if (row[j] + 1 < best)
				best = row[j] + 1;
			if (row[j - 1] + 1 < best)
				best = row[j - 1] + 1;
			row[j] = best;
		}
	}
	best = row[nb];
	free(row);
	return best;
}

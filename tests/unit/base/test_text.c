/* UTF-8, escaping, hex, numbers as text. */
#include <float.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "text.h"

#define LIT(s) s, sizeof(s) - 1
#define N(a)   (sizeof(a) / sizeof(a)[0])

static const struct {
	const char *s;
	size_t n;
	enum utf8_result result;
	size_t at, chars;
} utf8_cases[] = {
	{LIT(""), UTF8_OK, 0, 0},
	{LIT("plain"), UTF8_OK, 0, 5},
	{LIT("a longer text of more than sixteen bytes, to pass the fast path"), UTF8_OK, 0, 63},
	{LIT("\xC3\xA9t\xC3\xA9"), UTF8_OK, 0, 3},
	{LIT("\xE2\x82\xAC \xF0\x9F\x98\x80"), UTF8_OK, 0, 3},
	{LIT("\xC2\x80\xDF\xBF\xE0\xA0\x80\xED\x9F\xBF\xEE\x80\x80\xEF\xBF\xBF\xF0\x90\x80\x80\xF4\x8F\xBF\xBF"),
	 UTF8_OK, 0, 8},
	{LIT("\x7F\x01"), UTF8_OK, 0, 2},
	{LIT("a\0b"), UTF8_NUL, 1, 3},
	{LIT("0123456789abcdef0123\0b\0"), UTF8_NUL, 20, 23},
	{LIT("a\0b\xFF"), UTF8_BAD, 3, 0},
	{LIT("\x80"), UTF8_BAD, 0, 0},
	{LIT("0123456\xBF"), UTF8_BAD, 7, 0},
	{LIT("\xC0\x80"), UTF8_BAD, 0, 0},
	{LIT("\xC1\xBF"), UTF8_BAD, 0, 0},
	{LIT("\xE0\x9F\xBF"), UTF8_BAD, 0, 0},
	{LIT("\xED\xA0\x80"), UTF8_BAD, 0, 0},
	{LIT("\xF0\x8F\xBF\xBF"), UTF8_BAD, 0, 0},
	{LIT("\xF4\x90\x80\x80"), UTF8_BAD, 0, 0},
	{LIT("\xF5\x80\x80\x80"), UTF8_BAD, 0, 0},
	{LIT("ab\xE2\x82"), UTF8_BAD, 2, 0},
	{LIT("ab\xE2\x82z"), UTF8_BAD, 2, 0},
	{LIT("\xF0\x9F\x98"), UTF8_BAD, 0, 0},
	{LIT("\xC3("), UTF8_BAD, 0, 0},
};

static void utf8(void **state)
{
	size_t i, at;

	(void)state;
	for (i = 0; i < N(utf8_cases); i++) {
		at = 999;
		assert_int_equal(utf8_check(utf8_cases[i].s, utf8_cases[i].n, &at), utf8_cases[i].result);
		if (utf8_cases[i].result != UTF8_OK)
			assert_int_equal(at, utf8_cases[i].at);
		if (utf8_cases[i].result != UTF8_BAD)
			assert_int_equal(utf8_count(utf8_cases[i].s, utf8_cases[i].n), utf8_cases[i].chars);
		assert_int_equal(utf8_check(utf8_cases[i].s, utf8_cases[i].n, NULL), utf8_cases[i].result);
	}
}

/* Each byte at each place of a text as long as the fast path takes; nothing past the end may be looked at. */
static void utf8_every_place(void **state)
{
	size_t n, at, found;
	int byte;

	(void)state;
	for (n = 1; n <= 40; n++) {
		char *s = malloc(n);

		assert_non_null(s);
		for (at = 0; at < n; at++) {
			for (byte = 0; byte < 256; byte++) {
				memset(s, 'x', n);
				s[at] = (char)byte;
				found = 999;
				assert_int_equal(utf8_check(s, n, &found), byte == 0     ? UTF8_NUL
									   : byte >= 128 ? UTF8_BAD
											 : UTF8_OK);
				assert_int_equal(found, byte == 0 || byte >= 128 ? at : 999);
			}
		}
		free(s);
	}
}

typedef void writer(struct buf *out, const char *s, size_t n);

static void strip(struct buf *out, const char *s, size_t n)
{
	utf8_mend(out, s, n, false);
}

static void replace(struct buf *out, const char *s, size_t n)
{
	utf8_mend(out, s, n, true);
}

static const struct {
	writer *write;
	const char *s;
	size_t n;
	const char *want;
} writer_cases[] = {
	{strip, LIT("a\0b\xFF\xC3\xA9\xE2\x82"), "ab\xC3\xA9"},
	{replace, LIT("a\0b\xFF\xC3\xA9"),
	 "a\xEF\xBF\xBD"
	 "b\xEF\xBF\xBD\xC3\xA9"},
	{text_escape, LIT("plain/path.x"), "plain/path.x"},
	{text_escape, LIT("a\\b\0\n\x7F\xFF\xC3\xA9\xC2\x85"), "a\\\\b\\x00\\x0a\\x7f\\xff\xC3\xA9\\xc2\\x85"},
	{text_json_string, LIT(""), "\"\""},
	{text_json_string, LIT("a\"b\\c/\b\f\n\r\t\x01\x1F\x7F"),
	 "\"a\\\"b\\\\c/\\b\\f\\n\\r\\t\\u0001\\u001f\x7F\""},
	{text_json_string, LIT("\0\xFF\xC3\xA9\xF0\x9F\x98\x80\xE2\x82"),
	 "\"\\\\x00\\\\xff\xC3\xA9\xF0\x9F\x98\x80\\\\xe2\\\\x82\""},
	{text_json_string, LIT("\x0B"), "\"\\u000b\""},
};

static void writers(void **state)
{
	struct buf b;
	size_t i;

	(void)state;
	buf_init(&b, 0);
	for (i = 0; i < N(writer_cases); i++) {
		buf_reset(&b);
		writer_cases[i].write(&b, writer_cases[i].s, writer_cases[i].n);
		assert_string_equal(buf_cstr(&b), writer_cases[i].want);
	}
	buf_free(&b);
}

static void hex(void **state)
{
	uint8_t bytes[4];
	char out[9];

	(void)state;
	assert_true(text_unhex("00fFaB7e", 8, bytes));
	text_hex(bytes, 4, out);
	assert_string_equal(out, "00ffab7e");
	assert_false(text_unhex("0", 1, bytes));
	assert_false(text_unhex("0g", 2, bytes));
	assert_false(text_unhex("@0", 2, bytes));
	assert_false(text_unhex("\x10\x11", 2, bytes)); /* control characters that | 0x20 would make digits */
}

static void base64(void **state)
{
	static const struct {
		const char *s, *want; /* NULL: refused */
	} cases[] = {{"", ""},        {"YQ==", "a"},        {"YWI=", "ab"},
		     {"YWJj", "abc"}, {"YWJjZA==", "abcd"}, {"+/+/", "\xfb\xff\xbf"},
		     {"YQ", NULL},    {"YR==", NULL},       {"YWJ=", NULL},
		     {"YQ=", NULL},   {"Y===", NULL},       {"====", NULL},
		     {"Y=Q=", NULL},  {"YW-_", NULL},       {"YW=j", NULL},
		     {"YQ==\n", NULL}};
	size_t i, len;

	(void)state;
	for (i = 0; i < N(cases); i++) {
		char both[32]; /* the text is read out of the memory that gets the bytes */
		size_t n = strlen(cases[i].s);
		memcpy(both + 1, cases[i].s, n);
		assert_int_equal(text_unbase64(both + 1, n, (uint8_t *)both, &len), cases[i].want != NULL);
		if (cases[i].want != NULL) {
			assert_int_equal(len, strlen(cases[i].want));
			assert_memory_equal(both, cases[i].want, len);
		}
	}
	assert_false(text_unbase64("YQ\0=", 4, (uint8_t[3]){0}, &len));
}

static const struct {
	double v;
	const char *want;
} double_cases[] = {
	{0.0, "0.0"},
	{-0.0, "-0.0"},
	{1, "1.0"},
	{-1.5, "-1.5"},
	{0.1, "0.1"},
	{0.30000000000000004, "0.30000000000000004"},
	{1.0 / 3, "0.3333333333333333"},
	{123456789.125, "123456789.125"},
	{1e20, "100000000000000000000.0"},
	{1e21, "1e+21"},
	{123456789012345680000.0, "123456789012345680000.0"},
	{1.2345e22, "1.2345e+22"},
	{9007199254740992, "9007199254740992.0"},
	{9223372036854775808.0, "9223372036854776000.0"},
	{0.000001, "0.000001"},
	{0.0000001, "1e-7"},
	{0.0000012345678901234567, "0.0000012345678901234567"},
	{5e-324, "5e-324"},
	{1.5e-323, "1.5e-323"},
	{2.2250738585072014e-308, "2.2250738585072014e-308"},
	{2.225073858507201e-308, "2.225073858507201e-308"},
	{DBL_MAX, "1.7976931348623157e+308"},
	{-DBL_MAX, "-1.7976931348623157e+308"},
	{5e-7, "5e-7"},
	{9.5367431640625e-7, "9.5367431640625e-7"},
	{5.684341886080802e-14,
	 "5.684341886080802e-14"}, /* 2^-44: the shortest lies above, where doubles are wider */
	{2e22, "2e+22"},
	{1e23, "1e+23"},
	{1.0000000000000001e23, "1.0000000000000001e+23"},
	{4.35, "4.35"},
	{0.000035, "0.000035"},
	{99999999999999.9, "99999999999999.9"},
	{INFINITY, "Infinity"},
	{-INFINITY, "-Infinity"},
	{NAN, "NaN"},
};

static void doubles(void **state)
{
	char out[32];
	double back;
	size_t i;
	int n;

	(void)state;
	for (i = 0; i < N(double_cases); i++) {
		n = text_double(double_cases[i].v, out);
		assert_int_equal(n, strlen(out));
		assert_string_equal(out, double_cases[i].want);
		assert_true(text_parse_double(out, (size_t)n, &back));
		if (!isnan(back))
			assert_memory_equal(&back, &double_cases[i].v, 8);
	}
}

/* Digits of the shortest %.*e that reads back: the definition, slowly. */
static int shortest_digits(double v)
{
	char text[40];
	int digits;

	for (digits = 1; digits < 17; digits++) {
		snprintf(text, sizeof text, "%.*e", digits - 1, v);
		if (strtod(text, NULL) == v)
			break;
	}
	return digits;
}

static int significant_digits(const char *s)
{
	char d[40];
	int n = 0, first;

	for (; *s && *s != 'e'; s++)
		if (*s >= '0' && *s <= '9')
			d[n++] = *s;
	for (first = 0; first < n - 1 && d[first] == '0'; first++)
		;
	while (n - first > 1 && d[n - 1] == '0')
		n--;
	return n - first;
}

static void doubles_at_random(void **state)
{
	uint64_t seed = 1, bits;
	char out[32];
	double v, back;
	int i, n;

	(void)state;
	for (i = 0; i < 60000; i++) {
		seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
		bits = seed ^ seed >> 31;
		memcpy(&v, &bits, 8);
		if (i % 3 == 1) /* amounts */
			v = (double)(int64_t)(bits >> 30) / 100;
		if (i % 3 == 2) /* powers of two and near */
			v = ldexp(1 + (double)(bits % 3) * DBL_EPSILON, (int)(bits >> 40) % 1074);
		if (!isfinite(v))
			continue;
		n = text_double(v, out);
		assert_true(n < 32 && out[n] == 0);
		back = strtod(out, NULL);
		assert_memory_equal(&back, &v, 8);
		assert_true(significant_digits(out) <= shortest_digits(v));
	}
}

static void parsing_doubles(void **state)
{
	static const char *const bad[] = {"",      " 1",   "1 ",  "1e",  "e5",    ".",
					  "1.2.3", "0x10", "inf", "nan", "1e400", "1e-400",
					  "--1",   "1,5",  "+-1", "1e+", "-",     "Infinity "};
	static const struct {
		const char *s;
		double v;
	} good[] = {{"1", 1},      {"+1.5", 1.5},      {"-.5", -.5}, {"5.", 5},
		    {"1E3", 1000}, {"1e-320", 1e-320}, {"0e999", 0}, {"-Infinity", -INFINITY}};
	char longest[400];
	double v;
	size_t i;

	(void)state;
	for (i = 0; i < N(bad); i++)
		if (text_parse_double(bad[i], strlen(bad[i]), &v))
			fail_msg("'%s' was read", bad[i]);
	for (i = 0; i < N(good); i++) {
		assert_true(text_parse_double(good[i].s, strlen(good[i].s), &v));
		assert_true(v == good[i].v);
	}
	memset(longest, '0', sizeof longest);
	longest[sizeof longest - 1] = '7';
	assert_true(text_parse_double(longest, sizeof longest, &v) && v == 7);
	assert_false(text_parse_double("1\0", 2, &v));
}

static void parsing_integers(void **state)
{
	static const char *const bad[] = {"",
					  "-",
					  "+",
					  "1.0",
					  " 1",
					  "1 ",
					  "9223372036854775808",
					  "-9223372036854775809",
					  "99999999999999999999",
					  "0x1",
					  "1e3"};
	int64_t v;
	size_t i;

	(void)state;
	for (i = 0; i < N(bad); i++)
		assert_false(text_parse_i64(bad[i], strlen(bad[i]), &v));
	assert_true(text_parse_i64(LIT("9223372036854775807"), &v) && v == INT64_MAX);
	assert_true(text_parse_i64(LIT("-9223372036854775808"), &v) && v == INT64_MIN);
	assert_true(text_parse_i64(LIT("+0042"), &v) && v == 42);
	assert_true(text_parse_i64(LIT("-0"), &v) && v == 0);
}

static void for_people(void **state)
{
	char out[32];

	(void)state;
	assert_string_equal(text_thousands(0, out), "0");
	assert_string_equal(text_thousands(999, out), "999");
	assert_string_equal(text_thousands(1000, out), "1,000");
	assert_string_equal(text_thousands(1234567, out), "1,234,567");
	assert_string_equal(text_thousands(UINT64_MAX, out), "18,446,744,073,709,551,615");
	assert_string_equal(text_bytes(0, out), "0 B");
	assert_string_equal(text_bytes(999, out), "999 B");
	assert_string_equal(text_bytes(1000, out), "1.0 kB");
	assert_string_equal(text_bytes(1249999999, out), "1.2 GB");
	assert_string_equal(text_bytes(744999999, out), "745 MB");
	assert_string_equal(text_bytes(9949, out), "9.9 kB");
	assert_string_equal(text_bytes(9950, out), "10 kB");
	assert_string_equal(text_bytes(999499, out), "999 kB");
	assert_string_equal(text_bytes(999500, out), "1.0 MB");
	assert_string_equal(text_bytes(UINT64_MAX, out), "18 EB");
	assert_string_equal(text_duration(0, out), "0 ms");
	assert_string_equal(text_duration(0.34, out), "340 ms");
	assert_string_equal(text_duration(12.34, out), "12.3 s");
	assert_string_equal(text_duration(59.96, out), "1 m 00 s");
	assert_string_equal(text_duration(123.4, out), "2 m 03 s");
	assert_string_equal(text_duration(3723, out), "1 h 02 m 03 s");
	assert_string_equal(text_duration(-1, out), "0 ms");
	assert_int_equal(text_distance("", ""), 0);
	assert_int_equal(text_distance("migrate", "migrat"), 1);
	assert_int_equal(text_distance("kitten", "sitting"), 3);
	assert_int_equal(text_distance("", "abc"), 3);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(utf8),
					   cmocka_unit_test(utf8_every_place),
					   cmocka_unit_test(writers),
					   cmocka_unit_test(hex),
					   cmocka_unit_test(base64),
					   cmocka_unit_test(doubles),
					   cmocka_unit_test(doubles_at_random),
					   cmocka_unit_test(parsing_doubles),
					   cmocka_unit_test(parsing_integers),
					   cmocka_unit_test(for_people)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

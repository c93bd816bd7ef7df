/* Canonical bytes: equal exactly where MongoDB holds two _ids equal. What is equal was tried on mongod 6.0 through
 * the unique index on _id; the bytes themselves may never change, so some are written out. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "build.h"
#include "canon.h"
#include "mem.h"
#include "text.h"

/* A document whose fields are the values to compare; `set` numbers the groups of equal ones. */
static struct buf doc;
static size_t doc_start;
static int sets[128];
static int nvalues, set;

static void next_set(void)
{
	set++;
}

static void add(void)
{
	sets[nvalues++] = set;
}

static void add_int(int32_t x)
{
	put_int(&doc, "v", x);
	add();
}

static void add_long(int64_t x)
{
	put_long(&doc, "v", x);
	add();
}

static void add_double(double x)
{
	put_double(&doc, "v", x);
	add();
}

static void add_decimal(const char *hex)
{
	uint8_t bytes[16];

	assert_true(text_unhex(hex, 32, bytes));
	put_raw(&doc, BSON_K_DECIMAL128, "v", bytes, 16);
	add();
}

static void add_text(enum bson_kind kind, const char *s)
{
	put_string_n(&doc, kind, "v", s, strlen(s));
	add();
}

static void add_raw(enum bson_kind kind, const char *bytes, size_t n)
{
	put_raw(&doc, kind, "v", bytes, n);
	add();
}

static void add_numbers(void)
{
	next_set(); /* zero */
	add_int(0);
	add_long(0);
	add_double(0.0);
	add_double(-0.0);
	add_decimal("00000000000000000000000000004030"); /* 0 */
	add_decimal("000000000000000000000000000046b0"); /* -0E+3 */
	add_decimal("00000000648e8d37c087adbe09ed4130"); /* not canonical: 0 */
	next_set();                                      /* one */
	add_int(1);
	add_long(1);
	add_double(1);
	add_decimal("01000000000000000000000000004030"); /* 1 */
	add_decimal("64000000000000000000000000003c30"); /* 1.00 */
	next_set();
	add_int(-1);
	add_double(-1);
	next_set(); /* a half */
	add_double(0.5);
	add_decimal("32000000000000000000000000003c30"); /* 0.50 */
	next_set();                                      /* the double 0.1 is not one tenth */
	add_double(0.1);
	next_set();
	add_decimal("01000000000000000000000000003e30"); /* 0.1 */
	next_set();                                      /* 2^53, 2^53 + 1 */
	add_double(9007199254740992.0);
	add_long(9007199254740992);
	next_set();
	add_long(9007199254740993);
	next_set(); /* 2^63 */
	add_double(9223372036854775808.0);
	add_decimal("00000000000000800000000000004030");
	next_set();
	add_long(INT64_MAX);
	add_decimal("ffffffffffffff7f0000000000004030");
	next_set();
	add_long(INT64_MIN);
	add_double(-9223372036854775808.0);
	next_set();
	add_double(1e22);
	add_decimal("01000000000000000000000000006c30"); /* 1E+22 */
	next_set();                                      /* 1e300 is not 10^300 */
	add_double(1e300);
	next_set();
	add_decimal("01000000000000000000000000009832"); /* 1E+300 */
	next_set();
	add_double(5e-324);
	next_set();
	add_decimal("01000000000000000000000000000000"); /* 1E-6176 */
	next_set();
	add_double(NAN);
	add_double(-NAN);
	add_decimal("0000000000000000000000000000007c");
	add_decimal("000000000000000000000000000000fc");
	next_set();
	add_double(INFINITY);
	add_decimal("00000000000000000000000000000078");
	next_set();
	add_double(-INFINITY);
	add_decimal("000000000000000000000000000000f8");
}

static void add_others(void)
{
	next_set();
	add_text(BSON_K_STRING, "x");
	add_text(BSON_K_SYMBOL, "x");
	next_set();
	add_text(BSON_K_CODE, "x");
	next_set();
	add_text(BSON_K_STRING, "");
	next_set();
	add_text(BSON_K_STRING, "1");
	next_set();
	add_raw(BSON_K_NULL, "", 0);
	next_set();
	add_raw(BSON_K_UNDEFINED, "", 0);
	next_set();
	add_raw(BSON_K_MINKEY, "", 0);
	next_set();
	add_raw(BSON_K_MAXKEY, "", 0);
	next_set();
	add_raw(BSON_K_BOOL, "\0", 1);
	next_set();
	add_raw(BSON_K_BOOL, "\1", 1);
	next_set();
	add_raw(BSON_K_DATE, "\1\0\0\0\0\0\0\0", 8);
	next_set();
	add_raw(BSON_K_TIMESTAMP, "\1\0\0\0\0\0\0\0", 8);
	next_set();
	add_raw(BSON_K_BINARY, "\1\0\0\0\0x", 6);
	next_set();
	add_raw(BSON_K_BINARY, "\1\0\0\0\5x", 6);
	next_set();
	add_raw(BSON_K_OBJECTID, "aaaaaaaaaaaa", 12);
	next_set();
	add_text(BSON_K_STRING, "aaaaaaaaaaaa");
	next_set();
	add_raw(BSON_K_REGEX, "a\0i", 4);
	next_set();
	add_raw(BSON_K_REGEX, "a\0", 3);
	next_set();
	add_raw(BSON_K_DBPOINTER, "\2\0\0\0x\0aaaaaaaaaaaa", 18);
}

/* {key: number of some type}, wrapped in an array if asked. */
static void add_nested(const char *key, bool is_array, bool as_double, double x)
{
	size_t inner;

	put_key(&doc, is_array ? BSON_K_ARRAY : BSON_K_DOCUMENT, "v");
	inner = begin_doc(&doc);
	if (as_double)
		put_double(&doc, key, x);
	else
		put_int(&doc, key, (int32_t)x);
	end_doc(&doc, inner);
	add();
}

static void add_two_fields(const char *first, const char *second)
{
	size_t inner;

	put_key(&doc, BSON_K_DOCUMENT, "v");
	inner = begin_doc(&doc);
	put_int(&doc, first, 1);
	put_int(&doc, second, 1);
	end_doc(&doc, inner);
	add();
}

static void add_documents(void)
{
	size_t inner;

	next_set();
	add_nested("a", false, false, 1);
	add_nested("a", false, true, 1);
	next_set();
	add_nested("b", false, false, 1);
	next_set();
	add_nested("0", true, false, 1);
	add_nested("0", true, true, 1);
	next_set();
	add_two_fields("a", "b");
	next_set();
	add_two_fields("b", "a"); /* order counts */
	next_set();
	put_key(&doc, BSON_K_DOCUMENT, "v");
	end_doc(&doc, begin_doc(&doc));
	add();
	next_set();
	put_key(&doc, BSON_K_ARRAY, "v");
	end_doc(&doc, begin_doc(&doc));
	add();
	next_set();
	put_key(&doc, BSON_K_DOCUMENT, "v"); /* {a: {}} */
	inner = begin_doc(&doc);
	put_key(&doc, BSON_K_DOCUMENT, "a");
	end_doc(&doc, begin_doc(&doc));
	end_doc(&doc, inner);
	add();
}

static void equality(void **state)
{
	struct buf canon[128];
	struct doc_iter it;
	struct field f;
	int i, k, n = 0;

	(void)state;
	buf_init(&doc, 0);
	doc_start = begin_doc(&doc);
	add_numbers();
	add_others();
	add_documents();
	end_doc(&doc, doc_start);
	assert_true(doc_iter_init(&it, doc.data, doc.len));
	for (; doc_iter_next(&it, &f); n++) {
		buf_init(&canon[n], 0);
		assert_true(canon_write(&canon[n], &f.val));
	}
	assert_int_equal(n, nvalues);
	for (i = 0; i < n; i++) {
		for (k = 0; k < i; k++) {
			bool same = canon[i].len == canon[k].len &&
				    memcmp(canon[i].data, canon[k].data, canon[i].len) == 0;

			if (same != (sets[i] == sets[k]))
				fail_msg("values %d and %d", k, i);
		}
	}
	for (i = 0; i < n; i++)
		buf_free(&canon[i]);
	buf_free(&doc);
}

static void check_bytes(enum bson_kind kind, const char *payload, size_t n, const char *hex)
{
	struct val v = {.data = (const uint8_t *)payload, .len = (uint32_t)n, .kind = (uint8_t)kind};
	char text[256];
	struct buf b;

	buf_init(&b, 0);
	assert_true(canon_write(&b, &v));
	text_hex(b.data, b.len, text);
	assert_string_equal(text, hex);
	buf_free(&b);
}

static void bytes(void **state)
{
	(void)state;
	check_bytes(BSON_K_INT32, "\x28\0\0\0", 4,
		    "2b"
		    "00000000000000000000000000000001"
		    "00000003"
		    "00000001"); /* 40 = 2^3 x 5 */
	check_bytes(BSON_K_INT32, "\xf9\xff\xff\xff", 4,
		    "2d"
		    "00000000000000000000000000000007"
		    "00000000"
		    "00000000");
	check_bytes(BSON_K_DOUBLE, "\0\0\0\0\0\0\xe0\x3f", 8,
		    "2b"
		    "00000000000000000000000000000001"
		    "ffffffff"
		    "00000000");
	check_bytes(BSON_K_INT64, "\0\0\0\0\0\0\0\0", 8, "30");
	check_bytes(BSON_K_STRING, "\3\0\0\0ab\0", 7,
		    "73"
		    "00000002"
		    "6162");
	check_bytes(BSON_K_BINARY, "\2\0\0\0\4xy", 7,
		    "62"
		    "00000002"
		    "04"
		    "7879");
	check_bytes(BSON_K_DATE, "\1\0\0\0\0\0\0\0", 8,
		    "64"
		    "0000000000000001");
	check_bytes(BSON_K_TIMESTAMP, "\2\0\0\0\1\0\0\0", 8,
		    "54"
		    "0000000100000002");
	check_bytes(BSON_K_DOCUMENT,
		    "\x10\0\0\0\x0a"
		    "a\0\3"
		    "b\0\5\0\0\0\0\0",
		    16,
		    "7b"
		    "01"
		    "6100"
		    "7a"
		    "01"
		    "6200"
		    "7b"
		    "00"
		    "00");
	check_bytes(BSON_K_ARRAY,
		    "\x08\0\0\0\x0a"
		    "0\0\0",
		    8,
		    "5b"
		    "01"
		    "7a"
		    "00");
	check_bytes(BSON_K_CODEWSCOPE, "\x0f\0\0\0\2\0\0\0x\0\5\0\0\0\0", 15,
		    "77"
		    "00000001"
		    "78"
		    "7b"
		    "00");
}

static void corrupt(void **state)
{
	struct val v = {.data = (const uint8_t *)"\x08\0\0\0\x14"
						 "a\0\0",
			.len = 8,
			.kind = BSON_K_DOCUMENT};
	struct buf b;

	(void)state;
	buf_init(&b, 0);
	buf_puts(&b, "kept");
	assert_false(canon_write(&b, &v));
	assert_string_equal(buf_cstr(&b), "kept");
	buf_free(&b);
}

static void deep(void **state)
{
	enum { DEPTH = 20000 };
	size_t i, len = 5 + 8 * (size_t)DEPTH;
	uint8_t *bytes_of = mem_zalloc(len);
	struct val v = {.data = bytes_of, .len = (uint32_t)len, .kind = BSON_K_DOCUMENT};
	struct buf b;

	(void)state;
	for (i = 0; i <= DEPTH; i++) {
		int32_t size = (int32_t)(len - 8 * i);

		memcpy(bytes_of + 7 * i, &size, 4);
		if (i < DEPTH)
			memcpy(bytes_of + 7 * i + 4, "\3a", 3);
	}
	buf_init(&b, 0);
	assert_true(canon_write(&b, &v));
	assert_int_equal(b.len, 2 + (size_t)DEPTH * 5);
	buf_free(&b);
	free(bytes_of);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(equality), cmocka_unit_test(bytes),
					   cmocka_unit_test(corrupt), cmocka_unit_test(deep)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

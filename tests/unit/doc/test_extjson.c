/* Extended JSON: every type in three modes, text policies, double keys, depth, corrupt bytes. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "build.h"
#include "extjson.h"
#include "mem.h"
#include "sys.h"
#include "text.h"

static struct buf doc, out;
static size_t doc_start;

static int setup(void **state)
{
	(void)state;
	buf_init(&doc, 0);
	buf_init(&out, 0);
	doc_start = begin_doc(&doc);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	buf_free(&doc);
	buf_free(&out);
	return 0;
}

static enum fault write_doc(enum extjson_mode mode, enum extjson_text text, enum extjson_dup dup,
			    struct extjson_info *info)
{
	struct extjson_opts opts = {mode, text, dup};
	struct val v = {.data = doc.data, .len = (uint32_t)doc.len, .kind = BSON_K_DOCUMENT};

	buf_reset(&out);
	return extjson_write(&out, &v, &opts, info);
}

static void expect(enum extjson_mode mode, const char *want)
{
	assert_int_equal(write_doc(mode, EXTJSON_TEXT_REFUSE, EXTJSON_DUP_REFUSE, NULL), FAULT_OK);
	assert_string_equal(buf_cstr(&out), want);
}

static void every_type(void **state)
{
	(void)state;
	put_every_type(&doc);
	end_doc(&doc, doc_start);
	expect(EXTJSON_RELAXED,
	       "{\"double\":1.5,\"string\":\"text\",\"document\":{\"a\":1},\"array\":[1,\"x\"],"
	       "\"binary\":{\"$binary\":{\"base64\":\"YWJj\",\"subType\":\"05\"}},\"undefined\":{\"$undefined\":true}"
	       ","
	       "\"objectid\":{\"$oid\":\"507f1f77bcf86cd799439011\"},\"bool\":true,"
	       "\"date\":{\"$date\":\"2012-12-24T12:15:30.501Z\"},\"null\":null,"
	       "\"regex\":{\"$regularExpression\":{\"pattern\":\"a+\",\"options\":\"im\"}},"
	       "\"dbpointer\":{\"$dbPointer\":{\"$ref\":\"db.c\",\"$id\":{\"$oid\":\"507f1f77bcf86cd799439011\"}}},"
	       "\"code\":{\"$code\":\"f()\"},\"symbol\":{\"$symbol\":\"sym\"},"
	       "\"codewscope\":{\"$code\":\"g()\",\"$scope\":{\"x\":1}},\"int\":-7,"
	       "\"timestamp\":{\"$timestamp\":{\"t\":1,\"i\":2}},\"long\":9007199254740993,"
	       "\"decimal\":{\"$numberDecimal\":\"1.10\"},\"minkey\":{\"$minKey\":1},\"maxkey\":{\"$maxKey\":1}}");
	expect(EXTJSON_CANONICAL,
	       "{\"double\":{\"$numberDouble\":\"1.5\"},\"string\":\"text\",\"document\":{\"a\":{\"$numberInt\":"
	       "\"1\"}},"
	       "\"array\":[{\"$numberInt\":\"1\"},\"x\"],"
	       "\"binary\":{\"$binary\":{\"base64\":\"YWJj\",\"subType\":\"05\"}},\"undefined\":{\"$undefined\":true}"
	       ","
	       "\"objectid\":{\"$oid\":\"507f1f77bcf86cd799439011\"},\"bool\":true,"
	       "\"date\":{\"$date\":{\"$numberLong\":\"1356351330501\"}},\"null\":null,"
	       "\"regex\":{\"$regularExpression\":{\"pattern\":\"a+\",\"options\":\"im\"}},"
	       "\"dbpointer\":{\"$dbPointer\":{\"$ref\":\"db.c\",\"$id\":{\"$oid\":\"507f1f77bcf86cd799439011\"}}},"
	       "\"code\":{\"$code\":\"f()\"},\"symbol\":{\"$symbol\":\"sym\"},"
	       "\"codewscope\":{\"$code\":\"g()\",\"$scope\":{\"x\":{\"$numberInt\":\"1\"}}},"
	       "\"int\":{\"$numberInt\":\"-7\"},\"timestamp\":{\"$timestamp\":{\"t\":1,\"i\":2}},"
	       "\"long\":{\"$numberLong\":\"9007199254740993\"},\"decimal\":{\"$numberDecimal\":\"1.10\"},"
	       "\"minkey\":{\"$minKey\":1},\"maxkey\":{\"$maxKey\":1}}");
	expect(EXTJSON_PLAIN,
	       "{\"double\":1.5,\"string\":\"text\",\"document\":{\"a\":1},\"array\":[1,\"x\"],"
	       "\"binary\":{\"$binary\":{\"base64\":\"YWJj\",\"subType\":\"05\"}},\"undefined\":{\"$undefined\":true}"
	       ","
	       "\"objectid\":\"507f1f77bcf86cd799439011\",\"bool\":true,\"date\":\"2012-12-24T12:15:30.501Z\","
	       "\"null\":null,\"regex\":{\"$regularExpression\":{\"pattern\":\"a+\",\"options\":\"im\"}},"
	       "\"dbpointer\":{\"$dbPointer\":{\"$ref\":\"db.c\",\"$id\":\"507f1f77bcf86cd799439011\"}},"
	       "\"code\":{\"$code\":\"f()\"},\"symbol\":\"sym\",\"codewscope\":{\"$code\":\"g()\",\"$scope\":{\"x\":"
	       "1}},"
	       "\"int\":-7,\"timestamp\":{\"$timestamp\":{\"t\":1,\"i\":2}},\"long\":9007199254740993,"
	       "\"decimal\":1.10,\"minkey\":{\"$minKey\":1},\"maxkey\":{\"$maxKey\":1}}");
}

static void numbers(void **state)
{
	static const uint8_t nan[16] = {[15] = 0x7c}, minus_zero[16] = {[14] = 0x40, [15] = 0xb0};
	struct extjson_info info;

	(void)state;
	put_double(&doc, "a", -0.0);
	put_double(&doc, "b", NAN);
	put_double(&doc, "c", -INFINITY);
	put_double(&doc, "d", 1e300);
	put_double(&doc, "e", 3);
	put_long(&doc, "f", INT64_MIN);
	put_raw(&doc, BSON_K_DECIMAL128, "g", nan, 16);
	put_raw(&doc, BSON_K_DECIMAL128, "h", minus_zero, 16);
	end_doc(&doc, doc_start);
	expect(EXTJSON_RELAXED,
	       "{\"a\":-0.0,\"b\":{\"$numberDouble\":\"NaN\"},\"c\":{\"$numberDouble\":\"-Infinity\"},"
	       "\"d\":1e+300,\"e\":3.0,\"f\":-9223372036854775808,"
	       "\"g\":{\"$numberDecimal\":\"NaN\"},\"h\":{\"$numberDecimal\":\"-0\"}}");
	expect(EXTJSON_PLAIN, "{\"a\":-0.0,\"b\":{\"$numberDouble\":\"NaN\"},\"c\":{\"$numberDouble\":\"-Infinity\"},"
			      "\"d\":1e+300,\"e\":3.0,\"f\":-9223372036854775808,"
			      "\"g\":{\"$numberDecimal\":\"NaN\"},\"h\":-0}");
	assert_int_equal(write_doc(EXTJSON_RELAXED, EXTJSON_TEXT_REFUSE, EXTJSON_DUP_KEEP, &info), FAULT_OK);
	assert_true(info.negative_zero);
	assert_false(info.mended);
}

static const struct {
	int64_t ms;
	const char *plain, *relaxed;
} dates[] = {
	{0, "1970-01-01T00:00:00Z", "\"1970-01-01T00:00:00Z\""},
	{951782400000, "2000-02-29T00:00:00Z", "\"2000-02-29T00:00:00Z\""},
	{253402300799999, "9999-12-31T23:59:59.999Z", "\"9999-12-31T23:59:59.999Z\""},
	{253402300800000, "+010000-01-01T00:00:00Z", "{\"$numberLong\":\"253402300800000\"}"},
	{-1, "1969-12-31T23:59:59.999Z", "{\"$numberLong\":\"-1\"}"},
	{-62167219200000, "0000-01-01T00:00:00Z", "{\"$numberLong\":\"-62167219200000\"}"},
	{-62167219200001, "-000001-12-31T23:59:59.999Z", "{\"$numberLong\":\"-62167219200001\"}"},
	{-62198755200000, "-000001-01-01T00:00:00Z", "{\"$numberLong\":\"-62198755200000\"}"},
	{INT64_MAX, "+292278994-08-17T07:12:55.807Z", "{\"$numberLong\":\"9223372036854775807\"}"},
	{INT64_MIN, "-292275055-05-16T16:47:04.192Z", "{\"$numberLong\":\"-9223372036854775808\"}"},
};

static void date_texts(void **state)
{
	char want[128];
	size_t i;

	(void)state;
	for (i = 0; i < sizeof dates / sizeof dates[0]; i++) {
		buf_reset(&doc);
		doc_start = begin_doc(&doc);
		put_date(&doc, "d", dates[i].ms);
		end_doc(&doc, doc_start);
		snprintf(want, sizeof want, "{\"d\":\"%s\"}", dates[i].plain);
		expect(EXTJSON_PLAIN, want);
		snprintf(want, sizeof want, "{\"d\":{\"$date\":%s}}", dates[i].relaxed);
		expect(EXTJSON_RELAXED, want);
	}
}

static void binaries(void **state)
{
	(void)state;
	put_raw(&doc, BSON_K_BINARY, "uuid",
		"\x10\0\0\0\4\x01\x3a\x70\x92\xe8\xd8\x7b\xcf\xa1\xb3\x5e\x65\x0e\x40\x44\xdc", 21);
	put_raw(&doc, BSON_K_BINARY, "empty", "\0\0\0\0\0", 5);
	put_raw(&doc, BSON_K_BINARY, "one", "\1\0\0\0\0\xff", 6);
	put_raw(&doc, BSON_K_BINARY, "two", "\2\0\0\0\0\xff\xfe", 7);
	put_raw(&doc, BSON_K_BINARY, "old", "\5\0\0\0\2\1\0\0\0z", 10);
	end_doc(&doc, doc_start);
	expect(EXTJSON_RELAXED,
	       "{\"uuid\":{\"$binary\":{\"base64\":\"ATpwkujYe8+hs15lDkBE3A==\",\"subType\":\"04\"}},"
	       "\"empty\":{\"$binary\":{\"base64\":\"\",\"subType\":\"00\"}},"
	       "\"one\":{\"$binary\":{\"base64\":\"/w==\",\"subType\":\"00\"}},"
	       "\"two\":{\"$binary\":{\"base64\":\"//4=\",\"subType\":\"00\"}},"
	       "\"old\":{\"$binary\":{\"base64\":\"eg==\",\"subType\":\"02\"}}}");
	write_doc(EXTJSON_PLAIN, EXTJSON_TEXT_REFUSE, EXTJSON_DUP_REFUSE, NULL);
	assert_memory_equal(buf_cstr(&out), "{\"uuid\":\"013a7092-e8d8-7bcf-a1b3-5e650e4044dc\",\"empty\":", 55);
}

static void texts(void **state)
{
	struct extjson_info info;

	(void)state;
	put_string(&doc, "k\"\\\n", "a\"b\\c\x01\t\x7F\xC3\xA9\xF0\x9F\x98\x80 and a longer stretch of plain text");
	end_doc(&doc, doc_start);
	expect(EXTJSON_RELAXED, "{\"k\\\"\\\\\\n\":\"a\\\"b\\\\c\\u0001\\t\x7F\xC3\xA9\xF0\x9F\x98\x80 and a longer "
				"stretch of plain text\"}");
	buf_reset(&doc);
	doc_start = begin_doc(&doc);
	put_string_n(&doc, BSON_K_STRING, "v", "a\0b", 3);
	end_doc(&doc, doc_start);
	buf_reset(&out);
	assert_int_equal(write_doc(EXTJSON_RELAXED, EXTJSON_TEXT_REFUSE, EXTJSON_DUP_REFUSE, &info), FAULT_NUL);
	assert_int_equal(out.len, 0);
	assert_int_equal(write_doc(EXTJSON_RELAXED, EXTJSON_TEXT_STRIP, EXTJSON_DUP_REFUSE, &info), FAULT_OK);
	assert_true(info.mended);
	assert_string_equal(buf_cstr(&out), "{\"v\":\"ab\"}");
	assert_int_equal(write_doc(EXTJSON_RELAXED, EXTJSON_TEXT_REPLACE, EXTJSON_DUP_REFUSE, &info), FAULT_OK);
	assert_string_equal(buf_cstr(&out), "{\"v\":\"a\xEF\xBF\xBD"
					    "b\"}");
	assert_int_equal(write_doc(EXTJSON_RELAXED, EXTJSON_TEXT_ESCAPE, EXTJSON_DUP_REFUSE, &info), FAULT_OK);
	assert_string_equal(buf_cstr(&out), "{\"v\":\"a\\\\x00b\"}");
}

static void bad_keys(void **state)
{
	struct extjson_info info;

	(void)state;
	put_string(&doc, "k\xFF", "\xE2\x82");
	end_doc(&doc, doc_start);
	assert_int_equal(write_doc(EXTJSON_RELAXED, EXTJSON_TEXT_REFUSE, EXTJSON_DUP_REFUSE, &info), FAULT_UTF8);
	assert_int_equal(write_doc(EXTJSON_RELAXED, EXTJSON_TEXT_ESCAPE, EXTJSON_DUP_REFUSE, &info), FAULT_OK);
	assert_string_equal(buf_cstr(&out), "{\"k\\\\xff\":\"\\\\xe2\\\\x82\"}");
	assert_int_equal(write_doc(EXTJSON_RELAXED, EXTJSON_TEXT_STRIP, EXTJSON_DUP_REFUSE, &info), FAULT_OK);
	assert_string_equal(buf_cstr(&out), "{\"k\":\"\"}");
}

/* Key i of an object of n; some are met two or three times. */
static void put_keys(int n)
{
	char key[16];
	int i;

	for (i = 0; i < n; i++) {
		snprintf(key, sizeof key, "key%d", i);
		put_int(&doc, key, i);
	}
}

static void double_keys(void **state)
{
	static const int sizes[] = {0, 1, 10, 63, 64, 65, 1000};
	struct extjson_info info;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
		buf_reset(&doc);
		doc_start = begin_doc(&doc);
		put_keys(sizes[i]);
		end_doc(&doc, doc_start);
		assert_int_equal(write_doc(EXTJSON_RELAXED, EXTJSON_TEXT_REFUSE, EXTJSON_DUP_REFUSE, &info),
				 FAULT_OK);
		doc.len--;
		put_keys(1);
		put_int(&doc, "key0", 7);
		end_doc(&doc, doc_start);
		assert_int_equal(write_doc(EXTJSON_RELAXED, EXTJSON_TEXT_REFUSE, EXTJSON_DUP_REFUSE, &info),
				 FAULT_DUPLICATE_KEY);
		assert_int_equal(out.len, 0);
	}
}

static void double_key_policies(void **state)
{
	size_t inner;

	(void)state;
	put_raw(&doc, BSON_K_NULL, "a", "", 0);
	put_int(&doc, "b", 1);
	put_key(&doc, BSON_K_DOCUMENT, "a");
	inner = begin_doc(&doc);
	put_int(&doc, "x", 1);
	put_int(&doc, "x", 2);
	end_doc(&doc, inner);
	put_int(&doc, "b", 2);
	put_raw(&doc, BSON_K_NULL, "c", "", 0);
	put_int(&doc, "a", 3);
	end_doc(&doc, doc_start);
	write_doc(EXTJSON_RELAXED, EXTJSON_TEXT_REFUSE, EXTJSON_DUP_FIRST, NULL);
	assert_string_equal(buf_cstr(&out), "{\"a\":null,\"b\":1,\"c\":null}");
	write_doc(EXTJSON_RELAXED, EXTJSON_TEXT_REFUSE, EXTJSON_DUP_LAST, NULL);
	assert_string_equal(buf_cstr(&out), "{\"b\":2,\"c\":null,\"a\":3}");
	write_doc(EXTJSON_RELAXED, EXTJSON_TEXT_REFUSE, EXTJSON_DUP_KEEP, NULL);
	assert_string_equal(buf_cstr(&out),
			    "{\"a\":null,\"b\":1,\"a\":{\"x\":1,\"x\":2},\"b\":2,\"c\":null,\"a\":3}");
}

/* A key twice in one of many objects deep inside; the same key in an array's elements or in a parent is fine. */
static void double_keys_nested(void **state)
{
	size_t array, inner;

	(void)state;
	put_key(&doc, BSON_K_ARRAY, "a");
	array = begin_doc(&doc);
	for (int i = 0; i < 3; i++) {
		put_key(&doc, BSON_K_DOCUMENT, "0"); /* keys of an array's elements mean nothing */
		inner = begin_doc(&doc);
		put_int(&doc, "a", i);
		end_doc(&doc, inner);
	}
	end_doc(&doc, array);
	end_doc(&doc, doc_start);
	expect(EXTJSON_RELAXED, "{\"a\":[{\"a\":0},{\"a\":1},{\"a\":2}]}");
	doc.len -= 3; /* the ends of the last element, the array, the document */
	put_int(&doc, "a", 9);
	end_doc(&doc, inner);
	end_doc(&doc, array);
	end_doc(&doc, doc_start);
	assert_int_equal(write_doc(EXTJSON_RELAXED, EXTJSON_TEXT_REFUSE, EXTJSON_DUP_REFUSE, NULL),
			 FAULT_DUPLICATE_KEY);
}

static void empties_and_values(void **state)
{
	struct extjson_opts opts = {EXTJSON_RELAXED, EXTJSON_TEXT_REFUSE, EXTJSON_DUP_REFUSE};
	struct val v = {.data = (const uint8_t *)"\5\0\0\0\0", .len = 5, .kind = BSON_K_ARRAY};

	(void)state;
	buf_puts(&out, "x");
	assert_int_equal(extjson_write(&out, &v, &opts, NULL), FAULT_OK);
	v.kind = BSON_K_DOCUMENT;
	assert_int_equal(extjson_write(&out, &v, &opts, NULL), FAULT_OK);
	v = (struct val){.data = (const uint8_t *)"\7\0\0\0", .len = 4, .kind = BSON_K_INT32};
	assert_int_equal(extjson_write(&out, &v, &opts, NULL), FAULT_OK);
	assert_string_equal(buf_cstr(&out), "x[]{}7");
}

static void ceiling(void **state)
{
	struct extjson_opts opts = {EXTJSON_RELAXED, EXTJSON_TEXT_REFUSE, EXTJSON_DUP_REFUSE};
	struct val v;
	struct buf small;

	(void)state;
	put_string(&doc, "a", "0123456789");
	end_doc(&doc, doc_start);
	v = (struct val){.data = doc.data, .len = (uint32_t)doc.len, .kind = BSON_K_DOCUMENT};
	buf_init(&small, 20);
	buf_puts(&small, "xyz");
	assert_int_equal(extjson_write(&small, &v, &opts, NULL), FAULT_TOO_LARGE);
	assert_int_equal(small.len, 3);
	assert_true(buf_ok(&small));
	buf_reset(&small);
	assert_int_equal(extjson_write(&small, &v, &opts, NULL), FAULT_OK);
	assert_string_equal(buf_cstr(&small), "{\"a\":\"0123456789\"}");
	buf_free(&small);
}

static void deep(void **state)
{
	enum { DEPTH = 50000 };
	size_t i, len = 5 + 8 * (size_t)DEPTH;
	uint8_t *bytes = mem_zalloc(len);
	struct extjson_opts opts = {EXTJSON_RELAXED, EXTJSON_TEXT_REFUSE, EXTJSON_DUP_REFUSE};
	struct val v = {.data = bytes, .len = (uint32_t)len, .kind = BSON_K_DOCUMENT};

	(void)state;
	for (i = 0; i <= DEPTH; i++) {
		int32_t size = (int32_t)(len - 8 * i);

		memcpy(bytes + 7 * i, &size, 4);
		if (i < DEPTH)
			memcpy(bytes + 7 * i + 4, i % 2 ? "\4a" : "\3a", 3);
	}
	assert_int_equal(extjson_write(&out, &v, &opts, NULL), FAULT_OK);
	assert_memory_equal(out.data, "{\"a\":{\"a\":[{\"a\":[", 17);
	bytes[7 * (size_t)DEPTH] = 6;
	buf_reset(&out);
	assert_int_equal(extjson_write(&out, &v, &opts, NULL), FAULT_CORRUPT);
	extjson_write_safe(&out, bytes, len);
	assert_true(out.len > DEPTH);
	free(bytes);
}

/* Keys that become one when their bad bytes are left out or replaced: jsonb would drop one of them in silence. */
static void keys_that_mending_makes_one(void **state)
{
	static const struct {
		const char *a, *b;
		enum extjson_text text;
		const char *first, *last;
	} cases[] = {
		{"k\xff", "k", EXTJSON_TEXT_STRIP, "{\"k\":1}", "{\"k\":2}"},
		{"k", "\xc0\x80k", EXTJSON_TEXT_STRIP, "{\"k\":1}", "{\"k\":2}"},
		{"\xff", "\xfe", EXTJSON_TEXT_STRIP, "{\"\":1}", "{\"\":2}"},
		{"k\xff", "k\xfe", EXTJSON_TEXT_REPLACE, "{\"k\uFFFD\":1}", "{\"k\uFFFD\":2}"},
		{"k\uFFFD", "k\x80", EXTJSON_TEXT_REPLACE, "{\"k\uFFFD\":1}", "{\"k\uFFFD\":2}"},
	};
	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct extjson_info info;
		buf_reset(&doc);
		doc_start = begin_doc(&doc);
		put_int(&doc, cases[i].a, 1);
		put_int(&doc, cases[i].b, 2);
		end_doc(&doc, doc_start);
		assert_int_equal(write_doc(EXTJSON_RELAXED, cases[i].text, EXTJSON_DUP_REFUSE, &info),
				 FAULT_DUPLICATE_KEY);
		assert_int_equal(write_doc(EXTJSON_RELAXED, cases[i].text, EXTJSON_DUP_FIRST, &info), FAULT_OK);
		assert_string_equal(buf_cstr(&out), cases[i].first);
		assert_int_equal(write_doc(EXTJSON_RELAXED, cases[i].text, EXTJSON_DUP_LAST, &info), FAULT_OK);
		assert_string_equal(buf_cstr(&out), cases[i].last);
		/* Bad keys are refused as such where nothing mends them. */
		assert_int_equal(write_doc(EXTJSON_RELAXED, EXTJSON_TEXT_REFUSE, EXTJSON_DUP_FIRST, &info),
				 FAULT_UTF8);
	}
}

/* Keys made to meet in one place of the hash table: found all the same, and not in quadratic time. */
static void keys_that_meet(void **state)
{
	enum { KEYS = 2000 };
	char key[8], *copies = mem_alloc((size_t)KEYS * 8), name[32];
	size_t n = 0;
	(void)state;
	for (unsigned i = 0; n < KEYS; i++) {
		snprintf(key, sizeof key, "%07x", i);
		if ((hash64(key, 7) & 1023) == 7)
			memcpy(copies + 8 * n++, key, 8);
	}
	for (size_t i = 0; i < KEYS; i++)
		put_int(&doc, copies + 8 * i, 0);
	end_doc(&doc, doc_start);
	assert_int_equal(write_doc(EXTJSON_RELAXED, EXTJSON_TEXT_REFUSE, EXTJSON_DUP_REFUSE, NULL), FAULT_OK);
	doc.len--;
	put_int(&doc, copies + 8 * 5, 5);
	put_int(&doc, copies + 8 * 1999, 6);
	put_int(&doc, copies + 8 * 5, 7);
	end_doc(&doc, doc_start);
	assert_int_equal(write_doc(EXTJSON_RELAXED, EXTJSON_TEXT_REFUSE, EXTJSON_DUP_REFUSE, NULL),
			 FAULT_DUPLICATE_KEY);
	assert_int_equal(write_doc(EXTJSON_RELAXED, EXTJSON_TEXT_REFUSE, EXTJSON_DUP_FIRST, NULL), FAULT_OK);
	snprintf(name, sizeof name, "\"%s\":0}", copies + 8 * 1999);
	assert_string_equal(buf_cstr(&out) + out.len - strlen(name), name);
	assert_int_equal(write_doc(EXTJSON_RELAXED, EXTJSON_TEXT_REFUSE, EXTJSON_DUP_LAST, NULL), FAULT_OK);
	snprintf(name, sizeof name, "\"%s\":6,\"%s\":7}", copies + 8 * 1999, copies + 8 * 5);
	assert_string_equal(buf_cstr(&out) + out.len - strlen(name), name);
	snprintf(name, sizeof name, "\"%s\":0", copies + 8 * 5);
	assert_null(strstr(buf_cstr(&out), name));
	free(copies);
}

static void expect_safe(const void *bytes, size_t n, const char *want)
{
	uint8_t *copy = mem_alloc(n); /* of exactly its size, for the sanitizer */

	memcpy(copy, bytes, n);
	buf_reset(&out);
	extjson_write_safe(&out, copy, n);
	assert_string_equal(buf_cstr(&out), want);
	free(copy);
}

static void safe(void **state)
{
	struct val v = {.data = (const uint8_t *)"\2\0\0\0\xff", .len = 6, .kind = BSON_K_STRING}, none = {0};
	size_t inner, n;

	(void)state;
	put_int(&doc, "_id", 1);
	put_string_n(&doc, BSON_K_STRING, "s\xFF", "\0", 1);
	put_int(&doc, "_id", 2);
	put_key(&doc, BSON_K_DOCUMENT, "d");
	inner = begin_doc(&doc);
	put_int(&doc, "in", 3);
	end_doc(&doc, inner);
	put_int(&doc, "last", 4);
	end_doc(&doc, doc_start);
	expect_safe(doc.data, doc.len, "{\"_id\":1,\"s\\\\xff\":\"\\\\x00\",\"_id\":2,\"d\":{\"in\":3},\"last\":4}");
	expect_safe(doc.data, doc.len - 1,
		    "{\"_id\":1,\"s\\\\xff\":\"\\\\x00\",\"_id\":2,\"d\":{\"in\":3},\"last\":4}");
	expect_safe(doc.data, doc.len - 2, "{\"_id\":1,\"s\\\\xff\":\"\\\\x00\",\"_id\":2,\"d\":{\"in\":3}}");
	for (n = 0; n < doc.len; n++) { /* any cut: no read outside, the text closes */
		uint8_t *copy = mem_alloc(n);

		if (n > 0)
			memcpy(copy, doc.data, n);
		buf_reset(&out);
		extjson_write_safe(&out, copy, n);
		assert_int_equal(out.data[0], '{');
		assert_int_equal(out.data[out.len - 1], '}');
		free(copy);
	}
	doc.data[inner + 4] = 0x42; /* no such type, inside the inner document */
	expect_safe(doc.data, doc.len, "{\"_id\":1,\"s\\\\xff\":\"\\\\x00\",\"_id\":2,\"d\":{}}");
	buf_reset(&out);
	extjson_write_val_safe(&out, &v);
	extjson_write_val_safe(&out, &none);
	assert_string_equal(buf_cstr(&out), "\"\\\\xff\"null");
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {T(every_type),
					   T(numbers),
					   T(date_texts),
					   T(binaries),
					   T(texts),
					   T(bad_keys),
					   T(double_keys),
					   T(double_key_policies),
					   T(double_keys_nested),
					   T(keys_that_mending_makes_one),
					   T(keys_that_meet),
					   T(empties_and_values),
					   T(ceiling),
					   T(deep),
					   T(safe)};
#undef T

	return cmocka_run_group_tests(tests, NULL, NULL);
}

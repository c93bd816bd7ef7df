/* Walking BSON: every type, every truncation, damaged bytes, depth. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "build.h"
#include "doc.h"
#include "mem.h"

static void every_type(void **state)
{
	static const char *const names[] = {"double",    "string",    "object",     "array",   "binData",
					    "undefined", "objectId",  "bool",       "date",    "null",
					    "regex",     "dbPointer", "javascript", "symbol",  "javascriptWithScope",
					    "int",       "timestamp", "long",       "decimal", "minKey",
					    "maxKey"};
	struct doc_iter it;
	struct field f;
	struct buf b;
	size_t start;
	int n = 0, want;

	(void)state;
	buf_init(&b, 0);
	start = begin_doc(&b);
	want = put_every_type(&b);
	end_doc(&b, start);
	assert_true(doc_is_wellformed(b.data, b.len));
	assert_true(doc_iter_init(&it, b.data, b.len));
	while (doc_iter_next(&it, &f)) {
		assert_string_equal(bson_kind_name(f.val.kind), names[n]);
		assert_int_equal(f.key_len, strlen(f.key));
		n++;
	}
	assert_false(it.corrupt);
	assert_int_equal(n, want);
	assert_string_equal(bson_kind_name(0), "missing");
	assert_string_equal(bson_kind_name(0x42), "unknown");
	buf_free(&b);
}

static void views(void **state)
{
	const char *text, *options;
	const uint8_t *bytes;
	struct val v, scope;
	struct buf b;
	size_t start, n, m;
	uint8_t subtype;

	(void)state;
	buf_init(&b, 0);
	start = begin_doc(&b);
	put_every_type(&b);
	put_raw(&b, BSON_K_BINARY, "old",
		"\7\0\0\0\2"
		"\3\0\0\0xyz",
		12);
	put_raw(&b, BSON_K_BINARY, "odd",
		"\7\0\0\0\2"
		"\4\0\0\0xyz",
		12); /* inner length is wrong */
	end_doc(&b, start);
	assert_true(doc_find(b.data, b.len, "double", &v) && val_double(&v) == 1.5);
	assert_true(doc_find(b.data, b.len, "int", &v) && val_i32(&v) == -7);
	assert_true(doc_find(b.data, b.len, "long", &v) && val_i64(&v) == 9007199254740993);
	assert_true(doc_find(b.data, b.len, "bool", &v) && val_bool(&v));
	assert_true(doc_find(b.data, b.len, "string", &v));
	text = val_text(&v, &n);
	assert_int_equal(n, 4);
	assert_memory_equal(text, "text", 4);
	assert_true(doc_find(b.data, b.len, "regex", &v));
	val_regex(&v, &text, &n, &options, &m);
	assert_string_equal(text, "a+");
	assert_string_equal(options, "im");
	assert_true(n == 2 && m == 2);
	assert_true(doc_find(b.data, b.len, "dbpointer", &v));
	text = val_dbpointer(&v, &n, &bytes);
	assert_string_equal(text, "db.c");
	assert_int_equal(n, 4);
	assert_int_equal(bytes[11], 0x11);
	assert_true(doc_find(b.data, b.len, "codewscope", &v));
	text = val_codewscope(&v, &n, &scope);
	assert_string_equal(text, "g()");
	assert_int_equal(n, 3);
	assert_true(doc_find(scope.data, scope.len, "x", &v) && val_i32(&v) == 1);
	assert_true(doc_find(b.data, b.len, "binary", &v));
	bytes = val_binary(&v, &subtype, &n);
	assert_true(subtype == 5 && n == 3 && memcmp(bytes, "abc", 3) == 0);
	assert_true(doc_find(b.data, b.len, "old", &v));
	bytes = val_binary(&v, &subtype, &n);
	assert_true(subtype == 2 && n == 3 && memcmp(bytes, "xyz", 3) == 0);
	assert_true(doc_find(b.data, b.len, "odd", &v));
	bytes = val_binary(&v, &subtype, &n);
	assert_true(subtype == 2 && n == 7 && bytes[4] == 'x');
	assert_false(doc_find(b.data, b.len, "doubl", &v));
	assert_int_equal(v.kind, 0);
	assert_false(doc_find(b.data, b.len, "doublee", &v));
	buf_free(&b);
}

/* A copy in memory of exactly its size, so that a sanitizer sees every read outside. */
static bool walks(const uint8_t *doc, size_t len)
{
	uint8_t *copy = mem_alloc(len);
	bool ok;

	if (len > 0)
		memcpy(copy, doc, len);
	ok = doc_is_wellformed(copy, len);
	free(copy);
	return ok;
}

static void truncated(void **state)
{
	struct buf b;
	size_t start, n;
	int32_t size;

	(void)state;
	buf_init(&b, 0);
	start = begin_doc(&b);
	put_every_type(&b);
	end_doc(&b, start);
	assert_true(walks(b.data, b.len));
	for (n = 0; n < b.len; n++)
		assert_false(walks(b.data, n));
	/* Cut short and closed again: valid only where a field ends. */
	for (n = 5, start = 0; n < b.len; n++) {
		uint8_t keep = b.data[n - 1];

		size = (int32_t)n;
		memcpy(b.data, &size, 4);
		b.data[n - 1] = 0;
		start += walks(b.data, n);
		b.data[n - 1] = keep;
	}
	/* After each field but the last (the whole), before the first; and inside the regex, whose second text may
	 * end early, and behind its NUL. */
	assert_true(start >= 21 && start <= 25);
	buf_free(&b);
}

/* Random bytes in a good document: never a read outside (under the sanitizer), never an endless walk. */
static void damaged(void **state)
{
	uint64_t seed = 7;
	struct buf b;
	size_t start, at, good = 0;
	int i;

	(void)state;
	buf_init(&b, 0);
	start = begin_doc(&b);
	put_every_type(&b);
	put_every_type(&b);
	end_doc(&b, start);
	for (i = 0; i < 30000; i++) {
		uint8_t keep;

		seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
		at = (seed >> 33) % b.len;
		keep = b.data[at];
		b.data[at] = (uint8_t)(seed >> 20);
		good += walks(b.data, b.len);
		b.data[at] = keep;
	}
	assert_true(good > 1000 && good < 29000);
	buf_free(&b);
}

static const struct {
	const char *what;
	const char *bytes;
	size_t n;
} corrupt_cases[] = {
#define CASE(what, s)                                                                                                \
	{                                                                                                            \
		what, s, sizeof(s) - 1                                                                               \
	}
	CASE("size 4", "\4\0\0\0"),
	CASE("size too large", "\6\0\0\0\0"),
	CASE("negative size", "\xff\xff\xff\xff\0"),
	CASE("no final NUL", "\5\0\0\0\1"),
	CASE("type 0 inside", "\7\0\0\0\0a\0"),
	CASE("unknown type", "\x08\0\0\0\x14"
			     "a\0\0"),
	CASE("key without end", "\x08\0\0\0\x0a"
				"ab\0"),
	CASE("short int", "\x0b\0\0\0\x10"
			  "a\0\1\0\0\0"),
	CASE("bool of 2", "\x09\0\0\0\x08"
			  "a\0\2\0"),
	CASE("string of length 0", "\x0c\0\0\0\2a\0\0\0\0\0\0"),
	CASE("string without NUL", "\x0e\0\0\0\2a\0\2\0\0\0xx\0"),
	CASE("string of negative length", "\x0e\0\0\0\2a\0\xfe\xff\xff\xffx\0\0"),
	CASE("string too long", "\x0e\0\0\0\2a\0\4\0\0\0x\0\0"),
	CASE("document of size 4", "\x0d\0\0\0\3a\0\4\0\0\0\0\0"),
	CASE("document too large", "\x0d\0\0\0\3a\0\6\0\0\0\0\0"),
	CASE("damage inside", "\x10\0\0\0\3a\0\x08\0\0\0\x14"
			      "a\0\0\0"),
	CASE("binary of negative length", "\x0d\0\0\0\5a\0\xff\xff\xff\xff\0\0"),
	CASE("regex without second text", "\x0a\0\0\0\x0b"
					  "a\0x\0"),
	CASE("code with scope, parts too short", "\x17\0\0\0\x0f"
						 "a\0\x0f\0\0\0\1\0\0\0\0\5\0\0\0\0\0\0"),
#undef CASE
};

static void corrupt(void **state)
{
	size_t i;

	(void)state;
	for (i = 0; i < sizeof corrupt_cases / sizeof corrupt_cases[0]; i++)
		if (walks((const uint8_t *)corrupt_cases[i].bytes, corrupt_cases[i].n))
			fail_msg("taken for well-formed: %s", corrupt_cases[i].what);
	assert_true(walks((const uint8_t *)"\5\0\0\0\0", 5));
	assert_true(walks((const uint8_t *)"\5\0\0\0\0more", 9)); /* "at most len bytes" */
}

static void deep(void **state)
{
	enum { DEPTH = 100000 };
	uint8_t *doc = mem_zalloc(5 + 7 * (size_t)DEPTH + DEPTH);
	size_t i, len = 5 + 8 * (size_t)DEPTH;
	int32_t size;

	(void)state;
	/* {a: {a: {a: ... {}}}} from the outside in */
	for (i = 0; i <= DEPTH; i++) {
		size = (int32_t)(len - 8 * i);
		memcpy(doc + 7 * i, &size, 4);
		if (i < DEPTH)
			memcpy(doc + 7 * i + 4, "\3a", 3);
	}
	assert_true(doc_is_wellformed(doc, len));
	doc[7 * (size_t)DEPTH] = 6; /* the innermost size */
	assert_false(doc_is_wellformed(doc, len));
	free(doc);
}

static void wrapping(void **state)
{
	struct val v = {.data = (const uint8_t *)"\2\0\0\0x", .len = 6, .kind = BSON_K_STRING}, back;
	struct val null = {.kind = BSON_K_NULL};
	uint8_t out[32];
	size_t n;

	(void)state;
	n = doc_wrap("_id", &v, out);
	assert_int_equal(n, doc_wrap_size("_id", &v));
	assert_true(doc_is_wellformed(out, n));
	assert_true(doc_find(out, n, "_id", &back));
	assert_int_equal(back.kind, BSON_K_STRING);
	assert_memory_equal(back.data, v.data, 6);
	n = doc_wrap("", &null, out);
	assert_int_equal(n, 7);
	assert_true(doc_is_wellformed(out, n));
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(every_type), cmocka_unit_test(views),
					   cmocka_unit_test(truncated),  cmocka_unit_test(damaged),
					   cmocka_unit_test(corrupt),    cmocka_unit_test(deep),
					   cmocka_unit_test(wrapping)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

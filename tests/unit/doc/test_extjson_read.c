/* Extended JSON to BSON: every type in every spelling, what is kept though it is odd, what is refused and where. */
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
#include "extjson_read.h"
#include "text.h"

#define MAX_DOCUMENT (64u << 20)

/* The text in pieces, each in memory of its own, so that a sanitizer sees what reads beyond. */
struct pieces {
	struct extjson_input in; /* first */
	const char *text;
	size_t len, at, step;
	uint8_t *piece;
};

static bool more(struct extjson_input *in)
{
	struct pieces *p = (struct pieces *)in;
	size_t n = p->len - p->at < p->step ? p->len - p->at : p->step;
	free(p->piece);
	p->piece = mem_alloc(n + 1);
	memcpy(p->piece, p->text + p->at, n);
	p->at += n;
	in->p = p->piece;
	in->end = p->piece + n;
	return n > 0;
}

static bool read_pieces(const char *text, size_t len, size_t step, struct buf *out, const char **trouble, size_t *at,
			bool *bare)
{
	struct pieces p = {.in = {.more = more}, .text = text, .len = len, .step = step};
	struct extjson_reader *r = extjson_reader_new();
	bool ok = extjson_read(r, &p.in, out, trouble);
	*at = p.at - (size_t)(p.in.end - p.in.p);
	*bare = extjson_reader_saw_bare(r);
	extjson_reader_free(r);
	free(p.piece);
	return ok;
}

static const size_t steps[] = {1, 3, 64, 1 << 20};

/* In pieces of any size the result is the same; left in `out`. */
static bool read_text(const char *text, size_t len, struct buf *out, const char **trouble, size_t *at, bool *bare)
{
	struct buf first;
	buf_init(&first, MAX_DOCUMENT);
	bool ok = read_pieces(text, len, steps[0], &first, trouble, at, bare);
	for (size_t i = 1; i < sizeof steps / sizeof steps[0]; i++) {
		const char *trouble2;
		size_t at2;
		bool bare2;
		assert_int_equal(read_pieces(text, len, steps[i], out, &trouble2, &at2, &bare2), ok);
		assert_int_equal(at2, *at);
		assert_ptr_equal(trouble2, *trouble);
		assert_int_equal(bare2, *bare);
		if (ok) {
			assert_int_equal(out->len, first.len);
			assert_memory_equal(out->data, first.data, first.len);
		}
	}
	buf_free(&first);
	if (ok)
		assert_true(doc_is_wellformed(out->data, out->len));
	return ok;
}

static void canonical(struct buf *json, const uint8_t *doc, size_t len)
{
	struct val v = {.data = doc, .len = (uint32_t)len, .kind = BSON_K_DOCUMENT};
	const struct extjson_opts opts = {EXTJSON_CANONICAL, EXTJSON_TEXT_ESCAPE, EXTJSON_DUP_KEEP};
	assert_int_equal(extjson_write(json, &v, &opts, NULL), FAULT_OK);
}

/* {"v": TEXT} read, and its value written canonically. */
static void assert_reads(const char *text, const char *want)
{
	struct buf whole, doc, json;
	const char *trouble;
	size_t at;
	bool bare;
	buf_init(&whole, 0);
	buf_init(&doc, MAX_DOCUMENT);
	buf_init(&json, 0);
	buf_printf(&whole, "{\"v\":%s}", text);
	if (!read_text((const char *)whole.data, whole.len, &doc, &trouble, &at, &bare))
		fail_msg("%s: %s at %zu", text, trouble, at);
	assert_int_equal(at, whole.len);
	canonical(&json, doc.data, doc.len);
	buf_putc(&json, 0);
	buf_reset(&whole);
	buf_printf(&whole, "{\"v\":%s}", want);
	assert_string_equal((char *)json.data, buf_cstr(&whole));
	buf_free(&whole);
	buf_free(&doc);
	buf_free(&json);
}

static void assert_same(const char *text)
{
	assert_reads(text, text);
}

static void canonical_forms(void **state)
{
	static const char *const forms[] = {
		"{\"$oid\":\"507f1f77bcf86cd799439011\"}",
		"{\"$numberInt\":\"-5\"}",
		"{\"$numberLong\":\"9223372036854775807\"}",
		"{\"$numberLong\":\"-9223372036854775808\"}",
		"{\"$numberLong\":\"5\"}",
		"{\"$numberDouble\":\"1.5\"}",
		"{\"$numberDouble\":\"-0.0\"}",
		"{\"$numberDouble\":\"NaN\"}",
		"{\"$numberDouble\":\"-Infinity\"}",
		"{\"$numberDouble\":\"5e-324\"}",
		"{\"$numberDouble\":\"1.7976931348623157e+308\"}",
		"{\"$numberDecimal\":\"1.2300E+10\"}",
		"{\"$numberDecimal\":\"-9.999999999999999999999999999999999E+6144\"}",
		"{\"$numberDecimal\":\"NaN\"}",
		"{\"$date\":{\"$numberLong\":\"1709208000123\"}}",
		"{\"$date\":{\"$numberLong\":\"-62135596800000\"}}",
		"{\"$date\":{\"$numberLong\":\"9223372036854775807\"}}",
		"{\"$binary\":{\"base64\":\"\",\"subType\":\"00\"}}",
		"{\"$binary\":{\"base64\":\"AQ==\",\"subType\":\"80\"}}",
		"{\"$binary\":{\"base64\":\"AQI=\",\"subType\":\"00\"}}",
		"{\"$binary\":{\"base64\":\"AQID\",\"subType\":\"02\"}}",
		"{\"$binary\":{\"base64\":\"AAECAwQFBgcICQoLDA0ODw==\",\"subType\":\"04\"}}",
		"{\"$regularExpression\":{\"pattern\":\"^a\\\"b\",\"options\":\"im\"}}",
		"{\"$regularExpression\":{\"pattern\":\"\",\"options\":\"\"}}",
		"{\"$timestamp\":{\"t\":4294967295,\"i\":2147483648}}",
		"{\"$symbol\":\"s\"}",
		"{\"$code\":\"f()\"}",
		"{\"$code\":\"f()\",\"$scope\":{\"x\":{\"$numberInt\":\"1\"}}}",
		"{\"$dbPointer\":{\"$ref\":\"db.c\",\"$id\":{\"$oid\":\"507f1f77bcf86cd799439011\"}}}",
		"{\"$undefined\":true}",
		"{\"$minKey\":1}",
		"{\"$maxKey\":1}",
		"{\"$ref\":\"c\",\"$id\":{\"$oid\":\"507f1f77bcf86cd799439011\"},\"$db\":\"d\"}",
		"\"\"",
		"\"text \\\"\\\\\\n\\u0001 \xc3\xa9\xf0\x9f\x9a\x80\"",
		"true",
		"false",
		"null",
		"{}",
		"[]",
		"{\"a\":{\"b\":[{},[],{\"\":\"\"}]}}",
		"[{\"$oid\":\"507f1f77bcf86cd799439011\"},null,[true]]",
	};
	for (size_t i = 0; i < sizeof forms / sizeof forms[0]; i++)
		assert_same(forms[i]);
}

static void relaxed_and_older_forms(void **state)
{
	static const struct {
		const char *text, *same;
	} forms[] = {
		{"5", "{\"$numberInt\":\"5\"}"},
		{"-2147483648", "{\"$numberInt\":\"-2147483648\"}"},
		{"2147483648", "{\"$numberLong\":\"2147483648\"}"},
		{"9007199254740993", "{\"$numberLong\":\"9007199254740993\"}"},
		{"5.0", "{\"$numberDouble\":\"5.0\"}"},
		{"-0.0", "{\"$numberDouble\":\"-0.0\"}"},
		{"-0", "{\"$numberDouble\":\"-0.0\"}"},
		{"1E+20", "{\"$numberDouble\":\"100000000000000000000.0\"}"},
		{"0.1", "{\"$numberDouble\":\"0.1\"}"},
		{"100000000000000000000", "{\"$numberDouble\":\"100000000000000000000.0\"}"},
		{"-9223372036854775809", "{\"$numberDecimal\":\"-9223372036854775809\"}"},
		{"123456789012345678901234567890", "{\"$numberDecimal\":\"123456789012345678901234567890\"}"},
		{"NaN", "{\"$numberDouble\":\"NaN\"}"},
		{"-Infinity", "{\"$numberDouble\":\"-Infinity\"}"},
		{"Infinity", "{\"$numberDouble\":\"Infinity\"}"},
		{"undefined", "{\"$undefined\":true}"},
		{"{\"$date\":\"2024-02-29T12:00:00.123Z\"}", "{\"$date\":{\"$numberLong\":\"1709208000123\"}}"},
		{"{\"$date\":\"2024-02-29T12:00:00Z\"}", "{\"$date\":{\"$numberLong\":\"1709208000000\"}}"},
		{"{\"$date\":\"2024-02-29T13:00:00.123+0100\"}", "{\"$date\":{\"$numberLong\":\"1709208000123\"}}"},
		{"{\"$date\":\"2024-02-29T07:30:00.123-04:30\"}", "{\"$date\":{\"$numberLong\":\"1709208000123\"}}"},
		{"{\"$date\":1709208000123}", "{\"$date\":{\"$numberLong\":\"1709208000123\"}}"},
		{"{\"$date\":0}", "{\"$date\":{\"$numberLong\":\"0\"}}"},
		{"{\"$numberLong\":7}", "{\"$numberLong\":\"7\"}"},
		{"{\"$binary\":\"AQID\",\"$type\":\"00\"}", "{\"$binary\":{\"base64\":\"AQID\",\"subType\":\"00\"}}"},
		{"{\"$type\":\"2\",\"$binary\":\"AQID\"}", "{\"$binary\":{\"base64\":\"AQID\",\"subType\":\"02\"}}"},
		{"{\"$binary\":\"AQID\",\"$type\":\"ffffff80\"}",
		 "{\"$binary\":{\"base64\":\"AQID\",\"subType\":\"80\"}}"},
		{"{\"$binary\":{\"subType\":\"4\",\"base64\":\"AQID\"}}",
		 "{\"$binary\":{\"base64\":\"AQID\",\"subType\":\"04\"}}"},
		{"{\"$uuid\":\"00010203-0405-0607-0809-0a0b0c0d0e0f\"}",
		 "{\"$binary\":{\"base64\":\"AAECAwQFBgcICQoLDA0ODw==\",\"subType\":\"04\"}}"},
		{"{\"$regex\":\"^a\",\"$options\":\"i\"}",
		 "{\"$regularExpression\":{\"pattern\":\"^a\",\"options\":\"i\"}}"},
		{"{\"$timestamp\":{\"i\":2,\"t\":1}}", "{\"$timestamp\":{\"t\":1,\"i\":2}}"},
		{"\"\\u0041\\/\\u00e9\\ud83d\\ude80\"", "\"A/\xc3\xa9\xf0\x9f\x9a\x80\""},
		{" [ 1 ,\t2\r\n] ", "[{\"$numberInt\":\"1\"},{\"$numberInt\":\"2\"}]"},
	};
	for (size_t i = 0; i < sizeof forms / sizeof forms[0]; i++)
		assert_reads(forms[i].text, forms[i].same);
}

/* What looks like a wrapper and is none stays the sub-document that it is. */
static void what_is_no_wrapper(void **state)
{
	static const struct {
		const char *text, *same;
	} forms[] = {
		{"{\"$oid\":\"xyz\"}", NULL},
		{"{\"$oid\":\"507f1f77bcf86cd799439011\",\"more\":true}", NULL},
		{"{\"more\":true,\"$oid\":\"507f1f77bcf86cd799439011\"}", NULL},
		{"{\"$date\":\"yesterday\"}", NULL},
		{"{\"$date\":\"2024-02-30T12:00:00Z\"}", NULL},
		{"{\"$date\":\"2024-02-29T12:00:00.1234Z\"}", NULL}, /* a microsecond would be lost */
		{"{\"$date\":null}", NULL},
		{"{\"$numberInt\":\"2147483648\"}", NULL},
		{"{\"$numberLong\":\"9223372036854775808\"}", NULL},
		{"{\"$numberDouble\":\"1e999\"}", NULL},
		{"{\"$numberDecimal\":\"1E+9999\"}", NULL},
		{"{\"$binary\":{\"base64\":\"A\",\"subType\":\"00\"}}", NULL},
		{"{\"$binary\":{\"base64\":\"AR==\",\"subType\":\"00\"}}", NULL}, /* bits that stand for nothing */
		{"{\"$binary\":{\"base64\":\"AQ==\",\"subType\":\"xx\"}}", NULL},
		{"{\"$binary\":\"AQID\"}", NULL},
		{"{\"$timestamp\":{\"t\":\"1\",\"i\":\"2\"}}", NULL},
		{"{\"$regex\":\"a\\u0000b\",\"$options\":\"\"}", "{\"$regex\":\"a\\\\x00b\",\"$options\":\"\"}"},
		{"{\"$undefined\":false}", NULL},
		{"{\"$minKey\":true}", NULL},
		{"{\"$code\":null}", NULL},
		{"{\"$dbPointer\":{\"$ref\":\"c\",\"$id\":\"x\"}}", NULL},
		{"{\"$\":\"x\"}", NULL},
		{"{\"$set\":{\"a\":\"x\"}}", NULL},
	};
	for (size_t i = 0; i < sizeof forms / sizeof forms[0]; i++)
		assert_reads(forms[i].text, forms[i].same ? forms[i].same : forms[i].text);
}

static void assert_bytes(const char *text, const char *hex)
{
	struct buf doc;
	const char *trouble;
	char *got;
	size_t at;
	bool bare;
	buf_init(&doc, MAX_DOCUMENT);
	if (!read_text(text, strlen(text), &doc, &trouble, &at, &bare))
		fail_msg("%s: %s at %zu", text, trouble, at);
	got = mem_alloc(doc.len * 2 + 1);
	text_hex(doc.data, doc.len, got);
	assert_string_equal(got, hex);
	free(got);
	buf_free(&doc);
}

/* NUL and half surrogates in strings, bytes that are not UTF-8, keys that come twice, the empty key. */
static void odd_things_are_kept(void **state)
{
	assert_bytes("{\"s\":\"a\\u0000b\"}", "10000000027300040000006100620000");
	assert_bytes("{\"s\":\"\\ud800\"}", "1000000002730004000000eda0800000");
	assert_bytes("{\"s\":\"\\udfff\\ud800\\n\"}", "1400000002730008000000edbfbfeda0800a0000");
	assert_bytes("{\"s\":\"\\ud800\\ud800\\udc00\"}", "1400000002730008000000eda080f09080800000");
	assert_bytes("{\"s\":\"\xff\"}", "0e00000002730002000000ff0000");
	assert_bytes("{\"a\":1,\"a\":2,\"\":3}", "19000000106100010000001061000200000010000300000000");
	/* The document itself is never taken for a wrapper. */
	assert_bytes("{\"$minKey\":1}", "1200000010246d696e4b6579000100000000");
}

static void assert_refused(const char *text, size_t len, size_t where, const char *words)
{
	struct buf doc;
	const char *trouble;
	size_t at;
	bool bare;
	buf_init(&doc, MAX_DOCUMENT);
	if (read_text(text, len, &doc, &trouble, &at, &bare))
		fail_msg("%s was taken", text);
	if (at != where || !strstr(trouble, words))
		fail_msg("%s: \"%s\" at %zu, not \"%s\" at %zu", text, trouble, at, words, where);
	buf_free(&doc);
}

static void what_is_no_json(void **state)
{
	static const struct {
		const char *text;
		size_t at;
		const char *words;
	} cases[] = {
		{"", 0, "begins with {"},
		{"[]", 0, "begins with {"},
		{"{", 1, "ends inside"},
		{"{\"a\"", 4, "ends inside"},
		{"{\"a\":", 5, "ends inside"},
		{"{\"a\":1", 6, "ends inside"},
		{"{\"a\":1,", 7, "ends inside"},
		{"{\"a\":\"x", 7, "ends inside"},
		{"{\"a\":[1", 7, "ends inside"},
		{"{a:1}", 1, "a key is due"},
		{"{\"a\" 1}", 5, "a colon is due"},
		{"{\"a\":1 \"b\":2}", 7, "a comma or } is due"},
		{"{\"a\":[1 2]}", 8, "a comma or ] is due"},
		{"{\"a\":1,}", 7, "a key is due"},
		{"{\"a\":[1,]}", 8, "a value is due"},
		{"{,}", 1, "a key is due"},
		{"{\"a\":[1}", 7, "a comma or ] is due"},
		{"{\"a\":01}", 7, "no number"},
		{"{\"a\":1.}", 7, "no number"},
		{"{\"a\":-}", 6, "no number"},
		{"{\"a\":1e}", 7, "no number"},
		{"{\"a\":1e999}", 10, "beyond what a double holds"},
		{"{\"a\":12345678901234567890123456789012345}", 40, "more digits than any type holds"},
		{"{\"a\":tru}", 8, "a value is due"},
		{"{\"a\":'x'}", 5, "a value is due"},
		{"{\"a\":ObjectId(\"507f1f77bcf86cd799439011\")}", 13, "the mongo shell's notation"},
		{"{\"a\":\"x\ny\"}", 7, "a control character"},
		{"{\"a\":\"\\x\"}", 7, "no such escape"},
		{"{\"a\":\"\\u12g4\"}", 10, "hexadecimal"},
		{"{\"a\\u0000b\":1}", 11, "a key with a NUL"},
	};
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
		assert_refused(cases[i].text, strlen(cases[i].text), cases[i].at, cases[i].words);
	assert_refused("{\"a\":\0}", 7, 5, "a value is due");
}

static char *repeated(const char *s, size_t n, size_t *len)
{
	size_t k = strlen(s);
	char *text = mem_alloc(n * k + 1);
	for (size_t i = 0; i < n; i++)
		memcpy(text + i * k, s, k);
	*len = n * k;
	return text;
}

/* Thousands of levels are a document like any other; a hundred thousand are refused, before memory or stack is. */
static void depth(void **state)
{
	static const size_t levels[] = {5000, 99998, 100001};
	for (size_t i = 0; i < 3; i++) {
		size_t n, m;
		struct buf text, doc;
		const char *trouble;
		char *open = repeated("[", levels[i], &n), *close = repeated("]", levels[i], &m);
		size_t at;
		bool bare;
		buf_init(&text, 0);
		buf_init(&doc, MAX_DOCUMENT);
		buf_puts(&text, "{\"a\":");
		buf_put(&text, open, n);
		buf_put(&text, close, m);
		buf_putc(&text, '}');
		bool ok = read_pieces((const char *)text.data, text.len, 1000, &doc, &trouble, &at, &bare);
		assert_int_equal(ok, levels[i] < 100000);
		if (ok)
			assert_true(doc_is_wellformed(doc.data, doc.len));
		else
			assert_non_null(strstr(trouble, "100,000 levels"));
		free(open);
		free(close);
		buf_free(&text);
		buf_free(&doc);
	}
}

static void size_is_bounded(void **state)
{
	size_t n;
	struct buf text, doc;
	const char *trouble;
	char *x = repeated("x", 200000, &n);
	size_t at;
	bool bare;
	buf_init(&text, 0);
	buf_init(&doc, 100000);
	buf_puts(&text, "{\"a\":\"");
	buf_put(&text, x, n);
	buf_puts(&text, "\"}");
	assert_false(read_pieces((const char *)text.data, text.len, 1000, &doc, &trouble, &at, &bare));
	assert_non_null(strstr(trouble, "larger than any"));
	free(x);
	buf_free(&text);
	buf_free(&doc);
}

static void bare_numbers_are_noticed(void **state)
{
	static const struct {
		const char *text;
		bool bare;
	} cases[] = {
		{"{\"a\":1}", true},
		{"{\"a\":[1.5]}", true},
		{"{\"a\":{\"$numberInt\":\"1\"}}", false},
		{"{\"a\":{\"$timestamp\":{\"t\":1,\"i\":2}},\"b\":{\"$minKey\":1},\"c\":{\"$maxKey\":1}}", false},
		{"{\"a\":{\"$date\":{\"$numberLong\":\"5\"}}}", false},
		{"{\"a\":\"5\"}", false},
	};
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct buf doc;
		const char *trouble;
		size_t at;
		bool bare;
		buf_init(&doc, MAX_DOCUMENT);
		assert_true(read_text(cases[i].text, strlen(cases[i].text), &doc, &trouble, &at, &bare));
		assert_int_equal(bare, cases[i].bare);
		buf_free(&doc);
	}
}

/* ---- any document comes back as it was ---- */

static uint64_t chance = 1;

static uint64_t below(uint64_t n)
{
	chance ^= chance << 13;
	chance ^= chance >> 7;
	chance ^= chance << 17;
	return chance % n;
}

static void put_any_text(struct buf *b)
{
	static const char *const parts[] = {"a", "\"", "\\", "\n", "é", "🚀", "$", "x.y", "\x01", "0"};
	size_t start = b->len;
	put_i32(b, 0);
	for (uint64_t n = below(6); n > 0; n--)
		buf_puts(b, parts[below(10)]);
	buf_putc(b, 0);
	int32_t len = (int32_t)(b->len - start - 4);
	memcpy(b->data + start, &len, 4);
}

static void put_any_document(struct buf *b, int depth);

static void put_any_value(struct buf *b, size_t type_at, int depth)
{
	static const uint8_t kinds[] = {0x01, 0x02, 0x03, 0x04, 0x05, 0x07, 0x08, 0x09, 0x0a,
					0x10, 0x11, 0x12, 0x13, 0x06, 0xff, 0x7f, 0x0d, 0x0e};
	uint8_t kind = kinds[below(sizeof kinds)];
	uint64_t x = below(UINT64_MAX), y = below(UINT64_MAX);
	if (depth == 0 && (kind == 0x03 || kind == 0x04))
		kind = 0x10;
	b->data[type_at] = kind;
	if (kind == 0x01 && isnan(*(double *)&x))
		x = 0;
	if (kind == 0x13 && (y >> 59 & 0xf) == 0xf)
		y = UINT64_C(0x3040000000000000); /* NaN has many forms, of which one is read */
	if (kind == 0x13)
		y &= UINT64_C(0xdffc0000ffffffff); /* canonical */
	if (kind == 0x03 || kind == 0x04)
		put_any_document(b, kind == 0x04 ? -depth : depth);
	else if (kind == 0x02 || kind == 0x0d || kind == 0x0e)
		put_any_text(b);
	else if (kind == 0x05)
		buf_put(b, "\3\0\0\0\0abc", 8);
	else if (kind == 0x08)
		buf_putc(b, (char)(x & 1));
	else if (kind == 0x07)
		buf_put(b, "0123456789ab", 12);
	else if (kind == 0x10)
		buf_put(b, &x, 4);
	else if (kind == 0x01 || kind == 0x09 || kind == 0x11 || kind == 0x12 || kind == 0x13)
		buf_put(b, &x, 8);
	if (kind == 0x13)
		buf_put(b, &y, 8);
}

/* A depth below 0: an array. */
static void put_any_document(struct buf *b, int depth)
{
	size_t start = b->len;
	put_i32(b, 0);
	for (int i = 0, n = (int)below(7); i < n; i++) {
		size_t type_at = b->len;
		buf_putc(b, 0);
		if (depth < 0)
			buf_printf(b, "%d", i);
		else
			buf_printf(b, "k%d", (int)below(4));
		buf_putc(b, 0);
		put_any_value(b, type_at, abs(depth) - 1);
	}
	buf_putc(b, 0);
	int32_t len = (int32_t)(b->len - start);
	memcpy(b->data + start, &len, 4);
}

static void any_document_comes_back(void **state)
{
	struct buf bson, json, back;
	buf_init(&bson, 0);
	buf_init(&json, 0);
	buf_init(&back, MAX_DOCUMENT);
	for (int i = 0; i < 20000; i++) {
		const char *trouble;
		size_t at;
		bool bare;
		buf_reset(&bson);
		buf_reset(&json);
		put_any_document(&bson, 4);
		assert_true(doc_is_wellformed(bson.data, bson.len));
		canonical(&json, bson.data, bson.len);
		if (!read_pieces((const char *)json.data, json.len, 1 + below(40), &back, &trouble, &at, &bare))
			fail_msg("%s at %zu of %s", trouble, at, buf_cstr(&json));
		if (back.len != bson.len || memcmp(back.data, bson.data, bson.len) != 0)
			fail_msg("not the same: %s", buf_cstr(&json));
	}
	buf_free(&bson);
	buf_free(&json);
	buf_free(&back);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(canonical_forms),         cmocka_unit_test(relaxed_and_older_forms),
		cmocka_unit_test(what_is_no_wrapper),      cmocka_unit_test(odd_things_are_kept),
		cmocka_unit_test(what_is_no_json),         cmocka_unit_test(depth),
		cmocka_unit_test(size_is_bounded),         cmocka_unit_test(bare_numbers_are_noticed),
		cmocka_unit_test(any_document_comes_back),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

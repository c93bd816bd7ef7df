/* Filters without a server: what is refused, and by what name; what a filter is not allowed to lose. That it means
 * what MongoDB means is tested against one (tests/unit/source/test_filter_mongo.c). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "build.h"
#include "compare.h"
#include "extjson_read.h"
#include "filter.h"

/* BSON of a JSON text. */
static void read_json(const char *json, struct buf *out)
{
	struct extjson_input in = {.p = (const uint8_t *)json, .end = (const uint8_t *)json + strlen(json)};
	struct extjson_reader *r = extjson_reader_new();
	const char *trouble = "";
	buf_init(out, 0);
	if (!extjson_read(r, &in, out, &trouble))
		fail_msg("%s: %s", json, trouble);
	extjson_reader_free(r);
}

static struct filter *make(const char *json, char why[FILTER_WHY])
{
	struct buf b;
	read_json(json, &b);
	struct filter *f = filter_new(b.data, b.len, why);
	buf_free(&b); /* the filter has its own copy */
	return f;
}

static bool matches(const char *filter, const char *document)
{
	char why[FILTER_WHY] = "";
	struct buf b;
	struct filter *f = make(filter, why);
	if (f == NULL)
		fail_msg("%s: %s", filter, why);
	read_json(document, &b);
	bool yes = filter_matches(f, b.data, b.len);
	buf_free(&b);
	filter_free(f);
	return yes;
}

static void what_is_refused(void **state)
{
	static const struct {
		const char *filter, *why;
	} cases[] = {
		{"{\"a\": {\"$regex\": \"x\", \"$options\": \"i\"}}", "regular expression"},
		{"{\"a\": {\"$mod\": [4, 0]}}", "the operator $mod"},
		{"{\"$expr\": {}}", "the operator $expr"},
		{"{\"$where\": \"1\"}", "the operator $where"},
		{"{\"a\": {\"$gt\": 1, \"b\": 2}}", "operators beside the field b"},
		{"{\"a\": {\"$in\": 1}}", "$in and $nin without a list"},
		{"{\"a\": {\"$in\": [{\"$gt\": 1}]}}", "an operator inside $in"},
		{"{\"a\": {\"$all\": 1}}", "$all without a list"},
		{"{\"a\": {\"$all\": [{\"$gt\": 1}]}}", "an operator inside $all"},
		{"{\"a\": {\"$not\": 1}}", "$not without operators"},
		{"{\"a\": {\"$not\": {}}}", "$not without operators"},
		{"{\"a\": {\"$size\": -1}}", "$size without a whole number"},
		{"{\"a\": {\"$size\": 1.5}}", "$size without a whole number"},
		{"{\"a\": {\"$type\": \"text\"}}", "$type with text"},
		{"{\"a\": {\"$type\": 0}}", "$type without a type"},
		{"{\"a\": {\"$type\": []}}", "$type without a type"},
		{"{\"a\": {\"$elemMatch\": 1}}", "$elemMatch without a document"},
		{"{\"$and\": []}", "$and without a list of filters"},
		{"{\"$or\": [1]}", "$or with something that is no filter"},
		{"{\"a\": {\"$eq\": {\"$undefined\": true}}}", "a comparison with undefined"},
	};
	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		char why[FILTER_WHY] = "";
		struct filter *f = make(cases[i].filter, why);
		if (f != NULL || strstr(why, cases[i].why) == NULL)
			fail_msg("%s: %s", cases[i].filter, f != NULL ? "taken" : why);
	}
}

static void nested_too_deeply(void **state)
{
	char why[FILTER_WHY] = "";
	struct buf json;
	(void)state;
	buf_init(&json, 0);
	for (int i = 0; i < 300; i++)
		buf_puts(&json, "{\"$and\": [");
	buf_puts(&json, "{}");
	for (int i = 0; i < 300; i++)
		buf_puts(&json, "]}");
	assert_null(make(buf_cstr(&json), why));
	assert_non_null(strstr(why, "too deeply"));
	buf_free(&json);
}

/* It must become a reject, in whatever entry. */
static void a_damaged_document_matches(void **state)
{
	static const uint8_t damaged[] = {12, 0, 0, 0, 0x10, 'a', 0, 1, 0, 0};
	char why[FILTER_WHY];
	struct filter *f = make("{\"a\": 5}", why);
	(void)state;
	assert_true(filter_matches(f, damaged, sizeof damaged));
	filter_free(f);
}

static void some_that_are_easily_wrong(void **state)
{
	(void)state;
	assert_true(matches("{}", "{\"a\": 1}"));
	assert_true(matches("{\"a\": null}", "{}"));
	assert_false(matches("{\"a.b\": null}", "{\"a\": [1, 2]}"));
	assert_true(matches("{\"a.b\": null}", "{\"a\": [{\"b\": 1}, {}]}"));
	assert_true(matches("{\"a\": {\"$gt\": 1}}", "{\"a\": [0, 2]}"));
	assert_false(matches("{\"a\": {\"$gt\": 1}}", "{\"a\": \"2\"}"));
	assert_true(matches("{\"a\": {\"$ne\": 1}}", "{\"a\": 2}"));
	assert_false(matches("{\"a\": {\"$ne\": 1}}", "{\"a\": [1, 2]}"));
	assert_true(matches("{\"a\": {\"$not\": {\"$gt\": 1}}}", "{}"));
	assert_true(matches("{\"a.0.b\": 1}", "{\"a\": [{\"b\": 1}]}"));
	assert_true(matches("{\"a\": 1}", "{\"a\": {\"$numberDecimal\": \"1.00\"}}"));
	assert_false(matches("{\"a\": 0.1}", "{\"a\": {\"$numberDecimal\": \"0.1\"}}"));
	assert_false(matches("{\"a\": {\"b\": 1, \"c\": 2}}", "{\"a\": {\"c\": 2, \"b\": 1}}"));
	assert_true(matches("{\"a\": {\"$elemMatch\": {\"b\": 1, \"c\": 2}}}", "{\"a\": [{\"b\": 1, \"c\": 2}]}"));
	assert_false(matches("{\"a.b\": 1, \"a\": {\"$elemMatch\": {\"b\": 1, \"c\": 2}}}",
			     "{\"a\": [{\"b\": 1}, {\"c\": 2}]}"));
	assert_false(matches("{\"a\": {\"$all\": []}}", "{\"a\": []}"));
}

static void numbers_in_order(void **state)
{
	/* ascending; none equal */
	static const char *const texts[] = {
		"{\"$numberDouble\": \"NaN\"}",
		"{\"$numberDouble\": \"-Infinity\"}",
		"{\"$numberDecimal\": \"-9.999999999999999999999999999999999E+6144\"}",
		"{\"$numberDouble\": \"-1e308\"}",
		"{\"$numberLong\": \"-9223372036854775808\"}",
		"{\"$numberDouble\": \"-0.1\"}",
		"{\"$numberDecimal\": \"-1E-6176\"}",
		"{\"$numberInt\": \"0\"}",
		"{\"$numberDouble\": \"5e-324\"}",
		"{\"$numberDecimal\": \"0.1\"}",
		"{\"$numberDouble\": \"0.1\"}",
		"{\"$numberLong\": \"9007199254740992\"}",
		"{\"$numberLong\": \"9007199254740993\"}",
		"{\"$numberLong\": \"9223372036854775807\"}",
		"{\"$numberDouble\": \"9223372036854775808\"}",
		"{\"$numberDouble\": \"Infinity\"}",
	};
	enum { N = sizeof texts / sizeof texts[0] };
	struct buf docs[N];
	struct val v[N];
	char json[200];
	(void)state;
	for (int i = 0; i < N; i++) {
		snprintf(json, sizeof json, "{\"v\": %s}", texts[i]);
		read_json(json, &docs[i]);
		assert_true(doc_find(docs[i].data, docs[i].len, "v", &v[i]));
	}
	for (int i = 0; i < N; i++)
		for (int k = 0; k < N; k++) {
			int d = val_compare(&v[i], &v[k]);
			if ((d < 0) != (i < k) || (d > 0) != (i > k))
				fail_msg("%s against %s: %d", texts[i], texts[k], d);
		}
	for (int i = 0; i < N; i++)
		buf_free(&docs[i]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_refused),
		cmocka_unit_test(nested_too_deeply),
		cmocka_unit_test(a_damaged_document_matches),
		cmocka_unit_test(some_that_are_easily_wrong),
		cmocka_unit_test(numbers_in_order),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

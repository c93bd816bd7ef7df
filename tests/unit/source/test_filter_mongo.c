/* The evaluator of filters (doc/filter.h) against a real server: random documents of every BSON type x random
 * filters, and the two must name the same documents. MONGODB_URI names the server; without it the program is skipped.
 *
 * DOCROW_FILTER_ROUNDS (filters) and DOCROW_FILTER_SEED make longer searches. A filter that one side refuses and the
 * other takes fails, too, but for what the evaluator says that it does not know.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <mongoc/mongoc.h>

#include "filter.h"

#define DOCUMENTS 250
#define ROUNDS    2500

static uint64_t state;

static uint32_t rnd(uint32_t n)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return (uint32_t)(state >> 33) % n;
}

static const char *pick_key(void)
{
	static const char *const keys[] = {"a", "a", "a", "b", "b", "c", "0", "1", ""};
	return keys[rnd(8)];
}

static void pick_path(char out[32])
{
	int n = 1 + (int)rnd(3);
	out[0] = '\0';
	strcat(out, rnd(8) == 0 ? "b" : "a");
	for (int i = 1; i < n; i++) {
		strcat(out, ".");
		strcat(out, pick_key());
	}
}

/* ---- values ---- */

static void append_value(bson_t *to, const char *key, int depth);

static void append_double(bson_t *to, const char *key)
{
	static const double values[] = {0.0,
					-0.0,
					1.0,
					2.0,
					0.1,
					1.5,
					-1.0,
					9007199254740993.0,
					9.3e18,
					-9.3e18,
					9223372036854775807.0,
					1e300,
					NAN,
					INFINITY,
					-INFINITY,
					5e-324,
					0.30000000000000004};
	BSON_APPEND_DOUBLE(to, key, values[rnd(sizeof values / sizeof values[0])]);
}

static void append_integer(bson_t *to, const char *key)
{
	static const int64_t values[] = {0, 1, 2, -1, 5, 9007199254740993, 9007199254740992, INT64_MAX, INT64_MIN};
	if (rnd(2) == 0)
		BSON_APPEND_INT32(to, key, (int32_t)rnd(3));
	else
		BSON_APPEND_INT64(to, key, values[rnd(9)]);
}

static void append_decimal(bson_t *to, const char *key)
{
	static const char *const texts[] = {"0",
					    "1",
					    "1.00",
					    "0.1",
					    "-1",
					    "1E+2",
					    "NaN",
					    "-0E-3",
					    "1.5",
					    "2",
					    "9007199254740993",
					    "Infinity",
					    "-Infinity",
					    "0.1000000000000000055511151231257827",
					    "1E-6176",
					    "9.999999999999999999999999999999999E+6144"};
	bson_decimal128_t d;
	assert_true(bson_decimal128_from_string(texts[rnd(16)], &d));
	BSON_APPEND_DECIMAL128(to, key, &d);
}

static void append_text(bson_t *to, const char *key)
{
	static const char *const texts[] = {"", "a", "b", "ab", "x\0y", "zebra", "1", "\xc3\xa9"};
	uint32_t i = rnd(8);
	bson_append_utf8(to, key, -1, texts[i], i == 4 ? 3 : (int)strlen(texts[i]));
}

static void append_binary(bson_t *to, const char *key)
{
	static const uint8_t bytes[4] = {0, 1, 2, 255};
	bson_append_binary(to, key, -1, rnd(2) == 0 ? BSON_SUBTYPE_BINARY : BSON_SUBTYPE_USER, bytes + rnd(2),
			   rnd(4));
}

static void append_oid(bson_t *to, const char *key)
{
	bson_oid_t oid;
	bson_oid_init_from_string(&oid, rnd(2) == 0 ? "507f1f77bcf86cd799439011" : "507f1f77bcf86cd799439012");
	BSON_APPEND_OID(to, key, &oid);
}

static void append_rare(bson_t *to, const char *key)
{
	static const char *const codes[] = {"f", "g", "ff"};
	bson_oid_t oid;
	bson_t scope = BSON_INITIALIZER;
	const char *code = codes[rnd(3)];
	bson_oid_init_from_string(&oid, "507f1f77bcf86cd799439011");
	BSON_APPEND_INT32(&scope, "a", (int32_t)rnd(2));
	switch (rnd(8)) {
	case 0:
		BSON_APPEND_MINKEY(to, key);
		break;
	case 1:
		BSON_APPEND_MAXKEY(to, key);
		break;
	case 2:
		BSON_APPEND_TIMESTAMP(to, key, rnd(2) == 0 ? 1 : 0xf0000000u, rnd(2));
		break;
	case 3:
		BSON_APPEND_CODE(to, key, code);
		break;
	case 4:
		BSON_APPEND_SYMBOL(to, key, code);
		break;
	case 5:
		BSON_APPEND_CODE_WITH_SCOPE(to, key, code, &scope);
		break;
	case 6:
		BSON_APPEND_DBPOINTER(to, key, code, &oid);
		break;
	default:
		BSON_APPEND_REGEX(to, key, code, rnd(2) == 0 ? "" : "i");
	}
	bson_destroy(&scope);
}

static void append_list(bson_t *to, const char *key, int depth)
{
	bson_t list;
	char name[12];
	uint32_t n = rnd(4);
	BSON_APPEND_ARRAY_BEGIN(to, key, &list);
	for (uint32_t i = 0; i < n; i++) {
		snprintf(name, sizeof name, "%u", i);
		append_value(&list, name, depth - 1);
	}
	bson_append_array_end(to, &list);
}

static void append_fields(bson_t *to, int depth)
{
	static const char *const keys[] = {"a", "b", "c", "0", "1"};
	for (uint32_t i = 0; i < 5; i++)
		if (rnd(i < 2 ? 2 : 4) == 0)
			append_value(to, keys[i], depth - 1);
}

static void append_object(bson_t *to, const char *key, int depth)
{
	bson_t sub;
	BSON_APPEND_DOCUMENT_BEGIN(to, key, &sub);
	append_fields(&sub, depth);
	bson_append_document_end(to, &sub);
}

static void append_value(bson_t *to, const char *key, int depth)
{
	uint32_t kind = rnd(depth > 0 ? 24 : 13);
	if (kind >= 18)
		append_list(to, key, depth);
	else if (kind >= 13)
		append_object(to, key, depth);
	else if (kind < 3)
		append_integer(to, key);
	else if (kind < 5)
		append_double(to, key);
	else if (kind == 5)
		append_decimal(to, key);
	else if (kind < 8)
		append_text(to, key);
	else if (kind == 8)
		append_binary(to, key);
	else if (kind == 9)
		append_oid(to, key);
	else if (kind == 10)
		append_rare(to, key);
	else if (kind == 11)
		rnd(3) == 0 ? BSON_APPEND_UNDEFINED(to, key) : BSON_APPEND_NULL(to, key);
	else
		rnd(2) == 0 ? BSON_APPEND_BOOL(to, key, rnd(2) == 0)
			    : BSON_APPEND_DATE_TIME(to, key, (int64_t)rnd(3) - 1);
}

/* ---- filters ---- */

static void append_filter(bson_t *to, int depth);
static void append_operators(bson_t *to, int depth);

static void append_values(bson_t *to, const char *key)
{
	bson_t list;
	char name[12];
	uint32_t n = rnd(4);
	BSON_APPEND_ARRAY_BEGIN(to, key, &list);
	for (uint32_t i = 0; i < n; i++) {
		snprintf(name, sizeof name, "%u", i);
		append_value(&list, name, 1);
	}
	bson_append_array_end(to, &list);
}

static void append_type(bson_t *to)
{
	static const char *const words[] = {"number",   "string",    "object",  "array",  "null", "int",
					    "long",     "double",    "decimal", "bool",   "date", "regex",
					    "objectId", "undefined", "minKey",  "binData"};
	bson_t list;
	const char *word = words[rnd(16)]; /* the macros use what they are given twice */
	if (rnd(3) == 0) {
		BSON_APPEND_ARRAY_BEGIN(to, "$type", &list);
		BSON_APPEND_UTF8(&list, "0", word);
		BSON_APPEND_INT32(&list, "1", 1 + (int32_t)rnd(19));
		bson_append_array_end(to, &list);
	} else if (rnd(2) == 0) {
		BSON_APPEND_UTF8(to, "$type", word);
	} else {
		BSON_APPEND_INT32(to, "$type", rnd(5) == 0 ? 127 : rnd(5) == 0 ? -1 : 1 + (int32_t)rnd(19));
	}
}

static void append_all(bson_t *to, int depth)
{
	bson_t list, one, inner;
	if (rnd(3) != 0) {
		append_values(to, "$all");
		return;
	}
	BSON_APPEND_ARRAY_BEGIN(to, "$all", &list);
	BSON_APPEND_DOCUMENT_BEGIN(&list, "0", &one);
	BSON_APPEND_DOCUMENT_BEGIN(&one, "$elemMatch", &inner);
	append_operators(&inner, depth - 1);
	bson_append_document_end(&one, &inner);
	bson_append_document_end(&list, &one);
	bson_append_array_end(to, &list);
}

static void append_operator(bson_t *to, int depth)
{
	static const char *const compare[] = {"$eq", "$ne", "$lt", "$lte", "$gt", "$gte"};
	bson_t sub;
	uint32_t kind = rnd(depth > 0 ? 18 : 13);
	if (kind < 7) {
		append_value(to, compare[rnd(6)], 2);
	} else if (kind < 9) {
		append_values(to, rnd(2) == 0 ? "$in" : "$nin");
	} else if (kind == 9) {
		append_value(to, "$exists", 0);
	} else if (kind < 12) {
		append_type(to);
	} else if (kind == 12) {
		BSON_APPEND_INT32(to, "$size", (int32_t)rnd(4));
	} else if (kind == 13) {
		append_all(to, depth);
	} else if (kind < 16) {
		BSON_APPEND_DOCUMENT_BEGIN(to, "$elemMatch", &sub);
		rnd(2) == 0 ? append_operators(&sub, depth - 1) : append_filter(&sub, depth - 1);
		bson_append_document_end(to, &sub);
	} else {
		BSON_APPEND_DOCUMENT_BEGIN(to, "$not", &sub);
		append_operators(&sub, depth - 1);
		bson_append_document_end(to, &sub);
	}
}

static void append_operators(bson_t *to, int depth)
{
	uint32_t n = 1 + (rnd(3) == 0);
	for (uint32_t i = 0; i < n; i++)
		append_operator(to, depth);
}

static void append_logical(bson_t *to, int depth)
{
	static const char *const words[] = {"$and", "$or", "$nor"};
	bson_t list, one;
	uint32_t n = 1 + rnd(2);
	char name[12];
	const char *word = words[rnd(3)];
	BSON_APPEND_ARRAY_BEGIN(to, word, &list);
	for (uint32_t i = 0; i < n; i++) {
		snprintf(name, sizeof name, "%u", i);
		BSON_APPEND_DOCUMENT_BEGIN(&list, name, &one);
		append_filter(&one, depth - 1);
		bson_append_document_end(&list, &one);
	}
	bson_append_array_end(to, &list);
}

static void append_filter(bson_t *to, int depth)
{
	uint32_t n = rnd(12) == 0 ? 0 : 1 + (rnd(4) == 0);
	char path[32];
	bson_t sub;
	for (uint32_t i = 0; i < n; i++) {
		if (depth > 0 && rnd(5) == 0) {
			append_logical(to, depth);
			continue;
		}
		pick_path(path);
		if (rnd(3) == 0) {
			append_value(to, path, 2);
			continue;
		}
		BSON_APPEND_DOCUMENT_BEGIN(to, path, &sub);
		append_operators(&sub, depth);
		bson_append_document_end(to, &sub);
	}
}

/* ---- the two answers ---- */

static mongoc_client_t *client;
static mongoc_collection_t *collection;
static char database[64];
static bson_t *documents[DOCUMENTS];
static size_t matches;

static void make_documents(void)
{
	bson_error_t e;
	for (int i = 0; i < DOCUMENTS; i++) {
		documents[i] = bson_new();
		BSON_APPEND_INT32(documents[i], "_id", i);
		if (i > 0)
			append_fields(documents[i], 4);
		if (!mongoc_collection_insert_one(collection, documents[i], NULL, NULL, &e))
			fail_msg("%s", e.message);
	}
}

/* False: the server refuses the filter. */
static bool ask_server(const bson_t *filter, bool found[DOCUMENTS])
{
	bson_t opts = BSON_INITIALIZER, projection;
	const bson_t *doc;
	bson_iter_t it;
	bson_error_t e;
	memset(found, 0, DOCUMENTS * sizeof *found);
	BSON_APPEND_DOCUMENT_BEGIN(&opts, "projection", &projection);
	BSON_APPEND_INT32(&projection, "_id", 1);
	bson_append_document_end(&opts, &projection);
	BSON_APPEND_INT32(&opts, "batchSize", DOCUMENTS + 1);
	mongoc_cursor_t *cursor = mongoc_collection_find_with_opts(collection, filter, &opts, NULL);
	while (mongoc_cursor_next(cursor, &doc))
		if (bson_iter_init_find(&it, doc, "_id"))
			found[bson_iter_int32(&it)] = true;
	bool ok = !mongoc_cursor_error(cursor, &e);
	mongoc_cursor_destroy(cursor);
	bson_destroy(&opts);
	return ok;
}

static char *text_of(const bson_t *b)
{
	return bson_as_canonical_extended_json(b, NULL);
}

static void compare(const bson_t *filter, size_t *checked, size_t *refused)
{
	static bool found[DOCUMENTS];
	char why[FILTER_WHY] = "";
	bool taken = ask_server(filter, found);
	struct filter *f = filter_new(bson_get_data(filter), filter->len, why);
	if (f == NULL) {
		/* Regular expressions and comparisons with undefined are the only things in here that are not known.
		 */
		if (taken && strstr(why, "regular expression") == NULL && strstr(why, "undefined") == NULL)
			fail_msg("not evaluated (%s): %s", why, text_of(filter));
		++*refused;
		return;
	}
	if (!taken)
		fail_msg("the server refuses %s", text_of(filter));
	for (int i = 0; i < DOCUMENTS; i++) {
		bool mine = filter_matches(f, bson_get_data(documents[i]), documents[i]->len);
		matches += mine;
		if (mine != found[i])
			fail_msg("filter %s: the server %s %s", text_of(filter),
				 found[i] ? "matches" : "does not match", text_of(documents[i]));
	}
	filter_free(f);
	++*checked;
}

static uint64_t setting(const char *name, uint64_t otherwise)
{
	const char *text = getenv(name);
	return text != NULL ? strtoull(text, NULL, 10) : otherwise;
}

static void as_the_server_does(void **unused)
{
	(void)unused;
	size_t checked = 0, refused = 0;
	matches = 0;
	uint64_t rounds = setting("DOCROW_FILTER_ROUNDS", ROUNDS);
	state = setting("DOCROW_FILTER_SEED", 20261125) * 2654435769u + 1;
	make_documents();
	for (uint64_t i = 0; i < rounds; i++) {
		bson_t filter = BSON_INITIALIZER;
		append_filter(&filter, 3);
		compare(&filter, &checked, &refused);
		bson_destroy(&filter);
	}
	print_message("%zu filters compared, %zu matches, %zu refused\n", checked, matches, refused);
	assert_true(checked > rounds / 2);
	assert_true(matches > checked * DOCUMENTS / 20); /* not a test of filters that match nothing */
	for (int i = 0; i < DOCUMENTS; i++)
		bson_destroy(documents[i]);
}

int main(void)
{
	const char *uri = getenv("MONGODB_URI");
	if (uri == NULL || *uri == '\0') {
		puts("skipped: MONGODB_URI is not set");
		return 77;
	}
	mongoc_init();
	client = mongoc_client_new(uri);
	snprintf(database, sizeof database, "docrow_filter_%d", (int)getpid());
	collection = mongoc_client_get_collection(client, database, "c");
	const struct CMUnitTest tests[] = {cmocka_unit_test(as_the_server_does)};
	int failed = cmocka_run_group_tests(tests, NULL, NULL);
	mongoc_collection_drop(collection, NULL);
	mongoc_collection_destroy(collection);
	mongoc_client_destroy(client);
	mongoc_cleanup();
	return failed;
}

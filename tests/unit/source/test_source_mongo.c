/* The live source against a real server: MONGODB_URI names it (a replica set, MongoDB 4.0 or later, a user that may
 * create databases); without it the program is skipped (exit 77). The tests use a database of their own and drop it.
 */
#include <inttypes.h>
#include <pthread.h>
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

#include "doc.h"
#include "source.h"
#include "sys.h"

static struct {
	const char *uri;
	char db[64];
	mongoc_client_t *client;
	struct source *source;
	int major;
	bool test_commands;
} env;

/* ---- documents as a bag of bytes ---- */

struct bag {
	struct buf *docs;
	size_t n, cap;
};

static void bag_add(struct bag *b, const uint8_t *doc, size_t len)
{
	if (b->n == b->cap) {
		b->cap = b->cap ? b->cap * 2 : 256;
		b->docs = mem_realloc(b->docs, b->cap * sizeof(*b->docs));
	}
	buf_init(&b->docs[b->n], 0);
	buf_put(&b->docs[b->n++], doc, len);
}

static void bag_free(struct bag *b)
{
	for (size_t i = 0; i < b->n; i++)
		buf_free(&b->docs[i]);
	free(b->docs);
	*b = (struct bag){0};
}

static int by_bytes(const void *pa, const void *pb)
{
	const struct buf *a = pa, *b = pb;
	int c = memcmp(a->data, b->data, a->len < b->len ? a->len : b->len);
	return c ? c : (a->len > b->len) - (a->len < b->len);
}

static void assert_same(struct bag *a, struct bag *b)
{
	assert_int_equal(a->n, b->n);
	if (a->n == 0)
		return;
	qsort(a->docs, a->n, sizeof(*a->docs), by_bytes);
	qsort(b->docs, b->n, sizeof(*b->docs), by_bytes);
	for (size_t i = 0; i < a->n; i++)
		assert_int_equal(by_bytes(&a->docs[i], &b->docs[i]), 0);
}

/* ---- the server, asked directly ---- */

static mongoc_collection_t *direct(const char *name)
{
	return mongoc_client_get_collection(env.client, env.db, name);
}

static void read_directly(const char *name, struct bag *out)
{
	const bson_t *doc;
	bson_error_t e;
	bson_t everything = BSON_INITIALIZER;
	mongoc_collection_t *coll = direct(name);
	mongoc_cursor_t *cursor = mongoc_collection_find_with_opts(coll, &everything, NULL, NULL);
	while (mongoc_cursor_next(cursor, &doc))
		bag_add(out, bson_get_data(doc), doc->len);
	assert_false(mongoc_cursor_error(cursor, &e));
	mongoc_cursor_destroy(cursor);
	mongoc_collection_destroy(coll);
	bson_destroy(&everything);
}

static bool run_on(const char *db, const char *json)
{
	bson_error_t e;
	bson_t reply;
	bson_t *command = bson_new_from_json((const uint8_t *)json, -1, &e);
	assert_non_null(command);
	bool ok = mongoc_client_command_simple(env.client, db, command, NULL, &reply, &e);
	bson_destroy(&reply);
	bson_destroy(command);
	return ok;
}

static bool run(const char *json)
{
	return run_on(env.db, json);
}

static void insert(mongoc_collection_t *coll, bson_t *doc)
{
	bson_error_t e;
	if (!mongoc_collection_insert_one(coll, doc, NULL, NULL, &e))
		fail_msg("insert: %s", e.message);
	bson_destroy(doc);
}

/* ---- the source ---- */

struct ranges {
	struct bag bounds;
	uint64_t est_docs;
};

static bool keep_range(void *ctx, const struct source_range *range, struct err *err)
{
	struct ranges *r = ctx;
	bag_add(&r->bounds, range->bounds, range->bounds_len);
	r->est_docs += range->est_docs;
	return true;
}

static void check(bool ok, const struct err *err)
{
	if (!ok)
		fail_msg("%s: %s (%s)", err_code_text(err->code), err->message, err->detail);
}

static uint64_t read_all(struct source_reader *r, struct bag *out)
{
	struct err err;
	const uint8_t *doc;
	size_t len;
	uint64_t n = 0;
	int got;
	while ((got = source_next(r, &doc, &len, &err)) == 1) {
		bag_add(out, doc, len);
		n++;
	}
	check(got == 0, &err);
	return n;
}

/* Reads by ranges; chunk_docs > 0: every range but the last holds exactly that many. Returns the number of ranges. */
static size_t read_in_ranges(struct source *s, const char *name, uint64_t chunk_docs, uint64_t chunk_bytes,
			     bool exact, struct bag *out)
{
	struct err err;
	struct ranges ranges = {0};
	struct source_reader *r;
	check(source_split(s, name, chunk_docs, chunk_bytes, keep_range, &ranges, &err), &err);
	check(source_reader_open(&r, s, &err), &err);
	for (size_t i = 0; i < ranges.bounds.n; i++) {
		const struct buf *b = &ranges.bounds.docs[i];
		check(source_read(r, name, b->data, b->len, &err), &err);
		uint64_t n = read_all(r, out);
		if (exact && i + 1 < ranges.bounds.n)
			assert_int_equal(n, chunk_docs);
		else if (exact)
			assert_true(n <= chunk_docs);
	}
	source_reader_close(r);
	size_t n = ranges.bounds.n;
	bag_free(&ranges.bounds);
	return n;
}

static void assert_whole(const char *name, uint64_t chunk_docs, bool exact)
{
	struct bag want = {0}, got = {0};
	struct err err;
	uint64_t n;
	read_directly(name, &want);
	read_in_ranges(env.source, name, chunk_docs, 16 << 20, exact, &got);
	check(source_count(env.source, name, &n, &err), &err);
	assert_int_equal(n, want.n);
	assert_same(&want, &got);
	bag_free(&want);
	bag_free(&got);
}

/* ---- collections with _ids of every type ---- */

static void append_decimal(bson_t *doc, unsigned i)
{
	char text[32];
	bson_decimal128_t d;
	snprintf(text, sizeof(text), "%u.25", i);
	assert_true(bson_decimal128_from_string(text, &d));
	BSON_APPEND_DECIMAL128(doc, "_id", &d);
}

static void append_oid(bson_t *doc, unsigned i)
{
	bson_oid_t oid;
	char hex[25];
	snprintf(hex, sizeof(hex), "507f1f77bcf86cd7994%05x", i & 0xfffff);
	bson_oid_init_from_string(&oid, hex);
	BSON_APPEND_OID(doc, "_id", &oid);
}

static void append_sub(bson_t *doc, unsigned i)
{
	bson_t sub;
	BSON_APPEND_DOCUMENT_BEGIN(doc, "_id", &sub);
	BSON_APPEND_INT32(&sub, i % 2 ? "a" : "b", (int32_t)i);
	BSON_APPEND_UTF8(&sub, "c", "x");
	bson_append_document_end(doc, &sub);
}

static void append_text(bson_t *doc, unsigned i)
{
	char text[64];
	snprintf(text, sizeof(text), "%s-%u", i % 3 ? "text" : "\xc3\x84\xf0\x9f\x98\x80", i);
	BSON_APPEND_UTF8(doc, "_id", text);
}

static void append_binary(bson_t *doc, unsigned i)
{
	uint8_t data[16] = {(uint8_t)(i >> 8), (uint8_t)i};
	BSON_APPEND_BINARY(doc, "_id", i % 2 ? BSON_SUBTYPE_UUID : BSON_SUBTYPE_BINARY, data, i % 2 ? 16 : 5);
}

static void append_once(bson_t *doc, unsigned i)
{
	switch (i) {
	case 0:
		BSON_APPEND_NULL(doc, "_id");
		break;
	case 1:
		BSON_APPEND_MINKEY(doc, "_id");
		break;
	case 2:
		BSON_APPEND_MAXKEY(doc, "_id");
		break;
	case 3:
		BSON_APPEND_BOOL(doc, "_id", true);
		break;
	case 4:
		BSON_APPEND_BOOL(doc, "_id", false);
		break;
	case 5:
		BSON_APPEND_SYMBOL(doc, "_id", "symbol");
		break;
	case 6:
		BSON_APPEND_CODE(doc, "_id", "function() {}");
		break;
	case 7:
		BSON_APPEND_DOUBLE(doc, "_id", -1.0 / 0.0);
		break;
	case 8:
		BSON_APPEND_DOUBLE(doc, "_id", 0.0 / 0.0);
		break;
	default:
		BSON_APPEND_UTF8(doc, "_id", "");
	}
}

#define ONCE 10

static bson_t *mixed_document(unsigned i)
{
	bson_t *doc = bson_new();
	if (i < ONCE)
		append_once(doc, i);
	else
		switch (i % 9) {
		case 0:
			append_oid(doc, i);
			break;
		case 1:
			append_text(doc, i);
			break;
		case 2:
			BSON_APPEND_INT32(doc, "_id", (int32_t)i - 500);
			break;
		case 3:
			BSON_APPEND_DOUBLE(doc, "_id", i - 500.5);
			break;
		case 4:
			append_decimal(doc, i);
			break;
		case 5:
			append_binary(doc, i);
			break;
		case 6:
			BSON_APPEND_DATE_TIME(doc, "_id", ((int64_t)i - 500) * 1000000);
			break;
		case 7:
			append_sub(doc, i);
			break;
		default:
			if (i % 2)
				BSON_APPEND_TIMESTAMP(doc, "_id", i, i);
			else
				BSON_APPEND_INT64(doc, "_id", ((int64_t)1 << 40) + i);
		}
	BSON_APPEND_INT32(doc, "n", (int32_t)i);
	return doc;
}

static void fill_mixed(const char *name, unsigned n)
{
	mongoc_collection_t *coll = direct(name);
	for (unsigned i = 0; i < n; i++)
		insert(coll, mixed_document(i));
	mongoc_collection_destroy(coll);
}

static void fill_plain(const char *name, unsigned n)
{
	mongoc_collection_t *coll = direct(name);
	for (unsigned i = 0; i < n; i++)
		insert(coll, BCON_NEW("_id", BCON_INT32((int32_t)i), "text", "some text"));
	mongoc_collection_destroy(coll);
}

/* ---- tests ---- */

static void every_type_at_every_size(void **state)
{
	fill_mixed("small", 31);
	for (uint64_t size = 1; size <= 33; size++)
		assert_whole("small", size, true);
}

static void thousand_mixed_ids(void **state)
{
	static const uint64_t sizes[] = {1, 2, 3, 7, 10, 64, 333, 499, 500, 501, 999, 1000, 1001, 1000000};
	fill_mixed("mixed", 1000);
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
		assert_whole("mixed", sizes[i], true);
	struct bag want = {0}, got = {0};
	read_directly("mixed", &want);
	size_t n = read_in_ranges(env.source, "mixed", 0, 1000, false, &got);
	assert_true(n > 10);
	assert_same(&want, &got);
	bag_free(&want);
	bag_free(&got);
}

static void one_special_id(void **state)
{
	for (unsigned i = 0; i < ONCE; i++) {
		char name[32];
		snprintf(name, sizeof(name), "one_%u", i);
		mongoc_collection_t *coll = direct(name);
		insert(coll, mixed_document(i));
		mongoc_collection_destroy(coll);
		assert_whole(name, 1, true);
		assert_whole(name, 2, true);
		assert_whole(name, 0, false);
	}
}

static void minkey_and_maxkey_alone(void **state)
{
	mongoc_collection_t *coll = direct("ends");
	insert(coll, mixed_document(1));
	insert(coll, mixed_document(2));
	mongoc_collection_destroy(coll);
	for (uint64_t size = 0; size < 4; size++)
		assert_whole("ends", size, size > 0);
}

static void empty_collection_gives_one_range(void **state)
{
	struct bag got = {0};
	assert_true(run("{\"create\": \"empty\"}"));
	assert_int_equal(read_in_ranges(env.source, "empty", 0, 1 << 20, false, &got), 1);
	assert_int_equal(read_in_ranges(env.source, "empty", 5, 0, false, &got), 1);
	assert_int_equal(got.n, 0);
}

static void names_with_anything_in_them(void **state)
{
	static const char *const names[] = {"with.dots", "with spaces ", "\xc3\xbc\xf0\x9f\x98\x80", "a%2Fb",
					    "\"quoted\""};
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		fill_plain(names[i], 5);
		assert_whole(names[i], 2, true);
	}
}

static void kinds_other_than_collections(void **state)
{
	assert_true(run("{\"create\": \"capped\", \"capped\": true, \"size\": 1000000}"));
	fill_plain("capped", 25);
	assert_whole("capped", 4, true);
	fill_plain("base", 50);
	assert_true(run("{\"create\": \"view\", \"viewOn\": \"base\", \"pipeline\": [{\"$match\": {\"_id\": "
			"{\"$lt\": 20}}}]}"));
	assert_whole("view", 4, false);
	assert_true(run("{\"create\": \"doubled\", \"viewOn\": \"base\", \"pipeline\": [{\"$set\": {\"_id\": 1}}]}"));
	assert_whole("doubled", 4, false);
	if (env.major >= 5) {
		assert_true(run("{\"create\": \"series\", \"timeseries\": {\"timeField\": \"t\"}}"));
		mongoc_collection_t *coll = direct("series");
		for (int i = 0; i < 30; i++)
			insert(coll, BCON_NEW("_id", BCON_INT32(i % 3), "t", BCON_DATE_TIME(1700000000000 + i)));
		mongoc_collection_destroy(coll);
		assert_whole("series", 4, false);
	}
	if (env.major >= 6) {
		assert_true(run("{\"create\": \"clustered\", \"clusteredIndex\": {\"key\": {\"_id\": 1}, \"unique\": "
				"true}}"));
		fill_mixed("clustered", 40);
		for (uint64_t size = 1; size < 8; size++)
			assert_whole("clustered", size, false);
	}
}

static void collated_collection(void **state)
{
	assert_true(run("{\"create\": \"collated\", \"collation\": {\"locale\": \"de\", \"strength\": 2}}"));
	mongoc_collection_t *coll = direct("collated");
	static const char *const ids[] = {"b", "\xc3\xa4", "a", "z", "Z1", "zz", "B1", "\xc3\x84-1", "0"};
	for (size_t i = 0; i < sizeof(ids) / sizeof(ids[0]); i++)
		insert(coll, BCON_NEW("_id", ids[i]));
	insert(coll, mixed_document(2));
	mongoc_collection_destroy(coll);
	for (uint64_t size = 1; size < 12; size++)
		assert_whole("collated", size, true);
}

/* 210,000 small documents: more than are walked; borders come from $sample. */
static void sampled_borders(void **state)
{
	mongoc_collection_t *coll = direct("many");
	for (int i = 0; i < 21; i++) {
		bson_error_t e;
		mongoc_bulk_operation_t *bulk = mongoc_collection_create_bulk_operation_with_opts(coll, NULL);
		for (int j = 0; j < 10000; j++) {
			bson_t *doc = BCON_NEW("n", BCON_INT32(i * 10000 + j));
			mongoc_bulk_operation_insert(bulk, doc);
			bson_destroy(doc);
		}
		assert_true(mongoc_bulk_operation_execute(bulk, NULL, &e));
		mongoc_bulk_operation_destroy(bulk);
	}
	for (unsigned i = 0; i < ONCE; i++)
		insert(coll, mixed_document(i));
	mongoc_collection_destroy(coll);
	struct bag want = {0}, got = {0};
	read_directly("many", &want);
	size_t n = read_in_ranges(env.source, "many", 0, 1 << 18, false, &got);
	assert_in_range(n, 10, 100);
	assert_same(&want, &got);
	bag_free(&want);
	bag_free(&got);
}

static const struct source_collection *find_collection(const struct source_collection *all, size_t n,
						       const char *name)
{
	for (size_t i = 0; i < n; i++)
		if (strcmp(all[i].name, name) == 0)
			return &all[i];
	return NULL;
}

static void list_of_collections(void **state)
{
	struct err err;
	struct source_collection *all;
	size_t n;
	struct arena *a = arena_new();
	check(source_collections(env.source, a, &all, &n, &err), &err);
	for (size_t i = 1; i < n; i++)
		assert_true(strcmp(all[i - 1].name, all[i].name) < 0);
	const struct source_collection *c = find_collection(all, n, "mixed");
	assert_non_null(c);
	assert_int_equal(c->kind, SOURCE_COLLECTION);
	assert_int_equal(c->est_docs, 1000);
	assert_in_range(c->est_bytes, 20000, 100000);
	assert_false(c->skipped);
	static const uint8_t zero[16];
	assert_memory_not_equal(c->uuid, zero, 16);
	c = find_collection(all, n, "system.views");
	assert_true(c && c->skipped);
	assert_int_equal(find_collection(all, n, "view")->kind, SOURCE_VIEW);
	assert_int_equal(find_collection(all, n, "capped")->kind, SOURCE_CAPPED);
	if (env.major >= 5)
		assert_int_equal(find_collection(all, n, "series")->kind, SOURCE_TIMESERIES);
	if (env.major >= 6)
		assert_int_equal(find_collection(all, n, "clustered")->kind, SOURCE_CLUSTERED);
	arena_free(a);
}

static void identity_is_the_collections(void **state)
{
	struct err err;
	struct buf a, b;
	buf_init(&a, 0);
	buf_init(&b, 0);
	fill_plain("again", 1);
	check(source_collection_identity(env.source, "again", &a, &err), &err);
	check(source_collection_identity(env.source, "again", &b, &err), &err);
	assert_string_equal(buf_cstr(&a), buf_cstr(&b));
	assert_true(run("{\"drop\": \"again\"}"));
	fill_plain("again", 1);
	buf_reset(&b);
	check(source_collection_identity(env.source, "again", &b, &err), &err);
	assert_string_not_equal(buf_cstr(&a), buf_cstr(&b));
	buf_free(&a);
	buf_free(&b);
	assert_string_equal(source_database(env.source), env.db);
	assert_non_null(strstr(source_describe(env.source), env.db));
}

static void missing_collection_is_told(void **state)
{
	struct err err;
	uint64_t n;
	struct ranges ranges = {0};
	assert_false(source_count(env.source, "nowhere", &n, &err));
	assert_int_equal(err.code, ERR_COLLECTION_MISSING);
	assert_false(source_split(env.source, "nowhere", 1, 0, keep_range, &ranges, &err));
	assert_int_equal(err.code, ERR_COLLECTION_MISSING);
}

static bool refuse_range(void *ctx, const struct source_range *range, struct err *err)
{
	int *left = ctx;
	return (*left)-- > 0 || err_set(err, ERR_STOPPED, "enough");
}

static void split_stops_when_told(void **state)
{
	struct err err;
	int left = 3;
	assert_false(source_split(env.source, "mixed", 1, 0, refuse_range, &left, &err));
	assert_int_equal(err.code, ERR_STOPPED);
}

static size_t take_ids(const struct bag *docs, struct bag *ids)
{
	for (size_t i = 0; i < docs->n; i++) {
		struct val id;
		uint8_t out[512];
		assert_true(doc_find(docs->docs[i].data, docs->docs[i].len, "_id", &id));
		bag_add(ids, out, doc_wrap("_id", &id, out));
	}
	return ids->n;
}

static void read_by_ids(const char *name, const struct bag *ids, struct bag *out)
{
	struct err err;
	struct source_reader *r;
	const uint8_t **list = mem_alloc((ids->n + 1) * sizeof(*list));
	size_t *lens = mem_alloc((ids->n + 1) * sizeof(*lens));
	for (size_t i = 0; i < ids->n; i++) {
		list[i] = ids->docs[i].data;
		lens[i] = ids->docs[i].len;
	}
	check(source_reader_open(&r, env.source, &err), &err);
	check(source_read_ids(r, name, list, lens, ids->n, &err), &err);
	read_all(r, out);
	source_reader_close(r);
	free(list);
	free(lens);
}

static void documents_by_id(void **state)
{
	struct bag all = {0}, ids = {0}, got = {0};
	mongoc_collection_t *coll = direct("by_id");
	for (unsigned i = 0; i < 1000; i++)
		insert(coll, mixed_document(i));
	for (int i = 0; i < 3; i++)
		insert(coll, BCON_NEW("_id", "{", "$ref", "x", "$id", BCON_INT32(i), "}"));
	for (int i = 0; i < 1500; i++)
		insert(coll, BCON_NEW("_id", BCON_INT32(i + 10000)));
	mongoc_collection_destroy(coll);
	read_directly("by_id", &all);
	assert_int_equal(take_ids(&all, &ids), 2503);
	bson_t *unknown = BCON_NEW("_id", "no such id");
	bag_add(&ids, bson_get_data(unknown), unknown->len);
	bson_destroy(unknown);
	read_by_ids("by_id", &ids, &got);
	assert_same(&all, &got);
	bag_free(&ids);
	bag_free(&got);
	read_by_ids("by_id", &ids, &got);
	assert_int_equal(got.n, 0);
	bag_free(&all);
}

static void fill_big(const char *name, int n)
{
	mongoc_collection_t *coll = direct(name);
	char *text = mem_alloc(1 << 20);
	memset(text, 'x', 1 << 20);
	for (int i = 0; i < n; i++) {
		bson_t *doc = BCON_NEW("_id", BCON_INT32(i));
		bson_append_utf8(doc, "t", 1, text, (1 << 20) - 1);
		insert(coll, doc);
	}
	free(text);
	mongoc_collection_destroy(coll);
}

/* Two and a half batches of 16 MB; every cursor of the server is killed after the first document and the 20th. */
static void killed_cursor_is_opened_anew(void **state)
{
	struct err err;
	struct ranges ranges = {0};
	struct source_reader *r;
	const uint8_t *doc;
	size_t len;
	int n = 0, got;
	fill_big("big", 40);
	check(source_split(env.source, "big", 0, 1 << 30, keep_range, &ranges, &err), &err);
	assert_int_equal(ranges.bounds.n, 1);
	check(source_reader_open(&r, env.source, &err), &err);
	check(source_read(r, "big", ranges.bounds.docs[0].data, ranges.bounds.docs[0].len, &err), &err);
	while ((got = source_next(r, &doc, &len, &err)) == 1) {
		struct val id;
		assert_true(doc_find(doc, len, "_id", &id));
		assert_int_equal(val_i32(&id), n++);
		if ((n == 1 || n == 20) && !run_on("admin", "{\"killAllSessions\": []}"))
			break;
	}
	source_reader_close(r);
	bag_free(&ranges.bounds);
	check(got >= 0, &err);
	if (got == 1)
		skip(); /* the user may not kill sessions */
	assert_int_equal(n, 40);
}

static struct source *open_as(const char *uri)
{
	struct source *s;
	struct err err;
	check(source_open(&s, uri, &(struct source_options){.database = env.db, .app_name = "test"}, &err), &err);
	return s;
}

static void operation_time_is_taken(void **state)
{
	struct err err;
	struct source *s = open_as(env.uri);
	const char *t = source_operation_time(s);
	if (!*t) { /* standalone server */
		source_close(s);
		skip();
	}
	assert_int_equal(strlen(t), 16);
	char earlier[17], later[17];
	uint32_t seconds = (uint32_t)strtoul((char[9]){t[0], t[1], t[2], t[3], t[4], t[5], t[6], t[7], 0}, NULL, 16);
	snprintf(earlier, sizeof(earlier), "%08" PRIx32 "00000001", seconds - 100);
	snprintf(later, sizeof(later), "%08" PRIx32 "00000001", seconds + 100000);
	assert_false(source_set_operation_time(s, later, &err));
	assert_int_equal(err.code, ERR_SOURCE_CHANGED);
	assert_false(source_set_operation_time(s, "junk", &err));
	assert_int_equal(err.code, ERR_INTERNAL);
	check(source_set_operation_time(s, earlier, &err), &err);
	assert_string_equal(source_operation_time(s), earlier);
	source_close(s);
}

/* env.uri with one more option; the caller frees it. */
static char *with_option(const char *option)
{
	size_t size = strlen(env.uri) + strlen(option) + 3;
	char *uri = mem_alloc(size);
	const char *path = strchr(strstr(env.uri, "://") + 3, '/');
	snprintf(uri, size, "%s%s%s", env.uri, !path ? "/?" : (strchr(path, '?') ? "&" : "?"), option);
	return uri;
}

/* Every document written before source_open is read, from a secondary too (where there is one; the proof is strongest
 * with one that lags). */
static void reads_come_after_the_start(void **state)
{
	char *uri = with_option("readPreference=secondaryPreferred");
	for (int round = 0; round < 3; round++) {
		struct err err;
		uint64_t n;
		char name[32];
		snprintf(name, sizeof(name), "causal_%d", round);
		fill_plain(name, 20);
		struct source *s = open_as(uri);
		struct bag got = {0};
		check(source_count(s, name, &n, &err), &err);
		assert_int_equal(n, 20);
		read_in_ranges(s, name, 6, 0, true, &got);
		assert_int_equal(got.n, 20);
		bag_free(&got);
		source_close(s);
	}
	free(uri);
}

struct blocked {
	struct source_reader *r;
	struct err err;
	double seconds;
	int got;
};

static void *read_blocked(void *arg)
{
	struct blocked *b = arg;
	const uint8_t *doc;
	size_t len;
	double start = clock_seconds();
	b->got = source_next(b->r, &doc, &len, &b->err);
	b->seconds = clock_seconds() - start;
	return NULL;
}

#define HANG "\"configureFailPoint\": \"waitInFindBeforeMakingBatch\", \"mode\": "

static void interrupted_read_returns(void **state)
{
	struct err err;
	struct blocked b = {0};
	pthread_t thread;
	uint8_t everything[] = {5 + 7, 0, 0, 0, 0x08, 'l', 'a', 's', 't', 0, 1, 0};
	check(source_reader_open(&b.r, env.source, &err), &err);
	check(source_read(b.r, "mixed", everything, sizeof(everything), &err), &err);
	if (!env.test_commands ||
	    !run_on("admin", "{" HANG "\"alwaysOn\", \"data\": {\"shouldCheckForInterrupt\": true}}")) {
		source_reader_close(b.r);
		skip();
	}
	pthread_create(&thread, NULL, read_blocked, &b);
	clock_sleep_ms(300);
	source_reader_interrupt(b.r);
	pthread_join(thread, NULL);
	assert_true(run_on("admin", "{" HANG "\"off\"}"));
	assert_int_equal(b.got, -1);
	assert_int_equal(b.err.code, ERR_STOPPED);
	assert_true(b.seconds < 3);
	source_reader_close(b.r);
}

static void readers_in_threads(void **state)
{
	enum { READERS = 8 };
	struct source_reader *r[READERS];
	struct err err;
	for (int i = 0; i < READERS; i++)
		check(source_reader_open(&r[i], env.source, &err), &err);
	for (int i = 0; i < READERS; i++)
		source_reader_close(r[i]);
}

static void bad_bounds_are_refused(void **state)
{
	struct err err;
	struct source_reader *r;
	const uint8_t *doc;
	size_t len;
	check(source_reader_open(&r, env.source, &err), &err);
	assert_int_equal(source_next(r, &doc, &len, &err), 0);
	assert_false(source_read(r, "mixed", (const uint8_t *)"junk", 4, &err));
	assert_int_equal(err.code, ERR_INTERNAL);
	source_reader_close(r);
}

/* ---- set-up ---- */

static int major_version(void)
{
	bson_error_t e;
	bson_t reply, *command = BCON_NEW("buildInfo", BCON_INT32(1));
	bson_iter_t it;
	int major = 0;
	if (mongoc_client_command_simple(env.client, "admin", command, NULL, &reply, &e) &&
	    bson_iter_init_find(&it, &reply, "version"))
		major = atoi(bson_iter_utf8(&it, NULL));
	bson_destroy(&reply);
	bson_destroy(command);
	return major;
}

static int set_up(void **state)
{
	struct err err;
	mongoc_init();
	env.client = mongoc_client_new(env.uri);
	mongoc_client_set_error_api(env.client, MONGOC_ERROR_API_VERSION_2);
	env.major = major_version();
	env.test_commands =
		run_on("admin", "{\"configureFailPoint\": \"waitInFindBeforeMakingBatch\", \"mode\": \"off\"}");
	snprintf(env.db, sizeof(env.db), "docrow_source_test_%ld", (long)getpid());
	struct source_options opts = {.database = env.db, .app_name = "test"};
	if (!source_open(&env.source, env.uri, &opts, &err)) {
		print_error("%s: %s (%s) %s\n", err_code_text(err.code), err.message, err.detail, err.hint);
		return -1;
	}
	return 0;
}

static int tear_down(void **state)
{
	run("{\"dropDatabase\": 1}");
	source_close(env.source);
	mongoc_client_destroy(env.client);
	return 0;
}

int main(void)
{
	env.uri = getenv("MONGODB_URI");
	if (!env.uri || !*env.uri) {
		puts("skipped: MONGODB_URI is not set");
		return 77;
	}
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_type_at_every_size),
		cmocka_unit_test(thousand_mixed_ids),
		cmocka_unit_test(one_special_id),
		cmocka_unit_test(minkey_and_maxkey_alone),
		cmocka_unit_test(empty_collection_gives_one_range),
		cmocka_unit_test(names_with_anything_in_them),
		cmocka_unit_test(kinds_other_than_collections),
		cmocka_unit_test(collated_collection),
		cmocka_unit_test(sampled_borders),
		cmocka_unit_test(list_of_collections),
		cmocka_unit_test(identity_is_the_collections),
		cmocka_unit_test(missing_collection_is_told),
		cmocka_unit_test(split_stops_when_told),
		cmocka_unit_test(documents_by_id),
		cmocka_unit_test(killed_cursor_is_opened_anew),
		cmocka_unit_test(operation_time_is_taken),
		cmocka_unit_test(reads_come_after_the_start),
		cmocka_unit_test(interrupted_read_returns),
		cmocka_unit_test(readers_in_threads),
		cmocka_unit_test(bad_bounds_are_refused),
	};
	return cmocka_run_group_tests_name("source_mongo", tests, set_up, tear_down);
}

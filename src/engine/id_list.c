/* id_list.c - from a key back to the _ids that can have given it.
 *
 * An ObjectId and its hex text give the same key, and so do a UUID, its old spellings and its text; what cannot be
 * computed back stands in docrow.id_map.
 */
#include "id_list.h"

#include <stdio.h>
#include <stdlib.h>

#include "doc.h"
#include "id.h"
#include "iso.h"
#include "text.h"

void id_list_init(struct id_list *l, struct arena *a)
{
	*l = (struct id_list){.arena = a};
}

void id_list_free(struct id_list *l)
{
	free(l->ids);
	free(l->lens);
}

void id_list_add(struct id_list *l, const uint8_t *doc, size_t len)
{
	if (l->n == l->cap) {
		l->cap = l->cap > 0 ? l->cap * 2 : 64;
		l->ids = mem_realloc(l->ids, l->cap * sizeof *l->ids);
		l->lens = mem_realloc(l->lens, l->cap * sizeof *l->lens);
	}
	l->ids[l->n] = arena_memdup(l->arena, doc, len);
	l->lens[l->n++] = len;
}

static void add_id(struct id_list *l, uint8_t kind, const void *payload, uint32_t len)
{
	uint8_t doc[4 + 1 + 4 + 256];
	struct val v = {.data = payload, .len = len, .kind = kind};
	if (doc_wrap_size("_id", &v) <= sizeof doc)
		id_list_add(l, doc, doc_wrap("_id", &v, doc));
}

static void add_text_id(struct id_list *l, const char *text, bool upper)
{
	uint8_t payload[4 + 200];
	size_t n = strlen(text);
	if (n + 5 > sizeof payload)
		return;
	uint32_t size = (uint32_t)n + 1;
	memcpy(payload, &size, 4);
	for (size_t i = 0; i <= n; i++) {
		char c = text[i];
		payload[4 + i] = (uint8_t)(upper && c >= 'a' && c <= 'z' ? c - 'a' + 'A' : c);
	}
	add_id(l, BSON_K_STRING, payload, size + 4);
}

static void add_both_cases(struct id_list *l, const char *text)
{
	add_text_id(l, text, false);
	add_text_id(l, text, true);
}

static void add_objectid(struct id_list *l, const uint8_t oid[OBJECTID_SIZE])
{
	char hex[25];
	add_id(l, BSON_K_OBJECTID, oid, OBJECTID_SIZE);
	id_objectid_format(oid, hex);
	add_both_cases(l, hex);
}

static void add_binary(struct id_list *l, uint8_t subtype, const uint8_t *bytes, size_t n)
{
	enum { MOST = 128 }; /* keys are short */
	uint8_t payload[4 + 1 + 4 + MOST] = {0}, *p = payload + 5;
	if (n > MOST)
		return;
	if (subtype == 2) { /* repeats the length */
		*p = (uint8_t)n;
		p += 4;
	}
	payload[0] = (uint8_t)(n + (size_t)(p - payload - 5));
	payload[4] = subtype;
	memcpy(p, bytes, n);
	add_id(l, BSON_K_BINARY, payload, (uint32_t)(n + (size_t)(p - payload)));
}

/* Also as drivers of old wrote it: subtype 3, in three orders of the bytes, each its own reverse. */
static void add_uuid(struct id_list *l, const uint8_t uuid[UUID_SIZE])
{
	static const uint8_t orders[][UUID_SIZE] = {
		{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}, /* standard, python */
		{7, 6, 5, 4, 3, 2, 1, 0, 15, 14, 13, 12, 11, 10, 9, 8}, /* java             */
		{3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15}, /* csharp           */
	};
	uint8_t old[UUID_SIZE];
	add_binary(l, 4, uuid, UUID_SIZE);
	for (size_t o = 0; o < sizeof orders / sizeof orders[0]; o++) {
		for (size_t i = 0; i < UUID_SIZE; i++)
			old[orders[o][i]] = uuid[i];
		add_binary(l, 3, old, UUID_SIZE);
	}
}

/* A bytea key, "\\x00ff": an ObjectId, or binary of any subtype. */
static void add_bytes(struct id_list *l, const uint8_t *bytes, size_t n)
{
	static const uint8_t subtypes[] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 0x80};
	if (n == OBJECTID_SIZE)
		add_objectid(l, bytes);
	for (size_t i = 0; i < sizeof subtypes; i++)
		add_binary(l, subtypes[i], bytes, n);
}

/* Numbers that are equal are one to MongoDB, whatever their type. */
static void add_native(struct id_list *l, const char *key, size_t n)
{
	struct iso_time t;
	int64_t number;
	double d;
	uint8_t yes = 1, no = 0;
	if (text_parse_i64(key, n, &number))
		add_id(l, BSON_K_INT64, &number, 8);
	else if (text_parse_double(key, n, &d))
		add_id(l, BSON_K_DOUBLE, &d, 8);
	else if (strcmp(key, "true") == 0 || strcmp(key, "false") == 0)
		add_id(l, BSON_K_BOOL, *key == 't' ? &yes : &no, 1);
	else if (iso_parse(key, n, &t) && t.has_date) {
		number = t.days * 86400000 + t.us / 1000;
		add_id(l, BSON_K_DATE, &number, 8);
	}
}

/* Every _id that can give this key without standing in docrow.id_map. */
static void add_candidates(struct id_list *l, const char *key)
{
	uint8_t uuid[UUID_SIZE], oid[OBJECTID_SIZE], bytes[256];
	size_t n = strlen(key);
	if (id_uuid_parse(key, n, uuid)) {
		add_uuid(l, uuid);
		add_both_cases(l, key);
		if (id_uuid_to_objectid(uuid, oid))
			add_objectid(l, oid);
	} else if (id_objectid_parse(key, n, oid)) {
		add_objectid(l, oid);
	} else {
		add_text_id(l, key, false);
		add_native(l, key, n);
		if (n > 2 && n - 2 <= 2 * sizeof bytes && memcmp(key, "\\x", 2) == 0 &&
		    text_unhex(key + 2, n - 2, bytes))
			add_bytes(l, bytes, (n - 2) / 2);
	}
}

static bool add_mapped(struct id_list *l, struct pg *pg, const char *run, const char *collection, const char *key,
		       struct err *err)
{
	_cleanup_(pg_result_freep) struct pg_result *r = NULL;
	_cleanup_(buf_free) struct buf id = {0};
	struct pg_param params[] = {PG_TEXT(run), PG_TEXT(collection), PG_TEXT(key)};
	if (!pg_query(pg,
		      "SELECT doc_id FROM docrow.id_map WHERE run = $1::bigint AND collection = $2::text "
		      "AND key::text = $3::text",
		      params, 3, &r, err))
		return false;
	for (int row = 0; row < pg_rows(r); row++) {
		buf_reset(&id);
		pg_get_bytea(r, row, 0, &id);
		id_list_add(l, id.data, id.len);
	}
	return true;
}

bool id_list_add_keys(struct id_list *l, struct pg *pg, int64_t run, const char *collection, const char *const *keys,
		      size_t n, struct err *err)
{
	char text[24];
	snprintf(text, sizeof text, "%lld", (long long)run);
	for (size_t i = 0; i < n; i++) {
		add_candidates(l, keys[i]);
		if (!add_mapped(l, pg, text, collection, keys[i], err))
			return false;
	}
	return true;
}

/* source_mongo.c - a live MongoDB as a source: table of functions, open and close, collections, counts. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "mongo.h"
#include "sys.h"
#include "text.h"

/* ---- the list of collections ---- */

struct listed {
	const char *name;
	enum source_kind kind;
	uint8_t uuid[16];
};

static bool sub_document(const bson_t *doc, const char *key, bson_t *sub)
{
	bson_iter_t it;
	uint32_t len;
	const uint8_t *data;
	if (!bson_iter_init_find(&it, doc, key) || !BSON_ITER_HOLDS_DOCUMENT(&it))
		return false;
	bson_iter_document(&it, &len, &data);
	return bson_init_static(sub, data, len);
}

static enum source_kind kind_of(const bson_t *entry)
{
	bson_t options;
	bson_iter_t it;
	const char *type =
		bson_iter_init_find(&it, entry, "type") && BSON_ITER_HOLDS_UTF8(&it) ? bson_iter_utf8(&it, NULL) : "";
	if (strcmp(type, "view") == 0)
		return SOURCE_VIEW;
	if (strcmp(type, "timeseries") == 0)
		return SOURCE_TIMESERIES;
	if (!sub_document(entry, "options", &options))
		return SOURCE_COLLECTION;
	if (bson_iter_init_find(&it, &options, "viewOn"))
		return SOURCE_VIEW;
	if (bson_iter_init_find(&it, &options, "clusteredIndex"))
		return SOURCE_CLUSTERED;
	if (bson_iter_init_find(&it, &options, "capped") && bson_iter_as_bool(&it))
		return SOURCE_CAPPED;
	return SOURCE_COLLECTION;
}

static void uuid_of(const bson_t *entry, uint8_t uuid[16])
{
	bson_t info;
	bson_iter_t it;
	bson_subtype_t subtype;
	uint32_t len;
	const uint8_t *data;
	memset(uuid, 0, 16);
	if (!sub_document(entry, "info", &info) || !bson_iter_init_find(&it, &info, "uuid") ||
	    !BSON_ITER_HOLDS_BINARY(&it))
		return;
	bson_iter_binary(&it, &subtype, &len, &data);
	if (len == 16)
		memcpy(uuid, data, 16);
}

/* name_only: what a user who may read single collections only is allowed to ask; it tells no uuids. */
static mongoc_cursor_t *list_cursor(struct mongo_conn *c, const char *only, bool name_only)
{
	bson_t opts = BSON_INITIALIZER, filter;
	if (only) {
		BSON_APPEND_DOCUMENT_BEGIN(&opts, "filter", &filter);
		BSON_APPEND_UTF8(&filter, "name", only);
		bson_append_document_end(&opts, &filter);
	}
	if (name_only) {
		BSON_APPEND_BOOL(&opts, "nameOnly", true);
		BSON_APPEND_BOOL(&opts, "authorizedCollections", true);
	}
	mongo_opts_session(c, &opts);
	mongoc_database_t *db = mongoc_client_get_database(c->client, c->source->base.database);
	mongoc_cursor_t *cursor = mongoc_database_find_collections_with_opts(db, &opts);
	mongoc_database_destroy(db);
	bson_destroy(&opts);
	return cursor;
}

typedef void found_collection(void *ctx, const struct listed *found);

static bool list_once(struct mongo_conn *c, const char *only, bool name_only, found_collection *found, void *ctx,
		      bson_error_t *e)
{
	const bson_t *entry;
	bson_iter_t it;
	mongoc_cursor_t *cursor = list_cursor(c, only, name_only);
	while (mongoc_cursor_next(cursor, &entry)) {
		if (!bson_iter_init_find(&it, entry, "name") || !BSON_ITER_HOLDS_UTF8(&it))
			continue;
		struct listed l = {.name = bson_iter_utf8(&it, NULL), .kind = kind_of(entry)};
		uuid_of(entry, l.uuid);
		found(ctx, &l);
	}
	bool ok = !mongoc_cursor_error(cursor, e);
	mongoc_cursor_destroy(cursor);
	return ok;
}

/* *partial: the user may not list the database, and what was found are the collections that it may read. */
static bool list(struct mongo_conn *c, const char *only, found_collection *found, void *ctx, bool *partial,
		 struct err *err)
{
	bson_error_t e = {0};
	*partial = false;
	if (list_once(c, only, false, found, ctx, &e))
		return true;
	mongo_fail(c->source, err, ERR_SOURCE_READ, &e, NULL, "cannot list the collections of database %s",
		   c->source->base.database);
	if (err->code != ERR_SOURCE_PRIVILEGE || !list_once(c, only, true, found, ctx, &e))
		return false;
	err_clear(err);
	*partial = true;
	return true;
}

/* ---- one collection ---- */

struct one {
	bool found;
	enum source_kind kind;
	uint8_t uuid[16];
};

static void keep_one(void *ctx, const struct listed *found)
{
	struct one *one = ctx;
	one->found = true;
	one->kind = found->kind;
	memcpy(one->uuid, found->uuid, 16);
}

bool mongo_kind(struct mongo_conn *c, const char *collection, enum source_kind *kind, uint8_t uuid[16],
		struct err *err)
{
	struct one one = {0};
	bool partial;
	if (!list(c, collection, keep_one, &one, &partial, err))
		return false;
	if (!one.found && partial) {
		err_set(err, ERR_SOURCE_PRIVILEGE, "the user sees no collection %s in database %s", collection,
			c->source->base.database);
		return err_hint(err, "grant the user the role \"read\" on this database");
	}
	if (!one.found) {
		err_set(err, ERR_COLLECTION_MISSING, "there is no collection %s in database %s", collection,
			c->source->base.database);
		return err_hint(err, "check the database's name in the address, and the collection's in the mapping "
				     "(upper and lower case differ)");
	}
	*kind = one.kind;
	if (uuid)
		memcpy(uuid, one.uuid, 16);
	return true;
}

/* ---- estimates ---- */

static bool as_u64(const bson_t *doc, const char *key, uint64_t *out)
{
	bson_iter_t it;
	if (!bson_iter_init_find(&it, doc, key) || !BSON_ITER_HOLDS_NUMBER(&it))
		return false;
	double v = bson_iter_as_double(&it);
	*out = v > 0 ? (uint64_t)v : 0;
	return true;
}

/* [{$collStats: {storageStats: {}}}, {$group: {_id: null, count: {$sum: ...}, size: {$sum: ...}}}]: a cluster gives
 * one part a shard. */
static bson_t *stats_pipeline(void)
{
	return BCON_NEW("pipeline", "[", "{", "$collStats", "{", "storageStats", "{", "}", "}", "}", "{", "$group",
			"{", "_id", BCON_NULL, "count", "{", "$sum", "$storageStats.count", "}", "size", "{", "$sum",
			"$storageStats.size", "}", "}", "}", "]");
}

bool mongo_estimate(struct mongo_conn *c, const char *collection, uint64_t *docs, uint64_t *bytes)
{
	const bson_t *stats;
	bson_t *pipeline = stats_pipeline();
	mongoc_collection_t *coll = mongo_collection(c, collection, true);
	mongoc_cursor_t *cursor = mongoc_collection_aggregate(coll, MONGOC_QUERY_NONE, pipeline, NULL, NULL);
	bool ok = mongoc_cursor_next(cursor, &stats) && as_u64(stats, "count", docs) && as_u64(stats, "size", bytes);
	if (!ok) {
		bson_error_t e;
		int64_t n = mongoc_collection_estimated_document_count(coll, NULL, NULL, NULL, &e);
		*docs = n > 0 ? (uint64_t)n : 0;
		*bytes = 0;
	}
	mongoc_cursor_destroy(cursor);
	mongoc_collection_destroy(coll);
	bson_destroy(pipeline);
	return ok;
}

/* ---- source_collections ---- */

struct listing {
	struct arena *arena;
	struct source_collection *items;
	size_t n, cap;
};

static void keep_listed(void *ctx, const struct listed *found)
{
	struct listing *l = ctx;
	if (l->n == l->cap) {
		l->cap = l->cap ? l->cap * 2 : 64;
		l->items = mem_realloc(l->items, l->cap * sizeof(*l->items));
	}
	struct source_collection *c = &l->items[l->n++];
	*c = (struct source_collection){.name = arena_strdup(l->arena, found->name), .kind = found->kind};
	memcpy(c->uuid, found->uuid, 16);
	c->skipped = strncmp(found->name, "system.", 7) == 0;
}

static int by_name(const void *a, const void *b)
{
	return strcmp(((const struct source_collection *)a)->name, ((const struct source_collection *)b)->name);
}

static bool has_stats(const struct source_collection *c)
{
	return !c->skipped && c->kind != SOURCE_VIEW;
}

static const char note_partial[] = "the user may not list the database's collections: only those that it may read "
				   "are seen, and an optional one that "
				   "is not seen counts as absent";

static bool collections(struct source *base, struct arena *a, struct source_collection **out, size_t *n,
			struct err *err)
{
	struct mongo_conn c;
	struct listing l = {.arena = a};
	if (!mongo_borrow(mongo_of(base), false, &c, err))
		return false;
	bool partial;
	bool ok = list(&c, NULL, keep_listed, &l, &partial, err);
	if (ok && partial)
		source_add_note(base, note_partial, true);
	for (size_t i = 0; ok && i < l.n; i++)
		if (has_stats(&l.items[i]))
			mongo_estimate(&c, l.items[i].name, &l.items[i].est_docs, &l.items[i].est_bytes);
	mongo_give_back(&c);
	if (ok && l.n > 0) {
		qsort(l.items, l.n, sizeof(*l.items), by_name);
		*out = arena_memdup(a, l.items, l.n * sizeof(*l.items));
	} else {
		*out = NULL;
	}
	*n = ok ? l.n : 0;
	free(l.items);
	return ok;
}

/* ---- source_indexes ---- */

static void keep_index(struct arena *a, const bson_t *doc, struct source_index **out, size_t *n)
{
	/* Full when the count is a power of two. */
	if ((*n & (*n - 1)) == 0) {
		struct source_index *more = arena_alloc(a, (*n == 0 ? 1 : *n * 2) * sizeof(*more));
		if (*n > 0)
			memcpy(more, *out, *n * sizeof(*more));
		*out = more;
	}
	(*out)[(*n)++] = (struct source_index){arena_memdup(a, bson_get_data(doc), doc->len), doc->len};
}

static bool list_indexes(struct mongo_conn *c, const char *collection, struct arena *a, struct source_index **out,
			 size_t *n, struct err *err)
{
	const bson_t *doc;
	bson_error_t e = {0};
	bson_t opts = BSON_INITIALIZER;
	mongo_opts_session(c, &opts);
	mongoc_collection_t *coll = mongo_collection(c, collection, true);
	mongoc_cursor_t *cursor = mongoc_collection_find_indexes_with_opts(coll, &opts);
	while (mongoc_cursor_next(cursor, &doc))
		keep_index(a, doc, out, n);
	bool ok = !mongoc_cursor_error(cursor, &e);
	if (!ok)
		mongo_fail(c->source, err, ERR_SOURCE_READ, &e, NULL, "cannot list the indexes of %s", collection);
	mongoc_cursor_destroy(cursor);
	mongoc_collection_destroy(coll);
	bson_destroy(&opts);
	return ok;
}

static bool indexes(struct source *base, const char *collection, struct arena *a, struct source_index **out,
		    size_t *n, bool *known, struct err *err)
{
	struct mongo_conn c;
	enum source_kind kind;
	*known = true;
	if (!mongo_borrow(mongo_of(base), false, &c, err))
		return false;
	bool ok = mongo_kind(&c, collection, &kind, NULL, err) &&
		  (kind == SOURCE_VIEW || list_indexes(&c, collection, a, out, n, err));
	mongo_give_back(&c);
	return ok;
}

static const char *const kind_names[] = {[SOURCE_COLLECTION] = "collection",
					 [SOURCE_CAPPED] = "capped",
					 [SOURCE_CLUSTERED] = "clustered",
					 [SOURCE_VIEW] = "view",
					 [SOURCE_TIMESERIES] = "timeseries"};

static bool collection_identity(struct source *base, const char *collection, struct buf *out, struct err *err)
{
	struct mongo_conn c;
	enum source_kind kind;
	uint8_t uuid[16];
	char hex[33];
	if (!mongo_borrow(mongo_of(base), false, &c, err))
		return false;
	bool ok = mongo_kind(&c, collection, &kind, uuid, err);
	mongo_give_back(&c);
	if (!ok)
		return false;
	text_hex(uuid, 16, hex);
	buf_printf(out, "%s %s", kind_names[kind], hex);
	return true;
}

/* ---- source_count ---- */

void mongo_opts_hint(const struct mongo_conn *c, bool with_hint, bson_t *opts)
{
	bson_t hint;
	if (with_hint) {
		BSON_APPEND_DOCUMENT_BEGIN(opts, "hint", &hint);
		BSON_APPEND_INT32(&hint, "_id", 1);
		bson_append_document_end(opts, &hint);
	}
	mongo_opts_session(c, opts);
}

/* With the hint the server counts index entries and reads no document. */
static int64_t count_once(struct mongo_conn *c, const char *collection, const bson_t *filter, bool with_hint,
			  bson_t *reply, bson_error_t *e)
{
	bson_t opts = BSON_INITIALIZER;
	mongo_opts_hint(c, with_hint, &opts);
	mongoc_collection_t *coll = mongo_collection(c, collection, false);
	int64_t n = mongoc_collection_count_documents(coll, filter, &opts, NULL, reply, e);
	mongoc_collection_destroy(coll);
	bson_destroy(&opts);
	return n;
}

bool mongo_count(struct source *base, const char *collection, const bson_t *filter, uint64_t *n, struct err *err)
{
	struct mongo_conn c;
	enum source_kind kind;
	bson_t reply;
	bson_error_t e = {0};
	if (!mongo_borrow(mongo_of(base), true, &c, err))
		return false;
	if (!mongo_kind(&c, collection, &kind, NULL, err)) {
		mongo_give_back(&c);
		return false;
	}
	/* An index may serve a filter: the server chooses. */
	bool with_hint = bson_empty(filter) && kind != SOURCE_VIEW && kind != SOURCE_TIMESERIES;
	int64_t found = count_once(&c, collection, filter, with_hint, &reply, &e);
	if (found < 0 && with_hint && mongo_is_refusal(&e)) {
		bson_destroy(&reply);
		found = count_once(&c, collection, filter, false, &reply, &e);
	}
	if (found < 0)
		mongo_fail(c.source, err, ERR_SOURCE_READ, &e, &reply, "cannot count the documents of %s",
			   collection);
	bson_destroy(&reply);
	mongo_give_back(&c);
	*n = found < 0 ? 0 : (uint64_t)found;
	return found >= 0;
}

static bool count(struct source *base, const char *collection, uint64_t *n, struct err *err)
{
	bson_t everything = BSON_INITIALIZER;
	return mongo_count(base, collection, &everything, n, err);
}

/* ---- the operation time of an earlier start ---- */

bool mongo_parse_time(const char *text, struct mongo_time *t)
{
	uint8_t b[8];
	if (strlen(text) != 16 || !text_unhex(text, 16, b))
		return false;
	t->seconds = (uint32_t)b[0] << 24 | (uint32_t)b[1] << 16 | (uint32_t)b[2] << 8 | b[3];
	t->increment = (uint32_t)b[4] << 24 | (uint32_t)b[5] << 16 | (uint32_t)b[6] << 8 | b[7];
	return true;
}

static bool is_later(struct mongo_time a, struct mongo_time b)
{
	return a.seconds != b.seconds ? a.seconds > b.seconds : a.increment > b.increment;
}

/* The time taken when this process connected is later than that of the run's start, so reads need no further
 * advance; a server whose clock has not even come to the run's start is another one, or was set back. */
static bool set_operation_time(struct source *base, const char *text, struct err *err)
{
	struct source_mongo *s = mongo_of(base);
	struct mongo_time t = {0};
	if (*text && !mongo_parse_time(text, &t))
		return err_set(err, ERR_INTERNAL, "an operation time is 16 hex digits, not \"%s\"", text);
	if ((t.seconds != 0) != (s->after.seconds != 0) || is_later(t, s->after)) {
		err_set(err, ERR_SOURCE_CHANGED, "the source is behind the time at which the run started");
		err_detail(err, "the run started at operation time %s, the source is at %s", *text ? text : "(none)",
			   *base->operation_time ? base->operation_time : "(none)");
		return err_hint(err, "it is another server, was restored from an older backup, or is a secondary "
				     "that lags behind: read from the primary, or start again with --clean");
	}
	free(base->operation_time);
	base->operation_time = mem_strdup(text);
	return true;
}

/* ---- open and close ---- */

static void close_source(struct source *base)
{
	struct source_mongo *s = mongo_of(base);
	if (s->patient)
		mongoc_client_destroy(s->patient);
	if (s->pool)
		mongoc_client_pool_destroy(s->pool);
	if (s->uri)
		mongoc_uri_destroy(s->uri);
	if (s->patient_uri)
		mongoc_uri_destroy(s->patient_uri);
	if (s->cluster_time)
		bson_destroy(s->cluster_time);
	pthread_mutex_destroy(&s->lock);
	free(s->app_name);
	free(base->database);
	free(base->describe);
	free(base->identity);
	free(base->operation_time);
	free(s);
}

static const struct source_ops mongo_ops = {
	.tell = mongo_tell,
	.name = "mongodb",
	.close = close_source,
	.set_operation_time = set_operation_time,
	.changed_since = mongo_changed_since,
	.collections = collections,
	.indexes = indexes,
	.collection_identity = collection_identity,
	.split = mongo_split,
	.count = count,
	.reader_open = mongo_reader_open,
	.reader_close = mongo_reader_close,
	.read = mongo_read,
	.next = mongo_next,
	.read_ids = mongo_read_ids,
	.interrupt = mongo_interrupt,
	.check_where = mongo_check_where,
	.set_where = mongo_set_where,
	.split_where = mongo_split_where,
	.count_where = mongo_count_where,
	.tally = mongo_tally,
};

bool source_mongo_open(struct source **out, const char *uri, const struct source_options *opts, struct err *err)
{
	struct source_mongo *s = mem_zalloc(sizeof(*s));
	s->base.ops = &mongo_ops;
	pthread_mutex_init(&s->lock, NULL);
	if (!mongo_connect(s, uri, opts, err)) {
		close_source(&s->base);
		return false;
	}
	*out = &s->base;
	return true;
}

/* mongo_split.c - cuts a collection into ranges of the _id index.
 *
 * Ranges follow index order over all BSON types. A range is the BSON document {lo, hi, last} or {stream: true}:
 * it holds lo <= _id < hi; the first has no lo; the one with last: true has no hi and holds MaxKey too (reading:
 * mongo_read.c). Borders come from an index-only walk, or for a large collection from a sorted random sample; never
 * from skip. Views, time-series and servers that do not know min/max give one range that is streamed.
 */
#include <stdlib.h>

#include "mongo.h"
#include "sys.h"

#define WALK_MAX_DOCS     200000 /* walking that many index entries takes a fraction of a second      */
#define SAMPLES_A_RANGE   10     /* ranges then differ in size by about a third                        */
#define SAMPLE_MAX_SHARE  20     /* beyond 1/20 of the documents the server would scan and sort it all */
#define WALK_BATCH        100000
#define ASSUMED_DOC_BYTES 512

struct splitter {
	struct mongo_conn conn;
	mongoc_collection_t *coll;
	const char *collection;
	const struct source_part *part; /* whose filter the walk obeys; NULL: all documents */
	source_add_range *add;
	void *ctx;
	bson_t *lo; /* of the range that is open; NULL: the first */
	uint64_t docs_a_range, doc_bytes;
};

/* ---- ranges ---- */

static bool give(struct splitter *sp, const bson_t *bounds, uint64_t docs, struct err *err)
{
	struct source_range range = {.bounds = bson_get_data(bounds),
				     .bounds_len = bounds->len,
				     .est_docs = docs,
				     .est_bytes = docs * sp->doc_bytes};
	return sp->add(sp->ctx, &range, err);
}

static bool append_as(bson_t *out, const char *key, const bson_t *id_doc)
{
	bson_iter_t it;
	return bson_iter_init(&it, id_doc) && bson_iter_next(&it) && bson_append_iter(out, key, -1, &it);
}

/* Closes the open range before `hi` (a document whose first field is the _id; NULL: the last range). */
static bool end_range(struct splitter *sp, const bson_t *hi, uint64_t docs, struct err *err)
{
	bson_t bounds = BSON_INITIALIZER;
	bool fits = (!sp->lo || append_as(&bounds, "lo", sp->lo)) && (!hi || append_as(&bounds, "hi", hi));
	if (!hi)
		BSON_APPEND_BOOL(&bounds, "last", true);
	bool ok = fits ? give(sp, &bounds, docs, err) : err_set(err, ERR_INTERNAL, "a range's bounds are malformed");
	bson_destroy(&bounds);
	if (sp->lo)
		bson_destroy(sp->lo);
	sp->lo = hi ? bson_copy(hi) : NULL;
	return ok;
}

/* The server refuses a range that can hold nothing: equal ends (a random sample may give a document twice, a sharded
 * collection an _id), or none before MinKey. */
static bool is_border(const struct splitter *sp, const bson_t *id_doc)
{
	struct val id;
	if (sp->lo)
		return bson_equal(sp->lo, id_doc);
	return doc_find(bson_get_data(id_doc), id_doc->len, "_id", &id) && id.kind == BSON_K_MINKEY;
}

static bool give_stream(struct splitter *sp, uint64_t docs, struct err *err)
{
	bson_t bounds = BSON_INITIALIZER;
	BSON_APPEND_BOOL(&bounds, "stream", true);
	bool ok = give(sp, &bounds, docs, err);
	bson_destroy(&bounds);
	return ok;
}

/* ---- does the server know min and max? ---- */

/* Reads one document behind the last timestamp (min) or before null (max). Both reads must be accepted, and what they
 * give must lie there: a server that takes the option and ignores it gives any document. (MinKey and MaxKey
 * themselves would not do: MongoDB refuses a range that can hold nothing.) */
static void append_probe(bson_t *opts, bool min)
{
	bson_t bound;
	bson_append_document_begin(opts, min ? "min" : "max", -1, &bound);
	if (min)
		BSON_APPEND_TIMESTAMP(&bound, "_id", UINT32_MAX, UINT32_MAX);
	else
		BSON_APPEND_NULL(&bound, "_id");
	bson_append_document_end(opts, &bound);
	BSON_APPEND_INT64(opts, "limit", 1);
}

static bool lies_there(const bson_t *doc, bool min)
{
	struct val id;
	if (!doc_find(bson_get_data(doc), doc->len, "_id", &id))
		return !min;
	return min ? id.kind == BSON_K_REGEX || id.kind == BSON_K_DBPOINTER || id.kind == BSON_K_CODE ||
			       id.kind == BSON_K_CODEWSCOPE || id.kind == BSON_K_MAXKEY || id.kind == BSON_K_TIMESTAMP
		   : id.kind == BSON_K_MINKEY || id.kind == BSON_K_UNDEFINED;
}

static bool probe(struct splitter *sp, bool min, bool *obeyed, bson_error_t *e)
{
	const bson_t *doc;
	bson_t opts = BSON_INITIALIZER, everything = BSON_INITIALIZER;
	append_probe(&opts, min);
	mongo_opts_hint(&sp->conn, true, &opts);
	mongoc_cursor_t *cursor = mongoc_collection_find_with_opts(sp->coll, &everything, &opts, NULL);
	*obeyed = !mongoc_cursor_next(cursor, &doc) || lies_there(doc, min);
	bool ok = !mongoc_cursor_error(cursor, e);
	mongoc_cursor_destroy(cursor);
	bson_destroy(&opts);
	bson_destroy(&everything);
	return ok;
}

static bool knows_ranges(struct splitter *sp, bool *knows, struct err *err)
{
	bool min_ok = false, max_ok = false;
	bson_error_t e = {0};
	*knows = probe(sp, true, &min_ok, &e) && probe(sp, false, &max_ok, &e) && min_ok && max_ok;
	if (*knows)
		return true;
	if (e.code == 0 || mongo_is_refusal(&e)) {
		log_line(LOG_DEBUG, "%s: the server does not read _id ranges (%s); streaming", sp->collection,
			 e.code ? e.message : "it ignores min or max");
		return true;
	}
	return mongo_fail(sp->conn.source, err, ERR_SOURCE_READ, &e, NULL, "cannot read collection %s",
			  sp->collection);
}

/* ---- walk ---- */

static mongoc_cursor_t *walk_cursor(struct splitter *sp)
{
	bson_t opts = BSON_INITIALIZER, sub, filter;
	mongo_filter_of(sp->part, &filter);
	BSON_APPEND_DOCUMENT_BEGIN(&opts, "projection", &sub);
	BSON_APPEND_INT32(&sub, "_id", 1);
	bson_append_document_end(&opts, &sub);
	BSON_APPEND_DOCUMENT_BEGIN(&opts, "sort", &sub); /* the index gives it; a mongos merges by it */
	BSON_APPEND_INT32(&sub, "_id", 1);
	bson_append_document_end(&opts, &sub);
	BSON_APPEND_INT32(&opts, "batchSize", WALK_BATCH);
	mongo_opts_hint(&sp->conn, true, &opts);
	mongoc_cursor_t *cursor = mongoc_collection_find_with_opts(sp->coll, &filter, &opts, NULL);
	bson_destroy(&opts);
	return cursor;
}

static bool check_cursor(struct splitter *sp, mongoc_cursor_t *cursor, struct err *err)
{
	bson_error_t e = {0};
	const bson_t *reply = NULL;
	if (!mongoc_cursor_error_document(cursor, &e, &reply))
		return true;
	return mongo_fail(sp->conn.source, err, ERR_SOURCE_READ, &e, reply, "cannot find the borders of %s",
			  sp->collection);
}

static bool check_stop(struct err *err)
{
	return !stop_requested() || err_set(err, ERR_STOPPED, "stopped while cutting a collection into ranges");
}

static bool walk(struct splitter *sp, struct err *err)
{
	const bson_t *doc;
	uint64_t in_range = 0;
	bool ok = true;
	mongoc_cursor_t *cursor = walk_cursor(sp);
	while (ok && mongoc_cursor_next(cursor, &doc)) {
		if (in_range >= sp->docs_a_range && !is_border(sp, doc)) {
			ok = end_range(sp, doc, in_range, err) && check_stop(err);
			in_range = 0;
		}
		in_range++;
	}
	ok = ok && check_cursor(sp, cursor, err) && end_range(sp, NULL, in_range, err);
	mongoc_cursor_destroy(cursor);
	return ok;
}

/* ---- sample ---- */

static mongoc_cursor_t *sample_cursor(struct splitter *sp, uint64_t samples)
{
	bson_t opts = BSON_INITIALIZER;
	bson_t *pipeline = BCON_NEW("pipeline", "[", "{", "$sample", "{", "size", BCON_INT64((int64_t)samples), "}",
				    "}", "{", "$project", "{", "_id", BCON_INT32(1), "}", "}", "{", "$sort", "{",
				    "_id", BCON_INT32(1), "}", "}", "]");
	BSON_APPEND_BOOL(&opts, "allowDiskUse", true);
	mongo_opts_session(&sp->conn, &opts);
	mongoc_cursor_t *cursor = mongoc_collection_aggregate(sp->coll, MONGOC_QUERY_NONE, pipeline, &opts, NULL);
	bson_destroy(pipeline);
	bson_destroy(&opts);
	return cursor;
}

/* Every SAMPLES_A_RANGE-th sample is a border. tried = false: the server will not sample, nothing was given. */
static bool sample(struct splitter *sp, uint64_t ranges, bool *tried, struct err *err)
{
	const bson_t *doc;
	uint64_t seen = 0;
	bool ok = true;
	bson_error_t e = {0};
	mongoc_cursor_t *cursor = sample_cursor(sp, ranges * SAMPLES_A_RANGE);
	*tried = true;
	while (ok && mongoc_cursor_next(cursor, &doc)) {
		if (++seen % SAMPLES_A_RANGE == 0 && !is_border(sp, doc))
			ok = end_range(sp, doc, sp->docs_a_range, err) && check_stop(err);
	}
	if (ok && seen == 0 && mongoc_cursor_error(cursor, &e) && mongo_is_refusal(&e))
		*tried = false;
	else
		ok = ok && check_cursor(sp, cursor, err) && end_range(sp, NULL, sp->docs_a_range, err);
	mongoc_cursor_destroy(cursor);
	return ok;
}

/* ---- choosing ---- */

static uint64_t at_least_one(uint64_t n)
{
	return n > 0 ? n : 1;
}

static bool split_known(struct splitter *sp, uint64_t chunk_docs, uint64_t chunk_bytes, uint64_t docs,
			struct err *err)
{
	sp->docs_a_range = chunk_docs ? chunk_docs : at_least_one(chunk_bytes / sp->doc_bytes);
	uint64_t ranges = docs / sp->docs_a_range + 1;
	bool tried = false;
	if (!chunk_docs && docs > WALK_MAX_DOCS && ranges * SAMPLES_A_RANGE < docs / SAMPLE_MAX_SHARE &&
	    !sample(sp, ranges, &tried, err))
		return false;
	return tried || walk(sp, err);
}

static bool split_any(struct splitter *sp, uint64_t chunk_docs, uint64_t chunk_bytes, struct err *err)
{
	enum source_kind kind;
	uint64_t docs = 0, bytes = 0;
	if (!mongo_kind(&sp->conn, sp->collection, &kind, NULL, err))
		return false;
	if (kind != SOURCE_VIEW)
		mongo_estimate(&sp->conn, sp->collection, &docs, &bytes);
	sp->doc_bytes = docs && bytes ? at_least_one(bytes / docs) : ASSUMED_DOC_BYTES;
	bool knows = false;
	if (kind != SOURCE_VIEW && kind != SOURCE_TIMESERIES && !knows_ranges(sp, &knows, err))
		return false;
	return knows ? split_known(sp, chunk_docs, chunk_bytes, docs, err) : give_stream(sp, docs, err);
}

static bool split(struct source *base, const char *collection, const struct source_part *part, uint64_t chunk_docs,
		  uint64_t chunk_bytes, source_add_range *add, void *ctx, struct err *err)
{
	struct splitter sp = {.collection = collection, .part = part, .add = add, .ctx = ctx};
	if (!mongo_borrow(mongo_of(base), true, &sp.conn, err))
		return false;
	sp.coll = mongo_collection(&sp.conn, collection, false);
	bool ok = split_any(&sp, chunk_docs, chunk_bytes, err);
	mongoc_collection_destroy(sp.coll);
	if (sp.lo)
		bson_destroy(sp.lo);
	mongo_give_back(&sp.conn);
	return ok;
}

bool mongo_split(struct source *base, const char *collection, uint64_t chunk_docs, uint64_t chunk_bytes,
		 source_add_range *add, void *ctx, struct err *err)
{
	return split(base, collection, NULL, chunk_docs, chunk_bytes, add, ctx, err);
}

/* Ranges hold what the filter takes where they are walked; a sample of a large collection is taken of all documents,
 * and some of its ranges may then hold little or nothing. */
bool mongo_split_where(struct source *base, const struct source_part *p, uint64_t chunk_docs, uint64_t chunk_bytes,
		       source_add_range *add, void *ctx, struct err *err)
{
	return split(base, p->collection, p, chunk_docs, chunk_bytes, add, ctx, err);
}

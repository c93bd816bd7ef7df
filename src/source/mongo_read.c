/* mongo_read.c - a reader of a live MongoDB: one client, one session, one cursor at a time.
 *
 * What a range needs is a short list of cursors, one after the other (enum stage):
 *   RANGE     find with hint {_id: 1}, min and max; index order
 *   MAXKEY    after the range that has no max: equality with MaxKey, which min without max leaves out (but for
 *             clustered collections: not asked for when the range has given it)
 *   STREAM    one plain find (views, time-series, servers without min/max)
 *   IDS       find by _id $in, a batch at a time
 * A cursor that the server has dropped (ten idle minutes, a session's end, killCursors) is opened anew behind the
 * last document read where order makes that exact: in a RANGE of a server that is no mongos. Anything else that may
 * pass is class RETRY, and the caller reads the whole range again.
 */
#include <stdatomic.h>
#include <stdlib.h>

#include "mongo.h"
#include "sys.h"

/* About 1 to 2 MB: batches of 16 MB cost more CPU (page faults) and twice the memory. */
#define READ_BATCH_DOCS      2000
#define IDS_A_BATCH          1000
#define ID_BYTES_A_BATCH     (8u << 20)
#define INTERRUPT_TIMEOUT_MS 1500

enum stage { STAGE_NONE, STAGE_RANGE, STAGE_MAXKEY, STAGE_STREAM, STAGE_IDS };

struct mongo_reader {
	struct source_reader base; /* first: ops reach it by cast */
	struct mongo_conn conn;
	char *collection; /* owned; NULL: nothing to read */
	mongoc_collection_t *coll;
	mongoc_cursor_t *cursor;
	enum stage stage;
	bool broken;                    /* the session's connection failed: take a new one                    */
	struct buf bounds;              /* copy of the range's bounds                                        */
	const struct source_part *part; /* whose filter holds; NULL: all documents              */
	struct buf last;                /* {_id: of the last document of this RANGE}; len 0: none            */
	bool skip_equal;                /* the cursor was opened at `last`, which was given already          */
	struct buf ids;                 /* IDS: documents {_id: ...}, one behind the other                   */
	size_t next_id;                 /* offset of the first not yet asked for                             */
	atomic_bool interrupted, waiting;
	pthread_mutex_t lock; /* guards lsid against mongo_interrupt                             */
	struct buf lsid;      /* BSON of the session's id; len 0: none                           */
};

static struct mongo_reader *reader_of(struct source_reader *r)
{
	return (struct mongo_reader *)r;
}

/* ---- open and close ---- */

static void keep_lsid(struct mongo_reader *r)
{
	pthread_mutex_lock(&r->lock);
	buf_reset(&r->lsid);
	if (r->conn.session) {
		const bson_t *lsid = mongoc_client_session_get_lsid(r->conn.session);
		buf_put(&r->lsid, bson_get_data(lsid), lsid->len);
	}
	pthread_mutex_unlock(&r->lock);
}

bool mongo_reader_open(struct source_reader **out, struct source *s, struct err *err)
{
	struct mongo_reader *r = mem_zalloc(sizeof(*r));
	r->base.ops = s->ops;
	r->base.source = s;
	if (!mongo_borrow(mongo_of(s), false, &r->conn, err)) {
		free(r);
		return false;
	}
	buf_init(&r->bounds, 0);
	buf_init(&r->last, 0);
	buf_init(&r->ids, 0);
	buf_init(&r->lsid, 0);
	pthread_mutex_init(&r->lock, NULL);
	keep_lsid(r);
	*out = &r->base;
	return true;
}

static void close_cursor(struct mongo_reader *r)
{
	if (r->cursor)
		mongoc_cursor_destroy(r->cursor);
	r->cursor = NULL;
}

static void drop_range(struct mongo_reader *r)
{
	close_cursor(r);
	if (r->coll)
		mongoc_collection_destroy(r->coll);
	r->coll = NULL;
	free(r->collection);
	r->collection = NULL;
	r->stage = STAGE_NONE;
	r->skip_equal = false;
	buf_reset(&r->bounds);
	buf_reset(&r->last);
	buf_reset(&r->ids);
	r->next_id = 0;
}

void mongo_reader_close(struct source_reader *base)
{
	struct mongo_reader *r = reader_of(base);
	drop_range(r);
	mongo_give_back(&r->conn);
	buf_free(&r->bounds);
	buf_free(&r->last);
	buf_free(&r->ids);
	buf_free(&r->lsid);
	pthread_mutex_destroy(&r->lock);
	free(r);
}

/* ---- cursors ---- */

/* Appends {key: {_id: v}}, v being the first field of `doc` named `field`. */
static void append_bound(bson_t *opts, const char *key, const bson_t *doc, const char *field)
{
	bson_iter_t it;
	bson_t sub;
	if (!bson_iter_init_find(&it, doc, field))
		return;
	bson_append_document_begin(opts, key, -1, &sub);
	bson_append_iter(&sub, "_id", -1, &it);
	bson_append_document_end(opts, &sub);
}

static void open_cursor(struct mongo_reader *r, const bson_t *filter, bson_t *opts, bool with_hint)
{
	BSON_APPEND_INT32(opts, "batchSize", READ_BATCH_DOCS);
	mongo_opts_hint(&r->conn, with_hint, opts);
	r->cursor = mongoc_collection_find_with_opts(r->coll, filter, opts, NULL);
}

static bool lo_is_maxkey(const bson_t *bounds)
{
	bson_iter_t it;
	return bson_iter_init_find(&it, bounds, "lo") && BSON_ITER_HOLDS_MAXKEY(&it);
}

static bool bounds_doc(const struct mongo_reader *r, bson_t *bounds)
{
	return bson_init_static(bounds, r->bounds.data, r->bounds.len);
}

/* At the range's start, or at `last` after the server dropped the cursor. */
static void open_range(struct mongo_reader *r, const bson_t *bounds)
{
	bson_t opts = BSON_INITIALIZER, filter, last;
	mongo_filter_of(r->part, &filter);
	if (r->last.len > 0 && bson_init_static(&last, r->last.data, r->last.len)) {
		append_bound(&opts, "min", &last, "_id");
		r->skip_equal = true;
	} else {
		append_bound(&opts, "min", bounds, "lo");
	}
	append_bound(&opts, "max", bounds, "hi");
	open_cursor(r, &filter, &opts, true);
	bson_destroy(&opts);
}

/* Adds the part's filter to one by _id. */
static void append_where(const struct mongo_reader *r, bson_t *filter)
{
	bson_t where, list;
	if (!r->part)
		return;
	mongo_filter_of(r->part, &where);
	bson_append_array_begin(filter, "$and", -1, &list);
	bson_append_document(&list, "0", -1, &where);
	bson_append_array_end(filter, &list);
}

static void open_maxkey(struct mongo_reader *r)
{
	bson_t opts = BSON_INITIALIZER, filter = BSON_INITIALIZER;
	BSON_APPEND_MAXKEY(&filter, "_id");
	append_where(r, &filter);
	open_cursor(r, &filter, &opts, true);
	bson_destroy(&opts);
	bson_destroy(&filter);
}

static void open_stream(struct mongo_reader *r)
{
	bson_t opts = BSON_INITIALIZER, filter;
	mongo_filter_of(r->part, &filter);
	open_cursor(r, &filter, &opts, false);
	bson_destroy(&opts);
}

/* ---- by id ---- */

/* {$in: [{$x: 1}]} is an error although such an _id may exist: those are asked for one by one with $eq. */
static bool needs_eq(const bson_iter_t *id)
{
	bson_iter_t sub;
	return BSON_ITER_HOLDS_DOCUMENT(id) && bson_iter_recurse(id, &sub) && bson_iter_next(&sub) &&
	       bson_iter_key(&sub)[0] == '$';
}

static bool next_id(const struct mongo_reader *r, bson_t *doc, bson_iter_t *id)
{
	int32_t len;
	if (r->next_id >= r->ids.len)
		return false;
	memcpy(&len, r->ids.data + r->next_id, 4);
	return bson_init_static(doc, r->ids.data + r->next_id, (size_t)len) && bson_iter_init_find(id, doc, "_id");
}

static void append_in(struct mongo_reader *r, bson_t *filter)
{
	bson_t op, list, doc;
	bson_iter_t id;
	char key[16];
	const char *k;
	uint32_t n = 0;
	size_t start = r->next_id;
	bson_append_document_begin(filter, "_id", -1, &op);
	bson_append_array_begin(&op, "$in", -1, &list);
	while (n < IDS_A_BATCH && r->next_id - start < ID_BYTES_A_BATCH && next_id(r, &doc, &id) && !needs_eq(&id)) {
		bson_uint32_to_string(n++, &k, key, sizeof(key));
		bson_append_iter(&list, k, -1, &id);
		r->next_id += doc.len;
	}
	bson_append_array_end(&op, &list);
	bson_append_document_end(filter, &op);
}

static void append_eq(struct mongo_reader *r, bson_t *filter)
{
	bson_t op, doc;
	bson_iter_t id;
	if (!next_id(r, &doc, &id))
		return;
	bson_append_document_begin(filter, "_id", -1, &op);
	bson_append_iter(&op, "$eq", -1, &id);
	bson_append_document_end(filter, &op);
	r->next_id += doc.len;
}

/* False: no ids are left. */
static bool open_ids(struct mongo_reader *r)
{
	bson_t opts = BSON_INITIALIZER, filter = BSON_INITIALIZER, doc;
	bson_iter_t id;
	bool more = next_id(r, &doc, &id);
	if (more && needs_eq(&id))
		append_eq(r, &filter);
	else if (more)
		append_in(r, &filter);
	if (more) {
		append_where(r, &filter);
		open_cursor(r, &filter, &opts, false);
	}
	bson_destroy(&opts);
	bson_destroy(&filter);
	return more;
}

/* ---- source_read, source_read_ids ---- */

static bool begin(struct mongo_reader *r, const char *collection, struct err *err)
{
	drop_range(r);
	if (r->broken) {
		if (!mongo_renew_session(&r->conn, err))
			return false;
		r->broken = false;
		keep_lsid(r);
	}
	r->collection = mem_strdup(collection);
	r->coll = mongo_collection(&r->conn, collection, false);
	return true;
}

static bool find_flag(const bson_t *doc, const char *key)
{
	bson_iter_t it;
	return bson_iter_init_find(&it, doc, key) && bson_iter_as_bool(&it);
}

void mongo_set_where(struct source_reader *base, const struct source_part *p)
{
	reader_of(base)->part = p;
}

bool mongo_read(struct source_reader *base, const char *collection, const uint8_t *data, size_t len, struct err *err)
{
	struct mongo_reader *r = reader_of(base);
	bson_t bounds;
	if (!begin(r, collection, err))
		return false;
	buf_put(&r->bounds, data, len);
	if (!bounds_doc(r, &bounds) || !bson_validate(&bounds, BSON_VALIDATE_NONE, NULL)) {
		drop_range(r);
		return err_set(err, ERR_INTERNAL, "the bounds of a range of %s are malformed", collection);
	}
	if (find_flag(&bounds, "stream")) {
		r->stage = STAGE_STREAM;
		open_stream(r);
	} else if (lo_is_maxkey(&bounds)) {
		r->stage = STAGE_MAXKEY;
		open_maxkey(r);
	} else {
		r->stage = STAGE_RANGE;
		open_range(r, &bounds);
	}
	return true;
}

bool mongo_read_ids(struct source_reader *base, const char *collection, const uint8_t *const *ids, const size_t *lens,
		    size_t n, struct err *err)
{
	struct mongo_reader *r = reader_of(base);
	bson_t doc;
	if (!begin(r, collection, err))
		return false;
	for (size_t i = 0; i < n; i++) {
		bool good = bson_init_static(&doc, ids[i], lens[i]) && bson_has_field(&doc, "_id");
		if (!good) {
			drop_range(r);
			return err_set(err, ERR_INTERNAL, "an id to read from %s is malformed", collection);
		}
		buf_put(&r->ids, ids[i], lens[i]);
	}
	r->stage = STAGE_IDS;
	open_ids(r);
	return true;
}

/* ---- source_next ---- */

static bool gave_maxkey(const struct mongo_reader *r)
{
	struct val id;
	return r->last.len > 0 && doc_find(r->last.data, r->last.len, "_id", &id) && id.kind == BSON_K_MAXKEY;
}

/* Opens what comes after the cursor that has ended; false: the range is finished. */
static bool next_stage(struct mongo_reader *r)
{
	bson_t bounds;
	enum stage was = r->stage;
	close_cursor(r);
	if (was == STAGE_IDS && open_ids(r))
		return true;
	r->stage = STAGE_NONE;
	if (was != STAGE_RANGE || !bounds_doc(r, &bounds) || !find_flag(&bounds, "last") || gave_maxkey(r))
		return false;
	r->stage = STAGE_MAXKEY;
	open_maxkey(r);
	return true;
}

static int stopped(struct mongo_reader *r, struct err *err)
{
	r->broken = true; /* its cursor and session may have been killed */
	err_set(err, ERR_STOPPED, "reading %s was interrupted", r->collection ? r->collection : "the source");
	return -1;
}

/* True: opened anew behind the last document, go on. */
static bool reopen(struct mongo_reader *r, const bson_error_t *e)
{
	bson_t bounds;
	if (r->stage != STAGE_RANGE || r->conn.source->topology == MONGO_SHARDED || !mongo_is_cursor_lost(e) ||
	    !bounds_doc(r, &bounds))
		return false;
	log_line(LOG_DEBUG, "%s: the server dropped the cursor; reading on from the last document", r->collection);
	close_cursor(r);
	open_range(r, &bounds);
	return true;
}

static int fail(struct mongo_reader *r, const bson_error_t *e, const bson_t *reply, struct err *err)
{
	if (atomic_load(&r->interrupted))
		return stopped(r, err);
	mongo_fail(r->conn.source, err, ERR_SOURCE_READ, e, reply, "reading collection %s failed", r->collection);
	r->broken = true;
	close_cursor(r);
	r->stage = STAGE_NONE;
	return -1;
}

static bool is_last(const struct mongo_reader *r, const struct val *id)
{
	struct val last;
	return doc_find(r->last.data, r->last.len, "_id", &last) && last.kind == id->kind && last.len == id->len &&
	       memcmp(last.data, id->data, id->len) == 0;
}

/* Remembers the document's _id, to go on behind it; false: it was given already. */
static bool take(struct mongo_reader *r, const bson_t *doc)
{
	struct val id;
	if (r->stage != STAGE_RANGE)
		return true;
	if (!doc_find(bson_get_data(doc), doc->len, "_id", &id)) {
		buf_reset(&r->last);
		return true;
	}
	if (r->skip_equal) {
		r->skip_equal = false;
		if (is_last(r, &id))
			return false;
	}
	size_t size = doc_wrap_size("_id", &id);
	buf_reset(&r->last);
	if (buf_reserve(&r->last, size))
		r->last.len = doc_wrap("_id", &id, r->last.data);
	return true;
}

static bool advance(struct mongo_reader *r, const bson_t **doc)
{
	atomic_store_explicit(&r->waiting, true, memory_order_relaxed);
	bool more = mongoc_cursor_next(r->cursor, doc);
	atomic_store_explicit(&r->waiting, false, memory_order_relaxed);
	return more;
}

int mongo_next(struct source_reader *base, const uint8_t **data, size_t *len, struct err *err)
{
	struct mongo_reader *r = reader_of(base);
	const bson_t *doc, *reply = NULL;
	bson_error_t e;
	for (;;) {
		if (atomic_load_explicit(&r->interrupted, memory_order_relaxed))
			return stopped(r, err);
		if (!r->cursor)
			return 0;
		if (advance(r, &doc)) {
			if (!take(r, doc))
				continue;
			*data = bson_get_data(doc);
			*len = doc->len;
			return 1;
		}
		if (mongoc_cursor_error_document(r->cursor, &e, &reply)) {
			if (!reopen(r, &e))
				return fail(r, &e, reply, err);
		} else if (!next_stage(r)) {
			return 0;
		}
	}
}

/* ---- source_reader_interrupt ---- */

static mongoc_client_t *interrupt_client(const struct source_mongo *s)
{
	mongoc_uri_t *uri = mongoc_uri_copy(s->uri);
	mongoc_uri_set_option_as_int32(uri, MONGOC_URI_SERVERSELECTIONTIMEOUTMS, INTERRUPT_TIMEOUT_MS);
	mongoc_uri_set_option_as_int32(uri, MONGOC_URI_CONNECTTIMEOUTMS, INTERRUPT_TIMEOUT_MS);
	mongoc_uri_set_option_as_int32(uri, MONGOC_URI_SOCKETTIMEOUTMS, INTERRUPT_TIMEOUT_MS);
	mongoc_client_t *client = mongoc_client_new_from_uri(uri);
	mongoc_uri_destroy(uri);
	return client;
}

/* killSessions with the reader's session ends what the server does for it; the reader's call then fails. */
static void kill_session(const struct source_mongo *s, const bson_t *lsid)
{
	bson_t command = BSON_INITIALIZER, list, reply;
	bson_error_t e;
	mongoc_client_t *client = interrupt_client(s);
	if (!client)
		return;
	BSON_APPEND_ARRAY_BEGIN(&command, "killSessions", &list);
	BSON_APPEND_DOCUMENT(&list, "0", lsid);
	bson_append_array_end(&command, &list);
	if (!mongoc_client_command_simple(client, "admin", &command, mongoc_uri_get_read_prefs_t(s->uri), &reply, &e))
		log_line(LOG_DEBUG, "killSessions: %s", e.message);
	bson_destroy(&reply);
	bson_destroy(&command);
	mongoc_client_destroy(client);
}

void mongo_interrupt(struct source_reader *base)
{
	struct mongo_reader *r = reader_of(base);
	bson_t lsid, copy = BSON_INITIALIZER;
	atomic_store(&r->interrupted, true);
	pthread_mutex_lock(&r->lock);
	bool has = atomic_load(&r->waiting) && r->lsid.len > 0 &&
		   bson_init_static(&lsid, r->lsid.data, r->lsid.len) && bson_concat(&copy, &lsid);
	pthread_mutex_unlock(&r->lock);
	if (has)
		kill_session(r->conn.source, &copy);
	bson_destroy(&copy);
}

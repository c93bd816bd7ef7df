/* mongo_changes.c - which documents changed after a moment, by the change stream of the database. */
#include <stdlib.h>

#include "mem.h"
#include "mongo.h"

#define AWAIT_MS 500 /* nothing for so long: all that happened has been seen */

struct changes {
	source_changed *each;
	void *ctx;
};

/* {ns: {coll}, documentKey: {_id}, operationType}: one change of one document, or of a collection as a whole. */
static void take_change(const struct changes *c, const bson_t *event)
{
	bson_iter_t it, inner;
	const char *collection = NULL;
	const bson_value_t *id = NULL;

	if (bson_iter_init(&it, event) && bson_iter_find_descendant(&it, "ns.coll", &inner) &&
	    BSON_ITER_HOLDS_UTF8(&inner))
		collection = bson_iter_utf8(&inner, NULL);
	if (collection == NULL)
		return;
	if (!bson_iter_init(&it, event) || !bson_iter_find_descendant(&it, "documentKey._id", &inner)) {
		c->each(c->ctx, collection, NULL, 0);
		return;
	}
	id = bson_iter_value(&inner);
	bson_t doc = BSON_INITIALIZER;
	BSON_APPEND_VALUE(&doc, "_id", id);
	c->each(c->ctx, collection, bson_get_data(&doc), doc.len);
	bson_destroy(&doc);
}

static mongoc_change_stream_t *watch(const struct mongo_conn *c, struct mongo_time from)
{
	bson_t *pipeline = BCON_NEW("pipeline", "[", "{", "$project", "{", "ns", BCON_INT32(1), "documentKey",
				    BCON_INT32(1), "operationType", BCON_INT32(1), "}", "}", "]");
	bson_t opts = BSON_INITIALIZER;
	mongoc_database_t *db = mongoc_client_get_database(c->client, c->source->base.database);

	/* what happened at the moment itself was there to be read */
	BSON_APPEND_TIMESTAMP(&opts, "startAtOperationTime", from.seconds, from.increment + 1);
	BSON_APPEND_INT64(&opts, "maxAwaitTimeMS", AWAIT_MS);
	mongoc_change_stream_t *s = mongoc_database_watch(db, pipeline, &opts);
	mongoc_database_destroy(db);
	bson_destroy(&opts);
	bson_destroy(pipeline);
	return s;
}

bool mongo_changed_since(struct source *base, const char *operation_time, source_changed *each, void *ctx,
			 bool *known, struct err *err)
{
	const struct changes changes = {each, ctx};
	struct mongo_time from;
	struct mongo_conn c;
	const bson_t *event;
	bson_error_t e;

	*known = false;
	if (!mongo_parse_time(operation_time, &from) || mongo_of(base)->topology == MONGO_STANDALONE)
		return true;
	if (!mongo_borrow(mongo_of(base), false, &c, err))
		return false;
	mongoc_change_stream_t *s = watch(&c, from);
	while (mongoc_change_stream_next(s, &event))
		take_change(&changes, event);
	/* the history may not reach back so far, or the user may not watch: then it is simply not known */
	*known = !mongoc_change_stream_error_document(s, &e, NULL);
	mongoc_change_stream_destroy(s);
	mongo_give_back(&c);
	return true;
}

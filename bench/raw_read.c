/* raw_read.c - the yardstick for reading: all documents of a database through libmongoc and nothing else.
 *
 *   raw_read URI DATABASE THREADS        prints: documents bytes seconds
 *
 * Ranges of about 16 MB on _id (bounds from $sample), one client a thread, no conversion: what no mover can be faster
 * than.
 */
#include <mongoc/mongoc.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define RANGE_BYTES (16 << 20)
#define MAX_RANGES  65536

struct range {
	char *collection;
	bson_t *lo, *hi; /* {_id: v} or NULL */
};

static struct range ranges[MAX_RANGES];
static size_t nranges;
static atomic_size_t next_range;
static atomic_ullong documents, bytes;
static const char *database;
static mongoc_client_pool_t *pool;

static double now(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void add_range(const char *collection, const bson_t *lo, const bson_t *hi)
{
	if (nranges == MAX_RANGES)
		abort();
	ranges[nranges++] = (struct range){strdup(collection), lo != NULL ? bson_copy(lo) : NULL,
					   hi != NULL ? bson_copy(hi) : NULL};
}

static int64_t size_of(mongoc_client_t *client, const char *name)
{
	bson_t reply;
	bson_iter_t it;
	bson_t *command = BCON_NEW("collStats", BCON_UTF8(name));
	int64_t size = 0;
	if (mongoc_client_command_simple(client, database, command, NULL, &reply, NULL) &&
	    bson_iter_init_find(&it, &reply, "size"))
		size = bson_iter_as_int64(&it);
	bson_destroy(&reply);
	bson_destroy(command);
	return size;
}

static void plan_collection(mongoc_client_t *client, const char *name)
{
	int64_t n = size_of(client, name) / RANGE_BYTES + 1;
	mongoc_collection_t *c = mongoc_client_get_collection(client, database, name);
	bson_t *last = NULL;
	if (n > 1) {
		bson_t *pipeline = BCON_NEW("pipeline", "[", "{", "$sample", "{", "size", BCON_INT64(n * 20), "}",
					    "}", "{", "$project", "{", "_id", BCON_INT32(1), "}", "}", "{", "$sort",
					    "{", "_id", BCON_INT32(1), "}", "}", "]");
		mongoc_cursor_t *cursor = mongoc_collection_aggregate(c, MONGOC_QUERY_NONE, pipeline, NULL, NULL);
		const bson_t *doc;
		for (int64_t i = 1; mongoc_cursor_next(cursor, &doc); i++)
			if (i % 20 == 0) {
				add_range(name, last, doc);
				if (last != NULL)
					bson_destroy(last);
				last = bson_copy(doc);
			}
		mongoc_cursor_destroy(cursor);
		bson_destroy(pipeline);
	}
	add_range(name, last, NULL);
	if (last != NULL)
		bson_destroy(last);
	mongoc_collection_destroy(c);
}

static void read_range(mongoc_client_t *client, const struct range *r)
{
	mongoc_collection_t *c = mongoc_client_get_collection(client, database, r->collection);
	bson_t filter = BSON_INITIALIZER, opts = BSON_INITIALIZER, hint;
	const bson_t *doc;
	uint64_t n = 0, size = 0;
	bson_error_t error;
	BSON_APPEND_DOCUMENT_BEGIN(&opts, "hint", &hint);
	BSON_APPEND_INT32(&hint, "_id", 1);
	bson_append_document_end(&opts, &hint);
	if (r->lo != NULL)
		BSON_APPEND_DOCUMENT(&opts, "min", r->lo);
	if (r->hi != NULL)
		BSON_APPEND_DOCUMENT(&opts, "max", r->hi);
	BSON_APPEND_INT32(&opts, "batchSize", 100000);
	mongoc_cursor_t *cursor = mongoc_collection_find_with_opts(c, &filter, &opts, NULL);
	while (mongoc_cursor_next(cursor, &doc)) {
		n++;
		size += doc->len;
	}
	if (mongoc_cursor_error(cursor, &error)) {
		fprintf(stderr, "raw_read: %s\n", error.message);
		exit(1);
	}
	atomic_fetch_add(&documents, n);
	atomic_fetch_add(&bytes, size);
	mongoc_cursor_destroy(cursor);
	bson_destroy(&filter);
	bson_destroy(&opts);
	mongoc_collection_destroy(c);
}

static void *reader(void *arg)
{
	mongoc_client_t *client = mongoc_client_pool_pop(pool);
	size_t i;
	(void)arg;
	while ((i = atomic_fetch_add(&next_range, 1)) < nranges)
		read_range(client, &ranges[i]);
	mongoc_client_pool_push(pool, client);
	return NULL;
}

int main(int argc, char **argv)
{
	pthread_t threads[64];
	if (argc != 4 || atoi(argv[3]) < 1 || atoi(argv[3]) > 64) {
		fprintf(stderr, "usage: raw_read URI DATABASE THREADS\n");
		return 2;
	}
	database = argv[2];
	mongoc_init();
	mongoc_uri_t *uri = mongoc_uri_new(argv[1]);
	pool = mongoc_client_pool_new(uri);
	mongoc_client_t *client = mongoc_client_pool_pop(pool);
	mongoc_database_t *db = mongoc_client_get_database(client, database);
	char **names = mongoc_database_get_collection_names_with_opts(db, NULL, NULL);
	double started = now();
	for (char **n = names; n != NULL && *n != NULL; n++)
		if (strncmp(*n, "system.", 7) != 0)
			plan_collection(client, *n);
	bson_strfreev(names);
	mongoc_database_destroy(db);
	mongoc_client_pool_push(pool, client);
	for (int i = 0; i < atoi(argv[3]); i++)
		pthread_create(&threads[i], NULL, reader, NULL);
	for (int i = 0; i < atoi(argv[3]); i++)
		pthread_join(threads[i], NULL);
	printf("%llu %llu %.3f\n", (unsigned long long)documents, (unsigned long long)bytes, now() - started);
	mongoc_client_pool_destroy(pool);
	mongoc_uri_destroy(uri);
	mongoc_cleanup();
	return 0;
}

/* mongo.h - the live MongoDB source, shared by its files; private to source/.
 *
 *   source_mongo.c      table of functions, open and close, collections, counts
 *   mongo_connect.c     address, clients, sessions, what kind of server answers
 *   mongo_error.c       a driver's error becomes a struct err with class and hint
 *   mongo_split.c       borders on the _id index
 *   mongo_read.c        a reader: one range at a time
 *   mongo_facts.c       what is told of the servers before a move
 *   mongo_changes.c     which documents changed after a moment
 *   mongo_where.c       filters: accepted by the server? how many documents do they take?
 *
 * API common to libmongoc 1.23 and 2.x only. Clients of the pool (short operations: a batch, a ping) stop waiting
 * for an answer after the driver's five minutes; a "patient" client (counting, sampling) waits for an hour.
 */
#ifndef DOCROW_MONGO_H
#define DOCROW_MONGO_H

#include <mongoc/mongoc.h>
#include <pthread.h>

#include "doc.h"
#include "source_ops.h"

enum mongo_topology { MONGO_STANDALONE, MONGO_REPLICA_SET, MONGO_SHARDED };

struct mongo_time { /* BSON timestamp */
	uint32_t seconds, increment;
};

struct source_mongo {
	struct source base; /* first: ops reach it by cast                                            */
	mongoc_uri_t *uri, *patient_uri;
	mongoc_client_pool_t *pool;
	char *app_name;
	enum mongo_topology topology;
	bool is_hidden;          /* a hidden member by direct connection: the driver gives it no sessions */
	bool majority;           /* read concern; not for a standalone server                        */
	struct mongo_time after; /* every read comes causally after this; seconds 0: standalone         */
	bson_t *cluster_time;    /* owned; the signed $clusterTime that belongs to it, or NULL           */
	pthread_mutex_t lock;    /* guards `patient`; all else is constant once the source is open       */
	mongoc_client_t *patient;
};

static inline struct source_mongo *mongo_of(struct source *s)
{
	return (struct source_mongo *)s;
}

/* A borrowed client and, where the server knows sessions, a session that is causally after s->after. */
struct mongo_conn {
	struct source_mongo *source;
	mongoc_client_t *client;
	mongoc_client_session_t *session; /* NULL: none */
	bool patient;
};

bool mongo_borrow(struct source_mongo *s, bool patient, struct mongo_conn *c, struct err *err) MUST_CHECK;
/* A session whose connection broke is not used again. */
bool mongo_renew_session(struct mongo_conn *c, struct err *err) MUST_CHECK;
void mongo_give_back(struct mongo_conn *c);
/* Adds the session to a command's options. */
void mongo_opts_session(const struct mongo_conn *c, bson_t *opts);
/* With read concern majority where the source has it (`plain`: none at all). */
mongoc_collection_t *mongo_collection(const struct mongo_conn *c, const char *name, bool plain);

bool mongo_connect(struct source_mongo *s, const char *uri, const struct source_options *opts,
		   struct err *err) MUST_CHECK;

/* {name: 1} without a session, as the driver sends it; the reply is the caller's to destroy, also after a failure. */
bool mongo_ask(mongoc_client_t *client, const char *db, const char *name, bson_t *reply, bson_error_t *e);
const char *mongo_text_at(const bson_t *doc, const char *key); /* NULL: no text there; lent */
bool mongo_yes_at(const bson_t *doc, const char *key);

/* Fills err from the driver's error: `code` unless the error itself says authentication, privilege or connection.
 * `reply` may be NULL. Always returns false. */
bool mongo_fail(const struct source_mongo *s, struct err *err, enum err_code code, const bson_error_t *e,
		const bson_t *reply, const char *fmt, ...) PRINTF_LIKE(6, 7);
/* The server refuses the form of a command (so that asking differently may help), rather than being unreachable,
 * overloaded or unwilling to let us read. */
bool mongo_is_refusal(const bson_error_t *e);
bool mongo_is_retryable(const bson_error_t *e, const bson_t *reply);
bool mongo_is_cursor_lost(const bson_error_t *e);

/* Kind of one collection; ERR_COLLECTION_MISSING when the server has none of that name. */
bool mongo_kind(struct mongo_conn *c, const char *collection, enum source_kind *kind, uint8_t uuid[16],
		struct err *err) MUST_CHECK;
/* Options {hint: {_id: 1}} and the session; with_hint false: only the session. */
void mongo_opts_hint(const struct mongo_conn *c, bool with_hint, bson_t *opts);

bool mongo_split(struct source *s, const char *collection, uint64_t chunk_docs, uint64_t chunk_bytes,
		 source_add_range *add, void *ctx, struct err *err);
/* Documents and uncompressed bytes from the server's metadata; false: it does not tell. */
bool mongo_estimate(struct mongo_conn *c, const char *collection, uint64_t *docs, uint64_t *bytes);

bool mongo_split_where(struct source *s, const struct source_part *p, uint64_t chunk_docs, uint64_t chunk_bytes,
		       source_add_range *add, void *ctx, struct err *err);
/* mongo_where.c: filters. */
bool mongo_check_where(struct source *s, const struct source_part *p, struct err *err);
bool mongo_count_where(struct source *s, const struct source_part *p, uint64_t *n, struct err *err);
bool mongo_tally(struct source *s, const struct source_part *const *parts, size_t n, struct source_tally *t,
		 struct err *err);
/* Exact count of the documents that the filter takes. */
bool mongo_count(struct source *s, const char *collection, const bson_t *filter, uint64_t *n, struct err *err);
/* The part's filter, lent; an empty one for NULL. */
void mongo_filter_of(const struct source_part *p, bson_t *filter);

bool mongo_reader_open(struct source_reader **r, struct source *s, struct err *err);
void mongo_reader_close(struct source_reader *r);
bool mongo_read(struct source_reader *r, const char *collection, const uint8_t *bounds, size_t len, struct err *err);
int mongo_next(struct source_reader *r, const uint8_t **doc, size_t *len, struct err *err);
bool mongo_read_ids(struct source_reader *r, const char *collection, const uint8_t *const *ids, const size_t *lens,
		    size_t n, struct err *err);
void mongo_interrupt(struct source_reader *r);
void mongo_set_where(struct source_reader *r, const struct source_part *p);

void mongo_tell(struct source *base, struct source_facts *f);

/* "ssssssssiiiiiiii" in hex; false: not such a text. */
bool mongo_parse_time(const char *text, struct mongo_time *t);
bool mongo_changed_since(struct source *base, const char *operation_time, source_changed *each, void *ctx,
			 bool *known, struct err *err) MUST_CHECK;

#endif

/* mongo_facts.c - what is told of the servers before a move: the set and its members, which of them is read, whether
 * majority reads are to be had, how far the oplog reaches. Each question may be refused to the user who reads: then
 * the fact says so, and which role would answer it.
 */
#include <stdlib.h>
#include <time.h>

#include "mongo.h"
#include "text.h"

#define NO_MAJORITY 148    /* ReadConcernMajorityNotEnabled */
#define SHORT_OPLOG 3600.0 /* seconds */
#define FULL_OPLOG  0.9    /* of its size: old entries make room for new ones */

static const char *text_at(const bson_t *doc, const char *key)
{
	const char *text = mongo_text_at(doc, key);
	return text != NULL ? text : "";
}

static double number_at(const bson_t *doc, const char *key)
{
	bson_iter_t it;
	return bson_iter_init_find(&it, doc, key) && BSON_ITER_HOLDS_NUMBER(&it) ? bson_iter_as_double(&it) : 0;
}

/* ---- the members ---- */

/* {name, health, stateStr, self}: one member as replSetGetStatus tells it. */
static void put_member(struct buf *all, struct buf *ill, const bson_t *m)
{
	static const char *const well[] = {"PRIMARY", "SECONDARY", "ARBITER"};
	const char *name = text_at(m, "name"), *state = text_at(m, "stateStr");
	bool is_well = false;
	for (size_t i = 0; i < sizeof well / sizeof well[0]; i++)
		is_well |= strcmp(state, well[i]) == 0;
	buf_printf(all, "%s%s %s%s", all->len > 0 ? ", " : "", name, state,
		   mongo_yes_at(m, "self") ? " (read from)" : "");
	if (!is_well)
		buf_printf(ill, "%s%s is %s", ill->len > 0 ? ", " : "", name, state);
}

static bool put_status(mongoc_client_t *client, struct buf *all, struct buf *ill)
{
	bson_iter_t it, members;
	bson_error_t e;
	bson_t reply;
	bool ok = mongo_ask(client, "admin", "replSetGetStatus", &reply, &e) &&
		  bson_iter_init_find(&it, &reply, "members") && bson_iter_recurse(&it, &members);
	while (ok && bson_iter_next(&members)) {
		const uint8_t *data;
		uint32_t len;
		bson_t member;
		bson_iter_document(&members, &len, &data);
		if (bson_init_static(&member, data, len))
			put_member(all, ill, &member);
	}
	bson_destroy(&reply);
	return ok;
}

static void put_names(struct buf *out, const bson_t *hello, const char *key, const char *what)
{
	bson_iter_t it, name;
	if (!bson_iter_init_find(&it, hello, key) || !bson_iter_recurse(&it, &name))
		return;
	while (bson_iter_next(&name))
		if (BSON_ITER_HOLDS_UTF8(&name))
			buf_printf(out, "%s%s%s", out->len > 0 ? ", " : "", bson_iter_utf8(&name, NULL), what);
}

/* What every user may know: no states, no hidden members. */
static void put_hello(struct buf *out, const bson_t *hello)
{
	put_names(out, hello, "hosts", "");
	put_names(out, hello, "passives", " (never primary)");
	put_names(out, hello, "arbiters", " (arbiter)");
	buf_puts(out, "; the states of the members are told to a user with the role clusterMonitor");
}

static void tell_set(mongoc_client_t *client, const bson_t *hello, struct source_facts *f)
{
	_cleanup_(buf_free) struct buf all = {0}, ill = {0};
	if (!put_status(client, &all, &ill))
		put_hello(&all, hello);
	source_add_fact(f, "replica set", "%s: %s", text_at(hello, "setName"), buf_cstr(&all));
	if (ill.len > 0)
		source_worry(f, "see that the set is whole before a long read: without a majority it has no primary",
			     "not every member of replica set %s is well: %s", text_at(hello, "setName"),
			     buf_cstr(&ill));
}

static void tell_reading(const bson_t *hello, struct source_facts *f)
{
	const char *hidden = mongo_yes_at(hello, "hidden") ? ", a hidden member" : "";
	if (mongo_yes_at(hello, "ismaster") || mongo_yes_at(hello, "isWritablePrimary")) {
		source_add_fact(f, "read from", "the primary, %s", text_at(hello, "me"));
		return;
	}
	source_add_fact(f, "read from", "a secondary, %s%s", text_at(hello, "me"), hidden);
	source_worry(f, "name the whole set in the address, without directConnection=true",
		     "the source is read from a secondary: what it has not replicated yet is not seen");
}

/* ---- read concern ---- */

static void tell_majority(const struct source_mongo *s, mongoc_client_t *client, struct source_facts *f)
{
	bson_t *command = BCON_NEW("find", "docrow_check", "limit", BCON_INT32(1), "readConcern", "{", "level",
				   "majority", "}");
	bson_error_t e = {0};
	bson_t reply;
	bool ok = mongoc_client_command_simple(client, s->base.database, command, NULL, &reply, &e);
	bson_destroy(command);
	bson_destroy(&reply);
	if (ok) {
		source_add_fact(f, "read concern", "majority: what is read is never rolled back");
	} else if (e.code == NO_MAJORITY) {
		source_add_fact(f, "read concern", "majority is switched off");
		source_worry(f, "start the members with enableMajorityReadConcern true",
			     "the servers refuse reads with read concern majority");
	} else {
		source_add_fact(f, "read concern",
				"majority is asked for; whether it is to be had is not told to "
				"a user who may not read the whole database");
	}
}

/* ---- the oplog ---- */

/* The oldest (1) or newest (-1) entry's time. */
static bool oplog_end(mongoc_collection_t *oplog, int order, struct mongo_time *t)
{
	bson_t filter = BSON_INITIALIZER;
	bson_t *opts = BCON_NEW("sort", "{", "$natural", BCON_INT32(order), "}", "limit", BCON_INT64(1), "projection",
				"{", "ts", BCON_INT32(1), "}");
	mongoc_cursor_t *cursor = mongoc_collection_find_with_opts(oplog, &filter, opts, NULL);
	const bson_t *entry;
	bson_iter_t it;
	bool ok = mongoc_cursor_next(cursor, &entry) && bson_iter_init_find(&it, entry, "ts") &&
		  BSON_ITER_HOLDS_TIMESTAMP(&it);
	if (ok)
		bson_iter_timestamp(&it, &t->seconds, &t->increment);
	mongoc_cursor_destroy(cursor);
	bson_destroy(opts);
	bson_destroy(&filter);
	return ok;
}

/* How full it is, 0 to 1; 0 also where that is not told. */
static double oplog_share(mongoc_client_t *client)
{
	bson_t *command = BCON_NEW("collStats", "oplog.rs");
	bson_error_t e;
	bson_t reply;
	bool ok = mongoc_client_command_simple(client, "local", command, NULL, &reply, &e);
	double most = ok ? number_at(&reply, "maxSize") : 0, share = most > 0 ? number_at(&reply, "size") / most : 0;
	bson_destroy(command);
	bson_destroy(&reply);
	return share > 1 ? 1 : share;
}

static const char *utc(uint32_t seconds, char out[32])
{
	time_t t = (time_t)seconds;
	struct tm tm;
	strftime(out, 32, "%Y-%m-%d %H:%M:%S", gmtime_r(&t, &tm));
	return out;
}

static const char oplog_use[] = "for so long docrow validate can tell which documents changed after the move began";

static void say_window(struct source_facts *f, struct mongo_time from, struct mongo_time to, double share)
{
	char text[3][32];
	double seconds = (double)to.seconds - (double)from.seconds;
	bool is_full = share >= FULL_OPLOG;
	source_add_fact(f, "oplog", "%.1f hours (%s to %s UTC), %.0f %% full; %s", seconds / 3600,
			utc(from.seconds, text[0]), utc(to.seconds, text[1]), share * 100, oplog_use);
	if (is_full && seconds < SHORT_OPLOG)
		source_worry(f, "make it larger before the move: replSetResizeOplog",
			     "the oplog is full and holds %s only: %s", text_duration(seconds, text[2]), oplog_use);
}

static void tell_oplog(mongoc_client_t *client, struct source_facts *f)
{
	mongoc_collection_t *oplog = mongoc_client_get_collection(client, "local", "oplog.rs");
	struct mongo_time from, to;
	if (oplog_end(oplog, 1, &from) && oplog_end(oplog, -1, &to))
		say_window(f, from, to, oplog_share(client));
	else
		source_add_fact(f, "oplog",
				"not to be read by this user (the role read on database local would); "
				"%s",
				oplog_use);
	mongoc_collection_destroy(oplog);
}

/* ---- a cluster ---- */

static void tell_cluster(mongoc_client_t *client, struct source_facts *f)
{
	bson_iter_t it, shards;
	bson_error_t e;
	bson_t reply;
	int n = 0;
	bool ok = mongo_ask(client, "admin", "listShards", &reply, &e) &&
		  bson_iter_init_find(&it, &reply, "shards") && bson_iter_recurse(&it, &shards);
	while (ok && bson_iter_next(&shards))
		n++;
	bson_destroy(&reply);
	if (ok)
		source_add_fact(f, "cluster", "sharded, %d shard%s, read through a mongos", n, n == 1 ? "" : "s");
	else
		source_add_fact(f, "cluster",
				"sharded, read through a mongos; how many shards it has is told to a "
				"user with the role clusterMonitor");
	source_add_fact(f, "oplog", "each shard has its own, which a mongos does not show; %s", oplog_use);
}

static void tell_replica_set(mongoc_client_t *client, struct source_facts *f)
{
	bson_error_t e;
	bson_t hello;
	if (mongo_ask(client, "admin", "isMaster", &hello, &e)) {
		tell_set(client, &hello, f);
		tell_reading(&hello, f);
	}
	bson_destroy(&hello);
	tell_oplog(client, f);
}

static void tell_by_kind(const struct source_mongo *s, mongoc_client_t *client, struct source_facts *f)
{
	if (s->topology == MONGO_STANDALONE) {
		source_add_fact(f, "replica set",
				"none: a standalone server, without majority reads and without a record of changes");
		return;
	}
	if (s->topology == MONGO_SHARDED)
		tell_cluster(client, f);
	else
		tell_replica_set(client, f);
	tell_majority(s, client, f);
}

void mongo_tell(struct source *base, struct source_facts *f)
{
	struct mongo_conn c;
	struct err ignored;
	source_add_fact(f, "values", "text in UTF-8, dates in UTC: MongoDB has no other encodings and no time zones");
	if (!mongo_borrow(mongo_of(base), false, &c, &ignored))
		return; /* whoever reads next says why */
	tell_by_kind(mongo_of(base), c.client, f);
	mongo_give_back(&c);
}

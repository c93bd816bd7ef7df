/* mongo_connect.c - from an address to a server that may be read.
 *
 * mongo_connect, in this order, each step with its own error: the address is understood; a server is found in time
 * (else a diagnosis: which member cannot be reached, which set name is wrong); it takes the user; its version is
 * read; it is not one shard of a cluster; its operation time is taken. Every session made later is causally after
 * that time, so that a secondary that lags behind cannot serve older data.
 */
#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "mongo.h"
#include "sys.h"
#include "text.h"

#define SELECT_TIMEOUT_MS   10000
#define BORROW_TIMEOUT_MS   30000
#define PATIENT_TIMEOUT_MS  (60 * 60 * 1000)
#define DIAGNOSE_TIMEOUT_MS 2000
#define MAX_ASKED           5 /* members of a set, each for DIAGNOSE_TIMEOUT_MS at most */
#define OLDEST_MAJOR        4

/* ---- the driver ---- */

static void driver_log(mongoc_log_level_t level, const char *domain, const char *message, void *ctx)
{
	(void)ctx;
	if (level <= MONGOC_LOG_LEVEL_WARNING)
		log_line(LOG_DEBUG, "%s: %s", domain, message);
}

static void driver_start(void)
{
	mongoc_init();
	mongoc_log_set_handler(driver_log, NULL);
}

/* ---- the address ---- */

static void default_option(mongoc_uri_t *uri, const char *name, int32_t value)
{
	if (!mongoc_uri_has_option(uri, name))
		mongoc_uri_set_option_as_int32(uri, name, value);
}

/* An unencoded @ or / in user or password moves the place where the host begins, and what follows would be taken for
 * a host's or database's name and quoted: so it is looked for first. */
static bool has_stray_at(const char *text)
{
	const char *authority = strstr(text, "://") + 3;
	size_t end = strcspn(authority, "?"), host_end = strcspn(authority, "/?");
	const char *first = memchr(authority, '@', end);
	if (!first)
		return false;
	size_t at = (size_t)(first - authority);
	return at > host_end || memchr(first + 1, '@', end - at - 1) != NULL;
}

static bool parse_uri(struct source_mongo *s, const char *text, struct err *err)
{
	bson_error_t e = {0};
	s->uri = has_stray_at(text) ? NULL : mongoc_uri_new_with_error(text, &e);
	if (!s->uri) {
		err_set(err, ERR_SOURCE_URI, "the MongoDB address is not understood");
		if (!strchr(text,
			    '@')) /* the driver may quote what it does not understand: not with a password in it */
			err_detail(err, "%s", e.message);
		return err_hint(err,
				"its form is mongodb://USER:PASSWORD@HOST:PORT/DATABASE?OPTIONS; special "
				"characters in user or password must be percent-encoded (@ is %%40, : is %%3A, / is "
				"%%2F, %% is %%25)");
	}
	default_option(s->uri, MONGOC_URI_SERVERSELECTIONTIMEOUTMS, SELECT_TIMEOUT_MS);
	default_option(s->uri, MONGOC_URI_WAITQUEUETIMEOUTMS, BORROW_TIMEOUT_MS);
	s->patient_uri = mongoc_uri_copy(s->uri);
	default_option(s->patient_uri, MONGOC_URI_SOCKETTIMEOUTMS, PATIENT_TIMEOUT_MS);
	mongoc_uri_set_option_as_bool(s->patient_uri, MONGOC_URI_SERVERSELECTIONTRYONCE, false);
	return true;
}

static bool choose_database(struct source_mongo *s, const struct source_options *opts, struct err *err)
{
	const char *name = opts->database ? opts->database : mongoc_uri_get_database(s->uri);
	if (!name || !*name) {
		err_set(err, ERR_SETTING_MISSING, "the source's address names no database");
		return err_hint(err, "add it to the address, mongodb://HOST/DATABASE, or name it in the mapping "
				     "(source: {database: ...})");
	}
	s->base.database = mem_strdup(name);
	return true;
}

static bool open_pool(struct source_mongo *s, const struct source_options *opts, struct err *err)
{
	bson_error_t e = {0};
	s->pool = mongoc_client_pool_new_with_error(s->uri, &e);
	if (!s->pool)
		return mongo_fail(s, err, e.domain == MONGOC_ERROR_STREAM ? ERR_SOURCE_CONNECT : ERR_SOURCE_URI, &e,
				  NULL, "the MongoDB address cannot be used");
	mongoc_client_pool_set_error_api(s->pool, MONGOC_ERROR_API_VERSION_2);
	s->app_name = mem_strdup(opts->app_name ? opts->app_name : "docrow");
	if (!mongoc_uri_get_appname(s->uri))
		mongoc_client_pool_set_appname(s->pool, s->app_name);
	return true;
}

/* ---- clients and sessions ---- */

static mongoc_client_t *new_client(const mongoc_uri_t *uri, const char *app_name)
{
	mongoc_client_t *client = mongoc_client_new_from_uri(uri);
	if (!client)
		return NULL;
	mongoc_client_set_error_api(client, MONGOC_ERROR_API_VERSION_2);
	if (!mongoc_uri_get_appname(uri))
		mongoc_client_set_appname(client, app_name);
	return client;
}

/* One patient client is kept; a second caller at the same time gets one of its own. */
static mongoc_client_t *take_patient(struct source_mongo *s)
{
	pthread_mutex_lock(&s->lock);
	mongoc_client_t *client = s->patient;
	s->patient = NULL;
	pthread_mutex_unlock(&s->lock);
	return client ? client : new_client(s->patient_uri, s->app_name);
}

static void put_patient(struct source_mongo *s, mongoc_client_t *client)
{
	pthread_mutex_lock(&s->lock);
	if (!s->patient) {
		s->patient = client;
		client = NULL;
	}
	pthread_mutex_unlock(&s->lock);
	if (client)
		mongoc_client_destroy(client);
}

/* Operation and cluster time do not change once the source is open. */
static bool start_session(struct mongo_conn *c, struct err *err)
{
	const struct source_mongo *s = c->source;
	if (s->after.seconds == 0 || s->is_hidden)
		return true;
	bson_error_t e = {0};
	mongoc_session_opt_t *opts = mongoc_session_opts_new();
	mongoc_session_opts_set_causal_consistency(opts, true);
	c->session = mongoc_client_start_session(c->client, opts, &e);
	mongoc_session_opts_destroy(opts);
	if (!c->session)
		return mongo_fail(s, err, ERR_SOURCE_READ, &e, NULL, "cannot start a session");
	if (s->cluster_time)
		mongoc_client_session_advance_cluster_time(c->session, s->cluster_time);
	mongoc_client_session_advance_operation_time(c->session, s->after.seconds, s->after.increment);
	return true;
}

bool mongo_borrow(struct source_mongo *s, bool patient, struct mongo_conn *c, struct err *err)
{
	*c = (struct mongo_conn){.source = s, .patient = patient};
	c->client = patient ? take_patient(s) : mongoc_client_pool_pop(s->pool);
	if (!c->client) {
		err_set(err, ERR_SOURCE_CONNECT, "no free connection to MongoDB within the wait time");
		return err_hint(err, "raise maxPoolSize in the address or lower the number of workers");
	}
	if (start_session(c, err))
		return true;
	mongo_give_back(c);
	return false;
}

bool mongo_renew_session(struct mongo_conn *c, struct err *err)
{
	if (c->session)
		mongoc_client_session_destroy(c->session);
	c->session = NULL;
	return start_session(c, err);
}

void mongo_give_back(struct mongo_conn *c)
{
	if (c->session)
		mongoc_client_session_destroy(c->session);
	if (c->client && c->patient)
		put_patient(c->source, c->client);
	else if (c->client)
		mongoc_client_pool_push(c->source->pool, c->client);
	c->client = NULL;
	c->session = NULL;
}

void mongo_opts_session(const struct mongo_conn *c, bson_t *opts)
{
	bson_error_t e;
	if (c->session && !mongoc_client_session_append(c->session, opts, &e))
		abort(); /* only when the session is of another client: ours to get right */
}

mongoc_collection_t *mongo_collection(const struct mongo_conn *c, const char *name, bool plain)
{
	mongoc_collection_t *coll = mongoc_client_get_collection(c->client, c->source->base.database, name);
	mongoc_read_concern_t *rc = mongoc_read_concern_new();
	if (!plain && c->source->majority)
		mongoc_read_concern_set_level(rc, MONGOC_READ_CONCERN_LEVEL_MAJORITY);
	mongoc_collection_set_read_concern(coll, rc);
	mongoc_read_concern_destroy(rc);
	return coll;
}

/* ---- why no server was found ---- */

/* An address of one host ("name:port") alone, without user: its hello needs none. */
static mongoc_uri_t *bare_uri(const mongoc_uri_t *uri, const char *host)
{
	char text[512];
	if (snprintf(text, sizeof(text), "mongodb://%s/", host) >= (int)sizeof(text))
		return NULL;
	mongoc_uri_t *bare = mongoc_uri_new(text);
	if (!bare)
		return NULL;
	mongoc_uri_set_option_as_bool(bare, MONGOC_URI_DIRECTCONNECTION, true);
	mongoc_uri_set_option_as_int32(bare, MONGOC_URI_SERVERSELECTIONTIMEOUTMS, DIAGNOSE_TIMEOUT_MS);
	mongoc_uri_set_option_as_int32(bare, MONGOC_URI_CONNECTTIMEOUTMS, DIAGNOSE_TIMEOUT_MS);
	mongoc_uri_set_option_as_int32(bare, MONGOC_URI_SOCKETTIMEOUTMS, DIAGNOSE_TIMEOUT_MS);
	if (mongoc_uri_get_tls(uri)) {
		mongoc_uri_set_option_as_bool(bare, MONGOC_URI_TLS, true);
		mongoc_uri_set_option_as_bool(bare, MONGOC_URI_TLSINSECURE, true);
	}
	return bare;
}

bool mongo_ask(mongoc_client_t *client, const char *db, const char *name, bson_t *reply, bson_error_t *e)
{
	bson_t command = BSON_INITIALIZER;
	BSON_APPEND_INT32(&command, name, 1);
	bool ok = mongoc_client_command_simple(client, db, &command, NULL, reply, e);
	bson_destroy(&command);
	return ok;
}

const char *mongo_text_at(const bson_t *doc, const char *key)
{
	bson_iter_t it;
	return bson_iter_init_find(&it, doc, key) && BSON_ITER_HOLDS_UTF8(&it) ? bson_iter_utf8(&it, NULL) : NULL;
}

bool mongo_yes_at(const bson_t *doc, const char *key)
{
	bson_iter_t it;
	return bson_iter_init_find(&it, doc, key) && bson_iter_as_bool(&it);
}

/* The first host answers when asked alone: then the set's name or its members' names are the trouble. */
static void explain_hello(const struct source_mongo *s, const bson_t *hello, const char *unreachable, struct err *err)
{
	const char *wanted = mongoc_uri_get_replica_set(s->uri), *name = mongo_text_at(hello, "setName");
	if (!name && mongo_yes_at(hello, "isreplicaset")) {
		err_hint(err,
			 "the server answers, but it is in no working replica set: initiate the set, or see that "
			 "the server can resolve its own name in it");
		return;
	}
	if (wanted && !name) {
		err_hint(err,
			 "the server answers but belongs to no replica set: take replicaSet=%s out of the address",
			 wanted);
		return;
	}
	if (wanted && strcmp(wanted, name) != 0) {
		err_hint(err, "the server answers, but its replica set is called %s: write replicaSet=%s", name,
			 name);
		return;
	}
	if (name && *unreachable)
		err_hint(err,
			 "the server answers, but its replica set %s names members that cannot be reached from here "
			 "(%s): make those names resolve, or add directConnection=true to read from this one server",
			 name, unreachable);
	else if (name)
		err_hint(err,
			 "the server answers, but its replica set %s has no primary now: wait for one, or add "
			 "directConnection=true to read from this one server",
			 name);
}

/* What one host says when it is asked alone; false: nothing. */
static bool ask_alone(const struct source_mongo *s, const char *host, bson_t *hello)
{
	bson_error_t e;
	mongoc_uri_t *uri = bare_uri(s->uri, host);
	mongoc_client_t *alone = uri ? new_client(uri, s->app_name) : NULL;
	bool ok = false;
	if (alone)
		ok = mongo_ask(alone, "admin", "isMaster", hello, &e);
	else
		bson_init(hello);
	if (alone)
		mongoc_client_destroy(alone);
	if (uri)
		mongoc_uri_destroy(uri);
	return ok;
}

/* The driver goes by the names that the members have for each other, not by those in the address. */
static void list_unreachable(const struct source_mongo *s, const bson_t *hello, struct buf *out)
{
	bson_iter_t it, host;
	if (!bson_iter_init_find(&it, hello, "hosts") || !bson_iter_recurse(&it, &host))
		return;
	for (int i = 0; i < MAX_ASKED && bson_iter_next(&host); i++) {
		bson_t reply;
		if (!BSON_ITER_HOLDS_UTF8(&host))
			continue;
		const char *name = bson_iter_utf8(&host, NULL);
		if (!ask_alone(s, name, &reply))
			buf_printf(out, "%s%.200s", out->len ? ", " : "", name);
		bson_destroy(&reply);
	}
}

static void diagnose(struct source_mongo *s, struct err *err)
{
	const mongoc_host_list_t *first = mongoc_uri_get_hosts(s->uri);
	struct buf unreachable;
	bson_t hello;
	if (!first) /* mongodb+srv: no host of its own */
		return;
	buf_init(&unreachable, 600);
	if (ask_alone(s, first->host_and_port, &hello)) {
		list_unreachable(s, &hello, &unreachable);
		explain_hello(s, &hello, buf_cstr(&unreachable), err);
	}
	bson_destroy(&hello);
	buf_free(&unreachable);
}

/* ---- what answers ---- */

static bool select_server(struct source_mongo *s, mongoc_client_t *client, mongoc_server_description_t **sd,
			  struct err *err)
{
	bson_error_t e = {0};
	mongoc_read_prefs_t *primary = mongoc_read_prefs_new(MONGOC_READ_PRIMARY);
	*sd = mongoc_client_select_server(client, false, primary, &e);
	mongoc_read_prefs_destroy(primary);
	if (*sd)
		return true;
	mongo_fail(s, err, ERR_SOURCE_CONNECT, &e, NULL, "cannot reach MongoDB");
	if (err->code == ERR_SOURCE_CONNECT)
		diagnose(s, err);
	return false;
}

/* "6.0.5" → 6; a server that does not say (not MongoDB's own) is judged by its wire version alone. */
static bool check_version(struct source_mongo *s, mongoc_client_t *client, char version[32], struct err *err)
{
	bson_t reply;
	bson_error_t e = {0};
	bool ok = mongo_ask(client, "admin", "buildInfo", &reply, &e);
	const char *text = ok ? mongo_text_at(&reply, "version") : NULL;
	snprintf(version, 32, "%s", text ? text : "(version not told)");
	bson_destroy(&reply);
	if (!ok && !mongo_is_refusal(&e))
		return mongo_fail(s, err, ERR_SOURCE_CONNECT, &e, NULL, "cannot work with MongoDB");
	if (text && isdigit((unsigned char)version[0]) && atoi(version) < OLDEST_MAJOR) {
		err_set(err, ERR_SOURCE_VERSION, "MongoDB %s is too old", version);
		return err_hint(err, "docrow reads MongoDB %d.0 and later", OLDEST_MAJOR);
	}
	return true;
}

static bool has_cluster_role(const bson_t *options)
{
	bson_iter_t it, role;
	return bson_iter_init(&it, options) && bson_iter_find_descendant(&it, "parsed.sharding.clusterRole", &role);
}

/* A shard may hold documents that have moved to another one (orphaned documents) and lacks the rest. Which question
 * a server answers depends on version and privileges, so each is asked; one yes is enough. */
static bool is_shard(mongoc_client_t *client, const bson_t *hello)
{
	bson_iter_t it;
	bson_t reply;
	bson_error_t e;
	if (bson_iter_init_find(&it, hello, "configsvr"))
		return true;
	bool yes = mongo_ask(client, "admin", "shardingState", &reply, &e) && mongo_yes_at(&reply, "enabled");
	yes = yes || bson_has_field(&reply, "$gleStats");
	bson_destroy(&reply);
	if (yes)
		return true;
	yes = mongo_ask(client, "admin", "getCmdLineOpts", &reply, &e) && has_cluster_role(&reply);
	bson_destroy(&reply);
	return yes;
}

static bool refuse_shard(struct source_mongo *s, mongoc_client_t *client, const bson_t *hello, struct err *err)
{
	if (s->topology == MONGO_SHARDED || !is_shard(client, hello))
		return true;
	err_set(err, ERR_SOURCE_SHARD, "the address leads to one shard of a cluster, not to the whole database");
	err_detail(err, "a shard lacks what other shards hold and may hold documents that have moved away from it");
	return err_hint(err, "give the address of a mongos of that cluster");
}

/* ---- the operation time ---- */

static bool find_time(const bson_t *doc, const char *key, struct mongo_time *t)
{
	bson_iter_t it;
	if (!bson_iter_init_find(&it, doc, key) || !BSON_ITER_HOLDS_TIMESTAMP(&it))
		return false;
	bson_iter_timestamp(&it, &t->seconds, &t->increment);
	return t->seconds != 0;
}

static void keep_cluster_time(struct source_mongo *s, const bson_t *reply)
{
	bson_iter_t it;
	const uint8_t *data;
	uint32_t len;
	bson_t sub;
	if (!bson_iter_init_find(&it, reply, "$clusterTime") || !BSON_ITER_HOLDS_DOCUMENT(&it))
		return;
	bson_iter_document(&it, &len, &data);
	if (!bson_init_static(&sub, data, len))
		return;
	s->cluster_time = bson_copy(&sub);
}

static char *format_time(struct mongo_time t)
{
	char text[17];
	snprintf(text, sizeof(text), "%08" PRIx32 "%08" PRIx32, t.seconds, t.increment);
	return mem_strdup(text);
}

static bool take_time(struct source_mongo *s, mongoc_client_t *client, struct err *err)
{
	bson_t reply;
	bson_error_t e = {0};
	bool ok = mongo_ask(client, "admin", "ping", &reply, &e);
	if (!ok)
		mongo_fail(s, err, ERR_SOURCE_READ, &e, &reply, "cannot ask MongoDB for its operation time");
	else if (s->topology != MONGO_STANDALONE && find_time(&reply, "operationTime", &s->after))
		keep_cluster_time(s, &reply);
	bson_destroy(&reply);
	s->base.operation_time = s->after.seconds ? format_time(s->after) : mem_strdup("");
	s->majority = s->topology != MONGO_STANDALONE;
	return ok;
}

/* ---- all together ---- */

static void describe(struct source_mongo *s, const mongoc_server_description_t *sd, const char *version)
{
	const char *host =
		mongoc_server_description_host((mongoc_server_description_t *)(uintptr_t)sd)->host_and_port;
	const char *set = mongo_text_at(mongoc_server_description_hello_response(sd), "setName");
	struct buf b;
	buf_init(&b, 0);
	buf_printf(&b, "MongoDB %s, ", version);
	if (s->topology == MONGO_SHARDED)
		buf_puts(&b, "sharded cluster");
	else if (set)
		buf_printf(&b, "replica set %s", set);
	else
		buf_puts(&b, "standalone server");
	buf_printf(&b, ", %s/", host);
	text_escape(&b, s->base.database, strlen(s->base.database));
	s->base.describe = mem_strdup(buf_cstr(&b));
	buf_reset(&b);
	buf_printf(&b, "mongodb, database %s, ", s->base.database);
	if (s->topology == MONGO_SHARDED)
		buf_puts(&b, "sharded cluster");
	else
		buf_printf(&b, "%s%s", set ? "replica set " : "standalone", set ? set : "");
	s->base.identity = mem_strdup(buf_cstr(&b));
	buf_free(&b);
}

static bool examine(struct source_mongo *s, mongoc_client_t *client, const mongoc_server_description_t *sd,
		    struct err *err)
{
	char version[32];
	const char *type = mongoc_server_description_type(sd);
	const bson_t *hello = mongoc_server_description_hello_response(sd);
	if (strcmp(type, "Mongos") == 0 || strcmp(type, "LoadBalancer") == 0)
		s->topology = MONGO_SHARDED;
	else if (mongo_text_at(hello, "setName"))
		s->topology = MONGO_REPLICA_SET;
	else
		s->topology = MONGO_STANDALONE;
	s->is_hidden = mongo_yes_at(hello, "hidden");
	if (!check_version(s, client, version, err) || !refuse_shard(s, client, hello, err) ||
	    !take_time(s, client, err))
		return false;
	if (strcmp(type, "RSSecondary") == 0 || s->is_hidden)
		log_line(LOG_WARN, "reading from a secondary by direct connection: what it has not yet replicated is "
				   "not seen");
	describe(s, sd, version);
	return true;
}

bool mongo_connect(struct source_mongo *s, const char *uri, const struct source_options *opts, struct err *err)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	pthread_once(&once, driver_start);
	if (!parse_uri(s, uri, err) || !choose_database(s, opts, err) || !open_pool(s, opts, err))
		return false;
	mongoc_client_t *client = mongoc_client_pool_pop(s->pool);
	if (!client) {
		err_set(err, ERR_SOURCE_CONNECT, "cannot make a connection to MongoDB");
		return false;
	}
	mongoc_server_description_t *sd = NULL;
	bool ok = select_server(s, client, &sd, err) && examine(s, client, sd, err);
	if (sd)
		mongoc_server_description_destroy(sd);
	mongoc_client_pool_push(s->pool, client);
	return ok;
}

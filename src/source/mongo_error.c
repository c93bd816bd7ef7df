/* mongo_error.c - what a driver's error means: code, class, hint.
 *
 * The pool uses error API version 2, so an error that came from the server has domain MONGOC_ERROR_SERVER and the
 * server's own number. Those numbers are stable; the texts are not and are only quoted, never looked at (but for the
 * one case where the driver leaves nothing else: a failed TLS handshake inside a server selection).
 */
#include <stdio.h>
#include <stdlib.h>

#include "mongo.h"
#include "sys.h"

enum { /* server error numbers, from MongoDB's error_codes.yml */
       SERVER_BAD_VALUE = 2,
       SERVER_UNAUTHORIZED = 13,
       SERVER_AUTHENTICATION_FAILED = 18,
       SERVER_CURSOR_NOT_FOUND = 43,
       SERVER_CURSOR_KILLED = 237
};

/* The server, or the way to it, is in trouble that passes. */
static const uint32_t retry_codes[] = {
	6,     /* HostUnreachable                   */
	7,     /* HostNotFound                      */
	43,    /* CursorNotFound                    */
	50,    /* MaxTimeMSExpired                  */
	63,    /* StaleShardVersion                 */
	89,    /* NetworkTimeout                    */
	91,    /* ShutdownInProgress                */
	133,   /* FailedToSatisfyReadPreference     */
	134,   /* ReadConcernMajorityNotAvailableYet */
	136,   /* CappedPositionLost                */
	150,   /* StaleEpoch                        */
	175,   /* QueryPlanKilled                   */
	189,   /* PrimarySteppedDown                */
	202,   /* NetworkInterfaceExceededTimeLimit */
	206,   /* NoSuchSession                     */
	211,   /* KeyNotFound: cluster time keys    */
	237,   /* CursorKilled                      */
	246,   /* SnapshotUnavailable               */
	262,   /* ExceededTimeLimit                 */
	290,   /* TransactionExceededLifetimeLimitSeconds */
	317,   /* ConnectionPoolExpired             */
	365,   /* TemporarilyUnavailable            */
	384,   /* ConnectionError                   */
	9001,  /* SocketException                   */
	10107, /* NotWritablePrimary                */
	11600, /* InterruptedAtShutdown             */
	11601, /* Interrupted                       */
	11602, /* InterruptedDueToReplStateChange   */
	13388, /* StaleConfig                       */
	13435, /* NotPrimaryNoSecondaryOk           */
	13436, /* NotPrimaryOrSecondary             */
	16500, /* request rate too large (Cosmos DB) */
};

static bool is_server(const bson_error_t *e)
{
	return e->domain == MONGOC_ERROR_SERVER;
}

static bool is_network(const bson_error_t *e)
{
	return e->domain == MONGOC_ERROR_STREAM || e->domain == MONGOC_ERROR_SERVER_SELECTION;
}

static bool has_label(const bson_t *reply, const char *label)
{
	return reply && mongoc_error_has_label(reply, label);
}

static bool is_authentication(const bson_error_t *e)
{
	return (e->domain == MONGOC_ERROR_CLIENT && e->code == MONGOC_ERROR_CLIENT_AUTHENTICATE) ||
	       e->domain == MONGOC_ERROR_SCRAM || e->domain == MONGOC_ERROR_SASL ||
	       (is_server(e) && e->code == SERVER_AUTHENTICATION_FAILED);
}

static bool is_privilege(const bson_error_t *e)
{
	return is_server(e) && e->code == SERVER_UNAUTHORIZED;
}

static bool is_wire_version(const bson_error_t *e)
{
	return (e->domain == MONGOC_ERROR_PROTOCOL && e->code == MONGOC_ERROR_PROTOCOL_BAD_WIRE_VERSION) ||
	       (e->domain == MONGOC_ERROR_SERVER_SELECTION &&
		e->code == MONGOC_ERROR_SERVER_SELECTION_BAD_WIRE_VERSION);
}

bool mongo_is_retryable(const bson_error_t *e, const bson_t *reply)
{
	if (is_wire_version(e))
		return false;
	if (is_network(e) || has_label(reply, "RetryableReadError") || has_label(reply, "TransientTransactionError"))
		return true;
	if (!is_server(e))
		return false;
	for (size_t i = 0; i < sizeof(retry_codes) / sizeof(retry_codes[0]); i++)
		if (e->code == retry_codes[i])
			return true;
	return false;
}

bool mongo_is_cursor_lost(const bson_error_t *e)
{
	return (is_server(e) && (e->code == SERVER_CURSOR_NOT_FOUND || e->code == SERVER_CURSOR_KILLED)) ||
	       (e->domain == MONGOC_ERROR_CURSOR && e->code == MONGOC_ERROR_CURSOR_INVALID_CURSOR);
}

bool mongo_is_refusal(const bson_error_t *e)
{
	return is_server(e) && !is_authentication(e) && !is_privilege(e) && !mongo_is_retryable(e, NULL);
}

#define SHORTEST_SECRET 4 /* a shorter one stands in any text by chance */

/* The driver's text without the password, should it ever stand in it. */
static void quote_driver(const struct source_mongo *s, const bson_error_t *e, char *out, size_t size)
{
	const char *secret = s && s->uri ? mongoc_uri_get_password(s->uri) : NULL;
	const char *at = secret && strlen(secret) >= SHORTEST_SECRET ? strstr(e->message, secret) : NULL;
	if (at)
		snprintf(out, size, "%.*s***", (int)(at - e->message), e->message);
	else
		snprintf(out, size, "%s", e->message);
}

static const char *hint_connect(const bson_error_t *e)
{
	if (strstr(e->message, "TLS") || strstr(e->message, "certificate"))
		return "the TLS handshake failed: check tls=, tlsCAFile= and tlsCertificateKeyFile= in the address";
	return "check host, port and firewall; hosted servers (Atlas and others) also need this machine's address on "
	       "their allow-list, and most of them tls=true";
}

static const char hint_auth[] =
	"check user and password; where the user was created in another database, add authSource=admin (or that "
	"database's name); special characters in user or password must be percent-encoded (@ is %40, : is %3A, / is "
	"%2F, % is %25)";
static const char hint_privilege[] = "grant the user the role \"read\" on this database: "
				     "db.getSiblingDB(\"admin\").grantRolesToUser(USER, [{role: "
				     "\"read\", db: DATABASE}])";
static const char hint_version[] = "docrow reads MongoDB 4.0 and later; a newer libmongoc may need a later one";
static const char hint_auth_missing[] = "the server wants a user: put it into the address, "
					"mongodb://USER:PASSWORD@HOST/DATABASE?authSource=admin";

static void give_hint(const struct source_mongo *s, struct err *err, const bson_error_t *e)
{
	bool has_user = s && s->uri && mongoc_uri_get_username(s->uri);
	switch (err->code) {
	case ERR_SOURCE_CONNECT:
		err_hint(err, "%s", hint_connect(e));
		break;
	case ERR_SOURCE_AUTH:
		err_hint(err, "%s", hint_auth);
		break;
	case ERR_SOURCE_PRIVILEGE:
		err_hint(err, "%s", has_user ? hint_privilege : hint_auth_missing);
		break;
	case ERR_SOURCE_VERSION:
		err_hint(err, "%s", hint_version);
		break;
	default:
		break;
	}
}

static enum err_code code_of(const bson_error_t *e, enum err_code code)
{
	if (is_wire_version(e))
		return ERR_SOURCE_VERSION;
	if (is_authentication(e))
		return ERR_SOURCE_AUTH;
	if (is_privilege(e))
		return ERR_SOURCE_PRIVILEGE;
	if (e->domain == MONGOC_ERROR_SERVER_SELECTION)
		return ERR_SOURCE_CONNECT;
	return code;
}

/* Where it was tried, as whom and how: what the driver's text leaves out. */
static void put_address(struct buf *out, const struct source_mongo *s)
{
	const char *set = mongoc_uri_get_replica_set(s->uri), *user = mongoc_uri_get_username(s->uri);
	const char *comma = "host ";
	for (const mongoc_host_list_t *h = mongoc_uri_get_hosts(s->uri); h != NULL; h = h->next, comma = ", ")
		buf_printf(out, "%s%s", comma, h->host_and_port);
	buf_printf(out, "%sdatabase %s", out->len > 0 ? ", " : "", s->base.database ? s->base.database : "(none)");
	if (set)
		buf_printf(out, ", replica set %s", set);
	if (user)
		buf_printf(out, ", user %s of database %s", user, mongoc_uri_get_auth_source(s->uri));
	else
		buf_puts(out, ", no user");
	buf_puts(out, mongoc_uri_get_tls(s->uri) ? ", TLS" : ", no TLS");
}

static void give_detail(const struct source_mongo *s, struct err *err, const bson_error_t *e, const char *quoted)
{
	_cleanup_(buf_free) struct buf address = {0};
	bool is_way = err->code == ERR_SOURCE_CONNECT || err->code == ERR_SOURCE_AUTH;
	if (is_way && s && s->uri)
		put_address(&address, s);
	const char *open = address.len > 0 ? " (" : "", *close = address.len > 0 ? ")" : "";
	if (is_server(e))
		err_detail(err, "the server says (error %u): %s%s%s%s", e->code, quoted, open, buf_cstr(&address),
			   close);
	else
		err_detail(err, "%s%s%s%s", quoted, open, buf_cstr(&address), close);
}

bool mongo_fail(const struct source_mongo *s, struct err *err, enum err_code code, const bson_error_t *e,
		const bson_t *reply, const char *fmt, ...)
{
	char text[sizeof(err->message)], quoted[sizeof(e->message) + 8];
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	err_set(err, code_of(e, code), "%s", text);
	if (err->code == ERR_SOURCE_AUTH && s && s->uri && mongoc_uri_get_username(s->uri))
		err_set(err, ERR_SOURCE_AUTH, "%s as user %s of database %s", text, mongoc_uri_get_username(s->uri),
			mongoc_uri_get_auth_source(s->uri));
	quote_driver(s, e, quoted, sizeof(quoted));
	char *command = is_privilege(e) ? strstr(quoted, " to execute command {") : NULL;
	if (command) /* the rest is the whole command, with signatures */
		*command = 0;
	give_detail(s, err, e, quoted);
	if (mongo_is_retryable(e, reply) && !is_authentication(e) && !is_privilege(e))
		err->class = ERR_CLASS_RETRY;
	give_hint(s, err, e);
	return false;
}

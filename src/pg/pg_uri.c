/* pg_uri.c - reads the target's address: a postgres:// URL, perhaps with Prisma's parameters, or a conninfo string.
 *
 * Parameters that other clients put into the URL are taken out or translated; what is left must be known to libpq, so
 * that a misspelt sslmode is an error and not ignored. libpq's own messages about an address may quote the password
 * and are never shown.
 */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "mem.h"
#include "pg_internal.h"
#include "text.h"

/* Parameters of Prisma and of other clients that mean nothing to libpq and can be left out without harm. */
static const char *const dropped[] = {
	"schema",
	"connection_limit",
	"pool_timeout",
	"pgbouncer",
	"socket_timeout",
	"statement_cache_size",
	"max_connection_lifetime",
	"max_idle_connection_lifetime",
	"single_use_connections",
	"sslaccept",
	"sslidentity",
	"supa",
	"uselibpqcompat",
	"prepare",
	"prepareThreshold",
	"statement_timeout",
	"idle_in_transaction_session_timeout",
	"pool_mode",
	"pool_size",
	"max_pool_size",
	"min_pool_size",
	"directUrl",
};

struct param {
	char *key, *value; /* value as written, still encoded */
};

struct query {
	struct param params[64];
	size_t n;
};

static bool is_one_of(const char *key, const char *const *list, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (strcmp(key, list[i]) == 0)
			return true;
	return false;
}

static char *substring(const char *s, size_t n)
{
	char *out = mem_alloc(n + 1);
	memcpy(out, s, n);
	out[n] = '\0';
	return out;
}

/* %XX decoded; what is malformed stays as it is (libpq has refused it by then). */
static char *percent_decode(const char *s)
{
	size_t len = strlen(s), n = 0;
	char *out = mem_alloc(len + 1);
	for (size_t i = 0; i < len; i++) {
		uint8_t byte;
		if (s[i] == '%' && len - i > 2 && text_unhex(s + i + 1, 2, &byte)) {
			out[n++] = (char)byte;
			i += 2;
		} else {
			out[n++] = s[i];
		}
	}
	out[n] = '\0';
	return out;
}

/* Where the query begins, by libpq's own rule: user and password end at the first @ before a /. */
static const char *find_query(const char *authority)
{
	const char *p = authority + strcspn(authority, "@/");
	return strchr(*p == '@' ? p : authority, '?');
}

static bool split_query(const char *text, struct query *q, struct err *err)
{
	while (*text != '\0') {
		size_t len = strcspn(text, "&");
		size_t key_len = strcspn(text, "=&");
		if (q->n == sizeof(q->params) / sizeof(q->params[0]))
			return err_set(err, ERR_TARGET_URI, "the target's address has too many parameters");
		if (len > 0) {
			struct param *p = &q->params[q->n++];
			p->key = substring(text, key_len);
			p->value = key_len < len ? substring(text + key_len + 1, len - key_len - 1) : mem_strdup("");
		}
		text += len;
		if (*text == '&')
			text++;
	}
	return true;
}

static void free_query(struct query *q)
{
	for (size_t i = 0; i < q->n; i++) {
		free(q->params[i].key);
		free(q->params[i].value);
	}
}

static struct param *find_param(struct query *q, const char *key)
{
	for (size_t i = 0; i < q->n; i++)
		if (strcmp(q->params[i].key, key) == 0)
			return &q->params[i];
	return NULL;
}

static void set_param(struct query *q, const char *key, const char *value)
{
	struct param *p = find_param(q, key);
	if (p == NULL) {
		p = &q->params[q->n++];
		*p = (struct param){mem_strdup(key), NULL};
	}
	free(p->value);
	p->value = mem_strdup(value);
}

/* What Prisma says about TLS in libpq's words. Its sslcert is the authority's certificate, libpq's is the client's:
 * without a key it can only be the former. */
static void translate_tls(struct query *q)
{
	struct param *accept = find_param(q, "sslaccept");
	struct param *mode = find_param(q, "sslmode");
	struct param *cert = find_param(q, "sslcert");
	bool is_open = mode == NULL || strcmp(mode->value, "prefer") == 0 || strcmp(mode->value, "require") == 0;

	if (mode != NULL && strcmp(mode->value, "no-verify") == 0)
		set_param(q, "sslmode", "require");
	if (cert != NULL && find_param(q, "sslkey") == NULL && find_param(q, "sslrootcert") == NULL &&
	    (accept != NULL || find_param(q, "schema") != NULL || find_param(q, "connection_limit") != NULL)) {
		free(cert->key);
		cert->key = mem_strdup("sslrootcert");
	}
	if (accept == NULL || !is_open)
		return;
	if (strcmp(accept->value, "strict") == 0) {
		set_param(q, "sslmode", "verify-full");
		if (find_param(q, "sslrootcert") == NULL && PQlibVersion() >= 160000)
			set_param(q, "sslrootcert", "system");
	} else if (strcmp(accept->value, "accept_invalid_certs") == 0) {
		set_param(q, "sslmode", "require");
	}
}

/* Every parameter that is left must be one of libpq's. */
static bool check_known(const struct query *q, struct err *err)
{
	bool ok = true;
	PQconninfoOption *known = PQconndefaults();
	for (size_t i = 0; ok && known != NULL && i < q->n; i++) {
		const char *key = q->params[i].key, *nearest = NULL;
		size_t best = 4;
		bool found = strcmp(key, "ssl") == 0 || is_one_of(key, dropped, sizeof(dropped) / sizeof(dropped[0]));
		for (const PQconninfoOption *o = known; !found && o->keyword != NULL; o++) {
			found = strcmp(o->keyword, key) == 0;
			if (text_distance(o->keyword, key) < best) {
				best = text_distance(o->keyword, key);
				nearest = o->keyword;
			}
		}
		if (found)
			continue;
		ok = err_set(err, ERR_TARGET_URI,
			     "the target's address has a parameter that libpq does not know: %.60s", key);
		if (nearest != NULL)
			err_hint(err, "did you mean %s?", nearest);
		else
			err_hint(err,
				 "take it out of the address; parameters that libpq takes are listed in PostgreSQL's "
				 "manual, \"Parameter Key Words\"");
	}
	PQconninfoFree(known);
	return ok;
}

static char *join_query(const char *uri, size_t base_len, const struct query *q)
{
	struct buf b;
	buf_init(&b, 0);
	buf_put(&b, uri, base_len);
	char separator = '?';
	for (size_t i = 0; i < q->n; i++) {
		if (is_one_of(q->params[i].key, dropped, sizeof(dropped) / sizeof(dropped[0])))
			continue;
		buf_putc(&b, separator);
		buf_puts(&b, q->params[i].key);
		buf_putc(&b, '=');
		buf_puts(&b, q->params[i].value);
		separator = '&';
	}
	char *out = mem_strdup(buf_cstr(&b));
	buf_free(&b);
	return out;
}

static bool clean_url(const char *uri, const char *authority, struct pg_uri *out, struct err *err)
{
	struct query q = {.n = 0};
	const char *mark = find_query(authority);
	bool ok = split_query(mark == NULL ? "" : mark + 1, &q, err) && check_known(&q, err);
	if (ok) {
		const struct param *schema = find_param(&q, "schema");
		if (schema != NULL && schema->value[0] != '\0')
			out->schema = percent_decode(schema->value);
		out->ignored_sslidentity = find_param(&q, "sslidentity") != NULL;
		/* room for the two that translate_tls may add */
		if (q.n + 2 > sizeof(q.params) / sizeof(q.params[0]))
			ok = err_set(err, ERR_TARGET_URI, "the target's address has too many parameters");
	}
	if (ok) {
		translate_tls(&q);
		out->conninfo = join_query(uri, mark == NULL ? strlen(uri) : (size_t)(mark - uri), &q);
	}
	free_query(&q);
	return ok;
}

static bool refuse(struct err *err, const char *why)
{
	err_set(err, ERR_TARGET_URI, "the target's address is not understood");
	err_detail(err, "%s", why);
	return err_hint(err,
			"write postgresql://user:password@host:5432/database, with @ : / ? # %% and spaces of the "
			"password percent-encoded (@ is %%40, / is %%2F, %% is %%25)");
}

static char *keep(const char *value)
{
	return value == NULL || value[0] == '\0' ? NULL : mem_strdup(value);
}

static void take_option(struct pg_uri *out, const PQconninfoOption *o)
{
	const struct {
		const char *name;
		char **field;
	} wanted[] = {
		{"host", &out->host}, {"hostaddr", &out->hostaddr}, {"port", &out->port},
		{"user", &out->user}, {"dbname", &out->database},   {"sslmode", &out->sslmode},
	};
	for (size_t i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++)
		if (strcmp(o->keyword, wanted[i].name) == 0)
			*wanted[i].field = keep(o->val);
	int64_t seconds;
	if (strcmp(o->keyword, "connect_timeout") == 0 && o->val != NULL &&
	    text_parse_i64(o->val, strlen(o->val), &seconds))
		out->connect_timeout = seconds > 86400 ? 86400 : seconds < 0 ? 0 : (int)seconds;
}

/* A password with a bare @ or / ends up in the host, the port or the database: told here, without quoting it. */
static bool check_parts(const struct pg_uri *u, struct err *err)
{
	if ((u->host != NULL && strchr(u->host, '@') != NULL) ||
	    (u->database != NULL && strchr(u->database, '@') != NULL))
		return refuse(err,
			      "there is an @ too many: one that belongs to the user or the password must be written "
			      "%40");
	if (u->port != NULL && strspn(u->port, "0123456789,") != strlen(u->port))
		return refuse(err, "the port is not a number; perhaps the password holds a / or a :");
	return true;
}

static bool parse_parts(struct pg_uri *out, struct err *err)
{
	if (strstr(out->conninfo, "://") == NULL && strchr(out->conninfo, '=') == NULL) {
		out->database = mem_strdup(out->conninfo); /* libpq: a bare word is a database name */
		return true;
	}
	PQconninfoOption *options = PQconninfoParse(out->conninfo, NULL);
	if (options == NULL)
		return refuse(err,
			      "libpq cannot read it: a % without two hex digits, a missing bracket or quote, or an "
			      "unknown word");
	for (const PQconninfoOption *o = options; o->keyword != NULL; o++)
		take_option(out, o);
	PQconninfoFree(options);
	return check_parts(out, err);
}

static const struct {
	const char *scheme, *why;
} foreign[] = {
	{"mongodb://", "it is a MongoDB address; have source and target been swapped?"},
	{"mongodb+srv://", "it is a MongoDB address; have source and target been swapped?"},
	{"prisma://", "it is an address of Prisma's proxy; docrow needs the database's own address (directUrl)"},
	{"prisma+postgres://",
	 "it is an address of Prisma's proxy; docrow needs the database's own address (directUrl)"},
	{"jdbc:", "it is a JDBC address; leave out \"jdbc:\" and put user and password before the host"},
	{"mysql://", "it is a MySQL address; the target must be PostgreSQL"},
};

bool pg_uri_parse(const char *uri, struct pg_uri *out, struct err *err)
{
	*out = (struct pg_uri){.connect_timeout = -1};
	while (isspace((unsigned char)*uri))
		uri++;
	if (*uri == '\0')
		return refuse(err, "it is empty");
	for (size_t i = 0; i < sizeof(foreign) / sizeof(foreign[0]); i++)
		if (strncasecmp(uri, foreign[i].scheme, strlen(foreign[i].scheme)) == 0)
			return refuse(err, foreign[i].why);

	bool ok;
	if (strncmp(uri, "postgresql://", 13) == 0)
		ok = clean_url(uri, uri + 13, out, err);
	else if (strncmp(uri, "postgres://", 11) == 0)
		ok = clean_url(uri, uri + 11, out, err);
	else if (strstr(uri, "://") != NULL && strchr(uri, '=') == NULL)
		ok = refuse(err, "it does not begin with postgresql://");
	else
		ok = (out->conninfo = mem_strdup(uri)) != NULL;
	ok = ok && parse_parts(out, err);
	if (!ok)
		pg_uri_free(out);
	return ok;
}

void pg_uri_free(struct pg_uri *u)
{
	free(u->conninfo);
	free(u->schema);
	free(u->host);
	free(u->hostaddr);
	free(u->port);
	free(u->user);
	free(u->database);
	free(u->sslmode);
	*u = (struct pg_uri){.connect_timeout = -1};
}

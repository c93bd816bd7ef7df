/* pg_connect.c - one attempt to connect, host by host, with a time limit, and the usual causes when it fails.
 *
 * The connection is made with libpq's polling calls, for two reasons: only so can the verbosity be raised before the
 * server speaks, and a refused login carries no SQLSTATE otherwise; and a wait must end soon after a stop is asked
 * for.
 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mem.h"
#include "pg_internal.h"
#include "sys.h"

enum { DEFAULT_CONNECT_SECONDS = 10, SECONDS_AFTER_STOP = 2, MAX_HOSTS = 32 };

/* One of the address' hosts; NULL members: as libpq finds them itself. */
struct endpoint {
	char *host, *hostaddr, *port;
};

/* The i-th part of a list with commas; a list of one part serves all. */
static char *list_part(const char *list, size_t i)
{
	if (list == NULL)
		return NULL;
	const char *p = list;
	for (; i > 0 && strchr(p, ',') != NULL; i--)
		p = strchr(p, ',') + 1;
	if (i > 0)
		p = list;
	size_t n = strcspn(p, ",");
	char *out = mem_alloc(n + 1);
	memcpy(out, p, n);
	out[n] = '\0';
	return out;
}

static size_t list_length(const char *list)
{
	size_t n = 1;
	for (const char *p = list; p != NULL && *p != '\0'; p++)
		n += *p == ',';
	return n < MAX_HOSTS ? n : MAX_HOSTS;
}

static void free_endpoint(struct endpoint *e)
{
	free(e->host);
	free(e->hostaddr);
	free(e->port);
}

static double seconds_allowed(const struct pg_uri *u)
{
	int seconds = u->connect_timeout;
	const char *env = getenv("PGCONNECT_TIMEOUT");
	if (seconds < 0 && env != NULL)
		seconds = atoi(env);
	if (seconds < 0)
		seconds = DEFAULT_CONNECT_SECONDS;
	return seconds == 0 ? 86400 : seconds;
}

/* Silences NOTICEs: they go to the log of those who debug. */
static void on_notice(void *ctx, const char *message)
{
	log_line(LOG_DEBUG, "PostgreSQL: %.*s", (int)strcspn(message, "\n"), message);
}

static PGconn *start(const struct pg_uri *u, const struct endpoint *e, const char *application)
{
	/* Of two equal words the later counts: ours above "dbname" give way to the address, those below do not. */
	const struct {
		const char *key, *value;
	} words[] = {
		{"application_name", application}, {"keepalives", "1"},
		{"keepalives_idle", "30"},         {"keepalives_interval", "10"},
		{"keepalives_count", "3"},         {"tcp_user_timeout", "60000"},
		{"dbname", u->conninfo},           {"host", e->host},
		{"hostaddr", e->hostaddr},         {"port", e->port},
		{"client_encoding", "UTF8"},
	};
	enum { WORDS = sizeof(words) / sizeof(words[0]) };
	const char *keys[WORDS + 1], *values[WORDS + 1];
	size_t n = 0;
	for (size_t i = 0; i < WORDS; i++) {
		if (words[i].value == NULL)
			continue;
		keys[n] = words[i].key;
		values[n++] = words[i].value;
	}
	keys[n] = values[n] = NULL;
	return PQconnectStartParams(keys, values, 1);
}

/* Waits until the socket is ready, the deadline passes (false), or a stop cuts the deadline short. */
static bool wait_socket(const PGconn *conn, bool for_reading, double *deadline)
{
	bool cut = false;
	for (;;) {
		struct pollfd fd = {.fd = PQsocket(conn), .events = for_reading ? POLLIN : POLLOUT};
		double left = *deadline - clock_seconds();
		if (left <= 0)
			return false;
		int ready = poll(&fd, 1, left < 0.2 ? (int)(left * 1000) + 1 : 200);
		if (ready > 0 || (ready < 0 && errno != EINTR))
			return true;
		if (!cut && stop_requested() && left > SECONDS_AFTER_STOP) {
			*deadline = clock_seconds() + SECONDS_AFTER_STOP;
			cut = true;
		}
	}
}

/* *timed_out tells a deadline from a refusal; the reason of the latter is PQerrorMessage. */
static bool finish(PGconn *conn, double deadline, bool *timed_out)
{
	PostgresPollingStatusType status = PGRES_POLLING_WRITING;
	*timed_out = false;
	while (status != PGRES_POLLING_OK) {
		if (status == PGRES_POLLING_FAILED)
			return false;
		if (!wait_socket(conn, status == PGRES_POLLING_READING, &deadline)) {
			*timed_out = true;
			return false;
		}
		status = PQconnectPoll(conn);
	}
	return true;
}

/* What libpq says when no server has answered: its words (never translated, since we set no locale) → what to do. */
static const struct {
	const char *words;
	enum err_code code;
	enum err_class class;
	const char *hint;
} causes[] = {
	{"server does not support SSL", ERR_TARGET_CONNECT, ERR_CLASS_FATAL,
	 "the server has no TLS: leave out sslmode (or sslaccept) in the address, or switch TLS on"},
	{"root certificate file", ERR_TARGET_CONNECT, ERR_CLASS_FATAL,
	 "name the authority's certificate with sslrootcert=FILE, or use sslmode=require, which does not verify"},
	{"certificate", ERR_TARGET_CONNECT, ERR_CLASS_FATAL,
	 "the server's certificate is not trusted or is for another name: sslrootcert=FILE, or the host name that "
	 "stands in "
	 "it"},
	{"no password supplied", ERR_TARGET_AUTH, ERR_CLASS_FATAL,
	 "the server asks for a password: put it into the address, PGPASSWORD or ~/.pgpass"},
	{"password authentication failed", ERR_TARGET_AUTH, ERR_CLASS_FATAL,
	 "the password is wrong, or the user does not exist"},
	{"could not translate host name", ERR_TARGET_CONNECT, ERR_CLASS_RETRY,
	 "the host name is not known: is it spelt right, and is there a network and DNS?"},
	{"No such file or directory", ERR_TARGET_CONNECT, ERR_CLASS_RETRY,
	 "there is no server at this socket: is PostgreSQL running, and is the address complete "
	 "(postgresql://user@host:5432/database)?"},
	{"Connection refused", ERR_TARGET_CONNECT, ERR_CLASS_RETRY,
	 "nothing listens there: is PostgreSQL running, is the port right, and does listen_addresses let it be "
	 "reached from "
	 "here?"},
	{"server closed the connection", ERR_TARGET_CONNECT, ERR_CLASS_RETRY,
	 "the server or something between cut the line: is it PostgreSQL that listens there?"},
	{"unreachable", ERR_TARGET_CONNECT, ERR_CLASS_RETRY,
	 "there is no way to that host: check network and firewall"},
	{"No route to host", ERR_TARGET_CONNECT, ERR_CLASS_RETRY,
	 "there is no way to that host: check network and firewall"},
	{"timed out", ERR_TARGET_CONNECT, ERR_CLASS_RETRY,
	 "the host does not answer: check address, port and firewall; connect_timeout=SECONDS in the address waits "
	 "longer"},
	{"", ERR_TARGET_CONNECT, ERR_CLASS_RETRY, "check the address, and that the server runs"},
};

static const char *or_dash(const char *s)
{
	return s == NULL || s[0] == '\0' ? "-" : s;
}

/* host, port, database, user and TLS of an attempt; the names come from libpq, so defaults and environment count. */
static void add_facts(const struct pg_uri *u, PGconn *conn, const char *text, struct err *err)
{
	const char *tls = PQsslInUse(conn) ? "in use" : u->sslmode;
	err_detail(err, "%s (host %s, port %s, database %s, user %s, TLS %s)", text, or_dash(PQhost(conn)),
		   or_dash(PQport(conn)), or_dash(PQdb(conn)), or_dash(PQuser(conn)),
		   tls == NULL ? "not demanded" : tls);
}

static void fill_by_words(const char *text, struct err *err)
{
	size_t i = 0;
	while (strstr(text, causes[i].words) == NULL)
		i++;
	if (causes[i].code == ERR_TARGET_AUTH)
		err_set(err, ERR_TARGET_AUTH, "PostgreSQL did not let us in");
	else
		err_set(err, causes[i].code, "cannot connect to PostgreSQL");
	err->class = causes[i].class;
	err_hint(err, "%s", causes[i].hint);
}

static void fill_by_sqlstate(const char *sqlstate, struct err *err)
{
	const struct pg_meaning *m = pg_sqlstate_meaning(sqlstate, true);
	enum err_code code = m->code;
	if (code != ERR_TARGET_AUTH && code != ERR_TARGET_PRIVILEGE)
		code = ERR_TARGET_CONNECT;
	err_set(err, code, "%s",
		code == ERR_TARGET_AUTH        ? "PostgreSQL did not let us in"
		: code == ERR_TARGET_PRIVILEGE ? "the role may not connect to this database"
					       : "cannot connect to PostgreSQL");
	err->class = m->class;
	memcpy(err->sqlstate, sqlstate, 6);
	if (code == ERR_TARGET_PRIVILEGE)
		err_hint(err, "as administrator: GRANT CONNECT ON DATABASE ... TO ...");
	else if (m->hint != NULL)
		err_hint(err, "%s", m->hint);
}

static bool refuse(const struct pg_uri *u, PGconn *conn, bool timed_out, double seconds, struct err *err)
{
	char text[700], sqlstate[6];
	const char *said = PQerrorMessage(conn);
	if (timed_out)
		snprintf(text, sizeof(text), "timed out after %.0f s", seconds);
	else
		pg_message_clean(said, text, sizeof(text));
	if (!timed_out && pg_message_sqlstate(said, sqlstate))
		fill_by_sqlstate(sqlstate, err);
	else
		fill_by_words(text, err);
	add_facts(u, conn, text, err);
	return false;
}

static bool try_endpoint(const struct pg_uri *u, const struct endpoint *e, const char *application, PGconn **out,
			 struct err *err)
{
	double seconds = seconds_allowed(u);
	bool timed_out = false;
	PGconn *conn = start(u, e, application);
	if (conn == NULL)
		return err_set(err, ERR_INTERNAL, "libpq is out of memory");
	PQsetErrorVerbosity(conn, PQERRORS_VERBOSE);
	PQsetNoticeProcessor(conn, on_notice, NULL);
	if (PQstatus(conn) == CONNECTION_BAD || !finish(conn, clock_seconds() + seconds, &timed_out)) {
		refuse(u, conn, timed_out, seconds, err);
		PQfinish(conn);
		return false;
	}
	PQsetErrorVerbosity(conn, PQERRORS_DEFAULT);
	*out = conn;
	return true;
}

bool pg_connect(const struct pg_uri *u, const char *application, PGconn **conn, struct err *err)
{
	size_t n = list_length(u->hostaddr != NULL ? u->hostaddr : u->host);
	for (size_t i = 0; i < n; i++) {
		struct endpoint e = {NULL, NULL, NULL};
		if (n > 1)
			e = (struct endpoint){list_part(u->host, i), list_part(u->hostaddr, i),
					      list_part(u->port, i)};
		bool ok = try_endpoint(u, &e, application, conn, err);
		free_endpoint(&e);
		if (ok)
			return true;
	}
	return false;
}

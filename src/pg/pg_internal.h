/* pg_internal.h - what the files of src/pg share, and what their unit tests look at. Not for other folders. */
#ifndef DOCROW_PG_INTERNAL_H
#define DOCROW_PG_INTERNAL_H

#include <libpq-fe.h>

#include "pg.h"

struct pg {
	PGconn *conn;
	PGcancel *cancel; /* made at open, so that another thread may use it at any time until close */
	char *describe;
	char *schema; /* Prisma's, or NULL */
	int version, pid;
	char *copied; /* the piece that pg_copy_out_next lent */
};

/* An address with what libpq does not know taken out. */
struct pg_uri {
	char *conninfo;           /* for PQconnectStartParams' dbname                             */
	char *schema;             /* Prisma's parameter, decoded, or NULL                         */
	char *host, *hostaddr;    /* lists as written, or NULL                                    */
	char *port;               /* list as written, or NULL                                     */
	char *user, *database;    /* as written, or NULL                                          */
	char *sslmode;            /* as written or as sslaccept means it, or NULL                 */
	int connect_timeout;      /* seconds; -1: not given                                       */
	bool ignored_sslidentity; /* PKCS #12, which libpq cannot read                            */
};
/* False: TARGET_URI. No message ever quotes the address, since a password may stand anywhere in a wrong one. */
bool pg_uri_parse(const char *uri, struct pg_uri *out, struct err *err) MUST_CHECK;
void pg_uri_free(struct pg_uri *u);

/* One attempt to connect. False: TARGET_CONNECT, TARGET_AUTH or TARGET_PRIVILEGE with the usual causes in the hint.
 */
bool pg_connect(const struct pg_uri *u, const char *application, PGconn **conn, struct err *err) MUST_CHECK;
/* The five characters after "SEVERITY:  " in a verbose message; false if there are none. */
bool pg_message_sqlstate(const char *text, char sqlstate[6]);
/* The verbose text of a failed connection on one line: no SQLSTATE, no LOCATION. */
void pg_message_clean(const char *text, char *out, size_t size);

/* What an SQLSTATE means for the caller. */
struct pg_meaning {
	enum err_code code;
	enum err_class class;
	const char *hint;     /* or NULL                                                    */
	bool quotes_values;   /* the server's primary message may quote a value             */
	bool detail_is_value; /* its DETAIL may                                             */
};
/* `fatal` is the severity FATAL or PANIC: the session is over. */
const struct pg_meaning *pg_sqlstate_meaning(const char *sqlstate, bool fatal);

/* Fills err from a failed result (may be NULL: then from the connection). `what` is the statement or "". Always
 * false. */
bool pg_fail(const struct pg *pg, const PGresult *res, const char *what, struct err *err);
/* Takes all results that are left; keeps the first failed one (NULL: none), or else the last good one in *last. */
PGresult *pg_drain(struct pg *pg, PGresult **last);

#endif

/* pg.c - one connection: open, execute, query, transaction, cancel, close.
 *
 *   pg_open → (pg_begin → statements, COPY → pg_commit | pg_rollback)* → pg_close
 *
 * It sets nothing for the session and never retries.
 */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "mem.h"
#include "pg_internal.h"
#include "sys.h"
#include "text.h"

enum { MAX_PARAMS = 48 };

static char *describe(const PGconn *conn)
{
	struct buf b;
	const char *host = PQhost(conn);
	buf_init(&b, 0);
	buf_printf(&b, "%s:%s/%s as %s", host == NULL || host[0] == '\0' ? "localhost" : host, PQport(conn),
		   PQdb(conn), PQuser(conn));
	char *out = mem_strdup(buf_cstr(&b));
	buf_free(&b);
	return out;
}

bool pg_open(struct pg **out, const char *uri, const char *application, struct err *err)
{
	struct pg_uri u;
	PGconn *conn = NULL;
	*out = NULL;
	if (!pg_uri_parse(uri, &u, err))
		return false;
	if (u.ignored_sslidentity)
		log_line(LOG_WARN, "sslidentity in the target's address is not used: libpq takes sslcert and sslkey");
	bool ok = pg_connect(&u, application, &conn, err);
	if (ok) {
		struct pg *pg = mem_zalloc(sizeof(*pg));
		pg->conn = conn;
		pg->cancel = PQgetCancel(conn);
		pg->describe = describe(conn);
		pg->version = PQserverVersion(conn);
		pg->pid = PQbackendPID(conn);
		pg->schema = u.schema;
		u.schema = NULL;
		*out = pg;
	}
	pg_uri_free(&u);
	return ok;
}

void pg_close(struct pg *pg)
{
	if (pg == NULL)
		return;
	PQfreeCancel(pg->cancel);
	PQfreemem(pg->copied);
	PQfinish(pg->conn);
	free(pg->describe);
	free(pg->schema);
	free(pg);
}

void pg_closep(struct pg **pg)
{
	pg_close(*pg);
	*pg = NULL;
}

bool pg_is_lost(const struct pg *pg)
{
	return PQstatus(pg->conn) != CONNECTION_OK || PQtransactionStatus(pg->conn) == PQTRANS_UNKNOWN;
}

int pg_server_version(const struct pg *pg)
{
	return pg->version;
}

int pg_backend_pid(const struct pg *pg)
{
	return pg->pid;
}

const char *pg_describe(const struct pg *pg)
{
	return pg->describe;
}

const char *pg_uri_schema(const struct pg *pg)
{
	return pg->schema;
}

bool pg_in_transaction(const struct pg *pg)
{
	PGTransactionStatusType s = PQtransactionStatus(pg->conn);
	return s == PQTRANS_INTRANS || s == PQTRANS_INERROR || s == PQTRANS_ACTIVE;
}

void pg_cancel(struct pg *pg)
{
	char why[256];
	if (pg->cancel != NULL && PQcancel(pg->cancel, why, sizeof(why)) == 0)
		log_line(LOG_DEBUG, "cancelling a statement failed: %.*s", (int)strcspn(why, "\n"), why);
}

static bool is_good(const PGresult *res)
{
	switch (PQresultStatus(res)) {
	case PGRES_COMMAND_OK:
	case PGRES_TUPLES_OK:
	case PGRES_EMPTY_QUERY:
		return true;
	default:
		return false;
	}
}

/* COMMIT of a transaction that has failed before "succeeds" as ROLLBACK: never let that pass as done. */
static bool is_hidden_rollback(const PGresult *res, const char *sql)
{
	return strncasecmp(sql, "COMMIT", 6) == 0 && strcmp(PQcmdStatus((PGresult *)(uintptr_t)res), "ROLLBACK") == 0;
}

static bool check(struct pg *pg, const PGresult *res, const char *sql, struct err *err)
{
	if (res == NULL || !is_good(res))
		return pg_fail(pg, res, sql, err);
	if (is_hidden_rollback(res, sql)) {
		err_set(err, ERR_INTERNAL, "a transaction that had failed was to be committed");
		return err_detail(err, "PostgreSQL rolled it back instead");
	}
	return true;
}

bool pg_exec(struct pg *pg, const char *sql, struct err *err)
{
	PGresult *res = PQexec(pg->conn, sql);
	bool ok = check(pg, res, sql, err);
	PQclear(res);
	return ok;
}

bool pg_execf(struct pg *pg, struct err *err, const char *fmt, ...)
{
	struct buf b;
	va_list ap;
	buf_init(&b, 0);
	va_start(ap, fmt);
	buf_vprintf(&b, fmt, ap);
	va_end(ap);
	bool ok = pg_exec(pg, buf_cstr(&b), err);
	buf_free(&b);
	return ok;
}

bool pg_begin(struct pg *pg, bool durable, struct err *err)
{
	/* A role or database may carry settings that would bend a long job; each is put right for this transaction.
	 */
	return pg_execf(pg, err,
			"BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE; SET LOCAL synchronous_commit = %s; "
			"SET LOCAL statement_timeout = 0; SET LOCAL lock_timeout = 0; "
			"SET LOCAL idle_in_transaction_session_timeout = 0",
			durable ? "on" : "off");
}

bool pg_commit(struct pg *pg, struct err *err)
{
	return pg_exec(pg, "COMMIT", err);
}

void pg_rollback(struct pg *pg)
{
	struct err ignored;
	if (pg_is_lost(pg))
		return;
	if (PQtransactionStatus(pg->conn) == PQTRANS_ACTIVE)
		pg_copy_abort(pg, "rolled back");
	if (pg_in_transaction(pg) && !pg_exec(pg, "ROLLBACK", &ignored))
		log_line(LOG_DEBUG, "ROLLBACK failed: %s", ignored.message);
}

static PGresult *exec_params(struct pg *pg, const char *sql, const struct pg_param *params, int nparams, bool binary)
{
	const char *values[MAX_PARAMS];
	int lengths[MAX_PARAMS], formats[MAX_PARAMS];
	Oid types[MAX_PARAMS];
	assert(nparams <= MAX_PARAMS);
	for (int i = 0; i < nparams; i++) {
		bool is_binary = params[i].len >= 0;
		values[i] = params[i].value;
		lengths[i] = is_binary ? params[i].len : 0;
		formats[i] = is_binary;
		types[i] = params[i].oid;
	}
	return PQexecParams(pg->conn, sql, nparams, types, values, lengths, formats, binary);
}

static bool query(struct pg *pg, const char *sql, const struct pg_param *params, int nparams, bool binary,
		  struct pg_result **out, struct err *err)
{
	PGresult *res = exec_params(pg, sql, params, nparams, binary);
	*out = NULL;
	if (!check(pg, res, sql, err)) {
		PQclear(res);
		return false;
	}
	*out = (struct pg_result *)res;
	return true;
}

bool pg_query(struct pg *pg, const char *sql, const struct pg_param *params, int nparams, struct pg_result **out,
	      struct err *err)
{
	return query(pg, sql, params, nparams, false, out, err);
}

bool pg_query_binary(struct pg *pg, const char *sql, const struct pg_param *params, int nparams,
		     struct pg_result **out, struct err *err)
{
	return query(pg, sql, params, nparams, true, out, err);
}

bool pg_run(struct pg *pg, const char *sql, const struct pg_param *params, int nparams, uint64_t *affected,
	    struct err *err)
{
	PGresult *res = exec_params(pg, sql, params, nparams, false);
	bool ok = check(pg, res, sql, err);
	if (ok && affected != NULL)
		*affected = strtoull(PQcmdTuples(res), NULL, 10);
	PQclear(res);
	return ok;
}

/* struct pg_result is a PGresult by another name, so that callers need not see libpq. */
static const PGresult *result(const struct pg_result *r)
{
	return (const PGresult *)r;
}

int pg_rows(const struct pg_result *r)
{
	return PQntuples(result(r));
}

int pg_columns(const struct pg_result *r)
{
	return PQnfields(result(r));
}

const char *pg_get(const struct pg_result *r, int row, int col)
{
	return PQgetisnull(result(r), row, col) ? NULL : PQgetvalue(result(r), row, col);
}

const uint8_t *pg_get_field(const struct pg_result *r, int row, int col, int *len)
{
	if (PQgetisnull(result(r), row, col)) {
		*len = -1;
		return NULL;
	}
	*len = PQgetlength(result(r), row, col);
	return (const uint8_t *)PQgetvalue(result(r), row, col);
}

int64_t pg_get_i64(const struct pg_result *r, int row, int col)
{
	const char *text = pg_get(r, row, col);
	return text == NULL ? 0 : strtoll(text, NULL, 10);
}

bool pg_get_bool(const struct pg_result *r, int row, int col)
{
	const char *text = pg_get(r, row, col);
	return text != NULL && text[0] == 't';
}

double pg_get_double(const struct pg_result *r, int row, int col)
{
	const char *text = pg_get(r, row, col);
	double value = 0;
	if (text != NULL && !text_parse_double(text, strlen(text), &value))
		return 0;
	return value;
}

void pg_get_bytea(const struct pg_result *r, int row, int col, struct buf *out)
{
	const char *text = pg_get(r, row, col);
	size_t n = 0;
	if (text == NULL)
		return;
	/* takes both forms of bytea_output */
	unsigned char *bytes = PQunescapeBytea((const unsigned char *)text, &n);
	if (bytes != NULL)
		buf_put(out, bytes, n);
	PQfreemem(bytes);
}

void pg_result_free(struct pg_result *r)
{
	PQclear((PGresult *)r);
}

void pg_result_freep(struct pg_result **r)
{
	pg_result_free(*r);
	*r = NULL;
}

/* pg_copy.c - COPY ... FROM STDIN, and COPY ... TO STDOUT.
 *
 *   pg_copy_begin → pg_copy_put* → pg_copy_end | pg_copy_abort
 *   pg_copy_out_begin → pg_copy_out_next* | pg_copy_out_abort
 *
 * The server's complaint about a row is seen at the end: libpq does not look at its answers while data is sent. What
 * is put is buffered by libpq and blocks when the server is slower than we are.
 */
#include <limits.h>
#include <stdlib.h>

#include "pg_internal.h"

PGresult *pg_drain(struct pg *pg, PGresult **last)
{
	PGresult *failed = NULL, *good = NULL, *res;
	while ((res = PQgetResult(pg->conn)) != NULL) {
		ExecStatusType status = PQresultStatus(res);
		/* still in COPY: PQgetResult would return the same for ever */
		bool copying = status == PGRES_COPY_IN || status == PGRES_COPY_OUT || status == PGRES_COPY_BOTH;
		if ((status == PGRES_FATAL_ERROR || status == PGRES_BAD_RESPONSE) && failed == NULL) {
			failed = res;
			continue;
		}
		PQclear(good);
		good = res;
		if (copying)
			break;
	}
	if (last != NULL)
		*last = good;
	else
		PQclear(good);
	return failed;
}

bool pg_copy_begin(struct pg *pg, const char *sql, struct err *err)
{
	PGresult *res = PQexec(pg->conn, sql);
	bool ok = res != NULL && PQresultStatus(res) == PGRES_COPY_IN;
	if (!ok)
		pg_fail(pg, res, sql, err);
	PQclear(res);
	return ok;
}

static bool fail_rest(struct pg *pg, struct err *err)
{
	PGresult *failed = pg_drain(pg, NULL);
	pg_fail(pg, failed, "", err);
	PQclear(failed);
	return false;
}

bool pg_copy_put(struct pg *pg, const void *data, size_t len, struct err *err)
{
	const char *p = data;
	while (len > 0) {
		/* libpq counts in int, and grows its buffer to the size of one call */
		size_t n = len < (1U << 20) ? len : (1U << 20);
		if (PQputCopyData(pg->conn, p, (int)n) != 1)
			return fail_rest(pg, err);
		p += n;
		len -= n;
	}
	return true;
}

bool pg_copy_end(struct pg *pg, uint64_t *rows, struct err *err)
{
	PGresult *good = NULL;
	if (PQputCopyEnd(pg->conn, NULL) != 1)
		return fail_rest(pg, err);
	PGresult *failed = pg_drain(pg, &good);
	bool ok = failed == NULL && good != NULL && PQresultStatus(good) == PGRES_COMMAND_OK;
	if (!ok)
		pg_fail(pg, failed, "", err);
	else if (rows != NULL)
		*rows = strtoull(PQcmdTuples(good), NULL, 10);
	PQclear(failed);
	PQclear(good);
	return ok;
}

void pg_copy_abort(struct pg *pg, const char *why)
{
	if (PQtransactionStatus(pg->conn) != PQTRANS_ACTIVE)
		return; /* the COPY has ended already */
	if (PQputCopyEnd(pg->conn, why) == 1)
		PQclear(pg_drain(pg, NULL));
}

bool pg_copy_out_begin(struct pg *pg, const char *sql, struct err *err)
{
	PGresult *res = PQexec(pg->conn, sql);
	bool ok = res != NULL && PQresultStatus(res) == PGRES_COPY_OUT;
	if (!ok)
		pg_fail(pg, res, sql, err);
	PQclear(res);
	return ok;
}

int pg_copy_out_next(struct pg *pg, const uint8_t **data, size_t *len, struct err *err)
{
	PQfreemem(pg->copied);
	pg->copied = NULL;
	int n = PQgetCopyData(pg->conn, &pg->copied, 0);
	if (n > 0) {
		*data = (const uint8_t *)pg->copied;
		*len = (size_t)n;
		return 1;
	}
	PGresult *failed = n == -1 ? pg_drain(pg, NULL) : NULL;
	if (n == -1 && failed == NULL)
		return 0;
	pg_fail(pg, failed, "", err);
	PQclear(failed);
	return -1;
}

void pg_copy_out_abort(struct pg *pg)
{
	struct err ignored;
	const uint8_t *data;
	size_t len;
	pg_cancel(pg);
	while (pg_copy_out_next(pg, &data, &len, &ignored) == 1)
		;
}

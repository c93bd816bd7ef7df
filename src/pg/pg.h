/* pg.h - one connection to PostgreSQL: execute, COPY, SQLSTATE class, quoting, cancel. It never retries by itself.
 *
 * All calls on one struct pg belong to one thread, except pg_cancel. Works behind PgBouncer in transaction mode: no
 * session state, no named statements, no start-up options. Every failure fills err with code, sqlstate and class
 * (err->class == ERR_CLASS_RETRY: connection gone, shutdown, deadlock, disk full ...: throw the transaction away).
 * Messages never quote the address, a password, or a value that the server complains about (class DATA: the
 * condition's name, table, column and constraint stand in detail).
 */
#ifndef DOCROW_PG_H
#define DOCROW_PG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "buf.h"
#include "err.h"

struct pg;

/* uri: anything libpq takes, or a URL with Prisma's parameters (schema, connection_limit, pool_timeout, pgbouncer,
 * sslaccept, socket_timeout, statement_cache_size ...), which are taken out first. `application` names the connection
 * in pg_stat_activity. Sets what is needed per transaction only. */
bool pg_open(struct pg **pg, const char *uri, const char *application, struct err *err) MUST_CHECK;
void pg_close(struct pg *pg);
void pg_closep(struct pg **pg);
bool pg_is_lost(const struct pg *pg);       /* the connection is gone or in an unknown state */
int pg_server_version(const struct pg *pg); /* 150018 */
int pg_backend_pid(const struct pg *pg);
/* "host:port/database as user", no password. Lent until close. */
const char *pg_describe(const struct pg *pg);
/* The URI's Prisma schema parameter, or NULL. */
const char *pg_uri_schema(const struct pg *pg);
/* A transaction is open (perhaps a failed one). */
bool pg_in_transaction(const struct pg *pg);

/* BEGIN (READ COMMITTED, READ WRITE) without time limits that a role may carry; durable: COMMIT waits for the disk
 * (synchronous_commit). */
bool pg_begin(struct pg *pg, bool durable, struct err *err) MUST_CHECK;
/* False also when the server rolled back instead. When pg_is_lost() afterwards, the outcome is unknown: read the
 * mark. */
bool pg_commit(struct pg *pg, struct err *err) MUST_CHECK;
/* Leaves COPY and transaction, whatever their state. Never fails: on a lost connection there is nothing to do. */
void pg_rollback(struct pg *pg);

/* One or several statements, results dropped. A COMMIT that the server turns into ROLLBACK fails. */
bool pg_exec(struct pg *pg, const char *sql, struct err *err) MUST_CHECK;
bool pg_execf(struct pg *pg, struct err *err, const char *fmt, ...) PRINTF_LIKE(3, 4) MUST_CHECK;

/* Parameters are text (NULL = SQL NULL) or, with `len` >= 0, binary of that length and type `oid`. */
struct pg_param {
	const void *value;
	int len;
	uint32_t oid;
};
#define PG_TEXT(s)     ((struct pg_param){(s), -1, 0})
#define PG_BYTEA(p, n) ((struct pg_param){(p), (int)(n), 17})
#define PG_NULL        ((struct pg_param){NULL, -1, 0})

/* A result, owned by the caller: pg_result_free. Cells are text; bytea cells through pg_get_bytea. */
struct pg_result;
bool pg_query(struct pg *pg, const char *sql, const struct pg_param *params, int nparams, struct pg_result **out,
	      struct err *err) MUST_CHECK;
/* The same, rows dropped; *affected (may be NULL) gets the count of rows. */
bool pg_run(struct pg *pg, const char *sql, const struct pg_param *params, int nparams, uint64_t *affected,
	    struct err *err) MUST_CHECK;
/* The same with every cell in PostgreSQL's binary form: pg_get_field. */
bool pg_query_binary(struct pg *pg, const char *sql, const struct pg_param *params, int nparams,
		     struct pg_result **out, struct err *err) MUST_CHECK;
/* Bytes of a cell, lent as long as the result; *len -1 for SQL NULL. */
const uint8_t *pg_get_field(const struct pg_result *r, int row, int col, int *len);
int pg_rows(const struct pg_result *r);
int pg_columns(const struct pg_result *r);
const char *pg_get(const struct pg_result *r, int row, int col);                 /* NULL for SQL NULL */
int64_t pg_get_i64(const struct pg_result *r, int row, int col);                 /* 0 for SQL NULL */
double pg_get_double(const struct pg_result *r, int row, int col);               /* 0 for SQL NULL */
bool pg_get_bool(const struct pg_result *r, int row, int col);                   /* false for SQL NULL */
void pg_get_bytea(const struct pg_result *r, int row, int col, struct buf *out); /* appends the decoded bytes */
void pg_result_free(struct pg_result *r);
void pg_result_freep(struct pg_result **r);

/* COPY ... FROM STDIN: begin → put* → end | abort. After end or abort the connection is idle again (in its
 * transaction, failed after abort). */
bool pg_copy_begin(struct pg *pg, const char *sql, struct err *err) MUST_CHECK;
bool pg_copy_put(struct pg *pg, const void *data, size_t len, struct err *err) MUST_CHECK;
bool pg_copy_end(struct pg *pg, uint64_t *rows, struct err *err) MUST_CHECK;
void pg_copy_abort(struct pg *pg, const char *why);

/* COPY ... TO STDOUT: begin → next until 0. 1: a piece of data, lent until the next call; 0: the end; -1: failed. To
 * leave early: pg_copy_out_abort (cancels the statement; the transaction has failed then). */
bool pg_copy_out_begin(struct pg *pg, const char *sql, struct err *err) MUST_CHECK;
int pg_copy_out_next(struct pg *pg, const uint8_t **data, size_t *len, struct err *err) MUST_CHECK;
void pg_copy_out_abort(struct pg *pg);

/* Asks the server to cancel what pg runs. May be called from any thread while pg is open. */
void pg_cancel(struct pg *pg);

#endif

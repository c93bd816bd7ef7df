/* err.h - errors as values that the caller owns.
 *
 * Three kinds of trouble, never mixed:
 *   data     enum fault (fault.h): one document is rejected, the run goes on
 *   outside  bool + struct err *: a server, a file, a setting; retry or stop
 *   ours     assert(): a bug, stop at once
 *
 * A function that returns false has filled `err`; who gets false either handles it or adds where
 * it was (err_where) and returns. Nobody prints but cli/. Nothing here allocates.
 */
#ifndef DOCROW_ERR_H
#define DOCROW_ERR_H

#include <stdbool.h>
#include <stddef.h>

#include "errcodes.h"

#define MUST_CHECK             __attribute__((warn_unused_result))
#define PRINTF_LIKE(fmt, args) __attribute__((format(printf, fmt, args)))

/* Exit status of the program for each kind (design: docs/ARCHITECTURE.md, "Exit status"). */
enum err_kind {
	ERR_KIND_NONE = 0,
	ERR_KIND_LIMIT = 1,    /* too many rejects and the like: resumable                 */
	ERR_KIND_USAGE = 2,    /* command line, settings, mapping                          */
	ERR_KIND_SOURCE = 3,   /* MongoDB or dump: unreachable, refused, unreadable        */
	ERR_KIND_TARGET = 4,   /* PostgreSQL: unreachable, refused, not as expected        */
	ERR_KIND_INTERNAL = 5, /* our bug                                                  */
	ERR_KIND_STOPPED = 130 /* a signal asked us to stop                                */
};

/* What a caller may do about it. */
enum err_class {
	ERR_CLASS_FATAL = 0, /* trying again will not help                                 */
	ERR_CLASS_RETRY,     /* connection, shutdown, deadlock, disk full: try again later */
	ERR_CLASS_DATA       /* the server refused data (SQLSTATE 22, 23, 54, 44000, P0001) */
};

enum err_code {
	ERR_NONE = 0,
#define X(name, code, kind, title) ERR_##name,
	ERR_CODES(X)
#undef X
		ERR_CODE_COUNT
};

struct err {
	enum err_code code;
	enum err_kind kind;   /* from the list of codes                                      */
	enum err_class class; /* FATAL unless set                                            */
	char sqlstate[6];     /* of PostgreSQL, or ""                                        */
	char where[160];      /* "crm_Accounts, chunk 41": added on the way up               */
	char message[512];    /* what failed: lower case, no period                          */
	char detail[1024];    /* the facts                                                   */
	char hint[1024];      /* what to do next                                             */
};

/* Fills err (err may not be NULL), clearing what was in it. Always returns false. */
bool err_set(struct err *err, enum err_code code, const char *fmt, ...) PRINTF_LIKE(3, 4);
bool err_detail(struct err *err, const char *fmt, ...) PRINTF_LIKE(2, 3);
bool err_hint(struct err *err, const char *fmt, ...) PRINTF_LIKE(2, 3);
/* Puts "fmt" in front of err->where ("fmt: old"). */
bool err_where(struct err *err, const char *fmt, ...) PRINTF_LIKE(2, 3);
void err_clear(struct err *err);

/* "DR-4001", the title of the manual's entry, the kind. */
const char *err_code_text(enum err_code code);
const char *err_code_title(enum err_code code);
enum err_kind err_code_kind(enum err_code code);

#endif

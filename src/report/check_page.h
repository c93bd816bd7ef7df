/* check_page.h - what docrow check says, for people and as JSON. Facts are handed in; nothing here asks a server. No
 * document values, but with log_values: ids, paths, types, labels, counts.
 */
#ifndef DOCROW_CHECK_PAGE_H
#define DOCROW_CHECK_PAGE_H

#include "check.h"
#include "report.h"

enum check_severity { CHECK_NOTE, CHECK_WARNING, CHECK_ERROR };

struct check_finding {
	enum check_severity severity;
	const char *area; /* "source", "target", "mapping", "data"                    */
	const char *code; /* "DR-2103" or NULL                                        */
	const char *text;
	const char *detail, *hint; /* or NULL */
};
struct check_fact {
	const char *area, *label, *text;
};

/* A statement that mends the target without risk. */
struct check_fix {
	const char *sql;
	bool done; /* it was run */
};

struct check_page {
	struct arena *arena; /* everything below lives in it */
	const char *mapping, *source, *target;
	struct check_fact *facts;
	size_t nfacts;
	struct check_finding *findings;
	size_t nfindings;
	size_t by_severity[3];
	struct check_fix *fixes;
	size_t nfixes;
	bool has_scan;
	uint64_t sample; /* documents a collection; 0: all                          */
	struct report_facts facts_of_scan;
	struct account account;
	const struct check_path *paths;
	size_t npaths;
	const struct check_enum *enums;
	size_t nenums;
	bool log_values; /* show texts that are no label of an enum; otherwise how many and how long they are */
	double seconds;
};

void check_page_fact(struct check_page *p, const char *area, const char *label, const char *fmt, ...)
	PRINTF_LIKE(4, 5);
/* The finding of an error that a function gave. */
void check_page_err(struct check_page *p, const char *area, const struct err *err);
void check_page_find(struct check_page *p, enum check_severity severity, const char *area, const char *hint,
		     const char *fmt, ...) PRINTF_LIKE(5, 6);
void check_page_fixes(struct check_page *p, const char *const *sql, size_t n, bool done);
/* What the scan's account means: rejects, orphans, paths that no document has, mixed types. */
void check_page_judge(struct check_page *p);
void check_page_text(struct buf *out, const struct check_page *p, bool colour);
/* Version 1, documented in docs/files.md. Owned by the caller. */
char *check_page_json(const struct check_page *p);

#endif

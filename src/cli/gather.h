/* gather.h - fetches what report/ needs to know about a run from schema docrow of the target. */
#ifndef DOCROW_GATHER_H
#define DOCROW_GATHER_H

#include "pg.h"
#include "report.h"

/* Everything but files and resume command. count_tables: also count(*) of every table of the plan and which foreign
 * keys are not valid (a finished run). All in the arena. */
bool gather_facts(struct pg *pg, const struct state_run *run, const struct plan *plan, bool count_tables,
		  struct arena *a, struct report_facts *f, struct err *err) MUST_CHECK;
/* The same inside the caller's transaction. */
bool gather_facts_here(struct pg *pg, const struct state_run *run, const struct plan *plan, bool count_tables,
		       struct arena *a, struct report_facts *f, struct err *err) MUST_CHECK;
/* Seconds of work by collection, and of the phases. */
bool gather_times(struct pg *pg, int64_t run, struct arena *a, struct report_facts *f, struct err *err) MUST_CHECK;
/* Documents loaded a second over the last minute. */
bool gather_rate(struct pg *pg, int64_t run, double *rate, struct err *err) MUST_CHECK;

/* Foreign keys of the run's tables that are not valid, since orphans were kept: "name on table". Those that were not
 * valid before it are left out. */
bool gather_kept_keys(struct pg *pg, int64_t run, const struct schema *s, struct arena *a, const char ***keys,
		      size_t *n, struct err *err) MUST_CHECK;

/* Rejects one by one, in the order of their ids, at most `limit`; NULL filters match all. `each` returns false to
 * stop. */
struct reject_filter {
	const char *collection, *table, *fault, *path;
	const char *state; /* "open", "retried"; NULL: any */
	int64_t id;        /* 0: any                      */
};
/* $2 collection, $3 table, $4 fault, $5 path, $6 state, $7 id of a WHERE over docrow.reject; fills params[1] on. */
#define REJECT_FILTER                                                                                                \
	"($2::text IS NULL OR collection = $2) AND ($3::text IS NULL OR table_name = $3) AND ($4::text IS NULL OR "  \
	"fault = $4) AND ($5::text IS NULL OR path = $5) AND ($6::text IS NULL OR state = $6) AND ($7::bigint IS "   \
	"NULL OR id = $7)"
void gather_filter(const struct reject_filter *filter, struct pg_param params[7], char id[24]);
typedef bool reject_each(void *ctx, const struct report_reject *r);
bool gather_rejects(struct pg *pg, int64_t run, const struct reject_filter *filter, uint64_t limit, reject_each *each,
		    void *ctx, struct err *err) MUST_CHECK;

#endif

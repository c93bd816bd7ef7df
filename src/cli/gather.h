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

/* Rejects one by one, in the order of their ids, at most `limit`; NULL filters match all. `each` returns false to
 * stop. */
struct reject_filter {
	const char *collection, *table, *fault;
};
typedef bool reject_each(void *ctx, const struct report_reject *r);
bool gather_rejects(struct pg *pg, int64_t run, const struct reject_filter *filter, uint64_t limit, reject_each *each,
		    void *ctx, struct err *err) MUST_CHECK;

#endif

/* scratch.h - the target in miniature: the plan's tables with only what settling looks at. */
#ifndef DOCROW_SCRATCH_H
#define DOCROW_SCRATCH_H

#include "plan.h"
#include "rowbuf.h"

#define SCRATCH_SCHEMA "docrow_check"

struct scratch_output {
	struct schema_copy copy; /* the kept columns                                     */
	bool *kept;              /* by position in the plan's copy                       */
	uint32_t *longest;       /* by position: the longest field seen; not kept ones, too */
	size_t n;                /* positions                                            */
};

struct scratch {
	struct schema schema;            /* in SCRATCH_SCHEMA; same tables and columns by number */
	struct scratch_output **outputs; /* [collection][output]; longest: of the first worker   */
};

/* Everything lives in the arena. */
void scratch_build(struct scratch *s, const struct plan *p, struct arena *a);
/* Moves whole rows of `from` into `to`, without the fields that are not kept, and resets `from`. */
void scratch_filter(const struct scratch_output *o, uint32_t *longest, struct rowbuf *from, struct rowbuf *to);

#endif

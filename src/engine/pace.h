/* pace.h - going slower than one could: documents a second, and waiting for the target's replicas.
 *
 *   pace_init → rate_count* (by workers, while they read)   pace_look (now and then, by the heartbeat)   → pace_free
 */
#ifndef DOCROW_PACE_H
#define DOCROW_PACE_H

#include <stdatomic.h>

#include "pg.h"
#include "rate.h"

struct pace {
	struct rate rate;
	uint64_t max_lag;    /* bytes of WAL a replica may be behind; 0: don't look */
	atomic_bool lagging; /* or not known yet: nothing begins before the first look */
	bool has_looked;     /* this and the next: pace_look only */
	bool has_warned;
};

void pace_init(struct pace *p, double rate, uint64_t max_lag);
void pace_free(struct pace *p);
/* Asks the target how far its replicas are behind; *behind gets the bytes. A failure changes nothing. */
bool pace_look(struct pace *p, struct pg *pg, uint64_t *behind, struct err *err) MUST_CHECK;
/* A replica is further behind than allowed, or nobody has looked yet: begin nothing new. */
static inline bool pace_is_lagging(struct pace *p)
{
	return atomic_load_explicit(&p->lagging, memory_order_relaxed);
}

#endif

/* rate.h - documents a second, for all threads of this process together: what --max-rate asks for.
 *
 *   rate_init → rate_take* (by any thread, while it reads) → rate_free
 */
#ifndef DOCROW_RATE_H
#define DOCROW_RATE_H

#include <pthread.h>
#include <stdint.h>

struct rate {
	double per_second; /* 0: as fast as can be */
	unsigned step;     /* documents between two looks at the clock: a twentieth of a second, at least one */
	pthread_mutex_t lock;
	double next; /* when the next document may be read, clock_seconds */
};

void rate_init(struct rate *r, double per_second);
void rate_free(struct rate *r);
/* Waits until n more documents may be read; returns early when a stop was asked for. */
void rate_take(struct rate *r, unsigned n);
/* For a thread that counts its documents in *since, from 0: after each one. Costs a comparison where no rate is set.
 */
static inline void rate_count(struct rate *r, unsigned *since)
{
	if (r->step == 0 || ++*since < r->step)
		return;
	rate_take(r, *since);
	*since = 0;
}

#endif

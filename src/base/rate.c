/* rate.c - see rate.h. */
#include "rate.h"

#include "sys.h"

#define STEPS_A_SECOND 20
#define STEP_MAX       128

void rate_init(struct rate *r, double per_second)
{
	double step = per_second / STEPS_A_SECOND;

	*r = (struct rate){.per_second = per_second};
	if (per_second > 0)
		r->step = step < 1 ? 1 : step > STEP_MAX ? STEP_MAX : (unsigned)step;
	pthread_mutex_init(&r->lock, NULL);
}

void rate_free(struct rate *r)
{
	pthread_mutex_destroy(&r->lock);
}

/* Time that nobody used is not saved up: after a pause the rate is the same as before. */
void rate_take(struct rate *r, unsigned n)
{
	double now = clock_seconds();

	pthread_mutex_lock(&r->lock);
	if (r->next < now)
		r->next = now;
	double at = r->next;
	r->next += n / r->per_second;
	pthread_mutex_unlock(&r->lock);
	while ((now = clock_seconds()) < at && !stop_requested())
		clock_sleep_ms((unsigned)((at - now) * 1000) + 1);
}

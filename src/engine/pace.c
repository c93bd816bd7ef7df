/* pace.c - see pace.h. */
#include "pace.h"

#include "sys.h"

void pace_init(struct pace *p, double rate, uint64_t max_lag)
{
	rate_init(&p->rate, rate);
	p->max_lag = max_lag;
	p->has_looked = p->has_warned = false;
	atomic_init(&p->lagging, max_lag > 0);
}

void pace_free(struct pace *p)
{
	rate_free(&p->rate);
}

/* Without pg_monitor the server shows that there are replicas, but not where they are. */
static void warn_of_blindness(struct pace *p)
{
	if (!p->has_warned)
		log_line(LOG_WARN,
			 "the role may not see how far replicas are behind: GRANT pg_monitor to it, or leave out "
			 "--max-lag");
	p->has_warned = true;
}

bool pace_look(struct pace *p, struct pg *pg, uint64_t *behind, struct err *err)
{
	struct pg_result *r;
	*behind = 0;
	if (!pg_query(
		    pg,
		    "SELECT coalesce(max(pg_catalog.pg_wal_lsn_diff(pg_catalog.pg_current_wal_lsn(), replay_lsn)), 0)"
		    "::bigint, count(*), count(replay_lsn) FROM pg_catalog.pg_stat_replication",
		    NULL, 0, &r, err))
		return false;
	int64_t bytes = pg_get_i64(r, 0, 0);
	if (pg_get_i64(r, 0, 1) > 0 && pg_get_i64(r, 0, 2) == 0)
		warn_of_blindness(p);
	pg_result_free(r);
	*behind = bytes > 0 ? (uint64_t)bytes : 0;
	p->has_looked = true;
	atomic_store(&p->lagging, *behind > p->max_lag);
	return true;
}

/* connect.c - connections at one snapshot, and patience with servers that went away.
 *
 * One connection, the keeper, exports the snapshot and stands until all is read; the others take it over. When the
 * keeper is lost, the snapshot is gone with it: the next one is another moment, which is said unless no transaction
 * came between.
 */
#include "validate_private.h"

/* A role or database may carry settings that would bend a long job. */
#define SETTINGS                                                                                                     \
	"SET LOCAL statement_timeout = 0; SET LOCAL idle_in_transaction_session_timeout = 0; "                       \
	"SET LOCAL lock_timeout = 0; SET LOCAL TimeZone = 'UTC'; SET LOCAL jit = off; SET LOCAL work_mem = '64MB'"
#define BEGIN_READING "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"

/* --- the snapshot --- */

/* A server that exports none (some poolers and standbys) lets each connection see its own moment. */
static bool export_snapshot(struct validation *v, struct pg *pg, struct err *err)
{
	_cleanup_(pg_result_freep) struct pg_result *r = NULL;

	v->snapshot = NULL;
	if (pg_query(pg, "SELECT pg_export_snapshot(), txid_current_snapshot()::text", NULL, 0, &r, err)) {
		const char *moment = arena_strdup(v->arena, pg_get(r, 0, 1));
		if (v->moment != NULL && strcmp(v->moment, moment) != 0)
			found_note(v->found, "the connection that kept the snapshot was lost, and the target was "
					     "written to: what was compared before and after are two moments");
		v->moment = moment;
		v->snapshot = arena_strdup(v->arena, pg_get(r, 0, 0));
		return true;
	}
	if (pg_is_lost(pg) || !pg_exec(pg, "ROLLBACK; " BEGIN_READING "; " SETTINGS, err))
		return false;
	if (v->moment == NULL)
		found_note(v->found, "the target exports no snapshot: each connection reads at its own moment");
	v->moment = "";
	return true;
}

bool keeper_open(struct validation *v, struct err *err)
{
	_cleanup_(pg_closep) struct pg *pg = NULL;

	pg_close(v->keeper);
	v->keeper = NULL;
	if (!pg_open(&pg, v->o.target_uri, "docrow validate", err) ||
	    !pg_exec(pg, BEGIN_READING "; " SETTINGS, err) || !export_snapshot(v, pg, err))
		return false;
	v->keeper = pg;
	pg = NULL;
	return true;
}

bool keeper_ready(struct validation *v, struct err *err)
{
	return (v->keeper != NULL && !pg_is_lost(v->keeper)) || keeper_open(v, err);
}

/* Another keeper in place of the one whose snapshot the server does not know any more. */
static bool renew(struct validation *v, const char *gone, struct err *err)
{
	pthread_mutex_lock(&v->connecting);
	bool ok = v->snapshot != gone || keeper_open(v, err);
	pthread_mutex_unlock(&v->connecting);
	return ok;
}

const char *current_snapshot(struct validation *v)
{
	pthread_mutex_lock(&v->connecting);
	const char *s = v->snapshot;
	pthread_mutex_unlock(&v->connecting);
	return s;
}

static bool open_at(struct validation *v, const char *snapshot, struct pg **pg, struct err *err)
{
	if (!pg_open(pg, v->o.target_uri, "docrow validate", err))
		return false;
	if (snapshot == NULL)
		return pg_exec(*pg, BEGIN_READING "; " SETTINGS, err);
	return pg_execf(*pg, err, BEGIN_READING "; SET TRANSACTION SNAPSHOT '%s'; " SETTINGS, snapshot);
}

bool target_open(struct validation *v, struct pg **pg, struct err *err)
{
	const char *snapshot = current_snapshot(v);

	if (open_at(v, snapshot, pg, err))
		return true;
	if (*pg == NULL || pg_is_lost(*pg) || snapshot == NULL) {
		pg_closep(pg);
		return false;
	}
	pg_closep(pg);
	return renew(v, snapshot, err) && open_at(v, current_snapshot(v), pg, err);
}

/* --- patience --- */

/* The signal cuts a wait short before whoever watches hands it on. */
static bool is_told_to_stop(const struct validation *v)
{
	return stop_requested() || validation_stopped(v);
}

bool patience_wait(struct validation *v, struct patience *p, struct err *err)
{
	if (err->class != ERR_CLASS_RETRY)
		return false;
	if (is_told_to_stop(v))
		return err_set(err, ERR_STOPPED, "stopped by a signal");
	if (!p->waiting) {
		backoff_init(&p->backoff, v->o.retry_seconds);
		p->waiting = true;
		log_line(LOG_WARN, "%s: trying again for up to %.0f s", err->message, v->o.retry_seconds);
	}
	bool again = backoff_wait(&p->backoff);
	/* whoever does not wait for the server any more did not lose it */
	return is_told_to_stop(v) ? err_set(err, ERR_STOPPED, "stopped by a signal") : again;
}

void patience_end(struct patience *p)
{
	if (p->waiting)
		log_line(LOG_INFO, "going on");
	p->waiting = false;
}

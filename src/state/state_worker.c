/* state_worker.c - workers and their leases; ending what dead workers have left on the server.
 *
 * A lease is a row of the worker with the time of its last sign of life by the server's clock. That it ran out lets
 * others claim the worker's units; that the old claim then cannot finish is the epoch's doing, never the lease's.
 */
#include <math.h>
#include <string.h>

#include "state_internal.h"
#include "sys.h"

bool state_worker_add(struct pg *pg, int64_t run, const char *host, int pid, double lease_seconds, int64_t *worker,
		      struct err *err)
{
	char id[24], process[24], backend[24], lease[32];
	struct pg_result *r;
	snprintf(lease, sizeof(lease), "%d", (int)ceil(lease_seconds * 1000));
	const struct pg_param params[] = {param_i64(id, run), PG_TEXT(host), param_i64(process, pid), PG_TEXT(lease),
					  param_i64(backend, pg_backend_pid(pg))};
	/* Behind a pooler the process that serves this statement is not the one that was announced at connecting:
	 * then no backend is noted, for it will serve others. */
	if (!state_query(pg,
			 "INSERT INTO docrow.worker (run, host, pid, lease, backend_pid, backend_start) "
			 "SELECT $1::bigint, $2::text, $3::integer, $4::integer / 1000.0, a.pid, a.backend_start "
			 "FROM (SELECT) one LEFT JOIN pg_catalog.pg_stat_get_activity(pg_backend_pid()) a "
			 "ON a.pid = $5::integer RETURNING id",
			 params, 5, &r, err))
		return false;
	*worker = pg_get_i64(r, 0, 0);
	pg_result_free(r);
	return true;
}

bool state_heartbeat(struct pg *pg, const int64_t *workers, int n, struct err *err)
{
	struct buf ids;
	buf_init(&ids, 0);
	buf_putc(&ids, '{');
	for (int i = 0; i < n; i++)
		buf_printf(&ids, "%s%lld", i == 0 ? "" : ",", (long long)workers[i]);
	buf_putc(&ids, '}');
	const struct pg_param params[] = {PG_TEXT(buf_cstr(&ids))};
	/* A heartbeat that a crash loses is none: nobody need wait for the disk. */
	bool ok = state_exec(pg,
			     "UPDATE docrow.worker SET heartbeat = clock_timestamp() FROM (SELECT "
			     "set_config('synchronous_commit', 'off', true)) s WHERE id = ANY ($1::bigint[])",
			     params, 1, NULL, err);
	buf_free(&ids);
	return ok;
}

/* Sends a terminate to the backends of the workers that `which` selects. pid and start must both match, or it might
 * be another session by now; the transaction must be open, or there is nothing in the way. */
#define TERMINATE(which)                                                                                             \
	"SELECT count(*) FILTER (WHERE pg_terminate_backend(a.pid)) FROM docrow.worker w "                           \
	"CROSS JOIN LATERAL pg_catalog.pg_stat_get_activity(w.backend_pid) a "                                       \
	"WHERE " which " AND w.backend_pid IS NOT NULL AND a.pid = w.backend_pid "                                   \
	"AND a.backend_start = w.backend_start AND a.pid <> pg_backend_pid() AND a.xact_start IS NOT NULL"

static bool terminate(struct pg *pg, const char *sql, int64_t id, int *ended, struct err *err)
{
	char text[24];
	struct pg_result *r;
	const struct pg_param params[] = {param_i64(text, id)};
	*ended = 0;
	if (!state_query(pg, sql, params, 1, &r, err)) {
		if (err->code != ERR_TARGET_PRIVILEGE)
			return false;
		/* another role's backend: the server will end it when it notices that its client is gone */
		log_line(LOG_DEBUG, "may not end a dead worker's backend: %s", err->message);
		err_clear(err);
		return true;
	}
	*ended = (int)pg_get_i64(r, 0, 0);
	pg_result_free(r);
	return true;
}

bool state_evict(struct pg *pg, int64_t run, int *evicted, struct err *err)
{
	int ended;
	if (!terminate(pg, TERMINATE("w.run = $1 AND NOT " STATE_FRESH), run, &ended, err))
		return false;
	if (ended > 0)
		log_line(LOG_INFO, "ended %d transaction%s of workers that give no sign of life", ended,
			 ended == 1 ? "" : "s");
	if (evicted != NULL)
		*evicted = ended;
	return true;
}

bool state_worker_remove(struct pg *pg, int64_t worker, struct err *err)
{
	char id[24];
	int ended;
	const struct pg_param params[] = {param_i64(id, worker)};
	return terminate(pg, TERMINATE("w.id = $1"), worker, &ended, err) &&
	       state_exec(pg, "DELETE FROM docrow.worker WHERE id = $1", params, 1, NULL, err);
}

bool state_leases(struct pg *pg, int64_t run, struct state_lease *out, struct err *err)
{
	char id[24];
	struct pg_result *r;
	const struct pg_param params[] = {param_i64(id, run)};
	*out = (struct state_lease){0};
	if (!state_query(pg,
			 "SELECT count(*) OVER (), ceil(greatest(0, max(extract(epoch FROM w.heartbeat - "
			 "clock_timestamp()) + "
			 "w.lease) OVER ()))::integer, extract(epoch FROM w.heartbeat), left(w.host, 90) || ', "
			 "process ' || "
			 "w.pid FROM docrow.worker w WHERE w.run = $1 AND " STATE_FRESH
			 " ORDER BY w.heartbeat DESC LIMIT 1",
			 params, 1, &r, err))
		return false;
	if (pg_rows(r) > 0) {
		out->live = (int)pg_get_i64(r, 0, 0);
		out->waiting_seconds = (int)pg_get_i64(r, 0, 1);
		out->newest = pg_get_double(r, 0, 2);
		snprintf(out->holder, sizeof(out->holder), "%s", pg_get(r, 0, 3));
	}
	pg_result_free(r);
	return true;
}

bool state_workers(struct pg *pg, int64_t run, struct arena *a, struct state_worker **out, size_t *n, struct err *err)
{
	char id[24];
	struct pg_result *r;
	const struct pg_param params[] = {param_i64(id, run)};
	if (!state_query(pg,
			 "SELECT w.id, w.host, w.pid, " STATE_FRESH
			 ", extract(epoch FROM clock_timestamp() - w.heartbeat), "
			 "coalesce((SELECT min(c.collection || ', chunk ' || c.ordinal) FROM docrow.chunk c WHERE "
			 "c.run = w.run "
			 "AND c.state = 'running' AND c.worker = w.id), (SELECT min(s.name) FROM docrow.step s WHERE "
			 "s.run = "
			 "w.run AND s.state = 'running' AND s.worker = w.id)) "
			 "FROM docrow.worker w WHERE w.run = $1 ORDER BY w.id",
			 params, 1, &r, err))
		return false;
	*n = (size_t)pg_rows(r);
	*out = arena_alloc(a, (*n + 1) * sizeof(**out));
	for (int i = 0; i < (int)*n; i++)
		(*out)[i] = (struct state_worker){
			.id = pg_get_i64(r, i, 0),
			.host = cell(a, r, i, 1),
			.pid = (int)pg_get_i64(r, i, 2),
			.live = pg_get_bool(r, i, 3),
			.age = pg_get_double(r, i, 4),
			.unit = cell(a, r, i, 5),
		};
	pg_result_free(r);
	return true;
}

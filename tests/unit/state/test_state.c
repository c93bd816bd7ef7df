/* Runs, claims, leases and the ledger on a real PostgreSQL: DATABASE_URL; without it these tests skip. They make and
 * remove schema docrow, so they skip, too, where it exists already.
 *
 * The numbers (1) to (7) are those at the head of state.h. A lease runs out here by moving its heartbeat back.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <pthread.h>
#include <stdatomic.h>

#include "state.h"
#include "sys.h"

static const char *url;

#define OK(call)                                                                                                     \
	do {                                                                                                         \
		if (!(call))                                                                                         \
			fail_msg("line %d: %s: %s | %s", __LINE__, #call, err.message, err.detail);                  \
	} while (0)

/* What every test has: a connection, a run, an arena. */
struct fixture {
	struct pg *pg;
	struct arena *arena;
	int64_t run;
};

static struct pg *connect_pg(void)
{
	struct pg *pg;
	struct err err;
	OK(pg_open(&pg, url, "docrow test", &err));
	return pg;
}

static int64_t number(struct pg *pg, const char *sql)
{
	struct err err;
	struct pg_result *r;
	OK(pg_query(pg, sql, NULL, 0, &r, &err));
	int64_t n = pg_rows(r) > 0 ? pg_get_i64(r, 0, 0) : -1;
	pg_result_free(r);
	return n;
}

static struct state_run new_run(void)
{
	return (struct state_run){
		.mapping_name = "test",
		.mapping_text = "docrow: 1\n# it's \\ text\n",
		.mapping_digest = "00ff",
		.source_identity = "identity",
		.source_describe = "a source",
		.options = "{\"batch_size\": 5}",
		.version = "1",
	};
}

static int setup(void **state)
{
	if (url == NULL)
		return 0;
	struct err err;
	struct fixture *f = mem_zalloc(sizeof(*f));
	struct state_run run = new_run();
	f->pg = connect_pg();
	f->arena = arena_new();
	OK(state_install(f->pg, &err));
	OK(pg_begin(f->pg, true, &err));
	OK(state_run_create(f->pg, &run, &err));
	OK(pg_commit(f->pg, &err));
	f->run = run.id;
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	if (url == NULL)
		return 0;
	struct err err;
	struct fixture *f = *state;
	pg_rollback(f->pg);
	OK(state_uninstall(f->pg, false, &err));
	pg_close(f->pg);
	arena_free(f->arena);
	free(f);
	return 0;
}

static void skip_without_server(void)
{
	if (url == NULL)
		skip();
}

/* Behind a pooler no backend can be told to be a worker's, nor does SET ROLE stay. */
static void skip_if_pooled(struct fixture *f)
{
	if (number(f->pg, "SELECT pg_backend_pid()") == pg_backend_pid(f->pg))
		return;
	print_message("a pooler stands before the server\n");
	skip();
}

static int64_t add_worker(struct fixture *f, struct pg *pg)
{
	struct err err;
	int64_t worker;
	OK(state_worker_add(pg, f->run, "host.example", 4711, 15, &worker, &err));
	return worker;
}

static void let_lease_run_out(struct fixture *f, int64_t worker)
{
	struct err err;
	OK(pg_execf(f->pg, &err, "UPDATE docrow.worker SET heartbeat = heartbeat - interval '1 hour' WHERE id = %lld",
		    (long long)worker));
}

static void add_chunks(struct fixture *f, const char *collection, int n)
{
	struct err err;
	struct state_chunk_def *defs = arena_alloc(f->arena, (size_t)n * sizeof(*defs));
	for (int i = 0; i < n; i++)
		defs[i] = (struct state_chunk_def){
			.collection = collection,
			.ordinal = i,
			.bounds = (const uint8_t *)"\0\x5c\xffz",
			.bounds_len = (size_t)(i % 5),
			.est_docs = 10,
			.est_bytes = 1000,
		};
	OK(pg_begin(f->pg, true, &err));
	OK(state_chunks_add(f->pg, f->run, defs, (size_t)n, &err));
	OK(pg_commit(f->pg, &err));
}

/* From split, which has no step here, to load. */
static void begin_load(struct fixture *f)
{
	struct err err;
	bool moved;
	enum state_phase now;
	OK(state_advance(f->pg, f->run, STATE_SPLIT, &moved, &now, &err));
	assert_true(moved);
}

static void add_steps(struct fixture *f, const struct state_step_def *defs, size_t n)
{
	struct err err;
	OK(pg_begin(f->pg, true, &err));
	OK(state_steps_add(f->pg, f->run, defs, n, &err));
	OK(pg_commit(f->pg, &err));
}

static enum state_claim claim(struct fixture *f, struct pg *pg, int64_t worker, enum state_phase phase,
			      struct state_unit *u)
{
	struct err err;
	enum state_claim result;
	OK(state_claim(pg, f->run, worker, phase, false, f->arena, u, &result, &err));
	return result;
}

/* The unit's transaction without rows: true when it was ours. */
static bool finish(struct pg *pg, const struct state_unit *u, const struct ledger *l)
{
	struct err err;
	bool mine;
	OK(pg_begin(pg, false, &err));
	OK(state_finish(pg, u, l, 0.25, &mine, &err));
	if (mine)
		OK(pg_commit(pg, &err));
	else
		pg_rollback(pg);
	return mine;
}

/* --- schema --- */

static void *install_in_thread(void *ctx)
{
	struct err err;
	struct pg *pg;
	bool ok = pg_open(&pg, url, "docrow test", &err);
	ok = ok && state_install(pg, &err);
	if (!ok)
		print_message("%s: %s\n", err.message, err.detail);
	pg_close(pg);
	*(bool *)ctx = ok;
	return NULL;
}

static void installs_once_whoever_asks(void **state)
{
	skip_without_server();
	struct fixture *f = *state;
	struct err err;
	bool yes, ok[4] = {false};
	pthread_t threads[4];
	OK(state_install(f->pg, &err)); /* again: nothing to do */
	OK(state_is_installed(f->pg, &yes, &err));
	assert_true(yes);
	OK(state_uninstall(f->pg, false, &err));
	OK(state_is_installed(f->pg, &yes, &err));
	assert_false(yes);
	assert_int_equal(number(f->pg, "SELECT count(*) FROM pg_namespace WHERE nspname = 'docrow'"), 0);
	for (int i = 0; i < 4; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, install_in_thread, &ok[i]), 0);
	for (int i = 0; i < 4; i++) {
		pthread_join(threads[i], NULL);
		assert_true(ok[i]);
	}
	OK(state_is_installed(f->pg, &yes, &err));
	assert_true(yes);
}

static void another_versions_tables_are_refused(void **state)
{
	skip_without_server();
	struct fixture *f = *state;
	struct err err;
	OK(pg_exec(f->pg, "UPDATE docrow.meta SET value = '999'", &err));
	assert_false(state_install(f->pg, &err));
	assert_int_equal(err.code, ERR_TARGET_STATE);
	assert_non_null(strstr(err.detail, "999"));
}

/* Tables of version 2, which knew no order of loading. */
static void older_tables_are_brought_up_to_date(void **state)
{
	skip_without_server();
	struct fixture *f = *state;
	struct state_unit u;
	struct err err;
	OK(pg_exec(f->pg,
		   "DROP INDEX docrow.chunk_open; ALTER TABLE docrow.chunk DROP COLUMN load_step; "
		   "UPDATE docrow.meta SET value = '2'",
		   &err));
	OK(state_install(f->pg, &err));
	OK(state_install(f->pg, &err));
	add_chunks(f, "a", 1);
	assert_int_equal(claim(f, f->pg, add_worker(f, f->pg), STATE_LOAD, &u), STATE_CLAIMED);
	assert_int_equal(number(f->pg, "SELECT count(*) FROM pg_indexes WHERE schemaname = 'docrow' AND indexname = "
				       "'chunk_open' AND indexdef LIKE '%load_step%'"),
			 1);
}

static void keeps_the_functions_when_asked(void **state)
{
	skip_without_server();
	struct fixture *f = *state;
	struct err err;
	bool yes;
	OK(pg_exec(f->pg, "CREATE TABLE docrow.pairs_3 (l uuid)", &err));
	OK(state_uninstall(f->pg, true, &err));
	OK(state_is_installed(f->pg, &yes, &err));
	assert_false(yes);
	assert_int_equal(number(f->pg, "SELECT count(*) FROM pg_tables WHERE schemaname = 'docrow'"), 0);
	assert_int_equal(number(f->pg, "SELECT count(docrow.objectid_to_uuid('507f1f77bcf86cd799439011'))"), 1);
	OK(state_install(f->pg, &err)); /* over the functions that stayed */
}

/* A role that may not create the schema gets the SQL for the administrator, and that SQL helps. */
static void an_administrator_can_prepare_the_schema(void **state)
{
	skip_without_server();
	struct fixture *f = *state;
	struct err err;
	struct buf sql;
	skip_if_pooled(f);
	OK(state_uninstall(f->pg, false, &err));
	OK(pg_exec(f->pg, "DROP ROLE IF EXISTS \"docrow Test\"; CREATE ROLE \"docrow Test\"", &err));
	OK(pg_exec(f->pg, "SET ROLE \"docrow Test\"", &err));
	assert_false(state_install(f->pg, &err));
	assert_int_equal(err.code, ERR_TARGET_SCHEMA);
	assert_non_null(strstr(err.hint, "CREATE SCHEMA docrow AUTHORIZATION \"docrow Test\";"));
	buf_init(&sql, 0);
	state_admin_sql(f->pg, &sql);
	OK(pg_exec(f->pg, "RESET ROLE", &err));
	OK(pg_exec(f->pg, buf_cstr(&sql), &err));
	OK(pg_exec(f->pg, "SET ROLE \"docrow Test\"", &err));
	OK(state_install(f->pg, &err));
	OK(state_uninstall(f->pg, false, &err));
	/* the schema is there, but is another's */
	OK(pg_exec(f->pg, "RESET ROLE; CREATE SCHEMA docrow; SET ROLE \"docrow Test\"", &err));
	assert_false(state_install(f->pg, &err));
	assert_int_equal(err.code, ERR_TARGET_SCHEMA);
	assert_non_null(strstr(err.hint, "GRANT USAGE, CREATE ON SCHEMA docrow TO \"docrow Test\";"));
	buf_reset(&sql);
	state_admin_sql(f->pg, &sql);
	OK(pg_exec(f->pg, "RESET ROLE", &err));
	OK(pg_exec(f->pg, buf_cstr(&sql), &err));
	OK(pg_exec(f->pg, "SET ROLE \"docrow Test\"", &err));
	OK(state_install(f->pg, &err));
	OK(state_uninstall(f->pg, false, &err)); /* leaves the administrator's schema */
	OK(pg_exec(f->pg, "RESET ROLE; DROP SCHEMA docrow; DROP ROLE \"docrow Test\"", &err));
	OK(state_install(f->pg, &err));
	buf_free(&sql);
}

/* --- run --- */

static void a_run_is_found_as_it_was_made(void **state)
{
	skip_without_server();
	struct fixture *f = *state;
	struct err err;
	struct state_run r;
	bool found;
	OK(state_run_find(f->pg, f->arena, &r, &found, &err));
	assert_true(found);
	assert_int_equal(r.id, f->run);
	assert_string_equal(r.mapping_text, new_run().mapping_text);
	assert_string_equal(r.status, "running");
	assert_int_equal(r.phase, STATE_SPLIT);
	assert_null(r.operation_time);
	assert_null(r.finished);
	assert_int_equal(strlen(r.started), strlen("2026-11-25T03:39:00Z"));
	OK(state_run_set_status(f->pg, f->run, "failed", "disk full", &err));
	OK(state_run_find(f->pg, f->arena, &r, &found, &err));
	assert_string_equal(r.status, "failed");
	assert_string_equal(r.error, "disk full");
}

static void a_second_run_is_refused_until_the_first_is_cleaned(void **state)
{
	skip_without_server();
	struct fixture *f = *state;
	struct err err;
	struct state_run run = new_run(), r;
	bool found;
	OK(pg_begin(f->pg, true, &err));
	assert_false(state_run_create(f->pg, &run, &err));
	assert_int_equal(err.code, ERR_RUN_UNFINISHED);
	pg_rollback(f->pg);
	add_chunks(f, "a", 3);
	OK(pg_begin(f->pg, true, &err));
	OK(state_run_clean(f->pg, f->run, &err));
	OK(pg_commit(f->pg, &err));
	assert_int_equal(number(f->pg, "SELECT count(*) FROM docrow.chunk"), 0);
	OK(state_run_find(f->pg, f->arena, &r, &found, &err));
	assert_false(found);
	struct state_unit u;
	assert_int_equal(claim(f, f->pg, 1, STATE_LOAD, &u), STATE_NONE);
	bool moved;
	enum state_phase now;
	assert_false(state_advance(f->pg, f->run, STATE_SPLIT, &moved, &now, &err));
	assert_int_equal(err.code, ERR_TARGET_STATE);
	OK(pg_begin(f->pg, true, &err));
	OK(state_run_create(f->pg, &run, &err));
	OK(pg_commit(f->pg, &err));
	assert_true(run.id > f->run);
}

/* --- claims --- */

static void a_claim_tells_all_of_the_chunk(void **state)
{
	skip_without_server();
	struct fixture *f = *state;
	struct state_unit u;
	int64_t worker = add_worker(f, f->pg);
	add_chunks(f, "crm_Accounts", 5);
	for (int i = 0; i < 5; i++) {
		assert_int_equal(claim(f, f->pg, worker, STATE_LOAD, &u), STATE_CLAIMED);
		assert_true(u.is_chunk);
		assert_string_equal(u.collection, "crm_Accounts");
		assert_int_equal(u.ordinal, i);
		assert_int_equal(u.bounds_len, i);
		assert_memory_equal(u.bounds, "\0\x5c\xffz", (size_t)i);
		assert_int_equal(u.est_docs, 10);
		assert_int_equal(u.est_bytes, 1000);
		assert_int_equal(u.epoch, 1);
		assert_int_equal(u.attempts, 1);
		assert_true(finish(f->pg, &u, NULL));
	}
	assert_int_equal(claim(f, f->pg, worker, STATE_LOAD, &u), STATE_NONE);
}

static void large_chunks_go_first_then_those_of_early_phases(void **state)
{
	skip_without_server();
	struct fixture *f = *state;
	struct err err;
	struct state_unit u;
	int64_t worker = add_worker(f, f->pg);
	const struct state_chunk_def defs[] = {
		{.collection = "junior", .ordinal = 0, .est_bytes = 16U << 20, .load_step = 2},
		{.collection = "a", .ordinal = 0, .est_bytes = 16U << 20},
		{.collection = "view", .ordinal = 0, .est_bytes = 900U << 20, .load_step = 3},
		{.collection = "b", .ordinal = 0, .est_bytes = 20U << 20},
	};
	OK(pg_begin(f->pg, true, &err));
	OK(state_chunks_add(f->pg, f->run, defs, 4, &err));
	OK(pg_commit(f->pg, &err));
	const char *const order[] = {"view", "a", "b", "junior"};
	struct state_progress *p;
	size_t n;
	OK(state_progress(f->pg, f->run, f->arena, &p, &n, &err));
	assert_string_equal(p[0].name, "a");
	assert_string_equal(p[2].name, "junior");
	assert_string_equal(p[3].name, "view");
	for (int i = 0; i < 4; i++) {
		assert_int_equal(claim(f, f->pg, worker, STATE_LOAD, &u), STATE_CLAIMED);
		assert_string_equal(u.collection, order[i]);
		assert_null(u.bounds);
		assert_true(finish(f->pg, &u, NULL));
	}
}

/* Each thread: claim, count, put one row, finish, until nothing is left. */
struct crowd {
	struct fixture *f;
	atomic_int failures, done;
};

static bool load_one(struct pg *pg, const struct state_unit *u, struct ledger *l, struct err *err)
{
	bool mine;
	ledger_reset(l);
	ledger_add(l, LEDGER_READ, u->collection, "", 10);
	ledger_add(l, LEDGER_ROWS, "table", "", 10);
	return pg_begin(pg, false, err) &&
	       pg_execf(pg, err, "INSERT INTO docrow.pairs_0 VALUES (%lld, %lld)", (long long)u->id,
			(long long)u->epoch) &&
	       state_finish(pg, u, l, 0, &mine, err) && mine && pg_commit(pg, err);
}

static void *crowd_main(void *ctx)
{
	struct crowd *c = ctx;
	struct err err;
	struct pg *pg = NULL;
	struct arena *a = arena_new();
	struct ledger *l = ledger_new();
	int64_t worker;
	bool ok =
		pg_open(&pg, url, "docrow test", &err) && state_worker_add(pg, c->f->run, "h", 1, 600, &worker, &err);
	while (ok) {
		struct state_unit u;
		enum state_claim result;
		arena_reset(a);
		ok = state_claim(pg, c->f->run, worker, STATE_LOAD, false, a, &u, &result, &err);
		if (!ok || result == STATE_NONE)
			break;
		if (result == STATE_CLAIMED && (ok = load_one(pg, &u, l, &err)))
			atomic_fetch_add(&c->done, 1);
	}
	if (!ok) {
		print_message("%s: %s\n", err.message, err.detail);
		atomic_fetch_add(&c->failures, 1);
	}
	pg_close(pg);
	ledger_free(l);
	arena_free(a);
	return NULL;
}

static void each_chunk_is_done_once_by_many(void **state)
{
	skip_without_server();
	enum { CHUNKS = 1500, THREADS = 6 };
	struct crowd c = {.f = *state};
	struct err err;
	pthread_t threads[THREADS];
	OK(pg_exec(c.f->pg, "CREATE TABLE docrow.pairs_0 (chunk bigint, epoch bigint)", &err));
	add_chunks(c.f, "a", CHUNKS / 2);
	add_chunks(c.f, "b", CHUNKS / 2);
	begin_load(c.f);
	for (int i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, crowd_main, &c), 0);
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(c.failures, 0);
	assert_int_equal(c.done, CHUNKS);
	assert_int_equal(number(c.f->pg, "SELECT count(DISTINCT chunk) FROM docrow.pairs_0"), CHUNKS);
	assert_int_equal(number(c.f->pg, "SELECT count(*) FROM docrow.pairs_0"), CHUNKS);
	/* nobody took a unit away from a living worker */
	assert_int_equal(number(c.f->pg, "SELECT count(*) FROM docrow.chunk WHERE epoch <> 1 OR attempts <> 1"), 0);
	assert_int_equal(number(c.f->pg, "SELECT n FROM docrow.ledger WHERE kind = 'rows'"), 10 * CHUNKS);
	assert_int_equal(number(c.f->pg, "SELECT n FROM docrow.ledger WHERE kind = 'read' AND object = 'a'"),
			 10 * CHUNKS / 2);
	assert_int_equal(number(c.f->pg, "SELECT count(DISTINCT xid::text) FROM docrow.chunk"), CHUNKS);
}

/* (2): a worker that stalls longer than its lease cannot finish. */
static void the_older_claim_cannot_finish(void **state)
{
	skip_without_server();
	struct fixture *f = *state;
	struct pg *other = connect_pg();
	struct state_unit first, second;
	int64_t slow = add_worker(f, f->pg), fast = add_worker(f, other);
	add_chunks(f, "a", 1);
	assert_int_equal(claim(f, f->pg, slow, STATE_LOAD, &first), STATE_CLAIMED);
	assert_int_equal(claim(f, other, fast, STATE_LOAD, &second), STATE_BUSY);
	let_lease_run_out(f, slow);
	assert_int_equal(claim(f, other, fast, STATE_LOAD, &second), STATE_CLAIMED);
	assert_int_equal(second.id, first.id);
	assert_int_equal(second.epoch, first.epoch + 1);
	assert_int_equal(second.attempts, 2);
	assert_false(finish(f->pg, &first, NULL));
	struct err err;
	OK(state_release(f->pg, &first, "too late", &err)); /* neither can it give it back */
	assert_int_equal(number(f->pg, "SELECT count(*) FROM docrow.chunk WHERE state = 'running'"), 1);
	assert_true(finish(other, &second, NULL));
	assert_false(finish(other, &second, NULL));
	pg_close(other);
}

static void what_a_worker_left_behind_is_its_own_or_anybodys(void **state)
{
	skip_without_server();
	struct fixture *f = *state;
	struct err err;
	struct state_unit u;
	int64_t a = add_worker(f, f->pg), b = add_worker(f, f->pg);
	add_chunks(f, "a", 1);
	assert_int_equal(claim(f, f->pg, a, STATE_LOAD, &u), STATE_CLAIMED);
	assert_int_equal(claim(f, f->pg, b, STATE_LOAD, &u), STATE_BUSY);
	assert_int_equal(claim(f, f->pg, a, STATE_LOAD, &u), STATE_CLAIMED); /* its own, after a lost connection */
	assert_int_equal(u.epoch, 2);
	OK(state_worker_remove(f->pg, a, &err));
	assert_int_equal(claim(f, f->pg, b, STATE_LOAD, &u), STATE_CLAIMED);
	assert_int_equal(u.epoch, 3);
	assert_true(finish(f->pg, &u, NULL));
}

static void a_released_unit_keeps_its_error(void **state)
{
	skip_without_server();
	struct fixture *f = *state;
	struct err err;
	struct state_unit u, again;
	struct state_unit_line *lines;
	size_t n;
	int64_t worker = add_worker(f, f->pg);
	add_chunks(f, "a", 1);
	assert_int_equal(claim(f, f->pg, worker, STATE_LOAD, &u), STATE_CLAIMED);
	OK(state_release(f->pg, &u, "the disk is full", &err));
	OK(state_failed(f->pg, f->run, 10, f->arena, &lines, &n, &err));
	assert_int_equal(n, 1);
	assert_string_equal(lines[0].name, "a, chunk 0");
	assert_string_equal(lines[0].error, "the disk is full");
	assert_int_equal(claim(f, f->pg, worker, STATE_LOAD, &again), STATE_CLAIMED);
	OK(state_release(f->pg, &again, NULL, &err)); /* a stop: no new error, the old one stays */
	assert_int_equal(number(f->pg, "SELECT count(*) FROM docrow.chunk WHERE error IS NOT NULL"), 1);
	assert_int_equal(claim(f, f->pg, worker, STATE_LOAD, &again), STATE_CLAIMED);
	assert_int_equal(again.epoch, 3);
	assert_true(finish(f->pg, &again, NULL));
	OK(state_failed(f->pg, f->run, 10, f->arena, &lines, &n, &err));
	assert_int_equal(n, 0);
}

/* A stopped process whose transaction has marked the unit already: its row is locked, its backend must go. */
static void a_stalled_transaction_is_ended(void **state)
{
	skip_without_server();
	struct fixture *f = *state;
	struct err err;
	skip_if_pooled(f);
	struct pg *stalled = connect_pg();
	struct state_unit u, again;
	bool mine;
	int64_t dead = add_worker(f, stalled), alive = add_worker(f, f->pg);
	add_chunks(f, "a", 1);
	assert_int_equal(claim(f, stalled, dead, STATE_LOAD, &u), STATE_CLAIMED);
	OK(pg_begin(stalled, false, &err));
	OK(state_finish(stalled, &u, NULL, 0, &mine, &err));
	assert_true(mine);
	let_lease_run_out(f, dead);
	enum state_claim result;
	int rounds = 0;
	while ((result = claim(f, f->pg, alive, STATE_LOAD, &again)) == STATE_BUSY && rounds++ < 1000)
		clock_sleep_ms(5);
	assert_int_equal(result, STATE_CLAIMED);
	assert_int_equal(again.epoch, 2);
	assert_false(pg_commit(stalled, &err));
	assert_int_equal(err.class, ERR_CLASS_RETRY);
	assert_true(pg_is_lost(stalled));
	assert_true(finish(f->pg, &again, NULL));
	pg_close(stalled);
}

static void only_the_backend_that_was_noted_is_ended(void **state)
{
	skip_without_server();
	struct fixture *f = *state;
	struct err err;
	skip_if_pooled(f);
	struct pg *other = connect_pg();
	int evicted;
	int64_t worker = add_worker(f, other);
	OK(pg_begin(other, false, &err));
	OK(pg_exec(other, "SELECT 1", &err));
	OK(state_evict(f->pg, f->run, &evicted, &err));
	assert_int_equal(evicted, 0); /* alive */
	let_lease_run_out(f, worker);
	OK(pg_exec(f->pg, "UPDATE docrow.worker SET backend_start = backend_start - interval '1 ms'", &err));
	OK(state_evict(f->pg, f->run, &evicted, &err));
	assert_int_equal(evicted, 0); /* the pid belongs to another session by now */
	OK(pg_exec(other, "SELECT 1", &err));
	OK(pg_exec(f->pg, "UPDATE docrow.worker SET backend_start = backend_start + interval '1 ms'", &err));
	OK(state_evict(f->pg, f->run, &evicted, &err));
	assert_int_equal(evicted, 1);
	assert_false(pg_exec(other, "SELECT 1", &err));
	pg_close(other);
	/* an idle backend is in nobody's way */
	other = connect_pg();
	worker = add_worker(f, other);
	let_lease_run_out(f, worker);
	OK(state_evict(f->pg, f->run, &evicted, &err));
	assert_int_equal(evicted, 0);
	pg_close(other);
}

/* --- phases --- */

/* (4) */
static void the_phase_waits_for_every_unit(void **state)
{
	skip_without_server();
	struct fixture *f = *state;
	struct err err;
	struct state_unit u;
	bool moved, found;
	enum state_phase now;
	int64_t worker = add_worker(f, f->pg);
	const struct state_step_def split = {.kind = STEP_SPLIT,
					     .phase = STATE_SPLIT,
					     .collection = "a",
					     .name = "split of a",
					     .table = -1,
					     .object = -1};
	add_steps(f, &split, 1);
	OK(state_advance(f->pg, f->run, STATE_SPLIT, &moved, &now, &err));
	assert_false(moved);
	assert_int_equal(now, STATE_SPLIT);
	assert_int_equal(claim(f, f->pg, worker, STATE_SPLIT, &u), STATE_CLAIMED);
	assert_false(u.is_chunk);
	assert_int_equal(u.kind, STEP_SPLIT);
	assert_string_equal(u.collection, "a");
	assert_string_equal(u.name, "split of a");
	OK(state_advance(f->pg, f->run, STATE_SPLIT, &moved, &now, &err));
	assert_false(moved);
	/* (3): chunks and the mark of the split step in one transaction */
	const struct state_chunk_def chunk = {.collection = "a"};
	bool mine;
	OK(pg_begin(f->pg, true, &err));
	OK(state_chunks_add(f->pg, f->run, &chunk, 1, &err));
	OK(state_finish(f->pg, &u, NULL, 0, &mine, &err));
	OK(pg_commit(f->pg, &err));
	OK(state_advance(f->pg, f->run, STATE_SPLIT, &moved, &now, &err));
	assert_true(moved);
	assert_int_equal(now, STATE_LOAD);
	OK(state_advance(f->pg, f->run, STATE_SPLIT, &moved, &now, &err)); /* another worker comes late */
	assert_false(moved);
	assert_int_equal(now, STATE_LOAD);
	OK(state_advance(f->pg, f->run, STATE_LOAD, &moved, &now, &err));
	assert_false(moved);
	assert_int_equal(claim(f, f->pg, worker, STATE_LOAD, &u), STATE_CLAIMED);
	OK(state_advance(f->pg, f->run, STATE_LOAD, &moved, &now, &err));
	assert_false(moved);
	assert_true(finish(f->pg, &u, NULL));
	OK(state_advance(f->pg, f->run, STATE_LOAD, &moved, &now, &err));
	assert_true(moved);
	OK(state_advance(f->pg, f->run, STATE_SETTLE, &moved, &now, &err));
	assert_true(moved);
	assert_int_equal(now, STATE_DONE);
	struct state_run r;
	OK(state_run_find(f->pg, f->arena, &r, &found, &err));
	assert_string_equal(r.status, "done");
	assert_non_null(r.finished);
	OK(state_run_set_status(f->pg, f->run, "stopped", NULL, &err)); /* a straggler does not undo it */
	OK(state_run_find(f->pg, f->arena, &r, &found, &err));
	assert_string_equal(r.status, "done");
}

/* --- steps --- */

static const struct state_lock_def share_0 = {0, LOCK_SHARE}, share_1 = {1, LOCK_SHARE},
				   alone_0 = {0, LOCK_ACCESS_EXCLUSIVE};

static struct state_step_def step(const char *name, uint64_t weight, const struct state_lock_def *lock)
{
	return (struct state_step_def){.kind = STEP_INDEX,
				       .phase = STATE_SETTLE,
				       .name = name,
				       .table = lock->table,
				       .object = 7,
				       .weight = weight,
				       .locks = lock,
				       .nlocks = 1};
}

/* (7) */
static void steps_keep_order_and_locks(void **state)
{
	skip_without_server();
	struct fixture *f = *state;
	struct state_unit u, v, w;
	int64_t a = add_worker(f, f->pg), b = add_worker(f, f->pg), c = add_worker(f, f->pg);
	const int after[] = {0, 1};
	struct state_step_def defs[] = {
		step("key", 1, &alone_0),    step("other table", 1, &share_1), step("small", 10, &share_0),
		step("large", 99, &share_0), step("first", 100, &alone_0),
	};
	defs[2].after = defs[3].after = after;
	defs[2].nafter = defs[3].nafter = 2;
	add_steps(f, defs, 5);
	assert_int_equal(claim(f, f->pg, a, STATE_SETTLE, &u), STATE_CLAIMED);
	assert_string_equal(u.name, "first"); /* the heaviest */
	assert_int_equal(u.table, 0);
	assert_int_equal(u.object, 7);
	assert_int_equal(u.kind, STEP_INDEX);
	assert_int_equal(claim(f, f->pg, b, STATE_SETTLE, &v), STATE_CLAIMED);
	assert_string_equal(v.name, "other table"); /* "key" conflicts with "first" */
	assert_int_equal(claim(f, f->pg, c, STATE_SETTLE, &w), STATE_BUSY);
	assert_true(finish(f->pg, &v, NULL));
	assert_int_equal(claim(f, f->pg, c, STATE_SETTLE, &w), STATE_BUSY); /* "large" waits for "key", too */
	assert_true(finish(f->pg, &u, NULL));
	assert_int_equal(claim(f, f->pg, c, STATE_SETTLE, &w), STATE_CLAIMED);
	assert_string_equal(w.name, "key");
	assert_int_equal(claim(f, f->pg, a, STATE_SETTLE, &u), STATE_BUSY);
	assert_true(finish(f->pg, &w, NULL));
	assert_int_equal(claim(f, f->pg, a, STATE_SETTLE, &u), STATE_CLAIMED);
	assert_string_equal(u.name, "large");
	assert_int_equal(claim(f, f->pg, b, STATE_SETTLE, &v), STATE_CLAIMED); /* two indexes on one table */
	assert_string_equal(v.name, "small");
	assert_true(finish(f->pg, &u, NULL));
	assert_int_equal(claim(f, f->pg, a, STATE_SETTLE, &u), STATE_BUSY);
	assert_true(finish(f->pg, &v, NULL));
	assert_int_equal(claim(f, f->pg, a, STATE_SETTLE, &u), STATE_NONE);
}

static void a_dead_workers_step_does_not_block(void **state)
{
	skip_without_server();
	struct fixture *f = *state;
	struct state_unit u, v;
	int64_t dead = add_worker(f, f->pg), alive = add_worker(f, f->pg);
	const struct state_step_def defs[] = {step("one", 9, &alone_0), step("two", 1, &alone_0)};
	add_steps(f, defs, 2);
	assert_int_equal(claim(f, f->pg, dead, STATE_SETTLE, &u), STATE_CLAIMED);
	assert_int_equal(claim(f, f->pg, alive, STATE_SETTLE, &v), STATE_BUSY);
	let_lease_run_out(f, dead);
	assert_int_equal(claim(f, f->pg, alive, STATE_SETTLE, &v), STATE_CLAIMED);
	assert_string_equal(v.name, "one");
	assert_false(finish(f->pg, &u, NULL));
	assert_true(finish(f->pg, &v, NULL));
}

/* Many workers, many steps on few tables: whatever runs together is compatible, whatever runs has its predecessors
 * behind it. */
enum { HEAP_STEPS = 120, HEAP_TABLES = 4, HEAP_THREADS = 5 };
struct heap {
	struct fixture *f;
	struct state_step_def defs[HEAP_STEPS];
	struct state_lock_def locks[HEAP_STEPS][2];
	int after[HEAP_STEPS][2];
	pthread_mutex_t lock;
	bool running[HEAP_STEPS], done[HEAP_STEPS];
	atomic_int violations, failures;
};

static bool clash(const struct state_step_def *a, const struct state_step_def *b)
{
	for (int i = 0; i < a->nlocks; i++)
		for (int k = 0; k < b->nlocks; k++)
			if (a->locks[i].table == b->locks[k].table &&
			    state_locks_conflict(a->locks[i].lock, b->locks[k].lock))
				return true;
	return false;
}

/* `i` begins: called between claim and work, with the mutex held. */
static void check_start(struct heap *h, int i)
{
	bool bad = h->running[i] || h->done[i];
	for (int k = 0; k < HEAP_STEPS; k++)
		bad = bad || (h->running[k] && clash(&h->defs[i], &h->defs[k]));
	for (int k = 0; k < h->defs[i].nafter; k++)
		bad = bad || !h->done[h->after[i][k]];
	if (bad)
		atomic_fetch_add(&h->violations, 1);
	h->running[i] = true;
}

static bool do_heap_step(struct heap *h, struct pg *pg, const struct state_unit *u, struct err *err)
{
	bool mine;
	int i = u->object;
	pthread_mutex_lock(&h->lock);
	check_start(h, i);
	pthread_mutex_unlock(&h->lock);
	if (!pg_begin(pg, false, err) || !state_finish(pg, u, NULL, 0, &mine, err) || !mine)
		return false;
	/* Marked as over before COMMIT: from then on others may start, and may be seen before we come back. */
	pthread_mutex_lock(&h->lock);
	h->running[i] = false;
	h->done[i] = true;
	pthread_mutex_unlock(&h->lock);
	return pg_commit(pg, err);
}

static void *heap_main(void *ctx)
{
	struct heap *h = ctx;
	struct err err;
	struct pg *pg = NULL;
	struct arena *a = arena_new();
	int64_t worker;
	enum state_claim result = STATE_CLAIMED;
	bool ok =
		pg_open(&pg, url, "docrow test", &err) && state_worker_add(pg, h->f->run, "h", 1, 600, &worker, &err);
	while (ok) {
		struct state_unit u;
		arena_reset(a);
		ok = state_claim(pg, h->f->run, worker, STATE_SETTLE, result == STATE_BUSY, a, &u, &result, &err);
		if (!ok || result == STATE_NONE)
			break;
		if (result == STATE_CLAIMED)
			ok = do_heap_step(h, pg, &u, &err);
	}
	if (!ok)
		atomic_fetch_add(&h->failures, 1);
	pg_close(pg);
	arena_free(a);
	return NULL;
}

static void fill_heap(struct heap *h)
{
	unsigned seed = 20261125;
	for (int i = 0; i < HEAP_STEPS; i++) {
		struct state_step_def *d = &h->defs[i];
		*d = step("step", 0, &share_0);
		d->object = i;
		d->weight = (uint64_t)(seed = seed * 1103515245U + 12345U) % 50;
		d->locks = h->locks[i];
		d->nlocks = 2;
		for (int k = 0; k < 2; k++) {
			seed = seed * 1103515245U + 12345U;
			h->locks[i][k] = (struct state_lock_def){(int)(seed >> 16) % HEAP_TABLES,
								 (enum state_lock)(seed >> 20 & 7U)};
		}
		d->after = h->after[i];
		d->nafter = i > 10 ? 2 : 0;
		for (int k = 0; k < d->nafter; k++)
			h->after[i][k] = (int)((seed = seed * 1103515245U + 12345U) >> 16) % i;
	}
}

static void many_workers_never_break_a_rule(void **state)
{
	skip_without_server();
	struct heap *h = mem_zalloc(sizeof(*h));
	pthread_t threads[HEAP_THREADS];
	h->f = *state;
	pthread_mutex_init(&h->lock, NULL);
	fill_heap(h);
	add_steps(h->f, h->defs, HEAP_STEPS);
	for (int i = 0; i < HEAP_THREADS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, heap_main, h), 0);
	for (int i = 0; i < HEAP_THREADS; i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(h->failures, 0);
	assert_int_equal(h->violations, 0);
	for (int i = 0; i < HEAP_STEPS; i++)
		assert_true(h->done[i]);
	assert_int_equal(number(h->f->pg, "SELECT count(*) FROM docrow.step WHERE attempts <> 1"), 0);
	pthread_mutex_destroy(&h->lock);
	free(h);
}

/* --- leases --- */

static void leases_tell_the_living_from_the_dead(void **state)
{
	skip_without_server();
	struct fixture *f = *state;
	struct err err;
	struct state_lease l;
	struct state_worker *workers;
	size_t n;
	OK(state_leases(f->pg, f->run, &l, &err));
	assert_int_equal(l.live, 0);
	assert_int_equal(l.waiting_seconds, 0);
	int64_t ids[] = {add_worker(f, f->pg), add_worker(f, f->pg)};
	OK(state_leases(f->pg, f->run, &l, &err));
	assert_int_equal(l.live, 2);
	assert_in_range(l.waiting_seconds, 10, 15);
	assert_string_equal(l.holder, "host.example, process 4711");
	double before = l.newest;
	OK(state_leases(f->pg, f->run, &l, &err));
	assert_true(l.newest == before); /* dead or idle: it stands still */
	OK(state_heartbeat(f->pg, ids, 2, &err));
	OK(state_leases(f->pg, f->run, &l, &err));
	assert_true(l.newest > before);
	let_lease_run_out(f, ids[0]);
	OK(state_leases(f->pg, f->run, &l, &err));
	assert_int_equal(l.live, 1);
	add_chunks(f, "a", 1);
	struct state_unit u;
	assert_int_equal(claim(f, f->pg, ids[1], STATE_LOAD, &u), STATE_CLAIMED);
	OK(state_workers(f->pg, f->run, f->arena, &workers, &n, &err));
	assert_int_equal(n, 2);
	assert_false(workers[0].live);
	assert_true(workers[0].age > 3000);
	assert_null(workers[0].unit);
	assert_true(workers[1].live);
	assert_string_equal(workers[1].unit, "a, chunk 0");
	let_lease_run_out(f, ids[1]);
	OK(state_leases(f->pg, f->run, &l, &err));
	assert_int_equal(l.live, 0);
	OK(state_heartbeat(f->pg, NULL, 0, &err));
}

/* --- the account --- */

static void progress_and_ledger_add_up(void **state)
{
	skip_without_server();
	struct fixture *f = *state;
	struct err err;
	struct state_unit u;
	struct state_progress *p;
	struct state_entry *e;
	struct state_unit_line *lines;
	size_t n;
	int64_t worker = add_worker(f, f->pg);
	struct ledger *l = ledger_new();
	const struct state_step_def key = step("key", 1, &alone_0);
	add_chunks(f, "b", 2);
	add_chunks(f, "a", 3);
	add_steps(f, &key, 1);
	assert_int_equal(claim(f, f->pg, worker, STATE_LOAD, &u), STATE_CLAIMED);
	ledger_add(l, LEDGER_READ, "b", "", 9);
	ledger_add(l, LEDGER_BYTES, "b", "", 900);
	ledger_add(l, LEDGER_ROWS, "B", "", 8);
	ledger_add(l, LEDGER_REJECT, "b", "range", 1);
	ledger_add(l, LEDGER_UNMAPPED, "b", "odd \"path\" \\ \xff", 2);
	assert_true(finish(f->pg, &u, l));
	assert_int_equal(claim(f, f->pg, worker, STATE_LOAD, &u), STATE_CLAIMED);
	OK(state_progress(f->pg, f->run, f->arena, &p, &n, &err));
	assert_int_equal(n, 3);
	assert_string_equal(p[0].name, "b"); /* in the order of the chunks */
	assert_int_equal(p[0].phase, STATE_LOAD);
	assert_int_equal(p[0].total, 2);
	assert_int_equal(p[0].done, 1);
	assert_int_equal(p[0].running, 1);
	assert_int_equal(p[0].est_docs, 20);
	assert_int_equal(p[0].est_docs_done, 10);
	assert_int_equal(p[0].docs, 9);
	assert_int_equal(p[0].rows, 8);
	assert_int_equal(p[0].rejects, 1);
	assert_int_equal(p[0].bytes, 900);
	assert_true(p[0].seconds == 0.25);
	assert_string_equal(p[1].name, "a");
	assert_int_equal(p[1].est_docs_done, 0);
	assert_string_equal(p[2].name, "index");
	assert_int_equal(p[2].phase, STATE_SETTLE);
	/* the second chunk of b adds to the same entries */
	assert_true(finish(f->pg, &u, l));
	OK(state_ledger(f->pg, f->run, f->arena, &e, &n, &err));
	assert_int_equal(n, 5);
	assert_string_equal(e[1].kind, "read");
	assert_string_equal(e[1].object, "b");
	assert_int_equal(e[1].n, 18);
	assert_string_equal(e[2].kind, "reject");
	assert_string_equal(e[2].path, "range");
	assert_int_equal(e[2].n, 2);
	OK(state_slowest(f->pg, f->run, false, 1, f->arena, &lines, &n, &err));
	assert_int_equal(n, 1);
	assert_string_equal(lines[0].kind, "chunk");
	assert_true(lines[0].seconds == 0.25);
	OK(state_slowest(f->pg, f->run, true, 5, f->arena, &lines, &n, &err));
	assert_int_equal(n, 0);
	ledger_free(l);
}

static void what_is_rolled_back_is_not_counted(void **state)
{
	skip_without_server();
	struct fixture *f = *state;
	struct err err;
	struct state_unit u;
	bool mine;
	int64_t worker = add_worker(f, f->pg);
	struct ledger *l = ledger_new();
	add_chunks(f, "a", 1);
	ledger_add(l, LEDGER_READ, "a", "", 5);
	assert_int_equal(claim(f, f->pg, worker, STATE_LOAD, &u), STATE_CLAIMED);
	OK(pg_begin(f->pg, false, &err));
	OK(state_finish(f->pg, &u, l, 0, &mine, &err));
	pg_rollback(f->pg);
	assert_int_equal(number(f->pg, "SELECT count(*) FROM docrow.ledger"), 0);
	assert_true(finish(f->pg, &u, l));
	assert_int_equal(number(f->pg, "SELECT n FROM docrow.ledger"), 5);
	ledger_free(l);
}

static void patterns_gather_what_looks_alike(void **state)
{
	skip_without_server();
	struct fixture *f = *state;
	struct err err;
	struct state_pattern *p;
	size_t n;
	OK(pg_execf(f->pg, &err,
		    "INSERT INTO docrow.reject (run, collection, path, fault, code, bson_type, message, doc_id_text, "
		    "state) "
		    "SELECT %lld, 'a', 'x', 'range', 'DR-F04', 'long', 'too large', '{\"n\":' || i || '}', CASE WHEN "
		    "i < 3 "
		    "THEN 'retried' ELSE 'open' END FROM generate_series(1, 5) i UNION ALL "
		    "SELECT %lld, 'a', 'x', 'type', 'DR-F03', 'string', 'not a number', '1', 'open'",
		    (long long)f->run, (long long)f->run));
	OK(pg_execf(
		f->pg, &err,
		"INSERT INTO docrow.finding (run, kind, fault, table_name, column_name) SELECT %lld, 'orphan_null', "
		"'orphan', 't', 'c' FROM generate_series(1, 2)",
		(long long)f->run));
	OK(state_reject_patterns(f->pg, f->run, f->arena, &p, &n, &err));
	assert_int_equal(n, 2);
	assert_string_equal(p[0].fault, "range");
	assert_string_equal(p[0].code, "DR-F04");
	assert_string_equal(p[0].collection, "a");
	assert_string_equal(p[0].path, "x");
	assert_string_equal(p[0].bson_type, "long");
	assert_string_equal(p[0].message, "too large");
	assert_string_equal(p[0].example_id, "{\"n\":3}"); /* the first that is open */
	assert_null(p[0].table);
	assert_int_equal(p[0].n, 5);
	assert_int_equal(p[0].open, 3);
	assert_int_equal(p[1].n, 1);
	OK(state_finding_patterns(f->pg, f->run, f->arena, &p, &n, &err));
	assert_int_equal(n, 1);
	assert_string_equal(p[0].kind, "orphan_null");
	assert_string_equal(p[0].column, "c");
	assert_int_equal(p[0].n, 2);
}

/* Removed tables are told as such, not as a bare SQL error. */
static void a_broken_schema_is_told(void **state)
{
	skip_without_server();
	struct fixture *f = *state;
	struct err err;
	struct state_lease l;
	OK(pg_exec(f->pg, "ALTER TABLE docrow.worker RENAME TO gone", &err));
	assert_false(state_leases(f->pg, f->run, &l, &err));
	assert_int_equal(err.code, ERR_TARGET_STATE);
	OK(pg_exec(f->pg, "ALTER TABLE docrow.gone RENAME TO worker", &err));
}

/* Seconds for one claim and its finish, from the chunk with this ordinal on. */
static double time_claims(struct fixture *f, int64_t worker, int64_t first)
{
	enum { CLAIMS = 100 };
	struct state_unit u;
	double started = clock_seconds();
	for (int i = 0; i < CLAIMS; i++) {
		assert_int_equal(claim(f, f->pg, worker, STATE_LOAD, &u), STATE_CLAIMED);
		assert_int_equal(u.ordinal, first + i);
		assert_true(finish(f->pg, &u, NULL));
	}
	return (clock_seconds() - started) / CLAIMS;
}

/* A claim must not take longer the more chunks there are: 100,000, none done and nearly all done. */
static void claims_stay_fast_among_many(void **state)
{
	skip_without_server();
	struct fixture *f = *state;
	struct err err;
	int64_t worker = add_worker(f, f->pg);
	add_chunks(f, "a", 100000);
	begin_load(f);
	double fresh = time_claims(f, worker, 0);
	OK(pg_exec(f->pg, "UPDATE docrow.chunk SET state = 'done' WHERE ordinal < 99000", &err));
	double late = time_claims(f, worker, 99000);
	print_message("%.2f ms a claim and finish at the beginning, %.2f ms at the end\n", fresh * 1000, late * 1000);
	assert_true(fresh < 0.02);
	assert_true(late < 0.05);
}

static bool schema_is_free(void)
{
	struct err err;
	struct pg *pg;
	struct pg_result *r;
	if (!pg_open(&pg, url, "docrow test", &err) ||
	    !pg_query(pg, "SELECT count(*) FROM pg_namespace WHERE nspname = 'docrow'", NULL, 0, &r, &err)) {
		print_message("DATABASE_URL: %s: %s\n", err.message, err.detail);
		exit(1);
	}
	bool is_free = pg_get_i64(r, 0, 0) == 0;
	pg_result_free(r);
	pg_close(pg);
	return is_free;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

/* For tests that need the SQL functions and no program: makes schema docrow and leaves it. */
static int install_only(void)
{
	struct err err;
	struct pg *pg = NULL;
	bool ok = pg_open(&pg, url, "docrow test", &err) && state_install(pg, &err);
	if (!ok)
		print_message("%s %s | %s | %s\n", err_code_text(err.code), err.message, err.detail, err.hint);
	pg_close(pg);
	return ok ? 0 : 1;
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		TEST(installs_once_whoever_asks),
		TEST(another_versions_tables_are_refused),
		TEST(older_tables_are_brought_up_to_date),
		TEST(keeps_the_functions_when_asked),
		TEST(an_administrator_can_prepare_the_schema),
		TEST(a_run_is_found_as_it_was_made),
		TEST(a_second_run_is_refused_until_the_first_is_cleaned),
		TEST(a_claim_tells_all_of_the_chunk),
		TEST(large_chunks_go_first_then_those_of_early_phases),
		TEST(each_chunk_is_done_once_by_many),
		TEST(the_older_claim_cannot_finish),
		TEST(what_a_worker_left_behind_is_its_own_or_anybodys),
		TEST(a_released_unit_keeps_its_error),
		TEST(a_stalled_transaction_is_ended),
		TEST(only_the_backend_that_was_noted_is_ended),
		TEST(the_phase_waits_for_every_unit),
		TEST(steps_keep_order_and_locks),
		TEST(a_dead_workers_step_does_not_block),
		TEST(many_workers_never_break_a_rule),
		TEST(leases_tell_the_living_from_the_dead),
		TEST(progress_and_ledger_add_up),
		TEST(what_is_rolled_back_is_not_counted),
		TEST(patterns_gather_what_looks_alike),
		TEST(a_broken_schema_is_told),
		TEST(claims_stay_fast_among_many),
	};
	url = getenv("DATABASE_URL");
	if (url != NULL && argc == 2 && strcmp(argv[1], "install") == 0)
		return install_only();
	if (url == NULL) {
		print_message("DATABASE_URL is not set: the tests of the state tables skip\n");
	} else if (!schema_is_free()) {
		print_message(
			"schema docrow exists in DATABASE_URL's database: the tests would remove it, and skip\n");
		url = NULL;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}

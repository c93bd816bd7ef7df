/* One connection to a real PostgreSQL: DATABASE_URL; without it these tests skip. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <pthread.h>

#include "pg.h"
#include "sys.h"

static const char *url;

static struct pg *connect_or_skip(void)
{
	struct pg *pg;
	struct err err;
	if (url == NULL) {
		print_message("DATABASE_URL is not set\n");
		skip();
	}
	if (!pg_open(&pg, url, "docrow test", &err))
		fail_msg("%s: %s", err.message, err.detail);
	return pg;
}

/* Behind a pooler the process at the other end is another one for each transaction: tests that end it skip. */
static bool is_pooled(struct pg *pg)
{
	struct err err;
	struct pg_result *r;
	if (!pg_query(pg, "SELECT pg_backend_pid()", NULL, 0, &r, &err))
		fail_msg("%s", err.message);
	bool same = pg_get_i64(r, 0, 0) == pg_backend_pid(pg);
	pg_result_free(r);
	if (!same)
		print_message("a pooler stands before the server\n");
	return !same;
}

static void skip_if_pooled(struct pg *pg)
{
	if (!is_pooled(pg))
		return;
	pg_close(pg);
	skip();
}

#define OK(call)                                                                                                     \
	do {                                                                                                         \
		if (!(call))                                                                                         \
			fail_msg("%s: %s | %s", #call, err.message, err.detail);                                     \
	} while (0)

static void queries(void **state)
{
	struct pg *pg = connect_or_skip();
	struct err err;
	struct pg_result *r;
	struct buf b;
	const struct pg_param params[] = {PG_TEXT("a'b"), PG_BYTEA("\0\1\xff", 3), PG_NULL, PG_BYTEA("", 0)};
	OK(pg_query(pg, "SELECT $1::text, $2::bytea, $3::text, 42, true, 1.5, $4::bytea", params, 4, &r, &err));
	assert_int_equal(pg_rows(r), 1);
	assert_int_equal(pg_columns(r), 7);
	assert_string_equal(pg_get(r, 0, 0), "a'b");
	buf_init(&b, 0);
	pg_get_bytea(r, 0, 1, &b);
	assert_int_equal(b.len, 3);
	assert_memory_equal(b.data, "\0\1\xff", 3);
	buf_reset(&b);
	pg_get_bytea(r, 0, 6, &b);
	assert_int_equal(b.len, 0);
	assert_non_null(pg_get(r, 0, 6));
	buf_free(&b);
	assert_null(pg_get(r, 0, 2));
	assert_int_equal(pg_get_i64(r, 0, 2), 0);
	assert_int_equal(pg_get_i64(r, 0, 3), 42);
	assert_true(pg_get_bool(r, 0, 4));
	assert_true(pg_get_double(r, 0, 5) == 1.5);
	pg_result_free(r);
	assert_true(pg_server_version(pg) >= 130000);
	assert_null(strstr(pg_describe(pg), "password"));
	pg_close(pg);
}

static void a_failed_transaction_does_not_commit(void **state)
{
	struct pg *pg = connect_or_skip();
	struct err err;
	OK(pg_begin(pg, true, &err));
	assert_true(pg_in_transaction(pg));
	assert_false(pg_exec(pg, "SELECT 1/0", &err));
	assert_int_equal(err.class, ERR_CLASS_DATA);
	assert_string_equal(err.sqlstate, "22012");
	assert_false(pg_commit(pg, &err));
	assert_int_equal(err.code, ERR_INTERNAL);
	assert_false(pg_in_transaction(pg));
	pg_close(pg);
}

static void copies_and_recovers(void **state)
{
	struct pg *pg = connect_or_skip();
	struct err err;
	uint64_t rows = 0;
	OK(pg_begin(pg, false, &err));
	OK(pg_exec(pg, "CREATE TEMPORARY TABLE t (n integer) ON COMMIT DROP", &err));
	OK(pg_copy_begin(pg, "COPY t FROM STDIN", &err));
	for (int i = 0; i < 1000; i++)
		OK(pg_copy_put(pg, "12345\n", 6, &err));
	OK(pg_copy_end(pg, &rows, &err));
	assert_int_equal(rows, 1000);
	OK(pg_exec(pg, "SAVEPOINT a", &err));
	OK(pg_copy_begin(pg, "COPY t FROM STDIN", &err));
	OK(pg_copy_put(pg, "top secret value\n", 17, &err));
	assert_false(pg_copy_end(pg, &rows, &err));
	assert_int_equal(err.class, ERR_CLASS_DATA);
	assert_string_equal(err.sqlstate, "22P02");
	/* the value is quoted by the server, never by us */
	assert_null(strstr(err.message, "secret"));
	assert_null(strstr(err.detail, "secret"));
	OK(pg_exec(pg, "ROLLBACK TO SAVEPOINT a", &err));
	OK(pg_copy_begin(pg, "COPY t FROM STDIN", &err));
	OK(pg_copy_put(pg, "1\n", 2, &err));
	pg_copy_abort(pg, "changed our mind");
	assert_false(pg_is_lost(pg));
	OK(pg_exec(pg, "ROLLBACK TO SAVEPOINT a", &err));
	OK(pg_copy_begin(pg, "COPY t FROM STDIN", &err));
	pg_rollback(pg); /* out of the COPY and the transaction */
	assert_false(pg_in_transaction(pg));
	OK(pg_exec(pg, "SELECT 1", &err));
	pg_close(pg);
}

static void duplicate_keys_tell_the_constraint_only(void **state)
{
	struct pg *pg = connect_or_skip();
	struct err err;
	OK(pg_begin(pg, false, &err));
	OK(pg_exec(pg, "CREATE TEMPORARY TABLE t (n text CONSTRAINT the_key PRIMARY KEY) ON COMMIT DROP", &err));
	assert_false(pg_exec(pg, "INSERT INTO t VALUES ('secret'), ('secret')", &err));
	assert_int_equal(err.code, ERR_TARGET_DATA);
	assert_non_null(strstr(err.detail, "the_key"));
	assert_null(strstr(err.detail, "secret"));
	assert_null(strstr(err.message, "secret"));
	pg_rollback(pg);
	pg_close(pg);
}

static void *cancel_soon(void *ctx)
{
	/* until it takes: the statement may not have begun yet */
	struct pg *pg = ctx;
	struct pg *other;
	struct err err;
	char sql[200];
	if (!pg_open(&other, url, "docrow test", &err))
		return NULL;
	snprintf(sql, sizeof(sql), "SELECT count(*) FROM pg_stat_activity WHERE pid = %d AND wait_event = 'PgSleep'",
		 pg_backend_pid(pg));
	for (bool asleep = false; !asleep;) {
		struct pg_result *r;
		if (!pg_query(other, sql, NULL, 0, &r, &err))
			break;
		asleep = pg_get_i64(r, 0, 0) == 1;
		pg_result_free(r);
	}
	pg_cancel(pg);
	pg_close(other);
	return NULL;
}

static void cancels_from_another_thread(void **state)
{
	struct pg *pg = connect_or_skip();
	struct err err;
	pthread_t thread;
	skip_if_pooled(pg);
	assert_int_equal(pthread_create(&thread, NULL, cancel_soon, pg), 0);
	assert_false(pg_exec(pg, "SELECT pg_sleep(60)", &err));
	pthread_join(thread, NULL);
	assert_string_equal(err.sqlstate, "57014");
	assert_int_equal(err.class, ERR_CLASS_RETRY);
	assert_false(pg_is_lost(pg));
	pg_close(pg);
}

static void a_lost_connection_is_told(void **state)
{
	struct pg *pg = connect_or_skip();
	struct err err;
	skip_if_pooled(pg);
	struct pg *other = connect_or_skip();
	OK(pg_execf(other, &err, "SELECT pg_terminate_backend(%d)", pg_backend_pid(pg)));
	assert_false(pg_exec(pg, "SELECT pg_sleep(60)", &err));
	assert_int_equal(err.code, ERR_TARGET_LOST);
	assert_int_equal(err.class, ERR_CLASS_RETRY);
	assert_true(pg_is_lost(pg));
	assert_false(pg_exec(pg, "SELECT 1", &err));
	assert_int_equal(err.code, ERR_TARGET_LOST);
	pg_rollback(pg);
	pg_close(pg);
	pg_close(other);
}

static void a_missing_database_is_told(void **state)
{
	struct pg *pg = connect_or_skip(), *none;
	struct err err;
	struct buf b;
	buf_init(&b, 0);
	buf_printf(&b, "%s%cdbname=no_such_database", url, strchr(url, '?') == NULL ? '?' : '&');
	assert_false(pg_open(&none, buf_cstr(&b), "docrow test", &err));
	assert_null(none);
	assert_int_equal(err.code, ERR_TARGET_CONNECT);
	if (!is_pooled(pg)) { /* a pooler has a code of its own */
		assert_string_equal(err.sqlstate, "3D000");
		assert_int_equal(err.class, ERR_CLASS_FATAL);
		assert_non_null(strstr(err.hint, "create the database"));
	}
	assert_non_null(strstr(err.detail, "no_such_database"));
	buf_free(&b);
	pg_close(pg);
}

static void nobody_listens(void **state)
{
	struct pg *pg;
	struct err err;
	/* port 1 of this host: no server, and no DATABASE_URL needed */
	assert_false(pg_open(&pg, "postgresql://u:s3cr3t@127.0.0.1:1/d", "docrow test", &err));
	assert_null(pg);
	assert_int_equal(err.code, ERR_TARGET_CONNECT);
	assert_int_equal(err.class, ERR_CLASS_RETRY);
	assert_non_null(strstr(err.detail, "127.0.0.1"));
	assert_non_null(strstr(err.detail, "refused"));
	assert_null(strstr(err.detail, "s3cr3t"));
	/* the second of two hosts is tried, too */
	assert_false(pg_open(&pg, "postgresql://u@127.0.0.1:1,127.0.0.1:2/d", "docrow test", &err));
	assert_non_null(strstr(err.detail, "port 2"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nobody_listens),
		cmocka_unit_test(queries),
		cmocka_unit_test(a_failed_transaction_does_not_commit),
		cmocka_unit_test(copies_and_recovers),
		cmocka_unit_test(duplicate_keys_tell_the_constraint_only),
		cmocka_unit_test(cancels_from_another_thread),
		cmocka_unit_test(a_lost_connection_is_told),
		cmocka_unit_test(a_missing_database_is_told),
	};
	url = getenv("DATABASE_URL");
	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SQLSTATE → what to do about it, and reading the SQLSTATE of a refused login. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "pg_internal.h"

static const struct {
	const char *sqlstate;
	enum err_class class;
	enum err_code code;
} expected[] = {
	{"08000", ERR_CLASS_RETRY, ERR_TARGET_LOST},      {"08006", ERR_CLASS_RETRY, ERR_TARGET_LOST},
	{"08P01", ERR_CLASS_FATAL, ERR_INTERNAL},         {"57P01", ERR_CLASS_RETRY, ERR_TARGET_LOST},
	{"57P02", ERR_CLASS_RETRY, ERR_TARGET_LOST},      {"57P03", ERR_CLASS_RETRY, ERR_TARGET_CONNECT},
	{"57P04", ERR_CLASS_FATAL, ERR_TARGET_REFUSED},   {"57P05", ERR_CLASS_RETRY, ERR_TARGET_LOST},
	{"25P03", ERR_CLASS_RETRY, ERR_TARGET_LOST},      {"25006", ERR_CLASS_RETRY, ERR_TARGET_REFUSED},
	{"40001", ERR_CLASS_RETRY, ERR_TARGET_REFUSED},   {"40P01", ERR_CLASS_RETRY, ERR_TARGET_REFUSED},
	{"53100", ERR_CLASS_RETRY, ERR_TARGET_DISK_FULL}, {"53200", ERR_CLASS_RETRY, ERR_TARGET_REFUSED},
	{"53300", ERR_CLASS_RETRY, ERR_TARGET_CONNECT},   {"55P03", ERR_CLASS_RETRY, ERR_TARGET_REFUSED},
	{"55006", ERR_CLASS_RETRY, ERR_TARGET_REFUSED},   {"55000", ERR_CLASS_FATAL, ERR_TARGET_REFUSED},
	{"22003", ERR_CLASS_DATA, ERR_TARGET_DATA},       {"22021", ERR_CLASS_DATA, ERR_TARGET_DATA},
	{"22P02", ERR_CLASS_DATA, ERR_TARGET_DATA},       {"22P03", ERR_CLASS_FATAL, ERR_INTERNAL},
	{"22P04", ERR_CLASS_FATAL, ERR_INTERNAL},         {"23502", ERR_CLASS_DATA, ERR_TARGET_DATA},
	{"23505", ERR_CLASS_DATA, ERR_TARGET_DATA},       {"44000", ERR_CLASS_DATA, ERR_TARGET_DATA},
	{"54000", ERR_CLASS_DATA, ERR_TARGET_DATA},       {"P0001", ERR_CLASS_DATA, ERR_TARGET_DATA},
	{"P0002", ERR_CLASS_FATAL, ERR_TARGET_REFUSED},   {"42501", ERR_CLASS_FATAL, ERR_TARGET_PRIVILEGE},
	{"42P01", ERR_CLASS_FATAL, ERR_TARGET_REFUSED},   {"28P01", ERR_CLASS_FATAL, ERR_TARGET_AUTH},
	{"28000", ERR_CLASS_FATAL, ERR_TARGET_AUTH},      {"3D000", ERR_CLASS_FATAL, ERR_TARGET_CONNECT},
	{"XX000", ERR_CLASS_FATAL, ERR_TARGET_REFUSED},
};

static void classes(void **state)
{
	for (size_t i = 0; i < sizeof(expected) / sizeof(expected[0]); i++) {
		const struct pg_meaning *m = pg_sqlstate_meaning(expected[i].sqlstate, false);
		if (m->class != expected[i].class || m->code != expected[i].code)
			fail_msg("%s: class %d, code %s", expected[i].sqlstate, m->class, err_code_text(m->code));
	}
}

/* Poolers end a session with 08P01 whatever the reason: no bug of ours then. */
static void a_session_that_ended_is_tried_again(void **state)
{
	assert_int_equal(pg_sqlstate_meaning("08P01", true)->class, ERR_CLASS_RETRY);
	assert_int_equal(pg_sqlstate_meaning("XX000", true)->class, ERR_CLASS_RETRY);
	assert_int_equal(pg_sqlstate_meaning("28P01", true)->class, ERR_CLASS_FATAL);
	assert_int_equal(pg_sqlstate_meaning("3D000", true)->class, ERR_CLASS_FATAL);
}

static void reads_the_state_of_a_refused_login(void **state)
{
	char sqlstate[6];
	const char *text = "connection to server at \"127.0.0.1\", port 5432 failed: FATAL:  28P01: password "
			   "authentication failed for user \"joe\"\nLOCATION:  auth_failed, auth.c:311\n";
	assert_true(pg_message_sqlstate(text, sqlstate));
	assert_string_equal(sqlstate, "28P01");
	char clean[200];
	pg_message_clean(text, clean, sizeof(clean));
	assert_string_equal(clean, "connection to server at \"127.0.0.1\", port 5432 failed: FATAL:  password "
				   "authentication failed for user \"joe\"");
}

static void reads_a_translated_message_with_detail(void **state)
{
	char sqlstate[6], clean[300];
	const char *text = "failed: SCHWERWIEGEND:  3D000: Datenbank \xc2\xbbx\xc2\xab existiert nicht\n"
			   "TIP:  noch etwas\nLOCATION:  InitPostgres, postinit.c:938\n";
	assert_true(pg_message_sqlstate(text, sqlstate));
	assert_string_equal(sqlstate, "3D000");
	pg_message_clean(text, clean, sizeof(clean));
	assert_string_equal(clean,
			    "failed: SCHWERWIEGEND:  Datenbank \xc2\xbbx\xc2\xab existiert nicht; TIP:  noch etwas");
}

static void the_last_address_counts(void **state)
{
	char sqlstate[6];
	assert_true(pg_message_sqlstate("a failed: FATAL:  57P03: starting up\nb failed: FATAL:  28000: no entry\n",
					sqlstate));
	assert_string_equal(sqlstate, "28000");
	assert_false(pg_message_sqlstate("connection to server failed: Connection refused\n", sqlstate));
	assert_false(pg_message_sqlstate("odd:  28p01: lower case is none", sqlstate));
	assert_false(pg_message_sqlstate(":  28P01", sqlstate));
}

/* Any text into any size: never past the end. */
static void cleaning_keeps_within_bounds(void **state)
{
	const char *text = "x: FATAL:  28P01: text\n\n\nLOCATION:  y\nLOCATION:  z\nmore\ttext\n";
	for (size_t size = 1; size < 80; size++) {
		char out[81];
		memset(out, 'Z', sizeof(out));
		pg_message_clean(text, out, size);
		assert_true(strlen(out) < size);
		assert_int_equal(out[size], 'Z');
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(classes),
		cmocka_unit_test(a_session_that_ended_is_tried_again),
		cmocka_unit_test(reads_the_state_of_a_refused_login),
		cmocka_unit_test(reads_a_translated_message_with_detail),
		cmocka_unit_test(the_last_address_counts),
		cmocka_unit_test(cleaning_keeps_within_bounds),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

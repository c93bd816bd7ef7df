/* Which steps may run together: PostgreSQL's table of lock conflicts, and its form as sets of integers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "state_internal.h"

/* The table as PostgreSQL's manual prints it (X: conflict), rows and columns from ACCESS SHARE to ACCESS EXCLUSIVE.
 */
static const char *const manual[LOCK_COUNT] = {
	".......X", "......XX", "....XXXX", "...XXXXX", "..XX.XXX", "..XXXXXX", ".XXXXXXX", "XXXXXXXX",
};

static void conflicts_are_postgresqls(void **state)
{
	for (int a = 0; a < LOCK_COUNT; a++) {
		for (int b = 0; b < LOCK_COUNT; b++) {
			bool conflict = state_locks_conflict((enum state_lock)a, (enum state_lock)b);
			if (conflict != (manual[a][b] == 'X'))
				fail_msg("%s with %s", state_lock_name((enum state_lock)a),
					 state_lock_name((enum state_lock)b));
			assert_int_equal(conflict, state_locks_conflict((enum state_lock)b, (enum state_lock)a));
		}
	}
}

static void settling_in_words(void **state)
{
	/* several indexes on one table go together, two foreign keys on one table do not, nor two VALIDATEs */
	assert_false(state_locks_conflict(LOCK_SHARE, LOCK_SHARE));
	assert_true(state_locks_conflict(LOCK_SHARE_ROW_EXCLUSIVE, LOCK_SHARE_ROW_EXCLUSIVE));
	assert_true(state_locks_conflict(LOCK_SHARE_UPDATE_EXCLUSIVE, LOCK_SHARE_UPDATE_EXCLUSIVE));
	/* VALIDATE looks into the parent while that gets an index, but not while it gets its key */
	assert_false(state_locks_conflict(LOCK_ROW_SHARE, LOCK_SHARE));
	assert_true(state_locks_conflict(LOCK_ROW_SHARE, LOCK_ACCESS_EXCLUSIVE));
	/* an index does not go beside deletes */
	assert_true(state_locks_conflict(LOCK_SHARE, LOCK_ROW_EXCLUSIVE));
}

static bool contains(const char *set, int token)
{
	for (const char *p = set; (p = strpbrk(p, "{,")) != NULL; p++)
		if (p[1] != '}' && atoi(p + 1) == token)
			return true;
	return false;
}

/* The sets say the same as the table, and tell tables apart. */
static void sets_say_the_same(void **state)
{
	for (int a = 0; a < LOCK_COUNT; a++) {
		for (int b = 0; b < LOCK_COUNT; b++) {
			const struct state_lock_def mine[] = {{3, (enum state_lock)a}, {700, LOCK_ACCESS_SHARE}};
			struct buf set;
			buf_init(&set, 0);
			state_lock_conflicts(&set, mine, 2);
			const char *text = buf_cstr(&set);
			assert_int_equal(contains(text, state_lock_token(3, (enum state_lock)b)),
					 state_locks_conflict((enum state_lock)a, (enum state_lock)b));
			assert_false(contains(text, state_lock_token(4, (enum state_lock)b)));
			assert_int_equal(contains(text, state_lock_token(700, (enum state_lock)b)),
					 b == LOCK_ACCESS_EXCLUSIVE);
			buf_free(&set);
		}
	}
}

static void sets_are_arrays(void **state)
{
	const struct state_lock_def locks[] = {{0, LOCK_SHARE}, {2, LOCK_ROW_SHARE}};
	struct buf b;
	buf_init(&b, 0);
	state_lock_holds(&b, locks, 2);
	assert_string_equal(buf_cstr(&b), "{4,17}");
	buf_reset(&b);
	state_lock_holds(&b, NULL, 0);
	assert_string_equal(buf_cstr(&b), "{}");
	buf_reset(&b);
	state_lock_conflicts(&b, NULL, 0);
	assert_string_equal(buf_cstr(&b), "{}");
	buf_free(&b);
}

static void names(void **state)
{
	enum state_step_kind kind;
	enum state_phase phase;
	for (int i = 0; i < STEP_KIND_COUNT; i++) {
		assert_true(state_step_kind_parse(state_step_kind_name((enum state_step_kind)i), &kind));
		assert_int_equal(kind, i);
	}
	assert_false(state_step_kind_parse("nonsense", &kind));
	for (int i = STATE_SPLIT; i <= STATE_DONE; i++) {
		assert_true(state_phase_parse(state_phase_name((enum state_phase)i), &phase));
		assert_int_equal(phase, i);
	}
	assert_false(state_phase_parse("", &phase));
}

static void copy_text_escapes(void **state)
{
	struct buf b;
	buf_init(&b, 0);
	copy_text(&b, "a\tb\\c\nd\re");
	buf_putc(&b, '|');
	copy_text(&b, NULL);
	assert_string_equal(buf_cstr(&b), "a\\tb\\\\c\\nd\\re|\\N");
	buf_free(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(conflicts_are_postgresqls),
		cmocka_unit_test(settling_in_words),
		cmocka_unit_test(sets_say_the_same),
		cmocka_unit_test(sets_are_arrays),
		cmocka_unit_test(names),
		cmocka_unit_test(copy_text_escapes),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

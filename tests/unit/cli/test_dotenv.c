/* .env files as people write them. Cases are data: text | key | value (NULL: not set). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "dotenv.h"

static const char *lookup(void *ctx, const char *name)
{
	return strcmp(name, "HOME") == 0 ? "/home/me" : strcmp(name, "EMPTY") == 0 ? "" : NULL;
}

static const struct {
	const char *text, *key, *value;
} cases[] = {
	{"A=1", "A", "1"},
	{"A=1\n", "A", "1"},
	{"A=1\r\nB=2\r\n", "A", "1"},
	{"A=1\r\nB=2\r\n", "B", "2"},
	{"\xef\xbb\xbf"
	 "A=1",
	 "A", "1"},
	{"  A  =  1  ", "A", "1"},
	{"export A=1", "A", "1"},
	{"export\tA=1", "A", "1"},
	{"exportA=1", "exportA", "1"},
	{"# A=1\nB=2", "A", NULL},
	{"  # A=1\nB=2", "B", "2"},
	{"A=1 # one", "A", "1"},
	{"A=1#one", "A", "1#one"},
	{"A=#one", "A", ""},
	{"A='1 # one' # more", "A", "1 # one"},
	{"A=\"1 # one\"", "A", "1 # one"},
	{"A=`1 \"x\" 'y'`", "A", "1 \"x\" 'y'"},
	{"A=\"a\\nb\\tc\\\"d\\\\e\\$f\"", "A", "a\nb\tc\"d\\e$f"},
	{"A='a\\nb'", "A", "a\\nb"},
	{"A=a\\nb", "A", "a\\nb"},
	{"A=\"one\ntwo\"\nB=2", "A", "one\ntwo"},
	{"A=\"one\r\ntwo\"\r\nB=2", "A", "one\ntwo"},
	{"A=\"one\ntwo\"\nB=2", "B", "2"},
	{"A=", "A", ""},
	{"A=\nB=2", "B", "2"},
	{"A=1\nA=2", "A", "2"},
	{"A=a b c", "A", "a b c"},
	{"A=postgresql://u:p%40w@h/db?x=1&y=2", "A", "postgresql://u:p%40w@h/db?x=1&y=2"},
	{"A=p$word", "A", "p$word"},
	{"A=${HOME}/x", "A", "/home/me/x"},
	{"A=\"${HOME}/x\"", "A", "/home/me/x"},
	{"A='${HOME}/x'", "A", "${HOME}/x"},
	{"B=1\nA=${B}${B}", "A", "11"},
	{"A=${NONE}x", "A", "x"},
	{"A=${NONE:-other}x", "A", "otherx"},
	{"A=${EMPTY:-other}", "A", "other"},
	{"HOME=/elsewhere\nA=${HOME}", "A", "/home/me"},
	{"A=${HOME", "A", "${HOME"},
	{"A=${}", "A", "${}"},
	{"A=\"\\${HOME}\"", "A", "${HOME}"},
	{"A=1\nA=${A}2", "A", "12"},
	{"just words\nA=1", "A", "1"},
	{"=1\nA=1", "A", "1"},
	{"A.b-c=1", "A.b-c", "1"},
	{"1A=1", "1A", NULL},
	{"", "A", NULL},
	{"A=\"open\nB=2", "B", "2"},
};

static void test_cases(void **state)
{
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct arena *a = arena_new();
		struct dotenv d;
		dotenv_parse(a, cases[i].text, strlen(cases[i].text), lookup, NULL, &d);
		const struct dotenv_entry *e = dotenv_find(&d, cases[i].key);
		if (!cases[i].value) {
			assert_null(e);
		} else {
			if (!e)
				fail_msg("case %zu: %s is not set", i, cases[i].key);
			assert_string_equal(e->value, cases[i].value);
		}
		arena_free(a);
	}
}

static const struct dotenv_entry *only_entry(struct arena *a, const char *text, size_t len, struct dotenv *d)
{
	dotenv_parse(a, text, len, NULL, NULL, d);
	assert_int_equal(d->n, 1);
	return &d->entries[0];
}

static void test_what_is_wrong(void **state)
{
	struct arena *a = arena_new();
	struct dotenv d;

	assert_non_null(only_entry(a, "A=\"open", 7, &d)->wrong);
	assert_non_null(only_entry(a, "words", 5, &d)->wrong);
	assert_null(d.entries[0].key);
	assert_non_null(only_entry(a, "A='1'x", 6, &d)->wrong);
	assert_non_null(only_entry(a,
				   "A=1\0"
				   "2",
				   5, &d)
				->wrong);
	assert_null(only_entry(a, "A='1' # x", 9, &d)->wrong);
	arena_free(a);
}

static void test_lines_are_numbered(void **state)
{
	static const char text[] = "# one\n\nA=\"x\ny\"\nB=1\r\nC='open\nD=2\n";
	static const int lines[] = {3, 5, 6, 7};
	struct arena *a = arena_new();
	struct dotenv d;

	dotenv_parse(a, text, strlen(text), NULL, NULL, &d);
	assert_int_equal(d.n, 4);
	for (size_t i = 0; i < 4; i++)
		assert_int_equal(d.entries[i].line, lines[i]);
	arena_free(a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_cases),
		cmocka_unit_test(test_what_is_wrong),
		cmocka_unit_test(test_lines_are_numbered),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

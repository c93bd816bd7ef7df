/* The table of options, values, and who wins: command line > environment > .env > default. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "settings.h"

struct
try {
	struct settings s;
	struct arena *arena;
	struct err err;
	bool ok;
};

static char env_path[] = "/tmp/docrow-test-env-XXXXXX";

static void write_env(const char *text)
{
	FILE *f = fopen(env_path, "w");

	assert_non_null(f);
	fputs(text, f);
	fclose(f);
}

/* argv: the words after "docrow migrate", NULL at the end; env_text NULL: no file. */
static struct try try_settings(const char *const *words, char **environment, const char *env_text)
{
	struct try t = {.arena = arena_new()};
	char *argv[32] = {(char *)"docrow", (char *)"migrate"};
	int argc = 2;

	for (; *words; words++)
		argv[argc++] = (char *)*words;
	argv[argc++] = (char *)"--env-file";
	argv[argc++] = (char *)(env_text ? env_path : "");
	if (env_text)
		write_env(env_text);
	settings_init(&t.s, t.arena);
	assert_int_equal(settings_command_word(argc, argv), 1);
	t.ok = settings_args(&t.s, argc, argv, 1, CMD_MIGRATE, &t.err) &&
	       settings_complete(&t.s, environment, CMD_MIGRATE, false, &t.err);
	return t;
}

#define WORDS(...) ((const char *const[]){__VA_ARGS__, NULL})
#define NO_WORDS   ((const char *const[]){NULL})
#define ENV(...)   ((char *[]){__VA_ARGS__, NULL})
#define NO_ENV     ((char *[]){NULL})

static void test_table(void **state)
{
	for (int i = 0; i < OPT_COUNT; i++) {
		const struct option *o = &options[i];
		double number;
		char expected[160];
		assert_non_null(o->name);
		assert_true(strlen(o->help) > 10);
		assert_int_equal(o->help[strlen(o->help) - 1], '.');
		assert_true(o->commands != 0);
		assert_int_equal(option_find(o->name, strlen(o->name)), i);
		if (o->letter)
			assert_int_equal(option_find_letter(o->letter), i);
		if (o->env)
			assert_int_equal(option_find_env(o->env), i);
		if (o->kind != OPT_KIND_FLAG)
			assert_non_null(o->value);
		if (o->otherwise)
			assert_true(option_parse((enum opt)i, o->otherwise, &number, expected));
	}
}

static void test_who_wins(void **state)
{
	char in_env[] = "DOCROW_WORKERS=3";
	struct try t = try_settings(WORDS("--workers", "4"), ENV(in_env), "DOCROW_WORKERS=2\n");
	assert_true(t.ok);
	assert_int_equal(settings_int(&t.s, OPT_WORKERS), 4);
	assert_string_equal(setting_where(&t.s, &t.s.v[OPT_WORKERS]), "--workers");
	arena_free(t.arena);

	t = try_settings(NO_WORDS, ENV(in_env), "DOCROW_WORKERS=2\n");
	assert_int_equal(settings_int(&t.s, OPT_WORKERS), 3);
	assert_string_equal(setting_where(&t.s, &t.s.v[OPT_WORKERS]), "DOCROW_WORKERS");
	arena_free(t.arena);

	t = try_settings(NO_WORDS, NO_ENV, "\nDOCROW_WORKERS=2\n");
	assert_int_equal(settings_int(&t.s, OPT_WORKERS), 2);
	assert_non_null(strstr(setting_where(&t.s, &t.s.v[OPT_WORKERS]), ", line 2"));
	arena_free(t.arena);

	t = try_settings(NO_WORDS, NO_ENV, NULL);
	assert_true(t.ok);
	assert_int_equal(settings_int(&t.s, OPT_WORKERS), 0); /* auto */
	assert_string_equal(setting_where(&t.s, &t.s.v[OPT_WORKERS]), "default");
	arena_free(t.arena);
}

static void test_empty_is_not_set(void **state)
{
	char empty[] = "DATABASE_URL=";
	struct try t = try_settings(NO_WORDS, ENV(empty), "DATABASE_URL=postgres://h/db\n");

	assert_true(t.ok);
	assert_string_equal(settings_text(&t.s, OPT_TARGET), "postgres://h/db");
	arena_free(t.arena);
}

static void test_second_names(void **state)
{
	char first[] = "DOCROW_SOURCE=dump/", second[] = "MONGODB_URI=mongodb://h";
	struct try t = try_settings(NO_WORDS, ENV(second), NULL);
	assert_string_equal(settings_text(&t.s, OPT_SOURCE), "mongodb://h");
	arena_free(t.arena);

	t = try_settings(NO_WORDS, ENV(second, first), NULL);
	assert_string_equal(settings_text(&t.s, OPT_SOURCE), "dump/");
	arena_free(t.arena);
}

static void test_forms(void **state)
{
	struct try t = try_settings(WORDS("-w4", "-qv", "--chunk-size=8MB", "-m", "x"), NO_ENV, NULL);

	assert_true(t.ok);
	assert_int_equal(settings_int(&t.s, OPT_WORKERS), 4);
	assert_true(settings_flag(&t.s, OPT_QUIET));
	assert_true(settings_flag(&t.s, OPT_VERBOSE));
	assert_int_equal(settings_int(&t.s, OPT_CHUNK_SIZE), 8 << 20);
	assert_string_equal(settings_text(&t.s, OPT_MAPPING), "x");
	arena_free(t.arena);
}

static void test_command_word(void **state)
{
	char *after_value[] = {(char *)"docrow", (char *)"--env-file", (char *)"x", (char *)"status"};
	char *only_options[] = {(char *)"docrow", (char *)"--version"};

	assert_int_equal(settings_command_word(4, after_value), 3);
	assert_int_equal(settings_command_word(2, only_options), 2);
}

static const struct {
	const char *word, *value, *message, *hint;
} refusals[] = {
	{"--worksers", "4", "there is no option --worksers", "did you mean --workers?"},
	{"--work", "4", "there is no option --work", "did you mean --workers?"},
	{"--resum", NULL, "there is no option --resum", "did you mean --resume?"},
	{"--xyzzy", NULL, "there is no option --xyzzy", "docrow help"},
	{"-Z", NULL, "there is no option -Z", "docrow help"},
	{"--resume=yes", NULL, "--resume takes no value", ""},
	{"--phases", NULL, "docrow migrate has no option --phases", "docrow mapping"},
	{"--workers", "many", "--workers: \"many\" is not a whole number", ""},
	{"--workers", "0", "--workers: \"0\" is not", ""},
	{"--workers", "-1", "--workers: \"-1\" is not", ""},
	{"--workers", "4.5", "--workers: \"4.5\" is not", ""},
	{"--workers", "99999999999999999999", "is not", ""},
	{"--chunk-size", "16 elephants", "is not a size", ""},
	{"--chunk-size", "1", "is not a size", ""},
	{"--lease", "1", "is not seconds", ""},
	{"--progress", "bar", "is not one of: auto plain json none", ""},
	{"--target", "mongodb://h", "--target is the address of a MongoDB server", "PostgreSQL"},
	{"--source", "postgres://h", "--source is the address of a PostgreSQL server", "MongoDB"},
};

static void test_refusals(void **state)
{
	for (size_t i = 0; i < sizeof(refusals) / sizeof(refusals[0]); i++) {
		const char *const words[] = {refusals[i].word, refusals[i].value, NULL};
		struct try t = try_settings(words, NO_ENV, NULL);
		assert_false(t.ok);
		assert_true(t.err.kind == ERR_KIND_USAGE || t.err.code == ERR_SOURCE_URI ||
			    t.err.code == ERR_TARGET_URI);
		if (!strstr(t.err.message, refusals[i].message) || !strstr(t.err.hint, refusals[i].hint))
			fail_msg("%s: \"%s\", \"%s\"", refusals[i].word, t.err.message, t.err.hint);
		arena_free(t.arena);
	}
}

static void test_env_file_errors(void **state)
{
	struct try t = try_settings(NO_WORDS, NO_ENV, "A=1\nDOCROW_WORKERS=many\n");
	assert_false(t.ok);
	assert_non_null(strstr(t.err.message, ", line 2: \"many\" is not"));
	arena_free(t.arena);

	t = try_settings(NO_WORDS, NO_ENV, "words that are no setting\nX='open\n"); /* somebody else's */
	assert_true(t.ok);
	arena_free(t.arena);

	t = try_settings(NO_WORDS, NO_ENV, "DATABASE_URL='open\n");
	assert_false(t.ok);
	assert_non_null(strstr(t.err.message, "DATABASE_URL: the quote is not closed"));
	arena_free(t.arena);

	char *argv[] = {(char *)"docrow", (char *)"migrate", (char *)"--env-file", (char *)"/nonexistent/env"};
	struct settings s;
	struct arena *a = arena_new();
	struct err err;
	settings_init(&s, a);
	assert_true(settings_args(&s, 4, argv, 1, CMD_MIGRATE, &err));
	assert_false(settings_complete(&s, NO_ENV, CMD_MIGRATE, false, &err));
	assert_int_equal(err.code, ERR_FILE);
	arena_free(a);
}

static void test_database_url_of_mongodb(void **state)
{
	char mongo[] = "DATABASE_URL=mongodb://u:p@h/db", other[] = "MONGODB_URI=mongodb://other",
	     target[] = "DOCROW_TARGET=postgres://h/db";
	struct try t = try_settings(NO_WORDS, ENV(mongo, target), NULL);
	assert_true(t.ok);
	assert_string_equal(settings_text(&t.s, OPT_SOURCE), "mongodb://u:p@h/db");
	assert_string_equal(settings_text(&t.s, OPT_TARGET), "postgres://h/db");
	arena_free(t.arena);

	t = try_settings(NO_WORDS, ENV(mongo), NULL);
	assert_true(t.ok);
	assert_string_equal(settings_text(&t.s, OPT_SOURCE), "mongodb://u:p@h/db");
	assert_null(settings_text(&t.s, OPT_TARGET));
	assert_int_equal(t.s.nnotes, 1);
	assert_non_null(strstr(t.s.notes[0], "taken as the source"));
	assert_null(strstr(t.s.notes[0], "u:p"));
	arena_free(t.arena);

	t = try_settings(NO_WORDS, ENV(mongo, other), NULL);
	assert_true(t.ok);
	assert_string_equal(settings_text(&t.s, OPT_SOURCE), "mongodb://other");
	assert_null(settings_text(&t.s, OPT_TARGET));
	arena_free(t.arena);
}

static void test_misspelt_names_are_told(void **state)
{
	char wrong[] = "DOCROW_WORKRES=3", fine[] = "DOCROW_MAPPINGS=x", far[] = "DOCROW_COMPLETELY_DIFFERENT=1";
	struct try t = try_settings(NO_WORDS, ENV(wrong, fine, far), NULL);

	assert_true(t.ok);
	assert_int_equal(t.s.nnotes, 1);
	assert_non_null(strstr(t.s.notes[0], "did you mean DOCROW_WORKERS?"));
	arena_free(t.arena);
}

static void test_resume_command(void **state)
{
	char in_env[] = "DOCROW_INDEX_JOBS=3";
	struct try t = try_settings(WORDS("--clean", "--workers", "4", "--source", "my dump/it's",
					  "--no-search-indexes", "--target", "postgres://u:secret@h/db"),
				    ENV(in_env), NULL);
	bool masked;

	assert_true(t.ok);
	assert_string_equal(settings_resume_command(&t.s, "./docrow", OPT_COUNT, &masked),
			    "./docrow migrate --resume --source 'my dump/it'\\''s' --target 'postgres://u:***@h/db' "
			    "--workers 4 --no-search-indexes --env-file ''");
	assert_true(masked);
	arena_free(t.arena);
}

static void test_values(void **state)
{
	static const struct {
		enum opt opt;
		const char *text;
		double number;
	} values[] = {{OPT_LEASE, "15", 15},
		      {OPT_LEASE, "30s", 30},
		      {OPT_LEASE, "2m", 120},
		      {OPT_LEASE, "1 h", 3600},
		      {OPT_CHUNK_SIZE, "65536", 65536},
		      {OPT_CHUNK_SIZE, "1.5MB", 1572864},
		      {OPT_CHUNK_SIZE, "64k", 65536},
		      {OPT_CHUNK_SIZE, "1GiB", 1073741824},
		      {OPT_PROGRESS, "json", 2},
		      {OPT_QUIET, "yes", 1},
		      {OPT_QUIET, "0", 0},
		      {OPT_WORKERS, "auto", 0},
		      {OPT_WORKERS, "256", 256}};
	double number;
	char expected[160];

	for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
		assert_true(option_parse(values[i].opt, values[i].text, &number, expected));
		assert_true(number == values[i].number);
	}
	assert_false(option_parse(OPT_QUIET, "perhaps", &number, expected));
}

static int make_file(void **state)
{
	int fd = mkstemp(env_path);

	return fd < 0 ? -1 : close(fd);
}

static int remove_file(void **state)
{
	return unlink(env_path);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_table),
		cmocka_unit_test(test_who_wins),
		cmocka_unit_test(test_empty_is_not_set),
		cmocka_unit_test(test_second_names),
		cmocka_unit_test(test_forms),
		cmocka_unit_test(test_command_word),
		cmocka_unit_test(test_refusals),
		cmocka_unit_test(test_env_file_errors),
		cmocka_unit_test(test_database_url_of_mongodb),
		cmocka_unit_test(test_misspelt_names_are_told),
		cmocka_unit_test(test_resume_command),
		cmocka_unit_test(test_values),
	};
	return cmocka_run_group_tests(tests, make_file, remove_file);
}

/* Wrong mappings: each tests/data/mapping-errors/X.yaml gives exactly the lines of X.expected.
 *
 * With DOCROW_REWRITE=1 the expected files are written anew (to be read before they are committed).
 */
#include <dirent.h>

#include "mapping_test.h"

#define FOLDER "tests/data/mapping-errors"

static void check_case(const char *name)
{
	char yaml[600], expected[600], shown[600];
	struct buf text, want, report;
	struct err err;
	struct mapping *m = NULL;
	snprintf(yaml, sizeof yaml, FOLDER "/%s.yaml", name);
	snprintf(expected, sizeof expected, FOLDER "/%s.expected", name);
	snprintf(shown, sizeof shown, "%s.yaml", name);
	read_source(yaml, &text);
	buf_init(&report, 0);
	assert_false(mapping_parse(&m, shown, (const char *)text.data, text.len, &report, &err));
	assert_int_equal(err.code, ERR_MAPPING);
	if (getenv("DOCROW_REWRITE") != NULL)
		assert_true(file_write_atomic(source_path(expected), report.data, report.len, &err));
	read_source(expected, &want);
	assert_string_equal(buf_cstr(&report), buf_cstr(&want));
	buf_free(&text);
	buf_free(&want);
	buf_free(&report);
}

static void every_wrong_mapping_tells_all_its_errors(void **state)
{
	int n = 0;
	DIR *d = opendir(source_path(FOLDER));
	assert_non_null(d);
	for (struct dirent *e = readdir(d); e != NULL; e = readdir(d)) {
		char name[256];
		size_t len = strlen(e->d_name);
		if (len < 6 || strcmp(e->d_name + len - 5, ".yaml") != 0)
			continue;
		snprintf(name, sizeof name, "%.*s", (int)(len - 5), e->d_name);
		check_case(name);
		n++;
	}
	closedir(d);
	assert_true(n > 30);
}

static void err_counts_and_begins(void **state)
{
	static const char text[] = "docrow: 1\na: 1\nb: 1\nc: 1\nd: 1\ncollections: []\n";
	struct mapping *m;
	struct err err;
	assert_false(mapping_parse(&m, "x.yaml", text, strlen(text), NULL, &err));
	assert_string_equal(err.message, "the mapping x.yaml has 5 errors");
	assert_string_equal(err.detail, "x.yaml:2:1: unknown key \"a\" in a mapping\n"
					"x.yaml:3:1: unknown key \"b\" in a mapping\n"
					"x.yaml:4:1: unknown key \"c\" in a mapping\nand 2 more");
}

/* However many there are, the report ends. */
static void a_flood_of_errors_is_cut(void **state)
{
	struct buf text, report;
	struct mapping *m;
	struct err err;
	buf_init(&text, 0);
	buf_init(&report, 0);
	buf_puts(&text, "docrow: 1\ncollections: []\n");
	for (int i = 0; i < 1000; i++)
		buf_printf(&text, "key%d: 1\n", i);
	assert_false(mapping_parse(&m, "x.yaml", (const char *)text.data, text.len, &report, &err));
	assert_string_equal(err.message, "the mapping x.yaml has 1001 errors");
	assert_non_null(strstr(buf_cstr(&report), "x.yaml: and 801 more\n"));
	buf_free(&text);
	buf_free(&report);
}

/* Any beginning of a good mapping is refused or read, never more. */
static void every_prefix_ends(void **state)
{
	struct buf text;
	read_source("mappings/nextcrm.yaml", &text);
	for (size_t n = 0; n < text.len; n += 997) {
		struct mapping *m = NULL;
		struct err err;
		if (mapping_parse(&m, "x.yaml", (const char *)text.data, n, NULL, &err))
			mapping_free(m);
		else
			assert_int_equal(err.code, ERR_MAPPING);
	}
	buf_free(&text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_wrong_mapping_tells_all_its_errors),
		cmocka_unit_test(err_counts_and_begins),
		cmocka_unit_test(a_flood_of_errors_is_cut),
		cmocka_unit_test(every_prefix_ends),
	};
	return cmocka_run_group_tests_name("mapping_errors", tests, NULL, NULL);
}

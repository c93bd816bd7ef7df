/* What docrow check says of a target: room on its disk, connections, what is not to be known. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "check_servers.h"

#define GIB ((uint64_t)1 << 30)

static const char *fact(const struct check_page *p, const char *label)
{
	for (size_t i = 0; i < p->nfacts; i++)
		if (strcmp(p->facts[i].label, label) == 0)
			return p->facts[i].text;
	return "";
}

static void test_room(void **state)
{
	static const struct {
		const char *folder;
		uint64_t free, bytes;
		size_t warnings;
	} cases[] = {
		{"/data", 10 * GIB, 5 * GIB, 0},
		{"/data", 10 * GIB, 6 * GIB, 1},
		{"/data", 0, 1, 1},
		{"/data", 0, 0, 0},
		{NULL, 0, 6 * GIB, 0},
	};
	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct check_target t = {.folder = cases[i].folder, .disk_free = cases[i].free};
		struct check_page p = {.arena = arena_new()};
		check_page_room(&p, &t, cases[i].bytes, "measured");
		assert_int_equal(p.by_severity[CHECK_WARNING], cases[i].warnings);
		assert_non_null(strstr(fact(&p, "disk"), "measured"));
		if (cases[i].warnings > 0)
			assert_non_null(strstr(p.findings[0].text, "/data"));
		arena_free(p.arena);
	}
}

static void test_connections(void **state)
{
	static const struct {
		int free, workers;
		const char *limited_by;
		size_t warnings;
	} cases[] = {{6, 4, NULL, 0}, {5, 4, NULL, 1}, {0, 1, "role joe", 1}, {3, 1, "role joe", 0}};
	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct check_target t = {.version = "15",
					 .encoding = "UTF8",
					 .collation = "C",
					 .ctype = "C",
					 .time_zone = "UTC",
					 .max_connections = 100,
					 .free = cases[i].free,
					 .limited_by = cases[i].limited_by,
					 .why_not = "the server is on another machine"};
		struct check_page p = {.arena = arena_new()};
		check_page_target(&p, &t, "public", cases[i].workers);
		assert_int_equal(p.by_severity[CHECK_WARNING], cases[i].warnings);
		assert_non_null(strstr(fact(&p, "disk"), "another machine"));
		if (cases[i].limited_by != NULL)
			assert_non_null(strstr(fact(&p, "connections"), cases[i].limited_by));
		arena_free(p.arena);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_room), cmocka_unit_test(test_connections)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

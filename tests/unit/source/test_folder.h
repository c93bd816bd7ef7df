/* test_folder.h - a temporary folder for each test, and files in it. */
#ifndef DOCROW_TEST_FOLDER_H
#define DOCROW_TEST_FOLDER_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static char root[128]; /* of the test that runs */

static inline int make_root(void **state)
{
	const char *tmp = getenv("TMPDIR");
	snprintf(root, sizeof(root), "%s/docrow-test-XXXXXX", tmp && *tmp ? tmp : "/tmp");
	return mkdtemp(root) ? 0 : -1;
}

static inline int remove_root(void **state)
{
	char command[256];
	snprintf(command, sizeof(command), "rm -rf '%s'", root);
	return system(command);
}

/* The path of a file in it; good until the fourth call after this one. */
static inline const char *at(const char *name)
{
	static char path[4][1024];
	static unsigned turn;
	char *p = path[turn++ % 4];
	snprintf(p, sizeof(path[0]), "%s/%s", root, name);
	return p;
}

static inline void write_file(const char *name, const void *data, size_t n)
{
	FILE *f = fopen(at(name), "wb");
	assert_non_null(f);
	if (n > 0)
		assert_int_equal(fwrite(data, 1, n, f), n);
	fclose(f);
}

#endif

/* mapping_test.h - what the tests of src/mapping share: files of the source tree, mappings from text. */
#ifndef DOCROW_MAPPING_TEST_H
#define DOCROW_MAPPING_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "plan.h"
#include "sys.h"

/* A path below the source tree; lent until the next call. */
static inline const char *source_path(const char *below)
{
	static char path[4096];
	const char *root = getenv("DOCROW_SOURCE_ROOT");
	snprintf(path, sizeof path, "%s/%s", root != NULL ? root : ".", below);
	return path;
}

static inline void read_source(const char *below, struct buf *out)
{
	struct err err;
	buf_init(out, 0);
	if (!file_read(source_path(below), 16u << 20, out, &err))
		fail_msg("%s: %s", err.message, err.detail);
}

static inline struct mapping *parse(const char *text)
{
	struct mapping *m = NULL;
	struct err err;
	struct buf report;
	buf_init(&report, 0);
	bool ok = mapping_parse(&m, "test.yaml", text, strlen(text), &report, &err);
	if (!ok)
		print_error("%s", buf_cstr(&report));
	buf_free(&report);
	assert_true(ok);
	return m;
}

static inline struct plan *compile(const struct mapping *m)
{
	struct plan *p = NULL;
	struct err err;
	assert_true(plan_build(&p, m, NULL, &err));
	return p;
}

#endif

/* fuzz_archive.c - an archive of any content: what its walk finds is what readers give, with its help and without. */
#include <stdio.h>
#include <stdlib.h>

#include "fuzz.h"
#include "source.h"
#include "sys.h"

struct ranges {
	struct buf bounds; /* length, bytes; length, bytes; … */
	size_t n;
	uint64_t docs;
};

static bool keep(void *ctx, const struct source_range *r, struct err *err)
{
	struct ranges *all = ctx;
	(void)err;
	buf_put(&all->bounds, &r->bounds_len, sizeof(r->bounds_len));
	buf_put(&all->bounds, r->bounds, r->bounds_len);
	all->n++;
	all->docs += r->est_docs;
	return true;
}

static void must(bool ok, const char *what, const struct err *err)
{
	if (ok)
		return;
	fprintf(stderr, "%s: %s: %s\n", what, err->message, err->detail);
	abort();
}

/* Every range of a collection whose check sum was right can be read, and together they are what was counted. */
static void read_ranges(struct source *s, const char *name, const struct ranges *all)
{
	struct source_reader *r;
	struct err err;
	const uint8_t *doc, *at = all->bounds.data;
	size_t len, bounds_len;
	uint64_t docs = 0;
	int got = 0;
	must(source_reader_open(&r, s, &err), "reader", &err);
	for (size_t i = 0; i < all->n; i++) {
		memcpy(&bounds_len, at, sizeof(bounds_len));
		at += sizeof(bounds_len);
		must(source_read(r, name, at, bounds_len, &err), "range", &err);
		at += bounds_len;
		while ((got = source_next(r, &doc, &len, &err)) == 1)
			docs++;
		must(got == 0, "document", &err);
	}
	source_reader_close(r);
	must(docs == all->docs, "count", &err);
}

static void look_at_collection(struct source *s, const char *path, const char *name, const char *database)
{
	struct ranges all = {0};
	struct source *fresh;
	struct err err;
	uint64_t n;
	buf_init(&all.bounds, 0);
	if (source_split(s, name, 3, 0, keep, &all, &err)) {
		must(source_count(s, name, &n, &err) && n == all.docs, "counted", &err);
		read_ranges(s, name, &all);
		must(source_open(&fresh, path, &(struct source_options){.database = database}, &err), "open", &err);
		read_ranges(fresh, name, &all);
		source_close(fresh);
	}
	buf_free(&all.bounds);
}

static void silent(enum log_level level, const char *line, void *ctx)
{
	(void)level, (void)line, (void)ctx;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *path = fuzz_file(data, size);
	struct arena *a = arena_new();
	struct source *s;
	struct source_collection *list;
	struct err err;
	size_t n;
	log_set_writer(silent, NULL);
	if (source_open(&s, path, &(struct source_options){.prefer = "shop"}, &err)) {
		must(source_collections(s, a, &list, &n, &err), "collections", &err);
		for (size_t i = 0; i < n && i < 20; i++)
			if (!list[i].skipped)
				look_at_collection(s, path, list[i].name, source_database(s));
		source_close(s);
	}
	arena_free(a);
	return 0;
}

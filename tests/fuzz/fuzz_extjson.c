/* fuzz_extjson.c - a JSON export of any content: what is read is well-formed BSON, comes back from what the writer
 * makes of it, and skipping finds the same documents. */
#include <stdio.h>
#include <stdlib.h>

#include "doc.h"
#include "dump.h"
#include "extjson.h"
#include "extjson_read.h"
#include "fuzz.h"

static void must(bool ok, const char *what)
{
	if (ok)
		return;
	fprintf(stderr, "%s\n", what);
	abort();
}

static bool no_more(struct extjson_input *in)
{
	(void)in;
	return false;
}

static void write_and_read(const uint8_t *doc, size_t len, struct buf *json, struct buf *back)
{
	static const struct extjson_opts opts = {EXTJSON_CANONICAL, EXTJSON_TEXT_REPLACE, EXTJSON_DUP_KEEP};
	struct val v = {.data = doc, .len = (uint32_t)len, .kind = BSON_K_DOCUMENT};
	const char *trouble;
	buf_reset(json);
	must(extjson_write(json, &v, &opts, NULL) == FAULT_OK, "not written");
	struct extjson_reader *r = extjson_reader_new();
	struct extjson_input in = {.p = json->data, .end = json->data + json->len, .more = no_more};
	bool ok = extjson_read(r, &in, back, &trouble);
	if (!ok)
		fprintf(stderr, "%s: %.*s\n", trouble, (int)json->len, (const char *)json->data);
	must(ok && in.p == in.end, "what was written is not read");
	extjson_reader_free(r);
}

static bool is_same(const struct buf *a, const struct buf *b)
{
	return a->len == b->len && memcmp(a->data, b->data, a->len) == 0;
}

/* The first time a NUL or a bad byte is replaced, which may make a wrapper of what was none, and every NaN becomes
 * the same; then nothing may change any more. */
static void look_at(const uint8_t *doc, size_t len)
{
	struct buf json[3], back[3];
	must(doc_is_wellformed(doc, len), "not well-formed");
	for (int i = 0; i < 3; i++) {
		buf_init(&json[i], 0);
		buf_init(&back[i], DUMP_MAX_DOCUMENT);
		write_and_read(i ? back[i - 1].data : doc, i ? back[i - 1].len : len, &json[i], &back[i]);
	}
	must(is_same(&json[1], &json[2]), "not the same text");
	must(is_same(&back[1], &back[2]), "not the same document");
	for (int i = 0; i < 3; i++) {
		buf_free(&json[i]);
		buf_free(&back[i]);
	}
}

static int walk(const struct dump_file *f, bool skip, uint64_t *docs, uint64_t *at)
{
	struct dump_stream *s;
	struct err err;
	const uint8_t *doc;
	size_t len;
	int got;
	if (!dump_stream_open(&s, f, &err))
		return -1;
	while ((got = skip ? dump_stream_skip(s, &len, &err) : dump_stream_next(s, &doc, &len, &err)) == 1)
		if (!skip)
			look_at(doc, len);
	*docs = dump_stream_docs(s);
	*at = dump_stream_at(s);
	dump_stream_close(s);
	return got;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct dump_file f = {.name = "fuzz", .framing = &dump_json};
	uint64_t docs[2] = {0}, at[2] = {0};
	f.file.path = f.file.name = fuzz_file(data, size);
	if (walk(&f, false, &docs[0], &at[0]) == 0)
		must(walk(&f, true, &docs[1], &at[1]) == 0 && docs[0] == docs[1] && at[0] == at[1],
		     "skipped otherwise");
	return 0;
}

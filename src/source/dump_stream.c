/* dump_stream.c - the documents of one collection, one after the other; and the framing of a .bson file, where they
 * simply follow each other.
 *
 * Every document that stands whole before a damaged place is given before the damage is told.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "dump.h"

#define MIN_LENGTH 5

/* ---- errors ---- */

bool dump_damaged(const struct dump_stream *s, uint64_t at, struct err *err, const char *message, const char *fmt,
		  ...)
{
	char facts[512];
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(facts, sizeof(facts), fmt, ap);
	va_end(ap);
	err_set(err, ERR_SOURCE_CORRUPT, "the file %s %s", s->file->file.name, message);
	err_detail(err, "after %" PRIu64 " whole documents, at byte %" PRIu64 "%s: %s", s->docs, at,
		   dump_stream_format(s) == CONTENT_PLAIN ? "" : " of the uncompressed content", facts);
	return err_hint(err, "make it again, or copy it anew if that was cut short");
}

bool dump_need(struct dump_stream *s, size_t n, struct err *err)
{
	struct err below;
	if (window_need(&s->w, n, &below))
		return true;
	*err = below;
	if (below.code == ERR_SOURCE_CORRUPT)
		err_detail(err,
			   "after %" PRIu64 " whole documents, at byte %" PRIu64 " of the uncompressed content: %s",
			   s->docs, s->w.at, below.detail);
	return false;
}

/* ---- .bson ---- */

static uint32_t le32(const uint8_t *p)
{
	return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static const struct {
	uint32_t mark, mask;
	const char *name;
} foreign[] = {
	{0x8199e26d, 0xffffffff, "a mongodump archive: give its path as the source"},
	{0x587a37fd, 0xffffffff, "compressed with xz: uncompress it first"},
	{0x00685a42, 0x00ffffff, "compressed with bzip2: uncompress it first"},
	{0x184d2204, 0xffffffff, "compressed with lz4: uncompress it first"},
	{0x04034b50, 0xffffffff, "a zip file: unpack it first"},
};

static void hint_foreign(const struct dump_stream *s, uint32_t mark, struct err *err)
{
	for (size_t i = 0; s->at == 0 && i < sizeof(foreign) / sizeof(foreign[0]); i++)
		if ((mark & foreign[i].mask) == foreign[i].mark)
			err_hint(err, "it looks like %s", foreign[i].name);
}

int dump_bson_length(struct dump_stream *s, uint32_t allowed, uint32_t *len, struct err *err)
{
	if (!dump_need(s, 4, err))
		return -1;
	size_t have = window_have(&s->w);
	if (have == 0)
		return 0;
	if (have < 4) {
		dump_damaged(s, s->at, err, "is cut short", "%zu bytes are left where a document begins", have);
		return -1;
	}
	*len = le32(window_data(&s->w));
	if ((*len >= MIN_LENGTH && *len <= DUMP_MAX_DOCUMENT) || (allowed && *len == allowed))
		return 1;
	dump_damaged(s, s->at, err, "is damaged", "the length there is %" PRId32 ", which no document has",
		     (int32_t)*len);
	hint_foreign(s, *len, err);
	return -1;
}

static int cut_short(struct dump_stream *s, uint32_t len, uint64_t have, struct err *err)
{
	dump_damaged(s, s->at, err, "is cut short", "the document there has %" PRIu32 " bytes, %" PRIu64 " are left",
		     len, have);
	return -1;
}

int dump_bson_take(struct dump_stream *s, uint32_t n, const uint8_t **doc, struct err *err)
{
	if (!dump_need(s, n, err))
		return -1;
	if (window_have(&s->w) < n)
		return cut_short(s, n, window_have(&s->w), err);
	*doc = window_data(&s->w);
	if ((*doc)[n - 1] != 0) {
		dump_damaged(s, s->at, err, "is damaged",
			     "the document there does not end with a zero byte after its %" PRIu32 " bytes", n);
		return -1;
	}
	window_drop(&s->w, n);
	s->at = s->w.at;
	return 1;
}

int dump_bson_pass(struct dump_stream *s, uint32_t n, struct err *err)
{
	uint64_t left;
	const uint8_t *doc;
	if (dump_stream_format(s) != CONTENT_PLAIN)
		return dump_bson_take(s, n, &doc, err);
	if (!window_skip(&s->w, n, &left, err))
		return -1;
	if (left > 0)
		return cut_short(s, n, n - left, err);
	s->at = s->w.at;
	return 1;
}

static int bson_next(struct dump_stream *s, const uint8_t **doc, size_t *len, struct err *err)
{
	uint32_t n = 0;
	int got = dump_bson_length(s, 0, &n, err);
	*len = n;
	return got == 1 ? dump_bson_take(s, n, doc, err) : got;
}

static int bson_skip(struct dump_stream *s, size_t *len, struct err *err)
{
	uint32_t n = 0;
	int got = dump_bson_length(s, 0, &n, err);
	*len = n;
	return got == 1 ? dump_bson_pass(s, n, err) : got;
}

static bool bson_seek(struct dump_stream *s, uint64_t at, struct err *err)
{
	s->at = at;
	return window_seek(&s->w, at, err);
}

const struct dump_framing dump_bson = {.seek = bson_seek, .next = bson_next, .skip = bson_skip};

/* ---- any framing ---- */

int dump_stream_next(struct dump_stream *s, const uint8_t **doc, size_t *len, struct err *err)
{
	int got = s->file->framing->next(s, doc, len, err);
	s->docs += got == 1;
	return got;
}

int dump_stream_skip(struct dump_stream *s, size_t *len, struct err *err)
{
	int got = s->file->framing->skip(s, len, err);
	s->docs += got == 1;
	if (got != 1)
		*len = 0;
	return got;
}

bool dump_stream_seek(struct dump_stream *s, uint64_t at, uint64_t docs, struct err *err)
{
	bool is_there = s->at == at && s->w.at == at; /* not a terminator or a comma further */
	if (!is_there && !s->file->framing->seek(s, at, err))
		return false;
	s->docs = docs;
	return true;
}

bool dump_stream_open(struct dump_stream **out, const struct dump_file *f, struct err *err)
{
	struct dump_stream *s = mem_zalloc(sizeof(*s));
	s->file = f;
	if (!window_open(&s->w, &f->file, err)) {
		free(s);
		return false;
	}
	if (f->framing->open && !f->framing->open(s, err)) {
		dump_stream_close(s);
		return false;
	}
	*out = s;
	return true;
}

void dump_stream_close(struct dump_stream *s)
{
	if (!s)
		return;
	if (s->file->framing->close)
		s->file->framing->close(s);
	window_close(&s->w);
	free(s);
}

enum content_format dump_stream_format(const struct dump_stream *s)
{
	return content_format(s->w.content);
}

bool dump_stream_ended(struct dump_stream *s)
{
	return window_ended(&s->w);
}

bool dump_read_file(const char *path, size_t max, struct buf *out, struct err *err)
{
	struct window w;
	if (!window_open(&w, &(struct content_file){.path = path, .name = path}, err))
		return false;
	bool ok = window_need(&w, max + 1, err);
	if (ok && window_have(&w) > max)
		ok = err_set(err, ERR_SOURCE_READ, "the file %s is larger than it can be", path);
	if (ok)
		buf_put(out, window_data(&w), window_have(&w));
	window_close(&w);
	return ok;
}

/* ---- estimates ---- */

#define ESTIMATE_DOCS  200
#define ESTIMATE_BYTES (4u << 20)

void dump_estimate(const struct dump_file *f, uint64_t *docs, uint64_t *bytes)
{
	struct err err;
	struct dump_stream *s;
	size_t len;
	int got = 1;
	*docs = *bytes = 0;
	if (!dump_stream_open(&s, f, &err))
		return;
	*bytes = content_guess_size(s->w.content);
	while (got == 1 && s->docs < ESTIMATE_DOCS && s->at < ESTIMATE_BYTES)
		got = dump_stream_skip(s, &len, &err);
	if (got == 0) {
		*docs = s->docs;
		*bytes = s->at;
	} else if (s->docs > 0 && s->at > 0) {
		*docs = *bytes / (s->at / s->docs);
	}
	dump_stream_close(s);
}

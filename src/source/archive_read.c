/* archive_read.c - the documents of one collection of an archive.
 *
 * Other collections' blocks are jumped over where a walk has remembered the places, else passed over by their
 * lengths. A place to begin is 0 (the beginning), or one inside a block of the collection.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "archive.h"
#include "doc.h"
#include "sys.h"

#define TERMINATOR UINT32_C(0xffffffff)
#define MAX_HEADER (1u << 20)
#define STOP_EVERY 4096

/* ---- blocks ---- */

static bool find_text(const uint8_t *doc, size_t len, const char *key, const char **out)
{
	struct val v;
	size_t n;
	if (!doc_find(doc, len, key, &v) || v.kind != BSON_K_STRING)
		return false;
	*out = val_text(&v, &n);
	return strlen(*out) == n;
}

static bool parse_header(const uint8_t *doc, size_t len, struct archive_header *h)
{
	struct val v;
	*h = (struct archive_header){0};
	if (!find_text(doc, len, "db", &h->database) || !find_text(doc, len, "collection", &h->collection))
		return false;
	if (doc_find(doc, len, "EOF", &v) && v.kind == BSON_K_BOOL)
		h->is_end = val_bool(&v);
	if (doc_find(doc, len, "CRC", &v) && v.kind == BSON_K_INT64) {
		h->has_crc = true;
		h->crc = (uint64_t)val_i64(&v);
	}
	return true;
}

int archive_next_block(struct dump_stream *s, struct archive_header *h, struct err *err)
{
	uint32_t n;
	const uint8_t *doc;
	s->at = s->w.at;
	uint64_t at = s->at;
	int got = dump_bson_length(s, TERMINATOR, &n, err);
	if (got <= 0)
		return got;
	if (n == TERMINATOR || n > MAX_HEADER) {
		dump_damaged(s, at, err, "is damaged", "%s where the header of a block is due",
			     n == TERMINATOR ? "a terminator stands" : "a document of more than 1 MB stands");
		return -1;
	}
	if (dump_bson_take(s, n, &doc, err) != 1)
		return -1;
	if (parse_header(doc, n, h))
		return 1;
	dump_damaged(s, at, err, "is damaged", "the document there is not the header of a block");
	return -1;
}

int archive_next_length(struct dump_stream *s, uint32_t *len, struct err *err)
{
	s->at = s->w.at;
	int got = dump_bson_length(s, TERMINATOR, len, err);
	if (got == 1 && *len == TERMINATOR) {
		window_drop(&s->w, 4);
		return 0;
	}
	if (got == 0) {
		dump_damaged(s, s->at, err, "is cut short", "it ends inside a block");
		return -1;
	}
	return got;
}

bool archive_pass_block(struct dump_stream *s, struct err *err)
{
	uint32_t n;
	int got;
	for (unsigned i = 1; (got = archive_next_length(s, &n, err)) == 1; i++) {
		if (i % STOP_EVERY == 0 && stop_requested())
			return err_set(err, ERR_STOPPED, "stopped while reading %s", s->file->file.name);
		if (dump_bson_pass(s, n, err) != 1)
			return false;
	}
	return got == 0;
}

/* ---- one collection ---- */

struct place {
	bool inside, ended;
};

static void close_place(struct dump_stream *s)
{
	free(s->state);
}

static const struct archive_found *found_of(const struct archive_part *part)
{
	const struct archive_walk *walk = atomic_load(&part->archive->walk);
	const struct archive_found *f = walk ? &walk->found[part->index] : NULL;
	return f && !f->too_many ? f : NULL;
}

static bool seek(struct dump_stream *s, uint64_t at, struct err *err)
{
	const struct archive_part *part = s->file->part;
	struct place *p = s->state;
	uint64_t body = part->archive->body;
	p->inside = at > body;
	p->ended = false;
	s->at = at > body ? at : body;
	return window_seek(&s->w, s->at, err);
}

static bool open_place(struct dump_stream *s, struct err *err)
{
	s->state = mem_zalloc(sizeof(struct place));
	return seek(s, 0, err);
}

/* Into the next remembered block; 0: there is none. */
static int jump(struct dump_stream *s, const struct archive_found *f, struct err *err)
{
	size_t low = 0, high = f->nblocks;
	while (low < high) {
		size_t middle = low + (high - low) / 2;
		if (f->blocks[middle] <= s->w.at)
			low = middle + 1;
		else
			high = middle;
	}
	if (low == f->nblocks)
		return 0;
	return window_seek(&s->w, f->blocks[low], err) ? 1 : -1;
}

static bool is_of(const struct archive_part *part, const struct archive_header *h)
{
	return strcmp(h->database, part->archive->database) == 0 && strcmp(h->collection, part->name) == 0;
}

static int look_for_block(struct dump_stream *s, const struct archive_part *part, struct err *err)
{
	struct archive_header h;
	int got;
	while ((got = archive_next_block(s, &h, err)) == 1) {
		bool ours = is_of(part, &h);
		if (ours)
			return !h.is_end;
		if (!archive_pass_block(s, err))
			return -1;
	}
	if (got == 0) {
		dump_damaged(s, s->w.at, err, "is cut short", "it ends before the collection %s does", part->name);
		return -1;
	}
	return got;
}

static int next_of_ours(struct dump_stream *s, uint32_t *len, struct err *err)
{
	const struct archive_part *part = s->file->part;
	struct place *p = s->state;
	int got = 0;
	while (!p->ended) {
		if (p->inside && (got = archive_next_length(s, len, err)) != 0)
			return got;
		const struct archive_found *f = found_of(part);
		got = f ? jump(s, f, err) : look_for_block(s, part, err);
		if (got < 0)
			return got;
		p->inside = got == 1;
		p->ended = got == 0;
	}
	return 0;
}

static int next(struct dump_stream *s, const uint8_t **doc, size_t *len, struct err *err)
{
	uint32_t n = 0;
	int got = next_of_ours(s, &n, err);
	*len = n;
	return got == 1 ? dump_bson_take(s, n, doc, err) : got;
}

static int skip(struct dump_stream *s, size_t *len, struct err *err)
{
	uint32_t n = 0;
	int got = next_of_ours(s, &n, err);
	*len = n;
	return got == 1 ? dump_bson_pass(s, n, err) : got;
}

const struct dump_framing archive_framing = {
	.open = open_place, .close = close_place, .seek = seek, .next = next, .skip = skip};

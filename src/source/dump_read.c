/* dump_read.c - a reader of a dump: one range of a file, or the documents with given ids.
 *
 * A compressed file is decompressed from its start. So a reader keeps its stream when a range ends, and streams that
 * a reader no longer needs are parked with the source: whoever reads a range further on in that file goes on with the
 * nearest of them.
 */
#include <bson/bson.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "canon.h"
#include "doc.h"
#include "dump.h"
#include "sys.h"

struct id_set {           /* open addressing; slots hold offset + 1 into `bytes`, 0: free */
	struct buf bytes; /* length, canonical bytes                            */
	struct buf one;   /* those of the id in hand                            */
	uint64_t *slots;
	size_t mask;
};

struct dump_reader {
	struct source_reader base; /* first: ops reach it by cast                              */
	const struct dump_file *file;
	struct dump_stream *stream; /* of `file`; NULL: none open                               */
	uint64_t to;                /* where the range ends                                     */
	bool reading, by_id;
	struct id_set ids;
	atomic_bool interrupted;
};

static struct dump_reader *reader_of(struct source_reader *r)
{
	return (struct dump_reader *)r;
}

/* ---- a set of ids ---- */

/* Equal as MongoDB holds them equal: by their canonical bytes. */

static void id_set_free(struct id_set *set)
{
	buf_free(&set->bytes);
	buf_free(&set->one);
	free(set->slots);
	set->slots = NULL;
	set->mask = 0;
}

static bool id_equal(const struct id_set *set, uint64_t slot)
{
	const uint8_t *entry = set->bytes.data + slot - 1;
	uint32_t len;
	memcpy(&len, entry, 4);
	return len == set->one.len && memcmp(entry + 4, set->one.data, len) == 0;
}

/* The slot of an id, whose canonical bytes are in set->one then. */
static size_t id_slot(struct id_set *set, const struct val *id)
{
	buf_reset(&set->one);
	if (!canon_write(&set->one, id))
		buf_put(&set->one, id->data, id->len);
	size_t i = (size_t)hash64(set->one.data, set->one.len) & set->mask;
	while (set->slots[i] != 0 && !id_equal(set, set->slots[i]))
		i = (i + 1) & set->mask;
	return i;
}

static void id_set_init(struct id_set *set, size_t n)
{
	size_t size = 16;
	while (size < n * 2)
		size *= 2;
	set->slots = mem_zalloc(size * sizeof(*set->slots));
	set->mask = size - 1;
}

static void id_set_add(struct id_set *set, const struct val *id)
{
	size_t i = id_slot(set, id);
	if (set->slots[i] != 0)
		return;
	set->slots[i] = set->bytes.len + 1;
	uint32_t len = (uint32_t)set->one.len;
	buf_put(&set->bytes, &len, 4);
	buf_put(&set->bytes, set->one.data, len);
}

static bool id_set_has(struct id_set *set, const uint8_t *doc, size_t len)
{
	struct val id;
	return doc_find(doc, len, "_id", &id) && set->slots[id_slot(set, &id)] != 0;
}

/* ---- open and close ---- */

bool dump_reader_open(struct source_reader **out, struct source *s, struct err *err)
{
	(void)err;
	struct dump_reader *r = mem_zalloc(sizeof(*r));
	r->base.ops = s->ops;
	r->base.source = s;
	buf_init(&r->ids.bytes, 0);
	buf_init(&r->ids.one, 0);
	*out = &r->base;
	return true;
}

/* A plain file is opened anew at no cost; a decompressor is worth keeping. */
static void put_away(struct dump_reader *r)
{
	if (r->stream && dump_stream_format(r->stream) != CONTENT_PLAIN && !dump_stream_ended(r->stream))
		dump_park(dump_of(r->base.source), r->file, r->stream);
	else
		dump_stream_close(r->stream);
	r->stream = NULL;
}

/* After an error its place in the file is not to be trusted. */
static void throw_away(struct dump_reader *r)
{
	dump_stream_close(r->stream);
	r->stream = NULL;
}

static void drop_range(struct dump_reader *r)
{
	r->reading = r->by_id = false;
	id_set_free(&r->ids);
	buf_init(&r->ids.bytes, 0);
	buf_init(&r->ids.one, 0);
}

void dump_reader_close(struct source_reader *base)
{
	struct dump_reader *r = reader_of(base);
	drop_range(r);
	put_away(r);
	free(r);
}

/* ---- source_read, source_read_ids ---- */

static bool open_at(struct dump_reader *r, const struct dump_file *f, uint64_t at, uint64_t docs, struct err *err)
{
	bool plain = r->stream && dump_stream_format(r->stream) == CONTENT_PLAIN;
	if (r->file != f || !plain)
		put_away(r);
	r->file = f;
	if (!r->stream)
		r->stream = dump_unpark(dump_of(r->base.source), f, at);
	if (!r->stream && !dump_stream_open(&r->stream, f, err))
		return false;
	if (dump_stream_seek(r->stream, at, docs, err))
		return true;
	throw_away(r);
	return false;
}

static bool find_offset(const bson_t *bounds, const char *key, uint64_t *out)
{
	bson_iter_t it;
	if (!bson_iter_init_find(&it, bounds, key) || !BSON_ITER_HOLDS_INT64(&it) || bson_iter_int64(&it) < 0)
		return false;
	*out = (uint64_t)bson_iter_int64(&it);
	return true;
}

bool dump_read(struct source_reader *base, const char *collection, const uint8_t *data, size_t len, struct err *err)
{
	struct dump_reader *r = reader_of(base);
	bson_t bounds;
	uint64_t from, docs;
	drop_range(r);
	if (!bson_init_static(&bounds, data, len) || !find_offset(&bounds, "from", &from) ||
	    !find_offset(&bounds, "to", &r->to) || !find_offset(&bounds, "docs", &docs))
		return err_set(err, ERR_INTERNAL, "the bounds of a range of %s are malformed", collection);
	const struct dump_file *f = dump_layout_file(&dump_of(base->source)->layout, collection, err);
	r->reading = f && open_at(r, f, from, docs, err);
	return r->reading;
}

bool dump_read_ids(struct source_reader *base, const char *collection, const uint8_t *const *ids, const size_t *lens,
		   size_t n, struct err *err)
{
	struct dump_reader *r = reader_of(base);
	struct val id;
	drop_range(r);
	const struct dump_file *f = dump_layout_file(&dump_of(base->source)->layout, collection, err);
	if (!f || !open_at(r, f, 0, 0, err))
		return false;
	id_set_init(&r->ids, n);
	for (size_t i = 0; i < n; i++) {
		if (!doc_find(ids[i], lens[i], "_id", &id))
			return err_set(err, ERR_INTERNAL, "an id to read from %s is malformed", collection);
		id_set_add(&r->ids, &id);
	}
	r->to = UINT64_MAX;
	r->reading = r->by_id = true;
	return true;
}

/* ---- source_next ---- */

static int overran(struct dump_reader *r, struct err *err)
{
	err_set(err, ERR_SOURCE_CHANGED, "the file %s is not the one that was cut into ranges", r->file->file.name);
	err_detail(err, "a range ends at byte %" PRIu64 ", a document at %" PRIu64, r->to, dump_stream_at(r->stream));
	return -1;
}

static int next_document(struct dump_reader *r, const uint8_t **doc, size_t *len, struct err *err)
{
	if (dump_stream_at(r->stream) == r->to)
		return 0;
	int got = dump_stream_next(r->stream, doc, len, err);
	if (got >= 0 && r->to != UINT64_MAX && (got == 0 || dump_stream_at(r->stream) > r->to))
		got = overran(r, err);
	if (got < 0) {
		throw_away(r);
	} else if (r->stream->note) {
		source_add_note(r->base.source, r->stream->note, true);
		r->stream->note = NULL;
	}
	return got;
}

int dump_next(struct source_reader *base, const uint8_t **doc, size_t *len, struct err *err)
{
	struct dump_reader *r = reader_of(base);
	int got = 0;
	while (r->reading) {
		if (atomic_load_explicit(&r->interrupted, memory_order_relaxed)) {
			err_set(err, ERR_STOPPED, "reading %s was interrupted", r->file->name);
			return -1;
		}
		got = next_document(r, doc, len, err);
		if (got <= 0)
			r->reading = false;
		else if (!r->by_id || id_set_has(&r->ids, *doc, *len))
			break;
	}
	return r->reading ? 1 : got;
}

void dump_interrupt(struct source_reader *base)
{
	atomic_store(&reader_of(base)->interrupted, true);
}

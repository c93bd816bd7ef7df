/* source_dump.c - files as a source: table of functions, open and close, collections, identity, count, split. No
 * MongoDB is needed.
 *
 * Bounds of a range: {from, to, docs}: offsets in the uncompressed content and the number of documents before. The
 * borders follow from documents and sizes alone, so they are the same however the file is compressed, but for one
 * thing: a compressed file can only be read from its start, so a small one is one range.
 */
#include <bson/bson.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "dump.h"
#include "sys.h"
#include "text.h"

#define ONE_RANGE_BYTES (64u << 20)
#define STOP_EVERY      4096

/* ---- source_collections ---- */

static bool collections(struct source *base, struct arena *a, struct source_collection **out, size_t *n,
			struct err *err)
{
	(void)err;
	const struct dump_layout *l = &dump_of(base)->layout;
	*out = arena_alloc(a, (l->n + 1) * sizeof(**out));
	*n = l->n;
	for (size_t i = 0; i < l->n; i++) {
		const struct dump_file *f = &l->files[i];
		struct source_collection *c = &(*out)[i];
		*c = (struct source_collection){
			.name = arena_strdup(a, f->name), .kind = f->kind, .skipped = f->skipped};
		memcpy(c->uuid, f->uuid, 16);
		if (f->file.path)
			(l->estimate ? l->estimate : dump_estimate)(f, &c->est_docs, &c->est_bytes);
	}
	return true;
}

static bool indexes(struct source *base, const char *collection, struct arena *a, struct source_index **out,
		    size_t *n, bool *known, struct err *err)
{
	const struct dump_file *f = dump_layout_entry(&dump_of(base)->layout, collection, err);
	if (!f)
		return false;
	*known = f->has_indexes;
	*n = f->nindexes;
	*out = arena_alloc(a, (f->nindexes + 1) * sizeof(**out));
	for (size_t i = 0; i < f->nindexes; i++)
		(*out)[i] = (struct source_index){arena_memdup(a, f->indexes[i].doc, f->indexes[i].len),
						  f->indexes[i].len};
	return true;
}

/* ---- identity ---- */

static bool collection_identity(struct source *base, const char *collection, struct buf *out, struct err *err)
{
	const struct dump_layout *l = &dump_of(base)->layout;
	const struct dump_file *f = dump_layout_file(l, collection, err);
	if (f && l->identity)
		buf_puts(out, l->identity);
	return f && (l->identity || content_identity(&f->file, out, err));
}

/* ---- split and count ---- */

static void keep_border(struct borders *all, const struct border *b)
{
	if (all->n == all->cap) {
		all->cap = all->cap ? all->cap * 2 : 16;
		all->items = mem_realloc(all->items, all->cap * sizeof(*all->items));
	}
	all->items[all->n++] = *b;
}

/* Does a range that began at the last border end before the document at b? */
static bool is_full(const struct borders *all, const struct border *b)
{
	const struct border *last = &all->items[all->n - 1];
	if (all->chunk_docs)
		return b->docs - last->docs >= all->chunk_docs;
	return b->bytes > last->bytes && b->bytes - last->bytes >= all->chunk_bytes;
}

void borders_document(struct borders *all, const struct border *b)
{
	if (all->n == 0 || (b->docs > 0 && is_full(all, b)))
		keep_border(all, b);
}

static struct border here(const struct dump_stream *s)
{
	uint64_t at = dump_stream_at(s);
	return (struct border){.at = at, .docs = dump_stream_docs(s), .bytes = at};
}

/* Walks the whole file; borders NULL: only counts. The end is left in *end. */
static bool walk(struct dump_stream *s, struct borders *b, struct border *end, struct err *err)
{
	size_t len;
	int got = 1;
	while (got == 1) {
		struct border at = here(s);
		if (at.docs % STOP_EVERY == 0 && stop_requested())
			return err_set(err, ERR_STOPPED, "stopped while walking a dump file");
		got = dump_stream_skip(s, &len, err);
		if (got >= 0 && b && (got == 1 || b->n == 0))
			borders_document(b, &at);
	}
	*end = here(s);
	return got == 0;
}

static bool walk_file(const struct dump_file *f, struct borders *b, struct border *end, enum content_format *format,
		      struct err *err)
{
	struct dump_stream *s;
	if (!dump_stream_open(&s, f, err))
		return false;
	bool ok = walk(s, b, end, err);
	*format = dump_stream_format(s);
	dump_stream_close(s);
	return ok;
}

static bool give_range(const struct border *from, const struct border *to, source_add_range *add, void *ctx,
		       struct err *err)
{
	bson_t bounds = BSON_INITIALIZER;
	BSON_APPEND_INT64(&bounds, "from", (int64_t)from->at);
	BSON_APPEND_INT64(&bounds, "to", (int64_t)to->at);
	BSON_APPEND_INT64(&bounds, "docs", (int64_t)from->docs);
	struct source_range range = {.bounds = bson_get_data(&bounds),
				     .bounds_len = bounds.len,
				     .est_docs = to->docs - from->docs,
				     .est_bytes = to->bytes - from->bytes};
	bool ok = add(ctx, &range, err);
	bson_destroy(&bounds);
	return ok;
}

static bool give_ranges(const struct borders *b, const struct border *end, source_add_range *add, void *ctx,
			struct err *err)
{
	bool ok = true;
	for (size_t i = 0; ok && i < b->n; i++)
		ok = give_range(&b->items[i], i + 1 < b->n ? &b->items[i + 1] : end, add, ctx, err);
	return ok;
}

/* A file of its own that is compressed and small is one range: only its start can be entered. */
static bool find_borders(const struct dump_layout *l, const struct dump_file *f, struct borders *b,
			 struct border *end, struct err *err)
{
	enum content_format format;
	if (l->borders)
		return l->borders(f, b, end, err);
	if (!walk_file(f, b, end, &format, err))
		return false;
	if (format != CONTENT_PLAIN && !b->chunk_docs && end->at <= ONE_RANGE_BYTES)
		b->n = 1;
	return true;
}

static bool split(struct source *base, const char *collection, uint64_t chunk_docs, uint64_t chunk_bytes,
		  source_add_range *add, void *ctx, struct err *err)
{
	struct borders b = {.chunk_docs = chunk_docs, .chunk_bytes = chunk_bytes};
	struct border end;
	const struct dump_layout *l = &dump_of(base)->layout;
	const struct dump_file *f = dump_layout_file(l, collection, err);
	bool ok = f && find_borders(l, f, &b, &end, err) && give_ranges(&b, &end, add, ctx, err);
	free(b.items);
	return ok;
}

static bool count(struct source *base, const char *collection, uint64_t *n, struct err *err)
{
	struct border end = {0};
	enum content_format format;
	const struct dump_layout *l = &dump_of(base)->layout;
	const struct dump_file *f = dump_layout_file(l, collection, err);
	bool ok = f && (l->borders ? l->borders(f, NULL, &end, err) : walk_file(f, NULL, &end, &format, err));
	*n = end.docs;
	return ok;
}

/* ---- parked streams ---- */

static struct dump_stream *remove_parked(struct source_dump *s, size_t i)
{
	struct dump_stream *stream = s->parked[i].stream;
	s->n_parked--;
	memmove(&s->parked[i], &s->parked[i + 1], (s->n_parked - i) * sizeof(s->parked[0]));
	return stream;
}

void dump_park(struct source_dump *s, const struct dump_file *file, struct dump_stream *stream)
{
	struct dump_stream *old = NULL;
	pthread_mutex_lock(&s->lock);
	if (s->n_parked == DUMP_MAX_PARKED)
		old = remove_parked(s, 0);
	s->parked[s->n_parked++] = (struct parked){.stream = stream, .file = file};
	pthread_mutex_unlock(&s->lock);
	dump_stream_close(old);
}

struct dump_stream *dump_unpark(struct source_dump *s, const struct dump_file *file, uint64_t at)
{
	size_t best = DUMP_MAX_PARKED;
	pthread_mutex_lock(&s->lock);
	for (size_t i = 0; i < s->n_parked; i++) {
		uint64_t here = dump_stream_at(s->parked[i].stream);
		if (s->parked[i].file == file && here <= at &&
		    (best == DUMP_MAX_PARKED || here > dump_stream_at(s->parked[best].stream)))
			best = i;
	}
	struct dump_stream *stream = best < DUMP_MAX_PARKED ? remove_parked(s, best) : NULL;
	pthread_mutex_unlock(&s->lock);
	return stream;
}

/* ---- open and close ---- */

static bool set_operation_time(struct source *base, const char *t, struct err *err)
{
	(void)base;
	if (!*t)
		return true;
	err_set(err, ERR_SOURCE_CHANGED, "the run was started from a live server, not from a dump");
	return err_hint(err, "resume with the address of that server, or start again with --clean");
}

static void close_source(struct source *base)
{
	struct source_dump *s = dump_of(base);
	while (s->n_parked > 0)
		dump_stream_close(remove_parked(s, 0));
	pthread_mutex_destroy(&s->lock);
	dump_layout_free(&s->layout);
	arena_free(s->arena);
	free(base->database);
	free(base->describe);
	free(base->identity);
	free(base->operation_time);
	free(s);
}

static void tell(struct source *base, struct source_facts *f)
{
	struct dump_layout *l = &dump_of(base)->layout;
	if (l->tell != NULL)
		l->tell(l->whole, f);
}

static const struct source_ops dump_ops = {
	.tell = tell,
	.name = "dump",
	.close = close_source,
	.set_operation_time = set_operation_time,
	.collections = collections,
	.indexes = indexes,
	.collection_identity = collection_identity,
	.split = split,
	.count = count,
	.reader_open = dump_reader_open,
	.reader_close = dump_reader_close,
	.read = dump_read,
	.next = dump_next,
	.read_ids = dump_read_ids,
	.interrupt = dump_interrupt,
};

static const char note_time[] = "a dump is not a single point in time: what was written while it was taken may be "
				"missing, or refer to what is "
				"missing";
static const char note_export_time[] = "an export is not a single point in time: what was written while it was made "
				       "may be missing, or refer to what is "
				       "missing";
static const char note_oplog[] =
	"the dump has an oplog, whose entries are not applied yet: changes made while it was taken are lost, or half "
	"there; to have them, mongorestore --oplogReplay into a server, and read from that";

static void describe(struct source_dump *s)
{
	struct buf b;
	buf_init(&b, 0);
	buf_printf(&b, "%s ", s->layout.noun);
	text_escape(&b, s->layout.folder, strlen(s->layout.folder));
	s->base.describe = mem_strdup(buf_cstr(&b));
	buf_reset(&b);
	buf_puts(&b, "dump, database ");
	text_escape(&b, s->layout.database, strlen(s->layout.database));
	s->base.identity = mem_strdup(buf_cstr(&b));
	buf_free(&b);
	s->base.database = mem_strdup(s->layout.database);
	s->base.operation_time = mem_strdup("");
}

/* What the uncompressed content of a file begins with. */
static bool begins_with_mark(const char *path, struct err *err)
{
	struct window w;
	uint32_t mark = 0;
	if (!window_open(&w, &(struct content_file){.path = path, .name = path}, err))
		return false;
	if (window_need(&w, 4, err) && window_have(&w) >= 4)
		memcpy(&mark, window_data(&w), 4);
	window_close(&w);
	return mark == ARCHIVE_MARK;
}

static bool find_in_file(struct source_dump *s, const char *path, const struct source_options *o, struct err *err)
{
	struct err ignored;
	if (begins_with_mark(path, &ignored))
		return dump_archive_find(&s->layout, s->arena, path, o, err);
	if (dump_is_export(path))
		return dump_export_find(&s->layout, s->arena, path, false, o, err);
	err_set(err, ERR_SOURCE_URI, "the source %s is a file, but neither a mongodump archive nor called NAME.json",
		path);
	return err_hint(err,
			"give an archive, the folder that mongodump wrote, a folder or file of mongoexport's JSON, "
			"or a MongoDB connection string");
}

static bool find(struct source_dump *s, const char *path, const struct source_options *o, struct err *err)
{
	struct stat st;
	if (strcmp(path, "-") == 0)
		return dump_archive_find(&s->layout, s->arena, path, o, err);
	if (stat(path, &st) != 0) {
		err_set(err, ERR_SOURCE_CONNECT, "cannot open the dump %s", path);
		err_detail(err, "%s", strerror(errno));
		return err_hint(err,
				"check the path; a live server's address begins with mongodb:// or mongodb+srv://");
	}
	if (!S_ISDIR(st.st_mode))
		return find_in_file(s, path, o, err);
	if (!dump_is_folder(s->arena, path) && dump_has_exports(path))
		return dump_export_find(&s->layout, s->arena, path, true, o, err);
	return dump_folder_find(&s->layout, s->arena, path, o, err);
}

bool source_dump_open(struct source **out, const char *path, const struct source_options *opts, struct err *err)
{
	struct source_dump *s = mem_zalloc(sizeof(*s));
	s->base.ops = &dump_ops;
	s->arena = arena_new();
	pthread_mutex_init(&s->lock, NULL);
	if (!find(s, path, opts, err)) {
		close_source(&s->base);
		return false;
	}
	describe(s);
	source_add_note(&s->base, s->layout.is_export ? note_export_time : note_time, false);
	if (s->layout.has_oplog)
		source_add_note(&s->base, note_oplog, false);
	*out = &s->base;
	return true;
}

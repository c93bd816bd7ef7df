/* archive.c - a mongodump archive: its prelude, the choice of a database, and the walk through all blocks.
 *
 * One walk, by whoever first asks for borders or a count, finds the borders of all collections, remembers where their
 * blocks are, and compares the check sum of each with what its last block says. It reads the whole archive once;
 * after it every reader goes to its blocks directly. A run that is resumed after its split needs no walk: readers
 * then find their blocks by the lengths.
 */
#include "archive.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "crc64.h"
#include "doc.h"
#include "sys.h"
#include "text.h"

#define MAX_COLLECTIONS 1000000
#define MAX_BLOCKS      65536 /* remembered of one collection: 512 kB */
#define STOP_EVERY      4096
#define TELL_SECONDS    10
#define SMALL_BYTES     (256u << 20)

/* ---- prelude ---- */

struct entry {
	const char *database;
	struct dump_file file;
};

struct prelude {
	struct archive *archive;
	struct dump_stream *s;
	struct entry *items;
	size_t n, cap;
	bool has_oplog;
};

static const char *text_of(struct arena *a, const uint8_t *doc, size_t len, const char *key)
{
	struct val v;
	size_t n;
	if (!doc_find(doc, len, key, &v) || v.kind != BSON_K_STRING)
		return NULL;
	const char *text = val_text(&v, &n);
	return arena_strndup(a, text, n);
}

/* The oplog stands in no database. */
static bool take_oplog(struct prelude *p, const char *database, const char *collection)
{
	if (*database)
		return false;
	p->has_oplog = p->has_oplog || strncmp(collection, "oplog", 5) == 0;
	return true;
}

static void describe_entry(struct arena *a, struct entry *e, const char *collection, const uint8_t *doc, size_t len)
{
	struct val v;
	size_t n;
	const char *type = text_of(a, doc, len, "type");
	e->file = (struct dump_file){.framing = &archive_framing};
	if (doc_find(doc, len, "metadata", &v) && v.kind == BSON_K_STRING) {
		const char *text = val_text(&v, &n);
		if (n > 0)
			dump_take_metadata(a, &e->file, text, n, "metadata in the archive's prelude");
	}
	e->file.name = collection; /* always whole here */
	if (type && strcmp(type, "view") == 0)
		e->file.kind = SOURCE_VIEW;
	if (type && strcmp(type, "timeseries") == 0)
		e->file.kind = SOURCE_TIMESERIES;
	e->file.skipped = strncmp(collection, "system.", 7) == 0;
}

static bool take_entry(struct prelude *p, uint64_t at, const uint8_t *doc, size_t len, struct err *err)
{
	struct arena *a = p->archive->arena;
	const char *database = text_of(a, doc, len, "db"), *collection = text_of(a, doc, len, "collection");
	if (!database || !collection)
		return dump_damaged(p->s, at, err, "is damaged", "a document of the prelude names no collection");
	if (take_oplog(p, database, collection))
		return true;
	if (p->n == MAX_COLLECTIONS)
		return dump_damaged(p->s, at, err, "is damaged", "the prelude names more than %d collections",
				    MAX_COLLECTIONS);
	if (p->n == p->cap)
		p->items = mem_realloc(p->items, (p->cap = p->cap ? p->cap * 2 : 64) * sizeof(*p->items));
	p->items[p->n].database = database;
	describe_entry(a, &p->items[p->n++], collection, doc, len);
	return true;
}

static bool read_entries(struct prelude *p, struct err *err)
{
	struct dump_stream *s = p->s;
	const uint8_t *doc;
	uint32_t n;
	int got = 1;
	for (bool is_head = true; got == 1; is_head = false) {
		uint64_t at = s->w.at;
		got = archive_next_length(s, &n, err);
		if (got == 1 && dump_bson_take(s, n, &doc, err) != 1)
			return false;
		if (got == 0 && is_head)
			return dump_damaged(s, at, err, "is damaged", "a terminator stands where its header is due");
		if (got == 1 && !is_head && !take_entry(p, at, doc, n, err))
			return false;
	}
	return got == 0;
}

static bool read_prelude(struct prelude *p, struct err *err)
{
	struct dump_stream *s = p->s;
	uint32_t mark;
	if (!dump_need(s, 4, err))
		return false;
	if (window_have(&s->w) < 4 || (memcpy(&mark, window_data(&s->w), 4), mark) != ARCHIVE_MARK) {
		dump_damaged(s, 0, err, "is no archive", "it does not begin with an archive's mark (6d e2 99 81)");
		return err_hint(err,
				"give what mongodump --archive wrote, plain or compressed with gzip or zstd; JSON is "
				"read from files that are called after their collections");
	}
	window_drop(&s->w, 4);
	if (!read_entries(p, err))
		return false;
	p->archive->body = s->w.at;
	return true;
}

/* ---- the choice of the database ---- */

static int by_database(const void *a, const void *b)
{
	return strcmp(((const struct entry *)a)->database, ((const struct entry *)b)->database);
}

struct choice {
	const char *only; /* the last one that is not the server's own */
	size_t n;
	bool has_wanted, has_preferred;
	struct buf names;
};

static void look_at_database(struct choice *c, const char *name, const struct source_options *o)
{
	c->has_wanted = c->has_wanted || (o->database && strcmp(name, o->database) == 0);
	c->has_preferred = c->has_preferred || (o->prefer && strcmp(name, o->prefer) == 0);
	if (dump_is_servers_own(name))
		return;
	c->only = name;
	if (c->n++ > 0)
		buf_puts(&c->names, ", ");
	if (c->names.len < 800)
		text_escape(&c->names, name, strlen(name));
}

static bool refuse_choice(const struct prelude *p, struct choice *c, const struct source_options *o, struct err *err)
{
	const char *name = p->archive->whole.file.name;
	if (c->n == 0)
		return err_set(err, ERR_SOURCE_URI, "the archive %s holds no collections", name);
	if (o->database)
		err_set(err, ERR_SOURCE_URI, "the archive %s holds no database %s", name, o->database);
	else
		err_set(err, ERR_SOURCE_URI, "the archive %s holds several databases", name);
	err_detail(err, "it holds: %s", buf_cstr(&c->names));
	return err_hint(err, "name one of them in the mapping (source: {database: ...})");
}

static bool choose_database(struct prelude *p, const struct source_options *o, struct err *err)
{
	struct choice c = {0};
	buf_init(&c.names, 0);
	if (p->n > 0)
		qsort(p->items, p->n, sizeof(*p->items), by_database);
	for (size_t i = 0; i < p->n; i++)
		if (i == 0 || strcmp(p->items[i - 1].database, p->items[i].database) != 0)
			look_at_database(&c, p->items[i].database, o);
	if (c.has_wanted)
		p->archive->database = o->database;
	else if (!o->database && c.has_preferred)
		p->archive->database = o->prefer;
	else if (!o->database && c.n == 1)
		p->archive->database = c.only;
	bool ok = p->archive->database || refuse_choice(p, &c, o, err);
	buf_free(&c.names);
	return ok;
}

/* ---- the layout ---- */

static void make_parts(struct archive *x, struct dump_layout *l)
{
	x->nparts = l->n;
	x->parts = arena_alloc(x->arena, (l->n + 1) * sizeof(*x->parts));
	for (size_t i = 0; i < l->n; i++) {
		x->parts[i] = (struct archive_part){.archive = x, .name = l->files[i].name, .index = i};
		l->files[i].part = &x->parts[i];
	}
}

static bool make_files(struct prelude *p, struct dump_layout *l, struct err *err)
{
	struct archive *x = p->archive;
	x->database = arena_strdup(x->arena, x->database);
	l->files = arena_alloc(x->arena, (p->n + 1) * sizeof(*l->files));
	for (size_t i = 0; i < p->n; i++) {
		if (strcmp(p->items[i].database, x->database) != 0)
			continue;
		struct dump_file *f = &l->files[l->n++];
		*f = p->items[i].file;
		if (f->kind != SOURCE_TIMESERIES)
			f->file = x->whole.file;
	}
	l->database = x->database;
	l->has_oplog = p->has_oplog;
	if (!dump_layout_sort(l, err))
		return false;
	make_parts(x, l);
	return true;
}

/* ---- the walk ---- */

struct walker {
	struct archive *archive;
	struct dump_stream *s;
	struct archive_walk *walk;
	double told_at;
};

static void free_walk(struct archive *x, struct archive_walk *walk)
{
	for (size_t i = 0; i < x->nparts; i++) {
		free(walk->found[i].blocks);
		free(walk->found[i].borders.items);
	}
	free(walk->found);
	free(walk);
}

static struct archive_walk *new_walk(struct archive *x, uint64_t chunk_docs, uint64_t chunk_bytes)
{
	struct archive_walk *walk = mem_zalloc(sizeof(*walk));
	walk->chunk_docs = chunk_docs;
	walk->chunk_bytes = chunk_bytes;
	walk->found = mem_zalloc((x->nparts + 1) * sizeof(*walk->found));
	for (size_t i = 0; i < x->nparts; i++) {
		walk->found[i].borders = (struct borders){.chunk_docs = chunk_docs, .chunk_bytes = chunk_bytes};
		walk->found[i].end.at = x->body;
	}
	return walk;
}

static int by_part(const void *key, const void *part)
{
	return strcmp(key, ((const struct archive_part *)part)->name);
}

static const struct archive_part *part_of(const struct archive *x, const struct archive_header *h)
{
	if (strcmp(h->database, x->database) != 0 || x->nparts == 0)
		return NULL;
	return bsearch(h->collection, x->parts, x->nparts, sizeof(*x->parts), by_part);
}

static void remember_block(struct archive_found *f, uint64_t at)
{
	if (f->too_many)
		return;
	if (f->nblocks == MAX_BLOCKS) {
		f->too_many = true;
		return;
	}
	if (f->nblocks == f->cap)
		f->blocks = mem_realloc(f->blocks, (f->cap = f->cap ? f->cap * 2 : 8) * sizeof(*f->blocks));
	f->blocks[f->nblocks++] = at;
}

static void tell_progress(struct walker *w)
{
	char bytes[32];
	double now = clock_seconds();
	if (now - w->told_at < TELL_SECONDS)
		return;
	w->told_at = now;
	log_line(LOG_INFO, "%s: %s looked through", w->archive->whole.file.name, text_bytes(w->s->w.at, bytes));
}

/* A border stands behind the document before, where a reader of the range before it has come to. */
static bool take_document(struct walker *w, struct archive_found *f, uint32_t n, struct err *err)
{
	struct border b = f->end;
	const uint8_t *doc;
	if (f->end.docs == 0)
		b.at = w->s->at;
	borders_document(&f->borders, &b);
	if (dump_bson_take(w->s, n, &doc, err) != 1)
		return false;
	f->crc = crc64(f->crc, doc, n);
	f->end = (struct border){.at = w->s->at, .docs = f->end.docs + 1, .bytes = f->end.bytes + n};
	w->s->docs++;
	return true;
}

static bool walk_block(struct walker *w, const struct archive_part *part, uint64_t at, struct err *err)
{
	struct archive_found *f = &w->walk->found[part->index];
	uint32_t n;
	int got;
	uint64_t first = w->s->w.at;
	if (f->ended)
		return dump_damaged(w->s, at, err, "is damaged", "more documents of %s come after its end",
				    part->name);
	for (bool is_first = true; (got = archive_next_length(w->s, &n, err)) == 1; is_first = false) {
		if (is_first)
			remember_block(f, first);
		if (f->end.docs % STOP_EVERY == 0) {
			if (stop_requested())
				return err_set(err, ERR_STOPPED, "stopped while looking through the archive");
			tell_progress(w);
		}
		if (!take_document(w, f, n, err))
			return false;
	}
	return got == 0;
}

static bool check_sum(struct walker *w, const struct archive_part *part, const struct archive_header *h, uint64_t at,
		      struct err *err)
{
	const struct archive_found *f = &w->walk->found[part->index];
	return !h->has_crc || h->crc == f->crc ||
	       dump_damaged(w->s, at, err, "is damaged",
			    "the check sum of %s is %016" PRIx64 ", that of its %" PRIu64 " documents is %016" PRIx64,
			    part->name, h->crc, f->end.docs, f->crc);
}

/* The last block of a collection has no documents. */
static bool end_part(struct walker *w, const struct archive_part *part, const struct archive_header *h, uint64_t at,
		     struct err *err)
{
	struct archive_found *f = &w->walk->found[part->index];
	uint32_t n;
	if (f->ended)
		return dump_damaged(w->s, at, err, "is damaged", "%s ends a second time", part->name);
	if (!check_sum(w, part, h, at, err))
		return false;
	f->ended = true;
	int got = archive_next_length(w->s, &n, err);
	return got == 0 ||
	       (got == 1 && dump_damaged(w->s, at, err, "is damaged", "documents follow the end of %s", part->name));
}

/* Documents that no collection of the prelude claims would be left out without a word. */
static bool pass_stranger(struct walker *w, const struct archive_header *h, uint64_t at, struct err *err)
{
	bool ours = strcmp(h->database, w->archive->database) == 0 && strncmp(h->collection, "system.", 7) != 0;
	if (ours && !h->is_end)
		return dump_damaged(w->s, at, err, "is damaged",
				    "it holds documents of a collection %s that its prelude does not name",
				    h->collection);
	return archive_pass_block(w->s, err);
}

static bool take_block(struct walker *w, const struct archive_header *h, uint64_t at, struct err *err)
{
	const struct archive_part *part = part_of(w->archive, h);
	if (!part)
		return pass_stranger(w, h, at, err);
	return h->is_end ? end_part(w, part, h, at, err) : walk_block(w, part, at, err);
}

static bool walk_blocks(struct walker *w, struct err *err)
{
	struct archive_header h;
	for (;;) {
		uint64_t at = w->s->w.at;
		int got = archive_next_block(w->s, &h, err);
		if (got != 1)
			return got == 0;
		if (!take_block(w, &h, at, err))
			return false;
	}
}

static void finish_walk(const struct archive *x, struct archive_walk *walk)
{
	for (size_t i = 0; i < x->nparts; i++) {
		struct archive_found *f = &walk->found[i];
		if (f->borders.n == 0)
			borders_document(&f->borders, &f->end);
		if (f->too_many) {
			free(f->blocks);
			f->blocks = NULL;
		}
	}
}

static bool walk_archive(struct archive *x, uint64_t chunk_docs, uint64_t chunk_bytes, struct err *err)
{
	struct walker w = {.archive = x, .told_at = clock_seconds()};
	if (!dump_stream_open(&w.s, &x->whole, err))
		return false;
	w.walk = new_walk(x, chunk_docs, chunk_bytes);
	bool ok = window_seek(&w.s->w, x->body, err) && walk_blocks(&w, err);
	dump_stream_close(w.s);
	if (!ok) {
		free_walk(x, w.walk);
		return false;
	}
	finish_walk(x, w.walk);
	w.walk->older = atomic_load(&x->walk);
	atomic_store(&x->walk, w.walk);
	return true;
}

static bool is_same(const struct archive_walk *walk, const struct borders *b)
{
	return !b || (walk->chunk_docs == b->chunk_docs && walk->chunk_bytes == b->chunk_bytes);
}

/* The newest walk, if it has the borders that are wanted, else a new one. */
static const struct archive_walk *get_walk(struct archive *x, const struct borders *b, struct err *err)
{
	pthread_mutex_lock(&x->walking);
	const struct archive_walk *walk = atomic_load(&x->walk);
	if (!walk || !is_same(walk, b)) {
		bool ok = walk_archive(x, b ? b->chunk_docs : 0, b ? b->chunk_bytes : DUMP_MAX_DOCUMENT, err);
		walk = ok ? atomic_load(&x->walk) : NULL;
	}
	pthread_mutex_unlock(&x->walking);
	return walk;
}

static bool find_borders(const struct dump_file *f, struct borders *b, struct border *end, struct err *err)
{
	const struct archive_part *part = f->part;
	const struct archive_walk *walk = get_walk(part->archive, b, err);
	if (!walk)
		return false;
	const struct archive_found *found = &walk->found[part->index];
	if (f->kind == SOURCE_VIEW && found->end.docs == 0)
		return dump_refuse_kind(f, err);
	if (!found->ended) {
		err_set(err, ERR_SOURCE_CORRUPT, "the file %s is cut short", f->file.name);
		err_detail(err, "it ends after %" PRIu64 " documents of %s, without that collection's end",
			   found->end.docs, part->name);
		return err_hint(err, "make it again, or copy it anew if that was cut short");
	}
	*end = found->end;
	if (!b)
		return true;
	b->n = b->cap = found->borders.n;
	b->items = mem_alloc(b->n * sizeof(*b->items));
	memcpy(b->items, found->borders.items, b->n * sizeof(*b->items));
	return true;
}

/* The prelude does not tell sizes. A small archive is walked for them; of a large one nothing is known before its
 * split. */
static void estimate(const struct dump_file *f, uint64_t *docs, uint64_t *bytes)
{
	const struct archive_part *part = f->part;
	struct archive *x = part->archive;
	struct err ignored;
	*docs = *bytes = 0;
	bool is_cheap = atomic_load(&x->walk) || x->size <= SMALL_BYTES;
	const struct archive_walk *walk = is_cheap ? get_walk(x, NULL, &ignored) : NULL;
	if (!walk)
		return;
	*docs = walk->found[part->index].end.docs;
	*bytes = walk->found[part->index].end.bytes;
}

/* ---- open ---- */

static void free_archive(void *whole)
{
	struct archive *x = whole;
	for (struct archive_walk *walk = atomic_load(&x->walk), *older; walk; walk = older) {
		older = walk->older;
		free_walk(x, walk);
	}
	content_points_free(x->whole.file.points);
	spool_close(&x->raw);
	spool_close(&x->plain);
	pthread_mutex_destroy(&x->walking);
}

static bool keep_identity(struct archive *x, struct err *err)
{
	struct buf b;
	buf_init(&b, 0);
	bool ok = content_identity(&x->whole.file, &b, err);
	if (ok)
		x->layout->identity = arena_strdup(x->arena, buf_cstr(&b));
	buf_free(&b);
	return ok;
}

/* Of zstd only the start can be entered: it is uncompressed once. */
static bool make_readable(struct archive *x, struct err *err)
{
	struct content *c;
	if (!content_open(&c, &x->whole.file, err))
		return false;
	enum content_format format = content_format(c);
	x->size = content_guess_size(c);
	content_close(c);
	if (format != CONTENT_ZSTD)
		return true;
	if (!spool_content(&x->plain, &x->whole.file, err))
		return false;
	x->whole.file.path = x->plain.path;
	return true;
}

static bool open_file(struct archive *x, const char *path, struct err *err)
{
	if (strcmp(path, "-") != 0) {
		x->whole.file.path = x->whole.file.name = arena_strdup(x->arena, path);
	} else {
		x->whole.file.name = "on standard input";
		if (!spool_descriptor(&x->raw, STDIN_FILENO, "standard input", err))
			return false;
		x->whole.file.path = x->raw.path;
	}
	x->layout->folder = x->whole.file.name;
	return keep_identity(x, err) && make_readable(x, err);
}

static bool read_layout(struct archive *x, struct dump_layout *l, const struct source_options *o, struct err *err)
{
	struct prelude p = {.archive = x};
	bool ok = dump_stream_open(&p.s, &x->whole, err);
	if (!ok)
		return false;
	ok = read_prelude(&p, err) && choose_database(&p, o, err) && make_files(&p, l, err);
	dump_stream_close(p.s);
	free(p.items);
	return ok;
}

static void tell(void *whole, struct source_facts *f)
{
	struct archive *x = whole;
	const struct spool *spools[] = {&x->raw, &x->plain};
	uint64_t used, left;
	const char *folder;
	char text[2][32];
	for (size_t i = 0; i < 2; i++)
		if (spool_room(spools[i], &folder, &used, &left))
			source_add_fact(f, "temporary", "%s in %s (TMPDIR) for the archive, %s are left there",
					text_bytes(used, text[0]), folder, text_bytes(left, text[1]));
}

/* The whole archive as a stream: only errors, the window and the counts of its framing are used. */
bool dump_archive_find(struct dump_layout *l, struct arena *a, const char *path, const struct source_options *o,
		       struct err *err)
{
	struct archive *x = arena_alloc(a, sizeof(*x));
	x->arena = a;
	x->layout = l;
	x->raw.fd = x->plain.fd = -1;
	pthread_mutex_init(&x->walking, NULL);
	x->whole = (struct dump_file){.name = "", .framing = &dump_bson};
	x->whole.file.points = content_points_new(0);
	l->noun = "dump archive";
	l->whole = x;
	l->free_whole = free_archive;
	l->tell = tell;
	l->borders = find_borders;
	l->estimate = estimate;
	return open_file(x, path, err) && read_layout(x, l, o, err);
}

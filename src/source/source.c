/* source.c - opens a source by the look of its address and passes every other call on to its table of functions. */
#include <assert.h>
#include <pthread.h>
#include <stdarg.h>
#include <string.h>

#include "source_ops.h"
#include "sys.h"

static bool is_mongodb_uri(const char *where)
{
	return strncmp(where, "mongodb://", 10) == 0 || strncmp(where, "mongodb+srv://", 14) == 0;
}

/* "postgres://..." given as the source is a mix-up, not a folder. */
static const char *foreign_scheme(const char *where)
{
	return strstr(where, "://");
}

bool source_open(struct source **s, const char *where, const struct source_options *opts, struct err *err)
{
	*s = NULL;
	if (is_mongodb_uri(where))
		return source_mongo_open(s, where, opts, err);
	const char *rest = foreign_scheme(where);
	if (rest) {
		err_set(err, ERR_SOURCE_URI, "the source's address does not start with mongodb:// or mongodb+srv://");
		err_detail(err, "it starts with \"%.*s://\"", (int)(rest - where < 20 ? rest - where : 20), where);
		return err_hint(err, "give a MongoDB connection string or the path of a dump");
	}
	return source_dump_open(s, where, opts, err);
}

void source_close(struct source *s)
{
	if (!s)
		return;
	source_parts_free(s);
	s->ops->close(s);
}

static const char *collection_of(const struct source *s, const char *name)
{
	const struct source_part *p = source_find_part(s, name);
	return p ? p->collection : name;
}

const char *source_database(const struct source *s)
{
	return s->database;
}

const char *source_describe(const struct source *s)
{
	return s->describe;
}

const char *source_identity(const struct source *s)
{
	return s->identity;
}

const char *source_operation_time(const struct source *s)
{
	return s->operation_time;
}

size_t source_notes(const struct source *s, const char *const **notes)
{
	*notes = s->notes;
	return atomic_load(&s->nnotes);
}

void source_add_note(struct source *s, const char *note, bool log)
{
	static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
	pthread_mutex_lock(&lock);
	size_t n = atomic_load(&s->nnotes), i = 0;
	while (i < n && s->notes[i] != note)
		i++;
	bool is_new = i == n && n < SOURCE_MAX_NOTES;
	if (is_new) {
		s->notes[n] = note;
		atomic_store(&s->nnotes, n + 1);
	}
	pthread_mutex_unlock(&lock);
	if (is_new && log)
		log_line(LOG_WARN, "%s", note);
}

void source_tell(struct source *s, struct source_facts *f)
{
	if (s->ops->tell != NULL)
		s->ops->tell(s, f);
}

static PRINTF_LIKE(2, 0) const char *print(struct arena *a, const char *fmt, va_list ap)
{
	_cleanup_(buf_free) struct buf b = {0};
	buf_vprintf(&b, fmt, ap);
	return arena_strdup(a, buf_cstr(&b));
}

void source_add_fact(struct source_facts *f, const char *label, const char *fmt, ...)
{
	struct source_fact *more = arena_alloc(f->arena, (f->n + 1) * sizeof *more);
	va_list ap;
	if (f->n > 0)
		memcpy(more, f->list, f->n * sizeof *more);
	f->list = more;
	va_start(ap, fmt);
	more[f->n++] = (struct source_fact){.label = label, .text = print(f->arena, fmt, ap)};
	va_end(ap);
}

void source_worry(struct source_facts *f, const char *hint, const char *fmt, ...)
{
	va_list ap;
	assert(f->n > 0);
	va_start(ap, fmt);
	f->list[f->n - 1].worry = print(f->arena, fmt, ap);
	f->list[f->n - 1].hint = hint;
	va_end(ap);
}

bool source_set_operation_time(struct source *s, const char *operation_time, struct err *err)
{
	return s->ops->set_operation_time(s, operation_time, err);
}

bool source_changed_since(struct source *s, const char *operation_time, source_changed *each, void *ctx, bool *known,
			  struct err *err)
{
	*known = false;
	return s->ops->changed_since == NULL || s->ops->changed_since(s, operation_time, each, ctx, known, err);
}

bool source_collections(struct source *s, struct arena *a, struct source_collection **out, size_t *n, struct err *err)
{
	return s->ops->collections(s, a, out, n, err);
}

bool source_collection_identity(struct source *s, const char *collection, struct buf *out, struct err *err)
{
	return s->ops->collection_identity(s, collection_of(s, collection), out, err);
}

bool source_indexes(struct source *s, const char *collection, struct arena *a, struct source_index **out, size_t *n,
		    bool *known, struct err *err)
{
	*out = NULL;
	*n = 0;
	*known = true;
	return s->ops->indexes(s, collection, a, out, n, known, err);
}

bool source_split(struct source *s, const char *collection, uint64_t chunk_docs, uint64_t chunk_bytes,
		  source_add_range *add, void *ctx, struct err *err)
{
	assert(chunk_docs > 0 || chunk_bytes > 0);
	const struct source_part *p = source_find_part(s, collection);
	if (p && p->where && s->ops->split_where)
		return s->ops->split_where(s, p, chunk_docs, chunk_bytes, add, ctx, err);
	return s->ops->split(s, p ? p->collection : collection, chunk_docs, chunk_bytes, add, ctx, err);
}

bool source_count(struct source *s, const char *collection, uint64_t *n, struct err *err)
{
	const struct source_part *p = source_find_part(s, collection);
	return p ? source_count_part(s, p, n, err) : s->ops->count(s, collection, n, err);
}

bool source_reader_open(struct source_reader **r, struct source *s, struct err *err)
{
	*r = NULL;
	return s->ops->reader_open(r, s, err);
}

void source_reader_close(struct source_reader *r)
{
	if (r)
		r->ops->reader_close(r);
}

/* What is read from now on; returns the collection. */
static const char *set_part(struct source_reader *r, const char *name)
{
	const struct source_part *p = source_find_part(r->source, name);
	r->filter = p ? p->filter : NULL;
	if (r->ops->set_where)
		r->ops->set_where(r, p && p->where ? p : NULL);
	return p ? p->collection : name;
}

bool source_read(struct source_reader *r, const char *collection, const uint8_t *bounds, size_t bounds_len,
		 struct err *err)
{
	return r->ops->read(r, set_part(r, collection), bounds, bounds_len, err);
}

int source_next(struct source_reader *r, const uint8_t **doc, size_t *len, struct err *err)
{
	int got;
	do
		got = r->ops->next(r, doc, len, err);
	while (got == 1 && r->filter && !filter_matches(r->filter, *doc, *len));
	return got;
}

bool source_read_ids(struct source_reader *r, const char *collection, const uint8_t *const *ids, const size_t *lens,
		     size_t n, struct err *err)
{
	return r->ops->read_ids(r, set_part(r, collection), ids, lens, n, err);
}

void source_reader_interrupt(struct source_reader *r)
{
	r->ops->interrupt(r);
}

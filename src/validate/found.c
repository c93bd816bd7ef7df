/* found.c - findings and counts, gathered from all threads. */
#include "validate_private.h"

#include <stdarg.h>
#include <stdlib.h>

static const struct {
	const char *name, *sentence;
	enum validate_layer layer;
} kinds[] = {
#define X(NAME, name, layer, sentence) {name, sentence, LAYER_##layer},
	VALIDATE_KINDS(X)
#undef X
};
static const struct {
	const char *name, *proves;
} layers[] = {
#define X(NAME, name, proves) {name, proves},
	VALIDATE_LAYERS(X)
#undef X
};

const char *validate_layer_name(enum validate_layer l)
{
	return layers[l].name;
}
const char *validate_layer_proves(enum validate_layer l)
{
	return layers[l].proves;
}
const char *validate_kind_name(enum validate_kind k)
{
	return kinds[k].name;
}
const char *validate_kind_sentence(enum validate_kind k)
{
	return kinds[k].sentence;
}
enum validate_layer validate_kind_layer(enum validate_kind k)
{
	return kinds[k].layer;
}

struct found {
	pthread_mutex_t lock;
	struct arena *arena; /* own */
	const struct plan *plan;
	struct validate_table *tables;
	struct validate_finding *list;
	size_t n, cap;
	uint64_t total;
	const char **notes;
	size_t nnotes;
};

struct found *found_new(struct arena *a, const struct plan *p)
{
	struct found *f = mem_zalloc(sizeof *f);

	(void)a;
	pthread_mutex_init(&f->lock, NULL);
	f->arena = arena_new();
	f->plan = p;
	f->tables = arena_alloc(f->arena, (p->schema.ntables + 1) * sizeof *f->tables);
	for (size_t i = 0; i < p->schema.ntables; i++) {
		f->tables[i].name = p->schema.tables[i].name;
		f->tables[i].collection = p->schema.tables[i].collection;
	}
	return f;
}

void found_free(struct found *f)
{
	if (f == NULL)
		return;
	pthread_mutex_destroy(&f->lock);
	arena_free(f->arena);
	free(f->list);
	free(f->notes);
	free(f);
}

static const char *copy(struct found *f, const char *text)
{
	return text != NULL ? arena_strdup(f->arena, text) : NULL;
}

static void keep(struct found *f, const struct validate_finding *x)
{
	if (f->n == f->cap) {
		f->cap = f->cap > 0 ? 2 * f->cap : 64;
		f->list = mem_realloc(f->list, f->cap * sizeof *f->list);
	}
	f->list[f->n++] = (struct validate_finding){.kind = x->kind,
						    .table = x->table,
						    .collection = x->collection,
						    .id = copy(f, x->id),
						    .key = copy(f, x->key),
						    .path = copy(f, x->path),
						    .column = copy(f, x->column),
						    .object = copy(f, x->object),
						    .detail = copy(f, x->detail),
						    .expected = copy(f, x->expected),
						    .found = copy(f, x->found),
						    .id_hash = x->id_hash,
						    .owner_hash = {x->owner_hash[0], x->owner_hash[1]},
						    .size = x->size};
}

void found_add(struct found *f, const struct validate_finding *x)
{
	int t = x->table != NULL ? schema_find_table(&f->plan->schema, x->table) : -1;

	pthread_mutex_lock(&f->lock);
	f->total++;
	if (t < 0 || f->tables[t].found[x->kind]++ < VALIDATE_MAX_FINDINGS)
		keep(f, x);
	pthread_mutex_unlock(&f->lock);
}

void found_note(struct found *f, const char *fmt, ...)
{
	struct buf b;
	va_list ap;

	buf_init(&b, 0);
	va_start(ap, fmt);
	buf_vprintf(&b, fmt, ap);
	va_end(ap);
	pthread_mutex_lock(&f->lock);
	f->notes = mem_realloc(f->notes, (f->nnotes + 1) * sizeof *f->notes);
	f->notes[f->nnotes++] = copy(f, buf_cstr(&b));
	pthread_mutex_unlock(&f->lock);
	buf_free(&b);
}

struct validate_table *found_table(struct found *f, int table)
{
	return &f->tables[table];
}

void found_count(struct found *f, int table, size_t offset, uint64_t n)
{
	pthread_mutex_lock(&f->lock);
	uint64_t *counter = (uint64_t *)(void *)((char *)&f->tables[table] + offset);
	*counter += n;
	pthread_mutex_unlock(&f->lock);
}

size_t found_list(struct found *f, struct validate_finding **out)
{
	*out = f->list;
	return f->n;
}

size_t found_notes(struct found *f, const char ***out)
{
	*out = f->notes;
	return f->nnotes;
}

uint64_t found_total(const struct found *f)
{
	return f->total;
}

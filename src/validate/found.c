/* found.c - findings and counts: those of a task, and those of all. */
#include "validate_private.h"

#include <stdarg.h>
#include <stdlib.h>

static const struct {
	const char *name, *sentence, *next;
	enum validate_layer layer;
} kinds[] = {
#define X(NAME, name, layer, sentence, next) {name, sentence, next, LAYER_##layer},
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
const char *validate_kind_next(enum validate_kind k)
{
	return kinds[k].next;
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
	uint32_t (*kept)[VALIDATE_KIND_COUNT]; /* by table: how many of them are in the list */
	struct validate_finding *list;
	size_t n, cap;
	uint64_t total;
	const char **notes;
	size_t nnotes;
};

struct found *found_new(const struct plan *p)
{
	struct found *f = mem_zalloc(sizeof *f);

	pthread_mutex_init(&f->lock, NULL);
	f->arena = arena_new();
	f->plan = p;
	f->tables = mem_zalloc((p->schema.ntables + 1) * sizeof *f->tables);
	f->kept = mem_zalloc((p->schema.ntables + 1) * sizeof *f->kept);
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
	free(f->tables);
	free(f->kept);
	free(f->list);
	free(f->notes);
	free(f);
}

/* Counts only: name and collection stay, and whether the table exists. */
static void clear_table(struct validate_table *t)
{
	*t = (struct validate_table){.name = t->name, .collection = t->collection, .exists = t->exists};
}

void found_reset(struct found *f)
{
	for (size_t i = 0; i < f->plan->schema.ntables; i++)
		clear_table(&f->tables[i]);
	memset(f->kept, 0, f->plan->schema.ntables * sizeof *f->kept);
	f->n = f->nnotes = 0;
	f->total = 0;
	arena_reset(f->arena);
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
						    .fault = copy(f, x->fault),
						    .expected = copy(f, x->expected),
						    .found = copy(f, x->found),
						    .id_hash = x->id_hash,
						    .owner_hash = {x->owner_hash[0], x->owner_hash[1]},
						    .size = x->size};
}

static int table_of(const struct found *f, const struct validate_finding *x)
{
	return x->table != NULL ? schema_find_table(&f->plan->schema, x->table) : -1;
}

static void add(struct found *f, const struct validate_finding *x)
{
	int t = table_of(f, x);

	f->total++;
	if (t >= 0) {
		f->tables[t].found[x->kind]++;
		if (f->kept[t][x->kind] == VALIDATE_MAX_FINDINGS)
			return;
		f->kept[t][x->kind]++;
	}
	keep(f, x);
}

void found_add(struct found *f, const struct validate_finding *x)
{
	pthread_mutex_lock(&f->lock);
	add(f, x);
	pthread_mutex_unlock(&f->lock);
}

static void add_counts(struct validate_table *to, const struct validate_table *from)
{
	to->expected += from->expected;
	to->documents += from->documents;
	to->elements += from->elements;
	to->rows += from->rows;
	to->explained += from->explained;
	to->stubs += from->stubs;
	to->compared += from->compared;
	to->matched += from->matched;
	to->mismatched += from->mismatched;
	to->fields += from->fields;
	for (int k = 0; k < VALIDATE_KIND_COUNT; k++)
		to->found[k] += from->found[k];
}

static void note(struct found *f, const char *text)
{
	f->notes = mem_realloc(f->notes, (f->nnotes + 1) * sizeof *f->notes);
	f->notes[f->nnotes++] = copy(f, text);
}

void found_merge(struct found *to, struct found *from)
{
	pthread_mutex_lock(&to->lock);
	for (size_t i = 0; i < from->n; i++) {
		int t = table_of(from, &from->list[i]);
		add(to, &from->list[i]);
		from->total--;
		if (t >= 0)
			from->tables[t].found[from->list[i].kind]--;
	}
	to->total += from->total; /* those that were counted only */
	for (size_t i = 0; i < to->plan->schema.ntables; i++)
		add_counts(&to->tables[i], &from->tables[i]);
	for (size_t i = 0; i < from->nnotes; i++)
		note(to, from->notes[i]);
	pthread_mutex_unlock(&to->lock);
	found_reset(from);
}

void found_of_table(struct found *f, enum validate_kind kind, const struct schema_table *t, const char *column,
		    const char *detail, uint64_t size)
{
	found_add(f, &(struct validate_finding){.kind = kind,
						.table = t != NULL ? t->name : NULL,
						.collection = t != NULL ? t->collection : NULL,
						.column = column,
						.detail = detail,
						.size = size});
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
	note(f, buf_cstr(&b));
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

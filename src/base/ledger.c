/* ledger.c - a hash table of counters whose addresses never change.
 *
 * Entries live in an arena one by one; the table of pointers to them grows. Resetting zeroes counts and keeps
 * entries, so slots that hot code holds stay valid for the ledger's life.
 */
#include "ledger.h"

#include <stdlib.h>

#include "sys.h"
#include "text.h"

struct entry {
	uint64_t n;
	uint64_t hash;
	enum ledger_kind kind;
	const char *object, *path;
	size_t object_len, path_len;
};

struct ledger {
	struct arena *arena;
	struct entry **slots; /* open addressing; size is a power of two */
	size_t size;
	struct entry **order; /* in order of first use */
	size_t count, order_cap;
	size_t npaths[LEDGER_KIND_COUNT];
};

static const struct {
	const char *name, *sentence;
} kinds[LEDGER_KIND_COUNT] = {
#define X(NAME, name, object, path, sentence) [LEDGER_##NAME] = {name, sentence},
	LEDGER_KINDS(X)
#undef X
};

static const char other_path[] = "(other)";

const char *ledger_kind_name(enum ledger_kind kind)
{
	return (unsigned)kind < LEDGER_KIND_COUNT ? kinds[kind].name : "";
}

const char *ledger_kind_sentence(enum ledger_kind kind)
{
	return (unsigned)kind < LEDGER_KIND_COUNT ? kinds[kind].sentence : "";
}

struct ledger *ledger_new(void)
{
	struct ledger *l = mem_zalloc(sizeof *l);

	l->arena = arena_new();
	l->size = 64;
	l->slots = mem_zalloc(l->size * sizeof *l->slots);
	return l;
}

void ledger_free(struct ledger *l)
{
	if (!l)
		return;
	arena_free(l->arena);
	free(l->slots);
	free(l->order);
	free(l);
}

void ledger_reset(struct ledger *l)
{
	size_t i;

	for (i = 0; i < l->count; i++)
		l->order[i]->n = 0;
}

static uint64_t hash_entry(enum ledger_kind kind, const char *object, size_t object_len, const char *path,
			   size_t path_len)
{
	return hash64(object, object_len) * 31 + hash64(path, path_len) * 7 + (uint64_t)kind;
}

/* The slot that holds the entry, or the free one where it belongs. */
static struct entry **find_slot(const struct ledger *l, uint64_t hash, const struct entry *want)
{
	size_t i = (size_t)hash & (l->size - 1);
	struct entry *e;

	for (; (e = l->slots[i]); i = (i + 1) & (l->size - 1)) {
		if (e->hash == hash && e->kind == want->kind && e->object_len == want->object_len &&
		    e->path_len == want->path_len && memcmp(e->object, want->object, want->object_len) == 0 &&
		    memcmp(e->path, want->path, want->path_len) == 0)
			break;
	}
	return &l->slots[i];
}

static void grow_table(struct ledger *l)
{
	size_t i;

	free(l->slots);
	l->size *= 2;
	l->slots = mem_zalloc(l->size * sizeof *l->slots);
	for (i = 0; i < l->count; i++)
		*find_slot(l, l->order[i]->hash, l->order[i]) = l->order[i];
}

static struct entry *add_entry(struct ledger *l, struct entry **slot, const struct entry *want)
{
	struct entry *e = arena_memdup(l->arena, want, sizeof *want);

	e->object = arena_strndup(l->arena, want->object, want->object_len);
	e->path = arena_strndup(l->arena, want->path, want->path_len);
	*slot = e;
	if (l->count == l->order_cap) {
		l->order_cap = l->order_cap ? l->order_cap * 2 : 64;
		l->order = mem_realloc(l->order, l->order_cap * sizeof(struct entry *));
	}
	l->order[l->count++] = e;
	if (l->count * 2 > l->size)
		grow_table(l);
	return e;
}

uint64_t *ledger_slot_n(struct ledger *l, enum ledger_kind kind, const char *object, const char *path,
			size_t path_len)
{
	size_t object_len = strlen(object);
	struct entry want = {.kind = kind,
			     .object = object,
			     .path = path,
			     .object_len = object_len,
			     .path_len = path_len,
			     .hash = hash_entry(kind, object, object_len, path, path_len)};
	struct entry **slot = find_slot(l, want.hash, &want);

	if (*slot)
		return &(*slot)->n;
	if (l->npaths[kind] >= LEDGER_MAX_PATHS &&
	    !(path_len == sizeof other_path - 1 && memcmp(path, other_path, path_len) == 0))
		return ledger_slot_n(l, kind, object, other_path, sizeof other_path - 1);
	l->npaths[kind]++;
	return &add_entry(l, slot, &want)->n;
}

uint64_t *ledger_slot(struct ledger *l, enum ledger_kind kind, const char *object, const char *path)
{
	return ledger_slot_n(l, kind, object, path, strlen(path));
}

void ledger_add(struct ledger *l, enum ledger_kind kind, const char *object, const char *path, uint64_t n)
{
	*ledger_slot(l, kind, object, path) += n;
}

void ledger_merge(struct ledger *l, const struct ledger *from)
{
	size_t i;

	for (i = 0; i < from->count; i++) {
		const struct entry *e = from->order[i];

		if (e->n != 0)
			*ledger_slot_n(l, e->kind, e->object, e->path, e->path_len) += e->n;
	}
}

void ledger_take_back(struct ledger *l, const struct ledger *from)
{
	for (size_t i = 0; i < from->count; i++) {
		const struct entry *e = from->order[i];

		if (e->n != 0)
			*ledger_slot_n(l, e->kind, e->object, e->path, e->path_len) -= e->n;
	}
}

void ledger_forget(struct ledger *l, const char *object)
{
	for (size_t i = 0; i < l->count; i++)
		if (strcmp(l->order[i]->object, object) == 0)
			l->order[i]->n = 0;
}

uint64_t ledger_sum(const struct ledger *l, enum ledger_kind kind, const char *object)
{
	uint64_t sum = 0;
	size_t i;

	for (i = 0; i < l->count; i++) {
		const struct entry *e = l->order[i];

		if (e->kind == kind && (!object || strcmp(e->object, object) == 0))
			sum += e->n;
	}
	return sum;
}

void ledger_to_json(const struct ledger *l, struct buf *out)
{
	const char *separator = "[[\"";
	size_t i;

	for (i = 0; i < l->count; i++) {
		const struct entry *e = l->order[i];

		if (e->n == 0)
			continue;
		buf_puts(out, separator);
		buf_puts(out, ledger_kind_name(e->kind));
		buf_puts(out, "\",");
		text_json_string(out, e->object, e->object_len);
		buf_putc(out, ',');
		text_json_string(out, e->path, e->path_len);
		buf_printf(out, ",%lld]", (long long)e->n);
		separator = ",[\"";
	}
	buf_puts(out, separator[0] == ',' ? "]" : "[]");
}

/* walk.c - one pass over a document (or an array's element): wanted values into slots, unwanted ones counted.
 *
 * Keys are guessed before they are looked up: each key remembers which one followed it last time, and a few more
 * steps along that chain are tried, since an optional field may be absent. A wrong guess costs a hash lookup.
 */
#include <stdio.h>

#include "convert_private.h"

#define MAX_UNMAPPED       10000 /* keys remembered for one collection; the ledger itself keeps no more */
#define GUESSES            4
#define MAX_STEPS          64         /* to a key that the mapping does not name */
#define MAX_UNMAPPED_BYTES (4u << 20) /* of their names: a hostile key may have megabytes */

/* --- compiling --- */

static size_t key_hash(const char *key, uint32_t len)
{
	uint64_t h = UINT64_C(0xcbf29ce484222325) ^ len;
	for (uint32_t i = 0; i < len; i++)
		h = (h ^ (uint8_t)key[i]) * UINT64_C(0x100000001b3);
	return (size_t)(h ^ h >> 29);
}

static bool is_key(const struct entry *e, const char *key, uint32_t len)
{
	return e->key_len == len && memcmp(e->key, key, len) == 0;
}

/* The place of a key: its entry, or the free place where it belongs; NULL after `most` steps. */
static struct entry **place(const struct key_table *t, const char *key, uint32_t len, size_t most)
{
	size_t i = key_hash(key, len) & t->mask;
	for (; t->slots[i] != NULL && !is_key(t->slots[i], key, len); most--) {
		if (most == 0)
			return NULL;
		i = (i + 1) & t->mask;
	}
	return &t->slots[i];
}

static struct entry *find_wanted(const struct node *n, const char *key, uint32_t len)
{
	return n->wanted.slots != NULL ? *place(&n->wanted, key, len, SIZE_MAX) : NULL;
}

static void table_grow(struct conv *c, struct key_table *t)
{
	struct key_table old = *t;
	t->mask = old.slots == NULL ? 15 : old.mask * 2 + 1;
	t->slots = arena_alloc(c->arena, (t->mask + 1) * sizeof(struct entry *));
	for (size_t i = 0; old.slots != NULL && i <= old.mask; i++)
		if (old.slots[i] != NULL)
			*place(t, old.slots[i]->key, old.slots[i]->key_len, SIZE_MAX) = old.slots[i];
}

static struct entry *entry_add(struct conv *c, struct key_table *t, const char *key, uint32_t len)
{
	if (t->slots == NULL || (t->used + 1) * 2 > t->mask + 1)
		table_grow(c, t);
	struct entry *e = arena_alloc(c->arena, sizeof *e);
	e->key = arena_strndup(c->arena, key, len);
	e->key_len = len;
	*place(t, key, len, SIZE_MAX) = e;
	t->used++;
	return e;
}

/* "0", "1", "20": a position in an array. */
static bool is_position(const struct plan_node *pn)
{
	uint32_t digits = 0;
	while (digits < pn->key_len && pn->key[digits] >= '0' && pn->key[digits] <= '9')
		digits++;
	return digits > 0 && digits == pn->key_len && (pn->key[0] != '0' || digits == 1);
}

static const char *join_path(struct conv *c, const char *path, const char *key)
{
	return *path == '\0' ? key : arena_printf(c->arena, "%s.%s", path, key);
}

void node_compile(struct conv *c, struct node *n, const struct plan_node *pn, const char *path, bool covered)
{
	n->plan = pn;
	n->path = path;
	n->slot = pn->slot;
	n->scope_slot = pn->scope >= 0 ? c->collection->scopes[pn->scope].slot : -1;
	n->covered = covered || (pn->slot >= 0 && pn->slot != n->scope_slot);
	n->nchildren = pn->nchildren;
	n->is_leaf = n->nchildren == 0 && n->slot >= 0 && n->scope_slot < 0;
	n->children = arena_alloc(c->arena, pn->nchildren * sizeof *n->children);
	struct entry *last = &n->first;
	for (size_t i = 0; i < pn->nchildren; i++) {
		const struct plan_node *child = pn->children[i];
		node_compile(c, &n->children[i], child, join_path(c, path, child->key), n->covered);
		struct entry *e = entry_add(c, &n->wanted, child->key, child->key_len);
		e->node = &n->children[i];
		e->node->is_position = is_position(child);
		n->has_positions |= e->node->is_position;
		last->next = e;
		last = e;
	}
}

/* --- unmapped keys --- */

/* Path and key with whatever bytes they hold. */
static void count_at_path(struct conv *c, struct counter *k, enum ledger_kind kind, const struct node *n,
			  const char *key, uint32_t len)
{
	size_t path_len = strlen(n->path), at = path_len > 0 ? path_len + 1 : 0;
	char *text = arena_alloc(c->arena, at + len + 1);
	memcpy(text, n->path, path_len);
	if (at > 0)
		text[path_len] = '.';
	memcpy(text + at, key, len);
	*k = (struct counter){.kind = kind, .object = c->collection->name, .path = text, .path_len = at + len};
}

/* NULL: one of too many, counted with the others of that sort. So are keys that were made to meet in one place: no
 * document may take long for them. */
static struct entry *unmapped_entry(struct conv *c, const struct scope *sc, struct node *n, const char *key,
				    uint32_t len)
{
	if (n->others.slots != NULL) {
		struct entry **known = place(&n->others, key, len, MAX_STEPS);
		if (known == NULL || *known != NULL)
			return known != NULL ? *known : NULL;
	}
	if (c->nunmapped >= MAX_UNMAPPED || len > MAX_UNMAPPED_BYTES - c->unmapped_bytes)
		return NULL;
	c->nunmapped++;
	c->unmapped_bytes += len;
	struct entry *e = entry_add(c, &n->others, key, len);
	e->count = arena_alloc(c->arena, sizeof *e->count);
	count_at_path(c, e->count, sc->keeps ? LEDGER_KEPT : LEDGER_UNMAPPED, n, key, len);
	return e;
}

/* Elements of a list that no path names: one count for all. */
static struct entry *elements_entry(struct conv *c, const struct scope *sc, struct node *n)
{
	if (n->elements != NULL)
		return n->elements;
	struct entry *e = arena_alloc(c->arena, sizeof *e);
	e->count = arena_alloc(c->arena, sizeof *e->count);
	*e->count = (struct counter){.kind = sc->keeps ? LEDGER_KEPT : LEDGER_UNMAPPED,
				     .object = c->collection->name,
				     .path = n->path,
				     .path_len = strlen(n->path)};
	return n->elements = e;
}

/* The path of an unmapped field. Of one that is not remembered it is lent until the next such field. */
static const char *unmapped_path(struct conv *c, const struct node *n, const struct entry *e, const struct field *f)
{
	if (e != NULL)
		return e->count->path;
	buf_reset(&c->path_text);
	buf_puts(&c->path_text, n->path);
	buf_puts(&c->path_text, n->path[0] != '\0' ? "." : "");
	buf_put(&c->path_text, f->key, f->key_len);
	return buf_cstr(&c->path_text);
}

/* --- the walk --- */

static struct entry *guess(const struct entry *last, const struct field *f)
{
	struct entry *e = last->next;
	for (int i = 0; i < GUESSES && e != NULL; i++, e = e->next)
		if (is_key(e, f->key, f->key_len))
			return e;
	return NULL;
}

static struct entry *look_up(struct conv *c, const struct scope *sc, struct node *n, struct entry *last,
			     const struct field *f)
{
	struct entry *e = find_wanted(n, f->key, f->key_len);
	if (e == NULL)
		e = unmapped_entry(c, sc, n, f->key, f->key_len);
	if (e != NULL && e != last)
		last->next = e;
	return e;
}

struct twice *twice_of(const struct conv *c, const struct slot *s)
{
	bool is_there = s->twice > 0 && s->twice <= c->ntwice && c->twice[s->twice - 1].slot == s;
	return is_there ? &c->twice[s->twice - 1] : NULL;
}

/* One record for each slot, however often its key stands. */
static void twice_set(struct conv *c, struct slot *s, const struct slot *first, const struct slot *last)
{
	struct twice *t = twice_of(c, s);
	if (t == NULL) {
		if (c->ntwice == c->twice_cap) {
			c->twice_cap = c->twice_cap > 0 ? c->twice_cap * 2 : 8;
			c->twice = mem_realloc(c->twice, c->twice_cap * sizeof *c->twice);
		}
		t = &c->twice[c->ntwice++];
		s->twice = (uint32_t)c->ntwice;
	}
	*t = (struct twice){s, *first, *last};
	s->at = AT_TWICE;
}

static void stands_twice(struct conv *c, struct slot *s, const struct slot *last)
{
	if (s->at == AT_TWICE)
		twice_of(c, s)->last = *last;
	else
		twice_set(c, s, s, last);
}

static void set_slot(struct conv *c, struct slot *s, const struct val *v, unsigned at)
{
	if (__builtin_expect(s->at != AT_MISSING, 0)) {
		stands_twice(c, s, &(struct slot){*v, at, 0});
	} else {
		s->val = *v;
		s->at = at;
	}
}

/* A value stands where sub-documents were expected: every path below gets it, marked; in a list only paths that do
 * not go on with a position. */
static void misplace(struct conv *c, struct scope *sc, const struct node *n, const struct val *v, bool is_list)
{
	for (size_t i = 0; i < n->nchildren; i++) {
		const struct node *child = &n->children[i];
		if (is_list && child->is_position)
			continue;
		if (child->slot >= 0)
			set_slot(c, &sc->slots[child->slot], v, AT_MISPLACED);
		if (child->scope_slot >= 0 && child->scope_slot != child->slot)
			set_slot(c, &sc->slots[child->scope_slot], v, AT_MISPLACED);
		misplace(c, sc, child, v, false);
	}
}

/* Unmapped fields that a column keeps are gathered as one BSON document, sub-documents around them included. */
static size_t leftover_open(struct conv *c, const struct node *n)
{
	size_t at = c->leftover.len;
	static const uint8_t length[4];
	buf_putc(&c->leftover, BSON_K_DOCUMENT);
	buf_put(&c->leftover, n->plan->key, n->plan->key_len + 1);
	buf_put(&c->leftover, length, sizeof length);
	return at;
}

void close_document(struct buf *b, size_t at)
{
	buf_putc(b, '\0');
	uint32_t n = (uint32_t)(b->len - at);
	if (buf_ok(b))
		memcpy(b->data + at, &n, 4);
}

static void leftover_close(struct conv *c, const struct node *n, size_t at)
{
	size_t body = at + 1 + n->plan->key_len + 1;
	if (c->leftover.len == body + 4)
		c->leftover.len = at; /* nothing was kept inside */
	else
		close_document(&c->leftover, body);
}

static void leftover_add(struct conv *c, const struct field *f)
{
	buf_putc(&c->leftover, (char)f->val.kind);
	buf_put(&c->leftover, f->key, f->key_len + 1);
	buf_put(&c->leftover, f->val.data, f->val.len);
}

static void unmapped(struct conv *c, const struct scope *sc, const struct node *n, const struct entry *e,
		     const struct field *f)
{
	count(c, e != NULL ? e->count : sc->keeps ? &c->kept_other : &c->unmapped_other);
	if (sc->keeps)
		leftover_add(c, f);
	if (!sc->refuses || c->unmapped_path != NULL)
		return;
	c->unmapped_path = unmapped_path(c, n, e, f);
	c->unmapped_value = f->val;
}

static bool take(struct conv *c, struct scope *sc, struct node *n, const struct val *v);

/* A list of which a path names positions. The elements that none names are unmapped: counted at the list's own path,
 * kept by their positions. */
static bool walk_list(struct conv *c, struct scope *sc, struct node *n, const struct val *v)
{
	struct doc_iter it;
	struct field f;
	char key[24];
	if (!doc_iter_val(&it, v))
		return false;
	for (unsigned long i = 0; doc_iter_next(&it, &f); i++) {
		f.key = key;
		f.key_len = (uint32_t)snprintf(key, sizeof key, "%lu", i);
		struct entry *e = find_wanted(n, f.key, f.key_len);
		if (e != NULL && e->node != NULL) {
			if (!take(c, sc, e->node, &f.val))
				return false;
		} else if (!n->covered) {
			unmapped(c, sc, n, elements_entry(c, sc, n), &f);
		}
	}
	return !it.corrupt;
}

bool walk_inside(struct conv *c, struct scope *sc, struct node *n, const struct val *v)
{
	bool is_list = v->kind == BSON_K_ARRAY && n->has_positions;
	if (v->kind != BSON_K_DOCUMENT && !at_is_nothing(at_of(v->kind)))
		misplace(c, sc, n, v, is_list);
	if (v->kind != BSON_K_DOCUMENT && !is_list)
		return true;
	bool keep = sc->keeps && n != &sc->root && !n->covered;
	size_t at = keep ? leftover_open(c, n) : 0;
	bool ok = is_list ? walk_list(c, sc, n, v) : walk(c, sc, n, v->data, v->len);
	if (keep)
		leftover_close(c, n, at);
	return ok;
}

/* --- a sub-document that stands twice --- */

static void set_aside_slot(struct conv *c, struct slot *s)
{
	struct twice *t = s->at == AT_TWICE ? twice_of(c, s) : NULL;
	if (c->naside == c->aside_cap) {
		c->aside_cap = c->aside_cap > 0 ? c->aside_cap * 2 : 8;
		c->aside = mem_realloc(c->aside, c->aside_cap * sizeof *c->aside);
	}
	c->aside[c->naside++] = (struct aside){s, t != NULL ? t->first : *s};
	*s = (struct slot){.twice = s->twice};
}

static void set_aside(struct conv *c, struct scope *sc, struct node *n)
{
	for (size_t i = 0; i < n->nchildren; i++) {
		struct node *child = &n->children[i];
		child->met = 0;
		if (child->slot >= 0)
			set_aside_slot(c, &sc->slots[child->slot]);
		if (child->scope_slot >= 0 && child->scope_slot != child->slot)
			set_aside_slot(c, &sc->slots[child->scope_slot]);
		set_aside(c, sc, child);
	}
}

/* What the first one held and what the second one holds become one value that stands twice. */
static void put_together(struct conv *c, const struct aside *a)
{
	struct slot *s = a->slot, second = *s;
	if (second.at == AT_TWICE) {
		twice_of(c, s)->first = a->first;
	} else if (second.at != AT_MISSING || a->first.at != AT_MISSING) {
		if (a->first.at != AT_MISSING)
			s->val = a->first.val;
		twice_set(c, s, &a->first, &second);
	}
}

/* Every path below the sub-document stands twice then, also one that only one of the two has. */
static bool take_again(struct conv *c, struct scope *sc, struct node *n, const struct val *v)
{
	size_t from = c->naside;
	set_aside(c, sc, n);
	bool ok = walk_inside(c, sc, n, v);
	for (size_t i = from; i < c->naside; i++)
		put_together(c, &c->aside[i]);
	c->naside = from;
	return ok;
}

static bool take(struct conv *c, struct scope *sc, struct node *n, const struct val *v)
{
	if (n->slot >= 0)
		set_slot(c, &sc->slots[n->slot], v, at_of(v->kind));
	if (n->scope_slot >= 0 && n->scope_slot != n->slot)
		set_slot(c, &sc->slots[n->scope_slot], v, at_of(v->kind));
	if (n->nchildren == 0)
		return true;
	if (__builtin_expect(n->met == c->serial, 0))
		return take_again(c, sc, n, v);
	n->met = c->serial;
	return walk_inside(c, sc, n, v);
}

bool walk(struct conv *c, struct scope *sc, struct node *n, const uint8_t *doc, size_t len)
{
	struct doc_iter it;
	struct field f;
	struct entry *last = &n->first;
	if (!doc_iter_init(&it, doc, len))
		return false;
	while (doc_iter_next(&it, &f)) {
		struct entry *e = guess(last, &f);
		if (e == NULL)
			e = look_up(c, sc, n, last, &f);
		if (e != NULL && e->node != NULL) {
			if (e->node->is_leaf)
				set_slot(c, &sc->slots[e->node->slot], &f.val, at_of(f.val.kind));
			else if (!take(c, sc, e->node, &f.val))
				return false;
		} else if (!n->covered) {
			unmapped(c, sc, n, e, &f);
		}
		if (e != NULL)
			last = e;
	}
	return !it.corrupt;
}

/* children.c - rows of child tables against the elements of the arrays that they were made of. */
#include <stdlib.h>

#include "batch.h"
#include "id.h"

void batch_send_counts(struct batch *b, int table)
{
	struct found *f = b->w->found;

	FOUND_COUNT(f, table, compared, b->compared);
	FOUND_COUNT(f, table, matched, b->matched);
	FOUND_COUNT(f, table, mismatched, b->mismatched);
	FOUND_COUNT(f, table, fields, b->fields);
	if (table == b->feed->main.table) { /* what a resume counts again for this table */
		b->all_compared += b->compared;
		b->all_fields += b->fields;
	}
	b->compared = b->matched = b->mismatched = b->fields = 0;
}

static bool compare_children(struct batch *b, const struct feed_table *t, struct owner *owners, size_t n,
			     struct err *err);

struct children {
	struct batch *b;
	const struct feed_table *t;
	struct pg_result *rows;
	int *next, *heads; /* rows by their parent's key */
	bool *used;
	size_t mask;
	struct owner *inner; /* rows that nested tables hang on */
	size_t ninner, inner_cap;
};

static int64_t row_ordinal(const struct children *c, int row)
{
	struct field_bytes f;

	f.data = pg_get_field(c->rows, row, c->t->columns[c->t->ordinal].at, &f.len);
	if (f.len <= 0 || f.len > 8)
		return -1;
	return (int64_t)(big_endian(f.data, (size_t)f.len));
}

static bool is_parent(const struct children *c, int row, const struct owner *o)
{
	return batch_row_key(c->b, c->rows, row, &c->t->columns[c->t->parent]) && c->b->scratch.len == o->key_len &&
	       memcmp(c->b->scratch.data, o->key, o->key_len) == 0;
}

/* The key of the element's own row, in the arena; false: none. */
static bool element_key(struct batch *b, const struct feed_table *t, struct view *v, const uint8_t **key, size_t *n)
{
	const struct column *c = &t->columns[t->key];
	struct val at;

	if (c->map == NULL || view_find(v, c->map->from, c->map->nfrom, c->spec.duplicate_keys, &at) != AT_VALUE)
		return false;
	buf_reset(&b->scratch);
	if (!key_of_val(&b->w->judge, &c->spec, &at, &b->scratch))
		return false;
	*n = b->scratch.len;
	*key = arena_memdup(b->w->arena, buf_cstr(&b->scratch), *n + 1);
	return true;
}

static void put_count(struct buf *out, uint64_t n, int bytes)
{
	while (bytes-- > 0)
		buf_putc(out, (char)(uint8_t)(n >> 8 * bytes));
}

/* UUIDv5 of: the number of the path's keys in 4 bytes, each key with its zero byte, the key above in its normal form
 * (jsonb: what its _id is, canonical), the position in 8 bytes. */
static bool made_key(struct batch *b, const struct item *it, const struct feed_table *t, const uint8_t *parent,
		     size_t n, int64_t ordinal, const uint8_t **key)
{
	uint8_t uuid[16];

	buf_reset(&b->name);
	put_count(&b->name, t->npath, 4);
	for (size_t i = 0; i < t->npath; i++)
		buf_put(&b->name, t->path[i], strlen(t->path[i]) + 1);
	if (!key_is_json(&t->columns[t->parent].spec.type))
		buf_put(&b->name, parent, n);
	else if (!id_canonical(&b->name, &it->id))
		return false;
	put_count(&b->name, (uint64_t)ordinal, 8);
	id_uuid_v5(t->columns[t->made].spec.id_namespace, b->name.data, b->name.len, uuid);
	*key = arena_memdup(b->w->arena, uuid, sizeof uuid);
	return true;
}

bool batch_own_key(struct batch *b, const struct item *it, const struct feed_table *t, struct view *v,
		   const uint8_t *parent, size_t np, int64_t ordinal, const uint8_t **key, size_t *n)
{
	*n = 16;
	if (t->made >= 0)
		return made_key(b, it, t, parent, np, ordinal, key);
	return t->key >= 0 && element_key(b, t, v, key, n);
}

/* The element's row among those of its parent: by ordinal, by its own key, or the first that is the same. */
static int find_row(struct children *c, const struct owner *o, struct view *v, int64_t ordinal)
{
	const uint8_t *key = NULL;
	size_t n = 0;
	bool by_key =
		c->t->ordinal < 0 && batch_own_key(c->b, o->item, c->t, v, o->key, o->key_len, ordinal, &key, &n);

	for (int r = c->heads[key_hash(0, o->key, o->key_len) & c->mask]; r >= 0; r = c->next[r]) {
		if (c->used[r] || !is_parent(c, r, o))
			continue;
		if (c->t->ordinal >= 0) {
			if (row_ordinal(c, r) == ordinal)
				return r;
		} else if (by_key) {
			if (batch_row_key(c->b, c->rows, r, &c->t->columns[c->t->key]) && c->b->scratch.len == n &&
			    memcmp(c->b->scratch.data, key, n) == 0)
				return r;
		} else {
			struct row row = {c->rows, r, c->t, o->item, ordinal, NULL, NULL};
			if (batch_row_is_same(c->b, &row, v))
				return r;
		}
	}
	return -1;
}

/* As the settling writes a row's key: the key's columns as a row value, or the one. */
static const char *child_key_text(struct children *c, const struct owner *o, int64_t ordinal, struct view *v)
{
	struct buf text;
	const uint8_t *key;
	size_t n;

	buf_init(&text, 0);
	if (batch_own_key(c->b, o->item, c->t, v, o->key, o->key_len, ordinal, &key, &n)) {
		key_write(&c->t->columns[c->t->key].spec.type, key, n, &text);
	} else {
		buf_putc(&text, '(');
		key_write(&c->t->columns[c->t->parent].spec.type, o->key, o->key_len, &text);
		buf_printf(&text, ",%lld)", (long long)ordinal);
	}
	const char *copy = arena_strdup(c->b->w->arena, buf_cstr(&text));
	buf_free(&text);
	return copy;
}

static void keep_inner(struct children *c, const struct owner *o, const struct val *element, int64_t ordinal,
		       struct view *v)
{
	struct owner in = {.item = o->item, .val = *element};

	if (c->t->nchildren == 0 ||
	    !batch_own_key(c->b, o->item, c->t, v, o->key, o->key_len, ordinal, &in.key, &in.key_len))
		return;
	if (c->ninner == c->inner_cap) {
		c->inner_cap = c->inner_cap > 0 ? 2 * c->inner_cap : 64;
		c->inner = mem_realloc(c->inner, c->inner_cap * sizeof *c->inner);
	}
	c->inner[c->ninner++] = in;
}

static void compare_with(struct children *c, const struct owner *o, const struct val *element, int64_t ordinal, int r)
{
	struct view *v = &c->b->w->inner;
	struct row row = {c->rows, r, c->t, o->item, ordinal, child_key_text(c, o, ordinal, v), NULL};

	c->used[r] = true;
	if (c->t->made >= 0 && !made_key(c->b, o->item, c->t, o->key, o->key_len, ordinal, &row.made))
		return;
	batch_compare_row(c->b, &row, v);
	keep_inner(c, o, element, ordinal, v);
}

/* False: it has no row, or none like it. */
static bool compare_element(struct children *c, const struct owner *o, const struct val *element, int64_t ordinal)
{
	view_set(&c->b->w->inner, element);
	int r = find_row(c, o, &c->b->w->inner, ordinal);
	if (r >= 0)
		compare_with(c, o, element, ordinal, r);
	return r >= 0;
}

static int unused_row(const struct children *c, const struct owner *o)
{
	for (int r = c->heads[key_hash(0, o->key, o->key_len) & c->mask]; r >= 0; r = c->next[r])
		if (!c->used[r] && is_parent(c, r, o))
			return r;
	return -1;
}

struct left_over {
	struct val val;
	int64_t ordinal;
};

/* Where the parent alone tells rows apart: elements and rows that are like no other are each other's, and differ. One
 * that is short is the tally's. */
static void compare_left(struct children *c, const struct owner *o, const struct left_over *left, size_t n)
{
	const char *table = batch_table(c->b, c->t->table);
	int r;

	for (size_t i = 0; i < n && (r = unused_row(c, o)) >= 0; i++) {
		if (listed_has(c->b->w->v->listed,
			       listed_element(table, o->item->wrapped, o->item->wrapped_len, left[i].ordinal), NULL))
			continue;
		view_set(&c->b->w->inner, &left[i].val);
		compare_with(c, o, &left[i].val, left[i].ordinal, r);
	}
}

static size_t count_elements(const struct val *array)
{
	struct doc_iter it;
	struct field f;
	size_t n = 0;

	if (doc_iter_val(&it, array))
		while (doc_iter_next(&it, &f))
			n++;
	return n;
}

static void compare_elements(struct children *c, const struct owner *o)
{
	struct view above = {0};
	struct doc_iter it;
	struct field f;
	struct val array;
	int64_t ordinal = 0;
	size_t n = 0;
	bool by_parent = c->t->ordinal < 0 && c->t->key < 0;

	view_set(&above, &o->val);
	if (view_find(&above, c->t->path, c->t->npath, DUP_REJECT, &array) == AT_VALUE &&
	    array.kind == BSON_K_ARRAY && doc_iter_val(&it, &array)) {
		size_t most = by_parent ? count_elements(&array) : 0;
		struct left_over *left = arena_alloc(c->b->w->arena, (most + 1) * sizeof *left);
		for (; doc_iter_next(&it, &f); ordinal++)
			if (!compare_element(c, o, &f.val, ordinal) && by_parent)
				left[n++] = (struct left_over){f.val, ordinal};
		compare_left(c, o, left, n);
	}
	view_free(&above);
}

static void chain_rows(struct children *c)
{
	int n = pg_rows(c->rows);

	for (c->mask = 63; c->mask < (size_t)n; c->mask = 2 * c->mask + 1)
		;
	c->heads = arena_alloc(c->b->w->arena, (c->mask + 1) * sizeof *c->heads);
	c->next = arena_alloc(c->b->w->arena, ((size_t)n + 1) * sizeof *c->next);
	c->used = arena_alloc(c->b->w->arena, (size_t)n + 1);
	memset(c->heads, 0xff, (c->mask + 1) * sizeof *c->heads);
	for (int r = n - 1; r >= 0; r--) {
		(void)batch_row_key(c->b, c->rows, r, &c->t->columns[c->t->parent]);
		size_t at = key_hash(0, c->b->scratch.data, c->b->scratch.len) & c->mask;
		c->next[r] = c->heads[at];
		c->heads[at] = r;
	}
}

static bool compare_children(struct batch *b, const struct feed_table *t, struct owner *owners, size_t n,
			     struct err *err)
{
	struct children c = {.b = b, .t = t};
	bool ok = true;

	if (n == 0 || t->select == NULL || !b->w->v->exists[t->table])
		return true;
	buf_reset(&b->keys);
	buf_putc(&b->keys, '{');
	for (size_t i = 0; i < n; i++)
		batch_put_key(&b->keys, &t->columns[t->parent].spec.type, owners[i].key, owners[i].key_len,
			      &b->scratch);
	if (!batch_ask(b, t, &c.rows, err))
		return false;
	chain_rows(&c);
	for (size_t i = 0; i < n; i++)
		compare_elements(&c, &owners[i]);
	pg_result_free(c.rows);
	batch_send_counts(b, t->table);
	for (size_t i = 0; ok && i < t->nchildren; i++)
		ok = compare_children(b, &t->children[i], c.inner, c.ninner, err);
	free(c.inner);
	return ok;
}

bool batch_compare_children(struct batch *b, struct err *err)
{
	struct feed_table *main = &b->feed->main;
	struct owner *owners = arena_alloc(b->w->arena, (b->n + 1) * sizeof *owners);
	bool ok = true;

	for (size_t i = 0; ok && i < main->nchildren; i++) {
		const struct feed_table *t = &main->children[i];
		size_t n = 0;
		for (size_t k = 0; k < b->n; k++) {
			struct item *it = &b->items[k];
			struct owner o = {.item = it, .val = batch_whole(b->docs.data + it->at, it->len)};
			buf_reset(&b->scratch);
			if (!key_of_val(&b->w->judge, &t->owner, &it->id, &b->scratch))
				continue;
			o.key_len = b->scratch.len;
			o.key = arena_memdup(b->w->arena, buf_cstr(&b->scratch), o.key_len + 1);
			owners[n++] = o;
		}
		ok = compare_children(b, t, owners, n, err);
	}
	return ok;
}

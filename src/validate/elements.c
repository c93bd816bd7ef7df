/* elements.c - of every document: its key, its elements and its pairs go into the tally. */
#include "batch.h"

/* key: of the element's row; NULL: it has none. */
static uint64_t element_hash(const struct feed_table *t, const uint8_t *parent, size_t n, const uint8_t *key,
			     size_t len, int64_t ordinal)
{
	uint8_t be[8];

	if (t->ordinal >= 0) {
		for (int i = 0; i < 8; i++)
			be[i] = (uint8_t)((uint64_t)ordinal >> (56 - 8 * i));
		return pair_hash(parent, n, be, 8);
	}
	return key != NULL ? pair_hash(parent, n, key, len) : key_hash(0, parent, n);
}

void batch_add_key(struct batch *b, const struct item *it, const struct feed_table *t, int table,
		   enum tally_side side, uint64_t hash, int64_t ordinal, const char *path)
{
	const struct odd *odd;

	if (!b->reads_only) {
		if (side == TALLY_MAYBE)
			b->digest += hash | 1; /* what was explained is not proved */
		tally_add(b->w->tally, (uint32_t)table, side, hash);
		return;
	}
	if (side == TALLY_MAYBE || (odd = odd_take(b->w, (uint32_t)table, hash, true)) == NULL)
		return;
	struct validate_finding x = {.kind = odd->kind, .table = batch_table(b, table), .path = path};
	if (ordinal >= 0)
		x.detail = arena_printf(b->w->arena, "element %lld", (long long)ordinal);
	batch_tell(b, it, t, x);
}

static void note_elements(struct batch *b, const struct item *it, const struct feed_table *t, struct view *above,
			  const uint8_t *parent, size_t n, bool maybe);

/* One element: is a row expected? And of the arrays inside it. */
static void note_element(struct batch *b, const struct item *it, const struct feed_table *t, const struct val *e,
			 const uint8_t *parent, size_t n, int64_t ordinal, bool maybe)
{
	struct view v = {0};
	const uint8_t *key = NULL;
	size_t len = 0;
	const char *table = batch_table(b, t->table);

	view_set(&v, e);
	bool has_key = batch_own_key(b, it, t, &v, parent, n, ordinal, &key, &len);
	maybe = maybe ||
		listed_has(b->w->v->listed, listed_element(table, it->wrapped, it->wrapped_len, ordinal), NULL) ||
		(has_key && listed_has(b->w->v->listed, listed_key(table, key, len), NULL));
	batch_add_key(b, it, t, t->table, maybe ? TALLY_MAYBE : TALLY_DOC,
		      element_hash(t, parent, n, has_key ? key : NULL, len, ordinal), ordinal, t->path_text);
	for (size_t i = 0; has_key && i < t->nchildren; i++)
		note_elements(b, it, &t->children[i], &v, key, len, maybe);
	view_free(&v);
}

static bool has_bad_shape(struct batch *b, const struct item *it, enum at_path found, const struct val *array,
			  bool takes_one, int table, const char *path, bool maybe)
{
	if (found == AT_MISSING || found == AT_NULL)
		return true;
	if (found == AT_VALUE && (array->kind == BSON_K_ARRAY || takes_one))
		return false;
	if (!maybe && !b->reads_only)
		batch_tell(b, it, NULL,
			   (struct validate_finding){
				   .kind = FOUND_UNFIT,
				   .table = batch_table(b, table),
				   .path = path,
				   .detail = "not an array, and the document is not listed as rejected"});
	return true;
}

static void note_elements(struct batch *b, const struct item *it, const struct feed_table *t, struct view *above,
			  const uint8_t *parent, size_t n, bool maybe)
{
	struct doc_iter iter;
	struct field f;
	struct val array;
	enum at_path found = view_find(above, t->path, t->npath, DUP_REJECT, &array);
	int64_t ordinal = 0;

	if (has_bad_shape(b, it, found, &array, false, t->table, t->path_text, maybe))
		return;
	if (doc_iter_val(&iter, &array))
		for (; doc_iter_next(&iter, &f); ordinal++)
			note_element(b, it, t, &f.val, parent, n, ordinal, maybe);
	b->elements[t->table] += (uint64_t)ordinal;
}

void batch_note_children(struct batch *b, const struct item *it, struct view *v, bool maybe)
{
	struct feed_table *main = &b->feed->main;

	for (size_t i = 0; i < main->nchildren; i++) {
		const struct feed_table *t = &main->children[i];
		buf_reset(&b->owner);
		if (t->parent >= 0 && key_of_val(&b->w->judge, &t->owner, &it->id, &b->owner))
			note_elements(b, it, t, v, b->owner.data, b->owner.len, maybe);
	}
}

static void note_pair(struct batch *b, const struct item *it, const struct feed_pairs *p, const struct val *e,
		      int64_t ordinal, bool maybe)
{
	struct buf *other = &b->scratch, *owner = &b->owner;
	const char *table = batch_table(b, p->table);

	buf_reset(other);
	if (val_is_nothing(e) || !key_of_val(&b->w->judge, &p->element, e, other)) {
		if (!maybe && !b->reads_only &&
		    !listed_has(b->w->v->listed, listed_element(table, it->wrapped, it->wrapped_len, ordinal), NULL))
			batch_tell(b, it, NULL,
				   (struct validate_finding){
					   .kind = FOUND_MISSING_ELEMENT,
					   .table = table,
					   .path = p->path_text,
					   .detail = arena_printf(
						   b->w->arena, "element %lld is no id and is not listed as rejected",
						   (long long)ordinal)});
		return;
	}
	uint64_t hash = p->left ? pair_hash(owner->data, owner->len, other->data, other->len)
				: pair_hash(other->data, other->len, owner->data, owner->len);
	batch_add_key(b, it, NULL, p->table,
		      maybe     ? TALLY_MAYBE
		      : p->left ? TALLY_DOC
				: TALLY_RIGHT,
		      hash, ordinal, p->path_text);
}

void batch_note_pairs(struct batch *b, const struct item *it, struct view *v, const struct feed_pairs *p, bool maybe)
{
	struct doc_iter iter;
	struct field f;
	struct val array;
	enum at_path found = view_find(v, p->path, p->npath, DUP_REJECT, &array);
	int64_t ordinal = 0;

	if (has_bad_shape(b, it, found, &array, p->scalar_array, p->table, p->path_text, maybe))
		return;
	buf_reset(&b->owner);
	if (!key_of_val(&b->w->judge, &p->owner, &it->id, &b->owner))
		return;
	if (array.kind != BSON_K_ARRAY)
		note_pair(b, it, p, &array, ordinal++, maybe);
	else if (doc_iter_val(&iter, &array))
		for (; doc_iter_next(&iter, &f); ordinal++)
			note_pair(b, it, p, &f.val, ordinal, maybe);
	b->elements[p->table] += (uint64_t)ordinal;
}

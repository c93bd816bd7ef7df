/* chunk.c - a stretch of documents: keys, elements and pairs go into the tally; of documents that are to be compared
 * the rows are asked for by key, some hundred at a time, and every field is looked at.
 *
 * What has no row, or no document, is not told here but by the tally, which sees both sides whole.
 */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "batch.h"
#include "extjson.h"
#include "id.h"

#define FEW 16 /* documents: others between their keys may be large */

static struct item document_of(const uint8_t *doc, size_t len)
{
	struct item it = {.len = len};

	if (!doc_find(doc, len, "_id", &it.id))
		it.id = (struct val){0};
	return it;
}

static struct val whole(const uint8_t *doc, size_t len)
{
	return (struct val){.data = doc, .len = (uint32_t)len, .kind = BSON_K_DOCUMENT};
}

static const char *id_text(struct batch *b, const struct val *id)
{
	struct buf text;

	if (id->kind == 0)
		return NULL;
	buf_init(&text, 0);
	extjson_write_val_safe(&text, id);
	const char *copy = arena_strdup(b->w->arena, buf_cstr(&text));
	buf_free(&text);
	return copy;
}

static const char *key_text_of(struct batch *b, const struct feed_table *t, const uint8_t *key, size_t n)
{
	struct buf text;

	if (t->key < 0 || key == NULL)
		return NULL;
	buf_init(&text, 0);
	key_write(&t->columns[t->key].spec.type, key, n, &text);
	const char *copy = arena_strdup(b->w->arena, buf_cstr(&text));
	buf_free(&text);
	return copy;
}

static const char *table_name(const struct batch *b, int table)
{
	return b->w->v->plan->schema.tables[table].name;
}

void batch_tell(struct batch *b, const struct item *it, const struct feed_table *t, struct validate_finding x)
{
	assert(b->feed != NULL);
	x.table = t != NULL ? table_name(b, t->table) : x.table;
	x.collection = b->feed->collection->name;
	x.id = id_text(b, &it->id);
	x.id_hash = listed_document(x.collection, it->wrapped, it->wrapped_len);
	if (x.key == NULL)
		x.key = key_text_of(b, &b->feed->main, it->key, it->key_len);
	found_add(b->w->found, &x);
	b->found++;
}

/* --- what is listed --- */

static bool is_explained(struct batch *b, struct item *it, const uint8_t *doc, enum fault *fault)
{
	const struct listed *l = b->w->v->listed;
	const char *name = b->feed->collection->name;

	if (listed_is_empty(l))
		return false;
	if (it->id.kind == 0)
		return listed_has(l, listed_bytes(name, doc, it->len), fault);
	if (listed_has(l, listed_document(name, it->wrapped, it->wrapped_len), fault))
		return true;
	return it->key != NULL &&
	       listed_has(l, listed_key(table_name(b, b->feed->main.table), it->key, it->key_len), fault);
}

static bool is_listed_cell(const struct batch *b, enum listed_kind k, const char *table, const char *column,
			   const struct item *it, int64_t ordinal, const char *row_key)
{
	const struct listed *l = b->w->v->listed;

	return listed_has(l, listed_cell(k, table, column, it->wrapped, it->wrapped_len, ordinal), NULL) ||
	       (row_key != NULL && listed_has(l, listed_cell_key(k, table, column, row_key, strlen(row_key)), NULL));
}

/* --- one row --- */

static struct field_bytes field_of(const struct row *r, const struct column *c)
{
	struct field_bytes f;

	f.data = pg_get_field(r->result, r->index, c->at, &f.len);
	return f;
}

/* Is a change of this reference listed? The list cannot name a document of a table that holds neither key nor _id:
 * then their number counts, which layer types compares. */
static bool is_changed(const struct batch *b, enum listed_kind k, const struct row *r, const struct column *c)
{
	const char *table = table_name(b, r->t->table);

	if (r->t->is_matched && r->t->key < 0)
		return listed_count(b->w->v->listed, k, table, c->name) > 0;
	/* rows without an ordinal are listed by their document alone */
	return is_listed_cell(b, k, table, c->name, r->item, r->ordinal, r->key) ||
	       (r->t->ordinal < 0 && is_listed_cell(b, k, table, c->name, r->item, -1, r->key));
}

/* Did a reference of the row give its value to this column, listed, and is it that value? */
static bool is_moved_here(struct batch *b, const struct row *r, const struct column *c, struct view *v,
			  struct field_bytes f)
{
	const struct schema *s = &b->w->v->plan->schema;
	struct cell cell;

	for (size_t i = 0; i < s->nrefs; i++) {
		const struct schema_ref *ref = &s->refs[i];
		if (ref->table != r->t->table || ref->move_to != c->column)
			continue;
		for (size_t k = 0; k < r->t->ncolumns; k++) {
			const struct column *from = &r->t->columns[k];
			if (from->column != ref->column || from->map == NULL || !is_changed(b, LISTED_MOVED, r, from))
				continue;
			column_check(&b->w->judge, from, v, &r->item->id, f, &cell);
			if (cell.result == CELL_SAME)
				return true;
		}
	}
	return false;
}

static bool is_taken_away(const struct batch *b, const struct row *r, const struct column *c)
{
	return is_changed(b, LISTED_NULL, r, c) || is_changed(b, LISTED_MOVED, r, c);
}

static const char *value_text(struct batch *b, const struct val *v)
{
	return b->w->v->o.log_values ? (v->kind == 0 ? "(missing)" : id_text(b, v)) : NULL;
}

static const char *field_text(struct batch *b, const struct column *c, struct field_bytes f)
{
	struct buf text, key;
	const char *copy;

	if (!b->w->v->o.log_values)
		return NULL;
	if (f.len < 0)
		return "NULL";
	buf_init(&text, 0);
	buf_init(&key, 0);
	if (!c->spec.type.array && key_is_json(&c->spec.type))
		buf_put(&text, f.data + (c->spec.type.base == PGT_JSONB),
			(size_t)f.len - (c->spec.type.base == PGT_JSONB));
	else if (!c->spec.type.array && key_of_field(&b->w->judge, &c->spec.type, f, &key))
		key_write(&c->spec.type, key.data, key.len, &text);
	else
		for (int i = 0; i < f.len; i++)
			buf_printf(&text, "%02x", f.data[i]);
	copy = arena_strdup(b->w->arena, buf_cstr(&text));
	buf_free(&text);
	buf_free(&key);
	return copy;
}

static void tell_cell(struct batch *b, const struct row *r, const struct column *c, const struct cell *cell,
		      enum validate_kind kind, struct field_bytes f)
{
	struct validate_finding x = {.kind = kind,
				     .key = r->key,
				     .path = c->path,
				     .column = c->name,
				     .expected = value_text(b, &cell->val),
				     .found = field_text(b, c, f)};

	if (r->ordinal >= 0)
		x.detail = arena_printf(b->w->arena, "element %lld", (long long)r->ordinal);
	if (kind == FOUND_UNFIT) {
		x.detail = arena_printf(b->w->arena, "%s", fault_sentence(cell->why));
		x.fault = fault_name(cell->why);
	}
	batch_tell(b, r->item, r->t, x);
}

#define NO_FAULT VALIDATE_KIND_COUNT

/* What is wrong with the field, or NO_FAULT. */
static enum validate_kind cell_fault(struct batch *b, const struct row *r, const struct column *c, struct view *v,
				     const struct cell *cell, struct field_bytes f)
{
	if (cell->result == CELL_SAME)
		return !cell->replaced || !b->w->v->has_state ||
				       is_listed_cell(b, LISTED_REPLACED, table_name(b, r->t->table), c->name,
						      r->item, r->ordinal, NULL)
			       ? NO_FAULT
			       : FOUND_UNLISTED;
	if (cell->result == CELL_REJECT)
		return FOUND_UNFIT;
	if (f.len < 0)
		return is_taken_away(b, r, c) ? NO_FAULT : FOUND_NULLED;
	if (is_moved_here(b, r, c, v, f))
		return NO_FAULT;
	return cell->expects_null ? FOUND_NOT_NULL : FOUND_VALUE;
}

/* True when the field is as it should be. */
static bool check_cell(struct batch *b, const struct row *r, const struct column *c, struct view *v,
		       const struct cell *cell, struct field_bytes f)
{
	enum validate_kind fault = cell_fault(b, r, c, v, cell, f);

	if (fault != NO_FAULT)
		tell_cell(b, r, c, cell, fault, f);
	return fault == NO_FAULT;
}

/* What the documents say about a column, for layer types. */
static void note_stats(struct worker *w, int table, const struct column *c, const struct cell *cell)
{
	struct column_stats *s = &w->stats[table][c->column];
	unsigned kind = cell->val.kind == 0 ? MATRIX_KINDS : matrix_kind(cell->val.kind);

	s->kinds[kind] += c->feed != PLAN_FEED_VALUE;
	s->misfits[kind] += cell->result == CELL_REJECT;
	if (cell->expects_null || cell->result == CELL_REJECT)
		return;
	s->values++;
	if (cell->val.kind == BSON_K_DATE && !cell->replaced) {
		int64_t ms = val_i64(&cell->val);
		s->least = ms < s->least ? ms : s->least;
		s->most = ms > s->most ? ms : s->most;
	}
	if (cell->val.kind == BSON_K_DOUBLE) {
		double d = val_double(&cell->val);
		s->nan += d != d;
	} else if (cell->val.kind == BSON_K_DECIMAL128 || cell->val.kind == BSON_K_STRING) {
		s->nan++; /* might be */
	}
}

static bool is_compared(const struct column *c)
{
	return c->map != NULL && (c->feed == PLAN_FEED_SLOT || c->feed == PLAN_FEED_ID || c->feed == PLAN_FEED_VALUE);
}

/* The rest of the document where it is to be kept, and none where it is to be refused. */
static enum validate_kind leftover_fault(struct batch *b, const struct row *r, const struct column *c,
					 const struct val *whole_val, struct cell *cell)
{
	struct field_bytes f = field_of(r, c);
	enum verdict same;

	*cell = (struct cell){.result = CELL_DIFFERENT};
	if (!leftover_of(r->t, whole_val, &b->leftover, &cell->val)) {
		cell->expects_null = true;
		return f.len < 0 ? NO_FAULT : FOUND_NOT_NULL;
	}
	same = check_value(&b->w->judge, &c->spec, &cell->val, f);
	cell->why = b->w->judge.why;
	return same == SAME ? NO_FAULT : same == UNFIT ? FOUND_UNFIT : f.len < 0 ? FOUND_NULLED : FOUND_VALUE;
}

static bool compare_leftover(struct batch *b, const struct row *r, const struct column *c,
			     const struct val *whole_val)
{
	struct cell cell;
	enum validate_kind fault = leftover_fault(b, r, c, whole_val, &cell);

	if (fault != NO_FAULT)
		tell_cell(b, r, c, &cell, fault, field_of(r, c));
	return fault == NO_FAULT;
}

static bool has_unwanted_rest(struct batch *b, const struct row *r, const struct val *whole_val)
{
	struct val rest;

	if (r->t->unmapped != MAP_UNMAPPED_REJECT || !leftover_of(r->t, whole_val, &b->leftover, &rest))
		return false;
	batch_tell(b, r->item, r->t,
		   (struct validate_finding){.kind = FOUND_UNFIT,
					     .key = r->key,
					     .detail = fault_sentence(FAULT_UNMAPPED),
					     .fault = fault_name(FAULT_UNMAPPED)});
	return true;
}

/* The key that the mapping asks to be made. */
static bool compare_made(struct batch *b, const struct row *r, const struct column *c)
{
	struct field_bytes f = field_of(r, c);
	char text[37];

	if (f.len == 16 && memcmp(f.data, r->made, 16) == 0)
		return true;
	id_uuid_text(r->made, text);
	batch_tell(b, r->item, r->t,
		   (struct validate_finding){
			   .kind = FOUND_VALUE,
			   .key = r->key,
			   .path = r->t->path_text,
			   .column = c->name,
			   .expected = text,
			   .found = field_text(b, c, f),
			   .detail = arena_printf(b->w->arena, "element %lld", (long long)r->ordinal)});
	return false;
}

/* Of a matched table the columns were noted on the first look. */
static bool notes_stats(const struct batch *b)
{
	return b->look == LOOK_ALL;
}

bool batch_row_is_same(struct batch *b, const struct row *r, struct view *v)
{
	struct val rest;
	struct cell cell;

	if (r->t->unmapped == MAP_UNMAPPED_REJECT && leftover_of(r->t, &v->val, &b->leftover, &rest))
		return false;
	for (size_t i = 0; i < r->t->ncolumns; i++) {
		const struct column *c = &r->t->columns[i];
		if (c->feed == PLAN_FEED_UNMAPPED && leftover_fault(b, r, c, &v->val, &cell) != NO_FAULT)
			return false;
		if (!is_compared(c))
			continue;
		struct field_bytes f = field_of(r, c);
		column_check(&b->w->judge, c, v, &r->item->id, f, &cell);
		if (cell_fault(b, r, c, v, &cell, f) != NO_FAULT)
			return false;
	}
	return true;
}

bool batch_compare_row(struct batch *b, const struct row *r, struct view *v)
{
	struct cell cell;
	bool ok = !has_unwanted_rest(b, r, &v->val);

	for (size_t i = 0; i < r->t->ncolumns; i++) {
		const struct column *c = &r->t->columns[i];
		if (c->feed == PLAN_FEED_UNMAPPED) {
			ok &= compare_leftover(b, r, c, &v->val);
			b->fields++;
		}
		if (c->feed == PLAN_FEED_ROW_KEY) {
			ok &= compare_made(b, r, c);
			b->fields++;
		}
		if (!is_compared(c))
			continue;
		struct field_bytes f = field_of(r, c);
		column_check(&b->w->judge, c, v, &r->item->id, f, &cell);
		if (notes_stats(b))
			note_stats(b->w, r->t->table, c, &cell);
		ok &= check_cell(b, r, c, v, &cell, f);
		b->fields++;
	}
	b->compared++;
	b->matched += ok;
	b->mismatched += !ok;
	return ok;
}

/* --- asking for rows --- */

static void put_element(struct buf *out, const struct pgtype *t, const uint8_t *key, size_t n, struct buf *scratch)
{
	buf_putc(out, out->len > 1 ? ',' : ' ');
	buf_putc(out, '"');
	buf_reset(scratch);
	key_write(t, key, n, scratch);
	for (size_t i = 0; i < scratch->len; i++) {
		if (scratch->data[i] == '"' || scratch->data[i] == '\\')
			buf_putc(out, '\\');
		buf_putc(out, (char)scratch->data[i]);
	}
	buf_putc(out, '"');
}

static bool ask(struct batch *b, const struct feed_table *t, struct pg_result **r, struct err *err)
{
	buf_putc(&b->keys, '}');
	struct pg_param p = PG_TEXT(buf_cstr(&b->keys));

	return pg_query_binary(b->w->pg, t->select, &p, 1, r, err);
}

/* The normal form of a field of row i, lent from b->scratch. */
static bool row_key(struct batch *b, const struct pg_result *r, int i, const struct column *c)
{
	struct field_bytes f;

	buf_reset(&b->scratch);
	f.data = pg_get_field(r, i, c->at, &f.len);
	return key_of_field(&b->w->judge, &c->spec.type, f, &b->scratch);
}

/* --- child tables --- */

void batch_send_counts(struct batch *b, int table)
{
	struct found *f = b->w->found;

	FOUND_COUNT(f, table, compared, b->compared);
	FOUND_COUNT(f, table, matched, b->matched);
	FOUND_COUNT(f, table, mismatched, b->mismatched);
	FOUND_COUNT(f, table, fields, b->fields);
	b->all_compared += b->compared;
	b->all_fields += b->fields;
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
	return row_key(c->b, c->rows, row, &c->t->columns[c->t->parent]) && c->b->scratch.len == o->key_len &&
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

/* The key of an element's row, whichever it is: made, or carried by the element. parent: that of the row above. */
static bool own_key(struct batch *b, const struct item *it, const struct feed_table *t, struct view *v,
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
	bool by_key = c->t->ordinal < 0 && own_key(c->b, o->item, c->t, v, o->key, o->key_len, ordinal, &key, &n);

	for (int r = c->heads[key_hash(0, o->key, o->key_len) & c->mask]; r >= 0; r = c->next[r]) {
		if (c->used[r] || !is_parent(c, r, o))
			continue;
		if (c->t->ordinal >= 0) {
			if (row_ordinal(c, r) == ordinal)
				return r;
		} else if (by_key) {
			if (row_key(c->b, c->rows, r, &c->t->columns[c->t->key]) && c->b->scratch.len == n &&
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
	if (own_key(c->b, o->item, c->t, v, o->key, o->key_len, ordinal, &key, &n)) {
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
	struct owner in = {.item = o->item, .val = *element, .next = -1};

	if (c->t->nchildren == 0 ||
	    !own_key(c->b, o->item, c->t, v, o->key, o->key_len, ordinal, &in.key, &in.key_len))
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
	const char *table = table_name(c->b, c->t->table);
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
		(void)row_key(c->b, c->rows, r, &c->t->columns[c->t->parent]);
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
		put_element(&b->keys, &t->columns[t->parent].spec.type, owners[i].key, owners[i].key_len,
			    &b->scratch);
	if (!ask(b, t, &c.rows, err))
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

static bool compare_all_children(struct batch *b, struct err *err)
{
	struct feed_table *main = &b->feed->main;
	struct owner *owners = arena_alloc(b->w->arena, (b->n + 1) * sizeof *owners);
	bool ok = true;

	for (size_t i = 0; ok && i < main->nchildren; i++) {
		const struct feed_table *t = &main->children[i];
		size_t n = 0;
		for (size_t k = 0; k < b->n; k++) {
			struct item *it = &b->items[k];
			struct owner o = {.item = it, .val = whole(b->docs.data + it->at, it->len), .next = -1};
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

/* --- main tables --- */

static void compare_item(struct batch *b, const struct pg_result *rows, int r, const struct item *it)
{
	struct row row = {rows, r, &b->feed->main, it, -1, it->key_text, NULL};
	struct val doc = whole(b->docs.data + it->at, it->len);

	view_set(&b->w->view, &doc);
	batch_compare_row(b, &row, &b->w->view);
}

static bool is_same_key(const struct batch *b, const struct item *it)
{
	return b->scratch.len == it->key_len && memcmp(b->scratch.data, it->key, it->key_len) == 0;
}

static void compare_rows(struct batch *b, const struct pg_result *rows)
{
	int heads[1024];
	const struct column *key = &b->feed->main.columns[b->feed->main.key];

	memset(heads, 0xff, sizeof heads);
	for (size_t i = b->n; i-- > 0;) {
		struct item *it = &b->items[i];
		size_t at = key_hash(0, it->key, it->key_len) & 1023;
		it->next = heads[at];
		heads[at] = (int)i;
	}
	for (int r = 0; r < pg_rows(rows); r++) {
		if (!row_key(b, rows, r, key))
			continue;
		arena_reset(b->w->judge.arena);
		for (int i = heads[key_hash(0, b->scratch.data, b->scratch.len) & 1023]; i >= 0; i = b->items[i].next)
			if (is_same_key(b, &b->items[i])) {
				compare_item(b, rows, r, &b->items[i]);
				break;
			}
	}
}

static void put_keys(struct batch *b)
{
	const struct feed_table *t = &b->feed->main;

	buf_reset(&b->keys);
	buf_putc(&b->keys, '{');
	for (size_t i = 0; i < b->n; i++)
		put_element(&b->keys, &t->columns[t->key].spec.type, b->items[i].key, b->items[i].key_len,
			    &b->scratch);
}

static bool is_ascending(const struct batch *b)
{
	for (size_t i = 1; i < b->n; i++)
		if (memcmp(b->items[i - 1].key, b->items[i].key, 16) >= 0)
			return false;
	return true;
}

/* Documents come in the order of their keys mostly, and so do rows: one range of the index in place of as many
 * searches. *asked false: there is too much between. */
static bool ask_between(struct batch *b, struct pg_result **rows, bool *asked, struct err *err)
{
	const struct feed_table *t = &b->feed->main;
	char first[37], last[37], most[24];
	struct pg_param p[] = {PG_TEXT(first), PG_TEXT(last), PG_TEXT(most)};

	*asked = t->select_between != NULL && b->w->v->o.full && !atomic_load(&b->feed->sparse) && b->n >= FEW &&
		 is_ascending(b);
	if (!*asked)
		return true;
	id_uuid_text(b->items[0].key, first);
	id_uuid_text(b->items[b->n - 1].key, last);
	snprintf(most, sizeof most, "%zu", b->n + b->n / 8 + 1);
	if (!pg_query_binary(b->w->pg, t->select_between, p, 3, rows, err))
		return false;
	if (pg_rows(*rows) <= (int)(b->n + b->n / 8))
		return true;
	pg_result_freep(rows);
	*rows = NULL;
	*asked = false;
	atomic_store(&b->feed->sparse, true);
	return true;
}

static bool ask_rows(struct batch *b, struct pg_result **rows, struct err *err)
{
	bool asked;

	if (!ask_between(b, rows, &asked, err))
		return false;
	if (asked)
		return true;
	put_keys(b);
	return ask(b, &b->feed->main, rows, err);
}

static bool compare_now(struct batch *b, struct err *err)
{
	const struct feed_table *t = &b->feed->main;
	_cleanup_(pg_result_freep) struct pg_result *rows = NULL;
	bool ok = true;

	if (t->is_matched && b->n > 0) {
		ok = match_batch(b, err);
		batch_send_counts(b, t->table);
	} else if (b->n > 0 && t->select != NULL && b->w->v->exists[t->table]) {
		ok = ask_rows(b, &rows, err);
		if (ok)
			compare_rows(b, rows);
		batch_send_counts(b, t->table);
		ok = ok && compare_all_children(b, err);
	}
	b->n = 0;
	buf_reset(&b->docs);
	arena_reset(b->w->arena);
	return ok;
}

static void clear_view(struct view *v)
{
	view_free(v);
	*v = (struct view){0};
}

/* What a document of many MB made grow, libpq's buffers among it: they go with the connection. */
static bool give_back(struct batch *b, struct err *err)
{
	struct worker *w = b->w;
	struct buf *bufs[] = {&b->docs,     &b->keys, &b->scratch,    &b->owner,
			      &b->leftover, &b->name, &w->judge.text, &w->judge.key};

	for (size_t i = 0; i < sizeof bufs / sizeof bufs[0]; i++)
		buf_trim(bufs[i], BATCH_BYTES);
	clear_view(&w->view);
	clear_view(&w->inner);
	arena_trim(w->arena);
	arena_trim(w->judge.arena);
	/* without a snapshot another connection would see another moment */
	bool ok = w->pg == NULL || current_snapshot(w->v) == NULL;
	if (!ok) {
		pg_closep(&w->pg);
		ok = target_open(w->v, &w->pg, err);
	}
	mem_trim();
	return ok;
}

/* A document near the 16 MB limit, its row and what both are read into take many times its size: one at a time. */
static bool compare_batch(struct batch *b, struct err *err)
{
	if (b->docs.len < BIG_BYTES)
		return compare_now(b, err);
	pthread_mutex_lock(&b->w->v->big_slot);
	bool ok = compare_now(b, err) && give_back(b, err);
	pthread_mutex_unlock(&b->w->v->big_slot);
	return ok;
}

/* --- every document: keys, elements, pairs --- */

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

static void add_key(struct batch *b, const struct item *it, const struct feed_table *t, int table,
		    enum tally_side side, uint64_t hash, int64_t ordinal, const char *path)
{
	const struct odd *odd;

	if (!b->reads_only) {
		tally_add(b->w->tally, (uint32_t)table, side, hash);
		return;
	}
	if (side == TALLY_MAYBE || (odd = odd_take(b->w, (uint32_t)table, hash, true)) == NULL)
		return;
	struct validate_finding x = {.kind = odd->kind, .table = table_name(b, table), .path = path};
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
	const char *table = table_name(b, t->table);

	view_set(&v, e);
	bool has_key = own_key(b, it, t, &v, parent, n, ordinal, &key, &len);
	maybe = maybe ||
		listed_has(b->w->v->listed, listed_element(table, it->wrapped, it->wrapped_len, ordinal), NULL) ||
		(has_key && listed_has(b->w->v->listed, listed_key(table, key, len), NULL));
	add_key(b, it, t, t->table, maybe ? TALLY_MAYBE : TALLY_DOC,
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
				   .table = table_name(b, table),
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

static void note_children(struct batch *b, const struct item *it, struct view *v, bool maybe)
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
	const char *table = table_name(b, p->table);

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
	add_key(b, it, NULL, p->table,
		maybe     ? TALLY_MAYBE
		: p->left ? TALLY_DOC
			  : TALLY_RIGHT,
		hash, ordinal, p->path_text);
}

static void note_pairs(struct batch *b, const struct item *it, struct view *v, const struct feed_pairs *p, bool maybe)
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

/* --- a document --- */

static bool is_about_values(enum fault f)
{
	return (f >= FAULT_MISSING && f <= FAULT_DUPLICATE_KEY) || f == FAULT_SHAPE;
}

/* Would the document fit, by our own judgement? */
static bool fits(struct batch *b, const struct item *it, struct view *v)
{
	static const struct field_bytes nothing = {NULL, -1};
	const struct feed_table *t = &b->feed->main;
	struct cell cell;
	struct val array;
	enum at_path found;

	for (size_t i = 0; i < t->ncolumns; i++) {
		if (!is_compared(&t->columns[i]))
			continue;
		column_check(&b->w->judge, &t->columns[i], v, &it->id, nothing, &cell);
		if (cell.result == CELL_REJECT)
			return false;
	}
	for (size_t i = 0; i < t->nchildren + b->feed->npairs; i++) {
		const struct feed_pairs *p = i < t->nchildren ? NULL : &b->feed->pairs[i - t->nchildren];
		found = view_find(v, p != NULL ? p->path : t->children[i].path,
				  p != NULL ? p->npath : t->children[i].npath, DUP_REJECT, &array);
		if (found >= AT_MISPLACED ||
		    (found == AT_VALUE && array.kind != BSON_K_ARRAY && !(p != NULL && p->scalar_array)))
			return false;
	}
	return true;
}

/* Documents that are not compared still say what the columns should hold. */
static void note_columns(struct batch *b, const struct item *it, struct view *v)
{
	static const struct field_bytes nothing = {NULL, -1};
	const struct feed_table *t = &b->feed->main;
	struct cell cell;

	for (size_t i = 0; i < t->ncolumns; i++) {
		if (!is_compared(&t->columns[i]))
			continue;
		column_check(&b->w->judge, &t->columns[i], v, &it->id, nothing, &cell);
		note_stats(b->w, t->table, &t->columns[i], &cell);
	}
}

static bool is_sampled(const struct batch *b, const struct item *it)
{
	const struct validation *v = b->w->v;

	if (!wants_layer(v, LAYER_VALUES) || b->proved != NULL)
		return false;
	return v->o.full || key_hash(v->o.seed, it->wrapped, it->wrapped_len) <= b->feed->below;
}

static void wrap_id(struct batch *b, struct item *it)
{
	uint8_t *wrapped;

	if (it->id.kind == 0)
		return;
	wrapped = arena_alloc(b->w->arena, doc_wrap_size("_id", &it->id));
	it->wrapped_len = doc_wrap("_id", &it->id, wrapped);
	it->wrapped = wrapped;
}

static void find_key(struct batch *b, struct item *it)
{
	const struct feed_table *t = &b->feed->main;

	buf_reset(&b->scratch);
	if (t->key < 0 || !key_of_val(&b->w->judge, &t->columns[t->key].spec, &it->id, &b->scratch))
		return;
	it->key_len = b->scratch.len;
	it->key = arena_memdup(b->w->arena, buf_cstr(&b->scratch), it->key_len + 1);
}

static void keep(struct batch *b, struct item *it, const uint8_t *doc)
{
	it->at = b->docs.len;
	buf_put(&b->docs, doc, it->len);
	/* the _id is lent from the document: point into the copy once the buffer stands still */
	it->key_text = key_text_of(b, &b->feed->main, it->key, it->key_len);
	if (it->wrapped != NULL)
		it->id.data = it->wrapped + 4 + 1 + 4; /* {_id: value}: length, type, "_id\0" */
	b->items[b->n++] = *it;
}

static void note_key(struct batch *b, struct item *it, struct view *v, bool explained)
{
	const struct feed_table *t = &b->feed->main;

	if (it->key != NULL || t->key < 0) {
		add_key(b, it, t, t->table, explained ? TALLY_MAYBE : TALLY_DOC,
			t->is_matched ? match_hash(b, it, v) : key_hash(0, it->key, it->key_len), -1, NULL);
	} else if (!explained && !b->reads_only) {
		batch_tell(b, it, t,
			   (struct validate_finding){.kind = FOUND_MISSING_ROW,
						     .path = "_id",
						     .detail = "the _id does not go into the key's column"});
	}
}

static void note_document(struct batch *b, const uint8_t *doc, size_t len)
{
	struct item it = document_of(doc, len);
	struct val all = whole(doc, len);
	struct view *v = &b->w->view;
	enum fault fault = FAULT_OK;

	arena_reset(b->w->judge.arena);
	b->digest += key_hash(29, doc, len);
	view_set(v, &all);
	wrap_id(b, &it);
	find_key(b, &it);
	bool explained = is_explained(b, &it, doc, &fault);
	b->documents++;
	b->explained += explained;
	if (b->look == LOOK_PROBE || b->look == LOOK_MATCH || b->look == LOOK_PAIR) {
		bool asked = false;
		if (!explained)
			match_look(b, &it, v, doc, is_sampled(b, &it), &asked);
		if (asked)
			keep(b, &it, doc);
		return;
	}
	note_key(b, &it, v, explained);
	note_children(b, &it, v, explained);
	for (size_t i = 0; i < b->feed->npairs; i++)
		note_pairs(b, &it, v, &b->feed->pairs[i], explained);
	if (b->reads_only)
		return;
	if (explained) {
		if (is_about_values(fault) && !v->corrupt && wants_layer(b->w->v, LAYER_VALUES) && fits(b, &it, v))
			batch_tell(b, &it, &b->feed->main,
				   (struct validate_finding){.kind = FOUND_UNFOUNDED,
							     .detail = fault_sentence(fault),
							     .fault = fault_name(fault)});
	} else if (is_sampled(b, &it) && it.key != NULL && !b->feed->main.is_matched) {
		keep(b, &it, doc);
	} else if (wants_layer(b->w->v, LAYER_TYPES)) {
		note_columns(b, &it, v);
	}
}

/* --- a chunk --- */

static bool batch_is_full(const struct batch *b)
{
	return b->n >= BATCH_DOCUMENTS || b->docs.len >= BATCH_BYTES;
}

static bool read_chunk(struct batch *b, struct err *err)
{
	struct validation *v = b->w->v;
	const uint8_t *doc;
	size_t len;
	int got;

	while ((got = source_next(b->w->reader, &doc, &len, err)) == 1) {
		if (validation_stopped(v))
			return err_set(err, ERR_STOPPED, "stopped by a signal");
		rate_count(&v->rate, &b->w->since_rate);
		note_document(b, doc, len);
		if (b->look == LOOK_ALL)
			atomic_fetch_add_explicit(&b->feed->done, 1, memory_order_relaxed);
		if (b->n == 0)
			arena_reset(b->w->arena);
		if (batch_is_full(b) && !compare_batch(b, err))
			return false;
	}
	return got == 0 && compare_batch(b, err);
}

/* What was proved before an interruption counts as long as the documents are the same. */
static void take_over(struct batch *b)
{
	struct found *f = b->w->found;
	int table = b->feed->main.table;

	if (b->digest == b->proved->digest && b->documents == b->proved->documents) {
		FOUND_COUNT(f, table, compared, b->proved->compared);
		FOUND_COUNT(f, table, matched, b->proved->compared);
		FOUND_COUNT(f, table, fields, b->proved->fields);
		atomic_fetch_add(&b->w->v->resumed, 1);
		return;
	}
	found_add(f, &(struct validate_finding){
			     .kind = FOUND_NOT_COMPARED,
			     .table = table_name(b, table),
			     .collection = b->feed->collection->name,
			     .detail = "documents changed since the interrupted validation: start it anew, "
				       "without --resume"});
}

static void close_chunk(struct batch *b, const struct task *t)
{
	if (b->proved != NULL)
		take_over(b);
	else if (b->found == 0)
		resume_add(b->w->v, t, (struct proved){0, b->digest, b->documents, b->all_compared, b->all_fields});
}

bool chunk_look(struct worker *w, const struct task *t, enum look look, struct err *err)
{
	struct batch *b = mem_zalloc(sizeof *b);
	struct found *f = w->found;

	b->w = w;
	b->feed = &w->v->feeds[t->index];
	b->look = look;
	b->reads_only = look == LOOK_NAME;
	b->proved = look == LOOK_ALL ? resume_find(w->v, t) : NULL;
	buf_init(&b->docs, 0);
	buf_init(&b->keys, 0);
	buf_init(&b->scratch, 0);
	buf_init(&b->owner, 0);
	buf_init(&b->leftover, 0);
	buf_init(&b->name, 0);
	b->elements = mem_zalloc((w->v->plan->schema.ntables + 1) * sizeof *b->elements);
	bool ok = (w->reader != NULL || source_reader_open(&w->reader, w->v->source, err)) &&
		  source_read(w->reader, b->feed->collection->name, t->bounds, t->bounds_len, err) &&
		  read_chunk(b, err);
	if (ok && look == LOOK_ALL) {
		close_chunk(b, t);
		FOUND_COUNT(f, b->feed->main.table, documents, b->documents);
		FOUND_COUNT(f, b->feed->main.table, explained, b->explained);
		for (size_t i = 0; i < w->v->plan->schema.ntables; i++)
			if (b->elements[i] > 0)
				FOUND_COUNT(f, (int)i, elements, b->elements[i]);
	}
	if (ok)
		atomic_fetch_add_explicit(&b->feed->found, b->found, memory_order_relaxed);
	else if (look == LOOK_ALL)
		atomic_fetch_sub_explicit(&b->feed->done, b->documents, memory_order_relaxed); /* read once more */
	buf_free(&b->docs);
	buf_free(&b->keys);
	buf_free(&b->scratch);
	buf_free(&b->owner);
	buf_free(&b->leftover);
	buf_free(&b->name);
	free(b->elements);
	free(b);
	return ok || err_where(err, "%s", w->v->feeds[t->index].collection->name);
}

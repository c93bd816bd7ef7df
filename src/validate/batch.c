/* batch.c - a row against its document: every column, what no column takes, what was listed; and asking for rows. */
#include <assert.h>
#include <stdio.h>

#include "batch.h"
#include "extjson.h"
#include "id.h"

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

const char *batch_key_text(struct batch *b, const struct feed_table *t, const uint8_t *key, size_t n)
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

const char *batch_table(const struct batch *b, int table)
{
	return b->w->v->plan->schema.tables[table].name;
}

void batch_tell(struct batch *b, const struct item *it, const struct feed_table *t, struct validate_finding x)
{
	assert(b->feed != NULL);
	x.table = t != NULL ? batch_table(b, t->table) : x.table;
	x.collection = b->feed->collection->name;
	x.id = id_text(b, &it->id);
	x.id_hash = listed_document(x.collection, it->wrapped, it->wrapped_len);
	if (x.key == NULL)
		x.key = batch_key_text(b, &b->feed->main, it->key, it->key_len);
	found_add(b->w->found, &x);
	b->found++;
}

/* --- what is listed --- */

bool batch_is_explained(struct batch *b, struct item *it, const uint8_t *doc, enum fault *fault)
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
	       listed_has(l, listed_key(batch_table(b, b->feed->main.table), it->key, it->key_len), fault);
}

bool batch_is_listed(const struct batch *b, enum listed_kind k, const char *table, const char *column,
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

/* The list cannot name a document of a table that holds neither key nor _id. */
static bool is_listed_by_number(const struct row *r)
{
	return r->t->is_matched && r->t->key < 0;
}

/* Is a change of this reference listed? Where it is by number only, match_check compares that. */
static bool is_changed(const struct batch *b, enum listed_kind k, const struct row *r, const struct column *c)
{
	const char *table = batch_table(b, r->t->table);

	if (is_listed_by_number(r))
		return listed_count(b->w->v->listed, k, table, c->name) > 0;
	/* rows without an ordinal are listed by their document alone */
	return batch_is_listed(b, k, table, c->name, r->item, r->ordinal, r->key) ||
	       (r->t->ordinal < 0 && batch_is_listed(b, k, table, c->name, r->item, -1, r->key));
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
				       batch_is_listed(b, LISTED_REPLACED, batch_table(b, r->t->table), c->name,
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
	else if (cell->result == CELL_DIFFERENT && f.len < 0 && is_listed_by_number(r))
		b->w->stats[r->t->table][c->column].taken++;
	return fault == NO_FAULT;
}

void batch_note_stats(struct worker *w, int table, const struct column *c, const struct cell *cell)
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

bool batch_is_compared(const struct column *c)
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
		if (!batch_is_compared(c))
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
		if (!batch_is_compared(c))
			continue;
		struct field_bytes f = field_of(r, c);
		column_check(&b->w->judge, c, v, &r->item->id, f, &cell);
		if (notes_stats(b))
			batch_note_stats(b->w, r->t->table, c, &cell);
		ok &= check_cell(b, r, c, v, &cell, f);
		b->fields++;
	}
	b->compared++;
	b->matched += ok;
	b->mismatched += !ok;
	return ok;
}

/* --- asking for rows --- */

void batch_put_key(struct buf *out, const struct pgtype *t, const uint8_t *key, size_t n, struct buf *scratch)
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

bool batch_ask(struct batch *b, const struct feed_table *t, struct pg_result **r, struct err *err)
{
	buf_putc(&b->keys, '}');
	struct pg_param p = PG_TEXT(buf_cstr(&b->keys));

	return pg_query_binary(b->w->pg, t->select, &p, 1, r, err);
}

bool batch_row_key(struct batch *b, const struct pg_result *r, int i, const struct column *c)
{
	struct field_bytes f;

	buf_reset(&b->scratch);
	f.data = pg_get_field(r, i, c->at, &f.len);
	return key_of_field(&b->w->judge, &c->spec.type, f, &b->scratch);
}

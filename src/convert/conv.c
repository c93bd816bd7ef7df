/* conv.c - conv_document: walk, the main row, then the arrays that feed child tables and junctions.
 *
 * A fault of the document takes back every row of it, in all outputs, and every count; then its arrays' elements are
 * counted as elements of a rejected document, so that "elements read" stays whole. A fault of an element takes back
 * that element's row only.
 */
#include <assert.h>
#include <stdio.h>

#include "convert_private.h"

/* --- rows --- */

static enum fault too_large(struct conv *c, const struct output *o)
{
	c->where.table = o->table;
	c->where.column = NULL;
	c->where.path = "";
	c->where.kind = 0;
	return FAULT_TOO_LARGE;
}

/* mongod takes an _id of megabytes, a B-tree does not. */
static enum fault too_long_for_key(struct conv *c, const struct column *col)
{
	c->where.table = col->table;
	c->where.column = col->name;
	c->where.path = col->path;
	snprintf(c->where.note, sizeof c->where.note, "a primary key holds at most %zu bytes of it", col->key_limit);
	return FAULT_TOO_LARGE;
}

static void put_parent(struct conv *c, struct output *o)
{
	buf_put(&o->rows.buf, c->scratch.buf.data + o->parent_at, o->parent_len);
	o->rows.column++;
}

static enum fault put_ordinal(struct conv *c, struct column *col)
{
	if (col->type.base == PGT_INT8)
		rowbuf_put_i64(col->rows, c->ordinal);
	else if (col->type.base != PGT_INT2)
		rowbuf_put_i32(col->rows, (int32_t)c->ordinal);
	else if (c->ordinal <= INT16_MAX)
		rowbuf_put_i16(col->rows, (int16_t)c->ordinal);
	else
		return FAULT_RANGE;
	return FAULT_OK;
}

static enum fault put_leftover(struct conv *c, struct column *col)
{
	struct slot s = {0};
	if (c->leftover.len > 5) {
		s.val = (struct val){
			.data = c->leftover.data, .len = (uint32_t)c->leftover.len, .kind = BSON_K_DOCUMENT};
		s.at = BSON_K_DOCUMENT;
	}
	return column_put(c, col, &s);
}

static enum fault put_constant(struct column *col)
{
	const struct choice *ch = col->if_missing;
	if (ch->field == NULL)
		return FAULT_TYPE; /* told before the start: conv_check */
	buf_put(&col->rows->buf, ch->field, ch->field_len);
	col->rows->column++;
	return FAULT_OK;
}

static enum fault emit_column(struct conv *c, struct output *o, struct scope *sc, struct column *col)
{
	switch (col->feed) {
	case PLAN_FEED_SLOT:
		return column_put(c, col, &sc->slots[col->slot]);
	case PLAN_FEED_ID:
		return column_put(c, col, c->id);
	case PLAN_FEED_PARENT:
		put_parent(c, o);
		return FAULT_OK;
	case PLAN_FEED_ORDINAL:
		return put_ordinal(c, col);
	case PLAN_FEED_ROW_KEY:
		return put_row_key(c, col, &o->owner->type, c->scratch.buf.data + o->parent_at + 4,
				   o->parent_len - 4);
	case PLAN_FEED_UNMAPPED:
		return put_leftover(c, col);
	case PLAN_FEED_VALUE:
		return put_constant(col);
	case PLAN_FEED_NOTHING:
		rowbuf_put_null(&o->rows);
		return FAULT_OK;
	}
	return FAULT_OK;
}

static enum fault emit_row(struct conv *c, struct output *o, struct scope *sc)
{
	struct column *col = o->columns;
	const struct column *end = col + o->ncolumns, *key = o->key_column >= 0 ? col + o->key_column : NULL;
	const struct slot *slots = sc->slots;
	assert(col != NULL);
	rowbuf_begin_row(&o->rows, (int)o->ncolumns);
	for (; col < end; col++) {
		size_t at = o->rows.buf.len;
		if (col == key)
			o->key_at = at;
		enum fault f = col->feed == PLAN_FEED_SLOT ? column_put(c, col, &slots[col->slot])
							   : emit_column(c, o, sc, col);
		if (f == FAULT_OK && col->key_limit != 0 && o->rows.buf.len - at > 4 + col->key_limit)
			f = too_long_for_key(c, col);
		if (f != FAULT_OK) {
			rowbuf_undo_row(&o->rows);
			return f;
		}
	}
	return rowbuf_end_row(&o->rows) ? FAULT_OK : too_large(c, o);
}

/* (l, r, side): the owner's key and the element's, in the junction's order. */
static enum fault emit_pair(struct conv *c, struct output *o, const struct val *v)
{
	bool left = o->plan->left;
	rowbuf_begin_row(&o->rows, 3);
	if (left)
		put_parent(c, o);
	enum fault f = o->element->put[at_of(v->kind)](c, o->element, v);
	if (f != FAULT_OK) {
		rowbuf_undo_row(&o->rows);
		return f;
	}
	if (!left)
		put_parent(c, o);
	rowbuf_put_bytes(&o->rows, left ? "L" : "R", 1);
	return rowbuf_end_row(&o->rows) ? FAULT_OK : too_large(c, o);
}

/* --- elements --- */

static void begin_walk(struct conv *c, const struct scope *sc)
{
	static const uint8_t length[4];
	c->serial++;
	c->unmapped_path = NULL;
	if (!sc->keeps)
		return;
	buf_reset(&c->leftover);
	buf_put(&c->leftover, length, sizeof length);
}

static void end_walk(struct conv *c, const struct scope *sc)
{
	if (sc->keeps)
		close_document(&c->leftover, 0);
}

static bool fill_slots(struct conv *c, struct scope *sc, const struct val *v)
{
	unsigned at = at_of(v->kind);
	memset(sc->slots, 0, sc->nslots * sizeof *sc->slots);
	begin_walk(c, sc);
	if (sc->plan->element_slot >= 0)
		sc->slots[sc->plan->element_slot] = (struct slot){*v, at};
	bool ok = sc->root.nchildren == 0 || walk_inside(c, sc, &sc->root, v);
	end_walk(c, sc);
	return ok;
}

/* What an element is by itself, before its columns are looked at: a list of sub-documents holds nothing else. */
static enum fault element_shape(const struct scope *sc, const struct val *v)
{
	if (sc->plan->element_slot >= 0 || sc->root.nchildren == 0)
		return FAULT_OK;
	if (at_is_nothing(at_of(v->kind)))
		return FAULT_ELEMENT_NULL;
	return v->kind == BSON_K_DOCUMENT ? FAULT_OK : FAULT_ELEMENT_INVALID;
}

/* A single value counts as a list of one where all that it feeds accept that. */
static bool takes_one_value(const struct conv *c, const struct scope *sc, const struct slot *s)
{
	if (at_is_nothing(s->at) || s->at == BSON_K_ARRAY || s->at >= AT_MISPLACED)
		return false;
	for (size_t i = 0; i < sc->noutputs; i++)
		if (!c->outputs[sc->outputs[i]].scalar_array)
			return false;
	return true;
}

/* Elements of arrays that are not read, since what they belong to was rejected. */
static void count_rejected(struct conv *c, struct scope *sc, const struct slot *slot)
{
	const struct slot taken = *chosen_of(c, slot, c->collection->map->policies.duplicate_keys), *array = &taken;
	struct doc_iter it;
	struct field f;
	uint64_t n = takes_one_value(c, sc, array);
	size_t log = c->nlog, twice = c->ntwice;
	bool is_list = array->at == BSON_K_ARRAY && doc_iter_val(&it, &array->val);
	for (n = is_list ? 0 : n; is_list && doc_iter_next(&it, &f); n++) {
		bool filled = sc->ninner > 0 && fill_slots(c, sc, &f.val);
		for (size_t i = 0; filled && i < sc->ninner; i++) {
			struct scope *inner = &c->scopes[sc->inner[i]];
			count_rejected(c, inner, &sc->slots[inner->plan->slot]);
		}
		c->nlog = log;
		c->ntwice = twice;
	}
	for (size_t i = 0; i < sc->noutputs; i++) {
		count_n(c, &c->outputs[sc->outputs[i]].elements, n);
		count_n(c, &c->outputs[sc->outputs[i]].of_rejected, n);
	}
}

/* Where the element of an inner array stands: the way down to it from the outermost array. */
static void note_way(struct conv *c, const struct scope *sc, struct conv_note *n)
{
	size_t depth = 0;
	for (const struct scope *s = sc; s->plan->parent >= 0; s = &c->scopes[s->plan->parent])
		depth++;
	if (depth < 2 || depth > CONV_MAX_DEPTH)
		return;
	n->depth = depth;
	for (const struct scope *s = sc; s->plan->parent >= 0; s = &c->scopes[s->plan->parent]) {
		n->at[--depth] = s->ordinal;
		n->outer = s->element;
	}
}

static void reject_element(struct conv *c, const struct scope *sc, const struct output *o, enum fault f,
			   const char *column, const struct val *v)
{
	/* c->path_text is overwritten by the next one: only what the key's entry holds stays until it is written. */
	bool is_named = f == FAULT_UNMAPPED && c->unmapped_path != buf_cstr(&c->path_text);
	note_add(c, true, f, NULL, o->table, is_named ? c->unmapped_path : sc->plan->path_text, c->ordinal, v);
	c->notes[c->nnotes - 1].column = column;
	note_way(c, sc, &c->notes[c->nnotes - 1]);
	c->where.note[0] = '\0';
}

static enum fault emit_child(struct conv *c, struct scope *sc, struct output *o, const struct val *v)
{
	size_t log = c->nlog, notes = c->nnotes;
	enum fault f = element_shape(sc, v);
	const char *column = NULL;
	if (f == FAULT_OK && o->refuses_unmapped && c->unmapped_path != NULL)
		f = FAULT_UNMAPPED;
	if (f == FAULT_OK) {
		f = emit_row(c, o, sc);
		column = c->where.column;
	}
	if (f == FAULT_OK || f == FAULT_CORRUPT)
		return f;
	c->nlog = log;
	c->nnotes = notes;
	reject_element(c, sc, o, f, column, v);
	return f;
}

static enum fault emit_end_of_pair(struct conv *c, struct scope *sc, struct output *o, const struct val *v)
{
	size_t log = c->nlog;
	enum fault f = FAULT_ELEMENT_NULL;
	if (!at_is_nothing(at_of(v->kind)))
		f = emit_pair(c, o, v);
	if (f == FAULT_OK || f == FAULT_CORRUPT)
		return f;
	c->nlog = log;
	reject_element(c, sc, o, f == FAULT_ELEMENT_NULL ? f : FAULT_ELEMENT_INVALID, o->element->name, v);
	return FAULT_OK;
}

/* The key of the row that o just got, for child rows further inside. */
static void keep_key(struct conv *c, struct output *o)
{
	if (o->key_column < 0)
		return;
	const uint8_t *field = o->rows.buf.data + o->key_at;
	uint32_t n;
	memcpy(&n, field, 4);
	n = __builtin_bswap32(n);
	o->row_key_at = c->scratch.buf.len;
	o->row_key_len = 4 + (n == UINT32_MAX ? 0 : n);
	buf_put(&c->scratch.buf, field, o->row_key_len);
}

static enum fault emit_scope(struct conv *c, struct scope *sc, const struct slot *array);

/* Arrays inside an element (or the document), whose rows hang on the row just made of it, if it was made. */
static enum fault emit_inner(struct conv *c, struct scope *sc)
{
	for (size_t i = 0; i < sc->ninner; i++) {
		struct scope *inner = &c->scopes[sc->inner[i]];
		const struct slot *array = &sc->slots[inner->plan->slot];
		int above = inner->noutputs > 0 ? c->outputs[inner->outputs[0]].above : -1;
		enum fault f = FAULT_OK;
		if (above >= 0 && c->outputs[above].is_rejected)
			count_rejected(c, inner, array);
		else
			f = emit_scope(c, inner, array);
		if (f != FAULT_OK)
			return f;
	}
	return FAULT_OK;
}

static enum fault emit_output(struct conv *c, struct scope *sc, struct output *o, const struct val *v)
{
	if (o->plan->kind != PLAN_OUTPUT_CHILD)
		return emit_end_of_pair(c, sc, o, v);
	enum fault f = emit_child(c, sc, o, v);
	if (f == FAULT_CORRUPT)
		return f;
	o->is_rejected = f != FAULT_OK;
	if (f == FAULT_OK)
		keep_key(c, o);
	return FAULT_OK;
}

/* Fields of the element that no column takes (counted from..to) are not lost when the whole element is kept as a
 * reject. */
static void drop_unmapped(struct conv *c, const struct scope *sc, size_t from, size_t to)
{
	bool any = false;
	for (size_t i = 0; i < sc->noutputs; i++)
		any |= c->outputs[sc->outputs[i]].is_rejected;
	if (!any || from == to)
		return;
	memmove(c->log + from, c->log + to, (c->nlog - to) * sizeof *c->log);
	c->nlog -= to - from;
}

static enum fault emit_element(struct conv *c, struct scope *sc, const struct val *v, int64_t ordinal)
{
	size_t scratch = c->scratch.buf.len, log = c->nlog, twice = c->ntwice;
	c->slots = sc->slots;
	c->ordinal = ordinal;
	sc->element = *v;
	sc->ordinal = ordinal;
	if (!fill_slots(c, sc, v))
		return FAULT_CORRUPT;
	size_t unmapped = c->nlog;
	enum fault f = FAULT_OK;
	for (size_t i = 0; f == FAULT_OK && i < sc->noutputs; i++)
		f = emit_output(c, sc, &c->outputs[sc->outputs[i]], v);
	if (f != FAULT_OK)
		return f;
	drop_unmapped(c, sc, log, unmapped);
	counts_keep(c);
	f = emit_inner(c, sc);
	c->scratch.buf.len = scratch;
	c->ntwice = twice;
	return f;
}

/* --- arrays --- */

static enum fault refuse_array(struct conv *c, const struct scope *sc, const struct slot *array)
{
	c->where.table = c->outputs[sc->outputs[0]].table;
	c->where.column = NULL;
	c->where.path = sc->plan->path_text;
	c->where.kind = array->val.kind;
	return array->at == AT_TWICE ? FAULT_DUPLICATE_KEY : FAULT_SHAPE;
}

/* The owner's key, once for all elements: that of the row above inside a child table, else the document's. */
static enum fault set_parent(struct conv *c, struct output *o)
{
	if (o->above >= 0) {
		o->parent_at = c->outputs[o->above].row_key_at;
		o->parent_len = c->outputs[o->above].row_key_len;
		return FAULT_OK;
	}
	o->parent_at = c->scratch.buf.len;
	enum fault f = o->owner != NULL ? column_put(c, o->owner, c->id) : FAULT_OK;
	o->parent_len = c->scratch.buf.len - o->parent_at;
	return f;
}

static enum fault set_parents(struct conv *c, struct scope *sc)
{
	enum fault f = FAULT_OK;
	for (size_t i = 0; f == FAULT_OK && i < sc->noutputs; i++)
		f = set_parent(c, &c->outputs[sc->outputs[i]]);
	return f;
}

static void count_elements(struct conv *c, const struct scope *sc, uint64_t n)
{
	for (size_t i = 0; i < sc->noutputs; i++)
		count_n(c, &c->outputs[sc->outputs[i]].elements, n);
}

static enum fault emit_one_value(struct conv *c, struct scope *sc, const struct slot *s)
{
	enum fault f = set_parents(c, sc);
	for (size_t i = 0; i < sc->noutputs; i++)
		count_column(c, c->outputs[sc->outputs[i]].element, COUNT_ACCEPTED);
	count_elements(c, sc, 1);
	return f != FAULT_OK ? f : emit_element(c, sc, &s->val, 0);
}

static enum fault emit_array(struct conv *c, struct scope *sc, const struct slot *array)
{
	struct doc_iter it;
	struct field e;
	int64_t n = 0;
	enum fault f = doc_iter_val(&it, &array->val) ? set_parents(c, sc) : FAULT_CORRUPT;
	for (; f == FAULT_OK && doc_iter_next(&it, &e); n++)
		f = emit_element(c, sc, &e.val, n);
	if (f == FAULT_OK && it.corrupt)
		f = FAULT_CORRUPT;
	count_elements(c, sc, (uint64_t)n);
	return f;
}

/* An array whose key stands twice: the collection's policy says which one counts, if any. A copy, since the list of
 * such keys grows and shrinks with every element. */
static struct slot take_one_array(struct conv *c, const struct scope *sc, const struct slot *array)
{
	const struct slot *taken = chosen_of(c, array, c->collection->map->policies.duplicate_keys);
	for (size_t i = 0; taken != array && i < sc->noutputs; i++)
		count(c, &c->outputs[sc->outputs[i]].twice);
	return *taken;
}

static enum fault emit_scope(struct conv *c, struct scope *sc, const struct slot *array)
{
	struct slot taken;
	if (array->at == AT_TWICE) {
		taken = take_one_array(c, sc, array);
		array = &taken;
	}
	if (sc->noutputs == 0 || at_is_nothing(array->at))
		return FAULT_OK;
	if (array->at == BSON_K_ARRAY)
		return emit_array(c, sc, array);
	if (takes_one_value(c, sc, array))
		return emit_one_value(c, sc, array);
	return refuse_array(c, sc, array);
}

/* --- the document --- */

static void begin(struct conv *c)
{
	struct scope *sc = &c->scopes[0];
	memset(sc->slots, 0, (sc->nslots + 1) * sizeof *sc->slots);
	for (size_t i = 0; i < c->noutputs; i++)
		c->outputs[i].mark = rowbuf_mark(&c->outputs[i].rows);
	rowbuf_reset(&c->scratch);
	c->slots = sc->slots;
	c->ordinal = -1;
	c->ntwice = c->nnotes = c->naside = 0;
	c->id_listed = c->has_key_text = false;
	c->where.table = c->outputs[0].table;
	c->where.column = NULL;
	c->where.path = "";
	c->where.kind = 0;
	c->where.note[0] = '\0';
	begin_walk(c, sc);
}

static enum fault refuse_unmapped(struct conv *c)
{
	c->where.column = NULL;
	c->where.path = c->unmapped_path;
	c->where.kind = c->unmapped_value.kind;
	return FAULT_UNMAPPED;
}

static enum fault read_document(struct conv *c, const uint8_t *doc, size_t len)
{
	struct scope *sc = &c->scopes[0];
	if (!walk(c, sc, &sc->root, doc, len))
		return FAULT_CORRUPT;
	end_walk(c, sc);
	if (c->needs_id && c->id->at == AT_MISSING) {
		c->where.path = "_id";
		return FAULT_NO_ID;
	}
	return c->unmapped_path != NULL ? refuse_unmapped(c) : FAULT_OK;
}

static enum fault convert(struct conv *c, const uint8_t *doc, size_t len)
{
	enum fault f = read_document(c, doc, len);
	if (f == FAULT_OK)
		f = emit_row(c, &c->outputs[0], &c->scopes[0]);
	if (f == FAULT_OK)
		f = emit_inner(c, &c->scopes[0]);
	return f;
}

static void count_arrays_rejected(struct conv *c)
{
	const struct scope *sc = &c->scopes[0];
	for (size_t i = 0; i < sc->ninner; i++) {
		struct scope *inner = &c->scopes[sc->inner[i]];
		count_rejected(c, inner, &sc->slots[inner->plan->slot]);
	}
}

static void give_up(struct conv *c, enum fault f)
{
	for (size_t i = 0; i < c->noutputs; i++)
		rowbuf_take_back(&c->outputs[i].rows, &c->outputs[i].mark);
	c->nnotes = 0;
	c->id_listed = false;
	counts_drop(c);
	if (f != FAULT_CORRUPT) {
		count_arrays_rejected(c);
		c->nlog = 0;
		counts_apply(c);
	}
}

enum fault conv_document(struct conv *c, const uint8_t *doc, size_t len, struct conv_where *where)
{
	begin(c);
	enum fault f = convert(c, doc, len);
	if (f == FAULT_OK) {
		counts_apply(c);
		return f;
	}
	give_up(c, f);
	*where = c->where;
	return f;
}

/* --- one element --- */

/* The row above, made for its key alone and taken back. */
static enum fault pass_element(struct conv *c, struct scope *sc, int output, const struct val *v, int64_t ordinal)
{
	struct output *o = &c->outputs[output];
	struct rowbuf_mark mark = rowbuf_mark(&o->rows);
	size_t log = c->nlog;
	enum fault f = set_parent(c, o);
	c->slots = sc->slots;
	c->ordinal = ordinal;
	sc->element = *v;
	sc->ordinal = ordinal;
	if (f == FAULT_OK && !fill_slots(c, sc, v))
		f = FAULT_CORRUPT;
	if (f == FAULT_OK)
		f = emit_row(c, o, sc);
	if (f == FAULT_OK)
		keep_key(c, o);
	rowbuf_take_back(&o->rows, &mark);
	c->nlog = log;
	return f;
}

static bool find_element(const struct slot *array, int64_t ordinal, struct val *out)
{
	struct doc_iter it;
	struct field f;
	if (array->at != BSON_K_ARRAY || !doc_iter_val(&it, &array->val))
		return false;
	for (int64_t n = 0; doc_iter_next(&it, &f); n++)
		if (n == ordinal) {
			*out = f.val;
			return true;
		}
	return false;
}

/* Outer elements down to the one in question: *v becomes it, c->slots those of the scope around it. */
static enum fault go_down(struct conv *c, int scope, struct val *v, const int64_t *at, size_t depth)
{
	struct scope *sc = &c->scopes[scope];
	if (depth == 1)
		return sc->plan->parent == 0 ? FAULT_OK : FAULT_CORRUPT;
	int above = c->outputs[sc->outputs[0]].above;
	enum fault f = above >= 0 ? go_down(c, sc->plan->parent, v, at, depth - 1) : FAULT_CORRUPT;
	if (f == FAULT_OK)
		f = pass_element(c, &c->scopes[sc->plan->parent], above, v, at[depth - 2]);
	if (f == FAULT_OK && !find_element(&c->scopes[sc->plan->parent].slots[sc->plan->slot], at[depth - 1], v))
		f = FAULT_CORRUPT;
	return f;
}

/* Arrays inside the element that hang on the row of o; or their counts, when it was rejected. */
static enum fault emit_inner_of(struct conv *c, struct scope *sc, int output, bool rejected)
{
	enum fault f = FAULT_OK;
	for (size_t i = 0; f == FAULT_OK && i < sc->ninner; i++) {
		struct scope *inner = &c->scopes[sc->inner[i]];
		const struct slot *array = &sc->slots[inner->plan->slot];
		if (inner->noutputs == 0 || c->outputs[inner->outputs[0]].above != output)
			continue;
		if (rejected)
			count_rejected(c, inner, array);
		else
			f = emit_scope(c, inner, array);
	}
	return f;
}

static enum fault emit_alone(struct conv *c, int output, const struct val *v, int64_t ordinal)
{
	struct output *o = &c->outputs[output];
	struct scope *sc = &c->scopes[o->plan->scope];
	enum fault f = set_parent(c, o);
	c->slots = sc->slots;
	c->ordinal = ordinal;
	sc->element = *v;
	sc->ordinal = ordinal;
	if (f != FAULT_OK)
		return f;
	if (!fill_slots(c, sc, v))
		return FAULT_CORRUPT;
	f = emit_output(c, sc, o, v);
	bool rejected = c->nnotes > 0 && c->notes[c->nnotes - 1].is_reject;
	if (f == FAULT_OK && !rejected)
		counts_keep(c);
	if (f == FAULT_OK)
		f = emit_inner_of(c, sc, output, rejected);
	if (f != FAULT_OK || !rejected)
		return f;
	const struct conv_note *n = &c->notes[c->nnotes - 1];
	c->where.table = n->table;
	c->where.column = n->column;
	c->where.path = n->path;
	c->where.kind = n->value.kind;
	return n->fault;
}

enum fault conv_element(struct conv *c, int output, const struct val *id, const struct val *element,
			const int64_t *at, size_t depth, struct conv_where *where)
{
	struct val v = *element;
	begin(c);
	*c->id = (struct slot){*id, at_of(id->kind)};
	enum fault f = depth > 0 ? go_down(c, c->outputs[output].plan->scope, &v, at, depth) : FAULT_CORRUPT;
	if (f == FAULT_OK)
		f = emit_alone(c, output, &v, at[depth - 1]);
	c->nlog = f == FAULT_OK ? c->nlog : 0;
	if (f != FAULT_OK) {
		for (size_t i = 0; i < c->noutputs; i++)
			rowbuf_take_back(&c->outputs[i].rows, &c->outputs[i].mark);
		c->nnotes = 0;
		*where = c->where;
	}
	counts_apply(c);
	return f;
}

/* --- what it left --- */

struct rowbuf *conv_rows(struct conv *c, int output)
{
	return &c->outputs[output].rows;
}

size_t conv_notes(const struct conv *c, const struct conv_note **notes)
{
	*notes = c->notes;
	return c->nnotes;
}

struct val conv_id(const struct conv *c)
{
	return c->id->val;
}

bool conv_id_needs_map(const struct conv *c, uint8_t uuid[16])
{
	memcpy(uuid, c->id_uuid, sizeof c->id_uuid);
	return c->id_listed;
}

static void make_key_text(struct conv *c)
{
	size_t log = c->nlog;
	buf_reset(&c->key_text);
	rowbuf_reset(&c->key_row);
	c->has_key_text = true;
	const struct val *v = &c->id->val;
	c->key_is_known = c->id->at != AT_MISSING && c->key->put[at_of(v->kind)](c, c->key, v) == FAULT_OK &&
			  c->key_row.buf.len > 4 &&
			  key_text(&c->key_text, &c->key->type, c->key_row.buf.data + 4, c->key_row.buf.len - 4);
	c->nlog = log;
}

const char *conv_key_text(const struct conv *c)
{
	struct conv *m = (struct conv *)(uintptr_t)c; /* a cache: made when first asked for */
	if (!m->has_key_text)
		make_key_text(m);
	return m->key_is_known ? buf_cstr(&m->key_text) : NULL;
}

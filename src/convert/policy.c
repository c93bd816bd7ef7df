/* policy.c - one value into its column with the column's policies: what missing, null and invalid values become. */
#include <stdarg.h>
#include <stdio.h>

#include "convert_private.h"

enum fault fault_note(struct conv *c, enum fault f, const char *fmt, ...)
{
	va_list ap;
	if (c->is_quiet)
		return f;
	va_start(ap, fmt);
	vsnprintf(c->where.note, sizeof c->where.note, fmt, ap);
	va_end(ap);
	return f;
}

void note_add(struct conv *c, bool is_reject, enum fault f, const struct column *col, const char *table,
	      const char *path, int64_t ordinal, const struct val *v)
{
	if (c->nnotes == c->notes_cap) {
		c->notes_cap = c->notes_cap > 0 ? c->notes_cap * 2 : 16;
		c->notes = mem_realloc(c->notes, c->notes_cap * sizeof *c->notes);
	}
	c->notes[c->nnotes++] = (struct conv_note){.is_reject = is_reject,
						   .fault = f,
						   .table = table,
						   .column = col != NULL ? col->name : NULL,
						   .path = path,
						   .ordinal = ordinal,
						   .value = *v};
}

/* What a value that did not go in has written and counted. */
static void take_back(struct conv *c, struct rowbuf *rb, size_t len, int column, size_t log)
{
	rb->buf.len = len;
	rb->column = column;
	c->nlog = log;
}

enum chosen { CHOSE_NONE, CHOSE_NULL, CHOSE_VALUE };

static enum chosen choose_literal(struct column *col, const struct choice *ch)
{
	if (ch->field == NULL)
		return CHOSE_NONE;
	buf_put(&col->rows->buf, ch->field, ch->field_len);
	col->rows->column++;
	return CHOSE_VALUE;
}

static enum chosen choose_value(struct conv *c, struct column *col, unsigned at, const struct val *v)
{
	struct rowbuf *rb = col->rows;
	size_t len = rb->buf.len;
	int column = rb->column;
	size_t log = c->nlog;
	if (at_is_nothing(at))
		return CHOSE_NONE;
	/* The facts of the fault are those of the value itself, not of one that was tried in its place. */
	c->is_quiet = true;
	enum fault f = col->put[at](c, col, v);
	c->is_quiet = false;
	if (f == FAULT_OK)
		return CHOSE_VALUE;
	take_back(c, rb, len, column, log);
	return CHOSE_NONE;
}

static enum chosen choose_id_time(struct conv *c, struct column *col)
{
	if (c->id->at != BSON_K_OBJECTID)
		return CHOSE_NONE;
	uint32_t seconds;
	memcpy(&seconds, c->id->val.data, 4);
	int64_t ms = (int64_t)__builtin_bswap32(seconds) * 1000;
	struct val v = {.data = (const uint8_t *)&ms, .len = 8, .kind = BSON_K_DATE};
	return choose_value(c, col, BSON_K_DATE, &v);
}

static enum chosen choose_null(struct column *col)
{
	if (!col->nullable)
		return CHOSE_NONE;
	rowbuf_put_null(col->rows);
	return CHOSE_NULL;
}

/* The first choice of the chain that gives a value. After the last one: NULL where `otherwise_null` and the column
 * allow it. A `reject` ends the chain. */
static enum chosen choose(struct conv *c, struct column *col, const struct choice *ch, bool otherwise_null)
{
	for (; ch != NULL; ch = ch->otherwise) {
		enum chosen got = CHOSE_NONE;
		if (ch->kind == MAP_VALUE_REJECT)
			return CHOSE_NONE;
		else if (ch->kind == MAP_VALUE_NULL)
			got = choose_null(col);
		else if (ch->kind == MAP_VALUE_LITERAL)
			got = choose_literal(col, ch);
		else if (ch->kind == MAP_VALUE_PATH)
			got = choose_value(c, col, c->slots[ch->slot].at, &c->slots[ch->slot].val);
		else if (ch->kind == MAP_VALUE_ID_TIME)
			got = choose_id_time(c, col);
		if (got != CHOSE_NONE)
			return got;
	}
	return otherwise_null ? choose_null(col) : CHOSE_NONE;
}

static enum fault put_nothing(struct conv *c, struct column *col, const struct choice *chain, enum fault f,
			      enum counted if_null, enum counted if_value)
{
	enum chosen got = choose(c, col, chain, true);
	if (got == CHOSE_NONE)
		return f;
	count_column(c, col, got == CHOSE_NULL ? if_null : if_value);
	return FAULT_OK;
}

enum fault put_missing(struct conv *c, struct column *col, const struct val *v)
{
	return put_nothing(c, col, col->if_missing, FAULT_MISSING, COUNT_MISSING, COUNT_DEFAULT_MISSING);
}

enum fault put_null(struct conv *c, struct column *col, const struct val *v)
{
	return put_nothing(c, col, col->if_null, FAULT_NULL, COUNT_NULL, COUNT_DEFAULT_NULL);
}

enum fault put_undefined(struct conv *c, struct column *col, const struct val *v)
{
	return put_nothing(c, col, col->if_null, FAULT_NULL, COUNT_UNDEFINED, COUNT_DEFAULT_UNDEFINED);
}

enum fault put_misplaced(struct conv *c, struct column *col, const struct val *v)
{
	return FAULT_SHAPE;
}

const struct slot *chosen_of(const struct conv *c, const struct slot *s, enum dup_policy policy)
{
	const struct twice *t = s->at == AT_TWICE && policy != DUP_REJECT ? twice_of(c, s) : NULL;
	return t == NULL ? s : policy == DUP_FIRST ? &t->first : &t->last;
}

/* v is the val of a slot: only column_put and the choices call this. */
enum fault put_twice(struct conv *c, struct column *col, const struct val *v)
{
	const struct slot *s = chosen_of(c, (const struct slot *)v, col->duplicate_keys);
	if (s->at == AT_TWICE)
		return FAULT_DUPLICATE_KEY;
	count_column(c, col, COUNT_DUPLICATE_KEYS);
	return col->put[s->at](c, col, &s->val);
}

/* Not what has no value, and not a key that stands twice: it is not known which of its values is the invalid one. */
static bool may_be_replaced(const struct column *col, const struct slot *s, enum fault f)
{
	return col->if_invalid != NULL && !at_is_nothing(s->at) && f != FAULT_CORRUPT && f != FAULT_MISSING &&
	       f != FAULT_NULL && s->at != AT_TWICE;
}

static enum fault refuse(struct conv *c, const struct column *col, const struct slot *s, enum fault f)
{
	c->where.table = col->table;
	c->where.column = col->name;
	c->where.path = col->path;
	c->where.kind = s->val.kind;
	return f;
}

enum fault column_put(struct conv *c, struct column *col, const struct slot *s)
{
	struct rowbuf *rb = col->rows;
	size_t len = rb->buf.len;
	int column = rb->column;
	size_t log = c->nlog;
	enum fault f = col->put[s->at](c, col, &s->val);
	if (__builtin_expect(f == FAULT_OK, 1))
		return FAULT_OK;
	take_back(c, rb, len, column, log);
	bool is_twice = s->at == AT_TWICE;
	s = chosen_of(c, s, col->duplicate_keys);
	if (!may_be_replaced(col, s, f))
		return refuse(c, col, s, f);
	enum chosen got = choose(c, col, col->if_invalid, false);
	if (got == CHOSE_NONE)
		return refuse(c, col, s, f);
	c->where.note[0] = '\0';
	if (is_twice)
		count_column(c, col, COUNT_DUPLICATE_KEYS);
	count_column(c, col, got == CHOSE_NULL ? COUNT_INVALID : COUNT_DEFAULT_INVALID);
	note_add(c, false, f, col, col->table, col->path, c->ordinal, &s->val);
	return FAULT_OK;
}

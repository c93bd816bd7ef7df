/* column.c - see column.h. */
#include "column.h"
#include "key.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

/* --- views --- */

void view_free(struct view *v)
{
	free(v->fields);
}

static unsigned key_bit(const struct field *f)
{
	uint32_t h = 2166136261u;

	for (uint32_t i = 0; i < f->key_len; i++)
		h = (h ^ (uint8_t)f->key[i]) * 16777619u;
	return (h ^ h >> 13) & 255;
}

void view_set(struct view *v, const struct val *val)
{
	struct doc_iter it;
	struct field f;
	uint64_t seen[4] = {0};

	v->val = *val;
	v->n = v->cursor = 0;
	v->has_twins = v->corrupt = false;
	if (val->kind != BSON_K_DOCUMENT && val->kind != BSON_K_ARRAY)
		return;
	v->corrupt = !doc_iter_val(&it, val);
	while (!v->corrupt && doc_iter_next(&it, &f)) {
		if (v->n == v->cap) {
			v->cap = v->cap > 0 ? 2 * v->cap : 32;
			v->fields = mem_realloc(v->fields, v->cap * sizeof *v->fields);
		}
		v->fields[v->n++] = f;
		unsigned bit = key_bit(&f);
		v->has_twins = v->has_twins || (seen[bit >> 6] & UINT64_C(1) << (bit & 63)) != 0;
		seen[bit >> 6] |= UINT64_C(1) << (bit & 63);
	}
	v->corrupt = v->corrupt || it.corrupt;
}

static bool has_key(const struct field *f, const char *key, size_t len)
{
	return f->key_len == len && f->key[0] == key[0] && memcmp(f->key, key, len) == 0;
}

/* From where the last one was found: documents keep the order of the columns mostly. */
static const struct field *first_field(struct view *v, const char *key, size_t len)
{
	for (size_t i = 0, at = v->cursor; i < v->n; i++, at = at + 1 < v->n ? at + 1 : 0) {
		if (!has_key(&v->fields[at], key, len))
			continue;
		v->cursor = at + 1 < v->n ? at + 1 : 0;
		return &v->fields[at];
	}
	return NULL;
}

/* The field with this key among those of a document, by the rule for twins. */
static enum at_path choose_twin(const struct field **f, const struct field *all, size_t n, const char *key,
				size_t len, enum dup_policy twins)
{
	const struct field *first = NULL, *last = NULL;

	for (size_t i = 0; i < n; i++) {
		if (!has_key(&all[i], key, len))
			continue;
		first = first != NULL ? first : &all[i];
		last = &all[i];
	}
	if (first != last && twins == DUP_REJECT)
		return AT_TWICE;
	*f = twins == DUP_LAST ? last : first;
	return AT_VALUE;
}

static enum at_path kind_of(const struct val *v)
{
	return val_is_nothing(v) ? AT_NULL : AT_VALUE;
}

static enum at_path find_below(const struct val *v, const char *const *path, size_t n, enum dup_policy twins,
			       struct val *out);

/* In a list a number is a position. */
static enum at_path find_in_list(const struct val *v, const char *const *path, size_t n, enum dup_policy twins,
				 struct val *out)
{
	struct doc_iter it;
	struct field f;
	char position[24];

	if (path[0][0] == '\0' || strspn(path[0], "0123456789") != strlen(path[0]))
		return AT_MISPLACED;
	*out = (struct val){0};
	if (!doc_iter_val(&it, v))
		return AT_MISSING;
	for (unsigned long i = 0; doc_iter_next(&it, &f); i++) {
		snprintf(position, sizeof position, "%lu", i);
		if (strcmp(position, path[0]) == 0)
			return find_below(&f.val, path + 1, n - 1, twins, out);
	}
	return AT_MISSING;
}

/* The rest of a path below a value that is no top-level field: small documents, plain search. */
static enum at_path find_below(const struct val *v, const char *const *path, size_t n, enum dup_policy twins,
			       struct val *out)
{
	struct view inner = {0};
	enum at_path r;

	if (n == 0) {
		*out = *v;
		return kind_of(v);
	}
	if (val_is_nothing(v))
		return AT_MISSING;
	*out = *v;
	if (v->kind != BSON_K_DOCUMENT && v->kind != BSON_K_ARRAY)
		return AT_MISPLACED;
	if (v->kind == BSON_K_ARRAY)
		return find_in_list(v, path, n, twins, out);
	view_set(&inner, v);
	r = view_find(&inner, path, n, twins, out);
	view_free(&inner);
	return r;
}

enum at_path view_find(struct view *v, const char *const *path, size_t n, enum dup_policy twins, struct val *out)
{
	size_t len;
	const struct field *f;

	*out = (struct val){0};
	if (n == 0 || (v->val.kind != BSON_K_DOCUMENT && v->val.kind != BSON_K_ARRAY))
		return find_below(&v->val, path, n, twins, out);
	len = strlen(path[0]);
	f = first_field(v, path[0], len);
	if (f == NULL)
		return AT_MISSING;
	if (v->has_twins && choose_twin(&f, v->fields, v->n, path[0], len, twins) == AT_TWICE)
		return AT_TWICE;
	assert(f != NULL);
	if (n == 1) {
		*out = f->val;
		return kind_of(&f->val);
	}
	return find_below(&f->val, path + 1, n - 1, twins, out);
}

/* --- policies --- */

static bool expect_null(const struct column *c, struct field_bytes f, struct cell *out)
{
	if (!c->nullable)
		return false;
	out->expects_null = true;
	out->result = f.len < 0 ? CELL_SAME : CELL_DIFFERENT;
	return true;
}

static bool expect_value(struct judge *j, const struct column *c, const struct val *v, struct field_bytes f,
			 struct cell *out)
{
	enum verdict r = check_value(j, &c->spec, v, f);

	if (r == UNFIT)
		return false;
	out->chosen = *v;
	out->result = r == SAME ? CELL_SAME : CELL_DIFFERENT;
	return true;
}

/* A literal that the server does not read by itself is read as a text of the document in every spelling. */
static bool expect_spelt(struct judge *j, const struct column *c, const char *literal, struct field_bytes f,
			 struct cell *out)
{
	struct column any = *c;
	size_t n = strlen(literal) + 1;
	uint8_t *text = arena_alloc(j->arena, n + 4);
	uint32_t len = (uint32_t)n;

	memcpy(text, &len, 4);
	memcpy(text + 4, literal, n);
	any.spec.bson = 0;
	any.spec.accept = MAP_ACCEPT_ISO_STRING | MAP_ACCEPT_NUMERIC_STRING | MAP_ACCEPT_BOOL_STRING |
			  MAP_ACCEPT_UUID_STRING | MAP_ACCEPT_HEX_ID;
	struct val v = {.data = text, .len = (uint32_t)n + 4, .kind = BSON_K_STRING};
	return expect_value(j, &any, &v, f, out);
}

static bool expect_literal(struct judge *j, const struct column *c, const struct map_value *choice,
			   struct field_bytes f, struct cell *out)
{
	for (size_t i = 0; i < c->nliterals; i++) {
		const struct literal *l = &c->literals[i];
		if (l->of != choice)
			continue;
		if (l->data == NULL)
			return expect_spelt(j, c, choice->literal, f, out);
		out->literal = l;
		out->result =
			f.len == l->len && memcmp(f.data, l->data, (size_t)f.len) == 0 ? CELL_SAME : CELL_DIFFERENT;
		return true;
	}
	return false;
}

static bool expect_id_time(struct judge *j, const struct column *c, const struct val *id, struct field_bytes f,
			   struct cell *out)
{
	int64_t *ms = arena_alloc(j->arena, sizeof *ms);
	struct val v = {.data = (const uint8_t *)ms, .len = 8, .kind = BSON_K_DATE};

	if (id->kind != BSON_K_OBJECTID)
		return false;
	*ms = (int64_t)big_endian(id->data, 4) * 1000;
	return expect_value(j, c, &v, f, out);
}

/* The first choice of the chain that has a value. False: none, the document is refused. */
static bool expect_choice(struct judge *j, const struct column *c, const struct map_value *choice, struct view *v,
			  const struct val *id, struct field_bytes f, struct cell *out)
{
	struct val other;

	for (; choice != NULL && choice->kind != MAP_VALUE_UNSET; choice = choice->otherwise) {
		bool got = false;
		if (choice->kind == MAP_VALUE_REJECT)
			return false;
		if (choice->kind == MAP_VALUE_NULL)
			got = expect_null(c, f, out);
		else if (choice->kind == MAP_VALUE_LITERAL)
			got = expect_literal(j, c, choice, f, out);
		else if (choice->kind == MAP_VALUE_ID_TIME)
			got = expect_id_time(j, c, id, f, out);
		else if (view_find(v, choice->path, choice->npath, c->spec.duplicate_keys, &other) == AT_VALUE)
			got = expect_value(j, c, &other, f, out);
		if (got)
			return true;
	}
	return false;
}

static void reject(struct cell *out, enum fault why)
{
	out->result = CELL_REJECT;
	out->why = why;
}

/* Missing and null: what the policy says, else NULL where that may stand. */
static void check_nothing(struct judge *j, const struct column *c, const struct map_value *policy, enum fault why,
			  struct view *v, const struct val *id, struct field_bytes f, struct cell *out)
{
	for (const struct map_value *p = policy; p != NULL; p = p->otherwise)
		if (p->kind == MAP_VALUE_REJECT) {
			if (!expect_choice(j, c, policy, v, id, f, out))
				reject(out, why);
			return;
		}
	if (!expect_choice(j, c, policy, v, id, f, out) && !expect_null(c, f, out))
		reject(out, why);
}

static void check_invalid(struct judge *j, const struct column *c, enum fault why, struct view *v,
			  const struct val *id, struct field_bytes f, struct cell *out)
{
	bool replaceable = why != FAULT_CORRUPT;

	if (replaceable && expect_choice(j, c, &c->map->if_invalid, v, id, f, out))
		out->replaced = true;
	else
		reject(out, why);
}

void column_check(struct judge *j, const struct column *c, struct view *v, const struct val *id, struct field_bytes f,
		  struct cell *out)
{
	enum at_path found;

	*out = (struct cell){.result = CELL_SAME};
	if (c->feed == PLAN_FEED_VALUE) {
		if (!expect_literal(j, c, &c->constant, f, out))
			reject(out, FAULT_TYPE);
		return;
	}
	if (c->feed == PLAN_FEED_ID) {
		out->val = *id;
		found = id->kind == 0 ? AT_MISSING : AT_VALUE;
		/* null is an _id like any other where ids become UUIDs */
		if (val_is_nothing(id) && c->spec.type.base != PGT_UUID)
			found = id->kind == 0 ? AT_MISSING : AT_NULL;
	} else {
		found = view_find(v, c->map->from, c->map->nfrom, c->spec.duplicate_keys, &out->val);
	}
	switch (found) {
	case AT_VALUE:
		if (!expect_value(j, c, &out->val, f, out))
			check_invalid(j, c, j->why, v, id, f, out);
		break;
	case AT_MISSING:
		check_nothing(j, c, &c->map->if_missing, FAULT_MISSING, v, id, f, out);
		break;
	case AT_NULL:
		check_nothing(j, c, &c->map->if_null, FAULT_NULL, v, id, f, out);
		break;
	case AT_MISPLACED:
		check_invalid(j, c, FAULT_SHAPE, v, id, f, out);
		break;
	case AT_TWICE:
		reject(out, FAULT_DUPLICATE_KEY);
		break;
	}
}

/* --- forms --- */

void field_form(struct judge *j, const struct pgtype *t, struct field_bytes f, struct buf *out)
{
	buf_putc(out, f.len < 0 ? 'N' : 'V');
	if (f.len >= 0)
		(void)key_of_field(j, t, f, out);
}

/* The field whose form it would be. */
static struct field_bytes field_of_form(const struct pgtype *t, const uint8_t *form, size_t n)
{
	size_t size = t->base == PGT_INT2 ? 2 : t->base == PGT_INT4 || t->base == PGT_DATE ? 4 : n;

	return (struct field_bytes){form + (n - size), (int)size};
}

/* Keys have a form of their own; the judge has the last word on whether it is the value's. */
static bool put_form(struct judge *j, const struct spec *s, const struct val *v, struct buf *out)
{
	size_t from = out->len;

	return key_of_val(j, s, v, out) && out->len - from >= (s->type.base == PGT_INT2 ? 2u : 0u) &&
	       check_value(j, s, v, field_of_form(&s->type, out->data + from, out->len - from)) == SAME;
}

bool column_form(struct judge *j, const struct column *c, struct view *v, const struct val *id, struct buf *out)
{
	static const struct field_bytes nothing = {NULL, -1};
	struct cell cell;

	column_check(j, c, v, id, nothing, &cell);
	if (cell.result == CELL_REJECT || cell.expects_null) {
		buf_putc(out, cell.expects_null ? 'N' : 'R'); /* a row with R there is none */
		return true;
	}
	buf_putc(out, 'V');
	if (cell.literal != NULL && cell.literal->data != NULL)
		return key_of_field(j, &c->spec.type, (struct field_bytes){cell.literal->data, cell.literal->len},
				    out);
	return cell.chosen.kind != 0 && put_form(j, &c->spec, &cell.chosen, out);
}

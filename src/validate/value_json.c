/* value_json.c - json, jsonb and Extended JSON texts: the tree that the server sends and the BSON value, walked
 * together.
 *
 * jsonb has forgotten the order of keys, writes numbers without exponents and has no -0; all else is to be as the
 * mode (relaxed, canonical, plain) writes it: 5 is an integer, 5.0 a double.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "extjson.h"
#include "json_tree.h"
#include "value.h"

#define MAX_DEPTH 4000

struct walk {
	struct judge *j;
	const struct spec *s;
	bool is_jsonb;
	enum verdict result; /* of what was met so far: UNFIT wins */
};

static bool differs(struct walk *w)
{
	if (w->result == SAME)
		w->result = DIFFERENT;
	return false;
}

static bool misfit(struct walk *w, enum fault why)
{
	w->result = UNFIT;
	w->j->why = why;
	return false;
}

static bool same(struct walk *w, bool yes)
{
	return yes || differs(w);
}

/* --- leaves --- */

static bool is_text(const struct json *n, const char *text, size_t len)
{
	return n != NULL && n->kind == JSON_STRING && n->n == len && memcmp(n->text, text, len) == 0;
}

static bool is_string(const struct json *n, const char *text)
{
	return is_text(n, text, strlen(text));
}

/* The only member of an object, if it has this key. */
static const struct json *wrapped(const struct json *n, const char *key)
{
	if (n == NULL || n->kind != JSON_OBJECT || n->count != 1 || n->first->key_len != strlen(key) ||
	    memcmp(n->first->key, key, n->first->key_len) != 0)
		return NULL;
	return n->first;
}

static const struct json *member(const struct json *n, const char *key, size_t len)
{
	if (n == NULL || n->kind != JSON_OBJECT)
		return NULL;
	for (const struct json *m = n->first; m != NULL; m = m->next)
		if (m->key_len == len && memcmp(m->key, key, len) == 0)
			return m;
	return NULL;
}

/* Text by the column's encoding. */
static bool same_string(struct walk *w, const struct json *n, const char *text, size_t len)
{
	if (is_text(n, text, len) && memchr(text, 0, len) == NULL)
		return true;
	if (!text_as_encoded(w->j, w->s, &text, &len))
		return misfit(w, w->j->why);
	return same(w, is_text(n, text, len));
}

static bool is_integer(const struct json *n, int64_t v)
{
	char text[24];

	snprintf(text, sizeof text, "%lld", (long long)v);
	return n != NULL && n->kind == JSON_NUMBER && n->n == strlen(text) && memcmp(n->text, text, n->n) == 0;
}

static bool is_wrapped_integer(const struct json *n, const char *key, int64_t v)
{
	char text[24];

	snprintf(text, sizeof text, "%lld", (long long)v);
	return is_string(wrapped(n, key), text);
}

static int64_t digits_after_point(const struct number *x)
{
	return x->exponent < 0 ? -x->exponent : 0;
}

/* A bare number of jsonb: numeric keeps the zeros after the point, not the exponent. */
static bool is_bare_number(struct walk *w, const struct json *n, const char *text, double *d)
{
	struct number got, want;

	if (n == NULL || n->kind != JSON_NUMBER)
		return false;
	if (!w->is_jsonb)
		return n->n == strlen(text) && memcmp(n->text, text, n->n) == 0;
	if (!number_parse(n->text, n->n, &w->j->key, &got) || !number_parse(text, strlen(text), &w->j->text, &want))
		return false;
	return digits_after_point(&got) == digits_after_point(&want) &&
	       (number_equal(&got, &want) || (d != NULL && number_is_double(&got, *d)));
}

static bool is_double(struct walk *w, const struct json *n, double d)
{
	char text[48];

	number_double_text(d, true, text);
	if (w->s->json == MAP_JSON_CANONICAL || !isfinite(d))
		return is_string(wrapped(n, "$numberDouble"), text);
	return is_bare_number(w, n, text, &d);
}

static bool is_decimal(struct walk *w, const struct json *n, const struct val *v)
{
	struct number x;
	char text[64];

	number_of_decimal128(v, &x);
	number_decimal_text(&x, text);
	if (w->s->json != MAP_JSON_PLAIN || x.kind != NUMBER_FINITE)
		return is_string(wrapped(n, "$numberDecimal"), text);
	return is_bare_number(w, n, text, NULL);
}

static bool is_date(const struct walk *w, const struct json *n, int64_t ms)
{
	char text[48];

	time_iso_text(ms, false, text);
	if (w->s->json == MAP_JSON_PLAIN)
		return is_string(n, text);
	n = wrapped(n, "$date");
	if (w->s->json == MAP_JSON_RELAXED && ms >= 0 && ms < INT64_C(253402300800000))
		return is_string(n, text);
	return is_wrapped_integer(n, "$numberLong", ms);
}

static bool is_objectid(const struct walk *w, const struct json *n, const uint8_t *oid)
{
	uint8_t got[12];

	if (w->s->json != MAP_JSON_PLAIN)
		n = wrapped(n, "$oid");
	if (n == NULL || n->kind != JSON_STRING || !id_hex(n->text, n->n, got, 12) || memcmp(got, oid, 12) != 0)
		return false;
	for (size_t i = 0; i < n->n; i++)
		if (n->text[i] >= 'A' && n->text[i] <= 'F')
			return false;
	return true;
}

static int base64_digit(char c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	return c == '+' ? 62 : c == '/' ? 63 : -1;
}

static bool is_base64(const struct json *n, const uint8_t *p, size_t len)
{
	if (n == NULL || n->kind != JSON_STRING || n->n != (len + 2) / 3 * 4)
		return false;
	for (size_t i = 0; i < n->n; i++) { /* digit i holds bits 6i..6i+5 */
		size_t bit = 6 * i, at = bit / 8;
		int want = -1;
		if (bit < 8 * len) {
			unsigned two = (unsigned)p[at] << 8 | (at + 1 < len ? p[at + 1] : 0u);
			want = (int)(two >> (10 - bit % 8) & 63);
		}
		if (want < 0 ? n->text[i] != '=' : base64_digit(n->text[i]) != want)
			return false;
	}
	return true;
}

static bool is_binary(const struct walk *w, const struct json *n, const struct val *v)
{
	char text[37];
	uint8_t subtype;
	size_t len;
	const uint8_t *p = val_binary(v, &subtype, &len);

	if (w->s->json == MAP_JSON_PLAIN && subtype == 4 && len == 16) {
		id_uuid_text(p, text);
		return is_string(n, text);
	}
	n = wrapped(n, "$binary");
	snprintf(text, sizeof text, "%02x", subtype);
	return n != NULL && n->count == 2 && is_base64(member(n, "base64", 6), p, len) &&
	       is_string(member(n, "subType", 7), text);
}

static bool is_timestamp(const struct json *n, uint64_t x)
{
	n = wrapped(n, "$timestamp");
	return n != NULL && n->count == 2 && is_integer(member(n, "t", 1), (int64_t)(x >> 32)) &&
	       is_integer(member(n, "i", 1), (int64_t)(uint32_t)x);
}

static bool same_regex(struct walk *w, const struct json *n, const struct val *v)
{
	const char *pattern, *options;
	size_t np, no;

	val_regex(v, &pattern, &np, &options, &no);
	n = wrapped(n, "$regularExpression");
	return same_string(w, member(n, "pattern", 7), pattern, np) &&
	       same_string(w, member(n, "options", 7), options, no) && same(w, n != NULL && n->count == 2);
}

static bool same_dbpointer(struct walk *w, const struct json *n, const struct val *v)
{
	const uint8_t *oid;
	size_t len;
	const char *name = val_dbpointer(v, &len, &oid);

	n = wrapped(n, "$dbPointer");
	return same_string(w, member(n, "$ref", 4), name, len) &&
	       same(w, n->count == 2 && is_objectid(w, member(n, "$id", 3), oid));
}

static bool same_wrapped_text(struct walk *w, const struct json *n, const char *key, const struct val *v)
{
	size_t len;
	const char *text = val_text(v, &len);

	return same_string(w, key != NULL ? wrapped(n, key) : n, text, len);
}

/* --- documents and arrays --- */

static bool same_value(struct walk *w, const struct json *n, const struct val *v, int depth);

/* Are the keys one, as they are written? Mending may make two of them the same. */
static bool same_key(const struct walk *w, const struct field *f, const struct field *g)
{
	const char *a = f->key, *b = g->key;
	size_t na = f->key_len, nb = g->key_len;
	char *copy;

	if (na == nb && memcmp(a, b, na) == 0)
		return true;
	if (w->s->encoding == MAP_ENCODING_REJECT)
		return false;
	if (!text_as_encoded(w->j, w->s, &a, &na))
		return false;
	copy = arena_strndup(w->j->arena, a, na);
	return text_as_encoded(w->j, w->s, &b, &nb) && na == nb && memcmp(copy, b, na) == 0;
}

/* 0: the key stands once; 1: this is the one that counts; 2: another one counts; -1: refused. */
static int rank_of_twin(const struct walk *w, const struct val *doc, const struct field *f)
{
	struct doc_iter it;
	struct field g;
	bool before = false, after = false;

	if (!doc_iter_val(&it, doc))
		return -1;
	while (doc_iter_next(&it, &g)) {
		if (g.val.data == f->val.data || !same_key(w, f, &g))
			continue;
		before = before || g.val.data < f->val.data;
		after = after || g.val.data > f->val.data;
	}
	if (!before && !after)
		return 0;
	if (w->s->duplicate_keys == DUP_REJECT)
		return -1;
	return (w->s->duplicate_keys == DUP_FIRST ? before : after) ? 2 : 1;
}

/* Might a key stand twice? A bloom filter over all keys that says no nearly always. */
static bool may_have_twins(const struct walk *w, const struct val *doc)
{
	struct doc_iter it;
	struct field f;
	uint64_t seen[4] = {0};

	if (!doc_iter_val(&it, doc))
		return false;
	while (doc_iter_next(&it, &f)) {
		uint32_t h = 2166136261u;
		bool plain = true;
		for (uint32_t i = 0; i < f.key_len; i++) {
			plain = plain && (uint8_t)f.key[i] < 0x80;
			h = (h ^ (uint8_t)f.key[i]) * 16777619u;
		}
		uint64_t bit = UINT64_C(1) << (h & 63);
		if (!plain && w->s->encoding != MAP_ENCODING_REJECT)
			return true;
		if (seen[h >> 6 & 3] & bit)
			return true;
		seen[h >> 6 & 3] |= bit;
	}
	return false;
}

/* The member that belongs to the field: the next one where order is kept, else looked up. */
static const struct json *member_of(struct walk *w, const struct json *n, const struct json **cursor,
				    const struct field *f, bool *refused)
{
	const char *key = f->key;
	size_t len = f->key_len;
	const struct json *m = *cursor;

	*refused = !text_as_encoded(w->j, w->s, &key, &len);
	if (*refused)
		return NULL;
	if (m == NULL || m->key_len != len || memcmp(m->key, key, len) != 0)
		m = w->is_jsonb ? member(n, key, len) : NULL;
	if (m != NULL)
		*cursor = m->next;
	return m;
}

static bool same_object(struct walk *w, const struct json *n, const struct val *v, int depth)
{
	struct doc_iter it;
	struct field f;
	size_t count = 0;
	bool twins = may_have_twins(w, v), refused;
	const struct json *cursor = n != NULL && n->kind == JSON_OBJECT ? n->first : NULL;

	if (!doc_iter_val(&it, v))
		return misfit(w, FAULT_CORRUPT);
	while (doc_iter_next(&it, &f)) {
		int rank = twins ? rank_of_twin(w, v, &f) : 0;
		if (rank < 0)
			return misfit(w, FAULT_DUPLICATE_KEY);
		if (rank == 2)
			continue;
		const struct json *m = member_of(w, n, &cursor, &f, &refused);
		if (refused)
			return misfit(w, w->j->why);
		count++;
		if (!same_value(w, m, &f.val, depth + 1) && w->result == UNFIT)
			return false;
	}
	if (it.corrupt)
		return misfit(w, FAULT_CORRUPT);
	return same(w, n != NULL && n->kind == JSON_OBJECT && n->count == count) && w->result == SAME;
}

static bool same_array(struct walk *w, const struct json *n, const struct val *v, int depth)
{
	struct doc_iter it;
	struct field f;
	const struct json *e = n != NULL && n->kind == JSON_ARRAY ? n->first : NULL;
	size_t count = 0;

	if (!doc_iter_val(&it, v))
		return misfit(w, FAULT_CORRUPT);
	for (; doc_iter_next(&it, &f); count++) {
		if (!same_value(w, e, &f.val, depth + 1) && w->result == UNFIT)
			return false;
		e = e != NULL ? e->next : NULL;
	}
	if (it.corrupt)
		return misfit(w, FAULT_CORRUPT);
	return same(w, n != NULL && n->kind == JSON_ARRAY && n->count == count) && w->result == SAME;
}

static bool same_code(struct walk *w, const struct json *n, const struct val *v, int depth)
{
	struct val scope;
	size_t len;
	const char *code = val_codewscope(v, &len, &scope);

	return same_string(w, member(n, "$code", 5), code, len) &&
	       same_object(w, member(n, "$scope", 6), &scope, depth + 1) && same(w, n != NULL && n->count == 2);
}

/* Types that are a single value. */
static bool is_leaf(struct walk *w, const struct json *n, const struct val *v)
{
	bool canonical = w->s->json == MAP_JSON_CANONICAL;
	int64_t i;

	switch (v->kind) {
	case BSON_K_DOUBLE:
		return is_double(w, n, val_double(v));
	case BSON_K_BINARY:
		return is_binary(w, n, v);
	case BSON_K_UNDEFINED:
		n = wrapped(n, "$undefined");
		return n != NULL && n->kind == JSON_TRUE;
	case BSON_K_OBJECTID:
		return is_objectid(w, n, v->data);
	case BSON_K_BOOL:
		return n != NULL && n->kind == (val_bool(v) ? JSON_TRUE : JSON_FALSE);
	case BSON_K_DATE:
		return is_date(w, n, val_i64(v));
	case BSON_K_NULL:
		return n != NULL && n->kind == JSON_NULL;
	case BSON_K_INT32:
	case BSON_K_INT64:
		i = v->kind == BSON_K_INT32 ? val_i32(v) : val_i64(v);
		return canonical ? is_wrapped_integer(n, v->kind == BSON_K_INT32 ? "$numberInt" : "$numberLong", i)
				 : is_integer(n, i);
	case BSON_K_TIMESTAMP:
		return is_timestamp(n, (uint64_t)val_i64(v));
	case BSON_K_DECIMAL128:
		return is_decimal(w, n, v);
	case BSON_K_MINKEY:
	case BSON_K_MAXKEY:
		return is_integer(wrapped(n, v->kind == BSON_K_MINKEY ? "$minKey" : "$maxKey"), 1);
	default:
		return false;
	}
}

static bool same_value(struct walk *w, const struct json *n, const struct val *v, int depth)
{
	size_t len;
	const char *text;

	if (depth > MAX_DEPTH)
		return differs(w);
	switch (v->kind) {
	case BSON_K_STRING:
		text = val_text(v, &len);
		return same_string(w, n, text, len);
	case BSON_K_DOCUMENT:
		return same_object(w, n, v, depth);
	case BSON_K_ARRAY:
		return same_array(w, n, v, depth);
	case BSON_K_REGEX:
		return same_regex(w, n, v);
	case BSON_K_DBPOINTER:
		return same_dbpointer(w, n, v);
	case BSON_K_CODE:
		return same_wrapped_text(w, n, "$code", v);
	case BSON_K_SYMBOL:
		return same_wrapped_text(w, n, w->s->json == MAP_JSON_PLAIN ? NULL : "$symbol", v);
	case BSON_K_CODEWSCOPE:
		return same_code(w, n, v, depth);
	default:
		return same(w, is_leaf(w, n, v));
	}
}

/* --- columns --- */

static enum verdict check_tree(struct judge *j, const struct spec *s, const struct val *v, const char *text, size_t n,
			       bool is_jsonb)
{
	struct walk w = {.j = j, .s = s, .is_jsonb = is_jsonb, .result = SAME};
	const struct json *tree = text != NULL ? json_read(j->arena, text, n, !is_jsonb) : NULL;

	if (tree == NULL)
		w.result = DIFFERENT;
	same_value(&w, tree, v, 0);
	return w.result;
}

enum verdict check_json(struct judge *j, const struct spec *s, const struct val *v, struct field_bytes f)
{
	const char *text = f.len > 0 ? (const char *)f.data : NULL;
	size_t n = f.len > 0 ? (size_t)f.len : 0;

	if (s->type.base == PGT_JSONB && n > 0) { /* a byte with the version goes before the text */
		if (*text++ != 1)
			return DIFFERENT;
		n--;
	}
	return check_tree(j, s, v, text, n, s->type.base == PGT_JSONB);
}

/* The text's length decides whether it fits: only for that is it written here. */
static bool is_too_long(struct judge *j, const struct spec *s, const struct val *v)
{
	static const enum extjson_text texts[] = {[MAP_ENCODING_REJECT] = EXTJSON_TEXT_REFUSE,
						  [MAP_ENCODING_REPLACE] = EXTJSON_TEXT_REPLACE,
						  [MAP_ENCODING_STRIP] = EXTJSON_TEXT_STRIP};
	static const enum extjson_mode modes[] = {[MAP_JSON_RELAXED] = EXTJSON_RELAXED,
						  [MAP_JSON_CANONICAL] = EXTJSON_CANONICAL,
						  [MAP_JSON_PLAIN] = EXTJSON_PLAIN};
	struct extjson_opts o = {.mode = modes[s->json], .text = texts[s->encoding], .dup = EXTJSON_DUP_KEEP};
	struct extjson_info info = {0};

	buf_reset(&j->text);
	return extjson_write(&j->text, v, &o, &info) == FAULT_OK &&
	       text_is_too_long(&s->type, (const char *)j->text.data, j->text.len);
}

enum verdict check_json_text(struct judge *j, const struct spec *s, const struct val *v, struct field_bytes f)
{
	enum verdict r;

	while (s->type.base == PGT_CHAR && f.len > 0 && f.data[f.len - 1] == ' ')
		f.len--;
	r = check_tree(j, s, v, f.len > 0 ? (const char *)f.data : NULL, f.len > 0 ? (size_t)f.len : 0, false);
	return r == DIFFERENT && is_too_long(j, s, v) ? unfit(j, FAULT_TOO_LONG) : r;
}

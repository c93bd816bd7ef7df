/* extjson_wrap.c - a table of wrappers by the name of their first field.
 *
 * Every function gets the wrapper's fields and writes the payload to where the wrapper begins. It reads a field
 * before it writes over it, and writes less than it has read. What does not fit exactly is no wrapper.
 */
#include "extjson_wrap.h"

#include <string.h>

#include "decimal.h"
#include "id.h"
#include "iso.h"
#include "text.h"

#define MAX_FIELDS 2

struct wrapper {
	struct field f[MAX_FIELDS];
	size_t n;
	uint8_t *out; /* where the payload goes     */
	size_t len;   /* of it, set by the function */
	unsigned numbers;
};

typedef enum bson_kind unwrap(struct wrapper *w);

static const enum bson_kind none = BSON_K_DOCUMENT;

/* ---- fields ---- */

static bool is_text(const struct val *v, const char **s, size_t *n)
{
	if (v->kind != BSON_K_STRING)
		return false;
	*s = val_text(v, n);
	return true;
}

static bool is_key(const struct field *f, const char *key)
{
	return f->key_len == strlen(key) && memcmp(f->key, key, f->key_len) == 0;
}

static bool is_whole(const struct val *v, int64_t *out)
{
	if (v->kind == BSON_K_INT32)
		*out = val_i32(v);
	else if (v->kind == BSON_K_INT64)
		*out = val_i64(v);
	else
		return false;
	return true;
}

/* The fields of a document, if they are exactly n. */
static bool take_fields(const struct val *doc, struct field *f, size_t n)
{
	struct doc_iter it;
	struct field more;
	if (doc->kind != BSON_K_DOCUMENT || !doc_iter_val(&it, doc))
		return false;
	for (size_t i = 0; i < n; i++)
		if (!doc_iter_next(&it, &f[i]))
			return false;
	return !doc_iter_next(&it, &more) && !it.corrupt;
}

/* One of two fields by name, in either order. */
static const struct val *pick(const struct field *f, const char *key)
{
	if (is_key(&f[0], key))
		return &f[0].val;
	return is_key(&f[1], key) ? &f[1].val : NULL;
}

static enum bson_kind give(struct wrapper *w, enum bson_kind kind, const void *payload, size_t n)
{
	memmove(w->out, payload, n);
	w->len = n;
	return kind;
}

/* ---- numbers ---- */

static enum bson_kind number_int(struct wrapper *w)
{
	const char *s;
	size_t n;
	int64_t v;
	if (!is_text(&w->f[0].val, &s, &n) || !text_parse_i64(s, n, &v) || v < INT32_MIN || v > INT32_MAX)
		return none;
	return give(w, BSON_K_INT32, &(int32_t){(int32_t)v}, 4);
}

/* Version 1 has bare numbers in it, too. */
static enum bson_kind number_long(struct wrapper *w)
{
	const char *s;
	size_t n;
	int64_t v;
	if (is_whole(&w->f[0].val, &v))
		w->numbers = 1;
	else if (!is_text(&w->f[0].val, &s, &n) || !text_parse_i64(s, n, &v))
		return none;
	return give(w, BSON_K_INT64, &v, 8);
}

static enum bson_kind number_double(struct wrapper *w)
{
	const char *s;
	size_t n;
	double v;
	if (!is_text(&w->f[0].val, &s, &n) || !text_parse_double(s, n, &v))
		return none;
	return give(w, BSON_K_DOUBLE, &v, 8);
}

static enum bson_kind number_decimal(struct wrapper *w)
{
	const char *s;
	size_t n;
	uint8_t v[16];
	if (!is_text(&w->f[0].val, &s, &n) || !decimal_parse(s, n, v))
		return none;
	return give(w, BSON_K_DECIMAL128, v, 16);
}

/* ---- ids, dates ---- */

static enum bson_kind oid(struct wrapper *w)
{
	const char *s;
	size_t n;
	uint8_t id[OBJECTID_SIZE];
	if (!is_text(&w->f[0].val, &s, &n) || !id_objectid_parse(s, n, id))
		return none;
	return give(w, BSON_K_OBJECTID, id, sizeof(id));
}

static bool parse_instant(const char *s, size_t n, int64_t *ms)
{
	struct iso_time t;
	if (!iso_parse(s, n, &t) || !t.has_date || !t.has_time || t.finer_than_us || t.us % 1000 != 0)
		return false;
	*ms = t.days * 86400000 + t.us / 1000 - (int64_t)t.offset_min * 60000;
	return true;
}

/* As text, as number (version 1), or {"$numberLong": …}, which is an int64 by now. */
static enum bson_kind date(struct wrapper *w)
{
	const struct val *v = &w->f[0].val;
	const char *s;
	size_t n;
	int64_t ms;
	if (is_whole(v, &ms))
		w->numbers = v->kind == BSON_K_INT32;
	else if (!is_text(v, &s, &n) || !parse_instant(s, n, &ms))
		return none;
	return give(w, BSON_K_DATE, &ms, 8);
}

static bool is_u32(const struct val *v, uint32_t *out)
{
	int64_t x;
	if (!v || !is_whole(v, &x) || x < 0 || x > UINT32_MAX)
		return false;
	*out = (uint32_t)x;
	return true;
}

static enum bson_kind timestamp(struct wrapper *w)
{
	struct field f[2];
	uint32_t t, i;
	if (!take_fields(&w->f[0].val, f, 2) || !is_u32(pick(f, "t"), &t) || !is_u32(pick(f, "i"), &i))
		return none;
	w->numbers = 2;
	return give(w, BSON_K_TIMESTAMP, &(uint64_t){(uint64_t)t << 32 | i}, 8);
}

/* ---- binary ---- */

/* Hexadecimal, one or two digits; version 1 of some drivers wrote eight for subtypes from 80 up (ffffff80). */
static bool is_subtype(const struct val *v, uint8_t *out)
{
	const char *s;
	size_t n;
	char two[3] = "00";
	if (!v || !is_text(v, &s, &n))
		return false;
	if (n == 8 && memcmp(s, "ffffff", 6) == 0) {
		s += 6;
		n = 2;
	}
	if (n < 1 || n > 2)
		return false;
	memcpy(two + 2 - n, s, n);
	return text_unhex(two, 2, out);
}

static enum bson_kind give_binary(struct wrapper *w, const struct val *base64, const struct val *type)
{
	const char *s;
	size_t n, len;
	uint8_t subtype;
	if (!base64 || !is_text(base64, &s, &n) || !is_subtype(type, &subtype))
		return none;
	/* The old subtype 2 has its length once more inside. */
	size_t head = subtype == 2 ? 9 : 5;
	if (!text_unbase64(s, n, w->out + head, &len)) /* out lies before the text */
		return none;
	int32_t inner = (int32_t)len, outer = (int32_t)(subtype == 2 ? len + 4 : len);
	memcpy(w->out, &outer, 4);
	w->out[4] = subtype;
	if (subtype == 2)
		memcpy(w->out + 5, &inner, 4);
	w->len = head + len;
	return BSON_K_BINARY;
}

static enum bson_kind binary(struct wrapper *w)
{
	struct field f[2];
	if (w->n == 1)
		return take_fields(&w->f[0].val, f, 2) ? give_binary(w, pick(f, "base64"), pick(f, "subType")) : none;
	return give_binary(w, pick(w->f, "$binary"), pick(w->f, "$type"));
}

static enum bson_kind uuid(struct wrapper *w)
{
	const char *s;
	size_t n;
	uint8_t payload[5 + UUID_SIZE] = {UUID_SIZE, 0, 0, 0, 4};
	if (!is_text(&w->f[0].val, &s, &n) || !id_uuid_parse(s, n, payload + 5))
		return none;
	return give(w, BSON_K_BINARY, payload, sizeof(payload));
}

/* ---- texts ---- */

static enum bson_kind give_regex(struct wrapper *w, const struct val *pattern, const struct val *options)
{
	const char *p, *o;
	size_t np, no;
	if (!pattern || !options || !is_text(pattern, &p, &np) || !is_text(options, &o, &no) || strlen(p) != np ||
	    strlen(o) != no || p > o) /* the options first: neither mongoexport nor a driver writes that */
		return none;
	memmove(w->out, p, np + 1);
	memmove(w->out + np + 1, o, no + 1);
	w->len = np + no + 2;
	return BSON_K_REGEX;
}

static enum bson_kind regular_expression(struct wrapper *w)
{
	struct field f[2];
	return take_fields(&w->f[0].val, f, 2) ? give_regex(w, pick(f, "pattern"), pick(f, "options")) : none;
}

static enum bson_kind regex(struct wrapper *w)
{
	return give_regex(w, pick(w->f, "$regex"), pick(w->f, "$options"));
}

static enum bson_kind symbol(struct wrapper *w)
{
	const struct val v = w->f[0].val;
	return v.kind == BSON_K_STRING ? give(w, BSON_K_SYMBOL, v.data, v.len) : none;
}

static enum bson_kind code(struct wrapper *w)
{
	const struct val v = w->f[0].val;
	return v.kind == BSON_K_STRING ? give(w, BSON_K_CODE, v.data, v.len) : none;
}

static enum bson_kind code_with_scope(struct wrapper *w)
{
	const struct val v = w->f[0].val, scope = w->f[1].val;
	if (v.kind != BSON_K_STRING || scope.kind != BSON_K_DOCUMENT || !is_key(&w->f[1], "$scope"))
		return none;
	int32_t total = (int32_t)(4 + v.len + scope.len);
	memmove(w->out + 4, v.data, v.len);
	memmove(w->out + 4 + v.len, scope.data, scope.len);
	memcpy(w->out, &total, 4);
	w->len = (size_t)total;
	return BSON_K_CODEWSCOPE;
}

static enum bson_kind dbpointer(struct wrapper *w)
{
	struct field f[2];
	uint8_t id[OBJECTID_SIZE];
	if (!take_fields(&w->f[0].val, f, 2))
		return none;
	const struct val *name = pick(f, "$ref"), *target = pick(f, "$id");
	if (!name || !target || name->kind != BSON_K_STRING || target->kind != BSON_K_OBJECTID)
		return none;
	uint32_t n = name->len;
	memcpy(id, target->data, sizeof(id));
	memmove(w->out, name->data, n);
	memcpy(w->out + n, id, sizeof(id));
	w->len = n + sizeof(id);
	return BSON_K_DBPOINTER;
}

/* ---- no value ---- */

static bool is_one(const struct val *v)
{
	int64_t n;
	return is_whole(v, &n) && n == 1;
}

static enum bson_kind undefined(struct wrapper *w)
{
	w->len = 0;
	return w->f[0].val.kind == BSON_K_BOOL && val_bool(&w->f[0].val) ? BSON_K_UNDEFINED : none;
}

static enum bson_kind min_key(struct wrapper *w)
{
	w->numbers = 1;
	w->len = 0;
	return is_one(&w->f[0].val) ? BSON_K_MINKEY : none;
}

static enum bson_kind max_key(struct wrapper *w)
{
	w->numbers = 1;
	w->len = 0;
	return is_one(&w->f[0].val) ? BSON_K_MAXKEY : none;
}

/* ---- all together ---- */

static const struct {
	const char *key; /* of the first field */
	size_t fields;
	unwrap *unwrap;
} wrappers[] = {
	{"$oid", 1, oid},
	{"$date", 1, date},
	{"$numberInt", 1, number_int},
	{"$numberLong", 1, number_long},
	{"$numberDouble", 1, number_double},
	{"$numberDecimal", 1, number_decimal},
	{"$binary", 1, binary},
	{"$binary", 2, binary},
	{"$type", 2, binary},
	{"$uuid", 1, uuid},
	{"$timestamp", 1, timestamp},
	{"$regularExpression", 1, regular_expression},
	{"$regex", 2, regex},
	{"$symbol", 1, symbol},
	{"$code", 1, code},
	{"$code", 2, code_with_scope},
	{"$dbPointer", 1, dbpointer},
	{"$undefined", 1, undefined},
	{"$minKey", 1, min_key},
	{"$maxKey", 1, max_key},
};

static unwrap *find_wrapper(const struct wrapper *w)
{
	for (size_t i = 0; i < sizeof(wrappers) / sizeof(wrappers[0]); i++)
		if (wrappers[i].fields == w->n && is_key(&w->f[0], wrappers[i].key))
			return wrappers[i].unwrap;
	return NULL;
}

enum bson_kind extjson_unwrap(uint8_t *doc, size_t *len, unsigned *numbers)
{
	struct wrapper w = {.out = doc};
	struct val whole = {.data = doc, .len = (uint32_t)*len, .kind = BSON_K_DOCUMENT};
	for (w.n = MAX_FIELDS; w.n > 0 && !take_fields(&whole, w.f, w.n);)
		w.n--;
	unwrap *f = find_wrapper(&w);
	if (w.n == 0 || !f)
		return none;
	enum bson_kind kind = f(&w);
	if (kind == none)
		return none;
	*len = w.len;
	*numbers = w.numbers;
	return kind;
}

/* map_filter.c - where: a MongoDB filter written in YAML, into BSON.
 *
 * Plain scalars are what they look like (whole numbers, decimals, true, false, null), quoted ones are texts; values
 * of other types are written as Extended JSON: { $oid: ... }, { $date: ... }, { $numberDecimal: "..." } and the like.
 * Whether the operators make sense is for the source to say.
 */
#include <math.h>
#include <stdlib.h>

#include "decimal.h"
#include "doc.h"
#include "id.h"
#include "iso.h"
#include "map_private.h"
#include "text.h"

struct writer {
	struct buf *out;
	yaml_document_t *doc;
	struct complaints *c;
};

static void complain_at(struct writer *w, const yaml_node_t *n, const char *text)
{
	complain(w->c, (int)n->start_mark.line + 1, (int)n->start_mark.column + 1, "%s", text);
}

static const char *text_of(const yaml_node_t *n)
{
	return (const char *)n->data.scalar.value;
}

static bool is_plain(const yaml_node_t *n)
{
	return n->type == YAML_SCALAR_NODE && n->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
}

/* ---- elements ---- */

static void put_head(struct writer *w, enum bson_kind kind, const char *key)
{
	buf_putc(w->out, (char)kind);
	buf_put(w->out, key, strlen(key) + 1);
}

static void put_payload(struct writer *w, enum bson_kind kind, const char *key, const void *payload, size_t n)
{
	put_head(w, kind, key);
	buf_put(w->out, payload, n);
}

static void put_text(struct writer *w, enum bson_kind kind, const char *key, const char *text, size_t n)
{
	int32_t len = (int32_t)n + 1;
	put_payload(w, kind, key, &len, 4);
	buf_put(w->out, text, n);
	buf_putc(w->out, 0);
}

static size_t open_document(struct writer *w)
{
	size_t mark = w->out->len;
	static const uint8_t length[4];
	buf_put(w->out, length, 4);
	return mark;
}

static void close_document(struct writer *w, size_t mark)
{
	buf_putc(w->out, 0);
	int32_t len = (int32_t)(w->out->len - mark);
	if (buf_ok(w->out))
		memcpy(w->out->data + mark, &len, 4);
}

/* ---- scalars ---- */

static bool is_any_of(const char *text, const char *const *words, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (strcmp(text, words[i]) == 0)
			return true;
	return false;
}

static bool put_word(struct writer *w, const char *key, const char *text)
{
	static const char *const nulls[] = {"", "~", "null", "Null", "NULL"};
	if (is_any_of(text, nulls, COUNT_OF(nulls)))
		put_head(w, BSON_K_NULL, key);
	else if (strcmp(text, "true") == 0 || strcmp(text, "false") == 0)
		put_payload(w, BSON_K_BOOL, key, text[0] == 't' ? "\1" : "\0", 1);
	else
		return false;
	return true;
}

static bool looks_like_number(const char *s)
{
	s += *s == '-' || *s == '+';
	if (strcmp(s, ".inf") == 0 || strcmp(s, ".nan") == 0)
		return true;
	s += *s == '.';
	return *s >= '0' && *s <= '9' && strspn(s, "0123456789.eE+-") == strlen(s);
}

static void put_double(struct writer *w, const char *key, double v)
{
	put_payload(w, BSON_K_DOUBLE, key, &v, 8);
}

static void put_integer(struct writer *w, const char *key, int64_t v)
{
	int32_t small = (int32_t)v;
	if (v == small)
		put_payload(w, BSON_K_INT32, key, &small, 4);
	else
		put_payload(w, BSON_K_INT64, key, &v, 8);
}

static bool put_number(struct writer *w, const char *key, const char *text)
{
	const char *digits = text + (*text == '-' || *text == '+');
	int64_t whole;
	double v;
	if (!looks_like_number(text))
		return false;
	if (strcmp(digits, ".inf") == 0)
		put_double(w, key, text[0] == '-' ? -INFINITY : INFINITY);
	else if (strcmp(digits, ".nan") == 0)
		put_double(w, key, NAN);
	else if (text_parse_i64(text[0] == '+' ? digits : text, strlen(text[0] == '+' ? digits : text), &whole))
		put_integer(w, key, whole);
	else if (strpbrk(text, ".eE") != NULL && text_parse_double(text, strlen(text), &v))
		put_double(w, key, v);
	else
		return false;
	return true;
}

/* Texts that are hardly meant as such: they would match nothing, in silence. */
static const char *doubt(const char *s)
{
	uint8_t oid[OBJECTID_SIZE];
	if (id_objectid_parse(s, strlen(s), oid))
		return "24 hex digits: write { $oid: ... } for an ObjectId, or quotes for a text";
	if (strlen(s) >= 10 && strspn(s, "0123456789") == 4 && s[4] == '-' && strspn(s + 5, "0123456789") == 2 &&
	    s[7] == '-')
		return "a date: write { $date: ... } for a date, or quotes for a text";
	if (looks_like_number(s))
		return "not a number that MongoDB holds; write quotes for a text";
	return NULL;
}

static void put_scalar(struct writer *w, const char *key, const yaml_node_t *n)
{
	const char *text = text_of(n);
	if (is_plain(n) && (put_word(w, key, text) || put_number(w, key, text)))
		return;
	const char *why = is_plain(n) ? doubt(text) : NULL;
	if (why != NULL)
		complain_at(w, n, why);
	put_text(w, BSON_K_STRING, key, text, n->data.scalar.length);
}

/* ---- values of other types ---- */

typedef bool wrapper_fn(struct writer *w, const char *key, const yaml_node_t *v);

static const yaml_node_t *member(const struct writer *w, const yaml_node_t *n, const char *name)
{
	if (n->type != YAML_MAPPING_NODE)
		return NULL;
	for (yaml_node_pair_t *p = n->data.mapping.pairs.start; p < n->data.mapping.pairs.top; p++) {
		const yaml_node_t *key = yaml_document_get_node(w->doc, p->key);
		if (key->type == YAML_SCALAR_NODE && strcmp(text_of(key), name) == 0)
			return yaml_document_get_node(w->doc, p->value);
	}
	return NULL;
}

static bool scalar_i64(const yaml_node_t *n, int64_t *out)
{
	return n != NULL && n->type == YAML_SCALAR_NODE && text_parse_i64(text_of(n), n->data.scalar.length, out);
}

static bool put_oid(struct writer *w, const char *key, const yaml_node_t *v)
{
	uint8_t oid[OBJECTID_SIZE];
	if (v->type != YAML_SCALAR_NODE || !id_objectid_parse(text_of(v), v->data.scalar.length, oid))
		return false;
	put_payload(w, BSON_K_OBJECTID, key, oid, sizeof oid);
	return true;
}

static bool put_int32(struct writer *w, const char *key, const yaml_node_t *v)
{
	int64_t n;
	if (!scalar_i64(v, &n) || n != (int32_t)n)
		return false;
	int32_t small = (int32_t)n;
	put_payload(w, BSON_K_INT32, key, &small, 4);
	return true;
}

static bool put_int64(struct writer *w, const char *key, const yaml_node_t *v)
{
	int64_t n;
	if (!scalar_i64(v, &n))
		return false;
	put_payload(w, BSON_K_INT64, key, &n, 8);
	return true;
}

static bool put_number_double(struct writer *w, const char *key, const yaml_node_t *v)
{
	double d;
	const char *text = v->type == YAML_SCALAR_NODE ? text_of(v) : "";
	const char *word = text + (*text == '-');
	if (strcmp(word, "Infinity") == 0)
		d = text[0] == '-' ? -INFINITY : INFINITY;
	else if (strcmp(text, "NaN") == 0)
		d = NAN;
	else if (!text_parse_double(text, strlen(text), &d))
		return false;
	put_double(w, key, d);
	return true;
}

static bool put_decimal(struct writer *w, const char *key, const yaml_node_t *v)
{
	uint8_t bytes[16];
	if (v->type != YAML_SCALAR_NODE || !decimal_parse(text_of(v), v->data.scalar.length, bytes))
		return false;
	put_payload(w, BSON_K_DECIMAL128, key, bytes, sizeof bytes);
	return true;
}

static bool two_digits(const char **p, char before, int lo, int hi, int *out)
{
	const char *s = *p;
	if (before != 0 && *s++ != before)
		return false;
	if (strspn(s, "0123456789") < 2)
		return false;
	*out = (s[0] - '0') * 10 + (s[1] - '0');
	*p = s + 2;
	return *out >= lo && *out <= hi;
}

/* Z, +01:00, +0100; minutes east of Greenwich. */
static bool read_zone(const char *s, int *minutes)
{
	int h, m, sign = *s == '-' ? -1 : 1;
	*minutes = 0;
	if (strcmp(s, "Z") == 0)
		return true;
	if (*s != '+' && *s != '-')
		return false;
	s++;
	if (!two_digits(&s, 0, 0, 23, &h) || !two_digits(&s, *s == ':' ? ':' : 0, 0, 59, &m) || *s != '\0')
		return false;
	*minutes = sign * (h * 60 + m);
	return true;
}

/* .5, .123: milliseconds; more digits are not held by a date. */
static bool read_fraction(const char **p, int64_t *ms)
{
	const char *s = *p;
	*ms = 0;
	if (*s != '.')
		return true;
	size_t n = strspn(++s, "0123456789");
	for (size_t i = 0; i < 3; i++)
		*ms = *ms * 10 + (i < n ? s[i] - '0' : 0);
	*p = s + n;
	return n >= 1 && n <= 3;
}

/* 2024-01-31, 2024-01-31T10:00Z, 2024-01-31T10:00:00.123+01:00; a date alone is its midnight in UTC. */
static bool read_date(const char *s, int64_t *ms)
{
	int y, m, d, hour = 0, minute = 0, second = 0, zone = 0;
	int64_t fraction = 0;
	if (strspn(s, "0123456789") != 4)
		return false;
	y = atoi(s);
	s += 4;
	if (!two_digits(&s, '-', 1, 12, &m) || !two_digits(&s, '-', 1, 31, &d) || d > iso_days_in_month(y, m))
		return false;
	if (*s != '\0') {
		if ((*s != 'T' && *s != ' ') || !two_digits(&s, *s, 0, 23, &hour) ||
		    !two_digits(&s, ':', 0, 59, &minute))
			return false;
		if (*s == ':' && (!two_digits(&s, ':', 0, 59, &second) || !read_fraction(&s, &fraction)))
			return false;
		if (!read_zone(s, &zone))
			return false;
	}
	*ms = ((iso_days(y, m, d) * 24 + hour) * 60 + minute - zone) * 60000 + second * 1000 + fraction;
	return true;
}

static bool put_date(struct writer *w, const char *key, const yaml_node_t *v)
{
	int64_t ms;
	const yaml_node_t *number = member(w, v, "$numberLong");
	bool ok = number != NULL ? scalar_i64(number, &ms)
				 : v->type == YAML_SCALAR_NODE && (scalar_i64(v, &ms) || read_date(text_of(v), &ms));
	if (ok)
		put_payload(w, BSON_K_DATE, key, &ms, 8);
	return ok;
}

static bool read_base64(const yaml_node_t *v, struct buf *out)
{
	size_t n = v->data.scalar.length;
	return buf_reserve(out, n) && text_unbase64(text_of(v), n, out->data, &out->len);
}

static void put_bytes(struct writer *w, const char *key, uint8_t subtype, const void *bytes, size_t n)
{
	int32_t len = (int32_t)n;
	put_payload(w, BSON_K_BINARY, key, &len, 4);
	buf_putc(w->out, (char)subtype);
	buf_put(w->out, bytes, n);
}

/* { base64: "...", subType: "04" } */
static bool put_binary(struct writer *w, const char *key, const yaml_node_t *v)
{
	const yaml_node_t *data = member(w, v, "base64"), *type = member(w, v, "subType");
	_cleanup_(buf_free) struct buf bytes = {0};
	uint8_t subtype;
	bool ok = data != NULL && type != NULL && data->type == YAML_SCALAR_NODE && type->type == YAML_SCALAR_NODE &&
		  strlen(text_of(type)) == 2 && text_unhex(text_of(type), 2, &subtype) && subtype != 2 &&
		  read_base64(data, &bytes);
	if (ok)
		put_bytes(w, key, subtype, bytes.data, bytes.len);
	return ok;
}

static bool put_uuid(struct writer *w, const char *key, const yaml_node_t *v)
{
	uint8_t uuid[UUID_SIZE];
	if (v->type != YAML_SCALAR_NODE || !id_uuid_parse(text_of(v), v->data.scalar.length, uuid))
		return false;
	put_bytes(w, key, 4, uuid, sizeof uuid);
	return true;
}

/* { t: 1, i: 2 } */
static bool put_timestamp(struct writer *w, const char *key, const yaml_node_t *v)
{
	int64_t t, i;
	if (!scalar_i64(member(w, v, "t"), &t) || !scalar_i64(member(w, v, "i"), &i) || t != (uint32_t)t ||
	    i != (uint32_t)i)
		return false;
	uint64_t both = (uint64_t)t << 32 | (uint64_t)i;
	put_payload(w, BSON_K_TIMESTAMP, key, &both, 8);
	return true;
}

/* { pattern: "^a", options: "i" } */
static bool put_regex(struct writer *w, const char *key, const yaml_node_t *v)
{
	const yaml_node_t *pattern = member(w, v, "pattern"), *options = member(w, v, "options");
	if (pattern == NULL || pattern->type != YAML_SCALAR_NODE ||
	    (options != NULL && options->type != YAML_SCALAR_NODE))
		return false;
	put_payload(w, BSON_K_REGEX, key, text_of(pattern), pattern->data.scalar.length + 1);
	buf_put(w->out, options != NULL ? text_of(options) : "",
		(options != NULL ? options->data.scalar.length : 0) + 1);
	return true;
}

static bool put_symbol(struct writer *w, const char *key, const yaml_node_t *v)
{
	if (v->type == YAML_SCALAR_NODE)
		put_text(w, BSON_K_SYMBOL, key, text_of(v), v->data.scalar.length);
	return v->type == YAML_SCALAR_NODE;
}

static bool put_code(struct writer *w, const char *key, const yaml_node_t *v)
{
	if (v->type == YAML_SCALAR_NODE)
		put_text(w, BSON_K_CODE, key, text_of(v), v->data.scalar.length);
	return v->type == YAML_SCALAR_NODE;
}

static bool put_min_key(struct writer *w, const char *key, const yaml_node_t *v)
{
	(void)v;
	put_head(w, BSON_K_MINKEY, key);
	return true;
}

static bool put_max_key(struct writer *w, const char *key, const yaml_node_t *v)
{
	(void)v;
	put_head(w, BSON_K_MAXKEY, key);
	return true;
}

static const struct {
	const char *name;
	wrapper_fn *put;
	const char *takes;
} wrappers[] = {
	{"$oid", put_oid, "24 hex digits"},
	{"$date", put_date, "a time such as 2024-01-31T10:00:00Z, or milliseconds"},
	{"$numberInt", put_int32, "a whole number of 32 bits"},
	{"$numberLong", put_int64, "a whole number of 64 bits"},
	{"$numberDouble", put_number_double, "a number"},
	{"$numberDecimal", put_decimal, "a number of at most 34 digits"},
	{"$binary", put_binary, "{ base64: ..., subType: \"00\" }"},
	{"$uuid", put_uuid, "a UUID"},
	{"$timestamp", put_timestamp, "{ t: ..., i: ... }"},
	{"$regularExpression", put_regex, "{ pattern: ..., options: ... }"},
	{"$symbol", put_symbol, "a text"},
	{"$code", put_code, "a text"},
	{"$minKey", put_min_key, "1"},
	{"$maxKey", put_max_key, "1"},
};

/* True: n was a value of Extended JSON, put or complained about. */
static bool put_wrapped(struct writer *w, const char *key, const yaml_node_t *n)
{
	const yaml_node_pair_t *p = n->data.mapping.pairs.start;
	if (n->data.mapping.pairs.top - p != 1)
		return false;
	const yaml_node_t *name = yaml_document_get_node(w->doc, p->key);
	for (size_t i = 0; name->type == YAML_SCALAR_NODE && i < COUNT_OF(wrappers); i++) {
		if (strcmp(wrappers[i].name, text_of(name)) != 0)
			continue;
		const yaml_node_t *value = yaml_document_get_node(w->doc, p->value);
		if (!wrappers[i].put(w, key, value))
			complain(w->c, (int)value->start_mark.line + 1, (int)value->start_mark.column + 1,
				 "%s takes %s", wrappers[i].name, wrappers[i].takes);
		return true;
	}
	return false;
}

/* ---- documents ---- */

static void put_value(struct writer *w, const char *key, const yaml_node_t *n);

static void put_members(struct writer *w, const yaml_node_t *n)
{
	size_t mark = open_document(w);
	for (yaml_node_pair_t *p = n->data.mapping.pairs.start; p < n->data.mapping.pairs.top; p++) {
		const yaml_node_t *key = yaml_document_get_node(w->doc, p->key);
		if (key->type == YAML_SCALAR_NODE) /* else told by map_yaml.c */
			put_value(w, text_of(key), yaml_document_get_node(w->doc, p->value));
	}
	close_document(w, mark);
}

static void put_items(struct writer *w, const yaml_node_t *n)
{
	size_t mark = open_document(w), at = 0;
	char key[24];
	for (yaml_node_item_t *i = n->data.sequence.items.start; i < n->data.sequence.items.top; i++) {
		snprintf(key, sizeof key, "%zu", at++);
		put_value(w, key, yaml_document_get_node(w->doc, *i));
	}
	close_document(w, mark);
}

static void put_value(struct writer *w, const char *key, const yaml_node_t *n)
{
	if (n->type == YAML_SCALAR_NODE) {
		put_scalar(w, key, n);
	} else if (n->type == YAML_SEQUENCE_NODE) {
		put_head(w, BSON_K_ARRAY, key);
		put_items(w, n);
	} else if (!put_wrapped(w, key, n)) {
		put_head(w, BSON_K_DOCUMENT, key);
		put_members(w, n);
	}
}

const uint8_t *map_filter_read(struct arena *a, yaml_document_t *doc, const yaml_node_t *n, struct complaints *c,
			       size_t *len)
{
	_cleanup_(buf_free) struct buf out = {0};
	struct writer w = {&out, doc, c};
	put_members(&w, n);
	*len = out.len;
	return arena_memdup(a, out.data, out.len);
}

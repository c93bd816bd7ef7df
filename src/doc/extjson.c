/* extjson.c - BSON values as Extended JSON.
 *
 * One loop over a stack of open documents, so depth costs memory only. Double keys are looked for in a pass over an
 * object's own fields before it is written (nested documents are jumped over by their length); with KEEP not at all.
 */
#include "extjson.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "decimal.h"
#include "id.h"
#include "iso.h"
#include "sys.h"
#include "text.h"

struct level {
	struct doc_iter it;
	const uint8_t **skip; /* owned; values of double keys that are left out, in document order, or NULL */
	size_t nskip, next_skip;
	bool is_array, is_scope, has_fields;
};

struct writer {
	struct buf *out;
	const struct extjson_opts *opts;
	struct extjson_info info;
	enum fault fault; /* the first one */
	struct level fixed[24], *levels;
	size_t n, cap;
};

static void fail(struct writer *w, enum fault f)
{
	if (w->fault == FAULT_OK)
		w->fault = f;
}

/* --- text --- */

#define ONES  UINT64_C(0x0101010101010101)
#define HIGHS UINT64_C(0x8080808080808080)

/* Length of the stretch that stands for itself inside a JSON string. */
static size_t plain_run(const char *s, size_t n)
{
	size_t i = 0;
	uint64_t x, quote, backslash;

	for (; i + 8 <= n; i += 8) {
		memcpy(&x, s + i, 8);
		quote = x ^ (ONES * '"');
		backslash = x ^ (ONES * '\\');
		/* A high bit: not ASCII, or below 0x20, or equal to one of the two (maybe also just above such). */
		if ((x | (x - ONES * 0x20) | (quote - ONES) | (backslash - ONES)) & HIGHS)
			break;
	}
	for (; i < n; i++) {
		unsigned char c = (unsigned char)s[i];

		if (c < 0x20 || c >= 0x80 || c == '"' || c == '\\')
			break;
	}
	return i;
}

/* A byte that PostgreSQL text cannot hold: NUL, or not UTF-8. */
static void put_bad_byte(struct writer *w, unsigned char c)
{
	switch (w->opts->text) {
	case EXTJSON_TEXT_REFUSE:
		fail(w, c == 0 ? FAULT_NUL : FAULT_UTF8);
		return;
	case EXTJSON_TEXT_REPLACE:
		buf_put(w->out, "\xEF\xBF\xBD", 3);
		break;
	case EXTJSON_TEXT_STRIP:
		break;
	case EXTJSON_TEXT_ESCAPE:
		buf_printf(w->out, "\\\\x%02x", c);
		break;
	}
	w->info.mended = true;
}

static void put_special_byte(struct writer *w, unsigned char c)
{
	static const char letters[] = "btn\0fr"; /* of 0x08 to 0x0D */

	if (c == 0 || c >= 0x80) {
		put_bad_byte(w, c);
	} else if (c == '"' || c == '\\') {
		buf_putc(w->out, '\\');
		buf_putc(w->out, (char)c);
	} else if (c >= 0x08 && c <= 0x0D && letters[c - 0x08]) {
		buf_putc(w->out, '\\');
		buf_putc(w->out, letters[c - 0x08]);
	} else {
		buf_printf(w->out, "\\u%04x", c);
	}
}

static void put_string(struct writer *w, const char *s, size_t n)
{
	size_t i = 0, run;

	buf_putc(w->out, '"');
	for (;;) {
		run = plain_run(s + i, n - i);
		buf_put(w->out, s + i, run);
		i += run;
		if (i == n)
			break;
		run = (unsigned char)s[i] >= 0x80 ? utf8_char_len(s + i, n - i) : 0;
		if (run > 0) {
			buf_put(w->out, s + i, run);
			i += run;
		} else {
			put_special_byte(w, (unsigned char)s[i++]);
		}
	}
	buf_putc(w->out, '"');
}

static void put_base64(struct buf *out, const uint8_t *p, size_t n)
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	size_t i, k, left;
	uint8_t *o;

	if (!buf_reserve(out, (n + 2) / 3 * 4))
		return;
	o = out->data + out->len;
	for (i = 0; i < n; i += 3) {
		uint32_t x = (uint32_t)p[i] << 16;

		left = n - i;
		if (left > 1)
			x |= (uint32_t)p[i + 1] << 8;
		if (left > 2)
			x |= p[i + 2];
		for (k = 0; k < 4; k++)
			*o++ = k > left ? '=' : (uint8_t)digits[x >> (18 - 6 * k) & 63];
	}
	out->len += (n + 2) / 3 * 4;
}

/* --- numbers and dates --- */

static void put_i64(struct buf *out, int64_t v)
{
	char text[24], *p = text + sizeof text;
	uint64_t x = v < 0 ? -(uint64_t)v : (uint64_t)v;

	do {
		*--p = (char)('0' + x % 10);
		x /= 10;
	} while (x > 0);
	if (v < 0)
		*--p = '-';
	buf_put(out, p, (size_t)(text + sizeof text - p));
}

static void put_wrapped_i64(struct buf *out, const char *name, int64_t v)
{
	buf_puts(out, "{\"");
	buf_puts(out, name);
	buf_puts(out, "\":\"");
	put_i64(out, v);
	buf_puts(out, "\"}");
}

static void put_integer(struct writer *w, const char *name, int64_t v)
{
	if (w->opts->mode == EXTJSON_CANONICAL)
		put_wrapped_i64(w->out, name, v);
	else
		put_i64(w->out, v);
}

static void put_double(struct writer *w, double v)
{
	bool bare = w->opts->mode != EXTJSON_CANONICAL && isfinite(v);
	char text[32];
	int n = text_double(v, text);

	if (bare && v == 0 && signbit(v))
		w->info.negative_zero = true;
	if (!bare)
		buf_puts(w->out, "{\"$numberDouble\":\"");
	buf_put(w->out, text, (size_t)n);
	if (!bare)
		buf_puts(w->out, "\"}");
}

static void put_decimal(struct writer *w, const struct val *v)
{
	struct decimal d;
	char text[48];
	int n;
	bool bare;

	decimal_read(v, &d);
	n = decimal_text(&d, text);
	bare = w->opts->mode == EXTJSON_PLAIN && d.kind == DECIMAL_FINITE;
	if (bare && d.negative && d.ndigits == 1 && d.digits[0] == '0')
		w->info.negative_zero = true;
	if (!bare)
		buf_puts(w->out, "{\"$numberDecimal\":\"");
	buf_put(w->out, text, (size_t)n);
	if (!bare)
		buf_puts(w->out, "\"}");
}

static char *put_number(char *o, unsigned x, int digits)
{
	int i;

	for (i = digits - 1; i >= 0; i--, x /= 10)
		o[i] = (char)('0' + x % 10);
	return o + digits;
}

static void put_iso_date(struct buf *out, int64_t ms)
{
	int64_t days = ms / 86400000, rest = ms % 86400000, year;
	char text[48], *o = text;
	int month, day;
	unsigned t;

	if (rest < 0) {
		rest += 86400000;
		days--;
	}
	iso_date(days, &year, &month, &day);
	t = (unsigned)rest;
	*o++ = '"';
	if (year >= 0 && year <= 9999) {
		o = put_number(o, (unsigned)year, 4);
	} else { /* ISO 8601's expanded years; at most nine digits are needed */
		*o++ = year < 0 ? '-' : '+';
		year = year < 0 ? -year : year;
		o = put_number(o, (unsigned)year, year > 999999 ? 9 : 6);
	}
	*o++ = '-';
	o = put_number(o, (unsigned)month, 2);
	*o++ = '-';
	o = put_number(o, (unsigned)day, 2);
	*o++ = 'T';
	o = put_number(o, t / 3600000, 2);
	*o++ = ':';
	o = put_number(o, t / 60000 % 60, 2);
	*o++ = ':';
	o = put_number(o, t / 1000 % 60, 2);
	if (t % 1000) {
		*o++ = '.';
		o = put_number(o, t % 1000, 3);
	}
	*o++ = 'Z';
	*o++ = '"';
	buf_put(out, text, (size_t)(o - text));
}

static void put_date(struct writer *w, int64_t ms)
{
	const int64_t year_10000 = INT64_C(253402300800000);

	if (w->opts->mode == EXTJSON_PLAIN) {
		put_iso_date(w->out, ms);
		return;
	}
	buf_puts(w->out, "{\"$date\":");
	if (w->opts->mode == EXTJSON_RELAXED && ms >= 0 && ms < year_10000)
		put_iso_date(w->out, ms);
	else
		put_wrapped_i64(w->out, "$numberLong", ms);
	buf_putc(w->out, '}');
}

/* --- the other types --- */

static void put_objectid(struct writer *w, const uint8_t *oid)
{
	char hex[25];

	id_objectid_format(oid, hex);
	buf_puts(w->out, w->opts->mode == EXTJSON_PLAIN ? "\"" : "{\"$oid\":\"");
	buf_put(w->out, hex, 24);
	buf_puts(w->out, w->opts->mode == EXTJSON_PLAIN ? "\"" : "\"}");
}

static void put_binary(struct writer *w, const struct val *v)
{
	char uuid[UUID_TEXT_SIZE];
	const uint8_t *bytes;
	uint8_t subtype;
	size_t len;

	bytes = val_binary(v, &subtype, &len);
	if (w->opts->mode == EXTJSON_PLAIN && subtype == 4 && len == UUID_SIZE) {
		id_uuid_format(bytes, uuid);
		buf_printf(w->out, "\"%s\"", uuid);
		return;
	}
	buf_puts(w->out, "{\"$binary\":{\"base64\":\"");
	put_base64(w->out, bytes, len);
	buf_printf(w->out, "\",\"subType\":\"%02x\"}}", subtype);
}

static void put_regex(struct writer *w, const struct val *v)
{
	const char *pattern, *options;
	size_t pattern_len, options_len;

	val_regex(v, &pattern, &pattern_len, &options, &options_len);
	buf_puts(w->out, "{\"$regularExpression\":{\"pattern\":");
	put_string(w, pattern, pattern_len);
	buf_puts(w->out, ",\"options\":");
	put_string(w, options, options_len);
	buf_puts(w->out, "}}");
}

static void put_dbpointer(struct writer *w, const struct val *v)
{
	const uint8_t *oid;
	size_t len;
	const char *name = val_dbpointer(v, &len, &oid);

	buf_puts(w->out, "{\"$dbPointer\":{\"$ref\":");
	put_string(w, name, len);
	buf_puts(w->out, ",\"$id\":");
	put_objectid(w, oid);
	buf_puts(w->out, "}}");
}

static void put_timestamp(struct writer *w, const struct val *v)
{
	uint64_t x = (uint64_t)val_i64(v);

	buf_printf(w->out, "{\"$timestamp\":{\"t\":%u,\"i\":%u}}", (unsigned)(x >> 32), (unsigned)x);
}

static void put_text(struct writer *w, const char *before, const struct val *v, const char *after)
{
	size_t len;
	const char *text = val_text(v, &len);

	buf_puts(w->out, before);
	put_string(w, text, len);
	buf_puts(w->out, after);
}

static void put_leaf(struct writer *w, const struct val *v)
{
	switch (v->kind) {
	case BSON_K_DOUBLE:
		put_double(w, val_double(v));
		break;
	case BSON_K_STRING:
		put_text(w, "", v, "");
		break;
	case BSON_K_BINARY:
		put_binary(w, v);
		break;
	case BSON_K_UNDEFINED:
		buf_puts(w->out, "{\"$undefined\":true}");
		break;
	case BSON_K_OBJECTID:
		put_objectid(w, v->data);
		break;
	case BSON_K_BOOL:
		buf_puts(w->out, val_bool(v) ? "true" : "false");
		break;
	case BSON_K_DATE:
		put_date(w, val_i64(v));
		break;
	case BSON_K_NULL:
		buf_puts(w->out, "null");
		break;
	case BSON_K_REGEX:
		put_regex(w, v);
		break;
	case BSON_K_DBPOINTER:
		put_dbpointer(w, v);
		break;
	case BSON_K_CODE:
		put_text(w, "{\"$code\":", v, "}");
		break;
	case BSON_K_SYMBOL:
		if (w->opts->mode == EXTJSON_PLAIN)
			put_text(w, "", v, "");
		else
			put_text(w, "{\"$symbol\":", v, "}");
		break;
	case BSON_K_INT32:
		put_integer(w, "$numberInt", val_i32(v));
		break;
	case BSON_K_TIMESTAMP:
		put_timestamp(w, v);
		break;
	case BSON_K_INT64:
		put_integer(w, "$numberLong", val_i64(v));
		break;
	case BSON_K_DECIMAL128:
		put_decimal(w, v);
		break;
	case BSON_K_MINKEY:
		buf_puts(w->out, "{\"$minKey\":1}");
		break;
	case BSON_K_MAXKEY:
		buf_puts(w->out, "{\"$maxKey\":1}");
		break;
	default:
		buf_puts(w->out, "null"); /* keeps the text valid for extjson_write_safe */
		fail(w, FAULT_CORRUPT);
	}
}

/* --- double keys --- */

struct key {
	const char *key;
	uint32_t len, hash;
	const uint8_t *value; /* of the field that is kept so far */
};

/* Keys of one object, by hash. Up to SMALL fields no memory is allocated. */
enum { SMALL = 64 };
struct keys {
	struct key small[SMALL], *all;
	uint32_t small_table[2 * SMALL], *table; /* index + 1 into all */
	size_t n, size, patience;
	struct buf mended; /* keys with bad bytes, as they will be written */
};

static size_t count_fields(struct doc_iter it)
{
	struct field f;
	size_t n = 0;

	while (doc_iter_next(&it, &f))
		n++;
	return n;
}

static void keys_init(struct keys *k, size_t fields)
{
	k->n = 0;
	k->all = k->small;
	k->table = k->small_table;
	k->size = 16;
	k->patience = 16 * fields + 1024;
	buf_init(&k->mended, 0);
	while (k->size < 2 * fields)
		k->size *= 2;
	if (fields > SMALL) {
		k->all = mem_alloc(fields * sizeof *k->all);
		k->table = mem_zalloc(k->size * sizeof *k->table);
	} else {
		memset(k->table, 0, k->size * sizeof *k->table);
	}
}

static void keys_free(struct keys *k)
{
	buf_free(&k->mended);
	if (k->all != k->small) {
		free(k->all);
		free(k->table);
	}
}

/* The entry of f's key if it was there before, else NULL. */
static struct key *keys_add(struct keys *k, const struct field *f)
{
	uint32_t hash = (uint32_t)hash64(f->key, f->key_len);
	size_t i = hash & (k->size - 1);

	for (; k->table[i]; i = (i + 1) & (k->size - 1)) {
		struct key *e = &k->all[k->table[i] - 1];

		if (e->hash == hash && e->len == f->key_len && memcmp(e->key, f->key, e->len) == 0)
			return e;
		if (k->patience > 0)
			k->patience--;
	}
	k->all[k->n] = (struct key){f->key, f->key_len, hash, f->val.data};
	k->table[i] = (uint32_t)++k->n;
	return NULL;
}

/* Room for every key from here on as it will be written, so that the memory does not move: a bad byte becomes three
 * at most. */
static void reserve_mended(struct keys *k, struct doc_iter it, size_t first)
{
	struct field f;
	size_t bytes = first;

	while (doc_iter_next(&it, &f))
		bytes += f.key_len;
	buf_reserve(&k->mended, 3 * bytes);
}

/* Two keys that differ only in bad bytes become one when those are replaced or left out. */
static void mend_key(const struct writer *w, struct keys *k, const struct doc_iter *it, struct field *f)
{
	size_t at = k->mended.len;

	if (w->opts->text == EXTJSON_TEXT_REFUSE || utf8_check(f->key, f->key_len, NULL) == UTF8_OK)
		return;
	if (k->mended.cap == 0)
		reserve_mended(k, *it, f->key_len);
	utf8_mend(&k->mended, f->key, f->key_len, w->opts->text == EXTJSON_TEXT_REPLACE);
	f->key = (const char *)k->mended.data + at;
	f->key_len = (uint32_t)(k->mended.len - at);
}

/* Fields are told apart by where their payloads start, which grows from field to field. */
static void skip_value(struct level *l, const uint8_t *value)
{
	l->skip = mem_grown(l->skip, l->nskip, sizeof *l->skip);
	l->skip[l->nskip++] = value;
}

static int compare_addresses(const void *a, const void *b)
{
	uintptr_t x = (uintptr_t) * (const uint8_t *const *)a, y = (uintptr_t) * (const uint8_t *const *)b;

	return (x > y) - (x < y);
}

/* `later` has the key of `before`: one of the two goes. False: that is a fault. */
static bool leave_one_out(struct writer *w, struct level *l, struct key *before, const uint8_t *later)
{
	if (w->opts->dup == EXTJSON_DUP_REFUSE) {
		fail(w, FAULT_DUPLICATE_KEY);
		return false;
	}
	w->info.left_out = true;
	skip_value(l, w->opts->dup == EXTJSON_DUP_FIRST ? later : before->value);
	before->value = later;
	return true;
}

static int compare_keys(const void *a, const void *b)
{
	const struct key *x = a, *y = b;
	int d = memcmp(x->key, y->key, x->len < y->len ? x->len : y->len);

	if (d == 0)
		d = (x->len > y->len) - (x->len < y->len);
	return d != 0 ? d : (x->value > y->value) - (x->value < y->value);
}

/* Keys that were chosen to meet in the table: sorting takes no longer than it must. */
static void find_by_sorting(struct writer *w, struct level *l, struct keys *k)
{
	struct doc_iter it = l->it;
	struct field f;
	size_t n = 0, first = 0;

	l->nskip = 0;
	buf_reset(&k->mended);
	for (; doc_iter_next(&it, &f); n++) {
		mend_key(w, k, &it, &f);
		k->all[n] = (struct key){f.key, f.key_len, 0, f.val.data};
	}
	qsort(k->all, n, sizeof *k->all, compare_keys);
	for (size_t i = 1; i < n; i++) {
		struct key *a = &k->all[first], *b = &k->all[i];
		bool same = a->len == b->len && memcmp(a->key, b->key, a->len) == 0;

		if (!same)
			first = i;
		else if (!leave_one_out(w, l, a, b->value))
			return;
	}
}

static void find_by_hash(struct writer *w, struct level *l, struct keys *k)
{
	struct doc_iter it = l->it;
	struct field f;
	struct key *before;

	while (k->patience > 0 && doc_iter_next(&it, &f)) {
		mend_key(w, k, &it, &f);
		before = keys_add(k, &f);
		if (before && !leave_one_out(w, l, before, f.val.data))
			return;
	}
}

static void find_double_keys(struct writer *w, struct level *l)
{
	struct keys keys;
	size_t fields = count_fields(l->it);

	if (fields < 2)
		return;
	keys_init(&keys, fields);
	find_by_hash(w, l, &keys);
	if (keys.patience == 0)
		find_by_sorting(w, l, &keys);
	keys_free(&keys);
	/* Earlier fields are left out in the order in which later ones were met. */
	if (l->nskip > 1)
		qsort(l->skip, l->nskip, sizeof *l->skip, compare_addresses);
}

static bool is_skipped(struct level *l, const struct field *f)
{
	if (l->next_skip == l->nskip || l->skip[l->next_skip] != f->val.data)
		return false;
	l->next_skip++;
	return true;
}

/* --- documents --- */

static struct level *push_level(struct writer *w)
{
	if (w->n == w->cap) {
		struct level *bigger = mem_alloc(2 * w->cap * sizeof *bigger);

		memcpy(bigger, w->levels, w->n * sizeof *bigger);
		if (w->levels != w->fixed)
			free(w->levels);
		w->levels = bigger;
		w->cap *= 2;
	}
	w->levels[w->n] = (struct level){0};
	return &w->levels[w->n++];
}

static void open_level(struct writer *w, const struct val *v, bool is_scope)
{
	struct level *l = push_level(w);

	l->is_array = v->kind == BSON_K_ARRAY;
	l->is_scope = is_scope;
	buf_putc(w->out, l->is_array ? '[' : '{');
	if (!doc_iter_val(&l->it, v))
		return; /* the loop sees `corrupt` */
	if (!l->is_array && w->opts->dup != EXTJSON_DUP_KEEP)
		find_double_keys(w, l);
}

static void close_level(struct writer *w)
{
	struct level *l = &w->levels[--w->n];

	buf_putc(w->out, l->is_array ? ']' : '}');
	if (l->is_scope)
		buf_putc(w->out, '}');
	free(l->skip);
}

static void put_value(struct writer *w, const struct val *v)
{
	struct val scope;
	const char *code;
	size_t len;

	if (v->kind == BSON_K_DOCUMENT || v->kind == BSON_K_ARRAY) {
		open_level(w, v, false);
	} else if (v->kind == BSON_K_CODEWSCOPE) {
		code = val_codewscope(v, &len, &scope);
		buf_puts(w->out, "{\"$code\":");
		put_string(w, code, len);
		buf_puts(w->out, ",\"$scope\":");
		open_level(w, &scope, true);
	} else {
		put_leaf(w, v);
	}
}

/* Writes until every document is closed, or the first fault. */
static void write_levels(struct writer *w)
{
	struct field f;

	while (w->n > 0 && w->fault == FAULT_OK) {
		struct level *l = &w->levels[w->n - 1];

		if (!doc_iter_next(&l->it, &f)) {
			if (l->it.corrupt)
				fail(w, FAULT_CORRUPT);
			else
				close_level(w);
			continue;
		}
		if (l->nskip > 0 && is_skipped(l, &f))
			continue;
		if (l->has_fields)
			buf_putc(w->out, ',');
		l->has_fields = true;
		if (!l->is_array) {
			put_string(w, f.key, f.key_len);
			buf_putc(w->out, ':');
		}
		put_value(w, &f.val);
	}
}

static void writer_init(struct writer *w, struct buf *out, const struct extjson_opts *opts)
{
	w->out = out;
	w->opts = opts;
	w->info = (struct extjson_info){0};
	w->fault = FAULT_OK;
	w->levels = w->fixed;
	w->cap = sizeof w->fixed / sizeof w->fixed[0];
	w->n = 0;
}

static void writer_end(struct writer *w)
{
	while (w->n > 0)
		close_level(w);
	if (w->levels != w->fixed)
		free(w->levels);
}

enum fault extjson_write(struct buf *out, const struct val *v, const struct extjson_opts *opts,
			 struct extjson_info *info)
{
	size_t start = out->len;
	struct writer w;

	writer_init(&w, out, opts);
	put_value(&w, v);
	write_levels(&w);
	writer_end(&w);
	if (w.fault == FAULT_OK && !buf_ok(out))
		w.fault = FAULT_TOO_LARGE;
	if (w.fault != FAULT_OK) {
		out->len = start;
		out->failed = false;
	}
	if (info)
		*info = w.info;
	return w.fault;
}

static const struct extjson_opts safe_opts = {EXTJSON_RELAXED, EXTJSON_TEXT_ESCAPE, EXTJSON_DUP_KEEP};

void extjson_write_val_safe(struct buf *out, const struct val *v)
{
	struct writer w;

	writer_init(&w, out, &safe_opts);
	if (v->kind == BSON_K_EOD)
		buf_puts(out, "null");
	else
		put_value(&w, v);
	write_levels(&w);
	writer_end(&w);
}

void extjson_write_safe(struct buf *out, const uint8_t *doc, size_t len)
{
	struct val v = {.data = doc, .len = (uint32_t)len, .kind = BSON_K_DOCUMENT};
	struct doc_iter it;
	struct writer w;
	uint8_t *copy;

	if (doc_iter_init(&it, doc, len)) {
		extjson_write_val_safe(out, &v);
		return;
	}
	/* The length or the end is wrong: a copy with a NUL behind it can be walked all the same. */
	writer_init(&w, out, &safe_opts);
	copy = mem_zalloc(len + 1);
	if (len > 0)
		memcpy(copy, doc, len);
	buf_putc(out, '{');
	push_level(&w)->it = (struct doc_iter){.p = copy + (len < 4 ? len : 4), .end = copy + len};
	write_levels(&w);
	writer_end(&w);
	free(copy);
}

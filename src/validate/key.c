/* key.c - normal forms: uuid 16 bytes; integers, instants 8 bytes big-endian; floating point the double's bits;
 * numeric its digits; texts and bytea as they are; jsonb: key_json.c.
 */
#include "key.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#define LEAST_SAMPLE 10 /* documents of a collection, however small the share */

bool key_is_json(const struct pgtype *t)
{
	return t->base == PGT_JSON || t->base == PGT_JSONB;
}

static bool is_text(const struct pgtype *t)
{
	return t->base == PGT_TEXT || t->base == PGT_VARCHAR || t->base == PGT_CHAR || t->base == PGT_NAME ||
	       t->base == PGT_CITEXT || t->base == PGT_ENUM;
}

static bool is_integer(const struct pgtype *t)
{
	return t->base == PGT_INT2 || t->base == PGT_INT4 || t->base == PGT_INT8;
}

static void put_i64(struct buf *out, int64_t v)
{
	for (int i = 7; i >= 0; i--)
		buf_putc(out, (char)((uint64_t)v >> 8 * i));
}

static void put_double(struct buf *out, double d)
{
	uint64_t bits;

	d = d == 0 ? 0 : d; /* -0 and 0 are one key */
	memcpy(&bits, &d, 8);
	put_i64(out, (int64_t)bits);
}

static void put_number(struct buf *out, const struct number *x)
{
	struct number t = *x;

	t.digits = x->digits;
	number_trim(&t);
	if (t.kind != NUMBER_FINITE)
		buf_puts(out, t.kind == NUMBER_NAN ? "NaN" : t.negative ? "-Infinity" : "Infinity");
	else if (t.n == 0)
		buf_puts(out, "0");
	else
		buf_printf(out, "%s%.*se%lld", t.negative ? "-" : "", (int)t.n, t.digits, (long long)t.exponent);
}

/* --- from fields --- */

static int64_t sign_extended(struct field_bytes f)
{
	unsigned unused = (unsigned)(64 - 8 * f.len);

	return (int64_t)(big_endian(f.data, (size_t)f.len) << unused) >> unused;
}

bool key_of_field(struct judge *j, const struct pgtype *t, struct field_bytes f, struct buf *out)
{
	struct number x;
	float single;
	uint32_t bits;

	if (f.len < 0)
		return false;
	if (is_integer(t) || t->base == PGT_DATE) {
		if (f.len > 8 || f.len == 0)
			return false;
		put_i64(out, sign_extended(f));
		return true;
	}
	switch (t->base) {
	case PGT_FLOAT8:
		put_double(out, double_of_field(f.data));
		return true;
	case PGT_FLOAT4:
		bits = (uint32_t)big_endian(f.data, 4);
		memcpy(&single, &bits, 4);
		put_double(out, (double)single);
		return true;
	case PGT_NUMERIC:
		if (!number_of_numeric(f, &j->key, &x, NULL))
			return false;
		put_number(out, &x);
		return true;
	case PGT_CHAR:
		while (f.len > 0 && f.data[f.len - 1] == ' ')
			f.len--;
		buf_put(out, f.data, (size_t)f.len);
		return true;
	case PGT_JSON:
		return key_json_of_text(j, (const char *)f.data, (size_t)f.len, out);
	case PGT_JSONB: /* a version number comes first */
		return f.len > 0 && key_json_of_text(j, (const char *)f.data + 1, (size_t)f.len - 1, out);
	default:
		buf_put(out, f.data, (size_t)f.len);
		return true;
	}
}

/* --- from values --- */

/* Numbers and instants: a field is made up bit by bit until check_value finds it the same? No: these are read off
 * directly, and check_value has the last word when the row is at hand. */
static bool number_val(struct judge *j, const struct spec *s, const struct val *v, struct number *x)
{
	size_t n;
	const char *text;

	(void)s;
	switch (v->kind) {
	case BSON_K_INT32:
	case BSON_K_INT64:
		buf_reset(&j->text);
		buf_printf(&j->text, "%lld", v->kind == BSON_K_INT32 ? (long long)val_i32(v) : (long long)val_i64(v));
		text = buf_cstr(&j->text);
		return number_parse(text, strlen(text), &j->key, x);
	case BSON_K_DOUBLE:
		number_of_double(val_double(v), x);
		return true;
	case BSON_K_DECIMAL128:
		number_of_decimal128(v, x);
		return true;
	case BSON_K_BOOL:
		return number_parse(val_bool(v) ? "1" : "0", 1, &j->key, x);
	case BSON_K_STRING:
		text = val_text(v, &n);
		return number_parse(text, n, &j->key, x);
	default:
		return false;
	}
}

static bool integer_val(struct judge *j, const struct spec *s, const struct val *v, struct buf *out)
{
	struct number x;
	uint64_t u = 0;

	if (v->kind == BSON_K_DOUBLE) { /* its shortest digits may be another integer */
		put_i64(out, (int64_t)val_double(v));
		return true;
	}
	if (!number_val(j, s, v, &x))
		return false;
	number_trim(&x);
	for (size_t i = 0; i < x.n; i++)
		u = u * 10 + (uint64_t)(x.digits[i] - '0');
	for (int64_t i = 0; i < x.exponent; i++)
		u *= 10;
	put_i64(out, x.negative ? (int64_t)(0 - u) : (int64_t)u);
	return true;
}

static bool double_val(struct judge *j, const struct spec *s, const struct val *v, struct buf *out)
{
	struct number x;

	if (v->kind == BSON_K_DOUBLE) {
		put_double(out, val_double(v));
		return true;
	}
	if (!number_val(j, s, v, &x))
		return false;
	if (x.kind != NUMBER_FINITE) {
		put_double(out, x.kind == NUMBER_NAN ? (double)NAN : x.negative ? -INFINITY : INFINITY);
		return true;
	}
	char *text = arena_printf(j->arena, "%s%.*se%lld", x.negative ? "-" : "", x.n > 0 ? (int)x.n : 1,
				  x.n > 0 ? x.digits : "0", (long long)x.exponent);
	put_double(out, strtod(text, NULL));
	return true;
}

static bool instant_val(const struct spec *s, const struct val *v, struct buf *out)
{
	int64_t ms;

	if (v->kind != BSON_K_DATE)
		return false;
	ms = val_i64(v);
	if (s->type.base == PGT_DATE)
		put_i64(out, (ms - ms % 86400000) / 86400000 - 10957);
	else
		put_i64(out, (ms - INT64_C(946684800000)) * 1000);
	return true;
}

static void put_hex_text(struct buf *out, const uint8_t *p, size_t n)
{
	for (size_t i = 0; i < n; i++)
		buf_printf(out, "%02x", p[i]);
}

static bool text_val(struct judge *j, const struct spec *s, const struct val *v, struct buf *out)
{
	uint8_t oid[12], uuid[16];
	const uint8_t *pointer;
	char text[48];
	struct number x;
	size_t n;
	const char *t;

	switch (v->kind) {
	case BSON_K_OBJECTID:
		put_hex_text(out, v->data, 12);
		return true;
	case BSON_K_STRING:
		t = val_text(v, &n);
		if ((s->accept & MAP_ACCEPT_HEX_ID) != 0 && id_hex(t, n, oid, 12))
			put_hex_text(out, oid, 12);
		else if (text_as_encoded(j, s, &t, &n))
			buf_put(out, t, n);
		else
			return false;
		return true;
	case BSON_K_BINARY:
		if (!id_binary_uuid(s, v, uuid))
			return false;
		id_uuid_text(uuid, text);
		buf_puts(out, text);
		return true;
	case BSON_K_DOCUMENT:
		if ((s->accept & MAP_ACCEPT_OID_DOCUMENT) == 0 || !id_of_oid_document(v, oid))
			return false;
		put_hex_text(out, oid, 12);
		return true;
	case BSON_K_DBPOINTER:
		val_dbpointer(v, &n, &pointer);
		put_hex_text(out, pointer, 12);
		return true;
	case BSON_K_SYMBOL:
	case BSON_K_CODE:
		t = val_text(v, &n);
		if (!text_as_encoded(j, s, &t, &n))
			return false;
		buf_put(out, t, n);
		return true;
	case BSON_K_DATE:
		buf_put(out, text, (size_t)time_iso_text(val_i64(v), true, text));
		return true;
	case BSON_K_BOOL:
		buf_puts(out, val_bool(v) ? "true" : "false");
		return true;
	case BSON_K_INT32:
	case BSON_K_INT64:
		buf_printf(out, "%lld", v->kind == BSON_K_INT32 ? (long long)val_i32(v) : (long long)val_i64(v));
		return true;
	case BSON_K_DOUBLE:
		buf_put(out, text, (size_t)number_double_text(val_double(v), false, text));
		return true;
	case BSON_K_DECIMAL128: {
		char wide[64];
		number_of_decimal128(v, &x);
		buf_put(out, wide, (size_t)number_decimal_text(&x, wide));
		return true;
	}
	default:
		return false;
	}
}

static bool bytes_val(const struct spec *s, const struct val *v, struct buf *out)
{
	uint8_t oid[12], subtype;
	const uint8_t *p;
	const char *text;
	size_t n;

	switch (v->kind) {
	case BSON_K_OBJECTID:
		buf_put(out, v->data, 12);
		return true;
	case BSON_K_BINARY:
		p = val_binary(v, &subtype, &n);
		buf_put(out, p, n);
		return true;
	case BSON_K_DBPOINTER:
		val_dbpointer(v, &n, &p);
		buf_put(out, p, 12);
		return true;
	case BSON_K_STRING:
		text = val_text(v, &n);
		if (!id_hex(text, n, oid, 12))
			return false;
		buf_put(out, oid, 12);
		return true;
	case BSON_K_DOCUMENT:
		if ((s->accept & MAP_ACCEPT_OID_DOCUMENT) == 0 || !id_of_oid_document(v, oid))
			return false;
		buf_put(out, oid, 12);
		return true;
	default:
		return false;
	}
}

static bool uuid_val(struct judge *j, const struct spec *s, const struct val *v, struct buf *out)
{
	uint8_t uuid[16];

	if (!id_as_uuid(s, v, uuid) && !id_named_uuid(j, s, v, uuid))
		return false;
	buf_put(out, uuid, 16);
	return true;
}

static bool other_val(struct judge *j, const struct spec *s, const struct val *v, struct buf *out)
{
	struct number x;

	switch (s->type.base) {
	case PGT_FLOAT4:
	case PGT_FLOAT8:
		return double_val(j, s, v, out);
	case PGT_NUMERIC:
		if (!number_val(j, s, v, &x))
			return false;
		put_number(out, &x);
		return true;
	case PGT_BOOL:
		buf_putc(out, v->kind == BSON_K_BOOL && val_bool(v) ? 1 : 0);
		return v->kind == BSON_K_BOOL;
	case PGT_DATE:
	case PGT_TIMESTAMP:
	case PGT_TIMESTAMPTZ:
		return instant_val(s, v, out);
	default:
		return key_is_json(&s->type) && key_json_of_val(j, s, v, out);
	}
}

bool key_of_val(struct judge *j, const struct spec *s, const struct val *v, struct buf *out)
{
	static const struct field_bytes nothing = {NULL, -1};
	struct val id;

	if ((val_is_nothing(v) && !(s->is_id && s->type.base == PGT_UUID)) || v->kind == 0 ||
	    check_value(j, s, v, nothing) == UNFIT)
		return false;
	if (v->kind == BSON_K_DOCUMENT && (s->accept & MAP_ACCEPT_DBREF) != 0 && s->type.base != PGT_UUID &&
	    doc_find(v->data, v->len, "$id", &id))
		v = &id;
	if (s->type.base == PGT_UUID)
		return uuid_val(j, s, v, out);
	if (is_integer(&s->type))
		return integer_val(j, s, v, out);
	if (is_text(&s->type))
		return text_val(j, s, v, out);
	if (s->type.base == PGT_BYTEA)
		return bytes_val(s, v, out);
	return other_val(j, s, v, out);
}

/* --- text --- */

void key_write(const struct pgtype *t, const uint8_t *key, size_t n, struct buf *out)
{
	char text[64];
	uint64_t bits = n == 8 ? big_endian(key, 8) : 0;
	double d;

	if (t->base == PGT_UUID && n == 16) {
		id_uuid_text(key, text);
		buf_puts(out, text);
	} else if (is_integer(t)) {
		buf_printf(out, "%lld", (long long)bits);
	} else if (t->base == PGT_BYTEA) {
		buf_puts(out, "\\x");
		put_hex_text(out, key, n);
	} else if (t->base == PGT_FLOAT4 || t->base == PGT_FLOAT8) {
		memcpy(&d, &bits, 8);
		buf_put(out, text, (size_t)number_double_text(d, false, text));
	} else if (t->base == PGT_DATE) {
		time_iso_text(((int64_t)bits + 10957) * 86400000, true, text);
		buf_put(out, text, strcspn(text, "T"));
	} else if (t->base == PGT_TIMESTAMP || t->base == PGT_TIMESTAMPTZ) {
		buf_put(out, text, (size_t)time_iso_text((int64_t)bits / 1000 + INT64_C(946684800000), true, text));
	} else if (t->base == PGT_BOOL) {
		buf_puts(out, n == 1 && key[0] != 0 ? "true" : "false");
	} else {
		buf_put(out, key, n);
	}
}

bool key_of_text(struct judge *j, const struct pgtype *t, const char *text, size_t n, struct buf *out)
{
	struct number x;
	char hex[32];
	uint8_t uuid[16];
	size_t k = 0;

	if (t->base == PGT_UUID) {
		for (size_t i = 0; i < n && k < 32; i++)
			if (text[i] != '-')
				hex[k++] = text[i];
		if (n != 36 || !id_hex(hex, k, uuid, 16))
			return false;
		buf_put(out, uuid, 16);
		return true;
	}
	if (is_integer(t)) {
		char copy[32];
		if (n == 0 || n >= sizeof copy)
			return false;
		memcpy(copy, text, n);
		copy[n] = '\0';
		put_i64(out, strtoll(copy, NULL, 10));
		return true;
	}
	if (t->base == PGT_BYTEA) {
		if (n < 2 || n % 2 != 0 || !buf_reserve(out, n / 2) ||
		    !id_hex(text + 2, n - 2, out->data + out->len, n / 2 - 1))
			return false;
		out->len += n / 2 - 1;
		return true;
	}
	if (t->base == PGT_NUMERIC) {
		if (!number_parse(text, n, &j->text, &x))
			return false;
		put_number(out, &x);
		return true;
	}
	if (key_is_json(t))
		return key_json_of_text(j, text, n, out);
	if (!is_text(t))
		return false;
	buf_put(out, text, n);
	return true;
}

/* --- hash --- */

uint64_t key_hash(uint64_t seed, const void *data, size_t n)
{
	const uint8_t *p = data;
	uint64_t h = seed ^ (n * UINT64_C(0x9e3779b97f4a7c15)), x;

	for (; n > 0; p += n < 8 ? n : 8, n -= n < 8 ? n : 8) {
		x = 0;
		memcpy(&x, p, n < 8 ? n : 8);
		h = (h ^ x) * UINT64_C(0xff51afd7ed558ccd);
		h ^= h >> 32;
	}
	h = (h ^ h >> 29) * UINT64_C(0xc4ceb9fe1a85ec53);
	return h ^ h >> 33;
}

uint64_t key_sample(uint64_t documents, uint64_t sample, double share)
{
	double n = (double)documents, least = sample > 0 ? (double)sample : LEAST_SAMPLE;
	double part = (least + 5 * sqrt(least) + 5) / (n > 0 ? n : 1);

	if (sample == 0 && share > part)
		part = share;
	return part >= 1 ? UINT64_MAX : (uint64_t)(part * 18446744073709549568.0);
}

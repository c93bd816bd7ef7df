/* value_id.c - ids: ObjectIds inside UUIDs, BSON UUIDs, accepted spellings, and the UUIDv5 of everything else.
 *
 * Written from docs/mapping.md ("Ids") and the head of doc/canon.c, not from the code that migrates: an ObjectId's
 * seconds x 1000 are the 48 bits of milliseconds of a UUIDv7, its other 64 bits follow in order around version and
 * variant, and the last ten bits are 0x0DC.
 */
#include <math.h>
#include <stdio.h>

#include "id.h"
#include "value.h"

__extension__ typedef unsigned __int128 u128;

static void objectid_uuid(const uint8_t *oid, uint8_t uuid[16])
{
	uint64_t millis = big_endian(oid, 4) * 1000, rest = big_endian(oid + 4, 8);
	u128 u = (u128)millis << 80 | (u128)7 << 76 | (u128)(rest >> 52) << 64 | (u128)2 << 62 |
		 (u128)(rest & ((UINT64_C(1) << 52) - 1)) << 10 | 0x0dc;

	for (int i = 15; i >= 0; i--, u >>= 8)
		uuid[i] = (uint8_t)u;
}

static int hex_digit(char c)
{
	return c >= '0' && c <= '9' ? c - '0' : (c | 32) >= 'a' && (c | 32) <= 'f' ? (c | 32) - 'a' + 10 : -1;
}

bool id_hex(const char *s, size_t n, uint8_t *out, size_t bytes)
{
	if (n != 2 * bytes)
		return false;
	for (size_t i = 0; i < n; i += 2) {
		int high = hex_digit(s[i]), low = hex_digit(s[i + 1]);
		if (high < 0 || low < 0)
			return false;
		out[i / 2] = (uint8_t)(high << 4 | low);
	}
	return true;
}

static bool uuid_of_text(const char *s, size_t n, uint8_t uuid[16])
{
	char hex[32];
	size_t k = 0;

	if (n != 36 || s[8] != '-' || s[13] != '-' || s[18] != '-' || s[23] != '-')
		return false;
	for (size_t i = 0; i < n; i++)
		if (i != 8 && i != 13 && i != 18 && i != 23)
			hex[k++] = s[i];
	return id_hex(hex, 32, uuid, 16);
}

void id_uuid_text(const uint8_t uuid[16], char out[37])
{
	static const char digit[] = "0123456789abcdef";

	for (int i = 0; i < 16; i++) {
		if (i == 4 || i == 6 || i == 8 || i == 10)
			*out++ = '-';
		*out++ = digit[uuid[i] >> 4];
		*out++ = digit[uuid[i] & 15];
	}
	*out = '\0';
}

static void reverse(uint8_t *p, size_t n)
{
	for (size_t i = 0; i < n / 2; i++) {
		uint8_t x = p[i];
		p[i] = p[n - 1 - i];
		p[n - 1 - i] = x;
	}
}

bool id_binary_uuid(const struct spec *s, const struct val *v, uint8_t uuid[16])
{
	uint8_t subtype;
	size_t n;
	const uint8_t *p = val_binary(v, &subtype, &n);

	if (n != 16 || (subtype != 4 && subtype != 3) || (subtype == 3 && s->uuid_order == MAP_UUID_ORDER_UNSET))
		return false;
	memcpy(uuid, p, 16);
	if (subtype == 3 && s->uuid_order == MAP_UUID_ORDER_JAVA) { /* two little-endian halves */
		reverse(uuid, 8);
		reverse(uuid + 8, 8);
	} else if (subtype == 3 && s->uuid_order == MAP_UUID_ORDER_CSHARP) { /* little-endian int, short, short */
		reverse(uuid, 4);
		reverse(uuid + 4, 2);
		reverse(uuid + 6, 2);
	}
	return true;
}

static bool takes_uuid_text(const struct spec *s)
{
	return (s->accept & MAP_ACCEPT_UUID_STRING) != 0 || (!s->is_id && !s->is_reference) ||
	       s->id_rule == MAP_ID_STRING_UUID;
}

static bool takes_hex_text(const struct spec *s)
{
	return (s->accept & MAP_ACCEPT_HEX_ID) != 0 ||
	       ((s->is_id || s->is_reference) && s->id_rule == MAP_ID_OBJECTID_STRING);
}

bool id_of_oid_document(const struct val *v, uint8_t oid[12])
{
	struct val text;
	size_t n;

	if (!doc_find(v->data, v->len, "$oid", &text) && !doc_find(v->data, v->len, "_str", &text))
		return false;
	if (text.kind != BSON_K_STRING)
		return false;
	const char *s = val_text(&text, &n);
	return id_hex(s, n, oid, 12);
}

bool id_as_uuid(const struct spec *s, const struct val *v, uint8_t uuid[16])
{
	uint8_t oid[12];
	struct val id;
	const uint8_t *pointer;
	const char *text;
	size_t n;

	switch (v->kind) {
	case BSON_K_OBJECTID:
		objectid_uuid(v->data, uuid);
		return true;
	case BSON_K_BINARY:
		return id_binary_uuid(s, v, uuid);
	case BSON_K_STRING:
		text = val_text(v, &n);
		if (takes_uuid_text(s) && uuid_of_text(text, n, uuid))
			return true;
		if (!takes_hex_text(s) || !id_hex(text, n, oid, 12))
			return false;
		objectid_uuid(oid, uuid);
		return true;
	case BSON_K_DOCUMENT:
		if ((s->accept & MAP_ACCEPT_OID_DOCUMENT) != 0 && id_of_oid_document(v, oid)) {
			objectid_uuid(oid, uuid);
			return true;
		}
		return (s->accept & MAP_ACCEPT_DBREF) != 0 && doc_find(v->data, v->len, "$id", &id) &&
		       id.kind != BSON_K_DOCUMENT && !val_is_nothing(&id) && id_as_uuid(s, &id, uuid);
	case BSON_K_DBPOINTER:
		if ((s->accept & MAP_ACCEPT_DBREF) == 0)
			return false;
		val_dbpointer(v, &n, &pointer);
		objectid_uuid(pointer, uuid);
		return true;
	default:
		return false;
	}
}

/* --- the canonical form --- */

static void put_bytes(struct buf *out, uint64_t x, int bytes)
{
	while (bytes-- > 0)
		buf_putc(out, (char)(uint8_t)(x >> 8 * bytes));
}

/* sign, n, powers of two and five; n without factors 2 and 5. */
static void put_reduced(struct buf *out, bool negative, u128 n, int64_t twos, int64_t fives)
{
	if (n == 0) {
		buf_putc(out, '0');
		return;
	}
	while (n % 2 == 0) {
		n /= 2;
		twos++;
	}
	while (n % 5 == 0) {
		n /= 5;
		fives++;
	}
	buf_putc(out, negative ? '-' : '+');
	put_bytes(out, (uint64_t)(n >> 64), 8);
	put_bytes(out, (uint64_t)n, 8);
	put_bytes(out, (uint64_t)(uint32_t)twos, 4);
	put_bytes(out, (uint64_t)(uint32_t)fives, 4);
}

static void put_number(struct buf *out, const struct val *v)
{
	struct number x;
	int e;
	u128 n = 0;

	if (v->kind == BSON_K_INT32 || v->kind == BSON_K_INT64) {
		int64_t i = v->kind == BSON_K_INT32 ? val_i32(v) : val_i64(v);
		put_reduced(out, i < 0, (u128)(i < 0 ? 0 - (uint64_t)i : (uint64_t)i), 0, 0);
		return;
	}
	if (v->kind == BSON_K_DOUBLE && isfinite(val_double(v))) {
		double fraction = frexp(fabs(val_double(v)), &e);
		put_reduced(out, val_double(v) < 0, (uint64_t)ldexp(fraction, 53), e - 53, 0);
		return;
	}
	if (v->kind == BSON_K_DOUBLE)
		number_of_double(val_double(v), &x);
	else
		number_of_decimal128(v, &x);
	if (x.kind != NUMBER_FINITE) {
		buf_putc(out, x.kind == NUMBER_NAN ? 'N' : x.negative ? '<' : '>');
		return;
	}
	for (size_t i = 0; i < x.n; i++)
		n = n * 10 + (unsigned)(x.digits[i] - '0');
	put_reduced(out, x.negative, n, x.exponent, x.exponent);
}

static void put_counted(struct buf *out, char tag, const void *p, size_t n)
{
	buf_putc(out, tag);
	put_bytes(out, n, 4);
	buf_put(out, p, n);
}

static bool put_value(struct buf *out, const struct val *v, int depth);

static bool put_members(struct buf *out, const struct val *v, bool is_array, int depth)
{
	struct doc_iter it;
	struct field f;

	buf_putc(out, is_array ? '[' : '{');
	if (depth > 2000 || !doc_iter_val(&it, v))
		return false;
	while (doc_iter_next(&it, &f)) {
		buf_putc(out, 1);
		if (!is_array)
			buf_put(out, f.key, f.key_len + 1);
		if (!put_value(out, &f.val, depth + 1))
			return false;
	}
	buf_putc(out, 0);
	return !it.corrupt;
}

static bool put_value(struct buf *out, const struct val *v, int depth)
{
	struct val scope;
	const uint8_t *p;
	const char *text;
	size_t n;

	switch (v->kind) {
	case BSON_K_DOUBLE:
	case BSON_K_INT32:
	case BSON_K_INT64:
	case BSON_K_DECIMAL128:
		put_number(out, v);
		return true;
	case BSON_K_STRING:
	case BSON_K_SYMBOL:
	case BSON_K_CODE:
		text = val_text(v, &n);
		put_counted(out, v->kind == BSON_K_CODE ? 'c' : 's', text, n);
		return true;
	case BSON_K_BINARY:
		buf_putc(out, 'b');
		put_bytes(out, v->len - 5, 4);
		buf_put(out, v->data + 4, v->len - 4);
		return true;
	case BSON_K_OBJECTID:
		buf_putc(out, 'i');
		buf_put(out, v->data, 12);
		return true;
	case BSON_K_BOOL:
		buf_putc(out, val_bool(v) ? 't' : 'f');
		return true;
	case BSON_K_DATE:
	case BSON_K_TIMESTAMP:
		buf_putc(out, v->kind == BSON_K_DATE ? 'd' : 'T');
		put_bytes(out, (uint64_t)val_i64(v), 8);
		return true;
	case BSON_K_REGEX:
		buf_putc(out, 'r');
		buf_put(out, v->data, v->len);
		return true;
	case BSON_K_DBPOINTER:
		text = val_dbpointer(v, &n, &p);
		put_counted(out, 'p', text, n);
		buf_put(out, p, 12);
		return true;
	case BSON_K_CODEWSCOPE:
		text = val_codewscope(v, &n, &scope);
		put_counted(out, 'w', text, n);
		return put_members(out, &scope, false, depth + 1);
	case BSON_K_DOCUMENT:
	case BSON_K_ARRAY:
		return put_members(out, v, v->kind == BSON_K_ARRAY, depth + 1);
	default:
		buf_putc(out, v->kind == BSON_K_UNDEFINED ? 'u'
			      : v->kind == BSON_K_NULL    ? 'z'
			      : v->kind == BSON_K_MINKEY  ? 'm'
							  : 'M');
		return true;
	}
}

bool id_canonical(struct buf *out, const struct val *v)
{
	return put_value(out, v, 0);
}

bool id_named_uuid(struct judge *j, const struct spec *s, const struct val *v, uint8_t uuid[16])
{
	buf_reset(&j->key);
	if (!put_value(&j->key, v, 0))
		return false;
	id_uuid_v5(s->id_namespace, j->key.data, j->key.len, uuid); /* RFC 9562, no rule of ours */
	return true;
}

/* --- columns --- */

static bool is_any_id(const struct spec *s)
{
	return s->is_id || (s->accept & MAP_ACCEPT_ANY_ID) != 0;
}

enum verdict check_uuid(struct judge *j, const struct spec *s, const struct val *v, struct field_bytes f)
{
	uint8_t want[16];

	if (!id_as_uuid(s, v, want)) {
		if (!is_any_id(s))
			return unfit(j, v->kind == BSON_K_STRING || v->kind == BSON_K_DOCUMENT ? FAULT_FORMAT
											       : FAULT_TYPE);
		if (!id_named_uuid(j, s, v, want))
			return unfit(j, FAULT_CORRUPT);
	}
	return same_if(f.len == 16 && memcmp(f.data, want, 16) == 0);
}

static enum verdict same_bytes(struct field_bytes f, const uint8_t *p, size_t n)
{
	return same_if(f.len >= 0 && (size_t)f.len == n && (n == 0 || memcmp(f.data, p, n) == 0));
}

enum verdict check_bytea(struct judge *j, const struct spec *s, const struct val *v, struct field_bytes f)
{
	uint8_t oid[12], subtype;
	const uint8_t *p;
	const char *text;
	struct val id;
	size_t n;

	switch (v->kind) {
	case BSON_K_BINARY:
		p = val_binary(v, &subtype, &n);
		return same_bytes(f, p, n);
	case BSON_K_OBJECTID:
		return same_bytes(f, v->data, 12);
	case BSON_K_STRING:
		text = val_text(v, &n);
		if (!takes_hex_text(s))
			return unfit(j, FAULT_TYPE);
		return id_hex(text, n, oid, 12) ? same_bytes(f, oid, 12) : unfit(j, FAULT_FORMAT);
	case BSON_K_DOCUMENT:
		if ((s->accept & MAP_ACCEPT_OID_DOCUMENT) != 0 && id_of_oid_document(v, oid))
			return same_bytes(f, oid, 12);
		if ((s->accept & MAP_ACCEPT_DBREF) != 0 && doc_find(v->data, v->len, "$id", &id) &&
		    id.kind != BSON_K_DOCUMENT && !val_is_nothing(&id))
			return check_bytea(j, s, &id, f);
		return unfit(j, s->accept & (MAP_ACCEPT_OID_DOCUMENT | MAP_ACCEPT_DBREF) ? FAULT_FORMAT : FAULT_TYPE);
	case BSON_K_DBPOINTER:
		if ((s->accept & MAP_ACCEPT_DBREF) == 0)
			return unfit(j, FAULT_TYPE);
		val_dbpointer(v, &n, &p);
		return same_bytes(f, p, 12);
	default:
		return unfit(j, FAULT_TYPE);
	}
}

/* value_text.c - texts, labels of enums, network addresses. */
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#include "value.h"

/* --- UTF-8 --- */

/* Bytes of the character at s, 0: none (RFC 3629: no surrogates, no overlong forms, at most U+10FFFF). */
static size_t char_size(const uint8_t *s, size_t n)
{
	uint32_t c = s[0];
	size_t size = c < 0x80                 ? 1
		      : c >= 0xc2 && c <= 0xdf ? 2
		      : c >= 0xe0 && c <= 0xef ? 3
		      : c >= 0xf0 && c <= 0xf4 ? 4
					       : 0;

	if (size == 0 || size > n)
		return 0;
	if (size == 1)
		return 1;
	c &= 0x7fu >> size;
	for (size_t i = 1; i < size; i++) {
		if ((s[i] & 0xc0) != 0x80)
			return 0;
		c = c << 6 | (s[i] & 0x3f);
	}
	if ((size == 3 && (c < 0x800 || (c >= 0xd800 && c <= 0xdfff))) ||
	    (size == 4 && (c < 0x10000 || c > 0x10ffff)))
		return 0;
	return size;
}

static enum fault text_fault(const char *s, size_t n)
{
	enum fault found = FAULT_OK;

	for (size_t i = 0, k; i < n; i += k) {
		k = char_size((const uint8_t *)s + i, n - i);
		if (k == 0)
			return FAULT_UTF8;
		if (s[i] == '\0')
			found = FAULT_NUL;
	}
	return found;
}

static size_t count_chars(const char *s, size_t n)
{
	size_t chars = 0;

	for (size_t i = 0; i < n; i++)
		chars += ((uint8_t)s[i] & 0xc0) != 0x80;
	return chars;
}

bool text_as_encoded(struct judge *j, const struct spec *s, const char **text, size_t *n)
{
	enum fault why = text_fault(*text, *n);

	if (why == FAULT_OK)
		return true;
	if (s->encoding == MAP_ENCODING_REJECT) {
		j->why = why;
		return false;
	}
	buf_reset(&j->text);
	for (size_t i = 0, k; i < *n; i += k) {
		k = char_size((const uint8_t *)*text + i, *n - i);
		if (k > 0 && (*text)[i] != '\0')
			buf_put(&j->text, *text + i, k);
		else if (s->encoding == MAP_ENCODING_REPLACE)
			buf_puts(&j->text, "\xEF\xBF\xBD");
		k = k > 0 ? k : 1;
	}
	*text = buf_cstr(&j->text); /* never NULL, also when everything was stripped */
	*n = j->text.len;
	return true;
}

/* --- text columns --- */

bool text_is_too_long(const struct pgtype *t, const char *s, size_t n)
{
	if (t->base == PGT_NAME)
		return n > 63;
	return t->length >= 0 && n > (size_t)t->length && count_chars(s, n) > (size_t)t->length;
}

/* char(n) comes with blanks up to its length. */
static bool is_padding(const struct pgtype *t, const uint8_t *p, size_t n)
{
	if (t->base != PGT_CHAR)
		return n == 0;
	for (size_t i = 0; i < n; i++)
		if (p[i] != ' ')
			return false;
	return true;
}

static bool same_chars(const struct spec *s, const char *text, size_t n, struct field_bytes f)
{
	return f.len >= 0 && (size_t)f.len >= n && (n == 0 || memcmp(f.data, text, n) == 0) &&
	       is_padding(&s->type, f.data + n, (size_t)f.len - n);
}

static enum verdict check_chars(struct judge *j, const struct spec *s, const char *text, size_t n,
				struct field_bytes f)
{
	/* the server would take blanks at the end off without a word */
	if (s->type.base == PGT_CHAR && n > 0 && text[n - 1] == ' ')
		return unfit(j, text_is_too_long(&s->type, text, n) ? FAULT_TOO_LONG : FAULT_INEXACT);
	if (same_chars(s, text, n, f))
		return SAME;
	return text_is_too_long(&s->type, text, n) ? unfit(j, FAULT_TOO_LONG) : DIFFERENT;
}

static int fold(int c)
{
	return c >= 'A' && c <= 'Z' ? c + 32 : c;
}

static bool same_folded(const char *a, size_t n, const char *b)
{
	if (strlen(b) != n)
		return false;
	for (size_t i = 0; i < n; i++)
		if (fold(a[i]) != fold(b[i]))
			return false;
	return true;
}

static bool same_text(const char *a, size_t n, const char *b)
{
	return strlen(b) == n && memcmp(a, b, n) == 0;
}

/* What `labels` makes of the text; NULL: nothing. */
static const char *mapped_label(const struct spec *s, const char *text, size_t n, bool folded)
{
	for (size_t i = 0; i < s->nlabels; i++)
		if (folded ? same_folded(text, n, s->labels[i].from) : same_text(text, n, s->labels[i].from))
			return s->labels[i].to;
	return NULL;
}

/* After NUL and bad bytes are mended. */
static const char *mended_label(const struct spec *s, const char *text, size_t n)
{
	const char *label = mapped_label(s, text, n, false);

	return label == NULL && s->fold_case && s->nlabels > 0 ? mapped_label(s, text, n, true) : label;
}

static enum verdict check_string(struct judge *j, const struct spec *s, const struct val *v, struct field_bytes f)
{
	size_t n;
	const char *text = val_text(v, &n);
	const char *label = mapped_label(s, text, n, false);

	if (label == NULL && s->fold_case && s->nlabels > 0)
		label = mapped_label(s, text, n, true);
	if (label != NULL)
		return check_chars(j, s, label, strlen(label), f);
	if (s->type.base != PGT_CHAR && same_chars(s, text, n, f) && memchr(text, 0, n) == NULL)
		return SAME; /* what the server holds is UTF-8 and not too long */
	if (!text_as_encoded(j, s, &text, &n))
		return UNFIT;
	label = mended_label(s, text, n);
	return label != NULL ? check_chars(j, s, label, strlen(label), f) : check_chars(j, s, text, n, f);
}

/* What number-text takes beside numbers. */
static enum verdict check_other_text(struct judge *j, const struct spec *s, const struct val *v, struct field_bytes f)
{
	char text[64];
	uint8_t uuid[16];
	struct number x;
	int n;

	switch (v->kind) {
	case BSON_K_INT32:
	case BSON_K_INT64:
		n = snprintf(text, sizeof text, "%lld",
			     v->kind == BSON_K_INT32 ? (long long)val_i32(v) : (long long)val_i64(v));
		break;
	case BSON_K_DOUBLE:
		n = number_double_text(val_double(v), false, text);
		break;
	case BSON_K_DECIMAL128:
		number_of_decimal128(v, &x);
		n = number_decimal_text(&x, text);
		break;
	case BSON_K_BOOL:
		n = snprintf(text, sizeof text, "%s", val_bool(v) ? "true" : "false");
		break;
	case BSON_K_DATE:
		n = time_iso_text(val_i64(v), true, text);
		break;
	case BSON_K_BINARY:
		if (!id_binary_uuid(s, v, uuid))
			return unfit(j, FAULT_TYPE);
		id_uuid_text(uuid, text);
		n = 36;
		break;
	default:
		return check_string(j, s, v, f); /* symbol, code */
	}
	return check_chars(j, s, text, (size_t)n, f);
}

static enum verdict check_oid_text(struct judge *j, const struct spec *s, const uint8_t *oid, struct field_bytes f)
{
	char text[25];

	for (int i = 0; i < 12; i++)
		snprintf(text + 2 * i, 3, "%02x", oid[i]);
	return check_chars(j, s, text, 24, f);
}

static enum verdict check_id_document(struct judge *j, const struct spec *s, const struct val *v,
				      struct field_bytes f)
{
	uint8_t oid[12];
	struct val id;

	if ((s->accept & MAP_ACCEPT_OID_DOCUMENT) != 0 && id_of_oid_document(v, oid))
		return check_oid_text(j, s, oid, f);
	if ((s->accept & MAP_ACCEPT_DBREF) != 0 && doc_find(v->data, v->len, "$id", &id) &&
	    id.kind != BSON_K_DOCUMENT && !val_is_nothing(&id))
		return check_text(j, s, &id, f);
	return unfit(j, FAULT_FORMAT);
}

static bool is_number_text_kind(uint8_t kind)
{
	return kind == BSON_K_INT32 || kind == BSON_K_INT64 || kind == BSON_K_DOUBLE || kind == BSON_K_DECIMAL128 ||
	       kind == BSON_K_BOOL || kind == BSON_K_DATE || kind == BSON_K_BINARY || kind == BSON_K_SYMBOL ||
	       kind == BSON_K_CODE;
}

enum verdict check_text(struct judge *j, const struct spec *s, const struct val *v, struct field_bytes f)
{
	uint8_t oid[12], uuid[16];
	const uint8_t *pointer;
	const char *text;
	size_t n;

	if (v->kind == BSON_K_STRING) {
		text = val_text(v, &n);
		/* as its ObjectId, whose text has lower case */
		if ((s->accept & MAP_ACCEPT_HEX_ID) != 0 && id_hex(text, n, oid, 12))
			return check_oid_text(j, s, oid, f);
		return check_string(j, s, v, f);
	}
	if (v->kind == BSON_K_OBJECTID)
		return check_oid_text(j, s, v->data, f);
	if (v->kind == BSON_K_DOCUMENT && (s->accept & (MAP_ACCEPT_OID_DOCUMENT | MAP_ACCEPT_DBREF)) != 0)
		return check_id_document(j, s, v, f);
	if (v->kind == BSON_K_DBPOINTER && (s->accept & MAP_ACCEPT_DBREF) != 0) {
		val_dbpointer(v, &n, &pointer);
		return check_oid_text(j, s, pointer, f);
	}
	if (v->kind == BSON_K_BINARY && (s->accept & MAP_ACCEPT_JSON_TEXT) != 0 && !id_binary_uuid(s, v, uuid))
		return check_json_text(j, s, v, f);
	if ((s->accept & MAP_ACCEPT_NUMBER_TEXT) != 0 && is_number_text_kind(v->kind))
		return check_other_text(j, s, v, f);
	if (v->kind == BSON_K_BINARY && (s->is_id || s->is_reference) && s->id_rule == MAP_ID_TEXT)
		return check_other_text(j, s, v, f);
	if ((s->accept & MAP_ACCEPT_JSON_TEXT) != 0)
		return check_json_text(j, s, v, f);
	return unfit(j, FAULT_TYPE);
}

/* --- enums --- */

static const char *own_label(const struct spec *s, const char *text, size_t n, bool folded)
{
	const char *found = NULL;

	for (size_t i = 0; i < s->enumeration->nlabels; i++) {
		const char *label = s->enumeration->labels[i];
		if (!(folded ? same_folded(text, n, label) : same_text(text, n, label)))
			continue;
		if (found != NULL)
			return NULL; /* two labels that differ in case only */
		found = label;
	}
	return found;
}

static const char *label_of(const struct spec *s, const char *text, size_t n)
{
	const char *label = mapped_label(s, text, n, false);

	if (label == NULL)
		label = own_label(s, text, n, false);
	if (label == NULL && s->fold_case)
		label = mapped_label(s, text, n, true);
	if (label == NULL && s->fold_case)
		label = own_label(s, text, n, true);
	return label;
}

enum verdict check_enum(struct judge *j, const struct spec *s, const struct val *v, struct field_bytes f)
{
	size_t n;
	const char *text, *label;

	if (v->kind != BSON_K_STRING || s->enumeration == NULL)
		return unfit(j, FAULT_TYPE);
	text = val_text(v, &n);
	label = label_of(s, text, n);
	if (label == NULL && s->encoding != MAP_ENCODING_REJECT && text_as_encoded(j, s, &text, &n))
		label = label_of(s, text, n);
	if (label == NULL)
		return unfit(j, FAULT_LABEL);
	return same_if(f.len >= 0 && same_text((const char *)f.data, (size_t)f.len, label));
}

/* --- inet: family (2, 3), bits, is cidr, size, address --- */

static bool read_inet(const char *text, size_t n, uint8_t want[20], size_t *len)
{
	char copy[64], *slash, *end;
	unsigned long bits;
	bool is_4;

	if (n >= sizeof copy || memchr(text, 0, n) != NULL)
		return false;
	memcpy(copy, text, n);
	copy[n] = '\0';
	slash = strchr(copy, '/');
	if (slash != NULL)
		*slash++ = '\0';
	memset(want, 0, 20);
	is_4 = inet_pton(AF_INET, copy, want + 4) == 1;
	if (!is_4 && inet_pton(AF_INET6, copy, want + 4) != 1)
		return false;
	bits = is_4 ? 32 : 128;
	if (slash != NULL) {
		if (*slash < '0' || *slash > '9' || (bits = strtoul(slash, &end, 10), *end != '\0') ||
		    bits > (is_4 ? 32u : 128u))
			return false;
	}
	want[0] = is_4 ? 2 : 3;
	want[1] = (uint8_t)bits;
	want[3] = is_4 ? 4 : 16;
	*len = 4 + (size_t)want[3];
	return true;
}

enum verdict check_inet(struct judge *j, const struct spec *s, const struct val *v, struct field_bytes f)
{
	uint8_t want[20];
	size_t n, len;
	const char *text;

	(void)s;
	if (v->kind != BSON_K_STRING)
		return unfit(j, FAULT_TYPE);
	text = val_text(v, &n);
	if (!read_inet(text, n, want, &len))
		return unfit(j, FAULT_FORMAT);
	return same_if(f.len == (int)len && memcmp(f.data, want, len) == 0);
}

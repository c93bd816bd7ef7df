/* texts.c - text types, enums, bytea, json, inet. */
#include <arpa/inet.h>
#include <stdio.h>

#include "convert_private.h"
#include "decimal.h"
#include "id.h"
#include "text.h"

static enum fault accepted(struct conv *c, struct column *col, enum fault f)
{
	if (f == FAULT_OK)
		count_column(c, col, COUNT_ACCEPTED);
	return f;
}

#define NAME_BYTES 63

static bool is_too_long(struct conv *c, const struct column *col, const char *s, size_t n)
{
	if (col->type.base == PGT_NAME && n > NAME_BYTES) {
		fault_note(c, FAULT_TOO_LONG, "%zu bytes, at most %d", n, NAME_BYTES);
		return true;
	}
	/* As many bytes as characters are allowed fit for sure. */
	if (col->type.length < 0 || n <= (size_t)col->type.length)
		return false;
	size_t chars = utf8_count(s, n);
	if (chars > (size_t)col->type.length)
		fault_note(c, FAULT_TOO_LONG, "length %zu, at most %d", chars, col->type.length);
	return chars > (size_t)col->type.length;
}

enum fault put_chars(struct conv *c, struct column *col, const char *s, size_t n)
{
	if (is_too_long(c, col, s, n))
		return FAULT_TOO_LONG;
	if (col->type.base == PGT_CHAR && n > 0 && s[n - 1] == ' ')
		return fault_note(c, FAULT_INEXACT, "blanks at the end, which are padding in char");
	rowbuf_put_bytes(col->rows, s, n);
	return FAULT_OK;
}

enum fault mend_text(struct conv *c, struct column *col, enum utf8_result why, size_t at, const char **s, size_t *n)
{
	if (col->encoding == MAP_ENCODING_REJECT)
		return fault_note(c, why == UTF8_NUL ? FAULT_NUL : FAULT_UTF8, "at byte %zu of %zu", at, *n);
	buf_reset(&c->text);
	utf8_mend(&c->text, *s, *n, col->encoding == MAP_ENCODING_REPLACE);
	*s = (const char *)c->text.data;
	*n = c->text.len;
	count_column(c, col, COUNT_ENCODING);
	return FAULT_OK;
}

enum fault put_text(struct conv *c, struct column *col, const struct val *v)
{
	size_t n, at;
	const char *s = val_text(v, &n);
	enum utf8_result why = utf8_check(s, n, &at);
	if (__builtin_expect(why != UTF8_OK, 0)) {
		enum fault f = mend_text(c, col, why, at, &s, &n);
		if (f != FAULT_OK)
			return f;
	}
	return put_chars(c, col, s, n);
}

enum fault put_symbol_as_text(struct conv *c, struct column *col, const struct val *v)
{
	return accepted(c, col, put_text(c, col, v));
}

/* A double that is a whole number is written without ".0", as JavaScript shows it. */
static int number_text(const struct val *v, char out[64])
{
	struct decimal d;
	int n;
	switch (v->kind) {
	case BSON_K_INT32:
		return snprintf(out, 64, "%d", val_i32(v));
	case BSON_K_INT64:
		return snprintf(out, 64, "%lld", (long long)val_i64(v));
	case BSON_K_DECIMAL128:
		decimal_read(v, &d);
		return decimal_text(&d, out);
	default:
		n = text_double(val_double(v), out);
		return n > 2 && memcmp(out + n - 2, ".0", 2) == 0 ? n - 2 : n;
	}
}

enum fault put_number_as_text(struct conv *c, struct column *col, const struct val *v)
{
	char text[64];
	int n = number_text(v, text);
	return accepted(c, col, put_chars(c, col, text, (size_t)n));
}

enum fault put_bool_as_text(struct conv *c, struct column *col, const struct val *v)
{
	bool yes = val_bool(v);
	return accepted(c, col, put_chars(c, col, yes ? "true" : "false", yes ? 4 : 5));
}

enum fault put_objectid_as_text(struct conv *c, struct column *col, const struct val *v)
{
	char hex[25];
	id_objectid_format(v->data, hex);
	return put_chars(c, col, hex, 24);
}

enum fault put_date_as_text(struct conv *c, struct column *col, const struct val *v)
{
	char text[48];
	int n = iso_format(val_i64(v), text);
	return accepted(c, col, put_chars(c, col, text, (size_t)n));
}

/* UUIDs only: other bytes have no text of their own but Extended JSON. */
enum fault put_binary_as_text(struct conv *c, struct column *col, const struct val *v)
{
	uint8_t uuid[UUID_SIZE];
	char text[UUID_TEXT_SIZE];
	if (!key_binary_uuid(v, col->uuid_order, uuid))
		return (col->accept & MAP_ACCEPT_JSON_TEXT) != 0 ? put_json_as_text(c, col, v) : FAULT_TYPE;
	id_uuid_format(uuid, text);
	enum fault f = put_chars(c, col, text, UUID_TEXT_SIZE - 1);
	return (col->accept & MAP_ACCEPT_NUMBER_TEXT) != 0 ? accepted(c, col, f) : f;
}

/* What writing a value as JSON took liberties with. Only jsonb loses the sign of -0: json and text keep what is
 * written.
 */
static void count_json(struct conv *c, struct column *col, const struct extjson_info *info)
{
	if (info->mended)
		count_column(c, col, COUNT_ENCODING);
	if (info->left_out)
		count_column(c, col, COUNT_DUPLICATE_KEYS);
	if (info->negative_zero && col->type.base == PGT_JSONB)
		count_column(c, col, COUNT_NEGATIVE_ZERO);
}

enum fault put_json_as_text(struct conv *c, struct column *col, const struct val *v)
{
	struct extjson_info info = {0};
	buf_reset(&c->text);
	enum fault f = extjson_write(&c->text, v, &col->json, &info);
	if (f != FAULT_OK)
		return f;
	count_json(c, col, &info);
	return accepted(c, col, put_chars(c, col, (const char *)c->text.data, c->text.len));
}

/* --- json, jsonb: written straight into the row --- */

enum fault put_json(struct conv *c, struct column *col, const struct val *v)
{
	struct extjson_info info = {0};
	struct rowbuf *rb = col->rows;
	size_t mark = rowbuf_open_field(rb);
	if (col->type.base == PGT_JSONB)
		buf_putc(&rb->buf, 1); /* version, read by jsonb_recv */
	enum fault f = extjson_write(&rb->buf, v, &col->json, &info);
	if (f != FAULT_OK)
		return f;
	count_json(c, col, &info);
	rowbuf_close_field(rb, mark);
	return FAULT_OK;
}

/* --- bytea --- */

enum fault put_binary(struct conv *c, struct column *col, const struct val *v)
{
	uint8_t subtype;
	size_t n;
	const uint8_t *p = val_binary(v, &subtype, &n);
	rowbuf_put_bytes(col->rows, p, n);
	return FAULT_OK;
}

enum fault put_objectid_as_bytea(struct conv *c, struct column *col, const struct val *v)
{
	rowbuf_put_bytes(col->rows, v->data, OBJECTID_SIZE);
	return FAULT_OK;
}

/* --- inet --- */

/* Reads "/24" at s; the whole address when there is none. */
static bool read_bits(const char *s, int most, uint8_t *bits)
{
	int64_t n = most;
	if (s != NULL && (!text_parse_i64(s + 1, strlen(s + 1), &n) || n < 0 || n > most || s[1] == '-'))
		return false;
	*bits = (uint8_t)n;
	return true;
}

enum fault put_text_as_inet(struct conv *c, struct column *col, const struct val *v)
{
	enum { FAMILY_4 = 2, FAMILY_6 = 3 }; /* of PostgreSQL, whatever AF_INET6 is here */
	char text[64];
	uint8_t field[20] = {0}, *address = field + 4;
	size_t n;
	const char *s = val_text(v, &n);
	if (n >= sizeof text || memchr(s, 0, n) != NULL)
		return FAULT_FORMAT;
	memcpy(text, s, n);
	text[n] = '\0';
	char *slash = strchr(text, '/');
	if (slash != NULL)
		*slash = '\0';
	bool is_4 = inet_pton(AF_INET, text, address) == 1;
	if (!is_4 && inet_pton(AF_INET6, text, address) != 1)
		return FAULT_FORMAT;
	field[0] = is_4 ? FAMILY_4 : FAMILY_6;
	field[3] = is_4 ? 4 : 16;
	if (!read_bits(slash, is_4 ? 32 : 128, &field[1]))
		return FAULT_FORMAT;
	rowbuf_put_bytes(col->rows, field, 4 + (size_t)field[3]);
	return FAULT_OK;
}

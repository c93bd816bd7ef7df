/* doc.h - read-only views on BSON documents. No I/O, no allocation (but doc_is_wellformed beyond 128 levels).
 *
 * A `struct val` borrows from the document's bytes and lives as long as they do. Every length is checked against the
 * document's end, so corrupt bytes end an iteration with `corrupt` set and never read outside.
 * Format: bsonspec.org, version 1.1.
 */
#ifndef DOCROW_DOC_H
#define DOCROW_DOC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

enum bson_kind { /* the type bytes of BSON */
		 BSON_K_EOD = 0x00,
		 BSON_K_DOUBLE = 0x01,
		 BSON_K_STRING = 0x02,
		 BSON_K_DOCUMENT = 0x03,
		 BSON_K_ARRAY = 0x04,
		 BSON_K_BINARY = 0x05,
		 BSON_K_UNDEFINED = 0x06,
		 BSON_K_OBJECTID = 0x07,
		 BSON_K_BOOL = 0x08,
		 BSON_K_DATE = 0x09,
		 BSON_K_NULL = 0x0a,
		 BSON_K_REGEX = 0x0b,
		 BSON_K_DBPOINTER = 0x0c,
		 BSON_K_CODE = 0x0d,
		 BSON_K_SYMBOL = 0x0e,
		 BSON_K_CODEWSCOPE = 0x0f,
		 BSON_K_INT32 = 0x10,
		 BSON_K_TIMESTAMP = 0x11,
		 BSON_K_INT64 = 0x12,
		 BSON_K_DECIMAL128 = 0x13,
		 BSON_K_MINKEY = 0xff,
		 BSON_K_MAXKEY = 0x7f
};

struct val {
	const uint8_t *
		data; /* payload as in BSON: for a string its int32 length first, for a document the whole document */
	uint32_t len; /* bytes of payload */
	uint8_t kind; /* enum bson_kind; 0 = no value (missing) */
};

struct field {
	const char *key; /* NUL-terminated in the document; may hold any bytes but NUL */
	uint32_t key_len;
	struct val val;
};

struct doc_iter {
	const uint8_t *p, *end; /* next type byte; the document's final NUL */
	bool corrupt;
};

/* doc is a whole BSON document of at most `len` bytes. False when its header or end is wrong. */
bool doc_iter_init(struct doc_iter *it, const uint8_t *doc, size_t len);

/* Bytes of payload by type byte: >= 0 fixed; BSON_SIZE_VAR: told by the payload; BSON_SIZE_BAD: no such type. */
enum { BSON_SIZE_VAR = -1, BSON_SIZE_BAD = -2 };
extern const int8_t bson_payload_size[256];
/* Payload of a type of variable size at p, checked against end. False if it does not fit or has no proper end. */
bool doc_payload_var(uint8_t kind, const uint8_t *p, const uint8_t *end, uint32_t *len);

/* Length of the key at p. A document ends with a NUL, so the search ends at `end` at the latest. */
static inline size_t doc_key_len(const uint8_t *p, const uint8_t *end)
{
	const uint64_t ones = UINT64_C(0x0101010101010101);
	const uint8_t *q = p;
	uint64_t x, zero;

	for (; end - q >= 8; q += 8) {
		memcpy(&x, q, 8);
		zero = (x - ones) & ~x & (ones << 7);
		if (zero)
			return (size_t)(q - p) + ((size_t)__builtin_ctzll(zero) >> 3);
	}
	while (*q)
		q++;
	return (size_t)(q - p);
}

/* False at the end, or when the bytes are corrupt (it->corrupt then). */
static inline bool doc_iter_next(struct doc_iter *it, struct field *f)
{
	const uint8_t *p = it->p, *end = it->end;
	size_t key_len;
	int size;

	if (p >= end)
		return false;
	key_len = doc_key_len(p + 1, end);
	f->key = (const char *)p + 1;
	f->key_len = (uint32_t)key_len;
	f->val.kind = *p;
	size = bson_payload_size[*p];
	p += key_len + 2;
	f->val.data = p;
	f->val.len = (uint32_t)size;
	if (p <= end && (size >= 0 ? size <= end - p : doc_payload_var(f->val.kind, p, end, &f->val.len))) {
		it->p = p + f->val.len;
		return true;
	}
	it->corrupt = true;
	it->p = end;
	return false;
}
/* Iterates a DOCUMENT or ARRAY value. */
static inline bool doc_iter_val(struct doc_iter *it, const struct val *v)
{
	return doc_iter_init(it, v->data, v->len);
}

/* First field with that key; false if missing or corrupt. */
bool doc_find(const uint8_t *doc, size_t len, const char *key, struct val *out);
/* Walks the whole tree without recursion: lengths, types, terminators. Any depth. */
bool doc_is_wellformed(const uint8_t *doc, size_t len);

static inline int32_t val_i32(const struct val *v)
{
	int32_t x;
	memcpy(&x, v->data, 4);
	return x;
}
static inline int64_t val_i64(const struct val *v)
{
	int64_t x;
	memcpy(&x, v->data, 8);
	return x;
} /* INT64, DATE, TIMESTAMP */
static inline double val_double(const struct val *v)
{
	double x;
	memcpy(&x, v->data, 8);
	return x;
}
static inline bool val_bool(const struct val *v)
{
	return v->data[0] != 0;
}
/* STRING, SYMBOL, CODE: text without the final NUL. */
static inline const char *val_text(const struct val *v, size_t *len)
{
	*len = v->len - 5;
	return (const char *)v->data + 4;
}
/* BINARY: subtype and bytes (of the old subtype 2 the inner length is taken off). */
const uint8_t *val_binary(const struct val *v, uint8_t *subtype, size_t *len);
/* REGEX: pattern and options. */
void val_regex(const struct val *v, const char **pattern, size_t *pattern_len, const char **options,
	       size_t *options_len);
/* DBPOINTER: name of the collection, and the ObjectId (12 bytes). */
const char *val_dbpointer(const struct val *v, size_t *len, const uint8_t **oid);
/* CODEWSCOPE: the code, and its scope as a DOCUMENT. */
const char *val_codewscope(const struct val *v, size_t *len, struct val *scope);

/* "objectId", "string", "int", "long", ...: MongoDB's $type aliases. */
const char *bson_kind_name(uint8_t kind);

/* Makes a one-field document {key: v} in out (at least 4+1+strlen(key)+1+v->len+1 bytes); returns its length. For _id
 * in state tables. */
size_t doc_wrap(const char *key, const struct val *v, uint8_t *out);
static inline size_t doc_wrap_size(const char *key, const struct val *v)
{
	return 4 + 1 + strlen(key) + 1 + v->len + 1;
}

#endif

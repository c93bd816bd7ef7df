/* build.h - writes BSON by hand for the tests of src/doc. One builder at a time; documents nest. */
#ifndef DOCROW_TEST_BUILD_H
#define DOCROW_TEST_BUILD_H

#include <string.h>

#include "buf.h"
#include "doc.h"

static inline void put_i32(struct buf *b, int32_t x)
{
	buf_put(b, &x, 4);
}

static inline void put_key(struct buf *b, enum bson_kind kind, const char *key)
{
	buf_putc(b, (char)kind);
	buf_put(b, key, strlen(key) + 1);
}

/* Any value from its payload. */
static inline void put_raw(struct buf *b, enum bson_kind kind, const char *key, const void *payload, size_t n)
{
	put_key(b, kind, key);
	buf_put(b, payload, n);
}

static inline void put_int(struct buf *b, const char *key, int32_t x)
{
	put_raw(b, BSON_K_INT32, key, &x, 4);
}

static inline void put_long(struct buf *b, const char *key, int64_t x)
{
	put_raw(b, BSON_K_INT64, key, &x, 8);
}

static inline void put_date(struct buf *b, const char *key, int64_t ms)
{
	put_raw(b, BSON_K_DATE, key, &ms, 8);
}

static inline void put_double(struct buf *b, const char *key, double x)
{
	put_raw(b, BSON_K_DOUBLE, key, &x, 8);
}

static inline void put_string_n(struct buf *b, enum bson_kind kind, const char *key, const char *s, size_t n)
{
	put_key(b, kind, key);
	put_i32(b, (int32_t)n + 1);
	buf_put(b, s, n);
	buf_putc(b, 0);
}

static inline void put_string(struct buf *b, const char *key, const char *s)
{
	put_string_n(b, BSON_K_STRING, key, s, strlen(s));
}

/* Opens a document (the outermost, or after put_key of a DOCUMENT or ARRAY); end_doc takes what it returned. */
static inline size_t begin_doc(struct buf *b)
{
	put_i32(b, 0);
	return b->len - 4;
}

static inline void end_doc(struct buf *b, size_t start)
{
	int32_t size;

	buf_putc(b, 0);
	size = (int32_t)(b->len - start);
	memcpy(b->data + start, &size, 4);
}

/* One field of each type, in the order of the type bytes. Returns their number. */
static inline int put_every_type(struct buf *b)
{
	static const uint8_t oid[12] = {0x50, 0x7f, 0x1f, 0x77, 0xbc, 0xf8, 0x6c, 0xd7, 0x99, 0x43, 0x90, 0x11};
	static const uint8_t decimal[16] = {110, [14] = 0x3c, [15] = 0x30}; /* 1.10 */
	size_t inner, scope, at;
	int32_t size;

	put_double(b, "double", 1.5);
	put_string(b, "string", "text");
	put_key(b, BSON_K_DOCUMENT, "document");
	inner = begin_doc(b);
	put_int(b, "a", 1);
	end_doc(b, inner);
	put_key(b, BSON_K_ARRAY, "array");
	inner = begin_doc(b);
	put_int(b, "0", 1);
	put_string(b, "1", "x");
	end_doc(b, inner);
	put_raw(b, BSON_K_BINARY, "binary",
		"\3\0\0\0\x05"
		"abc",
		8);
	put_raw(b, BSON_K_UNDEFINED, "undefined", "", 0);
	put_raw(b, BSON_K_OBJECTID, "objectid", oid, 12);
	put_raw(b, BSON_K_BOOL, "bool", "\1", 1);
	put_date(b, "date", 1356351330501);
	put_raw(b, BSON_K_NULL, "null", "", 0);
	put_raw(b, BSON_K_REGEX, "regex", "a+\0im", 6);
	put_string_n(b, BSON_K_DBPOINTER, "dbpointer", "db.c", 4);
	buf_put(b, oid, 12);
	put_string_n(b, BSON_K_CODE, "code", "f()", 3);
	put_string_n(b, BSON_K_SYMBOL, "symbol", "sym", 3);
	put_key(b, BSON_K_CODEWSCOPE, "codewscope");
	at = b->len;
	put_i32(b, 0);
	put_i32(b, 4);
	buf_put(b, "g()", 4);
	scope = begin_doc(b);
	put_int(b, "x", 1);
	end_doc(b, scope);
	size = (int32_t)(b->len - at);
	memcpy(b->data + at, &size, 4);
	put_int(b, "int", -7);
	put_raw(b, BSON_K_TIMESTAMP, "timestamp", "\2\0\0\0\1\0\0\0", 8);
	put_long(b, "long", 9007199254740993);
	put_raw(b, BSON_K_DECIMAL128, "decimal", decimal, 16);
	put_raw(b, BSON_K_MINKEY, "minkey", "", 0);
	put_raw(b, BSON_K_MAXKEY, "maxkey", "", 0);
	return 21;
}

#endif

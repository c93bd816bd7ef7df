/* values.h - BSON values and PostgreSQL's binary fields for the tests of src/validate. All live as long as the
 * program. */
#ifndef DOCROW_TEST_VALUES_H
#define DOCROW_TEST_VALUES_H

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../doc/build.h"
#include "column.h"
#include "key.h"
#include "mem.h"
#include "text.h"

extern struct arena *all;

/* --- values --- */

static inline uint8_t *copied(const void *p, size_t n)
{
	uint8_t *copy = arena_alloc(all, n + 1);

	if (n > 0)
		memcpy(copy, p, n);
	return copy;
}

static inline struct val v_raw(enum bson_kind kind, const void *p, size_t n)
{
	return (struct val){copied(p, n), (uint32_t)n, (uint8_t)kind};
}

static inline struct val v_int(int32_t x)
{
	return v_raw(BSON_K_INT32, &(int32_t[2]){x}, 4);
}

static inline struct val v_long(int64_t x)
{
	return v_raw(BSON_K_INT64, &(int64_t[2]){x}, 8);
}

static inline struct val v_double(double x)
{
	return v_raw(BSON_K_DOUBLE, &(double[2]){x}, 8);
}

static inline struct val v_date(int64_t ms)
{
	return v_raw(BSON_K_DATE, &(int64_t[2]){ms}, 8);
}

static inline struct val v_bool(bool x)
{
	return v_raw(BSON_K_BOOL, x ? "\1" : "\0", 1);
}

static inline struct val v_kind_text(enum bson_kind kind, const char *s, size_t n)
{
	char *p = arena_alloc(all, n + 6);
	int32_t len = (int32_t)n + 1;

	memcpy(p, &len, 4);
	memcpy(p + 4, s, n);
	return v_raw(kind, p, n + 5);
}

static inline struct val v_text(const char *s)
{
	return v_kind_text(BSON_K_STRING, s, strlen(s));
}

/* coefficient x 10^exponent */
static inline struct val v_decimal(int64_t coefficient, int exponent)
{
	uint64_t parts[3] = {(uint64_t)llabs(coefficient),
			     (uint64_t)(exponent + 6176) << 49 | (uint64_t)(coefficient < 0) << 63};

	return v_raw(BSON_K_DECIMAL128, parts, 16);
}

static inline struct val v_decimal_bits(uint64_t high, uint64_t low)
{
	return v_raw(BSON_K_DECIMAL128, (uint64_t[3]){low, high}, 16);
}

static inline size_t unhex(const char *hex, uint8_t *out)
{
	size_t n = strlen(hex);

	assert_true(text_unhex(hex, n, out));
	return n / 2;
}

static inline struct val v_oid(const char *hex)
{
	uint8_t p[64];

	return v_raw(BSON_K_OBJECTID, p, unhex(hex, p));
}

static inline struct val v_binary(uint8_t subtype, const char *hex)
{
	uint8_t p[300];
	int32_t n = (int32_t)unhex(hex, p + 5);

	memcpy(p, &n, 4);
	p[4] = subtype;
	return v_raw(BSON_K_BINARY, p, (size_t)n + 5);
}

/* Of a document that a builder wrote. */
static inline struct val v_of(enum bson_kind kind, const struct buf *b)
{
	return v_raw(kind, b->data, b->len);
}

/* --- fields --- */

static inline struct field_bytes f_raw(const void *p, size_t n)
{
	return (struct field_bytes){copied(p, n), (int)n};
}

static inline struct field_bytes f_number(int64_t x, size_t bytes)
{
	uint8_t p[9];

	for (size_t i = 0; i < bytes; i++)
		p[i] = (uint8_t)((uint64_t)x >> 8 * (bytes - 1 - i));
	return f_raw(p, bytes);
}

static inline struct field_bytes f_double(double x)
{
	int64_t bits;

	memcpy(&bits, &x, 8);
	return f_number(bits, 8);
}

static inline struct field_bytes f_real(float x)
{
	int32_t bits;

	memcpy(&bits, &x, 4);
	return f_number(bits, 4);
}

static inline struct field_bytes f_text(const char *s)
{
	return f_raw(s, strlen(s));
}

static inline struct field_bytes f_hex(const char *hex)
{
	uint8_t p[300];

	return f_raw(p, unhex(hex, p));
}

static inline struct field_bytes f_null(void)
{
	return (struct field_bytes){NULL, -1};
}

static inline struct field_bytes f_jsonb(const char *text)
{
	return f_text(arena_printf(all, "\1%s", text));
}

/* As the server sends "-12.340": groups of four digits around the point. */
static inline struct field_bytes f_numeric(const char *text)
{
	const char *digits = text + (*text == '-'), *point = strchr(digits, '.');
	size_t whole = point != NULL ? (size_t)(point - digits) : strlen(digits);
	size_t scale = point != NULL ? strlen(point + 1) : 0, pad = (4 - whole % 4) % 4;
	char *d = arena_printf(all, "%.*s%.*s%s000", (int)pad, "000", (int)whole, digits, point ? point + 1 : "");
	int groups = (int)((pad + whole + scale + 3) / 4), weight = (int)((pad + whole) / 4) - 1, first = 0;
	uint8_t p[300];
	size_t n = 8;

	while (groups > 0 && strncmp(d + 4 * (first + groups - 1), "0000", 4) == 0)
		groups--;
	while (groups > 0 && strncmp(d + 4 * first, "0000", 4) == 0)
		first++, groups--, weight--;
	for (int g = 0; g < groups; g++, n += 2) {
		char four[5] = {0};
		memcpy(four, d + 4 * (first + g), 4);
		memcpy(p + n, f_number(atoi(four), 2).data, 2);
	}
	memcpy(p, f_number(groups, 2).data, 2);
	memcpy(p + 2, f_number(groups > 0 ? weight : 0, 2).data, 2);
	memcpy(p + 4, f_number(*text == '-' ? 0x4000 : 0, 2).data, 2);
	memcpy(p + 6, f_number((int64_t)scale, 2).data, 2);
	return f_raw(p, n);
}

static inline struct field_bytes f_numeric_nan(void)
{
	return f_hex("00000000c0000000");
}

/* One dimension, lower bound 1. */
static inline struct field_bytes f_array(size_t n, const struct field_bytes *e)
{
	uint8_t p[1000];
	size_t at = 0;
	bool nulls = false;

	for (size_t i = 0; i < n; i++)
		nulls = nulls || e[i].len < 0;
	int64_t head[] = {n > 0, nulls, 23, (int64_t)n, 1};
	for (size_t i = 0; i < (n > 0 ? 5u : 3u); i++, at += 4)
		memcpy(p + at, f_number(head[i], 4).data, 4);
	for (size_t i = 0; i < n; i++) {
		memcpy(p + at, f_number(e[i].len, 4).data, 4);
		at += 4;
		if (e[i].len > 0)
			memcpy(p + at, e[i].data, (size_t)e[i].len);
		at += e[i].len > 0 ? (size_t)e[i].len : 0;
	}
	return f_raw(p, at);
}

/* --- columns --- */

static const uint8_t name_space[16] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16};

static inline struct spec spec_of(const char *type, unsigned accept)
{
	struct spec s = {.accept = accept, .id_namespace = name_space, .id_rule = MAP_ID_UUIDV7};

	assert_true(pgtype_parse(all, type, &s.type));
	return s;
}

#endif

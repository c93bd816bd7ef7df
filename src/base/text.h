/* text.h - text: UTF-8, escaping for people, hex, numbers as text. Pure. */
#ifndef DOCROW_TEXT_H
#define DOCROW_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "buf.h"

enum utf8_result {
	UTF8_OK = 0,
	UTF8_NUL, /* valid, but holds U+0000                                                  */
	UTF8_BAD  /* not UTF-8: surrogates, overlong forms and > U+10FFFF are bad, as in PostgreSQL */
};
/* Checks n bytes; fast on ASCII. *at (may be NULL) gets the offset of the first trouble. UTF8_BAD wins over UTF8_NUL.
 */
enum utf8_result utf8_check(const char *s, size_t n, size_t *at);
/* Bytes of the valid character that starts at s (1 for U+0000, too); 0 when there is none in n bytes. */
size_t utf8_char_len(const char *s, size_t n);
/* Number of characters of valid UTF-8. */
size_t utf8_count(const char *s, size_t n);
/* Appends s with NULs and bad bytes left out (strip) or replaced by U+FFFD (replace). */
void utf8_mend(struct buf *out, const char *s, size_t n, bool replace);
/* Appends s so that it is valid UTF-8 without NUL and control characters: bad bytes as \xHH, backslash as \\. For
 * names, paths and ids in logs, tables and reports. */
void text_escape(struct buf *out, const char *s, size_t n);
/* Appends s as a JSON string with quotes; bytes that are not UTF-8 as \\xHH, NUL as \\x00 (text, so that jsonb takes
 * it). */
void text_json_string(struct buf *out, const char *s, size_t n);

void text_hex(const uint8_t *data, size_t n, char *out); /* 2n+1 bytes, lower case */
bool text_unhex(const char *s, size_t n, uint8_t *out);  /* n even, either case    */
/* Whole base64 with its padding, nothing thrown away: out gets *len <= n / 4 * 3 bytes. It may lie before s in the
 * same memory: no byte is written before its digits were read. */
bool text_unbase64(const char *s, size_t n, uint8_t *out, size_t *len);
/* Shortest decimal text that reads back as the same double (JSON number syntax where finite: 1.0, 1e+21, 5e-324,
 * -0.0). Returns the length; out holds at least 32 bytes. Infinity, -Infinity, NaN as such. */
int text_double(double v, char out[32]);
/* Whole-text parsers: false on anything left over, empty text or overflow. */
bool text_parse_i64(const char *s, size_t n, int64_t *out);
bool text_parse_double(const char *s, size_t n, double *out);
/* "1,234,567" into out (at least 32 bytes); "745 MB", "1.2 GB"; "1 h 02 m 03 s", "12.3 s", "340 ms". */
const char *text_thousands(uint64_t n, char out[32]);
const char *text_bytes(uint64_t n, char out[32]);
const char *text_duration(double seconds, char out[32]);
/* Edit distance for "did you mean" (small strings). */
size_t text_distance(const char *a, const char *b);

#endif

/* extjson_read.c - Extended JSON to BSON.
 *
 * One loop over a stack of open objects and arrays; each is written as an ordinary BSON document at once. When an
 * object whose first key begins with '$' is closed, it is looked at whether it is the wrapper of another type
 * (extjson_wrap.c); then the value takes its place.
 */
#include "extjson_read.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "decimal.h"
#include "doc.h"
#include "extjson_wrap.h"
#include "text.h"

#define LONGEST_NUMBER 1100 /* a double written in full has up to 1,077 digits */
#define LONGEST_INDEX  12
#define MAX_DEPTH      100000 /* MongoDB stops at 200 */

struct level {
	size_t type_at, start; /* in the BSON: its type byte, its length */
	uint32_t n;            /* elements so far                        */
	bool is_array, is_wrapper;
};

struct extjson_reader {
	struct extjson_input *in;
	struct buf *out;
	const char *trouble; /* the first one; NULL: none */
	struct level *levels;
	size_t n, cap;
	int64_t bare; /* numbers outside of wrappers */
	char number[LONGEST_NUMBER + 1];
};

static bool fail(struct extjson_reader *r, const char *trouble)
{
	if (!r->trouble)
		r->trouble = trouble;
	return false;
}

/* ---- bytes ---- */

static const char ends_inside[] = "the text ends inside a document";

static bool has_byte(struct extjson_reader *r)
{
	return r->in->p < r->in->end || r->in->more(r->in);
}

/* The next byte, which is not taken; -1: there is none. */
static int peek(struct extjson_reader *r)
{
	return has_byte(r) ? *r->in->p : -1;
}

static bool is_blank(int c)
{
	return c == ' ' || c == '\n' || c == '\r' || c == '\t';
}

/* The next byte that is not blank, which is not taken. */
static int peek_word(struct extjson_reader *r)
{
	int c;
	while (is_blank(c = peek(r)))
		r->in->p++;
	if (c < 0)
		fail(r, ends_inside);
	return c;
}

static void put_i32_at(struct buf *b, size_t at, size_t value)
{
	int32_t v = (int32_t)value;
	if (buf_ok(b))
		memcpy(b->data + at, &v, 4);
}

static void put_zeros(struct buf *b, size_t n)
{
	static const uint8_t zeros[16];
	buf_put(b, zeros, n);
}

static void set_type(struct extjson_reader *r, size_t type_at, enum bson_kind kind)
{
	if (buf_ok(r->out))
		r->out->data[type_at] = (uint8_t)kind;
}

/* ---- strings ---- */

static int hex_digit(int c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool read_hex4(struct extjson_reader *r, unsigned *out)
{
	*out = 0;
	for (int i = 0; i < 4; i++) {
		int digit = hex_digit(peek(r));
		if (digit < 0)
			return fail(r, "four hexadecimal digits are missing behind \\u");
		*out = *out << 4 | (unsigned)digit;
		r->in->p++;
	}
	return true;
}

/* Surrogates too, as three bytes: which is no UTF-8, and nothing is lost. */
static void put_character(struct buf *b, unsigned c)
{
	uint8_t u[4];
	size_t n = c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
	static const uint8_t first[] = {0, 0, 0xc0, 0xe0, 0xf0};
	for (size_t i = n - 1; i > 0; i--, c >>= 6)
		u[i] = (uint8_t)(0x80 | (c & 0x3f));
	u[0] = (uint8_t)(first[n] | c);
	buf_put(b, u, n);
}

/* Behind "\u": one character, of a pair of surrogates both halves. */
static bool read_unicode(struct extjson_reader *r)
{
	unsigned c, low;
	if (!read_hex4(r, &c))
		return false;
	while (c >= 0xd800 && c < 0xdc00 && peek(r) == '\\') {
		r->in->p++;
		if (peek(r) != 'u') {
			put_character(r->out, c);
			return fail(r, NULL); /* the caller goes on behind the backslash */
		}
		r->in->p++;
		if (!read_hex4(r, &low))
			return false;
		if (low >= 0xdc00 && low < 0xe000) {
			put_character(r->out, 0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00));
			return true;
		}
		put_character(r->out, c);
		c = low;
	}
	put_character(r->out, c);
	return true;
}

/* Behind a backslash. */
static bool read_escape(struct extjson_reader *r)
{
	static const char letters[] = "\"\\/bfnrt", values[] = "\"\\/\b\f\n\r\t";
	for (;;) {
		int c = peek(r);
		const char *at = c > 0 ? strchr(letters, c) : NULL;
		if (c < 0)
			return fail(r, ends_inside);
		if (c != 'u' && !at)
			return fail(r, "there is no such escape in a string");
		r->in->p++;
		if (at) {
			buf_putc(r->out, values[at - letters]);
			return true;
		}
		if (read_unicode(r))
			return true;
		if (r->trouble)
			return false;
	}
}

/* Behind the opening quote, up to and with the closing one. */
static bool read_text(struct extjson_reader *r)
{
	struct extjson_input *in = r->in;
	while (buf_ok(r->out)) {
		if (!has_byte(r))
			return fail(r, ends_inside);
		const uint8_t *from = in->p;
		while (in->p < in->end && *in->p != '"' && *in->p != '\\' && *in->p >= 0x20)
			in->p++;
		buf_put(r->out, from, (size_t)(in->p - from));
		if (in->p == in->end)
			continue;
		if (*in->p < 0x20)
			return fail(r, "a control character stands in a string");
		bool is_end = *in->p++ == '"';
		if (is_end)
			return true;
		if (!read_escape(r))
			return false;
	}
	return true; /* too large: told by the loop */
}

static bool read_key(struct extjson_reader *r, struct level *l)
{
	if (peek(r) != '"')
		return fail(r, "a key is due, in double quotes");
	r->in->p++;
	size_t from = r->out->len;
	if (!read_text(r))
		return false;
	if (!buf_ok(r->out))
		return true;
	size_t n = r->out->len - from;
	if (n > 0 && memchr(r->out->data + from, 0, n))
		return fail(r, "a key with a NUL in it, which no document can have, ends");
	if (l->n == 0)
		l->is_wrapper = n > 1 && r->out->data[from] == '$';
	buf_putc(r->out, 0);
	if (peek_word(r) != ':')
		return fail(r, "a colon is due behind the key");
	r->in->p++;
	return true;
}

static bool read_string(struct extjson_reader *r, size_t type_at)
{
	r->in->p++;
	size_t start = r->out->len;
	put_zeros(r->out, 4);
	if (!read_text(r))
		return false;
	buf_putc(r->out, 0);
	put_i32_at(r->out, start, r->out->len - start - 4);
	set_type(r, type_at, BSON_K_STRING);
	return true;
}

/* ---- numbers ---- */

static bool is_number_byte(int c)
{
	return (c >= '0' && c <= '9') || c == '+' || c == '-' || c == '.' || c == 'e' || c == 'E';
}

static size_t skip_digits(const char *s, size_t i)
{
	while (s[i] >= '0' && s[i] <= '9')
		i++;
	return i;
}

/* As JSON writes numbers: no leading zeros, digits on both sides of the point. */
static bool is_number(const char *s, bool *is_whole)
{
	size_t i = s[0] == '-', from = i;
	i = skip_digits(s, i);
	if (i == from || (s[from] == '0' && i > from + 1))
		return false;
	*is_whole = s[i] == 0;
	if (s[i] == '.') {
		from = i + 1;
		i = skip_digits(s, from);
		if (i == from)
			return false;
	}
	if (s[i] == 'e' || s[i] == 'E') {
		from = i + 1 + (s[i + 1] == '+' || s[i + 1] == '-');
		i = skip_digits(s, from);
		if (i == from)
			return false;
	}
	return s[i] == 0;
}

static bool take_number(struct extjson_reader *r, size_t *n)
{
	int c;
	for (*n = 0; is_number_byte(c = peek(r)); r->in->p++) {
		if (*n == LONGEST_NUMBER)
			return fail(r, "a number is longer than any that can be kept");
		r->number[(*n)++] = (char)c;
	}
	r->number[*n] = 0;
	return true;
}

/* A double of 2^63 or more is a whole number; all its digits. */
static bool is_exactly(double v, const char *whole)
{
	char text[400];
	snprintf(text, sizeof(text), "%.0f", v);
	return strcmp(text, whole) == 0;
}

static bool put_double(struct extjson_reader *r, size_t type_at, double v)
{
	buf_put(r->out, &v, 8);
	set_type(r, type_at, BSON_K_DOUBLE);
	return true;
}

/* A whole number beyond 64 bits. */
static bool put_large(struct extjson_reader *r, size_t type_at, size_t n)
{
	uint8_t decimal[16];
	double v;
	if (text_parse_double(r->number, n, &v) && is_exactly(v, r->number))
		return put_double(r, type_at, v);
	if (!decimal_parse(r->number, n, decimal))
		return fail(r, "the whole number before this place has more digits than any type holds");
	buf_put(r->out, decimal, 16);
	set_type(r, type_at, BSON_K_DECIMAL128);
	return true;
}

static bool put_whole(struct extjson_reader *r, size_t type_at, size_t n)
{
	int64_t v;
	if (strcmp(r->number, "-0") == 0)
		return put_double(r, type_at, -0.0);
	if (!text_parse_i64(r->number, n, &v))
		return put_large(r, type_at, n);
	if (v >= INT32_MIN && v <= INT32_MAX) {
		int32_t small = (int32_t)v;
		buf_put(r->out, &small, 4);
		set_type(r, type_at, BSON_K_INT32);
	} else {
		buf_put(r->out, &v, 8);
		set_type(r, type_at, BSON_K_INT64);
	}
	return true;
}

static bool read_word(struct extjson_reader *r, size_t type_at);

static bool read_number(struct extjson_reader *r, size_t type_at)
{
	size_t n;
	bool is_whole = false;
	double v;
	if (!take_number(r, &n))
		return false;
	if ((n == 1 && r->number[0] == '-') && peek(r) == 'I')
		return read_word(r, type_at);
	if (!is_number(r->number, &is_whole))
		return fail(r, "what stands before this place is no number");
	r->bare++;
	if (is_whole)
		return put_whole(r, type_at, n);
	if (!text_parse_double(r->number, n, &v))
		return fail(r, "the number before this place is beyond what a double holds");
	return put_double(r, type_at, v);
}

/* ---- words ---- */

/* NaN and infinities without quotes are no JSON, but old exports and other tools wrote them. */
static const struct {
	const char *word;
	enum bson_kind kind;
	double number;
	uint8_t boolean;
} words[] = {
	{"true", BSON_K_BOOL, 0, 1},
	{"false", BSON_K_BOOL, 0, 0},
	{"null", BSON_K_NULL, 0, 0},
	{"undefined", BSON_K_UNDEFINED, 0, 0},
	{"NaN", BSON_K_DOUBLE, NAN, 0},
	{"Infinity", BSON_K_DOUBLE, INFINITY, 0},
	{"-Infinity", BSON_K_DOUBLE, -INFINITY, 0},
};

static bool is_letter(int c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

/* r->number may hold a minus that was taken already. */
static bool read_word(struct extjson_reader *r, size_t type_at)
{
	char word[24] = "";
	size_t n = 0;
	int c;
	if (r->number[0] == '-')
		word[n++] = '-';
	for (; is_letter(c = peek(r)) && n < sizeof(word) - 1; r->in->p++)
		word[n++] = (char)c;
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		if (strcmp(word, words[i].word) != 0)
			continue;
		if (words[i].kind == BSON_K_DOUBLE)
			return put_double(r, type_at, words[i].number);
		if (words[i].kind == BSON_K_BOOL)
			buf_putc(r->out, (char)words[i].boolean);
		set_type(r, type_at, words[i].kind);
		return true;
	}
	if (c == '(')
		return fail(
			r,
			"this is the mongo shell's notation (as ObjectId(...)), not JSON: export with mongoexport");
	return fail(r, "a value is due: an object, an array, a string, a number, true, false or null");
}

/* ---- objects and arrays ---- */

static void open_level(struct extjson_reader *r, size_t type_at, bool is_array)
{
	if (r->n == MAX_DEPTH) {
		fail(r, "objects and arrays are nested deeper than 100,000 levels");
		return;
	}
	if (r->n == r->cap) {
		r->cap = r->cap ? r->cap * 2 : 64;
		r->levels = mem_realloc(r->levels, r->cap * sizeof(*r->levels));
	}
	r->levels[r->n++] = (struct level){.type_at = type_at, .start = r->out->len, .is_array = is_array};
	put_zeros(r->out, 4);
}

static void close_level(struct extjson_reader *r)
{
	struct level *l = &r->levels[--r->n];
	buf_putc(r->out, 0);
	put_i32_at(r->out, l->start, r->out->len - l->start);
	if (r->n == 0 || !buf_ok(r->out))
		return;
	enum bson_kind kind = l->is_array ? BSON_K_ARRAY : BSON_K_DOCUMENT;
	if (l->is_wrapper) {
		unsigned numbers = 0;
		size_t len = r->out->len - l->start;
		kind = extjson_unwrap(r->out->data + l->start, &len, &numbers);
		r->out->len = l->start + len;
		r->bare -= numbers;
	}
	set_type(r, l->type_at, kind);
}

static bool read_value(struct extjson_reader *r, size_t type_at)
{
	int c = peek_word(r);
	r->number[0] = 0;
	if (c == '{' || c == '[') {
		r->in->p++;
		open_level(r, type_at, c == '[');
		return true;
	}
	if (c == '"')
		return read_string(r, type_at);
	if (c == '-' || (c >= '0' && c <= '9'))
		return read_number(r, type_at);
	return c >= 0 && read_word(r, type_at);
}

static void put_index(struct buf *b, uint32_t i)
{
	char text[LONGEST_INDEX];
	size_t at = sizeof(text);
	text[--at] = 0;
	do
		text[--at] = (char)('0' + i % 10);
	while ((i /= 10) > 0);
	buf_put(b, text + at, sizeof(text) - at);
}

static bool read_element(struct extjson_reader *r)
{
	struct level *l = &r->levels[r->n - 1];
	size_t type_at = r->out->len;
	buf_putc(r->out, 0);
	if (l->is_array)
		put_index(r->out, l->n);
	else if (!read_key(r, l))
		return false;
	l->n++;
	return read_value(r, type_at);
}

/* Up to the next element or the end of the level, which is closed. */
static bool step(struct extjson_reader *r)
{
	struct level *l = &r->levels[r->n - 1];
	int c = peek_word(r);
	if (c < 0)
		return false;
	if (c == (l->is_array ? ']' : '}')) {
		r->in->p++;
		close_level(r);
		return true;
	}
	if (l->n > 0) {
		if (c != ',')
			return fail(r, l->is_array ? "a comma or ] is due" : "a comma or } is due");
		r->in->p++;
		if (peek_word(r) < 0)
			return false;
	}
	return read_element(r);
}

bool extjson_read(struct extjson_reader *r, struct extjson_input *in, struct buf *out, const char **trouble)
{
	r->in = in;
	r->out = out;
	r->trouble = NULL;
	r->n = 0;
	buf_reset(out);
	if (peek(r) != '{')
		fail(r, "a document is due, which begins with {");
	else
		in->p++;
	open_level(r, 0, false);
	while (!r->trouble && r->n > 0) {
		step(r);
		if (!buf_ok(out))
			fail(r, "the document is larger than any can be");
	}
	*trouble = r->trouble;
	return !r->trouble;
}

struct extjson_reader *extjson_reader_new(void)
{
	return mem_zalloc(sizeof(struct extjson_reader));
}

void extjson_reader_free(struct extjson_reader *r)
{
	if (!r)
		return;
	free(r->levels);
	free(r);
}

bool extjson_reader_saw_bare(const struct extjson_reader *r)
{
	return r->bare > 0;
}

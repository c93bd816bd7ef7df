/* json_tree.c - reads JSON (RFC 8259) into a tree. Depth is bounded, since it recurses. */
#include "json_tree.h"

#include <string.h>

#define MAX_DEPTH 5000

struct reader {
	struct arena *arena;
	const char *p, *end;
	bool compact;
	int depth;
};

static void skip_blanks(struct reader *r)
{
	while (!r->compact && r->p < r->end && (*r->p == ' ' || *r->p == '\t' || *r->p == '\n' || *r->p == '\r'))
		r->p++;
}

static bool eat(struct reader *r, char c)
{
	skip_blanks(r);
	if (r->p == r->end || *r->p != c)
		return false;
	r->p++;
	return true;
}

static bool read_hex4(struct reader *r, unsigned *out)
{
	*out = 0;
	if (r->end - r->p < 4)
		return false;
	for (int i = 0; i < 4; i++) {
		char c = *r->p++, low = (char)(c | 32);
		if (c >= '0' && c <= '9')
			*out = *out << 4 | (unsigned)(c - '0');
		else if (low >= 'a' && low <= 'f')
			*out = *out << 4 | (unsigned)(low - 'a' + 10);
		else
			return false;
	}
	return true;
}

static size_t put_utf8(char *o, unsigned c)
{
	if (c < 0x80) {
		o[0] = (char)c;
		return 1;
	}
	if (c < 0x800) {
		o[0] = (char)(0xc0 | c >> 6);
		o[1] = (char)(0x80 | (c & 63));
		return 2;
	}
	if (c < 0x10000) {
		o[0] = (char)(0xe0 | c >> 12);
		o[1] = (char)(0x80 | (c >> 6 & 63));
		o[2] = (char)(0x80 | (c & 63));
		return 3;
	}
	o[0] = (char)(0xf0 | c >> 18);
	o[1] = (char)(0x80 | (c >> 12 & 63));
	o[2] = (char)(0x80 | (c >> 6 & 63));
	o[3] = (char)(0x80 | (c & 63));
	return 4;
}

/* After "\u". */
static bool read_code(struct reader *r, unsigned *c)
{
	unsigned low;

	if (!read_hex4(r, c))
		return false;
	if (*c < 0xd800 || *c > 0xdfff)
		return true;
	if (*c > 0xdbff || r->end - r->p < 6 || r->p[0] != '\\' || r->p[1] != 'u')
		return false;
	r->p += 2;
	if (!read_hex4(r, &low) || low < 0xdc00 || low > 0xdfff)
		return false;
	*c = 0x10000 + ((*c - 0xd800) << 10) + (low - 0xdc00);
	return true;
}

static bool read_escape(struct reader *r, char *o, size_t *n)
{
	static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
	unsigned c;
	char letter;
	const char *at;

	if (r->p == r->end)
		return false;
	letter = *r->p++;
	if (letter == 'u') {
		if (!read_code(r, &c))
			return false;
		*n += put_utf8(o + *n, c);
		return true;
	}
	at = strchr(from, letter);
	if (letter == '\0' || at == NULL)
		return false;
	o[(*n)++] = to[at - from];
	return true;
}

/* Bytes, at most, of the text from p to its closing quote. */
static size_t decoded_size(const char *p, const char *end)
{
	size_t n = 0;

	while (p < end && *p != '"') {
		if (*p != '\\') {
			p++;
			n++;
		} else if (end - p > 4 && p[1] == 'u') {
			n += p[2] == '0' && p[3] == '0' ? 2 : 3; /* below U+0100; a pair of surrogates makes 4 */
			p += 6;
		} else {
			p += 2;
			n++;
		}
	}
	return n;
}

/* After the opening quote. A text without escapes is lent from the input. */
static bool read_string(struct reader *r, const char **text, size_t *n)
{
	const char *from = r->p;
	char *o;

	while (r->p < r->end && *r->p != '"' && *r->p != '\\')
		r->p++;
	if (r->p == r->end)
		return false;
	*n = (size_t)(r->p - from);
	*text = from;
	if (*r->p == '"')
		return r->p++ != NULL;
	o = arena_alloc(r->arena, decoded_size(from, r->end) + 1);
	memcpy(o, from, *n);
	*text = o;
	while (r->p < r->end && *r->p != '"') {
		if (*r->p != '\\')
			o[(*n)++] = *r->p++;
		else if (r->p++, !read_escape(r, o, n))
			return false;
	}
	return r->p < r->end && r->p++ != NULL;
}

static bool read_word(struct reader *r, const char *word)
{
	size_t n = strlen(word);

	if ((size_t)(r->end - r->p) < n || memcmp(r->p, word, n) != 0)
		return false;
	r->p += n;
	return true;
}

static struct json *read_value(struct reader *r);

static struct json *read_member(struct reader *r, bool has_key)
{
	const char *key = NULL;
	size_t n = 0;
	struct json *v;

	if (has_key && (!eat(r, '"') || !read_string(r, &key, &n) || !eat(r, ':')))
		return NULL;
	v = read_value(r);
	if (v != NULL) {
		v->key = key;
		v->key_len = n;
	}
	return v;
}

static bool read_members(struct reader *r, struct json *v, char close)
{
	struct json **last = &v->first;

	if (eat(r, close))
		return true;
	do {
		*last = read_member(r, v->kind == JSON_OBJECT);
		if (*last == NULL)
			return false;
		last = &(*last)->next;
		v->count++;
	} while (eat(r, ','));
	return eat(r, close);
}

static bool read_number(struct reader *r, struct json *v)
{
	v->text = r->p;
	while (r->p < r->end && ((*r->p >= '0' && *r->p <= '9') || *r->p == '-' || *r->p == '+' || *r->p == '.' ||
				 *r->p == 'e' || *r->p == 'E'))
		r->p++;
	v->n = (size_t)(r->p - v->text);
	return v->n > 0;
}

static bool fill(struct reader *r, struct json *v)
{
	switch (*r->p) {
	case '{':
		r->p++;
		v->kind = JSON_OBJECT;
		return read_members(r, v, '}');
	case '[':
		r->p++;
		v->kind = JSON_ARRAY;
		return read_members(r, v, ']');
	case '"':
		r->p++;
		v->kind = JSON_STRING;
		return read_string(r, &v->text, &v->n);
	case 'n':
		v->kind = JSON_NULL;
		return read_word(r, "null");
	case 't':
		v->kind = JSON_TRUE;
		return read_word(r, "true");
	case 'f':
		v->kind = JSON_FALSE;
		return read_word(r, "false");
	default:
		v->kind = JSON_NUMBER;
		return read_number(r, v);
	}
}

static struct json *read_value(struct reader *r)
{
	struct json *v;

	skip_blanks(r);
	if (r->p == r->end || r->depth >= MAX_DEPTH)
		return NULL;
	r->depth++;
	v = arena_alloc(r->arena, sizeof *v);
	bool ok = fill(r, v);
	r->depth--;
	return ok ? v : NULL;
}

const struct json *json_read(struct arena *a, const char *text, size_t n, bool compact)
{
	struct reader r = {.arena = a, .p = text, .end = text + n, .compact = compact};
	struct json *v = read_value(&r);

	skip_blanks(&r);
	return r.p == r.end ? v : NULL;
}

/* dotenv.c - see dotenv.h. */
#include "dotenv.h"

#include <ctype.h>
#include <string.h>

#include "buf.h"

struct reader {
	struct arena *arena;
	const char *p, *end;
	int line;
	dotenv_lookup *lookup;
	void *ctx;
	struct dotenv *out;
	size_t room;
};

static bool is_key_char(char c, bool first)
{
	return c == '_' || isalpha((unsigned char)c) ||
	       (!first && (isdigit((unsigned char)c) || c == '.' || c == '-'));
}

static void skip_blanks(struct reader *r)
{
	while (r->p < r->end && (*r->p == ' ' || *r->p == '\t'))
		r->p++;
}

static void skip_line(struct reader *r)
{
	while (r->p < r->end && *r->p != '\n')
		r->p++;
}

static struct dotenv_entry *add_entry(struct reader *r)
{
	if (r->out->n == r->room) {
		size_t room = r->room > 0 ? r->room * 2 : 32;
		struct dotenv_entry *grown = arena_alloc(r->arena, room * sizeof(*grown));
		if (r->out->n > 0)
			memcpy(grown, r->out->entries, r->out->n * sizeof(*grown));
		r->out->entries = grown;
		r->room = room;
	}
	struct dotenv_entry *e = &r->out->entries[r->out->n++];
	*e = (struct dotenv_entry){.line = r->line};
	return e;
}

static const char *value_of(const struct reader *r, const char *name)
{
	const char *v = r->lookup ? r->lookup(r->ctx, name) : NULL;

	if (!v) {
		const struct dotenv_entry *e = dotenv_find(r->out, name);
		v = e ? e->value : NULL;
	}
	return v;
}

/* "${NAME}" or "${NAME:-otherwise}" at p; false when it is neither. */
static bool expand(struct reader *r, struct buf *out)
{
	const char *name = r->p + 2;
	const char *close = memchr(name, '}', (size_t)(r->end - name));
	const char *q = name;

	if (!close || memchr(name, '\n', (size_t)(close - name)))
		return false;
	while (q < close && is_key_char(*q, q == name))
		q++;
	bool has_otherwise = q + 1 < close && q[0] == ':' && q[1] == '-';
	if (q == name || (q != close && !has_otherwise))
		return false;
	const char *v = value_of(r, arena_strndup(r->arena, name, (size_t)(q - name)));
	if (v && v[0] != '\0')
		buf_puts(out, v);
	else if (has_otherwise)
		buf_put(out, q + 2, (size_t)(close - q - 2));
	r->p = close + 1;
	return true;
}

static bool at_expansion(const struct reader *r)
{
	return r->end - r->p >= 3 && r->p[0] == '$' && r->p[1] == '{';
}

static char unescape(char c)
{
	switch (c) {
	case 'n':
		return '\n';
	case 'r':
		return '\r';
	case 't':
		return '\t';
	case '"':
	case '\\':
	case '$':
		return c;
	default:
		return '\0';
	}
}

/* Takes the text between quotes; p is behind the opening one. False when there is no closing one. */
static bool quoted(struct reader *r, char quote, struct buf *out)
{
	while (r->p < r->end && *r->p != quote) {
		char c = *r->p;
		if (quote == '"' && c == '\\' && r->end - r->p > 1 && unescape(r->p[1]) != '\0') {
			buf_putc(out, unescape(r->p[1]));
			r->p += 2;
			continue;
		}
		if (quote == '"' && at_expansion(r) && expand(r, out))
			continue;
		if (c == '\r' && r->end - r->p > 1 && r->p[1] == '\n') {
			r->p++;
			continue;
		}
		r->line += c == '\n';
		buf_putc(out, c);
		r->p++;
	}
	if (r->p == r->end)
		return false;
	r->p++;
	return true;
}

static void unquoted(struct reader *r, struct buf *out)
{
	size_t keep = 0; /* length up to the last character that is no blank */

	while (r->p < r->end && *r->p != '\n') {
		char c = *r->p;
		if (c == '#' && (out->len == 0 || keep < out->len))
			break;
		if (at_expansion(r) && expand(r, out)) {
			keep = out->len;
			continue;
		}
		buf_putc(out, c);
		if (c != ' ' && c != '\t' && c != '\r')
			keep = out->len;
		r->p++;
	}
	out->len = keep;
}

static void value(struct reader *r, struct dotenv_entry *e)
{
	struct reader before;
	struct buf out;
	size_t index = (size_t)(e - r->out->entries);

	buf_init(&out, 0);
	skip_blanks(r);
	before = *r;
	char c = r->p < r->end ? *r->p : '\0';
	if (c == '"' || c == '\'' || c == '`') {
		r->p++;
		if (!quoted(r, c, &out)) {
			*r = before;
			skip_line(r);
			r->out->entries[index].wrong = "the quote is not closed";
		} else {
			skip_blanks(r);
			if (r->p < r->end && *r->p != '\n' && *r->p != '\r' && *r->p != '#')
				r->out->entries[index].wrong = "there is text after the closing quote";
		}
	} else {
		unquoted(r, &out);
	}
	if (memchr(out.data ? (char *)out.data : "", '\0', out.len))
		r->out->entries[index].wrong = "there is a NUL in it";
	r->out->entries[index].value = arena_strdup(r->arena, buf_cstr(&out));
	buf_free(&out);
}

static void skip_export(struct reader *r)
{
	if (r->end - r->p > 7 && memcmp(r->p, "export", 6) == 0 && (r->p[6] == ' ' || r->p[6] == '\t')) {
		r->p += 6;
		skip_blanks(r);
	}
}

static void one_line(struct reader *r)
{
	skip_blanks(r);
	if (r->p == r->end || *r->p == '#' || *r->p == '\n' || *r->p == '\r')
		return;
	skip_export(r);
	const char *key = r->p;
	while (r->p < r->end && is_key_char(*r->p, r->p == key))
		r->p++;
	size_t len = (size_t)(r->p - key);
	skip_blanks(r);
	struct dotenv_entry *e = add_entry(r);
	if (len == 0 || r->p == r->end || *r->p != '=') {
		e->wrong = "it is no KEY=value";
		return;
	}
	r->p++;
	const char *name = arena_strndup(r->arena, key, len);
	value(r, e); /* before the key is set: ${KEY} in its own value means an earlier line */
	r->out->entries[r->out->n - 1].key = name;
}

void dotenv_parse(struct arena *a, const char *text, size_t len, dotenv_lookup *lookup, void *ctx, struct dotenv *out)
{
	struct reader r = {
		.arena = a, .p = text, .end = text + len, .line = 1, .lookup = lookup, .ctx = ctx, .out = out};

	*out = (struct dotenv){0};
	if (len >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0)
		r.p += 3;
	while (r.p < r.end) {
		one_line(&r);
		skip_line(&r);
		if (r.p < r.end)
			r.p++;
		r.line++;
	}
}

const struct dotenv_entry *dotenv_find(const struct dotenv *d, const char *key)
{
	for (size_t i = d->n; i > 0; i--)
		if (d->entries[i - 1].key && strcmp(d->entries[i - 1].key, key) == 0)
			return &d->entries[i - 1];
	return NULL;
}

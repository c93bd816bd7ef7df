/* key_json.c - the normal form of jsonb keys: the JSON text with the keys of objects in order, numbers without
 * exponents' and zeros' choices, nothing between the tokens. It is still JSON text, so that rows can be asked for by
 * it.
 */
#include <stdlib.h>

#include "extjson.h"
#include "json_tree.h"
#include "key.h"

struct writer {
	struct judge *j;
	struct buf *out;
};

static void put_string(struct writer *w, const char *s, size_t n)
{
	buf_putc(w->out, '"');
	for (size_t i = 0; i < n; i++) {
		if ((unsigned char)s[i] < 0x20) {
			buf_printf(w->out, "\\u%04x", (unsigned)(unsigned char)s[i]);
			continue;
		}
		if (s[i] == '"' || s[i] == '\\')
			buf_putc(w->out, '\\');
		buf_putc(w->out, s[i]);
	}
	buf_putc(w->out, '"');
}

static bool put_number(struct writer *w, const struct json *v)
{
	struct number x;

	if (!number_parse(v->text, v->n, &w->j->key, &x))
		return false;
	number_trim(&x);
	if (x.n == 0)
		buf_putc(w->out, '0'); /* jsonb has no -0 */
	else
		buf_printf(w->out, "%s%.*se%lld", x.negative ? "-" : "", (int)x.n, x.digits, (long long)x.exponent);
	return true;
}

static int by_key(const void *a, const void *b)
{
	const struct json *x = *(const struct json *const *)a, *y = *(const struct json *const *)b;
	size_t n = x->key_len < y->key_len ? x->key_len : y->key_len;
	int c = memcmp(x->key, y->key, n);

	return c != 0 ? c : (x->key_len > y->key_len) - (x->key_len < y->key_len);
}

static bool put_tree(struct writer *w, const struct json *v);

static bool put_members(struct writer *w, const struct json *v)
{
	const struct json **list = arena_alloc(w->j->arena, (v->count + 1) * sizeof *list);
	size_t n = 0;

	for (const struct json *m = v->first; m != NULL; m = m->next)
		list[n++] = m;
	if (v->kind == JSON_OBJECT)
		qsort(list, n, sizeof *list, by_key);
	buf_putc(w->out, v->kind == JSON_OBJECT ? '{' : '[');
	for (size_t i = 0; i < n; i++) {
		if (i > 0)
			buf_putc(w->out, ',');
		if (v->kind == JSON_OBJECT) {
			put_string(w, list[i]->key, list[i]->key_len);
			buf_putc(w->out, ':');
		}
		if (!put_tree(w, list[i]))
			return false;
	}
	buf_putc(w->out, v->kind == JSON_OBJECT ? '}' : ']');
	return true;
}

static bool put_tree(struct writer *w, const struct json *v)
{
	switch (v->kind) {
	case JSON_OBJECT:
	case JSON_ARRAY:
		return put_members(w, v);
	case JSON_STRING:
		put_string(w, v->text, v->n);
		return true;
	case JSON_NUMBER:
		return put_number(w, v);
	default:
		buf_puts(w->out, v->kind == JSON_NULL ? "null" : v->kind == JSON_TRUE ? "true" : "false");
		return true;
	}
}

bool key_json_of_text(struct judge *j, const char *text, size_t n, struct buf *out)
{
	struct writer w = {j, out};
	const struct json *v = json_read(j->arena, text, n, false);

	return v != NULL && put_tree(&w, v);
}

bool key_json_of_val(struct judge *j, const struct spec *s, const struct val *v, struct buf *out)
{
	static const enum extjson_mode modes[] = {[MAP_JSON_RELAXED] = EXTJSON_RELAXED,
						  [MAP_JSON_CANONICAL] = EXTJSON_CANONICAL,
						  [MAP_JSON_PLAIN] = EXTJSON_PLAIN};
	struct extjson_opts o = {.mode = modes[s->json]};
	struct extjson_info info = {0};
	_cleanup_(buf_free) struct buf json = {0};

	return extjson_write(&json, v, &o, &info) == FAULT_OK &&
	       key_json_of_text(j, (const char *)json.data, json.len, out);
}

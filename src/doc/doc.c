/* doc.c - what doc.h does not do inline: payloads of variable size, the whole-tree check, views on odd types.
 *
 * Every length is compared with what is left before it is used; sizes are signed 32-bit little-endian in BSON, and
 * this program runs on little-endian machines only.
 */
#include "doc.h"

#include <stdlib.h>

#include "mem.h"

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "BSON values are read in place: a little-endian machine is needed"
#endif

/* Types that are not listed get BSON_SIZE_BAD from the ranges around them; 0x00 ends a document and is no type. */
const int8_t bson_payload_size[256] = {
	[0x00] = BSON_SIZE_BAD,
	[BSON_K_DOUBLE] = 8,
	[BSON_K_STRING] = BSON_SIZE_VAR,
	[BSON_K_DOCUMENT] = BSON_SIZE_VAR,
	[BSON_K_ARRAY] = BSON_SIZE_VAR,
	[BSON_K_BINARY] = BSON_SIZE_VAR,
	[BSON_K_UNDEFINED] = 0,
	[BSON_K_OBJECTID] = 12,
	[BSON_K_BOOL] = BSON_SIZE_VAR,
	[BSON_K_DATE] = 8,
	[BSON_K_NULL] = 0,
	[BSON_K_REGEX] = BSON_SIZE_VAR,
	[BSON_K_DBPOINTER] = BSON_SIZE_VAR,
	[BSON_K_CODE] = BSON_SIZE_VAR,
	[BSON_K_SYMBOL] = BSON_SIZE_VAR,
	[BSON_K_CODEWSCOPE] = BSON_SIZE_VAR,
	[BSON_K_INT32] = 4,
	[BSON_K_TIMESTAMP] = 8,
	[BSON_K_INT64] = 8,
	[BSON_K_DECIMAL128] = 16,
	[0x14 ... 0x7e] = BSON_SIZE_BAD,
	[BSON_K_MAXKEY] = 0,
	[0x80 ... 0xfe] = BSON_SIZE_BAD,
	[BSON_K_MINKEY] = 0,
};

static int32_t load_i32(const uint8_t *p)
{
	int32_t x;

	memcpy(&x, p, 4);
	return x;
}

/* String at p: length (with NUL), bytes, NUL. Total size, or 0. */
static size_t string_size(const uint8_t *p, size_t left)
{
	int32_t n;

	if (left < 5)
		return 0;
	n = load_i32(p);
	if (n < 1 || (size_t)n > left - 4 || p[4 + (size_t)n - 1] != 0)
		return 0;
	return 4 + (size_t)n;
}

static size_t document_size(const uint8_t *p, size_t left)
{
	int32_t n;

	if (left < 5)
		return 0;
	n = load_i32(p);
	return n >= 5 && (size_t)n <= left && p[(size_t)n - 1] == 0 ? (size_t)n : 0;
}

static size_t binary_size(const uint8_t *p, size_t left)
{
	int32_t n;

	if (left < 5)
		return 0;
	n = load_i32(p);
	return n >= 0 && (size_t)n <= left - 5 ? 5 + (size_t)n : 0;
}

static size_t regex_size(const uint8_t *p, size_t left)
{
	const uint8_t *a = memchr(p, 0, left), *b;

	if (!a)
		return 0;
	b = memchr(a + 1, 0, left - (size_t)(a + 1 - p));
	return b ? (size_t)(b + 1 - p) : 0;
}

static size_t dbpointer_size(const uint8_t *p, size_t left)
{
	size_t n = string_size(p, left);

	return n > 0 && left - n >= 12 ? n + 12 : 0;
}

/* Total length, code, scope: the parts must fill the whole. */
static size_t codewscope_size(const uint8_t *p, size_t left)
{
	size_t total, code, scope;
	int32_t n;

	if (left < 14)
		return 0;
	n = load_i32(p);
	if (n < 14 || (size_t)n > left)
		return 0;
	total = (size_t)n;
	code = string_size(p + 4, total - 4);
	if (code == 0)
		return 0;
	scope = document_size(p + 4 + code, total - 4 - code);
	return scope > 0 && 4 + code + scope == total ? total : 0;
}

static size_t bool_size(const uint8_t *p, size_t left)
{
	return left >= 1 && *p <= 1 ? 1 : 0;
}

bool doc_payload_var(uint8_t kind, const uint8_t *p, const uint8_t *end, uint32_t *len)
{
	static size_t (*const sizes[])(const uint8_t *, size_t) = {
		[BSON_K_STRING] = string_size,       [BSON_K_DOCUMENT] = document_size,
		[BSON_K_ARRAY] = document_size,      [BSON_K_BINARY] = binary_size,
		[BSON_K_BOOL] = bool_size,           [BSON_K_REGEX] = regex_size,
		[BSON_K_DBPOINTER] = dbpointer_size, [BSON_K_CODE] = string_size,
		[BSON_K_SYMBOL] = string_size,       [BSON_K_CODEWSCOPE] = codewscope_size,
	};
	size_t left = (size_t)(end - p), n;

	if (kind == BSON_K_STRING) /* by far the most common */
		n = string_size(p, left);
	else if (kind >= sizeof sizes / sizeof sizes[0] || !sizes[kind])
		return false;
	else
		n = sizes[kind](p, left);
	*len = (uint32_t)n;
	return n > 0;
}

bool doc_iter_init(struct doc_iter *it, const uint8_t *doc, size_t len)
{
	size_t n = document_size(doc, len);

	if (n == 0) {
		*it = (struct doc_iter){.p = doc, .end = doc, .corrupt = true};
		return false;
	}
	*it = (struct doc_iter){.p = doc + 4, .end = doc + n - 1};
	return true;
}

bool doc_find(const uint8_t *doc, size_t len, const char *key, struct val *out)
{
	size_t key_len = strlen(key);
	struct doc_iter it;
	struct field f;

	if (doc_iter_init(&it, doc, len)) {
		while (doc_iter_next(&it, &f)) {
			if (f.key_len == key_len && memcmp(f.key, key, key_len) == 0) {
				*out = f.val;
				return true;
			}
		}
	}
	*out = (struct val){0};
	return false;
}

/* Ends of the documents around the current one; the first levels need no memory. */
struct ends {
	const uint8_t *fixed[128], **more;
	size_t n, cap;
};

static void push_end(struct ends *s, const uint8_t *end)
{
	size_t fixed = sizeof s->fixed / sizeof s->fixed[0];

	if (s->n < fixed) {
		s->fixed[s->n++] = end;
		return;
	}
	if (s->n - fixed == s->cap) {
		s->cap = s->cap ? s->cap * 2 : 256;
		s->more = mem_realloc(s->more, s->cap * sizeof *s->more);
	}
	s->more[s->n++ - fixed] = end;
}

static const uint8_t *pop_end(struct ends *s)
{
	size_t fixed = sizeof s->fixed / sizeof s->fixed[0];

	s->n--;
	return s->n < fixed ? s->fixed[s->n] : s->more[s->n - fixed];
}

/* The document inside a value, if it has one. */
static bool inner_document(const struct val *v, struct val *inner)
{
	size_t len;

	if (v->kind == BSON_K_DOCUMENT || v->kind == BSON_K_ARRAY)
		*inner = *v;
	else if (v->kind == BSON_K_CODEWSCOPE)
		val_codewscope(v, &len, inner);
	else
		return false;
	return true;
}

bool doc_is_wellformed(const uint8_t *doc, size_t len)
{
	struct ends stack = {.n = 0};
	struct val inner;
	struct doc_iter it;
	struct field f;

	if (!doc_iter_init(&it, doc, len))
		return false;
	for (;;) {
		if (doc_iter_next(&it, &f)) {
			if (inner_document(&f.val, &inner)) {
				push_end(&stack, it.end);
				it.p = inner.data + 4;
				it.end = inner.data + inner.len - 1;
			}
			continue;
		}
		if (it.corrupt || stack.n == 0)
			break;
		/* Going on behind the inner document's final NUL; so nothing but the end must be kept. */
		it.p = it.end + 1;
		it.end = pop_end(&stack);
	}
	free(stack.more);
	return !it.corrupt;
}

const uint8_t *val_binary(const struct val *v, uint8_t *subtype, size_t *len)
{
	const uint8_t *bytes = v->data + 5;
	size_t n = v->len - 5;

	*subtype = v->data[4];
	*len = n;
	/* The old subtype repeats the length. Where it does not, all bytes are handed out, so nothing gets lost. */
	if (*subtype == 2 && n >= 4 && load_i32(bytes) >= 0 && (size_t)load_i32(bytes) == n - 4) {
		*len = n - 4;
		return bytes + 4;
	}
	return bytes;
}

void val_regex(const struct val *v, const char **pattern, size_t *pattern_len, const char **options,
	       size_t *options_len)
{
	*pattern = (const char *)v->data;
	*pattern_len = strlen(*pattern);
	*options = *pattern + *pattern_len + 1;
	*options_len = strlen(*options);
}

const char *val_dbpointer(const struct val *v, size_t *len, const uint8_t **oid)
{
	*len = v->len - 12 - 5;
	*oid = v->data + v->len - 12;
	return (const char *)v->data + 4;
}

const char *val_codewscope(const struct val *v, size_t *len, struct val *scope)
{
	size_t code = (size_t)load_i32(v->data + 4);

	*len = code - 1;
	scope->kind = BSON_K_DOCUMENT;
	scope->data = v->data + 8 + code;
	scope->len = v->len - (uint32_t)(8 + code);
	return (const char *)v->data + 8;
}

const char *bson_kind_name(uint8_t kind)
{
	static const char *const names[] = {
		[BSON_K_EOD] = "missing",         [BSON_K_DOUBLE] = "double",
		[BSON_K_STRING] = "string",       [BSON_K_DOCUMENT] = "object",
		[BSON_K_ARRAY] = "array",         [BSON_K_BINARY] = "binData",
		[BSON_K_UNDEFINED] = "undefined", [BSON_K_OBJECTID] = "objectId",
		[BSON_K_BOOL] = "bool",           [BSON_K_DATE] = "date",
		[BSON_K_NULL] = "null",           [BSON_K_REGEX] = "regex",
		[BSON_K_DBPOINTER] = "dbPointer", [BSON_K_CODE] = "javascript",
		[BSON_K_SYMBOL] = "symbol",       [BSON_K_CODEWSCOPE] = "javascriptWithScope",
		[BSON_K_INT32] = "int",           [BSON_K_TIMESTAMP] = "timestamp",
		[BSON_K_INT64] = "long",          [BSON_K_DECIMAL128] = "decimal",
	};

	if (kind < sizeof names / sizeof names[0])
		return names[kind];
	return kind == BSON_K_MINKEY ? "minKey" : kind == BSON_K_MAXKEY ? "maxKey" : "unknown";
}

size_t doc_wrap(const char *key, const struct val *v, uint8_t *out)
{
	size_t key_len = strlen(key), n = doc_wrap_size(key, v);
	int32_t size = (int32_t)n;

	memcpy(out, &size, 4);
	out[4] = v->kind;
	memcpy(out + 5, key, key_len + 1);
	if (v->len > 0)
		memcpy(out + 5 + key_len + 1, v->data, v->len);
	out[n - 1] = 0;
	return n;
}

/* literal.c - literals of if_missing, if_null and if_invalid: text to a field of the column's type, once.
 *
 * A literal is read by the same functions as a BSON string that the column accepts in every spelling; what has no
 * such spelling (json, bytea, arrays) is read here.
 */
#include <stdio.h>

#include "convert_private.h"
#include "text.h"

/* --- one literal --- */

static bool put_scalar(struct conv *c, struct column *col, const char *text, size_t n);

static bool put_bytea_literal(struct conv *c, struct column *col, const char *text, size_t n)
{
	if (n < 2 || text[0] != '\\' || text[1] != 'x' || n % 2 != 0)
		return false;
	uint8_t *bytes = arena_alloc(c->arena, n);
	if (!text_unhex(text + 2, n - 2, bytes))
		return false;
	rowbuf_put_bytes(col->rows, bytes, n / 2 - 1);
	return true;
}

static bool put_json_literal(struct column *col, const char *text, size_t n)
{
	if (!map_json_ok(text, n))
		return false;
	if (col->type.base == PGT_JSONB)
		rowbuf_put_jsonb(col->rows, text, n);
	else
		rowbuf_put_bytes(col->rows, text, n);
	return true;
}

/* Element at p up to a comma or the closing brace, quotes and backslashes taken off, into out. *is_null: NULL without
 * quotes. Returns what comes after it, NULL on an error. */
static const char *read_element(const char *p, struct buf *out, bool *is_null)
{
	bool quoted = *p == '"';
	buf_reset(out);
	for (p += quoted; *p != '\0' && (quoted ? *p != '"' : strchr(",{}\"", *p) == NULL); p++) {
		if (*p == '\\' && *++p == '\0')
			return NULL;
		buf_putc(out, *p);
	}
	if (quoted && *p++ != '"')
		return NULL;
	*is_null = !quoted && strcasecmp(buf_cstr(out), "null") == 0;
	return (*p == ',' || *p == '}') && (quoted || out->len > 0) ? p : NULL;
}

/* An array literal is walked twice: to measure it, then to write its elements. */
struct array_text {
	struct conv *c;
	struct column *e; /* NULL: measuring */
	const char *p;
	struct buf element;
	int ndims;
	int32_t dims[PGTYPE_MAX_DIMS]; /* -1: not met yet */
	bool has_null;
};

static bool take_element(struct array_text *t)
{
	bool is_null;
	t->p = read_element(t->p, &t->element, &is_null);
	if (t->p == NULL)
		return false;
	t->has_null |= is_null;
	if (t->e == NULL)
		return true;
	if (!is_null)
		return put_scalar(t->c, t->e, buf_cstr(&t->element), t->element.len);
	rowbuf_put_null(t->e->rows);
	return !t->e->type.domain_not_null;
}

/* "{…}" of one dimension; all of one dimension must have one length. Recursion is as deep as the type has dimensions.
 */
static bool take_dimension(struct array_text *t, int depth)
{
	int32_t n = 0;
	if (*t->p++ != '{')
		return false;
	for (char end = *t->p == '}' ? *t->p++ : ','; end != '}'; n++) {
		if (!(depth + 1 < t->ndims ? take_dimension(t, depth + 1) : take_element(t)))
			return false;
		end = *t->p++;
		if (end != ',' && end != '}')
			return false;
	}
	if (t->dims[depth] < 0)
		t->dims[depth] = n;
	return t->dims[depth] == n && (n > 0 || depth == 0);
}

static bool put_measured(struct array_text *t, struct column *col, const char *text)
{
	if (!take_dimension(t, 0) || *t->p != '\0')
		return false;
	size_t mark =
		rowbuf_open_array_n(col->rows, col->type.oid, t->dims[0] == 0 ? 0 : t->ndims, t->dims, t->has_null);
	t->p = text;
	t->e = col->element;
	if (!take_dimension(t, 0))
		return false;
	rowbuf_close_array(col->rows, mark);
	return true;
}

static bool put_array_literal(struct conv *c, struct column *col, const char *text)
{
	struct array_text t = {.c = c,
			       .p = text,
			       .ndims = col->type.dims > 0 ? col->type.dims : 1,
			       .dims = {-1, -1, -1, -1, -1, -1}};
	buf_init(&t.element, 0);
	bool ok = put_measured(&t, col, text);
	buf_free(&t.element);
	return ok;
}

/* "[1,2.5,3]", as pgvector writes it, by way of an array of doubles. */
static bool put_vector_literal(struct conv *c, struct column *col, const char *text)
{
	struct buf array;
	char key[24];
	const char *p = text;
	bool ok = *p == '[';
	buf_init(&array, 0);
	buf_put(&array, "\0\0\0\0", 4);
	for (int i = 0; ok && (*p == ',' || i == 0); i++) {
		double d;
		size_t n = strcspn(++p, ",]");
		ok = text_parse_double(p, n, &d);
		buf_putc(&array, BSON_K_DOUBLE);
		buf_put(&array, key, (size_t)snprintf(key, sizeof key, "%d", i) + 1);
		buf_put(&array, &d, 8);
		p += n;
	}
	close_document(&array, 0);
	struct val v = {.data = array.data, .len = (uint32_t)array.len, .kind = BSON_K_ARRAY};
	ok = ok && strcmp(p, "]") == 0 && put_vector(c, col, &v) == FAULT_OK;
	buf_free(&array);
	return ok;
}

static bool put_scalar(struct conv *c, struct column *col, const char *text, size_t n)
{
	if (col->type.base == PGT_VECTOR)
		return put_vector_literal(c, col, text);
	if (col->type.base == PGT_JSON || col->type.base == PGT_JSONB)
		return put_json_literal(col, text, n);
	if (col->type.base == PGT_BYTEA)
		return put_bytea_literal(c, col, text, n);
	uint8_t *bytes = arena_alloc(c->arena, n + 5);
	uint32_t len = (uint32_t)n + 1;
	memcpy(bytes, &len, 4);
	memcpy(bytes + 4, text, n);
	struct val v = {.data = bytes, .len = (uint32_t)n + 5, .kind = BSON_K_STRING};
	return col->put[BSON_K_STRING](c, col, &v) == FAULT_OK;
}

static void take_every_spelling(struct column *col)
{
	col->accept |= MAP_ACCEPT_HEX_ID | MAP_ACCEPT_UUID_STRING | MAP_ACCEPT_ISO_STRING |
		       MAP_ACCEPT_NUMERIC_STRING | MAP_ACCEPT_BOOL_STRING;
	/* A text that happens to have 24 hex digits stays as it is written. */
	if (col->type.base != PGT_UUID)
		col->accept &= ~(unsigned)MAP_ACCEPT_HEX_ID;
	col->accept &= ~(unsigned)MAP_ACCEPT_ANY_ID;
	col->encoding = MAP_ENCODING_REJECT;
	col->bson = 0;
}

const uint8_t *literal_field(struct conv *c, const struct column *col, const char *text, size_t *len)
{
	struct column copy = *col, element;
	size_t from = c->scratch.buf.len;
	copy.rows = &c->scratch;
	copy.is_id = false;
	take_every_spelling(&copy);
	if (col->type.array) {
		element = *col->element;
		element.rows = &c->scratch;
		take_every_spelling(&element);
		copy.element = &element;
	}
	resolve_put(&copy);
	bool ok = copy.type.array ? put_array_literal(c, &copy, text) : put_scalar(c, &copy, text, strlen(text));
	counts_drop(c);
	c->where.note[0] = '\0';
	const uint8_t *field = NULL;
	if (ok && buf_ok(&c->scratch.buf)) {
		*len = c->scratch.buf.len - from;
		field = arena_memdup(c->arena, c->scratch.buf.data + from, *len);
	}
	c->scratch.buf.len = from;
	return field;
}

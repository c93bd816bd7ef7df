/* leftover.c - fields that no column takes, gathered as one document: what `unmapped: keep` promises to keep, and
 * what `unmapped: reject` refuses.
 */
#include "validate_private.h"

#include <stdio.h>

struct known { /* a path that the mapping names */
	const char *key;
	bool taken; /* a column takes the value, whatever is in it */
	struct known *children, *next;
};

static struct known *child_of(struct arena *a, struct known *k, const char *key)
{
	struct known *c = k->children;

	for (; c != NULL; c = c->next)
		if (strcmp(c->key, key) == 0)
			return c;
	c = arena_alloc(a, sizeof *c);
	*c = (struct known){.key = key, .next = k->children};
	k->children = c;
	return c;
}

static void name(struct arena *a, struct known *root, const char *const *path, size_t n, bool taken)
{
	struct known *k = root;

	for (size_t i = 0; i < n; i++)
		k = child_of(a, k, path[i]);
	k->taken = k->taken || taken;
}

static void name_policy(struct arena *a, struct known *root, const struct map_value *v)
{
	for (; v != NULL; v = v->otherwise)
		if (v->kind == MAP_VALUE_PATH)
			name(a, root, v->path, v->npath, true);
}

void leftover_prepare(struct arena *a, const struct feed *f, struct feed_table *t)
{
	static const char *const id[] = {"_id"};
	struct known *root = arena_alloc(a, sizeof *root);

	if (t == &f->main)
		name(a, root, id, 1, true);
	for (size_t i = 0; i < t->ncolumns; i++) {
		const struct map_column *m = t->columns[i].map;
		if (m == NULL || t->columns[i].feed == PLAN_FEED_VALUE)
			continue; /* a constant takes no field */
		name(a, root, m->from, m->nfrom, true);
		name_policy(a, root, &m->if_missing);
		name_policy(a, root, &m->if_null);
		name_policy(a, root, &m->if_invalid);
	}
	for (size_t i = 0; i < t->nchildren; i++)
		name(a, root, t->children[i].path, t->children[i].npath, false);
	for (size_t i = 0; t == &f->main && i < f->npairs; i++)
		name(a, root, f->pairs[i].path, f->pairs[i].npath, false);
	t->known = root;
}

/* --- gathering --- */

static const struct known *find(const struct known *k, const char *key)
{
	for (k = k->children; k != NULL; k = k->next)
		if (strcmp(k->key, key) == 0)
			return k;
	return NULL;
}

static size_t begin_document(struct buf *out)
{
	static const uint8_t length[4];
	size_t at = out->len;

	buf_put(out, length, 4);
	return at;
}

static void end_document(struct buf *out, size_t at)
{
	buf_putc(out, 0);
	uint32_t n = (uint32_t)(out->len - at);
	memcpy(out->data + at, &n, 4);
}

static void gather(const struct known *k, const struct val *v, struct buf *out);

/* A list is kept as a document of its positions, where paths name some of them. */
static bool is_looked_into(const struct known *k, const struct val *v)
{
	if (v->kind == BSON_K_DOCUMENT)
		return k->children != NULL;
	if (v->kind != BSON_K_ARRAY)
		return false;
	for (const struct known *c = k->children; c != NULL; c = c->next)
		if (c->key[0] != '\0' && strspn(c->key, "0123456789") == strlen(c->key))
			return true;
	return false;
}

static void gather_field(const struct known *k, const char *key, const struct val *v, struct buf *out)
{
	const struct known *c = find(k, key);
	size_t from = out->len, at;

	if (c != NULL && (c->taken || !is_looked_into(c, v)))
		return;
	buf_putc(out, (char)(c == NULL ? v->kind : BSON_K_DOCUMENT));
	buf_put(out, key, strlen(key) + 1);
	if (c == NULL) {
		buf_put(out, v->data, v->len);
		return;
	}
	at = begin_document(out);
	gather(c, v, out);
	if (out->len == at + 4)
		out->len = from; /* nothing is left inside */
	else
		end_document(out, at);
}

static void gather(const struct known *k, const struct val *v, struct buf *out)
{
	struct doc_iter it;
	struct field f;
	char position[24];

	if (!doc_iter_val(&it, v))
		return;
	for (unsigned long i = 0; doc_iter_next(&it, &f); i++) {
		snprintf(position, sizeof position, "%lu", i);
		gather_field(k, v->kind == BSON_K_ARRAY ? position : f.key, &f.val, out);
	}
}

bool leftover_of(const struct feed_table *t, const struct val *v, struct buf *out, struct val *rest)
{
	size_t at;

	buf_reset(out);
	if (v->kind != BSON_K_DOCUMENT || t->known->taken)
		return false;
	at = begin_document(out);
	gather(t->known, v, out);
	if (out->len == at + 4)
		return false;
	end_document(out, at);
	*rest = (struct val){.data = out->data, .len = (uint32_t)out->len, .kind = BSON_K_DOCUMENT};
	return true;
}

/* index_spec.c - the document that describes an index of MongoDB, read. Unknown members are left aside. */
#include "index_private.h"
#include "text.h"

static const char *text_of(struct arena *a, const struct val *v)
{
	size_t n;
	const char *s = val_text(v, &n);
	return arena_strndup(a, s, n);
}

static double number_of(const struct val *v)
{
	return v->kind == BSON_K_INT32    ? val_i32(v)
	       : v->kind == BSON_K_INT64  ? (double)val_i64(v)
	       : v->kind == BSON_K_DOUBLE ? val_double(v)
					  : 0;
}

static bool is_true(const struct val *v)
{
	return v->kind == BSON_K_BOOL ? val_bool(v) : number_of(v) != 0;
}

static enum index_how how_of(const char *word)
{
	static const struct {
		const char *word;
		enum index_how how;
	} words[] = {{"hashed", HOW_HASHED},
		     {"text", HOW_TEXT},
		     {"2d", HOW_2D},
		     {"2dsphere", HOW_2DSPHERE},
		     {"geoHaystack", HOW_2D}};
	for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
		if (strcmp(words[i].word, word) == 0)
			return words[i].how;
	return HOW_OTHER;
}

static void read_key(struct index_spec *s, struct arena *a, const struct field *f)
{
	struct index_key *k = &s->keys[s->nkeys++];
	size_t n = f->key_len;
	k->path = arena_strndup(a, f->key, n);
	if (f->val.kind == BSON_K_STRING) {
		k->how_text = text_of(a, &f->val);
		k->how = how_of(k->how_text);
	} else {
		k->how = number_of(&f->val) < 0 ? HOW_DESC : HOW_ASC;
		k->how_text = k->how == HOW_DESC ? "-1" : "1";
	}
	k->wildcard = n >= 3 && strcmp(k->path + n - 3, "$**") == 0;
}

static void read_keys(struct index_spec *s, struct arena *a, const struct val *v)
{
	struct doc_iter it;
	struct field f;
	if (v->kind != BSON_K_DOCUMENT || !doc_iter_val(&it, v))
		return;
	while (s->nkeys < INDEX_MAX_KEYS && doc_iter_next(&it, &f))
		read_key(s, a, &f);
}

static void read_weights(struct index_spec *s, struct arena *a, const struct val *v)
{
	struct doc_iter it;
	struct field f;
	size_t n = 0;
	if (v->kind != BSON_K_DOCUMENT || !doc_iter_val(&it, v))
		return;
	while (doc_iter_next(&it, &f))
		n++;
	s->weights = arena_alloc(a, (n + 1) * sizeof *s->weights);
	(void)doc_iter_val(&it, v);
	while (doc_iter_next(&it, &f))
		s->weights[s->nweights++] =
			(struct index_weight){arena_strndup(a, f.key, f.key_len), number_of(&f.val)};
}

static void read_collation(struct index_spec *s, struct arena *a, const struct val *v)
{
	struct val x;
	if (v->kind != BSON_K_DOCUMENT || !doc_find(v->data, v->len, "locale", &x) || x.kind != BSON_K_STRING)
		return;
	const char *locale = text_of(a, &x);
	if (strcmp(locale, "simple") == 0)
		return;
	s->locale = locale;
	s->strength = doc_find(v->data, v->len, "strength", &x) ? (int)number_of(&x) : 3;
	s->case_level = doc_find(v->data, v->len, "caseLevel", &x) && is_true(&x);
}

static void read_member(struct index_spec *s, struct arena *a, const struct field *f)
{
	const struct {
		const char *key;
		bool *flag;
	} flags[] = {{"unique", &s->unique}, {"sparse", &s->sparse}, {"hidden", &s->hidden}};
	const struct val *v = &f->val;
	for (size_t i = 0; i < sizeof flags / sizeof flags[0]; i++)
		if (strcmp(f->key, flags[i].key) == 0)
			*flags[i].flag = is_true(v);
	if (strcmp(f->key, "name") == 0 && v->kind == BSON_K_STRING)
		s->name = text_of(a, v);
	else if (strcmp(f->key, "key") == 0)
		read_keys(s, a, v);
	else if (strcmp(f->key, "weights") == 0)
		read_weights(s, a, v);
	else if (strcmp(f->key, "collation") == 0)
		read_collation(s, a, v);
	else if (strcmp(f->key, "default_language") == 0 && v->kind == BSON_K_STRING)
		s->language = text_of(a, v);
	else if (strcmp(f->key, "expireAfterSeconds") == 0) {
		s->has_ttl = true;
		s->ttl = number_of(v);
	} else if (strcmp(f->key, "partialFilterExpression") == 0 && v->kind == BSON_K_DOCUMENT)
		s->filter = *v;
	else if (strcmp(f->key, "wildcardProjection") == 0)
		s->has_projection = true;
}

void index_spec_read(struct index_spec *s, struct arena *a, const uint8_t *doc, size_t len)
{
	struct doc_iter it;
	struct field f;
	*s = (struct index_spec){.name = "", .language = "english"};
	if (!doc_iter_init(&it, doc, len))
		return;
	while (doc_iter_next(&it, &f))
		read_member(s, a, &f);
}

static void put_words(struct buf *out, const char *text)
{
	buf_puts(out, out->len > 0 ? ", " : "");
	text_escape(out, text, strlen(text));
}

const char *index_spec_keys(struct arena *a, const struct index_spec *s)
{
	_cleanup_(buf_free) struct buf out = {0};
	for (size_t i = 0; i < s->nkeys; i++) {
		const struct index_key *k = &s->keys[i];
		bool is_text = k->how == HOW_TEXT;
		for (size_t w = 0; is_text && w < s->nweights; w++) {
			put_words(&out, s->weights[w].path);
			buf_puts(&out, ": text");
		}
		if (is_text || strcmp(k->path, "_ftsx") == 0)
			continue;
		put_words(&out, k->path);
		buf_printf(&out, ": %s", k->how_text);
	}
	return arena_strdup(a, buf_cstr(&out));
}

const char *index_spec_options(struct arena *a, const struct index_spec *s)
{
	_cleanup_(buf_free) struct buf out = {0};
	const struct {
		bool is;
		const char *word;
	} flags[] = {{s->unique, "unique"},
		     {s->sparse, "sparse"},
		     {s->filter.kind != 0, "partial"},
		     {s->hidden, "hidden"}};
	for (size_t i = 0; i < sizeof flags / sizeof flags[0]; i++)
		if (flags[i].is)
			put_words(&out, flags[i].word);
	if (s->has_ttl)
		put_words(&out, arena_printf(a, "expires after %.0f s", s->ttl));
	if (s->locale != NULL)
		put_words(&out, arena_printf(a, "collation %s, strength %d", s->locale, s->strength));
	return arena_strdup(a, buf_cstr(&out));
}

/* map_read.c - libyaml's document into struct mapping, by the tables of map_spec.c.
 *
 * One small reader for each kind of value. What cannot be read is complained about and left as it was (zero, or
 * PGT_COUNT for a type), so that reading goes on; later checks pass over such fields. Remembers where each field's
 * value stands.
 */
#include <stdlib.h>

#include "id.h"
#include "map_private.h"
#include "text.h"

struct reader {
	struct mapping *m;
	struct arena *arena;
	yaml_document_t *doc;
	struct complaints *c;
	size_t positions_cap;
};

static void read_object(struct reader *r, const yaml_node_t *n, const struct map_spec *spec, void *base);

static int line_of(const yaml_node_t *n)
{
	return (int)n->start_mark.line + 1;
}

static int col_of(const yaml_node_t *n)
{
	return (int)n->start_mark.column + 1;
}

static void complain_node(struct reader *r, const yaml_node_t *n, const char *text)
{
	complain(r->c, line_of(n), col_of(n), "%s", text);
}

static void remember(struct reader *r, const void *field, const yaml_node_t *n)
{
	struct mapping *m = r->m;
	if (m->npositions == r->positions_cap) {
		size_t cap = r->positions_cap == 0 ? 256 : r->positions_cap * 2;
		struct map_position *more = arena_alloc(r->arena, cap * sizeof *more);
		if (m->npositions > 0)
			memcpy(more, m->positions, m->npositions * sizeof *more);
		m->positions = more;
		r->positions_cap = cap;
	}
	m->positions[m->npositions++] = (struct map_position){field, line_of(n), col_of(n)};
}

static int by_field(const void *a, const void *b)
{
	uintptr_t x = (uintptr_t)((const struct map_position *)a)->field,
		  y = (uintptr_t)((const struct map_position *)b)->field;
	return x < y ? -1 : x > y;
}

/* ---- scalars ---- */

static const char *text_of(const yaml_node_t *n)
{
	return (const char *)n->data.scalar.value;
}

static bool is_plain(const yaml_node_t *n)
{
	return n->type == YAML_SCALAR_NODE && n->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
}

/* YAML's null: nothing, ~ or the bare word. */
static bool is_null(const yaml_node_t *n)
{
	static const char *const nulls[] = {"", "~", "null", "Null", "NULL"};
	if (!is_plain(n))
		return false;
	for (size_t i = 0; i < COUNT_OF(nulls); i++)
		if (strcmp(text_of(n), nulls[i]) == 0)
			return true;
	return false;
}

/* A scalar that is not null, or NULL with a complaint. */
static const char *need_text(struct reader *r, const yaml_node_t *n, const char *what)
{
	if (n->type != YAML_SCALAR_NODE) {
		complain(r->c, line_of(n), col_of(n), "\"%s\" takes a text, not a %s", what,
			 n->type == YAML_SEQUENCE_NODE ? "list" : "mapping");
		return NULL;
	}
	if (is_null(n)) {
		complain(r->c, line_of(n), col_of(n), "\"%s\" has no value", what);
		return NULL;
	}
	return arena_strndup(r->arena, text_of(n), n->data.scalar.length);
}

static bool need_type(struct reader *r, const yaml_node_t *n, const char *what, yaml_node_type_t type)
{
	if (n->type == type)
		return true;
	complain(r->c, line_of(n), col_of(n), "\"%s\" takes a %s", what,
		 type == YAML_SEQUENCE_NODE ? "list" : "mapping of keys and values");
	return false;
}

static size_t items_of(const yaml_node_t *n)
{
	return (size_t)(n->data.sequence.items.top - n->data.sequence.items.start);
}

static const yaml_node_t *item(struct reader *r, const yaml_node_t *n, size_t i)
{
	return yaml_document_get_node(r->doc, n->data.sequence.items.start[i]);
}

static void read_version(struct reader *r, const yaml_node_t *n, const struct map_key *k, void *field)
{
	const char *text = need_text(r, n, k->name);
	if (text != NULL && strcmp(text, "1") != 0)
		complain(r->c, line_of(n), col_of(n), "format %s is not known; this docrow reads format 1", text);
}

static void read_text(struct reader *r, const yaml_node_t *n, const struct map_key *k, void *field)
{
	*(const char **)field = need_text(r, n, k->name);
}

static const char *need_name(struct reader *r, const yaml_node_t *n, const char *what)
{
	const char *text = need_text(r, n, what);
	if (text == NULL || text[0] != '\0')
		return text;
	complain(r->c, line_of(n), col_of(n), "\"%s\" is empty", what);
	return NULL;
}

static void read_name(struct reader *r, const yaml_node_t *n, const struct map_key *k, void *field)
{
	*(const char **)field = need_name(r, n, k->name);
}

static void read_bool(struct reader *r, const yaml_node_t *n, const struct map_key *k, void *field)
{
	if (is_plain(n) && strcmp(text_of(n), "true") == 0)
		*(bool *)field = true;
	else if (is_plain(n) && strcmp(text_of(n), "false") == 0)
		*(bool *)field = false;
	else
		complain(r->c, line_of(n), col_of(n), "\"%s\" takes true or false", k->name);
}

/* 100 or 1.5% */
static bool parse_limit(const char *text, struct map_limit *limit)
{
	size_t n = strlen(text);
	int64_t v;
	if (n > 0 && text[n - 1] == '%')
		return text_parse_double(text, n - 1, &limit->percent) && limit->percent > 0 && limit->percent <= 100;
	if (!text_parse_i64(text, n, &v) || v < 0)
		return false;
	limit->n = (uint64_t)v;
	return true;
}

static void read_limit(struct reader *r, const yaml_node_t *n, const struct map_key *k, void *field)
{
	struct map_limit limit = {.is_given = true};
	const char *text = need_text(r, n, k->name);
	if (text == NULL)
		return;
	if (parse_limit(text, &limit))
		*(struct map_limit *)field = limit;
	else
		complain(r->c, line_of(n), col_of(n),
			 "\"%s\" takes a whole number from 0 up, or a share of the documents such as 1%%", k->name);
}

static void read_share(struct reader *r, const yaml_node_t *n, const struct map_key *k, void *field)
{
	const char *text = need_text(r, n, k->name);
	struct map_limit limit = {0};
	if (text == NULL)
		return;
	if (parse_limit(text, &limit) && limit.percent > 0)
		*(double *)field = limit.percent / 100;
	else
		complain(r->c, line_of(n), col_of(n), "\"%s\" takes a share above 0%% up to 100%%, such as 99%%",
			 k->name);
}

static void read_uuid(struct reader *r, const yaml_node_t *n, const struct map_key *k, void *field)
{
	const char *text = need_text(r, n, k->name);
	if (text != NULL && !id_uuid_parse(text, strlen(text), field))
		complain(r->c, line_of(n), col_of(n), "\"%s\" takes a UUID", k->name);
}

static void read_type(struct reader *r, const yaml_node_t *n, const struct map_key *k, void *field)
{
	struct pgtype *t = field;
	const char *text = need_name(r, n, k->name);
	if (text != NULL && pgtype_parse(r->arena, text, t))
		return;
	t->base = PGT_COUNT;
	if (text == NULL)
		return;
	/* { type: numeric(10,2) } is two entries to YAML. */
	bool cut = strchr(text, '(') != NULL && strchr(text, ')') == NULL;
	complain(r->c, line_of(n), col_of(n), "\"%s\" does not read as a type%s", text,
		 cut ? "; within { } a type with a comma needs quotes: \"numeric(10,2)\""
		     : map_instead_of(r->arena, text));
}

/* ---- words ---- */

static const char *word_hint(struct reader *r, const char *text, const struct map_words *words)
{
	const char *known[32];
	size_t n = words->n < COUNT_OF(known) ? words->n : COUNT_OF(known);
	for (size_t i = 0; i < n; i++)
		known[i] = words->list[i].word;
	return map_suggest(r->arena, text, known, n);
}

static const char *word_choice(struct reader *r, const struct map_words *words)
{
	struct buf out;
	buf_init(&out, 0);
	for (size_t i = 0; i < words->n; i++)
		buf_printf(&out, "%s%s", i == 0 ? "" : i + 1 == words->n ? " or " : ", ", words->list[i].word);
	const char *text = arena_strdup(r->arena, buf_cstr(&out));
	buf_free(&out);
	return text;
}

static bool find_word(struct reader *r, const yaml_node_t *n, const char *what, const struct map_words *words,
		      int *value)
{
	/* A bare null is taken where "null" is one of the words: both can only mean NULL. */
	const char *text = is_null(n) ? "null" : need_text(r, n, what);
	if (text == NULL)
		return false;
	for (size_t i = 0; i < words->n; i++)
		if (strcmp(words->list[i].word, text) == 0) {
			*value = words->list[i].value;
			return true;
		}
	complain(r->c, line_of(n), col_of(n), "\"%s\" takes %s, not \"%s\"%s", what, word_choice(r, words), text,
		 word_hint(r, text, words));
	return false;
}

static void read_word(struct reader *r, const yaml_node_t *n, const struct map_key *k, void *field)
{
	int value;
	if (find_word(r, n, k->name, k->arg, &value))
		*(int *)field = value;
}

static void read_words(struct reader *r, const yaml_node_t *n, const struct map_key *k, void *field)
{
	int value;
	unsigned bits = 0;
	size_t count = n->type == YAML_SEQUENCE_NODE ? items_of(n) : 1;
	for (size_t i = 0; i < count; i++)
		if (find_word(r, n->type == YAML_SEQUENCE_NODE ? item(r, n, i) : n, k->name, k->arg, &value))
			bits |= (unsigned)value;
	*(unsigned *)field = bits;
}

/* ---- lists of texts, paths ---- */

static void set_list(void *base, const struct map_key *k, const void *list, size_t n)
{
	*(const void **)((char *)base + k->offset) = list;
	*(size_t *)((char *)base + k->count_offset) = n;
}

static void read_texts(struct reader *r, const yaml_node_t *n, const struct map_key *k, void *base, bool names)
{
	size_t count = items_of(n), got = 0;
	const char **list = arena_alloc(r->arena, (count + 1) * sizeof *list);
	for (size_t i = 0; i < count; i++) {
		const yaml_node_t *one = item(r, n, i);
		list[got] = names ? need_name(r, one, k->name) : need_text(r, one, k->name);
		if (list[got] != NULL)
			remember(r, &list[got++], one);
	}
	set_list(base, k, list, got);
}

static void read_names(struct reader *r, const yaml_node_t *n, const struct map_key *k, void *base)
{
	const char **list;
	if (n->type == YAML_SEQUENCE_NODE) {
		read_texts(r, n, k, base, true);
		return;
	}
	list = arena_alloc(r->arena, sizeof *list);
	list[0] = need_name(r, n, k->name);
	if (list[0] == NULL)
		return;
	remember(r, &list[0], n);
	set_list(base, k, list, 1);
}

static void read_labels(struct reader *r, const yaml_node_t *n, const struct map_key *k, void *base)
{
	if (need_type(r, n, k->name, YAML_SEQUENCE_NODE))
		read_texts(r, n, k, base, false);
}

/* Dotted text into keys. "." alone is the element itself: no key. */
static void read_dotted(struct reader *r, const yaml_node_t *n, const struct map_key *k, void *base)
{
	const char *text = need_name(r, n, k->name);
	size_t count = 1, got = 0;
	if (text == NULL)
		return;
	for (const char *s = text; *s != '\0'; s++)
		count += *s == '.';
	const char **keys = arena_alloc(r->arena, count * sizeof *keys);
	for (const char *s = text; strcmp(text, ".") != 0 && got < count; got++) {
		size_t len = strcspn(s, ".");
		if (len == 0 || *s == '$') {
			complain(r->c, line_of(n), col_of(n),
				 "the path \"%s\" has a key that is empty or starts with $; write it as a list of "
				 "keys",
				 text);
			return;
		}
		keys[got] = arena_strndup(r->arena, s, len);
		s += len + (s[len] == '.');
	}
	set_list(base, k, keys, got);
}

static void read_path(struct reader *r, const yaml_node_t *n, const struct map_key *k, void *base)
{
	if (n->type == YAML_SEQUENCE_NODE)
		read_texts(r, n, k, base, false);
	else
		read_dotted(r, n, k, base);
}

static void read_from(struct reader *r, const yaml_node_t *n, const struct map_key *k, void *base)
{
	if (is_null(n))
		((struct map_column *)base)->no_source = true;
	else
		read_path(r, n, k, base);
}

static void read_renames(struct reader *r, const yaml_node_t *n, const struct map_key *k, void *base)
{
	if (!need_type(r, n, k->name, YAML_MAPPING_NODE))
		return;
	size_t count = (size_t)(n->data.mapping.pairs.top - n->data.mapping.pairs.start), got = 0;
	struct map_label *list = arena_alloc(r->arena, (count + 1) * sizeof *list);
	for (size_t i = 0; i < count; i++) {
		const yaml_node_t *from = yaml_document_get_node(r->doc, n->data.mapping.pairs.start[i].key);
		const yaml_node_t *to = yaml_document_get_node(r->doc, n->data.mapping.pairs.start[i].value);
		if (from->type != YAML_SCALAR_NODE)
			continue; /* told by map_yaml.c */
		list[got].from = arena_strndup(r->arena, text_of(from), from->data.scalar.length);
		list[got].to = need_text(r, to, k->name);
		if (list[got].to != NULL)
			remember(r, &list[got++].to, to);
	}
	set_list(base, k, list, got);
}

/* ---- if_missing, if_null, if_invalid ---- */

struct value_form { /* { path: ... } and { literal: ... } */
	const char *literal;
	const char **path;
	size_t npath;
};
static const struct map_key value_form_keys[] = {
	{"path", KIND_PATH, false, offsetof(struct value_form, path), offsetof(struct value_form, npath)},
	{"literal", KIND_TEXT, false, offsetof(struct value_form, literal)},
};
static const struct map_spec value_form_spec = {.what = "a value",
						.size = sizeof(struct value_form),
						.line_offset = NO_OFFSET,
						.given_offset = NO_OFFSET,
						.keys = value_form_keys,
						.nkeys = COUNT_OF(value_form_keys)};

static void read_value_form(struct reader *r, const yaml_node_t *n, struct map_value *v)
{
	struct value_form form = {0};
	size_t before = r->c->n, positions = r->m->npositions;
	read_object(r, n, &value_form_spec, &form);
	r->m->npositions = positions; /* form is gone when the positions are read */
	if (r->c->n > before)
		return;
	if ((form.path != NULL) == (form.literal != NULL)) {
		complain_node(r, n, "a value is { path: ... } or { literal: ... }, one of them");
	} else if (form.literal != NULL) {
		v->kind = MAP_VALUE_LITERAL;
		v->literal = form.literal;
	} else if (form.npath == 0) {
		complain_node(r, n, "{ path: ... } needs at least one key");
	} else {
		v->kind = MAP_VALUE_PATH;
		v->path = form.path;
		v->npath = form.npath;
	}
}

static void read_value_text(struct reader *r, const yaml_node_t *n, const char *what, struct map_value *v)
{
	const char *text = is_null(n) ? "null" : need_text(r, n, what);
	if (text == NULL)
		return;
	if (strcmp(text, "reject") == 0)
		v->kind = MAP_VALUE_REJECT;
	else if (strcmp(text, "null") == 0)
		v->kind = MAP_VALUE_NULL;
	else if (strcmp(text, "$id_time") == 0)
		v->kind = MAP_VALUE_ID_TIME;
	else if (text[0] == '$')
		complain(r->c, line_of(n), col_of(n),
			 "\"%s\" is not known; the only word with $ is $id_time (a text that starts with $: "
			 "{ literal: \"%s\" })",
			 text, text);
	else {
		v->kind = MAP_VALUE_LITERAL;
		v->literal = text;
	}
}

static void read_one_value(struct reader *r, const yaml_node_t *n, const char *what, struct map_value *v)
{
	if (n->type == YAML_MAPPING_NODE)
		read_value_form(r, n, v);
	else
		read_value_text(r, n, what, v);
	if (v->kind != MAP_VALUE_UNSET)
		remember(r, v, n);
}

static bool may_be_without_value(enum map_value_kind kind)
{
	return kind == MAP_VALUE_PATH || kind == MAP_VALUE_ID_TIME || kind == MAP_VALUE_UNSET;
}

static void read_value_list(struct reader *r, const yaml_node_t *n, const char *what, struct map_value *v)
{
	size_t count = items_of(n);
	if (count == 0)
		complain(r->c, line_of(n), col_of(n), "\"%s\" is an empty list", what);
	for (size_t i = 0; i < count; i++) {
		read_one_value(r, item(r, n, i), what, v);
		if (i + 1 == count)
			break;
		if (!may_be_without_value(v->kind)) {
			complain_node(r, item(r, n, i + 1), "never used: what stands before it always has a value");
			break;
		}
		v->otherwise = arena_alloc(r->arena, sizeof *v);
		v = v->otherwise;
	}
}

static void read_value(struct reader *r, const yaml_node_t *n, const struct map_key *k, void *field)
{
	struct map_value *v = field;
	int kind;
	if (k->arg != NULL) { /* policies: reject or null */
		remember(r, v, n);
		if (find_word(r, n, k->name, k->arg, &kind))
			v->kind = (enum map_value_kind)kind;
	} else if (n->type == YAML_SEQUENCE_NODE) {
		read_value_list(r, n, k->name, v);
	} else {
		read_one_value(r, n, k->name, v);
	}
}

/* ---- if_orphan ---- */

struct orphan_form {
	const char *move_to;
	int otherwise;
};
static const struct map_key orphan_form_keys[] = {
	{"move_to", KIND_NAME, true, offsetof(struct orphan_form, move_to)},
	{"otherwise", KIND_WORD, false, offsetof(struct orphan_form, otherwise), 0, &map_words_orphan},
};
static const struct map_spec orphan_form_spec = {.what = "if_orphan",
						 .size = sizeof(struct orphan_form),
						 .line_offset = NO_OFFSET,
						 .given_offset = NO_OFFSET,
						 .keys = orphan_form_keys,
						 .nkeys = COUNT_OF(orphan_form_keys)};

static void read_orphan(struct reader *r, const yaml_node_t *n, const struct map_key *k, void *base)
{
	struct map_reference *ref = base;
	int policy;
	remember(r, &ref->if_orphan, n);
	if (n->type == YAML_SCALAR_NODE && strcmp(text_of(n), "move_to") == 0) {
		complain_node(r, n, "move_to needs a column: if_orphan: { move_to: COLUMN }");
		return;
	}
	if (n->type != YAML_MAPPING_NODE) {
		if (find_word(r, n, k->name, &map_words_orphan, &policy))
			ref->if_orphan = (enum orphan_policy)policy;
		return;
	}
	struct orphan_form form = {.otherwise = ORPHAN_REJECT};
	size_t positions = r->m->npositions;
	read_object(r, n, &orphan_form_spec, &form);
	r->m->npositions = positions;
	ref->if_orphan = ORPHAN_MOVE_TO;
	ref->move_to = form.move_to;
	ref->otherwise = (enum orphan_policy)form.otherwise;
}

/* ---- unmapped ---- */

static const struct map_key keep_form_keys[] = {
	{"keep", KIND_NAME, true, offsetof(struct map_leftover, column)},
};
static const struct map_spec keep_form_spec = {.what = "unmapped",
					       .size = sizeof(struct map_leftover),
					       .line_offset = NO_OFFSET,
					       .given_offset = NO_OFFSET,
					       .keys = keep_form_keys,
					       .nkeys = COUNT_OF(keep_form_keys)};

static void read_unmapped(struct reader *r, const yaml_node_t *n, const struct map_key *k, void *field)
{
	struct map_leftover *to = field;
	int how;
	if (n->type != YAML_MAPPING_NODE) {
		if (find_word(r, n, k->name, &map_words_unmapped, &how))
			to->how = (enum map_unmapped)how;
		return;
	}
	read_object(r, n, &keep_form_spec, to);
	to->how = to->column != NULL ? MAP_UNMAPPED_KEEP : MAP_UNMAPPED_REPORT;
}

/* ---- objects and lists ---- */

static void read_object_kind(struct reader *r, const yaml_node_t *n, const struct map_key *k, void *field)
{
	if (need_type(r, n, k->name, YAML_MAPPING_NODE))
		read_object(r, n, k->arg, field);
}

static void read_shorthand(struct reader *r, const yaml_node_t *n, const struct map_key *k, void *field)
{
	const struct map_spec *spec = k->arg;
	if (n->type != YAML_SCALAR_NODE) {
		read_object_kind(r, n, k, field);
		return;
	}
	const char **first = (const char **)((char *)field + spec->keys[0].offset);
	*first = need_name(r, n, k->name);
	remember(r, first, n);
}

static void read_list(struct reader *r, const yaml_node_t *n, const struct map_key *k, void *base)
{
	const struct map_spec *spec = k->arg;
	if (!need_type(r, n, k->name, YAML_SEQUENCE_NODE))
		return;
	size_t count = items_of(n), got = 0;
	char *list = arena_alloc(r->arena, (count + 1) * spec->size);
	for (size_t i = 0; i < count; i++) {
		const yaml_node_t *one = item(r, n, i);
		if (one->type != YAML_MAPPING_NODE) {
			complain(r->c, line_of(one), col_of(one), "an entry of \"%s\" is keys and values", k->name);
			continue;
		}
		void *element = list + got++ * spec->size;
		if (spec->preset != NULL)
			memcpy(element, spec->preset, spec->size);
		read_object(r, one, spec, element);
	}
	set_list(base, k, list, got);
}

static void read_filter(struct reader *r, const yaml_node_t *n, const struct map_key *k, void *base)
{
	size_t len;
	if (!need_type(r, n, k->name, YAML_MAPPING_NODE))
		return;
	const uint8_t *filter = map_filter_read(r->arena, r->doc, n, r->c, &len);
	set_list(base, k, filter, len);
}

typedef void read_fn(struct reader *r, const yaml_node_t *n, const struct map_key *k, void *field_or_base);

/* Those that fill more than one member get the struct (base), the others their member. */
static const struct {
	read_fn *fn;
	bool wants_base;
} readers[KIND_SIZE] = {
	[KIND_VERSION] = {read_version, false},
	[KIND_TEXT] = {read_text, false},
	[KIND_NAME] = {read_name, false},
	[KIND_BOOL] = {read_bool, false},
	[KIND_LIMIT] = {read_limit, false},
	[KIND_SHARE] = {read_share, false},
	[KIND_PATH] = {read_path, true},
	[KIND_FROM] = {read_from, true},
	[KIND_NAMES] = {read_names, true},
	[KIND_LABELS] = {read_labels, true},
	[KIND_WORD] = {read_word, false},
	[KIND_WORDS] = {read_words, false},
	[KIND_TYPE] = {read_type, false},
	[KIND_VALUE] = {read_value, false},
	[KIND_RENAMES] = {read_renames, true},
	[KIND_UUID] = {read_uuid, false},
	[KIND_ORPHAN] = {read_orphan, true},
	[KIND_OBJECT] = {read_object_kind, false},
	[KIND_SHORTHAND] = {read_shorthand, false},
	[KIND_LIST] = {read_list, true},
	[KIND_UNMAPPED] = {read_unmapped, false},
	[KIND_FILTER] = {read_filter, true},
};

static const struct map_key *find_key(const struct map_spec *spec, const char *name)
{
	for (size_t i = 0; i < spec->nkeys; i++)
		if (strcmp(spec->keys[i].name, name) == 0)
			return &spec->keys[i];
	return NULL;
}

static void complain_key(struct reader *r, const yaml_node_t *n, const struct map_spec *spec)
{
	const char *known[32];
	size_t count = spec->nkeys < COUNT_OF(known) ? spec->nkeys : COUNT_OF(known);
	for (size_t i = 0; i < count; i++)
		known[i] = spec->keys[i].name;
	complain(r->c, line_of(n), col_of(n), "unknown key \"%s\" in %s%s", text_of(n), spec->what,
		 map_suggest(r->arena, text_of(n), known, count));
}

static void read_key(struct reader *r, const yaml_node_t *n, const struct map_spec *spec, const struct map_key *k,
		     void *base)
{
	void *field = (char *)base + k->offset;
	if (k->given != 0 && spec->given_offset != NO_OFFSET)
		*(unsigned *)((char *)base + spec->given_offset) |= k->given;
	if (k->kind != KIND_VERSION && k->kind != KIND_OBJECT && k->kind != KIND_ORPHAN && k->kind != KIND_VALUE)
		remember(r, field, n);
	readers[k->kind].fn(r, n, k, readers[k->kind].wants_base ? base : field);
}

static void complain_required(struct reader *r, const yaml_node_t *n, const struct map_spec *spec, uint64_t seen)
{
	for (size_t i = 0; i < spec->nkeys; i++)
		if (spec->keys[i].required && (seen & (UINT64_C(1) << i)) == 0)
			complain(r->c, line_of(n), col_of(n), "%s needs \"%s%s\"", spec->what, spec->keys[i].name,
				 spec->keys[i].kind == KIND_VERSION ? ": 1" : "");
}

static void read_object(struct reader *r, const yaml_node_t *n, const struct map_spec *spec, void *base)
{
	uint64_t seen = 0;
	if (spec->line_offset != NO_OFFSET) {
		int *place = (int *)((char *)base + spec->line_offset);
		place[0] = line_of(n);
		place[1] = col_of(n);
	}
	for (yaml_node_pair_t *p = n->data.mapping.pairs.start; p < n->data.mapping.pairs.top; p++) {
		const yaml_node_t *key = yaml_document_get_node(r->doc, p->key);
		const struct map_key *k;
		if (key->type != YAML_SCALAR_NODE || strcmp(text_of(key), "<<") == 0)
			continue; /* told by map_yaml.c */
		k = find_key(spec, text_of(key));
		if (k == NULL) {
			complain_key(r, key, spec);
			continue;
		}
		if ((seen & (UINT64_C(1) << (k - spec->keys))) != 0)
			continue; /* twice: told by map_yaml.c */
		seen |= UINT64_C(1) << (k - spec->keys);
		read_key(r, yaml_document_get_node(r->doc, p->value), spec, k, base);
	}
	complain_required(r, n, spec, seen);
}

void map_read(struct mapping *m, yaml_document_t *doc, struct complaints *c)
{
	struct reader r = {.m = m, .arena = m->arena, .doc = doc, .c = c};
	read_object(&r, yaml_document_get_root_node(doc), &map_spec_mapping, m);
	if (m->npositions > 0)
		qsort(m->positions, m->npositions, sizeof *m->positions, by_field);
}

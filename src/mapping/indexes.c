/* indexes.c - the verdict on one index: what kind it is, where its keys are, what of its options can be said. */
#include <stdarg.h>

#include "index_private.h"
#include "text.h"

/* ---- ordinary keys ---- */

struct group { /* of keys in one table */
	struct wanted w;
	bool is_main, can_lack; /* a key takes NULL */
	bool never_lacks;       /* a key takes no NULL: sparse changes nothing */
};

struct groups {
	struct group list[INDEX_MAX_KEYS];
	size_t n;
	size_t lists;   /* keys that got a GIN index of their own */
	size_t dropped; /* keys without a place                   */
};

static const char *ident(struct arena *a, const char *name)
{
	_cleanup_(buf_free) struct buf out = {0};
	sql_ident(&out, name);
	return arena_strdup(a, buf_cstr(&out));
}

static struct group *group_of(struct groups *g, const struct place *at)
{
	for (size_t i = 0; i < g->n; i++)
		if (g->list[i].w.table == at->table)
			return &g->list[i];
	g->list[g->n] = (struct group){.w = {.table = at->table, .method = "btree"}, .is_main = at->is_main};
	return &g->list[g->n++];
}

/* Strength 1 and 2 without caseLevel do not tell case apart. */
static bool folds_case(const struct index_spec *s)
{
	return s->locale != NULL && s->strength <= 2 && !s->case_level;
}

static const char *folded_key(struct judge *j, const struct schema_column *c, bool *is_plain)
{
	const char *key = ident(j->arena, c->name);
	*is_plain = true;
	if (!folds_case(&j->spec) || !index_is_text(&c->type) || c->type.base == PGT_CITEXT)
		return key;
	*is_plain = false;
	judge_differs(j, "the index does not tell case apart: lower(%s), which queries have to say, too", c->name);
	if (j->spec.strength == 1)
		judge_note(j, "it does not tell accents apart either, lower() does");
	return arena_printf(j->arena, "lower(%s)", key);
}

static bool is_indexable(struct judge *j, const struct schema_column *c)
{
	if (c->type.base != PGT_JSON && c->type.base != PGT_VECTOR)
		return true;
	judge_note(j, "%s is of type %s, which has no order and no equality to index", c->name,
		   pgt_name(c->type.base));
	return false;
}

static void add_column_key(struct judge *j, struct groups *g, const struct place *at, bool down)
{
	bool is_plain;
	struct group *group = group_of(g, at);
	const char *key = folded_key(j, at->column, &is_plain);
	wanted_add(j, &group->w, is_plain ? at->column : NULL, key, down, at->column->name);
	group->can_lack = group->can_lack || !at->column->not_null;
	group->never_lacks = group->never_lacks || at->column->not_null;
	if (!at->is_main)
		judge_differs(j, "its values are rows of table %s: the index stands there",
			      j->plan->schema.tables[at->table].name);
}

static void add_inside_key(struct judge *j, struct groups *g, const struct place *at, const struct index_key *k)
{
	_cleanup_(buf_free) struct buf key = {0};
	struct group *group = group_of(g, at);
	buf_putc(&key, '(');
	index_put_inside(&key, at);
	buf_putc(&key, ')');
	group->w.by_hand = true;
	group->can_lack = true;
	judge_note(j,
		   "%s lies inside the jsonb column %s: an index of the expression, which queries have to say as it "
		   "is; it compares as text",
		   k->path, at->column->name);
	wanted_add(j, &group->w, NULL, arena_strdup(j->arena, buf_cstr(&key)), k->how == HOW_DESC,
		   arena_printf(j->arena, "%s_%s", at->column->name, at->inner));
}

static void drop_key(struct judge *j, struct groups *g, const struct index_key *k, const struct place *at)
{
	g->dropped++;
	if (at->kind == PLACE_APART)
		judge_note(j, "%s is taken apart into columns: MongoDB compares it as a whole, no column holds it so",
			   k->path);
	else if (at->kind == PLACE_NONE)
		judge_note(j, "%s is in no column of the mapping", k->path);
}

static void add_key(struct judge *j, struct groups *g, const struct index_key *k)
{
	struct place at = index_place(j->plan, j->collection, k->path);
	bool is_column = at.kind == PLACE_COLUMN && is_indexable(j, at.column);
	bool is_list = is_column && (at.column->type.array || at.column->type.base == PGT_JSONB);
	if (at.kind == PLACE_INSIDE)
		add_inside_key(j, g, &at, k);
	else if (!is_column)
		drop_key(j, g, k, &at);
	else if (is_list) {
		g->lists++;
		judge_gin(j, &at);
	} else if (g->dropped == 0 || !at.is_main)
		add_column_key(j, g, &at, k->how == HOW_DESC);
}

/* ---- options ---- */

static const char *present(struct judge *j, const struct wanted *w)
{
	_cleanup_(buf_free) struct buf out = {0};
	for (size_t i = 0; i < w->n; i++)
		buf_printf(&out, "%s%s IS NOT NULL", i > 0 ? " OR " : "",
			   w->columns[i] != NULL ? ident(j->arena, w->columns[i]->name) : w->keys[i]);
	return arena_strdup(j->arena, buf_cstr(&out));
}

static void apply_sparse(struct judge *j, struct group *g)
{
	if (!j->spec.sparse || !g->is_main)
		return;
	if (g->never_lacks) {
		judge_note(j, "sparse changes nothing: a column takes no NULL");
		return;
	}
	g->w.where = present(j, &g->w);
	if (g->w.n > 1)
		g->w.where = arena_printf(j->arena, "(%s)", g->w.where);
	g->w.sparse = true;
}

static bool keeps_unique(const struct judge *j, const struct groups *g)
{
	return j->spec.unique && g->n == 1 && g->list[0].is_main && g->lists == 0 && g->dropped == 0;
}

static void apply_unique(struct judge *j, struct groups *g)
{
	if (keeps_unique(j, g)) {
		struct wanted *w = &g->list[0].w;
		bool sparse_one = j->spec.sparse && w->n == 1;
		w->unique = true;
		w->nulls_not_distinct = g->list[0].can_lack && !sparse_one;
	} else if (j->spec.unique) {
		judge_differs(j, "unique is not kept: it spans documents by the elements of lists, or by what is in "
				 "no column");
	}
}

static void apply_method(struct judge *j, struct groups *g)
{
	for (size_t i = 0; i < j->spec.nkeys; i++) {
		if (j->spec.keys[i].how != HOW_HASHED)
			continue;
		if (j->spec.nkeys == 1 && g->n == 1 && g->list[0].w.n == 1)
			g->list[0].w.method = "hash";
		else
			judge_differs(
				j, "%s is hashed in MongoDB: a hash index takes one column only, so it is a B-tree",
				j->spec.keys[i].path);
	}
}

/* False: without the filter the index would refuse what MongoDB takes. */
static bool read_filter(struct judge *j)
{
	const char *why = NULL;
	if (j->spec.filter.kind == 0)
		return true;
	j->where = index_filter(j->arena, j->plan, j->collection, &j->spec.filter, &why);
	if (j->where != NULL)
		return true;
	if (j->spec.unique)
		judge_note(j, "%s; unique without the filter would refuse what MongoDB takes", why);
	else
		judge_differs(j, "%s: the index covers all rows", why);
	return !j->spec.unique;
}

static void suggest_collation(struct judge *j, const struct groups *g)
{
	if (j->spec.locale == NULL)
		return;
	bool has_text = false;
	for (size_t i = 0; i < g->n; i++)
		for (size_t k = 0; k < g->list[i].w.n; k++)
			has_text = has_text || g->list[i].w.columns[k] == NULL ||
				   index_is_text(&g->list[i].w.columns[k]->type);
	if (!has_text)
		return;
	if (folds_case(&j->spec)) {
		_cleanup_(buf_free) struct buf out = {0};
		buf_printf(
			&out, "CREATE COLLATION IF NOT EXISTS %s (provider = icu, locale = ",
			ident(j->arena, arena_printf(j->arena, "%.20s_level%d", j->spec.locale, j->spec.strength)));
		sql_literal(&out, arena_printf(j->arena, "%.20s-u-ks-level%d", j->spec.locale, j->spec.strength));
		buf_puts(&out, ", deterministic = false)");
		judge_note(j, "a column with this ICU collation compares as MongoDB does, without lower()");
		judge_statement(j, INDEX_BY_HAND, arena_strdup(j->arena, buf_cstr(&out)));
	} else {
		judge_differs(j, "the index sorts by the column's collation, not by locale %s", j->spec.locale);
	}
}

/* ---- one index ---- */

static void judge_ordinary(struct judge *j)
{
	struct groups *g = arena_alloc(j->arena, sizeof *g);
	for (size_t i = 0; i < j->spec.nkeys; i++)
		add_key(j, g, &j->spec.keys[i]);
	apply_unique(j, g);
	apply_method(j, g);
	for (size_t i = 0; i < g->n; i++) {
		struct group *group = &g->list[i];
		apply_sparse(j, group);
		if (j->where != NULL && group->is_main)
			group->w.where = group->w.where == NULL
						 ? j->where
						 : arena_printf(j->arena, "%s AND %s", group->w.where, j->where);
		if (j->where != NULL && !group->is_main)
			judge_differs(j, "the filter is over another table: the index covers all rows");
		judge_want(j, &group->w);
	}
	suggest_collation(j, g);
	if (g->n + g->lists > 1)
		judge_differs(j, "one index cannot hold all of its keys: each part has its own");
	if (g->dropped > 0 && g->n > 0)
		judge_differs(j, "made of the keys before the one that has no column");
}

static bool has_how(const struct index_spec *s, enum index_how how)
{
	for (size_t i = 0; i < s->nkeys; i++)
		if (s->keys[i].how == how)
			return true;
	return false;
}

static void judge_kind(struct judge *j)
{
	const struct index_spec *s = &j->spec;
	if (s->nkeys == 0 || has_how(s, HOW_OTHER))
		judge_note(j, "docrow does not know this kind of index");
	else if (!read_filter(j))
		return;
	else if (has_how(s, HOW_TEXT))
		judge_text(j);
	else if (has_how(s, HOW_2D) || has_how(s, HOW_2DSPHERE))
		judge_geo(j);
	else if (s->keys[0].wildcard)
		judge_wildcard(j);
	else
		judge_ordinary(j);
	if (s->has_ttl)
		judge_ttl(j);
	if (s->hidden)
		judge_note(j, "hidden in MongoDB: it serves no query there either");
}

static enum index_fate fate_of(const struct judge *j)
{
	size_t made = 0;
	for (size_t i = 0; i < j->v->nstatements; i++)
		made += j->v->statements[i].when != INDEX_BY_HAND;
	if (made > 0)
		return j->differs ? INDEX_INSTEAD : INDEX_MADE;
	if (j->v->there != NULL)
		return INDEX_THERE;
	return j->v->nstatements > 0 ? INDEX_SUGGESTED : INDEX_NOT_MADE;
}

static struct index_verdict *new_verdict(struct index_verdicts *v)
{
	/* Full when the count is a power of two. */
	if ((v->n & (v->n - 1)) == 0) {
		struct index_verdict *more = arena_alloc(v->arena, (v->n == 0 ? 1 : v->n * 2) * sizeof *more);
		if (v->n > 0)
			memcpy(more, v->list, v->n * sizeof *more);
		v->list = more;
	}
	return &v->list[v->n++];
}

/* Without _id no document is in MongoDB, whatever its index document says. */
static void make_id_unique(struct index_spec *s)
{
	if (s->nkeys == 1 && strcmp(s->keys[0].path, "_id") == 0 && s->keys[0].how <= HOW_DESC)
		s->unique = true;
}

void index_verdicts_add(struct index_verdicts *v, size_t collection, const uint8_t *doc, size_t len)
{
	const struct plan_collection *k = &v->plan->collections[collection];
	struct judge j = {.all = v,
			  .arena = v->arena,
			  .plan = v->plan,
			  .collection = k,
			  .table = k->outputs[0].copy.table,
			  .v = new_verdict(v)};
	index_spec_read(&j.spec, v->arena, doc, len);
	make_id_unique(&j.spec);
	*j.v = (struct index_verdict){.collection = k->name,
				      .table = v->plan->schema.tables[j.table].name,
				      .name = j.spec.name,
				      .keys = index_spec_keys(v->arena, &j.spec),
				      .options = index_spec_options(v->arena, &j.spec)};
	judge_kind(&j);
	j.v->fate = fate_of(&j);
	v->made[j.v->fate]++;
}

struct index_verdicts *index_verdicts_new(const struct plan *p, const char *source)
{
	struct arena *a = arena_new();
	struct index_verdicts *v = arena_alloc(a, sizeof *v);
	v->arena = a;
	v->plan = p;
	v->source = source;
	return v;
}

void index_verdicts_free(struct index_verdicts *v)
{
	if (v != NULL)
		arena_free(v->arena);
}

void index_verdicts_remark(struct index_verdicts *v, const char *fmt, ...)
{
	_cleanup_(buf_free) struct buf out = {0};
	va_list ap;
	va_start(ap, fmt);
	buf_vprintf(&out, fmt, ap);
	va_end(ap);
	const char **more = arena_alloc(v->arena, (v->nremarks + 1) * sizeof *more);
	if (v->nremarks > 0)
		memcpy(more, v->remarks, v->nremarks * sizeof *more);
	more[v->nremarks++] = arena_strdup(v->arena, buf_cstr(&out));
	v->remarks = more;
}

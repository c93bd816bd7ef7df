/* index_place.c - where the values of an index' path are: a column, inside a jsonb column, or nowhere. */
#include "index_private.h"

bool index_is_text(const struct pgtype *t)
{
	return !t->array && (t->base == PGT_TEXT || t->base == PGT_VARCHAR || t->base == PGT_CHAR ||
			     t->base == PGT_CITEXT || t->base == PGT_NAME);
}

bool index_is_time(const struct pgtype *t)
{
	return !t->array && (t->base == PGT_TIMESTAMP || t->base == PGT_TIMESTAMPTZ || t->base == PGT_DATE);
}

/* What of `path` lies below `above`; NULL: it does not. */
static const char *below(const char *above, const char *path)
{
	size_t n = strlen(above);
	return n > 0 && strncmp(above, path, n) == 0 && path[n] == '.' ? path + n + 1 : NULL;
}

static bool is_jsonb(const struct schema_column *c)
{
	return c->type.base == PGT_JSONB && !c->type.array;
}

/* A column that holds the path is better than one inside which it lies, and that than nothing. */
static void look_at_column(struct place *best, const struct plan_output *o, const struct plan_column *c,
			   const char *path)
{
	struct place at = {
		.table = o->copy.table, .is_main = o->kind == PLAN_OUTPUT_MAIN, .column = c->column, .feed = c};
	if (c->map == NULL) {
		if (c->feed != PLAN_FEED_UNMAPPED || o->kind != PLAN_OUTPUT_MAIN)
			return;
		at.kind = PLACE_INSIDE;
		at.inner = path;
		at.unmapped = true;
	} else if (strcmp(c->path_text, path) == 0) {
		at.kind = PLACE_COLUMN;
	} else if (is_jsonb(c->column) && (at.inner = below(c->path_text, path)) != NULL) {
		at.kind = PLACE_INSIDE;
	} else if (below(path, c->path_text) != NULL) {
		at.kind = PLACE_APART;
	} else {
		return;
	}
	static const int rank[] = {[PLACE_NONE] = 0, [PLACE_APART] = 2, [PLACE_INSIDE] = 3, [PLACE_COLUMN] = 4};
	int rank_at = at.unmapped ? 1 : rank[at.kind], rank_best = best->unmapped ? 1 : rank[best->kind];
	if (rank_at > rank_best || (rank_at == rank_best && at.kind == PLACE_COLUMN && c->feed == PLAN_FEED_ID &&
				    best->feed != NULL && best->feed->feed != PLAN_FEED_ID))
		*best = at;
}

/* An array of ids that feeds a junction: the column with what the array names. */
static void look_at_pairs(struct place *best, const struct plan *p, const struct plan_collection *k,
			  const struct plan_output *o, const char *path)
{
	const struct schema_junction *j = &p->schema.junctions[o->copy.junction];
	if (best->kind == PLACE_COLUMN || strcmp(k->scopes[o->scope].path_text, path) != 0)
		return;
	*best = (struct place){
		.kind = PLACE_COLUMN,
		.table = j->table,
		.column = &p->schema.tables[j->table].columns[o->left ? j->right_column : j->left_column]};
}

struct place index_place(const struct plan *p, const struct plan_collection *k, const char *path)
{
	struct place best = {.kind = PLACE_NONE};
	for (size_t i = 0; i < k->noutputs; i++) {
		const struct plan_output *o = &k->outputs[i];
		for (size_t c = 0; c < o->ncolumns; c++)
			look_at_column(&best, o, &o->columns[c], path);
		if (o->kind == PLAN_OUTPUT_PAIRS)
			look_at_pairs(&best, p, k, o, path);
	}
	return best;
}

/* A path as the text of an array: {"a","b"}. */
static void put_path(struct buf *out, const char *path)
{
	buf_puts(out, "{\"");
	for (; *path != '\0'; path++) {
		if (*path == '.') {
			buf_puts(out, "\",\"");
			continue;
		}
		if (*path == '"' || *path == '\\')
			buf_putc(out, '\\');
		buf_putc(out, *path);
	}
	buf_puts(out, "\"}");
}

void index_put_inside(struct buf *out, const struct place *at)
{
	_cleanup_(buf_free) struct buf path = {0};
	put_path(&path, at->inner);
	sql_ident(out, at->column->name);
	buf_puts(out, " #>> ");
	sql_literal(out, buf_cstr(&path));
}

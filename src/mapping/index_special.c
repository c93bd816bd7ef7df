/* index_special.c - text, wildcard, geo and TTL indexes, and those of lists. */
#include "index_private.h"
#include "text.h"

static const char *ident(struct arena *a, const char *name)
{
	_cleanup_(buf_free) struct buf out = {0};
	sql_ident(&out, name);
	return arena_strdup(a, buf_cstr(&out));
}

static const char *table_name(const struct judge *j, int table)
{
	_cleanup_(buf_free) struct buf out = {0};
	sql_table(&out, &j->plan->schema, &j->plan->schema.tables[table]);
	return arena_strdup(j->arena, buf_cstr(&out));
}

void judge_gin(struct judge *j, const struct place *at)
{
	const struct schema_column *c = at->column;
	bool is_jsonb = c->type.base == PGT_JSONB && !c->type.array;
	struct wanted w = {.table = at->table, .method = "gin", .where = at->is_main ? j->where : NULL};
	const char *key = ident(j->arena, c->name);
	if (is_jsonb)
		judge_differs(j, "%s is jsonb: GIN serves @>, not order or ranges", c->name);
	else
		judge_differs(j, "%s is a list: GIN serves @> and &&, not = ANY", c->name);
	wanted_add(j, &w, is_jsonb ? NULL : c, is_jsonb ? arena_printf(j->arena, "%s jsonb_path_ops", key) : key,
		   false, c->name);
	judge_want(j, &w);
}

/* ---- wildcard ---- */

static bool is_jsonb_of_main(const struct plan_output *o, const struct plan_column *c)
{
	return o->kind == PLAN_OUTPUT_MAIN && c->column->type.base == PGT_JSONB && !c->column->type.array;
}

/* $** is every jsonb column; a.$** those at and below a, or the one around it. */
static bool wildcard_takes(const struct plan_column *c, const char *path, size_t n)
{
	if (n == 0 || c->map == NULL)
		return true;
	size_t own = strlen(c->path_text);
	return strncmp(c->path_text, path, own < n ? own : n) == 0 &&
	       (own == n || (own > n ? c->path_text[n] : path[own]) == '.');
}

void judge_wildcard(struct judge *j)
{
	const char *path = j->spec.keys[0].path;
	size_t n = strlen(path), found = 0;
	n = n > 4 ? n - 4 : 0; /* ".$**" */
	for (size_t i = 0; i < j->collection->noutputs; i++) {
		const struct plan_output *o = &j->collection->outputs[i];
		for (size_t c = 0; c < o->ncolumns; c++) {
			if (!is_jsonb_of_main(o, &o->columns[c]) || !wildcard_takes(&o->columns[c], path, n))
				continue;
			found++;
			judge_gin(j, &(struct place){.table = o->copy.table,
						     .is_main = true,
						     .column = o->columns[c].column});
		}
	}
	if (found == 0)
		judge_note(j, "no jsonb column holds what it covers; give the columns that are searched indexes of "
			      "their own in the mapping");
	else
		judge_differs(j, "paths that have columns of their own are not covered");
	if (j->spec.has_projection)
		judge_note(j, "its wildcardProjection is left aside");
}

/* ---- text ---- */

static const char *configuration(struct judge *j)
{
	static const char *const languages[][2] = {
		{"da", "danish"},   {"nl", "dutch"},     {"en", "english"}, {"fi", "finnish"},   {"fr", "french"},
		{"de", "german"},   {"hu", "hungarian"}, {"it", "italian"}, {"nb", "norwegian"}, {"pt", "portuguese"},
		{"ro", "romanian"}, {"ru", "russian"},   {"es", "spanish"}, {"sv", "swedish"},   {"tr", "turkish"}};
	for (size_t i = 0; i < sizeof languages / sizeof languages[0]; i++)
		if (strcmp(j->spec.language, languages[i][0]) == 0 || strcmp(j->spec.language, languages[i][1]) == 0)
			return languages[i][1];
	if (strcmp(j->spec.language, "none") != 0)
		judge_note(j, "PostgreSQL has no text search configuration for its language: simple is used");
	return "simple";
}

/* A for the greatest weight, then B, C, D. */
static char letter_of(const struct index_spec *s, double weight)
{
	int above = 0;
	for (size_t i = 0; i < s->nweights; i++) {
		bool is_new = s->weights[i].weight > weight;
		for (size_t k = 0; is_new && k < i; k++)
			is_new = s->weights[k].weight != s->weights[i].weight;
		above += is_new;
	}
	return (char)('A' + (above > 3 ? 3 : above));
}

static bool has_weights(const struct index_spec *s)
{
	for (size_t i = 1; i < s->nweights; i++)
		if (s->weights[i].weight != s->weights[0].weight)
			return true;
	return false;
}

struct searched {
	struct buf sql, base;
	const struct schema_column *columns[INDEX_MAX_KEYS];
	size_t n;
};

static void search_column(struct judge *j, struct searched *s, const struct schema_column *c, const char *config,
			  double weight)
{
	bool is_text = index_is_text(&c->type) && c->type.base != PGT_CHAR && c->type.base != PGT_NAME;
	if ((!is_text && c->type.base != PGT_JSONB) || c->type.array || s->n == INDEX_MAX_KEYS) {
		judge_differs(j, "%s is no text and left out of the search", c->name);
		return;
	}
	const char *name = ident(j->arena, c->name);
	const char *value = !is_text ? name
				     : arena_printf(j->arena, "coalesce(%s%s, '')", name,
						    c->type.base == PGT_TEXT ? "" : "::text");
	const char *vector = arena_printf(j->arena, "to_tsvector('%s'::regconfig, %s)", config,
					  !is_text ? arena_printf(j->arena, "coalesce(%s, 'null')", value) : value);
	buf_puts(&s->sql, s->n > 0 ? " || " : "");
	if (has_weights(&j->spec))
		buf_printf(&s->sql, "setweight(%s, '%c')", vector, letter_of(&j->spec, weight));
	else
		buf_puts(&s->sql, vector);
	buf_printf(&s->base, "%s%s", s->n > 0 ? "_" : "", c->name);
	s->columns[s->n++] = c;
}

static void search_everything(struct judge *j, struct searched *s, const char *config)
{
	const struct plan_output *o = &j->collection->outputs[0];
	for (size_t c = 0; c < o->ncolumns; c++)
		if (o->columns[c].map != NULL && o->columns[c].feed == PLAN_FEED_SLOT &&
		    index_is_text(&o->columns[c].column->type))
			search_column(j, s, o->columns[c].column, config, 1);
}

static void search_path(struct judge *j, struct searched *s, const struct index_weight *w, const char *config)
{
	struct place at = index_place(j->plan, j->collection, w->path);
	if (strcmp(w->path, "$**") == 0)
		search_everything(j, s, config);
	else if (at.kind == PLACE_COLUMN && at.is_main)
		search_column(j, s, at.column, config, w->weight);
	else if (at.kind == PLACE_INSIDE)
		judge_differs(j, "%s lies inside the jsonb column %s and is left out of the search", w->path,
			      at.column->name);
	else
		judge_differs(j, "%s is in no text column of the table and left out of the search", w->path);
}

static bool names_all(const char *expression, const struct searched *s)
{
	for (size_t i = 0; i < s->n; i++)
		if (strstr(expression, s->columns[i]->name) == NULL)
			return false;
	return true;
}

/* The mapping's own search of the same columns, whatever its configuration. */
static const char *find_search(const struct judge *j, const struct searched *s)
{
	const struct schema_table *t = &j->plan->schema.tables[j->table];
	for (size_t i = 0; i < t->nindexes; i++)
		if (t->indexes[i].expression != NULL && strstr(t->indexes[i].expression, "to_tsvector") != NULL &&
		    names_all(t->indexes[i].expression, s))
			return t->indexes[i].name;
	return NULL;
}

static void want_search(struct judge *j, struct searched *s)
{
	struct wanted w = {.table = j->table, .method = "gin", .where = j->where};
	const char *there = find_search(j, s);
	if (there != NULL) {
		j->v->there = arena_printf(j->arena, "index %s", there);
		judge_note(j, "it searches the same columns by the mapping's own expression");
		return;
	}
	judge_differs(j, "full text search: a query says the expression of the index @@ websearch_to_tsquery(...)");
	wanted_add(j, &w, NULL, arena_printf(j->arena, "(%s)", buf_cstr(&s->sql)), false,
		   arena_printf(j->arena, "%s_fts", buf_cstr(&s->base)));
	judge_want(j, &w);
}

void judge_text(struct judge *j)
{
	struct searched s = {.n = 0};
	const char *config = configuration(j);
	buf_init(&s.sql, 0);
	buf_init(&s.base, 0);
	for (size_t i = 0; i < j->spec.nweights; i++)
		search_path(j, &s, &j->spec.weights[i], config);
	for (size_t i = 0; i < j->spec.nkeys; i++)
		if (j->spec.keys[i].how != HOW_TEXT && strcmp(j->spec.keys[i].path, "_ftsx") != 0)
			judge_differs(j, "%s, a key beside the text, is left out", j->spec.keys[i].path);
	if (s.n > 0)
		want_search(j, &s);
	buf_free(&s.sql);
	buf_free(&s.base);
}

/* ---- geo ---- */

static struct place geo_place(const struct judge *j, const char *path)
{
	struct place at = index_place(j->plan, j->collection, path);
	return at.kind == PLACE_COLUMN
		       ? at
		       : index_place(j->plan, j->collection, arena_printf(j->arena, "%s.coordinates", path));
}

static void geo_key(struct judge *j, const struct index_key *k)
{
	struct place at = geo_place(j, k->path);
	if (at.kind != PLACE_COLUMN || !at.is_main) {
		judge_note(j, "%s is in no column of the table", k->path);
		return;
	}
	const char *c = ident(j->arena, at.column->name), *t = table_name(j, at.table);
	if (at.column->type.array && at.column->type.base == PGT_FLOAT8)
		judge_statement(
			j, INDEX_BY_HAND,
			arena_printf(j->arena, "CREATE INDEX ON %s USING gist (point(%s[1], %s[2]))", t, c, c));
	else if (at.column->type.base == PGT_JSONB && k->how == HOW_2D)
		judge_statement(
			j, INDEX_BY_HAND,
			arena_printf(j->arena,
				     "CREATE INDEX ON %s USING gist (point((%s ->> 0)::float8, (%s ->> 1)::float8))",
				     t, c, c));
	else if (at.column->type.base == PGT_JSONB) {
		judge_note(j, "with the extension postgis");
		judge_statement(j, INDEX_BY_HAND,
				arena_printf(j->arena,
					     "CREATE INDEX ON %s USING gist ((ST_GeomFromGeoJSON(%s)::geography))", t,
					     c));
	} else
		judge_note(j, "%s is neither jsonb nor double precision[]: no place can be read from it",
			   at.column->name);
}

void judge_geo(struct judge *j)
{
	judge_note(j, "PostgreSQL itself has no index for places on the globe: a GiST index of points, or PostGIS");
	for (size_t i = 0; i < j->spec.nkeys; i++)
		if (j->spec.keys[i].how == HOW_2D || j->spec.keys[i].how == HOW_2DSPHERE)
			geo_key(j, &j->spec.keys[i]);
		else
			judge_note(j, "%s, a key beside the place, is left out", j->spec.keys[i].path);
}

/* ---- TTL ---- */

static void put_job(struct judge *j, const struct place *at, const struct buf *statement)
{
	_cleanup_(buf_free) struct buf out = {0};
	buf_puts(&out, "SELECT cron.schedule(");
	sql_literal(&out, arena_printf(j->arena, "expire %s", j->plan->schema.tables[at->table].name));
	buf_puts(&out, ", '* * * * *', ");
	sql_literal(&out, arena_strndup(j->arena, (const char *)statement->data, statement->len));
	buf_putc(&out, ')');
	judge_statement(j, INDEX_BY_HAND, arena_strdup(j->arena, buf_cstr(&out)));
}

void judge_ttl(struct judge *j)
{
	struct place at = index_place(j->plan, j->collection, j->spec.keys[0].path);
	_cleanup_(buf_free) struct buf out = {0};
	if (at.kind != PLACE_COLUMN || !at.is_main || !index_is_time(&at.column->type)) {
		judge_note(j, "documents expire by %s, of which the table has no time column: nothing deletes rows",
			   j->spec.keys[0].path);
		return;
	}
	if (j->spec.filter.kind != 0 && j->where == NULL) {
		judge_note(j, "documents expire under a filter that the columns cannot say: nothing deletes rows");
		return;
	}
	judge_note(
		j,
		"MongoDB deletes what has expired, PostgreSQL does not: a job does it (pg_cron, or any scheduler)");
	buf_printf(&out, "DELETE FROM %s WHERE %s < %s - interval '%.0f seconds'", table_name(j, at.table),
		   ident(j->arena, at.column->name),
		   at.column->type.base == PGT_TIMESTAMPTZ ? "now()" : "(now() AT TIME ZONE 'UTC')", j->spec.ttl);
	if (j->where != NULL)
		buf_printf(&out, " AND %s", j->where);
	put_job(j, &at, &out);
}

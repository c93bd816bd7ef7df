/* types.c - layer types: what the columns hold as a whole, against what the documents hold as a whole. */
#include <inttypes.h>
#include <stdlib.h>

#include <stdio.h>

#include "validate_private.h"

#define RUN_SLACK 1.0 /* seconds */

static bool is_instant(const struct pgtype *t)
{
	return !t->array && (t->base == PGT_TIMESTAMP || t->base == PGT_TIMESTAMPTZ || t->base == PGT_DATE);
}

static bool may_be_nan(const struct pgtype *t)
{
	return !t->array && (t->base == PGT_FLOAT4 || t->base == PGT_FLOAT8 || t->base == PGT_NUMERIC);
}

enum { C_VALUES, C_ODD, C_LEAST, C_MOST, C_NUMBERS };

static void put_seconds(struct buf *sql, const char *what, const char *name)
{
	buf_printf(sql, ", extract(epoch FROM %s(", what);
	sql_ident(sql, name);
	buf_puts(sql, ") FILTER (WHERE isfinite(");
	sql_ident(sql, name);
	buf_puts(sql, ")))::double precision");
}

static void put_column(struct buf *sql, const struct schema_column *c)
{
	buf_puts(sql, ", count(");
	sql_ident(sql, c->name);
	buf_puts(sql, "), ");
	if (is_instant(&c->type)) {
		buf_puts(sql, "count(*) FILTER (WHERE NOT isfinite(");
		sql_ident(sql, c->name);
		buf_puts(sql, "))");
		put_seconds(sql, "min", c->name);
		put_seconds(sql, "max", c->name);
		return;
	}
	if (may_be_nan(&c->type)) {
		buf_puts(sql, "count(*) FILTER (WHERE ");
		sql_ident(sql, c->name);
		buf_puts(sql, " = 'NaN')");
	} else {
		buf_puts(sql, "0");
	}
	buf_puts(sql, ", NULL::double precision, NULL::double precision");
}

static void read_column(const struct pg_result *r, int at, const struct schema_column *c, struct row_stats *s)
{
	s->known = true;
	s->values = (uint64_t)pg_get_i64(r, 0, at + C_VALUES);
	if (is_instant(&c->type))
		s->infinite = (uint64_t)pg_get_i64(r, 0, at + C_ODD);
	else
		s->nan = (uint64_t)pg_get_i64(r, 0, at + C_ODD);
	s->has_times = is_instant(&c->type) && pg_get(r, 0, at + C_LEAST) != NULL;
	s->least = pg_get_double(r, 0, at + C_LEAST);
	s->most = pg_get_double(r, 0, at + C_MOST);
}

bool types_check(struct worker *w, int table, struct err *err)
{
	const struct schema_table *t = &w->v->plan->schema.tables[table];
	_cleanup_(pg_result_freep) struct pg_result *r = NULL;
	_cleanup_(buf_free) struct buf sql = {0};

	buf_puts(&sql, "SELECT count(*)");
	for (size_t i = 0; i < t->ncolumns; i++)
		put_column(&sql, &t->columns[i]);
	buf_puts(&sql, " FROM ");
	rows_put(&sql, w->v, table);
	buf_puts(&sql, " AS t");
	if (!pg_query(w->pg, buf_cstr(&sql), NULL, 0, &r, err))
		return err_where(err, "types of %s", t->name);
	for (size_t i = 0; i < t->ncolumns; i++)
		read_column(r, 1 + C_NUMBERS * (int)i, &t->columns[i], &w->v->row_stats[table][i]);
	return true;
}

/* --- both sides --- */

/* References that were set to NULL or moved away, and those that came here, all of them listed. */
static int64_t moved_by_rule(const struct validation *v, int table, int column)
{
	const struct schema *s = &v->plan->schema;
	const struct schema_table *t = &s->tables[table];
	const char *name = t->columns[column].name;
	int64_t n = -(int64_t)listed_count(v->listed, LISTED_NULL, t->name, name) -
		    (int64_t)listed_count(v->listed, LISTED_MOVED, t->name, name);

	for (size_t i = 0; i < s->nrefs; i++)
		if (s->refs[i].table == table && s->refs[i].policy == ORPHAN_MOVE_TO && s->refs[i].move_to == column)
			n += (int64_t)listed_count(v->listed, LISTED_MOVED, t->name,
						   t->columns[s->refs[i].column].name);
	return n;
}

static void check_values(struct validation *v, int table, int column, const struct column_stats *d,
			 const struct row_stats *r)
{
	const struct schema_table *t = &v->plan->schema.tables[table];
	const struct validate_table *counts = found_table(v->found, table);
	int64_t want = (int64_t)d->values + moved_by_rule(v, table, column);
	char detail[160];

	if (counts->found[FOUND_MISSING_ROW] + counts->found[FOUND_EXTRA_ROW] + counts->found[FOUND_DUPLICATE_ROW] +
		    counts->found[FOUND_MISSING_ELEMENT] + counts->found[FOUND_EXTRA_ELEMENT] >
	    0)
		return; /* told already, and the numbers cannot agree */
	for (size_t i = 0; i < t->nprimary_key; i++)
		if (t->primary_key[i] == column)
			want += (int64_t)counts->stubs;
	if (want == (int64_t)r->values)
		return;
	snprintf(detail, sizeof detail, "%" PRIi64 " values expected, %" PRIu64 " found", want, r->values);
	found_of_table(v->found, r->values == 0 ? FOUND_ALL_NULL : FOUND_NULLS, t, t->columns[column].name, detail,
		       (uint64_t)llabs(want - (int64_t)r->values));
}

static bool in_run(const struct validation *v, double seconds)
{
	return seconds >= v->run_started - RUN_SLACK && seconds <= v->run_finished + RUN_SLACK;
}

static void check_times(struct validation *v, int table, int column, const struct column_stats *d,
			const struct row_stats *r)
{
	const struct schema_table *t = &v->plan->schema.tables[table];

	if (!r->has_times || d->least > d->most || v->run_started <= 0)
		return;
	if (in_run(v, r->least) && in_run(v, r->most) &&
	    !(in_run(v, (double)d->least / 1000) && in_run(v, (double)d->most / 1000)))
		found_of_table(v->found, FOUND_RUN_TIME, t, t->columns[column].name,
			       "the documents' dates are others", 0);
}

/* "3 of string, 1 of date" */
static void put_kinds(struct buf *out, const uint64_t *kinds)
{
	for (unsigned k = 0; k < STAT_KINDS; k++)
		if (kinds[k] > 0)
			buf_printf(out, "%s%" PRIu64 " of %s", out->len > 0 ? ", " : "", kinds[k],
				   k == MATRIX_KINDS ? "missing" : matrix_kind_name(k));
}

static void check_misfits(struct validation *v, int table, int column, const struct column_stats *d)
{
	const struct schema_table *t = &v->plan->schema.tables[table];
	_cleanup_(buf_free) struct buf detail = {0};
	uint64_t n = 0;

	for (unsigned k = 0; k < STAT_KINDS; k++)
		n += d->misfits[k];
	if (n == 0)
		return;
	put_kinds(&detail, d->misfits);
	found_of_table(v->found, FOUND_MISFIT, t, t->columns[column].name, buf_cstr(&detail), n);
}

static void check_column(struct validation *v, int table, int column, bool complete)
{
	const struct schema_table *t = &v->plan->schema.tables[table];
	const struct column_stats *d = &v->stats[table][column];
	const struct row_stats *r = &v->row_stats[table][column];
	char detail[160];

	if (!r->known)
		return;
	v->layer_checked[LAYER_TYPES]++;
	check_misfits(v, table, column, d);
	if (r->infinite > 0) {
		snprintf(detail, sizeof detail, "%" PRIu64 " values", r->infinite);
		found_of_table(v->found, FOUND_INFINITY, t, t->columns[column].name, detail, 0);
	}
	if (!complete)
		return;
	if (r->nan > d->nan) {
		snprintf(detail, sizeof detail, "%" PRIu64 " values, at most %" PRIu64 " in the documents", r->nan,
			 d->nan);
		found_of_table(v->found, FOUND_NAN, t, t->columns[column].name, detail, 0);
	}
	check_values(v, table, column, d, r);
	check_times(v, table, column, d, r);
}

/* Only columns that documents feed are judged by them; child tables only where every row was looked at. */
static void check_table(struct validation *v, const struct feed_table *t)
{
	bool main = v->plan->schema.tables[t->table].parent_table < 0;

	for (size_t i = 0; i < t->ncolumns; i++) {
		int column = t->columns[i].column;
		struct row_stats *r = &v->row_stats[t->table][column];
		if (t->columns[i].map != NULL && !r->judged)
			check_column(v, t->table, column, main || (v->o.full && atomic_load(&v->resumed) == 0));
		r->judged = r->judged || t->columns[i].map != NULL; /* several collections may feed it */
	}
	for (size_t i = 0; i < t->nchildren; i++)
		check_table(v, &t->children[i]);
}

/* --- the histogram --- */

static void keep_types(struct validation *v, const struct column_stats *d, struct validate_column *c)
{
	c->types = arena_alloc(v->arena, STAT_KINDS * sizeof *c->types);
	for (unsigned k = 0; k < STAT_KINDS; k++)
		if (d->kinds[k] > 0)
			c->types[c->ntypes++] = (struct validate_type){
				k == MATRIX_KINDS ? "missing" : matrix_kind_name(k), d->kinds[k]};
}

/* Columns in the order of the first collection that feeds the table. */
static void keep_columns(struct validation *v, const struct feed_table *t)
{
	struct validate_table *out = found_table(v->found, t->table);

	for (size_t i = 0; i < t->nchildren; i++)
		keep_columns(v, &t->children[i]);
	if (out->columns != NULL || !v->exists[t->table])
		return;
	out->columns = arena_alloc(v->arena, (t->ncolumns + 1) * sizeof *out->columns);
	for (size_t i = 0; i < t->ncolumns; i++) {
		const struct column *c = &t->columns[i];
		if (c->map == NULL || c->feed == PLAN_FEED_VALUE || c->feed == PLAN_FEED_NOTHING)
			continue;
		struct validate_column *o = &out->columns[out->ncolumns++];
		*o = (struct validate_column){
			.name = c->name, .path = c->path, .values = v->row_stats[t->table][c->column].values};
		keep_types(v, &v->stats[t->table][c->column], o);
	}
}

void stats_check(struct validation *v)
{
	for (size_t i = 0; i < v->nfeeds; i++)
		check_table(v, &v->feeds[i].main);
	for (size_t i = 0; i < v->nfeeds; i++)
		keep_columns(v, &v->feeds[i].main);
}

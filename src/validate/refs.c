/* refs.c - layer references: orphans of every column that refers to a table, constraint or not, and of both ends of
 * every junction, by set queries of our own.
 */
#include <stdio.h>

#include "validate_private.h"

#define LISTED_ORPHANS 1000

static bool is_a_key(const struct schema_table *t, int column)
{
	return t->nprimary_key == 1 && t->primary_key[0] == column;
}

/* Where several collections feed a table, once. */
static void add(struct validation *v, struct reference r)
{
	for (size_t i = 0; i < v->nreferences; i++)
		if (v->references[i].table == r.table && v->references[i].column == r.column)
			return;
	v->references[v->nreferences++] = r;
}

/* Policies come from the plan where it settles orphans; other references are only counted. */
static void list_column(struct validation *v, const struct feed_table *t, const struct column *c)
{
	const struct schema *s = &v->plan->schema;
	const struct map_reference *m = &c->map->references;
	struct reference r = {.table = t->table, .column = c->column};

	r.ref_table = schema_find_table(s, m->table);
	if (r.ref_table < 0)
		return;
	const struct schema_table *to = &s->tables[r.ref_table];
	r.ref_column = m->column != NULL       ? schema_find_column(to, m->column)
		       : to->nprimary_key == 1 ? to->primary_key[0]
					       : -1;
	if (r.ref_column < 0)
		return;
	r.checked = m->constraint || (m->given & MAP_GIVEN_IF_ORPHAN) != 0;
	r.policy = m->if_orphan;
	for (size_t i = 0; i < s->nrefs; i++)
		if (s->refs[i].table == r.table && s->refs[i].column == r.column) {
			r.checked = true;
			r.policy = s->refs[i].policy == ORPHAN_MOVE_TO ? s->refs[i].otherwise : s->refs[i].policy;
		}
	add(v, r);
}

static void list_table(struct validation *v, const struct feed_table *t)
{
	const struct schema *s = &v->plan->schema;

	for (size_t i = 0; i < t->ncolumns; i++) {
		const struct column *c = &t->columns[i];
		if (c->map != NULL && c->map->references.table != NULL)
			list_column(v, t, c);
		if (c->feed == PLAN_FEED_PARENT) {
			const struct schema_table *up = &s->tables[s->tables[t->table].parent_table];
			if (up->nprimary_key == 1)
				add(v, (struct reference){.table = t->table,
							  .column = c->column,
							  .ref_table = s->tables[t->table].parent_table,
							  .ref_column = up->primary_key[0],
							  .checked = true});
		}
	}
	for (size_t i = 0; i < t->nchildren; i++)
		list_table(v, &t->children[i]);
}

static size_t count_columns(const struct feed_table *t)
{
	size_t n = t->ncolumns;

	for (size_t i = 0; i < t->nchildren; i++)
		n += count_columns(&t->children[i]);
	return n;
}

void references_list(struct validation *v)
{
	const struct schema *s = &v->plan->schema;
	size_t n = 2 * s->njunctions + 1;

	for (size_t i = 0; i < v->nfeeds; i++)
		n += count_columns(&v->feeds[i].main);
	v->references = arena_alloc(v->arena, n * sizeof *v->references);
	for (size_t i = 0; i < v->nfeeds; i++)
		list_table(v, &v->feeds[i].main);
	for (size_t i = 0; i < s->njunctions; i++) {
		const struct schema_junction *j = &s->junctions[i];
		for (int left = 1; left >= 0; left--) {
			int to = left ? j->left_table : j->right_table;
			if (s->tables[to].nprimary_key == 1)
				add(v, (struct reference){.table = j->table,
							  .column = left ? j->left_column : j->right_column,
							  .ref_table = to,
							  .ref_column = s->tables[to].primary_key[0],
							  .checked = true,
							  .policy = j->if_orphan,
							  .is_end = true});
		}
	}
}

/* --- the query --- */

static void put_key(struct buf *sql, const struct schema_table *t)
{
	if (t->nprimary_key == 0) {
		buf_puts(sql, "NULL");
		return;
	}
	buf_puts(sql, t->nprimary_key > 1 ? "(ROW(" : "(");
	for (size_t i = 0; i < t->nprimary_key; i++) {
		buf_puts(sql, i > 0 ? ", c." : "c.");
		sql_ident(sql, t->columns[t->primary_key[i]].name);
	}
	buf_puts(sql, t->nprimary_key > 1 ? ")::text)" : "::text)");
}

/* " FROM child c WHERE the value has no row"; arrays by their elements. */
static void put_orphans(struct buf *sql, const struct validation *v, const struct reference *r)
{
	const struct schema *s = &v->plan->schema;
	const struct schema_table *t = &s->tables[r->table], *to = &s->tables[r->ref_table];
	bool array = t->columns[r->column].type.array;

	buf_puts(sql, " FROM ");
	rows_put(sql, v, r->table);
	buf_puts(sql, " c");
	if (array) {
		buf_puts(sql, " CROSS JOIN LATERAL unnest(c.");
		sql_ident(sql, t->columns[r->column].name);
		buf_puts(sql, ") AS e(v) WHERE e.v IS NOT NULL");
	} else {
		buf_puts(sql, " WHERE c.");
		sql_ident(sql, t->columns[r->column].name);
		buf_puts(sql, " IS NOT NULL");
	}
	buf_puts(sql, " AND NOT EXISTS (SELECT 1 FROM ");
	sql_table(sql, s, to);
	buf_puts(sql, " p WHERE p.");
	sql_ident(sql, to->columns[r->ref_column].name);
	buf_puts(sql, " = ");
	if (array) {
		buf_puts(sql, "e.v)");
		return;
	}
	buf_puts(sql, "c.");
	sql_ident(sql, t->columns[r->column].name);
	buf_putc(sql, ')');
}

static bool is_kept(const struct validation *v, const struct reference *r, const char *key)
{
	const struct schema_table *t = &v->plan->schema.tables[r->table];
	const struct schema *s = &v->plan->schema;

	if (r->policy != ORPHAN_KEEP || key == NULL)
		return false;
	if (listed_has(v->listed, listed_cell_key(LISTED_KEPT, t->name, t->columns[r->column].name, key, strlen(key)),
		       NULL))
		return true;
	for (size_t i = 0; r->is_end && i < s->njunctions; i++) { /* both ends are missing */
		const struct schema_junction *j = &s->junctions[i];
		char both[2 * SCHEMA_NAME_MAX + 2];
		if (j->table != r->table)
			continue;
		snprintf(both, sizeof both, "%s,%s", t->columns[j->left_column].name,
			 t->columns[j->right_column].name);
		return listed_has(v->listed, listed_cell_key(LISTED_KEPT, t->name, both, key, strlen(key)), NULL);
	}
	return false;
}

static void tell(struct worker *w, const struct reference *r, const char *key, const char *value)
{
	const struct schema *s = &w->v->plan->schema;
	const struct schema_table *t = &s->tables[r->table];
	struct buf detail;

	buf_init(&detail, 0);
	buf_printf(&detail, "no row of %s has %s", s->tables[r->ref_table].name, value);
	found_add(w->found, &(struct validate_finding){.kind = FOUND_ORPHAN,
						       .table = t->name,
						       .collection = t->collection,
						       .key = key,
						       .column = t->columns[r->column].name,
						       .detail = buf_cstr(&detail)});
	buf_free(&detail);
}

/* One by one, up to a limit; the rest is told as a number. */
static bool list_orphans(struct worker *w, const struct reference *r, uint64_t n, struct err *err)
{
	const struct schema *s = &w->v->plan->schema;
	const struct schema_table *t = &s->tables[r->table];
	_cleanup_(pg_result_freep) struct pg_result *res = NULL;
	_cleanup_(buf_free) struct buf sql = {0};
	uint64_t told = 0;

	buf_puts(&sql, "SELECT ");
	put_key(&sql, t);
	buf_puts(&sql, ", ");
	if (t->columns[r->column].type.array) {
		buf_puts(&sql, "e.v");
	} else {
		buf_puts(&sql, "c.");
		sql_ident(&sql, t->columns[r->column].name);
	}
	buf_puts(&sql, "::text");
	put_orphans(&sql, w->v, r);
	if (r->policy != ORPHAN_KEEP)
		buf_printf(&sql, " LIMIT %d", LISTED_ORPHANS);
	if (!pg_query(w->pg, buf_cstr(&sql), NULL, 0, &res, err))
		return false;
	for (int i = 0; i < pg_rows(res); i++)
		if (!is_kept(w->v, r, pg_get(res, i, 0))) {
			tell(w, r, pg_get(res, i, 0), pg_get(res, i, 1));
			told++;
		}
	if (r->policy != ORPHAN_KEEP && n > told)
		found_note(w->found, "%s.%s: %llu orphans in all, %llu of them listed", t->name,
			   t->columns[r->column].name, (unsigned long long)n, (unsigned long long)told);
	return true;
}

bool reference_check(struct worker *w, const struct reference *r, struct err *err)
{
	const struct schema *s = &w->v->plan->schema;
	const struct schema_table *t = &s->tables[r->table];
	_cleanup_(pg_result_freep) struct pg_result *res = NULL;
	_cleanup_(buf_free) struct buf sql = {0};
	uint64_t n;

	if (!w->v->exists[r->table] || !w->v->exists[r->ref_table] || (!r->checked && is_a_key(t, r->column)))
		return true;
	buf_puts(&sql, "SELECT count(*)");
	put_orphans(&sql, w->v, r);
	if (!pg_query(w->pg, buf_cstr(&sql), NULL, 0, &res, err))
		return err_where(err, "references of %s.%s", t->name, t->columns[r->column].name);
	n = (uint64_t)pg_get_i64(res, 0, 0);
	if (n > 0 && r->checked && !list_orphans(w, r, n, err))
		return false;
	pthread_mutex_lock(&w->v->lock);
	w->v->layer_checked[LAYER_REFERENCES]++;
	pthread_mutex_unlock(&w->v->lock);
	if (n == 0 || r->checked)
		return true;
	found_note(w->found, "%s.%s: %llu ids point to no row of %s, which the mapping allows (constraint: false)",
		   t->name, t->columns[r->column].name, (unsigned long long)n, s->tables[r->ref_table].name);
	return true;
}

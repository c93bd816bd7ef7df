/* sink_fixes.c - see sink_fixes.h, and sink_apply_fixes of sink_existing.h. */
#include "sink_fixes.h"

#include <stdio.h>

static void add(struct sink_differences *d, struct buf *sql)
{
	const char *text = buf_cstr(sql);
	for (size_t i = 0; i < d->nfixes; i++)
		if (strcmp(d->fixes[i], text) == 0)
			return;
	const char **more = arena_alloc(d->arena, (d->nfixes + 1) * sizeof *more);
	if (d->nfixes > 0)
		memcpy(more, d->fixes, d->nfixes * sizeof *more);
	more[d->nfixes++] = arena_strdup(d->arena, text);
	d->fixes = more;
}

static void put_alter_column(struct buf *sql, const struct fix_place *at, const char *column)
{
	buf_puts(sql, "ALTER TABLE ");
	sql_table(sql, at->s, &at->s->tables[at->table]);
	buf_puts(sql, " ALTER COLUMN ");
	sql_ident(sql, column);
}

static bool is_in_key(const struct fix_place *at, const char *column)
{
	for (size_t i = 0; i < at->c->nobjects; i++) {
		const struct catalog_object *o = &at->c->objects[i];
		for (size_t k = 0; o->kind == CATALOG_PRIMARY_KEY && o->table == at->table && k < o->ncolumns; k++)
			if (strcmp(o->columns[k], column) == 0)
				return true;
	}
	return false;
}

void fix_not_null(const struct fix_place *at, const struct catalog_column *have)
{
	_cleanup_(buf_free) struct buf sql = {0};
	if (have->is_identity || have->domain_not_null || is_in_key(at, have->name))
		return; /* NOT NULL is not the column's own there */
	put_alter_column(&sql, at, have->name);
	buf_puts(&sql, " DROP NOT NULL");
	add(at->d, &sql);
}

/* Types of one kind, of which the wider one means the same to an application. */
static bool is_same_kind(const struct pgtype *from, const struct pgtype *to)
{
	static const struct {
		enum pgt from, to;
	} kinds[] = {{PGT_INT2, PGT_INT4},
		     {PGT_INT2, PGT_INT8},
		     {PGT_INT4, PGT_INT8},
		     {PGT_FLOAT4, PGT_FLOAT8},
		     {PGT_VARCHAR, PGT_TEXT}};
	bool same = from->base == to->base && from->base != PGT_ENUM && from->base != PGT_VECTOR;
	for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
		same |= kinds[i].from == from->base && kinds[i].to == to->base;
	return same && from->array == to->array;
}

void fix_type(const struct fix_place *at, const struct schema_column *col, const struct catalog_column *have)
{
	_cleanup_(buf_free) struct buf sql = {0};
	if (have->is_domain || col->type.domain != NULL || !is_same_kind(&have->type, &col->type))
		return;
	put_alter_column(&sql, at, have->name);
	buf_puts(&sql, " TYPE ");
	pgtype_sql(&sql, &col->type, NULL);
	if (have->collation != NULL)
		buf_printf(&sql, " COLLATE %s", have->collation);
	add(at->d, &sql);
}

/* --- labels --- */

static bool has_label(const struct catalog_enum *e, const char *label)
{
	for (size_t i = 0; i < e->nlabels; i++)
		if (strcmp(e->labels[i], label) == 0)
			return true;
	return false;
}

/* After the label before it, which is there by then; the first one before the next that is there. */
static void put_neighbour(struct buf *sql, const struct schema_enum *want, const struct catalog_enum *have, size_t at)
{
	size_t next = at + 1;
	while (at == 0 && next < want->nlabels && !has_label(have, want->labels[next]))
		next++;
	if (at == 0 && next >= want->nlabels)
		return;
	buf_puts(sql, at > 0 ? " AFTER " : " BEFORE ");
	sql_literal(sql, want->labels[at > 0 ? at - 1 : next]);
}

void fix_labels(const struct fix_place *at, const struct schema_enum *want, const struct catalog_enum *have)
{
	for (size_t i = 0; i < want->nlabels; i++) {
		_cleanup_(buf_free) struct buf sql = {0};
		if (has_label(have, want->labels[i]))
			continue;
		buf_puts(&sql, "ALTER TYPE ");
		sql_ident(&sql, have->schema);
		buf_putc(&sql, '.');
		sql_ident(&sql, have->name);
		buf_puts(&sql, " ADD VALUE ");
		sql_literal(&sql, want->labels[i]);
		put_neighbour(&sql, want, have, i);
		add(at->d, &sql);
	}
}

/* --- the column for what is not mapped --- */

void fix_missing(const struct fix_place *at, const struct schema_column *col)
{
	_cleanup_(buf_free) struct buf sql = {0};
	if (!col->exact || col->type.base != PGT_JSONB)
		return;
	buf_puts(&sql, "ALTER TABLE ");
	sql_table(&sql, at->s, &at->s->tables[at->table]);
	buf_puts(&sql, " ADD COLUMN ");
	sql_ident(&sql, col->name);
	buf_puts(&sql, " jsonb");
	add(at->d, &sql);
}

/* --- running them --- */

static bool run(struct pg *pg, const char *sql, struct err *err)
{
	if (pg_exec(pg, sql, err))
		return true;
	err_where(err, "%s", sql);
	return err_hint(err, "none of the fixes was made; put what stands in the way aside and try again, or make by "
			     "hand those that you want");
}

bool sink_apply_fixes(struct pg *pg, const struct sink_differences *d, double lock_seconds, struct err *err)
{
	bool ok = pg_begin(pg, true, err) &&
		  pg_execf(pg, err, "SET LOCAL lock_timeout = %lld", (long long)(lock_seconds * 1000));
	for (size_t i = 0; ok && i < d->nfixes; i++)
		ok = run(pg, d->fixes[i], err);
	if (ok && pg_commit(pg, err))
		return true;
	pg_rollback(pg);
	return false;
}

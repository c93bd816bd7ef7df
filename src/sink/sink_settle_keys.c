/* sink_settle_keys.c - duplicates: of the primary key (loaded anew by the engine) and of unique indexes.
 *
 * The index build itself is the search: when it succeeds nothing more is done. Which row stays depends on the keys
 * only: the lowest, or by policy the highest.
 */
#include <stdio.h>

#include "sink_settle.h"

#define UNIQUE_VIOLATION "23505"

bool sink_begin_settle(struct pg *pg, struct err *err)
{
	/* Sorts and hash tables of settling are few and big; JIT only costs here. The output settings fix what
	 * row_text and key texts look like. */
	return pg_exec(
		pg,
		"SET LOCAL statement_timeout = 0; SET LOCAL lock_timeout = 0;"
		" SET LOCAL idle_in_transaction_session_timeout = 0; SET LOCAL jit = off;"
		" SET LOCAL timezone = 'UTC'; SET LOCAL datestyle = 'ISO, YMD'; SET LOCAL bytea_output = 'hex';"
		" SET LOCAL intervalstyle = 'postgres'; SET LOCAL extra_float_digits = 1;"
		" SELECT set_config(name, greatest(pg_size_bytes(current_setting(name)), floor) / 1024 || 'kB', true)"
		" FROM (VALUES ('work_mem', 134217728), ('maintenance_work_mem', 268435456)) v(name, floor)",
		err);
}

/* --- primary keys --- */

bool sink_add_primary_key(struct pg *pg, const struct schema *s, int table, struct err *err)
{
	_cleanup_(buf_free) struct buf sql;
	buf_init(&sql, 0);
	if (s->tables[table].nprimary_key == 0)
		return true;
	schema_sql_primary_key(&sql, s, &s->tables[table]);
	return pg_exec(pg, buf_cstr(&sql), err);
}

bool sink_try_primary_key(struct pg *pg, const struct schema *s, int table, bool *duplicates, struct err *err)
{
	_cleanup_(buf_free) struct buf sql;
	buf_init(&sql, 0);
	*duplicates = false;
	if (s->tables[table].nprimary_key == 0)
		return true;
	schema_sql_primary_key(&sql, s, &s->tables[table]);
	return sink_try(pg, buf_cstr(&sql), UNIQUE_VIOLATION, duplicates, err);
}

static void put_key_columns(struct buf *sql, const struct schema_table *t)
{
	for (size_t i = 0; i < t->nprimary_key; i++) {
		buf_puts(sql, i > 0 ? ", " : "");
		sql_column(sql, ROW_ALIAS, t, t->primary_key[i]);
	}
}

bool sink_duplicate_keys(struct pg *pg, const struct schema *s, int table, size_t limit, struct arena *a,
			 const char ***keys, size_t *n, struct err *err)
{
	const struct schema_table *t = &s->tables[table];
	_cleanup_(buf_free) struct buf sql;
	_cleanup_(pg_result_freep) struct pg_result *r = NULL;
	buf_init(&sql, 0);
	*n = 0;
	*keys = NULL;
	if (t->nprimary_key == 0)
		return true;
	buf_puts(&sql, "SELECT ");
	sql_key_text(&sql, ROW_ALIAS, t);
	buf_puts(&sql, " FROM ");
	sql_table(&sql, s, t);
	buf_puts(&sql, " AS " ROW_ALIAS " GROUP BY ");
	put_key_columns(&sql, t);
	buf_puts(&sql, " HAVING count(*) > 1 ORDER BY ");
	sql_key_order(&sql, ROW_ALIAS, t, false);
	buf_printf(&sql, " LIMIT %zu", limit);
	if (!pg_query(pg, buf_cstr(&sql), NULL, 0, &r, err))
		return false;
	*n = (size_t)pg_rows(r);
	*keys = arena_alloc(a, (*n + 1) * sizeof **keys);
	for (size_t i = 0; i < *n; i++)
		(*keys)[i] = arena_strdup(a, pg_get(r, (int)i, 0));
	return true;
}

/* An array literal of texts: {"a","b\"c"}. */
static void put_array(struct buf *out, const char *const *texts, size_t n)
{
	buf_putc(out, '{');
	for (size_t i = 0; i < n; i++) {
		buf_puts(out, i > 0 ? ",\"" : "\"");
		for (const char *p = texts[i]; *p != '\0'; p++) {
			if (*p == '"' || *p == '\\')
				buf_putc(out, '\\');
			buf_putc(out, *p);
		}
		buf_putc(out, '"');
	}
	buf_putc(out, '}');
}

/* Links of child tables to rows that go: a query of the values of column `link` of the rows that `where` picks. */
static bool delete_children(struct pg *pg, const struct schema *s, int table, const char *where,
			    const struct pg_param *keys, struct sink_deleted *deleted, struct err *err)
{
	uint64_t n;
	for (size_t c = 0; c < s->ntables; c++) {
		const struct schema_table *child = &s->tables[c];
		int link = child->parent_table == table ? sink_link_column(s, child) : -1;
		if (link < 0)
			continue;
		_cleanup_(buf_free) struct buf pick;
		_cleanup_(buf_free) struct buf sql;
		buf_init(&pick, 0);
		buf_init(&sql, 0);
		sql_column(&pick, ROW_ALIAS, child, child->parent_column);
		buf_puts(&pick, " IN (SELECT ");
		sql_column(&pick, ROW_ALIAS, &s->tables[table], link);
		buf_puts(&pick, " FROM ");
		sql_table(&pick, s, &s->tables[table]);
		buf_printf(&pick, " AS " ROW_ALIAS " WHERE %s)", where);
		buf_puts(&sql, "DELETE FROM ");
		sql_table(&sql, s, child);
		buf_printf(&sql, " AS " ROW_ALIAS " WHERE %s", buf_cstr(&pick));
		if (!delete_children(pg, s, (int)c, buf_cstr(&pick), keys, deleted, err) ||
		    !pg_run(pg, buf_cstr(&sql), keys, 1, &n, err))
			return false;
		deleted->by_table[c] += n;
	}
	return true;
}

static bool delete_pairs_of(struct pg *pg, size_t junction, char side, const struct pg_param *keys, uint64_t *deleted,
			    struct err *err)
{
	char sql[160];
	uint64_t n;
	snprintf(sql, sizeof sql, "DELETE FROM docrow.pairs_%zu WHERE side = '%c' AND %c::text = ANY($1::text[])",
		 junction, side, side == 'L' ? 'l' : 'r');
	if (!pg_run(pg, sql, keys, 1, &n, err))
		return false;
	*deleted += n;
	return true;
}

/* Pairs that documents with these keys named: side L when the table is the left one, R when it is the right. */
static bool delete_pairs(struct pg *pg, const struct schema *s, int table, const struct pg_param *keys,
			 struct sink_deleted *deleted, struct err *err)
{
	for (size_t j = 0; j < s->njunctions; j++) {
		const struct schema_junction *p = &s->junctions[j];
		if (p->left_table == table && p->left_collection != NULL &&
		    !delete_pairs_of(pg, j, 'L', keys, &deleted->left[j], err))
			return false;
		if (p->right_table == table && p->right_collection != NULL &&
		    !delete_pairs_of(pg, j, 'R', keys, &deleted->right[j], err))
			return false;
	}
	return true;
}

bool sink_delete_keys(struct pg *pg, const struct schema *s, int table, const char *const *keys, size_t n,
		      struct sink_deleted *deleted, struct err *err)
{
	_cleanup_(buf_free) struct buf array;
	_cleanup_(buf_free) struct buf where;
	_cleanup_(buf_free) struct buf sql;
	buf_init(&array, 0);
	buf_init(&where, 0);
	buf_init(&sql, 0);
	uint64_t rows;
	if (n == 0)
		return true;
	put_array(&array, keys, n);
	struct pg_param param = PG_TEXT(buf_cstr(&array));
	sql_key_text(&where, ROW_ALIAS, &s->tables[table]);
	buf_puts(&where, " = ANY($1::text[])");
	buf_puts(&sql, "DELETE FROM ");
	sql_table(&sql, s, &s->tables[table]);
	buf_printf(&sql, " AS " ROW_ALIAS " WHERE %s", buf_cstr(&where));
	if (!delete_children(pg, s, table, buf_cstr(&where), &param, deleted, err) ||
	    !delete_pairs(pg, s, table, &param, deleted, err) || !pg_run(pg, buf_cstr(&sql), &param, 1, &rows, err))
		return false;
	deleted->rows += rows;
	return true;
}

/* --- unique indexes --- */

static void put_index_keys(struct buf *out, const struct schema_index *i)
{
	if (i->expression != NULL)
		buf_puts(out, i->expression);
	for (size_t k = 0; i->expression == NULL && k < i->ncolumns; k++) {
		buf_puts(out, k > 0 ? ", " : "");
		sql_ident(out, i->columns[k]);
	}
}

/* Rows that the index holds. */
static void put_indexed(struct buf *out, const struct schema_index *i, const char *keys)
{
	if (i->nulls_not_distinct)
		buf_puts(out, "true");
	else
		buf_printf(out, "num_nulls(%s) = 0", keys);
	if (i->where != NULL)
		buf_printf(out, " AND (%s)", i->where);
}

/* Only groups of more than one row go into the window: the rest of a big table is not sorted. */
static void put_groups_only(struct buf *out, const struct schema *s, const struct schema_table *t,
			    const struct schema_index *i, const char *keys)
{
	if (i->nulls_not_distinct)
		return;
	buf_printf(out, " AND ROW(%s) IN (SELECT %s FROM ", keys, keys);
	sql_table(out, s, t);
	buf_puts(out, " WHERE ");
	put_indexed(out, i, keys);
	buf_printf(out, " GROUP BY %s HAVING count(*) > 1)", keys);
}

static void put_subject(struct buf *out, const struct schema_index *i)
{
	_cleanup_(buf_free) struct buf text;
	buf_init(&text, 0);
	buf_printf(&text, " (unique index %s)", i->name);
	sql_literal(out, buf_cstr(&text));
}

/* "<id> has the same email as <id>, which stays (unique index Users_email_key)" */
static void put_duplicates(struct buf *out, const struct settle *st, const struct schema_table *t,
			   const struct schema_index *i)
{
	_cleanup_(buf_free) struct buf keys;
	_cleanup_(buf_free) struct buf id;
	_cleanup_(buf_free) struct buf what;
	buf_init(&keys, 0);
	buf_init(&id, 0);
	buf_init(&what, 0);
	put_index_keys(&keys, i);
	sql_document_id(&id, SQL_ID_TEXT, ROW_ALIAS, t, st->run);
	buf_printf(&what, " has the same ");
	for (size_t k = 0; k < i->ncolumns; k++)
		buf_printf(&what, "%s%s", k > 0 ? ", " : "", i->columns[k]);
	buf_printf(&what, "%s as ", i->ncolumns == 0 ? "key" : "");

	buf_printf(out, "SELECT spot, coalesce(own, '') || ");
	sql_literal(out, buf_cstr(&what));
	buf_puts(out, " || coalesce(kept, 'another row') || ', which stays' || ");
	put_subject(out, i);
	buf_puts(out, " AS message, NULL::bytea AS value, NULL::text AS value_text FROM (SELECT " ROW_ALIAS
		      ".ctid AS spot, row_number() OVER w AS place, ");
	buf_printf(out, "%s AS own, first_value(%s) OVER w AS kept FROM ", buf_cstr(&id), buf_cstr(&id));
	sql_table(out, st->s, t);
	buf_puts(out, " AS " ROW_ALIAS " WHERE ");
	put_indexed(out, i, buf_cstr(&keys));
	put_groups_only(out, st->s, t, i, buf_cstr(&keys));
	buf_printf(out, " WINDOW w AS (PARTITION BY %s ORDER BY ", buf_cstr(&keys));
	sql_key_order(out, ROW_ALIAS, t, i->duplicates == DUP_LAST);
	buf_puts(out, ")) docrow_w WHERE place > 1");
}

bool sink_settle_unique(struct pg *pg, const struct schema *s, int table, int index, int64_t run, int64_t step,
			struct ledger *l, struct err *err)
{
	const struct schema_table *t = &s->tables[table];
	const struct schema_index *i = &t->indexes[index];
	struct settle st = {.pg = pg, .s = s, .run = run, .step = step, .ledger = l, .err = err};
	_cleanup_(buf_free) struct buf create;
	_cleanup_(buf_free) struct buf rows;
	bool duplicates;
	buf_init(&create, 0);
	buf_init(&rows, 0);
	schema_sql_index(&create, s, t, i);
	if (!sink_try(pg, buf_cstr(&create), UNIQUE_VIOLATION, &duplicates, err))
		return false;
	if (!duplicates)
		return true;
	put_duplicates(&rows, &st, t, i);
	struct removal r = {.table = table,
			    .column = i->ncolumns == 1 ? i->columns[0] : NULL,
			    .fault = FAULT_DUPLICATE,
			    .drop = i->duplicates != DUP_REJECT,
			    .path = i->name,
			    .rows = buf_cstr(&rows)};
	return settle_remove(&st, &r, NULL) && pg_exec(pg, buf_cstr(&create), err);
}

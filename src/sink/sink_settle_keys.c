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
	_cleanup_(buf_free) struct buf sql = {0};
	if (s->tables[table].nprimary_key == 0 || s->tables[table].stage != NULL)
		return true;
	schema_sql_primary_key(&sql, s, &s->tables[table]);
	return pg_exec(pg, buf_cstr(&sql), err);
}

static void put_key_columns(struct buf *sql, const struct schema_table *t)
{
	for (size_t i = 0; i < t->nprimary_key; i++) {
		buf_puts(sql, i > 0 ? ", " : "");
		sql_column(sql, ROW_ALIAS, t, t->primary_key[i]);
	}
}

/* The statements that follow join the stage with others: how many rows it has is enough to know, and the rest of wide
 * rows takes long to look at. */
static bool analyze_stage(struct pg *pg, const struct schema_table *t, struct err *err)
{
	_cleanup_(buf_free) struct buf sql = {0};
	buf_printf(&sql, "ANALYZE %s (", t->stage);
	for (size_t i = 0; i < t->nprimary_key; i++) {
		buf_puts(&sql, i > 0 ? ", " : "");
		sql_ident(&sql, t->columns[t->primary_key[i]].name);
	}
	buf_putc(&sql, ')');
	return pg_exec(pg, buf_cstr(&sql), err);
}

/* A stage gets no index: it would be built for one search only. */
static bool search_stage(struct pg *pg, const struct schema_table *t, bool *duplicates, struct err *err)
{
	_cleanup_(buf_free) struct buf sql = {0};
	uint64_t n = 0;
	buf_printf(&sql, "SELECT count(*) FROM (SELECT FROM %s AS " ROW_ALIAS " GROUP BY ", t->stage);
	put_key_columns(&sql, t);
	buf_puts(&sql, " HAVING count(*) > 1 LIMIT 1) x");
	bool ok = analyze_stage(pg, t, err) && sink_counts(pg, buf_cstr(&sql), &n, 1, err);
	*duplicates = n > 0;
	return ok;
}

bool sink_try_primary_key(struct pg *pg, const struct schema *s, int table, bool *duplicates, struct err *err)
{
	_cleanup_(buf_free) struct buf sql = {0};
	*duplicates = false;
	if (s->tables[table].nprimary_key == 0)
		return true;
	if (s->tables[table].stage != NULL)
		return search_stage(pg, &s->tables[table], duplicates, err);
	schema_sql_primary_key(&sql, s, &s->tables[table]);
	return sink_try(pg, buf_cstr(&sql), UNIQUE_VIOLATION, duplicates, err);
}

bool sink_duplicate_keys(struct pg *pg, const struct schema *s, int table, size_t limit, struct arena *a,
			 const char ***keys, size_t *n, struct err *err)
{
	const struct schema_table *t = &s->tables[table];
	_cleanup_(buf_free) struct buf sql = {0};
	_cleanup_(pg_result_freep) struct pg_result *r = NULL;
	*n = 0;
	*keys = NULL;
	if (t->nprimary_key == 0)
		return true;
	/* One value can have several texts (numeric, citext): any of them will do, the same one each time. */
	buf_puts(&sql, "SELECT min(");
	sql_key_text(&sql, ROW_ALIAS, t);
	buf_puts(&sql, " COLLATE \"C\") FROM ");
	sql_rows(&sql, s, t);
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

/* column = any of the keys in $n, as values of their type. */
static void put_is_key(struct buf *out, const struct schema *s, const struct pgtype *type, const char *column, int n)
{
	buf_printf(out, "%s = ANY($%d::text[]::", column, n);
	pgtype_sql(out, type, s->name);
	buf_puts(out, "[])");
}

/* The rows of a table that have one of the keys in $1. Keys of several columns are compared as texts. */
static void put_has_key(struct buf *out, const struct schema *s, const struct schema_table *t)
{
	_cleanup_(buf_free) struct buf column = {0};
	if (t->nprimary_key == 1) {
		sql_column(&column, ROW_ALIAS, t, t->primary_key[0]);
		put_is_key(out, s, &t->columns[t->primary_key[0]].type, buf_cstr(&column), 1);
	} else {
		sql_key_text(out, ROW_ALIAS, t);
		buf_puts(out, " = ANY($1::text[])");
	}
}

bool sink_match_keys(struct pg *pg, const struct schema *s, int table, const char *const *texts, size_t ntexts,
		     const char *const *keys, size_t nkeys, int *match, struct err *err)
{
	const struct schema_table *t = &s->tables[table];
	_cleanup_(pg_result_freep) struct pg_result *r = NULL;
	_cleanup_(buf_free) struct buf sql = {0}, type = {0}, a = {0}, b = {0};
	struct buf *bufs[] = {&sql, &type, &a, &b};
	for (size_t i = 0; i < sizeof bufs / sizeof bufs[0]; i++)
		buf_init(bufs[i], 0);
	for (size_t i = 0; i < ntexts; i++)
		match[i] = -1;
	if (ntexts == 0 || nkeys == 0)
		return true;
	put_array(&a, texts, ntexts);
	put_array(&b, keys, nkeys);
	if (t->nprimary_key == 1)
		pgtype_sql(&type, &t->columns[t->primary_key[0]].type, s->name);
	else
		buf_puts(&type, "text");
	buf_printf(&sql,
		   "SELECT d.i, k.i FROM unnest($1::text[]) WITH ORDINALITY AS d(t, i) JOIN unnest($2::text[]) WITH"
		   " ORDINALITY AS k(t, i) ON d.t::%s = k.t::%s",
		   buf_cstr(&type), buf_cstr(&type));
	struct pg_param params[] = {PG_TEXT(buf_cstr(&a)), PG_TEXT(buf_cstr(&b))};
	if (!pg_query(pg, buf_cstr(&sql), params, 2, &r, err))
		return false;
	for (int i = 0; i < pg_rows(r); i++)
		match[pg_get_i64(r, i, 0) - 1] = (int)pg_get_i64(r, i, 1) - 1;
	return true;
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
		_cleanup_(buf_free) struct buf pick = {0};
		_cleanup_(buf_free) struct buf sql = {0};
		sql_column(&pick, ROW_ALIAS, child, child->parent_column);
		buf_puts(&pick, " IN (SELECT ");
		sql_column(&pick, ROW_ALIAS, &s->tables[table], link);
		buf_puts(&pick, " FROM ");
		sql_rows(&pick, s, &s->tables[table]);
		buf_printf(&pick, " AS " ROW_ALIAS " WHERE %s)", where);
		buf_puts(&sql, "DELETE FROM ");
		sql_rows(&sql, s, child);
		buf_printf(&sql, " AS " ROW_ALIAS " WHERE %s", buf_cstr(&pick));
		if (!delete_children(pg, s, (int)c, buf_cstr(&pick), keys, deleted, err) ||
		    !pg_run(pg, buf_cstr(&sql), keys, 1, &n, err))
			return false;
		deleted->by_table[c] += n;
	}
	return true;
}

static bool delete_pairs_of(struct pg *pg, const struct schema *s, size_t junction, char side,
			    const struct pg_param *keys, uint64_t *deleted, struct err *err)
{
	const struct schema_junction *j = &s->junctions[junction];
	bool left = side == 'L';
	_cleanup_(buf_free) struct buf sql = {0};
	uint64_t n;
	buf_printf(&sql, "DELETE FROM docrow.pairs_%zu WHERE side = '%c' AND ", junction, side);
	put_is_key(&sql, s, &s->tables[j->table].columns[left ? j->left_column : j->right_column].type,
		   left ? "l" : "r", 1);
	if (!pg_run(pg, buf_cstr(&sql), keys, 1, &n, err))
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
		    !delete_pairs_of(pg, s, j, 'L', keys, &deleted->left[j], err))
			return false;
		if (p->right_table == table && p->right_collection != NULL &&
		    !delete_pairs_of(pg, s, j, 'R', keys, &deleted->right[j], err))
			return false;
	}
	return true;
}

bool sink_delete_keys(struct pg *pg, const struct schema *s, int table, const char *const *keys, size_t n,
		      struct sink_deleted *deleted, struct err *err)
{
	_cleanup_(buf_free) struct buf array = {0};
	_cleanup_(buf_free) struct buf where = {0};
	_cleanup_(buf_free) struct buf sql = {0};
	uint64_t rows;
	if (n == 0)
		return true;
	put_array(&array, keys, n);
	struct pg_param param = PG_TEXT(buf_cstr(&array));
	put_has_key(&where, s, &s->tables[table]);
	buf_puts(&sql, "DELETE FROM ");
	sql_rows(&sql, s, &s->tables[table]);
	buf_printf(&sql, " AS " ROW_ALIAS " WHERE %s", buf_cstr(&where));
	if (!delete_children(pg, s, table, buf_cstr(&where), &param, deleted, err) ||
	    !delete_pairs(pg, s, table, &param, deleted, err) || !pg_run(pg, buf_cstr(&sql), &param, 1, &rows, err))
		return false;
	deleted->rows += rows;
	return true;
}

/* --- duplicates that are settled here --- */

/* Rows that have the same of something. */
struct same {
	const struct schema_table *table;
	const char *keys;   /* SQL: columns or expressions, comma-separated      */
	const char *which;  /* SQL condition: rows that count                    */
	bool nulls;         /* NULLs count as equal                              */
	const char *order;  /* SQL: the first row of each group stays            */
	const char *what;   /* "email, team"                                     */
	const char *reason; /* " (unique index Users_email_key)"                 */
};

/* Only groups of more than one row go into the window: the rest of a big table is not sorted. */
static void put_groups_only(struct buf *out, const struct settle *st, const struct same *d)
{
	if (d->nulls)
		return;
	buf_printf(out, " AND ROW(%s) IN (SELECT %s FROM ", d->keys, d->keys);
	sql_rows(out, st->s, d->table);
	buf_printf(out, " WHERE %s GROUP BY %s HAVING count(*) > 1)", d->which, d->keys);
}

static void put_message(struct buf *out, const struct same *d)
{
	_cleanup_(buf_free) struct buf text = {0};
	buf_printf(&text, " has the same %s as ", d->what);
	buf_puts(out, "coalesce(own, 'a row') || ");
	sql_literal(out, buf_cstr(&text));
	buf_puts(out, " || coalesce(kept, 'another row') || ', which stays' || ");
	sql_literal(out, d->reason);
}

/* All but the first of each group: "<id> has the same email as <id>, which stays (unique index Users_email_key)" */
static void put_duplicates(struct buf *out, const struct settle *st, const struct same *d)
{
	_cleanup_(buf_free) struct buf id = {0};
	sql_document_id(&id, SQL_ID_TEXT, ROW_ALIAS, st->s, d->table, st->run);
	buf_puts(out, "SELECT spot, ");
	put_message(out, d);
	buf_puts(out, " AS message, NULL::bytea AS value, NULL::text AS value_text FROM (SELECT " ROW_ALIAS
		      ".ctid AS spot, row_number() OVER w AS place, ");
	buf_printf(out, "%s AS own, first_value(%s) OVER w AS kept FROM ", buf_cstr(&id), buf_cstr(&id));
	sql_rows(out, st->s, d->table);
	buf_printf(out, " AS " ROW_ALIAS " WHERE %s", d->which);
	put_groups_only(out, st, d);
	buf_printf(out, " WINDOW w AS (PARTITION BY %s ORDER BY %s)) docrow_w WHERE place > 1", d->keys, d->order);
}

/* --- unique indexes --- */

void unique_put_keys(struct buf *out, const struct schema_index *i)
{
	if (i->expression != NULL)
		buf_puts(out, i->expression);
	for (size_t k = 0; i->expression == NULL && k < i->ncolumns; k++) {
		buf_puts(out, k > 0 ? ", " : "");
		sql_ident(out, i->columns[k]);
	}
}

void unique_put_which(struct buf *out, const struct schema_index *i, const char *keys)
{
	if (i->nulls_not_distinct)
		buf_puts(out, "true");
	else
		buf_printf(out, "num_nulls(%s) = 0", keys);
	if (i->where != NULL)
		buf_printf(out, " AND (%s)", i->where);
}

void unique_put_what(struct buf *out, const struct schema_index *i)
{
	for (size_t k = 0; k < i->ncolumns; k++)
		buf_printf(out, "%s%s", k > 0 ? ", " : "", i->columns[k]);
	if (i->ncolumns == 0)
		buf_puts(out, "key");
}

static void put_index_duplicates(struct buf *out, const struct settle *st, const struct schema_table *t,
				 const struct schema_index *i)
{
	_cleanup_(buf_free) struct buf keys = {0}, which = {0}, order = {0}, what = {0}, reason = {0};
	unique_put_keys(&keys, i);
	unique_put_which(&which, i, buf_cstr(&keys));
	sql_key_order(&order, ROW_ALIAS, t, i->duplicates == DUP_LAST);
	unique_put_what(&what, i);
	buf_printf(&reason, " (unique index %s)", i->name);
	put_duplicates(out, st,
		       &(struct same){.table = t,
				      .keys = buf_cstr(&keys),
				      .which = buf_cstr(&which),
				      .nulls = i->nulls_not_distinct,
				      .order = buf_cstr(&order),
				      .what = buf_cstr(&what),
				      .reason = buf_cstr(&reason)});
}

bool sink_settle_unique(struct pg *pg, const struct schema *s, int table, int index, int64_t run, int64_t step,
			struct ledger *l, struct err *err)
{
	const struct schema_table *t = &s->tables[table];
	const struct schema_index *i = &t->indexes[index];
	struct settle st = {.pg = pg, .s = s, .run = run, .step = step, .ledger = l, .err = err};
	_cleanup_(buf_free) struct buf create = {0};
	_cleanup_(buf_free) struct buf rows = {0};
	bool duplicates = true; /* of a stage the statement below finds out */
	schema_sql_index(&create, s, t, i);
	if (t->stage == NULL && !sink_try(pg, buf_cstr(&create), UNIQUE_VIOLATION, &duplicates, err))
		return false;
	if (!duplicates)
		return true;
	put_index_duplicates(&rows, &st, t, i);
	struct removal r = {.table = table,
			    .column = i->ncolumns == 1 ? i->columns[0] : NULL,
			    .fault = FAULT_DUPLICATE,
			    .drop = i->duplicates != DUP_REJECT,
			    .path = i->name,
			    .rows = buf_cstr(&rows)};
	return settle_remove(&st, &r, NULL) && (t->stage != NULL || pg_exec(pg, buf_cstr(&create), err));
}

/* --- primary keys of rows that cannot be loaded anew --- */

bool sink_is_keyed_by_id(const struct schema *s, int table)
{
	const struct schema_table *t = &s->tables[table];
	return t->collection != NULL && t->parent_table < 0 && t->nprimary_key == 1 &&
	       (t->id_column == 0 || t->id_column - 1 == t->primary_key[0]);
}

/* Parent, then ordinal (or what else the key has), then the whole row: rows that are equal in all of it are the same.
 */
static void put_row_order(struct buf *out, const struct schema_table *t, bool descending)
{
	_cleanup_(buf_free) struct buf column = {0};
	const char *desc = descending ? " DESC" : "";
	if (t->parent_column >= 0) {
		sql_order_by(out, sql_column_text(&column, ROW_ALIAS, t, t->parent_column),
			     &t->columns[t->parent_column].type);
		buf_printf(out, "%s, ", desc);
		/* the ordinal, when there is one, comes right after the parent's key */
		if (t->parent_column + 1 < (int)t->ncolumns) {
			sql_order_by(out, sql_column_text(&column, ROW_ALIAS, t, t->parent_column + 1),
				     &t->columns[t->parent_column + 1].type);
			buf_printf(out, "%s, ", desc);
		}
	}
	buf_printf(out, ROW_ALIAS "::text COLLATE \"C\"%s", desc);
}

static void put_key_duplicates(struct buf *out, const struct settle *st, const struct schema_table *t)
{
	_cleanup_(buf_free) struct buf keys = {0}, order = {0}, what = {0};
	for (size_t i = 0; i < t->nprimary_key; i++) {
		buf_puts(&keys, i > 0 ? ", " : "");
		sql_ident(&keys, t->columns[t->primary_key[i]].name);
		buf_printf(&what, "%s%s", i > 0 ? ", " : "", t->columns[t->primary_key[i]].name);
	}
	put_row_order(&order, t, t->duplicates == DUP_LAST);
	put_duplicates(out, st,
		       &(struct same){.table = t,
				      .keys = buf_cstr(&keys),
				      .which = "true",
				      .order = buf_cstr(&order),
				      .what = buf_cstr(&what),
				      .reason = " (primary key)"});
}

bool sink_settle_primary_key(struct pg *pg, const struct schema *s, int table, int64_t run, int64_t step,
			     struct ledger *l, struct err *err)
{
	const struct schema_table *t = &s->tables[table];
	struct settle st = {.pg = pg, .s = s, .run = run, .step = step, .ledger = l, .err = err};
	_cleanup_(buf_free) struct buf rows = {0};
	bool duplicates;
	if (!sink_try_primary_key(pg, s, table, &duplicates, err))
		return false;
	if (!duplicates)
		return true;
	put_key_duplicates(&rows, &st, t);
	struct removal r = {.table = table,
			    .column = t->nprimary_key == 1 ? t->columns[t->primary_key[0]].name : NULL,
			    .fault = FAULT_DUPLICATE,
			    .drop = t->duplicates != DUP_REJECT,
			    .keep_children = true,
			    .path = "primary key",
			    .rows = buf_cstr(&rows)};
	return settle_remove(&st, &r, NULL) && sink_add_primary_key(pg, s, table, err);
}

/* sink_ddl.c - makes and drops the target's types, tables, keys and indexes, from the model's SQL.
 *
 * Order: sink_create → sink_resolve → rows → the steps of sink.h. Drops only what sink_create made, by name.
 */
#include <stdio.h>

#include "sink_sql.h"

static bool exec_buf(struct pg *pg, struct buf *sql, struct err *err)
{
	return pg_exec(pg, buf_cstr(sql), err);
}

/* --- create --- */

static bool create_schema(struct pg *pg, const struct schema *s, struct err *err)
{
	_cleanup_(pg_result_freep) struct pg_result *r = NULL;
	_cleanup_(buf_free) struct buf sql = {0};
	struct pg_param name = PG_TEXT(s->name);
	if (!pg_query(pg, "SELECT 1 FROM pg_catalog.pg_namespace WHERE nspname = $1", &name, 1, &r, err))
		return false;
	if (pg_rows(r) > 0)
		return true;
	buf_puts(&sql, "CREATE SCHEMA ");
	sql_ident(&sql, s->name);
	for (size_t i = 0; i < s->ngrants; i++) {
		buf_puts(&sql, "; GRANT USAGE ON SCHEMA ");
		sql_ident(&sql, s->name);
		buf_puts(&sql, " TO ");
		sql_ident(&sql, s->grants[i].role);
	}
	return exec_buf(pg, &sql, err);
}

static void put_owner(struct buf *sql, const struct schema *s, const char *what, const char *name)
{
	if (s->owner == NULL)
		return;
	buf_printf(sql, "; ALTER %s ", what);
	sql_ident(sql, s->name);
	buf_putc(sql, '.');
	sql_ident(sql, name);
	buf_puts(sql, " OWNER TO ");
	sql_ident(sql, s->owner);
}

static bool create_enum(struct pg *pg, const struct schema *s, const struct schema_enum *e, struct err *err)
{
	_cleanup_(buf_free) struct buf sql = {0};
	schema_sql_enum(&sql, s, e);
	put_owner(&sql, s, "TYPE", e->name);
	return exec_buf(pg, &sql, err) || err_where(err, "type %s", e->name);
}

static bool create_domain(struct pg *pg, const struct schema *s, const struct schema_domain *d, struct err *err)
{
	_cleanup_(buf_free) struct buf sql = {0};
	schema_sql_domain(&sql, s, d);
	put_owner(&sql, s, "DOMAIN", d->name);
	return exec_buf(pg, &sql, err) || err_where(err, "domain %s", d->name);
}

static bool create_table(struct pg *pg, const struct schema *s, const struct schema_table *t, struct err *err)
{
	_cleanup_(buf_free) struct buf sql = {0};
	schema_sql_table(&sql, s, t);
	for (size_t i = 0; i < s->ngrants; i++) {
		buf_printf(&sql, "; GRANT %s ON TABLE ", s->grants[i].privileges);
		sql_table(&sql, s, t);
		buf_puts(&sql, " TO ");
		sql_ident(&sql, s->grants[i].role);
	}
	put_owner(&sql, s, "TABLE", t->name);
	return exec_buf(pg, &sql, err) || err_where(err, "table %s", t->name);
}

/* Logged: what is staged must survive a crash as the chunks' marks do. */
static bool create_pairs(struct pg *pg, const struct schema *s, size_t junction, struct err *err)
{
	const struct schema_junction *j = &s->junctions[junction];
	const struct schema_table *t = &s->tables[j->table];
	_cleanup_(buf_free) struct buf sql = {0};
	buf_printf(&sql, "CREATE TABLE docrow.pairs_%zu (l ", junction);
	pgtype_sql(&sql, &t->columns[j->left_column].type, s->name);
	buf_puts(&sql, " NOT NULL, r ");
	pgtype_sql(&sql, &t->columns[j->right_column].type, s->name);
	buf_puts(&sql, " NOT NULL, side \"char\" NOT NULL)");
	return exec_buf(pg, &sql, err) || err_where(err, "staging table of %s", t->name);
}

bool sink_create_staging(struct pg *pg, const struct schema *s, struct err *err)
{
	for (size_t i = 0; i < s->njunctions; i++)
		if (!create_pairs(pg, s, i, err))
			return false;
	return true;
}

bool sink_create(struct pg *pg, const struct schema *s, struct err *err)
{
	if (!create_schema(pg, s, err))
		return err_where(err, "schema %s", s->name);
	for (size_t i = 0; i < s->nenums; i++)
		if (!create_enum(pg, s, &s->enums[i], err))
			return false;
	for (size_t i = 0; i < s->ndomains; i++)
		if (!create_domain(pg, s, &s->domains[i], err))
			return false;
	for (size_t i = 0; i < s->ntables; i++)
		if (!create_table(pg, s, &s->tables[i], err))
			return false;
	return sink_create_staging(pg, s, err);
}

/* --- drop --- */

bool sink_drop(struct pg *pg, const struct schema *s, struct err *err)
{
	_cleanup_(buf_free) struct buf sql = {0};
	for (size_t i = 0; i < s->ntables; i++) {
		/* in one statement, so that foreign keys among them do not matter */
		buf_puts(&sql, i == 0 ? "DROP TABLE IF EXISTS " : ", ");
		sql_table(&sql, s, &s->tables[i]);
	}
	for (size_t i = 0; i < s->njunctions; i++)
		buf_printf(&sql, ", docrow.pairs_%zu", i);
	for (size_t i = 0; i < s->ndomains; i++) {
		buf_puts(&sql, i == 0 ? "; DROP DOMAIN IF EXISTS " : ", ");
		sql_ident(&sql, s->name);
		buf_putc(&sql, '.');
		sql_ident(&sql, s->domains[i].name);
	}
	for (size_t i = 0; i < s->nenums; i++) {
		buf_puts(&sql, i == 0 ? "; DROP TYPE IF EXISTS " : ", ");
		sql_ident(&sql, s->name);
		buf_putc(&sql, '.');
		sql_ident(&sql, s->enums[i].name);
	}
	if (exec_buf(pg, &sql, err))
		return true;
	if (strcmp(err->sqlstate, "2BP01") == 0)
		err_hint(err, "drop the objects named above yourself if they are no longer needed, then try again");
	return false;
}

/* --- types --- */

static bool has_known_oid(const struct pgtype *t)
{
	bool of_domain = t->domain != NULL && t->array && t->domain_dims == 0;
	return !of_domain && t->base != PGT_ENUM && t->base != PGT_CITEXT && t->base != PGT_VECTOR;
}

static void put_type_name(struct buf *sql, const struct schema *s, const struct pgtype *t)
{
	struct pgtype element = *t;
	_cleanup_(buf_free) struct buf name = {0};
	element.array = false;
	element.dims = 0;
	if (t->domain_dims > 0 || !t->array)
		element.domain = NULL;
	element.length = -1;
	pgtype_sql(&name, &element, s->name);
	sql_literal(sql, buf_cstr(&name));
}

static bool resolve_column(struct pg *pg, const struct schema *s, struct schema_column *c, struct err *err)
{
	_cleanup_(pg_result_freep) struct pg_result *r = NULL;
	_cleanup_(buf_free) struct buf sql = {0};
	if (has_known_oid(&c->type)) {
		c->type.oid = pgt_oid(c->type.base);
		return true;
	}
	buf_puts(&sql, "SELECT pg_catalog.to_regtype(");
	put_type_name(&sql, s, &c->type);
	buf_puts(&sql, ")::oid");
	if (!pg_query(pg, buf_cstr(&sql), NULL, 0, &r, err))
		return false;
	c->type.oid = (uint32_t)pg_get_i64(r, 0, 0);
	if (c->type.base == PGT_ENUM)
		c->type.enum_index = schema_find_enum(s, c->type.enum_name);
	if (c->type.oid != 0)
		return true;
	return err_set(err, ERR_TARGET_REFUSED, "type %s is not in the target",
		       c->type.base == PGT_ENUM ? c->type.enum_name : pgt_name(c->type.base));
}

bool sink_resolve(struct pg *pg, struct schema *s, struct err *err)
{
	for (size_t t = 0; t < s->ntables; t++)
		for (size_t c = 0; c < s->tables[t].ncolumns; c++)
			if (!resolve_column(pg, s, &s->tables[t].columns[c], err))
				return err_where(err, "column %s.%s", s->tables[t].name,
						 s->tables[t].columns[c].name);
	return true;
}

/* --- indexes --- */

static bool index_exists(struct pg *pg, const struct schema *s, const char *name, bool *yes, struct err *err)
{
	_cleanup_(pg_result_freep) struct pg_result *r = NULL;
	struct pg_param params[] = {PG_TEXT(s->name), PG_TEXT(name)};
	if (!pg_query(pg,
		      "SELECT 1 FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace"
		      " WHERE n.nspname = $1 AND c.relname = $2 AND c.relkind IN ('i', 'I')",
		      params, 2, &r, err))
		return false;
	*yes = pg_rows(r) > 0;
	return true;
}

bool sink_add_index(struct pg *pg, const struct schema *s, int table, int index, struct err *err)
{
	const struct schema_index *i = &s->tables[table].indexes[index];
	_cleanup_(buf_free) struct buf sql = {0};
	bool exists = false;
	if (i->unique && !index_exists(pg, s, i->name, &exists, err))
		return false;
	if (exists)
		return true;
	schema_sql_index(&sql, s, &s->tables[table], i);
	return exec_buf(pg, &sql, err) || err_where(err, "index %s", i->name);
}

bool sink_note_refused(struct pg *pg, const struct sink_object *o, int64_t run, int64_t step,
		       const struct err *reason, struct err *err)
{
	char ids[2][24];
	snprintf(ids[0], sizeof ids[0], "%lld", (long long)run);
	snprintf(ids[1], sizeof ids[1], "%lld", (long long)step);
	struct pg_param params[] = {PG_TEXT(ids[0]),           PG_TEXT(ids[1]),         PG_TEXT(o->name),
				    PG_TEXT(o->kind),          PG_TEXT(o->definition),  PG_TEXT(o->table),
				    PG_TEXT(reason->sqlstate), PG_TEXT(reason->message)};
	return pg_run(
		pg,
		"WITH u AS (UPDATE docrow.ddl SET state = 'refused', step = $2::bigint, sqlstate = $7, reason = $8"
		" WHERE run = $1::bigint AND table_name = $6 AND object = $3 AND state = 'taken' RETURNING 1)"
		" INSERT INTO docrow.ddl (run, step, object, kind, definition, state, table_name, sqlstate,"
		" reason) SELECT $1::bigint, $2::bigint, $3, $4, $5, 'refused', $6, $7, $8"
		" WHERE NOT EXISTS (SELECT FROM u)",
		params, 8, NULL, err);
}

/* --- foreign keys --- */

bool sink_add_fkey(struct pg *pg, const struct schema *s, int table, int fkey, struct err *err)
{
	const struct schema_fkey *f = &s->tables[table].fkeys[fkey];
	_cleanup_(buf_free) struct buf sql = {0};
	schema_sql_fkey(&sql, s, &s->tables[table], f, true);
	return exec_buf(pg, &sql, err) || err_where(err, "foreign key %s", f->name);
}

bool sink_key_state(struct pg *pg, const struct schema *s, int table, int fkey, enum key_state *state,
		    struct err *err)
{
	_cleanup_(pg_result_freep) struct pg_result *r = NULL;
	const struct schema_table *t = &s->tables[table];
	struct pg_param params[] = {PG_TEXT(s->name), PG_TEXT(t->name), PG_TEXT(t->fkeys[fkey].name)};
	*state = KEY_NONE;
	if (!pg_query(pg,
		      "SELECT k.convalidated::int FROM pg_catalog.pg_constraint k"
		      " JOIN pg_catalog.pg_class c ON c.oid = k.conrelid"
		      " JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace"
		      " WHERE n.nspname = $1 AND c.relname = $2 AND k.conname = $3 AND k.contype = 'f'",
		      params, 3, &r, err))
		return false;
	if (pg_rows(r) > 0)
		*state = pg_get_i64(r, 0, 0) == 1 ? KEY_VALID : KEY_NOT_VALID;
	return true;
}

void sql_validate(struct buf *out, const struct schema *s, int table, int fkey)
{
	buf_puts(out, "ALTER TABLE ");
	sql_table(out, s, &s->tables[table]);
	buf_puts(out, " VALIDATE CONSTRAINT ");
	sql_ident(out, s->tables[table].fkeys[fkey].name);
}

static bool keeps(const struct schema_ref *r)
{
	return r->policy == ORPHAN_KEEP || (r->policy == ORPHAN_MOVE_TO && r->otherwise == ORPHAN_KEEP);
}

/* Does the mapping keep orphans of this foreign key? */
static bool is_kept(const struct schema *s, int table, int fkey)
{
	for (size_t i = 0; i < s->nrefs; i++)
		if (s->refs[i].table == table && s->refs[i].fkey == fkey && keeps(&s->refs[i]))
			return true;
	for (size_t i = 0; i < s->njunctions; i++)
		if (s->junctions[i].table == table && s->junctions[i].if_orphan == ORPHAN_KEEP)
			return true;
	return false;
}

bool sink_validate_fkey(struct pg *pg, const struct schema *s, int table, int fkey, struct err *err)
{
	const struct schema_fkey *f = &s->tables[table].fkeys[fkey];
	_cleanup_(buf_free) struct buf sql = {0};
	bool refused;
	enum key_state state;
	/* What a target brought along may have been refused, or have no policy: it stays NOT VALID, and is told. */
	bool brought = f->definition != NULL;
	if (!sink_key_state(pg, s, table, fkey, &state, err))
		return false;
	if (brought && state == KEY_NONE)
		return true;
	sql_validate(&sql, s, table, fkey);
	bool ok = brought || is_kept(s, table, fkey) ? sink_try(pg, buf_cstr(&sql), "23503", &refused, err)
						     : exec_buf(pg, &sql, err);
	return ok || err_where(err, "foreign key %s", f->name);
}

/* --- the end --- */

/* Sequences that feed columns of the table: owned ones (serial, identity) and those of a nextval default. */
static bool find_sequences(struct pg *pg, const struct schema *s, const struct schema_table *t, struct pg_result **r,
			   struct err *err)
{
	struct pg_param params[] = {PG_TEXT(s->name), PG_TEXT(t->name)};
	return pg_query(
		pg,
		"WITH t AS (SELECT c.oid FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n"
		" ON n.oid = c.relnamespace WHERE n.nspname = $1 AND c.relname = $2)"
		" SELECT DISTINCT a.attname, q.oid::regclass::text FROM t"
		" JOIN pg_catalog.pg_attribute a ON a.attrelid = t.oid AND a.attnum > 0 AND NOT a.attisdropped"
		" LEFT JOIN pg_catalog.pg_attrdef f ON f.adrelid = t.oid AND f.adnum = a.attnum"
		" JOIN pg_catalog.pg_depend d ON (d.classid = 'pg_catalog.pg_class'::regclass AND d.refclassid ="
		" 'pg_catalog.pg_class'::regclass AND d.refobjid = t.oid AND d.refobjsubid = a.attnum AND d.deptype"
		" IN ('a', 'i')) OR (d.classid = 'pg_catalog.pg_attrdef'::regclass AND d.objid = f.oid"
		" AND d.refclassid = 'pg_catalog.pg_class'::regclass)"
		" JOIN pg_catalog.pg_class q ON q.relkind = 'S' AND q.oid = CASE WHEN d.classid ="
		" 'pg_catalog.pg_class'::regclass THEN d.objid ELSE d.refobjid END ORDER BY 1, 2",
		params, 2, r, err);
}

static bool set_sequence(struct pg *pg, const struct schema *s, const struct schema_table *t, const char *column,
			 const char *sequence, struct err *err)
{
	_cleanup_(buf_free) struct buf sql = {0};
	buf_puts(&sql, "SELECT setval(");
	sql_literal(&sql, sequence);
	buf_puts(&sql, "::regclass, m) FROM (SELECT max(");
	sql_ident(&sql, column);
	buf_puts(&sql, ")::bigint AS m FROM ");
	sql_table(&sql, s, t);
	buf_printf(&sql, ") x WHERE m >= (SELECT last_value FROM %s)", sequence);
	return exec_buf(pg, &sql, err) || err_where(err, "sequence of %s.%s", t->name, column);
}

bool sink_settle_sequences(struct pg *pg, const struct schema *s, int table, struct err *err)
{
	const struct schema_table *t = &s->tables[table];
	_cleanup_(pg_result_freep) struct pg_result *r = NULL;
	if (!find_sequences(pg, s, t, &r, err))
		return false;
	for (int i = 0; i < pg_rows(r); i++)
		if (!set_sequence(pg, s, t, pg_get(r, i, 0), pg_get(r, i, 1), err))
			return false;
	return true;
}

bool sink_vacuum(struct pg *pg, const struct schema *s, int table, struct err *err)
{
	_cleanup_(buf_free) struct buf sql = {0};
	buf_puts(&sql, "VACUUM (FREEZE, ANALYZE) ");
	sql_table(&sql, s, &s->tables[table]);
	return exec_buf(pg, &sql, err) || err_where(err, "table %s", s->tables[table].name);
}

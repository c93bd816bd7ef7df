/* sink_check.c - can the target take the rows? Reads only; every message says what to do next.
 *
 * Order of the checks: what makes everything else pointless comes first (version, encoding, standby), then what the
 * role may do, then what is there already.
 */
#include "sink_existing.h"
#include "sink_sql.h"
#include "text.h"

#define OLDEST_VERSION 130000

struct check {
	struct pg *pg;
	const struct schema *s;
	struct err *err;
};

static bool check_server(struct check *c)
{
	_cleanup_(pg_result_freep) struct pg_result *r = NULL;
	int version = pg_server_version(c->pg);
	if (version < OLDEST_VERSION) {
		err_set(c->err, ERR_TARGET_VERSION, "the target is PostgreSQL %d", version / 10000);
		return err_hint(c->err, "docrow needs PostgreSQL 13 or later");
	}
	if (!pg_query(c->pg,
		      "SELECT pg_catalog.current_setting('server_encoding'), pg_catalog.pg_is_in_recovery()::int,"
		      " pg_catalog.current_database(),"
		      " pg_catalog.current_setting('default_transaction_read_only'), current_user",
		      NULL, 0, &r, c->err))
		return false;
	if (strcmp(pg_get(r, 0, 0), "UTF8") != 0) {
		err_set(c->err, ERR_TARGET_ENCODING, "database %s has the encoding %s", pg_get(r, 0, 2),
			pg_get(r, 0, 0));
		return err_hint(c->err, "create the database with ENCODING 'UTF8' TEMPLATE template0");
	}
	if (pg_get_i64(r, 0, 1) == 1) {
		err_set(c->err, ERR_TARGET_REFUSED, "the target is a standby and takes no writes");
		return err_hint(c->err, "connect to the primary (target_session_attrs=read-write in the address)");
	}
	if (strcmp(pg_get(r, 0, 3), "on") == 0) {
		err_set(c->err, ERR_TARGET_REFUSED, "default_transaction_read_only is on for role %s in database %s",
			pg_get(r, 0, 4), pg_get(r, 0, 2));
		return err_hint(
			c->err,
			"turn it off where it was set: ALTER DATABASE, ALTER ROLE, postgresql.conf, or options= "
			"in the address");
	}
	return true;
}

static bool check_features(struct check *c)
{
	for (size_t t = 0; t < c->s->ntables; t++)
		for (size_t i = 0; i < c->s->tables[t].nindexes; i++)
			if (c->s->tables[t].indexes[i].nulls_not_distinct && pg_server_version(c->pg) < 150000) {
				err_set(c->err, ERR_TARGET_VERSION, "index %s needs PostgreSQL 15 or later",
					c->s->tables[t].indexes[i].name);
				return err_hint(c->err, "leave out nulls_not_distinct");
			}
	return true;
}

/* The type's column that shows it is used, NULL if it is not. */
static const char *uses_type(const struct schema *s, enum pgt type)
{
	for (size_t t = 0; t < s->ntables; t++)
		for (size_t i = 0; i < s->tables[t].ncolumns; i++)
			if (s->tables[t].columns[i].type.base == type)
				return s->tables[t].columns[i].name;
	return NULL;
}

static bool check_extensions(struct check *c)
{
	static const enum pgt types[] = {PGT_CITEXT, PGT_VECTOR};
	for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
		_cleanup_(pg_result_freep) struct pg_result *r = NULL;
		const char *column = uses_type(c->s, types[i]), *name = pgt_name(types[i]);
		struct pg_param param = PG_TEXT(name);
		if (column == NULL)
			continue;
		if (!pg_query(c->pg, "SELECT pg_catalog.to_regtype($1)::oid", &param, 1, &r, c->err))
			return false;
		if (pg_get(r, 0, 0) != NULL)
			continue;
		err_set(c->err, ERR_TARGET_REFUSED, "type %s is not in the target", name);
		err_detail(c->err, "column %s needs it", column);
		return err_hint(c->err, "have it installed there: CREATE EXTENSION %s", name);
	}
	return true;
}

/* --- privileges --- */

static bool check_schema(struct check *c)
{
	_cleanup_(pg_result_freep) struct pg_result *r = NULL;
	struct pg_param name = PG_TEXT(c->s->name);
	if (!pg_query(c->pg,
		      "SELECT n.oid IS NOT NULL AND pg_catalog.has_schema_privilege(n.oid, 'CREATE') AND"
		      " pg_catalog.has_schema_privilege(n.oid, 'USAGE'), n.oid IS NULL AND"
		      " pg_catalog.has_database_privilege(pg_catalog.current_database(), 'CREATE'), n.oid IS NULL,"
		      " pg_catalog.quote_ident(current_user), pg_catalog.quote_ident($1),"
		      " pg_catalog.quote_ident(pg_catalog.current_database())"
		      " FROM (SELECT 1) x LEFT JOIN pg_catalog.pg_namespace n ON n.nspname = $1",
		      &name, 1, &r, c->err))
		return false;
	bool may = pg_get(r, 0, 0)[0] == 't' || pg_get(r, 0, 1)[0] == 't';
	if (may)
		return true;
	if (pg_get(r, 0, 2)[0] == 't') {
		err_set(c->err, ERR_TARGET_PRIVILEGE, "schema %s does not exist and role %s may not create it",
			pg_get(r, 0, 4), pg_get(r, 0, 3));
		return err_hint(c->err, "have an administrator run: CREATE SCHEMA %s AUTHORIZATION %s",
				pg_get(r, 0, 4), pg_get(r, 0, 3));
	}
	err_set(c->err, ERR_TARGET_PRIVILEGE, "role %s may not create tables in schema %s", pg_get(r, 0, 3),
		pg_get(r, 0, 4));
	return err_hint(c->err, "have an administrator run: GRANT CREATE, USAGE ON SCHEMA %s TO %s", pg_get(r, 0, 4),
			pg_get(r, 0, 3));
}

static bool check_role(struct check *c, const char *role, bool must_own)
{
	_cleanup_(pg_result_freep) struct pg_result *r = NULL;
	struct pg_param params[] = {PG_TEXT(role), PG_TEXT(c->s->name)};
	if (strcasecmp(role, "public") == 0 && !must_own)
		return true;
	/* the new owner of a table must be able to create in its schema, if that is there already */
	if (!pg_query(c->pg,
		      "SELECT pg_catalog.pg_has_role(current_user, r.oid, 'MEMBER'), coalesce((SELECT"
		      " pg_catalog.has_schema_privilege(r.oid, n.oid, 'CREATE') FROM pg_catalog.pg_namespace n"
		      " WHERE n.nspname = $2), true), pg_catalog.quote_ident(current_user) FROM pg_catalog.pg_roles r"
		      " WHERE r.rolname = $1",
		      params, 2, &r, c->err))
		return false;
	if (pg_rows(r) == 0) {
		err_set(c->err, ERR_TARGET_PRIVILEGE, "role %s of the mapping does not exist", role);
		return err_hint(c->err, "create it, or take it out of the mapping's target (owner, grants)");
	}
	if (must_own && pg_get(r, 0, 0)[0] != 't') {
		err_set(c->err, ERR_TARGET_PRIVILEGE, "role %s may not give tables to role %s", pg_get(r, 0, 2),
			role);
		return err_hint(c->err, "have an administrator run: GRANT %s TO %s", role, pg_get(r, 0, 2));
	}
	if (must_own && pg_get(r, 0, 1)[0] != 't') {
		err_set(c->err, ERR_TARGET_PRIVILEGE,
			"role %s, which shall own the tables, may not create in schema %s", role, c->s->name);
		return err_hint(c->err, "have an administrator run: GRANT CREATE ON SCHEMA %s TO %s", c->s->name,
				role);
	}
	return true;
}

static bool check_roles(struct check *c)
{
	if (c->s->owner != NULL && !check_role(c, c->s->owner, true))
		return false;
	for (size_t i = 0; i < c->s->ngrants; i++)
		if (!check_role(c, c->s->grants[i].role, false))
			return false;
	return true;
}

/* --- what is there --- */

static void put_primary_key_name(struct buf *sql, const struct schema_table *t)
{
	_cleanup_(buf_free) struct buf name = {0};
	if (t->primary_key_name != NULL)
		buf_puts(&name, t->primary_key_name);
	else
		schema_derived_name(&name, t->name, "_pkey");
	sql_literal(sql, buf_cstr(&name));
}

static void put_values(struct buf *sql, const struct schema *s)
{
	const char *comma = "";
	for (size_t i = 0; i < s->ntables; i++) {
		const struct schema_table *t = &s->tables[i];
		buf_printf(sql, "%s(0, ", comma);
		sql_literal(sql, t->name);
		buf_puts(sql, "), (1, ");
		put_primary_key_name(sql, t);
		buf_puts(sql, ")");
		comma = ", ";
		for (size_t k = 0; k < t->nindexes; k++) {
			buf_puts(sql, ", (1, ");
			sql_literal(sql, t->indexes[k].name);
			buf_puts(sql, ")");
		}
	}
	for (size_t i = 0; i < s->nenums + s->ndomains; i++) {
		buf_printf(sql, "%s(2, ", comma);
		sql_literal(sql, i < s->nenums ? s->enums[i].name : s->domains[i - s->nenums].name);
		buf_puts(sql, ")");
		comma = ", ";
	}
}

/* Columns: what (0 table, 1 index, 2 type), name, kind of relation ("" for types), readable. Relations and types
 * share names: a table makes a type of its name. With `missing`: tables and types that are not there. */
static bool find_objects(struct check *c, bool missing, struct pg_result **r)
{
	_cleanup_(buf_free) struct buf sql = {0};
	if (c->s->ntables + c->s->nenums == 0)
		return err_set(c->err, ERR_INTERNAL, "the plan has no tables");
	buf_puts(&sql, "WITH w(what, name) AS (VALUES ");
	put_values(&sql, c->s);
	buf_puts(&sql,
		 ") SELECT w.what, w.name, coalesce(k.relkind::text, ''), coalesce(k.relkind IN ('r', 'p', 'm', 'v',"
		 " 'f') AND pg_catalog.has_table_privilege(k.oid, 'SELECT'), false)::int FROM w"
		 " LEFT JOIN pg_catalog.pg_namespace n ON n.nspname = ");
	sql_literal(&sql, c->s->name);
	buf_puts(&sql,
		 " LEFT JOIN pg_catalog.pg_class k ON k.relnamespace = n.oid AND k.relname = w.name AND w.what < 2"
		 " LEFT JOIN pg_catalog.pg_type y ON y.typnamespace = n.oid AND y.typname = w.name AND w.what <> 1 ");
	buf_puts(&sql, missing ? "WHERE w.what <> 1 AND k.oid IS NULL AND y.oid IS NULL"
			       : "WHERE k.oid IS NOT NULL OR y.oid IS NOT NULL");
	buf_puts(&sql, " ORDER BY w.what, w.name COLLATE \"C\"");
	return pg_query(c->pg, buf_cstr(&sql), NULL, 0, r, c->err);
}

static const char *object_word(const struct pg_result *r, int row)
{
	static const struct {
		const char *kind, *word;
	} words[] = {{"r", "table"}, {"p", "table"}, {"v", "view"},          {"m", "materialized view"},
		     {"i", "index"}, {"I", "index"}, {"f", "foreign table"}, {"S", "sequence"},
		     {"c", "type"},  {"", "type"}};
	for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
		if (strcmp(words[i].kind, pg_get(r, row, 2)) == 0)
			return words[i].word;
	return "relation";
}

static bool count_rows(struct check *c, const char *table, int64_t *n)
{
	_cleanup_(pg_result_freep) struct pg_result *r = NULL;
	_cleanup_(buf_free) struct buf sql = {0};
	buf_puts(&sql, "SELECT count(*) FROM ");
	sql_ident(&sql, c->s->name);
	buf_putc(&sql, '.');
	sql_ident(&sql, table);
	if (!pg_query(c->pg, buf_cstr(&sql), NULL, 0, &r, c->err))
		return false;
	*n = pg_get_i64(r, 0, 0);
	return true;
}

/* "table Users (1,200 rows)" */
static bool describe_object(struct check *c, const struct pg_result *r, int row, struct buf *out)
{
	char number[32];
	int64_t n;
	buf_printf(out, "%s %s", object_word(r, row), pg_get(r, row, 1));
	if (pg_get_i64(r, row, 3) == 0)
		return true;
	if (!count_rows(c, pg_get(r, row, 1), &n))
		return false;
	buf_printf(out, " (%s row%s)", text_thousands((uint64_t)n, number), n == 1 ? "" : "s");
	return true;
}

/* Puts as many of the objects as the error's detail holds, and how many more there are. */
static bool list_objects(struct check *c, const struct pg_result *r, bool count, struct buf *list)
{
	const size_t room = sizeof c->err->detail - 32;
	for (int i = 0; i < pg_rows(r); i++) {
		_cleanup_(buf_free) struct buf one = {0};
		if (!count)
			buf_printf(&one, "%s %s", pg_get_i64(r, i, 0) == 2 ? "type" : "table", pg_get(r, i, 1));
		else if (!describe_object(c, r, i, &one))
			return false;
		if (list->len + one.len + 2 > room) {
			buf_printf(list, " and %d more", pg_rows(r) - i);
			return true;
		}
		buf_printf(list, "%s%s", i > 0 ? ", " : "", buf_cstr(&one));
	}
	return true;
}

static bool check_absent(struct check *c)
{
	_cleanup_(pg_result_freep) struct pg_result *r = NULL;
	_cleanup_(buf_free) struct buf list = {0};
	if (!find_objects(c, false, &r))
		return false;
	if (pg_rows(r) == 0)
		return true;
	if (!list_objects(c, r, true, &list))
		return false;
	err_set(c->err, ERR_TARGET_EXISTS, "schema %s already has %d of the tables, indexes and types of the mapping",
		c->s->name, pg_rows(r));
	err_detail(c->err, "%s", buf_cstr(&list));
	return err_hint(
		c->err,
		"migrate into an empty database or schema (target: { schema: ... } in the mapping),"
		" or drop them if they are not needed; what an earlier run of docrow made goes away with --clean");
}

static bool check_present(struct check *c)
{
	_cleanup_(pg_result_freep) struct pg_result *r = NULL;
	_cleanup_(buf_free) struct buf list = {0};
	if (!find_objects(c, true, &r))
		return false;
	if (pg_rows(r) == 0)
		return true;
	if (!list_objects(c, r, false, &list))
		return false;
	err_set(c->err, ERR_TARGET_CHANGED, "%d tables and types of the run are gone from schema %s", pg_rows(r),
		c->s->name);
	err_detail(c->err, "%s", buf_cstr(&list));
	return err_hint(c->err, "start over with --clean");
}

bool sink_check(struct pg *pg, const struct schema *s, bool resume, struct err *err)
{
	struct check c = {pg, s, err};
	if (!check_server(&c) || !check_features(&c))
		return false;
	if (resume)
		return check_present(&c);
	return check_schema(&c) && check_roles(&c) && check_extensions(&c) && check_absent(&c);
}

bool sink_check_existing(struct pg *pg, const struct schema *s, const struct sink_way *way, struct err *err)
{
	struct check c = {pg, s, err};
	return check_server(&c) && (way->keep_indexes || check_schema(&c));
}

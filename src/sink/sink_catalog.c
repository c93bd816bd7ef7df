/* sink_catalog.c - see sink_catalog.h. Four queries: tables, columns, enums, and what hangs on the tables.
 *
 * Objects are read as rows of the shape of docrow.ddl (kind, names, definition, and the rest as jsonb), so that those
 * which were taken away and those which are there go through the same reader. What newer servers only have is asked
 * for through to_jsonb of the catalog's row, which is NULL on older ones.
 */
#include <stdio.h>

#include "sink_catalog.h"

struct reader {
	struct pg *pg;
	const struct schema *s;
	struct arena *arena;
	struct catalog *out;
	struct pg_param params[2]; /* schema, names */
	struct err *err;
};

static const char *const kind_names[CATALOG_KIND_COUNT] = {
	[CATALOG_PRIMARY_KEY] = "primary key", [CATALOG_UNIQUE] = "unique",           [CATALOG_INDEX] = "index",
	[CATALOG_EXCLUSION] = "exclusion",     [CATALOG_FOREIGN_KEY] = "foreign key", [CATALOG_TRIGGER] = "trigger",
};

const char *catalog_kind_name(enum catalog_kind k)
{
	return kind_names[k];
}

/* --- texts and arrays --- */

static const char *text_of(struct reader *rd, const struct pg_result *r, int row, int col)
{
	const char *t = pg_get(r, row, col);
	return t == NULL ? NULL : arena_strdup(rd->arena, t);
}

/* One element of an array's text, from p, which is moved past it and the comma. */
static const char *array_element(struct arena *a, const char **p)
{
	const char *s = *p;
	char *out = arena_alloc(a, strlen(s) + 1);
	size_t n = 0;
	bool quoted = *s == '"';
	for (s += quoted; *s != '\0' && (quoted ? *s != '"' : *s != ',' && *s != '}'); s++) {
		if (*s == '\\')
			s++;
		out[n++] = *s;
	}
	s += quoted;
	*p = *s == ',' ? s + 1 : s;
	return out;
}

/* {a,"b c","d\"e"}: no NULLs, one dimension. */
static const char **array_of(struct reader *rd, const struct pg_result *r, int row, int col, size_t *n)
{
	const char *text = pg_get(r, row, col);
	size_t most = 1;
	*n = 0;
	for (const char *p = text; p != NULL && *p != '\0'; p++)
		most += *p == ',';
	const char **list = arena_alloc(rd->arena, (most + 1) * sizeof *list);
	if (text == NULL || text[0] != '{')
		return list;
	for (const char *p = text + 1; *p != '}' && *p != '\0';)
		list[(*n)++] = array_element(rd->arena, &p);
	return list;
}

static void put_names(struct buf *out, const struct schema *s)
{
	buf_putc(out, '{');
	for (size_t i = 0; i < s->ntables; i++) {
		buf_puts(out, i > 0 ? ",\"" : "\"");
		for (const char *p = s->tables[i].name; *p != '\0'; p++) {
			if (*p == '"' || *p == '\\')
				buf_putc(out, '\\');
			buf_putc(out, *p);
		}
		buf_putc(out, '"');
	}
	buf_putc(out, '}');
}

/* --- tables --- */

static const char tables_sql[] =
	"SELECT c.relkind::text, pg_catalog.quote_ident(pg_catalog.pg_get_userbyid(c.relowner)),"
	" pg_catalog.pg_has_role(c.relowner, 'USAGE'), pg_catalog.has_table_privilege(c.oid, 'SELECT')"
	" AND pg_catalog.has_table_privilege(c.oid, 'INSERT') AND pg_catalog.has_table_privilege(c.oid, 'UPDATE')"
	" AND pg_catalog.has_table_privilege(c.oid, 'DELETE') AND pg_catalog.has_table_privilege(c.oid, 'TRUNCATE'),"
	" pg_catalog.row_security_active(c.oid),"
	" EXISTS (SELECT FROM pg_catalog.pg_inherits h WHERE h.inhrelid = c.oid),"
	" EXISTS (SELECT FROM pg_catalog.pg_inherits h WHERE h.inhparent = c.oid),"
	" EXISTS (SELECT FROM pg_catalog.pg_publication_tables p WHERE p.schemaname = $1 AND p.tablename = "
	"c.relname),"
	" c.relpersistence = 'u'"
	" FROM pg_catalog.unnest($2::text[]) WITH ORDINALITY w(name, n)"
	" LEFT JOIN pg_catalog.pg_namespace s ON s.nspname = $1"
	" LEFT JOIN pg_catalog.pg_class c ON c.relnamespace = s.oid AND c.relname = w.name ORDER BY w.n";

static bool read_tables(struct reader *rd)
{
	_cleanup_(pg_result_freep) struct pg_result *r = NULL;
	if (!pg_query(rd->pg, tables_sql, rd->params, 2, &r, rd->err))
		return false;
	rd->out->ntables = rd->s->ntables;
	rd->out->tables = arena_alloc(rd->arena, (rd->s->ntables + 1) * sizeof *rd->out->tables);
	for (int i = 0; i < pg_rows(r); i++) {
		const char *kind = pg_get(r, i, 0);
		rd->out->tables[i] = (struct catalog_table){.name = rd->s->tables[i].name,
							    .kind = kind != NULL ? kind[0] : '\0',
							    .owner = text_of(rd, r, i, 1),
							    .is_owner = pg_get_bool(r, i, 2),
							    .may_write = pg_get_bool(r, i, 3),
							    .row_security = pg_get_bool(r, i, 4),
							    .is_part = pg_get_bool(r, i, 5),
							    .has_parts = pg_get_bool(r, i, 6),
							    .published = pg_get_bool(r, i, 7),
							    .unlogged = pg_get_bool(r, i, 8)};
	}
	return true;
}

/* --- enums --- */

static bool read_enums(struct reader *rd)
{
	_cleanup_(pg_result_freep) struct pg_result *r = NULL;
	if (!pg_query(rd->pg,
		      "SELECT t.oid, t.typname, pg_catalog.array_agg(e.enumlabel::text ORDER BY e.enumsortorder),"
		      " n.nspname FROM pg_catalog.pg_enum e JOIN pg_catalog.pg_type t ON t.oid = e.enumtypid"
		      " JOIN pg_catalog.pg_namespace n ON n.oid = t.typnamespace GROUP BY t.oid, t.typname, n.nspname"
		      " ORDER BY t.oid",
		      NULL, 0, &r, rd->err))
		return false;
	rd->out->nenums = (size_t)pg_rows(r);
	rd->out->enums = arena_alloc(rd->arena, (rd->out->nenums + 1) * sizeof *rd->out->enums);
	for (int i = 0; i < pg_rows(r); i++) {
		struct catalog_enum *e = &rd->out->enums[i];
		e->oid = (uint32_t)pg_get_i64(r, i, 0);
		e->name = text_of(rd, r, i, 1);
		e->labels = array_of(rd, r, i, 2, &e->nlabels);
		e->schema = text_of(rd, r, i, 3);
	}
	return true;
}

/* --- columns --- */

/* `bottom` has for every domain the type that it stands on. */
static const char columns_sql[] =
	"WITH RECURSIVE d(oid, base, typmod, strict) AS ("
	"SELECT t.oid, t.typbasetype, t.typtypmod, t.typnotnull FROM pg_catalog.pg_type t WHERE t.typtype = 'd'"
	" UNION ALL SELECT d.oid, t.typbasetype, t.typtypmod, d.strict OR t.typnotnull FROM d"
	" JOIN pg_catalog.pg_type t ON t.oid = d.base WHERE t.typtype = 'd'),"
	" bottom AS (SELECT d.* FROM d JOIN pg_catalog.pg_type t ON t.oid = d.base WHERE t.typtype <> 'd'),"
	" col AS (SELECT w.n, a.*, o.typdefault, b.oid IS NOT NULL AS is_domain, coalesce(b.strict, false) AS "
	"strict, coalesce(b.base, a.atttypid) AS"
	" type, CASE WHEN b.oid IS NULL THEN a.atttypmod ELSE b.typmod END AS typmod"
	" FROM pg_catalog.unnest($2::text[]) WITH ORDINALITY w(name, n)"
	" JOIN pg_catalog.pg_namespace s ON s.nspname = $1"
	" JOIN pg_catalog.pg_class c ON c.relnamespace = s.oid AND c.relname = w.name"
	" JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped"
	" JOIN pg_catalog.pg_type o ON o.oid = a.atttypid LEFT JOIN bottom b ON b.oid = a.atttypid),"
	" elem AS (SELECT col.*, t.typelem <> 0 AND t.typlen = -1 AND t.typcategory = 'A' AS is_array,"
	" CASE WHEN t.typelem <> 0 AND t.typlen = -1 AND t.typcategory = 'A' THEN t.typelem ELSE t.oid END AS element"
	" FROM col JOIN pg_catalog.pg_type t ON t.oid = col.type)"
	" SELECT e.n - 1, e.attname, pg_catalog.format_type(e.atttypid, e.atttypmod), e.attnotnull OR e.strict,"
	" e.atthasdef OR e.attidentity <> '' OR e.typdefault IS NOT NULL, e.attgenerated <> '', e.attidentity = 'a',"
	" e.is_array::int, greatest(e.attndims, e.is_array::int), e.element, t.oid, t.typname, t.typtype::text,"
	" CASE WHEN b.oid IS NULL THEN e.typmod ELSE b.typmod END, e.is_domain OR b.oid IS NOT NULL, e.strict,"
	" e.attidentity <> '', (SELECT pg_catalog.format('%I.%I', cs.nspname, co.collname) FROM"
	" pg_catalog.pg_collation co JOIN pg_catalog.pg_namespace cs ON cs.oid = co.collnamespace WHERE co.oid ="
	" e.attcollation AND co.oid <> t.typcollation)"
	" FROM elem e LEFT JOIN bottom b ON b.oid = e.element"
	" JOIN pg_catalog.pg_type t ON t.oid = coalesce(b.base, e.element) ORDER BY e.n, e.attnum";

static int find_enum(const struct catalog *c, uint32_t oid)
{
	for (size_t i = 0; i < c->nenums; i++)
		if (c->enums[i].oid == oid)
			return (int)i;
	return -1;
}

/* By OID, or by name for types of extensions. PGT_COUNT: none that docrow writes. */
static enum pgt base_of(uint32_t oid, const char *name)
{
	for (int t = 0; t < PGT_COUNT; t++)
		if (pgt_oid((enum pgt)t) == oid && oid != 0)
			return (enum pgt)t;
	if (strcmp(name, "citext") == 0)
		return PGT_CITEXT;
	return strcmp(name, "vector") == 0 ? PGT_VECTOR : PGT_COUNT;
}

/* What atttypmod means, by type (the server's own *typmodout functions). */
static void set_modifier(struct pgtype *t, int typmod)
{
	if (typmod < 0)
		return;
	switch (t->base) {
	case PGT_VARCHAR:
	case PGT_CHAR:
		t->length = typmod - 4;
		break;
	case PGT_VECTOR:
		t->length = typmod;
		break;
	case PGT_NUMERIC:
		t->precision = ((typmod - 4) >> 16) & 0xffff;
		t->scale = (((typmod - 4) & 0x7ff) ^ 1024) - 1024;
		break;
	case PGT_TIME:
	case PGT_TIMESTAMP:
	case PGT_TIMESTAMPTZ:
		t->precision = typmod;
		break;
	case PGT_INTERVAL: /* upper half: fields; all of them are 0x7fff, any precision is 0xffff */
		if ((typmod >> 16 & 0x7fff) != 0x7fff)
			t->base = PGT_COUNT;
		else if ((typmod & 0xffff) != 0xffff)
			t->precision = typmod & 0xffff;
		break;
	default:
		break;
	}
}

static struct pgtype read_type(struct reader *rd, const struct pg_result *r, int row)
{
	struct pgtype t = {.array = pg_get_i64(r, row, 7) == 1,
			   .dims = (int)pg_get_i64(r, row, 8),
			   .length = -1,
			   .precision = -1,
			   .enum_index = -1,
			   .oid = (uint32_t)pg_get_i64(r, row, 9)};
	uint32_t base = (uint32_t)pg_get_i64(r, row, 10);
	if (pg_get(r, row, 12)[0] == 'e') {
		t.base = PGT_ENUM;
		t.enum_name = text_of(rd, r, row, 11);
		t.enum_index = find_enum(rd->out, base);
	} else {
		t.base = base_of(base, pg_get(r, row, 11));
	}
	set_modifier(&t, (int)pg_get_i64(r, row, 13));
	return t;
}

static bool read_columns(struct reader *rd)
{
	_cleanup_(pg_result_freep) struct pg_result *r = NULL;
	if (!pg_query(rd->pg, columns_sql, rd->params, 2, &r, rd->err))
		return false;
	int n = pg_rows(r);
	struct catalog_column *all = arena_alloc(rd->arena, ((size_t)n + 1) * sizeof *all);
	for (int i = 0; i < n; i++) {
		struct catalog_table *t = &rd->out->tables[pg_get_i64(r, i, 0)];
		if (t->ncolumns++ == 0)
			t->columns = &all[i];
		all[i] = (struct catalog_column){.name = text_of(rd, r, i, 1),
						 .type = read_type(rd, r, i),
						 .type_sql = text_of(rd, r, i, 2),
						 .is_domain = pg_get_bool(r, i, 14),
						 .domain_not_null = pg_get_bool(r, i, 15),
						 .is_identity = pg_get_bool(r, i, 16),
						 .collation = text_of(rd, r, i, 17),
						 .not_null = pg_get_bool(r, i, 3),
						 .has_default = pg_get_bool(r, i, 4),
						 .generated = pg_get_bool(r, i, 5),
						 .identity_always = pg_get_bool(r, i, 6)};
	}
	return true;
}

/* --- what hangs on the tables --- */

#define MINE                                                                                                         \
	"WITH t AS (SELECT c.oid, c.relname, s.nspname, pg_catalog.format('%I.%I', s.nspname, c.relname) AS "        \
	"full_name"                                                                                                  \
	" FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace s ON s.oid = c.relnamespace WHERE s.nspname = $1"  \
	" AND c.relname = ANY ($2::text[]) AND c.relkind IN ('r', 'p')), "

/* Indexes, with the constraint that stands on them. An index that is not valid was never finished: it stays alone. */
#define INDEXES                                                                                                      \
	"i AS (SELECT t.*, x.indexrelid, x.indisunique, x.indkey, x.indnkeyatts, x.indisclustered, "                 \
	"x.indisreplident,"                                                                                          \
	" pg_catalog.pg_get_expr(x.indpred, x.indrelid) AS predicate, pg_catalog.to_jsonb(x) ->> "                   \
	"'indnullsnotdistinct'"                                                                                      \
	" AS same_nulls, ic.relname AS name, am.amname, ts.spcname, k.oid AS con, k.contype, k.condeferrable,"       \
	" k.condeferred FROM t JOIN pg_catalog.pg_index x ON x.indrelid = t.oid AND x.indisvalid AND x.indislive"    \
	" JOIN pg_catalog.pg_class ic ON ic.oid = x.indexrelid JOIN pg_catalog.pg_am am ON am.oid = ic.relam"        \
	" LEFT JOIN pg_catalog.pg_tablespace ts ON ts.oid = ic.reltablespace"                                        \
	" LEFT JOIN pg_catalog.pg_constraint k ON k.conindid = x.indexrelid AND k.conrelid = t.oid AND k.contype IN" \
	" ('p', 'u', 'x')), "                                                                                        \
	"j AS (SELECT i.*, i.con IS NOT NULL AND (i.contype = 'x' OR i.amname <> 'btree') AS whole FROM i), "

/* A constraint over a B-tree is made of its index, which carries all that pg_get_constraintdef leaves out. */
#define INDEX_DEFINITION                                                                                             \
	"coalesce('SET LOCAL default_tablespace = ' || pg_catalog.quote_literal(j.spcname) || '; ', '') ||"          \
	" CASE WHEN j.whole THEN pg_catalog.format('ALTER TABLE %s ADD CONSTRAINT %I %s', j.full_name, j.name,"      \
	" pg_catalog.pg_get_constraintdef(j.con)) ELSE pg_catalog.pg_get_indexdef(j.indexrelid) END ||"              \
	" CASE WHEN j.con IS NULL OR j.whole THEN '' ELSE pg_catalog.format("                                        \
	"'; ALTER TABLE %s ADD CONSTRAINT %I %s USING INDEX %I%s%s', j.full_name, j.name, CASE j.contype WHEN 'p'"   \
	" THEN 'PRIMARY KEY' ELSE 'UNIQUE' END, j.name, CASE WHEN j.condeferrable THEN ' DEFERRABLE' ELSE '' END,"   \
	" CASE WHEN j.condeferred THEN ' INITIALLY DEFERRED' ELSE '' END) END"

#define INDEX_EXTRAS                                                                                                 \
	" || coalesce((SELECT pg_catalog.string_agg(pg_catalog.format("                                              \
	"'; ALTER INDEX %I.%I ALTER COLUMN %s SET STATISTICS %s', j.nspname, j.name, a.attnum, a.attstattarget), ''" \
	" ORDER BY a.attnum) FROM pg_catalog.pg_attribute a WHERE a.attrelid = j.indexrelid AND a.attstattarget >= " \
	"0),"                                                                                                        \
	" '') || CASE WHEN j.indisclustered THEN pg_catalog.format('; ALTER TABLE %s CLUSTER ON %I', j.full_name,"   \
	" j.name) ELSE '' END || CASE WHEN j.indisreplident THEN pg_catalog.format("                                 \
	"'; ALTER TABLE %s REPLICA IDENTITY USING INDEX %I', j.full_name, j.name) ELSE '' END || coalesce(("         \
	"SELECT pg_catalog.string_agg(pg_catalog.format('; ALTER INDEX %I.%I DEPENDS ON EXTENSION %I', j.nspname,"   \
	" j.name, x.extname), '' ORDER BY x.extname) FROM pg_catalog.pg_depend d JOIN pg_catalog.pg_extension x ON"  \
	" x.oid = d.refobjid WHERE d.refclassid = 'pg_catalog.pg_extension'::pg_catalog.regclass AND d.deptype = "   \
	"'x'"                                                                                                        \
	" AND d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.objid = j.indexrelid), '') ||"            \
	" coalesce(pg_catalog.format('; COMMENT ON INDEX %I.%I IS ', j.nspname, j.name) || "                         \
	"pg_catalog.quote_literal("                                                                                  \
	"pg_catalog.obj_description(j.indexrelid, 'pg_class')), '') || coalesce(pg_catalog.format("                  \
	"'; COMMENT ON CONSTRAINT %I ON %s IS ', j.name, j.full_name) || pg_catalog.quote_literal("                  \
	"pg_catalog.obj_description(j.con, 'pg_constraint')), '')"

/* The first thing that is no foreign key and needs the key or index: taking that away would take it, too. Else a
 * right that making it again asks for: whether functions may be executed the server looks only when there are rows.
 */
#define INDEX_TROUBLE                                                                                                \
	"coalesce((SELECT pg_catalog.pg_describe_object(d.classid, d.objid, d.objsubid) || ' needs it' FROM"         \
	" pg_catalog.pg_depend d LEFT JOIN pg_catalog.pg_constraint f ON d.classid ="                                \
	" 'pg_catalog.pg_constraint'::pg_catalog.regclass AND f.oid = d.objid AND f.contype = 'f'"                   \
	" WHERE d.deptype = 'n' AND f.oid IS NULL AND ((d.refclassid = "                                             \
	"'pg_catalog.pg_constraint'::pg_catalog.regclass"                                                            \
	" AND d.refobjid = j.con) OR (d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.refobjid ="    \
	" j.indexrelid)) ORDER BY 1 LIMIT 1), (SELECT pg_catalog.format('the role may not execute %s',"              \
	" d.refobjid::pg_catalog.regprocedure) FROM pg_catalog.pg_depend d WHERE d.classid ="                        \
	" 'pg_catalog.pg_class'::pg_catalog.regclass AND d.objid = j.indexrelid AND d.refclassid ="                  \
	" 'pg_catalog.pg_proc'::pg_catalog.regclass AND NOT pg_catalog.has_function_privilege(d.refobjid, "          \
	"'EXECUTE')"                                                                                                 \
	" ORDER BY 1 LIMIT 1), CASE WHEN NOT pg_catalog.has_tablespace_privilege(j.spcname, 'CREATE') THEN"          \
	" pg_catalog.format('the role has no privilege CREATE on tablespace %I', j.spcname) END)"

/* It depends on something that the server did not bring along (initdb pins its own: they are in no list): a function,
 * operator class, collation or extension, of which the role may lack a right. */
#define INDEX_NEEDS_OTHERS                                                                                           \
	"EXISTS (SELECT FROM pg_catalog.pg_depend d WHERE d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass"    \
	" AND d.objid = j.indexrelid AND d.refclassid NOT IN ('pg_catalog.pg_class'::pg_catalog.regclass,"           \
	" 'pg_catalog.pg_constraint'::pg_catalog.regclass))"

#define INDEX_ROWS                                                                                                   \
	"SELECT CASE WHEN j.whole THEN 3 WHEN j.contype = 'p' THEN 0 WHEN j.indisunique THEN 1 ELSE 2 END AS rank,"  \
	" j.nspname, j.relname, j.full_name, j.name, " INDEX_DEFINITION INDEX_EXTRAS                                 \
	" AS definition, pg_catalog.jsonb_build_object('drop', CASE WHEN j.con IS NULL THEN pg_catalog.format("      \
	"'DROP INDEX IF EXISTS %I.%I', j.nspname, j.name) ELSE pg_catalog.format("                                   \
	"'ALTER TABLE %s DROP CONSTRAINT IF EXISTS %I', j.full_name, j.name) END,"                                   \
	" 'columns', ARRAY(SELECT a.attname::text FROM pg_catalog.generate_series(1, j.indnkeyatts) n"               \
	" JOIN pg_catalog.pg_attribute a ON a.attrelid = j.oid AND a.attnum = j.indkey[n - 1] ORDER BY n),"          \
	" 'expression', (SELECT pg_catalog.string_agg(pg_catalog.pg_get_indexdef(j.indexrelid, n, false), ', '"      \
	" ORDER BY n) FROM pg_catalog.generate_series(1, j.indnkeyatts) n HAVING pg_catalog.bool_or("                \
	"j.indkey[n - 1] = 0)), 'where', j.predicate, 'method', j.amname, 'constraint', j.con IS NOT NULL,"          \
	" 'exclusive', j.con IS NOT NULL OR j.indisreplident, 'same_nulls', j.same_nulls,"                           \
	" 'needs_others', " INDEX_NEEDS_OTHERS ", 'trouble', " INDEX_TROUBLE ") AS facts FROM j"

/* Foreign keys from and to the tables; those of partitions go with their parent's. */
#define KEY_ROWS                                                                                                     \
	"SELECT 4, s.nspname, c.relname, pg_catalog.format('%I.%I', s.nspname, c.relname), k.conname,"               \
	" pg_catalog.format('ALTER TABLE %I.%I ADD CONSTRAINT %I %s', s.nspname, c.relname, k.conname,"              \
	" pg_catalog.pg_get_constraintdef(k.oid)), pg_catalog.jsonb_build_object("                                   \
	"'after', pg_catalog.format('; COMMENT ON CONSTRAINT %I ON %I.%I IS ', k.conname, s.nspname, c.relname) ||"  \
	" pg_catalog.quote_literal(pg_catalog.obj_description(k.oid, 'pg_constraint')), 'drop', pg_catalog.format("  \
	"'ALTER TABLE %I.%I DROP CONSTRAINT IF EXISTS %I', s.nspname, c.relname, k.conname),"                        \
	" 'columns', ARRAY(SELECT a.attname::text FROM pg_catalog.unnest(k.conkey) WITH ORDINALITY u(attnum, n)"     \
	" JOIN pg_catalog.pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = u.attnum ORDER BY u.n),"          \
	" 'ref_schema', rs.nspname, 'ref_table', rc.relname,"                                                        \
	" 'ref_columns', ARRAY(SELECT a.attname::text FROM pg_catalog.unnest(k.confkey) WITH ORDINALITY u(attnum, "  \
	"n)"                                                                                                         \
	" JOIN pg_catalog.pg_attribute a ON a.attrelid = k.confrelid AND a.attnum = u.attnum ORDER BY u.n),"         \
	" 'on_delete', k.confdeltype, 'on_update', k.confupdtype, 'plain', k.convalidated AND"                       \
	" coalesce((pg_catalog.to_jsonb(k) ->> 'conenforced')::boolean, true) AND coalesce((pg_catalog.to_jsonb(k) " \
	"->>"                                                                                                        \
	" 'conperiod')::boolean, false) = false AND c.relkind = 'r' AND rc.relkind = 'r', 'trouble', CASE"           \
	" WHEN NOT pg_catalog.pg_has_role(c.relowner, 'USAGE') THEN pg_catalog.format("                              \
	"'it belongs to table %I.%I, whose owner is %I', s.nspname, c.relname, "                                     \
	"pg_catalog.pg_get_userbyid(c.relowner))"                                                                    \
	" WHEN NOT pg_catalog.has_table_privilege(rc.oid, 'REFERENCES') THEN pg_catalog.format("                     \
	"'the role has no privilege REFERENCES on table %I.%I', rs.nspname, rc.relname) END)"                        \
	" FROM pg_catalog.pg_constraint k JOIN pg_catalog.pg_class c ON c.oid = k.conrelid"                          \
	" JOIN pg_catalog.pg_namespace s ON s.oid = c.relnamespace JOIN pg_catalog.pg_class rc ON rc.oid = "         \
	"k.confrelid"                                                                                                \
	" JOIN pg_catalog.pg_namespace rs ON rs.oid = rc.relnamespace WHERE k.contype = 'f' AND k.conparentid = 0"   \
	" AND (k.conrelid IN (SELECT oid FROM t) OR k.confrelid IN (SELECT oid FROM t))"

/* Triggers of users that are on, and in which of the modes. */
#define TRIGGER_ROWS                                                                                                 \
	"SELECT 5, t.nspname, t.relname, t.full_name, g.tgname, pg_catalog.format('ALTER TABLE %s ENABLE %sTRIGGER " \
	"%I',"                                                                                                       \
	" t.full_name, CASE g.tgenabled WHEN 'R' THEN 'REPLICA ' WHEN 'A' THEN 'ALWAYS ' ELSE '' END, g.tgname),"    \
	" pg_catalog.jsonb_build_object('drop', pg_catalog.format('ALTER TABLE %s DISABLE TRIGGER %I', t.full_name," \
	" g.tgname), 'columns', '[]'::jsonb) FROM t JOIN pg_catalog.pg_trigger g ON g.tgrelid = t.oid AND NOT"       \
	" g.tgisinternal AND g.tgenabled <> 'D' AND coalesce((pg_catalog.to_jsonb(g) ->> "                           \
	"'tgparentid')::pg_catalog.oid,"                                                                             \
	" 0) = 0"

#define OBJECTS_NOW                                                                                                  \
	MINE INDEXES                                                                                                 \
		"o AS (" INDEX_ROWS " UNION ALL " KEY_ROWS " UNION ALL " TRIGGER_ROWS                                \
		") SELECT rank, nspname::text AS schema_name, relname::text AS table_name, full_name, name::text AS" \
		" object, definition, facts FROM o"

#define OBJECTS_RECORDED                                                                                             \
	"SELECT (facts ->> 'rank')::int AS rank, facts ->> 'schema' AS schema_name, facts ->> 'table' AS "           \
	"table_name,"                                                                                                \
	" facts ->> 'full_name' AS full_name, object, definition, facts FROM docrow.ddl WHERE run = $2::bigint AND " \
	"facts"                                                                                                      \
	" ? 'rank'"

#define TEXTS(name)                                                                                                  \
	"ARRAY(SELECT v FROM pg_catalog.jsonb_array_elements_text(coalesce(facts -> '" name                          \
	"', '[]')) WITH ORDINALITY"                                                                                  \
	" u(v, n) ORDER BY n)"

#define READ_OBJECTS(source)                                                                                         \
	"SELECT rank, schema_name = $1, table_name, CASE WHEN schema_name = $1 THEN table_name ELSE full_name END, " \
	"object, definition, facts ->> 'after', facts ->> "                                                          \
	"'drop',"                                                                                                    \
	" " TEXTS(                                                                                                   \
		"columns") ", facts ->> 'expression', facts ->> 'where', facts ->> 'method',"                        \
			   " (facts ->> 'constraint')::boolean, (facts ->> 'exclusive')::boolean,"                   \
			   " (facts ->> 'same_nulls')::boolean, facts ->> 'ref_schema' = $1, facts ->> "             \
			   "'ref_table', " TEXTS(                                                                    \
				   "ref_columns") ", facts ->> 'on_delete', facts ->> 'on_update',"                  \
						  " (facts ->> 'plain')::boolean, facts ->> 'trouble' FROM (" source \
						  ") x ORDER BY rank, full_name COLLATE \"C\", object COLLATE \"C\""

static enum fk_action action_of(const char *letter)
{
	static const char letters[] = "arcnd"; /* as enum fk_action goes */
	const char *at = letter != NULL && letter[0] != '\0' ? strchr(letters, letter[0]) : NULL;
	return at != NULL ? (enum fk_action)(at - letters) : FK_NO_ACTION;
}

/* Of a name in the schema of the tables asked for. */
static int table_index(struct reader *rd, bool in_schema, const char *name)
{
	return in_schema && name != NULL ? schema_find_table(rd->s, name) : -1;
}

static void read_object(struct reader *rd, const struct pg_result *r, int i, struct catalog_object *o)
{
	*o = (struct catalog_object){.kind = (enum catalog_kind)pg_get_i64(r, i, 0),
				     .table = table_index(rd, pg_get_bool(r, i, 1), pg_get(r, i, 2)),
				     .table_name = text_of(rd, r, i, 3),
				     .name = text_of(rd, r, i, 4),
				     .definition = text_of(rd, r, i, 5),
				     .after = text_of(rd, r, i, 6),
				     .drop = text_of(rd, r, i, 7),
				     .expression = text_of(rd, r, i, 9),
				     .where = text_of(rd, r, i, 10),
				     .method = text_of(rd, r, i, 11),
				     .is_constraint = pg_get_bool(r, i, 12),
				     .exclusive = pg_get_bool(r, i, 13),
				     .nulls_not_distinct = pg_get_bool(r, i, 14),
				     .ref_table = table_index(rd, pg_get_bool(r, i, 15), pg_get(r, i, 16)),
				     .on_delete = action_of(pg_get(r, i, 18)),
				     .on_update = action_of(pg_get(r, i, 19)),
				     .trouble = text_of(rd, r, i, 21)};
	o->columns = array_of(rd, r, i, 8, &o->ncolumns);
	o->ref_columns = array_of(rd, r, i, 17, &o->nref_columns);
	o->plain = pg_get_bool(r, i, 20) && o->table >= 0 && o->ref_table >= 0 && o->ncolumns == 1;
}

static bool read_objects(struct reader *rd, const char *sql, const struct pg_param *params)
{
	_cleanup_(pg_result_freep) struct pg_result *r = NULL;
	if (!pg_query(rd->pg, sql, params, 2, &r, rd->err))
		return false;
	rd->out->nobjects = (size_t)pg_rows(r);
	rd->out->objects = arena_alloc(rd->arena, (rd->out->nobjects + 1) * sizeof *rd->out->objects);
	for (int i = 0; i < pg_rows(r); i++)
		read_object(rd, r, i, &rd->out->objects[i]);
	return true;
}

/* --- all of it --- */

/* With an empty path the server qualifies every name that it writes. The old one is put back: the transaction is the
 * caller's. */
static bool empty_path(struct reader *rd, const char **old)
{
	_cleanup_(pg_result_freep) struct pg_result *r = NULL;
	if (!pg_query(rd->pg, "SELECT pg_catalog.current_setting('search_path')", NULL, 0, &r, rd->err))
		return false;
	*old = text_of(rd, r, 0, 0);
	return pg_exec(rd->pg, "SELECT pg_catalog.set_config('search_path', '', true)", rd->err);
}

static bool put_path_back(struct reader *rd, const char *old)
{
	struct pg_param path = PG_TEXT(old);
	return pg_run(rd->pg, "SELECT pg_catalog.set_config('search_path', $1, true)", &path, 1, NULL, rd->err);
}

static bool read_all(struct reader *rd, const char *objects, const struct pg_param *params)
{
	const char *old;
	return empty_path(rd, &old) && read_tables(rd) && read_enums(rd) && read_columns(rd) &&
	       read_objects(rd, objects, params) && put_path_back(rd, old);
}

bool catalog_read(struct pg *pg, const struct schema *s, struct arena *a, struct catalog *out, struct err *err)
{
	struct reader rd = {.pg = pg, .s = s, .arena = a, .out = out, .err = err};
	_cleanup_(buf_free) struct buf names = {0};
	put_names(&names, s);
	rd.params[0] = PG_TEXT(s->name);
	rd.params[1] = PG_TEXT(buf_cstr(&names));
	*out = (struct catalog){0};
	return read_all(&rd, READ_OBJECTS(OBJECTS_NOW), rd.params);
}

bool catalog_read_recorded(struct pg *pg, const struct schema *s, int64_t run, struct arena *a, struct catalog *out,
			   struct err *err)
{
	struct reader rd = {.pg = pg, .s = s, .arena = a, .out = out, .err = err};
	_cleanup_(buf_free) struct buf names = {0};
	char id[24];
	put_names(&names, s);
	snprintf(id, sizeof id, "%lld", (long long)run);
	rd.params[0] = PG_TEXT(s->name);
	rd.params[1] = PG_TEXT(buf_cstr(&names));
	const struct pg_param params[] = {PG_TEXT(s->name), PG_TEXT(id)};
	*out = (struct catalog){0};
	return read_all(&rd, READ_OBJECTS(OBJECTS_RECORDED), params);
}

/* With the columns as they are: what validate holds them against. */
static const char record_tables_sql[] =
	"INSERT INTO docrow.ddl (run, kind, table_name, object, definition, state, facts)"
	" SELECT $3::bigint, 'table', w.name, w.name, '', 'filled', (SELECT pg_catalog.jsonb_build_object('columns',"
	" pg_catalog.jsonb_object_agg(a.attname, pg_catalog.jsonb_build_object('type',"
	" pg_catalog.format_type(a.atttypid, a.atttypmod), 'not_null', a.attnotnull, 'default',"
	" pg_catalog.pg_get_expr(d.adbin, d.adrelid)))) FROM pg_catalog.pg_class r JOIN pg_catalog.pg_namespace n"
	" ON n.oid = r.relnamespace AND n.nspname = $1 JOIN pg_catalog.pg_attribute a ON a.attrelid = r.oid AND"
	" a.attnum > 0 AND NOT a.attisdropped LEFT JOIN pg_catalog.pg_attrdef d ON d.adrelid = r.oid AND d.adnum ="
	" a.attnum WHERE r.relname = w.name) FROM pg_catalog.unnest($2::text[]) WITH ORDINALITY w(name, n) ORDER BY"
	" w.n";

static const char record_objects_sql[] =
	"INSERT INTO docrow.ddl (run, kind, table_name, object, definition, state, facts)"
	" SELECT $3::bigint, ('{primary key,unique,index,exclusion,foreign key,trigger}'::text[])[rank + 1],"
	" CASE WHEN schema_name = $1 THEN table_name ELSE full_name END, object, definition,"
	" CASE WHEN $5::boolean AND rank < 5 THEN 'kept' ELSE 'taken' END, facts ||"
	" pg_catalog.jsonb_build_object('rank', rank, 'schema', schema_name, 'table', table_name, 'full_name',"
	" full_name) FROM (" OBJECTS_NOW ") x WHERE rank < 5 OR $4::boolean"
	" ORDER BY rank, full_name COLLATE \"C\", object COLLATE \"C\"";

bool catalog_record(struct pg *pg, const struct schema *s, int64_t run, bool triggers, bool keep, struct err *err)
{
	struct reader rd = {.pg = pg, .s = s, .arena = arena_new(), .err = err};
	_cleanup_(buf_free) struct buf names = {0};
	const char *old;
	char id[24];
	put_names(&names, s);
	snprintf(id, sizeof id, "%lld", (long long)run);
	struct pg_param params[] = {PG_TEXT(s->name), PG_TEXT(buf_cstr(&names)), PG_TEXT(id),
				    PG_TEXT(triggers ? "true" : "false"), PG_TEXT(keep ? "true" : "false")};
	bool ok = empty_path(&rd, &old) && pg_run(pg, record_tables_sql, params, 3, NULL, err) &&
		  pg_run(pg, record_objects_sql, params, 5, NULL, err) && put_path_back(&rd, old);
	arena_free(rd.arena);
	return ok;
}

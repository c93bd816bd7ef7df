/* catalog.c - layer schema: the catalog of the target against the mapping; and the foreign keys of layer references.
 *
 * Four queries for the whole schema, read into plain lists; then every table, column, key and index of the mapping is
 * looked up in them. What the mapping does not know is somebody else's and no finding.
 */
#include <stdio.h>
#include <strings.h>

#include "validate_private.h"

struct cat {
	struct validation *v;
	struct pg *pg;
	bool *other_default; /* by row of columns: it is a constant, and not the mapping's */
	struct pg_result *columns, *constraints, *indexes, *enums;
	struct pg_result *recorded; /* NULL: the run made the tables itself */
	struct pg_result *columns_before;
};

static void tell(struct cat *c, enum validate_kind kind, const struct schema_table *t, const char *column,
		 const char *object, const char *detail)
{
	found_add(c->v->found, &(struct validate_finding){.kind = kind,
							  .table = t != NULL ? t->name : NULL,
							  .collection = t != NULL ? t->collection : NULL,
							  .column = column,
							  .object = object,
							  .detail = detail});
}

static void checked(struct cat *c, enum validate_layer l)
{
	c->v->layer_checked[l]++;
}

/* --- the queries; $1 is the schema --- */

static const char columns_sql[] =
	"SELECT r.relname, a.attname, t.typname, coalesce(e.typname, ''), a.atttypmod, a.attnotnull, "
	"pg_get_expr(d.adbin, d.adrelid), coalesce(e.typtype, t.typtype), r.relpersistence = 'u' FROM "
	"pg_catalog.pg_class r "
	"JOIN pg_catalog.pg_namespace n ON n.oid = r.relnamespace AND n.nspname = $1 "
	"JOIN pg_catalog.pg_attribute a ON a.attrelid = r.oid AND a.attnum > 0 AND NOT a.attisdropped "
	"JOIN pg_catalog.pg_type t ON t.oid = a.atttypid "
	"LEFT JOIN pg_catalog.pg_type e ON e.oid = t.typelem AND t.typcategory = 'A' "
	"LEFT JOIN pg_catalog.pg_attrdef d ON d.adrelid = r.oid AND d.adnum = a.attnum "
	"WHERE r.relkind IN ('r', 'p')";
enum { C_TABLE, C_COLUMN, C_TYPE, C_ELEMENT, C_MODIFIER, C_NOT_NULL, C_DEFAULT, C_KIND, C_UNLOGGED };

#define NAMES_OF(array, relation)                                                                                    \
	"(SELECT string_agg(a.attname, chr(1) ORDER BY k.n) FROM unnest(" array                                      \
	") WITH ORDINALITY k(num, n) JOIN pg_catalog.pg_attribute a ON a.attrelid = " relation                       \
	" AND a.attnum = k.num)"

static const char constraints_sql[] = "SELECT r.relname, c.conname, c.contype, c.convalidated, " NAMES_OF(
	"c.conkey",
	"c.conrelid") ", f.relname, " NAMES_OF("c.confkey",
					       "c.confrelid") ", c.confdeltype, c.confupdtype, "
							      "coalesce(i.indisvalid, true), fn.nspname, "
							      "c.condeferrable, EXISTS (SELECT FROM "
							      "pg_catalog.pg_trigger g WHERE g.tgconstraint = "
							      "c.oid AND g.tgenabled IN ('D', 'R')) "
							      "FROM pg_catalog.pg_constraint c JOIN "
							      "pg_catalog.pg_class r ON r.oid = c.conrelid "
							      "JOIN pg_catalog.pg_namespace n ON n.oid = "
							      "r.relnamespace AND n.nspname = $1 "
							      "LEFT JOIN pg_catalog.pg_class f ON f.oid = "
							      "c.confrelid "
							      "LEFT JOIN pg_catalog.pg_namespace fn ON fn.oid = "
							      "f.relnamespace "
							      "LEFT JOIN pg_catalog.pg_index i ON i.indexrelid = "
							      "c.conindid AND c.contype = 'p' WHERE c.contype IN "
							      "('p', 'f')";
enum {
	K_TABLE,
	K_NAME,
	K_TYPE,
	K_VALID,
	K_COLUMNS,
	K_REF_TABLE,
	K_REF_COLUMNS,
	K_DELETE,
	K_UPDATE,
	K_INDEX_VALID,
	K_REF_SCHEMA,
	K_DEFERRABLE,
	K_DISABLED
};

static const char indexes_sql[] =
	"SELECT r.relname, i.relname, x.indisvalid AND x.indisready, x.indisunique, m.amname, "
	"(SELECT string_agg(coalesce(a.attname, '*'), chr(1) ORDER BY k.n) FROM unnest(x.indkey::smallint[]) "
	"WITH ORDINALITY k(num, n) LEFT JOIN pg_catalog.pg_attribute a ON a.attrelid = x.indrelid AND a.attnum = "
	"k.num "
	"AND k.num > 0), x.indpred IS NOT NULL, x.indexprs IS NOT NULL, "
	"coalesce((to_jsonb(x) ->> 'indnullsnotdistinct')::boolean, false), NOT EXISTS (SELECT FROM "
	"unnest(x.indoption::smallint[], x.indcollation::oid[], x.indclass::oid[], x.indkey::smallint[]) "
	"k(option, collation_of, class, num) JOIN pg_catalog.pg_opclass o ON o.oid = k.class JOIN "
	"pg_catalog.pg_attribute a ON a.attrelid = x.indrelid AND a.attnum = k.num WHERE k.num > 0 AND (k.option <> "
	"0 "
	"OR NOT o.opcdefault OR k.collation_of <> a.attcollation)) FROM pg_catalog.pg_index x "
	"JOIN pg_catalog.pg_class i ON i.oid = x.indexrelid JOIN pg_catalog.pg_class r ON r.oid = x.indrelid "
	"JOIN pg_catalog.pg_am m ON m.oid = i.relam "
	"JOIN pg_catalog.pg_namespace n ON n.oid = r.relnamespace AND n.nspname = $1";
enum { I_TABLE, I_NAME, I_VALID, I_UNIQUE, I_METHOD, I_COLUMNS, I_PARTIAL, I_EXPRESSION, I_NULLS, I_PLAIN };

static const char enums_sql[] =
	"SELECT t.typname, e.enumlabel FROM pg_catalog.pg_type t JOIN pg_catalog.pg_namespace n "
	"ON n.oid = t.typnamespace AND n.nspname = $1 JOIN pg_catalog.pg_enum e ON e.enumtypid = t.oid "
	"ORDER BY t.typname, e.enumsortorder";

/* --- columns --- */

static int find_row(const struct pg_result *r, const char *a, const char *b)
{
	for (int i = 0; i < pg_rows(r); i++)
		if (strcmp(pg_get(r, i, 0), a) == 0 && (b == NULL || strcmp(pg_get(r, i, 1), b) == 0))
			return i;
	return -1;
}

/* As pg_type names it. */
static const char *type_name(const struct pgtype *t)
{
	static const char *const names[PGT_COUNT] = {
		[PGT_BOOL] = "bool",         [PGT_INT2] = "int2",           [PGT_INT4] = "int4",
		[PGT_INT8] = "int8",         [PGT_FLOAT4] = "float4",       [PGT_FLOAT8] = "float8",
		[PGT_NUMERIC] = "numeric",   [PGT_TEXT] = "text",           [PGT_VARCHAR] = "varchar",
		[PGT_CHAR] = "bpchar",       [PGT_NAME] = "name",           [PGT_CITEXT] = "citext",
		[PGT_UUID] = "uuid",         [PGT_BYTEA] = "bytea",         [PGT_DATE] = "date",
		[PGT_TIME] = "time",         [PGT_TIMESTAMP] = "timestamp", [PGT_TIMESTAMPTZ] = "timestamptz",
		[PGT_INTERVAL] = "interval", [PGT_JSON] = "json",           [PGT_JSONB] = "jsonb",
		[PGT_INET] = "inet",         [PGT_TSVECTOR] = "tsvector",   [PGT_VECTOR] = "vector",
	};
	if (t->domain != NULL)
		return t->domain;
	return t->base == PGT_ENUM ? t->enum_name : names[t->base];
}

/* pg_attribute.atttypmod of the type; -1: none. */
static int64_t modifier(const struct pgtype *t)
{
	if (t->domain != NULL)
		return -1; /* the domain has it */
	switch (t->base) {
	case PGT_VARCHAR:
	case PGT_CHAR:
		return t->length < 0 ? (t->base == PGT_CHAR ? 5 : -1) : t->length + 4;
	case PGT_VECTOR:
		return t->length;
	case PGT_NUMERIC:
		return t->precision < 0 ? -1 : ((int64_t)t->precision << 16 | (t->scale & 0x7ff)) + 4;
	case PGT_TIME:
	case PGT_TIMESTAMP:
	case PGT_TIMESTAMPTZ:
		return t->precision;
	case PGT_INTERVAL:
		return t->precision < 0 ? -1 : (int64_t)0x7fff << 16 | t->precision;
	default:
		return -1;
	}
}

static void check_type(struct cat *c, const struct schema_table *t, const struct schema_column *col, int row)
{
	const char *element = pg_get(c->columns, row, C_ELEMENT), *own = pg_get(c->columns, row, C_TYPE);
	bool array = element[0] != '\0';
	struct buf detail;

	if (array == (col->type.array && !(col->type.domain != NULL && col->type.domain_dims > 0)) &&
	    strcmp(array ? element : own, type_name(&col->type)) == 0 &&
	    pg_get_i64(c->columns, row, C_MODIFIER) == modifier(&col->type))
		return;
	buf_init(&detail, 0);
	buf_puts(&detail, "expected ");
	pgtype_sql(&detail, &col->type, NULL);
	buf_printf(&detail, ", found %s%s", array ? element : own, array ? "[]" : "");
	if (pg_get_i64(c->columns, row, C_MODIFIER) != modifier(&col->type))
		buf_printf(&detail, " with another length or precision");
	tell(c, FOUND_COLUMN_TYPE, t, col->name, NULL, buf_cstr(&detail));
	buf_free(&detail);
}

/* The value of a plain constant (a literal, a number, true or false; with casts and parentheses around it). False: it
 * is an expression. */
static bool read_constant(const char *sql, struct buf *out)
{
	const char *p = sql + strspn(sql, " (");

	if (*p == '\'') {
		for (p++; *p != '\0' && !(p[0] == '\'' && p[1] != '\''); p++) {
			p += *p == '\'';
			buf_putc(out, *p);
		}
		if (*p++ == '\0')
			return false;
	} else {
		size_t n = strspn(p, "+-.0123456789");
		if (strncasecmp(p, "true", 4) == 0 || strncasecmp(p, "false", 5) == 0)
			n = strcspn(p, " ):");
		buf_put(out, p, n);
		p += n;
		if (n == 0)
			return false;
	}
	p += strspn(p, " )");
	return *p == '\0' || (strncmp(p, "::", 2) == 0 && strpbrk(p, "'|+-*/<>=") == NULL);
}

/* Two spellings of a constant may be one value: the server says. What it cannot read is another one. */
static bool ask_default(struct cat *c, const struct schema_column *col, struct buf *a, struct buf *b, bool *same,
			struct err *err)
{
	_cleanup_(buf_free) struct buf type = {0}, sql = {0};
	_cleanup_(pg_result_freep) struct pg_result *r = NULL;
	struct pg_param params[] = {PG_TEXT(buf_cstr(a)), PG_TEXT(buf_cstr(b))};

	pgtype_sql(&type, &col->type, c->v->plan->schema.name);
	buf_printf(&sql, "SELECT $1::text::%s::text = $2::text::%s::text", buf_cstr(&type), buf_cstr(&type));
	if (!pg_exec(c->pg, "SAVEPOINT docrow_default", err))
		return false;
	*same = pg_query(c->pg, buf_cstr(&sql), params, 2, &r, err) && pg_get_bool(r, 0, 0);
	return !pg_is_lost(c->pg) && pg_exec(c->pg, "ROLLBACK TO SAVEPOINT docrow_default", err);
}

/* Of two constants; what an expression gives is not asked. */
static bool compare_default(struct cat *c, const struct schema_column *col, int row, struct err *err)
{
	_cleanup_(buf_free) struct buf a = {0}, b = {0};
	const char *found = pg_get(c->columns, row, C_DEFAULT);
	bool same;

	if (col->default_sql == NULL || found == NULL || !read_constant(col->default_sql, &a) ||
	    !read_constant(found, &b) || strcmp(buf_cstr(&a), buf_cstr(&b)) == 0)
		return true;
	if (!ask_default(c, col, &a, &b, &same, err))
		return false;
	c->other_default[row] = !same;
	return true;
}

/* Before anything is told: a connection may be lost on the way. */
static bool compare_defaults(struct cat *c, struct err *err)
{
	const struct schema *s = &c->v->plan->schema;

	c->other_default = arena_alloc(c->v->arena, (size_t)pg_rows(c->columns) + 1);
	for (int row = 0; !c->v->o.existing && row < pg_rows(c->columns); row++) {
		int t = schema_find_table(s, pg_get(c->columns, row, C_TABLE));
		int column = t >= 0 ? schema_find_column(&s->tables[t], pg_get(c->columns, row, C_COLUMN)) : -1;
		if (column >= 0 && !compare_default(c, &s->tables[t].columns[column], row, err))
			return false;
	}
	return true;
}

static void check_default(struct cat *c, const struct schema_table *t, const struct schema_column *col, int row)
{
	const char *found = pg_get(c->columns, row, C_DEFAULT);
	bool wanted = col->default_sql != NULL || col->generated_sql != NULL;

	if ((found != NULL) != wanted)
		tell(c, FOUND_COLUMN_DEFAULT, t, col->name, NULL,
		     wanted ? "there is none" : "there is one, which the mapping does not say");
	else if (c->other_default[row])
		tell(c, FOUND_COLUMN_DEFAULT, t, col->name, NULL,
		     arena_printf(c->v->arena, "expected %s, found %s", col->default_sql, found));
}

static void check_column(struct cat *c, const struct schema_table *t, int column)
{
	const struct schema_column *col = &t->columns[column];
	int row = find_row(c->columns, t->name, col->name);
	bool not_null = col->not_null || schema_in_key(t, column);

	checked(c, LAYER_SCHEMA);
	if (row < 0) {
		tell(c, FOUND_COLUMN_MISSING, t, col->name, NULL, NULL);
		c->v->exists[t - c->v->plan->schema.tables] = false; /* its rows cannot be asked for */
		return;
	}
	if (c->v->o.existing)
		return; /* as the target had it */
	check_type(c, t, col, row);
	if (pg_get_bool(c->columns, row, C_NOT_NULL) != not_null)
		tell(c, FOUND_COLUMN_NULL, t, col->name, NULL,
		     not_null ? "it takes NULL, NOT NULL is expected"
			      : "it is NOT NULL, which the mapping does not say");
	check_default(c, t, col, row);
}

/* --- keys --- */

/* Lists of names: parted by a character that stands in none. */
#define NAME_END "\1"

static bool same_names(const char *a, const char *b)
{
	return a != NULL && strcmp(a, b) == 0;
}

static const char *column_list(struct cat *c, const struct schema_table *t, const int *columns, size_t n)
{
	struct buf b;

	buf_init(&b, 0);
	for (size_t i = 0; i < n; i++) {
		buf_puts(&b, i > 0 ? NAME_END : "");
		buf_puts(&b, t->columns[columns[i]].name);
	}
	const char *copy = arena_strdup(c->v->arena, buf_cstr(&b));
	buf_free(&b);
	return copy;
}

static void check_primary_key(struct cat *c, const struct schema_table *t)
{
	const char *want = column_list(c, t, t->primary_key, t->nprimary_key);

	if (t->nprimary_key == 0)
		return;
	checked(c, LAYER_SCHEMA);
	for (int i = 0; i < pg_rows(c->constraints); i++) {
		if (strcmp(pg_get(c->constraints, i, K_TABLE), t->name) != 0 ||
		    pg_get(c->constraints, i, K_TYPE)[0] != 'p')
			continue;
		if (!same_names(pg_get(c->constraints, i, K_COLUMNS), want))
			tell(c, FOUND_KEY_MISSING, t, NULL, pg_get(c->constraints, i, K_NAME),
			     "it has other columns");
		else if (!pg_get_bool(c->constraints, i, K_INDEX_VALID))
			tell(c, FOUND_INDEX_INVALID, t, NULL, pg_get(c->constraints, i, K_NAME), NULL);
		return;
	}
	tell(c, FOUND_KEY_MISSING, t, NULL, t->primary_key_name, NULL);
}

static char action_letter(enum fk_action a)
{
	static const char letters[] = {[FK_NO_ACTION] = 'a',
				       [FK_RESTRICT] = 'r',
				       [FK_CASCADE] = 'c',
				       [FK_SET_NULL] = 'n',
				       [FK_SET_DEFAULT] = 'd'};
	return letters[a];
}

/* Orphans that a policy keeps leave their key NOT VALID; else it is a finding. */
static bool may_be_not_valid(const struct cat *c, const struct schema_table *t, const struct schema_fkey *f)
{
	const struct schema *s = &c->v->plan->schema;

	if (f->definition != NULL && strstr(f->definition, " NOT VALID") != NULL)
		return true; /* it was not before the run */
	for (size_t i = 0; i < c->v->nreferences; i++) {
		const struct reference *r = &c->v->references[i];
		if (&s->tables[r->table] == t && strcmp(t->columns[r->column].name, f->column) == 0 &&
		    r->policy == ORPHAN_KEEP && listed_count(c->v->listed, LISTED_KEPT, t->name, f->column) > 0)
			return true;
	}
	for (size_t i = 0; i < s->njunctions; i++)
		if (&s->tables[s->junctions[i].table] == t && s->junctions[i].if_orphan == ORPHAN_KEEP)
			return true;
	return false;
}

static void check_fkey(struct cat *c, const struct schema_table *t, const struct schema_fkey *f)
{
	const struct schema *s = &c->v->plan->schema;
	const struct schema_table *to = &s->tables[f->ref_table];
	int row = -1;

	checked(c, LAYER_REFERENCES);
	for (int i = 0; row < 0 && i < pg_rows(c->constraints); i++)
		if (pg_get(c->constraints, i, K_TYPE)[0] == 'f' &&
		    strcmp(pg_get(c->constraints, i, K_TABLE), t->name) == 0 &&
		    same_names(pg_get(c->constraints, i, K_COLUMNS), f->column))
			row = i;
	if (row < 0)
		tell(c, FOUND_FKEY_MISSING, t, f->column, f->name, NULL);
	else if (strcmp(pg_get(c->constraints, row, K_REF_TABLE), to->name) != 0 ||
		 strcmp(pg_get(c->constraints, row, K_REF_SCHEMA), s->name) != 0 ||
		 !same_names(pg_get(c->constraints, row, K_REF_COLUMNS), f->ref_column))
		tell(c, FOUND_FKEY_DIFFERS, t, f->column, f->name, "it points to another table or column");
	else if (pg_get_bool(c->constraints, row, K_DEFERRABLE) !=
		 (f->definition != NULL && strstr(f->definition, " DEFERRABLE") != NULL))
		tell(c, FOUND_FKEY_DIFFERS, t, f->column, f->name, "it is checked at another time (DEFERRABLE)");
	else if (pg_get_bool(c->constraints, row, K_DISABLED) && !c->v->o.existing)
		tell(c, FOUND_FKEY_DIFFERS, t, f->column, f->name,
		     "it is not checked: its triggers are disabled (ALTER TABLE ... ENABLE TRIGGER ALL)");
	else if (pg_get(c->constraints, row, K_DELETE)[0] != action_letter(f->on_delete) ||
		 pg_get(c->constraints, row, K_UPDATE)[0] != action_letter(f->on_update))
		tell(c, FOUND_FKEY_DIFFERS, t, f->column, f->name, "it acts otherwise on delete or update");
	else if (!pg_get_bool(c->constraints, row, K_VALID) && !may_be_not_valid(c, t, f))
		tell(c, FOUND_FKEY_NOT_VALID, t, f->column, f->name, NULL);
}

/* --- indexes --- */

static bool same_index(const struct cat *c, const struct schema_index *x, int row)
{
	struct buf columns;
	bool expression = x->expression != NULL;

	buf_init(&columns, 0);
	for (size_t i = 0; i < x->ncolumns; i++) {
		buf_puts(&columns, i > 0 ? NAME_END : "");
		buf_puts(&columns, x->columns[i]);
	}
	bool same = pg_get_bool(c->indexes, row, I_UNIQUE) == x->unique &&
		    strcasecmp(pg_get(c->indexes, row, I_METHOD), x->method != NULL ? x->method : "btree") == 0 &&
		    pg_get_bool(c->indexes, row, I_PARTIAL) == (x->where != NULL) &&
		    pg_get_bool(c->indexes, row, I_EXPRESSION) == expression &&
		    pg_get_bool(c->indexes, row, I_NULLS) == x->nulls_not_distinct &&
		    (expression || same_names(pg_get(c->indexes, row, I_COLUMNS), buf_cstr(&columns)));
	buf_free(&columns);
	return same;
}

static void check_index(struct cat *c, const struct schema_table *t, const struct schema_index *x)
{
	int row = find_row(c->indexes, t->name, x->name);

	if (x->tier == INDEX_TIER_SEARCH && c->v->o.no_search_indexes)
		return;
	checked(c, LAYER_SCHEMA);
	/* one of another name does the same work; an expression is known by its name only */
	for (int i = 0; row < 0 && x->expression == NULL && i < pg_rows(c->indexes); i++)
		if (strcmp(pg_get(c->indexes, i, I_TABLE), t->name) == 0 && same_index(c, x, i))
			row = i;
	if (row < 0)
		tell(c, FOUND_INDEX_MISSING, t, NULL, x->name, NULL);
	else if (!pg_get_bool(c->indexes, row, I_VALID))
		tell(c, FOUND_INDEX_INVALID, t, NULL, x->name, NULL);
	else if (!same_index(c, x, row))
		tell(c, FOUND_INDEX_DIFFERS, t, NULL, x->name, NULL);
	else if (x->expression == NULL && !pg_get_bool(c->indexes, row, I_PLAIN))
		tell(c, FOUND_INDEX_DIFFERS, t, NULL, x->name,
		     "it sorts otherwise: by DESC, NULLS FIRST, another collation or operator class");
}

/* --- enums --- */

static void check_enum_type(struct cat *c, const struct schema_enum *e)
{
	size_t n = 0;
	bool same = true;

	checked(c, LAYER_SCHEMA);
	for (int i = 0; i < pg_rows(c->enums); i++) {
		if (strcmp(pg_get(c->enums, i, 0), e->name) != 0)
			continue;
		same = same && n < e->nlabels && strcmp(pg_get(c->enums, i, 1), e->labels[n]) == 0;
		n++;
	}
	if (!same || n != e->nlabels)
		tell(c, FOUND_ENUM, NULL, NULL, e->name, n == 0 ? "it is missing" : "it has other labels");
}

/* --- what the target had before the run --- */

/* Indexes and constraints that docrow.ddl has of the run: are they there, and to the letter? A foreign key that was
 * made NOT VALID in place of a valid one is judged by check_fkey, or by its own row when the plan does not know it.
 */
static const char recorded_sql[] =
	"SELECT d.kind, d.table_name, d.object, d.state = 'refused', n.definition IS NOT NULL, "
	"coalesce(strpos(d.definition, n.definition) > 0 AND n.is_constraint >= coalesce((d.facts ->> "
	"'constraint')::boolean, false), false), coalesce(n.valid OR d.definition ~ ' NOT VALID$', false), d.facts "
	"->> "
	"'schema' = $2 FROM docrow.ddl d LEFT JOIN LATERAL (SELECT CASE WHEN k.contype = 'x' OR m.amname <> 'btree' "
	"AND "
	"k.oid IS NOT NULL THEN pg_get_constraintdef(k.oid) ELSE pg_get_indexdef(i.oid) END AS definition, "
	"x.indisvalid "
	"AND x.indisready AS valid, k.oid IS NOT NULL AS is_constraint FROM pg_catalog.pg_index x JOIN "
	"pg_catalog.pg_class i ON i.oid = x.indexrelid AND i.relname = d.object JOIN pg_catalog.pg_class r ON r.oid "
	"= "
	"x.indrelid AND r.relname = d.facts ->> 'table' JOIN pg_catalog.pg_namespace s ON s.oid = r.relnamespace AND "
	"s.nspname = d.facts ->> 'schema' JOIN pg_catalog.pg_am m ON m.oid = i.relam LEFT JOIN "
	"pg_catalog.pg_constraint k ON k.conindid = i.oid AND k.conrelid = r.oid AND k.contype IN ('p', 'u', 'x') "
	"WHERE "
	"d.kind <> 'foreign key' UNION ALL SELECT regexp_replace(pg_get_constraintdef(k.oid), ' NOT VALID$', ''), "
	"k.convalidated, true FROM pg_catalog.pg_constraint k JOIN pg_catalog.pg_class r ON r.oid = k.conrelid AND "
	"r.relname = d.facts ->> 'table' JOIN pg_catalog.pg_namespace s ON s.oid = r.relnamespace AND s.nspname = "
	"d.facts "
	"->> 'schema' WHERE d.kind = 'foreign key' AND k.contype = 'f' AND k.conname = d.object) n ON true WHERE "
	"d.run = "
	"$1::bigint AND d.kind IN ('primary key', 'unique', 'index', 'exclusion', 'foreign key') AND d.facts ? "
	"'table' "
	"ORDER BY d.id";
enum { D_KIND, D_TABLE, D_OBJECT, D_REFUSED, D_THERE, D_SAME, D_VALID, D_IN_SCHEMA };

/* Columns as they were when the run began, beside what they are now. A table of which nothing is recorded (a run of
 * an older docrow) has one row without a column. */
static const char columns_before_sql[] =
	"SELECT d.table_name, f.key, f.value ->> 'type', pg_catalog.format_type(a.atttypid, a.atttypmod), (f.value "
	"->> 'not_null')::boolean, a.attnotnull, f.value ->> 'default' IS NOT DISTINCT FROM "
	"pg_catalog.pg_get_expr(x.adbin, x.adrelid) FROM docrow.ddl d LEFT JOIN LATERAL "
	"pg_catalog.jsonb_each(d.facts -> 'columns') f ON true LEFT JOIN (pg_catalog.pg_class r JOIN "
	"pg_catalog.pg_namespace n ON n.oid = r.relnamespace AND n.nspname = $2 JOIN pg_catalog.pg_attribute a ON "
	"a.attrelid = r.oid AND a.attnum > 0 AND NOT a.attisdropped LEFT JOIN pg_catalog.pg_attrdef x ON x.adrelid = "
	"r.oid AND x.adnum = a.attnum) ON r.relname = d.table_name AND a.attname = f.key WHERE d.run = $1::bigint "
	"AND d.kind = 'table' ORDER BY d.id, f.key";
enum { B_TABLE, B_COLUMN, B_TYPE, B_TYPE_NOW, B_NOT_NULL, B_NOT_NULL_NOW, B_SAME_DEFAULT };

static bool read_recorded(struct cat *c, struct pg *pg, struct err *err)
{
	char run[24];
	struct pg_param params[] = {PG_TEXT(run), PG_TEXT(c->v->plan->schema.name)};

	if (!c->v->has_state || !c->v->o.existing)
		return true;
	snprintf(run, sizeof run, "%lld", (long long)c->v->run.id);
	/* names are written qualified, as they were when they were recorded */
	return pg_exec(pg, "SELECT pg_catalog.set_config('search_path', '', true)", err) &&
	       pg_query(pg, recorded_sql, params, 2, &c->recorded, err) &&
	       pg_query(pg, columns_before_sql, params, 2, &c->columns_before, err);
}

/* Does check_fkey look at it? */
static bool is_known_fkey(const struct schema_table *t, const char *name)
{
	for (size_t i = 0; t != NULL && i < t->nfkeys; i++)
		if (strcmp(t->fkeys[i].name, name) == 0)
			return true;
	return false;
}

static void check_recorded(struct cat *c, int row)
{
	const struct schema *s = &c->v->plan->schema;
	const struct pg_result *r = c->recorded;
	const char *kind = pg_get(r, row, D_KIND), *object = pg_get(r, row, D_OBJECT),
		   *name = pg_get(r, row, D_TABLE);
	int table = pg_get_bool(r, row, D_IN_SCHEMA) ? schema_find_table(s, name) : -1;
	const struct schema_table *t = table >= 0 ? &s->tables[table] : NULL;
	bool fkey = strcmp(kind, "foreign key") == 0, key = strcmp(kind, "primary key") == 0;
	const char *of = t != NULL ? NULL : arena_printf(c->v->arena, "of table %s", name);

	if (fkey && is_known_fkey(t, object))
		return;
	checked(c, fkey ? LAYER_REFERENCES : LAYER_SCHEMA);
	if (!pg_get_bool(r, row, D_THERE))
		tell(c,
		     fkey  ? FOUND_FKEY_MISSING
		     : key ? FOUND_KEY_MISSING
			   : FOUND_INDEX_MISSING,
		     t, NULL, object,
		     pg_get_bool(r, row, D_REFUSED) ? "the server refused to make it again: see docrow.ddl" : of);
	else if (!pg_get_bool(r, row, D_SAME))
		tell(c,
		     fkey  ? FOUND_FKEY_DIFFERS
		     : key ? FOUND_KEY_MISSING
			   : FOUND_INDEX_DIFFERS,
		     t, NULL, object, "it is not as it was before the run");
	else if (!pg_get_bool(r, row, D_VALID))
		tell(c, fkey ? FOUND_FKEY_NOT_VALID : FOUND_INDEX_INVALID, t, NULL, object, of);
}

/* Columns that the mapping feeds must be as the run found them. */
static void check_column_before(struct cat *c, int row)
{
	const struct schema *s = &c->v->plan->schema;
	const struct pg_result *r = c->columns_before;
	const char *name = pg_get(r, row, B_COLUMN), *now = pg_get(r, row, B_TYPE_NOW);
	int table = schema_find_table(s, pg_get(r, row, B_TABLE));
	const struct schema_table *t = table >= 0 ? &s->tables[table] : NULL;

	if (t == NULL || name == NULL || now == NULL || schema_find_column(t, name) < 0)
		return; /* not the mapping's, or missing, which is told already */
	if (strcmp(now, pg_get(r, row, B_TYPE)) != 0)
		tell(c, FOUND_COLUMN_TYPE, t, name, NULL,
		     arena_printf(c->v->arena, "it was %s when the run began, and is %s", pg_get(r, row, B_TYPE),
				  now));
	if (pg_get_bool(r, row, B_NOT_NULL) != pg_get_bool(r, row, B_NOT_NULL_NOW))
		tell(c, FOUND_COLUMN_NULL, t, name, NULL,
		     pg_get_bool(r, row, B_NOT_NULL) ? "it takes NULL, which it did not when the run began"
						     : "it is NOT NULL, which it was not when the run began");
	if (!pg_get_bool(r, row, B_SAME_DEFAULT))
		tell(c, FOUND_COLUMN_DEFAULT, t, name, NULL, "it is not what it was when the run began");
}

static void check_columns_before(struct cat *c)
{
	bool unknown = false;

	for (int i = 0; c->columns_before != NULL && i < pg_rows(c->columns_before); i++) {
		unknown = unknown || pg_get(c->columns_before, i, B_COLUMN) == NULL;
		check_column_before(c, i);
	}
	if (unknown)
		found_note(c->v->found, "the run did not write down its tables' columns: whether one was changed "
					"since, yet holds the values, is not known");
}

/* --- all of it --- */

static void check_table(struct cat *c, int table)
{
	const struct schema_table *t = &c->v->plan->schema.tables[table];

	checked(c, LAYER_SCHEMA);
	c->v->exists[table] = find_row(c->columns, t->name, NULL) >= 0;
	if (!c->v->exists[table]) {
		tell(c, FOUND_TABLE_MISSING, t, NULL, NULL, NULL);
		return;
	}
	if (!c->v->o.existing && pg_get_bool(c->columns, find_row(c->columns, t->name, NULL), C_UNLOGGED))
		tell(c, FOUND_TABLE_UNLOGGED, t, NULL, NULL, NULL);
	for (size_t i = 0; i < t->ncolumns; i++)
		check_column(c, t, (int)i);
	if (c->recorded == NULL)
		check_primary_key(c, t);
	for (size_t i = 0; i < t->nfkeys; i++)
		check_fkey(c, t, &t->fkeys[i]);
	for (size_t i = 0; c->recorded == NULL && i < t->nindexes; i++)
		check_index(c, t, &t->indexes[i]);
}

static bool read_catalog(struct cat *c, struct pg *pg, struct err *err)
{
	struct pg_param p = PG_TEXT(c->v->plan->schema.name);

	return pg_query(pg, columns_sql, &p, 1, &c->columns, err) &&
	       pg_query(pg, constraints_sql, &p, 1, &c->constraints, err) &&
	       pg_query(pg, indexes_sql, &p, 1, &c->indexes, err) && pg_query(pg, enums_sql, &p, 1, &c->enums, err) &&
	       read_recorded(c, pg, err) && compare_defaults(c, err);
}

bool catalog_check(struct validation *v, struct pg *pg, struct err *err)
{
	struct cat c = {.v = v, .pg = pg};
	bool ok = read_catalog(&c, pg, err);

	for (size_t i = 0; ok && i < v->plan->schema.ntables; i++)
		check_table(&c, (int)i);
	for (size_t i = 0; ok && i < v->plan->schema.nenums; i++)
		check_enum_type(&c, &v->plan->schema.enums[i]);
	for (size_t i = 0; ok && i < v->plan->schema.ntables; i++) {
		found_table(v->found, (int)i)->exists =
			find_row(c.columns, v->plan->schema.tables[i].name, NULL) >= 0;
	}
	for (int i = 0; ok && c.recorded != NULL && i < pg_rows(c.recorded); i++)
		check_recorded(&c, i);
	if (ok)
		check_columns_before(&c);
	pg_result_free(c.recorded);
	pg_result_free(c.columns_before);
	pg_result_free(c.columns);
	pg_result_free(c.constraints);
	pg_result_free(c.indexes);
	pg_result_free(c.enums);
	return ok;
}

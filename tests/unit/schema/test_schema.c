/* Types, SQL text and phases of the target's model. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "schema.h"

static struct arena *arena;
static struct buf out;

static int setup(void **state)
{
	arena = arena_new();
	buf_init(&out, 0);
	return 0;
}

static int teardown(void **state)
{
	arena_free(arena);
	buf_free(&out);
	return 0;
}

static const char *type_sql(const char *text)
{
	struct pgtype t;
	if (!pgtype_parse(arena, text, &t))
		return "refused";
	buf_reset(&out);
	pgtype_sql(&out, &t, t.base == PGT_ENUM ? "s" : NULL);
	return buf_cstr(&out);
}

static void types_are_read_and_written(void **state)
{
	static const char *const cases[][2] = {
		{"int", "integer"},
		{" INT4 ", "integer"},
		{"double  precision", "double precision"},
		{"float(24)", "real"},
		{"float(25)", "double precision"},
		{"Decimal", "numeric"},
		{"numeric(10, 2)", "numeric(10,2)"},
		{"numeric(3,-2)", "numeric(3,-2)"},
		{"numeric(5)", "numeric(5,0)"},
		{"TIMESTAMP(3)", "timestamp(3)"},
		{"timestamp(3) with time zone", "timestamptz(3)"},
		{"timestamp without time zone", "timestamp"},
		{"character varying(40)", "varchar(40)"},
		{"varchar", "varchar"},
		{"char", "char(1)"},
		{"char(7)", "char(7)"},
		{"bpchar", "bpchar"},
		{"text[]", "text[]"},
		{"int8 [ ] [3]", "bigint[][]"},
		{"vector(3)", "vector(3)"},
		{"taskStatus", "\"s\".\"taskStatus\""},
		{"\"Task \"\"x\"[]", "\"s\".\"Task \"\"x\"[]"},
		{"\"text\"", "\"s\".\"text\""},
	};
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
		assert_string_equal(type_sql(cases[i][0]), cases[i][1]);
}

static void malformed_types_are_refused(void **state)
{
	static const char *const cases[] = {"",
					    "  ",
					    "[]",
					    "text(3)",
					    "varchar(0)",
					    "varchar(10485761)",
					    "varchar(",
					    "varchar()",
					    "numeric(0)",
					    "numeric(1001)",
					    "timestamp(7)",
					    "timestamp(-1)",
					    "int integer",
					    "text[",
					    "text] ",
					    "text[] x",
					    "\"open",
					    "a b",
					    "my-type",
					    "x(3)",
					    "numeric(1,2,3)",
					    "int[][][][][][][]",
					    "\"a\"b",
					    "uuid;drop"};
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
		assert_string_equal(type_sql(cases[i]), "refused");
}

static void oids_are_those_of_the_catalog(void **state)
{
	struct pgtype t;
	assert_true(pgtype_parse(arena, "timestamptz[]", &t));
	assert_int_equal(t.oid, 1184);
	assert_true(t.array);
	assert_int_equal(t.dims, 1);
	assert_true(pgtype_parse(arena, "citext", &t));
	assert_int_equal(t.oid, 0);
	assert_int_equal(t.length, -1);
	assert_int_equal(t.precision, -1);
}

static const char *literal(const char *text)
{
	buf_reset(&out);
	sql_literal(&out, text);
	return buf_cstr(&out);
}

static void literals_and_names_are_quoted(void **state)
{
	assert_string_equal(literal("it's"), "'it''s'");
	assert_string_equal(literal("a\\b'c"), "E'a\\\\b''c'");
	assert_string_equal(literal(""), "''");
	buf_reset(&out);
	sql_ident(&out, "a\"b");
	assert_string_equal(buf_cstr(&out), "\"a\"\"b\"");
}

static void long_names_are_cut_and_stay_different(void **state)
{
	char a[81], b[81], first[80];
	memset(a, 'x', 80);
	a[80] = '\0';
	memcpy(b, a, sizeof b);
	b[79] = 'y';
	buf_reset(&out);
	schema_derived_name(&out, a, "_pkey");
	assert_int_equal(out.len, SCHEMA_NAME_MAX);
	memcpy(first, buf_cstr(&out), SCHEMA_NAME_MAX + 1);
	buf_reset(&out);
	schema_derived_name(&out, b, "_pkey");
	assert_string_not_equal(buf_cstr(&out), first);
	buf_reset(&out);
	schema_derived_name(&out, "short", "_pkey");
	assert_string_equal(buf_cstr(&out), "short_pkey");
	/* 31 two-byte letters: the cut falls inside a letter and goes back to its start */
	buf_reset(&out);
	schema_derived_name(&out, "ééééééééééééééééééééééééééééééé", "_pkey");
	assert_int_equal(out.len, 48 + 9 + 5);
}

#define UUID(n, required)                                                                                            \
	{                                                                                                            \
		.name = n, .type = {.base = PGT_UUID, .length = -1, .precision = -1}, .not_null = required           \
	}

static void statements(void **state)
{
	struct schema_column columns[] = {UUID("id", true), UUID("owner", false)};
	columns[1].default_sql = "gen_random_uuid()";
	int key[] = {0};
	const char *names[] = {"owner", "id"};
	struct schema_index index = {.name = "i",
				     .columns = names,
				     .ncolumns = 2,
				     .method = "btree",
				     .unique = true,
				     .nulls_not_distinct = true,
				     .where = "owner IS NOT NULL"};
	struct schema_fkey fkey = {"f", "owner", 0, "id", FK_SET_NULL, FK_CASCADE};
	struct schema_table table = {.name = "T",
				     .columns = columns,
				     .ncolumns = 2,
				     .primary_key = key,
				     .nprimary_key = 1,
				     .parent_table = -1};
	struct schema s = {.name = "public", .tables = &table, .ntables = 1};
	buf_reset(&out);
	schema_sql_table(&out, &s, &table);
	assert_string_equal(buf_cstr(&out),
			    "CREATE TABLE \"public\".\"T\" (\"id\" uuid NOT NULL, \"owner\" uuid DEFAULT "
			    "gen_random_uuid())");
	buf_reset(&out);
	schema_sql_primary_key(&out, &s, &table);
	assert_string_equal(buf_cstr(&out),
			    "ALTER TABLE \"public\".\"T\" ADD CONSTRAINT \"T_pkey\" PRIMARY KEY (\"id\")");
	buf_reset(&out);
	schema_sql_index(&out, &s, &table, &index);
	assert_string_equal(buf_cstr(&out),
			    "CREATE UNIQUE INDEX \"i\" ON \"public\".\"T\" USING btree (\"owner\", \"id\") "
			    "NULLS NOT DISTINCT WHERE owner IS NOT NULL");
	buf_reset(&out);
	schema_sql_fkey(&out, &s, &table, &fkey, true);
	assert_string_equal(buf_cstr(&out),
			    "ALTER TABLE \"public\".\"T\" ADD CONSTRAINT \"f\" FOREIGN KEY (\"owner\") "
			    "REFERENCES \"public\".\"T\" (\"id\") ON DELETE SET NULL ON UPDATE CASCADE NOT "
			    "VALID");
	const char *labels[] = {"a", "it's"};
	struct schema_enum e = {"kind", labels, 2};
	buf_reset(&out);
	schema_sql_enum(&out, &s, &e);
	assert_string_equal(buf_cstr(&out), "CREATE TYPE \"public\".\"kind\" AS ENUM ('a', 'it''s')");
}

/* A type of domain "d" over `below`, with brackets of its own. */
static struct pgtype of_domain(const char *below, int brackets)
{
	struct pgtype t;
	assert_true(pgtype_parse(arena, below, &t));
	t.domain = "d";
	t.domain_dims = t.dims;
	t.dims += brackets;
	t.array = t.dims > 0;
	return t;
}

static void domains_and_generated_columns(void **state)
{
	struct schema s = {.name = "s"};
	struct schema_domain d = {.name = "d\"", .not_null = true, .check = "VALUE <> ''"};
	struct schema_column columns[] = {
		{.name = "a", .type = of_domain("text", 0)},
		{.name = "b", .type = of_domain("numeric(6,2)", 2)},
		{.name = "c", .type = of_domain("text[]", 0), .not_null = true},
		{.name = "e", .type = of_domain("text", 0), .generated_sql = "upper(a)", .not_null = true},
	};
	struct schema_table t = {.name = "t", .columns = columns, .ncolumns = 4};
	assert_true(pgtype_parse(arena, "varchar(3)", &d.type));
	buf_reset(&out);
	schema_sql_domain(&out, &s, &d);
	assert_string_equal(buf_cstr(&out),
			    "CREATE DOMAIN \"s\".\"d\"\"\" AS varchar(3) NOT NULL CHECK (VALUE <> '')");
	buf_reset(&out);
	schema_sql_table(&out, &s, &t);
	assert_string_equal(
		buf_cstr(&out),
		"CREATE TABLE \"s\".\"t\" (\"a\" \"s\".\"d\", \"b\" \"s\".\"d\"[][], \"c\" \"s\".\"d\" NOT NULL, "
		"\"e\" \"s\".\"d\" NOT NULL GENERATED ALWAYS AS (upper(a)) STORED)");
}

/* ---- the order of loading ---- */

#define REFERS(...)                                                                                                  \
	.fkeys = (struct schema_fkey[]){__VA_ARGS__},                                                                \
	.nfkeys = sizeof((struct schema_fkey[]){__VA_ARGS__}) / sizeof(struct schema_fkey)
#define TO(t)                                                                                                        \
	{                                                                                                            \
		.ref_table = (t)                                                                                     \
	}

/* "lookups: a, b | level 2: c > d": phases, tables of a step, steps of a phase; a circle's tables with a star. */
static const char *order_text(const struct schema *s, const struct schema_order *o)
{
	buf_reset(&out);
	for (size_t p = 0; p < o->nphases; p++) {
		buf_printf(&out, "%s%s:", p > 0 ? " | " : "", o->phases[p].name);
		for (size_t i = 0; i < o->phases[p].ntables; i++) {
			int t = o->phases[p].tables[i];
			bool later = i > 0 && o->step[t] != o->step[o->phases[p].tables[i - 1]];
			assert_int_equal(o->phase[t], p);
			buf_printf(&out, "%s %s%s", later ? " >" : "", s->tables[t].name, o->circle[t] ? "*" : "");
		}
	}
	return buf_cstr(&out);
}

/* A step is above those of what its tables refer to, circles and child tables excepted. */
static void check_steps(const struct schema *s, const struct schema_order *o)
{
	for (size_t t = 0; t < s->ntables; t++)
		for (size_t f = 0; f < s->tables[t].nfkeys; f++) {
			int ref = s->tables[t].fkeys[f].ref_table;
			assert_true(o->component[t] == o->component[ref] ? o->step[t] == o->step[ref]
									 : o->step[t] > o->step[ref]);
			assert_true(o->phase[t] >= o->phase[ref]);
		}
}

static void assert_order(const struct schema *s, const char *expected)
{
	struct schema_order o = schema_order(s, arena);
	assert_string_equal(order_text(s, &o), expected);
	check_steps(s, &o);
}

/* a → b → c → b (a circle of b and c), c → d, e → e, f is a child table of a and refers to e, g is a junction of d
 * and a, nothing is known of h. */
static void phases_are_computed(void **state)
{
	struct schema_table t[] = {
		{.name = "a", REFERS(TO(1)), .parent_table = -1},
		{.name = "b", REFERS(TO(2)), .parent_table = -1},
		{.name = "c", REFERS(TO(1), TO(3)), .parent_table = -1},
		{.name = "d", .parent_table = -1},
		{.name = "e", REFERS(TO(4)), .parent_table = -1},
		{.name = "f", REFERS(TO(0), TO(4)), .parent_table = 0},
		{.name = "g", REFERS(TO(3), TO(0)), .parent_table = -1},
		{.name = "h", .parent_table = -1},
	};
	struct schema_junction g = {.table = 6};
	struct schema s = {.tables = t, .ntables = 8, .junctions = &g, .njunctions = 1};
	assert_order(&s, "lookups: d e | level 2: b* c* | level 3: a f | unconnected: h | junctions: g");
	assert_int_equal(schema_order(&s, arena).nsteps, 5);
	assert_int_equal(schema_find_table(&s, "e"), 4);
	assert_int_equal(schema_find_table(&s, "x"), -1);
	s.ntables = 0;
	assert_order(&s, "");
}

/* A circle that refers to nothing else is no lookup; a child table's reference makes a circle of its parent. */
static void circles_are_one_step(void **state)
{
	struct schema_table t[] = {
		{.name = "a", REFERS(TO(1)), .parent_table = -1},
		{.name = "b", .parent_table = -1},
		{.name = "b_lines", REFERS(TO(1), TO(0)), .parent_table = 1},
		{.name = "c", REFERS(TO(0)), .parent_table = -1},
	};
	struct schema s = {.tables = t, .ntables = 4};
	assert_order(&s, "level 2: a* b* b_lines* | level 3: c");
}

/* The mapping's phases stand, with steps inside; a table that it does not name goes as early as it may, a junction
 * last; what refers to a later phase is raised; empty phases are left out. */
static void phases_of_the_mapping_stand(void **state)
{
	const char *names[] = {"people", "nothing", "things", "papers"};
	struct schema_table t[] = {
		{.name = "paper", REFERS(TO(2)), .phase = 4, .parent_table = -1},
		{.name = "user", .phase = 1, .parent_table = -1},
		{.name = "thing", REFERS(TO(3), TO(1)), .phase = 3, .parent_table = -1},
		{.name = "kind", .phase = 3, .parent_table = -1},
		{.name = "free", .parent_table = -1},
		{.name = "kin", REFERS(TO(3)), .parent_table = -1},
		{.name = "pair", REFERS(TO(1), TO(2)), .parent_table = -1},
		{.name = "user_paper", REFERS(TO(0)), .phase = 1, .parent_table = -1},
	};
	struct schema_junction pair = {.table = 6};
	struct schema s = {
		.tables = t, .ntables = 8, .junctions = &pair, .njunctions = 1, .phases = names, .nphases = 4};
	assert_order(&s,
		     "people: user free | things: kind > thing kin | papers: paper > user_paper | junctions: pair");
	t[6].phase = 4;
	assert_order(&s, "people: user free | things: kind > thing kin | papers: paper pair > user_paper");
}

/* What the server itself counts: tests/e2e/test_types.py loads rows of exactly the largest size. */
static void rows_have_a_least_size(void **state)
{
	enum { N = 1018 };
	struct schema_column c[N] = {{.name = "k", .type = {.base = PGT_UUID}, .not_null = true}};
	struct schema_table t = {.columns = c, .ncolumns = 1};
	assert_int_equal(schema_row_bytes(&t, true), 24 + 16);
	for (int i = 0; i < N; i++)
		c[i] = (struct schema_column){.name = "n", .type = {.base = PGT_INT8}, .not_null = true};
	t.ncolumns = 1017;
	assert_int_equal(schema_row_bytes(&t, true), SCHEMA_ROW_MAX);
	t.ncolumns = 1018;
	assert_int_equal(schema_row_bytes(&t, true), SCHEMA_ROW_MAX + 8);
	/* one bit for each column as soon as one may be missing; text may be elsewhere; a column that nothing feeds
	 */
	c[0].not_null = false;
	assert_int_equal(schema_row_bytes(&t, true), 152 + 1017 * 8);
	assert_int_equal(schema_row_bytes(&t, false), SCHEMA_ROW_MAX + 8);
	c[1].type.base = PGT_TEXT;
	c[2] = (struct schema_column){.name = "n", .type = {.base = PGT_INT8}, .no_source = true};
	t.ncolumns = 4;
	assert_int_equal(schema_row_bytes(&t, false), 24 + 8 + 8 + 8);
	t.ncolumns = 3;
	assert_int_equal(schema_row_bytes(&t, false), 24 + 8 + 8);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(types_are_read_and_written),
		cmocka_unit_test(malformed_types_are_refused),
		cmocka_unit_test(oids_are_those_of_the_catalog),
		cmocka_unit_test(literals_and_names_are_quoted),
		cmocka_unit_test(long_names_are_cut_and_stay_different),
		cmocka_unit_test(statements),
		cmocka_unit_test(domains_and_generated_columns),
		cmocka_unit_test(phases_are_computed),
		cmocka_unit_test(circles_are_one_step),
		cmocka_unit_test(phases_of_the_mapping_stand),
		cmocka_unit_test(rows_have_a_least_size),
	};
	return cmocka_run_group_tests(tests, setup, teardown);
}

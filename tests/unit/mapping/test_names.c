/* Names that are made, --only and --skip, and filters written in YAML. */
#include "mapping_test.h"

#include "doc.h"
#include "extjson.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))
#define KEY      "{ name: id, from: _id, type: uuid, primary_key: true }"

static const struct schema_table *table_of(const struct plan *p, const char *name)
{
	int t = schema_find_table(&p->schema, name);
	if (t < 0)
		fail_msg("no table %s", name);
	return &p->schema.tables[t];
}

static void styles(void **state)
{
	static const struct {
		const char *style, *field, *name;
	} cases[] = {
		{"as-is", "crm_AccountTasks", "crm_AccountTasks"},
		{"snake_case", "crm_AccountTasks", "crm_account_tasks"},
		{"camelCase", "crm_AccountTasks", "crmAccountTasks"},
		{"PascalCase", "crm_AccountTasks", "CrmAccountTasks"},
		{"snake_case", "accountsIDs", "accounts_ids"},
		{"camelCase", "accountsIDs", "accountsIds"},
		{"snake_case", "HTTPServer", "http_server"},
		{"snake_case", "__v", "v"},
		{"snake_case", "a2B", "a2_b"},
		{"snake_case", "user-id 2", "user_id_2"},
		{"camelCase", "x_y", "xY"},
		{"snake_case", "___", "___"},
		{"snake_case", "\xc3\xa4rzteID", "\xc3\xa4rzte_id"},
		{"snake_case", "XID", "xid"},
	};
	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		char text[400];
		snprintf(text, sizeof text,
			 "docrow: 1\ntarget: { names: %s }\ncollections: [{ collection: c, columns: [" KEY
			 ", { from: [\"%s\"], type: text }] }]\n",
			 cases[i].style, cases[i].field);
		struct mapping *m = parse(text);
		assert_string_equal(m->collections[0].columns[1].name, cases[i].name);
		mapping_free(m);
	}
}

static void made_names_of_all_kinds(void **state)
{
	(void)state;
	struct mapping *m = parse(
		"docrow: 1\ntarget: { names: camelCase }\ncollections:\n"
		"  - { collection: user_notes, columns: [" KEY
		", { from: owner.id, type: uuid, references: userNotes }], indexes: [{ columns: [ownerId] }] }\n");
	struct plan *p = compile(m);
	const struct schema_table *t = table_of(p, "userNotes");
	assert_string_equal(t->columns[1].name, "ownerId");
	assert_string_equal(t->indexes[0].name, "userNotesOwnerIdIdx");
	assert_string_equal(t->fkeys[0].name, "userNotesOwnerIdFkey");
	assert_string_equal(t->primary_key_name, "userNotesPkey");
	plan_free(p);
	mapping_free(m);
}

static void long_names_are_cut_and_stay_apart(void **state)
{
	(void)state;
	struct mapping *m =
		parse("docrow: 1\ncollections:\n"
		      "  - collection: a_collection_whose_name_is_longer_than_any_name_that_postgresql_keeps\n"
		      "    columns: [" KEY ", { name: a, type: text }, { name: b, type: text }]\n"
		      "    indexes: [{ columns: [a] }, { columns: [b] }]\n");
	struct plan *p = compile(m);
	const struct schema_table *t = &p->schema.tables[0];
	assert_true(strlen(t->name) <= 63 && strlen(t->indexes[0].name) <= 63);
	assert_string_not_equal(t->indexes[0].name, t->indexes[1].name);
	assert_string_equal(t->name, "a_collection_whose_name_is_longer_than_any_name_that_p_49657131");
	plan_free(p);
	mapping_free(m);
}

static void entries_and_their_names(void **state)
{
	struct err err;
	struct buf out;
	static const char *const only[] = {"events, zz*"};
	(void)state;
	struct mapping *m =
		parse("docrow: 1\ncollections:\n"
		      "  - { collection: events, table: a, where: {}, columns: [" KEY "] }\n"
		      "  - { collection: events, table: b, where: { n: 1 }, columns: [" KEY "] }\n"
		      "  - { collection: events, name: third, table: b, where: { n: 2 }, columns: [" KEY "] }\n"
		      "  - { collection: zzz, columns: [" KEY "] }\n  - { collection: other, columns: [" KEY "] }\n");
	assert_string_equal(m->collections[0].name, "events/a");
	assert_string_equal(m->collections[1].name, "events/b");
	assert_string_equal(m->collections[2].name, "third");
	buf_init(&out, 0);
	assert_true(plan_choose(m, only, 1, NULL, 0, &out, &err));
	assert_string_equal(buf_cstr(&out), "other\n");
	struct plan *p = NULL;
	assert_true(plan_build_part(&p, m, "events/b\nother\n", NULL, &err));
	assert_int_equal(p->ncollections, 3);
	assert_int_equal(p->schema.ntables, 3); /* b is fed by the third, still */
	assert_string_equal(schema_feeder(table_of(p, "b")), "third");
	plan_free(p);
	p = compile(m);
	assert_null(schema_feeder(table_of(p, "b")));
	plan_free(p);
	buf_free(&out);
	mapping_free(m);
}

static void filters_in_yaml(void **state)
{
	static const struct {
		const char *yaml, *json;
	} cases[] = {
		{"{ a: 1, b: -2147483649, c: 1.5, d: true, e: null, f: x, g: '1', h: [1, {}] }",
		 "{\"a\":{\"$numberInt\":\"1\"},\"b\":{\"$numberLong\":\"-2147483649\"},\"c\":{\"$numberDouble\":\"1."
		 "5\"},\"d\":true,"
		 "\"e\":null,\"f\":\"x\",\"g\":\"1\",\"h\":[{\"$numberInt\":\"1\"},{}]}"},
		{"{ a: { $oid: 507f1f77bcf86cd799439011 }, d: { $date: 2024-02-29 }, e: { $date: "
		 "'1969-12-31T23:59:59.5Z' } }",
		 "{\"a\":{\"$oid\":\"507f1f77bcf86cd799439011\"},\"d\":{\"$date\":{\"$numberLong\":\"1709164800000\"}"
		 "},"
		 "\"e\":{\"$date\":{\"$numberLong\":\"-500\"}}}"},
		{"{ a: { $date: 2024-01-01T01:30:00+01:30 }, b: { $numberDecimal: '1.10' }, c: { $numberLong: 5 } }",
		 "{\"a\":{\"$date\":{\"$numberLong\":\"1704067200000\"}},\"b\":{\"$numberDecimal\":\"1.10\"},"
		 "\"c\":{\"$numberLong\":\"5\"}}"},
		{"{ a: { $binary: { base64: AQID, subType: '80' } }, b: { $timestamp: { t: 4294967295, i: 2 } } }",
		 "{\"a\":{\"$binary\":{\"base64\":\"AQID\",\"subType\":\"80\"}},\"b\":{\"$timestamp\":{\"t\":"
		 "4294967295,\"i\":2}}}"},
		{"{ a: { $regularExpression: { pattern: ^a, options: i } }, b: { $minKey: 1 }, c: { $gt: .inf } }",
		 "{\"a\":{\"$regularExpression\":{\"pattern\":\"^a\",\"options\":\"i\"}},\"b\":{\"$minKey\":1},"
		 "\"c\":{\"$gt\":{\"$numberDouble\":\"Infinity\"}}}"},
	};
	static const struct extjson_opts opts = {.mode = EXTJSON_CANONICAL};
	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		char text[700];
		struct extjson_info info = {false, false};
		struct buf out;
		snprintf(text, sizeof text,
			 "docrow: 1\ncollections: [{ collection: c, where: %s, columns: [" KEY "] }]\n",
			 cases[i].yaml);
		struct mapping *m = parse(text);
		struct val v = {m->collections[0].where, (uint32_t)m->collections[0].nwhere, BSON_K_DOCUMENT};
		assert_true(doc_is_wellformed(v.data, v.len));
		buf_init(&out, 0);
		assert_int_equal(extjson_write(&out, &v, &opts, &info), FAULT_OK);
		assert_string_equal(buf_cstr(&out), cases[i].json);
		buf_free(&out);
		mapping_free(m);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(styles),
		cmocka_unit_test(made_names_of_all_kinds),
		cmocka_unit_test(long_names_are_cut_and_stay_apart),
		cmocka_unit_test(entries_and_their_names),
		cmocka_unit_test(filters_in_yaml),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

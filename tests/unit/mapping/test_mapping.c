/* The reader: what stands in the YAML, what is inherited, what follows; and where mappings are found. */
#include <sys/stat.h>
#include <unistd.h>

#include "mapping_test.h"

static const char *const full =
	"docrow: 1\n"
	"source: { database: shop }\n"
	"target:\n"
	"  schema: sales\n"
	"  id: string-uuid\n"
	"  id_namespace: 12345678-1234-1234-1234-123456789abc\n"
	"  owner: boss\n"
	"  grants: [{ role: app, privileges: select }]\n"
	"max_rejects: 7\n"
	"validate: { threshold: 99.5% }\n"
	"policies: { accept: [hex-id, iso-string, bool-number], if_orphan: null, on_delete: set null, on_update: "
	"cascade,\n"
	"            encoding: strip, json: plain, if_invalid: \"null\", uuid_order: java }\n"
	"enums: [{ name: mood, labels: [GOOD, BAD] }]\n"
	"collections:\n"
	"  - collection: things\n"
	"    table: Things\n"
	"    optional: true\n"
	"    id: objectid-string\n"
	"    max_rejects: 9\n"
	"    policies: { encoding: replace, accept: [iso-string] }\n"
	"    columns:\n"
	"      - { name: id, from: _id, type: uuid, primary_key: true }\n"
	"      - { name: city, from: address.city, type: varchar(20), encoding: reject }\n"
	"      - { name: odd, from: [a.b, $c, \"\"], type: text }\n"
	"      - { name: at, type: timestamp(3), not_null: true, accept: [epoch-s],\n"
	"          if_missing: [{ path: made.at }, $id_time] }\n"
	"      - { name: mood, type: mood, labels: { good: GOOD, bad: BAD }, if_null: GOOD, fold_case: true }\n"
	"      - { name: word, type: text, if_missing: { literal: $id_time } }\n"
	"      - { name: rest, type: jsonb }\n"
	"      - { name: nothing, type: text, from: ~, default: \"'x'\" }\n"
	"      - { name: owner, type: uuid, references: things_b }\n"
	"      - { name: maker, type: uuid, not_null: true, references: { table: things_b, on_delete: cascade } }\n"
	"      - { name: soft, type: uuid, references: { table: things_b, constraint: false } }\n"
	"    indexes:\n"
	"      - { columns: [city, at] }\n"
	"      - { columns: word, unique: true, duplicates: last }\n"
	"  - collection: things_b\n"
	"    columns: [{ name: id, from: _id, type: uuid, primary_key: true, accept: hex-id }]\n";

static struct mapping *m;

static int setup(void **state)
{
	m = parse(full);
	return 0;
}

static int teardown(void **state)
{
	mapping_free(m);
	return 0;
}

static const struct map_column *column(const char *name)
{
	const struct map_collection *k = &m->collections[0];
	for (size_t i = 0; i < k->ncolumns; i++)
		if (strcmp(k->columns[i].name, name) == 0)
			return &k->columns[i];
	fail_msg("no column %s", name);
	return NULL;
}

static void heads_are_read(void **state)
{
	assert_string_equal(m->name, "test");
	assert_string_equal(m->source_database, "shop");
	assert_string_equal(m->target_schema, "sales");
	assert_string_equal(m->owner, "boss");
	assert_string_equal(m->grants[0].privileges, "select");
	assert_int_equal(m->max_rejects.n, 7);
	assert_true(m->threshold > 0.99499 && m->threshold < 0.99501);
	assert_int_equal(m->id_namespace[15], 0xbc);
	assert_int_equal(m->enums[0].nlabels, 2);
	assert_int_equal(m->text_len, strlen(full));
	const struct map_collection *k = &m->collections[0];
	assert_string_equal(k->table, "Things");
	assert_true(k->optional);
	assert_int_equal(k->max_rejects.n, 9);
	assert_int_equal(k->line, 15);
	assert_int_equal(k->id, MAP_ID_OBJECTID_STRING);
	assert_int_equal(k->uuid_order, MAP_UUID_ORDER_JAVA);
	assert_int_equal(m->collections[1].id, MAP_ID_STRING_UUID);
	assert_string_equal(m->collections[1].table, "things_b");
}

static void paths_are_read(void **state)
{
	assert_int_equal(column("city")->nfrom, 2);
	assert_string_equal(column("city")->from[1], "city");
	assert_int_equal(column("odd")->nfrom, 3);
	assert_string_equal(column("odd")->from[0], "a.b");
	assert_string_equal(column("odd")->from[2], "");
	assert_string_equal(column("mood")->from[0], "mood");
	assert_true(column("nothing")->no_source);
	assert_true(column("id")->is_id);
	assert_false(column("word")->is_id);
	assert_string_equal(map_path_text(m->arena, column("city")->from, 2), "address.city");
	assert_string_equal(map_path_text(m->arena, column("odd")->from, 3), "[\"a.b\",\"$c\",\"\"]");
}

static void values_are_read(void **state)
{
	const struct map_value *v = &column("at")->if_missing;
	assert_int_equal(v->kind, MAP_VALUE_PATH);
	assert_string_equal(v->path[1], "at");
	assert_int_equal(v->otherwise->kind, MAP_VALUE_ID_TIME);
	assert_null(v->otherwise->otherwise);
	assert_int_equal(column("word")->if_missing.kind, MAP_VALUE_LITERAL);
	assert_string_equal(column("word")->if_missing.literal, "$id_time");
	assert_int_equal(column("mood")->if_null.kind, MAP_VALUE_LITERAL);
	assert_string_equal(column("mood")->labels[1].from, "bad");
	assert_string_equal(column("mood")->labels[1].to, "BAD");
	assert_int_equal(column("mood")->type.enum_index, 0);
}

static void policies_are_inherited(void **state)
{
	assert_int_equal(column("word")->encoding, MAP_ENCODING_REPLACE);
	assert_int_equal(column("city")->encoding, MAP_ENCODING_REJECT);
	/* Nor what means nothing for the type. */
	assert_int_equal(column("word")->json, MAP_JSON_RELAXED);
	assert_int_equal(column("rest")->json, MAP_JSON_PLAIN);
	assert_int_equal(column("rest")->from_mapping & MAP_GIVEN_JSON, MAP_GIVEN_JSON);
	assert_int_equal(column("word")->from_collection, MAP_GIVEN_ENCODING);
	assert_int_equal(column("word")->if_invalid.kind, MAP_VALUE_NULL);
	/* No NULL where none may stand. */
	assert_int_equal(column("at")->if_invalid.kind, MAP_VALUE_UNSET);
	assert_int_equal(column("at")->accept, MAP_ACCEPT_EPOCH_S);
	/* Only words that mean something for the type; a reference takes what its key takes. */
	assert_int_equal(column("word")->accept, 0);
	assert_int_equal(column("id")->accept, 0);
	assert_int_equal(column("owner")->accept, MAP_ACCEPT_HEX_ID);
	assert_int_equal(m->collections[1].columns[0].accept, MAP_ACCEPT_HEX_ID);
}

static void references_are_settled(void **state)
{
	const struct map_reference *r = &column("owner")->references;
	assert_true(r->constraint);
	assert_int_equal(r->if_orphan, ORPHAN_NULL);
	assert_int_equal(r->on_delete, FK_SET_NULL);
	assert_int_equal(r->on_update, FK_CASCADE);
	r = &column("maker")->references;
	assert_int_equal(r->if_orphan, ORPHAN_REJECT);
	assert_int_equal(r->on_delete, FK_CASCADE);
	r = &column("soft")->references;
	assert_false(r->constraint);
	assert_int_equal(r->given & MAP_GIVEN_IF_ORPHAN, 0);
}

static void indexes_get_names(void **state)
{
	const struct map_index *x = m->collections[0].indexes;
	assert_string_equal(x[0].name, "Things_city_at_idx");
	assert_string_equal(x[0].method, "btree");
	assert_int_equal(x[0].tier, INDEX_TIER_FILTER);
	assert_string_equal(x[1].name, "Things_word_key");
	assert_int_equal(x[1].duplicates, DUP_LAST);
}

static void aliases_say_a_value_again(void **state)
{
	struct mapping *n = parse("docrow: 1\n"
				  "collections:\n"
				  "  - collection: a\n"
				  "    columns:\n"
				  "      - &id { name: id, from: _id, type: uuid, primary_key: true }\n"
				  "      - { name: x, type: text, not_null: &t true }\n"
				  "  - { collection: b, optional: *t, columns: [*id] }\n");
	assert_string_equal(n->collections[1].columns[0].name, "id");
	assert_true(n->collections[1].optional);
	mapping_free(n);
}

static void the_digest_is_of_the_text(void **state)
{
	uint8_t digest[32];
	sha256(full, strlen(full), digest);
	assert_memory_equal(m->digest, digest, 32);
}

/* ---- finding ---- */

static void write_file(const char *path, const char *text)
{
	struct err err;
	assert_true(file_write_atomic(path, text, strlen(text), &err));
}

static void names_are_looked_up(void **state)
{
	char folder[] = "/tmp/docrow-test-XXXXXX", path[64];
	struct err err;
	struct mapping *n = NULL;
	const char **names;
	assert_non_null(mkdtemp(folder));
	snprintf(path, sizeof path, "%s/mine.yaml", folder);
	write_file(path, full);
	setenv("DOCROW_MAPPINGS", folder, 1);
	assert_true(mapping_load(&n, "mine", NULL, &err));
	assert_string_equal(n->name, "mine");
	assert_string_equal(n->file, path);
	mapping_free(n);
	assert_true(mapping_load(&n, path, NULL, &err));
	mapping_free(n);

	struct arena *a = arena_new();
	bool found = false;
	size_t count = mapping_installed(a, &names);
	for (size_t i = 0; i < count; i++)
		found |= strcmp(names[i], "mine") == 0;
	assert_true(found);
	arena_free(a);

	assert_false(mapping_load(&n, "nine", NULL, &err));
	assert_int_equal(err.code, ERR_MAPPING_MISSING);
	assert_non_null(strstr(err.detail, "did you mean \"mine\"?"));
	assert_false(mapping_load(&n, "./nine.yaml", NULL, &err));
	assert_int_equal(err.code, ERR_MAPPING_MISSING);
	assert_false(mapping_load(&n, "nine.yml", NULL, &err));
	assert_int_equal(err.code, ERR_MAPPING_MISSING);
	unlink(path);
	rmdir(folder);
	unsetenv("DOCROW_MAPPINGS");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(heads_are_read),
		cmocka_unit_test(paths_are_read),
		cmocka_unit_test(values_are_read),
		cmocka_unit_test(policies_are_inherited),
		cmocka_unit_test(references_are_settled),
		cmocka_unit_test(indexes_get_names),
		cmocka_unit_test(aliases_say_a_value_again),
		cmocka_unit_test(the_digest_is_of_the_text),
		cmocka_unit_test(names_are_looked_up),
	};
	return cmocka_run_group_tests_name("mapping", tests, setup, teardown);
}

/* The examples of docs/mapping.md are mappings, or parts of one.
 *
 * A block that starts with ```yaml is a whole mapping. ```yaml KEY is the value of KEY in a collection of its own
 * (columns, children, indexes) or in the mapping (enums, junctions, policies), put into the skeleton below.
 */
#include "mapping_test.h"

#define MANUAL "docs/mapping.md"

/* What the parts may refer to. */
static const char *const skeleton_collections =
	"  - collection: Users\n"
	"    columns:\n"
	"      - { name: id, from: _id, type: uuid, primary_key: true }\n"
	"      - { name: email, type: text }\n"
	"    indexes: [{ columns: [email], unique: true }]\n"
	"  - collection: Projects\n"
	"    columns: [{ name: id, from: _id, type: uuid, primary_key: true }]\n";

struct part {
	const char *key;
	bool in_collection, needs_id;
};
static const struct part parts[] = {
	{"columns", true, true},  {"children", true, true},   {"indexes", true, true},
	{"enums", false, false},  {"domains", false, false},  {"junctions", false, false},
	{"phases", false, false}, {"policies", false, false}, {"target", false, false},
};

static const char *const things = "  - collection: things\n"
				  "    columns:\n"
				  "      - { name: id, from: _id, type: uuid, primary_key: true }\n";

static void put_indented(struct buf *out, const char *text, size_t n, int spaces)
{
	for (const char *s = text, *end = text + n; s < end;) {
		const char *nl = memchr(s, '\n', (size_t)(end - s));
		size_t len = nl != NULL ? (size_t)(nl - s) : (size_t)(end - s);
		buf_printf(out, "%*s%.*s\n", spaces, "", (int)len, s);
		s += len + 1;
	}
}

static bool wrap(struct buf *out, const char *key, const char *text, size_t n)
{
	for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
		const struct part *k = &parts[i];
		if (strcmp(k->key, key) != 0)
			continue;
		buf_puts(out, "docrow: 1\n");
		if (!k->in_collection) {
			buf_printf(out, "%s:\n", key);
			put_indented(out, text, n, 2);
		}
		if (strcmp(key, "columns") == 0 || strcmp(key, "policies") == 0)
			buf_puts(out, "enums: [{ name: mood, labels: [GOOD, BAD, ACTIVE] }]\n");
		buf_printf(out, "collections:\n%s%s", skeleton_collections, things);
		if (strcmp(key, "columns") != 0 && k->in_collection) {
			buf_puts(out, "      - { name: status, type: text }\n"
				      "      - { name: name, type: text }\n"
				      "      - { name: tags, type: jsonb }\n");
			buf_printf(out, "    %s:\n", key);
		}
		if (k->in_collection)
			put_indented(out, text, n, 6);
		return true;
	}
	return false;
}

static void check_block(const char *key, const char *text, size_t n, int line)
{
	struct buf whole, report;
	struct err err;
	struct mapping *m = NULL;
	buf_init(&whole, 0);
	buf_init(&report, 0);
	if (key[0] == '\0')
		buf_put(&whole, text, n);
	else if (!wrap(&whole, key, text, n))
		fail_msg(MANUAL ":%d: the test knows no part \"%s\"", line, key);
	if (!mapping_parse(&m, "example", (const char *)whole.data, whole.len, &report, &err))
		fail_msg(MANUAL ":%d: %s\n%s", line, buf_cstr(&report), buf_cstr(&whole));
	plan_free(compile(m));
	mapping_free(m);
	buf_free(&whole);
	buf_free(&report);
}

static void examples_are_mappings(void **state)
{
	struct buf text;
	int n = 0, line = 1;
	read_source(MANUAL, &text);
	for (const char *s = buf_cstr(&text); s != NULL && *s != '\0';) {
		const char *next = strchr(s, '\n');
		if (strncmp(s, "```yaml", 7) == 0) {
			char key[32] = "";
			const char *end = strstr(next, "\n```");
			sscanf(s + 7, " %31[a-z]", key);
			if (next == s + 7)
				key[0] = '\0';
			assert_non_null(end);
			check_block(key, next + 1, (size_t)(end - next), line);
			for (const char *c = s; c < end + 1; c++)
				line += *c == '\n';
			s = strchr(end + 1, '\n');
			n++;
		} else {
			line++;
			s = next;
		}
		s = s != NULL ? s + 1 : NULL;
	}
	buf_free(&text);
	assert_true(n >= 12);
}

/* Every word of the format stands in the manual. */
static void every_key_is_described(void **state)
{
	static const char *const words[] = {"docrow",
					    "source",
					    "target",
					    "policies",
					    "max_rejects",
					    "validate",
					    "threshold",
					    "enums",
					    "domains",
					    "check",
					    "generated",
					    "collections",
					    "junctions",
					    "database",
					    "schema",
					    "id",
					    "id_namespace",
					    "owner",
					    "grants",
					    "collection",
					    "table",
					    "optional",
					    "uuid_order",
					    "keyless",
					    "primary_key_name",
					    "duplicates",
					    "columns",
					    "children",
					    "indexes",
					    "unmapped",
					    "name",
					    "from",
					    "type",
					    "primary_key",
					    "not_null",
					    "default",
					    "if_missing",
					    "if_null",
					    "if_invalid",
					    "encoding",
					    "accept",
					    "bson",
					    "labels",
					    "fold_case",
					    "json",
					    "duplicate_keys",
					    "references",
					    "column",
					    "constraint",
					    "on_delete",
					    "on_update",
					    "if_orphan",
					    "move_to",
					    "otherwise",
					    "parent",
					    "ordinal",
					    "expression",
					    "method",
					    "where",
					    "unique",
					    "nulls_not_distinct",
					    "tier",
					    "left",
					    "right",
					    "path",
					    "sides",
					    "role",
					    "privileges",
					    "literal",
					    "$id_time",
					    "uuidv7",
					    "string-uuid",
					    "objectid-string",
					    "bytea",
					    "native",
					    "hex-id",
					    "iso-string",
					    "epoch-ms",
					    "epoch-s",
					    "timestamp",
					    "numeric-string",
					    "bool-string",
					    "bool-number",
					    "uuid-string",
					    "oid-document",
					    "dbref",
					    "number-text",
					    "json-text",
					    "scalar-array",
					    "any-id",
					    "union",
					    "intersect",
					    "stub",
					    "keep",
					    "relaxed",
					    "canonical",
					    "plain",
					    "replace",
					    "strip",
					    "standard",
					    "java",
					    "csharp",
					    "python",
					    "reference",
					    "filter",
					    "search"};
	struct arena *a = arena_new();
	const struct map_key_text *keys;
	struct buf text;
	size_t n = map_key_texts(a, &keys);
	read_source(MANUAL, &text);
	assert_true(n > 100);
	for (size_t i = 0; i < n; i++) {
		if (strstr(buf_cstr(&text), arena_printf(a, "`%s`", keys[i].key)) == NULL)
			fail_msg("%s does not describe %s of %s", MANUAL, keys[i].key, keys[i].object);
		if (keys[i].help[0] == '\0')
			fail_msg("map_manual.c has no text for %s of %s", keys[i].key, keys[i].object);
	}
	arena_free(a);
	for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
		char quoted[64];
		snprintf(quoted, sizeof quoted, "`%s`", words[i]);
		if (strstr(buf_cstr(&text), quoted) == NULL)
			fail_msg("%s does not describe %s", MANUAL, quoted);
	}
	buf_free(&text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(examples_are_mappings),
		cmocka_unit_test(every_key_is_described),
	};
	return cmocka_run_group_tests_name("mapping_manual", tests, NULL, NULL);
}

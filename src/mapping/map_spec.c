/* map_spec.c - the format: every key of the YAML, one row each. The manual (docs/mapping.md) says the same in words.
 */
#include "map_private.h"
#include "matrix.h"

#define WORDS(name)                                                                                                  \
	{                                                                                                            \
		name, COUNT_OF(name)                                                                                 \
	}
#define KEYS(name) .keys = (name), .nkeys = COUNT_OF(name)

/* ---- words ---- */

static const struct map_word id_list[] = {
	{"uuidv7", MAP_ID_UUIDV7},
	{"string-uuid", MAP_ID_STRING_UUID},
	{"objectid-string", MAP_ID_OBJECTID_STRING},
	{"text", MAP_ID_TEXT},
	{"bytea", MAP_ID_BYTEA},
	{"native", MAP_ID_NATIVE},
};
static const struct map_words ids = WORDS(id_list);

static const struct map_word names_list[] = {{"as-is", MAP_NAMES_AS_IS},
					     {"snake_case", MAP_NAMES_SNAKE},
					     {"camelCase", MAP_NAMES_CAMEL},
					     {"PascalCase", MAP_NAMES_PASCAL}};
static const struct map_words names = WORDS(names_list);

static const struct map_word accept_list[] = {
	{"hex-id", MAP_ACCEPT_HEX_ID},
	{"iso-string", MAP_ACCEPT_ISO_STRING},
	{"epoch-ms", MAP_ACCEPT_EPOCH_MS},
	{"epoch-s", MAP_ACCEPT_EPOCH_S},
	{"timestamp", MAP_ACCEPT_TIMESTAMP},
	{"numeric-string", MAP_ACCEPT_NUMERIC_STRING},
	{"bool-string", MAP_ACCEPT_BOOL_STRING},
	{"bool-number", MAP_ACCEPT_BOOL_NUMBER},
	{"uuid-string", MAP_ACCEPT_UUID_STRING},
	{"oid-document", MAP_ACCEPT_OID_DOCUMENT},
	{"dbref", MAP_ACCEPT_DBREF},
	{"number-text", MAP_ACCEPT_NUMBER_TEXT},
	{"json-text", MAP_ACCEPT_JSON_TEXT},
	{"scalar-array", MAP_ACCEPT_SCALAR_ARRAY},
	{"any-id", MAP_ACCEPT_ANY_ID},
};
const struct map_words map_words_accept = WORDS(accept_list);

#define BSON(kind) 1 << (kind)
static const struct map_word bson_list[] = {
	{"double", BSON(BSON_K_DOUBLE)},
	{"string", BSON(BSON_K_STRING)},
	{"object", BSON(BSON_K_DOCUMENT)},
	{"array", BSON(BSON_K_ARRAY)},
	{"binData", BSON(BSON_K_BINARY)},
	{"undefined", BSON(BSON_K_UNDEFINED)},
	{"objectId", BSON(BSON_K_OBJECTID)},
	{"bool", BSON(BSON_K_BOOL)},
	{"date", BSON(BSON_K_DATE)},
	{"null", BSON(BSON_K_NULL)},
	{"regex", BSON(BSON_K_REGEX)},
	{"dbPointer", BSON(BSON_K_DBPOINTER)},
	{"javascript", BSON(BSON_K_CODE)},
	{"symbol", BSON(BSON_K_SYMBOL)},
	{"javascriptWithScope", BSON(BSON_K_CODEWSCOPE)},
	{"int", BSON(BSON_K_INT32)},
	{"timestamp", BSON(BSON_K_TIMESTAMP)},
	{"long", BSON(BSON_K_INT64)},
	{"decimal", BSON(BSON_K_DECIMAL128)},
	{"minKey", BSON(MATRIX_MINKEY)},
	{"maxKey", BSON(MATRIX_MAXKEY)},
	{"number", BSON(BSON_K_INT32) | BSON(BSON_K_INT64) | BSON(BSON_K_DOUBLE) | BSON(BSON_K_DECIMAL128)},
};
static const struct map_words bsons = WORDS(bson_list);

static const struct map_word encoding_list[] = {
	{"reject", MAP_ENCODING_REJECT}, {"replace", MAP_ENCODING_REPLACE}, {"strip", MAP_ENCODING_STRIP}};
static const struct map_words encodings = WORDS(encoding_list);

static const struct map_word json_list[] = {
	{"relaxed", MAP_JSON_RELAXED}, {"canonical", MAP_JSON_CANONICAL}, {"plain", MAP_JSON_PLAIN}};
static const struct map_words jsons = WORDS(json_list);

static const struct map_word uuid_order_list[] = {{"standard", MAP_UUID_ORDER_STANDARD},
						  {"java", MAP_UUID_ORDER_JAVA},
						  {"csharp", MAP_UUID_ORDER_CSHARP},
						  {"python", MAP_UUID_ORDER_PYTHON}};
static const struct map_words uuid_orders = WORDS(uuid_order_list);

static const struct map_word duplicate_list[] = {{"reject", DUP_REJECT}, {"first", DUP_FIRST}, {"last", DUP_LAST}};
static const struct map_words duplicates = WORDS(duplicate_list);

static const struct map_word orphan_list[] = {
	{"reject", ORPHAN_REJECT}, {"null", ORPHAN_NULL}, {"keep", ORPHAN_KEEP}, {"stub", ORPHAN_STUB}};
const struct map_words map_words_orphan = WORDS(orphan_list);

static const struct map_word pair_orphan_list[] = {{"reject", ORPHAN_REJECT}, {"keep", ORPHAN_KEEP}};
static const struct map_words pair_orphans = WORDS(pair_orphan_list);

static const struct map_word action_list[] = {{"no action", FK_NO_ACTION},
					      {"restrict", FK_RESTRICT},
					      {"cascade", FK_CASCADE},
					      {"set null", FK_SET_NULL},
					      {"set default", FK_SET_DEFAULT}};
static const struct map_words actions = WORDS(action_list);

static const struct map_word tier_list[] = {
	{"reference", INDEX_TIER_REFERENCE}, {"filter", INDEX_TIER_FILTER}, {"search", INDEX_TIER_SEARCH}};
static const struct map_words tiers = WORDS(tier_list);

static const struct map_word sides_list[] = {
	{"union", PAIRS_UNION}, {"intersect", PAIRS_INTERSECT}, {"left", PAIRS_LEFT}, {"right", PAIRS_RIGHT}};
static const struct map_words sides = WORDS(sides_list);

static const struct map_word unmapped_list[] = {
	{"report", MAP_UNMAPPED_REPORT}, {"keep", MAP_UNMAPPED_KEEP}, {"reject", MAP_UNMAPPED_REJECT}};
const struct map_words map_words_unmapped = WORDS(unmapped_list);

static const struct map_word policy_value_list[] = {{"reject", MAP_VALUE_REJECT}, {"null", MAP_VALUE_NULL}};
const struct map_words map_words_policy_value = WORDS(policy_value_list);

static const char *word_of(const struct map_words *words, int value)
{
	for (size_t i = 0; i < words->n; i++)
		if (words->list[i].value == value)
			return words->list[i].word;
	return "?";
}

const char *map_id_word(enum map_id id)
{
	return word_of(&ids, (int)id);
}

const char *map_accept_word(enum map_accept bit)
{
	return word_of(&map_words_accept, (int)bit);
}

const char *map_orphan_word(enum orphan_policy p)
{
	return p == ORPHAN_MOVE_TO ? "move_to" : word_of(&map_words_orphan, (int)p);
}

const char *map_unmapped_word(enum map_unmapped u)
{
	return word_of(&map_words_unmapped, (int)u);
}

const char *map_encoding_word(enum map_encoding e)
{
	return word_of(&encodings, (int)e);
}

const char *map_json_word(enum map_json j)
{
	return word_of(&jsons, (int)j);
}

const char *map_duplicate_word(enum dup_policy p)
{
	return word_of(&duplicates, (int)p);
}

const char *map_uuid_order_word(enum map_uuid_order o)
{
	return word_of(&uuid_orders, (int)o);
}

const char *map_tier_word(enum index_tier t)
{
	return word_of(&tiers, (int)t);
}

const char *map_sides_word(enum pair_sides s)
{
	return word_of(&sides, (int)s);
}

/* ---- keys ---- */

#define AT(type, field)   offsetof(struct type, field)
#define MANY(type, field) AT(type, field), AT(type, n##field)
#define REQUIRED          true
#define OPTIONAL          false

static const struct map_key reference_keys[] = {
	{"table", KIND_NAME, REQUIRED, AT(map_reference, table)},
	{"column", KIND_NAME, OPTIONAL, AT(map_reference, column)},
	{"name", KIND_NAME, OPTIONAL, AT(map_reference, name)},
	{"constraint", KIND_BOOL, OPTIONAL, AT(map_reference, constraint)},
	{"on_delete", KIND_WORD, OPTIONAL, AT(map_reference, on_delete), 0, &actions, MAP_GIVEN_ON_DELETE},
	{"on_update", KIND_WORD, OPTIONAL, AT(map_reference, on_update), 0, &actions, MAP_GIVEN_ON_UPDATE},
	{"if_orphan", KIND_ORPHAN, OPTIONAL, 0, 0, NULL, MAP_GIVEN_IF_ORPHAN},
};
static const struct map_spec reference_spec = {.what = "references",
					       .size = sizeof(struct map_reference),
					       .line_offset = NO_OFFSET,
					       .given_offset = AT(map_reference, given),
					       KEYS(reference_keys)};

static const struct map_key column_keys[] = {
	{"name", KIND_NAME, OPTIONAL, AT(map_column, name)}, /* or made of `from`: map_settle.c */
	{"from", KIND_FROM, OPTIONAL, MANY(map_column, from), NULL, MAP_GIVEN_FROM},
	{"type", KIND_TYPE, REQUIRED, AT(map_column, type), 0, NULL, MAP_GIVEN_TYPE},
	{"primary_key", KIND_BOOL, OPTIONAL, AT(map_column, primary_key)},
	{"not_null", KIND_BOOL, OPTIONAL, AT(map_column, not_null)},
	{"default", KIND_TEXT, OPTIONAL, AT(map_column, default_sql)},
	{"generated", KIND_NAME, OPTIONAL, AT(map_column, generated_sql)},
	{"value", KIND_TEXT, OPTIONAL, AT(map_column, value)},
	{"if_missing", KIND_VALUE, OPTIONAL, AT(map_column, if_missing), 0, NULL, MAP_GIVEN_IF_MISSING},
	{"if_null", KIND_VALUE, OPTIONAL, AT(map_column, if_null), 0, NULL, MAP_GIVEN_IF_NULL},
	{"if_invalid", KIND_VALUE, OPTIONAL, AT(map_column, if_invalid), 0, NULL, MAP_GIVEN_IF_INVALID},
	{"encoding", KIND_WORD, OPTIONAL, AT(map_column, encoding), 0, &encodings, MAP_GIVEN_ENCODING},
	{"accept", KIND_WORDS, OPTIONAL, AT(map_column, accept), 0, &map_words_accept, MAP_GIVEN_ACCEPT},
	{"bson", KIND_WORDS, OPTIONAL, AT(map_column, bson), 0, &bsons, MAP_GIVEN_BSON},
	{"labels", KIND_RENAMES, OPTIONAL, MANY(map_column, labels), NULL, MAP_GIVEN_LABELS},
	{"fold_case", KIND_BOOL, OPTIONAL, AT(map_column, fold_case), 0, NULL, MAP_GIVEN_FOLD_CASE},
	{"json", KIND_WORD, OPTIONAL, AT(map_column, json), 0, &jsons, MAP_GIVEN_JSON},
	{"duplicate_keys", KIND_WORD, OPTIONAL, AT(map_column, duplicate_keys), 0, &duplicates,
	 MAP_GIVEN_DUPLICATE_KEYS},
	{"uuid_order", KIND_WORD, OPTIONAL, AT(map_column, uuid_order), 0, &uuid_orders, MAP_GIVEN_UUID_ORDER},
	{"references", KIND_SHORTHAND, OPTIONAL, AT(map_column, references), 0, &reference_spec},
};
static const struct map_column column_preset = {.type = {.base = PGT_COUNT}, .references = {.constraint = true}};
static const struct map_spec column_spec = {.what = "a column",
					    .preset = &column_preset,
					    .size = sizeof(struct map_column),
					    .line_offset = AT(map_column, line),
					    .given_offset = AT(map_column, given),
					    KEYS(column_keys)};

static const struct map_key index_keys[] = {
	{"name", KIND_NAME, OPTIONAL, AT(map_index, name)},
	{"columns", KIND_NAMES, OPTIONAL, MANY(map_index, columns)},
	{"expression", KIND_TEXT, OPTIONAL, AT(map_index, expression)},
	{"method", KIND_NAME, OPTIONAL, AT(map_index, method), 0, NULL, MAP_GIVEN_METHOD},
	{"where", KIND_TEXT, OPTIONAL, AT(map_index, where)},
	{"unique", KIND_BOOL, OPTIONAL, AT(map_index, unique)},
	{"nulls_not_distinct", KIND_BOOL, OPTIONAL, AT(map_index, nulls_not_distinct)},
	{"tier", KIND_WORD, OPTIONAL, AT(map_index, tier), 0, &tiers},
	{"duplicates", KIND_WORD, OPTIONAL, AT(map_index, duplicates), 0, &duplicates, MAP_GIVEN_DUPLICATES},
};
static const struct map_index index_preset = {.tier = INDEX_TIER_FILTER};
static const struct map_spec index_spec = {.what = "an index",
					   .preset = &index_preset,
					   .size = sizeof(struct map_index),
					   .line_offset = AT(map_index, line),
					   .given_offset = AT(map_index, given),
					   KEYS(index_keys)};

static const struct map_spec child_spec;
static const struct map_key child_keys[] = {
	{"from", KIND_PATH, REQUIRED, MANY(map_child, from)},
	{"table", KIND_NAME, REQUIRED, AT(map_child, table)},
	{"parent", KIND_NAME, REQUIRED, AT(map_child, parent)},
	{"ordinal", KIND_NAME, OPTIONAL, AT(map_child, ordinal)},
	{"key", KIND_NAME, OPTIONAL, AT(map_child, key)},
	{"columns", KIND_LIST, REQUIRED, MANY(map_child, columns), &column_spec},
	{"children", KIND_LIST, OPTIONAL, AT(map_child, children), AT(map_child, nchildren), &child_spec},
	{"indexes", KIND_LIST, OPTIONAL, MANY(map_child, indexes), &index_spec},
	{"primary_key_name", KIND_NAME, OPTIONAL, AT(map_child, primary_key_name)},
	{"unmapped", KIND_UNMAPPED, OPTIONAL, AT(map_child, unmapped), 0, NULL, MAP_GIVEN_UNMAPPED},
};
static const struct map_spec child_spec = {.what = "a child table",
					   .size = sizeof(struct map_child),
					   .line_offset = AT(map_child, line),
					   .given_offset = AT(map_child, given),
					   KEYS(child_keys)};

static const struct map_key policy_keys[] = {
	{"accept", KIND_WORDS, OPTIONAL, AT(map_policies, accept), 0, &map_words_accept, MAP_GIVEN_ACCEPT},
	{"if_missing", KIND_VALUE, OPTIONAL, AT(map_policies, if_missing), 0, &map_words_policy_value,
	 MAP_GIVEN_IF_MISSING},
	{"if_null", KIND_VALUE, OPTIONAL, AT(map_policies, if_null), 0, &map_words_policy_value, MAP_GIVEN_IF_NULL},
	{"if_invalid", KIND_VALUE, OPTIONAL, AT(map_policies, if_invalid), 0, &map_words_policy_value,
	 MAP_GIVEN_IF_INVALID},
	{"labels", KIND_RENAMES, OPTIONAL, MANY(map_policies, labels), NULL, MAP_GIVEN_LABELS},
	{"encoding", KIND_WORD, OPTIONAL, AT(map_policies, encoding), 0, &encodings, MAP_GIVEN_ENCODING},
	{"json", KIND_WORD, OPTIONAL, AT(map_policies, json), 0, &jsons, MAP_GIVEN_JSON},
	{"fold_case", KIND_BOOL, OPTIONAL, AT(map_policies, fold_case), 0, NULL, MAP_GIVEN_FOLD_CASE},
	{"duplicate_keys", KIND_WORD, OPTIONAL, AT(map_policies, duplicate_keys), 0, &duplicates,
	 MAP_GIVEN_DUPLICATE_KEYS},
	{"uuid_order", KIND_WORD, OPTIONAL, AT(map_policies, uuid_order), 0, &uuid_orders, MAP_GIVEN_UUID_ORDER},
	{"if_orphan", KIND_WORD, OPTIONAL, AT(map_policies, if_orphan), 0, &map_words_orphan, MAP_GIVEN_IF_ORPHAN},
	{"on_delete", KIND_WORD, OPTIONAL, AT(map_policies, on_delete), 0, &actions, MAP_GIVEN_ON_DELETE},
	{"on_update", KIND_WORD, OPTIONAL, AT(map_policies, on_update), 0, &actions, MAP_GIVEN_ON_UPDATE},
};
static const struct map_spec policy_spec = {.what = "policies",
					    .size = sizeof(struct map_policies),
					    .line_offset = NO_OFFSET,
					    .given_offset = AT(map_policies, given),
					    KEYS(policy_keys)};

static const struct map_key collection_keys[] = {
	{"collection", KIND_NAME, REQUIRED, AT(map_collection, source)},
	{"name", KIND_NAME, OPTIONAL, AT(map_collection, name)},
	{"where", KIND_FILTER, OPTIONAL, MANY(map_collection, where)},
	{"table", KIND_NAME, OPTIONAL, AT(map_collection, table)},
	{"optional", KIND_BOOL, OPTIONAL, AT(map_collection, optional)},
	{"id", KIND_WORD, OPTIONAL, AT(map_collection, id), 0, &ids, MAP_GIVEN_ID},
	{"uuid_order", KIND_WORD, OPTIONAL, AT(map_collection, uuid_order), 0, &uuid_orders, MAP_GIVEN_UUID_ORDER},
	{"keyless", KIND_BOOL, OPTIONAL, AT(map_collection, keyless)},
	{"primary_key_name", KIND_NAME, OPTIONAL, AT(map_collection, primary_key_name)},
	{"duplicates", KIND_WORD, OPTIONAL, AT(map_collection, duplicates), 0, &duplicates, MAP_GIVEN_DUPLICATES},
	{"policies", KIND_OBJECT, OPTIONAL, AT(map_collection, policies), 0, &policy_spec},
	{"columns", KIND_LIST, REQUIRED, MANY(map_collection, columns), &column_spec},
	{"children", KIND_LIST, OPTIONAL, AT(map_collection, children), AT(map_collection, nchildren), &child_spec},
	{"indexes", KIND_LIST, OPTIONAL, MANY(map_collection, indexes), &index_spec},
	{"unmapped", KIND_UNMAPPED, OPTIONAL, AT(map_collection, unmapped), 0, NULL, MAP_GIVEN_UNMAPPED},
	{"max_rejects", KIND_LIMIT, OPTIONAL, AT(map_collection, max_rejects), 0, NULL, MAP_GIVEN_MAX_REJECTS},
};
static const struct map_spec collection_spec = {.what = "a collection",
						.size = sizeof(struct map_collection),
						.line_offset = AT(map_collection, line),
						.given_offset = AT(map_collection, given),
						KEYS(collection_keys)};

static const struct map_key side_keys[] = {
	{"collection", KIND_NAME, REQUIRED, AT(map_side, collection)},
	{"path", KIND_PATH, OPTIONAL, MANY(map_side, path)},
	{"column", KIND_NAME, REQUIRED, AT(map_side, column)},
	{"constraint", KIND_NAME, OPTIONAL, AT(map_side, constraint)},
	{"accept", KIND_WORDS, OPTIONAL, AT(map_side, accept), 0, &map_words_accept, MAP_GIVEN_ACCEPT},
};
static const struct map_spec side_spec = {.what = "a junction's side",
					  .size = sizeof(struct map_side),
					  .line_offset = AT(map_side, line),
					  .given_offset = AT(map_side, given),
					  KEYS(side_keys)};

static const struct map_key junction_keys[] = {
	{"table", KIND_NAME, REQUIRED, AT(map_junction, table)},
	{"left", KIND_OBJECT, REQUIRED, AT(map_junction, left), 0, &side_spec},
	{"right", KIND_OBJECT, REQUIRED, AT(map_junction, right), 0, &side_spec},
	{"sides", KIND_WORD, OPTIONAL, AT(map_junction, sides), 0, &sides},
	{"if_orphan", KIND_WORD, OPTIONAL, AT(map_junction, if_orphan), 0, &pair_orphans},
	{"primary_key_name", KIND_NAME, OPTIONAL, AT(map_junction, primary_key_name)},
	{"on_delete", KIND_WORD, OPTIONAL, AT(map_junction, on_delete), 0, &actions, MAP_GIVEN_ON_DELETE},
	{"on_update", KIND_WORD, OPTIONAL, AT(map_junction, on_update), 0, &actions, MAP_GIVEN_ON_UPDATE},
	{"indexes", KIND_LIST, OPTIONAL, MANY(map_junction, indexes), &index_spec},
};
static const struct map_spec junction_spec = {.what = "a junction",
					      .size = sizeof(struct map_junction),
					      .line_offset = AT(map_junction, line),
					      .given_offset = AT(map_junction, given),
					      KEYS(junction_keys)};

static const struct map_key enum_keys[] = {
	{"name", KIND_NAME, REQUIRED, AT(schema_enum, name)},
	{"labels", KIND_LABELS, REQUIRED, MANY(schema_enum, labels)},
};
static const struct map_spec enum_spec = {.what = "an enum",
					  .size = sizeof(struct schema_enum),
					  .line_offset = NO_OFFSET,
					  .given_offset = NO_OFFSET,
					  KEYS(enum_keys)};

static const struct map_key domain_keys[] = {
	{"name", KIND_NAME, REQUIRED, AT(schema_domain, name)},
	{"type", KIND_TYPE, REQUIRED, AT(schema_domain, type)},
	{"not_null", KIND_BOOL, OPTIONAL, AT(schema_domain, not_null)},
	{"check", KIND_NAME, OPTIONAL, AT(schema_domain, check)},
};
static const struct map_spec domain_spec = {.what = "a domain",
					    .size = sizeof(struct schema_domain),
					    .line_offset = NO_OFFSET,
					    .given_offset = NO_OFFSET,
					    KEYS(domain_keys)};

static const struct map_key grant_keys[] = {
	{"role", KIND_NAME, REQUIRED, AT(schema_grant, role)},
	{"privileges", KIND_TEXT, REQUIRED, AT(schema_grant, privileges)},
};
static const struct map_spec grant_spec = {.what = "a grant",
					   .size = sizeof(struct schema_grant),
					   .line_offset = NO_OFFSET,
					   .given_offset = NO_OFFSET,
					   KEYS(grant_keys)};

static const struct map_key phase_keys[] = {
	{"name", KIND_NAME, REQUIRED, AT(map_phase, name)},
	{"tables", KIND_NAMES, REQUIRED, MANY(map_phase, tables)},
};
static const struct map_spec phase_spec = {.what = "a phase",
					   .size = sizeof(struct map_phase),
					   .line_offset = AT(map_phase, line),
					   .given_offset = NO_OFFSET,
					   KEYS(phase_keys)};

/* source, target and validate write into struct mapping itself. */
static const struct map_key source_keys[] = {
	{"database", KIND_TEXT, OPTIONAL, AT(mapping, source_database)},
};
static const struct map_spec source_spec = {.what = "source",
					    .size = sizeof(struct mapping),
					    .line_offset = NO_OFFSET,
					    .given_offset = NO_OFFSET,
					    KEYS(source_keys)};

static const struct map_key target_keys[] = {
	{"schema", KIND_NAME, OPTIONAL, AT(mapping, target_schema)},
	{"names", KIND_WORD, OPTIONAL, AT(mapping, names), 0, &names},
	{"id", KIND_WORD, OPTIONAL, AT(mapping, id), 0, &ids, MAP_GIVEN_ID},
	{"id_namespace", KIND_UUID, OPTIONAL, AT(mapping, id_namespace), 0, NULL, MAP_GIVEN_NAMESPACE},
	{"owner", KIND_NAME, OPTIONAL, AT(mapping, owner)},
	{"grants", KIND_LIST, OPTIONAL, MANY(mapping, grants), &grant_spec},
};
static const struct map_spec target_spec = {.what = "target",
					    .size = sizeof(struct mapping),
					    .line_offset = NO_OFFSET,
					    .given_offset = AT(mapping, given),
					    KEYS(target_keys)};

static const struct map_key validate_keys[] = {
	{"threshold", KIND_SHARE, OPTIONAL, AT(mapping, threshold)},
};
static const struct map_spec validate_spec = {.what = "validate",
					      .size = sizeof(struct mapping),
					      .line_offset = NO_OFFSET,
					      .given_offset = NO_OFFSET,
					      KEYS(validate_keys)};

static const struct map_key mapping_keys[] = {
	{"docrow", KIND_VERSION, REQUIRED, 0},
	{"source", KIND_OBJECT, OPTIONAL, 0, 0, &source_spec},
	{"target", KIND_OBJECT, OPTIONAL, 0, 0, &target_spec},
	{"policies", KIND_OBJECT, OPTIONAL, AT(mapping, policies), 0, &policy_spec},
	{"unmapped", KIND_UNMAPPED, OPTIONAL, AT(mapping, unmapped), 0, NULL, MAP_GIVEN_UNMAPPED},
	{"max_rejects", KIND_LIMIT, OPTIONAL, AT(mapping, max_rejects)},
	{"validate", KIND_OBJECT, OPTIONAL, 0, 0, &validate_spec},
	{"enums", KIND_LIST, OPTIONAL, MANY(mapping, enums), &enum_spec},
	{"domains", KIND_LIST, OPTIONAL, MANY(mapping, domains), &domain_spec},
	{"collections", KIND_LIST, REQUIRED, MANY(mapping, collections), &collection_spec},
	{"junctions", KIND_LIST, OPTIONAL, MANY(mapping, junctions), &junction_spec},
	{"phases", KIND_LIST, OPTIONAL, MANY(mapping, phases), &phase_spec},
};
const struct map_spec map_spec_mapping = {.what = "a mapping",
					  .size = sizeof(struct mapping),
					  .line_offset = NO_OFFSET,
					  .given_offset = AT(mapping, given),
					  KEYS(mapping_keys)};

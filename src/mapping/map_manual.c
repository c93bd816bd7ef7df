/* map_manual.c - the keys of the format in words, for docrow-mapping(5).
 *
 * What a key takes follows from its row in map_spec.c, whether it must be there, too; what it means stands here, one
 * row for each. A key without a row has no help: a test looks for that. docs/mapping.md says the same at length.
 */
#include "map_private.h"

struct text {
	const char *object, *key, *otherwise, *help;
};

static const struct text texts[] = {
	{"a mapping", "docrow", "", "the number of the format"},
	{"a mapping", "source", "", "where the documents come from"},
	{"a mapping", "target", "", "where the tables go"},
	{"a mapping", "policies", "", "what holds for every column and reference that does not say otherwise"},
	{"a mapping", "unmapped", "report",
	 "fields that no column takes: counted by path, kept in a jsonb column, or the document is a reject; for "
	 "collections that do not say otherwise"},
	{"a mapping", "max_rejects", "10,000 or 1%",
	 "how many documents of one collection may be rejected before the run stops; for collections that do not say "
	 "otherwise"},
	{"a mapping", "validate", "", "what docrow validate asks for"},
	{"a mapping", "enums", "", "enum types that docrow makes"},
	{"a mapping", "domains", "", "domains that docrow makes"},
	{"a mapping", "collections", "", "which collection becomes which tables"},
	{"a mapping", "junctions", "", "many-to-many tables out of lists of ids"},
	{"a mapping", "phases", "", "names and order of the phases of loading; without it they are computed"},
	{"source", "database", "", "the database, where the address does not name one"},
	{"target", "schema", "public", "of tables and enums; not docrow, which holds the state of runs"},
	{"target", "names", "as-is", "case style of the names that the mapping does not give"},
	{"target", "id", "uuidv7", "how an _id becomes a key, and every reference to it"},
	{"target", "id_namespace", "docrow's own",
	 "namespace of the UUIDv5 of ids of other types and of keys that docrow makes"},
	{"target", "owner", "who connects", "owner of what is made"},
	{"target", "grants", "", "GRANTs on every table"},
	{"validate", "threshold", "100%",
	 "the part of the compared rows of each table that must be right in a sample, unless --threshold says "
	 "otherwise"},
	{"a grant", "role", "", "to whom"},
	{"a grant", "privileges", "", "SQL: SELECT, INSERT ..."},
	{"an enum", "name", "", "of the type; a column's type is the enum by naming it"},
	{"an enum", "labels", "", "in order"},
	{"a domain", "name", "", "of the type; a column's type is the domain by naming it"},
	{"a domain", "type", "", "below it: values go in as into that one"},
	{"a domain", "not_null", "false", "it takes no NULL"},
	{"a domain", "check", "", "SQL over VALUE"},
	{"policies", "accept", "", "for columns: see a column"},
	{"policies", "if_missing", "", "for columns: see a column"},
	{"policies", "if_null", "", "for columns: see a column; null where the column takes NULL"},
	{"policies", "if_invalid", "reject", "for columns: see a column; null where the column takes NULL"},
	{"policies", "labels", "", "for enums that have the label"},
	{"policies", "encoding", "reject", "for text, enums and json"},
	{"policies", "json", "relaxed", "for json and jsonb"},
	{"policies", "fold_case", "false", "for enums and text with labels"},
	{"policies", "duplicate_keys", "reject", "for columns, and for arrays that feed child tables and junctions"},
	{"policies", "uuid_order", "", "for uuid and _id"},
	{"policies", "if_orphan", "reject", "for references"},
	{"policies", "on_delete", "no action", "for references"},
	{"policies", "on_update", "no action", "for references"},
	{"a collection", "collection", "", "its name in MongoDB"},
	{"a collection", "name", "the collection's, or COLLECTION/TABLE where it has several entries",
	 "of this entry, in messages, the account and --only"},
	{"a collection", "where", "", "the documents that this entry takes; the others are counted"},
	{"a collection", "table", "the collection's name", "in PostgreSQL"},
	{"a collection", "optional", "false", "it may be absent from the source"},
	{"a collection", "id", "the target's", "how its _id becomes a key"},
	{"a collection", "uuid_order", "", "byte order of _ids that are binary subtype 3"},
	{"a collection", "keyless", "false", "the table gets no primary key"},
	{"a collection", "primary_key_name", "TABLE_pkey", "of the constraint"},
	{"a collection", "duplicates", "reject",
	 "documents with one key: all but the lowest are rejects, or the first or last is kept and the others are "
	 "counted"},
	{"a collection", "policies", "", "for this collection and its children; they win over the mapping's"},
	{"a collection", "columns", "", "of its table"},
	{"a collection", "children", "", "arrays that become tables of their own"},
	{"a collection", "indexes", "", "of its table"},
	{"a collection", "unmapped", "the mapping's", "fields that no column takes"},
	{"a collection", "max_rejects", "the mapping's", "how many of its documents may be rejected"},
	{"a column", "name", "the field's", "in PostgreSQL"},
	{"a column", "value", "", "a constant instead of a field"},
	{"a column", "from", "the column's name", "the field that feeds it; null: none"},
	{"a column", "type", "", "a PostgreSQL type or an enum of the mapping"},
	{"a column", "primary_key", "false", "several columns: a key over all of them"},
	{"a column", "not_null", "false", "it takes no NULL"},
	{"a column", "default", "", "SQL, for rows of later days; never used in place of a value"},
	{"a column", "generated", "", "SQL that makes its value out of other columns of the row"},
	{"a column", "if_missing", "",
	 "the document has no such field: reject, null, a literal, { path: ... }, $id_time, or a list of these"},
	{"a column", "if_null", "", "the field is null or undefined: the same"},
	{"a column", "if_invalid", "reject", "the value does not go into the type: the same"},
	{"a column", "encoding", "reject", "U+0000 and bad UTF-8 in text"},
	{"a column", "bson", "", "BSON types that the field holds: others are rejects"},
	{"a column", "accept", "", "values of other types that go in, too; each is counted"},
	{"a column", "labels", "", "other texts for an enum's labels; in text, texts that are replaced"},
	{"a column", "fold_case", "false", "labels match in any case"},
	{"a column", "json", "relaxed", "how documents are written into json and jsonb"},
	{"a column", "duplicate_keys", "reject", "which value counts of a key that stands twice"},
	{"a column", "uuid_order", "", "byte order of binary subtype 3"},
	{"a column", "references", "", "what the column points to"},
	{"references", "table", "", "of this mapping"},
	{"references", "column", "its primary key", "which must be the primary key or unique"},
	{"references", "name", "TABLE_COLUMN_fkey", "of the foreign key"},
	{"references", "constraint", "true", "false: no foreign key is made"},
	{"references", "on_delete", "no action", "of the foreign key"},
	{"references", "on_update", "no action", "of the foreign key"},
	{"references", "if_orphan", "reject", "an id that no row has"},
	{"a child table", "from", "", "the array"},
	{"a child table", "table", "", "its name"},
	{"a child table", "parent", "", "the column that takes the key of the row above"},
	{"a child table", "ordinal", "", "the column that takes the element's position, from 0"},
	{"a child table", "key", "",
	 "the uuid column, its primary key, that docrow makes of the row above's key and the position"},
	{"a child table", "columns", "", "with paths inside the element; . is the element itself"},
	{"a child table", "children", "", "arrays inside the element"},
	{"a child table", "indexes", "", "of this table"},
	{"a child table", "primary_key_name", "TABLE_pkey", "of the constraint"},
	{"a child table", "unmapped", "the collection's", "fields of the element that no column takes"},
	{"a junction", "table", "", "its primary key is its two columns"},
	{"a junction", "left", "", "the first end"},
	{"a junction", "right", "", "the second end"},
	{"a junction", "sides", "union", "which pairs count"},
	{"a junction", "if_orphan", "reject", "a pair with an end that is no row"},
	{"a junction", "primary_key_name", "TABLE_pkey", "of the constraint"},
	{"a junction", "on_delete", "no action", "of both foreign keys"},
	{"a junction", "on_update", "no action", "of both foreign keys"},
	{"a junction", "indexes", "", "of this table"},
	{"a junction's side", "collection", "", "whose documents are this end"},
	{"a junction's side", "path", "", "of its list of ids; left out where it keeps none"},
	{"a junction's side", "column", "", "of the junction"},
	{"a junction's side", "constraint", "TABLE_COLUMN_fkey", "name of the foreign key"},
	{"a junction's side", "accept", "the policies'", "spellings of ids in its list"},
	{"an index", "name", "TABLE_COLUMNS_idx", "needed with an expression; unique: _key in place of _idx"},
	{"an index", "columns", "", "one or several"},
	{"an index", "expression", "", "SQL, in place of columns"},
	{"an index", "method", "btree", "hash, gin, gist, spgist, brin or one of an extension"},
	{"an index", "where", "", "SQL: a partial index"},
	{"an index", "unique", "false", "rows with one key are duplicates"},
	{"an index", "nulls_not_distinct", "false", "unique: two NULLs are equal"},
	{"an index", "tier", "filter", "search: can be left out of a run"},
	{"an index", "duplicates", "reject", "unique: rows with one key, as for collections"},
	{"a phase", "name", "", "for people"},
	{"a phase", "tables", "",
	 "that go in it; the others go as early as their foreign keys let them, junctions last"},
	{"accept", "hex-id", "", "text of 24 hex digits, as an ObjectId"},
	{"accept", "uuid-string", "", "text that is a UUID, as one"},
	{"accept", "oid-document", "", "{\"$oid\": ...}, {\"_str\": ...}, as an ObjectId"},
	{"accept", "dbref", "", "{$ref, $id}, as its $id"},
	{"accept", "iso-string", "", "ISO 8601 text, as a time"},
	{"accept", "epoch-ms", "", "numbers, milliseconds since 1970, as a time"},
	{"accept", "epoch-s", "", "numbers, seconds since 1970, as a time"},
	{"accept", "timestamp", "", "BSON timestamps, as a time (their seconds)"},
	{"accept", "numeric-string", "", "text, as a number"},
	{"accept", "bool-string", "", "true, false as text, as a boolean"},
	{"accept", "bool-number", "", "0 and 1 as a boolean; false and true as a number"},
	{"accept", "number-text", "", "numbers, booleans, ids and times, as text"},
	{"accept", "json-text", "", "anything, as Extended JSON text"},
	{"accept", "scalar-array", "", "a single value, as an array of one"},
	{"accept", "any-id", "", "any value in a reference, as the UUIDv5 that such an _id becomes"},
};

static const struct text *text_of(const char *object, const char *key)
{
	for (size_t i = 0; i < COUNT_OF(texts); i++)
		if (strcmp(texts[i].object, object) == 0 && strcmp(texts[i].key, key) == 0)
			return &texts[i];
	return NULL;
}

/* ---- what a key takes ---- */

static const char *words_text(struct arena *a, const struct map_words *words, const char *last)
{
	struct buf b;
	buf_init(&b, 0);
	for (size_t i = 0; i < words->n; i++)
		buf_printf(&b, "%s%s", i == 0 ? "" : i + 1 == words->n ? last : ", ", words->list[i].word);
	const char *text = arena_strdup(a, buf_cstr(&b));
	buf_free(&b);
	return text;
}

static const char *takes(struct arena *a, const struct map_key *k)
{
	static const char *const simple[KIND_SIZE] = {
		[KIND_VERSION] = "1",
		[KIND_TEXT] = "a text",
		[KIND_NAME] = "a name",
		[KIND_BOOL] = "true or false",
		[KIND_LIMIT] = "a number, or a share such as 1%",
		[KIND_SHARE] = "a share such as 99%",
		[KIND_UNMAPPED] = "report, keep, { keep: COLUMN } or reject",
		[KIND_PATH] = "a path",
		[KIND_FROM] = "a path, or null",
		[KIND_NAMES] = "a name or a list of names",
		[KIND_LABELS] = "a list of texts",
		[KIND_TYPE] = "a type",
		[KIND_VALUE] = "a value",
		[KIND_RENAMES] = "{ FROM: TO ... }",
		[KIND_UUID] = "a UUID",
		[KIND_FILTER] = "a MongoDB filter",
		[KIND_ORPHAN] = "reject, null, keep, stub or { move_to: COLUMN, otherwise: WORD }",
	};
	const struct map_spec *inner = k->arg;
	switch (k->kind) {
	case KIND_WORD:
		return words_text(a, k->arg, " or ");
	case KIND_WORDS:
		return arena_printf(a, "a list of %s", words_text(a, k->arg, ", "));
	case KIND_VALUE:
		return k->arg != NULL ? words_text(a, k->arg, " or ") : simple[k->kind];
	case KIND_OBJECT:
		return arena_printf(a, "the keys of %s", inner->what);
	case KIND_SHORTHAND:
		return arena_printf(a, "the keys of %s, or its %s alone", inner->what, inner->keys[0].name);
	case KIND_LIST:
		return arena_printf(a, "a list; each has the keys of %s", inner->what);
	default:
		return simple[k->kind] != NULL ? simple[k->kind] : "";
	}
}

/* ---- all of them ---- */

struct pages {
	struct arena *arena;
	struct map_key_text *list;
	size_t n, cap;
	const struct map_spec *seen[32];
	size_t nseen;
};

static void add_key(struct pages *p, const char *object, const char *key, const char *what, bool required)
{
	const struct text *t = text_of(object, key);
	if (p->n == p->cap) {
		size_t cap = p->cap == 0 ? 128 : p->cap * 2;
		struct map_key_text *more = arena_alloc(p->arena, cap * sizeof *more);
		if (p->n > 0)
			memcpy(more, p->list, p->n * sizeof *more);
		p->list = more;
		p->cap = cap;
	}
	p->list[p->n++] = (struct map_key_text){.object = object,
						.key = key,
						.takes = what,
						.otherwise = t != NULL ? t->otherwise : "",
						.help = t != NULL ? t->help : "",
						.required = required};
}

static bool is_seen(const struct pages *p, const struct map_spec *spec)
{
	for (size_t i = 0; i < p->nseen; i++)
		if (p->seen[i] == spec)
			return true;
	return p->nseen == COUNT_OF(p->seen);
}

/* Each kind of object once, where it is met first. */
static void add_object(struct pages *p, const struct map_spec *spec)
{
	if (is_seen(p, spec))
		return;
	p->seen[p->nseen++] = spec;
	for (size_t i = 0; i < spec->nkeys; i++)
		add_key(p, spec->what, spec->keys[i].name, takes(p->arena, &spec->keys[i]), spec->keys[i].required);
	for (size_t i = 0; i < spec->nkeys; i++) {
		const struct map_key *k = &spec->keys[i];
		if (k->kind == KIND_OBJECT || k->kind == KIND_SHORTHAND || k->kind == KIND_LIST)
			add_object(p, k->arg);
	}
}

size_t map_key_texts(struct arena *a, const struct map_key_text **out)
{
	struct pages p = {.arena = a};
	add_object(&p, &map_spec_mapping);
	for (size_t i = 0; i < map_words_accept.n; i++)
		add_key(&p, "accept", map_words_accept.list[i].word, "", false);
	*out = p.list;
	return p.n;
}

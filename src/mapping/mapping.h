/* mapping.h - the mapping: the YAML file (format 1) that says which collection becomes which tables.
 *
 * mapping_load reads it with libyaml's document tree, which keeps line and column of every node, and reports every
 * error at once. The model is plain and lives in one arena, freed by mapping_free. Manual: docs/mapping.md.
 */
#ifndef DOCROW_MAPPING_H
#define DOCROW_MAPPING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "buf.h"
#include "err.h"
#include "schema.h"

enum map_names { MAP_NAMES_AS_IS, MAP_NAMES_SNAKE, MAP_NAMES_CAMEL, MAP_NAMES_PASCAL }; /* names that are made */

enum map_id {                         /* how an _id becomes a key (and every reference to it) */
	      MAP_ID_UUIDV7,          /* ObjectId → UUIDv7; BSON UUIDs stay; anything else UUIDv5 + id_map  */
	      MAP_ID_STRING_UUID,     /* strings that are UUIDs                                             */
	      MAP_ID_OBJECTID_STRING, /* strings of 24 hex, as the ObjectId                                 */
	      MAP_ID_TEXT,            /* 24 hex as text; strings as they are                                */
	      MAP_ID_BYTEA,           /* the 12 bytes                                                       */
	      MAP_ID_NATIVE           /* the value itself into the column's type (bigint, text, jsonb ...)  */
};

enum map_value_kind {                      /* what if_missing, if_null and if_invalid put in */
		      MAP_VALUE_UNSET = 0, /* the default: missing and null give NULL or a reject; invalid rejects */
		      MAP_VALUE_REJECT,
		      MAP_VALUE_NULL,
		      MAP_VALUE_LITERAL,
		      MAP_VALUE_PATH,   /* another path of the document, e.g. { path: date_created }             */
		      MAP_VALUE_ID_TIME /* $id_time: the creation time inside the ObjectId                       */
};
/* One choice; a list in the YAML is tried in order: if_missing: [ { path: date_created }, $id_time ]. */
struct map_value {
	enum map_value_kind kind;
	const char *literal;
	const char **path;
	size_t npath;
	struct map_value *otherwise; /* next of the list, or NULL */
};

enum map_encoding { MAP_ENCODING_REJECT, MAP_ENCODING_REPLACE, MAP_ENCODING_STRIP };
enum map_json { MAP_JSON_RELAXED, MAP_JSON_CANONICAL, MAP_JSON_PLAIN };
enum map_uuid_order {
	MAP_UUID_ORDER_UNSET,
	MAP_UUID_ORDER_STANDARD,
	MAP_UUID_ORDER_JAVA,
	MAP_UUID_ORDER_CSHARP,
	MAP_UUID_ORDER_PYTHON
};

enum map_accept {                             /* values of another BSON type that the user knows of; a set of bits */
		  MAP_ACCEPT_HEX_ID = 1 << 0, /* string of 24 hex as ObjectId                       */
		  MAP_ACCEPT_ISO_STRING = 1 << 1,     /* ISO 8601 text as date                              */
		  MAP_ACCEPT_EPOCH_MS = 1 << 2,       /* number as date, milliseconds                       */
		  MAP_ACCEPT_EPOCH_S = 1 << 3,        /* number as date, seconds                            */
		  MAP_ACCEPT_TIMESTAMP = 1 << 4,      /* BSON timestamp's seconds as date                   */
		  MAP_ACCEPT_NUMERIC_STRING = 1 << 5, /* text as number                                     */
		  MAP_ACCEPT_BOOL_STRING = 1 << 6,    /* "true", "false" as boolean                         */
		  MAP_ACCEPT_BOOL_NUMBER = 1 << 7,    /* 0, 1 as boolean; and boolean as 0, 1               */
		  MAP_ACCEPT_UUID_STRING = 1 << 8,    /* text as uuid                                       */
		  MAP_ACCEPT_OID_DOCUMENT = 1 << 9,   /* {"$oid": "..."}, {"_str": "..."}                   */
		  MAP_ACCEPT_DBREF = 1 << 10,         /* {$ref, $id}                                        */
		  MAP_ACCEPT_NUMBER_TEXT = 1 << 11,   /* numbers, booleans, ObjectIds, dates as text        */
		  MAP_ACCEPT_JSON_TEXT = 1 << 12,     /* anything as Extended JSON text                     */
		  MAP_ACCEPT_SCALAR_ARRAY = 1 << 13,  /* a single value as an array of one                  */
		  MAP_ACCEPT_ANY_ID = 1 << 14         /* references: any value, as the UUIDv5 of such an _id */
};

/* What stood in the YAML and not only in a default: bits of the `given` fields. */
enum map_given {
	MAP_GIVEN_FROM = 1 << 0,
	MAP_GIVEN_ENCODING = 1 << 1,
	MAP_GIVEN_ACCEPT = 1 << 2,
	MAP_GIVEN_FOLD_CASE = 1 << 3,
	MAP_GIVEN_JSON = 1 << 4,
	MAP_GIVEN_DUPLICATE_KEYS = 1 << 5,
	MAP_GIVEN_UUID_ORDER = 1 << 6,
	MAP_GIVEN_IF_ORPHAN = 1 << 7,
	MAP_GIVEN_ON_DELETE = 1 << 8,
	MAP_GIVEN_ON_UPDATE = 1 << 9,
	MAP_GIVEN_ID = 1 << 10,
	MAP_GIVEN_NAMESPACE = 1 << 11,
	MAP_GIVEN_METHOD = 1 << 12,
	MAP_GIVEN_UNMAPPED = 1 << 13,
	MAP_GIVEN_LABELS = 1 << 14,
	MAP_GIVEN_DUPLICATES = 1 << 15,
	MAP_GIVEN_TYPE = 1 << 16,
	MAP_GIVEN_IF_MISSING = 1 << 17,
	MAP_GIVEN_IF_NULL = 1 << 18,
	MAP_GIVEN_IF_INVALID = 1 << 19,
	MAP_GIVEN_MAX_REJECTS = 1 << 20,
	MAP_GIVEN_BSON = 1 << 24
};

struct map_label {
	const char *from, *to;
};

/* Policies for the whole mapping or one collection: what its columns and references do that do not say otherwise.
 * Each is applied only where it has a meaning (map_policy_suits): a word of `accept` by the column's type, NULL where
 * NULL may stand, labels to the enums that have them. */
struct map_policies {
	unsigned given; /* collections: here or for the mapping, once settled */
	unsigned own;   /* given here                                         */
	unsigned accept;
	struct map_label *labels;
	size_t nlabels;
	struct map_value if_missing, if_null, if_invalid; /* reject or NULL only */
	enum map_encoding encoding;
	enum map_json json;
	bool fold_case;
	enum dup_policy duplicate_keys;
	enum map_uuid_order uuid_order;
	enum orphan_policy if_orphan;
	enum fk_action on_delete, on_update;
};

struct map_reference {
	unsigned given;
	const char *table;  /* NULL: the column refers to nothing                              */
	const char *column; /* default: the table's primary key                                */
	const char *name;   /* of the constraint; default <table>_<column>_fkey                */
	bool constraint;    /* false: no foreign key is made (the id is kept whatever it points to) */
	enum fk_action on_delete, on_update;
	enum orphan_policy if_orphan; /* without a constraint it counts only if given                    */
	const char *move_to;          /* ORPHAN_MOVE_TO: the other column of this table              */
	enum orphan_policy otherwise; /* move_to: what if that table lacks it, too (reject)          */
};

struct map_column {
	const char *name;
	const char *made_of; /* the field whose name it got; NULL: it has a name of its own  */
	const char *value;   /* a constant instead of a field, or NULL                       */
	unsigned given;
	unsigned from_collection, from_mapping; /* policies that it has inherited                        */
	unsigned accept_of_key;                 /* words that it accepts because the key it refers to does */
	const char **from;                      /* path: keys                                                      */
	size_t nfrom;
	bool no_source;     /* from: null, generated or a constant: no field feeds it          */
	struct pgtype type; /* base PGT_COUNT: not readable, told already                      */
	bool is_id;         /* from is _id                                                     */
	bool primary_key, not_null;
	const char *default_sql;
	const char *generated_sql; /* the server makes it by this expression */
	struct map_value if_missing, if_null, if_invalid;
	enum map_encoding encoding;
	unsigned accept; /* enum map_accept bits                                            */
	unsigned bson;   /* BSON types that the field holds: bits of matrix_kind; 0: not said */
	struct map_label *labels;
	size_t nlabels;
	bool fold_case;
	enum map_json json;
	enum dup_policy duplicate_keys;
	enum map_uuid_order uuid_order;
	struct map_reference references;
	int line, col;
};

struct map_index {
	const char *name; /* default <table>_<columns>_idx, unique: _key */
	unsigned given;
	const char **columns;
	size_t ncolumns;
	const char *expression, *method, *where;
	bool unique, nulls_not_distinct;
	enum index_tier tier;
	enum dup_policy duplicates; /* unique: reject (all but the lowest key), first or last */
	int line, col;
};

enum map_unmapped { MAP_UNMAPPED_REPORT, MAP_UNMAPPED_KEEP, MAP_UNMAPPED_REJECT };

/* What is done with the fields that no column takes. */
struct map_leftover {
	enum map_unmapped how;
	const char *column; /* KEEP: of type jsonb, the table's last one */
};
#define MAP_UNMAPPED_COLUMN "unmapped" /* where none is named */

struct map_child {
	const char **from;
	size_t nfrom;
	const char *table;
	const char *parent;         /* column that takes the parent's key                              */
	const char *ordinal;        /* column that takes the position, from 0; or NULL                 */
	const char *key;            /* uuid column, the primary key, that docrow makes; or NULL        */
	struct map_column *columns; /* from: paths inside the element; [] or "." = the element itself */
	size_t ncolumns;
	struct map_child *children;
	size_t nchildren;
	struct map_index *indexes;
	size_t nindexes;
	const char *primary_key_name;
	unsigned given;
	struct map_leftover unmapped;
	int line, col;
};

/* How many rejects of one collection stop the run. */
struct map_limit {
	bool is_given;
	uint64_t n;
	double percent; /* of the collection's documents; 0: n counts */
};

struct map_collection {
	const char *name;     /* unique in the mapping: of the collection, or what tells its entries apart */
	const char *source;   /* the collection in MongoDB                                               */
	const uint8_t *where; /* BSON filter of the documents that this entry takes; NULL: all            */
	size_t nwhere;        /* its bytes                                                               */
	const char *table;
	bool table_made; /* the table's name was made of the collection's */
	unsigned given;
	bool optional;
	bool keyless; /* true: the table gets no primary key */
	struct map_policies policies;
	enum map_id id;
	enum map_uuid_order uuid_order; /* of binary subtype 3 _ids */
	struct map_column *columns;
	size_t ncolumns;
	struct map_child *children;
	size_t nchildren;
	struct map_index *indexes;
	size_t nindexes;
	struct map_leftover unmapped;
	const char *primary_key_name;
	struct map_limit max_rejects;
	enum dup_policy duplicates; /* of the primary key: reject (all but the lowest) | first | last  */
	int line, col;
};

struct map_side {
	const char *collection;
	const char **path; /* NULL: this side keeps no array */
	size_t npath;
	const char *column;
	const char *constraint; /* name of the foreign key; default <table>_<column>_fkey */
	unsigned given, accept;
	int line, col;
};

struct map_junction {
	unsigned given;
	const char *table;
	struct map_side left, right;
	enum pair_sides sides;
	enum orphan_policy if_orphan; /* reject only, or keep */
	const char *primary_key_name;
	enum fk_action on_delete, on_update;
	struct map_index *indexes;
	size_t nindexes;
	int line, col;
};

/* A phase of loading, and the tables that go in it; child tables go with the one above them. */
struct map_phase {
	const char *name;
	const char **tables;
	size_t ntables;
	int line, col;
};

struct mapping {
	struct arena *arena;
	const char *file; /* as given, for messages                                      */
	const char *name; /* "nextcrm": file name without folder and .yaml               */
	const char *text; /* the whole file                                              */
	size_t text_len;
	uint8_t digest[32];          /* SHA-256 of the text                                         */
	const char *source_database; /* or NULL                                                    */
	const char *target_schema;   /* "public"                                                    */
	enum map_names names;
	const char *owner;
	struct schema_grant *grants;
	size_t ngrants;
	enum map_id id;
	uint8_t id_namespace[16]; /* for UUIDv5                                                  */
	struct schema_enum *enums;
	size_t nenums;
	struct schema_domain *domains;
	size_t ndomains;
	struct map_collection *collections;
	size_t ncollections;
	struct map_junction *junctions;
	size_t njunctions;
	struct map_phase *phases; /* in order */
	size_t nphases;
	struct map_limit max_rejects;
	double threshold; /* of docrow validate, above 0 up to 1; 0: not said                       */
	struct map_leftover unmapped;
	unsigned given;
	struct map_policies policies;
	struct map_position *positions; /* sorted by field */
	size_t npositions;
};

/* Where a field's value stands in the file, so that later checks can point at it. */
struct map_position {
	const void *field;
	int line, col;
};

/* name_or_path: with a slash or ending in .yaml/.yml a path, else a name looked up in $DOCROW_MAPPINGS, beside the
 * program (../share/docrow/mappings, mappings) and in the install folder. On errors in the file err's message has the
 * count, detail the first lines, and *report (if not NULL) all of them, one a line "file:line:column: text". */
bool mapping_load(struct mapping **m, const char *name_or_path, struct buf *report, struct err *err) MUST_CHECK;
/* From text: `file` is for messages only. (Resume: the text stored with the run.) */
bool mapping_parse(struct mapping **m, const char *file, const char *text, size_t len, struct buf *report,
		   struct err *err) MUST_CHECK;
void mapping_free(struct mapping *m);
/* Words of the format, for messages and listings. */
const char *map_id_word(enum map_id id);
const char *map_accept_word(enum map_accept bit);
const char *map_orphan_word(enum orphan_policy p);
const char *map_unmapped_word(enum map_unmapped u);
const char *map_encoding_word(enum map_encoding e);
const char *map_json_word(enum map_json j);
const char *map_duplicate_word(enum dup_policy p);
const char *map_uuid_order_word(enum map_uuid_order o);
const char *map_tier_word(enum index_tier t);
const char *map_sides_word(enum pair_sides s);
/* "address.city"; keys that hold a dot, are empty or start with $ make it ["a.b","c"]. */
const char *map_path_text(struct arena *a, const char *const *path, size_t n);
/* Every key of the format in words, for the manual page: in the order of the format, objects together. */
struct map_key_text {
	const char *object; /* "a column"                                    */
	const char *key;
	const char *takes;     /* "true or false"                            */
	const char *otherwise; /* the default; "": none                      */
	const char *help;
	bool required;
};
size_t map_key_texts(struct arena *a, const struct map_key_text **out);
/* True for exactly one JSON value that jsonb takes, of at most 200 levels. */
bool map_json_ok(const char *s, size_t n);
/* Names of the installed mappings, into the arena. */
size_t mapping_installed(struct arena *a, const char ***names);

#endif

/* map_private.h - what the files of src/mapping share.
 *
 * Reading goes: map_yaml_load (text → libyaml's document, checked for shape) → map_read (document → struct mapping,
 * by the tables in map_spec.c) → map_settle (inheritance, default names) → map_schema_build (model → schema, which
 * finds everything that does not fit together). Each step adds its errors to one struct complaints and goes on.
 */
#ifndef DOCROW_MAP_PRIVATE_H
#define DOCROW_MAP_PRIVATE_H

#include <yaml.h>

#include "mapping.h"
#include "plan.h"
#include "schema.h"

#define MAP_NAME_MAX  63 /* bytes of a PostgreSQL name */
#define MAP_FILE_MAX  (8u << 20)
#define MAP_NODES_MAX 1000000u /* nodes once aliases are followed */
#define MAP_DEPTH_MAX 64

#define COUNT_OF(a) (sizeof(a) / sizeof((a)[0]))

/* Errors found so far. */
struct complaint {
	int line, col; /* 0: the file as a whole */
	const char *text;
};
struct complaints {
	struct arena *arena;
	const char *file;
	struct complaint *list;
	size_t n, cap;
	struct complaints *warnings; /* NULL: nobody wants them */
};
void complain(struct complaints *c, int line, int col, const char *fmt, ...) PRINTF_LIKE(4, 5);
/* Is there a complaint about the field's value already? */
bool has_complaint(const struct complaints *c, const struct mapping *m, const void *field);
/* Sorts, drops repeats, writes all to report (may be NULL) and fills err. True when there is nothing to tell. */
bool complaints_finish(struct complaints *c, const char *hint, struct buf *report, struct err *err);
/* Sorts and writes what is no error: "file:line:column: warning: text", one a line. */
void complaints_warn(struct complaints *warnings, struct buf *out);
/* `; did you mean "x"?` or "". */
const char *map_suggest(struct arena *a, const char *word, const char *const *known, size_t n);

/* The document tree, or false with the complaints made. */
bool map_yaml_load(yaml_document_t *doc, const char *text, size_t len, struct complaints *c);

/* How a key of the YAML is read: one row of map_spec.c. */
enum map_kind {
	KIND_VERSION,   /* the format's number                                                        */
	KIND_TEXT,      /* const char *                                                               */
	KIND_NAME,      /* const char *, not empty                                                    */
	KIND_BOOL,      /* bool                                                                       */
	KIND_LIMIT,     /* struct map_limit: 100 or 1%                                                */
	KIND_SHARE,     /* double: 99%                                                                */
	KIND_UNMAPPED,  /* struct map_leftover: a word, or { keep: column }                           */
	KIND_PATH,      /* const char **, size_t: dotted or a list of keys                            */
	KIND_FROM,      /* the same, or null (arg: offset of the bool)                                */
	KIND_NAMES,     /* const char **, size_t: a list of names or one name                         */
	KIND_LABELS,    /* const char **, size_t: a list of texts                                     */
	KIND_WORD,      /* int: arg is a struct map_words                                             */
	KIND_WORDS,     /* unsigned: bits, arg is a struct map_words                                  */
	KIND_TYPE,      /* struct pgtype                                                              */
	KIND_VALUE,     /* struct map_value                                                           */
	KIND_RENAMES,   /* struct map_label *, size_t: a mapping from → to                            */
	KIND_UUID,      /* uint8_t [16]                                                               */
	KIND_FILTER,    /* uint8_t *, size_t: a MongoDB filter, as BSON                               */
	KIND_ORPHAN,    /* struct map_reference: if_orphan, move_to, otherwise                        */
	KIND_OBJECT,    /* the struct itself, arg is its struct map_spec                              */
	KIND_SHORTHAND, /* as OBJECT, or one text that goes to the object's first key                 */
	KIND_LIST,      /* T *, size_t: arg is the struct map_spec of T                               */
	KIND_SIZE
};

struct map_word {
	const char *word;
	int value;
};
struct map_words {
	const struct map_word *list;
	size_t n;
};

struct map_key {
	const char *name;
	enum map_kind kind;
	bool required;
	size_t offset, count_offset;
	const void *arg;
	unsigned given; /* bit to set in the struct's `given`, or 0 */
};
#define NO_OFFSET ((size_t)-1)
struct map_spec {
	const char *what; /* "a column" */
	size_t size;
	size_t line_offset; /* of int line, col; NO_OFFSET: none */
	size_t given_offset;
	const void *preset; /* what it is before reading, NULL: zeros */
	const struct map_key *keys;
	size_t nkeys;
};
extern const struct map_spec map_spec_mapping;
extern const struct map_words map_words_policy_value;
extern const struct map_words map_words_orphan;
extern const struct map_words map_words_accept;
extern const struct map_words map_words_unmapped;

void map_read(struct mapping *m, yaml_document_t *doc, struct complaints *c);
/* A mapping node as a BSON document in the arena. */
const uint8_t *map_filter_read(struct arena *a, yaml_document_t *doc, const yaml_node_t *n, struct complaints *c,
			       size_t *len);

/* Position of a field's value, or of what is around it (line, col) when the field was not in the YAML. */
void map_position(const struct mapping *m, const void *field, int *line, int *col);
/* Complains at a field of the model. */
void complain_field(struct complaints *c, const struct mapping *m, const void *field, int line, int col,
		    const char *fmt, ...) PRINTF_LIKE(6, 7);

/* A name made of others in the mapping's style, at most 63 bytes: map_made_name(a, m, "crm_Accounts_status", "_idx").
 * suffix: "" or one that begins with an underscore. */
const char *map_made_name(struct arena *a, const struct mapping *m, const char *text, const char *suffix);
const char *map_fkey_name(struct arena *a, const struct mapping *m, const char *table, const char *column);

/* Fills in what is inherited or follows from the rest: policies, id rules, enum indexes, default names. */
void map_settle(struct mapping *m, struct complaints *c);

/* What a column is besides a column of its type. */
enum map_role {
	MAP_ROLE_KEY = 1 << 0,      /* takes the documents' key                    */
	MAP_ROLE_REFERENCE = 1 << 1 /* holds keys of another collection's documents */
};
struct map_owner;
unsigned map_role(const struct mapping *m, const struct map_owner *o, const struct map_column *k);
/* Policies of column, collection and mapping into one (map_policies.c): collections first, then accept, then the
 * rest, which depends on accept. */
void map_settle_policies(struct mapping *m, struct map_owner *owners, size_t n);
void map_inherit_policies(struct map_policies *to, const struct map_policies *p);
/* Has the policy (one bit of enum map_given) a meaning for a column of this type and role? `why` (may be NULL) gets
 * what it is for. True for bits that are no policies. */
bool map_policy_suits(const struct map_column *k, unsigned role, unsigned bit, const char **why);
/* Policies of a collection that none of its columns takes up. */
void map_warn_policies(const struct mapping *m, const struct map_owner *owners, size_t n,
		       struct complaints *warnings);
/* Labels in policies that no enum has. */
void map_check_policy_labels(const struct mapping *m, const struct map_policies *p, struct complaints *c);

/* One column's policies against its type. */
void map_check_column(const struct mapping *m, const struct map_column *k, unsigned role, struct complaints *c);
/* `; jsonb would do` for a type of PostgreSQL's (or an extension's) that docrow does not write, "" for other texts.
 */
const char *map_instead_of(struct arena *a, const char *type);
/* Words of accept that mean something for a column of this type. */
unsigned map_accept_for(const struct pgtype *t, bool is_key);
#define MAP_ACCEPT_OF_IDS                                                                                            \
	(MAP_ACCEPT_HEX_ID | MAP_ACCEPT_UUID_STRING | MAP_ACCEPT_OID_DOCUMENT | MAP_ACCEPT_DBREF | MAP_ACCEPT_ANY_ID)
/* NULL, or why the text is no value of the type: "takes true or false". labels: of the enum, or NULL. */
const char *map_literal_fault(struct arena *a, const struct pgtype *t, const struct schema_enum *e, const char *text);
/* Does an id rule give values that fit this type? */
bool map_id_fits(enum map_id id, const struct pgtype *t);
/* The column's value is the document's key, by the collection's id rule. */
bool map_is_key_column(const struct map_collection *k, const struct map_column *col);
/* The collection whose keys a reference holds, -1: it holds plain values. */
int map_referred_collection(const struct mapping *m, const struct map_reference *r);

/* A part of the mapping: which collections are left out, and what goes with them (filled by map_schema_build). */
struct map_part {
	const bool *out; /* by collection */
	struct plan_names *keys, *junctions;
};
/* The target's schema, into the arena. Tables are in the mapping's order: all entities, then all children (depth
 * first), then junctions. part NULL: all of it. */
void map_schema_build(struct schema *s, struct arena *a, const struct mapping *m, const struct map_part *part,
		      struct complaints *c);

/* Walks every column list of a collection: its own, then its children's (depth first). */
struct map_owner { /* of columns: a collection or a child */
	const struct map_collection *collection;
	const struct map_child *child; /* NULL: the collection itself                 */
	const char *table;
	struct map_column *columns;
	size_t ncolumns;
	struct map_index *indexes;
	size_t nindexes;
	const char *primary_key_name;
	const struct map_leftover *unmapped;
	int line, col;
	int parent; /* owners[]: the one above; -1 */
};
/* Owners of the whole mapping in the schema's order of tables; count in *n. */
struct map_owner *map_owners(struct arena *a, const struct mapping *m, size_t *n);

/* ---- building the schema (map_schema.c, map_table.c, map_refs.c, map_phases.c, map_names.c) ---- */

struct schema_builder {
	struct schema *s;
	struct arena *arena;
	const struct mapping *m;
	struct complaints *c;
	struct map_owner *owners;
	size_t nowners;
	const struct map_part *part;           /* NULL: the whole mapping                          */
	const struct map_junction **junctions; /* those that are made                        */
	size_t njunctions;
	int *owner_table;                /* index into s->tables by owner; -1: not readable, or left out */
	int *table_owner;                /* by table: the first owner that made it; -1: junction */
	const struct map_index **placed; /* every index that is in a table of s */
	size_t nplaced;
};

/* Is the table one that the mapping makes, but not this part of it? */
bool is_left_out(const struct schema_builder *b, const char *table);
void add_plan_name(struct arena *a, struct plan_names *l, const char *text);
/* As given, or in the mapping's style; NULL: PostgreSQL's own. */
const char *primary_key_name(struct schema_builder *b, const char *given, const char *table);
/* Columns and primary key of the owner's table. */
void build_table(struct schema_builder *b, size_t owner, struct schema_table *t);
void build_indexes(struct schema_builder *b, struct schema_table *t, const struct map_index *list, size_t n);
/* A second collection that feeds a table must be of the first one's shape. */
void check_same_shape(struct schema_builder *b, size_t first, size_t second);
void build_references(struct schema_builder *b);
/* Junction tables: columns and keys; then, when the references are there, the ends. */
void build_junction_tables(struct schema_builder *b);
void build_junctions(struct schema_builder *b, int first_table);
/* Tables and rows that are larger than PostgreSQL takes. */
void check_sizes(struct schema_builder *b);
/* The mapping's phases: what they name, and whether the foreign keys allow the order (map_phases.c). */
void build_phases(struct schema_builder *b);
/* Names that PostgreSQL would cut or that meet each other. */
void check_names(struct schema_builder *b);
/* Index of the collection by name, -1. */
int find_collection(const struct mapping *m, const char *name);
/* The column of a collection that takes its documents' key, or NULL. */
const struct map_column *key_column(const struct map_collection *k);

#endif

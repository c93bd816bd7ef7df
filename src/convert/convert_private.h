/* convert_private.h - what the files of convert/ share.
 *
 * conv_new compiles a plan's collection: every column gets an array of functions, one for each kind of value that may
 * stand in its slot (`put`), so that per document nothing is decided that could be decided before. A put function
 * appends exactly one field to column->rows and returns FAULT_OK, or returns a fault; what it wrote by then is taken
 * back by the caller.
 */
#ifndef DOCROW_CONVERT_PRIVATE_H
#define DOCROW_CONVERT_PRIVATE_H

#include "convert.h"
#include "extjson.h"
#include "iso.h"
#include "text.h"

/* What a slot may hold: the kinds of BSON, close together, and what the walk found out. The first ones equal the
 * kinds' bytes. */
enum at {
	AT_MISSING = 0,
	AT_MINKEY = BSON_K_DECIMAL128 + 1,
	AT_MAXKEY,
	AT_MISPLACED, /* a value stands where the path needed a sub-document; val is that value */
	AT_TWICE,     /* the key stands twice: see struct twice                                 */
	AT_COUNT
};
static inline unsigned at_of(uint8_t kind)
{
	return kind <= BSON_K_DECIMAL128 ? kind : kind == BSON_K_MINKEY ? (unsigned)AT_MINKEY : (unsigned)AT_MAXKEY;
}
static inline bool at_is_nothing(unsigned at)
{
	return at == AT_MISSING || at == BSON_K_NULL || at == BSON_K_UNDEFINED;
}

struct slot {
	struct val val;
	unsigned at;
	uint32_t twice; /* its place in conv.twice, from 1; only twice_of looks at it */
};

/* First and last value of a slot whose key stood more than once. */
struct twice {
	const struct slot *slot;
	struct slot first, last;
};

/* A value of the first of two sub-documents with one key, while the second one is walked. */
struct aside {
	struct slot *slot;
	struct slot first;
};

/* A count that is applied only when the document goes through (and, inside a child table, its element). */
struct counter {
	uint64_t *total; /* of the ledger; looked up at first use */
	uint64_t pending;
	const char *object, *path;
	size_t path_len;
	enum ledger_kind kind;
};

/* The counters that every column has; names are those of the ledger. */
enum counted {
	COUNT_MISSING,
	COUNT_NULL,
	COUNT_UNDEFINED,
	COUNT_ACCEPTED,
	COUNT_NEGATIVE_ZERO,
	COUNT_ROUNDED,
	COUNT_ENCODING,
	COUNT_LABELLED,
	COUNT_FOLDED,
	COUNT_DUPLICATE_KEYS,
	COUNT_INVALID,
	COUNT_DEFAULT_MISSING,
	COUNT_DEFAULT_NULL,
	COUNT_DEFAULT_UNDEFINED,
	COUNT_DEFAULT_INVALID,
	COUNTED
};

struct column;
typedef enum fault put_fn(struct conv *c, struct column *col, const struct val *v);

/* One link of an if_… chain. */
struct choice {
	enum map_value_kind kind;
	const uint8_t *field; /* LITERAL: the field as COPY wants it, length first; NULL: the text is no such value */
	size_t field_len;
	int slot; /* PATH */
	const struct choice *otherwise;
};

struct labels;

struct column {
	put_fn *put[AT_COUNT];
	put_fn *inside[AT_COUNT]; /* for an id inside a value: of a DBRef, of {$oid} */
	struct rowbuf *rows;
	int slot;
	enum plan_feed feed;
	bool nullable;
	struct pgtype type;
	int64_t lo, hi;         /* integers: the type's range                                 */
	int64_t granule;        /* times: microseconds that the type's precision can tell apart */
	struct column *element; /* arrays, vector: T                                          */
	unsigned accept;
	unsigned bson; /* only values of these BSON types go in (bits of at_of); 0: whatever the type takes */
	enum map_encoding encoding;
	struct extjson_opts json;
	enum dup_policy duplicate_keys;
	const struct labels *labels; /* enums, and text with labels                                */
	size_t key_limit;            /* bytes that a primary key can hold of it; 0: not in one, or always short */
	bool is_id, is_reference;
	enum map_id id_rule;
	enum map_uuid_order uuid_order;
	const uint8_t *id_namespace;
	const uint8_t *made_of; /* ROW_KEY: what all names begin with */
	size_t made_of_len;
	const struct choice *if_missing, *if_null, *if_invalid; /* NULL: the default */
	const char *table, *name, *path;
	struct counter *counts; /* COUNTED of them */
};

/* A key of a sub-document that was met before: wanted (node) or not. `next` is the one that followed it last time:
 * documents mostly keep their order, so the next key is guessed before it is looked up. */
struct entry {
	const char *key;
	uint32_t key_len;
	struct entry *next;
	struct node *node;     /* NULL: the mapping does not name it */
	struct counter *count; /* of an unmapped one                 */
};

struct key_table {
	struct entry **slots; /* NULL: none yet; a power of two of them */
	size_t mask, used;
};

struct node {
	const struct plan_node *plan;
	const char *path; /* "address.city" */
	int slot;
	int scope_slot;     /* slot of the array that feeds a scope; -1          */
	uint64_t met;       /* number of the walk that came here last     */
	bool covered;       /* this whole value, or one around it, goes into a column: nothing below is unmapped */
	bool is_leaf;       /* one slot wants the value, and nothing below it    */
	bool is_position;   /* its key is one in a list ("0", "1" …)             */
	bool has_positions; /* one of its children's is                          */
	struct entry *elements; /* counts those of a list that no path names         */
	struct node *children;
	size_t nchildren;
	struct entry first;              /* its `next` starts the guessing                    */
	struct key_table wanted, others; /* keys by hash: of the mapping; met besides */
};

struct output {
	const struct plan_output *plan;
	struct rowbuf rows;
	struct rowbuf_mark mark; /* at the start of the document                             */
	struct column *columns;
	size_t ncolumns;
	const char *table;
	struct column *owner;   /* CHILD, PAIRS: the key of the document, as this output wants it */
	struct column *element; /* PAIRS: the other end                                     */
	bool scalar_array;      /* PAIRS: one value counts as an array of one               */
	int key_column;         /* position of the only primary key column; -1              */
	size_t key_at;          /* of the last row: offset of that field in rows            */
	int above;              /* CHILD inside a CHILD: the output of the row above; -1    */
	/* Of the element in hand: its row was rejected; its key, a whole field in conv.scratch, for rows inside. */
	bool is_rejected;
	size_t row_key_at, row_key_len;
	size_t parent_at, parent_len; /* the owner's key: a whole field in conv.scratch       */
	struct counter elements, of_rejected, twice;
	bool refuses_unmapped; /* CHILD: an element with a field that is not mapped is rejected */
};

struct scope {
	const struct plan_scope *plan;
	struct node root;
	struct slot *slots;
	size_t nslots;
	int *outputs;
	size_t noutputs;
	int *inner; /* scopes whose parent is this one */
	size_t ninner;
	bool keeps, refuses; /* fields that are not mapped: some output keeps them, some refuses them */
	struct val element;  /* in hand, of an array */
	int64_t ordinal;
};

struct conv {
	const struct plan *plan;
	const struct plan_collection *collection;
	struct arena *arena;
	struct ledger *ledger;
	int server_version; /* 150004 */
	struct output *outputs;
	size_t noutputs;
	struct scope *scopes;
	size_t nscopes;
	bool needs_id;
	struct column *key; /* for conv_key_text */
	struct counter id_mapped, unmapped_other, kept_other;
	uint64_t nowhere; /* what is counted of a key's copies */
	size_t nunmapped; /* entries made for unmapped keys */
	uint32_t unmapped_bytes;

	/* The document in hand. */
	struct slot *slots;    /* of the scope in hand                                            */
	int64_t ordinal;       /* of the element in hand; -1: the document itself                 */
	struct slot *id;       /* scopes[0].slots[id_slot]                                        */
	struct rowbuf scratch; /* keys of owners and of rows above                                */
	struct rowbuf key_row; /* conv_key_text                                                   */
	struct buf text;       /* mended text, digits of numbers                                    */
	struct buf folded;     /* labels                                                            */
	struct buf key_text;
	struct buf path_text;      /* of where */
	struct buf leftover;       /* unmapped: keep: the fields of the document or element as BSON    */
	const char *unmapped_path; /* unmapped: reject: the first such field; NULL: none           */
	struct val unmapped_value;
	uint64_t serial; /* of the walk in hand                                                   */
	struct aside *aside;
	size_t naside, aside_cap;
	struct twice *twice;
	size_t ntwice, twice_cap;
	struct conv_note *notes;
	size_t nnotes, notes_cap;
	struct counter **log; /* counted since the last row was safe                             */
	size_t nlog, log_cap;
	struct counter **touched; /* counted in this document                                        */
	size_t ntouched, touched_cap;
	bool is_quiet; /* fault_note writes nothing */
	bool has_key_text, key_is_known;
	bool id_listed; /* conv_id_needs_map */
	uint8_t id_uuid[16];
	struct conv_where where;
};

/* --- counting (counts.c) --- */
void counts_grow(struct conv *c);
static inline void count(struct conv *c, struct counter *k)
{
	if (c->nlog == c->log_cap)
		counts_grow(c);
	c->log[c->nlog++] = k;
}
static inline void count_column(struct conv *c, struct column *col, enum counted what)
{
	count(c, &col->counts[what]);
}
struct counter *counts_new(struct arena *a, const char *table, const char *column);
void counts_to(struct counter *k, uint64_t *total);          /* counts of a column go there, not to the ledger */
void count_n(struct conv *c, struct counter *k, uint64_t n); /* at once, not through the log */
void counts_keep(struct conv *c);                            /* what the log holds belongs to the document now */
void counts_apply(struct conv *c);                           /* the document went through */
void counts_drop(struct conv *c);                            /* it did not */

/* --- columns --- */
void column_init(struct conv *c, struct column *col, const struct plan_column *pc, const char *table,
		 struct rowbuf *rows);
/* The key of this collection's documents, converted by rule into type, appended to rows. */
struct column *column_new_id(struct conv *c, const struct pgtype *type, enum map_id rule, enum map_uuid_order order,
			     bool is_id, const char *table, const char *name, const char *path, unsigned accept,
			     struct rowbuf *rows);
void resolve_put(struct column *col); /* table.c: fills put from type, rule and accept */
/* One value into its column, with the column's policies. */
enum fault column_put(struct conv *c, struct column *col, const struct slot *s);
/* Policies as put functions (policy.c). */
put_fn put_missing, put_null, put_undefined, put_misplaced, put_twice, put_type;
/* The fault and its facts: "length %d, at most %d". Returns f. */
enum fault fault_note(struct conv *c, enum fault f, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
void note_add(struct conv *c, bool is_reject, enum fault f, const struct column *col, const char *table,
	      const char *path, int64_t ordinal, const struct val *v);

/* --- the document (walk.c) --- */
void node_compile(struct conv *c, struct node *n, const struct plan_node *pn, const char *path, bool covered);
bool walk(struct conv *c, struct scope *sc, struct node *n, const uint8_t *doc, size_t len);
/* v stands where n's sub-document is expected. */
bool walk_inside(struct conv *c, struct scope *sc, struct node *n, const struct val *v);
/* Ends the BSON document that began at `at` in b. */
void close_document(struct buf *b, size_t at);
/* The slot itself, or the value that a policy takes of a key that stands twice. */
const struct slot *chosen_of(const struct conv *c, const struct slot *s, enum dup_policy policy);
struct twice *twice_of(const struct conv *c, const struct slot *s);

/* --- values --- */
put_fn put_bool, put_int32_as_bool, put_int64_as_bool, put_double_as_bool, put_decimal_as_bool, put_text_as_bool;
put_fn put_int32_as_int, put_int64_as_int, put_double_as_int, put_decimal_as_int, put_bool_as_int, put_text_as_int;
put_fn put_int32_as_float, put_int64_as_float, put_double_as_float, put_decimal_as_float, put_bool_as_float,
	put_text_as_float;
put_fn put_int32_as_numeric, put_int64_as_numeric, put_double_as_numeric, put_decimal_as_numeric, put_bool_as_numeric,
	put_text_as_numeric;
put_fn put_text, put_symbol_as_text, put_number_as_text, put_bool_as_text, put_objectid_as_text, put_date_as_text,
	put_binary_as_text, put_json_as_text;
put_fn put_enum, put_labelled_text;
/* Text with NUL or bad bytes: refused, or mended into c->text as the column's encoding says, and counted. */
enum fault mend_text(struct conv *c, struct column *col, enum utf8_result why, size_t at, const char **s, size_t *n);
/* Valid UTF-8 into a text column: checks the length only. */
enum fault put_chars(struct conv *c, struct column *col, const char *s, size_t n);
put_fn put_date, put_text_as_time, put_int32_as_time, put_int64_as_time, put_double_as_time, put_decimal_as_time,
	put_timestamp_as_time, put_text_as_interval;
put_fn put_objectid_as_uuid, put_binary_as_uuid, put_any_as_uuid, put_id_text, put_id_document, put_id_dbpointer;
/* A row's key, made of the array's path, the key of the row above (a field of this type) and c->ordinal.
 */
enum fault put_row_key(struct conv *c, struct column *col, const struct pgtype *type, const uint8_t *field,
		       size_t len);
put_fn put_binary, put_objectid_as_bytea;
put_fn put_json;
put_fn put_text_as_inet;
put_fn put_array, put_value_as_array, put_vector, put_number_as_vector, put_binary_as_vector;

const struct labels *labels_new(struct arena *a, const struct schema_enum *e, const struct map_column *map);

/* --- decimal text of a number --- */
struct digits {
	bool negative;
	const char *digits;
	size_t n;
	int64_t exponent;
	enum { DIGITS_FINITE, DIGITS_NAN, DIGITS_INFINITY } kind;
};
/* Reads "-12.50e3", "NaN", "Infinity"; the digits go to scratch. False on anything else. */
bool digits_parse(const char *s, size_t n, struct buf *scratch, struct digits *out);
struct decimal;
void digits_of_decimal(const struct val *v, struct decimal *dec, struct digits *d); /* borrows dec */
void digits_trim(struct digits *d); /* leading and trailing zeros away, exponent kept right */

/* --- literals of if_… (literal.c) --- */
/* The field (length first) into the arena; NULL when the text is no value of the column's type. */
const uint8_t *literal_field(struct conv *c, const struct column *col, const char *text, size_t *len);

/* --- keys (key.c) --- */
bool key_text(struct buf *out, const struct pgtype *type, const uint8_t *field, size_t len);
/* UUID of a binary, by its subtype. */
bool key_binary_uuid(const struct val *v, enum map_uuid_order order, uint8_t uuid[16]);

#endif

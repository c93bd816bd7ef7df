/* synth_private.h - the mapping turned round: from the columns back to the fields that feed them.
 *
 *   model.c      plan → struct model: per collection a tree of fields, each leaf with what its values are like
 *   counts.c     how many documents each collection gets
 *   pairs.c      who is linked with whom in a many-to-many, asked from either side
 *   words.c      texts
 *   value.c      one value of one leaf
 *   dirt.c       which fault a document gets, and the spoilt value
 *   document.c   one whole document
 *   output.c     dump folder or server
 *   synth.c      threads: unit after unit of documents, written in order
 *
 * The model is constant once it is made; everything else belongs to one thread.
 */
#ifndef DOCROW_SYNTH_PRIVATE_H
#define DOCROW_SYNTH_PRIVATE_H

#include <stdlib.h>

#include "buf.h"
#include "doc.h"
#include "mem.h"
#include "plan.h"
#include "synth.h"

/* Chance: a stream of numbers that starts from a name. */

static inline uint64_t mix(uint64_t x)
{
	x += UINT64_C(0x9E3779B97F4A7C15);
	x = (x ^ x >> 30) * UINT64_C(0xBF58476D1CE4E5B9);
	x = (x ^ x >> 27) * UINT64_C(0x94D049BB133111EB);
	return x ^ x >> 31;
}

struct chance {
	uint64_t state;
};

static inline uint64_t chance_next(struct chance *c)
{
	c->state += UINT64_C(0x9E3779B97F4A7C15);
	return mix(c->state);
}

/* 0 .. n - 1; n > 0 */
static inline uint64_t below(uint64_t random, uint64_t n)
{
	return (uint64_t)((unsigned __int128)random * n >> 64);
}

static inline uint64_t chance_below(struct chance *c, uint64_t n)
{
	return below(chance_next(c), n);
}

/* Part: the model. */

enum value_kind {
	VALUE_BOOL,
	VALUE_INTEGER,
	VALUE_FLOAT,
	VALUE_NUMERIC,
	VALUE_TEXT,
	VALUE_LABEL,
	VALUE_ID, /* a reference, or an id of something */
	VALUE_BYTES,
	VALUE_INSTANT,
	VALUE_DAY,
	VALUE_TIME,
	VALUE_INTERVAL,
	VALUE_JSON,
	VALUE_INET,
	VALUE_VECTOR
};

/* How the _ids of a collection look. */
enum id_kind { ID_OBJECTID, ID_UUID_TEXT, ID_HEX_TEXT, ID_NUMBER, ID_TEXT, ID_UUID, ID_DATE, ID_DOCUMENT, ID_FIELDS };

struct text_style; /* words.c */
struct node;

/* A field that feeds a column. */
struct leaf {
	const struct map_column *map;
	const char *path; /* dotted, for the list of faults */
	enum value_kind kind;
	enum map_id id_rule; /* VALUE_ID without a target */
	const struct text_style *style;
	const char *const *labels;
	size_t nlabels;
	uint64_t salt;
	bool required;           /* NULL may not stand in the column and nothing is put in its place        */
	bool may_miss;           /* required, but the mapping fills in a missing field                      */
	bool unique;             /* alone in a unique index, or made unique for one: holds the number       */
	bool indexed;            /* alone or in a list in an index: its texts stay below what an index entry holds */
	uint64_t radix, divisor; /* in a unique index with others: value (number / divisor) % radix  */
	uint64_t last;           /* numbers from here on would repeat a combination: the field stays empty */
	int target;              /* collection that it refers to, -1                                   */
	const struct leaf *target_leaf; /* a column other than the key is referred to                  */
	int other_target;               /* move_to: ids of this collection stand here sometimes        */
	const struct leaf *mover;       /* the field whose ids may move here: then this one is empty   */
	const struct node *array;       /* innermost array of sub-documents around the leaf, or NULL   */
};

enum node_kind { NODE_LEAF, NODE_DOCUMENT, NODE_ARRAY, NODE_PAIRS, NODE_ID };

struct node {
	enum node_kind kind;
	const char *key;
	uint32_t key_len;
	const char *path;
	struct leaf *leaf;      /* LEAF; ARRAY of single values: what the elements are */
	struct node **children; /* DOCUMENT, ARRAY of sub-documents                    */
	size_t nchildren, cap;
	const struct node *around; /* innermost ARRAY around this node, or NULL           */
	uint64_t salt;
	int junction; /* PAIRS */
	bool left;
	unsigned accept;
};

/* A unique index over leaves of the main table. */
struct unique_set {
	const struct leaf **leaves;
	size_t nleaves;
};

enum dirt {
	DIRT_NONE = 0,
#define X(NAME, name, sentence) DIRT_##NAME,
#define DIRTS(X)                                                                                                     \
	X(TYPE, "type", "a value of a BSON type that does not go into the column")                                   \
	X(LABEL, "label", "a text that is no label of the enum")                                                     \
	X(NUL, "nul", "U+0000 in a text")                                                                            \
	X(UTF8, "utf8", "bytes that are not UTF-8 in a text")                                                        \
	X(MISSING, "missing", "a required field is left out")                                                        \
	X(NULL, "null", "a required field is null")                                                                  \
	X(ORPHAN, "orphan", "a reference to nothing")                                                                \
	X(DUPLICATE, "duplicate", "the value of another document in a unique field")                                 \
	X(RANGE, "range", "a number or date outside the column's range")                                             \
	X(INEXACT, "inexact", "a number or date finer than the column")                                              \
	X(TOO_LONG, "too_long", "a text longer than the column allows")                                              \
	X(FORMAT, "format", "a text that does not read as the column's type")                                        \
	X(SHAPE, "shape", "an array of another shape")                                                               \
	X(DUPLICATE_KEY, "duplicate_key", "a field twice in one document")                                           \
	X(UNMAPPED, "unmapped", "a field that the mapping does not name")                                            \
	X(ELEMENT_NULL, "element_null", "null in a list of references")                                              \
	X(ELEMENT_INVALID, "element_invalid", "something that is no id in a list of references")                     \
	X(PAIR_ONE_SIDED, "pair_one_sided", "a link that the other side does not know")                              \
	X(PAIR_REPEAT, "pair_repeat", "a link that stands twice in one list")                                        \
	X(PAIR_DANGLING, "pair_dangling", "a link to nothing")
	DIRTS(X)
#undef X
		DIRT_COUNT
};

/* One place that can be spoilt in one way. */
struct spot {
	enum dirt kind;
	const struct leaf *leaf;
	const struct node *node;
	const struct unique_set *set;
};

struct spots {
	struct spot *all;
	size_t n;
};

/* A document that gets this fault whatever its draw says, so that each kind occurs. */
struct forced {
	uint64_t number;
	const struct spot *spot;
};

struct coll {
	const char *name;
	int index;
	uint64_t docs;
	uint64_t salt;
	uint64_t first_ms, last_ms; /* time inside the ids */
	uint8_t machine[5];         /* random part of the ObjectIds */
	enum id_kind id_kind;
	struct node *id_node; /* ID_FIELDS: the sub-document of the _id */
	struct node *root;
	struct unique_set *sets;
	size_t nsets;
	struct spots spots[DIRT_COUNT]; /* by kind */
	enum dirt kinds[DIRT_COUNT];    /* those that have a spot */
	size_t nkinds;
	struct forced forced[DIRT_COUNT];
	size_t nforced;
};

/* Pairs of a junction: in each round a document of the larger side has at most one partner. */
enum { PAIR_ROUNDS = 3, PAIR_MOST = PAIR_ROUNDS * 40 };
struct pairing {
	uint64_t big, small; /* documents on the two sides */
	uint64_t factor[PAIR_ROUNDS], inverse[PAIR_ROUNDS], shift[PAIR_ROUNDS], limit[PAIR_ROUNDS];
	bool left_is_big, same_collection;
};

struct junction {
	int left, right; /* collections that the ends refer to */
	bool both_sides; /* both keep an array                 */
	struct pairing pairing;
};

struct model {
	struct arena *arena;
	const struct plan *plan;
	struct coll *colls;
	size_t ncolls;
	struct junction *junctions;
	size_t njunctions;
	uint64_t seed;
	uint64_t dirt; /* below this a document's draw means a fault; 2^64 - 1: all */
};

/* docs: as synth_counts gives them. */
bool model_make(struct model **m, const struct plan *p, const uint64_t *docs, uint64_t seed, double dirt,
		struct err *err) MUST_CHECK;
void model_free(struct model *m);

/* Part: pairs. */

void pairing_make(struct pairing *p, uint64_t left, uint64_t right, bool same_collection, uint64_t seed);
/* Partners of document i of one side; at most PAIR_MOST. */
size_t pairing_partners(const struct pairing *p, bool left, uint64_t i, uint64_t out[PAIR_MOST]);
bool pairing_has(const struct pairing *p, bool left, uint64_t i, uint64_t partner);

/* Part: one document. */

struct gen {
	const struct model *m;
	struct buf out;    /* documents, one after another */
	struct buf faults; /* lines of the list            */
	struct buf scratch;
	size_t type_at; /* where the type byte of the element being written stands */
	const struct coll *coll;
	uint64_t number;  /* of the document                                          */
	uint64_t key;     /* chance of the document                                   */
	struct spot spot; /* the fault of this document                               */
	uint64_t donor;   /* DUPLICATE: the document whose value is taken             */
	bool in_first;    /* every array around the place being written is at element 0 */
	uint64_t nfaults;
};

void gen_init(struct gen *g, const struct model *m);
void gen_free(struct gen *g);
/* Appends document `number` of collection c to g->out. */
void gen_document(struct gen *g, const struct coll *c, uint64_t number);

/* Elements: a key, then one value, which sets the type byte. */
void gen_key(struct gen *g, const char *key, size_t len);
void gen_index(struct gen *g, unsigned i); /* key of an array's element */
static inline void gen_kind(struct gen *g, enum bson_kind kind)
{
	g->out.data[g->type_at] = (uint8_t)kind;
}
size_t gen_begin_document(struct gen *g); /* after gen_key and gen_kind */
void gen_end_document(struct gen *g, size_t start);
void gen_null(struct gen *g);
void gen_bool(struct gen *g, bool v);
void gen_int32(struct gen *g, int32_t v);
void gen_int64(struct gen *g, int64_t v);
void gen_double(struct gen *g, double v);
void gen_date(struct gen *g, int64_t ms);
void gen_objectid(struct gen *g, const uint8_t oid[12]);
void gen_string(struct gen *g, const char *s, size_t n);
void gen_binary(struct gen *g, uint8_t subtype, const void *bytes, size_t n);
void gen_decimal(struct gen *g, bool negative, uint64_t coefficient, int exponent);

uint64_t gen_document_key(const struct coll *c, uint64_t number);
/* The _id of document `number`; numbers from c->docs on are of no document. */
void gen_id(struct gen *g, const struct coll *c, uint64_t number);
/* The ObjectId's (ID_OBJECTID, ID_HEX_TEXT) and the time that any document was made at. */
void gen_id_objectid(const struct coll *c, uint64_t number, uint8_t oid[12]);
int64_t gen_id_time_ms(const struct coll *c, uint64_t number);

enum presence { PRESENT, ABSENT, IS_NULL };
/* Whether the field of a clean document is there. key: of the document or array element. */
enum presence gen_leaf_presence(const struct model *m, const struct coll *c, const struct leaf *l, uint64_t number,
				uint64_t key);
/* A whole clean value, arrays included. */
void gen_leaf(struct gen *g, const struct coll *c, const struct leaf *l, uint64_t number, uint64_t key);
/* One element's. */
void gen_scalar(struct gen *g, const struct coll *c, const struct leaf *l, uint64_t number, struct chance *chance);
/* True if the mover of l holds an id of l's own target in this document, so that l is empty. */
bool gen_leaf_moves(const struct model *m, const struct leaf *l, uint64_t number, uint64_t key);

/* Part: texts. */

const struct text_style *text_style_of(const char *column);
/* Appends a text of that style to out (not the NUL); `unique` puts in the number. At most max_chars characters. */
void text_make(struct buf *out, const struct text_style *style, struct chance *chance, bool unique, uint64_t number,
	       size_t max_chars);

/* Part: faults. */

/* Fills c->spots. */
void gen_spots_find(struct model *m, struct coll *c);
/* Once all spots are known: a document for each kind of fault, taken off the share that is drawn. */
void gen_force_faults(struct model *m, double dirt);
bool gen_is_dirty(const struct model *m, const struct coll *c, uint64_t number);
/* Draws the fault of g's document into g->spot. */
void gen_spot_draw(struct gen *g);
/* Writes the element with the spoilt value. False: the fault lies elsewhere, a clean value is wanted. */
bool gen_spoilt(struct gen *g, const struct node *node, const struct leaf *l);

/* Part: output. */

struct output;
struct output_worker;
bool output_open(struct output **o, const struct model *m, const struct synth_options *opts, const char *database,
		 struct err *err) MUST_CHECK;
/* Ends everything; false if the last bytes could not be written. */
bool output_close(struct output *o, struct err *err) MUST_CHECK;
void output_abort(struct output *o);
/* A thread's own part. */
bool output_worker_open(struct output_worker **w, struct output *o, struct err *err) MUST_CHECK;
void output_worker_close(struct output_worker *w);
/* Two halves for each unit of documents: the first may run in several threads at once, the second in the order of the
 * units. */
bool output_prepare(struct output_worker *w, const struct coll *c, const struct gen *g, struct err *err) MUST_CHECK;
bool output_write(struct output_worker *w, const struct coll *c, bool is_last, const struct gen *g,
		  struct err *err) MUST_CHECK;

#endif

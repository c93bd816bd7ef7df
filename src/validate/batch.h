/* batch.h - some hundred documents of a chunk and the rows that they are compared with.
 *
 *   chunk.c     reads documents, asks for their rows       batch.c     a row against its document
 *   elements.c  keys, elements and pairs into the tally    children.c  rows of child tables against elements
 *   match.c     rows that no key tells apart
 */
#ifndef DOCROW_BATCH_H
#define DOCROW_BATCH_H

#include "validate_private.h"

#define BATCH_DOCUMENTS 400
#define BATCH_BYTES     ((size_t)2 << 20)
#define BIG_BYTES       ((size_t)4 << 20) /* batches of this and more are compared one at a time, over all threads */

struct item {
	size_t at, len; /* in batch.docs */
	struct val id;
	const uint8_t *wrapped; /* {_id: ...}, in the arena */
	size_t wrapped_len;
	const uint8_t *key; /* normal form, in the arena */
	size_t key_len;
	const char *key_text;
	uint64_t hash; /* matched tables: what the row is known by */
	int next;      /* of the same bucket, -1 */
};

/* What a child table's rows hang on: the document, or an element of it. */
struct owner {
	const struct item *item;
	struct val val;
	const uint8_t *key;
	size_t key_len;
};

struct batch {
	struct worker *w;
	struct feed *feed;
	struct buf docs, keys, scratch, owner, leftover, name;
	struct item items[BATCH_DOCUMENTS];
	size_t n;
	enum look look;
	bool reads_only;                           /* naming: nothing is compared */
	const struct proved *proved;               /* compared before an interruption; NULL: not */
	uint64_t digest, all_compared, all_fields; /* of the chunk */
	uint64_t documents, explained, compared, matched, mismatched, fields, found;
	uint64_t *elements; /* by table */
};

struct row {
	const struct pg_result *result;
	int index;
	const struct feed_table *t;
	const struct item *item;
	int64_t ordinal;     /* of the element, -1 */
	const char *key;     /* text of the row's key */
	const uint8_t *made; /* the UUID that the row's key is to be; NULL: it is not made */
};

static inline struct val batch_whole(const uint8_t *doc, size_t len)
{
	return (struct val){.data = doc, .len = (uint32_t)len, .kind = BSON_K_DOCUMENT};
}

/* --- batch.c: a row against its document --- */

const char *batch_table(const struct batch *b, int table);
/* The text of a key in normal form, in the batch's arena; NULL: the table has none. */
const char *batch_key_text(struct batch *b, const struct feed_table *t, const uint8_t *key, size_t n);
/* Is there a reject that says why the document has no row? *fault: which. */
bool batch_is_explained(struct batch *b, struct item *it, const uint8_t *doc, enum fault *fault);
/* Does a finding of the run name this column of this row? */
bool batch_is_listed(const struct batch *b, enum listed_kind k, const char *table, const char *column,
		     const struct item *it, int64_t ordinal, const char *row_key);
bool batch_is_compared(const struct column *c);
/* What the documents say about a column, for layer types. */
void batch_note_stats(struct worker *w, int table, const struct column *c, const struct cell *cell);
/* The finding gets document, collection and table. */
void batch_tell(struct batch *b, const struct item *it, const struct feed_table *t, struct validate_finding x);
/* Every column of the row against the document or element of the view; differences are told. */
bool batch_compare_row(struct batch *b, const struct row *r, struct view *v);
/* The same, only looking. */
bool batch_row_is_same(struct batch *b, const struct row *r, struct view *v);
/* Puts a key into the array of keys (b->keys) that batch_ask sends. */
void batch_put_key(struct buf *out, const struct pgtype *t, const uint8_t *key, size_t n, struct buf *scratch);
bool batch_ask(struct batch *b, const struct feed_table *t, struct pg_result **r, struct err *err) MUST_CHECK;
/* The normal form of a field of row i, lent from b->scratch. */
bool batch_row_key(struct batch *b, const struct pg_result *r, int i, const struct column *c);

/* --- children.c --- */

/* Compared counts belong to the table that the rows are in. */
void batch_send_counts(struct batch *b, int table);
/* The key of an element's row, whichever it is: made, or carried by the element. parent: that of the row above. */
bool batch_own_key(struct batch *b, const struct item *it, const struct feed_table *t, struct view *v,
		   const uint8_t *parent, size_t np, int64_t ordinal, const uint8_t **key, size_t *n);
/* Rows of all child tables of the batch's documents, to any depth. */
bool batch_compare_children(struct batch *b, struct err *err) MUST_CHECK;

/* --- elements.c: what every document puts into the tally. maybe: its row may be missing, as a reject says --- */

void batch_add_key(struct batch *b, const struct item *it, const struct feed_table *t, int table,
		   enum tally_side side, uint64_t hash, int64_t ordinal, const char *path);
void batch_note_children(struct batch *b, const struct item *it, struct view *v, bool maybe);
void batch_note_pairs(struct batch *b, const struct item *it, struct view *v, const struct feed_pairs *p, bool maybe);

/* --- match.c: tables whose rows no key tells apart --- */

/* What the document's row is known by. */
uint64_t match_hash(struct batch *b, const struct item *it, struct view *v);
/* A second look at a document: by b->look. *keep: its row is to be asked for. */
void match_look(struct batch *b, struct item *it, struct view *v, const uint8_t *doc, bool sampled, bool *keep);
bool match_batch(struct batch *b, struct err *err) MUST_CHECK;

#endif

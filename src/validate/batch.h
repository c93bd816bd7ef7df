/* batch.h - some hundred documents of a chunk and the rows that they are compared with: what chunk.c and match.c
 * share.
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
	int next;
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

/* The finding gets document, collection and table. */
void batch_tell(struct batch *b, const struct item *it, const struct feed_table *t, struct validate_finding x);
/* Every column of the row against the document or element of the view; differences are told. */
bool batch_compare_row(struct batch *b, const struct row *r, struct view *v);
/* The same, only looking. */
bool batch_row_is_same(struct batch *b, const struct row *r, struct view *v);
/* Compared counts belong to the table that the rows are in. */
void batch_send_counts(struct batch *b, int table);

/* --- match.c: tables whose rows no key tells apart --- */

/* What the document's row is known by. */
uint64_t match_hash(struct batch *b, const struct item *it, struct view *v);
/* A second look at a document: by b->look. *keep: its row is to be asked for. */
void match_look(struct batch *b, struct item *it, struct view *v, const uint8_t *doc, bool sampled, bool *keep);
bool match_batch(struct batch *b, struct err *err) MUST_CHECK;

#endif

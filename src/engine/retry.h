/* retry.h - what the files of docrow retry share. Private to src/engine.
 *
 *   retry.c        passes over the open rejects, batches, transactions
 *   retry_items.c  a batch: what its rejects stand for, converted, settled, stored
 *   retry_count.c  what that changes in the ledger, and in docrow.reject
 */
#ifndef DOCROW_RETRY_H
#define DOCROW_RETRY_H

#include "engine_private.h"

enum retry_what {
	RETRY_DOCUMENT, /* rejected on reading, or the loser of a key: the whole document                */
	RETRY_TAKEN,    /* its row was taken out while settling; its pairs were not                      */
	RETRY_ELEMENT,  /* one element of an array                                                       */
	RETRY_ROW       /* a row of a child table that was taken out while settling                      */
};

struct retry_reject {
	int64_t id;
	int doc; /* position of its document in the batch */
	enum retry_what what;
	enum fault fault, first_fault;
	const char *table, *path;
	int64_t ordinal;       /* -1: none                                                     */
	bool from_step;        /* of settling                                                  */
	bool wanted;           /* the filter picks it                                          */
	const uint8_t *id_doc; /* {_id: x}; NULL: none                                     */
	size_t id_len;
	const uint8_t *document;
	size_t len;
	bool is_covered; /* goes with the item of its document                            */
};

struct retry_item {
	struct retry_reject *reject; /* the one that it stands for */
	struct retry_reject **with;  /* others of the same document that its document settles */
	size_t nwith;
	struct val id;
	int output; /* ELEMENT, ROW: which of the collection's; -1: none */
	/* verdict of the try in hand */
	enum fault fault;
	const char *column, *path, *table, *message;
	uint8_t kind;
};

struct retry_batch {
	struct worker *w;
	struct retry *retry;
	int collection;
	const struct plan_collection *c;
	struct arena *arena; /* of the batch */
	struct retry_reject *rejects;
	size_t nrejects;
	struct retry_item *items;
	size_t nitems;
	int64_t step;
	uint64_t tried, loaded; /* items */
	struct ledger *ledger;  /* of the try in hand */
	struct arena *scratch;  /* of the try in hand */
	bool *is_inside;        /* per document of the batch: what hangs on its rows is staged */
	bool any_inside;
};

struct retry {
	struct engine *e;
	struct mapping *run_mapping;
	struct plan *run_plan;      /* what the rejects were counted by */
	struct conv **fresh, **old; /* per collection, made on first use */
	struct ledger *fresh_counts, *old_counts;
	struct rowbuf *stage; /* per output of the collection in hand */
	size_t nstage;
	struct rowbuf *inside; /* per output of the run's plan: rows that hang on rows that were taken out */
	size_t ninside;
	struct rowbuf item_rows;
	struct arena *arena; /* of what is told at the end */
};

/* retry_items.c */
struct conv *retry_conv(struct retry *r, int collection, bool old);
/* The same collection, and output of it, in the run's plan: the mapping of now may name them in another order. */
const struct plan_collection *retry_old_collection(const struct retry *r, int collection);
int retry_old_output(const struct retry_batch *b, int output);
void retry_make_items(struct retry_batch *b);
/* Items [from, to), in savepoints; halved until the guilty ones are found. */
bool retry_load(struct retry_batch *b, size_t from, size_t to, struct err *err) MUST_CHECK;
/* Runs the item through a converter (of the run's plan: old); what it makes stands in the converter. */
enum fault retry_convert(const struct retry_batch *b, const struct retry_item *i, bool old, struct conv_where *where);

/* retry_count.c: after the items went in (or not): ledger, docrow.reject, findings, new rejects. */
bool retry_account(struct retry_batch *b, size_t from, size_t to, struct err *err) MUST_CHECK;
bool retry_refuse(struct retry_batch *b, struct retry_item *i, const struct err *why, struct err *err) MUST_CHECK;

#endif

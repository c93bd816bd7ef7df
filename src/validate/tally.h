/* tally.h - sets of keys from both sides, compared: which documents have no row, which rows no document.
 *
 *   tally_new → per thread: tally_writer_new → tally_add* → tally_writer_close → tally_compare → tally_free
 *
 * What a writer adds belongs to its attempt: an attempt that fails is forgotten as a whole, and made anew.
 *
 * A key is its 64-bit hash. The hashes are kept in temporary files (unlinked), one for each part of the hash space,
 * so that memory is bounded whatever the tables' sizes: a part is read, sorted and compared at a time.
 */
#ifndef DOCROW_TALLY_H
#define DOCROW_TALLY_H

#include <stdbool.h>
#include <stdint.h>

#include "err.h"

enum tally_side {
	TALLY_DOC,   /* a row is expected (a pair: by the left side's array) */
	TALLY_RIGHT, /* a pair that the right side's array names            */
	TALLY_MAYBE, /* a row may be there: its absence is explained        */
	TALLY_ROW    /* the target's                                        */
};

struct tally;
struct tally_writer;

struct tally *tally_new(void);
void tally_free(struct tally *t);
struct tally_writer *tally_writer_new(struct tally *t);
/* Sends what is left; false: it could not be written. Frees the writer. */
bool tally_writer_close(struct tally_writer *w, struct err *err) MUST_CHECK;
/* What is added from now on is an attempt of its own. */
void tally_begin(struct tally_writer *w);
/* Nothing that was added since tally_begin counts. */
void tally_forget(struct tally_writer *w);
void tally_add(struct tally_writer *w, uint32_t set, enum tally_side side, uint64_t hash);

/* How many entries of each side one key has. */
struct tally_key {
	uint32_t set;
	uint64_t hash;
	uint64_t n[4]; /* by enum tally_side */
};
/* Calls `each` for every key, in no order; parts * of the space are shared out: part = 0 .. TALLY_PARTS - 1. May be
 * called for different parts from different threads. */
enum { TALLY_PARTS = 64 };
bool tally_compare(struct tally *t, int part, void (*each)(void *ctx, const struct tally_key *k), void *ctx,
		   struct err *err) MUST_CHECK;

#endif

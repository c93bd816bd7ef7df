/* spots.h - where the rows of a table are (ctid), found by a hash of what they hold. Kept in a temporary file
 * (unlinked), 24 bytes a row, so that memory does not grow with the table.
 *
 *   spots_new → spots_add* → spots_sort → spots_find* → spots_free
 */
#ifndef DOCROW_SPOTS_H
#define DOCROW_SPOTS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "err.h"

struct spot {
	uint64_t hash;
	uint32_t table, block; /* the relation's oid: a partition has its own */
	uint16_t item;
	atomic_uchar used; /* a document has it */
	uint8_t nothing[5];
};

struct spots;
struct spots *spots_new(void);
void spots_free(struct spots *s);
/* Empty again. */
void spots_clear(struct spots *s);
void spots_add(struct spots *s, uint64_t hash, uint32_t table, uint32_t block, uint16_t item);
/* False: they could not be written. */
bool spots_sort(struct spots *s, struct err *err) MUST_CHECK;
/* The first of *n with the hash; NULL: none. */
struct spot *spots_find(const struct spots *s, uint64_t hash, size_t *n);

#endif

/* canon.h - the canonical bytes of an _id: two _ids give the same bytes exactly when MongoDB holds them equal.
 *
 * Numbers of any type that are equal give the same bytes (1, 1L, 1.0, Decimal 1.00; -0 and 0; NaN), nested ones too;
 * symbol is string; the order of fields in sub-documents counts. The name of a UUIDv5 (id.h) is made of these bytes,
 * so their format is part of promise 3 and may never change: it is written at the head of canon.c.
 */
#ifndef DOCROW_CANON_H
#define DOCROW_CANON_H

#include "buf.h"
#include "doc.h"

/* Appends; false when the bytes are corrupt. No recursion, any depth. */
bool canon_write(struct buf *out, const struct val *v);

#endif

/* order.h - the order of _ids that give the same key: MongoDB's order of types, then the bytes. Pure.
 *
 * Enough to say which of several _ids of one key is the lowest (they differ in type or spelling); not a full
 * comparison of BSON values.
 */
#ifndef DOCROW_ORDER_H
#define DOCROW_ORDER_H

#include "doc.h"

/* < 0, 0, > 0. Strings compare as bytes; within other types the canonical bytes (canon.h) decide. */
int id_order(const struct val *a, const struct val *b);

#endif

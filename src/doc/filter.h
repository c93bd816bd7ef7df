/* filter.h - does a document match a MongoDB filter? For sources that no server filters: dumps, archives, JSON.
 *
 *   filter_new → filter_matches* → filter_free
 *
 * Knows $eq $ne $gt $gte $lt $lte $in $nin $exists $type $size $all $elemMatch $not $and $or $nor, dotted paths, and
 * means by them what MongoDB 6.0 means: a path goes through arrays, a value matches an array that holds it, null
 * matches a missing field, comparisons stay within one class of types. Anything else is refused by name, never
 * guessed. A filter is constant once made, so threads may share it; matching allocates nothing.
 */
#ifndef DOCROW_FILTER_H
#define DOCROW_FILTER_H

#include "doc.h"

#define FILTER_WHY 200 /* bytes of a reason */

struct filter;
/* filter: a BSON document (copied). NULL: it cannot be evaluated here, and `why` says what stands in the way ("the
 * operator $regex"). */
struct filter *filter_new(const uint8_t *filter, size_t len, char why[FILTER_WHY]);
void filter_free(struct filter *f);
/* A document that is not well-formed matches every filter: it is not lost but becomes a reject. */
bool filter_matches(const struct filter *f, const uint8_t *doc, size_t len);

#endif

/* compare.h - MongoDB's order of values, as its queries use it. Pure.
 *
 * Values of one class (numbers of any type; string and symbol; ...) compare by value, others by their class. Strings
 * compare as bytes, which is what a collection without collation does. Recursion is as deep as the shallower of both
 * values.
 */
#ifndef DOCROW_COMPARE_H
#define DOCROW_COMPARE_H

#include "doc.h"

/* Class of a type byte ("canonical type"): values of different classes never meet in a comparison of a query. Missing
 * (kind 0) and undefined are 0, null is 5. */
int val_class(uint8_t kind);
/* < 0, 0, > 0. Numbers of all types compare exactly; NaN is lowest among them and equal to itself. */
int val_compare(const struct val *a, const struct val *b);
bool val_is_nan(const struct val *v);

#endif

/* sink_fixes.h - statements that mend a difference between mapping and target without any risk. Private to src/sink.
 *
 * Safe is what loses nothing, takes nothing away from the application, and needs the owner's rights only: NOT NULL
 * taken off where the mapping allows NULL, a label added to an enum, a type made wider within its kind, the column
 * that keeps what the mapping does not name. Each function adds to d->fixes, once, what can be done, or nothing.
 */
#ifndef DOCROW_SINK_FIXES_H
#define DOCROW_SINK_FIXES_H

#include "sink_catalog.h"
#include "sink_existing.h"

struct fix_place {
	struct sink_differences *d;
	const struct schema *s;
	const struct catalog *c;
	int table;
};

void fix_not_null(const struct fix_place *at, const struct catalog_column *have);
/* The column's type as the mapping has it; the caller knows that it holds all values of the old one. */
void fix_type(const struct fix_place *at, const struct schema_column *col, const struct catalog_column *have);
/* Those labels that the target's enum lacks, each beside its neighbour in the mapping. */
void fix_labels(const struct fix_place *at, const struct schema_enum *want, const struct catalog_enum *have);
/* A column that is not there at all. */
void fix_missing(const struct fix_place *at, const struct schema_column *col);

#endif

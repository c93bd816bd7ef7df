/* row_size.c - how large a row is at least: PostgreSQL keeps it in one page, but for values that can be stored
 * elsewhere.
 */
#include "schema.h"

#define HEADER         23
#define ALIGNED(n, to) (((n) + (to)-1) / (to) * (to))

/* Size and alignment of types that are always in the row; others may be elsewhere. */
static const struct {
	unsigned char size, align;
} fixed[PGT_COUNT] = {
	[PGT_BOOL] = {1, 1},   [PGT_INT2] = {2, 2},      [PGT_INT4] = {4, 4},        [PGT_INT8] = {8, 8},
	[PGT_FLOAT4] = {4, 4}, [PGT_FLOAT8] = {8, 8},    [PGT_DATE] = {4, 4},        [PGT_TIME] = {8, 8},
	[PGT_ENUM] = {4, 4},   [PGT_TIMESTAMP] = {8, 8}, [PGT_TIMESTAMPTZ] = {8, 8}, [PGT_INTERVAL] = {16, 8},
	[PGT_UUID] = {16, 1},  [PGT_NAME] = {64, 1},
};

static size_t put(size_t at, const struct pgtype *t)
{
	if (t->base >= PGT_COUNT)
		return at;
	if (t->array || fixed[t->base].size == 0)
		return at + 1;
	return ALIGNED(at, fixed[t->base].align) + fixed[t->base].size;
}

size_t schema_row_bytes(const struct schema_table *t, bool not_null_only)
{
	bool has_null = false;
	size_t at = 0;
	for (size_t i = 0; i < t->ncolumns; i++) {
		const struct schema_column *c = &t->columns[i];
		if (c->not_null || (!not_null_only && !c->no_source))
			at = put(at, &c->type);
		else
			has_null = true;
	}
	/* a bit for each column, if one of them is NULL */
	size_t header = HEADER + (has_null ? (t->ncolumns + 7) / 8 : 0);
	return ALIGNED(ALIGNED(header, 8) + at, 8);
}

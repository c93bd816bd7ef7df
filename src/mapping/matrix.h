/* matrix.h - which BSON type goes into which PostgreSQL type, and how: the one table of it.
 *
 * matrix_rows.def is the table. The mapping's checks read it here (matrix.c), the converter takes its functions from
 * it (convert/table.c), the manual's page is written from it (matrix_markdown), and a test walks every cell.
 *
 * A row without a word of `accept` is natural. A row with words counts only in columns that accept one of them; of
 * several rows for one cell the last one counts. What no row names is refused: fault `type` for a value, an error of
 * the mapping where the mapping itself says that such values come (`bson`).
 */
#ifndef DOCROW_MATRIX_H
#define DOCROW_MATRIX_H

#include "doc.h"
#include "mapping.h"

/* BSON types close together: the type's byte, MinKey and MaxKey behind them. */
enum { MATRIX_MINKEY = BSON_K_DECIMAL128 + 1, MATRIX_MAXKEY, MATRIX_KINDS };
static inline unsigned matrix_kind(uint8_t kind)
{
	return kind <= BSON_K_DECIMAL128 ? kind
	       : kind == BSON_K_MINKEY   ? (unsigned)MATRIX_MINKEY
					 : (unsigned)MATRIX_MAXKEY;
}

enum matrix_way {
	MATRIX_EXACT, /* every value of that type goes in           */
	MATRIX_IF     /* each value is checked; what does not fit is a fault */
};

struct matrix_row {
	uint32_t types, kinds;
	enum matrix_way way;
	unsigned accept; /* 0: natural */
	bool keys;       /* only as an _id or a reference */
	const char *when;
};
extern const struct matrix_row matrix_rows[];
extern const size_t matrix_nrows;

/* How values of BSON type `kind` go into a column of this base type (of an array: into its elements). */
enum matrix_verdict { MATRIX_NO, MATRIX_BY_WORD, MATRIX_NATURALLY };
/* is_key: the column is an _id or a reference. *words (may be NULL) gets the words of accept that open the cell. */
enum matrix_verdict matrix_verdict(enum pgt base, unsigned kind, bool is_key, unsigned *words);
/* Words of accept that mean something for values of this base type. */
unsigned matrix_accept(enum pgt base, bool is_key);
/* The type that such values go into naturally and that is nearest to t: "integer[]", "jsonb". */
const char *matrix_nearest(struct arena *a, const struct pgtype *t, unsigned kind);
const char *matrix_natural_type(unsigned kind); /* "timestamptz" */
/* "objectId", "minKey": MongoDB's names, as `bson` takes them. */
const char *matrix_kind_name(unsigned kind);
/* The manual's page, docs/matrix.md. */
void matrix_markdown(struct buf *out);

#endif

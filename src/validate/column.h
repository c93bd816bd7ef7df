/* column.h - one column of one document (or array element) against the field that the server holds: path, policies,
 * value. What the mapping promises, read from the mapping itself; paths are walked by own code.
 */
#ifndef DOCROW_COLUMN_H
#define DOCROW_COLUMN_H

#include "value.h"

/* A literal of a policy as the server itself reads it; data NULL: no value of the type. */
struct literal {
	const struct map_value *of;
	uint8_t *data;
	int len;
};

struct column {
	const char *name;
	const char *path; /* for people */
	enum plan_feed feed;
	const struct map_column *map; /* NULL: PARENT, ORDINAL, UNMAPPED          */
	struct map_value constant;    /* VALUE: what every row has                */
	struct spec spec;
	bool nullable;
	int at; /* place in the row that is asked for */
	struct literal *literals;
	size_t nliterals;
	int column; /* of the table */
};

/* A document or an element, indexed for the look-up of paths. Lent from the bytes it was made of. */
struct view {
	struct val val; /* the document, or the element itself */
	struct field *fields;
	size_t n, cap;
	size_t cursor;  /* where the last key was found */
	bool has_twins; /* some key may stand twice */
	bool corrupt;
};

void view_free(struct view *v);
void view_set(struct view *v, const struct val *val);

enum at_path { AT_VALUE, AT_MISSING, AT_NULL, AT_MISPLACED, AT_TWICE };
/* twins: which one counts where a key stands twice. */
enum at_path view_find(struct view *v, const char *const *path, size_t n, enum dup_policy twins, struct val *out);

struct cell {
	enum cell_result { CELL_SAME, CELL_DIFFERENT, CELL_REJECT } result;
	enum fault why;    /* REJECT: why the document (element) cannot become a row */
	bool replaced;     /* if_invalid put something in place of the value         */
	bool expects_null; /* what should stand there is NULL                        */
	struct val val;    /* what the document holds at the path (kind 0: nothing)  */
	/* what should stand there, unless it is NULL: a value or a literal */
	struct val chosen;
	const struct literal *literal;
};
/* id: the document's _id. */
void column_check(struct judge *j, const struct column *c, struct view *v, const struct val *id, struct field_bytes f,
		  struct cell *out);

/* What the column should hold, in a form that is the same for every field that the judge holds to be the same, and
 * for no other. False: no such form is known. */
bool column_form(struct judge *j, const struct column *c, struct view *v, const struct val *id, struct buf *out);
/* The same of a field. */
void field_form(struct judge *j, const struct pgtype *t, struct field_bytes f, struct buf *out);

#endif

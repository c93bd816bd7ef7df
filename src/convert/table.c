/* table.c - the heart: which function takes which BSON kind into which PostgreSQL type.
 *
 * The rows are the matrix's (mapping/matrix_rows.def). What has no row is refused (FAULT_TYPE). Ids and arrays have
 * rules of their own on top. docs: "The conversion matrix".
 */
#include <stdio.h>

#include "convert_private.h"
#include "matrix.h"

_Static_assert((int)AT_MINKEY == MATRIX_MINKEY && (int)AT_MAXKEY == MATRIX_MAXKEY, "one numbering of BSON types");

/* Later rows win. Words of keys only are kept from other columns by the mapping's checks. */
#define ROW(types, kinds, way, accept, columns, put, when) {(types), (kinds), (accept), (put)},
static const struct {
	uint32_t types, kinds;
	unsigned accept; /* 0: natural */
	put_fn *put;
} rows[] = {
#include "matrix_rows.def"
};

#define TEXTS (1u << PGT_TEXT | 1u << PGT_VARCHAR | 1u << PGT_CHAR | 1u << PGT_NAME | 1u << PGT_CITEXT)

static bool is_uuid_rule(const struct column *col)
{
	return col->type.base == PGT_UUID && (col->id_rule == MAP_ID_UUIDV7 || col->id_rule == MAP_ID_STRING_UUID ||
					      col->id_rule == MAP_ID_OBJECTID_STRING);
}

static bool is_value(unsigned at)
{
	return !at_is_nothing(at) && at < AT_MISPLACED;
}

static bool is_open(const struct column *col, unsigned accept)
{
	/* any-id: an _id has its own rule. */
	unsigned words = col->is_id ? col->accept & ~(unsigned)MAP_ACCEPT_ANY_ID : col->accept;
	return accept == 0 || (accept & words) != 0;
}

static void fill_rows(struct column *col)
{
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		if ((rows[i].types & 1u << col->type.base) == 0 || !is_open(col, rows[i].accept))
			continue;
		for (unsigned at = 0; at < AT_MISPLACED; at++)
			if ((rows[i].kinds & 1u << at) != 0)
				col->put[at] = rows[i].put;
	}
}

/* What the mapping says that the field holds: nothing else goes in. */
static void refuse_others(struct column *col)
{
	memcpy(col->inside, col->put, sizeof col->inside);
	for (unsigned at = 0; at < AT_MISPLACED; at++)
		if (is_value(at) && col->bson != 0 && (col->bson & 1u << at) == 0)
			col->put[at] = put_type;
}

/* An _id is never refused: what has no other UUID gets the one of its name; null is an _id like any other. A
 * reference takes what its rule names, and the rest only by request. */
static void fill_by_id_rule(struct column *col)
{
	if (col->is_id && is_uuid_rule(col)) {
		for (unsigned at = BSON_K_DOUBLE; at < AT_MISPLACED; at++)
			if (at != BSON_K_OBJECTID && col->put[at] != put_id_document &&
			    col->put[at] != put_id_dbpointer)
				col->put[at] = put_any_as_uuid;
	} else if (col->is_reference && is_uuid_rule(col)) {
		if (col->id_rule == MAP_ID_UUIDV7 &&
		    (col->accept & (MAP_ACCEPT_HEX_ID | MAP_ACCEPT_UUID_STRING)) == 0)
			col->put[BSON_K_STRING] = (col->accept & MAP_ACCEPT_ANY_ID) != 0 ? put_any_as_uuid : put_type;
	} else if ((col->is_id || col->is_reference) && col->id_rule == MAP_ID_TEXT &&
		   (TEXTS & 1u << col->type.base) != 0) {
		col->put[BSON_K_BINARY] = put_binary_as_text;
	}
}

/* What would let such a value in, for who reads the reject: words of accept, or another type. */
enum fault put_type(struct conv *c, struct column *col, const struct val *v)
{
	char text[sizeof c->where.note] = "";
	unsigned words, kind = at_of(v->kind);
	if (c->is_quiet || !is_value(kind))
		return FAULT_TYPE;
	if (col->bson != 0 && (col->bson & 1u << kind) == 0)
		return fault_note(c, FAULT_TYPE, "the mapping's bson does not name it");
	if (col->type.array)
		return fault_note(c, FAULT_TYPE, "no array");
	matrix_verdict(col->type.base, kind, col->is_id || col->is_reference, &words);
	for (unsigned bit = 1; bit <= words; bit <<= 1)
		if ((words & bit) != 0)
			snprintf(text + strlen(text), sizeof text - strlen(text), "%s%s", *text != '\0' ? ", " : "",
				 map_accept_word((enum map_accept)bit));
	if (*text == '\0' && kind == BSON_K_ARRAY)
		return fault_note(c, FAULT_TYPE, "type %s[] or jsonb would do",
				  col->type.base == PGT_ENUM ? col->type.enum_name : pgt_name(col->type.base));
	return *text != '\0' ? fault_note(c, FAULT_TYPE, "goes in by accept: %s", text)
			     : fault_note(c, FAULT_TYPE, "type %s would do", matrix_natural_type(kind));
}

static void fill_scalar(struct column *col)
{
	for (unsigned at = 0; at < AT_COUNT; at++)
		col->put[at] = put_type;
	fill_rows(col);
	if (col->labels != NULL && col->put[BSON_K_STRING] == put_text)
		col->put[BSON_K_STRING] = put_labelled_text;
	fill_by_id_rule(col);
	refuse_others(col);
}

static void fill_array(struct column *col)
{
	bool scalars = (col->accept & MAP_ACCEPT_SCALAR_ARRAY) != 0 && col->type.dims <= 1;
	for (unsigned at = 0; at < AT_COUNT; at++)
		col->put[at] =
			scalars && is_value(at) && col->element->put[at] != put_type ? put_value_as_array : put_type;
	col->put[BSON_K_ARRAY] = put_array;
}

void resolve_put(struct column *col)
{
	if (col->type.array) {
		resolve_put(col->element);
		/* Deeper arrays are a matter of shape, not of type. */
		if (col->element->put[BSON_K_ARRAY] == put_type)
			col->element->put[BSON_K_ARRAY] = put_misplaced;
		fill_array(col);
	} else {
		fill_scalar(col);
	}
	col->put[AT_MISSING] = put_missing;
	if (!(col->is_id && is_uuid_rule(col))) {
		col->put[BSON_K_NULL] = put_null;
		col->put[BSON_K_UNDEFINED] = put_undefined;
	}
	col->put[AT_MISPLACED] = put_misplaced;
	col->put[AT_TWICE] = put_twice;
}

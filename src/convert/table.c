/* table.c - the heart: which function takes which BSON kind into which PostgreSQL type.
 *
 * `natural` needs no leave; each cell is exact, or checks that it is. What a cell lacks is refused (FAULT_TYPE),
 * unless a row of `by_request` matches what the mapping accepts. docs: "Values".
 */
#include "convert_private.h"

#define AT(kind) BSON_K_##kind

static put_fn *const natural[PGT_COUNT][AT_COUNT] = {
	[PGT_BOOL] = {[AT(BOOL)] = put_bool},
#define INTEGER                                                                                                      \
	{                                                                                                            \
		[AT(INT32)] = put_int32_as_int, [AT(INT64)] = put_int64_as_int, [AT(DOUBLE)] = put_double_as_int,    \
		[AT(DECIMAL128)] = put_decimal_as_int                                                                \
	}
	[PGT_INT2] = INTEGER,
	[PGT_INT4] = INTEGER,
	[PGT_INT8] = INTEGER,
#define FLOATING                                                                                                     \
	{                                                                                                            \
		[AT(INT32)] = put_int32_as_float, [AT(INT64)] = put_int64_as_float,                                  \
		[AT(DOUBLE)] = put_double_as_float, [AT(DECIMAL128)] = put_decimal_as_float                          \
	}
	[PGT_FLOAT4] = FLOATING,
	[PGT_FLOAT8] = FLOATING,
	[PGT_NUMERIC] = {[AT(INT32)] = put_int32_as_numeric,
			 [AT(INT64)] = put_int64_as_numeric,
			 [AT(DOUBLE)] = put_double_as_numeric,
			 [AT(DECIMAL128)] = put_decimal_as_numeric},
#define TEXT                                                                                                         \
	{                                                                                                            \
		[AT(STRING)] = put_text, [AT(OBJECTID)] = put_objectid_as_text                                       \
	}
	[PGT_TEXT] = TEXT,
	[PGT_VARCHAR] = TEXT,
	[PGT_CHAR] = TEXT,
	[PGT_NAME] = TEXT,
	[PGT_CITEXT] = TEXT,
	[PGT_UUID] = {[AT(OBJECTID)] = put_objectid_as_uuid,
		      [AT(BINARY)] = put_binary_as_uuid,
		      [AT(STRING)] = put_id_text},
	[PGT_BYTEA] = {[AT(BINARY)] = put_binary, [AT(OBJECTID)] = put_objectid_as_bytea},
	[PGT_DATE] = {[AT(DATE)] = put_date},
	[PGT_TIMESTAMP] = {[AT(DATE)] = put_date},
	[PGT_TIMESTAMPTZ] = {[AT(DATE)] = put_date},
#define ANY_VALUE                                                                                                    \
	{                                                                                                            \
		[AT(DOUBLE)] = put_json, [AT(STRING)] = put_json, [AT(DOCUMENT)] = put_json, [AT(ARRAY)] = put_json, \
		[AT(BINARY)] = put_json, [AT(OBJECTID)] = put_json, [AT(BOOL)] = put_json, [AT(DATE)] = put_json,    \
		[AT(REGEX)] = put_json, [AT(DBPOINTER)] = put_json, [AT(CODE)] = put_json, [AT(SYMBOL)] = put_json,  \
		[AT(CODEWSCOPE)] = put_json, [AT(INT32)] = put_json, [AT(TIMESTAMP)] = put_json,                     \
		[AT(INT64)] = put_json, [AT(DECIMAL128)] = put_json, [AT_MINKEY] = put_json, [AT_MAXKEY] = put_json  \
	}
	[PGT_JSON] = ANY_VALUE,
	[PGT_JSONB] = ANY_VALUE,
	[PGT_INET] = {[AT(STRING)] = put_text_as_inet},
	[PGT_VECTOR] = {[AT(ARRAY)] = put_vector},
	[PGT_ENUM] = {[AT(STRING)] = put_enum},
};

#define T(type)   (1u << PGT_##type)
#define INTEGERS  (T(INT2) | T(INT4) | T(INT8))
#define FLOATINGS (T(FLOAT4) | T(FLOAT8))
#define TEXTS     (T(TEXT) | T(VARCHAR) | T(CHAR) | T(NAME) | T(CITEXT))
#define INSTANTS  (T(DATE) | T(TIMESTAMP) | T(TIMESTAMPTZ))
#define IDS       (T(UUID) | T(BYTEA) | TEXTS)
#define KEYS      (IDS | INTEGERS | FLOATINGS | T(NUMERIC))

/* Later rows win. */
static const struct {
	unsigned accept, types;
	unsigned at;
	put_fn *put;
} by_request[] = {
	{MAP_ACCEPT_NUMBER_TEXT, TEXTS, AT(INT32), put_number_as_text},
	{MAP_ACCEPT_NUMBER_TEXT, TEXTS, AT(INT64), put_number_as_text},
	{MAP_ACCEPT_NUMBER_TEXT, TEXTS, AT(DOUBLE), put_number_as_text},
	{MAP_ACCEPT_NUMBER_TEXT, TEXTS, AT(DECIMAL128), put_number_as_text},
	{MAP_ACCEPT_NUMBER_TEXT, TEXTS, AT(BOOL), put_bool_as_text},
	{MAP_ACCEPT_NUMBER_TEXT, TEXTS, AT(DATE), put_date_as_text},
	{MAP_ACCEPT_NUMBER_TEXT, TEXTS, AT(BINARY), put_binary_as_text},
	{MAP_ACCEPT_NUMBER_TEXT, TEXTS, AT(SYMBOL), put_symbol_as_text},
	{MAP_ACCEPT_NUMBER_TEXT, TEXTS, AT(CODE), put_symbol_as_text},
	{MAP_ACCEPT_HEX_ID | MAP_ACCEPT_UUID_STRING, T(UUID), AT(STRING), put_id_text},
	{MAP_ACCEPT_HEX_ID, TEXTS | T(BYTEA), AT(STRING), put_id_text},
	{MAP_ACCEPT_OID_DOCUMENT, IDS, AT(DOCUMENT), put_id_document},
	{MAP_ACCEPT_DBREF, KEYS, AT(DOCUMENT), put_id_document},
	{MAP_ACCEPT_DBREF, IDS, AT(DBPOINTER), put_id_dbpointer},
	{MAP_ACCEPT_ISO_STRING, INSTANTS | T(TIME), AT(STRING), put_text_as_time},
	{MAP_ACCEPT_ISO_STRING, T(INTERVAL), AT(STRING), put_text_as_interval},
	{MAP_ACCEPT_EPOCH_MS | MAP_ACCEPT_EPOCH_S, INSTANTS, AT(INT32), put_int32_as_time},
	{MAP_ACCEPT_EPOCH_MS | MAP_ACCEPT_EPOCH_S, INSTANTS, AT(INT64), put_int64_as_time},
	{MAP_ACCEPT_EPOCH_MS | MAP_ACCEPT_EPOCH_S, INSTANTS, AT(DOUBLE), put_double_as_time},
	{MAP_ACCEPT_TIMESTAMP, INSTANTS, AT(TIMESTAMP), put_timestamp_as_time},
	{MAP_ACCEPT_NUMERIC_STRING, INTEGERS, AT(STRING), put_text_as_int},
	{MAP_ACCEPT_NUMERIC_STRING, FLOATINGS, AT(STRING), put_text_as_float},
	{MAP_ACCEPT_NUMERIC_STRING, T(NUMERIC), AT(STRING), put_text_as_numeric},
	{MAP_ACCEPT_BOOL_STRING, T(BOOL), AT(STRING), put_text_as_bool},
	{MAP_ACCEPT_BOOL_NUMBER, T(BOOL), AT(INT32), put_int32_as_bool},
	{MAP_ACCEPT_BOOL_NUMBER, T(BOOL), AT(INT64), put_int64_as_bool},
	{MAP_ACCEPT_BOOL_NUMBER, T(BOOL), AT(DOUBLE), put_double_as_bool},
	{MAP_ACCEPT_BOOL_NUMBER, T(BOOL), AT(DECIMAL128), put_decimal_as_bool},
	{MAP_ACCEPT_BOOL_NUMBER, INTEGERS, AT(BOOL), put_bool_as_int},
	{MAP_ACCEPT_BOOL_NUMBER, FLOATINGS, AT(BOOL), put_bool_as_float},
	{MAP_ACCEPT_BOOL_NUMBER, T(NUMERIC), AT(BOOL), put_bool_as_numeric},
};

static bool is_uuid_rule(const struct column *col)
{
	return col->type.base == PGT_UUID && (col->id_rule == MAP_ID_UUIDV7 || col->id_rule == MAP_ID_STRING_UUID ||
					      col->id_rule == MAP_ID_OBJECTID_STRING);
}

static bool is_value(unsigned at)
{
	return !at_is_nothing(at) && at < AT_MISPLACED;
}

/* What no other function takes. */
static void fill_refused(struct column *col, put_fn *put)
{
	for (unsigned at = 0; at < AT_COUNT; at++)
		if (is_value(at) && col->put[at] == put_type)
			col->put[at] = put;
}

static void fill_by_request(struct column *col)
{
	for (size_t i = 0; i < sizeof by_request / sizeof by_request[0]; i++)
		if ((by_request[i].accept & col->accept) != 0 && (by_request[i].types & 1u << col->type.base) != 0)
			col->put[by_request[i].at] = by_request[i].put;
	if ((col->accept & MAP_ACCEPT_JSON_TEXT) != 0 && (TEXTS & 1u << col->type.base) != 0)
		fill_refused(col, put_json_as_text);
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
			col->put[BSON_K_STRING] = put_type;
	} else if ((col->is_id || col->is_reference) && col->id_rule == MAP_ID_TEXT &&
		   (TEXTS & 1u << col->type.base) != 0) {
		col->put[BSON_K_BINARY] = put_binary_as_text;
	}
}

static void fill_scalar(struct column *col)
{
	for (unsigned at = 0; at < AT_COUNT; at++)
		col->put[at] = natural[col->type.base][at] != NULL ? natural[col->type.base][at] : put_type;
	if (col->labels != NULL && col->put[BSON_K_STRING] == put_text)
		col->put[BSON_K_STRING] = put_labelled_text;
	fill_by_request(col);
	fill_by_id_rule(col);
	if ((col->accept & MAP_ACCEPT_ANY_ID) != 0 && col->type.base == PGT_UUID && !col->is_id) {
		fill_refused(col, put_any_as_uuid);
		col->put[BSON_K_BINARY] = put_any_as_uuid;
	}
	if (col->type.base == PGT_VECTOR && (col->accept & MAP_ACCEPT_SCALAR_ARRAY) != 0)
		col->put[BSON_K_DOUBLE] = col->put[BSON_K_INT32] = col->put[BSON_K_INT64] = put_number_as_vector;
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

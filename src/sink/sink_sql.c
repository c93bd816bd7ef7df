/* sink_sql.c - expressions over keys and references, and the two ways a settling statement is run. */
#include <stdio.h>

#include "sink_sql.h"

void sql_column(struct buf *out, const char *alias, const struct schema_table *t, int column)
{
	buf_printf(out, "%s.", alias);
	sql_ident(out, t->columns[column].name);
}

const char *sql_column_text(struct buf *out, const char *alias, const struct schema_table *t, int column)
{
	buf_reset(out);
	sql_column(out, alias, t, column);
	return buf_cstr(out);
}

static bool is_text(const struct pgtype *t)
{
	static const bool text[PGT_COUNT] = {
		[PGT_TEXT] = true, [PGT_VARCHAR] = true, [PGT_CHAR] = true, [PGT_NAME] = true, [PGT_CITEXT] = true};
	return !t->array && text[t->base];
}

static bool is_integer(const struct pgtype *t)
{
	return !t->array && (t->base == PGT_INT2 || t->base == PGT_INT4 || t->base == PGT_INT8);
}

void sql_order_by(struct buf *out, const char *expr, const struct pgtype *type)
{
	if (is_text(type))
		buf_printf(out, "%s::text COLLATE \"C\"", expr);
	else if (!type->array && type->base == PGT_JSON)
		buf_printf(out, "%s::text COLLATE \"C\"", expr);
	else
		buf_puts(out, expr);
}

void sql_key_order(struct buf *out, const char *alias, const struct schema_table *t, bool descending)
{
	_cleanup_(buf_free) struct buf column = {0};
	for (size_t i = 0; i < t->nprimary_key; i++) {
		int c = t->primary_key[i];
		buf_puts(out, i > 0 ? ", " : "");
		sql_order_by(out, sql_column_text(&column, alias, t, c), &t->columns[c].type);
		buf_puts(out, descending ? " DESC" : "");
	}
	if (t->nprimary_key == 0)
		buf_printf(out, "%s::text COLLATE \"C\"%s", alias, descending ? " DESC" : "");
}

void sql_same_key(struct buf *out, const struct schema_table *t, const char *alias, const char *other)
{
	for (size_t i = 0; i < t->nprimary_key; i++) {
		buf_puts(out, i > 0 ? " AND " : "");
		sql_column(out, alias, t, t->primary_key[i]);
		buf_puts(out, " = ");
		sql_column(out, other, t, t->primary_key[i]);
	}
}

void sql_key_text(struct buf *out, const char *alias, const struct schema_table *t)
{
	if (t->nprimary_key == 0) {
		buf_puts(out, "NULL::text");
		return;
	}
	buf_puts(out, t->nprimary_key > 1 ? "(ROW(" : "(");
	for (size_t i = 0; i < t->nprimary_key; i++) {
		buf_puts(out, i > 0 ? ", " : "");
		sql_column(out, alias, t, t->primary_key[i]);
	}
	buf_puts(out, t->nprimary_key > 1 ? ")::text)" : "::text)");
}

void sql_text_or_null(struct buf *out, const char *text)
{
	if (text == NULL)
		buf_puts(out, "NULL::text");
	else
		sql_literal(out, text);
}

/* --- ids --- */

/* n bytes of send(expr), least significant first. */
static void put_little_endian(struct buf *out, const char *send, const char *expr, int n)
{
	for (int i = n; i > 0; i--)
		buf_printf(out, "%ssubstring(%s(%s) FROM %d FOR 1)", i < n ? " || " : "", send, expr, i);
}

static const char *name_hex(bool is_id)
{
	return is_id ? "5f696400" : "7600";
}

/* Head of a one-field BSON document {_id: x} or {v: x}: int32 length, type byte, name. The payload has `fixed` bytes
 * and as many as the SQL expression `more` says (NULL: none). */
static void bson_open(struct buf *out, bool is_id, const char *type, int fixed, const char *more)
{
	int size = 4 + 1 + (is_id ? 4 : 2) + fixed + 1;
	if (more == NULL) {
		buf_printf(out, "decode('%02x000000%s%s', 'hex') || ", (unsigned)size, type, name_hex(is_id));
		return;
	}
	_cleanup_(buf_free) struct buf sum = {0};
	buf_printf(&sum, "%s + %d", more, size);
	put_little_endian(out, "int4send", buf_cstr(&sum), 4);
	buf_printf(out, " || decode('%s%s', 'hex') || ", type, name_hex(is_id));
}

static void bson_close(struct buf *out)
{
	buf_puts(out, " || decode('00', 'hex')");
}

static void objectid_bson(struct buf *out, bool is_id, const char *bytes)
{
	bson_open(out, is_id, "07", 12, NULL);
	buf_puts(out, bytes);
	bson_close(out);
}

/* What id_map says of the key: the whole document, or its value under the name v. */
static void id_map_lookup(struct buf *out, enum sql_id_form form, const char *expr, const struct id_origin *origin)
{
	if (origin->table == NULL || origin->table->collection == NULL) {
		buf_puts(out, form == SQL_ID_JSON ? "NULL::text" : "NULL::bytea");
		return;
	}
	buf_puts(out, "(SELECT ");
	if (form == SQL_ID_BSON_ID) {
		buf_puts(out, "m.doc_id");
	} else if (form == SQL_ID_BSON_VALUE) {
		put_little_endian(out, "int4send", "octet_length(m.doc_id) - 2", 4);
		buf_puts(out, " || substring(m.doc_id FROM 5 FOR 1) || decode('7600', 'hex') ||"
			      " substring(m.doc_id FROM 10)");
	} else {
		buf_puts(out, "m.doc_id_text");
	}
	buf_printf(out, " FROM docrow.id_map m WHERE m.run = %lld AND m.collection IN (", (long long)origin->run);
	sql_literal(out, origin->table->collection);
	for (size_t i = 1; i < origin->table->nfeeders; i++) {
		buf_puts(out, ", ");
		sql_literal(out, origin->table->feeders[i]);
	}
	buf_printf(out, ") AND m.key = %s ORDER BY m.doc_id LIMIT 1)", expr);
}

static void uuid_bson(struct buf *out, bool is_id, const char *expr, const struct id_origin *origin)
{
	_cleanup_(buf_free) struct buf bytes = {0};
	buf_printf(&bytes, "decode(docrow.uuid_to_objectid(%s), 'hex')", expr);
	buf_printf(out, "CASE WHEN docrow.uuid_to_objectid(%s) IS NOT NULL THEN ", expr);
	objectid_bson(out, is_id, buf_cstr(&bytes));
	buf_puts(out, " ELSE coalesce(");
	id_map_lookup(out, is_id ? SQL_ID_BSON_ID : SQL_ID_BSON_VALUE, expr, origin);
	buf_puts(out, ", ");
	bson_open(out, is_id, "05", 4 + 1 + 16, NULL);
	buf_printf(out, "decode('1000000004', 'hex') || uuid_send(%s)", expr);
	bson_close(out);
	buf_puts(out, ") END");
}

static void text_bson(struct buf *out, bool is_id, const char *expr, const struct id_origin *origin)
{
	(void)origin;
	_cleanup_(buf_free) struct buf utf8 = {0}, length = {0}, next = {0}, bytes = {0};
	buf_printf(&utf8, "convert_to(%s::text, 'UTF8')", expr);
	buf_printf(&length, "octet_length(%s)", buf_cstr(&utf8));
	buf_printf(&next, "%s + 1", buf_cstr(&length));
	buf_printf(&bytes, "decode(%s::text, 'hex')", expr);
	buf_printf(out, "CASE WHEN %s::text ~ '^[0-9a-f]{24}$' THEN ", expr);
	objectid_bson(out, is_id, buf_cstr(&bytes));
	buf_puts(out, " ELSE ");
	bson_open(out, is_id, "02", 4 + 1, buf_cstr(&length));
	put_little_endian(out, "int4send", buf_cstr(&next), 4);
	buf_printf(out, " || %s || decode('00', 'hex')", buf_cstr(&utf8));
	bson_close(out);
	buf_puts(out, " END");
}

static void bytea_bson(struct buf *out, bool is_id, const char *expr, const struct id_origin *origin)
{
	(void)origin;
	_cleanup_(buf_free) struct buf length = {0};
	buf_printf(&length, "octet_length(%s)", expr);
	buf_printf(out, "CASE WHEN octet_length(%s) = 12 THEN ", expr);
	objectid_bson(out, is_id, expr);
	buf_puts(out, " ELSE ");
	bson_open(out, is_id, "05", 4 + 1, buf_cstr(&length));
	put_little_endian(out, "int4send", buf_cstr(&length), 4);
	buf_printf(out, " || decode('00', 'hex') || %s", expr);
	bson_close(out);
	buf_puts(out, " END");
}

static void integer_bson(struct buf *out, bool is_id, const char *expr, const struct id_origin *origin)
{
	(void)origin;
	_cleanup_(buf_free) struct buf wide = {0};
	buf_printf(&wide, "%s::bigint", expr);
	bson_open(out, is_id, "12", 8, NULL);
	put_little_endian(out, "int8send", buf_cstr(&wide), 8);
	bson_close(out);
}

static void uuid_json(struct buf *out, const char *expr, const struct id_origin *origin)
{
	buf_printf(out, "coalesce('{\"$oid\":\"' || docrow.uuid_to_objectid(%s) || '\"}', ", expr);
	id_map_lookup(out, SQL_ID_JSON, expr, origin);
	buf_printf(out,
		   ", '{\"$binary\":{\"base64\":\"' || encode(uuid_send(%s), 'base64') || '\",\"subType\":\"04\"}}')",
		   expr);
}

static void text_json(struct buf *out, const char *expr, const struct id_origin *origin)
{
	(void)origin;
	buf_printf(out,
		   "CASE WHEN %s::text ~ '^[0-9a-f]{24}$' THEN '{\"$oid\":\"' || %s::text || '\"}' ELSE"
		   " to_json(%s::text)::text END",
		   expr, expr, expr);
}

static void bytea_json(struct buf *out, const char *expr, const struct id_origin *origin)
{
	(void)origin;
	buf_printf(out,
		   "CASE WHEN octet_length(%s) = 12 THEN '{\"$oid\":\"' || encode(%s, 'hex') || '\"}' ELSE"
		   " '{\"$binary\":{\"base64\":\"' || translate(encode(%s, 'base64'), E'\\n', '') ||"
		   " '\",\"subType\":\"00\"}}' END",
		   expr, expr, expr);
}

static void integer_json(struct buf *out, const char *expr, const struct id_origin *origin)
{
	(void)origin;
	buf_printf(out, "%s::text", expr);
}

/* How keys of a type are shown; NULL: the type keeps no id without loss. */
struct id_writer {
	void (*bson)(struct buf *out, bool is_id, const char *expr, const struct id_origin *origin);
	void (*json)(struct buf *out, const char *expr, const struct id_origin *origin);
};

static const struct id_writer *find_writer(const struct pgtype *type)
{
	static const struct id_writer uuid = {uuid_bson, uuid_json}, text = {text_bson, text_json},
				      bytea = {bytea_bson, bytea_json}, integer = {integer_bson, integer_json};
	if (type->array)
		return NULL;
	if (type->base == PGT_UUID)
		return &uuid;
	if (type->base == PGT_BYTEA)
		return &bytea;
	if (is_integer(type))
		return &integer;
	return is_text(type) ? &text : NULL;
}

/* For messages: 24 hex where it is an ObjectId, else the key; long ones are cut. */
static void put_id_text(struct buf *out, const struct pgtype *type, const char *expr)
{
	if (!type->array && type->base == PGT_UUID)
		buf_printf(out, "coalesce(docrow.uuid_to_objectid(%s), %s::text)", expr, expr);
	else if (!type->array && type->base == PGT_BYTEA)
		buf_printf(out, "left(encode(%s, 'hex'), 100)", expr);
	else
		buf_printf(out, "left(%s::text, 100)", expr);
}

void sql_id(struct buf *out, enum sql_id_form form, const struct pgtype *type, const char *expr,
	    const struct id_origin *origin)
{
	const struct id_writer *w = find_writer(type);
	if (form == SQL_ID_TEXT)
		put_id_text(out, type, expr);
	else if (form == SQL_ID_JSON && w != NULL)
		w->json(out, expr, origin);
	else if (form == SQL_ID_JSON)
		buf_printf(out, "to_json(%s::text)::text", expr);
	else if (w != NULL)
		w->bson(out, form == SQL_ID_BSON_ID, expr, origin);
	else
		buf_puts(out, "NULL::bytea");
}

/* Column of a table of documents that holds what _id became, -1: none. */
static int id_column(const struct schema_table *t)
{
	if (t->collection == NULL || t->id_column < 0)
		return -1;
	if (t->id_column > 0)
		return t->id_column - 1;
	return t->nprimary_key == 1 ? t->primary_key[0] : -1;
}

/* The key of the document that the row comes from: of a child row its parent's, of a grandchild's through the row
 * above. *type gets its type; false: there is none. */
static bool put_document_key(struct buf *out, const struct schema *s, const char *alias, const struct schema_table *t,
			     const struct pgtype **type)
{
	if (t->parent_table < 0) {
		int c = id_column(t);
		if (c < 0)
			return false;
		*type = &t->columns[c].type;
		sql_column(out, alias, t, c);
		return true;
	}
	const struct schema_table *up = &s->tables[t->parent_table];
	int link = sink_link_column(s, t);
	if (link < 0)
		return false;
	if (up->parent_table < 0) {
		*type = &t->columns[t->parent_column].type;
		sql_column(out, alias, t, t->parent_column);
		return true;
	}
	char above[32];
	snprintf(above, sizeof above, "docrow_up%d", t->parent_table);
	buf_puts(out, "(SELECT ");
	bool ok = put_document_key(out, s, above, up, type);
	buf_puts(out, " FROM ");
	sql_rows(out, s, up);
	buf_printf(out, " AS %s WHERE ", above);
	sql_column(out, above, up, link);
	buf_puts(out, " = ");
	sql_column(out, alias, t, t->parent_column);
	buf_puts(out, " LIMIT 1)");
	return ok;
}

void sql_document_id(struct buf *out, enum sql_id_form form, const char *alias, const struct schema *s,
		     const struct schema_table *t, int64_t run)
{
	const struct id_origin origin = {run, t};
	const struct pgtype *type = NULL;
	_cleanup_(buf_free) struct buf key = {0};
	if (t->collection != NULL && put_document_key(&key, s, alias, t, &type))
		sql_id(out, form, type, buf_cstr(&key), &origin);
	else
		buf_puts(out, form == SQL_ID_BSON_ID || form == SQL_ID_BSON_VALUE ? "NULL::bytea" : "NULL::text");
}

void sql_ordinal(struct buf *out, const char *alias, const struct schema_table *t)
{
	int last = t->nprimary_key > 1 ? t->primary_key[t->nprimary_key - 1] : t->ordinal_column;
	if (t->parent_table < 0 || last < 0 || last == t->parent_column || !is_integer(&t->columns[last].type)) {
		buf_puts(out, "NULL::bigint");
		return;
	}
	sql_column(out, alias, t, last);
	buf_puts(out, "::bigint");
}

int sink_link_column(const struct schema *s, const struct schema_table *child)
{
	const struct schema_table *parent = &s->tables[child->parent_table];
	if (child->parent_column < 0)
		return -1;
	if (parent->nprimary_key == 1)
		return parent->primary_key[0];
	return parent->parent_column;
}

/* --- running --- */

bool sink_counts(struct pg *pg, const char *sql, uint64_t *counts, int n, struct err *err)
{
	_cleanup_(pg_result_freep) struct pg_result *r = NULL;
	if (!pg_query(pg, sql, NULL, 0, &r, err))
		return false;
	for (int i = 0; i < n; i++)
		counts[i] = pg_rows(r) > 0 ? (uint64_t)pg_get_i64(r, 0, i) : 0;
	return true;
}

bool sink_try(struct pg *pg, const char *sql, const char *sqlstate, bool *refused, struct err *err)
{
	*refused = false;
	if (!pg_exec(pg, "SAVEPOINT docrow_try", err))
		return false;
	if (pg_exec(pg, sql, err))
		return pg_exec(pg, "RELEASE SAVEPOINT docrow_try", err);
	if (strcmp(err->sqlstate, sqlstate) != 0 || pg_is_lost(pg))
		return false;
	*refused = true;
	return pg_exec(pg, "ROLLBACK TO SAVEPOINT docrow_try; RELEASE SAVEPOINT docrow_try", err);
}

void sql_row_identity(struct buf *out, const char *alias, const struct schema *s, const struct schema_table *t,
		      int64_t run)
{
	sql_key_text(out, alias, t);
	buf_puts(out, " AS key, ");
	sql_document_id(out, SQL_ID_BSON_ID, alias, s, t, run);
	buf_puts(out, " AS doc_id, ");
	sql_document_id(out, SQL_ID_JSON, alias, s, t, run);
	buf_puts(out, " AS doc_id_text, ");
	sql_ordinal(out, alias, t);
	buf_puts(out, " AS ordinal");
}

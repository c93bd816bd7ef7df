/* sink_sql.h - pieces of SQL that the sink's statements share. Private to src/sink.
 *
 * Ids are shown and listed as the documents had them: expressions turn a key or reference of any key type into BSON
 * ({_id: ...} or {v: ...}), into Extended JSON and into a short text for messages. All of it is set-wise: it stands
 * in the select list of the statement that takes rows out or changes them.
 */
#ifndef DOCROW_SINK_SQL_H
#define DOCROW_SINK_SQL_H

#include "sink.h"

/* Aliases and names that no column of a target is likely to have. */
#define ROW_ALIAS    "docrow_row"
#define PARENT_ALIAS "docrow_parent"

/* alias."name" */
void sql_column(struct buf *out, const char *alias, const struct schema_table *t, int column);
/* The same into arena-like scratch: the text is owned by `out`, which is reset first. */
const char *sql_column_text(struct buf *out, const char *alias, const struct schema_table *t, int column);
/* alias.a = other.a AND ... over the primary key. */
void sql_same_key(struct buf *out, const struct schema_table *t, const char *alias, const char *other);
/* Primary key columns, comma-separated; text keys in byte order, so that "lowest" is the same in every database. */
void sql_key_order(struct buf *out, const char *alias, const struct schema_table *t, bool descending);
/* The key as one text; NULL::text when there is no key. */
void sql_key_text(struct buf *out, const char *alias, const struct schema_table *t);
void sql_order_by(struct buf *out, const char *expr, const struct pgtype *type);

enum sql_id_form {
	SQL_ID_BSON_ID,    /* bytea {_id: x}                  */
	SQL_ID_BSON_VALUE, /* bytea {v: x}                    */
	SQL_ID_JSON,       /* Extended JSON of x              */
	SQL_ID_TEXT        /* 24 hex or the key, for messages */
};
/* Where ids that are no ObjectIds are looked up: docrow.id_map of the run and of the collections whose _ids are the
 * table's keys (NULL: nowhere). */
struct id_origin {
	int64_t run;
	const struct schema_table *table;
};
/* expr is a key of this type. A type that no _id becomes without loss gives NULL. */
void sql_id(struct buf *out, enum sql_id_form form, const struct pgtype *type, const char *expr,
	    const struct id_origin *origin);
/* The id of the document that a row comes from (a child row: of its parent's); NULL for tables of no collection. */
void sql_document_id(struct buf *out, enum sql_id_form form, const char *alias, const struct schema *s,
		     const struct schema_table *t, int64_t run);
/* Position of a child row among its siblings: NULL unless the key's last column is an integer beside the parent's. */
void sql_ordinal(struct buf *out, const char *alias, const struct schema_table *t);
/* Text literal, or NULL. */
void sql_text_or_null(struct buf *out, const char *text);

/* Column of the parent that a child table's parent_column holds; -1 when it is not known. */
int sink_link_column(const struct schema *s, const struct schema_table *child);

enum key_state { KEY_NONE, KEY_NOT_VALID, KEY_VALID };
/* Of a foreign key, in the target's catalog. */
bool sink_key_state(struct pg *pg, const struct schema *s, int table, int fkey, enum key_state *state,
		    struct err *err) MUST_CHECK;
void sql_validate(struct buf *out, const struct schema *s, int table, int fkey);

/* Runs sql and reads a row of counts. */
bool sink_counts(struct pg *pg, const char *sql, uint64_t *counts, int n, struct err *err) MUST_CHECK;
/* Runs sql under a savepoint. True also when the server refused with this SQLSTATE: *refused is true then, and the
 * transaction is as before. */
bool sink_try(struct pg *pg, const char *sql, const char *sqlstate, bool *refused, struct err *err) MUST_CHECK;

/* What names a row in rejects and findings: columns key, doc_id, doc_id_text, ordinal of a select list. */
void sql_row_identity(struct buf *out, const char *alias, const struct schema *s, const struct schema_table *t,
		      int64_t run);

#endif

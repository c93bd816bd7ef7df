/* sink.h - writing to the target: DDL, COPY, rejects, findings, and the statements of settling. Does not know where
 * rows came from. Every function works inside the transaction that the caller began on pg, unless it says otherwise.
 */
#ifndef DOCROW_SINK_H
#define DOCROW_SINK_H

#include "doc.h"
#include "fault.h"
#include "ledger.h"
#include "pg.h"
#include "rowbuf.h"
#include "schema.h"

/* --- the target as a whole: own transactions --- */

/* Version, encoding, privileges; target tables and types that exist already (TARGET_EXISTS lists all of them, with
 * the row counts). `resume` true: they must exist. */
bool sink_check(struct pg *pg, const struct schema *s, bool resume, struct err *err) MUST_CHECK;
/* Enums, tables (bare: no keys, no indexes), pair staging tables; owner and grants. Inside the caller's transaction.
 */
bool sink_create(struct pg *pg, const struct schema *s, struct err *err) MUST_CHECK;
/* --clean of an owned target: drops what sink_create made. Inside the caller's transaction. */
bool sink_drop(struct pg *pg, const struct schema *s, struct err *err) MUST_CHECK;
/* Looks up the OIDs of enums, citext, vector ... and writes them into the schema (once, before workers start). */
bool sink_resolve(struct pg *pg, struct schema *s, struct err *err) MUST_CHECK;

/* --- rows --- */

/* COPY of an output: begin → put* → end. The rowbuf holds rows only: header and trailer are added here. */
bool sink_copy_begin(struct pg *pg, const struct schema *s, const struct schema_copy *c, struct err *err) MUST_CHECK;
bool sink_copy_put(struct pg *pg, struct rowbuf *rows, struct err *err) MUST_CHECK; /* sends and resets it */
bool sink_copy_end(struct pg *pg, uint64_t *rows, struct err *err) MUST_CHECK;

/* --- rejects, findings, id_map: gathered in memory, written by sink_notes_flush before COMMIT --- */

struct sink_notes;
struct sink_notes *sink_notes_new(void);
void sink_notes_free(struct sink_notes *n);
void sink_notes_reset(struct sink_notes *n);

struct sink_reject {
	const char *collection, *table, *column, *path;
	enum fault fault;
	const char *message;     /* sentence with facts, no values                    */
	const char *sqlstate;    /* or NULL                                           */
	struct val id;           /* _id; kind 0: none                                 */
	const char *key;         /* text of the key or NULL                           */
	const uint8_t *document; /* whole document, or {v: element} for an element; may be NULL */
	size_t document_len;
	int64_t ordinal; /* of an element; -1: the document itself            */
	uint8_t kind;    /* BSON kind of the value                            */
};
void sink_notes_reject(struct sink_notes *n, const struct sink_reject *r);

struct sink_finding {
	const char *table, *column, *collection, *path;
	const char *kind; /* "invalid_null", "orphan_null" ...                 */
	enum fault fault;
	struct val id;
	const char *key;
	struct val value; /* the original                                      */
	int64_t ordinal;
};
void sink_notes_finding(struct sink_notes *n, const struct sink_finding *f);
void sink_notes_id(struct sink_notes *n, const char *collection, const uint8_t uuid[16], const struct val *id);
/* Bytes held, so that the engine can flush early inside the same transaction. */
size_t sink_notes_size(const struct sink_notes *n);
bool sink_notes_flush(struct pg *pg, struct sink_notes *n, int64_t run, int64_t chunk, int64_t step,
		      struct err *err) MUST_CHECK;

/* --- settling: each is the body of one step, inside the caller's transaction; counts go to the ledger --- */

/* Rows whose primary key value stands more than once: the keys, as text (at most `limit`), for the engine to load
 * anew in the order of their _ids. */
bool sink_duplicate_keys(struct pg *pg, const struct schema *s, int table, size_t limit, struct arena *a,
			 const char ***keys, size_t *n, struct err *err) MUST_CHECK;
/* Deletes all rows with these keys; *deleted gets the count. */
bool sink_delete_keys(struct pg *pg, const struct schema *s, int table, const char *const *keys, size_t n,
		      uint64_t *deleted, struct err *err) MUST_CHECK;
bool sink_add_primary_key(struct pg *pg, const struct schema *s, int table, struct err *err) MUST_CHECK;
/* Duplicates of a unique index: all but the lowest key (or by policy) become rejects (run, step are for their rows).
 */
bool sink_settle_unique(struct pg *pg, const struct schema *s, int table, int index, int64_t run, int64_t step,
			struct ledger *l, struct err *err) MUST_CHECK;
/* Orphans of one reference by its policy; *changed says whether rows were deleted (children must be looked at again).
 */
bool sink_settle_orphans(struct pg *pg, const struct schema *s, int ref, int64_t run, int64_t step, struct ledger *l,
			 bool *changed, struct err *err) MUST_CHECK;
/* Raw pairs → junction table: distinct, by sides, orphan pairs left out and listed. */
bool sink_settle_pairs(struct pg *pg, const struct schema *s, int junction, int64_t run, int64_t step,
		       struct ledger *l, struct err *err) MUST_CHECK;
bool sink_add_index(struct pg *pg, const struct schema *s, int table, int index, struct err *err) MUST_CHECK;
bool sink_add_fkey(struct pg *pg, const struct schema *s, int table, int fkey,
		   struct err *err) MUST_CHECK; /* NOT VALID */
bool sink_validate_fkey(struct pg *pg, const struct schema *s, int table, int fkey, struct err *err) MUST_CHECK;
/* VACUUM (FREEZE, ANALYZE): outside a transaction. */
bool sink_vacuum(struct pg *pg, const struct schema *s, int table, struct err *err) MUST_CHECK;

#endif

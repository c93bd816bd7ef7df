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

/* Tables that hold rows: what becomes of a row whose primary key is there already. NONE: they must be empty. */
enum sink_conflict { SINK_CONFLICT_NONE, SINK_CONFLICT_REJECT, SINK_CONFLICT_SKIP, SINK_CONFLICT_REPLACE };

/* --- the target as a whole: own transactions --- */

/* Version, encoding, privileges, roles, extensions; target tables, types and index names that exist already
 * (TARGET_EXISTS lists all of them, with the row counts). `resume` true: they must exist. Reads only. */
bool sink_check(struct pg *pg, const struct schema *s, bool resume, struct err *err) MUST_CHECK;
/* Enums, tables (bare: no keys, no indexes), pair staging tables docrow.pairs_<junction>; owner and grants. Schema
 * docrow must be installed. Inside the caller's transaction. */
bool sink_create(struct pg *pg, const struct schema *s, struct err *err) MUST_CHECK;
/* The last part of it alone, for a target whose tables exist (sink_existing.h). */
bool sink_create_staging(struct pg *pg, const struct schema *s, struct err *err) MUST_CHECK;
/* --clean of an owned target: drops what sink_create made, by name and never CASCADE: when something of someone else
 * hangs on it, the server's refusal names it. Inside the caller's transaction. */
bool sink_drop(struct pg *pg, const struct schema *s, struct err *err) MUST_CHECK;
/* Looks up the OIDs of enums, citext, vector ... and writes them into the schema (once, before workers start). */
bool sink_resolve(struct pg *pg, struct schema *s, struct err *err) MUST_CHECK;

/* --- rows --- */

/* COPY of an output: begin → put* → end. The rowbuf holds rows only: header and trailer are added here. */
bool sink_copy_begin(struct pg *pg, const struct schema *s, const struct schema_copy *c, struct err *err) MUST_CHECK;
bool sink_copy_put(struct pg *pg, struct rowbuf *rows, struct err *err) MUST_CHECK; /* sends and resets it */
bool sink_copy_end(struct pg *pg, uint64_t *rows, struct err *err) MUST_CHECK;

/* Before the RELEASE of a savepoint that rows were written in: they carry its number in xmin, not the transaction's,
 * and --clean knows by it that they are the run's. */
bool sink_mark_savepoint(struct pg *pg, int64_t run, struct err *err) MUST_CHECK;

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
	int64_t ordinal; /* of an element; -1: the document itself (NULL)     */
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
	int64_t ordinal;  /* of an element; -1: none (NULL)                    */
};
/* Strings are copied. Nothing here fails, whatever bytes the values hold. */
void sink_notes_finding(struct sink_notes *n, const struct sink_finding *f);
void sink_notes_id(struct sink_notes *n, const char *collection, const uint8_t uuid[16], const struct val *id);
/* Bytes held, so that the engine can flush early inside the same transaction. */
size_t sink_notes_size(const struct sink_notes *n);
/* Writes and resets them. chunk or step may be 0: NULL in the table. */
bool sink_notes_flush(struct pg *pg, struct sink_notes *n, int64_t run, int64_t chunk, int64_t step,
		      struct err *err) MUST_CHECK;

/* --- settling: each is the body of one step, inside the caller's transaction; counts go to the ledger ---
 *
 * Order of steps that the statements below rely on (per table; "→" means the left one is done and committed):
 *
 *   key:      of tables with sink_is_keyed_by_id: sink_try_primary_key; when it finds duplicates:
 *             sink_duplicate_keys, sink_delete_keys, load anew, and sink_add_primary_key, all in one step.
 *             Of child tables and others, whose rows cannot be loaded anew by key: sink_settle_primary_key, after the
 *             key of the table above
 *   unique:   key of the table → sink_settle_unique for each unique index (builds the index, too: no other step)
 *   orphans:  key and unique of its tables and of every table they refer to, and the groups in `after`
 *             → sink_settle_orphan_group, one step for each group of sink_orphan_groups
 *   pairs:    all orphan groups of both end tables, at the simplest all groups → sink_settle_pairs
 *             → key of the junction table (sink_add_primary_key)
 *   index:    orphans of the table (a pure search beside an index build is fine, a DELETE waits for it)
 *   fkey:     orphans (junctions: pairs) of the table and of the table it refers to → sink_add_fkey
 *             → sink_validate_fkey
 *   faster:   fkey of a table right before its orphans step (after the `after` groups): sink_settle_orphan_group then
 *             validates each NOT VALID key instead of searching, searches only when that fails, validates after
 *             settling, and no other validation is needed. Only for groups with `cyclic` false: a DELETE must find no
 *             key that points to its table.
 *   last:     sink_settle_sequences, sink_vacuum
 *
 * Why: keys first makes the clean case cost nothing extra (the index build finds the duplicates), and lets every
 * later statement address rows by key. Rejecting or dropping a row only ever happens in key, unique and orphans
 * steps, so after the groups a table is final. Results do not depend on which steps ran side by side.
 */

/* First call of every settle transaction: no timeouts, memory for sorts and index builds, no JIT, output formats of
 * row_text. SET LOCAL only. */
bool sink_begin_settle(struct pg *pg, struct err *err) MUST_CHECK;

/* Builds the primary key under a savepoint. *duplicates true: some keys stand more than once, nothing was built. */
bool sink_try_primary_key(struct pg *pg, const struct schema *s, int table, bool *duplicates,
			  struct err *err) MUST_CHECK;
/* Rows whose primary key value stands more than once: the keys, as text (at most `limit`, lowest first), for the
 * engine to load anew in the order of their _ids. Of a key of several columns: the text of the row value. */
bool sink_duplicate_keys(struct pg *pg, const struct schema *s, int table, size_t limit, struct arena *a,
			 const char ***keys, size_t *n, struct err *err) MUST_CHECK;
/* Which of `texts` are, as values of the key's type, one of `keys`: match[i] is an index of keys, -1: none. */
bool sink_match_keys(struct pg *pg, const struct schema *s, int table, const char *const *texts, size_t ntexts,
		     const char *const *keys, size_t nkeys, int *match, struct err *err);
/* What sink_delete_keys took away. The caller gives the arrays, zeroed; counts are added. */
struct sink_deleted {
	uint64_t rows;          /* of the table itself                                            */
	uint64_t *by_table;     /* [s->ntables] rows of child tables                              */
	uint64_t *left, *right; /* [s->njunctions] raw pairs that the documents named, by side */
};
/* Deletes all rows with these keys, their rows in child tables and the pairs that they put into staging. Counts
 * nothing in the ledger. */
bool sink_delete_keys(struct pg *pg, const struct schema *s, int table, const char *const *keys, size_t n,
		      struct sink_deleted *deleted, struct err *err) MUST_CHECK;
bool sink_add_primary_key(struct pg *pg, const struct schema *s, int table, struct err *err) MUST_CHECK;
/* Is the primary key what _id became, so that documents can be found by it? */
bool sink_is_keyed_by_id(const struct schema *s, int table);
/* Builds the primary key; when that finds duplicates, all but one row of each key become rejects or are dropped, by
 * the table's policy: the first (last) stays in the order of parent, ordinal and the row's text. Child rows stay:
 * which row they belong to cannot be told. */
bool sink_settle_primary_key(struct pg *pg, const struct schema *s, int table, int64_t run, int64_t step,
			     struct ledger *l, struct err *err) MUST_CHECK;

/* Builds a unique index; when that finds duplicates: all but the lowest key (or by policy) become rejects with both
 * ids in the message, or are dropped with a finding, and the index is built then. Rows with a NULL are no duplicates
 * unless nulls_not_distinct. */
bool sink_settle_unique(struct pg *pg, const struct schema *s, int table, int index, int64_t run, int64_t step,
			struct ledger *l, struct err *err) MUST_CHECK;

/* References that are settled together: those of one table, or of tables that refer to each other in a circle. */
struct sink_orphan_group {
	int *refs; /* indexes into schema.refs, ascending */
	size_t nrefs;
	int *tables; /* whose rows it may take out or change */
	size_t ntables;
	int *after; /* indexes of groups that must be done before */
	size_t nafter;
	bool cyclic;
};
/* Parents first, so that running them in order is right; groups not in each other's `after` may run side by side. */
size_t sink_orphan_groups(const struct schema *s, struct arena *a, struct sink_orphan_group **groups);

/* Orphans of one reference by its policy; *changed says whether rows were deleted (children must be looked at again).
 * Costs one anti-join when there are none. STUB writes to the parent table. */
bool sink_settle_orphans(struct pg *pg, const struct schema *s, int ref, int64_t run, int64_t step, struct ledger *l,
			 bool *changed, struct err *err) MUST_CHECK;
/* All references of a group to a fixpoint: rejects first, until no more rows go; then stubs; then moves, NULLs and
 * kept ones, each row changed once. One scan of each table, or the validation of its keys, when there are no orphans.
 */
bool sink_settle_orphan_group(struct pg *pg, const struct schema *s, const int *refs, size_t n, int64_t run,
			      int64_t step, struct ledger *l, struct err *err) MUST_CHECK;

/* Raw pairs → junction table: distinct, by sides, orphan pairs left out and listed (kept and listed, if the
 * junction's if_orphan is KEEP), one-sided ones listed. Empties the staging table. */
bool sink_settle_pairs(struct pg *pg, const struct schema *s, int junction, int64_t run, int64_t step,
		       struct ledger *l, struct err *err) MUST_CHECK;

/* Does nothing for a unique index that sink_settle_unique built. */
bool sink_add_index(struct pg *pg, const struct schema *s, int table, int index, struct err *err) MUST_CHECK;
/* A key, index, foreign key ... that docrow.ddl knows, or is to know. Texts are lent. */
struct sink_object {
	const char *kind, *table, *name, *definition;
};
/* Writes down in docrow.ddl (state 'refused') what the server refused to make, with its definition, and why
 * (`reason`, as pg.h filled it: no values in it). */
bool sink_note_refused(struct pg *pg, const struct sink_object *o, int64_t run, int64_t step,
		       const struct err *reason, struct err *err) MUST_CHECK;
bool sink_add_fkey(struct pg *pg, const struct schema *s, int table, int fkey,
		   struct err *err) MUST_CHECK; /* NOT VALID */
/* A key whose orphans were kept by policy stays NOT VALID, which is no error; a valid key is left alone. */
bool sink_validate_fkey(struct pg *pg, const struct schema *s, int table, int fkey, struct err *err) MUST_CHECK;
/* Sequences of identity, serial and nextval columns go past the maximum. */
bool sink_settle_sequences(struct pg *pg, const struct schema *s, int table, struct err *err) MUST_CHECK;
/* VACUUM (FREEZE, ANALYZE): outside a transaction. */
bool sink_vacuum(struct pg *pg, const struct schema *s, int table, struct err *err) MUST_CHECK;

/* --- retry: rejects that are tried again, inside the caller's transaction (and savepoint) ---
 *
 *   sink_retry_new → sink_retry_items, sink_retry_put*, sink_retry_row* → sink_retry_settle → sink_retry_verdicts
 *                  → sink_retry_store → sink_retry_end → sink_retry_free
 *
 * sink_begin_settle comes before. copies: what the documents of one collection feed, its own table first. The ledger
 * gets what settling counts (orphans, pairs, rows of junctions, child rows taken out, stand-ins filled); all else is
 * the caller's, who knows what was counted before. */
struct sink_retry;
bool sink_retry_new(struct sink_retry **r, struct pg *pg, const struct schema *s, int64_t run, int64_t step,
		    struct ledger *l, const struct schema_copy *const *copies, size_t n, struct err *err) MUST_CHECK;
/* COPY rows (item, kind 'd', 'e' or 'r', index of the own row's table, _id as {_id: x}, _id as text, docrow.reject.id
 * of the document); items are numbered in the order of their _ids. */
bool sink_retry_items(struct sink_retry *r, struct rowbuf *items, struct err *err) MUST_CHECK;
/* COPY rows of c with their item in front. Sends and resets them. */
bool sink_retry_put(struct sink_retry *r, const struct schema_copy *c, struct rowbuf *rows,
		    struct err *err) MUST_CHECK;
/* The row that was taken out of a child table, as docrow.reject kept it. */
bool sink_retry_row(struct sink_retry *r, int64_t item, int table, int64_t reject, struct err *err) MUST_CHECK;
/* Rows of a junction that were taken out (ids: "{1,2}" of docrow.reject, picked and locked here): they go in where
 * both ends are there and no unique index minds, the lowest pair first. Counts them as retried; needs no struct
 * sink_retry. */
bool sink_retry_pairs(struct pg *pg, const struct schema *s, int junction, const char *ids, int64_t step,
		      struct ledger *l, uint64_t *came, struct err *err) MUST_CHECK;
/* What hung on such rows and was taken out with them: all rows of child tables that their documents made, put with
 * items below 0, find the item of the row above, or go. After every sink_retry_row. */
bool sink_retry_inside(struct sink_retry *r, struct err *err) MUST_CHECK;
/* Keys, unique indexes, references: blocks the items that may not go in. */
bool sink_retry_settle(struct sink_retry *r, struct err *err) MUST_CHECK;
struct sink_verdict {
	int64_t item;
	enum fault fault;
	const char *column; /* or NULL */
	const char *message;
};
/* The items that are blocked. In the arena. */
bool sink_retry_verdicts(struct sink_retry *r, struct arena *a, struct sink_verdict **out, size_t *n,
			 struct err *err) MUST_CHECK;
/* The others go in; pairs and references that waited for them get what they named. */
bool sink_retry_store(struct sink_retry *r, struct err *err) MUST_CHECK;
bool sink_retry_end(struct sink_retry *r, struct err *err) MUST_CHECK; /* drops the temporary tables */
void sink_retry_free(struct sink_retry *r);
/* Foreign keys that stayed NOT VALID are validated when no kept orphan of their table is left. In a transaction. */
bool sink_retry_validate(struct pg *pg, const struct schema *s, int64_t run, struct err *err) MUST_CHECK;

#endif

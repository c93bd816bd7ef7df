/* sink_settle.h - what the settling files share. Private to src/sink.
 *
 * A statement of settling is one WITH query: the rows in question, what is done to them, what is written about them,
 * and the counts. So it sees one snapshot, and nothing is done that is not listed.
 */
#ifndef DOCROW_SINK_SETTLE_H
#define DOCROW_SINK_SETTLE_H

#include "sink_sql.h"

struct settle {
	struct pg *pg;
	const struct schema *s;
	int64_t run, step;
	struct ledger *ledger;
	struct err *err;
	bool *shrunk; /* [ntables] set for tables that lost rows; may be NULL */
	/* [ntables] of docrow retry: the rows in question wait in pg_temp.docrow_t<i>, beside the table; else NULL.
	 */
	const bool *staged;
};
/* The table whose rows are settled: itself, or where its rows wait. */
void settle_table(struct buf *sql, const struct settle *st, int table);

/* Taking rows out. `rows` is a query with the columns spot (ctid), message (text), value (bytea) and value_text
 * (text) over the table; they become rejects, or findings when `drop`. Their rows in child tables go with them. */
struct removal {
	int table;
	const char *column; /* column_name of the note; may be NULL */
	enum fault fault;
	bool drop;
	bool skip; /* with drop: they are left out since they are there already */
	bool keep_children;
	bool has_sqlstate; /* a further column of the query */
	const char *path;  /* of the ledger's DROPPED: the key's name */
	const char *rows;
};
/* Counts go to the ledger; *removed (may be NULL) gets the table's own rows. */
bool settle_remove(struct settle *st, const struct removal *r, uint64_t *removed) MUST_CHECK;

/* Parts of a statement that takes rows (alias ROW_ALIAS) out of `table`, for its RETURNING: what a note says of a row
 * and the row itself, row_text; ", " and the values by which child tables find the rows, link_<child>. */
void settle_put_row(struct buf *sql, const struct schema *s, const struct schema_table *t, int64_t run);
void settle_put_links(struct buf *sql, const struct schema *s, int table);
/* ", docrow_x<child> AS (DELETE ...)" for the child tables of `table`, whose deleted rows and links are in the query
 * `from`, and for theirs. run > 0: they return settle_put_row, too. The children are added to tables[n]; returns how
 * many are in there now. */
int settle_put_children(struct buf *sql, const struct schema *s, int table, const char *from, int64_t run,
			int *tables, int n);

/* Of a child table, before its rows are moved: the old rows that hang on replaced ones and do not wait in the stage
 * go, with all below them; findings (kind removed) keep them, the ledger counts them as REPLACED. */
bool leftovers_remove(struct settle *st, int table) MUST_CHECK;

/* Of a unique index: its columns or expressions; the condition of rows that it holds; "email, team" for messages. */
void unique_put_keys(struct buf *out, const struct schema_index *i);
void unique_put_which(struct buf *out, const struct schema_index *i, const char *keys);
void unique_put_what(struct buf *out, const struct schema_index *i);

/* Orphans of references; the statements of sink_settle_orphans.c. Each looks for itself what is an orphan now. */
bool orphan_can_reject(const struct schema_ref *r);
bool orphan_can_stub(const struct schema_ref *r);
bool orphan_can_change(const struct schema_ref *r);
/* Counts for each of the refs, all of one table, in one scan. */
bool orphans_count(struct settle *st, const int *refs, size_t n, uint64_t *counts) MUST_CHECK;
/* Rows that must go: orphans, of move_to those that cannot be moved. */
bool orphans_reject(struct settle *st, int ref, uint64_t *removed) MUST_CHECK;
bool orphans_stub(struct settle *st, int ref) MUST_CHECK;
/* Moves, NULLs and kept ones of the refs, all of one table, in one UPDATE: a second one of the same row would have
 * the server check its other foreign keys again, whose orphans are not settled yet. */
/* "SELECT spot, message, value, value_text" and, staged, "item": the rows that orphans_reject takes out. */
void orphans_put_rejected(struct buf *sql, struct settle *st, int ref);
bool orphans_change(struct settle *st, const int *refs, size_t n) MUST_CHECK;

/* A query of the statement `name`: a finding for each pair of docrow_d (l, r, nl, nr, has_l, has_r) that `where`
 * picks. column_name is the left or right one (or both) as when_left and when_right say. */
void pairs_put_findings(struct buf *sql, const struct settle *st, int junction, const char *name, const char *kind,
			enum fault fault, const char *when_left, const char *when_right, const char *where);

#endif

/* sink_stage.h - tables whose keys, indexes and foreign keys stay in force while they are filled.
 *
 * Rows are loaded into stages, tables docrow.rows_<i> beside each table of the target, and settled there by the usual
 * statements (sink.h); then they are moved, parents first. Stages are ordinary logged tables: what waits there must
 * survive a crash of the server as the marks do. The other way, staging each chunk in temporary tables and inserting
 * it at once, is not exact: which of two duplicates stays, and whether a reference is an orphan, is known only when
 * the last chunk has come, and a row that is in already would have to be taken out again under keys that cascade.
 *
 *   begin, resume:  sink_stage → sink_units; a new run: sink_stage_create
 *   chunks:         sink_copy_* (into the stages)
 *   steps:          key, sink_settle_conflicts (tables that may hold rows of others) and unique with all stages
 *                   → per unit, parents first: orphans, sink_move, both with sink_stage_view
 *                   → pairs, into the stages of junctions, and the same for those
 *   clean:          sink_give_back (sink_existing.h)
 *
 * A unit is a table, or tables that refer to each other in a circle: those go in by one statement, at whose end the
 * server checks the foreign keys, so that NULLs need not be put in between and NOT NULL references may go round in a
 * circle, too. Once a unit is moved its stages are gone: at most the largest table is there twice.
 */
#ifndef DOCROW_SINK_STAGE_H
#define DOCROW_SINK_STAGE_H

#include "sink_existing.h"

/* Makes the schema, which sink_adapt adapted, load into stages: references for foreign keys that only the target has,
 * the order that the other ones ask for, no structure to make again but triggers. */
void sink_stage(struct schema *s, bool has_others, struct arena *a);
/* The stages and those of pairs. In the transaction that makes the run. */
bool sink_stage_create(struct pg *pg, const struct schema *s, struct err *err) MUST_CHECK;
bool sink_stage_drop(struct pg *pg, const struct schema *s, struct err *err) MUST_CHECK;

struct sink_unit {
	int *tables;
	size_t ntables;
	int group;   /* of sink_orphan_groups; -1: none    */
	bool cyclic; /* they need each other or themselves */
};
/* Do both tables need each other, directly or by others? */
bool sink_share_circle(const struct schema *s, int one, int other);
/* Parents before those that need them. Tables without a stage are in none. */
size_t sink_units(const struct schema *s, struct arena *a, struct sink_unit **units);
/* The schema as it is when the units before `unit` are moved. Shares all but the list of tables with s. */
struct schema sink_stage_view(const struct schema *s, const struct sink_unit *units, size_t unit, struct arena *a);

/* Body of a step: all rows of the unit go into their tables, and the stages away. Those whose key is there replace
 * the old row, if asked, which is kept in docrow.finding (kind replaced). Rows that the server refuses become
 * rejects. `s` is the view; `refs` those of the unit's group. */
struct sink_moving {
	const struct sink_unit *unit;
	const int *refs;
	size_t nrefs;
	uint64_t most_refused; /* more stop the run: ERR_MAX_REJECTS */
	enum sink_conflict conflict;
	int64_t run, step;
	struct ledger *ledger;
};
bool sink_move(struct pg *pg, const struct schema *s, const struct sink_moving *m, struct err *err) MUST_CHECK;

/* Body of a step, for a table that may hold rows of others, which it counts: what waits and has the key of one of
 * them, by the rule (REPLACE: nothing, sink_move does it); and what has the same as one of them in another unique
 * index, which becomes a reject. Before the step of each unique index. */
bool sink_settle_conflicts(struct pg *pg, const struct schema *s, int table, enum sink_conflict rule, int64_t run,
			   int64_t step, struct ledger *l, struct err *err) MUST_CHECK;

#endif

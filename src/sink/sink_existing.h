/* sink_existing.h - targets whose tables are there already: deployed by Prisma, another tool, or by hand.
 *
 * What the catalog has rules; the mapping's schema is adapted to it (types that are wider, NOT NULL, names, keys,
 * indexes), or the differences are listed. While rows are loaded, keys, indexes and foreign keys are away: written
 * down in docrow.ddl and dropped, all in one transaction; the steps of settling make them again from there, and the
 * schema's fields `definition` say how.
 *
 *   new run:  sink_find_tables → sink_check_existing → sink_compare (looks only)
 *             → in the transaction that makes the run: sink_lock_tables → sink_compare → sink_take_away → sink_adapt
 *   resume:   sink_is_existing → sink_adapt_recorded
 *   steps:    the sink's usual ones, sink_restore, and sink_mark_restored in the same transaction
 *   clean:    sink_give_back
 */
#ifndef DOCROW_SINK_EXISTING_H
#define DOCROW_SINK_EXISTING_H

#include "sink.h"

/* How tables that are there are filled. */
struct sink_way {
	bool disable_triggers;       /* of users, until the rows are settled                       */
	bool keep_indexes;           /* keys, indexes and foreign keys stay in force: sink_stage.h */
	enum sink_conflict conflict; /* NONE: the tables must be empty                 */
};

enum sink_severity { SINK_NOTE, SINK_WARNING, SINK_ERROR };

struct sink_difference {
	enum sink_severity severity;
	const char *text;
	const char *hint; /* what to do, or NULL */
};
struct sink_differences {
	struct arena *arena;
	struct sink_difference *list;
	size_t n, cap, nerrors;
	const char **fixes; /* statements that mend some of them without any risk */
	size_t nfixes;
};

/* How many tables of the schema are in the target, as whatever kind of relation. */
bool sink_find_tables(struct pg *pg, const struct schema *s, size_t *found, struct err *err) MUST_CHECK;
/* Server, encoding, the right to make indexes in the schema, unless they stay: as sink_check, for a target whose
 * tables exist. */
bool sink_check_existing(struct pg *pg, const struct schema *s, const struct sink_way *way,
			 struct err *err) MUST_CHECK;
/* Every difference between schema and catalog, into `out` (arena set, the rest zeroed, by the caller), and tables
 * that hold rows. In the caller's transaction. */
bool sink_compare(struct pg *pg, const struct schema *s, const struct sink_way *way, struct sink_differences *out,
		  struct err *err) MUST_CHECK;

/* Runs the fixes in one transaction of its own; locks are waited for so many seconds. False: none was made. */
bool sink_apply_fixes(struct pg *pg, const struct sink_differences *d, double lock_seconds,
		      struct err *err) MUST_CHECK;

/* Locks the tables within so many seconds: against everybody, or, when all stays in force, against changes of their
 * structure only. */
bool sink_lock_tables(struct pg *pg, const struct schema *s, const struct sink_way *way, double seconds,
		      struct err *err) MUST_CHECK;
/* Writes down in docrow.ddl and drops keys, indexes, foreign keys (never CASCADE) unless they stay, switches triggers
 * off if asked. What the server would not let the role make again is found here: TARGET_MISMATCH. */
bool sink_take_away(struct pg *pg, const struct schema *s, int64_t run, const struct sink_way *way,
		    struct err *err) MUST_CHECK;

/* Was this run's target there before it? */
bool sink_is_existing(struct pg *pg, int64_t run, bool *yes, struct err *err) MUST_CHECK;
/* Adapts the schema to columns as they are and to what docrow.ddl has of the run. Strings go into the arena, which
 * lives as long as the schema. TARGET_MISMATCH when the columns do not fit (any more). */
bool sink_adapt(struct pg *pg, struct schema *s, int64_t run, struct arena *a, struct err *err) MUST_CHECK;

/* The same for columns, policies and indexes only, from the catalog as it is: what a scan foretells. */
bool sink_adapt_columns(struct pg *pg, struct schema *s, struct arena *a, struct err *err) MUST_CHECK;

/* Body of a step: makes schema.restores[i] again; a foreign key that rows break stays NOT VALID. */
bool sink_restore(struct pg *pg, const struct schema *s, int restore, struct err *err) MUST_CHECK;
/* docrow.ddl: it is there again. Nothing happens when the run does not have it. */
bool sink_mark_restored(struct pg *pg, int64_t run, const char *table, const char *object,
			struct err *err) MUST_CHECK;

/* Rows of the tables that no unit of the run wrote, or that someone changed since. */
bool sink_count_foreign_rows(struct pg *pg, const struct schema *s, int64_t run, int table, uint64_t *n,
			     struct err *err) MUST_CHECK;
/* --clean: takes out the rows of the run (and no others: *left gets how many those are), makes everything again that
 * docrow.ddl has, drops the staging tables. In the caller's transaction. */
bool sink_give_back(struct pg *pg, const struct schema *s, int64_t run, double lock_seconds, uint64_t *left,
		    struct err *err) MUST_CHECK;

#endif

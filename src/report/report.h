/* report.h - what is said about a run after it: the account, the summary, migration-errors.log,
 * migration-checkpoint.json.
 *
 * Nothing here asks a server: facts are handed in as plain arrays (struct report_facts), texts and files come out. No
 * document values anywhere: ids, paths, types and faults only.
 */
#ifndef DOCROW_REPORT_H
#define DOCROW_REPORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "buf.h"
#include "err.h"
#include "mem.h"
#include "plan.h"
#include "state.h"

/* Seconds during which at least one worker was at work on it. */
struct report_time {
	const char *name;
	double seconds;
};

struct report_facts {
	const struct plan *plan;
	struct state_run run;
	const struct state_entry *entries;
	size_t nentries;
	const struct state_progress *progress;
	size_t nprogress;
	const struct state_unit_line *slowest;
	size_t nslowest;
	const struct state_pattern *rejects, *findings;
	size_t nrejects, nfindings;
	/* count(*) of each table of the plan, of a run that added to others its own; NULL or -1: not counted */
	const int64_t *table_rows;
	const char **kept_keys; /* foreign keys that are NOT VALID                              */
	size_t nkept_keys;
	const struct state_refused *refused; /* indexes that the server did not build              */
	size_t nrefused;
	const struct report_time *times; /* per collection                                        */
	size_t ntimes;
	double load_seconds, settle_seconds;
	const char *target;       /* without password                            */
	const char *const *notes; /* what is to be known about the source        */
	size_t nnotes;
	const char *errors_file, *checkpoint_file; /* NULL: not written                           */
	bool is_scan;                              /* nothing was moved, nothing stands in schema docrow */
	const char *resume_command;                /* of a run that is not finished, or NULL      */
};

/* Paths that the mapping names and no document that loaded has ("users.adress.city"; of arrays: no document has an
 * element in one), in the mapping's order. Into the arena. */
size_t absent_paths(struct arena *a, const struct report_facts *f, const char ***list);

/* --- the account: the ledger put in order, and the identities that must hold --- */

struct account_collection {
	const char *name;
	int table;
	uint64_t read, bytes, rejects;
	uint64_t retried; /* of the rejects: loaded by docrow retry */
	uint64_t source;  /* its own exact count afterwards */
	bool has_source;
	double seconds;
};
struct account_table {
	const char *name;
	uint64_t loaded, stubs, retried_rows;               /* came in  */
	uint64_t reject_rows, children_of_rejects, dropped; /* went out */
	uint64_t stubs_filled;                              /* became the real row, which is among the loaded */
	uint64_t before, skipped, replaced;                 /* of rows that were there before the run */
	uint64_t rows;                                      /* hence    */
	int64_t actual;                                     /* count(*), -1: not counted */
	uint64_t elements, of_rejected_documents, rejected_elements;
	uint64_t retried_elements; /* of the rejected ones: loaded by docrow retry */
	bool is_child, is_junction;
};
struct account_side {
	const char *collection;
	uint64_t elements, of_rejected_documents, repeats, one_sided;
};
struct account_junction {
	const char *name;
	int table;
	struct account_side sides[2];
	size_t nsides;
	uint64_t pairs, mirrored, left_out, orphans, rejected_elements, retried_elements, rows;
};
/* A collection of which entries take parts. */
struct account_whole {
	const char *source;
	uint64_t documents; /* all of it, by its own count                    */
	uint64_t read;      /* by its entries                                 */
	uint64_t left_out;  /* that no where takes                            */
	uint64_t shared;    /* taken by a further entry, beyond the first     */
};
struct account {
	struct account_collection *collections;
	size_t ncollections;
	struct account_whole *wholes;
	size_t nwholes;
	struct account_table *tables; /* as plan.schema.tables */
	size_t ntables;
	struct account_junction *junctions;
	size_t njunctions;
	uint64_t read, rejects; /* all kinds of rejects */
	uint64_t retried;       /* of them: loaded by docrow retry; the others are open */
	const char **breaks;    /* identities that do not hold: sentences          */
	size_t nbreaks;
	const char **changes; /* the source's count differs from what was read   */
	size_t nchanges;
	size_t nchecked; /* identities looked at */
	bool is_clean;   /* nothing that exit status 1 stands for */
};
/* In the arena. The identities are looked at only when the run is done. */
void account_build(struct account *out, const struct report_facts *f, struct arena *a);

/* --- the summary, for people --- */

/* The part that a scan (docrow check) has, too: documents, elements, many to many, what was put in or left behind,
 * rejects by pattern. */
void summary_tables(struct buf *out, const struct report_facts *f, const struct account *account, bool colour);
void summary_write(struct buf *out, const struct report_facts *f, const struct account *account, bool colour);

/* --- migration-checkpoint.json --- */

bool checkpoint_write(const char *path, const struct report_facts *f, const struct account *account,
		      struct err *err) MUST_CHECK;

/* --- migration-errors.log: errorlog_open → errorlog_add* → errorlog_close (or errorlog_abandon) --- */

struct report_reject { /* texts may be NULL */
	const char *id, *collection, *table, *column, *path, *fault, *code, *sqlstate, *message, *bson_type, *doc_id,
		*key, *ordinal, *created, *state, *attempts;
};
struct errorlog;
bool errorlog_open(struct errorlog **l, const char *path, struct err *err) MUST_CHECK;
void errorlog_add(struct errorlog *l, const struct report_reject *r);
/* Writes the patterns and puts the file in its place. `left_out`: rejects that were not added, being too many. */
bool errorlog_close(struct errorlog *l, const struct state_pattern *patterns, size_t npatterns, uint64_t left_out,
		    struct err *err) MUST_CHECK;
void errorlog_abandon(struct errorlog *l);

#endif

/* synth.h - `docrow synth`: sample databases out of a mapping.
 *
 * Documents as an application would have written them: every column's field with a value of a BSON type that fits,
 * references to ids that exist, both sides of every many-to-many, all labels, boundary dates and numbers, Unicode,
 * long text, null and missing fields where the column may be NULL. With `dirt`, that share of the documents gets one
 * fault each, and each fault is listed.
 *
 * The value of any field of any document is a pure function of (seed, mapping, number of documents per collection,
 * number of the document). So nothing has to be remembered, references are known without looking, and the same
 * options give the same bytes with any number of threads.
 */
#ifndef DOCROW_SYNTH_H
#define DOCROW_SYNTH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "err.h"
#include "plan.h"

struct synth_count {
	const char *collection;
	uint64_t docs;
};

struct synth_options {
	/* Where to: a dump folder as mongodump writes it, <folder>/<database>/<collection>.bson with .metadata.json,
	 * or a server. Exactly one of the two. */
	const char *folder;
	const char *uri;
	const char *database; /* NULL: the one in uri, else the mapping's, else "sample"                       */
	bool gzip;            /* folder: .bson.gz and .metadata.json.gz                                       */
	bool replace;         /* collections (files) that are there already are replaced; otherwise refused   */

	/* How many: `docs` of all collections together, spread by weight (referred-to tables without references of
	 * their own stay small); `counts` fixes single collections, their documents count towards `docs`. A
	 * collection that is neither fixed nor reached by the spread gets one document, so that nothing refers to
	 * nothing. */
	uint64_t docs;
	const struct synth_count *counts;
	size_t ncounts;

	uint64_t seed;
	double dirt;            /* 0..1: share of documents with a fault                             */
	const char *fault_list; /* file for the list of faults (TSV: collection, _id, path, fault) or NULL */
	unsigned threads;       /* 0: as many as processors                                          */
	/* Called now and then from one thread at a time; may be NULL. */
	void (*progress)(void *ctx, uint64_t docs, uint64_t of);
	void *ctx;
};

struct synth_collection {
	const char *name; /* of the plan */
	uint64_t docs, bytes, faults;
};

struct synth_result {
	struct synth_collection *collections; /* in the mapping's order */
	size_t ncollections;
	uint64_t docs, bytes, faults;
	double seconds;
};

/* Fills *result (to be freed also after a failure). Stops with ERR_STOPPED when stop_requested(). */
bool synth_run(const struct plan *p, const struct synth_options *o, struct synth_result *result,
	       struct err *err) MUST_CHECK;
void synth_result_free(struct synth_result *result);

/* The kinds of fault that dirt puts in, NULL beyond the last. */
const char *synth_fault_name(size_t i);

/* The number of documents per collection that the options mean, without making any: counts[plan->ncollections]. */
bool synth_counts(const struct plan *p, const struct synth_options *o, uint64_t *counts, struct err *err) MUST_CHECK;

#endif

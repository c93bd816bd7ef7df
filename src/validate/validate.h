/* validate.h - proof of a move: documents and rows compared, layer by layer, by code that shares nothing with the
 * code that moves.
 *
 *   validate_start → validate_poll* → validate_finish → validate_free
 *
 * Reads only, on both sides; PostgreSQL at one snapshot for all connections. Results belong to the validation and
 * live until validate_free. Manual: docs/validation.md.
 */
#ifndef DOCROW_VALIDATE_H
#define DOCROW_VALIDATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "err.h"
#include "mem.h"
#include "plan.h"
#include "source.h"

/* X(NAME, name, what it proves) */
#define VALIDATE_LAYERS(X)                                                                                           \
	X(COUNTS, "counts", "rows, elements and pairs add up, and every key has its counterpart")                    \
	X(VALUES, "values", "fields mean what the documents hold")                                                   \
	X(REFERENCES, "references", "every reference points to a row")                                               \
	X(TYPES, "types", "types and impossible values")                                                             \
	X(SCHEMA, "schema", "tables, columns, keys and indexes are those of the mapping")
enum validate_layer {
#define X(NAME, name, proves) LAYER_##NAME,
	VALIDATE_LAYERS(X)
#undef X
		LAYER_COUNT
};
const char *validate_layer_name(enum validate_layer l);
const char *validate_layer_proves(enum validate_layer l);

/* What can be found. X(NAME, name, layer, sentence, what to do next) */
#define VALIDATE_KINDS(X)                                                                                            \
	X(COUNT, "count", COUNTS, "the counts do not add up",                                                        \
	  "run it once more when nothing is written to either side")                                                 \
	X(MISSING_ROW, "missing_row", COUNTS, "a document has no row and is not listed as rejected or dropped",      \
	  "docrow migrate --clean moves everything anew; docrow retry takes rejects once more")                      \
	X(EXTRA_ROW, "extra_row", COUNTS, "no document explains the row",                                            \
	  "look at the row by its key: if nobody needs it, delete it")                                               \
	X(DUPLICATE_ROW, "duplicate_row", COUNTS, "more rows than one have the key",                                 \
	  "delete all but one; then make the primary key again")                                                     \
	X(MISSING_ELEMENT, "missing_element", COUNTS, "an array element has no row and is not listed as rejected",   \
	  "docrow migrate --clean moves everything anew; docrow retry takes rejects once more")                      \
	X(EXTRA_ELEMENT, "extra_element", COUNTS, "no array element explains the row",                               \
	  "look at the row by its key: if nobody needs it, delete it")                                               \
	X(MISSING_PAIR, "missing_pair", COUNTS, "a pair that the documents name is no row",                          \
	  "docrow migrate --clean moves everything anew; docrow retry takes rejects once more")                      \
	X(EXTRA_PAIR, "extra_pair", COUNTS, "no document names the pair",                                            \
	  "look at the pair: if nobody needs it, delete it")                                                         \
	X(NOTHING, "nothing_compared", COUNTS, "nothing could be compared",                                          \
	  "is it the right source, and the mapping that made the tables?")                                           \
	X(VALUE, "value", VALUES, "the column does not hold what the document does",                                 \
	  "--log-values shows both; correct the row, or move the data anew")                                         \
	X(NULLED, "nulled", VALUES, "the column is NULL, the document has a value",                                  \
	  "--log-values shows the document's; correct the row, or move the data anew")                               \
	X(NOT_NULL, "not_null", VALUES, "the column has a value where NULL should stand",                            \
	  "--log-values shows both; correct the row, or move the data anew")                                         \
	X(UNFIT, "unfit", VALUES, "the document's value does not go into the column, yet there is a row",            \
	  "did somebody write to the source, or the row, after the copy? docrow check says what does not fit")       \
	X(UNLISTED, "unlisted", VALUES, "a value was replaced as the mapping asks, but is not listed",               \
	  "was docrow.finding changed? docrow migrate --clean lists it again")                                       \
	X(UNFOUNDED, "unfounded_reject", VALUES, "a document is listed as rejected, though its values fit",          \
	  "docrow retry takes the document once more")                                                               \
	X(NOT_COMPARED, "not_compared", VALUES, "cannot be compared",                                                \
	  "the detail says what is in the way; run it once more when that is mended")                                \
	X(ORPHAN, "orphan", REFERENCES, "the reference points to no row",                                            \
	  "correct the reference or add the row that it needs; if_orphan in the mapping says what a move does")      \
	X(FKEY_MISSING, "fkey_missing", REFERENCES, "the foreign key is missing",                                    \
	  "ALTER TABLE ... ADD CONSTRAINT, with the actions of the mapping")                                         \
	X(FKEY_DIFFERS, "fkey_differs", REFERENCES, "the foreign key is not as the mapping says",                    \
	  "drop the constraint and add it again, with the actions of the mapping")                                   \
	X(FKEY_NOT_VALID, "fkey_not_valid", REFERENCES, "the foreign key is NOT VALID",                              \
	  "ALTER TABLE ... VALIDATE CONSTRAINT, when there are no orphans")                                          \
	X(INFINITY, "infinity", TYPES, "a date is infinite, which no document can hold",                             \
	  "correct the rows from their documents, or move the data anew")                                            \
	X(NAN, "nan", TYPES, "more values are NaN than in the documents",                                            \
	  "correct the rows from their documents, or move the data anew")                                            \
	X(NULLS, "nulls", TYPES, "not as many values as the documents have", "validate --full names the rows")       \
	X(ALL_NULL, "all_null", TYPES, "the column is NULL throughout, the documents have values",                   \
	  "was the column emptied, or is its path another one? correct it, or move the data anew")                   \
	X(MISFIT, "misfit", TYPES,                                                                                   \
	  "values do not go into the column, and their documents are not listed as rejected",                        \
	  "docrow check --scan full names the documents; the mapping's policies say what becomes of them")           \
	X(RUN_TIME, "run_time", TYPES, "all dates are the time of the run",                                          \
	  "a default or trigger wrote them: remove it and move the data anew")                                       \
	X(TABLE_MISSING, "table_missing", SCHEMA, "the table is missing", "docrow migrate --clean makes it again")   \
	X(TABLE_UNLOGGED, "table_unlogged", SCHEMA, "the table is UNLOGGED: a crash of the server empties it",       \
	  "ALTER TABLE ... SET LOGGED")                                                                              \
	X(COLUMN_MISSING, "column_missing", SCHEMA, "the column is missing",                                         \
	  "docrow migrate --clean makes it again")                                                                   \
	X(COLUMN_TYPE, "column_type", SCHEMA, "the column's type is another one",                                    \
	  "alter the column, or the mapping where the table is right")                                               \
	X(COLUMN_NULL, "column_null", SCHEMA, "the column's NOT NULL is not as the mapping says",                    \
	  "ALTER TABLE ... ALTER COLUMN ... SET (DROP) NOT NULL, or the mapping where the table is right")           \
	X(COLUMN_DEFAULT, "column_default", SCHEMA, "the column's default is not as the mapping says",               \
	  "ALTER TABLE ... ALTER COLUMN ... SET (DROP) DEFAULT, or the mapping where the table is right")            \
	X(KEY_MISSING, "key_missing", SCHEMA, "the primary key is missing or another one",                           \
	  "ALTER TABLE ... ADD PRIMARY KEY, when there are no duplicates")                                           \
	X(INDEX_MISSING, "index_missing", SCHEMA, "the index is missing", "CREATE INDEX, as the mapping says")       \
	X(INDEX_INVALID, "index_invalid", SCHEMA, "the index is INVALID", "REINDEX INDEX")                           \
	X(INDEX_DIFFERS, "index_differs", SCHEMA, "the index is not as the mapping says",                            \
	  "drop the index and create it again, as the mapping says")                                                 \
	X(ENUM, "enum", SCHEMA, "the enum type is missing or has other labels",                                      \
	  "ALTER TYPE ... ADD (RENAME) VALUE, or the mapping where the type is right")
enum validate_kind {
#define X(NAME, name, layer, sentence, next) FOUND_##NAME,
	VALIDATE_KINDS(X)
#undef X
		VALIDATE_KIND_COUNT
};
const char *validate_kind_name(enum validate_kind k);
const char *validate_kind_sentence(enum validate_kind k);
const char *validate_kind_next(enum validate_kind k);
enum validate_layer validate_kind_layer(enum validate_kind k);

/* At most this many findings of one kind and table are kept one by one; all are counted. */
#define VALIDATE_MAX_FINDINGS 1000

struct validate_finding { /* texts may be NULL */
	enum validate_kind kind;
	const char *table, *collection;
	const char *id;  /* _id as Extended JSON                       */
	const char *key; /* as PostgreSQL shows it                     */
	const char *path, *column;
	const char *object;           /* constraint, index, type                    */
	const char *detail;           /* facts without document values              */
	const char *fault;            /* name of the fault (fault.h): why a value does not go in */
	const char *expected, *found; /* with --log-values only           */
	bool drift;                   /* the document changed after the copy        */
	/* for telling drift apart: hashes of the document's _id, of the keys of the documents that the row belongs
	 * to (0: none), and how many values are too many or too few */
	uint64_t id_hash, owner_hash[2], size;
};

struct validate_column { /* layer types: what the documents hold, and the column */
	const char *name, *path;
	struct validate_type {
		const char *name; /* as $type names it; "missing" */
		uint64_t n;
	} * types; /* that were seen */
	size_t ntypes;
	uint64_t values; /* of the column */
};

struct validate_table {
	const char *name;
	const char *collection; /* first of those that feed it; NULL: a junction */
	bool exists;
	uint64_t expected;            /* rows that the source asks for: documents, elements or pairs          */
	uint64_t documents, elements; /* of the source, by its own count; elements of arrays       */
	uint64_t rows;
	uint64_t explained; /* documents, elements, pairs whose absence the state explains         */
	uint64_t stubs;
	uint64_t compared, matched, mismatched; /* rows, field by field                            */
	uint64_t fields;                        /* fields compared                                  */
	uint64_t drift;                         /* findings that a later change explains            */
	uint64_t found[VALIDATE_KIND_COUNT];    /* without drift                                    */
	struct validate_column *columns;        /* that documents feed; where layer types ran      */
	size_t ncolumns;
};

struct validate_result {
	bool passed;
	bool has_state; /* schema docrow was there and has the run */
	bool full;
	uint64_t seed;
	double threshold; /* share of compared rows that must match in samples: 1 = all */
	struct {
		bool ran, passed;
		double seconds; /* of work, all connections together */
		uint64_t checked, found;
	} layers[LAYER_COUNT];
	const struct validate_table *tables; /* as plan.schema.tables */
	size_t ntables;
	const struct validate_finding *findings;
	size_t nfindings;
	uint64_t total; /* findings in all, drift left out */
	uint64_t drift; /* findings that a change of the document after the copy explains */
	bool drift_allowed;
	uint64_t changed; /* documents that changed after the copy began, where that was asked */
	const char **notes;
	size_t nnotes;
	const char *source, *target, *mapping, *started, *finished, *mapping_digest;
	int64_t run; /* 0: none */
	double seconds;
	uint64_t documents, rows, resumed_chunks;
};

struct validate_options {
	const char *target_uri, *version;
	int workers;
	bool full;
	uint64_t sample; /* documents a table; 0: sample_share counts */
	double sample_share;
	uint64_t seed;
	double threshold; /* 0..1 */
	unsigned layers;  /* bits of enum validate_layer */
	bool log_values;
	bool no_search_indexes; /* as the run's option: indexes of tier search are not asked for */
	bool appended;          /* the run added to rows of others, which are left alone */
	bool existing;          /* the plan's columns are the target's, which was there before the run */
	double max_rate;        /* documents a second, 0: no limit */
	double retry_seconds;
	bool allow_drift;
	bool resume;               /* go on from what progress_file holds */
	const char *progress_file; /* records of finished chunks, for resuming; NULL: none */
};

struct validate_snapshot {
	bool finished, stopping;
	double started_at;
	const char *doing; /* "comparing", ... */
	const struct validate_progress {
		const char *name; /* collection */
		uint64_t done, total, found;
		bool is_done;
	} * collections;
	size_t ncollections;
	uint64_t tasks, tasks_done;
};

struct validation;
bool validate_start(struct validation **v, const struct plan *p, struct source *s, const struct validate_options *o,
		    struct err *err) MUST_CHECK;
/* Lent until the next poll. */
void validate_poll(struct validation *v, struct validate_snapshot *out);
void validate_stop(struct validation *v);
/* Waits. False: it could not be finished (err: also STOPPED). *result is lent until validate_free. */
bool validate_finish(struct validation *v, const struct validate_result **result, struct err *err) MUST_CHECK;
void validate_free(struct validation *v);

#endif

/* index_private.h - what the files of the index verdicts share.
 *
 *   index_spec.c     the BSON document of an index → struct index_spec
 *   index_place.c    a path of an index → the column that holds it
 *   index_filter.c   partialFilterExpression → WHERE
 *   index_wanted.c   an index that is wanted → the one that is there, or its statement
 *   index_special.c  text, geo, wildcard, TTL
 *   indexes.c        the verdict on one index
 *   indexes_show.c   pages
 */
#ifndef DOCROW_INDEX_PRIVATE_H
#define DOCROW_INDEX_PRIVATE_H

#include "doc.h"
#include "indexes.h"

#define INDEX_MAX_KEYS 32 /* of MongoDB, and of PostgreSQL */

enum index_how { HOW_ASC, HOW_DESC, HOW_HASHED, HOW_TEXT, HOW_2D, HOW_2DSPHERE, HOW_OTHER };

struct index_key {
	const char *path;
	enum index_how how;
	const char *how_text;
	bool wildcard;
};

struct index_weight {
	const char *path;
	double weight;
};

struct index_spec {
	const char *name;
	struct index_key keys[INDEX_MAX_KEYS];
	size_t nkeys;
	struct index_weight *weights; /* text: what is searched */
	size_t nweights;
	bool unique, sparse, hidden, has_ttl, has_projection;
	double ttl;         /* seconds                             */
	struct val filter;  /* partialFilterExpression; kind 0: none */
	const char *locale; /* NULL: none, or simple               */
	int strength;
	bool case_level;
	const char *language;
};
void index_spec_read(struct index_spec *s, struct arena *a, const uint8_t *doc, size_t len);
/* "status: 1, at: -1" and "unique, sparse" for people. */
const char *index_spec_keys(struct arena *a, const struct index_spec *s);
const char *index_spec_options(struct arena *a, const struct index_spec *s);

enum place_kind {
	PLACE_NONE,   /* no column takes the path                                */
	PLACE_COLUMN, /* a column holds it whole                                 */
	PLACE_INSIDE, /* it lies inside a jsonb column: `inner` is the way there */
	PLACE_APART   /* paths below it have columns, it has none                */
};
struct place {
	enum place_kind kind;
	int table;
	bool is_main;  /* of the collection's own table; else of a child table or junction */
	bool unmapped; /* INSIDE: in the column that keeps the rest                         */
	const struct schema_column *column;
	const struct plan_column *feed; /* NULL: junctions */
	const char *inner;
};
struct place index_place(const struct plan *p, const struct plan_collection *k, const char *path);

bool index_is_text(const struct pgtype *t); /* one text, no array */
bool index_is_time(const struct pgtype *t);
/* `"col" #>> '{"a","b"}'`. */
void index_put_inside(struct buf *out, const struct place *at);

/* WHERE of a filter, or NULL and *why: a sentence. */
const char *index_filter(struct arena *a, const struct plan *p, const struct plan_collection *k,
			 const struct val *filter, const char **why);

/* One verdict on its way. */
struct judge {
	struct index_verdicts *all;
	struct arena *arena;
	const struct plan *plan;
	const struct plan_collection *collection;
	int table; /* main */
	struct index_spec spec;
	struct index_verdict *v;
	bool differs; /* something else than MongoDB's */
	const char *where;
};
void judge_note(struct judge *j, const char *fmt, ...) PRINTF_LIKE(2, 3);
/* The same, and what is made is something else. */
void judge_differs(struct judge *j, const char *fmt, ...) PRINTF_LIKE(2, 3);
void judge_statement(struct judge *j, enum index_when when, const char *sql);

/* An index that is wanted. Keys are SQL; columns as long as all keys are plain ascending columns. */
struct wanted {
	int table;
	const char *method; /* btree, hash, gin, gist */
	const char *keys[INDEX_MAX_KEYS];
	const struct schema_column *columns[INDEX_MAX_KEYS]; /* that the keys are made of; NULL: an expression */
	bool down[INDEX_MAX_KEYS];
	size_t n;
	const char *where;
	bool unique, nulls_not_distinct;
	bool sparse; /* `where` says that a key is there */
	bool by_hand;
	const char *base; /* what the name is made of: "a_b" */
};
void wanted_add(struct judge *j, struct wanted *w, const struct schema_column *column, const char *key, bool down,
		const char *name);
/* Finds what is there, or adds the statement. */
void judge_want(struct judge *j, struct wanted *w);

void judge_text(struct judge *j);
void judge_geo(struct judge *j);
void judge_wildcard(struct judge *j);
void judge_ttl(struct judge *j);
/* A GIN index of a list or jsonb column. */
void judge_gin(struct judge *j, const struct place *at);

#endif

/* indexes.h - the source's indexes against the mapping: what becomes of each in PostgreSQL.
 *
 *   index_verdicts_new → index_verdicts_add* → (index_verdicts_text | _sql | _json) → index_verdicts_free
 *
 * A verdict names the index of the mapping that does the same, or gives statements that make one with the mapping's
 * own names, and says in sentences what differs. Pure: no server is asked, nothing is changed.
 */
#ifndef DOCROW_INDEXES_H
#define DOCROW_INDEXES_H

#include "plan.h"

enum index_fate {
	INDEX_THERE,     /* the mapping makes it already              */
	INDEX_MADE,      /* as in MongoDB                             */
	INDEX_INSTEAD,   /* something else that serves the same ends  */
	INDEX_SUGGESTED, /* a person has to decide                    */
	INDEX_NOT_MADE,
	INDEX_FATE_COUNT
};

enum index_when { /* which statements are run */
		  INDEX_ALWAYS,
		  INDEX_NEW_SERVER, /* from PostgreSQL 15 on            */
		  INDEX_OLD_SERVER, /* before PostgreSQL 15             */
		  INDEX_BY_HAND     /* a suggestion: written as comment */
};

struct index_statement {
	enum index_when when;
	const char *sql; /* without a semicolon */
};

struct index_verdict {
	const char *collection, *table;
	const char *name;    /* in MongoDB                                */
	const char *keys;    /* "status: 1, at: -1"                       */
	const char *options; /* "unique, sparse"; ""                      */
	enum index_fate fate;
	const char *there; /* the index or key that does the same, or NULL */
	struct index_statement *statements;
	size_t nstatements;
	const char **notes; /* sentences, lower case, no full stop */
	size_t nnotes;
};

struct index_verdicts {
	struct arena *arena;
	const struct plan *plan; /* borrowed */
	const char *source;      /* for the head of the page; borrowed */
	struct index_verdict *list;
	size_t n;
	const char **remarks; /* of collections: why none of their indexes stand here */
	size_t nremarks;
	size_t made[INDEX_FATE_COUNT];
	struct index_names *names; /* of relations that are taken */
};

struct index_verdicts *index_verdicts_new(const struct plan *p, const char *source);
void index_verdicts_free(struct index_verdicts *v);
/* One index, a BSON document as listIndexes gives it, of the plan's collection with this number. */
void index_verdicts_add(struct index_verdicts *v, size_t collection, const uint8_t *doc, size_t len);
void index_verdicts_remark(struct index_verdicts *v, const char *fmt, ...) PRINTF_LIKE(2, 3);

const char *index_fate_word(enum index_fate f); /* "there", "made", "instead", "suggested", "not_made" */
/* For people; a file for psql (suggestions as comments; what depends on the server's version is chosen by it); for
 * machines. Appended to out. */
void index_verdicts_text(struct buf *out, const struct index_verdicts *v);
void index_verdicts_sql(struct buf *out, const struct index_verdicts *v);
void index_verdicts_json(struct buf *out, const struct index_verdicts *v);

#endif

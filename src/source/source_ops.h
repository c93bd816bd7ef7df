/* source_ops.h - what a source implements; private to source/. Meanings as in source.h. */
#ifndef DOCROW_SOURCE_OPS_H
#define DOCROW_SOURCE_OPS_H

#include <stdatomic.h>

#include "filter.h"
#include "source.h"

/* A name for the documents of a collection that a filter takes: source_define. Constant once defined. */
struct source_part {
	struct source_part *next;
	char *name, *collection;
	uint8_t *where; /* BSON; NULL: all documents              */
	size_t where_len;
	struct filter *filter; /* NULL where the source filters itself  */
};

struct source_ops {
	const char *name;
	void (*close)(struct source *s);
	bool (*set_operation_time)(struct source *s, const char *t, struct err *err);
	/* NULL: the source does not change, or cannot say */
	bool (*changed_since)(struct source *s, const char *t, source_changed *each, void *ctx, bool *known,
			      struct err *err);
	void (*tell)(struct source *s, struct source_facts *f); /* NULL: nothing to tell */
	bool (*collections)(struct source *s, struct arena *a, struct source_collection **out, size_t *n,
			    struct err *err);
	bool (*collection_identity)(struct source *s, const char *collection, struct buf *out, struct err *err);
	bool (*indexes)(struct source *s, const char *collection, struct arena *a, struct source_index **out,
			size_t *n, bool *known, struct err *err);
	bool (*split)(struct source *s, const char *collection, uint64_t chunk_docs, uint64_t chunk_bytes,
		      source_add_range *add, void *ctx, struct err *err);
	bool (*count)(struct source *s, const char *collection, uint64_t *n, struct err *err);
	bool (*reader_open)(struct source_reader **r, struct source *s, struct err *err);
	void (*reader_close)(struct source_reader *r);
	bool (*read)(struct source_reader *r, const char *collection, const uint8_t *bounds, size_t len,
		     struct err *err);
	int (*next)(struct source_reader *r, const uint8_t **doc, size_t *len, struct err *err);
	bool (*read_ids)(struct source_reader *r, const char *collection, const uint8_t *const *ids,
			 const size_t *lens, size_t n, struct err *err);
	void (*interrupt)(struct source_reader *r);
	/* Of a source that filters by itself, all or none of these; for the others source_part.c does it. */
	bool (*check_where)(struct source *s, const struct source_part *p, struct err *err);
	/* What the next read and read_ids give; NULL: all documents. */
	void (*set_where)(struct source_reader *r, const struct source_part *p);
	bool (*split_where)(struct source *s, const struct source_part *p, uint64_t chunk_docs, uint64_t chunk_bytes,
			    source_add_range *add, void *ctx, struct err *err);
	bool (*count_where)(struct source *s, const struct source_part *p, uint64_t *n, struct err *err);
	bool (*tally)(struct source *s, const struct source_part *const *parts, size_t n, struct source_tally *t,
		      struct err *err);
};

#define SOURCE_MAX_NOTES 4

/* First members of every implementation's structs. */
struct source {
	const struct source_ops *ops;
	const char *notes[SOURCE_MAX_NOTES]; /* as source_notes */
	atomic_size_t nnotes;
	char *database, *describe, *identity, *operation_time; /* owned */
	struct source_part *parts;
};
struct source_reader {
	const struct source_ops *ops;
	struct source *source;
	const struct filter *filter; /* of the part that is read; NULL: all, or filtered already */
};

/* Adds a note (a text of the program), unless it is there already. `log`: is it to be logged, too. From any thread.
 */
void source_add_note(struct source *s, const char *note, bool log);

/* Appends a fact; more is said about the last one by source_worry. */
void source_add_fact(struct source_facts *f, const char *label, const char *fmt, ...) PRINTF_LIKE(3, 4);
void source_worry(struct source_facts *f, const char *hint, const char *fmt, ...) PRINTF_LIKE(3, 4);

/* source_part.c */
const struct source_part *source_find_part(const struct source *s, const char *name);
void source_parts_free(struct source *s);
bool source_count_part(struct source *s, const struct source_part *p, uint64_t *n, struct err *err);

bool source_mongo_open(struct source **s, const char *uri, const struct source_options *opts, struct err *err);
bool source_dump_open(struct source **s, const char *path, const struct source_options *opts, struct err *err);

#endif

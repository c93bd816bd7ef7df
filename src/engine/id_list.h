/* id_list.h - the _ids that may have given a key: what to ask the source for when only the key is known. */
#ifndef DOCROW_ID_LIST_H
#define DOCROW_ID_LIST_H

#include "mem.h"
#include "pg.h"

/* Each ids[i] is a BSON document {_id: ...} in the arena, as source_read_ids takes them. */
struct id_list {
	struct arena *arena;
	const uint8_t **ids;
	size_t *lens;
	size_t n, cap;
};

void id_list_init(struct id_list *l, struct arena *a);
void id_list_free(struct id_list *l);
void id_list_add(struct id_list *l, const uint8_t *doc, size_t len);
/* Adds, for each key (text), every _id that gives it by rule, and those listed in docrow.id_map. */
bool id_list_add_keys(struct id_list *l, struct pg *pg, int64_t run, const char *collection, const char *const *keys,
		      size_t n, struct err *err) MUST_CHECK;

#endif

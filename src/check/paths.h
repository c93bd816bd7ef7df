/* paths.h - which paths documents have, and of which BSON types their values are. One per thread, merged at the end.
 */
#ifndef DOCROW_PATHS_H
#define DOCROW_PATHS_H

#include "check.h"
#include "texts.h"

struct paths;
struct paths *paths_new(size_t ncollections);
void paths_free(struct paths *p);
/* Allocates only for paths not met before. Goes 16 levels deep: what lies deeper belongs to a value, not to a shape.
 */
void paths_add(struct paths *p, int collection, const uint8_t *doc, size_t len);
void paths_merge(struct paths *into, const struct paths *from);
/* A slot of the plan: the values of its path or, `elements`, those of the arrays there. */
struct check_place {
	int collection, scope, slot;
	bool elements;
};
/* Texts at this place are kept one by one. To be said before the first document. */
void paths_keep_texts(struct paths *p, const struct plan_collection *pc, const struct check_place *at);
const struct texts *paths_texts(struct paths *p, const struct plan_collection *pc, const struct check_place *at);
size_t paths_list(const struct paths *p, const struct plan *plan, struct arena *a, const struct check_path **list);

#endif

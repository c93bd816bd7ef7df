/* paths.h - which paths documents have, and of which BSON types their values are. One per thread, merged at the end.
 */
#ifndef DOCROW_PATHS_H
#define DOCROW_PATHS_H

#include "check.h"

struct paths;
struct paths *paths_new(size_t ncollections);
void paths_free(struct paths *p);
/* Allocates only for paths not met before. Goes 16 levels deep: what lies deeper belongs to a value, not to a shape.
 */
void paths_add(struct paths *p, int collection, const uint8_t *doc, size_t len);
void paths_merge(struct paths *into, const struct paths *from);
size_t paths_list(const struct paths *p, const struct plan *plan, struct arena *a, const struct check_path **list);

#endif

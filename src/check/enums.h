/* enums.h - the enum columns of a plan and the texts that documents have for them. */
#ifndef DOCROW_ENUMS_H
#define DOCROW_ENUMS_H

#include "paths.h"

/* Has the texts of every enum column kept. */
void enums_keep(struct paths *p, const struct plan *plan);
/* What was kept, with the labels that the texts stand for; in the arena. */
size_t enums_list(struct paths *p, const struct plan *plan, struct arena *a, const struct check_enum **list);

#endif

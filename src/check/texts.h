/* texts.h - which texts were met, and how often: the first CHECK_MAX_TEXTS one by one, the rest as a number. */
#ifndef DOCROW_TEXTS_H
#define DOCROW_TEXTS_H

#include "check.h"

struct texts;
struct texts *texts_new(void);
void texts_free(struct texts *t);
/* Allocates only for texts not met before. */
void texts_add(struct texts *t, const char *s, size_t len, uint64_t n);
void texts_merge(struct texts *into, const struct texts *from);
/* Most frequent first, in the arena; labels are not filled in. *more: values beyond the list. */
size_t texts_list(const struct texts *t, struct arena *a, struct check_text **list, uint64_t *more);

#endif

/* source_part.c - parts of collections: names under which a source gives the documents that a filter takes.
 *
 * A live source lets the server filter (its own ops). For all others each document that is read is asked here, so
 * that a dump, an archive and a file of JSON need nothing of their own.
 */
#include <inttypes.h>
#include <stdlib.h>

#include "source_ops.h"
#include "sys.h"

#define STOP_EVERY 4096

const struct source_part *source_find_part(const struct source *s, const char *name)
{
	for (const struct source_part *p = s->parts; p != NULL; p = p->next)
		if (strcmp(p->name, name) == 0)
			return p;
	return NULL;
}

static void part_free(struct source_part *p)
{
	free(p->name);
	free(p->collection);
	free(p->where);
	filter_free(p->filter);
	free(p);
}

void source_parts_free(struct source *s)
{
	while (s->parts != NULL) {
		struct source_part *p = s->parts;
		s->parts = p->next;
		part_free(p);
	}
}

static void forget(struct source *s, const char *name)
{
	for (struct source_part **at = &s->parts; *at != NULL; at = &(*at)->next) {
		struct source_part *p = *at;
		if (strcmp(p->name, name) != 0)
			continue;
		*at = p->next;
		part_free(p);
		return;
	}
}

static bool make_filter(struct source_part *p, struct err *err)
{
	char why[FILTER_WHY];
	p->filter = filter_new(p->where, p->where_len, why);
	if (p->filter != NULL)
		return true;
	err_set(err, ERR_WHERE, "the where of %s cannot be used with this source", p->name);
	err_detail(err, "only a live MongoDB knows this: %s", why);
	return err_hint(err,
			"known for dumps and files are $eq $ne $gt $gte $lt $lte $in $nin $exists $type $size $all "
			"$elemMatch $not $and $or $nor; or read from a live server");
}

bool source_define(struct source *s, const char *name, const char *collection, const uint8_t *where, size_t len,
		   struct err *err)
{
	struct source_part *p = mem_zalloc(sizeof *p);
	forget(s, name);
	p->name = mem_strdup(name);
	p->collection = mem_strdup(collection);
	if (where != NULL) {
		p->where = mem_alloc(len);
		p->where_len = len;
		memcpy(p->where, where, len);
	}
	bool ok =
		where == NULL || (s->ops->check_where != NULL ? s->ops->check_where(s, p, err) : make_filter(p, err));
	if (!ok) {
		part_free(p);
		return false;
	}
	p->next = s->parts;
	s->parts = p;
	return true;
}

/* ---- reading all of a collection, where the source itself cannot count by a filter ---- */

struct ranges {
	struct source_range *list;
	size_t n, cap;
};

static bool keep_range(void *ctx, const struct source_range *r, struct err *err)
{
	struct ranges *all = ctx;
	(void)err;
	if (all->n == all->cap) {
		all->cap = all->cap > 0 ? all->cap * 2 : 16;
		all->list = mem_realloc(all->list, all->cap * sizeof *all->list);
	}
	uint8_t *copy = mem_alloc(r->bounds_len);
	memcpy(copy, r->bounds, r->bounds_len);
	all->list[all->n] = *r;
	all->list[all->n++].bounds = copy;
	return true;
}

static void ranges_free(struct ranges *all)
{
	for (size_t i = 0; i < all->n; i++)
		free((void *)(uintptr_t)all->list[i].bounds);
	free(all->list);
}

static void count_one(const struct source_part *const *parts, size_t n, const uint8_t *doc, size_t len,
		      struct source_tally *t)
{
	uint64_t takers = 0;
	for (size_t i = 0; i < n; i++)
		takers += parts[i]->filter == NULL || filter_matches(parts[i]->filter, doc, len);
	t->all++;
	t->none += takers == 0;
	t->extra += takers > 1 ? takers - 1 : 0;
}

static bool count_range(struct source_reader *r, const char *collection, const struct source_range *range,
			const struct source_part *const *parts, size_t n, struct source_tally *t, struct err *err)
{
	const uint8_t *doc;
	size_t len;
	int got;
	if (!r->ops->read(r, collection, range->bounds, range->bounds_len, err))
		return false;
	while ((got = r->ops->next(r, &doc, &len, err)) == 1) {
		count_one(parts, n, doc, len, t);
		if (t->all % STOP_EVERY == 0 && stop_requested())
			return err_set(err, ERR_STOPPED, "stopped while counting documents");
	}
	return got == 0;
}

static bool tally_by_reading(struct source *s, const char *collection, const struct source_part *const *parts,
			     size_t n, struct source_tally *t, struct err *err)
{
	struct ranges all = {0};
	struct source_reader *r = NULL;
	bool ok = s->ops->split(s, collection, 0, UINT64_C(1) << 30, keep_range, &all, err) &&
		  s->ops->reader_open(&r, s, err);
	for (size_t i = 0; ok && i < all.n; i++)
		ok = count_range(r, collection, &all.list[i], parts, n, t, err);
	if (r != NULL)
		r->ops->reader_close(r);
	ranges_free(&all);
	return ok;
}

bool source_tally(struct source *s, const char *const *names, size_t n, struct source_tally *t, struct err *err)
{
	const struct source_part **parts = mem_alloc((n + 1) * sizeof *parts);
	bool known = n > 0;
	*t = (struct source_tally){0};
	for (size_t i = 0; i < n; i++) {
		parts[i] = source_find_part(s, names[i]);
		known = known && parts[i] != NULL;
	}
	bool ok = !known                  ? err_set(err, ERR_INTERNAL, "a part of a collection is not defined")
		  : s->ops->tally != NULL ? s->ops->tally(s, parts, n, t, err)
					  : tally_by_reading(s, parts[0]->collection, parts, n, t, err);
	free(parts);
	return ok;
}

bool source_count_part(struct source *s, const struct source_part *p, uint64_t *n, struct err *err)
{
	struct source_tally t = {0};
	if (p->where == NULL)
		return s->ops->count(s, p->collection, n, err);
	if (s->ops->count_where != NULL)
		return s->ops->count_where(s, p, n, err);
	if (!tally_by_reading(s, p->collection, &p, 1, &t, err))
		return false;
	*n = t.all - t.none;
	return true;
}

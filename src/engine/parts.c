/* parts.c - entries of the mapping that take a part of a collection: made known to the source, and accounted for.
 *
 * A collection that has a `where` is counted once more when its entries are read: all of its documents, those that no
 * where takes, and those that more than one takes. So none is lost between the entries without a word.
 */
#include "engine_private.h"

static bool is_part(const struct plan_collection *c)
{
	return c->map->where != NULL || strcmp(c->name, c->source) != 0;
}

bool engine_define_parts(const struct plan *p, struct source *s, struct err *err)
{
	for (size_t i = 0; i < p->ncollections; i++) {
		const struct plan_collection *c = &p->collections[i];
		if (is_part(c) && !source_define(s, c->name, c->source, c->map->where, c->map->nwhere, err))
			return false;
	}
	return true;
}

bool count_parts(struct worker *w, size_t collection, struct err *err)
{
	const struct plan *p = w->engine->plan;
	const char *source = p->collections[collection].source;
	const char **names = arena_alloc(w->arena, (p->ncollections + 1) * sizeof *names);
	struct source_tally t;
	size_t n = plan_parts(p, collection, names);
	if (!source_tally(w->engine->source, names, n, &t, err))
		return false;
	ledger_add(w->ledger, LEDGER_WHOLE, source, "", t.all);
	ledger_add(w->ledger, LEDGER_LEFT_OUT, source, "", t.none);
	ledger_add(w->ledger, LEDGER_SHARED, source, "", t.extra);
	return true;
}

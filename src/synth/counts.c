/* counts.c - how many documents each collection gets.
 *
 * Tables that refer to nothing and are only looked up stay small, those that own much grow: the weight of a
 * collection is the number of its references and link lists.
 */
#include "synth_private.h"

struct links {
	uint64_t out;   /* references of its columns to other collections */
	uint64_t lists; /* link lists and child arrays that it keeps      */
	uint64_t in;    /* references to it                               */
	uint64_t columns;
};

static int collection_of_table(const struct mapping *m, const char *table)
{
	for (size_t i = 0; i < m->ncollections; i++)
		if (table && strcmp(m->collections[i].table, table) == 0)
			return (int)i;
	return -1;
}

static int collection_named(const struct mapping *m, const char *name)
{
	for (size_t i = 0; i < m->ncollections; i++)
		if (name && strcmp(m->collections[i].name, name) == 0)
			return (int)i;
	return -1;
}

static void count_side(const struct mapping *m, const struct map_side *side, struct links *links)
{
	int c = collection_named(m, side->collection);

	if (c >= 0 && side->path)
		links[c].lists++;
	if (c >= 0)
		links[c].in++;
}

static void count_links(const struct mapping *m, struct links *links)
{
	for (size_t i = 0; i < m->ncollections; i++) {
		const struct map_collection *c = &m->collections[i];
		links[i].columns = c->ncolumns;
		links[i].lists += c->nchildren;
		for (size_t k = 0; k < c->ncolumns; k++) {
			int target = collection_of_table(m, c->columns[k].references.table);
			if (target < 0 || (size_t)target == i)
				continue;
			links[i].out++;
			links[target].in++;
		}
	}
	for (size_t i = 0; i < m->njunctions; i++) {
		count_side(m, &m->junctions[i].left, links);
		count_side(m, &m->junctions[i].right, links);
	}
}

enum { FEW_COLUMNS = 5, LOOKUP_COLUMNS = 8, MOST_WEIGHT = 12 };

/* 0: a small table, whatever the size of the whole. */
static uint64_t weight_of(const struct links *l)
{
	uint64_t w = 2 * (l->out + l->lists);

	if (w == 0 && (l->in == 0 || l->columns <= LOOKUP_COLUMNS))
		return 0;
	if (l->out == 0) /* what others belong to: users and the like */
		return l->in > 0 ? 2 : 4;
	if (l->columns <= FEW_COLUMNS)
		return 1;
	return w < MOST_WEIGHT ? w : MOST_WEIGHT;
}

static bool take_fixed(const struct mapping *m, const struct synth_options *o, uint64_t *counts, bool *fixed,
		       struct err *err)
{
	for (size_t i = 0; i < o->ncounts; i++) {
		int c = collection_named(m, o->counts[i].collection);
		if (c < 0) {
			err_set(err, ERR_SETTING, "the mapping has no collection %s", o->counts[i].collection);
			return err_hint(err, "docrow mapping show lists its collections");
		}
		counts[c] = o->counts[i].docs;
		fixed[c] = true;
	}
	return true;
}

/* Spreads `rest` documents over the collections that are not fixed, by weight. */
static void spread(uint64_t rest, size_t n, const uint64_t *weights, const bool *fixed, uint64_t *counts)
{
	uint64_t total = 0, given = 0;
	size_t heaviest = n;

	for (size_t i = 0; i < n; i++) {
		if (fixed[i] || weights[i] == 0)
			continue;
		total += weights[i];
		if (heaviest == n || weights[i] > weights[heaviest])
			heaviest = i;
	}
	for (size_t i = 0; i < n && total > 0; i++) {
		if (fixed[i] || weights[i] == 0)
			continue;
		counts[i] = (uint64_t)((unsigned __int128)rest * weights[i] / total);
		if (counts[i] == 0)
			counts[i] = 1;
		given += counts[i];
	}
	if (heaviest < n && given < rest)
		counts[heaviest] += rest - given;
}

bool synth_counts(const struct plan *p, const struct synth_options *o, uint64_t *counts, struct err *err)
{
	const struct mapping *m = p->mapping;
	size_t n = p->ncollections;
	struct links *links = mem_zalloc((n + 1) * sizeof *links);
	uint64_t *weights = mem_zalloc((n + 1) * sizeof *weights);
	bool *fixed = mem_zalloc(n + 1), ok, has_large = false;
	uint64_t used = 0, small = o->docs / 100 < 1 ? 1 : o->docs / 100 > 16 ? 16 : o->docs / 100;

	count_links(m, links);
	ok = take_fixed(m, o, counts, fixed, err);
	for (size_t i = 0; i < n; i++) {
		weights[i] = weight_of(&links[i]);
		has_large = has_large || (weights[i] > 0 && !fixed[i]);
	}
	for (size_t i = 0; ok && i < n; i++) {
		if (!has_large) /* nothing refers to anything: all alike */
			weights[i] = 1;
		if (!fixed[i])
			counts[i] = weights[i] == 0 ? small : 0;
		used += counts[i];
	}
	if (ok)
		spread(o->docs > used ? o->docs - used : 0, n, weights, fixed, counts);
	free(links);
	free(weights);
	free(fixed);
	return ok;
}

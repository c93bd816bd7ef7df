/* sets.c - the tally's verdict: per key, what both sides have; per table, whether it adds up. */
#include <stdlib.h>

#include <stdio.h>

#include "validate_private.h"

#define MAX_ODD 200000

struct sums {
	uint64_t expected, explained;
};

struct part {
	struct worker *w;
	struct validation *v;
	struct sums *sums;                        /* by table */
	const struct schema_junction **junctions; /* by table, NULL: none */
};

/* To be named later; beyond the limit only counted. */
static void add_odd(struct worker *w, const struct tally_key *k, enum validate_kind kind, uint64_t n)
{
	struct validation *v = w->v;

	pthread_mutex_lock(&v->lock);
	bool listed = v->nodd < MAX_ODD;
	if (listed) {
		if (v->nodd == v->odd_cap) {
			v->odd_cap = v->odd_cap > 0 ? 2 * v->odd_cap : 64;
			v->odd = mem_realloc(v->odd, v->odd_cap * sizeof *v->odd);
		}
		v->odd[v->nodd++] = (struct odd){k->set, k->hash, kind, n};
	}
	pthread_mutex_unlock(&v->lock);
	if (!listed)
		found_count(w->found, (int)k->set, offsetof(struct validate_table, found) + kind * sizeof(uint64_t),
			    n);
}

static bool is_taken(const struct schema_junction *j, const struct tally_key *k)
{
	bool left = k->n[TALLY_DOC] > 0, right = k->n[TALLY_RIGHT] > 0;

	switch (j->sides) {
	case PAIRS_INTERSECT:
		return left && right;
	case PAIRS_LEFT:
		return left;
	case PAIRS_RIGHT:
		return right;
	default:
		return left || right;
	}
}

static void judge_pair(struct part *p, const struct schema_junction *j, const struct tally_key *k)
{
	bool taken = is_taken(j, k), maybe = k->n[TALLY_MAYBE] > 0, there = k->n[TALLY_ROW] > 0;
	struct sums *s = &p->sums[k->set];

	s->expected += taken && (there || !maybe);
	/* a document that was skipped, since it was there before, names its pairs all the same */
	s->expected += p->v->o.appended && !taken && maybe && there;
	s->explained += taken && !there && maybe;
	if (taken && !there && !maybe)
		add_odd(p->w, k, FOUND_MISSING_PAIR, 1);
	else if (there && !taken && !maybe)
		add_odd(p->w, k, FOUND_EXTRA_PAIR, k->n[TALLY_ROW]);
	else if (k->n[TALLY_ROW] > 1)
		add_odd(p->w, k, FOUND_DUPLICATE_ROW, k->n[TALLY_ROW] - 1);
}

static void judge_row(struct part *p, const struct tally_key *k)
{
	const struct schema_table *t = &p->v->plan->schema.tables[k->set];
	uint64_t docs = k->n[TALLY_DOC], maybe = k->n[TALLY_MAYBE], rows = k->n[TALLY_ROW];
	bool child = t->parent_table >= 0;
	struct sums *s = &p->sums[k->set];

	/* a document that is listed as rejected has no row; of elements only the position is listed, not the list */
	if (!child)
		maybe = 0;
	s->expected += docs + (rows > docs ? (rows - docs < maybe ? rows - docs : maybe) : 0);
	s->explained += maybe;
	if (rows < docs)
		add_odd(p->w, k, child ? FOUND_MISSING_ELEMENT : FOUND_MISSING_ROW, docs - rows);
	else if (rows > docs + maybe)
		add_odd(p->w, k,
			docs > 0 && !child ? FOUND_DUPLICATE_ROW
			: child            ? FOUND_EXTRA_ELEMENT
					   : FOUND_EXTRA_ROW,
			rows - docs - maybe);
}

static void judge(void *ctx, const struct tally_key *k)
{
	struct part *p = ctx;

	if (p->junctions[k->set] != NULL)
		judge_pair(p, p->junctions[k->set], k);
	else
		judge_row(p, k);
}

bool part_compare(struct worker *w, int part, struct err *err)
{
	const struct schema *s = &w->v->plan->schema;
	struct part p = {.w = w, .v = w->v};
	bool ok;

	p.sums = mem_zalloc((s->ntables + 1) * sizeof *p.sums);
	p.junctions = mem_zalloc((s->ntables + 1) * sizeof *p.junctions);
	for (size_t i = 0; i < s->njunctions; i++)
		p.junctions[s->junctions[i].table] = &s->junctions[i];
	ok = tally_compare(w->v->tally, part, judge, &p, err);
	for (size_t i = 0; i < s->ntables; i++) {
		FOUND_COUNT(w->found, (int)i, expected, p.sums[i].expected);
		if (p.junctions[i] != NULL || s->tables[i].parent_table >= 0)
			FOUND_COUNT(w->found, (int)i, explained, p.sums[i].explained);
	}
	free(p.sums);
	free(p.junctions);
	return ok;
}

/* --- naming --- */

static int compare_odd(const void *a, const void *b)
{
	const struct odd *x = a, *y = b;

	if (x->set != y->set)
		return x->set < y->set ? -1 : 1;
	return (x->hash > y->hash) - (x->hash < y->hash);
}

void odd_sort(struct validation *v)
{
	if (v->nodd > 0)
		qsort(v->odd, v->nodd, sizeof *v->odd, compare_odd);
}

static bool is_missing(enum validate_kind k)
{
	return k == FOUND_MISSING_ROW || k == FOUND_MISSING_ELEMENT || k == FOUND_MISSING_PAIR;
}

static struct odd *find(const struct validation *v, uint32_t set, uint64_t hash)
{
	struct odd key = {set, hash, FOUND_COUNT, 0};

	return v->nodd > 0 ? bsearch(&key, v->odd, v->nodd, sizeof key, compare_odd) : NULL;
}

bool odd_is_missing(const struct validation *v, uint32_t set, uint64_t hash)
{
	const struct odd *o = find(v, set, hash);

	return o != NULL && is_missing(o->kind);
}

const struct odd *odd_take(struct worker *w, uint32_t set, uint64_t hash, bool missing)
{
	struct odd *o = find(w->v, set, hash);
	bool taken = false;

	if (o == NULL || is_missing(o->kind) != missing)
		return NULL;
	pthread_mutex_lock(&w->v->lock);
	if (o->left > 0) {
		o->left--;
		taken = true;
	}
	pthread_mutex_unlock(&w->v->lock);
	if (!taken)
		return NULL;
	w->undo.odds = mem_grown(w->undo.odds, w->undo.nodds, sizeof *w->undo.odds);
	return w->undo.odds[w->undo.nodds++] = o;
}

bool odd_has(const struct validation *v, int table, bool missing)
{
	for (size_t i = 0; i < v->nodd; i++)
		if (v->odd[i].set == (uint32_t)table && is_missing(v->odd[i].kind) == missing)
			return true;
	return false;
}

/* --- counts --- */

static void tell(struct validation *v, int table, enum validate_kind kind, const char *detail, uint64_t size)
{
	found_of_table(v->found, kind, table >= 0 ? &v->plan->schema.tables[table] : NULL, NULL, detail, size);
}

/* Changed between the two looks: the document, or row, is not what it was. */
static void tell_unmet(struct validation *v, uint32_t table, const uint64_t *left)
{
	char detail[160];

	for (int k = 0; k < VALIDATE_KIND_COUNT; k++) {
		if (left[k] == 0)
			continue;
		snprintf(detail, sizeof detail,
			 "%llu that the first look saw were not met again when they were to be named",
			 (unsigned long long)left[k]);
		tell(v, (int)table, (enum validate_kind)k, detail, left[k]);
	}
}

void odd_tell_unmet(struct validation *v)
{
	for (size_t i = 0; i < v->nodd;) {
		uint64_t left[VALIDATE_KIND_COUNT] = {0};
		uint32_t table = v->odd[i].set;
		for (; i < v->nodd && v->odd[i].set == table; i++)
			left[v->odd[i].kind] += v->odd[i].left;
		tell_unmet(v, table, left);
	}
}

static void check_source(struct validation *v, const struct feed *f)
{
	uint64_t read = atomic_load(&f->done);
	char detail[160];

	if (!f->present || read == f->documents)
		return;
	snprintf(detail, sizeof detail, "%llu documents were read, the source itself counts %llu",
		 (unsigned long long)read, (unsigned long long)f->documents);
	tell(v, f->main.table, FOUND_COUNT, detail, read > f->documents ? read - f->documents : f->documents - read);
}

static void check_table(struct validation *v, int table)
{
	const struct validate_table *t = found_table(v->found, table);
	char detail[200];

	v->layer_checked[LAYER_COUNTS]++;
	if (!v->exists[table] || t->rows == t->expected + t->stubs)
		return;
	/* named one by one already */
	if (t->found[FOUND_MISSING_ROW] + t->found[FOUND_EXTRA_ROW] + t->found[FOUND_DUPLICATE_ROW] +
		    t->found[FOUND_MISSING_ELEMENT] + t->found[FOUND_EXTRA_ELEMENT] + t->found[FOUND_MISSING_PAIR] +
		    t->found[FOUND_EXTRA_PAIR] >
	    0)
		return;
	unsigned long long expected = t->expected + t->stubs, rows = t->rows;
	snprintf(detail, sizeof detail, "%llu rows expected, %llu found", expected, rows);
	tell(v, table, FOUND_COUNT, detail, 0);
}

/* Of a main table the rows of all documents that are not explained, of a child table those of all elements. After an
 * interruption nobody knows how many rows of child tables were compared before it. */
static uint64_t to_be_compared(const struct validation *v, int table)
{
	const struct validate_table *t = found_table(v->found, table);
	bool child = v->plan->schema.tables[table].parent_table >= 0;
	uint64_t all = child ? t->elements : t->documents;

	return !v->exists[table] || all <= t->explained || (child && atomic_load(&v->resumed) > 0)
		       ? 0
		       : all - t->explained;
}

/* Rows that the sets of keys found on both sides, and that nobody compared: what asks for rows by key, or parent, did
 * not get them, as where an index lost them. */
static void check_compared(struct validation *v, int table)
{
	const struct validate_table *t = found_table(v->found, table);
	bool child = v->plan->schema.tables[table].parent_table >= 0;
	uint64_t all = to_be_compared(v, table),
		 missing = t->found[child ? FOUND_MISSING_ELEMENT : FOUND_MISSING_ROW],
		 told = t->compared + missing + t->found[FOUND_NOT_COMPARED];
	char detail[200];

	if (!wants_layer(v, LAYER_VALUES) || all == 0)
		return;
	if (t->compared == 0 && t->rows > 0 && !child) {
		tell(v, table, FOUND_NOTHING, "documents and rows are there, but none was compared", 0);
	} else if (v->o.full && told < all) {
		snprintf(detail, sizeof detail,
			 "%llu rows were counted but not found by %s: is an index damaged? REINDEX TABLE makes it "
			 "anew",
			 (unsigned long long)(all - told), child ? "the row above" : "their key");
		tell(v, table, FOUND_NOT_COMPARED, detail, all - told);
	}
}

void counts_check(struct validation *v)
{
	uint64_t documents = 0;

	for (size_t i = 0; i < v->nfeeds; i++) {
		check_source(v, &v->feeds[i]);
		documents += v->feeds[i].documents;
	}
	for (size_t i = 0; i < v->plan->schema.ntables; i++)
		check_table(v, (int)i);
	for (size_t i = 0; i < v->plan->schema.ntables; i++)
		if (v->plan->schema.tables[i].collection != NULL) /* pairs are all there is of a junction's rows */
			check_compared(v, (int)i);
	if (documents == 0)
		tell(v, -1, FOUND_NOTHING, "none of the mapped collections holds a document", 0);
}

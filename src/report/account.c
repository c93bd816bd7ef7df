/* account.c - the ledger put in order, and the identities of the program's promise "nothing lost in silence":
 *
 *   collection  documents read = rows loaded into its table + documents rejected on reading - those that docrow
 *               retry loaded after all
 *   table       rows there now = loaded + stubs - rejected while settling + put back by retry - taken out with a
 *               rejected parent - dropped - stubs that became the real row - skipped since they were there before;
 *               where rows were added to others: against the rows of the run alone
 *   child       elements read = rows loaded + elements rejected - retried + elements of rejected documents
 *   junction    elements read = pairs + repeats + mirrored + left out by sides + elements rejected - retried +
 *               elements of rejected documents;   pairs = rows + orphan pairs + skipped
 *   source      documents read = the source's own exact count afterwards (else: it changed during the copy)
 */
#include <string.h>

#include "fault.h"
#include "ledger.h"
#include "report.h"
#include "text.h"

struct builder {
	struct account *out;
	const struct report_facts *f;
	struct arena *arena;
};

static uint64_t sum(const struct report_facts *f, enum ledger_kind kind, const char *object, const char *path)
{
	const char *name = ledger_kind_name(kind);
	uint64_t n = 0;

	for (size_t i = 0; i < f->nentries; i++) {
		const struct state_entry *e = &f->entries[i];
		if (strcmp(e->kind, name) == 0 && (!object || strcmp(e->object, object) == 0) &&
		    (!path || strcmp(e->path, path) == 0))
			n += e->n;
	}
	return n;
}

static bool has(const struct report_facts *f, enum ledger_kind kind, const char *object)
{
	const char *name = ledger_kind_name(kind);

	for (size_t i = 0; i < f->nentries; i++)
		if (strcmp(f->entries[i].kind, name) == 0 && strcmp(f->entries[i].object, object) == 0)
			return true;
	return false;
}

static void add_sentence(struct builder *b, const char ***list, size_t *n, const char *text)
{
	const char **grown = arena_alloc(b->arena, (*n + 1) * sizeof(*grown));

	if (*n > 0)
		memcpy(grown, *list, *n * sizeof(*grown));
	grown[(*n)++] = text;
	*list = grown;
}

/* --- putting in order --- */

static double seconds_of(const struct report_facts *f, const char *collection)
{
	for (size_t i = 0; i < f->ntimes; i++)
		if (strcmp(f->times[i].name, collection) == 0)
			return f->times[i].seconds;
	return 0;
}

static void take_collections(struct builder *b)
{
	const struct plan *p = b->f->plan;
	struct account *out = b->out;

	out->collections = arena_alloc(b->arena, (p->ncollections + 1) * sizeof(*out->collections));
	for (size_t i = 0; i < p->ncollections; i++) {
		const char *name = p->collections[i].name;
		struct account_collection *c = &out->collections[out->ncollections++];
		c->name = name;
		c->table = p->collections[i].outputs[0].copy.table;
		c->read = sum(b->f, LEDGER_READ, name, NULL);
		c->bytes = sum(b->f, LEDGER_BYTES, name, NULL);
		c->rejects = sum(b->f, LEDGER_REJECT, name, NULL);
		c->retried = sum(b->f, LEDGER_RETRIED, name, NULL);
		c->source = sum(b->f, LEDGER_SOURCE, name, NULL);
		c->has_source = has(b->f, LEDGER_SOURCE, name);
		c->seconds = seconds_of(b->f, name);
		out->read += c->read;
		out->rejects += c->rejects;
		out->retried += c->retried;
	}
}

static struct account_whole *whole_of(struct account *a, const char *source)
{
	for (size_t i = 0; i < a->nwholes; i++)
		if (strcmp(a->wholes[i].source, source) == 0)
			return &a->wholes[i];
	return NULL;
}

static void take_wholes(struct builder *b)
{
	const struct plan *p = b->f->plan;
	struct account *out = b->out;

	out->wholes = arena_alloc(b->arena, (p->ncollections + 1) * sizeof(*out->wholes));
	for (size_t i = 0; i < p->ncollections; i++) {
		const char *source = p->collections[i].source;
		struct account_whole *w = whole_of(out, source);
		if (!w && !has(b->f, LEDGER_WHOLE, source))
			continue;
		if (!w) {
			w = &out->wholes[out->nwholes++];
			w->source = source;
			w->documents = sum(b->f, LEDGER_WHOLE, source, NULL);
			w->left_out = sum(b->f, LEDGER_LEFT_OUT, source, NULL);
			w->shared = sum(b->f, LEDGER_SHARED, source, NULL);
		}
		w->read += sum(b->f, LEDGER_READ, p->collections[i].name, NULL);
	}
}

static uint64_t rows_of(const struct account_table *t)
{
	uint64_t in = t->loaded + t->stubs + t->retried_rows;
	uint64_t gone = t->reject_rows + t->children_of_rejects + t->dropped + t->stubs_filled + t->skipped;

	return gone > in ? 0 : in - gone;
}

static void take_table(struct builder *b, size_t i)
{
	const struct schema_table *s = &b->f->plan->schema.tables[i];
	struct account_table *t = &b->out->tables[i];

	t->name = s->name;
	t->is_junction = s->collection == NULL;
	t->is_child = s->parent_table >= 0;
	t->loaded = sum(b->f, LEDGER_ROWS, s->name, NULL);
	t->stubs = sum(b->f, LEDGER_STUB, s->name, NULL);
	t->stubs_filled = sum(b->f, LEDGER_STUB_FILLED, s->name, NULL);
	t->retried_rows = sum(b->f, LEDGER_RETRIED_ROW, s->name, NULL);
	t->reject_rows = sum(b->f, LEDGER_REJECT_ROW, s->name, NULL);
	t->children_of_rejects = sum(b->f, LEDGER_CHILD_OF_REJECT, s->name, NULL);
	t->dropped = sum(b->f, LEDGER_DROPPED, s->name, NULL);
	t->before = sum(b->f, LEDGER_BEFORE, s->name, NULL);
	t->skipped = sum(b->f, LEDGER_SKIPPED, s->name, NULL);
	t->replaced = sum(b->f, LEDGER_REPLACED, s->name, NULL);
	t->elements = sum(b->f, LEDGER_ELEMENTS, s->name, NULL);
	t->of_rejected_documents = sum(b->f, LEDGER_ELEMENT_REJECTED_DOC, s->name, NULL);
	t->rejected_elements = sum(b->f, LEDGER_REJECT_ELEMENT, s->name, NULL);
	t->retried_elements = sum(b->f, LEDGER_RETRIED_ELEMENT, s->name, NULL);
	t->rows = rows_of(t);
	t->actual = b->f->table_rows ? b->f->table_rows[i] : -1;
	b->out->rejects += t->reject_rows + t->rejected_elements;
	b->out->retried += t->retried_rows + t->retried_elements;
}

static void take_side(struct builder *b, struct account_junction *j, const char *collection)
{
	if (!collection || (j->nsides == 1 && strcmp(j->sides[0].collection, collection) == 0))
		return; /* both ends in one collection: counted under its name once */
	struct account_side *s = &j->sides[j->nsides++];
	s->collection = collection;
	s->elements = sum(b->f, LEDGER_ELEMENTS, j->name, collection);
	s->of_rejected_documents = sum(b->f, LEDGER_ELEMENT_REJECTED_DOC, j->name, collection);
	s->repeats = sum(b->f, LEDGER_PAIR_REPEAT, j->name, collection);
	s->one_sided = sum(b->f, LEDGER_PAIR_ONE_SIDED, j->name, collection);
}

static void take_junctions(struct builder *b)
{
	const struct schema *s = &b->f->plan->schema;
	struct account *out = b->out;

	out->junctions = arena_alloc(b->arena, (s->njunctions + 1) * sizeof(*out->junctions));
	out->njunctions = s->njunctions;
	for (size_t i = 0; i < s->njunctions; i++) {
		struct account_junction *j = &out->junctions[i];
		j->table = s->junctions[i].table;
		j->name = s->tables[j->table].name;
		take_side(b, j, s->junctions[i].left_collection);
		take_side(b, j, s->junctions[i].right_collection);
		j->pairs = sum(b->f, LEDGER_PAIRS, j->name, NULL);
		j->mirrored = sum(b->f, LEDGER_PAIR_MIRRORED, j->name, NULL);
		j->left_out = sum(b->f, LEDGER_PAIR_SIDES, j->name, NULL);
		j->orphans = sum(b->f, LEDGER_PAIR_ORPHAN, j->name, NULL);
		j->rejected_elements = out->tables[j->table].rejected_elements;
		j->retried_elements = out->tables[j->table].retried_elements;
		j->rows = out->tables[j->table].rows;
	}
}

/* --- the identities --- */

static const char *number(struct builder *b, uint64_t n)
{
	char text[32];

	return arena_strdup(b->arena, text_thousands(n, text));
}

static void expect(struct builder *b, uint64_t left, uint64_t right, const char *sentence)
{
	b->out->nchecked++;
	if (left != right)
		add_sentence(b, &b->out->breaks, &b->out->nbreaks, sentence);
}

/* Several collections may feed one table: the identity is that of the table. */
static void check_documents(struct builder *b, size_t table)
{
	const struct account_table *t = &b->out->tables[table];
	uint64_t read = 0, rejects = 0;
	const char *names = NULL;

	for (size_t i = 0; i < b->out->ncollections; i++) {
		const struct account_collection *c = &b->out->collections[i];
		if (c->table != (int)table)
			continue;
		read += c->read;
		rejects += c->rejects - c->retried;
		names = names ? arena_printf(b->arena, "%s, %s", names, c->name) : c->name;
	}
	if (names)
		expect(b, read, t->loaded + rejects,
		       arena_printf(b->arena, "%s: %s documents read, but %s rows of %s and %s open rejects", names,
				    number(b, read), number(b, t->loaded), t->name, number(b, rejects)));
}

static void check_rows(struct builder *b, const struct account_table *t)
{
	if (t->actual >= 0)
		expect(b, t->rows, (uint64_t)t->actual,
		       arena_printf(b->arena, "%s: %s rows by the ledger, but %s are in the table", t->name,
				    number(b, t->rows), number(b, (uint64_t)t->actual)));
}

static void check_child(struct builder *b, const struct account_table *t)
{
	uint64_t rejected = t->rejected_elements - t->retried_elements;
	uint64_t told = t->loaded + rejected + t->of_rejected_documents;

	expect(b, t->elements, told,
	       arena_printf(b->arena,
			    "%s: %s elements read, but %s rows, %s rejected elements and %s of rejected documents",
			    t->name, number(b, t->elements), number(b, t->loaded), number(b, rejected),
			    number(b, t->of_rejected_documents)));
}

static void check_junction(struct builder *b, const struct account_junction *j)
{
	const struct account_table *t = &b->out->tables[j->table];
	uint64_t elements = t->elements;
	uint64_t repeats = sum(b->f, LEDGER_PAIR_REPEAT, j->name, NULL);
	uint64_t rejected = j->rejected_elements - j->retried_elements;
	uint64_t told = j->pairs + repeats + j->mirrored + j->left_out + rejected + t->of_rejected_documents;

	expect(b, elements, told,
	       arena_printf(
		       b->arena,
		       "%s: %s elements read, but %s pairs, %s repeats, %s mirrored, %s left out, %s rejected and %s "
		       "of rejected documents",
		       j->name, number(b, elements), number(b, j->pairs), number(b, repeats), number(b, j->mirrored),
		       number(b, j->left_out), number(b, rejected), number(b, t->of_rejected_documents)));
	expect(b, j->pairs, t->loaded + j->orphans,
	       arena_printf(b->arena, "%s: %s pairs, but %s rows and %s orphan pairs", j->name, number(b, j->pairs),
			    number(b, t->loaded), number(b, j->orphans)));
}

static void check_source(struct builder *b, const struct account_collection *c)
{
	if (!c->has_source && c->read == 0)
		return; /* absent, or empty: nothing is counted as nothing */
	b->out->nchecked++;
	if (c->source != c->read)
		add_sentence(b, &b->out->changes, &b->out->nchanges,
			     arena_printf(b->arena, "%s: %s documents read, %s are in the source now", c->name,
					  number(b, c->read), number(b, c->source)));
}

static void check_whole(struct builder *b, const struct account_whole *w)
{
	b->out->nchecked++;
	if (w->documents + w->shared != w->read + w->left_out)
		add_sentence(
			b, &b->out->changes, &b->out->nchanges,
			arena_printf(b->arena,
				     "%s: %s documents are in the source now, but %s were read by its entries, of "
				     "which %s more than once, and %s are taken by no where",
				     w->source, number(b, w->documents), number(b, w->read), number(b, w->shared),
				     number(b, w->left_out)));
}

/* Of a run that stops after the rows (--load-only) pairs are still raw: there is nothing to compare them with. */
static bool is_load_only(const struct report_facts *f)
{
	const char *options = f->run.options != NULL ? f->run.options : "";

	return strstr(options, "\"load_only\": true") != NULL || strstr(options, "\"load_only\":true") != NULL;
}

static void check(struct builder *b)
{
	for (size_t i = 0; i < b->out->ntables; i++) {
		const struct account_table *t = &b->out->tables[i];
		if (t->is_child)
			check_child(b, t);
		else if (!t->is_junction)
			check_documents(b, i);
		check_rows(b, t);
	}
	for (size_t i = 0; i < b->out->njunctions && !is_load_only(b->f); i++)
		check_junction(b, &b->out->junctions[i]);
	for (size_t i = 0; i < b->out->ncollections; i++)
		check_source(b, &b->out->collections[i]);
	for (size_t i = 0; i < b->out->nwholes; i++)
		check_whole(b, &b->out->wholes[i]);
}

void account_build(struct account *out, const struct report_facts *f, struct arena *a)
{
	struct builder b = {.out = out, .f = f, .arena = a};
	uint64_t orphans = 0;

	memset(out, 0, sizeof(*out));
	take_collections(&b);
	take_wholes(&b);
	out->ntables = f->plan->schema.ntables;
	out->tables = arena_alloc(a, (out->ntables + 1) * sizeof(*out->tables));
	for (size_t i = 0; i < out->ntables; i++)
		take_table(&b, i);
	take_junctions(&b);
	if (f->run.phase == STATE_DONE)
		check(&b);
	for (size_t i = 0; i < out->njunctions; i++)
		orphans += out->junctions[i].orphans;
	out->is_clean = out->rejects == out->retried && orphans == 0 && out->nbreaks == 0 && out->nchanges == 0 &&
			f->nkept_keys == 0 && f->nrefused == 0 && sum(f, LEDGER_CHILD_OF_REJECT, NULL, NULL) == 0;
}

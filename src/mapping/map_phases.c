/* map_phases.c - the phases that the mapping names: their tables, and whether the foreign keys allow their order. */
#include "map_private.h"

/* The phase of the list by its name, from 1; 0: none before `at`. */
static size_t find_phase(const struct mapping *m, const char *name, size_t at)
{
	for (size_t i = 0; name != NULL && i < at; i++)
		if (m->phases[i].name != NULL && strcmp(m->phases[i].name, name) == 0)
			return i + 1;
	return 0;
}

/* Is it a table of the whole mapping, made by this part of it or not? */
static bool is_of_mapping(const struct schema_builder *b, const char *table)
{
	for (size_t i = 0; i < b->nowners; i++)
		if (b->owners[i].table != NULL && strcmp(b->owners[i].table, table) == 0)
			return true;
	for (size_t i = 0; i < b->m->njunctions; i++)
		if (b->m->junctions[i].table != NULL && strcmp(b->m->junctions[i].table, table) == 0)
			return true;
	return false;
}

static const char *suggest(const struct schema_builder *b, const char *word)
{
	const char **known = arena_alloc(b->arena, (b->s->ntables + 1) * sizeof *known);
	for (size_t i = 0; i < b->s->ntables; i++)
		known[i] = b->s->tables[i].name;
	return map_suggest(b->arena, word, known, b->s->ntables);
}

static void place_table(struct schema_builder *b, const struct map_phase *p, const char **name)
{
	int t = schema_find_table(b->s, *name);
	if (t < 0 && !is_of_mapping(b, *name))
		complain_field(b->c, b->m, name, p->line, p->col, "phase \"%s\": the mapping makes no table \"%s\"%s",
			       p->name, *name, suggest(b, *name));
	if (t < 0)
		return;
	int *phase = &b->s->tables[t].phase, here = (int)(p - b->m->phases) + 1;
	if (*phase == here)
		complain_field(b->c, b->m, name, p->line, p->col, "table \"%s\" stands twice in phase \"%s\"", *name,
			       p->name);
	else if (*phase != 0)
		complain_field(b->c, b->m, name, p->line, p->col, "table \"%s\" stands in phase \"%s\" already",
			       *name, b->m->phases[*phase - 1].name);
	else
		*phase = here;
}

static void place_tables(struct schema_builder *b)
{
	const struct mapping *m = b->m;
	b->s->phases = arena_alloc(b->arena, (m->nphases + 1) * sizeof *b->s->phases);
	b->s->nphases = m->nphases;
	for (size_t i = 0; i < m->nphases; i++) {
		struct map_phase *p = &m->phases[i];
		b->s->phases[i] = p->name != NULL ? p->name : "?"; /* told by the reader */
		if (find_phase(m, p->name, i) > 0)
			complain_field(b->c, m, &p->name, p->line, p->col, "phase \"%s\" stands twice", p->name);
		for (size_t k = 0; p->name != NULL && k < p->ntables; k++)
			place_table(b, p, &p->tables[k]);
	}
}

/* ---- the order against the foreign keys ---- */

struct check {
	struct schema_builder *b;
	struct schema_order order;
	bool of_moved; /* also keys to tables that are moved themselves */
};

static const char *phase_of(const struct check *k, int table)
{
	return k->order.phases[k->order.phase[table]].name;
}

static size_t number_of_phase(const struct check *k, int table)
{
	return find_phase(k->b->m, phase_of(k, table), k->b->m->nphases);
}

/* Does the reference make a table that the mapping puts into phase `named` load later? A table that stands in no
 * later phase itself is moved there: that is told where it stands. */
static bool delays(const struct check *k, int ref, size_t named)
{
	size_t says = (size_t)k->b->s->tables[ref].phase;
	return number_of_phase(k, ref) > named && (says == 0 || says > named || k->of_moved);
}

/* The first such key of the table, its child tables and what is in a circle with it, or NULL. *from: its table. */
static const struct schema_fkey *key_that_delays(const struct check *k, int table, size_t named, int *from)
{
	const struct schema *s = k->b->s;
	for (size_t t = 0; t < s->ntables; t++) {
		if (k->order.component[t] != k->order.component[table])
			continue;
		for (size_t f = 0; f < s->tables[t].nfkeys; f++) {
			int ref = s->tables[t].fkeys[f].ref_table;
			*from = (int)t;
			if (ref >= 0 && k->order.component[ref] != k->order.component[table] && delays(k, ref, named))
				return &s->tables[t].fkeys[f];
		}
	}
	return NULL;
}

static void check_place(const struct check *k, const struct map_phase *p, const char **name)
{
	struct schema_builder *b = k->b;
	int t = schema_find_table(b->s, *name), from;
	size_t named = (size_t)(p - b->m->phases) + 1;
	if (t < 0 || b->s->tables[t].phase != (int)named || number_of_phase(k, t) == named)
		return;
	const struct schema_fkey *f = key_that_delays(k, t, named, &from);
	if (f != NULL)
		complain_field(b->c, b->m, name, p->line, p->col,
			       "table \"%s\" cannot load in phase \"%s\": foreign key %s of table \"%s\" refers to "
			       "\"%s\", which loads in phase \"%s\"",
			       *name, p->name, f->name, b->s->tables[from].name, b->s->tables[f->ref_table].name,
			       phase_of(k, f->ref_table));
	else if (k->of_moved && b->c->warnings != NULL)
		complain_field(b->c->warnings, b->m, name, p->line, p->col,
			       "table \"%s\" loads in phase \"%s\", with what it refers to in a circle", *name,
			       phase_of(k, t));
}

static void check_places(const struct check *k)
{
	const struct mapping *m = k->b->m;
	for (size_t i = 0; i < m->nphases; i++)
		for (size_t t = 0; m->phases[i].name != NULL && t < m->phases[i].ntables; t++)
			check_place(k, &m->phases[i], &m->phases[i].tables[t]);
}

/* A child table may stand beside the table above it, nowhere else. */
static bool is_parted_from_parent(const struct schema *s, int t)
{
	int parent = s->tables[t].parent_table;
	return parent >= 0 && s->tables[t].phase != 0 && s->tables[t].phase != s->tables[parent].phase;
}

static void check_child(struct schema_builder *b, const struct map_phase *p, const char **name)
{
	int t = schema_find_table(b->s, *name);
	if (t < 0 || !is_parted_from_parent(b->s, t))
		return;
	complain_field(b->c, b->m, name, p->line, p->col,
		       "table \"%s\" loads with table \"%s\", which is made of the same documents: leave it out here",
		       *name, b->s->tables[b->s->tables[t].parent_table].name);
	b->s->tables[t].phase = 0;
}

void build_phases(struct schema_builder *b)
{
	const struct mapping *m = b->m;
	place_tables(b);
	for (size_t i = 0; i < m->nphases; i++)
		for (size_t k = 0; k < m->phases[i].ntables; k++)
			check_child(b, &m->phases[i], &m->phases[i].tables[k]);
	if (m->nphases == 0)
		return;
	struct check check = {.b = b, .order = schema_order(b->s, b->arena)};
	size_t before = b->c->n;
	check_places(&check);
	check.of_moved = true;
	if (b->c->n == before)
		check_places(&check);
}

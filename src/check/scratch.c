/* scratch.c - see scratch.h. */
#include "scratch.h"

#include <string.h>

static void keep_named(bool *kept, const struct schema_table *t, const char *name)
{
	int c = schema_find_column(t, name);
	if (c >= 0)
		kept[c] = true;
}

static void keep_index(bool *kept, const struct schema_table *t, const struct schema_index *i)
{
	if (!i->unique)
		return;
	/* SQL may name any column */
	if (i->expression != NULL || i->where != NULL)
		memset(kept, true, t->ncolumns);
	for (size_t k = 0; k < i->ncolumns; k++)
		keep_named(kept, t, i->columns[k]);
}

/* Arrays carry their elements' type by number, and the plan's types are not in the scratch schema. */
static bool is_foreign_array(const struct pgtype *t)
{
	return t->array && (t->base == PGT_ENUM || t->base == PGT_CITEXT || t->base == PGT_VECTOR);
}

/* What keys, unique indexes, references and the links of child tables look at. */
static bool *needed_columns(const struct schema *s, int table, struct arena *a)
{
	const struct schema_table *t = &s->tables[table];
	bool *kept = arena_alloc(a, (t->ncolumns + 1) * sizeof *kept);
	for (size_t k = 0; k < t->nprimary_key; k++)
		kept[t->primary_key[k]] = true;
	for (size_t i = 0; i < t->nindexes; i++)
		keep_index(kept, t, &t->indexes[i]);
	if (t->id_column > 0)
		kept[t->id_column - 1] = true;
	if (t->parent_column >= 0)
		kept[t->parent_column] = true;
	for (size_t r = 0; r < s->nrefs; r++) {
		if (s->refs[r].table == table)
			kept[s->refs[r].column] = true;
		if (s->refs[r].table == table && s->refs[r].move_to >= 0)
			kept[s->refs[r].move_to] = true;
		if (s->refs[r].ref_table == table)
			kept[s->refs[r].ref_column] = true;
	}
	for (size_t c = 0; c < t->ncolumns; c++)
		kept[c] &= !is_foreign_array(&t->columns[c].type);
	return kept;
}

/* Bare columns: no NOT NULL (what is left out is NULL), no defaults, no domains whose checks would speak. */
static void bare_table(struct schema_table *t, struct arena *a)
{
	t->columns = arena_memdup(a, t->columns, t->ncolumns * sizeof *t->columns);
	for (size_t c = 0; c < t->ncolumns; c++) {
		t->columns[c].not_null = false;
		t->columns[c].default_sql = NULL;
		t->columns[c].generated_sql = NULL;
		t->columns[c].type.domain = NULL;
		t->columns[c].type.domain_dims = 0;
	}
	t->indexes = arena_memdup(a, t->indexes, t->nindexes * sizeof *t->indexes);
	t->nfkeys = 0;
}

static void build_schema(struct scratch *s, const struct plan *p, struct arena *a)
{
	s->schema = p->schema;
	s->schema.name = SCRATCH_SCHEMA;
	s->schema.owner = NULL;
	s->schema.ngrants = s->schema.ndomains = 0;
	s->schema.tables = arena_memdup(a, p->schema.tables, p->schema.ntables * sizeof *p->schema.tables);
	for (size_t t = 0; t < s->schema.ntables; t++)
		bare_table(&s->schema.tables[t], a);
	s->schema.refs = arena_memdup(a, p->schema.refs, p->schema.nrefs * sizeof *p->schema.refs);
	for (size_t r = 0; r < s->schema.nrefs; r++)
		s->schema.refs[r].fkey = -1;
}

static bool any_kept(const bool *needed, const struct schema_copy *c)
{
	for (size_t i = 0; i < c->ncolumns; i++)
		if (needed[c->columns[i]])
			return true;
	return false;
}

static void build_output(struct scratch_output *o, const struct plan_output *from, bool *const *needed,
			 struct arena *a)
{
	o->copy = from->copy;
	o->n = from->kind == PLAN_OUTPUT_PAIRS ? 3 : from->copy.ncolumns;
	o->kept = arena_alloc(a, (o->n + 1) * sizeof *o->kept);
	o->longest = arena_alloc(a, (o->n + 1) * sizeof *o->longest);
	if (from->kind == PLAN_OUTPUT_PAIRS) {
		memset(o->kept, true, o->n);
		return;
	}
	int *columns = arena_alloc(a, (o->n + 1) * sizeof *columns);
	o->copy.ncolumns = 0;
	if (o->n > 0 && !any_kept(needed[from->copy.table], &from->copy))
		needed[from->copy.table][from->copy.columns[0]] = true; /* a row needs a column */
	for (size_t i = 0; i < o->n; i++)
		if ((o->kept[i] = needed[from->copy.table][from->copy.columns[i]]))
			columns[o->copy.ncolumns++] = from->copy.columns[i];
	o->copy.columns = columns;
}

void scratch_build(struct scratch *s, const struct plan *p, struct arena *a)
{
	build_schema(s, p, a);
	bool **needed = arena_alloc(a, (p->schema.ntables + 1) * sizeof *needed);
	for (size_t t = 0; t < p->schema.ntables; t++)
		needed[t] = needed_columns(&p->schema, (int)t, a);
	s->outputs = arena_alloc(a, (p->ncollections + 1) * sizeof *s->outputs);
	for (size_t c = 0; c < p->ncollections; c++) {
		const struct plan_collection *pc = &p->collections[c];
		s->outputs[c] = arena_alloc(a, (pc->noutputs + 1) * sizeof **s->outputs);
		for (size_t o = 0; o < pc->noutputs; o++)
			build_output(&s->outputs[c][o], &pc->outputs[o], needed, a);
	}
}

static uint32_t field_length(const uint8_t *p)
{
	uint32_t n;
	memcpy(&n, p, 4);
	return __builtin_bswap32(n);
}

/* A row of COPY BINARY: a 16-bit count of fields, then each as a 32-bit length (-1: NULL) and its bytes. */
static const uint8_t *filter_row(const struct scratch_output *o, uint32_t *longest, const uint8_t *p,
				 struct rowbuf *to)
{
	rowbuf_begin_row(to, o->copy.junction >= 0 ? 3 : (int)o->copy.ncolumns);
	p += 2;
	for (size_t i = 0; i < o->n; i++) {
		uint32_t n = field_length(p);
		bool is_null = n == UINT32_MAX;
		if (o->kept[i] && is_null)
			rowbuf_put_null(to);
		else if (o->kept[i])
			rowbuf_put_bytes(to, p + 4, n);
		if (!is_null && n > longest[i])
			longest[i] = n;
		p += 4 + (is_null ? 0 : n);
	}
	rowbuf_end_row(to);
	return p;
}

void scratch_filter(const struct scratch_output *o, uint32_t *longest, struct rowbuf *from, struct rowbuf *to)
{
	const uint8_t *p = from->buf.data, *end = p + from->buf.len;
	while (p < end)
		p = filter_row(o, longest, p, to);
	rowbuf_reset(from);
}

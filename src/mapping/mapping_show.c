/* mapping_show.c - a mapping as text for people: what becomes what, and by which policies. */
#include <stdlib.h>

#include "map_private.h"
#include "plan.h"

static const char *plural(size_t n, const char *one, const char *many)
{
	return n == 1 ? one : many;
}

void mapping_show_totals(struct buf *out, const struct plan *p)
{
	size_t columns = 0, indexes = 0, fkeys = 0;
	const struct schema *s = &p->schema;
	for (size_t i = 0; i < s->ntables; i++) {
		columns += s->tables[i].ncolumns;
		indexes += s->tables[i].nindexes;
		fkeys += s->tables[i].nfkeys;
	}
	buf_printf(out, "%zu %s, %zu %s, %zu %s, %zu %s, %zu %s, %zu %s, %zu %s", p->ncollections,
		   plural(p->ncollections, "collection", "collections"), p->njunctions,
		   plural(p->njunctions, "junction", "junctions"), s->ntables, plural(s->ntables, "table", "tables"),
		   columns, plural(columns, "column", "columns"), s->nenums, plural(s->nenums, "enum", "enums"),
		   indexes, plural(indexes, "index", "indexes"), fkeys, plural(fkeys, "foreign key", "foreign keys"));
}

/* ---- columns ---- */

static void show_value(struct buf *out, struct arena *a, const char *key, const struct map_value *v)
{
	if (v->kind == MAP_VALUE_UNSET)
		return;
	buf_printf(out, "; %s:", key);
	for (; v != NULL; v = v->otherwise) {
		if (v->kind == MAP_VALUE_LITERAL)
			buf_printf(out, " '%s'", v->literal);
		else if (v->kind == MAP_VALUE_PATH)
			buf_printf(out, " value of %s", map_path_text(a, v->path, v->npath));
		else
			buf_printf(out, " %s",
				   v->kind == MAP_VALUE_ID_TIME ? "$id_time"
				   : v->kind == MAP_VALUE_NULL  ? "null"
								: "reject");
		buf_puts(out, v->otherwise != NULL ? ", else" : "");
	}
}

static void show_accept(struct buf *out, unsigned accept)
{
	const char *before = "; accept: ";
	for (size_t i = 0; i < map_words_accept.n; i++)
		if ((accept & (unsigned)map_words_accept.list[i].value) != 0) {
			buf_printf(out, "%s%s", before, map_words_accept.list[i].word);
			before = ", ";
		}
}

static void show_reference(struct buf *out, const struct map_reference *r)
{
	bool settled = r->constraint || (r->given & MAP_GIVEN_IF_ORPHAN) != 0;
	if (r->table == NULL)
		return;
	buf_printf(out, "; -> %s%s", r->table, r->constraint ? "" : " (no constraint)");
	if (settled)
		buf_printf(out, ", orphans: %s", map_orphan_word(r->if_orphan));
	if (settled && r->if_orphan == ORPHAN_MOVE_TO)
		buf_printf(out, " %s, else %s", r->move_to, map_orphan_word(r->otherwise));
}

static void show_source(struct buf *out, const struct plan_column *pc)
{
	static const char *const others[] = {[PLAN_FEED_PARENT] = "the key of the row above",
					     [PLAN_FEED_ORDINAL] = "the element's position",
					     [PLAN_FEED_UNMAPPED] = "the fields that are not mapped"};
	if (pc == NULL)
		buf_puts(out, " <- nothing");
	else if (pc->feed == PLAN_FEED_ID || pc->feed == PLAN_FEED_SLOT)
		buf_printf(out, " <- %s", pc->path_text);
	else
		buf_printf(out, " <- %s", others[pc->feed]);
}

static bool is_in_key(const struct schema_table *t, size_t column)
{
	for (size_t i = 0; i < t->nprimary_key; i++)
		if (t->primary_key[i] == (int)column)
			return true;
	return false;
}

static void show_column(struct buf *out, struct arena *a, const struct schema_table *t, size_t at,
			const struct plan_column *pc)
{
	const struct schema_column *c = &t->columns[at];
	struct buf type;
	buf_init(&type, 0);
	pgtype_sql(&type, &c->type, NULL);
	buf_printf(out, "  %-24s %s%s%s", c->name, buf_cstr(&type), is_in_key(t, at) ? " primary key" : "",
		   c->not_null && !is_in_key(t, at) ? " not null" : "");
	buf_free(&type);
	show_source(out, pc);
	if (pc != NULL && pc->map != NULL) {
		show_value(out, a, "missing", &pc->map->if_missing);
		show_value(out, a, "null", &pc->map->if_null);
		show_value(out, a, "invalid", &pc->map->if_invalid);
		show_accept(out, pc->map->accept);
		show_reference(out, &pc->map->references);
	}
	buf_putc(out, '\n');
}

static const struct plan_column *feed_of(const struct plan_output *o, size_t column)
{
	for (size_t i = 0; i < o->ncolumns; i++)
		if (o->copy.columns[i] == (int)column)
			return &o->columns[i];
	return NULL;
}

/* ---- tables ---- */

static void show_indexes(struct buf *out, const struct schema *s, const struct schema_table *t)
{
	for (size_t i = 0; i < t->nindexes; i++) {
		const struct schema_index *x = &t->indexes[i];
		buf_printf(out, "  index %s (%s)%s %s", x->name, map_tier_word(x->tier), x->unique ? " unique" : "",
			   x->method);
		buf_putc(out, '(');
		for (size_t k = 0; k < x->ncolumns; k++)
			buf_printf(out, "%s%s", k > 0 ? ", " : "", x->columns[k]);
		buf_printf(out, "%s)%s%s\n", x->expression != NULL ? x->expression : "",
			   x->where != NULL ? " where " : "", x->where != NULL ? x->where : "");
	}
	for (size_t i = 0; i < t->nfkeys; i++) {
		const struct schema_fkey *f = &t->fkeys[i];
		buf_printf(out, "  foreign key %s (%s) -> %s (%s) on delete %s on update %s\n", f->name, f->column,
			   s->tables[f->ref_table].name, f->ref_column, fk_action_sql(f->on_delete),
			   fk_action_sql(f->on_update));
	}
}

static void show_output(struct buf *out, struct arena *a, const struct plan *p, const struct plan_collection *k,
			const struct plan_output *o)
{
	const struct schema_table *t = &p->schema.tables[o->copy.table];
	buf_printf(out, "table %s from %s%s%s%s; unmapped fields: %s\n", t->name, k->name,
		   o->kind == PLAN_OUTPUT_CHILD ? ", elements of " : "",
		   o->kind == PLAN_OUTPUT_CHILD ? k->scopes[o->scope].path_text : "",
		   k->map->optional ? " (optional)" : "", map_unmapped_word(k->map->unmapped));
	for (size_t i = 0; i < t->ncolumns; i++)
		show_column(out, a, t, i, feed_of(o, i));
	show_indexes(out, &p->schema, t);
	buf_putc(out, '\n');
}

static void show_side(struct buf *out, struct arena *a, const struct map_side *s)
{
	buf_printf(out, "  %-24s ids of %s", s->column, s->collection);
	if (s->npath > 0)
		buf_printf(out, ", which keeps a list in %s", map_path_text(a, s->path, s->npath));
	buf_putc(out, '\n');
}

static void show_junction(struct buf *out, struct arena *a, const struct plan *p, size_t i)
{
	const struct map_junction *j = p->junctions[i].map;
	buf_printf(out, "table %s, pairs; sides: %s; orphans: %s\n", j->table, map_sides_word(j->sides),
		   map_orphan_word(j->if_orphan));
	show_side(out, a, &j->left);
	show_side(out, a, &j->right);
	show_indexes(out, &p->schema, &p->schema.tables[p->schema.junctions[i].table]);
	buf_putc(out, '\n');
}

static void show_enums(struct buf *out, const struct schema *s)
{
	for (size_t i = 0; i < s->nenums; i++) {
		buf_printf(out, "enum %s:", s->enums[i].name);
		for (size_t k = 0; k < s->enums[i].nlabels; k++)
			buf_printf(out, "%s %s", k > 0 ? "," : "", s->enums[i].labels[k]);
		buf_putc(out, '\n');
	}
	if (s->nenums > 0)
		buf_putc(out, '\n');
}

void mapping_show(struct buf *out, const struct plan *p)
{
	struct arena *a = arena_new();
	buf_printf(out, "mapping %s: ", p->mapping->name);
	mapping_show_totals(out, p);
	buf_printf(out, "\nschema %s; ids: %s\n\n", p->schema.name, map_id_word(p->mapping->id));
	show_enums(out, &p->schema);
	for (size_t i = 0; i < p->ncollections; i++)
		for (size_t k = 0; k < p->collections[i].noutputs; k++)
			if (p->collections[i].outputs[k].kind != PLAN_OUTPUT_PAIRS)
				show_output(out, a, p, &p->collections[i], &p->collections[i].outputs[k]);
	for (size_t i = 0; i < p->njunctions; i++)
		show_junction(out, a, p, i);
	arena_free(a);
}

void mapping_show_phases(struct buf *out, const struct plan *p)
{
	const struct schema *s = &p->schema;
	int *phase = mem_zalloc((s->ntables + 1) * sizeof *phase);
	int n = schema_phases(s, phase);
	for (int i = 0; i < n; i++) {
		const char *before = " ";
		buf_printf(out, "phase %d:", i + 1);
		for (size_t t = 0; t < s->ntables; t++)
			if (phase[t] == i) {
				buf_printf(out, "%s%s", before, s->tables[t].name);
				before = ", ";
			}
		buf_putc(out, '\n');
	}
	free(phase);
}

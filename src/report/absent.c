/* absent.c - paths that the mapping names and no document has: misspelt, or of another version of the application.
 *
 * Told from the ledger alone: a column whose field was missing for every row, an array without a single element.
 */
#include <stdlib.h>
#include <string.h>

#include "report.h"

struct search {
	const struct report_facts *f;
	const struct plan_collection *c;
	struct arena *arena;
	const char **list;
	size_t n, cap;
};

static uint64_t counted(const struct report_facts *f, enum ledger_kind kind, const char *object, const char *path)
{
	const char *name = ledger_kind_name(kind);
	for (size_t i = 0; i < f->nentries; i++) {
		const struct state_entry *e = &f->entries[i];
		if (strcmp(e->kind, name) == 0 && strcmp(e->object, object) == 0 && strcmp(e->path, path) == 0)
			return e->n;
	}
	return 0;
}

/* One path may feed several columns: it is told once. */
static void add(struct search *s, const char *above, const char *path)
{
	const char *text = arena_printf(s->arena, "%s.%s%s%s", s->c->name, above, *above != '\0' ? "." : "", path);
	for (size_t i = 0; i < s->n; i++)
		if (strcmp(s->list[i], text) == 0)
			return;
	if (s->n == s->cap) {
		s->cap = s->cap > 0 ? 2 * s->cap : 16;
		s->list = mem_realloc(s->list, s->cap * sizeof *s->list);
	}
	s->list[s->n++] = text;
}

static void look_at_columns(struct search *s, const struct plan_output *o, const char *table, const char *above)
{
	uint64_t rows = counted(s->f, LEDGER_ROWS, table, "");
	for (size_t i = 0; rows > 0 && i < o->ncolumns; i++) {
		const struct plan_column *col = &o->columns[i];
		if (col->feed != PLAN_FEED_SLOT || strcmp(col->path_text, ".") == 0)
			continue;
		if (counted(s->f, LEDGER_IS_MISSING, table, col->column->name) +
			    counted(s->f, LEDGER_DEFAULT_MISSING, table, col->column->name) >=
		    rows)
			add(s, above, col->path_text);
	}
}

static void look_at_output(struct search *s, const struct plan_output *o)
{
	const char *table = s->f->plan->schema.tables[o->copy.table].name;
	const char *array = o->kind == PLAN_OUTPUT_MAIN ? "" : s->c->scopes[o->scope].path_text;
	if (o->kind != PLAN_OUTPUT_MAIN && counted(s->f, LEDGER_ELEMENTS, table, s->c->name) == 0)
		add(s, "", array);
	else
		look_at_columns(s, o, table, array);
}

size_t absent_paths(struct arena *a, const struct report_facts *f, const char ***list)
{
	struct search s = {.f = f, .arena = a};
	for (size_t i = 0; i < f->plan->ncollections; i++) {
		s.c = &f->plan->collections[i];
		if (counted(f, LEDGER_READ, s.c->name, "") == 0)
			continue;
		for (size_t o = 0; o < s.c->noutputs; o++)
			look_at_output(&s, &s.c->outputs[o]);
	}
	*list = arena_memdup(a, s.list, s.n * sizeof *s.list);
	free(s.list);
	return s.n;
}

/* enums.c - see enums.h. */
#include "enums.h"

#include "convert.h"

struct visit {
	const struct plan *plan;
	struct paths *paths;
	struct arena *arena;
	struct check_enum *list; /* NULL: texts are only asked for */
	size_t n;
};

static const struct schema_enum *enum_of(const struct schema *s, const struct pgtype *t)
{
	int i = t->enum_index >= 0 ? t->enum_index : schema_find_enum(s, t->enum_name);
	return i >= 0 ? &s->enums[i] : NULL;
}

static void label_texts(struct visit *v, struct check_enum *e, const struct plan_column *c, struct check_text *texts)
{
	const struct labels *l = conv_labels(&v->plan->schema, &c->column->type, c->map, v->arena);
	for (size_t i = 0; i < e->ntexts; i++)
		if (texts[i].len <= CHECK_TEXT)
			texts[i].label = conv_label(l, texts[i].text, texts[i].len);
	e->texts = texts;
}

static void visit_column(struct visit *v, int collection, const struct plan_output *o, const struct plan_column *c)
{
	const struct plan_collection *pc = &v->plan->collections[collection];
	const struct check_place at = {collection, o->scope, c->slot, c->column->type.array};
	if (c->feed != PLAN_FEED_SLOT || c->slot < 0 || c->column->type.base != PGT_ENUM)
		return;
	if (v->list == NULL) {
		paths_keep_texts(v->paths, pc, &at);
		v->n++;
		return;
	}
	struct check_enum *e = &v->list[v->n++];
	struct check_text *texts;
	*e = (struct check_enum){.collection = pc->name,
				 .table = v->plan->schema.tables[o->copy.table].name,
				 .column = c->column->name,
				 .type = enum_of(&v->plan->schema, &c->column->type)};
	e->ntexts = texts_list(paths_texts(v->paths, pc, &at), v->arena, &texts, &e->more);
	label_texts(v, e, c, texts);
}

static void visit(struct visit *v)
{
	v->n = 0;
	for (size_t i = 0; i < v->plan->ncollections; i++)
		for (size_t o = 0; o < v->plan->collections[i].noutputs; o++) {
			const struct plan_output *out = &v->plan->collections[i].outputs[o];
			for (size_t c = 0; c < out->ncolumns; c++)
				visit_column(v, (int)i, out, &out->columns[c]);
		}
}

void enums_keep(struct paths *p, const struct plan *plan)
{
	struct visit v = {.plan = plan, .paths = p};
	visit(&v);
}

size_t enums_list(struct paths *p, const struct plan *plan, struct arena *a, const struct check_enum **list)
{
	struct visit v = {.plan = plan, .paths = p, .arena = a};
	visit(&v);
	v.list = arena_alloc(a, (v.n + 1) * sizeof *v.list);
	visit(&v);
	*list = v.list;
	return v.n;
}

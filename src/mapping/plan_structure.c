/* plan_structure.c - do two plans make the same target from the same paths? What may differ is policy only: rows that
 * were loaded by one would have been the same by the other wherever neither a fault nor an orphan is met.
 *
 * Both are written as lines, one for each thing that must not differ; what only one of them has is the difference.
 */
#include <stdlib.h>

#include "map_private.h"
#include "plan.h"
#include "sys.h"
#include "text.h"

struct lines {
	struct arena *arena;
	struct buf b; /* of the line in hand */
	const char **list;
	size_t n, cap;
};

static void end_line(struct lines *l)
{
	if (l->n == l->cap) {
		l->cap = l->cap > 0 ? l->cap * 2 : 256;
		l->list = mem_realloc(l->list, l->cap * sizeof *l->list);
	}
	l->list[l->n++] = arena_strdup(l->arena, buf_cstr(&l->b));
	buf_reset(&l->b);
}

static void table_lines(struct lines *l, const struct schema *s, const struct schema_table *t)
{
	for (size_t c = 0; c < t->ncolumns; c++) {
		const struct schema_column *col = &t->columns[c];
		buf_printf(&l->b, "column %s.%s ", t->name, col->name);
		pgtype_sql(&l->b, &col->type, s->name);
		buf_printf(&l->b, "%s%s%s", col->not_null ? " NOT NULL" : "",
			   col->default_sql != NULL ? " DEFAULT " : "",
			   col->default_sql != NULL ? col->default_sql : "");
		end_line(l);
	}
	if (t->nprimary_key > 0) {
		schema_sql_primary_key(&l->b, s, t);
		end_line(l);
	}
	for (size_t i = 0; i < t->nindexes; i++) {
		schema_sql_index(&l->b, s, t, &t->indexes[i]);
		end_line(l);
	}
	for (size_t f = 0; f < t->nfkeys; f++) {
		schema_sql_fkey(&l->b, s, t, &t->fkeys[f], false);
		end_line(l);
	}
}

static void target_lines(struct lines *l, const struct schema *s)
{
	buf_printf(&l->b, "target schema %s", s->name);
	end_line(l);
	for (size_t i = 0; i < s->nenums; i++) {
		schema_sql_enum(&l->b, s, &s->enums[i]);
		end_line(l);
	}
	for (size_t i = 0; i < s->ntables; i++)
		table_lines(l, s, &s->tables[i]);
}

static void output_lines(struct lines *l, const struct plan *p, const struct plan_collection *c,
			 const struct plan_output *o)
{
	static const char *const feeds[] = {[PLAN_FEED_SLOT] = "",
					    [PLAN_FEED_ID] = "_id",
					    [PLAN_FEED_PARENT] = "the key of the row above",
					    [PLAN_FEED_ORDINAL] = "the element's position",
					    [PLAN_FEED_ROW_KEY] = "the key of the row above and the position",
					    [PLAN_FEED_UNMAPPED] = "the fields that are not mapped",
					    [PLAN_FEED_NOTHING] = "nothing"};
	const char *array = c->scopes[o->scope].path_text;
	for (size_t i = 0; i < o->ncolumns; i++) {
		const struct plan_column *pc = &o->columns[i];
		buf_printf(&l->b, "%s.%s is fed by %s", p->schema.tables[o->copy.table].name, pc->column->name,
			   c->name);
		if (o->kind == PLAN_OUTPUT_CHILD)
			buf_printf(&l->b, " %s[]", array != NULL ? array : "");
		buf_printf(&l->b, " %s",
			   pc->feed == PLAN_FEED_SLOT && pc->path_text != NULL ? pc->path_text : feeds[pc->feed]);
		end_line(l);
	}
}

/* Which documents an entry takes; filters are compared by what they say, not shown. */
static void put_part(struct lines *l, const struct map_collection *k)
{
	uint8_t digest[32];
	char hex[65];
	if (strcmp(k->name, k->source) != 0)
		buf_printf(&l->b, ", of collection %s", k->source);
	if (k->where == NULL)
		return;
	sha256(k->where, k->nwhere, digest);
	text_hex(digest, sizeof digest, hex);
	buf_printf(&l->b, ", where (filter %.12s)", hex);
}

static void collection_lines(struct lines *l, const struct plan *p, const struct plan_collection *c)
{
	buf_printf(&l->b, "collection %s into %s, ids %s, order of old UUIDs %d", c->name,
		   p->schema.tables[c->outputs[0].copy.table].name, map_id_word(c->id_rule), (int)c->map->uuid_order);
	put_part(l, c->map);
	end_line(l);
	for (size_t o = 0; o < c->noutputs; o++)
		output_lines(l, p, c, &c->outputs[o]);
}

static void put_side(struct lines *l, const struct map_side *s)
{
	const char *path = s->npath > 0 ? map_path_text(l->arena, s->path, s->npath) : NULL;
	buf_printf(&l->b, " %s.%s as %s", s->collection, path != NULL ? path : "(nothing)", s->column);
}

static void junction_lines(struct lines *l, const struct map_junction *j)
{
	buf_printf(&l->b, "junction %s of", j->table);
	put_side(l, &j->left);
	buf_puts(&l->b, " and");
	put_side(l, &j->right);
	buf_printf(&l->b, ", sides %s", map_sides_word(j->sides));
	end_line(l);
}

static int by_text(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static void write_lines(struct lines *l, const struct plan *p)
{
	char hex[33];
	*l = (struct lines){.arena = arena_new()};
	buf_init(&l->b, 0);
	text_hex(p->mapping->id_namespace, 16, hex);
	buf_printf(&l->b, "namespace of ids %s", hex);
	end_line(l);
	target_lines(l, &p->schema);
	for (size_t c = 0; c < p->ncollections; c++)
		collection_lines(l, p, &p->collections[c]);
	for (size_t j = 0; j < p->njunctions; j++)
		junction_lines(l, p->junctions[j].map);
	qsort(l->list, l->n, sizeof *l->list, by_text);
}

static void free_lines(struct lines *l)
{
	free(l->list);
	buf_free(&l->b);
	arena_free(l->arena);
}

bool plan_same_structure(const struct plan *a, const struct plan *b, struct buf *report)
{
	struct lines x, y;
	size_t i = 0, k = 0;
	bool same = true;
	write_lines(&x, a);
	write_lines(&y, b);
	while (i < x.n || k < y.n) {
		int c = i == x.n ? 1 : k == y.n ? -1 : strcmp(x.list[i], y.list[k]);
		if (c != 0) {
			buf_printf(report, "%s%c %s", report->len > 0 ? "\n" : "", c < 0 ? '-' : '+',
				   c < 0 ? x.list[i] : y.list[k]);
			same = false;
		}
		i += c <= 0;
		k += c >= 0;
	}
	free_lines(&x);
	free_lines(&y);
	return same;
}

/* mapping_show.c - a mapping as text for people: what becomes what, and by which policies. */
#include <stdlib.h>

#include "map_private.h"
#include "matrix.h"
#include "plan.h"
#include "text.h"

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

/* ---- policies: what is in force, and from where ---- */

/* Put behind each other on one line under their column: "      accept: hex-id (mapping); json: plain (column)". */
struct list {
	struct buf *out;
	struct arena *arena;
	const struct map_column *of;
	bool any;
};

static void begin_policy(struct list *l, const char *key)
{
	buf_printf(l->out, "%s%s: ", l->any ? "; " : "      ", key);
	l->any = true;
}

static const char *level_of(unsigned at_column, unsigned at_collection, unsigned bit)
{
	return (at_column & bit) != 0 ? "column" : (at_collection & bit) != 0 ? "collection" : "mapping";
}

static void end_policy(struct list *l, unsigned bit)
{
	buf_printf(l->out, " (%s)", level_of(l->of->given, l->of->from_collection, bit));
}

static bool is_in_force(const struct map_column *k, unsigned bit)
{
	return ((k->given | k->from_collection | k->from_mapping) & bit) != 0;
}

static void show_value(struct list *l, const char *key, const struct map_value *v, unsigned bit)
{
	if (!is_in_force(l->of, bit))
		return;
	begin_policy(l, key);
	for (const char *before = ""; v != NULL; v = v->otherwise, before = ", else ") {
		buf_puts(l->out, before);
		if (v->kind == MAP_VALUE_LITERAL)
			buf_printf(l->out, "'%s'", v->literal);
		else if (v->kind == MAP_VALUE_PATH)
			buf_printf(l->out, "value of %s", map_path_text(l->arena, v->path, v->npath));
		else
			buf_puts(l->out, v->kind == MAP_VALUE_ID_TIME ? "$id_time"
					 : v->kind == MAP_VALUE_NULL  ? "null"
								      : "reject");
	}
	end_policy(l, bit);
}

static void show_accept_words(struct buf *out, unsigned accept)
{
	const char *before = "";
	for (size_t i = 0; i < map_words_accept.n; i++)
		if ((accept & (unsigned)map_words_accept.list[i].value) != 0) {
			buf_printf(out, "%s%s", before, map_words_accept.list[i].word);
			before = ", ";
		}
}

static void show_accept(struct list *l)
{
	unsigned own = l->of->accept & ~l->of->accept_of_key;
	if (is_in_force(l->of, MAP_GIVEN_ACCEPT)) {
		begin_policy(l, "accept");
		show_accept_words(l->out, own);
		buf_puts(l->out, own == 0 ? "nothing more" : "");
		end_policy(l, MAP_GIVEN_ACCEPT);
	}
	if (l->of->accept_of_key == 0)
		return;
	begin_policy(l, "accept");
	show_accept_words(l->out, l->of->accept_of_key);
	buf_printf(l->out, " (as the key of %s does)", l->of->references.table);
}

static void show_bson(struct list *l)
{
	const char *before = "";
	if (!is_in_force(l->of, MAP_GIVEN_BSON))
		return;
	begin_policy(l, "bson");
	for (unsigned kind = 1; kind < MATRIX_KINDS; kind++)
		if ((l->of->bson & 1u << kind) != 0) {
			buf_printf(l->out, "%s%s", before, matrix_kind_name(kind));
			before = ", ";
		}
	end_policy(l, MAP_GIVEN_BSON);
}

static void show_labels(struct list *l)
{
	if (!is_in_force(l->of, MAP_GIVEN_LABELS))
		return;
	begin_policy(l, "labels");
	for (size_t i = 0; i < l->of->nlabels; i++)
		buf_printf(l->out, "%s'%s' -> '%s'", i > 0 ? ", " : "", l->of->labels[i].from, l->of->labels[i].to);
	end_policy(l, MAP_GIVEN_LABELS);
}

static void show_word(struct list *l, const char *key, const char *word, unsigned bit)
{
	if (!is_in_force(l->of, bit))
		return;
	begin_policy(l, key);
	buf_puts(l->out, word);
	end_policy(l, bit);
}

static const char *level_of_reference(const struct map_column *k, unsigned bit)
{
	const struct map_reference *r = &k->references;
	unsigned all = r->given | k->from_collection | k->from_mapping;
	return (all & bit) != 0 ? level_of(r->given, k->from_collection, bit) : "default";
}

static void show_orphans(struct list *l)
{
	const struct map_reference *r = &l->of->references;
	if (r->table == NULL || (!r->constraint && (r->given & MAP_GIVEN_IF_ORPHAN) == 0))
		return;
	begin_policy(l, "orphans");
	buf_puts(l->out, map_orphan_word(r->if_orphan));
	if (r->if_orphan == ORPHAN_MOVE_TO)
		buf_printf(l->out, " %s, else %s", r->move_to, map_orphan_word(r->otherwise));
	buf_printf(l->out, " (%s)", level_of_reference(l->of, MAP_GIVEN_IF_ORPHAN));
}

static void show_action(struct list *l, const char *key, enum fk_action action, unsigned bit)
{
	const struct map_reference *r = &l->of->references;
	unsigned all = r->given | l->of->from_collection | l->of->from_mapping;
	if (r->table == NULL || !r->constraint || (all & bit) == 0)
		return;
	begin_policy(l, key);
	for (const char *s = fk_action_sql(action); *s != '\0'; s++) /* as the mapping writes it */
		buf_putc(l->out, (char)(*s >= 'A' && *s <= 'Z' ? *s | 0x20 : *s));
	buf_printf(l->out, " (%s)", level_of_reference(l->of, bit));
}

static void show_policies(struct buf *out, struct arena *a, const struct map_column *k)
{
	struct list l = {.out = out, .arena = a, .of = k};
	show_value(&l, "if_missing", &k->if_missing, MAP_GIVEN_IF_MISSING);
	show_value(&l, "if_null", &k->if_null, MAP_GIVEN_IF_NULL);
	show_value(&l, "if_invalid", &k->if_invalid, MAP_GIVEN_IF_INVALID);
	show_accept(&l);
	show_bson(&l);
	show_labels(&l);
	show_word(&l, "fold_case", k->fold_case ? "true" : "false", MAP_GIVEN_FOLD_CASE);
	show_word(&l, "encoding", map_encoding_word(k->encoding), MAP_GIVEN_ENCODING);
	show_word(&l, "json", map_json_word(k->json), MAP_GIVEN_JSON);
	show_word(&l, "duplicate_keys", map_duplicate_word(k->duplicate_keys), MAP_GIVEN_DUPLICATE_KEYS);
	show_word(&l, "uuid_order", map_uuid_order_word(k->uuid_order), MAP_GIVEN_UUID_ORDER);
	show_orphans(&l);
	show_action(&l, "on_delete", k->references.on_delete, MAP_GIVEN_ON_DELETE);
	show_action(&l, "on_update", k->references.on_update, MAP_GIVEN_ON_UPDATE);
	if (l.any)
		buf_putc(out, '\n');
}

/* The column of unmapped: keep has those of the collection that are about JSON. */
static void show_leftover_policies(struct buf *out, struct arena *a, const struct map_policies *p)
{
	const unsigned bits = MAP_GIVEN_ENCODING | MAP_GIVEN_JSON | MAP_GIVEN_DUPLICATE_KEYS;
	const struct map_column as_if = {.encoding = p->encoding,
					 .json = p->json,
					 .duplicate_keys = p->duplicate_keys,
					 .from_collection = p->own & bits,
					 .from_mapping = p->given & bits};
	show_policies(out, a, &as_if);
}

/* ---- columns ---- */

static void show_source(struct buf *out, const struct plan_column *pc)
{
	static const char *const others[] = {[PLAN_FEED_PARENT] = "the key of the row above",
					     [PLAN_FEED_ORDINAL] = "the element's position",
					     [PLAN_FEED_ROW_KEY] =
						     "made of the key of the row above and the position",
					     [PLAN_FEED_UNMAPPED] = "the fields that are not mapped"};
	if (pc == NULL)
		buf_puts(out, " <- nothing");
	else if (pc->feed == PLAN_FEED_VALUE)
		buf_printf(out, " <- always '%s'", pc->map->value);
	else if (pc->feed == PLAN_FEED_ID || pc->feed == PLAN_FEED_SLOT)
		buf_printf(out, " <- %s", pc->path_text);
	else
		buf_printf(out, " <- %s", others[pc->feed]);
}

static void show_column(struct buf *out, struct arena *a, const struct plan_collection *k,
			const struct schema_table *t, size_t at, const struct plan_column *pc)
{
	const struct schema_column *c = &t->columns[at];
	struct buf type;
	buf_init(&type, 0);
	pgtype_sql(&type, &c->type, NULL);
	buf_printf(out, "  %-24s %s%s%s", c->name, buf_cstr(&type), schema_in_key(t, (int)at) ? " primary key" : "",
		   c->not_null && !schema_in_key(t, (int)at) ? " not null" : "");
	buf_free(&type);
	if (c->generated_sql != NULL)
		buf_printf(out, " generated by %s", c->generated_sql);
	else
		show_source(out, pc);
	if (pc != NULL && pc->map != NULL && pc->map->references.table != NULL)
		buf_printf(out, " -> %s%s", pc->map->references.table,
			   pc->map->references.constraint ? "" : " (no constraint)");
	buf_putc(out, '\n');
	if (pc != NULL && pc->map != NULL)
		show_policies(out, a, pc->map);
	else if (pc != NULL && pc->feed == PLAN_FEED_UNMAPPED)
		show_leftover_policies(out, a, &k->map->policies);
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

static void show_limit(struct buf *out, const struct map_collection *k)
{
	const struct map_limit *l = &k->max_rejects;
	const char *level = (k->given & MAP_GIVEN_MAX_REJECTS) != 0 ? "collection" : "mapping";
	if (!l->is_given)
		return;
	if (l->percent > 0)
		buf_printf(out, "; max_rejects: %g%% (%s)", l->percent, level);
	else
		buf_printf(out, "; max_rejects: %llu (%s)", (unsigned long long)l->n, level);
}

/* From where the word about unmapped fields comes. */
static const char *unmapped_level(const struct plan *p, const struct plan_collection *k, const struct plan_output *o)
{
	return o->unmapped_here                            ? (o->kind == PLAN_OUTPUT_MAIN ? "collection" : "child")
	       : (k->map->given & MAP_GIVEN_UNMAPPED) != 0 ? "collection"
	       : (p->mapping->given & MAP_GIVEN_UNMAPPED) != 0 ? "mapping"
							       : "default";
}

static void show_output(struct buf *out, struct arena *a, const struct plan *p, const struct plan_collection *k,
			const struct plan_output *o)
{
	const struct schema_table *t = &p->schema.tables[o->copy.table];
	buf_printf(out, "table %s from %s%s%s%s; unmapped fields: %s (%s)", t->name, k->name,
		   o->kind == PLAN_OUTPUT_CHILD ? ", elements of " : "",
		   o->kind == PLAN_OUTPUT_CHILD ? k->scopes[o->scope].path_text : "",
		   k->map->optional ? " (optional)" : "", map_unmapped_word(o->unmapped), unmapped_level(p, k, o));
	if (o->kind == PLAN_OUTPUT_MAIN)
		show_limit(out, k->map);
	buf_putc(out, '\n');
	for (size_t i = 0; i < t->ncolumns; i++)
		show_column(out, a, k, t, i, feed_of(o, i));
	show_indexes(out, &p->schema, t);
	buf_putc(out, '\n');
}

static void show_side(struct buf *out, struct arena *a, const struct map_side *s)
{
	buf_printf(out, "  %-24s ids of %s", s->column, s->collection);
	if (s->npath > 0)
		buf_printf(out, ", which keeps a list in %s", map_path_text(a, s->path, s->npath));
	buf_putc(out, '\n');
	if (s->npath == 0 || s->accept == 0)
		return;
	buf_puts(out, "      accept: ");
	show_accept_words(out, s->accept);
	buf_puts(out, (s->given & MAP_GIVEN_ACCEPT) != 0 ? " (side, and as the key does)\n"
							 : " (policies, and as the key does)\n");
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

static void show_domains(struct buf *out, const struct schema *s)
{
	for (size_t i = 0; i < s->ndomains; i++) {
		const struct schema_domain *d = &s->domains[i];
		buf_printf(out, "domain %s: ", d->name);
		pgtype_sql(out, &d->type, NULL);
		buf_puts(out, d->not_null ? " not null" : "");
		if (d->check != NULL)
			buf_printf(out, " check (%s)", d->check);
		buf_putc(out, '\n');
	}
	if (s->ndomains > 0)
		buf_putc(out, '\n');
}

void mapping_show(struct buf *out, const struct plan *p)
{
	struct arena *a = arena_new();
	buf_printf(out, "mapping %s: ", p->mapping->name);
	mapping_show_totals(out, p);
	buf_printf(out, "\nschema %s; ids: %s\n", p->schema.name, map_id_word(p->mapping->id));
	buf_puts(out, "policies stand under their column with the level that they come from; those not shown are at "
		      "their defaults\n\n");
	show_enums(out, &p->schema);
	show_domains(out, &p->schema);
	for (size_t i = 0; i < p->ncollections; i++)
		for (size_t k = 0; k < p->collections[i].noutputs; k++)
			if (p->collections[i].outputs[k].kind != PLAN_OUTPUT_PAIRS)
				show_output(out, a, p, &p->collections[i], &p->collections[i].outputs[k]);
	for (size_t i = 0; i < p->njunctions; i++)
		show_junction(out, a, p, i);
	arena_free(a);
}

/* Tables of one phase; "then" is between those of two steps. */
static void show_phase(struct buf *out, const struct schema *s, const struct schema_order *o, size_t phase)
{
	const struct schema_phase *p = &o->phases[phase];
	buf_printf(out, "phase %zu, %s:", phase + 1, p->name);
	for (size_t i = 0; i < p->ntables; i++) {
		int t = p->tables[i];
		bool is_new = i > 0 && o->step[t] != o->step[p->tables[i - 1]];
		buf_printf(out, "%s%s%s",
			   i == 0   ? " "
			   : is_new ? "; then "
				    : ", ",
			   s->tables[t].name, o->circle[t] ? " (in a circle)" : "");
	}
	buf_putc(out, '\n');
}

void mapping_show_phases(struct buf *out, const struct plan *p)
{
	struct arena *a = arena_new();
	struct schema_order o = schema_order(&p->schema, a);
	for (size_t i = 0; i < o.nphases; i++)
		show_phase(out, &p->schema, &o, i);
	arena_free(a);
}

static void phase_json(struct buf *out, const struct schema *s, const struct schema_order *o, size_t phase)
{
	const struct schema_phase *p = &o->phases[phase];
	buf_printf(out, "%s\n {\"phase\":%zu,\"name\":", phase > 0 ? "," : "", phase + 1);
	text_json_string(out, p->name, strlen(p->name));
	buf_puts(out, ",\"steps\":[[");
	for (size_t i = 0; i < p->ntables; i++) {
		const char *name = s->tables[p->tables[i]].name;
		bool is_new = i > 0 && o->step[p->tables[i]] != o->step[p->tables[i - 1]];
		buf_puts(out, i == 0 ? "" : is_new ? "],[" : ",");
		text_json_string(out, name, strlen(name));
	}
	buf_puts(out, "]]}");
}

void mapping_show_phases_json(struct buf *out, const struct plan *p)
{
	struct arena *a = arena_new();
	struct schema_order o = schema_order(&p->schema, a);
	buf_puts(out, "{\"phases\":[");
	for (size_t i = 0; i < o.nphases; i++)
		phase_json(out, &p->schema, &o, i);
	buf_puts(out, "\n]}\n");
	arena_free(a);
}

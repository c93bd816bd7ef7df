/* map_schema.c - the model of the mapping into the model of the target; finds what does not fit together.
 *
 * Tables first (so that everything can be looked up), then indexes, references and junctions, names last.
 */
#include <stdlib.h>

#include "map_private.h"

int find_collection(const struct mapping *m, const char *name)
{
	int found = -1;
	for (size_t i = 0; name != NULL && i < m->ncollections; i++)
		if (m->collections[i].name != NULL && strcmp(m->collections[i].name, name) == 0)
			return (int)i;
	for (size_t i = 0; name != NULL && i < m->ncollections; i++) {
		if (m->collections[i].source == NULL || strcmp(m->collections[i].source, name) != 0)
			continue;
		if (found >= 0)
			return -1; /* which of its entries? */
		found = (int)i;
	}
	return found;
}

const struct map_column *key_column(const struct map_collection *k)
{
	for (size_t i = 0; i < k->ncolumns; i++)
		if (map_is_key_column(k, &k->columns[i]))
			return &k->columns[i];
	return NULL;
}

/* ---- the mapping as a whole ---- */

static void check_enum(struct schema_builder *b, const struct schema_enum *e)
{
	int line = 0, col = 0;
	map_position(b->m, &e->name, &line, &col);
	if (e->nlabels == 0 && e->labels != NULL)
		complain_field(b->c, b->m, &e->labels, line, col, "enum \"%s\" has no labels", e->name);
	for (size_t i = 0; i < e->nlabels; i++) {
		if (strlen(e->labels[i]) > MAP_NAME_MAX)
			complain_field(b->c, b->m, &e->labels[i], line, col,
				       "label \"%s\" has %zu bytes, PostgreSQL takes %d", e->labels[i],
				       strlen(e->labels[i]), MAP_NAME_MAX);
		for (size_t j = 0; j < i; j++)
			if (strcmp(e->labels[i], e->labels[j]) == 0) {
				complain_field(b->c, b->m, &e->labels[i], line, col,
					       "label \"%s\" stands twice in enum \"%s\"", e->labels[i], e->name);
				break;
			}
	}
}

static void build_enums(struct schema_builder *b)
{
	const struct mapping *m = b->m;
	b->s->enums = arena_alloc(b->arena, (m->nenums + 1) * sizeof *b->s->enums);
	b->s->nenums = m->nenums;
	for (size_t i = 0; i < m->nenums; i++) {
		b->s->enums[i] = m->enums[i];
		if (m->enums[i].name != NULL)
			check_enum(b, &m->enums[i]);
	}
}

static void check_target(struct schema_builder *b)
{
	const char *name = b->m->target_schema;
	if (strcmp(name, "docrow") == 0)
		complain_field(b->c, b->m, &b->m->target_schema, 0, 0,
			       "schema docrow is where docrow keeps its state; the target needs another one");
	if (strncmp(name, "pg_", 3) == 0 || strcmp(name, "information_schema") == 0)
		complain_field(b->c, b->m, &b->m->target_schema, 0, 0, "schema %s belongs to PostgreSQL", name);
	if (strlen(name) > MAP_NAME_MAX)
		complain_field(b->c, b->m, &b->m->target_schema, 0, 0,
			       "the schema's name has %zu bytes, PostgreSQL keeps %d", strlen(name), MAP_NAME_MAX);
	if (b->m->ncollections == 0)
		complain_field(b->c, b->m, &b->m->collections, 0, 0, "a mapping needs at least one collection");
}

/* ---- collections ---- */

static void check_collection_key(struct schema_builder *b, const struct map_collection *k)
{
	bool keyed = false, unread = false;
	for (size_t i = 0; i < k->ncolumns; i++) {
		const struct map_column *col = &k->columns[i];
		keyed |= col->primary_key;
		unread |= has_complaint(b->c, b->m, &col->primary_key);
		if (col->is_id && col->primary_key && !map_id_fits(k->id, &col->type))
			complain_field(b->c, b->m, &col->type, col->line, col->col,
				       "id: %s does not give values of the type of column \"%s\"", map_id_word(k->id),
				       col->name);
	}
	if (k->keyless && keyed)
		complain_field(b->c, b->m, &k->keyless, k->line, k->col,
			       "keyless says that the table has no primary key, but a column is one");
	if (!k->keyless && !keyed && !unread && k->ncolumns > 0)
		complain(b->c, k->line, k->col,
			 "table \"%s\" has no primary key: say primary_key: true at the column that takes _id, or "
			 "keyless: true",
			 k->table);
}

static void complain_twice(struct schema_builder *b, const struct map_collection *k,
			   const struct map_collection *first)
{
	if (k->source != NULL && first->source != NULL && strcmp(k->source, first->source) == 0)
		complain_field(b->c, b->m, &k->source, k->line, k->col,
			       "collection \"%s\" stands twice for table \"%s\", first in line %d: give each entry a "
			       "name of its own",
			       k->source, k->table, first->line);
	else
		complain_field(b->c, b->m, &k->name, k->line, k->col,
			       "the name \"%s\" is taken by the collection in line %d", k->name, first->line);
}

/* Two collections may feed one table, but not because the style, or the cut of a long name, made one of two names. */
static void check_made_table(struct schema_builder *b, size_t at)
{
	const struct map_collection *k = &b->m->collections[at];
	for (size_t i = 0; k->table != NULL && k->source != NULL && i < at; i++) {
		const struct map_collection *o = &b->m->collections[i];
		if (o->table == NULL || o->source == NULL || strcmp(o->table, k->table) != 0 ||
		    strcmp(o->source, k->source) == 0)
			continue;
		bool meant = (!k->table_made || strcmp(k->table, k->source) == 0) &&
			     (!o->table_made || strcmp(o->table, o->source) == 0);
		if (!meant)
			complain_field(b->c, b->m, &k->source, k->line, k->col,
				       "collections \"%s\" and \"%s\" (line %d) would both feed table \"%s\": say "
				       "table at both if that is meant, else give one another table",
				       k->source, o->source, o->line, k->table);
	}
}

/* That every document goes to several places must be asked for. */
static void check_where(struct schema_builder *b, size_t at)
{
	const struct map_collection *k = &b->m->collections[at];
	bool all = k->source != NULL && k->where == NULL && !has_complaint(b->c, b->m, &k->where);
	for (size_t i = 0; all && i < b->m->ncollections; i++) {
		const struct map_collection *o = &b->m->collections[i];
		if (i == at || o->source == NULL || strcmp(o->source, k->source) != 0)
			continue;
		complain_field(
			b->c, b->m, &k->source, k->line, k->col,
			"collection \"%s\" stands in line %d, too: each of its entries needs a where ({} takes "
			"all documents)",
			k->source, o->line);
		return;
	}
}

static void check_collection(struct schema_builder *b, size_t at)
{
	const struct map_collection *k = &b->m->collections[at];
	if (k->name == NULL)
		return;
	int first = find_collection(b->m, k->name);
	if (first < (int)at)
		complain_twice(b, k, &b->m->collections[first]);
	if (k->source != NULL && strncmp(k->source, "system.", 7) == 0)
		complain_field(b->c, b->m, &k->source, k->line, k->col, "collection \"%s\" belongs to MongoDB itself",
			       k->source);
	check_made_table(b, at);
	check_where(b, at);
	map_check_policy_labels(b->m, &k->policies, b->c);
	check_collection_key(b, k);
}

/* A column that takes the element itself takes all of it. */
static void check_child_unmapped(struct schema_builder *b, const struct map_child *ch)
{
	for (size_t i = 0; i < ch->ncolumns; i++)
		if ((ch->given & MAP_GIVEN_UNMAPPED) != 0 && ch->columns[i].nfrom == 0 &&
		    (ch->columns[i].given & MAP_GIVEN_FROM) != 0 && !ch->columns[i].no_source)
			complain_field(b->c, b->m, &ch->unmapped, ch->line, ch->col,
				       "unmapped means nothing here: column \"%s\" takes the whole element",
				       ch->columns[i].name);
}

static void check_owner(struct schema_builder *b, const struct map_owner *o)
{
	bool bare = o->child == NULL || (o->child->ordinal == NULL && o->child->key == NULL);
	if (o->ncolumns == 0 && o->columns != NULL && bare)
		complain(b->c, o->line, o->col, "table \"%s\" has no columns", o->table != NULL ? o->table : "?");
	if (o->child != NULL && o->child->nfrom == 0 && o->child->from == NULL)
		return; /* told by the reader */
	if (o->child != NULL)
		check_child_unmapped(b, o->child);
	if (o->child != NULL && o->child->nfrom == 0)
		complain_field(b->c, b->m, &o->child->from, o->line, o->col,
			       "from of a child table is the path of an array");
	for (size_t i = 0; i < o->ncolumns; i++) {
		const struct map_column *col = &o->columns[i];
		map_check_column(b->m, col, map_role(b->m, o, col), b->c);
		if (o->child == NULL && col->name != NULL && col->nfrom == 0 && col->from != NULL && !col->no_source)
			complain_field(b->c, b->m, &col->from, col->line, col->col,
				       "from: \".\" or [], the element itself, is for columns of child tables");
	}
}

/* ---- a part of the mapping ---- */

static bool is_out(const struct schema_builder *b, const struct map_collection *k)
{
	return b->part != NULL && b->part->out[k - b->m->collections];
}

/* A table is made when at least one collection that feeds it is in; then it is made whole, so that the table does not
 * depend on which of them it is. */
static bool is_made(const struct schema_builder *b, const struct map_owner *o)
{
	bool made = !is_out(b, o->collection);
	for (size_t i = 0; !made && i < b->nowners; i++) {
		const struct map_owner *other = &b->owners[i];
		made = (other->child == NULL) == (o->child == NULL) && other->table != NULL &&
		       strcmp(other->table, o->table) == 0 && !is_out(b, other->collection);
	}
	return made;
}

bool is_left_out(const struct schema_builder *b, const char *table)
{
	for (size_t i = 0; b->part != NULL && i < b->nowners; i++)
		if (b->owners[i].table != NULL && strcmp(b->owners[i].table, table) == 0 && b->owner_table[i] < 0)
			return true;
	return false;
}

void add_plan_name(struct arena *a, struct plan_names *l, const char *text)
{
	const char **more = arena_alloc(a, (l->n + 1) * sizeof *more);
	if (l->n > 0)
		memcpy(more, l->list, l->n * sizeof *more);
	more[l->n++] = text;
	l->list = more;
}

static bool side_is_out(const struct schema_builder *b, const struct map_side *s)
{
	int at = find_collection(b->m, s->collection);
	return at >= 0 && is_out(b, &b->m->collections[at]);
}

static void choose_junctions(struct schema_builder *b)
{
	b->junctions = arena_alloc(b->arena, (b->m->njunctions + 1) * sizeof *b->junctions);
	for (size_t i = 0; i < b->m->njunctions; i++) {
		const struct map_junction *j = &b->m->junctions[i];
		bool left = side_is_out(b, &j->left), right = side_is_out(b, &j->right);
		if (!left && !right)
			b->junctions[b->njunctions++] = j;
		else
			add_plan_name(b->arena, b->part->junctions,
				      arena_printf(b->arena, "%s (%s%s%s left out)", j->table,
						   left ? j->left.collection : "", left && right ? " and " : "",
						   right ? j->right.collection : ""));
	}
}

/* ---- tables ---- */

static void add_feeder(struct schema_builder *b, struct schema_table *t, const struct map_owner *o)
{
	struct plan_names l = {t->feeders, t->nfeeders};
	if (is_out(b, o->collection))
		return;
	add_plan_name(b->arena, &l, o->collection->name);
	t->feeders = l.list;
	t->nfeeders = l.n;
	t->collection = l.list[0];
}

/* Several collections may feed one table, and one child table where their rows are of one table. Arrays of one
 * document may not: nothing would tell their elements apart. */
static bool can_share(const struct schema_builder *b, const struct map_owner *o, const struct map_owner *first)
{
	if (o->child == NULL || first->child == NULL)
		return o->child == NULL && first->child == NULL;
	return o->collection != first->collection && b->owner_table[o->parent] >= 0 &&
	       b->owner_table[o->parent] == b->owner_table[first->parent];
}

static int table_of_owner(struct schema_builder *b, size_t owner)
{
	const struct map_owner *o = &b->owners[owner];
	if (o->table == NULL || !is_made(b, o))
		return -1;
	int known = schema_find_table(b->s, o->table);
	if (known < 0) {
		struct schema_table *t = &b->s->tables[b->s->ntables];
		t->name = o->table;
		b->table_owner[b->s->ntables] = (int)owner;
		return (int)b->s->ntables++;
	}
	const struct map_owner *first = &b->owners[b->table_owner[known]];
	if (can_share(b, o, first))
		return known;
	if (o->child != NULL && first->child != NULL && o->collection != first->collection)
		complain(b->c, o->line, o->col,
			 "table \"%s\" is made in line %d, too: several collections may feed one child table only "
			 "where its rows hang on one table",
			 o->table, first->line);
	else
		complain(b->c, o->line, o->col, "table \"%s\" is made twice, first in line %d", o->table,
			 first->line);
	return -1;
}

static void make_room(struct schema_builder *b)
{
	size_t most = b->nowners + b->njunctions, indexes = 0;
	for (size_t i = 0; i < b->nowners; i++)
		indexes += b->owners[i].nindexes;
	for (size_t i = 0; i < b->njunctions; i++)
		indexes += b->junctions[i]->nindexes;
	b->placed = arena_alloc(b->arena, (indexes + 1) * sizeof *b->placed);
	b->s->tables = arena_alloc(b->arena, (most + 1) * sizeof *b->s->tables);
	b->table_owner = arena_alloc(b->arena, (most + 1) * sizeof *b->table_owner);
	b->owner_table = arena_alloc(b->arena, (b->nowners + 1) * sizeof *b->owner_table);
}

static void build_tables(struct schema_builder *b)
{
	make_room(b);
	for (size_t i = 0; i < b->nowners; i++) {
		int t = b->owner_table[i] = table_of_owner(b, i);
		check_owner(b, &b->owners[i]);
		if (t >= 0 && b->table_owner[t] == (int)i)
			build_table(b, i, &b->s->tables[t]);
		else if (t >= 0)
			check_same_shape(b, (size_t)b->table_owner[t], i);
		if (t >= 0)
			add_feeder(b, &b->s->tables[t], &b->owners[i]);
	}
}

static void build_all_indexes(struct schema_builder *b)
{
	for (size_t i = 0; i < b->nowners; i++) {
		const struct map_owner *o = &b->owners[i];
		if (b->owner_table[i] >= 0)
			build_indexes(b, &b->s->tables[b->owner_table[i]], o->indexes, o->nindexes);
	}
}

void map_schema_build(struct schema *s, struct arena *a, const struct mapping *m, const struct map_part *part,
		      struct complaints *c)
{
	struct schema_builder b = {.s = s, .arena = a, .m = m, .part = part, .c = c};
	*s = (struct schema){.name = m->target_schema, .owner = m->owner, .grants = m->grants, .ngrants = m->ngrants};
	b.owners = map_owners(a, m, &b.nowners);
	check_target(&b);
	map_check_policy_labels(m, &m->policies, c);
	map_warn_policies(m, b.owners, b.nowners, c->warnings);
	build_enums(&b);
	s->domains = m->domains;
	s->ndomains = m->ndomains;
	for (size_t i = 0; i < m->ncollections; i++)
		check_collection(&b, i);
	choose_junctions(&b);
	build_tables(&b);
	int first_junction = (int)s->ntables;
	build_junction_tables(&b);
	check_sizes(&b);
	build_all_indexes(&b);
	build_references(&b);
	build_junctions(&b, first_junction);
	build_phases(&b);
	check_names(&b);
}

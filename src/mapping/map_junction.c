/* map_junction.c - junction tables: two columns, the primary key over both, a foreign key for each. */
#include "map_private.h"

static const struct pgtype unknown_type = {
	.base = PGT_COUNT, .length = -1, .precision = -1, .scale = 0, .enum_index = -1};

static bool stands_several_times(const struct mapping *m, const char *source)
{
	for (size_t i = 0; i < m->ncollections; i++)
		if (m->collections[i].source != NULL && strcmp(m->collections[i].source, source) == 0)
			return true;
	return false;
}

/* Type of the key of the side's collection; complains when there is none. */
static const struct pgtype *side_type(struct schema_builder *b, const struct map_side *s)
{
	int at = find_collection(b->m, s->collection);
	if (s->collection == NULL)
		return &unknown_type;
	if (at < 0) {
		const char **known = arena_alloc(b->arena, (b->m->ncollections + 1) * sizeof *known);
		for (size_t i = 0; i < b->m->ncollections; i++)
			known[i] = b->m->collections[i].name;
		complain_field(
			b->c, b->m, &s->collection, s->line, s->col,
			stands_several_times(b->m, s->collection)
				? "collection \"%s\" stands several times: give the name of one of its entries%s"
				: "collection \"%s\" is not in the mapping%s",
			s->collection, map_suggest(b->arena, s->collection, known, b->m->ncollections));
		return &unknown_type;
	}
	const struct map_column *key = key_column(&b->m->collections[at]);
	if (key == NULL || !key->primary_key) {
		complain_field(b->c, b->m, &s->collection, s->line, s->col,
			       "a junction needs a primary key of collection \"%s\" that is _id", s->collection);
		return &unknown_type;
	}
	return &key->type;
}

static void check_sides(struct schema_builder *b, const struct map_junction *j)
{
	bool left = j->left.npath > 0, right = j->right.npath > 0;
	const struct map_side *both[] = {&j->left, &j->right};
	for (size_t i = 0; i < 2; i++)
		if (both[i]->path != NULL && both[i]->npath == 0)
			complain_field(b->c, b->m, &both[i]->path, j->line, j->col, "path is the path of an array");
	if (j->left.path == NULL && j->right.path == NULL)
		complain(b->c, j->line, j->col, "a junction needs the path of an array on at least one side");
	else if ((j->sides == PAIRS_INTERSECT && !(left && right)) || (j->sides == PAIRS_LEFT && !left) ||
		 (j->sides == PAIRS_RIGHT && !right))
		complain_field(b->c, b->m, &j->sides, j->line, j->col, "sides: %s needs the path of an array on %s",
			       map_sides_word(j->sides), j->sides == PAIRS_INTERSECT ? "both sides" : "that side");
	if (j->left.column != NULL && j->right.column != NULL && strcmp(j->left.column, j->right.column) == 0)
		complain_field(b->c, b->m, &j->right.column, j->line, j->col, "both sides have the column \"%s\"",
			       j->right.column);
	if (j->on_delete == FK_SET_NULL || j->on_delete == FK_SET_DEFAULT || j->on_update == FK_SET_NULL ||
	    j->on_update == FK_SET_DEFAULT)
		complain_field(
			b->c, b->m,
			j->on_delete == FK_SET_NULL || j->on_delete == FK_SET_DEFAULT ? (const void *)&j->on_delete
										      : (const void *)&j->on_update,
			j->line, j->col, "the columns of a junction are its key, they cannot be set to anything");
}

static void check_side_accept(struct schema_builder *b, const struct map_side *s)
{
	unsigned odd = s->accept & ~(unsigned)(MAP_ACCEPT_OF_IDS | MAP_ACCEPT_SCALAR_ARRAY);
	for (size_t i = 0; i < map_words_accept.n; i++)
		if ((odd & (unsigned)map_words_accept.list[i].value) != 0)
			complain_field(b->c, b->m, &s->accept, s->line, s->col,
				       "accept: %s means nothing for the ids of a junction",
				       map_words_accept.list[i].word);
}

static void build_junction_table(struct schema_builder *b, const struct map_junction *j)
{
	struct schema_table *t = &b->s->tables[b->s->ntables];
	const struct map_side *sides[] = {&j->left, &j->right};
	t->name = j->table;
	t->columns = arena_alloc(b->arena, 2 * sizeof *t->columns);
	t->primary_key = arena_alloc(b->arena, 2 * sizeof *t->primary_key);
	t->primary_key_name = primary_key_name(b, j->primary_key_name, j->table);
	t->parent_table = t->parent_column = t->ordinal_column = -1;
	for (int i = 0; i < 2; i++) {
		t->columns[i] = (struct schema_column){.name = sides[i]->column != NULL ? sides[i]->column : "",
						       .type = *side_type(b, sides[i]),
						       .not_null = true};
		t->primary_key[i] = i;
		check_side_accept(b, sides[i]);
	}
	t->ncolumns = t->nprimary_key = 2;
	b->table_owner[b->s->ntables++] = -1;
}

void build_junction_tables(struct schema_builder *b)
{
	for (size_t i = 0; i < b->njunctions; i++) {
		const struct map_junction *j = b->junctions[i];
		check_sides(b, j);
		build_junction_table(b, j);
		if (j->table != NULL)
			build_indexes(b, &b->s->tables[b->s->ntables - 1], j->indexes, j->nindexes);
		else
			b->s->tables[b->s->ntables - 1].name = "";
	}
}

/* ---- the ends ---- */

static int end_table(struct schema_builder *b, const struct map_side *s)
{
	int at = find_collection(b->m, s->collection);
	return at < 0 || b->m->collections[at].table == NULL ? -1
							     : schema_find_table(b->s, b->m->collections[at].table);
}

static void add_end(struct schema_builder *b, struct schema_table *t, const struct map_junction *j,
		    const struct map_side *s, int parent)
{
	const struct schema_table *p = &b->s->tables[parent];
	if (p->nprimary_key != 1 || s->column == NULL)
		return;
	t->fkeys[t->nfkeys++] = (struct schema_fkey){
		.name = s->constraint != NULL ? s->constraint : map_fkey_name(b->arena, b->m, t->name, s->column),
		.column = s->column,
		.ref_table = parent,
		.ref_column = p->columns[p->primary_key[0]].name,
		.on_delete = j->on_delete,
		.on_update = j->on_update};
}

void build_junctions(struct schema_builder *b, int first_table)
{
	b->s->junctions = arena_alloc(b->arena, (b->njunctions + 1) * sizeof *b->s->junctions);
	b->s->njunctions = b->njunctions;
	for (size_t i = 0; i < b->njunctions; i++) {
		const struct map_junction *j = b->junctions[i];
		int table = first_table + (int)i, left = end_table(b, &j->left), right = end_table(b, &j->right);
		struct schema_table *t = &b->s->tables[table];
		t->fkeys = arena_alloc(b->arena, 2 * sizeof *t->fkeys);
		if (left >= 0)
			add_end(b, t, j, &j->left, left);
		if (right >= 0)
			add_end(b, t, j, &j->right, right);
		b->s->junctions[i] =
			(struct schema_junction){.table = table,
						 .left_column = 0,
						 .right_column = 1,
						 .left_table = left,
						 .right_table = right,
						 .left_collection = j->left.npath > 0 ? j->left.collection : NULL,
						 .right_collection = j->right.npath > 0 ? j->right.collection : NULL,
						 .sides = j->sides,
						 .if_orphan = j->if_orphan};
	}
}

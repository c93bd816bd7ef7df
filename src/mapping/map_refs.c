/* map_refs.c - references between tables and junctions: foreign keys, and what is done with orphans. */
#include "map_private.h"

/* One reference on its way into the schema. */
struct link {
	const struct map_owner *owner;
	const struct map_column *col;
	const struct map_reference *ref;
	int table, column;         /* the child  */
	int ref_table, ref_column; /* the parent */
};

static struct schema_table *table_at(struct schema_builder *b, int t)
{
	return &b->s->tables[t];
}

/* Complains about the link's column, whose name comes first. */
#define complain_ref(b, k, field, fmt, ...)                                                                          \
	complain_field((b)->c, (b)->m, field, (k)->col->line, (k)->col->col, fmt, (k)->col->name, ##__VA_ARGS__)

static const char *suggest_table(struct schema_builder *b, const char *word)
{
	const char **known = arena_alloc(b->arena, (b->s->ntables + 1) * sizeof *known);
	for (size_t i = 0; i < b->s->ntables; i++)
		known[i] = b->s->tables[i].name;
	return map_suggest(b->arena, word, known, b->s->ntables);
}

static const char *suggest_column(struct schema_builder *b, const struct schema_table *t, const char *word)
{
	const char **known = arena_alloc(b->arena, (t->ncolumns + 1) * sizeof *known);
	for (size_t i = 0; i < t->ncolumns; i++)
		known[i] = t->columns[i].name;
	return map_suggest(b->arena, word, known, t->ncolumns);
}

/* ---- the parent ---- */

static bool find_parent(struct schema_builder *b, struct link *k)
{
	const struct map_reference *r = k->ref;
	k->ref_table = schema_find_table(b->s, r->table);
	if (k->ref_table < 0) {
		complain_field(b->c, b->m, &r->table, k->col->line, k->col->col,
			       "column \"%s\" refers to table \"%s\", which the mapping does not make%s",
			       k->col->name, r->table, suggest_table(b, r->table));
		return false;
	}
	const struct schema_table *p = table_at(b, k->ref_table);
	if (r->column != NULL) {
		k->ref_column = schema_find_column(p, r->column);
		if (k->ref_column < 0)
			complain_field(b->c, b->m, &r->column, k->col->line, k->col->col,
				       "table \"%s\" has no column \"%s\"%s", p->name, r->column,
				       suggest_column(b, p, r->column));
		return k->ref_column >= 0;
	}
	k->ref_column = p->nprimary_key == 1 ? p->primary_key[0] : -1;
	if (k->ref_column < 0)
		complain_ref(b, k, &r->table,
			     "column \"%s\" refers to table \"%s\", whose primary key is not one column", p->name);
	return k->ref_column >= 0;
}

static bool is_unique(const struct schema_table *t, int column)
{
	if (t->nprimary_key == 1 && t->primary_key[0] == column)
		return true;
	for (size_t i = 0; i < t->nindexes; i++) {
		const struct schema_index *x = &t->indexes[i];
		if (x->unique && x->where == NULL && x->ncolumns == 1 &&
		    strcmp(x->columns[0], t->columns[column].name) == 0)
			return true;
	}
	return false;
}

/* Groups of types that PostgreSQL compares with each other's index. */
static int comparable(const struct pgtype *t)
{
	switch (t->base) {
	case PGT_INT2:
	case PGT_INT4:
	case PGT_INT8:
		return PGT_INT8;
	case PGT_VARCHAR:
		return PGT_TEXT;
	default:
		return (int)t->base;
	}
}

static bool are_comparable(const struct pgtype *a, const struct pgtype *b)
{
	if (a->base == PGT_COUNT || b->base == PGT_COUNT)
		return true; /* told already */
	return comparable(a) == comparable(b) && (a->base != PGT_ENUM || a->enum_index == b->enum_index);
}

static void check_parent(struct schema_builder *b, const struct link *k)
{
	const struct schema_table *p = table_at(b, k->ref_table);
	const struct pgtype *mine = &k->col->type, *theirs = &p->columns[k->ref_column].type;
	if (!are_comparable(mine, theirs) || theirs->array)
		complain_ref(b, k, &k->col->type, "column \"%s\" is not of the type of what it refers to, %s",
			     arena_printf(b->arena, "\"%s\".\"%s\"", p->name, p->columns[k->ref_column].name));
	if (!is_unique(p, k->ref_column))
		complain_ref(b, k, &k->ref->table,
			     "column \"%s\" refers to %s, which is neither primary key nor unique",
			     arena_printf(b->arena, "\"%s\".\"%s\"", p->name, p->columns[k->ref_column].name));
}

/* ---- the policies ---- */

static void check_no_constraint(struct schema_builder *b, const struct link *k)
{
	const struct map_reference *r = k->ref;
	if (r->constraint)
		return;
	if ((r->given & (MAP_GIVEN_ON_DELETE | MAP_GIVEN_ON_UPDATE)) != 0 || r->name != NULL)
		complain_ref(b, k, &r->constraint,
			     "column \"%s\": with constraint: false, name, on_delete and on_update mean nothing");
}

static void check_actions(struct schema_builder *b, const struct link *k)
{
	const struct map_reference *r = k->ref;
	bool nullable = !k->col->not_null && !k->col->primary_key;
	if (!nullable && (r->on_delete == FK_SET_NULL || r->on_update == FK_SET_NULL))
		complain_ref(b, k, r->on_delete == FK_SET_NULL ? &r->on_delete : &r->on_update,
			     "column \"%s\" takes no NULL, so it cannot be set null");
	if (k->col->default_sql == NULL && !nullable &&
	    (r->on_delete == FK_SET_DEFAULT || r->on_update == FK_SET_DEFAULT))
		complain_ref(b, k, r->on_delete == FK_SET_DEFAULT ? &r->on_delete : &r->on_update,
			     "column \"%s\" takes no NULL and has no default, so it cannot be set to it");
}

static void check_stub(struct schema_builder *b, const struct link *k)
{
	const struct schema_table *p = table_at(b, k->ref_table);
	if (p->nprimary_key != 1 || p->primary_key[0] != k->ref_column) {
		complain_ref(b, k, &k->ref->if_orphan,
			     "column \"%s\": a stub can be made only for a reference to the primary key of \"%s\"",
			     p->name);
		return;
	}
	for (size_t i = 0; i < p->ncolumns; i++)
		if ((int)i != k->ref_column && p->columns[i].not_null && p->columns[i].default_sql == NULL &&
		    p->columns[i].generated_sql == NULL)
			complain_ref(
				b, k, &k->ref->if_orphan,
				"column \"%s\": no stub can be made, because %s takes no NULL and has no default",
				arena_printf(b->arena, "\"%s\".\"%s\"", p->name, p->columns[i].name));
}

static void check_orphan_word(struct schema_builder *b, const struct link *k, enum orphan_policy policy)
{
	bool nullable = !k->col->not_null && !k->col->primary_key;
	if (policy == ORPHAN_NULL && !nullable)
		complain_ref(b, k, &k->ref->if_orphan, "column \"%s\" takes no NULL, so if_orphan cannot be null");
	if (policy == ORPHAN_STUB)
		check_stub(b, k);
}

static const struct map_column *column_of_owner(const struct map_owner *o, const char *name)
{
	for (size_t i = 0; i < o->ncolumns; i++)
		if (o->columns[i].name != NULL && strcmp(o->columns[i].name, name) == 0)
			return &o->columns[i];
	return NULL;
}

/* The other column must take such an id, and the first must be able to give it up. */
static void check_move(struct schema_builder *b, const struct link *k)
{
	const struct map_reference *r = k->ref;
	const struct map_column *to = column_of_owner(k->owner, r->move_to);
	if (to == NULL)
		complain_field(b->c, b->m, &r->if_orphan, k->col->line, k->col->col,
			       "move_to: table \"%s\" has no column \"%s\"%s", k->owner->table, r->move_to,
			       suggest_column(b, table_at(b, k->table), r->move_to));
	else if (to == k->col)
		complain_ref(b, k, &r->if_orphan, "move_to: column \"%s\" cannot move to itself");
	else if (to->references.table == NULL)
		complain_ref(b, k, &r->if_orphan, "move_to of column \"%s\": column \"%s\" refers to no table",
			     to->name);
	else if (to->references.if_orphan == ORPHAN_MOVE_TO)
		complain_ref(b, k, &r->if_orphan, "move_to of column \"%s\": column \"%s\" has a move_to itself",
			     to->name);
	else if (!are_comparable(&k->col->type, &to->type))
		complain_ref(b, k, &r->if_orphan, "move_to of column \"%s\": column \"%s\" is of another type",
			     to->name);
	if (k->col->not_null || k->col->primary_key)
		complain_ref(
			b, k, &r->if_orphan,
			"column \"%s\" takes no NULL, so its value cannot move to \"%s\"; leave out not_null and say "
			"if_missing: reject and if_null: reject",
			r->move_to);
	check_orphan_word(b, k, r->otherwise);
}

static bool is_settled(const struct map_reference *r)
{
	return r->constraint || (r->given & MAP_GIVEN_IF_ORPHAN) != 0;
}

static void check_policies(struct schema_builder *b, const struct link *k)
{
	check_no_constraint(b, k);
	check_actions(b, k);
	if (k->ref->if_orphan == ORPHAN_MOVE_TO && k->ref->move_to != NULL)
		check_move(b, k);
	else
		check_orphan_word(b, k, k->ref->if_orphan);
}

/* ---- into the schema ---- */

static int add_fkey(struct schema_builder *b, int table, const struct schema_fkey *f)
{
	struct schema_table *t = table_at(b, table);
	struct schema_fkey *all = arena_alloc(b->arena, (t->nfkeys + 1) * sizeof *all);
	if (t->nfkeys > 0)
		memcpy(all, t->fkeys, t->nfkeys * sizeof *all);
	all[t->nfkeys] = *f;
	t->fkeys = all;
	return (int)t->nfkeys++;
}

static const char *fkey_name(struct schema_builder *b, const char *given, int table, const char *column)
{
	return given != NULL ? given : map_fkey_name(b->arena, b->m, table_at(b, table)->name, column);
}

static void add_ref(struct schema_builder *b, const struct link *k, int fkey)
{
	const struct map_reference *r = k->ref;
	struct schema_ref *ref = &b->s->refs[b->s->nrefs++];
	*ref = (struct schema_ref){.table = k->table,
				   .column = k->column,
				   .ref_table = k->ref_table,
				   .ref_column = k->ref_column,
				   .fkey = fkey,
				   .policy = r->if_orphan,
				   .otherwise = r->otherwise,
				   .move_to = -1,
				   .move_ref_table = -1,
				   .move_ref_column = -1};
	const struct map_column *to = r->move_to != NULL ? column_of_owner(k->owner, r->move_to) : NULL;
	struct link other = {.owner = k->owner, .col = to, .ref = to != NULL ? &to->references : NULL};
	if (r->if_orphan != ORPHAN_MOVE_TO || to == NULL || to->references.table == NULL ||
	    schema_find_table(b->s, to->references.table) < 0 || !find_parent(b, &other))
		return;
	ref->move_to = schema_find_column(table_at(b, k->table), r->move_to);
	ref->move_ref_table = other.ref_table;
	ref->move_ref_column = other.ref_column;
}

/* A key to a table that this part of the mapping does not make: neither made nor checked. So is one whose ids may
 * move to a column that refers to such a table: which ids those are cannot be told. */
static bool leave_out(struct schema_builder *b, const struct link *k)
{
	const struct map_reference *r = k->ref;
	const struct map_column *to =
		r->if_orphan == ORPHAN_MOVE_TO && r->move_to != NULL ? column_of_owner(k->owner, r->move_to) : NULL;
	const char *missing = is_left_out(b, r->table) ? r->table
			      : to != NULL && to->references.table != NULL && is_left_out(b, to->references.table)
				      ? to->references.table
				      : NULL;
	if (missing == NULL)
		return false;
	if (is_settled(r))
		add_plan_name(b->arena, b->part->keys,
			      missing == r->table
				      ? arena_printf(b->arena, "%s.%s -> %s", table_at(b, k->table)->name,
						     k->col->name, r->table)
				      : arena_printf(b->arena, "%s.%s -> %s, else %s", table_at(b, k->table)->name,
						     k->col->name, r->table, missing));
	return true;
}

static void build_reference(struct schema_builder *b, struct link *k)
{
	if (leave_out(b, k) || !find_parent(b, k))
		return;
	check_parent(b, k);
	check_policies(b, k);
	if (k->col->type.array && is_settled(k->ref)) {
		complain_ref(b, k, &k->ref->table,
			     "column \"%s\" is an array: it may only refer with constraint: false and without "
			     "if_orphan");
		return;
	}
	if (!is_settled(k->ref))
		return;
	int fkey = -1;
	if (k->ref->constraint)
		fkey = add_fkey(
			b, k->table,
			&(struct schema_fkey){.name = fkey_name(b, k->ref->name, k->table, k->col->name),
					      .column = k->col->name,
					      .ref_table = k->ref_table,
					      .ref_column = table_at(b, k->ref_table)->columns[k->ref_column].name,
					      .on_delete = k->ref->on_delete,
					      .on_update = k->ref->on_update});
	add_ref(b, k, fkey);
}

/* A child's rows go with the row above. Not among the references: no element is an orphan on its own. */
static void add_parent_fkey(struct schema_builder *b, const struct map_owner *o, int table)
{
	const struct schema_table *t = table_at(b, table);
	if (o->child == NULL || t->parent_table < 0 || t->parent_column < 0)
		return;
	const struct schema_table *p = table_at(b, t->parent_table);
	if (p->nprimary_key != 1)
		return;
	add_fkey(b, table,
		 &(struct schema_fkey){.name = fkey_name(b, NULL, table, o->child->parent),
				       .column = o->child->parent,
				       .ref_table = t->parent_table,
				       .ref_column = p->columns[p->primary_key[0]].name,
				       .on_delete = FK_CASCADE,
				       .on_update = FK_CASCADE});
}

void build_references(struct schema_builder *b)
{
	size_t most = 0;
	for (size_t i = 0; i < b->nowners; i++)
		most += b->owners[i].ncolumns;
	b->s->refs = arena_alloc(b->arena, (most + 1) * sizeof *b->s->refs);
	for (size_t i = 0; i < b->nowners; i++) {
		const struct map_owner *o = &b->owners[i];
		int table = b->owner_table[i];
		if (table < 0 || b->table_owner[table] != (int)i)
			continue;
		add_parent_fkey(b, o, table);
		for (size_t j = 0; j < o->ncolumns; j++) {
			struct link k = {
				.owner = o, .col = &o->columns[j], .ref = &o->columns[j].references, .table = table};
			if (k.col->name == NULL || k.ref->table == NULL)
				continue;
			k.column = schema_find_column(table_at(b, table), k.col->name);
			build_reference(b, &k);
		}
	}
}

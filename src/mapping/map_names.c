/* map_names.c - names that PostgreSQL would refuse, cut, or that meet each other.
 *
 * PostgreSQL keeps the first 63 bytes of a name without a word of error, so a longer one is refused here. Tables,
 * indexes and primary keys share one space of names in a schema, so do types and tables; columns and constraints
 * are a table's own.
 */
#include <stdlib.h>

#include "map_private.h"

struct name {
	const char *text;
	const char *made_of; /* of what it was made, or NULL */
	const char *what;    /* "index" */
	int line, col;
	size_t order;
};

struct names {
	struct name *list;
	size_t n, cap;
};

static void add_name(struct names *l, const char *what, const char *text, const char *made_of, int line, int col)
{
	if (l->n == l->cap) {
		l->cap = l->cap == 0 ? 64 : l->cap * 2;
		l->list = mem_realloc(l->list, l->cap * sizeof *l->list);
	}
	if (text != NULL && text[0] != '\0') {
		l->list[l->n] = (struct name){text, made_of, what, line, col, l->n};
		l->n++;
	}
}

static int by_kept(const void *a, const void *b)
{
	const struct name *x = a, *y = b;
	int d = strncmp(x->text, y->text, MAP_NAME_MAX);
	if (d == 0)
		d = x->order < y->order ? -1 : 1;
	return d;
}

static const char *made_of(struct arena *a, const struct name *n)
{
	return n->made_of != NULL ? arena_printf(a, " (made of %s)", n->made_of) : "";
}

static void complain_meeting(struct schema_builder *b, const struct name *first, const struct name *n)
{
	if (strcmp(first->text, n->text) == 0)
		complain(b->c, n->line, n->col, "%s \"%s\"%s: the name is taken by %s%s in line %d", n->what, n->text,
			 made_of(b->arena, n), first->what, made_of(b->arena, first), first->line);
	else
		complain(b->c, n->line, n->col,
			 "%s \"%s\" and %s \"%s\" in line %d are one name to PostgreSQL, which keeps %d bytes",
			 n->what, n->text, first->what, first->text, first->line, MAP_NAME_MAX);
}

static void check_list(struct schema_builder *b, struct names *l)
{
	if (l->n > 0)
		qsort(l->list, l->n, sizeof *l->list, by_kept);
	for (size_t i = 0, first = 0; i < l->n; i++) {
		const struct name *n = &l->list[i];
		if (i > 0 && strncmp(l->list[first].text, n->text, MAP_NAME_MAX) == 0)
			complain_meeting(b, &l->list[first], n);
		else
			first = i;
		if (strlen(n->text) > MAP_NAME_MAX)
			complain(b->c, n->line, n->col, "%s \"%s\": the name has %zu bytes, PostgreSQL keeps %d",
				 n->what, n->text, strlen(n->text), MAP_NAME_MAX);
	}
	free(l->list);
}

/* Position of a field if the YAML has it, else of the owner. */
static void add_field(struct schema_builder *b, struct names *l, const char *what, const char *text,
		      const void *field, int line, int col)
{
	map_position(b->m, field, &line, &col);
	add_name(l, what, text, NULL, line, col);
}

/* ---- columns and constraints: of one table ---- */

static void check_column_name(struct schema_builder *b, const char *name, int line, int col)
{
	static const char *const taken[] = {"tableoid", "xmin", "cmin", "xmax", "cmax", "ctid"};
	for (size_t i = 0; i < COUNT_OF(taken); i++)
		if (strcmp(name, taken[i]) == 0)
			complain(b->c, line, col, "PostgreSQL takes no column named \"%s\"", name);
}

/* The column of unmapped: keep, where it is asked for: here, at the collection or for the mapping. */
static void add_leftover(struct schema_builder *b, struct names *columns, const struct map_owner *o)
{
	const void *const fields[] = {
		&o->unmapped->column,   o->unmapped,    &o->collection->unmapped.column, &o->collection->unmapped,
		&b->m->unmapped.column, &b->m->unmapped};
	int line = 0, col = 0;
	for (size_t i = 0; line == 0 && i < COUNT_OF(fields); i++)
		map_position(b->m, fields[i], &line, &col);
	add_name(columns, "the column of unmapped: keep", o->unmapped->column, NULL, line > 0 ? line : o->line, col);
	check_column_name(b, o->unmapped->column, line > 0 ? line : o->line, col);
}

static void check_owner_names(struct schema_builder *b, const struct map_owner *o)
{
	struct names columns = {0}, keys = {0};
	if (o->child != NULL) {
		add_field(b, &columns, "column", o->child->parent, &o->child->parent, o->line, o->col);
		add_field(b, &columns, "column", o->child->ordinal, &o->child->ordinal, o->line, o->col);
		add_field(b, &columns, "column", o->child->key, &o->child->key, o->line, o->col);
		if (o->child->parent != NULL)
			add_field(b, &keys, "foreign key", map_fkey_name(b->arena, b->m, o->table, o->child->parent),
				  &o->child->parent, o->line, o->col);
	}
	for (size_t i = 0; i < o->ncolumns; i++) {
		const struct map_column *k = &o->columns[i];
		int line = k->line, col = k->col;
		if (k->name == NULL)
			continue;
		map_position(b->m, &k->name, &line, &col);
		add_name(&columns, "column", k->name, k->made_of, line, col);
		check_column_name(b, k->name, line, col);
		if (k->references.table == NULL || !k->references.constraint)
			continue;
		const char *name = k->references.name != NULL ? k->references.name
							      : map_fkey_name(b->arena, b->m, o->table, k->name);
		add_field(b, &keys, "foreign key", name, &k->references.name, k->line, k->col);
	}
	if (o->unmapped->how == MAP_UNMAPPED_KEEP)
		add_leftover(b, &columns, o);
	check_list(b, &columns);
	check_list(b, &keys);
}

static void check_junction_names(struct schema_builder *b, const struct map_junction *j, const struct schema_table *t)
{
	const struct map_side *sides[] = {&j->left, &j->right};
	struct names keys = {0};
	bool same_columns = /* told already */
		j->left.column != NULL && j->right.column != NULL && strcmp(j->left.column, j->right.column) == 0;
	for (size_t i = 0; i < 2; i++) {
		struct names column = {0};
		add_field(b, &column, "column", sides[i]->column, &sides[i]->column, sides[i]->line, sides[i]->col);
		check_list(b, &column);
		if (sides[i]->column != NULL)
			check_column_name(b, sides[i]->column, sides[i]->line, sides[i]->col);
	}
	for (size_t i = 0; i < t->nfkeys && !same_columns; i++)
		add_name(&keys, "foreign key", t->fkeys[i].name, NULL, j->line, j->col);
	check_list(b, &keys);
}

/* ---- relations and types: of the schema ---- */

static const char *key_name(struct arena *a, const struct schema_table *t)
{
	_cleanup_(buf_free) struct buf name = {0};
	schema_primary_key_name(&name, t);
	return arena_strdup(a, buf_cstr(&name));
}

static void add_table(struct schema_builder *b, struct names *l, const struct schema_table *t, const void *field,
		      int line, int col)
{
	add_field(b, l, "table", t->name, field, line, col);
	if (t->nprimary_key > 0 && t->name[0] != '\0' && &b->s->tables[schema_find_table(b->s, t->name)] == t)
		add_name(l, "primary key", key_name(b->arena, t), NULL, line, col);
}

static void check_schema_names(struct schema_builder *b)
{
	struct names l = {0};
	for (size_t i = 0; i < b->nowners; i++) {
		const struct map_owner *o = &b->owners[i];
		int table = b->owner_table[i];
		if (table < 0)
			continue;
		if (b->table_owner[table] == (int)i)
			add_table(b, &l, &b->s->tables[table],
				  o->child != NULL ? (const void *)&o->child->table : &o->collection->table, o->line,
				  o->col);
	}
	for (size_t i = 0; i < b->njunctions; i++) {
		const struct map_junction *j = b->junctions[i];
		const struct schema_table *t = &b->s->tables[b->s->ntables - b->njunctions + i];
		add_table(b, &l, t, &j->table, j->line, j->col);
	}
	for (size_t i = 0; i < b->nplaced; i++)
		add_field(b, &l, "index", b->placed[i]->name, &b->placed[i]->name, b->placed[i]->line,
			  b->placed[i]->col);
	check_list(b, &l);
}

/* Every table is a type, too. */
static void add_type(struct schema_builder *b, struct names *l, const char *what, const char *const *name)
{
	add_field(b, l, what, *name, name, 0, 0);
	for (size_t i = 0; *name != NULL && i < b->s->ntables; i++) {
		int owner = b->table_owner[i];
		if (strcmp(*name, b->s->tables[i].name) == 0)
			complain_field(b->c, b->m, name, owner >= 0 ? b->owners[owner].line : 0, 1,
				       "%s \"%s\" has the name of a table: PostgreSQL makes a type of that name for "
				       "the table",
				       what, *name);
	}
}

static void check_type_names(struct schema_builder *b)
{
	struct names l = {0};
	for (size_t i = 0; i < b->m->nenums; i++)
		add_type(b, &l, "enum", &b->m->enums[i].name);
	for (size_t i = 0; i < b->m->ndomains; i++)
		add_type(b, &l, "domain", &b->m->domains[i].name);
	check_list(b, &l);
}

void check_names(struct schema_builder *b)
{
	for (size_t i = 0; i < b->nowners; i++)
		if (b->owner_table[i] >= 0)
			check_owner_names(b, &b->owners[i]);
	for (size_t i = 0; i < b->njunctions; i++)
		check_junction_names(b, b->junctions[i], &b->s->tables[b->s->ntables - b->njunctions + i]);
	check_schema_names(b);
	check_type_names(b);
}

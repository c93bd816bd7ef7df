/* index_wanted.c - an index that is wanted: is it there already, in the mapping or among those proposed before? Else
 * its name and statement. */
#include <stdarg.h>
#include <stdio.h>

#include "index_private.h"

/* ---- what a verdict is made of ---- */

__attribute__((format(printf, 2, 0))) static const char *formatted(struct arena *a, const char *fmt, va_list ap)
{
	_cleanup_(buf_free) struct buf out = {0};
	buf_vprintf(&out, fmt, ap);
	return arena_strdup(a, buf_cstr(&out));
}

static void add_note(struct judge *j, const char *text)
{
	struct index_verdict *v = j->v;
	for (size_t i = 0; i < v->nnotes; i++)
		if (strcmp(v->notes[i], text) == 0)
			return;
	const char **more = arena_alloc(j->arena, (v->nnotes + 1) * sizeof *more);
	if (v->nnotes > 0)
		memcpy(more, v->notes, v->nnotes * sizeof *more);
	more[v->nnotes++] = text;
	v->notes = more;
}

void judge_note(struct judge *j, const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	add_note(j, formatted(j->arena, fmt, ap));
	va_end(ap);
}

void judge_differs(struct judge *j, const char *fmt, ...)
{
	va_list ap;
	j->differs = true;
	va_start(ap, fmt);
	add_note(j, formatted(j->arena, fmt, ap));
	va_end(ap);
}

void judge_statement(struct judge *j, enum index_when when, const char *sql)
{
	struct index_verdict *v = j->v;
	struct index_statement *more = arena_alloc(j->arena, (v->nstatements + 1) * sizeof *more);
	if (v->nstatements > 0)
		memcpy(more, v->statements, v->nstatements * sizeof *more);
	more[v->nstatements++] = (struct index_statement){when, sql};
	v->statements = more;
}

void wanted_add(struct judge *j, struct wanted *w, const struct schema_column *column, const char *key, bool down,
		const char *name)
{
	if (w->n == INDEX_MAX_KEYS)
		return;
	w->keys[w->n] = key;
	w->columns[w->n] = column;
	w->down[w->n++] = down;
	w->base = w->base == NULL ? name : arena_printf(j->arena, "%s_%s", w->base, name);
}

/* ---- names ---- */

struct index_names { /* name NULL: of a relation without an index definition */
	struct index_names *next;
	const char *name, *definition;
};

static bool is_taken(const struct judge *j, const char *name)
{
	const struct schema *s = &j->plan->schema;
	_cleanup_(buf_free) struct buf key = {0};
	for (size_t t = 0; t < s->ntables; t++) {
		const struct schema_table *table = &s->tables[t];
		buf_reset(&key);
		schema_primary_key_name(&key, table);
		if (strcmp(table->name, name) == 0 || strcmp(buf_cstr(&key), name) == 0)
			return true;
		for (size_t i = 0; i < table->nindexes; i++)
			if (strcmp(table->indexes[i].name, name) == 0)
				return true;
	}
	for (const struct index_names *n = j->all->names; n != NULL; n = n->next)
		if (strcmp(n->name, name) == 0)
			return true;
	return false;
}

/* As PostgreSQL does it: a number behind a suffix that is taken. */
static const char *new_name(const struct judge *j, const struct wanted *w, const char *suffix, const char *definition)
{
	_cleanup_(buf_free) struct buf name = {0};
	const char *base = arena_printf(j->arena, "%s_%s", j->plan->schema.tables[w->table].name, w->base);
	for (unsigned i = 0; i == 0 || is_taken(j, buf_cstr(&name)); i++) {
		buf_reset(&name);
		schema_derived_name(&name, base, i == 0 ? suffix : arena_printf(j->arena, "%s%u", suffix, i));
	}
	struct index_names *kept = arena_alloc(j->arena, sizeof *kept);
	*kept = (struct index_names){j->all->names, arena_strdup(j->arena, buf_cstr(&name)), definition};
	j->all->names = kept;
	return kept->name;
}

/* ---- what is there ---- */

static bool is_plain(const struct wanted *w)
{
	for (size_t i = 0; i < w->n; i++)
		if (w->columns[i] == NULL || w->down[i])
			return false;
	return true;
}

/* Do the names begin with the columns of w? */
static bool begins(const struct wanted *w, const char *const *names, size_t n)
{
	for (size_t i = 0; i < w->n; i++)
		if (i >= n || strcmp(w->columns[i]->name, names[i]) != 0)
			return false;
	return true;
}

static bool method_serves(const struct wanted *w, const char *method)
{
	const char *m = method != NULL ? method : "btree";
	return strcmp(m, w->method) == 0 || (strcmp(w->method, "hash") == 0 && strcmp(m, "btree") == 0);
}

static bool serves(const struct wanted *w, const struct schema_index *i)
{
	bool all_rows = i->where == NULL;
	if (i->expression != NULL || !method_serves(w, i->method) || !begins(w, i->columns, i->ncolumns))
		return false;
	if (w->unique && (!i->unique || i->ncolumns != w->n))
		return false;
	/* NULLs are distinct anyway: a unique index of one column may leave them out or not */
	if (w->unique && all_rows)
		return w->where == NULL || (w->sparse && w->n == 1 && !i->nulls_not_distinct);
	return all_rows || (w->where != NULL && strcmp(i->where, w->where) == 0);
}

static void say_there(struct judge *j, const struct wanted *w, const struct schema_index *i)
{
	if (i->ncolumns > w->n)
		judge_note(j, "index %s begins with the same column%s", i->name, w->n == 1 ? "" : "s");
	if (i->unique && !w->unique)
		judge_note(j, "index %s is unique, which MongoDB's is not", i->name);
	if (w->unique && w->nulls_not_distinct && !i->nulls_not_distinct)
		judge_note(j,
			   "MongoDB lets one document only lack the field; index %s takes any number of NULLs "
			   "(nulls_not_distinct: true in the mapping)",
			   i->name);
	if (i->tier == INDEX_TIER_SEARCH)
		judge_note(j, "left out with --no-search-indexes");
}

static const char *find_key(struct judge *j, const struct wanted *w, const struct schema_table *t)
{
	const char *names[INDEX_MAX_KEYS];
	size_t n = 0;
	_cleanup_(buf_free) struct buf name = {0};
	for (; n < t->nprimary_key && n < INDEX_MAX_KEYS; n++)
		names[n] = t->columns[t->primary_key[n]].name;
	if (n == 0 || !method_serves(w, "btree") || !begins(w, names, n) || (w->unique && w->n != n))
		return NULL;
	schema_primary_key_name(&name, t);
	if (n > w->n)
		judge_note(j, "the primary key begins with the same column%s", w->n == 1 ? "" : "s");
	return arena_printf(j->arena, "primary key %s", buf_cstr(&name));
}

static const char *find_there(struct judge *j, const struct wanted *w)
{
	const struct schema_table *t = &j->plan->schema.tables[w->table];
	if (!is_plain(w))
		return NULL;
	const char *key = find_key(j, w, t);
	if (key != NULL)
		return key;
	for (size_t i = 0; i < t->nindexes; i++)
		if (serves(w, &t->indexes[i])) {
			say_there(j, w, &t->indexes[i]);
			return arena_printf(j->arena, "index %s", t->indexes[i].name);
		}
	return NULL;
}

/* ---- statements ---- */

/* Behind the name. An index whose keys all go down is read backwards as well as forwards. */
static const char *definition_of(const struct judge *j, const struct wanted *w)
{
	_cleanup_(buf_free) struct buf out = {0};
	sql_table(&out, &j->plan->schema, &j->plan->schema.tables[w->table]);
	buf_printf(&out, " USING %s (", w->method);
	for (size_t i = 0; i < w->n; i++)
		buf_printf(&out, "%s%s%s", i > 0 ? ", " : "", w->keys[i], w->down[i] ? " DESC" : "");
	buf_putc(&out, ')');
	return arena_strdup(j->arena, buf_cstr(&out));
}

static void turn_around(struct wanted *w)
{
	bool all = true;
	for (size_t i = 0; i < w->n; i++)
		all = all && w->down[i];
	for (size_t i = 0; all && i < w->n; i++)
		w->down[i] = false;
}

static const char *create(struct judge *j, const struct wanted *w, const char *name, const char *definition,
			  const char *middle, const char *where)
{
	_cleanup_(buf_free) struct buf out = {0};
	buf_printf(&out, "CREATE %sINDEX ", w->unique ? "UNIQUE " : "");
	sql_ident(&out, name);
	buf_printf(&out, " ON %s%s", definition, middle);
	if (where != NULL)
		buf_printf(&out, " WHERE %s", where);
	return arena_strdup(j->arena, buf_cstr(&out));
}

/* Before PostgreSQL 15: the values by one index, the one row without a value by another. */
static void want_older(struct judge *j, const struct wanted *w, const char *name, const char *definition)
{
	if (w->n != 1 || w->columns[0] == NULL) {
		judge_note(j,
			   "NULLS NOT DISTINCT needs PostgreSQL 15: before it several rows may lack the same values");
		judge_statement(j, INDEX_OLD_SERVER, create(j, w, name, definition, "", w->where));
		return;
	}
	_cleanup_(buf_free) struct buf lacks = {0}, table = {0};
	sql_ident(&lacks, w->columns[0]->name);
	buf_puts(&lacks, " IS NULL");
	sql_table(&table, &j->plan->schema, &j->plan->schema.tables[w->table]);
	const char *missing = buf_cstr(&lacks);
	judge_statement(j, INDEX_OLD_SERVER, create(j, w, name, definition, "", w->where));
	const char *where = w->where != NULL ? arena_printf(j->arena, "%s AND %s", missing, w->where) : missing;
	judge_statement(j, INDEX_OLD_SERVER,
			create(j, w, new_name(j, w, "_null_key", ""),
			       arena_printf(j->arena, "%s ((%s))", buf_cstr(&table), missing), "", where));
}

static bool was_proposed(struct judge *j, const char *whole)
{
	for (const struct index_names *n = j->all->names; n != NULL; n = n->next)
		if (strcmp(n->definition, whole) == 0) {
			j->v->there = arena_printf(j->arena, "index %s, proposed for another of MongoDB's", n->name);
			return true;
		}
	return false;
}

void judge_want(struct judge *j, struct wanted *w)
{
	turn_around(w);
	const char *there = find_there(j, w);
	if (there != NULL) {
		j->v->there = there;
		return;
	}
	if (w->nulls_not_distinct)
		judge_differs(j, "MongoDB lets only one document lack the field%s: NULLS NOT DISTINCT",
			      w->n > 1 ? "s" : "");
	if (w->sparse)
		judge_differs(j, "sparse becomes partial; an explicit null counts as present in MongoDB, not here");
	const char *definition = definition_of(j, w);
	const char *whole = arena_printf(j->arena, "%s%s%s%s", w->unique ? "unique " : "", definition,
					 w->nulls_not_distinct ? " nulls" : "", w->where != NULL ? w->where : "");
	if (was_proposed(j, whole))
		return;
	const char *name = new_name(j, w, w->unique ? "_key" : "_idx", whole);
	if (!w->nulls_not_distinct) {
		judge_statement(j, w->by_hand ? INDEX_BY_HAND : INDEX_ALWAYS,
				create(j, w, name, definition, "", w->where));
		return;
	}
	judge_statement(j, w->by_hand ? INDEX_BY_HAND : INDEX_NEW_SERVER,
			create(j, w, name, definition, " NULLS NOT DISTINCT", w->where));
	if (!w->by_hand)
		want_older(j, w, name, definition);
}

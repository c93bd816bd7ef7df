/* sink_compare.c - the mapping's schema against the target's catalog: the differences, and the schema adapted to it.
 *
 * What the catalog has rules. A difference is an error when rows could not be written as the mapping says, a warning
 * when some of them may not be, a note when all is well but other than one might think.
 */
#include <stdarg.h>
#include <stdio.h>

#include "sink_catalog.h"
#include "sink_existing.h"
#include "sink_fixes.h"
#include "sink_stage.h"
#include "text.h"

#define NAMES_SHOWN 12

struct compare {
	const struct schema *s;
	const struct catalog *c;
	struct sink_differences *out;
	const struct sink_way *way; /* NULL: columns only are looked at */
};

/* --- the list --- */

static void add(struct compare *cmp, enum sink_severity severity, const char *hint, const char *fmt, ...)
	PRINTF_LIKE(4, 5);

static void add(struct compare *cmp, enum sink_severity severity, const char *hint, const char *fmt, ...)
{
	struct sink_differences *d = cmp->out;
	_cleanup_(buf_free) struct buf text = {0};
	va_list ap;
	va_start(ap, fmt);
	buf_vprintf(&text, fmt, ap);
	va_end(ap);
	if (d->n == d->cap) {
		size_t cap = d->cap == 0 ? 32 : d->cap * 2;
		struct sink_difference *more = arena_alloc(d->arena, cap * sizeof *more);
		if (d->n > 0)
			memcpy(more, d->list, d->n * sizeof *more);
		d->list = more;
		d->cap = cap;
	}
	d->nerrors += severity == SINK_ERROR;
	d->list[d->n++] = (struct sink_difference){severity, arena_strdup(d->arena, buf_cstr(&text)), hint};
}

static struct fix_place fix_at(const struct compare *cmp, size_t table)
{
	return (struct fix_place){cmp->out, cmp->s, cmp->c, (int)table};
}

/* "a, b, c and 3 more" */
struct names {
	struct buf text;
	size_t n;
};

static void names_add(struct names *l, const char *table, const char *name)
{
	if (l->n++ >= NAMES_SHOWN)
		return;
	buf_puts(&l->text, l->n > 1 ? ", " : "");
	if (table != NULL)
		buf_printf(&l->text, "%s.", table);
	buf_puts(&l->text, name);
}

static const char *names_text(struct names *l)
{
	if (l->n > NAMES_SHOWN)
		buf_printf(&l->text, " and %zu more", l->n - NAMES_SHOWN);
	return buf_cstr(&l->text);
}

static void names_free(struct names *l)
{
	buf_free(&l->text);
}

static const char *plural(size_t n)
{
	return n == 1 ? "" : "s";
}

/* --- tables --- */

static const char *kind_word(char kind)
{
	static const struct {
		char kind;
		const char *word;
	} words[] = {{'p', "partitioned table"},
		     {'v', "view"},
		     {'m', "materialized view"},
		     {'f', "foreign table"},
		     {'S', "sequence"},
		     {'i', "index"},
		     {'I', "index"},
		     {'c', "type"}};
	for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
		if (words[i].kind == kind)
			return words[i].word;
	return "relation of another kind";
}

static bool keeps_all(const struct compare *cmp)
{
	return cmp->way != NULL && cmp->way->keep_indexes;
}

/* Partitioned tables keep their keys: PostgreSQL makes no foreign key NOT VALID there. */
static bool is_filled(const struct compare *cmp, const struct catalog_table *t)
{
	return t->kind == 'r' || (t->kind == 'p' && (cmp->way == NULL || keeps_all(cmp)));
}

static void compare_rights(struct compare *cmp, const struct catalog_table *t)
{
	struct arena *a = cmp->out->arena;
	if (cmp->way != NULL && !t->is_owner && (!keeps_all(cmp) || cmp->way->disable_triggers))
		add(cmp, SINK_ERROR,
		    arena_printf(a, "have an administrator run: GRANT %s TO the role, or make it the table's owner",
				 t->owner),
		    "table %s belongs to %s, and the role has not its rights: keys and indexes could not be taken "
		    "away "
		    "for the load",
		    t->name, t->owner);
	else if (!t->may_write)
		add(cmp, SINK_ERROR, arena_printf(a, "GRANT ALL ON TABLE \"%s\" TO the role", t->name),
		    "the role may not read, write and empty table %s", t->name);
	if (t->row_security)
		add(cmp, SINK_ERROR,
		    arena_printf(a, "ALTER TABLE \"%s\" NO FORCE ROW LEVEL SECURITY, or use a role with BYPASSRLS",
				 t->name),
		    "row security of table %s holds for the role, too", t->name);
}

/* The marks of what is loaded would outlive the rows, and a resume believes the marks. */
static void compare_persistence(struct compare *cmp, size_t table)
{
	_cleanup_(buf_free) struct buf name = {0};
	if (!cmp->c->tables[table].unlogged)
		return;
	sql_table(&name, cmp->s, &cmp->s->tables[table]);
	add(cmp, SINK_ERROR,
	    arena_printf(cmp->out->arena, "ALTER TABLE %s SET LOGGED; after the move it may be SET UNLOGGED again",
			 buf_cstr(&name)),
	    "table %s is UNLOGGED: a crash of PostgreSQL empties it, and docrow would take its rows for loaded",
	    cmp->c->tables[table].name);
}

static void compare_tables(struct compare *cmp)
{
	for (size_t i = 0; i < cmp->c->ntables; i++) {
		const struct catalog_table *t = &cmp->c->tables[i];
		if (t->kind == '\0')
			add(cmp, SINK_ERROR,
			    "deploy the whole schema first, or migrate into a schema without any of the tables, so "
			    "that "
			    "docrow makes them",
			    "table %s is not in schema %s", t->name, cmp->s->name);
		else if (!is_filled(cmp, t))
			add(cmp, SINK_ERROR,
			    t->kind == 'p' ? "fill it with its keys in force: --keep-indexes"
					   : "docrow fills ordinary tables",
			    "%s is a %s", t->name, kind_word(t->kind));
		else if (t->is_part || (t->has_parts && t->kind == 'r'))
			add(cmp, SINK_ERROR, "docrow fills ordinary tables",
			    "table %s is part of a partitioned or inherited table", t->name);
		else {
			compare_rights(cmp, t);
			compare_persistence(cmp, i);
		}
	}
}

/* --- types --- */

enum fit { FIT_SAME, FIT_WIDER, FIT_NOT };

/* Types that hold all values of another one, and mean the same by them. Dates of MongoDB are instants, and docrow
 * writes UTC, so a timestamp with a time zone means the same. */
static const struct {
	enum pgt want, have;
} wider[] = {
	{PGT_INT2, PGT_INT4},        {PGT_INT2, PGT_INT8},
	{PGT_INT4, PGT_INT8},        {PGT_INT2, PGT_NUMERIC},
	{PGT_INT4, PGT_NUMERIC},     {PGT_INT8, PGT_NUMERIC},
	{PGT_INT2, PGT_FLOAT8},      {PGT_INT4, PGT_FLOAT8},
	{PGT_FLOAT4, PGT_FLOAT8},    {PGT_FLOAT4, PGT_NUMERIC},
	{PGT_FLOAT8, PGT_NUMERIC},   {PGT_CHAR, PGT_VARCHAR},
	{PGT_CHAR, PGT_TEXT},        {PGT_VARCHAR, PGT_TEXT},
	{PGT_VARCHAR, PGT_CITEXT},   {PGT_TEXT, PGT_CITEXT},
	{PGT_TEXT, PGT_VARCHAR},     {PGT_NAME, PGT_VARCHAR},
	{PGT_NAME, PGT_TEXT},        {PGT_ENUM, PGT_TEXT},
	{PGT_ENUM, PGT_VARCHAR},     {PGT_JSON, PGT_JSONB},
	{PGT_JSONB, PGT_JSON},       {PGT_DATE, PGT_TIMESTAMP},
	{PGT_DATE, PGT_TIMESTAMPTZ}, {PGT_TIMESTAMP, PGT_TIMESTAMPTZ},
};

static bool is_wider_kind(const struct pgtype *want, const struct pgtype *have)
{
	for (size_t i = 0; i < sizeof wider / sizeof wider[0]; i++)
		if (wider[i].want == want->base && wider[i].have == have->base)
			return true;
	return false;
}

/* Digits before the point that any value may need; -1: any number of them. */
static int whole_digits(const struct pgtype *t)
{
	switch (t->base) {
	case PGT_INT2:
		return 5;
	case PGT_INT4:
		return 10;
	case PGT_INT8:
		return 19;
	case PGT_NUMERIC:
		return t->precision < 0 ? -1 : t->precision - t->scale;
	default:
		return -1;
	}
}

static bool is_integer(const struct pgtype *t)
{
	return t->base == PGT_INT2 || t->base == PGT_INT4 || t->base == PGT_INT8;
}

static bool numeric_holds(const struct pgtype *want, const struct pgtype *have)
{
	int digits = whole_digits(want);
	if (have->precision < 0)
		return true;
	if (digits < 0 || digits > have->precision - have->scale)
		return false;
	return is_integer(want) ? have->scale >= 0 : have->scale >= want->scale;
}

static bool length_holds(const struct pgtype *want, const struct pgtype *have)
{
	if (have->length < 0)
		return true;
	if (want->base == PGT_ENUM || want->base == PGT_NAME)
		return have->length >= SCHEMA_NAME_MAX;
	return want->base == PGT_VECTOR ? want->length == have->length
					: want->length >= 0 && want->length <= have->length;
}

static bool precision_holds(const struct pgtype *want, const struct pgtype *have)
{
	if (have->precision < 0 || want->base == PGT_DATE)
		return true;
	return want->precision >= 0 && want->precision <= have->precision;
}

static bool same_modifier(const struct pgtype *a, const struct pgtype *b)
{
	return a->length == b->length && a->precision == b->precision && a->scale == b->scale;
}

static enum fit type_fit(const struct schema_column *col, const struct pgtype *have)
{
	const struct pgtype *want = &col->type;
	bool same = want->base == have->base;
	if (want->array != have->array || have->base == PGT_COUNT)
		return FIT_NOT;
	if (!same && (!is_wider_kind(want, have) || (col->exact && !(is_integer(want) && is_integer(have)))))
		return FIT_NOT;
	bool holds = have->base == PGT_NUMERIC ? numeric_holds(want, have)
					       : length_holds(want, have) && precision_holds(want, have);
	if (!holds)
		return FIT_NOT;
	return same && same_modifier(want, have) ? FIT_SAME : FIT_WIDER;
}

/* --- columns --- */

static const struct catalog_column *find_column(const struct catalog_table *t, const char *name)
{
	for (size_t i = 0; i < t->ncolumns; i++)
		if (strcmp(t->columns[i].name, name) == 0)
			return &t->columns[i];
	return NULL;
}

static bool has_label(const struct catalog_enum *e, const char *label)
{
	for (size_t i = 0; i < e->nlabels; i++)
		if (strcmp(e->labels[i], label) == 0)
			return true;
	return false;
}

static bool told_before(const struct compare *cmp, const char *text)
{
	for (size_t i = 0; i < cmp->out->n; i++)
		if (strcmp(cmp->out->list[i].text, text) == 0)
			return true;
	return false;
}

/* Several columns may have the type: told once. */
static void compare_labels(struct compare *cmp, const struct schema_column *col, const struct catalog_column *have)
{
	struct fix_place at = fix_at(cmp, 0);
	struct arena *a = cmp->out->arena;
	if (col->type.base != PGT_ENUM || have->type.base != PGT_ENUM || col->type.enum_index < 0 ||
	    have->type.enum_index < 0)
		return;
	const struct schema_enum *want = &cmp->s->enums[col->type.enum_index];
	const struct catalog_enum *e = &cmp->c->enums[have->type.enum_index];
	struct names missing = {0};
	buf_init(&missing.text, 0);
	const char *first = NULL;
	for (size_t i = 0; i < want->nlabels; i++)
		if (!has_label(e, want->labels[i])) {
			names_add(&missing, NULL, want->labels[i]);
			first = first != NULL ? first : want->labels[i];
		}
	if (missing.n > 0) {
		const char *text =
			arena_printf(a, "enum %s lacks label%s %s", e->name, plural(missing.n), names_text(&missing));
		if (!told_before(cmp, text))
			add(cmp, SINK_ERROR, arena_printf(a, "ALTER TYPE \"%s\" ADD VALUE '%s'", e->name, first),
			    "%s", text);
		fix_labels(&at, want, e);
	}
	names_free(&missing);
}

/* The other way round it fits: what the column holds now, the mapping's type holds, too. */
static void fix_misfit(struct compare *cmp, const struct schema_table *t, const struct schema_column *col,
		       const struct catalog_column *have)
{
	struct fix_place at = fix_at(cmp, (size_t)(t - cmp->s->tables));
	if (type_fit(&(struct schema_column){.type = have->type}, &col->type) != FIT_NOT)
		fix_type(&at, col, have);
}

static void tell_misfit(struct compare *cmp, const struct schema_table *t, const struct schema_column *col,
			const struct catalog_column *have)
{
	struct arena *a = cmp->out->arena;
	_cleanup_(buf_free) struct buf want = {0};
	pgtype_sql(&want, &col->type, NULL);
	if (have->type.base == PGT_COUNT) {
		add(cmp, SINK_ERROR, "leave it out of the mapping (from: null), or change its type",
		    "column %s.%s is %s, a type that docrow does not write", t->name, col->name, have->type_sql);
		return;
	}
	add(cmp, SINK_ERROR,
	    arena_printf(
		    a,
		    "ALTER TABLE \"%s\" ALTER COLUMN \"%s\" TYPE %s, or say type: %s in the mapping, which rejects "
		    "what does not fit",
		    t->name, col->name, buf_cstr(&want), have->type_sql),
	    "column %s.%s is %s, which does not hold every %s of the mapping", t->name, col->name, have->type_sql,
	    buf_cstr(&want));
	fix_misfit(cmp, t, col, have);
}

struct column_notes {
	struct names adapted, unknown;
};

static void compare_column(struct compare *cmp, const struct schema_table *t, const struct schema_column *col,
			   const struct catalog_column *have, struct column_notes *notes)
{
	struct arena *a = cmp->out->arena;
	if (col->no_source || col->generated_sql != NULL) {
		if (have->not_null && !have->has_default && !have->generated)
			add(cmp, SINK_ERROR, "give it a default, drop NOT NULL, or feed it",
			    "column %s.%s takes no NULL, has no default, and the mapping feeds it with nothing",
			    t->name, col->name);
		return;
	}
	if (have->generated) {
		add(cmp, SINK_ERROR, "say from: null at the column in the mapping",
		    "column %s.%s is generated and takes no values", t->name, col->name);
		return;
	}
	enum fit fit = type_fit(col, &have->type);
	if (fit == FIT_NOT) {
		tell_misfit(cmp, t, col, have);
		return;
	}
	compare_labels(cmp, col, have);
	if (fit == FIT_WIDER)
		names_add(&notes->adapted, t->name, arena_printf(a, "%s (%s)", col->name, have->type_sql));
	if (!have->not_null || col->not_null)
		return;
	add(cmp, SINK_WARNING,
	    arena_printf(a, "ALTER TABLE \"%s\" ALTER COLUMN \"%s\" DROP NOT NULL lets them in", t->name, col->name),
	    "column %s.%s takes no NULL: documents without a value for it become rejects", t->name, col->name);
	struct fix_place at = fix_at(cmp, (size_t)(t - cmp->s->tables));
	fix_not_null(&at, have);
}

/* Columns that only the target has. */
static void compare_others(struct compare *cmp, const struct schema_table *t, const struct catalog_table *have,
			   struct column_notes *notes)
{
	for (size_t i = 0; i < have->ncolumns; i++) {
		const struct catalog_column *c = &have->columns[i];
		if (schema_find_column(t, c->name) >= 0 || c->generated)
			continue;
		if (c->not_null && !c->has_default)
			add(cmp, SINK_ERROR,
			    arena_printf(cmp->out->arena,
					 "ALTER TABLE \"%s\" ALTER COLUMN \"%s\" DROP NOT NULL (or SET DEFAULT), or "
					 "name it in the mapping",
					 t->name, c->name),
			    "column %s.%s is not in the mapping, takes no NULL and has no default", t->name, c->name);
		else
			names_add(&notes->unknown, t->name, c->name);
	}
}

/* The bytes of a parent's key are written as they are. */
static void compare_parent(struct compare *cmp, size_t table)
{
	const struct schema_table *t = &cmp->s->tables[table];
	if (t->parent_table < 0 || t->parent_column < 0)
		return;
	const struct schema_table *p = &cmp->s->tables[t->parent_table];
	const char *mine = t->columns[t->parent_column].name;
	const char *key = p->nprimary_key > 0 ? p->columns[p->primary_key[0]].name : "";
	const struct catalog_column *a = find_column(&cmp->c->tables[table], mine);
	const struct catalog_column *b = find_column(&cmp->c->tables[t->parent_table], key);
	if (a != NULL && b != NULL && (a->type.base != b->type.base || a->type.array != b->type.array))
		add(cmp, SINK_ERROR, "give both the same type",
		    "column %s.%s is %s, but the key %s.%s that it holds is %s", t->name, mine, a->type_sql, p->name,
		    key, b->type_sql);
}

static void tell_missing(struct compare *cmp, size_t table, const struct schema_column *col)
{
	struct fix_place at = fix_at(cmp, table);
	add(cmp, SINK_ERROR, "add it to the table, or take it out of the mapping", "table %s has no column %s",
	    cmp->s->tables[table].name, col->name);
	fix_missing(&at, col);
}

static void compare_columns(struct compare *cmp)
{
	struct column_notes notes = {0};
	buf_init(&notes.adapted.text, 0);
	buf_init(&notes.unknown.text, 0);
	for (size_t i = 0; i < cmp->s->ntables; i++) {
		const struct schema_table *t = &cmp->s->tables[i];
		const struct catalog_table *have = &cmp->c->tables[i];
		if (!is_filled(cmp, have))
			continue;
		for (size_t k = 0; k < t->ncolumns; k++) {
			const struct catalog_column *c = find_column(have, t->columns[k].name);
			if (c != NULL)
				compare_column(cmp, t, &t->columns[k], c, &notes);
			else if (!t->columns[k].no_source && t->columns[k].generated_sql == NULL)
				tell_missing(cmp, i, &t->columns[k]);
		}
		compare_others(cmp, t, have, &notes);
		compare_parent(cmp, i);
	}
	if (notes.adapted.n > 0)
		add(cmp, SINK_NOTE, NULL, "%zu column%s wider than in the mapping, and written as such: %s",
		    notes.adapted.n, notes.adapted.n == 1 ? " is" : "s are", names_text(&notes.adapted));
	if (notes.unknown.n > 0)
		add(cmp, SINK_NOTE, NULL, "%zu column%s not in the mapping and keep%s NULL or the default: %s",
		    notes.unknown.n, notes.unknown.n == 1 ? " is" : "s are", notes.unknown.n == 1 ? "s" : "",
		    names_text(&notes.unknown));
	names_free(&notes.adapted);
	names_free(&notes.unknown);
}

/* --- references --- */

static const struct catalog_column *ref_target(const struct compare *cmp, int table, int column)
{
	return find_column(&cmp->c->tables[table], cmp->s->tables[table].columns[column].name);
}

static void compare_stub(struct compare *cmp, const struct schema_ref *r)
{
	const struct schema_table *parent = &cmp->s->tables[r->ref_table];
	const struct catalog_table *have = &cmp->c->tables[r->ref_table];
	for (size_t i = 0; i < have->ncolumns; i++) {
		const struct catalog_column *c = &have->columns[i];
		if (strcmp(c->name, parent->columns[r->ref_column].name) == 0 || !c->not_null || c->has_default ||
		    c->generated)
			continue;
		add(cmp, SINK_ERROR, "choose another if_orphan",
		    "no row of %s can stand in for a missing one (%s.%s, if_orphan: stub): column %s takes no NULL "
		    "and "
		    "has no default",
		    parent->name, cmp->s->tables[r->table].name, cmp->s->tables[r->table].columns[r->column].name,
		    c->name);
		return;
	}
}

static bool has_policy(const struct schema_ref *r, enum orphan_policy p)
{
	return r->policy == p || (r->policy == ORPHAN_MOVE_TO && r->otherwise == p);
}

static void compare_refs(struct compare *cmp)
{
	for (size_t i = 0; i < cmp->s->nrefs; i++) {
		const struct schema_ref *r = &cmp->s->refs[i];
		const struct schema_table *t = &cmp->s->tables[r->table];
		const struct schema_column *col = &t->columns[r->column];
		const struct catalog_column *have = ref_target(cmp, r->table, r->column);
		if (has_policy(r, ORPHAN_STUB))
			compare_stub(cmp, r);
		if (have == NULL || !have->not_null || col->not_null)
			continue;
		if (r->policy == ORPHAN_MOVE_TO || r->policy == ORPHAN_NULL)
			add(cmp, SINK_WARNING,
			    arena_printf(cmp->out->arena,
					 "ALTER TABLE \"%s\" ALTER COLUMN \"%s\" DROP NOT NULL keeps them", t->name,
					 col->name),
			    "column %s.%s takes no NULL: rows with an orphan there become rejects, where the mapping "
			    "%s",
			    t->name, col->name,
			    r->policy == ORPHAN_NULL ? "puts NULL" : "moves the id to another column");
	}
}

/* --- keys, indexes, foreign keys, triggers --- */

static bool has_name(const char *const *names, size_t n, const char *name)
{
	for (size_t i = 0; i < n; i++)
		if (strcmp(names[i], name) == 0)
			return true;
	return false;
}

static bool is_junction(const struct schema *s, int t)
{
	for (size_t j = 0; j < s->njunctions; j++)
		if (s->junctions[j].table == t)
			return true;
	return false;
}

static const struct catalog_object *find_key(const struct catalog *c, int table)
{
	for (size_t i = 0; i < c->nobjects; i++)
		if (c->objects[i].kind == CATALOG_PRIMARY_KEY && c->objects[i].table == table)
			return &c->objects[i];
	return NULL;
}

static bool same_key(const struct schema_table *t, const struct catalog_object *key)
{
	if (key->ncolumns != t->nprimary_key)
		return false;
	for (size_t i = 0; i < t->nprimary_key; i++)
		if (!has_name(key->columns, key->ncolumns, t->columns[t->primary_key[i]].name))
			return false;
	return true;
}

static void put_columns(struct buf *out, const char *const *columns, size_t n)
{
	for (size_t i = 0; i < n; i++)
		buf_printf(out, "%s%s", i > 0 ? ", " : "", columns[i]);
}

static void compare_key(struct compare *cmp, int table)
{
	const struct schema_table *t = &cmp->s->tables[table];
	const struct catalog_object *key = find_key(cmp->c, table);
	if (!is_filled(cmp, &cmp->c->tables[table]) || t->nprimary_key == 0 || (key != NULL && same_key(t, key)))
		return;
	if (key == NULL) {
		if (!is_junction(cmp->s, table))
			add(cmp, SINK_ERROR, "add the key to the table; docrow finds duplicates by it",
			    "table %s has no primary key, the mapping has one", t->name);
		return;
	}
	_cleanup_(buf_free) struct buf columns = {0};
	put_columns(&columns, key->columns, key->ncolumns);
	add(cmp, SINK_ERROR, "make the mapping's primary_key and the table's the same",
	    "the primary key of table %s is (%s), the mapping has another", t->name, buf_cstr(&columns));
}

static bool same_index(const struct schema_index *x, const struct catalog_object *o)
{
	if (x->unique != (o->kind == CATALOG_UNIQUE))
		return false;
	if (strcmp(x->name, o->name) == 0)
		return true;
	if (x->expression != NULL || o->expression != NULL || x->ncolumns != o->ncolumns ||
	    (x->where != NULL) != (o->where != NULL) || strcmp(x->method, o->method) != 0)
		return false;
	for (size_t i = 0; i < x->ncolumns; i++)
		if (strcmp(x->columns[i], o->columns[i]) != 0)
			return false;
	return true;
}

static bool is_index(const struct catalog_object *o)
{
	return o->kind == CATALOG_INDEX || o->kind == CATALOG_UNIQUE;
}

static bool has_index(const struct catalog *c, int table, const struct schema_index *x)
{
	for (size_t i = 0; i < c->nobjects; i++)
		if (is_index(&c->objects[i]) && c->objects[i].table == table && same_index(x, &c->objects[i]))
			return true;
	return false;
}

static bool key_fits(const struct schema *s, const struct catalog_object *o, int table, int column, int ref_table,
		     int ref_column)
{
	return o->kind == CATALOG_FOREIGN_KEY && o->table == table && o->ref_table == ref_table && o->ncolumns == 1 &&
	       o->nref_columns == 1 && strcmp(o->columns[0], s->tables[table].columns[column].name) == 0 &&
	       strcmp(o->ref_columns[0], s->tables[ref_table].columns[ref_column].name) == 0;
}

static bool has_fkey(const struct compare *cmp, int table, const struct schema_fkey *f)
{
	int column = schema_find_column(&cmp->s->tables[table], f->column);
	int ref_column = schema_find_column(&cmp->s->tables[f->ref_table], f->ref_column);
	for (size_t i = 0; i < cmp->c->nobjects && column >= 0 && ref_column >= 0; i++)
		if (key_fits(cmp->s, &cmp->c->objects[i], table, column, f->ref_table, ref_column))
			return true;
	return false;
}

/* What only the mapping has is told, and not made. */
static void compare_missing(struct compare *cmp)
{
	struct names indexes = {0}, fkeys = {0};
	buf_init(&indexes.text, 0);
	buf_init(&fkeys.text, 0);
	for (size_t t = 0; t < cmp->s->ntables; t++) {
		const struct schema_table *table = &cmp->s->tables[t];
		for (size_t i = 0; i < table->nindexes; i++)
			if (!has_index(cmp->c, (int)t, &table->indexes[i]))
				names_add(&indexes, NULL, table->indexes[i].name);
		for (size_t i = 0; i < table->nfkeys; i++)
			if (!has_fkey(cmp, (int)t, &table->fkeys[i]))
				names_add(&fkeys, NULL, table->fkeys[i].name);
	}
	if (indexes.n > 0)
		add(cmp, SINK_NOTE, NULL, "%zu index%s of the mapping %s not in the target and %s not made: %s",
		    indexes.n, indexes.n == 1 ? "" : "es", indexes.n == 1 ? "is" : "are",
		    indexes.n == 1 ? "is" : "are", names_text(&indexes));
	if (fkeys.n > 0)
		add(cmp, SINK_WARNING, NULL,
		    "%zu foreign key%s of the mapping %s not in the target and %s not made: %s", fkeys.n,
		    plural(fkeys.n), fkeys.n == 1 ? "is" : "are", fkeys.n == 1 ? "is" : "are", names_text(&fkeys));
	names_free(&indexes);
	names_free(&fkeys);
}

static void compare_troubles(struct compare *cmp)
{
	for (size_t i = 0; i < cmp->c->nobjects; i++) {
		const struct catalog_object *o = &cmp->c->objects[i];
		if (o->trouble != NULL)
			add(cmp, SINK_ERROR,
			    "it would have to be away while the rows are loaded; drop what stands in the way, or "
			    "have the "
			    "rights granted, and put it back afterwards",
			    "%s %s of %s cannot be taken away and made again: %s", catalog_kind_name(o->kind),
			    o->name, o->table_name, o->trouble);
	}
}

/* The foreign key, valid or not, of a column that the mapping has a reference for; NULL: none is in force. */
static const char *key_in_force(const struct compare *cmp, int table, int column)
{
	const char *name = cmp->s->tables[table].columns[column].name;
	for (size_t i = 0; i < cmp->c->nobjects; i++) {
		const struct catalog_object *o = &cmp->c->objects[i];
		if (o->kind == CATALOG_FOREIGN_KEY && o->table == table && o->ncolumns == 1 &&
		    strcmp(o->columns[0], name) == 0)
			return o->name;
	}
	return NULL;
}

static void refuse_keep(struct compare *cmp, int table, int column)
{
	const struct schema_table *t = &cmp->s->tables[table];
	const char *key = key_in_force(cmp, table, column);
	if (key != NULL)
		add(cmp, SINK_ERROR,
		    "choose another if_orphan, drop the foreign key, or leave --keep-indexes (and --append) out",
		    "orphans of %s.%s cannot be kept (if_orphan: keep): foreign key %s is in force", t->name,
		    t->columns[column].name, key);
}

/* Orphans that the mapping keeps would break a key that stays in force. */
static void compare_kept(struct compare *cmp)
{
	for (size_t i = 0; i < cmp->s->nrefs; i++)
		if (has_policy(&cmp->s->refs[i], ORPHAN_KEEP))
			refuse_keep(cmp, cmp->s->refs[i].table, cmp->s->refs[i].column);
	for (size_t i = 0; i < cmp->s->njunctions; i++) {
		const struct schema_junction *j = &cmp->s->junctions[i];
		if (j->if_orphan != ORPHAN_KEEP)
			continue;
		refuse_keep(cmp, j->table, j->left_column);
		refuse_keep(cmp, j->table, j->right_column);
	}
}

/* What a replaced row has below it goes with it. That is done table by table after the row above was moved, which it
 * is not yet in a circle. */
static void compare_replaced(struct compare *cmp)
{
	for (size_t i = 0; i < cmp->s->ntables && cmp->way->conflict == SINK_CONFLICT_REPLACE; i++) {
		const struct schema_table *t = &cmp->s->tables[i];
		if (t->parent_table >= 0 && sink_share_circle(cmp->s, (int)i, t->parent_table))
			add(cmp, SINK_ERROR, "--on-conflict skip or reject; or --skip the collection",
			    "rows of %s cannot replace those that are there: it and the table that it hangs on refer "
			    "to each other",
			    t->name);
	}
}

static void compare_triggers(struct compare *cmp, bool off)
{
	struct names on = {0}, published = {0};
	buf_init(&on.text, 0);
	buf_init(&published.text, 0);
	for (size_t i = 0; i < cmp->c->nobjects; i++)
		if (cmp->c->objects[i].kind == CATALOG_TRIGGER && cmp->c->objects[i].table >= 0)
			names_add(&on, cmp->c->tables[cmp->c->objects[i].table].name, cmp->c->objects[i].name);
	for (size_t i = 0; i < cmp->c->ntables; i++)
		if (cmp->c->tables[i].published)
			names_add(&published, NULL, cmp->c->tables[i].name);
	if (on.n > 0)
		add(cmp, off ? SINK_NOTE : SINK_WARNING,
		    off ? NULL : "--disable-triggers switches them off meanwhile",
		    off ? "%zu trigger%s switched off until the rows are settled: %s"
			: "%zu trigger%s on while rows are loaded and settled: %s",
		    on.n, on.n == 1 ? " is" : "s are", names_text(&on));
	if (published.n > 0 && !keeps_all(cmp))
		add(cmp, SINK_WARNING,
		    "if the publication carries updates and deletes, take the tables out of it until the end",
		    "table%s in a publication: %s. While the primary key is away the server refuses to change or "
		    "delete "
		    "published rows, which duplicates of a key ask for",
		    plural(published.n), names_text(&published));
	names_free(&on);
	names_free(&published);
}

/* --- rules --- */

/* A rule puts other statements in the place of settling's DELETE and UPDATE; COPY knows none. */
static bool compare_rules(struct compare *cmp, struct pg *pg, struct err *err)
{
	_cleanup_(pg_result_freep) struct pg_result *r = NULL;
	struct pg_param params[] = {PG_TEXT(cmp->s->name)};
	if (!pg_query(
		    pg,
		    "SELECT c.relname, w.rulename, pg_catalog.format('ALTER TABLE %I.%I DISABLE RULE %I', n.nspname,"
		    " c.relname, w.rulename) FROM pg_catalog.pg_rewrite w JOIN pg_catalog.pg_class c ON"
		    " c.oid = w.ev_class JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE"
		    " n.nspname = $1 AND w.ev_enabled <> 'D' ORDER BY 1, 2",
		    params, 1, &r, err))
		return false;
	for (int i = 0; i < pg_rows(r); i++) {
		int table = schema_find_table(cmp->s, pg_get(r, i, 0));
		if (table >= 0 && is_filled(cmp, &cmp->c->tables[table]))
			add(cmp, SINK_ERROR,
			    arena_printf(cmp->out->arena, "%s, and ENABLE RULE afterwards", pg_get(r, i, 2)),
			    "rule %s of table %s would change what is done to its rows", pg_get(r, i, 1),
			    pg_get(r, i, 0));
	}
	return true;
}

/* --- rows --- */

#define ROWS_COUNTED 1000

static bool compare_rows(struct compare *cmp, struct pg *pg, struct err *err)
{
	for (size_t i = 0; i < cmp->s->ntables && cmp->way->conflict == SINK_CONFLICT_NONE; i++) {
		_cleanup_(pg_result_freep) struct pg_result *r = NULL;
		_cleanup_(buf_free) struct buf sql = {0};
		if (!is_filled(cmp, &cmp->c->tables[i]) || !cmp->c->tables[i].may_write)
			continue;
		buf_puts(&sql, "SELECT count(*) FROM (SELECT FROM ");
		sql_table(&sql, cmp->s, &cmp->s->tables[i]);
		buf_printf(&sql, " LIMIT %d) x", ROWS_COUNTED + 1);
		if (!pg_query(pg, buf_cstr(&sql), NULL, 0, &r, err))
			return false;
		int64_t n = pg_get_i64(r, 0, 0);
		if (n == 0)
			continue;
		bool many = n > ROWS_COUNTED;
		add(cmp, SINK_ERROR, "empty the tables: what an earlier run of docrow filled goes away with --clean",
		    "table %s holds %s%lld row%s already", cmp->s->tables[i].name, many ? "more than " : "",
		    (long long)(many ? ROWS_COUNTED : n), n == 1 ? "" : "s");
	}
	return true;
}

bool sink_compare(struct pg *pg, const struct schema *s, const struct sink_way *way, struct sink_differences *out,
		  struct err *err)
{
	struct catalog c;
	struct compare cmp = {s, &c, out, way};
	if (!catalog_read(pg, s, out->arena, &c, err))
		return false;
	compare_tables(&cmp);
	compare_columns(&cmp);
	compare_refs(&cmp);
	for (size_t t = 0; t < s->ntables; t++)
		compare_key(&cmp, (int)t);
	if (keeps_all(&cmp)) {
		compare_kept(&cmp);
		compare_replaced(&cmp);
	} else {
		compare_troubles(&cmp);
	}
	compare_missing(&cmp);
	compare_triggers(&cmp, way->disable_triggers);
	if (s->owner != NULL || s->ngrants > 0)
		add(&cmp, SINK_NOTE, NULL,
		    "owner and grants of the mapping are for tables that docrow makes: left as they are");
	return compare_rules(&cmp, pg, err) && compare_rows(&cmp, pg, err);
}

/* --- the schema adapted --- */

struct adapt {
	struct schema *s;
	const struct catalog *c;
	struct arena *arena;
};

static void adapt_columns(struct adapt *ad)
{
	for (size_t i = 0; i < ad->s->ntables; i++)
		for (size_t k = 0; k < ad->s->tables[i].ncolumns; k++) {
			struct schema_column *col = &ad->s->tables[i].columns[k];
			const struct catalog_column *have = find_column(&ad->c->tables[i], col->name);
			if (have == NULL || have->type.base == PGT_COUNT) { /* fed by nothing */
				col->type.enum_index = -1;
				continue;
			}
			col->type = have->type;
			col->not_null = have->not_null;
			col->default_sql = have->has_default ? "DEFAULT" : NULL;
		}
}

/* Those that columns have, each once. */
static void adapt_enums(struct adapt *ad)
{
	struct schema_enum *list = arena_alloc(ad->arena, (ad->c->nenums + 1) * sizeof *list);
	int *at = arena_alloc(ad->arena, (ad->c->nenums + 1) * sizeof *at); /* place in the list, from 1 */
	int n = 0;
	for (size_t i = 0; i < ad->s->ntables; i++)
		for (size_t k = 0; k < ad->s->tables[i].ncolumns; k++) {
			struct pgtype *t = &ad->s->tables[i].columns[k].type;
			if (t->base != PGT_ENUM || t->enum_index < 0)
				continue;
			const struct catalog_enum *e = &ad->c->enums[t->enum_index];
			if (at[t->enum_index] == 0) {
				list[n] = (struct schema_enum){e->name, e->labels, e->nlabels};
				at[t->enum_index] = ++n;
			}
			t->enum_index = at[t->enum_index] - 1;
		}
	ad->s->enums = list;
	ad->s->nenums = (size_t)n;
}

/* Made where it was, whatever default the role has. */
static const char *make_again(struct adapt *ad, const struct catalog_object *o)
{
	bool placed = strncmp(o->definition, "SET LOCAL ", 10) == 0;
	return placed ? o->definition
		      : arena_printf(ad->arena, "SET LOCAL default_tablespace = ''; %s", o->definition);
}

static bool all_mapped(const struct schema_table *t, const struct catalog_object *o)
{
	for (size_t i = 0; i < o->ncolumns; i++)
		if (schema_find_column(t, o->columns[i]) < 0)
			return false;
	return true;
}

static void adapt_key(struct adapt *ad, const struct catalog_object *key, struct schema_table *t)
{
	t->primary_key = arena_alloc(ad->arena, (key->ncolumns + 1) * sizeof *t->primary_key);
	t->nprimary_key = key->ncolumns;
	for (size_t i = 0; i < key->ncolumns; i++)
		t->primary_key[i] = schema_find_column(t, key->columns[i]);
	t->primary_key_name = key->name;
	t->primary_key_definition = make_again(ad, key);
}

static const struct schema_index *mapped_index(const struct schema_table *t, const struct catalog_object *o)
{
	for (size_t i = 0; i < t->nindexes; i++)
		if (same_index(&t->indexes[i], o))
			return &t->indexes[i];
	return NULL;
}

static struct schema_index index_of(struct adapt *ad, const struct schema_table *t, const struct catalog_object *o)
{
	const struct schema_index *mapped = mapped_index(t, o);
	return (struct schema_index){.name = o->name,
				     .columns = o->columns,
				     .ncolumns = o->expression == NULL ? o->ncolumns : 0,
				     .expression = o->expression,
				     .method = o->method,
				     .where = o->where,
				     .unique = o->kind == CATALOG_UNIQUE,
				     .nulls_not_distinct = o->nulls_not_distinct,
				     .tier = INDEX_TIER_FILTER,
				     .duplicates = mapped != NULL ? mapped->duplicates : DUP_REJECT,
				     .definition = make_again(ad, o),
				     .exclusive = o->exclusive};
}

static struct schema_fkey fkey_of(const struct catalog_object *o)
{
	return (struct schema_fkey){.name = o->name,
				    .column = o->columns[0],
				    .ref_table = o->ref_table,
				    .ref_column = o->ref_columns[0],
				    .on_delete = o->on_delete,
				    .on_update = o->on_update,
				    .definition = o->definition,
				    .after = o->after};
}

static bool is_settled_key(const struct adapt *ad, const struct catalog_object *o)
{
	return o->kind == CATALOG_FOREIGN_KEY && o->plain &&
	       schema_find_column(&ad->s->tables[o->table], o->columns[0]) >= 0 &&
	       schema_find_column(&ad->s->tables[o->ref_table], o->ref_columns[0]) >= 0;
}

/* Is its key one that this table's steps make? */
static bool is_table_key(const struct adapt *ad, const struct catalog_object *o)
{
	return o->kind == CATALOG_PRIMARY_KEY && all_mapped(&ad->s->tables[o->table], o);
}

static void adapt_table(struct adapt *ad, int table)
{
	struct schema_table *t = &ad->s->tables[table];
	struct schema_index *indexes = arena_alloc(ad->arena, (ad->c->nobjects + 1) * sizeof *indexes);
	struct schema_fkey *fkeys = arena_alloc(ad->arena, (ad->c->nobjects + 1) * sizeof *fkeys);
	size_t nindexes = 0, nfkeys = 0;
	t->nprimary_key = 0;
	for (size_t i = 0; i < ad->c->nobjects; i++) {
		const struct catalog_object *o = &ad->c->objects[i];
		if (o->table != table)
			continue;
		if (is_table_key(ad, o))
			adapt_key(ad, o, t);
		else if (is_index(o))
			indexes[nindexes++] = index_of(ad, t, o);
		else if (is_settled_key(ad, o))
			fkeys[nfkeys++] = fkey_of(o);
	}
	t->indexes = indexes;
	t->nindexes = nindexes;
	t->fkeys = fkeys;
	t->nfkeys = nfkeys;
}

static int find_settled_key(const struct schema *s, const struct schema_ref *r)
{
	const struct schema_table *t = &s->tables[r->table];
	for (size_t i = 0; i < t->nfkeys; i++)
		if (t->fkeys[i].ref_table == r->ref_table &&
		    strcmp(t->fkeys[i].column, t->columns[r->column].name) == 0 &&
		    strcmp(t->fkeys[i].ref_column, s->tables[r->ref_table].columns[r->ref_column].name) == 0)
			return (int)i;
	return -1;
}

static void adapt_refs(struct adapt *ad)
{
	for (size_t i = 0; i < ad->s->nrefs; i++)
		ad->s->refs[i].fkey = find_settled_key(ad->s, &ad->s->refs[i]);
}

/* Where NULL cannot stand, an orphan's row is a reject. */
static void adapt_policies(struct adapt *ad)
{
	for (size_t i = 0; i < ad->s->nrefs; i++) {
		struct schema_ref *r = &ad->s->refs[i];
		if (!ad->s->tables[r->table].columns[r->column].not_null ||
		    (r->policy != ORPHAN_NULL && r->policy != ORPHAN_MOVE_TO))
			continue;
		r->policy = ORPHAN_REJECT;
		r->no_null = true;
	}
}

static bool is_restored_alone(const struct adapt *ad, const struct catalog_object *o)
{
	switch (o->kind) {
	case CATALOG_PRIMARY_KEY:
		return !is_table_key(ad, o);
	case CATALOG_FOREIGN_KEY:
		return !is_settled_key(ad, o);
	default:
		return !is_index(o);
	}
}

static struct schema_restore restore_of(struct adapt *ad, const struct catalog_object *o)
{
	bool fkey = o->kind == CATALOG_FOREIGN_KEY, valid = fkey && strstr(o->definition, " NOT VALID") == NULL;
	const char *after = o->after != NULL ? o->after : "";
	return (struct schema_restore){
		.kind = catalog_kind_name(o->kind),
		.name = o->name,
		.table = o->table,
		.other_table = fkey ? o->ref_table : -1,
		.table_name = o->table_name,
		.definition = fkey || o->kind == CATALOG_TRIGGER
				      ? arena_printf(ad->arena, "%s%s", o->definition, after)
				      : make_again(ad, o),
		.not_valid = valid ? arena_printf(ad->arena, "%s NOT VALID%s", o->definition, after) : NULL,
		.exclusive = o->exclusive};
}

static void adapt_restores(struct adapt *ad)
{
	struct schema *s = ad->s;
	s->restores = arena_alloc(ad->arena, (ad->c->nobjects + 1) * sizeof *s->restores);
	s->nrestores = 0;
	for (size_t i = 0; i < ad->c->nobjects; i++)
		if (is_restored_alone(ad, &ad->c->objects[i]))
			s->restores[s->nrestores++] = restore_of(ad, &ad->c->objects[i]);
}

static bool columns_fit(struct compare *cmp, struct err *err)
{
	compare_tables(cmp);
	compare_columns(cmp);
	for (size_t i = 0; i < cmp->out->n; i++) {
		const struct sink_difference *d = &cmp->out->list[i];
		if (d->severity != SINK_ERROR)
			continue;
		err_set(err, ERR_TARGET_CHANGED, "%s", d->text);
		return d->hint == NULL ? false : err_hint(err, "%s", d->hint);
	}
	return true;
}

/* The table's own indexes in place of the mapping's, to be made of their parts in another schema. Those over columns
 * that no document feeds hold nothing there. */
static void foretell_indexes(struct adapt *ad, int table)
{
	struct schema_table *t = &ad->s->tables[table];
	struct schema_index *list = arena_alloc(ad->arena, (ad->c->nobjects + 1) * sizeof *list);
	size_t n = 0;
	for (size_t i = 0; i < ad->c->nobjects; i++) {
		const struct catalog_object *o = &ad->c->objects[i];
		if (o->table != table || !is_index(o) || !all_mapped(t, o))
			continue;
		list[n] = index_of(ad, t, o);
		list[n].definition = NULL;
		list[n++].exclusive = false;
	}
	t->indexes = list;
	t->nindexes = n;
}

bool sink_adapt_columns(struct pg *pg, struct schema *s, struct arena *a, struct err *err)
{
	struct catalog *c = arena_alloc(a, sizeof *c);
	struct sink_differences d = {.arena = a};
	struct adapt ad = {s, c, a};
	if (!catalog_read(pg, s, a, c, err) || !columns_fit(&(struct compare){s, c, &d, NULL}, err))
		return false;
	adapt_columns(&ad);
	adapt_enums(&ad);
	for (size_t t = 0; t < s->ntables; t++)
		foretell_indexes(&ad, (int)t);
	adapt_policies(&ad);
	return true;
}

bool sink_adapt(struct pg *pg, struct schema *s, int64_t run, struct arena *a, struct err *err)
{
	struct catalog *c = arena_alloc(a, sizeof *c);
	struct sink_differences d = {.arena = a};
	struct adapt ad = {s, c, a};
	if (!catalog_read_recorded(pg, s, run, a, c, err) || !columns_fit(&(struct compare){s, c, &d, NULL}, err))
		return false;
	adapt_columns(&ad);
	adapt_enums(&ad);
	for (size_t t = 0; t < s->ntables; t++)
		adapt_table(&ad, (int)t);
	adapt_refs(&ad);
	adapt_policies(&ad);
	adapt_restores(&ad);
	return true;
}

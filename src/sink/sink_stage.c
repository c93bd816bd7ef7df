/* sink_stage.c - see sink_stage.h: the stages, and the schema that loads into them. */
#include "sink_stage.h"

#include "sink_sql.h"

static bool is_junction(const struct schema *s, int t)
{
	for (size_t j = 0; j < s->njunctions; j++)
		if (s->junctions[j].table == t)
			return true;
	return false;
}

/* --- the schema --- */

static bool has_ref(const struct schema *s, int table, int fkey)
{
	for (size_t i = 0; i < s->nrefs; i++)
		if (s->refs[i].table == table && s->refs[i].fkey == fkey)
			return true;
	return false;
}

static struct schema_ref ref_of(const struct schema *s, int table, int fkey)
{
	const struct schema_fkey *k = &s->tables[table].fkeys[fkey];
	return (struct schema_ref){.table = table,
				   .column = schema_find_column(&s->tables[table], k->column),
				   .ref_table = k->ref_table,
				   .ref_column = schema_find_column(&s->tables[k->ref_table], k->ref_column),
				   .fkey = fkey,
				   .policy = ORPHAN_REJECT,
				   .otherwise = ORPHAN_REJECT,
				   .move_to = -1,
				   .move_ref_table = -1,
				   .move_ref_column = -1};
}

/* A key in force that the mapping does not know: the server would refuse its orphans one by one. */
static void add_refs(struct schema *s, struct arena *a)
{
	size_t most = s->nrefs;
	for (size_t t = 0; t < s->ntables; t++)
		most += s->tables[t].nfkeys;
	struct schema_ref *refs = arena_alloc(a, (most + 1) * sizeof *refs);
	if (s->nrefs > 0)
		memcpy(refs, s->refs, s->nrefs * sizeof *refs);
	s->refs = refs;
	for (size_t t = 0; t < s->ntables; t++)
		for (size_t k = 0; k < s->tables[t].nfkeys && !is_junction(s, (int)t); k++)
			if (!has_ref(s, (int)t, (int)k))
				refs[s->nrefs++] = ref_of(s, (int)t, (int)k);
}

static void add_needs(struct schema *s, struct arena *a)
{
	size_t kept = 0;
	s->needs = arena_alloc(a, (s->nrestores + 2 * s->njunctions + 1) * sizeof *s->needs);
	s->nneeds = 0;
	for (size_t i = 0; i < s->njunctions; i++) {
		const struct schema_junction *j = &s->junctions[i];
		s->needs[s->nneeds++] = (struct schema_need){j->table, j->left_table};
		s->needs[s->nneeds++] = (struct schema_need){j->table, j->right_table};
	}
	for (size_t i = 0; i < s->nrestores; i++) {
		const struct schema_restore *x = &s->restores[i];
		if (x->table >= 0 && x->other_table >= 0)
			s->needs[s->nneeds++] = (struct schema_need){x->table, x->other_table};
		if (strcmp(x->kind, "trigger") == 0)
			s->restores[kept++] = *x;
	}
	s->nrestores = kept;
}

void sink_stage(struct schema *s, bool has_others, struct arena *a)
{
	add_refs(s, a);
	add_needs(s, a);
	for (size_t t = 0; t < s->ntables; t++) {
		s->tables[t].has_others = has_others;
		s->tables[t].stage = arena_printf(a, "docrow.rows_%zu", t);
	}
}

struct schema sink_stage_view(const struct schema *s, const struct sink_unit *units, size_t unit, struct arena *a)
{
	struct schema view = *s;
	view.tables = arena_alloc(a, (s->ntables + 1) * sizeof *view.tables);
	memcpy(view.tables, s->tables, s->ntables * sizeof *view.tables);
	for (size_t u = 0; u < unit; u++)
		for (size_t i = 0; i < units[u].ntables; i++)
			view.tables[units[u].tables[i]].stage = NULL;
	return view;
}

/* --- the tables --- */

/* Identity columns that nothing feeds are numbered when the rows are moved. */
static bool free_identity(struct pg *pg, const struct schema *s, const struct schema_table *t, struct err *err)
{
	_cleanup_(pg_result_freep) struct pg_result *r = NULL;
	struct pg_param params[] = {PG_TEXT(s->name), PG_TEXT(t->name)};
	if (!pg_query(pg,
		      "SELECT pg_catalog.quote_ident(a.attname) FROM pg_catalog.pg_attribute a JOIN"
		      " pg_catalog.pg_class c ON c.oid = a.attrelid JOIN pg_catalog.pg_namespace n ON n.oid ="
		      " c.relnamespace WHERE n.nspname = $1 AND c.relname = $2 AND a.attidentity <> ''"
		      " AND NOT a.attisdropped",
		      params, 2, &r, err))
		return false;
	for (int i = 0; i < pg_rows(r); i++)
		if (!pg_execf(pg, err, "ALTER TABLE %s ALTER COLUMN %s DROP NOT NULL", t->stage, pg_get(r, i, 0)))
			return false;
	return true;
}

/* CHECKs are the table's, so that what breaks one is found while it is loaded, as without a stage. */
static bool create_stage(struct pg *pg, const struct schema *s, const struct schema_table *t, struct err *err)
{
	_cleanup_(buf_free) struct buf sql = {0};
	buf_printf(&sql, "CREATE TABLE %s (LIKE ", t->stage);
	sql_table(&sql, s, t);
	buf_puts(&sql, " INCLUDING CONSTRAINTS INCLUDING DEFAULTS INCLUDING GENERATED)");
	return (pg_exec(pg, buf_cstr(&sql), err) && free_identity(pg, s, t, err)) ||
	       err_where(err, "stage of %s", t->name);
}

/* An earlier run that is done may have left its own. */
static bool drop_old(struct pg *pg, const struct schema *s, struct err *err)
{
	for (size_t j = 0; j < s->njunctions; j++)
		if (!pg_execf(pg, err, "DROP TABLE IF EXISTS docrow.pairs_%zu", j))
			return false;
	return sink_stage_drop(pg, s, err);
}

bool sink_stage_create(struct pg *pg, const struct schema *s, struct err *err)
{
	if (!drop_old(pg, s, err))
		return false;
	for (size_t t = 0; t < s->ntables; t++)
		if (s->tables[t].stage != NULL && !create_stage(pg, s, &s->tables[t], err))
			return false;
	return sink_create_staging(pg, s, err);
}

bool sink_stage_drop(struct pg *pg, const struct schema *s, struct err *err)
{
	for (size_t t = 0; t < s->ntables; t++)
		if (!pg_execf(pg, err, "DROP TABLE IF EXISTS docrow.rows_%zu", t))
			return false;
	return true;
}

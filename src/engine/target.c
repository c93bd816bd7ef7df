/* target.c - whose the target's tables are: docrow makes them, or they are there already and are filled.
 *
 * A run's kind is decided when it begins and stands in docrow.ddl from then on. Tables that are there are filled
 * without asking when they are empty and fit, since that is what a person who deployed them wants; everything that
 * does not fit is told at once, before anything is written.
 */
#include <stdio.h>

#include "engine_private.h"
#include "sink_existing.h"

static void tell(const struct sink_difference *d)
{
	static const enum log_level levels[] = {
		[SINK_NOTE] = LOG_INFO, [SINK_WARNING] = LOG_WARN, [SINK_ERROR] = LOG_ERROR};
	if (d->hint != NULL)
		log_line(levels[d->severity], "%s (%s)", d->text, d->hint);
	else
		log_line(levels[d->severity], "%s", d->text);
}

static bool refuse(const struct sink_differences *d, const struct schema *s, struct err *err)
{
	const struct sink_difference *first = NULL;
	_cleanup_(buf_free) struct buf list = {0};
	size_t told = 0;
	for (size_t i = 0; i < d->n; i++) {
		if (d->list[i].severity != SINK_ERROR)
			continue;
		if (first == NULL)
			first = &d->list[i];
		if (list.len + strlen(d->list[i].text) + 40 > sizeof err->detail)
			break;
		buf_printf(&list, "%s%s", told++ > 0 ? "; " : "", d->list[i].text);
	}
	if (told < d->nerrors)
		buf_printf(&list, " and %zu more, listed above", d->nerrors - told);
	err_set(err, ERR_TARGET_MISMATCH, "the tables in schema %s do not fit the mapping: %zu thing%s to mend",
		s->name, d->nerrors, d->nerrors == 1 ? "" : "s");
	err_detail(err, "%s", buf_cstr(&list));
	return err_hint(err, "%s; nothing was changed",
			first != NULL && first->hint != NULL ? first->hint : "mend the target or the mapping");
}

/* Differences are told once: when looking, not when looking again under locks. */
static bool compare(struct engine *e, struct pg *pg, bool aloud, struct err *err)
{
	struct sink_differences d = {.arena = arena_new()};
	bool ok = sink_compare(pg, &e->plan->schema, &e->way, &d, err);
	for (size_t i = 0; ok && aloud && i < d.n; i++)
		tell(&d.list[i]);
	if (ok && aloud && d.nfixes > 0)
		log_line(LOG_INFO, "docrow check --apply-fixes can make %zu change%s to mend that", d.nfixes,
			 d.nfixes == 1 ? "" : "s");
	if (ok && d.nerrors > 0)
		ok = refuse(&d, &e->plan->schema, err);
	arena_free(d.arena);
	return ok;
}

static const char *what_is_done(const struct sink_way *way)
{
	static const char *const adds[] = {
		[SINK_CONFLICT_NONE] = "they are filled as they are, with their keys and indexes in force",
		[SINK_CONFLICT_REJECT] = "rows are added to them; those whose key is there already become rejects",
		[SINK_CONFLICT_SKIP] = "rows are added to them; those whose key is there already are skipped",
		[SINK_CONFLICT_REPLACE] = "rows are added to them; those whose key is there already replace the old",
	};
	return way->keep_indexes
		       ? adds[way->conflict]
		       : "they are filled as they are; their keys and indexes are away while rows are loaded";
}

static bool look_at_tables(struct engine *e, struct pg *pg, size_t found, struct err *err)
{
	const struct schema *s = &e->plan->schema;
	if (e->options.load_only) {
		err_set(err, ERR_USAGE, "--load-only is for tables that docrow makes");
		err_detail(err, "%zu of the mapping's tables are in schema %s; they would be left without their keys",
			   found, s->name);
		return err_hint(err, "leave it out, or migrate into an empty schema");
	}
	if (!sink_check_existing(pg, s, &e->way, err))
		return false;
	log_line(LOG_INFO, "%zu of %zu tables are in schema %s already: %s", found, s->ntables, s->name,
		 what_is_done(&e->way));
	bool ok = pg_begin(pg, false, err) && compare(e, pg, true, err);
	pg_rollback(pg);
	return ok;
}

bool target_check(struct engine *e, struct pg *pg, struct err *err)
{
	size_t found;
	if (e->options.way.keep_indexes && e->options.target == ENGINE_TARGET_OWNED) {
		err_set(err, ERR_USAGE, "--keep-indexes and --append are for tables that are there");
		return err_hint(err, "leave out --target-tables owned, or those");
	}
	if (!sink_find_tables(pg, &e->plan->schema, &found, err))
		return false;
	e->way = e->options.way;
	e->existing = e->options.target == ENGINE_TARGET_EXISTING || e->way.keep_indexes ||
		      (e->options.target == ENGINE_TARGET_AUTO && found > 0);
	return e->existing ? look_at_tables(e, pg, found, err) : sink_check(pg, &e->plan->schema, false, err);
}

/* The plan's schema becomes the target's, with stages if it is to be loaded under its keys; what was worked out from
 * it before is thrown away. */
static bool adapt(struct engine *e, struct pg *pg, int64_t run, bool stage, struct err *err)
{
	if (!sink_adapt(pg, &e->plan->schema, run, e->plan->arena, err))
		return false;
	plan_adapt(e->plan);
	if (stage)
		sink_stage(&e->plan->schema, e->way.conflict != SINK_CONFLICT_NONE, e->plan->arena);
	settle_free(e->settle);
	e->settle = settle_new(e->plan);
	return true;
}

bool target_prepare(struct engine *e, struct pg *pg, int64_t run, struct err *err)
{
	struct schema *s = &e->plan->schema;
	if (!e->existing)
		return sink_create(pg, s, err);
	bool stage = e->way.keep_indexes;
	return sink_lock_tables(pg, s, &e->way, e->options.lock_seconds, err) && compare(e, pg, false, err) &&
	       sink_take_away(pg, s, run, &e->way, err) && adapt(e, pg, run, stage, err) &&
	       (stage ? sink_stage_create(pg, s, err) : sink_create_staging(pg, s, err));
}

bool target_reopen(struct engine *e, struct pg *pg, int64_t run, struct err *err)
{
	if (!sink_is_existing(pg, run, &e->existing, err))
		return false;
	if (!e->existing)
		return sink_check(pg, &e->plan->schema, true, err);
	bool ok = sink_check_existing(pg, &e->plan->schema, &e->way, err) && pg_begin(pg, false, err) &&
		  adapt(e, pg, run, e->way.keep_indexes, err);
	pg_rollback(pg);
	return ok;
}

bool target_for_retry(struct engine *e, struct pg *pg, struct plan *run_plan, struct err *err)
{
	if (!sink_is_existing(pg, e->run, &e->existing, err))
		return false;
	if (!e->existing)
		return sink_resolve(pg, &e->plan->schema, err);
	bool ok = pg_begin(pg, false, err) && adapt(e, pg, e->run, false, err) &&
		  sink_adapt(pg, &run_plan->schema, e->run, run_plan->arena, err);
	pg_rollback(pg);
	if (ok)
		plan_adapt(run_plan);
	return ok;
}

/* Rows that someone else wrote into tables of ours would go with them. */
static bool guard_rows(struct pg *pg, const struct schema *s, int64_t run, struct err *err)
{
	for (size_t i = 0; i < s->ntables; i++) {
		uint64_t n;
		if (!sink_count_foreign_rows(pg, s, run, (int)i, &n, err))
			return false;
		if (n == 0)
			continue;
		err_set(err, ERR_TARGET_CHANGED,
			"table %s has rows that docrow did not write, or that were changed since", s->tables[i].name);
		err_detail(err, "%llu rows; dropping the table would lose them", (unsigned long long)n);
		return err_hint(err, "if they are not needed, empty the table yourself, then try again");
	}
	return true;
}

bool target_clean(struct engine *e, struct pg *pg, const struct schema *s, int64_t run, struct err *err)
{
	bool existing;
	uint64_t left;
	if (!sink_is_existing(pg, run, &existing, err))
		return false;
	if (!existing)
		return guard_rows(pg, s, run, err) && sink_drop(pg, s, err);
	if (!sink_give_back(pg, s, run, e->options.lock_seconds, &left, err))
		return false;
	if (left > 0)
		log_line(LOG_WARN,
			 "%llu rows that docrow did not write, or that were changed since, stay in the tables",
			 (unsigned long long)left);
	return true;
}

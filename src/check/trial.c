/* trial.c - how long, how large: a small part of the move done for real, measured, and taken back.
 *
 * Of each collection, the largest first, some documents are read, converted and loaded into tables in a scratch
 * schema, with their keys and indexes; then everything is multiplied. One transaction, rolled back.
 */
#include <stdio.h>
#include <stdlib.h>

#include "check.h"
#include "convert.h"
#include "scratch.h"
#include "sink.h"
#include "sys.h"

#define TRIAL_DOCS    3000
#define TRIAL_SECONDS 4.0

struct trial {
	const struct plan *plan;
	struct source *source;
	struct arena *arena;
	struct scratch scratch;
	struct pg *pg;
	struct ledger *ledger;
	struct source_reader *reader;
	double *factor; /* by table: documents of its collection / documents tried */
	uint64_t tried_bytes;
	struct check_estimate *out;
};

/* Only the first range is wanted. */
static bool take_first(void *ctx, const struct source_range *range, struct err *err)
{
	struct buf *b = ctx;
	(void)err;
	if (b->len == 0)
		buf_put(b, range->bounds, range->bounds_len);
	return true;
}

static bool send_rows(struct trial *t, struct conv *conv, const struct plan_collection *c, struct err *err)
{
	for (size_t o = 0; o < c->noutputs; o++) {
		struct rowbuf *rb = conv_rows(conv, (int)o);
		uint64_t taken;
		if (rb->rows == 0)
			continue;
		if (!sink_copy_begin(t->pg, &t->scratch.schema, &c->outputs[o].copy, err) ||
		    !sink_copy_put(t->pg, rb, err) || !sink_copy_end(t->pg, &taken, err))
			return false;
	}
	return true;
}

static bool load_some(struct trial *t, size_t index, uint64_t *docs, uint64_t *bytes, struct err *err)
{
	const struct plan_collection *c = &t->plan->collections[index];
	_cleanup_(buf_free) struct buf bounds = {0};
	struct conv_where where;
	const uint8_t *doc;
	size_t len;
	int got = 1;
	if (!source_split(t->source, c->name, 0, (uint64_t)16 << 20, take_first, &bounds, err) ||
	    !source_read(t->reader, c->name, bounds.data, bounds.len, err))
		return false;
	struct conv *conv = conv_new(t->plan, (int)index, t->ledger);
	conv_set_server_version(conv, pg_server_version(t->pg));
	while (*docs < TRIAL_DOCS && !stop_requested() && (got = source_next(t->reader, &doc, &len, err)) == 1) {
		++*docs;
		*bytes += len;
		(void)!conv_document(conv, doc, len, &where); /* rejects take time, too, and no room */
	}
	bool ok = got >= 0 && send_rows(t, conv, c, err);
	conv_free(conv);
	return ok;
}

/* A failure (duplicates, mostly) costs the estimate that index and nothing else. */
static bool build(struct trial *t, struct buf *sql, struct err *err)
{
	if (!pg_exec(t->pg, "SAVEPOINT docrow_trial", err))
		return false;
	if (pg_exec(t->pg, buf_cstr(sql), err))
		return pg_exec(t->pg, "RELEASE SAVEPOINT docrow_trial", err);
	return !pg_is_lost(t->pg) &&
	       pg_exec(t->pg, "ROLLBACK TO SAVEPOINT docrow_trial; RELEASE SAVEPOINT docrow_trial", err);
}

static bool build_structure(struct trial *t, const struct schema_table *table, struct err *err)
{
	_cleanup_(buf_free) struct buf sql = {0};
	if (table->nprimary_key > 0)
		schema_sql_primary_key(&sql, &t->scratch.schema, table);
	if (sql.len > 0 && !build(t, &sql, err))
		return false;
	for (size_t i = 0; i < table->nindexes; i++) {
		buf_reset(&sql);
		schema_sql_index(&sql, &t->scratch.schema, table, &table->indexes[i]);
		if (!build(t, &sql, err))
			return false;
	}
	return true;
}

static bool table_bytes(struct trial *t, const struct schema_table *table, int64_t *bytes, struct err *err)
{
	_cleanup_(pg_result_freep) struct pg_result *r = NULL;
	_cleanup_(buf_free) struct buf name = {0};
	sql_table(&name, &t->scratch.schema, table);
	struct pg_param param = PG_TEXT(buf_cstr(&name));
	if (!pg_query(t->pg, "SELECT pg_total_relation_size($1::regclass)", &param, 1, &r, err))
		return false;
	*bytes = pg_get_i64(r, 0, 0);
	return true;
}

static bool measure_structure(struct trial *t, struct err *err)
{
	const struct schema *s = &t->scratch.schema;
	for (size_t i = 0; i < s->ntables && !stop_requested(); i++) {
		int64_t full;
		double started = clock_seconds();
		if (t->factor[i] <= 0)
			continue;
		if (!build_structure(t, &s->tables[i], err) || !table_bytes(t, &s->tables[i], &full, err))
			return false;
		/* what a few rows cost is mostly the cost of a statement, which does not grow */
		t->out->settle_seconds +=
			t->factor[i] > 1 ? (clock_seconds() - started) * t->factor[i] : clock_seconds() - started;
		t->out->bytes += (uint64_t)((double)full * t->factor[i]);
	}
	return true;
}

static void set_factors(struct trial *t, size_t index, double factor)
{
	const struct plan_collection *c = &t->plan->collections[index];
	for (size_t o = 0; o < c->noutputs; o++)
		if (c->outputs[o].kind != PLAN_OUTPUT_PAIRS && t->factor[c->outputs[o].copy.table] < factor)
			t->factor[c->outputs[o].copy.table] = factor;
}

struct candidate {
	size_t collection;
	uint64_t docs, bytes;
};

static int by_bytes(const void *a, const void *b)
{
	const struct candidate *x = a, *y = b;
	return x->bytes == y->bytes ? 0 : x->bytes > y->bytes ? -1 : 1;
}

static bool list_candidates(struct trial *t, struct candidate **out, size_t *n, struct err *err)
{
	struct source_collection *list;
	size_t found;
	if (!source_collections(t->source, t->arena, &list, &found, err))
		return false;
	*out = arena_alloc(t->arena, (t->plan->ncollections + 1) * sizeof **out);
	*n = 0;
	for (size_t c = 0; c < t->plan->ncollections; c++)
		for (size_t i = 0; i < found; i++)
			if (!list[i].skipped && strcmp(list[i].name, t->plan->collections[c].source) == 0)
				(*out)[(*n)++] = (struct candidate){c, list[i].est_docs, list[i].est_bytes};
	qsort(*out, *n, sizeof **out, by_bytes);
	return true;
}

static bool try_collections(struct trial *t, struct err *err)
{
	struct candidate *list;
	size_t n;
	double started = clock_seconds(), load = 0;
	uint64_t all = 0;
	if (!list_candidates(t, &list, &n, err))
		return false;
	for (size_t i = 0; i < n && clock_seconds() - started < TRIAL_SECONDS && !stop_requested(); i++) {
		uint64_t docs = 0, bytes = 0;
		double from = clock_seconds();
		if (!load_some(t, list[i].collection, &docs, &bytes, err))
			return false;
		double factor = docs > 0 && list[i].docs > docs ? (double)list[i].docs / (double)docs : 1;
		load += (clock_seconds() - from) * factor;
		t->out->docs += docs;
		t->tried_bytes += list[i].bytes;
		set_factors(t, list[i].collection, factor);
	}
	for (size_t i = 0; i < n; i++)
		all += list[i].bytes;
	t->out->load_seconds = load;
	t->out->share = all > 0 ? (double)t->tried_bytes / (double)all : 1;
	return true;
}

/* What the collections that were not reached would add: as much for a byte as the others. */
static void scale(struct trial *t)
{
	double share = t->out->share > 0.001 ? t->out->share : 1;
	t->out->load_seconds /= share;
	t->out->settle_seconds /= share;
	t->out->bytes = (uint64_t)((double)t->out->bytes / share);
}

bool check_trial(const struct plan *p, struct source *source, const char *target_uri, struct check_estimate *out,
		 struct err *err)
{
	struct trial t = {.plan = p, .source = source, .arena = arena_new(), .ledger = ledger_new(), .out = out};
	*out = (struct check_estimate){0};
	scratch_build(&t.scratch, p, t.arena);
	t.factor = arena_alloc(t.arena, (p->schema.ntables + 1) * sizeof *t.factor);
	bool ok = pg_open(&t.pg, target_uri, "docrow check", err) && pg_begin(t.pg, false, err) &&
		  state_install_here(t.pg, err) && sink_create(t.pg, &t.scratch.schema, err) &&
		  source_reader_open(&t.reader, source, err) && try_collections(&t, err) &&
		  sink_begin_settle(t.pg, err) && measure_structure(&t, err);
	if (ok)
		scale(&t);
	if (ok && stop_requested())
		ok = err_set(err, ERR_STOPPED, "stopped");
	if (t.reader != NULL)
		source_reader_close(t.reader);
	if (t.pg != NULL)
		pg_rollback(t.pg);
	pg_close(t.pg);
	ledger_free(t.ledger);
	arena_free(t.arena);
	return ok;
}

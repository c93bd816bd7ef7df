/* retry.c - docrow retry: the open rejects of a finished run, tried again with the mapping of now.
 *
 *   begin_retry → retry_main: passes over the open rejects until one changes nothing
 *     pass: collections, parents before children → batches of documents
 *     batch: one transaction: docrow.step row of kind retry, rejects locked, items (retry_items.c), counts, mark
 *
 * A batch is one transaction, and what it took is in docrow.reject's state: killed at any moment, the next retry goes
 * on with what is open. Two at once take turns: a batch holds the run's row. A pass that let something in is followed
 * by another over the rejects that waited for a row or a key, since it may be there now.
 *
 * A dry run does all of it in one transaction that is rolled back.
 */
#include "retry.h"

#include <stdio.h>
#include <stdlib.h>

#include "text.h"

#define BATCH_DOCUMENTS 1000
#define BATCH_BYTES     ((int64_t)8 << 20)

/* The open rejects of one document. */
struct group {
	char *ids; /* {1,2,3} */
	size_t n;
	int64_t bytes;
};

struct pass {
	struct worker *w;
	struct retry *r;
	int number; /* from 0 */
	struct arena *arena;
	struct group *groups;
	size_t ngroups;
	uint64_t loaded;
};

/* --- the mapping of now and that of the run --- */

static bool read_run_plan(struct retry *r, const struct state_run *run, struct err *err)
{
	return mapping_parse(&r->run_mapping, run->mapping_name, run->mapping_text, strlen(run->mapping_text), NULL,
			     err) &&
	       plan_build_part(&r->run_plan, r->run_mapping, run->left_out, NULL, err);
}

static bool check_mapping(struct retry *r, struct err *err)
{
	_cleanup_(buf_free) struct buf report = {0};
	if (plan_same_structure(r->run_plan, r->e->plan, &report))
		return true;
	err_set(err, ERR_RUN_OTHER_MAPPING, "the mapping differs from the run's in more than policies");
	err_detail(err, "%.*s", (int)(report.len < 900 ? report.len : 900), (const char *)report.data);
	return err_hint(
		err, "docrow retry takes a mapping with the run's tables, columns, paths and keys; for another one "
		     "begin again: docrow migrate --clean");
}

static bool record_revision(struct retry *r, struct pg *pg, struct err *err)
{
	const struct mapping *m = r->e->plan->mapping;
	char digest[65];
	text_hex(m->digest, 32, digest);
	return r->e->options.dry_run ||
	       state_revision_add(pg, r->e->run, m->name, m->text, digest, r->e->options.version, err);
}

static void count_open(struct engine *e, const struct state_pattern *p, size_t n)
{
	for (size_t c = 0; c < e->plan->ncollections; c++) {
		struct table_progress *t = &e->tables[c];
		bool first = plan_find_collection(e->plan, e->plan->collections[c].name) == (int)c;
		for (size_t i = 0; i < n && first; i++)
			if (p[i].collection != NULL && strcmp(p[i].collection, e->plan->collections[c].name) == 0)
				t->est_docs += p[i].open;
		t->present = t->est_docs > 0;
	}
}

bool begin_retry(struct engine *e, struct pg *pg, const struct state_run *run, struct arena *a, struct err *err)
{
	struct retry *r = e->retry = mem_zalloc(sizeof *r);
	struct state_pattern *patterns;
	size_t n;
	r->e = e;
	r->fresh = mem_zalloc(sizeof *r->fresh * (e->plan->ncollections + 1));
	r->old = mem_zalloc(sizeof *r->old * (e->plan->ncollections + 1));
	r->fresh_counts = ledger_new();
	r->old_counts = ledger_new();
	rowbuf_init(&r->item_rows);
	r->arena = arena_new();
	e->run = run->id;
	atomic_store(&e->phase, STATE_LOAD); /* for the display: documents are loaded */
	if (!read_run_plan(r, run, err) || !check_mapping(r, err) || !target_for_retry(e, pg, r->run_plan, err) ||
	    !record_revision(r, pg, err) || !state_reject_patterns(pg, run->id, a, &patterns, &n, err))
		return false;
	count_open(e, patterns, n);
	return true;
}

void retry_free(struct retry *r)
{
	if (r == NULL)
		return;
	for (size_t c = 0; c < r->e->plan->ncollections; c++) {
		conv_free(r->fresh[c]);
		conv_free(r->old[c]);
	}
	free(r->fresh);
	free(r->old);
	ledger_free(r->fresh_counts);
	ledger_free(r->old_counts);
	for (size_t o = 0; o < r->nstage; o++)
		rowbuf_free(&r->stage[o]);
	free(r->stage);
	for (size_t o = 0; o < r->ninside; o++)
		rowbuf_free(&r->inside[o]);
	free(r->inside);
	rowbuf_free(&r->item_rows);
	arena_free(r->arena);
	plan_free(r->run_plan);
	mapping_free(r->run_mapping);
	free(r);
}

/* --- which rejects --- */

/* $3 collection, $4 table, $5 fault, $6 path, $7 id */
#define PICKED                                                                                                       \
	"($3::text IS NULL OR r.collection = $3) AND ($4::text IS NULL OR r.table_name = $4) AND ($5::text IS NULL " \
	"OR r.fault = $5) AND ($6::text IS NULL OR r.path = $6) AND ($7::bigint IS NULL OR r.id = $7)"

static void filter_params(const struct engine *e, struct pg_param *params, char id[24])
{
	const struct retry_filter *f = &e->options.retry;
	const char *texts[4] = {f->collection, f->table, f->fault, f->path};
	for (int i = 0; i < 4; i++)
		params[i] = texts[i] != NULL ? PG_TEXT(texts[i]) : PG_NULL;
	snprintf(id, 24, "%lld", (long long)f->id);
	params[4] = f->id > 0 ? PG_TEXT(id) : PG_NULL;
}

/* Documents with open rejects, in the order of their keys. After the first pass only what waited for something. */
static bool list_groups(struct pass *p, const char *collection, struct err *err)
{
	static const char sql[] =
		"SELECT array_agg(r.id ORDER BY r.id)::text, count(*), coalesce(sum(octet_length(r.document)), "
		"0)::bigint "
		"FROM docrow.reject r WHERE r.run = $1::bigint AND r.collection = $2::text AND r.state = 'open' "
		"GROUP BY coalesce(r.doc_id, int8send(r.id)) HAVING bool_or(" PICKED
		" AND ($8::text = '0' OR r.fault IN ('orphan', 'duplicate'))) "
		"ORDER BY min(CASE WHEN r.key ~ '^-?[0-9]{1,18}$' THEN r.key::bigint END), min(r.key COLLATE \"C\"), "
		"min(r.id)";
	char run[24], id[24], number[24];
	_cleanup_(pg_result_freep) struct pg_result *res = NULL;
	struct pg_param params[8] = {PG_TEXT(run), PG_TEXT(collection)};
	snprintf(run, sizeof run, "%lld", (long long)p->w->engine->run);
	snprintf(number, sizeof number, "%d", p->number);
	filter_params(p->w->engine, params + 2, id);
	params[7] = PG_TEXT(number);
	if (!pg_query(p->w->pg, sql, params, 8, &res, err))
		return false;
	p->ngroups = (size_t)pg_rows(res);
	p->groups = arena_alloc(p->arena, (p->ngroups + 1) * sizeof *p->groups);
	for (size_t i = 0; i < p->ngroups; i++)
		p->groups[i] = (struct group){.ids = arena_strdup(p->arena, pg_get(res, (int)i, 0)),
					      .n = (size_t)pg_get_i64(res, (int)i, 1),
					      .bytes = pg_get_i64(res, (int)i, 2)};
	return true;
}

/* --- reading a batch --- */

static enum fault fault_of(const char *name)
{
	for (int f = 1; name != NULL && f < FAULT_COUNT; f++)
		if (strcmp(fault_name((enum fault)f), name) == 0)
			return (enum fault)f;
	return FAULT_REFUSED;
}

static const uint8_t *bytes_of(struct arena *a, const struct pg_result *res, int row, int column, size_t *len)
{
	_cleanup_(buf_free) struct buf b = {0};
	*len = 0;
	if (pg_get(res, row, column) == NULL)
		return NULL;
	pg_get_bytea(res, row, column, &b);
	*len = b.len;
	return arena_memdup(a, b.data, b.len);
}

static const char *text_of(struct arena *a, const struct pg_result *res, int row, int column)
{
	return pg_get(res, row, column) != NULL ? arena_strdup(a, pg_get(res, row, column)) : NULL;
}

static enum retry_what what_is(const struct retry_batch *b, const struct retry_reject *r, bool has_row)
{
	const struct schema *s = &b->w->engine->plan->schema;
	const char *main = s->tables[b->c->outputs[0].copy.table].name;
	if (!has_row)
		return r->ordinal >= 0 ? RETRY_ELEMENT : RETRY_DOCUMENT;
	return r->table != NULL && strcmp(r->table, main) == 0 ? RETRY_TAKEN : RETRY_ROW;
}

static void read_reject(struct retry_batch *b, const struct pg_result *res, int row)
{
	struct retry_reject *r = &b->rejects[row];
	*r = (struct retry_reject){
		.id = pg_get_i64(res, row, 0),
		.doc = (int)pg_get_i64(res, row, 1),
		.fault = fault_of(pg_get(res, row, 2)),
		.first_fault = fault_of(pg_get(res, row, 3)),
		.from_step = pg_get_bool(res, row, 4),
		.table = text_of(b->arena, res, row, 6),
		.path = text_of(b->arena, res, row, 7),
		.ordinal = pg_get(res, row, 8) != NULL ? pg_get_i64(res, row, 8) : -1,
		.wanted = pg_get_bool(res, row, 11),
	};
	r->id_doc = bytes_of(b->arena, res, row, 9, &r->id_len);
	r->document = bytes_of(b->arena, res, row, 10, &r->len);
	if (r->document != NULL && !doc_is_wellformed(r->document, r->len) && r->ordinal >= 0)
		r->document = NULL;
	r->what = what_is(b, r, pg_get_bool(res, row, 5));
}

static void put_lists(const struct group *groups, size_t n, struct buf *ids, struct buf *docs)
{
	for (size_t i = 0; i < n; i++) {
		const char *list = groups[i].ids; /* {1,2} */
		buf_printf(ids, "%s%.*s", i == 0 ? "{" : ",", (int)strlen(list) - 2, list + 1);
		for (size_t k = 0; k < groups[i].n; k++)
			buf_printf(docs, "%s%zu", i == 0 && k == 0 ? "{" : ",", i);
	}
	buf_putc(ids, '}');
	buf_putc(docs, '}');
}

static bool read_batch(struct retry_batch *b, const struct pass *p, const struct group *groups, size_t n,
		       struct err *err)
{
	static const char sql[] =
		"SELECT r.id, u.doc, r.fault, coalesce(r.first_fault, r.fault), r.step IS NOT NULL, r.row_text IS "
		"NOT NULL, "
		"r.table_name, r.path, r.ordinal, r.doc_id, r.document, " PICKED
		" AND ($8::text = '0' OR r.fault IN ('orphan', 'duplicate')) "
		"FROM unnest($1::bigint[], $2::integer[]) AS u(id, doc) JOIN docrow.reject r ON r.id = u.id "
		"WHERE r.state = 'open' ORDER BY u.doc, r.id FOR UPDATE OF r";
	char id[24], number[24];
	_cleanup_(buf_free) struct buf ids = {0}, docs = {0};
	_cleanup_(pg_result_freep) struct pg_result *res = NULL;
	put_lists(groups, n, &ids, &docs);
	struct pg_param params[8] = {PG_TEXT(buf_cstr(&ids)), PG_TEXT(buf_cstr(&docs))};
	filter_params(b->w->engine, params + 2, id);
	snprintf(number, sizeof number, "%d", p->number);
	params[7] = PG_TEXT(number);
	if (!pg_query(b->w->pg, sql, params, 8, &res, err))
		return false;
	b->nrejects = (size_t)pg_rows(res);
	b->rejects = arena_alloc(b->arena, (b->nrejects + 1) * sizeof *b->rejects);
	for (size_t i = 0; i < b->nrejects; i++)
		read_reject(b, res, (int)i);
	return true;
}

/* --- a batch --- */

/* *got false: another retry has the run's row, or the run is gone (then err). */
static bool lock_run(struct worker *w, bool *got, struct err *err)
{
	char id[24];
	_cleanup_(pg_result_freep) struct pg_result *res = NULL;
	struct pg_param param = PG_TEXT(id);
	snprintf(id, sizeof id, "%lld", (long long)w->engine->run);
	if (!pg_query(w->pg, "SELECT status FROM docrow.run WHERE id = $1::bigint FOR UPDATE SKIP LOCKED", &param, 1,
		      &res, err))
		return false;
	*got = pg_rows(res) == 1;
	if (!*got || strcmp(pg_get(res, 0, 0), "cleaned") != 0)
		return true;
	err_set(err, ERR_TARGET_STATE, "the run was cleaned meanwhile");
	return err_hint(err, "docrow status shows what is there");
}

static bool begin_transaction(struct worker *w, struct err *err)
{
	for (bool got = false;;) {
		if (!pg_begin(w->pg, true, err) || !lock_run(w, &got, err))
			return false;
		if (got)
			break;
		pg_rollback(w->pg);
		engine_message(w->engine, "another docrow retry is at work: taking turns");
		if (engine_is_stopping(w->engine))
			return err_set(err, ERR_STOPPED, "stopped");
		if (!state_evict(w->pg, w->engine->run, NULL, err))
			return false;
		clock_sleep_ms(100);
	}
	engine_message(w->engine, "%s", "");
	return sink_begin_settle(w->pg, err) && pg_exec(w->pg, "SET CONSTRAINTS ALL IMMEDIATE", err);
}

static bool begin_batch(struct worker *w, struct err *err)
{
	if (w->engine->options.dry_run && pg_in_transaction(w->pg))
		return true;
	return begin_transaction(w, err);
}

static bool end_batch(struct retry_batch *b, double started, struct err *err)
{
	struct state_unit u = {.id = b->step, .epoch = 1};
	bool mine;
	if (!state_finish(b->w->pg, &u, b->w->ledger, clock_seconds() - started, &mine, err))
		return false;
	if (!mine)
		return err_set(err, ERR_INTERNAL, "the step of the retry is gone");
	return b->w->engine->options.dry_run || pg_commit(b->w->pg, err);
}

static void grow(struct rowbuf **list, size_t *n, size_t wanted)
{
	if (wanted <= *n)
		return;
	*list = mem_realloc(*list, wanted * sizeof **list);
	for (; *n < wanted; ++*n)
		rowbuf_init(&(*list)[*n]);
}

static void set_stage(struct retry *r, size_t n)
{
	grow(&r->stage, &r->nstage, n);
	grow(&r->inside, &r->ninside, n);
}

static void show(struct retry_batch *b, struct pass *p)
{
	struct table_progress *t = &b->w->engine->tables[b->collection];
	struct engine_retry *sum = &b->w->engine->retried;
	double none = 0;
	atomic_compare_exchange_strong(&t->started_at, &none, clock_seconds());
	if (p->number == 0) {
		atomic_fetch_add(&t->docs, b->nrejects);
		sum->tried += b->tried;
	}
	atomic_fetch_add(&t->retried, b->loaded);
	sum->loaded += b->loaded;
	sum->batches++;
	sum->restored += ledger_sum(b->w->ledger, LEDGER_RESTORED, NULL);
	p->loaded += b->loaded;
}

static bool run_batch(struct retry_batch *b, struct pass *p, const struct group *groups, size_t n, struct err *err)
{
	struct worker *w = b->w;
	double started = clock_seconds();
	ledger_reset(w->ledger);
	sink_notes_reset(w->notes);
	if (!begin_batch(w, err) ||
	    !state_retry_step(w->pg, w->engine->run, atomic_load(&w->id), b->c->name,
			      w->engine->plan->schema.tables[b->c->outputs[0].copy.table].name, &b->step, err) ||
	    !read_batch(b, p, groups, n, err))
		return false;
	retry_make_items(b);
	set_stage(p->r, b->c->noutputs);
	return retry_load(b, 0, b->nitems, err) && end_batch(b, started, err);
}

static bool one_batch(struct pass *p, int collection, const struct group *groups, size_t n, struct err *err)
{
	struct retry_batch b = {.w = p->w,
				.retry = p->r,
				.collection = collection,
				.c = &p->w->engine->plan->collections[collection],
				.arena = arena_new(),
				.scratch = arena_new(),
				.ledger = ledger_new()};
	bool ok = run_batch(&b, p, groups, n, err);
	if (ok)
		show(&b, p);
	else
		err_where(err, "retry of %s", b.c->name);
	ledger_free(b.ledger);
	arena_free(b.arena);
	arena_free(b.scratch);
	return ok;
}

/* A lost connection: the batch was rolled back, or it is in and its rejects are no longer open. */
static bool patient_batch(struct pass *p, int collection, const struct group *groups, size_t n, struct err *err)
{
	for (;;) {
		err_clear(err);
		if (worker_connect(p->w, err) && one_batch(p, collection, groups, n, err)) {
			trouble_is_over(p->w);
			return true;
		}
		if (p->w->pg != NULL && !pg_is_lost(p->w->pg))
			pg_rollback(p->w->pg);
		if (p->w->engine->options.dry_run || !wait_and_retry(p->w, err))
			return false;
	}
}

/* --- passes --- */

static bool retry_collection(struct pass *p, int collection, struct err *err)
{
	arena_reset(p->arena);
	if (!list_groups(p, p->w->engine->plan->collections[collection].name, err))
		return false;
	for (size_t from = 0, to; from < p->ngroups; from = to) {
		int64_t bytes = 0;
		for (to = from; to < p->ngroups && to - from < BATCH_DOCUMENTS && (to == from || bytes < BATCH_BYTES);
		     to++)
			bytes += p->groups[to].bytes;
		if (!patient_batch(p, collection, &p->groups[from], to - from, err))
			return false;
	}
	struct table_progress *t = &p->w->engine->tables[collection];
	if (p->number == 0)
		atomic_store(&t->finished_at, clock_seconds());
	return true;
}

/* --- rows of junctions --- */

/* Settling took out what a unique index of a junction minded; such a row is no document's alone. *ids: "{1,2}" or
 * NULL. */
static bool list_pairs(struct pass *p, const char *table, const char **ids, size_t *n, struct err *err)
{
	static const char sql[] =
		"SELECT array_agg(r.id ORDER BY r.id)::text, count(*) FROM docrow.reject r WHERE r.run = $1::bigint "
		"AND r.collection IS NULL AND r.table_name = $2::text AND r.state = 'open' AND r.fault IN "
		"('duplicate', 'exists') "
		"AND r.row_text IS NOT NULL AND " PICKED;
	char run[24], id[24];
	_cleanup_(pg_result_freep) struct pg_result *res = NULL;
	struct pg_param params[7] = {PG_TEXT(run), PG_TEXT(table)};
	snprintf(run, sizeof run, "%lld", (long long)p->w->engine->run);
	filter_params(p->w->engine, params + 2, id);
	if (!pg_query(p->w->pg, sql, params, 7, &res, err))
		return false;
	*ids = text_of(p->arena, res, 0, 0);
	*n = (size_t)pg_get_i64(res, 0, 1);
	return true;
}

static bool retry_pairs(struct pass *p, int junction, const char *ids, uint64_t *came, struct err *err)
{
	struct worker *w = p->w;
	const struct schema *s = &w->engine->plan->schema;
	const struct schema_junction *u = &s->junctions[junction];
	struct retry_batch b = {.w = w};
	double started = clock_seconds();
	ledger_reset(w->ledger);
	return begin_batch(w, err) &&
	       state_retry_step(w->pg, w->engine->run, atomic_load(&w->id),
				u->left_collection != NULL ? u->left_collection : u->right_collection,
				s->tables[u->table].name, &b.step, err) &&
	       sink_retry_pairs(w->pg, s, junction, ids, b.step, w->ledger, came, err) && end_batch(&b, started, err);
}

static bool retry_junctions(struct pass *p, struct err *err)
{
	const struct schema *s = &p->w->engine->plan->schema;
	for (size_t j = 0; j < s->njunctions; j++) {
		const char *ids;
		size_t n;
		uint64_t came = 0;
		arena_reset(p->arena);
		if (!list_pairs(p, s->tables[s->junctions[j].table].name, &ids, &n, err))
			return false;
		if (ids != NULL && !retry_pairs(p, (int)j, ids, &came, err))
			return err_where(err, "retry of %s", s->tables[s->junctions[j].table].name);
		p->w->engine->retried.tried += p->number == 0 ? n : 0;
		p->w->engine->retried.loaded += came;
		p->loaded += came;
	}
	return true;
}

/* Parents before children, so that most need no second pass. */
static bool one_pass(struct pass *p, const struct schema_order *order, struct err *err)
{
	const struct plan *plan = p->w->engine->plan;
	p->loaded = 0;
	for (int step = 0; step < order->nsteps; step++)
		for (size_t c = 0; c < plan->ncollections; c++) {
			if (order->step[plan->collections[c].outputs[0].copy.table] != step ||
			    plan_find_collection(plan, plan->collections[c].name) != (int)c)
				continue;
			if (!retry_collection(p, (int)c, err))
				return false;
		}
	return retry_junctions(p, err);
}

static bool all_passes(struct pass *p, struct err *err)
{
	struct arena *a = arena_new();
	struct schema_order order = schema_order(&p->w->engine->plan->schema, a);
	bool ok;
	do {
		ok = one_pass(p, &order, err);
		p->number++;
	} while (ok && p->loaded > 0);
	arena_free(a);
	return ok;
}

/* Also of a dry run, before it is rolled back. */
static bool look_at_the_rest(struct worker *w, struct err *err)
{
	struct engine_retry *sum = &w->engine->retried;
	struct state_pattern *patterns;
	if (!state_reject_patterns(w->pg, w->engine->run, w->engine->retry->arena, &patterns, &sum->npatterns, err))
		return false;
	sum->patterns = patterns;
	for (size_t i = 0; i < sum->npatterns; i++) {
		sum->rejects += patterns[i].n;
		sum->open += patterns[i].open;
	}
	return true;
}

/* Keys that kept orphans left NOT VALID, when none is left. */
static bool validate_keys(struct worker *w, struct err *err)
{
	const struct engine *e = w->engine;
	if (e->options.dry_run || e->retried.loaded == 0)
		return true;
	if (pg_begin(w->pg, true, err) && sink_begin_settle(w->pg, err) &&
	    sink_retry_validate(w->pg, &e->plan->schema, e->run, err) && pg_commit(w->pg, err))
		return true;
	pg_rollback(w->pg);
	return false;
}

static bool retry_all(struct worker *w, struct err *err)
{
	struct pass p = {.w = w, .r = w->engine->retry, .arena = arena_new()};
	bool ok = worker_connect(w, err);
	atomic_store(&w->busy, true);
	ok = ok && all_passes(&p, err) && validate_keys(w, err) && look_at_the_rest(w, err);
	if (w->pg != NULL && !pg_is_lost(w->pg))
		pg_rollback(w->pg); /* a dry run's */
	atomic_store(&w->busy, false);
	arena_free(p.arena);
	return ok;
}

void *retry_main(void *arg)
{
	struct worker *w = arg;
	struct err err;
	err_clear(&err);
	if (retry_all(w, &err))
		atomic_store(&w->engine->phase, STATE_DONE);
	else if (err.kind != ERR_KIND_STOPPED)
		engine_fail(w->engine, &err);
	atomic_fetch_sub(&w->engine->running, 1);
	return NULL;
}

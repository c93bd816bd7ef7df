/* run.c - the order of things:
 *
 *   state and literals → snapshot → catalog → counts and cuts of the source → a pool of workers on all tasks at once
 *   (documents, keys of tables, references, types) → the tally's verdict → names of what differs → sums
 */
#include <stdlib.h>

#include <stdio.h>

#include "validate_private.h"

#define CHUNK_BYTES ((uint64_t)16 << 20)

bool wants_layer(const struct validation *v, enum validate_layer l)
{
	return (v->o.layers & 1u << l) != 0;
}

bool validation_stopped(const struct validation *v)
{
	return atomic_load_explicit(&v->stop, memory_order_relaxed);
}

/* --- tasks --- */

static struct task *add_task(struct validation *v, enum task_kind kind, int index)
{
	v->tasks = mem_grown(v->tasks, v->ntasks, sizeof *v->tasks);
	v->tasks[v->ntasks] = (struct task){.kind = kind, .index = index};
	return &v->tasks[v->ntasks++];
}

struct cut {
	struct validation *v;
	int feed;
};

static bool add_chunk(void *ctx, const struct source_range *r, struct err *err)
{
	struct cut *c = ctx;
	struct task *t = add_task(c->v, TASK_CHUNK, c->feed);

	(void)err;
	t->bounds = arena_memdup(c->v->arena, r->bounds, r->bounds_len);
	t->bounds_len = r->bounds_len;
	t->est_docs = r->est_docs;
	return true;
}

static bool is_there(const struct source_collection *all, size_t n, const char *name)
{
	for (size_t i = 0; i < n; i++)
		if (strcmp(all[i].name, name) == 0 && !all[i].skipped)
			return true;
	return false;
}

static bool find_collections(struct validation *v, struct err *err)
{
	struct source_collection *all;
	size_t n;

	if (!source_collections(v->source, v->arena, &all, &n, err))
		return false;
	for (size_t i = 0; i < v->nfeeds; i++) {
		struct feed *f = &v->feeds[i];
		const char *name = f->collection->source;
		f->present = is_there(all, n, name);
		if (!f->present && !f->collection->map->optional) {
			err_set(err, ERR_COLLECTION_MISSING, "collection %s is not in the source", name);
			return err_hint(err, "is it the right database? source: %s", source_describe(v->source));
		}
	}
	return true;
}

static bool count_collections(struct validation *v, struct err *err)
{
	for (size_t i = 0; i < v->nfeeds; i++) {
		struct feed *f = &v->feeds[i];
		if (validation_stopped(v))
			return err_set(err, ERR_STOPPED, "stopped by a signal");
		if (f->present && !source_count(v->source, f->collection->name, &f->documents, err))
			return false;
		f->below = key_sample(f->documents, v->o.sample, v->o.sample_share);
		atomic_store(&f->total, f->documents);
	}
	return true;
}

static bool reads_documents(const struct validation *v)
{
	return wants_layer(v, LAYER_COUNTS) || wants_layer(v, LAYER_VALUES) || wants_layer(v, LAYER_TYPES);
}

static bool cut_collections(struct validation *v, struct err *err)
{
	for (size_t i = 0; i < v->nfeeds; i++) {
		struct cut c = {v, (int)i};
		if (v->feeds[i].present &&
		    !source_split(v->source, v->feeds[i].collection->name, 0, CHUNK_BYTES, add_chunk, &c, err))
			return false;
	}
	return true;
}

static bool list_tasks(struct validation *v, struct err *err)
{
	const struct schema *s = &v->plan->schema;

	v->ntasks = 0; /* of a try that failed */
	for (size_t i = 0; i < s->ntables; i++) {
		if (reads_documents(v) && v->exists[i])
			add_task(v, TASK_ROWS, (int)i);
		if (wants_layer(v, LAYER_TYPES) && v->exists[i])
			add_task(v, TASK_TYPES, (int)i);
	}
	for (size_t i = 0; wants_layer(v, LAYER_REFERENCES) && i < v->nreferences; i++)
		add_task(v, TASK_REFERENCE, (int)i);
	return !reads_documents(v) || (count_collections(v, err) && cut_collections(v, err));
}

/* --- naming --- */

static bool feeds_odd_table(const struct validation *v, const struct feed_table *t)
{
	if (odd_has(v, t->table, true))
		return true;
	for (size_t i = 0; i < t->nchildren; i++)
		if (feeds_odd_table(v, &t->children[i]))
			return true;
	return false;
}

static bool feeds_odd(const struct validation *v, const struct feed *f)
{
	if (feeds_odd_table(v, &f->main))
		return true;
	for (size_t i = 0; i < f->npairs; i++)
		if (odd_has(v, f->pairs[i].table, true))
			return true;
	return false;
}

/* The chunks of those feeds once more, for another reason; and rows of those tables (NULL: none). */
static bool look_again(struct validation *v, enum task_kind kind,
		       bool (*wanted)(const struct validation *v, const struct feed *f),
		       bool (*wants_rows)(const struct validation *v, int table))
{
	struct task *all = v->tasks;
	size_t n = v->ntasks;

	v->tasks = NULL;
	v->ntasks = 0;
	for (size_t i = 0; wants_rows != NULL && i < v->plan->schema.ntables; i++)
		if (v->exists[i] && wants_rows(v, (int)i))
			add_task(v, TASK_NAME_ROWS, (int)i);
	for (size_t i = 0; i < n; i++)
		if (all[i].kind == TASK_CHUNK && wanted(v, &v->feeds[all[i].index])) {
			struct task *t = add_task(v, kind, all[i].index);
			t->bounds = all[i].bounds;
			t->bounds_len = all[i].bounds_len;
		}
	bool ok = v->ntasks == 0 || run_pool(v);
	free(v->tasks);
	v->tasks = all;
	v->ntasks = n;
	return ok;
}

static bool has_odd_rows(const struct validation *v, int table)
{
	return odd_has(v, table, false);
}

static bool name_odd(struct validation *v)
{
	if (v->nodd == 0)
		return true;
	if (!look_again(v, TASK_NAME_DOCS, feeds_odd, has_odd_rows))
		return false;
	odd_tell_unmet(v);
	return true;
}

/* --- tables without a key --- */

static bool is_matched(const struct validation *v, const struct feed *f)
{
	return f->main.is_matched && v->exists[f->main.table];
}

static bool is_probed(const struct validation *v, const struct feed *f)
{
	return is_matched(v, f) && match_is_probed(v, f->main.table);
}

static bool match_tables(struct validation *v)
{
	if (!wants_layer(v, LAYER_VALUES))
		return true;
	v->doing = "matching rows";
	if (!match_sort(v, &v->first_error)) {
		v->failed = true;
		return false;
	}
	return look_again(v, TASK_MATCH, is_matched, NULL) &&
	       (v->nleft == 0 || look_again(v, TASK_PAIR, is_matched, NULL));
}

static bool compare_parts(struct validation *v)
{
	struct task *chunks = v->tasks;
	size_t n = v->ntasks;
	bool ok;

	v->tasks = NULL;
	v->ntasks = 0;
	for (int i = 0; i < TALLY_PARTS; i++)
		add_task(v, TASK_PART, i);
	ok = run_pool(v);
	free(v->tasks);
	v->tasks = chunks;
	v->ntasks = n;
	return ok;
}

/* --- what is known beforehand --- */

static bool read_times(struct validation *v, struct pg *pg, struct err *err)
{
	_cleanup_(pg_result_freep) struct pg_result *r = NULL;
	char id[24];
	struct pg_param p = PG_TEXT(id);

	snprintf(id, sizeof id, "%lld", (long long)v->run.id);
	if (!pg_query(pg,
		      "SELECT extract(epoch FROM started), extract(epoch FROM coalesce(finished, started)) FROM "
		      "docrow.run WHERE id = $1::bigint",
		      &p, 1, &r, err))
		return false;
	if (pg_rows(r) > 0) {
		v->run_started = pg_get_double(r, 0, 0);
		v->run_finished = pg_get_double(r, 0, 1);
	}
	return true;
}

/* The run's, or the one that the last retry was told to use. */
static bool is_run_mapping(struct validation *v, struct pg *pg, bool *yes, struct err *err)
{
	char *name, *text;
	bool found;

	if (!state_revision_find(pg, v->run.id, v->arena, &name, &text, &found, err))
		return false;
	*yes = strcmp(found ? text : v->run.mapping_text, v->plan->mapping->text) == 0;
	return true;
}

static bool read_state(struct validation *v, struct pg *pg, struct err *err)
{
	bool installed, same;

	if (!state_is_installed(pg, &installed, err))
		return false;
	if (installed && !state_run_find(pg, v->arena, &v->run, &v->has_state, err))
		return false;
	if (!v->has_state) {
		found_note(v->found,
			   installed ? "schema docrow holds no run: nothing that is missing can be explained"
				     : "there is no schema docrow on the target: rejects, dropped duplicates and "
				       "orphans cannot be explained, so each of them is a finding");
		return true;
	}
	struct tally_writer *w = tally_writer_new(v->tally);
	bool ok = is_run_mapping(v, pg, &same, err) && listed_load(v->listed, pg, v->run.id, v->plan, w, err) &&
		  read_times(v, pg, err);
	if (!ok)
		tally_forget(w);
	struct err unsaved;
	if (!tally_writer_close(w, ok ? err : &unsaved) || !ok)
		return false;
	if (!same)
		found_note(v->found, "run %lld was made with another version of the mapping", (long long)v->run.id);
	if (v->run.phase != STATE_DONE)
		found_note(v->found, "run %lld is not finished (phase %s)", (long long)v->run.id,
			   state_phase_name(v->run.phase));
	return true;
}

/* Anew after a failure: nothing was told or counted before. */
static bool begin(struct validation *v, struct err *err)
{
	_cleanup_(pg_closep) struct pg *pg = NULL;

	found_reset(v->found);
	listed_free(v->listed);
	v->listed = listed_new();
	if (!pg_open(&pg, v->o.target_uri, "docrow validate", err))
		return false;
	v->server_version = pg_server_version(pg);
	v->result.target = arena_strdup(v->arena, pg_describe(pg));
	return read_state(v, pg, err) && feeds_read_literals(pg, v->plan, v->feeds, v->nfeeds, v->arena, err) &&
	       keeper_open(v, err);
}

static bool check_catalog(struct validation *v, struct err *err)
{
	double began = clock_seconds();
	bool ok = keeper_ready(v, err) && catalog_check(v, v->keeper, err);

	v->layer_seconds[LAYER_SCHEMA] = clock_seconds() - began;
	return ok;
}

/* --- the end --- */

static void finish_layers(struct validation *v)
{
	struct validate_result *r = &v->result;
	struct validate_finding *list;
	size_t n = found_list(v->found, &list);

	for (int l = 0; l < LAYER_COUNT; l++) {
		r->layers[l].seconds = v->layer_seconds[l];
		r->layers[l].checked = v->layer_checked[l];
	}
	for (size_t i = 0; i < r->ntables; i++) {
		const struct validate_table *t = &r->tables[i];
		for (int k = 0; k < VALIDATE_KIND_COUNT; k++)
			r->layers[validate_kind_layer((enum validate_kind)k)].found += t->found[k];
		r->layers[LAYER_VALUES].checked += t->compared;
		r->rows += t->rows;
		r->drift += t->drift;
	}
	for (size_t i = 0; i < n; i++)
		if (list[i].table == NULL)
			r->layers[validate_kind_layer(list[i].kind)].found++;
	r->findings = list;
	r->nfindings = n;
	for (int l = 0; l < LAYER_COUNT; l++) {
		/* what one layer sees in passing counts, though nobody asked for it */
		r->layers[l].ran = wants_layer(v, (enum validate_layer)l) || r->layers[l].found > 0;
		r->layers[l].passed = r->layers[l].found == 0;
		r->total += r->layers[l].found;
	}
}

/* Samples may pass above a threshold; everything else, and --full, passes only when nothing is found. */
static void apply_threshold(struct validation *v)
{
	struct validate_result *r = &v->result;
	uint64_t mismatched = 0, others = 0;
	bool above = !v->o.full && v->o.threshold < 1;

	for (size_t i = 0; i < r->ntables; i++) {
		const struct validate_table *t = &r->tables[i];
		double share = t->compared > 0 ? (double)t->matched / (double)t->compared : 1;
		mismatched += t->mismatched;
		above = above && share >= v->o.threshold;
		others += t->found[FOUND_UNFOUNDED] + t->found[FOUND_NOT_COMPARED];
	}
	if (above && mismatched > 0 && others == 0) {
		found_note(v->found, "%llu rows differ, but no table is below the threshold of %g %%",
			   (unsigned long long)mismatched, 100 * v->o.threshold);
		r->layers[LAYER_VALUES].passed = true;
	}
	r->drift_allowed = v->o.allow_drift;
	r->passed = r->drift == 0 || v->o.allow_drift;
	for (int l = 0; l < LAYER_COUNT; l++)
		r->passed = r->passed && (r->layers[l].passed || !r->layers[l].ran);
}

static void finish(struct validation *v)
{
	struct validate_result *r = &v->result;
	char now[32];

	r->ntables = v->plan->schema.ntables;
	r->tables = found_table(v->found, 0);
	r->has_state = v->has_state;
	r->run = v->has_state ? v->run.id : 0;
	r->full = v->o.full;
	r->seed = v->o.seed;
	r->threshold = v->o.threshold;
	r->source = source_describe(v->source);
	r->mapping = v->plan->mapping->name;
	r->resumed_chunks = atomic_load(&v->resumed);
	if (r->resumed_chunks > 0)
		found_note(v->found,
			   "%llu chunks were compared before the interruption; their documents are the same",
			   (unsigned long long)r->resumed_chunks);
	for (size_t i = 0; i < v->nfeeds; i++)
		r->documents += v->feeds[i].documents;
	finish_layers(v);
	apply_threshold(v);
	r->nnotes = found_notes(v->found, &r->notes);
	clock_iso(now);
	r->finished = arena_strdup(v->arena, now);
	r->seconds = clock_seconds() - v->started;
}

/* A step of the coordinator: again and again while a server is away. */
static bool step(struct validation *v, bool (*run)(struct validation *v, struct err *err), struct err *err)
{
	struct patience p = {0};

	while (!run(v, err))
		if (!patience_wait(v, &p, err))
			return false;
	patience_end(&p);
	return true;
}

static bool compare(struct validation *v, struct err *err)
{
	v->doing = "comparing";
	bool ok = (!reads_documents(v) || look_again(v, TASK_PROBE, is_probed, NULL)) && run_pool(v);
	v->doing = "adding up";
	ok = ok && (!reads_documents(v) || compare_parts(v));
	odd_sort(v);
	ok = ok && (!reads_documents(v) || (match_tables(v) && name_odd(v)));
	if (!ok)
		*err = v->first_error;
	return ok;
}

/* Where the run added to rows of others those are no business of its mapping's. Told when all are counted: what fails
 * on the way is done anew. */
static bool tell_others(struct validation *v, struct err *err)
{
	const struct schema *s = &v->plan->schema;
	uint64_t *n = arena_alloc(v->arena, (s->ntables + 1) * sizeof *n);

	for (size_t i = 0; i < s->ntables; i++)
		if (!keeper_ready(v, err) || !rows_count_others(v, v->keeper, (int)i, &n[i], err))
			return false;
	for (size_t i = 0; i < s->ntables; i++)
		if (n[i] > 0)
			found_note(v->found, "%s: %llu rows that the run did not write are left alone",
				   s->tables[i].name, (unsigned long long)n[i]);
	return true;
}

static bool prove(struct validation *v, struct err *err)
{
	v->doing = "looking";
	if (!step(v, begin, err) || !step(v, find_collections, err))
		return false;
	references_list(v);
	if (!step(v, check_catalog, err))
		return false;
	match_prepare(v);
	if (!step(v, list_tasks, err) || (reads_documents(v) && !resume_open(v, err)) || !step(v, resume_look, err) ||
	    !compare(v, err))
		return false;
	if (v->o.appended && !step(v, tell_others, err))
		return false;
	match_check(v);
	if (reads_documents(v))
		counts_check(v);
	if (wants_layer(v, LAYER_TYPES))
		stats_check(v);
	return step(v, drift_check, err);
}

static void *coordinate(void *arg)
{
	struct validation *v = arg;
	struct err err = {0};

	bool ok = prove(v, &err);
	if (ok)
		finish(v);
	else
		remember(v, &err);
	resume_close(v, ok);
	pg_close(v->keeper);
	v->keeper = NULL;
	atomic_store(&v->finished, true);
	return NULL;
}

/* --- from outside --- */

static struct row_stats **row_stats_new(struct arena *a, const struct plan *p)
{
	struct row_stats **s = arena_alloc(a, (p->schema.ntables + 1) * sizeof *s);

	for (size_t i = 0; i < p->schema.ntables; i++)
		s[i] = arena_alloc(a, (p->schema.tables[i].ncolumns + 1) * sizeof **s);
	return s;
}

bool validate_start(struct validation **out, const struct plan *p, struct source *s, const struct validate_options *o,
		    struct err *err)
{
	struct validation *v = mem_zalloc(sizeof *v);
	char now[32];

	v->o = *o;
	v->plan = p;
	v->source = s;
	v->arena = arena_new();
	v->feeds = feeds_new(v->arena, p, &v->nfeeds);
	v->progress = arena_alloc(v->arena, (v->nfeeds + 1) * sizeof *v->progress);
	v->listed = listed_new();
	v->found = found_new(p);
	v->tally = tally_new();
	v->exists = arena_alloc(v->arena, p->schema.ntables + 1);
	v->stats = stats_new(p);
	v->row_stats = row_stats_new(v->arena, p);
	v->started = clock_seconds();
	v->doing = "looking";
	clock_iso(now);
	v->result.started = arena_strdup(v->arena, now);
	pthread_mutex_init(&v->lock, NULL);
	pthread_mutex_init(&v->big_slot, NULL);
	rate_init(&v->rate, v->o.max_rate);
	pthread_mutex_init(&v->connecting, NULL);
	for (size_t i = 0; i < v->nfeeds; i++)
		v->progress[i].name = v->feeds[i].collection->name;
	*out = v;
	if (pthread_create(&v->coordinator, NULL, coordinate, v) != 0) {
		validate_free(v);
		*out = NULL;
		return err_set(err, ERR_INTERNAL, "no thread can be started");
	}
	v->has_coordinator = true;
	return true;
}

void validate_poll(struct validation *v, struct validate_snapshot *out)
{
	for (size_t i = 0; i < v->nfeeds; i++) {
		uint64_t done = atomic_load_explicit(&v->feeds[i].done, memory_order_relaxed);
		struct validate_progress *p = &v->progress[i];
		p->total = atomic_load_explicit(&v->feeds[i].total, memory_order_relaxed);
		p->done = done < p->total ? done : p->total;
		p->found = atomic_load_explicit(&v->feeds[i].found, memory_order_relaxed);
		p->is_done = p->total > 0 && done >= p->total;
	}
	*out = (struct validate_snapshot){.finished = atomic_load(&v->finished),
					  .stopping = validation_stopped(v),
					  .started_at = v->started,
					  .doing = v->doing,
					  .collections = v->progress,
					  .ncollections = v->nfeeds,
					  .tasks = v->ntasks,
					  .tasks_done = atomic_load(&v->tasks_done)};
}

void validate_stop(struct validation *v)
{
	atomic_store(&v->stop, true);
}

bool validate_finish(struct validation *v, const struct validate_result **result, struct err *err)
{
	if (v->has_coordinator)
		pthread_join(v->coordinator, NULL);
	v->has_coordinator = false;
	*result = &v->result;
	if (v->failed)
		*err = v->first_error;
	return !v->failed;
}

void validate_free(struct validation *v)
{
	if (v == NULL)
		return;
	if (v->has_coordinator) {
		validate_stop(v);
		pthread_join(v->coordinator, NULL);
	}
	match_free(v);
	listed_free(v->listed);
	found_free(v->found);
	tally_free(v->tally);
	stats_free(v->plan, v->stats);
	pthread_mutex_destroy(&v->lock);
	pthread_mutex_destroy(&v->connecting);
	pthread_mutex_destroy(&v->big_slot);
	rate_free(&v->rate);
	free(v->tasks);
	free(v->odd);
	arena_free(v->arena);
	free(v);
}

/* begin.c - everything before the threads start: the checks, the guard, --clean, a new run or the old one.
 *
 * Nothing is written to the target before all checks that need no writing have passed; a new run's tables, steps and
 * row in docrow.run come in one synchronous transaction, so a crash leaves all of it or nothing.
 */
#include <stdio.h>

#include "engine_private.h"
#include "text.h"

struct begin {
	struct engine *e;
	struct pg *pg;
	struct arena *arena;
	struct state_run old; /* the newest run that is not cleaned */
	bool has_old;
	char *identity; /* of the source: server and every mapped collection */
};

/* --- the source: what is there --- */

static const struct source_collection *find_collection(const struct source_collection *list, size_t n,
						       const char *name)
{
	for (size_t i = 0; i < n; i++)
		if (strcmp(list[i].name, name) == 0 && !list[i].skipped)
			return &list[i];
	return NULL;
}

static bool report_missing(struct engine *e, const struct buf *missing, size_t nmissing, size_t nfound,
			   struct err *err)
{
	const char *db = source_database(e->source);
	if (nfound == 0) {
		err_set(err, ERR_NO_COLLECTIONS, "none of the mapped collections is in database \"%s\"", db);
		err_detail(err, "source: %s", source_describe(e->source));
		return err_hint(err, "usually the database name is wrong: name the right one in the source URI "
				     "(mongodb://host/DATABASE), and check that the user may list its collections");
	}
	err_set(err, ERR_COLLECTION_MISSING, "%zu mapped collection%s not in database \"%s\"", nmissing,
		nmissing == 1 ? " is" : "s are", db);
	err_detail(err, "missing: %.*s", (int)missing->len, (const char *)missing->data);
	return err_hint(
		err, "check the database name; where a collection may be absent, say optional: true in the mapping");
}

/* The copy may not start with a mapped collection missing: a wrong database name would look like success. */
static bool look_at_source(struct begin *b, struct err *err)
{
	struct engine *e = b->e;
	struct source_collection *list;
	size_t n, nfound = 0, nmissing = 0;
	if (!source_collections(e->source, b->arena, &list, &n, err))
		return false;
	_cleanup_(buf_free) struct buf missing = {0}, identity = {0};
	buf_printf(&identity, "%s\n", source_identity(e->source));
	for (size_t i = 0; i < e->plan->ncollections; i++) {
		const struct plan_collection *c = &e->plan->collections[i];
		struct table_progress *t = &e->tables[i];
		const struct source_collection *s = find_collection(list, n, c->source);
		t->present = s != NULL;
		if (s == NULL) {
			if (!c->map->optional && nmissing++ < 40)
				buf_printf(&missing, "%s%s", missing.len > 0 ? ", " : "", c->source);
			continue;
		}
		nfound++;
		t->est_docs = s->est_docs;
		buf_printf(&identity, "%s ", c->name);
		if (!source_collection_identity(e->source, c->source, &identity, err))
			return false;
		buf_putc(&identity, '\n');
	}
	if (nfound == 0 || nmissing > 0)
		return report_missing(e, &missing, nmissing, nfound, err);
	b->identity = arena_strdup(b->arena, buf_cstr(&identity));
	return engine_define_parts(e->plan, e->source, err);
}

/* The command line's (or environment's), else the collection's, else the mapping's, else the default. */
static void set_reject_limit(struct engine *e, size_t i)
{
	struct table_progress *t = &e->tables[i];
	const struct map_collection *k = e->plan->collections[i].map; /* has the mapping's where it has none */
	if (e->options.max_rejects.is_given) {
		t->reject_limit = e->options.max_rejects;
		t->limit_from = e->options.max_rejects_source;
	} else if (k->max_rejects.is_given) {
		t->reject_limit = k->max_rejects;
		t->limit_from = (k->given & MAP_GIVEN_MAX_REJECTS) != 0
					? "max_rejects of the collection in the mapping"
					: "max_rejects of the mapping";
	} else {
		t->reject_limit.n = t->est_docs / 100 > 10000 ? t->est_docs / 100 : 10000;
		t->limit_from = "the default, 10,000 or 1 % of the collection";
	}
}

/* --- the guard --- */

static bool refuse_running(const struct state_lease *l, struct err *err)
{
	err_set(err, ERR_RUN_RUNNING, "another docrow is at work on this target");
	err_detail(err, "%d worker%s with a fresh heartbeat, held by %s", l->live, l->live == 1 ? "" : "s",
		   l->holder);
	return err_hint(err, "let it finish (docrow status shows it), stop it, or help it: docrow migrate --join");
}

/* Waits until the leases of a process that was killed have run out; refuses when they are renewed meanwhile. */
static bool wait_for_leases(struct begin *b, struct err *err)
{
	struct state_lease l;
	double first = 0;
	for (;;) {
		if (!state_leases(b->pg, b->old.id, &l, err))
			return false;
		if (l.live == 0)
			return true;
		if (first == 0)
			log_line(LOG_INFO,
				 "an earlier docrow (%s) still holds its lease; waiting up to %d s for it to run out",
				 l.holder, l.waiting_seconds);
		else if (l.newest > first) /* it was renewed: somebody is alive */
			return refuse_running(&l, err);
		if (first == 0)
			first = l.newest;
		clock_sleep_ms(100);
		if (stop_requested())
			return err_set(err, ERR_STOPPED, "stopped while waiting for an earlier lease");
	}
}

static bool digest_matches(const struct begin *b)
{
	char hex[65];
	text_hex(b->e->plan->mapping->digest, 32, hex);
	return strcmp(hex, b->old.mapping_digest) == 0;
}

static const char *left_out_of(const struct engine_options *o)
{
	return o->left_out != NULL ? o->left_out : "";
}

static const char *one_line(struct arena *a, const char *lines)
{
	_cleanup_(buf_free) struct buf out = {0};
	for (const char *s = lines; *s != '\0';) {
		size_t n = strcspn(s, "\n");
		buf_printf(&out, "%s%.*s", out.len > 0 ? ", " : "", (int)n, s);
		s += n + (s[n] == '\n');
	}
	return out.len > 0 ? arena_strdup(a, buf_cstr(&out)) : "nothing";
}

/* --- how tables that are there are filled, as the run's options have it (state_run_appended reads it, too) --- */

static const char *const way_names[] = {[SINK_CONFLICT_NONE] = "keep-indexes",
					[SINK_CONFLICT_REJECT] = "append, on-conflict reject",
					[SINK_CONFLICT_SKIP] = "append, on-conflict skip",
					[SINK_CONFLICT_REPLACE] = "append, on-conflict replace"};

static const char *way_name(const struct sink_way *way)
{
	return way->keep_indexes ? way_names[way->conflict] : "";
}

static struct sink_way way_of(const char *name)
{
	struct sink_way way = {0};
	for (size_t i = 0; i < sizeof way_names / sizeof way_names[0]; i++)
		if (strcmp(name, way_names[i]) == 0)
			way = (struct sink_way){.keep_indexes = true, .conflict = (enum sink_conflict)i};
	return way;
}

static bool guard_same_way(struct begin *b, struct err *err)
{
	const char *given = way_name(&b->e->options.way), *run = b->old.way;
	if (!b->e->options.way_is_given || strcmp(given, run) == 0) {
		b->e->way = way_of(run);
		return true;
	}
	err_set(err, ERR_RUN_OTHER_OPTIONS, "run %lld fills its tables in another way", (long long)b->old.id);
	err_detail(err, "the run: %s; asked for now: %s", run[0] != '\0' ? run : "keys and indexes away meanwhile",
		   given[0] != '\0' ? given : "keys and indexes away meanwhile");
	return err_hint(err,
			"resume without --keep-indexes, --append and --on-conflict, which keeps the run's way, or "
			"begin again with --clean");
}

static bool guard_same_run(struct begin *b, struct err *err)
{
	if (!digest_matches(b)) {
		err_set(err, ERR_RUN_OTHER_MAPPING, "run %lld was started with another mapping",
			(long long)b->old.id);
		err_detail(err,
			   "the run's mapping \"%s\" and the one given differ; the run's text is kept in docrow.run",
			   b->old.mapping_name);
		return err_hint(err, "resume with the mapping of the run, or begin again with --clean");
	}
	if (strcmp(left_out_of(&b->e->options), b->old.left_out) != 0) {
		err_set(err, ERR_RUN_OTHER_OPTIONS, "run %lld was started with another choice of collections",
			(long long)b->old.id);
		err_detail(err, "its --only and --skip left out: %s", one_line(b->arena, b->old.left_out));
		return err_hint(err, "resume without --only and --skip, which keeps the run's choice, or begin again "
				     "with --clean");
	}
	if (strcmp(b->e->plan->schema.name, b->old.schema) != 0) {
		err_set(err, ERR_RUN_OTHER_OPTIONS, "run %lld fills another schema", (long long)b->old.id);
		err_detail(err, "its tables are in schema %s; the target's address or the mapping says %s",
			   b->old.schema, b->e->plan->schema.name);
		return err_hint(err, "resume with ?schema=%s in the target's address, or begin again with --clean",
				b->old.schema);
	}
	if (strcmp(b->identity, b->old.source_identity) != 0) {
		err_set(err, ERR_RUN_OTHER_SOURCE, "run %lld was started from another source", (long long)b->old.id);
		err_detail(err,
			   "the run's source was %s; this one is %s (database, replica set or a collection's UUID "
			   "differ)",
			   b->old.source_describe, source_describe(b->e->source));
		return err_hint(err, "resume from the source of the run, or begin again with --clean");
	}
	return true;
}

/* --- new, resume, clean --- */

static void options_json(const struct engine_options *o, const char *schema, struct buf *out)
{
	buf_printf(out, "{\"batch_size\":%llu,\"chunk_bytes\":%llu,\"search_indexes\":%s,\"load_only\":%s",
		   (unsigned long long)o->batch_docs, (unsigned long long)o->chunk_bytes,
		   o->no_search_indexes ? "false" : "true", o->load_only ? "true" : "false");
	buf_puts(out, ",\"schema\":");
	text_json_string(out, schema, strlen(schema));
	if (o->way.keep_indexes) {
		buf_puts(out, ",\"way\":");
		text_json_string(out, way_name(&o->way), strlen(way_name(&o->way)));
	}
	if (left_out_of(o)[0] != '\0') {
		buf_puts(out, ",\"left_out\":");
		text_json_string(out, o->left_out, strlen(o->left_out));
	}
	buf_putc(out, '}');
}

static bool create_run(struct begin *b, struct err *err)
{
	struct engine *e = b->e;
	const struct mapping *m = e->plan->mapping;
	char digest[65];
	text_hex(m->digest, 32, digest);
	_cleanup_(buf_free) struct buf options = {0};
	options_json(&e->options, e->plan->schema.name, &options);
	struct state_run run = {
		.mapping_name = (char *)m->name,
		.mapping_text = (char *)m->text,
		.mapping_digest = digest,
		.source_identity = b->identity,
		.source_describe = (char *)source_describe(e->source),
		.operation_time = (char *)source_operation_time(e->source),
		.options = (char *)buf_cstr(&options),
		.version = (char *)e->options.version,
	};
	bool ok = pg_begin(b->pg, true, err) && state_run_create(b->pg, &run, err) &&
		  target_prepare(e, b->pg, run.id, err) && settle_add_steps(e, b->pg, run.id, err) &&
		  pg_commit(b->pg, err);
	if (!ok)
		pg_rollback(b->pg);
	else
		e->run = run.id;
	return ok;
}

static bool begin_new(struct begin *b, struct err *err)
{
	struct engine *e = b->e;
	bool adds = e->options.way.conflict != SINK_CONFLICT_NONE;
	if (b->has_old && !(adds && strcmp(b->old.status, "done") == 0)) {
		bool done = strcmp(b->old.status, "done") == 0;
		struct state_lease l = {0};
		if (!done && !state_leases(b->pg, b->old.id, &l, err))
			return false;
		if (l.live > 0)
			return refuse_running(&l, err);
		err_set(err, done ? ERR_RUN_FINISHED : ERR_RUN_UNFINISHED, "run %lld on this target is %s",
			(long long)b->old.id, done ? "finished already" : "not finished");
		err_detail(err, "started %s with mapping \"%s\", status %s", b->old.started, b->old.mapping_name,
			   b->old.status);
		return err_hint(
			err,
			done ? "to move everything again: docrow migrate --clean (empties what docrow filled); to "
			       "add to it: docrow migrate --append"
			     : "go on where it stopped: docrow migrate --resume; or begin again: docrow "
			       "migrate --clean");
	}
	return target_check(e, b->pg, err) && state_install(b->pg, err) && create_run(b, err);
}

static bool load_progress(struct begin *b, struct err *err)
{
	struct engine *e = b->e;
	struct state_progress *rows;
	size_t n;
	if (!state_progress(b->pg, e->run, b->arena, &rows, &n, err))
		return false;
	for (size_t i = 0; i < n; i++) {
		int c = rows[i].phase == STATE_LOAD ? plan_find_collection(e->plan, rows[i].name) : -1;
		if (rows[i].phase == STATE_SETTLE) {
			atomic_fetch_add(&e->steps, rows[i].total);
			atomic_fetch_add(&e->steps_done, rows[i].done);
		}
		if (c < 0)
			continue;
		struct table_progress *t = &e->tables[c];
		atomic_store(&t->docs, rows[i].docs);
		atomic_store(&t->rejects, rows[i].rejects);
		atomic_store(&t->chunks, rows[i].total);
		atomic_store(&t->chunks_done, rows[i].done);
		if (rows[i].total > 0 && rows[i].done == rows[i].total) {
			atomic_store(&t->started_at, e->started_at);
			atomic_store(&t->finished_at, e->started_at);
		}
	}
	return true;
}

static bool begin_resume(struct begin *b, struct err *err)
{
	struct engine *e = b->e;
	if (!b->has_old) {
		err_set(err, ERR_RUN_NONE, "there is no run on this target to go on with");
		return err_hint(err, "start one: docrow migrate --mapping NAME");
	}
	if (strcmp(b->old.status, "done") == 0 || b->old.phase == STATE_DONE) {
		err_set(err, ERR_RUN_FINISHED, "run %lld is finished: there is nothing to resume",
			(long long)b->old.id);
		return err_hint(err, "docrow status shows it; docrow migrate --clean moves everything again");
	}
	if (!guard_same_run(b, err) || !guard_same_way(b, err))
		return false;
	if (e->options.mode == ENGINE_RESUME && !wait_for_leases(b, err))
		return false;
	e->run = b->old.id;
	atomic_store(&e->phase, b->old.phase);
	return source_set_operation_time(e->source, b->old.operation_time, err) && state_install(b->pg, err) &&
	       target_reopen(e, b->pg, e->run, err) && state_run_set_status(b->pg, e->run, "running", NULL, err);
}

/* The run is cleaned with the mapping that it was made with: the one given now may name other tables. */
static bool clean_with(struct begin *b, const struct schema *s, struct err *err)
{
	bool ok = pg_begin(b->pg, true, err) && target_clean(b->e, b->pg, s, b->old.id, err) &&
		  state_run_clean(b->pg, b->old.id, err) && pg_commit(b->pg, err);
	if (!ok)
		pg_rollback(b->pg);
	return ok;
}

static bool begin_clean(struct begin *b, struct err *err)
{
	if (!b->has_old)
		return true;
	if (!state_install(b->pg, err) || !wait_for_leases(b, err))
		return false;
	struct mapping *m = NULL;
	struct plan *p = NULL;
	bool ok =
		mapping_parse(&m, b->old.mapping_name, b->old.mapping_text, strlen(b->old.mapping_text), NULL, err) &&
		plan_build_part(&p, m, b->old.left_out, NULL, err);
	if (ok) {
		plan_use_schema(p, b->old.schema);
		ok = clean_with(b, &p->schema, err);
	}
	plan_free(p);
	mapping_free(m);
	b->has_old = false;
	return ok;
}

/* Literals that only the converter, and knowing the server, can judge. Before anything is made. */
static bool check_literals(struct begin *b, struct err *err)
{
	const struct mapping *m = b->e->plan->mapping;
	_cleanup_(buf_free) struct buf report = {0};
	if (b->e->options.mode == ENGINE_CLEAN_ONLY || conv_check(b->e->plan, b->e->server_version, &report))
		return true;
	err_set(err, ERR_MAPPING, "the mapping %s has literals that are no values of their columns", m->file);
	err_detail(err, "%.*s", (int)report.len - 1, (const char *)report.data);
	return err_hint(err, "correct them in the mapping; docrow mapping check names them all");
}

static bool find_old_run(struct begin *b, struct err *err)
{
	bool installed;
	if (!state_is_installed(b->pg, &installed, err))
		return false;
	return !installed || state_run_find(b->pg, b->arena, &b->old, &b->has_old, err);
}

/* docrow retry: of a run that is done. */
static bool begin_rejects(struct begin *b, struct err *err)
{
	if (!b->has_old) {
		err_set(err, ERR_RUN_NONE, "there is no run on this target");
		return err_hint(err, "start one: docrow migrate --mapping NAME");
	}
	if (b->old.phase != STATE_DONE) {
		err_set(err, ERR_RUN_UNFINISHED, "run %lld is not finished", (long long)b->old.id);
		return err_hint(err, "its rejects can be tried again when it is: docrow migrate --resume");
	}
	return state_install(b->pg, err) && begin_retry(b->e, b->pg, &b->old, b->arena, err);
}

static bool begin_by_mode(struct begin *b, struct err *err)
{
	switch (b->e->options.mode) {
	case ENGINE_CLEAN_ONLY:
		return begin_clean(b, err);
	case ENGINE_RETRY:
		return begin_rejects(b, err);
	case ENGINE_CLEAN:
		return look_at_source(b, err) && begin_clean(b, err) && begin_new(b, err);
	case ENGINE_NEW:
		return look_at_source(b, err) && begin_new(b, err);
	case ENGINE_RESUME:
	case ENGINE_JOIN:
		return look_at_source(b, err) && begin_resume(b, err);
	}
	return err_set(err, ERR_INTERNAL, "unknown mode");
}

bool begin_run(struct engine *e, struct err *err)
{
	struct begin b = {.e = e, .arena = arena_new()};
	bool ok = pg_open(&b.pg, e->target_uri, "docrow", err) && find_old_run(&b, err);
	if (ok) {
		e->server_version = pg_server_version(b.pg);
		plan_use_schema(e->plan, pg_uri_schema(b.pg));
	}
	ok = ok && check_literals(&b, err) && begin_by_mode(&b, err);
	if (ok && e->options.mode != ENGINE_CLEAN_ONLY && e->options.mode != ENGINE_RETRY) {
		for (size_t i = 0; i < e->plan->ncollections; i++)
			set_reject_limit(e, i);
		ok = (e->existing || sink_resolve(b.pg, &e->plan->schema, err)) && load_progress(&b, err);
		engine_set_order(e);
	}
	pg_close(b.pg);
	arena_free(b.arena);
	return ok;
}

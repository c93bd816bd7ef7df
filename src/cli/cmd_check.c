/* cmd_check.c - docrow check: what stands in the way of a migration, and what it would meet. Changes nothing. */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "check_page.h"
#include "check_servers.h"
#include "cli.h"
#include "convert.h"
#include "engine.h"
#include "gather.h"
#include "parties.h"
#include "sink_existing.h"
#include "stop.h"
#include "sys.h"
#include "term.h"
#include "text.h"

#define POLL_MS        200
#define SETTLE_POLL_MS 50
#define SAMPLE_DEFAULT 5000

enum scan { SCAN_NONE, SCAN_SAMPLE, SCAN_FULL }; /* order of the choices of --scan */

struct job {
	struct cli *c;
	enum scan scan;
	struct mapping *mapping;
	struct plan *plan;
	struct source *source;
	struct pg *pg;
	struct check_target target;
	bool knows_target;
	struct sink_way way;   /* of tables that are there already */
	uint64_t source_bytes; /* of the mapped collections, by the source's own account */
	struct check_page page;
	int status; /* of what made it impossible to go on; 0: nothing did */
};

/* --- the three parties --- */

static void fail(struct job *j, const char *area, const struct err *err)
{
	check_page_err(&j->page, area, err);
	if (j->status == 0)
		j->status = (int)err->kind;
}

static void open_source(struct job *j)
{
	const char *const *notes;
	struct err err;

	if (!cli_open_source(j->c, j->mapping, "docrow check", &j->source, &err)) {
		j->page.source = "(not reached)";
		fail(j, "source", &err);
		return;
	}
	j->page.source = source_describe(j->source);
	size_t n = source_notes(j->source, &notes);
	for (size_t i = 0; i < n; i++)
		check_page_find(&j->page, CHECK_NOTE, "source", NULL, "%s", notes[i]);
}

static void open_target(struct job *j)
{
	struct err err;

	if (!cli_open_target(j->c, &j->pg, &err)) {
		j->page.target = "(not reached)";
		fail(j, "target", &err);
		return;
	}
	j->page.target = pg_describe(j->pg);
	plan_use_schema(j->plan, pg_uri_schema(j->pg));
}

/* --- the source --- */

static const char *origin_of(const struct plan_collection *c)
{
	return c->source;
}

static const struct source_collection *find(const struct source_collection *list, size_t n, const char *name)
{
	for (size_t i = 0; i < n; i++)
		if (strcmp(list[i].name, name) == 0 && !list[i].skipped)
			return &list[i];
	return NULL;
}

static bool is_mapped(const struct plan *p, const char *name)
{
	for (size_t i = 0; i < p->ncollections; i++)
		if (strcmp(origin_of(&p->collections[i]), name) == 0)
			return true;
	return false;
}

static void find_missing(struct job *j, const struct source_collection *list, size_t n)
{
	for (size_t i = 0; i < j->plan->ncollections; i++) {
		const struct plan_collection *c = &j->plan->collections[i];
		if (find(list, n, origin_of(c)) != NULL)
			continue;
		if (c->map->optional)
			check_page_find(&j->page, CHECK_NOTE, "source", NULL,
					"collection %s is not there; the mapping says that it may be absent",
					origin_of(c));
		else
			check_page_find(
				&j->page, CHECK_ERROR, "source",
				"check the database name; where a collection may be absent, say optional: true",
				"collection %s of the mapping is not in database %s", origin_of(c),
				source_database(j->source));
	}
}

static void look_at_source(struct job *j)
{
	struct source_collection *list;
	size_t n, others = 0;
	uint64_t docs = 0, bytes = 0;
	_cleanup_(buf_free) struct buf names = {0};
	char text[2][32];
	struct err err;

	if (!source_collections(j->source, j->c->arena, &list, &n, &err)) {
		fail(j, "source", &err);
		return;
	}
	check_page_source(&j->page, j->source);
	if (!engine_define_parts(j->plan, j->source, &err))
		fail(j, "source", &err);
	find_missing(j, list, n);
	for (size_t i = 0; i < n; i++) {
		if (is_mapped(j->plan, list[i].name)) {
			docs += list[i].est_docs;
			bytes += list[i].est_bytes;
		} else if (!list[i].skipped && others++ < 20) {
			buf_printf(&names, "%s%s", names.len > 0 ? ", " : "", list[i].name);
		}
	}
	j->source_bytes = bytes;
	check_page_fact(&j->page, "source", "documents", "about %s in %zu collections, %s",
			text_thousands(docs, text[0]), j->plan->ncollections, text_bytes(bytes, text[1]));
	if (others > 0)
		check_page_find(&j->page, CHECK_NOTE, "source", NULL,
				"%zu collections are in no mapping entry and stay behind: %s%s", others,
				buf_cstr(&names), others > 20 ? " ..." : "");
}

/* --- the target --- */

static void look_at_server(struct job *j)
{
	struct err err;

	j->knows_target = check_target_read(j->pg, j->c->arena, &j->target, &err);
	if (!j->knows_target)
		fail(j, "target", &err);
	else
		check_page_target(&j->page, &j->target, j->plan->schema.name, cli_workers(j->c, OPT_WORKERS));
}

static void look_at_runs(struct job *j, bool *has_run)
{
	struct state_run run;
	bool found = false;
	struct err err;

	*has_run = false;
	if (!state_is_installed(j->pg, &found, &err) ||
	    (found && !state_run_find(j->pg, j->c->arena, &run, &found, &err))) {
		fail(j, "target", &err);
		return;
	}
	if (!found)
		return;
	*has_run = j->way.conflict == SINK_CONFLICT_NONE || strcmp(run.status, "done") != 0;
	if (!*has_run)
		return; /* rows are added to what it made */
	check_page_find(&j->page, CHECK_WARNING, "target",
			"docrow status shows it; --resume goes on with it, --clean takes it back",
			"run %lld with mapping %s is on this target already (%s)", (long long)run.id,
			run.mapping_name, run.status);
}

static bool compare(struct job *j, struct sink_differences *d, struct err *err)
{

	*d = (struct sink_differences){.arena = j->c->arena};
	bool ok = pg_begin(j->pg, false, err) && sink_compare(j->pg, &j->plan->schema, &j->way, d, err);
	pg_rollback(j->pg);
	return ok;
}

/* Makes the fixes and looks again. When they are refused, what was seen before stands. */
static bool apply_fixes(struct job *j, struct sink_differences *d, struct err *err)
{
	if (d->nfixes == 0) {
		check_page_find(&j->page, CHECK_NOTE, "target", NULL,
				"there is nothing that --apply-fixes could mend");
		return true;
	}
	if (!sink_apply_fixes(j->pg, d, j->c->settings.v[OPT_LOCK_TIMEOUT].number, err)) {
		fail(j, "target", err);
		return true;
	}
	check_page_fixes(&j->page, d->fixes, d->nfixes, true);
	return compare(j, d, err);
}

static bool adapt(struct job *j, struct err *err)
{
	bool ok = pg_begin(j->pg, false, err) && sink_adapt_columns(j->pg, &j->plan->schema, j->plan->arena, err);
	pg_rollback(j->pg);
	if (ok)
		plan_adapt(j->plan);
	return ok;
}

/* Tables that are there already: every difference, and what a scan needs to know of their columns. */
static void look_at_tables(struct job *j, size_t found)
{
	static const enum check_severity severities[] = {
		[SINK_NOTE] = CHECK_NOTE, [SINK_WARNING] = CHECK_WARNING, [SINK_ERROR] = CHECK_ERROR};
	struct sink_differences d;
	struct schema *s = &j->plan->schema;
	struct err err;

	check_page_fact(&j->page, "target", "tables", "%zu of %zu are there already and are filled as they are%s",
			found, s->ntables, j->way.keep_indexes ? ", with their keys and indexes in force" : "");
	if (j->way.conflict != SINK_CONFLICT_NONE)
		check_page_find(&j->page, CHECK_NOTE, "target", NULL,
				"rows that are in the tables already are not looked at: which keys are there, and "
				"references to them, the move itself finds out");
	bool ok = sink_check_existing(j->pg, s, &j->way, &err) && compare(j, &d, &err);
	if (ok && settings_flag(&j->c->settings, OPT_APPLY_FIXES))
		ok = apply_fixes(j, &d, &err);
	if (!ok || (d.nerrors == 0 && !adapt(j, &err))) {
		fail(j, "target", &err);
		return;
	}
	for (size_t i = 0; i < d.n; i++)
		check_page_find(&j->page, severities[d.list[i].severity], "target", d.list[i].hint, "%s",
				d.list[i].text);
	check_page_fixes(&j->page, d.fixes, d.nfixes, false);
	if (d.nerrors == 0)
		return;
	err_set(&err, ERR_TARGET_MISMATCH, "the tables in schema %s do not fit the mapping", s->name);
	err_hint(&err, "each error of the target says what to do");
	fail(j, "target", &err);
}

static void look_at_target(struct job *j, bool *has_run)
{
	enum engine_target how = (enum engine_target)settings_int(&j->c->settings, OPT_TARGET_TABLES);
	size_t found;
	struct err err;

	look_at_server(j);
	look_at_runs(j, has_run);
	if (*has_run)
		return;
	if (!state_may_install(j->pg, &err))
		fail(j, "target", &err);
	if (!sink_find_tables(j->pg, &j->plan->schema, &found, &err))
		fail(j, "target", &err);
	else if (how == ENGINE_TARGET_EXISTING || j->way.keep_indexes || (how == ENGINE_TARGET_AUTO && found > 0))
		look_at_tables(j, found);
	else if (!sink_check(j->pg, &j->plan->schema, false, &err))
		fail(j, "target", &err);
}

/* --- the mapping --- */

static void look_at_mapping(struct job *j)
{
	_cleanup_(buf_free) struct buf report = {0};
	int version = j->pg != NULL ? pg_server_version(j->pg) : CONV_NEWEST_SERVER;

	if (!conv_check(j->plan, version, &report))
		check_page_find(&j->page, CHECK_ERROR, "mapping", NULL, "%s", buf_cstr(&report));
	for (const char *p = j->plan->warnings; *p != '\0';) {
		size_t n = strcspn(p, "\n");
		check_page_find(&j->page, CHECK_WARNING, "mapping", NULL, "%.*s", (int)n, p);
		p += n + (p[n] == '\n');
	}
}

/* --- the documents --- */

/* Settling may take long: it has a thread of its own, so that a stop is answered meanwhile. */
struct settling {
	struct job *j;
	struct check_scan *scan;
	struct err err;
	bool ok;
	atomic_bool is_over;
};

/* By table and index: how many rows have what another one has, and the first of their documents. */
static const char duplicates_sql[] =
	"SELECT table_name, column_name, count(*), string_agg(id, ', ' ORDER BY place) FILTER (WHERE place <= 5), "
	"is_reject, step FROM (SELECT *, row_number() OVER (PARTITION BY table_name, column_name, step, is_reject "
	"ORDER BY note) AS place FROM ("
	"SELECT table_name, column_name, step, true AS is_reject, id AS note, coalesce(doc_id_text, key) AS id "
	"FROM docrow.reject WHERE run = $1::bigint AND fault = 'duplicate' UNION ALL "
	"SELECT table_name, column_name, step, false, id, coalesce(doc_id_text, key) "
	"FROM docrow.finding WHERE run = $1::bigint AND kind = 'dropped') n) d "
	"GROUP BY table_name, column_name, is_reject, step ORDER BY 1, 2, 6, 5";

static bool list_duplicates(struct settling *w, struct pg *pg, int64_t run, struct err *err)
{
	_cleanup_(pg_result_freep) struct pg_result *r = NULL;
	char id[24], n[32];
	struct pg_param param = PG_TEXT(id);

	snprintf(id, sizeof id, "%lld", (long long)run);
	if (!pg_query(pg, duplicates_sql, &param, 1, &r, err))
		return false;
	for (int i = 0; i < pg_rows(r); i++) {
		uint64_t rows = (uint64_t)pg_get_i64(r, i, 2);
		bool is_reject = pg_get_bool(r, i, 4);
		const char *column = pg_get(r, i, 1);
		const char *index = check_scan_index(w->scan, pg_get_i64(r, i, 5));
		check_page_find(&w->j->page, is_reject ? CHECK_WARNING : CHECK_NOTE, "data",
				is_reject ? "say duplicates: first or last in the mapping, or mend the source" : NULL,
				"%s%s%s: %s row%s with a key that a row that stays has, too%s%s%s, would be %s: %s%s",
				pg_get(r, i, 0), column ? "." : "", column ? column : "", text_thousands(rows, n),
				rows == 1 ? "" : "s", index ? " (unique index " : "", index ? index : "",
				index ? ")" : "", is_reject ? "rejected" : "dropped", pg_get(r, i, 3),
				rows > 5 ? " ..." : "");
	}
	return true;
}

static bool read_scan(void *ctx, struct pg *pg, int64_t run, struct err *err)
{
	struct settling *w = ctx;
	struct job *j = w->j;
	struct state_run r;
	bool found;

	if (!state_run_find(pg, j->c->arena, &r, &found, err))
		return false;
	r.id = run;
	if (!gather_facts_here(pg, &r, j->plan, false, j->c->arena, &j->page.facts_of_scan, err))
		return false;
	j->page.facts_of_scan.is_scan = true;
	account_build(&j->page.account, &j->page.facts_of_scan, j->c->arena);
	return list_duplicates(w, pg, run, err);
}

/* The display knows runs: a scan is shown as one that loads. */
struct display {
	struct progress *progress;
	struct engine_snapshot s;
	struct engine_table *tables;
};

/* True when everything is read. */
static bool show(struct display *d, struct check_scan *scan)
{
	const struct check_progress *list;
	bool is_read = check_scan_poll(scan, &list, &d->s.ntables);

	for (size_t i = 0; i < d->s.ntables; i++) {
		struct engine_table *t = &d->tables[i];
		t->collection = t->table = list[i].collection;
		t->present = list[i].present;
		t->est_docs = list[i].est_docs;
		t->docs = list[i].docs;
		t->rejects = list[i].rejects;
		if (t->docs > 0 && t->started_at == 0)
			t->started_at = clock_seconds();
		t->started = t->started_at > 0;
	}
	progress_update(d->progress, &d->s, clock_seconds());
	return is_read;
}

static void answer_stop(struct display *d)
{
	d->s.stopping = true;
	progress_log(d->progress, LOG_INFO, "stopping: nothing is left behind (once more leaves at once)");
}

static void watch(struct display *d, struct check_scan *scan)
{
	for (;;) {
		if (stop_is_new())
			answer_stop(d);
		if (show(d, scan))
			return;
		stop_wait(POLL_MS);
	}
}

static void *settle_main(void *arg)
{
	struct settling *w = arg;

	w->ok = check_scan_finish(w->scan, read_scan, w, &w->err);
	atomic_store(&w->is_over, true);
	return NULL;
}

static bool settle(struct display *d, struct job *j, struct check_scan *scan, struct err *err)
{
	struct settling w = {.j = j, .scan = scan};
	pthread_t thread;

	if (pthread_create(&thread, NULL, settle_main, &w) != 0)
		return err_set(err, ERR_INTERNAL, "cannot start a thread");
	d->s.doing = "keys and references";
	while (!atomic_load(&w.is_over)) {
		if (stop_is_new()) {
			answer_stop(d);
			check_scan_interrupt(scan);
		}
		show(d, scan);
		stop_wait(SETTLE_POLL_MS);
	}
	pthread_join(thread, NULL);
	*err = w.err;
	return w.ok;
}

/* Shown from beginning to end. */
static bool run_scan(struct job *j, struct check_scan *scan, struct err *err)
{
	struct display d = {.progress = cli_progress(j->c),
			    .s = {.phase = STATE_LOAD, .started_at = clock_seconds()},
			    .tables = arena_alloc(j->c->arena, (j->plan->ncollections + 1) * sizeof *d.tables)};

	d.s.tables = d.tables;
	watch(&d, scan);
	bool ok = settle(&d, j, scan, err);
	d.s.finished = true; /* the last update is one that every kind of display shows */
	show(&d, scan);
	progress_end(d.progress, stop_requested() ? "stopped" : "done", clock_seconds());
	cli_progress_close(d.progress);
	return ok;
}

static void tell_long(struct job *j, struct check_scan *scan)
{
	const struct check_long *list;
	size_t n = check_scan_long(scan, &list);
	char text[32];

	for (size_t i = 0; i < n; i++)
		check_page_find(&j->page, CHECK_WARNING, "data", "an index on md5() of it, a hash index, or none",
				"%s.%s has a value of %s: index %s may refuse it (2,704 bytes after compression)",
				list[i].table, list[i].column, text_bytes(list[i].bytes, text), list[i].index);
}

static void tell_skipped(struct job *j, struct check_scan *scan)
{
	const struct check_long *list;
	size_t n = j->scan == SCAN_FULL ? check_scan_skipped(scan, &list) : 0;

	for (size_t i = 0; i < n; i++)
		check_page_find(
			&j->page, CHECK_NOTE, "data", NULL,
			"what unique index %s of %s would refuse was not looked for: it needs columns or types "
			"that are only in the target",
			list[i].index, list[i].table);
}

static void estimate(struct job *j)
{
	struct check_estimate e;
	struct err err;
	char text[3][32];
	double workers = cli_workers(j->c, OPT_WORKERS);

	if (!check_trial(j->plan, j->source, settings_text(&j->c->settings, OPT_TARGET), &e, &err)) {
		fail(j, "data", &err);
		return;
	}
	if (e.docs == 0)
		return;
	check_page_fact(&j->page, "estimate", "time", "rows about %s, keys and indexes about %s, with %.0f workers",
			text_duration(e.load_seconds / workers, text[0]),
			text_duration(e.settle_seconds / workers, text[1]), workers);
	check_page_room(&j->page, &j->target, e.bytes, "by what the documents below took");
	check_page_fact(
		&j->page, "estimate", "from",
		"%s documents loaded for real and taken back; collections with %.0f %% of the bytes were tried",
		text_thousands(e.docs, text[2]), e.share * 100);
}

static void keep_result(struct job *j, struct check_scan *scan, uint64_t sample, double started)
{
	struct check_page *p = &j->page;

	p->has_scan = true;
	p->sample = sample;
	p->log_values = settings_flag(&j->c->settings, OPT_LOG_VALUES);
	p->seconds = p->facts_of_scan.load_seconds = clock_seconds() - started;
	p->npaths = check_scan_paths(scan, &p->paths);
	p->nenums = check_scan_enums(scan, &p->enums);
	check_page_judge(p);
	tell_long(j, scan);
	tell_skipped(j, scan);
}

static void scan_documents(struct job *j)
{
	struct check_scan_options o = {
		.target_uri = settings_text(&j->c->settings, OPT_TARGET),
		.workers = cli_workers(j->c, OPT_WORKERS),
		.chunk_bytes = (uint64_t)16 << 20,
		.sample = j->scan == SCAN_SAMPLE ? SAMPLE_DEFAULT : 0,
		.max_rate = j->c->settings.v[OPT_MAX_RATE].number,
		.version = DOCROW_VERSION,
		.results = j->c->arena,
	};
	struct check_scan *scan = NULL;
	double started = clock_seconds();
	struct err err;

	bool ok = check_scan_start(&scan, j->plan, j->source, &o, &err);
	ok = ok && run_scan(j, scan, &err);
	if (ok)
		keep_result(j, scan, o.sample, started);
	else
		fail(j, "data", &err);
	check_scan_free(scan);
	if (ok)
		estimate(j);
}

/* --- all of it --- */

static int print_page(struct job *j)
{
	bool colour = term_has_colour(STDOUT_FILENO);

	if (settings_flag(&j->c->settings, OPT_JSON)) {
		char *text = check_page_json(&j->page);
		puts(text);
		free(text);
	} else {
		_cleanup_(buf_free) struct buf out = {0};
		check_page_text(&out, &j->page, colour);
		fwrite(out.data, 1, out.len, stdout);
	}
	if (j->status != 0)
		return j->status;
	return j->page.by_severity[CHECK_ERROR] + j->page.by_severity[CHECK_WARNING] > 0 ? 1 : 0;
}

static void look(struct job *j)
{
	bool has_run = false;

	open_source(j);
	open_target(j);
	look_at_mapping(j);
	if (j->source != NULL)
		look_at_source(j);
	if (j->pg != NULL)
		look_at_target(j, &has_run);
	if (j->scan == SCAN_NONE) {
		if (j->source_bytes > 0 && j->knows_target && !has_run)
			check_page_room(&j->page, &j->target, j->source_bytes,
					"if rows take what the documents do: --scan measures it");
		return;
	}
	if (has_run)
		check_page_find(&j->page, CHECK_WARNING, "data", "scan before the move, or give an empty --target",
				"the documents were not scanned: a run on the target knows already what it met");
	else if (j->page.by_severity[CHECK_ERROR] > 0)
		check_page_find(&j->page, CHECK_NOTE, "data", NULL,
				"the documents were not scanned: mend the errors first");
	else
		scan_documents(j);
}

int check_everything(struct cli *c, int scan)
{
	struct job j = {.c = c, .scan = (enum scan)scan};
	struct err err;
	int status;

	j.page.arena = c->arena;
	if (cli_need(c, OPT_MAPPING, &err) && cli_need(c, OPT_SOURCE, &err) && cli_need(c, OPT_TARGET, &err) &&
	    cli_way(c, &j.way, NULL, &err) && cli_load_plan(c, &j.mapping, &j.plan, &err)) {
		j.page.mapping = j.mapping->name;
		stop_install(NULL);
		stop_running();
		look(&j);
		stop_finished();
		status = print_page(&j);
	} else {
		status = cli_fail(&err);
	}
	source_close(j.source);
	pg_close(j.pg);
	plan_free(j.plan);
	mapping_free(j.mapping);
	return status;
}

static int run(struct cli *c)
{
	return check_everything(c, settings_int(&c->settings, OPT_SCAN));
}

static const char *const examples[] = {
	"docrow check --mapping nextcrm",
	"both servers, the rights there, the mapping",
	"docrow check --mapping nextcrm --scan full",
	"convert every document without writing: what would be rejected, defaulted, orphaned",
	"docrow check --mapping nextcrm --scan sample --json",
	"a few thousand documents of each collection, for scripts",
	"docrow check --mapping nextcrm --apply-fixes",
	"make what the deployed tables lack, where that is without risk",
	NULL};

const struct command cmd_check = {
	.id = CMD_CHECK,
	.summary = "find out what stands in the way, before anything moves",
	.args = "",
	.needs_settings = true,
	.description = "Looks at both servers, the rights there, free connections, the mapping against the source's "
		       "collections "
		       "and the target's tables, and says everything at once. Nothing is changed, unless "
		       "--apply-fixes asks for it.\n\n"
		       "--scan full reads and converts every document as the real run would, and settles keys and "
		       "references in "
		       "scratch tables inside one transaction that is rolled back: the rejects, defaults, orphans "
		       "and duplicates "
		       "are the very ones of the real run. While it runs, that transaction is open on the target.\n\n"
		       "Exit status: 0 nothing to say, 1 warnings or errors, 2 mapping or settings, 3 and 4 a server "
		       "cannot be "
		       "used.",
	.examples = examples,
	.run = run,
};

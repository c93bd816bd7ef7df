/* cmd_retry.c - docrow retry: the open rejects once more, with a corrected mapping. The work is engine/retry.c's. */
#include <jansson.h>
#include <string.h>
#include <unistd.h>

#include "cli.h"
#include "engine.h"
#include "gather.h"
#include "parties.h"
#include "put_json.h"
#include "runfiles.h"
#include "stop.h"
#include "term.h"
#include "text.h"

#define POLL_MS       100
#define PATTERNS_TOLD 20

struct job {
	struct cli *c;
	struct state_run run;
	struct mapping *mapping;
	struct plan *plan;
	struct engine *engine;
	struct progress *progress;
	bool dry;
};

/* --- before the start --- */

static bool find_run(struct job *j, struct pg *pg, struct err *err)
{
	bool found;

	if (!state_is_installed(pg, &found, err))
		return false;
	if (found && (!state_install(pg, err) || !state_run_find(pg, j->c->arena, &j->run, &found, err)))
		return false;
	if (found)
		return true;
	err_set(err, ERR_RUN_NONE, "there is no run on this target");
	return err_hint(err, "start one: docrow migrate --mapping NAME");
}

/* The mapping that is named, else the one that the last retry used, else the run's. */
static bool read_mapping(struct job *j, struct pg *pg, struct buf *report, struct err *err)
{
	const char *named = settings_text(&j->c->settings, OPT_MAPPING);
	char *name, *text;
	bool found;

	if (named)
		return mapping_load(&j->mapping, named, report, err);
	if (!state_revision_find(pg, j->run.id, j->c->arena, &name, &text, &found, err))
		return false;
	if (!found) {
		name = j->run.mapping_name;
		text = j->run.mapping_text;
	}
	return mapping_parse(&j->mapping, name, text, strlen(text), report, err);
}

static bool prepare(struct job *j, struct err *err)
{
	_cleanup_(pg_closep) struct pg *pg = NULL;
	_cleanup_(buf_free) struct buf report = {0};

	if (!cli_check_fault(settings_text(&j->c->settings, OPT_FAULT), err) || !cli_open_target(j->c, &pg, err) ||
	    !find_run(j, pg, err))
		return false;
	if (read_mapping(j, pg, &report, err) && plan_build_part(&j->plan, j->mapping, j->run.left_out, &report, err))
		return true;
	return cli_explain_mapping(&report, err);
}

static struct engine_options options_of(const struct job *j)
{
	const struct settings *s = &j->c->settings;

	return (struct engine_options){
		.mode = ENGINE_RETRY,
		.target_uri = settings_text(s, OPT_TARGET),
		.workers = 1,
		.index_jobs = 1,
		.lease_seconds = s->v[OPT_LEASE].number,
		.retry_seconds = s->v[OPT_RETRY_FOR].number,
		.version = DOCROW_VERSION,
		.left_out = j->run.left_out,
		.dry_run = j->dry,
		.retry = {.collection = settings_text(s, OPT_COLLECTION),
			  .table = settings_text(s, OPT_TABLE),
			  .fault = settings_text(s, OPT_FAULT),
			  .path = settings_text(s, OPT_PATH),
			  .id = (int64_t)s->v[OPT_ID].number},
	};
}

/* --- while it runs --- */

static void watch(struct job *j)
{
	struct engine_snapshot s;

	for (;;) {
		engine_poll(j->engine, &s);
		if (stop_is_new()) {
			engine_stop(j->engine);
			progress_log(j->progress, LOG_INFO, "stopping: the batch in hand is finished or rolled back");
			engine_poll(j->engine, &s);
		}
		s.phase = STATE_LOAD; /* there are no steps to show */
		progress_update(j->progress, &s, clock_seconds());
		if (s.finished)
			return;
		stop_wait(POLL_MS);
	}
}

/* --- after it --- */

static void print_collections(const struct engine_snapshot *s)
{
	char n[2][32];
	bool any = false;

	for (size_t i = 0; i < s->ntables; i++) {
		const struct engine_table *t = &s->tables[i];
		struct buf name;
		if (t->docs == 0)
			continue;
		if (!any)
			printf("\n%-32s %12s %12s\n", "collection", "rejects", "loaded");
		any = true;
		buf_init(&name, 0);
		text_escape(&name, t->collection, strlen(t->collection));
		printf("%-32s %12s %12s\n", buf_cstr(&name), text_thousands(t->docs, n[0]),
		       t->retried ? text_thousands(t->retried, n[1]) : "-");
		buf_free(&name);
	}
}

static void print_pattern(const struct state_pattern *p)
{
	struct buf place;
	char n[32];

	buf_init(&place, 0);
	cli_put_place(&place, p->collection, p->table, p->path, p->column);
	printf("%12s  %s  %s%s%s%s\n", text_thousands(p->open, n), p->fault, buf_cstr(&place),
	       p->bson_type ? " (" : "", p->bson_type ? p->bson_type : "", p->bson_type ? ")" : "");
	if (p->message)
		printf("%14s%s\n", "", p->message);
	buf_free(&place);
}

static void print_rest(const struct engine_retry *r)
{
	size_t shown = 0, more = 0;

	for (size_t i = 0; i < r->npatterns; i++) {
		if (r->patterns[i].open == 0)
			continue;
		if (shown == PATTERNS_TOLD) {
			more++;
			continue;
		}
		if (shown++ == 0)
			puts("\nStill open, by pattern");
		print_pattern(&r->patterns[i]);
	}
	if (more > 0)
		printf("        and %zu more patterns: docrow rejects\n", more);
}

static void print_result(const struct job *j, const struct engine_retry *r)
{
	struct engine_snapshot s;
	char n[3][32];

	engine_poll(j->engine, &s);
	printf("Retry of run %lld%s: %s tried, %s %s\n", (long long)j->run.id,
	       j->dry ? " (dry run: nothing is changed)" : "", text_thousands(r->tried, n[0]),
	       text_thousands(r->loaded, n[1]), j->dry ? "would load" : "loaded");
	printf("  mapping  %s\n", j->mapping->name);
	print_collections(&s);
	if (r->restored > 0)
		printf("\n%s references and pairs %s what they named\n", text_thousands(r->restored, n[0]),
		       j->dry ? "would get back" : "got back");
	print_rest(r);
	printf("\nRejects of the run: %s, of them retried %s, open %s\n", text_thousands(r->rejects, n[0]),
	       text_thousands(r->rejects - r->open, n[1]), text_thousands(r->open, n[2]));
}

static void print_json(const struct job *j, const struct engine_retry *r, const struct account *a)
{
	json_t *o = json_object();

	json_put(o, "run", json_integer(j->run.id));
	json_put(o, "dry_run", json_boolean(j->dry));
	json_put_count(o, "tried", r->tried);
	json_put_count(o, "loaded", r->loaded);
	json_put_count(o, "restored", r->restored);
	json_put_count(o, "batches", r->batches);
	json_put_count(o, "rejects", r->rejects);
	json_put_count(o, "retried", r->rejects - r->open);
	json_put_count(o, "open", r->open);
	json_put_count(o, "account_breaks", a->nbreaks);
	json_dumpf(o, stdout, JSON_PRESERVE_ORDER);
	putchar('\n');
	json_decref(o);
}

/* The account of the whole run, which must balance as before. */
static bool look_back(struct job *j, struct account *a, struct err *err)
{
	_cleanup_(pg_closep) struct pg *pg = NULL;
	struct report_facts f = {0};
	bool found;

	if (!cli_open_target(j->c, &pg, err) || !state_run_find(pg, j->c->arena, &j->run, &found, err) ||
	    !gather_facts(pg, &j->run, j->plan, true, j->c->arena, &f, err))
		return false;
	account_build(a, &f, j->c->arena);
	if (!j->dry)
		write_run_files(j->c, pg, &f, a);
	return true;
}

static void print_account(const struct account *a)
{
	if (a->nbreaks == 0) {
		printf("Account: all %zu checks hold\n", a->nchecked);
		return;
	}
	puts("\nTHE ACCOUNT DOES NOT BALANCE");
	for (size_t i = 0; i < a->nbreaks; i++)
		printf("  !! %s\n", a->breaks[i]);
}

static int finish_done(struct job *j)
{
	struct engine_retry r = engine_retry_result(j->engine);
	struct account a = {0};
	struct err err;

	if (!look_back(j, &a, &err)) {
		err_where(&err, "the retry is done, but the run's account cannot be read");
		return cli_fail_as_asked(j->c, &err);
	}
	if (settings_flag(&j->c->settings, OPT_JSON)) {
		print_json(j, &r, &a);
	} else {
		print_result(j, &r);
		print_account(&a);
	}
	if (a.nbreaks > 0) {
		err_set(&err, ERR_INTERNAL, "the account of run %lld does not balance", (long long)j->run.id);
		err_detail(&err, "%.900s", a.breaks[0]);
		return cli_fail_as_asked(j->c, &err);
	}
	return r.open == 0 ? 0 : (int)ERR_KIND_LIMIT;
}

static int finish(struct job *j)
{
	struct err err;
	bool ok = engine_finish(j->engine, &err);
	bool stopped = !ok && err.code == ERR_STOPPED;

	progress_end(j->progress, ok ? "done" : stopped ? "stopped" : "failed", clock_seconds());
	stop_finished();
	if (ok)
		return finish_done(j);
	if (!stopped)
		return cli_fail_as_asked(j->c, &err);
	fprintf(stderr, "docrow: stopped; what was committed is safe. Go on with:\n  %s retry\n", j->c->program);
	return (int)ERR_KIND_STOPPED;
}

static int run_engine(struct job *j)
{
	struct engine_options o = options_of(j);
	struct err err;
	int status;

	j->progress = cli_progress(j->c);
	stop_running();
	if (engine_start(&j->engine, j->plan, NULL, &o, &err)) {
		watch(j);
		status = finish(j);
	} else {
		stop_finished();
		status = cli_fail_as_asked(j->c, &err);
	}
	engine_free(j->engine);
	cli_progress_close(j->progress);
	return status;
}

static int run(struct cli *c)
{
	struct job j = {.c = c, .dry = settings_flag(&c->settings, OPT_DRY_RUN)};
	struct err err;

	stop_install(arena_printf(c->arena, "%s retry", c->program));
	int status = prepare(&j, &err) ? run_engine(&j) : cli_fail_as_asked(c, &err);
	plan_free(j.plan);
	mapping_free(j.mapping);
	return status;
}

static const char *const examples[] = {"docrow retry --mapping ./mended.yaml",
				       "all open rejects, with a mapping that differs from the run's in policies",
				       "docrow retry --dry-run --mapping ./mended.yaml",
				       "what would load, and what would still be refused",
				       "docrow retry --collection Users --fault range",
				       "only these",
				       NULL};

const struct command cmd_retry = {
	.id = CMD_RETRY,
	.summary = "load rejected documents with a corrected mapping",
	.args = "",
	.needs_settings = true,
	.description =
		"Takes the open rejects of the finished run on the target once more: converts them with the mapping "
		"given (else that of the last retry, else the run's) and loads them with keys and foreign keys in "
		"force. What loads is marked as retried; what does not stays open with its new reason. The source is "
		"not needed: rejected documents are kept whole.\n\n"
		"The mapping may differ from the run's in policies only (if_missing, accept, labels, if_orphan ...). "
		"Rows "
		"that are in the target already stay as they are, but references that had been set to NULL, and "
		"pairs "
		"that had been left out, since their row was missing, come back when it arrives.\n\n"
		"Each batch is one transaction: killed or stopped at any moment, docrow retry again goes on with "
		"what "
		"is open, and nothing is loaded twice. Exit status 0: no reject is left open; 1: some are.",
	.examples = examples,
	.run = run,
};

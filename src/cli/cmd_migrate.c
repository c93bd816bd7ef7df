/* cmd_migrate.c - docrow migrate: settings → plan, source, engine; then what is shown, signals, summary and files. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli.h"
#include "engine.h"
#include "gather.h"
#include "parties.h"
#include "runfiles.h"
#include "stop.h"
#include "sys.h"
#include "term.h"
#include "text.h"

#define POLL_MS 200

struct job {
	struct cli *c;
	enum engine_mode mode;
	struct mapping *mapping;
	struct plan *plan;
	const char *left_out; /* collections that the plan leaves out, one a line */
	struct sink_way way;  /* of tables that are there */
	bool way_is_given;
	struct source *source;
	struct engine *engine;
	struct progress *progress;
	const char *way_on; /* the command that resumes */
};

/* The same limit would stop the run at once: after such a stop another one is asked for. */
static void set_way_on(struct job *j, bool another_limit)
{
	bool masked;
	const char *source = settings_text(&j->c->settings, OPT_SOURCE);
	const char *command = settings_resume_command(&j->c->settings, j->c->program,
						      another_limit ? OPT_MAX_REJECTS : OPT_COUNT, &masked);

	j->way_on = arena_printf(j->c->arena, "%s%s%s", command, another_limit ? " --max-rejects N" : "",
				 masked ? "   (with the password in place of ***)" : "");
	if (source && strcmp(source, "-") == 0)
		j->way_on = arena_printf(j->c->arena, "%s < ARCHIVE   (the same one again)", j->way_on);
}

/* --- before the start --- */

static bool mode_of(const struct settings *s, enum engine_mode *mode, struct err *err)
{
	static const struct {
		enum opt opt;
		enum engine_mode mode;
	} modes[] = {{OPT_RESUME, ENGINE_RESUME},
		     {OPT_JOIN, ENGINE_JOIN},
		     {OPT_CLEAN, ENGINE_CLEAN},
		     {OPT_CLEAN_ONLY, ENGINE_CLEAN_ONLY}};
	const char *first = NULL;

	*mode = ENGINE_NEW;
	for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++) {
		if (!settings_flag(s, modes[i].opt))
			continue;
		if (first)
			return err_set(err, ERR_USAGE, "--%s and --%s exclude each other", first,
				       options[modes[i].opt].name);
		first = options[modes[i].opt].name;
		*mode = modes[i].mode;
	}
	return true;
}

static bool check_needed(struct job *j, struct err *err)
{
	bool stored = j->mode != ENGINE_NEW && j->mode != ENGINE_CLEAN; /* the run has its mapping */

	if (j->mode != ENGINE_CLEAN_ONLY && !cli_need(j->c, OPT_SOURCE, err))
		return false;
	return cli_need(j->c, OPT_TARGET, err) && (stored || cli_need(j->c, OPT_MAPPING, err));
}

/* What --only and --skip leave out; without them what the run left out. */
static bool choose(struct job *j, const struct state_run *run, struct err *err)
{
	_cleanup_(buf_free) struct buf left_out = {0};
	bool asked = cli_has_choice(j->c);

	if (asked && !cli_choose(j->c, j->mapping, &left_out, err))
		return false;
	j->left_out = asked || !run ? arena_strdup(j->c->arena, buf_cstr(&left_out)) : run->left_out;
	return true;
}

/* run: the one on the target, to go on with or to take back; NULL: none. */
static bool plan_from(struct job *j, const struct state_run *run, struct err *err)
{
	const char *name = settings_text(&j->c->settings, OPT_MAPPING);
	_cleanup_(buf_free) struct buf report = {0};

	assert(name || run);
	bool ok = name ? mapping_load(&j->mapping, name, &report, err)
		       : mapping_parse(&j->mapping, run->mapping_name, run->mapping_text, strlen(run->mapping_text),
				       &report, err);
	ok = ok && choose(j, run, err) && plan_build_part(&j->plan, j->mapping, j->left_out, &report, err);
	return ok || cli_explain_mapping(&report, err);
}

/* --resume, --join and --clean-only: the run on the target knows its mapping and which part of it was chosen. */
static bool plan_of_run(struct job *j, bool *found, struct err *err)
{
	bool named = settings_text(&j->c->settings, OPT_MAPPING);
	_cleanup_(pg_closep) struct pg *pg = NULL;
	struct state_run run;

	*found = false;
	if (!cli_open_target(j->c, &pg, err) || !state_is_installed(pg, found, err))
		return false;
	if (*found && !state_run_find(pg, j->c->arena, &run, found, err))
		return false;
	if (*found || named) {
		bool ok = plan_from(j, *found ? &run : NULL, err);
		*found = true; /* whether there is a run the engine says */
		return ok;
	}
	if (j->mode == ENGINE_CLEAN_ONLY)
		return true;
	err_set(err, ERR_RUN_NONE, "there is no run on this target to go on with");
	return err_hint(err, "start one: docrow migrate --mapping NAME");
}

static struct map_limit limit_of(const struct setting *v)
{
	bool is_share = v->number < 0;

	return (struct map_limit){.is_given = v->text != NULL,
				  .n = is_share ? 0 : (uint64_t)v->number,
				  .percent = is_share ? -v->number : 0};
}

static struct engine_options options_of(const struct job *j)
{
	const struct settings *s = &j->c->settings;

	return (struct engine_options){
		.mode = j->mode,
		.target = (enum engine_target)settings_int(s, OPT_TARGET_TABLES),
		.way = j->way,
		.way_is_given = j->way_is_given,
		.lock_seconds = s->v[OPT_LOCK_TIMEOUT].number,
		.source_uri = settings_text(s, OPT_SOURCE),
		.target_uri = settings_text(s, OPT_TARGET),
		.workers = cli_workers(j->c, OPT_WORKERS),
		.index_jobs = cli_workers(j->c, OPT_INDEX_JOBS),
		.batch_docs = (uint64_t)s->v[OPT_BATCH_SIZE].number,
		.chunk_bytes = (uint64_t)s->v[OPT_CHUNK_SIZE].number,
		.lease_seconds = s->v[OPT_LEASE].number,
		.retry_seconds = s->v[OPT_RETRY_FOR].number,
		.max_rejects = limit_of(&s->v[OPT_MAX_REJECTS]),
		.max_rejects_source = setting_where(s, &s->v[OPT_MAX_REJECTS]),
		.max_rate = s->v[OPT_MAX_RATE].number,
		.max_lag = (uint64_t)s->v[OPT_MAX_LAG].number,
		.no_search_indexes = settings_flag(s, OPT_NO_SEARCH_INDEXES),
		.load_only = settings_flag(s, OPT_LOAD_ONLY),
		.version = DOCROW_VERSION,
		.left_out = j->left_out,
	};
}

/* --- while it runs --- */

static void say_stopping(struct job *j, const struct engine_snapshot *s)
{
	struct buf b;
	uint64_t left = 0;

	for (size_t i = 0; i < s->ntables; i++)
		left += s->tables[i].chunks - s->tables[i].chunks_done;
	buf_init(&b, 0);
	buf_puts(&b, "stopping: the work in hand is finished or rolled back");
	if (s->phase == STATE_LOAD)
		buf_printf(&b, "; %llu chunks are left for later", (unsigned long long)left);
	else if (s->phase == STATE_SETTLE)
		buf_printf(&b, "; %llu steps are left for later", (unsigned long long)(s->steps - s->steps_done));
	buf_puts(&b, " (once more leaves at once)");
	progress_log(j->progress, LOG_INFO, buf_cstr(&b));
	buf_free(&b);
}

static void watch(struct job *j)
{
	struct engine_snapshot s;

	for (;;) {
		engine_poll(j->engine, &s);
		if (stop_is_new()) {
			engine_stop(j->engine);
			say_stopping(j, &s);
			engine_poll(j->engine, &s);
		}
		if (j->mode != ENGINE_CLEAN_ONLY) /* which has no documents to show */
			progress_update(j->progress, &s, clock_seconds());
		if (s.finished)
			return;
		stop_wait(POLL_MS);
	}
}

/* --- after it --- */

static bool look_back(struct job *j, struct pg *pg, bool done, struct report_facts *f, struct account *a,
		      struct err *err)
{
	struct state_run run;
	bool found;

	if (!state_run_find(pg, j->c->arena, &run, &found, err))
		return false;
	if (!found)
		return err_set(err, ERR_RUN_NONE, "the run is no longer on the target");
	if (!gather_facts(pg, &run, j->plan, done && run.phase == STATE_DONE, j->c->arena, f, err))
		return false;
	if (!done)
		f->resume_command = j->way_on;
	if (j->source)
		f->nnotes = source_notes(j->source, &f->notes);
	account_build(a, f, j->c->arena);
	write_run_files(j->c, pg, f, a);
	return true;
}

static int finish_done(struct job *j)
{
	_cleanup_(pg_closep) struct pg *pg = NULL;
	_cleanup_(buf_free) struct buf out = {0};
	struct report_facts f = {0};
	struct account a = {0};
	struct err err;

	if (!cli_open_target(j->c, &pg, &err) || !look_back(j, pg, true, &f, &a, &err)) {
		err_where(&err, "the run is done, but its account cannot be read");
		return cli_fail_as_asked(j->c, &err);
	}
	summary_write(&out, &f, &a, term_has_colour(STDOUT_FILENO));
	fwrite(out.data, 1, out.len, stdout);
	if (a.nbreaks > 0) {
		err_set(&err, ERR_INTERNAL, "the account of run %lld does not balance", (long long)f.run.id);
		err_detail(&err, "%.900s", a.breaks[0]);
		return cli_fail_as_asked(j->c, &err);
	}
	return a.is_clean ? 0 : (int)ERR_KIND_LIMIT;
}

/* Rows, rejects and marks are safe whatever happens here: these are only the files. */
static void leave_files(struct job *j)
{
	_cleanup_(pg_closep) struct pg *pg = NULL;
	struct report_facts f = {0};
	struct account a = {0};
	struct err err;

	if (!cli_open_target(j->c, &pg, &err) || !look_back(j, pg, false, &f, &a, &err))
		log_line(LOG_WARN, "migration-checkpoint.json is not written: %s", err.message);
}

static int finish_stopped(struct job *j, struct err *err)
{
	bool is_json = cli_progress_mode(j->c) == PROGRESS_JSON;
	int status;

	if (err->code == ERR_MAX_REJECTS)
		set_way_on(j, true);
	if (err->code == ERR_STOPPED) {
		status = (int)ERR_KIND_STOPPED;
		if (is_json)
			cli_fail_json(err);
		else
			fprintf(stderr, "docrow: stopped; nothing is lost. Go on with:\n  %s\n", j->way_on);
	} else {
		status = cli_fail_as_asked(j->c, err);
		if (!is_json && err->kind != ERR_KIND_USAGE)
			fprintf(stderr, "docrow: what was committed is safe. Go on with%s:\n  %s\n",
				err->code == ERR_MAX_REJECTS ? " a higher limit in place of N" : "", j->way_on);
	}
	fflush(stderr);
	stop_wind_clock();
	leave_files(j);
	return status;
}

static int finish(struct job *j)
{
	struct err err;
	bool ok = engine_finish(j->engine, &err);
	bool stopped = !ok && err.code == ERR_STOPPED;

	progress_end(j->progress, ok ? "done" : stopped ? "stopped" : "failed", clock_seconds());
	if (!ok) {
		int status = finish_stopped(j, &err);
		stop_finished();
		return status;
	}
	stop_finished();
	if (j->mode == ENGINE_CLEAN_ONLY) {
		cli_say(j->c, "taken back: the target is as before the run");
		return 0;
	}
	return finish_done(j);
}

/* --- all of it --- */

static bool prepare(struct job *j, bool *nothing_to_do, struct err *err)
{
	const struct settings *s = &j->c->settings;
	bool found = true;

	*nothing_to_do = false;
	if (!mode_of(s, &j->mode, err) || !cli_way(j->c, &j->way, &j->way_is_given, err) || !check_needed(j, err))
		return false;
	set_way_on(j, false);
	stop_install(j->way_on);
	bool goes_on = j->mode != ENGINE_NEW && j->mode != ENGINE_CLEAN;
	if (goes_on ? !plan_of_run(j, &found, err) : !plan_from(j, NULL, err))
		return false;
	*nothing_to_do = !found;
	if (!found || j->mode == ENGINE_CLEAN_ONLY)
		return true;
	return cli_open_source(j->c, j->mapping, "docrow", &j->source, err);
}

static void tell_notes(const struct job *j)
{
	const char *const *notes;
	size_t n = j->source ? source_notes(j->source, &notes) : 0;

	for (size_t i = 0; i < n; i++)
		log_line(LOG_WARN, "%s", notes[i]);
}

/* As lines and for machines: a picture shows the collections in this order. One phase is no order. */
static void tell_order(const struct job *j)
{
	_cleanup_(buf_free) struct buf names = {0};
	const char *last = NULL;
	struct engine_snapshot s;
	size_t n = 0;

	if (cli_progress_mode(j->c) != PROGRESS_PLAIN && cli_progress_mode(j->c) != PROGRESS_JSON)
		return;
	engine_poll(j->engine, &s);
	for (size_t i = 0; i < s.ntables; i++) {
		const char *name = s.tables[i].load_phase;
		if (name && s.tables[i].present && (!last || strcmp(name, last) != 0))
			buf_printf(&names, "%s%s", n++ > 0 ? ", " : "", name);
		last = name && s.tables[i].present ? name : last;
	}
	if (n > 1)
		log_line(LOG_INFO, "order of loading: %s", buf_cstr(&names));
}

static int run_engine(struct job *j)
{
	struct engine_options o = options_of(j);
	struct err err;

	if (j->mode != ENGINE_CLEAN_ONLY)
		cli_say_left_out(j->c, j->plan);
	tell_notes(j);
	stop_running();
	int status;
	if (engine_start(&j->engine, j->plan, j->source, &o, &err)) {
		if (j->mode == ENGINE_NEW || j->mode == ENGINE_CLEAN)
			tell_order(j);
		watch(j);
		status = finish(j);
	} else {
		stop_finished();
		status = cli_fail_as_asked(j->c, &err);
	}
	engine_free(j->engine);
	return status;
}

static int run(struct cli *c)
{
	struct job j = {.c = c};
	struct err err;
	bool nothing_to_do = false;
	int status = 0;

	if (settings_flag(&c->settings, OPT_DRY_RUN))
		return check_everything(c, 2);
	j.progress = cli_progress(c);
	if (!prepare(&j, &nothing_to_do, &err))
		status = cli_fail_as_asked(c, &err);
	else if (nothing_to_do)
		cli_say(c, "there is no run on this target: nothing to take back");
	else
		status = run_engine(&j);
	cli_progress_close(j.progress);
	stop_close_within_a_second(status);
	source_close(j.source);
	plan_free(j.plan);
	mapping_free(j.mapping);
	return status;
}

static const char *const examples[] = {"docrow migrate --mapping nextcrm",
				       "move everything; addresses come from the environment or .env",
				       "docrow migrate --resume",
				       "go on with a run that was stopped, or killed",
				       "docrow migrate --mapping ./mine.yaml --source dump/ --workers 4",
				       "from the folder of a mongodump, with four workers",
				       "mongodump --archive | docrow migrate --mapping nextcrm --source -",
				       "from an archive on standard input; give the same one again to resume",
				       "docrow migrate --clean --mapping nextcrm",
				       "take back what an earlier run made and start anew",
				       "docrow migrate --mapping nextcrm --skip 'crm_campaign*'",
				       "all collections but those whose names begin like that",
				       NULL};

const struct command cmd_migrate = {
	.id = CMD_MIGRATE,
	.summary = "move the documents into the target",
	.args = "",
	.needs_settings = true,
	.description = "Reads every mapped collection, loads the rows, then builds keys, indexes and foreign keys. "
		       "Work is done in "
		       "chunks, each of which is one transaction together with the mark that it is done: stopped or "
		       "killed at any "
		       "moment, docrow migrate --resume ends with the same tables.\n\n"
		       "A document that cannot become rows is kept whole, with the reason, in docrow.reject of the "
		       "target; its "
		       "neighbours load. The summary at the end accounts for every document and array element.\n\n"
		       "SIGINT or SIGTERM finishes or rolls back the work in hand within seconds and prints the "
		       "command that goes on; a "
		       "second one leaves at once, which is safe, too.",
	.examples = examples,
	.run = run,
};

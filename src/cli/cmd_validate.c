/* cmd_validate.c - docrow validate: settings → plan, source, validation; then what is shown, files, exit status. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli.h"
#include "engine.h"
#include "parties.h"
#include "sink_existing.h"
#include "state.h"
#include "stop.h"
#include "sys.h"
#include "term.h"
#include "text.h"
#include "validate.h"
#include "validation.h"

#define POLL_MS 200

struct job {
	struct cli *c;
	struct mapping *mapping;
	struct plan *plan;
	struct source *source;
	struct validation *validation;
	struct progress *progress;
	struct engine_table *tables; /* what the display takes */
	bool no_search_indexes;      /* as the run's option was */
	bool appended;               /* the run added to rows of others */
	bool existing;               /* the tables were there before the run: the plan is adapted to them */
};

/* --- the plan: the mapping that was named, else the run's --- */

/* What the last retry was told to use. */
static bool use_revision(struct job *j, struct pg *pg, struct state_run *run, struct err *err)
{
	char *name, *text;
	bool found;

	if (!state_revision_find(pg, run->id, j->c->arena, &name, &text, &found, err))
		return false;
	if (found) {
		run->mapping_name = name;
		run->mapping_text = text;
	}
	return true;
}

static bool read_run(struct job *j, struct state_run *run, bool *found, struct err *err)
{
	_cleanup_(pg_closep) struct pg *pg = NULL;

	*found = false;
	if (!cli_open_target(j->c, &pg, err) || !state_is_installed(pg, found, err))
		return false;
	if (!*found)
		return true;
	if (!state_run_find(pg, j->c->arena, run, found, err))
		return false;
	return !*found || use_revision(j, pg, run, err);
}

static const char *left_out_by(struct job *j, const struct state_run *run, struct err *err)
{
	_cleanup_(buf_free) struct buf left_out = {0};

	if (!cli_has_choice(j->c))
		return run != NULL && run->left_out != NULL ? run->left_out : "";
	return cli_choose(j->c, j->mapping, &left_out, err) ? arena_strdup(j->c->arena, buf_cstr(&left_out)) : NULL;
}

/* Tables that were there before the run are as they were, not as the mapping would make them. Where they do not fit
 * any more, the mapping rules, and what differs is found. */
static bool adapt_plan(struct job *j, const struct state_run *run, struct err *err)
{
	_cleanup_(pg_closep) struct pg *pg = NULL;

	if (!cli_open_target(j->c, &pg, err))
		return false;
	plan_use_schema(j->plan, run != NULL ? run->schema : pg_uri_schema(pg));
	if (run == NULL)
		return true;
	j->appended = state_run_appended(run);
	if (!sink_is_existing(pg, run->id, &j->existing, err))
		return false;
	if (!j->existing)
		return true;
	bool ok = pg_begin(pg, false, err) && sink_adapt(pg, &j->plan->schema, run->id, j->plan->arena, err);
	pg_rollback(pg);
	if (ok)
		plan_adapt(j->plan);
	else
		j->existing = false;
	return ok || err->code == ERR_TARGET_CHANGED;
}

static bool make_plan(struct job *j, struct err *err)
{
	const char *name = settings_text(&j->c->settings, OPT_MAPPING), *left_out;
	_cleanup_(buf_free) struct buf report = {0};
	struct state_run run = {0};
	bool found, ok;

	if (!read_run(j, &run, &found, err))
		return false;
	if (name == NULL && !found) {
		err_set(err, ERR_SETTING_MISSING, "no mapping is given, and there is no run on this target");
		return err_hint(err, "name the mapping that made the tables: --mapping NAME");
	}
	j->no_search_indexes = settings_flag(&j->c->settings, OPT_NO_SEARCH_INDEXES) ||
			       (found && run.options != NULL && strstr(run.options, "\"search_indexes\": false"));
	ok = name != NULL ? mapping_load(&j->mapping, name, &report, err)
			  : mapping_parse(&j->mapping, run.mapping_name, run.mapping_text, strlen(run.mapping_text),
					  &report, err);
	left_out = ok ? left_out_by(j, found ? &run : NULL, err) : NULL;
	ok = ok && left_out != NULL && plan_build_part(&j->plan, j->mapping, left_out, &report, err);
	if (!ok)
		return cli_explain_mapping(&report, err);
	return adapt_plan(j, found ? &run : NULL, err);
}

/* --- files --- */

static const char *in_folder(const struct job *j, const char *name)
{
	const char *folder = settings_text(&j->c->settings, OPT_LOG_DIR);

	return strcmp(folder, ".") == 0 ? name : arena_printf(j->c->arena, "%s/%s", folder, name);
}

static const char *report_path(const struct job *j)
{
	return in_folder(j, "migration-validation-report.json");
}

static const char *progress_path(const struct job *j)
{
	return in_folder(j, "migration-validation-progress");
}

/* --- options --- */

static bool layers_of(const struct settings *s, unsigned *layers, struct err *err)
{
	const char *p = settings_text(s, OPT_LAYERS);

	*layers = 0;
	while (*p != '\0') {
		size_t n = strcspn(p, ",");
		int found = -1;
		for (int l = 0; l < LAYER_COUNT; l++)
			if (strlen(validate_layer_name((enum validate_layer)l)) == n &&
			    strncmp(validate_layer_name((enum validate_layer)l), p, n) == 0)
				found = l;
		if (found < 0) {
			err_set(err, ERR_SETTING, "there is no layer \"%.*s\"", n < 40 ? (int)n : 40, p);
			return err_hint(err, "the layers are counts, values, references, types and schema");
		}
		*layers |= 1u << found;
		p += n + (p[n] == ',');
	}
	return true;
}

/* The mapping's, unless somebody says otherwise for this time. */
static double threshold_of(const struct job *j)
{
	const struct setting *s = &j->c->settings.v[OPT_THRESHOLD];

	return s->from <= FROM_DEFAULT && j->mapping->threshold > 0 ? j->mapping->threshold : s->number;
}

static bool options_of(const struct job *j, struct validate_options *o, struct err *err)
{
	const struct settings *s = &j->c->settings;
	double sample = s->v[OPT_SAMPLE].number;

	*o = (struct validate_options){
		.target_uri = settings_text(s, OPT_TARGET),
		.version = DOCROW_VERSION,
		.workers = cli_workers(j->c, OPT_WORKERS),
		.full = settings_flag(s, OPT_FULL),
		.sample = sample > 0 ? (uint64_t)sample : 0,
		.sample_share = sample < 0 ? -sample / 100 : 0,
		.seed = (uint64_t)s->v[OPT_SEED].number,
		.threshold = threshold_of(j),
		.log_values = settings_flag(s, OPT_LOG_VALUES),
		.allow_drift = settings_flag(s, OPT_ALLOW_DRIFT),
		.no_search_indexes = j->no_search_indexes,
		.existing = j->existing,
		.appended = j->appended,
		.max_rate = s->v[OPT_MAX_RATE].number,
		.resume = settings_flag(s, OPT_RESUME),
		.progress_file = progress_path(j),
		.retry_seconds = s->v[OPT_RETRY_FOR].number,
	};
	return layers_of(s, &o->layers, err);
}

/* --- while it runs --- */

/* The display knows runs: a validation is shown as one that loads. */
static void show(struct job *j, const struct validate_snapshot *s)
{
	struct engine_snapshot e = {.phase = STATE_LOAD,
				    .doing = s->doing,
				    .finished = s->finished,
				    .stopping = s->stopping,
				    .started_at = s->started_at,
				    .tables = j->tables,
				    .ntables = s->ncollections};

	for (size_t i = 0; i < s->ncollections; i++) {
		const struct validate_progress *p = &s->collections[i];
		struct engine_table *t = &j->tables[i];
		t->collection = t->table = p->name;
		t->present = p->total > 0;
		t->est_docs = p->total;
		t->docs = p->done;
		t->started = p->done > 0;
		t->finished = p->is_done;
	}
	progress_update(j->progress, &e, clock_seconds());
}

static void watch(struct job *j)
{
	struct validate_snapshot s;

	validate_poll(j->validation, &s);
	j->tables = arena_alloc(j->c->arena, (s.ncollections + 1) * sizeof *j->tables);
	for (;;) {
		if (stop_is_new()) {
			validate_stop(j->validation);
			progress_log(j->progress, LOG_INFO,
				     "stopping: what was compared so far is kept for --resume (once more leaves at "
				     "once)");
		}
		validate_poll(j->validation, &s);
		show(j, &s);
		if (s.finished)
			return;
		stop_wait(POLL_MS);
	}
}

/* --- after it --- */

static bool write_file(const char *path, void (*make)(struct buf *, const struct validation_facts *),
		       const struct validation_facts *f, struct err *err)
{
	_cleanup_(buf_free) struct buf b = {0};

	make(&b, f);
	return file_write_atomic(path, b.data, b.len, err);
}

static int say(struct job *j, const struct validate_result *r)
{
	struct validation_facts f = {
		.result = r, .docrow = DOCROW_VERSION, .shown = (size_t)j->c->settings.v[OPT_FINDINGS].number};
	const char *report = report_path(j), *junit = settings_text(&j->c->settings, OPT_JUNIT);
	_cleanup_(buf_free) struct buf out = {0};
	struct err err;

	if (!write_file(report, validation_json, &f, &err))
		return cli_fail_as_asked(j->c, &err);
	f.report_file = report;
	if (junit != NULL && !write_file(junit, validation_junit, &f, &err))
		return cli_fail_as_asked(j->c, &err);
	if (settings_flag(&j->c->settings, OPT_JSON))
		validation_json(&out, &f);
	else
		validation_write(&out, &f, term_has_colour(STDOUT_FILENO));
	fwrite(out.data, 1, out.len, stdout);
	return r->passed ? 0 : 1;
}

static int finish(struct job *j)
{
	const struct validate_result *r;
	struct err err;
	bool ok = validate_finish(j->validation, &r, &err);

	progress_end(j->progress, ok ? "done" : err.code == ERR_STOPPED ? "stopped" : "failed", clock_seconds());
	stop_finished();
	return ok ? say(j, r) : cli_fail_as_asked(j->c, &err);
}

static int run_validation(struct job *j)
{
	struct validate_options o;
	struct err err;
	int status;

	if (!options_of(j, &o, &err))
		return cli_fail_as_asked(j->c, &err);
	j->progress = cli_progress(j->c);
	stop_running();
	if (validate_start(&j->validation, j->plan, j->source, &o, &err)) {
		watch(j);
		status = finish(j);
	} else {
		stop_finished();
		status = cli_fail_as_asked(j->c, &err);
	}
	validate_free(j->validation);
	cli_progress_close(j->progress);
	return status;
}

static int run(struct cli *c)
{
	struct job j = {.c = c};
	struct err err;
	unsigned layers;
	int status;

	if (!layers_of(&c->settings, &layers, &err) || !cli_need(c, OPT_SOURCE, &err) ||
	    !cli_need(c, OPT_TARGET, &err))
		return cli_fail_as_asked(c, &err);
	stop_install("docrow validate");
	if (!make_plan(&j, &err) || !cli_open_source(c, j.mapping, "docrow validate", &j.source, &err) ||
	    !engine_define_parts(j.plan, j.source, &err))
		status = cli_fail_as_asked(c, &err);
	else
		status = run_validation(&j);
	stop_close_within_a_second(status);
	source_close(j.source);
	plan_free(j.plan);
	mapping_free(j.mapping);
	return status;
}

static const char *const examples[] = {"docrow validate",
				       "counts, samples, references, types and schema of the run on the target",
				       "docrow validate --full",
				       "every field of every document and row, in both directions",
				       "docrow validate --sample 1% --seed 7 --threshold 99%",
				       "one document in a hundred; passes when 99 % of them are right",
				       "docrow validate --full --junit validation.xml",
				       "for a build server",
				       NULL};

const struct command cmd_validate = {
	.id = CMD_VALIDATE,
	.summary = "prove that the tables hold what the documents hold",
	.args = "",
	.needs_settings = true,
	.description =
		"Compares source and target by code of its own, which shares nothing with the code that moves: "
		"counts and keys of both sides, fields of a random sample (--full: every field of every document "
		"and row), references, types, and the schema. Reads only; PostgreSQL at one snapshot.\n\n"
		"What is missing must be explained by schema docrow, one by one: a reject, a dropped duplicate, "
		"a reference that was set to NULL by the mapping's rule. Whatever cannot be read, explained or "
		"compared is a finding. migration-validation-report.json lists what was found.\n\n"
		"Exit status: 0 all layers pass, 1 findings, 2 settings, 3 source, 4 target.",
	.examples = examples,
	.run = run,
};

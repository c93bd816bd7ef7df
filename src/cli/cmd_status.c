/* cmd_status.c - docrow status: where the run on the target stands, read from schema docrow. */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli.h"
#include "gather.h"
#include "put_json.h"
#include "sys.h"
#include "term.h"
#include "text.h"

#define CLEAR_SCREEN "\033[H\033[2J"

struct load_phase {
	const char *name; /* NULL: not known */
	int number;
};

struct status {
	struct state_run run;
	struct state_progress *progress;
	size_t nprogress;
	struct load_phase *load_phase; /* by progress; NULL: none are known */
	size_t nphases;
	struct state_worker *workers;
	size_t nworkers;
	struct state_pattern *rejects;
	size_t nrejects;
	struct state_unit_line *failed;
	size_t nfailed;
	struct state_refused *refused;
	size_t nrefused;
	const char **kept;
	size_t nkept;
	struct report_facts times;
	double rate;
	uint64_t live, est_docs, docs, reject_count, reject_open, steps, steps_done;
	FILE *out;
	uint64_t before, skipped, replaced; /* of rows that were there before the run */
	const char *target, *way_on;        /* way_on: NULL when there is nothing to resume */
};

/* The phase that each collection is loaded in, in the order of s->progress. */
static void name_phases(struct status *s, const struct plan *p, struct arena *a)
{
	struct schema_order o = schema_order(&p->schema, a);

	s->load_phase = arena_alloc(a, (s->nprogress + 1) * sizeof(*s->load_phase));
	s->nphases = o.nphases;
	for (size_t i = 0; i < s->nprogress; i++) {
		int c = s->progress[i].phase == STATE_LOAD ? plan_find_collection(p, s->progress[i].name) : -1;
		int phase = c >= 0 ? o.phase[p->collections[c].outputs[0].copy.table] : -1;
		if (phase >= 0)
			s->load_phase[i] = (struct load_phase){arena_strdup(a, o.phases[phase].name), phase + 1};
	}
}

/* The run's mapping, which is kept with it and never changes: read once, however often one looks. */
struct known {
	int64_t run; /* 0: nothing is known */
	struct mapping *mapping;
	struct plan *plan; /* NULL: this version does not read the mapping any more */
};

static void known_free(struct known *k)
{
	plan_free(k->plan);
	mapping_free(k->mapping);
	*k = (struct known){0};
}

static void know(struct known *k, const struct state_run *run)
{
	struct err ignored;

	if (k->run == run->id)
		return;
	known_free(k);
	k->run = run->id;
	if (mapping_parse(&k->mapping, run->mapping_name, run->mapping_text, strlen(run->mapping_text), NULL,
			  &ignored) &&
	    plan_build_part(&k->plan, k->mapping, run->left_out, NULL, &ignored))
		plan_use_schema(k->plan, run->schema);
}

/* What the mapping tells: phases; of a run that is done, keys that are not valid. */
static bool read_mapping(struct pg *pg, struct arena *a, struct known *k, struct status *s, struct err *err)
{
	know(k, &s->run);
	if (k->plan == NULL)
		return true;
	name_phases(s, k->plan, a);
	return s->run.phase != STATE_DONE ||
	       gather_kept_keys(pg, s->run.id, &k->plan->schema, a, &s->kept, &s->nkept, err);
}

/* Of a run that added to rows of others. */
static bool read_others(struct pg *pg, struct arena *a, struct status *s, struct err *err)
{
	const struct {
		enum ledger_kind kind;
		uint64_t *n;
	} sums[] = {{LEDGER_BEFORE, &s->before}, {LEDGER_SKIPPED, &s->skipped}, {LEDGER_REPLACED, &s->replaced}};
	struct state_entry *entries;
	size_t n;

	if (!state_run_appended(&s->run))
		return true;
	if (!state_ledger(pg, s->run.id, a, &entries, &n, err))
		return false;
	for (size_t i = 0; i < n; i++)
		for (size_t k = 0; k < sizeof(sums) / sizeof(sums[0]); k++)
			if (strcmp(entries[i].kind, ledger_kind_name(sums[k].kind)) == 0)
				*sums[k].n += entries[i].n;
	return true;
}

static bool read_status(struct pg *pg, struct arena *a, struct known *k, struct status *s, struct err *err)
{
	return state_progress(pg, s->run.id, a, &s->progress, &s->nprogress, err) &&
	       state_workers(pg, s->run.id, a, &s->workers, &s->nworkers, err) &&
	       state_reject_patterns(pg, s->run.id, a, &s->rejects, &s->nrejects, err) &&
	       state_failed(pg, s->run.id, 10, a, &s->failed, &s->nfailed, err) &&
	       state_refused(pg, s->run.id, a, &s->refused, &s->nrefused, err) && read_mapping(pg, a, k, s, err) &&
	       read_others(pg, a, s, err) && gather_times(pg, s->run.id, a, &s->times, err) &&
	       gather_rate(pg, s->run.id, &s->rate, err);
}

/* The limit that stopped the run would stop it at once again. */
static bool stopped_at_limit(const struct state_run *run)
{
	const char *code = err_code_text(ERR_MAX_REJECTS);

	return run->error && strncmp(run->error, code, strlen(code)) == 0;
}

static void add_up(struct cli *c, struct status *s)
{
	bool masked;

	for (size_t i = 0; i < s->nprogress; i++) {
		const struct state_progress *p = &s->progress[i];
		if (p->phase == STATE_LOAD) {
			s->est_docs += p->est_docs;
			s->docs += p->docs;
		} else {
			s->steps += p->total;
			s->steps_done += p->done;
		}
	}
	for (size_t i = 0; i < s->nworkers; i++)
		s->live += s->workers[i].live;
	for (size_t i = 0; i < s->nrejects; i++) {
		s->reject_count += s->rejects[i].n;
		s->reject_open += s->rejects[i].open;
	}
	if (s->run.phase != STATE_DONE && s->live == 0)
		s->way_on = arena_printf(
			c->arena, "%s%s", settings_resume_command(&c->settings, c->program, OPT_COUNT, &masked),
			stopped_at_limit(&s->run) ? " --max-rejects N   (with a higher limit in place of N)" : "");
}

/* The row says "running" until somebody says otherwise; a killed process cannot. */
static const char *status_word(const struct status *s)
{
	if (strcmp(s->run.status, "running") == 0 && s->live == 0)
		return "interrupted";
	return s->run.status;
}

/* --- for people --- */

static void put_text(const struct status *s, const char *label, const char *text)
{
	struct buf b;

	if (!text || text[0] == '\0')
		return;
	buf_init(&b, 0);
	text_escape(&b, text, strlen(text));
	fprintf(s->out, "%-9s %s\n", label, buf_cstr(&b));
	buf_free(&b);
}

static void put_progress(const struct status *s, const struct state_progress *p)
{
	char docs[32], rejects[32], seconds[32];
	struct buf name;

	buf_init(&name, 0);
	text_escape(&name, p->name, strlen(p->name));
	if (p->phase == STATE_LOAD)
		fprintf(s->out, "  %-32s %5llu of %5llu chunks %12s documents %9s rejects  %s\n", buf_cstr(&name),
			(unsigned long long)p->done, (unsigned long long)p->total, text_thousands(p->docs, docs),
			text_thousands(p->rejects, rejects), text_duration(p->seconds, seconds));
	else
		fprintf(s->out, "  %-32s %5llu of %5llu steps  %s\n", buf_cstr(&name), (unsigned long long)p->done,
			(unsigned long long)p->total, text_duration(p->seconds, seconds));
	buf_free(&name);
}

static void put_all_progress(const struct status *s)
{
	bool any = false;

	for (int load = 1; load >= 0; load--) {
		any = false;
		for (size_t i = 0; i < s->nprogress; i++) {
			if ((s->progress[i].phase == STATE_LOAD) != (load == 1))
				continue;
			if (!any)
				fprintf(s->out, "%s\n", load ? "\nCollections" : "\nSteps");
			any = true;
			put_progress(s, &s->progress[i]);
		}
	}
}

static void put_workers(const struct status *s)
{
	if (s->nworkers > 0)
		fprintf(s->out, "%s\n", "\nWorkers");
	for (size_t i = 0; i < s->nworkers; i++) {
		const struct state_worker *w = &s->workers[i];
		char age[32];
		fprintf(s->out, "  %s, process %d: %s, heartbeat %s ago%s%s\n", w->host, w->pid,
			w->live ? "alive" : "gone", text_duration(w->age, age), w->unit ? ", at " : "",
			w->unit ? w->unit : "");
	}
}

static void put_failed(const struct status *s)
{
	if (s->nfailed > 0)
		fprintf(s->out, "%s\n", "\nUnfinished, last attempt failed");
	for (size_t i = 0; i < s->nfailed; i++)
		fprintf(s->out, "  %s (%d attempts): %s\n", s->failed[i].name, s->failed[i].attempts,
			s->failed[i].error ? s->failed[i].error : "");
}

static void put_refused(const struct status *s)
{
	if (s->nrefused > 0)
		fprintf(s->out, "%s\n",
			"\nKeys and indexes that the server refused: mend the rows or the definition and run it");
	for (size_t i = 0; i < s->nrefused; i++)
		fprintf(s->out, "  %s on %s: %s (SQLSTATE %s)\n    %s;\n", s->refused[i].object, s->refused[i].table,
			s->refused[i].reason, s->refused[i].sqlstate, s->refused[i].definition);
}

static void put_kept(const struct status *s)
{
	if (s->nkept > 0)
		fprintf(s->out, "\nForeign keys left NOT VALID (orphans were kept)\n");
	for (size_t i = 0; i < s->nkept; i++)
		fprintf(s->out, "  %s\n", s->kept[i]);
}

static void put_totals(const struct status *s)
{
	char n[4][32];

	fprintf(s->out, "documents %s of about %s", text_thousands(s->docs, n[0]), text_thousands(s->est_docs, n[1]));
	if (s->rate >= 0.5 && s->live > 0) {
		fprintf(s->out, ", %s a second", text_thousands((uint64_t)(s->rate + 0.5), n[2]));
		if (s->est_docs > s->docs)
			fprintf(s->out, ", about %s left",
				text_duration((double)(s->est_docs - s->docs) / s->rate, n[3]));
	}
	fprintf(s->out, "\nsteps     %llu of %llu\nrejects   %s", (unsigned long long)s->steps_done,
		(unsigned long long)s->steps, text_thousands(s->reject_count, n[0]));
	if (s->reject_open < s->reject_count)
		fprintf(s->out, ", of them retried %s, open %s",
			text_thousands(s->reject_count - s->reject_open, n[1]), text_thousands(s->reject_open, n[2]));
	fputs(s->reject_open > 0 ? " (docrow rejects)\n" : "\n", s->out);
	if (s->before + s->skipped + s->replaced > 0)
		fprintf(s->out, "others    %s rows were there before the run; skipped %s, replaced %s\n",
			text_thousands(s->before, n[0]), text_thousands(s->skipped, n[1]),
			text_thousands(s->replaced, n[2]));
}

/* The phase of the first collection that is not loaded, or NULL. */
static const struct load_phase *phase_in_hand(const struct status *s)
{
	for (size_t i = 0; s->load_phase && s->run.phase == STATE_LOAD && i < s->nprogress; i++)
		if (s->progress[i].phase == STATE_LOAD && s->progress[i].done < s->progress[i].total &&
		    s->load_phase[i].name)
			return &s->load_phase[i];
	return NULL;
}

static void print_status(const struct status *s)
{
	const struct load_phase *in_hand = phase_in_hand(s);
	char n[32];

	fprintf(s->out, "run       %lld: %s, phase %s\n", (long long)s->run.id, status_word(s),
		state_phase_name(s->run.phase));
	put_text(s, "mapping", s->run.mapping_name);
	put_text(s, "source", s->run.source_describe);
	put_text(s, "target", s->target);
	if (s->run.way[0] != '\0')
		fprintf(s->out, "%-9s were there: %s\n", "tables", s->run.way);
	put_text(s, "started", s->run.started);
	put_text(s, "finished", s->run.finished);
	fprintf(s->out, "time      rows %s", text_duration(s->times.load_seconds, n));
	fprintf(s->out, ", keys and indexes %s\n", text_duration(s->times.settle_seconds, n));
	put_totals(s);
	if (in_hand)
		fprintf(s->out, "loading   %s (phase %d of %zu)\n", in_hand->name, in_hand->number, s->nphases);
	put_text(s, "error", s->run.error);
	put_all_progress(s);
	put_workers(s);
	put_failed(s);
	put_refused(s);
	put_kept(s);
	if (s->way_on)
		fprintf(s->out, "\nGo on with: %s\n", s->way_on);
}

/* --- for machines --- */

static json_t *json_progress(const struct status *s, bool load)
{
	json_t *list = json_array();

	for (size_t i = 0; i < s->nprogress; i++) {
		const struct state_progress *p = &s->progress[i];
		if ((p->phase == STATE_LOAD) != load)
			continue;
		json_t *o = json_object();
		json_put_text(o, load ? "collection" : "kind", p->name);
		if (load)
			json_put_text(o, "load_phase", s->load_phase ? s->load_phase[i].name : NULL);
		json_put_count(o, load ? "chunks" : "steps", p->total);
		json_put_count(o, load ? "chunks_done" : "steps_done", p->done);
		json_put_count(o, "running", p->running);
		if (load) {
			json_put_count(o, "documents", p->docs);
			json_put_count(o, "expected", p->est_docs);
			json_put_count(o, "rows", p->rows);
			json_put_count(o, "bytes", p->bytes);
		}
		json_put_count(o, "rejects", p->rejects);
		json_put(o, "seconds", json_real(p->seconds));
		json_array_append_new(list, o);
	}
	return list;
}

static json_t *json_workers(const struct status *s)
{
	json_t *list = json_array();

	for (size_t i = 0; i < s->nworkers; i++) {
		const struct state_worker *w = &s->workers[i];
		json_t *o = json_object();
		json_put_text(o, "host", w->host);
		json_put(o, "process", json_integer(w->pid));
		json_put(o, "alive", json_boolean(w->live));
		json_put(o, "heartbeat_age", json_real(w->age));
		json_put_text(o, "unit", w->unit);
		json_array_append_new(list, o);
	}
	return list;
}

static json_t *json_refused(const struct status *s)
{
	json_t *list = json_array();

	for (size_t i = 0; i < s->nrefused; i++) {
		json_t *o = json_object();
		json_put_text(o, "index", s->refused[i].object);
		json_put_text(o, "table", s->refused[i].table);
		json_put_text(o, "sqlstate", s->refused[i].sqlstate);
		json_put_text(o, "reason", s->refused[i].reason);
		json_put_text(o, "definition", s->refused[i].definition);
		json_array_append_new(list, o);
	}
	return list;
}

static json_t *json_kept(const struct status *s)
{
	json_t *list = json_array();

	for (size_t i = 0; i < s->nkept; i++)
		json_array_append_new(list, json_text(s->kept[i]));
	return list;
}

static void print_json(const struct status *s)
{
	json_t *root = json_object();

	json_put(root, "run", json_integer(s->run.id));
	json_put_text(root, "status", status_word(s));
	json_put_text(root, "phase", state_phase_name(s->run.phase));
	json_put_text(root, "mapping", s->run.mapping_name);
	json_put_text(root, "source", s->run.source_describe);
	json_put_text(root, "target", s->target);
	json_put_text(root, "way", s->run.way);
	json_put_count(root, "before", s->before);
	json_put_count(root, "skipped", s->skipped);
	json_put_count(root, "replaced", s->replaced);
	json_put_text(root, "started", s->run.started);
	json_put_text(root, "finished", s->run.finished);
	json_put_text(root, "error", s->run.error);
	json_put_count(root, "documents", s->docs);
	json_put_count(root, "expected", s->est_docs);
	json_put_count(root, "rejects", s->reject_count);
	json_put_count(root, "rejects_open", s->reject_open);
	json_put_count(root, "steps", s->steps);
	json_put_count(root, "steps_done", s->steps_done);
	json_put(root, "rate", json_real(s->live > 0 ? s->rate : 0));
	json_put(root, "load_seconds", json_real(s->times.load_seconds));
	json_put(root, "settle_seconds", json_real(s->times.settle_seconds));
	json_put(root, "collections", json_progress(s, true));
	json_put(root, "step_kinds", json_progress(s, false));
	json_put(root, "refused_indexes", json_refused(s));
	json_put(root, "keys_not_valid", json_kept(s));
	json_put(root, "workers", json_workers(s));
	json_put_text(root, "resume", s->way_on);
	json_dumpf(root, stdout, JSON_INDENT(2) | JSON_PRESERVE_ORDER | JSON_REAL_PRECISION(6));
	putchar('\n');
	json_decref(root);
}

static void no_run(const struct cli *c)
{
	if (settings_flag(&c->settings, OPT_JSON))
		puts("{\"run\": null}");
	else
		puts("there is no run on this target");
}

/* On a screen that is written over, what does not fit is left out, or it would scroll. */
static void print_page(struct status *s, bool is_screen)
{
	char *text = NULL;
	size_t size = 0;

	s->out = open_memstream(&text, &size);
	if (s->out == NULL)
		return;
	print_status(s);
	fclose(s->out);
	int rows = is_screen ? term_rows(STDOUT_FILENO) : 0, line = 0;
	for (const char *p = text; *p != '\0'; line++) {
		size_t n = strcspn(p, "\n");
		if (rows > 0 && line >= rows - 2) {
			puts("... (the window is too low for the rest)");
			break;
		}
		printf("%.*s\n", (int)n, p);
		p += n + (p[n] == '\n');
	}
	free(text);
}

/* One look. *is_over: nothing more will change. */
static bool look(struct cli *c, struct pg *pg, struct known *k, const char *before, bool *is_over, struct err *err)
{
	struct status s = {0};
	bool found = false;

	if (!state_is_installed(pg, &found, err) || (found && !state_run_find(pg, c->arena, &s.run, &found, err)))
		return false;
	*is_over = found && s.run.phase == STATE_DONE;
	s.target = pg_describe(pg);
	if (found && !read_status(pg, c->arena, k, &s, err))
		return false;
	add_up(c, &s);
	fputs(before, stdout);
	if (!found)
		no_run(c);
	else if (settings_flag(&c->settings, OPT_JSON))
		print_json(&s);
	else
		print_page(&s, before[0] != '\0' && before[0] != '\n');
	fflush(stdout);
	return true;
}

static int run(struct cli *c)
{
	_cleanup_(pg_closep) struct pg *pg = NULL;
	_cleanup_(known_free) struct known known = {0};
	double every = c->settings.v[OPT_WATCH].number;
	bool is_screen = every > 0 && term_is_screen(STDOUT_FILENO);
	bool is_over = false;
	struct err err;

	if (!cli_open_target(c, &pg, &err))
		return cli_fail(&err);
	if (!look(c, pg, &known, is_screen ? CLEAR_SCREEN : "", &is_over, &err))
		return cli_fail(&err);
	while (every > 0 && !is_over) {
		struct arena *kept = c->arena;
		clock_sleep_ms((unsigned)(every * 1000));
		c->arena = arena_new(); /* of one look */
		bool ok = look(c, pg, &known, is_screen ? CLEAR_SCREEN : "\n", &is_over, &err);
		arena_free(c->arena);
		c->arena = kept;
		if (!ok)
			return cli_fail(&err);
	}
	return 0;
}

static const char *const examples[] = {"docrow status",
				       "where the run stands",
				       "docrow status --watch 2",
				       "the same every two seconds, until the run is over",
				       "docrow status --json",
				       "for scripts",
				       NULL};

const struct command cmd_status = {
	.id = CMD_STATUS,
	.summary = "show where the run on the target stands",
	.args = "",
	.needs_settings = true,
	.description = "Reads schema docrow of the target, from any machine: phase, progress by collection and by "
		       "kind of step, rate, "
		       "rejects, who is at work, the last error, and the command that goes on with a run that is not "
		       "finished.",
	.examples = examples,
	.run = run,
};

/* cmd_synth.c - docrow synth: a sample database out of a mapping. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "address.h"
#include "cli.h"
#include "parties.h"
#include "stop.h"
#include "synth.h"
#include "sys.h"
#include "term.h"
#include "text.h"

static bool bad_docs(const char *text, struct err *err)
{
	struct buf shown;

	buf_init(&shown, 0);
	text_escape(&shown, text, strlen(text));
	err_set(err, ERR_SETTING, "--docs: \"%.80s\" is not a number of documents", buf_cstr(&shown));
	buf_free(&shown);
	return err_hint(err, "--docs 20000 is for all collections together, --docs Users=500 for one");
}

static bool parse_docs(const char *text, uint64_t *n)
{
	int64_t v;

	if (!text_parse_i64(text, strlen(text), &v) || v < 0)
		return false;
	*n = (uint64_t)v;
	return true;
}

/* --docs 20000 --docs Users=500: at most one number for all, any number for single collections. */
static bool take_docs(struct cli *c, struct synth_options *o, struct err *err)
{
	const struct setting *v = &c->settings.v[OPT_DOCS];
	const char *one[] = {v->text};
	const char **list = v->nlist > 0 ? v->list : one;
	size_t n = v->nlist > 0 ? v->nlist : 1;
	struct synth_count *counts = arena_alloc(c->arena, n * sizeof(*counts));

	for (size_t i = 0; i < n; i++) {
		const char *equals = strrchr(list[i], '=');
		struct synth_count *count = &counts[o->ncounts];
		if (!equals) {
			if (!parse_docs(list[i], &o->docs))
				return bad_docs(list[i], err);
			continue;
		}
		count->collection = arena_strndup(c->arena, list[i], (size_t)(equals - list[i]));
		if (!parse_docs(equals + 1, &count->docs))
			return bad_docs(list[i], err);
		o->ncounts++;
	}
	o->counts = counts;
	return true;
}

static bool take_options(struct cli *c, struct synth_options *o, struct err *err)
{
	const struct settings *s = &c->settings;
	const char *to;

	if (!cli_need(c, OPT_MAPPING, err) || !cli_need(c, OPT_TO, err) || !take_docs(c, o, err))
		return false;
	to = settings_text(s, OPT_TO);
	if (address_is_mongodb(to))
		o->uri = to;
	else
		o->folder = to;
	o->gzip = settings_flag(s, OPT_GZIP);
	o->replace = settings_flag(s, OPT_REPLACE);
	o->seed = (uint64_t)s->v[OPT_SEED].number;
	o->dirt = s->v[OPT_DIRT].number;
	o->fault_list = settings_text(s, OPT_DIRT_LIST);
	o->threads = (unsigned)settings_int(s, OPT_WORKERS);
	return true;
}

struct shown {
	bool drawn;
	double last;
};

static void show_progress(void *ctx, uint64_t docs, uint64_t of)
{
	struct shown *s = ctx;
	double now = clock_seconds();
	char a[32], b[32];

	if (now - s->last < 0.2 && docs < of)
		return;
	s->last = now;
	s->drawn = true;
	fprintf(stderr, "\r%s of %s documents\033[K", text_thousands(docs, a), text_thousands(of, b));
}

static void print_result(const struct synth_result *r, const struct synth_options *o)
{
	char n[4][32];

	for (size_t i = 0; i < r->ncollections; i++) {
		const struct synth_collection *k = &r->collections[i];
		struct buf name;
		buf_init(&name, 0);
		text_escape(&name, k->name, strlen(k->name));
		printf("%-36s %13s documents %10s", buf_cstr(&name), text_thousands(k->docs, n[0]),
		       text_bytes(k->bytes, n[1]));
		if (o->dirt > 0)
			printf(" %9s faults", text_thousands(k->faults, n[2]));
		putchar('\n');
		buf_free(&name);
	}
	printf("%-36s %13s documents %10s", "all", text_thousands(r->docs, n[0]), text_bytes(r->bytes, n[1]));
	if (o->dirt > 0)
		printf(" %9s faults", text_thousands(r->faults, n[2]));
	printf("  in %s\n", text_duration(r->seconds, n[3]));
}

/* Documents that a filter tells apart are not made: one of them would be of no kind that the filters know. */
static bool refuse_parts(const struct plan *p, struct err *err)
{
	for (size_t i = 0; i < p->ncollections; i++) {
		const struct plan_collection *k = &p->collections[i];
		if (!k->map->where && strcmp(k->name, k->source) == 0)
			continue;
		err_set(err, ERR_WHERE, "docrow synth makes whole collections, but %s is a part of one", k->name);
		err_detail(err, "its documents are those of %s that its where takes", k->source);
		return err_hint(err, "give it a mapping of that collection without where and name");
	}
	return true;
}

static int make(struct cli *c, const struct plan *p, struct synth_options *o)
{
	struct synth_result result = {0};
	struct shown shown = {0};
	struct err err;

	if (term_is_screen(STDERR_FILENO) && !settings_flag(&c->settings, OPT_QUIET)) {
		o->progress = show_progress;
		o->ctx = &shown;
	}
	bool ok = synth_run(p, o, &result, &err);
	if (shown.drawn)
		fputs("\r\033[K", stderr);
	if (ok && !settings_flag(&c->settings, OPT_QUIET))
		print_result(&result, o);
	synth_result_free(&result);
	return ok ? 0 : cli_fail(&err);
}

static int run(struct cli *c)
{
	struct synth_options o = {0};
	struct mapping *m = NULL;
	struct plan *p = NULL;
	struct err err;
	int status;

	if (take_options(c, &o, &err) && cli_load_plan(c, &m, &p, &err) && refuse_parts(p, &err)) {
		stop_install("docrow synth with --replace");
		stop_running();
		status = make(c, p, &o);
		stop_finished();
	} else {
		status = cli_fail(&err);
	}
	plan_free(p);
	mapping_free(m);
	return status;
}

static const char *const examples[] = {
	"docrow synth --mapping nextcrm --to sample/",
	"20,000 documents as a dump folder",
	"docrow synth --mapping nextcrm --to sample/ --docs 1000000 --docs Users=500",
	"a million, of which 500 users",
	"docrow synth --mapping nextcrm --to mongodb://127.0.0.1/sample --dirt 1% --dirt-list dirt.tsv",
	"into a server, with one fault in each hundred documents",
	NULL};

const struct command cmd_synth = {
	.id = CMD_SYNTH,
	.summary = "make a sample database out of a mapping",
	.args = "",
	.needs_settings = true,
	.description = "Makes documents as an application would have written them: every field that the mapping "
		       "names, references to ids "
		       "that exist, both sides of every many-to-many, every label of every enum, boundary dates and "
		       "numbers, Unicode, "
		       "long text, null and missing fields. With --dirt some documents get a fault each. The same "
		       "seed, mapping and "
		       "numbers give the same bytes.",
	.examples = examples,
	.run = run,
};

/* parties.c - mapping and plan, source, workers and display as the settings ask for them. */
#include "parties.h"

#include <unistd.h>

#include "address.h"
#include "term.h"

enum how { HOW_AUTO, HOW_PLAIN, HOW_JSON, HOW_NONE }; /* order of the choices of --progress */

bool cli_explain_mapping(const struct buf *report, struct err *err)
{
	if (report->len > 0) {
		fwrite(report->data, 1, report->len, stderr);
		err->detail[0] = '\0';
	}
	return false;
}

bool cli_load_plan(const struct cli *c, struct mapping **m, struct plan **p, struct err *err)
{
	_cleanup_(buf_free) struct buf report = {0}, left_out = {0};

	bool ok = mapping_load(m, settings_text(&c->settings, OPT_MAPPING), &report, err) &&
		  (!cli_has_choice(c) || cli_choose(c, *m, &left_out, err)) &&
		  plan_build_part(p, *m, buf_cstr(&left_out), &report, err);
	return ok || cli_explain_mapping(&report, err);
}

bool cli_open_source(const struct cli *c, const struct mapping *m, const char *app_name, struct source **s,
		     struct err *err)
{
	const char *where = settings_text(&c->settings, OPT_SOURCE);
	const char *mapped = m != NULL ? m->source_database : NULL;
	struct source_options o = {.app_name = app_name};
	_cleanup_(buf_free) struct buf database = {0};

	if (address_is_mongodb(where)) {
		address_mongodb_database(&database, where);
		o.database = database.len > 0 ? NULL : mapped;
	} else {
		o.prefer = mapped;
	}
	return source_open(s, where, &o, err);
}

bool cli_way(const struct cli *c, struct sink_way *way, bool *given, struct err *err)
{
	const struct settings *s = &c->settings;
	bool append = settings_flag(s, OPT_APPEND), rule = s->v[OPT_ON_CONFLICT].from == FROM_COMMAND_LINE;

	*way = (struct sink_way){.disable_triggers = settings_flag(s, OPT_DISABLE_TRIGGERS),
				 .keep_indexes = append || settings_flag(s, OPT_KEEP_INDEXES)};
	if (append)
		way->conflict = (enum sink_conflict)(SINK_CONFLICT_REJECT + settings_int(s, OPT_ON_CONFLICT));
	if (given)
		*given = way->keep_indexes;
	if (rule && !append) {
		err_set(err, ERR_USAGE, "--on-conflict says what --append does with rows that are there");
		return err_hint(err, "say --append, too; a resume keeps the rule of its run without either");
	}
	return true;
}

int cli_workers(const struct cli *c, enum opt o)
{
	long processors = sysconf(_SC_NPROCESSORS_ONLN);
	int n = settings_int(&c->settings, o);

	if (n > 0)
		return n;
	return processors < 2 ? 2 : processors > 8 ? 8 : (int)processors;
}

static enum how how(const struct cli *c)
{
	return (enum how)settings_int(&c->settings, OPT_PROGRESS);
}

enum progress_mode cli_progress_mode(const struct cli *c)
{
	if (how(c) == HOW_JSON)
		return PROGRESS_JSON;
	if (how(c) == HOW_NONE || settings_flag(&c->settings, OPT_QUIET))
		return PROGRESS_NONE;
	return how(c) == HOW_AUTO && term_is_screen(STDERR_FILENO) ? PROGRESS_SCREEN : PROGRESS_PLAIN;
}

struct progress *cli_progress(const struct cli *c)
{
	struct progress *p =
		progress_new(cli_progress_mode(c), STDERR_FILENO, term_has_colour(STDERR_FILENO), term_is_utf8());

	log_set_writer(progress_log_writer, p);
	return p;
}

void cli_progress_close(struct progress *p)
{
	log_set_writer(NULL, NULL);
	progress_free(p);
}

int cli_fail_as_asked(const struct cli *c, const struct err *err)
{
	return how(c) == HOW_JSON ? cli_fail_json(err) : cli_fail(err);
}

/* runfiles.c - see runfiles.h. */
#include "runfiles.h"

#include <string.h>

#include "gather.h"
#include "sys.h"

#define ERRORS_LISTED 1000000 /* more than that stand in docrow.reject only */

struct listing {
	struct errorlog *log;
	uint64_t n;
};

static bool list_one(void *ctx, const struct report_reject *r)
{
	struct listing *l = ctx;

	errorlog_add(l->log, r);
	l->n++;
	return true;
}

static uint64_t count_rejects(const struct report_facts *f)
{
	uint64_t n = 0;

	for (size_t i = 0; i < f->nrejects; i++)
		n += f->rejects[i].n;
	return n;
}

static bool write_errors(struct pg *pg, const struct report_facts *f, const char *path, struct err *err)
{
	static const struct reject_filter all;
	struct listing l = {0};
	uint64_t total = count_rejects(f);

	if (!errorlog_open(&l.log, path, err))
		return false;
	if (!gather_rejects(pg, f->run.id, &all, ERRORS_LISTED, list_one, &l, err)) {
		errorlog_abandon(l.log);
		return false;
	}
	return errorlog_close(l.log, f->rejects, f->nrejects, total > l.n ? total - l.n : 0, err);
}

/* The files are for people: that one cannot be written is told and does not change how the run ended. */
void write_run_files(struct cli *c, struct pg *pg, struct report_facts *f, const struct account *a)
{
	const char *folder = settings_text(&c->settings, OPT_LOG_DIR);
	const char *errors = arena_printf(c->arena, "%s/migration-errors.log", folder);
	const char *checkpoint = arena_printf(c->arena, "%s/migration-checkpoint.json", folder);
	struct err err;

	if (strcmp(folder, ".") == 0) {
		errors += 2;
		checkpoint += 2;
	}
	if (write_errors(pg, f, errors, &err))
		f->errors_file = errors;
	else
		log_line(LOG_WARN, "%s", err.message);
	if (checkpoint_write(checkpoint, f, a, &err))
		f->checkpoint_file = checkpoint;
	else
		log_line(LOG_WARN, "%s", err.message);
}

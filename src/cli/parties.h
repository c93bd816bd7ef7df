/* parties.h - what most commands need before they begin: mapping and plan, the source, workers, the display. */
#ifndef DOCROW_PARTIES_H
#define DOCROW_PARTIES_H

#include "cli.h"
#include "mapping.h"
#include "plan.h"
#include "progress.h"
#include "sink_existing.h"
#include "source.h"

/* The mapping that --mapping names and the plan of what --only and --skip leave of it. What was made belongs to the
 * caller, also after an error. */
bool cli_load_plan(const struct cli *c, struct mapping **m, struct plan **p, struct err *err) MUST_CHECK;
/* After an error of the mapping: all that `report` holds goes to stderr, not only the first few errors that fit into
 * err. Returns false. */
bool cli_explain_mapping(const struct buf *report, struct err *err);

/* The source of the settings. Its database: the URI's, else the mapping's (NULL: no mapping says one); of a dump with
 * several databases the mapping's is preferred. */
bool cli_open_source(const struct cli *c, const struct mapping *m, const char *app_name, struct source **s,
		     struct err *err) MUST_CHECK;

/* --workers or --index-jobs with "auto" settled: the processors, at least 2 and at most 8. */
int cli_workers(const struct cli *c, enum opt o);

/* How tables that are there already are to be filled; *given (may be NULL): somebody said so. */
bool cli_way(const struct cli *c, struct sink_way *way, bool *given, struct err *err) MUST_CHECK;

/* --progress and --quiet, and what stderr is. */
enum progress_mode cli_progress_mode(const struct cli *c);
/* Opens the display; what is logged goes through it until cli_progress_close. */
struct progress *cli_progress(const struct cli *c);
void cli_progress_close(struct progress *p);
/* cli_fail, or cli_fail_json where --progress json asks for it. */
int cli_fail_as_asked(const struct cli *c, const struct err *err);

#endif

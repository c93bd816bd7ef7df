/* runfiles.h - migration-errors.log and migration-checkpoint.json, after a run or a retry. */
#ifndef DOCROW_RUNFILES_H
#define DOCROW_RUNFILES_H

#include "cli.h"
#include "report.h"

/* Writes both into --log-dir and puts their names into f. One that cannot be written is told on the log. */
void write_run_files(struct cli *c, struct pg *pg, struct report_facts *f, const struct account *a);

#endif

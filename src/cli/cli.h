/* cli.h - what the commands share: the program's frame, printing, help, versions.
 *
 * cli_main finds the command, reads the settings, runs it and returns the exit status. A command prints results to
 * stdout; errors travel in a struct err and are printed once, by cli_fail.
 */
#ifndef DOCROW_CLI_H
#define DOCROW_CLI_H

#include <stdio.h>

#include "cli_main.h"
#include "err.h"
#include "mem.h"
#include "pg.h"
#include "settings.h"

struct mapping;
struct plan;

struct cli {
	struct arena *arena; /* as long as the program */
	const char *program; /* argv[0] */
	struct settings settings;
};

/* One command: a row of what --help and the man page say, and what it does. */
struct command {
	enum command_id id;
	const char *summary; /* one line, no period */
	const char *args;    /* "<hex|uuid>...", "" */
	const char *words;   /* "check show list": what its first argument can be; NULL: no fixed words */
	size_t min_args, max_args;
	bool needs_settings;         /* false: it does not read .env and the environment */
	const char *description;     /* paragraphs, parted by an empty line              */
	const char *const *examples; /* command line, what it does, ..., NULL           */
	int (*run)(struct cli *c);
};
#define ANY_NUMBER ((size_t)-1)

extern const struct command *const commands[CMD_COUNT];

extern const struct command cmd_check, cmd_migrate, cmd_validate, cmd_status, cmd_rejects, cmd_retry, cmd_mapping,
	cmd_schema, cmd_synth, cmd_id, cmd_config, cmd_help;

/* Prints the error to stderr, wrapped and coloured where that is a terminal, addresses without passwords. Returns the
 * exit status. */
int cli_fail(const struct err *err);
/* One object a line instead, for --progress json. */
int cli_fail_json(const struct err *err);
/* A line "docrow: text" on stderr unless --quiet. */
void cli_say(const struct cli *c, const char *fmt, ...) PRINTF_LIKE(2, 3);

/* The target from the settings, opened; or an error that says how to set it. */
bool cli_open_target(struct cli *c, struct pg **pg, struct err *err) MUST_CHECK;
bool cli_need(struct cli *c, enum opt o, struct err *err) MUST_CHECK;

/* choice.c: --only and --skip. */
bool cli_has_choice(const struct cli *c);
/* What they leave out of the mapping, as plan_choose writes it. */
bool cli_choose(const struct cli *c, const struct mapping *m, struct buf *left_out, struct err *err) MUST_CHECK;
void cli_say_left_out(const struct cli *c, const struct plan *p);

/* "crm_Accounts.address.city", or what there is of it (cmd_rejects.c). */
void cli_put_place(struct buf *out, const char *collection, const char *table, const char *path, const char *column);
/* A misspelt --fault would look like "no rejects". NULL is none. */
bool cli_check_fault(const char *name, struct err *err) MUST_CHECK;

/* help.c */
void help_first_steps(FILE *out);
void help_overview(FILE *out);
void help_command(FILE *out, const struct command *cmd);
void help_man(FILE *out, const struct command *cmd); /* NULL: docrow.1 */
void help_man_mapping(FILE *out);                    /* docrow-mapping.5 */
void help_markdown(FILE *out);
/* messages.c */
bool message_explain(FILE *out, const char *code); /* "DR-4001", "DR-F04", "range"; false: no such code */
void messages_markdown(FILE *out);
/* cmd_check.c: also what migrate --dry-run does. `scan`: a position in the choices of --scan. */
int check_everything(struct cli *c, int scan);
/* completion.c: the script that a shell reads. `shell`: a position in the choices of --completion. */
void completion_print(FILE *out, int shell);
/* versions.c */
void versions_print(FILE *out);

#endif

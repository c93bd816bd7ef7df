/* settings.h - what the user set: command line > environment > .env > default.
 *
 *   settings_init → settings_args → settings_complete → settings_free
 *
 * Texts live in the arena. Errors never print the value of an address.
 */
#ifndef DOCROW_SETTINGS_H
#define DOCROW_SETTINGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "dotenv.h"
#include "err.h"
#include "mem.h"
#include "options.h"

enum setting_from { FROM_NOWHERE, FROM_DEFAULT, FROM_DOTENV, FROM_ENVIRONMENT, FROM_COMMAND_LINE };

struct setting {
	const char *text; /* NULL: not set and no default                                */
	double number;    /* of flags, counts, seconds, sizes, shares, choices           */
	enum setting_from from;
	const char *name;  /* "--workers", "DOCROW_WORKERS"                               */
	int line;          /* FROM_DOTENV                                                 */
	const char **list; /* all values of an option that repeats                        */
	size_t nlist;
};

struct settings {
	struct arena *arena;
	struct setting v[OPT_COUNT];
	const char **args; /* words that are no options, without the command */
	size_t nargs;
	const char *env_file; /* that was read, or NULL */
	struct dotenv dotenv;
	const char **notes; /* for the log: what the user may not expect */
	size_t nnotes;
};

void settings_init(struct settings *s, struct arena *a);
/* Position of the command's word in argv (the first word that is neither an option nor an option's value), or argc.
 */
int settings_command_word(int argc, char **argv);
/* Reads the command line; `skip` is the position of the command's word. Unknown options and those of other commands
 * are errors. */
bool settings_args(struct settings *s, int argc, char **argv, int skip, enum command_id c,
		   struct err *err) MUST_CHECK;
/* Reads the number of one option; false when its text does not fit. For commands that need no settings. */
bool settings_check(struct settings *s, enum opt o, struct err *err) MUST_CHECK;
/* Reads the .env file and the environment (NAME=value strings, NULL at the end), puts in defaults, checks values.
 * `every`: also of options that the command does not take (docrow config). */
bool settings_complete(struct settings *s, char **environment, enum command_id c, bool every,
		       struct err *err) MUST_CHECK;

static inline bool settings_flag(const struct settings *s, enum opt o)
{
	return s->v[o].number != 0;
}
static inline const char *settings_text(const struct settings *s, enum opt o)
{
	return s->v[o].text;
}
static inline int settings_int(const struct settings *s, enum opt o)
{
	return (int)s->v[o].number;
}
/* The command that goes on with a run: the program, migrate --resume and what this command line said, quoted for a
 * shell, passwords masked; without `but` (OPT_COUNT: with all). *masked says whether there was a password. */
const char *settings_resume_command(const struct settings *s, const char *program, enum opt but, bool *masked);
/* "--workers", "DOCROW_WORKERS", "DOCROW_WORKERS in .env, line 3", "default". */
const char *setting_where(const struct settings *s, const struct setting *v);

#endif

/* options.h - the one table of every option. The command line, the environment, .env, the checks of values, --help,
 * the man pages and docs/options.md are all made from it; a new option is one row in options.c.
 */
#ifndef DOCROW_OPTIONS_H
#define DOCROW_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>

enum opt {
	OPT_MAPPING,
	OPT_SOURCE,
	OPT_TARGET,
	OPT_SCAN,
	OPT_APPLY_FIXES,
	OPT_DRY_RUN,
	OPT_RESUME,
	OPT_CLEAN,
	OPT_CLEAN_ONLY,
	OPT_JOIN,
	OPT_WORKERS,
	OPT_INDEX_JOBS,
	OPT_BATCH_SIZE,
	OPT_CHUNK_SIZE,
	OPT_LEASE,
	OPT_RETRY_FOR,
	OPT_MAX_REJECTS,
	OPT_MAX_RATE,
	OPT_MAX_LAG,
	OPT_NO_SEARCH_INDEXES,
	OPT_LOAD_ONLY,
	OPT_TARGET_TABLES,
	OPT_DISABLE_TRIGGERS,
	OPT_KEEP_INDEXES,
	OPT_APPEND,
	OPT_ON_CONFLICT,
	OPT_LOCK_TIMEOUT,
	OPT_ONLY,
	OPT_SKIP,
	OPT_PROGRESS,
	OPT_LOG_DIR,
	OPT_FULL,
	OPT_SAMPLE,
	OPT_THRESHOLD,
	OPT_LAYERS,
	OPT_FINDINGS,
	OPT_JUNIT,
	OPT_LOG_VALUES,
	OPT_ALLOW_DRIFT,
	OPT_COLLECTION,
	OPT_TABLE,
	OPT_FAULT,
	OPT_PATH,
	OPT_ID,
	OPT_STATE,
	OPT_EXPORT,
	OPT_FORMAT,
	OPT_LIMIT,
	OPT_PHASES,
	OPT_FROM_SOURCE,
	OPT_SQL,
	OPT_TO,
	OPT_DOCS,
	OPT_SEED,
	OPT_DIRT,
	OPT_DIRT_LIST,
	OPT_GZIP,
	OPT_REPLACE,
	OPT_WATCH,
	OPT_JSON,
	OPT_ENV_FILE,
	OPT_QUIET,
	OPT_VERBOSE,
	OPT_MAN,
	OPT_MARKDOWN,
	OPT_MESSAGES,
	OPT_MATRIX,
	OPT_NAMES,
	OPT_COMPLETION,
	OPT_HELP,
	OPT_VERSION,
	OPT_COUNT
};

enum opt_kind {
	OPT_KIND_FLAG,    /* no value on the command line; true or false elsewhere           */
	OPT_KIND_TEXT,    /* any text                                                        */
	OPT_KIND_ADDRESS, /* of a server: may hold a password, is never printed as it is     */
	OPT_KIND_COUNT,   /* whole number within min and max                                 */
	OPT_KIND_SECONDS, /* 15, 15s, 2m, 1h                                                 */
	OPT_KIND_SIZE,    /* 16777216, 16MB (powers of 1024)                                 */
	OPT_KIND_SHARE,   /* 0.01 or 1%                                                      */
	OPT_KIND_LIMIT,   /* 100, or 1%: less than 0 then                                    */
	OPT_KIND_CHOICE   /* one of the words in `choices`                                   */
};

enum command_id {
	CMD_CHECK,
	CMD_MIGRATE,
	CMD_VALIDATE,
	CMD_STATUS,
	CMD_REJECTS,
	CMD_RETRY,
	CMD_MAPPING,
	CMD_SCHEMA,
	CMD_SYNTH,
	CMD_ID,
	CMD_CONFIG,
	CMD_HELP,
	CMD_COUNT
};

struct option {
	const char *name; /* without the dashes                                              */
	char letter;      /* of the short form, or 0                                         */
	bool hidden;      /* not in --help: for scripts of the project                       */
	bool repeats;     /* may be given several times                                      */
	enum opt_kind kind;
	unsigned commands;     /* bits 1 << enum command_id                                  */
	const char *env;       /* environment and .env, or NULL: command line only           */
	const char *env_also;  /* second name, looked at when the first is not set           */
	const char *value;     /* "SECONDS": the value's name in help                        */
	const char *otherwise; /* the default as text, or NULL: none                         */
	double min, max;       /* COUNT, SECONDS, SIZE, SHARE                                */
	bool may_be_auto;      /* COUNT: the word "auto" is 0                                */
	const char *choices;   /* "auto plain json none"                                     */
	const char *help;      /* sentences, wrapped by whoever prints them                  */
};

extern const char *const command_words[CMD_COUNT]; /* "migrate" */
extern const struct option options[OPT_COUNT];

static inline bool option_belongs(enum opt o, enum command_id c)
{
	return (options[o].commands >> c & 1) != 0;
}
/* By the name after the dashes, or the letter. -1: none. */
int option_find(const char *name, size_t len);
int option_find_letter(char letter);
/* The option whose name is nearest to a misspelt one among those of the command, or -1 when none is near. */
int option_nearest(const char *name, enum command_id c);
/* By environment name. -1: none. */
int option_find_env(const char *name);
int option_nearest_env(const char *name);
/* True when `word` is near enough to `name` to be a misspelling of it. *distance is updated when it is nearer. */
bool word_is_near(const char *word, const char *name, size_t *distance);

/* A value's text as a number (flags 0 or 1, sizes in bytes, seconds, a choice's position). False, with a sentence of
 * what was expected in `expected`, when the text does not fit the option. */
bool option_parse(enum opt o, const char *text, double *number, char expected[160]);

#endif

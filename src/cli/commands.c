/* commands.c - the frame of the program: which command, its settings, its end. */
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "address.h"
#include "cli.h"
#include "stop.h"
#include "sys.h"
#include "term.h"
#include "text.h"

const struct command *const commands[CMD_COUNT] = {
	[CMD_CHECK] = &cmd_check,     [CMD_MIGRATE] = &cmd_migrate, [CMD_VALIDATE] = &cmd_validate,
	[CMD_STATUS] = &cmd_status,   [CMD_REJECTS] = &cmd_rejects, [CMD_RETRY] = &cmd_retry,
	[CMD_MAPPING] = &cmd_mapping, [CMD_SCHEMA] = &cmd_schema,   [CMD_SYNTH] = &cmd_synth,
	[CMD_ID] = &cmd_id,           [CMD_CONFIG] = &cmd_config,   [CMD_HELP] = &cmd_help};

/* --- printing --- */

static void print_part(struct buf *out, const char *label, const char *text, size_t width, bool colour)
{
	struct buf masked;

	buf_init(&masked, 0);
	address_mask(&masked, text);
	buf_puts(out, "  ");
	if (colour)
		buf_printf(out, "\033[1m%s:\033[0m ", label);
	else
		buf_printf(out, "%s: ", label);
	size_t column = strlen(label) + 4;
	term_wrap(out, buf_cstr(&masked), column, column, width);
	if (out->len > 0 && out->data[out->len - 1] != '\n')
		buf_putc(out, '\n');
	buf_free(&masked);
}

int cli_fail(const struct err *err)
{
	bool colour = term_has_colour(STDERR_FILENO);
	int columns = isatty(STDERR_FILENO) == 1 ? term_columns(STDERR_FILENO) : 0;
	size_t width = columns > 100 ? 100 : columns < 0 ? 0 : (size_t)columns;
	struct buf out, text;

	buf_init(&out, 0);
	buf_init(&text, 0);
	if (err->where[0] != '\0')
		buf_printf(&text, "%s: ", err->where);
	buf_puts(&text, err->message);
	buf_puts(&out, colour ? "docrow: \033[1;31merror\033[0m " : "docrow: error ");
	buf_printf(&out, "%s: ", err_code_text(err->code));
	struct buf masked;
	buf_init(&masked, 0);
	address_mask(&masked, buf_cstr(&text));
	term_wrap(&out, buf_cstr(&masked), 23, 2, width);
	buf_putc(&out, '\n');
	buf_reset(&text);
	buf_puts(&text, err->detail);
	if (err->sqlstate[0] != '\0' && !strstr(err->detail, "SQLSTATE"))
		buf_printf(&text, "%s(SQLSTATE %s)", text.len > 0 ? " " : "", err->sqlstate);
	if (text.len > 0)
		print_part(&out, "detail", buf_cstr(&text), width, colour);
	buf_reset(&text);
	if (err->hint[0] != '\0')
		buf_puts(&text, err->hint);
	else
		buf_printf(&text, "docrow help %s says what it means and what to do", err_code_text(err->code));
	print_part(&out, "hint", buf_cstr(&text), width, colour);
	fwrite(out.data, 1, out.len, stderr);
	buf_free(&masked);
	buf_free(&text);
	buf_free(&out);
	return (int)err->kind;
}

static void json_member(struct buf *out, const char *key, const char *text)
{
	struct buf masked;

	buf_init(&masked, 0);
	address_mask(&masked, text);
	buf_printf(out, ",\"%s\":", key);
	text_json_string(out, (const char *)masked.data, masked.len);
	buf_free(&masked);
}

int cli_fail_json(const struct err *err)
{
	struct buf out;
	char now[32];

	buf_init(&out, 0);
	clock_iso(now);
	buf_printf(&out, "{\"event\":\"error\",\"time\":\"%s\"", now);
	json_member(&out, "code", err_code_text(err->code));
	json_member(&out, "where", err->where);
	json_member(&out, "message", err->message);
	json_member(&out, "detail", err->detail);
	json_member(&out, "hint", err->hint);
	json_member(&out, "sqlstate", err->sqlstate);
	buf_printf(&out, ",\"exit_status\":%d}\n", (int)err->kind);
	fwrite(out.data, 1, out.len, stderr);
	buf_free(&out);
	return (int)err->kind;
}

void cli_say(const struct cli *c, const char *fmt, ...)
{
	va_list ap;

	if (settings_flag(&c->settings, OPT_QUIET))
		return;
	fputs("docrow: ", stderr);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
}

/* --- what commands share --- */

bool cli_need(struct cli *c, enum opt o, struct err *err)
{
	const struct option *option = &options[o];

	if (settings_text(&c->settings, o))
		return true;
	err_set(err, ERR_SETTING_MISSING, "--%s is needed", option->name);
	if (option->env_also)
		return err_hint(err, "set --%s, or %s or %s in the environment or in .env", option->name, option->env,
				option->env_also);
	if (option->env)
		return err_hint(err, "set --%s, or %s in the environment or in .env", option->name, option->env);
	return err_hint(err, "docrow help %s says what it means", command_words[CMD_MIGRATE]);
}

bool cli_open_target(struct cli *c, struct pg **pg, struct err *err)
{
	return cli_need(c, OPT_TARGET, err) && pg_open(pg, settings_text(&c->settings, OPT_TARGET), "docrow", err);
}

/* --- from words to a command --- */

static const struct command *command_by_name(const char *word)
{
	for (int i = 0; i < CMD_COUNT; i++)
		if (strcmp(command_words[i], word) == 0)
			return commands[i];
	return NULL;
}

static int unknown_command(const char *word)
{
	size_t distance = SIZE_MAX;
	const char *near = NULL;
	struct err err;
	struct buf shown;

	for (int i = 0; i < CMD_COUNT; i++)
		if (word_is_near(word, command_words[i], &distance))
			near = command_words[i];
	buf_init(&shown, 0);
	text_escape(&shown, word, strlen(word));
	err_set(&err, ERR_USAGE, "there is no command \"%.60s\"", buf_cstr(&shown));
	buf_free(&shown);
	if (near)
		err_hint(&err, "did you mean docrow %s?", near);
	else
		err_hint(&err, "docrow help lists the commands");
	return cli_fail(&err);
}

static bool check_arg_count(const struct cli *c, const struct command *cmd, struct err *err)
{
	const struct settings *s = &c->settings;

	if (s->nargs >= cmd->min_args && s->nargs <= cmd->max_args)
		return true;
	if (s->nargs < cmd->min_args)
		err_set(err, ERR_USAGE, "docrow %s needs more: %s", command_words[cmd->id], cmd->args);
	else
		err_set(err, ERR_USAGE, "docrow %s takes no \"%.60s\"", command_words[cmd->id],
			s->args[cmd->max_args]);
	return err_hint(err, "docrow help %s shows how it is used", command_words[cmd->id]);
}

/* Passwords on the command line are visible to others until here. */
static void blot_command_line(int argc, char **argv)
{
	for (int i = 1; i < argc; i++)
		if (address_has_secret(argv[i]))
			address_blot(argv[i]);
}

static void set_log_level(const struct settings *s)
{
	if (settings_flag(s, OPT_QUIET))
		log_set_level(LOG_WARN);
	else if (settings_flag(s, OPT_VERBOSE))
		log_set_level(LOG_DEBUG);
	else
		log_set_level(LOG_INFO);
}

static int run_command(struct cli *c, const struct command *cmd, int argc, char **argv, int word)
{
	struct err err;

	if (!settings_args(&c->settings, argc, argv, word, cmd->id, &err))
		return cli_fail(&err);
	blot_command_line(argc, argv);
	if (c->settings.v[OPT_HELP].from == FROM_COMMAND_LINE) {
		help_command(stdout, cmd);
		return 0;
	}
	if (c->settings.v[OPT_VERSION].from == FROM_COMMAND_LINE) {
		versions_print(stdout);
		return 0;
	}
	if (!check_arg_count(c, cmd, &err))
		return cli_fail(&err);
	if (cmd->needs_settings) {
		if (!settings_complete(&c->settings, environ, cmd->id, cmd->id == CMD_CONFIG, &err))
			return cli_fail(&err);
		set_log_level(&c->settings);
		for (size_t i = 0; i < c->settings.nnotes; i++)
			cli_say(c, "%s", c->settings.notes[i]);
	}
	return cmd->run(c);
}

/* Results that could not be written are a failure; a reader that went away is not. */
static int finish_output(int status)
{
	errno = 0;
	if (fflush(stdout) == 0 && !ferror(stdout))
		return status;
	if (errno != EPIPE)
		fprintf(stderr, "docrow: error %s: the results cannot be written: %s\n", err_code_text(ERR_FILE),
			strerror(errno));
	return status != 0 || errno == EPIPE ? status : (int)ERR_KIND_USAGE;
}

static int dispatch(struct cli *c, int argc, char **argv)
{
	int word = settings_command_word(argc, argv);

	if (argc == 1) {
		help_first_steps(stdout);
		return 0;
	}
	if (word < argc) {
		const struct command *cmd = command_by_name(argv[word]);
		return cmd ? run_command(c, cmd, argc, argv, word) : unknown_command(argv[word]);
	}
	/* Options only: --help and --version; anything else lacks its command. */
	struct err err;
	if (!settings_args(&c->settings, argc, argv, argc, CMD_HELP, &err))
		return cli_fail(&err);
	if (c->settings.v[OPT_VERSION].from == FROM_COMMAND_LINE)
		versions_print(stdout);
	else if (c->settings.v[OPT_HELP].from == FROM_COMMAND_LINE)
		help_overview(stdout);
	else
		return run_command(c, &cmd_help, argc, argv, argc);
	return 0;
}

int cli_main(int argc, char **argv)
{
	struct cli c = {.arena = arena_new(), .program = argc > 0 && argv[0] ? argv[0] : "docrow"};

	stop_prepare_process();
	settings_init(&c.settings, c.arena);
	int status = finish_output(dispatch(&c, argc, argv));
	arena_free(c.arena);
	return status;
}

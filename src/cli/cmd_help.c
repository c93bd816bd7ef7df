/* cmd_help.c - docrow help [COMMAND | CODE]. */
#include <string.h>

#include "cli.h"
#include "fault.h"
#include "matrix.h"
#include "text.h"

/* A command or a fault that was meant, perhaps; NULL: none. */
static const char *near_topic(const char *topic)
{
	size_t distance = SIZE_MAX;
	const char *near = NULL;

	for (int i = 0; i < CMD_COUNT; i++)
		if (word_is_near(topic, command_words[i], &distance))
			near = command_words[i];
	for (int f = FAULT_OK + 1; f < FAULT_COUNT; f++)
		if (word_is_near(topic, fault_name((enum fault)f), &distance))
			near = fault_name((enum fault)f);
	return near;
}

static int unknown_topic(const char *topic)
{
	_cleanup_(buf_free) struct buf shown = {0};
	const char *near = near_topic(topic);
	struct err err;

	text_escape(&shown, topic, strlen(topic));
	err_set(&err, ERR_USAGE, "there is no command and no message \"%.60s\"", buf_cstr(&shown));
	if (near)
		err_hint(&err, "did you mean docrow help %s?", near);
	else
		err_hint(&err, "docrow help lists the commands; codes look like DR-4001");
	return cli_fail(&err);
}

static void print_matrix(void)
{
	struct buf page;

	buf_init(&page, 0);
	matrix_markdown(&page);
	fwrite(page.data, 1, page.len, stdout);
	buf_free(&page);
}

static int run(struct cli *c)
{
	const struct settings *s = &c->settings;
	const struct command *cmd = NULL;
	struct err err;
	bool man = s->v[OPT_MAN].from == FROM_COMMAND_LINE;

	if (s->v[OPT_MARKDOWN].from == FROM_COMMAND_LINE) {
		help_markdown(stdout);
		return 0;
	}
	if (s->v[OPT_MESSAGES].from == FROM_COMMAND_LINE) {
		messages_markdown(stdout);
		return 0;
	}
	if (s->v[OPT_MATRIX].from == FROM_COMMAND_LINE) {
		print_matrix();
		return 0;
	}
	if (s->v[OPT_COMPLETION].from == FROM_COMMAND_LINE) {
		if (!settings_check(&c->settings, OPT_COMPLETION, &err))
			return cli_fail(&err);
		completion_print(stdout, (int)s->v[OPT_COMPLETION].number);
		return 0;
	}
	if (s->v[OPT_NAMES].from == FROM_COMMAND_LINE) {
		for (int i = 0; i < CMD_COUNT; i++)
			puts(command_words[i]);
		return 0;
	}
	if (man && s->nargs > 0 && strcmp(s->args[0], "mapping.5") == 0) {
		help_man_mapping(stdout);
		return 0;
	}
	if (s->nargs > 0) {
		for (int i = 0; i < CMD_COUNT; i++)
			if (strcmp(command_words[i], s->args[0]) == 0)
				cmd = commands[i];
		if (!cmd && message_explain(stdout, s->args[0]))
			return 0;
		if (!cmd)
			return unknown_topic(s->args[0]);
	}
	if (man)
		help_man(stdout, cmd);
	else if (cmd)
		help_command(stdout, cmd);
	else
		help_overview(stdout);
	return 0;
}

static const char *const examples[] = {"docrow help migrate", "the options of docrow migrate", "docrow help DR-4009",
				       "what this message means and what to do", NULL};

const struct command cmd_help = {
	.id = CMD_HELP,
	.summary = "explain a command or a message",
	.args = "[COMMAND|CODE]",
	.max_args = 1,
	.description = "Shows the commands, the options of one command, or what a message (DR-4001) or a fault "
		       "(range, DR-F04) "
		       "means and what to do about it.",
	.examples = examples,
	.run = run,
};

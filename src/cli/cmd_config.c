/* cmd_config.c - docrow config: every setting, its value and where it comes from. */
#include <string.h>

#include "address.h"
#include "cli.h"
#include "text.h"

static void shown_value(struct buf *out, enum opt o, const struct setting *v)
{
	if (!v->text)
		return;
	if (options[o].kind == OPT_KIND_ADDRESS)
		address_mask(out, v->text);
	else
		text_escape(out, v->text, strlen(v->text));
}

static void print_json(const struct cli *c)
{
	const struct settings *s = &c->settings;
	struct buf out, value;
	bool first = true;

	buf_init(&out, 0);
	buf_init(&value, 0);
	buf_putc(&out, '[');
	for (int o = 0; o < OPT_COUNT; o++) {
		const struct setting *v = &s->v[o];
		const char *where = setting_where(s, v);
		if (!options[o].env)
			continue;
		buf_reset(&value);
		shown_value(&value, (enum opt)o, v);
		buf_printf(&out, "%s\n {\"option\":\"%s\",\"environment\":\"%s\",\"value\":", first ? "" : ",",
			   options[o].name, options[o].env);
		first = false;
		if (v->text)
			text_json_string(&out, (const char *)value.data, value.len);
		else
			buf_puts(&out, "null");
		buf_puts(&out, ",\"from\":");
		text_json_string(&out, where, strlen(where));
		buf_putc(&out, '}');
	}
	buf_puts(&out, "\n]\n");
	fwrite(out.data, 1, out.len, stdout);
	buf_free(&value);
	buf_free(&out);
}

static void print_table(const struct cli *c)
{
	const struct settings *s = &c->settings;
	struct buf value;

	buf_init(&value, 0);
	for (int o = 0; o < OPT_COUNT; o++) {
		if (!options[o].env)
			continue;
		buf_reset(&value);
		shown_value(&value, (enum opt)o, &s->v[o]);
		const char *text = value.len > 0 ? buf_cstr(&value) : "-";
		printf("%-18s %s  (%s)\n", options[o].name, text, setting_where(s, &s->v[o]));
	}
	buf_free(&value);
}

static void print_example(void)
{
	puts("# Settings of docrow. The command line and the environment win over this file.");
	for (int o = 0; o < OPT_COUNT; o++) {
		const struct option *opt = &options[o];
		const char *name = opt->env_also ? opt->env_also : opt->env;
		if (!opt->env)
			continue;
		printf("\n# --%s: %s\n", opt->name, opt->help);
		printf("#%s=%s\n", name, opt->otherwise ? opt->otherwise : "");
	}
}

static int run(struct cli *c)
{
	const struct settings *s = &c->settings;

	if (s->nargs > 0 && strcmp(s->args[0], "example") == 0) {
		print_example();
		return 0;
	}
	if (s->nargs > 0) {
		struct err err;
		err_set(&err, ERR_USAGE, "docrow config takes the word example or nothing");
		return cli_fail(&err);
	}
	if (settings_flag(s, OPT_JSON))
		print_json(c);
	else
		print_table(c);
	return 0;
}

static const char *const examples[] = {"docrow config", "what holds now, and where each value comes from",
				       "docrow config example > .env", "a file with every setting, all commented out",
				       NULL};

const struct command cmd_config = {
	.id = CMD_CONFIG,
	.summary = "show every setting and where it comes from",
	.args = "[example]",
	.max_args = 1,
	.needs_settings = true,
	.description =
		"Shows the value of every setting and whether it was set on the command line, in the environment or "
		"in "
		".env, or is the default. Passwords are shown as ***. With the word example it prints a .env file to "
		"start from.",
	.examples = examples,
	.run = run,
};

/* completion.c - completions for bash, zsh and fish, made from the tables of commands and options.
 *
 * The scripts complete commands, options, the words of choices, names of installed mappings (they ask docrow mapping
 * list) and files. Hidden options are left out, as in --help.
 */
#include <string.h>

#include "cli.h"

static bool is_offered(int o, int cmd)
{
	return option_belongs((enum opt)o, (enum command_id)cmd) && !options[o].hidden;
}

static bool takes_file(const struct option *o)
{
	return o->value != NULL && (strstr(o->value, "FILE") != NULL || strstr(o->value, "FOLDER") != NULL);
}

/* The beginning of an option's help or a command's summary, as far as it stands alone, without the characters that
 * mean something to the shell. */
static void put_short(FILE *out, const char *text, const char *unwanted)
{
	for (const char *p = text; *p != '\0'; p++) {
		if (strchr(".:;", *p) != NULL && (p[1] == ' ' || p[1] == '\0') && p > text + 8)
			return;
		if (strchr(unwanted, *p) == NULL)
			fputc(*p, out);
	}
}

/* --- bash --- */

static void bash_option_words(FILE *out, int cmd)
{
	for (int o = 0; o < OPT_COUNT; o++)
		if (is_offered(o, cmd))
			fprintf(out, " --%s", options[o].name);
}

static void bash_pattern(FILE *out, const struct option *o)
{
	fprintf(out, "\t--%s", o->name);
	if (o->letter != '\0')
		fprintf(out, "|-%c", o->letter);
	fputc(')', out);
}

/* What may stand after an option that takes a value. */
static void bash_values(FILE *out)
{
	for (int i = 0; i < OPT_COUNT; i++) {
		const struct option *o = &options[i];
		if (o->hidden || o->kind == OPT_KIND_FLAG)
			continue;
		bash_pattern(out, o);
		if (o->kind == OPT_KIND_CHOICE)
			fprintf(out, " COMPREPLY=($(compgen -W '%s' -- \"$cur\"));", o->choices);
		else if (i == OPT_MAPPING)
			fputs(" COMPREPLY=($(compgen -W \"$(docrow mapping list 2>/dev/null)\" -- \"$cur\")"
			      " $(compgen -f -- \"$cur\"));",
			      out);
		else if (takes_file(o))
			fputs(" COMPREPLY=($(compgen -f -- \"$cur\"));", out);
		fputs(" return ;;\n", out);
	}
}

static void bash(FILE *out)
{
	fputs("# bash completion of docrow, made by docrow help --completion bash\n"
	      "_docrow() {\n"
	      "\tlocal cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]} cmd= words=\n"
	      "\tCOMPREPLY=()\n"
	      "\t[ \"$COMP_CWORD\" -gt 1 ] && cmd=${COMP_WORDS[1]}\n"
	      "\tcase $prev in\n",
	      out);
	bash_values(out);
	fputs("\tesac\n\tcase $cmd in\n\t'') words='", out);
	for (int c = 0; c < CMD_COUNT; c++)
		fprintf(out, "%s ", command_words[c]);
	fputs("--help --version' ;;\n", out);
	for (int c = 0; c < CMD_COUNT; c++) {
		fprintf(out, "\t%s) words='%s", command_words[c],
			commands[c]->words != NULL ? commands[c]->words : "");
		if (c == CMD_HELP)
			for (int k = 0; k < CMD_COUNT; k++)
				fprintf(out, "%s ", command_words[k]);
		bash_option_words(out, c);
		fputs("' ;;\n", out);
	}
	fputs("\tesac\n"
	      "\tCOMPREPLY=($(compgen -W \"$words\" -- \"$cur\"))\n"
	      "\tcase $cmd:$cur in\n"
	      "\tmapping:[!-]*|mapping:)"
	      " COMPREPLY+=($(compgen -W \"$(docrow mapping list 2>/dev/null)\" -- \"$cur\") $(compgen -f -- "
	      "\"$cur\"))"
	      " ;;\n"
	      "\tesac\n"
	      "}\n"
	      "complete -o filenames -F _docrow docrow\n",
	      out);
}

/* --- zsh --- */

static void zsh_action(FILE *out, int i)
{
	const struct option *o = &options[i];
	if (o->kind == OPT_KIND_FLAG)
		return;
	fprintf(out, ":%s:", o->value);
	if (o->kind == OPT_KIND_CHOICE)
		fprintf(out, "(%s)", o->choices);
	else if (i == OPT_MAPPING)
		fputs("_docrow_mapping", out);
	else if (takes_file(o))
		fputs("_files", out);
	else
		fputc(' ', out);
}

static void zsh_option(FILE *out, int i)
{
	const struct option *o = &options[i];
	if (o->letter != '\0')
		fprintf(out, "\t\t\t'(-%c --%s)'{-%c,--%s}'", o->letter, o->name, o->letter, o->name);
	else
		fprintf(out, "\t\t\t'%s--%s", o->repeats ? "*" : "", o->name);
	fputc('[', out);
	put_short(out, o->help, "'[]:");
	fputc(']', out);
	zsh_action(out, i);
	fputs("' \\\n", out);
}

static void zsh_arguments(FILE *out, int c)
{
	if (c == CMD_HELP) {
		fputs("\t\t\t'1:command:_docrow_commands'\n", out);
	} else if (c == CMD_MAPPING) {
		fprintf(out, "\t\t\t'1:what:(%s)' '2:mapping:_docrow_mapping'\n", commands[c]->words);
	} else {
		fputs("\t\t\t'*:argument: '\n", out);
	}
}

static void zsh(FILE *out)
{
	fputs("#compdef docrow\n"
	      "# zsh completion of docrow, made by docrow help --completion zsh\n"
	      "_docrow_commands() {\n\tlocal -a list=(\n",
	      out);
	for (int c = 0; c < CMD_COUNT; c++) {
		fprintf(out, "\t\t'%s:", command_words[c]);
		put_short(out, commands[c]->summary, "'");
		fputs("'\n", out);
	}
	fputs("\t)\n\t_describe command list\n}\n"
	      "_docrow_mapping() {\n"
	      "\tlocal -a names=(${(f)\"$(docrow mapping list 2>/dev/null)\"})\n"
	      "\t_alternative 'names:installed mapping:compadd -a names' 'files:file:_files'\n"
	      "}\n"
	      "_docrow() {\n"
	      "\tif (( CURRENT == 2 )); then\n"
	      "\t\t_docrow_commands\n"
	      "\t\tcompadd -- --help --version\n"
	      "\t\treturn\n"
	      "\tfi\n"
	      "\tlocal cmd=$words[2]\n"
	      "\tshift words\n"
	      "\t(( CURRENT-- ))\n"
	      "\tcase $cmd in\n",
	      out);
	for (int c = 0; c < CMD_COUNT; c++) {
		fprintf(out, "\t%s)\n\t\t_arguments -s \\\n", command_words[c]);
		for (int o = 0; o < OPT_COUNT; o++)
			if (is_offered(o, c))
				zsh_option(out, o);
		zsh_arguments(out, c);
		fputs("\t\t;;\n", out);
	}
	fputs("\tesac\n"
	      "}\n"
	      "if [ \"$funcstack[1]\" = _docrow ]; then _docrow \"$@\"; else compdef _docrow docrow; fi\n",
	      out);
}

/* --- fish --- */

static void fish_option(FILE *out, int i, int c)
{
	const struct option *o = &options[i];
	fprintf(out, "complete -c docrow -n '__fish_seen_subcommand_from %s' -l %s", command_words[c], o->name);
	if (o->letter != '\0')
		fprintf(out, " -s %c", o->letter);
	if (o->kind == OPT_KIND_CHOICE)
		fprintf(out, " -x -a '%s'", o->choices);
	else if (i == OPT_MAPPING)
		fputs(" -r -F -a '(docrow mapping list 2>/dev/null)'", out);
	else if (takes_file(o))
		fputs(" -r -F", out);
	else if (o->kind != OPT_KIND_FLAG)
		fputs(" -x", out);
	fputs(" -d '", out);
	put_short(out, o->help, "'\\");
	fputs("'\n", out);
}

static void fish(FILE *out)
{
	fputs("# fish completion of docrow, made by docrow help --completion fish\ncomplete -c docrow -f\n"
	      "complete -c docrow -n __fish_use_subcommand -l help -d 'Show the commands'\n"
	      "complete -c docrow -n __fish_use_subcommand -l version -d 'Name the versions'\n",
	      out);
	for (int c = 0; c < CMD_COUNT; c++) {
		fprintf(out, "complete -c docrow -n __fish_use_subcommand -a %s -d '", command_words[c]);
		put_short(out, commands[c]->summary, "'\\");
		fputs("'\n", out);
	}
	for (int c = 0; c < CMD_COUNT; c++) {
		if (commands[c]->words != NULL)
			fprintf(out,
				"complete -c docrow -n '__fish_seen_subcommand_from %s' -F -a '%s "
				"(docrow mapping list 2>/dev/null)'\n",
				command_words[c], commands[c]->words);
		for (int o = 0; o < OPT_COUNT; o++)
			if (is_offered(o, c))
				fish_option(out, o, c);
	}
	fputs("complete -c docrow -n '__fish_seen_subcommand_from help' -a '", out);
	for (int c = 0; c < CMD_COUNT; c++)
		fprintf(out, "%s%s", c > 0 ? " " : "", command_words[c]);
	fputs("'\n", out);
}

/* In the order of the option's choices. */
static void (*const shells[])(FILE *out) = {bash, zsh, fish};

void completion_print(FILE *out, int shell)
{
	shells[shell](out);
}

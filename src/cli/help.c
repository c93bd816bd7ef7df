/* help.c - what people read about the program: --help, the man pages, docs/options.md, all from the tables of
 * commands and options. */
#include <ctype.h>
#include <string.h>
#include <unistd.h>

#include "cli.h"
#include "mapping.h"
#include "term.h"

#define HELP_WIDTH 78

static void put_wrapped(FILE *out, const char *text, size_t column, size_t indent)
{
	struct buf b;

	buf_init(&b, 0);
	term_wrap(&b, text, column, indent, HELP_WIDTH);
	fputs(buf_cstr(&b), out);
	fputc('\n', out);
	buf_free(&b);
}

void help_first_steps(FILE *out)
{
	fputs("docrow carries a MongoDB database into PostgreSQL: documents become rows.\n"
	      "\n"
	      "First steps:\n"
	      "  1. Say where from and where to, in the environment or in a file .env:\n"
	      "       MONGODB_URI=mongodb://user:password@host/database\n"
	      "       DATABASE_URL=postgresql://user:password@host/database\n"
	      "     (what mongodump or mongoexport wrote is a source, too)\n"
	      "  2. See what is understood:                docrow config\n"
	      "  3. Choose a mapping, or check your own:   docrow mapping list\n"
	      "                                            docrow mapping check ./mine.yaml\n"
	      "  4. See what it would meet:                docrow check --mapping NAME --scan full\n"
	      "  5. Go:                                    docrow migrate --mapping NAME\n"
	      "     Stopped on the way?                    docrow migrate --resume\n"
	      "  6. Look at it:                            docrow status\n"
	      "                                            docrow rejects\n"
	      "  7. Prove it:                              docrow validate\n"
	      "\n"
	      "docrow help lists all commands.\n",
	      out);
}

void help_overview(FILE *out)
{
	fputs("Usage: docrow COMMAND [OPTIONS]\n\nCommands:\n", out);
	for (int i = 0; i < CMD_COUNT; i++)
		fprintf(out, "  %-9s %s\n", command_words[i], commands[i]->summary);
	fputs("\n"
	      "docrow help COMMAND     the options of a command\n"
	      "docrow help DR-4001     what a message means and what to do\n"
	      "docrow --version        versions of docrow and of its libraries\n"
	      "\n"
	      "Settings come from the command line, else from the environment, else from .env in the working\n"
	      "directory. Exit status: 0 done and clean, 1 done with rejects or the like, 2 usage, settings or "
	      "mapping,\n"
	      "3 source, 4 target, 5 internal, 130 stopped and resumable.\n",
	      out);
}

/* "-w, --workers N" */
static void option_title(struct buf *b, const struct option *o)
{
	if (o->letter != '\0')
		buf_printf(b, "-%c, ", o->letter);
	buf_printf(b, "--%s", o->name);
	if (o->kind != OPT_KIND_FLAG)
		buf_printf(b, " %s", o->value);
}

static void option_facts(struct buf *b, const struct option *o)
{
	if (o->otherwise)
		buf_printf(b, " Default: %s.", o->otherwise);
	if (o->env)
		buf_printf(b, " Environment: %s%s%s.", o->env, o->env_also ? ", " : "",
			   o->env_also ? o->env_also : "");
}

/* Both are made here and freed by the caller. */
static void option_texts(struct buf *title, struct buf *text, const struct option *o)
{
	buf_init(title, 0);
	buf_init(text, 0);
	option_title(title, o);
	buf_puts(text, o->help);
	option_facts(text, o);
}

static void option_help(FILE *out, const struct option *o)
{
	struct buf title, text;

	option_texts(&title, &text, o);
	fprintf(out, "  %s\n      ", buf_cstr(&title));
	put_wrapped(out, buf_cstr(&text), 6, 6);
	buf_free(&text);
	buf_free(&title);
}

static bool is_shown(int o, const struct command *cmd)
{
	return option_belongs((enum opt)o, cmd->id) && !options[o].hidden;
}

static void usage_line(FILE *out, const struct command *cmd)
{
	fprintf(out, "docrow %s [OPTIONS]%s%s", command_words[cmd->id], cmd->args[0] != '\0' ? " " : "", cmd->args);
}

void help_command(FILE *out, const struct command *cmd)
{
	fputs("Usage: ", out);
	usage_line(out, cmd);
	fputs("\n\n", out);
	put_wrapped(out, cmd->description, 0, 0);
	fputs("\nOptions:\n", out);
	for (int i = 0; i < OPT_COUNT; i++)
		if (is_shown(i, cmd))
			option_help(out, &options[i]);
	if (cmd->examples)
		fputs("\nExamples:\n", out);
	for (const char *const *e = cmd->examples; e && *e; e += 2)
		fprintf(out, "  %s\n      %s\n", e[0], e[1]);
}

/* --- man pages --- */

/* roff: a backslash and a leading dot or quote mean something, and a hyphen is not a minus. */
static void roff(FILE *out, const char *text)
{
	bool line_start = true;

	for (; *text != '\0'; text++) {
		if (line_start && (*text == '.' || *text == '\''))
			fputs("\\&", out);
		line_start = *text == '\n';
		if (*text == '\\')
			fputs("\\e", out);
		else if (*text == '-')
			fputs("\\-", out);
		else
			fputc(*text, out);
	}
}

static void roff_paragraphs(FILE *out, const char *text)
{
	for (const char *end; (end = strstr(text, "\n\n")) != NULL; text = end + 2) {
		struct buf b;
		buf_init(&b, 0);
		buf_put(&b, text, (size_t)(end - text));
		roff(out, buf_cstr(&b));
		fputs("\n.PP\n", out);
		buf_free(&b);
	}
	roff(out, text);
	fputc('\n', out);
}

static void man_option(FILE *out, const struct option *o)
{
	struct buf title, text;

	option_texts(&title, &text, o);
	fputs(".TP\n\\fB", out);
	roff(out, buf_cstr(&title));
	fputs("\\fR\n", out);
	roff(out, buf_cstr(&text));
	fputc('\n', out);
	buf_free(&text);
	buf_free(&title);
}

static void man_examples(FILE *out, const struct command *cmd)
{
	if (cmd->examples)
		fputs(".SH EXAMPLES\n", out);
	for (const char *const *e = cmd->examples; e && *e; e += 2) {
		fputs(".TP\n\\fB", out);
		roff(out, e[0]);
		fputs("\\fR\n", out);
		roff(out, e[1]);
		fputc('\n', out);
	}
}

static void man_title(FILE *out, const char *name, int section, const char *summary)
{
	fputs(".TH ", out);
	for (const char *p = name; *p != '\0'; p++)
		fputc(toupper((unsigned char)*p), out);
	fprintf(out, " %d \"\" \"docrow %s\"\n.SH NAME\n", section, DOCROW_VERSION);
	roff(out, name);
	fputs(" \\- ", out);
	roff(out, summary);
	fputs("\n.SH SYNOPSIS\n", out);
}

static void man_command(FILE *out, const struct command *cmd)
{
	struct buf name;

	buf_init(&name, 0);
	buf_printf(&name, "docrow-%s", command_words[cmd->id]);
	man_title(out, buf_cstr(&name), 1, cmd->summary);
	fputs(".B docrow ", out);
	roff(out, command_words[cmd->id]);
	fputs("\n[OPTIONS] ", out);
	roff(out, cmd->args);
	fputs("\n.SH DESCRIPTION\n", out);
	roff_paragraphs(out, cmd->description);
	fputs(".SH OPTIONS\n", out);
	for (int i = 0; i < OPT_COUNT; i++)
		if (is_shown(i, cmd))
			man_option(out, &options[i]);
	man_examples(out, cmd);
	fputs(".SH SEE ALSO\n.BR docrow (1)", out);
	fputs(cmd->id == CMD_MAPPING || cmd->id == CMD_MIGRATE ? ",\n.BR docrow\\-mapping (5)\n" : "\n", out);
	buf_free(&name);
}

static void man_overview(FILE *out)
{
	man_title(out, "docrow", 1, "carry a MongoDB database into PostgreSQL");
	fputs(".B docrow\nCOMMAND [OPTIONS]\n.SH DESCRIPTION\n", out);
	roff_paragraphs(
		out,
		"docrow reads documents from a live MongoDB server or from a mongodump, turns each into rows as a "
		"mapping says, and loads them into PostgreSQL. Work that was stopped or killed at any moment is "
		"taken up again by docrow migrate --resume, with the same result as a run that was never "
		"disturbed. Documents that cannot become rows are kept whole with the reason.");
	fputs(".SH COMMANDS\n", out);
	for (int i = 0; i < CMD_COUNT; i++) {
		fputs(".TP\n.BR docrow\\-", out);
		roff(out, command_words[i]);
		fputs(" (1)\n", out);
		roff(out, commands[i]->summary);
		fputc('\n', out);
	}
	fputs(".SH EXIT STATUS\n", out);
	static const char *const statuses[] = {
		"0",   "done and clean",
		"1",   "done, but with rejects, kept keys, refused indexes or a failed check; or a limit was passed",
		"2",   "command line, settings or mapping",
		"3",   "the source is unreachable or refused",
		"4",   "the target is unreachable or refused",
		"5",   "internal error",
		"130", "stopped by a signal; the run can be resumed"};
	for (size_t i = 0; i < sizeof(statuses) / sizeof(statuses[0]); i += 2) {
		fprintf(out, ".TP\n%s\n", statuses[i]);
		roff(out, statuses[i + 1]);
		fputc('\n', out);
	}
	fputs(".SH ENVIRONMENT\nEach is looked for in the environment, then in .env in the working directory.\n",
	      out);
	for (int i = 0; i < OPT_COUNT; i++)
		if (options[i].env)
			fprintf(out, ".TP\n%s%s%s\nSee \\-\\-%s.\n", options[i].env, options[i].env_also ? ", " : "",
				options[i].env_also ? options[i].env_also : "", options[i].name);
	fputs(".TP\nDOCROW_MAPPINGS\nFolder in which mappings are looked up by name first.\n"
	      ".TP\nNO_COLOR, CLICOLOR_FORCE\nNever, or always, use colour; otherwise on a terminal only.\n"
	      ".TP\nLC_ALL, LC_CTYPE, LANG\nWhere one names UTF\\-8, bars are drawn with its characters, else in "
	      "ASCII.\n"
	      ".TP\nTMPDIR\nWhere an archive that can be read only once is kept meanwhile, else /var/tmp.\n"
	      ".TP\nPGHOST, PGPORT, PGDATABASE, PGUSER, PGPASSWORD, PGPASSFILE, PGSERVICE and their like\n"
	      "As psql reads them, where the target's address leaves something open.\n"
	      ".SH FILES\n.TP\nmigration\\-checkpoint.json, migration\\-errors.log\n"
	      "Written by docrow migrate when it stops or ends.\n"
	      ".TP\nmigration\\-validation\\-report.json\nWritten by docrow validate.\n"
	      ".TP\nmigration\\-validation\\-progress\n"
	      "What docrow validate has proved; validate \\-\\-resume goes on from it, and it is gone at the end.\n"
	      ".TP\n~/.pgpass\nPasswords for PostgreSQL, as psql reads them.\n",
	      out);
}

void help_man(FILE *out, const struct command *cmd)
{
	if (cmd)
		man_command(out, cmd);
	else
		man_overview(out);
}

/* --- docrow-mapping(5), from the table that the mapping's reader uses --- */

static void man_key(FILE *out, const struct map_key_text *k)
{
	fputs(".TP\n\\fB", out);
	roff(out, k->key);
	fputs(k->takes[0] != '\0' ? "\\fR: " : "\\fR", out);
	roff(out, k->takes);
	fputc('\n', out);
	roff(out, k->help);
	if (k->required)
		fputs(" (required)", out);
	if (k->otherwise[0] != '\0') {
		fputs(" (default: ", out);
		roff(out, k->otherwise);
		fputc(')', out);
	}
	fputc('\n', out);
}

static void man_keys(FILE *out)
{
	struct arena *a = arena_new();
	const struct map_key_text *keys;
	size_t n = map_key_texts(a, &keys);
	const char *object = "";

	fputs(".SH KEYS\n", out);
	for (size_t i = 0; i < n; i++) {
		if (strcmp(keys[i].object, object) != 0) {
			fputs(strcmp(keys[i].object, "accept") == 0 ? ".SS Words of " : ".SS Keys of ", out);
			roff(out, object = keys[i].object);
			fputc('\n', out);
		}
		man_key(out, &keys[i]);
	}
	arena_free(a);
}

void help_man_mapping(FILE *out)
{
	man_title(out, "docrow-mapping", 5, "which collection becomes which tables");
	fputs(".B docrow mapping check\nFILE\n.SH DESCRIPTION\n", out);
	roff_paragraphs(out, "A mapping is one YAML file that says which collection becomes which tables, and how "
			     "each field becomes a "
			     "column. docrow mapping check tells every error in it with line and column; docrow "
			     "mapping show says what "
			     "becomes what, and which policies are in force for every column, from which level.\n\n"
			     "A path is a dotted text such as address.city, or a list of keys where a key holds a "
			     "dot, is empty or "
			     "starts with $. In an array, a number is a position.\n\n"
			     "A policy that stands at a column wins over its collection's, that over the mapping's; "
			     "what is inherited is "
			     "applied only where it has a meaning.");
	man_keys(out);
	fputs(".SH EXAMPLE\n.nf\n", out);
	roff(out, "docrow: 1\n"
		  "policies: { accept: [hex-id], encoding: strip }\n"
		  "collections:\n"
		  "  - collection: notes\n"
		  "    unmapped: { keep: rest }\n"
		  "    columns:\n"
		  "      - { name: id,     from: _id, type: uuid, primary_key: true }\n"
		  "      - { name: text,   type: text, not_null: true, if_missing: \"\" }\n"
		  "      - { name: author, type: uuid, references: { table: people, if_orphan: \"null\" } }\n"
		  "  - collection: people\n"
		  "    columns: [{ name: id, from: _id, type: uuid, primary_key: true }]\n");
	fputs(".fi\n.SH SEE ALSO\n.BR docrow\\-mapping (1),\n.BR docrow\\-migrate (1)\n", out);
}

/* --- docs/options.md --- */

static void markdown_option(FILE *out, const struct option *o)
{
	struct buf title, text;

	option_texts(&title, &text, o);
	fprintf(out, "- `%s`: %s\n", buf_cstr(&title), buf_cstr(&text));
	buf_free(&text);
	buf_free(&title);
}

void help_markdown(FILE *out)
{
	fputs("# Commands and options\n\nMade by `docrow help --markdown` from the table that the program itself "
	      "uses.\n"
	      "Settings come from the command line, else from the environment, else from `.env`, else the default "
	      "holds.\n",
	      out);
	for (int c = 0; c < CMD_COUNT; c++) {
		fprintf(out, "\n## docrow %s\n\n`", command_words[c]);
		usage_line(out, commands[c]);
		fprintf(out, "`\n\n%s\n\n", commands[c]->description);
		for (int i = 0; i < OPT_COUNT; i++)
			if (is_shown(i, commands[c]))
				markdown_option(out, &options[i]);
		for (const char *const *e = commands[c]->examples; e && *e; e += 2)
			fprintf(out, "%s- `%s`\n  %s\n", e == commands[c]->examples ? "\nExamples:\n\n" : "", e[0],
				e[1]);
	}
}

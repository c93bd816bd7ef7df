/* cmd_mapping.c - docrow mapping check | show | list: looks at mappings without any server. */
#include <stdlib.h>
#include <string.h>

#include "cli.h"
#include "convert.h"
#include "plan.h"
#include "text.h"

static int list(struct cli *c)
{
	const char **names;
	size_t n = mapping_installed(c->arena, &names);

	for (size_t i = 0; i < n; i++)
		puts(names[i]);
	if (n == 0)
		cli_say(c, "no mapping is installed; DOCROW_MAPPINGS may name a folder with some");
	return 0;
}

/* All lines of the report go out before the error that counts them: they are the result that was asked for. */
static int refuse(struct buf *report, const struct err *err)
{
	if (report->len > 0) {
		struct err brief = *err;
		fwrite(report->data, 1, report->len, stdout);
		fflush(stdout);
		brief.detail[0] = '\0';
		return cli_fail(&brief);
	}
	return cli_fail(err);
}

struct loaded {
	struct mapping *mapping;
	struct plan *plan;
};

static int load(const struct cli *c, const char *name, struct loaded *l)
{
	struct buf report, left_out;
	struct err err;
	int status = 0;

	buf_init(&report, 0);
	buf_init(&left_out, 0);
	*l = (struct loaded){0};
	if (!mapping_load(&l->mapping, name, &report, &err) ||
	    (cli_has_choice(c) && !cli_choose(c, l->mapping, &left_out, &err)) ||
	    !plan_build_part(&l->plan, l->mapping, buf_cstr(&left_out), &report, &err))
		status = refuse(&report, &err);
	else
		cli_say_left_out(c, l->plan);
	buf_free(&report);
	buf_free(&left_out);
	return status;
}

static void unload(struct loaded *l)
{
	plan_free(l->plan);
	mapping_free(l->mapping);
}

struct totals {
	size_t columns, indexes, fkeys;
};

static struct totals count(const struct schema *s)
{
	struct totals t = {0};

	for (size_t i = 0; i < s->ntables; i++) {
		t.columns += s->tables[i].ncolumns;
		t.indexes += s->tables[i].nindexes;
		t.fkeys += s->tables[i].nfkeys;
	}
	return t;
}

/* Literals of policies, as the converter reads them: for the newest server, since none is asked. */
static int check_literals(const struct loaded *l)
{
	struct buf report;
	struct err err;
	int status = 0;

	buf_init(&report, 0);
	if (!conv_check(l->plan, CONV_NEWEST_SERVER, &report)) {
		err_set(&err, ERR_MAPPING, "the mapping %s has literals that are no values of their columns",
			l->mapping->file);
		err_hint(&err, "docs/mapping.md says how values of each type are written");
		status = refuse(&report, &err);
	}
	buf_free(&report);
	return status;
}

static size_t lines_of(const char *text)
{
	size_t n = 0;

	for (; *text != '\0'; text++)
		n += *text == '\n';
	return n;
}

static int check(const struct cli *c, const char *name)
{
	struct loaded l;
	int status = load(c, name, &l);

	if (status == 0)
		status = check_literals(&l);
	if (status == 0) {
		struct totals t = count(&l.plan->schema);
		size_t warnings = lines_of(l.plan->warnings);
		fputs(l.plan->warnings, stdout);
		printf("%s: %zu collections, %zu junctions, %zu tables, %zu columns, %zu enums, %zu indexes, %zu "
		       "foreign keys: "
		       "no errors",
		       l.mapping->file, l.plan->ncollections, l.plan->njunctions, l.plan->schema.ntables, t.columns,
		       l.plan->schema.nenums, t.indexes, t.fkeys);
		if (warnings > 0)
			printf(", %zu warning%s", warnings, warnings == 1 ? "" : "s");
		putchar('\n');
	}
	unload(&l);
	return status;
}

static void show_json(const struct schema *s)
{
	struct arena *a = arena_new();
	struct schema_order order = schema_order(s, a);
	struct buf out;

	buf_init(&out, 0);
	buf_puts(&out, "{\"tables\":[");
	for (size_t i = 0; i < s->ntables; i++) {
		const struct schema_table *t = &s->tables[i];
		buf_puts(&out, i > 0 ? ",\n {\"table\":" : "\n {\"table\":");
		text_json_string(&out, t->name, strlen(t->name));
		buf_puts(&out, ",\"collection\":");
		if (t->collection)
			text_json_string(&out, t->collection, strlen(t->collection));
		else
			buf_puts(&out, "null");
		buf_puts(&out, ",\"columns\":[");
		for (size_t k = 0; k < t->ncolumns; k++) {
			struct buf type;
			buf_init(&type, 0);
			pgtype_sql(&type, &t->columns[k].type, NULL);
			buf_puts(&out, k > 0 ? ",{\"name\":" : "{\"name\":");
			text_json_string(&out, t->columns[k].name, strlen(t->columns[k].name));
			buf_puts(&out, ",\"type\":");
			text_json_string(&out, (const char *)type.data, type.len);
			buf_printf(&out, ",\"not_null\":%s}", t->columns[k].not_null ? "true" : "false");
			buf_free(&type);
		}
		const char *phase = order.phases[order.phase[i]].name;
		buf_puts(&out, "],\"phase\":");
		text_json_string(&out, phase, strlen(phase));
		buf_printf(&out, ",\"indexes\":%zu,\"foreign_keys\":%zu}", t->nindexes, t->nfkeys);
	}
	buf_puts(&out, "\n]}\n");
	fwrite(out.data, 1, out.len, stdout);
	buf_free(&out);
	arena_free(a);
}

static int show(const struct cli *c, const char *name)
{
	_cleanup_(buf_free) struct buf out = {0};
	struct loaded l;
	int status = load(c, name, &l);
	bool phases = c->settings.v[OPT_PHASES].from == FROM_COMMAND_LINE;
	bool json = settings_flag(&c->settings, OPT_JSON);

	if (status == 0 && phases)
		(json ? mapping_show_phases_json : mapping_show_phases)(&out, l.plan);
	else if (status == 0 && json)
		show_json(&l.plan->schema);
	else if (status == 0)
		mapping_show(&out, l.plan);
	fputs(buf_cstr(&out), stdout);
	unload(&l);
	return status;
}

static int run(struct cli *c)
{
	const struct settings *s = &c->settings;
	const char *verb = s->args[0];
	struct err err;

	if (strcmp(verb, "list") == 0 && s->nargs == 1)
		return list(c);
	if (strcmp(verb, "check") == 0 && s->nargs == 2)
		return check(c, s->args[1]);
	if (strcmp(verb, "show") == 0 && s->nargs == 2)
		return show(c, s->args[1]);
	if (strcmp(verb, "check") == 0 || strcmp(verb, "show") == 0)
		err_set(&err, ERR_USAGE, "docrow mapping %s needs the name or the file of a mapping", verb);
	else
		err_set(&err, ERR_USAGE, "docrow mapping takes check, show or list");
	err_hint(&err, "docrow help mapping shows how it is used");
	return cli_fail(&err);
}

static const char *const examples[] = {"docrow mapping list",
				       "the installed mappings",
				       "docrow mapping check ./mine.yaml",
				       "every error in the file, with line and column",
				       "docrow mapping show nextcrm --phases",
				       "the tables in the order of their foreign keys",
				       NULL};

const struct command cmd_mapping = {
	.id = CMD_MAPPING,
	.summary = "check, show or list mappings",
	.args = "check|show NAME|FILE, or list",
	.words = "check show list",
	.min_args = 1,
	.max_args = 2,
	.needs_settings = true,
	.description =
		"check reads a mapping and prints every error with file, line and column, or warnings of types "
		"that hold less than they seem to and one line that says what is in it. show prints the tables and "
		"columns that it makes. list names the installed mappings. No "
		"server is "
		"asked.",
	.examples = examples,
	.run = run,
};

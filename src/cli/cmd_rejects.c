/* cmd_rejects.c - docrow rejects [list]: what could not become rows, and why. Never shows values of documents. */
#include <string.h>

#include "cli.h"
#include "export.h"
#include "fault.h"
#include "gather.h"
#include "text.h"

static void put_json(struct buf *out, const char *key, const char *text, bool first)
{
	buf_printf(out, "%s\"%s\":", first ? "" : ",", key);
	if (text)
		text_json_string(out, text, strlen(text));
	else
		buf_puts(out, "null");
}

void cli_put_place(struct buf *out, const char *collection, const char *table, const char *path, const char *column)
{
	const char *object = collection ? collection : table ? table : "?";
	const char *place = path && path[0] != '\0' ? path : column;

	text_escape(out, object, strlen(object));
	if (place) {
		buf_putc(out, '.');
		text_escape(out, place, strlen(place));
	}
}

/* --- patterns --- */

enum { STATE_OPEN, STATE_RETRIED, STATE_ALL }; /* order of the choices of --state */

static uint64_t count_of(const struct settings *s, const struct state_pattern *p)
{
	int state = settings_int(s, OPT_STATE);

	return state == STATE_ALL ? p->n : state == STATE_OPEN ? p->open : p->n - p->open;
}

static bool is_wanted(const struct settings *s, const struct state_pattern *p)
{
	const struct {
		enum opt opt;
		const char *value;
	} filters[] = {
		{OPT_COLLECTION, p->collection}, {OPT_TABLE, p->table}, {OPT_FAULT, p->fault}, {OPT_PATH, p->path}};

	for (size_t i = 0; i < sizeof(filters) / sizeof(filters[0]); i++) {
		const char *wanted = settings_text(s, filters[i].opt);
		if (wanted && (!filters[i].value || strcmp(wanted, filters[i].value) != 0))
			return false;
	}
	return count_of(s, p) > 0;
}

static void pattern_line(const struct settings *s, const struct state_pattern *p)
{
	struct buf place, id;
	char n[32];

	buf_init(&place, 0);
	buf_init(&id, 0);
	cli_put_place(&place, p->collection, p->table, p->path, p->column);
	if (p->example_id)
		text_escape(&id, p->example_id, strlen(p->example_id));
	printf("%12s  %s %s  %s%s%s%s\n", text_thousands(count_of(s, p), n), p->code ? p->code : "",
	       p->fault ? p->fault : "", buf_cstr(&place), p->bson_type ? " (" : "", p->bson_type ? p->bson_type : "",
	       p->bson_type ? ")" : "");
	if (p->message)
		printf("%14s%s\n", "", p->message);
	if (id.len > 0)
		printf("%14sfor example _id %s (reject %lld)\n", "", buf_cstr(&id), (long long)p->example);
	buf_free(&id);
	buf_free(&place);
}

static void pattern_json(const struct state_pattern *p)
{
	struct buf out;

	buf_init(&out, 0);
	buf_putc(&out, '{');
	put_json(&out, "fault", p->fault, true);
	put_json(&out, "code", p->code, false);
	put_json(&out, "collection", p->collection, false);
	put_json(&out, "table", p->table, false);
	put_json(&out, "column", p->column, false);
	put_json(&out, "path", p->path, false);
	put_json(&out, "bson_type", p->bson_type, false);
	put_json(&out, "message", p->message, false);
	put_json(&out, "example_id", p->example_id, false);
	buf_printf(&out, ",\"example\":%lld,\"rejects\":%llu,\"open\":%llu}\n", (long long)p->example,
		   (unsigned long long)p->n, (unsigned long long)p->open);
	fwrite(out.data, 1, out.len, stdout);
	buf_free(&out);
}

static bool show_patterns(struct cli *c, struct pg *pg, int64_t run, struct err *err)
{
	const struct settings *s = &c->settings;
	struct state_pattern *patterns;
	size_t n, shown = 0;
	uint64_t limit = (uint64_t)s->v[OPT_LIMIT].number;

	if (!state_reject_patterns(pg, run, c->arena, &patterns, &n, err))
		return false;
	for (size_t i = 0; i < n && shown < limit; i++) {
		if (!is_wanted(s, &patterns[i]))
			continue;
		shown++;
		if (settings_flag(s, OPT_JSON))
			pattern_json(&patterns[i]);
		else
			pattern_line(s, &patterns[i]);
	}
	if (!settings_flag(s, OPT_JSON))
		puts(shown == 0 ? "no rejects"
				: "\ndocrow rejects list lists them one by one; docrow help FAULT says what to do;\n"
				  "docrow retry loads them with a corrected mapping");
	return true;
}

/* --- one by one --- */

static bool line_of_reject(void *ctx, const struct report_reject *r)
{
	struct buf out;

	buf_init(&out, 0);
	buf_printf(&out, "%s  %s %s  ", r->id, r->code ? r->code : "", r->fault);
	cli_put_place(&out, r->collection, r->table, r->path, r->column);
	if (r->ordinal)
		buf_printf(&out, "[%s]", r->ordinal);
	buf_puts(&out, "  _id ");
	text_escape(&out, r->doc_id ? r->doc_id : "-", strlen(r->doc_id ? r->doc_id : "-"));
	if (r->message)
		buf_printf(&out, ": %s", r->message);
	puts(buf_cstr(&out));
	buf_free(&out);
	return !ferror(stdout);
}

static bool json_of_reject(void *ctx, const struct report_reject *r)
{
	struct buf out;

	buf_init(&out, 0);
	buf_printf(&out, "{\"reject\":%s", r->id);
	put_json(&out, "time", r->created, false);
	put_json(&out, "collection", r->collection, false);
	put_json(&out, "_id", r->doc_id, false);
	put_json(&out, "key", r->key, false);
	put_json(&out, "table", r->table, false);
	put_json(&out, "column", r->column, false);
	put_json(&out, "path", r->path, false);
	buf_printf(&out, ",\"ordinal\":%s", r->ordinal ? r->ordinal : "null");
	put_json(&out, "fault", r->fault, false);
	put_json(&out, "code", r->code, false);
	put_json(&out, "bson_type", r->bson_type, false);
	put_json(&out, "sqlstate", r->sqlstate, false);
	put_json(&out, "message", r->message, false);
	put_json(&out, "state", r->state, false);
	buf_printf(&out, ",\"attempts\":%s}", r->attempts);
	puts(buf_cstr(&out));
	buf_free(&out);
	return !ferror(stdout);
}

static struct reject_filter filter_of(const struct settings *s)
{
	static const char *const states[] = {[STATE_OPEN] = "open", [STATE_RETRIED] = "retried", [STATE_ALL] = NULL};

	return (struct reject_filter){.collection = settings_text(s, OPT_COLLECTION),
				      .table = settings_text(s, OPT_TABLE),
				      .fault = settings_text(s, OPT_FAULT),
				      .path = settings_text(s, OPT_PATH),
				      .state = states[settings_int(s, OPT_STATE)],
				      .id = (int64_t)s->v[OPT_ID].number};
}

static bool show_list(struct cli *c, struct pg *pg, int64_t run, struct err *err)
{
	const struct settings *s = &c->settings;
	struct reject_filter filter = filter_of(s);

	return gather_rejects(pg, run, &filter, (uint64_t)s->v[OPT_LIMIT].number,
			      settings_flag(s, OPT_JSON) ? json_of_reject : line_of_reject, NULL, err);
}

bool cli_check_fault(const char *name, struct err *err)
{
	size_t distance = SIZE_MAX;
	const char *near = NULL;

	for (int f = 1; name && f < FAULT_COUNT; f++) {
		if (strcmp(fault_name((enum fault)f), name) == 0)
			return true;
		if (word_is_near(name, fault_name((enum fault)f), &distance))
			near = fault_name((enum fault)f);
	}
	if (!name)
		return true;
	err_set(err, ERR_USAGE, "there is no fault \"%.40s\"", name);
	return near ? err_hint(err, "did you mean --fault %s?", near)
		    : err_hint(err, "docs/messages.md lists the faults");
}

/* --- the documents themselves --- */

static bool export_all(struct cli *c, struct pg *pg, int64_t run, struct err *err)
{
	const struct settings *s = &c->settings;
	const char *path = settings_text(s, OPT_EXPORT);
	struct reject_filter filter = filter_of(s);
	struct export_count n;
	char text[4][32];

	if (!export_rejects(pg, run, &filter, settings_int(s, OPT_FORMAT) == 1, path, &n, err))
		return false;
	printf("%s documents written to %s\n", text_thousands(n.documents, text[0]), path);
	if (n.elements > 0)
		cli_say(c, "%s rejects are single elements of arrays, whose documents loaded: left out",
			text_thousands(n.elements, text[1]));
	if (n.lost > 0)
		cli_say(c, "%s rejects have no document kept (it was no longer in the source): left out",
			text_thousands(n.lost, text[2]));
	if (n.unwritable > 0)
		cli_say(c, "%s documents hold text that JSON cannot: left out; --format bson takes them",
			text_thousands(n.unwritable, text[3]));
	return true;
}

static int run(struct cli *c)
{
	const struct settings *s = &c->settings;
	_cleanup_(pg_closep) struct pg *pg = NULL;
	struct state_run run;
	struct err err;
	bool found = false;
	bool list = s->nargs > 0 && strcmp(s->args[0], "list") == 0;

	if (s->nargs > 0 && !list) {
		err_set(&err, ERR_USAGE, "docrow rejects takes the word list or nothing");
		return cli_fail(&err);
	}
	if (!cli_check_fault(settings_text(s, OPT_FAULT), &err) || !cli_open_target(c, &pg, &err) ||
	    !state_is_installed(pg, &found, &err) ||
	    (found && (!state_install(pg, &err) || !state_run_find(pg, c->arena, &run, &found, &err))))
		return cli_fail(&err);
	if (!found) {
		err_set(&err, ERR_RUN_NONE, "there is no run on this target");
		return cli_fail(&err);
	}
	bool ok = settings_text(s, OPT_EXPORT)      ? export_all(c, pg, run.id, &err)
		  : list || s->v[OPT_ID].number > 0 ? show_list(c, pg, run.id, &err)
						    : show_patterns(c, pg, run.id, &err);
	return ok ? 0 : cli_fail(&err);
}

static const char *const examples[] = {"docrow rejects",
				       "what was rejected, by pattern",
				       "docrow rejects list --fault range --limit 20",
				       "the first twenty values that were out of range",
				       "docrow rejects list --json --collection Users",
				       "one JSON object a line",
				       "docrow rejects --collection Users --export users.json",
				       "the rejected documents themselves, for mongoimport",
				       NULL};

const struct command cmd_rejects = {
	.id = CMD_REJECTS,
	.summary = "show what could not become rows, and why",
	.args = "[list]",
	.max_args = 1,
	.needs_settings = true,
	.description = "Shows the rejects of the run on the target by pattern, most frequent first; with the word "
		       "list one by one. "
		       "Values of documents are never shown: the documents are in docrow.reject of the target, and "
		       "--export writes them into a file.",
	.examples = examples,
	.run = run,
};

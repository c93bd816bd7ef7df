/* cmd_schema.c - docrow schema --from-source: what becomes of the source's indexes. Changes nothing on either side.
 */
#include <stdlib.h>
#include <string.h>

#include "cli.h"
#include "indexes.h"
#include "parties.h"
#include "stop.h"
#include "sys.h"

struct job {
	struct cli *c;
	struct mapping *mapping;
	struct plan *plan;
	struct source *source;
	struct index_verdicts *verdicts;
};

/* Whether an earlier entry takes a part of the same collection: it is named once. */
static bool is_repeated(const struct plan *p, size_t i)
{
	for (size_t k = 0; k < i; k++)
		if (strcmp(p->collections[k].source, p->collections[i].source) == 0)
			return true;
	return false;
}

static bool judge_collection(struct job *j, size_t i, struct err *err)
{
	const char *name = j->plan->collections[i].source;
	struct source_index *list;
	size_t n;
	bool known;

	if (!source_indexes(j->source, name, j->c->arena, &list, &n, &known, err))
		return false;
	if (!known && !is_repeated(j->plan, i))
		index_verdicts_remark(j->verdicts, "%s: the source keeps no record of its indexes", name);
	for (size_t k = 0; k < n; k++)
		index_verdicts_add(j->verdicts, i, list[k].doc, list[k].len);
	return true;
}

static bool is_there(const struct source_collection *list, size_t n, const char *name)
{
	for (size_t i = 0; i < n; i++)
		if (strcmp(list[i].name, name) == 0)
			return true;
	return false;
}

static bool is_mapped(const struct mapping *m, const char *name)
{
	for (size_t i = 0; i < m->ncollections; i++)
		if (strcmp(m->collections[i].source, name) == 0)
			return true;
	return false;
}

static void add_name(struct buf *names, const char *name)
{
	buf_puts(names, names->len > 0 ? ", " : "");
	buf_puts(names, name);
}

/* Nothing is passed over in silence: what is on one side only is named. */
static void remark_strangers(struct job *j, const struct source_collection *list, size_t n)
{
	_cleanup_(buf_free) struct buf absent = {0}, unmapped = {0};

	for (size_t i = 0; i < j->plan->ncollections; i++)
		if (!is_there(list, n, j->plan->collections[i].source) && !is_repeated(j->plan, i))
			add_name(&absent, j->plan->collections[i].source);
	for (size_t i = 0; i < n; i++)
		if (!list[i].skipped && !is_mapped(j->mapping, list[i].name))
			add_name(&unmapped, list[i].name);
	if (absent.len > 0)
		index_verdicts_remark(j->verdicts, "not in the source: %s", buf_cstr(&absent));
	if (unmapped.len > 0)
		index_verdicts_remark(j->verdicts, "in no mapping entry, so their indexes stay behind: %s",
				      buf_cstr(&unmapped));
}

static bool judge(struct job *j, struct err *err)
{
	struct source_collection *list;
	size_t n;

	j->verdicts = index_verdicts_new(j->plan, source_describe(j->source));
	if (!source_collections(j->source, j->c->arena, &list, &n, err))
		return false;
	for (size_t i = 0; i < j->plan->ncollections; i++) {
		const char *name = j->plan->collections[i].source;
		if (stop_requested())
			return err_set(err, ERR_STOPPED, "stopped while reading indexes");
		if (is_there(list, n, name) && !judge_collection(j, i, err))
			return false;
	}
	remark_strangers(j, list, n);
	return true;
}

static bool write_sql(const struct job *j, struct err *err)
{
	const char *file = settings_text(&j->c->settings, OPT_SQL);
	_cleanup_(buf_free) struct buf out = {0};

	if (file == NULL)
		return true;
	index_verdicts_sql(&out, j->verdicts);
	return file_write_atomic(file, out.data, out.len, err);
}

static void print(const struct job *j)
{
	_cleanup_(buf_free) struct buf out = {0};

	if (settings_flag(&j->c->settings, OPT_JSON))
		index_verdicts_json(&out, j->verdicts);
	else
		index_verdicts_text(&out, j->verdicts);
	fwrite(out.data, 1, out.len, stdout);
}

static bool look(struct job *j, struct err *err)
{
	if (j->c->settings.v[OPT_FROM_SOURCE].from != FROM_COMMAND_LINE) {
		err_set(err, ERR_USAGE, "docrow schema needs --from-source");
		return err_hint(err,
				"docrow mapping show prints what the mapping makes; --from-source compares it with "
				"the source's indexes");
	}
	return cli_need(j->c, OPT_MAPPING, err) && cli_need(j->c, OPT_SOURCE, err) &&
	       cli_load_plan(j->c, &j->mapping, &j->plan, err) &&
	       cli_open_source(j->c, j->mapping, "docrow schema", &j->source, err) && judge(j, err) &&
	       write_sql(j, err);
}

static int run(struct cli *c)
{
	struct job j = {.c = c};
	struct err err;
	int status = 0;

	if (look(&j, &err))
		print(&j);
	else
		status = cli_fail(&err);
	index_verdicts_free(j.verdicts);
	source_close(j.source);
	plan_free(j.plan);
	mapping_free(j.mapping);
	return status;
}

static const char *const examples[] = {
	"docrow schema --from-source --mapping nextcrm", "what becomes of each index of the MongoDB database",
	"docrow schema --from-source --mapping nextcrm --source dump/ --sql indexes.sql",
	"of a dump; the statements into a file for psql", NULL};

const struct command cmd_schema = {
	.id = CMD_SCHEMA,
	.summary = "say what becomes of the source's indexes",
	.args = "",
	.needs_settings = true,
	.description =
		"Reads the source's indexes (of a server, a dump or an archive; a JSON export has none) and gives "
		"each a verdict: made already by the mapping, made as it is, made as something else, a suggestion, "
		"or not made and why; with the statements, under the mapping's names. Nothing is changed on either "
		"side.",
	.examples = examples,
	.run = run,
};

/* validation.c - see validation.h. */
#include "validation.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "put_json.h"
#include "text.h"

static double match_percent(const struct validate_table *t)
{
	return t->compared > 0 ? 100 * (double)t->matched / (double)t->compared : 100;
}

static uint64_t findings_of(const struct validate_table *t, enum validate_layer l)
{
	uint64_t n = 0;

	for (int k = 0; k < VALIDATE_KIND_COUNT; k++)
		if (validate_kind_layer((enum validate_kind)k) == l)
			n += t->found[k];
	return n;
}

/* A sample may pass above a threshold, whatever was found. */
static uint64_t failures_in(const struct validate_result *r, const struct validate_table *t, enum validate_layer l)
{
	return r->layers[l].passed ? 0 : findings_of(t, l);
}

static bool table_passed(const struct validate_result *r, const struct validate_table *t)
{
	for (int l = 0; l < LAYER_COUNT; l++)
		if (failures_in(r, t, (enum validate_layer)l) > 0)
			return false;
	return true;
}

/* --- for people --- */

struct page {
	struct buf *out;
	const struct validate_result *r;
	bool colour;
	size_t shown;
};

static void put_verdict(struct page *p, bool passed)
{
	if (p->colour)
		buf_puts(p->out, passed ? "\033[32mPASS\033[0m" : "\033[1;31mFAIL\033[0m");
	else
		buf_puts(p->out, passed ? "PASS" : "FAIL");
}

static void put_name(struct page *p, const char *name, size_t width)
{
	size_t from = p->out->len;

	text_escape(p->out, name, strlen(name));
	for (size_t n = p->out->len - from; n < width; n++)
		buf_putc(p->out, ' ');
}

static void put_heading(struct page *p, const char *text)
{
	buf_printf(p->out, p->colour ? "\n\033[1m%s\033[0m\n" : "\n%s\n", text);
}

static void put_layers(struct page *p)
{
	char n[3][32];

	put_heading(p, "Layers");
	for (int l = 0; l < LAYER_COUNT; l++) {
		if (!p->r->layers[l].ran)
			continue;
		buf_puts(p->out, "  ");
		put_verdict(p, p->r->layers[l].passed);
		buf_printf(p->out, "  %-11s %12s checked %10s findings  %9s  %s\n",
			   validate_layer_name((enum validate_layer)l), text_thousands(p->r->layers[l].checked, n[0]),
			   text_thousands(p->r->layers[l].found, n[1]), text_duration(p->r->layers[l].seconds, n[2]),
			   validate_layer_proves((enum validate_layer)l));
	}
}

static size_t name_width(const struct page *p)
{
	size_t width = 5;

	for (size_t i = 0; i < p->r->ntables; i++)
		width = strlen(p->r->tables[i].name) > width ? strlen(p->r->tables[i].name) : width;
	return width < 40 ? width : 40;
}

static void put_table(struct page *p, const struct validate_table *t, size_t width)
{
	char n[5][32];

	buf_puts(p->out, "  ");
	put_verdict(p, table_passed(p->r, t));
	buf_puts(p->out, "  ");
	put_name(p, t->name, width);
	buf_printf(p->out, " %11s %11s %9s %11s %9s", text_thousands(t->expected, n[0]),
		   text_thousands(t->rows, n[1]), text_thousands(t->explained, n[2]),
		   text_thousands(t->compared, n[3]), text_thousands(t->mismatched, n[4]));
	if (t->compared > 0)
		buf_printf(p->out, " %8.3f %%", match_percent(t));
	buf_putc(p->out, '\n');
}

static void put_tables(struct page *p)
{
	size_t width = name_width(p);

	put_heading(p, "Tables");
	buf_puts(p->out, "        ");
	put_name(p, "", width);
	buf_puts(p->out, "    expected        rows explained    compared    differ    match\n");
	for (size_t i = 0; i < p->r->ntables; i++)
		put_table(p, &p->r->tables[i], width);
}

static void put_part(struct buf *out, const char *label, const char *text)
{
	if (text == NULL || text[0] == '\0')
		return;
	buf_puts(out, label);
	text_escape(out, text, strlen(text));
}

static void put_finding(struct page *p, const struct validate_finding *f)
{
	buf_puts(p->out, "   ");
	put_part(p->out, " ", f->table);
	put_part(p->out, ".", f->column);
	put_part(p->out, " ", f->object);
	put_part(p->out, "  _id ", f->id);
	put_part(p->out, "  key ", f->key);
	put_part(p->out, "  path ", f->path);
	put_part(p->out, ": ", f->detail);
	put_part(p->out, "\n        document: ", f->expected);
	put_part(p->out, "\n        column:   ", f->found);
	if (f->drift)
		buf_puts(p->out, "  (the document changed after the copy)");
	buf_putc(p->out, '\n');
}

static uint64_t count_kind(const struct validate_result *r, enum validate_kind k)
{
	uint64_t n = 0;

	for (size_t i = 0; i < r->ntables; i++)
		n += r->tables[i].found[k];
	for (size_t i = 0; i < r->nfindings; i++)
		n += r->findings[i].kind == k && r->findings[i].table == NULL;
	return n;
}

static void put_kind(struct page *p, enum validate_kind k)
{
	char n[32];
	uint64_t all = count_kind(p->r, k);
	size_t shown = 0;

	if (all == 0)
		return;
	buf_printf(p->out, "  %s  %s: %s\n", text_thousands(all, n), validate_kind_name(k),
		   validate_kind_sentence(k));
	for (size_t i = 0; i < p->r->nfindings && shown < p->shown; i++)
		if (p->r->findings[i].kind == k && !p->r->findings[i].drift) {
			put_finding(p, &p->r->findings[i]);
			shown++;
		}
	if (all > shown)
		buf_printf(p->out, "    and %s more\n", text_thousands(all - shown, n));
	buf_printf(p->out, "    next: %s\n", validate_kind_next(k));
}

static void put_end(struct page *p, const struct validation_facts *f)
{
	char n[4][32];

	buf_putc(p->out, '\n');
	put_verdict(p, p->r->passed);
	buf_printf(p->out, "  %s documents, %s rows, %s findings, %s", text_thousands(p->r->documents, n[0]),
		   text_thousands(p->r->rows, n[1]), text_thousands(p->r->total, n[2]),
		   text_duration(p->r->seconds, n[3]));
	if (p->r->drift > 0)
		buf_printf(p->out, "; %s more are of documents that changed after the copy",
			   text_thousands(p->r->drift, n[0]));
	buf_putc(p->out, '\n');
	if (p->r->drift > 0 && p->r->total == 0)
		buf_puts(p->out, p->r->passed
					 ? "Only documents that changed after the copy differ, which --allow-drift "
					   "passes.\n"
					 : "Only documents that changed after the copy differ: what changed is not "
					   "in the target. --allow-drift passes that.\n");
	if (f->report_file != NULL)
		buf_printf(p->out, "Everything that was found: %s\n", f->report_file);
}

void validation_write(struct buf *out, const struct validation_facts *f, bool colour)
{
	struct page p = {.out = out, .r = f->result, .colour = colour, .shown = f->shown};
	bool any = false;

	buf_printf(out, "%s validation of mapping %s\n", f->result->full ? "Full" : "Sample", f->result->mapping);
	buf_printf(out, "  source  %s\n  target  %s\n", f->result->source, f->result->target);
	if (!f->result->full)
		buf_printf(out, "  seed    %llu\n", (unsigned long long)f->result->seed);
	put_tables(&p);
	put_layers(&p);
	for (int k = 0; k < VALIDATE_KIND_COUNT; k++) {
		if (count_kind(p.r, (enum validate_kind)k) > 0 && !any)
			put_heading(&p, "Findings");
		any = any || count_kind(p.r, (enum validate_kind)k) > 0;
		put_kind(&p, (enum validate_kind)k);
	}
	if (f->result->nnotes > 0)
		put_heading(&p, "Notes");
	for (size_t i = 0; i < f->result->nnotes; i++)
		buf_printf(out, "  %s\n", f->result->notes[i]);
	put_end(&p, f);
}

/* --- JSON --- */

static void put_some(json_t *o, const char *key, const char *s)
{
	if (s != NULL)
		json_put_text(o, key, s);
}

static const char *status_word(bool passed)
{
	return passed ? "PASS" : "FAIL";
}

static json_t *json_layers(const struct validate_result *r)
{
	json_t *list = json_array();

	for (int l = 0; l < LAYER_COUNT; l++) {
		json_t *o = json_object();
		json_put(o, "layer", json_string(validate_layer_name((enum validate_layer)l)));
		json_put(o, "status", json_string(r->layers[l].ran ? status_word(r->layers[l].passed) : "SKIPPED"));
		json_put(o, "proves", json_string(validate_layer_proves((enum validate_layer)l)));
		json_put_count(o, "checked", r->layers[l].checked);
		json_put_count(o, "findings", r->layers[l].found);
		json_put(o, "seconds", json_real(r->layers[l].seconds));
		json_array_append_new(list, o);
	}
	return list;
}

static json_t *json_kinds(const uint64_t *found)
{
	json_t *o = json_object();

	for (int k = 0; k < VALIDATE_KIND_COUNT; k++)
		if (found[k] > 0)
			json_put_count(o, validate_kind_name((enum validate_kind)k), found[k]);
	return o;
}

/* What the documents hold at the path, by type, beside what the column holds. */
static json_t *json_columns(const struct validate_table *t)
{
	json_t *list = json_array();

	for (size_t i = 0; i < t->ncolumns; i++) {
		const struct validate_column *c = &t->columns[i];
		json_t *o = json_object(), *types = json_object();
		json_put_text(o, "column", c->name);
		json_put_text(o, "path", c->path);
		for (size_t k = 0; k < c->ntypes; k++)
			json_put_count(types, c->types[k].name, c->types[k].n);
		json_put(o, "types", types);
		json_put_count(o, "values", c->values);
		json_array_append_new(list, o);
	}
	return list;
}

static json_t *json_tables(const struct validate_result *r)
{
	json_t *list = json_array();

	for (size_t i = 0; i < r->ntables; i++) {
		const struct validate_table *t = &r->tables[i];
		json_t *o = json_object();
		json_put_text(o, "table", t->name);
		json_put_text(o, "collection", t->collection);
		json_put(o, "status", json_string(status_word(table_passed(r, t))));
		json_put_count(o, "documents", t->documents);
		json_put_count(o, "elements", t->elements);
		json_put_count(o, "expected", t->expected);
		json_put_count(o, "rows", t->rows);
		json_put_count(o, "explained", t->explained);
		json_put_count(o, "stubs", t->stubs);
		json_put_count(o, "compared", t->compared);
		json_put_count(o, "matched", t->matched);
		json_put_count(o, "mismatched", t->mismatched);
		json_put(o, "match_percent", t->compared > 0 ? json_real(match_percent(t)) : json_null());
		json_put_count(o, "fields", t->fields);
		json_put_count(o, "orphans", t->found[FOUND_ORPHAN]);
		json_put_count(o, "type_errors", findings_of(t, LAYER_TYPES));
		json_put_count(o, "drift", t->drift);
		json_put(o, "findings", json_kinds(t->found));
		json_put(o, "columns", json_columns(t));
		json_array_append_new(list, o);
	}
	return list;
}

static json_t *json_findings(const struct validate_result *r)
{
	json_t *list = json_array();

	for (size_t i = 0; i < r->nfindings; i++) {
		const struct validate_finding *f = &r->findings[i];
		json_t *o = json_object();
		json_put(o, "kind", json_string(validate_kind_name(f->kind)));
		json_put(o, "layer", json_string(validate_layer_name(validate_kind_layer(f->kind))));
		put_some(o, "table", f->table);
		put_some(o, "collection", f->collection);
		put_some(o, "_id", f->id);
		put_some(o, "key", f->key);
		put_some(o, "path", f->path);
		put_some(o, "column", f->column);
		put_some(o, "object", f->object);
		put_some(o, "detail", f->detail);
		put_some(o, "fault", f->fault);
		put_some(o, "expected", f->expected);
		put_some(o, "found", f->found);
		if (f->drift)
			json_put(o, "drift", json_true());
		json_array_append_new(list, o);
	}
	return list;
}

static json_t *json_notes(const struct validate_result *r)
{
	json_t *list = json_array();

	for (size_t i = 0; i < r->nnotes; i++)
		json_array_append_new(list, json_text(r->notes[i]));
	return list;
}

static void put_sums(json_t *o, const struct validate_result *r)
{
	uint64_t compared = 0, matched = 0, orphans = 0, types = 0;

	for (size_t i = 0; i < r->ntables; i++) {
		compared += r->tables[i].compared;
		matched += r->tables[i].matched;
		orphans += r->tables[i].found[FOUND_ORPHAN];
		types += findings_of(&r->tables[i], LAYER_TYPES);
	}
	json_put_count(o, "documents", r->documents);
	json_put_count(o, "rows", r->rows);
	json_put_count(o, "compared", compared);
	json_put_count(o, "matched", matched);
	json_put_count(o, "mismatched", compared - matched);
	json_put(o, "match_percent",
		 compared > 0 ? json_real(100 * (double)matched / (double)compared) : json_null());
	json_put_count(o, "orphans", orphans);
	json_put_count(o, "type_errors", types);
	json_put_count(o, "findings_total", r->total);
	json_put_count(o, "drift", r->drift);
	json_put_count(o, "changed_documents", r->changed);
}

void validation_json(struct buf *out, const struct validation_facts *f)
{
	const struct validate_result *r = f->result;
	json_t *o = json_object();
	char *dump;

	json_put_count(o, "format", VALIDATION_REPORT_FORMAT);
	json_put_text(o, "timestamp", r->finished);
	json_put_text(o, "started", r->started);
	json_put_text(o, "docrow", f->docrow);
	json_put(o, "status", json_string(status_word(r->passed)));
	json_put(o, "mode", json_string(r->full ? "full" : "sample"));
	json_put_count(o, "seed", r->seed);
	json_put(o, "threshold", json_real(r->threshold));
	json_put_text(o, "mapping", r->mapping);
	json_put_text(o, "source", r->source);
	json_put_text(o, "target", r->target);
	json_put(o, "run", r->run > 0 ? json_integer(r->run) : json_null());
	json_put(o, "has_state", json_boolean(r->has_state));
	json_put(o, "seconds", json_real(r->seconds));
	put_sums(o, r);
	json_put(o, "layers", json_layers(r));
	json_put(o, "tables", json_tables(r));
	json_put_count(o, "findings_limit", VALIDATE_MAX_FINDINGS);
	json_put(o, "findings", json_findings(r));
	json_put(o, "notes", json_notes(r));
	dump = json_dumps(o, JSON_INDENT(2) | JSON_PRESERVE_ORDER | JSON_REAL_PRECISION(9));
	buf_puts(out, dump != NULL ? dump : "{}");
	buf_putc(out, '\n');
	free(dump);
	json_decref(o);
}

/* --- JUnit: a suite for each layer, a case for each table in it --- */

static void put_xml(struct buf *out, const char *s)
{
	struct buf plain;

	buf_init(&plain, 0);
	text_escape(&plain, s, strlen(s));
	for (const char *p = buf_cstr(&plain); *p != '\0'; p++) {
		if (*p == '<')
			buf_puts(out, "&lt;");
		else if (*p == '>')
			buf_puts(out, "&gt;");
		else if (*p == '&')
			buf_puts(out, "&amp;");
		else if (*p == '"')
			buf_puts(out, "&quot;");
		else
			buf_putc(out, *p);
	}
	buf_free(&plain);
}

static void put_case(struct buf *out, const struct validate_result *r, const struct validate_table *t,
		     enum validate_layer l)
{
	uint64_t n = failures_in(r, t, l);
	size_t shown = 0;
	struct page p = {.out = NULL, .r = r};
	struct buf lines;

	buf_puts(out, "    <testcase classname=\"docrow.validate.");
	buf_puts(out, validate_layer_name(l));
	buf_puts(out, "\" name=\"");
	put_xml(out, t->name);
	if (n == 0) {
		buf_puts(out, "\"/>\n");
		return;
	}
	buf_printf(out, "\">\n      <failure message=\"%llu findings\">", (unsigned long long)n);
	buf_init(&lines, 0);
	p.out = &lines;
	for (size_t i = 0; i < r->nfindings && shown < 20; i++)
		if (r->findings[i].table == t->name && validate_kind_layer(r->findings[i].kind) == l) {
			buf_puts(&lines, validate_kind_name(r->findings[i].kind));
			put_finding(&p, &r->findings[i]);
			put_xml(out, buf_cstr(&lines));
			buf_putc(out, '\n');
			buf_reset(&lines);
			shown++;
		}
	buf_free(&lines);
	buf_puts(out, "</failure>\n    </testcase>\n");
}

static size_t failures_of(const struct validate_result *r, enum validate_layer l)
{
	size_t n = 0;

	for (size_t i = 0; i < r->ntables; i++)
		n += failures_in(r, &r->tables[i], l) > 0;
	return n;
}

/* What belongs to no table (an enum, nothing at all) is a case of its own. */
static void put_loose(struct buf *out, const struct validate_result *r, enum validate_layer l)
{
	for (size_t i = 0; i < r->nfindings; i++) {
		const struct validate_finding *f = &r->findings[i];
		if (f->table != NULL || validate_kind_layer(f->kind) != l)
			continue;
		buf_printf(out, "    <testcase classname=\"docrow.validate.%s\" name=\"", validate_layer_name(l));
		put_xml(out, f->object != NULL ? f->object : validate_kind_name(f->kind));
		buf_puts(out, "\">\n      <failure message=\"");
		put_xml(out, f->detail != NULL ? f->detail : validate_kind_sentence(f->kind));
		buf_puts(out, "\"/>\n    </testcase>\n");
	}
}

/* What changed after the copy fails by itself, unless it is allowed. */
static void put_drift(struct buf *out, const struct validate_result *r)
{
	if (r->drift == 0)
		return;
	buf_printf(out,
		   "  <testsuite name=\"drift\" tests=\"1\" failures=\"%d\" time=\"0\">\n    <testcase "
		   "classname=\"docrow.validate.drift\" name=\"changes after the copy\"",
		   !r->drift_allowed);
	if (r->drift_allowed)
		buf_puts(out, "/>\n  </testsuite>\n");
	else
		buf_printf(
			out,
			">\n      <failure message=\"%llu findings are of documents that changed after the copy\"/>\n"
			"    </testcase>\n  </testsuite>\n",
			(unsigned long long)r->drift);
}

void validation_junit(struct buf *out, const struct validation_facts *f)
{
	const struct validate_result *r = f->result;

	buf_puts(out, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites name=\"docrow validate\">\n");
	for (int l = 0; l < LAYER_COUNT; l++) {
		if (!r->layers[l].ran)
			continue;
		size_t loose = 0;
		for (size_t i = 0; i < r->nfindings; i++)
			loose += r->findings[i].table == NULL && (int)validate_kind_layer(r->findings[i].kind) == l;
		buf_printf(out, "  <testsuite name=\"%s\" tests=\"%zu\" failures=\"%zu\" time=\"%.3f\">\n",
			   validate_layer_name((enum validate_layer)l), r->ntables + loose,
			   failures_of(r, (enum validate_layer)l) + loose, r->layers[l].seconds);
		for (size_t i = 0; i < r->ntables; i++)
			put_case(out, r, &r->tables[i], (enum validate_layer)l);
		put_loose(out, r, (enum validate_layer)l);
		buf_puts(out, "  </testsuite>\n");
	}
	put_drift(out, r);
	buf_puts(out, "</testsuites>\n");
}

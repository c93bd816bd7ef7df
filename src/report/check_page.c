/* check_page.c - see check_page.h. */
#include "check_page.h"

#include <jansson.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "doc.h"
#include "ledger.h"
#include "put_json.h"
#include "text.h"

#define PATHS_SHOWN 20

static const char *const severity_words[] = {
	[CHECK_NOTE] = "note", [CHECK_WARNING] = "warning", [CHECK_ERROR] = "error"};

/* --- gathering --- */

static struct check_finding *new_finding(struct check_page *p, enum check_severity severity, const char *area)
{
	struct check_finding *grown = arena_alloc(p->arena, (p->nfindings + 1) * sizeof *grown);
	if (p->nfindings > 0)
		memcpy(grown, p->findings, p->nfindings * sizeof *grown);
	p->findings = grown;
	p->by_severity[severity]++;
	struct check_finding *f = &grown[p->nfindings++];
	*f = (struct check_finding){.severity = severity, .area = area};
	return f;
}

static PRINTF_LIKE(2, 0) const char *print(struct arena *a, const char *fmt, va_list ap)
{
	_cleanup_(buf_free) struct buf b = {0};
	buf_vprintf(&b, fmt, ap);
	return arena_strdup(a, buf_cstr(&b));
}

void check_page_find(struct check_page *p, enum check_severity severity, const char *area, const char *hint,
		     const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	struct check_finding *f = new_finding(p, severity, area);
	f->text = print(p->arena, fmt, ap);
	f->hint = hint != NULL ? arena_strdup(p->arena, hint) : NULL;
	va_end(ap);
}

void check_page_err(struct check_page *p, const char *area, const struct err *err)
{
	struct check_finding *f = new_finding(p, CHECK_ERROR, area);
	f->code = err_code_text(err->code);
	f->text = arena_printf(p->arena, "%s%s%s", err->where, err->where[0] != '\0' ? ": " : "", err->message);
	f->detail = err->detail[0] != '\0' ? arena_strdup(p->arena, err->detail) : NULL;
	f->hint = err->hint[0] != '\0' ? arena_strdup(p->arena, err->hint) : NULL;
}

void check_page_fact(struct check_page *p, const char *area, const char *label, const char *fmt, ...)
{
	va_list ap;
	struct check_fact *grown = arena_alloc(p->arena, (p->nfacts + 1) * sizeof *grown);
	if (p->nfacts > 0)
		memcpy(grown, p->facts, p->nfacts * sizeof *grown);
	va_start(ap, fmt);
	grown[p->nfacts++] = (struct check_fact){area, label, print(p->arena, fmt, ap)};
	va_end(ap);
	p->facts = grown;
}

void check_page_fixes(struct check_page *p, const char *const *sql, size_t n, bool done)
{
	struct check_fix *grown = arena_alloc(p->arena, (p->nfixes + n + 1) * sizeof *grown);
	if (p->nfixes > 0)
		memcpy(grown, p->fixes, p->nfixes * sizeof *grown);
	for (size_t i = 0; i < n; i++)
		grown[p->nfixes++] = (struct check_fix){arena_strdup(p->arena, sql[i]), done};
	p->fixes = grown;
}

/* --- what the account means --- */

static uint64_t sum_of(const struct report_facts *f, const char *kind, const char *object, const char *path)
{
	uint64_t n = 0;
	for (size_t i = 0; i < f->nentries; i++)
		if (strcmp(f->entries[i].kind, kind) == 0 &&
		    (object == NULL || strcmp(f->entries[i].object, object) == 0) &&
		    (path == NULL || strcmp(f->entries[i].path, path) == 0))
			n += f->entries[i].n;
	return n;
}

/* A column whose path no document had: usually a misspelt `from`. */
static void judge_paths(struct check_page *p)
{
	const struct report_facts *f = &p->facts_of_scan;
	for (size_t i = 0; i < f->nentries; i++) {
		const struct state_entry *e = &f->entries[i];
		bool is_missing = strcmp(e->kind, ledger_kind_name(LEDGER_IS_MISSING)) == 0 ||
				  strcmp(e->kind, ledger_kind_name(LEDGER_DEFAULT_MISSING)) == 0;
		uint64_t rows = sum_of(f, ledger_kind_name(LEDGER_ROWS), e->object, NULL);
		if (is_missing && rows > 0 && e->n >= rows)
			check_page_find(p, CHECK_WARNING, "data",
					"look at its from in the mapping; leave the column out when it is right",
					"%s.%s: no document %shas the field that feeds it", e->object, e->path,
					p->sample > 0 ? "of the sample " : "");
	}
}

static void judge_rejects(struct check_page *p)
{
	const struct report_facts *f = &p->facts_of_scan;
	uint64_t all = 0;
	char n[32];
	for (size_t i = 0; i < f->nrejects; i++)
		all += f->rejects[i].n;
	if (all > 0)
		check_page_find(
			p, CHECK_WARNING, "data", "mend the source, or say in the mapping what to do with them",
			"%s document%s, rows and array elements would be rejected, of %zu kind%s",
			text_thousands(all, n), all == 1 ? "" : "s", f->nrejects, f->nrejects == 1 ? "" : "s");
}

static void judge_sums(struct check_page *p)
{
	static const struct {
		enum ledger_kind kind;
		enum check_severity severity;
		const char *text;
	} sums[] = {
		{LEDGER_PAIR_ORPHAN, CHECK_WARNING, "pairs have an end that is no row, and would be left out"},
		{LEDGER_DROPPED, CHECK_NOTE, "rows would be dropped by a duplicate policy"},
		{LEDGER_ORPHAN_NULL, CHECK_NOTE, "references to nothing would be set to NULL"},
		{LEDGER_ORPHAN_MOVED, CHECK_NOTE, "references would be moved to another column"},
		{LEDGER_ORPHAN_KEPT, CHECK_WARNING,
		 "references to nothing would be kept, and their keys stay NOT VALID"},
		{LEDGER_DEFAULT_INVALID, CHECK_NOTE, "invalid values would be replaced by if_invalid"},
		{LEDGER_UNMAPPED, CHECK_NOTE, "values of fields that the mapping does not name would stay behind"},
	};
	char n[32];
	for (size_t i = 0; i < sizeof sums / sizeof sums[0]; i++) {
		uint64_t found = sum_of(&p->facts_of_scan, ledger_kind_name(sums[i].kind), NULL, NULL);
		if (found > 0)
			check_page_find(p, sums[i].severity, "data", NULL, "%s %s", text_thousands(found, n),
					sums[i].text);
	}
}

/* Parts of collections: what falls between their entries, and what more than one takes. */
static void judge_parts(struct check_page *p)
{
	const struct report_facts *f = &p->facts_of_scan;
	char n[32];
	for (size_t i = 0; i < f->nentries; i++) {
		const struct state_entry *e = &f->entries[i];
		if (e->n > 0 && strcmp(e->kind, ledger_kind_name(LEDGER_LEFT_OUT)) == 0)
			check_page_find(p, CHECK_NOTE, "data", NULL,
					"%s: no where takes %s of the documents, and they would stay behind",
					e->object, text_thousands(e->n, n));
		if (e->n > 0 && strcmp(e->kind, ledger_kind_name(LEDGER_SHARED)) == 0)
			check_page_find(p, CHECK_NOTE, "data", NULL,
					"%s: documents are taken by more than one entry, %s times beyond the first",
					e->object, text_thousands(e->n, n));
	}
}

void check_page_judge(struct check_page *p)
{
	judge_parts(p);
	judge_rejects(p);
	judge_sums(p);
	judge_paths(p);
}

/* --- for people --- */

static void put_escaped(struct buf *out, const char *text)
{
	text_escape(out, text, strlen(text));
}

static void heading(struct buf *out, const char *text, bool colour)
{
	buf_printf(out, colour ? "\n\033[1m%s\033[0m\n" : "\n%s\n", text);
}

static void put_facts(struct buf *out, const struct check_page *p, const char *area, const char *title, bool colour)
{
	bool any = false;
	for (size_t i = 0; i < p->nfacts; i++) {
		if (strcmp(p->facts[i].area, area) != 0)
			continue;
		if (!any)
			heading(out, title, colour);
		any = true;
		buf_printf(out, "  %-12s ", p->facts[i].label);
		put_escaped(out, p->facts[i].text);
		buf_putc(out, '\n');
	}
}

static void put_findings(struct buf *out, const struct check_page *p, enum check_severity severity, const char *title,
			 bool colour)
{
	static const char *const colours[] = {
		[CHECK_NOTE] = "", [CHECK_WARNING] = "\033[33m", [CHECK_ERROR] = "\033[31m"};
	if (p->by_severity[severity] == 0)
		return;
	heading(out, title, colour);
	for (size_t i = 0; i < p->nfindings; i++) {
		const struct check_finding *f = &p->findings[i];
		if (f->severity != severity)
			continue;
		buf_printf(out, "  %s%s: %s%s%s", colour ? colours[severity] : "", f->area,
			   f->code != NULL ? f->code : "", f->code != NULL ? ": " : "", colour ? "\033[0m" : "");
		put_escaped(out, f->text);
		buf_putc(out, '\n');
		if (f->detail != NULL)
			buf_printf(out, "      %s\n", f->detail);
		if (f->hint != NULL)
			buf_printf(out, "      what to do: %s\n", f->hint);
	}
}

static void put_fixes(struct buf *out, const struct check_page *p, bool done, bool colour)
{
	bool any = false;
	for (size_t i = 0; i < p->nfixes; i++) {
		if (p->fixes[i].done != done)
			continue;
		if (!any)
			heading(out, done ? "Fixes that were made" : "Fixes", colour);
		any = true;
		buf_puts(out, "  ");
		put_escaped(out, p->fixes[i].sql);
		buf_puts(out, ";\n");
	}
	if (any && !done)
		buf_puts(out,
			 "  docrow check --apply-fixes runs them in one transaction: they lose nothing, and need the "
			 "owner's rights only.\n");
}

static bool is_number(uint8_t kind)
{
	return kind == BSON_K_INT32 || kind == BSON_K_INT64 || kind == BSON_K_DOUBLE;
}

/* Nothing is no type, and JavaScript makes no difference between numbers. */
static size_t kinds_of(const struct check_path *path)
{
	size_t n = 0, numbers = 0;
	for (size_t k = 0; k < sizeof check_kinds; k++) {
		if (path->by_kind[k] == 0 || check_kinds[k] == BSON_K_NULL || check_kinds[k] == BSON_K_UNDEFINED)
			continue;
		if (!is_number(check_kinds[k]) || numbers++ == 0)
			n++;
	}
	return n;
}

static void put_kinds(struct buf *out, const struct check_path *path)
{
	char n[32];
	bool first = true;
	for (size_t k = 0; k < sizeof check_kinds; k++) {
		if (path->by_kind[k] == 0)
			continue;
		buf_printf(out, "%s%s %s", first ? "" : ", ", text_thousands(path->by_kind[k], n),
			   bson_kind_name(check_kinds[k]));
		first = false;
	}
}

/* Fields whose values are of several types: what a schema-less database gathers over the years. */
static void put_mixed(struct buf *out, const struct check_page *p, bool colour)
{
	size_t shown = 0, all = 0;
	for (size_t i = 0; i < p->npaths; i++) {
		if (kinds_of(&p->paths[i]) < 2 || all++ >= PATHS_SHOWN)
			continue;
		if (shown++ == 0)
			heading(out, "Fields with values of several types", colour);
		buf_puts(out, "  ");
		put_escaped(out, p->paths[i].collection);
		buf_putc(out, '.');
		put_escaped(out, p->paths[i].path);
		buf_puts(out, ": ");
		put_kinds(out, &p->paths[i]);
		buf_putc(out, '\n');
	}
	if (all > shown)
		buf_printf(out, "  and %zu more: docrow check --json lists every path\n", all - shown);
}

/* Labels by how often they were met; other texts that stand for one stay apart. */
static void put_labels(struct buf *out, const struct check_enum *e)
{
	char n[32];
	bool first = true;
	for (size_t i = 0; i < e->ntexts; i++) {
		const struct check_text *t = &e->texts[i];
		if (t->label == NULL)
			continue;
		buf_puts(out, first ? "" : ", ");
		text_escape(out, t->text, t->len);
		if (strlen(t->label) != t->len || memcmp(t->label, t->text, t->len) != 0) {
			buf_puts(out, " (as ");
			put_escaped(out, t->label);
			buf_putc(out, ')');
		}
		buf_printf(out, " %s", text_thousands(t->n, n));
		first = false;
	}
	buf_puts(out, first ? "no label was met\n" : "\n");
}

static size_t shown_bytes(const struct check_text *t)
{
	return t->len < CHECK_TEXT ? t->len : CHECK_TEXT;
}

static void put_strangers(struct buf *out, const struct check_page *p, const struct check_enum *e)
{
	size_t texts = 0, shortest = SIZE_MAX, longest = 0;
	uint64_t all = 0;
	char n[2][32];
	for (size_t i = 0; i < e->ntexts; i++) {
		const struct check_text *t = &e->texts[i];
		if (t->label != NULL)
			continue;
		all += t->n;
		shortest = t->len < shortest ? t->len : shortest;
		longest = t->len > longest ? t->len : longest;
		if (p->log_values && texts < PATHS_SHOWN) {
			buf_puts(out, "      no label: \"");
			text_escape(out, t->text, shown_bytes(t));
			buf_printf(out, "%s\" %s\n", t->len > CHECK_TEXT ? "..." : "", text_thousands(t->n, n[0]));
		}
		texts++;
	}
	if (texts > 0 && (!p->log_values || texts > PATHS_SHOWN))
		buf_printf(out, "      no label: %s values, %zu texts of %zu to %zu bytes%s\n",
			   text_thousands(all, n[0]), texts, shortest, longest,
			   p->log_values ? "" : "; --log-values shows them");
	if (e->more > 0)
		buf_printf(out, "      not told: %s values of further texts, after the first %d\n",
			   text_thousands(e->more, n[0]), CHECK_MAX_TEXTS);
}

static bool is_used(const struct check_enum *e, const char *label)
{
	for (size_t i = 0; i < e->ntexts; i++)
		if (e->texts[i].label != NULL && strcmp(e->texts[i].label, label) == 0)
			return true;
	return false;
}

static void put_unused(struct buf *out, const struct check_page *p, const struct check_enum *e)
{
	bool first = true;
	for (size_t i = 0; e->type != NULL && e->more == 0 && i < e->type->nlabels; i++) { /* else: not known */
		if (is_used(e, e->type->labels[i]))
			continue;
		buf_puts(out, first ? p->sample > 0 ? "      not in the sample: " : "      never: " : ", ");
		put_escaped(out, e->type->labels[i]);
		first = false;
	}
	buf_puts(out, first ? "" : "\n");
}

static void put_enums(struct buf *out, const struct check_page *p, bool colour)
{
	if (p->nenums > 0)
		heading(out, "Labels of enum columns", colour);
	for (size_t i = 0; i < p->nenums; i++) {
		const struct check_enum *e = &p->enums[i];
		buf_puts(out, "  ");
		put_escaped(out, e->table);
		buf_putc(out, '.');
		put_escaped(out, e->column);
		buf_puts(out, ": ");
		put_labels(out, e);
		put_strangers(out, p, e);
		put_unused(out, p, e);
	}
}

static void put_verdict(struct buf *out, const struct check_page *p, bool colour)
{
	size_t errors = p->by_severity[CHECK_ERROR], warnings = p->by_severity[CHECK_WARNING];
	heading(out, "Verdict", colour);
	if (errors > 0)
		buf_printf(out, "  %zu error%s: the migration would not start, or not end well. Mend them first.\n",
			   errors, errors == 1 ? "" : "s");
	else if (warnings > 0)
		buf_printf(out,
			   "  %zu warning%s: the migration runs, and these things happen. Exit status would be 1 if "
			   "documents are rejected.\n",
			   warnings, warnings == 1 ? "" : "s");
	else
		buf_puts(out, "  Nothing stands in the way.\n");
	if (!p->has_scan && errors == 0)
		buf_puts(out, "  The documents were not looked at: --scan full converts every one without writing, "
			      "--scan sample a few thousand of each collection.\n");
}

void check_page_text(struct buf *out, const struct check_page *p, bool colour)
{
	buf_puts(out, colour ? "\033[1mCheck\033[0m\n  from     " : "Check\n  from     ");
	put_escaped(out, p->source);
	buf_puts(out, "\n  to       ");
	put_escaped(out, p->target);
	buf_puts(out, "\n  mapping  ");
	put_escaped(out, p->mapping);
	buf_putc(out, '\n');
	put_facts(out, p, "source", "Source", colour);
	put_facts(out, p, "target", "Target", colour);
	if (p->has_scan) {
		summary_tables(out, &p->facts_of_scan, &p->account, colour);
		put_mixed(out, p, colour);
		put_enums(out, p, colour);
	}
	put_facts(out, p, "estimate", "Estimate", colour);
	put_findings(out, p, CHECK_NOTE, "Good to know", colour);
	put_findings(out, p, CHECK_WARNING, "Warnings", colour);
	put_findings(out, p, CHECK_ERROR, "Errors", colour);
	put_fixes(out, p, true, colour);
	put_fixes(out, p, false, colour);
	put_verdict(out, p, colour);
}

/* --- for machines --- */

static json_t *findings_json(const struct check_page *p)
{
	json_t *list = json_array();
	for (size_t i = 0; i < p->nfindings; i++) {
		const struct check_finding *f = &p->findings[i];
		json_t *o = json_object();
		json_put(o, "severity", json_string(severity_words[f->severity]));
		json_put(o, "area", json_string(f->area));
		json_put_text(o, "code", f->code);
		json_put_text(o, "text", f->text);
		json_put_text(o, "detail", f->detail);
		json_put_text(o, "hint", f->hint);
		json_array_append_new(list, o);
	}
	return list;
}

static json_t *fixes_json(const struct check_page *p)
{
	json_t *list = json_array();
	for (size_t i = 0; i < p->nfixes; i++) {
		json_t *o = json_object();
		json_put_text(o, "sql", p->fixes[i].sql);
		json_put(o, "done", json_boolean(p->fixes[i].done));
		json_array_append_new(list, o);
	}
	return list;
}

static json_t *facts_json(const struct check_page *p)
{
	json_t *list = json_array();
	for (size_t i = 0; i < p->nfacts; i++) {
		json_t *o = json_object();
		json_put(o, "area", json_string(p->facts[i].area));
		json_put_text(o, "label", p->facts[i].label);
		json_put_text(o, "text", p->facts[i].text);
		json_array_append_new(list, o);
	}
	return list;
}

static json_t *paths_json(const struct check_page *p)
{
	json_t *list = json_array();
	for (size_t i = 0; i < p->npaths; i++) {
		json_t *o = json_object(), *kinds = json_object();
		for (size_t k = 0; k < sizeof check_kinds; k++)
			if (p->paths[i].by_kind[k] > 0)
				json_put_count(kinds, bson_kind_name(check_kinds[k]), p->paths[i].by_kind[k]);
		json_put_text(o, "collection", p->paths[i].collection);
		json_put_text(o, "path", p->paths[i].path);
		json_put(o, "types", kinds);
		json_array_append_new(list, o);
	}
	return list;
}

static json_t *text_json(const struct check_text *t, bool show)
{
	_cleanup_(buf_free) struct buf text = {0};
	json_t *o = json_object();
	json_put_count(o, "n", t->n);
	json_put_count(o, "bytes", t->len);
	json_put_text(o, "label", t->label);
	if (t->label != NULL || show) {
		buf_put(&text, t->text, shown_bytes(t));
		json_put_text(o, "text", buf_cstr(&text));
	}
	return o;
}

static json_t *enums_json(const struct check_page *p)
{
	json_t *list = json_array();
	for (size_t i = 0; i < p->nenums; i++) {
		const struct check_enum *e = &p->enums[i];
		json_t *o = json_object(), *texts = json_array();
		for (size_t k = 0; k < e->ntexts; k++)
			json_array_append_new(texts, text_json(&e->texts[k], p->log_values));
		json_put_text(o, "collection", e->collection);
		json_put_text(o, "table", e->table);
		json_put_text(o, "column", e->column);
		json_put_text(o, "enum", e->type != NULL ? e->type->name : NULL);
		json_put(o, "texts", texts);
		json_put_count(o, "more", e->more);
		json_array_append_new(list, o);
	}
	return list;
}

static json_t *ledger_json(const struct report_facts *f)
{
	json_t *list = json_array();
	for (size_t i = 0; i < f->nentries; i++) {
		const struct state_entry *e = &f->entries[i];
		json_t *o = json_object();
		json_put_text(o, "kind", e->kind);
		json_put_text(o, "object", e->object);
		json_put_text(o, "path", e->path);
		json_put_count(o, "n", e->n);
		json_array_append_new(list, o);
	}
	return list;
}

static json_t *rejects_json(const struct report_facts *f)
{
	json_t *list = json_array();
	for (size_t i = 0; i < f->nrejects; i++) {
		const struct state_pattern *r = &f->rejects[i];
		json_t *o = json_object();
		json_put_count(o, "n", r->n);
		json_put_text(o, "fault", r->fault);
		json_put_text(o, "collection", r->collection);
		json_put_text(o, "table", r->table);
		json_put_text(o, "column", r->column);
		json_put_text(o, "path", r->path);
		json_put_text(o, "bson_type", r->bson_type);
		json_array_append_new(list, o);
	}
	return list;
}

char *check_page_json(const struct check_page *p)
{
	json_t *root = json_object();
	json_put(root, "version", json_integer(1));
	json_put_text(root, "source", p->source);
	json_put_text(root, "target", p->target);
	json_put_text(root, "mapping", p->mapping);
	json_put_count(root, "errors", p->by_severity[CHECK_ERROR]);
	json_put_count(root, "warnings", p->by_severity[CHECK_WARNING]);
	json_put(root, "facts", facts_json(p));
	json_put(root, "findings", findings_json(p));
	json_put(root, "fixes", fixes_json(p));
	if (p->has_scan) {
		json_put_count(root, "sample", p->sample);
		json_put(root, "seconds", json_real(p->seconds));
		json_put(root, "rejects", rejects_json(&p->facts_of_scan));
		json_put(root, "ledger", ledger_json(&p->facts_of_scan));
		json_put(root, "paths", paths_json(p));
		json_put(root, "enums", enums_json(p));
	}
	char *text = json_dumps(root, JSON_INDENT(2) | JSON_PRESERVE_ORDER | JSON_REAL_PRECISION(6));
	json_decref(root);
	return text;
}

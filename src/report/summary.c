/* summary.c - what a person reads at the end of a run. Plain text, at most 100 columns where names allow. */
#include <stdlib.h>
#include <string.h>

#include "ledger.h"
#include "report.h"
#include "text.h"

#define PATHS_SHOWN 20 /* of a section of one kind */
#define KIND_SHOWN  10 /* of each kind of a section of several */

struct page {
	struct buf *out;
	const struct report_facts *f;
	const struct account *a;
	bool colour;
};

static void heading(struct page *p, const char *text)
{
	buf_printf(p->out, p->colour ? "\n\033[1m%s\033[0m\n" : "\n%s\n", text);
}

static void put_escaped(struct buf *out, const char *text)
{
	text_escape(out, text, strlen(text));
}

static void blanks(struct buf *out, size_t n)
{
	while (n-- > 0)
		buf_putc(out, ' ');
}

/* A name, filled up to `width` characters. */
static void put_name(struct page *p, const char *name, size_t width)
{
	size_t from = p->out->len;

	put_escaped(p->out, name);
	size_t n = utf8_count((const char *)p->out->data + from, p->out->len - from);
	blanks(p->out, n < width ? width - n : 0);
}

static void put_right(struct page *p, const char *text, size_t width)
{
	size_t n = strlen(text);

	blanks(p->out, n < width ? width - n : 0);
	buf_puts(p->out, text);
}

static void put_count(struct page *p, uint64_t n, size_t width)
{
	char text[32];

	put_right(p, n == 0 ? "-" : text_thousands(n, text), width);
}

static size_t name_width(const struct page *p)
{
	size_t width = 12;

	for (size_t i = 0; i < p->a->ntables; i++)
		if (utf8_count(p->a->tables[i].name, strlen(p->a->tables[i].name)) > width)
			width = utf8_count(p->a->tables[i].name, strlen(p->a->tables[i].name));
	for (size_t i = 0; i < p->a->ncollections; i++)
		if (utf8_count(p->a->collections[i].name, strlen(p->a->collections[i].name)) > width)
			width = utf8_count(p->a->collections[i].name, strlen(p->a->collections[i].name));
	return width > 40 ? 40 : width;
}

static uint64_t rate(uint64_t n, double seconds)
{
	return seconds > 0.001 ? (uint64_t)((double)n / seconds + 0.5) : 0;
}

/* --- collections, tables, junctions --- */

static uint64_t all_rejects(const struct account_collection *c, const struct account_table *t)
{
	return c->rejects + t->reject_rows;
}

static bool is_shared(const struct page *p, int table)
{
	return p->f->plan->schema.tables[table].nfeeders > 1;
}

/* What was taken out of a table that several collections feed stands at the table, below the last of them. */
static void line_of_shared(struct page *p, const struct account_collection *c, size_t width)
{
	const struct account_table *t = &p->a->tables[c->table];
	_cleanup_(buf_free) struct buf name = {0};

	for (const struct account_collection *o = c + 1; o < p->a->collections + p->a->ncollections; o++)
		if (o->table == c->table)
			return;
	buf_printf(&name, "  table %s", t->name);
	put_name(p, buf_cstr(&name), width);
	put_count(p, 0, 12);
	put_count(p, t->rows, 12);
	put_count(p, t->reject_rows, 9);
	put_count(p, t->dropped, 9);
	buf_putc(p->out, '\n');
}

static void line_of_collection(struct page *p, const struct account_collection *c, size_t width)
{
	const struct account_table *t = &p->a->tables[c->table];
	bool shared = is_shared(p, c->table);
	char text[32];

	put_name(p, c->name, width);
	put_count(p, c->read, 12);
	put_count(p, shared ? c->read - c->rejects : t->rows, 12);
	put_count(p, shared ? c->rejects : all_rejects(c, t), 9);
	put_count(p, shared ? 0 : t->dropped, 9);
	put_right(p, c->seconds > 0 ? text_duration(c->seconds, text) : "-", 11);
	put_count(p, rate(c->read, c->seconds), 11);
	buf_putc(p->out, '\n');
}

static void collections(struct page *p)
{
	static const char *const titles[] = {"documents", "rows", "rejects", "dropped", "time", "docs/s"};
	static const size_t widths[] = {12, 12, 9, 9, 11, 11};
	size_t width = name_width(p);
	char text[32];

	heading(p, "Documents");
	put_name(p, "collection", width);
	for (size_t i = 0; i < 6; i++)
		put_right(p, titles[i], widths[i]);
	buf_putc(p->out, '\n');
	for (size_t i = 0; i < p->a->ncollections; i++) {
		line_of_collection(p, &p->a->collections[i], width);
		if (is_shared(p, p->a->collections[i].table))
			line_of_shared(p, &p->a->collections[i], width);
	}
	uint64_t rows = 0, rejects = 0, dropped = 0;
	for (size_t i = 0; i < p->a->ncollections; i++)
		rejects += p->a->collections[i].rejects;
	for (size_t i = 0; i < p->a->ntables; i++) {
		const struct account_table *t = &p->a->tables[i];
		if (t->is_child || t->is_junction)
			continue;
		rows += t->rows;
		rejects += t->reject_rows;
		dropped += t->dropped;
	}
	put_name(p, "all", width);
	put_count(p, p->a->read, 12);
	put_count(p, rows, 12);
	put_count(p, rejects, 9);
	put_count(p, dropped, 9);
	put_right(p, text_duration(p->f->load_seconds, text), 11);
	put_count(p, rate(p->a->read, p->f->load_seconds), 11);
	buf_putc(p->out, '\n');
}

static void parts(struct page *p)
{
	size_t width = name_width(p);

	if (p->a->nwholes == 0)
		return;
	heading(p, "Collections taken in parts");
	put_name(p, "collection", width);
	buf_puts(p->out, "   documents        read  left out by where  in more than one\n");
	for (size_t i = 0; i < p->a->nwholes; i++) {
		const struct account_whole *w = &p->a->wholes[i];
		put_name(p, w->source, width);
		put_count(p, w->documents, 12);
		put_count(p, w->read, 12);
		put_count(p, w->left_out, 19);
		put_count(p, w->shared, 18);
		buf_putc(p->out, '\n');
	}
}

static void children(struct page *p)
{
	size_t width = name_width(p);
	bool any = false;

	for (size_t i = 0; i < p->a->ntables; i++) {
		const struct account_table *t = &p->a->tables[i];
		if (!t->is_child)
			continue;
		if (!any) {
			heading(p, "Elements of arrays");
			put_name(p, "table", width);
			buf_puts(p->out, "    elements        rows  rejects  of rejected documents\n");
			any = true;
		}
		put_name(p, t->name, width);
		put_count(p, t->elements, 12);
		put_count(p, t->rows, 12);
		put_count(p, t->rejected_elements + t->reject_rows + t->children_of_rejects, 9);
		put_count(p, t->of_rejected_documents, 23);
		buf_putc(p->out, '\n');
	}
}

static void line_of_side(struct page *p, const struct account_side *s)
{
	char n[4][32];

	buf_puts(p->out, "  from ");
	put_escaped(p->out, s->collection);
	buf_printf(p->out, ": %s elements", text_thousands(s->elements, n[0]));
	if (s->one_sided > 0)
		buf_printf(p->out, ", %s pairs only here", text_thousands(s->one_sided, n[1]));
	if (s->repeats > 0)
		buf_printf(p->out, ", %s repeated", text_thousands(s->repeats, n[2]));
	if (s->of_rejected_documents > 0)
		buf_printf(p->out, ", %s of rejected documents", text_thousands(s->of_rejected_documents, n[3]));
	buf_putc(p->out, '\n');
}

static void junctions(struct page *p)
{
	size_t width = name_width(p);

	if (p->a->njunctions == 0)
		return;
	heading(p, "Many to many");
	put_name(p, "table", width);
	buf_puts(p->out, "       pairs        rows  both sides  left out   orphans\n");
	for (size_t i = 0; i < p->a->njunctions; i++) {
		const struct account_junction *j = &p->a->junctions[i];
		put_name(p, j->name, width);
		put_count(p, j->pairs, 12);
		put_count(p, j->rows, 12);
		put_count(p, j->mirrored, 12);
		put_count(p, j->left_out, 10);
		put_count(p, j->orphans, 10);
		buf_putc(p->out, '\n');
		for (size_t k = 0; k < j->nsides; k++)
			line_of_side(p, &j->sides[k]);
	}
}

/* --- the ledger by path and column --- */

struct section {
	const char *title;
	const enum ledger_kind *kinds;
	size_t nkinds;
};

static const enum ledger_kind left_behind[] = {LEDGER_UNMAPPED};
static const enum ledger_kind kept[] = {LEDGER_KEPT};
static const enum ledger_kind put_in[] = {LEDGER_DEFAULT_MISSING, LEDGER_DEFAULT_NULL, LEDGER_DEFAULT_UNDEFINED,
					  LEDGER_DEFAULT_INVALID, LEDGER_IS_INVALID,   LEDGER_IS_UNDEFINED,
					  LEDGER_ID_MAPPED,       LEDGER_ENCODING,     LEDGER_DUPLICATE_KEYS,
					  LEDGER_NEGATIVE_ZERO,   LEDGER_ROUNDED,      LEDGER_LABELLED,
					  LEDGER_FOLDED,          LEDGER_ACCEPTED};
static const enum ledger_kind no_row[] = {LEDGER_ORPHAN_NULL, LEDGER_ORPHAN_MOVED, LEDGER_ORPHAN_KEPT, LEDGER_STUB};
static const enum ledger_kind taken_out[] = {LEDGER_REJECT_ROW, LEDGER_REJECT_ELEMENT, LEDGER_CHILD_OF_REJECT,
					     LEDGER_DROPPED};
static const enum ledger_kind were_there[] = {LEDGER_BEFORE, LEDGER_SKIPPED, LEDGER_REPLACED};

#define KINDS(list) (list), sizeof(list) / sizeof((list)[0])
static const struct section sections[] = {
	{"Left behind: values of fields that the mapping does not name", KINDS(left_behind)},
	{"Put into a column of their own: values of fields that the mapping does not name", KINDS(kept)},
	{"Put in or mended as the mapping asks", KINDS(put_in)},
	{"References without a row to point to", KINDS(no_row)},
	{"Taken out", KINDS(taken_out)},
	{"Rows that were there before the run", KINDS(were_there)},
};

/* Position of the entry's kind in the section, nkinds when it does not belong there. */
static size_t rank_of(const struct section *s, const struct state_entry *e)
{
	size_t i = 0;

	while (i < s->nkinds && (e->n == 0 || strcmp(ledger_kind_name(s->kinds[i]), e->kind) != 0))
		i++;
	return i;
}

struct ranked {
	const struct state_entry *entry;
	size_t rank;
};

/* By kind as the section lists them, then the largest first, then by name. */
static int by_rank(const void *a, const void *b)
{
	const struct ranked *x = a, *y = b;

	if (x->rank != y->rank)
		return x->rank < y->rank ? -1 : 1;
	if (x->entry->n != y->entry->n)
		return x->entry->n > y->entry->n ? -1 : 1;
	int c = strcmp(x->entry->object, y->entry->object);
	return c != 0 ? c : strcmp(x->entry->path, y->entry->path);
}

static void entry_line(struct page *p, const struct state_entry *e, enum ledger_kind kind, bool say_kind)
{
	put_count(p, e->n, 12);
	buf_puts(p->out, "  ");
	put_escaped(p->out, e->object);
	if (e->path[0] != '\0') {
		buf_putc(p->out, '.');
		put_escaped(p->out, e->path);
	}
	if (say_kind)
		buf_printf(p->out, "  (%s)", ledger_kind_sentence(kind));
	buf_putc(p->out, '\n');
}

/* The entries of one kind: the largest ones, and what the others come to. */
static void kind_lines(struct page *p, const struct section *s, const struct ranked *list, size_t n)
{
	size_t shown = s->nkinds > 1 ? KIND_SHOWN : PATHS_SHOWN;
	uint64_t others = 0;
	char text[32];

	if (n <= shown + 1)
		shown = n;
	for (size_t i = 0; i < shown; i++)
		entry_line(p, list[i].entry, s->kinds[list[i].rank], s->nkinds > 1);
	for (size_t i = shown; i < n; i++)
		others += list[i].entry->n;
	if (n > shown && p->f->is_scan)
		buf_printf(p->out, "              and %s in %zu more: docrow check --json\n",
			   text_thousands(others, text), n - shown);
	else if (n > shown)
		buf_printf(p->out,
			   "              and %s in %zu more: SELECT * FROM docrow.ledger WHERE kind = '%s'\n",
			   text_thousands(others, text), n - shown, ledger_kind_name(s->kinds[list[0].rank]));
}

static void section(struct page *p, const struct section *s)
{
	struct ranked *list = mem_alloc((p->f->nentries + 1) * sizeof(*list));
	size_t found = 0;

	for (size_t i = 0; i < p->f->nentries; i++) {
		struct ranked r = {&p->f->entries[i], rank_of(s, &p->f->entries[i])};
		if (r.rank < s->nkinds)
			list[found++] = r;
	}
	qsort(list, found, sizeof(*list), by_rank);
	if (found > 0)
		heading(p, s->title);
	for (size_t i = 0, next; i < found; i = next) {
		for (next = i; next < found && list[next].rank == list[i].rank;)
			next++;
		kind_lines(p, s, list + i, next - i);
	}
	free(list);
}

/* --- what else there is to say --- */

static void slowest(struct page *p)
{
	char text[32];

	if (p->f->nslowest == 0)
		return;
	heading(p, "Slowest steps");
	for (size_t i = 0; i < p->f->nslowest; i++) {
		put_right(p, text_duration(p->f->slowest[i].seconds, text), 12);
		buf_puts(p->out, "  ");
		put_escaped(p->out, p->f->slowest[i].name);
		buf_putc(p->out, '\n');
	}
}

/* Of a run whose rejects were tried again. */
static void retried(struct page *p)
{
	char n[3][32];

	if (p->a->retried > 0)
		buf_printf(p->out, "\n  Rejects %s, of them retried %s, open %s\n",
			   text_thousands(p->a->rejects, n[0]), text_thousands(p->a->retried, n[1]),
			   text_thousands(p->a->rejects - p->a->retried, n[2]));
}

static void patterns(struct page *p)
{
	size_t n = p->f->nrejects < 10 ? p->f->nrejects : 10;

	if (n == 0)
		return;
	heading(p, "Rejects by pattern");
	for (size_t i = 0; i < n; i++) {
		const struct state_pattern *r = &p->f->rejects[i];
		put_count(p, r->n, 12);
		buf_printf(p->out, "  %s", r->fault ? r->fault : "?");
		if (r->collection || r->table) {
			buf_puts(p->out, "  ");
			put_escaped(p->out, r->collection ? r->collection : r->table);
		}
		if (r->path || r->column) {
			buf_putc(p->out, '.');
			put_escaped(p->out, r->path ? r->path : r->column);
		}
		if (r->bson_type)
			buf_printf(p->out, " (%s)", r->bson_type);
		buf_putc(p->out, '\n');
	}
	if (p->f->nrejects > n)
		buf_printf(p->out, "        and %zu more patterns: docrow %s\n", p->f->nrejects - n,
			   p->f->is_scan ? "check --json" : "rejects");
}

static void name_list(struct page *p, const char *title, const struct plan_names *l)
{
	for (size_t i = 0; i < l->n; i++) {
		buf_printf(p->out, "  %s", i == 0 ? title : "");
		blanks(p->out, i == 0 ? 14 - strlen(title) : 14);
		put_escaped(p->out, l->list[i]);
		buf_putc(p->out, '\n');
	}
}

static void left_out(struct page *p)
{
	const struct plan *plan = p->f->plan;

	if (plan->left_out.n == 0)
		return;
	heading(p, "Left out of this run (--only, --skip)");
	name_list(p, "collections", &plan->left_out);
	name_list(p, "foreign keys", &plan->left_keys);
	name_list(p, "junctions", &plan->left_junctions);
}

static void shout(struct page *p, const char *title, const char *const *list, size_t n)
{
	if (n == 0)
		return;
	buf_printf(p->out, p->colour ? "\n\033[1;31m%s\033[0m\n" : "\n%s\n", title);
	for (size_t i = 0; i < n; i++) {
		buf_puts(p->out, "  !! ");
		put_escaped(p->out, list[i]);
		buf_putc(p->out, '\n');
	}
}

/* The reason is the server's, without values. */
static void refused(struct page *p)
{
	if (p->f->nrefused == 0)
		return;
	heading(p, "KEYS AND INDEXES THAT THE SERVER REFUSED (the rows are there)");
	for (size_t i = 0; i < p->f->nrefused; i++) {
		const struct state_refused *r = &p->f->refused[i];
		buf_puts(p->out, "  !! ");
		put_escaped(p->out, r->object);
		buf_puts(p->out, " on ");
		put_escaped(p->out, r->table);
		buf_puts(p->out, ": ");
		put_escaped(p->out, r->reason);
		buf_printf(p->out, " (SQLSTATE %s)\n     ", r->sqlstate);
		put_escaped(p->out, r->definition);
		buf_puts(p->out, ";\n");
	}
	buf_puts(p->out, "  Mend the rows or the definition and run it, or do without. docrow.ddl keeps them (state "
			 "'refused').\n");
}

static void proof(struct page *p)
{
	shout(p, "THE ACCOUNT DOES NOT BALANCE", p->a->breaks, p->a->nbreaks);
	shout(p, "THE SOURCE CHANGED DURING THE COPY", p->a->changes, p->a->nchanges);
	shout(p, "FOREIGN KEYS LEFT NOT VALID (orphans were kept)", p->f->kept_keys, p->f->nkept_keys);
	refused(p);
	if (p->a->nbreaks == 0 && p->a->nchanges == 0 && p->a->nchecked > 0) {
		heading(p, "Account");
		buf_printf(
			p->out,
			"  All %zu checks hold: documents read = rows + rejects + dropped, the source's own count = "
			"documents\n  read, elements = pairs or rows + leavings, the ledger = count(*) of every "
			"table.\n",
			p->a->nchecked);
	}
}

static void what_next(struct page *p)
{
	heading(p, "Where to look, what next");
	buf_puts(p->out,
		 "  Schema docrow of the target holds the account: docrow.ledger, docrow.reject, docrow.finding\n");
	if (p->f->errors_file)
		buf_printf(p->out, "  %s lists the rejects, without their values\n", p->f->errors_file);
	if (p->f->checkpoint_file)
		buf_printf(p->out, "  %s has the counts for scripts\n", p->f->checkpoint_file);
	if (p->f->resume_command)
		buf_printf(p->out, "  Go on with: %s\n", p->f->resume_command);
	else if (p->a->nbreaks > 0)
		buf_puts(p->out, "  Do not move over: this is a bug in docrow or somebody changed the tables. Please "
				 "report it.\n");
	else if (p->a->rejects > p->a->retried)
		buf_puts(p->out, "  docrow rejects shows what was rejected and why; with a mended mapping docrow "
				 "retry loads it;\n"
				 "  docrow migrate --clean starts anew\n");
	else if (p->a->nchanges > 0)
		buf_puts(p->out, "  Stop writes to the source and start anew: docrow migrate --clean\n");
	else
		buf_puts(p->out, "  Point the application at the target\n");
}

static void head(struct page *p)
{
	const struct state_run *r = &p->f->run;
	char n[3][32];

	buf_printf(p->out, p->colour ? "\033[1mRun %lld: %s\033[0m" : "Run %lld: %s", (long long)r->id, r->status);
	buf_printf(p->out, "   %s documents; rows %s, keys and indexes %s\n", text_thousands(p->a->read, n[0]),
		   text_duration(p->f->load_seconds, n[1]), text_duration(p->f->settle_seconds, n[2]));
	buf_puts(p->out, "  from     ");
	put_escaped(p->out, r->source_describe);
	buf_puts(p->out, "\n  to       ");
	put_escaped(p->out, p->f->target);
	buf_puts(p->out, "\n  mapping  ");
	put_escaped(p->out, r->mapping_name);
	if (r->way != NULL && r->way[0] != '\0')
		buf_printf(p->out, "\n  tables   were there: %s", r->way);
	buf_putc(p->out, '\n');
}

/* A sentence over several lines, broken at blanks. */
static void put_sentence(struct page *p, const char *text)
{
	size_t column = 2;

	buf_puts(p->out, " ");
	for (const char *word = text; *word;) {
		size_t n = strcspn(word, " ");

		if (column + n > 99) {
			buf_puts(p->out, "\n ");
			column = 2;
		}
		buf_putc(p->out, ' ');
		buf_put(p->out, word, n);
		column += n + 1;
		word += n + (word[n] == ' ');
	}
	buf_putc(p->out, '\n');
}

static void about_source(struct page *p)
{
	if (p->f->nnotes == 0)
		return;
	heading(p, "About the source");
	for (size_t i = 0; i < p->f->nnotes; i++)
		put_sentence(p, p->f->notes[i]);
}

static void absent(struct page *p)
{
	struct arena *a = arena_new();
	const char **list;
	size_t n = absent_paths(a, p->f, &list), shown = n <= PATHS_SHOWN + 1 ? n : PATHS_SHOWN;

	if (n > 0)
		heading(p, "Paths that no document has (of those that loaded; of arrays: none has an element)");
	for (size_t i = 0; i < shown; i++) {
		blanks(p->out, 14);
		put_escaped(p->out, list[i]);
		buf_putc(p->out, '\n');
	}
	if (n > shown)
		buf_printf(p->out, "              and %zu more\n", n - shown);
	arena_free(a);
}

static void tables(struct page *p)
{
	collections(p);
	parts(p);
	children(p);
	junctions(p);
	for (size_t i = 0; i < sizeof(sections) / sizeof(sections[0]); i++)
		section(p, &sections[i]);
	absent(p);
	patterns(p);
	retried(p);
}

void summary_tables(struct buf *out, const struct report_facts *f, const struct account *account, bool colour)
{
	struct page p = {.out = out, .f = f, .a = account, .colour = colour};

	tables(&p);
}

void summary_write(struct buf *out, const struct report_facts *f, const struct account *account, bool colour)
{
	struct page p = {.out = out, .f = f, .a = account, .colour = colour};

	head(&p);
	tables(&p);
	left_out(&p);
	slowest(&p);
	about_source(&p);
	proof(&p);
	what_next(&p);
}

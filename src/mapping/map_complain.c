/* map_complain.c - gathers every error of a mapping, so that all can be told at once.
 *
 * complain (any order) → complaints_finish (sorts by place and writes them).
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "map_private.h"
#include "text.h"

#define TOLD_MAX    200 /* more than that is one mistake repeated */
#define DETAIL_TOLD 3

static void PRINTF_LIKE(4, 0) complain_va(struct complaints *c, int line, int col, const char *fmt, va_list ap)
{
	if (c->n == c->cap) {
		size_t cap = c->cap == 0 ? 16 : c->cap * 2;
		struct complaint *list = arena_alloc(c->arena, cap * sizeof *list);
		if (c->n > 0)
			memcpy(list, c->list, c->n * sizeof *list);
		c->list = list;
		c->cap = cap;
	}
	struct buf raw, clean;
	buf_init(&raw, 0);
	buf_init(&clean, 0);
	buf_vprintf(&raw, fmt, ap);
	text_escape(&clean, (const char *)raw.data, raw.len);
	c->list[c->n++] = (struct complaint){line, col, arena_strdup(c->arena, buf_cstr(&clean))};
	buf_free(&raw);
	buf_free(&clean);
}

void complain(struct complaints *c, int line, int col, const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	complain_va(c, line, col, fmt, ap);
	va_end(ap);
}

void complain_field(struct complaints *c, const struct mapping *m, const void *field, int line, int col,
		    const char *fmt, ...)
{
	va_list ap;
	map_position(m, field, &line, &col);
	va_start(ap, fmt);
	complain_va(c, line, col, fmt, ap);
	va_end(ap);
}

void map_position(const struct mapping *m, const void *field, int *line, int *col)
{
	size_t lo = 0, hi = m->npositions;
	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;
		if ((uintptr_t)m->positions[mid].field < (uintptr_t)field)
			lo = mid + 1;
		else
			hi = mid;
	}
	if (lo < m->npositions && m->positions[lo].field == field) {
		*line = m->positions[lo].line;
		*col = m->positions[lo].col;
	}
}

bool has_complaint(const struct complaints *c, const struct mapping *m, const void *field)
{
	int line = -1, col = -1;
	map_position(m, field, &line, &col);
	for (size_t i = 0; i < c->n; i++)
		if (c->list[i].line == line && c->list[i].col == col)
			return true;
	return false;
}

static int by_place(const void *a, const void *b)
{
	const struct complaint *x = a, *y = b;
	if (x->line != y->line)
		return x->line < y->line ? -1 : 1;
	if (x->col != y->col)
		return x->col < y->col ? -1 : 1;
	return strcmp(x->text, y->text);
}

/* What an alias repeats is told once. */
static void sort_and_thin(struct complaints *c)
{
	size_t kept = 0;
	qsort(c->list, c->n, sizeof *c->list, by_place);
	for (size_t i = 0; i < c->n; i++)
		if (kept == 0 || by_place(&c->list[kept - 1], &c->list[i]) != 0)
			c->list[kept++] = c->list[i];
	c->n = kept;
}

static void put_line(struct buf *out, const struct complaints *c, const struct complaint *one, const char *kind)
{
	if (one->line > 0)
		buf_printf(out, "%s:%d:%d: %s%s\n", c->file, one->line, one->col, kind, one->text);
	else
		buf_printf(out, "%s: %s%s\n", c->file, kind, one->text);
}

void complaints_warn(struct complaints *warnings, struct buf *out)
{
	if (warnings->n > 0)
		sort_and_thin(warnings);
	for (size_t i = 0; i < warnings->n; i++)
		put_line(out, warnings, &warnings->list[i], "warning: ");
}

bool complaints_finish(struct complaints *c, const char *hint, struct buf *report, struct err *err)
{
	if (c->n == 0)
		return true;
	sort_and_thin(c);
	struct buf first;
	buf_init(&first, 0);
	for (size_t i = 0; i < c->n && i < TOLD_MAX; i++) {
		if (report != NULL)
			put_line(report, c, &c->list[i], "");
		if (i < DETAIL_TOLD)
			put_line(&first, c, &c->list[i], "");
	}
	if (c->n > TOLD_MAX && report != NULL)
		buf_printf(report, "%s: and %zu more\n", c->file, c->n - TOLD_MAX);
	if (c->n > DETAIL_TOLD)
		buf_printf(&first, "and %zu more\n", c->n - DETAIL_TOLD);
	if (first.len > 0)
		first.len--; /* the last line's end */
	err_set(err, ERR_MAPPING, "the mapping %s has %zu error%s", c->file, c->n, c->n == 1 ? "" : "s");
	err_detail(err, "%s", buf_cstr(&first));
	err_hint(err, "%s", hint);
	buf_free(&first);
	return false;
}

const char *map_suggest(struct arena *a, const char *word, const char *const *known, size_t n)
{
	size_t best = SIZE_MAX, at = 0, len = strlen(word);
	if (len > MAP_NAME_MAX)
		return "";
	for (size_t i = 0; i < n; i++) {
		if (known[i] == NULL || strlen(known[i]) > MAP_NAME_MAX)
			continue;
		size_t d = strcasecmp(known[i], word) == 0 ? 0 : text_distance(word, known[i]);
		if (d < best) {
			best = d;
			at = i;
		}
	}
	if (best > (len < 4 ? 1 : len < 8 ? 2 : 3))
		return "";
	return arena_printf(a, "; did you mean \"%s\"?", known[at]);
}

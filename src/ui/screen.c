/* screen.c - see screen.h.
 *
 * A line is a row of cells. Which cells a width has room for is decided once per picture: in the order of `wanted`,
 * a cell is taken while the line stays within the width; what is left over widens the name, then the bar.
 */
#include "screen.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "term.h"
#include "text.h"

enum cell { CELL_NAME, CELL_BAR, CELL_PERCENT, CELL_DONE, CELL_REJECTS, CELL_RATE, CELL_LEFT, CELL_COUNT };

static const struct {
	const char *title;
	size_t least, most;
	bool right;
} cells[CELL_COUNT] = {[CELL_NAME] = {"collection", 6, 40, false}, [CELL_BAR] = {"", 5, 40, false},
		       [CELL_PERCENT] = {"", 4, 4, true},          [CELL_DONE] = {"documents", 11, 11, true},
		       [CELL_REJECTS] = {"rejects", 8, 8, true},   [CELL_RATE] = {"rate", 9, 9, true},
		       [CELL_LEFT] = {"left", 6, 6, true}};

static const enum cell wanted[] = {CELL_NAME, CELL_PERCENT, CELL_BAR, CELL_DONE, CELL_REJECTS, CELL_LEFT, CELL_RATE};

struct layout {
	size_t width[CELL_COUNT]; /* 0: left out */
	size_t total;
};

/* One line with its styles: columns are counted as they are appended, escape sequences are not. */
struct picture {
	struct buf *out;
	const struct screen_style *style;
	size_t width;
	int lines, max_lines;
};

const char *screen_short_time(double s, char out[32])
{
	if (!(s >= 0) || s > 86400.0 * 99) {
		snprintf(out, 32, "-");
		return out;
	}
	unsigned long t = (unsigned long)(s + 0.5);
	if (t < 60)
		snprintf(out, 32, "%lus", t);
	else if (t < 3600)
		snprintf(out, 32, "%lum%02lus", t / 60, t % 60);
	else if (t < 86400)
		snprintf(out, 32, "%luh%02lum", t / 3600, t / 60 % 60);
	else
		snprintf(out, 32, "%lud%02luh", t / 86400, t / 3600 % 24);
	return out;
}

/* n with one digit after the point, independent of the locale. */
static void scaled(double n, double unit, char letter, const char *suffix, char *out, size_t size)
{
	unsigned long tenths = (unsigned long)(n / unit * 10 + 0.5);

	snprintf(out, size, "%lu.%lu%c%s", tenths / 10, tenths % 10, letter, suffix);
}

const char *screen_rate(double rate, char out[32])
{
	if (!(rate >= 0) || rate > 1e12) {
		snprintf(out, 32, "-");
	} else if (rate < 999999.5) {
		char n[32];
		snprintf(out, 32, "%.11s/s", text_thousands((uint64_t)(rate + 0.5), n));
	} else if (rate < 1e9) {
		scaled(rate, 1e6, 'M', "/s", out, 32);
	} else {
		scaled(rate, 1e9, 'G', "/s", out, 32);
	}
	return out;
}

const char *screen_count(uint64_t n, char out[32])
{
	if (n <= 999999999)
		return text_thousands(n, out);
	scaled((double)n, 1e9, 'G', "", out, 32);
	return out;
}

static size_t longest_name(const struct screen_view *v)
{
	size_t longest = strlen(cells[CELL_NAME].title);

	for (size_t i = 0; i < v->ntables; i++) {
		size_t w = term_width(v->tables[i].name, strlen(v->tables[i].name));
		if (w > longest)
			longest = w;
	}
	return longest;
}

static void widen(struct layout *l, enum cell c, size_t most, size_t width)
{
	if (l->width[c] == 0)
		return;
	while (l->width[c] < most && l->total < width) {
		l->width[c]++;
		l->total++;
	}
}

static struct layout lay_out(const struct screen_view *v, size_t width)
{
	struct layout l = {0};
	size_t name = longest_name(v);

	for (size_t i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++) {
		size_t need = cells[wanted[i]].least + (l.total > 0 ? 1 : 0);
		if (l.total + need > width)
			break;
		l.width[wanted[i]] = cells[wanted[i]].least;
		l.total += need;
	}
	widen(&l, CELL_NAME, name < cells[CELL_NAME].most ? name : cells[CELL_NAME].most, width);
	widen(&l, CELL_BAR, cells[CELL_BAR].most, width);
	return l;
}

static void style(struct picture *p, const char *sgr)
{
	if (p->style->colour)
		buf_printf(p->out, "\033[%sm", sgr);
}

static bool begin_line(struct picture *p)
{
	return p->lines < p->max_lines;
}

static void end_line(struct picture *p)
{
	buf_putc(p->out, '\n');
	p->lines++;
}

/* One line of running text, cut to the width. */
static void text_line(struct picture *p, const char *sgr, const char *text)
{
	if (!begin_line(p) || text[0] == '\0')
		return;
	if (sgr)
		style(p, sgr);
	term_fit(p->out, text, strlen(text), p->width, p->style->utf8);
	if (sgr)
		style(p, "0");
	end_line(p);
}

static double share(const struct screen_table *t)
{
	if (t->state == SCREEN_FINISHED)
		return 1;
	if (t->total == 0)
		return 0;
	double s = (double)t->done / (double)t->total;
	return s > 0.99 ? 0.99 : s; /* totals are estimates: only the end is 100 % */
}

/* Bars have eighths of a column where UTF-8 is at hand. */
static void bar(struct picture *p, double part, size_t width)
{
	static const char *const eighths[] = {"", "▏", "▎", "▍", "▌", "▋", "▊", "▉"};
	size_t units = p->style->utf8 ? 8 : 1;
	size_t full = (size_t)(part * (double)(width * units) + 0.5);
	size_t used = 0;

	if (!p->style->utf8) {
		for (; used < width; used++)
			buf_putc(p->out, used < full ? '#' : '.');
		return;
	}
	style(p, "32");
	for (; used < full / 8; used++)
		buf_puts(p->out, "█");
	if (full % 8 != 0 && used < width) {
		buf_puts(p->out, eighths[full % 8]);
		used++;
	}
	style(p, "0;2");
	for (; used < width; used++)
		buf_puts(p->out, "░");
	style(p, "0");
}

static void cell_text(const struct screen_table *t, enum cell c, char out[32])
{
	char small[32];

	out[0] = '\0';
	switch (c) {
	case CELL_PERCENT:
		snprintf(out, 32, "%d%%", (int)(share(t) * 100));
		break;
	case CELL_DONE:
		screen_count(t->done, out);
		break;
	case CELL_REJECTS:
		if (t->rejects > 9999999)
			snprintf(out, 32, ">9.9M");
		else if (t->rejects > 0)
			snprintf(out, 32, "%lu", (unsigned long)t->rejects);
		break;
	case CELL_RATE:
		screen_rate(t->rate, out);
		break;
	case CELL_LEFT:
		snprintf(out, 32, "%s", screen_short_time(t->left, small));
		break;
	default:
		break;
	}
}

static void table_line(struct picture *p, const struct layout *l, const struct screen_table *t, const char *name)
{
	bool first = true;

	if (!begin_line(p))
		return;
	for (enum cell c = 0; c < CELL_COUNT; c++) {
		char text[32];
		if (l->width[c] == 0)
			continue;
		if (!first)
			buf_putc(p->out, ' ');
		first = false;
		if (c == CELL_BAR) {
			bar(p, share(t), l->width[c]);
			continue;
		}
		cell_text(t, c, text);
		if (c == CELL_REJECTS && t->rejects > 0)
			style(p, "33");
		term_cell(p->out, c == CELL_NAME ? name : text, l->width[c], cells[c].right, p->style->utf8);
		if (c == CELL_REJECTS && t->rejects > 0)
			style(p, "0");
	}
	end_line(p);
}

static void title_line(struct picture *p, const struct layout *l)
{
	bool first = true;

	if (!begin_line(p))
		return;
	style(p, "2");
	for (enum cell c = 0; c < CELL_COUNT; c++) {
		if (l->width[c] == 0)
			continue;
		if (!first)
			buf_putc(p->out, ' ');
		first = false;
		term_cell(p->out, cells[c].title, l->width[c], cells[c].right, p->style->utf8);
	}
	style(p, "0");
	end_line(p);
}

/* Settling has no documents: steps take their place in the line of the whole. */
static struct screen_table settling_line(const struct screen_view *v)
{
	struct screen_table t = {.done = v->steps_done, .total = v->steps, .rejects = v->all.rejects};

	t.state = v->steps_done == v->steps && v->steps > 0 ? SCREEN_FINISHED : SCREEN_RUNNING;
	t.rate = -1;
	t.left = v->left;
	return t;
}

static void running_lines(struct picture *p, const struct layout *l, const struct screen_view *v, int keep)
{
	size_t running = 0, shown = 0;

	for (size_t i = 0; i < v->ntables; i++)
		running += v->tables[i].state == SCREEN_RUNNING;
	for (size_t i = 0; i < v->ntables; i++) {
		if (v->tables[i].state != SCREEN_RUNNING)
			continue;
		int room = p->max_lines - p->lines - keep;
		if (room < 1 || (room == 1 && running - shown > 1))
			break;
		table_line(p, l, &v->tables[i], v->tables[i].name);
		shown++;
	}
	if (shown < running && p->max_lines - p->lines > keep) {
		char text[64];
		snprintf(text, sizeof(text), "and %zu more at work", running - shown);
		text_line(p, "2", text);
	}
}

static void tally(const struct screen_view *v, char *text, size_t size)
{
	size_t n[3] = {0};
	char elapsed[32], left[32];

	for (size_t i = 0; i < v->ntables; i++)
		n[v->tables[i].state]++;
	screen_short_time(v->elapsed, elapsed);
	int len = snprintf(text, size, "%zu of %zu collections loaded, %zu waiting; %s so far", n[SCREEN_FINISHED],
			   v->ntables, n[SCREEN_WAITING], elapsed);
	if (v->left >= 0 && len > 0 && (size_t)len < size)
		snprintf(text + len, size - (size_t)len, ", about %s to the end", screen_short_time(v->left, left));
}

int screen_draw(const struct screen_view *v, const struct screen_style *s, struct buf *out)
{
	struct picture p = {.out = out, .style = s, .width = s->width > 1 ? (size_t)s->width - 1 : 1};
	struct layout l = lay_out(v, p.width);
	char text[128];

	p.max_lines = s->height > 1 ? s->height - 1 : 1;
	int after = 1 + (v->current[0] != '\0') + (v->message[0] != '\0') + v->stopping;
	if (v->settling) {
		struct screen_table steps = settling_line(v);
		table_line(&p, &l, &steps, "steps");
	} else {
		if (p.max_lines > after + 3)
			title_line(&p, &l);
		running_lines(&p, &l, v, after + 1);
		table_line(&p, &l, &v->all, v->phase);
	}
	if (v->stopping)
		text_line(&p, "33", "stopping: the work in hand is finished or rolled back");
	text_line(&p, "33", v->message);
	tally(v, text, sizeof(text));
	text_line(&p, "2", text);
	text_line(&p, "2", v->current);
	return p.lines;
}

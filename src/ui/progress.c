/* progress.c - see progress.h.
 *
 * Rates are taken over the last ten seconds: per collection a ring of samples (time, documents), one a second.
 */
#include "progress.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "mem.h"
#include "screen.h"
#include "term.h"
#include "text.h"

#define SAMPLES       11
#define SAMPLE_EVERY  1.0
#define PLAIN_EVERY   10.0
#define JSON_EVERY    1.0
#define SECONDS_KNOWN 1.0 /* a rate over less than this says nothing */

struct samples {
	double at[SAMPLES];
	uint64_t docs[SAMPLES];
	unsigned n; /* taken so far; the newest is (n - 1) % SAMPLES */
};

struct progress {
	enum progress_mode mode;
	int fd;
	bool colour, utf8;
	pthread_mutex_t lock; /* the descriptor and the picture */
	struct buf picture;   /* as drawn last, lines ended by LF */
	int picture_lines;
	bool ended;
	/* Of the thread that calls progress_update. */
	struct screen_table *tables;
	bool *told; /* its end was told */
	struct samples *samples, all_samples;
	size_t ntables;
	struct screen_view view;
	char current[160], message[256];
	double last_line;
	enum state_phase phase;
	bool phase_told;
};

static void write_all(int fd, const void *data, size_t n)
{
	const char *p = data;

	while (n > 0) {
		ssize_t w = write(fd, p, n);
		if (w < 0 && errno == EAGAIN) {
			struct pollfd pf = {.fd = fd, .events = POLLOUT};
			if (poll(&pf, 1, 1000) > 0)
				continue;
			return;
		}
		if (w < 0 && errno != EINTR)
			return; /* nobody is left to be told */
		if (w > 0) {
			p += w;
			n -= (size_t)w;
		}
	}
}

struct progress *progress_new(enum progress_mode mode, int fd, bool colour, bool utf8)
{
	struct progress *p = mem_zalloc(sizeof(*p));

	p->mode = mode;
	p->fd = fd;
	p->colour = colour;
	p->utf8 = utf8;
	p->last_line = -1;
	pthread_mutex_init(&p->lock, NULL);
	buf_init(&p->picture, 0);
	return p;
}

static void free_tables(struct progress *p)
{
	for (size_t i = 0; i < p->ntables; i++)
		free((char *)p->tables[i].name);
	free(p->tables);
	free(p->told);
	free(p->samples);
}

void progress_free(struct progress *p)
{
	if (!p)
		return;
	free_tables(p);
	buf_free(&p->picture);
	pthread_mutex_destroy(&p->lock);
	free(p);
}

/* --- rates --- */

static void sample(struct samples *s, double now, uint64_t docs)
{
	if (s->n > 0 && now - s->at[(s->n - 1) % SAMPLES] < SAMPLE_EVERY)
		return;
	s->at[s->n % SAMPLES] = now;
	s->docs[s->n % SAMPLES] = docs;
	s->n++;
}

/* Documents a second since the oldest sample; < 0 where too little is known. */
static double rate_of(const struct samples *s, double now, uint64_t docs)
{
	if (s->n == 0)
		return -1;
	unsigned oldest = s->n > SAMPLES ? s->n % SAMPLES : 0;
	double seconds = now - s->at[oldest];
	if (seconds < SECONDS_KNOWN || docs < s->docs[oldest])
		return -1;
	return (double)(docs - s->docs[oldest]) / seconds;
}

static double seconds_left(const struct screen_table *t)
{
	if (t->state == SCREEN_FINISHED)
		return 0;
	if (t->rate <= 0 || t->total < t->done)
		return -1;
	return (double)(t->total - t->done) / t->rate;
}

/* --- the view of a snapshot --- */

static char *escaped(const char *name)
{
	struct buf b;

	buf_init(&b, 0);
	text_escape(&b, name, strlen(name));
	char *copy = mem_strdup(buf_cstr(&b));
	buf_free(&b);
	return copy;
}

static void take_names(struct progress *p, const struct engine_snapshot *s)
{
	if (p->ntables == s->ntables)
		return;
	free_tables(p);
	p->ntables = s->ntables;
	p->tables = mem_zalloc((s->ntables + 1) * sizeof(*p->tables));
	p->told = mem_zalloc((s->ntables + 1) * sizeof(*p->told));
	p->samples = mem_zalloc((s->ntables + 1) * sizeof(*p->samples));
	for (size_t i = 0; i < s->ntables; i++)
		p->tables[i].name = escaped(s->tables[i].collection);
}

static void take_table(struct progress *p, size_t i, const struct engine_table *t, double now)
{
	struct screen_table *o = &p->tables[i];

	o->done = t->docs;
	o->total = t->est_docs;
	o->rejects = t->rejects;
	o->state = t->finished || !t->present ? SCREEN_FINISHED : t->started ? SCREEN_RUNNING : SCREEN_WAITING;
	if (o->state == SCREEN_RUNNING)
		sample(&p->samples[i], now, t->docs);
	o->rate = rate_of(&p->samples[i], now, t->docs);
	o->left = seconds_left(o);
}

/* Seconds to the end of the run, keys and indexes too; < 0: not known. Before settling itself can be measured it is
 * taken to cost what its weight says, in documents loaded. */
static double whole_left(const struct engine_snapshot *s, const struct screen_view *v, double now)
{
	double rest = s->weight > s->weight_done ? s->weight - s->weight_done : 0;

	if (s->weight <= 0)
		return -1;
	if (!v->settling)
		return v->all.rate > 0 && v->all.left >= 0 ? v->all.left + rest / v->all.rate : -1;
	double seconds = s->settle_started_at > 0 ? now - s->settle_started_at : 0;
	double gone = s->weight_done - s->settle_weight_done;
	return seconds >= SECONDS_KNOWN && gone > 0 ? rest * seconds / gone : -1;
}

static void take_snapshot(struct progress *p, const struct engine_snapshot *s, double now)
{
	struct screen_view *v = &p->view;
	bool all_finished = true;

	take_names(p, s);
	memset(v, 0, sizeof(*v));
	for (size_t i = 0; i < s->ntables; i++) {
		take_table(p, i, &s->tables[i], now);
		v->all.done += p->tables[i].done;
		/* An estimate that was too low must not make the whole run over. */
		v->all.total += p->tables[i].total > p->tables[i].done ? p->tables[i].total : p->tables[i].done;
		v->all.rejects += p->tables[i].rejects;
		all_finished &= p->tables[i].state == SCREEN_FINISHED;
	}
	sample(&p->all_samples, now, v->all.done);
	v->all.state = all_finished && s->ntables > 0 ? SCREEN_FINISHED : SCREEN_RUNNING;
	v->all.rate = rate_of(&p->all_samples, now, v->all.done);
	v->all.left = seconds_left(&v->all);
	v->phase = s->doing ? s->doing : state_phase_name(s->phase);
	v->tables = p->tables;
	v->ntables = p->ntables;
	v->steps = s->steps;
	v->steps_done = s->steps_done;
	v->elapsed = now - s->started_at;
	snprintf(p->current, sizeof(p->current), "%s", s->current);
	snprintf(p->message, sizeof(p->message), "%s", s->message);
	v->current = p->current;
	v->message = p->message;
	v->settling = s->phase == STATE_SETTLE || s->phase == STATE_DONE;
	v->stopping = s->stopping;
	v->left = whole_left(s, v, now);
}

/* --- on a terminal --- */

/* Columns of a line of the picture; its styles take none. */
static size_t drawn_columns(const char *line, size_t n)
{
	size_t width = 0;

	while (n > 0) {
		const char *escape = memchr(line, '\033', n);
		size_t text = escape ? (size_t)(escape - line) : n;
		width += term_width(line, text);
		line += text;
		n -= text;
		const char *end = n > 0 ? memchr(line, 'm', n) : NULL;
		size_t style = end ? (size_t)(end - line) + 1 : n;
		line += style;
		n -= style;
	}
	return width;
}

/* Rows that the picture takes now: a terminal made narrower since has broken the lines that were wider. */
static int rows_taken(const struct progress *p, int columns)
{
	const char *line = (const char *)p->picture.data;
	size_t rows = 0;

	if (columns <= 0)
		return p->picture_lines;
	for (int i = 0; i < p->picture_lines; i++) {
		const char *lf = memchr(line, '\n', (size_t)((const char *)p->picture.data + p->picture.len - line));
		size_t width = drawn_columns(line, (size_t)(lf - line));
		rows += width == 0 ? 1 : (width + (size_t)columns - 1) / (size_t)columns;
		line = lf + 1;
	}
	return (int)rows;
}

/* Puts the cursor where the picture began. What stands there is written over line by line and the rest cleared at the
 * end: clearing first would flicker, and some terminals save a cleared screen in their history. Caller holds the
 * lock. */
static void go_to_start(struct progress *p, struct buf *out)
{
	int rows = rows_taken(p, term_columns(p->fd));

	if (rows > 0)
		buf_printf(out, "\033[%dA\r", rows);
}

static void put_over(struct buf *out, const char *line, size_t n)
{
	buf_put(out, line, n);
	buf_puts(out, "\033[K\n");
}

static void put_picture(struct progress *p, struct buf *out)
{
	const char *line = (const char *)p->picture.data;
	const char *end = line + p->picture.len;

	while (line < end) {
		const char *lf = memchr(line, '\n', (size_t)(end - line));
		put_over(out, line, (size_t)(lf - line));
		line = lf + 1;
	}
	buf_puts(out, "\033[J");
}

static void draw(struct progress *p)
{
	struct screen_style style = {
		.width = term_columns(p->fd), .height = term_rows(p->fd), .utf8 = p->utf8, .colour = p->colour};
	struct buf out;

	buf_init(&out, 0);
	go_to_start(p, &out);
	buf_reset(&p->picture);
	p->picture_lines = screen_draw(&p->view, &style, &p->picture);
	put_picture(p, &out);
	write_all(p->fd, out.data, out.len);
	buf_free(&out);
}

/* --- as lines --- */

/* Of the first collection that is not loaded: later ones may have begun. NULL: not said, or all are. */
static const char *load_phase_of(const struct progress *p, const struct engine_snapshot *s)
{
	for (size_t i = 0; i < p->ntables; i++)
		if (p->tables[i].state != SCREEN_FINISHED)
			return s->tables[i].load_phase;
	return NULL;
}

static void load_line(const struct screen_view *v, const char *load_phase, struct buf *line)
{
	char done[32], total[32], rate[32], left[32];

	buf_puts(line, v->phase);
	if (load_phase)
		buf_printf(line, " (%s)", load_phase);
	buf_printf(line, ": %s of %s documents", text_thousands(v->all.done, done),
		   text_thousands(v->all.total, total));
	if (v->all.rate >= 0)
		buf_printf(line, ", %s", screen_rate(v->all.rate, rate));
	if (v->all.rejects > 0)
		buf_printf(line, ", %s rejects", text_thousands(v->all.rejects, done));
	if (v->all.left > 0)
		buf_printf(line, ", about %s left", screen_short_time(v->all.left, left));
}

static void put_line(struct progress *p, struct buf *line)
{
	buf_putc(line, '\n');
	write_all(p->fd, line->data, line->len);
	buf_reset(line);
}

static void finished_line(struct progress *p, const struct engine_table *t, size_t i, struct buf *line)
{
	char docs[32], rejects[32], seconds[32];

	buf_printf(line, "%s: %s documents", p->tables[i].name, text_thousands(t->docs, docs));
	if (t->rejects > 0)
		buf_printf(line, ", %s rejects", text_thousands(t->rejects, rejects));
	if (t->started_at > 0 && t->finished_at >= t->started_at)
		buf_printf(line, ", %s", text_duration(t->finished_at - t->started_at, seconds));
	put_line(p, line);
}

static void plain(struct progress *p, const struct engine_snapshot *s, double now, bool last)
{
	struct buf line;
	char left[32];

	buf_init(&line, 0);
	for (size_t i = 0; i < p->ntables; i++) {
		if (!s->tables[i].finished || !s->tables[i].present || p->told[i])
			continue;
		p->told[i] = true;
		if (s->tables[i].finished_at <= s->started_at)
			continue; /* an earlier process loaded it */
		finished_line(p, &s->tables[i], i, &line);
	}
	if (p->last_line < 0)
		p->last_line = s->started_at > 0 ? s->started_at : now;
	if (last || now - p->last_line >= PLAIN_EVERY) {
		p->last_line = now;
		if (p->view.settling)
			buf_printf(&line, "%s: %llu of %llu steps", p->view.phase,
				   (unsigned long long)p->view.steps_done, (unsigned long long)p->view.steps);
		else
			load_line(&p->view, load_phase_of(p, s), &line);
		if (p->view.left >= 0 && !s->finished)
			buf_printf(&line, ", about %s to the end", screen_short_time(p->view.left, left));
		if (p->current[0] != '\0' && !s->finished)
			buf_printf(&line, "; %s", p->current);
		if (p->message[0] != '\0')
			buf_printf(&line, "; %s", p->message);
		put_line(p, &line);
	}
	buf_free(&line);
}

/* --- as JSON -------------------------------------------------------------------------------- */

static void json_event(struct buf *o, const char *event)
{
	char time[32];

	clock_iso(time);
	buf_printf(o, "{\"event\":\"%s\",\"time\":\"%s\"", event, time);
}

static void json_text(struct buf *o, const char *key, const char *text)
{
	buf_printf(o, ",\"%s\":", key);
	text_json_string(o, text, strlen(text));
}

static void json_number(struct buf *o, const char *key, double v)
{
	char text[32];

	if (v < 0) {
		buf_printf(o, ",\"%s\":null", key);
		return;
	}
	text_double((double)(uint64_t)(v * 10 + 0.5) / 10, text);
	buf_printf(o, ",\"%s\":%s", key, text);
}

static void json_count(struct buf *o, const char *key, uint64_t n)
{
	buf_printf(o, ",\"%s\":%llu", key, (unsigned long long)n);
}

static void json_table(struct buf *o, const struct engine_table *t, const struct screen_table *view)
{
	static const char *const states[] = {"waiting", "running", "finished"};

	buf_puts(o, "{\"collection\":");
	text_json_string(o, t->collection, strlen(t->collection));
	json_text(o, "table", t->table);
	if (t->load_phase)
		json_text(o, "load_phase", t->load_phase);
	json_text(o, "state", t->present ? states[view->state] : "absent");
	json_count(o, "documents", t->docs);
	json_count(o, "expected", t->est_docs);
	json_count(o, "rejects", t->rejects);
	json_count(o, "chunks", t->chunks);
	json_count(o, "chunks_done", t->chunks_done);
	json_number(o, "rate", view->rate);
	json_number(o, "seconds_left", view->left);
	buf_putc(o, '}');
}

static void json(struct progress *p, const struct engine_snapshot *s, double now, bool last)
{
	struct buf o;

	buf_init(&o, 0);
	if (!p->phase_told || p->phase != s->phase) {
		p->phase_told = true;
		p->phase = s->phase;
		json_event(&o, "phase");
		json_text(&o, "phase", p->view.phase);
		buf_puts(&o, "}\n");
	}
	for (size_t i = 0; i < p->ntables; i++) {
		if (!s->tables[i].finished || !s->tables[i].present || p->told[i])
			continue;
		p->told[i] = true;
		json_event(&o, "collection");
		buf_puts(&o, ",\"collection\":");
		json_table(&o, &s->tables[i], &p->tables[i]);
		buf_puts(&o, "}\n");
	}
	if (last || p->last_line < 0 || now - p->last_line >= JSON_EVERY) {
		p->last_line = now;
		json_event(&o, "progress");
		json_text(&o, "phase", p->view.phase);
		json_count(&o, "documents", p->view.all.done);
		json_count(&o, "expected", p->view.all.total);
		json_count(&o, "rejects", p->view.all.rejects);
		json_count(&o, "steps", p->view.steps);
		json_count(&o, "steps_done", p->view.steps_done);
		json_number(&o, "rate", p->view.all.rate);
		json_number(&o, "seconds_left", p->view.all.left);
		json_number(&o, "seconds_left_run", p->view.left);
		json_number(&o, "seconds", p->view.elapsed);
		json_text(&o, "current", p->current);
		json_text(&o, "message", p->message);
		buf_printf(&o, ",\"stopping\":%s,\"collections\":[", s->stopping ? "true" : "false");
		for (size_t i = 0; i < p->ntables; i++) {
			if (i > 0)
				buf_putc(&o, ',');
			json_table(&o, &s->tables[i], &p->tables[i]);
		}
		buf_puts(&o, "]}\n");
	}
	write_all(p->fd, o.data, o.len);
	buf_free(&o);
}

/* --- what callers see --- */

void progress_update(struct progress *p, const struct engine_snapshot *s, double now)
{
	if (p->mode == PROGRESS_NONE)
		return;
	pthread_mutex_lock(&p->lock);
	if (!p->ended) {
		take_snapshot(p, s, now);
		if (p->mode == PROGRESS_SCREEN)
			draw(p);
		else if (p->mode == PROGRESS_PLAIN)
			plain(p, s, now, s->finished);
		else
			json(p, s, now, s->finished);
	}
	pthread_mutex_unlock(&p->lock);
}

void progress_end(struct progress *p, const char *status, double now)
{
	pthread_mutex_lock(&p->lock);
	if (!p->ended && p->mode == PROGRESS_JSON) {
		struct buf o;
		buf_init(&o, 0);
		json_event(&o, "end");
		json_text(&o, "status", status);
		buf_puts(&o, "}\n");
		write_all(p->fd, o.data, o.len);
		buf_free(&o);
	}
	p->ended = true;
	p->picture_lines = 0; /* what is drawn stays; later lines go below it */
	pthread_mutex_unlock(&p->lock);
}

void progress_log(struct progress *p, enum log_level level, const char *line)
{
	static const char *const names[] = {"error", "warning", "info", "debug"};
	static const char *const prefix[] = {"error: ", "warning: ", "", ""};
	struct buf o;

	buf_init(&o, 0);
	pthread_mutex_lock(&p->lock);
	if (p->mode == PROGRESS_JSON) {
		json_event(&o, "log");
		json_text(&o, "level", names[level]);
		json_text(&o, "text", line);
		buf_puts(&o, "}\n");
	} else if (p->mode == PROGRESS_SCREEN && p->picture_lines > 0) {
		struct buf text;
		buf_init(&text, 0);
		buf_printf(&text, "docrow: %s%s", prefix[level], line);
		go_to_start(p, &o);
		put_over(&o, (const char *)text.data, text.len);
		put_picture(p, &o);
		buf_free(&text);
	} else {
		buf_printf(&o, "docrow: %s%s\n", prefix[level], line);
	}
	write_all(p->fd, o.data, o.len);
	pthread_mutex_unlock(&p->lock);
	buf_free(&o);
}

void progress_log_writer(enum log_level level, const char *line, void *ctx)
{
	progress_log(ctx, level, line);
}

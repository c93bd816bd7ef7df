/* export_read.c - the documents of a JSON export: one behind the other (a line each, or over several lines), or the
 * elements of one array.
 *
 * A place to begin is 0, or behind a document. Where documents begin and end is found by brackets and quotes alone
 * when they are only counted; what they say is looked at when they are read.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "dump.h"
#include "extjson_read.h"
#include "sys.h"

#define KEEP_BYTES ((size_t)4 << 20) /* a buffer that grew past this is given back */

struct place {
	struct extjson_reader *reader;
	struct buf doc;
	bool is_array; /* told by the first byte of the file           */
	bool is_begin; /* nothing but blanks has been passed            */
	bool ended;    /* the end of the file, or of the array          */
	bool told;     /* that there are bare numbers                   */
};

static const char note_bare[] = "the export holds bare numbers (relaxed Extended JSON): whether something that wrote "
				"it has rounded one cannot be "
				"seen; mongoexport --jsonFormat=canonical writes all digits and types";

/* ---- between documents ---- */

static bool is_blank(int c)
{
	return c == ' ' || c == '\n' || c == '\r' || c == '\t';
}

/* The next byte that is not blank, which is not taken; -1: the end of the file; -2: unreadable. */
static int peek_word(struct dump_stream *s, struct err *err)
{
	for (;;) {
		if (!dump_need(s, 1, err))
			return -2;
		if (window_have(&s->w) == 0)
			return -1;
		const uint8_t *p = window_data(&s->w), *end = p + window_have(&s->w);
		while (p < end && is_blank(*p))
			p++;
		window_drop(&s->w, (size_t)(p - window_data(&s->w)));
		if (p < end)
			return *p;
	}
}

static int not_due(struct dump_stream *s, struct err *err, const char *due)
{
	dump_damaged(s, s->w.at, err, "is damaged", "%s is due there", due);
	return -1;
}

static int end_of_array(struct dump_stream *s, struct err *err)
{
	struct place *p = s->state;
	window_drop(&s->w, 1);
	p->ended = true;
	int c = peek_word(s, err);
	return c == -1 ? 0 : c == -2 ? -1 : not_due(s, err, "the end of the file");
}

static int next_in_array(struct dump_stream *s, int c, struct err *err)
{
	struct place *p = s->state;
	bool takes_end = true;
	if (c != ']' && c != -1) {
		bool is_right = p->is_begin ? c == '[' : c == ',';
		if (!is_right)
			return not_due(s, err, p->is_begin ? "a [" : "a comma or ]");
		window_drop(&s->w, 1);
		takes_end = p->is_begin;
		c = peek_word(s, err);
	}
	if (c == '{')
		return 1;
	if (c == ']' && takes_end)
		return end_of_array(s, err);
	if (c == -1)
		dump_damaged(s, s->w.at, err, "is cut short", "it ends before its array does");
	return c < 0 ? -1 : not_due(s, err, "a document, which begins with {,");
}

/* A file of something else is met at its first byte. */
static void hint_foreign(const struct dump_stream *s, struct err *err)
{
	const uint8_t *p = window_data(&s->w);
	size_t n = window_have(&s->w);
	if (s->w.at > 0 || n < 2)
		return;
	if ((p[0] == 0xff && p[1] == 0xfe) || (p[0] == 0xfe && p[1] == 0xff))
		err_hint(err,
			 "it looks like UTF-16, as PowerShell writes with >: use mongoexport --out, or convert it to "
			 "UTF-8");
	else if (p[0] < 0x20)
		err_hint(err, "it looks like no text; of a dump give the folder or the archive");
	else
		err_hint(err, "if it is CSV or TSV, which tell no types: export with mongoexport --type=json");
}

/* 1: a document begins at the window's beginning; 0: there are no more. */
static int to_document(struct dump_stream *s, struct err *err)
{
	static const uint8_t mark[] = {0xef, 0xbb, 0xbf};
	struct place *p = s->state;
	if (p->ended)
		return 0;
	if (!dump_need(s, sizeof(mark), err))
		return -1;
	if (s->w.at == 0 && window_have(&s->w) >= 3 && memcmp(window_data(&s->w), mark, 3) == 0)
		window_drop(&s->w, 3);
	int c = peek_word(s, err);
	if (c == -2)
		return -1;
	if (p->is_begin)
		p->is_array = c == '[';
	int got = p->is_array ? next_in_array(s, c, err) : c == '{' ? 1 : c == -1 ? 0 : -1;
	if (got == -1 && !p->is_array) {
		not_due(s, err, "a document, which begins with {,");
		hint_foreign(s, err);
	}
	p->is_begin = false;
	p->ended = got == 0;
	return got;
}

/* ---- next ---- */

struct json_input {
	struct extjson_input in; /* first */
	struct dump_stream *s;
	struct err *err;
	bool failed, ended;
};

static void take_used(struct json_input *i)
{
	window_drop(&i->s->w, (size_t)(i->in.p - window_data(&i->s->w)));
}

static void show_window(struct json_input *i)
{
	i->in.p = window_data(&i->s->w);
	i->in.end = i->in.p + window_have(&i->s->w);
}

static bool more(struct extjson_input *in)
{
	struct json_input *i = (struct json_input *)in;
	take_used(i);
	i->failed = i->failed || !dump_need(i->s, 1, i->err);
	i->ended = window_have(&i->s->w) == 0;
	show_window(i);
	return !i->failed && !i->ended;
}

static int tell_trouble(struct json_input *i, uint64_t from, const char *trouble)
{
	if (!i->failed)
		dump_damaged(i->s, i->s->w.at, i->err, i->ended ? "is cut short" : "is damaged",
			     "%s (the document begins at byte %" PRIu64 ")", trouble, from);
	return -1;
}

static void note_numbers(struct dump_stream *s)
{
	struct place *p = s->state;
	if (!p->told && extjson_reader_saw_bare(p->reader)) {
		p->told = true;
		s->note = note_bare;
	}
}

static int json_next(struct dump_stream *s, const uint8_t **doc, size_t *len, struct err *err)
{
	struct place *p = s->state;
	const char *trouble;
	if (p->doc.cap > KEEP_BYTES) {
		buf_free(&p->doc);
		buf_init(&p->doc, DUMP_MAX_DOCUMENT);
	}
	int got = to_document(s, err);
	if (got != 1)
		return got;
	uint64_t from = s->w.at;
	struct json_input i = {.in = {.more = more}, .s = s, .err = err};
	show_window(&i);
	bool ok = extjson_read(p->reader, &i.in, &p->doc, &trouble);
	take_used(&i);
	if (!ok)
		return tell_trouble(&i, from, trouble);
	note_numbers(s);
	*doc = p->doc.data;
	*len = p->doc.len;
	s->at = s->w.at;
	return 1;
}

/* ---- skip ---- */

struct scan {
	uint64_t depth;
	bool in_string, escaped;
};

/* Up to behind the bracket that closes the first one; NULL: it is not in these bytes. */
static const uint8_t *scan(struct scan *t, const uint8_t *p, const uint8_t *end)
{
	for (; p < end; p++) {
		if (t->in_string) {
			if (t->escaped)
				t->escaped = false;
			else if (*p == '\\')
				t->escaped = true;
			else if (*p == '"')
				t->in_string = false;
		} else if (*p == '"') {
			t->in_string = true;
		} else if (*p == '{' || *p == '[') {
			t->depth++;
		} else if ((*p == '}' || *p == ']') && --t->depth == 0) {
			return p + 1;
		}
	}
	return NULL;
}

static int cut_short(struct dump_stream *s, uint64_t from, struct err *err)
{
	dump_damaged(s, s->w.at, err, "is cut short", "it ends inside the document that begins at byte %" PRIu64,
		     from);
	return -1;
}

static int json_skip(struct dump_stream *s, size_t *len, struct err *err)
{
	struct scan t = {0};
	int got = to_document(s, err);
	if (got != 1)
		return got;
	uint64_t from = s->w.at;
	for (const uint8_t *behind = NULL; !behind;) {
		if (stop_requested()) {
			err_set(err, ERR_STOPPED, "stopped while reading %s", s->file->file.name);
			return -1;
		}
		if (!dump_need(s, 1, err))
			return -1;
		size_t have = window_have(&s->w);
		if (have == 0)
			return cut_short(s, from, err);
		behind = scan(&t, window_data(&s->w), window_data(&s->w) + have);
		window_drop(&s->w, behind ? (size_t)(behind - window_data(&s->w)) : have);
	}
	*len = (size_t)(s->w.at - from);
	s->at = s->w.at;
	return 1;
}

/* ---- open, seek, close ---- */

static bool json_seek(struct dump_stream *s, uint64_t at, struct err *err)
{
	struct place *p = s->state;
	p->is_begin = at == 0;
	p->ended = false;
	s->at = at;
	return window_seek(&s->w, at, err);
}

/* Whether it is an array must be known wherever reading begins. */
static bool json_open(struct dump_stream *s, struct err *err)
{
	struct place *p = s->state = mem_zalloc(sizeof(*p));
	p->reader = extjson_reader_new();
	buf_init(&p->doc, DUMP_MAX_DOCUMENT);
	p->is_begin = true;
	int c = peek_word(s, err);
	p->is_array = c == '[';
	return c != -2 && json_seek(s, 0, err);
}

static void json_close(struct dump_stream *s)
{
	struct place *p = s->state;
	extjson_reader_free(p->reader);
	buf_free(&p->doc);
	free(p);
}

const struct dump_framing dump_json = {
	.open = json_open, .seek = json_seek, .next = json_next, .skip = json_skip, .close = json_close};

/* window.c - see window.h. */
#include <stdlib.h>

#include "window.h"

#define WINDOW (512u << 10)

bool window_open(struct window *w, const struct content_file *f, struct err *err)
{
	*w = (struct window){0};
	if (!content_open(&w->content, f, err))
		return false;
	w->data = mem_alloc(w->cap = WINDOW);
	return true;
}

void window_close(struct window *w)
{
	content_close(w->content);
	free(w->data);
	*w = (struct window){0};
}

static void make_room(struct window *w, size_t n)
{
	if (w->start == w->end)
		w->start = w->end = 0;
	if (w->start == w->end && w->cap > WINDOW && n <= WINDOW) {
		w->cap = WINDOW; /* after one very large document */
		w->data = mem_realloc(w->data, w->cap);
	}
	if (w->start > 0 && w->cap - w->start < n) {
		memmove(w->data, w->data + w->start, w->end - w->start);
		w->end -= w->start;
		w->start = 0;
	}
	if (w->cap < n) {
		w->cap = n;
		w->data = mem_realloc(w->data, w->cap);
	}
}

bool window_need(struct window *w, size_t n, struct err *err)
{
	while (window_have(w) < n) {
		size_t have = window_have(w), got, step = have * 2 + WINDOW;
		make_room(w, n < step ? n : step);
		if (!content_read(w->content, w->data + w->end, w->cap - w->end, &got, err))
			return false;
		if (got == 0)
			return true;
		w->end += got;
	}
	return true;
}

bool window_skip(struct window *w, uint64_t n, uint64_t *left, struct err *err)
{
	size_t have = window_have(w), here = n < have ? (size_t)n : have;
	window_drop(w, here);
	*left = n - here;
	if (*left > 0 && content_format(w->content) == CONTENT_PLAIN) {
		uint64_t size = content_file_size(w->content), rest = size > w->at ? size - w->at : 0;
		uint64_t step = *left < rest ? *left : rest;
		*left -= step;
		return window_seek(w, w->at + step, err);
	}
	while (*left > 0) {
		if (!window_need(w, 1, err))
			return false;
		if (window_have(w) == 0)
			return true;
		here = *left < window_have(w) ? (size_t)*left : window_have(w);
		window_drop(w, here);
		*left -= here;
	}
	return true;
}

bool window_seek(struct window *w, uint64_t at, struct err *err)
{
	if (at >= w->at && at - w->at <= window_have(w)) {
		window_drop(w, (size_t)(at - w->at));
		return true;
	}
	w->start = w->end = 0;
	w->at = at;
	return content_seek(w->content, at, err);
}

bool window_ended(struct window *w)
{
	struct err err;
	return !window_need(w, 1, &err) || window_have(w) == 0;
}

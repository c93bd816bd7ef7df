/* window.h - a stretch of a file's content in memory: at least what is looked at, at most that and one read more,
 * whatever the file's size; private to source/.
 *
 *   window_open → (window_need → window_data … window_drop)* → window_close
 */
#ifndef DOCROW_WINDOW_H
#define DOCROW_WINDOW_H

#include "content.h"

struct window {
	struct content *content;
	uint8_t *data; /* content from `at` on is data[start..end) */
	size_t start, end, cap;
	uint64_t at;
};

bool window_open(struct window *w, const struct content_file *f, struct err *err) MUST_CHECK;
void window_close(struct window *w);
/* True: n bytes lie in the window, or the content ends before (window_have tells). Memory grows with the bytes that
 * are really there, not with what a length claims. */
bool window_need(struct window *w, size_t n, struct err *err) MUST_CHECK;
static inline size_t window_have(const struct window *w)
{
	return w->end - w->start;
}
/* Lent until the next window_need. */
static inline const uint8_t *window_data(const struct window *w)
{
	return w->data + w->start;
}
/* Takes n of the bytes that the window has off its beginning. */
static inline void window_drop(struct window *w, size_t n)
{
	w->start += n;
	w->at += n;
}
/* Passes over n bytes, which the content may not have; those of a plain file are not read. *left: how many of them
 * the content lacks. */
bool window_skip(struct window *w, uint64_t n, uint64_t *left, struct err *err) MUST_CHECK;
bool window_seek(struct window *w, uint64_t at, struct err *err) MUST_CHECK;
/* No byte is left (or none can be read). */
bool window_ended(struct window *w);

#endif

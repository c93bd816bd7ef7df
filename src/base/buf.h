/* buf.h - a growing byte buffer that remembers a failure.
 *
 * Once an append would pass `max`, `failed` is set and later appends do nothing; who finishes the buffer asks
 * buf_ok() once. Memory shortage itself ends the program (see mem.h).
 */
#ifndef DOCROW_BUF_H
#define DOCROW_BUF_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "mem.h"

struct buf {
	uint8_t *data; /* owned; not NUL-terminated unless buf_cstr is called */
	size_t len;
	size_t cap;
	size_t max; /* 0: no ceiling but SIZE_MAX / 2 */
	bool failed;
};

void buf_init(struct buf *b, size_t max);
void buf_free(struct buf *b);
/* Gives a buffer back that grew past `keep`; its bytes are gone then. */
void buf_trim(struct buf *b, size_t keep);
static inline void buf_reset(struct buf *b)
{
	b->len = 0;
	b->failed = false;
}
static inline bool buf_ok(const struct buf *b)
{
	return !b->failed;
}

/* Makes room for n more bytes; false (and failed) when that would pass the ceiling. */
bool buf_grow(struct buf *b, size_t n);
static inline bool buf_reserve(struct buf *b, size_t n)
{
	return (!b->failed && b->cap - b->len >= n) || buf_grow(b, n);
}
static inline void buf_put(struct buf *b, const void *data, size_t n)
{
	if (n > 0 && buf_reserve(b, n)) {
		memcpy(b->data + b->len, data, n);
		b->len += n;
	}
}
static inline void buf_putc(struct buf *b, char c)
{
	if (buf_reserve(b, 1))
		b->data[b->len++] = (uint8_t)c;
}
static inline void buf_puts(struct buf *b, const char *s)
{
	buf_put(b, s, strlen(s));
}
void buf_printf(struct buf *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void buf_vprintf(struct buf *b, const char *fmt, va_list ap) __attribute__((format(printf, 2, 0)));
/* NUL-terminates (the NUL is not counted in len) and lends the text until the next call on b. */
const char *buf_cstr(struct buf *b);

#endif

/* buf.c - the slow half of struct buf: growing and printf. */
#include "buf.h"

#include <stdio.h>
#include <stdlib.h>

void buf_init(struct buf *b, size_t max)
{
	*b = (struct buf){.max = max};
}

void buf_free(struct buf *b)
{
	free(b->data);
	*b = (struct buf){.max = b->max};
}

void buf_trim(struct buf *b, size_t keep)
{
	if (b->cap > keep)
		buf_free(b);
}

/* cap never passes the ceiling, since buf_reserve looks at nothing else; one byte more is allocated for a NUL. */
bool buf_grow(struct buf *b, size_t n)
{
	size_t max = b->max ? b->max : SIZE_MAX / 2, cap = b->cap ? b->cap : 256;

	if (b->failed)
		return false;
	if (n > max || b->len > max - n) {
		b->failed = true;
		return false;
	}
	while (cap < b->len + n)
		cap = cap <= max / 2 ? cap * 2 : max;
	if (cap > max)
		cap = max;
	if (cap > b->cap) {
		b->data = mem_realloc(b->data, cap + 1);
		b->cap = cap;
	}
	return true;
}

void buf_vprintf(struct buf *b, const char *fmt, va_list ap)
{
	va_list again;
	int n;

	va_copy(again, ap);
	n = vsnprintf(NULL, 0, fmt, ap);
	if (n > 0 && buf_reserve(b, (size_t)n)) {
		vsnprintf((char *)b->data + b->len, (size_t)n + 1, fmt, again);
		b->len += (size_t)n;
	}
	va_end(again);
}

void buf_printf(struct buf *b, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	buf_vprintf(b, fmt, ap);
	va_end(ap);
}

const char *buf_cstr(struct buf *b)
{
	if (!b->data)
		b->data = mem_alloc(1); /* cap stays 0 */
	b->data[b->len] = 0;
	return (const char *)b->data;
}

/* mem.c - allocation that does not fail, and arenas.
 *
 * An arena is a list of blocks; a request that does not fit goes to the next block or a new one of at least twice
 * the size. arena_reset starts again at the first block and keeps all of them, so steady state allocates nothing.
 */
#include "mem.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#ifdef __GLIBC__
#include <malloc.h>
#endif

enum { ARENA_ALIGN = 16, ARENA_FIRST = 16 * 1024, ARENA_LARGEST = 4 * 1024 * 1024 };

struct block {
	struct block *next;
	size_t size, used; /* of the bytes after this header */
};
_Static_assert(sizeof(struct block) <= 32, "the header takes two alignment units");

struct arena {
	struct block *first, *current;
};

static void out_of_memory(size_t n) __attribute__((noreturn));
static void out_of_memory(size_t n)
{
	char line[96];
	int len = snprintf(line, sizeof line, "docrow: out of memory (%zu bytes wanted)\n", n);

	/* No log function: it may want memory. Every chunk is safe to lose, so ending here is safe. */
	if (len > 0 && write(STDERR_FILENO, line, (size_t)len) < 0) {
		/* nowhere left to say it */
	}
	_exit(5);
}

void *mem_alloc(size_t n)
{
	void *p = malloc(n ? n : 1);

	if (!p)
		out_of_memory(n);
	return p;
}

void *mem_zalloc(size_t n)
{
	void *p = calloc(1, n ? n : 1);

	if (!p)
		out_of_memory(n);
	return p;
}

void *mem_realloc(void *p, size_t n)
{
	void *q = realloc(p, n ? n : 1);

	if (!q)
		out_of_memory(n);
	return q;
}

void *mem_grown(void *list, size_t n, size_t size)
{
	return (n & (n - 1)) == 0 ? mem_realloc(list, (n > 0 ? 2 * n : 1) * size) : list;
}

char *mem_strdup(const char *s)
{
	size_t n = strlen(s) + 1;

	return memcpy(mem_alloc(n), s, n);
}

struct arena *arena_new(void)
{
	return mem_zalloc(sizeof(struct arena));
}

void arena_free(struct arena *a)
{
	struct block *b, *next;

	if (!a)
		return;
	for (b = a->first; b; b = next) {
		next = b->next;
		free(b);
	}
	free(a);
}

void arena_reset(struct arena *a)
{
	struct block *b;

	for (b = a->first; b; b = b->next)
		b->used = 0;
	a->current = a->first;
}

void arena_trim(struct arena *a)
{
	struct block *b = a->first != NULL ? a->first->next : NULL, *next;

	for (; b; b = next) {
		next = b->next;
		free(b);
	}
	if (a->first != NULL)
		a->first->next = NULL;
	arena_reset(a);
}

void mem_trim(void)
{
#ifdef __GLIBC__
	malloc_trim(0);
#endif
}

static uint8_t *block_bytes(struct block *b)
{
	return (uint8_t *)b + 32;
}

/* A block with room for n bytes after the current one: a kept one, or a new one. */
static struct block *next_block(struct arena *a, size_t n)
{
	struct block *b, *last = a->current;
	size_t size = last ? last->size : ARENA_FIRST / 2;

	for (b = last ? last->next : a->first; b; b = b->next) {
		last = b;
		if (b->size >= n)
			return b;
	}
	size = size < ARENA_LARGEST / 2 ? size * 2 : ARENA_LARGEST;
	if (size < n)
		size = n;
	b = mem_alloc(32 + size);
	b->next = NULL;
	b->size = size;
	b->used = 0;
	if (last)
		last->next = b;
	else
		a->first = b;
	return b;
}

void *arena_alloc(struct arena *a, size_t n)
{
	struct block *b = a->current;
	uint8_t *p;

	if (n > SIZE_MAX / 2)
		out_of_memory(n);
	n = (n + ARENA_ALIGN - 1) & ~(size_t)(ARENA_ALIGN - 1);
	if (!b || b->size - b->used < n)
		b = a->current = next_block(a, n);
	p = block_bytes(b) + b->used;
	b->used += n;
	return memset(p, 0, n);
}

char *arena_strdup(struct arena *a, const char *s)
{
	return arena_strndup(a, s, strlen(s));
}

char *arena_strndup(struct arena *a, const char *s, size_t n)
{
	char *p = arena_alloc(a, n + 1);

	if (n > 0)
		memcpy(p, s, n);
	return p;
}

void *arena_memdup(struct arena *a, const void *p, size_t n)
{
	void *q = arena_alloc(a, n);

	return n > 0 ? memcpy(q, p, n) : q;
}

char *arena_printf(struct arena *a, const char *fmt, ...)
{
	char *text = NULL, *p;
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vasprintf(&text, fmt, ap);
	va_end(ap);
	if (n < 0)
		out_of_memory(strlen(fmt));
	p = arena_strndup(a, text, (size_t)n);
	free(text);
	return p;
}

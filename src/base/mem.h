/* mem.h - memory: allocation that does not return NULL, and arenas for what dies together.
 *
 * Allocation failure ends the run with a message (every chunk is safe to lose); sizes that come from outside are
 * checked before they get here. Three lifetimes: run (options, mapping, plan), batch (rejects), document.
 */
#ifndef DOCROW_MEM_H
#define DOCROW_MEM_H

#include <stddef.h>

void *mem_alloc(size_t n) __attribute__((malloc, returns_nonnull));
void *mem_zalloc(size_t n) __attribute__((malloc, returns_nonnull));
void *mem_realloc(void *p, size_t n) __attribute__((returns_nonnull));
/* A list of n things of that size, with room for one more: it grows twofold, whenever n is a power of two. */
void *mem_grown(void *list, size_t n, size_t size);
/* After something very large: what was freed goes back to the system. */
void mem_trim(void);
char *mem_strdup(const char *s) __attribute__((malloc, returns_nonnull));

/* Memory that is freed all at once. Not thread-safe: one owner. */
struct arena;
struct arena *arena_new(void);
void arena_free(struct arena *a);
void arena_reset(struct arena *a); /* keeps its blocks for the next round */
void arena_trim(struct arena *a);  /* resets it, and gives back all but the first block */
void *arena_alloc(struct arena *a, size_t n) __attribute__((returns_nonnull)); /* 16-aligned, zeroed */
char *arena_strdup(struct arena *a, const char *s) __attribute__((returns_nonnull));
char *arena_strndup(struct arena *a, const char *s, size_t n) __attribute__((returns_nonnull));
void *arena_memdup(struct arena *a, const void *p, size_t n) __attribute__((returns_nonnull));
char *arena_printf(struct arena *a, const char *fmt, ...) __attribute__((returns_nonnull, format(printf, 2, 3)));

/* Runs `fn` on the variable when it leaves scope: _cleanup_(buf_free) struct buf b = {0}. The variable is set where
 * it is declared (`make lint` asks for it): what leaves the scope early must not free what was never made. For
 * pointers, write a fn that takes T **. */
#define _cleanup_(fn) __attribute__((cleanup(fn)))

#endif

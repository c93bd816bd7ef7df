/* texts.c - see texts.h. An open-addressing table of positions in a list. Texts are told apart by hash and length; of
 * a long one only the beginning is kept, for it is no label.
 */
#include "texts.h"

#include <stdlib.h>
#include <string.h>

#include "sys.h"

#define SLOTS 512 /* a power of two, over twice CHECK_MAX_TEXTS */

struct entry {
	uint64_t hash;
	struct check_text text;
};

struct texts {
	struct entry *list;
	size_t n;
	uint64_t more;
	uint16_t slots[SLOTS]; /* position + 1; 0: free */
};

struct texts *texts_new(void)
{
	return mem_zalloc(sizeof(struct texts));
}

void texts_free(struct texts *t)
{
	if (t != NULL)
		free(t->list);
	free(t);
}

static struct entry *find(struct texts *t, uint64_t hash, size_t len, size_t *slot)
{
	size_t i = hash & (SLOTS - 1);
	while (t->slots[i] != 0) {
		struct entry *e = &t->list[t->slots[i] - 1];
		if (e->hash == hash && e->text.len == len)
			return e;
		i = (i + 1) & (SLOTS - 1);
	}
	*slot = i;
	return NULL;
}

static struct entry *append(struct texts *t, size_t slot)
{
	if (t->n == CHECK_MAX_TEXTS)
		return NULL;
	t->list = mem_grown(t->list, t->n, sizeof *t->list);
	struct entry *e = &t->list[t->n++];
	t->slots[slot] = (uint16_t)t->n;
	return e;
}

static void count(struct texts *t, uint64_t hash, const char *s, size_t len, uint64_t n)
{
	size_t slot;
	struct entry *e = find(t, hash, len, &slot);
	if (e == NULL && (e = append(t, slot)) != NULL) {
		*e = (struct entry){.hash = hash, .text = {.len = len}};
		memcpy(e->text.text, s, len < CHECK_TEXT ? len : CHECK_TEXT);
	}
	if (e != NULL)
		e->text.n += n;
	else
		t->more += n;
}

void texts_add(struct texts *t, const char *s, size_t len, uint64_t n)
{
	count(t, hash64(s, len), s, len, n);
}

void texts_merge(struct texts *into, const struct texts *from)
{
	for (size_t i = 0; i < from->n; i++)
		count(into, from->list[i].hash, from->list[i].text.text, from->list[i].text.len,
		      from->list[i].text.n);
	into->more += from->more;
}

static int by_number(const void *a, const void *b)
{
	const struct check_text *x = a, *y = b;
	if (x->n != y->n)
		return x->n < y->n ? 1 : -1;
	int order = memcmp(x->text, y->text, CHECK_TEXT);
	return order != 0 ? order : (x->len > y->len) - (x->len < y->len);
}

size_t texts_list(const struct texts *t, struct arena *a, struct check_text **list, uint64_t *more)
{
	*list = arena_alloc(a, (t->n + 1) * sizeof **list);
	for (size_t i = 0; i < t->n; i++)
		(*list)[i] = t->list[i].text;
	qsort(*list, t->n, sizeof **list, by_number);
	*more = t->more;
	return t->n;
}

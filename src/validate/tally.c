/* tally.c - see tally.h. */
#include "tally.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mem.h"

#define WRITER_ENTRIES 256
#define SIDE_BITS      2

struct entry {
	uint64_t hash;
	uint32_t set, side; /* the side, and above it the attempt */
};

struct part {
	pthread_mutex_t lock;
	FILE *file; /* NULL until something is written */
	size_t n;
};

struct tally {
	struct part parts[TALLY_PARTS];
	pthread_mutex_t lock; /* what follows */
	uint32_t attempts;
	uint32_t *forgotten; /* attempts, in order */
	size_t nforgotten;
};

struct tally_writer {
	struct tally *t;
	uint32_t attempt;
	int error; /* errno of the first failure */
	size_t n[TALLY_PARTS];
	struct entry entries[TALLY_PARTS][WRITER_ENTRIES];
};

struct tally *tally_new(void)
{
	struct tally *t = mem_zalloc(sizeof *t);

	pthread_mutex_init(&t->lock, NULL);
	for (int i = 0; i < TALLY_PARTS; i++)
		pthread_mutex_init(&t->parts[i].lock, NULL);
	return t;
}

void tally_free(struct tally *t)
{
	if (t == NULL)
		return;
	for (int i = 0; i < TALLY_PARTS; i++) {
		if (t->parts[i].file != NULL)
			fclose(t->parts[i].file);
		pthread_mutex_destroy(&t->parts[i].lock);
	}
	pthread_mutex_destroy(&t->lock);
	free(t->forgotten);
	free(t);
}

struct tally_writer *tally_writer_new(struct tally *t)
{
	struct tally_writer *w = mem_zalloc(sizeof *w);

	w->t = t;
	tally_begin(w);
	return w;
}

void tally_begin(struct tally_writer *w)
{
	pthread_mutex_lock(&w->t->lock);
	w->attempt = w->t->attempts++;
	pthread_mutex_unlock(&w->t->lock);
}

static int compare_attempts(const void *a, const void *b)
{
	const uint32_t *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

void tally_forget(struct tally_writer *w)
{
	struct tally *t = w->t;

	pthread_mutex_lock(&t->lock);
	t->forgotten = mem_realloc(t->forgotten, (t->nforgotten + 1) * sizeof *t->forgotten);
	t->forgotten[t->nforgotten++] = w->attempt;
	qsort(t->forgotten, t->nforgotten, sizeof *t->forgotten, compare_attempts);
	pthread_mutex_unlock(&t->lock);
	tally_begin(w);
}

static bool is_forgotten(const struct tally *t, const struct entry *e)
{
	uint32_t attempt = e->side >> SIDE_BITS;

	return t->nforgotten > 0 &&
	       bsearch(&attempt, t->forgotten, t->nforgotten, sizeof attempt, compare_attempts) != NULL;
}

static void send(struct tally_writer *w, int i)
{
	struct part *p = &w->t->parts[i];

	pthread_mutex_lock(&p->lock);
	if (p->file == NULL)
		p->file = tmpfile();
	if (p->file == NULL || fwrite(w->entries[i], sizeof(struct entry), w->n[i], p->file) != w->n[i])
		w->error = errno;
	p->n += w->n[i];
	pthread_mutex_unlock(&p->lock);
	w->n[i] = 0;
}

void tally_add(struct tally_writer *w, uint32_t set, enum tally_side side, uint64_t hash)
{
	int i = (int)(hash >> 58);

	if (w->n[i] == WRITER_ENTRIES)
		send(w, i);
	w->entries[i][w->n[i]++] = (struct entry){hash, set, w->attempt << SIDE_BITS | side};
}

static bool cannot_keep(struct err *err, int error)
{
	err_set(err, ERR_FILE, "keys cannot be kept in a temporary file: %s", strerror(error));
	return err_hint(err, "TMPDIR names the folder; 16 bytes a document and as many a row are needed");
}

bool tally_writer_close(struct tally_writer *w, struct err *err)
{
	for (int i = 0; i < TALLY_PARTS; i++)
		if (w->n[i] > 0)
			send(w, i);
	int error = w->error;
	free(w);
	return error == 0 || cannot_keep(err, error);
}

/* --- comparing --- */

#define SMALL 24

static bool is_before(const struct entry *x, const struct entry *y)
{
	return x->hash != y->hash ? x->hash < y->hash : x->set < y->set;
}

static void sort_few(struct entry *e, size_t n)
{
	for (size_t i = 1; i < n; i++) {
		struct entry x = e[i];
		size_t k = i;
		for (; k > 0 && is_before(&x, &e[k - 1]); k--)
			e[k] = e[k - 1];
		e[k] = x;
	}
}

static unsigned byte_of(const struct entry *e, int shift)
{
	return (shift >= 0 ? (unsigned)(e->hash >> shift) : e->set >> (shift + 32)) & 255;
}

/* By one byte after another, in place: those of the hash, the highest first, then those of the set (shift < 0). */
static void sort_by_byte(struct entry *e, size_t n, int shift)
{
	size_t from[257] = {0}, next[256];

	if (n <= SMALL) {
		sort_few(e, n);
		return;
	}
	for (size_t i = 0; i < n; i++)
		from[byte_of(&e[i], shift) + 1]++;
	for (int b = 0; b < 256; b++)
		from[b + 1] += from[b];
	memcpy(next, from, sizeof next);
	for (unsigned b = 0; b < 256; b++)
		while (next[b] < from[b + 1]) {
			unsigned to = byte_of(&e[next[b]], shift);
			struct entry x = e[next[b]];
			if (to == b) {
				next[b]++;
				continue;
			}
			e[next[b]] = e[next[to]];
			e[next[to]++] = x;
		}
	for (int b = 0; shift > -32 && b < 256; b++)
		sort_by_byte(e + from[b], from[b + 1] - from[b], shift - 8);
}

static void walk(const struct tally *t, const struct entry *e, size_t n,
		 void (*each)(void *ctx, const struct tally_key *k), void *ctx)
{
	for (size_t i = 0; i < n;) {
		struct tally_key k = {.set = e[i].set, .hash = e[i].hash};
		for (; i < n && e[i].hash == k.hash && e[i].set == k.set; i++)
			if (!is_forgotten(t, &e[i]))
				k.n[e[i].side & ((1u << SIDE_BITS) - 1)]++;
		each(ctx, &k);
	}
}

bool tally_compare(struct tally *t, int part, void (*each)(void *ctx, const struct tally_key *k), void *ctx,
		   struct err *err)
{
	struct part *p = &t->parts[part];
	struct entry *e;

	if (p->n == 0)
		return true;
	e = mem_alloc(p->n * sizeof *e);
	rewind(p->file);
	if (fread(e, sizeof *e, p->n, p->file) != p->n) {
		free(e);
		return cannot_keep(err, errno);
	}
	sort_by_byte(e, p->n, 56);
	walk(t, e, p->n, each, ctx);
	free(e);
	return true;
}

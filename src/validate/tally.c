/* tally.c - see tally.h. */
#include "tally.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mem.h"

#define WRITER_ENTRIES 256

struct entry {
	uint64_t hash;
	uint32_t set, side;
};

struct part {
	pthread_mutex_t lock;
	FILE *file; /* NULL until something is written */
	size_t n;
};

struct tally {
	struct part parts[TALLY_PARTS];
};

struct tally_writer {
	struct tally *t;
	int error; /* errno of the first failure */
	size_t n[TALLY_PARTS];
	struct entry entries[TALLY_PARTS][WRITER_ENTRIES];
};

struct tally *tally_new(void)
{
	struct tally *t = mem_zalloc(sizeof *t);

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
	free(t);
}

struct tally_writer *tally_writer_new(struct tally *t)
{
	struct tally_writer *w = mem_zalloc(sizeof *w);

	w->t = t;
	return w;
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
	w->entries[i][w->n[i]++] = (struct entry){hash, set, side};
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

static int compare_entries(const void *a, const void *b)
{
	const struct entry *x = a, *y = b;

	if (x->hash != y->hash)
		return x->hash < y->hash ? -1 : 1;
	return (x->set > y->set) - (x->set < y->set);
}

static void walk(const struct entry *e, size_t n, void (*each)(void *ctx, const struct tally_key *k), void *ctx)
{
	for (size_t i = 0; i < n;) {
		struct tally_key k = {.set = e[i].set, .hash = e[i].hash};
		for (; i < n && e[i].hash == k.hash && e[i].set == k.set; i++)
			k.n[e[i].side & 3]++;
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
	qsort(e, p->n, sizeof *e, compare_entries);
	walk(e, p->n, each, ctx);
	free(e);
	return true;
}

/* spots.c - see spots.h. */
#include "spots.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "mem.h"

struct spots {
	FILE *file; /* NULL until something is added */
	int error;  /* errno of the first failure */
	size_t n;
	struct spot *map; /* sorted */
};

struct spots *spots_new(void)
{
	return mem_zalloc(sizeof(struct spots));
}

void spots_clear(struct spots *s)
{
	if (s->map != NULL)
		munmap(s->map, s->n * sizeof *s->map);
	if (s->file != NULL)
		fclose(s->file);
	*s = (struct spots){0};
}

void spots_free(struct spots *s)
{
	if (s == NULL)
		return;
	spots_clear(s);
	free(s);
}

void spots_add(struct spots *s, uint64_t hash, uint32_t table, uint32_t block, uint16_t item)
{
	struct spot spot = {.hash = hash, .table = table, .block = block, .item = item};

	if (s->file == NULL)
		s->file = tmpfile();
	if (s->file == NULL || fwrite(&spot, sizeof spot, 1, s->file) != 1)
		s->error = s->error != 0 ? s->error : errno;
	s->n++;
}

/* --- sorting, in place: a mapped file is no memory to copy --- */

#define SMALL 32

static void swap(struct spot *a, struct spot *b)
{
	char x[sizeof(struct spot)];

	memcpy(x, a, sizeof x);
	memcpy(a, b, sizeof x);
	memcpy(b, x, sizeof x);
}

static void sort_few(struct spot *s, size_t n)
{
	for (size_t i = 1; i < n; i++)
		for (size_t k = i; k > 0 && s[k - 1].hash > s[k].hash; k--)
			swap(&s[k - 1], &s[k]);
}

/* By one byte of the hash after another, the highest first. */
static void sort_by_byte(struct spot *s, size_t n, unsigned shift)
{
	size_t from[257] = {0}, next[256];

	if (n <= SMALL) {
		sort_few(s, n);
		return;
	}
	for (size_t i = 0; i < n; i++)
		from[(s[i].hash >> shift & 255) + 1]++;
	for (int b = 0; b < 256; b++)
		from[b + 1] += from[b];
	memcpy(next, from, sizeof next);
	for (unsigned b = 0; b < 256; b++)
		while (next[b] < from[b + 1]) {
			unsigned to = s[next[b]].hash >> shift & 255;
			if (to == b)
				next[b]++;
			else
				swap(&s[next[b]], &s[next[to]++]);
		}
	for (int b = 0; shift > 0 && b < 256; b++)
		sort_by_byte(s + from[b], from[b + 1] - from[b], shift - 8);
}

static bool cannot_keep(struct err *err, int error)
{
	err_set(err, ERR_FILE, "places of rows cannot be kept in a temporary file: %s", strerror(error));
	return err_hint(err, "TMPDIR names the folder; 24 bytes a row of a table without a key are needed");
}

bool spots_sort(struct spots *s, struct err *err)
{
	if (s->error != 0)
		return cannot_keep(err, s->error);
	if (s->n == 0 || s->map != NULL)
		return true;
	if (fflush(s->file) != 0)
		return cannot_keep(err, errno);
	s->map = mmap(NULL, s->n * sizeof *s->map, PROT_READ | PROT_WRITE, MAP_SHARED, fileno(s->file), 0);
	if (s->map == MAP_FAILED) {
		s->map = NULL;
		return cannot_keep(err, errno);
	}
	sort_by_byte(s->map, s->n, 56);
	return true;
}

/* The first that is not below the hash. */
static size_t lower_bound(const struct spots *s, uint64_t hash)
{
	size_t low = 0, high = s->n;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		if (s->map[middle].hash < hash)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

struct spot *spots_find(const struct spots *s, uint64_t hash, size_t *n)
{
	size_t from = s->map != NULL ? lower_bound(s, hash) : 0, to;

	*n = 0;
	if (s->map == NULL || from == s->n || s->map[from].hash != hash)
		return NULL;
	to = hash == UINT64_MAX ? s->n : lower_bound(s, hash + 1);
	*n = to - from;
	return &s->map[from];
}

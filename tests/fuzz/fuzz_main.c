/* fuzz_main.c - drives a fuzz target without libFuzzer.
 *
 *   fuzz_NAME FILE|FOLDER...                              each file once: what `make test` does
 *   fuzz_NAME --seconds N [--seed S] FILE|FOLDER...       after that, mutations of them for N seconds
 *
 * The input at hand stands in the file that --keep names (default: NAME.input in the working folder) while mutating,
 * so a crash leaves it there; one that takes longer than 20 seconds is ended as a hang.
 */
#include <dirent.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "fuzz.h"

#define LONGEST      (1u << 20)
#define HANG_SECONDS 20

struct input {
	uint8_t *data;
	size_t len;
};

struct inputs {
	struct input *items;
	size_t n;
};

static void die(const char *what, const char *path)
{
	fprintf(stderr, "%s %s\n", what, path);
	exit(2);
}

static void *take(void *p, size_t n)
{
	p = realloc(p, n ? n : 1);
	if (!p)
		die("no memory for", "the inputs");
	return p;
}

static void add_file(struct inputs *all, const char *path)
{
	struct input in = {0};
	FILE *f = fopen(path, "rb");
	size_t got;
	if (!f)
		die("cannot read", path);
	do {
		in.data = take(in.data, in.len + 65536);
		got = fread(in.data + in.len, 1, 65536, f);
		in.len += got;
	} while (got > 0);
	fclose(f);
	in.data = take(in.data, in.len); /* exactly, so that a sanitizer sees the end */
	all->items = take(all->items, (all->n + 1) * sizeof(*all->items));
	all->items[all->n++] = in;
}

static int not_hidden(const struct dirent *e)
{
	return e->d_name[0] != '.';
}

static void add(struct inputs *all, const char *path)
{
	struct stat st;
	struct dirent **names;
	char inner[4096];
	if (stat(path, &st) != 0)
		die("cannot find", path);
	if (!S_ISDIR(st.st_mode)) {
		add_file(all, path);
		return;
	}
	int n = scandir(path, &names, not_hidden, alphasort);
	for (int i = 0; i < n; i++) {
		snprintf(inner, sizeof(inner), "%s/%s", path, names[i]->d_name);
		add_file(all, inner);
		free(names[i]);
	}
	if (n >= 0)
		free(names);
}

/* ---- mutations ---- */

static uint64_t state; /* xorshift64 */

static size_t below(size_t n)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return n ? (size_t)(state % n) : 0;
}

static void flip_bit(struct input *m, const struct inputs *all)
{
	(void)all;
	m->data[below(m->len)] ^= (uint8_t)(1u << below(8));
}

static void set_byte(struct input *m, const struct inputs *all)
{
	static const uint8_t values[] = {0,    1,   2,   3,   4,   5,   0x10, 0x7f, 0x80,
					 0xff, '"', '{', '}', '[', ']', '\\', ':',  ','};
	(void)all;
	m->data[below(m->len)] = values[below(sizeof(values))];
}

static void set_length(struct input *m, const struct inputs *all)
{
	static const int32_t values[] = {0, 1, 4, 5, -1, INT32_MAX, INT32_MIN, 1 << 20, 16 << 20, (16 << 20) + 16385};
	(void)all;
	if (m->len < 4)
		return;
	int32_t v = below(3) ? values[below(sizeof(values) / sizeof(values[0]))] : (int32_t)below(m->len * 2);
	memcpy(m->data + below(m->len - 3), &v, 4);
}

static void remove_piece(struct input *m, const struct inputs *all)
{
	size_t at = below(m->len), n = 1 + below(m->len - at < 64 ? m->len - at : 64);
	(void)all;
	if (n > m->len - at)
		n = m->len - at;
	memmove(m->data + at, m->data + at + n, m->len - at - n);
	m->len -= n;
}

static void cut(struct input *m, const struct inputs *all)
{
	(void)all;
	m->len = below(m->len);
}

static void insert_piece(struct input *m, const uint8_t *piece, size_t n)
{
	size_t at = below(m->len + 1);
	if (n > LONGEST - m->len)
		return;
	memmove(m->data + at + n, m->data + at, m->len - at);
	memmove(m->data + at, piece, n);
	m->len += n;
}

static void repeat_piece(struct input *m, const struct inputs *all)
{
	uint8_t piece[256];
	size_t at = below(m->len), n = 1 + below(sizeof(piece));
	(void)all;
	if (n > m->len - at)
		n = m->len - at;
	memcpy(piece, m->data + at, n);
	for (size_t i = below(20); i > 0; i--)
		insert_piece(m, piece, n);
}

static void mix_in(struct input *m, const struct inputs *all)
{
	const struct input *other = &all->items[below(all->n)];
	size_t at = below(other->len), n = below(other->len - at + 1);
	insert_piece(m, other->data + at, n);
}

static void mutate(struct input *m, const struct inputs *all)
{
	static void (*const ways[])(struct input *, const struct inputs *) = {
		flip_bit, set_byte, set_length, remove_piece, cut, repeat_piece, mix_in};
	for (size_t i = 1 + below(6); i > 0; i--) {
		size_t way = below(sizeof(ways) / sizeof(ways[0]));
		if (m->len > 0 && (ways[way] != cut || below(8) == 0))
			ways[way](m, all);
	}
}

/* ---- */

static void run(const uint8_t *data, size_t len)
{
	alarm(HANG_SECONDS);
	LLVMFuzzerTestOneInput(data, len);
	alarm(0);
}

static void keep(int fd, const struct input *m)
{
	if (ftruncate(fd, 0) != 0 || pwrite(fd, m->data, m->len, 0) != (ssize_t)m->len)
		die("cannot write", "the input at hand");
}

static unsigned long long fuzz(const struct inputs *all, double seconds, const char *path)
{
	struct input m = {.data = take(NULL, LONGEST)};
	unsigned long long n = 0;
	int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (fd < 0)
		die("cannot write", path);
	for (time_t ends = time(NULL) + (time_t)seconds; time(NULL) < ends; n++) {
		const struct input *seed = &all->items[below(all->n)];
		m.len = seed->len < LONGEST ? seed->len : LONGEST;
		memcpy(m.data, seed->data, m.len);
		mutate(&m, all);
		keep(fd, &m);
		uint8_t *exact = take(NULL, m.len);
		memcpy(exact, m.data, m.len);
		run(exact, m.len);
		free(exact);
	}
	close(fd);
	unlink(path);
	free(m.data);
	return n;
}

static const char *base_name(const char *path)
{
	const char *slash = strrchr(path, '/');
	return slash ? slash + 1 : path;
}

int main(int argc, char **argv)
{
	static const struct option options[] = {{"seconds", required_argument, NULL, 't'},
						{"seed", required_argument, NULL, 's'},
						{"keep", required_argument, NULL, 'k'},
						{0}};
	struct inputs all = {0};
	char keep_path[4096];
	double seconds = 0;
	snprintf(keep_path, sizeof(keep_path), "%s.input", base_name(argv[0]));
	state = (uint64_t)time(NULL) * 2654435761u + 1;
	for (int c; (c = getopt_long(argc, argv, "", options, NULL)) != -1;) {
		if (c == 't')
			seconds = atof(optarg);
		else if (c == 's')
			state = strtoull(optarg, NULL, 10) | 1;
		else if (c == 'k')
			snprintf(keep_path, sizeof(keep_path), "%s", optarg);
		else
			return 2;
	}
	for (int i = optind; i < argc; i++)
		add(&all, argv[i]);
	if (all.n == 0)
		die("there is no input in", optind < argc ? argv[optind] : "(nothing given)");
	for (size_t i = 0; i < all.n; i++)
		run(all.items[i].data, all.items[i].len);
	printf("%zu inputs", all.n);
	if (seconds > 0)
		printf(", %llu mutations", fuzz(&all, seconds, keep_path));
	printf("\n");
	for (size_t i = 0; i < all.n; i++)
		free(all.items[i].data);
	free(all.items);
	return 0;
}

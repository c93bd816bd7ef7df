/* Uncompressed bytes of a file, read from any place: the same whatever the compression. No server. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <zlib.h>
#include <zstd.h>

#include "content.h"
#include "window.h"

#define SIZE     ((size_t)6 << 20)
#define DISTANCE 100000

static char path[128];
static uint8_t *all; /* SIZE bytes, in parts compressible, in parts not */

static int make_all(void **state)
{
	const char *tmp = getenv("TMPDIR");
	uint64_t x = 88172645463325252u;
	snprintf(path, sizeof(path), "%s/docrow-content-%d", tmp && *tmp ? tmp : "/tmp", (int)getpid());
	all = mem_alloc(SIZE);
	for (size_t i = 0; i < SIZE; i++) {
		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
		all[i] = (uint8_t)(i / 65536 % 3 == 0 ? x : i / 65536 % 3 == 1 ? x % 7 : i % 251);
	}
	return 0;
}

static int free_all(void **state)
{
	free(all);
	return unlink(path);
}

static void write_file(const void *data, size_t n)
{
	FILE *f = fopen(path, "wb");
	assert_non_null(f);
	assert_int_equal(fwrite(data, 1, n, f), n);
	fclose(f);
}

/* Two gzip members, the border in the middle of the content; at level 1 thousands of tiny blocks. */
static void write_gzip(int level, size_t size)
{
	size_t room = size + size / 100 + 4096, len = 0;
	uint8_t *out = mem_alloc(room);
	for (size_t part = 0; part < 2; part++) {
		z_stream z = {0};
		assert_int_equal(deflateInit2(&z, level, Z_DEFLATED, 15 + 16, level == 1 ? 1 : 8, Z_DEFAULT_STRATEGY),
				 Z_OK);
		z.next_in = all + part * (size / 2);
		z.avail_in = (uInt)(part == 0 ? size / 2 : size - size / 2);
		z.next_out = out + len;
		z.avail_out = (uInt)(room - len);
		assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
		len += z.total_out;
		deflateEnd(&z);
	}
	write_file(out, len);
	free(out);
}

static void write_zstd(void)
{
	size_t room = ZSTD_compressBound(SIZE);
	uint8_t *out = mem_alloc(room);
	write_file(out, ZSTD_compress(out, room, all, SIZE, 1));
	free(out);
}

static struct content *open_content(struct content_points *points, enum content_format format)
{
	struct err err;
	struct content *c;
	if (!content_open(&c, &(struct content_file){path, path, points}, &err))
		fail_msg("%s (%s)", err.message, err.detail);
	assert_int_equal(content_format(c), format);
	return c;
}

static void read_at(struct content *c, uint64_t at, size_t n)
{
	struct err err;
	uint8_t *got = mem_alloc(n);
	size_t have = 0, step = 1, want = at + n > SIZE ? SIZE - at : n;
	if (!content_seek(c, at, &err))
		fail_msg("%s (%s)", err.message, err.detail);
	while (have < n && step > 0) {
		if (!content_read(c, got + have, n - have, &step, &err))
			fail_msg("%s (%s)", err.message, err.detail);
		have += step;
	}
	assert_int_equal(have, want);
	assert_memory_equal(got, all + at, want);
	assert_int_equal(content_at(c), at + want);
	free(got);
}

static void read_everywhere(struct content *c)
{
	static const uint64_t places[] = {0,
					  5,
					  SIZE / 2 - 1,
					  SIZE / 2,
					  SIZE - 7,
					  1000000,
					  999999,
					  DISTANCE * 7,
					  DISTANCE,
					  SIZE / 2 + 1,
					  SIZE - 1,
					  SIZE,
					  3,
					  SIZE / 3};
	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++)
		read_at(c, places[i], 70000);
}

static void any_place_plain(void **state)
{
	write_file(all, SIZE);
	struct content *c = open_content(NULL, CONTENT_PLAIN);
	read_everywhere(c);
	content_close(c);
}

static void any_place_zstd(void **state)
{
	write_zstd();
	struct content *c = open_content(NULL, CONTENT_ZSTD);
	read_everywhere(c);
	content_close(c);
}

/* Points are taken by whoever reads first; a second reader enters at them. Level 0 has stored blocks, whose first
 * bits may lie in any byte. */
static void any_place_gzip(void **state)
{
	for (int level = 0; level <= 9; level += 3) {
		struct content_points *points = content_points_new(DISTANCE);
		write_gzip(level, SIZE);
		struct content *without = open_content(NULL, CONTENT_GZIP);
		read_everywhere(without);
		content_close(without);
		struct content *first = open_content(points, CONTENT_GZIP),
			       *second = open_content(points, CONTENT_GZIP);
		read_at(first, 0, SIZE);
		read_everywhere(second);
		read_everywhere(first);
		content_close(first);
		content_close(second);
		content_points_free(points);
	}
}

/* With more points than are kept every second one goes; all places can still be reached. */
static void points_are_bounded(void **state)
{
	struct content_points *points = content_points_new(1);
	write_gzip(1, SIZE);
	struct content *c = open_content(points, CONTENT_GZIP);
	for (size_t i = 0; i < 3; i++)
		read_at(c, 0, SIZE);
	read_everywhere(c);
	content_close(c);
	content_points_free(points);
}

static void beyond_the_end(void **state)
{
	struct err err;
	static const enum content_format formats[] = {CONTENT_PLAIN, CONTENT_GZIP, CONTENT_ZSTD};
	for (size_t i = 0; i < 3; i++) {
		formats[i] == CONTENT_GZIP   ? write_gzip(6, SIZE)
		: formats[i] == CONTENT_ZSTD ? write_zstd()
					     : write_file(all, SIZE);
		struct content *c = open_content(NULL, formats[i]);
		assert_false(content_seek(c, SIZE + 1, &err));
		assert_int_equal(err.code, ERR_SOURCE_CHANGED);
		assert_non_null(strstr(err.message, "shorter"));
		read_at(c, SIZE - 10, 10);
		content_close(c);
	}
}

static void windows_skip(void **state)
{
	struct err err;
	struct window w;
	uint64_t left;
	write_gzip(6, SIZE);
	assert_true(window_open(&w, &(struct content_file){path, path, NULL}, &err));
	assert_true(window_need(&w, 10, &err));
	assert_true(window_skip(&w, SIZE / 2, &left, &err));
	assert_int_equal(left, 0);
	assert_true(window_need(&w, 100, &err));
	assert_memory_equal(window_data(&w), all + SIZE / 2, 100);
	assert_true(window_skip(&w, SIZE, &left, &err));
	assert_int_equal(left, SIZE / 2);
	assert_true(window_ended(&w));
	window_close(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(any_place_plain), cmocka_unit_test(any_place_zstd),
					   cmocka_unit_test(any_place_gzip),  cmocka_unit_test(points_are_bounded),
					   cmocka_unit_test(beyond_the_end),  cmocka_unit_test(windows_skip)};
	return cmocka_run_group_tests(tests, make_all, free_all);
}

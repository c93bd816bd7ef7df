/* The picture of a run at every width and many heights: no line too wide, never too many lines, and what must be seen
 * is seen. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "screen.h"
#include "term.h"

#define TABLES 39

static struct screen_table tables[TABLES];
static char names[TABLES][64];

/* 39 tables, some with long, wide or accented names, in all states. */
static struct screen_view sample_view(size_t running)
{
	static const char *const odd[] = {"crm_Accounts",
					  "données_été_client",
					  "顧客データの一覧表",
					  "🙂🙂🙂_emoji",
					  "a_very_long_collection_name_that_does_not_fit_anywhere_at_all",
					  "x"};
	struct screen_view v = {.phase = "load", .tables = tables, .ntables = TABLES, .elapsed = 75, .left = 4000};

	for (size_t i = 0; i < TABLES; i++) {
		snprintf(names[i], sizeof(names[i]), "%s", odd[i % 6]);
		tables[i] = (struct screen_table){.name = names[i], .total = 1000000000, .done = 999999 * i};
		tables[i].rejects = i % 3 == 0 ? i * 1234567 : 0;
		tables[i].rate = i % 4 == 0 ? -1 : (double)i * 123456.7;
		tables[i].left = i % 5 == 0 ? -1 : (double)i * 12345.6;
		tables[i].state = i < running ? SCREEN_RUNNING : i % 2 == 0 ? SCREEN_FINISHED : SCREEN_WAITING;
	}
	v.all = (struct screen_table){.done = 123456789, .total = 987654321, .rate = 1e6, .left = 100};
	v.all.state = SCREEN_RUNNING;
	v.current = "index crm_Opportunities_assigned_account_of_a_very_long_name_idx";
	v.message = "PostgreSQL is away: trying again (3)";
	return v;
}

/* Copies a line without its escape sequences. */
static size_t without_styles(const char *line, size_t n, char *out)
{
	size_t len = 0;

	for (size_t i = 0; i < n; i++) {
		if (line[i] == '\033') {
			while (i < n && line[i] != 'm')
				i++;
			continue;
		}
		out[len++] = line[i];
	}
	return len;
}

static size_t check_picture(const struct screen_view *v, const struct screen_style *s)
{
	struct buf out;
	size_t lines = 0;

	buf_init(&out, 0);
	int said = screen_draw(v, s, &out);
	const char *text = buf_cstr(&out);
	for (const char *p = text, *e; (e = strchr(p, '\n')) != NULL; p = e + 1) {
		char plain[4096];
		size_t n = without_styles(p, (size_t)(e - p), plain);
		assert_true(term_width(plain, n) <= (size_t)s->width - 1);
		if (!s->utf8)
			for (size_t i = 0; i < n; i++)
				assert_true(plain[i] >= ' ' && plain[i] < 127);
		lines++;
	}
	assert_int_equal(lines, said);
	assert_true(lines >= 1);
	assert_true(lines <= (size_t)(s->height > 2 ? s->height - 1 : 1));
	buf_free(&out);
	return lines;
}

static void test_every_width(void **state)
{
	for (int width = 20; width <= 200; width++)
		for (int how = 0; how < 4; how++)
			for (size_t running = 0; running <= TABLES; running += 13) {
				struct screen_style s = {width, 24, (how & 1) != 0, (how & 2) != 0};
				struct screen_view v = sample_view(running);
				check_picture(&v, &s);
				v.settling = true;
				v.steps = 260;
				v.steps_done = 41;
				v.stopping = true;
				check_picture(&v, &s);
			}
}

static void test_every_height(void **state)
{
	for (int height = 1; height <= 60; height++)
		for (size_t running = 0; running <= TABLES; running++) {
			struct screen_style s = {80, height, true, true};
			struct screen_view v = sample_view(running);
			check_picture(&v, &s);
		}
}

static const char *picture(const struct screen_view *v, int width, int height)
{
	static char text[16384];
	struct screen_style s = {width, height, false, false};
	struct buf out;

	buf_init(&out, 0);
	screen_draw(v, &s, &out);
	snprintf(text, sizeof(text), "%s", buf_cstr(&out));
	buf_free(&out);
	return text;
}

static void test_80x24_with_39_tables(void **state)
{
	struct screen_view v = sample_view(4);
	const char *text = picture(&v, 80, 24);

	assert_non_null(strstr(text, "crm_Accounts"));
	assert_non_null(strstr(text, "documents"));
	assert_non_null(strstr(text, "rejects"));
	assert_non_null(strstr(text, "left"));
	assert_non_null(strstr(text, "rate"));
	assert_non_null(strstr(text, "of 39 collections loaded"));
	assert_non_null(strstr(text, "1m15s so far, about 1h06m to the end"));
	assert_non_null(strstr(text, "PostgreSQL is away"));

	v = sample_view(39); /* more at work than lines: said so, and the whole is still there */
	text = picture(&v, 80, 24);
	assert_non_null(strstr(text, "more at work"));
	assert_non_null(strstr(text, "123,456,789"));
}

static void test_only_the_end_is_100_percent(void **state)
{
	struct screen_table t = {.name = "a", .done = 2000, .total = 1000, .rate = 5, .left = -1};
	struct screen_view v = {.phase = "load", .tables = &t, .ntables = 1, .current = "", .message = ""};

	t.state = SCREEN_RUNNING;
	assert_null(strstr(picture(&v, 80, 24), "100%"));
	assert_non_null(strstr(picture(&v, 80, 24), "99%"));
	v.all.state = t.state = SCREEN_FINISHED;
	assert_non_null(strstr(picture(&v, 80, 24), "100%"));
}

static void test_short_forms(void **state)
{
	static const struct {
		double seconds;
		const char *text;
	} times[] = {{0, "0s"},         {59.4, "59s"},    {59.6, "1m00s"}, {185, "3m05s"}, {3600, "1h00m"},
		     {86399, "23h59m"}, {90000, "1d01h"}, {-1, "-"},       {1e300, "-"}};
	char out[32];

	for (size_t i = 0; i < sizeof(times) / sizeof(times[0]); i++)
		assert_string_equal(screen_short_time(times[i].seconds, out), times[i].text);
	for (double s = 0; s < 1e8; s = s * 1.07 + 1)
		assert_true(strlen(screen_short_time(s, out)) <= 6);
	for (double r = 0; r < 1e11; r = r * 1.07 + 1)
		assert_true(strlen(screen_rate(r, out)) <= 9);
	assert_string_equal(screen_rate(123456, out), "123,456/s");
	assert_string_equal(screen_rate(1234567, out), "1.2M/s");
	assert_string_equal(screen_rate(-1, out), "-");
	assert_string_equal(screen_count(999999999, out), "999,999,999");
	assert_string_equal(screen_count(12345678900, out), "12.3G");
}

static void test_widths(void **state)
{
	assert_int_equal(term_width("abc", 3), 3);
	assert_int_equal(term_width("été", strlen("été")), 3);
	assert_int_equal(term_width("顧客", strlen("顧客")), 4);
	assert_int_equal(term_width("🙂", strlen("🙂")), 2);
	assert_int_equal(term_width("e\xcc\x81", 3), 1); /* combining acute */
	assert_int_equal(term_width("\xff\xfe\xc3", 3), 3);
}

static void test_fit(void **state)
{
	static const struct {
		const char *text;
		size_t width;
		bool utf8;
		const char *expected;
	} cases[] = {{"abc", 3, true, "abc"},          {"abcd", 3, true, "ab…"}, {"abcd", 3, false, "ab~"},
		     {"été", 3, false, "?t?"},         {"顧客", 3, true, "顧…"}, {"顧客", 2, true, "…"},
		     {"a\033[31m", 9, true, "a?[31m"}, {"abc", 0, true, ""},     {"a\xff", 2, true, "a?"}};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct buf b;
		buf_init(&b, 0);
		size_t used = term_fit(&b, cases[i].text, strlen(cases[i].text), cases[i].width, cases[i].utf8);
		assert_string_equal(buf_cstr(&b), cases[i].expected);
		assert_int_equal(used, term_width((const char *)b.data, b.len));
		assert_true(used <= cases[i].width);
		buf_free(&b);
	}
}

static void wrap_is(const char *text, size_t first, size_t indent, size_t width, const char *expected)
{
	struct buf b;

	buf_init(&b, 0);
	term_wrap(&b, text, first, indent, width);
	assert_string_equal(buf_cstr(&b), expected);
	buf_free(&b);
}

static void test_wrap(void **state)
{
	wrap_is("one two three", 0, 2, 7, "one two\n  three");
	wrap_is("one two three", 0, 2, 0, "one two three");
	wrap_is("one two three", 4, 4, 9, "one\n    two\n    three");
	wrap_is("a\nb", 0, 2, 20, "a\n  b");
	wrap_is("a\n  indented\n", 0, 2, 20, "a\n    indented\n");
	wrap_is("unbreakable-word x", 0, 1, 5, "unbreakable-word\n x");
	wrap_is("", 0, 2, 20, "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_width),
		cmocka_unit_test(test_every_height),
		cmocka_unit_test(test_80x24_with_39_tables),
		cmocka_unit_test(test_only_the_end_is_100_percent),
		cmocka_unit_test(test_short_forms),
		cmocka_unit_test(test_widths),
		cmocka_unit_test(test_fit),
		cmocka_unit_test(test_wrap),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

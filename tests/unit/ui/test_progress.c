/* What progress writes to its descriptor: a pipe stands in for stderr, so what counts is the bytes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "progress.h"
#include "text.h"

struct fixture {
	int fds[2];
	struct progress *p;
	struct engine_table tables[3];
	struct engine_snapshot s;
	char text[65536];
};

static void open_fixture(struct fixture *f, enum progress_mode mode)
{
	memset(f, 0, sizeof(*f));
	assert_int_equal(pipe2(f->fds, O_NONBLOCK), 0);
	f->p = progress_new(mode, f->fds[1], false, false);
	f->tables[0] = (struct engine_table){
		.collection = "Users", .table = "Users", .est_docs = 1000, .present = true, .chunks = 2};
	f->tables[1] = (struct engine_table){
		.collection = "odd\nname", .table = "odd", .est_docs = 50, .present = true, .chunks = 1};
	f->tables[2] = (struct engine_table){.collection = "Absent", .table = "Absent"};
	f->s = (struct engine_snapshot){
		.phase = STATE_LOAD, .started_at = 100, .tables = f->tables, .ntables = 3, .steps = 7};
}

static const char *written(struct fixture *f)
{
	ssize_t n = read(f->fds[0], f->text, sizeof(f->text) - 1);

	f->text[n > 0 ? n : 0] = '\0';
	return f->text;
}

static void close_fixture(struct fixture *f)
{
	progress_free(f->p);
	close(f->fds[0]);
	close(f->fds[1]);
}

static void load_some(struct fixture *f, uint64_t docs, double now)
{
	f->tables[0].started = true;
	f->tables[0].started_at = 100;
	f->tables[0].docs = docs;
	progress_update(f->p, &f->s, now);
}

static void test_plain_every_ten_seconds(void **state)
{
	struct fixture f;

	open_fixture(&f, PROGRESS_PLAIN);
	load_some(&f, 0, 100);
	load_some(&f, 100, 105);
	assert_string_equal(written(&f), "");
	load_some(&f, 500, 110);
	assert_string_equal(written(&f), "load: 500 of 1,050 documents, 50/s, about 11s left\n");
	load_some(&f, 600, 115);
	assert_string_equal(written(&f), "");
	f.tables[0].finished = true;
	f.tables[0].finished_at = 116;
	f.tables[0].rejects = 3;
	load_some(&f, 1000, 116);
	assert_string_equal(written(&f), "Users: 1,000 documents, 3 rejects, 16.0 s\n");
	load_some(&f, 1000, 117);
	assert_string_equal(written(&f), ""); /* told once */
	close_fixture(&f);
}

/* The phase of the first collection that is not loaded yet. */
static void test_the_phase_of_loading(void **state)
{
	struct fixture f;

	open_fixture(&f, PROGRESS_PLAIN);
	f.tables[0].load_phase = "core";
	f.tables[1].load_phase = "tasks and boards";
	load_some(&f, 0, 100);
	load_some(&f, 500, 110);
	assert_string_equal(written(&f), "load (core): 500 of 1,050 documents, 50/s, about 11s left\n");
	f.tables[0].finished = true;
	f.tables[0].finished_at = 100;
	load_some(&f, 1000, 120);
	assert_non_null(strstr(written(&f), "load (tasks and boards): 1,000 of "));
	close_fixture(&f);
}

static void test_plain_does_not_tell_what_an_earlier_process_did(void **state)
{
	struct fixture f;

	open_fixture(&f, PROGRESS_PLAIN);
	f.tables[0].finished = true;
	f.tables[0].finished_at = 100;
	load_some(&f, 1000, 100.1);
	assert_string_equal(written(&f), "");
	close_fixture(&f);
}

static void test_settling_and_trouble(void **state)
{
	struct fixture f;

	open_fixture(&f, PROGRESS_PLAIN);
	load_some(&f, 0, 100);
	f.s.phase = STATE_SETTLE;
	f.s.steps_done = 4;
	snprintf(f.s.current, sizeof(f.s.current), "index x");
	snprintf(f.s.message, sizeof(f.s.message), "PostgreSQL is away");
	load_some(&f, 0, 111);
	assert_string_equal(written(&f), "settle: 4 of 7 steps; index x; PostgreSQL is away\n");
	close_fixture(&f);
}

/* The end of the run counts keys and indexes, by what they are taken to cost first, then by what they are seen to. */
static void test_time_to_the_end(void **state)
{
	struct fixture f;

	open_fixture(&f, PROGRESS_PLAIN);
	f.s.weight = 2000;
	load_some(&f, 0, 100);
	load_some(&f, 100, 110); /* 10 a second, 950 to go, and 2,000 more in keys and indexes */
	assert_string_equal(written(&f),
			    "load: 100 of 1,050 documents, 10/s, about 1m35s left, about 4m55s to the end\n");
	f.s.phase = STATE_SETTLE;
	f.s.settle_started_at = 120;
	f.s.settle_weight_done = 200;
	f.s.weight_done = 1400; /* 1,200 in 30 seconds, 600 to go */
	load_some(&f, 1000, 150);
	assert_non_null(strstr(written(&f), ", about 15s to the end\n"));
	close_fixture(&f);
}

static void test_none_is_silent(void **state)
{
	struct fixture f;

	open_fixture(&f, PROGRESS_NONE);
	load_some(&f, 0, 100);
	load_some(&f, 500, 150);
	progress_end(f.p, "done", 151);
	assert_string_equal(written(&f), "");
	progress_log(f.p, LOG_WARN, "the log still speaks");
	assert_string_equal(written(&f), "docrow: warning: the log still speaks\n");
	close_fixture(&f);
}

static void test_json_is_one_object_a_line(void **state)
{
	struct fixture f;
	size_t lines = 0;

	open_fixture(&f, PROGRESS_JSON);
	load_some(&f, 0, 100);
	load_some(&f, 10, 100.2);
	load_some(&f, 500, 101.5);
	progress_log(f.p, LOG_INFO, "a \"quoted\"\nline");
	f.s.phase = STATE_DONE;
	f.s.finished = true;
	load_some(&f, 1000, 102);
	progress_end(f.p, "done", 103);
	const char *text = written(&f);
	for (const char *p = text, *e; (e = strchr(p, '\n')) != NULL; p = e + 1) {
		assert_true(strncmp(p, "{\"event\":\"", 10) == 0);
		assert_int_equal(e[-1], '}');
		lines++;
	}
	/* phase, progress, progress (1.5 s later), log, phase, progress, end */
	assert_int_equal(lines, 7);
	assert_non_null(strstr(text, "\"phase\":\"load\""));
	assert_non_null(strstr(text, "\"text\":\"a \\\"quoted\\\"\\nline\""));
	assert_non_null(strstr(text, "\"state\":\"absent\""));
	assert_non_null(strstr(text, "\"documents\":500,\"expected\":1050"));
	assert_non_null(strstr(text, "{\"event\":\"end\""));
	close_fixture(&f);
}

/* --- a terminal that understands what is sent: text, LF, CR, cursor up, clear to the end of line and screen --- */

#define ROWS 60
#define COLS 200

struct terminal {
	char cell[ROWS][COLS + 1];
	int row, col;
};

static void blank_from(struct terminal *t, int row, int col)
{
	memset(t->cell[row] + col, ' ', (size_t)(COLS - col));
}

static const char *escape(struct terminal *t, const char *p)
{
	char *end;
	long n = strtol(p + 2, &end, 10);

	switch (*end) {
	case 'A':
		t->row = t->row > n ? t->row - (int)n : 0;
		break;
	case 'K':
		blank_from(t, t->row, t->col);
		break;
	case 'J':
		blank_from(t, t->row, t->col);
		for (int r = t->row + 1; r < ROWS; r++)
			blank_from(t, r, 0);
		break;
	default:
		fail_msg("an escape sequence that the terminal does not know: %c", *end);
	}
	return end + 1;
}

static void feed(struct terminal *t, const char *p)
{
	while (*p != '\0') {
		if (*p == '\033') {
			p = escape(t, p);
			continue;
		}
		if (*p == '\n') {
			t->row++;
			t->col = 0;
			assert_true(t->row < ROWS);
		} else if (*p == '\r') {
			t->col = 0;
		} else {
			assert_true(t->col < COLS);
			t->cell[t->row][t->col++] = *p;
		}
		p++;
	}
}

static int rows_with(const struct terminal *t, const char *text)
{
	int n = 0;

	for (int r = 0; r < ROWS; r++)
		n += strstr(t->cell[r], text) != NULL;
	return n;
}

static void test_screen_is_redrawn_in_place(void **state)
{
	struct fixture f;
	struct terminal t = {0};

	for (int r = 0; r < ROWS; r++)
		blank_from(&t, r, 0);
	setenv("COLUMNS", "100", 1);
	setenv("LINES", "30", 1);
	open_fixture(&f, PROGRESS_SCREEN);
	feed(&t, "prompt\n");
	load_some(&f, 0, 100);
	feed(&t, written(&f));
	for (int i = 1; i < 20; i++) {
		load_some(&f, (uint64_t)i * 50, 100 + i * 0.2);
		if (i % 5 == 0) {
			char line[32];
			snprintf(line, sizeof(line), "log line %d", i);
			progress_log(f.p, LOG_INFO, line);
		}
		feed(&t, written(&f));
		assert_int_equal(rows_with(&t, "collections loaded"), 1);
		assert_int_equal(rows_with(&t, "Users"), 1);
		assert_int_equal(rows_with(&t, "prompt"), 1);
	}
	assert_int_equal(rows_with(&t, "docrow: log line"), 3); /* all kept, above the picture */
	assert_non_null(strstr(t.cell[1], "docrow: log line 5"));
	assert_non_null(strstr(t.cell[3], "docrow: log line 15"));
	f.s.phase = STATE_SETTLE; /* a lower picture leaves nothing of the higher one behind */
	load_some(&f, 1000, 105);
	feed(&t, written(&f));
	assert_int_equal(rows_with(&t, "Users"), 0);
	assert_int_equal(rows_with(&t, "collections loaded"), 1);
	progress_end(f.p, "done", 106);
	progress_log(f.p, LOG_INFO, "afterwards");
	feed(&t, written(&f));
	assert_int_equal(rows_with(&t, "collections loaded"), 1);
	assert_int_equal(rows_with(&t, "docrow: afterwards"), 1);
	close_fixture(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_plain_every_ten_seconds),
		cmocka_unit_test(test_the_phase_of_loading),
		cmocka_unit_test(test_plain_does_not_tell_what_an_earlier_process_did),
		cmocka_unit_test(test_settling_and_trouble),
		cmocka_unit_test(test_time_to_the_end),
		cmocka_unit_test(test_none_is_silent),
		cmocka_unit_test(test_json_is_one_object_a_line),
		cmocka_unit_test(test_screen_is_redrawn_in_place),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

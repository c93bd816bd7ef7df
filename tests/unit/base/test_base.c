/* Errors, memory, buffers, the ledger, files, backoff, log. */
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "err.h"
#include "fault.h"
#include "ledger.h"
#include "mem.h"
#include "sys.h"

static void errors(void **state)
{
	struct err err;
	int i;

	(void)state;
	memset(&err, 0xA5, sizeof err);
	assert_false(err_set(&err, ERR_SOURCE_CONNECT, "no answer from %s", "host"));
	assert_string_equal(err.message, "no answer from host");
	assert_int_equal(err.kind, ERR_KIND_SOURCE);
	assert_int_equal(err.class, ERR_CLASS_FATAL);
	assert_string_equal(err.detail, "");
	assert_string_equal(err.sqlstate, "");
	err_detail(&err, "%d tries", 3);
	err_hint(&err, "try later");
	err_where(&err, "chunk %d", 41);
	err_where(&err, "crm_Accounts");
	assert_string_equal(err.where, "crm_Accounts: chunk 41");
	assert_string_equal(err.detail, "3 tries");
	assert_string_equal(err.hint, "try later");
	err_set(&err, ERR_INTERNAL, "again: %s", err.message); /* its own text as an argument */
	assert_string_equal(err.message, "again: no answer from host");
	assert_string_equal(err.where, "");
	for (i = 0; i < 40; i++)
		err_where(&err, "level %d of many", i);
	assert_true(strlen(err.where) < sizeof err.where);
	assert_memory_equal(err.where, "level 39 of many: level 38", 26);
	err_clear(&err);
	assert_int_equal(err.code, ERR_NONE);
}

/* A text that is too long is cut between characters. */
static void long_errors(void **state)
{
	char text[2048];
	struct err err;
	size_t shift;

	(void)state;
	for (shift = 0; shift < 2; shift++) {
		memset(text, 'x', shift);
		for (size_t i = shift; i + 2 < sizeof text; i += 2)
			memcpy(text + i, "\xC3\xA9", 3);
		err_set(&err, ERR_INTERNAL, "%s", text);
		assert_true(strlen(err.message) >= sizeof err.message - 4);
		assert_int_equal((unsigned char)err.message[strlen(err.message) - 1], 0xA9);
	}
}

/* Codes are stable: each one once, the first digit is the family of the exit status. */
static void error_codes(void **state)
{
	enum err_code a, b;

	(void)state;
	for (a = 1; a < ERR_CODE_COUNT; a++) {
		const char *code = err_code_text(a);

		assert_int_equal(strlen(code), 7);
		assert_memory_equal(code, "DR-", 3);
		assert_true(strlen(err_code_title(a)) > 5);
		if (err_code_kind(a) != ERR_KIND_STOPPED)
			assert_int_equal(code[3] - '0', err_code_kind(a));
		for (b = 1; b < a; b++)
			assert_string_not_equal(code, err_code_text(b));
	}
	for (int f = 1; f < FAULT_COUNT; f++) {
		assert_memory_equal(fault_code((enum fault)f), "DR-F", 4);
		assert_true(strlen(fault_name((enum fault)f)) > 0 && strlen(fault_sentence((enum fault)f)) > 10);
		for (int g = 1; g < f; g++)
			assert_string_not_equal(fault_code((enum fault)f), fault_code((enum fault)g));
	}
	assert_string_equal(fault_name(FAULT_NUL), "nul");
	assert_string_equal(fault_code(FAULT_NUL), "DR-F07");
}

/* A list that gets one thing more each time has room for it, and keeps what it has. */
static void lists(void **state)
{
	int *list = NULL;

	(void)state;
	for (size_t n = 0; n < 100; n++) {
		list = mem_grown(list, n, sizeof *list);
		list[n] = (int)n;
	}
	for (int i = 0; i < 100; i++)
		assert_int_equal(list[i], i);
	free(list);
}

static void arenas(void **state)
{
	struct arena *a = arena_new();
	char *first, *p;
	size_t i, k;

	(void)state;
	first = arena_alloc(a, 10);
	memset(first, 0xFF, 10);
	for (i = 0; i < 5000; i++) {
		p = arena_alloc(a, i);
		assert_int_equal((uintptr_t)p % 16, 0);
		for (k = 0; k < i; k += 97)
			assert_int_equal(p[k], 0);
		memset(p, 0xFF, i);
	}
	assert_int_equal((unsigned char)first[9], 0xFF);
	p = arena_alloc(a, 20u << 20);
	memset(p, 1, 20u << 20);
	assert_string_equal(arena_printf(a, "%d-%s", 7, "x"), "7-x");
	assert_string_equal(arena_strndup(a, "abcdef", 3), "abc");
	assert_string_equal(arena_strdup(a, ""), "");
	arena_reset(a);
	assert_ptr_equal(arena_alloc(a, 10), first); /* the same blocks again, zeroed */
	assert_int_equal(first[9], 0);
	/* A block that is too small for one request is not lost for the rest of the round. */
	p = arena_alloc(a, 20u << 20);
	p[0] = 1;
	arena_trim(a);
	assert_ptr_equal(arena_alloc(a, 10), first);
	p = arena_alloc(a, 20u << 20);
	assert_int_equal(p[0], 0);
	arena_free(a);
	a = arena_new();
	arena_trim(a);
	arena_free(a);
	arena_free(NULL);
	mem_trim();
}

static void buffers(void **state)
{
	struct buf b;
	int i;

	(void)state;
	buf_init(&b, 0);
	assert_string_equal(buf_cstr(&b), "");
	buf_put(&b, "abc", 3);
	buf_trim(&b, b.cap);
	assert_int_equal(b.len, 3);
	buf_trim(&b, b.cap - 1);
	assert_int_equal(b.len + b.cap, 0);
	for (i = 0; i < 1000; i++)
		buf_printf(&b, "%d,", i);
	assert_int_equal(b.len, 3890);
	assert_memory_equal(b.data + b.len - 4, "999,", 4);
	buf_free(&b);

	buf_init(&b, 10);
	buf_puts(&b, "0123456789");
	assert_true(buf_ok(&b));
	assert_string_equal(buf_cstr(&b), "0123456789"); /* the NUL does not count */
	buf_putc(&b, 'x');
	assert_false(buf_ok(&b));
	buf_puts(&b, "");
	buf_printf(&b, "%d", 1);
	assert_int_equal(b.len, 10);
	buf_reset(&b);
	buf_puts(&b, "again");
	assert_true(buf_ok(&b));
	assert_string_equal(buf_cstr(&b), "again");
	buf_reset(&b);
	buf_printf(&b, "%s", "0123456789"); /* printf to the last byte, too */
	assert_true(buf_ok(&b));
	assert_int_equal(b.len, 10);
	buf_free(&b);
}

static void ledger_counts(void **state)
{
	struct ledger *l = ledger_new();
	uint64_t *rows = ledger_slot(l, LEDGER_ROWS, "Users", "");
	char path[32];
	struct buf b;
	int i;

	(void)state;
	*rows += 5;
	for (i = 0; i < 5000; i++) {
		snprintf(path, sizeof path, "field %d", i);
		ledger_add(l, LEDGER_UNMAPPED, i % 2 ? "Users" : "Other", path, 1);
	}
	ledger_add(l, LEDGER_ROWS, "Users", "", 2);
	assert_int_equal(*rows, 7); /* the slot stayed where it was while the table grew */
	assert_int_equal(ledger_sum(l, LEDGER_UNMAPPED, "Users"), 2500);
	assert_int_equal(ledger_sum(l, LEDGER_UNMAPPED, NULL), 5000);
	assert_int_equal(ledger_sum(l, LEDGER_READ, NULL), 0);
	ledger_reset(l);
	assert_int_equal(*rows, 0);
	assert_ptr_equal(ledger_slot_n(l, LEDGER_ROWS, "Users", "xyz", 0), rows);
	buf_init(&b, 0);
	ledger_to_json(l, &b);
	assert_string_equal(buf_cstr(&b), "[]");
	buf_free(&b);
	ledger_free(l);
	ledger_free(NULL);
}

static void ledger_json(void **state)
{
	struct ledger *l = ledger_new();
	struct buf b;

	(void)state;
	ledger_add(l, LEDGER_READ, "crm_Accounts", "", 1000);
	ledger_add(l, LEDGER_ROWS, "unused", "", 0);
	*ledger_slot_n(l, LEDGER_UNMAPPED, "a\"b", "x\0\xFF\n", 4) = UINT64_MAX;
	buf_init(&b, 0);
	ledger_to_json(l, &b);
	assert_string_equal(buf_cstr(&b), "[[\"read\",\"crm_Accounts\",\"\",1000],"
					  "[\"unmapped\",\"a\\\"b\",\"x\\\\x00\\\\xff\\n\",-1]]");
	buf_free(&b);
	ledger_free(l);
}

static void ledger_limit(void **state)
{
	struct ledger *l = ledger_new();
	char path[32];
	int i;

	(void)state;
	for (i = 0; i < LEDGER_MAX_PATHS + 500; i++) {
		snprintf(path, sizeof path, "k%d", i);
		ledger_add(l, LEDGER_UNMAPPED, "c", path, 1);
	}
	assert_int_equal(*ledger_slot(l, LEDGER_UNMAPPED, "c", "(other)"), 500);
	assert_int_equal(*ledger_slot(l, LEDGER_UNMAPPED, "c", "k0"), 1);
	assert_int_equal(ledger_sum(l, LEDGER_UNMAPPED, "c"), LEDGER_MAX_PATHS + 500);
	ledger_add(l, LEDGER_ROWS, "c", "", 1); /* other kinds have their own limit */
	assert_int_equal(ledger_sum(l, LEDGER_ROWS, "c"), 1);
	ledger_free(l);
}

static void files(void **state)
{
	char folder[] = "/tmp/docrow-test-XXXXXX", path[64];
	struct stat st;
	struct err err;
	struct buf b;

	(void)state;
	assert_non_null(mkdtemp(folder));
	snprintf(path, sizeof path, "%s/file", folder);
	buf_init(&b, 0);
	assert_false(file_read(path, 100, &b, &err));
	assert_int_equal(err.code, ERR_FILE);
	assert_true(file_write_atomic(path, "hello", 5, &err));
	assert_true(file_write_atomic(path, "hello\0again", 11, &err));
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	buf_puts(&b, ">");
	assert_true(file_read(path, 11, &b, &err));
	assert_int_equal(b.len, 12);
	assert_memory_equal(b.data, ">hello\0again", 12);
	assert_false(file_read(path, 10, &b, &err));
	assert_int_equal(b.len, 12);
	unlink(path);
	snprintf(path, sizeof path, "%s/no/file", folder);
	assert_false(file_write_atomic(path, "x", 1, &err));
	assert_int_equal(rmdir(folder), 0); /* no temporary file was left */
	buf_free(&b);
}

static void waiting(void **state)
{
	struct backoff b;
	double start = clock_seconds();
	char iso[32];
	int tries = 0;

	(void)state;
	backoff_init(&b, 0.3);
	while (backoff_wait(&b))
		tries++;
	assert_true(tries >= 2 && tries <= 7);
	assert_true(clock_seconds() - start >= 0.29 && clock_seconds() - start < 5);
	backoff_init(&b, 100);
	atomic_store(&stop_flag, 1);
	start = clock_seconds();
	assert_false(backoff_wait(&b));
	clock_sleep_ms(10000);
	assert_true(clock_seconds() - start < 5);
	atomic_store(&stop_flag, 0);
	clock_iso(iso);
	assert_int_equal(strlen(iso), 24);
	assert_int_equal(iso[10], 'T');
	assert_int_equal(iso[23], 'Z');
}

static void *stop_soon(void *arg)
{
	usleep(50000);
	atomic_store(&stop_flag, 1);
	return arg;
}

static void a_stop_ends_a_sleep(void **state)
{
	double start = clock_seconds();
	pthread_t t;

	(void)state;
	assert_int_equal(pthread_create(&t, NULL, stop_soon, NULL), 0);
	clock_sleep_ms(20000);
	pthread_join(t, NULL);
	atomic_store(&stop_flag, 0);
	assert_true(clock_seconds() - start < 10);
}

static void keep_line(enum log_level level, const char *line, void *ctx)
{
	snprintf(ctx, 64, "%d %s", (int)level, line);
}

static void log_lines(void **state)
{
	char last[64] = "";

	(void)state;
	log_set_writer(keep_line, last);
	log_line(LOG_DEBUG, "hidden");
	assert_string_equal(last, "");
	log_line(LOG_WARN, "n=%d", 3);
	assert_string_equal(last, "1 n=3");
	log_set_level(LOG_DEBUG);
	log_line(LOG_DEBUG, "shown");
	assert_string_equal(last, "3 shown");
	log_set_level(LOG_INFO);
	log_set_writer(NULL, NULL);
}

static void hashing(void **state)
{
	uint8_t text[64];
	uint64_t whole;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof text; i++)
		text[i] = (uint8_t)(i * 7);
	whole = hash64(text, sizeof text);
	assert_int_equal(whole, hash64(text, sizeof text));
	for (i = 0; i < sizeof text; i++) {
		assert_true(hash64(text, i) != whole);
		text[i] ^= 1;
		assert_true(hash64(text, sizeof text) != whole);
		text[i] ^= 1;
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(errors),        cmocka_unit_test(long_errors), cmocka_unit_test(error_codes),
		cmocka_unit_test(arenas),        cmocka_unit_test(lists),       cmocka_unit_test(buffers),
		cmocka_unit_test(ledger_counts), cmocka_unit_test(ledger_json), cmocka_unit_test(ledger_limit),
		cmocka_unit_test(files),         cmocka_unit_test(waiting),     cmocka_unit_test(a_stop_ends_a_sleep),
		cmocka_unit_test(log_lines),     cmocka_unit_test(hashing)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

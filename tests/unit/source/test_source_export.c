/* JSON exports as a source: lines, arrays, spread over lines; ranges, ids, names, damage. No server. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>
#include <zlib.h>

#include "doc.h"
#include "source.h"
#include "sys.h"
#include "test_folder.h"

static void write_text(const char *name, const char *text)
{
	write_file(name, text, strlen(text));
}

static void write_gzip(const char *name, const struct buf *b)
{
	gzFile f = gzopen(at(name), "wb6");
	assert_non_null(f);
	assert_int_equal(gzwrite(f, b->data, (unsigned)b->len), b->len);
	gzclose(f);
}

static struct source *open_export(const char *path, const struct source_options *o)
{
	struct err err;
	struct source *s;
	if (!source_open(&s, path, o, &err))
		fail_msg("%s (%s)", err.message, err.detail);
	return s;
}

static const struct source_options plain;

/* ---- n documents {_id: i, …} in every shape ---- */

enum shape { LINES, ARRAY, PRETTY, SQUEEZED, SHAPES };

static void put_document(struct buf *b, enum shape shape, int i)
{
	static const char *const texts[] = {"plain", "a \\\"quote\\\"", "brackets ]}[{", "\\\\", "é\\n"};
	if (shape == PRETTY)
		buf_printf(b, "{\n  \"_id\": %d,\n  \"t\": \"%s\",\n  \"a\": [\n    {}\n  ]\n}\n", i, texts[i % 5]);
	else
		buf_printf(b, "{\"_id\":%d,\"t\":\"%s\",\"a\":[{}]}", i, texts[i % 5]);
}

static void put_documents(struct buf *b, enum shape shape, int n)
{
	buf_puts(b, shape == ARRAY ? " [" : "");
	for (int i = 0; i < n; i++) {
		if (shape == ARRAY && i > 0)
			buf_puts(b, i % 3 ? "," : " ,\n");
		put_document(b, shape, i);
		if (shape == LINES)
			buf_puts(b, i % 2 ? "\n" : "\r\n");
	}
	buf_puts(b, shape == ARRAY ? "]\n" : "");
}

struct ranges {
	struct source_range all[1000];
	size_t n;
	uint64_t docs;
	struct arena *arena;
};

static bool keep(void *ctx, const struct source_range *r, struct err *err)
{
	struct ranges *ranges = ctx;
	assert_true(ranges->n < 1000);
	ranges->all[ranges->n] = *r;
	ranges->all[ranges->n++].bounds = arena_memdup(ranges->arena, r->bounds, r->bounds_len);
	ranges->docs += r->est_docs;
	return true;
}

static int next_id(struct source_reader *r)
{
	struct err err;
	struct val id;
	const uint8_t *doc;
	size_t len;
	int got = source_next(r, &doc, &len, &err);
	if (got < 0)
		fail_msg("%s (%s)", err.message, err.detail);
	if (got == 0)
		return -1;
	assert_true(doc_is_wellformed(doc, len) && doc_find(doc, len, "_id", &id));
	assert_int_equal(id.kind, BSON_K_INT32);
	return val_i32(&id);
}

static void check_ranges(struct source *s, int n, uint64_t docs, uint64_t bytes)
{
	struct err err;
	struct ranges ranges = {.arena = arena_new()};
	struct source_reader *r;
	uint64_t counted;
	int id = 0;
	assert_true(source_split(s, "items", docs, bytes, keep, &ranges, &err));
	assert_int_equal(ranges.docs, n);
	assert_true(source_count(s, "items", &counted, &err));
	assert_int_equal(counted, n);
	assert_true(source_reader_open(&r, s, &err));
	for (size_t turn = 0; turn < ranges.n; turn++) { /* the even ones, then the odd ones */
		size_t i = turn * 2 < ranges.n ? turn * 2 : (turn - (ranges.n + 1) / 2) * 2 + 1;
		const struct source_range *range = &ranges.all[i];
		assert_true(source_read(r, "items", range->bounds, range->bounds_len, &err));
		uint64_t first = 0;
		for (size_t k = 0; k < i; k++)
			first += ranges.all[k].est_docs;
		for (uint64_t k = 0; k < range->est_docs; k++, id++)
			assert_int_equal(next_id(r), first + k);
		assert_int_equal(next_id(r), -1);
	}
	assert_int_equal(id, n);
	source_reader_close(r);
	arena_free(ranges.arena);
}

static void ranges_of_every_shape(void **state)
{
	static const int counts[] = {0, 1, 2, 100};
	for (int shape = 0; shape < SHAPES; shape++) {
		for (size_t i = 0; i < 4; i++) {
			struct buf b;
			buf_init(&b, 0);
			put_documents(&b, (enum shape)shape, counts[i]);
			write_file("items.json", b.data ? (const void *)b.data : "", b.len);
			struct source *s = open_export(root, &plain);
			check_ranges(s, counts[i], 0, 300);
			check_ranges(s, counts[i], 7, 0);
			check_ranges(s, counts[i], 0, 1u << 30);
			source_close(s);
			buf_free(&b);
			unlink(at("items.json"));
		}
	}
}

static void compressed(void **state)
{
	struct buf b;
	buf_init(&b, 0);
	put_documents(&b, ARRAY, 500);
	write_gzip("items.json.gz", &b);
	struct source *s = open_export(at("items.json.gz"), &plain);
	check_ranges(s, 500, 9, 0);
	source_close(s);
	buf_free(&b);
}

static void documents_by_id(void **state)
{
	struct err err;
	struct source_reader *r;
	static const uint8_t forty[] = {14, 0, 0, 0, 0x10, '_', 'i', 'd', 0, 40, 0, 0, 0, 0};
	const uint8_t *ids[] = {forty};
	const size_t lens[] = {sizeof(forty)};
	struct buf b;
	buf_init(&b, 0);
	put_documents(&b, PRETTY, 90);
	write_file("items.json", b.data, b.len);
	struct source *s = open_export(root, &plain);
	assert_true(source_reader_open(&r, s, &err));
	for (int round = 0; round < 2; round++) {
		assert_true(source_read_ids(r, "items", ids, lens, 1, &err));
		assert_int_equal(next_id(r), 40);
		assert_int_equal(next_id(r), -1);
	}
	source_reader_close(r);
	source_close(s);
	buf_free(&b);
}

/* ---- names ---- */

static void names_and_databases(void **state)
{
	struct err err;
	struct arena *a = arena_new();
	struct source_collection *list;
	size_t n;
	mkdir(at("shop"), 0700);
	write_text("shop/items.json", "");
	write_text("shop/a%2Fb.jsonl", "{}");
	write_text("shop/more.ndjson", "{}\n{}");
	write_text("shop/notes.txt", "");
	write_text("shop/x.metadata.json", "");
	unlink(at("shop/x.metadata.json"));
	struct source *s = open_export(at("shop"), &plain);
	assert_string_equal(source_database(s), "shop");
	assert_non_null(strstr(source_describe(s), "export folder"));
	assert_true(source_collections(s, a, &list, &n, &err));
	assert_int_equal(n, 3);
	assert_string_equal(list[0].name, "a/b");
	assert_string_equal(list[1].name, "items");
	assert_string_equal(list[2].name, "more");
	assert_int_equal(list[2].est_docs, 2);
	source_close(s);
	s = open_export(at("shop/more.ndjson"), &(struct source_options){.prefer = "nextcrm"});
	assert_string_equal(source_database(s), "nextcrm");
	assert_true(source_collections(s, a, &list, &n, &err));
	assert_int_equal(n, 1);
	source_close(s);
	write_text("shop/items.json.gz", "");
	assert_false(source_open(&s, at("shop"), &plain, &err));
	assert_non_null(strstr(err.message, "two files"));
	arena_free(a);
}

/* ---- what is said once ---- */

static size_t logged;

static void count_line(enum log_level level, const char *line, void *ctx)
{
	logged += strstr(line, "bare numbers") != NULL;
}

static void bare_numbers_are_told_once(void **state)
{
	static const char *const texts[] = {"{\"_id\":0}\n{\"_id\":1}\n",
					    "{\"_id\":{\"$numberInt\":\"0\"}}\n{\"_id\":{\"$numberInt\":\"1\"}}\n"};
	for (size_t i = 0; i < 2; i++) {
		const char *const *notes;
		write_text("items.json", texts[i]);
		struct source *s = open_export(root, &plain);
		assert_int_equal(source_notes(s, &notes), 1);
		assert_non_null(strstr(notes[0], "an export is not a single point in time"));
		logged = 0;
		log_set_writer(count_line, NULL);
		check_ranges(s, 2, 1, 0);
		check_ranges(s, 2, 1, 0);
		log_set_writer(NULL, NULL);
		assert_int_equal(source_notes(s, &notes), i == 0 ? 2 : 1);
		assert_int_equal(logged, i == 0);
		source_close(s);
	}
}

/* ---- damage ---- */

/* Reading and counting; the first that fails. */
static void read_all(const char *text, size_t len, struct err *err, uint64_t *docs)
{
	struct source_reader *r;
	const uint8_t *doc;
	size_t n;
	write_file("items.json", text, len);
	struct source *s = open_export(root, &plain);
	assert_true(source_reader_open(&r, s, err));
	assert_true(source_read_ids(r, "items", NULL, NULL, 0, err));
	*docs = 0;
	assert_int_equal(source_next(r, &doc, &n, err), -1);
	source_reader_close(r);
	source_close(s);
}

static void damage_is_told_with_its_place(void **state)
{
	static const struct {
		const char *text, *message, *detail, *hint;
	} cases[] = {
		{"{\"a\":1}\n{\"a\":", "is cut short",
		 "after 1 whole documents, at byte 13: the text ends inside a document (the document begins at byte "
		 "8)",
		 ""},
		{"[{\"a\":1},", "is cut short", "at byte 9: it ends before its array does", ""},
		{"[{\"a\":1}", "is cut short", "at byte 8: it ends before its array does", ""},
		{"[{\"a\":1},]", "is damaged", "at byte 9: a document, which begins with {, is due there", ""},
		{"[{\"a\":1}{\"a\":1}]", "is damaged", "at byte 8: a comma or ] is due there", ""},
		{"[{\"a\":1}] x", "is damaged", "at byte 10: the end of the file is due there", ""},
		{"{\"a\":1},{\"a\":2}", "is damaged", "at byte 7: a document, which begins with {, is due there", ""},
		{"{\"a\":1}\n[1]", "is damaged", "at byte 8: a document, which begins with {, is due there", ""},
		{"{\"a\":1}}", "is damaged", "at byte 7: a document", ""},
		{"{\"a\":ObjectId(\"x\")}", "is damaged", "at byte 13: this is the mongo shell's notation", ""},
		{"_id,name\n1,x\n", "is damaged", "at byte 0: a document", "CSV"},
		{"\xff\xfe{\0", "is damaged", "at byte 0: a document", "UTF-16"},
		{"\x10\x02", "is damaged", "at byte 0: a document", "no text"},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct err err;
		uint64_t docs;
		read_all(cases[i].text, strlen(cases[i].text), &err, &docs);
		assert_int_equal(err.code, ERR_SOURCE_CORRUPT);
		assert_non_null(strstr(err.message, "items.json"));
		if (!strstr(err.message, cases[i].message) || !strstr(err.detail, cases[i].detail) ||
		    !strstr(err.hint, cases[i].hint))
			fail_msg("%s: %s / %s / %s", cases[i].text, err.message, err.detail, err.hint);
	}
}

static void damage_met_while_splitting(void **state)
{
	struct err err;
	struct ranges ranges = {.arena = arena_new()};
	write_text("items.json", "{\"a\":1}\n{\"a\":\"}\n{\"a\":1}\n");
	struct source *s = open_export(root, &plain);
	assert_false(source_split(s, "items", 1, 0, keep, &ranges, &err));
	assert_non_null(strstr(err.detail, "it ends inside the document that begins at byte 8"));
	source_close(s);
	arena_free(ranges.arena);
}

static void what_is_no_export(void **state)
{
	struct err err;
	struct source *s;
	write_text("items.csv", "_id\n");
	assert_false(source_open(&s, at("items.csv"), &plain, &err));
	assert_int_equal(err.code, ERR_SOURCE_URI);
	assert_false(source_open(&s, root, &plain, &err));
	assert_int_equal(err.code, ERR_SOURCE_URI);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, make_root, remove_root)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(ranges_of_every_shape),
		TEST(compressed),
		TEST(documents_by_id),
		TEST(names_and_databases),
		TEST(bare_numbers_are_told_once),
		TEST(damage_is_told_with_its_place),
		TEST(damage_met_while_splitting),
		TEST(what_is_no_export),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

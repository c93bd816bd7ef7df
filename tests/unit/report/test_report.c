/* The account: identities that hold, each one broken by one, and what counts as clean. And the texts made of it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ledger.h"
#include "report.h"

static const char mapping_text[] =
	"docrow: 1\n"
	"collections:\n"
	"  - collection: Users\n"
	"    table: Users\n"
	"    columns:\n"
	"      - { name: id, from: _id, type: uuid, primary_key: true }\n"
	"      - { name: email, type: text }\n"
	"  - collection: Posts\n"
	"    table: Posts\n"
	"    columns:\n"
	"      - { name: id, from: _id, type: uuid, primary_key: true }\n"
	"    children:\n"
	"      - { from: items, table: Items, parent: post, ordinal: pos, columns: [ { name: q, type: integer } ] }\n"
	"junctions:\n"
	"  - table: Likes\n"
	"    left:  { collection: Posts, path: likers, column: post_id }\n"
	"    right: { collection: Users, path: posts, column: user_id }\n";

/* A dirty database that balances. */
static const struct state_entry balanced[] = {
	{"read", "Users", "", 100},
	{"read", "Posts", "", 50},
	{"source", "Users", "", 100},
	{"source", "Posts", "", 50},
	{"reject", "Users", "range", 2},
	{"reject", "Users", "nul", 1},
	{"rows", "Users", "", 97},
	{"reject_row", "Users", "duplicate", 4},
	{"dropped", "Users", "email", 1},
	{"stub", "Users", "id", 2},
	{"rows", "Posts", "", 50},
	{"rows", "Items", "", 70},
	{"elements", "Items", "Posts", 75},
	{"reject_element", "Items", "type", 3},
	{"element_rejected_doc", "Items", "Posts", 2},
	{"child_of_reject", "Items", "", 5},
	{"elements", "Likes", "Posts", 60},
	{"elements", "Likes", "Users", 40},
	{"element_rejected_doc", "Likes", "Users", 6},
	{"pair_repeat", "Likes", "Posts", 10},
	{"pair_mirrored", "Likes", "", 20},
	{"pair_sides", "Likes", "", 3},
	{"reject_element", "Likes", "element_null", 1},
	{"pairs", "Likes", "", 60},
	{"rows", "Likes", "", 58},
	{"pair_orphan", "Likes", "user_id", 2},
	{"pair_one_sided", "Likes", "Posts", 30},
	{"unmapped", "Users", "legacy\nfield", 12},
	{"default_missing", "Users", "email", 5},
	{"orphan_null", "Posts", "author", 3},
};
#define NBALANCED (sizeof(balanced) / sizeof(balanced[0]))

struct fixture {
	struct mapping *mapping;
	struct plan *plan;
	struct arena *arena;
	struct state_entry entries[NBALANCED + 2];
	int64_t rows[8];
	struct report_facts f;
	struct account a;
};

static int64_t *rows_of(struct fixture *x, const char *table)
{
	int i = schema_find_table(&x->plan->schema, table);

	assert_true(i >= 0 && i < 8);
	return &x->rows[i];
}

static int setup(void **state)
{
	struct fixture *x = mem_zalloc(sizeof(*x));
	struct err err;

	x->arena = arena_new();
	if (!mapping_parse(&x->mapping, "m.yaml", mapping_text, strlen(mapping_text), NULL, &err) ||
	    !plan_build(&x->plan, x->mapping, NULL, &err))
		fail_msg("%s: %s", err.message, err.detail);
	memcpy(x->entries, balanced, sizeof(balanced));
	*rows_of(x, "Users") = 94;
	*rows_of(x, "Posts") = 50;
	*rows_of(x, "Items") = 65;
	*rows_of(x, "Likes") = 58;
	x->f = (struct report_facts){
		.plan = x->plan, .entries = x->entries, .nentries = NBALANCED, .table_rows = x->rows};
	x->f.run = (struct state_run){.id = 7,
				      .phase = STATE_DONE,
				      .status = (char *)"done",
				      .mapping_name = (char *)"m",
				      .mapping_digest = (char *)"00",
				      .source_describe = (char *)"MongoDB 6.0, h/db",
				      .started = (char *)"2026-01-02T03:04:05Z"};
	x->f.target = "h/db as u";
	*state = x;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *x = *state;

	plan_free(x->plan);
	mapping_free(x->mapping);
	arena_free(x->arena);
	free(x);
	return 0;
}

static void test_balanced(void **state)
{
	struct fixture *x = *state;

	account_build(&x->a, &x->f, x->arena);
	if (x->a.nbreaks > 0)
		fail_msg("%s", x->a.breaks[0]);
	assert_int_equal(x->a.nchanges, 0);
	/* Users, Posts, Items, 2 of Likes, rows of 4 tables, source of 2 collections */
	assert_int_equal(x->a.nchecked, 11);
	assert_int_equal(x->a.read, 150);
	assert_int_equal(x->a.rejects, 3 + 4 + 3 + 1);
	assert_false(x->a.is_clean);
}

/* One count off by one: exactly what it is part of is told. */
static const struct {
	size_t entry;
	const char *told[2];
} broken[] = {
	{0, {"Users: 101 documents read", "Users: 101 documents read, 100 are in the source"}},
	{1, {"Posts: 51 documents read", NULL}},
	{4, {"Users: 100 documents read, but 97 rows of Users and 4 open rejects", NULL}},
	{6, {"Users: 100 documents read, but 98 rows", "Users: 95 rows by the ledger, but 94 are in the table"}},
	{7, {"Users: 93 rows by the ledger", NULL}},
	{8, {"Users: 93 rows by the ledger", NULL}},
	{9, {"Users: 95 rows by the ledger", NULL}},
	{11, {"Items: 75 elements read, but 71 rows", "Items: 66 rows by the ledger"}},
	{12, {"Items: 76 elements read", NULL}},
	{13, {"Items: 75 elements read, but 70 rows, 4 rejected elements", NULL}},
	{14, {"Items: 75 elements read", NULL}},
	{15, {"Items: 64 rows by the ledger", NULL}},
	{16, {"Likes: 101 elements read", NULL}},
	{18, {"Likes: 100 elements read", NULL}},
	{19, {"Likes: 100 elements read", NULL}},
	{20, {"Likes: 100 elements read", NULL}},
	{21, {"Likes: 100 elements read", NULL}},
	{22, {"Likes: 100 elements read", NULL}},
	{23, {"Likes: 100 elements read", "Likes: 61 pairs, but 58 rows and 2 orphan pairs"}},
	{24, {"Likes: 60 pairs, but 59 rows", "Likes: 59 rows by the ledger"}},
	{25, {"Likes: 60 pairs, but 58 rows and 3 orphan pairs", NULL}},
};

static bool is_told(const struct account *a, const char *text)
{
	for (size_t i = 0; i < a->nbreaks; i++)
		if (strstr(a->breaks[i], text))
			return true;
	for (size_t i = 0; i < a->nchanges; i++)
		if (strstr(a->changes[i], text))
			return true;
	return false;
}

/* Rows and pairs that were there before the run are left out of it. */
static void test_skipped_rows(void **state)
{
	struct fixture *x = *state;

	x->entries[NBALANCED] = (struct state_entry){"skipped", "Users", "", 5};
	x->entries[NBALANCED + 1] = (struct state_entry){"skipped", "Likes", "", 3};
	x->f.nentries += 2;
	x->f.run.way = (char *)"append, on-conflict skip";
	*rows_of(x, "Users") -= 5;
	*rows_of(x, "Likes") -= 3;
	account_build(&x->a, &x->f, x->arena);
	if (x->a.nbreaks > 0)
		fail_msg("%s", x->a.breaks[0]);
	struct buf out;
	buf_init(&out, 0);
	summary_write(&out, &x->f, &x->a, false);
	assert_non_null(strstr(buf_cstr(&out), "tables   were there: append, on-conflict skip\n"));
	assert_non_null(strstr(buf_cstr(&out), "Rows that were there before the run\n"));
	buf_free(&out);
	x->entries[NBALANCED].n++;
	x->entries[NBALANCED + 1].n--;
	account_build(&x->a, &x->f, x->arena);
	assert_true(is_told(&x->a, "Users: 88 rows by the ledger, but 89 are in the table"));
	assert_true(is_told(&x->a, "Likes: 56 rows by the ledger, but 55 are in the table"));
}

static void test_each_identity_is_looked_at(void **state)
{
	struct fixture *x = *state;

	for (size_t i = 0; i < sizeof(broken) / sizeof(broken[0]); i++) {
		x->entries[broken[i].entry].n++;
		account_build(&x->a, &x->f, x->arena);
		for (int k = 0; k < 2 && broken[i].told[k]; k++)
			if (!is_told(&x->a, broken[i].told[k]))
				fail_msg("entry %zu: not told: %s (but %s)", broken[i].entry, broken[i].told[k],
					 x->a.nbreaks > 0 ? x->a.breaks[0] : "nothing");
		x->entries[broken[i].entry].n--;
	}
	*rows_of(x, "Posts") -= 1;
	account_build(&x->a, &x->f, x->arena);
	assert_true(is_told(&x->a, "Posts: 50 rows by the ledger, but 49 are in the table"));
}

static void test_source_that_changed(void **state)
{
	struct fixture *x = *state;

	x->entries[2].n = 103;
	account_build(&x->a, &x->f, x->arena);
	assert_int_equal(x->a.nbreaks, 0);
	assert_int_equal(x->a.nchanges, 1);
	assert_string_equal(x->a.changes[0], "Users: 100 documents read, 103 are in the source now");
}

/* The ledger may hold more of this; what there is without rejects is clean. */
static void test_clean(void **state)
{
	static const struct state_entry clean[] = {
		{"read", "Users", "", 10},        {"source", "Users", "", 10},
		{"rows", "Users", "", 10},        {"default_missing", "Users", "email", 4},
		{"dropped", "Users", "email", 1}, {"orphan_null", "Posts", "a", 1}};
	struct fixture *x = *state;
	const char *kept[] = {"a_fkey on a"};

	x->f.entries = clean;
	x->f.nentries = sizeof(clean) / sizeof(clean[0]);
	memset(x->rows, 0, sizeof(x->rows));
	*rows_of(x, "Users") = 9;
	account_build(&x->a, &x->f, x->arena);
	assert_int_equal(x->a.nbreaks, 0);
	assert_true(x->a.is_clean);
	x->f.kept_keys = kept;
	x->f.nkept_keys = 1;
	account_build(&x->a, &x->f, x->arena);
	assert_false(x->a.is_clean);
}

static void test_unfinished_is_not_checked(void **state)
{
	struct fixture *x = *state;

	x->entries[0].n = 55;
	x->f.run.phase = STATE_LOAD;
	x->f.table_rows = NULL;
	account_build(&x->a, &x->f, x->arena);
	assert_int_equal(x->a.nchecked, 0);
	assert_int_equal(x->a.nbreaks, 0);
}

static void has_text(const char *text, const char *part)
{
	if (!strstr(text, part))
		fail_msg("\"%s\" is not in\n%s", part, text);
}

static void test_summary(void **state)
{
	static const struct report_time times[] = {{"Users", 2.0}};
	struct fixture *x = *state;
	struct buf out;

	x->f.times = times;
	x->f.ntimes = 1;
	x->f.load_seconds = 2.5;
	account_build(&x->a, &x->f, x->arena);
	buf_init(&out, 0);
	summary_write(&out, &x->f, &x->a, false);
	const char *text = buf_cstr(&out);
	has_text(text, "Run 7: done");
	has_text(text, "All 11 checks hold");
	has_text(text, "Users                100          94        7        1      2.0 s         50\n");
	has_text(text, "Likes                 60          58          20         3         2\n");
	has_text(text, "from Posts: 60 elements, 30 pairs only here, 10 repeated\n");
	has_text(text, "12  Users.legacy\\x0afield\n"); /* a name never breaks a line */
	has_text(text, "5  Users.email  (missing fields filled by if_missing)\n");
	has_text(text, "3  Posts.author  (orphan references set to NULL)\n");
	assert_null(strstr(text, "!!"));
	buf_reset(&out);
	x->entries[0].n++;
	account_build(&x->a, &x->f, x->arena);
	summary_write(&out, &x->f, &x->a, false);
	text = buf_cstr(&out);
	has_text(text, "THE ACCOUNT DOES NOT BALANCE");
	has_text(text, "!! Users: 101 documents read");
	has_text(text, "Do not move over");
	assert_null(strstr(text, "checks hold"));
	buf_free(&out);
}

/* Everything that columns count but plain NULLs is listed; many paths of one kind do not hide another kind. */
static void test_summary_lists_every_kind(void **state)
{
	static const enum ledger_kind kinds[] = {
		LEDGER_DEFAULT_MISSING, LEDGER_DEFAULT_NULL,  LEDGER_DEFAULT_UNDEFINED, LEDGER_DEFAULT_INVALID,
		LEDGER_IS_INVALID,      LEDGER_IS_UNDEFINED,  LEDGER_ID_MAPPED,         LEDGER_ENCODING,
		LEDGER_DUPLICATE_KEYS,  LEDGER_NEGATIVE_ZERO, LEDGER_ROUNDED,           LEDGER_LABELLED,
		LEDGER_FOLDED,          LEDGER_ACCEPTED,      LEDGER_ORPHAN_NULL,       LEDGER_ORPHAN_MOVED,
		LEDGER_ORPHAN_KEPT,     LEDGER_KEPT,          LEDGER_UNMAPPED,          LEDGER_BEFORE,
		LEDGER_SKIPPED,         LEDGER_REPLACED};
	enum { NKINDS = sizeof(kinds) / sizeof(kinds[0]), MANY = 30 };
	struct fixture *x = *state;
	struct state_entry entries[NKINDS + MANY];
	struct buf out;

	for (size_t i = 0; i < NKINDS; i++)
		entries[i] = (struct state_entry){ledger_kind_name(kinds[i]), "Users", "email", 1000 + i};
	for (size_t i = 0; i < MANY; i++)
		entries[NKINDS + i] = (struct state_entry){(char *)"default_missing", (char *)"Users",
							   arena_printf(x->arena, "c%zu", i), 2000 + i};
	x->f.entries = entries;
	x->f.nentries = NKINDS + MANY;
	account_build(&x->a, &x->f, x->arena);
	buf_init(&out, 0);
	summary_write(&out, &x->f, &x->a, false);
	for (size_t i = 1; i < NKINDS; i++)
		has_text(buf_cstr(&out), arena_printf(x->arena,
						      kinds[i] == LEDGER_KEPT || kinds[i] == LEDGER_UNMAPPED
							      ? "1,0%02zu  Users.email\n"
							      : "1,0%02zu  Users.email  (%s)\n",
						      i, ledger_kind_sentence(kinds[i])));
	has_text(buf_cstr(&out), "2,029  Users.c29  (missing fields filled by if_missing)\n");
	has_text(buf_cstr(&out),
		 "and 41,190 in 21 more: SELECT * FROM docrow.ledger WHERE kind = 'default_missing'\n");
	buf_free(&out);
}

static void in_temp_folder(char path[64], const char *name)
{
	char folder[] = "/tmp/docrow-test-report-XXXXXX";

	assert_non_null(mkdtemp(folder));
	snprintf(path, 64, "%s/%s", folder, name);
}

static void remove_with_folder(char path[64])
{
	assert_int_equal(unlink(path), 0);
	*strrchr(path, '/') = '\0';
	assert_int_equal(rmdir(path), 0); /* nothing else was left in it */
}

static void has_mode_0600(const char *path)
{
	struct stat st;

	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
}

static void test_checkpoint(void **state)
{
	struct state_progress progress[] = {{.name = "Users", .phase = STATE_LOAD, .total = 4, .done = 3},
					    {.name = "index", .phase = STATE_SETTLE, .total = 9, .done = 1}};
	struct fixture *x = *state;
	struct err err;
	json_error_t error;
	char path[64];

	in_temp_folder(path, "checkpoint.json");
	x->f.progress = progress;
	x->f.nprogress = 2;
	x->f.resume_command = "docrow migrate --resume";
	account_build(&x->a, &x->f, x->arena);
	assert_true(checkpoint_write(path, &x->f, &x->a, &err));
	assert_true(checkpoint_write(path, &x->f, &x->a, &err)); /* over the old one */
	has_mode_0600(path);
	json_t *root = json_load_file(path, 0, &error);
	assert_non_null(root);
	assert_int_equal(json_integer_value(json_object_get(root, "format")), 1);
	assert_int_equal(json_integer_value(json_object_get(root, "run")), 7);
	assert_string_equal(json_string_value(json_object_get(root, "phase")), "done");
	assert_string_equal(json_string_value(json_object_get(root, "resume")), "docrow migrate --resume");
	json_t *users = json_array_get(json_object_get(root, "collections"), 0);
	assert_string_equal(json_string_value(json_object_get(users, "collection")), "Users");
	assert_int_equal(json_integer_value(json_object_get(users, "chunks_done")), 3);
	assert_int_equal(json_integer_value(json_object_get(users, "rejects")), 7);
	assert_int_equal(json_array_size(json_object_get(root, "steps")), 1);
	json_decref(root);
	remove_with_folder(path);
}

static void test_errorlog(void **state)
{
	static const struct report_reject reject = {.id = "5",
						    .collection = "a \"b\"\n",
						    .doc_id = "{\"$oid\":\"507f1f77bcf86cd799439011\"}",
						    .fault = "range",
						    .code = "DR-F04",
						    .ordinal = "3"};
	static const struct state_pattern pattern = {.fault = "range", .collection = "a", .n = 12, .example = 5};
	struct errorlog *l;
	struct err err;
	char path[64], line[1024];

	in_temp_folder(path, "errors.log");
	assert_true(errorlog_open(&l, path, &err));
	assert_int_equal(access(path, F_OK), -1); /* not there until it is whole */
	errorlog_add(l, &reject);
	assert_true(errorlog_close(l, &pattern, 1, 11, &err));
	has_mode_0600(path);
	FILE *f = fopen(path, "r");
	json_t *lines[3];
	for (int i = 0; i < 3; i++) {
		assert_non_null(fgets(line, sizeof(line), f));
		lines[i] = json_loads(line, 0, NULL);
		assert_non_null(lines[i]);
	}
	assert_null(fgets(line, sizeof(line), f));
	fclose(f);
	assert_string_equal(json_string_value(json_object_get(lines[0], "collection")), "a \"b\"\n");
	assert_int_equal(json_integer_value(json_object_get(lines[0], "ordinal")), 3);
	assert_null(json_object_get(lines[0], "table"));
	assert_int_equal(json_integer_value(json_object_get(lines[1], "rejects")), 12);
	assert_int_equal(json_integer_value(json_object_get(lines[2], "rejects")), 12);
	assert_int_equal(json_integer_value(json_object_get(lines[2], "not_listed")), 11);
	for (int i = 0; i < 3; i++)
		json_decref(lines[i]);
	remove_with_folder(path);
}

static void test_errorlog_where_nothing_can_be_written(void **state)
{
	struct errorlog *l;
	struct err err;

	assert_false(errorlog_open(&l, "/nonexistent/errors.log", &err));
	assert_int_equal(err.code, ERR_FILE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_balanced, setup, teardown),
		cmocka_unit_test_setup_teardown(test_each_identity_is_looked_at, setup, teardown),
		cmocka_unit_test_setup_teardown(test_skipped_rows, setup, teardown),
		cmocka_unit_test_setup_teardown(test_source_that_changed, setup, teardown),
		cmocka_unit_test_setup_teardown(test_clean, setup, teardown),
		cmocka_unit_test_setup_teardown(test_unfinished_is_not_checked, setup, teardown),
		cmocka_unit_test_setup_teardown(test_summary, setup, teardown),
		cmocka_unit_test_setup_teardown(test_summary_lists_every_kind, setup, teardown),
		cmocka_unit_test_setup_teardown(test_checkpoint, setup, teardown),
		cmocka_unit_test(test_errorlog),
		cmocka_unit_test(test_errorlog_where_nothing_can_be_written),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* What validate adds up without a server: tallies and attempts that are forgotten, places of rows, findings merged,
 * the sample, forms of columns, and the file of an interrupted validation. */
#include "values.h"

#include <unistd.h>

#include "validate_private.h"

struct arena *all;

/* --- tally --- */

struct sums {
	uint64_t n[4], keys, odd;
};

static void add_up(void *ctx, const struct tally_key *k)
{
	struct sums *s = ctx;

	s->keys++;
	for (int i = 0; i < 4; i++)
		s->n[i] += k->n[i];
	s->odd += k->n[TALLY_DOC] != k->n[TALLY_ROW];
}

static struct sums compare_all(struct tally *t)
{
	struct sums s = {0};
	struct err err;

	for (int i = 0; i < TALLY_PARTS; i++)
		assert_true(tally_compare(t, i, add_up, &s, &err));
	return s;
}

static void test_tally(void **state)
{
	struct tally *t = tally_new();
	struct tally_writer *docs = tally_writer_new(t), *rows = tally_writer_new(t);
	struct err err;

	(void)state;
	for (uint64_t i = 0; i < 50000; i++) {
		uint64_t h = key_hash(1, &i, 8);
		tally_add(docs, (uint32_t)(i & 3), TALLY_DOC, h);
		if (i != 77 && i != 78)
			tally_add(rows, (uint32_t)(i & 3), TALLY_ROW, h);
	}
	/* an attempt that failed half way, after much of it was written, and the one that took its place */
	for (int attempt = 0; attempt < 3; attempt++) {
		tally_begin(rows);
		for (uint64_t i = 50000; i < 70000; i++)
			tally_add(rows, 5, TALLY_ROW, key_hash(1, &i, 8));
		if (attempt < 2)
			tally_forget(rows);
	}
	tally_begin(rows);
	for (uint64_t i = 50000; i < 70000; i++)
		tally_add(docs, 5, TALLY_DOC, key_hash(1, &i, 8));
	assert_true(tally_writer_close(docs, &err) && tally_writer_close(rows, &err));
	struct sums s = compare_all(t);
	assert_int_equal(s.n[TALLY_DOC], 70000);
	assert_int_equal(s.n[TALLY_ROW], 69998);
	assert_int_equal(s.odd, 2);
	assert_int_equal(s.keys, 70000);
	tally_free(t);
}

/* --- places of rows --- */

static void test_spots(void **state)
{
	struct spots *s = spots_new();
	struct err err;
	size_t n;

	(void)state;
	assert_true(spots_sort(s, &err));
	assert_null(spots_find(s, 5, &n));
	for (int again = 0; again < 2; again++) { /* a task that is made anew */
		spots_clear(s);
		for (uint32_t i = 0; i < 20000; i++) {
			uint64_t x = i / 3; /* three of each hash; and many of one */
			spots_add(s, i % 5 == 0 ? 42 : key_hash(1, &x, 8), 16384, i, (uint16_t)(i & 0xffff));
		}
		spots_add(s, UINT64_MAX, 1, 2, 3);
		spots_add(s, 0, 4, 5, 6);
	}
	assert_true(spots_sort(s, &err));
	assert_non_null(spots_find(s, 42, &n));
	assert_int_equal(n, 4000);
	struct spot *last = spots_find(s, UINT64_MAX, &n);
	assert_true(n == 1 && last->table == 1 && last->block == 2 && last->item == 3);
	last = spots_find(s, 0, &n);
	assert_true(n == 1 && last->block == 5);
	for (uint64_t x = 0; x < 20000 / 3; x++) {
		uint64_t hash = key_hash(1, &x, 8);
		struct spot *first = spots_find(s, hash, &n);
		size_t want = 0;
		for (uint64_t i = 3 * x; i < 3 * x + 3; i++)
			want += i % 5 != 0;
		assert_int_equal(n, want);
		for (size_t i = 0; i < n; i++)
			assert_true(first[i].hash == hash && first[i].block / 3 == x && first[i].used == 0);
	}
	uint64_t none = 1000000;
	assert_null(spots_find(s, key_hash(1, &none, 8), &n));
	assert_int_equal(n, 0);
	spots_free(s);
}

/* --- the sample --- */

/* Documents with _ids in a row: are about as many taken as asked for, everywhere, by every seed? */
static void test_sample(void **state)
{
	enum { DOCUMENTS = 100000, PARTS = 10 };
	uint64_t below = key_sample(DOCUMENTS, 1000, 0);

	(void)state;
	for (uint64_t seed = 1; seed <= 5; seed++) {
		int taken[PARTS] = {0}, total = 0;
		for (int i = 0; i < DOCUMENTS; i++) {
			uint8_t doc[22] = {22, 0, 0, 0, 7, '_', 'i', 'd', 0}; /* {_id: ObjectId} */
			memcpy(doc + 17, f_number(i, 4).data, 4);
			int in = key_hash(seed, doc, sizeof doc) <= below;
			taken[i / (DOCUMENTS / PARTS)] += in;
			total += in;
			arena_reset(all);
		}
		assert_true(total >= 1000 && total < 1400);
		for (int p = 0; p < PARTS; p++)
			assert_true(taken[p] > 70 && taken[p] < 170);
	}
	assert_true(key_sample(5, 100, 0) == UINT64_MAX && key_sample(0, 100, 0) == UINT64_MAX);
	assert_true(key_sample(1000000, 0, 1) == UINT64_MAX);
	double part = (double)key_sample(1000000, 0, 0.01) / 18446744073709551616.0;
	assert_true(part > 0.0099 && part < 0.0101);
	/* a small share of few documents: ten at the least */
	assert_true((double)key_sample(1000, 0, 0.001) / 18446744073709551616.0 > 0.02);
}

/* A hash of every length, and of every bit. */
static void test_hash(void **state)
{
	uint8_t data[40] = {0};

	(void)state;
	for (size_t n = 0; n <= sizeof data; n++)
		for (size_t bit = 0; bit < 8 * n; bit++) {
			uint64_t before = key_hash(7, data, n);
			data[bit / 8] ^= (uint8_t)(1 << bit % 8);
			assert_true(key_hash(7, data, n) != before);
			assert_true(key_hash(8, data, n) != key_hash(7, data, n));
			data[bit / 8] ^= (uint8_t)(1 << bit % 8);
		}
	assert_true(key_hash(1, data, 3) != key_hash(1, data, 4));
	assert_true(pair_hash(data, 2, data, 3) != pair_hash(data, 3, data, 2));
}

/* --- findings --- */

static struct plan *small_plan(void)
{
	static const char *const names[] = {"users", "items"};
	struct plan *p = arena_alloc(all, sizeof *p);

	p->schema.ntables = 2;
	p->schema.tables = arena_alloc(all, 2 * sizeof *p->schema.tables);
	for (int i = 0; i < 2; i++) {
		p->schema.tables[i].name = names[i];
		p->schema.tables[i].parent_table = -1;
	}
	return p;
}

static void add(struct found *f, const char *table, enum validate_kind kind, int times)
{
	for (int i = 0; i < times; i++)
		found_add(f, &(struct validate_finding){.kind = kind, .table = table, .detail = "x"});
}

static void test_findings_are_merged(void **state)
{
	struct plan *p = small_plan();
	struct found *sum = found_new(p), *own = found_new(p);
	struct validate_finding *list;
	const char **notes;

	(void)state;
	add(own, "users", FOUND_VALUE, 700);
	add(own, NULL, FOUND_ENUM, 1);
	FOUND_COUNT(own, 0, compared, 10);
	found_note(own, "a note of %d", 1);
	found_merge(sum, own);
	assert_int_equal(found_list(own, &list), 0);
	assert_int_equal(found_total(own), 0);
	add(own, "users", FOUND_VALUE, 5000); /* more than are kept one by one */
	add(own, "items", FOUND_ORPHAN, 2);
	FOUND_COUNT(own, 0, compared, 5);
	found_merge(sum, own);
	/* a task that failed leaves nothing */
	add(own, "items", FOUND_ORPHAN, 3);
	FOUND_COUNT(own, 1, rows, 3);
	found_note(own, "never seen");
	found_reset(own);
	found_merge(sum, own);
	assert_int_equal(found_total(sum), 5703);
	assert_int_equal(found_table(sum, 0)->found[FOUND_VALUE], 5700);
	assert_int_equal(found_table(sum, 0)->compared, 15);
	assert_int_equal(found_table(sum, 1)->found[FOUND_ORPHAN], 2);
	assert_int_equal(found_table(sum, 1)->rows, 0);
	assert_int_equal(found_list(sum, &list), VALIDATE_MAX_FINDINGS + 3);
	assert_int_equal(found_notes(sum, &notes), 1);
	assert_string_equal(notes[0], "a note of 1");
	found_free(own);
	found_free(sum);
}

/* Every kind has a layer that exists, a name of its own and a sentence. */
static void test_kinds(void **state)
{
	(void)state;
	for (int k = 0; k < VALIDATE_KIND_COUNT; k++) {
		assert_true(validate_kind_layer((enum validate_kind)k) < LAYER_COUNT);
		assert_true(strlen(validate_kind_sentence((enum validate_kind)k)) > 10);
		assert_true(strlen(validate_kind_next((enum validate_kind)k)) > 10);
		for (int i = 0; i < k; i++)
			assert_string_not_equal(validate_kind_name((enum validate_kind)k),
						validate_kind_name((enum validate_kind)i));
	}
}

/* --- forms of columns --- */

static struct val document(struct val v)
{
	uint8_t *doc = arena_alloc(all, doc_wrap_size("x", &v));
	size_t n = doc_wrap("x", &v, doc);

	return (struct val){.data = doc, .len = (uint32_t)n, .kind = BSON_K_DOCUMENT};
}

static bool form_of(const char *type, unsigned accept, struct val v, struct field_bytes f, bool *same)
{
	static const char *path[] = {"x"};
	struct map_column map = {.from = path, .nfrom = 1};
	struct column c = {.name = "x", .feed = PLAN_FEED_SLOT, .map = &map, .nullable = true};
	_cleanup_(buf_free) struct buf a = {0}, b = {0};
	struct val doc = document(v), id = v_int(1);
	struct judge j;
	struct view view = {0};

	judge_init(&j, 150000);
	c.spec = spec_of(type, accept);
	view_set(&view, &doc);
	bool known = column_form(&j, &c, &view, &id, &a);
	field_form(&j, &c.spec.type, f, &b);
	*same = a.len == b.len && memcmp(a.data, b.data, a.len) == 0;
	view_free(&view);
	judge_free(&j);
	return known;
}

/* A form that is known agrees with the field that the judge holds to be the same, and with no other. */
static void test_forms(void **state)
{
	const struct {
		const char *type;
		unsigned accept;
		struct val v;
		struct field_bytes right, wrong;
	} known[] = {
		{"integer", 0, v_int(5), f_number(5, 4), f_number(6, 4)},
		{"smallint", 0, v_int(-5), f_number(-5, 2), f_null()},
		{"bigint", 0, v_double(0x1p60), f_number(INT64_C(1) << 60, 8), f_number(0, 8)},
		{"text", 0, v_text("a"), f_text("a"), f_text("A")},
		{"text", 0, v_text(""), f_text(""), f_null()},
		{"varchar(9)", MAP_ACCEPT_HEX_ID, v_text("b"), f_text("b"), f_text("b ")},
		{"boolean", 0, v_bool(false), f_number(0, 1), f_number(1, 1)},
		{"bytea", 0, v_binary(0, ""), f_hex(""), f_hex("00")},
		{"date", 0, v_date(-86400000), f_number(-10958, 4), f_number(-10957, 4)},
		{"timestamp(3)", 0, v_date(-1), f_number(INT64_C(-946684800001000), 8), f_number(0, 8)},
		{"integer", 0, v_raw(BSON_K_NULL, "", 0), f_null(), f_number(0, 4)},
		{"uuid", 0, v_oid("507f1f77bcf86cd799439011"), f_hex("013a7092e8d87bcfa1b35e650e4044dc"), f_null()},
	};
	bool same;

	(void)state;
	for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
		assert_true(form_of(known[i].type, known[i].accept, known[i].v, known[i].right, &same));
		if (!same)
			fail_msg("form %zu is not the field's", i);
		assert_true(form_of(known[i].type, known[i].accept, known[i].v, known[i].wrong, &same) && !same);
	}
	/* a text that is read as an instant has no form of its own: left open, never guessed */
	assert_false(form_of("timestamptz", MAP_ACCEPT_ISO_STRING, v_text("2024-01-02"), f_null(), &same));
	assert_false(form_of("boolean", MAP_ACCEPT_BOOL_STRING, v_text("true"), f_null(), &same));
}

/* --- a second look --- */

static void test_unmet(void **state)
{
	struct odd odd[] = {{0, 5, FOUND_MISSING_ROW, 1},
			    {0, 6, FOUND_EXTRA_ROW, 2},
			    {0, 7, FOUND_MISSING_ROW, 3},
			    {1, 5, FOUND_MISSING_ROW, 0}};
	struct plan *p = small_plan();
	struct validation v = {.plan = p, .odd = odd, .nodd = 4, .found = found_new(p)};
	struct validate_finding *list;

	(void)state;
	odd_tell_unmet(&v);
	assert_int_equal(found_list(v.found, &list), 2);
	assert_int_equal(found_table(v.found, 0)->found[FOUND_MISSING_ROW], 1);
	assert_int_equal(found_table(v.found, 0)->found[FOUND_EXTRA_ROW], 1);
	assert_int_equal(found_total(v.found), 2);
	assert_int_equal(list[0].size, 4);
	assert_string_equal(list[0].table, "users");
	assert_non_null(strstr(list[0].detail, "4 that the first look saw were not met again"));
	found_free(v.found);
}

/* Of documents that no row is like so many are kept for a second look; the others are counted, and told. */
static void test_what_is_left_is_bounded(void **state)
{
	uint64_t uncompared[3] = {0}, *left = mem_alloc(MOST_LEFT * sizeof *left);
	struct plan *p = small_plan();
	struct validation v = {.plan = p, .uncompared = uncompared, .left = listed_new(), .found = found_new(p)};
	struct worker w = {.v = &v, .undo.left = left};
	struct validate_finding *list;

	(void)state;
	pthread_mutex_init(&v.lock, NULL);
	for (int task = 0; task < 3; task++) {
		for (uint64_t i = 0; i < MOST_LEFT / 2 + 7; i++)
			left[w.undo.nleft++] = key_hash((uint64_t)task, &i, sizeof i);
		undo_keep(&w, 1);
		assert_int_equal(w.undo.nleft, 0);
	}
	assert_int_equal(v.nleft, MOST_LEFT);
	assert_int_equal(uncompared[1], MOST_LEFT / 2 + 21);
	v.stats = stats_new(p);
	v.listed = listed_new();
	match_check(&v);
	assert_int_equal(found_list(v.found, &list), 1);
	assert_string_equal(list[0].table, "items");
	assert_int_equal(found_table(v.found, 1)->found[FOUND_NOT_COMPARED], MOST_LEFT / 2 + 21);
	stats_free(p, v.stats);
	listed_free(v.listed);
	listed_free(v.left);
	found_free(v.found);
	pthread_mutex_destroy(&v.lock);
	free(left);
}

/* --- an interrupted validation --- */

/* A folder of one JSON export is a source that needs no server. */
static struct source *small_source(char *folder)
{
	struct source *s;
	struct err err;

	assert_non_null(mkdtemp(folder));
	char *file = arena_printf(all, "%s/users.json", folder);
	assert_true(file_write_atomic(file, "{\"_id\": 1}\n", 11, &err));
	if (!source_open(&s, folder, &(struct source_options){.app_name = "test"}, &err))
		fail_msg("%s", err.message);
	unlink(file);
	return s;
}

static struct validation *job(const char *file, struct source *source)
{
	static const struct plan_collection collection = {.name = "users"};
	struct validation *v = arena_alloc(all, sizeof *v);
	static struct mapping mapping;
	struct plan *p = small_plan();

	p->mapping = &mapping;
	v->plan = p;
	v->source = source;
	v->feeds = arena_alloc(all, sizeof *v->feeds);
	v->feeds[0].collection = &collection;
	v->o = (struct validate_options){
		.full = true, .layers = 31, .progress_file = file, .seed = 1, .version = "1"};
	v->result.target = "host:1/db";
	v->moment = "750:751:750";
	v->found = found_new(p);
	return v;
}

static bool goes_on(struct validation *v)
{
	struct task t = {.bounds = (uint8_t *)"chunk 1", .bounds_len = 7};
	struct err err;

	v->o.resume = true;
	assert_true(resume_open(v, &err));
	bool found = resume_find(v, &t) != NULL;
	resume_close(v, false);
	return found;
}

static void write_progress(struct validation *v)
{
	struct task t = {.bounds = (uint8_t *)"chunk 1", .bounds_len = 7};
	struct err err;

	v->o.resume = false;
	assert_true(resume_open(v, &err));
	resume_add(v, &t, (struct proved){0, 1, 2, 3, 4});
	resume_close(v, false);
}

/* What was proved in another way counts for nothing: each of these must be the same. */
static void test_progress_file(void **state)
{
	char folder[] = "/tmp/docrow-test-progress-XXXXXX";
	struct source *source = small_source(folder);
	char *file = arena_printf(all, "%s/progress", folder);

	(void)state;
	for (int change = 0; change < 12; change++) {
		struct validation *v = job(file, source);
		write_progress(v);
		if (change == 1)
			v->o.layers = 1u << LAYER_COUNTS;
		else if (change == 2)
			v->o.sample_share = 0.5;
		else if (change == 3)
			v->o.full = false;
		else if (change == 4)
			v->o.seed = 2;
		else if (change == 5)
			v->run.id = 9;
		else if (change == 6)
			v->o.version = "another";
		else if (change == 7)
			v->o.appended = true;
		else if (change == 8)
			v->o.existing = true;
		else if (change == 9)
			v->has_state = true;
		else if (change == 10)
			v->server_version = 160000;
		else if (change == 11)
			((struct plan *)(uintptr_t)v->plan)->schema.name = "other";
		if (goes_on(v) != (change == 0))
			fail_msg("change %d", change);
		found_free(v->found);
	}
	source_close(source);
	unlink(file);
	rmdir(folder);
}

static int setup(void **state)
{
	(void)state;
	all = arena_new();
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	arena_free(all);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_tally),         cmocka_unit_test(test_spots),
		cmocka_unit_test(test_hash),          cmocka_unit_test(test_findings_are_merged),
		cmocka_unit_test(test_kinds),         cmocka_unit_test(test_forms),
		cmocka_unit_test(test_unmet),         cmocka_unit_test(test_what_is_left_is_bounded),
		cmocka_unit_test(test_progress_file), cmocka_unit_test(test_sample), /* last: it empties the arena */
	};
	return cmocka_run_group_tests(tests, setup, teardown);
}

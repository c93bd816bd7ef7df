/* Sample databases: the same bytes whatever the threads, references that hold, both sides of every link, clean
 * documents without a fault and dirty ones with exactly the listed one. Runs on NextCRM's mapping and on one of
 * everything.
 */
#include <dirent.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>
#include <zlib.h>

#include "canon.h"
#include "convert.h"
#include "extjson.h"
#include "id.h"
#include "synth.h"
#include "synth_private.h"
#include "sys.h"

static const char *const mapping_files[] = {"mappings/nextcrm.yaml", "tests/data/everything.yaml"};

struct plan_pair {
	struct mapping *mapping;
	struct plan *plan;
};

static struct plan_pair load(const char *file)
{
	struct plan_pair p = {0};
	char path[4096];
	struct err err;

	snprintf(path, sizeof path, "%s/%s", getenv("DOCROW_SOURCE_ROOT"), file);
	if (!mapping_load(&p.mapping, path, NULL, &err) || !plan_build(&p.plan, p.mapping, NULL, &err))
		fail_msg("%s: %s %s", file, err.message, err.detail);
	return p;
}

static void unload(struct plan_pair *p)
{
	plan_free(p->plan);
	mapping_free(p->mapping);
}

static char folder[64];

static int setup(void **state)
{
	(void)state;
	strcpy(folder, "/tmp/docrow-synth-XXXXXX");
	return mkdtemp(folder) ? 0 : -1;
}

static void remove_tree(const char *path)
{
	char inner[4096];
	struct dirent *e;
	DIR *d = opendir(path);

	while (d && (e = readdir(d))) {
		if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
			continue;
		snprintf(inner, sizeof inner, "%s/%s", path, e->d_name);
		if (e->d_type == DT_DIR)
			remove_tree(inner);
		else
			unlink(inner);
	}
	if (d)
		closedir(d);
	rmdir(path);
}

static int teardown(void **state)
{
	(void)state;
	remove_tree(folder);
	return 0;
}

/* Runs into <folder>/<name>; the database is in the folder "db". */
static struct synth_result run(const struct plan *p, const char *name, struct synth_options o)
{
	struct synth_result result;
	char path[128];
	struct err err;

	snprintf(path, sizeof path, "%s/%s", folder, name);
	o.folder = path;
	o.database = "db";
	if (!synth_run(p, &o, &result, &err))
		fail_msg("%s: %s %s", name, err.message, err.detail);
	return result;
}

static struct buf read_file(const char *run_name, const char *collection, const char *suffix)
{
	char path[256];
	struct err err;
	struct buf b;

	buf_init(&b, 0);
	snprintf(path, sizeof path, "%s/%s/db/%s%s", folder, run_name, collection, suffix);
	if (!file_read(path, 1u << 30, &b, &err))
		fail_msg("%s", err.message);
	return b;
}

static void expect_same_file(const char *a, const char *b, const char *collection, const char *suffix)
{
	struct buf x = read_file(a, collection, suffix), y = read_file(b, collection, suffix);

	assert_int_equal(x.len, y.len);
	if (x.len > 0)
		assert_memory_equal(x.data, y.data, x.len);
	buf_free(&x);
	buf_free(&y);
}

static void the_same_bytes(void **state)
{
	struct synth_options o = {.docs = 12000, .seed = 3, .dirt = 0.05};
	char list_a[128], list_b[128];

	(void)state;
	for (size_t f = 0; f < 2; f++) {
		struct plan_pair p = load(mapping_files[f]);
		struct buf x, y;
		struct err err;
		snprintf(list_a, sizeof list_a, "%s/a.tsv", folder);
		snprintf(list_b, sizeof list_b, "%s/b.tsv", folder);
		o.replace = f > 0;
		o.threads = 1;
		o.fault_list = list_a;
		struct synth_result a = run(p.plan, "a", o);
		o.threads = 5;
		o.fault_list = list_b;
		struct synth_result b = run(p.plan, "b", o);
		assert_int_equal(a.docs, 12000);
		assert_int_equal(a.bytes, b.bytes);
		assert_int_equal(a.faults, b.faults);
		for (size_t i = 0; i < a.ncollections; i++) {
			expect_same_file("a", "b", a.collections[i].name, ".bson");
			expect_same_file("a", "b", a.collections[i].name, ".metadata.json");
		}
		buf_init(&x, 0);
		buf_init(&y, 0);
		assert_true(file_read(list_a, 1u << 24, &x, &err) && file_read(list_b, 1u << 24, &y, &err));
		assert_int_equal(x.len, y.len);
		assert_memory_equal(x.data, y.data, x.len);
		buf_free(&x);
		buf_free(&y);
		synth_result_free(&a);
		synth_result_free(&b);
		unload(&p);
	}
}

static void another_seed(void **state)
{
	struct synth_options o = {.docs = 500, .seed = 1};
	struct plan_pair p = load(mapping_files[0]);
	struct synth_result a = run(p.plan, "a", o), b;
	struct buf x, y;

	(void)state;
	o.seed = 2;
	b = run(p.plan, "b", o);
	assert_int_equal(a.docs, b.docs);
	x = read_file("a", "Users", ".bson");
	y = read_file("b", "Users", ".bson");
	assert_false(x.len == y.len && memcmp(x.data, y.data, x.len) == 0);
	buf_free(&x);
	buf_free(&y);
	synth_result_free(&a);
	synth_result_free(&b);
	unload(&p);
}

static void packed(void **state)
{
	struct synth_options o = {.docs = 9000, .seed = 4, .threads = 3};
	struct plan_pair p = load(mapping_files[0]);
	struct synth_result plain = run(p.plan, "plain", o), gz;
	char path[256];

	(void)state;
	o.gzip = true;
	gz = run(p.plan, "gz", o);
	for (size_t i = 0; i < plain.ncollections; i++) {
		struct buf want = read_file("plain", plain.collections[i].name, ".bson");
		uint8_t *got = mem_alloc(want.len + 1);
		snprintf(path, sizeof path, "%s/gz/db/%s.bson.gz", folder, plain.collections[i].name);
		gzFile f = gzopen(path, "rb"); /* reads all members */
		assert_non_null(f);
		assert_int_equal(gzread(f, got, (unsigned)want.len + 1), want.len);
		if (want.len > 0)
			assert_memory_equal(got, want.data, want.len);
		gzclose(f);
		free(got);
		buf_free(&want);
	}
	synth_result_free(&plain);
	synth_result_free(&gz);
	unload(&p);
}

static void counts(void **state)
{
	struct plan_pair p = load(mapping_files[0]);
	struct synth_count fixed[] = {{"Users", 77}, {"ImageUpload", 0}}, none[] = {{"Users", 0}},
			   bad[] = {{"Nobody", 1}};
	struct synth_options o = {.docs = 20000, .counts = fixed, .ncounts = 2};
	uint64_t *n = mem_zalloc(p.plan->ncollections * sizeof *n), sum = 0, smallest = UINT64_MAX;
	struct synth_result result;
	struct err err;

	(void)state;
	assert_true(synth_counts(p.plan, &o, n, &err));
	for (size_t i = 0; i < p.plan->ncollections; i++)
		sum += n[i];
	assert_int_equal(sum, 20000);
	assert_int_equal(n[plan_find_collection(p.plan, "Users")], 77);
	assert_int_equal(n[plan_find_collection(p.plan, "ImageUpload")], 0);
	assert_true(n[plan_find_collection(p.plan, "crm_Accounts")] > 1000);
	assert_true(n[plan_find_collection(p.plan, "crm_Industry_Type")] < 50);
	o = (struct synth_options){.docs = 3};
	assert_true(synth_counts(p.plan, &o, n, &err));
	for (size_t i = 0; i < p.plan->ncollections; i++)
		smallest = n[i] < smallest ? n[i] : smallest;
	assert_int_equal(smallest, 1);
	o = (struct synth_options){.docs = 100, .counts = bad, .ncounts = 1};
	assert_false(synth_counts(p.plan, &o, n, &err));
	assert_int_equal(err.code, ERR_SETTING);
	/* Boards need Users. */
	o = (struct synth_options){.docs = 100, .counts = none, .ncounts = 1, .folder = folder};
	assert_false(synth_run(p.plan, &o, &result, &err));
	assert_int_equal(err.code, ERR_SETTING);
	synth_result_free(&result);
	free(n);
	unload(&p);
}

static void refusals(void **state)
{
	struct plan_pair p = load(mapping_files[1]);
	struct synth_options o = {.docs = 50, .folder = folder, .database = "db"};
	struct synth_result result;
	char path[128];
	struct err err;

	(void)state;
	assert_true(synth_run(p.plan, &o, &result, &err));
	synth_result_free(&result);
	assert_false(synth_run(p.plan, &o, &result, &err)); /* the files are there */
	assert_int_equal(err.code, ERR_FILE);
	synth_result_free(&result);
	o.replace = true;
	assert_true(synth_run(p.plan, &o, &result, &err));
	synth_result_free(&result);
	snprintf(path, sizeof path, "%s/no/such/folder", folder);
	o.folder = path;
	assert_false(synth_run(p.plan, &o, &result, &err));
	assert_int_equal(err.code, ERR_FILE);
	synth_result_free(&result);
	o.uri = "mongodb://127.0.0.1";
	assert_false(synth_run(p.plan, &o, &result, &err)); /* both */
	synth_result_free(&result);
	o.folder = NULL;
	o.uri = "nonsense://";
	assert_false(synth_run(p.plan, &o, &result, &err));
	assert_int_equal(err.code, ERR_SOURCE_URI);
	synth_result_free(&result);
	o.dirt = 1.5;
	assert_false(synth_run(p.plan, &o, &result, &err));
	assert_int_equal(err.code, ERR_SETTING);
	synth_result_free(&result);
	atomic_store(&stop_flag, 1);
	o = (struct synth_options){.docs = 50, .folder = folder, .database = "stopped"};
	assert_false(synth_run(p.plan, &o, &result, &err));
	assert_int_equal(err.code, ERR_STOPPED);
	atomic_store(&stop_flag, 0);
	synth_result_free(&result);
	unload(&p);
}

/* Pairs: both ways of asking give the same set, nobody is named twice, lists stay short. */
static void pairs(void **state)
{
	static const uint64_t sizes[][2] = {{0, 5},     {1, 1},     {1, 7},      {7, 1},     {5, 5},
					    {16, 1000}, {1000, 16}, {997, 1000}, {300, 299}, {2, 5000}};
	uint64_t partners[PAIR_MOST];

	(void)state;
	for (size_t s = 0; s < sizeof sizes / sizeof sizes[0]; s++) {
		uint64_t left = sizes[s][0], right = sizes[s][1], total[2] = {0};
		bool same = left == right;
		uint8_t *seen = mem_zalloc(left * right + 1);
		struct pairing p;
		pairing_make(&p, left, right, same, 99 + s);
		for (uint64_t i = 0; i < left; i++) {
			size_t n = pairing_partners(&p, true, i, partners);
			assert_true(n <= PAIR_MOST);
			for (size_t k = 0; k < n; k++) {
				assert_true(partners[k] < right && !(same && partners[k] == i));
				assert_int_equal(seen[i * right + partners[k]], 0);
				seen[i * right + partners[k]] = 1;
				assert_true(pairing_has(&p, true, i, partners[k]));
			}
			total[0] += n;
		}
		for (uint64_t j = 0; j < right; j++) {
			size_t n = pairing_partners(&p, false, j, partners);
			assert_true(n <= PAIR_MOST);
			for (size_t k = 0; k < n; k++) {
				assert_int_equal(seen[partners[k] * right + j], 1);
				seen[partners[k] * right + j] = 2;
				assert_true(pairing_has(&p, false, j, partners[k]));
			}
			total[1] += n;
		}
		assert_int_equal(total[0], total[1]);
		assert_true(left < 2 || right < 2 || total[0] > 0);
		free(seen);
	}
}

/* A set of byte strings. */
struct set {
	struct arena *arena;
	struct item {
		const uint8_t *bytes;
		size_t n;
	} * slots;
	size_t count, size;
};

static struct item *find_item(const struct set *s, const uint8_t *bytes, size_t n)
{
	size_t i = (size_t)hash64(bytes, n) & (s->size - 1);

	while (s->slots[i].bytes && !(s->slots[i].n == n && memcmp(s->slots[i].bytes, bytes, n) == 0))
		i = (i + 1) & (s->size - 1);
	return &s->slots[i];
}

static bool set_add(struct set *s, const uint8_t *bytes, size_t n)
{
	struct item *item;

	if (!s->arena)
		s->arena = arena_new();
	if (2 * (s->count + 1) > s->size) {
		struct set bigger = {.size = s->size ? 2 * s->size : 64};
		bigger.slots = mem_zalloc(bigger.size * sizeof *bigger.slots);
		for (size_t i = 0; i < s->size; i++)
			if (s->slots[i].bytes)
				*find_item(&bigger, s->slots[i].bytes, s->slots[i].n) = s->slots[i];
		free(s->slots);
		s->slots = bigger.slots;
		s->size = bigger.size;
	}
	item = find_item(s, bytes, n);
	if (item->bytes)
		return false;
	*item = (struct item){arena_memdup(s->arena, bytes, n), n};
	s->count++;
	return true;
}

static bool set_has(const struct set *s, const uint8_t *bytes, size_t n)
{
	return s->size > 0 && find_item(s, bytes, n)->bytes != NULL;
}

static void set_free(struct set *s)
{
	arena_free(s->arena);
	free(s->slots);
}

/* An id as one spelling of bytes: hex texts of ObjectIds are the ObjectId. */
static void id_bytes(const struct val *v, struct buf *out)
{
	uint8_t oid[12];
	size_t n = 0;
	const char *s = v->kind == BSON_K_STRING ? val_text(v, &n) : NULL;
	struct val inner = *v, hex;

	buf_reset(out);
	if (v->kind == BSON_K_DOCUMENT && doc_find(v->data, v->len, "$oid", &hex))
		s = val_text(&hex, &n);
	if (s && n == 24 && id_objectid_parse(s, n, oid))
		inner = (struct val){oid, 12, BSON_K_OBJECTID};
	assert_true(canon_write(out, &inner));
}

struct world {
	struct plan_pair p;
	struct buf *files; /* by collection */
	struct set *ids;
	struct buf scratch;
};

static const uint8_t *next_doc(const struct buf *file, size_t *at, size_t *len)
{
	int32_t size;
	const uint8_t *doc = file->data + *at;

	if (*at == file->len)
		return NULL;
	memcpy(&size, doc, 4);
	*len = (size_t)size;
	*at += *len;
	return doc;
}

static struct world make_world(const char *mapping, struct synth_options o)
{
	struct world w = {.p = load(mapping)};
	struct synth_result r = run(w.p.plan, "world", o);
	const uint8_t *doc;
	struct val id;

	buf_init(&w.scratch, 0);
	w.files = mem_zalloc(r.ncollections * sizeof *w.files);
	w.ids = mem_zalloc(r.ncollections * sizeof *w.ids);
	for (size_t i = 0; i < r.ncollections; i++) {
		size_t at = 0, len, n = 0;
		w.files[i] = read_file("world", r.collections[i].name, ".bson");
		assert_int_equal(w.files[i].len, r.collections[i].bytes);
		for (; (doc = next_doc(&w.files[i], &at, &len)); n++) {
			assert_true(doc_is_wellformed(doc, len));
			assert_true(doc_find(doc, len, "_id", &id));
			id_bytes(&id, &w.scratch);
			if (!set_add(&w.ids[i], w.scratch.data, w.scratch.len))
				fail_msg("%s: document %zu has another's _id", r.collections[i].name, n);
		}
		assert_int_equal(n, r.collections[i].docs);
	}
	synth_result_free(&r);
	return w;
}

static void free_world(struct world *w)
{
	for (size_t i = 0; i < w->p.plan->ncollections; i++) {
		buf_free(&w->files[i]);
		set_free(&w->ids[i]);
	}
	free(w->files);
	free(w->ids);
	buf_free(&w->scratch);
	unload(&w->p);
}

static bool find_path(const uint8_t *doc, size_t len, const char **path, size_t n, struct val *v)
{
	*v = (struct val){doc, (uint32_t)len, BSON_K_DOCUMENT};
	for (size_t i = 0; i < n; i++)
		if (v->kind != BSON_K_DOCUMENT || !doc_find(v->data, v->len, path[i], v))
			return false;
	return true;
}

static int collection_of_table(const struct mapping *m, const char *table)
{
	for (size_t i = 0; table && i < m->ncollections; i++)
		if (strcmp(m->collections[i].table, table) == 0)
			return (int)i;
	return -1;
}

static const char *move_target(const struct map_collection *c, const struct map_column *col)
{
	for (size_t i = 0; col->references.move_to && i < c->ncolumns; i++)
		if (strcmp(c->columns[i].name, col->references.move_to) == 0)
			return c->columns[i].references.table;
	return NULL;
}

struct found {
	size_t ids, moved;
};

/* A single id, or each of a list. */
static void check_reference(struct world *w, const struct val *v, int target, int other, struct found *found)
{
	struct doc_iter it;
	struct field f;

	if (v->kind == BSON_K_NULL)
		return;
	if (v->kind == BSON_K_ARRAY) {
		assert_true(doc_iter_val(&it, v));
		while (doc_iter_next(&it, &f))
			check_reference(w, &f.val, target, other, found);
		return;
	}
	id_bytes(v, &w->scratch);
	found->ids++;
	if (set_has(&w->ids[target], w->scratch.data, w->scratch.len))
		return;
	found->moved++;
	if (other < 0 || !set_has(&w->ids[other], w->scratch.data, w->scratch.len))
		fail_msg("an id of nothing");
}

/* Every reference of the main tables holds; of those that may move, both kinds occur. */
static void check_references(struct world *w)
{
	const struct mapping *m = w->p.mapping;

	for (size_t c = 0; c < m->ncollections; c++) {
		for (size_t k = 0; k < m->collections[c].ncolumns; k++) {
			const struct map_column *col = &m->collections[c].columns[k];
			int target = collection_of_table(m, col->references.table);
			int other = collection_of_table(m, move_target(&m->collections[c], col));
			struct found found = {0};
			size_t at = 0, len;
			const uint8_t *doc;
			struct val v;
			/* References to other columns than the key are not ids. */
			if (target < 0 || (col->references.column && strcmp(col->references.column, "id") != 0))
				continue;
			while ((doc = next_doc(&w->files[c], &at, &len)))
				if (find_path(doc, len, col->from, col->nfrom, &v))
					check_reference(w, &v, target, other, &found);
			assert_true(found.ids > 0);
			assert_true(other < 0 || (found.moved > 0 && found.moved < found.ids));
		}
	}
}

/* All pairs of a junction's side into the set, as left id + right id. */
static size_t gather_side(struct world *w, const struct map_side *side, bool left, struct set *set)
{
	int c = plan_find_collection(w->p.plan, side->collection);
	size_t at = 0, len, n = 0;
	const uint8_t *doc;
	struct val id, array;
	struct buf own, pair;

	buf_init(&own, 0);
	buf_init(&pair, 0);
	while ((doc = next_doc(&w->files[c], &at, &len))) {
		struct doc_iter it;
		struct field f;
		assert_true(doc_find(doc, len, "_id", &id));
		id_bytes(&id, &own);
		if (!find_path(doc, len, side->path, side->npath, &array))
			continue;
		assert_true(array.kind == BSON_K_ARRAY && doc_iter_val(&it, &array));
		while (doc_iter_next(&it, &f)) {
			id_bytes(&f.val, &w->scratch);
			buf_reset(&pair);
			buf_put(&pair, left ? own.data : w->scratch.data, left ? own.len : w->scratch.len);
			buf_put(&pair, left ? w->scratch.data : own.data, left ? w->scratch.len : own.len);
			assert_true(set_add(set, pair.data, pair.len)); /* nothing twice */
			n++;
		}
	}
	buf_free(&own);
	buf_free(&pair);
	return n;
}

static void check_pairs(struct world *w)
{
	const struct mapping *m = w->p.mapping;

	for (size_t i = 0; i < m->njunctions; i++) {
		const struct map_junction *j = &m->junctions[i];
		struct set left = {0}, right = {0};
		size_t nleft = j->left.path ? gather_side(w, &j->left, true, &left) : 0;
		size_t nright = j->right.path ? gather_side(w, &j->right, false, &right) : 0;
		assert_true(nleft + nright > 0);
		if (j->left.path && j->right.path) {
			assert_int_equal(nleft, nright);
			for (size_t k = 0; k < left.size; k++)
				if (left.slots[k].bytes)
					assert_true(set_has(&right, left.slots[k].bytes, left.slots[k].n));
		}
		set_free(&left);
		set_free(&right);
	}
}

/* Values of unique fields of the main tables: no combination twice. */
static void check_unique(struct world *w)
{
	const struct mapping *m = w->p.mapping;

	for (size_t c = 0; c < m->ncollections; c++) {
		for (size_t k = 0; k < m->collections[c].nindexes; k++) {
			const struct map_index *index = &m->collections[c].indexes[k];
			struct set seen = {0};
			size_t at = 0, len, i, whole = 0;
			const uint8_t *doc;
			struct buf key;
			if (!index->unique)
				continue;
			buf_init(&key, 0);
			while ((doc = next_doc(&w->files[c], &at, &len))) {
				buf_reset(&key);
				for (i = 0; i < index->ncolumns; i++) {
					struct val v;
					if (!doc_find(doc, len, index->columns[i], &v) || v.kind == BSON_K_NULL)
						break;
					assert_true(canon_write(&key, &v));
				}
				if (i == index->ncolumns) {
					assert_true(set_add(&seen, key.data, key.len));
					whole++;
				}
			}
			assert_true(whole > 0);
			buf_free(&key);
			set_free(&seen);
		}
	}
}

/* Every label of every enum stands somewhere in each field of that type. */
static void check_labels(struct world *w)
{
	const struct mapping *m = w->p.mapping;

	for (size_t c = 0; c < m->ncollections; c++) {
		for (size_t k = 0; k < m->collections[c].ncolumns; k++) {
			const struct map_column *col = &m->collections[c].columns[k];
			struct set seen = {0};
			const struct schema_enum *e = NULL;
			size_t at = 0, len;
			const uint8_t *doc;
			struct val v;
			for (size_t i = 0; i < m->nenums && col->type.base == PGT_ENUM && !col->type.array; i++)
				if (strcmp(m->enums[i].name, col->type.enum_name) == 0)
					e = &m->enums[i];
			if (!e || strcmp(m->collections[c].name, "feelings") == 0) /* there the pair is unique */
				continue;
			while ((doc = next_doc(&w->files[c], &at, &len)))
				if (find_path(doc, len, col->from, col->nfrom, &v) && v.kind == BSON_K_STRING)
					set_add(&seen, v.data, v.len);
			assert_int_equal(seen.count, e->nlabels);
			set_free(&seen);
		}
	}
}

/* Converts a collection; the number of documents with a fault, each of which must be `expected`'s. */
static void check_clean(struct world *w)
{
	for (size_t c = 0; c < w->p.plan->ncollections; c++) {
		struct ledger *ledger = ledger_new();
		struct conv *conv = conv_new(w->p.plan, (int)c, ledger);
		struct conv_where where;
		size_t at = 0, len;
		const uint8_t *doc;
		while ((doc = next_doc(&w->files[c], &at, &len))) {
			const struct conv_note *notes;
			enum fault f = conv_document(conv, doc, len, &where);
			if (f != FAULT_OK)
				fail_msg("%s: %s %s", w->p.plan->collections[c].name, where.path, fault_name(f));
			assert_int_equal(conv_notes(conv, &notes), 0);
			for (size_t o = 0; o < w->p.plan->collections[c].noutputs; o++)
				rowbuf_reset(conv_rows(conv, (int)o));
		}
		assert_int_equal(ledger_sum(ledger, LEDGER_UNMAPPED, NULL), 0);
		conv_free(conv);
		ledger_free(ledger);
	}
}

static void clean(void **state)
{
	(void)state;
	for (size_t f = 0; f < 2; f++) {
		struct world w = make_world(mapping_files[f],
					    (struct synth_options){.docs = 6000, .seed = 11, .replace = f > 0});
		check_references(&w);
		check_pairs(&w);
		check_unique(&w);
		check_labels(&w);
		check_clean(&w);
		free_world(&w);
	}
}

/* What converting one document makes of each kind of fault; FAULT_OK: it is found later, while settling, or only
 * counted. A fault inside an array may reject the element only. */
static enum fault expected_fault(const char *kind)
{
	static const struct {
		const char *kind;
		enum fault fault;
	} faults[] = {{"type", FAULT_TYPE},
		      {"label", FAULT_LABEL},
		      {"nul", FAULT_NUL},
		      {"utf8", FAULT_UTF8},
		      {"missing", FAULT_MISSING},
		      {"null", FAULT_NULL},
		      {"range", FAULT_RANGE},
		      {"inexact", FAULT_INEXACT},
		      {"too_long", FAULT_TOO_LONG},
		      {"format", FAULT_FORMAT},
		      {"shape", FAULT_SHAPE},
		      {"duplicate_key", FAULT_DUPLICATE_KEY},
		      {"element_null", FAULT_ELEMENT_NULL},
		      {"element_invalid", FAULT_ELEMENT_INVALID}};

	for (size_t i = 0; i < sizeof faults / sizeof faults[0]; i++)
		if (strcmp(faults[i].kind, kind) == 0)
			return faults[i].fault;
	return FAULT_OK;
}

struct line {
	char collection[64], id[200], path[100], kind[40];
};

static bool next_line(FILE *f, struct line *l)
{
	char text[1024], *rest = text;

	if (!fgets(text, sizeof text, f))
		return false;
	text[strcspn(text, "\n")] = 0;
	snprintf(l->collection, sizeof l->collection, "%s", strsep(&rest, "\t"));
	snprintf(l->id, sizeof l->id, "%s", strsep(&rest, "\t"));
	snprintf(l->path, sizeof l->path, "%s", strsep(&rest, "\t"));
	snprintf(l->kind, sizeof l->kind, "%s", rest);
	return true;
}

static void id_text_of(const uint8_t *doc, size_t len, char out[200])
{
	struct val id;
	struct buf b;
	char hex[25];
	size_t n;

	buf_init(&b, 0);
	assert_true(doc_find(doc, len, "_id", &id));
	if (id.kind == BSON_K_OBJECTID) {
		id_objectid_format(id.data, hex);
		buf_puts(&b, hex);
	} else if (id.kind == BSON_K_STRING) {
		const char *s = val_text(&id, &n);
		buf_put(&b, s, n);
	} else {
		extjson_write_val_safe(&b, &id);
	}
	snprintf(out, 200, "%s", buf_cstr(&b));
	buf_free(&b);
}

static enum fault convert(struct conv *conv, const uint8_t *doc, size_t len, struct conv_where *where)
{
	enum fault f = conv_document(conv, doc, len, where);
	const struct conv_note *notes;

	return f == FAULT_OK && conv_notes(conv, &notes) > 0 ? notes[0].fault : f;
}

static void check_dirty(struct world *w, FILE *list, unsigned *met)
{
	struct line line = {0};
	bool has_line = next_line(list, &line) && next_line(list, &line); /* the first is the header */
	char id[200];

	for (size_t c = 0; c < w->p.plan->ncollections; c++) {
		struct ledger *ledger = ledger_new();
		struct conv *conv = conv_new(w->p.plan, (int)c, ledger);
		size_t at = 0, len;
		const uint8_t *doc;
		while ((doc = next_doc(&w->files[c], &at, &len))) {
			struct conv_where where = {0};
			enum fault f = convert(conv, doc, len, &where), want = FAULT_OK;
			bool is_listed;
			id_text_of(doc, len, id);
			is_listed = has_line && strcmp(line.collection, w->p.plan->collections[c].name) == 0 &&
				    strcmp(line.id, id) == 0;
			if (is_listed)
				want = expected_fault(line.kind);
			if (f != want)
				fail_msg("%s %s %s: %s, listed as %s", w->p.plan->collections[c].name, id, where.path,
					 fault_name(f), is_listed ? line.kind : "nothing");
			for (size_t o = 0; o < w->p.plan->collections[c].noutputs; o++)
				rowbuf_reset(conv_rows(conv, (int)o));
			for (size_t i = 0; is_listed && synth_fault_name(i); i++)
				met[i] += strcmp(synth_fault_name(i), line.kind) == 0;
			if (is_listed)
				has_line = next_line(list, &line);
		}
		conv_free(conv);
		ledger_free(ledger);
	}
	assert_false(has_line); /* each line met its document, in order */
}

static void dirty(void **state)
{
	unsigned met[DIRT_COUNT] = {0};
	char list[128];
	FILE *f;

	(void)state;
	snprintf(list, sizeof list, "%s/faults.tsv", folder);
	for (size_t m = 0; m < 2; m++) {
		struct world w = make_world(
			mapping_files[m],
			(struct synth_options){
				.docs = 8000, .seed = 5, .dirt = 0.5, .fault_list = list, .replace = m > 0});
		f = fopen(list, "r");
		assert_non_null(f);
		check_dirty(&w, f, met);
		fclose(f);
		free_world(&w);
	}
	for (size_t i = 0; synth_fault_name(i); i++)
		if (met[i] == 0)
			fail_msg("no document got the fault %s", synth_fault_name(i));
	assert_null(synth_fault_name(DIRT_COUNT - 1));
}

/* Kinds that the list names. */
static size_t count_kinds(const char *path)
{
	bool met[DIRT_COUNT] = {false};
	struct line line;
	size_t n = 0;
	FILE *f = fopen(path, "r");

	assert_non_null(f);
	while (next_line(f, &line))
		for (size_t i = 0; synth_fault_name(i); i++)
			met[i] = met[i] || strcmp(synth_fault_name(i), line.kind) == 0;
	fclose(f);
	for (size_t i = 0; i < DIRT_COUNT; i++)
		n += met[i];
	return n;
}

/* The share of dirt is what was asked for, and a little of it shows each kind that the mapping can have. */
static void share_of_dirt(void **state)
{
	struct plan_pair p = load(mapping_files[0]);
	struct synth_options o = {.docs = 20000, .dirt = 0.005};
	struct synth_result r;
	char list[128];

	(void)state;
	snprintf(list, sizeof list, "%s/faults.tsv", folder);
	o.fault_list = list;
	for (o.seed = 0; o.seed < 5; o.seed++) {
		r = run(p.plan, "share", o);
		assert_true(r.faults > 60 && r.faults < 140);
		assert_int_equal(count_kinds(list), DIRT_COUNT - 2); /* no column of NextCRM has a length */
		synth_result_free(&r);
		o.replace = true;
	}
	r = run(p.plan, "all", (struct synth_options){.docs = 1000, .dirt = 1});
	assert_int_equal(r.faults, r.docs);
	synth_result_free(&r);
	unload(&p);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {T(the_same_bytes), T(another_seed), T(packed),
					   T(counts),         T(refusals),     T(pairs),
					   T(clean),          T(dirty),        T(share_of_dirt)};
#undef T

	return cmocka_run_group_tests(tests, NULL, NULL);
}

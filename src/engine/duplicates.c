/* duplicates.c - two _ids of one collection that became the same key (a string beside its own ObjectId).
 *
 * The rows of such a key can't be told apart, so all of them are deleted and the documents are read again from the
 * source: the lowest _id keeps the key, the others become rejects, whole, with the winner's _id in the reason. Which
 * one stays depends on the _ids only, never on which chunk came first.
 */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "engine_private.h"
#include "extjson.h"
#include "id_list.h"
#include "order.h"
#include "text.h"

#define KEYS_AT_ONCE 500

struct twin {
	const char *key;
	uint8_t *doc;
	size_t len;
	struct val id;
	int collection;
};

struct twins {
	struct worker *w;
	const struct state_unit *unit;
	int table;
	struct arena *arena;  /* of one batch of keys */
	struct arena *counts; /* of the whole step    */
	const char **keys;
	size_t nkeys;
	struct twin *list;
	size_t n, cap;
	struct conv **convs; /* of their own, counting into the scratch ledger: the documents were counted when first
				read */
	struct sink_deleted deleted;
	uint64_t *loaded_again; /* rows of child tables, by table; added over the batches of keys */
	uint64_t *left, *right; /* raw pairs, by junction                                         */
};

/* --- keys --- */

static const struct pgtype *key_type(const struct twins *t)
{
	const struct schema_table *table = &t->w->engine->plan->schema.tables[t->table];
	return &table->columns[table->primary_key[0]].type;
}

/* Equal keys of these types have equal texts, and the _ids that give a key can be computed back. Of the others
 * (numeric, citext, jsonb, times …) the server says which texts are one key. */
static bool has_one_text(const struct pgtype *type)
{
	static const bool yes[PGT_COUNT] = {
		[PGT_UUID] = true, [PGT_INT2] = true,    [PGT_INT4] = true, [PGT_INT8] = true,
		[PGT_TEXT] = true, [PGT_VARCHAR] = true, [PGT_NAME] = true};
	return yes[type->base];
}

/* The key of a document that holds a row, as text; NULL: with a fault it became a reject when it was first read. */
static const char *key_of(struct twins *t, int collection, const uint8_t *doc, size_t len)
{
	struct conv *conv = t->convs[collection];
	struct conv_where where;
	enum fault fault = conv_document(conv, doc, len, &where);
	load_reset_rows(conv, &t->w->engine->plan->collections[collection]);
	return fault == FAULT_OK ? conv_key_text(conv) : NULL;
}

static bool is_wanted(const struct twins *t, const char *key)
{
	for (size_t i = 0; i < t->nkeys; i++)
		if (strcmp(t->keys[i], key) == 0)
			return true;
	return false;
}

/* --- all documents of a collection: the _ids whose keys are wanted --- */

#define TEXTS_AT_ONCE 1000

struct search {
	struct twins *t;
	int collection;
	struct id_list *found;
	struct arena *arena; /* of one batch of documents */
	const char *texts[TEXTS_AT_ONCE];
	const uint8_t *ids[TEXTS_AT_ONCE];
	size_t lens[TEXTS_AT_ONCE], n;
};

static bool match_texts(struct search *s, struct err *err)
{
	struct twins *t = s->t;
	int match[TEXTS_AT_ONCE];
	if (!sink_match_keys(t->w->pg, &t->w->engine->plan->schema, t->table, s->texts, s->n, t->keys, t->nkeys,
			     match, err))
		return false;
	for (size_t i = 0; i < s->n; i++)
		if (match[i] >= 0)
			id_list_add(s->found, s->ids[i], s->lens[i]);
	s->n = 0;
	arena_reset(s->arena);
	return true;
}

static bool look_at(void *ctx, const uint8_t *doc, size_t len, bool *enough, struct err *err)
{
	struct search *s = ctx;
	struct val id;
	const char *key = key_of(s->t, s->collection, doc, len);
	if (key == NULL || !doc_find(doc, len, "_id", &id))
		return true;
	uint8_t *wrapped = arena_alloc(s->arena, doc_wrap_size("_id", &id));
	s->texts[s->n] = arena_strdup(s->arena, key);
	s->ids[s->n] = wrapped;
	s->lens[s->n++] = doc_wrap("_id", &id, wrapped);
	return s->n < TEXTS_AT_ONCE || match_texts(s, err);
}

static bool search_collection(struct twins *t, int collection, struct id_list *found, struct err *err)
{
	struct search *s = mem_zalloc(sizeof *s);
	s->t = t;
	s->collection = collection;
	s->found = found;
	s->arena = arena_new();
	bool ok = worker_read_all(t->w, t->w->engine->plan->collections[collection].name, look_at, s, err) &&
		  match_texts(s, err);
	arena_free(s->arena);
	free(s);
	return ok;
}

/* --- reading them again --- */

static void add_twin(struct twins *t, int collection, const uint8_t *doc, size_t len)
{
	const char *key = key_of(t, collection, doc, len);
	if (key == NULL || (has_one_text(key_type(t)) && !is_wanted(t, key)))
		return;
	if (t->n == t->cap) {
		t->cap = t->cap > 0 ? t->cap * 2 : 64;
		t->list = mem_realloc(t->list, t->cap * sizeof *t->list);
	}
	struct twin *w = &t->list[t->n++];
	w->collection = collection;
	w->key = arena_strdup(t->arena, key);
	w->doc = arena_memdup(t->arena, doc, len);
	w->len = len;
	if (!doc_find(w->doc, len, "_id", &w->id))
		w->id = (struct val){0};
}

/* Each twin gets the text of its key that all of that key have; who has none of them goes. */
static bool match_twins(struct twins *t, struct err *err)
{
	size_t kept = 0;
	const char **texts = arena_alloc(t->arena, (t->n + 1) * sizeof *texts);
	int *match = arena_alloc(t->arena, (t->n + 1) * sizeof *match);
	for (size_t i = 0; i < t->n; i++)
		texts[i] = t->list[i].key;
	if (!sink_match_keys(t->w->pg, &t->w->engine->plan->schema, t->table, texts, t->n, t->keys, t->nkeys, match,
			     err))
		return false;
	for (size_t i = 0; i < t->n; i++)
		if (match[i] >= 0) {
			t->list[kept] = t->list[i];
			t->list[kept++].key = t->keys[match[i]];
		}
	t->n = kept;
	return true;
}

static bool read_twins(struct twins *t, int collection, bool search, struct err *err)
{
	const char *name = t->w->engine->plan->collections[collection].name;
	struct id_list l;
	const uint8_t *doc;
	size_t len;
	int got = 0;
	id_list_init(&l, t->arena);
	bool ok = search ? search_collection(t, collection, &l, err)
			 : id_list_add_keys(&l, t->w->pg, t->w->engine->run, name, t->keys, t->nkeys, err);
	if (ok && l.n > 0)
		ok = worker_reader(t->w, err) && source_read_ids(t->w->reader, name, l.ids, l.lens, l.n, err);
	while (ok && l.n > 0 && (got = source_next(t->w->reader, &doc, &len, err)) == 1)
		add_twin(t, collection, doc, len);
	id_list_free(&l);
	return ok && got == 0;
}

static bool feeds_table(const struct plan_collection *c, int table)
{
	return c->outputs[0].copy.table == table;
}

static bool read_all_twins(struct twins *t, bool search, struct err *err)
{
	struct engine *e = t->w->engine;
	t->n = 0;
	for (size_t c = 0; c < e->plan->ncollections; c++) {
		if (!feeds_table(&e->plan->collections[c], t->table) || !e->tables[c].present)
			continue;
		if (t->convs[c] == NULL)
			t->convs[c] = engine_conv(e, (int)c, t->w->scratch);
		if (!read_twins(t, (int)c, search, err))
			return false;
	}
	return has_one_text(key_type(t)) || match_twins(t, err);
}

/* By _ids computed back from the keys; where that is not all, among all documents. */
static bool find_twins(struct twins *t, struct err *err)
{
	return read_all_twins(t, false, err) &&
	       (t->n >= t->deleted.rows || has_one_text(key_type(t)) || read_all_twins(t, true, err));
}

/* --- deciding --- */

static int twin_order(const void *a, const void *b)
{
	const struct twin *x = a, *y = b;
	int c = strcmp(x->key, y->key);
	if (c == 0)
		c = id_order(&x->id, &y->id);
	return c != 0 ? c : x->collection - y->collection;
}

static void reject_twin(struct twins *t, const struct twin *loser, const struct twin *winner)
{
	_cleanup_(buf_free) struct buf message = {0};
	buf_printf(&message, "%s: %s, as the document with _id ", fault_sentence(FAULT_DUPLICATE), loser->key);
	extjson_write_val_safe(&message, &winner->id);
	const struct schema_table *table = &t->w->engine->plan->schema.tables[t->table];
	struct sink_reject r = {
		.collection = t->w->engine->plan->collections[loser->collection].name,
		.table = table->name,
		.column = table->columns[table->primary_key[0]].name,
		.path = "_id",
		.fault = FAULT_DUPLICATE,
		.message = buf_cstr(&message),
		.id = loser->id,
		.key = loser->key,
		.document = loser->doc,
		.document_len = loser->len,
		.ordinal = -1,
		.kind = loser->id.kind,
	};
	sink_notes_reject(t->w->notes, &r);
}

static void drop_twin(struct twins *t, const struct twin *loser)
{
	const struct schema_table *table = &t->w->engine->plan->schema.tables[t->table];
	struct val whole = {.data = loser->doc, .len = (uint32_t)loser->len, .kind = BSON_K_DOCUMENT};
	struct sink_finding f = {
		.table = table->name,
		.column = table->columns[table->primary_key[0]].name,
		.collection = t->w->engine->plan->collections[loser->collection].name,
		.path = "_id",
		.kind = "dropped",
		.fault = FAULT_DUPLICATE,
		.id = loser->id,
		.key = loser->key,
		.value = whole,
		.ordinal = -1,
	};
	sink_notes_finding(t->w->notes, &f);
}

static void count_loser(struct twins *t, bool dropped)
{
	const char *table = t->w->engine->plan->schema.tables[t->table].name;
	if (dropped)
		ledger_add(t->w->ledger, LEDGER_DROPPED, table, "", 1);
	else
		ledger_add(t->w->ledger, LEDGER_REJECT_ROW, table, fault_name(FAULT_DUPLICATE), 1);
}

/* list[from, to) is one key in the order of _ids. The winner's rows wait in its converter until send_winners. */
static void decide(struct twins *t, size_t from, size_t to)
{
	enum dup_policy policy = t->w->engine->plan->schema.tables[t->table].duplicates;
	size_t winner = policy == DUP_LAST ? to - 1 : from;
	struct conv_where where;
	for (size_t i = from; i < to; i++) {
		if (i == winner) {
			struct twin *w = &t->list[i];
			enum fault fault = conv_document(t->convs[w->collection], w->doc, w->len, &where);
			assert(fault == FAULT_OK); /* it was when it was read a moment ago */
			(void)fault;
		} else if (policy == DUP_REJECT) {
			reject_twin(t, &t->list[i], &t->list[winner]);
			count_loser(t, false);
		} else {
			drop_twin(t, &t->list[i]);
			count_loser(t, true);
		}
	}
}

static void count_loaded(struct twins *t, const struct plan_output *o, uint64_t rows)
{
	if (o->kind == PLAN_OUTPUT_CHILD)
		t->loaded_again[o->copy.table] += rows;
	else if (o->kind == PLAN_OUTPUT_PAIRS)
		(o->left ? t->left : t->right)[o->copy.junction] += rows;
}

static bool send_output(struct twins *t, int collection, size_t output, struct err *err)
{
	const struct plan_output *o = &t->w->engine->plan->collections[collection].outputs[output];
	uint64_t rows;
	if (!load_copy_rows(t->w, o, conv_rows(t->convs[collection], (int)output), &rows, err))
		return false;
	count_loaded(t, o, rows);
	return true;
}

static bool send_winners(struct twins *t, struct err *err)
{
	const struct plan *p = t->w->engine->plan;
	for (size_t c = 0; c < p->ncollections; c++)
		for (size_t o = 0; t->convs[c] != NULL && o < p->collections[c].noutputs; o++)
			if (!send_output(t, (int)c, o, err))
				return false;
	return true;
}

/* What was deleted and not loaded again belonged to the losers. */
static void count_losses(struct twins *t)
{
	const struct schema *s = &t->w->engine->plan->schema;
	struct ledger *l = t->w->ledger;
	for (size_t i = 0; i < s->ntables; i++)
		if (t->deleted.by_table[i] > t->loaded_again[i])
			ledger_add(l, LEDGER_CHILD_OF_REJECT, s->tables[i].name, "",
				   t->deleted.by_table[i] - t->loaded_again[i]);
	for (size_t j = 0; j < s->njunctions; j++) {
		const struct schema_junction *u = &s->junctions[j];
		const char *name = s->tables[u->table].name;
		if (t->deleted.left[j] > t->left[j])
			ledger_add(l, LEDGER_ELEMENT_REJECTED_DOC, name, u->left_collection,
				   t->deleted.left[j] - t->left[j]);
		if (t->deleted.right[j] > t->right[j])
			ledger_add(l, LEDGER_ELEMENT_REJECTED_DOC, name, u->right_collection,
				   t->deleted.right[j] - t->right[j]);
	}
}

static bool settle_keys(struct twins *t, struct err *err)
{
	const struct schema *s = &t->w->engine->plan->schema;
	t->deleted.rows = 0;
	if (!sink_delete_keys(t->w->pg, s, t->table, t->keys, t->nkeys, &t->deleted, err) || !find_twins(t, err))
		return false;
	if (t->n != t->deleted.rows) {
		err_set(err, ERR_SOURCE_CHANGED, "the documents of a duplicated key are no longer in the source");
		err_detail(err, "table %s: %llu rows share %zu keys, %zu documents were found",
			   s->tables[t->table].name, (unsigned long long)t->deleted.rows, t->nkeys, t->n);
		return err_hint(err,
				"the source was changed during the copy; begin again with --clean on a quiet source");
	}
	qsort(t->list, t->n, sizeof *t->list, twin_order);
	for (size_t from = 0, to; from < t->n; from = to) {
		for (to = from + 1; to < t->n && strcmp(t->list[from].key, t->list[to].key) == 0; to++)
			;
		decide(t, from, to);
	}
	return send_winners(t, err) &&
	       sink_notes_flush(t->w->pg, t->w->notes, t->w->engine->run, 0, t->unit->id, err);
}

static bool settle_all_keys(struct twins *t, struct err *err)
{
	for (;;) {
		arena_reset(t->arena);
		if (!sink_duplicate_keys(t->w->pg, &t->w->engine->plan->schema, t->table, KEYS_AT_ONCE, t->arena,
					 &t->keys, &t->nkeys, err))
			return false;
		if (t->nkeys == 0)
			return true;
		if (!settle_keys(t, err))
			return false;
	}
}

static uint64_t *counters(struct twins *t, size_t n)
{
	return arena_alloc(t->counts, sizeof(uint64_t) * (n + 1));
}

bool load_duplicates(struct worker *w, const struct state_unit *u, struct err *err)
{
	const struct plan *p = w->engine->plan;
	size_t ntables = p->schema.ntables, njunctions = p->schema.njunctions;
	struct twins t = {.w = w, .unit = u, .table = u->table, .arena = arena_new(), .counts = arena_new()};
	t.deleted.by_table = counters(&t, ntables);
	t.deleted.left = counters(&t, njunctions);
	t.deleted.right = counters(&t, njunctions);
	t.loaded_again = counters(&t, ntables);
	t.left = counters(&t, njunctions);
	t.right = counters(&t, njunctions);
	t.convs = mem_zalloc(sizeof *t.convs * (p->ncollections + 1));
	bool ok = settle_all_keys(&t, err);
	if (ok)
		count_losses(&t);
	for (size_t c = 0; c < p->ncollections; c++)
		if (t.convs[c] != NULL)
			conv_free(t.convs[c]);
	free(t.convs);
	free(t.list);
	arena_free(t.arena);
	arena_free(t.counts);
	return ok;
}

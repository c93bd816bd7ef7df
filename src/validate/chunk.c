/* chunk.c - a stretch of documents: keys, elements and pairs go into the tally (elements.c); of documents that are to
 * be compared the rows are asked for by key, some hundred at a time, and every field is looked at (batch.c,
 * children.c).
 *
 * What has no row, or no document, is not told here but by the tally, which sees both sides whole.
 */
#include <stdio.h>
#include <stdlib.h>

#include "batch.h"
#include "id.h"

#define FEW 16 /* documents: others between their keys may be large */

static struct item document_of(const uint8_t *doc, size_t len)
{
	struct item it = {.len = len};

	if (!doc_find(doc, len, "_id", &it.id))
		it.id = (struct val){0};
	return it;
}

/* --- main tables --- */

static void compare_item(struct batch *b, const struct pg_result *rows, int r, const struct item *it)
{
	struct row row = {rows, r, &b->feed->main, it, -1, it->key_text, NULL};
	struct val doc = batch_whole(b->docs.data + it->at, it->len);

	view_set(&b->w->view, &doc);
	batch_compare_row(b, &row, &b->w->view);
}

static bool is_same_key(const struct batch *b, const struct item *it)
{
	return b->scratch.len == it->key_len && memcmp(b->scratch.data, it->key, it->key_len) == 0;
}

static void compare_rows(struct batch *b, const struct pg_result *rows)
{
	int heads[1024];
	const struct column *key = &b->feed->main.columns[b->feed->main.key];

	memset(heads, 0xff, sizeof heads);
	for (size_t i = b->n; i-- > 0;) {
		struct item *it = &b->items[i];
		size_t at = key_hash(0, it->key, it->key_len) & 1023;
		it->next = heads[at];
		heads[at] = (int)i;
	}
	for (int r = 0; r < pg_rows(rows); r++) {
		if (!batch_row_key(b, rows, r, key))
			continue;
		arena_reset(b->w->judge.arena);
		for (int i = heads[key_hash(0, b->scratch.data, b->scratch.len) & 1023]; i >= 0; i = b->items[i].next)
			if (is_same_key(b, &b->items[i])) {
				compare_item(b, rows, r, &b->items[i]);
				break;
			}
	}
}

static void put_keys(struct batch *b)
{
	const struct feed_table *t = &b->feed->main;

	buf_reset(&b->keys);
	buf_putc(&b->keys, '{');
	for (size_t i = 0; i < b->n; i++)
		batch_put_key(&b->keys, &t->columns[t->key].spec.type, b->items[i].key, b->items[i].key_len,
			      &b->scratch);
}

static bool is_ascending(const struct batch *b)
{
	for (size_t i = 1; i < b->n; i++)
		if (memcmp(b->items[i - 1].key, b->items[i].key, 16) >= 0)
			return false;
	return true;
}

/* Documents come in the order of their keys mostly, and so do rows: one range of the index in place of as many
 * searches. *asked false: there is too much between. */
static bool ask_between(struct batch *b, struct pg_result **rows, bool *asked, struct err *err)
{
	const struct feed_table *t = &b->feed->main;
	char first[37], last[37], most[24];
	struct pg_param p[] = {PG_TEXT(first), PG_TEXT(last), PG_TEXT(most)};

	*asked = t->select_between != NULL && b->w->v->o.full && !atomic_load(&b->feed->sparse) && b->n >= FEW &&
		 is_ascending(b);
	if (!*asked)
		return true;
	id_uuid_text(b->items[0].key, first);
	id_uuid_text(b->items[b->n - 1].key, last);
	snprintf(most, sizeof most, "%zu", b->n + b->n / 8 + 1);
	if (!pg_query_binary(b->w->pg, t->select_between, p, 3, rows, err))
		return false;
	if (pg_rows(*rows) <= (int)(b->n + b->n / 8))
		return true;
	pg_result_freep(rows);
	*rows = NULL;
	*asked = false;
	atomic_store(&b->feed->sparse, true);
	return true;
}

static bool ask_rows(struct batch *b, struct pg_result **rows, struct err *err)
{
	bool asked;

	if (!ask_between(b, rows, &asked, err))
		return false;
	if (asked)
		return true;
	put_keys(b);
	return batch_ask(b, &b->feed->main, rows, err);
}

static bool compare_now(struct batch *b, struct err *err)
{
	const struct feed_table *t = &b->feed->main;
	_cleanup_(pg_result_freep) struct pg_result *rows = NULL;
	bool ok = true;

	if (t->is_matched && b->n > 0 && b->look == LOOK_ALL) {
		ok = batch_compare_children(b, err);
	} else if (t->is_matched && b->n > 0) {
		ok = match_batch(b, err);
		batch_send_counts(b, t->table);
	} else if (b->n > 0 && t->select != NULL && b->w->v->exists[t->table]) {
		ok = ask_rows(b, &rows, err);
		if (ok)
			compare_rows(b, rows);
		batch_send_counts(b, t->table);
		ok = ok && batch_compare_children(b, err);
	}
	b->n = 0;
	buf_reset(&b->docs);
	arena_reset(b->w->arena);
	return ok;
}

static void clear_view(struct view *v)
{
	view_free(v);
	*v = (struct view){0};
}

/* What a document of many MB made grow, libpq's buffers among it: they go with the connection. */
static bool give_back(struct batch *b, struct err *err)
{
	struct worker *w = b->w;
	struct buf *bufs[] = {&b->docs,     &b->keys, &b->scratch,    &b->owner,
			      &b->leftover, &b->name, &w->judge.text, &w->judge.key};

	for (size_t i = 0; i < sizeof bufs / sizeof bufs[0]; i++)
		buf_trim(bufs[i], BATCH_BYTES);
	clear_view(&w->view);
	clear_view(&w->inner);
	arena_trim(w->arena);
	arena_trim(w->judge.arena);
	/* without a snapshot another connection would see another moment */
	bool ok = w->pg == NULL || current_snapshot(w->v) == NULL;
	if (!ok) {
		pg_closep(&w->pg);
		ok = target_open(w->v, &w->pg, err);
	}
	mem_trim();
	return ok;
}

/* A document near the 16 MB limit, its row and what both are read into take many times its size: one at a time. */
static bool compare_batch(struct batch *b, struct err *err)
{
	if (b->docs.len < BIG_BYTES)
		return compare_now(b, err);
	pthread_mutex_lock(&b->w->v->big_slot);
	bool ok = compare_now(b, err) && give_back(b, err);
	pthread_mutex_unlock(&b->w->v->big_slot);
	return ok;
}

/* --- a document --- */

static bool is_about_values(enum fault f)
{
	return (f >= FAULT_MISSING && f <= FAULT_DUPLICATE_KEY) || f == FAULT_SHAPE;
}

/* Would the document fit, by our own judgement? */
static bool fits(struct batch *b, const struct item *it, struct view *v)
{
	static const struct field_bytes nothing = {NULL, -1};
	const struct feed_table *t = &b->feed->main;
	struct cell cell;
	struct val array;
	enum at_path found;

	for (size_t i = 0; i < t->ncolumns; i++) {
		if (!batch_is_compared(&t->columns[i]))
			continue;
		column_check(&b->w->judge, &t->columns[i], v, &it->id, nothing, &cell);
		if (cell.result == CELL_REJECT)
			return false;
	}
	for (size_t i = 0; i < t->nchildren + b->feed->npairs; i++) {
		const struct feed_pairs *p = i < t->nchildren ? NULL : &b->feed->pairs[i - t->nchildren];
		found = view_find(v, p != NULL ? p->path : t->children[i].path,
				  p != NULL ? p->npath : t->children[i].npath, DUP_REJECT, &array);
		if (found >= AT_MISPLACED ||
		    (found == AT_VALUE && array.kind != BSON_K_ARRAY && !(p != NULL && p->scalar_array)))
			return false;
	}
	return true;
}

/* Documents that are not compared still say what the columns should hold. */
static void note_columns(struct batch *b, const struct item *it, struct view *v)
{
	static const struct field_bytes nothing = {NULL, -1};
	const struct feed_table *t = &b->feed->main;
	struct cell cell;

	for (size_t i = 0; i < t->ncolumns; i++) {
		if (!batch_is_compared(&t->columns[i]))
			continue;
		column_check(&b->w->judge, &t->columns[i], v, &it->id, nothing, &cell);
		batch_note_stats(b->w, t->table, &t->columns[i], &cell);
	}
}

static bool is_sampled(const struct batch *b, const struct item *it)
{
	const struct validation *v = b->w->v;

	if (!wants_layer(v, LAYER_VALUES) || b->proved != NULL)
		return false;
	return v->o.full || key_hash(v->o.seed, it->wrapped, it->wrapped_len) <= b->feed->below;
}

static void wrap_id(struct batch *b, struct item *it)
{
	uint8_t *wrapped;

	if (it->id.kind == 0)
		return;
	wrapped = arena_alloc(b->w->arena, doc_wrap_size("_id", &it->id));
	it->wrapped_len = doc_wrap("_id", &it->id, wrapped);
	it->wrapped = wrapped;
}

static void find_key(struct batch *b, struct item *it)
{
	const struct feed_table *t = &b->feed->main;

	buf_reset(&b->scratch);
	if (t->key < 0 || !key_of_val(&b->w->judge, &t->columns[t->key].spec, &it->id, &b->scratch))
		return;
	it->key_len = b->scratch.len;
	it->key = arena_memdup(b->w->arena, buf_cstr(&b->scratch), it->key_len + 1);
}

static void keep(struct batch *b, struct item *it, const uint8_t *doc)
{
	it->at = b->docs.len;
	buf_put(&b->docs, doc, it->len);
	/* the _id is lent from the document: point into the copy once the buffer stands still */
	it->key_text = batch_key_text(b, &b->feed->main, it->key, it->key_len);
	if (it->wrapped != NULL)
		it->id.data = it->wrapped + 4 + 1 + 4; /* {_id: value}: length, type, "_id\0" */
	b->items[b->n++] = *it;
}

static void note_key(struct batch *b, struct item *it, struct view *v, bool explained)
{
	const struct feed_table *t = &b->feed->main;

	if (it->key != NULL || t->key < 0) {
		batch_add_key(b, it, t, t->table, explained ? TALLY_MAYBE : TALLY_DOC,
			      t->is_matched ? match_hash(b, it, v) : key_hash(0, it->key, it->key_len), -1, NULL);
	} else if (!explained && !b->reads_only) {
		batch_tell(b, it, t,
			   (struct validate_finding){.kind = FOUND_MISSING_ROW,
						     .path = "_id",
						     .detail = "the _id does not go into the key's column"});
	}
}

static void note_document(struct batch *b, const uint8_t *doc, size_t len)
{
	struct item it = document_of(doc, len);
	struct val all = batch_whole(doc, len);
	struct view *v = &b->w->view;
	enum fault fault = FAULT_OK;

	arena_reset(b->w->judge.arena);
	b->digest += key_hash(29, doc, len);
	view_set(v, &all);
	wrap_id(b, &it);
	find_key(b, &it);
	bool explained = batch_is_explained(b, &it, doc, &fault);
	b->documents++;
	b->explained += explained;
	if (b->look == LOOK_PROBE || b->look == LOOK_MATCH || b->look == LOOK_PAIR) {
		bool asked = false;
		if (!explained)
			match_look(b, &it, v, doc, is_sampled(b, &it), &asked);
		if (asked)
			keep(b, &it, doc);
		return;
	}
	note_key(b, &it, v, explained);
	batch_note_children(b, &it, v, explained);
	for (size_t i = 0; i < b->feed->npairs; i++)
		batch_note_pairs(b, &it, v, &b->feed->pairs[i], explained);
	if (b->reads_only)
		return;
	if (explained) {
		if (is_about_values(fault) && !v->corrupt && wants_layer(b->w->v, LAYER_VALUES) && fits(b, &it, v))
			batch_tell(b, &it, &b->feed->main,
				   (struct validate_finding){.kind = FOUND_UNFOUNDED,
							     .detail = fault_sentence(fault),
							     .fault = fault_name(fault)});
		return;
	}
	bool sampled = is_sampled(b, &it) && it.key != NULL, matched = b->feed->main.is_matched;
	/* rows of a matched table are compared later, those that hang on them now */
	if (sampled && (!matched || b->feed->main.nchildren > 0))
		keep(b, &it, doc);
	if ((!sampled || matched) && wants_layer(b->w->v, LAYER_TYPES))
		note_columns(b, &it, v);
}

/* --- a chunk --- */

static bool batch_is_full(const struct batch *b)
{
	return b->n >= BATCH_DOCUMENTS || b->docs.len >= BATCH_BYTES;
}

static bool read_chunk(struct batch *b, struct err *err)
{
	struct validation *v = b->w->v;
	const uint8_t *doc;
	size_t len;
	int got;

	while ((got = source_next(b->w->reader, &doc, &len, err)) == 1) {
		if (validation_stopped(v))
			return err_set(err, ERR_STOPPED, "stopped by a signal");
		rate_count(&v->rate, &b->w->since_rate);
		note_document(b, doc, len);
		if (b->look == LOOK_ALL)
			atomic_fetch_add_explicit(&b->feed->done, 1, memory_order_relaxed);
		if (b->n == 0)
			arena_reset(b->w->arena);
		if (batch_is_full(b) && !compare_batch(b, err))
			return false;
	}
	return got == 0 && compare_batch(b, err);
}

/* What was proved before an interruption counts as long as the documents are the same. */
static void take_over(struct batch *b)
{
	struct found *f = b->w->found;
	int table = b->feed->main.table;

	if (b->digest == b->proved->digest && b->documents == b->proved->documents) {
		FOUND_COUNT(f, table, compared, b->proved->compared);
		FOUND_COUNT(f, table, matched, b->proved->compared);
		FOUND_COUNT(f, table, fields, b->proved->fields);
		atomic_fetch_add(&b->w->v->resumed, 1);
		return;
	}
	found_add(f, &(struct validate_finding){
			     .kind = FOUND_NOT_COMPARED,
			     .table = batch_table(b, table),
			     .collection = b->feed->collection->name,
			     .detail = "documents, or what explains that they have no rows, changed since the "
				       "interrupted validation: start it anew, without --resume"});
}

static void close_chunk(struct batch *b, const struct task *t)
{
	if (b->proved != NULL)
		take_over(b);
	else if (b->found == 0)
		resume_add(b->w->v, t, (struct proved){0, b->digest, b->documents, b->all_compared, b->all_fields});
}

bool chunk_look(struct worker *w, const struct task *t, enum look look, struct err *err)
{
	struct batch *b = mem_zalloc(sizeof *b);
	struct found *f = w->found;

	b->w = w;
	b->feed = &w->v->feeds[t->index];
	b->look = look;
	b->reads_only = look == LOOK_NAME;
	b->proved = look == LOOK_ALL ? resume_find(w->v, t) : NULL;
	buf_init(&b->docs, 0);
	buf_init(&b->keys, 0);
	buf_init(&b->scratch, 0);
	buf_init(&b->owner, 0);
	buf_init(&b->leftover, 0);
	buf_init(&b->name, 0);
	b->elements = mem_zalloc((w->v->plan->schema.ntables + 1) * sizeof *b->elements);
	bool ok = (w->reader != NULL || source_reader_open(&w->reader, w->v->source, err)) &&
		  source_read(w->reader, b->feed->collection->name, t->bounds, t->bounds_len, err) &&
		  read_chunk(b, err);
	if (ok && look == LOOK_ALL) {
		close_chunk(b, t);
		FOUND_COUNT(f, b->feed->main.table, documents, b->documents);
		FOUND_COUNT(f, b->feed->main.table, explained, b->explained);
		for (size_t i = 0; i < w->v->plan->schema.ntables; i++)
			if (b->elements[i] > 0)
				FOUND_COUNT(f, (int)i, elements, b->elements[i]);
	}
	if (ok)
		atomic_fetch_add_explicit(&b->feed->found, b->found, memory_order_relaxed);
	else if (look == LOOK_ALL)
		atomic_fetch_sub_explicit(&b->feed->done, b->documents, memory_order_relaxed); /* read once more */
	buf_free(&b->docs);
	buf_free(&b->keys);
	buf_free(&b->scratch);
	buf_free(&b->owner);
	buf_free(&b->leftover);
	buf_free(&b->name);
	free(b->elements);
	free(b);
	return ok || err_where(err, "%s", w->v->feeds[t->index].collection->name);
}

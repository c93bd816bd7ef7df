/* load.c - bodies of the units that move rows: a chunk, and the split of a collection.
 *
 * A chunk is one transaction: COPY of every table that its documents feed, rejects, findings, counts, mark. The main
 * table's COPY is streamed; child rows, pairs, rejects and findings are gathered, and written in between when they
 * grow (the COPY is then ended and begun anew in the same transaction).
 *
 * When the server refuses data after all, the chunk is read again and sent in small batches inside savepoints; a
 * refused batch is halved until the guilty documents are found: they become rejects, the others load.
 */
#include <stdio.h>
#include <stdlib.h>

#include "engine_private.h"
#include "id.h"
#include "text.h"

#define SEND_BYTES    ((size_t)256 * 1024) /* main rows gathered before they go to the server        */
#define GATHER_BYTES  ((size_t)8 << 20)    /* child rows, pairs and notes gathered before they go     */
#define BIG_DOCUMENT  ((size_t)4 << 20)    /* larger ones are converted one at a time, over all workers */
#define KEEP_BYTES    ((size_t)16 << 20)   /* buffers that grew past this are given back              */
#define POLL_DOCS     128                  /* documents between looks at the stop flag                */
#define HALVING_DOCS  512
#define HALVING_BYTES ((size_t)4 << 20)

/* One transaction that feeds rows of one collection. */
struct feed {
	struct worker *w;
	int collection;
	const struct plan_collection *c;
	struct conv *conv;
	const struct state_unit *unit;
	struct table_progress *progress;
	uint64_t *read, *bytes;        /* ledger slots                                 */
	uint64_t main_rows;            /* converted since COPY began                   */
	uint64_t shown, shown_rejects; /* added to the display by this unit      */
	uint32_t since_poll;
	bool copying;
};

static struct conv *worker_conv(struct worker *w, int collection)
{
	if (w->convs[collection] == NULL)
		w->convs[collection] = engine_conv(w->engine, collection, w->ledger);
	return w->convs[collection];
}

void load_reset_rows(struct conv *conv, const struct plan_collection *c)
{
	for (size_t o = 0; o < c->noutputs; o++) {
		struct rowbuf *rb = conv_rows(conv, (int)o);
		buf_trim(&rb->buf, KEEP_BYTES);
		rowbuf_reset(rb);
	}
}

static void feed_init(struct feed *f, struct worker *w, int collection, const struct state_unit *u)
{
	const struct plan_collection *c = &w->engine->plan->collections[collection];
	memset(f, 0, sizeof *f);
	f->w = w;
	f->unit = u;
	f->collection = collection;
	f->c = c;
	f->progress = &w->engine->tables[collection];
	f->conv = worker_conv(w, collection);
	load_reset_rows(f->conv, c);
	f->read = ledger_slot(w->ledger, LEDGER_READ, c->name, "");
	f->bytes = ledger_slot(w->ledger, LEDGER_BYTES, c->name, "");
}

/* --- rows to the server --- */

static bool is_rows_table(const struct plan_output *o)
{
	return o->kind != PLAN_OUTPUT_PAIRS;
}

static void count_rows(struct feed *f, const struct plan_output *o, uint64_t n)
{
	if (is_rows_table(o) && n > 0)
		ledger_add(f->w->ledger, LEDGER_ROWS, f->w->engine->plan->schema.tables[o->copy.table].name, "", n);
}

/* COPY knows no rules: what drops a row is a trigger, and halving finds whose. */
static bool check_rows(uint64_t sent, uint64_t taken, struct err *err)
{
	if (sent == taken)
		return true;
	err_set(err, ERR_TARGET_DATA, "the server took %llu rows of %llu: a trigger drops rows",
		(unsigned long long)taken, (unsigned long long)sent);
	err->class = ERR_CLASS_DATA;
	return err_hint(err, "--disable-triggers switches triggers off meanwhile");
}

static bool send_main(struct feed *f, struct err *err)
{
	struct rowbuf *rb = conv_rows(f->conv, 0);
	const struct schema *s = &f->w->engine->plan->schema;
	if (rb->rows == 0)
		return true;
	if (!f->copying && !sink_copy_begin(f->w->pg, s, &f->c->outputs[0].copy, err))
		return false;
	f->copying = true;
	f->main_rows += rb->rows;
	return sink_copy_put(f->w->pg, rb, err);
}

static bool end_main(struct feed *f, struct err *err)
{
	uint64_t taken = 0;
	if (!send_main(f, err))
		return false;
	if (!f->copying)
		return true;
	f->copying = false;
	if (!sink_copy_end(f->w->pg, &taken, err) || !check_rows(f->main_rows, taken, err))
		return false;
	count_rows(f, &f->c->outputs[0], taken);
	f->main_rows = 0;
	return true;
}

bool load_copy_rows(struct worker *w, const struct plan_output *o, struct rowbuf *rb, uint64_t *rows, struct err *err)
{
	uint64_t sent = rb->rows;
	*rows = 0;
	return sent == 0 ||
	       (sink_copy_begin(w->pg, &w->engine->plan->schema, &o->copy, err) && sink_copy_put(w->pg, rb, err) &&
		sink_copy_end(w->pg, rows, err) && check_rows(sent, *rows, err));
}

static bool send_others(struct feed *f, struct err *err)
{
	for (size_t i = 1; i < f->c->noutputs; i++) {
		const struct plan_output *o = &f->c->outputs[i];
		uint64_t taken;
		if (!load_copy_rows(f->w, o, conv_rows(f->conv, (int)i), &taken, err))
			return false;
		count_rows(f, o, taken);
	}
	return true;
}

/* Everything gathered so far goes to the server; no COPY is open afterwards. */
static bool send_all(struct feed *f, struct err *err)
{
	struct worker *w = f->w;
	int64_t chunk = f->unit->is_chunk ? f->unit->id : 0, step = f->unit->is_chunk ? 0 : f->unit->id;
	if (!end_main(f, err) || !send_others(f, err) ||
	    !sink_notes_flush(w->pg, w->notes, w->engine->run, chunk, step, err))
		return false;
	load_reset_rows(f->conv, f->c);
	return true;
}

static size_t gathered(const struct feed *f)
{
	size_t n = sink_notes_size(f->w->notes);
	for (size_t i = 1; i < f->c->noutputs; i++)
		n += conv_rows(f->conv, (int)i)->buf.len;
	return n;
}

static bool send_if_full(struct feed *f, struct err *err)
{
	if (gathered(f) >= GATHER_BYTES)
		return send_all(f, err);
	return conv_rows(f->conv, 0)->buf.len < SEND_BYTES || send_main(f, err);
}

/* --- one document --- */

static void reject_message(struct buf *out, enum fault fault, const struct conv_where *where)
{
	buf_puts(out, fault_sentence(fault));
	if (where->kind != 0)
		buf_printf(out, "; BSON type %s", bson_kind_name(where->kind));
	if (where->note[0] != '\0')
		buf_printf(out, "; %s", where->note);
}

static void note_reject(struct feed *f, enum fault fault, const struct conv_where *where, const char *sqlstate,
			const uint8_t *doc, size_t len)
{
	_cleanup_(buf_free) struct buf message = {0};
	reject_message(&message, fault, where);
	struct sink_reject r = {
		.collection = f->c->name,
		.table = where->table,
		.column = where->column,
		.path = where->path,
		.fault = fault,
		.message = buf_cstr(&message),
		.sqlstate = sqlstate,
		.id = conv_id(f->conv),
		.key = conv_key_text(f->conv),
		.document = doc,
		.document_len = len,
		.ordinal = -1,
		.kind = where->kind,
	};
	sink_notes_reject(f->w->notes, &r);
	ledger_add(f->w->ledger, LEDGER_REJECT, f->c->name, fault_name(fault), 1);
	f->shown_rejects++;
	atomic_fetch_add_explicit(&f->progress->rejects, 1, memory_order_relaxed);
}

/* {v: element}; of an array inside an array {v: element, in: the outermost element around it, at: [ordinals]}, so
 * that its place can be found again. */
static size_t wrap_element(const struct conv_note *n, struct buf *out)
{
	buf_reset(out);
	if (!buf_reserve(out, doc_wrap_size("v", &n->value)))
		return 0;
	out->len = doc_wrap("v", &n->value, out->data);
	if (n->depth == 0)
		return out->len;
	out->len--; /* the end of the document comes later */
	buf_putc(out, (char)n->outer.kind);
	buf_put(out, "in", 3);
	buf_put(out, n->outer.data, n->outer.len);
	buf_putc(out, (char)BSON_K_ARRAY);
	buf_put(out, "at", 3);
	uint32_t size = (uint32_t)(4 + n->depth * (1 + 2 + 8) + 1);
	buf_put(out, &size, 4);
	for (size_t i = 0; i < n->depth; i++) {
		buf_putc(out, (char)BSON_K_INT64);
		buf_putc(out, (char)('0' + i));
		buf_putc(out, '\0');
		buf_put(out, &n->at[i], 8);
	}
	buf_put(out, "\0", 2); /* of the array, of the document */
	size = (uint32_t)out->len;
	memcpy(out->data, &size, 4);
	return out->len;
}

void load_note_element(struct worker *w, const char *collection, struct ledger *l, const struct conv *conv,
		       const struct conv_note *n)
{
	_cleanup_(buf_free) struct buf doc = {0};
	struct sink_reject r = {
		.collection = collection,
		.table = n->table,
		.column = n->column,
		.path = n->path,
		.fault = n->fault,
		.message = fault_sentence(n->fault),
		.id = conv_id(conv),
		.key = conv_key_text(conv),
		.document_len = wrap_element(n, &doc),
		.ordinal = n->ordinal,
		.kind = n->value.kind,
	};
	r.document = doc.data;
	sink_notes_reject(w->notes, &r);
	ledger_add(l, LEDGER_REJECT_ELEMENT, n->table, fault_name(n->fault), 1);
}

void load_note_finding(struct worker *w, const char *collection, const struct conv *conv, const struct conv_note *n)
{
	struct sink_finding finding = {
		.table = n->table,
		.column = n->column,
		.collection = collection,
		.path = n->path,
		.kind = "invalid_replaced",
		.fault = n->fault,
		.id = conv_id(conv),
		.key = conv_key_text(conv),
		.value = n->value,
		.ordinal = n->ordinal,
	};
	sink_notes_finding(w->notes, &finding);
}

static void take_notes(struct feed *f)
{
	const struct conv_note *notes;
	size_t n = conv_notes(f->conv, &notes);
	for (size_t i = 0; i < n; i++)
		if (notes[i].is_reject)
			load_note_element(f->w, f->c->name, f->w->ledger, f->conv, &notes[i]);
		else
			load_note_finding(f->w, f->c->name, f->conv, &notes[i]);
	uint8_t uuid[UUID_SIZE];
	if (conv_id_needs_map(f->conv, uuid)) {
		struct val id = conv_id(f->conv);
		sink_notes_id(f->w->notes, f->c->name, uuid, &id);
	}
}

static void convert_one(struct feed *f, const uint8_t *doc, size_t len)
{
	struct conv_where where;
	enum fault fault = conv_document(f->conv, doc, len, &where);
	if (fault == FAULT_OK)
		take_notes(f);
	else
		note_reject(f, fault, &where, NULL, doc, len);
}

/* Documents near the 16 MB limit need several times their size while they are converted: one at a time, and their
 * buffers are given back at once. */
static bool convert_big(struct feed *f, const uint8_t *doc, size_t len, struct err *err)
{
	struct engine *e = f->w->engine;
	if (!send_all(f, err))
		return false;
	pthread_mutex_lock(&e->big_slot);
	convert_one(f, doc, len);
	bool ok = send_all(f, err);
	conv_trim(f->conv);
	mem_trim();
	pthread_mutex_unlock(&e->big_slot);
	return ok;
}

/* A share counts from the source's estimate, or from what was read where that is more. Without an estimate no share
 * is told of the first documents. */
static uint64_t reject_limit(struct table_progress *p)
{
	enum { LEAST_DOCS = 100 };
	uint64_t docs = atomic_load_explicit(&p->docs, memory_order_relaxed);
	if (p->reject_limit.percent <= 0)
		return p->reject_limit.n;
	uint64_t least = p->est_docs > 0 ? p->est_docs : LEAST_DOCS;
	docs = docs > least ? docs : least;
	return (uint64_t)((double)docs * p->reject_limit.percent / 100);
}

static bool too_many_rejects(struct feed *f, struct err *err)
{
	uint64_t n = atomic_load_explicit(&f->progress->rejects, memory_order_relaxed);
	uint64_t limit = reject_limit(f->progress);
	const struct map_limit *l = &f->progress->reject_limit;
	if (n <= limit)
		return true;
	err_set(err, ERR_MAX_REJECTS, "more than %llu documents of %s were rejected", (unsigned long long)limit,
		f->c->name);
	if (l->percent > 0)
		err_detail(err, "limit: %g %% of its documents, set by %s", l->percent, f->progress->limit_from);
	else
		err_detail(err, "limit: %llu, set by %s", (unsigned long long)limit, f->progress->limit_from);
	return err_hint(err, "look at them: docrow rejects; then mend the mapping, or go on with a higher limit: "
			     "docrow migrate --resume --max-rejects N");
}

static bool poll_now_and_then(struct feed *f, struct err *err)
{
	if (++f->since_poll < POLL_DOCS)
		return true;
	atomic_fetch_add_explicit(&f->progress->docs, f->since_poll, memory_order_relaxed);
	f->shown += f->since_poll;
	f->since_poll = 0;
	if (engine_is_stopping(f->w->engine))
		return err_set(err, ERR_STOPPED, "stopped");
	return too_many_rejects(f, err);
}

static bool feed_document(struct feed *f, const uint8_t *doc, size_t len, struct err *err)
{
	++*f->read;
	*f->bytes += len;
	rate_count(&f->w->engine->pace.rate, &f->w->since_rate);
	if (len > BIG_DOCUMENT) {
		if (!convert_big(f, doc, len, err))
			return false;
	} else {
		convert_one(f, doc, len);
		if (!send_if_full(f, err))
			return false;
	}
	return poll_now_and_then(f, err);
}

/* --- a chunk --- */

static bool begin_chunk(struct worker *w, struct err *err)
{
	return pg_begin(w->pg, false, err) && pg_exec(w->pg, "SET CONSTRAINTS ALL IMMEDIATE", err);
}

static bool feed_range(struct feed *f, struct err *err)
{
	struct worker *w = f->w;
	const uint8_t *doc;
	size_t len;
	int got;
	if (!worker_reader(w, err) || !source_read(w->reader, f->c->name, f->unit->bounds, f->unit->bounds_len, err))
		return false;
	while ((got = source_next(w->reader, &doc, &len, err)) == 1)
		if (!feed_document(f, doc, len, err))
			return false;
	return got == 0 && too_many_rejects(f, err) && send_all(f, err);
}

/* The display counts what is under way; what did not come to its COMMIT is taken back. */
static void take_back(struct feed *f)
{
	atomic_fetch_sub(&f->progress->docs, f->shown);
	atomic_fetch_sub(&f->progress->rejects, f->shown_rejects);
	if (f->copying)
		pg_copy_abort(f->w->pg, "rolled back");
	f->copying = false;
}

static void chunk_is_done(struct feed *f)
{
	struct table_progress *t = f->progress;
	atomic_fetch_add(&t->docs, f->since_poll);
	if (atomic_fetch_add(&t->chunks_done, 1) + 1 == atomic_load(&t->chunks))
		atomic_store(&t->finished_at, clock_seconds());
}

static bool load_straight(struct feed *f, double started, bool *mine, struct err *err)
{
	if (!begin_chunk(f->w, err) || !feed_range(f, err))
		return false;
	return commit_if_mine(f->w, f->unit, started, mine, err);
}

static bool load_halving(struct feed *f, double started, bool *mine, struct err *err);

bool load_chunk(struct worker *w, const struct state_unit *u, bool *mine, struct err *err)
{
	struct feed f;
	int c = plan_find_collection(w->engine->plan, u->collection);
	if (c < 0)
		return err_set(err, ERR_INTERNAL, "chunk of a collection that the plan lacks: %s", u->collection);
	double started = clock_seconds(), none = 0;
	feed_init(&f, w, c, u);
	atomic_compare_exchange_strong(&f.progress->started_at, &none, started);
	bool ok = load_straight(&f, started, mine, err);
	if (!ok && err->class == ERR_CLASS_DATA) {
		log_line(LOG_WARN, "%s, chunk %lld: the server refused data (%s); looking for the documents",
			 u->collection, (long long)u->ordinal,
			 err->sqlstate[0] != '\0' ? err->sqlstate : err->message);
		take_back(&f);
		ok = load_halving(&f, started, mine, err);
	}
	if (ok && *mine) {
		chunk_is_done(&f);
		return true;
	}
	take_back(&f);
	if (!ok)
		err_where(err, "%s, chunk %lld", u->collection, (long long)u->ordinal);
	return ok;
}

/* --- halving --- */

struct batch {
	struct buf bytes; /* documents one after the other; their own length says where the next is */
	size_t *offsets;
	size_t n, cap;
};

static void batch_add(struct batch *b, const uint8_t *doc, size_t len)
{
	if (b->n == b->cap) {
		b->cap = b->cap > 0 ? b->cap * 2 : HALVING_DOCS;
		b->offsets = mem_realloc(b->offsets, b->cap * sizeof *b->offsets);
	}
	b->offsets[b->n++] = b->bytes.len;
	buf_put(&b->bytes, doc, len);
}

static size_t batch_len(const struct batch *b, size_t i)
{
	return (i + 1 < b->n ? b->offsets[i + 1] : b->bytes.len) - b->offsets[i];
}

/* What a try counted is added to the unit's counts only when the try stands; so each try counts from zero in the
 * worker's ledger, and the sums are kept aside. */
struct halving {
	struct feed *f;
	struct batch batch;
	struct ledger *kept;
};

static bool try_range(struct halving *h, size_t from, size_t to, struct err *err)
{
	struct feed *f = h->f;
	for (size_t i = from; i < to; i++) {
		const uint8_t *doc = h->batch.bytes.data + h->batch.offsets[i];
		size_t len = batch_len(&h->batch, i);
		++*f->read;
		*f->bytes += len;
		convert_one(f, doc, len);
	}
	return send_all(f, err);
}

static void refuse_one(struct halving *h, size_t i, const struct err *why)
{
	struct feed *f = h->f;
	const uint8_t *doc = h->batch.bytes.data + h->batch.offsets[i];
	size_t len = batch_len(&h->batch, i);
	struct conv_where ignored, where = {0};
	ledger_reset(f->w->ledger);
	enum fault fault = conv_document(f->conv, doc, len, &ignored); /* sets _id and key again */
	(void)fault;
	ledger_reset(f->w->ledger);
	sink_notes_reset(f->w->notes);
	load_reset_rows(f->conv, f->c);
	++*f->read;
	*f->bytes += len;
	where.table = f->w->engine->plan->schema.tables[f->c->outputs[0].copy.table].name;
	if (why->sqlstate[0] != '\0')
		snprintf(where.note, sizeof where.note, "SQLSTATE %s: %.150s", why->sqlstate, why->message);
	else
		snprintf(where.note, sizeof where.note, "%.150s", why->message);
	note_reject(f, FAULT_REFUSED, &where, why->sqlstate, doc, len);
}

static bool undo_try(struct feed *f, struct err *err)
{
	if (f->copying)
		pg_copy_abort(f->w->pg, "rolled back");
	f->copying = false;
	f->main_rows = 0;
	ledger_reset(f->w->ledger);
	sink_notes_reset(f->w->notes);
	load_reset_rows(f->conv, f->c);
	return pg_exec(f->w->pg, "ROLLBACK TO SAVEPOINT docrow_try", err);
}

static bool keep_try(struct halving *h, struct err *err)
{
	if (!sink_mark_savepoint(h->f->w->pg, h->f->w->engine->run, err))
		return false;
	ledger_merge(h->kept, h->f->w->ledger);
	ledger_reset(h->f->w->ledger);
	return pg_exec(h->f->w->pg, "RELEASE SAVEPOINT docrow_try", err);
}

static bool load_range(struct halving *h, size_t from, size_t to, struct err *err)
{
	struct feed *f = h->f;
	if (from == to)
		return true;
	if (engine_is_stopping(f->w->engine))
		return err_set(err, ERR_STOPPED, "stopped");
	if (!pg_exec(f->w->pg, "SAVEPOINT docrow_try", err))
		return false;
	uint64_t rejects_before = f->shown_rejects;
	if (try_range(h, from, to, err))
		return keep_try(h, err);
	if (err->class != ERR_CLASS_DATA)
		return false;
	struct err why = *err;
	atomic_fetch_sub(&f->progress->rejects, f->shown_rejects - rejects_before);
	f->shown_rejects = rejects_before;
	if (!undo_try(f, err))
		return false;
	if (to - from == 1) {
		refuse_one(h, from, &why);
		return send_all(f, err) && keep_try(h, err) && too_many_rejects(f, err);
	}
	if (!pg_exec(f->w->pg, "RELEASE SAVEPOINT docrow_try", err))
		return false;
	size_t middle = from + (to - from) / 2;
	return load_range(h, from, middle, err) && load_range(h, middle, to, err);
}

static bool load_batch(struct halving *h, struct err *err)
{
	bool ok = load_range(h, 0, h->batch.n, err);
	atomic_fetch_add(&h->f->progress->docs, h->batch.n);
	h->f->shown += h->batch.n;
	h->batch.n = 0;
	buf_reset(&h->batch.bytes);
	return ok;
}

static bool halve_chunk(struct halving *h, struct err *err)
{
	struct feed *f = h->f;
	struct worker *w = f->w;
	const uint8_t *doc;
	size_t len;
	int got;
	if (!begin_chunk(w, err) || !worker_reader(w, err) ||
	    !source_read(w->reader, f->c->name, f->unit->bounds, f->unit->bounds_len, err))
		return false;
	while ((got = source_next(w->reader, &doc, &len, err)) == 1) {
		batch_add(&h->batch, doc, len);
		if ((h->batch.n >= HALVING_DOCS || h->batch.bytes.len >= HALVING_BYTES) && !load_batch(h, err))
			return false;
	}
	return got == 0 && load_batch(h, err);
}

static bool load_halving(struct feed *f, double started, bool *mine, struct err *err)
{
	struct halving h = {.f = f, .kept = ledger_new()};
	buf_init(&h.batch.bytes, 0);
	f->shown = f->shown_rejects = 0;
	f->since_poll = 0;
	f->main_rows = 0;
	ledger_reset(f->w->ledger);
	sink_notes_reset(f->w->notes);
	load_reset_rows(f->conv, f->c);
	pg_rollback(f->w->pg);
	bool ok = halve_chunk(&h, err);
	if (ok) {
		ledger_reset(f->w->ledger);
		ledger_merge(f->w->ledger, h.kept);
		ok = commit_if_mine(f->w, f->unit, started, mine, err);
	}
	buf_free(&h.batch.bytes);
	free(h.batch.offsets);
	ledger_free(h.kept);
	return ok;
}

/* --- split --- */

struct chunk_list {
	struct arena *arena;
	const char *collection;
	int load_step;
	struct state_chunk_def *defs;
	size_t n, cap;
};

static bool add_chunk(void *ctx, const struct source_range *r, struct err *err)
{
	struct chunk_list *l = ctx;
	(void)err;
	if (l->n == l->cap) {
		l->cap = l->cap > 0 ? l->cap * 2 : 64;
		l->defs = mem_realloc(l->defs, l->cap * sizeof *l->defs);
	}
	l->defs[l->n] = (struct state_chunk_def){
		.collection = l->collection,
		.bounds = arena_memdup(l->arena, r->bounds, r->bounds_len),
		.bounds_len = r->bounds_len,
		.ordinal = (int64_t)l->n,
		.est_docs = r->est_docs,
		.est_bytes = r->est_bytes,
		.load_step = l->load_step,
	};
	l->n++;
	return true;
}

bool load_split(struct worker *w, const struct state_unit *u, bool *mine, struct err *err)
{
	struct engine *e = w->engine;
	double started = clock_seconds();
	int c = plan_find_collection(e->plan, u->collection);
	struct chunk_list l = {.arena = w->arena,
			       .collection = u->collection,
			       .load_step = c >= 0 ? engine_load_step(e, (size_t)c) : 0};
	bool ok = source_split(e->source, u->collection, e->options.batch_docs, e->options.chunk_bytes, add_chunk, &l,
			       err) &&
		  pg_begin(w->pg, false, err) && state_chunks_add(w->pg, e->run, l.defs, l.n, err) &&
		  commit_if_mine(w, u, started, mine, err);
	if (ok && *mine && c >= 0)
		atomic_store(&e->tables[c].chunks, l.n);
	free(l.defs);
	if (!ok)
		err_where(err, "splitting %s", u->collection);
	return ok;
}

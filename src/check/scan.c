/* scan.c - see check.h.
 *
 * Readers convert on threads of their own; what settling needs of their rows goes through ONE connection, in one
 * transaction, whoever has gathered a lump takes its turn. That connection is also where everything is settled and
 * looked at before the rollback.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "check.h"
#include "convert.h"
#include "enums.h"
#include "paths.h"
#include "rate.h"
#include "scratch.h"
#include "sink.h"
#include "sys.h"

#define SEND_BYTES  ((size_t)1 << 20)
#define POLL_DOCS   64
#define SAMPLE_CUTS 10 /* stretches of a collection that a sample comes from */

struct range {
	int collection;
	const uint8_t *bounds;
	size_t bounds_len;
	uint64_t limit; /* documents to read; 0: all */
};

struct reader {
	struct check_scan *scan;
	pthread_t thread;
	bool has_thread;
	struct source_reader *source;
	struct conv **convs;   /* by collection, made on first use            */
	struct rowbuf **rows;  /* [collection][output]: filtered, to be sent  */
	uint32_t ***longest;   /* [collection][output][position]              */
	struct ledger *ledger; /* all that this reader counted                */
	struct sink_notes *notes;
	struct paths *paths;
	unsigned since_rate; /* rate_count */
};

struct check_scan {
	const struct plan *plan;
	struct source *source;
	struct check_scan_options options;
	struct arena *arena;
	struct scratch scratch;
	struct range *ranges;
	size_t nranges, cap;
	atomic_size_t next;
	struct rate rate;
	struct pg *pg;
	pthread_mutex_t pg_lock; /* one lump of rows at a time */
	int64_t run;
	int server_version;
	struct reader *readers;
	int nreaders;
	atomic_int running;
	atomic_bool stopping;
	pthread_mutex_t err_lock;
	struct err error;
	bool failed;
	atomic_ullong *docs, *rejects; /* by collection */
	struct check_progress *shown;
	struct ledger *ledger;
	struct paths *paths;
	const struct check_path *path_list;
	size_t npaths;
	const struct check_enum *enum_list;
	size_t nenums;
	struct check_long *longs;
	size_t nlongs;
	struct check_long *skipped; /* unique indexes that are not looked at */
	size_t nskipped;
};

static void scan_fail(struct check_scan *s, const struct err *err)
{
	pthread_mutex_lock(&s->err_lock);
	if (!s->failed)
		s->error = *err;
	s->failed = true;
	pthread_mutex_unlock(&s->err_lock);
	atomic_store(&s->stopping, true);
}

/* --- rows and notes to the scratch tables --- */

static bool send_rows(struct check_scan *s, const struct scratch_output *o, struct rowbuf *rb, const char *table,
		      struct ledger *l, struct err *err)
{
	uint64_t taken = 0;
	if (rb->rows == 0)
		return true;
	if (!sink_copy_begin(s->pg, &s->scratch.schema, &o->copy, err) || !sink_copy_put(s->pg, rb, err) ||
	    !sink_copy_end(s->pg, &taken, err))
		return false;
	if (o->copy.junction < 0)
		ledger_add(l, LEDGER_ROWS, table, "", taken);
	return true;
}

static bool send_collection(struct reader *r, int c, struct err *err)
{
	struct check_scan *s = r->scan;
	const struct plan_collection *pc = &s->plan->collections[c];
	bool ok = true;
	pthread_mutex_lock(&s->pg_lock);
	for (size_t o = 0; ok && o < pc->noutputs; o++)
		ok = send_rows(s, &s->scratch.outputs[c][o], &r->rows[c][o],
			       s->plan->schema.tables[pc->outputs[o].copy.table].name, r->ledger, err);
	ok = ok && sink_notes_flush(s->pg, r->notes, s->run, 0, 0, err);
	pthread_mutex_unlock(&s->pg_lock);
	return ok;
}

static size_t gather_rows(struct reader *r, int c)
{
	struct check_scan *s = r->scan;
	size_t bytes = sink_notes_size(r->notes);
	for (size_t o = 0; o < s->plan->collections[c].noutputs; o++) {
		scratch_filter(&s->scratch.outputs[c][o], r->longest[c][o], conv_rows(r->convs[c], (int)o),
			       &r->rows[c][o]);
		bytes += r->rows[c][o].buf.len;
	}
	return bytes;
}

/* --- one document --- */

/* Without the document: what is asked for here is how many, where and why. */
static void note_reject(struct reader *r, int c, enum fault fault, const struct conv_where *where)
{
	struct sink_reject reject = {
		.collection = r->scan->plan->collections[c].name,
		.table = where->table,
		.column = where->column,
		.path = where->path,
		.fault = fault,
		.message = fault_sentence(fault),
		.id = conv_id(r->convs[c]),
		.ordinal = -1,
		.kind = where->kind,
	};
	sink_notes_reject(r->notes, &reject);
	ledger_add(r->ledger, LEDGER_REJECT, reject.collection, fault_name(fault), 1);
	atomic_fetch_add(&r->scan->rejects[c], 1);
}

static void take_note(struct reader *r, int c, const struct conv_note *n)
{
	struct sink_reject reject = {
		.collection = r->scan->plan->collections[c].name,
		.table = n->table,
		.column = n->column,
		.path = n->path,
		.fault = n->fault,
		.message = fault_sentence(n->fault),
		.id = conv_id(r->convs[c]),
		.ordinal = n->ordinal,
		.kind = n->value.kind,
	};
	if (!n->is_reject)
		return; /* counted by the converter */
	sink_notes_reject(r->notes, &reject);
	ledger_add(r->ledger, LEDGER_REJECT_ELEMENT, n->table, fault_name(n->fault), 1);
}

static void convert_one(struct reader *r, int c, const uint8_t *doc, size_t len)
{
	const char *name = r->scan->plan->collections[c].name;
	const struct conv_note *notes;
	struct conv_where where;
	ledger_add(r->ledger, LEDGER_READ, name, "", 1);
	ledger_add(r->ledger, LEDGER_BYTES, name, "", len);
	paths_add(r->paths, c, doc, len);
	enum fault fault = conv_document(r->convs[c], doc, len, &where);
	if (fault != FAULT_OK) {
		note_reject(r, c, fault, &where);
		return;
	}
	size_t n = conv_notes(r->convs[c], &notes);
	for (size_t i = 0; i < n; i++)
		take_note(r, c, &notes[i]);
}

/* --- readers --- */

static bool is_over(const struct check_scan *s)
{
	return atomic_load_explicit(&s->stopping, memory_order_relaxed) || stop_requested();
}

static void make_ready(struct reader *r, int c)
{
	struct check_scan *s = r->scan;
	size_t n = s->plan->collections[c].noutputs;
	if (r->convs[c] != NULL)
		return;
	r->convs[c] = conv_new(s->plan, c, r->ledger);
	conv_set_server_version(r->convs[c], s->server_version);
	r->rows[c] = mem_zalloc((n + 1) * sizeof *r->rows[c]);
	r->longest[c] = mem_zalloc((n + 1) * sizeof *r->longest[c]);
	for (size_t o = 0; o < n; o++) {
		rowbuf_init(&r->rows[c][o]);
		r->longest[c][o] = mem_zalloc((s->scratch.outputs[c][o].n + 1) * sizeof(uint32_t));
	}
}

static bool read_range(struct reader *r, const struct range *range, struct err *err)
{
	struct check_scan *s = r->scan;
	int c = range->collection, got = 1;
	uint64_t n = 0;
	const uint8_t *doc;
	size_t len;
	make_ready(r, c);
	if (!source_read(r->source, s->plan->collections[c].name, range->bounds, range->bounds_len, err))
		return false;
	while ((range->limit == 0 || n < range->limit) && (got = source_next(r->source, &doc, &len, err)) == 1) {
		convert_one(r, c, doc, len);
		rate_count(&s->rate, &r->since_rate);
		if (++n % POLL_DOCS != 0)
			continue;
		atomic_fetch_add(&s->docs[c], POLL_DOCS);
		if (is_over(s))
			return err_set(err, ERR_STOPPED, "stopped");
		if (gather_rows(r, c) >= SEND_BYTES && !send_collection(r, c, err))
			return false;
	}
	atomic_fetch_add(&s->docs[c], n % POLL_DOCS);
	gather_rows(r, c);
	return got >= 0 && send_collection(r, c, err);
}

static void *reader_main(void *arg)
{
	struct reader *r = arg;
	struct check_scan *s = r->scan;
	struct err err;
	bool ok = source_reader_open(&r->source, s->source, &err);
	while (ok && !is_over(s)) {
		size_t i = atomic_fetch_add(&s->next, 1);
		if (i >= s->nranges)
			break;
		ok = read_range(r, &s->ranges[i], &err);
		if (!ok)
			err_where(&err, "%s", s->plan->collections[s->ranges[i].collection].name);
	}
	if (!ok)
		scan_fail(s, &err);
	atomic_fetch_sub(&s->running, 1);
	return NULL;
}

/* --- start --- */

struct adding {
	struct check_scan *scan;
	int collection;
};

static bool add_range(void *ctx, const struct source_range *range, struct err *err)
{
	struct adding *a = ctx;
	struct check_scan *s = a->scan;
	(void)err;
	if (s->nranges == s->cap) {
		s->cap = s->cap > 0 ? s->cap * 2 : 256;
		s->ranges = mem_realloc(s->ranges, s->cap * sizeof *s->ranges);
	}
	s->ranges[s->nranges++] = (struct range){
		.collection = a->collection,
		.bounds = arena_memdup(s->arena, range->bounds, range->bounds_len),
		.bounds_len = range->bounds_len,
	};
	return true;
}

/* Of the ranges from `from` on (one collection), a few all over it, a part of each. */
static void cut_sample(struct check_scan *s, size_t from)
{
	size_t n = s->nranges - from, cuts = n < SAMPLE_CUTS ? n : SAMPLE_CUTS;
	for (size_t i = 0; i < cuts; i++) {
		s->ranges[from + i] = s->ranges[from + i * n / cuts];
		s->ranges[from + i].limit = (s->options.sample + cuts - 1) / cuts;
	}
	s->nranges = from + cuts;
}

static bool add_collections(struct check_scan *s, struct err *err)
{
	struct source_collection *list;
	size_t n;
	if (!source_collections(s->source, s->arena, &list, &n, err))
		return false;
	for (size_t c = 0; c < s->plan->ncollections; c++) {
		const char *name = s->plan->collections[c].name, *origin = s->plan->collections[c].source;
		struct adding a = {s, (int)c};
		size_t i = 0, from = s->nranges;
		while (i < n && (list[i].skipped || strcmp(list[i].name, origin) != 0))
			i++;
		s->shown[c] = (struct check_progress){.collection = name, .present = i < n};
		if (i == n)
			continue;
		s->shown[c].est_docs = list[i].est_docs;
		if (!source_split(s->source, name, 0, s->options.chunk_bytes, add_range, &a, err))
			return err_where(err, "splitting %s", name);
		if (s->options.sample > 0)
			cut_sample(s, from);
		if (s->options.sample > 0 && s->options.sample < s->shown[c].est_docs)
			s->shown[c].est_docs = s->options.sample;
	}
	return true;
}

/* Makes an index and takes it back. *can: the server made it. */
static bool try_index(struct check_scan *s, const struct schema_table *t, const struct schema_index *i, bool *can,
		      struct err *err)
{
	_cleanup_(buf_free) struct buf sql = {0};
	schema_sql_index(&sql, &s->scratch.schema, t, i);
	if (!pg_exec(s->pg, "SAVEPOINT docrow_try", err))
		return false;
	*can = pg_exec(s->pg, buf_cstr(&sql), err);
	return (*can || !pg_is_lost(s->pg)) &&
	       pg_exec(s->pg, "ROLLBACK TO SAVEPOINT docrow_try; RELEASE SAVEPOINT docrow_try", err);
}

/* Expressions of a target's own indexes may name what is not here: columns that nothing feeds, types of its schema.
 * What such a unique index would refuse is not foretold, and that is told. */
static bool drop_unmakable_indexes(struct check_scan *s, struct err *err)
{
	for (size_t t = 0; t < s->scratch.schema.ntables; t++) {
		struct schema_table *table = &s->scratch.schema.tables[t];
		size_t n = 0;
		for (size_t i = 0; i < table->nindexes; i++) {
			const struct schema_index *x = &table->indexes[i];
			bool can = true;
			if (x->unique && (x->expression != NULL || x->where != NULL) &&
			    !try_index(s, table, x, &can, err))
				return false;
			if (can) {
				table->indexes[n++] = *x;
				continue;
			}
			s->skipped = mem_realloc(s->skipped, (s->nskipped + 1) * sizeof *s->skipped);
			s->skipped[s->nskipped++] = (struct check_long){.table = table->name, .index = x->name};
		}
		table->nindexes = n;
	}
	return true;
}

/* The scratch tables and a run for what is noted, in the transaction that never commits. */
static bool begin(struct check_scan *s, struct err *err)
{
	struct state_run run = {
		.mapping_name = (char *)s->plan->mapping->name,
		.mapping_text = (char *)"",
		.mapping_digest = (char *)"",
		.source_identity = (char *)"",
		.source_describe = (char *)source_describe(s->source),
		.operation_time = (char *)"",
		.options = (char *)"{}",
		.version = (char *)s->options.version,
	};
	if (!pg_open(&s->pg, s->options.target_uri, "docrow check", err) || !pg_begin(s->pg, false, err))
		return false;
	s->server_version = pg_server_version(s->pg);
	if (!state_install_here(s->pg, err) || !state_run_create(s->pg, &run, err))
		return false;
	s->run = run.id;
	return sink_create(s->pg, &s->scratch.schema, err) && sink_resolve(s->pg, &s->scratch.schema, err) &&
	       drop_unmakable_indexes(s, err);
}

static void readers_init(struct check_scan *s)
{
	size_t n = s->plan->ncollections;
	s->nreaders = s->options.workers;
	s->readers = mem_zalloc((size_t)s->nreaders * sizeof *s->readers);
	for (int i = 0; i < s->nreaders; i++) {
		struct reader *r = &s->readers[i];
		r->scan = s;
		r->convs = mem_zalloc((n + 1) * sizeof *r->convs);
		r->rows = mem_zalloc((n + 1) * sizeof *r->rows);
		r->longest = mem_zalloc((n + 1) * sizeof *r->longest);
		r->ledger = ledger_new();
		r->notes = sink_notes_new();
		r->paths = paths_new(n);
		enums_keep(r->paths, s->plan);
	}
}

static bool threads_start(struct check_scan *s, struct err *err)
{
	for (int i = 0; i < s->nreaders; i++) {
		atomic_fetch_add(&s->running, 1);
		if (pthread_create(&s->readers[i].thread, NULL, reader_main, &s->readers[i]) != 0) {
			atomic_fetch_sub(&s->running, 1);
			err_set(err, ERR_INTERNAL, "cannot start a thread");
			scan_fail(s, err);
			return false;
		}
		s->readers[i].has_thread = true;
	}
	return true;
}

bool check_scan_start(struct check_scan **out, const struct plan *p, struct source *source,
		      const struct check_scan_options *o, struct err *err)
{
	struct check_scan *s = mem_zalloc(sizeof *s);
	s->plan = p;
	s->source = source;
	s->options = *o;
	s->arena = arena_new();
	pthread_mutex_init(&s->pg_lock, NULL);
	pthread_mutex_init(&s->err_lock, NULL);
	rate_init(&s->rate, o->max_rate);
	s->docs = mem_zalloc((p->ncollections + 1) * sizeof *s->docs);
	s->rejects = mem_zalloc((p->ncollections + 1) * sizeof *s->rejects);
	s->shown = mem_zalloc((p->ncollections + 1) * sizeof *s->shown);
	s->ledger = ledger_new();
	s->paths = paths_new(p->ncollections);
	enums_keep(s->paths, p);
	scratch_build(&s->scratch, p, s->arena);
	readers_init(s);
	*out = s;
	return begin(s, err) && add_collections(s, err) && threads_start(s, err);
}

bool check_scan_poll(struct check_scan *s, const struct check_progress **list, size_t *n)
{
	for (size_t c = 0; c < s->plan->ncollections; c++) {
		s->shown[c].docs = atomic_load(&s->docs[c]);
		s->shown[c].rejects = atomic_load(&s->rejects[c]);
	}
	*list = s->shown;
	*n = s->plan->ncollections;
	return atomic_load(&s->running) == 0;
}

/* --- settling and looking --- */

static bool go_on(struct err *err)
{
	return !stop_requested() || err_set(err, ERR_STOPPED, "stopped");
}

/* What is noted while a unique index is settled carries its number among the indexes of all tables, as its step. */
static int64_t first_step(const struct schema *sc, size_t table)
{
	int64_t n = 1;
	for (size_t t = 0; t < table; t++)
		n += (int64_t)sc->tables[t].nindexes;
	return n;
}

const char *check_scan_index(const struct check_scan *s, int64_t step)
{
	for (size_t t = 0; step > 0 && t < s->scratch.schema.ntables; t++) {
		const struct schema_table *table = &s->scratch.schema.tables[t];
		if (step <= (int64_t)table->nindexes)
			return table->indexes[step - 1].name;
		step -= (int64_t)table->nindexes;
	}
	return NULL;
}

static bool settle_tables(struct check_scan *s, struct err *err)
{
	const struct schema *sc = &s->scratch.schema;
	for (size_t t = 0; t < sc->ntables; t++) {
		bool is_junction = false;
		for (size_t j = 0; j < sc->njunctions; j++)
			is_junction |= sc->junctions[j].table == (int)t;
		if (is_junction)
			continue;
		if (!go_on(err) || !sink_settle_primary_key(s->pg, sc, (int)t, s->run, 0, s->ledger, err))
			return err_where(err, "keys of %s", sc->tables[t].name);
		for (size_t i = 0; i < sc->tables[t].nindexes; i++)
			if (sc->tables[t].indexes[i].unique &&
			    !sink_settle_unique(s->pg, sc, (int)t, (int)i, s->run, first_step(sc, t) + (int64_t)i,
						s->ledger, err))
				return err_where(err, "unique index %s", sc->tables[t].indexes[i].name);
	}
	return true;
}

/* The planner knows nothing of tables that are as old as the transaction. */
static bool analyze(struct check_scan *s, struct err *err)
{
	_cleanup_(buf_free) struct buf sql = {0};
	for (size_t t = 0; t < s->scratch.schema.ntables; t++) {
		buf_puts(&sql, t > 0 ? ", " : "ANALYZE ");
		sql_table(&sql, &s->scratch.schema, &s->scratch.schema.tables[t]);
	}
	for (size_t j = 0; j < s->scratch.schema.njunctions; j++)
		buf_printf(&sql, ", docrow.pairs_%zu", j);
	return pg_exec(s->pg, buf_cstr(&sql), err);
}

static bool settle(struct check_scan *s, struct err *err)
{
	const struct schema *sc = &s->scratch.schema;
	struct sink_orphan_group *groups;
	if (s->options.sample > 0)
		return true;
	if (!sink_begin_settle(s->pg, err) || !analyze(s, err) || !settle_tables(s, err))
		return false;
	size_t n = sink_orphan_groups(sc, s->arena, &groups);
	for (size_t g = 0; g < n; g++)
		if (!go_on(err) ||
		    !sink_settle_orphan_group(s->pg, sc, groups[g].refs, groups[g].nrefs, s->run, 0, s->ledger, err))
			return err_where(err, "orphans");
	for (size_t j = 0; j < sc->njunctions; j++)
		if (!go_on(err) || !sink_settle_pairs(s->pg, sc, (int)j, s->run, 0, s->ledger, err))
			return err_where(err, "pairs of %s", sc->tables[sc->junctions[j].table].name);
	return true;
}

size_t check_scan_skipped(struct check_scan *s, const struct check_long **list)
{
	*list = s->skipped;
	return s->nskipped;
}

static bool is_btree(const struct schema_index *i)
{
	return i->expression == NULL && (i->method == NULL || strcmp(i->method, "btree") == 0);
}

/* An entry of a B-tree is at most 2,704 bytes, after compression. */
#define BTREE_BYTES 2704

static void add_long(struct check_scan *s, const struct schema_table *t, int column, uint32_t bytes)
{
	for (size_t i = 0; bytes > BTREE_BYTES && i < t->nindexes; i++)
		for (size_t k = 0; is_btree(&t->indexes[i]) && k < t->indexes[i].ncolumns; k++) {
			if (strcmp(t->indexes[i].columns[k], t->columns[column].name) != 0)
				continue;
			s->longs = mem_realloc(s->longs, (s->nlongs + 1) * sizeof *s->longs);
			s->longs[s->nlongs++] =
				(struct check_long){t->name, t->columns[column].name, t->indexes[i].name, bytes};
		}
}

static void merge_longest(struct check_scan *s, size_t c, size_t o)
{
	const struct plan_output *po = &s->plan->collections[c].outputs[o];
	struct scratch_output *so = &s->scratch.outputs[c][o];
	for (int i = 0; i < s->nreaders; i++)
		for (size_t k = 0; s->readers[i].longest[c] != NULL && k < so->n; k++)
			if (s->readers[i].longest[c][o][k] > so->longest[k])
				so->longest[k] = s->readers[i].longest[c][o][k];
	for (size_t k = 0; po->kind != PLAN_OUTPUT_PAIRS && k < so->n; k++)
		add_long(s, &s->plan->schema.tables[po->copy.table], po->copy.columns[k], so->longest[k]);
}

static void merge(struct check_scan *s)
{
	for (int i = 0; i < s->nreaders; i++) {
		ledger_merge(s->ledger, s->readers[i].ledger);
		paths_merge(s->paths, s->readers[i].paths);
	}
	for (size_t c = 0; c < s->plan->ncollections; c++)
		for (size_t o = 0; o < s->plan->collections[c].noutputs; o++)
			merge_longest(s, c, o);
	s->npaths = paths_list(s->paths, s->plan, s->options.results, &s->path_list);
	s->nenums = enums_list(s->paths, s->plan, s->options.results, &s->enum_list);
}

/* Documents that no entry takes are in no range, and so were not met. */
static bool count_parts(struct check_scan *s, struct err *err)
{
	const char **names = arena_alloc(s->arena, (s->plan->ncollections + 1) * sizeof *names);
	for (size_t c = 0; s->options.sample == 0 && c < s->plan->ncollections; c++) {
		const char *source = s->plan->collections[c].source;
		size_t n = plan_parts(s->plan, c, names);
		struct source_tally t;
		if (n == 0 || !s->shown[c].present)
			continue;
		if (!source_tally(s->source, names, n, &t, err))
			return err_where(err, "counting %s", source);
		ledger_add(s->ledger, LEDGER_WHOLE, source, "", t.all);
		ledger_add(s->ledger, LEDGER_LEFT_OUT, source, "", t.none);
		ledger_add(s->ledger, LEDGER_SHARED, source, "", t.extra);
	}
	return true;
}

static void join(struct check_scan *s)
{
	for (int i = 0; i < s->nreaders; i++)
		if (s->readers[i].has_thread) {
			pthread_join(s->readers[i].thread, NULL);
			s->readers[i].has_thread = false;
		}
}

bool check_scan_finish(struct check_scan *s, check_look *look, void *ctx, struct err *err)
{
	join(s);
	if (s->failed) {
		*err = s->error;
		return false;
	}
	if (!go_on(err))
		return false;
	merge(s);
	bool ok = count_parts(s, err) && settle(s, err) && state_note_counts(s->pg, s->run, s->ledger, err) &&
		  look(ctx, s->pg, s->run, err);
	pg_rollback(s->pg);
	if (!ok && stop_requested()) /* a statement that was given up is no trouble of the server's */
		err_set(err, ERR_STOPPED, "stopped");
	return ok;
}

void check_scan_interrupt(struct check_scan *s)
{
	pg_cancel(s->pg);
}

/* --- the end --- */

static void reader_free(struct check_scan *s, struct reader *r)
{
	if (r->source != NULL)
		source_reader_close(r->source);
	for (size_t c = 0; c < s->plan->ncollections; c++) {
		if (r->convs[c] == NULL)
			continue;
		conv_free(r->convs[c]);
		for (size_t o = 0; o < s->plan->collections[c].noutputs; o++) {
			rowbuf_free(&r->rows[c][o]);
			free(r->longest[c][o]);
		}
		free(r->rows[c]);
		free(r->longest[c]);
	}
	free(r->convs);
	free(r->rows);
	free(r->longest);
	ledger_free(r->ledger);
	sink_notes_free(r->notes);
	paths_free(r->paths);
}

void check_scan_free(struct check_scan *s)
{
	if (s == NULL)
		return;
	atomic_store(&s->stopping, true);
	join(s);
	for (int i = 0; i < s->nreaders; i++)
		reader_free(s, &s->readers[i]);
	free(s->readers);
	if (s->pg != NULL)
		pg_rollback(s->pg);
	pg_close(s->pg);
	pthread_mutex_destroy(&s->pg_lock);
	pthread_mutex_destroy(&s->err_lock);
	rate_free(&s->rate);
	free(s->ranges);
	free(s->docs);
	free(s->rejects);
	free(s->shown);
	free(s->longs);
	free(s->skipped);
	ledger_free(s->ledger);
	paths_free(s->paths);
	arena_free(s->arena);
	free(s);
}

size_t check_scan_paths(struct check_scan *s, const struct check_path **paths)
{
	*paths = s->path_list;
	return s->npaths;
}

size_t check_scan_enums(struct check_scan *s, const struct check_enum **list)
{
	*list = s->enum_list;
	return s->nenums;
}

size_t check_scan_long(struct check_scan *s, const struct check_long **list)
{
	*list = s->longs;
	return s->nlongs;
}

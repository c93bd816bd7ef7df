/* match.c - tables whose rows no key tells apart (`keyless`, or a key that is not _id): documents and rows as
 * multisets.
 *
 * A row is known by what can be foretold from the document alone: the column that holds _id, else all columns whose
 * value has one form on both sides (column_form). A first look at the documents (LOOK_PROBE) says which those are: a
 * column that one document leaves open is left out. Hashes of these forms go into the tally like keys, from both
 * sides, and the rows' places are kept beside them (spots.h). Then (LOOK_MATCH) each document takes one row of its
 * hash that is as it says in every column, by the judge; documents and rows that remain are each other's (LOOK_PAIR),
 * and what they differ in is told. More or fewer rows than documents are layer counts' business.
 */
#include <stdlib.h>

#include <stdio.h>

#include "batch.h"

#define ROWS_AT_ONCE  2000
#define BYTES_AT_ONCE ((size_t)8 << 20) /* rows are about as large as their documents */
#define MOST_ALIKE    2000              /* rows of one hash that are looked at for a document */

/* --- which tables, which columns --- */

static bool is_foretellable(const struct pgtype *t)
{
	switch (t->base) {
	case PGT_UUID:
	case PGT_INT2:
	case PGT_INT4:
	case PGT_INT8:
	case PGT_TEXT:
	case PGT_VARCHAR:
	case PGT_BOOL:
	case PGT_BYTEA:
	case PGT_DATE:
	case PGT_TIMESTAMP:
	case PGT_TIMESTAMPTZ:
		return !t->array;
	default:
		return false;
	}
}

/* A rule about orphans may change it after the document was read. */
static bool may_be_moved(const struct schema *s, int table, int column)
{
	for (size_t i = 0; i < s->nrefs; i++)
		if (s->refs[i].table == table && (s->refs[i].column == column || s->refs[i].move_to == column))
			return true;
	return false;
}

static const struct column *column_of(const struct feed_table *t, int column)
{
	for (size_t i = 0; i < t->ncolumns; i++)
		if (t->columns[i].column == column)
			return &t->columns[i];
	return NULL;
}

static bool feeds_it(const struct column *c)
{
	return c != NULL && (c->feed == PLAN_FEED_ID || c->map != NULL) &&
	       (c->feed == PLAN_FEED_ID || c->feed == PLAN_FEED_SLOT || c->feed == PLAN_FEED_VALUE);
}

/* All that feed the table must feed the column. */
static bool may_be_foretold(const struct validation *v, int table, int column)
{
	const struct schema *s = &v->plan->schema;

	if (!is_foretellable(&s->tables[table].columns[column].type) || may_be_moved(s, table, column))
		return false;
	for (size_t i = 0; i < v->nfeeds; i++)
		if (v->feeds[i].main.table == table && !feeds_it(column_of(&v->feeds[i].main, column)))
			return false;
	return true;
}

bool match_is_probed(const struct validation *v, int table)
{
	for (size_t i = 0; i < v->nfeeds; i++)
		if (v->feeds[i].main.table == table && v->feeds[i].main.is_matched && v->feeds[i].main.key < 0)
			return true;
	return false;
}

static const char *select_places(const struct validation *v, const struct feed_table *t)
{
	_cleanup_(buf_free) struct buf sql = {0};

	buf_puts(&sql, "SELECT ");
	for (size_t i = 0; i < t->ncolumns; i++) {
		sql_ident(&sql, t->columns[i].name);
		buf_puts(&sql, ", ");
	}
	buf_puts(&sql, "tableoid, ctid FROM ");
	sql_table(&sql, &v->plan->schema, &v->plan->schema.tables[t->table]);
	buf_puts(&sql, " WHERE ctid = ANY ($1::pg_catalog.tid[])");
	return arena_strdup(v->arena, buf_cstr(&sql));
}

void match_prepare(struct validation *v)
{
	const struct schema *s = &v->plan->schema;

	v->spots = arena_alloc(v->arena, (s->ntables + 1) * sizeof *v->spots);
	v->foretold = arena_alloc(v->arena, (s->ntables + 1) * sizeof *v->foretold);
	v->uncompared = arena_alloc(v->arena, (s->ntables + 1) * sizeof *v->uncompared);
	v->left = listed_new();
	for (size_t i = 0; i < v->nfeeds; i++) {
		struct feed_table *t = &v->feeds[i].main;
		if (!t->is_matched || !v->exists[t->table])
			continue;
		t->select = select_places(v, t);
		if (v->spots[t->table] != NULL)
			continue; /* another part of it */
		const struct schema_table *st = &s->tables[t->table];
		v->spots[t->table] = spots_new();
		v->foretold[t->table] = arena_alloc(v->arena, (st->ncolumns + 1) * sizeof **v->foretold);
		bool probed = match_is_probed(v, t->table);
		for (size_t c = 0; c < st->ncolumns; c++)
			v->foretold[t->table][c] =
				probed ? may_be_foretold(v, t->table, (int)c) : t->columns[t->key].column == (int)c;
	}
}

void match_free(struct validation *v)
{
	for (size_t i = 0; v->spots != NULL && i < v->plan->schema.ntables; i++)
		spots_free(v->spots[i]);
	listed_free(v->left);
}

bool match_sort(struct validation *v, struct err *err)
{
	for (size_t i = 0; i < v->plan->schema.ntables; i++)
		if (v->spots[i] != NULL && !spots_sort(v->spots[i], err))
			return false;
	return true;
}

/* --- hashes --- */

static uint64_t hash_forms(uint64_t h, const struct buf *form)
{
	return key_hash(h, form->data, form->len);
}

uint64_t match_hash(struct batch *b, const struct item *it, struct view *v)
{
	const struct feed_table *t = &b->feed->main;
	const atomic_bool *foretold = b->w->v->foretold[t->table];
	uint64_t h = 1;

	if (foretold == NULL)
		return 0; /* the table is not there */
	for (size_t c = 0; c < b->w->v->plan->schema.tables[t->table].ncolumns; c++) {
		if (!foretold[c])
			continue;
		buf_reset(&b->scratch);
		if (!column_form(&b->w->judge, column_of(t, (int)c), v, &it->id, &b->scratch))
			buf_putc(&b->scratch, '?'); /* it changed since the first look */
		h = hash_forms(h, &b->scratch);
	}
	return h;
}

/* By its _id: what is in it may change between two looks. */
static uint64_t document_hash(const struct batch *b, const struct item *it, const uint8_t *doc)
{
	const char *collection = b->feed->collection->name;

	return it->wrapped != NULL ? listed_document(collection, it->wrapped, it->wrapped_len)
				   : listed_bytes(collection, doc, it->len);
}

static void probe(struct batch *b, const struct item *it, struct view *v)
{
	const struct feed_table *t = &b->feed->main;
	atomic_bool *foretold = b->w->v->foretold[t->table];

	for (size_t c = 0; c < b->w->v->plan->schema.tables[t->table].ncolumns; c++) {
		buf_reset(&b->scratch);
		if (foretold[c] && !column_form(&b->w->judge, column_of(t, (int)c), v, &it->id, &b->scratch))
			foretold[c] = false;
	}
}

void match_look(struct batch *b, struct item *it, struct view *v, const uint8_t *doc, bool sampled, bool *keep)
{
	if (b->look == LOOK_PROBE) {
		probe(b, it, v);
		return;
	}
	*keep = b->look == LOOK_MATCH ? sampled : listed_has(b->w->v->left, document_hash(b, it, doc), NULL);
	if (*keep)
		it->hash = match_hash(b, it, v);
}

/* --- rows --- */

struct places {
	struct worker *w;
	int table;
	int *columns; /* that are foretold */
	size_t ncolumns;
	struct field_bytes *f; /* of a row: the columns, tableoid, ctid */
	struct buf form;
	uint64_t hash;
};

static bool begin_places(struct places *p, struct err *err)
{
	const struct validation *v = p->w->v;
	const struct schema_table *t = &v->plan->schema.tables[p->table];
	_cleanup_(buf_free) struct buf sql = {0};

	p->columns = mem_zalloc((t->ncolumns + 1) * sizeof *p->columns);
	p->f = mem_zalloc((t->ncolumns + 2) * sizeof *p->f);
	buf_puts(&sql, "COPY (SELECT ");
	for (size_t c = 0; c < t->ncolumns; c++) {
		if (!v->foretold[p->table][c])
			continue;
		sql_ident(&sql, t->columns[c].name);
		buf_puts(&sql, ", ");
		p->columns[p->ncolumns++] = (int)c;
	}
	buf_puts(&sql, "tableoid, ctid FROM ");
	rows_put(&sql, v, p->table);
	buf_puts(&sql, " AS t) TO STDOUT (FORMAT binary)");
	return pg_copy_out_begin(p->w->pg, buf_cstr(&sql), err);
}

static void end_places(struct places *p)
{
	free(p->columns);
	free(p->f);
	buf_free(&p->form);
}

static void hash_places(struct places *p)
{
	const struct schema_table *t = &p->w->v->plan->schema.tables[p->table];

	arena_reset(p->w->judge.arena); /* trees of jsonb values */
	p->hash = 1;
	for (size_t i = 0; i < p->ncolumns; i++) {
		buf_reset(&p->form);
		field_form(&p->w->judge, &t->columns[p->columns[i]].type, p->f[i], &p->form);
		p->hash = hash_forms(p->hash, &p->form);
	}
}

static uint32_t number_at(struct field_bytes f, size_t at, size_t n)
{
	return f.len >= (int)(at + n) ? (uint32_t)big_endian(f.data + at, n) : 0;
}

static void note_place(struct places *p)
{
	struct validation *v = p->w->v;
	struct field_bytes oid = p->f[p->ncolumns], tid = p->f[p->ncolumns + 1];

	tally_add(p->w->tally, (uint32_t)p->table, TALLY_ROW, p->hash);
	if (wants_layer(v, LAYER_VALUES))
		spots_add(v->spots[p->table], p->hash, number_at(oid, 0, 4), number_at(tid, 0, 4),
			  (uint16_t)number_at(tid, 4, 2));
}

static void name_place(struct places *p)
{
	const struct schema_table *t = &p->w->v->plan->schema.tables[p->table];
	const struct odd *odd = odd_take(p->w, (uint32_t)p->table, p->hash, false);
	struct field_bytes tid = p->f[p->ncolumns + 1];
	_cleanup_(buf_free) struct buf key = {0};
	uint64_t owner = 0;
	char detail[64];

	if (odd == NULL)
		return;
	if (!match_is_probed(p->w->v, p->table)) {
		buf_reset(&p->form);
		(void)key_of_field(&p->w->judge, &t->columns[p->columns[0]].type, p->f[0], &p->form);
		key_write(&t->columns[p->columns[0]].type, p->form.data, p->form.len, &key);
		owner = owner_hash(p->table, p->form.data, p->form.len);
	}
	snprintf(detail, sizeof detail, "the row at ctid (%u,%u)", number_at(tid, 0, 4), number_at(tid, 4, 2));
	found_add(p->w->found, &(struct validate_finding){.kind = odd->kind,
							  .table = t->name,
							  .collection = t->collection,
							  .owner_hash = {owner, 0},
							  .key = key.len > 0 ? buf_cstr(&key) : NULL,
							  .detail = detail});
}

static bool each_place(struct worker *w, int table, void (*each)(struct places *p), uint64_t *rows, struct err *err)
{
	struct places p = {.w = w, .table = table};
	struct copy_rows c = {.pg = w->pg};
	int got = 1;
	bool ok = begin_places(&p, err);

	*rows = 0;
	while (ok && (got = copy_rows_next(&c, p.f, (int)p.ncolumns + 2, err)) == 1) {
		hash_places(&p);
		each(&p);
		++*rows;
		if ((*rows & 1023) == 0 && validation_stopped(w->v)) {
			pg_copy_out_abort(w->pg);
			ok = err_set(err, ERR_STOPPED, "stopped by a signal");
		}
	}
	end_places(&p);
	return ok && got == 0;
}

bool match_rows(struct worker *w, int table, struct err *err)
{
	uint64_t rows;

	spots_clear(w->v->spots[table]); /* of a try that failed */
	if (!each_place(w, table, note_place, &rows, err))
		return false;
	FOUND_COUNT(w->found, table, rows, rows);
	return true;
}

bool match_name_rows(struct worker *w, int table, struct err *err)
{
	uint64_t rows;

	return each_place(w, table, name_place, &rows, err);
}

/* --- what a task took --- */

static bool take_spot(struct worker *w, struct spot *s)
{
	struct undo *u = &w->undo;

	if (atomic_exchange(&s->used, 1) != 0)
		return false;
	u->spots = mem_grown(u->spots, u->nspots, sizeof *u->spots);
	u->spots[u->nspots++] = s;
	return true;
}

static void leave(struct worker *w, uint64_t document)
{
	struct undo *u = &w->undo;

	u->left = mem_grown(u->left, u->nleft, sizeof *u->left);
	u->left[u->nleft++] = document;
}

void undo_forget(struct worker *w)
{
	w->undo.nodds = w->undo.nspots = w->undo.nleft = 0;
}

/* Beyond the limit they are counted only, so that memory is bounded however much differs. */
void undo_keep(struct worker *w, int table)
{
	struct validation *v = w->v;

	pthread_mutex_lock(&v->lock);
	for (size_t i = 0; i < w->undo.nleft; i++)
		if (v->nleft < MOST_LEFT) {
			listed_add(v->left, w->undo.left[i]);
			v->nleft++;
		} else {
			v->uncompared[table]++;
		}
	pthread_mutex_unlock(&v->lock);
	undo_forget(w);
}

void undo_all(struct worker *w)
{
	pthread_mutex_lock(&w->v->lock);
	for (size_t i = 0; i < w->undo.nodds; i++)
		w->undo.odds[i]->left++;
	pthread_mutex_unlock(&w->v->lock);
	for (size_t i = 0; i < w->undo.nspots; i++)
		atomic_store(&w->undo.spots[i]->used, 0);
	undo_forget(w);
}

/* --- matching --- */

struct group { /* documents of one hash */
	struct spot *spots;
	size_t nspots, next; /* where to look on */
	size_t looked;
	size_t first, n, left; /* items; those without a row stand in front */
};

struct candidate {
	struct spot *spot;
	int row; /* of the result, -1: it is gone */
};

struct match {
	struct batch *b;
	struct item **items; /* by hash */
	struct group *groups;
	size_t ngroups;
	struct candidate *found; /* of this round, in the groups' order */
	size_t nfound;
	struct pg_result *rows;
};

static int compare_items(const void *a, const void *b)
{
	const struct item *const *x = a, *const *y = b;

	return ((*x)->hash > (*y)->hash) - ((*x)->hash < (*y)->hash);
}

static void make_groups(struct match *m)
{
	struct batch *b = m->b;
	struct arena *a = b->w->arena;
	const struct spots *spots = b->w->v->spots[b->feed->main.table];

	m->items = arena_alloc(a, (b->n + 1) * sizeof *m->items);
	m->groups = arena_alloc(a, (b->n + 1) * sizeof *m->groups);
	m->found = arena_alloc(a, ROWS_AT_ONCE * sizeof *m->found);
	for (size_t i = 0; i < b->n; i++)
		m->items[i] = &b->items[i];
	qsort(m->items, b->n, sizeof(struct item *), compare_items);
	for (size_t i = 0; i < b->n; i++) {
		struct group *g = &m->groups[m->ngroups - (m->ngroups > 0)];
		if (i == 0 || m->items[i]->hash != m->items[i - 1]->hash) {
			g = &m->groups[m->ngroups++];
			*g = (struct group){.first = i};
			g->spots = spots_find(spots, m->items[i]->hash, &g->nspots);
		}
		g->n++;
		g->left++;
	}
}

/* The next rows that may be those of the group's documents: as many, then more at a time. */
static void gather(struct match *m, struct group *g, size_t most)
{
	size_t want = g->looked == 0 ? g->left : 4 * g->left + 16;

	for (; want > 0 && m->nfound < most && g->next < g->nspots && g->looked < MOST_ALIKE; g->next++) {
		if (atomic_load_explicit(&g->spots[g->next].used, memory_order_relaxed))
			continue;
		m->found[m->nfound++] = (struct candidate){&g->spots[g->next], -1};
		g->looked++;
		want--;
	}
}

static int compare_places(const void *a, const void *b)
{
	const struct spot *x = (*(struct candidate *const *)a)->spot, *y = (*(struct candidate *const *)b)->spot;

	if (x->table != y->table)
		return x->table < y->table ? -1 : 1;
	if (x->block != y->block)
		return x->block < y->block ? -1 : 1;
	return (x->item > y->item) - (x->item < y->item);
}

/* Rows come in any order: each is looked up by its place. */
static void place_rows(struct match *m)
{
	const struct feed_table *t = &m->b->feed->main;
	struct candidate **sorted = arena_alloc(m->b->w->arena, (m->nfound + 1) * sizeof *sorted);

	for (size_t i = 0; i < m->nfound; i++)
		sorted[i] = &m->found[i];
	qsort(sorted, m->nfound, sizeof *sorted, compare_places);
	for (int r = 0; r < pg_rows(m->rows); r++) {
		struct field_bytes oid, tid;
		oid.data = pg_get_field(m->rows, r, (int)t->ncolumns, &oid.len);
		tid.data = pg_get_field(m->rows, r, (int)t->ncolumns + 1, &tid.len);
		struct spot at = {.table = number_at(oid, 0, 4),
				  .block = number_at(tid, 0, 4),
				  .item = (uint16_t)number_at(tid, 4, 2)};
		struct candidate key = {&at, 0}, *wanted = &key;
		struct candidate **c = bsearch(&wanted, sorted, m->nfound, sizeof *sorted, compare_places);
		if (c != NULL)
			(*c)->row = r;
	}
}

static bool ask(struct match *m, struct err *err)
{
	struct batch *b = m->b;

	buf_reset(&b->keys);
	for (size_t i = 0; i < m->nfound; i++)
		buf_printf(&b->keys, "%c\"(%u,%u)\"", i > 0 ? ',' : '{', m->found[i].spot->block,
			   m->found[i].spot->item);
	buf_putc(&b->keys, '}');
	struct pg_param p = PG_TEXT(buf_cstr(&b->keys));
	if (!pg_query_binary(b->w->pg, b->feed->main.select, &p, 1, &m->rows, err))
		return false;
	place_rows(m);
	return true;
}

/* The document's row among the candidates; the others stay for those that come after. */
static bool match_item(struct match *m, struct item *it, size_t from, size_t to)
{
	struct batch *b = m->b;
	struct val doc = {.data = b->docs.data + it->at, .len = (uint32_t)it->len, .kind = BSON_K_DOCUMENT};

	arena_reset(b->w->judge.arena);
	view_set(&b->w->view, &doc);
	for (size_t i = from; i < to; i++) {
		struct candidate *c = &m->found[i];
		if (c->row < 0 || atomic_load_explicit(&c->spot->used, memory_order_relaxed))
			continue;
		struct row row = {m->rows, c->row, &b->feed->main, it, -1, it->key_text, NULL};
		if (b->look == LOOK_MATCH && !batch_row_is_same(b, &row, &b->w->view))
			continue;
		if (!take_spot(b->w, c->spot))
			continue;
		batch_compare_row(b, &row, &b->w->view);
		return true;
	}
	return false;
}

static void match_group(struct match *m, struct group *g, size_t from, size_t to)
{
	size_t left = 0;

	for (size_t i = 0; i < g->left; i++) {
		struct item *it = m->items[g->first + i];
		if (!match_item(m, it, from, to))
			m->items[g->first + left++] = it;
	}
	g->left = left;
}

static size_t rows_at_once(const struct batch *b)
{
	size_t size = b->docs.len / b->n + 1, n = BYTES_AT_ONCE / size;

	return n < 1 ? 1 : n > ROWS_AT_ONCE ? ROWS_AT_ONCE : n;
}

/* One question to the server for all groups that still want something. *asked false: there is nothing to ask for. */
static bool match_round(struct match *m, bool *asked, struct err *err)
{
	size_t *ends = arena_alloc(m->b->w->arena, (m->ngroups + 1) * sizeof *ends);

	m->nfound = 0;
	for (size_t i = 0; i < m->ngroups; i++) {
		if (m->groups[i].left > 0)
			gather(m, &m->groups[i], rows_at_once(m->b));
		ends[i] = m->nfound;
	}
	*asked = m->nfound > 0;
	if (!*asked)
		return true;
	if (!ask(m, err))
		return false;
	for (size_t i = 0; i < m->ngroups; i++)
		match_group(m, &m->groups[i], i > 0 ? ends[i - 1] : 0, ends[i]);
	pg_result_free(m->rows);
	m->rows = NULL;
	return true;
}

static const char *foretold_names(const struct batch *b)
{
	const struct validation *v = b->w->v;
	const struct schema_table *t = &v->plan->schema.tables[b->feed->main.table];
	_cleanup_(buf_free) struct buf names = {0};

	for (size_t c = 0; c < t->ncolumns; c++)
		if (v->foretold[b->feed->main.table][c])
			buf_printf(&names, "%s%s", names.len > 0 ? ", " : "", t->columns[c].name);
	return names.len > 0 ? arena_printf(b->w->arena, "in %s", buf_cstr(&names)) : "in whatever can be foretold";
}

/* Documents that no row is like: to be paired, unless there were too many rows to look at. Of those that no row is
 * left for, the tally missed a row, or that row was there when rows were counted and is not found any more. */
static void end_group(struct match *m, const struct group *g)
{
	struct batch *b = m->b;

	for (size_t i = 0; i < g->left; i++) {
		const struct item *it = m->items[g->first + i];
		if (g->next < g->nspots)
			batch_tell(b, it, &b->feed->main,
				   (struct validate_finding){
					   .kind = FOUND_NOT_COMPARED,
					   .detail = arena_printf(b->w->arena,
								  "%zu rows are alike %s; the first %d of them were "
								  "looked at, and none is the document's",
								  g->nspots, foretold_names(b), MOST_ALIKE)});
		else if (b->look == LOOK_MATCH)
			leave(b->w, document_hash(b, it, b->docs.data + it->at));
		else if (!odd_is_missing(b->w->v, (uint32_t)b->feed->main.table, it->hash))
			batch_tell(b, it, &b->feed->main,
				   (struct validate_finding){
					   .kind = FOUND_NOT_COMPARED,
					   .detail = "the document, or its row, changed while they were looked at"});
	}
}

bool match_batch(struct batch *b, struct err *err)
{
	struct match m = {.b = b};
	bool asked = true;

	make_groups(&m);
	while (asked)
		if (!match_round(&m, &asked, err))
			return false;
	for (size_t i = 0; i < m.ngroups; i++)
		end_group(&m, &m.groups[i]);
	return true;
}

/* --- the end --- */

/* As many references may be NULL as are listed, whosever they are. */
static void check_taken(struct validation *v, int table)
{
	const struct schema_table *t = &v->plan->schema.tables[table];
	char detail[160];

	for (size_t c = 0; c < t->ncolumns; c++) {
		const char *name = t->columns[c].name;
		uint64_t taken = v->stats[table][c].taken,
			 listed = listed_count(v->listed, LISTED_NULL, t->name, name) +
				  listed_count(v->listed, LISTED_MOVED, t->name, name);
		if (taken <= listed)
			continue;
		snprintf(detail, sizeof detail, "%llu references of documents are NULL, %llu of them are listed",
			 (unsigned long long)taken, (unsigned long long)listed);
		found_of_table(v->found, FOUND_NULLED, t, name, detail, taken - listed);
	}
}

static void tell_uncompared(struct validation *v, int table)
{
	uint64_t n = v->uncompared[table];
	char detail[160];

	if (n == 0)
		return;
	snprintf(detail, sizeof detail,
		 "%llu more documents have no row that is as they say: what they differ in is told of the first %d "
		 "only",
		 (unsigned long long)n, MOST_LEFT);
	found_of_table(v->found, FOUND_NOT_COMPARED, &v->plan->schema.tables[table], NULL, detail, 0);
	FOUND_COUNT(v->found, table, found[FOUND_NOT_COMPARED], n - 1);
}

void match_check(struct validation *v)
{
	for (size_t i = 0; i < v->plan->schema.ntables; i++) {
		check_taken(v, (int)i);
		tell_uncompared(v, (int)i);
	}
}

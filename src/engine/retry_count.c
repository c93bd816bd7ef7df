/* retry_count.c - what a try changes in the account: the ledger, docrow.reject, findings, new rejects of elements.
 *
 * What a document counts when it is converted stands in the ledger already, as it was when it was rejected. So what
 * goes in counts the difference: its counts by the mapping of now less its counts by the run's mapping. A document
 * that the server refused while loading counted nothing at all. Rejects stay counted; beside them stands what of them
 * was retried.
 */
#include <stdio.h>

#include "retry.h"
#include "text.h"

static const char *table_of(const struct retry_batch *b, size_t o)
{
	const struct schema *s = &b->w->engine->plan->schema;
	const struct plan_output *out = &b->c->outputs[o];
	return s->tables[out->kind == PLAN_OUTPUT_PAIRS ? s->junctions[out->copy.junction].table : out->copy.table]
		.name;
}

static bool counted_nothing(const struct retry_reject *r)
{
	return r->what == RETRY_DOCUMENT && !r->from_step && r->first_fault == FAULT_REFUSED;
}

/* --- counts --- */

/* The difference. Of a row that was taken out the lists of pairs stayed: their elements count by themselves. */
static void count_difference(struct retry_batch *b, const struct retry_item *i)
{
	const struct schema *s = &b->w->engine->plan->schema;
	struct retry *r = b->retry;
	for (size_t j = 0; i->reject->what == RETRY_TAKEN && j < s->njunctions; j++) {
		ledger_forget(r->fresh_counts, s->tables[s->junctions[j].table].name);
		ledger_forget(r->old_counts, s->tables[s->junctions[j].table].name);
	}
	ledger_merge(b->ledger, r->fresh_counts);
	ledger_take_back(b->ledger, r->old_counts);
}

/* The old one is asked first: what the fresh one leaves (rows, notes) is looked at afterwards. */
static struct conv *convert_both(struct retry_batch *b, const struct retry_item *i, uint64_t *old_rows)
{
	struct conv *fresh = retry_conv(b->retry, b->collection, false);
	struct conv_where ignored;
	ledger_reset(b->retry->fresh_counts);
	ledger_reset(b->retry->old_counts);
	if (!counted_nothing(i->reject)) {
		struct conv *old = retry_conv(b->retry, b->collection, true);
		(void)retry_convert(b, i, true, &ignored);
		for (size_t o = 0; o < b->c->noutputs; o++)
			old_rows[o] = conv_rows(old, retry_old_output(b, (int)o))->rows;
	}
	(void)retry_convert(b, i, false, &ignored);
	count_difference(b, i);
	return fresh;
}

static uint64_t rows_with(const struct retry_item *i, const char *table)
{
	uint64_t n = 0;
	for (size_t k = 0; k < i->nwith; k++)
		n += i->with[k]->what == RETRY_ROW && strcmp(i->with[k]->table, table) == 0;
	return n;
}

static void count_outputs(struct retry_batch *b, const struct retry_item *i, struct conv *fresh,
			  const uint64_t *old_rows)
{
	const struct retry_reject *r = i->reject;
	bool whole = i->output < 0;
	for (size_t o = 1; o < b->c->noutputs; o++) {
		const char *table = table_of(b, o);
		if (b->c->outputs[o].kind == PLAN_OUTPUT_CHILD) {
			ledger_add(b->ledger, LEDGER_ROWS, table, "", conv_rows(fresh, (int)o)->rows - old_rows[o]);
			if (whole && r->from_step)
				ledger_add(b->ledger, LEDGER_CHILD_OF_REJECT, table, "",
					   rows_with(i, table) - old_rows[o]);
		} else if (r->what == RETRY_DOCUMENT && r->from_step) {
			/* the loser of a key: its pairs were taken out with it */
			ledger_add(b->ledger, LEDGER_ELEMENT_REJECTED_DOC, table, b->c->name, 0 - old_rows[o]);
		}
	}
}

static void count_retried(struct retry_batch *b, const struct retry_reject *r)
{
	const char *fault = fault_name(r->fault), *main = table_of(b, 0);
	if (r->what == RETRY_ELEMENT)
		ledger_add(b->ledger, LEDGER_RETRIED_ELEMENT, r->table, fault, 1);
	else if (r->what == RETRY_ROW)
		ledger_add(b->ledger, LEDGER_RETRIED_ROW, r->table, fault, 1);
	else if (r->from_step)
		ledger_add(b->ledger, LEDGER_RETRIED_ROW, main, fault, 1);
	else {
		ledger_add(b->ledger, LEDGER_RETRIED, b->c->name, fault, 1);
		ledger_add(b->ledger, LEDGER_ROWS, main, "", 1);
	}
}

/* A reject stays one, for another reason: the count by fault moves with it. */
static void count_moved(struct retry_batch *b, const struct retry_reject *r, enum fault now)
{
	enum ledger_kind kind = LEDGER_REJECT_ROW;
	const char *object = r->what == RETRY_ROW ? r->table : table_of(b, 0);
	if (r->what == RETRY_ELEMENT) {
		kind = LEDGER_REJECT_ELEMENT;
		object = r->table;
	} else if (r->what == RETRY_DOCUMENT && !r->from_step) {
		kind = LEDGER_REJECT;
		object = b->c->name;
	}
	ledger_add(b->ledger, kind, object, fault_name(r->fault), (uint64_t)-1);
	ledger_add(b->ledger, kind, object, fault_name(now), 1);
}

/* --- docrow.reject --- */

static void list_id(struct buf *ids, int64_t id)
{
	buf_printf(ids, "%s%lld", ids->len == 0 ? "{" : ",", (long long)id);
}

static bool mark_retried(struct retry_batch *b, struct buf *ids, struct err *err)
{
	char step[24];
	if (ids->len == 0)
		return true;
	buf_putc(ids, '}');
	snprintf(step, sizeof step, "%lld", (long long)b->step);
	struct pg_param params[] = {PG_TEXT(buf_cstr(ids)), PG_TEXT(step)};
	return pg_run(
		b->w->pg,
		"UPDATE docrow.reject SET state = 'retried', retried = clock_timestamp(), retry_step = $2::bigint, "
		"attempts = attempts + 1 WHERE id = ANY ($1::bigint[])",
		params, 2, NULL, err);
}

static struct pg_param escaped(struct buf *out, const char *text)
{
	if (text == NULL)
		return PG_NULL;
	text_escape(out, text, strlen(text));
	return PG_TEXT(buf_cstr(out));
}

static struct pg_param text_or_null(const char *text)
{
	return text != NULL ? PG_TEXT(text) : PG_NULL;
}

/* The new reason. What says what the reject stands for (table of a row, place of an element) stays. */
static bool mark_open(struct retry_batch *b, const struct retry_reject *r, const struct retry_item *why,
		      const char *sqlstate, struct err *err)
{
	char id[24];
	_cleanup_(buf_free) struct buf path = {0}, message = {0};
	snprintf(id, sizeof id, "%lld", (long long)r->id);
	bool is_place = r->what == RETRY_DOCUMENT;
	if (why->fault != r->fault)
		count_moved(b, r, why->fault);
	struct pg_param params[] = {PG_TEXT(id),
				    PG_TEXT(fault_name(why->fault)),
				    PG_TEXT(fault_code(why->fault)),
				    escaped(&message, why->message),
				    text_or_null(why->column),
				    is_place ? escaped(&path, why->path) : PG_NULL,
				    is_place ? text_or_null(why->table) : PG_NULL,
				    why->kind != 0 ? PG_TEXT(bson_kind_name(why->kind)) : PG_NULL,
				    text_or_null(sqlstate)};
	if (why->message == NULL)
		return pg_run(b->w->pg, "UPDATE docrow.reject SET attempts = attempts + 1 WHERE id = $1::bigint",
			      params, 1, NULL, err);
	return pg_run(b->w->pg,
		      "UPDATE docrow.reject SET attempts = attempts + 1, first_fault = coalesce(first_fault, fault), "
		      "fault = $2::text, code = $3::text, message = $4::text, column_name = $5::text, "
		      "path = coalesce($6::text, path), table_name = coalesce($7::text, table_name), "
		      "bson_type = $8::text, sqlstate = $9::text WHERE id = $1::bigint",
		      params, 9, NULL, err);
}

bool retry_refuse(struct retry_batch *b, struct retry_item *i, const struct err *why, struct err *err)
{
	i->fault = FAULT_REFUSED;
	i->table = table_of(b, i->output < 0 ? 0 : (size_t)i->output);
	i->column = NULL;
	i->path = "";
	i->kind = 0;
	i->message = arena_printf(b->scratch, "%s; SQLSTATE %s: %.150s", fault_sentence(FAULT_REFUSED), why->sqlstate,
				  why->message);
	return mark_open(b, i->reject, i, why->sqlstate, err);
}

/* --- what the document still does not give --- */

static bool is_same_place(const struct conv_note *n, const struct retry_reject *r)
{
	struct val list;
	struct doc_iter it;
	struct field f;
	if (r->table == NULL || strcmp(n->table, r->table) != 0 || n->ordinal != r->ordinal)
		return false;
	if (n->depth == 0 || r->document == NULL)
		return true;
	if (!doc_find(r->document, r->len, "at", &list) || !doc_iter_val(&it, &list))
		return false;
	for (size_t k = 0; k < n->depth; k++)
		if (!doc_iter_next(&it, &f) || f.val.kind != BSON_K_INT64 || val_i64(&f.val) != n->at[k])
			return false;
	return true;
}

static bool is_junction(const struct retry_batch *b, const char *table)
{
	const struct schema *s = &b->w->engine->plan->schema;
	for (size_t j = 0; j < s->njunctions; j++)
		if (strcmp(s->tables[s->junctions[j].table].name, table) == 0)
			return true;
	return false;
}

static struct retry_reject *known_reject(const struct retry_item *i, const struct conv_note *n)
{
	for (size_t k = 0; k < i->nwith; k++)
		if (i->with[k]->what == RETRY_ELEMENT && is_same_place(n, i->with[k]))
			return i->with[k];
	return NULL;
}

static bool still_rejected(struct retry_batch *b, struct retry_reject *r, const struct conv_note *n, struct err *err)
{
	struct retry_item why = {
		.fault = n->fault, .column = n->column, .kind = n->value.kind, .message = fault_sentence(n->fault)};
	r->is_covered = false; /* seen: stays open */
	return mark_open(b, r, &why, NULL, err);
}

static bool take_notes(struct retry_batch *b, struct retry_item *i, struct conv *fresh, struct err *err)
{
	const struct conv_note *notes;
	size_t n = conv_notes(fresh, &notes);
	for (size_t k = 0; k < n; k++) {
		struct retry_reject *known = notes[k].is_reject ? known_reject(i, &notes[k]) : NULL;
		if (known != NULL) {
			if (!still_rejected(b, known, &notes[k], err))
				return false;
		} else if (!notes[k].is_reject) {
			load_note_finding(b->w, b->c->name, fresh, &notes[k]);
		} else if (i->reject->what != RETRY_TAKEN || !is_junction(b, notes[k].table)) {
			load_note_element(b->w, b->c->name, b->ledger, fresh, &notes[k]);
		}
	}
	uint8_t uuid[16];
	if (i->output < 0 && !i->reject->from_step && conv_id_needs_map(fresh, uuid)) {
		struct val id = conv_id(fresh);
		sink_notes_id(b->w->notes, b->c->name, uuid, &id);
	}
	return true;
}

/* Findings of the first time, which come again. */
static bool drop_findings(struct retry_batch *b, const struct retry_item *i, struct err *err)
{
	char run[24];
	if (!i->reject->from_step || i->output >= 0 || i->reject->id_doc == NULL)
		return true;
	snprintf(run, sizeof run, "%lld", (long long)b->w->engine->run);
	struct pg_param params[] = {PG_TEXT(run), PG_TEXT(b->c->name),
				    PG_BYTEA(i->reject->id_doc, i->reject->id_len)};
	return pg_run(
		b->w->pg,
		"DELETE FROM docrow.finding WHERE run = $1::bigint AND collection = $2::text AND doc_id = $3::bytea "
		"AND kind = 'invalid_replaced'",
		params, 3, NULL, err);
}

/* --- one item --- */

static bool went_in(struct retry_batch *b, struct retry_item *i, struct buf *ids, struct err *err)
{
	uint64_t *old_rows = arena_alloc(b->scratch, (b->c->noutputs + 1) * sizeof *old_rows);
	if (i->reject->what != RETRY_ROW) {
		if (!drop_findings(b, i, err))
			return false;
		struct conv *fresh = convert_both(b, i, old_rows);
		count_outputs(b, i, fresh, old_rows);
		if (!take_notes(b, i, fresh, err))
			return false;
	}
	count_retried(b, i->reject);
	list_id(ids, i->reject->id);
	for (size_t k = 0; k < i->nwith; k++) {
		bool stays = !i->with[k]->is_covered;
		i->with[k]->is_covered = true; /* as before, should the try be made again */
		if (stays)
			continue;
		count_retried(b, i->with[k]);
		list_id(ids, i->with[k]->id);
	}
	return true;
}

bool retry_account(struct retry_batch *b, size_t from, size_t to, struct err *err)
{
	_cleanup_(buf_free) struct buf ids = {0};
	for (size_t n = from; n < to; n++) {
		struct retry_item *i = &b->items[n];
		if (!(i->fault == FAULT_OK ? went_in(b, i, &ids, err) : mark_open(b, i->reject, i, NULL, err)))
			return false;
	}
	return mark_retried(b, &ids, err) &&
	       sink_notes_flush(b->w->pg, b->w->notes, b->w->engine->run, 0, b->step, err);
}

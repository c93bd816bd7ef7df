/* retry_items.c - a batch of rejects: what they stand for, converted with the mapping of now, settled, stored.
 *
 * The unit is the item: a document with all that was rejected of it, or one element, or one row of a child table.
 * Items are numbered in the order of their _ids, so that of two that want the same key the lowest wins, as in a run.
 */
#include <stdio.h>
#include <stdlib.h>

#include "extjson.h"
#include "order.h"
#include "retry.h"
#include "text.h"

static int old_index(const struct retry *r, int collection)
{
	return plan_find_collection(r->run_plan, r->e->plan->collections[collection].name);
}

const struct plan_collection *retry_old_collection(const struct retry *r, int collection)
{
	return &r->run_plan->collections[old_index(r, collection)];
}

struct conv *retry_conv(struct retry *r, int collection, bool old)
{
	struct conv **list = old ? r->old : r->fresh;
	if (list[collection] == NULL) {
		list[collection] =
			conv_new(old ? r->run_plan : r->e->plan, old ? old_index(r, collection) : collection,
				 old ? r->old_counts : r->fresh_counts);
		conv_set_server_version(list[collection], r->e->server_version);
	}
	return list[collection];
}

/* --- items --- */

static const struct schema *schema_of(const struct retry_batch *b)
{
	return &b->w->engine->plan->schema;
}

static const char *output_table(const struct retry_batch *b, const struct plan_output *o)
{
	const struct schema *s = schema_of(b);
	return s->tables[o->kind == PLAN_OUTPUT_PAIRS ? s->junctions[o->copy.junction].table : o->copy.table].name;
}

/* Paths stand escaped in docrow.reject. */
static bool is_path_of(const struct retry_batch *b, const struct plan_output *o, const char *path)
{
	_cleanup_(buf_free) struct buf text = {0};
	const char *own = b->c->scopes[o->scope].path_text;
	if (own != NULL)
		text_escape(&text, own, strlen(own));
	return path != NULL && strcmp(buf_cstr(&text), path) == 0;
}

/* A junction of a collection with itself has two outputs: the path tells which. */
static int find_output(const struct retry_batch *b, const struct retry_reject *r)
{
	int found = -1;
	for (size_t o = 1; r->table != NULL && o < b->c->noutputs; o++) {
		const struct plan_output *out = &b->c->outputs[o];
		if (strcmp(output_table(b, out), r->table) != 0)
			continue;
		if (found < 0 || is_path_of(b, out, r->path))
			found = (int)o;
	}
	return found;
}

static const char *old_table(const struct retry_batch *b, const struct plan_output *o)
{
	const struct schema *s = &b->retry->run_plan->schema;
	return s->tables[o->kind == PLAN_OUTPUT_PAIRS ? s->junctions[o->copy.junction].table : o->copy.table].name;
}

int retry_old_output(const struct retry_batch *b, int output)
{
	const struct plan_collection *k = retry_old_collection(b->retry, b->collection);
	const struct plan_output *o = &b->c->outputs[output];
	size_t i = 0;
	while (i + 1 < k->noutputs && (k->outputs[i].kind != o->kind || k->outputs[i].left != o->left ||
				       strcmp(old_table(b, &k->outputs[i]), output_table(b, o)) != 0))
		i++;
	return (int)i;
}

static bool is_pairs(const struct retry_batch *b, int output)
{
	return output >= 0 && b->c->outputs[output].kind == PLAN_OUTPUT_PAIRS;
}

static struct retry_item *add_item(struct retry_batch *b, struct retry_reject *r)
{
	struct retry_item *i = &b->items[b->nitems++];
	*i = (struct retry_item){.reject = r, .output = -1};
	if (r->id_doc != NULL && !doc_find(r->id_doc, r->id_len, "_id", &i->id))
		i->id = (struct val){0};
	if (r->what == RETRY_ELEMENT || r->what == RETRY_ROW)
		i->output = find_output(b, r);
	return i;
}

static bool is_whole(const struct retry_reject *r)
{
	return r->what == RETRY_DOCUMENT || r->what == RETRY_TAKEN;
}

/* Of a row that was taken out the pairs are in (or in a finding): elements of its lists come by themselves. */
static bool is_settled_by(const struct retry_batch *b, const struct retry_reject *whole, const struct retry_reject *r)
{
	return !is_whole(r) && !(whole->what == RETRY_TAKEN && is_pairs(b, find_output(b, r)));
}

static void add_document(struct retry_batch *b, struct retry_reject *list, size_t n)
{
	struct retry_reject *whole = NULL;
	for (size_t k = 0; k < n && whole == NULL; k++)
		if (is_whole(&list[k]) && list[k].wanted)
			whole = &list[k];
	if (whole != NULL) {
		struct retry_item *i = add_item(b, whole);
		i->with = arena_alloc(b->arena, n * sizeof *i->with);
		for (size_t k = 0; k < n; k++)
			if (is_settled_by(b, whole, &list[k])) {
				list[k].is_covered = true;
				i->with[i->nwith++] = &list[k];
			}
	}
	for (size_t k = 0; k < n; k++)
		if (!is_whole(&list[k]) && list[k].wanted && !list[k].is_covered)
			add_item(b, &list[k]);
}

static int item_order(const void *a, const void *b)
{
	const struct retry_item *x = a, *y = b;
	int c = (x->id.kind == 0) - (y->id.kind == 0);
	if (c == 0 && x->id.kind != 0)
		c = id_order(&x->id, &y->id);
	return c != 0 ? c : (x->reject->id > y->reject->id) - (x->reject->id < y->reject->id);
}

void retry_make_items(struct retry_batch *b)
{
	b->items = arena_alloc(b->arena, (b->nrejects + 1) * sizeof *b->items);
	for (size_t from = 0, to; from < b->nrejects; from = to) {
		for (to = from + 1; to < b->nrejects && b->rejects[to].doc == b->rejects[from].doc; to++)
			;
		add_document(b, &b->rejects[from], to - from);
	}
	qsort(b->items, b->nitems, sizeof *b->items, item_order);
}

/* --- converting --- */

/* {v: element} or {v: element, in: outermost element, at: [ordinals]} */
static size_t element_place(const struct retry_reject *r, struct val *element, int64_t at[CONV_MAX_DEPTH])
{
	struct val list;
	struct doc_iter it;
	struct field f;
	size_t depth = 0;
	if (r->document == NULL)
		return 0;
	if (!doc_find(r->document, r->len, "at", &list) || list.kind != BSON_K_ARRAY) {
		at[0] = r->ordinal;
		return r->ordinal >= 0 && doc_find(r->document, r->len, "v", element) ? 1 : 0;
	}
	if (!doc_find(r->document, r->len, "in", element) || !doc_iter_val(&it, &list))
		return 0;
	while (depth < CONV_MAX_DEPTH && doc_iter_next(&it, &f))
		at[depth++] = f.val.kind == BSON_K_INT64 ? val_i64(&f.val) : -1;
	return depth;
}

enum fault retry_convert(const struct retry_batch *b, const struct retry_item *i, bool old, struct conv_where *where)
{
	const struct retry_reject *r = i->reject;
	struct conv *c = retry_conv(b->retry, b->collection, old);
	int64_t at[CONV_MAX_DEPTH];
	struct val element;
	load_reset_rows(c, old ? retry_old_collection(b->retry, b->collection) : b->c);
	if (is_whole(r))
		return conv_document(c, r->document, r->len, where);
	size_t depth = element_place(r, &element, at);
	if (depth == 0 || i->output < 0 || i->id.kind == 0)
		return FAULT_CORRUPT;
	return conv_element(c, old ? retry_old_output(b, i->output) : i->output, &i->id, &element, at, depth, where);
}

static void note_fault(struct retry_batch *b, struct retry_item *i, enum fault fault, const struct conv_where *where)
{
	i->fault = fault;
	i->table = where->table;
	i->column = where->column;
	i->path = where->path != NULL ? arena_strdup(b->scratch, where->path) : NULL;
	i->kind = where->kind;
	i->message = arena_printf(
		b->scratch, "%s%s%s%s%s", fault_sentence(fault), where->kind != 0 ? "; BSON type " : "",
		where->kind != 0 ? bson_kind_name(where->kind) : "", where->note[0] ? "; " : "", where->note);
}

/* The rows of an output, each with its item in front. */
static void stage_rows(struct rowbuf *out, const struct rowbuf *rows, int64_t item)
{
	const uint8_t *p = rows->buf.data, *end = p + rows->buf.len;
	while (p < end) {
		uint16_t ncolumns;
		memcpy(&ncolumns, p, 2);
		ncolumns = __builtin_bswap16(ncolumns);
		const uint8_t *field = p + 2;
		for (int k = 0; k < ncolumns; k++) {
			uint32_t n;
			memcpy(&n, field, 4);
			n = __builtin_bswap32(n);
			field += 4 + (n == UINT32_MAX ? 0 : n);
		}
		rowbuf_begin_row(out, ncolumns + 1);
		rowbuf_put_i64(out, item);
		buf_put(&out->buf, p + 2, (size_t)(field - p) - 2);
		out->column += ncolumns;
		(void)rowbuf_end_row(out);
		p = field;
	}
}

/* --- what hung on a row that was taken out --- */

static bool hangs_on(const struct schema *s, int table, int above)
{
	for (int up = s->tables[table].parent_table; up >= 0; up = s->tables[up].parent_table)
		if (up == above)
			return true;
	return false;
}

/* The run's columns as the tables of now have them. */
static const struct schema_copy *copy_of_now(const struct retry_batch *b, const struct plan_output *old)
{
	const struct schema *s = schema_of(b);
	int table = schema_find_table(s, b->retry->run_plan->schema.tables[old->copy.table].name);
	struct schema_copy *c = arena_alloc(b->scratch, sizeof *c);
	int *columns = arena_alloc(b->scratch, (old->copy.ncolumns + 1) * sizeof *columns);
	for (size_t i = 0; i < old->copy.ncolumns; i++)
		columns[i] = schema_find_column(&s->tables[table], old->columns[i].column->name);
	*c = (struct schema_copy){.table = table, .junction = -1, .columns = columns, .ncolumns = old->copy.ncolumns};
	return c;
}

/* Rows of child tables are in the account as the run made them: by its mapping. Once for all of a document's rows;
 * which of them go with which item the keys tell (sink_retry_inside). */
static void stage_inside(struct retry_batch *b, const struct retry_item *i)
{
	const struct retry_reject *r = i->reject;
	const struct plan_collection *k = retry_old_collection(b->retry, b->collection);
	const struct schema *s = &b->retry->run_plan->schema;
	int own = schema_find_table(s, output_table(b, &b->c->outputs[i->output]));
	struct conv *c = retry_conv(b->retry, b->collection, true);
	struct conv_where ignored;
	bool any = false;
	for (size_t o = 1; o < k->noutputs; o++)
		any |= k->outputs[o].kind == PLAN_OUTPUT_CHILD && hangs_on(s, k->outputs[o].copy.table, own);
	if (!any || r->document == NULL || b->is_inside[r->doc])
		return;
	load_reset_rows(c, k);
	if (conv_document(c, r->document, r->len, &ignored) != FAULT_OK)
		return;
	b->is_inside[r->doc] = b->any_inside = true;
	for (size_t o = 1; o < k->noutputs; o++)
		if (k->outputs[o].kind == PLAN_OUTPUT_CHILD)
			stage_rows(&b->retry->inside[o], conv_rows(c, (int)o), -1);
}

static bool send_inside(struct retry_batch *b, struct sink_retry *s, struct err *err)
{
	const struct plan_collection *k = retry_old_collection(b->retry, b->collection);
	for (size_t o = 1; o < k->noutputs; o++)
		if (k->outputs[o].kind == PLAN_OUTPUT_CHILD &&
		    !sink_retry_put(s, copy_of_now(b, &k->outputs[o]), &b->retry->inside[o], err))
			return false;
	return sink_retry_inside(s, err);
}

static bool takes_output(const struct retry_item *i, const struct plan_output *o)
{
	return i->reject->what != RETRY_TAKEN || o->kind != PLAN_OUTPUT_PAIRS;
}

static bool convert_item(struct retry_batch *b, size_t n)
{
	struct retry_item *i = &b->items[n];
	struct conv *c = retry_conv(b->retry, b->collection, false);
	struct conv_where where = {0};
	i->fault = FAULT_OK;
	if (i->reject->what == RETRY_ROW) {
		if (i->output >= 0)
			stage_inside(b, i);
		return i->output >= 0;
	}
	if (is_whole(i->reject) && i->reject->document == NULL)
		return false;
	enum fault fault = retry_convert(b, i, false, &where);
	if (fault != FAULT_OK) {
		note_fault(b, i, fault, &where);
		return false;
	}
	for (size_t o = 0; o < b->c->noutputs; o++)
		if (takes_output(i, &b->c->outputs[o]))
			stage_rows(&b->retry->stage[o], conv_rows(c, (int)o), (int64_t)n);
	return true;
}

static int own_table(const struct retry_batch *b, const struct retry_item *i)
{
	if (i->output < 0)
		return b->c->outputs[0].copy.table;
	const struct plan_output *o = &b->c->outputs[i->output];
	return o->kind == PLAN_OUTPUT_PAIRS ? schema_of(b)->junctions[o->copy.junction].table : o->copy.table;
}

static void put_item(struct retry_batch *b, size_t n)
{
	static const char kinds[] = {
		[RETRY_DOCUMENT] = 'd', [RETRY_TAKEN] = 'd', [RETRY_ELEMENT] = 'e', [RETRY_ROW] = 'r'};
	const struct retry_item *i = &b->items[n];
	struct rowbuf *rows = &b->retry->item_rows;
	_cleanup_(buf_free) struct buf text = {0};
	rowbuf_begin_row(rows, 6);
	rowbuf_put_i64(rows, (int64_t)n);
	rowbuf_put_bytes(rows, &kinds[i->reject->what], 1);
	rowbuf_put_i32(rows, own_table(b, i));
	if (i->id.kind == 0) {
		rowbuf_put_null(rows);
		rowbuf_put_null(rows);
	} else {
		rowbuf_put_bytes(rows, i->reject->id_doc, i->reject->id_len);
		extjson_write_val_safe(&text, &i->id);
		if (utf8_check((const char *)text.data, text.len, NULL) == UTF8_OK)
			rowbuf_put_bytes(rows, text.data, text.len);
		else
			rowbuf_put_null(rows);
	}
	rowbuf_put_i64(rows, i->reject->id);
	(void)rowbuf_end_row(rows);
}

/* --- a try --- */

static void reset_stage(struct retry *r)
{
	for (size_t o = 0; o < r->nstage; o++)
		rowbuf_reset(&r->stage[o]);
	for (size_t o = 0; o < r->ninside; o++)
		rowbuf_reset(&r->inside[o]);
	rowbuf_reset(&r->item_rows);
}

static bool send(struct retry_batch *b, struct sink_retry *s, size_t from, size_t to, const bool *converted,
		 struct err *err)
{
	if (!sink_retry_items(s, &b->retry->item_rows, err))
		return false;
	for (size_t o = 0; o < b->c->noutputs; o++)
		if (!sink_retry_put(s, &b->c->outputs[o].copy, &b->retry->stage[o], err))
			return false;
	for (size_t n = from; n < to; n++)
		if (converted[n - from] && b->items[n].reject->what == RETRY_ROW &&
		    !sink_retry_row(s, (int64_t)n, own_table(b, &b->items[n]), b->items[n].reject->id, err))
			return false;
	return !b->any_inside || send_inside(b, s, err);
}

static bool take_verdicts(struct retry_batch *b, struct sink_retry *s, struct err *err)
{
	struct sink_verdict *list;
	size_t n;
	if (!sink_retry_verdicts(s, b->scratch, &list, &n, err))
		return false;
	for (size_t k = 0; k < n; k++) {
		struct retry_item *i = &b->items[list[k].item];
		i->fault = list[k].fault;
		i->column = list[k].column;
		i->message = list[k].message;
		i->path = i->table = NULL;
		i->kind = 0;
	}
	return true;
}

static bool settle_and_store(struct retry_batch *b, struct sink_retry *s, size_t from, size_t to,
			     const bool *converted, struct err *err)
{
	return send(b, s, from, to, converted, err) && sink_retry_settle(s, err) && take_verdicts(b, s, err) &&
	       sink_retry_store(s, err) && sink_retry_end(s, err);
}

static bool stage_items(struct retry_batch *b, size_t from, size_t to, const bool *converted, struct err *err)
{
	const struct schema_copy **copies = arena_alloc(b->scratch, b->c->noutputs * sizeof *copies);
	struct sink_retry *s = NULL;
	for (size_t o = 0; o < b->c->noutputs; o++)
		copies[o] = &b->c->outputs[o].copy;
	bool ok = sink_retry_new(&s, b->w->pg, schema_of(b), b->w->engine->run, b->step, b->ledger, copies,
				 b->c->noutputs, err) &&
		  settle_and_store(b, s, from, to, converted, err);
	sink_retry_free(s);
	return ok;
}

static bool try_items(struct retry_batch *b, size_t from, size_t to, struct err *err)
{
	arena_reset(b->scratch);
	ledger_reset(b->ledger);
	sink_notes_reset(b->w->notes);
	reset_stage(b->retry);
	bool *converted = arena_alloc(b->scratch, (to - from + 1) * sizeof *converted), any = false;
	b->is_inside = arena_alloc(b->scratch, ((size_t)b->rejects[b->nrejects - 1].doc + 1) * sizeof *b->is_inside);
	b->any_inside = false;
	for (size_t n = from; n < to; n++) {
		converted[n - from] = convert_item(b, n);
		if (converted[n - from])
			put_item(b, n);
		else if (b->items[n].fault == FAULT_OK)
			b->items[n].fault = b->items[n].reject->fault; /* nothing is kept that could be tried */
		any |= converted[n - from];
	}
	return (!any || stage_items(b, from, to, converted, err)) && retry_account(b, from, to, err);
}

static void count_tried(struct retry_batch *b, size_t from, size_t to)
{
	b->tried += to - from;
	for (size_t n = from; n < to; n++)
		b->loaded += b->items[n].fault == FAULT_OK;
}

static bool keep(struct retry_batch *b, size_t from, size_t to, struct err *err)
{
	ledger_merge(b->w->ledger, b->ledger);
	count_tried(b, from, to);
	return sink_mark_savepoint(b->w->pg, b->w->engine->run, err) &&
	       pg_exec(b->w->pg, "RELEASE SAVEPOINT docrow_items", err);
}

bool retry_load(struct retry_batch *b, size_t from, size_t to, struct err *err)
{
	if (from == to)
		return true;
	if (engine_is_stopping(b->w->engine))
		return err_set(err, ERR_STOPPED, "stopped");
	if (!pg_exec(b->w->pg, "SAVEPOINT docrow_items", err))
		return false;
	if (try_items(b, from, to, err))
		return keep(b, from, to, err);
	if (err->class != ERR_CLASS_DATA)
		return false;
	struct err why = *err;
	if (!pg_exec(b->w->pg, "ROLLBACK TO SAVEPOINT docrow_items", err))
		return false;
	if (to - from == 1) {
		arena_reset(b->scratch);
		ledger_reset(b->ledger);
		sink_notes_reset(b->w->notes);
		return retry_refuse(b, &b->items[from], &why, err) && keep(b, from, to, err);
	}
	size_t middle = from + (to - from) / 2;
	return pg_exec(b->w->pg, "RELEASE SAVEPOINT docrow_items", err) && retry_load(b, from, middle, err) &&
	       retry_load(b, middle, to, err);
}

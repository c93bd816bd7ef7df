/* fetch.c - rejects are kept whole: the documents of rows that were taken out while settling.
 *
 * Settling works on rows by set queries and knows a rejected row's key only; its document is read again from the
 * source by _id and put into docrow.reject beside the row. What is no longer in the source keeps the row alone, and
 * that is told.
 */
#include <stdio.h>
#include <string.h>

#include "engine_private.h"
#include "extjson.h"
#include "id_list.h"

#define REJECTS_AT_ONCE 1000

struct fetch {
	struct worker *w;
	const char *collection;
	const struct plan_collection *plan;
	char run[24];
	struct arena *arena; /* of one batch */
	struct conv *conv;   /* counts into the scratch ledger */
	struct buf update;   /* see update_sql                 */
	struct id_list ids;
	int64_t last; /* docrow.reject.id */
	uint64_t wanted, found;
};

/* The next rejects without a document: their _ids go into f->ids. *n is how many. */
static bool next_rejects(struct fetch *f, int *n, struct err *err)
{
	static const char sql[] =
		"SELECT id, doc_id, key FROM docrow.reject WHERE run = $1::bigint AND collection = $2::text "
		"AND step IS NOT NULL AND document IS NULL AND id > $3::bigint ORDER BY id LIMIT 1000";
	char last[24];
	_cleanup_(pg_result_freep) struct pg_result *r = NULL;
	_cleanup_(buf_free) struct buf id;
	buf_init(&id, 0);
	snprintf(last, sizeof last, "%lld", (long long)f->last);
	struct pg_param params[] = {PG_TEXT(f->run), PG_TEXT(f->collection), PG_TEXT(last)};
	if (!pg_query(f->w->pg, sql, params, 3, &r, err))
		return false;
	*n = pg_rows(r);
	for (int row = 0; row < *n; row++) {
		const char *key = pg_get(r, row, 2);
		f->last = pg_get_i64(r, row, 0);
		buf_reset(&id);
		pg_get_bytea(r, row, 1, &id);
		if (id.len > 0)
			id_list_add(&f->ids, id.data, id.len);
		if (key != NULL &&
		    !id_list_add_keys(&f->ids, f->w->pg, f->w->engine->run, f->collection, &key, 1, err))
			return false;
	}
	return true;
}

/* Puts a document beside every reject of its key. Keys are compared as values of their type: one value has several
 * texts. Rows of child tables have keys of their own: they are known by the document's _id. */
static void update_sql(struct fetch *f)
{
	_cleanup_(buf_free) struct buf type;
	buf_init(&type, 0);
	const struct schema *s = &f->w->engine->plan->schema;
	pgtype_sql(&type, &f->plan->key_type, s->name);
	buf_printf(&f->update,
		   "UPDATE docrow.reject SET document = $3::bytea, document_text = $4::text, doc_id = $5::bytea, "
		   "doc_id_text = $6::text WHERE run = $1::bigint AND collection = $2::text AND step IS NOT NULL "
		   "AND document IS NULL AND (doc_id = $5::bytea OR CASE WHEN table_name = ");
	sql_literal(&f->update, s->tables[f->plan->outputs[0].copy.table].name);
	buf_printf(&f->update, " THEN key::%s = $7::text::%s END)", buf_cstr(&type), buf_cstr(&type));
}

static bool keep_document(struct fetch *f, const uint8_t *doc, size_t len, struct err *err)
{
	struct conv_where ignored;
	struct val id;
	uint64_t rows;
	_cleanup_(buf_free) struct buf text;
	_cleanup_(buf_free) struct buf id_text;
	buf_init(&text, 0);
	buf_init(&id_text, 0);
	enum fault fault = conv_document(f->conv, doc, len, &ignored);
	load_reset_rows(f->conv, f->plan);
	/* A document with a fault became a reject on reading: no row of it was taken out. */
	if (fault != FAULT_OK || !doc_find(doc, len, "_id", &id))
		return true;
	uint8_t *wrapped = arena_alloc(f->arena, doc_wrap_size("_id", &id));
	size_t wrapped_len = doc_wrap("_id", &id, wrapped);
	extjson_write_safe(&text, doc, len);
	extjson_write_val_safe(&id_text, &id);
	struct pg_param params[] = {PG_TEXT(f->run),
				    PG_TEXT(f->collection),
				    PG_BYTEA(doc, len),
				    PG_TEXT(buf_cstr(&text)),
				    PG_BYTEA(wrapped, wrapped_len),
				    PG_TEXT(buf_cstr(&id_text)),
				    PG_TEXT(conv_key_text(f->conv))};
	if (!pg_run(f->w->pg, buf_cstr(&f->update), params, 7, &rows, err))
		return false;
	f->found += rows;
	return true;
}

static bool read_documents(struct fetch *f, struct err *err)
{
	const uint8_t *doc;
	size_t len;
	int got;
	if (f->ids.n == 0)
		return true;
	if (!worker_reader(f->w, err) ||
	    !source_read_ids(f->w->reader, f->collection, f->ids.ids, f->ids.lens, f->ids.n, err))
		return false;
	while ((got = source_next(f->w->reader, &doc, &len, err)) == 1)
		if (!keep_document(f, doc, len, err))
			return false;
	return got == 0;
}

/* A key of these types, or of documents that hold an id, can have come from more _ids than can be tried. */
static bool is_one_way(const struct plan_collection *c)
{
	enum pgt key = c->key_type.base;
	return key == PGT_JSONB || key == PGT_NUMERIC || key == PGT_BYTEA || key == PGT_TIMESTAMP ||
	       key == PGT_TIMESTAMPTZ || key == PGT_DATE ||
	       (c->id_accept & (MAP_ACCEPT_OID_DOCUMENT | MAP_ACCEPT_DBREF)) != 0;
}

static bool keep_one_of_all(void *ctx, const uint8_t *doc, size_t len, bool *enough, struct err *err)
{
	struct fetch *f = ctx;
	arena_reset(f->arena);
	if (!keep_document(f, doc, len, err))
		return false;
	*enough = f->found >= f->wanted;
	return true;
}

static bool fetch_all(struct fetch *f, struct err *err)
{
	for (int n = REJECTS_AT_ONCE; n == REJECTS_AT_ONCE;) {
		arena_reset(f->arena);
		id_list_init(&f->ids, f->arena);
		bool ok = next_rejects(f, &n, err) && read_documents(f, err);
		id_list_free(&f->ids);
		if (!ok)
			return false;
		f->wanted += (uint64_t)n;
	}
	/* The last way: the whole collection, until every document is found. */
	return f->found >= f->wanted || !is_one_way(f->plan) ||
	       worker_read_all(f->w, f->collection, keep_one_of_all, f, err);
}

bool fetch_rejects(struct worker *w, const struct state_unit *u, struct err *err)
{
	const struct plan *p = w->engine->plan;
	int c = plan_find_collection(p, u->collection);
	if (c < 0)
		return err_set(err, ERR_INTERNAL, "step of a collection that the plan lacks: %s", u->collection);
	struct fetch f = {.w = w, .collection = u->collection, .plan = &p->collections[c], .arena = arena_new()};
	snprintf(f.run, sizeof f.run, "%lld", (long long)w->engine->run);
	f.conv = engine_conv(w->engine, c, w->scratch);
	buf_init(&f.update, 0);
	update_sql(&f);
	bool ok = fetch_all(&f, err);
	if (ok && f.found < f.wanted)
		log_line(LOG_WARN,
			 "%s: %llu rejected documents are no longer in the source; their rows are kept in "
			 "docrow.reject",
			 u->collection, (unsigned long long)(f.wanted - f.found));
	buf_free(&f.update);
	conv_free(f.conv);
	arena_free(f.arena);
	return ok;
}

/* fetch.c - rejects are kept whole: the documents of rows that were taken out while settling.
 *
 * Settling works on rows by set queries and knows a rejected row's key only; its document is read again from the
 * source by _id and put into docrow.reject beside the row. What is no longer in the source keeps the row alone, and
 * that is told.
 *
 * Where several collections feed a table, settling cannot know whose row it took out or changed: such rejects and
 * findings have no collection until the one that holds the document has been asked here.
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
	struct arena *arena;   /* of one batch */
	struct conv *conv;     /* counts into the scratch ledger */
	struct buf keep, name; /* statements: fetch_sql */
	struct id_list ids;
	const char *shared; /* tables of the collection that others feed, too: {"a","b"} */
	int64_t last;       /* docrow.reject.id or docrow.finding.id */
	uint64_t wanted, found;
	uint64_t sure; /* of the wanted: those that must be in this collection */
};

/* What is this collection's, or may be. $1 run, $2 collection, $3 shared */
#define OF_COLLECTION                                                                                                \
	"run = $1::bigint AND (collection = $2::text OR (collection IS NULL AND table_name = ANY ($3::text[]))) "    \
	"AND step IS NOT NULL "
#define OPEN_REJECTS  OF_COLLECTION "AND document IS NULL "
#define OPEN_FINDINGS "run = $1::bigint AND $2 <> '' AND collection IS NULL AND table_name = ANY ($3::text[]) "

/* A document that gave up its key to another one is no row: the row of that key is the other's. */
#define IS_NO_LOSER                                                                                                  \
	"AND NOT EXISTS (SELECT FROM docrow.reject l WHERE l.run = $1::bigint AND l.collection = $2::text "          \
	"AND l.doc_id = $5::bytea AND l.fault = 'duplicate' AND l.path = '_id' AND $3 <> '{}') "                     \
	"AND NOT EXISTS (SELECT FROM docrow.finding l WHERE l.run = $1::bigint AND l.collection = $2::text "         \
	"AND l.doc_id = $5::bytea AND l.kind = 'dropped' AND l.path = '_id' AND $3 <> '{}') "

/* The next rows of a query by (run, collection, shared, last id): their _ids go into f->ids. *n is how many, and
 * f->wanted and f->sure grow by them. */
static bool next_ids(struct fetch *f, const char *sql, int *n, struct err *err)
{
	char last[24];
	_cleanup_(pg_result_freep) struct pg_result *r = NULL;
	_cleanup_(buf_free) struct buf id = {0};
	snprintf(last, sizeof last, "%lld", (long long)f->last);
	struct pg_param params[] = {PG_TEXT(f->run), PG_TEXT(f->collection), PG_TEXT(f->shared), PG_TEXT(last)};
	if (!pg_query(f->w->pg, sql, params, 4, &r, err))
		return false;
	*n = pg_rows(r);
	for (int row = 0; row < *n; row++) {
		const char *key = pg_get(r, row, 2);
		f->last = pg_get_i64(r, row, 0);
		f->wanted++;
		f->sure += pg_get(r, row, 3) != NULL;
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

/* The document's own texts, in the arena. False: it is no row's, since it became a reject on reading. */
struct shown {
	const char *key, *text, *id_text;
	const uint8_t *id;
	size_t id_len;
};

static bool show(struct fetch *f, const uint8_t *doc, size_t len, struct shown *out)
{
	struct conv_where ignored;
	struct val id;
	_cleanup_(buf_free) struct buf text = {0};
	_cleanup_(buf_free) struct buf id_text = {0};
	enum fault fault = conv_document(f->conv, doc, len, &ignored);
	load_reset_rows(f->conv, f->plan);
	if (fault != FAULT_OK || !doc_find(doc, len, "_id", &id))
		return false;
	uint8_t *wrapped = arena_alloc(f->arena, doc_wrap_size("_id", &id));
	out->id_len = doc_wrap("_id", &id, wrapped);
	out->id = wrapped;
	extjson_write_safe(&text, doc, len);
	extjson_write_val_safe(&id_text, &id);
	out->text = arena_strdup(f->arena, buf_cstr(&text));
	out->id_text = arena_strdup(f->arena, buf_cstr(&id_text));
	out->key = conv_key_text(f->conv);
	return true;
}

/* Is the row's document this one? Keys are compared as values of their type: one value has several texts. The key of
 * a child table's row is not its document's, and neither is one of several columns. */
static void put_is_document(struct fetch *f, struct buf *sql, const char *key)
{
	const struct schema *s = &f->w->engine->plan->schema;
	const struct schema_table *t = &s->tables[f->plan->outputs[0].copy.table];
	_cleanup_(buf_free) struct buf type = {0};
	pgtype_sql(&type, &f->plan->key_type, s->name);
	buf_puts(sql, "AND (doc_id = $5::bytea OR CASE WHEN table_name = ");
	sql_literal(sql, t->name);
	if (sink_is_keyed_by_id(s, f->plan->outputs[0].copy.table))
		buf_printf(sql, " THEN key::%s = %s::text::%s ELSE false END) ", buf_cstr(&type), key,
			   buf_cstr(&type));
	else
		buf_printf(sql, " THEN key = %s::text ELSE false END) ", key);
	buf_puts(sql, IS_NO_LOSER);
}

static void fetch_sql(struct fetch *f)
{
	buf_puts(&f->keep, "WITH u AS (UPDATE docrow.reject SET document = $4::bytea, document_text = $6::text, "
			   "doc_id = $5::bytea, doc_id_text = $7::text, collection = $2::text WHERE " OPEN_REJECTS);
	put_is_document(f, &f->keep, "$8");
	buf_puts(&f->keep, "RETURNING 1) SELECT count(*) FROM u");
	buf_puts(&f->name, "UPDATE docrow.finding SET collection = $2::text, doc_id = $5::bytea, "
			   "doc_id_text = $6::text WHERE " OPEN_FINDINGS);
	put_is_document(f, &f->name, "$4");
}

/* Puts the document beside every reject of its key. */
static bool keep_document(struct fetch *f, const uint8_t *doc, size_t len, struct err *err)
{
	struct shown s;
	_cleanup_(pg_result_freep) struct pg_result *r = NULL;
	if (!show(f, doc, len, &s))
		return true;
	struct pg_param params[] = {
		PG_TEXT(f->run),          PG_TEXT(f->collection), PG_TEXT(f->shared), PG_BYTEA(doc, len),
		PG_BYTEA(s.id, s.id_len), PG_TEXT(s.text),        PG_TEXT(s.id_text), PG_TEXT(s.key)};
	if (!pg_query(f->w->pg, buf_cstr(&f->keep), params, 8, &r, err))
		return false;
	f->found += (uint64_t)pg_get_i64(r, 0, 0);
	return true;
}

/* Findings of a shared table get the collection that the document is in. */
static bool name_findings(struct fetch *f, const uint8_t *doc, size_t len, struct err *err)
{
	struct shown s;
	uint64_t rows;
	if (!show(f, doc, len, &s))
		return true;
	struct pg_param params[] = {PG_TEXT(f->run), PG_TEXT(f->collection),   PG_TEXT(f->shared),
				    PG_TEXT(s.key),  PG_BYTEA(s.id, s.id_len), PG_TEXT(s.id_text)};
	return pg_run(f->w->pg, buf_cstr(&f->name), params, 6, &rows, err);
}

typedef bool take_document(struct fetch *f, const uint8_t *doc, size_t len, struct err *err);

static bool read_documents(struct fetch *f, take_document *take, struct err *err)
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
		if (!take(f, doc, len, err))
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

static bool fetch_by(struct fetch *f, const char *sql, take_document *take, struct err *err)
{
	f->last = 0;
	for (int n = REJECTS_AT_ONCE; n == REJECTS_AT_ONCE;) {
		arena_reset(f->arena);
		id_list_init(&f->ids, f->arena);
		bool ok = next_ids(f, sql, &n, err) && read_documents(f, take, err);
		id_list_free(&f->ids);
		if (!ok)
			return false;
	}
	return true;
}

static bool fetch_all(struct fetch *f, struct err *err)
{
	static const char rejects[] = "SELECT id, doc_id, key, collection FROM docrow.reject WHERE " OPEN_REJECTS
				      "AND id > $4::bigint ORDER BY id LIMIT 1000";
	static const char findings[] = "SELECT id, doc_id, key, collection FROM docrow.finding WHERE " OPEN_FINDINGS
				       "AND id > $4::bigint ORDER BY id LIMIT 1000";
	if (!fetch_by(f, rejects, keep_document, err))
		return false;
	if (f->found < f->wanted && is_one_way(f->plan) &&
	    !worker_read_all(f->w, f->collection, keep_one_of_all, f, err))
		return false;
	uint64_t sure = f->sure, wanted = f->wanted;
	bool ok = strcmp(f->shared, "{}") == 0 || fetch_by(f, findings, name_findings, err);
	f->sure = sure;
	f->wanted = wanted;
	return ok;
}

static void list_shared(const struct plan *p, const struct plan_collection *c, struct buf *out)
{
	buf_putc(out, '{');
	for (size_t o = 0; o < c->noutputs; o++) {
		const struct schema_table *t = &p->schema.tables[c->outputs[o].copy.table];
		if (c->outputs[o].kind == PLAN_OUTPUT_PAIRS || t->nfeeders < 2)
			continue;
		buf_puts(out, out->len > 1 ? ",\"" : "\"");
		for (const char *s = t->name; *s != '\0'; s++) {
			if (*s == '"' || *s == '\\')
				buf_putc(out, '\\');
			buf_putc(out, *s);
		}
		buf_putc(out, '"');
	}
	buf_putc(out, '}');
}

bool fetch_rejects(struct worker *w, const struct state_unit *u, struct err *err)
{
	const struct plan *p = w->engine->plan;
	int c = plan_find_collection(p, u->collection);
	if (c < 0)
		return err_set(err, ERR_INTERNAL, "step of a collection that the plan lacks: %s", u->collection);
	_cleanup_(buf_free) struct buf shared = {0};
	list_shared(p, &p->collections[c], &shared);
	struct fetch f = {.w = w,
			  .collection = u->collection,
			  .plan = &p->collections[c],
			  .shared = buf_cstr(&shared),
			  .arena = arena_new()};
	snprintf(f.run, sizeof f.run, "%lld", (long long)w->engine->run);
	f.conv = engine_conv(w->engine, c, w->scratch);
	buf_init(&f.keep, 0);
	buf_init(&f.name, 0);
	fetch_sql(&f);
	bool ok = fetch_all(&f, err);
	if (ok && f.found < f.sure)
		log_line(LOG_WARN,
			 "%s: %llu rejected documents are no longer in the source; their rows are kept in "
			 "docrow.reject",
			 u->collection, (unsigned long long)(f.sure - f.found));
	buf_free(&f.keep);
	buf_free(&f.name);
	conv_free(f.conv);
	arena_free(f.arena);
	return ok;
}

/* sink_notes.c - rejects, findings and id_map rows: gathered in memory, written with COPY before COMMIT.
 *
 *   sink_notes_reject | _finding | _id  (any number) → sink_notes_flush | sink_notes_reset
 *
 * The documents and values are written as BSON into bytea columns: that is the truth and takes any bytes. The texts
 * beside it are for people; bytes that PostgreSQL's text cannot hold are escaped, so nothing here can be refused.
 */
#include <stdlib.h>

#include "extjson.h"
#include "sink.h"
#include "text.h"

/* A text for people that grows past this is left out; the BSON beside it is whole. */
#define TEXT_MAX ((size_t)256 << 20)
#define SEND_AT  ((size_t)1 << 20)
#define KEEP_AT  ((size_t)16 << 20) /* a buffer that grew past this is given back */

/* Rows of one table without their first columns (run, chunk, step), which are known only when they are written. */
struct rows {
	struct rowbuf rb;
	size_t *starts;
	size_t n, cap;
};

struct sink_notes {
	struct rows rejects, findings, ids;
	struct buf text;
};

struct notes_table {
	const char *copy;
	int ncolumns; /* of the rows as gathered */
	bool has_step;
};

static const struct notes_table reject_table = {
	"COPY docrow.reject (run, chunk, step, collection, table_name, column_name, path, fault, code, sqlstate, "
	"message,"
	" bson_type, doc_id, doc_id_text, key, ordinal, document, document_text) FROM STDIN WITH (FORMAT binary)",
	15, true};
static const struct notes_table finding_table = {
	"COPY docrow.finding (run, chunk, step, table_name, column_name, collection, path, kind, fault, doc_id,"
	" doc_id_text, key, ordinal, value, value_text) FROM STDIN WITH (FORMAT binary)",
	12, true};
static const struct notes_table id_table = {
	"COPY docrow.id_map (run, chunk, collection, key, doc_id, doc_id_text) FROM STDIN WITH (FORMAT binary)", 4,
	false};

struct sink_notes *sink_notes_new(void)
{
	struct sink_notes *n = mem_zalloc(sizeof *n);
	rowbuf_init(&n->rejects.rb);
	rowbuf_init(&n->findings.rb);
	rowbuf_init(&n->ids.rb);
	buf_init(&n->text, TEXT_MAX);
	return n;
}

static void rows_free(struct rows *r)
{
	rowbuf_free(&r->rb);
	free(r->starts);
}

void sink_notes_free(struct sink_notes *n)
{
	if (n == NULL)
		return;
	rows_free(&n->rejects);
	rows_free(&n->findings);
	rows_free(&n->ids);
	buf_free(&n->text);
	free(n);
}

static void rows_reset(struct rows *r)
{
	buf_trim(&r->rb.buf, KEEP_AT);
	rowbuf_reset(&r->rb);
	r->n = 0;
}

void sink_notes_reset(struct sink_notes *n)
{
	rows_reset(&n->rejects);
	rows_reset(&n->findings);
	rows_reset(&n->ids);
}

size_t sink_notes_size(const struct sink_notes *n)
{
	return n->rejects.rb.buf.len + n->findings.rb.buf.len + n->ids.rb.buf.len;
}

/* --- cells --- */

static void put_bytes_text(struct sink_notes *n, struct rowbuf *rb, const char *s, size_t len)
{
	if (utf8_check(s, len, NULL) == UTF8_OK) {
		rowbuf_put_bytes(rb, s, len);
		return;
	}
	buf_reset(&n->text);
	text_escape(&n->text, s, len);
	rowbuf_put_bytes(rb, n->text.data, n->text.len);
}

/* Names, messages, keys: as they are where PostgreSQL takes them. NULL is NULL. */
static void put_text(struct sink_notes *n, struct rowbuf *rb, const char *s)
{
	if (s == NULL)
		rowbuf_put_null(rb);
	else
		put_bytes_text(n, rb, s, strlen(s));
}

/* Paths hold keys from documents: always escaped, so that the text can be read back. */
static void put_path(struct sink_notes *n, struct rowbuf *rb, const char *s)
{
	if (s == NULL) {
		rowbuf_put_null(rb);
		return;
	}
	buf_reset(&n->text);
	text_escape(&n->text, s, strlen(s));
	rowbuf_put_bytes(rb, n->text.data, n->text.len);
}

static void put_written_text(struct sink_notes *n, struct rowbuf *rb)
{
	if (buf_ok(&n->text))
		put_bytes_text(n, rb, (const char *)n->text.data, n->text.len);
	else
		rowbuf_put_null(rb);
}

/* Two columns: {key: v} as BSON, v as Extended JSON. */
static void put_value(struct sink_notes *n, struct rowbuf *rb, const char *key, const struct val *v)
{
	size_t size = doc_wrap_size(key, v);
	uint8_t *p = v->kind != 0 && size <= ROWBUF_MAX_FIELD ? rowbuf_field(rb, (uint32_t)size) : NULL;
	if (p == NULL) {
		rowbuf_put_null(rb);
		rowbuf_put_null(rb);
		return;
	}
	doc_wrap(key, v, p);
	buf_reset(&n->text);
	extjson_write_val_safe(&n->text, v);
	put_written_text(n, rb);
}

/* Two columns: the document's bytes, its Extended JSON. */
static void put_document(struct sink_notes *n, struct rowbuf *rb, const uint8_t *doc, size_t len)
{
	if (doc == NULL || len > ROWBUF_MAX_FIELD) {
		rowbuf_put_null(rb);
		rowbuf_put_null(rb);
		return;
	}
	rowbuf_put_bytes(rb, doc, len);
	buf_reset(&n->text);
	extjson_write_safe(&n->text, doc, len);
	put_written_text(n, rb);
}

static void put_fault(struct sink_notes *n, struct rowbuf *rb, enum fault f)
{
	put_text(n, rb, f == FAULT_OK ? NULL : fault_name(f));
}

static void put_ordinal(struct rowbuf *rb, int64_t ordinal)
{
	if (ordinal >= 0)
		rowbuf_put_i64(rb, ordinal);
	else
		rowbuf_put_null(rb);
}

/* --- rows --- */

static void rows_begin(struct rows *r, const struct notes_table *t)
{
	if (r->n == r->cap) {
		r->cap = r->cap == 0 ? 64 : r->cap * 2;
		r->starts = mem_realloc(r->starts, r->cap * sizeof *r->starts);
	}
	r->starts[r->n] = r->rb.buf.len;
	rowbuf_begin_row(&r->rb, t->ncolumns);
}

static bool rows_end(struct rows *r)
{
	if (!rowbuf_end_row(&r->rb))
		return false;
	r->n++;
	return true;
}

static bool put_reject(struct sink_notes *n, const struct sink_reject *r, const uint8_t *document)
{
	struct rowbuf *rb = &n->rejects.rb;
	rows_begin(&n->rejects, &reject_table);
	put_text(n, rb, r->collection);
	put_text(n, rb, r->table);
	put_text(n, rb, r->column);
	put_path(n, rb, r->path);
	put_fault(n, rb, r->fault);
	put_text(n, rb, r->fault == FAULT_OK ? NULL : fault_code(r->fault));
	put_text(n, rb, r->sqlstate);
	put_text(n, rb, r->message);
	put_text(n, rb, r->kind == 0 ? NULL : bson_kind_name(r->kind));
	put_value(n, rb, "_id", &r->id);
	put_text(n, rb, r->key);
	put_ordinal(rb, r->ordinal);
	put_document(n, rb, document, r->document_len);
	return rows_end(&n->rejects);
}

void sink_notes_reject(struct sink_notes *n, const struct sink_reject *r)
{
	/* a row past the server's limit is possible only with the document in it */
	if (!put_reject(n, r, r->document) && !put_reject(n, r, NULL)) {
		struct sink_reject bare = {
			.collection = r->collection, .fault = r->fault, .message = r->message, .ordinal = -1};
		(void)put_reject(n, &bare, NULL);
	}
}

void sink_notes_finding(struct sink_notes *n, const struct sink_finding *f)
{
	struct rowbuf *rb = &n->findings.rb;
	rows_begin(&n->findings, &finding_table);
	put_text(n, rb, f->table);
	put_text(n, rb, f->column);
	put_text(n, rb, f->collection);
	put_path(n, rb, f->path);
	put_text(n, rb, f->kind);
	put_fault(n, rb, f->fault);
	put_value(n, rb, "_id", &f->id);
	put_text(n, rb, f->key);
	put_ordinal(rb, f->ordinal);
	put_value(n, rb, "v", &f->value);
	(void)rows_end(&n->findings);
}

void sink_notes_id(struct sink_notes *n, const char *collection, const uint8_t uuid[16], const struct val *id)
{
	struct rowbuf *rb = &n->ids.rb;
	rows_begin(&n->ids, &id_table);
	put_text(n, rb, collection);
	rowbuf_put_bytes(rb, uuid, 16);
	put_value(n, rb, "_id", id);
	(void)rows_end(&n->ids);
}

/* --- writing --- */

struct owner {
	int64_t run, chunk, step;
};

static void put_number(struct rowbuf *rb, int64_t v)
{
	if (v > 0)
		rowbuf_put_i64(rb, v);
	else
		rowbuf_put_null(rb);
}

/* The first columns of a row; the others follow as they are in r. */
static void put_head(struct rowbuf *out, const struct notes_table *t, const struct owner *o)
{
	rowbuf_begin_row(out, t->ncolumns + (t->has_step ? 3 : 2));
	rowbuf_put_i64(out, o->run);
	put_number(out, o->chunk);
	if (t->has_step)
		put_number(out, o->step);
	out->column += t->ncolumns;
	(void)rowbuf_end_row(out);
}

static bool send_out(struct pg *pg, struct rowbuf *out, struct err *err)
{
	bool ok = pg_copy_put(pg, out->buf.data, out->buf.len, err);
	rowbuf_reset(out);
	return ok;
}

/* A document of 16 MB is not copied once more. */
static bool send_rows(struct pg *pg, const struct rows *r, const struct notes_table *t, const struct owner *o,
		      struct rowbuf *out, struct err *err)
{
	rowbuf_header(out);
	for (size_t i = 0; i < r->n; i++) {
		size_t from = r->starts[i] + 2; /* past the count of columns */
		size_t n = (i + 1 < r->n ? r->starts[i + 1] : r->rb.buf.len) - from;
		put_head(out, t, o);
		if (n < SEND_AT)
			buf_put(&out->buf, r->rb.buf.data + from, n);
		if ((n >= SEND_AT || out->buf.len >= SEND_AT) && !send_out(pg, out, err))
			return false;
		if (n >= SEND_AT && !pg_copy_put(pg, r->rb.buf.data + from, n, err))
			return false;
	}
	rowbuf_trailer(out);
	return send_out(pg, out, err);
}

static bool flush_rows(struct pg *pg, const struct rows *r, const struct notes_table *t, const struct owner *o,
		       struct err *err)
{
	if (r->n == 0)
		return true;
	_cleanup_(rowbuf_free) struct rowbuf out = {0};
	rowbuf_init(&out);
	return pg_copy_begin(pg, t->copy, err) && send_rows(pg, r, t, o, &out, err) && pg_copy_end(pg, NULL, err);
}

bool sink_notes_flush(struct pg *pg, struct sink_notes *n, int64_t run, int64_t chunk, int64_t step, struct err *err)
{
	struct owner o = {run, chunk, step};
	bool ok = flush_rows(pg, &n->rejects, &reject_table, &o, err) &&
		  flush_rows(pg, &n->findings, &finding_table, &o, err) &&
		  flush_rows(pg, &n->ids, &id_table, &o, err);
	sink_notes_reset(n);
	return ok;
}

/* checkpoint.c - migration-checkpoint.json: where the run stands, for scripts. A copy of what schema docrow says; the
 * program never reads it. Format: docs/files.md. */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "report.h"
#include "sys.h"
#include "text.h"

/* Names may hold any bytes, JSON wants UTF-8. */
static json_t *text(const char *s)
{
	struct buf b;

	if (!s)
		return json_null();
	buf_init(&b, 0);
	text_escape(&b, s, strlen(s));
	json_t *j = json_string(buf_cstr(&b));
	buf_free(&b);
	return j;
}

static json_t *count(uint64_t n)
{
	return json_integer((json_int_t)n);
}

static void put(json_t *object, const char *key, json_t *value)
{
	json_object_set_new(object, key, value);
}

static const struct state_progress *progress_of(const struct report_facts *f, const char *collection)
{
	for (size_t i = 0; i < f->nprogress; i++)
		if (f->progress[i].phase == STATE_LOAD && strcmp(f->progress[i].name, collection) == 0)
			return &f->progress[i];
	return NULL;
}

static json_t *collections(const struct report_facts *f, const struct account *a)
{
	json_t *list = json_array();

	for (size_t i = 0; i < a->ncollections; i++) {
		const struct account_collection *c = &a->collections[i];
		const struct state_progress *p = progress_of(f, c->name);
		json_t *o = json_object();
		put(o, "collection", text(c->name));
		put(o, "table", text(a->tables[c->table].name));
		put(o, "chunks", count(p ? p->total : 0));
		put(o, "chunks_done", count(p ? p->done : 0));
		put(o, "documents", count(c->read));
		put(o, "rows", count(a->tables[c->table].rows));
		put(o, "rejects", count(c->rejects + a->tables[c->table].reject_rows));
		json_array_append_new(list, o);
	}
	return list;
}

static json_t *wholes(const struct account *a)
{
	json_t *list = json_array();

	for (size_t i = 0; i < a->nwholes; i++) {
		const struct account_whole *w = &a->wholes[i];
		json_t *o = json_object();
		put(o, "collection", text(w->source));
		put(o, "documents", count(w->documents));
		put(o, "read", count(w->read));
		put(o, "left_out_by_where", count(w->left_out));
		put(o, "in_more_than_one", count(w->shared));
		json_array_append_new(list, o);
	}
	return list;
}

static json_t *steps(const struct report_facts *f)
{
	json_t *list = json_array();

	for (size_t i = 0; i < f->nprogress; i++) {
		const struct state_progress *p = &f->progress[i];
		json_t *o;
		if (p->phase == STATE_LOAD)
			continue;
		o = json_object();
		put(o, "kind", text(p->name));
		put(o, "phase", text(state_phase_name(p->phase)));
		put(o, "steps", count(p->total));
		put(o, "steps_done", count(p->done));
		json_array_append_new(list, o);
	}
	return list;
}

static json_t *sentences(const char *const *list, size_t n)
{
	json_t *out = json_array();

	for (size_t i = 0; i < n; i++)
		json_array_append_new(out, text(list[i]));
	return out;
}

bool checkpoint_write(const char *path, const struct report_facts *f, const struct account *a, struct err *err)
{
	const struct state_run *r = &f->run;
	json_t *root = json_object();
	char now[32];

	clock_iso(now);
	put(root, "format", json_integer(1));
	put(root, "written", text(now));
	put(root, "docrow", text(DOCROW_VERSION));
	put(root, "run", json_integer((json_int_t)r->id));
	put(root, "phase", text(state_phase_name(r->phase)));
	put(root, "status", text(r->status));
	put(root, "error", text(r->error));
	put(root, "started", text(r->started));
	put(root, "finished", text(r->finished));
	put(root, "mapping", text(r->mapping_name));
	put(root, "mapping_digest", text(r->mapping_digest));
	put(root, "source", text(r->source_describe));
	put(root, "source_notes", sentences(f->notes, f->nnotes));
	put(root, "target", text(f->target));
	put(root, "documents", count(a->read));
	put(root, "rejects", count(a->rejects));
	put(root, "retried", count(a->retried));
	put(root, "collections", collections(f, a));
	put(root, "parts", wholes(a));
	put(root, "left_out", sentences(f->plan->left_out.list, f->plan->left_out.n));
	put(root, "steps", steps(f));
	put(root, "account_breaks", sentences(a->breaks, a->nbreaks));
	put(root, "source_changes", sentences(a->changes, a->nchanges));
	put(root, "resume", text(f->resume_command));
	char *out = json_dumps(root, JSON_INDENT(2) | JSON_PRESERVE_ORDER);
	json_decref(root);
	if (!out)
		return err_set(err, ERR_INTERNAL, "the checkpoint cannot be written as JSON");
	struct buf b;
	buf_init(&b, 0);
	buf_puts(&b, out);
	buf_putc(&b, '\n');
	free(out);
	bool ok = file_write_atomic(path, b.data, b.len, err);
	buf_free(&b);
	return ok;
}

/* checkpoint.c - migration-checkpoint.json: where the run stands, for scripts. A copy of what schema docrow says; the
 * program never reads it. Format: docs/files.md. */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "put_json.h"
#include "report.h"
#include "sys.h"

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
		const struct account_table *t = &a->tables[c->table];
		const struct state_progress *p = progress_of(f, c->name);
		json_t *o = json_object();
		json_put_text(o, "collection", c->name);
		json_put_text(o, "table", t->name);
		json_put_count(o, "chunks", p ? p->total : 0);
		json_put_count(o, "chunks_done", p ? p->done : 0);
		json_put_count(o, "documents", c->read);
		json_put_count(o, "rows", t->rows);
		json_put_count(o, "rejects", c->rejects + t->reject_rows);
		json_put_count(o, "dropped", t->dropped);
		json_put_count(o, "skipped", t->skipped);
		json_put_count(o, "replaced", t->replaced);
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
		json_put_text(o, "collection", w->source);
		json_put_count(o, "documents", w->documents);
		json_put_count(o, "read", w->read);
		json_put_count(o, "left_out_by_where", w->left_out);
		json_put_count(o, "in_more_than_one", w->shared);
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
		json_put_text(o, "kind", p->name);
		json_put_text(o, "phase", state_phase_name(p->phase));
		json_put_count(o, "steps", p->total);
		json_put_count(o, "steps_done", p->done);
		json_array_append_new(list, o);
	}
	return list;
}

static json_t *sentences(const char *const *list, size_t n)
{
	json_t *out = json_array();

	for (size_t i = 0; i < n; i++)
		json_array_append_new(out, json_text(list[i]));
	return out;
}

bool checkpoint_write(const char *path, const struct report_facts *f, const struct account *a, struct err *err)
{
	const struct state_run *r = &f->run;
	json_t *root = json_object();
	char now[32];

	clock_iso(now);
	json_put(root, "format", json_integer(1));
	json_put_text(root, "written", now);
	json_put_text(root, "docrow", DOCROW_VERSION);
	json_put(root, "run", json_integer(r->id));
	json_put_text(root, "phase", state_phase_name(r->phase));
	json_put_text(root, "status", r->status);
	json_put_text(root, "error", r->error);
	json_put_text(root, "started", r->started);
	json_put_text(root, "finished", r->finished);
	json_put_text(root, "mapping", r->mapping_name);
	json_put_text(root, "mapping_digest", r->mapping_digest);
	json_put_text(root, "source", r->source_describe);
	json_put(root, "source_notes", sentences(f->notes, f->nnotes));
	json_put_text(root, "target", f->target);
	json_put_count(root, "documents", a->read);
	json_put_count(root, "rejects", a->rejects);
	json_put_count(root, "retried", a->retried);
	json_put(root, "collections", collections(f, a));
	json_put(root, "parts", wholes(a));
	json_put(root, "left_out", sentences(f->plan->left_out.list, f->plan->left_out.n));
	json_put(root, "steps", steps(f));
	json_put(root, "account_breaks", sentences(a->breaks, a->nbreaks));
	json_put(root, "source_changes", sentences(a->changes, a->nchanges));
	json_put_text(root, "resume", f->resume_command);
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

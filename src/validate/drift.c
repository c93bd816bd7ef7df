/* drift.c - what changed in the source after the copy began is told apart from what the copy got wrong.
 *
 * The source's own record (a change stream from the operation time of the run) names the documents. A finding is
 * drift when its document is among them; a row too many, when a document that it belonged to is; a number, when it is
 * no larger than the number of such documents.
 */
#include <stdlib.h>

#include "validate_private.h"

struct drift {
	struct validation *v;
	struct listed *changed;
	struct judge judge;
	struct buf key;
	uint64_t documents;
	uint64_t *by_table;
	uint64_t *extra;  /* rows too many, by table */
	const char *gone; /* a collection that is */
};

/* A changed document, for one of the entries that take parts of its collection. */
static void take_for(struct drift *d, const struct feed *f, const uint8_t *id, size_t len, bool is_first)
{
	uint64_t hash = listed_document(f->collection->name, id, len);
	struct val v;

	if (listed_has(d->changed, hash, NULL))
		return;
	listed_add(d->changed, hash);
	d->documents += is_first;
	d->by_table[f->main.table]++;
	arena_reset(d->judge.arena);
	buf_reset(&d->key);
	if (f->main.key >= 0 && doc_find(id, len, "_id", &v) &&
	    key_of_val(&d->judge, &f->main.columns[f->main.key].spec, &v, &d->key))
		listed_add(d->changed, owner_hash(f->main.table, d->key.data, d->key.len));
}

static void take(void *ctx, const char *collection, const uint8_t *id, size_t len)
{
	struct drift *d = ctx;
	bool is_first = true;

	for (size_t i = 0; i < d->v->nfeeds; i++) {
		const struct feed *f = &d->v->feeds[i];
		if (strcmp(f->collection->source, collection) != 0)
			continue;
		if (id == NULL) {
			d->gone = f->collection->source;
			return;
		}
		take_for(d, f, id, len, is_first);
		is_first = false;
	}
}

static bool is_changed(const struct drift *d, uint64_t hash)
{
	return hash != 0 && listed_has(d->changed, hash, NULL);
}

static bool is_drift(const struct drift *d, const struct validate_finding *f, int table)
{
	if (f->size > 0)
		return f->size <= d->by_table[table];
	switch (f->kind) {
	case FOUND_EXTRA_ROW:
	case FOUND_DUPLICATE_ROW: /* of a table without _id nobody can say whose row it is */
		if (match_is_probed(d->v, table))
			return d->extra[table] <= d->by_table[table];
		return is_changed(d, f->owner_hash[0]);
	default:
		return is_changed(d, f->id_hash) || is_changed(d, f->owner_hash[0]) ||
		       is_changed(d, f->owner_hash[1]);
	}
}

static void mark(struct drift *d)
{
	struct validate_finding *list;
	size_t n = found_list(d->v->found, &list);

	for (size_t i = 0; i < d->v->plan->schema.ntables; i++) {
		const struct validate_table *t = found_table(d->v->found, (int)i);
		d->extra[i] = t->found[FOUND_EXTRA_ROW] + t->found[FOUND_DUPLICATE_ROW];
	}
	for (size_t i = 0; i < n; i++) {
		int table = list[i].table != NULL ? schema_find_table(&d->v->plan->schema, list[i].table) : -1;
		if (table < 0 || !is_drift(d, &list[i], table))
			continue;
		struct validate_table *t = found_table(d->v->found, table);
		list[i].drift = true;
		t->found[list[i].kind]--;
		t->drift++;
	}
}

bool drift_check(struct validation *v, struct err *err)
{
	struct drift d = {.v = v};
	bool known, ok;

	if (found_total(v->found) == 0 || !v->has_state || v->run.operation_time == NULL ||
	    v->run.operation_time[0] == '\0')
		return true;
	d.changed = listed_new();
	d.by_table = mem_zalloc((v->plan->schema.ntables + 1) * sizeof *d.by_table);
	d.extra = mem_zalloc((v->plan->schema.ntables + 1) * sizeof *d.extra);
	judge_init(&d.judge, v->server_version);
	buf_init(&d.key, 0);
	ok = source_changed_since(v->source, v->run.operation_time, take, &d, &known, err);
	if (ok && known)
		mark(&d);
	else if (ok)
		found_note(v->found,
			   "the source does not say what changed after the copy: a document that did cannot be "
			   "told from one that was moved wrongly");
	if (ok && d.gone != NULL)
		found_note(v->found, "collection %s was dropped or renamed after the copy", d.gone);
	v->result.changed = d.documents;
	judge_free(&d.judge);
	buf_free(&d.key);
	listed_free(d.changed);
	free(d.by_table);
	free(d.extra);
	return ok;
}

/* resume.c - which chunks were compared and found right, in a file: an interrupted validation goes on from there.
 *
 * One line a chunk. The documents of such a chunk are read again for keys, elements and pairs, but no row is asked
 * for; a digest tells whether they are still the same. Tables that were written to since then are compared anew. The
 * file holds no values, has mode 0600, and goes when all is done.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "validate_private.h"

struct resume {
	pthread_mutex_t lock;
	FILE *out; /* NULL: none is kept */
	struct proved *list;
	size_t n;
	uint64_t since;  /* what older transactions wrote was there when the chunks were compared */
	bool *rewritten; /* by table: something was written since */
};

static uint64_t chunk_hash(const struct validation *v, const struct task *t)
{
	const char *name = v->feeds[t->index].collection->name;

	return key_hash(key_hash(17, name, strlen(name)), t->bounds, t->bounds_len);
}

static uint64_t hash_text(uint64_t h, const char *text)
{
	return text == NULL ? key_hash(h, "", 0) : key_hash(h, text, strlen(text) + 1);
}

static uint64_t hash_names(uint64_t h, const struct plan_names *names)
{
	for (size_t i = 0; i < names->n; i++)
		h = hash_text(h, names->list[i]);
	return key_hash(h, &names->n, sizeof names->n);
}

/* What must be the same for a file to count: whatever a chunk's verdict depends on. Another version may judge
 * otherwise; a chunk whose keys alone were looked at is not proved. */
static uint64_t job_hash(const struct validation *v)
{
	const struct plan *p = v->plan;
	const uint64_t numbers[] = {v->o.full,    v->o.layers,         v->o.seed,
				    v->o.sample,  v->o.appended,       v->o.existing,
				    v->has_state, (uint64_t)v->run.id, (uint64_t)v->server_version};
	uint64_t h = key_hash(1, p->mapping->digest, 32);

	h = key_hash(h, numbers, sizeof numbers);
	h = key_hash(h, &v->o.sample_share, sizeof v->o.sample_share);
	h = hash_names(hash_names(hash_names(h, &p->left_out), &p->left_keys), &p->left_junctions);
	h = hash_text(hash_text(h, v->o.version), p->schema.name);
	return hash_text(hash_text(h, source_identity(v->source)), v->result.target);
}

static void read_lines(struct resume *r, FILE *in)
{
	struct proved p;

	while (fscanf(in, "%" SCNx64 " %" SCNx64 " %" SCNu64 " %" SCNu64 " %" SCNu64 "\n", &p.chunk, &p.digest,
		      &p.documents, &p.compared, &p.fields) == 5) {
		r->list = mem_grown(r->list, r->n, sizeof *r->list);
		r->list[r->n++] = p;
	}
}

/* The oldest transaction that the snapshot does not see as a whole; 0: nobody knows. */
static uint64_t moment_of(const struct validation *v)
{
	return v->moment != NULL ? strtoull(v->moment, NULL, 10) : 0;
}

static bool read_file(struct resume *r, const struct validation *v)
{
	FILE *in = fopen(v->o.progress_file, "r");
	uint64_t job = 0;
	bool same;

	if (in == NULL)
		return false;
	same = fscanf(in, "docrow validation 2 %" SCNx64 " %" SCNu64 "\n", &job, &r->since) == 2 &&
	       job == job_hash(v) && r->since != 0;
	if (same)
		read_lines(r, in);
	fclose(in);
	return same;
}

bool resume_open(struct validation *v, struct err *err)
{
	struct resume *r;
	bool going_on = false;
	int fd;

	if (v->o.progress_file == NULL)
		return true;
	r = v->resume = mem_zalloc(sizeof *r);
	pthread_mutex_init(&r->lock, NULL);
	if (v->o.resume && !(going_on = read_file(r, v)))
		found_note(v->found,
			   "there is no interrupted validation of this source, target and mapping to go on with: "
			   "everything was compared");
	fd = open(v->o.progress_file, O_WRONLY | O_CREAT | O_CLOEXEC | (going_on ? O_APPEND : O_TRUNC), 0600);
	r->out = fd >= 0 ? fdopen(fd, going_on ? "a" : "w") : NULL;
	if (r->out == NULL)
		return err_set(err, ERR_FILE, "%s cannot be written: %s", v->o.progress_file, strerror(errno));
	if (!going_on)
		fprintf(r->out, "docrow validation 2 %" PRIx64 " %" PRIu64 "\n", job_hash(v), moment_of(v));
	return true;
}

/* Every row carries the number of the transaction that wrote it; a row that is gone is missed by its key. */
static bool is_rewritten(struct validation *v, size_t table, bool *yes, struct err *err)
{
	const struct schema *s = &v->plan->schema;
	_cleanup_(pg_result_freep) struct pg_result *r = NULL;
	_cleanup_(buf_free) struct buf sql = {0};

	buf_puts(&sql, "SELECT EXISTS (SELECT FROM ");
	sql_table(&sql, s, &s->tables[table]);
	buf_printf(&sql, " WHERE pg_catalog.age(xmin) <= pg_catalog.age('%lu'::pg_catalog.xid))",
		   (unsigned long)(v->resume->since & UINT32_MAX));
	if (!pg_query(v->keeper, buf_cstr(&sql), NULL, 0, &r, err))
		return false;
	*yes = pg_get_bool(r, 0, 0);
	return true;
}

bool resume_look(struct validation *v, struct err *err)
{
	struct resume *r = v->resume;
	const struct schema *s = &v->plan->schema;
	bool *rewritten = arena_alloc(v->arena, s->ntables + 1);

	if (r == NULL || r->n == 0)
		return true;
	for (size_t i = 0; i < s->ntables; i++)
		if (v->exists[i] && (!keeper_ready(v, err) || !is_rewritten(v, i, &rewritten[i], err)))
			return false;
	for (size_t i = 0; i < s->ntables; i++)
		if (rewritten[i] && s->tables[i].collection != NULL)
			found_note(v->found,
				   "%s was written to since the interrupted validation: its rows, and those of the "
				   "tables beside it, are compared anew",
				   s->tables[i].name);
	r->rewritten = rewritten;
	return true;
}

static bool feeds_rewritten(const struct resume *r, const struct feed_table *t)
{
	if (r->rewritten[t->table])
		return true;
	for (size_t i = 0; i < t->nchildren; i++)
		if (feeds_rewritten(r, &t->children[i]))
			return true;
	return false;
}

const struct proved *resume_find(const struct validation *v, const struct task *t)
{
	uint64_t hash = chunk_hash(v, t);

	if (v->resume != NULL && v->resume->rewritten != NULL && feeds_rewritten(v->resume, &v->feeds[t->index].main))
		return NULL;
	for (size_t i = 0; v->resume != NULL && i < v->resume->n; i++)
		if (v->resume->list[i].chunk == hash)
			return &v->resume->list[i];
	return NULL;
}

void resume_add(struct validation *v, const struct task *t, struct proved p)
{
	struct resume *r = v->resume;

	if (r == NULL)
		return;
	pthread_mutex_lock(&r->lock);
	fprintf(r->out, "%" PRIx64 " %" PRIx64 " %" PRIu64 " %" PRIu64 " %" PRIu64 "\n", chunk_hash(v, t), p.digest,
		p.documents, p.compared, p.fields);
	fflush(r->out);
	pthread_mutex_unlock(&r->lock);
}

void resume_close(struct validation *v, bool done)
{
	struct resume *r = v->resume;

	if (r == NULL)
		return;
	if (r->out != NULL)
		fclose(r->out);
	if (done)
		unlink(v->o.progress_file);
	pthread_mutex_destroy(&r->lock);
	free(r->list);
	free(r);
	v->resume = NULL;
}

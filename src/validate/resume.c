/* resume.c - which chunks were compared and found right, in a file: an interrupted validation goes on from there.
 *
 * One line a chunk. The documents of such a chunk are read again for keys, elements and pairs, but no row is asked
 * for; a digest tells whether they are still the same. The file holds no values, has mode 0600, and goes when all is
 * done.
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

static bool read_file(struct resume *r, const struct validation *v)
{
	FILE *in = fopen(v->o.progress_file, "r");
	uint64_t job = 0;
	bool same;

	if (in == NULL)
		return false;
	same = fscanf(in, "docrow validation 1 %" SCNx64 "\n", &job) == 1 && job == job_hash(v);
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
		fprintf(r->out, "docrow validation 1 %" PRIx64 "\n", job_hash(v));
	return true;
}

const struct proved *resume_find(const struct validation *v, const struct task *t)
{
	uint64_t hash = chunk_hash(v, t);

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

/* errorlog.c - migration-errors.log: one JSON object a line for each reject, then one for each pattern. No document
 * values: ids, paths, types and faults. Format: docs/files.md.
 *
 * It may be long, so it is written as it comes, into a file beside it that takes its place at the end.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "report.h"
#include "text.h"

struct errorlog {
	char *path, *temporary;
	int fd;
	int error; /* errno of the first failed write */
	struct buf out;
	uint64_t n;
};

static bool failed(struct err *err, const char *path, int error)
{
	return err_set(err, ERR_FILE, "cannot write %s: %s", path, strerror(error));
}

bool errorlog_open(struct errorlog **out, const char *path, struct err *err)
{
	struct errorlog *l = mem_zalloc(sizeof(*l));
	struct buf name;

	buf_init(&name, 0);
	buf_printf(&name, "%s.XXXXXX", path);
	l->path = mem_strdup(path);
	l->temporary = mem_strdup(buf_cstr(&name));
	buf_free(&name);
	buf_init(&l->out, 0);
	l->fd = mkostemp(l->temporary, O_CLOEXEC); /* mode 0600 */
	if (l->fd < 0) {
		failed(err, path, errno);
		l->temporary[0] = '\0';
		errorlog_abandon(l);
		return false;
	}
	*out = l;
	return true;
}

static void flush(struct errorlog *l)
{
	const uint8_t *p = l->out.data;
	size_t n = l->out.len;

	while (n > 0 && l->error == 0) {
		ssize_t w = write(l->fd, p, n);
		if (w < 0 && errno != EINTR)
			l->error = errno;
		if (w > 0) {
			p += w;
			n -= (size_t)w;
		}
	}
	buf_reset(&l->out);
}

static void member(struct buf *out, const char *key, const char *value)
{
	if (!value || value[0] == '\0')
		return;
	buf_printf(out, ",\"%s\":", key);
	text_json_string(out, value, strlen(value));
}

/* Numbers come as text from the server. */
static void number(struct buf *out, const char *key, const char *value)
{
	buf_printf(out, ",\"%s\":%s", key, value);
}

void errorlog_add(struct errorlog *l, const struct report_reject *r)
{
	buf_puts(&l->out, "{\"kind\":\"reject\"");
	number(&l->out, "reject", r->id);
	member(&l->out, "time", r->created);
	member(&l->out, "collection", r->collection);
	member(&l->out, "_id", r->doc_id);
	member(&l->out, "key", r->key);
	member(&l->out, "table", r->table);
	member(&l->out, "column", r->column);
	member(&l->out, "path", r->path);
	if (r->ordinal)
		number(&l->out, "ordinal", r->ordinal);
	member(&l->out, "fault", r->fault);
	member(&l->out, "code", r->code);
	member(&l->out, "bson_type", r->bson_type);
	member(&l->out, "sqlstate", r->sqlstate);
	member(&l->out, "message", r->message);
	if (r->state && strcmp(r->state, "open") != 0)
		member(&l->out, "state", r->state);
	buf_puts(&l->out, "}\n");
	l->n++;
	if (l->out.len > 65536)
		flush(l);
}

static void add_pattern(struct errorlog *l, const struct state_pattern *p)
{
	buf_printf(&l->out, "{\"kind\":\"pattern\",\"rejects\":%llu,\"open\":%llu", (unsigned long long)p->n,
		   (unsigned long long)p->open);
	member(&l->out, "fault", p->fault);
	member(&l->out, "code", p->code);
	member(&l->out, "collection", p->collection);
	member(&l->out, "table", p->table);
	member(&l->out, "column", p->column);
	member(&l->out, "path", p->path);
	member(&l->out, "bson_type", p->bson_type);
	buf_printf(&l->out, ",\"example\":%lld", (long long)p->example);
	member(&l->out, "example_id", p->example_id);
	buf_puts(&l->out, "}\n");
}

bool errorlog_close(struct errorlog *l, const struct state_pattern *patterns, size_t npatterns, uint64_t left_out,
		    struct err *err)
{
	unsigned long long total = l->n + left_out, open = 0;

	for (size_t i = 0; i < npatterns; i++) {
		add_pattern(l, &patterns[i]);
		open += patterns[i].open;
	}
	buf_printf(&l->out,
		   "{\"kind\":\"end\",\"rejects\":%llu,\"open\":%llu,\"not_listed\":%llu,\"patterns\":%zu}\n", total,
		   open, (unsigned long long)left_out, npatterns);
	flush(l);
	if (l->error == 0 && fsync(l->fd) != 0)
		l->error = errno;
	if (l->error == 0 && rename(l->temporary, l->path) != 0)
		l->error = errno;
	bool ok = l->error == 0;
	if (ok)
		l->temporary[0] = '\0';
	else
		failed(err, l->path, l->error);
	errorlog_abandon(l);
	return ok;
}

void errorlog_abandon(struct errorlog *l)
{
	if (!l)
		return;
	if (l->fd >= 0)
		close(l->fd);
	if (l->temporary[0] != '\0')
		unlink(l->temporary);
	free(l->temporary);
	free(l->path);
	buf_free(&l->out);
	free(l);
}

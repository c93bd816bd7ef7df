/* export.c - see export.h. The file is written beside its place, synced, and renamed. */
#include "export.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "extjson.h"

#define PAGE "50" /* documents of up to 16 MB at a time */

struct out {
	const char *path;
	char *temporary;
	FILE *file;
	struct buf text;
};

static bool failed(const struct out *o, struct err *err)
{
	return err_set(err, ERR_FILE, "cannot write %s: %s", o->path, strerror(errno));
}

static bool out_open(struct out *o, const char *path, struct err *err)
{
	_cleanup_(buf_free) struct buf name = {0};

	buf_printf(&name, "%s.XXXXXX", path);
	*o = (struct out){.path = path, .temporary = mem_strdup(buf_cstr(&name))};
	buf_init(&o->text, 0);
	int fd = mkostemp(o->temporary, O_CLOEXEC); /* mode 0600 */
	if (fd >= 0)
		o->file = fdopen(fd, "wb");
	return o->file != NULL || failed(o, err);
}

static bool out_finish(struct out *o, struct err *err)
{
	bool ok = fflush(o->file) == 0 && fsync(fileno(o->file)) == 0;

	ok = fclose(o->file) == 0 && ok;
	o->file = NULL;
	return (ok && rename(o->temporary, o->path) == 0) || failed(o, err);
}

static void out_close(struct out *o, bool done)
{
	if (o->file)
		fclose(o->file);
	if (!done)
		unlink(o->temporary);
	free(o->temporary);
	buf_free(&o->text);
}

static bool write_document(struct out *o, const uint8_t *doc, size_t len, bool bson, struct export_count *count,
			   struct err *err)
{
	static const struct extjson_opts canonical = {EXTJSON_CANONICAL, EXTJSON_TEXT_ESCAPE, EXTJSON_DUP_KEEP};
	struct extjson_info info = {0};
	struct val v = {.data = doc, .len = (uint32_t)len, .kind = BSON_K_DOCUMENT};

	if (bson) {
		count->documents++;
		return fwrite(doc, 1, len, o->file) == len || failed(o, err);
	}
	buf_reset(&o->text);
	if (!doc_is_wellformed(doc, len) || extjson_write(&o->text, &v, &canonical, &info) != FAULT_OK ||
	    info.mended) {
		count->unwritable++;
		return true;
	}
	buf_putc(&o->text, '\n');
	count->documents++;
	return fwrite(o->text.data, 1, o->text.len, o->file) == o->text.len || failed(o, err);
}

/* A file of several collections could not be loaded again. */
static bool check_one_collection(struct pg *pg, struct pg_param *params, struct export_count *count, struct err *err)
{
	_cleanup_(pg_result_freep) struct pg_result *r = NULL;

	if (!pg_query(pg,
		      "SELECT count(DISTINCT collection) FILTER (WHERE ordinal IS NULL), string_agg(DISTINCT "
		      "collection, "
		      "', ') FILTER (WHERE ordinal IS NULL), count(*) FILTER (WHERE ordinal IS NOT NULL AND row_text "
		      "IS "
		      "NULL), count(*) FILTER (WHERE document IS NULL) FROM docrow.reject WHERE run = $1::bigint "
		      "AND " REJECT_FILTER,
		      params, 7, &r, err))
		return false;
	count->elements = (uint64_t)pg_get_i64(r, 0, 2);
	count->lost = (uint64_t)pg_get_i64(r, 0, 3);
	if (pg_get_i64(r, 0, 0) <= 1)
		return true;
	err_set(err, ERR_USAGE, "the rejects are of several collections");
	err_detail(err, "%.900s", pg_get(r, 0, 1));
	return err_hint(err, "a file holds the documents of one: add --collection NAME");
}

static bool write_all(struct pg *pg, struct pg_param params[8], struct out *o, bool bson, struct export_count *count,
		      struct err *err)
{
	static const char sql[] =
		"SELECT id, document FROM docrow.reject r WHERE run = $1::bigint AND " REJECT_FILTER
		" AND document IS NOT NULL AND (ordinal IS NULL OR row_text IS NOT NULL) AND id > $8::bigint "
		"AND NOT EXISTS (SELECT FROM docrow.reject e WHERE e.run = r.run AND e.collection = r.collection AND "
		"e.doc_id = r.doc_id AND e.id < r.id AND e.document IS NOT NULL AND e.state = r.state AND (e.ordinal "
		"IS NULL OR "
		"e.row_text IS NOT NULL)) ORDER BY id LIMIT " PAGE;
	char last[24] = "0";

	for (;;) {
		_cleanup_(pg_result_freep) struct pg_result *r = NULL;
		params[7] = PG_TEXT(last);
		if (!pg_query(pg, sql, params, 8, &r, err))
			return false;
		if (pg_rows(r) == 0)
			return true;
		for (int i = 0; i < pg_rows(r); i++) {
			_cleanup_(buf_free) struct buf doc = {0};
			pg_get_bytea(r, i, 1, &doc);
			if (!write_document(o, doc.data, doc.len, bson, count, err))
				return false;
			snprintf(last, sizeof(last), "%lld", (long long)pg_get_i64(r, i, 0));
		}
	}
}

bool export_rejects(struct pg *pg, int64_t run, const struct reject_filter *filter, bool bson, const char *path,
		    struct export_count *count, struct err *err)
{
	char texts[2][24];
	struct pg_param params[8];
	struct out o;

	*count = (struct export_count){0};
	snprintf(texts[0], sizeof(texts[0]), "%lld", (long long)run);
	params[0] = PG_TEXT(texts[0]);
	gather_filter(filter, params, texts[1]);
	if (!check_one_collection(pg, params, count, err))
		return false;
	bool ok = out_open(&o, path, err) && write_all(pg, params, &o, bson, count, err) && out_finish(&o, err);
	out_close(&o, ok);
	return ok;
}

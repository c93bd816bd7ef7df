/* output.c - where the documents go: a dump folder as mongodump lays it out, or a server.
 *
 * Folder: <folder>/<database>/<collection>.bson and .metadata.json. With gzip each unit of documents becomes a member
 * of its own, so that units can be packed side by side and the bytes do not depend on how many threads there are.
 * Server: each unit is inserted by the thread that made it; the driver's own checks are off, since bad UTF-8 and the
 * like are wanted. Nothing is written twice: a failure ends the run.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include <mongoc/mongoc.h>
#include <zlib.h>

#include "synth_private.h"
#include "sys.h"
#include "text.h"

struct output {
	const struct model *m;
	const struct synth_options *opts;
	const char *database;
	struct buf path; /* folder: <folder>/<database> */
	int fd;          /* the collection being written, -1 */
	mongoc_client_pool_t *pool;
	FILE *faults;
};

struct output_worker {
	struct output *o;
	struct buf packed;
	z_stream z;
	mongoc_client_t *client;
};

/* Folder. */

/* As mongodump writes the names of files: what a URL's path takes stays, other bytes become %XX. */
static void put_file_name(struct buf *out, const char *name)
{
	for (; *name; name++) {
		unsigned char c = (unsigned char)*name;
		bool plain = (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
			     strchr("-_.~$&+=:@", c) != NULL;
		if (plain)
			buf_putc(out, (char)c);
		else
			buf_printf(out, "%%%02X", c);
	}
}

static const char *file_path(const struct output *o, struct buf *out, const char *collection, const char *suffix)
{
	buf_reset(out);
	buf_put(out, o->path.data, o->path.len);
	buf_putc(out, '/');
	put_file_name(out, collection);
	buf_puts(out, suffix);
	if (o->opts->gzip)
		buf_puts(out, ".gz");
	return buf_cstr(out);
}

static bool make_folder(const char *path, struct err *err)
{
	if (mkdir(path, 0777) == 0 || errno == EEXIST)
		return true;
	return err_set(err, ERR_FILE, "cannot make the folder %s: %s", path, strerror(errno));
}

static bool check_absent(const struct output *o, struct err *err)
{
	struct buf path;
	bool ok = true;

	buf_init(&path, 0);
	for (size_t i = 0; ok && i < o->m->ncolls; i++) {
		const char *p = file_path(o, &path, o->m->colls[i].name, ".bson");
		if (strlen(strrchr(p, '/') + 1) > 240) {
			ok = err_set(err, ERR_FILE, "the name of collection %s is too long for a file",
				     o->m->colls[i].name);
		} else if (!o->opts->replace && access(p, F_OK) == 0) {
			ok = err_set(err, ERR_FILE, "%s exists already", p);
			err_hint(err, "choose another folder, or have it replaced");
		}
	}
	buf_free(&path);
	return ok;
}

static bool open_folder(struct output *o, struct err *err)
{
	if (!make_folder(o->opts->folder, err))
		return false;
	buf_puts(&o->path, o->opts->folder);
	buf_putc(&o->path, '/');
	put_file_name(&o->path, o->database);
	return make_folder(buf_cstr(&o->path), err) && check_absent(o, err);
}

static bool write_all(int fd, const void *bytes, size_t n, const char *collection, struct err *err)
{
	const uint8_t *p = bytes;

	while (n > 0) {
		ssize_t w = write(fd, p, n);
		if (w < 0 && errno == EINTR)
			continue;
		if (w < 0)
			return err_set(err, ERR_FILE, "cannot write the file of %s: %s", collection, strerror(errno));
		p += w;
		n -= (size_t)w;
	}
	return true;
}

static bool pack(struct output_worker *w, const void *bytes, size_t n, struct err *err)
{
	uLong most = deflateBound(&w->z, (uLong)n) + 32;

	buf_reset(&w->packed);
	if (n > UINT32_MAX / 2 || !buf_reserve(&w->packed, most))
		return err_set(err, ERR_INTERNAL, "a unit of documents is too large to pack");
	w->z.next_in = (Bytef *)(uintptr_t)bytes;
	w->z.avail_in = (uInt)n;
	w->z.next_out = w->packed.data;
	w->z.avail_out = (uInt)most;
	if (deflateReset(&w->z) != Z_OK || deflate(&w->z, Z_FINISH) != Z_STREAM_END)
		return err_set(err, ERR_INTERNAL, "packing failed");
	w->packed.len = most - w->z.avail_out;
	return true;
}

static int create_file(const char *path, struct err *err)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);

	if (fd < 0)
		err_set(err, ERR_FILE, "cannot write %s: %s", path, strerror(errno));
	return fd;
}

static void put_metadata(struct buf *out, const struct coll *c)
{
	uint64_t id[2] = {mix(c->salt ^ 0x75756964), mix(c->salt ^ 0x64697575)};
	char uuid[33];

	text_hex((const uint8_t *)id, sizeof id, uuid);
	buf_puts(out, "{\"indexes\":[{\"v\":{\"$numberInt\":\"2\"},\"key\":{\"_id\":{\"$numberInt\":\"1\"}},\"name\":"
		      "\"_id_\"}],"
		      "\"uuid\":\"");
	buf_puts(out, uuid);
	buf_puts(out, "\",\"collectionName\":");
	text_json_string(out, c->name, strlen(c->name));
	buf_puts(out, ",\"type\":\"collection\"}");
}

static bool write_metadata(struct output_worker *w, const struct coll *c, struct err *err)
{
	struct buf path, text;
	bool ok;
	int fd;

	buf_init(&path, 0);
	buf_init(&text, 0);
	put_metadata(&text, c);
	fd = create_file(file_path(w->o, &path, c->name, ".metadata.json"), err);
	ok = fd >= 0 && (!w->o->opts->gzip || pack(w, text.data, text.len, err));
	if (ok && w->o->opts->gzip)
		ok = write_all(fd, w->packed.data, w->packed.len, c->name, err);
	else if (ok)
		ok = write_all(fd, text.data, text.len, c->name, err);
	if (fd >= 0)
		close(fd);
	buf_free(&path);
	buf_free(&text);
	return ok;
}

static bool close_file(struct output *o, const char *collection, struct err *err)
{
	int fd = o->fd;

	o->fd = -1;
	if (fd >= 0 && close(fd) != 0)
		return err_set(err, ERR_FILE, "cannot write the file of %s: %s", collection, strerror(errno));
	return true;
}

static bool write_unit(struct output_worker *w, const struct coll *c, bool is_last, const struct gen *g,
		       struct err *err)
{
	struct output *o = w->o;
	struct buf path;

	if (o->fd < 0) {
		buf_init(&path, 0);
		o->fd = create_file(file_path(o, &path, c->name, ".bson"), err);
		buf_free(&path);
		if (o->fd < 0)
			return false;
	}
	if (o->opts->gzip ? !write_all(o->fd, w->packed.data, w->packed.len, c->name, err)
			  : !write_all(o->fd, g->out.data, g->out.len, c->name, err))
		return false;
	return !is_last || (close_file(o, c->name, err) && write_metadata(w, c, err));
}

/* Server. */

static bool server_failed(const bson_error_t *e, struct err *err)
{
	bool is_login = e->domain == MONGOC_ERROR_CLIENT && e->code == MONGOC_ERROR_CLIENT_AUTHENTICATE;
	enum err_code code = is_login                                     ? ERR_SOURCE_AUTH
			     : e->domain == MONGOC_ERROR_SERVER_SELECTION ? ERR_SOURCE_CONNECT
									  : ERR_SOURCE_READ;

	err_set(err, code, "%s",
		e->domain == MONGOC_ERROR_SERVER_SELECTION ? "the server cannot be reached"
							   : "the server refused the documents");
	return err_detail(err, "%s", e->message);
}

static bool check_collection(const struct output *o, mongoc_collection_t *coll, struct err *err)
{
	bson_error_t e;
	int64_t n = mongoc_collection_estimated_document_count(coll, NULL, NULL, NULL, &e);

	if (n < 0)
		return server_failed(&e, err);
	if (n == 0)
		return true;
	if (!o->opts->replace) {
		err_set(err, ERR_FILE, "collection %s holds documents already", mongoc_collection_get_name(coll));
		return err_hint(err, "choose another database, or have it replaced");
	}
	return mongoc_collection_drop(coll, &e) || server_failed(&e, err);
}

static bool check_server(struct output *o, struct err *err)
{
	mongoc_client_t *client = mongoc_client_pool_pop(o->pool);
	bool ok = true;

	for (size_t i = 0; ok && i < o->m->ncolls; i++) {
		mongoc_collection_t *coll = mongoc_client_get_collection(client, o->database, o->m->colls[i].name);
		ok = check_collection(o, coll, err);
		mongoc_collection_destroy(coll);
	}
	mongoc_client_pool_push(o->pool, client);
	return ok;
}

static bool open_server(struct output *o, struct err *err)
{
	mongoc_uri_t *uri;
	bson_error_t e;

	mongoc_init();
	uri = mongoc_uri_new_with_error(o->opts->uri, &e);
	if (!uri) {
		err_set(err, ERR_SOURCE_URI, "the server's address is not understood");
		return err_detail(err, "%s", e.message);
	}
	o->pool = mongoc_client_pool_new(uri);
	mongoc_uri_destroy(uri);
	if (!o->pool)
		return err_set(err, ERR_SOURCE_URI, "the server's address is not understood");
	mongoc_client_pool_set_error_api(o->pool, MONGOC_ERROR_API_VERSION_2);
	return check_server(o, err);
}

enum { INSERT_MOST = 1000 };

static bool insert_docs(mongoc_collection_t *coll, const bson_t **docs, size_t n, struct err *err)
{
	bson_t opts = BSON_INITIALIZER;
	bson_error_t e;
	bool ok;

	bson_append_bool(&opts, "ordered", -1, false);
	bson_append_bool(&opts, "validate", -1, false);
	ok = mongoc_collection_insert_many(coll, docs, n, &opts, NULL, &e);
	bson_destroy(&opts);
	return ok || server_failed(&e, err);
}

static bool insert_unit(struct output_worker *w, const struct coll *c, const struct gen *g, struct err *err)
{
	mongoc_collection_t *coll = mongoc_client_get_collection(w->client, w->o->database, c->name);
	bson_t *docs = mem_alloc(INSERT_MOST * sizeof *docs);
	const bson_t **lent = mem_alloc(INSERT_MOST * sizeof(bson_t *));
	size_t at = 0, n = 0;
	bool ok = true;

	while (ok && at < g->out.len) {
		int32_t size;
		memcpy(&size, g->out.data + at, 4);
		bson_init_static(&docs[n], g->out.data + at, (size_t)size);
		lent[n] = &docs[n];
		n++;
		at += (size_t)size;
		if (n == INSERT_MOST || at == g->out.len) {
			ok = insert_docs(coll, lent, n, err);
			n = 0;
		}
	}
	free(docs);
	free(lent);
	mongoc_collection_destroy(coll);
	return ok;
}

/* Both. */

bool output_open(struct output **out, const struct model *m, const struct synth_options *opts, const char *database,
		 struct err *err)
{
	struct output *o = mem_zalloc(sizeof *o);
	bool ok;

	*out = o;
	o->m = m;
	o->opts = opts;
	o->database = database;
	o->fd = -1;
	buf_init(&o->path, 0);
	ok = opts->folder ? open_folder(o, err) : open_server(o, err);
	if (ok && opts->fault_list) {
		o->faults = fopen(opts->fault_list, "we");
		if (!o->faults)
			return err_set(err, ERR_FILE, "cannot write %s: %s", opts->fault_list, strerror(errno));
		fputs("collection\t_id\tpath\tfault\n", o->faults);
	}
	return ok;
}

bool output_close(struct output *o, struct err *err)
{
	bool ok = true;

	if (o->faults && fflush(o->faults) != 0)
		ok = err_set(err, ERR_FILE, "cannot write %s: %s", o->opts->fault_list, strerror(errno));
	output_abort(o);
	return ok;
}

void output_abort(struct output *o)
{
	if (!o)
		return;
	if (o->fd >= 0)
		close(o->fd);
	if (o->faults)
		fclose(o->faults);
	if (o->pool)
		mongoc_client_pool_destroy(o->pool);
	buf_free(&o->path);
	free(o);
}

bool output_worker_open(struct output_worker **out, struct output *o, struct err *err)
{
	struct output_worker *w = mem_zalloc(sizeof *w);

	*out = w;
	w->o = o;
	buf_init(&w->packed, 0);
	if (o->pool)
		w->client = mongoc_client_pool_pop(o->pool);
	/* 15 bits of window and a gzip header without time or name: the same bytes every time. */
	if (deflateInit2(&w->z, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY) != Z_OK)
		return err_set(err, ERR_INTERNAL, "zlib does not start");
	return true;
}

void output_worker_close(struct output_worker *w)
{
	if (!w)
		return;
	deflateEnd(&w->z);
	if (w->client)
		mongoc_client_pool_push(w->o->pool, w->client);
	buf_free(&w->packed);
	free(w);
}

bool output_prepare(struct output_worker *w, const struct coll *c, const struct gen *g, struct err *err)
{
	if (w->client)
		return insert_unit(w, c, g, err);
	return !w->o->opts->gzip || pack(w, g->out.data, g->out.len, err);
}

bool output_write(struct output_worker *w, const struct coll *c, bool is_last, const struct gen *g, struct err *err)
{
	struct output *o = w->o;

	if (o->faults && g->faults.len > 0 && fwrite(g->faults.data, 1, g->faults.len, o->faults) != g->faults.len)
		return err_set(err, ERR_FILE, "cannot write %s: %s", o->opts->fault_list, strerror(errno));
	return w->client || write_unit(w, c, is_last, g, err);
}

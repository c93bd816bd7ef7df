/* dump_layout.c - a mongodump folder: which file holds which collection.
 *
 *   DUMP/<database>/<collection>.bson           also .bson.gz, .bson.zst
 *   DUMP/<database>/<collection>.metadata.json  options, uuid, the full name; compressed likewise
 *   DUMP/oplog.bson                             noted, not applied
 *
 * `path` may be DUMP (with one database in it, or one that is named) or DUMP/<database> itself. mongodump writes a
 * collection's name percent-encoded, and cuts it when that is too long; then "collectionName" in the metadata has it.
 */
#include <dirent.h>
#include <errno.h>
#include <jansson.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "doc.h"
#include "dump.h"
#include "extjson_read.h"
#include "sys.h"
#include "text.h"

#define METADATA_MAX (64u << 20)
#define CUT_LENGTH   238 /* mongodump: 208 bytes of the name, "%24", 27 characters of a digest */
#define CUT_MARK_AT  208

/* ---- file names ---- */

enum part { PART_NONE, PART_DOCUMENTS, PART_METADATA };

static const struct {
	const char *suffix;
	enum part part;
} suffixes[] = {
	{".bson", PART_DOCUMENTS},
	{".bson.gz", PART_DOCUMENTS},
	{".bson.zst", PART_DOCUMENTS},
	{".bson.zstd", PART_DOCUMENTS},
	{".metadata.json", PART_METADATA},
	{".metadata.json.gz", PART_METADATA},
	{".metadata.json.zst", PART_METADATA},
	{".metadata.json.zstd", PART_METADATA},
};

/* Also the length of the name without the suffix. */
static enum part part_of(const char *name, size_t *base)
{
	size_t n = strlen(name);
	for (size_t i = 0; i < sizeof(suffixes) / sizeof(suffixes[0]); i++) {
		size_t k = strlen(suffixes[i].suffix);
		if (n > k && strcmp(name + n - k, suffixes[i].suffix) == 0) {
			*base = n - k;
			return suffixes[i].part;
		}
	}
	return PART_NONE;
}

static bool is_oplog(const char *name)
{
	return strncmp(name, "oplog.bson", 10) == 0;
}

/* A name that holds no valid percent-encoding was written by an old mongodump as it is. */
const char *dump_decode_name(struct arena *a, const char *name)
{
	size_t n = strlen(name), k = 0;
	char *out = arena_alloc(a, n + 1);
	for (size_t i = 0; i < n; i++) {
		uint8_t c = (uint8_t)name[i];
		if (c == '%') {
			if (n - i < 3 || !text_unhex(name + i + 1, 2, &c) || c == 0)
				return name;
			i += 2;
		}
		out[k++] = (char)c;
	}
	return out;
}

static bool is_cut(const char *encoded)
{
	return strlen(encoded) == CUT_LENGTH && strncmp(encoded + CUT_MARK_AT, "%24", 3) == 0;
}

/* ---- folders ---- */

/* Does it hold dump files of a database itself? */
static bool is_database_folder(const char *path)
{
	DIR *d = opendir(path);
	const struct dirent *e;
	size_t base;
	bool yes = false;
	while (d && !yes && (e = readdir(d)))
		yes = part_of(e->d_name, &base) != PART_NONE && !is_oplog(e->d_name);
	if (d)
		closedir(d);
	return yes;
}

static bool is_file(struct arena *a, const char *folder, const char *name)
{
	struct stat st;
	return stat(arena_printf(a, "%s/%s", folder, name), &st) == 0 && S_ISREG(st.st_mode);
}

static bool has_oplog(struct arena *a, const char *folder)
{
	return is_file(a, folder, "oplog.bson") || is_file(a, folder, "oplog.bson.gz");
}

bool dump_is_servers_own(const char *database)
{
	return strcmp(database, "admin") == 0 || strcmp(database, "config") == 0 || strcmp(database, "local") == 0;
}

struct databases {
	const char *one;
	size_t n;
	struct buf names; /* for a message */
};

static int by_text(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static void keep_database(struct databases *found, const char *name)
{
	found->one = name;
	if (found->n++ > 0)
		buf_puts(&found->names, ", ");
	text_escape(&found->names, name, strlen(name));
}

static void list_databases(struct arena *a, const char *path, struct databases *found)
{
	DIR *d = opendir(path);
	const struct dirent *e;
	const char **names = NULL;
	size_t n = 0;
	while (d && (e = readdir(d))) {
		if (e->d_name[0] == '.' || !is_database_folder(arena_printf(a, "%s/%s", path, e->d_name)))
			continue;
		names = mem_realloc(names, (n + 1) * sizeof(*names));
		names[n++] = arena_strdup(a, e->d_name);
	}
	if (d)
		closedir(d);
	if (n > 0)
		qsort(names, n, sizeof(*names), by_text);
	for (size_t i = 0; i < n; i++)
		if (!dump_is_servers_own(names[i]))
			keep_database(found, names[i]);
	free(names);
}

bool dump_is_folder(struct arena *a, const char *path)
{
	struct databases found = {0};
	if (is_database_folder(path))
		return true;
	buf_init(&found.names, 0);
	list_databases(a, path, &found);
	buf_free(&found.names);
	return found.n > 0;
}

static const char *choose_name(struct arena *a, const char *path, const struct source_options *o,
			       const struct databases *found)
{
	if (o->database)
		return o->database;
	if (o->prefer && is_database_folder(arena_printf(a, "%s/%s", path, o->prefer)))
		return o->prefer;
	return found->n == 1 ? found->one : NULL;
}

static bool choose_among(struct dump_layout *l, struct arena *a, const char *path, const struct source_options *o,
			 struct databases *found, struct err *err)
{
	const char *name = choose_name(a, path, o, found);
	l->folder = name ? arena_printf(a, "%s/%s", path, name) : NULL;
	if (name && is_database_folder(l->folder)) {
		l->database = arena_strdup(a, name);
		l->has_oplog = has_oplog(a, path);
		return true;
	}
	if (found->n == 0) {
		err_set(err, ERR_SOURCE_URI, "the folder %s holds no dump", path);
		return err_hint(err,
				"give the folder that mongodump wrote (DUMP, with DUMP/DATABASE/COLLECTION.bson in "
				"it)");
	}
	if (name)
		err_set(err, ERR_SOURCE_URI, "the dump folder %s holds no database %s", path, name);
	else
		err_set(err, ERR_SOURCE_URI, "the dump folder %s holds several databases", path);
	err_detail(err, "it holds: %s", buf_cstr(&found->names));
	return err_hint(err, "name one of them in the mapping (source: {database: ...}), or give its folder");
}

static const char *last_part(struct arena *a, const char *path)
{
	char real[PATH_MAX];
	const char *slash = realpath(path, real) ? strrchr(real, '/') : NULL;
	return arena_strdup(a, slash && slash[1] ? slash + 1 : path);
}

static bool find_folder(struct dump_layout *l, struct arena *a, const char *path, const struct source_options *o,
			struct err *err)
{
	struct databases found = {0};
	if (is_database_folder(path)) {
		l->folder = arena_strdup(a, path);
		l->database = arena_strdup(a, o->database ? o->database : last_part(a, path));
		l->has_oplog = has_oplog(a, path) || has_oplog(a, arena_printf(a, "%s/..", path));
		return true;
	}
	buf_init(&found.names, 512);
	list_databases(a, path, &found);
	bool ok = choose_among(l, a, path, o, &found, err);
	buf_free(&found.names);
	return ok;
}

/* ---- metadata ---- */

static const char *json_text(struct arena *a, const json_t *object, const char *key)
{
	const json_t *v = json_object_get(object, key);
	return json_is_string(v) ? arena_strndup(a, json_string_value(v), json_string_length(v)) : NULL;
}

static enum source_kind kind_of(const json_t *root)
{
	const json_t *options = json_object_get(root, "options"), *type = json_object_get(root, "type");
	const char *t = json_is_string(type) ? json_string_value(type) : "";
	if (json_object_get(options, "viewOn") || strcmp(t, "view") == 0)
		return SOURCE_VIEW;
	if (json_object_get(options, "timeseries") || strcmp(t, "timeseries") == 0)
		return SOURCE_TIMESERIES;
	if (json_object_get(options, "clusteredIndex"))
		return SOURCE_CLUSTERED;
	return json_is_true(json_object_get(options, "capped")) ? SOURCE_CAPPED : SOURCE_COLLECTION;
}

/* An array's elements, each a BSON document, into the arena. */
static void take_indexes(struct arena *a, struct dump_file *f, const struct val *list)
{
	struct doc_iter it;
	struct field e;
	size_t n = 0;
	if (!doc_iter_val(&it, list))
		return;
	while (doc_iter_next(&it, &e))
		n += e.val.kind == BSON_K_DOCUMENT;
	f->indexes = arena_alloc(a, (n + 1) * sizeof(*f->indexes));
	f->has_indexes = true;
	(void)doc_iter_val(&it, list);
	while (doc_iter_next(&it, &e))
		if (e.val.kind == BSON_K_DOCUMENT)
			f->indexes[f->nindexes++] =
				(struct source_index){arena_memdup(a, e.val.data, e.val.len), e.val.len};
}

static bool no_more(struct extjson_input *in)
{
	(void)in;
	return false;
}

/* The indexes hold Extended JSON (dates, ids and numbers of partial indexes), so the text is read as such. */
static void read_indexes(struct arena *a, struct dump_file *f, const char *text, size_t len)
{
	struct extjson_input in = {.p = (const uint8_t *)text, .end = (const uint8_t *)text + len, .more = no_more};
	struct extjson_reader *r = extjson_reader_new();
	const char *trouble;
	struct val list;
	struct buf out;
	buf_init(&out, METADATA_MAX);
	while (in.p < in.end && *in.p != '{')
		in.p++;
	if (extjson_read(r, &in, &out, &trouble) && doc_find(out.data, out.len, "indexes", &list) &&
	    list.kind == BSON_K_ARRAY)
		take_indexes(a, f, &list);
	buf_free(&out);
	extjson_reader_free(r);
}

static void take_object(struct arena *a, struct dump_file *f, const json_t *root)
{
	const char *name = json_text(a, root, "collectionName"), *uuid = json_text(a, root, "uuid");
	if (name && *name)
		f->name = name;
	if (uuid && strlen(uuid) == 32)
		(void)text_unhex(uuid, 32, f->uuid);
	f->kind = kind_of(root);
}

void dump_take_metadata(struct arena *a, struct dump_file *f, const char *text, size_t len, const char *origin)
{
	json_error_t e = {0};
	json_t *root = json_loadb(text, len, JSON_ALLOW_NUL, &e);
	if (!root)
		log_line(LOG_WARN, "%s is not understood (line %d: %s) and left aside", origin, e.line, e.text);
	if (json_is_object(root)) {
		take_object(a, f, root);
		read_indexes(a, f, text, len);
	}
	json_decref(root);
}

static void read_metadata(struct arena *a, struct dump_file *f, const char *path)
{
	struct err err;
	struct buf text;
	buf_init(&text, METADATA_MAX + (1u << 20));
	if (dump_read_file(path, METADATA_MAX, &text, &err))
		dump_take_metadata(a, f, (const char *)text.data, text.len, path);
	else
		log_line(LOG_WARN, "%s: %s; left aside", err.message, err.detail);
	buf_free(&text);
}

/* ---- files ---- */

struct entry { /* one file of the folder */
	const char *encoded, *path;
	enum part part;
};

struct entries {
	struct entry *items;
	size_t n, cap;
};

static void keep_entry(struct arena *a, struct entries *all, const char *folder, const char *name)
{
	size_t base;
	enum part part = part_of(name, &base);
	if (part == PART_NONE || is_oplog(name))
		return;
	if (all->n == all->cap) {
		all->cap = all->cap ? all->cap * 2 : 64;
		all->items = mem_realloc(all->items, all->cap * sizeof(*all->items));
	}
	all->items[all->n++] = (struct entry){.encoded = arena_strndup(a, name, base),
					      .path = arena_printf(a, "%s/%s", folder, name),
					      .part = part};
}

static int by_entry(const void *pa, const void *pb)
{
	const struct entry *a = pa, *b = pb;
	int c = strcmp(a->encoded, b->encoded);
	return c ? c : (a->part != b->part ? (int)a->part - (int)b->part : strcmp(a->path, b->path));
}

static bool read_folder(struct arena *a, const char *folder, struct entries *all, struct err *err)
{
	DIR *d = opendir(folder);
	const struct dirent *e;
	if (!d) {
		err_set(err, ERR_SOURCE_CONNECT, "cannot open the dump folder %s", folder);
		return err_detail(err, "%s", strerror(errno));
	}
	while ((e = readdir(d)))
		keep_entry(a, all, folder, e->d_name);
	closedir(d);
	if (all->n > 0)
		qsort(all->items, all->n, sizeof(*all->items), by_entry);
	return true;
}

/* The entries items[i..j) belong to one collection. */
static bool make_file(struct arena *a, const struct entry *items, size_t n, struct dump_file *f, struct err *err)
{
	*f = (struct dump_file){.name = dump_decode_name(a, items[0].encoded), .framing = &dump_bson};
	bool named = !is_cut(items[0].encoded);
	for (size_t i = 0; i < n; i++) {
		if (items[i].part == PART_METADATA) {
			const char *decoded = f->name;
			read_metadata(a, f, items[i].path);
			named = named || f->name != decoded;
		} else if (f->file.path) {
			err_set(err, ERR_SOURCE_CORRUPT, "the dump has the collection %s in two files", f->name);
			err_detail(err, "%s and %s", f->file.path, items[i].path);
			return err_hint(err, "keep the one that belongs to this dump and move the other away");
		} else {
			f->file = (struct content_file){items[i].path, items[i].path, content_points_new(0)};
		}
	}
	if (f->kind == SOURCE_VIEW && f->file.path) /* mongodump --viewsAsCollections */
		f->kind = SOURCE_COLLECTION;
	f->skipped = strncmp(f->name, "system.", 7) == 0 || !named;
	if (!named)
		log_line(LOG_WARN, "%s: mongodump cut the collection's name and no metadata has it; skipped",
			 items[0].path);
	return true;
}

static bool make_files(struct dump_layout *l, struct arena *a, const struct entries *all, struct err *err)
{
	l->files = arena_alloc(a, (all->n + 1) * sizeof(*l->files));
	for (size_t i = 0, j; i < all->n; i = j) {
		for (j = i + 1; j < all->n && strcmp(all->items[i].encoded, all->items[j].encoded) == 0;)
			j++;
		if (!make_file(a, all->items + i, j - i, &l->files[l->n++], err))
			return false;
	}
	return dump_layout_sort(l, err);
}

bool dump_folder_find(struct dump_layout *l, struct arena *a, const char *path, const struct source_options *o,
		      struct err *err)
{
	struct entries all = {0};
	l->noun = "dump folder";
	bool ok = find_folder(l, a, path, o, err) && read_folder(a, l->folder, &all, err) &&
		  make_files(l, a, &all, err);
	free(all.items);
	return ok;
}

/* ---- any layout ---- */

static int by_name(const void *a, const void *b)
{
	return strcmp(((const struct dump_file *)a)->name, ((const struct dump_file *)b)->name);
}

bool dump_layout_sort(struct dump_layout *l, struct err *err)
{
	if (l->n > 0)
		qsort(l->files, l->n, sizeof(*l->files), by_name);
	for (size_t i = 1; i < l->n; i++)
		if (strcmp(l->files[i - 1].name, l->files[i].name) == 0)
			return err_set(err, ERR_SOURCE_CORRUPT, "two files of the dump claim the collection %s",
				       l->files[i].name);
	return true;
}

void dump_layout_free(struct dump_layout *l)
{
	for (size_t i = 0; !l->free_whole && i < l->n; i++)
		content_points_free(l->files[i].file.points);
	if (l->free_whole)
		l->free_whole(l->whole);
}

bool dump_refuse_kind(const struct dump_file *f, struct err *err)
{
	if (f->kind == SOURCE_VIEW) {
		err_set(err, ERR_SOURCE_READ, "%s is a view, and the dump does not hold its documents", f->name);
		return err_hint(err, "dump with --viewsAsCollections, or read from the live server");
	}
	if (f->kind == SOURCE_TIMESERIES) {
		err_set(err, ERR_SOURCE_READ,
			"%s is a time-series collection, of which a dump holds only packed buckets", f->name);
		return err_hint(err, "read it from the live server");
	}
	err_set(err, ERR_SOURCE_CORRUPT, "the dump has metadata of the collection %s but no documents", f->name);
	return err_hint(err, "the file %s.bson is missing: copy the dump again", f->name);
}

const struct dump_file *dump_layout_file(const struct dump_layout *l, const char *collection, struct err *err)
{
	const struct dump_file *f = dump_layout_entry(l, collection, err);
	return f && (f->file.path || dump_refuse_kind(f, err)) ? f : NULL;
}

const struct dump_file *dump_layout_entry(const struct dump_layout *l, const char *collection, struct err *err)
{
	struct dump_file key = {.name = collection};
	const struct dump_file *f = l->n ? bsearch(&key, l->files, l->n, sizeof(*l->files), by_name) : NULL;
	if (f)
		return f;
	err_set(err, ERR_COLLECTION_MISSING, "there is no collection %s in the dump of database %s", collection,
		l->database);
	err_hint(err, "check the collection's name in the mapping (upper and lower case differ) and the dump folder");
	return NULL;
}

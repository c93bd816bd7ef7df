/* export_layout.c - a JSON export, as mongoexport writes it: a file NAME.json holds the collection NAME.
 *
 * A folder of such files, or one of them. They may be compressed (.json.gz, .json.zst), and be called .jsonl or
 * .ndjson. As in a dump, a character that a file's name cannot have is written as %XX.
 */
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "dump.h"

static const char *const suffixes[] = {".json", ".jsonl", ".ndjson"};
static const char *const packings[] = {"", ".gz", ".zst", ".zstd"};

static bool ends_with(const char *s, size_t n, const char *end, size_t *rest)
{
	size_t k = strlen(end);
	if (n <= k || memcmp(s + n - k, end, k) != 0)
		return false;
	*rest = n - k;
	return true;
}

/* Also the length of the collection's name in it. */
static bool is_export(const char *file, size_t *base)
{
	size_t n = strlen(file), m, ignored;
	for (size_t i = 0; i < sizeof(packings) / sizeof(packings[0]); i++) {
		if (!ends_with(file, n, packings[i], &m))
			continue;
		for (size_t k = 0; k < sizeof(suffixes) / sizeof(suffixes[0]); k++)
			if (ends_with(file, m, suffixes[k], base))
				return !ends_with(file, *base, ".metadata", &ignored);
	}
	return false;
}

static const char *last_part(const char *path)
{
	const char *slash = strrchr(path, '/');
	return slash ? slash + 1 : path;
}

bool dump_is_export(const char *path)
{
	size_t base;
	return is_export(last_part(path), &base);
}

static void keep_file(struct dump_layout *l, struct arena *a, size_t *cap, const char *path, size_t base)
{
	if (l->n == *cap) {
		struct dump_file *more = arena_alloc(a, (*cap = *cap ? *cap * 2 : 16) * sizeof(*more));
		if (l->n > 0)
			memcpy(more, l->files, l->n * sizeof(*more));
		l->files = more;
	}
	l->files[l->n] = (struct dump_file){.name = dump_decode_name(a, arena_strndup(a, last_part(path), base)),
					    .file = {path, path, content_points_new(0)},
					    .framing = &dump_json};
	l->files[l->n].skipped = strncmp(l->files[l->n].name, "system.", 7) == 0;
	l->n++;
}

static bool read_folder(struct dump_layout *l, struct arena *a, const char *path, struct err *err)
{
	DIR *d = opendir(path);
	const struct dirent *e;
	size_t base, cap = 0;
	if (!d) {
		err_set(err, ERR_SOURCE_CONNECT, "cannot open the folder %s", path);
		return err_detail(err, "%s", strerror(errno));
	}
	while ((e = readdir(d)))
		if (is_export(e->d_name, &base))
			keep_file(l, a, &cap, arena_printf(a, "%s/%s", path, e->d_name), base);
	closedir(d);
	return dump_layout_sort(l, err);
}

bool dump_has_exports(const char *path)
{
	DIR *d = opendir(path);
	const struct dirent *e;
	size_t base;
	bool yes = false;
	while (d && !yes && (e = readdir(d)))
		yes = is_export(e->d_name, &base);
	if (d)
		closedir(d);
	return yes;
}

/* An export names no database: the mapping's, else the folder's name. */
static void name_database(struct dump_layout *l, struct arena *a, const char *path, bool is_folder,
			  const struct source_options *o)
{
	char real[PATH_MAX];
	const char *name = o->database ? o->database : o->prefer;
	if (!name && realpath(path, real)) {
		if (!is_folder && strrchr(real, '/'))
			*strrchr(real, '/') = 0;
		name = last_part(real);
	}
	l->database = arena_strdup(a, name && *name ? name : "export");
}

bool dump_export_find(struct dump_layout *l, struct arena *a, const char *path, bool is_folder,
		      const struct source_options *o, struct err *err)
{
	size_t base, cap = 0;
	l->noun = is_folder ? "export folder" : "export file";
	l->folder = arena_strdup(a, path);
	l->is_export = true;
	name_database(l, a, path, is_folder, o);
	if (is_folder)
		return read_folder(l, a, path, err);
	if (is_export(last_part(path), &base))
		keep_file(l, a, &cap, l->folder, base);
	return true;
}

/* mapping.c - loads a mapping: finds the file, reads it, checks all of it.
 *
 * mapping_load or mapping_parse → use → mapping_free. Nothing here knows a server.
 */
#include <dirent.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "map_private.h"
#include "mapping_dir.h"
#include "sys.h"

#define PLACES_MAX 16

/* ---- text → mapping ---- */

/* "nextcrm" of "mappings/nextcrm.yaml" */
static const char *name_of(struct arena *a, const char *file)
{
	const char *slash = strrchr(file, '/');
	const char *base = slash != NULL ? slash + 1 : file;
	size_t n = strlen(base);
	if (n > 5 && strcmp(base + n - 5, ".yaml") == 0)
		n -= 5;
	else if (n > 4 && strcmp(base + n - 4, ".yml") == 0)
		n -= 4;
	return arena_strndup(a, base, n);
}

static void read_and_check(struct mapping *m, struct complaints *c)
{
	yaml_document_t doc;
	if (!map_yaml_load(&doc, m->text, m->text_len, c))
		return;
	map_read(m, &doc, c);
	yaml_document_delete(&doc);
	map_settle(m, c);
	struct schema schema;
	struct arena *a = arena_new();
	map_schema_build(&schema, a, m, NULL, c);
	arena_free(a);
}

bool mapping_parse(struct mapping **out, const char *file, const char *text, size_t len, struct buf *report,
		   struct err *err)
{
	struct arena *a = arena_new();
	struct mapping *m = arena_alloc(a, sizeof *m);
	m->arena = a;
	m->file = arena_strdup(a, file);
	m->name = name_of(a, file);
	m->text = arena_strndup(a, text, len);
	m->text_len = len;
	sha256(text, len, m->digest);
	struct complaints c = {.arena = a, .file = m->file};
	read_and_check(m, &c);
	if (!complaints_finish(&c, "docs/mapping.md describes every key", report, err)) {
		mapping_free(m);
		return false;
	}
	*out = m;
	return true;
}

void mapping_free(struct mapping *m)
{
	if (m != NULL)
		arena_free(m->arena);
}

const char *map_path_text(struct arena *a, const char *const *path, size_t n)
{
	struct buf b;
	bool plain = true;
	for (size_t i = 0; i < n; i++)
		plain = plain && path[i][0] != '\0' && path[i][0] != '$' && strchr(path[i], '.') == NULL;
	buf_init(&b, 0);
	for (size_t i = 0; i < n; i++)
		buf_printf(&b, plain ? "%s%s" : "%s\"%s\"", i == 0 ? "" : plain ? "." : ",", path[i]);
	const char *text =
		plain ? arena_strdup(a, n == 0 ? "." : buf_cstr(&b)) : arena_printf(a, "[%s]", buf_cstr(&b));
	buf_free(&b);
	return text;
}

/* ---- where mappings are ---- */

struct places {
	const char *dirs[PLACES_MAX];
	size_t n;
};

static void add_place(struct places *p, const char *dir)
{
	if (p->n < PLACES_MAX && dir[0] != '\0')
		p->dirs[p->n++] = dir;
}

static void add_listed(struct arena *a, struct places *p, const char *list)
{
	for (const char *s = list; s != NULL && *s != '\0';) {
		size_t n = strcspn(s, ":");
		add_place(p, arena_strndup(a, s, n));
		s += n + (s[n] == ':');
	}
}

/* Beside the program: as installed elsewhere than planned, or as built within the source tree. */
static void add_beside(struct arena *a, struct places *p)
{
	char exe[4096];
	ssize_t n = readlink("/proc/self/exe", exe, sizeof exe - 1);
	if (n <= 0)
		return;
	exe[n] = '\0';
	char *slash = strrchr(exe, '/');
	if (slash == NULL)
		return;
	*slash = '\0';
	add_place(p, arena_printf(a, "%s/../share/docrow/mappings", exe));
	add_place(p, arena_printf(a, "%s/mappings", exe));
	add_place(p, arena_printf(a, "%s/../mappings", exe));
	add_place(p, arena_printf(a, "%s/../../mappings", exe));
}

static void find_places(struct arena *a, struct places *p)
{
	*p = (struct places){0};
	add_listed(a, p, getenv("DOCROW_MAPPINGS"));
	add_beside(a, p);
	add_place(p, MAPPING_DIR);
}

static bool ends_with(const char *s, const char *end)
{
	size_t n = strlen(s), m = strlen(end);
	return n >= m && strcmp(s + n - m, end) == 0;
}

static bool is_file(const char *path)
{
	struct stat st;
	return stat(path, &st) == 0 && !S_ISDIR(st.st_mode);
}

static int by_text(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static bool is_known(const char **names, size_t n, const char *name)
{
	for (size_t i = 0; i < n; i++)
		if (strcmp(names[i], name) == 0)
			return true;
	return false;
}

size_t mapping_installed(struct arena *a, const char ***out)
{
	struct places p;
	size_t n = 0, cap = 64;
	const char **names = arena_alloc(a, cap * sizeof *names);
	find_places(a, &p);
	for (size_t i = 0; i < p.n; i++) {
		DIR *d = opendir(p.dirs[i]);
		if (d == NULL)
			continue;
		for (struct dirent *e = readdir(d); e != NULL && n < cap; e = readdir(d)) {
			const char *name = name_of(a, e->d_name);
			if (ends_with(e->d_name, ".yaml") && e->d_name[0] != '.' && !is_known(names, n, name))
				names[n++] = name;
		}
		closedir(d);
	}
	qsort(names, n, sizeof *names, by_text);
	*out = names;
	return n;
}

static bool no_such_mapping(struct arena *a, const char *name, struct err *err)
{
	const char **names;
	size_t n = mapping_installed(a, &names);
	struct buf list;
	buf_init(&list, 0);
	for (size_t i = 0; i < n; i++)
		buf_printf(&list, "%s%s", i == 0 ? "" : ", ", names[i]);
	err_set(err, ERR_MAPPING_MISSING, "there is no mapping named \"%s\"", name);
	err_detail(err, "installed: %s%s", n == 0 ? "none" : buf_cstr(&list), map_suggest(a, name, names, n));
	err_hint(err, "a file of your own is given by its path: ./%s.yaml", name);
	buf_free(&list);
	return false;
}

static const char *find_file(struct arena *a, const char *name_or_path, struct err *err)
{
	struct places p;
	if (strchr(name_or_path, '/') != NULL || ends_with(name_or_path, ".yaml") ||
	    ends_with(name_or_path, ".yml")) {
		if (is_file(name_or_path))
			return name_or_path;
		err_set(err, ERR_MAPPING_MISSING, "there is no file %s", name_or_path);
		err_hint(err, "docrow mapping list shows the installed mappings, which go by their name");
		return NULL;
	}
	find_places(a, &p);
	for (size_t i = 0; i < p.n; i++) {
		const char *path = arena_printf(a, "%s/%s.yaml", p.dirs[i], name_or_path);
		if (is_file(path))
			return path;
	}
	no_such_mapping(a, name_or_path, err);
	return NULL;
}

bool mapping_load(struct mapping **m, const char *name_or_path, struct buf *report, struct err *err)
{
	struct arena *a = arena_new();
	struct buf text;
	buf_init(&text, 0);
	const char *path = find_file(a, name_or_path, err);
	bool ok = path != NULL && file_read(path, MAP_FILE_MAX, &text, err) &&
		  mapping_parse(m, path, (const char *)text.data, text.len, report, err);
	buf_free(&text);
	arena_free(a);
	return ok;
}

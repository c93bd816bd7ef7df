/* plan_choose.c - --only and --skip: from patterns to the names of collections that a run leaves out.
 *
 * The result is a text, one escaped name a line, that a run keeps: a resume compares it and builds its plan from it.
 */
#include <fnmatch.h>
#include <stdlib.h>

#include "map_private.h"
#include "plan_private.h"
#include "text.h"

static void put_name(struct buf *out, const char *name)
{
	text_escape(out, name, strlen(name));
}

bool plan_is_listed(const char *list, const char *name)
{
	_cleanup_(buf_free) struct buf text = {0};
	put_name(&text, name);
	for (const char *line = list; *line != '\0';) {
		size_t n = strcspn(line, "\n");
		if (n == text.len && memcmp(line, text.data, n) == 0)
			return true;
		line += n + (line[n] == '\n');
	}
	return false;
}

/* ---- patterns ---- */

struct chooser {
	const struct mapping *m;
	struct arena *arena;
	struct err *err;
};

static bool has_wildcard(const char *pattern)
{
	return strpbrk(pattern, "*?[\\") != NULL;
}

/* The names that are nearest to a misspelt one; of a pattern its plain beginning is compared. */
static void hint_nearest(const struct chooser *ch, const char *pattern)
{
	const char *plain = arena_strndup(ch->arena, pattern, strcspn(pattern, "*?[\\"));
	_cleanup_(buf_free) struct buf near = {0};
	size_t told = 0;
	for (size_t i = 0; i < ch->m->ncollections; i++) {
		const char *name = ch->m->collections[i].name;
		size_t n = strlen(plain) > 3 ? 3 : strlen(plain);
		bool is_near = map_suggest(ch->arena, pattern, &name, 1)[0] != '\0' ||
			       (n == 3 && strncasecmp(name, plain, n) == 0);
		if (!is_near || told++ >= 5)
			continue;
		buf_puts(&near, near.len > 0 ? ", " : "");
		put_name(&near, name);
	}
	if (near.len > 0)
		err_hint(ch->err, "near to it: %s", buf_cstr(&near));
	else
		err_hint(ch->err, "docrow mapping show lists the mapping's collections");
}

static bool take_pattern(const struct chooser *ch, const char *option, const char *pattern, bool *chosen)
{
	bool any = false;
	for (size_t i = 0; i < ch->m->ncollections; i++) {
		const struct map_collection *k = &ch->m->collections[i];
		if (fnmatch(pattern, k->name, 0) != 0 && fnmatch(pattern, k->source, 0) != 0)
			continue;
		chosen[i] = any = true;
	}
	if (any)
		return true;
	err_set(ch->err, ERR_USAGE, "--%s: no collection of the mapping %s \"%s\"", option,
		has_wildcard(pattern) ? "matches" : "is called", pattern);
	hint_nearest(ch, pattern);
	return false;
}

/* Each text is a list of patterns parted by commas. */
static bool take_patterns(const struct chooser *ch, const char *option, const char *const *texts, size_t n,
			  bool *chosen)
{
	for (size_t i = 0; i < n; i++) {
		for (const char *s = texts[i]; *s != '\0';) {
			size_t len = strcspn(s, ",");
			const char *p = s;
			for (; len > 0 && *p == ' '; len--)
				p++;
			while (len > 0 && p[len - 1] == ' ')
				len--;
			if (len > 0 && !take_pattern(ch, option, arena_strndup(ch->arena, p, len), chosen))
				return false;
			s += strcspn(s, ",");
			s += *s == ',';
		}
	}
	return true;
}

static bool put_left_out(const struct chooser *ch, const bool *only, bool has_only, const bool *skip,
			 struct buf *left_out)
{
	size_t kept = 0;
	for (size_t i = 0; i < ch->m->ncollections; i++) {
		if ((has_only && !only[i]) || skip[i]) {
			put_name(left_out, ch->m->collections[i].name);
			buf_putc(left_out, '\n');
		} else {
			kept++;
		}
	}
	if (kept > 0)
		return true;
	err_set(ch->err, ERR_USAGE, "--only and --skip leave no collection to move");
	return err_hint(ch->err, "docrow mapping show lists the mapping's collections");
}

bool plan_choose(const struct mapping *m, const char *const *only, size_t nonly, const char *const *skip,
		 size_t nskip, struct buf *left_out, struct err *err)
{
	struct chooser ch = {.m = m, .arena = arena_new(), .err = err};
	bool *in = arena_alloc(ch.arena, m->ncollections + 1), *out = arena_alloc(ch.arena, m->ncollections + 1);
	bool ok = take_patterns(&ch, "only", only, nonly, in) && take_patterns(&ch, "skip", skip, nskip, out) &&
		  put_left_out(&ch, in, nonly > 0, out, left_out);
	arena_free(ch.arena);
	return ok;
}

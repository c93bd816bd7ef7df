/* map_style.c - names that the mapping does not give, made of those that it does: tables of collections, columns of
 * fields, keys and indexes of tables and columns; in the mapping's case style.
 *
 * A name that gets too long is cut and a hash of the whole put in, so it stays the same whatever else changes.
 */
#include "map_private.h"

static bool is_upper(char c)
{
	return c >= 'A' && c <= 'Z';
}

static bool is_lower(char c)
{
	return c >= 'a' && c <= 'z';
}

/* Letters of other scripts are letters, too; they have no case here. */
static bool is_word(char c)
{
	return is_upper(c) || is_lower(c) || (c >= '0' && c <= '9') || (c & 0x80) != 0;
}

/* Does a word begin at s[i], after s[i - 1] of one? userName, HTTPServer → HTTP, Server; accountIDs → account, IDs.
 */
static bool begins(const char *s, size_t i)
{
	if (!is_upper(s[i]))
		return false;
	if (!is_upper(s[i - 1]))
		return true;
	bool plural = s[i + 1] == 's' && !is_lower(s[i + 2]);
	return is_lower(s[i + 1]) && !plural;
}

/* The next word of s from *at on: its place and length; false at the end. */
static bool next_word(const char *s, size_t *at, size_t *from, size_t *len)
{
	size_t i = *at;
	while (s[i] != '\0' && !is_word(s[i]))
		i++;
	*from = i;
	while (s[i] != '\0' && is_word(s[i]) && (i == *from || !begins(s, i)))
		i++;
	*at = i;
	*len = i - *from;
	return *len > 0;
}

static char lower(char c)
{
	return is_upper(c) ? (char)(c - 'A' + 'a') : c;
}

static char upper(char c)
{
	return is_lower(c) ? (char)(c - 'a' + 'A') : c;
}

static void put_word(struct buf *out, enum map_names style, const char *word, size_t len, bool first)
{
	bool capital = style == MAP_NAMES_PASCAL || (style == MAP_NAMES_CAMEL && !first);
	if (style == MAP_NAMES_SNAKE && !first)
		buf_putc(out, '_');
	for (size_t i = 0; i < len; i++)
		buf_putc(out, capital && i == 0 ? upper(word[0]) : lower(word[i]));
}

static void put_styled(struct buf *out, enum map_names style, const char *text)
{
	size_t at = 0, from, len, start = out->len;
	bool first = true;
	for (; style != MAP_NAMES_AS_IS && next_word(text, &at, &from, &len); first = false)
		put_word(out, style, text + from, len, first);
	if (out->len == start) /* as it is; or nothing of it is a word */
		buf_puts(out, text);
}

const char *map_made_name(struct arena *a, const struct mapping *m, const char *text, const char *suffix)
{
	_cleanup_(buf_free) struct buf base = {0};
	_cleanup_(buf_free) struct buf end = {0};
	_cleanup_(buf_free) struct buf name = {0};
	bool joined = m->names == MAP_NAMES_CAMEL || m->names == MAP_NAMES_PASCAL;
	put_styled(&base, m->names, text);
	if (joined && suffix[0] == '_')
		put_word(&end, MAP_NAMES_PASCAL, suffix + 1, strlen(suffix + 1), false);
	else
		buf_puts(&end, suffix);
	schema_derived_name(&name, buf_cstr(&base), buf_cstr(&end));
	return arena_strdup(a, buf_cstr(&name));
}

const char *map_fkey_name(struct arena *a, const struct mapping *m, const char *table, const char *column)
{
	return map_made_name(a, m, arena_printf(a, "%s_%s", table, column), "_fkey");
}

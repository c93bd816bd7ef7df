/* term.c - see term.h. Pure but for the questions to the terminal and to the environment. */
#include "term.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "text.h"

struct range {
	uint32_t first, last;
};

/* Combining marks, joiners and variation selectors: they take no column of their own. */
static const struct range no_width[] = {{0x0300, 0x036f}, {0x0483, 0x0489}, {0x0591, 0x05bd}, {0x0610, 0x061a},
					{0x064b, 0x065f}, {0x0e34, 0x0e3a}, {0x1ab0, 0x1aff}, {0x1dc0, 0x1dff},
					{0x200b, 0x200f}, {0x202a, 0x202e}, {0x2060, 0x2064}, {0x20d0, 0x20ff},
					{0xfe00, 0xfe0f}, {0xfe20, 0xfe2f}, {0xfeff, 0xfeff}, {0xe0100, 0xe01ef}};

/* East Asian wide and full-width characters, and emoji: two columns. */
static const struct range two_wide[] = {
	{0x1100, 0x115f},   {0x231a, 0x231b},   {0x2e80, 0x303e},   {0x3041, 0x33ff},
	{0x3400, 0x4dbf},   {0x4e00, 0x9fff},   {0xa000, 0xa4cf},   {0xac00, 0xd7a3},
	{0xf900, 0xfaff},   {0xfe30, 0xfe6f},   {0xff00, 0xff60},   {0xffe0, 0xffe6},
	{0x1f300, 0x1f64f}, {0x1f680, 0x1f6ff}, {0x1f900, 0x1f9ff}, {0x20000, 0x3fffd}};

static bool in_ranges(const struct range *r, size_t n, uint32_t c)
{
	for (size_t i = 0; i < n; i++)
		if (c >= r[i].first && c <= r[i].last)
			return true;
	return false;
}

static size_t char_width(uint32_t c)
{
	if (c < 0x300)
		return 1;
	if (in_ranges(no_width, sizeof(no_width) / sizeof(no_width[0]), c))
		return 0;
	return in_ranges(two_wide, sizeof(two_wide) / sizeof(two_wide[0]), c) ? 2 : 1;
}

/* The character at s and its length in bytes; a byte that starts no valid sequence is taken alone, as '?'. */
static size_t decode(const char *s, size_t n, uint32_t *c)
{
	const uint8_t *p = (const uint8_t *)s;
	size_t len = p[0] < 0x80 ? 1 : p[0] >= 0xf0 && p[0] < 0xf5 ? 4 : p[0] >= 0xe0 ? 3 : p[0] >= 0xc2 ? 2 : 0;

	*c = '?';
	if (len == 1)
		*c = p[0] < 0x20 || p[0] == 0x7f ? '?' : p[0];
	if (len <= 1)
		return 1;
	if (p[0] >= 0xf5 || len > n || utf8_check(s, len, NULL) != UTF8_OK)
		return 1;
	*c = p[0] & (0xffu >> (len + 1));
	for (size_t i = 1; i < len; i++)
		*c = *c << 6 | (p[i] & 0x3fu);
	if (*c < 0xa0) /* C1 controls */
		*c = '?';
	return len;
}

static int number_from_environment(const char *name, int otherwise)
{
	const char *text = getenv(name);
	int64_t v = 0;

	if (text && text_parse_i64(text, strlen(text), &v) && v > 0 && v < 10000)
		return (int)v;
	return otherwise;
}

int term_columns(int fd)
{
	struct winsize ws;

	if (ioctl(fd, TIOCGWINSZ, &ws) == 0 && ws.ws_col > 0)
		return ws.ws_col;
	return number_from_environment("COLUMNS", 80);
}

int term_rows(int fd)
{
	struct winsize ws;

	if (ioctl(fd, TIOCGWINSZ, &ws) == 0 && ws.ws_row > 0)
		return ws.ws_row;
	return number_from_environment("LINES", 24);
}

bool term_is_screen(int fd)
{
	const char *term = getenv("TERM");

	return isatty(fd) == 1 && term && term[0] != '\0' && strcmp(term, "dumb") != 0;
}

bool term_has_colour(int fd)
{
	const char *no = getenv("NO_COLOR");
	const char *force = getenv("CLICOLOR_FORCE");

	if (no && no[0] != '\0')
		return false;
	if (force && force[0] != '\0' && strcmp(force, "0") != 0)
		return true;
	return term_is_screen(fd);
}

bool term_is_utf8(void)
{
	static const char *const names[] = {"LC_ALL", "LC_CTYPE", "LANG"};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		const char *v = getenv(names[i]);
		if (v && v[0] != '\0')
			return strcasestr(v, "utf-8") != NULL || strcasestr(v, "utf8") != NULL;
	}
	return false;
}

size_t term_width(const char *s, size_t n)
{
	size_t width = 0;

	for (size_t i = 0; i < n;) {
		uint32_t c;
		i += decode(s + i, n - i, &c);
		width += char_width(c);
	}
	return width;
}

size_t term_fit(struct buf *out, const char *s, size_t n, size_t width, bool utf8)
{
	size_t used = 0;
	bool whole = term_width(s, n) <= width;
	size_t room = whole ? width : width > 0 ? width - 1 : 0;

	for (size_t i = 0; i < n;) {
		uint32_t c;
		size_t len = decode(s + i, n - i, &c);
		size_t w = char_width(c);
		if (used + w > room)
			break;
		if (len == 1)
			buf_putc(out, (char)c);
		else if (utf8)
			buf_put(out, s + i, len);
		else
			for (size_t k = 0; k < w; k++)
				buf_putc(out, '?');
		used += w;
		i += len;
	}
	if (!whole && width > 0) {
		buf_puts(out, utf8 ? "…" : "~");
		used++;
	}
	return used;
}

static void blanks(struct buf *out, size_t n)
{
	while (n-- > 0)
		buf_putc(out, ' ');
}

void term_cell(struct buf *out, const char *s, size_t width, bool right_aligned, bool utf8)
{
	size_t n = strlen(s);
	size_t w = term_width(s, n);

	if (right_aligned && w < width)
		blanks(out, width - w);
	size_t used = term_fit(out, s, n, width, utf8);
	if (!right_aligned && used < width)
		blanks(out, width - used);
}

void term_wrap(struct buf *out, const char *text, size_t first_column, size_t indent, size_t width)
{
	size_t column = first_column;
	bool line_start = true;

	while (*text != '\0') {
		size_t lead = strspn(text, " ");
		size_t word = strcspn(text + lead, " \n");
		size_t w = term_width(text + lead, word);
		if (!line_start && word > 0 && width > 0 && column + lead + w > width) {
			buf_putc(out, '\n');
			blanks(out, indent);
			column = indent;
			lead = 0;
			text += strspn(text, " ");
		}
		if (text[lead] == '\n') {
			buf_putc(out, '\n');
			text += lead + 1;
			if (*text != '\0')
				blanks(out, indent);
			column = indent;
			line_start = true;
			continue;
		}
		buf_put(out, text, lead + word);
		column += lead + w;
		text += lead + word;
		line_start = false;
	}
}

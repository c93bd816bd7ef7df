/* term.h - what the terminal can do, and text that fits into columns.
 *
 * Widths are counted here, not by the C library: wcwidth depends on the locale, and the program never sets one
 * (numbers must look the same everywhere).
 */
#ifndef DOCROW_TERM_H
#define DOCROW_TERM_H

#include <stdbool.h>
#include <stddef.h>

#include "buf.h"

/* Size of the terminal behind fd; COLUMNS and LINES, else 80 x 24, when it does not say. */
int term_columns(int fd);
int term_rows(int fd);
/* A terminal on which lines can be redrawn (TERM is neither empty nor "dumb"). */
bool term_is_screen(int fd);
/* NO_COLOR (not empty) turns colour off, CLICOLOR_FORCE (not "0") turns it on where fd is no terminal. */
bool term_has_colour(int fd);
/* LC_ALL, LC_CTYPE or LANG name UTF-8. */
bool term_is_utf8(void);

/* Columns that the text takes. Bytes that are no UTF-8 count one each. */
size_t term_width(const char *s, size_t n);
/* Appends s, cut to `width` columns with an ellipsis ("…" or "~") where it is longer; without utf8 every character
 * beyond ASCII becomes "?". Control characters become "?". Returns the columns used. */
size_t term_fit(struct buf *out, const char *s, size_t n, size_t width, bool utf8);
/* term_fit, then blanks up to exactly `width` columns: on the right, or on the left when right_aligned. */
void term_cell(struct buf *out, const char *s, size_t width, bool right_aligned, bool utf8);
/* Appends text broken at blanks so that no line is wider than `width` (0: no limit); lines after the first start with
 * `indent` blanks. Line ends in the text are kept. A word longer than a line stays whole. */
void term_wrap(struct buf *out, const char *text, size_t first_column, size_t indent, size_t width);

#endif

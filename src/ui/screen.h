/* screen.h - the picture of a run on a terminal, as lines of text. Pure: sizes, times and numbers are handed in.
 *
 * What always holds (a test draws it at every width): no line is wider than width - 1 columns (the last column makes
 * some terminals wrap), and there are at most height - 1 lines.
 */
#ifndef DOCROW_SCREEN_H
#define DOCROW_SCREEN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "buf.h"

struct screen_table {
	const char *name;
	uint64_t done, total, rejects;
	double rate; /* documents a second; < 0: not known yet */
	double left; /* seconds; < 0: not known               */
	enum screen_state { SCREEN_WAITING, SCREEN_RUNNING, SCREEN_FINISHED } state;
};

struct screen_view {
	const char *phase; /* "load" */
	const struct screen_table *tables;
	size_t ntables;
	struct screen_table all; /* name unused */
	uint64_t steps, steps_done;
	double elapsed;
	double left;         /* seconds to the end of the whole run, keys and indexes too; < 0: not known */
	const char *current; /* what is at work beside the tables, or "" */
	const char *message; /* trouble that is being waited out, or ""  */
	bool settling;       /* steps count, not documents               */
	bool stopping;
};

struct screen_style {
	int width, height;
	bool utf8, colour;
};

/* Appends the lines, each ended by a line feed; returns how many. */
int screen_draw(const struct screen_view *v, const struct screen_style *style, struct buf *out);
/* "3m05s", "1h02m", "4d03h", "-" when negative or absurd: at most 6 columns. */
const char *screen_short_time(double seconds, char out[32]);
/* "123,456/s", "1.2M/s": at most 9 columns. */
const char *screen_rate(double rate, char out[32]);
/* "123,456,789", "12.3G" beyond: at most 11 columns. */
const char *screen_count(uint64_t n, char out[32]);

#endif

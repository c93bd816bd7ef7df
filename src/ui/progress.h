/* progress.h - what people and machines see of a run while it runs: a picture on a terminal, lines otherwise, or
 * JSON.
 *
 *   progress_new → progress_update* (about five times a second) → progress_end → progress_free
 *
 * All output goes to one file descriptor (stderr). progress_log may be called from any thread: a log line is put
 * above the picture, never into it. Nothing here asks the engine or a server; snapshots and times are handed in.
 */
#ifndef DOCROW_PROGRESS_H
#define DOCROW_PROGRESS_H

#include <stdbool.h>

#include "engine.h"
#include "sys.h"

enum progress_mode {
	PROGRESS_NONE,
	PROGRESS_PLAIN, /* a line every 10 s and one per finished collection */
	PROGRESS_JSON,  /* one object a line, every second and at each event */
	PROGRESS_SCREEN /* redrawn in place                                  */
};

struct progress;

/* "auto" is for the caller to settle: PROGRESS_SCREEN where term_is_screen(fd), else PROGRESS_PLAIN. */
struct progress *progress_new(enum progress_mode mode, int fd, bool colour, bool utf8);
void progress_free(struct progress *p);

/* now: clock_seconds(). Takes a look at the size of the terminal each time, so that SIGWINCH only has to wake the
 * caller up. */
void progress_update(struct progress *p, const struct engine_snapshot *s, double now);
/* Last picture or line; the cursor is left below it. Later updates do nothing. `status`: "done", "stopped", "failed".
 */
void progress_end(struct progress *p, const char *status, double now);

/* A line of the log, in the form that fits the mode. */
void progress_log(struct progress *p, enum log_level level, const char *line);
/* For log_set_writer: ctx is the struct progress. */
void progress_log_writer(enum log_level level, const char *line, void *ctx);

#endif

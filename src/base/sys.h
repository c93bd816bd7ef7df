/* sys.h - clock, backoff, digests, files, log level and the stop flag. */
#ifndef DOCROW_SYS_H
#define DOCROW_SYS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "buf.h"
#include "err.h"

double clock_seconds(void);       /* monotonic                                          */
void clock_sleep_ms(unsigned ms); /* returns early when stop_requested() becomes true   */
void clock_iso(char out[32]);     /* "2026-11-25T03:39:00.123Z", wall clock             */

/* Decorrelated jitter between 50 ms and 5 s, within a limit of seconds since the first failure. */
struct backoff {
	double started, limit;
	unsigned last_ms;
	unsigned tries;
	uint64_t seed;
};
void backoff_init(struct backoff *b, double limit_seconds);
/* Sleeps for the next delay; false (at once) when the limit is passed or a stop is asked for. */
bool backoff_wait(struct backoff *b);

/* The stop flag: set by signals (cli) or the engine itself, read by all. 0, 1 = stop, 2 = leave at once. */
extern atomic_int stop_flag;
static inline bool stop_requested(void)
{
	return atomic_load_explicit(&stop_flag, memory_order_relaxed) != 0;
}

void sha256(const void *data, size_t n, uint8_t out[32]);
uint64_t hash64(const void *data, size_t n); /* fast, not secure, stable within a process */

/* Whole file into *out (appended). At most max bytes. */
bool file_read(const char *path, size_t max, struct buf *out, struct err *err) MUST_CHECK;
/* Temporary file beside it, fsync, rename; mode 0600. */
bool file_write_atomic(const char *path, const void *data, size_t n, struct err *err) MUST_CHECK;

/* Log lines go to stderr through the function that cli/ or ui/ installs (default: plain lines). Levels do not
 * change what happens. Never document values, never passwords. Thread-safe. */
enum log_level { LOG_ERROR, LOG_WARN, LOG_INFO, LOG_DEBUG };
void log_line(enum log_level level, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void log_set_level(enum log_level level);
void log_set_writer(void (*write)(enum log_level level, const char *line, void *ctx), void *ctx);

#endif

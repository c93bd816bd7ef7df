/* sys.c - clock, backoff, stop flag, digests, log. Files are in file.c. */
#include "sys.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <openssl/evp.h>

atomic_int stop_flag;

double clock_seconds(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* Sleeps until `until` (clock_seconds) in small slices, so that a stop is seen soon. */
static void sleep_until(double until)
{
	double left;

	while (!stop_requested() && (left = until - clock_seconds()) > 0) {
		long ns = left > 0.02 ? 20000000L : (long)(left * 1e9) + 1;

		nanosleep(&(struct timespec){.tv_nsec = ns}, NULL);
	}
}

void clock_sleep_ms(unsigned ms)
{
	sleep_until(clock_seconds() + ms / 1000.0);
}

void clock_iso(char out[32])
{
	struct timespec t;
	struct tm tm;
	size_t n;

	clock_gettime(CLOCK_REALTIME, &t);
	gmtime_r(&t.tv_sec, &tm);
	n = strftime(out, 24, "%Y-%m-%dT%H:%M:%S", &tm);
	snprintf(out + n, 32 - n, ".%03uZ", (unsigned)(t.tv_nsec / 1000000) % 1000u);
}

void backoff_init(struct backoff *b, double limit_seconds)
{
	*b = (struct backoff){.started = clock_seconds(), .limit = limit_seconds, .last_ms = 50};
	b->seed = (uint64_t)(b->started * 1e9) ^ (uint64_t)getpid() << 40 ^ (uint64_t)(uintptr_t)b;
}

static uint64_t next_random(uint64_t *seed)
{
	uint64_t z = (*seed += UINT64_C(0x9E3779B97F4A7C15));

	z = (z ^ z >> 30) * UINT64_C(0xBF58476D1CE4E5B9);
	z = (z ^ z >> 27) * UINT64_C(0x94D049BB133111EB);
	return z ^ z >> 31;
}

bool backoff_wait(struct backoff *b)
{
	enum { LOWEST = 50, HIGHEST = 5000 };
	double now = clock_seconds();
	uint64_t ms;

	if (b->tries == 0)
		b->started = now; /* the limit counts from the first failure */
	if (stop_requested() || now - b->started >= b->limit)
		return false;
	ms = LOWEST + next_random(&b->seed) % (b->last_ms * 3u - LOWEST + 1);
	if (ms > HIGHEST)
		ms = HIGHEST;
	b->last_ms = (unsigned)ms;
	b->tries++;
	if (now + (double)ms / 1000 > b->started + b->limit)
		sleep_until(b->started + b->limit);
	else
		sleep_until(now + (double)ms / 1000);
	return !stop_requested();
}

void sha256(const void *data, size_t n, uint8_t out[32])
{
	if (EVP_Digest(data, n, out, NULL, EVP_sha256(), NULL) != 1)
		abort(); /* no memory, or a library without SHA-256: a digest must never be wrong */
}

uint64_t hash64(const void *data, size_t n)
{
	const uint8_t *p = data;
	uint64_t h = UINT64_C(0x9E3779B97F4A7C15) ^ n * UINT64_C(0xFF51AFD7ED558CCD), x;

	for (; n >= 8; p += 8, n -= 8) {
		memcpy(&x, p, 8);
		h = (h ^ x) * UINT64_C(0xC4CEB9FE1A85EC53);
		h ^= h >> 29;
	}
	if (n > 0) {
		x = 0;
		memcpy(&x, p, n);
		h = (h ^ x) * UINT64_C(0xC4CEB9FE1A85EC53);
		h ^= h >> 29;
	}
	h *= UINT64_C(0xFF51AFD7ED558CCD);
	return h ^ h >> 32;
}

static const char *const level_names[] = {
	[LOG_ERROR] = "error", [LOG_WARN] = "warning", [LOG_INFO] = "info", [LOG_DEBUG] = "debug"};

static void write_plain(enum log_level level, const char *line, void *ctx)
{
	char when[32];

	(void)ctx;
	clock_iso(when);
	fprintf(stderr, "%s %s: %s\n", when, level_names[level], line);
}

static struct {
	pthread_mutex_t lock;
	atomic_int level;
	void (*write)(enum log_level level, const char *line, void *ctx);
	void *ctx;
} log_state = {.lock = PTHREAD_MUTEX_INITIALIZER, .level = LOG_INFO, .write = write_plain};

void log_line(enum log_level level, const char *fmt, ...)
{
	char line[2048];
	va_list ap;

	if ((int)level > atomic_load_explicit(&log_state.level, memory_order_relaxed))
		return;
	va_start(ap, fmt);
	vsnprintf(line, sizeof line, fmt, ap);
	va_end(ap);
	pthread_mutex_lock(&log_state.lock);
	log_state.write(level, line, log_state.ctx);
	pthread_mutex_unlock(&log_state.lock);
}

void log_set_level(enum log_level level)
{
	atomic_store(&log_state.level, (int)level);
}

void log_set_writer(void (*writer)(enum log_level level, const char *line, void *ctx), void *ctx)
{
	pthread_mutex_lock(&log_state.lock);
	log_state.write = writer ? writer : write_plain;
	log_state.ctx = ctx;
	pthread_mutex_unlock(&log_state.lock);
}

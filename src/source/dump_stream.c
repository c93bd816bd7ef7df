/* dump_stream.c - the documents of one dump file, one after the other.
 *
 * A window of the uncompressed content lies in memory: at least the current document, at most that and one read more,
 * whatever the file's size. What the file holds is told by its first bytes, never by its name. Every document that
 * stands whole before a damaged place is given before the damage is told.
 *
 *   raw_read   next bytes of the content: plain, inflate or zstd
 *   need       the window holds n bytes
 *   peek       the window holds the whole next document (or its length only)
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>
#include <zstd.h>

#include "doc.h"
#include "dump.h"
#include "sys.h"

#define WINDOW     (512u << 10)
#define INPUT      (128u << 10)
#define MIN_LENGTH 5
#define STOP_EVERY 4096

struct dump_stream {
	char *path;
	int fd;
	uint64_t file_size;
	enum dump_format format;
	uint8_t *window; /* content from `at` on is window[start..end) */
	size_t start, end, cap;
	uint64_t at, docs;
	uint8_t *input; /* compressed bytes input[in_at..in_end) */
	size_t in_at, in_end;
	z_stream z;
	ZSTD_DCtx *zstd;
	bool inside; /* a gzip member or zstd frame has begun and not ended */
};

/* ---- errors ---- */

static bool damaged(const struct dump_stream *s, struct err *err, const char *message, const char *fmt, ...)
	PRINTF_LIKE(4, 5);
static bool damaged(const struct dump_stream *s, struct err *err, const char *message, const char *fmt, ...)
{
	char facts[256];
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(facts, sizeof(facts), fmt, ap);
	va_end(ap);
	err_set(err, ERR_SOURCE_CORRUPT, "the dump file %s %s", s->path, message);
	err_detail(err, "after %" PRIu64 " whole documents, at byte %" PRIu64 "%s: %s", s->docs, s->at,
		   s->format == DUMP_PLAIN ? "" : " of the uncompressed content", facts);
	return err_hint(err, "make the dump again, or copy the file anew if that was cut short");
}

static bool unreadable(const struct dump_stream *s, struct err *err)
{
	err_set(err, ERR_SOURCE_READ, "cannot read the dump file %s", s->path);
	return err_detail(err, "%s", strerror(errno));
}

/* ---- raw bytes ---- */

static bool plain_read(struct dump_stream *s, uint8_t *out, size_t n, size_t *got, struct err *err)
{
	ssize_t r;
	do
		r = read(s->fd, out, n);
	while (r < 0 && errno == EINTR);
	*got = r > 0 ? (size_t)r : 0;
	return r >= 0 || unreadable(s, err);
}

/* Compressed bytes into s->input when it is used up; in_at == in_end afterwards: end of the file. */
static bool fill_input(struct dump_stream *s, struct err *err)
{
	if (s->in_at < s->in_end)
		return true;
	s->in_at = s->in_end = 0;
	return plain_read(s, s->input, INPUT, &s->in_end, err);
}

static bool ended_inside(struct dump_stream *s, struct err *err)
{
	return damaged(s, err, "is cut short",
		       "the compressed stream ends before its end mark, at byte %" PRIu64 " of the file",
		       s->file_size);
}

static uint64_t file_at(const struct dump_stream *s)
{
	off_t at = lseek(s->fd, 0, SEEK_CUR);
	return (at < 0 ? 0 : (uint64_t)at) - (s->in_end - s->in_at);
}

/* A gzip file may be several members one behind the other. */
static bool gzip_read(struct dump_stream *s, uint8_t *out, size_t n, size_t *got, struct err *err)
{
	s->z.next_out = out;
	s->z.avail_out = (uInt)n;
	while (s->z.avail_out == n) {
		if (!fill_input(s, err))
			return false;
		if (s->in_at == s->in_end)
			return s->inside ? ended_inside(s, err) : true;
		s->inside = true;
		s->z.next_in = s->input + s->in_at;
		s->z.avail_in = (uInt)(s->in_end - s->in_at);
		int r = inflate(&s->z, Z_NO_FLUSH);
		s->in_at = s->in_end - s->z.avail_in;
		*got = n - s->z.avail_out;
		if (r == Z_STREAM_END) {
			s->inside = false;
			inflateReset(&s->z);
		} else if (r != Z_OK && r != Z_BUF_ERROR && *got == 0) { /* zlib repeats it after what came before */
			return damaged(s, err, "is damaged", "gzip: %s, near byte %" PRIu64 " of the file",
				       s->z.msg ? s->z.msg : "bad data", file_at(s));
		}
	}
	return true;
}

static bool zstd_read(struct dump_stream *s, uint8_t *out, size_t n, size_t *got, struct err *err)
{
	ZSTD_outBuffer to = {.dst = out, .size = n};
	while (to.pos == 0) {
		if (!fill_input(s, err))
			return false;
		if (s->in_at == s->in_end && !s->inside)
			return true;
		bool at_end = s->in_at == s->in_end;
		ZSTD_inBuffer from = {.src = s->input, .size = s->in_end, .pos = s->in_at};
		size_t r = ZSTD_decompressStream(s->zstd, &to, &from);
		s->in_at = from.pos;
		if (ZSTD_isError(r))
			return damaged(s, err, "is damaged", "zstd: %s, near byte %" PRIu64 " of the file",
				       ZSTD_getErrorName(r), file_at(s));
		s->inside = r != 0;
		if (at_end && to.pos == 0 && s->inside)
			return ended_inside(s, err);
	}
	*got = to.pos;
	return true;
}

/* Up to n next bytes of the content; *got 0: its end. */
static bool raw_read(struct dump_stream *s, uint8_t *out, size_t n, size_t *got, struct err *err)
{
	*got = 0;
	if (s->format == DUMP_GZIP)
		return gzip_read(s, out, n, got, err);
	if (s->format == DUMP_ZSTD)
		return zstd_read(s, out, n, got, err);
	return plain_read(s, out, n, got, err);
}

/* ---- what kind of file ---- */

static uint32_t le32(const uint8_t *p)
{
	return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

/* gzip's mark is also the length of a document of 559,903 bytes (and some of more): look whether there is one. */
static bool begins_with_document(const struct dump_stream *s, uint32_t len)
{
	if (len < MIN_LENGTH || len > DUMP_MAX_DOCUMENT || len > s->file_size)
		return false;
	uint8_t *doc = mem_alloc(len);
	bool yes = pread(s->fd, doc, len, 0) == (ssize_t)len && doc_is_wellformed(doc, len);
	free(doc);
	return yes;
}

static enum dump_format tell_format(const struct dump_stream *s)
{
	uint8_t head[4] = {0};
	if (pread(s->fd, head, 4, 0) != 4)
		return DUMP_PLAIN;
	uint32_t mark = le32(head);
	if ((mark & 0xffffff) == 0x088b1f && !begins_with_document(s, mark))
		return DUMP_GZIP;
	if (mark == 0xfd2fb528 || (mark & 0xfffffff0) == 0x184d2a50) /* a frame, or one to be skipped */
		return DUMP_ZSTD;
	return DUMP_PLAIN;
}

static const struct {
	uint32_t mark, mask;
	const char *name;
} foreign[] = {
	{0x8199e26d, 0xffffffff, "a mongodump archive: unpack it with mongorestore, or dump with --out"},
	{0x587a37fd, 0xffffffff, "compressed with xz: uncompress it first"},
	{0x00685a42, 0x00ffffff, "compressed with bzip2: uncompress it first"},
	{0x184d2204, 0xffffffff, "compressed with lz4: uncompress it first"},
	{0x04034b50, 0xffffffff, "a zip file: unpack it first"},
};

static void hint_foreign(const struct dump_stream *s, uint32_t mark, struct err *err)
{
	for (size_t i = 0; s->at == 0 && i < sizeof(foreign) / sizeof(foreign[0]); i++)
		if ((mark & foreign[i].mask) == foreign[i].mark)
			err_hint(err, "it looks like %s", foreign[i].name);
}

/* ---- the window ---- */

static void make_room(struct dump_stream *s, size_t n)
{
	if (s->start == s->end)
		s->start = s->end = 0;
	if (s->start == s->end && s->cap > WINDOW && n <= WINDOW) {
		s->cap = WINDOW; /* after one very large document */
		s->window = mem_realloc(s->window, s->cap);
	}
	if (s->start > 0 && s->cap - s->start < n) {
		memmove(s->window, s->window + s->start, s->end - s->start);
		s->end -= s->start;
		s->start = 0;
	}
	if (s->cap < n) {
		s->cap = n;
		s->window = mem_realloc(s->window, s->cap);
	}
}

/* True: n bytes lie in the window, or the content ends before (the caller looks at what there is). Memory grows with
 * the bytes that are really there, not with what a length claims. */
static bool need(struct dump_stream *s, size_t n, struct err *err)
{
	while (s->end - s->start < n) {
		size_t have = s->end - s->start, got, step = have * 2 + WINDOW;
		make_room(s, n < step ? n : step);
		if (!raw_read(s, s->window + s->end, s->cap - s->end, &got, err))
			return false;
		if (got == 0)
			return true;
		s->end += got;
	}
	return true;
}

static size_t in_window(const struct dump_stream *s)
{
	return s->end - s->start;
}

/* 1: *len is the next document's length, checked against what a document can be; 0: the end. */
static int peek_length(struct dump_stream *s, uint32_t *len, struct err *err)
{
	if (!need(s, 4, err))
		return -1;
	size_t have = in_window(s);
	if (have == 0)
		return 0;
	if (have < 4) {
		damaged(s, err, "is cut short", "%zu bytes are left where a document begins", have);
		return -1;
	}
	*len = le32(s->window + s->start);
	if (*len >= MIN_LENGTH && *len <= DUMP_MAX_DOCUMENT)
		return 1;
	damaged(s, err, "is damaged", "the length there is %" PRId32 ", which no document has", (int32_t)*len);
	hint_foreign(s, *len, err);
	return -1;
}

static int cut_short(struct dump_stream *s, uint32_t len, uint64_t have, struct err *err)
{
	damaged(s, err, "is cut short", "the document there has %" PRIu32 " bytes, %" PRIu64 " are left", len, have);
	return -1;
}

/* ---- public ---- */

int dump_stream_next(struct dump_stream *s, const uint8_t **doc, size_t *len, struct err *err)
{
	uint32_t n;
	int got = peek_length(s, &n, err);
	if (got <= 0)
		return got;
	if (!need(s, n, err))
		return -1;
	if (in_window(s) < n)
		return cut_short(s, n, in_window(s), err);
	*doc = s->window + s->start;
	*len = n;
	if ((*doc)[n - 1] != 0) {
		damaged(s, err, "is damaged",
			"the document there does not end with a zero byte after its %" PRIu32 " bytes", n);
		return -1;
	}
	s->start += n;
	s->at += n;
	s->docs++;
	return 1;
}

/* Of a plain file what lies behind the window is not read. */
static int skip_plain(struct dump_stream *s, uint32_t n, struct err *err)
{
	size_t have = in_window(s);
	if (s->at + n > s->file_size)
		return cut_short(s, n, s->file_size - s->at, err);
	if (n > have && lseek(s->fd, (off_t)(n - have), SEEK_CUR) < 0) {
		unreadable(s, err);
		return -1;
	}
	s->start = n > have ? s->end : s->start + n;
	s->at += n;
	s->docs++;
	return 1;
}

int dump_stream_skip(struct dump_stream *s, size_t *len, struct err *err)
{
	uint32_t n;
	const uint8_t *doc;
	int got = peek_length(s, &n, err);
	*len = got == 1 ? n : 0;
	if (got <= 0 || s->format == DUMP_PLAIN)
		return got <= 0 ? got : skip_plain(s, n, err);
	return dump_stream_next(s, &doc, len, err);
}

static bool rewind_stream(struct dump_stream *s, struct err *err)
{
	if (lseek(s->fd, 0, SEEK_SET) < 0)
		return unreadable(s, err);
	s->start = s->end = s->in_at = s->in_end = 0;
	s->at = s->docs = 0;
	s->inside = false;
	if (s->format == DUMP_GZIP)
		inflateReset(&s->z);
	if (s->format == DUMP_ZSTD)
		ZSTD_DCtx_reset(s->zstd, ZSTD_reset_session_only);
	return true;
}

static bool seek_plain(struct dump_stream *s, uint64_t at, uint64_t docs, struct err *err)
{
	if (at > s->file_size || at > INT64_MAX || lseek(s->fd, (off_t)at, SEEK_SET) < 0) {
		err_set(err, ERR_SOURCE_CHANGED, "the dump file %s has become shorter", s->path);
		return err_detail(err, "a range begins at byte %" PRIu64 ", the file has %" PRIu64 " bytes", at,
				  s->file_size);
	}
	s->start = s->end = 0;
	s->at = at;
	s->docs = docs;
	return true;
}

bool dump_stream_seek(struct dump_stream *s, uint64_t at, uint64_t docs, struct err *err)
{
	size_t len;
	int got = 1;
	if (s->at == at)
		return true;
	if (s->format == DUMP_PLAIN)
		return seek_plain(s, at, docs, err);
	if (s->at > at && !rewind_stream(s, err))
		return false;
	while (s->at < at && got == 1) {
		if (s->docs % STOP_EVERY == 0 && stop_requested())
			return err_set(err, ERR_STOPPED, "stopped while reading %s", s->path);
		got = dump_stream_skip(s, &len, err);
	}
	if (got < 0)
		return false;
	if (s->at == at)
		return true;
	err_set(err, ERR_SOURCE_CHANGED, "the dump file %s is not the one that was cut into ranges", s->path);
	return err_detail(err, "no document begins at byte %" PRIu64 " of the uncompressed content", at);
}

/* ---- open and close ---- */

static bool named_compressed(const char *path)
{
	const char *dot = strrchr(path, '.');
	return dot && (strcmp(dot, ".gz") == 0 || strcmp(dot, ".zst") == 0 || strcmp(dot, ".zstd") == 0);
}

static bool start(struct dump_stream *s, struct err *err)
{
	struct stat st;
	s->fd = open(s->path, O_RDONLY | O_CLOEXEC);
	if (s->fd < 0 || fstat(s->fd, &st) != 0)
		return unreadable(s, err);
	if (!S_ISREG(st.st_mode)) {
		errno = S_ISDIR(st.st_mode) ? EISDIR : EINVAL;
		return unreadable(s, err);
	}
	s->file_size = (uint64_t)st.st_size;
	if (s->file_size == 0 && named_compressed(s->path))
		return damaged(s, err, "is empty", "even compressed nothing has some bytes");
	s->format = tell_format(s);
	s->window = mem_alloc(s->cap = WINDOW);
	if (s->format != DUMP_PLAIN)
		s->input = mem_alloc(INPUT);
	if (s->format == DUMP_GZIP && inflateInit2(&s->z, 15 + 16) != Z_OK)
		return err_set(err, ERR_INTERNAL, "zlib does not start");
	if (s->format == DUMP_ZSTD && !(s->zstd = ZSTD_createDCtx()))
		return err_set(err, ERR_INTERNAL, "zstd does not start");
	return true;
}

bool dump_stream_open(struct dump_stream **out, const char *path, struct err *err)
{
	struct dump_stream *s = mem_zalloc(sizeof(*s));
	s->path = mem_strdup(path);
	s->fd = -1;
	if (start(s, err)) {
		*out = s;
		return true;
	}
	dump_stream_close(s);
	return false;
}

void dump_stream_close(struct dump_stream *s)
{
	if (!s)
		return;
	if (s->format == DUMP_GZIP)
		inflateEnd(&s->z);
	if (s->zstd)
		ZSTD_freeDCtx(s->zstd);
	if (s->fd >= 0)
		close(s->fd);
	free(s->window);
	free(s->input);
	free(s->path);
	free(s);
}

enum dump_format dump_stream_format(const struct dump_stream *s)
{
	return s->format;
}

uint64_t dump_stream_at(const struct dump_stream *s)
{
	return s->at;
}

uint64_t dump_stream_docs(const struct dump_stream *s)
{
	return s->docs;
}

bool dump_stream_ended(struct dump_stream *s)
{
	struct err err;
	return !need(s, 1, &err) || in_window(s) == 0;
}

bool dump_read_file(const char *path, size_t max, struct buf *out, struct err *err)
{
	struct dump_stream *s;
	size_t got = 1;
	if (!dump_stream_open(&s, path, err))
		return false;
	bool ok = true;
	while (ok && got > 0 && (ok = raw_read(s, s->window, s->cap, &got, err))) {
		buf_put(out, s->window, got);
		if (out->len > max)
			ok = err_set(err, ERR_SOURCE_READ, "the file %s is larger than it can be", path);
	}
	dump_stream_close(s);
	return ok;
}

/* ---- estimates ---- */

#define GUESSED_RATIO  6
#define ESTIMATE_DOCS  200
#define ESTIMATE_BYTES (4u << 20)

/* gzip ends with the size modulo 4 GB, a zstd frame may begin with it. */
static uint64_t guess_bytes(const struct dump_stream *s)
{
	uint8_t b[18] = {0};
	if (s->format == DUMP_PLAIN)
		return s->file_size;
	if (s->format == DUMP_GZIP && s->file_size < (500u << 20) && s->file_size >= 18 &&
	    pread(s->fd, b, 4, (off_t)(s->file_size - 4)) == 4 && le32(b) >= s->file_size)
		return le32(b);
	if (s->format == DUMP_ZSTD && pread(s->fd, b, sizeof(b), 0) > 0) {
		unsigned long long n = ZSTD_getFrameContentSize(b, sizeof(b));
		if (n != ZSTD_CONTENTSIZE_UNKNOWN && n != ZSTD_CONTENTSIZE_ERROR)
			return n;
	}
	return s->file_size * GUESSED_RATIO;
}

void dump_estimate(const char *path, uint64_t *docs, uint64_t *bytes)
{
	struct err err;
	struct dump_stream *s;
	size_t len;
	int got = 1;
	*docs = *bytes = 0;
	if (!dump_stream_open(&s, path, &err))
		return;
	*bytes = guess_bytes(s);
	while (got == 1 && s->docs < ESTIMATE_DOCS && s->at < ESTIMATE_BYTES)
		got = dump_stream_skip(s, &len, &err);
	if (got == 0) {
		*docs = s->docs;
		*bytes = s->at;
	} else if (s->docs > 0) {
		*docs = *bytes / (s->at / s->docs);
	}
	dump_stream_close(s);
}

/* content.c - uncompressed bytes of one file.
 *
 * To enter a gzip file in the middle one needs, at the beginning of a deflate block: where its first bit is, and the
 * 32 KB of content before it. Such points are taken about every 32 MB of content while the file is read; when there
 * are too many, every second one is dropped and the distance doubles. Behind a point the check sum at the end of the
 * gzip member cannot be computed; whoever read up to the point has checked what came before, and who needs the whole
 * checked reads from the start.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>
#include <zstd.h>

#include "content.h"
#include "doc.h"
#include "sys.h"
#include "text.h"

#define INPUT        (128u << 10)
#define GZIP_WINDOW  32768u
#define GZIP_TRAILER 8
#define POINT_EVERY  (32u << 20)
#define MAX_POINTS   1024
#define DIGEST_BYTES (64u << 10)
#define MAX_DOCUMENT (64u << 20)

struct content {
	char *path, *name;
	int fd;
	uint64_t file_size;
	enum content_format format;
	uint64_t at;
	struct content_points *points; /* borrowed, or NULL */
	uint8_t *input;                /* compressed bytes input[in_at..in_end) */
	size_t in_at, in_end;
	uint64_t in_file; /* offset in the file of input[in_end] */
	z_stream z;
	bool is_raw;           /* entered at a point: no gzip header and trailer around this member */
	unsigned trailer_left; /* bytes of its trailer to be passed over                            */
	ZSTD_DCtx *zstd;
	bool inside; /* a gzip member or zstd frame has begun and not ended */
};

/* ---- points ---- */

struct point {
	uint64_t out, in; /* content before it; file offset of the byte behind its first bits */
	int bits;         /* of the byte before `in` that belong to the block                  */
	uInt window_len;
	uint8_t *window;
};

struct content_points {
	pthread_mutex_t lock;
	struct point *all; /* by offset */
	size_t n, cap;
	uint64_t distance;
};

struct content_points *content_points_new(uint64_t distance)
{
	struct content_points *p = mem_zalloc(sizeof(*p));
	pthread_mutex_init(&p->lock, NULL);
	p->distance = distance ? distance : POINT_EVERY;
	return p;
}

void content_points_free(struct content_points *p)
{
	if (!p)
		return;
	for (size_t i = 0; i < p->n; i++)
		free(p->all[i].window);
	pthread_mutex_destroy(&p->lock);
	free(p->all);
	free(p);
}

static void thin_out(struct content_points *p)
{
	size_t kept = 0;
	for (size_t i = 0; i < p->n; i++) {
		if (i % 2 == 1)
			p->all[kept++] = p->all[i];
		else
			free(p->all[i].window);
	}
	p->n = kept;
	p->distance *= 2;
}

static bool is_due(const struct content_points *p, uint64_t out)
{
	return out >= (p->n > 0 ? p->all[p->n - 1].out : 0) + p->distance;
}

/* Inflate stands at the beginning of a block, `at` bytes of content behind it. */
static void take_point(struct content *c, uint64_t at)
{
	struct content_points *p = c->points;
	pthread_mutex_lock(&p->lock);
	if (is_due(p, at)) {
		if (p->n == MAX_POINTS)
			thin_out(p);
		if (p->n == p->cap)
			p->all = mem_realloc(p->all, (p->cap = p->cap ? p->cap * 2 : 8) * sizeof(*p->all));
		struct point *new = &p->all[p->n++];
		*new = (struct point){
			.out = at, .in = c->in_file - (c->in_end - c->in_at), .bits = c->z.data_type & 7};
		new->window = mem_alloc(GZIP_WINDOW);
		inflateGetDictionary(&c->z, new->window, &new->window_len);
	}
	pthread_mutex_unlock(&p->lock);
}

/* The last point in (after, at]; a copy, whose window the caller frees. */
static bool find_point(struct content_points *p, uint64_t after, uint64_t at, struct point *out)
{
	const struct point *best = NULL;
	pthread_mutex_lock(&p->lock);
	for (size_t i = 0; i < p->n && p->all[i].out <= at; i++)
		if (p->all[i].out > after)
			best = &p->all[i];
	if (best) {
		*out = *best;
		out->window = mem_alloc(GZIP_WINDOW);
		memcpy(out->window, best->window, best->window_len);
	}
	pthread_mutex_unlock(&p->lock);
	return best != NULL;
}

/* ---- errors ---- */

static bool damaged(const struct content *c, struct err *err, const char *message, const char *fmt, ...)
	PRINTF_LIKE(4, 5);
static bool damaged(const struct content *c, struct err *err, const char *message, const char *fmt, ...)
{
	char facts[256];
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(facts, sizeof(facts), fmt, ap);
	va_end(ap);
	err_set(err, ERR_SOURCE_CORRUPT, "the file %s %s", c->name, message);
	err_detail(err, "%s", facts);
	return err_hint(err, "make it again, or copy it anew if that was cut short");
}

static bool unreadable(const struct content *c, struct err *err)
{
	err_set(err, ERR_SOURCE_READ, "cannot read the file %s", c->name);
	return err_detail(err, "%s", strerror(errno));
}

/* ---- the file as it lies there ---- */

static bool file_read_some(struct content *c, uint8_t *out, size_t n, uint64_t at, size_t *got, struct err *err)
{
	ssize_t r;
	do
		r = pread(c->fd, out, n, (off_t)at);
	while (r < 0 && errno == EINTR);
	*got = r > 0 ? (size_t)r : 0;
	return r >= 0 || unreadable(c, err);
}

bool content_peek_file(const struct content *c, uint8_t *out, size_t n, uint64_t at)
{
	return pread(c->fd, out, n, (off_t)at) == (ssize_t)n;
}

/* Compressed bytes into c->input when it is used up; in_at == in_end afterwards: end of the file. */
static bool fill_input(struct content *c, struct err *err)
{
	if (c->in_at < c->in_end)
		return true;
	c->in_at = c->in_end = 0;
	if (!file_read_some(c, c->input, INPUT, c->in_file, &c->in_end, err))
		return false;
	c->in_file += c->in_end;
	return true;
}

static bool ended_inside(struct content *c, struct err *err)
{
	return damaged(c, err, "is cut short",
		       "the compressed stream ends before its end mark, at byte %" PRIu64 " of the file",
		       c->file_size);
}

static uint64_t file_at(const struct content *c)
{
	return c->in_file - (c->in_end - c->in_at);
}

/* ---- gzip ---- */

static void next_member(struct content *c)
{
	c->inside = c->is_raw = false;
	inflateReset2(&c->z, 15 + 16);
}

/* Of a member that was entered at a point: its check sum and length, which nothing can be compared with. */
static bool pass_trailer(struct content *c, struct err *err)
{
	while (c->trailer_left > 0) {
		if (!fill_input(c, err))
			return false;
		size_t have = c->in_end - c->in_at, n = have < c->trailer_left ? have : c->trailer_left;
		if (n == 0)
			return ended_inside(c, err);
		c->in_at += n;
		c->trailer_left -= (unsigned)n;
	}
	next_member(c);
	return true;
}

static bool is_at_block(const z_stream *z)
{
	return (z->data_type & 128) && !(z->data_type & 64);
}

/* One step of inflate: to the end of a block, of the input, of the room in `out`. */
static bool inflate_step(struct content *c, size_t n, struct err *err)
{
	c->z.next_in = c->input + c->in_at;
	c->z.avail_in = (uInt)(c->in_end - c->in_at);
	int r = inflate(&c->z, c->points ? Z_BLOCK : Z_NO_FLUSH);
	size_t got = n - c->z.avail_out;
	c->in_at = c->in_end - c->z.avail_in;
	if (r == Z_STREAM_END) {
		c->trailer_left = c->is_raw ? GZIP_TRAILER : 0;
		if (!c->is_raw)
			next_member(c);
		return true;
	}
	if (r == Z_OK && c->points && is_at_block(&c->z))
		take_point(c, c->at + got);
	/* zlib says it again after what came before */
	return r == Z_OK || r == Z_BUF_ERROR || got > 0 ||
	       damaged(c, err, "is damaged", "gzip: %s, near byte %" PRIu64 " of the file",
		       c->z.msg ? c->z.msg : "bad data", file_at(c));
}

/* A gzip file may be several members one behind the other. */
static bool gzip_read(struct content *c, uint8_t *out, size_t n, size_t *got, struct err *err)
{
	c->z.next_out = out;
	c->z.avail_out = (uInt)n;
	while (c->z.avail_out == n) {
		if ((c->trailer_left > 0 && !pass_trailer(c, err)) || !fill_input(c, err))
			return false;
		if (c->in_at == c->in_end)
			return c->inside ? ended_inside(c, err) : true;
		c->inside = true;
		if (!inflate_step(c, n, err))
			return false;
	}
	*got = n - c->z.avail_out;
	return true;
}

static bool gzip_enter(struct content *c, const struct point *p, struct err *err)
{
	uint8_t before = 0;
	size_t got = 1;
	if (p->bits > 0 && (!file_read_some(c, &before, 1, p->in - 1, &got, err) || got == 0))
		return got == 0 ? ended_inside(c, err) : false;
	inflateReset2(&c->z, -15);
	if (p->bits > 0)
		inflatePrime(&c->z, p->bits, before >> (8 - p->bits));
	inflateSetDictionary(&c->z, p->window, p->window_len);
	c->in_at = c->in_end = 0;
	c->in_file = p->in;
	c->trailer_left = 0;
	c->is_raw = c->inside = true;
	c->at = p->out;
	return true;
}

/* ---- zstd ---- */

static bool zstd_read(struct content *c, uint8_t *out, size_t n, size_t *got, struct err *err)
{
	ZSTD_outBuffer to = {.dst = out, .size = n};
	while (to.pos == 0) {
		if (!fill_input(c, err))
			return false;
		if (c->in_at == c->in_end && !c->inside)
			return true;
		bool at_end = c->in_at == c->in_end;
		ZSTD_inBuffer from = {.src = c->input, .size = c->in_end, .pos = c->in_at};
		size_t r = ZSTD_decompressStream(c->zstd, &to, &from);
		c->in_at = from.pos;
		if (ZSTD_isError(r))
			return damaged(c, err, "is damaged", "zstd: %s, near byte %" PRIu64 " of the file",
				       ZSTD_getErrorName(r), file_at(c));
		c->inside = r != 0;
		if (at_end && to.pos == 0 && c->inside)
			return ended_inside(c, err);
	}
	*got = to.pos;
	return true;
}

/* ---- read and seek ---- */

bool content_read(struct content *c, uint8_t *out, size_t n, size_t *got, struct err *err)
{
	bool ok;
	*got = 0;
	if (c->format == CONTENT_GZIP)
		ok = gzip_read(c, out, n, got, err);
	else if (c->format == CONTENT_ZSTD)
		ok = zstd_read(c, out, n, got, err);
	else
		ok = file_read_some(c, out, n, c->at, got, err);
	c->at += *got;
	return ok;
}

static bool is_too_short(const struct content *c, uint64_t at, struct err *err)
{
	err_set(err, ERR_SOURCE_CHANGED, "the file %s has become shorter", c->name);
	return err_detail(err, "a range begins at byte %" PRIu64 ", the content has %" PRIu64 " bytes", at, c->at);
}

static void rewind_content(struct content *c)
{
	c->at = c->in_file = 0;
	c->in_at = c->in_end = 0;
	c->trailer_left = 0;
	c->inside = false;
	if (c->format == CONTENT_GZIP)
		next_member(c);
	if (c->format == CONTENT_ZSTD)
		ZSTD_DCtx_reset(c->zstd, ZSTD_reset_session_only);
}

static bool enter_near(struct content *c, uint64_t at, struct err *err)
{
	struct point p;
	if (at < c->at)
		rewind_content(c);
	if (!c->points || !find_point(c->points, c->at, at, &p))
		return true;
	bool ok = gzip_enter(c, &p, err);
	free(p.window);
	return ok;
}

static bool go_forward(struct content *c, uint64_t at, struct err *err)
{
	uint8_t *scratch = mem_alloc(INPUT);
	size_t got = 1;
	bool ok = true;
	while (ok && c->at < at && got > 0) {
		uint64_t left = at - c->at;
		if (stop_requested())
			ok = err_set(err, ERR_STOPPED, "stopped while reading %s", c->name);
		else
			ok = content_read(c, scratch, left < INPUT ? (size_t)left : INPUT, &got, err);
	}
	free(scratch);
	return ok && (c->at == at || is_too_short(c, at, err));
}

bool content_seek(struct content *c, uint64_t at, struct err *err)
{
	if (c->format != CONTENT_PLAIN)
		return enter_near(c, at, err) && go_forward(c, at, err);
	if (at > c->file_size || at > INT64_MAX) {
		c->at = c->file_size;
		return is_too_short(c, at, err);
	}
	c->at = at;
	return true;
}

/* ---- what kind of file ---- */

static uint32_t le32(const uint8_t *p)
{
	return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

/* gzip's mark is also the length of a document of 559,903 bytes (and some of more): look whether there is one. */
static bool begins_with_document(const struct content *c, uint32_t len)
{
	if (len < 5 || len > MAX_DOCUMENT || len > c->file_size)
		return false;
	uint8_t *doc = mem_alloc(len);
	bool yes = content_peek_file(c, doc, len, 0) && doc_is_wellformed(doc, len);
	free(doc);
	return yes;
}

static enum content_format tell_format(const struct content *c)
{
	uint8_t head[4] = {0};
	if (!content_peek_file(c, head, 4, 0))
		return CONTENT_PLAIN;
	uint32_t mark = le32(head);
	if ((mark & 0xffffff) == 0x088b1f && !begins_with_document(c, mark))
		return CONTENT_GZIP;
	if (mark == 0xfd2fb528 || (mark & 0xfffffff0) == 0x184d2a50) /* a frame, or one to be skipped */
		return CONTENT_ZSTD;
	return CONTENT_PLAIN;
}

/* ---- open and close ---- */

static bool named_compressed(const char *path)
{
	const char *dot = strrchr(path, '.');
	return dot && (strcmp(dot, ".gz") == 0 || strcmp(dot, ".zst") == 0 || strcmp(dot, ".zstd") == 0);
}

static bool start(struct content *c, struct err *err)
{
	struct stat st;
	c->fd = open(c->path, O_RDONLY | O_CLOEXEC);
	if (c->fd < 0 || fstat(c->fd, &st) != 0)
		return unreadable(c, err);
	if (!S_ISREG(st.st_mode)) {
		errno = S_ISDIR(st.st_mode) ? EISDIR : EINVAL;
		return unreadable(c, err);
	}
	c->file_size = (uint64_t)st.st_size;
	if (c->file_size == 0 && named_compressed(c->path))
		return damaged(c, err, "is empty", "even compressed nothing has some bytes");
	c->format = tell_format(c);
	if (c->format != CONTENT_PLAIN)
		c->input = mem_alloc(INPUT);
	if (c->format == CONTENT_GZIP && inflateInit2(&c->z, 15 + 16) != Z_OK)
		return err_set(err, ERR_INTERNAL, "zlib does not start");
	if (c->format == CONTENT_ZSTD && !(c->zstd = ZSTD_createDCtx()))
		return err_set(err, ERR_INTERNAL, "zstd does not start");
	return true;
}

bool content_open(struct content **out, const struct content_file *f, struct err *err)
{
	struct content *c = mem_zalloc(sizeof(*c));
	c->path = mem_strdup(f->path);
	c->name = mem_strdup(f->name);
	c->fd = -1;
	bool ok = start(c, err);
	if (ok) {
		c->points = c->format == CONTENT_GZIP ? f->points : NULL;
		*out = c;
		return true;
	}
	content_close(c);
	return false;
}

void content_close(struct content *c)
{
	if (!c)
		return;
	if (c->format == CONTENT_GZIP)
		inflateEnd(&c->z);
	if (c->zstd)
		ZSTD_freeDCtx(c->zstd);
	if (c->fd >= 0)
		close(c->fd);
	free(c->input);
	free(c->path);
	free(c->name);
	free(c);
}

enum content_format content_format(const struct content *c)
{
	return c->format;
}

uint64_t content_file_size(const struct content *c)
{
	return c->file_size;
}

uint64_t content_at(const struct content *c)
{
	return c->at;
}

/* ---- about the whole file ---- */

static bool put_digest(int fd, off_t at, size_t n, const char *what, struct buf *out)
{
	uint8_t *data = mem_alloc(n + 1), digest[32];
	char hex[65];
	ssize_t got = pread(fd, data, n, at);
	if (got >= 0) {
		sha256(data, (size_t)got, digest);
		text_hex(digest, sizeof(digest), hex);
		buf_printf(out, " %s=%s", what, hex);
	}
	free(data);
	return got >= 0;
}

static bool put_file_identity(int fd, struct buf *out)
{
	struct stat st;
	if (fstat(fd, &st) != 0)
		return false;
	size_t n = st.st_size < (off_t)DIGEST_BYTES ? (size_t)st.st_size : DIGEST_BYTES;
	buf_printf(out, "dump size=%" PRIu64, (uint64_t)st.st_size);
	return put_digest(fd, 0, n, "head", out) && put_digest(fd, st.st_size - (off_t)n, n, "tail", out);
}

bool content_identity(const struct content_file *f, struct buf *out, struct err *err)
{
	int fd = open(f->path, O_RDONLY | O_CLOEXEC);
	bool ok = fd >= 0 && put_file_identity(fd, out);
	if (!ok) {
		err_set(err, ERR_SOURCE_READ, "cannot read the file %s", f->name);
		err_detail(err, "%s", strerror(errno));
	}
	if (fd >= 0)
		close(fd);
	return ok;
}

#define GUESSED_RATIO 6

/* gzip ends with the size modulo 4 GB, a zstd frame may begin with it. */
uint64_t content_guess_size(const struct content *c)
{
	uint8_t b[18] = {0};
	if (c->format == CONTENT_PLAIN)
		return c->file_size;
	if (c->format == CONTENT_GZIP && c->file_size < (500u << 20) && c->file_size >= 18 &&
	    content_peek_file(c, b, 4, c->file_size - 4) && le32(b) >= c->file_size)
		return le32(b);
	if (c->format == CONTENT_ZSTD && pread(c->fd, b, sizeof(b), 0) > 0) {
		unsigned long long n = ZSTD_getFrameContentSize(b, sizeof(b));
		if (n != ZSTD_CONTENTSIZE_UNKNOWN && n != ZSTD_CONTENTSIZE_ERROR)
			return n;
	}
	return c->file_size * GUESSED_RATIO;
}

/* spool.c - see spool.h. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "spool.h"
#include "sys.h"
#include "text.h"

#define STEP    ((size_t)1 << 20)
#define POLL_MS 200

static const char *folder(void)
{
	const char *tmp = getenv("TMPDIR");
	return tmp && *tmp ? tmp : "/var/tmp";
}

static void make_path(struct spool *s)
{
	snprintf(s->path, sizeof(s->path), "/proc/self/fd/%d", s->fd);
}

static int unnamed_file(const char *in)
{
	char name[4096];
	int fd = open(in, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	if (fd >= 0 || (errno != EOPNOTSUPP && errno != EISDIR && errno != EINVAL))
		return fd;
	if (snprintf(name, sizeof(name), "%s/docrow-XXXXXX", in) >= (int)sizeof(name))
		return -1;
	fd = mkostemp(name, O_CLOEXEC);
	if (fd >= 0)
		unlink(name);
	return fd;
}

static bool cannot(struct err *err, const char *what)
{
	int e = errno;
	err_set(err, ERR_SOURCE_READ, "%s the temporary file for the source in %s", what, folder());
	err_detail(err, "%s", strerror(e));
	return err_hint(err,
			"name a folder with room for the whole source in TMPDIR, or keep the source in a file and "
			"give its path");
}

static bool make(struct spool *s, struct err *err)
{
	s->fd = unnamed_file(folder());
	if (s->fd < 0)
		return cannot(err, "cannot make");
	make_path(s);
	return true;
}

static bool put(struct spool *s, const uint8_t *data, size_t n, struct err *err)
{
	while (n > 0) {
		ssize_t done = write(s->fd, data, n);
		if (done < 0 && errno != EINTR)
			return cannot(err, "cannot write");
		if (done > 0) {
			data += done;
			n -= (size_t)done;
		}
	}
	return true;
}

/* Waits for more without missing a signal. *got 0: the end. */
static bool get(int fd, const char *name, uint8_t *out, size_t *got, struct err *err)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};
	ssize_t n = -1;
	while (n < 0) {
		if (stop_requested())
			return err_set(err, ERR_STOPPED, "stopped while reading %s", name);
		if (poll(&p, 1, POLL_MS) <= 0)
			continue;
		n = read(fd, out, STEP);
		if (n < 0 && errno != EINTR && errno != EAGAIN) {
			err_set(err, ERR_SOURCE_READ, "cannot read %s", name);
			return err_detail(err, "%s", strerror(errno));
		}
	}
	*got = (size_t)n;
	return true;
}

static void tell(const char *name, uint64_t n)
{
	char bytes[32];
	log_line(LOG_INFO, "%s: %s kept in a temporary file in %s", name, text_bytes(n, bytes), folder());
}

static bool copy_descriptor(struct spool *s, int fd, const char *name, struct err *err)
{
	uint8_t *data = mem_alloc(STEP);
	uint64_t all = 0;
	size_t got = 1;
	bool ok = true;
	while (ok && got > 0) {
		ok = get(fd, name, data, &got, err) && put(s, data, got, err);
		all += got;
	}
	free(data);
	if (ok)
		tell(name, all);
	return ok;
}

/* A regular file that is read from its start can be opened again as it is. */
static bool is_file(struct spool *s, int fd)
{
	struct stat st;
	if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode) || lseek(fd, 0, SEEK_CUR) != 0)
		return false;
	snprintf(s->path, sizeof(s->path), "/proc/self/fd/%d", fd);
	s->fd = open(s->path, O_RDONLY | O_CLOEXEC);
	if (s->fd < 0)
		return false;
	make_path(s);
	return true;
}

bool spool_descriptor(struct spool *s, int fd, const char *name, struct err *err)
{
	*s = (struct spool){.fd = -1};
	return is_file(s, fd) || (make(s, err) && copy_descriptor(s, fd, name, err));
}

bool spool_content(struct spool *s, const struct content_file *f, struct err *err)
{
	struct content *c;
	uint8_t *data = mem_alloc(STEP);
	size_t got = 1;
	*s = (struct spool){.fd = -1};
	bool ok = content_open(&c, f, err);
	if (!ok) {
		free(data);
		return false;
	}
	ok = make(s, err);
	while (ok && got > 0) {
		ok = !stop_requested() || err_set(err, ERR_STOPPED, "stopped while uncompressing %s", f->name);
		ok = ok && content_read(c, data, STEP, &got, err) && put(s, data, got, err);
	}
	if (ok)
		tell(f->name, content_at(c));
	content_close(c);
	free(data);
	return ok;
}

void spool_close(struct spool *s)
{
	if (s->fd >= 0)
		close(s->fd);
	s->fd = -1;
}

bool spool_room(const struct spool *s, const char **in, uint64_t *used, uint64_t *left)
{
	struct statvfs disk;
	struct stat st;
	/* a file of the caller's own has a name */
	if (s->fd < 0 || fstat(s->fd, &st) != 0 || st.st_nlink > 0 || fstatvfs(s->fd, &disk) != 0)
		return false;
	*in = folder();
	*used = (uint64_t)st.st_blocks * 512;
	*left = (uint64_t)disk.f_bavail * disk.f_frsize;
	return true;
}

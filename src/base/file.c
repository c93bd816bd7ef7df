/* file.c - whole files: read with a ceiling, write so that a crash leaves the old file or the new one. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "sys.h"

static bool read_all(int fd, const char *path, size_t max, struct buf *out, struct err *err)
{
	size_t start = out->len;
	ssize_t n;

	for (;;) {
		if (!buf_reserve(out, 64 * 1024))
			return err_set(err, ERR_FILE, "%s is too large", path);
		n = read(fd, out->data + out->len, 64 * 1024);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_set(err, ERR_FILE, "cannot read %s: %s", path, strerror(errno));
		if (n == 0)
			return true;
		out->len += (size_t)n;
		if (out->len - start > max) {
			out->len = start;
			err_set(err, ERR_FILE, "%s is too large", path);
			return err_detail(err, "at most %zu bytes are read", max);
		}
	}
}

bool file_read(const char *path, size_t max, struct buf *out, struct err *err)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	size_t start = out->len;
	bool ok;

	if (fd < 0)
		return err_set(err, ERR_FILE, "cannot open %s: %s", path, strerror(errno));
	ok = read_all(fd, path, max, out, err);
	if (!ok)
		out->len = start;
	close(fd);
	return ok;
}

static bool write_all(int fd, const uint8_t *p, size_t n)
{
	while (n > 0) {
		ssize_t w = write(fd, p, n);

		if (w < 0 && errno == EINTR)
			continue;
		if (w < 0)
			return false;
		p += w;
		n -= (size_t)w;
	}
	return true;
}

/* The rename is durable only when the folder is. Some file systems cannot sync a folder: harmless. */
static void sync_folder(const char *path)
{
	const char *slash = strrchr(path, '/');
	char folder[4096] = ".";
	int fd;

	if (slash == path)
		snprintf(folder, sizeof folder, "/");
	else if (slash && (size_t)(slash - path) < sizeof folder)
		snprintf(folder, sizeof folder, "%.*s", (int)(slash - path), path);
	fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return;
	fsync(fd);
	close(fd);
}

bool file_write_atomic(const char *path, const void *data, size_t n, struct err *err)
{
	char temp[4096];
	int fd, saved;
	bool ok;

	if (snprintf(temp, sizeof temp, "%s.%ld.tmp", path, (long)getpid()) >= (int)sizeof temp)
		return err_set(err, ERR_FILE, "the path of a file to write is too long");
	fd = open(temp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (fd < 0)
		return err_set(err, ERR_FILE, "cannot write %s: %s", path, strerror(errno));
	ok = write_all(fd, data, n) && fsync(fd) == 0;
	saved = errno;
	if (close(fd) != 0 && ok) {
		ok = false;
		saved = errno;
	}
	if (ok && rename(temp, path) != 0) {
		ok = false;
		saved = errno;
	}
	if (!ok) {
		unlink(temp);
		return err_set(err, ERR_FILE, "cannot write %s: %s", path, strerror(saved));
	}
	sync_folder(path);
	return true;
}

/* spool.h - keeps bytes that can be read once only in an unnamed temporary file, so that they can be read again;
 * private to source/. */
#ifndef DOCROW_SPOOL_H
#define DOCROW_SPOOL_H

#include "content.h"

/* A file without a name in $TMPDIR (or /var/tmp): it is gone when it is closed, however the process ends. */
struct spool {
	int fd;
	char path[32]; /* opens it again; valid while fd is open */
};

/* All of a file descriptor; one that is a regular file is not copied. Waits as long as the writer does; stops when
 * asked. */
bool spool_descriptor(struct spool *s, int fd, const char *name, struct err *err) MUST_CHECK;
/* The uncompressed content of a file. */
bool spool_content(struct spool *s, const struct content_file *f, struct err *err) MUST_CHECK;
void spool_close(struct spool *s);
/* Where it lies, how much it takes, and what is left there; false: it holds nothing of ours. */
bool spool_room(const struct spool *s, const char **folder, uint64_t *used, uint64_t *left);

#endif

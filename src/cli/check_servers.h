/* check_servers.h - what docrow check says of the servers themselves: put on the page as facts and findings. */
#ifndef DOCROW_CHECK_SERVERS_H
#define DOCROW_CHECK_SERVERS_H

#include "check_page.h"

/* Members of the replica set, oplog, read concern, temporary files. */
void check_page_source(struct check_page *p, struct source *s);
/* Version, encodings, connections (`workers` and two are wanted), room on the disk. */
void check_page_target(struct check_page *p, const struct check_target *t, const char *schema, int workers);
/* `bytes`: of tables, keys and indexes; the write-ahead log takes as much again for a while. */
void check_page_room(struct check_page *p, const struct check_target *t, uint64_t bytes, const char *how_known);

#endif

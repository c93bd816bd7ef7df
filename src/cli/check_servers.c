/* check_servers.c - see check_servers.h. */
#include "check_servers.h"

#include "text.h"

#define BESIDE_WORKERS 2 /* the run's own connection, and docrow status or a look of yours */

void check_page_source(struct check_page *p, struct source *s)
{
	struct source_facts f = {.arena = p->arena};
	source_tell(s, &f);
	for (size_t i = 0; i < f.n; i++) {
		check_page_fact(p, "source", f.list[i].label, "%s", f.list[i].text);
		if (f.list[i].worry != NULL)
			check_page_find(p, CHECK_WARNING, "source", f.list[i].hint, "%s", f.list[i].worry);
	}
}

static void put_connections(struct check_page *p, const struct check_target *t, int workers)
{
	int wanted = workers + BESIDE_WORKERS;
	check_page_fact(p, "target", "connections",
			"%d of %d free%s%s (%d in use, %d kept for administrators), %d wanted: a worker each, which "
			"build the indexes, too, and %d more",
			t->free, t->max_connections, t->limited_by != NULL ? ", by the limit of " : "",
			t->limited_by != NULL ? t->limited_by : "", t->in_use, t->reserved, wanted, BESIDE_WORKERS);
	if (t->free < wanted)
		check_page_find(p, CHECK_WARNING, "target",
				t->limited_by != NULL ? "fewer --workers, or a higher CONNECTION LIMIT"
						      : "fewer --workers, or raise max_connections",
				"only %d connections are free%s%s; %d are wanted, two more than workers", t->free,
				t->limited_by != NULL ? " by the limit of " : "",
				t->limited_by != NULL ? t->limited_by : "", wanted);
}

static void put_disk(struct check_page *p, const struct check_target *t)
{
	char text[32];
	if (t->folder != NULL)
		check_page_fact(p, "target", "disk", "%s free on this machine at %s", text_bytes(t->disk_free, text),
				t->folder);
	else
		check_page_fact(p, "target", "disk",
				"SQL does not tell how much is free, and %s: compare what is needed with df there",
				t->why_not);
}

void check_page_target(struct check_page *p, const struct check_target *t, const char *schema, int workers)
{
	char text[32];
	check_page_fact(p, "target", "server", "PostgreSQL %s, encoding %s, collation %s, ctype %s, time zone %s",
			t->version, t->encoding, t->collation, t->ctype, t->time_zone);
	check_page_fact(p, "target", "database", "%s now; tables go into schema %s",
			text_bytes(t->database_bytes, text), schema);
	put_connections(p, t, workers);
	put_disk(p, t);
}

void check_page_room(struct check_page *p, const struct check_target *t, uint64_t bytes, const char *how_known)
{
	char text[3][32];
	check_page_fact(p, "estimate", "disk",
			"about %s on the target, and the same again for its write-ahead log meanwhile; %s",
			text_bytes(bytes, text[0]), how_known);
	if (t->folder != NULL && t->disk_free / 2 < bytes)
		check_page_find(p, CHECK_WARNING, "target", "make room, or choose a tablespace with more",
				"about %s are needed with the write-ahead log, and %s are free at %s",
				text_bytes(bytes * 2, text[1]), text_bytes(t->disk_free, text[2]), t->folder);
}

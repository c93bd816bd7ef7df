/* target.c - what a server tells of itself by SQL: version, encodings, connections; and the room on its disk, which
 * SQL does not tell: of a server on this machine the disk itself is asked.
 */
#include <sys/statvfs.h>

#include "check.h"

/* A role that is no member of pg_read_all_stats sees of others' connections only whose and in which database they
 * are: a row without a type but with a database is one. */
static const char query[] =
	"SELECT current_setting('server_version'), current_setting('server_encoding'), d.datcollate, d.datctype,"
	" current_setting('TimeZone'), pg_database_size(d.oid), current_setting('max_connections')::int,"
	" current_setting('superuser_reserved_connections')::int"
	" + coalesce(current_setting('reserved_connections', true), '0')::int,"
	" a.n, r.rolconnlimit, r.rolconnlimit - a.of_role, d.datconnlimit, d.datconnlimit - a.of_database, "
	"r.rolsuper,"
	" inet_server_addr() IS NULL OR inet_server_addr() <<= inet '127.0.0.0/8' OR inet_server_addr() = inet '::1',"
	" coalesce(nullif(pg_tablespace_location(d.dattablespace), ''),"
	" (SELECT setting FROM pg_settings WHERE name = 'data_directory')),"
	" quote_ident(r.rolname), quote_ident(d.datname)"
	" FROM pg_database d, pg_roles r, (SELECT count(*)::int AS n,"
	" count(*) FILTER (WHERE usename = current_user)::int AS of_role,"
	" count(*) FILTER (WHERE datname = current_database())::int AS of_database FROM pg_stat_activity"
	" WHERE datid IS NOT NULL AND coalesce(backend_type, 'client backend') = 'client backend'"
	" AND pid <> pg_backend_pid()) a"
	" WHERE d.datname = current_database() AND r.rolname = current_user";

enum col {
	VERSION,
	ENCODING,
	COLLATION,
	CTYPE,
	TIME_ZONE,
	DATABASE_BYTES,
	MAX_CONNECTIONS,
	RESERVED,
	IN_USE,
	ROLE_LIMIT,
	ROLE_FREE,
	DATABASE_LIMIT,
	DATABASE_FREE,
	IS_SUPERUSER,
	IS_HERE,
	FOLDER,
	ROLE,
	DATABASE
};

static const char *copy(struct arena *a, const struct pg_result *r, enum col c)
{
	const char *text = pg_get(r, 0, (int)c);
	return arena_strdup(a, text != NULL ? text : "");
}

static int number(const struct pg_result *r, enum col c)
{
	return (int)pg_get_i64(r, 0, (int)c);
}

/* Limits of -1 are none, and none holds for a superuser. */
static void count_free(struct check_target *t, const struct pg_result *r, struct arena *a)
{
	bool is_superuser = pg_get_bool(r, 0, IS_SUPERUSER);
	t->free = t->max_connections - t->in_use - (is_superuser ? 0 : t->reserved);
	if (!is_superuser && number(r, ROLE_LIMIT) >= 0 && number(r, ROLE_FREE) < t->free) {
		t->free = number(r, ROLE_FREE);
		t->limited_by = arena_printf(a, "role %s", pg_get(r, 0, ROLE));
	}
	if (!is_superuser && number(r, DATABASE_LIMIT) >= 0 && number(r, DATABASE_FREE) < t->free) {
		t->free = number(r, DATABASE_FREE);
		t->limited_by = arena_printf(a, "database %s", pg_get(r, 0, DATABASE));
	}
	t->free = t->free > 0 ? t->free : 0;
}

/* A server in a container has the loopback address of nobody but itself: seen from here it is elsewhere. */
static void look_at_disk(struct check_target *t, const struct pg_result *r, struct arena *a)
{
	const char *folder = pg_get(r, 0, FOLDER);
	struct statvfs disk;
	if (!pg_get_bool(r, 0, IS_HERE))
		t->why_not = "the server is on another machine";
	else if (folder == NULL)
		t->why_not = "the role may not know the server's data directory (pg_read_all_settings may)";
	else if (statvfs(folder, &disk) != 0)
		t->why_not = "the server's data directory is not to be seen from here";
	else {
		t->folder = arena_strdup(a, folder);
		t->disk_free = (uint64_t)disk.f_bavail * disk.f_frsize;
	}
}

bool check_target_read(struct pg *pg, struct arena *a, struct check_target *t, struct err *err)
{
	_cleanup_(pg_result_freep) struct pg_result *r = NULL;
	*t = (struct check_target){0};
	if (!pg_query(pg, query, NULL, 0, &r, err))
		return false;
	if (pg_rows(r) != 1)
		return err_set(err, ERR_TARGET_REFUSED, "the target does not tell of its database and role");
	t->version = copy(a, r, VERSION);
	t->encoding = copy(a, r, ENCODING);
	t->collation = copy(a, r, COLLATION);
	t->ctype = copy(a, r, CTYPE);
	t->time_zone = copy(a, r, TIME_ZONE);
	t->database_bytes = (uint64_t)pg_get_i64(r, 0, DATABASE_BYTES);
	t->max_connections = number(r, MAX_CONNECTIONS);
	t->reserved = number(r, RESERVED);
	t->in_use = number(r, IN_USE);
	count_free(t, r, a);
	look_at_disk(t, r, a);
	return true;
}

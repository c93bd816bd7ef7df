/* pg_error.c - what a failure of the server means: SQLSTATE → code, class, hint; and the message for people.
 *
 * Values of documents must not get into messages. The server quotes them in the primary text of class 22 and in the
 * DETAIL of class 23, so those are replaced by the condition's name; CONTEXT (which quotes COPY's line) is never
 * used.
 */
#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "pg_internal.h"
#include "sys.h"

#define RETRY ERR_CLASS_RETRY
#define DATA  ERR_CLASS_DATA
#define FATAL ERR_CLASS_FATAL

/* The first row whose prefix fits counts, so exceptions stand above their class. */
static const struct {
	const char *prefix;
	struct pg_meaning meaning;
} meanings[] = {
	/* bytes that we made wrong */
	{"22P03", {ERR_INTERNAL, FATAL, "this is a bug of docrow: please report it", true, true}},
	{"22P04", {ERR_INTERNAL, FATAL, "this is a bug of docrow: please report it", true, true}},
	{"08P01", {ERR_INTERNAL, FATAL, "this is a bug of docrow: please report it", false, true}},
	/* the connection or the server is going away */
	{"08", {ERR_TARGET_LOST, RETRY, NULL, false, false}},
	{"57P01",
	 {ERR_TARGET_LOST, RETRY, "the server shuts down or an administrator ended the session", false, false}},
	{"57P02", {ERR_TARGET_LOST, RETRY, "the server crashed and restarts", false, false}},
	{"57P03", {ERR_TARGET_CONNECT, RETRY, "the server starts, stops or recovers: wait", false, false}},
	{"57P05", {ERR_TARGET_LOST, RETRY, "idle_session_timeout of the server ended the session", false, false}},
	{"25P03", {ERR_TARGET_LOST, RETRY, "idle_in_transaction_session_timeout ended the session", false, false}},
	{"25P04", {ERR_TARGET_LOST, RETRY, "transaction_timeout ended the session", false, false}},
	{"57014",
	 {ERR_TARGET_REFUSED, RETRY, "someone cancelled the statement, or statement_timeout did", false, false}},
	{"25006",
	 {ERR_TARGET_REFUSED, RETRY,
	  "the server is a standby or has default_transaction_read_only on; give the primary's address", false,
	  false}},
	/* in the way of others, or short of something */
	{"40", {ERR_TARGET_REFUSED, RETRY, NULL, false, false}},
	{"53100",
	 {ERR_TARGET_DISK_FULL, RETRY, "make room on the server's disk; what is loaded stays, --resume goes on",
	  false, false}},
	{"53200", {ERR_TARGET_REFUSED, RETRY, "the server is short of memory: fewer --workers", false, false}},
	{"53300",
	 {ERR_TARGET_CONNECT, RETRY, "raise max_connections or the role's CONNECTION LIMIT, or use fewer --workers",
	  false, false}},
	{"53", {ERR_TARGET_REFUSED, RETRY, NULL, false, false}},
	{"55P03", {ERR_TARGET_REFUSED, RETRY, "another session holds a lock on the table", false, false}},
	{"55006", {ERR_TARGET_REFUSED, RETRY, "another session uses it", false, false}},
	/* data */
	{"22", {ERR_TARGET_DATA, DATA, NULL, true, true}},
	{"23", {ERR_TARGET_DATA, DATA, NULL, false, true}},
	{"44000", {ERR_TARGET_DATA, DATA, NULL, true, true}},
	{"54", {ERR_TARGET_DATA, DATA, NULL, false, true}},
	{"P0001",
	 {ERR_TARGET_DATA, DATA, "a trigger raised it; its words are in the server's log (they may quote values)",
	  true, true}},
	/* access */
	{"28P01", {ERR_TARGET_AUTH, FATAL, "the password is wrong, or the user does not exist", false, false}},
	{"28",
	 {ERR_TARGET_AUTH, FATAL,
	  "pg_hba.conf has no line that lets this user in from here (or not without TLS: try sslmode=require), or "
	  "the role "
	  "may not log in",
	  false, false}},
	{"3D000",
	 {ERR_TARGET_CONNECT, FATAL, "create the database, or correct its name in the address", false, false}},
	{"42501", {ERR_TARGET_PRIVILEGE, FATAL, NULL, false, false}},
	{"", {ERR_TARGET_REFUSED, FATAL, NULL, false, false}},
};

/* A session that ended with an SQLSTATE that says nothing else (poolers use 08P01 for all). */
static const struct pg_meaning session_ended = {ERR_TARGET_LOST, RETRY, NULL, false, false};

const struct pg_meaning *pg_sqlstate_meaning(const char *sqlstate, bool fatal)
{
	size_t i = 0;
	while (strncmp(sqlstate, meanings[i].prefix, strlen(meanings[i].prefix)) != 0)
		i++;
	if (fatal && meanings[i].meaning.class == FATAL &&
	    (strcmp(sqlstate, "08P01") == 0 || meanings[i].prefix[0] == '\0'))
		return &session_ended;
	return &meanings[i].meaning;
}

/* Names of the conditions whose primary message we may not show. */
static const struct {
	const char *sqlstate, *name;
} conditions[] = {
	{"22001", "text too long for the column"},
	{"22003", "number out of range"},
	{"22007", "not a date or time"},
	{"22008", "date or time out of range"},
	{"22009", "time zone out of range"},
	{"22021", "not in the database's encoding"},
	{"22023", "parameter out of range"},
	{"22026", "bit string of the wrong length"},
	{"22030", "key twice in a JSON object"},
	{"22032", "not JSON"},
	{"22P02", "text that does not read as the column's type"},
	{"22P03", "binary value that does not fit the column's type"},
	{"22P04", "COPY data out of format"},
	{"22P05", "character that the encoding lacks"},
	{"44000", "row outside a view's or policy's check"},
	{"P0001", "an exception raised by a trigger or function"},
};

static const char *condition_name(const char *sqlstate)
{
	for (size_t i = 0; i < sizeof(conditions) / sizeof(conditions[0]); i++)
		if (strcmp(conditions[i].sqlstate, sqlstate) == 0)
			return conditions[i].name;
	return "data that the server does not take";
}

static const char *field(const PGresult *res, int code)
{
	const char *text = res == NULL ? NULL : PQresultErrorField(res, code);
	return text == NULL ? "" : text;
}

static bool is_fatal(const PGresult *res)
{
	/* Poolers send the localised severity only, and in English. */
	const char *severity = field(res, PG_DIAG_SEVERITY_NONLOCALIZED);
	if (severity[0] == '\0')
		severity = field(res, PG_DIAG_SEVERITY);
	return strcmp(severity, "FATAL") == 0 || strcmp(severity, "PANIC") == 0;
}

/* One line of libpq's text. */
static void first_line(const char *text, char *out, size_t size)
{
	size_t n = strcspn(text, "\n");
	snprintf(out, size, "%.*s", (int)(n < size ? n : size - 1), text);
}

static bool fail_without_sqlstate(const struct pg *pg, const PGresult *res, struct err *err)
{
	char line[300];
	bool lost = PQstatus(pg->conn) != CONNECTION_OK;
	const char *text = res != NULL ? PQresultErrorMessage(res) : PQerrorMessage(pg->conn);
	first_line(text[0] != '\0' ? text : "no reason was given", line, sizeof(line));
	if (lost) {
		err_set(err, ERR_TARGET_LOST, "the connection to PostgreSQL was lost");
		err->class = ERR_CLASS_RETRY;
	} else {
		err_set(err, ERR_INTERNAL, "libpq could not do what was asked");
	}
	return err_detail(err, "%s: %s", pg->describe, line);
}

static void add_facts(const PGresult *res, const struct pg_meaning *m, const char *what, struct err *err)
{
	char facts[900];
	int n = snprintf(facts, sizeof(facts), "SQLSTATE %s", err->sqlstate);
	const struct {
		const char *label, *text;
	} parts[] = {
		{"schema", field(res, PG_DIAG_SCHEMA_NAME)},
		{"table", field(res, PG_DIAG_TABLE_NAME)},
		{"column", field(res, PG_DIAG_COLUMN_NAME)},
		{"constraint", field(res, PG_DIAG_CONSTRAINT_NAME)},
		{"detail", m->detail_is_value ? "" : field(res, PG_DIAG_MESSAGE_DETAIL)},
		/* our own text; values are parameters or COPY data and stand nowhere in it */
		{"statement", strncmp(err->sqlstate, "42", 2) == 0 ? what : ""},
	};
	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++)
		if (parts[i].text[0] != '\0' && n > 0 && (size_t)n < sizeof(facts))
			n += snprintf(facts + n, sizeof(facts) - (size_t)n, ", %s %.300s", parts[i].label,
				      parts[i].text);
	for (char *p = facts; *p != '\0'; p++)
		if (*p == '\n' || *p == '\t')
			*p = ' ';
	err_detail(err, "%s", facts);
}

bool pg_fail(const struct pg *pg, const PGresult *res, const char *what, struct err *err)
{
	const char *sqlstate = field(res, PG_DIAG_SQLSTATE);
	if (strlen(sqlstate) != 5)
		return fail_without_sqlstate(pg, res, err);

	char state[6];
	snprintf(state, sizeof state, "%.5s", sqlstate);
	const struct pg_meaning *m = pg_sqlstate_meaning(state, is_fatal(res));
	if (strcmp(state, "57014") == 0 && stop_requested()) {
		err_set(err, ERR_STOPPED, "the running statement was cancelled because a stop was asked for");
	} else if (m->quotes_values) {
		err_set(err, m->code, "PostgreSQL refused %s", condition_name(state));
	} else {
		err_set(err, m->code, "PostgreSQL: %.400s", field(res, PG_DIAG_MESSAGE_PRIMARY));
	}
	err->class = err->code == ERR_STOPPED ? ERR_CLASS_FATAL : m->class;
	memcpy(err->sqlstate, state, 6);
	add_facts(res, m, what, err);
	if (m->hint != NULL)
		err_hint(err, "%s", m->hint);
	else if (!m->detail_is_value && field(res, PG_DIAG_MESSAGE_HINT)[0] != '\0')
		err_hint(err, "%.900s", field(res, PG_DIAG_MESSAGE_HINT));
	return false;
}

/* A verbose message reads "...FATAL:  28P01: text"; the severity may be translated, the form is not. */
static const char *find_sqlstate(const char *text)
{
	for (const char *p = strstr(text, ":  "); p != NULL; p = strstr(p + 1, ":  ")) {
		size_t n = 0;
		while (n < 5 && (isdigit((unsigned char)p[3 + n]) || isupper((unsigned char)p[3 + n])))
			n++;
		if (n == 5 && p[8] == ':' && p[9] == ' ')
			return p + 3;
	}
	return NULL;
}

bool pg_message_sqlstate(const char *text, char sqlstate[6])
{
	/* The last one: with several addresses, what the last of them said. */
	const char *found = NULL;
	for (const char *p = find_sqlstate(text); p != NULL; p = find_sqlstate(p))
		found = p;
	if (found == NULL)
		return false;
	memcpy(sqlstate, found, 5);
	sqlstate[5] = '\0';
	return true;
}

void pg_message_clean(const char *text, char *out, size_t size)
{
	size_t n = 0;
	while (*text != '\0' && n + 3 < size) {
		size_t len = strcspn(text, "\n");
		/* "LOCATION:  auth_failed, auth.c:311": where in the server's sources, of use to nobody here */
		bool is_location = strncmp(text, "LOCATION", 8) == 0;
		const char *state = find_sqlstate(text);
		for (size_t i = 0; !is_location && i < len && n + 3 < size; i++) {
			if (state != NULL && text + i == state)
				i += 7; /* "28P01: " */
			if (i < len)
				out[n++] = text[i] == '\t' ? ' ' : text[i];
		}
		text += len;
		while (*text == '\n')
			text++;
		if (!is_location && *text != '\0' && strncmp(text, "LOCATION", 8) != 0 && n + 3 < size) {
			out[n++] = ';';
			out[n++] = ' ';
		}
	}
	out[n] = '\0';
}

/* state_internal.h - what the files of src/state share. Not for other folders. */
#ifndef DOCROW_STATE_INTERNAL_H
#define DOCROW_STATE_INTERNAL_H

#include <stdio.h>

#include "state.h"

/* An integer as a text parameter; text lives as long as buf. */
static inline struct pg_param param_i64(char buf[24], int64_t v)
{
	snprintf(buf, 24, "%lld", (long long)v);
	return PG_TEXT(buf);
}

/* pg_query and pg_run, but a table, column or function that is missing becomes TARGET_STATE: the schema is not what
 * this version made. */
bool state_query(struct pg *pg, const char *sql, const struct pg_param *params, int n, struct pg_result **out,
		 struct err *err) MUST_CHECK;
bool state_exec(struct pg *pg, const char *sql, const struct pg_param *params, int n, uint64_t *affected,
		struct err *err) MUST_CHECK;
/* Turns such an error into TARGET_STATE; leaves others alone. Always false. */
bool state_explain(struct err *err);

/* A cell as text in the arena; NULL for SQL NULL. */
char *cell(struct arena *a, const struct pg_result *r, int row, int col);

/* True for a row w of docrow.worker whose heartbeat is fresh. */
#define STATE_FRESH "w.heartbeat + w.lease * interval '1 second' >= clock_timestamp()"

bool state_step_kind_parse(const char *name, enum state_step_kind *kind);
const char *state_lock_name(enum state_lock lock);

/* Appends text for COPY's text format, and NULL as \N. */
void copy_text(struct buf *out, const char *text);

/* Locks as sets of integers, so that SQL can tell by one array operator whether two steps may run together: they
 * may not if one's `holds` overlaps the other's `conflicts`. */
static inline int state_lock_token(int table, enum state_lock lock)
{
	return table * 8 + (int)lock;
}
_Static_assert(LOCK_COUNT == 8, "a token has room for eight modes");
/* Appends "{...}" of the tokens that the locks hold, and of those they conflict with. */
void state_lock_holds(struct buf *out, const struct state_lock_def *locks, int n);
void state_lock_conflicts(struct buf *out, const struct state_lock_def *locks, int n);

/* Fills what chunk and step have in common, from a row (id, epoch, attempts, collection). */
void state_unit_head(struct state_unit *u, bool is_chunk, struct arena *a, const struct pg_result *r);

#endif

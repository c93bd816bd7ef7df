/* state_step.c - steps: their kinds, their locks, and how they are written down.
 *
 * Which steps may run together is PostgreSQL's own table of lock conflicts. It is turned into sets of integers when a
 * step is written, so that the claim is one statement whatever the number of steps.
 */
#include <string.h>

#include "state_internal.h"

static const char *const kind_names[STEP_KIND_COUNT] = {
#define X(NAME, name) [STEP_##NAME] = (name),
	STATE_STEP_KINDS(X)
#undef X
};

static const char *const lock_names[LOCK_COUNT] = {
#define X(NAME, name) [LOCK_##NAME] = (name),
	STATE_LOCKS(X)
#undef X
};

const char *state_step_kind_name(enum state_step_kind kind)
{
	return kind_names[kind];
}

bool state_step_kind_parse(const char *name, enum state_step_kind *kind)
{
	for (int i = 0; i < STEP_KIND_COUNT; i++) {
		if (strcmp(kind_names[i], name) == 0) {
			*kind = (enum state_step_kind)i;
			return true;
		}
	}
	return false;
}

const char *state_lock_name(enum state_lock lock)
{
	return lock_names[lock];
}

/* conflicts[a] has bit b: PostgreSQL's manual, "Conflicting Lock Modes". */
#define BIT(mode) (1U << LOCK_##mode)
static const unsigned conflicts[LOCK_COUNT] = {
	[LOCK_ACCESS_SHARE] = BIT(ACCESS_EXCLUSIVE),
	[LOCK_ROW_SHARE] = BIT(EXCLUSIVE) | BIT(ACCESS_EXCLUSIVE),
	[LOCK_ROW_EXCLUSIVE] = BIT(SHARE) | BIT(SHARE_ROW_EXCLUSIVE) | BIT(EXCLUSIVE) | BIT(ACCESS_EXCLUSIVE),
	[LOCK_SHARE_UPDATE_EXCLUSIVE] = BIT(SHARE_UPDATE_EXCLUSIVE) | BIT(SHARE) | BIT(SHARE_ROW_EXCLUSIVE) |
					BIT(EXCLUSIVE) | BIT(ACCESS_EXCLUSIVE),
	[LOCK_SHARE] = BIT(ROW_EXCLUSIVE) | BIT(SHARE_UPDATE_EXCLUSIVE) | BIT(SHARE_ROW_EXCLUSIVE) | BIT(EXCLUSIVE) |
		       BIT(ACCESS_EXCLUSIVE),
	[LOCK_SHARE_ROW_EXCLUSIVE] = BIT(ROW_EXCLUSIVE) | BIT(SHARE_UPDATE_EXCLUSIVE) | BIT(SHARE) |
				     BIT(SHARE_ROW_EXCLUSIVE) | BIT(EXCLUSIVE) | BIT(ACCESS_EXCLUSIVE),
	[LOCK_EXCLUSIVE] = 0xffU & ~BIT(ACCESS_SHARE),
	[LOCK_ACCESS_EXCLUSIVE] = 0xffU,
};

bool state_locks_conflict(enum state_lock a, enum state_lock b)
{
	return (conflicts[a] >> b & 1U) != 0;
}

void state_lock_holds(struct buf *out, const struct state_lock_def *locks, int n)
{
	buf_putc(out, '{');
	for (int i = 0; i < n; i++)
		buf_printf(out, "%s%d", i == 0 ? "" : ",", state_lock_token(locks[i].table, locks[i].lock));
	buf_putc(out, '}');
}

void state_lock_conflicts(struct buf *out, const struct state_lock_def *locks, int n)
{
	const char *separator = "";
	buf_putc(out, '{');
	for (int i = 0; i < n; i++) {
		for (int mode = 0; mode < LOCK_COUNT; mode++) {
			if (!state_locks_conflict(locks[i].lock, (enum state_lock)mode))
				continue;
			buf_printf(out, "%s%d", separator, state_lock_token(locks[i].table, (enum state_lock)mode));
			separator = ",";
		}
	}
	buf_putc(out, '}');
}

/* For people who look into docrow.step. */
static void locks_text(struct buf *out, const struct state_lock_def *locks, int n)
{
	buf_putc(out, '{');
	for (int i = 0; i < n; i++)
		buf_printf(out, "%s%d %s", i == 0 ? "" : ",", locks[i].table, state_lock_name(locks[i].lock));
	buf_putc(out, '}');
}

/* --- writing steps --- */

/* Ids are taken beforehand, since steps name each other. */
static bool take_ids(struct pg *pg, size_t n, int64_t *ids, struct err *err)
{
	char count[24];
	struct pg_result *r;
	const struct pg_param params[] = {param_i64(count, (int64_t)n)};
	if (!state_query(pg,
			 "SELECT nextval(pg_get_serial_sequence('docrow.step', 'id')) FROM generate_series(1, "
			 "$1::integer)",
			 params, 1, &r, err))
		return false;
	for (size_t i = 0; i < n; i++)
		ids[i] = pg_get_i64(r, (int)i, 0);
	pg_result_free(r);
	return true;
}

static void put_step(struct buf *out, int64_t run, const int64_t *ids, size_t i, const struct state_step_def *d)
{
	buf_printf(out, "%lld\t%lld\t%s\t%s\t", (long long)ids[i], (long long)run, state_phase_name(d->phase),
		   state_step_kind_name(d->kind));
	copy_text(out, d->name);
	buf_putc(out, '\t');
	copy_text(out, d->collection);
	buf_printf(out, "\t%d\t%d\t%llu\t", d->table, d->object, (unsigned long long)d->weight);
	locks_text(out, d->locks, d->nlocks);
	buf_putc(out, '\t');
	state_lock_holds(out, d->locks, d->nlocks);
	buf_putc(out, '\t');
	state_lock_conflicts(out, d->locks, d->nlocks);
	buf_puts(out, "\t{");
	for (int k = 0; k < d->nafter; k++)
		buf_printf(out, "%s%lld", k == 0 ? "" : ",", (long long)ids[d->after[k]]);
	buf_puts(out, "}\n");
}

bool state_steps_add(struct pg *pg, int64_t run, const struct state_step_def *defs, size_t n, struct err *err)
{
	struct buf rows;
	if (n == 0)
		return true;
	struct arena *a = arena_new();
	int64_t *ids = arena_alloc(a, n * sizeof(*ids));
	buf_init(&rows, 0);
	bool ok = take_ids(pg, n, ids, err);
	if (ok) {
		for (size_t i = 0; i < n; i++)
			put_step(&rows, run, ids, i, &defs[i]);
		ok = (pg_copy_begin(pg,
				    "COPY docrow.step (id, run, phase, kind, name, collection, table_index, object, "
				    "weight, locks, lock_holds, lock_conflicts, after) FROM STDIN",
				    err) &&
		      pg_copy_put(pg, rows.data, rows.len, err) && pg_copy_end(pg, NULL, err)) ||
		     state_explain(err);
	}
	buf_free(&rows);
	arena_free(a);
	return ok;
}

bool state_retry_step(struct pg *pg, int64_t run, int64_t worker, const char *collection, const char *table,
		      int64_t *step, struct err *err)
{
	char id[24], who[24];
	struct pg_result *r;
	const struct pg_param params[] = {param_i64(id, run), param_i64(who, worker), PG_TEXT(collection),
					  PG_TEXT(table)};
	if (!state_query(pg,
			 "INSERT INTO docrow.step (run, phase, kind, name, collection, state, epoch, worker, "
			 "attempts) VALUES "
			 "($1, 'settle', 'retry', 'rejects of ' || $3::text || ' for ' || $4::text, $3, 'running', "
			 "1, $2, 1) "
			 "RETURNING id",
			 params, 4, &r, err))
		return false;
	*step = pg_get_i64(r, 0, 0);
	pg_result_free(r);
	return true;
}

/* state_unit.c - chunks written down; a unit finished, given back, looked at again. Claims: state_claim.c.
 *
 *   claim (epoch + 1) → the unit's transaction: rows, rejects, findings → state_finish → COMMIT
 *                                                                      → not mine → ROLLBACK
 *                     → failed: ROLLBACK → state_release
 */
#include <string.h>

#include "state_internal.h"
#include "text.h"

/* Chunks are claimed in the order in which they were written, but what is much larger than the usual 16 MB (a
 * collection that can only be read by one cursor) goes first, or it would run alone at the end. */
static int rank_of(uint64_t est_bytes)
{
	int rank = 0;
	for (uint64_t limit = (uint64_t)64 << 20; est_bytes >= limit && rank < 30; limit <<= 1)
		rank++;
	return rank;
}

static void put_chunk(struct buf *out, int64_t run, const struct state_chunk_def *d)
{
	buf_printf(out, "%lld\t", (long long)run);
	copy_text(out, d->collection);
	buf_printf(out, "\t%lld\t", (long long)d->ordinal);
	if (d->bounds == NULL) {
		buf_puts(out, "\\N");
	} else if (buf_reserve(out, 3 + 2 * d->bounds_len + 1)) {
		buf_puts(out, "\\\\x");
		text_hex(d->bounds, d->bounds_len, (char *)out->data + out->len);
		out->len += 2 * d->bounds_len;
	}
	buf_printf(out, "\t%llu\t%llu\t%d\t%d\n", (unsigned long long)d->est_docs, (unsigned long long)d->est_bytes,
		   rank_of(d->est_bytes), d->load_step);
}

bool state_chunks_add(struct pg *pg, int64_t run, const struct state_chunk_def *defs, size_t n, struct err *err)
{
	struct buf rows;
	if (n == 0)
		return true;
	if (!pg_copy_begin(
		    pg,
		    "COPY docrow.chunk (run, collection, ordinal, bounds, est_docs, est_bytes, rank, load_step) "
		    "FROM STDIN",
		    err))
		return state_explain(err);
	bool ok = true;
	buf_init(&rows, 0);
	for (size_t i = 0; ok && i < n; i++) {
		put_chunk(&rows, run, &defs[i]);
		if (rows.len > 256 * 1024 || i + 1 == n) {
			ok = pg_copy_put(pg, rows.data, rows.len, err);
			buf_reset(&rows);
		}
	}
	buf_free(&rows);
	return ok && pg_copy_end(pg, NULL, err);
}

static const char *const finish_sql[2] = {
#define FINISH(table)                                                                                                \
	"UPDATE " table " SET state = 'done', counts = $3::jsonb, docs = $4, bytes = $5, row_count = $6, "           \
	"rejects = $7, seconds = $8::bigint / 1e6::double precision, xid = pg_current_xact_id(), error = NULL, "     \
	"finished = clock_timestamp() WHERE id = $1 AND epoch = $2 AND state = 'running'"
	FINISH("docrow.step"),
	FINISH("docrow.chunk"),
};

bool state_finish(struct pg *pg, const struct state_unit *unit, const struct ledger *counts, double seconds,
		  bool *mine, struct err *err)
{
	char text[7][24];
	uint64_t rows = 0, sums[4] = {0};
	struct buf json;
	buf_init(&json, 0);
	if (counts != NULL) {
		ledger_to_json(counts, &json);
		sums[0] = ledger_sum(counts, LEDGER_READ, NULL);
		sums[1] = ledger_sum(counts, LEDGER_BYTES, NULL);
		sums[2] = ledger_sum(counts, LEDGER_ROWS, NULL);
		sums[3] = ledger_sum(counts, LEDGER_REJECT, NULL) + ledger_sum(counts, LEDGER_REJECT_ROW, NULL);
	}
	const struct pg_param params[] = {
		param_i64(text[0], unit->id),
		param_i64(text[1], unit->epoch),
		counts == NULL ? PG_NULL : PG_TEXT(buf_cstr(&json)),
		param_i64(text[2], (int64_t)sums[0]),
		param_i64(text[3], (int64_t)sums[1]),
		param_i64(text[4], (int64_t)sums[2]),
		param_i64(text[5], (int64_t)sums[3]),
		param_i64(text[6], (int64_t)(seconds * 1e6)),
	};
	*mine = false;
	bool ok = state_exec(pg, finish_sql[unit->is_chunk], params, 8, &rows, err);
	buf_free(&json);
	*mine = ok && rows == 1;
	return ok;
}

bool state_note_counts(struct pg *pg, int64_t run, const struct ledger *counts, struct err *err)
{
	char text[24];
	struct buf json;
	buf_init(&json, 0);
	ledger_to_json(counts, &json);
	const struct pg_param params[] = {param_i64(text, run), PG_TEXT(buf_cstr(&json))};
	bool ok = state_exec(pg,
			     "INSERT INTO docrow.step (run, phase, kind, name, state, counts) "
			     "VALUES ($1, 'settle', 'count', 'all that was counted', 'done', $2::jsonb)",
			     params, 2, NULL, err);
	buf_free(&json);
	return ok;
}

bool state_release(struct pg *pg, const struct state_unit *unit, const char *error, struct err *err)
{
	static const char *const sql[2] = {
#define RELEASE(table)                                                                                               \
	"UPDATE " table " SET state = 'pending', worker = NULL, error = coalesce($3, error) "                        \
	"WHERE id = $1 AND epoch = $2 AND state = 'running'"
		RELEASE("docrow.step"),
		RELEASE("docrow.chunk"),
	};
	char id[24], epoch[24];
	const struct pg_param params[] = {param_i64(id, unit->id), param_i64(epoch, unit->epoch), PG_TEXT(error)};
	return state_exec(pg, sql[unit->is_chunk], params, 3, NULL, err);
}

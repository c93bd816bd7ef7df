/* sink_copy.c - COPY of one output into its table or into the staging table of its junction.
 *
 *   sink_copy_begin → sink_copy_put* → sink_copy_end     (or pg_copy_abort)
 *
 * The rowbuf that is put holds whole rows only; the stream's header and trailer are sent from here.
 */
#include "sink_sql.h"

static void put_target(struct buf *sql, const struct schema *s, const struct schema_copy *c)
{
	if (c->junction >= 0) {
		buf_printf(sql, "docrow.pairs_%d (l, r, side)", c->junction);
		return;
	}
	const struct schema_table *t = &s->tables[c->table];
	sql_rows(sql, s, t);
	buf_puts(sql, " (");
	for (size_t i = 0; i < c->ncolumns; i++) {
		buf_puts(sql, i > 0 ? ", " : "");
		sql_ident(sql, t->columns[c->columns[i]].name);
	}
	buf_putc(sql, ')');
}

bool sink_copy_begin(struct pg *pg, const struct schema *s, const struct schema_copy *c, struct err *err)
{
	_cleanup_(buf_free) struct buf sql = {0};
	_cleanup_(rowbuf_free) struct rowbuf header = {0};
	rowbuf_init(&header);
	buf_puts(&sql, "COPY ");
	put_target(&sql, s, c);
	buf_puts(&sql, " FROM STDIN WITH (FORMAT binary)");
	rowbuf_header(&header);
	return pg_copy_begin(pg, buf_cstr(&sql), err) && pg_copy_put(pg, header.buf.data, header.buf.len, err);
}

bool sink_copy_put(struct pg *pg, struct rowbuf *rows, struct err *err)
{
	bool ok = rows->buf.len == 0 || pg_copy_put(pg, rows->buf.data, rows->buf.len, err);
	rowbuf_reset(rows);
	return ok;
}

bool sink_copy_end(struct pg *pg, uint64_t *rows, struct err *err)
{
	_cleanup_(rowbuf_free) struct rowbuf trailer = {0};
	rowbuf_init(&trailer);
	rowbuf_trailer(&trailer);
	return pg_copy_put(pg, trailer.buf.data, trailer.buf.len, err) && pg_copy_end(pg, rows, err);
}

bool sink_mark_savepoint(struct pg *pg, int64_t run, struct err *err)
{
	return pg_execf(pg, err, "INSERT INTO docrow.savepoint (run) VALUES (%lld)", (long long)run);
}

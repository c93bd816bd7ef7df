/* rows.c - keys of tables and pairs of junctions, streamed into the tally. */
#include "validate_private.h"

#define SIGNATURE_SIZE 19 /* of COPY BINARY: 11 bytes, flags, length of the extension (none) */

static bool damaged(struct err *err)
{
	return err_set(err, ERR_INTERNAL, "PostgreSQL's COPY stream is not as documented");
}

/* Fields of the row at c->p; the count of fields is read already. */
static bool read_fields(struct copy_rows *c, struct field_bytes *f, int n)
{
	for (int i = 0; i < n; i++) {
		if (c->end - c->p < 4)
			return false;
		f[i] = (struct field_bytes){NULL, (int32_t)big_endian(c->p, 4)};
		c->p += 4;
		if (f[i].len < 0)
			continue;
		if (c->end - c->p < f[i].len)
			return false;
		f[i].data = c->p;
		c->p += f[i].len;
	}
	return true;
}

int copy_rows_next(struct copy_rows *c, struct field_bytes *f, int n, struct err *err)
{
	size_t len;
	int got;

	while (c->p == c->end) {
		got = pg_copy_out_next(c->pg, &c->p, &len, err);
		if (got <= 0)
			return got;
		c->end = c->p + len;
		if (!c->started) {
			if (len < SIGNATURE_SIZE)
				return damaged(err) ? 0 : -1;
			c->p += SIGNATURE_SIZE;
			c->started = true;
		} else if (len == 2 && (int16_t)big_endian(c->p, 2) == -1) {
			c->p = c->end; /* the trailer; the end comes next */
		}
	}
	got = (int16_t)big_endian(c->p, 2);
	c->p += 2;
	if (got == -1) {
		c->p = c->end;
		return copy_rows_next(c, f, n, err);
	}
	if (got != n || !read_fields(c, f, n)) {
		damaged(err);
		return -1;
	}
	return 1;
}

/* --- which columns --- */

static const struct schema_junction *junction_of(const struct plan *p, int table)
{
	for (size_t i = 0; i < p->schema.njunctions; i++)
		if (p->schema.junctions[i].table == table)
			return &p->schema.junctions[i];
	return NULL;
}

static size_t key_columns(const struct plan *p, int table, int columns[2])
{
	const struct schema_junction *j = junction_of(p, table);
	size_t n;

	if (j != NULL) {
		columns[0] = j->left_column;
		columns[1] = j->right_column;
		return 2;
	}
	feed_row_key_columns(p, table, columns, &n);
	return n;
}

/* Rows that a transaction of the run wrote carry its number, or that of a savepoint in it. */
static void put_others(struct buf *sql, const struct validation *v, const char *test)
{
	long long run = (long long)v->run.id;

	buf_printf(
		sql,
		" WHERE xmin::text::bigint %s (SELECT xid::text::bigint & 4294967295 FROM docrow.chunk WHERE run = "
		"%lld AND xid IS NOT NULL UNION SELECT xid::text::bigint & 4294967295 FROM docrow.step WHERE run = "
		"%lld AND xid IS NOT NULL UNION SELECT xmin::text::bigint FROM docrow.savepoint WHERE run = %lld)",
		test, run, run, run);
}

void rows_put(struct buf *sql, const struct validation *v, int table)
{
	const struct schema *s = &v->plan->schema;

	if (!v->o.appended) {
		sql_table(sql, s, &s->tables[table]);
		return;
	}
	buf_puts(sql, "(SELECT tableoid, ctid, * FROM ");
	sql_table(sql, s, &s->tables[table]);
	put_others(sql, v, "IN");
	buf_putc(sql, ')');
}

bool rows_count_others(const struct validation *v, struct pg *pg, int table, uint64_t *n, struct err *err)
{
	const struct schema *s = &v->plan->schema;
	_cleanup_(pg_result_freep) struct pg_result *r = NULL;
	_cleanup_(buf_free) struct buf sql = {0};

	*n = 0;
	if (!v->o.appended || !v->exists[table])
		return true;
	buf_puts(&sql, "SELECT count(*) FROM ");
	sql_table(&sql, s, &s->tables[table]);
	put_others(&sql, v, "NOT IN");
	if (!pg_query(pg, buf_cstr(&sql), NULL, 0, &r, err))
		return false;
	*n = (uint64_t)pg_get_i64(r, 0, 0);
	return true;
}

static void put_copy(struct buf *sql, const struct validation *v, int table, const int *columns, size_t n)
{
	const struct schema_table *t = &v->plan->schema.tables[table];

	buf_puts(sql, "COPY (SELECT ");
	for (size_t i = 0; i < n; i++) {
		buf_puts(sql, i > 0 ? ", " : "");
		sql_ident(sql, t->columns[columns[i]].name);
	}
	if (n == 0)
		buf_puts(sql, "1::smallint");
	buf_puts(sql, " FROM ");
	rows_put(sql, v, table);
	buf_puts(sql, " AS t) TO STDOUT (FORMAT binary)");
}

struct row_key {
	struct buf first, second;
	size_t n;
};

static uint64_t hash_row(struct worker *w, int table, const int *columns, const struct field_bytes *f,
			 struct row_key *k)
{
	const struct schema_table *t = &w->v->plan->schema.tables[table];

	arena_reset(w->judge.arena); /* trees of jsonb keys */
	buf_reset(&k->first);
	buf_reset(&k->second);
	if (k->n > 0)
		(void)key_of_field(&w->judge, &t->columns[columns[0]].type, f[0], &k->first);
	if (k->n > 1)
		(void)key_of_field(&w->judge, &t->columns[columns[1]].type, f[1], &k->second);
	return k->n > 1 ? pair_hash(k->first.data, k->first.len, k->second.data, k->second.len)
			: key_hash(0, k->first.data, k->first.len);
}

typedef void row_fn(struct worker *w, int table, const int *columns, const struct row_key *k, uint64_t hash);

static bool each_row(struct worker *w, int table, row_fn *fn, uint64_t *rows, struct err *err)
{
	int columns[2] = {0, 0};
	struct row_key k = {.n = key_columns(w->v->plan, table, columns)};
	struct copy_rows c = {.pg = w->pg};
	struct field_bytes f[2];
	_cleanup_(buf_free) struct buf sql = {0};
	int got;

	*rows = 0;
	buf_init(&k.first, 0);
	buf_init(&k.second, 0);
	put_copy(&sql, w->v, table, columns, k.n);
	bool ok = pg_copy_out_begin(w->pg, buf_cstr(&sql), err);
	while (ok && (got = copy_rows_next(&c, f, k.n > 0 ? (int)k.n : 1, err)) != 0) {
		ok = got > 0;
		if (!ok)
			break;
		++*rows;
		fn(w, table, columns, &k, hash_row(w, table, columns, f, &k));
		if ((*rows & 1023) == 0 && validation_stopped(w->v)) {
			pg_copy_out_abort(w->pg);
			ok = err_set(err, ERR_STOPPED, "stopped by a signal");
		}
	}
	buf_free(&k.first);
	buf_free(&k.second);
	return ok;
}

static void tally_row(struct worker *w, int table, const int *columns, const struct row_key *k, uint64_t hash)
{
	(void)columns;
	(void)k;
	tally_add(w->tally, (uint32_t)table, TALLY_ROW, hash);
}

bool rows_tally(struct worker *w, int table, struct err *err)
{
	uint64_t rows;

	if (w->v->spots[table] != NULL)
		return match_rows(w, table, err);
	if (!each_row(w, table, tally_row, &rows, err))
		return false;
	FOUND_COUNT(w->found, table, rows, rows);
	return true;
}

/* --- naming --- */

/* The document whose row, element or pair it is: the hash of its key in its own table. */
static uint64_t owner_of(const struct plan *p, int table, int end, const struct row_key *k)
{
	const struct schema_junction *j = junction_of(p, table);
	const struct schema_table *t = &p->schema.tables[table];

	if (j != NULL)
		return end == 0 ? owner_hash(j->left_table, k->first.data, k->first.len)
				: owner_hash(j->right_table, k->second.data, k->second.len);
	if (end == 1 || (t->parent_table >= 0 && k->n < 2))
		return 0;
	return owner_hash(t->parent_table >= 0 ? t->parent_table : table, k->first.data, k->first.len);
}

/* As the row's primary key is written. */
static void put_key(struct buf *out, const struct schema_table *t, const int *columns, const struct row_key *k)
{
	bool alone = k->n > 1 && t->nprimary_key == 1 && t->primary_key[0] == columns[1];

	if (k->n > 1 && !alone)
		buf_putc(out, '(');
	if (k->n > 0 && !alone)
		key_write(&t->columns[columns[0]].type, k->first.data, k->first.len, out);
	if (k->n > 1 && !alone)
		buf_putc(out, ',');
	if (k->n > 1)
		key_write(&t->columns[columns[1]].type, k->second.data, k->second.len, out);
	if (k->n > 1 && !alone)
		buf_putc(out, ')');
}

static void name_row(struct worker *w, int table, const int *columns, const struct row_key *k, uint64_t hash)
{
	const struct plan *p = w->v->plan;
	const struct schema_table *t = &p->schema.tables[table];
	bool pair = junction_of(p, table) != NULL;
	_cleanup_(buf_free) struct buf text = {0};

	const struct odd *odd = odd_take(w, (uint32_t)table, hash, false);
	if (odd == NULL)
		return;
	if (!pair && k->n == 1 && listed_has(w->v->listed, listed_stub(t->name, k->first.data, k->first.len), NULL)) {
		FOUND_COUNT(w->found, table, stubs, 1);
		return;
	}
	put_key(&text, t, columns, k);
	found_add(w->found,
		  &(struct validate_finding){.kind = odd->kind,
					     .table = t->name,
					     .collection = t->collection,
					     .owner_hash = {owner_of(p, table, 0, k), owner_of(p, table, 1, k)},
					     .key = buf_cstr(&text)});
}

bool rows_name(struct worker *w, int table, struct err *err)
{
	uint64_t rows;

	if (w->v->spots[table] != NULL)
		return match_name_rows(w, table, err);
	return each_row(w, table, name_row, &rows, err);
}

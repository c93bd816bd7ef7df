/* sink_retry_store.c - what waits and may go in goes in, with keys and foreign keys in force; then the pairs that its
 * documents named, and what had waited for it: pairs and references whose end was missing get it back.
 */
#include <stdio.h>

#include "sink_retry.h"

/* --- foreign keys whose orphans are kept --- */

static bool keeps(const struct schema_ref *f)
{
	return f->policy == ORPHAN_KEEP || (f->policy == ORPHAN_MOVE_TO && f->otherwise == ORPHAN_KEEP);
}

static bool drop_key(struct sink_retry *r, int table, int fkey)
{
	const struct schema_table *t = &r->st.s->tables[table];
	_cleanup_(buf_free) struct buf sql = {0};
	buf_puts(&sql, "ALTER TABLE ");
	sql_table(&sql, r->st.s, t);
	buf_puts(&sql, " DROP CONSTRAINT ");
	sql_ident(&sql, t->fkeys[fkey].name);
	return pg_exec(r->st.pg, buf_cstr(&sql), r->st.err);
}

/* A key that is NOT VALID still refuses new rows: for orphans that the mapping keeps it is made anew. *lifted: it was
 * taken away. */
static bool lift_key(struct sink_retry *r, int table, int fkey, bool *lifted)
{
	enum key_state state;
	if (!sink_key_state(r->st.pg, r->st.s, table, fkey, &state, r->st.err))
		return false;
	*lifted = state != KEY_NONE;
	return !*lifted || drop_key(r, table, fkey);
}

static bool lift_keys(struct sink_retry *r, bool *lifted)
{
	for (size_t i = 0; i < r->st.s->nrefs; i++) {
		const struct schema_ref *f = &r->st.s->refs[i];
		int ref = (int)i;
		uint64_t n;
		if (!r->staged[f->table] || f->fkey < 0 || !keeps(f))
			continue;
		if (!orphans_count(&r->st, &ref, 1, &n) || (n > 0 && !lift_key(r, f->table, f->fkey, &lifted[i])))
			return false;
	}
	return true;
}

static bool put_keys_back(struct sink_retry *r, const bool *lifted)
{
	for (size_t i = 0; i < r->st.s->nrefs; i++)
		if (lifted[i] &&
		    !sink_add_fkey(r->st.pg, r->st.s, r->st.s->refs[i].table, r->st.s->refs[i].fkey, r->st.err))
			return false;
	return true;
}

/* --- rows --- */

static bool check_taken(const struct sink_retry *r, int table, uint64_t taken, uint64_t waiting)
{
	if (taken == waiting)
		return true;
	err_set(r->st.err, ERR_TARGET_DATA, "the server took %llu rows of %llu for %s", (unsigned long long)taken,
		(unsigned long long)waiting, r->st.s->tables[table].name);
	r->st.err->class = ERR_CLASS_DATA; /* a trigger or a rule: halving finds which */
	return err_detail(r->st.err, "a trigger or rule that drops rows would look like this");
}

/* own: rows that came as they were taken out (item kind r), with all columns; else those of documents. */
static bool insert(struct sink_retry *r, int table, bool own, uint64_t *taken)
{
	const struct schema_table *t = &r->st.s->tables[table];
	const struct schema_copy *c = own ? NULL : r->copies[table];
	_cleanup_(buf_free) struct buf sql = {0};
	buf_puts(&sql, "INSERT INTO ");
	sql_table(&sql, r->st.s, t);
	buf_puts(&sql, " (");
	retry_columns(&sql, t, c, NULL);
	buf_puts(&sql, ") OVERRIDING SYSTEM VALUE SELECT "); /* keys that the server numbers keep their document's */
	retry_columns(&sql, t, c, ROW_ALIAS);
	buf_puts(&sql, " FROM ");
	retry_stage(&sql, table);
	buf_printf(&sql,
		   " AS " ROW_ALIAS " JOIN pg_temp.docrow_item i ON i.item = " ROW_ALIAS
		   ".docrow_item WHERE (i.kind = 'r' AND i.tab = %d) IS %s%s ORDER BY " ROW_ALIAS ".docrow_n",
		   table, own ? "true" : "false", table == r->main_table ? " AND NOT i.is_stub" : "");
	return pg_run(r->st.pg, buf_cstr(&sql), NULL, 0, taken, r->st.err);
}

/* Whole numbers in a key are the stand-in's already, and where the server numbers them it refuses even the same one.
 * A text may be spelt otherwise. */
static bool is_number_of_key(const struct schema_table *t, int column)
{
	enum pgt base = t->columns[column].type.base;

	return schema_in_key(t, column) && (base == PGT_INT2 || base == PGT_INT4 || base == PGT_INT8);
}

static void put_new_values(struct buf *sql, const struct schema_table *t, const struct schema_copy *c)
{
	bool first = true;

	for (size_t i = 0; i < c->ncolumns; i++) {
		if (c->ncolumns > 1 && is_number_of_key(t, c->columns[i]))
			continue;
		buf_puts(sql, first ? "" : ", ");
		sql_ident(sql, t->columns[c->columns[i]].name);
		buf_puts(sql, " = ");
		sql_column(sql, ROW_ALIAS, t, c->columns[i]);
		first = false;
	}
}

static bool fill_stubs(struct sink_retry *r, uint64_t *filled)
{
	const struct schema_table *t = &r->st.s->tables[r->main_table];
	const struct schema_copy *c = r->copies[r->main_table];
	_cleanup_(buf_free) struct buf sql = {0};
	buf_puts(&sql, "WITH f AS (UPDATE docrow.finding f SET state = 'restored', retry_step = ");
	buf_printf(&sql, "%lld FROM ", (long long)r->st.step);
	retry_stage(&sql, r->main_table);
	buf_printf(&sql,
		   " AS " ROW_ALIAS " JOIN pg_temp.docrow_item i ON i.item = " ROW_ALIAS
		   ".docrow_item WHERE i.is_stub AND "
		   "f.run = %lld AND f.kind = 'stub' AND f.state = 'open' AND f.table_name = ",
		   (long long)r->st.run);
	sql_literal(&sql, t->name);
	buf_puts(&sql, " AND f.key = ");
	sql_key_text(&sql, ROW_ALIAS, t);
	buf_puts(&sql, "), u AS (UPDATE ");
	sql_table(&sql, r->st.s, t);
	buf_puts(&sql, " AS there SET ");
	put_new_values(&sql, t, c);
	buf_puts(&sql, " FROM ");
	retry_stage(&sql, r->main_table);
	buf_puts(&sql,
		 " AS " ROW_ALIAS " JOIN pg_temp.docrow_item i ON i.item = " ROW_ALIAS ".docrow_item WHERE i.is_stub "
		 "AND ");
	sql_same_key(&sql, t, "there", ROW_ALIAS);
	buf_puts(&sql, " RETURNING 1) SELECT count(*) FROM u");
	if (!sink_counts(r->st.pg, buf_cstr(&sql), filled, 1, r->st.err))
		return false;
	ledger_add(r->st.ledger, LEDGER_STUB_FILLED, t->name, "", *filled);
	return true;
}

static bool store_rows(struct sink_retry *r, int table)
{
	uint64_t waiting, taken, own = 0, filled = 0;
	_cleanup_(buf_free) struct buf sql = {0};
	buf_puts(&sql, "SELECT count(*) FROM ");
	retry_stage(&sql, table);
	if (!sink_counts(r->st.pg, buf_cstr(&sql), &waiting, 1, r->st.err))
		return false;
	if (waiting == 0)
		return true;
	return insert(r, table, false, &taken) && (table == r->main_table || insert(r, table, true, &own)) &&
	       (table != r->main_table || r->st.s->tables[table].nprimary_key != 1 || fill_stubs(r, &filled)) &&
	       check_taken(r, table, taken + own + filled, waiting) &&
	       sink_settle_sequences(r->st.pg, r->st.s, table, r->st.err);
}

/* --- pairs --- */

enum { N_ROWS, N_REJECTS, N_LEFT, N_RIGHT, N_BOTH, N_NOW_LEFT, N_NOW_RIGHT, N_FOUND };

static bool is_kept(const struct sink_retry *r, int j)
{
	return r->st.s->junctions[j].if_orphan == ORPHAN_KEEP;
}

static const char *left_name(const struct sink_retry *r, int j)
{
	const struct schema_junction *u = &r->st.s->junctions[j];
	return r->st.s->tables[u->table].columns[u->left_column].name;
}

static const char *right_name(const struct sink_retry *r, int j)
{
	const struct schema_junction *u = &r->st.s->junctions[j];
	return r->st.s->tables[u->table].columns[u->right_column].name;
}

static const char *both_names(struct sink_retry *r, int j)
{
	return arena_printf(r->arena, "%s,%s", left_name(r, j), right_name(r, j));
}

/* EXISTS (SELECT FROM <table or what waits for it> WHERE key = value) */
static void put_exists(struct buf *sql, const struct sink_retry *r, int table, bool staged, const char *value)
{
	const struct schema_table *t = &r->st.s->tables[table];
	buf_puts(sql, "EXISTS (SELECT FROM ");
	if (staged)
		retry_stage(sql, table);
	else
		sql_table(sql, r->st.s, t);
	buf_puts(sql, " AS e WHERE ");
	sql_column(sql, "e", t, t->primary_key[0]);
	buf_printf(sql, " = %s)", value);
}

static void put_where_new(struct buf *sql, const struct sink_retry *r, const struct schema_junction *u)
{
	buf_puts(sql, " WHERE false");
	if (u->left_table == r->main_table) {
		buf_puts(sql, " OR ");
		put_exists(sql, r, u->left_table, true, "(c.k).l");
	}
	if (u->right_table == r->main_table) {
		buf_puts(sql, " OR ");
		put_exists(sql, r, u->right_table, true, "(c.k).r");
	}
}

static void put_waiting_pairs(struct buf *sql, const struct sink_retry *r, int j)
{
	const struct schema_junction *u = &r->st.s->junctions[j];
	buf_printf(sql,
		   "WITH c AS MATERIALIZED (SELECT f.id, f.column_name, f.key::pg_temp.docrow_k%d AS k FROM "
		   "docrow.finding "
		   "f WHERE f.run = %lld AND f.kind = '%s' AND f.state = 'open' AND f.table_name = ",
		   j, (long long)r->st.run, is_kept(r, j) ? "orphan_kept" : "orphan_pair");
	sql_literal(sql, r->st.s->tables[u->table].name);
	buf_puts(sql, "), d AS MATERIALIZED (SELECT c.id, c.column_name, (c.k).l AS l, (c.k).r AS r, ");
	put_exists(sql, r, u->left_table, false, "(c.k).l");
	buf_puts(sql, " AS has_l, ");
	put_exists(sql, r, u->right_table, false, "(c.k).r");
	buf_puts(sql, " AS has_r FROM c");
	put_where_new(sql, r, u);
	buf_putc(sql, ')');
}

/* Pairs that a unique index of the junction minds become rejects, as in settling: rows are never pushed out. */
static void put_refused(struct buf *sql, const struct sink_retry *r, const struct schema_junction *u,
			const char *from)
{
	const struct schema_table *t = &r->st.s->tables[u->table];
	buf_printf(sql,
		   ", docrow_h AS (INSERT INTO docrow.reject (run, step, fault, code, table_name, message, key, "
		   "row_text) SELECT %lld, %lld, '%s', '%s', ",
		   (long long)r->st.run, (long long)r->st.step, fault_name(FAULT_DUPLICATE),
		   fault_code(FAULT_DUPLICATE));
	sql_literal(sql, t->name);
	buf_puts(sql, ", 'a row that is there has the same values in a unique index', ROW(l, r)::text, "
		      "json_build_object(");
	sql_literal(sql, t->columns[u->left_column].name);
	buf_puts(sql, ", l, ");
	sql_literal(sql, t->columns[u->right_column].name);
	buf_printf(sql,
		   ", r)::text FROM (SELECT l, r FROM %s ORDER BY l, r) p WHERE NOT EXISTS (SELECT FROM docrow_i i "
		   "WHERE i.l = p.l AND i.r = p.r) RETURNING 1)",
		   from);
}

static void put_insert(struct buf *sql, const struct sink_retry *r, const struct schema_junction *u, const char *from)
{
	const struct schema_table *t = &r->st.s->tables[u->table];
	buf_puts(sql, ", docrow_i AS (INSERT INTO ");
	sql_table(sql, r->st.s, t);
	buf_puts(sql, " AS n (");
	sql_ident(sql, t->columns[u->left_column].name);
	buf_puts(sql, ", ");
	sql_ident(sql, t->columns[u->right_column].name);
	buf_printf(sql, ") SELECT l, r FROM %s ORDER BY l, r ON CONFLICT DO NOTHING RETURNING ", from);
	sql_column(sql, "n", t, u->left_column);
	buf_puts(sql, " AS l, ");
	sql_column(sql, "n", t, u->right_column);
	buf_puts(sql, " AS r)");
	put_refused(sql, r, u, from);
}

/* Rows made of pairs, and how many of them were refused. */
#define PAIR_ROWS                                                                                                    \
	" SELECT (SELECT count(*) FROM docrow_i) + (SELECT count(*) FROM docrow_h), (SELECT count(*) FROM docrow_h)"

static void count_pair_rows(struct sink_retry *r, int j, uint64_t rows, uint64_t refused)
{
	const char *name = r->st.s->tables[r->st.s->junctions[j].table].name;
	ledger_add(r->st.ledger, LEDGER_ROWS, name, "", rows);
	ledger_add(r->st.ledger, LEDGER_REJECT_ROW, name, fault_name(FAULT_DUPLICATE), refused);
}

/* Pairs that waited for a row that has just come. */
static bool restore_pairs(struct sink_retry *r, int j)
{
	const struct schema_junction *u = &r->st.s->junctions[j];
	const char *name = r->st.s->tables[u->table].name, *both = both_names(r, j);
	enum ledger_kind kind = is_kept(r, j) ? LEDGER_ORPHAN_KEPT : LEDGER_PAIR_ORPHAN;
	uint64_t n[N_FOUND];
	_cleanup_(buf_free) struct buf sql = {0};
	put_waiting_pairs(&sql, r, j);
	put_insert(&sql, r, u, is_kept(r, j) ? "d WHERE false" : "d WHERE has_l AND has_r");
	buf_printf(&sql,
		   ", u AS (UPDATE docrow.finding f SET state = 'restored', retry_step = %lld FROM d WHERE f.id = "
		   "d.id AND "
		   "d.has_l AND d.has_r), v AS (UPDATE docrow.finding f SET column_name = CASE WHEN d.has_l THEN ",
		   (long long)r->st.step);
	sql_literal(&sql, right_name(r, j));
	buf_puts(&sql, " ELSE ");
	sql_literal(&sql, left_name(r, j));
	buf_puts(&sql, " END FROM d WHERE f.id = d.id AND d.has_l <> d.has_r)" PAIR_ROWS);
	for (int i = 0; i < 3; i++) {
		buf_puts(&sql, ", count(*) FILTER (WHERE has_l AND has_r AND column_name = ");
		sql_literal(&sql, i == 0 ? left_name(r, j) : i == 1 ? right_name(r, j) : both);
		buf_putc(&sql, ')');
	}
	for (int i = 0; i < 2; i++) {
		buf_printf(&sql, ", count(*) FILTER (WHERE %s AND column_name = ",
			   i == 0 ? "has_r AND NOT has_l" : "has_l AND NOT has_r");
		sql_literal(&sql, both);
		buf_putc(&sql, ')');
	}
	buf_puts(&sql, " FROM d");
	if (!sink_counts(r->st.pg, buf_cstr(&sql), n, N_FOUND, r->st.err))
		return false;
	struct ledger *l = r->st.ledger;
	count_pair_rows(r, j, n[N_ROWS], n[N_REJECTS]);
	ledger_add(l, LEDGER_RESTORED, name, "", n[N_LEFT] + n[N_RIGHT] + n[N_BOTH]);
	ledger_add(l, kind, name, left_name(r, j), n[N_NOW_LEFT] - n[N_LEFT]);
	ledger_add(l, kind, name, right_name(r, j), n[N_NOW_RIGHT] - n[N_RIGHT]);
	ledger_add(l, kind, name, both, 0 - n[N_BOTH] - n[N_NOW_LEFT] - n[N_NOW_RIGHT]);
	return true;
}

/* What is known of a pair from before: its row, and the findings that tell that an end was missing or that one side
 * only named it. A pair that has its row and no such finding was named by both sides. */
static void put_known(struct buf *sql, struct sink_retry *r, int j)
{
	const struct schema_junction *u = &r->st.s->junctions[j];
	const struct schema_table *t = &r->st.s->tables[u->table];
	_cleanup_(buf_free) struct buf where = {0};
	buf_printf(&where, ".run = %lld AND ", (long long)r->st.run);
	buf_printf(
		sql,
		"WITH n AS (SELECT l, r, count(*) FILTER (WHERE side = 'L') AS new_l, count(*) FILTER (WHERE side = "
		"'R') "
		"AS new_r FROM pg_temp.docrow_j%d GROUP BY l, r), o AS MATERIALIZED (SELECT n.*, one.id AS one_id, "
		"one.column_name AS one_col, orph.id AS orph_id, EXISTS (SELECT FROM ",
		j);
	sql_table(sql, r->st.s, t);
	buf_puts(sql, " AS e WHERE ");
	sql_column(sql, "e", t, u->left_column);
	buf_puts(sql, " = n.l AND ");
	sql_column(sql, "e", t, u->right_column);
	buf_puts(sql, " = n.r) AS was_row, ");
	put_exists(sql, r, u->left_table, false, "n.l");
	buf_puts(sql, " AS has_l, ");
	put_exists(sql, r, u->right_table, false, "n.r");
	buf_puts(sql, " AS has_r FROM n");
	static const char *const joins[2] = {" LEFT JOIN docrow.finding one ON one.kind = 'one_sided' AND one.key = "
					     "ROW(n.l, n.r)::text AND one.state = "
					     "'open' AND one.run = ",
					     " LEFT JOIN docrow.finding orph ON orph.kind IN ('orphan_pair', "
					     "'orphan_kept') AND orph.key = ROW(n.l, "
					     "n.r)::text AND orph.state = 'open' AND orph.run = "};
	for (int i = 0; i < 2; i++) {
		buf_printf(sql, "%s%lld AND %s.table_name = ", joins[i], (long long)r->st.run,
			   i == 0 ? "one" : "orph");
		sql_literal(sql, t->name);
	}
	buf_puts(sql, "), p AS (SELECT *, was_row OR one_id IS NOT NULL OR orph_id IS NOT NULL AS was_named FROM o)");
}

/* Whether a side named the pair before. */
static void put_named_by(struct buf *sql, const struct sink_retry *r, int j, bool left)
{
	const struct schema_junction *u = &r->st.s->junctions[j];
	if (u->left_collection == NULL || u->right_collection == NULL) {
		buf_puts(sql, (left ? u->left_collection : u->right_collection) != NULL ? "was_named" : "false");
		return;
	}
	buf_puts(sql, "was_named AND (one_id IS NULL OR one_col = "); /* the finding names the side that did not */
	sql_literal(sql, left ? right_name(r, j) : left_name(r, j));
	buf_putc(sql, ')');
}

/* docrow_d: as settling has it (nl, nr: is named by that side, has_l, has_r, taken), with what was before. */
static void put_pairs(struct buf *sql, struct sink_retry *r, int j)
{
	static const char *const taken[] = {[PAIRS_UNION] = "true",
					    [PAIRS_INTERSECT] = "nl > 0 AND nr > 0",
					    [PAIRS_LEFT] = "nl > 0",
					    [PAIRS_RIGHT] = "nr > 0"};
	static const char *const was_taken[] = {[PAIRS_UNION] = "was_named",
						[PAIRS_INTERSECT] = "old_l AND old_r",
						[PAIRS_LEFT] = "old_l",
						[PAIRS_RIGHT] = "old_r"};
	enum pair_sides sides = r->st.s->junctions[j].sides;
	put_known(sql, r, j);
	buf_puts(sql, ", q AS (SELECT *, ");
	put_named_by(sql, r, j, true);
	buf_puts(sql, " AS old_l, ");
	put_named_by(sql, r, j, false);
	buf_printf(sql,
		   " AS old_r FROM p), s AS (SELECT *, (old_l OR new_l > 0)::integer AS nl, (old_r OR new_r > "
		   "0)::integer AS "
		   "nr, (%s) AS old_taken FROM q), docrow_d AS MATERIALIZED (SELECT *, (%s) AS taken FROM s)",
		   was_taken[sides], taken[sides]);
}

enum {
	P_ROWS,
	P_REJECTS,
	P_PAIRS,
	P_REPEAT_L,
	P_REPEAT_R,
	P_MIRRORED,
	P_ONE_SIDED_L,
	P_ONE_SIDED_R,
	P_SIDES,
	P_ORPHAN_LEFT,
	P_ORPHAN_RIGHT,
	P_ORPHAN_BOTH,
	P_COUNTS
};

static void put_pair_counts(struct buf *sql)
{
	static const char *const sums[P_COUNTS] = {
		[P_PAIRS] = "taken::integer - old_taken::integer",
		[P_REPEAT_L] = "new_l - (new_l > 0 AND NOT old_l)::integer",
		[P_REPEAT_R] = "new_r - (new_r > 0 AND NOT old_r)::integer",
		[P_MIRRORED] = "(nl > 0 AND nr > 0)::integer - (old_l AND old_r)::integer",
		[P_ONE_SIDED_L] = "(nr = 0)::integer - (old_l AND NOT old_r)::integer",
		[P_ONE_SIDED_R] = "(nl = 0)::integer - (old_r AND NOT old_l)::integer",
		[P_SIDES] = "(NOT taken)::integer - (was_named AND NOT old_taken)::integer",
		[P_ORPHAN_LEFT] = "(taken AND NOT has_l AND has_r AND orph_id IS NULL)::integer",
		[P_ORPHAN_RIGHT] = "(taken AND has_l AND NOT has_r AND orph_id IS NULL)::integer",
		[P_ORPHAN_BOTH] = "(taken AND NOT has_l AND NOT has_r AND orph_id IS NULL)::integer",
	};
	buf_puts(sql, PAIR_ROWS);
	for (int i = P_REJECTS + 1; i < P_COUNTS; i++)
		buf_printf(sql, ", coalesce(sum(%s), 0)::bigint", sums[i]);
	buf_puts(sql, " FROM docrow_d");
}

static void count_side(struct sink_retry *r, int j, const char *collection, uint64_t repeats, uint64_t one_sided)
{
	const struct schema_junction *u = &r->st.s->junctions[j];
	const char *name = r->st.s->tables[u->table].name;
	if (collection == NULL)
		return;
	ledger_add(r->st.ledger, LEDGER_PAIR_REPEAT, name, collection, repeats);
	if (u->left_collection != NULL && u->right_collection != NULL)
		ledger_add(r->st.ledger, LEDGER_PAIR_ONE_SIDED, name, collection, one_sided);
}

static void count_pairs(struct sink_retry *r, int j, const uint64_t *n)
{
	const struct schema_junction *u = &r->st.s->junctions[j];
	const char *name = r->st.s->tables[u->table].name;
	enum ledger_kind orphans = is_kept(r, j) ? LEDGER_ORPHAN_KEPT : LEDGER_PAIR_ORPHAN;
	struct ledger *l = r->st.ledger;
	ledger_add(l, LEDGER_PAIRS, name, "", n[P_PAIRS]);
	count_pair_rows(r, j, n[P_ROWS], n[P_REJECTS]);
	ledger_add(l, LEDGER_PAIR_MIRRORED, name, "", n[P_MIRRORED]);
	ledger_add(l, LEDGER_PAIR_SIDES, name, "", n[P_SIDES]);
	count_side(r, j, u->left_collection, n[P_REPEAT_L], n[P_ONE_SIDED_L]);
	count_side(r, j, u->right_collection, n[P_REPEAT_R], n[P_ONE_SIDED_R]);
	ledger_add(l, orphans, name, left_name(r, j), n[P_ORPHAN_LEFT]);
	ledger_add(l, orphans, name, right_name(r, j), n[P_ORPHAN_RIGHT]);
	ledger_add(l, orphans, name, both_names(r, j), n[P_ORPHAN_BOTH]);
}

static bool add_pairs(struct sink_retry *r, int j)
{
	const struct schema_junction *u = &r->st.s->junctions[j];
	bool both = u->left_collection != NULL && u->right_collection != NULL;
	uint64_t n[P_COUNTS];
	_cleanup_(buf_free) struct buf sql = {0};
	put_pairs(&sql, r, j);
	put_insert(&sql, r, u,
		   is_kept(r, j) ? "docrow_d WHERE taken AND NOT was_row"
				 : "docrow_d WHERE taken AND has_l AND has_r AND NOT was_row");
	pairs_put_findings(&sql, &r->st, j, "docrow_n", is_kept(r, j) ? "orphan_kept" : "orphan_pair", FAULT_ORPHAN,
			   "NOT has_l", "NOT has_r", "taken AND NOT (has_l AND has_r) AND orph_id IS NULL");
	if (both)
		pairs_put_findings(&sql, &r->st, j, "docrow_m", "one_sided", FAULT_OK, "nl = 0", "nr = 0",
				   "(nl = 0 OR nr = 0) AND one_id IS NULL");
	buf_printf(&sql,
		   ", docrow_f AS (UPDATE docrow.finding f SET state = 'restored', retry_step = %lld FROM docrow_d d "
		   "WHERE "
		   "f.id = d.one_id AND d.nl > 0 AND d.nr > 0)",
		   (long long)r->st.step);
	put_pair_counts(&sql);
	if (!sink_counts(r->st.pg, buf_cstr(&sql), n, P_COUNTS, r->st.err))
		return false;
	count_pairs(r, j, n);
	return true;
}

static bool lift_ends(struct sink_retry *r, int j, bool lifted[2])
{
	const struct schema_junction *u = &r->st.s->junctions[j];
	const struct schema_table *t = &r->st.s->tables[u->table];
	for (size_t k = 0; is_kept(r, j) && k < t->nfkeys && k < 2; k++)
		if (!lift_key(r, u->table, (int)k, &lifted[k]))
			return false;
	return true;
}

static bool put_ends_back(struct sink_retry *r, int j, const bool lifted[2])
{
	for (int k = 0; k < 2; k++)
		if (lifted[k] && !sink_add_fkey(r->st.pg, r->st.s, r->st.s->junctions[j].table, k, r->st.err))
			return false;
	return true;
}

static bool has_new_pairs(struct sink_retry *r, int j, bool *yes)
{
	_cleanup_(buf_free) struct buf sql = {0};
	uint64_t n;
	buf_printf(&sql, "SELECT count(*) FROM pg_temp.docrow_j%d", j);
	bool ok = sink_counts(r->st.pg, buf_cstr(&sql), &n, 1, r->st.err);
	*yes = ok && n > 0;
	return ok;
}

static bool store_pairs(struct sink_retry *r, int j)
{
	bool lifted[2] = {false, false}, any;
	if (!restore_pairs(r, j) || !has_new_pairs(r, j, &any))
		return false;
	return !any || (lift_ends(r, j, lifted) && add_pairs(r, j) && put_ends_back(r, j, lifted));
}

/* --- rows of junctions that were taken out --- */

static void put_has_end(struct buf *sql, const struct schema *s, int table, const char *value)
{
	const struct schema_table *t = &s->tables[table];
	buf_puts(sql, "EXISTS (SELECT FROM ");
	sql_table(sql, s, t);
	buf_puts(sql, " AS e WHERE ");
	sql_column(sql, "e", t, t->primary_key[0]);
	buf_printf(sql, " = %s)", value);
}

bool sink_retry_pairs(struct pg *pg, const struct schema *s, int junction, const char *ids, int64_t step,
		      struct ledger *l, uint64_t *came, struct err *err)
{
	static const enum fault faults[] = {FAULT_DUPLICATE, FAULT_EXISTS};
	const struct schema_junction *u = &s->junctions[junction];
	const struct schema_table *t = &s->tables[u->table];
	_cleanup_(buf_free) struct buf sql = {0};
	uint64_t n[2];
	buf_puts(&sql, "WITH c AS MATERIALIZED (SELECT x.id, x.fault, ");
	sql_column(&sql, "p", t, u->left_column);
	buf_puts(&sql, " AS l, ");
	sql_column(&sql, "p", t, u->right_column);
	buf_puts(&sql, " AS r FROM docrow.reject x, json_populate_record(NULL::");
	sql_table(&sql, s, t);
	buf_printf(&sql,
		   ", x.row_text::json) p WHERE x.id = ANY ('%s'::bigint[]) AND x.state = 'open' FOR UPDATE OF x), i "
		   "AS (INSERT INTO ",
		   ids);
	sql_table(&sql, s, t);
	buf_puts(&sql, " AS n (");
	sql_ident(&sql, t->columns[u->left_column].name);
	buf_puts(&sql, ", ");
	sql_ident(&sql, t->columns[u->right_column].name);
	buf_puts(&sql, ") SELECT l, r FROM c WHERE ");
	put_has_end(&sql, s, u->left_table, "l");
	buf_puts(&sql, " AND ");
	put_has_end(&sql, s, u->right_table, "r");
	buf_puts(&sql, " ORDER BY l, r ON CONFLICT DO NOTHING RETURNING ");
	sql_column(&sql, "n", t, u->left_column);
	buf_puts(&sql, " AS l, ");
	sql_column(&sql, "n", t, u->right_column);
	buf_printf(&sql,
		   " AS r), v AS (SELECT c.id, c.fault, i.l IS NOT NULL AS came FROM c LEFT JOIN i ON i.l = c.l AND "
		   "i.r = c.r), "
		   "w AS (UPDATE docrow.reject x SET attempts = attempts + 1, state = CASE WHEN came THEN 'retried' "
		   "ELSE state END, retried = CASE WHEN came THEN clock_timestamp() END, retry_step = CASE WHEN came "
		   "THEN %lld END FROM v WHERE x.id = v.id) SELECT count(*) FILTER (WHERE came AND fault = '%s'), "
		   "count(*) FILTER (WHERE came AND fault = '%s') FROM v",
		   (long long)step, fault_name(faults[0]), fault_name(faults[1]));
	if (!sink_counts(pg, buf_cstr(&sql), n, 2, err))
		return err_where(err, "pairs of %s", t->name);
	for (size_t i = 0; i < 2; i++)
		ledger_add(l, LEDGER_RETRIED_ROW, t->name, fault_name(faults[i]), n[i]);
	*came = n[0] + n[1];
	return true;
}

/* --- references that waited --- */

enum { R_NULL, R_MOVED, R_KEPT, R_COUNTS };

/* How the id stands in a finding: as id_map has it, or as it was before its document came. */
static void put_arrivals(struct buf *sql, struct sink_retry *r, const struct schema_ref *f, int column)
{
	const struct schema_table *t = &r->st.s->tables[r->main_table];
	const struct pgtype *type = &r->st.s->tables[f->table].columns[f->column].type;
	_cleanup_(buf_free) struct buf value = {0};
	sql_column_text(&value, ROW_ALIAS, t, column);
	buf_puts(sql, "WITH x AS (");
	for (int i = 0; i < 2; i++) {
		const struct id_origin origin = {r->st.run, i == 0 ? t : NULL};
		buf_puts(sql, i == 0 ? "SELECT " : " UNION SELECT ");
		sql_id(sql, SQL_ID_JSON, type, buf_cstr(&value), &origin);
		buf_printf(sql, " AS t, %s AS v FROM ", buf_cstr(&value));
		retry_stage(sql, r->main_table);
		buf_puts(sql, " AS " ROW_ALIAS);
	}
	buf_printf(sql,
		   "), w AS MATERIALIZED (SELECT f.id, f.kind, f.key, x.v FROM docrow.finding f JOIN x ON x.t = "
		   "f.value_text "
		   "WHERE f.run = %lld AND f.state = 'open' AND f.kind IN ('orphan_null', 'orphan_moved', "
		   "'orphan_kept') "
		   "AND f.table_name = ",
		   (long long)r->st.run);
	sql_literal(sql, r->st.s->tables[f->table].name);
	buf_puts(sql, " AND f.column_name = ");
	sql_literal(sql, r->st.s->tables[f->table].columns[f->column].name);
	buf_putc(sql, ')');
}

/* The row of table t that finding w names by its key. */
static void put_row_of_finding(struct buf *sql, const struct sink_retry *r, int table)
{
	const struct schema_table *t = &r->st.s->tables[table];
	for (size_t i = 0; i < t->nprimary_key; i++) {
		int c = t->primary_key[i];
		buf_puts(sql, i > 0 ? " AND " : "");
		sql_column(sql, ROW_ALIAS, t, c);
		if (t->nprimary_key == 1) {
			buf_puts(sql, " = w.key::");
			pgtype_sql(sql, &t->columns[c].type, r->st.s->name);
		} else {
			buf_printf(sql, " = (w.key::pg_temp.docrow_y%d).", table);
			sql_ident(sql, t->columns[c].name);
		}
	}
}

/* A type of the key's columns, to read a key of several columns back from its text. */
static bool make_key_type(struct sink_retry *r, int table)
{
	const struct schema_table *t = &r->st.s->tables[table];
	_cleanup_(buf_free) struct buf sql = {0};
	if (t->nprimary_key <= 1)
		return true;
	buf_printf(&sql,
		   "DROP TABLE IF EXISTS pg_temp.docrow_y%d; CREATE TEMP TABLE docrow_y%d ON COMMIT DROP AS SELECT ",
		   table, table);
	for (size_t i = 0; i < t->nprimary_key; i++) {
		buf_puts(&sql, i > 0 ? ", " : "");
		sql_ident(&sql, t->columns[t->primary_key[i]].name);
	}
	buf_puts(&sql, " FROM ");
	sql_table(&sql, r->st.s, t);
	buf_puts(&sql, " WHERE false");
	return pg_exec(r->st.pg, buf_cstr(&sql), r->st.err);
}

static void put_restore(struct buf *sql, struct sink_retry *r, const struct schema_ref *f)
{
	const struct schema_table *t = &r->st.s->tables[f->table];
	put_arrivals(sql, r, f, f->ref_column);
	buf_puts(sql, ", u AS (UPDATE ");
	sql_table(sql, r->st.s, t);
	buf_puts(sql, " AS " ROW_ALIAS " SET ");
	sql_ident(sql, t->columns[f->column].name);
	buf_puts(sql, " = w.v");
	if (f->move_to >= 0) {
		buf_puts(sql, ", ");
		sql_ident(sql, t->columns[f->move_to].name);
		buf_puts(sql, " = CASE WHEN w.kind <> 'orphan_moved' THEN ");
		sql_column(sql, ROW_ALIAS, t, f->move_to);
		buf_puts(sql, " END");
	}
	buf_puts(sql, " FROM w WHERE w.kind <> 'orphan_kept' AND ");
	put_row_of_finding(sql, r, f->table);
	buf_puts(sql, " AND ");
	sql_column(sql, ROW_ALIAS, t, f->column);
	buf_puts(sql, " IS NULL AND (w.kind = 'orphan_null'");
	if (f->move_to >= 0) {
		buf_puts(sql, " OR ");
		sql_column(sql, ROW_ALIAS, t, f->move_to);
		buf_puts(sql, " = w.v");
	}
	buf_printf(sql,
		   ") RETURNING w.id, w.kind), d AS MATERIALIZED (SELECT id, kind FROM u UNION ALL SELECT id, kind "
		   "FROM w "
		   "WHERE kind = 'orphan_kept'), n AS (UPDATE docrow.finding f SET state = 'restored', retry_step = "
		   "%lld "
		   "FROM d WHERE f.id = d.id) SELECT count(*) FILTER (WHERE kind = 'orphan_null'), count(*) FILTER "
		   "(WHERE "
		   "kind = 'orphan_moved'), count(*) FILTER (WHERE kind = 'orphan_kept') FROM d",
		   (long long)r->st.step);
}

/* References that were set to NULL, moved or kept since their row was missing: it is there now. */
static bool restore_ref(struct sink_retry *r, int ref)
{
	const struct schema_ref *f = &r->st.s->refs[ref];
	const struct schema_table *t = &r->st.s->tables[f->table];
	const char *column = t->columns[f->column].name;
	uint64_t n[R_COUNTS];
	_cleanup_(buf_free) struct buf sql = {0};
	put_restore(&sql, r, f);
	if (!sink_counts(r->st.pg, buf_cstr(&sql), n, R_COUNTS, r->st.err))
		return false;
	ledger_add(r->st.ledger, LEDGER_ORPHAN_NULL, t->name, column, 0 - n[R_NULL]);
	ledger_add(r->st.ledger, LEDGER_ORPHAN_MOVED, t->name, column, 0 - n[R_MOVED]);
	ledger_add(r->st.ledger, LEDGER_ORPHAN_KEPT, t->name, column, 0 - n[R_KEPT]);
	ledger_add(r->st.ledger, LEDGER_RESTORED, t->name, column, n[R_NULL] + n[R_MOVED] + n[R_KEPT]);
	return true;
}

/* References that became NULL since neither table had their row: the other one has it now, so they move. */
static bool move_ref(struct sink_retry *r, int ref)
{
	const struct schema_ref *f = &r->st.s->refs[ref];
	const struct schema_table *t = &r->st.s->tables[f->table];
	const char *column = t->columns[f->column].name;
	uint64_t n;
	_cleanup_(buf_free) struct buf sql = {0};
	put_arrivals(&sql, r, f, f->move_ref_column);
	buf_puts(&sql, ", u AS (UPDATE ");
	sql_table(&sql, r->st.s, t);
	buf_puts(&sql, " AS " ROW_ALIAS " SET ");
	sql_ident(&sql, t->columns[f->move_to].name);
	buf_puts(&sql, " = w.v FROM w WHERE w.kind = 'orphan_null' AND ");
	put_row_of_finding(&sql, r, f->table);
	buf_puts(&sql, " AND ");
	sql_column(&sql, ROW_ALIAS, t, f->column);
	buf_puts(&sql, " IS NULL AND ");
	sql_column(&sql, ROW_ALIAS, t, f->move_to);
	buf_puts(&sql,
		 " IS NULL RETURNING w.id), n AS (UPDATE docrow.finding f SET kind = 'orphan_moved' FROM u WHERE "
		 "f.id = u.id) SELECT count(*) FROM u");
	if (!sink_counts(r->st.pg, buf_cstr(&sql), &n, 1, r->st.err))
		return false;
	ledger_add(r->st.ledger, LEDGER_ORPHAN_NULL, t->name, column, 0 - n);
	ledger_add(r->st.ledger, LEDGER_ORPHAN_MOVED, t->name, column, n);
	return true;
}

static bool restore_refs(struct sink_retry *r)
{
	for (size_t i = 0; i < r->st.s->nrefs; i++) {
		const struct schema_ref *f = &r->st.s->refs[i];
		bool comes = f->ref_table == r->main_table,
		     moves = f->move_to >= 0 && f->move_ref_table == r->main_table;
		if (r->st.s->tables[f->table].nprimary_key == 0 || (!comes && !moves))
			continue;
		if (!make_key_type(r, f->table) || (comes && !restore_ref(r, (int)i)) ||
		    (moves && !move_ref(r, (int)i)))
			return err_where(r->st.err, "references of %s", r->st.s->tables[f->table].name);
	}
	return true;
}

/* --- all of it --- */

bool sink_retry_store(struct sink_retry *r, struct err *err)
{
	bool *lifted = arena_alloc(r->arena, (r->st.s->nrefs + 1) * sizeof *lifted);
	r->st.err = err;
	bool ok = lift_keys(r, lifted);
	for (size_t i = 0; ok && i < r->norder; i++)
		ok = store_rows(r, r->order[i]) || err_where(err, "rows of %s", r->st.s->tables[r->order[i]].name);
	ok = ok && put_keys_back(r, lifted);
	for (size_t j = 0; ok && j < r->st.s->njunctions; j++)
		if (r->pairs[j])
			ok = store_pairs(r, (int)j) ||
			     err_where(err, "pairs of %s", r->st.s->tables[r->st.s->junctions[j].table].name);
	return ok && restore_refs(r);
}

/* Are references of this foreign key listed that point to nothing still? */
static bool has_open_findings(struct pg *pg, const struct schema *s, int64_t run, int table, bool *yes,
			      struct err *err)
{
	_cleanup_(buf_free) struct buf sql = {0};
	uint64_t n;
	buf_printf(&sql,
		   "SELECT count(*) FROM docrow.finding WHERE run = %lld AND kind = 'orphan_kept' AND state = 'open' "
		   "AND "
		   "table_name = ",
		   (long long)run);
	sql_literal(&sql, s->tables[table].name);
	bool ok = sink_counts(pg, buf_cstr(&sql), &n, 1, err);
	*yes = ok && n > 0;
	return ok;
}

bool sink_retry_validate(struct pg *pg, const struct schema *s, int64_t run, struct err *err)
{
	for (size_t t = 0; t < s->ntables; t++)
		for (size_t k = 0; k < s->tables[t].nfkeys; k++) {
			enum key_state state;
			bool open;
			_cleanup_(buf_free) struct buf sql = {0};
			bool refused;
			if (!sink_key_state(pg, s, (int)t, (int)k, &state, err))
				return false;
			if (state != KEY_NOT_VALID)
				continue;
			if (!has_open_findings(pg, s, run, (int)t, &open, err))
				return false;
			sql_validate(&sql, s, (int)t, (int)k);
			if (!open && !sink_try(pg, buf_cstr(&sql), "23503", &refused, err))
				return false;
		}
	return true;
}

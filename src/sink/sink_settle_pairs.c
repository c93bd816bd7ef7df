/* sink_settle_pairs.c - raw pairs of docrow.pairs_<n> → rows of a junction table.
 *
 * The staging table has a row for each element of the arrays of both sides. One query groups them by pair with the
 * count of each side, looks up both ends, inserts the pairs that the junction's `sides` takes, lists orphan and
 * one-sided pairs, and gives the counts, for which this holds:
 *
 *   rows staged = pairs + repeats + mirrored + left out by sides        pairs = rows inserted + orphan pairs
 *
 * A pair that the table had before the run is skipped, which is counted, and listed.
 * mirrored: a pair that both sides name is two elements and one pair.
 */
#include "sink_settle.h"

enum {
	N_PAIRS,
	N_REPEAT_L,
	N_REPEAT_R,
	N_MIRRORED,
	N_ONE_SIDED_L,
	N_ONE_SIDED_R,
	N_SIDES,
	N_ORPHAN_LEFT,
	N_ORPHAN_RIGHT,
	N_ORPHAN_BOTH,
	N_ROWS,
	N_SKIPPED,
	N_COUNTS
};

struct pairs {
	struct settle st;
	const struct schema_junction *j;
	const struct schema_table *t;
	int index;
};

static const char *taken(enum pair_sides sides)
{
	static const char *const sql[] = {[PAIRS_UNION] = "true",
					  [PAIRS_INTERSECT] = "nl > 0 AND nr > 0",
					  [PAIRS_LEFT] = "nl > 0",
					  [PAIRS_RIGHT] = "nr > 0"};
	return sql[sides];
}

static const struct pgtype *left_type(const struct pairs *p)
{
	return &p->t->columns[p->j->left_column].type;
}

static const struct pgtype *right_type(const struct pairs *p)
{
	return &p->t->columns[p->j->right_column].type;
}

static void put_end(struct buf *sql, const struct pairs *p, int table, const char *alias, const char *value)
{
	const struct schema_table *end = &p->st.s->tables[table];
	buf_puts(sql, " LEFT JOIN ");
	sql_table(sql, p->st.s, end);
	buf_printf(sql, " AS %s ON ", alias);
	sql_column(sql, alias, end, end->primary_key[0]);
	buf_printf(sql, " = g.%s", value);
}

/* Whether the pair was there before the run. */
static void put_is_there(struct buf *sql, const struct pairs *p)
{
	if (!p->t->has_others) {
		buf_puts(sql, "false");
		return;
	}
	buf_puts(sql, "EXISTS (SELECT FROM ");
	sql_table(sql, p->st.s, p->t);
	buf_puts(sql, " AS docrow_there WHERE ");
	sql_column(sql, "docrow_there", p->t, p->j->left_column);
	buf_puts(sql, " = g.l AND ");
	sql_column(sql, "docrow_there", p->t, p->j->right_column);
	buf_puts(sql, " = g.r)");
}

static void put_grouped(struct buf *sql, const struct pairs *p)
{
	const struct schema_table *left = &p->st.s->tables[p->j->left_table];
	const struct schema_table *right = &p->st.s->tables[p->j->right_table];
	buf_printf(sql, "WITH docrow_d AS MATERIALIZED (SELECT g.l, g.r, g.nl, g.nr, (%s) AS taken, ",
		   taken(p->j->sides));
	sql_column(sql, "docrow_l", left, left->primary_key[0]);
	buf_puts(sql, " IS NOT NULL AS has_l, ");
	sql_column(sql, "docrow_r", right, right->primary_key[0]);
	buf_puts(sql, " IS NOT NULL AS has_r, ");
	put_is_there(sql, p);
	buf_printf(sql,
		   " AS is_there FROM (SELECT l, r, count(*) FILTER (WHERE side = 'L') AS nl, count(*) FILTER"
		   " (WHERE side = 'R') AS nr FROM docrow.pairs_%d GROUP BY l, r) g",
		   p->index);
	put_end(sql, p, p->j->left_table, "docrow_l", "l");
	put_end(sql, p, p->j->right_table, "docrow_r", "r");
	buf_putc(sql, ')');
}

static void put_insert(struct buf *sql, const struct pairs *p)
{
	buf_puts(sql, ", docrow_i AS (INSERT INTO ");
	sql_rows(sql, p->st.s, p->t);
	buf_puts(sql, " (");
	sql_ident(sql, p->t->columns[p->j->left_column].name);
	buf_puts(sql, ", ");
	sql_ident(sql, p->t->columns[p->j->right_column].name);
	buf_printf(sql, ") SELECT l, r FROM docrow_d WHERE taken AND NOT is_there%s RETURNING 1)",
		   p->j->if_orphan == ORPHAN_KEEP ? "" : " AND has_l AND has_r");
}

static void put_end_id(struct buf *sql, const struct pairs *p, enum sql_id_form form, bool left)
{
	int end = left ? p->j->left_table : p->j->right_table;
	const struct id_origin origin = {p->st.run, &p->st.s->tables[end]};
	sql_id(sql, form, left ? left_type(p) : right_type(p), left ? "l" : "r", &origin);
}

/* The document that named the pair, or the id that it named. A pair that both sides named counts as the left's. */
static void put_named(struct buf *sql, const struct pairs *p, enum sql_id_form form, bool document)
{
	buf_puts(sql, "CASE WHEN nl > 0 THEN ");
	put_end_id(sql, p, form, document);
	buf_puts(sql, " ELSE ");
	put_end_id(sql, p, form, !document);
	buf_puts(sql, " END");
}

static void put_collection(struct buf *sql, const struct pairs *p)
{
	buf_puts(sql, "CASE WHEN nl > 0 THEN ");
	sql_text_or_null(sql, p->j->left_collection);
	buf_puts(sql, " ELSE ");
	sql_text_or_null(sql, p->j->right_collection);
	buf_puts(sql, " END");
}

static void put_column_name(struct buf *sql, const struct pairs *p, const char *when_left, const char *when_right)
{
	const char *left = p->t->columns[p->j->left_column].name, *right = p->t->columns[p->j->right_column].name;
	_cleanup_(buf_free) struct buf both = {0};
	buf_printf(&both, "%s,%s", left, right);
	buf_printf(sql, "CASE WHEN %s AND %s THEN ", when_left, when_right);
	sql_literal(sql, buf_cstr(&both));
	buf_printf(sql, " WHEN %s THEN ", when_left);
	sql_literal(sql, left);
	buf_puts(sql, " ELSE ");
	sql_literal(sql, right);
	buf_puts(sql, " END");
}

/* A finding for each pair that `where` picks. column_name: the end that is missing, or the end that did not name it.
 */
static void put_findings(struct buf *sql, const struct pairs *p, const char *name, const char *kind, enum fault fault,
			 const char *when_left, const char *when_right, const char *where)
{
	buf_printf(sql,
		   ", %s AS (INSERT INTO docrow.finding (run, step, kind, fault, table_name, column_name, collection,"
		   " doc_id, doc_id_text, key, ordinal, value, value_text) SELECT %lld, %lld, '%s', ",
		   name, (long long)p->st.run, (long long)p->st.step, kind);
	sql_text_or_null(sql, fault == FAULT_OK ? NULL : fault_name(fault));
	buf_puts(sql, ", ");
	sql_literal(sql, p->t->name);
	buf_puts(sql, ", ");
	put_column_name(sql, p, when_left, when_right);
	buf_puts(sql, ", ");
	put_collection(sql, p);
	buf_puts(sql, ", ");
	put_named(sql, p, SQL_ID_BSON_ID, true);
	buf_puts(sql, ", ");
	put_named(sql, p, SQL_ID_JSON, true);
	buf_puts(sql, ", ROW(l, r)::text, NULL::bigint, ");
	put_named(sql, p, SQL_ID_BSON_VALUE, false);
	buf_puts(sql, ", ");
	put_named(sql, p, SQL_ID_JSON, false);
	buf_printf(sql, " FROM docrow_d WHERE %s ORDER BY l, r)", where);
}

void pairs_put_findings(struct buf *sql, const struct settle *st, int junction, const char *name, const char *kind,
			enum fault fault, const char *when_left, const char *when_right, const char *where)
{
	const struct schema_junction *j = &st->s->junctions[junction];
	struct pairs p = {.st = *st, .j = j, .t = &st->s->tables[j->table], .index = junction};
	put_findings(sql, &p, name, kind, fault, when_left, when_right, where);
}

static bool has_both_sides(const struct pairs *p)
{
	return p->j->left_collection != NULL && p->j->right_collection != NULL;
}

/* Pairs that would be rows and are there already. */
static const char *skipped(const struct pairs *p)
{
	return p->j->if_orphan == ORPHAN_KEEP ? "taken AND is_there" : "taken AND is_there AND has_l AND has_r";
}

static void put_counts(struct buf *sql, const struct pairs *p)
{
	static const char *const counts[N_SKIPPED] = {
		[N_PAIRS] = "count(*) FILTER (WHERE taken)",
		[N_REPEAT_L] = "coalesce(sum(nl - 1) FILTER (WHERE nl > 0), 0)::bigint",
		[N_REPEAT_R] = "coalesce(sum(nr - 1) FILTER (WHERE nr > 0), 0)::bigint",
		[N_MIRRORED] = "count(*) FILTER (WHERE nl > 0 AND nr > 0)",
		[N_ONE_SIDED_L] = "count(*) FILTER (WHERE nr = 0)",
		[N_ONE_SIDED_R] = "count(*) FILTER (WHERE nl = 0)",
		[N_SIDES] = "count(*) FILTER (WHERE NOT taken)",
		[N_ORPHAN_LEFT] = "count(*) FILTER (WHERE taken AND NOT has_l AND has_r)",
		[N_ORPHAN_RIGHT] = "count(*) FILTER (WHERE taken AND has_l AND NOT has_r)",
		[N_ORPHAN_BOTH] = "count(*) FILTER (WHERE taken AND NOT has_l AND NOT has_r)",
		[N_ROWS] = "(SELECT count(*) FROM docrow_i)",
	};
	for (int i = 0; i < N_SKIPPED; i++)
		buf_printf(sql, "%s%s", i > 0 ? ", " : " SELECT ", counts[i]);
	buf_printf(sql, ", count(*) FILTER (WHERE %s) FROM docrow_d", skipped(p));
}

static void put_statement(struct buf *sql, const struct pairs *p)
{
	bool keep = p->j->if_orphan == ORPHAN_KEEP;
	put_grouped(sql, p);
	put_insert(sql, p);
	put_findings(sql, p, "docrow_n", keep ? "orphan_kept" : "orphan_pair", FAULT_ORPHAN, "NOT has_l", "NOT has_r",
		     "taken AND NOT (has_l AND has_r)");
	if (p->t->has_others)
		put_findings(sql, p, "docrow_s", "skipped", FAULT_EXISTS, "true", "true", skipped(p));
	if (has_both_sides(p))
		put_findings(sql, p, "docrow_m", "one_sided", FAULT_OK, "nl = 0", "nr = 0", "nl = 0 OR nr = 0");
	put_counts(sql, p);
}

static void count_orphans(const struct pairs *p, const uint64_t *n)
{
	enum ledger_kind kind = p->j->if_orphan == ORPHAN_KEEP ? LEDGER_ORPHAN_KEPT : LEDGER_PAIR_ORPHAN;
	const char *left = p->t->columns[p->j->left_column].name, *right = p->t->columns[p->j->right_column].name;
	_cleanup_(buf_free) struct buf both = {0};
	buf_printf(&both, "%s,%s", left, right);
	ledger_add(p->st.ledger, kind, p->t->name, left, n[N_ORPHAN_LEFT]);
	ledger_add(p->st.ledger, kind, p->t->name, right, n[N_ORPHAN_RIGHT]);
	ledger_add(p->st.ledger, kind, p->t->name, buf_cstr(&both), n[N_ORPHAN_BOTH]);
}

static void count_side(const struct pairs *p, const char *collection, uint64_t repeats, uint64_t one_sided)
{
	if (collection == NULL)
		return;
	ledger_add(p->st.ledger, LEDGER_PAIR_REPEAT, p->t->name, collection, repeats);
	if (has_both_sides(p))
		ledger_add(p->st.ledger, LEDGER_PAIR_ONE_SIDED, p->t->name, collection, one_sided);
}

static void count_pairs(const struct pairs *p, const uint64_t *n)
{
	ledger_add(p->st.ledger, LEDGER_PAIRS, p->t->name, "", n[N_PAIRS]);
	ledger_add(p->st.ledger, LEDGER_ROWS, p->t->name, "", n[N_ROWS] + n[N_SKIPPED]);
	ledger_add(p->st.ledger, LEDGER_SKIPPED, p->t->name, "", n[N_SKIPPED]);
	ledger_add(p->st.ledger, LEDGER_PAIR_MIRRORED, p->t->name, "", n[N_MIRRORED]);
	ledger_add(p->st.ledger, LEDGER_PAIR_SIDES, p->t->name, "", n[N_SIDES]);
	count_side(p, p->j->left_collection, n[N_REPEAT_L], n[N_ONE_SIDED_L]);
	count_side(p, p->j->right_collection, n[N_REPEAT_R], n[N_ONE_SIDED_R]);
	count_orphans(p, n);
}

bool sink_settle_pairs(struct pg *pg, const struct schema *s, int junction, int64_t run, int64_t step,
		       struct ledger *l, struct err *err)
{
	const struct schema_junction *j = &s->junctions[junction];
	struct pairs p = {.st = {.pg = pg, .s = s, .run = run, .step = step, .ledger = l, .err = err},
			  .j = j,
			  .t = &s->tables[j->table],
			  .index = junction};
	_cleanup_(buf_free) struct buf sql = {0};
	uint64_t counts[N_COUNTS];
	put_statement(&sql, &p);
	/* without statistics the planner takes the groups for few */
	if (!pg_execf(pg, err, "ANALYZE docrow.pairs_%d", junction) ||
	    !sink_counts(pg, buf_cstr(&sql), counts, N_COUNTS, err) ||
	    !pg_execf(pg, err, "TRUNCATE docrow.pairs_%d", junction))
		return err_where(err, "pairs of %s", p.t->name);
	count_pairs(&p, counts);
	return true;
}

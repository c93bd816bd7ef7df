/* Junctions: raw pairs to rows, with every element accounted for. Needs a server: DATABASE_URL. */
#include "sink_test.h"

static void junction(struct fixture *f, struct schema_junction j)
{
	f->tables[f->s.ntables] = (struct schema_table){0};
	j.table = table(f, "J", NULL, "*account_id uuid, *user_id uuid");
	j.left_column = 0;
	j.right_column = 1;
	f->junctions[f->s.njunctions++] = j;
}

static void two_sides(struct fixture *f, enum pair_sides sides, enum orphan_policy if_orphan)
{
	int a = table(f, "Accounts", "accounts", "*id uuid"), u = table(f, "Users", "users", "*id uuid");
	junction(f, (struct schema_junction){.left_table = a,
					     .right_table = u,
					     .left_collection = "accounts",
					     .right_collection = "users",
					     .sides = sides,
					     .if_orphan = if_orphan});
	create(f);
	load(f, "Accounts", "1|2|3");
	load(f, "Users", "11|12|13");
	/* both sides, thrice left, twice right; left only; right only; user missing; account missing; both missing */
	load_pairs(f, 0,
		   "1 11 L|1 11 L|1 11 L|1 11 R|1 11 R|1 12 L|2 12 R|2 13 L|2 13 R|3 98 L|99 11 R|99 98 L|99 98 R");
	add_keys(f);
}

static void settle(struct fixture *f)
{
	struct err err;
	begin(f);
	OK(sink_settle_pairs(f->pg, &f->s, 0, RUN, STEP, f->ledger, &err));
	OK(sink_add_primary_key(f->pg, &f->s, f->junctions[0].table, &err));
	commit(f);
	EXPECT(f, "SELECT count(*) FROM docrow.pairs_0", "0");
}

/* elements = pairs + repeats + mirrored + left out by sides; pairs = rows + orphan pairs (promise 2) */
static void identities(struct fixture *f, uint64_t elements)
{
	uint64_t pairs = ledger_sum(f->ledger, LEDGER_PAIRS, "J");
	assert_int_equal(elements, pairs + ledger_sum(f->ledger, LEDGER_PAIR_REPEAT, "J") +
					   ledger_sum(f->ledger, LEDGER_PAIR_MIRRORED, "J") +
					   ledger_sum(f->ledger, LEDGER_PAIR_SIDES, "J"));
	assert_int_equal(pairs,
			 ledger_sum(f->ledger, LEDGER_ROWS, "J") + ledger_sum(f->ledger, LEDGER_PAIR_ORPHAN, "J"));
	EXPECT(f, "SELECT count(*) FROM \"J\"",
	       arena_printf(f->arena, "%llu", (unsigned long long)counted(f, LEDGER_ROWS, "J", "")));
}

/* two_sides adds keys to all tables: the junction's own comes after the pairs */
static void without_key(struct fixture *f)
{
	struct err err;
	OK(pg_exec(f->pg, "ALTER TABLE \"J\" DROP CONSTRAINT \"J_pkey\"", &err));
}

static void the_union(void **state)
{
	struct fixture *f = *state;
	two_sides(f, PAIRS_UNION, ORPHAN_REJECT);
	without_key(f);
	settle(f);
	EXPECT(f, "SELECT n(account_id), n(user_id) FROM \"J\" ORDER BY 1, 2", "1 11|1 12|2 12|2 13");
	COUNTED(f, PAIRS, "J", "", 7);
	COUNTED(f, PAIR_REPEAT, "J", "accounts", 2);
	COUNTED(f, PAIR_REPEAT, "J", "users", 1);
	COUNTED(f, PAIR_MIRRORED, "J", "", 3);
	COUNTED(f, PAIR_ONE_SIDED, "J", "accounts", 2);
	COUNTED(f, PAIR_ONE_SIDED, "J", "users", 2);
	COUNTED(f, PAIR_ORPHAN, "J", "account_id", 1);
	COUNTED(f, PAIR_ORPHAN, "J", "user_id", 1);
	COUNTED(f, PAIR_ORPHAN, "J", "account_id,user_id", 1);
	identities(f, 13);
	EXPECT(f,
	       "SELECT kind, fault, column_name, collection, n(doc_id), n(value), run, step FROM docrow.finding "
	       "WHERE kind ="
	       " 'orphan_pair' ORDER BY key",
	       "orphan_pair orphan user_id accounts 3 98 7 9|orphan_pair orphan account_id users 11 99 7 9|"
	       "orphan_pair orphan account_id,user_id accounts 99 98 7 9");
	EXPECT(f,
	       "SELECT kind, fault, column_name, collection, n(doc_id), n(value) FROM docrow.finding WHERE kind ="
	       " 'one_sided' ORDER BY key",
	       "one_sided - user_id accounts 1 12|one_sided - account_id users 12 2|one_sided - user_id accounts 3 "
	       "98|"
	       "one_sided - account_id users 11 99");
	EXPECT(f, "SELECT doc_id_text, value_text FROM docrow.finding ORDER BY kind, key LIMIT 1",
	       "{\"$oid\":\"65000000abcdef0100000001\"} {\"$oid\":\"65000000abcdef010000000c\"}");
}

static void the_intersection(void **state)
{
	struct fixture *f = *state;
	two_sides(f, PAIRS_INTERSECT, ORPHAN_REJECT);
	without_key(f);
	settle(f);
	EXPECT(f, "SELECT n(account_id), n(user_id) FROM \"J\" ORDER BY 1, 2", "1 11|2 13");
	COUNTED(f, PAIRS, "J", "", 3);
	COUNTED(f, PAIR_SIDES, "J", "", 4);
	COUNTED(f, PAIR_ORPHAN, "J", "account_id,user_id", 1);
	identities(f, 13);
}

static void one_side_decides(void **state)
{
	struct fixture *f = *state;
	two_sides(f, PAIRS_LEFT, ORPHAN_REJECT);
	without_key(f);
	settle(f);
	EXPECT(f, "SELECT n(account_id), n(user_id) FROM \"J\" ORDER BY 1, 2", "1 11|1 12|2 13");
	COUNTED(f, PAIR_SIDES, "J", "", 2);
	COUNTED(f, PAIR_ORPHAN, "J", "account_id", 0);
	identities(f, 13);
}

static void the_other_side_decides(void **state)
{
	struct fixture *f = *state;
	two_sides(f, PAIRS_RIGHT, ORPHAN_REJECT);
	without_key(f);
	settle(f);
	EXPECT(f, "SELECT n(account_id), n(user_id) FROM \"J\" ORDER BY 1, 2", "1 11|2 12|2 13");
	COUNTED(f, PAIR_SIDES, "J", "", 2);
	COUNTED(f, PAIR_ORPHAN, "J", "user_id", 0);
	identities(f, 13);
}

static void orphan_pairs_kept(void **state)
{
	struct fixture *f = *state;
	struct err err;
	two_sides(f, PAIRS_UNION, ORPHAN_KEEP);
	without_key(f);
	f->tables[2].fkeys[0] = (struct schema_fkey){
		.name = "J_user_id_fkey", .column = "user_id", .ref_table = 1, .ref_column = "id"};
	f->tables[2].nfkeys = 1;
	settle(f);
	EXPECT(f, "SELECT count(*) FROM \"J\"", "7");
	COUNTED(f, ROWS, "J", "", 7);
	COUNTED(f, PAIR_ORPHAN, "J", "user_id", 0);
	COUNTED(f, ORPHAN_KEPT, "J", "user_id", 1);
	COUNTED(f, ORPHAN_KEPT, "J", "account_id,user_id", 1);
	EXPECT(f, "SELECT count(*) FROM docrow.finding WHERE kind = 'orphan_kept'", "3");
	identities(f, 13);
	begin(f);
	OK(sink_add_fkey(f->pg, &f->s, 2, 0, &err));
	OK(sink_validate_fkey(f->pg, &f->s, 2, 0, &err));
	commit(f);
	assert_int_equal(key_state(f, 2, 0), KEY_NOT_VALID);
}

static void one_array_only(void **state)
{
	struct fixture *f = *state;
	int a = table(f, "Accounts", "accounts", "*id uuid"), u = table(f, "Users", "users", "*id uuid");
	junction(f, (struct schema_junction){.left_table = a, .right_table = u, .right_collection = "users"});
	create(f);
	load(f, "Accounts", "1|2");
	load(f, "Users", "11|12");
	load_pairs(f, 0, "1 11 R|1 11 R|2 12 R|9 12 R");
	add_keys(f);
	without_key(f);
	settle(f);
	EXPECT(f, "SELECT n(account_id), n(user_id) FROM \"J\" ORDER BY 1, 2", "1 11|2 12");
	/* nothing is one-sided where there is but one side */
	COUNTED(f, PAIR_ONE_SIDED, "J", "users", 0);
	COUNTED(f, PAIR_REPEAT, "J", "users", 1);
	EXPECT(f, "SELECT kind, collection, column_name, n(doc_id), n(value) FROM docrow.finding",
	       "orphan_pair users account_id 12 9");
	identities(f, 4);
}

static void a_collection_with_itself(void **state)
{
	struct fixture *f = *state;
	int u = table(f, "Users", "users", "*id uuid");
	junction(f,
		 (struct schema_junction){
			 .left_table = u, .right_table = u, .left_collection = "users", .right_collection = "users"});
	create(f);
	load(f, "Users", "1|2|3");
	/* 1 follows 2 (both say so), 2 follows 1 (left only), 3 follows itself twice, 3 is followed by nobody (9) */
	load_pairs(f, 0, "1 2 L|1 2 R|2 1 L|3 3 L|3 3 L|3 3 R|9 3 R");
	add_keys(f);
	without_key(f);
	settle(f);
	EXPECT(f, "SELECT n(account_id), n(user_id) FROM \"J\" ORDER BY 1, 2", "1 2|2 1|3 3");
	COUNTED(f, PAIR_REPEAT, "J", "users", 1);
	COUNTED(f, PAIR_MIRRORED, "J", "", 2);
	COUNTED(f, PAIR_ONE_SIDED, "J", "users", 2);
	COUNTED(f, PAIR_ORPHAN, "J", "account_id", 1);
	identities(f, 7);
}

static void an_empty_staging_table(void **state)
{
	struct fixture *f = *state;
	int u = table(f, "Users", "users", "*id uuid");
	junction(f, (struct schema_junction){.left_table = u, .right_table = u, .left_collection = "users"});
	create(f);
	add_keys(f);
	without_key(f);
	settle(f);
	identities(f, 0);
	assert_int_equal(ledger_sum(f->ledger, LEDGER_PAIRS, NULL), 0);
}

/* Ends that were rejected while settling leave orphan pairs behind. */
static void pairs_of_rejected_rows(void **state)
{
	struct fixture *f = *state;
	int t = table(f, "Teams", "teams", "*id uuid"), u = table(f, "Users", "users", "*id uuid, team uuid");
	junction(f, (struct schema_junction){.left_table = t, .right_table = u, .left_collection = "teams"});
	reference(f, u, "team", t, ORPHAN_REJECT);
	create(f);
	load(f, "Teams", "1");
	load(f, "Users", "11 1|12 99");
	load_pairs(f, 0, "1 11 L|1 12 L");
	add_keys(f);
	without_key(f);
	settle_orphans(f);
	settle(f);
	EXPECT(f, "SELECT n(account_id), n(user_id) FROM \"J\"", "1 11");
	COUNTED(f, PAIR_ORPHAN, "J", "user_id", 1);
	identities(f, 2);
}

static int run(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
		TEST(the_union),
		TEST(the_intersection),
		TEST(one_side_decides),
		TEST(the_other_side_decides),
		TEST(orphan_pairs_kept),
		TEST(one_array_only),
		TEST(a_collection_with_itself),
		TEST(an_empty_staging_table),
		TEST(pairs_of_rejected_rows),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

int main(void)
{
	return run_with_database(run);
}

/* Orphans: policies, chains, circles, order of groups. Those with rows need a server: DATABASE_URL. */
#include "sink_stage.h"
#include "sink_test.h"

/* --- order, without a server --- */

static bool is_after(const struct sink_orphan_group *g, int other)
{
	for (size_t i = 0; i < g->nafter; i++)
		if (g->after[i] == other)
			return true;
	return false;
}

static int group_of(const struct sink_orphan_group *groups, size_t n, int ref)
{
	for (size_t i = 0; i < n; i++)
		for (size_t k = 0; k < groups[i].nrefs; k++)
			if (groups[i].refs[k] == ref)
				return (int)i;
	fail_msg("reference %d is in no group", ref);
	return -1;
}

static void parents_come_first(void **state)
{
	struct fixture *f = *state;
	int tasks = table(f, "Tasks", "tasks", "*id uuid, section uuid, user uuid");
	int sections = table(f, "Sections", "sections", "*id uuid, board uuid");
	int boards = table(f, "Boards", "boards", "*id uuid, user uuid");
	int users = table(f, "Users", "users", "*id uuid");
	int other = table(f, "Other", "other", "*id uuid, user uuid");
	int task_section = reference(f, tasks, "section", sections, ORPHAN_REJECT);
	int task_user = reference(f, tasks, "user", users, ORPHAN_NULL);
	int section_board = reference(f, sections, "board", boards, ORPHAN_REJECT);
	int board_user = reference(f, boards, "user", users, ORPHAN_REJECT);
	int other_user = reference(f, other, "user", users, ORPHAN_REJECT);
	struct sink_orphan_group *g;
	size_t n = sink_orphan_groups(&f->s, f->arena, &g);
	assert_int_equal(n, 4);
	int t = group_of(g, n, task_section), s = group_of(g, n, section_board), b = group_of(g, n, board_user),
	    o = group_of(g, n, other_user);
	assert_int_equal(group_of(g, n, task_user), t);
	assert_true(b < s && s < t);
	assert_true(is_after(&g[t], s) && is_after(&g[t], b) && is_after(&g[s], b));
	assert_int_equal(g[b].nafter, 0);
	assert_int_equal(g[o].nafter, 0);
	assert_false(g[t].cyclic);
	assert_int_equal(g[t].ntables, 1);
	assert_int_equal(g[t].tables[0], tasks);
}

static void circles_are_one_group(void **state)
{
	struct fixture *f = *state;
	int a = table(f, "A", "a", "*id uuid, b uuid"), b = table(f, "B", "b", "*id uuid, c uuid");
	int c = table(f, "C", "c", "*id uuid, a uuid, d uuid"), d = table(f, "D", "d", "*id uuid, up uuid");
	int child = table(f, "Child", "a", "*parent uuid, d uuid");
	f->tables[child].parent_table = a;
	f->tables[child].parent_column = 0;
	int ab = reference(f, a, "b", b, ORPHAN_REJECT), bc = reference(f, b, "c", c, ORPHAN_REJECT);
	int ca = reference(f, c, "a", a, ORPHAN_REJECT), cd = reference(f, c, "d", d, ORPHAN_NULL);
	int dd = reference(f, d, "up", d, ORPHAN_REJECT), child_d = reference(f, child, "d", d, ORPHAN_REJECT);
	struct sink_orphan_group *g;
	size_t n = sink_orphan_groups(&f->s, f->arena, &g);
	assert_int_equal(n, 3);
	int circle = group_of(g, n, ab), self = group_of(g, n, dd), under = group_of(g, n, child_d);
	assert_int_equal(group_of(g, n, bc), circle);
	assert_int_equal(group_of(g, n, ca), circle);
	assert_int_equal(group_of(g, n, cd), circle);
	assert_true(g[circle].cyclic && g[self].cyclic && !g[under].cyclic);
	assert_true(is_after(&g[circle], self));
	assert_true(is_after(&g[under], circle)); /* its rows go with those of A */
	assert_int_equal(g[circle].ntables, 4);   /* A, B, C and the child table */
}

static void moves_and_stubs_order_too(void **state)
{
	struct fixture *f = *state;
	int c = table(f, "C", "c", "*id uuid, a uuid, b uuid"), a = table(f, "A", "a", "*id uuid");
	int b = table(f, "B", "b", "*id uuid, x uuid"), x = table(f, "X", "x", "*id uuid");
	int e = table(f, "E", "e", "*id uuid, x uuid");
	int move = reference(f, c, "a", a, ORPHAN_MOVE_TO);
	f->refs[move].move_to = column(f, c, "b");
	f->refs[move].move_ref_table = b;
	int bx = reference(f, b, "x", x, ORPHAN_STUB), ex = reference(f, e, "x", x, ORPHAN_REJECT);
	struct sink_orphan_group *g;
	size_t n = sink_orphan_groups(&f->s, f->arena, &g);
	assert_int_equal(n, 3);
	assert_true(is_after(&g[group_of(g, n, move)], group_of(g, n, bx)));
	/* E sees the stubs, whenever it runs */
	assert_true(is_after(&g[group_of(g, n, ex)], group_of(g, n, bx)));
	assert_true(g[group_of(g, n, bx)].cyclic);
}

static int unit_with(const struct sink_unit *u, size_t n, int table)
{
	for (size_t i = 0; i < n; i++)
		for (size_t k = 0; k < u[i].ntables; k++)
			if (u[i].tables[k] == table)
				return (int)i;
	return -1;
}

/* Rows go in where all that they need is in: by references, parents, and keys that no reference stands for. */
static void units_are_moved_parents_first(void **state)
{
	struct fixture *f = *state;
	int child = table(f, "Child", "a", "*parent uuid, *ordinal integer");
	int b = table(f, "B", "b", "*id uuid, a uuid"), a = table(f, "A", "a", "*id uuid, b uuid");
	int far = table(f, "Far", "far", "*id uuid"), alone = table(f, "Alone", "alone", "*id uuid");
	int self = table(f, "Self", "self", "*id uuid, up uuid");
	f->tables[child].parent_table = a;
	f->tables[child].parent_column = 0;
	int ab = reference(f, a, "b", b, ORPHAN_REJECT), up = reference(f, self, "up", self, ORPHAN_NULL);
	reference(f, b, "a", a, ORPHAN_REJECT);
	struct schema_need need = {b, far};
	f->s.needs = &need;
	f->s.nneeds = 1;
	for (size_t t = 0; t < f->s.ntables; t++)
		f->tables[t].stage = (int)t == alone ? NULL : "docrow.rows_0";
	struct sink_unit *u;
	size_t n = sink_units(&f->s, f->arena, &u);
	int circle = unit_with(u, n, a);
	assert_int_equal(n, 4);
	assert_int_equal(unit_with(u, n, b), circle);
	assert_int_equal(unit_with(u, n, alone), -1);
	assert_true(unit_with(u, n, far) < circle && circle < unit_with(u, n, child));
	assert_true(u[circle].cyclic && u[unit_with(u, n, self)].cyclic && !u[unit_with(u, n, child)].cyclic);
	assert_int_equal(u[circle].ntables, 2);
	struct sink_orphan_group *g;
	size_t ngroups = sink_orphan_groups(&f->s, f->arena, &g);
	assert_int_equal(u[circle].group, group_of(g, ngroups, ab));
	assert_int_equal(u[unit_with(u, n, self)].group, group_of(g, ngroups, up));
	assert_int_equal(u[unit_with(u, n, far)].group, -1);
	/* what was moved before is in its table */
	struct schema view = sink_stage_view(&f->s, u, (size_t)circle, f->arena);
	assert_null(view.tables[far].stage);
	assert_non_null(view.tables[a].stage);
	assert_non_null(view.tables[child].stage);
	f->s.nneeds = 0;
}

/* --- policies --- */

static void four_levels(void **state)
{
	struct fixture *f = *state;
	int comments = table(f, "Comments", "comments", "*id uuid, task uuid, note text");
	int tasks = table(f, "Tasks", "tasks", "*id uuid, section uuid, user uuid");
	int sections = table(f, "Sections", "sections", "*id uuid, board uuid");
	int boards = table(f, "Boards", "boards", "*id uuid, user uuid");
	int users = table(f, "Users", "users", "*id uuid");
	reference(f, comments, "task", tasks, ORPHAN_REJECT);
	reference(f, tasks, "section", sections, ORPHAN_REJECT);
	reference(f, tasks, "user", users, ORPHAN_NULL);
	reference(f, sections, "board", boards, ORPHAN_REJECT);
	reference(f, boards, "user", users, ORPHAN_REJECT);
	create(f);
	load(f, "Users", "1|2");
	load(f, "Boards", "11 1|12 99|13 -");
	load(f, "Sections", "21 11|22 12|23 13");
	load(f, "Tasks", "31 21 1|32 22 2|33 23 98|34 - 97|35 22 96");
	load(f, "Comments", "41 31 a|42 32 b|43 33 c|44 34 d|45 35 e|46 - f");
	add_keys(f);
	settle_orphans(f);
	EXPECT(f, "SELECT n(id) FROM \"Boards\" ORDER BY 1", "11|13");
	EXPECT(f, "SELECT n(id) FROM \"Sections\" ORDER BY 1", "21|23");
	EXPECT(f, "SELECT n(id), n(section), n(\"user\") FROM \"Tasks\" ORDER BY 1", "31 21 1|33 23 -|34 - -");
	EXPECT(f, "SELECT n(id) FROM \"Comments\" ORDER BY 1", "41|43|44|46");
	EXPECT(f,
	       "SELECT collection, table_name, column_name, fault, code, n(doc_id), n(key::uuid), step FROM "
	       "docrow.reject"
	       " ORDER BY key",
	       "boards Boards user orphan DR-F18 12 12 9|sections Sections board orphan DR-F18 22 22 9|tasks Tasks "
	       "section "
	       "orphan DR-F18 32 32 9|tasks Tasks section orphan DR-F18 35 35 9|comments Comments task orphan DR-F18 "
	       "42 42 9|"
	       "comments Comments task orphan DR-F18 45 45 9");
	EXPECT(f,
	       "SELECT message, n((row_text::jsonb ->> 'board')::uuid) FROM docrow.reject WHERE table_name = "
	       "'Sections'",
	       "board points to 65000000abcdef010000000c, which is no row of Boards 12");
	/* 32 and 35 went before their users were looked at */
	EXPECT(f,
	       "SELECT kind, fault, table_name, column_name, n(doc_id), n(key::uuid), n(value), value_text FROM"
	       " docrow.finding ORDER BY key",
	       "orphan_null orphan Tasks user 33 33 98 {\"$oid\":\"65000000abcdef0100000062\"}|orphan_null orphan "
	       "Tasks user"
	       " 34 34 97 {\"$oid\":\"65000000abcdef0100000061\"}");
	COUNTED(f, REJECT_ROW, "Boards", "orphan", 1);
	COUNTED(f, REJECT_ROW, "Sections", "orphan", 1);
	COUNTED(f, REJECT_ROW, "Tasks", "orphan", 2);
	COUNTED(f, REJECT_ROW, "Comments", "orphan", 2);
	COUNTED(f, ORPHAN_NULL, "Tasks", "user", 2);
	assert_int_equal(ledger_sum(f->ledger, LEDGER_ORPHAN_KEPT, NULL), 0);
}

static void a_circle_to_its_fixpoint(void **state)
{
	struct fixture *f = *state;
	int a = table(f, "A", "a", "*id uuid, b uuid"), b = table(f, "B", "b", "*id uuid, a uuid, soft uuid");
	reference(f, a, "b", b, ORPHAN_REJECT);
	reference(f, b, "a", a, ORPHAN_REJECT);
	reference(f, b, "soft", a, ORPHAN_NULL);
	create(f);
	/* 1 → 101 → 2 → 102 → 3 → 103 → 99 (missing): all of them go; 7 and 107 hold each other */
	load(f, "A", "1 101|2 102|3 103|7 107|8 -");
	load(f, "B", "101 2 -|102 3 -|103 99 -|107 7 3|108 8 1|109 - 8");
	add_keys(f);
	settle_orphans(f);
	EXPECT(f, "SELECT n(id), n(b) FROM \"A\" ORDER BY 1", "7 107|8 -");
	EXPECT(f, "SELECT n(id), n(a), n(soft) FROM \"B\" ORDER BY 1", "107 7 -|108 8 -|109 - 8");
	COUNTED(f, REJECT_ROW, "A", "orphan", 3);
	COUNTED(f, REJECT_ROW, "B", "orphan", 3);
	COUNTED(f, ORPHAN_NULL, "B", "soft", 2);
	EXPECT(f, "SELECT n(doc_id), n(value) FROM docrow.finding ORDER BY key", "107 3|108 1");
}

static void a_table_that_refers_to_itself(void **state)
{
	struct fixture *f = *state;
	bool changed;
	struct err err;
	int t = table(f, "T", "t", "*id uuid, up uuid, friend uuid");
	int up = reference(f, t, "up", t, ORPHAN_REJECT);
	reference(f, t, "friend", t, ORPHAN_NULL);
	create(f);
	load(f, "T", "1 - 6|2 1 1|3 99 1|4 3 1|5 4 1|6 5 2|7 7 7|8 2 5");
	add_keys(f);
	begin(f);
	OK(sink_settle_orphans(f->pg, &f->s, up, RUN, STEP, f->ledger, &changed, &err));
	assert_true(changed);
	OK(pg_exec(f->pg, "ROLLBACK", &err));
	ledger_reset(f->ledger);
	settle_orphans(f);
	EXPECT(f, "SELECT n(id), n(up), n(friend) FROM \"T\" ORDER BY 1", "1 - -|2 1 1|7 7 7|8 2 -");
	COUNTED(f, REJECT_ROW, "T", "orphan", 4);
	COUNTED(f, ORPHAN_NULL, "T", "friend", 2);
}

static int move_model(struct fixture *f, enum orphan_policy otherwise)
{
	int tasks = table(f, "Tasks", "tasks", "*id uuid"),
	    account = table(f, "AccountTasks", "account_tasks", "*id uuid");
	int c = table(f, "Comments", "comments", "*id uuid, task uuid, account_task uuid");
	int move = reference(f, c, "task", tasks, ORPHAN_MOVE_TO);
	f->refs[move].move_to = column(f, c, "account_task");
	f->refs[move].move_ref_table = account;
	f->refs[move].move_ref_column = 0;
	f->refs[move].otherwise = otherwise;
	reference(f, c, "account_task", account, ORPHAN_NULL);
	create(f);
	load(f, "Tasks", "1|2");
	load(f, "AccountTasks", "11|12");
	/* found; moved; in neither; the other column is taken; taken by an orphan */
	load(f, "Comments", "21 1 -|22 11 -|23 99 -|24 12 11|25 12 98|26 - 97|27 2 96");
	add_keys(f);
	return c;
}

static void moved_or_rejected(void **state)
{
	struct fixture *f = *state;
	move_model(f, ORPHAN_REJECT);
	settle_orphans(f);
	EXPECT(f, "SELECT n(id), n(task), n(account_task) FROM \"Comments\" ORDER BY 1",
	       "21 1 -|22 - 11|26 - -|27 2 -");
	EXPECT(f, "SELECT n(doc_id), message FROM docrow.reject ORDER BY key LIMIT 1",
	       "23 task points to 65000000abcdef0100000063, which is no row of Tasks and cannot go to account_task");
	EXPECT(f, "SELECT kind, column_name, n(doc_id), n(value) FROM docrow.finding ORDER BY key, column_name",
	       "orphan_moved task 22 11|orphan_null account_task 26 97|orphan_null account_task 27 96");
	COUNTED(f, ORPHAN_MOVED, "Comments", "task", 1);
	COUNTED(f, ORPHAN_NULL, "Comments", "account_task", 2);
	COUNTED(f, REJECT_ROW, "Comments", "orphan", 3);
}

static void moved_or_null(void **state)
{
	struct fixture *f = *state;
	move_model(f, ORPHAN_NULL);
	settle_orphans(f);
	EXPECT(f, "SELECT n(id), n(task), n(account_task) FROM \"Comments\" ORDER BY 1",
	       "21 1 -|22 - 11|23 - -|24 - 11|25 - -|26 - -|27 2 -");
	EXPECT(f, "SELECT kind, column_name, n(doc_id), n(value) FROM docrow.finding ORDER BY key, column_name",
	       "orphan_moved task 22 11|orphan_null task 23 99|orphan_null task 24 12|orphan_null account_task 25 98|"
	       "orphan_null task 25 12|orphan_null account_task 26 97|orphan_null account_task 27 96");
	COUNTED(f, ORPHAN_MOVED, "Comments", "task", 1);
	COUNTED(f, ORPHAN_NULL, "Comments", "task", 3);
	COUNTED(f, ORPHAN_NULL, "Comments", "account_task", 3);
	EXPECT(f, "SELECT count(*) FROM docrow.reject", "0");
}

static void two_columns_move_to_one(void **state)
{
	struct fixture *f = *state;
	int a = table(f, "A", "a", "*id uuid"), b = table(f, "B", "b", "*id uuid");
	int c = table(f, "C", "c", "*id uuid, x uuid, y uuid, m uuid");
	for (int i = 0; i < 2; i++) {
		int r = reference(f, c, i == 0 ? "x" : "y", a, ORPHAN_MOVE_TO);
		f->refs[r].move_to = column(f, c, "m");
		f->refs[r].move_ref_table = b;
		f->refs[r].otherwise = i == 0 ? ORPHAN_REJECT : ORPHAN_KEEP;
	}
	create(f);
	load(f, "A", "1");
	load(f, "B", "11|12");
	load(f, "C", "21 11 12 -|22 1 12 -|23 11 1 -|24 99 12 -");
	add_keys(f);
	settle_orphans(f);
	EXPECT(f, "SELECT n(id), n(x), n(y), n(m) FROM \"C\" ORDER BY 1", "21 - 12 11|22 1 - 12|23 - 1 11");
	COUNTED(f, ORPHAN_MOVED, "C", "x", 2);
	COUNTED(f, ORPHAN_MOVED, "C", "y", 1);
	COUNTED(f, ORPHAN_KEPT, "C", "y", 1);
	COUNTED(f, REJECT_ROW, "C", "orphan", 1);
}

static void stubs_stand_in(void **state)
{
	struct fixture *f = *state;
	struct err err;
	int p = table(f, "P", "p", "*id uuid, name text, !state integer DEFAULT 4");
	int c = table(f, "C", "c", "*id uuid, p uuid, q uuid"), strict = table(f, "S", "s", "*id uuid, p uuid");
	reference(f, c, "p", p, ORPHAN_STUB);
	reference(f, c, "q", c, ORPHAN_REJECT);
	reference(f, strict, "p", p, ORPHAN_REJECT);
	create(f);
	load(f, "P", "1 a 1");
	load(f, "C", "11 1 -|12 50 -|13 50 -|14 51 -|15 52 99");
	load(f, "S", "21 50|22 52|23 1");
	add_keys(f);
	settle_orphans(f);
	EXPECT(f, "SELECT n(id), name, state FROM \"P\" ORDER BY 1", "1 a 1|50 - 4|51 - 4");
	EXPECT(f, "SELECT n(id) FROM \"S\" ORDER BY 1", "21|23"); /* 52 was wanted by a reject only */
	EXPECT(f,
	       "SELECT kind, table_name, column_name, collection, n(doc_id), n(value), n(key::uuid) FROM "
	       "docrow.finding"
	       " ORDER BY key",
	       "stub P id p 50 50 50|stub P id p 51 51 51");
	COUNTED(f, STUB, "P", "C.p", 2);
	/* a column without a default and NOT NULL: no stub is possible, and that is said */
	f->tables[p].columns[2].default_sql = NULL;
	OK(pg_exec(f->pg, "UPDATE \"C\" SET p = docrow.objectid_to_uuid('000000000000000000000001')", &err));
	begin(f);
	assert_false(sink_settle_orphan_group(f->pg, &f->s, (int[]){0}, 1, RUN, STEP, f->ledger, &err));
	assert_int_equal(err.code, ERR_MAPPING);
	assert_string_equal(err.detail, "column state takes no NULL and has no default");
}

static void kept_ones_leave_the_key_not_valid(void **state)
{
	struct fixture *f = *state;
	struct err err;
	int p = table(f, "P", "p", "*id uuid"), c = table(f, "C", "c", "*id uuid, p uuid, q uuid");
	reference(f, c, "p", p, ORPHAN_KEEP);
	soft_reference(f, c, "q", p, ORPHAN_KEEP);
	create(f);
	load(f, "P", "1");
	load(f, "C", "11 1 98|12 99 1|13 - -");
	add_keys(f);
	settle_orphans(f);
	EXPECT(f, "SELECT n(id), n(p), n(q) FROM \"C\" ORDER BY 1", "11 1 98|12 99 1|13 - -");
	EXPECT(f, "SELECT kind, column_name, n(doc_id), n(value) FROM docrow.finding ORDER BY key",
	       "orphan_kept q 11 98|orphan_kept p 12 99");
	COUNTED(f, ORPHAN_KEPT, "C", "p", 1);
	COUNTED(f, ORPHAN_KEPT, "C", "q", 1);
	begin(f);
	OK(sink_add_fkey(f->pg, &f->s, c, 0, &err));
	OK(sink_validate_fkey(f->pg, &f->s, c, 0, &err));
	commit(f);
	assert_int_equal(key_state(f, c, 0), KEY_NOT_VALID);
	OK(pg_exec(f->pg, "DELETE FROM \"C\" WHERE p IS NOT NULL AND n(p) = 99", &err));
	begin(f);
	OK(sink_validate_fkey(f->pg, &f->s, c, 0, &err));
	commit(f);
	assert_int_equal(key_state(f, c, 0), KEY_VALID);
}

/* Keys that are there before the search: every policy at once, several orphans in a row. */
static void keys_in_force(void **state)
{
	struct fixture *f = *state;
	struct err err;
	int p = table(f, "P", "p", "*id uuid"),
	    c = table(f, "C", "c", "*id uuid, a uuid, b uuid, c uuid, k uuid, r uuid");
	reference(f, c, "a", p, ORPHAN_NULL);
	int move = reference(f, c, "b", p, ORPHAN_MOVE_TO);
	f->refs[move].move_to = column(f, c, "c");
	f->refs[move].move_ref_table = p;
	f->refs[move].otherwise = ORPHAN_NULL;
	reference(f, c, "c", p, ORPHAN_NULL);
	reference(f, c, "k", p, ORPHAN_KEEP);
	reference(f, c, "r", p, ORPHAN_REJECT);
	create(f);
	load(f, "P", "1|2");
	load(f, "C", "11 90 91 92 93 1|12 90 91 92 93 94|13 1 2 1 2 1|14 90 1 92 - -|15 - 91 - 93 2");
	add_keys(f);
	begin(f);
	for (int i = 0; i < 5; i++)
		OK(sink_add_fkey(f->pg, &f->s, c, i, &err));
	commit(f);
	settle_orphans(f);
	EXPECT(f, "SELECT n(id), n(a), n(b), n(c), n(k), n(r) FROM \"C\" ORDER BY 1",
	       "11 - - - 93 1|13 1 2 1 2 1|14 - 1 - - -|15 - - - 93 2");
	for (int i = 0; i < 5; i++)
		assert_int_equal(key_state(f, c, i), i == 3 ? KEY_NOT_VALID : KEY_VALID);
	COUNTED(f, REJECT_ROW, "C", "orphan", 1);
	COUNTED(f, ORPHAN_NULL, "C", "a", 2);
	COUNTED(f, ORPHAN_NULL, "C", "b", 2);
	COUNTED(f, ORPHAN_NULL, "C", "c", 2);
	COUNTED(f, ORPHAN_KEPT, "C", "k", 2);
	settle_orphans(f); /* nothing is left to do but to name what is kept */
	COUNTED(f, ORPHAN_NULL, "C", "a", 2);
	COUNTED(f, ORPHAN_KEPT, "C", "k", 4);
}

static void child_rows_go_with_their_document(void **state)
{
	struct fixture *f = *state;
	int p = table(f, "P", "p", "*id uuid");
	int t = table(f, "T", "t", "*id uuid, p uuid");
	int child = table(f, "Child", "t", "*parent uuid, *ordinal integer, p uuid");
	int grandchild = table(f, "Grandchild", "t", "*parent uuid, *ordinal integer, *n integer");
	f->tables[child].parent_table = t;
	f->tables[child].parent_column = 0;
	f->tables[grandchild].parent_table = child;
	f->tables[grandchild].parent_column = 0;
	reference(f, t, "p", p, ORPHAN_REJECT);
	reference(f, child, "p", p, ORPHAN_REJECT);
	reference(f, child, "parent", t, ORPHAN_REJECT);
	create(f);
	load(f, "P", "1");
	load(f, "T", "11 1|12 99|13 1");
	load(f, "Child", "11 0 1|12 0 1|12 1 98|13 0 1|13 1 97");
	load(f, "Grandchild", "11 0 0|12 0 0|12 1 0");
	add_keys(f);
	settle_orphans(f);
	EXPECT(f, "SELECT n(parent), ordinal FROM \"Child\" ORDER BY 1, 2", "11 0|13 0");
	EXPECT(f, "SELECT n(parent) FROM \"Grandchild\" ORDER BY 1", "11");
	/* the element's reject names its document and its place */
	EXPECT(f, "SELECT table_name, n(doc_id), ordinal FROM docrow.reject ORDER BY table_name, key",
	       "Child 13 1|T 12 -");
	COUNTED(f, REJECT_ROW, "T", "orphan", 1);
	COUNTED(f, REJECT_ROW, "Child", "orphan", 1);
	COUNTED(f, CHILD_OF_REJECT, "Child", "", 2);
	COUNTED(f, CHILD_OF_REJECT, "Grandchild", "", 2);
}

/* --- ids of other kinds --- */

static void ids_that_are_no_objectids(void **state)
{
	struct fixture *f = *state;
	struct err err;
	struct {
		const char *type, *row, *id, *json, *value;
	} cases[] = {
		/* BSON UUID; uuid of id_map; text; 24 hex; bytea; bigint */
		{"uuid", "c9a646d3-9c61-4cb7-bfcd-ee2522c8f633 1b4e28ba-2fa1-41d2-883f-0016d3cca427",
		 "1f000000055f6964001000000004c9a646d39c614cb7bfcdee2522c8f63300",
		 "{\"$binary\":{\"base64\":\"yaZG05xhTLe/ze4lIsj2Mw==\",\"subType\":\"04\"}}",
		 "1d0000000576001000000004"
		 "1b4e28ba2fa141d2883f0016d3cca42700"},
		{"uuid", "00000000-0000-5000-8000-000000000001 00000000-0000-5000-8000-000000000002",
		 "0e000000105f6964002a00000000", "42",
		 "0c000000107600"
		 "2b00000000"},
		{"text", "\xc3\xa9x abc", "12000000025f69640004000000c3a9780000", "\"\xc3\xa9x\"",
		 "100000000276000400000061626300"
		 "00"},
		{"text", "650000000000000000000007 650000000000000000000008",
		 "16000000075f69640065000000000000000000000700", "{\"$oid\":\"650000000000000000000007\"}",
		 "14000000077600"
		 "65000000000000000000000800"},
		{"bytea", "7 8", "16000000075f69640065000000abcdef010000000700",
		 "{\"$oid\":\"65000000abcdef0100000007\"}",
		 "14000000077600"
		 "65000000abcdef010000000800"},
		{"bigint", "-2 258", "12000000125f696400feffffffffffffff00", "-2",
		 "100000001276000201000000000000"
		 "00"},
	};
	static const uint8_t id42[] = {42, 0, 0, 0}, id43[] = {43, 0, 0, 0};
	uint8_t key[16];
	struct val v42 = {id42, 4, BSON_K_INT32}, v43 = {id43, 4, BSON_K_INT32};
	struct sink_notes *n = sink_notes_new();
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		f->s.ntables = f->s.nrefs = 0;
		int t = table(f, "T", "t", arena_printf(f->arena, "*id %s, up %s", cases[i].type, cases[i].type));
		reference(f, t, "up", t, ORPHAN_NULL);
		if (f->pg != NULL)
			pg_close(f->pg);
		create(f);
		load(f, "T", cases[i].row);
		assert_true(id_uuid_parse("00000000-0000-5000-8000-000000000001", 36, key));
		sink_notes_id(n, "t", key, &v42);
		assert_true(id_uuid_parse("00000000-0000-5000-8000-000000000002", 36, key));
		sink_notes_id(n, "t", key, &v43);
		begin(f);
		OK(sink_notes_flush(f->pg, n, RUN, 1, 0, &err));
		commit(f);
		settle_orphans(f);
		assert_string_equal(answer(f, "SELECT encode(doc_id, 'hex') FROM docrow.finding"), cases[i].id);
		assert_string_equal(answer(f, "SELECT doc_id_text FROM docrow.finding"), cases[i].json);
		assert_string_equal(answer(f, "SELECT encode(value, 'hex') FROM docrow.finding"), cases[i].value);
		begin(f);
		OK(sink_drop(f->pg, &f->s, &err));
		OK(pg_exec(f->pg, "TRUNCATE docrow.finding, docrow.id_map", &err));
		commit(f);
	}
	sink_notes_free(n);
}

static int run(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
		TEST(parents_come_first),
		TEST(circles_are_one_group),
		TEST(moves_and_stubs_order_too),
		TEST(units_are_moved_parents_first),
		TEST(four_levels),
		TEST(a_circle_to_its_fixpoint),
		TEST(a_table_that_refers_to_itself),
		TEST(moved_or_rejected),
		TEST(moved_or_null),
		TEST(two_columns_move_to_one),
		TEST(stubs_stand_in),
		TEST(kept_ones_leave_the_key_not_valid),
		TEST(keys_in_force),
		TEST(child_rows_go_with_their_document),
		TEST(ids_that_are_no_objectids),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

int main(void)
{
	return run_with_database(run);
}

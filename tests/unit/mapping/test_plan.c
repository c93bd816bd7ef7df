/* The plan: schema, trees of paths, slots, outputs. */
#include "mapping_test.h"

static const char *const text =
	"docrow: 1\n"
	"policies: { accept: [hex-id] }\n"
	"collections:\n"
	"  - collection: users\n"
	"    columns:\n"
	"      - { name: id, from: _id, type: uuid, primary_key: true }\n"
	"      - { name: email, type: text }\n"
	"      - { name: hex, from: _id, type: text }\n"
	"    indexes: [{ columns: [email], unique: true }]\n"
	"  - collection: orders\n"
	"    id: text\n"
	"    unmapped: { keep: rest }\n"
	"    columns:\n"
	"      - { name: id, from: _id, type: text, primary_key: true }\n"
	"      - { name: city, from: address.city, type: text }\n"
	"      - { name: address, type: jsonb }\n"
	"      - { name: town, from: address.city, type: text }\n"
	"      - { name: at, type: timestamp, if_missing: [{ path: address.at }, $id_time] }\n"
	"      - { name: fixed, from: ~, type: text, default: \"'x'\" }\n"
	"      - { name: buyer, type: uuid, references: { table: users, on_delete: restrict } }\n"
	"      - { name: mail, type: text, references: { table: users, column: email, if_orphan: keep } }\n"
	"      - { name: lines, type: jsonb }\n"
	"    children:\n"
	"      - from: lines\n"
	"        table: lines\n"
	"        parent: order_id\n"
	"        ordinal: position\n"
	"        columns:\n"
	"          - { name: product, from: product.name, type: text }\n"
	"          - { name: whole, from: ., type: jsonb }\n"
	"      - from: steps\n"
	"        table: steps\n"
	"        parent: order_id\n"
	"        columns:\n"
	"          - { name: id, from: _id, type: uuid, primary_key: true }\n"
	"        children:\n"
	"          - { from: notes, table: notes, parent: step_id, ordinal: n, columns: [{ name: note, from: ., "
	"type: text }] }\n"
	"junctions:\n"
	"  - table: watching\n"
	"    left:  { collection: users, path: watched, column: user_id }\n"
	"    right: { collection: orders, path: watchers, column: order_id }\n"
	"  - table: friends\n"
	"    left:  { collection: users, path: friends, column: a }\n"
	"    right: { collection: users, path: friends, column: b }\n";

static struct mapping *m;
static struct plan *p;

static int setup(void **state)
{
	m = parse(text);
	p = compile(m);
	return 0;
}

static int teardown(void **state)
{
	plan_free(p);
	mapping_free(m);
	return 0;
}

static const struct plan_node *node(const struct plan_node *n, const char *key)
{
	for (size_t i = 0; i < n->nchildren; i++)
		if (strcmp(n->children[i]->key, key) == 0)
			return n->children[i];
	fail_msg("no node %s", key);
	return NULL;
}

static const struct plan_column *column(const struct plan_output *o, const char *name)
{
	for (size_t i = 0; i < o->ncolumns; i++)
		if (strcmp(o->columns[i].column->name, name) == 0)
			return &o->columns[i];
	return NULL;
}

static void tables_are_in_order(void **state)
{
	static const char *const names[] = {"users", "orders", "lines", "steps", "notes", "watching", "friends"};
	assert_int_equal(p->schema.ntables, 7);
	for (size_t i = 0; i < 7; i++)
		assert_string_equal(p->schema.tables[i].name, names[i]);
	assert_int_equal(plan_find_collection(p, "orders"), 1);
	assert_int_equal(plan_find_collection(p, "nothing"), -1);
}

static void paths_share_slots(void **state)
{
	const struct plan_collection *k = &p->collections[1];
	const struct plan_node *root = k->scopes[0].root, *address = node(root, "address");
	assert_true(address->slot >= 0);
	assert_int_equal(node(address, "city")->slot, column(&k->outputs[0], "city")->slot);
	assert_int_equal(column(&k->outputs[0], "town")->slot, column(&k->outputs[0], "city")->slot);
	assert_int_equal(node(root, "_id")->slot, k->id_slot);
	/* A path of if_missing is wanted, too. */
	const struct plan_column *at = column(&k->outputs[0], "at");
	assert_int_equal(at->if_missing.slot, node(address, "at")->slot);
	assert_int_equal(at->if_missing.otherwise->kind, MAP_VALUE_ID_TIME);
	/* Slots are numbered from 0 without holes. */
	assert_true(k->scopes[0].nslots > address->slot);
}

static void columns_know_their_feed(void **state)
{
	const struct plan_output *users = &p->collections[0].outputs[0], *o = &p->collections[1].outputs[0];
	assert_int_equal(o->kind, PLAN_OUTPUT_MAIN);
	assert_int_equal(column(users, "id")->feed, PLAN_FEED_ID);
	/* _id in another shape is a plain value. */
	assert_int_equal(column(users, "hex")->feed, PLAN_FEED_SLOT);
	assert_int_equal(column(users, "hex")->slot, p->collections[0].id_slot);
	assert_int_equal(column(o, "id")->id_rule, MAP_ID_TEXT);
	assert_int_equal(column(o, "rest")->feed, PLAN_FEED_UNMAPPED);
	/* No source: not in the COPY, so that the column's default stands. */
	assert_null(column(o, "fixed"));
	assert_int_equal(o->copy.ncolumns, p->schema.tables[1].ncolumns - 1);
	assert_true(column(o, "buyer")->is_reference);
	assert_int_equal(column(o, "buyer")->id_rule, MAP_ID_UUIDV7);
	assert_false(column(o, "mail")->is_reference);
	assert_int_equal(p->collections[0].id_accept, MAP_ACCEPT_HEX_ID);
	assert_int_equal(p->collections[1].key_type.base, PGT_TEXT);
}

static void children_have_scopes(void **state)
{
	const struct plan_collection *k = &p->collections[1];
	const struct plan_node *lines = node(k->scopes[0].root, "lines");
	assert_int_equal(k->nscopes, 5); /* document, lines, steps, notes, watchers */
	/* lines is a jsonb column and a child table: two slots for one value. */
	assert_true(lines->slot >= 0 && lines->scope == 1);
	assert_int_not_equal(k->scopes[1].slot, lines->slot);
	assert_string_equal(k->scopes[1].path_text, "lines");
	assert_true(k->scopes[1].element_slot >= 0);
	const struct plan_output *o = &k->outputs[1];
	assert_int_equal(o->kind, PLAN_OUTPUT_CHILD);
	assert_int_equal(o->scope, 1);
	assert_int_equal(column(o, "order_id")->feed, PLAN_FEED_PARENT);
	assert_int_equal(column(o, "position")->feed, PLAN_FEED_ORDINAL);
	assert_string_equal(column(o, "product")->path_text, "lines.product.name");
	assert_int_equal(column(o, "whole")->slot, k->scopes[1].element_slot);
	assert_int_equal(k->scopes[3].parent, 2);
	assert_string_equal(k->scopes[3].path_text, "steps.notes");
}

static void children_have_keys(void **state)
{
	const struct schema *s = &p->schema;
	const struct schema_table *lines = &s->tables[2], *notes = &s->tables[4];
	assert_int_equal(lines->parent_table, 1);
	assert_int_equal(lines->nprimary_key, 2);
	assert_int_equal(lines->columns[lines->parent_column].type.base, PGT_TEXT);
	assert_string_equal(lines->fkeys[0].name, "lines_order_id_fkey");
	assert_int_equal(lines->fkeys[0].on_delete, FK_CASCADE);
	assert_int_equal(notes->parent_table, 3);
	assert_int_equal(notes->columns[notes->parent_column].type.base, PGT_UUID);
	assert_int_equal(s->tables[3].nprimary_key, 1);
}

static void references_are_listed(void **state)
{
	const struct schema *s = &p->schema;
	assert_int_equal(s->nrefs, 2);
	assert_int_equal(s->refs[0].table, 1);
	assert_int_equal(s->refs[0].ref_table, 0);
	assert_int_equal(s->refs[0].policy, ORPHAN_REJECT);
	assert_int_equal(s->refs[1].policy, ORPHAN_KEEP);
	assert_string_equal(s->tables[1].fkeys[1].ref_column, "email");
}

static void junctions_are_fed_from_both_sides(void **state)
{
	const struct plan_collection *users = &p->collections[0];
	assert_int_equal(users->noutputs, 4); /* main, watching, friends twice */
	assert_int_equal(users->outputs[1].copy.junction, 0);
	assert_true(users->outputs[1].left);
	/* One array that feeds both sides is walked once. */
	assert_int_equal(users->outputs[2].scope, users->outputs[3].scope);
	assert_true(users->outputs[2].left && !users->outputs[3].left);
	assert_int_equal(users->scopes[users->outputs[2].scope].noutputs, 2);
	assert_int_equal(p->junctions[0].left_type.base, PGT_UUID);
	assert_int_equal(p->junctions[0].right_type.base, PGT_TEXT);
	assert_int_equal(p->junctions[0].right_rule, MAP_ID_TEXT);
	assert_int_equal(p->schema.junctions[0].table, 5);
	assert_int_equal(p->schema.tables[5].nprimary_key, 2);
	assert_int_equal(p->schema.tables[5].nfkeys, 2);
}

static void move_to_finds_the_other_table(void **state)
{
	struct mapping *n =
		parse("docrow: 1\n"
		      "collections:\n"
		      "  - { collection: a, columns: [{ name: id, from: _id, type: uuid, primary_key: true }] }\n"
		      "  - { collection: b, columns: [{ name: id, from: _id, type: uuid, primary_key: true }] }\n"
		      "  - collection: c\n"
		      "    columns:\n"
		      "      - { name: id, from: _id, type: uuid, primary_key: true }\n"
		      "      - { name: x, type: uuid, references: { table: a, if_orphan: { move_to: y, otherwise: "
		      "keep } } }\n"
		      "      - { name: y, type: uuid, references: { table: b, constraint: false } }\n");
	struct plan *q = compile(n);
	assert_int_equal(q->schema.nrefs, 1);
	assert_int_equal(q->schema.refs[0].policy, ORPHAN_MOVE_TO);
	assert_int_equal(q->schema.refs[0].otherwise, ORPHAN_KEEP);
	assert_int_equal(q->schema.refs[0].move_to, 2);
	assert_int_equal(q->schema.refs[0].move_ref_table, 1);
	assert_int_equal(q->schema.refs[0].move_ref_column, 0);
	plan_free(q);
	mapping_free(n);
}

static void two_collections_feed_one_table(void **state)
{
	struct mapping *n =
		parse("docrow: 1\n"
		      "collections:\n"
		      "  - collection: a\n"
		      "    table: t\n"
		      "    columns:\n"
		      "      - { name: id, from: _id, type: uuid, primary_key: true }\n"
		      "      - { name: x, type: text, references: { table: t, column: x, constraint: false } }\n"
		      "    indexes: [{ columns: [x], unique: true }]\n"
		      "  - collection: b\n"
		      "    table: t\n"
		      "    columns:\n"
		      "      - { name: id, from: _id, type: uuid, primary_key: true }\n"
		      "      - { name: x, from: y, type: text,\n"
		      "          references: { table: t, column: x, constraint: false } }\n"
		      "    indexes: [{ columns: [x], unique: true }]\n");
	struct plan *q = compile(n);
	assert_int_equal(q->schema.ntables, 1);
	assert_int_equal(q->schema.tables[0].nindexes, 1);
	assert_int_equal(q->collections[1].outputs[0].copy.table, 0);
	assert_string_equal(q->collections[1].outputs[0].columns[1].path_text, "y");
	plan_free(q);
	mapping_free(n);
}

static void show_tells_what_becomes_what(void **state)
{
	struct buf out;
	buf_init(&out, 0);
	mapping_show(&out, p);
	mapping_show_phases(&out, p);
	const char *shown = buf_cstr(&out);
	static const char *const lines[] = {
		"mapping test: 2 collections, 2 junctions, 7 tables, ",
		"table users from users; unmapped fields: report (default)\n",
		"  id                       uuid primary key <- _id\n      accept: hex-id (mapping)\n",
		"  at                       timestamp <- at\n",
		"      if_missing: value of address.at, else $id_time (column)\n",
		"  fixed                    text <- nothing\n",
		"  rest                     jsonb <- the fields that are not mapped\n",
		" -> users\n      orphans: keep (column)\n",
		"      accept: hex-id (mapping); orphans: reject (default); on_delete: restrict (column)\n",
		"table lines from orders, elements of lines; ",
		"table watching, pairs; sides: union; orphans: reject\n",
		"  user_id                  ids of users, which keeps a list in watched\n",
		"  index users_email_key (filter) unique btree(email)\n",
		"  foreign key orders_buyer_fkey (buyer) -> users (id) on delete RESTRICT on update NO ACTION\n",
		"phase 1, lookups: users\n",
		"phase 2, level 2: orders, lines, steps, notes\n",
		"phase 3, junctions: watching, friends\n",
	};
	for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++)
		if (strstr(shown, lines[i]) == NULL)
			fail_msg("not shown: %s\nin:\n%s", lines[i], shown);
	buf_free(&out);
}

/* A circle whose tables stand in two phases is told, and loads in the later one; of a part of the mapping only the
 * phases that have tables stay. */
static void phases_of_the_mapping(void **state)
{
	struct mapping *mine = parse("docrow: 1\n"
				     "collections:\n"
				     "  - collection: users\n"
				     "    columns:\n"
				     "      - { name: id, from: _id, type: uuid, primary_key: true }\n"
				     "      - { name: team, type: uuid, references: teams }\n"
				     "  - collection: teams\n"
				     "    columns:\n"
				     "      - { name: id, from: _id, type: uuid, primary_key: true }\n"
				     "      - { name: lead, type: uuid, references: users }\n"
				     "  - collection: words\n"
				     "    columns: [{ name: id, from: _id, type: uuid, primary_key: true }]\n"
				     "    children:\n"
				     "      - { from: x, table: uses, parent: word, ordinal: n, columns: [{ name: "
				     "x, from: ., type: text }] }\n"
				     "phases:\n"
				     "  - { name: people, tables: users }\n"
				     "  - { name: words, tables: [words, uses] }\n"
				     "  - { name: groups, tables: [teams] }\n");
	struct plan *plan = compile(mine), *part;
	struct buf shown;
	struct err err;
	buf_init(&shown, 0);
	assert_non_null(strstr(plan->warnings, ": warning: table \"users\" loads in phase \"groups\", "
					       "with what it refers to in a circle"));
	mapping_show_phases(&shown, plan);
	assert_string_equal(buf_cstr(&shown), "phase 1, words: words, uses\n"
					      "phase 2, groups: users (in a circle), teams (in a circle)\n");
	buf_reset(&shown);
	assert_true(plan_build_part(&part, mine, "teams\nwords\n", NULL, &err));
	mapping_show_phases_json(&shown, part);
	assert_string_equal(buf_cstr(&shown),
			    "{\"phases\":[\n {\"phase\":1,\"name\":\"people\",\"steps\":[[\"users\"]]}\n]}\n");
	buf_free(&shown);
	plan_free(part);
	plan_free(plan);
	mapping_free(mine);
}

/* Domains, generated columns and what a field holds, as shown; and the warnings of the plan. */
static void types_of_the_mapping_are_shown(void **state)
{
	struct mapping *mine = parse("docrow: 1\n"
				     "domains:\n"
				     "  - { name: mail, type: text, not_null: true, check: \"VALUE <> ''\" }\n"
				     "collections:\n"
				     "  - collection: people\n"
				     "    columns:\n"
				     "      - { name: id, from: _id, type: uuid, primary_key: true }\n"
				     "      - { name: mails, type: \"mail[]\", bson: [string, \"null\"] }\n"
				     "      - { name: share, type: real }\n"
				     "      - { name: loud, type: text, generated: upper(share::text) }\n");
	struct plan *plan = compile(mine);
	struct buf out;
	buf_init(&out, 0);
	mapping_show(&out, plan);
	static const char *const lines[] = {
		"domain mail: text not null check (VALUE <> '')\n",
		"  mails                    \"mail\"[] <- mails\n      bson: string, null (column)\n",
		"  loud                     text generated by upper(share::text)\n",
	};
	for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++)
		if (strstr(buf_cstr(&out), lines[i]) == NULL)
			fail_msg("not shown: %s\nin:\n%s", lines[i], buf_cstr(&out));
	assert_non_null(strstr(plan->warnings, ":9:30: warning: column \"share\" is real"));
	assert_null(strchr(strchr(plan->warnings, '\n') + 1, '\n'));
	assert_string_equal(p->warnings, "");
	/* The server makes it: it is in the table, not in what is copied. */
	assert_int_equal(plan->schema.tables[0].ncolumns, 4);
	assert_int_equal(plan->collections[0].outputs[0].ncolumns, 3);
	buf_free(&out);
	plan_free(plan);
	mapping_free(mine);
}

static void policies_that_say_nothing_are_warned_of(void **state)
{
	static const char *const warned[] = {
		":6:25: warning: accept in the policies of collection \"a\" is in force for none",
		":6:49: warning: if_missing in the policies of collection \"a\" is in force for none",
		":6:65: warning: encoding in the policies of collection \"a\" is in force for none",
		":9:9: warning: fold_case cannot tell \"OK\" and \"Ok\" of enum \"mood\" apart",
	};
	struct mapping *mine =
		parse("docrow: 1\n"
		      "policies: { fold_case: true, json: plain, if_orphan: \"null\" }\n"
		      "enums: [{ name: mood, labels: [OK, sad, Ok] }]\n"
		      "collections:\n"
		      "  - collection: a\n"
		      "    policies: { accept: [epoch-ms], if_missing: null, encoding: strip, "
		      "duplicate_keys: last }\n"
		      "    columns:\n"
		      "      - { name: id, from: _id, type: uuid, primary_key: true }\n"
		      "      - { name: m, type: mood, not_null: true, encoding: reject }\n"
		      "  - collection: b\n"
		      "    unmapped: keep\n"
		      "    policies: { encoding: strip, if_missing: reject, accept: [] }\n"
		      "    columns: [{ name: id, from: _id, type: uuid, primary_key: true }, { name: x, type: "
		      "integer }]\n");
	struct plan *plan = compile(mine);
	size_t n = 0;
	for (size_t i = 0; i < sizeof warned / sizeof warned[0]; i++)
		if (strstr(plan->warnings, warned[i]) == NULL)
			fail_msg("not warned of: %s\nin:\n%s", warned[i], plan->warnings);
	for (const char *s = plan->warnings; *s != '\0'; s++)
		n += *s == '\n';
	assert_int_equal(n, sizeof warned / sizeof warned[0]);
	plan_free(plan);
	mapping_free(mine);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(tables_are_in_order),
		cmocka_unit_test(paths_share_slots),
		cmocka_unit_test(columns_know_their_feed),
		cmocka_unit_test(children_have_scopes),
		cmocka_unit_test(children_have_keys),
		cmocka_unit_test(references_are_listed),
		cmocka_unit_test(junctions_are_fed_from_both_sides),
		cmocka_unit_test(move_to_finds_the_other_table),
		cmocka_unit_test(two_collections_feed_one_table),
		cmocka_unit_test(show_tells_what_becomes_what),
		cmocka_unit_test(policies_that_say_nothing_are_warned_of),
		cmocka_unit_test(phases_of_the_mapping),
		cmocka_unit_test(types_of_the_mapping_are_shown),
	};
	return cmocka_run_group_tests_name("plan", tests, setup, teardown);
}

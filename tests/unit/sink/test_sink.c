/* DDL, COPY, notes and keys of the sink on a real PostgreSQL: DATABASE_URL; without it these tests skip. */
#include "sink_test.h"
#include "text.h"

static const char *email[] = {"email"}, *email_team[] = {"email", "team"};

/* --- checks and DDL --- */

static void small_model(struct fixture *f)
{
	static const char *labels[] = {"it's", "b\\c", "\xc3\xbc"};
	f->enums[0] = (struct schema_enum){"Odd Kind", labels, 3};
	f->s.nenums = 1;
	int users = table(f, "Users", "users", "*id uuid, email text, kind \"Odd Kind\"[], one \"Odd Kind\"");
	add_index(f, users, (struct schema_index){.name = "Users_email_idx", .columns = email, .ncolumns = 1});
	table(f, "a\"b", "q", "*id uuid, n integer DEFAULT 3");
}

static void created_and_dropped(void **state)
{
	struct fixture *f = *state;
	struct err err;
	small_model(f);
	create(f);
	EXPECT(f,
	       "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'r' ORDER BY "
	       "1",
	       "Users|a\"b");
	EXPECT(f, "SELECT enum_range(NULL::\"Odd Kind\")", "{it's,\"b\\\\c\",\xc3\xbc}");
	EXPECT(f,
	       "SELECT attname FROM pg_attribute WHERE attrelid = '\"Users\"'::regclass AND attnum > 0 AND "
	       "attnotnull",
	       "id");
	char *oid = answer(f, "SELECT '\"Odd Kind\"'::regtype::oid");
	assert_int_equal(f->tables[0].columns[2].type.oid, strtoul(oid, NULL, 10));
	assert_int_equal(f->tables[0].columns[3].type.oid, strtoul(oid, NULL, 10));
	assert_int_equal(f->tables[0].columns[3].type.enum_index, 0);
	assert_int_equal(f->tables[0].columns[0].type.oid, 2950);
	OK(pg_exec(f->pg, "BEGIN", &err));
	OK(sink_drop(f->pg, &f->s, &err));
	OK(pg_exec(f->pg, "COMMIT", &err));
	EXPECT(f, "SELECT count(*) FROM pg_class WHERE relnamespace = 'public'::regnamespace", "0");
	EXPECT(f, "SELECT count(*) FROM pg_type WHERE typnamespace = 'public'::regnamespace", "0");
	OK(sink_check(f->pg, &f->s, false, &err));
}

static void what_is_there_is_named(void **state)
{
	struct fixture *f = *state;
	struct err err;
	small_model(f);
	create(f);
	load(f, "Users", "1 a@x - -|2 b@x - -");
	assert_false(sink_check(f->pg, &f->s, false, &err));
	assert_int_equal(err.code, ERR_TARGET_EXISTS);
	assert_string_equal(err.detail, "table Users (2 rows), table a\"b (0 rows), type Odd Kind");
	OK(sink_check(f->pg, &f->s, true, &err));
	OK(pg_exec(f->pg, "DROP TABLE \"a\"\"b\"", &err));
	assert_false(sink_check(f->pg, &f->s, true, &err));
	assert_int_equal(err.code, ERR_TARGET_CHANGED);
	assert_string_equal(err.detail, "table a\"b");
}

static void names_of_indexes_and_types_clash_too(void **state)
{
	struct fixture *f = *state;
	struct err err;
	small_model(f);
	f->pg = connect_or_skip();
	OK(pg_exec(f->pg,
		   "CREATE TABLE other (a int); CREATE INDEX \"Users_email_idx\" ON other (a);"
		   "CREATE TYPE \"Users\" AS ENUM ('x')",
		   &err));
	assert_false(sink_check(f->pg, &f->s, false, &err));
	assert_string_equal(err.detail, "type Users, index Users_email_idx");
	OK(pg_exec(f->pg, "DROP TABLE other; DROP TYPE \"Users\"", &err));
}

static void a_long_list_ends_with_a_count(void **state)
{
	struct fixture *f = *state;
	struct err err;
	for (int i = 0; i < MAX_THINGS; i++)
		table(f, arena_printf(f->arena, "a_table_with_a_very_long_name_so_that_no_list_can_hold_all_%02d", i),
		      "c", "*id uuid");
	create(f);
	assert_false(sink_check(f->pg, &f->s, false, &err));
	assert_non_null(strstr(err.message, "16 of the tables"));
	assert_non_null(strstr(err.detail, "_00 (0 rows), "));
	assert_non_null(strstr(err.detail, " more"));
	assert_true(strlen(err.detail) < sizeof err.detail - 1);
}

static void an_unknown_owner_is_refused(void **state)
{
	struct fixture *f = *state;
	struct err err;
	small_model(f);
	f->pg = connect_or_skip();
	f->s.owner = "docrow_nobody_of_that_name";
	assert_false(sink_check(f->pg, &f->s, false, &err));
	assert_int_equal(err.code, ERR_TARGET_PRIVILEGE);
	assert_non_null(strstr(err.message, "docrow_nobody_of_that_name"));
}

static void a_type_of_no_extension_is_refused(void **state)
{
	struct fixture *f = *state;
	struct err err;
	table(f, "T", "c", "*id uuid, v vector(3)");
	f->pg = connect_or_skip();
	if (strcmp(answer(f, "SELECT count(*) FROM pg_type WHERE typname = 'vector'"), "0") != 0)
		skip();
	assert_false(sink_check(f->pg, &f->s, false, &err));
	assert_int_equal(err.code, ERR_TARGET_REFUSED);
	assert_non_null(strstr(err.hint, "CREATE EXTENSION vector"));
}

static void schema_owner_and_grants(void **state)
{
	struct fixture *f = *state;
	struct err err;
	static struct schema_grant grants[] = {{"docrow_test_reader", "SELECT"}};
	table(f, "T", "c", "*id uuid, n integer");
	f->pg = connect_or_skip();
	if (!pg_exec(f->pg, "CREATE ROLE docrow_test_owner; CREATE ROLE docrow_test_reader", &err))
		skip();
	f->s.name = "my \"schema";
	f->s.owner = "docrow_test_owner";
	f->s.grants = grants;
	f->s.ngrants = 1;
	pg_close(f->pg);
	create(f);
	EXPECT(f, "SELECT tableowner FROM pg_tables WHERE schemaname = 'my \"schema'", "docrow_test_owner");
	EXPECT(f,
	       "SELECT has_table_privilege('docrow_test_reader', '\"my \"\"schema\".\"T\"', 'SELECT'),"
	       " has_table_privilege('docrow_test_reader', '\"my \"\"schema\".\"T\"', 'INSERT')",
	       "t f");
	OK(pg_exec(f->pg, "DROP SCHEMA \"my \"\"schema\" CASCADE; DROP ROLE docrow_test_owner, docrow_test_reader",
		   &err));
}

static void drop_leaves_what_is_not_ours(void **state)
{
	struct fixture *f = *state;
	struct err err;
	small_model(f);
	create(f);
	OK(pg_exec(f->pg, "CREATE VIEW mine AS SELECT id FROM \"Users\"; CREATE TABLE also_mine (a int)", &err));
	OK(pg_exec(f->pg, "BEGIN", &err));
	assert_false(sink_drop(f->pg, &f->s, &err));
	assert_true(err.hint[0] != '\0');
	OK(pg_exec(f->pg, "ROLLBACK; DROP VIEW mine; BEGIN", &err));
	OK(sink_drop(f->pg, &f->s, &err));
	OK(pg_exec(f->pg, "COMMIT", &err));
	EXPECT(f, "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace", "also_mine");
	OK(pg_exec(f->pg, "DROP TABLE also_mine", &err));
}

static void indexes_keys_and_vacuum(void **state)
{
	struct fixture *f = *state;
	struct err err;
	small_model(f);
	reference(f, 1, "id", 0, ORPHAN_REJECT);
	create(f);
	load(f, "Users", "1 a@x - -|2 b@x - -");
	load(f, "a\"b", "1 5");
	add_keys(f);
	begin(f);
	OK(sink_add_index(f->pg, &f->s, 0, 0, &err));
	OK(sink_add_fkey(f->pg, &f->s, 1, 0, &err));
	commit(f);
	assert_int_equal(key_state(f, 1, 0), KEY_NOT_VALID);
	begin(f);
	OK(sink_validate_fkey(f->pg, &f->s, 1, 0, &err));
	commit(f);
	assert_int_equal(key_state(f, 1, 0), KEY_VALID);
	OK(sink_vacuum(f->pg, &f->s, 0, &err));
	EXPECT(f, "SELECT indexrelid::regclass::text FROM pg_index WHERE indrelid = '\"Users\"'::regclass ORDER BY 1",
	       "\"Users_email_idx\"|\"Users_pkey\"");
	EXPECT(f, "SELECT reltuples FROM pg_class WHERE oid = '\"Users\"'::regclass", "2");
}

static void sequences_pass_the_maximum(void **state)
{
	struct fixture *f = *state;
	struct err err;
	int t = table(f, "T", "c", "*id bigint, s bigint, plain bigint, empty bigint");
	create(f);
	OK(pg_exec(f->pg,
		   "CREATE SEQUENCE free_seq; ALTER TABLE \"T\" ALTER id ADD GENERATED BY DEFAULT AS IDENTITY,"
		   " ALTER s SET DEFAULT nextval('free_seq'), ALTER empty SET DEFAULT nextval('free_seq')",
		   &err));
	load(f, "T", "40 900 1 -|7 3 1 -");
	begin(f);
	OK(sink_settle_sequences(f->pg, &f->s, t, &err));
	commit(f);
	EXPECT(f, "INSERT INTO \"T\" (plain) VALUES (1) RETURNING id, s", "41 901");
	begin(f);
	OK(sink_settle_sequences(f->pg, &f->s, t, &err)); /* again: nothing goes back */
	commit(f);
	EXPECT(f, "INSERT INTO \"T\" (plain) VALUES (1) RETURNING id", "42");
	OK(pg_exec(f->pg, "DROP TABLE \"T\"; DROP SEQUENCE free_seq", &err));
}

/* --- notes --- */

static void put_string_doc(struct buf *doc, const char *key, const void *text, size_t len)
{
	uint32_t size = (uint32_t)(4 + 1 + strlen(key) + 1 + 4 + len + 1 + 1), n = (uint32_t)len + 1;
	buf_put(doc, &size, 4);
	buf_putc(doc, 2);
	buf_put(doc, key, strlen(key) + 1);
	buf_put(doc, &n, 4);
	buf_put(doc, text, len);
	buf_put(doc, "\0", 2);
}

static void notes_take_any_bytes(void **state)
{
	struct fixture *f = *state;
	struct err err;
	f->pg = connect_or_skip();
	struct sink_notes *n = sink_notes_new();
	struct buf doc;
	struct val v, oid;
	uint8_t id[12], uuid[16];
	buf_init(&doc, 0);
	put_string_doc(&doc, "k\xff", "a\0b\xfe\\", 5);
	assert_true(doc_find(doc.data, doc.len, "k\xff", &v));
	make_oid(5, id);
	id_objectid_to_uuid(id, uuid);
	oid = (struct val){id, 12, BSON_K_OBJECTID};
	sink_notes_reject(n, &(struct sink_reject){.collection = "c",
						   .table = "T",
						   .column = "x",
						   .path = "k\xff.\\a\x01",
						   .fault = FAULT_UTF8,
						   .message = "bad \xfe byte",
						   .id = oid,
						   .key = "\xff",
						   .document = doc.data,
						   .document_len = doc.len,
						   .ordinal = -1,
						   .kind = BSON_K_STRING});
	sink_notes_reject(n, &(struct sink_reject){.collection = "c", .fault = FAULT_NO_ID, .ordinal = 3});
	sink_notes_finding(n, &(struct sink_finding){.table = "T",
						     .column = "x",
						     .collection = "c",
						     .path = "p",
						     .kind = "invalid_null",
						     .fault = FAULT_NUL,
						     .id = v,
						     .value = v,
						     .ordinal = -1});
	sink_notes_id(n, "c", uuid, &v);
	assert_true(sink_notes_size(n) > doc.len);
	begin(f);
	OK(sink_notes_flush(f->pg, n, RUN, 11, 0, &err));
	assert_int_equal(sink_notes_size(n), 0);
	OK(sink_notes_flush(f->pg, n, RUN, 11, 0, &err));
	commit(f);
	EXPECT(f,
	       "SELECT run, chunk, step, path, key, message, code, bson_type, state FROM docrow.reject ORDER BY id",
	       "7 11 - k\\xff.\\\\a\\x01 \\xff bad \\xfe byte DR-F08 string open|7 11 - - - - DR-F21 - open");
	EXPECT(f, "SELECT doc_id_text, ordinal, doc_id IS NULL, document IS NULL FROM docrow.reject ORDER BY id",
	       "{\"$oid\":\"65000000abcdef0100000005\"} - f f|- 3 t t");
	char hex[200];
	text_hex(doc.data, doc.len, hex);
	assert_string_equal(answer(f, "SELECT encode(document, 'hex') FROM docrow.reject WHERE document IS NOT NULL"),
			    hex);
	EXPECT(f,
	       "SELECT count(*) FROM docrow.finding WHERE value_text IS NOT NULL AND octet_length(value) = 5 + 2 + 4 "
	       "+ 6 + 1"
	       " AND fault = 'nul' AND chunk = 11",
	       "1");
	EXPECT(f, "SELECT n(key), collection, chunk, octet_length(doc_id) FROM docrow.id_map", "5 c 11 20");
	sink_notes_free(n);
	buf_free(&doc);
}

/* A document of arrays in arrays, deeper than any JSON reader goes. */
static void put_deep_doc(struct buf *doc, int depth)
{
	for (int i = depth; i >= 0; i--) {
		uint32_t size = (uint32_t)(5 + i * 8);
		buf_put(doc, &size, 4);
		if (i > 0)
			buf_put(doc,
				"\x04"
				"0",
				3);
	}
	for (int i = 0; i <= depth; i++)
		buf_putc(doc, '\0');
}

static void deep_documents_and_many_rows(void **state)
{
	struct fixture *f = *state;
	struct err err;
	f->pg = connect_or_skip();
	struct sink_notes *n = sink_notes_new();
	struct buf doc;
	buf_init(&doc, 0);
	put_deep_doc(&doc, 20000);
	assert_true(doc_is_wellformed(doc.data, doc.len));
	for (int i = 0; i < 20; i++)
		sink_notes_reject(n, &(struct sink_reject){.collection = "c",
							   .fault = FAULT_TYPE,
							   .ordinal = i,
							   .document = doc.data,
							   .document_len = doc.len});
	begin(f);
	OK(sink_notes_flush(f->pg, n, RUN, 0, STEP, &err));
	commit(f);
	EXPECT(f,
	       "SELECT count(*), count(DISTINCT document), min(octet_length(document)), bool_and(chunk IS NULL), "
	       "min(step),"
	       " bool_and(document_text LIKE '%[]%') FROM docrow.reject",
	       arena_printf(f->arena, "20 1 %zu t 9 t", doc.len));
	sink_notes_free(n);
	buf_free(&doc);
}

/* --- keys --- */

static void duplicates_of_the_primary_key(void **state)
{
	struct fixture *f = *state;
	struct err err;
	bool duplicates;
	const char **keys;
	size_t n;
	struct sink_deleted deleted = {0, (uint64_t[8]){0}, (uint64_t[1]){0}, (uint64_t[1]){0}};
	int t = table(f, "T", "c", "*id uuid, a text");
	int child = table(f, "Child", "c", "*parent uuid, *ordinal integer, x text");
	int grandchild = table(f, "Grandchild", "c", "*parent uuid, *ordinal integer, *n integer");
	int j = table(f, "J", NULL, "*a uuid, *b uuid");
	f->tables[child].parent_table = t;
	f->tables[child].parent_column = 0;
	f->tables[grandchild].parent_table = child;
	f->tables[grandchild].parent_column = 0;
	f->junctions[0] = (struct schema_junction){j, 0, 1, t, t, "c", "c", PAIRS_UNION, ORPHAN_REJECT};
	f->s.njunctions = 1;
	create(f);
	load(f, "T", "3 a|1 b|3 c|2 d|1 e|1 f");
	load(f, "Child", "1 0 x|1 1 y|2 0 z|3 0 p|3 0 p");
	load(f, "Grandchild", "1 0 0|2 0 0|3 0 7");
	load_pairs(f, 0, "1 2 L|2 1 L|2 1 R|2 3 R|1 2 R");
	begin(f);
	OK(sink_try_primary_key(f->pg, &f->s, t, &duplicates, &err));
	assert_true(duplicates);
	OK(sink_duplicate_keys(f->pg, &f->s, t, 1, f->arena, &keys, &n, &err));
	assert_int_equal(n, 1);
	OK(sink_duplicate_keys(f->pg, &f->s, t, 100, f->arena, &keys, &n, &err));
	assert_int_equal(n, 2);
	assert_string_equal(
		answer(f, arena_printf(f->arena, "SELECT n('%s'::uuid), n('%s'::uuid)", keys[0], keys[1])), "1 3");
	OK(sink_delete_keys(f->pg, &f->s, t, keys, n, &deleted, &err));
	assert_int_equal(deleted.rows, 5);
	assert_int_equal(deleted.by_table[child], 4);
	assert_int_equal(deleted.by_table[grandchild], 2);
	assert_int_equal(deleted.left[0], 1);
	assert_int_equal(deleted.right[0], 2);
	OK(sink_add_primary_key(f->pg, &f->s, t, &err));
	commit(f);
	EXPECT(f, "SELECT n(id), a FROM \"T\"", "2 d");
	EXPECT(f, "SELECT n(parent), ordinal FROM \"Child\"", "2 0");
	EXPECT(f, "SELECT n(parent), ordinal FROM \"Grandchild\"", "2 0");
	/* only what documents 1 and 3 named is gone */
	EXPECT(f, "SELECT n(l), n(r), side FROM docrow.pairs_0 ORDER BY 1, 2, 3", "1 2 R|2 1 L");
	begin(f);
	OK(sink_try_primary_key(f->pg, &f->s, child, &duplicates, &err));
	assert_false(duplicates);
	commit(f);
}

static void keys_of_odd_text(void **state)
{
	struct fixture *f = *state;
	struct err err;
	const char **keys;
	size_t n;
	struct sink_deleted deleted = {0, (uint64_t[8]){0}, (uint64_t[1]){0}, (uint64_t[1]){0}};
	int t = table(f, "T", "c", "*id text");
	create(f);
	load(f, "T", "a\"b\\|a\"b\\|{x,y}|{x,y}|NULL|NULL|B|a|B");
	begin(f);
	OK(sink_duplicate_keys(f->pg, &f->s, t, 100, f->arena, &keys, &n, &err));
	assert_int_equal(n, 4);
	assert_string_equal(keys[0], "B");
	OK(sink_delete_keys(f->pg, &f->s, t, keys, n, &deleted, &err));
	assert_int_equal(deleted.rows, 8);
	commit(f);
	EXPECT(f, "SELECT id FROM \"T\"", "a");
}

static int email_model(struct fixture *f, struct schema_index index)
{
	int t = table(f, "Users", "users", "*id uuid, email text, team integer");
	index.name = "Users_email_key";
	index.unique = true;
	add_index(f, t, index);
	create(f);
	load(f, "Users", "5 x@x 1|3 y@x 1|4 x@x 2|1 x@x 1|2 - 1|6 - 1|7 Y@x 1");
	add_keys(f);
	return t;
}

static void settle_unique(struct fixture *f, int t)
{
	struct err err;
	begin(f);
	OK(sink_settle_unique(f->pg, &f->s, t, 0, RUN, STEP, f->ledger, &err));
	OK(sink_add_index(f->pg, &f->s, t, 0, &err)); /* there already */
	commit(f);
	EXPECT(f, "SELECT indisunique FROM pg_index WHERE indexrelid = '\"Users_email_key\"'::regclass", "t");
}

static void the_lowest_key_stays(void **state)
{
	struct fixture *f = *state;
	settle_unique(f, email_model(f, (struct schema_index){.columns = email, .ncolumns = 1}));
	EXPECT(f, "SELECT n(id) FROM \"Users\" ORDER BY 1", "1|2|3|6|7");
	EXPECT(f,
	       "SELECT run, chunk, step, collection, table_name, column_name, fault, code, n(doc_id), n(key::uuid), "
	       "ordinal,"
	       " state FROM docrow.reject ORDER BY key",
	       "7 - 9 users Users email duplicate DR-F17 4 4 - open|7 - 9 users Users email duplicate DR-F17 5 5 - "
	       "open");
	EXPECT(f, "SELECT message FROM docrow.reject ORDER BY key",
	       "65000000abcdef0100000004 has the same email as 65000000abcdef0100000001, which stays (unique index"
	       " Users_email_key)|65000000abcdef0100000005 has the same email as 65000000abcdef0100000001, which "
	       "stays"
	       " (unique index Users_email_key)");
	EXPECT(f,
	       "SELECT row_text::jsonb ->> 'email', row_text::jsonb ->> 'team', doc_id_text FROM docrow.reject ORDER "
	       "BY key",
	       "x@x 2 {\"$oid\":\"65000000abcdef0100000004\"}|x@x 1 {\"$oid\":\"65000000abcdef0100000005\"}");
	COUNTED(f, REJECT_ROW, "Users", "duplicate", 2);
	COUNTED(f, DROPPED, "Users", "Users_email_key", 0);
}

static void no_duplicates_nothing_noted(void **state)
{
	struct fixture *f = *state;
	struct err err;
	int t = email_model(f, (struct schema_index){.columns = email, .ncolumns = 1});
	OK(pg_exec(f->pg, "DELETE FROM \"Users\" WHERE email = 'x@x'", &err));
	settle_unique(f, t);
	EXPECT(f, "SELECT count(*) FROM docrow.reject", "0");
	assert_int_equal(ledger_sum(f->ledger, LEDGER_REJECT_ROW, NULL), 0);
}

static void first_and_last_drop_with_a_finding(void **state)
{
	struct fixture *f = *state;
	settle_unique(f,
		      email_model(f, (struct schema_index){.columns = email, .ncolumns = 1, .duplicates = DUP_LAST}));
	EXPECT(f, "SELECT n(id) FROM \"Users\" ORDER BY 1", "2|3|5|6|7");
	EXPECT(f, "SELECT kind, fault, n(doc_id), value_text::jsonb ->> 'email' FROM docrow.finding ORDER BY key",
	       "dropped duplicate 1 x@x|dropped duplicate 4 x@x");
	EXPECT(f, "SELECT count(*) FROM docrow.reject", "0");
	COUNTED(f, DROPPED, "Users", "Users_email_key", 2);
	COUNTED(f, REJECT_ROW, "Users", "duplicate", 0);
}

static void several_columns_and_a_condition(void **state)
{
	struct fixture *f = *state;
	settle_unique(f, email_model(f, (struct schema_index){.columns = email_team,
							      .ncolumns = 2,
							      .where = "team < 2",
							      .duplicates = DUP_FIRST}));
	EXPECT(f, "SELECT n(id) FROM \"Users\" ORDER BY 1", "1|2|3|4|6|7");
	COUNTED(f, DROPPED, "Users", "Users_email_key", 1);
}

static void an_expression(void **state)
{
	struct fixture *f = *state;
	settle_unique(f, email_model(f, (struct schema_index){.expression = "lower(email), team"}));
	EXPECT(f, "SELECT n(id) FROM \"Users\" ORDER BY 1", "1|2|3|4|6");
	EXPECT(f, "SELECT message FROM docrow.reject WHERE n(key::uuid) = 7",
	       "65000000abcdef0100000007 has the same key as 65000000abcdef0100000003, which stays (unique index"
	       " Users_email_key)");
}

static void nulls_that_are_not_distinct(void **state)
{
	struct fixture *f = *state;
	struct err err;
	f->pg = connect_or_skip();
	int version = pg_server_version(f->pg);
	pg_close(f->pg);
	f->pg = NULL;
	if (version < 150000) {
		table(f, "T", "c", "*id uuid, email text");
		add_index(f, 0,
			  (struct schema_index){
				  .name = "i", .columns = email, .ncolumns = 1, .nulls_not_distinct = true});
		f->pg = connect_or_skip();
		assert_false(sink_check(f->pg, &f->s, false, &err));
		assert_int_equal(err.code, ERR_TARGET_VERSION);
		return;
	}
	settle_unique(f, email_model(f, (struct schema_index){
						.columns = email, .ncolumns = 1, .nulls_not_distinct = true}));
	EXPECT(f, "SELECT n(id) FROM \"Users\" ORDER BY 1", "1|2|3|7");
}

static void child_rows_go_with_a_duplicate(void **state)
{
	struct fixture *f = *state;
	struct err err;
	int users = table(f, "Users", "users", "*id uuid, email text");
	int child = table(f, "Child", "users", "*parent uuid, *ordinal integer, x text");
	int grandchild = table(f, "Grandchild", "users", "*parent uuid, *ordinal integer, *n integer");
	f->tables[child].parent_table = users;
	f->tables[child].parent_column = 0;
	f->tables[grandchild].parent_table = child;
	f->tables[grandchild].parent_column = 0;
	add_index(f, users,
		  (struct schema_index){.name = "Users_email_key", .columns = email, .ncolumns = 1, .unique = true});
	create(f);
	load(f, "Users", "1 a|2 a|3 b");
	load(f, "Child", "1 0 x|2 0 y|2 1 z|3 0 w");
	load(f, "Grandchild", "1 0 0|2 0 0|2 0 1|2 1 0|3 0 0");
	add_keys(f);
	begin(f);
	OK(sink_settle_unique(f->pg, &f->s, users, 0, RUN, STEP, f->ledger, &err));
	commit(f);
	EXPECT(f, "SELECT n(parent) FROM \"Child\" ORDER BY 1", "1|3");
	EXPECT(f, "SELECT n(parent) FROM \"Grandchild\" ORDER BY 1", "1|3");
	COUNTED(f, CHILD_OF_REJECT, "Child", "", 2);
	COUNTED(f, CHILD_OF_REJECT, "Grandchild", "", 3);
	COUNTED(f, REJECT_ROW, "Users", "duplicate", 1);
}

/* Elements with a key of their own: the same key in two documents. */
static void keys_of_elements(void **state)
{
	struct fixture *f = *state;
	struct err err;
	int t = table(f, "T", "t", "*id uuid");
	int child = table(f, "Child", "t", "parent uuid, ordinal integer, *id uuid, x text");
	int grandchild = table(f, "Grandchild", "t", "*parent uuid, *ordinal integer, up uuid");
	f->tables[child].parent_table = t;
	f->tables[child].parent_column = 0;
	f->tables[grandchild].parent_table = child;
	f->tables[grandchild].parent_column = 0;
	int ref = reference(f, grandchild, "up", t, ORPHAN_REJECT);
	assert_true(sink_is_keyed_by_id(&f->s, t));
	assert_false(sink_is_keyed_by_id(&f->s, child));
	create(f);
	load(f, "T", "1|2");
	load(f, "Child", "2 0 50 b|1 1 50 a|1 0 51 c|1 0 50 z|2 1 52 d|2 1 52 d");
	load(f, "Grandchild", "50 0 1|51 0 99|51 1 2");
	begin(f);
	OK(sink_settle_primary_key(f->pg, &f->s, t, RUN, STEP, f->ledger, &err));
	OK(sink_settle_primary_key(f->pg, &f->s, child, RUN, STEP, f->ledger, &err));
	OK(sink_settle_primary_key(f->pg, &f->s, grandchild, RUN, STEP, f->ledger, &err));
	commit(f);
	EXPECT(f, "SELECT n(parent), ordinal, n(id), x FROM \"Child\" ORDER BY 3", "1 0 50 z|1 0 51 c|2 1 52 d");
	EXPECT(f,
	       "SELECT n(doc_id), n(key::uuid), message, table_name, column_name FROM docrow.reject ORDER BY key, "
	       "doc_id",
	       "1 50 65000000abcdef0100000001 has the same id as 65000000abcdef0100000001, which stays (primary key)"
	       " Child id|2 50 65000000abcdef0100000002 has the same id as 65000000abcdef0100000001, which stays "
	       "(primary"
	       " key) Child id|2 52 65000000abcdef0100000002 has the same id as 65000000abcdef0100000002, which stays"
	       " (primary key) Child id");
	COUNTED(f, REJECT_ROW, "Child", "duplicate", 3);
	EXPECT(f, "SELECT count(*) FROM \"Grandchild\"", "3");
	/* the document of an element's element */
	bool changed;
	begin(f);
	OK(sink_settle_orphans(f->pg, &f->s, ref, RUN, STEP, f->ledger, &changed, &err));
	commit(f);
	EXPECT(f,
	       "SELECT n(doc_id), ordinal, n((row_text::jsonb ->> 'parent')::uuid) FROM docrow.reject WHERE "
	       "table_name ="
	       " 'Grandchild'",
	       "1 0 51");
}

/* A key that is not _id: rows tell their document by the column that _id feeds. */
static void keys_of_another_field(void **state)
{
	struct fixture *f = *state;
	struct err err;
	int t = table(f, "T", "t", "*sku text, id uuid");
	f->tables[t].id_column = 2;
	f->tables[t].duplicates = DUP_LAST;
	assert_false(sink_is_keyed_by_id(&f->s, t));
	create(f);
	load(f, "T", "a 3|b 2|a 1");
	begin(f);
	OK(sink_settle_primary_key(f->pg, &f->s, t, RUN, STEP, f->ledger, &err));
	commit(f);
	EXPECT(f, "SELECT sku, n(id) FROM \"T\" ORDER BY 1", "a 3|b 2");
	EXPECT(f, "SELECT kind, n(doc_id), key FROM docrow.finding", "dropped 1 a");
	COUNTED(f, DROPPED, "T", "primary key", 1);
}

static void no_primary_key_at_all(void **state)
{
	struct fixture *f = *state;
	struct err err;
	int t = table(f, "T", "t", "email text, x text");
	f->tables[t].id_column = -1;
	add_index(f, t,
		  (struct schema_index){.name = "T_email_key", .columns = email, .ncolumns = 1, .unique = true});
	create(f);
	load(f, "T", "a z|a b|c c|a b");
	begin(f);
	OK(sink_settle_primary_key(f->pg, &f->s, t, RUN, STEP, f->ledger, &err));
	OK(sink_settle_unique(f->pg, &f->s, t, 0, RUN, STEP, f->ledger, &err));
	commit(f);
	EXPECT(f, "SELECT email, x FROM \"T\" ORDER BY 1", "a b|c c");
	EXPECT(f, "SELECT doc_id, key, message FROM docrow.reject LIMIT 1",
	       "- - a row has the same email as another row, which stays (unique index T_email_key)");
}

static int run(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
		TEST(created_and_dropped),
		TEST(what_is_there_is_named),
		TEST(names_of_indexes_and_types_clash_too),
		TEST(a_long_list_ends_with_a_count),
		TEST(an_unknown_owner_is_refused),
		TEST(a_type_of_no_extension_is_refused),
		TEST(schema_owner_and_grants),
		TEST(drop_leaves_what_is_not_ours),
		TEST(indexes_keys_and_vacuum),
		TEST(sequences_pass_the_maximum),
		TEST(notes_take_any_bytes),
		TEST(deep_documents_and_many_rows),
		TEST(duplicates_of_the_primary_key),
		TEST(keys_of_odd_text),
		TEST(the_lowest_key_stays),
		TEST(no_duplicates_nothing_noted),
		TEST(first_and_last_drop_with_a_finding),
		TEST(several_columns_and_a_condition),
		TEST(an_expression),
		TEST(nulls_that_are_not_distinct),
		TEST(child_rows_go_with_a_duplicate),
		TEST(keys_of_elements),
		TEST(keys_of_another_field),
		TEST(no_primary_key_at_all),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

int main(void)
{
	return run_with_database(run);
}

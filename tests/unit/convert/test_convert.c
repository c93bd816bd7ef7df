/* Whole documents through convert: rows, child tables, pairs, rejects, counts, ids. Values: tests/cases. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <bson/bson.h>
#include <malloc.h>
#include <pthread.h>

#include "case_decode.h"
#include "convert.h"
#include "id.h"
#include "text.h"

/* One mapping for most tests: a child table with a child of its own, a list of scalars, a junction of two sides, a
 * junction with itself. */
static const char world[] =
	"docrow: 1\n"
	"source: { database: world }\n"
	"collections:\n"
	"  - collection: users\n"
	"    table: users\n"
	"    columns:\n"
	"      - { name: id, from: _id, type: uuid, primary_key: true }\n"
	"      - { name: name, from: name, type: text }\n"
	"  - collection: posts\n"
	"    table: posts\n"
	"    columns:\n"
	"      - { name: id, from: _id, type: uuid, primary_key: true }\n"
	"      - { name: title, from: title, type: text, not_null: true }\n"
	"      - { name: city, from: address.city, type: text }\n"
	"      - { name: owner, from: owner, type: uuid, references: { table: users } }\n"
	"    children:\n"
	"      - from: comments\n"
	"        table: comments\n"
	"        parent: post_id\n"
	"        ordinal: position\n"
	"        columns:\n"
	"          - { name: id, from: _id, type: uuid, primary_key: true }\n"
	"          - { name: likes, from: likes, type: integer, if_invalid: \"null\" }\n"
	"          - { name: body, from: body, type: varchar(5), not_null: true }\n"
	"        children:\n"
	"          - from: marks\n"
	"            table: marks\n"
	"            parent: comment_id\n"
	"            ordinal: n\n"
	"            columns: [ { name: mark, from: [], type: text, not_null: true } ]\n"
	"      - from: tags\n"
	"        table: tags\n"
	"        parent: post_id\n"
	"        ordinal: n\n"
	"        columns: [ { name: tag, from: [], type: text, not_null: true } ]\n"
	"junctions:\n"
	"  - table: watchers\n"
	"    left: { collection: posts, path: watchers, column: post_id }\n"
	"    right: { collection: users, path: watching, column: user_id, accept: [scalar-array, hex-id] }\n";

struct fixture {
	struct mapping *m;
	struct plan *p;
	struct ledger *ledger;
	struct conv *conv;
	const struct plan_collection *c;
	struct conv_where where;
	bson_t *doc;
};

static void use(struct fixture *x, const char *yaml, const char *collection)
{
	struct buf report;
	struct err err;
	*x = (struct fixture){0};
	buf_init(&report, 0);
	if (!mapping_parse(&x->m, "test", yaml, strlen(yaml), &report, &err) ||
	    !plan_build(&x->p, x->m, &report, &err))
		fail_msg("%s: %s", err.message, buf_cstr(&report));
	buf_free(&report);
	x->ledger = ledger_new();
	int i = plan_find_collection(x->p, collection);
	assert_true(i >= 0);
	x->c = &x->p->collections[i];
	x->conv = conv_new(x->p, i, x->ledger);
}

static void done(struct fixture *x)
{
	if (x->doc != NULL)
		bson_destroy(x->doc);
	conv_free(x->conv);
	ledger_free(x->ledger);
	plan_free(x->p);
	mapping_free(x->m);
}

static enum fault convert(struct fixture *x, const char *json)
{
	bson_error_t error;
	if (x->doc != NULL)
		bson_destroy(x->doc);
	x->doc = bson_new_from_json((const uint8_t *)json, -1, &error);
	if (x->doc == NULL)
		fail_msg("%s: %s", json, error.message);
	return conv_document(x->conv, bson_get_data(x->doc), x->doc->len, &x->where);
}

static uint64_t counted(const struct fixture *x, enum ledger_kind kind, const char *object, const char *path)
{
	return *ledger_slot(x->ledger, kind, object, path);
}

/* --- rows as text: columns by |, rows by newline --- */

static int output_of(const struct fixture *x, const char *table)
{
	for (size_t i = 0; i < x->c->noutputs; i++)
		if (strcmp(x->p->schema.tables[x->c->outputs[i].copy.table].name, table) == 0)
			return (int)i;
	fail_msg("no output for %s", table);
	return -1;
}

static const struct pgtype *field_type(const struct fixture *x, const struct plan_output *o, int i)
{
	static const struct pgtype side = {.base = PGT_TEXT, .length = -1, .precision = -1};
	if (o->kind != PLAN_OUTPUT_PAIRS)
		return &o->columns[i].column->type;
	const struct plan_junction *j = &x->p->junctions[o->copy.junction];
	return i == 0 ? &j->left_type : i == 1 ? &j->right_type : &side;
}

static const uint8_t *show_row(struct buf *out, const struct fixture *x, const struct plan_output *o,
			       const uint8_t *p)
{
	int n = (int)case_read_be(p, 2);
	p += 2;
	for (int i = 0; i < n; i++) {
		int32_t len = (int32_t)case_read_be(p, 4);
		buf_puts(out, i > 0 ? "|" : "");
		p += 4;
		if (len < 0) {
			buf_puts(out, "NULL");
			continue;
		}
		case_decode(out, field_type(x, o, i), p, (size_t)len);
		p += len;
	}
	buf_putc(out, '\n');
	return p;
}

static void expect_rows(struct fixture *x, const char *table, const char *expected)
{
	int i = output_of(x, table);
	struct rowbuf *rows = conv_rows(x->conv, i);
	struct buf out;
	uint64_t n = 0;
	buf_init(&out, 0);
	for (const uint8_t *p = rows->buf.data; p < rows->buf.data + rows->buf.len; n++)
		p = show_row(&out, x, &x->c->outputs[i], p);
	assert_string_equal(buf_cstr(&out), expected);
	assert_int_equal(n, rows->rows);
	rowbuf_reset(rows);
	buf_free(&out);
}

#define OID(n)  "{\"$oid\":\"507f1f77bcf86cd7994390" n "\"}"
#define UUID_11 "013a7092-e8d8-7bcf-a1b3-5e650e4044dc"
#define UUID_12 "013a7092-e8d8-7bcf-a1b3-5e650e4048dc"
#define UUID_13 "013a7092-e8d8-7bcf-a1b3-5e650e404cdc"
#define UUID_14 "013a7092-e8d8-7bcf-a1b3-5e650e4050dc"

/* --- tests --- */

static void a_document_feeds_all_its_tables(void **state)
{
	struct fixture x;
	use(&x, world, "posts");
	assert_int_equal(
		convert(&x, "{\"_id\":" OID(
				    "11") ",\"title\":\"t\",\"address\":{\"city\":\"Brno\",\"zip\":1},"
					  "\"comments\":[{\"_id\":" OID(
						  "12") ",\"likes\":3,\"body\":\"a\",\"marks\":[\"p\",\"q\"]},"
							"{\"_id\":" OID(
								"13") ",\"body\":\"b\",\"marks\":[]}],"
								      "\"tags\":[\"x\",\"y\"],\"watchers\":[" OID(
									      "12") "," OID("13") "," OID("12") "]}"),
		FAULT_OK);
	expect_rows(&x, "posts", UUID_11 "|t|Brno|NULL\n");
	expect_rows(&x, "comments", UUID_11 "|0|" UUID_12 "|3|a\n" UUID_11 "|1|" UUID_13 "|NULL|b\n");
	expect_rows(&x, "marks", UUID_12 "|0|p\n" UUID_12 "|1|q\n");
	expect_rows(&x, "tags", UUID_11 "|0|x\n" UUID_11 "|1|y\n");
	expect_rows(&x, "watchers", UUID_11 "|" UUID_12 "|L\n" UUID_11 "|" UUID_13 "|L\n" UUID_11 "|" UUID_12 "|L\n");
	assert_int_equal(counted(&x, LEDGER_ELEMENTS, "watchers", "posts"), 3);
	assert_int_equal(counted(&x, LEDGER_ELEMENTS, "comments", "posts"), 2);
	assert_int_equal(counted(&x, LEDGER_ELEMENTS, "marks", "posts"), 2);
	assert_int_equal(counted(&x, LEDGER_ELEMENTS, "tags", "posts"), 2);
	assert_int_equal(counted(&x, LEDGER_UNMAPPED, "posts", "address.zip"), 1);
	assert_int_equal(counted(&x, LEDGER_IS_MISSING, "posts", "owner"), 1);
	assert_int_equal(counted(&x, LEDGER_IS_MISSING, "comments", "likes"), 1);
	assert_int_equal(ledger_sum(x.ledger, LEDGER_ELEMENT_REJECTED_DOC, NULL), 0);
	assert_string_equal(conv_key_text(x.conv), UUID_11);
	done(&x);
}

static void the_other_side_of_a_junction(void **state)
{
	struct fixture x;
	use(&x, world, "users");
	assert_int_equal(convert(&x, "{\"_id\":" OID("11") ",\"name\":null,\"watching\":[" OID(
					     "12") ",\"507f1f77bcf86cd799439013\"]}"),
			 FAULT_OK);
	expect_rows(&x, "watchers", UUID_12 "|" UUID_11 "|R\n" UUID_13 "|" UUID_11 "|R\n");
	assert_int_equal(counted(&x, LEDGER_ACCEPTED, "watchers", "post_id"), 1);
	assert_int_equal(counted(&x, LEDGER_IS_NULL, "users", "name"), 1);
	/* one value as a list of one; null and missing are no elements */
	assert_int_equal(convert(&x, "{\"_id\":" OID("11") ",\"watching\":" OID("12") "}"), FAULT_OK);
	assert_int_equal(convert(&x, "{\"_id\":" OID("11") ",\"watching\":null}"), FAULT_OK);
	expect_rows(&x, "watchers", UUID_12 "|" UUID_11 "|R\n");
	assert_int_equal(counted(&x, LEDGER_ELEMENTS, "watchers", "users"), 3);
	done(&x);
}

static void bad_elements_are_rejects_of_their_own(void **state)
{
	struct fixture x;
	const struct conv_note *n;
	use(&x, world, "posts");
	assert_int_equal(convert(&x, "{\"_id\":" OID("11") ",\"title\":\"t\",\"watchers\":[null," OID(
					     "12") ",\"x\",5],"
						   "\"tags\":[\"a\",null,7],\"comments\":[null,\"str\",{\"_id\":" OID(
							   "12") ",\"body\":\"too "
								 "long\",\"odd\":1,\"marks\":[\"p\",\"q\"]},{\"_"
								 "id\":" OID("13") ",\"likes\":\"many\",\"body\":"
										   "\"b\",\"marks\":[null,\"r\"]}]}"),
			 FAULT_OK);
	expect_rows(&x, "posts", UUID_11 "|t|NULL|NULL\n");
	expect_rows(&x, "watchers", UUID_11 "|" UUID_12 "|L\n");
	expect_rows(&x, "tags", UUID_11 "|0|a\n");
	expect_rows(&x, "comments", UUID_11 "|3|" UUID_13 "|NULL|b\n");
	expect_rows(&x, "marks", UUID_13 "|1|r\n");
	static const struct {
		const char *table, *column, *path;
		bool is_reject;
		enum fault fault;
		int64_t ordinal;
		uint8_t kind;
	} expected[] = {
		{"comments", NULL, "comments", true, FAULT_ELEMENT_NULL, 0, BSON_K_NULL},
		{"comments", NULL, "comments", true, FAULT_ELEMENT_INVALID, 1, BSON_K_STRING},
		{"comments", "body", "comments", true, FAULT_TOO_LONG, 2, BSON_K_DOCUMENT},
		{"comments", "likes", "comments.likes", false, FAULT_TYPE, 3, BSON_K_STRING},
		{"marks", "mark", "comments.marks", true, FAULT_NULL, 0, BSON_K_NULL},
		{"tags", "tag", "tags", true, FAULT_NULL, 1, BSON_K_NULL},
		{"tags", "tag", "tags", true, FAULT_TYPE, 2, BSON_K_INT32},
		{"watchers", "user_id", "watchers", true, FAULT_ELEMENT_NULL, 0, BSON_K_NULL},
		{"watchers", "user_id", "watchers", true, FAULT_ELEMENT_INVALID, 2, BSON_K_STRING},
		{"watchers", "user_id", "watchers", true, FAULT_ELEMENT_INVALID, 3, BSON_K_INT32},
	};
	assert_int_equal(conv_notes(x.conv, &n), sizeof expected / sizeof expected[0]);
	for (size_t i = 0; i < sizeof expected / sizeof expected[0]; i++) {
		assert_string_equal(n[i].table, expected[i].table);
		assert_string_equal(n[i].path, expected[i].path);
		assert_int_equal(n[i].is_reject, expected[i].is_reject);
		assert_int_equal(n[i].fault, expected[i].fault);
		assert_int_equal(n[i].ordinal, expected[i].ordinal);
		assert_int_equal(n[i].value.kind, expected[i].kind);
		if (expected[i].column == NULL)
			assert_null(n[i].column);
		else
			assert_string_equal(n[i].column, expected[i].column);
	}
	/* elements inside a rejected element are read and rejected with it; what it holds is not called left behind
	 */
	assert_int_equal(counted(&x, LEDGER_ELEMENTS, "marks", "posts"), 4);
	assert_int_equal(counted(&x, LEDGER_ELEMENT_REJECTED_DOC, "marks", "posts"), 2);
	assert_int_equal(counted(&x, LEDGER_ELEMENTS, "comments", "posts"), 4);
	assert_int_equal(ledger_sum(x.ledger, LEDGER_UNMAPPED, NULL), 0);
	assert_int_equal(counted(&x, LEDGER_IS_INVALID, "comments", "likes"), 1);
	done(&x);
}

static void a_rejected_document_leaves_nothing_but_its_elements(void **state)
{
	struct fixture x;
	const struct conv_note *n;
	use(&x, world, "posts");
	assert_int_equal(
		convert(&x, "{\"_id\":" OID("11") ",\"title\":\"t\",\"tags\":[\"a\"],\"watchers\":[" OID("12") "]}"),
		FAULT_OK);
	/* the fault comes last, after rows of every other table */
	assert_int_equal(
		convert(&x, "{\"_id\":" OID("12") ",\"title\":\"t\",\"odd\":1,\"tags\":[\"b\",null],\"comments\":[{"
						  "\"_id\":" OID("12") ",\"body\":\"a\",\"marks\":[\"p\"]}],"
								       "\"watchers\":\"nobody\"}"),
		FAULT_SHAPE);
	assert_string_equal(x.where.table, "watchers");
	assert_string_equal(x.where.path, "watchers");
	assert_int_equal(x.where.kind, BSON_K_STRING);
	assert_int_equal(conv_notes(x.conv, &n), 0);
	assert_int_equal(counted(&x, LEDGER_ELEMENTS, "tags", "posts"), 3);
	assert_int_equal(counted(&x, LEDGER_ELEMENT_REJECTED_DOC, "tags", "posts"), 2);
	assert_int_equal(counted(&x, LEDGER_ELEMENTS, "marks", "posts"), 1);
	assert_int_equal(counted(&x, LEDGER_ELEMENT_REJECTED_DOC, "marks", "posts"), 1);
	assert_int_equal(ledger_sum(x.ledger, LEDGER_UNMAPPED, NULL), 0);
	assert_int_equal(counted(&x, LEDGER_IS_MISSING, "posts", "city"), 1);
	/* the fault of a column */
	assert_int_equal(convert(&x, "{\"_id\":" OID("13") ",\"watchers\":[" OID("12") "," OID("13") "]}"),
			 FAULT_MISSING);
	assert_string_equal(x.where.column, "title");
	assert_int_equal(counted(&x, LEDGER_ELEMENTS, "watchers", "posts"), 3);
	assert_int_equal(counted(&x, LEDGER_ELEMENT_REJECTED_DOC, "watchers", "posts"), 2);
	expect_rows(&x, "posts", UUID_11 "|t|NULL|NULL\n");
	expect_rows(&x, "tags", UUID_11 "|0|a\n");
	expect_rows(&x, "watchers", UUID_11 "|" UUID_12 "|L\n");
	expect_rows(&x, "comments", "");
	expect_rows(&x, "marks", "");
	done(&x);
}

static void a_value_in_place_of_a_sub_document(void **state)
{
	struct fixture x;
	use(&x, world, "posts");
	assert_int_equal(convert(&x, "{\"_id\":" OID("11") ",\"title\":\"t\",\"address\":\"Brno\"}"), FAULT_SHAPE);
	assert_string_equal(x.where.column, "city");
	assert_string_equal(x.where.path, "address.city");
	assert_int_equal(x.where.kind, BSON_K_STRING);
	assert_int_equal(convert(&x, "{\"_id\":" OID("11") ",\"title\":\"t\",\"address\":null}"), FAULT_OK);
	done(&x);
}

static void the_facts_of_a_fault(void **state)
{
	static const char yaml[] =
		"docrow: 1\nsource: { database: d }\ncollections:\n  - collection: c\n    table: t\n    columns:\n"
		"      - { name: id, from: _id, type: uuid, primary_key: true }\n"
		"      - { name: a, from: a, type: varchar(3), if_invalid: { path: b } }\n"
		"      - { name: d, type: date }\n"
		"      - { name: e, type: \"text[]\", bson: string }\n"
		"      - { name: f, type: inet, bson: string }\n";
	struct fixture x;
	use(&x, yaml, "c");
	assert_int_equal(convert(&x, "{\"_id\":" OID("11") ",\"a\":\"abcd\",\"b\":\"abcdefgh\"}"), FAULT_TOO_LONG);
	assert_string_equal(x.where.note, "length 4, at most 3");
	assert_string_equal(x.where.table, "t");
	assert_int_equal(convert(&x, "{\"_id\":" OID("11") ",\"a\":\"abcd\",\"b\":\"ok\"}"), FAULT_OK);
	expect_rows(&x, "t", UUID_11 "|ok|NULL|NULL|NULL\n");
	assert_int_equal(convert(&x, "{\"_id\":" OID("11") ",\"a\":5}"), FAULT_TYPE);
	assert_string_equal(x.where.note, "goes in by accept: number-text, json-text");
	assert_int_equal(convert(&x, "{\"_id\":" OID("11") ",\"d\":true}"), FAULT_TYPE);
	assert_string_equal(x.where.note, "type boolean would do");
	assert_int_equal(convert(&x, "{\"_id\":" OID("11") ",\"d\":[]}"), FAULT_TYPE);
	assert_string_equal(x.where.note, "type date[] or jsonb would do");
	assert_int_equal(convert(&x, "{\"_id\":" OID("11") ",\"e\":\"x\"}"), FAULT_TYPE);
	assert_string_equal(x.where.note, "no array");
	assert_int_equal(convert(&x, "{\"_id\":" OID("11") ",\"e\":[\"x\"," OID("12") "]}"), FAULT_TYPE);
	assert_string_equal(x.where.note, "element 1, BSON type objectId");
	assert_int_equal(convert(&x, "{\"_id\":" OID("11") ",\"f\":5}"), FAULT_TYPE);
	assert_string_equal(x.where.note, "the mapping's bson does not name it");
	done(&x);
}

static void keys_in_any_order(void **state)
{
	struct fixture x;
	use(&x, world, "posts");
	static const char *const docs[] = {
		"{\"a\":1,\"_id\":" OID("11") ",\"b\":1,\"title\":\"t\",\"owner\":" OID("12") ",\"c\":1}",
		"{\"owner\":" OID("12") ",\"title\":\"t\",\"c\":1,\"b\":1,\"_id\":" OID("11") ",\"a\":1}",
		"{\"title\":\"t\",\"_id\":" OID("11") ",\"owner\":" OID("12") "}",
		"{\"c\":1,\"title\":\"t\",\"_id\":" OID("11") ",\"owner\":" OID("12") ",\"titl\":0,\"titles\":0}",
	};
	for (int round = 0; round < 3; round++)
		for (size_t i = 0; i < 4; i++) {
			assert_int_equal(convert(&x, docs[i]), FAULT_OK);
			expect_rows(&x, "posts", UUID_11 "|t|NULL|" UUID_12 "\n");
		}
	assert_int_equal(counted(&x, LEDGER_UNMAPPED, "posts", "a"), 6);
	assert_int_equal(counted(&x, LEDGER_UNMAPPED, "posts", "c"), 9);
	assert_int_equal(counted(&x, LEDGER_UNMAPPED, "posts", "titl"), 3);
	assert_int_equal(counted(&x, LEDGER_UNMAPPED, "posts", "titles"), 3);
	done(&x);
}

static void a_key_that_stands_twice(void **state)
{
	static const char yaml[] =
		"docrow: 1\nsource: { database: d }\ncollections:\n  - collection: c\n    table: t\n"
		"    columns:\n"
		"      - { name: id, from: _id, type: uuid, primary_key: true }\n"
		"      - { name: a, from: a, type: jsonb, duplicate_keys: first }\n"
		"      - { name: b, from: b, type: jsonb, duplicate_keys: last }\n"
		"      - { name: c, from: c, type: integer, if_invalid: \"null\" }\n";
	struct fixture x;
	use(&x, yaml, "c");
	assert_int_equal(convert(&x, "{\"_id\":" OID("11") ",\"a\":1,\"b\":1,\"a\":2,\"b\":2,\"b\":3}"), FAULT_OK);
	expect_rows(&x, "t", UUID_11 "|1|3|NULL\n");
	assert_int_equal(convert(&x, "{\"_id\":" OID("11") ",\"c\":1,\"c\":1}"), FAULT_DUPLICATE_KEY);
	assert_string_equal(x.where.column, "c");
	assert_int_equal(convert(&x, "{\"_id\":" OID("11") ",\"_id\":" OID("12") "}"), FAULT_DUPLICATE_KEY);
	done(&x);
}

static void unmapped_fields_are_kept_or_refused(void **state)
{
	static const char yaml[] =
		"docrow: 1\nsource: { database: d }\ncollections:\n  - collection: c\n    table: t\n"
		"    unmapped: %s\n"
		"    columns:\n"
		"      - { name: id, from: _id, type: uuid, primary_key: true }\n"
		"      - { name: city, from: address.city, type: text }\n";
	char text[1024];
	struct fixture x;
	snprintf(text, sizeof text, yaml, "{ keep: rest }");
	use(&x, text, "c");
	assert_int_equal(convert(&x, "{\"x\":1,\"_id\":" OID(
					     "11") ",\"address\":{\"zip\":2,\"city\":\"a\"},\"y\":{\"z\":[]}}"),
			 FAULT_OK);
	assert_int_equal(convert(&x, "{\"_id\":" OID("11") ",\"address\":{\"city\":\"a\"}}"), FAULT_OK);
	expect_rows(&x, "t", UUID_11 "|a|{\"x\":1,\"address\":{\"zip\":2},\"y\":{\"z\":[]}}\n" UUID_11 "|a|NULL\n");
	assert_int_equal(counted(&x, LEDGER_KEPT, "c", "address.zip"), 1);
	done(&x);
	snprintf(text, sizeof text, yaml, "reject");
	use(&x, text, "c");
	assert_int_equal(convert(&x, "{\"_id\":" OID("11") ",\"address\":{\"city\":\"a\",\"zi\\tp\":2}}"),
			 FAULT_UNMAPPED);
	assert_string_equal(x.where.path, "address.zi\tp");
	assert_int_equal(x.where.kind, BSON_K_INT32);
	expect_rows(&x, "t", "");
	done(&x);
}

static void a_number_in_a_path_is_a_position_in_a_list(void **state)
{
	static const char yaml[] =
		"docrow: 1\nsource: { database: d }\ncollections:\n  - collection: c\n    table: t\n"
		"    unmapped: %s\n"
		"    columns:\n"
		"      - { name: id, from: _id, type: uuid, primary_key: true }\n"
		"      - { name: first, from: tags.0, type: text }\n"
		"      - { name: third, from: tags.2.name, type: text }\n"
		"      - { name: key, from: tags.size, type: integer, if_invalid: \"null\" }\n";
	char text[1024];
	struct fixture x;
	snprintf(text, sizeof text, yaml, "{ keep: rest }");
	use(&x, text, "c");
	assert_int_equal(convert(&x, "{\"_id\":" OID("11") ",\"tags\":[\"a\",\"b\",{\"name\":\"c\",\"x\":1},\"d\"]}"),
			 FAULT_OK);
	assert_int_equal(convert(&x, "{\"_id\":" OID("11") ",\"tags\":[]}"), FAULT_OK);
	assert_int_equal(convert(&x, "{\"_id\":" OID("11") ",\"tags\":{\"0\":\"k\",\"size\":1}}"), FAULT_OK);
	expect_rows(&x, "t",
		    UUID_11 "|a|c|NULL|{\"tags\":{\"1\":\"b\",\"2\":{\"x\":1},\"3\":\"d\"}}\n" UUID_11
			    "|NULL|NULL|NULL|NULL\n" UUID_11 "|k|NULL|1|NULL\n");
	/* in a list there is no key: two of the documents have none in place of `tags.size` */
	assert_int_equal(counted(&x, LEDGER_IS_INVALID, "t", "key"), 2);
	assert_int_equal(counted(&x, LEDGER_KEPT, "c", "tags"), 2);
	assert_int_equal(counted(&x, LEDGER_KEPT, "c", "tags.2.x"), 1);
	assert_int_equal(convert(&x, "{\"_id\":" OID("11") ",\"tags\":[\"a\",\"b\",\"c\"]}"), FAULT_SHAPE);
	assert_string_equal(x.where.column, "third");
	done(&x);
	snprintf(text, sizeof text, yaml, "reject");
	use(&x, text, "c");
	assert_int_equal(convert(&x, "{\"_id\":" OID("11") ",\"tags\":[\"a\",\"b\"]}"), FAULT_UNMAPPED);
	assert_string_equal(x.where.path, "tags");
	done(&x);
}

/* A few hostile names must not fill the memory of every worker. */
static void names_of_unmapped_fields_are_bounded(void **state)
{
	enum { NAME = 1 << 20 };
	struct fixture x;
	use(&x, world, "posts");
	char *json = malloc(NAME + 200);
	for (int i = 0; i < 12; i++) {
		int n = sprintf(json, "{\"_id\":" OID("11") ",\"title\":\"t\",\"%02d", i);
		memset(json + n, 'x', NAME);
		memcpy(json + n + NAME, "\":1}", 5);
		assert_int_equal(convert(&x, json), FAULT_OK);
	}
	free(json);
	assert_int_equal(ledger_sum(x.ledger, LEDGER_UNMAPPED, "posts"), 12);
	assert_true(counted(&x, LEDGER_UNMAPPED, "posts", "(other)") >= 8);
	done(&x);
}

/* The `_id` itself, references and elements of lists: each accepted value once, at the column that takes it. Copies
 * of the key (in child tables and pairs) are not counted again. */
static void an_accepted_id_is_counted_once(void **state)
{
	static const char yaml[] =
		"docrow: 1\npolicies: { accept: [hex-id, uuid-string, oid-document, dbref] }\ncollections:\n"
		"  - collection: c\n    table: t\n"
		"    columns:\n"
		"      - { name: id, from: _id, type: uuid, primary_key: true }\n"
		"      - { name: ref, type: uuid, references: t }\n"
		"      - { name: refs, type: \"uuid[]\", references: { table: t, constraint: false } }\n"
		"      - { name: plain, type: uuid }\n"
		"    children:\n"
		"      - { from: kids, table: kids, parent: t_id, ordinal: n,\n"
		"          columns: [{ name: ref, type: uuid, references: t }] }\n"
		"junctions:\n"
		"  - table: friends\n    left: { collection: c, path: friends, column: a }\n"
		"    right: { collection: c, column: b }\n";
#define HEX_11 "\"507F1f77bcf86cd799439011\""
#define HEX_12 "\"507f1f77bcf86cd799439012\""
	static const char *const ids[] = {HEX_11, "\"" UUID_11 "\"", "{\"$ref\":\"c\",\"$id\":" OID("11") "}"};
	struct fixture x;
	uint8_t uuid[UUID_SIZE];
	char json[600];
	use(&x, yaml, "c");
	for (size_t i = 0; i < sizeof ids / sizeof ids[0]; i++) {
		snprintf(json, sizeof json, "{\"_id\":%s,\"kids\":[{},{}],\"friends\":[" OID("12") "]}", ids[i]);
		assert_int_equal(convert(&x, json), FAULT_OK);
		assert_true(conv_id_needs_map(x.conv, uuid));
		assert_string_equal(conv_key_text(x.conv), UUID_11);
		assert_int_equal(counted(&x, LEDGER_ACCEPTED, "t", "id"), i + 1);
		assert_int_equal(ledger_sum(x.ledger, LEDGER_ACCEPTED, NULL), i + 1);
	}
	ledger_reset(x.ledger);
	assert_int_equal(convert(&x, "{\"_id\":" OID("11") ",\"ref\":" HEX_12 ",\"refs\":[" HEX_12 "," OID(
					     "13") "," HEX_11 "],\"plain\":\"" UUID_11 "\",\"kids\":[{\"ref\":" HEX_12
						   "}],\"friends\":[" HEX_12 "," OID("13") "," HEX_11 "]}"),
			 FAULT_OK);
	assert_int_equal(counted(&x, LEDGER_ACCEPTED, "t", "ref"), 1);
	assert_int_equal(counted(&x, LEDGER_ACCEPTED, "t", "refs"), 2);
	assert_int_equal(counted(&x, LEDGER_ACCEPTED, "t", "plain"), 0); /* a UUID is a UUID */
	assert_int_equal(counted(&x, LEDGER_ACCEPTED, "kids", "ref"), 1);
	assert_int_equal(counted(&x, LEDGER_ACCEPTED, "friends", "b"), 2);
	assert_int_equal(ledger_sum(x.ledger, LEDGER_ACCEPTED, NULL), 6);
	done(&x);
}

/* Copies of native keys count nothing either. */
static void a_copied_key_counts_nothing(void **state)
{
	static const char yaml[] = "docrow: 1\ncollections:\n  - collection: c\n    table: t\n    id: native\n"
				   "    columns: [{ name: id, from: _id, type: numeric, primary_key: true, accept: "
				   "[numeric-string] }]\n"
				   "    children:\n"
				   "      - { from: kids, table: kids, parent: t_id, ordinal: n,\n"
				   "          columns: [{ name: x, type: integer }] }\n";
	struct fixture x;
	use(&x, yaml, "c");
	assert_int_equal(convert(&x, "{\"_id\":\"-0\",\"kids\":[{}]}"), FAULT_OK);
	assert_int_equal(counted(&x, LEDGER_ACCEPTED, "t", "id"), 1);
	assert_int_equal(counted(&x, LEDGER_NEGATIVE_ZERO, "t", "id"), 1);
	assert_int_equal(ledger_sum(x.ledger, LEDGER_ACCEPTED, NULL), 1);
	assert_int_equal(ledger_sum(x.ledger, LEDGER_NEGATIVE_ZERO, NULL), 1);
	done(&x);
}

/* What was tried and did not go in is not counted. */
static void a_refused_value_leaves_no_count(void **state)
{
	static const char yaml[] =
		"docrow: 1\ncollections:\n  - collection: c\n    table: t\n    columns:\n"
		"      - { name: id, from: _id, type: uuid, primary_key: true }\n"
		"      - { name: a, type: \"integer[]\", accept: [numeric-string], if_invalid: [{ path: b }, null] "
		"}\n"
		"      - { name: c, type: varchar(2), encoding: strip, if_invalid: { literal: x } }\n";
	struct fixture x;
	use(&x, yaml, "c");
	assert_int_equal(convert(&x, "{\"_id\":" OID("11") ",\"a\":[\"1\",-0.0,\"x\"],\"b\":[\"1\",true],"
							   "\"c\":\"a\\u0000bc\"}"),
			 FAULT_OK);
	expect_rows(&x, "t", UUID_11 "|NULL|x\n");
	assert_int_equal(ledger_sum(x.ledger, LEDGER_ACCEPTED, NULL), 0);
	assert_int_equal(ledger_sum(x.ledger, LEDGER_NEGATIVE_ZERO, NULL), 0);
	assert_int_equal(ledger_sum(x.ledger, LEDGER_ENCODING, NULL), 0);
	assert_int_equal(counted(&x, LEDGER_IS_INVALID, "t", "a"), 1);
	assert_int_equal(counted(&x, LEDGER_DEFAULT_INVALID, "t", "c"), 1);
	done(&x);
}

static const char twice_yaml[] = "docrow: 1\npolicies: { duplicate_keys: %s, fold_case: true }\ncollections:\n  - "
				 "collection: c\n    table: t\n"
				 "    columns:\n"
				 "      - { name: id, from: _id, type: uuid, primary_key: true }\n"
				 "      - { name: a, type: integer, if_invalid: \"null\" }\n"
				 "      - { name: city, from: address.city, type: text }\n"
				 "      - { name: zip, from: address.zip.code, type: integer }\n"
				 "    children:\n"
				 "      - { from: address.tags, table: tags, parent: t_id, ordinal: n,\n"
				 "          columns: [{ name: tag, from: ., type: text }] }\n"
				 "junctions:\n"
				 "  - table: friends\n    left: { collection: c, path: friends, column: a }\n"
				 "    right: { collection: c, column: b }\n";

static void use_twice(struct fixture *x, const char *policy)
{
	char yaml[1200];
	snprintf(yaml, sizeof yaml, twice_yaml, policy);
	use(x, yaml, "c");
}

#define TWO_ADDRESSES                                                                                                \
	"{\"_id\":" OID("11") ",\"address\":{\"city\":\"x\",\"tags\":[\"p\"]},\"a\":1,"                              \
			      "\"address\":{\"zip\":{\"code\":5},\"tags\":[\"q\",\"r\"]}}"

/* Not only a field: also a sub-document or an array around it. */
static void whatever_stands_twice_is_a_reject(void **state)
{
	struct fixture x;
	use_twice(&x, "reject");
	assert_int_equal(convert(&x, TWO_ADDRESSES), FAULT_DUPLICATE_KEY);
	assert_string_equal(x.where.column, "city");
	assert_int_equal(convert(&x, "{\"_id\":" OID("11") ",\"a\":1,\"a\":1}"), FAULT_DUPLICATE_KEY);
	assert_int_equal(convert(&x, "{\"_id\":" OID("11") ",\"friends\":[],\"friends\":[" OID("12") "]}"),
			 FAULT_DUPLICATE_KEY);
	assert_string_equal(x.where.path, "friends");
	assert_int_equal(convert(&x, "{\"_id\":" OID("11") ",\"address\":null,\"address\":{\"zip\":{\"code\":5}}}"),
			 FAULT_DUPLICATE_KEY);
	/* what no column takes may stand as often as it likes */
	assert_int_equal(convert(&x, "{\"_id\":" OID("11") ",\"x\":1,\"x\":2,\"address\":{\"y\":1},\"address\":{}}"),
			 FAULT_OK);
	expect_rows(&x, "t", UUID_11 "|NULL|NULL|NULL\n");
	assert_int_equal(ledger_sum(x.ledger, LEDGER_DUPLICATE_KEYS, NULL), 0);
	done(&x);
}

static void first_and_last_of_two(void **state)
{
	static const struct {
		const char *policy, *row, *twice, *again, *tags;
	} cases[] = {{"first", UUID_11 "|1|x|NULL\n", UUID_11 "|1|NULL|1\n", UUID_11 "|NULL|NULL|NULL\n",
		      UUID_11 "|0|p\n"},
		     {"last", UUID_11 "|1|NULL|5\n", UUID_11 "|2|NULL|3\n", UUID_11 "|2|NULL|NULL\n",
		      UUID_11 "|0|q\n" UUID_11 "|1|r\n"}};
	for (size_t i = 0; i < 2; i++) {
		struct fixture x;
		const struct conv_note *n;
		use_twice(&x, cases[i].policy);
		assert_int_equal(convert(&x, TWO_ADDRESSES), FAULT_OK);
		expect_rows(&x, "t", cases[i].row);
		expect_rows(&x, "tags", cases[i].tags);
		assert_int_equal(counted(&x, LEDGER_DUPLICATE_KEYS, "t", "city"), 1);
		assert_int_equal(counted(&x, LEDGER_DUPLICATE_KEYS, "t", "zip"), 1);
		assert_int_equal(counted(&x, LEDGER_DUPLICATE_KEYS, "tags", "address.tags"), 1);
		assert_int_equal(counted(&x, LEDGER_ELEMENTS, "tags", "c"), i + 1);
		/* twice within twice, and three times */
		assert_int_equal(convert(&x,
					 "{\"_id\":" OID("11") ",\"address\":{\"zip\":{\"code\":1},\"zip\":{\"code\":"
							       "2}},\"a\":1,\"address\":{},\"a\":5,\"a\":2,"
							       "\"address\":{\"zip\":{\"code\":9},\"zip\":{\"code\":"
							       "3}}}"),
				 FAULT_OK);
		expect_rows(&x, "t", cases[i].twice);
		/* the one that counts may be invalid, and is the one that is listed */
		assert_int_equal(convert(&x, "{\"_id\":" OID("11") ",\"a\":\"first\",\"a\":2}"), FAULT_OK);
		expect_rows(&x, "t", cases[i].again);
		assert_int_equal(conv_notes(x.conv, &n), 1 - i);
		if (i == 0)
			assert_int_equal(n[0].value.kind, BSON_K_STRING);
		assert_int_equal(counted(&x, LEDGER_DUPLICATE_KEYS, "t", "a"), 2);
		/* a rejected document's elements are those of the array that counts */
		assert_int_equal(convert(&x,
					 "{\"_id\":" OID("11") ",\"address\":{\"city\":5,\"tags\":[1]},\"address\":{"
							       "\"city\":6,\"tags\":[2,3]}}"),
				 FAULT_TYPE);
		assert_int_equal(counted(&x, LEDGER_ELEMENT_REJECTED_DOC, "tags", "c"), i + 1);
		/* which of two is the document's own key cannot be chosen */
		assert_int_equal(convert(&x, "{\"_id\":" OID("11") ",\"_id\":" OID("11") "}"), FAULT_DUPLICATE_KEY);
		done(&x);
	}
}

/* However often a sub-document stands: linear in time, and nothing grows but with the mapping. */
static void sub_documents_without_number(void **state)
{
	enum { N = 200000 };
	struct fixture x;
	struct buf doc;
	use_twice(&x, "last");
	buf_init(&doc, 0);
	static const uint8_t head[] = "\0\0\0\0\x07_id\0............";
	static const uint8_t one[] = "\x03"
				     "address\0\x10\0\0\0\x0a"
				     "city\0\x0a"
				     "zip\0";
	buf_put(&doc, head, sizeof head - 1);
	for (int i = 0; i < N; i++)
		buf_put(&doc, one, sizeof one);
	buf_putc(&doc, '\0');
	uint32_t len = (uint32_t)doc.len;
	memcpy(doc.data, &len, 4);
	assert_int_equal(conv_document(x.conv, doc.data, doc.len, &x.where), FAULT_OK);
	struct mallinfo2 before = mallinfo2();
	assert_int_equal(conv_document(x.conv, doc.data, doc.len, &x.where), FAULT_OK);
	struct mallinfo2 after = mallinfo2();
	assert_int_equal(after.uordblks, before.uordblks);
	assert_true(before.uordblks < 64 << 20);
	assert_int_equal(counted(&x, LEDGER_DUPLICATE_KEYS, "t", "city"), 2);
	buf_free(&doc);
	done(&x);
}

static const char leftover_yaml[] =
	"docrow: 1\n%s\ncollections:\n  - collection: c\n    table: t\n    %s\n"
	"    columns:\n"
	"      - { name: id, from: _id, type: uuid, primary_key: true }\n"
	"      - { name: city, from: address.city, type: text }\n"
	"    children:\n"
	"      - from: items\n        table: items\n        parent: t_id\n        ordinal: n\n        %s\n"
	"        columns:\n"
	"          - { name: id, from: _id, type: uuid, primary_key: true }\n"
	"          - { name: name, from: product.name, type: text }\n"
	"        children:\n"
	"          - { from: parts, table: parts, parent: item_id, ordinal: n,\n"
	"              columns: [{ name: x, type: integer }] }\n"
	"          - { from: words, table: words, parent: item_id, ordinal: n,\n"
	"              columns: [{ name: word, from: ., type: text }] }\n";

static void use_leftover(struct fixture *x, const char *mapping, const char *collection, const char *child)
{
	char yaml[1500];
	snprintf(yaml, sizeof yaml, leftover_yaml, mapping, collection, child);
	use(x, yaml, "c");
}

#define LEFTOVERS                                                                                                    \
	"{\"_id\":" OID("11") ",\"k\":-0.0,\"address\":{\"zip\":1,\"city\":\"b\"},\"items\":[{\"_id\":" OID(         \
		"12") ",\"a\":1,\"product\":{\"name\":\"n\",\"b\":2},\"parts\":[{\"x\":1,\"y\":2},{}],\"words\":["   \
		      "\"w\"]},{\"_id\":" OID("13") "}]}"

/* Each table keeps what its own columns do not take. */
static void unmapped_fields_of_elements_are_kept(void **state)
{
	struct fixture x;
	use_leftover(&x, "unmapped: keep", "policies: { json: plain }", "unmapped: { keep: rest }");
	assert_int_equal(convert(&x, LEFTOVERS), FAULT_OK);
	expect_rows(&x, "t", UUID_11 "|b|{\"k\":-0.0,\"address\":{\"zip\":1}}\n");
	expect_rows(&x, "items",
		    UUID_11 "|0|" UUID_12 "|n|{\"a\":1,\"product\":{\"b\":2}}\n" UUID_11 "|1|" UUID_13
			    "|NULL|NULL\n");
	expect_rows(&x, "parts", UUID_12 "|0|1|{\"y\":2}\n" UUID_12 "|1|NULL|NULL\n");
	expect_rows(&x, "words", UUID_12 "|0|w\n");
	assert_int_equal(counted(&x, LEDGER_KEPT, "c", "k"), 1);
	assert_int_equal(counted(&x, LEDGER_KEPT, "c", "address.zip"), 1);
	assert_int_equal(counted(&x, LEDGER_KEPT, "c", "items.product.b"), 1);
	assert_int_equal(counted(&x, LEDGER_KEPT, "c", "items.parts.y"), 1);
	assert_int_equal(ledger_sum(x.ledger, LEDGER_KEPT, NULL), 5);
	assert_int_equal(ledger_sum(x.ledger, LEDGER_UNMAPPED, NULL), 0);
	assert_int_equal(counted(&x, LEDGER_NEGATIVE_ZERO, "t", "unmapped"), 1);
	done(&x);
	/* only at the collection's table */
	use_leftover(&x, "", "unmapped: keep", "unmapped: report");
	assert_int_equal(convert(&x, LEFTOVERS), FAULT_OK);
	expect_rows(&x, "items", UUID_11 "|0|" UUID_12 "|n\n" UUID_11 "|1|" UUID_13 "|NULL\n");
	assert_int_equal(ledger_sum(x.ledger, LEDGER_KEPT, NULL), 2);
	assert_int_equal(counted(&x, LEDGER_UNMAPPED, "c", "items.a"), 1);
	done(&x);
}

/* A field of the document makes it a reject; one of an element makes the element one. */
static void unmapped_fields_of_elements_are_refused(void **state)
{
	struct fixture x;
	const struct conv_note *n;
	use_leftover(&x, "unmapped: reject", "", "");
	assert_int_equal(convert(&x, LEFTOVERS), FAULT_UNMAPPED);
	assert_string_equal(x.where.path, "k");
	assert_int_equal(counted(&x, LEDGER_ELEMENT_REJECTED_DOC, "items", "c"), 2);
	assert_int_equal(convert(&x, "{\"_id\":" OID("11") ",\"items\":[{\"_id\":" OID(
					     "12") ",\"product\":{\"\\u0007\":2},"
						   "\"parts\":[{}]},{\"_id\":" OID("13") ",\"parts\":[{\"x\":1},"
											 "{\"y\":1}],\"words\":["
											 "\"w\"]}]}"),
			 FAULT_OK);
	expect_rows(&x, "t", UUID_11 "|NULL\n");
	expect_rows(&x, "items", UUID_11 "|1|" UUID_13 "|NULL\n");
	expect_rows(&x, "parts", UUID_13 "|0|1\n");
	expect_rows(&x, "words", UUID_13 "|0|w\n");
	assert_int_equal(conv_notes(x.conv, &n), 2);
	assert_int_equal(n[0].fault, FAULT_UNMAPPED);
	assert_string_equal(n[0].path, "items.product.\a");
	assert_string_equal(n[1].path, "items.parts.y");
	assert_int_equal(n[1].ordinal, 1);
	assert_true(n[1].is_reject);
	assert_int_equal(ledger_sum(x.ledger, LEDGER_UNMAPPED, NULL), 0);
	/* elements = rows + rejects + those of rejected documents and elements */
	assert_int_equal(counted(&x, LEDGER_ELEMENTS, "parts", "c"), 5);
	assert_int_equal(counted(&x, LEDGER_ELEMENT_REJECTED_DOC, "parts", "c"), 3);
	done(&x);
}

/* The column of unmapped: keep holds what the collection's policies make of it. */
static void kept_fields_follow_the_policies(void **state)
{
	static const char *const policies[] = {"", "policies: { duplicate_keys: last }",
					       "policies: { duplicate_keys: first, json: canonical }"};
	static const char *const rows[] = {NULL, UUID_11 "|NULL|{\"a\":2}\n",
					   UUID_11 "|NULL|{\"a\":{\"$numberInt\":\"1\"}}\n"};
	for (size_t i = 0; i < 3; i++) {
		struct fixture x;
		use_leftover(&x, policies[i], "unmapped: keep", "");
		enum fault f = convert(&x, "{\"_id\":" OID("11") ",\"a\":1,\"a\":2}");
		assert_int_equal(f, i == 0 ? FAULT_DUPLICATE_KEY : FAULT_OK);
		if (i == 0)
			assert_string_equal(x.where.column, "unmapped");
		else
			expect_rows(&x, "t", rows[i]);
		assert_int_equal(counted(&x, LEDGER_DUPLICATE_KEYS, "t", "unmapped"), i > 0);
		done(&x);
	}
}

static void labels_of_mended_and_folded_texts(void **state)
{
	static const char yaml[] =
		"docrow: 1\nenums: [{ name: mood, labels: [sad, OK, Ok] }]\n"
		"policies: { labels: { fine: sad, gut: sad, Gut: OK, x: sad }, fold_case: true, encoding: strip }\n"
		"collections:\n  - collection: c\n    table: t\n    columns:\n"
		"      - { name: id, from: _id, type: uuid, primary_key: true }\n"
		"      - { name: m, type: mood }\n"
		"      - { name: s, type: text, labels: { M: Male } }\n"
		"      - { name: l, type: \"mood[]\", fold_case: false, labels: {} }\n";
	struct fixture x;
	use(&x, yaml, "c");
	assert_int_equal(convert(&x, "{\"_id\":" OID("11") ",\"m\":\"s\\u0000ad\",\"s\":\"M\\u0000\"}"), FAULT_OK);
	assert_int_equal(convert(&x, "{\"_id\":" OID("11") ",\"m\":\"FINE\",\"s\":\"m\"}"), FAULT_OK);
	assert_int_equal(convert(&x, "{\"_id\":" OID("11") ",\"m\":\"x\",\"s\":\"\\u0000other\"}"), FAULT_OK);
	expect_rows(&x, "t", UUID_11 "|sad|Male|NULL\n" UUID_11 "|sad|Male|NULL\n" UUID_11 "|sad|other|NULL\n");
	assert_int_equal(counted(&x, LEDGER_ENCODING, "t", "m"), 1);
	assert_int_equal(counted(&x, LEDGER_ENCODING, "t", "s"), 2);
	assert_int_equal(counted(&x, LEDGER_LABELLED, "t", "m"), 1);
	assert_int_equal(counted(&x, LEDGER_LABELLED, "t", "s"), 1);
	assert_int_equal(counted(&x, LEDGER_FOLDED, "t", "m"), 1);
	assert_int_equal(counted(&x, LEDGER_FOLDED, "t", "s"), 1);
	/* what folds to two labels is neither; a column's own policies win */
	assert_int_equal(convert(&x, "{\"_id\":" OID("11") ",\"m\":\"oK\"}"), FAULT_LABEL);
	assert_int_equal(convert(&x, "{\"_id\":" OID("11") ",\"m\":\"GUT\"}"), FAULT_LABEL);
	assert_int_equal(convert(&x, "{\"_id\":" OID("11") ",\"l\":[\"fine\"]}"), FAULT_LABEL);
	assert_int_equal(convert(&x, "{\"_id\":" OID("11") ",\"l\":[\"sad\",{\"$undefined\":true},null]}"), FAULT_OK);
	assert_int_equal(counted(&x, LEDGER_IS_UNDEFINED, "t", "l"), 1);
	done(&x);
}

static void every_kind_of_id(void **state)
{
	static const char *const ids[] = {
		"null",
		"true",
		"false",
		"1",
		"2.5",
		"\"\"",
		"\"1\"",
		"{}",
		"{\"a\":1,\"b\":2}",
		"{\"b\":2,\"a\":1}",
		"{\"$minKey\":1}",
		"{\"$maxKey\":1}",
		"{\"$undefined\":true}",
		"{\"$date\":{\"$numberLong\":\"5\"}}",
		"{\"$timestamp\":{\"t\":1,\"i\":1}}",
		"{\"$binary\":{\"base64\":\"AQI=\",\"subType\":\"00\"}}",
		"{\"$numberDecimal\":\"1E+400\"}",
		"{\"$code\":\"f()\"}",
		"{\"$regularExpression\":{\"pattern\":\"a\",\"options\":\"\"}}",
		"\"507f1f77bcf86cd799439011\"",
	};
	enum { N = sizeof ids / sizeof ids[0] };
	struct fixture x;
	char keys[N][UUID_TEXT_SIZE], json[300];
	uint8_t uuid[UUID_SIZE];
	use(&x, world, "users");
	for (int i = 0; i < N; i++) {
		snprintf(json, sizeof json, "{\"name\":\"n\",\"_id\":%s}", ids[i]);
		assert_int_equal(convert(&x, json), FAULT_OK);
		assert_true(conv_id_needs_map(x.conv, uuid));
		id_uuid_format(uuid, keys[i]);
		assert_int_equal(keys[i][14], '5');
		assert_string_equal(conv_key_text(x.conv), keys[i]);
		for (int k = 0; k < i; k++)
			assert_string_not_equal(keys[i], keys[k]);
		rowbuf_reset(conv_rows(x.conv, 0));
	}
	assert_int_equal(counted(&x, LEDGER_ID_MAPPED, "users", ""), N);
	/* what MongoDB holds equal is one key */
	assert_int_equal(convert(&x, "{\"_id\":{\"$numberDecimal\":\"1.00\"}}"), FAULT_OK);
	assert_string_equal(conv_key_text(x.conv), keys[3]);
	assert_int_equal(convert(&x, "{\"_id\":" OID("11") "}"), FAULT_OK);
	assert_false(conv_id_needs_map(x.conv, uuid));
	assert_int_equal(convert(&x, "{\"name\":\"n\"}"), FAULT_NO_ID);
	assert_int_equal(conv_id(x.conv).kind, 0);
	assert_null(conv_key_text(x.conv));
	done(&x);
}

static void references_follow_the_referred_rule(void **state)
{
	static const char yaml[] =
		"docrow: 1\nsource: { database: d }\ncollections:\n"
		"  - collection: odd\n    table: odd\n    columns:\n"
		"      - { name: id, from: _id, type: uuid, primary_key: true }\n"
		"  - collection: byname\n    table: byname\n    id: text\n    columns:\n"
		"      - { name: id, from: _id, type: text, primary_key: true }\n"
		"  - collection: hex\n    table: hex\n    id: objectid-string\n    columns:\n"
		"      - { name: id, from: _id, type: uuid, primary_key: true }\n"
		"  - collection: c\n    table: t\n    columns:\n"
		"      - { name: id, from: _id, type: uuid, primary_key: true }\n"
		"      - { name: a, from: a, type: uuid, references: { table: odd } }\n"
		"      - { name: b, from: b, type: text, references: { table: byname } }\n"
		"      - { name: c, from: c, type: uuid, references: { table: hex } }\n"
		"      - { name: d, from: d, type: uuid, accept: [any-id], references: { table: odd } }\n";
	struct fixture x;
	uint8_t uuid[UUID_SIZE];
	char five[UUID_TEXT_SIZE];
	use(&x, yaml, "odd");
	assert_int_equal(convert(&x, "{\"_id\":5}"), FAULT_OK);
	snprintf(five, sizeof five, "%s", conv_key_text(x.conv));
	done(&x);
	use(&x, yaml, "c");
	assert_int_equal(convert(&x, "{\"_id\":" OID("11") ",\"a\":" OID("12") ",\"b\":" OID(
					     "13") ",\"c\":\"507F1F77BCF86CD799439014\"}"),
			 FAULT_OK);
	expect_rows(&x, "t", UUID_11 "|" UUID_12 "|507f1f77bcf86cd799439013|" UUID_14 "|NULL\n");
	/* no text is bent into a UUID unless that is asked for */
	assert_int_equal(convert(&x, "{\"_id\":" OID("11") ",\"a\":\"507f1f77bcf86cd799439012\"}"), FAULT_TYPE);
	assert_int_equal(convert(&x, "{\"_id\":" OID("11") ",\"c\":\"nobody\"}"), FAULT_FORMAT);
	assert_int_equal(convert(&x, "{\"_id\":" OID("11") ",\"b\":5}"), FAULT_TYPE);
	assert_int_equal(convert(&x, "{\"_id\":" OID("11") ",\"d\":5}"), FAULT_OK);
	char row[200];
	snprintf(row, sizeof row, UUID_11 "|NULL|NULL|NULL|%s\n", five);
	expect_rows(&x, "t", row);
	done(&x);
	use(&x, yaml, "hex");
	assert_int_equal(convert(&x, "{\"_id\":\"507f1f77bcf86cd799439011\"}"), FAULT_OK);
	assert_false(conv_id_needs_map(x.conv, uuid));
	assert_int_equal(convert(&x, "{\"_id\":\"507F1F77BCF86CD799439011\"}"), FAULT_OK);
	assert_true(conv_id_needs_map(x.conv, uuid)); /* its spelling cannot be told from the key */
	expect_rows(&x, "hex", UUID_11 "\n" UUID_11 "\n");
	done(&x);
}

static void keys_as_text(void **state)
{
	static const char *const types[][3] = {
		{"bigint", "{\"$numberLong\":\"-42\"}", "-42"},
		{"text", "\"k\"", "k"},
		{"numeric", "{\"$numberDecimal\":\"-12345.0670\"}", "-12345.0670"},
		{"numeric", "{\"$numberDecimal\":\"1E-5\"}", "0.00001"},
		{"double precision", "{\"$numberDouble\":\"2.5\"}", "2.5"},
		{"timestamptz", "{\"$date\":{\"$numberLong\":\"1700000000123\"}}", "2023-11-14T22:13:20.123Z"},
		{"jsonb", "{\"a\":1}", "{\"a\":1}"},
		{"boolean", "true", "true"},
	};
	for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
		struct fixture x;
		char yaml[512], json[200];
		snprintf(yaml, sizeof yaml,
			 "docrow: 1\nsource: { database: d }\ncollections:\n  - collection: c\n    table: t\n"
			 "    id: native\n    columns: [ { name: id, from: _id, type: %s, primary_key: true } ]\n",
			 types[i][0]);
		use(&x, yaml, "c");
		snprintf(json, sizeof json, "{\"_id\":%s}", types[i][1]);
		assert_int_equal(convert(&x, json), FAULT_OK);
		assert_string_equal(conv_key_text(x.conv), types[i][2]);
		done(&x);
	}
}

static void literals_that_do_not_read_are_told(void **state)
{
	static const char yaml[] =
		"docrow: 1\nsource: { database: d }\ncollections:\n  - collection: c\n    table: t\n    columns:\n"
		"      - { name: id, from: _id, type: uuid, primary_key: true }\n"
		"      - { name: a, from: a, type: interval, if_missing: \"two days\" }\n"
		"      - { name: b, from: b, type: inet, if_null: \"10.0.0.1\" }\n";
	struct fixture x;
	struct buf report;
	buf_init(&report, 0);
	use(&x, yaml, "c");
	assert_false(conv_check(x.p, CONV_NEWEST_SERVER, &report));
	assert_string_equal(buf_cstr(&report),
			    "test:8:9: if_missing: \"two days\" is no value of column \"a\" of type interval\n");
	buf_free(&report);
	done(&x);
}

/* numeric has infinities from PostgreSQL 14 on; NaN always. As a value and as a literal. */
static void infinities_of_old_servers(void **state)
{
	static const char yaml[] =
		"docrow: 1\nsource: { database: d }\ncollections:\n  - collection: c\n    table: t\n    columns:\n"
		"      - { name: id, from: _id, type: uuid, primary_key: true }\n"
		"      - { name: a, from: a, type: numeric, accept: [numeric-string] }\n"
		"      - { name: b, from: b, type: numeric, if_missing: Infinity }\n"
		"      - { name: c, from: c, type: numeric, if_missing: NaN }\n";
	static const char *const infinite[] = {"{\"$numberDouble\":\"Infinity\"}",
					       "{\"$numberDecimal\":\"-Infinity\"}", "\"-infinity\""};
	struct fixture x;
	struct buf report;
	char json[200];
	buf_init(&report, 0);
	use(&x, yaml, "c");
	assert_true(conv_check(x.p, 140000, &report));
	assert_false(conv_check(x.p, 130014, &report));
	assert_string_equal(buf_cstr(&report),
			    "test:9:9: if_missing: \"Infinity\" is no value of column \"b\" of type numeric\n");
	for (size_t i = 0; i < sizeof infinite / sizeof infinite[0]; i++) {
		snprintf(json, sizeof json, "{\"_id\":" OID("11") ",\"a\":%s,\"b\":1,\"c\":1}", infinite[i]);
		conv_set_server_version(x.conv, 130014);
		assert_int_equal(convert(&x, json), FAULT_RANGE);
		assert_string_equal(x.where.note, "infinity needs PostgreSQL 14");
		conv_set_server_version(x.conv, 140000);
		assert_int_equal(convert(&x, json), FAULT_OK);
	}
	conv_set_server_version(x.conv, 130014);
	assert_int_equal(convert(&x, "{\"_id\":" OID("11") ",\"a\":{\"$numberDouble\":\"NaN\"},\"b\":1,\"c\":1}"),
			 FAULT_OK);
	buf_free(&report);
	done(&x);
}

/* As walk.c hashes keys. */
static size_t hash_of_key(const char *key, size_t len)
{
	uint64_t h = UINT64_C(0xcbf29ce484222325) ^ len;
	for (size_t i = 0; i < len; i++)
		h = (h ^ (uint8_t)key[i]) * UINT64_C(0x100000001b3);
	return (size_t)(h ^ h >> 29);
}

/* Keys made to meet in one place of the table: counted all the same, most of them together. */
static void unmapped_keys_that_meet(void **state)
{
	enum { KEYS = 600 };
	struct fixture x;
	char key[16];
	bson_oid_t oid;
	use(&x, world, "users");
	x.doc = bson_new();
	bson_oid_init_from_string(&oid, "507f1f77bcf86cd799439011");
	BSON_APPEND_OID(x.doc, "_id", &oid);
	for (unsigned i = 0, n = 0; n < KEYS; i++) {
		int len = snprintf(key, sizeof key, "%x", i);
		if ((hash_of_key(key, (size_t)len) & 2047) != 5)
			continue;
		bson_append_int32(x.doc, key, len, 1);
		n++;
	}
	BSON_APPEND_UTF8(x.doc, "name", "n");
	for (int i = 0; i < 3; i++)
		assert_int_equal(conv_document(x.conv, bson_get_data(x.doc), x.doc->len, &x.where), FAULT_OK);
	assert_int_equal(ledger_sum(x.ledger, LEDGER_UNMAPPED, "users"), 3 * KEYS);
	assert_in_range(counted(&x, LEDGER_UNMAPPED, "users", "(other)"), 3 * (KEYS - 200), 3 * (KEYS - 60));
	expect_rows(&x, "users", UUID_11 "|n\n" UUID_11 "|n\n" UUID_11 "|n\n");
	done(&x);
}

/* --- depth --- */

#define DEPTH 100000

/* {_id, v: {a: [[... ]]}} of DEPTH levels. */
static uint8_t *deep_document(size_t *n)
{
	static const uint8_t head[] = "\7_id\0aaaaaaaaaaaa\3v";
	size_t inner = 5 + 8 * (size_t)DEPTH, at = 4 + sizeof head;
	*n = at + inner + 1;
	uint8_t *doc = calloc(1, *n);
	int32_t size = (int32_t)*n;
	memcpy(doc, &size, 4);
	memcpy(doc + 4, head, sizeof head);
	for (size_t i = 0; i <= DEPTH; i++) {
		size = (int32_t)(inner - 8 * i);
		memcpy(doc + at + 7 * i, &size, 4);
		if (i < DEPTH)
			memcpy(doc + at + 7 * i + 4, i % 2 ? "\4a" : "\3a", 3);
	}
	return doc;
}

/* On a stack that recursion would leave at once. */
static void *convert_deep(void *arg)
{
	static const char *const columns[] = {
		"{ name: v, type: jsonb }",
		"{ name: v, type: jsonb, json: canonical, encoding: strip, duplicate_keys: last }",
		"{ name: v, type: text, accept: [json-text] }",
		"{ name: v, type: \"json[]\", accept: [scalar-array] }",
		"{ name: v, type: uuid, accept: [any-id, dbref, oid-document] }",
		"{ name: w, from: v.a.b.c, type: text, if_invalid: \"null\" }",
		"{ name: w, type: text }",
	};
	size_t n;
	uint8_t *doc = deep_document(&n);
	for (size_t i = 0; i < sizeof columns / sizeof columns[0]; i++) {
		struct fixture x;
		char yaml[512];
		snprintf(yaml, sizeof yaml,
			 "docrow: 1\ncollections:\n  - collection: c\n    unmapped: keep\n"
			 "    columns:\n      - { name: id, from: _id, type: uuid, primary_key: true }\n      - %s\n",
			 columns[i]);
		use(&x, yaml, "c");
		enum fault f = conv_document(x.conv, doc, n, &x.where);
		if (f != FAULT_OK && f != FAULT_SHAPE)
			*(int *)arg = (int)i + 1;
		conv_key_text(x.conv);
		done(&x);
	}
	free(doc);
	return NULL;
}

static void depth_costs_no_stack(void **state)
{
	pthread_attr_t attr;
	pthread_t thread;
	int failed = 0;
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, 256 * 1024);
	assert_int_equal(pthread_create(&thread, &attr, convert_deep, &failed), 0);
	pthread_join(thread, NULL);
	pthread_attr_destroy(&attr);
	assert_int_equal(failed, 0);
}

/* --- ids --- */

/* Different to MongoDB, so different as keys, by every rule that takes them. */
static void different_ids_are_different_keys(void **state)
{
	static const char *const ids[] = {
		"null",
		"true",
		"false",
		"0",
		"1",
		"-1",
		"{\"$numberLong\":\"9007199254740993\"}",
		"{\"$numberDouble\":\"9007199254740992.0\"}",
		"{\"$numberDecimal\":\"0.1\"}",
		"{\"$numberDouble\":\"0.1\"}",
		"{\"$numberDouble\":\"5e-324\"}",
		"{\"$numberDouble\":\"NaN\"}",
		"{\"$numberDouble\":\"Infinity\"}",
		"{\"$numberDouble\":\"-Infinity\"}",
		"\"\"",
		"\"0\"",
		"\"null\"",
		"\"true\"",
		"\"a\"",
		"\"A\"",
		"\"a \"",
		"\" a\"",
		"\"a\\u0000\"",
		"\"\\u0000\"",
		"\"é\"",
		"\"e\\u0301\"",
		"\"507f1f77bcf86cd79943901\"",
		"\"507f1f77bcf86cd799439012\"",
		"\"507f1f77bcf86cd7994390123\"",
		OID("11"),
		OID("13"),
		"{}",
		"[]",
		"{\"a\":1}",
		"{\"a\":\"1\"}",
		"{\"a\":1,\"b\":2}",
		"{\"b\":2,\"a\":1}",
		"{\"a\":null}",
		"{\"a\":{}}",
		"{\"a\":[]}",
		"[1]",
		"[[1]]",
		"{\"0\":1}",
		"{\"$date\":{\"$numberLong\":\"0\"}}",
		"{\"$date\":{\"$numberLong\":\"1\"}}",
		"{\"$timestamp\":{\"t\":0,\"i\":1}}",
		"{\"$timestamp\":{\"t\":1,\"i\":0}}",
		"{\"$binary\":{\"base64\":\"\",\"subType\":\"00\"}}",
		"{\"$binary\":{\"base64\":\"AA==\",\"subType\":\"00\"}}",
		"{\"$binary\":{\"base64\":\"AA==\",\"subType\":\"05\"}}",
		"{\"$binary\":{\"base64\":\"ABEiM0RVZneImaq7zN3u/w==\",\"subType\":\"04\"}}",
		"{\"$binary\":{\"base64\":\"ABEiM0RVZneImaq7zN3u/w==\",\"subType\":\"00\"}}",
		"{\"$binary\":{\"base64\":\"ABEiM0RVZneImaq7zN3u/w==\",\"subType\":\"03\"}}",
		"\"00112233-4455-6677-8899-aabbccddeefe\"",
		"{\"$regularExpression\":{\"pattern\":\"a\",\"options\":\"\"}}",
		"{\"$regularExpression\":{\"pattern\":\"a\",\"options\":\"i\"}}",
		"{\"$code\":\"a\"}",
		"{\"$code\":\"a\",\"$scope\":{}}",
		"{\"$minKey\":1}",
		"{\"$maxKey\":1}",
		"{\"$ref\":\"c\",\"$id\":1}",
		"{\"$ref\":\"d\",\"$id\":1}",
	};
	enum { N = sizeof ids / sizeof ids[0] };
	static const char *const rules[] = {"uuidv7", "string-uuid", "objectid-string"};
	for (size_t r = 0; r < sizeof rules / sizeof rules[0]; r++) {
		struct fixture x;
		char yaml[256], json[300];
		const uint8_t *keys[N];
		snprintf(yaml, sizeof yaml,
			 "docrow: 1\ncollections:\n  - collection: c\n    id: %s\n"
			 "    columns: [{ name: id, from: _id, type: uuid, primary_key: true }]\n",
			 rules[r]);
		use(&x, yaml, "c");
		for (size_t i = 0; i < N; i++) {
			snprintf(json, sizeof json, "{\"_id\":%s}", ids[i]);
			if (convert(&x, json) != FAULT_OK)
				fail_msg("%s is refused", ids[i]);
		}
		for (size_t i = 0; i < N; i++) {
			keys[i] = conv_rows(x.conv, 0)->buf.data + i * (2 + 4 + UUID_SIZE) + 6;
			for (size_t k = 0; k < i; k++)
				if (memcmp(keys[k], keys[i], UUID_SIZE) == 0)
					fail_msg("%s: %s and %s have one key", rules[r], ids[k], ids[i]);
		}
		done(&x);
	}
}

static const char big_document[] = "{\"_id\":" OID(
	"11") ",\"title\":\"title\",\"odd\":{\"x\":[1,2,{}]},\"address\":{\"city\":\"Brno\",\"zip\":1},"
	      "\"comments\":[{\"_id\":" OID("12") ",\"likes\":3,\"body\":\"a\",\"marks\":[\"p\",\"q\"]},{\"_"
						  "id\":" OID("13") ",\"body\":\"b\",\"marks\":[null]}],\"tags\":["
								    "\"x\",5],\"watchers\":[" OID("12") "," OID(
									    "13") ",null,{}]}";

static void corrupt_bytes_never_hurt(void **state)
{
	struct fixture x;
	use(&x, world, "posts");
	assert_int_equal(convert(&x, big_document), FAULT_OK);
	size_t len = x.doc->len;
	uint8_t *copy = malloc(len);
	unsigned seed = 1, corrupt = 0;
	for (size_t n = 0; n < len; n++) {
		uint8_t *cut = malloc(n + 1); /* of its own, so that a sanitizer sees a read behind it */
		memcpy(cut, bson_get_data(x.doc), n);
		assert_int_equal(conv_document(x.conv, cut, n, &x.where), FAULT_CORRUPT);
		free(cut);
	}
	for (int i = 0; i < 20000; i++) {
		memcpy(copy, bson_get_data(x.doc), len);
		for (int k = 0; k < 1 + i % 3; k++) {
			seed = seed * 1103515245 + 12345;
			copy[4 + (seed >> 8) % (len - 4)] = (uint8_t)(seed >> 3);
		}
		struct rowbuf_mark before = rowbuf_mark(conv_rows(x.conv, 0));
		enum fault f = conv_document(x.conv, copy, len, &x.where);
		corrupt += f == FAULT_CORRUPT;
		assert_int_equal(conv_rows(x.conv, 0)->rows - before.rows, f == FAULT_OK);
		conv_key_text(x.conv);
	}
	assert_true(corrupt > 100);
	free(copy);
	done(&x);
}

static void allocates_nothing(struct fixture *x, const char *json, enum fault expected)
{
	for (int i = 0; i < 10; i++)
		assert_int_equal(convert(x, json), expected);
	for (size_t i = 0; i < x->c->noutputs; i++)
		rowbuf_reset(conv_rows(x->conv, (int)i));
	struct mallinfo2 before = mallinfo2();
	for (int i = 0; i < 1000; i++) {
		assert_int_equal(conv_document(x->conv, bson_get_data(x->doc), x->doc->len, &x->where), expected);
		for (size_t o = 0; o < x->c->noutputs; o++)
			rowbuf_reset(conv_rows(x->conv, (int)o));
	}
	struct mallinfo2 after = mallinfo2();
	assert_int_equal(after.uordblks, before.uordblks);
	done(x);
}

static void steady_state_allocates_nothing(void **state)
{
	struct fixture x;
	use(&x, world, "posts");
	allocates_nothing(&x, big_document, FAULT_OK);
	use_leftover(&x, "unmapped: keep", "", "");
	allocates_nothing(&x, LEFTOVERS, FAULT_OK);
	use_leftover(&x, "unmapped: reject", "", "");
	allocates_nothing(&x, LEFTOVERS, FAULT_UNMAPPED);
	use_twice(&x, "last");
	allocates_nothing(&x, TWO_ADDRESSES, FAULT_OK);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_document_feeds_all_its_tables),
		cmocka_unit_test(the_other_side_of_a_junction),
		cmocka_unit_test(bad_elements_are_rejects_of_their_own),
		cmocka_unit_test(a_rejected_document_leaves_nothing_but_its_elements),
		cmocka_unit_test(a_value_in_place_of_a_sub_document),
		cmocka_unit_test(the_facts_of_a_fault),
		cmocka_unit_test(keys_in_any_order),
		cmocka_unit_test(a_key_that_stands_twice),
		cmocka_unit_test(unmapped_fields_are_kept_or_refused),
		cmocka_unit_test(a_number_in_a_path_is_a_position_in_a_list),
		cmocka_unit_test(names_of_unmapped_fields_are_bounded),
		cmocka_unit_test(an_accepted_id_is_counted_once),
		cmocka_unit_test(a_copied_key_counts_nothing),
		cmocka_unit_test(a_refused_value_leaves_no_count),
		cmocka_unit_test(whatever_stands_twice_is_a_reject),
		cmocka_unit_test(first_and_last_of_two),
		cmocka_unit_test(sub_documents_without_number),
		cmocka_unit_test(unmapped_fields_of_elements_are_kept),
		cmocka_unit_test(unmapped_fields_of_elements_are_refused),
		cmocka_unit_test(kept_fields_follow_the_policies),
		cmocka_unit_test(labels_of_mended_and_folded_texts),
		cmocka_unit_test(every_kind_of_id),
		cmocka_unit_test(references_follow_the_referred_rule),
		cmocka_unit_test(keys_as_text),
		cmocka_unit_test(literals_that_do_not_read_are_told),
		cmocka_unit_test(infinities_of_old_servers),
		cmocka_unit_test(unmapped_keys_that_meet),
		cmocka_unit_test(depth_costs_no_stack),
		cmocka_unit_test(different_ids_are_different_keys),
		cmocka_unit_test(corrupt_bytes_never_hurt),
		cmocka_unit_test(steady_state_allocates_nothing),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

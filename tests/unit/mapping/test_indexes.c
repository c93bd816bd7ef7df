/* Verdicts on indexes of MongoDB: documents as listIndexes gives them → verdict and first statement. */
#include "extjson_read.h"
#include "indexes.h"
#include "mapping_test.h"

static const char *const text = "docrow: 1\n"
				"enums: [{ name: mood, labels: [happy, sad] }]\n"
				"collections:\n"
				"  - collection: c\n"
				"    table: t\n"
				"    columns:\n"
				"      - { name: id, from: _id, type: uuid, primary_key: true }\n"
				"      - { name: a, type: text }\n"
				"      - { name: b, type: integer, not_null: true }\n"
				"      - { name: k, type: text }\n"
				"      - { name: ci, type: citext }\n"
				"      - { name: m, type: mood }\n"
				"      - { name: f, type: numeric }\n"
				"      - { name: on, type: date }\n"
				"      - { name: j, type: json }\n"
				"      - { name: d, type: jsonb }\n"
				"      - { name: l, type: \"integer[]\" }\n"
				"    indexes:\n"
				"      - { name: own, columns: [k], unique: true, nulls_not_distinct: true }\n"
				"      - { name: some, columns: [f], where: f > 1 }\n";

struct row {
	const char *json;
	const char *verdict;
	const char
		*sql; /* behind CREATE ... INDEX "name" ON "public"."t" USING; a note where there is no statement */
};

static const struct row rows[] = {
	{"{\"key\": {\"_id\": 1}}", "there", NULL},
	{"{\"key\": {\"_id\": \"hashed\"}}", "there", NULL},
	{"{\"key\": {\"a\": 1}}", "made", "btree (\"a\")"},
	{"{\"key\": {\"a\": {\"$numberDouble\": \"-1.0\"}}}", "made", "btree (\"a\")"},
	{"{\"key\": {\"a\": -1, \"b\": 1}}", "made", "btree (\"a\" DESC, \"b\")"},
	{"{\"key\": {\"b\": 1}, \"unique\": true}", "made", "btree (\"b\")"},
	{"{\"key\": {\"b\": 1}, \"sparse\": true}", "made", "btree (\"b\")"},
	{"{\"key\": {\"a\": 1}, \"unique\": true}", "instead", "btree (\"a\") NULLS NOT DISTINCT"},
	{"{\"key\": {\"a\": 1}, \"unique\": true, \"sparse\": true}", "instead",
	 "btree (\"a\") WHERE \"a\" IS NOT NULL"},
	{"{\"key\": {\"k\": 1}, \"unique\": true}", "there", NULL},
	{"{\"key\": {\"f\": 1}}", "made", "btree (\"f\")"},
	{"{\"key\": {\"ci\": 1}, \"collation\": {\"locale\": \"en\", \"strength\": 2}}", "made", "btree (\"ci\")"},
	{"{\"key\": {\"b\": 1}, \"collation\": {\"locale\": \"en\", \"strength\": 1}}", "made", "btree (\"b\")"},
	{"{\"key\": {\"a\": 1}, \"collation\": {\"locale\": \"simple\"}}", "made", "btree (\"a\")"},
	{"{\"key\": {\"a\": 1}, \"collation\": {\"locale\": \"en\", \"strength\": 1}}", "instead",
	 "btree (lower(\"a\"))"},
	{"{\"key\": {\"j\": 1}}", "not_made", "j is of type json, which has no order and no equality to index"},
	{"{\"key\": {\"x\": 1}}", "not_made", "x is in no column of the mapping"},
	{"{\"key\": {\"x\": 1, \"a\": 1}}", "not_made", "x is in no column of the mapping"},
	{"{\"key\": {\"a\": 1, \"x\": 1}}", "instead", "btree (\"a\")"},
	{"{\"key\": {\"d\": 1}}", "instead", "gin (\"d\" jsonb_path_ops)"},
	{"{\"key\": {\"d.x.y\": 1}}", "suggested", "btree ((\"d\" #>> '{\"x\",\"y\"}'))"},
	{"{\"key\": {\"l\": 1}}", "instead", "gin (\"l\")"},
	{"{\"key\": {\"$**\": 1}}", "instead", "gin (\"d\" jsonb_path_ops)"},
	{"{\"key\": {\"x.$**\": 1}}", "not_made",
	 "no jsonb column holds what it covers; give the columns that are searched indexes of their own in the "
	 "mapping"},
	{"{\"key\": {\"a\": \"columnstore\"}}", "not_made", "docrow does not know this kind of index"},
	{"{\"key\": {}}", "not_made", "docrow does not know this kind of index"},
	{"{\"key\": 1}", "not_made", "docrow does not know this kind of index"},
	{"{}", "not_made", "docrow does not know this kind of index"},
	{"{\"key\": {\"_fts\": \"text\", \"_ftsx\": 1}, \"weights\": {\"a\": 1}, \"default_language\": \"xx\"}",
	 "instead", "gin ((to_tsvector('simple'::regconfig, coalesce(\"a\", ''))))"},
	{"{\"key\": {\"_fts\": \"text\", \"_ftsx\": 1}, \"weights\": {\"b\": 1}}", "not_made",
	 "b is no text and left out of the search"},
	/* filters */
	{"{\"key\": {\"a\": 1}, \"partialFilterExpression\": {\"b\": {\"$gt\": 1, \"$lte\": 2.5}}}", "made",
	 "btree (\"a\") WHERE (\"b\" > 1 AND \"b\" <= 2.5)"},
	{"{\"key\": {\"a\": 1}, \"partialFilterExpression\": {\"$or\": [{\"m\": \"sad\"}, {\"b\": {\"$in\": [1, "
	 "2]}}]}}",
	 "made", "btree (\"a\") WHERE (((\"m\" = 'sad') OR (\"b\" IN (1, 2))))"},
	{"{\"key\": {\"a\": 1}, \"partialFilterExpression\": {\"a\": {\"$exists\": false}}}", "made",
	 "btree (\"a\") WHERE (\"a\" IS NULL)"},
	{"{\"key\": {\"a\": 1}, \"partialFilterExpression\": {\"a\": {\"$type\": \"string\"}}}", "made",
	 "btree (\"a\") WHERE (\"a\" IS NOT NULL)"},
	{"{\"key\": {\"a\": 1}, \"partialFilterExpression\": {\"on\": {\"$gte\": {\"$date\": {\"$numberLong\": "
	 "\"86400000\"}}}}}",
	 "made", "btree (\"a\") WHERE (\"on\" >= '1970-01-02T00:00:00.000Z')"},
	/* what no column says exactly */
	{"{\"key\": {\"a\": 1}, \"partialFilterExpression\": {\"m\": \"angry\"}}", "instead", "btree (\"a\")"},
	{"{\"key\": {\"a\": 1}, \"partialFilterExpression\": {\"on\": {\"$gte\": {\"$date\": {\"$numberLong\": "
	 "\"1\"}}}}}",
	 "instead", "btree (\"a\")"},
	{"{\"key\": {\"a\": 1}, \"partialFilterExpression\": {\"b\": {\"$gt\": {\"$numberDouble\": \"NaN\"}}}}",
	 "instead", "btree (\"a\")"},
	{"{\"key\": {\"a\": 1}, \"partialFilterExpression\": {\"a\": 1}}", "instead", "btree (\"a\")"},
	{"{\"key\": {\"a\": 1}, \"partialFilterExpression\": {\"l\": 1}}", "instead", "btree (\"a\")"},
	{"{\"key\": {\"a\": 1}, \"partialFilterExpression\": {}}", "instead", "btree (\"a\")"},
	{"{\"key\": {\"a\": 1}, \"unique\": true, \"partialFilterExpression\": {\"x\": 1}}", "not_made",
	 "x of the filter is in no single column of the table; unique without the filter would refuse what MongoDB "
	 "takes"},
};

static bool no_more(struct extjson_input *in)
{
	(void)in;
	return false;
}

static void read_json(const char *json, struct buf *out)
{
	struct extjson_reader *r = extjson_reader_new();
	struct extjson_input in = {
		.p = (const uint8_t *)json, .end = (const uint8_t *)json + strlen(json), .more = no_more};
	const char *trouble = "";
	buf_init(out, 1u << 20);
	if (!extjson_read(r, &in, out, &trouble))
		fail_msg("%s: %s", json, trouble);
	extjson_reader_free(r);
}

static void check_row(const struct plan *p, const struct row *row)
{
	struct index_verdicts *v = index_verdicts_new(p, "a test");
	struct buf doc;
	read_json(row->json, &doc);
	index_verdicts_add(v, 0, doc.data, doc.len);
	const struct index_verdict *x = &v->list[0];
	const char *got = x->nstatements > 0 ? strstr(x->statements[0].sql, " USING ")
			  : x->nnotes > 0    ? x->notes[0]
					     : NULL;
	if (x->nstatements > 0)
		got = got != NULL ? got + 7 : x->statements[0].sql;
	if (strcmp(index_fate_word(x->fate), row->verdict) != 0 ||
	    (row->sql != NULL && (got == NULL || strcmp(got, row->sql) != 0)))
		fail_msg("%s: %s, %s", row->json, index_fate_word(x->fate), got != NULL ? got : "nothing");
	buf_free(&doc);
	index_verdicts_free(v);
}

static void test_verdicts(void **state)
{
	struct mapping *m = parse(text);
	struct plan *p = compile(m);
	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
		check_row(p, &rows[i]);
	plan_free(p);
	mapping_free(m);
}

/* Documents that are cut, or spoilt anywhere, are read without harm. */
static void test_cut_documents(void **state)
{
	struct mapping *m = parse(text);
	struct plan *p = compile(m);
	struct buf doc;
	(void)state;
	read_json("{\"key\": {\"a\": 1}, \"weights\": {\"a\": 2}, \"name\": \"n\", \"collation\": {\"locale\": "
		  "\"en\"}, "
		  "\"partialFilterExpression\": {\"$and\": [{\"b\": {\"$in\": [1, 2]}}]}}",
		  &doc);
	struct index_verdicts *v = index_verdicts_new(p, "a test");
	for (size_t n = 0; n <= doc.len; n++) {
		uint8_t *exact = mem_alloc(n + 1);
		memcpy(exact, doc.data, n);
		index_verdicts_add(v, 0, exact, n);
		free(exact);
	}
	assert_int_equal(v->n, doc.len + 1);
	assert_int_equal(v->made[INDEX_INSTEAD], 1); /* the whole one: its collation is another */
	assert_int_equal(v->made[INDEX_NOT_MADE], doc.len);
	for (size_t n = 4; n + 1 < doc.len; n++) {
		uint8_t *spoilt = mem_alloc(doc.len);
		memcpy(spoilt, doc.data, doc.len);
		spoilt[n] ^= 0x55;
		index_verdicts_add(v, 0, spoilt, doc.len);
		free(spoilt);
	}
	assert_int_equal(v->n, 2 * doc.len - 4);
	index_verdicts_free(v);
	buf_free(&doc);
	plan_free(p);
	mapping_free(m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_verdicts),
		cmocka_unit_test(test_cut_documents),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

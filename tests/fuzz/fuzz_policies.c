/* fuzz_policies.c - documents of any bytes through a mapping of any types and policies.
 *
 * Input: a byte of policies, two of words of `accept`, one for the id rule, the number of columns, a type for each;
 * then documents, one after the other. Every mapping made of it is a good one. What the converter leaves must be
 * whole: COPY rows that can be walked, nothing of a rejected document, every element accounted for.
 */
#include <stdio.h>
#include <stdlib.h>

#include "convert.h"
#include "fuzz.h"

#define COLUMNS 8

static const char *const types[] = {
	"boolean",      "smallint",     "integer",  "bigint",         "real",      "double precision",
	"numeric",      "numeric(9,2)", "text",     "varchar(9)",     "char(5)",   "name",
	"uuid",         "bytea",        "date",     "time(3)",        "time",      "timestamp",
	"timestamp(3)", "timestamptz",  "interval", "json",           "jsonb",     "inet",
	"vector(2)",    "vector",       "mood",     "text[]",         "integer[]", "mood[]",
	"jsonb[]",      "numeric[][]",  "uuid[]",   "timestamp(0)[]", "bytea[][]", "boolean[]",
};
static const char *const words[] = {"hex-id",         "iso-string",  "epoch-ms",    "epoch-s",      "timestamp",
				    "numeric-string", "bool-string", "bool-number", "uuid-string",  "oid-document",
				    "dbref",          "number-text", "json-text",   "scalar-array", "any-id"};
static const struct {
	const char *id, *type;
} ids[] = {{"uuidv7", "uuid"}, {"string-uuid", "uuid"}, {"objectid-string", "uuid"}, {"text", "text"},
	   {"bytea", "bytea"}, {"native", "bigint"},    {"native", "jsonb"},         {"native", "text"}};
static const char *const paths[COLUMNS] = {"a", "b", "c", "d.e", "d.f.g", "l.0", "l.1.x", "h"};

#define OF(list, i) (list)[(i) % (sizeof(list) / sizeof *(list))]

static void must(bool ok, const char *what)
{
	if (ok)
		return;
	fprintf(stderr, "%s\n", what);
	abort();
}

/* --- the mapping --- */

static void put_policies(struct buf *yaml, uint8_t bits, unsigned accept)
{
	static const char *const encodings[] = {"reject", "replace", "strip", "replace"};
	static const char *const duplicates[] = {"reject", "first", "last", "reject"};
	static const char *const jsons[] = {"relaxed", "canonical", "plain", "relaxed"};
	buf_printf(yaml, "policies: { encoding: %s, duplicate_keys: %s, json: %s", encodings[bits & 3],
		   duplicates[bits >> 2 & 3], jsons[bits >> 4 & 3]);
	if ((bits & 0x40) != 0)
		buf_puts(yaml, ", if_invalid: null, fold_case: true, uuid_order: java");
	buf_puts(yaml, ", accept: [");
	const char *comma = "";
	for (size_t i = 0; i < sizeof words / sizeof *words; i++)
		if ((accept >> i & 1) != 0) {
			buf_printf(yaml, "%s%s", comma, words[i]);
			comma = ", ";
		}
	buf_printf(yaml, "] }\nunmapped: %s\n", (bits & 0x80) != 0 ? "keep" : "report");
}

static void put_columns(struct buf *yaml, const uint8_t *kinds, size_t n)
{
	for (size_t i = 0; i < n; i++)
		buf_printf(yaml, "      - { name: c%zu, from: %s, type: \"%s\"%s }\n", i, paths[i],
			   OF(types, kinds[i]), kinds[i] > 200 ? ", not_null: true" : "");
}

static void put_mapping(struct buf *yaml, const uint8_t *head, const uint8_t *kinds, size_t n)
{
	const char *id = OF(ids, head[3]).id, *type = OF(ids, head[3]).type;
	buf_puts(yaml, "docrow: 1\nenums: [{ name: mood, labels: [sad, ok, \"Very Happy\"] }]\n");
	put_policies(yaml, head[0], (unsigned)(head[1] | head[2] << 8));
	buf_printf(yaml, "collections:\n  - collection: k\n    id: %s\n    columns:\n", id);
	buf_printf(yaml, "      - { name: id, from: _id, type: %s, primary_key: true }\n", type);
	put_columns(yaml, kinds, n);
	buf_printf(yaml,
		   "    children:\n      - { from: items, table: items, parent: up, ordinal: n, columns: [\n"
		   "          { name: key, from: _id, type: uuid, primary_key: true }, { name: x, type: \"%s\" }],\n"
		   "          children: [{ from: more, table: more, parent: up, ordinal: n, columns: [\n"
		   "            { name: v, from: ., type: \"%s\" }] }] }\n",
		   OF(types, kinds[0]), OF(types, kinds[n - 1]));
	buf_puts(yaml, "junctions:\n  - table: pairs\n    left: { collection: k, path: left, column: l }\n"
		       "    right: { collection: k, path: d.right, column: r }\n");
}

/* --- what must hold --- */

/* Rows as COPY has them: a count of fields, each with its length. Returns how many. */
static uint64_t walk_rows(const struct rowbuf *rb)
{
	if (rb->buf.len == 0)
		return 0;
	const uint8_t *p = rb->buf.data, *end = p + rb->buf.len;
	uint64_t rows = 0;
	for (; p < end; rows++) {
		must(end - p >= 2, "a row without a head");
		int fields = p[0] << 8 | p[1];
		for (p += 2; fields > 0; fields--) {
			must(end - p >= 4, "a field without a length");
			uint32_t n = (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
			p += 4;
			must(n == UINT32_MAX || (size_t)(end - p) >= n, "a field beyond the rows");
			p += n == UINT32_MAX ? 0 : n;
		}
	}
	return rows;
}

static void look_at(struct conv *c, const struct plan_collection *pc, const uint8_t *doc, size_t len, uint64_t *bad)
{
	struct conv_where where = {0};
	size_t before[16];
	for (size_t o = 0; o < pc->noutputs; o++)
		before[o] = conv_rows(c, (int)o)->buf.len;
	enum fault f = conv_document(c, doc, len, &where);
	for (size_t o = 0; f != FAULT_OK && o < pc->noutputs; o++)
		must(conv_rows(c, (int)o)->buf.len == before[o], "rows of a rejected document");
	const struct conv_note *notes;
	size_t n = conv_notes(c, &notes);
	for (size_t i = 0; i < n; i++)
		*bad += notes[i].is_reject;
	conv_key_text(c);
}

static void convert(const struct plan *p, const uint8_t *data, size_t size)
{
	const struct plan_collection *pc = &p->collections[0];
	struct ledger *ledger = ledger_new();
	struct conv *c = conv_new(p, 0, ledger);
	uint64_t rows = 0, bad = 0;
	while (size >= 5) {
		uint32_t len;
		memcpy(&len, data, 4);
		len = len < 5 || len > size ? (uint32_t)size : len;
		look_at(c, pc, data, len, &bad);
		data += len;
		size -= len;
	}
	for (size_t o = 0; o < pc->noutputs; o++)
		rows += walk_rows(conv_rows(c, (int)o)) * (pc->outputs[o].kind != PLAN_OUTPUT_MAIN);
	must(ledger_sum(ledger, LEDGER_ELEMENTS, NULL) ==
		     rows + bad + ledger_sum(ledger, LEDGER_ELEMENT_REJECTED_DOC, NULL),
	     "elements are not accounted for");
	conv_free(c);
	ledger_free(ledger);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	enum { HEAD = 5 };
	struct mapping *m;
	struct plan *p;
	struct buf yaml, report;
	struct err err;
	size_t n = size > HEAD ? data[4] % COLUMNS + 1u : 0;
	if (n == 0 || size < HEAD + n)
		return 0;
	buf_init(&yaml, 0);
	buf_init(&report, 0);
	put_mapping(&yaml, data, data + HEAD, n);
	bool ok = mapping_parse(&m, "fuzz.yaml", buf_cstr(&yaml), yaml.len, &report, &err);
	if (!ok)
		fputs(buf_cstr(&report), stderr);
	must(ok, buf_cstr(&yaml));
	must(plan_build(&p, m, &report, &err), buf_cstr(&report));
	convert(p, data + HEAD + n, size - HEAD - n);
	plan_free(p);
	mapping_free(m);
	buf_free(&report);
	buf_free(&yaml);
	return 0;
}

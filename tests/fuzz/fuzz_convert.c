/* fuzz_convert.c - a document of any bytes into columns of every type, child tables and a junction: either a fault
 * and nothing is left, or one row of well-formed fields.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "convert.h"
#include "fuzz.h"

static const char mapping_text[] =
	"docrow: 1\n"
	"policies: { if_invalid: \"null\" }\n"
	"enums: [{ name: mood, labels: [sad, ok] }]\n"
	"domains: [{ name: short, type: varchar(3), not_null: true }]\n"
	"collections:\n"
	"  - collection: c\n"
	"    unmapped: keep\n"
	"    columns:\n"
	"      - { name: id, from: _id, type: uuid, primary_key: true, accept: [hex-id, oid-document, dbref] }\n"
	"      - { name: b, from: v, type: boolean, accept: [bool-string, bool-number] }\n"
	"      - { name: i2, from: v, type: smallint, accept: [numeric-string, bool-number] }\n"
	"      - { name: i8, from: v, type: bigint, accept: [numeric-string] }\n"
	"      - { name: f4, from: v, type: real, accept: [numeric-string] }\n"
	"      - { name: f8, from: v, type: double precision, accept: [numeric-string] }\n"
	"      - { name: n, from: v, type: numeric, accept: [numeric-string] }\n"
	"      - { name: n2, from: v, type: \"numeric(6,2)\", accept: [numeric-string] }\n"
	"      - { name: t, from: v, type: text, accept: [number-text, json-text], encoding: replace }\n"
	"      - { name: t3, from: v, type: varchar(3), encoding: strip, labels: { x: y } }\n"
	"      - { name: c3, from: v, type: char(3) }\n"
	"      - { name: nm, from: v, type: name }\n"
	"      - { name: u, from: v, type: uuid, accept: [any-id, hex-id, dbref], uuid_order: java }\n"
	"      - { name: by, from: v, type: bytea }\n"
	"      - { name: d, from: v, type: date, accept: [iso-string, epoch-ms, timestamp] }\n"
	"      - { name: tz, from: v, type: timestamptz(2), accept: [iso-string, epoch-s] }\n"
	"      - { name: ti, from: v, type: time, accept: [iso-string] }\n"
	"      - { name: iv, from: v, type: interval, accept: [iso-string] }\n"
	"      - { name: js, from: v, type: json, json: plain, duplicate_keys: first }\n"
	"      - { name: jb, from: v, type: jsonb, encoding: strip, duplicate_keys: last }\n"
	"      - { name: ip, from: v, type: inet }\n"
	"      - { name: m, from: v, type: mood, fold_case: true, encoding: strip }\n"
	"      - { name: ve, from: v, type: vector, accept: [scalar-array] }\n"
	"      - { name: ta, from: v, type: \"text[]\", accept: [scalar-array] }\n"
	"      - { name: ia, from: v, type: \"integer[][]\" }\n"
	"      - { name: ja, from: v, type: \"jsonb[]\" }\n"
	"      - { name: sa, from: v, type: \"short[]\" }\n"
	"      - { name: deep, from: v.a.b, type: text, if_missing: [{ path: v.a.c }, x] }\n"
	"      - { name: first, from: v.0, type: text }\n"
	"    children:\n"
	"      - from: v\n"
	"        table: rows\n"
	"        parent: c_id\n"
	"        ordinal: n\n"
	"        columns: [{ name: a, type: text }, { name: b, type: integer, not_null: true, if_invalid: 7 }]\n"
	"junctions:\n"
	"  - table: pairs\n"
	"    left:  { collection: c, path: w, column: l, accept: [hex-id, dbref, any-id, scalar-array] }\n"
	"    right: { collection: c, column: r }\n";

static void must(bool ok, const char *what)
{
	if (ok)
		return;
	fprintf(stderr, "%s\n", what);
	abort();
}

static const struct plan *the_plan(void)
{
	static struct mapping *m;
	static struct plan *p;
	struct err err;
	if (p == NULL)
		must(mapping_parse(&m, "fuzz", mapping_text, strlen(mapping_text), NULL, &err) &&
			     plan_build(&p, m, NULL, &err),
		     "the mapping has errors");
	return p;
}

static uint32_t be(const uint8_t *p, size_t n)
{
	uint32_t x = 0;
	for (size_t i = 0; i < n; i++)
		x = x << 8 | p[i];
	return x;
}

/* Rows of COPY BINARY: counts and lengths fill the buffer to its end. */
static void check_rows(const struct rowbuf *rb, uint32_t ncolumns)
{
	const uint8_t *p = rb->buf.data, *end = p + rb->buf.len;
	uint64_t rows = 0;
	for (; p < end; rows++) {
		must(end - p >= 2 && be(p, 2) == ncolumns, "the row has another number of columns");
		p += 2;
		for (uint32_t i = 0; i < ncolumns; i++) {
			must(end - p >= 4, "a field is cut off");
			uint32_t len = be(p, 4);
			p += 4;
			must(len == UINT32_MAX || len <= (size_t)(end - p), "a field is longer than the row");
			p += len == UINT32_MAX ? 0 : len;
		}
	}
	must(rows == rb->rows, "another number of rows");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct plan *p = the_plan();
	const struct plan_collection *k = &p->collections[0];
	struct ledger *ledger = ledger_new();
	struct conv *c = conv_new(p, 0, ledger);
	struct conv_where where;
	const struct conv_note *notes;
	for (int again = 0; again < 2; again++) { /* what one document leaves behind does not hurt the next */
		enum fault f = conv_document(c, data, size, &where);
		must(conv_rows(c, 0)->rows == (f == FAULT_OK ? 1 : 0), "not one row");
		for (size_t o = 0; o < k->noutputs; o++) {
			bool pairs = k->outputs[o].kind == PLAN_OUTPUT_PAIRS;
			check_rows(conv_rows(c, (int)o), pairs ? 3 : (uint32_t)k->outputs[o].ncolumns);
			must(f == FAULT_OK || conv_rows(c, (int)o)->rows == 0, "rows of a rejected document");
			rowbuf_reset(conv_rows(c, (int)o));
		}
		must(f != FAULT_CORRUPT || conv_notes(c, &notes) == 0, "notes of bytes that are no document");
		conv_key_text(c);
	}
	conv_free(c);
	ledger_free(ledger);
	return 0;
}

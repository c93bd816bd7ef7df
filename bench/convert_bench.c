/* convert_bench.c - what convert costs, on one thread, documents in cache. Usage: convert_bench [seconds [part]].
 *
 *   rows    documents of 750 bytes and 22 fields, NextCRM-like, that become rows of 22 columns: ns a document
 *   jsonb   sub-documents of 1 kB into jsonb: MB of BSON a second
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "convert.h"

#define DOCUMENTS 256

static const char mapping_text[] =
	"docrow: 1\n"
	"source: { database: bench }\n"
	"enums:\n"
	"  - { name: Status, labels: [ACTIVE, INACTIVE, PENDING, CLOSED] }\n"
	"collections:\n"
	"  - collection: Users\n"
	"    table: Users\n"
	"    columns:\n"
	"      - { name: id, from: _id, type: uuid, primary_key: true }\n"
	"  - collection: c\n"
	"    table: t\n"
	"    columns:\n"
	"      - { name: id, from: _id, type: uuid, primary_key: true }\n"
	"      - { name: __v, from: __v, type: integer, not_null: true }\n"
	"      - { name: createdAt, from: createdAt, type: timestamp(3), not_null: true, if_missing: $id_time }\n"
	"      - { name: updatedAt, from: updatedAt, type: timestamp(3) }\n"
	"      - { name: createdBy, from: createdBy, type: uuid }\n"
	"      - { name: updatedBy, from: updatedBy, type: uuid }\n"
	"      - { name: assigned_to, from: assigned_to, type: uuid, references: { table: Users } }\n"
	"      - { name: status, from: status, type: Status }\n"
	"      - { name: active, from: active, type: boolean }\n"
	"      - { name: name, from: name, type: text, not_null: true }\n"
	"      - { name: email, from: email, type: text }\n"
	"      - { name: phone, from: phone, type: text }\n"
	"      - { name: city, from: city, type: text }\n"
	"      - { name: street, from: street, type: text }\n"
	"      - { name: country, from: country, type: text }\n"
	"      - { name: description, from: description, type: text }\n"
	"      - { name: website, from: website, type: text }\n"
	"      - { name: budget, from: budget, type: bigint }\n"
	"      - { name: revenue, from: revenue, type: double precision }\n"
	"      - { name: vat, from: vat, type: text }\n"
	"      - { name: tags, from: tags, type: \"text[]\" }\n"
	"      - { name: member_of, from: member_of, type: text }\n"
	"  - collection: d\n"
	"    table: d\n"
	"    columns:\n"
	"      - { name: id, from: _id, type: uuid, primary_key: true }\n"
	"      - { name: sub, from: sub, type: jsonb }\n";

/* --- documents --- */

static void put_field(struct buf *b, uint8_t kind, const char *key, const void *data, size_t n)
{
	buf_putc(b, (char)kind);
	buf_put(b, key, strlen(key) + 1);
	buf_put(b, data, n);
}

static void put_string(struct buf *b, const char *key, const char *s)
{
	uint32_t n = (uint32_t)strlen(s) + 1;
	put_field(b, BSON_K_STRING, key, &n, 4);
	buf_put(b, s, n);
}

static void put_i64(struct buf *b, uint8_t kind, const char *key, int64_t v)
{
	put_field(b, kind, key, &v, 8);
}

static void put_oid(struct buf *b, const char *key, uint32_t i)
{
	uint8_t oid[12] = {0x65, 0xa0, (uint8_t)(i >> 8), (uint8_t)i, 1, 2, 3, 4, 5, 6, 7, (uint8_t)i};
	put_field(b, BSON_K_OBJECTID, key, oid, 12);
}

static size_t open_document(struct buf *b)
{
	static const uint8_t length[4];
	buf_put(b, length, 4);
	return b->len - 4;
}

static void close_document(struct buf *b, size_t at)
{
	buf_putc(b, '\0');
	uint32_t n = (uint32_t)(b->len - at);
	memcpy(b->data + at, &n, 4);
}

static void put_document(struct buf *b, uint32_t i)
{
	static const char *const labels[] = {"ACTIVE", "INACTIVE", "PENDING", "CLOSED"};
	size_t at = open_document(b);
	double revenue = i * 12.5;
	bool yes = i % 2;
	put_oid(b, "_id", i);
	put_i64(b, BSON_K_INT64, "__v", i % 10);
	put_i64(b, BSON_K_DATE, "createdAt", 1700000000123 + i);
	put_i64(b, BSON_K_DATE, "updatedAt", 1700000100123 + i);
	put_oid(b, "createdBy", i + 1);
	put_oid(b, "updatedBy", i + 2);
	put_oid(b, "assigned_to", i + 3);
	put_string(b, "status", labels[i % 4]);
	put_field(b, BSON_K_BOOL, "active", &yes, 1);
	put_string(b, "name", "Příliš žluťoučký kůň, s.r.o.");
	put_string(b, "email", "accounts.department@example.com");
	put_string(b, "phone", "+420 123 456 789");
	put_string(b, "city", "Prague");
	put_string(b, "street", "Long Street of Many Numbers 1234/56");
	put_string(b, "country", "Czech Republic");
	put_string(b, "description",
		   "A customer since the beginning, buys much in autumn and asks for discounts; the "
		   "contact person changed twice, see the notes of last year.");
	put_string(b, "website", "https://www.example.com/about-us");
	put_i64(b, BSON_K_INT64, "budget", 1000000 + i);
	put_field(b, BSON_K_DOUBLE, "revenue", &revenue, 8);
	put_string(b, "vat", "CZ12345678");
	put_field(b, BSON_K_ARRAY, "tags", NULL, 0);
	size_t tags = open_document(b);
	put_string(b, "0", "vip");
	put_string(b, "1", "autumn");
	close_document(b, tags);
	put_string(b, "member_of", "Chamber");
	close_document(b, at);
}

/* A sub-document of 1 kB: texts, numbers, dates, ids, a list of texts, a list of sub-documents. */
static void put_sub_document(struct buf *b, uint32_t i)
{
	size_t at = open_document(b);
	int32_t count = (int32_t)i;
	double price = 19.9 + i, share = 0.125 * i;
	put_oid(b, "_id", i);
	put_string(b, "title", "Quarterly review of the Žižkov branch \"north\"");
	put_string(b, "body",
		   "The customer asks for a new offer: twelve seats from January on, the old price list, and a "
		   "discount of ten percent if the contract is signed before the end of the month.\n"
		   "Call back on Tuesday; the contact person changed twice, see the notes of last year.");
	put_i64(b, BSON_K_DATE, "createdAt", 1700000000123 + i);
	put_i64(b, BSON_K_DATE, "updatedAt", 1700000100123 + i);
	put_field(b, BSON_K_INT32, "count", &count, 4);
	put_i64(b, BSON_K_INT64, "budget", INT64_C(4000000000) + i);
	put_field(b, BSON_K_DOUBLE, "price", &price, 8);
	put_field(b, BSON_K_DOUBLE, "share", &share, 8);
	put_field(b, BSON_K_ARRAY, "tags", NULL, 0);
	size_t tags = open_document(b);
	put_string(b, "0", "vip");
	put_string(b, "1", "autumn");
	put_string(b, "2", "renewal");
	close_document(b, tags);
	put_field(b, BSON_K_ARRAY, "lines", NULL, 0);
	size_t lines = open_document(b);
	for (char n = '0'; n < '4'; n++) {
		put_field(b, BSON_K_DOCUMENT, (const char[]){n, '\0'}, NULL, 0);
		size_t line = open_document(b);
		put_oid(b, "product", i + 7);
		put_string(b, "name", "Seat, yearly, with support");
		put_field(b, BSON_K_INT32, "pieces", &count, 4);
		put_field(b, BSON_K_DOUBLE, "price", &price, 8);
		put_string(b, "note", "as agreed by telephone");
		close_document(b, line);
	}
	close_document(b, lines);
	put_string(b, "owner", "accounts.department@example.com");
	close_document(b, at);
}

static void put_outer_document(struct buf *b, uint32_t i)
{
	size_t at = open_document(b);
	put_oid(b, "_id", i);
	put_field(b, BSON_K_DOCUMENT, "sub", NULL, 0);
	put_sub_document(b, i);
	close_document(b, at);
}

/* --- the clock --- */

struct bench {
	struct buf docs;
	size_t offsets[DOCUMENTS + 1];
	struct conv *conv;
	uint64_t bytes_out;
};

/* CPU time of this thread: the machine may be busy with other things. */
static double cpu_seconds(void)
{
	struct timespec t;
	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static bool one_round(struct bench *b)
{
	struct conv_where where;
	for (int i = 0; i < DOCUMENTS; i++)
		if (conv_document(b->conv, b->docs.data + b->offsets[i], b->offsets[i + 1] - b->offsets[i], &where) !=
		    FAULT_OK) {
			printf("rejected: %s %s\n", where.column, where.note);
			return false;
		}
	b->bytes_out += conv_rows(b->conv, 0)->buf.len;
	rowbuf_reset(conv_rows(b->conv, 0));
	return true;
}

static double measure(struct bench *b, double seconds)
{
	uint64_t rounds = 0;
	double started = cpu_seconds(), best = 1e9, took = 0;
	while (took < seconds) {
		double from = cpu_seconds();
		if (!one_round(b))
			exit(1);
		double spent = cpu_seconds() - from;
		best = spent < best ? spent : best;
		rounds++;
		took = cpu_seconds() - started;
	}
	printf("document: %zu bytes; row: %llu bytes\n", b->docs.len / DOCUMENTS,
	       (unsigned long long)(b->bytes_out / (rounds * DOCUMENTS)));
	printf("mean %.0f ns, best round %.0f ns a document (%llu documents)\n",
	       took * 1e9 / ((double)rounds * DOCUMENTS), best * 1e9 / DOCUMENTS,
	       (unsigned long long)rounds * DOCUMENTS);
	return took / ((double)rounds * DOCUMENTS);
}

static double run_part(const struct plan *p, const char *collection, void (*put)(struct buf *, uint32_t),
		       double seconds)
{
	struct bench b = {0};
	buf_init(&b.docs, 0);
	for (uint32_t i = 0; i < DOCUMENTS; i++) {
		b.offsets[i] = b.docs.len;
		put(&b.docs, i);
	}
	b.offsets[DOCUMENTS] = b.docs.len;
	struct ledger *ledger = ledger_new();
	b.conv = conv_new(p, plan_find_collection(p, collection), ledger);
	double each = measure(&b, seconds);
	conv_free(b.conv);
	ledger_free(ledger);
	buf_free(&b.docs);
	return each;
}

static void run_jsonb(const struct plan *p, double seconds)
{
	struct buf one;
	buf_init(&one, 0);
	put_sub_document(&one, 1);
	double each = run_part(p, "d", put_outer_document, seconds);
	printf("sub-document: %zu bytes, %.0f MB/s\n", one.len, (double)one.len / each / 1e6);
	buf_free(&one);
}

int main(int argc, char **argv)
{
	struct mapping *m;
	struct plan *p;
	struct err err;
	double seconds = argc > 1 ? atof(argv[1]) : 1.0;
	if (!mapping_parse(&m, "bench", mapping_text, strlen(mapping_text), NULL, &err) ||
	    !plan_build(&p, m, NULL, &err)) {
		printf("%s\n%s\n", err.message, err.detail);
		return 1;
	}
	if (argc < 3 || strcmp(argv[2], "rows") == 0)
		run_part(p, "c", put_document, seconds);
	if (argc < 3 || strcmp(argv[2], "jsonb") == 0)
		run_jsonb(p, seconds);
	plan_free(p);
	mapping_free(m);
	return 0;
}

/* convert_bench.c - what convert costs: nanoseconds of CPU a document of 750 bytes and 22 fields, NextCRM-like, that
 * becomes one row of 22 columns. Usage: convert_bench [seconds]. The figure is of one thread, documents in cache.
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
	"      - { name: member_of, from: member_of, type: text }\n";

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

static void measure(struct bench *b, double seconds)
{
	uint64_t rounds = 0;
	double started = cpu_seconds(), best = 1e9, took = 0;
	while (took < seconds) {
		double from = cpu_seconds();
		if (!one_round(b))
			return;
		double spent = cpu_seconds() - from;
		best = spent < best ? spent : best;
		rounds++;
		took = cpu_seconds() - started;
	}
	printf("document: %zu bytes, 22 fields; row: %llu bytes\n", b->docs.len / DOCUMENTS,
	       (unsigned long long)(b->bytes_out / (rounds * DOCUMENTS)));
	printf("mean %.0f ns, best round %.0f ns a document (%llu documents)\n",
	       took * 1e9 / ((double)rounds * DOCUMENTS), best * 1e9 / DOCUMENTS,
	       (unsigned long long)rounds * DOCUMENTS);
}

int main(int argc, char **argv)
{
	struct bench b = {0};
	struct mapping *m;
	struct plan *p;
	struct err err;
	if (!mapping_parse(&m, "bench", mapping_text, strlen(mapping_text), NULL, &err) ||
	    !plan_build(&p, m, NULL, &err)) {
		printf("%s\n%s\n", err.message, err.detail);
		return 1;
	}
	buf_init(&b.docs, 0);
	for (uint32_t i = 0; i < DOCUMENTS; i++) {
		b.offsets[i] = b.docs.len;
		put_document(&b.docs, i);
	}
	b.offsets[DOCUMENTS] = b.docs.len;
	struct ledger *ledger = ledger_new();
	b.conv = conv_new(p, plan_find_collection(p, "c"), ledger);
	measure(&b, argc > 1 ? atof(argv[1]) : 1.0);
	conv_free(b.conv);
	ledger_free(ledger);
	plan_free(p);
	mapping_free(m);
	buf_free(&b.docs);
	return 0;
}

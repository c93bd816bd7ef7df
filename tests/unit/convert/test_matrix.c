/* Walks every cell of the conversion matrix: BSON types x PostgreSQL types, naturally and by every word of accept.
 *
 * For each cell the samples of the BSON type are converted:
 *   exact      all of them go in
 *   if         some do, some do not, and those that do not are faults of the value, never of its type
 *   by a word  without it all are refused (fault type); with it as `exact` or `if`
 *   no         all are refused whatever is accepted; the mapping's check says so and names a type that would do
 */
#include <bson/bson.h>
#include <stdio.h>
#include <stdlib.h>

#include "convert.h"
#include "matrix.h"
#include "text.h"

static int failures, cells;

/* --- samples --- */

struct sample {
	unsigned kind;
	const char *json; /* or the payload as hexadecimal, after ":" */
};

static const struct sample samples[] = {
	{BSON_K_DOUBLE, "{\"$numberDouble\":\"0.0\"}"},
	{BSON_K_DOUBLE, "{\"$numberDouble\":\"0.5\"}"},
	{BSON_K_DOUBLE, "{\"$numberDouble\":\"1.0\"}"},
	{BSON_K_DOUBLE, "{\"$numberDouble\":\"0.1\"}"},
	{BSON_K_DOUBLE, "{\"$numberDouble\":\"1.0e300\"}"},
	{BSON_K_DOUBLE, "{\"$numberDouble\":\"NaN\"}"},
	{BSON_K_DOUBLE, "{\"$numberDouble\":\"-Infinity\"}"},
	{BSON_K_STRING, "\"\""},
	{BSON_K_STRING, "\"12\""},
	{BSON_K_STRING, "\"true\""},
	{BSON_K_STRING, "\"sad\""},
	{BSON_K_STRING, "\"no number, no date, no label\""},
	{BSON_K_STRING, "\"a text of more than sixty-three bytes, which is what a name may have at most\""},
	{BSON_K_STRING, "\"nul\\u0000\""},
	{BSON_K_STRING, "\"507f1f77bcf86cd799439011\""},
	{BSON_K_STRING, "\"6ba7b810-9dad-11d1-80b4-00c04fd430c8\""},
	{BSON_K_STRING, "\"2026-11-25\""},
	{BSON_K_STRING, "\"2026-11-25T12:34:56.5Z\""},
	{BSON_K_STRING, "\"12:34\""},
	{BSON_K_STRING, "\"12:34:56.5\""},
	{BSON_K_STRING, "\"P1D\""},
	{BSON_K_STRING, "\"PT0.5S\""},
	{BSON_K_STRING, "\"192.168.0.1/24\""},
	{BSON_K_DOCUMENT, "{}"},
	{BSON_K_DOCUMENT, "{\"a\":1}"},
	{BSON_K_DOCUMENT, "{\"a\":\"nul\\u0000\"}"},
	{BSON_K_DOCUMENT, "{\"$ref\":\"c\",\"$id\":7}"},
	{BSON_K_DOCUMENT, "{\"$ref\":\"c\",\"$id\":{\"$oid\":\"507f1f77bcf86cd799439011\"}}"},
	/* {_str: "507f1f77bcf86cd799439011"} */
	{BSON_K_DOCUMENT, ":28000000 02 5f73747200 19000000 353037663166373762636638366364373939343339303131 00 00"},
	{BSON_K_ARRAY, "[]"},
	{BSON_K_ARRAY, "[1,2.5,{\"$numberLong\":\"3\"}]"},
	{BSON_K_ARRAY, "[1,2]"},
	{BSON_K_ARRAY, "[\"nul\\u0000\"]"},
	{BSON_K_BINARY, "{\"$binary\":{\"base64\":\"AAEC\",\"subType\":\"00\"}}"},
	{BSON_K_BINARY, "{\"$binary\":{\"base64\":\"ABEiM0RVZneImaq7zN3u/w==\",\"subType\":\"04\"}}"},
	{BSON_K_BINARY, "{\"$binary\":{\"base64\":\"ABEiM0RVZneImaq7zN3u/w==\",\"subType\":\"03\"}}"},
	{BSON_K_BINARY, ":05000000090300017f80"},
	{BSON_K_BINARY, ":0400000009030001 7f"},
	{BSON_K_OBJECTID, "{\"$oid\":\"507f1f77bcf86cd799439011\"}"},
	{BSON_K_BOOL, "true"},
	{BSON_K_BOOL, "false"},
	{BSON_K_DATE, "{\"$date\":{\"$numberLong\":\"0\"}}"},
	{BSON_K_DATE, "{\"$date\":{\"$numberLong\":\"1700000000123\"}}"},
	{BSON_K_DATE, "{\"$date\":{\"$numberLong\":\"9223372036854775807\"}}"},
	{BSON_K_REGEX, "{\"$regularExpression\":{\"pattern\":\"^a\",\"options\":\"i\"}}"},
	{BSON_K_REGEX, ":ff0000"},
	{BSON_K_DBPOINTER, "{\"$dbPointer\":{\"$ref\":\"c\",\"$id\":{\"$oid\":\"507f1f77bcf86cd799439011\"}}}"},
	{BSON_K_DBPOINTER, ":02000000ff00507f1f77bcf86cd799439011"},
	{BSON_K_CODE, "{\"$code\":\"f()\"}"},
	{BSON_K_CODE, ":02000000ff00"},
	{BSON_K_SYMBOL, "{\"$symbol\":\"sad\"}"},
	{BSON_K_SYMBOL, ":02000000ff00"},
	{BSON_K_CODEWSCOPE, "{\"$code\":\"f()\",\"$scope\":{\"x\":1}}"},
	{BSON_K_CODEWSCOPE, ":0f00000002000000ff000500000000"},
	{BSON_K_INT32, "{\"$numberInt\":\"0\"}"},
	{BSON_K_INT32, "{\"$numberInt\":\"1\"}"},
	{BSON_K_INT32, "{\"$numberInt\":\"-2147483647\"}"},
	{BSON_K_TIMESTAMP, "{\"$timestamp\":{\"t\":0,\"i\":1}}"},
	{BSON_K_TIMESTAMP, "{\"$timestamp\":{\"t\":1700000000,\"i\":1}}"},
	{BSON_K_INT64, "{\"$numberLong\":\"0\"}"},
	{BSON_K_INT64, "{\"$numberLong\":\"1\"}"},
	{BSON_K_INT64, "{\"$numberLong\":\"9223372036854775807\"}"},
	{BSON_K_DECIMAL128, "{\"$numberDecimal\":\"0\"}"},
	{BSON_K_DECIMAL128, "{\"$numberDecimal\":\"1\"}"},
	{BSON_K_DECIMAL128, "{\"$numberDecimal\":\"0.1\"}"},
	{BSON_K_DECIMAL128, "{\"$numberDecimal\":\"1E+6000\"}"},
	{BSON_K_DECIMAL128, "{\"$numberDecimal\":\"-1.234567890123456789012345678901234E-6000\"}"},
	{BSON_K_DECIMAL128, "{\"$numberDecimal\":\"NaN\"}"},
	{MATRIX_MINKEY, "{\"$minKey\":1}"},
	{MATRIX_MAXKEY, "{\"$maxKey\":1}"},
};
#define NSAMPLES (sizeof samples / sizeof samples[0])

/* Types as a mapping says them: narrow ones, so that something does not fit. */
static const struct {
	enum pgt base;
	const char *type;
} types[] = {
	{PGT_BOOL, "boolean"},
	{PGT_INT2, "smallint"},
	{PGT_INT4, "integer"},
	{PGT_INT8, "bigint"},
	{PGT_FLOAT4, "real"},
	{PGT_FLOAT8, "double precision"},
	{PGT_TEXT, "text"},
	{PGT_NAME, "name"},
	{PGT_CITEXT, "citext"},
	{PGT_UUID, "uuid"},
	{PGT_BYTEA, "bytea"},
	{PGT_DATE, "date"},
	{PGT_TIME, "time(0)"},
	{PGT_JSON, "json"},
	{PGT_JSONB, "jsonb"},
	{PGT_INET, "inet"},
	{PGT_ENUM, "mood"},
	{PGT_INTERVAL, "interval(0)"},
	{PGT_CHAR, "char(4)"},
	{PGT_CHAR, "char(40)"},
	{PGT_VARCHAR, "varchar(4)"},
	{PGT_VARCHAR, "varchar(40)"},
	{PGT_VARCHAR, "varchar(300)"},
	{PGT_CHAR, "char(300)"},
	{PGT_NUMERIC, "numeric(2,2)"},
	{PGT_VECTOR, "vector(3)"},
	{PGT_VECTOR, "vector(1)"},
	{PGT_NUMERIC, "numeric(4,1)"},
	{PGT_TIMESTAMP, "timestamp(0)"},
	{PGT_TIMESTAMPTZ, "timestamptz(0)"},
};
#define NTYPES (sizeof types / sizeof types[0])

/* --- one column --- */

static void put_yaml(struct buf *out, const char *type, const char *policies, bool is_key)
{
	buf_puts(out, "docrow: 1\nenums: [{ name: mood, labels: [sad, ok] }]\ncollections:\n");
	if (is_key)
		buf_printf(out,
			   "  - collection: k\n    id: native\n    columns: [{ name: v, from: _id, type: \"%s\", "
			   "primary_key: true }]\n",
			   type);
	buf_printf(out,
		   "  - collection: c\n    columns:\n"
		   "      - { name: id, from: _id, type: uuid, primary_key: true }\n"
		   "      - { name: v, type: \"%s\"%s%s }\n",
		   type, policies, is_key ? ", references: k" : "");
}

static bool make_plan(const char *type, const char *policies, bool is_key, struct mapping **m, struct plan **p,
		      struct buf *report)
{
	_cleanup_(buf_free) struct buf yaml = {0};
	struct err err;
	put_yaml(&yaml, type, policies, is_key);
	if (!mapping_parse(m, "m", (const char *)yaml.data, yaml.len, report, &err))
		return false;
	if (plan_build(p, *m, report, &err))
		return true;
	mapping_free(*m);
	return false;
}

static void put_payload(struct buf *out, const char *hex)
{
	char digits[512];
	uint8_t bytes[256];
	size_t n = 0;
	for (; *hex != '\0'; hex++)
		if (*hex != ' ')
			digits[n++] = *hex;
	if (!text_unhex(digits, n, bytes))
		abort();
	buf_put(out, bytes, n / 2);
}

/* The document {_id: ObjectId, v: sample}. */
static void put_document(struct buf *out, const struct sample *s)
{
	static const uint8_t head[] = "\0\0\0\0\7_id\0aaaaaaaaaaaa";
	buf_put(out, head, sizeof head - 1);
	if (*s->json == ':') {
		buf_putc(out, (char)s->kind);
		buf_put(out, "v", 2);
		put_payload(out, s->json + 1);
	} else {
		_cleanup_(buf_free) struct buf json = {0};
		bson_error_t error;
		buf_printf(&json, "{\"v\":%s}", s->json);
		bson_t *v = bson_new_from_json(json.data, (ssize_t)json.len, &error);
		if (v == NULL || matrix_kind(bson_get_data(v)[4]) != s->kind) {
			printf("%s is no %s\n", s->json, matrix_kind_name(s->kind));
			abort();
		}
		buf_put(out, bson_get_data(v) + 4, v->len - 5);
		bson_destroy(v);
	}
	buf_putc(out, '\0');
	uint32_t n = (uint32_t)out->len;
	memcpy(out->data, &n, 4);
}

/* What became of the samples of one BSON type. */
struct outcome {
	int in, by_type, by_value; /* went in; refused as fault type; refused for the value's own sake */
};

static struct outcome convert_samples(const struct plan *p, unsigned kind)
{
	struct outcome o = {0};
	struct ledger *ledger = ledger_new();
	struct conv *c = conv_new(p, plan_find_collection(p, "c"), ledger);
	for (size_t i = 0; i < NSAMPLES; i++) {
		_cleanup_(buf_free) struct buf doc = {0};
		struct conv_where where;
		if (samples[i].kind != kind)
			continue;
		put_document(&doc, &samples[i]);
		enum fault f = conv_document(c, doc.data, doc.len, &where);
		o.in += f == FAULT_OK;
		o.by_type += f == FAULT_TYPE;
		o.by_value += f != FAULT_OK && f != FAULT_TYPE;
		if (f == FAULT_CORRUPT) {
			printf("sample %s is corrupt\n", samples[i].json);
			failures++;
		}
	}
	conv_free(c);
	ledger_free(ledger);
	return o;
}

/* --- cells --- */

static void wrong(const char *type, unsigned kind, const char *policies, const char *what, const struct outcome *o)
{
	printf("%s into %s%s: %s (%d in, %d by type, %d by value)\n", matrix_kind_name(kind), type, policies, what,
	       o->in, o->by_type, o->by_value);
	failures++;
}

static const struct matrix_row *last_row(enum pgt base, unsigned kind, unsigned accept, bool is_key)
{
	const struct matrix_row *found = NULL;
	for (size_t i = 0; i < matrix_nrows; i++) {
		const struct matrix_row *r = &matrix_rows[i];
		bool open = r->accept == 0 || (r->accept & accept) != 0;
		if ((r->types & 1u << base) != 0 && (r->kinds & 1u << kind) != 0 && open && (!r->keys || is_key))
			found = r;
	}
	return found;
}

/* Totals of the types of one base, since a narrow one may take nothing that a wide one takes. */
struct total {
	int in, refused, by_type;
};
static struct total totals[PGT_COUNT][MATRIX_KINDS][32];

static void check_column(size_t type, unsigned word, unsigned accept, bool is_key)
{
	struct mapping *m;
	struct plan *p;
	_cleanup_(buf_free) struct buf report = {0};
	char policies[64] = "";
	if (accept != 0)
		snprintf(policies, sizeof policies, ", accept: [%s]%s", map_accept_word((enum map_accept)accept),
			 accept == MAP_ACCEPT_JSON_TEXT ? ", json: plain" : "");
	if (!make_plan(types[type].type, policies, is_key, &m, &p, &report)) {
		printf("%s%s: %s\n", types[type].type, policies, buf_cstr(&report));
		failures++;
		return;
	}
	for (unsigned kind = 1; kind < MATRIX_KINDS; kind++) {
		if (kind == BSON_K_NULL || kind == BSON_K_UNDEFINED)
			continue;
		struct outcome o = convert_samples(p, kind);
		const struct matrix_row *r = last_row(types[type].base, kind, accept, is_key);
		struct total *t = &totals[types[type].base][kind][word];
		t->in += o.in;
		t->refused += o.by_value + (r != NULL ? o.by_type : 0);
		t->by_type += o.by_type;
		cells++;
		if (r == NULL && (o.in > 0 || o.by_value > 0))
			wrong(types[type].type, kind, policies, "not refused by type", &o);
		if (r != NULL && r->way == MATRIX_EXACT && o.by_type + o.by_value > 0)
			wrong(types[type].type, kind, policies, "not exact", &o);
	}
	plan_free(p);
	mapping_free(m);
}

/* A cell that is checked value by value takes something and refuses something. */
static void check_totals(enum pgt base, unsigned word, unsigned accept, bool is_key)
{
	for (unsigned kind = 1; kind < MATRIX_KINDS; kind++) {
		const struct matrix_row *r = last_row(base, kind, accept, is_key);
		const struct total *t = &totals[base][kind][word];
		if (r == NULL || kind == BSON_K_NULL || kind == BSON_K_UNDEFINED)
			continue;
		if (t->in == 0 || (r->way == MATRIX_IF && t->refused == 0)) {
			printf("%s into %s by %s: %d samples go in, %d are refused\n", matrix_kind_name(kind),
			       pgt_name(base), accept != 0 ? map_accept_word((enum map_accept)accept) : "nature",
			       t->in, t->refused);
			failures++;
		}
	}
}

static bool can_be_key(enum pgt base)
{
	return base != PGT_JSON && base != PGT_VECTOR && base != PGT_UUID;
}

static void walk_words(unsigned word, unsigned accept)
{
	memset(totals, 0, sizeof totals);
	for (size_t i = 0; i < NTYPES; i++) {
		enum pgt base = types[i].base;
		if ((accept & ~matrix_accept(base, false)) == 0)
			check_column(i, word, accept, false);
		else if ((accept & ~matrix_accept(base, true)) == 0 && can_be_key(base))
			check_column(i, word, accept, true);
	}
	for (int base = 0; base < PGT_COUNT; base++) {
		bool plain = (accept & ~matrix_accept((enum pgt)base, false)) == 0;
		if (plain || ((accept & ~matrix_accept((enum pgt)base, true)) == 0 && can_be_key((enum pgt)base)))
			check_totals((enum pgt)base, word, accept, !plain);
	}
}

/* --- what the mapping's check says of a cell --- */

static bool is_taken_by(const char *type, const char *bson)
{
	struct mapping *m;
	struct plan *p;
	_cleanup_(buf_free) struct buf report = {0};
	char policies[64];
	snprintf(policies, sizeof policies, ", bson: %s", bson);
	bool ok = make_plan(type, policies, false, &m, &p, &report);
	if (ok) {
		plan_free(p);
		mapping_free(m);
	}
	return ok;
}

static void check_refusal(size_t type, unsigned kind, const char *report)
{
	char wanted[200];
	const char *name = matrix_kind_name(kind), *hint = strstr(report, "; "), *end = strstr(report, " would do");
	snprintf(wanted, sizeof wanted, "bson: %s does not go into column \"v\" of type ", name);
	if (strstr(report, wanted) == NULL || hint == NULL || end == NULL) {
		printf("%s into %s: %s\n", name, types[type].type, report);
		failures++;
		return;
	}
	/* The type that is named takes it. */
	char nearest[64];
	snprintf(nearest, sizeof nearest, "%.*s", (int)(end - hint - 2), hint + 2);
	bool list = kind == BSON_K_ARRAY && strstr(nearest, "[]") != NULL;
	if (!list && !is_taken_by(nearest, name)) {
		printf("%s into %s: %s is named, but does not take it\n", name, types[type].type, nearest);
		failures++;
	}
}

static void check_mapping(size_t type, unsigned kind)
{
	_cleanup_(buf_free) struct buf report = {0};
	struct mapping *m;
	struct plan *p;
	unsigned words;
	char policies[64];
	snprintf(policies, sizeof policies, ", bson: [%s, \"null\"]", matrix_kind_name(kind));
	bool ok = make_plan(types[type].type, policies, false, &m, &p, &report);
	enum matrix_verdict v = matrix_verdict(types[type].base, kind, false, &words);
	if (ok) {
		plan_free(p);
		mapping_free(m);
	}
	if (v == MATRIX_NO && !ok)
		check_refusal(type, kind, buf_cstr(&report));
	else if (ok != (v == MATRIX_NATURALLY) || (!ok && strstr(buf_cstr(&report), "only with accept: ") == NULL)) {
		printf("%s into %s: the mapping's check says: %s\n", matrix_kind_name(kind), types[type].type,
		       ok ? "fine" : buf_cstr(&report));
		failures++;
	}
}

/* bson: at run time other types are refused. */
static void check_others_are_refused(void)
{
	struct mapping *m;
	struct plan *p;
	_cleanup_(buf_free) struct buf report = {0};
	if (!make_plan("jsonb", ", bson: [string, array]", false, &m, &p, &report))
		abort();
	for (unsigned kind = 1; kind < MATRIX_KINDS; kind++) {
		if (kind == BSON_K_NULL || kind == BSON_K_UNDEFINED)
			continue;
		struct outcome o = convert_samples(p, kind);
		bool named = kind == BSON_K_STRING || kind == BSON_K_ARRAY;
		if (named ? o.in == 0 : o.in + o.by_value > 0)
			wrong("jsonb", kind, " that holds strings and arrays", "bson does not hold", &o);
	}
	plan_free(p);
	mapping_free(m);
}

int main(void)
{
	walk_words(0, 0);
	for (unsigned bit = 0; bit < 31 && strcmp(map_accept_word((enum map_accept)(1u << bit)), "?") != 0; bit++)
		walk_words(bit + 1, 1u << bit);
	for (size_t i = 0; i < NTYPES; i++)
		for (unsigned kind = 1; kind < MATRIX_KINDS; kind++)
			if (kind != BSON_K_NULL && kind != BSON_K_UNDEFINED)
				check_mapping(i, kind);
	check_others_are_refused();
	printf("%d cells, %d complaints\n", cells, failures);
	return failures > 0 || cells < 19 * (int)NTYPES;
}

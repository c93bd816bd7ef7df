/* value.c - one value of one field, and the small writers of BSON that all of this folder uses.
 *
 * The chance of a value starts from (document or element, field), so any value can be made again without its
 * neighbours. The first documents of a collection get every label and all borders of numbers and dates.
 */
#include <float.h>
#include <math.h>
#include <stdio.h>
#include <time.h>

#include "id.h"
#include "synth_private.h"
#include "text.h"

/* BSON. */

void gen_key(struct gen *g, const char *key, size_t len)
{
	g->type_at = g->out.len;
	buf_putc(&g->out, 0);
	buf_put(&g->out, key, len);
	buf_putc(&g->out, 0);
}

void gen_index(struct gen *g, unsigned i)
{
	char text[12];
	int n = 0;

	if (i < 10)
		text[n++] = (char)('0' + i);
	else
		n = snprintf(text, sizeof text, "%u", i);
	gen_key(g, text, (size_t)n);
}

size_t gen_begin_document(struct gen *g)
{
	size_t start = g->out.len;

	buf_put(&g->out, "\0\0\0", 4);
	return start;
}

void gen_end_document(struct gen *g, size_t start)
{
	int32_t size;

	buf_putc(&g->out, 0);
	size = (int32_t)(g->out.len - start);
	memcpy(g->out.data + start, &size, 4);
}

void gen_null(struct gen *g)
{
	gen_kind(g, BSON_K_NULL);
}

void gen_bool(struct gen *g, bool v)
{
	gen_kind(g, BSON_K_BOOL);
	buf_putc(&g->out, v ? 1 : 0);
}

void gen_int32(struct gen *g, int32_t v)
{
	gen_kind(g, BSON_K_INT32);
	buf_put(&g->out, &v, 4);
}

void gen_int64(struct gen *g, int64_t v)
{
	gen_kind(g, BSON_K_INT64);
	buf_put(&g->out, &v, 8);
}

void gen_double(struct gen *g, double v)
{
	gen_kind(g, BSON_K_DOUBLE);
	buf_put(&g->out, &v, 8);
}

void gen_date(struct gen *g, int64_t ms)
{
	gen_kind(g, BSON_K_DATE);
	buf_put(&g->out, &ms, 8);
}

void gen_objectid(struct gen *g, const uint8_t oid[12])
{
	gen_kind(g, BSON_K_OBJECTID);
	buf_put(&g->out, oid, 12);
}

/* The text is appended between the two. */
static size_t begin_string(struct gen *g)
{
	gen_kind(g, BSON_K_STRING);
	buf_put(&g->out, "\0\0\0", 4);
	return g->out.len;
}

static void end_string(struct gen *g, size_t start)
{
	int32_t n;

	buf_putc(&g->out, 0);
	n = (int32_t)(g->out.len - start);
	memcpy(g->out.data + start - 4, &n, 4);
}

void gen_string(struct gen *g, const char *s, size_t n)
{
	size_t start = begin_string(g);

	buf_put(&g->out, s, n);
	end_string(g, start);
}

void gen_binary(struct gen *g, uint8_t subtype, const void *bytes, size_t n)
{
	int32_t size = (int32_t)n;

	gen_kind(g, BSON_K_BINARY);
	buf_put(&g->out, &size, 4);
	buf_putc(&g->out, (char)subtype);
	buf_put(&g->out, bytes, n);
}

void gen_decimal(struct gen *g, bool negative, uint64_t coefficient, int exponent)
{
	uint64_t hi = (uint64_t)negative << 63 | (uint64_t)(exponent + 6176) << 49;

	gen_kind(g, BSON_K_DECIMAL128);
	buf_put(&g->out, &coefficient, 8);
	buf_put(&g->out, &hi, 8);
}

/* Ids. */

uint64_t gen_document_key(const struct coll *c, uint64_t number)
{
	return mix(c->salt + number * UINT64_C(0xD1342543DE82EF95));
}

int64_t gen_id_time_ms(const struct coll *c, uint64_t number)
{
	if (number >= c->docs)
		return (int64_t)(c->last_ms + (number - c->docs) % 100000000 * 1000);
	return (int64_t)(c->first_ms + (uint64_t)((unsigned __int128)(c->last_ms - c->first_ms) * number / c->docs));
}

/* Seconds grow with the number; documents of one second are told apart by the counter. */
void gen_id_objectid(const struct coll *c, uint64_t number, uint8_t oid[12])
{
	uint32_t seconds = __builtin_bswap32((uint32_t)(gen_id_time_ms(c, number) / 1000));

	memcpy(oid, &seconds, 4);
	memcpy(oid + 4, c->machine, 5);
	oid[9] = (uint8_t)(number >> 16);
	oid[10] = (uint8_t)(number >> 8);
	oid[11] = (uint8_t)number;
}

/* Version 4 in form; the number is in it, so no two are the same. */
static void id_uuid(const struct coll *c, uint64_t number, uint8_t uuid[16])
{
	uint64_t hi = mix(c->salt ^ 4), lo = __builtin_bswap64(number);

	memcpy(uuid, &hi, 8);
	memcpy(uuid + 8, &lo, 8);
	uuid[6] = (uint8_t)((uuid[6] & 0x0F) | 0x40);
	uuid[8] = (uint8_t)((uuid[8] & 0x3F) | 0x80);
}

static void put_uuid_text(struct gen *g, const struct coll *c, uint64_t number)
{
	char text[UUID_TEXT_SIZE];
	uint8_t uuid[16];

	id_uuid(c, number, uuid);
	id_uuid_format(uuid, text);
	gen_string(g, text, UUID_TEXT_SIZE - 1);
}

static void put_hex_id(struct gen *g, const struct coll *c, uint64_t number)
{
	uint8_t oid[12];
	char hex[25];

	gen_id_objectid(c, number, oid);
	id_objectid_format(oid, hex);
	gen_string(g, hex, 24);
}

/* An _id that is a sub-document: the fields that columns want, and the number, which makes it the only one. */
static void put_id_fields(struct gen *g, const struct coll *c, uint64_t number)
{
	uint64_t key = gen_document_key(c, number);
	size_t start;

	gen_kind(g, BSON_K_DOCUMENT);
	start = gen_begin_document(g);
	for (size_t i = 0; i < c->id_node->nchildren; i++) {
		const struct node *n = c->id_node->children[i];
		if (!n->leaf)
			continue;
		gen_key(g, n->key, n->key_len);
		gen_leaf(g, c, n->leaf, number, key);
	}
	gen_key(g, "n", 1);
	gen_int64(g, (int64_t)number);
	gen_end_document(g, start);
}

void gen_id(struct gen *g, const struct coll *c, uint64_t number)
{
	uint8_t bytes[16];
	char text[32];
	size_t start;

	switch (c->id_kind) {
	case ID_OBJECTID:
		gen_id_objectid(c, number, bytes);
		gen_objectid(g, bytes);
		break;
	case ID_UUID_TEXT:
		put_uuid_text(g, c, number);
		break;
	case ID_HEX_TEXT:
		put_hex_id(g, c, number);
		break;
	case ID_NUMBER:
		gen_int64(g, (int64_t)number + 1);
		break;
	case ID_TEXT:
		gen_string(g, text, (size_t)snprintf(text, sizeof text, "k%llu", (unsigned long long)number));
		break;
	case ID_UUID:
		id_uuid(c, number, bytes);
		gen_binary(g, 4, bytes, 16);
		break;
	case ID_DATE:
		gen_date(g, (int64_t)number * 86400000);
		break;
	case ID_DOCUMENT:
		gen_kind(g, BSON_K_DOCUMENT);
		start = gen_begin_document(g);
		gen_key(g, "n", 1);
		gen_int64(g, (int64_t)number);
		gen_end_document(g, start);
		break;
	case ID_FIELDS:
		put_id_fields(g, c, number);
		break;
	}
}

/* {"$oid": hex} as a document: what tools wrote that took Extended JSON for BSON. */
static void put_oid_document(struct gen *g, const struct coll *c, uint64_t number)
{
	size_t start;

	gen_kind(g, BSON_K_DOCUMENT);
	start = gen_begin_document(g);
	gen_key(g, "$oid", 4);
	put_hex_id(g, c, number);
	gen_end_document(g, start);
}

/* A reference, now and then in a spelling that the mapping accepts. */
static void put_reference(struct gen *g, const struct coll *target, uint64_t number, unsigned accept,
			  struct chance *chance)
{
	uint64_t draw = chance_below(chance, 64);

	if (draw == 0 && target->id_kind == ID_OBJECTID && (accept & MAP_ACCEPT_HEX_ID))
		put_hex_id(g, target, number);
	else if (draw == 1 && target->id_kind == ID_OBJECTID && (accept & MAP_ACCEPT_OID_DOCUMENT))
		put_oid_document(g, target, number);
	else
		gen_id(g, target, number);
}

/* An id in a column that refers to no table of the mapping: some document's of some collection. */
static void put_loose_id(struct gen *g, const struct coll *c, const struct leaf *l, uint64_t number,
			 struct chance *chance)
{
	const struct coll *other = &g->m->colls[chance_below(chance, g->m->ncolls)];
	uint64_t n = l->unique ? number : other->docs > 0 ? chance_below(chance, other->docs) : number;
	uint8_t oid[12];

	if (l->unique)
		other = c;
	if (l->id_rule == MAP_ID_STRING_UUID) {
		put_uuid_text(g, other, n);
	} else if (other->id_kind == ID_OBJECTID) {
		put_reference(g, other, n, l->map->accept, chance);
	} else {
		gen_id_objectid(other, n, oid);
		gen_objectid(g, oid);
	}
}

bool gen_leaf_moves(const struct model *m, const struct leaf *l, uint64_t number, uint64_t key)
{
	return l->other_target >= 0 && (number == 1 || mix(key ^ l->salt ^ 0x6D6F7665) % 8 == 0);
}

static void put_ref(struct gen *g, const struct coll *c, const struct leaf *l, uint64_t number, struct chance *chance)
{
	const struct coll *target;
	uint64_t n;

	if (l->target < 0) {
		put_loose_id(g, c, l, number, chance);
		return;
	}
	if (gen_leaf_moves(g->m, l, number, gen_document_key(c, number))) {
		target = &g->m->colls[l->other_target];
		put_reference(g, target, chance_below(chance, target->docs), l->map->accept, chance);
		return;
	}
	target = &g->m->colls[l->target];
	n = target->docs > 0 ? chance_below(chance, target->docs) : 0;
	if (target == c && number > 0 && number < target->docs) /* trees: the parent was there before */
		n = chance_below(chance, number);
	if (l->radix > 0)
		n = number / l->divisor % l->radix;
	if (l->target_leaf)
		gen_leaf(g, target, l->target_leaf, n, gen_document_key(target, n));
	else
		put_reference(g, target, n, l->map->accept, chance);
}

/* Numbers. */

static const struct {
	int64_t min, max;
} integer_ranges[PGT_COUNT] = {[PGT_INT2] = {INT16_MIN, INT16_MAX},
			       [PGT_INT4] = {INT32_MIN, INT32_MAX},
			       [PGT_INT8] = {INT64_MIN, INT64_MAX}};

static int64_t any_integer(const struct leaf *l, uint64_t number, struct chance *chance)
{
	int64_t borders[] = {0, 1, -1, integer_ranges[l->map->type.base].max, integer_ranges[l->map->type.base].min};
	uint64_t draw;

	if (l->unique)
		return (int64_t)number;
	if (number < sizeof borders / sizeof borders[0])
		return borders[number];
	draw = chance_below(chance, 100);
	if (draw < 50)
		return (int64_t)chance_below(chance, 20);
	if (draw < 97)
		return (int64_t)chance_below(chance, 32000);
	return (int64_t)(chance_next(chance) % (uint64_t)integer_ranges[l->map->type.base].max) *
	       (draw == 99 ? -1 : 1);
}

/* int64 as Prisma writes it; older writers left int32 and doubles behind. */
static void put_integer(struct gen *g, const struct leaf *l, uint64_t number, struct chance *chance)
{
	int64_t v = any_integer(l, number, chance);
	uint64_t draw = chance_below(chance, 50);
	char text[24];

	if (draw < 2 && v >= INT32_MIN && v <= INT32_MAX)
		gen_int32(g, (int32_t)v);
	else if (draw == 2 && v >= -(INT64_C(1) << 53) && v <= INT64_C(1) << 53)
		gen_double(g, (double)v);
	else if (draw == 3 && (l->map->accept & MAP_ACCEPT_NUMERIC_STRING))
		gen_string(g, text, (size_t)snprintf(text, sizeof text, "%lld", (long long)v));
	else
		gen_int64(g, v);
}

static void put_float(struct gen *g, const struct leaf *l, uint64_t number, struct chance *chance)
{
	static const double doubles[] = {0, -1.5, DBL_MAX, DBL_MIN, 5e-324, 0.1, (double)INFINITY, (double)NAN};
	static const double floats[] = {0, -1.5, (double)FLT_MAX, (double)FLT_MIN, 0.25, 1024};
	bool is_small = l->map->type.base == PGT_FLOAT4;

	if (l->unique)
		gen_double(g, (double)number);
	else if (is_small && number < sizeof floats / sizeof floats[0])
		gen_double(g, floats[number]);
	else if (!is_small && number < sizeof doubles / sizeof doubles[0])
		gen_double(g, doubles[number]);
	else if (chance_below(chance, 10) == 0)
		gen_int64(g, (int64_t)chance_below(chance, 100000));
	else if (is_small) /* a multiple of 1/8 is exact */
		gen_double(g, (double)chance_below(chance, 100000) / 8);
	else
		gen_double(g, (double)chance_below(chance, 10000000) / 100);
}

static uint64_t power_of_ten(int n)
{
	uint64_t p = 1;

	for (; n > 0 && n < 20; n--)
		p *= 10;
	return p;
}

/* Within precision and scale; without them two decimals, sometimes an exponent. */
static void put_numeric(struct gen *g, const struct leaf *l, uint64_t number, struct chance *chance)
{
	int precision = l->map->type.precision, scale = l->map->type.scale > 0 ? l->map->type.scale : 0;
	int digits = precision < 1 || precision > 18 ? 12 : precision, whole;
	uint64_t coefficient;

	if (precision < 1)
		scale = 2;
	whole = digits - scale;
	coefficient = chance_below(chance, power_of_ten(digits));
	if (number == 1)
		coefficient = power_of_ten(digits) - 1;
	if (l->unique)
		gen_int64(g, (int64_t)number);
	else if (number == 0)
		gen_decimal(g, false, 0, 0);
	else if (number == 2 && precision < 1)
		gen_decimal(g, true, 123456789012345678, -30);
	else if (number % 8 == 3 && whole > 0) /* whole numbers of other types */
		gen_int64(g, (int64_t)chance_below(chance, power_of_ten(whole < 9 ? whole : 9)));
	else if (number % 8 == 4 && scale >= 2 && whole > 0)
		gen_double(g, (double)chance_below(chance, power_of_ten(2 + (whole < 7 ? whole : 7))) / 100);
	else
		gen_decimal(g, chance_below(chance, 4) == 0, coefficient, -scale);
}

/* Texts. */

/* An entry of a B-tree or GIN index holds some 2,700 bytes. */
enum { MOST_INDEXED_CHARS = 300 };

static size_t most_chars(const struct leaf *l)
{
	size_t most = l->indexed ? MOST_INDEXED_CHARS : SIZE_MAX;

	if (l->map->type.base == PGT_NAME)
		return 15; /* of at most four bytes each: NAME holds 63 */
	if (l->map->type.length > 0 && (size_t)l->map->type.length < most)
		most = (size_t)l->map->type.length;
	return most;
}

static void put_text(struct gen *g, const struct leaf *l, uint64_t number, struct chance *chance)
{
	size_t start = begin_string(g);

	text_make(&g->out, l->style, chance, l->unique, number, most_chars(l));
	end_string(g, start);
}

static void put_label(struct gen *g, const struct leaf *l, uint64_t number, struct chance *chance)
{
	uint64_t i = number < l->nlabels ? number : chance_below(chance, l->nlabels);

	if (l->radix > 0)
		i = number / l->divisor % l->radix;
	gen_string(g, l->labels[i], strlen(l->labels[i]));
}

static void put_bytes(struct gen *g, const struct leaf *l, uint64_t number, struct chance *chance)
{
	uint64_t bytes[8];
	size_t n = number < 2 ? (size_t)number : (size_t)chance_below(chance, sizeof bytes + 1);

	for (size_t i = 0; i < 8; i++)
		bytes[i] = chance_next(chance);
	if (l->unique) {
		bytes[0] = number;
		n = sizeof bytes;
	}
	gen_binary(g, 0, bytes, n);
}

static void put_inet(struct gen *g, struct chance *chance)
{
	uint64_t r = chance_next(chance);
	char text[48];
	int n;

	if (r % 4 == 0)
		n = snprintf(text, sizeof text, "2001:db8::%x:%x", (unsigned)(r >> 16 & 0xFFFF) + 1,
			     (unsigned)(r >> 48) + 1);
	else
		n = snprintf(text, sizeof text, "10.%u.%u.%u", (unsigned)(r >> 8 & 255), (unsigned)(r >> 16 & 255),
			     (unsigned)(r >> 24 & 255));
	gen_string(g, text, (size_t)n);
}

static void put_vector(struct gen *g, const struct leaf *l, struct chance *chance)
{
	int n = l->map->type.length > 0 ? l->map->type.length : 3;
	size_t start;

	gen_kind(g, BSON_K_ARRAY);
	start = gen_begin_document(g);
	for (int i = 0; i < n; i++) {
		gen_index(g, (unsigned)i);
		gen_double(g, (double)chance_below(chance, 2000) / 1024 - 1); /* exact in a float */
	}
	gen_end_document(g, start);
}

/* Dates. */

static int64_t floor_to(int64_t ms, int64_t unit)
{
	int64_t rest = ms % unit;

	return ms - (rest < 0 ? rest + unit : rest);
}

/* Finest step of the column in ms. */
static int64_t date_unit(const struct leaf *l)
{
	static const int64_t by_precision[] = {1000, 100, 10, 1};

	if (l->kind == VALUE_DAY)
		return 86400000;
	return l->map->type.precision >= 0 && l->map->type.precision < 3 ? by_precision[l->map->type.precision] : 1;
}

static int64_t any_instant(const struct coll *c, const struct leaf *l, uint64_t number, struct chance *chance)
{
	static const int64_t borders[] = {
		0,               /* 1970 */
		-1,              /* the last millisecond before */
		-62135596800000, /* 0001-01-01 */
		253402300799999, /* the last of 9999 */
		951782400000,    /* 2000-02-29 */
		2147483648000,   /* one second more than signed 32 bits hold */
		-2203891200001,  /* the last of 1900-02-28: no leap year */
		946684799999,    /* the last before 2000, PostgreSQL's epoch */
		946684800000,
		-12219292800000 /* the first Gregorian day */
	};
	uint64_t draw = chance_below(chance, 400);

	if (l->unique)
		return (int64_t)number * (l->kind == VALUE_DAY ? 86400000 : 1000);
	if (number < sizeof borders / sizeof borders[0])
		return borders[number];
	if (draw == 0)
		return borders[chance_below(chance, sizeof borders / sizeof borders[0])];
	return gen_id_time_ms(c, number < c->docs ? number : 0) +
	       (int64_t)chance_below(chance, UINT64_C(30000000000));
}

static void put_iso_text(struct gen *g, int64_t ms)
{
	time_t seconds = (time_t)(floor_to(ms, 1000) / 1000);
	struct tm tm;
	char text[64];
	int n;

	gmtime_r(&seconds, &tm);
	n = snprintf(text, sizeof text, "%04d-%02d-%02dT%02d:%02d:%02d.%03dZ", tm.tm_year + 1900, tm.tm_mon + 1,
		     tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec, (int)(ms - floor_to(ms, 1000)));
	gen_string(g, text, (size_t)n);
}

static void gen_timestamp(struct gen *g, uint32_t seconds)
{
	uint64_t v = (uint64_t)seconds << 32 | 1;

	gen_kind(g, BSON_K_TIMESTAMP);
	buf_put(&g->out, &v, 8);
}

static void put_instant(struct gen *g, const struct coll *c, const struct leaf *l, uint64_t number,
			struct chance *chance)
{
	int64_t ms = floor_to(any_instant(c, l, number, chance), date_unit(l));
	uint64_t draw = chance_below(chance, 64);

	if (draw == 0 && (l->map->accept & MAP_ACCEPT_ISO_STRING) && ms >= 0)
		put_iso_text(g, ms);
	else if (draw == 1 && (l->map->accept & MAP_ACCEPT_EPOCH_MS))
		gen_int64(g, ms);
	else if (draw == 2 && (l->map->accept & MAP_ACCEPT_TIMESTAMP) && ms >= 0 && ms / 1000 <= UINT32_MAX)
		gen_timestamp(g, (uint32_t)(ms / 1000));
	else
		gen_date(g, ms);
}

static void put_time(struct gen *g, const struct leaf *l, struct chance *chance)
{
	unsigned minutes = (unsigned)chance_below(chance, 1440);
	char text[48];
	int n;

	if (l->kind == VALUE_TIME)
		n = snprintf(text, sizeof text, "%02u:%02u:30", minutes / 60, minutes % 60);
	else
		n = snprintf(text, sizeof text, "P%uDT%uM", minutes % 40, minutes);
	gen_string(g, text, (size_t)n);
}

/* JSON: a document with most types inside, sometimes an array or a single value. */

static void put_json_inner(struct gen *g, const struct coll *c, uint64_t number, struct chance *chance)
{
	size_t start, inner;

	gen_kind(g, BSON_K_DOCUMENT);
	start = gen_begin_document(g);
	gen_key(g, "deep", 4);
	gen_kind(g, BSON_K_ARRAY);
	inner = gen_begin_document(g);
	gen_index(g, 0);
	gen_int32(g, (int32_t)chance_below(chance, 1000) - 500);
	gen_index(g, 1);
	gen_double(g, (double)chance_below(chance, 1000000) / 1000);
	gen_index(g, 2);
	gen_null(g);
	gen_end_document(g, inner);
	gen_key(g, "id", 2);
	gen_id(g, c, number);
	gen_key(g, "when", 4);
	gen_date(g, gen_id_time_ms(c, number));
	gen_key(g, "", 0); /* an empty key is a key */
	gen_bool(g, number % 2 == 0);
	gen_end_document(g, start);
}

static void put_json(struct gen *g, const struct coll *c, const struct leaf *l, uint64_t number,
		     struct chance *chance)
{
	size_t start, text;
	uint64_t draw = chance_below(chance, 32);

	if (draw == 0) {
		put_text(g, l, number, chance);
		return;
	}
	gen_kind(g, draw == 1 ? BSON_K_ARRAY : BSON_K_DOCUMENT);
	start = gen_begin_document(g);
	if (draw == 1)
		gen_index(g, 0);
	else
		gen_key(g, "label", 5);
	text = begin_string(g);
	text_make(&g->out, text_style_of("title"), chance, false, number, SIZE_MAX);
	end_string(g, text);
	if (draw > 1) {
		gen_key(g, "big", 3);
		gen_int64(g, INT64_MAX - (int64_t)chance_below(chance, 1000));
		gen_key(g, "inner", 5);
		put_json_inner(g, c, number, chance);
		if (number == 0) {
			gen_key(g, "price", 5);
			gen_decimal(g, false, 1999, -2);
			gen_key(g, "nothing", 7);
			gen_kind(g, BSON_K_DOCUMENT);
			gen_end_document(g, gen_begin_document(g));
		}
	}
	gen_end_document(g, start);
}

/* Whole values. */

void gen_scalar(struct gen *g, const struct coll *c, const struct leaf *l, uint64_t number, struct chance *chance)
{
	switch (l->kind) {
	case VALUE_BOOL:
		if (l->radix > 0)
			gen_bool(g, number / l->divisor % 2);
		else if ((l->map->accept & MAP_ACCEPT_BOOL_NUMBER) && chance_below(chance, 64) == 0)
			gen_int32(g, (int32_t)chance_below(chance, 2));
		else
			gen_bool(g, chance_below(chance, 2));
		break;
	case VALUE_INTEGER:
		put_integer(g, l, number, chance);
		break;
	case VALUE_FLOAT:
		put_float(g, l, number, chance);
		break;
	case VALUE_NUMERIC:
		put_numeric(g, l, number, chance);
		break;
	case VALUE_TEXT:
		put_text(g, l, number, chance);
		break;
	case VALUE_LABEL:
		put_label(g, l, number, chance);
		break;
	case VALUE_ID:
		put_ref(g, c, l, number, chance);
		break;
	case VALUE_BYTES:
		put_bytes(g, l, number, chance);
		break;
	case VALUE_INSTANT:
	case VALUE_DAY:
		put_instant(g, c, l, number, chance);
		break;
	case VALUE_TIME:
	case VALUE_INTERVAL:
		put_time(g, l, chance);
		break;
	case VALUE_JSON:
		put_json(g, c, l, number, chance);
		break;
	case VALUE_INET:
		put_inet(g, chance);
		break;
	case VALUE_VECTOR:
		put_vector(g, l, chance);
		break;
	}
}

/* All rows of an array of several dimensions are of one length. */
static void put_array(struct gen *g, const struct coll *c, const struct leaf *l, uint64_t number, int dims,
		      unsigned n, struct chance *chance)
{
	size_t start;

	gen_kind(g, BSON_K_ARRAY);
	start = gen_begin_document(g);
	for (unsigned i = 0; i < n; i++) {
		gen_index(g, i);
		if (dims > 1)
			put_array(g, c, l, number, dims - 1, n, chance);
		else
			gen_scalar(g, c, l, number + 16 + i, chance); /* beyond the borders */
	}
	gen_end_document(g, start);
}

void gen_leaf(struct gen *g, const struct coll *c, const struct leaf *l, uint64_t number, uint64_t key)
{
	struct chance chance = {mix(key ^ l->salt)};

	if (l->map->type.array)
		put_array(g, c, l, number, l->map->type.dims, (unsigned)chance_below(&chance, 5), &chance);
	else
		gen_scalar(g, c, l, number, &chance);
}

/* Text is taken as a time only where the mapping says so; without that nothing goes into such a column. */
static bool has_no_source(const struct leaf *l)
{
	return (l->kind == VALUE_TIME || l->kind == VALUE_INTERVAL) && !(l->map->accept & MAP_ACCEPT_ISO_STRING);
}

enum presence gen_leaf_presence(const struct model *m, const struct coll *c, const struct leaf *l, uint64_t number,
				uint64_t key)
{
	uint64_t draw = mix(key ^ l->salt ^ 0x68657265) % 32;
	bool is_first = number < 16; /* shows labels and borders */

	if (gen_leaf_moves(m, l, number, key))
		return PRESENT;
	if (l->required)
		return l->may_miss && !is_first && draw == 0 ? ABSENT : PRESENT;
	if (l->mover && gen_leaf_moves(m, l->mover, number, key))
		return ABSENT;
	if (number >= l->last || has_no_source(l))
		return ABSENT;
	if (l->target >= 0 && m->colls[l->target].docs == 0)
		return ABSENT;
	if (is_first)
		return PRESENT;
	return draw < 3 ? IS_NULL : draw < 6 ? ABSENT : PRESENT;
}

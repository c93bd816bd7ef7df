/* What the judge holds to be the same, by type: each trial has a value, a field, and what must be said. Wrong fields
 * are as many as right ones, since a judge that says "same" to all would pass every good move. */
#include "values.h"

#include "canon.h"
#include "id.h"

struct arena *all;
static struct judge j;

struct trial {
	int line;
	struct spec s;
	struct val v;
	struct field_bytes f;
	enum verdict want;
};

static void try(int line, struct spec s, struct val v, struct field_bytes f, enum verdict want)
{
	static const char *const names[] = {"same", "different", "unfit"};
	enum verdict got = check_value(&j, &s, &v, f);

	arena_reset(j.arena);
	if (got != want)
		fail_msg("line %d: %s expected, the judge says %s", line, names[want], names[got]);
	/* nothing is the same as NULL */
	if (want == SAME && check_value(&j, &s, &v, f_null()) != DIFFERENT)
		fail_msg("line %d: the same as NULL, too", line);
}

#define SAME_AS(type, accept, v, f) try(__LINE__, spec_of(type, accept), v, f, SAME)
#define NOT_AS(type, accept, v, f)  try(__LINE__, spec_of(type, accept), v, f, DIFFERENT)
#define UNFIT_FOR(type, accept, v)  try(__LINE__, spec_of(type, accept), v, f_null(), UNFIT)

static void test_integers(void **state)
{
	(void)state;
	SAME_AS("integer", 0, v_int(5), f_number(5, 4));
	NOT_AS("integer", 0, v_int(5), f_number(6, 4));
	NOT_AS("integer", 0, v_int(5), f_number(-5, 4));
	NOT_AS("integer", 0, v_int(5), f_number(5, 8));
	SAME_AS("smallint", 0, v_int(-32768), f_number(-32768, 2));
	UNFIT_FOR("smallint", 0, v_int(-32769));
	UNFIT_FOR("smallint", 0, v_int(32768));
	SAME_AS("integer", 0, v_long(INT32_MIN), f_number(INT32_MIN, 4));
	UNFIT_FOR("integer", 0, v_long((int64_t)INT32_MAX + 1));
	SAME_AS("bigint", 0, v_long(INT64_MIN), f_number(INT64_MIN, 8));
	NOT_AS("bigint", 0, v_long(INT64_MAX), f_number(INT64_MAX - 1, 8));
	SAME_AS("bigint", 0, v_double(9007199254740992.0), f_number(INT64_C(9007199254740992), 8));
	SAME_AS("bigint", 0, v_double(0x1p60), f_number(INT64_C(1) << 60, 8));
	NOT_AS("bigint", 0, v_double(0x1p60), f_number(INT64_C(1152921504606847000), 8)); /* its shortest digits */
	UNFIT_FOR("bigint", 0, v_double(0x1p63));
	UNFIT_FOR("integer", 0, v_double(1.5));
	UNFIT_FOR("integer", 0, v_double((double)NAN));
	SAME_AS("integer", 0, v_double(-0.0), f_number(0, 4));
	SAME_AS("integer", 0, v_decimal(500, -2), f_number(5, 4));
	UNFIT_FOR("integer", 0, v_decimal(501, -2));
	SAME_AS("bigint", 0, v_decimal(9, 17), f_number(INT64_C(900000000000000000), 8));
	UNFIT_FOR("bigint", 0, v_decimal(1, 19));
	UNFIT_FOR("integer", 0, v_text("5"));
	SAME_AS("integer", MAP_ACCEPT_NUMERIC_STRING, v_text("5.0"), f_number(5, 4));
	UNFIT_FOR("integer", MAP_ACCEPT_NUMERIC_STRING, v_text("5x"));
	UNFIT_FOR("integer", MAP_ACCEPT_NUMERIC_STRING, v_text(""));
	UNFIT_FOR("integer", 0, v_bool(true));
	SAME_AS("integer", MAP_ACCEPT_BOOL_NUMBER, v_bool(true), f_number(1, 4));
	NOT_AS("integer", MAP_ACCEPT_BOOL_NUMBER, v_bool(true), f_number(0, 4));
}

static void test_floats(void **state)
{
	(void)state;
	SAME_AS("double precision", 0, v_double(0.1), f_double(0.1));
	NOT_AS("double precision", 0, v_double(0.1), f_double(nextafter(0.1, 1)));
	SAME_AS("double precision", 0, v_double(-0.0), f_double(-0.0));
	NOT_AS("double precision", 0, v_double(-0.0), f_double(0.0));
	NOT_AS("double precision", 0, v_double(0.0), f_double(-0.0));
	SAME_AS("double precision", 0, v_double((double)NAN), f_double(-(double)NAN));
	NOT_AS("double precision", 0, v_double((double)NAN), f_double(0));
	NOT_AS("double precision", 0, v_double(0), f_double((double)NAN));
	SAME_AS("double precision", 0, v_double((double)-INFINITY), f_double((double)-INFINITY));
	NOT_AS("double precision", 0, v_double((double)-INFINITY), f_double((double)INFINITY));
	SAME_AS("double precision", 0, v_int(7), f_double(7));
	SAME_AS("double precision", 0, v_long(INT64_C(1) << 60), f_double(0x1p60));
	UNFIT_FOR("double precision", 0, v_long((INT64_C(1) << 53) + 1));
	SAME_AS("double precision", 0, v_decimal(5, -1), f_double(0.5));
	UNFIT_FOR("double precision", 0, v_decimal(1, -1)); /* no double is exactly 0.1 */
	SAME_AS("real", 0, v_double(0.5), f_real(0.5f));
	NOT_AS("real", 0, v_double(0.5), f_real(nextafterf(0.5f, 1)));
	UNFIT_FOR("real", 0, v_double(0.1));
	UNFIT_FOR("real", 0, v_double(1e39));
	SAME_AS("real", 0, v_double((double)INFINITY), f_real(INFINITY));
	SAME_AS("double precision", MAP_ACCEPT_NUMERIC_STRING, v_text("1e-3"), f_double(0.001));
	UNFIT_FOR("double precision", MAP_ACCEPT_NUMERIC_STRING, v_text("1e400"));
}

static void test_numerics(void **state)
{
	(void)state;
	SAME_AS("numeric", 0, v_decimal(110, -2), f_numeric("1.10"));
	NOT_AS("numeric", 0, v_decimal(110, -2), f_numeric("1.1"));
	NOT_AS("numeric", 0, v_decimal(11, -1), f_numeric("1.10"));
	NOT_AS("numeric", 0, v_decimal(110, -2), f_numeric("-1.10"));
	NOT_AS("numeric", 0, v_decimal(110, -2), f_numeric("11.0"));
	SAME_AS("numeric", 0, v_decimal(-123456789, -4), f_numeric("-12345.6789"));
	NOT_AS("numeric", 0, v_decimal(-123456789, -4), f_numeric("-12345.6788"));
	SAME_AS("numeric", 0, v_decimal(1, 3), f_numeric("1000"));
	SAME_AS("numeric", 0, v_decimal(0, -2), f_numeric("0.00"));
	NOT_AS("numeric", 0, v_decimal(0, -2), f_numeric("0"));
	SAME_AS("numeric", 0, v_decimal_bits(UINT64_C(0xb040000000000000), 0), f_numeric("0")); /* -0 */
	SAME_AS("numeric", 0, v_double(0.1), f_numeric("0.1"));
	NOT_AS("numeric", 0, v_double(0.1), f_numeric("0.10"));
	NOT_AS("numeric", 0, v_double(0.1), f_numeric("0.1000000000000000055511151231257827"));
	SAME_AS("numeric", 0, v_double(1e21), f_numeric("1000000000000000000000"));
	SAME_AS("numeric", 0, v_long(INT64_MIN), f_numeric("-9223372036854775808"));
	SAME_AS("numeric(8,2)", 0, v_double(0.25), f_numeric("0.25"));
	NOT_AS("numeric(8,2)", 0, v_double(0.25), f_numeric("0.26"));
	SAME_AS("numeric(8,2)", 0, v_decimal(25000, -5), f_numeric("0.25"));
	UNFIT_FOR("numeric(8,2)", 0, v_decimal(25001, -5));
	UNFIT_FOR("numeric(8,2)", 0, v_int(1000000));
	SAME_AS("numeric(8,2)", 0, v_int(999999), f_numeric("999999.00"));
	SAME_AS("numeric", 0, v_double((double)NAN), f_numeric_nan());
	NOT_AS("numeric", 0, v_double(0), f_numeric_nan());
	NOT_AS("numeric", 0, v_double((double)NAN), f_numeric("0"));
	SAME_AS("numeric", 0, v_decimal_bits(UINT64_C(0x7800000000000000), 0), f_hex("00000000d0000000"));
	NOT_AS("numeric", 0, v_decimal_bits(UINT64_C(0xf800000000000000), 0), f_hex("00000000d0000000"));
	UNFIT_FOR("numeric(8,2)", 0, v_double((double)INFINITY));
	/* corrupt fields are different, never read beyond */
	NOT_AS("numeric", 0, v_int(1), f_hex("0005000000000000"));
	NOT_AS("numeric", 0, v_int(1), f_hex("0001"));
}

static void test_booleans(void **state)
{
	(void)state;
	SAME_AS("boolean", 0, v_bool(true), f_number(1, 1));
	NOT_AS("boolean", 0, v_bool(true), f_number(0, 1));
	NOT_AS("boolean", 0, v_bool(false), f_number(1, 1));
	UNFIT_FOR("boolean", 0, v_int(1));
	SAME_AS("boolean", MAP_ACCEPT_BOOL_NUMBER, v_double(1.0), f_number(1, 1));
	SAME_AS("boolean", MAP_ACCEPT_BOOL_NUMBER, v_decimal(100, -2), f_number(1, 1));
	UNFIT_FOR("boolean", MAP_ACCEPT_BOOL_NUMBER, v_int(2));
	UNFIT_FOR("boolean", MAP_ACCEPT_BOOL_NUMBER, v_int(-1));
	UNFIT_FOR("boolean", MAP_ACCEPT_BOOL_NUMBER, v_double((double)NAN));
	SAME_AS("boolean", MAP_ACCEPT_BOOL_STRING, v_text("FALSE"), f_number(0, 1));
	UNFIT_FOR("boolean", MAP_ACCEPT_BOOL_STRING, v_text("no"));
}

#define MS_2024 INT64_C(1704164645006) /* 2024-01-02T03:04:05.006Z */
#define US_2024 INT64_C(757479845006000)

static void test_times(void **state)
{
	(void)state;
	SAME_AS("timestamp(3)", 0, v_date(MS_2024), f_number(US_2024, 8));
	NOT_AS("timestamp(3)", 0, v_date(MS_2024), f_number(US_2024 + 1, 8));
	NOT_AS("timestamptz", 0, v_date(MS_2024), f_number(US_2024 + INT64_C(3600000000), 8));
	NOT_AS("timestamptz", 0, v_date(MS_2024), f_number(INT64_MAX, 8)); /* infinity */
	SAME_AS("timestamp", 0, v_date(-1), f_number(INT64_C(-946684800001000), 8));
	UNFIT_FOR("timestamp(0)", 0, v_date(MS_2024));
	UNFIT_FOR("timestamp", 0, v_date(INT64_MAX));
	UNFIT_FOR("timestamp", 0, v_date(INT64_MIN));
	SAME_AS("date", 0, v_date(INT64_C(86400000) * 10957), f_number(0, 4));
	SAME_AS("date", 0, v_date(INT64_C(-86400000)), f_number(-10958, 4));
	NOT_AS("date", 0, v_date(INT64_C(-86400000)), f_number(-10957, 4));
	UNFIT_FOR("date", 0, v_date(1));
	UNFIT_FOR("date", 0, v_date(-1));
	UNFIT_FOR("timestamp", 0, v_text("2024-01-02T03:04:05.006Z"));
	SAME_AS("timestamp", MAP_ACCEPT_ISO_STRING, v_text("2024-01-02T05:04:05.006+02:00"), f_number(US_2024, 8));
	SAME_AS("timestamp", MAP_ACCEPT_ISO_STRING, v_text("2024-01-02 03:04:05.006001"), f_number(US_2024 + 1, 8));
	UNFIT_FOR("timestamp", MAP_ACCEPT_ISO_STRING, v_text("2024-01-02T03:04:05.0060001Z"));
	UNFIT_FOR("timestamp", MAP_ACCEPT_ISO_STRING, v_text("2023-02-29T00:00:00Z"));
	SAME_AS("date", MAP_ACCEPT_ISO_STRING, v_text("2024-02-29"), f_number(8825, 4));
	SAME_AS("timestamp", MAP_ACCEPT_EPOCH_S, v_int(946684800), f_number(0, 8));
	SAME_AS("timestamp", MAP_ACCEPT_EPOCH_MS, v_double(946684800001.0), f_number(1000, 8));
	/* by digits, not by multiplying a double: 1.001 x 1000 is 1000.9999999999999 */
	SAME_AS("timestamp", MAP_ACCEPT_EPOCH_S, v_double(1.001), f_number(INT64_C(-946684798999000), 8));
	SAME_AS("timestamp", MAP_ACCEPT_EPOCH_S, v_double(1700000000.123), f_number(INT64_C(753315200123000), 8));
	UNFIT_FOR("timestamp", MAP_ACCEPT_EPOCH_S, v_double(1.0001));
	UNFIT_FOR("timestamp", MAP_ACCEPT_EPOCH_MS, v_double(0.5));
	UNFIT_FOR("timestamp", MAP_ACCEPT_EPOCH_MS, v_double((double)NAN));
	SAME_AS("time", MAP_ACCEPT_ISO_STRING, v_text("08:00:01.5"), f_number(INT64_C(28801500000), 8));
	NOT_AS("time", MAP_ACCEPT_ISO_STRING, v_text("08:00:01.5"), f_number(INT64_C(28801500001), 8));
	UNFIT_FOR("time", MAP_ACCEPT_ISO_STRING, v_text("24:00:00"));
	/* microseconds, days, months: 24 hours are no day */
	SAME_AS("interval", MAP_ACCEPT_ISO_STRING, v_text("P1Y2DT24H"), f_hex("000000141dd76000000000020000000c"));
	NOT_AS("interval", MAP_ACCEPT_ISO_STRING, v_text("P1Y2DT24H"), f_hex("0000000000000000000000030000000c"));
	UNFIT_FOR("interval", MAP_ACCEPT_ISO_STRING, v_text("P1Y2"));
}

static void test_texts(void **state)
{
	struct spec s = spec_of("text", 0), labels = spec_of("text", 0);
	static const struct map_label list[] = {{.from = "a", .to = "b"}};

	(void)state;
	SAME_AS("text", 0, v_text("Brno"), f_text("Brno"));
	NOT_AS("text", 0, v_text("Brno"), f_text("brno"));
	NOT_AS("text", 0, v_text("Brno"), f_text("Brno "));
	NOT_AS("text", 0, v_text("Brno "), f_text("Brno"));
	NOT_AS("text", 0, v_text("Brno"), f_text("Brn"));
	NOT_AS("text", 0, v_text("\xc3\xa9"), f_text("e\xcc\x81")); /* NFC, NFD */
	SAME_AS("text", 0, v_text(""), f_text(""));
	NOT_AS("text", 0, v_text(""), f_text("x"));
	UNFIT_FOR("text", 0, v_kind_text(BSON_K_STRING, "a\0b", 3));
	UNFIT_FOR("text", 0, v_text("\xff"));
	UNFIT_FOR("text", 0, v_text("\xed\xa0\x80")); /* a surrogate */
	UNFIT_FOR("text", 0, v_text("\xc0\xaf"));     /* overlong */
	s.encoding = MAP_ENCODING_REPLACE;
	try(__LINE__, s, v_kind_text(BSON_K_STRING, "a\0b\xff", 4),
	    f_text("a\xef\xbf\xbd"
		   "b\xef\xbf\xbd"),
	    SAME);
	try(__LINE__, s, v_kind_text(BSON_K_STRING, "a\0b", 3), f_text("ab"), DIFFERENT);
	s.encoding = MAP_ENCODING_STRIP;
	try(__LINE__, s, v_kind_text(BSON_K_STRING, "\0", 1), f_text(""), SAME);
	try(__LINE__, s, v_kind_text(BSON_K_STRING, "a\0b", 3), f_text("ab"), SAME);
	SAME_AS("varchar(3)", 0, v_text("\xc3\xa9\xc3\xa9\xc3\xa9"), f_text("\xc3\xa9\xc3\xa9\xc3\xa9"));
	UNFIT_FOR("varchar(3)", 0, v_text("abcd"));
	SAME_AS("char(4)", 0, v_text("ab"), f_text("ab  "));
	NOT_AS("char(4)", 0, v_text("ab"), f_text("abc "));
	UNFIT_FOR("char(4)", 0, v_text("ab "));
	UNFIT_FOR("text", 0, v_int(5));
	SAME_AS("text", MAP_ACCEPT_NUMBER_TEXT, v_double(5), f_text("5"));
	SAME_AS("text", MAP_ACCEPT_NUMBER_TEXT, v_decimal(500, -2), f_text("5.00"));
	NOT_AS("text", MAP_ACCEPT_NUMBER_TEXT, v_decimal(500, -2), f_text("5"));
	SAME_AS("text", MAP_ACCEPT_NUMBER_TEXT, v_date(0), f_text("1970-01-01T00:00:00.000Z"));
	SAME_AS("text", MAP_ACCEPT_HEX_ID, v_text("507F1F77BCF86CD799439011"), f_text("507f1f77bcf86cd799439011"));
	NOT_AS("text", 0, v_text("507F1F77BCF86CD799439011"), f_text("507f1f77bcf86cd799439011"));
	labels.labels = list;
	labels.nlabels = 1;
	try(__LINE__, labels, v_text("a"), f_text("b"), SAME);
	try(__LINE__, labels, v_text("a"), f_text("a"), DIFFERENT);
	try(__LINE__, labels, v_text("A"), f_text("A"), SAME);
	labels.fold_case = true;
	try(__LINE__, labels, v_text("A"), f_text("b"), SAME);
	SAME_AS("inet", 0, v_text("10.0.0.1/24"), f_hex("021800040a000001"));
	NOT_AS("inet", 0, v_text("10.0.0.1/24"), f_hex("021900040a000001"));
	NOT_AS("inet", 0, v_text("10.0.0.1/24"), f_hex("021801040a000001")); /* a cidr */
	UNFIT_FOR("inet", 0, v_text("10.0.0.1/33"));
}

static void test_enums(void **state)
{
	static const char *labels[] = {"GOOD", "Bad", "bad"};
	struct schema_enum e = {.name = "mood", .labels = labels, .nlabels = 3};
	struct spec s = spec_of("mood", 0);

	(void)state;
	s.enumeration = &e;
	try(__LINE__, s, v_text("GOOD"), f_text("GOOD"), SAME);
	try(__LINE__, s, v_text("GOOD"), f_text("Bad"), DIFFERENT);
	try(__LINE__, s, v_text("good"), f_text("GOOD"), UNFIT);
	s.fold_case = true;
	try(__LINE__, s, v_text("good"), f_text("GOOD"), SAME);
	try(__LINE__, s, v_text("BAD"), f_text("Bad"), UNFIT); /* two labels would do */
	try(__LINE__, s, v_text("bad"), f_text("bad"), SAME);
}

static void test_ids(void **state)
{
	static const char oid[] = "507f1f77bcf86cd799439011", uuid[] = "013a7092e8d87bcfa1b35e650e4044dc";
	static const char plain[] = "00112233445566778899aabbccddeeff";
	struct spec s = spec_of("uuid", 0);
	uint8_t name[64], want[16];
	struct buf canonical;

	(void)state;
	SAME_AS("uuid", 0, v_oid(oid), f_hex(uuid));
	NOT_AS("uuid", 0, v_oid(oid), f_hex("013a7092e8d87bcfa1b35e650e4044dd"));
	SAME_AS("uuid", 0, v_oid("000000000000000000000000"), f_hex("000000000000700080000000000000dc"));
	SAME_AS("uuid", 0, v_oid("ffffffffffffffffffffffff"), f_hex("03e7fffffc187fffbffffffffffffcdc"));
	SAME_AS("uuid", 0, v_binary(4, plain), f_hex(plain));
	UNFIT_FOR("uuid", 0, v_binary(3, plain));
	s.uuid_order = MAP_UUID_ORDER_JAVA;
	try(__LINE__, s, v_binary(3, plain), f_hex("7766554433221100ffeeddccbbaa9988"), SAME);
	s.uuid_order = MAP_UUID_ORDER_CSHARP;
	try(__LINE__, s, v_binary(3, plain), f_hex("33221100554477668899aabbccddeeff"), SAME);
	try(__LINE__, s, v_binary(4, plain), f_hex(plain), SAME);
	SAME_AS("uuid", 0, v_text("00112233-4455-6677-8899-AABBCCDDEEFF"), f_hex(plain));
	UNFIT_FOR("uuid", 0, v_text("00112233445566778899aabbccddeeff"));
	UNFIT_FOR("uuid", 0, v_text(oid));
	SAME_AS("uuid", MAP_ACCEPT_HEX_ID, v_text(oid), f_hex(uuid));
	UNFIT_FOR("uuid", 0, v_int(5));
	/* anything else is a UUIDv5 of the canonical form, whatever type of number it is */
	s = spec_of("uuid", 0);
	s.is_id = true;
	buf_init(&canonical, 0);
	struct val five = v_int(5);
	assert_true(canon_write(&canonical, &five));
	id_uuid_v5(name_space, canonical.data, canonical.len, want);
	(void)name;
	try(__LINE__, s, v_int(5), f_raw(want, 16), SAME);
	try(__LINE__, s, v_decimal(500, -2), f_raw(want, 16), SAME);
	try(__LINE__, s, v_double(5.0), f_raw(want, 16), SAME);
	try(__LINE__, s, v_double(5.5), f_raw(want, 16), DIFFERENT);
	try(__LINE__, s, v_text("5"), f_raw(want, 16), DIFFERENT);
	buf_free(&canonical);
}

/* Two writers of the canonical form, one in src/doc and one in src/validate, over every type and odd numbers. */
static void test_canonical_forms_agree(void **state)
{
	static const double doubles[] = {0,      -0.0, 1, -1, 0.1, 1e300, 5e-324, (double)NAN, (double)INFINITY,
					 0x1p60, -2.5};
	_cleanup_(buf_free) struct buf doc = {0};
	struct doc_iter it;
	struct field f;
	int n = 0;

	(void)state;
	size_t at = begin_doc(&doc);
	put_every_type(&doc);
	for (size_t i = 0; i < sizeof doubles / sizeof *doubles; i++)
		put_double(&doc, "d", doubles[i]);
	put_long(&doc, "l", INT64_MIN);
	put_raw(&doc, BSON_K_DECIMAL128, "x", v_decimal(-250, -2).data, 16);
	put_raw(&doc, BSON_K_DECIMAL128, "x", v_decimal(1, 6000).data, 16);
	end_doc(&doc, at);
	assert_true(doc_iter_init(&it, doc.data, doc.len));
	for (; doc_iter_next(&it, &f); n++) {
		_cleanup_(buf_free) struct buf a = {0}, b = {0};
		assert_true(canon_write(&a, &f.val) && id_canonical(&b, &f.val));
		if (a.len != b.len || memcmp(a.data, b.data, a.len) != 0)
			fail_msg("the canonical form of %s (%d) is another one", f.key, n);
	}
	assert_false(it.corrupt);
	assert_true(n > 30);
}

static void test_bytes(void **state)
{
	(void)state;
	SAME_AS("bytea", 0, v_binary(0, "00ff00"), f_hex("00ff00"));
	NOT_AS("bytea", 0, v_binary(0, "00ff00"), f_hex("00ff"));
	NOT_AS("bytea", 0, v_binary(0, "00ff00"), f_hex("00ff01"));
	SAME_AS("bytea", 0, v_binary(0, ""), f_hex(""));
	NOT_AS("bytea", 0, v_binary(0, ""), f_hex("00"));
	SAME_AS("bytea", 0, v_oid("507f1f77bcf86cd799439011"), f_hex("507f1f77bcf86cd799439011"));
	UNFIT_FOR("bytea", 0, v_text("abc"));
}

/* [1, null, 3] */
static struct val list(bool with_null)
{
	struct buf b = {0};
	size_t at = begin_doc(&b);

	put_int(&b, "0", 1);
	if (with_null)
		put_raw(&b, BSON_K_NULL, "1", "", 0);
	put_int(&b, "2", 3);
	end_doc(&b, at);
	struct val v = v_of(BSON_K_ARRAY, &b);
	buf_free(&b);
	return v;
}

static void test_arrays(void **state)
{
	struct field_bytes one = f_number(1, 4), three = f_number(3, 4), none = f_null();
	struct field_bytes right = f_array(3, (struct field_bytes[]){one, none, three});
	struct buf empty = {0};
	uint8_t shifted[200];

	(void)state;
	SAME_AS("integer[]", 0, list(true), right);
	SAME_AS("integer[]", 0, list(false), f_array(2, (struct field_bytes[]){one, three}));
	NOT_AS("integer[]", 0, list(true), f_array(2, (struct field_bytes[]){one, three}));
	NOT_AS("integer[]", 0, list(false), f_array(2, (struct field_bytes[]){three, one}));
	NOT_AS("integer[]", 0, list(false), f_array(3, (struct field_bytes[]){one, three, three}));
	NOT_AS("integer[]", 0, list(false), f_array(0, NULL));
	end_doc(&empty, begin_doc(&empty));
	SAME_AS("integer[]", 0, v_of(BSON_K_ARRAY, &empty), f_array(0, NULL));
	NOT_AS("integer[]", 0, v_of(BSON_K_ARRAY, &empty), f_array(1, &none));
	buf_free(&empty);
	memcpy(shifted, right.data, (size_t)right.len);
	shifted[19] = 0; /* lower bound 0 */
	NOT_AS("integer[]", 0, list(true), f_raw(shifted, (size_t)right.len));
	NOT_AS("integer[]", 0, list(true), f_raw(right.data, (size_t)right.len - 1)); /* cut short */
	NOT_AS("integer[]", 0, list(true), f_hex("00000001"));
	UNFIT_FOR("integer[]", 0, v_int(1));
	SAME_AS("integer[]", MAP_ACCEPT_SCALAR_ARRAY, v_int(1), f_array(1, &one));
	UNFIT_FOR("smallint[]", 0, v_text("x"));
	UNFIT_FOR("integer[][]", 0, list(false));
}

/* {five: 5, half: 5.0, list: [1, 3], text: "é", nothing: null} */
static struct val some_document(void)
{
	struct buf b = {0};
	size_t at = begin_doc(&b);

	put_int(&b, "five", 5);
	put_double(&b, "half", 5.0);
	put_raw(&b, BSON_K_ARRAY, "list", list(false).data, list(false).len);
	put_string(&b, "text", "\xc3\xa9");
	put_raw(&b, BSON_K_NULL, "nothing", "", 0);
	end_doc(&b, at);
	struct val v = v_of(BSON_K_DOCUMENT, &b);
	buf_free(&b);
	return v;
}

static void test_json(void **state)
{
	static const char *const wrong[] = {
		"{\"five\": 5.0, \"half\": 5.0, \"list\": [1, 3], \"text\": \"\xc3\xa9\", \"nothing\": null}",
		"{\"five\": \"5\", \"half\": 5.0, \"list\": [1, 3], \"text\": \"\xc3\xa9\", \"nothing\": null}",
		"{\"five\": 5, \"half\": 5, \"list\": [1, 3], \"text\": \"\xc3\xa9\", \"nothing\": null}",
		"{\"five\": 5, \"half\": 5.0, \"list\": [3, 1], \"text\": \"\xc3\xa9\", \"nothing\": null}",
		"{\"five\": 5, \"half\": 5.0, \"list\": [1, 3, 3], \"text\": \"\xc3\xa9\", \"nothing\": null}",
		"{\"five\": 5, \"half\": 5.0, \"list\": [1, 3], \"text\": \"e\", \"nothing\": null}",
		"{\"five\": 5, \"half\": 5.0, \"list\": [1, 3], \"text\": \"\xc3\xa9\"}",
		"{\"five\": 5, \"half\": 5.0, \"list\": [1, 3], \"text\": \"\xc3\xa9\", \"nothing\": null, \"more\": "
		"null}",
		"{\"five\": 5, \"half\": 5.0, \"list\": {\"0\": 1, \"1\": 3}, \"text\": \"\xc3\xa9\", \"nothing\": "
		"null}",
		"{\"Five\": 5, \"half\": 5.0, \"list\": [1, 3], \"text\": \"\xc3\xa9\", \"nothing\": null}",
		"null",
		"[]",
		"{",
		"",
	};
	struct spec canonical = spec_of("jsonb", 0), plain = spec_of("jsonb", 0);

	(void)state;
	SAME_AS("jsonb", 0, some_document(),
		f_jsonb("{\"half\": 5.0, \"five\": 5, \"nothing\": null, \"list\": [1, 3], \"text\": \"\xc3\xa9\"}"));
	for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
		NOT_AS("jsonb", 0, some_document(), f_jsonb(wrong[i]));
	SAME_AS("jsonb", 0, v_int(5), f_jsonb("5"));
	NOT_AS("jsonb", 0, v_int(5), f_jsonb("5.0"));
	NOT_AS("jsonb", 0, v_int(5), f_text("5")); /* no version */
	SAME_AS("jsonb", 0, v_double(1e21), f_jsonb("1000000000000000000000"));
	NOT_AS("jsonb", 0, v_double(1e21), f_jsonb("1000000000000000000001"));
	SAME_AS("jsonb", 0, v_double((double)NAN), f_jsonb("{\"$numberDouble\": \"NaN\"}"));
	SAME_AS("jsonb", 0, v_date(0), f_jsonb("{\"$date\": \"1970-01-01T00:00:00Z\"}"));
	NOT_AS("jsonb", 0, v_date(0), f_jsonb("{\"$date\": \"1970-01-01T00:00:00.001Z\"}"));
	SAME_AS("jsonb", 0, v_date(-1), f_jsonb("{\"$date\": {\"$numberLong\": \"-1\"}}"));
	SAME_AS("jsonb", 0, v_binary(0, "ff00"),
		f_jsonb("{\"$binary\": {\"base64\": \"/wA=\", \"subType\": \"00\"}}"));
	NOT_AS("jsonb", 0, v_binary(0, "ff00"),
	       f_jsonb("{\"$binary\": {\"base64\": \"/wE=\", \"subType\": \"00\"}}"));
	NOT_AS("jsonb", 0, v_binary(0, "ff00"),
	       f_jsonb("{\"$binary\": {\"base64\": \"/wA=\", \"subType\": \"01\"}}"));
	canonical.json = MAP_JSON_CANONICAL;
	try(__LINE__, canonical, v_int(5), f_jsonb("{\"$numberInt\": \"5\"}"), SAME);
	try(__LINE__, canonical, v_int(5), f_jsonb("{\"$numberLong\": \"5\"}"), DIFFERENT);
	try(__LINE__, canonical, v_int(5), f_jsonb("5"), DIFFERENT);
	plain.json = MAP_JSON_PLAIN;
	try(__LINE__, plain, v_decimal(150, -2), f_jsonb("1.50"), SAME);
	try(__LINE__, plain, v_decimal(150, -2), f_jsonb("1.5"), DIFFERENT);
	try(__LINE__, plain, v_oid("507f1f77bcf86cd799439011"), f_jsonb("\"507f1f77bcf86cd799439011\""), SAME);
	try(__LINE__, plain, v_oid("507f1f77bcf86cd799439011"), f_jsonb("\"507F1F77BCF86CD799439011\""), DIFFERENT);
	/* json keeps what was written: order, and no blanks */
	SAME_AS("json", 0, list(false), f_text("[1,3]"));
	NOT_AS("json", 0, list(false), f_text("[1, 3]"));
	UNFIT_FOR("jsonb", 0, v_kind_text(BSON_K_STRING, "a\0b", 3));
}

/* A key has one form on both sides: from the document, from the field, and from the server's text. */
static void one_form(int line, struct spec s, struct val v, struct field_bytes f, const char *text)
{
	_cleanup_(buf_free) struct buf a = {0}, b = {0}, c = {0}, written = {0};

	if (!key_of_val(&j, &s, &v, &a) || !key_of_field(&j, &s.type, f, &b))
		fail_msg("line %d: no form", line);
	if (a.len != b.len || memcmp(a.data, b.data, a.len) != 0)
		fail_msg("line %d: two forms", line);
	if (text == NULL)
		return;
	key_write(&s.type, a.data, a.len, &written);
	assert_string_equal(buf_cstr(&written), text);
	if (!key_of_text(&j, &s.type, text, strlen(text), &c) || a.len != c.len || memcmp(a.data, c.data, a.len) != 0)
		fail_msg("line %d: another form from text", line);
}

static void test_keys(void **state)
{
	static const char oid[] = "507f1f77bcf86cd799439011", uuid[] = "013a7092e8d87bcfa1b35e650e4044dc";
	struct spec id = spec_of("text", 0), dbref = spec_of("text", MAP_ACCEPT_DBREF);
	uint8_t pointer[40];

	(void)state;
	one_form(__LINE__, spec_of("uuid", 0), v_oid(oid), f_hex(uuid), "013a7092-e8d8-7bcf-a1b3-5e650e4044dc");
	one_form(__LINE__, spec_of("bigint", 0), v_int(-5), f_number(-5, 8), "-5");
	one_form(__LINE__, spec_of("smallint", 0), v_decimal(500, -2), f_number(5, 2), "5");
	/* the shortest digits of a double are not its integer */
	one_form(__LINE__, spec_of("bigint", 0), v_double(0x1p60), f_number(INT64_C(1) << 60, 8),
		 "1152921504606846976");
	one_form(__LINE__, spec_of("bigint", 0), v_double(-0x1p63), f_number(INT64_MIN, 8), "-9223372036854775808");
	one_form(__LINE__, spec_of("numeric", 0), v_decimal(110, -2), f_numeric("1.10"), NULL);
	one_form(__LINE__, spec_of("numeric", 0), v_double(-1e21), f_numeric("-1000000000000000000000"), NULL);
	one_form(__LINE__, spec_of("double precision", 0), v_double(-0.0), f_double(0), NULL);
	one_form(__LINE__, spec_of("text", 0), v_text("a\"b"), f_text("a\"b"), "a\"b");
	id.is_id = true;
	id.id_rule = MAP_ID_TEXT;
	one_form(__LINE__, id, v_oid(oid), f_text(oid), oid);
	one_form(__LINE__, spec_of("bytea", 0), v_oid(oid), f_hex(oid), "\\x507f1f77bcf86cd799439011");
	one_form(__LINE__, spec_of("date", 0), v_date(-86400000), f_number(-10958, 4), NULL);
	one_form(__LINE__, spec_of("timestamp", 0), v_date(-1), f_number(INT64_C(-946684800001000), 8), NULL);
	/* a DBPointer refers like a DBRef */
	memcpy(pointer, "\5\0\0\0db.c\0", 9);
	unhex(oid, pointer + 9);
	one_form(__LINE__, dbref, v_raw(BSON_K_DBPOINTER, pointer, 21), f_text(oid), oid);
	dbref = spec_of("bytea", MAP_ACCEPT_DBREF);
	one_form(__LINE__, dbref, v_raw(BSON_K_DBPOINTER, pointer, 21), f_hex(oid), NULL);
}

static int setup(void **state)
{
	(void)state;
	all = arena_new();
	judge_init(&j, 180000);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	judge_free(&j);
	arena_free(all);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_integers),
		cmocka_unit_test(test_floats),
		cmocka_unit_test(test_numerics),
		cmocka_unit_test(test_booleans),
		cmocka_unit_test(test_times),
		cmocka_unit_test(test_texts),
		cmocka_unit_test(test_enums),
		cmocka_unit_test(test_ids),
		cmocka_unit_test(test_canonical_forms_agree),
		cmocka_unit_test(test_bytes),
		cmocka_unit_test(test_arrays),
		cmocka_unit_test(test_json),
		cmocka_unit_test(test_keys),
	};
	return cmocka_run_group_tests(tests, setup, teardown);
}

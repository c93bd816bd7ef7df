/* The COPY BINARY buffer: rows, taking back, arrays, numeric, times. */
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "rowbuf.h"
#include "text.h"

static struct rowbuf rb;

static int setup(void **state)
{
	rowbuf_init(&rb);
	return 0;
}

static int teardown(void **state)
{
	rowbuf_free(&rb);
	return 0;
}

static void expect(const char *hex)
{
	char text[1024];
	assert_true(rb.buf.len < sizeof text / 2);
	text_hex(rb.buf.data, rb.buf.len, text);
	assert_string_equal(text, hex);
}

static void a_row_of_scalars(void **state)
{
	rowbuf_reset(&rb);
	rowbuf_begin_row(&rb, 7);
	rowbuf_put_bool(&rb, true);
	rowbuf_put_i16(&rb, -2);
	rowbuf_put_i32(&rb, 258);
	rowbuf_put_i64(&rb, INT64_MIN);
	rowbuf_put_f64(&rb, 1.0);
	rowbuf_put_null(&rb);
	rowbuf_put_bytes(&rb, "ab", 2);
	assert_true(rowbuf_end_row(&rb));
	expect("0007"
	       "0000000101"
	       "00000002fffe"
	       "0000000400000102"
	       "000000088000000000000000"
	       "000000083ff0000000000000"
	       "ffffffff"
	       "000000026162");
	assert_int_equal(rb.rows, 1);
}

static void header_and_trailer(void **state)
{
	rowbuf_reset(&rb);
	rowbuf_header(&rb);
	rowbuf_trailer(&rb);
	expect("5047434f50590aff0d0a00"
	       "00000000"
	       "00000000"
	       "ffff");
}

static void rows_are_taken_back(void **state)
{
	rowbuf_reset(&rb);
	rowbuf_begin_row(&rb, 1);
	rowbuf_put_bool(&rb, false);
	assert_true(rowbuf_end_row(&rb));
	struct rowbuf_mark mark = rowbuf_mark(&rb);
	rowbuf_begin_row(&rb, 2);
	rowbuf_put_i64(&rb, 1);
	rowbuf_undo_row(&rb);
	expect("00010000000100");
	for (int i = 0; i < 2; i++) {
		rowbuf_begin_row(&rb, 1);
		rowbuf_put_null(&rb);
		assert_true(rowbuf_end_row(&rb));
	}
	assert_int_equal(rb.rows, 3);
	rowbuf_take_back(&rb, &mark);
	assert_int_equal(rb.rows, 1);
	expect("00010000000100");
}

static void a_row_that_grew_too_large_is_undone(void **state)
{
	struct rowbuf small;
	rowbuf_init(&small);
	small.buf.max = 1024;
	rowbuf_begin_row(&small, 1);
	rowbuf_put_bool(&small, true);
	assert_true(rowbuf_end_row(&small));
	size_t len = small.buf.len;
	char text[2000] = {0};
	rowbuf_begin_row(&small, 2);
	rowbuf_put_bytes(&small, text, sizeof text);
	rowbuf_put_bool(&small, true);
	assert_false(rowbuf_end_row(&small));
	assert_int_equal(small.buf.len, len);
	assert_int_equal(small.rows, 1);
	rowbuf_begin_row(&small, 1);
	rowbuf_put_bool(&small, true);
	assert_true(rowbuf_end_row(&small));
	rowbuf_free(&small);
}

static void arrays(void **state)
{
	rowbuf_reset(&rb);
	rowbuf_begin_row(&rb, 3);
	size_t mark = rowbuf_open_array(&rb, 23, 2, true);
	rowbuf_put_i32(&rb, 7);
	rowbuf_put_null(&rb);
	rowbuf_close_array(&rb, mark);
	mark = rowbuf_open_array(&rb, 25, 0, false);
	rowbuf_close_array(&rb, mark);
	mark = rowbuf_open_array_n(&rb, 16, 2, (const int32_t[]){1, 2}, false);
	rowbuf_put_bool(&rb, true);
	rowbuf_put_bool(&rb, false);
	rowbuf_close_array(&rb, mark);
	assert_true(rowbuf_end_row(&rb));
	expect("0003"
	       "00000020"
	       "000000010000000100000017"
	       "0000000200000001"
	       "0000000400000007"
	       "ffffffff"
	       "0000000c"
	       "000000000000000000000019"
	       "00000026"
	       "000000020000000000000010"
	       "0000000100000001"
	       "0000000200000001"
	       "0000000101"
	       "0000000100");
}

static void numeric(const char *sign_digits, int exponent, const char *hex)
{
	bool negative = *sign_digits == '-';
	const char *digits = sign_digits + negative;
	rowbuf_reset(&rb);
	assert_true(rowbuf_put_numeric(&rb, negative, digits, strlen(digits), exponent));
	expect(hex);
}

static void numerics(void **state)
{
	/* length, ndigits, weight, sign, dscale, digits */
	numeric("0", 0,
		"00000008"
		"0000000000000000");
	numeric("-0", -2,
		"00000008"
		"0000000000000002");
	numeric("1", 0,
		"0000000a"
		"0001000000000000"
		"0001");
	numeric("110", -2,
		"0000000c"
		"0002000000000002"
		"000103e8");
	numeric("-12345678", 0,
		"0000000c"
		"0002000140000000"
		"04d2162e");
	numeric("10000", 0,
		"0000000a"
		"0001000100000000"
		"0001");
	numeric("00012", 3,
		"0000000c"
		"0002000100000000"
		"000107d0");
	numeric("1", -1,
		"0000000a"
		"0001ffff00000001"
		"03e8");
	numeric("1", -4,
		"0000000a"
		"0001ffff00000004"
		"0001");
	numeric("12", -5,
		"0000000c"
		"0002ffff00000005"
		"000107d0");
	numeric("1", -6176,
		"0000000a"
		"0001f9f800001820"
		"0001");
	numeric("9", 6144,
		"0000000a"
		"0001060000000000"
		"0009");
	rowbuf_reset(&rb);
	assert_false(rowbuf_put_numeric(&rb, false, "1", 1, -16384));
	assert_true(rowbuf_put_numeric(&rb, false, "1", 1, 131071));
	assert_false(rowbuf_put_numeric(&rb, false, "1", 1, 131072));
	rowbuf_reset(&rb);
	rowbuf_put_numeric_special(&rb, NUMERIC_NAN);
	rowbuf_put_numeric_special(&rb, NUMERIC_NINF);
	expect("00000008"
	       "00000000c0000000"
	       "00000008"
	       "00000000f0000000");
}

static void timestamps(void **state)
{
	int64_t us;
	assert_true(row_timestamp_from_ms(0, &us));
	assert_true(us == INT64_C(-946684800000000));
	assert_true(row_timestamp_from_ms(-1, &us));
	assert_true(us == INT64_C(-946684800001000));
	assert_true(row_timestamp_from_ms(INT64_C(-210866803200000), &us)); /* 4713-11-24 BC */
	assert_true(us == INT64_C(-211813488000000000));
	assert_false(row_timestamp_from_ms(INT64_C(-210866803200001), &us));
	assert_true(row_timestamp_from_ms(INT64_C(9224318015999999), &us)); /* 294276-12-31 23:59:59.999 */
	assert_true(us == INT64_C(9223371331199999000));
	assert_false(row_timestamp_from_ms(INT64_C(9224318016000000), &us));
	assert_false(row_timestamp_from_ms(INT64_MAX, &us));
	assert_false(row_timestamp_from_ms(INT64_MIN, &us));
}

static void dates(void **state)
{
	int32_t days;
	bool has_time;
	assert_true(row_date_from_ms(-1, &days, &has_time));
	assert_int_equal(days, -10958);
	assert_true(has_time);
	assert_true(row_date_from_ms(INT64_C(946684800000), &days, &has_time));
	assert_int_equal(days, 0);
	assert_false(has_time);
	assert_true(row_date_from_ms(INT64_C(-210866803200000), &days, &has_time));
	assert_int_equal(days, -2451545);
	assert_false(row_date_from_ms(INT64_C(-210866803200001), &days, &has_time));
	assert_false(row_date_from_ms(INT64_MAX, &days, &has_time));
	assert_false(row_date_from_ms(INT64_MIN, &days, &has_time));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_row_of_scalars),
		cmocka_unit_test(header_and_trailer),
		cmocka_unit_test(rows_are_taken_back),
		cmocka_unit_test(a_row_that_grew_too_large_is_undone),
		cmocka_unit_test(arrays),
		cmocka_unit_test(numerics),
		cmocka_unit_test(timestamps),
		cmocka_unit_test(dates),
	};
	return cmocka_run_group_tests(tests, setup, teardown);
}

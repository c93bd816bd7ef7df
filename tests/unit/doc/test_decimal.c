/* Decimal128: digits and text. The vectors come from another implementation (PyMongo's). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "decimal.h"
#include "text.h"

static const struct {
	const char *hex, *text;
} cases[] = {
	{"00000000000000000000000000004030", "0"},
	{"000000000000000000000000000040b0", "-0"},
	{"00000000000000000000000000000000", "0E-6176"},
	{"0000000000000000000000000000fe5f", "0E+6111"},
	{"00000000000000000000000000004630", "0E+3"},
	{"00000000000000000000000000003ab0", "-0.000"},
	{"01000000000000000000000000004030", "1"},
	{"010000000000000000000000000040b0", "-1"},
	{"6e000000000000000000000000003c30", "1.10"},
	{"01000000000000000000000000003e30", "0.1"},
	{"d2040000000000000000000000003430", "0.001234"},
	{"01000000000000000000000000003430", "0.000001"},
	{"01000000000000000000000000003230", "1E-7"},
	{"f2af967ed05c82de3297ff6fde3c1030", "1234567890.123456789012345678901234"},
	{"ffffffff638e8d37c087adbe09ed4130", "9999999999999999999999999999999999"},
	{"ffffffff638e8d37c087adbe09ed41b0", "-9999999999999999999999999999999999"},
	{"ffffffff638e8d37c087adbe09edff5f", "9.999999999999999999999999999999999E+6144"},
	{"01000000000000000000000000000000", "1E-6176"},
	{"0100000000000000000000000000fe5f", "1E+6111"},
	{"01000000000000000000000000004630", "1E+3"},
	{"0c000000000000000000000000004630", "1.2E+4"},
	{"7b000000000000000000000000002a30", "1.23E-9"},
	{"ffffffffffffffff0000000000004030", "18446744073709551615"},
	{"00000000000000000100000000004030", "18446744073709551616"},
	{"0000e8890423c78a0000000000004030", "10000000000000000000"},
	{"000000000a5bc138938d44c64d31fe5f", "1.000000000000000000000000000000000E+6144"},
	{"0000000000000000000000000000007c", "NaN"},
	{"00000000000000000000000000000078", "Infinity"},
	{"000000000000000000000000000000f8", "-Infinity"},
	{"000000000000000000000000000000fc", "NaN"},
	/* Not canonical: a coefficient of 10^34 or more, the form for even larger ones; NaN and infinity with other
	 * bits set. Made by hand from IEEE 754-2008, 3.5.2. */
	{"00000000648e8d37c087adbe09ed4130", "0"},
	{"ffffffffffffffffffffffffffff41b0", "-0"},
	{"3930000000000000000000000080116c", "0E+3"},
	{"010000000000000000000000000010ec", "-0"},
	{"6300000000000000000000000000007e", "NaN"},
	{"0100000000000000000000000000007c", "NaN"},
	{"0100000000000000000000000000007a", "Infinity"},
	{"4d0000000000000000000000000000f8", "-Infinity"},
};

static void read_case(const char *hex, struct decimal *d)
{
	uint8_t bytes[16];
	struct val v = {.data = bytes, .len = 16, .kind = BSON_K_DECIMAL128};

	assert_true(text_unhex(hex, 32, bytes));
	decimal_read(&v, d);
}

static void texts(void **state)
{
	struct decimal d;
	char out[48];
	size_t i;
	int n;

	(void)state;
	for (i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		read_case(cases[i].hex, &d);
		n = decimal_text(&d, out);
		assert_string_equal(out, cases[i].text);
		assert_int_equal(n, strlen(out));
	}
}

static void parts(void **state)
{
	struct decimal d;

	(void)state;
	read_case("6e000000000000000000000000003c30", &d); /* 1.10 */
	assert_int_equal(d.kind, DECIMAL_FINITE);
	assert_false(d.negative);
	assert_string_equal(d.digits, "110");
	assert_int_equal(d.ndigits, 3);
	assert_int_equal(d.exponent, -2);
	read_case("000000000000000000000000000040b0", &d); /* -0 */
	assert_true(d.negative);
	assert_string_equal(d.digits, "0");
	assert_int_equal(d.ndigits, 1);
	read_case("0000000000000000000000000000fe5f", &d); /* 0E+6111 */
	assert_int_equal(d.exponent, 6111);
}

/* Texts of the canonical cases (NaN has one form of many) give the same bytes again. */
static void from_texts(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct decimal d;
		uint8_t bytes[16];
		char hex[33], text[48];
		struct val v = {.data = bytes, .len = 16, .kind = BSON_K_DECIMAL128};
		assert_true(decimal_parse(cases[i].text, strlen(cases[i].text), bytes));
		if (i < 29) {
			text_hex(bytes, 16, hex);
			assert_string_equal(hex, cases[i].hex);
		}
		decimal_read(&v, &d);
		decimal_text(&d, text);
		assert_string_equal(text, cases[i].text);
	}
}

static void texts_that_are_brought_into_range(void **state)
{
	static const struct {
		const char *text, *same;
	} forms[] = {
		{"1E+6112", "1.0E+6112"},
		{"+12", "12"},
		{".5", "0.5"},
		{"5.", "5"},
		{"0E+9999", "0E+6111"},
		{"-0E-9999", "-0E-6176"},
		{"10E-6177", "1E-6176"},
		{"00012.50", "12.50"},
		{"1e3", "1E+3"},
		{"-Inf", "-Infinity"},
		{"0000000000000000000000000000000000000000001", "1"},
		{"10000000000000000000000000000000000", "1.000000000000000000000000000000000E+34"},
		{"0.10000000000000000000000000000000000000", "0.1000000000000000000000000000000000"},
	};
	(void)state;
	for (size_t i = 0; i < sizeof forms / sizeof forms[0]; i++) {
		struct decimal d;
		uint8_t bytes[16];
		char text[48];
		struct val v = {.data = bytes, .len = 16, .kind = BSON_K_DECIMAL128};
		assert_true(decimal_parse(forms[i].text, strlen(forms[i].text), bytes));
		decimal_read(&v, &d);
		decimal_text(&d, text);
		assert_string_equal(text, forms[i].same);
	}
}

static void texts_that_are_none(void **state)
{
	static const char *const bad[] = {"",
					  "-",
					  ".",
					  "1.2.3",
					  "1e",
					  "e5",
					  "1e+",
					  "0x10",
					  " 1",
					  "1 ",
					  "--1",
					  "nan1",
					  "1E+6145",
					  "1E-6177",
					  "12345678901234567890123456789012345",
					  "1.00000000000000000000000000000000001",
					  "15E-6177",
					  "Infinit"};
	uint8_t bytes[16];
	(void)state;
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
		if (decimal_parse(bad[i], strlen(bad[i]), bytes))
			fail_msg("\"%s\" was taken", bad[i]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(texts), cmocka_unit_test(parts), cmocka_unit_test(from_texts),
		cmocka_unit_test(texts_that_are_brought_into_range), cmocka_unit_test(texts_that_are_none)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

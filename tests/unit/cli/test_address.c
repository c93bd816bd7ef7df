/* Addresses without their passwords. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "address.h"

static const struct {
	const char *text, *masked;
} cases[] = {
	{"postgresql://u:secret@h:5432/db", "postgresql://u:***@h:5432/db"},
	{"postgres://u:se@cret@h/db", "postgres://u:***@h/db"},
	{"postgres://u:se/c?r@et@h/db", "postgres://u:***@h/db"},
	{"postgres://u:se'c ret@h/db", "postgres://u:***@h/db"},
	{"postgres://u@h/db", "postgres://u@h/db"},
	{"postgres://h:5432/db", "postgres://h:5432/db"},
	{"postgres://u:@h/db", "postgres://u:@h/db"},
	{"mongodb://u:secret@h1:1,h2:2/db?replicaSet=rs0", "mongodb://u:***@h1:1,h2:2/db?replicaSet=rs0"},
	{"mongodb+srv://u:secret@h/db", "mongodb+srv://u:***@h/db"},
	{"postgresql:///db?host=/tmp&user=u&password=secret&sslmode=require",
	 "postgresql:///db?host=/tmp&user=u&password=***&sslmode=require"},
	{"postgresql://h/db?sslpassword=secret", "postgresql://h/db?sslpassword=***"},
	{"mongodb://h/?tlsCertificateKeyFilePassword=secret&tls=true",
	 "mongodb://h/?tlsCertificateKeyFilePassword=***&tls=true"},
	{"mongodb://h/?authMechanismProperties=AWS_SESSION_TOKEN:secret&x=1",
	 "mongodb://h/?authMechanismProperties=AWS_SESSION_TOKEN:***&x=1"},
	{"host=h user=u password=secret dbname=d", "host=h user=u password=*** dbname=d"},
	{"host=h password='se cr\\'et' dbname=d", "host=h password='***' dbname=d"},
	{"host=h password = secret dbname=d", "host=h password = secret dbname=d"},
	{"cannot reach \"postgresql://u:secret@h/db\": no", "cannot reach \"postgresql://u:***@h/db\": no"},
	{"two: mongodb://a:b1@c and postgres://d:e2@f", "two: mongodb://a:***@c and postgres://d:***@f"},
	{"nothing to hide", "nothing to hide"},
	{"", ""},
};

static void test_mask(void **state)
{
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct buf b;
		char blotted[256];
		buf_init(&b, 0);
		address_mask(&b, cases[i].text);
		assert_string_equal(buf_cstr(&b), cases[i].masked);
		assert_int_equal(address_has_secret(cases[i].text), strcmp(cases[i].text, cases[i].masked) != 0);
		snprintf(blotted, sizeof(blotted), "%s", cases[i].text);
		address_blot(blotted);
		assert_int_equal(strlen(blotted), strlen(cases[i].text));
		if (strcmp(cases[i].text, cases[i].masked) != 0)
			assert_null(strstr(blotted, "secret"));
		buf_free(&b);
	}
}

static void test_kinds(void **state)
{
	assert_true(address_is_mongodb("mongodb://h"));
	assert_true(address_is_mongodb("mongodb+srv://h"));
	assert_false(address_is_mongodb("postgres://h"));
	assert_false(address_is_mongodb("dump/"));
	assert_true(address_is_postgresql("postgresql://h"));
	assert_true(address_is_postgresql("postgres://h"));
	assert_false(address_is_postgresql("host=h"));
}

static void test_database(void **state)
{
	static const char *const uris[][2] = {{"mongodb://h/db", "db"},  {"mongodb://u:p@h1,h2/db?x=/y", "db"},
					      {"mongodb://u:p@h", ""},   {"mongodb://h/?x=1", ""},
					      {"mongodb://h?x=a/b", ""}, {"mongodb://u:p/q@h/db", "db"}};

	for (size_t i = 0; i < sizeof(uris) / sizeof(uris[0]); i++) {
		struct buf b;
		buf_init(&b, 0);
		address_mongodb_database(&b, uris[i][0]);
		assert_string_equal(buf_cstr(&b), uris[i][1]);
		buf_free(&b);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_mask),
		cmocka_unit_test(test_kinds),
		cmocka_unit_test(test_database),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

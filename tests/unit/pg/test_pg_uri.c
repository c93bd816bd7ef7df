/* The target's address: Prisma's parameters, TLS words, and that no message quotes a password. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "pg_internal.h"

#define SECRET "s3cr3t"

/* What libpq gets for an address. */
static const struct {
	const char *uri, *conninfo, *schema, *sslmode;
} good[] = {
	{"postgresql://u@h/d", "postgresql://u@h/d", NULL, NULL},
	{"postgres://u:p@h:5433/d?schema=public", "postgres://u:p@h:5433/d", "public", NULL},
	{"postgresql://u@h/d?schema=my%20app&connection_limit=5&pool_timeout=2&pgbouncer=true", "postgresql://u@h/d",
	 "my app", NULL},
	{"postgresql://u@h/d?connect_timeout=7&schema=a&sslmode=require",
	 "postgresql://u@h/d?connect_timeout=7&sslmode=require", "a", "require"},
	{"postgresql://u@h/d?sslaccept=accept_invalid_certs", "postgresql://u@h/d?sslmode=require", NULL, "require"},
	{"postgresql://u@h/d?sslmode=prefer&sslaccept=accept_invalid_certs", "postgresql://u@h/d?sslmode=require",
	 NULL, "require"},
	{"postgresql://u@h/d?sslmode=verify-full&sslaccept=accept_invalid_certs",
	 "postgresql://u@h/d?sslmode=verify-full", NULL, "verify-full"},
	{"postgresql://u@h/d?sslmode=disable&sslaccept=strict", "postgresql://u@h/d?sslmode=disable", NULL,
	 "disable"},
	{"postgresql://u@h/d?sslmode=no-verify", "postgresql://u@h/d?sslmode=require", NULL, "require"},
	{"postgresql://u@h/d?sslmode=require&sslcert=ca.pem&schema=a",
	 "postgresql://u@h/d?sslmode=require&sslrootcert=ca.pem", "a", "require"},
	{"postgresql://u@h/d?sslmode=require&sslcert=c.pem&sslkey=k.pem&schema=a",
	 "postgresql://u@h/d?sslmode=require&sslcert=c.pem&sslkey=k.pem", "a", "require"},
	{"postgresql://u@h/d?sslrootcert=r.pem&sslmode=verify-ca&statement_cache_size=0",
	 "postgresql://u@h/d?sslrootcert=r.pem&sslmode=verify-ca", NULL, "verify-ca"},
	{"postgresql:///d?host=/run/pg&schema=", "postgresql:///d?host=/run/pg", NULL, NULL},
	{"postgresql://u:a%3Fb@h/d?schema=x", "postgresql://u:a%3Fb@h/d", "x", NULL},
	{"postgresql://u:a?b@h/d?schema=x", "postgresql://u:a?b@h/d", "x", NULL},
	{"postgresql://u@h1:1,h2:2/d?target_session_attrs=read-write&socket_timeout=3",
	 "postgresql://u@h1:1,h2:2/d?target_session_attrs=read-write", NULL, NULL},
	{"postgresql://u@h/d?", "postgresql://u@h/d", NULL, NULL},
	{"postgresql://u@h/d?&&schema=z&", "postgresql://u@h/d", "z", NULL},
	{"host=h dbname=d user=u password=p", "host=h dbname=d user=u password=p", NULL, NULL},
	{"nextcrm", "nextcrm", NULL, NULL},
	{"  postgresql://u@h/d", "postgresql://u@h/d", NULL, NULL},
};

static void assert_same_text(const char *a, const char *b)
{
	if (b == NULL)
		assert_null(a);
	else
		assert_string_equal(a, b);
}

static void takes_out_what_libpq_does_not_know(void **state)
{
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		struct err err;
		struct pg_uri u;
		if (!pg_uri_parse(good[i].uri, &u, &err))
			fail_msg("%s: %s (%s)", good[i].uri, err.message, err.detail);
		assert_string_equal(u.conninfo, good[i].conninfo);
		assert_same_text(u.schema, good[i].schema);
		assert_same_text(u.sslmode, good[i].sslmode);
		pg_uri_free(&u);
	}
}

static void reads_the_parts(void **state)
{
	struct err err;
	struct pg_uri u;
	assert_true(pg_uri_parse("postgresql://joe@h1,h2:7/db?connect_timeout=3&sslidentity=x.p12", &u, &err));
	assert_string_equal(u.host, "h1,h2");
	assert_string_equal(u.port, ",7");
	assert_string_equal(u.user, "joe");
	assert_string_equal(u.database, "db");
	assert_int_equal(u.connect_timeout, 3);
	assert_true(u.ignored_sslidentity);
	pg_uri_free(&u);
	assert_true(pg_uri_parse("dbname=d", &u, &err));
	assert_int_equal(u.connect_timeout, -1);
	assert_null(u.host);
	pg_uri_free(&u);
}

static void strict_verifies(void **state)
{
	struct err err;
	struct pg_uri u;
	assert_true(pg_uri_parse("postgresql://u@h/d?sslaccept=strict&sslcert=ca.pem", &u, &err));
	assert_string_equal(u.sslmode, "verify-full");
	assert_non_null(strstr(u.conninfo, "sslrootcert=ca.pem"));
	assert_null(strstr(u.conninfo, "sslaccept"));
	pg_uri_free(&u);
}

/* Wrong addresses, and a word that the error must hold. */
static const struct {
	const char *uri, *word;
} bad[] = {
	{"", "empty"},
	{"   ", "empty"},
	{"mongodb://u:" SECRET "@h/d", "swapped"},
	{"mongodb+srv://u:" SECRET "@h/d", "swapped"},
	{"prisma://accelerate/?api_key=" SECRET, "directUrl"},
	{"jdbc:postgresql://h/d?password=" SECRET, "JDBC"},
	{"mysql://u:" SECRET "@h/d", "MySQL"},
	{"http://u:" SECRET "@h/d", "postgresql://"},
	{"postgresql://u:x@" SECRET "@h/d", "%40"},
	{"postgresql://u:" SECRET "/x@h/d", "password"},
	{"postgresql://u:" SECRET "%zz@h/d", "%"},
	{"postgresql://u:" SECRET "@h/d?sslmoed=require", "sslmode"},
	{"postgresql://u:" SECRET "@h/d?nonsense_and_more=1", "nonsense_and_more"},
	{"host=h password=" SECRET " bogus=1", "unknown word"},
	{"host='h password=" SECRET, "quote"},
};

static void refuses_without_quoting_secrets(void **state)
{
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct err err;
		struct pg_uri u;
		if (pg_uri_parse(bad[i].uri, &u, &err))
			fail_msg("accepted: %s", bad[i].uri);
		assert_int_equal(err.code, ERR_TARGET_URI);
		if (strstr(err.message, bad[i].word) == NULL && strstr(err.detail, bad[i].word) == NULL &&
		    strstr(err.hint, bad[i].word) == NULL)
			fail_msg("%s: no \"%s\" in: %s | %s | %s", bad[i].uri, bad[i].word, err.message, err.detail,
				 err.hint);
		assert_null(strstr(err.message, SECRET));
		assert_null(strstr(err.detail, SECRET));
		assert_null(strstr(err.hint, SECRET));
	}
}

static void many_parameters(void **state)
{
	struct err err;
	struct pg_uri u;
	struct buf b;
	buf_init(&b, 0);
	buf_puts(&b, "postgresql://u@h/d?sslmode=require");
	for (int i = 0; i < 100; i++)
		buf_puts(&b, "&schema=x");
	assert_false(pg_uri_parse(buf_cstr(&b), &u, &err));
	assert_int_equal(err.code, ERR_TARGET_URI);
	buf_free(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(takes_out_what_libpq_does_not_know),
		cmocka_unit_test(reads_the_parts),
		cmocka_unit_test(strict_verifies),
		cmocka_unit_test(refuses_without_quoting_secrets),
		cmocka_unit_test(many_parameters),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

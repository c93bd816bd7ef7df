/* Opening a source: which kind an address means, and what is said about addresses that lead nowhere. No server. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <arpa/inet.h>
#include <cmocka.h>
#include <sys/socket.h>

#include "source.h"
#include "sys.h"

static void refuse(const char *where, const char *database, enum err_code code, struct err *err)
{
	struct source *s;
	assert_false(source_open(&s, where, &(struct source_options){.database = database}, err));
	if (err->code != code)
		fail_msg("%s: %s (%s)", err_code_text(err->code), err->message, err->detail);
	assert_null(s);
	assert_true(err->message[0] != 0);
	assert_int_equal(err->kind, err_code_kind(code));
}

static void assert_silent(const struct err *err, const char *secret)
{
	assert_null(strstr(err->message, secret));
	assert_null(strstr(err->detail, secret));
	assert_null(strstr(err->hint, secret));
}

static void other_schemes(void **state)
{
	struct err err;
	refuse("postgres://user:secret@host/db", NULL, ERR_SOURCE_URI, &err);
	assert_silent(&err, "secret");
	refuse("mysql://host", NULL, ERR_SOURCE_URI, &err);
}

static void malformed_addresses(void **state)
{
	struct err err;
	static const char *const bad[] = {"mongodb://",
					  "mongodb://user:sec%zzret@host/db",
					  "mongodb://user:secret@/db",
					  "mongodb://us@er:secret@host/db",
					  "mongodb://host:99999999/db",
					  "mongodb://a,b/db?directConnection=true"};
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		refuse(bad[i], "db", ERR_SOURCE_URI, &err);
		assert_silent(&err, "secret");
		assert_silent(&err, "sec%zzret");
	}
	refuse("mongodb://user:p/ss@host/db", "db", ERR_SOURCE_URI, &err);
	refuse("mongodb://user:12/34@host/db", "db", ERR_SOURCE_URI, &err);
	refuse("mongodb://user:p@ss@host/db", "db", ERR_SOURCE_URI, &err);
	assert_non_null(strstr(err.hint, "percent-encoded (@ is %40"));
}

static void address_without_database(void **state)
{
	struct err err;
	refuse("mongodb://127.0.0.1", NULL, ERR_SETTING_MISSING, &err);
	refuse("mongodb://127.0.0.1/?tls=false", NULL, ERR_SETTING_MISSING, &err);
}

static int free_port(void)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(a);
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof(a)), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&a, &len), 0);
	close(fd);
	return ntohs(a.sin_port);
}

static void unreachable_server(void **state)
{
	struct err err;
	char uri[128];
	double start = clock_seconds();
	snprintf(uri, sizeof(uri), "mongodb://user:secret@127.0.0.1:%d/db?serverSelectionTimeoutMS=500", free_port());
	refuse(uri, NULL, ERR_SOURCE_CONNECT, &err);
	assert_true(clock_seconds() - start < 8);
	assert_int_equal(err.class, ERR_CLASS_RETRY);
	assert_non_null(strstr(err.hint, "allow-list"));
	assert_silent(&err, "secret");
}

static void name_that_does_not_resolve(void **state)
{
	struct err err;
	refuse("mongodb://no-such-host.invalid/db?serverSelectionTimeoutMS=500", NULL, ERR_SOURCE_CONNECT, &err);
	assert_non_null(strstr(err.detail, "no-such-host.invalid"));
	refuse("mongodb+srv://no-such-host.invalid.example/db?serverSelectionTimeoutMS=500", NULL, ERR_SOURCE_CONNECT,
	       &err);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(other_schemes),
		cmocka_unit_test(malformed_addresses),
		cmocka_unit_test(address_without_database),
		cmocka_unit_test(unreachable_server),
		cmocka_unit_test(name_that_does_not_resolve),
	};
	return cmocka_run_group_tests_name("source", tests, NULL, NULL);
}

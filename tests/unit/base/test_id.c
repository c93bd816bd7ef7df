/* Ids: the shared vectors, a long walk, parsing, UUIDv5. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "id.h"
#include "sys.h"
#include "text.h"

static void check_pair(const char *hex, const char *text)
{
	uint8_t oid[OBJECTID_SIZE], back[OBJECTID_SIZE], uuid[UUID_SIZE];
	char out[UUID_TEXT_SIZE], out_hex[25];

	assert_true(id_objectid_parse(hex, strlen(hex), oid));
	id_objectid_to_uuid(oid, uuid);
	id_uuid_format(uuid, out);
	assert_string_equal(out, text);
	assert_true(id_uuid_to_objectid(uuid, back));
	id_objectid_format(back, out_hex);
	assert_string_equal(out_hex, hex);
}

static void check_null(const char *text)
{
	uint8_t oid[OBJECTID_SIZE], uuid[UUID_SIZE];

	assert_true(id_uuid_parse(text, strlen(text), uuid));
	if (id_uuid_to_objectid(uuid, oid))
		fail_msg("%s should hold no ObjectId", text);
}

/* tests/data/id-vectors.tsv: objectid (empty: the uuid holds none), uuid, note. The SQL functions' test reads it,
 * too. */
static void vectors(void **state)
{
	char path[4096], line[256];
	int pairs = 0, nulls = 0;
	FILE *f;

	(void)state;
	snprintf(path, sizeof path, "%s/tests/data/id-vectors.tsv", getenv("DOCROW_SOURCE_ROOT"));
	f = fopen(path, "r");
	assert_non_null(f);
	assert_non_null(fgets(line, sizeof line, f)); /* header */
	while (fgets(line, sizeof line, f)) {
		char *rest = line, *hex = strsep(&rest, "\t"), *uuid = strsep(&rest, "\t");

		assert_non_null(uuid);
		if (*hex) {
			check_pair(hex, uuid);
			pairs++;
		} else {
			check_null(uuid);
			nulls++;
		}
	}
	fclose(f);
	assert_true(pairs >= 30 && nulls >= 20);
}

/* Pseudo-random ids, many of them neighbours (same seconds, same random part), sorted: the UUIDs must come back and
 * stand in the same order. */
static int compare_oids(const void *a, const void *b)
{
	return memcmp(a, b, OBJECTID_SIZE);
}

static uint64_t next(uint64_t *s)
{
	*s = *s * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return *s >> 29 ^ *s;
}

static void fill_random(uint8_t oid[OBJECTID_SIZE], const uint8_t *before, uint64_t *seed)
{
	uint64_t r = next(seed);
	size_t keep = before ? r % 12 : 0, i; /* bytes taken from the id before */

	for (i = 0; i < OBJECTID_SIZE; i++)
		oid[i] = i < keep ? before[i] : (uint8_t)(next(seed) >> 20);
}

static void long_walk(void **state)
{
	enum { N = 200000 };
	uint8_t(*oids)[OBJECTID_SIZE] = malloc(N * sizeof *oids);
	uint8_t uuid[UUID_SIZE], before[UUID_SIZE] = {0}, back[OBJECTID_SIZE];
	uint64_t seed = 42;
	int i;

	(void)state;
	assert_non_null(oids);
	for (i = 0; i < N; i++)
		fill_random(oids[i], i > 0 ? oids[i - 1] : NULL, &seed);
	qsort(oids, N, sizeof *oids, compare_oids);
	for (i = 0; i < N; i++) {
		id_objectid_to_uuid(oids[i], uuid);
		assert_int_equal(uuid[6] >> 4, 7);
		assert_int_equal(uuid[8] >> 6, 2);
		assert_true(id_uuid_to_objectid(uuid, back));
		assert_memory_equal(back, oids[i], OBJECTID_SIZE);
		if (i > 0)
			assert_int_equal(memcmp(before, uuid, UUID_SIZE) < 0,
					 memcmp(oids[i - 1], oids[i], OBJECTID_SIZE) < 0);
		memcpy(before, uuid, UUID_SIZE);
	}
	free(oids);
}

static void parsing(void **state)
{
	static const char *const bad_oids[] = {"", "507f1f77bcf86cd79943901", "507f1f77bcf86cd7994390111",
					       "507f1f77bcf86cd79943901g", " 07f1f77bcf86cd799439011"};
	static const char *const bad_uuids[] = {"",
						"013a7092e8d87bcfa1b35e650e4044dc",
						"013a7092-e8d8-7bcf-a1b3-5e650e4044d",
						"013a7092-e8d8-7bcf-a1b3-5e650e4044dcc",
						"013a7092-e8d8-7bcf-a1b3_5e650e4044dc",
						"013a7092-e8d8-7bcf-a1b3-5e650e4044dx",
						"{13a7092-e8d8-7bcf-a1b3-5e650e4044d}"};
	uint8_t oid[OBJECTID_SIZE], uuid[UUID_SIZE];
	char text[UUID_TEXT_SIZE];
	size_t i;

	(void)state;
	for (i = 0; i < sizeof bad_oids / sizeof bad_oids[0]; i++)
		assert_false(id_objectid_parse(bad_oids[i], strlen(bad_oids[i]), oid));
	for (i = 0; i < sizeof bad_uuids / sizeof bad_uuids[0]; i++)
		assert_false(id_uuid_parse(bad_uuids[i], strlen(bad_uuids[i]), uuid));
	assert_true(id_objectid_parse("507F1F77BCF86CD799439011 tail", 24, oid));
	id_objectid_format(oid, text);
	assert_string_equal(text, "507f1f77bcf86cd799439011");
	assert_true(id_uuid_parse("013A7092-E8D8-7BCF-A1B3-5E650E4044DC", 36, uuid));
	id_uuid_format(uuid, text);
	assert_string_equal(text, "013a7092-e8d8-7bcf-a1b3-5e650e4044dc");
}

static void version_5(void **state)
{
	/* RFC 9562, appendix A.4: namespace DNS, "www.example.com". */
	uint8_t ns[UUID_SIZE], uuid[UUID_SIZE];
	char text[UUID_TEXT_SIZE];

	(void)state;
	assert_true(id_uuid_parse("6ba7b810-9dad-11d1-80b4-00c04fd430c8", 36, ns));
	id_uuid_v5(ns, "www.example.com", 15, uuid);
	id_uuid_format(uuid, text);
	assert_string_equal(text, "2ed6657d-e927-568b-95e1-2665a8aea6a2");
	id_uuid_v5(ns, "", 0, uuid);
	id_uuid_format(uuid, text);
	assert_string_equal(text, "4ebd0208-8328-5d69-8c44-ec50939c0967");
}

static void digests(void **state)
{
	uint8_t out[32];
	char hex[65];

	(void)state;
	sha256("abc", 3, out);
	text_hex(out, 32, hex);
	assert_string_equal(hex, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
	sha256("", 0, out);
	text_hex(out, 32, hex);
	assert_string_equal(hex, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(vectors), cmocka_unit_test(long_walk),
					   cmocka_unit_test(parsing), cmocka_unit_test(version_5),
					   cmocka_unit_test(digests)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

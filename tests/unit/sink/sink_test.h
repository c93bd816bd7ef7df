/* sink_test.h - what the tests of src/sink share: a model of the target written in a line, rows written in a line,
 * and answers of the server compared with a line.
 *
 * A model: table(f, "Users", "users", "*id uuid, !email text, note text"): * is the primary key, ! is NOT NULL.
 * Rows: load(f, "Users", "1 a@x -|2 b@x hello"): rows by |, cells by blanks, - is NULL; a uuid is a number n and
 * stands for the ObjectId whose last bytes are n. In SQL the function n(uuid) gives the number back.
 */
#ifndef DOCROW_SINK_TEST_H
#define DOCROW_SINK_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "id.h"
#include "sink.h"
#include "sink_sql.h"
#include "state.h"

#define OK(call)                                                                                                     \
	do {                                                                                                         \
		if (!(call))                                                                                         \
			fail_msg("line %d: %s: %s | %s | %s", __LINE__, #call, err.where, err.message, err.detail);  \
	} while (0)

#define MAX_THINGS 16

struct fixture {
	struct pg *pg;
	struct arena *arena;
	struct schema s;
	struct schema_table tables[MAX_THINGS];
	struct schema_ref refs[MAX_THINGS];
	struct schema_junction junctions[MAX_THINGS];
	struct schema_enum enums[2];
	struct ledger *ledger;
};

#define RUN  7
#define STEP 9

/* A connection to a database of this program's own (made and dropped by main); skips when there is none. */
struct pg *connect_or_skip(void);
int setup(void **state);
int teardown(void **state);
/* Runs the tests of the table in the database. */
int run_with_database(int (*run)(void));

int table(struct fixture *f, const char *name, const char *collection, const char *columns);
/* Adds to the table. Returns the index of the index. */
int add_index(struct fixture *f, int t, struct schema_index index);
/* A reference with a foreign key; or without (soft). Returns the index of the reference. */
int reference(struct fixture *f, int t, const char *column, int parent, enum orphan_policy policy);
int soft_reference(struct fixture *f, int t, const char *column, int parent, enum orphan_policy policy);
int column(const struct fixture *f, int t, const char *name);

void create(struct fixture *f); /* sink_check, sink_create, sink_resolve */
void load(struct fixture *f, const char *table, const char *rows);
void load_pairs(struct fixture *f, int junction, const char *rows); /* "1 2 L|1 3 R" */
void begin(struct fixture *f);                                      /* with sink_begin_settle */
void commit(struct fixture *f);
enum key_state key_state(struct fixture *f, int table, int fkey);
void add_keys(struct fixture *f); /* all primary keys */
/* All groups of references in their order, in one transaction. */
void settle_orphans(struct fixture *f);

/* The rows of the query as "a b|c d", NULL as -. */
char *answer(struct fixture *f, const char *sql);
#define EXPECT(f, sql, expected) assert_string_equal(answer(f, sql), expected)
uint64_t counted(struct fixture *f, enum ledger_kind kind, const char *object, const char *path);
#define COUNTED(f, kind, object, path, n) assert_int_equal(counted(f, LEDGER_##kind, object, path), n)

void make_oid(int n, uint8_t oid[12]);

#endif

/* Runs tests/cases/levels.table: every policy of a column, at the column, at its collection and for the mapping, for
 * a value that is there, missing, null or invalid. At each level a policy that says the opposite stands at the levels
 * around it, which must lose; without any policy the default must hold. See tests/cases/README.md.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <bson/bson.h>

#include "case_decode.h"
#include "convert.h"
#include "sys.h"

enum level { LEVEL_NONE, LEVEL_COLUMN, LEVEL_COLLECTION, LEVEL_MAPPING, LEVEL_COUNT };
static const char *const level_names[] = {"no", "column", "collection", "mapping"};

struct block {
	const char *policy, *against, *column, *levels;
};
struct line {
	const char *state, *fields, *without, *with, *words;
	int number;
};

static int ran, failed;
static bool walked[LEVEL_COUNT][4]; /* states, below */
static const char *const states[] = {"present", "missing", "null", "invalid"};

/* --- one line at one level --- */

static void put_yaml(struct buf *out, const struct block *b, enum level at)
{
	buf_puts(out, "docrow: 1\nenums: [{ name: mood, labels: [sad, ok, happy, Very Happy] }]\n");
	if (at != LEVEL_NONE)
		buf_printf(out, "policies: { %s }\n", at == LEVEL_MAPPING ? b->policy : b->against);
	buf_puts(out, "collections:\n  - collection: c\n    table: t\n");
	if (at == LEVEL_COLLECTION || at == LEVEL_COLUMN)
		buf_printf(out, "    policies: { %s }\n", at == LEVEL_COLLECTION ? b->policy : b->against);
	buf_printf(out,
		   "    columns:\n      - { name: id, from: _id, type: uuid, primary_key: true }\n"
		   "      - { name: v, type: %s%s%s }\n",
		   b->column, at == LEVEL_COLUMN ? ", " : "", at == LEVEL_COLUMN ? b->policy : "");
}

static bson_t *document(const char *fields)
{
	bson_error_t error;
	char json[1000];
	snprintf(json, sizeof json, "{\"_id\":{\"$oid\":\"507f1f77bcf86cd799439011\"}%s%s}",
		 fields[0] != '\0' ? "," : "", fields);
	bson_t *doc = bson_new_from_json((const uint8_t *)json, -1, &error);
	if (doc == NULL)
		fail_msg("%s: %s", json, error.message);
	return doc;
}

/* The second field of the only row: id comes first, 16 bytes long. */
static void decode(struct buf *out, const struct plan *p, struct rowbuf *rows)
{
	const uint8_t *field = rows->buf.data + 2 + 4 + 16;
	int32_t n = (int32_t)case_read_be(field, 4);
	if (n < 0)
		buf_puts(out, "NULL");
	else
		case_decode(out, &p->collections[0].outputs[0].columns[1].column->type, field + 4, (size_t)n);
}

static void squeeze(char *s)
{
	char *to = s;
	for (; *s != '\0'; s++)
		if (*s != ' ')
			*to++ = *s;
	*to = '\0';
}

/* Exactly these kinds are counted for the column, once each. */
static bool is_counted(struct ledger *l, const char *words)
{
	char padded[200];
	snprintf(padded, sizeof padded, " %s ", words);
	for (int kind = 0; kind < LEDGER_KIND_COUNT; kind++) {
		char word[64];
		snprintf(word, sizeof word, " %s ", ledger_kind_name((enum ledger_kind)kind));
		uint64_t wanted = strstr(padded, word) != NULL;
		if (*ledger_slot(l, (enum ledger_kind)kind, "t", "v") != wanted)
			return false;
	}
	return true;
}

static void complain(const struct block *b, const struct line *line, enum level at, const char *expected,
		     const char *got)
{
	printf("levels.table:%d: %s at %s level: expected %s, got %s\n", line->number, b->policy, level_names[at],
	       expected, got);
	failed++;
}

static void check(const struct block *b, const struct line *line, enum level at, const struct plan *p)
{
	struct ledger *ledger = ledger_new();
	struct conv *c = conv_new(p, 0, ledger);
	struct conv_where where;
	struct buf got;
	char expected[200];
	bson_t *doc = document(line->fields);
	buf_init(&got, 0);
	enum fault f = conv_document(c, bson_get_data(doc), doc->len, &where);
	if (f == FAULT_OK)
		decode(&got, p, conv_rows(c, 0));
	else
		buf_printf(&got, "!%s", fault_name(f));
	snprintf(expected, sizeof expected, "%s", at == LEVEL_NONE ? line->without : line->with);
	squeeze(expected);
	squeeze((char *)(uintptr_t)buf_cstr(&got));
	if (strcmp(buf_cstr(&got), expected) != 0)
		complain(b, line, at, expected, buf_cstr(&got));
	else if (at != LEVEL_NONE && !is_counted(ledger, line->words))
		complain(b, line, at, line->words, "other counts");
	bson_destroy(doc);
	buf_free(&got);
	conv_free(c);
	ledger_free(ledger);
	ran++;
}

static void check_at(const struct block *b, const struct line *line, enum level at)
{
	struct mapping *m = NULL;
	struct plan *p = NULL;
	struct buf yaml, report;
	struct err err;
	buf_init(&yaml, 0);
	buf_init(&report, 0);
	put_yaml(&yaml, b, at);
	if (!mapping_parse(&m, "levels", buf_cstr(&yaml), yaml.len, &report, &err) ||
	    !plan_build(&p, m, &report, &err))
		fail_msg("%s\n%s\n%s", err.message, buf_cstr(&report), buf_cstr(&yaml));
	check(b, line, at, p);
	for (size_t i = 0; i < 4; i++)
		walked[at][i] |= strcmp(line->state, states[i]) == 0;
	plan_free(p);
	mapping_free(m);
	buf_free(&yaml);
	buf_free(&report);
}

/* --- the file --- */

static char *trim(char *s)
{
	char *end = s + strlen(s);
	s += strspn(s, " ");
	while (end > s && end[-1] == ' ')
		*--end = '\0';
	return s;
}

/* The part up to the next bar. */
static char *cell(char **rest)
{
	static char nothing[] = "";
	char *s = *rest;
	if (s == NULL)
		return nothing;
	char *bar = strstr(s, "|");
	*rest = bar != NULL ? bar + 1 : NULL;
	if (bar != NULL)
		*bar = '\0';
	return trim(s);
}

static void read_line(struct block *b, char *text, int number)
{
	static const char *const heads[] = {"policy ", "against ", "column ", "levels "};
	const char **const parts[] = {&b->policy, &b->against, &b->column, &b->levels};
	for (size_t i = 0; i < 4; i++)
		if (strncmp(text, heads[i], strlen(heads[i])) == 0) {
			*parts[i] = trim(text + strlen(heads[i]));
			return;
		}
	struct line line = {.number = number};
	line.state = cell(&text);
	line.fields = cell(&text);
	line.without = cell(&text);
	line.with = cell(&text);
	line.words = cell(&text);
	check_at(b, &line, LEVEL_NONE);
	for (int at = LEVEL_COLUMN; at < LEVEL_COUNT; at++)
		if (strstr(b->levels, level_names[at]) != NULL)
			check_at(b, &line, (enum level)at);
}

static void every_policy_at_every_level(void **state)
{
	const char *root = getenv("DOCROW_SOURCE_ROOT");
	char path[1000];
	struct block b = {0};
	struct buf text;
	struct err err;
	int number = 0;
	buf_init(&text, 0);
	snprintf(path, sizeof path, "%s/tests/cases/levels.table", root != NULL ? root : ".");
	if (!file_read(path, 1u << 20, &text, &err))
		fail_msg("%s", err.message);
	for (char *s = (char *)(uintptr_t)buf_cstr(&text); s != NULL && *s != '\0';) {
		char *end = strchr(s, '\n');
		if (end != NULL)
			*end++ = '\0';
		number++;
		if (*s != '\0' && *s != '#')
			read_line(&b, s, number);
		s = end;
	}
	printf("%d checks\n", ran);
	buf_free(&text);
	assert_int_equal(failed, 0);
	for (size_t at = 0; at < LEVEL_COUNT; at++)
		for (size_t i = 0; i < 4; i++)
			assert_true(walked[at][i]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(every_policy_at_every_level)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

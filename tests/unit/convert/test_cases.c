/* Runs tests/cases: each case's value goes through mapping, plan and convert; the COPY field that comes out is
 * decoded here, by code of its own, and compared with the text that PostgreSQL shows. See tests/cases/README.md.
 */
#include <bson/bson.h>
#include <ctype.h>
#include <dirent.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "case_decode.h"
#include "convert.h"
#include "matrix.h"
#include "sys.h"
#include "text.h"

struct test_case {
	char *type, *value, *expected;
	char *words; /* "+a +b " */
	int line;
};

static int failures, ran;

/* What the cases of plain columns show of the matrix: by type, BSON type and word of accept (0: none). */
static struct shown {
	int in, refused;
} seen[PGT_COUNT][MATRIX_KINDS][33];

static void complain(const char *file, const struct test_case *t, const char *what, const char *got)
{
	printf("%s:%d: %s\n  type      %s\n  value     %s\n  expected  %s\n  got       %s\n", file, t->line, what,
	       t->type, t->value, t->expected, got);
	failures++;
}

/* --- the mapping of one case --- */

static void put_yaml(struct buf *out, const char *type)
{
	static const char head[] = "docrow: 1\n"
				   "source: { database: cases }\n"
				   "enums:\n"
				   "  - { name: mood, labels: [sad, ok, happy, Very Happy] }\n"
				   "collections:\n"
				   "  - collection: c\n"
				   "    table: t\n"
				   "    columns:\n"
				   "      - { name: id, from: _id, type: uuid, primary_key: true }\n";
	const char *policies = strstr(type, " {");
	size_t n = policies != NULL ? (size_t)(policies - type) : strlen(type);
	buf_puts(out, head);
	buf_printf(out, "      - { name: v, from: v, type: %s%.*s%s", *type == '"' ? "" : "\"", (int)n, type,
		   *type == '"' ? "" : "\"");
	if (policies != NULL)
		buf_printf(out, ", %s", policies + 2);
	else
		buf_puts(out, " }");
	buf_putc(out, '\n');
}

static bool make_plan(const char *file, const struct test_case *t, struct mapping **m, struct plan **p)
{
	_cleanup_(buf_free) struct buf yaml = {0}, report = {0};
	struct err err;
	put_yaml(&yaml, t->type);
	if (mapping_parse(m, "case", (const char *)yaml.data, yaml.len, &report, &err)) {
		if (plan_build(p, *m, &report, &err))
			return true;
		mapping_free(*m);
	}
	complain(file, t, err.message, buf_cstr(&report));
	return false;
}

/* --- the document --- */

static void put_document(struct buf *out, const bson_t *head, const uint8_t *field, size_t n)
{
	uint32_t len = (uint32_t)(head->len + n);
	buf_put(out, &len, 4);
	buf_put(out, bson_get_data(head) + 4, head->len - 5);
	buf_put(out, field, n);
	buf_putc(out, '\0');
}

static size_t unhex_spaced(const char *s, uint8_t *out)
{
	char hex[2048];
	size_t n = 0;
	for (; *s != '\0' && n < sizeof hex; s++)
		if (*s != ' ')
			hex[n++] = *s;
	return text_unhex(hex, n, out) ? n / 2 : 0;
}

/* "raw 02 …": type byte and payload. */
static bool put_raw(struct buf *out, const bson_t *head, const char *value)
{
	uint8_t bytes[1024], field[1027];
	size_t n = unhex_spaced(value + 4, bytes);
	if (n == 0)
		return false;
	field[0] = bytes[0];
	memcpy(field + 1, "v", 2);
	memcpy(field + 3, bytes + 1, n - 1);
	put_document(out, head, field, n + 2);
	return true;
}

static bool put_json_value(struct buf *out, bson_t *head, const char *value)
{
	_cleanup_(buf_free) struct buf json = {0};
	bson_error_t error;
	buf_printf(&json, "{\"v\":%s}", value);
	bson_t *v = bson_new_from_json(json.data, (ssize_t)json.len, &error);
	if (v == NULL) {
		printf("%s\n", error.message);
		return false;
	}
	put_document(out, head, bson_get_data(v) + 4, v->len - 5);
	bson_destroy(v);
	return true;
}

static bool make_document(struct buf *out, const char *value)
{
	bson_oid_t oid;
	bson_t *head = bson_new();
	bson_oid_init_from_string(&oid, "507f1f77bcf86cd799439011");
	BSON_APPEND_OID(head, "_id", &oid);
	BSON_APPEND_INT32(head, "other", 7);
	BSON_APPEND_DATE_TIME(head, "when", 1000000000123);
	BSON_APPEND_UTF8(head, "text", "x");
	bool ok = true;
	if (strcmp(value, "missing") == 0)
		put_document(out, head, NULL, 0);
	else if (strncmp(value, "raw ", 4) == 0)
		ok = put_raw(out, head, value);
	else
		ok = put_json_value(out, head, value);
	bson_destroy(head);
	return ok;
}

/* --- comparing --- */

/* --- JSON as jsonb shows it: keys by length and bytes, numbers without exponent, no blanks --- */

struct member {
	const char *key, *value;
	size_t key_len, value_len;
};

static const char *put_jsonb(struct buf *out, const char *s);

static const char *skip_string(const char *s)
{
	for (s++; *s != '"'; s++)
		s += *s == '\\';
	return s + 1;
}

static const char *skip_blanks(const char *s)
{
	while (*s == ' ')
		s++;
	return s;
}

static int by_length(const void *a, const void *b)
{
	const struct member *x = a, *y = b;
	if (x->key_len != y->key_len)
		return x->key_len < y->key_len ? -1 : 1;
	return memcmp(x->key, y->key, x->key_len);
}

static const char *put_object(struct buf *out, const char *s)
{
	_cleanup_(buf_free) struct buf values = {0};
	struct member members[64];
	size_t n = 0, ends[64];
	for (s = skip_blanks(s + 1); *s != '}'; n++) {
		members[n].key = s;
		s = skip_string(s);
		members[n].key_len = (size_t)(s - members[n].key);
		s = skip_blanks(put_jsonb(&values, skip_blanks(s) + 1));
		ends[n] = values.len;
		s = skip_blanks(*s == ',' ? s + 1 : s);
	}
	for (size_t i = 0; i < n; i++) {
		size_t from = i > 0 ? ends[i - 1] : 0;
		members[i].value = (const char *)values.data + from;
		members[i].value_len = ends[i] - from;
	}
	if (n > 0)
		qsort(members, n, sizeof members[0], by_length);
	buf_putc(out, '{');
	for (size_t i = 0; i < n; i++) {
		buf_puts(out, i > 0 ? "," : "");
		buf_put(out, members[i].key, members[i].key_len);
		buf_putc(out, ':');
		buf_put(out, members[i].value, members[i].value_len);
	}
	buf_putc(out, '}');
	return s + 1;
}

static const char *put_list(struct buf *out, const char *s)
{
	buf_putc(out, '[');
	for (s = skip_blanks(s + 1); *s != ']';) {
		s = skip_blanks(put_jsonb(out, s));
		if (*s == ',')
			buf_putc(out, *s++);
	}
	buf_putc(out, ']');
	return s + 1;
}

/* As numeric: -0 is 0, and an exponent moves the point. */
static const char *put_number(struct buf *out, const char *s)
{
	const char *end = s + strspn(s, "+-.eE0123456789");
	bool negative = *s == '-';
	char digits[800];
	int n = 0, point = -1, exponent = 0;
	for (s += negative; s < end && (*s | 0x20) != 'e'; s++) {
		if (*s == '.')
			point = n;
		else
			digits[n++] = *s;
	}
	if (s < end)
		exponent = atoi(s + 1);
	point = (point < 0 ? n : point) + exponent;
	for (; point < 1; point++, n++) {
		memmove(digits + 1, digits, (size_t)n);
		digits[0] = '0';
	}
	while (n < point)
		digits[n++] = '0';
	digits[n] = '\0';
	buf_puts(out, negative && strspn(digits, "0") < (size_t)n ? "-" : "");
	buf_printf(out, "%.*s%s%s", point, digits, n > point ? "." : "", digits + point);
	return end;
}

static const char *put_jsonb(struct buf *out, const char *s)
{
	s = skip_blanks(s);
	const char *end = *s == '"' ? skip_string(s) : s + strspn(s, "truefalsn");
	if (*s == '{')
		return put_object(out, s);
	if (*s == '[')
		return put_list(out, s);
	if (*s == '-' || isdigit((unsigned char)*s))
		return put_number(out, s);
	buf_put(out, s, (size_t)(end - s));
	return end;
}

/* Blanks outside JSON strings away. */
static void squeeze_json(char *s)
{
	bool in_string = false;
	char *to = s;
	for (; *s != '\0'; s++) {
		if (*s == '"')
			in_string = !in_string;
		else if (in_string && *s == '\\' && s[1] != '\0')
			*to++ = *s++;
		if (in_string || *s != ' ')
			*to++ = *s;
	}
	*to = '\0';
}

static bool is_jsonb(const char *type)
{
	return strncmp(type, "jsonb", 5) == 0;
}

static bool is_json(const char *type)
{
	return strncmp(type, "json", 4) == 0;
}

static void unescape(char *s)
{
	char *to = s;
	for (; *s != '\0'; s++) {
		if (*s == '\\' && (s[1] == 'n' || s[1] == 't' || s[1] == '\\'))
			s++, *to++ = *s == 'n' ? '\n' : *s == 't' ? '\t' : '\\';
		else
			*to++ = *s;
	}
	*to = '\0';
}

static bool same_text(const struct test_case *t, const char *got)
{
	char *a = strdup(t->expected), *b = strdup(got);
	unescape(a);
	bool json = is_json(t->type) && *got != '!' && strcmp(got, "NULL") != 0;
	if (json && is_jsonb(t->type)) {
		_cleanup_(buf_free) struct buf shown = {0};
		put_jsonb(&shown, b);
		free(b);
		b = strdup(buf_cstr(&shown));
	}
	if (json) {
		squeeze_json(a);
		squeeze_json(b);
	}
	bool same = strcmp(a, b) == 0;
	free(a);
	free(b);
	return same;
}

/* --- one case --- */

static void check_words(const char *file, const struct test_case *t, struct ledger *l)
{
	static const enum ledger_kind kinds[] = {
		LEDGER_IS_MISSING,      LEDGER_IS_NULL,      LEDGER_IS_UNDEFINED,    LEDGER_ACCEPTED,
		LEDGER_NEGATIVE_ZERO,   LEDGER_ENCODING,     LEDGER_ROUNDED,         LEDGER_LABELLED,
		LEDGER_DEFAULT_MISSING, LEDGER_DEFAULT_NULL, LEDGER_DEFAULT_INVALID, LEDGER_DEFAULT_UNDEFINED,
		LEDGER_IS_INVALID,      LEDGER_FOLDED,       LEDGER_DUPLICATE_KEYS};
	for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
		char word[64];
		snprintf(word, sizeof word, "+%s ", ledger_kind_name(kinds[i]));
		bool wanted = strstr(t->words, word) != NULL, counted = ledger_sum(l, kinds[i], "t") > 0;
		if (wanted != counted)
			complain(file, t, wanted ? "not counted" : "counted", word);
	}
}

static const struct pgtype *type_of(const struct plan *p)
{
	const struct schema_table *table = &p->schema.tables[0];
	return &table->columns[schema_find_column(table, "v")].type;
}

/* The second field of the only row. */
static void show_field(struct buf *out, const struct plan *p, struct rowbuf *rows)
{
	const uint8_t *f = rows->buf.data + 2 + 4 + 16;
	int32_t n = (int32_t)case_read_be(f, 4);
	if (n < 0)
		buf_puts(out, "NULL");
	else
		case_decode(out, type_of(p), f + 4, (size_t)n);
}

static void remember(const struct plan *p, const struct buf *doc, enum fault f)
{
	const struct plan_output *o = &p->collections[0].outputs[0];
	const struct pgtype *t = type_of(p);
	unsigned accept = o->columns[o->ncolumns - 1].map->accept;
	struct val v;
	if (t->array || f == FAULT_CORRUPT || !doc_find(doc->data, doc->len, "v", &v))
		return;
	for (unsigned word = 0; word < 33; word++) {
		struct shown *s = &seen[t->base][matrix_kind(v.kind)][word];
		if (word == 0 ? accept == 0 : (accept & 1u << (word - 1)) != 0) {
			s->in += f == FAULT_OK;
			s->refused += f != FAULT_OK;
		}
	}
}

/* Every cell: a value that goes in, if there is one, and one that does not. */
static void check_cell(enum pgt base, unsigned kind, unsigned word)
{
	const struct matrix_row *row = NULL;
	unsigned accept = word == 0 ? 0 : 1u << (word - 1);
	for (size_t i = 0; i < matrix_nrows; i++) {
		const struct matrix_row *r = &matrix_rows[i];
		bool open = word == 0 ? r->accept == 0 : (r->accept & accept) != 0;
		if (open && !r->keys && (r->types & 1u << base) != 0 && (r->kinds & 1u << kind) != 0)
			row = r;
	}
	const struct shown *s = &seen[base][kind][word];
	bool lacks_in = row != NULL && s->in == 0, lacks_refused = row != NULL && row->way == MATRIX_IF;
	lacks_refused = (lacks_refused || (row == NULL && word == 0)) && s->refused == 0;
	if (!lacks_in && !lacks_refused)
		return;
	printf("no case of %s into %s%s%s that %s\n", matrix_kind_name(kind), pgt_name(base), word > 0 ? " by " : "",
	       word > 0 ? map_accept_word((enum map_accept)accept) : "", lacks_in ? "goes in" : "is refused");
	failures++;
}

static void check_cells(void)
{
	for (int base = 0; base < PGT_COUNT; base++) /* tsvector is no column of a value */
		for (unsigned kind = 1; kind < MATRIX_KINDS; kind++)
			for (unsigned word = 0;
			     word < 33 && base != PGT_TSVECTOR && kind != BSON_K_NULL && kind != BSON_K_UNDEFINED;
			     word++)
				check_cell((enum pgt)base, kind, word);
}

static void convert_case(const char *file, const struct test_case *t, const struct plan *p, const struct buf *doc)
{
	_cleanup_(buf_free) struct buf got = {0};
	struct ledger *ledger = ledger_new();
	struct conv *c = conv_new(p, 0, ledger);
	struct conv_where where;
	struct rowbuf *rows = conv_rows(c, 0);
	enum fault f = conv_document(c, doc->data, doc->len, &where);
	if (f != FAULT_OK)
		buf_printf(&got, "!%s", fault_name(f));
	else
		show_field(&got, p, rows);
	if (rows->rows != (f == FAULT_OK) || (f != FAULT_OK && rows->buf.len != 0))
		complain(file, t, "the rows are not as they should be", "");
	if (!same_text(t, buf_cstr(&got)))
		complain(file, t, f != FAULT_OK ? where.note : "another value", buf_cstr(&got));
	check_words(file, t, ledger);
	remember(p, doc, f);
	conv_free(c);
	ledger_free(ledger);
}

static void run_case(const char *file, const struct test_case *t)
{
	_cleanup_(buf_free) struct buf doc = {0}, report = {0};
	struct mapping *m;
	struct plan *p;
	ran++;
	if (!make_document(&doc, t->value)) {
		complain(file, t, "the value does not read", "");
		return;
	}
	if (!make_plan(file, t, &m, &p))
		return;
	if (!conv_check(p, CONV_NEWEST_SERVER, &report))
		complain(file, t, "a literal does not read", buf_cstr(&report));
	convert_case(file, t, p, &doc);
	plan_free(p);
	mapping_free(m);
}

/* --- files --- */

static char *next_line(char **at, int *line)
{
	char *s = *at;
	if (*s == '\0')
		return NULL;
	char *end = strchr(s, '\n');
	*at = end != NULL ? end + 1 : s + strlen(s);
	if (end != NULL)
		*end = '\0';
	++*line;
	return s;
}

static void run_text(const char *file, char *text)
{
	int line = 0;
	char *s, *at = text;
	while ((s = next_line(&at, &line)) != NULL) {
		char words[256] = "";
		if (*s == '\0' || *s == '#')
			continue;
		struct test_case t = {.type = s, .line = line, .words = words};
		t.value = next_line(&at, &line);
		t.expected = next_line(&at, &line);
		if (t.expected == NULL) {
			complain(file, &(struct test_case){"", "", "", "", line}, "half a case", s);
			return;
		}
		while (*at == '+')
			snprintf(words + strlen(words), sizeof words - strlen(words), "%s ", next_line(&at, &line));
		run_case(file, &t);
	}
}

static void run_file(const char *folder, const char *name)
{
	_cleanup_(buf_free) struct buf path = {0}, text = {0};
	struct err err;
	buf_printf(&path, "%s/%s", folder, name);
	if (!file_read(buf_cstr(&path), 1 << 20, &text, &err)) {
		printf("%s\n", err.message);
		failures++;
		return;
	}
	buf_cstr(&text);
	run_text(name, (char *)text.data);
}

int main(void)
{
	char folder[1024];
	const char *root = getenv("DOCROW_SOURCE_ROOT");
	snprintf(folder, sizeof folder, "%s/tests/cases", root != NULL ? root : ".");
	DIR *dir = opendir(folder);
	for (struct dirent *e; dir != NULL && (e = readdir(dir)) != NULL;)
		if (strlen(e->d_name) > 5 && strcmp(e->d_name + strlen(e->d_name) - 5, ".case") == 0)
			run_file(folder, e->d_name);
	if (dir != NULL)
		closedir(dir);
	check_cells();
	printf("%d cases, %d complaints\n", ran, failures);
	return failures > 0 || ran == 0;
}

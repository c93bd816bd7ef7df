/* matrix.c - the matrix as data: what a check asks of it, and the manual's page. */
#include "matrix.h"

#include "map_private.h"

#define ROW(types, kinds, way, accept, columns, put, when)                                                           \
	{(types), (kinds), MATRIX_##way, (accept), MATRIX_COLUMNS_##columns, (when)},
#define MATRIX_COLUMNS_ALL  false
#define MATRIX_COLUMNS_KEYS true
const struct matrix_row matrix_rows[] = {
#include "matrix_rows.def"
};
const size_t matrix_nrows = COUNT_OF(matrix_rows);

static bool is_of(const struct matrix_row *r, enum pgt base, unsigned kind)
{
	return base < PGT_COUNT && (r->types & 1u << base) != 0 && (r->kinds & 1u << kind) != 0;
}

enum matrix_verdict matrix_verdict(enum pgt base, unsigned kind, bool is_key, unsigned *words)
{
	bool natural = false;
	unsigned accept = 0;
	for (size_t i = 0; i < matrix_nrows; i++) {
		const struct matrix_row *r = &matrix_rows[i];
		if (!is_of(r, base, kind) || (r->keys && !is_key))
			continue;
		natural |= r->accept == 0;
		accept |= r->accept;
	}
	if (words != NULL)
		*words = accept;
	return natural ? MATRIX_NATURALLY : accept != 0 ? MATRIX_BY_WORD : MATRIX_NO;
}

unsigned matrix_accept(enum pgt base, bool is_key)
{
	unsigned words = 0;
	for (size_t i = 0; i < matrix_nrows; i++)
		if ((matrix_rows[i].types & 1u << base) != 0 && (!matrix_rows[i].keys || is_key))
			words |= matrix_rows[i].accept;
	return words;
}

/* --- the nearest type --- */

static const enum pgt natural_types[MATRIX_KINDS] = {
	[BSON_K_DOUBLE] = PGT_FLOAT8,      [BSON_K_STRING] = PGT_TEXT,     [BSON_K_DOCUMENT] = PGT_JSONB,
	[BSON_K_ARRAY] = PGT_JSONB,        [BSON_K_BINARY] = PGT_BYTEA,    [BSON_K_UNDEFINED] = PGT_JSONB,
	[BSON_K_OBJECTID] = PGT_UUID,      [BSON_K_BOOL] = PGT_BOOL,       [BSON_K_DATE] = PGT_TIMESTAMPTZ,
	[BSON_K_NULL] = PGT_JSONB,         [BSON_K_REGEX] = PGT_JSONB,     [BSON_K_DBPOINTER] = PGT_JSONB,
	[BSON_K_CODE] = PGT_JSONB,         [BSON_K_SYMBOL] = PGT_JSONB,    [BSON_K_CODEWSCOPE] = PGT_JSONB,
	[BSON_K_INT32] = PGT_INT4,         [BSON_K_TIMESTAMP] = PGT_JSONB, [BSON_K_INT64] = PGT_INT8,
	[BSON_K_DECIMAL128] = PGT_NUMERIC, [MATRIX_MINKEY] = PGT_JSONB,    [MATRIX_MAXKEY] = PGT_JSONB,
};

const char *matrix_natural_type(unsigned kind)
{
	return pgt_name(natural_types[kind]);
}

static const char *type_text(struct arena *a, const struct pgtype *t)
{
	_cleanup_(buf_free) struct buf b = {0};
	pgtype_sql(&b, t, NULL);
	return arena_strdup(a, buf_cstr(&b));
}

const char *matrix_nearest(struct arena *a, const struct pgtype *t, unsigned kind)
{
	struct pgtype list = *t;
	if (kind != BSON_K_ARRAY || t->base == PGT_JSON || t->base == PGT_VECTOR || t->dims >= PGTYPE_MAX_DIMS)
		return pgt_name(natural_types[kind]);
	list.array = true;
	list.dims = t->dims + 1;
	return type_text(a, &list);
}

/* --- the manual's page --- */

static uint8_t byte_of(unsigned kind)
{
	return kind == MATRIX_MINKEY ? BSON_K_MINKEY : kind == MATRIX_MAXKEY ? BSON_K_MAXKEY : (uint8_t)kind;
}

const char *matrix_kind_name(unsigned kind)
{
	return bson_kind_name(byte_of(kind));
}

#define GROUP_MAX 5
static const struct {
	const char *title;
	enum pgt types[GROUP_MAX];
	size_t n;
} groups[] = {
	{"boolean and integers", {PGT_BOOL, PGT_INT2, PGT_INT4, PGT_INT8}, 4},
	{"real, double precision, numeric", {PGT_FLOAT4, PGT_FLOAT8, PGT_NUMERIC}, 3},
	{"text", {PGT_TEXT, PGT_CITEXT, PGT_NAME, PGT_VARCHAR, PGT_CHAR}, 5},
	{"uuid, bytea", {PGT_UUID, PGT_BYTEA}, 2},
	{"date and time", {PGT_DATE, PGT_TIMESTAMP, PGT_TIMESTAMPTZ, PGT_TIME, PGT_INTERVAL}, 5},
	{"enum, inet, vector", {PGT_ENUM, PGT_INET, PGT_VECTOR}, 3},
	{"json, jsonb", {PGT_JSON, PGT_JSONB}, 2},
};

static const char *title_of(enum pgt base)
{
	static const char *const titles[PGT_COUNT] = {
		[PGT_NUMERIC] = "numeric(p,s)", [PGT_VARCHAR] = "varchar(n)",         [PGT_CHAR] = "char(n)",
		[PGT_TIME] = "time(p)",         [PGT_TIMESTAMP] = "timestamp(p)",     [PGT_VECTOR] = "vector(n)",
		[PGT_INTERVAL] = "interval(p)", [PGT_TIMESTAMPTZ] = "timestamptz(p)",
	};
	return titles[base] != NULL ? titles[base] : pgt_name(base);
}

static void put_words(struct buf *out, unsigned accept)
{
	const char *before = "";
	for (size_t i = 0; i < map_words_accept.n; i++)
		if ((accept & (unsigned)map_words_accept.list[i].value) != 0) {
			buf_printf(out, "%s`%s`", before, map_words_accept.list[i].word);
			before = ", ";
		}
}

static void put_row(struct buf *out, const struct matrix_row *r)
{
	put_words(out, r->accept);
	if (r->keys)
		buf_puts(out, " (keys)");
	if (r->accept == 0)
		buf_puts(out, r->way == MATRIX_EXACT ? "exact" : "if");
	if (*r->when == '\0')
		return;
	buf_puts(out, r->accept != 0 ? ": " : r->way == MATRIX_EXACT ? ": " : " ");
	buf_puts(out, r->when);
}

/* Is there a later row for the cell by the same words? */
static bool is_replaced(size_t at, enum pgt base, unsigned kind)
{
	for (size_t i = at + 1; i < matrix_nrows; i++)
		if (is_of(&matrix_rows[i], base, kind) && matrix_rows[i].accept == matrix_rows[at].accept)
			return true;
	return false;
}

static void put_cell(struct buf *out, enum pgt base, unsigned kind)
{
	const char *before = "";
	for (size_t i = 0; i < matrix_nrows; i++)
		if (is_of(&matrix_rows[i], base, kind) && !is_replaced(i, base, kind)) {
			buf_puts(out, before);
			put_row(out, &matrix_rows[i]);
			before = "; ";
		}
	if (*before == '\0')
		buf_puts(out, "no");
}

static bool is_same_column(enum pgt x, enum pgt y)
{
	bool same = true;
	for (unsigned kind = 1; same && kind < MATRIX_KINDS; kind++) {
		_cleanup_(buf_free) struct buf a = {0}, b = {0};
		put_cell(&a, x, kind);
		put_cell(&b, y, kind);
		same = strcmp(buf_cstr(&a), buf_cstr(&b)) == 0;
	}
	return same;
}

static bool is_value(unsigned kind)
{
	return kind != BSON_K_EOD && kind != BSON_K_NULL && kind != BSON_K_UNDEFINED;
}

static bool has_cell(size_t group, unsigned kind)
{
	for (size_t i = 0; i < groups[group].n; i++)
		if (matrix_verdict(groups[group].types[i], kind, true, NULL) != MATRIX_NO)
			return true;
	return false;
}

/* Heads of the columns: types whose cells are all the same stand in one. first[i]: type i begins a column. */
static void put_heads(struct buf *out, size_t group, bool first[GROUP_MAX])
{
	size_t n = 0;
	buf_printf(out, "\n## %s\n\n| BSON |", groups[group].title);
	for (size_t i = 0; i < groups[group].n; i++) {
		first[i] = i == 0 || !is_same_column(groups[group].types[i - 1], groups[group].types[i]);
		buf_printf(out, "%s%s", i == 0 ? " " : first[i] ? " | " : ", ", title_of(groups[group].types[i]));
		n += first[i];
	}
	buf_puts(out, " |\n|---|");
	while (n-- > 0)
		buf_puts(out, "---|");
	buf_putc(out, '\n');
}

static void put_group(struct buf *out, size_t group)
{
	bool first[GROUP_MAX] = {false};
	put_heads(out, group, first);
	for (unsigned kind = 1; kind < MATRIX_KINDS; kind++) {
		if (!is_value(kind) || !has_cell(group, kind))
			continue;
		buf_printf(out, "| %s |", matrix_kind_name(kind));
		for (size_t i = 0; i < groups[group].n; i++) {
			if (!first[i])
				continue;
			buf_putc(out, ' ');
			put_cell(out, groups[group].types[i], kind);
			buf_puts(out, " |");
		}
		buf_putc(out, '\n');
	}
}

static void put_nearest(struct buf *out)
{
	buf_puts(out, "\n## Where a value would go\n\n"
		      "What an error names in place of a type that does not do.\n\n| BSON | type |\n|---|---|\n");
	for (unsigned kind = 1; kind < MATRIX_KINDS; kind++)
		if (is_value(kind))
			buf_printf(out, "| %s | %s%s |\n", matrix_kind_name(kind),
				   kind == BSON_K_ARRAY ? "an array of the type, T[]; or " : "",
				   pgt_name(natural_types[kind]));
}

void matrix_markdown(struct buf *out)
{
	buf_puts(out,
		 "# The conversion matrix\n\n"
		 "Made by `docrow help --matrix` from the table that the program converts by. [Values](values.md) "
		 "says\n"
		 "the same in words, with what holds for all of it.\n\n"
		 "A cell is one of these:\n\n"
		 "- **exact**: every value goes in, without loss.\n"
		 "- **if** …: each value is checked; what does not fit is a fault, never rounded, cut or guessed.\n"
		 "- `word`: only in a column whose `accept` has the word; each such value is counted. What stands "
		 "behind it is\n"
		 "  checked value by value. *(keys)*: for `_id`s and references only.\n"
		 "- **no**: fault `type` for a value; an error of the mapping where a column's `bson` says that such "
		 "values\n  come. BSON types that a table does not list are all **no** there.\n\n"
		 "*Good text* is UTF-8 without U+0000 (or mended by `encoding`) that is not too long for the "
		 "column.\n\n"
		 "null, undefined and missing fields become NULL, or what `if_null` and `if_missing` say, whatever "
		 "the "
		 "type.\nA domain takes what its type takes; an array `T[]` takes arrays whose elements go into T. A "
		 "tsvector is\n"
		 "made by the server: a `generated` column.\n");
	for (size_t i = 0; i < COUNT_OF(groups); i++)
		put_group(out, i);
	put_nearest(out);
}

/* pgtype.c - the types that docrow writes: names, aliases, OIDs, modifiers.
 *
 * A type's text is cut into words, one pair of parentheses and trailing brackets; the words, lower-cased and joined
 * by one blank, are looked up in a table of aliases. What is not in the table is taken for an enum's name: whether
 * such an enum exists is the mapping's business.
 */
#include <ctype.h>
#include <limits.h>
#include <stdlib.h>

#include "schema.h"

enum modifier { MOD_NONE, MOD_LENGTH, MOD_PRECISION, MOD_NUMERIC, MOD_FLOAT };

static const struct {
	const char *name;
	uint32_t oid;
} types[PGT_COUNT] = {
	[PGT_BOOL] = {"boolean", 16},
	[PGT_INT2] = {"smallint", 21},
	[PGT_INT4] = {"integer", 23},
	[PGT_INT8] = {"bigint", 20},
	[PGT_FLOAT4] = {"real", 700},
	[PGT_FLOAT8] = {"double precision", 701},
	[PGT_NUMERIC] = {"numeric", 1700},
	[PGT_TEXT] = {"text", 25},
	[PGT_VARCHAR] = {"varchar", 1043},
	[PGT_CHAR] = {"char", 1042},
	[PGT_NAME] = {"name", 19},
	[PGT_CITEXT] = {"citext", 0},
	[PGT_UUID] = {"uuid", 2950},
	[PGT_BYTEA] = {"bytea", 17},
	[PGT_DATE] = {"date", 1082},
	[PGT_TIME] = {"time", 1083},
	[PGT_TIMESTAMP] = {"timestamp", 1114},
	[PGT_TIMESTAMPTZ] = {"timestamptz", 1184},
	[PGT_INTERVAL] = {"interval", 1186},
	[PGT_JSON] = {"json", 114},
	[PGT_JSONB] = {"jsonb", 3802},
	[PGT_INET] = {"inet", 869},
	[PGT_VECTOR] = {"vector", 0},
	[PGT_TSVECTOR] = {"tsvector", 3614},
	[PGT_ENUM] = {"enum", 0},
};

static const struct alias {
	const char *name;
	enum pgt base;
	enum modifier modifier;
} aliases[] = {
	{"bool", PGT_BOOL, MOD_NONE},
	{"boolean", PGT_BOOL, MOD_NONE},
	{"int2", PGT_INT2, MOD_NONE},
	{"smallint", PGT_INT2, MOD_NONE},
	{"int", PGT_INT4, MOD_NONE},
	{"int4", PGT_INT4, MOD_NONE},
	{"integer", PGT_INT4, MOD_NONE},
	{"int8", PGT_INT8, MOD_NONE},
	{"bigint", PGT_INT8, MOD_NONE},
	{"float4", PGT_FLOAT4, MOD_NONE},
	{"real", PGT_FLOAT4, MOD_NONE},
	{"float", PGT_FLOAT8, MOD_FLOAT},
	{"float8", PGT_FLOAT8, MOD_NONE},
	{"double precision", PGT_FLOAT8, MOD_NONE},
	{"numeric", PGT_NUMERIC, MOD_NUMERIC},
	{"decimal", PGT_NUMERIC, MOD_NUMERIC},
	{"dec", PGT_NUMERIC, MOD_NUMERIC},
	{"text", PGT_TEXT, MOD_NONE},
	{"varchar", PGT_VARCHAR, MOD_LENGTH},
	{"character varying", PGT_VARCHAR, MOD_LENGTH},
	{"char varying", PGT_VARCHAR, MOD_LENGTH},
	{"char", PGT_CHAR, MOD_LENGTH},
	{"character", PGT_CHAR, MOD_LENGTH},
	{"bpchar", PGT_CHAR, MOD_LENGTH},
	{"name", PGT_NAME, MOD_NONE},
	{"citext", PGT_CITEXT, MOD_NONE},
	{"uuid", PGT_UUID, MOD_NONE},
	{"bytea", PGT_BYTEA, MOD_NONE},
	{"date", PGT_DATE, MOD_NONE},
	{"time", PGT_TIME, MOD_PRECISION},
	{"time without time zone", PGT_TIME, MOD_PRECISION},
	{"timestamp", PGT_TIMESTAMP, MOD_PRECISION},
	{"timestamp without time zone", PGT_TIMESTAMP, MOD_PRECISION},
	{"timestamptz", PGT_TIMESTAMPTZ, MOD_PRECISION},
	{"timestamp with time zone", PGT_TIMESTAMPTZ, MOD_PRECISION},
	{"interval", PGT_INTERVAL, MOD_PRECISION},
	{"json", PGT_JSON, MOD_NONE},
	{"jsonb", PGT_JSONB, MOD_NONE},
	{"inet", PGT_INET, MOD_NONE},
	{"vector", PGT_VECTOR, MOD_LENGTH},
	{"tsvector", PGT_TSVECTOR, MOD_NONE},
};

#define NAME_MAX_BYTES 63

/* A type's text, cut up. */
struct parts {
	char words[160]; /* as written, blanks between words made one */
	size_t words_len;
	bool quoted; /* words is one quoted name                  */
	int nmods;
	long mods[2];
	int dims;
};

static const char *skip_blanks(const char *s)
{
	while (*s == ' ' || *s == '\t')
		s++;
	return s;
}

static bool is_name_byte(char c)
{
	return isalnum((unsigned char)c) || c == '_' || c == '$' || (unsigned char)c >= 0x80;
}

static bool put_word_byte(struct parts *p, char c)
{
	if (p->words_len + 1 >= sizeof p->words)
		return false;
	p->words[p->words_len++] = c;
	p->words[p->words_len] = '\0';
	return true;
}

static const char *read_quoted(struct parts *p, const char *s)
{
	for (s++; *s != '\0'; s++) {
		if (*s == '"' && *++s != '"') {
			p->quoted = true;
			return s;
		}
		if (!put_word_byte(p, *s))
			return NULL;
	}
	return NULL;
}

static const char *read_word(struct parts *p, const char *s)
{
	if (p->words_len > 0 && !put_word_byte(p, ' '))
		return NULL;
	for (; is_name_byte(*s); s++)
		if (!put_word_byte(p, *s))
			return NULL;
	return s;
}

/* "(3)", "(10, 2)", "(3,-2)" */
static const char *read_mods(struct parts *p, const char *s)
{
	do {
		char *end;
		s = skip_blanks(s + 1);
		if (p->nmods == 2 || (!isdigit((unsigned char)*s) && *s != '-'))
			return NULL;
		p->mods[p->nmods++] = strtol(s, &end, 10);
		if (end == s)
			return NULL;
		s = skip_blanks(end);
	} while (*s == ',');
	return *s == ')' ? s + 1 : NULL;
}

/* "[]" or "[3]": PostgreSQL does not enforce the size, so it is read and forgotten. */
static const char *read_brackets(struct parts *p, const char *s)
{
	s = skip_blanks(s + 1);
	while (isdigit((unsigned char)*s))
		s++;
	s = skip_blanks(s);
	p->dims++;
	return *s == ']' ? s + 1 : NULL;
}

static bool cut_up(struct parts *p, const char *s)
{
	*p = (struct parts){0};
	for (s = skip_blanks(s); s != NULL && *s != '\0'; s = s == NULL ? NULL : skip_blanks(s)) {
		if (*s == '[')
			s = read_brackets(p, s);
		else if (p->dims > 0)
			return false;
		else if (*s == '"' && p->words_len == 0)
			s = read_quoted(p, s);
		else if (*s == '(' && p->nmods == 0 && p->words_len > 0)
			s = read_mods(p, s);
		else if (is_name_byte(*s) && !p->quoted)
			s = read_word(p, s);
		else
			return false;
	}
	return s != NULL && p->words_len > 0;
}

static const struct alias *find_alias(const struct parts *p)
{
	if (p->quoted)
		return NULL;
	for (size_t i = 0; i < sizeof aliases / sizeof aliases[0]; i++)
		if (strcasecmp(p->words, aliases[i].name) == 0)
			return &aliases[i];
	return NULL;
}

static bool within(long v, long lo, long hi)
{
	return v >= lo && v <= hi;
}

static bool set_length(struct pgtype *t, const struct parts *p)
{
	long most = t->base == PGT_VECTOR ? 16000 : 10485760;
	if (p->nmods == 0) {
		/* "char" and "character" are char(1); bpchar has no length. */
		if (t->base == PGT_CHAR && strcasecmp(p->words, "bpchar") != 0)
			t->length = 1;
		return true;
	}
	if (p->nmods != 1 || !within(p->mods[0], 1, most))
		return false;
	t->length = (int)p->mods[0];
	return true;
}

static bool set_numeric(struct pgtype *t, const struct parts *p)
{
	if (p->nmods == 0)
		return true;
	if (!within(p->mods[0], 1, 1000) || (p->nmods == 2 && !within(p->mods[1], -1000, 1000)))
		return false;
	t->precision = (int)p->mods[0];
	t->scale = p->nmods == 2 ? (int)p->mods[1] : 0;
	return true;
}

static bool set_modifier(struct pgtype *t, enum modifier m, const struct parts *p)
{
	switch (m) {
	case MOD_NONE:
		return p->nmods == 0;
	case MOD_LENGTH:
		return set_length(t, p);
	case MOD_NUMERIC:
		return set_numeric(t, p);
	case MOD_PRECISION:
		if (p->nmods == 1 && within(p->mods[0], 0, 6))
			t->precision = (int)p->mods[0];
		return p->nmods == 0 || t->precision >= 0;
	case MOD_FLOAT:
		if (p->nmods == 1 && within(p->mods[0], 1, 24))
			t->base = PGT_FLOAT4;
		return p->nmods == 0 || (p->nmods == 1 && within(p->mods[0], 1, 53));
	}
	return false;
}

bool pgtype_parse(struct arena *a, const char *text, struct pgtype *out)
{
	struct parts p;
	*out = (struct pgtype){.length = -1, .precision = -1, .enum_index = -1};
	if (!cut_up(&p, text) || p.dims > PGTYPE_MAX_DIMS)
		return false;
	out->array = p.dims > 0;
	out->dims = p.dims;
	const struct alias *alias = find_alias(&p);
	if (alias != NULL) {
		out->base = alias->base;
		if (!set_modifier(out, alias->modifier, &p))
			return false;
		out->oid = pgt_oid(out->base);
		return true;
	}
	if (p.nmods > 0 || p.words_len > NAME_MAX_BYTES || (!p.quoted && strchr(p.words, ' ') != NULL))
		return false;
	out->base = PGT_ENUM;
	out->enum_name = arena_strdup(a, p.words);
	return true;
}

static void put_modifier(struct buf *out, const struct pgtype *t)
{
	if (t->length >= 0)
		buf_printf(out, "(%d)", t->length);
	else if (t->base == PGT_NUMERIC && t->precision >= 0)
		buf_printf(out, "(%d,%d)", t->precision, t->scale);
	else if (t->precision >= 0)
		buf_printf(out, "(%d)", t->precision);
}

static void put_own(struct buf *out, const char *name, const char *schema)
{
	if (schema != NULL) {
		sql_ident(out, schema);
		buf_putc(out, '.');
	}
	sql_ident(out, name);
}

void pgtype_sql(struct buf *out, const struct pgtype *t, const char *schema)
{
	int dims = t->array && t->dims == 0 ? 1 : t->dims;
	if (t->domain != NULL) {
		put_own(out, t->domain, schema);
		dims -= t->domain_dims;
	} else if (t->base == PGT_ENUM) {
		put_own(out, t->enum_name, schema);
	} else if (t->base == PGT_CHAR && t->length < 0) {
		buf_puts(out, "bpchar"); /* plain char would be char(1) */
	} else {
		buf_puts(out, pgt_name(t->base));
		put_modifier(out, t);
	}
	while (dims-- > 0)
		buf_puts(out, "[]");
}

uint32_t pgt_oid(enum pgt t)
{
	return types[t].oid;
}

const char *pgt_name(enum pgt t)
{
	return types[t].name;
}

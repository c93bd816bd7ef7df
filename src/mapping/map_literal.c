/* map_literal.c - is a literal of if_missing, if_null or if_invalid a value of its column's type?
 *
 * Says so before anything runs. The text becomes a value in convert, which has the last word on what is checked here
 * by shape only (times, inet, interval).
 */
#include <ctype.h>
#include <inttypes.h>

#include "id.h"
#include "iso.h"
#include "map_private.h"
#include "text.h"

typedef const char *check_fn(struct arena *a, const struct pgtype *t, const struct schema_enum *e, const char *s);

static const char *check_bool(struct arena *a, const struct pgtype *t, const struct schema_enum *e, const char *s)
{
	return strcmp(s, "true") == 0 || strcmp(s, "false") == 0 ? NULL : "true or false is needed";
}

static const char *check_int(struct arena *a, const struct pgtype *t, const struct schema_enum *e, const char *s)
{
	int bits = t->base == PGT_INT2 ? 16 : t->base == PGT_INT4 ? 32 : 64;
	int64_t v, most = bits == 64 ? INT64_MAX : (INT64_C(1) << (bits - 1)) - 1;
	if (!text_parse_i64(s, strlen(s), &v) || v > most || v < -most - 1)
		return arena_printf(a, "a whole number from %" PRId64 " to %" PRId64 " is needed", -most - 1, most);
	return NULL;
}

static const char *check_float(struct arena *a, const struct pgtype *t, const struct schema_enum *e, const char *s)
{
	double v;
	return text_parse_double(s, strlen(s), &v) ? NULL : "a number is needed";
}

static const char *check_text(struct arena *a, const struct pgtype *t, const struct schema_enum *e, const char *s)
{
	size_t chars = utf8_count(s, strlen(s));
	if (t->base == PGT_NAME && strlen(s) > MAP_NAME_MAX)
		return "it is longer than 63 bytes";
	if ((t->base == PGT_VARCHAR || t->base == PGT_CHAR) && t->length >= 0 && chars > (size_t)t->length)
		return arena_printf(a, "it has %zu characters, at most %d fit", chars, t->length);
	return NULL;
}

static const char *check_uuid(struct arena *a, const struct pgtype *t, const struct schema_enum *e, const char *s)
{
	uint8_t uuid[UUID_SIZE];
	return id_uuid_parse(s, strlen(s), uuid) ? NULL : "a UUID is needed";
}

static const char *check_enum(struct arena *a, const struct pgtype *t, const struct schema_enum *e, const char *s)
{
	for (size_t i = 0; i < e->nlabels; i++)
		if (strcmp(e->labels[i], s) == 0)
			return NULL;
	const char *hint = map_suggest(a, s, e->labels, e->nlabels);
	return arena_printf(a, "enum \"%s\" has no such label%s", e->name, hint);
}

static const char *check_json(struct arena *a, const struct pgtype *t, const struct schema_enum *e, const char *s)
{
	return map_json_ok(s, strlen(s)) ? NULL : "JSON is needed";
}

static const char *check_bytes(struct arena *a, const struct pgtype *t, const struct schema_enum *e, const char *s)
{
	size_t n = strlen(s);
	uint8_t *bytes = arena_alloc(a, n + 1);
	return n >= 2 && n % 2 == 0 && s[0] == '\\' && s[1] == 'x' && text_unhex(s + 2, n - 2, bytes)
		       ? NULL
		       : "bytes are written \\x0aff";
}

static const char *check_time(struct arena *a, const struct pgtype *t, const struct schema_enum *e, const char *s)
{
	struct iso_time time;
	bool ok = iso_parse(s, strlen(s), &time);
	if (t->base == PGT_TIME)
		return ok && !time.has_date ? NULL : "a time is written 12:34:56";
	return ok && time.has_date ? NULL : "a time is written 2026-11-25, 2026-11-25T12:34:56Z or so";
}

static check_fn *const checks[PGT_COUNT] = {
	[PGT_BOOL] = check_bool,      [PGT_INT2] = check_int,         [PGT_INT4] = check_int,
	[PGT_INT8] = check_int,       [PGT_FLOAT4] = check_float,     [PGT_FLOAT8] = check_float,
	[PGT_NUMERIC] = check_float,  [PGT_TEXT] = check_text,        [PGT_VARCHAR] = check_text,
	[PGT_CHAR] = check_text,      [PGT_NAME] = check_text,        [PGT_CITEXT] = check_text,
	[PGT_UUID] = check_uuid,      [PGT_DATE] = check_time,        [PGT_TIME] = check_time,
	[PGT_TIMESTAMP] = check_time, [PGT_TIMESTAMPTZ] = check_time, [PGT_JSON] = check_json,
	[PGT_BYTEA] = check_bytes,    [PGT_JSONB] = check_json,       [PGT_ENUM] = check_enum,
};

static bool is_array(const char *s)
{
	size_t n = strlen(s);
	return n >= 2 && s[0] == '{' && s[n - 1] == '}';
}

const char *map_literal_fault(struct arena *a, const struct pgtype *t, const struct schema_enum *e, const char *text)
{
	if (t->array)
		return is_array(text) ? NULL : "an array is written {} or {a,b}";
	return checks[t->base] != NULL ? checks[t->base](a, t, e, text) : NULL;
}

/* ---- JSON ---- */

struct json {
	const char *s, *end;
	int depth;
};

static void skip(struct json *j)
{
	while (j->s < j->end && strchr(" \t\r\n", *j->s) != NULL)
		j->s++;
}

static bool eat(struct json *j, char ch)
{
	skip(j);
	if (j->s >= j->end || *j->s != ch)
		return false;
	j->s++;
	return true;
}

/* \uXXXX at s into *unit; jsonb takes no \u0000 and no half of a surrogate pair. */
static bool json_unit(const struct json *j, const char *s, unsigned *unit)
{
	uint8_t bytes[2];
	if (j->end - s < 6 || s[0] != '\\' || s[1] != 'u' || !text_unhex(s + 2, 4, bytes))
		return false;
	*unit = (unsigned)bytes[0] << 8 | bytes[1];
	return *unit != 0;
}

static bool json_escape(struct json *j)
{
	unsigned unit, low;
	if (j->end - j->s < 2 || strchr("\"\\/bfnrtu", j->s[1]) == NULL || j->s[1] == '\0')
		return false;
	if (j->s[1] != 'u') {
		j->s += 2;
		return true;
	}
	if (!json_unit(j, j->s, &unit) || (unit >= 0xdc00 && unit <= 0xdfff))
		return false;
	j->s += 6;
	if (unit < 0xd800 || unit > 0xdbff)
		return true;
	if (!json_unit(j, j->s, &low) || low < 0xdc00 || low > 0xdfff)
		return false;
	j->s += 6;
	return true;
}

static bool json_string(struct json *j)
{
	if (!eat(j, '"'))
		return false;
	while (j->s < j->end && *j->s != '"') {
		if ((unsigned char)*j->s < 0x20)
			return false;
		if (*j->s != '\\')
			j->s++;
		else if (!json_escape(j))
			return false;
	}
	return j->s < j->end && *j->s++ == '"';
}

static bool json_digits(struct json *j)
{
	const char *start = j->s;
	while (j->s < j->end && isdigit((unsigned char)*j->s))
		j->s++;
	return j->s > start;
}

static bool json_number(struct json *j)
{
	j->s += j->s < j->end && *j->s == '-';
	const char *first = j->s;
	if (!json_digits(j) || (*first == '0' && j->s - first > 1))
		return false;
	if (j->s < j->end && *j->s == '.' && (j->s++, !json_digits(j)))
		return false;
	if (j->s < j->end && (*j->s == 'e' || *j->s == 'E')) {
		j->s++;
		j->s += j->s < j->end && (*j->s == '-' || *j->s == '+');
		const char *exponent = j->s;
		/* jsonb's numbers are numeric, which ends before five digits. */
		return json_digits(j) && j->s - exponent <= 4;
	}
	return true;
}

static bool json_word(struct json *j)
{
	static const char *const words[] = {"true", "false", "null"};
	for (size_t i = 0; i < COUNT_OF(words); i++) {
		size_t n = strlen(words[i]);
		if ((size_t)(j->end - j->s) >= n && memcmp(j->s, words[i], n) == 0) {
			j->s += n;
			return true;
		}
	}
	return false;
}

static bool json_value(struct json *j);

static bool json_members(struct json *j, char close, bool keys)
{
	if (eat(j, close))
		return true;
	do
		if ((keys && (!json_string(j) || !eat(j, ':'))) || !json_value(j))
			return false;
	while (eat(j, ','));
	return eat(j, close);
}

static bool json_value(struct json *j)
{
	bool ok;
	skip(j);
	if (j->s >= j->end || ++j->depth > 200)
		return false;
	if (*j->s == '"')
		ok = json_string(j);
	else if (eat(j, '{'))
		ok = json_members(j, '}', true);
	else if (eat(j, '['))
		ok = json_members(j, ']', false);
	else if (*j->s == '-' || isdigit((unsigned char)*j->s))
		ok = json_number(j);
	else
		ok = json_word(j);
	j->depth--;
	return ok;
}

bool map_json_ok(const char *s, size_t n)
{
	struct json j = {s, s + n, 0};
	bool ok = utf8_check(s, n, NULL) == UTF8_OK && json_value(&j);
	skip(&j);
	return ok && j.s == j.end;
}

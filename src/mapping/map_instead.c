/* map_instead.c - types of PostgreSQL and its usual extensions that no value of a document becomes, and what would do
 * in their place.
 */
#include <ctype.h>

#include "map_private.h"

static const struct {
	const char *names; /* first words of types, by blanks */
	const char *instead;
} others[] = {
	{"point line lseg box path polygon circle geometry geography", "jsonb would do"},
	{"hstore xml", "jsonb or text would do"},
	{"int4range int8range numrange tsrange tstzrange daterange int4multirange int8multirange nummultirange "
	 "tsmultirange tstzmultirange datemultirange",
	 "two columns for the ends, or jsonb, would do"},
	{"tsvector", "let the server make it of other columns, generated: \"to_tsvector('simple', title)\""},
	{"tsquery ltree macaddr macaddr8 bit varbit", "text would do"},
	{"cidr", "inet would do"},
	{"money", "numeric(19,2) would do"},
	{"timetz", "time or timestamptz would do"},
	{"serial serial4", "integer would do (default: the sequence's nextval)"},
	{"bigserial serial8", "bigint would do (default: the sequence's nextval)"},
	{"smallserial serial2", "smallint would do (default: the sequence's nextval)"},
	{"oid xid xid8 int1 int3 uint8 mediumint", "integer or bigint would do"},
	{"halfvec sparsevec cube", "vector would do"},
	{"objectid", "uuid would do: an ObjectId becomes a UUIDv7 that holds it; or text, bytea"},
	{"string", "text would do"},
	{"datetime", "timestamptz(3) would do"},
	{"double", "double precision would do"},
	{"number", "numeric would do"},
	{"binary blob", "bytea would do"},
	{"object document mixed", "jsonb would do"},
};

static bool has_word(const char *names, const char *word, size_t n)
{
	for (const char *s = names; *s != '\0'; s += strspn(s, " ")) {
		size_t len = strcspn(s, " ");
		if (len == n && strncasecmp(s, word, n) == 0)
			return true;
		s += len;
	}
	return false;
}

const char *map_instead_of(struct arena *a, const char *type)
{
	size_t n = 0;
	while (isalnum((unsigned char)type[n]) || type[n] == '_')
		n++;
	for (size_t i = 0; i < COUNT_OF(others); i++)
		if (has_word(others[i].names, type, n))
			return arena_printf(a, "; %s", others[i].instead);
	return "";
}

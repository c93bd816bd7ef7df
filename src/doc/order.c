#include "order.h"

#include "canon.h"

/* MongoDB's comparison order of types ("Comparison/Sort Order" in its manual). */
static int type_rank(uint8_t kind)
{
	static const struct {
		uint8_t kind, rank;
	} ranks[] = {
		{BSON_K_MINKEY, 1},   {BSON_K_UNDEFINED, 2},  {BSON_K_NULL, 3},       {BSON_K_INT32, 4},
		{BSON_K_INT64, 4},    {BSON_K_DOUBLE, 4},     {BSON_K_DECIMAL128, 4}, {BSON_K_STRING, 5},
		{BSON_K_SYMBOL, 5},   {BSON_K_DOCUMENT, 6},   {BSON_K_ARRAY, 7},      {BSON_K_BINARY, 8},
		{BSON_K_OBJECTID, 9}, {BSON_K_BOOL, 10},      {BSON_K_DATE, 11},      {BSON_K_TIMESTAMP, 12},
		{BSON_K_REGEX, 13},   {BSON_K_DBPOINTER, 14}, {BSON_K_CODE, 15},      {BSON_K_CODEWSCOPE, 16},
		{BSON_K_MAXKEY, 17},
	};
	for (size_t i = 0; i < sizeof ranks / sizeof ranks[0]; i++)
		if (ranks[i].kind == kind)
			return ranks[i].rank;
	return 0;
}

static int bytes_order(const void *a, size_t na, const void *b, size_t nb)
{
	int c = memcmp(a, b, na < nb ? na : nb);
	return c != 0 ? c : (na > nb) - (na < nb);
}

static bool is_text(const struct val *v)
{
	return v->kind == BSON_K_STRING || v->kind == BSON_K_SYMBOL;
}

int id_order(const struct val *a, const struct val *b)
{
	int ra = type_rank(a->kind), rb = type_rank(b->kind);
	if (ra != rb)
		return ra - rb;
	if (is_text(a)) {
		size_t na, nb;
		const char *ta = val_text(a, &na), *tb = val_text(b, &nb);
		return bytes_order(ta, na, tb, nb);
	}
	_cleanup_(buf_free) struct buf ca = {0}, cb = {0};
	if (!canon_write(&ca, a) || !canon_write(&cb, b))
		return bytes_order(a->data, a->len, b->data, b->len);
	return bytes_order(ca.data, ca.len, cb.data, cb.len);
}

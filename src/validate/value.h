/* value.h - does a value of a document mean what PostgreSQL holds? The independent half of validation.
 *
 * Nothing here shares code with src/convert or src/row: a field as PostgreSQL sends it (binary) is decoded, and what
 * it means is compared with what the BSON value means under the column's policies (docs/values.md, docs/mapping.md).
 * There is no tolerance: one microsecond, one digit, one blank is a difference.
 *
 * A struct judge belongs to one thread. Pure but for its scratch memory.
 */
#ifndef DOCROW_VALUE_H
#define DOCROW_VALUE_H

#include "buf.h"
#include "doc.h"
#include "fault.h"
#include "mem.h"
#include "plan.h"

/* What a column, a key or an end of a pair takes, and how. */
struct spec {
	struct pgtype type;
	unsigned accept;     /* enum map_accept                                              */
	bool is_id;          /* takes _id by its collection's rule: never refused            */
	bool is_reference;   /* takes ids of another collection by that one's rule           */
	enum map_id id_rule; /* of the two above                                             */
	enum map_uuid_order uuid_order;
	const uint8_t *id_namespace;
	unsigned bson; /* BSON types that it takes at all, bits of matrix_kind; 0: any        */
	enum map_encoding encoding;
	enum map_json json;
	enum dup_policy duplicate_keys;
	bool fold_case;
	const struct map_label *labels;
	size_t nlabels;
	const struct schema_enum *enumeration; /* PGT_ENUM */
};

/* A field as the server sends it; len < 0: NULL. */
struct field_bytes {
	const uint8_t *data;
	int len;
};

enum verdict {
	SAME,
	DIFFERENT,
	UNFIT /* the value does not go into such a column at all: judge.why says why */
};

struct judge {
	enum fault why;       /* of the last UNFIT                                    */
	int server_version;   /* of PostgreSQL                                        */
	struct arena *arena;  /* reset by check_value's caller                        */
	struct buf text, key; /* scratch                                              */
};

void judge_init(struct judge *j, int server_version);
void judge_free(struct judge *j);

/* v has a kind and is neither null nor undefined, unless spec->is_id. The field may be NULL: then the answer is
 * UNFIT or DIFFERENT. */
enum verdict check_value(struct judge *j, const struct spec *s, const struct val *v, struct field_bytes f);

/* --- value_number.c --- */

struct number { /* value = digits x 10^exponent; digits without leading zeros; n = 0 is zero */
	enum number_kind { NUMBER_FINITE, NUMBER_NAN, NUMBER_INFINITE } kind;
	bool negative;
	const char *digits;
	size_t n;
	int64_t exponent;
	char own[40]; /* what digits points at unless it borrows */
};
/* Whole text as a decimal number: sign, digits, point, exponent; NaN and Infinity in any case. Borrows scratch. */
bool number_parse(const char *s, size_t n, struct buf *scratch, struct number *out);
void number_of_decimal128(const struct val *v, struct number *out);
/* PostgreSQL's numeric: groups of four digits, the weight of the first, a sign word, digits after the point (*scale;
 * NULL where it does not matter). Borrows scratch. */
bool number_of_numeric(struct field_bytes f, struct buf *scratch, struct number *out, int *scale);
/* Shortest digits that read back as d. */
void number_of_double(double d, struct number *out);
/* Takes zeros off both ends. */
void number_trim(struct number *x);
/* Same value; and, where `scale` >= 0, is `got` written with that many digits after the point? */
bool number_equal(const struct number *a, const struct number *b);
/* JavaScript's text of a double; with_point: 5.0 for 5. Returns the length (at most 40). */
int number_double_text(double d, bool with_point, char out[48]);
/* As Extended JSON writes Decimal128. */
int number_decimal_text(const struct number *x, char out[64]);
double double_of_field(const uint8_t *p);
/* Is the decimal text s (of a JSON number or a numeric) the double d, written with no more digits than needed? */
bool number_is_double(const struct number *got, double d);

enum verdict check_integer(struct judge *j, const struct spec *s, const struct val *v, struct field_bytes f);
enum verdict check_float(struct judge *j, const struct spec *s, const struct val *v, struct field_bytes f);
enum verdict check_numeric(struct judge *j, const struct spec *s, const struct val *v, struct field_bytes f);
enum verdict check_boolean(struct judge *j, const struct spec *s, const struct val *v, struct field_bytes f);
enum verdict check_vector(struct judge *j, const struct spec *s, const struct val *v, struct field_bytes f);

/* --- value_time.c --- */

enum verdict check_instant(struct judge *j, const struct spec *s, const struct val *v, struct field_bytes f);
enum verdict check_time_of_day(struct judge *j, const struct spec *s, const struct val *v, struct field_bytes f);
enum verdict check_interval(struct judge *j, const struct spec *s, const struct val *v, struct field_bytes f);
/* "2024-01-02T03:04:05.678Z"; whole: always with milliseconds. Returns the length. */
int time_iso_text(int64_t ms, bool always_ms, char out[48]);

/* --- value_id.c --- */

/* The UUID that a value is by the rules of ids, without UUIDv5. */
bool id_as_uuid(const struct spec *s, const struct val *v, uint8_t uuid[16]);
/* UUIDv5 of the canonical form; false: corrupt bytes. */
bool id_named_uuid(struct judge *j, const struct spec *s, const struct val *v, uint8_t uuid[16]);
/* What that UUID is made of. */
bool id_canonical(struct buf *out, const struct val *v);
bool id_binary_uuid(const struct spec *s, const struct val *v, uint8_t uuid[16]);
bool id_hex(const char *s, size_t n, uint8_t *out, size_t bytes);
void id_uuid_text(const uint8_t uuid[16], char out[37]);
/* {"$oid": ...} and {"_str": ...}; false: not such a document. */
bool id_of_oid_document(const struct val *v, uint8_t oid[12]);
enum verdict check_uuid(struct judge *j, const struct spec *s, const struct val *v, struct field_bytes f);
enum verdict check_bytea(struct judge *j, const struct spec *s, const struct val *v, struct field_bytes f);

/* --- value_json.c --- */

enum verdict check_json(struct judge *j, const struct spec *s, const struct val *v, struct field_bytes f);
/* A text column that accepts json-text. */
enum verdict check_json_text(struct judge *j, const struct spec *s, const struct val *v, struct field_bytes f);

/* --- value_text.c --- */

enum verdict check_text(struct judge *j, const struct spec *s, const struct val *v, struct field_bytes f);
enum verdict check_enum(struct judge *j, const struct spec *s, const struct val *v, struct field_bytes f);
enum verdict check_inet(struct judge *j, const struct spec *s, const struct val *v, struct field_bytes f);
/* The text as the column's encoding leaves it, lent from j->text or the value itself. False: refused (j->why). */
bool text_is_too_long(const struct pgtype *t, const char *s, size_t n);
bool text_as_encoded(struct judge *j, const struct spec *s, const char **text, size_t *n);

/* --- value.c --- */

static inline enum verdict unfit(struct judge *j, enum fault why)
{
	j->why = why;
	return UNFIT;
}
static inline enum verdict same_if(bool yes)
{
	return yes ? SAME : DIFFERENT;
}
static inline uint64_t big_endian(const uint8_t *p, size_t n)
{
	uint64_t x = 0;
	for (size_t i = 0; i < n; i++)
		x = x << 8 | p[i];
	return x;
}
static inline bool val_is_nothing(const struct val *v)
{
	return v->kind == 0 || v->kind == BSON_K_NULL || v->kind == BSON_K_UNDEFINED;
}

#endif

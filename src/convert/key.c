/* key.c - a key's field, as COPY carries it, back to text for people. */
#include "convert_private.h"
#include "id.h"
#include "text.h"

static uint64_t read_be(const uint8_t *p, size_t n)
{
	uint64_t x = 0;
	for (size_t i = 0; i < n; i++)
		x = x << 8 | p[i];
	return x;
}

static int64_t read_int(const uint8_t *p, size_t n)
{
	uint64_t x = read_be(p, n);
	unsigned unused = (unsigned)(64 - 8 * n);
	return (int64_t)(x << unused) >> unused;
}

static void put_uuid_text(struct buf *out, const uint8_t *p)
{
	char text[UUID_TEXT_SIZE];
	id_uuid_format(p, text);
	buf_puts(out, text);
}

static void put_hex(struct buf *out, const uint8_t *p, size_t n)
{
	buf_puts(out, "\\x");
	if (buf_reserve(out, 2 * n + 1)) {
		text_hex(p, n, (char *)out->data + out->len);
		out->len += 2 * n;
	}
}

static void put_float(struct buf *out, const uint8_t *p, size_t n)
{
	char text[32];
	double d;
	float f;
	uint64_t bits = read_be(p, n);
	uint32_t bits32 = (uint32_t)bits;
	memcpy(&d, &bits, 8);
	memcpy(&f, &bits32, 4);
	int len = text_double(n == 4 ? (double)f : d, text);
	buf_put(out, text, (size_t)(len > 2 && memcmp(text + len - 2, ".0", 2) == 0 ? len - 2 : len));
}

/* numeric's groups of four decimal digits (see row/numeric.c); keys are short, so the plain way will do. */
static void put_numeric_text(struct buf *out, const uint8_t *p, size_t n)
{
	int ngroups = (int)read_be(p, 2), weight = (int)(int16_t)read_be(p + 2, 2), dscale = (int)read_be(p + 6, 2);
	unsigned sign = (unsigned)read_be(p + 4, 2);
	if ((sign & 0xc000) == 0xc000) {
		buf_puts(out, sign == 0xc000 ? "NaN" : sign == 0xd000 ? "Infinity" : "-Infinity");
		return;
	}
	if (sign == 0x4000)
		buf_putc(out, '-');
	if (weight < 0)
		buf_putc(out, '0');
	for (int g = 0; g <= weight; g++)
		buf_printf(out, g == 0 ? "%u" : "%04u", g < ngroups ? (unsigned)read_be(p + 8 + 2 * g, 2) : 0u);
	if (dscale == 0)
		return;
	buf_putc(out, '.');
	size_t end = out->len + (size_t)dscale;
	for (int g = weight + 1; out->len < end && buf_ok(out); g++) {
		unsigned v = g >= 0 && g < ngroups ? (unsigned)read_be(p + 8 + 2 * g, 2) : 0u;
		buf_printf(out, "%04u", v);
	}
	out->len = end;
	(void)n;
}

static void put_instant_text(struct buf *out, enum pgt base, const uint8_t *p)
{
	char text[48];
	int64_t us = base == PGT_DATE ? read_int(p, 4) * INT64_C(86400000000) : read_int(p, 8);
	int64_t ms = us / 1000 - (us % 1000 < 0) + INT64_C(946684800000);
	int n = iso_format(ms, text);
	buf_put(out, text, base == PGT_DATE ? (size_t)n - 14 : (size_t)n);
}

bool key_text(struct buf *out, const struct pgtype *type, const uint8_t *field, size_t len)
{
	switch (type->base) {
	case PGT_UUID:
		put_uuid_text(out, field);
		return true;
	case PGT_INT2:
	case PGT_INT4:
	case PGT_INT8:
		buf_printf(out, "%lld", (long long)read_int(field, len));
		return true;
	case PGT_BOOL:
		buf_puts(out, field[0] != 0 ? "true" : "false");
		return true;
	case PGT_FLOAT4:
	case PGT_FLOAT8:
		put_float(out, field, len);
		return true;
	case PGT_NUMERIC:
		put_numeric_text(out, field, len);
		return true;
	case PGT_DATE:
	case PGT_TIMESTAMP:
	case PGT_TIMESTAMPTZ:
		put_instant_text(out, type->base, field);
		return true;
	case PGT_JSONB:
		buf_put(out, field + 1, len - 1);
		return true;
	case PGT_BYTEA:
		put_hex(out, field, len);
		return true;
	default:
		if (utf8_check((const char *)field, len, NULL) == UTF8_OK)
			buf_put(out, field, len);
		else
			put_hex(out, field, len);
		return true;
	}
}

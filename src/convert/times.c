/* times.c - date, time, timestamp, timestamptz, interval. UTC throughout. What the server would round to the column's
 * precision is refused before it can.
 */
#include "convert_private.h"
#include "decimal.h"
#include "text.h"

static enum fault accepted(struct conv *c, struct column *col, enum fault f)
{
	if (f == FAULT_OK)
		count_column(c, col, COUNT_ACCEPTED);
	return f;
}

static enum fault too_fine(struct conv *c, const struct column *col)
{
	return fault_note(c, FAULT_INEXACT, "finer than %s(%d)", pgt_name(col->type.base), col->type.precision);
}

/* ms since 1970 and us (0..999) beyond them. */
static enum fault put_instant(struct conv *c, struct column *col, int64_t ms, int64_t us)
{
	int64_t stamp;
	int32_t days;
	bool has_time_of_day;
	if (col->type.base == PGT_DATE) {
		if (!row_date_from_ms(ms, &days, &has_time_of_day))
			return fault_note(c, FAULT_RANGE, "outside date");
		if (has_time_of_day || us != 0)
			return fault_note(c, FAULT_INEXACT, "has a time of day");
		rowbuf_put_i32(col->rows, days);
		return FAULT_OK;
	}
	if (!row_timestamp_from_ms(ms, &stamp))
		return fault_note(c, FAULT_RANGE, "outside %s", pgt_name(col->type.base));
	if (col->granule > 1 && (stamp + us) % col->granule != 0)
		return too_fine(c, col);
	rowbuf_put_i64(col->rows, stamp + us);
	return FAULT_OK;
}

enum fault put_date(struct conv *c, struct column *col, const struct val *v)
{
	return put_instant(c, col, val_i64(v), 0);
}

static int64_t floor_div(int64_t a, int64_t b)
{
	return a / b - (a % b < 0);
}

static enum fault put_time_of_day(struct conv *c, struct column *col, const struct iso_time *t)
{
	if (t->has_date || t->offset_min != 0)
		return fault_note(c, FAULT_FORMAT, "a time of day alone is needed");
	if (t->finer_than_us || t->us % col->granule != 0)
		return too_fine(c, col);
	rowbuf_put_i64(col->rows, t->us);
	return FAULT_OK;
}

static enum fault put_iso(struct conv *c, struct column *col, const struct iso_time *t)
{
	if (col->type.base == PGT_TIME)
		return put_time_of_day(c, col, t);
	if (!t->has_date)
		return FAULT_FORMAT;
	if (t->finer_than_us)
		return fault_note(c, FAULT_INEXACT, "finer than microseconds");
	int64_t us = t->us - (int64_t)t->offset_min * 60 * 1000000, ms = floor_div(us, 1000);
	return put_instant(c, col, t->days * 86400000 + ms, us - ms * 1000);
}

enum fault put_text_as_time(struct conv *c, struct column *col, const struct val *v)
{
	struct iso_time t;
	size_t n;
	const char *s = val_text(v, &n);
	return accepted(c, col, iso_parse(s, n, &t) ? put_iso(c, col, &t) : FAULT_FORMAT);
}

/* A number of milliseconds, or of seconds. */
static enum fault put_epoch(struct conv *c, struct column *col, int64_t n)
{
	if ((col->accept & MAP_ACCEPT_EPOCH_MS) == 0 && __builtin_mul_overflow(n, 1000, &n))
		return fault_note(c, FAULT_RANGE, "outside %s", pgt_name(col->type.base));
	return accepted(c, col, put_instant(c, col, n, 0));
}

enum fault put_int32_as_time(struct conv *c, struct column *col, const struct val *v)
{
	return put_epoch(c, col, val_i32(v));
}

enum fault put_int64_as_time(struct conv *c, struct column *col, const struct val *v)
{
	return put_epoch(c, col, val_i64(v));
}

/* By digits, so that 1700000000.123 seconds are 1700000000123 ms though no double is exactly that. */
static enum fault put_digits_as_epoch(struct conv *c, struct column *col, struct digits *d)
{
	digits_trim(d);
	if (d->n > 0 && (col->accept & MAP_ACCEPT_EPOCH_MS) == 0)
		d->exponent += 3;
	if (d->kind != DIGITS_FINITE || (int64_t)d->n + d->exponent > 18)
		return fault_note(c, FAULT_RANGE, "outside %s", pgt_name(col->type.base));
	if (d->exponent < 0)
		return fault_note(c, FAULT_INEXACT, "finer than milliseconds");
	int64_t ms = 0;
	for (size_t i = 0; i < d->n + (size_t)d->exponent; i++)
		ms = ms * 10 + (i < d->n ? d->digits[i] - '0' : 0);
	return accepted(c, col, put_instant(c, col, d->negative ? -ms : ms, 0));
}

enum fault put_double_as_time(struct conv *c, struct column *col, const struct val *v)
{
	char text[32];
	struct digits d;
	digits_parse(text, (size_t)text_double(val_double(v), text), &c->text, &d);
	return put_digits_as_epoch(c, col, &d);
}

enum fault put_decimal_as_time(struct conv *c, struct column *col, const struct val *v)
{
	struct decimal dec;
	struct digits d;
	digits_of_decimal(v, &dec, &d);
	return put_digits_as_epoch(c, col, &d);
}

/* BSON timestamp: seconds in the upper half, a counter in the lower. */
enum fault put_timestamp_as_time(struct conv *c, struct column *col, const struct val *v)
{
	int64_t seconds = (int64_t)((uint64_t)val_i64(v) >> 32);
	return accepted(c, col, put_instant(c, col, seconds * 1000, 0));
}

/* From PostgreSQL 17 on the largest and the smallest one mean infinity. */
static bool is_infinite(int32_t months, int32_t days, int64_t us)
{
	return (months == INT32_MAX && days == INT32_MAX && us == INT64_MAX) ||
	       (months == INT32_MIN && days == INT32_MIN && us == INT64_MIN);
}

enum fault put_text_as_interval(struct conv *c, struct column *col, const struct val *v)
{
	int32_t months, days;
	int64_t us;
	size_t n;
	const char *s = val_text(v, &n);
	if (!iso_parse_interval(s, n, &months, &days, &us))
		return FAULT_FORMAT;
	if (us % col->granule != 0)
		return too_fine(c, col);
	if (is_infinite(months, days, us))
		return fault_note(c, FAULT_RANGE, "outside interval");
	uint8_t *p = rowbuf_field(col->rows, 16);
	uint64_t be_us = __builtin_bswap64((uint64_t)us);
	uint32_t be_days = __builtin_bswap32((uint32_t)days), be_months = __builtin_bswap32((uint32_t)months);
	if (p != NULL) {
		memcpy(p, &be_us, 8);
		memcpy(p + 8, &be_days, 4);
		memcpy(p + 12, &be_months, 4);
	}
	return accepted(c, col, FAULT_OK);
}

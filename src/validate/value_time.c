/* value_time.c - instants, times of day, intervals: PostgreSQL counts microseconds (days) from 2000-01-01, BSON
 * milliseconds from 1970-01-01. UTC throughout.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "value.h"

#define DAY_US        INT64_C(86400000000)
#define EPOCH_2000_MS INT64_C(946684800000)
#define DAYS_TO_2000  10957

/* --- the calendar --- */

/* Days since 1970-01-01 by counting 400-year cycles of 146097 days from 0000-03-01. */
static int64_t days_of(int64_t year, int month, int day)
{
	int64_t y = month > 2 ? year : year - 1, m = month > 2 ? month - 3 : month + 9;
	int64_t cycle = (y < 0 ? y - 399 : y) / 400, in = y - 400 * cycle;

	return 146097 * cycle + 365 * in + in / 4 - in / 100 + (153 * m + 2) / 5 + day - 1 - 719468;
}

static int month_length(int64_t year, int month)
{
	return (int)(days_of(month == 12 ? year + 1 : year, month == 12 ? 1 : month + 1, 1) -
		     days_of(year, month, 1));
}

/* The year is found by a guess that is then put right, month and day by walking. */
static void date_of(int64_t days, int64_t *year, int *month, int *day)
{
	int64_t y = 1970 + days / 366;

	while (days_of(y, 1, 1) > days)
		y -= 1 + (days_of(y, 1, 1) - days) / 366;
	while (days_of(y + 1, 1, 1) <= days)
		y += 1 + (days - days_of(y + 1, 1, 1)) / 366;
	*year = y;
	for (*month = 1; *month < 12 && days_of(y, *month + 1, 1) <= days;)
		++*month;
	*day = (int)(days - days_of(y, *month, 1)) + 1;
}

int time_iso_text(int64_t ms, bool always_ms, char out[48])
{
	int64_t days = ms / 86400000, rest = ms % 86400000, year;
	int month, day, n;

	if (rest < 0) {
		rest += 86400000;
		days--;
	}
	date_of(days, &year, &month, &day);
	if (year >= 0 && year <= 9999)
		n = snprintf(out, 48, "%04d", (int)year);
	else
		n = snprintf(out, 48, "%c%0*lld", year < 0 ? '-' : '+', llabs(year) > 999999 ? 9 : 6, llabs(year));
	n += snprintf(out + n, (size_t)(48 - n), "-%02d-%02dT%02d:%02d:%02d", month, day, (int)(rest / 3600000),
		      (int)(rest / 60000 % 60), (int)(rest / 1000 % 60));
	if (always_ms || rest % 1000 != 0)
		n += snprintf(out + n, (size_t)(48 - n), ".%03d", (int)(rest % 1000));
	return n + snprintf(out + n, (size_t)(48 - n), "Z");
}

/* --- ISO 8601 --- */

struct reader {
	const char *p, *end;
};

static bool eat(struct reader *r, char c)
{
	return r->p < r->end && *r->p == c && r->p++ != NULL;
}

static bool digits(struct reader *r, int n, int64_t most, int64_t *out)
{
	*out = 0;
	for (; n > 0; n--, r->p++) {
		if (r->p == r->end || *r->p < '0' || *r->p > '9')
			return false;
		*out = *out * 10 + (*r->p - '0');
	}
	return *out <= most;
}

/* .fraction → microseconds; *finer when something is left beyond them. */
static bool fraction(struct reader *r, int64_t *us, bool *finer)
{
	int64_t unit = 100000;
	const char *from = r->p;

	for (; r->p < r->end && *r->p >= '0' && *r->p <= '9'; r->p++, unit /= 10) {
		*us += unit * (*r->p - '0');
		*finer = *finer || (unit == 0 && *r->p != '0');
	}
	return r->p > from;
}

struct moment {
	bool has_date, finer;
	int64_t days, us, offset_us;
	bool has_offset;
};

static bool read_date(struct reader *r, struct moment *m)
{
	int64_t year, month, day;
	bool minus = eat(r, '-'), wide = minus || eat(r, '+');

	if (!digits(r, wide ? 6 : 4, 999999, &year) || !eat(r, '-') || !digits(r, 2, 12, &month) || !eat(r, '-') ||
	    !digits(r, 2, 31, &day) || month < 1 || day < 1)
		return false;
	year = minus ? -year : year;
	m->has_date = true;
	m->days = days_of(year, (int)month, (int)day);
	return day <= month_length(year, (int)month);
}

static bool read_clock(struct reader *r, struct moment *m)
{
	int64_t hour, minute, second = 0;

	if (!digits(r, 2, 23, &hour) || !eat(r, ':') || !digits(r, 2, 59, &minute))
		return false;
	bool seconds = eat(r, ':');
	if (seconds && !digits(r, 2, 59, &second))
		return false;
	m->us = ((hour * 60 + minute) * 60 + second) * 1000000;
	return !seconds || !(eat(r, '.') || eat(r, ',')) || fraction(r, &m->us, &m->finer);
}

static bool read_zone(struct reader *r, struct moment *m)
{
	int64_t hour, minute = 0;

	if (r->p == r->end || eat(r, 'Z') || eat(r, 'z'))
		return true;
	bool west = eat(r, '-');
	if (!west && !eat(r, '+'))
		return false;
	if (!digits(r, 2, 15, &hour) || ((eat(r, ':') || r->p < r->end) && !digits(r, 2, 59, &minute)))
		return false;
	m->offset_us = (hour * 60 + minute) * 60000000 * (west ? -1 : 1);
	return true;
}

static bool read_moment(const char *s, size_t n, struct moment *m)
{
	struct reader r = {s, s + n};

	*m = (struct moment){0};
	if (!(n >= 3 && s[2] == ':')) {
		if (!read_date(&r, m))
			return false;
		if (r.p == r.end)
			return true;
		if (!eat(&r, 'T') && !eat(&r, 't') && !eat(&r, ' '))
			return false;
	}
	return read_clock(&r, m) && read_zone(&r, m) && r.p == r.end;
}

/* --- instants --- */

/* 4714-11-24 BC to 294276 AD. */
static bool in_range(int64_t us_since_2000)
{
	return us_since_2000 >= INT64_C(-211813488000000000) && us_since_2000 < INT64_C(9223371331200000000);
}

static int64_t granule(const struct pgtype *t)
{
	int64_t g = 1;

	for (int p = t->precision < 0 ? 6 : t->precision; p < 6; p++)
		g *= 10;
	return g;
}

/* An instant of ms and us (which may be more than a millisecond) since 1970. */
static enum verdict check_moment(struct judge *j, const struct spec *s, int64_t ms, int64_t us, struct field_bytes f)
{
	int64_t want;

	if (s->type.base == PGT_DATE) {
		int64_t days = ms / 86400000 - (ms % 86400000 < 0);
		if (days - DAYS_TO_2000 < -2451545 || days - DAYS_TO_2000 >= 2145031949)
			return unfit(j, FAULT_RANGE);
		if (ms % 86400000 != 0 || us != 0)
			return unfit(j, FAULT_INEXACT);
		return same_if(f.len == 4 && (int32_t)big_endian(f.data, 4) == days - DAYS_TO_2000);
	}
	if (__builtin_sub_overflow(ms, EPOCH_2000_MS, &want) || __builtin_mul_overflow(want, 1000, &want) ||
	    __builtin_add_overflow(want, us, &want) || !in_range(want))
		return unfit(j, FAULT_RANGE);
	if (want % granule(&s->type) != 0)
		return unfit(j, FAULT_INEXACT);
	return same_if(f.len == 8 && (int64_t)big_endian(f.data, 8) == want);
}

static enum verdict check_iso(struct judge *j, const struct spec *s, const struct val *v, struct field_bytes f)
{
	struct moment m;
	size_t n;
	const char *text = val_text(v, &n);

	if (!read_moment(text, n, &m) || !m.has_date)
		return unfit(j, FAULT_FORMAT);
	if (m.finer)
		return unfit(j, FAULT_INEXACT);
	int64_t us = m.us - m.offset_us, days = m.days + us / DAY_US - (us % DAY_US < 0);
	us = (us % DAY_US + DAY_US) % DAY_US;
	return check_moment(j, s, days * 86400000 + us / 1000, us % 1000, f);
}

/* By digits: 1700000000.123 seconds are whole milliseconds, though no double is exactly that. */
static enum verdict check_digits_epoch(struct judge *j, const struct spec *s, struct number *x, bool in_ms,
				       struct field_bytes f)
{
	int64_t ms = 0;

	if (x->kind != NUMBER_FINITE)
		return unfit(j, FAULT_RANGE);
	number_trim(x);
	x->exponent += x->n > 0 && !in_ms ? 3 : 0;
	if (x->exponent > 18 || (int64_t)x->n + x->exponent > 18)
		return unfit(j, FAULT_RANGE);
	if (x->exponent < 0)
		return unfit(j, FAULT_INEXACT);
	for (size_t i = 0; i < x->n + (size_t)x->exponent; i++)
		ms = ms * 10 + (i < x->n ? x->digits[i] - '0' : 0);
	return check_moment(j, s, x->negative ? -ms : ms, 0, f);
}

static enum verdict check_epoch(struct judge *j, const struct spec *s, const struct val *v, struct field_bytes f)
{
	bool in_ms = (s->accept & MAP_ACCEPT_EPOCH_MS) != 0;
	struct number x;
	int64_t n;

	if (v->kind == BSON_K_DECIMAL128) {
		number_of_decimal128(v, &x);
		return check_digits_epoch(j, s, &x, in_ms, f);
	}
	if (v->kind == BSON_K_DOUBLE) {
		number_of_double(val_double(v), &x);
		return check_digits_epoch(j, s, &x, in_ms, f);
	}
	n = v->kind == BSON_K_INT32 ? val_i32(v) : val_i64(v);
	if (!in_ms && __builtin_mul_overflow(n, 1000, &n))
		return unfit(j, FAULT_RANGE);
	return check_moment(j, s, n, 0, f);
}

enum verdict check_instant(struct judge *j, const struct spec *s, const struct val *v, struct field_bytes f)
{
	switch (v->kind) {
	case BSON_K_DATE:
		return check_moment(j, s, val_i64(v), 0, f);
	case BSON_K_STRING:
		return s->accept & MAP_ACCEPT_ISO_STRING ? check_iso(j, s, v, f) : unfit(j, FAULT_TYPE);
	case BSON_K_TIMESTAMP:
		if ((s->accept & MAP_ACCEPT_TIMESTAMP) == 0)
			return unfit(j, FAULT_TYPE);
		return check_moment(j, s, (int64_t)((uint64_t)val_i64(v) >> 32) * 1000, 0, f);
	case BSON_K_INT32:
	case BSON_K_INT64:
	case BSON_K_DOUBLE:
	case BSON_K_DECIMAL128:
		if ((s->accept & (MAP_ACCEPT_EPOCH_MS | MAP_ACCEPT_EPOCH_S)) == 0)
			return unfit(j, FAULT_TYPE);
		return check_epoch(j, s, v, f);
	default:
		return unfit(j, FAULT_TYPE);
	}
}

enum verdict check_time_of_day(struct judge *j, const struct spec *s, const struct val *v, struct field_bytes f)
{
	struct moment m;
	size_t n;
	const char *text;

	if (v->kind != BSON_K_STRING || (s->accept & MAP_ACCEPT_ISO_STRING) == 0)
		return unfit(j, FAULT_TYPE);
	text = val_text(v, &n);
	if (!read_moment(text, n, &m) || m.has_date || m.offset_us != 0)
		return unfit(j, FAULT_FORMAT);
	if (m.finer || m.us % granule(&s->type) != 0)
		return unfit(j, FAULT_INEXACT);
	return same_if(f.len == 8 && (int64_t)big_endian(f.data, 8) == m.us);
}

/* --- intervals: P1Y2M3W4DT5H6M7.8S --- */

struct span {
	int64_t months, days, us;
};

static bool add(int64_t *sum, int64_t n, int64_t unit)
{
	return !__builtin_mul_overflow(n, unit, &n) && !__builtin_add_overflow(*sum, n, sum);
}

static bool read_part(struct reader *r, bool in_time, struct span *s)
{
	int64_t n = 0, us = 0;
	bool minus = eat(r, '-'), finer = false, has_fraction = false;
	const char *from = r->p;

	for (; r->p < r->end && *r->p >= '0' && *r->p <= '9'; r->p++)
		if (!add(&n, n, 9) || !add(&n, *r->p - '0', 1))
			return false;
	if (r->p == from)
		return false;
	if (eat(r, '.') || eat(r, ',')) {
		has_fraction = true;
		if (!fraction(r, &us, &finer) || finer)
			return false;
	}
	n = minus ? -n : n;
	us = minus ? -us : us;
	if (r->p == r->end || (has_fraction && !(in_time && *r->p == 'S')))
		return false;
	switch (*r->p++ | (in_time ? 0x100 : 0)) {
	case 'Y':
		return add(&s->months, n, 12);
	case 'M':
		return add(&s->months, n, 1);
	case 'W':
		return add(&s->days, n, 7);
	case 'D':
		return add(&s->days, n, 1);
	case 'H' | 0x100:
		return add(&s->us, n, INT64_C(3600000000));
	case 'M' | 0x100:
		return add(&s->us, n, 60000000);
	case 'S' | 0x100:
		return add(&s->us, n, 1000000) && add(&s->us, us, 1);
	default:
		return false;
	}
}

static bool read_span(const char *text, size_t n, struct span *s)
{
	struct reader r = {text, text + n};
	bool in_time = false;

	if (!eat(&r, 'P') || r.p == r.end)
		return false;
	while (r.p < r.end) {
		in_time = in_time || eat(&r, 'T');
		if (!read_part(&r, in_time, s))
			return false;
	}
	return s->months == (int32_t)s->months && s->days == (int32_t)s->days;
}

enum verdict check_interval(struct judge *j, const struct spec *s, const struct val *v, struct field_bytes f)
{
	struct span want = {0};
	size_t n;
	const char *text;

	if (v->kind != BSON_K_STRING || (s->accept & MAP_ACCEPT_ISO_STRING) == 0)
		return unfit(j, FAULT_TYPE);
	text = val_text(v, &n);
	if (!read_span(text, n, &want))
		return unfit(j, FAULT_FORMAT);
	if (want.us % granule(&s->type) != 0)
		return unfit(j, FAULT_INEXACT);
	/* PostgreSQL 17 takes the ends of the range for infinity */
	if ((want.months == INT32_MAX && want.days == INT32_MAX && want.us == INT64_MAX) ||
	    (want.months == INT32_MIN && want.days == INT32_MIN && want.us == INT64_MIN))
		return unfit(j, FAULT_RANGE);
	return same_if(f.len == 16 && (int64_t)big_endian(f.data, 8) == want.us &&
		       (int32_t)big_endian(f.data + 8, 4) == want.days &&
		       (int32_t)big_endian(f.data + 12, 4) == want.months);
}

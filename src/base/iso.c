/* iso.c - ISO 8601 texts of instants, times of day and durations; the years of both calendars' common, proleptic
 * Gregorian reckoning. Pure.
 */
#include "iso.h"

#include <stdio.h>

struct cursor {
	const char *p, *end;
};

static bool eat(struct cursor *c, char want)
{
	if (c->p == c->end || *c->p != want)
		return false;
	c->p++;
	return true;
}

static bool is_digit(const struct cursor *c)
{
	return c->p < c->end && *c->p >= '0' && *c->p <= '9';
}

/* Exactly n digits, value within lo..hi. */
static bool number(struct cursor *c, int n, int lo, int hi, int *out)
{
	int v = 0;
	for (int i = 0; i < n; i++, c->p++) {
		if (!is_digit(c))
			return false;
		v = v * 10 + (*c->p - '0');
	}
	*out = v;
	return v >= lo && v <= hi;
}

/* Days since 1970-01-01: years begin in March here, so that the leap day is the last of its year. */
int64_t iso_days(int64_t y, int m, int d)
{
	y -= m <= 2;
	int64_t era = (y >= 0 ? y : y - 399) / 400;
	int64_t year_of_era = y - era * 400;
	int64_t day_of_year = (153 * (m + (m > 2 ? -3 : 9)) + 2) / 5 + d - 1;
	return era * 146097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719468;
}

int iso_days_in_month(int y, int m)
{
	static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
	bool leap = (y % 4 == 0 && y % 100 != 0) || y % 400 == 0;
	return m == 2 && leap ? 29 : days[m - 1];
}

/* YYYY-MM-DD, or ±YYYYYY-MM-DD as JavaScript writes far years. */
static bool read_date(struct cursor *c, struct iso_time *t)
{
	int y, m, d, sign = 0;
	if (eat(c, '-'))
		sign = -1;
	else if (eat(c, '+'))
		sign = 1;
	if (!number(c, sign != 0 ? 6 : 4, 0, 999999, &y) || !eat(c, '-') || !number(c, 2, 1, 12, &m) ||
	    !eat(c, '-') || !number(c, 2, 1, 31, &d))
		return false;
	if (sign < 0)
		y = -y;
	t->days = iso_days(y, m, d);
	t->has_date = true;
	return d <= iso_days_in_month(y, m);
}

static bool read_fraction(struct cursor *c, int64_t *us, bool *finer)
{
	int64_t unit = 100000, sum = 0;
	if (!is_digit(c))
		return false;
	for (; is_digit(c); c->p++, unit /= 10) {
		sum += unit * (*c->p - '0');
		if (unit == 0 && *c->p != '0')
			*finer = true;
	}
	*us += sum;
	return true;
}

/* HH:MM[:SS[.fraction]] */
static bool read_time(struct cursor *c, struct iso_time *t)
{
	int h, m, s = 0;
	if (!number(c, 2, 0, 23, &h) || !eat(c, ':') || !number(c, 2, 0, 59, &m))
		return false;
	bool has_seconds = eat(c, ':');
	if (has_seconds && !number(c, 2, 0, 59, &s))
		return false;
	t->us = (((int64_t)h * 60 + m) * 60 + s) * 1000000;
	t->has_time = true;
	if (has_seconds && (eat(c, '.') || eat(c, ',')))
		return read_fraction(c, &t->us, &t->finer_than_us);
	return true;
}

/* Z, +HH, +HHMM, +HH:MM or nothing (UTC). */
static bool read_offset(struct cursor *c, struct iso_time *t)
{
	int h, m = 0, sign;
	if (c->p == c->end || eat(c, 'Z') || eat(c, 'z'))
		return true;
	if (eat(c, '+'))
		sign = 1;
	else if (eat(c, '-'))
		sign = -1;
	else
		return false;
	if (!number(c, 2, 0, 15, &h))
		return false;
	bool has_minutes = eat(c, ':') || is_digit(c);
	if (has_minutes && !number(c, 2, 0, 59, &m))
		return false;
	t->offset_min = sign * (h * 60 + m);
	return true;
}

bool iso_parse(const char *s, size_t n, struct iso_time *out)
{
	struct cursor c = {s, s + n};
	*out = (struct iso_time){0};
	bool is_time_only = n >= 3 && s[2] == ':';
	if (!is_time_only && !read_date(&c, out))
		return false;
	if (c.p == c.end)
		return true;
	if (!is_time_only && !eat(&c, 'T') && !eat(&c, 't') && !eat(&c, ' '))
		return false;
	return read_time(&c, out) && read_offset(&c, out) && c.p == c.end;
}

/* --- durations --- */

static bool read_amount(struct cursor *c, int64_t *whole, int64_t *us, bool *has_fraction)
{
	bool negative = eat(c, '-'), finer = false;
	*whole = *us = 0;
	*has_fraction = false;
	if (!is_digit(c))
		return false;
	for (; is_digit(c); c->p++)
		if (__builtin_mul_overflow(*whole, 10, whole) || __builtin_add_overflow(*whole, *c->p - '0', whole))
			return false;
	if (eat(c, '.') || eat(c, ',')) {
		*has_fraction = true;
		if (!read_fraction(c, us, &finer) || finer)
			return false;
	}
	if (negative) {
		*whole = -*whole;
		*us = -*us;
	}
	return true;
}

struct span {
	int64_t months, days, us;
};

static bool add_times(int64_t *sum, int64_t n, int64_t unit)
{
	return !__builtin_mul_overflow(n, unit, &n) && !__builtin_add_overflow(*sum, n, sum);
}

/* One letter and what it is worth; fractions only of seconds. */
static bool add_unit(struct span *s, char letter, bool in_time, int64_t n, int64_t us, bool has_fraction)
{
	if (has_fraction && !(in_time && letter == 'S'))
		return false;
	switch (letter) {
	case 'Y':
		return !in_time && add_times(&s->months, n, 12);
	case 'M':
		return in_time ? add_times(&s->us, n, 60000000) : add_times(&s->months, n, 1);
	case 'W':
		return !in_time && add_times(&s->days, n, 7);
	case 'D':
		return !in_time && add_times(&s->days, n, 1);
	case 'H':
		return in_time && add_times(&s->us, n, INT64_C(3600000000));
	case 'S':
		return in_time && add_times(&s->us, n, 1000000) && add_times(&s->us, us, 1);
	default:
		return false;
	}
}

bool iso_parse_interval(const char *s, size_t n, int32_t *months, int32_t *days, int64_t *us)
{
	struct cursor c = {s, s + n};
	struct span sum = {0};
	bool in_time = false, has_fraction;
	int units = 0;
	if (!eat(&c, 'P'))
		return false;
	while (c.p < c.end) {
		int64_t whole, part;
		if (!in_time && eat(&c, 'T'))
			in_time = true;
		if (!read_amount(&c, &whole, &part, &has_fraction) || c.p == c.end ||
		    !add_unit(&sum, *c.p++, in_time, whole, part, has_fraction))
			return false;
		units++;
	}
	*months = (int32_t)sum.months;
	*days = (int32_t)sum.days;
	*us = sum.us;
	return units > 0 && *months == sum.months && *days == sum.days;
}

/* --- writing --- */

void iso_date(int64_t z, int64_t *y, int *m, int *d)
{
	z += 719468;
	int64_t era = (z >= 0 ? z : z - 146096) / 146097;
	int64_t doe = z - era * 146097;
	int64_t yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
	int64_t doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
	int64_t mp = (5 * doy + 2) / 153;
	*d = (int)(doy - (153 * mp + 2) / 5 + 1);
	*m = (int)(mp < 10 ? mp + 3 : mp - 9);
	*y = yoe + era * 400 + (*m <= 2);
}

int iso_format(int64_t ms, char out[48])
{
	/* Of the first days of an int64, day * 86400000 would be below the least one. */
	int64_t day = ms / 86400000 - (ms % 86400000 < 0), rest = (ms % 86400000 + 86400000) % 86400000, y;
	int m, d, n = 0;
	iso_date(day, &y, &m, &d);
	if (y >= 0 && y <= 9999)
		n = snprintf(out, 48, "%04d", (int)y);
	else
		n = snprintf(out, 48, "%c%06lld", y < 0 ? '-' : '+', (long long)(y < 0 ? -y : y));
	n += snprintf(out + n, (size_t)(48 - n), "-%02d-%02dT%02d:%02d:%02d.%03dZ", m, d, (int)(rest / 3600000),
		      (int)(rest / 60000 % 60), (int)(rest / 1000 % 60), (int)(rest % 1000));
	return n;
}

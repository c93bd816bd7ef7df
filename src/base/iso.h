/* iso.h - ISO 8601 texts of instants, times of day and durations; days of the Gregorian calendar. Pure. */
#ifndef DOCROW_ISO_H
#define DOCROW_ISO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct iso_time {
	int64_t days;   /* since 1970-01-01                         */
	int64_t us;     /* of the day, offset not yet taken off     */
	int offset_min; /* east of UTC                              */
	bool has_date, has_time;
	bool finer_than_us; /* more than six digits of fraction, not 0  */
};
bool iso_parse(const char *s, size_t n, struct iso_time *out);
/* P1Y2M3DT4H5M6.7S; false on anything else. */
bool iso_parse_interval(const char *s, size_t n, int32_t *months, int32_t *days, int64_t *us);
/* "2026-11-25T03:39:00.123Z" of any int64; at least 48 bytes. Returns the length. */
int iso_format(int64_t ms, char out[48]);
/* Days since 1970-01-01 of a date, and the date of such a day. */
int64_t iso_days(int64_t year, int month, int day);
void iso_date(int64_t days, int64_t *year, int *month, int *day);
int iso_days_in_month(int year, int month);

#endif

/* time.c - milliseconds since 1970 as PostgreSQL's timestamps and dates. The bounds are PostgreSQL's own
 * (datatype/timestamp.h): from Julian day 0 to, exclusive, 294277-01-01 and 5874898-06-03. Inside them neither the
 * multiplication can overflow nor can the patterns that mean infinity come out.
 */
#include "rowbuf.h"

#define MS_PER_DAY         INT64_C(86400000)
#define EPOCH_2000_MS      INT64_C(946684800000)
#define EPOCH_2000_DAYS    INT64_C(10957)
#define MIN_TIMESTAMP_MS   (INT64_C(-211813488000000) + EPOCH_2000_MS)
#define END_TIMESTAMP_MS   (INT64_C(9223371331200000) + EPOCH_2000_MS)
#define JULIAN_2000        INT64_C(2451545)
#define END_DATE_DAYS_2000 (INT64_C(2147483494) - JULIAN_2000)

bool row_timestamp_from_ms(int64_t ms, int64_t *us)
{
	if (ms < MIN_TIMESTAMP_MS || ms >= END_TIMESTAMP_MS)
		return false;
	*us = (ms - EPOCH_2000_MS) * 1000;
	return true;
}

bool row_date_from_ms(int64_t ms, int32_t *days, bool *has_time_of_day)
{
	int64_t day = ms / MS_PER_DAY, rest = ms % MS_PER_DAY;
	if (rest < 0)
		day--; /* the day before, not toward zero */
	day -= EPOCH_2000_DAYS;
	if (day < -JULIAN_2000 || day >= END_DATE_DAYS_2000)
		return false;
	*days = (int32_t)day;
	*has_time_of_day = rest != 0;
	return true;
}

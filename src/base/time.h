/* time: instants are microseconds since 1970 UTC in int64_t, durations microseconds, both without leap seconds. */
#ifndef BULKHEAD_BASE_TIME_H
#define BULKHEAD_BASE_TIME_H

#include "base/str.h"

#define TIME_SECOND INT64_C(1000000)
#define TIME_DAY    (86400 * TIME_SECOND)
#define TIME_NEVER  INT64_MAX
#define TIME_TEXT   32 /* room for a formatted instant */

int64_t time_now(void);       /* wall clock */
int64_t time_monotonic(void); /* boot clock, for intervals; also counts suspend */
/* RFC 3339 in UTC with six fraction digits, e.g. 2026-11-23T17:00:00.000000Z; returns out. */
const char *time_format(int64_t t, char out[static TIME_TEXT]);
/* RFC 3339 with any offset and fraction, or a date alone (midnight UTC). -EINVAL otherwise. */
int time_parse(struct str s, int64_t *ret);
/* "90s" "15m" "72h" "14d" "2w", a number with one unit. -EINVAL otherwise. */
int duration_parse(struct str s, int64_t *ret);

#endif

#include "base/time.h"

#include <errno.h>
#include <stdio.h>
#include <time.h>

static int64_t clock_us(clockid_t id)
{
    struct timespec ts;
    clock_gettime(id, &ts);
    return (int64_t)ts.tv_sec * TIME_SECOND + ts.tv_nsec / 1000;
}

int64_t time_now(void)
{
    return clock_us(CLOCK_REALTIME);
}

int64_t time_monotonic(void)
{
    return clock_us(CLOCK_BOOTTIME);
}

const char *time_format(int64_t t, char out[static TIME_TEXT])
{
    int64_t s = t / TIME_SECOND, us = t % TIME_SECOND;
    if (us < 0) {
        us += TIME_SECOND;
        s--;
    }
    struct tm tm;
    time_t tt = (time_t)s;
    gmtime_r(&tt, &tm);
    char text[96] = {0}; /* the compiler cannot know that the fields are small */
    snprintf(text, sizeof(text), "%04lld-%02d-%02dT%02d:%02d:%02d.%06dZ", (long long)tm.tm_year + 1900, tm.tm_mon + 1,
             tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec, (int)us);
    memcpy(out, text, TIME_TEXT - 1);
    out[TIME_TEXT - 1] = '\0';
    return out;
}

/* Days since 1970-01-01 of a proleptic Gregorian date (Howard Hinnant, chrono-compatible date algorithms). */
static int64_t days_from_civil(int64_t y, int m, int d)
{
    y -= m <= 2;
    int64_t era = (y >= 0 ? y : y - 399) / 400;
    int64_t yoe = y - era * 400;
    int64_t doy = (153 * (m + (m > 2 ? -3 : 9)) + 2) / 5 + d - 1;
    int64_t doe = yoe * 365 + yoe / 4 - yoe / 100 + doy;
    return era * 146097 + doe - 719468;
}

static bool digits(struct str *s, size_t n, int *ret)
{
    int v = 0;
    if (s->n < n)
        return false;
    for (size_t i = 0; i < n; i++) {
        if (s->p[i] < '0' || s->p[i] > '9')
            return false;
        v = v * 10 + (s->p[i] - '0');
    }
    *s = str_sub(*s, n, s->n);
    *ret = v;
    return true;
}

static bool one_of(struct str *s, const char *set)
{
    if (!s->n || !s->p[0] || !strchr(set, s->p[0]))
        return false;
    *s = str_sub(*s, 1, s->n);
    return true;
}

int time_parse(struct str s, int64_t *ret)
{
    static const int month_days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    int year, month, day, hour = 0, minute = 0, second = 0;
    int64_t us = 0, offset = 0;
    if (!digits(&s, 4, &year) || !one_of(&s, "-") || !digits(&s, 2, &month) || !one_of(&s, "-") || !digits(&s, 2, &day))
        return -EINVAL;
    if (month < 1 || month > 12)
        return -EINVAL;
    bool leap = (year % 4 == 0 && year % 100) || year % 400 == 0;
    if (day < 1 || day > month_days[month - 1] + (month == 2 && leap))
        return -EINVAL;
    if (s.n) {
        if (!one_of(&s, "Tt ") || !digits(&s, 2, &hour) || !one_of(&s, ":") || !digits(&s, 2, &minute) ||
            !one_of(&s, ":") || !digits(&s, 2, &second))
            return -EINVAL;
        if (hour > 23 || minute > 59 || second > 60)
            return -EINVAL;
        if (one_of(&s, ".")) {
            int64_t unit = TIME_SECOND / 10;
            int d;
            if (!digits(&s, 1, &d))
                return -EINVAL;
            do {
                us += d * unit;
                unit /= 10;
            } while (digits(&s, 1, &d));
        }
        if (!one_of(&s, "Zz")) {
            int oh, om;
            int sign = s.n && s.p[0] == '-' ? -1 : 1;
            if (!one_of(&s, "+-") || !digits(&s, 2, &oh) || !one_of(&s, ":") || !digits(&s, 2, &om) || oh > 23 ||
                om > 59)
                return -EINVAL;
            offset = sign * (oh * 3600 + om * 60);
        }
        if (s.n)
            return -EINVAL;
    }
    int64_t seconds = days_from_civil(year, month, day) * 86400 + hour * 3600 + minute * 60 + second - offset;
    *ret = seconds * TIME_SECOND + us;
    return 0;
}

int duration_parse(struct str s, int64_t *ret)
{
    if (s.n < 2)
        return -EINVAL;
    int64_t unit;
    switch (s.p[s.n - 1]) {
    case 's':
        unit = TIME_SECOND;
        break;
    case 'm':
        unit = 60 * TIME_SECOND;
        break;
    case 'h':
        unit = 3600 * TIME_SECOND;
        break;
    case 'd':
        unit = TIME_DAY;
        break;
    case 'w':
        unit = 7 * TIME_DAY;
        break;
    default:
        return -EINVAL;
    }
    uint64_t n;
    int64_t d;
    if (str_u64(str_sub(s, 0, s.n - 1), &n) < 0 || n > INT64_MAX || __builtin_mul_overflow((int64_t)n, unit, &d))
        return -EINVAL;
    *ret = d;
    return 0;
}

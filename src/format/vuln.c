#include "format/vuln.h"

#include "base/cleanup.h"

#include <errno.h>

static const char *const severities[] = {
    [VULN_UNKNOWN] = "unknown", [VULN_NEGLIGIBLE] = "negligible", [VULN_LOW] = "low", [VULN_MEDIUM] = "medium",
    [VULN_HIGH] = "high",       [VULN_CRITICAL] = "critical",
};

static const char *const statuses[] = {
    [VULN_AFFECTED] = "affected",
    [VULN_FIXED] = "fixed",
    [VULN_WILL_NOT_FIX] = "will_not_fix",
    [VULN_FIX_DEFERRED] = "fix_deferred",
    [VULN_END_OF_LIFE] = "end_of_life",
    [VULN_NOT_AFFECTED] = "not_affected",
    [VULN_UNDER_INVESTIGATION] = "under_investigation",
};

const char *vuln_severity_name(enum vuln_severity s)
{
    return (size_t)s < ARRAY_LEN(severities) ? severities[s] : severities[VULN_UNKNOWN];
}

int vuln_severity_parse(struct str s, enum vuln_severity *ret)
{
    if (str_ieq(s, STR("moderate"))) {
        *ret = VULN_MEDIUM;
        return 0;
    }
    for (size_t i = 0; i < ARRAY_LEN(severities); i++)
        if (str_ieq(s, str_c(severities[i]))) {
            *ret = (enum vuln_severity)i;
            return 0;
        }
    return -EINVAL;
}

const char *vuln_status_name(enum vuln_status s)
{
    return (size_t)s < ARRAY_LEN(statuses) ? statuses[s] : statuses[VULN_AFFECTED];
}

int vuln_status_parse(struct str s, enum vuln_status *ret)
{
    for (size_t i = 0; i < ARRAY_LEN(statuses); i++)
        if (str_ieq(s, str_c(statuses[i]))) {
            *ret = (enum vuln_status)i;
            return 0;
        }
    return -EINVAL;
}

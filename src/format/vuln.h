/* vuln: severities and statuses of vulnerabilities, in the contract's words. */
#ifndef BULKHEAD_FORMAT_VULN_H
#define BULKHEAD_FORMAT_VULN_H

#include "base/str.h"

/* In ascending order. */
enum vuln_severity { VULN_UNKNOWN, VULN_NEGLIGIBLE, VULN_LOW, VULN_MEDIUM, VULN_HIGH, VULN_CRITICAL };
enum vuln_status {
    VULN_AFFECTED,
    VULN_FIXED,
    VULN_WILL_NOT_FIX,
    VULN_FIX_DEFERRED,
    VULN_END_OF_LIFE,
    VULN_NOT_AFFECTED,
    VULN_UNDER_INVESTIGATION,
};

const char *vuln_severity_name(enum vuln_severity s);
int vuln_severity_parse(struct str s, enum vuln_severity *ret); /* any case, "moderate" is medium; -EINVAL */
const char *vuln_status_name(enum vuln_status s);
int vuln_status_parse(struct str s, enum vuln_status *ret);

#endif

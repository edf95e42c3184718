/* cvss: base scores out of vectors. CVSS 2 and 3.x by the formulas of their specifications (first.org/cvss), 4.0 by its
 * table of macro vectors (cvss4.c), there with the threat and environmental metrics that a vector may carry. */
#ifndef BULKHEAD_INTEL_CVSS_H
#define BULKHEAD_INTEL_CVSS_H

#include "base/str.h"
#include "format/vuln.h"

/* "CVSS:4.0/..." "CVSS:3.1/..." "AV:N/AC:L/Au:N/C:P/I:P/A:P"; *ret_version 2, 3 or 4. -EINVAL malformed, or another
 * version. */
int cvss_score(struct str vector, double *ret_score, int *ret_version);
int cvss4_score(struct str vector, double *ret);
/* The qualitative rating; version 2 as NVD does it. */
enum vuln_severity cvss_severity(double score, int version);

#endif

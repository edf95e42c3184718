/* cvss: base scores out of vectors. CVSS 2 and 3.x by the formulas of their specifications (first.org/cvss). A vector
 * of version 4 has no formula but a table of 270 expert scores, which is not here: its score comes from the feed (NVD
 * gives one, GitHub a word). */
#ifndef BULKHEAD_INTEL_CVSS_H
#define BULKHEAD_INTEL_CVSS_H

#include "base/str.h"
#include "format/vuln.h"

/* "CVSS:3.1/..." "AV:N/AC:L/Au:N/C:P/I:P/A:P"; *ret_version 2 or 3. -EINVAL malformed, or another version. */
int cvss_score(struct str vector, double *ret_score, int *ret_version);
/* The qualitative rating; version 2 as NVD does it. */
enum vuln_severity cvss_severity(double score, int version);

#endif

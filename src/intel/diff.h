/* diff: what changed between two intel databases, advisory by advisory. */
#ifndef BULKHEAD_INTEL_DIFF_H
#define BULKHEAD_INTEL_DIFF_H

#include "intel/intel.h"

struct intel_change {
    char sign; /* + only in b, - only in a, ~ in both but different (as b has it) */
    struct str space, package, id, fixed;
    enum vuln_status status;
};

struct intel_diff {
    void (*tell)(void *arg, const struct intel_change *c); /* in the order of space, package, id; borrowed */
    void *arg;
};

/* Neither handle may be used by others meanwhile. */
int intel_diff(struct intel *a, struct intel *b, const struct intel_diff *d, struct err *e);

#endif

/* ranges: the affected versions of an OSV record, as kept in intel.db: one event a line, "I 1.2" introduced, "F 1.4"
 * fixed, "L 1.3" last affected; each range sorted; an empty line between ranges. "I 0" is from the start.
 * Where a feed speaks in requirements (intel/constraint.h) a range is lines of "R >= 1, < 2" vulnerable, "P ~> 1.2"
 * patched and "U < 1" unaffected instead. */
#ifndef BULKHEAD_INTEL_RANGES_H
#define BULKHEAD_INTEL_RANGES_H

#include "base/arena.h"
#include "base/buf.h"
#include "intel/version.h"

struct range_event {
    char kind; /* I F L */
    struct str version;
};

/* Sort the events of one range as OSV's evaluation wants them (https://ossf.github.io/osv-schema/#evaluation) and
 * append it. */
void ranges_add(struct buf *b, enum version_scheme scheme, struct range_event *events, size_t n);

/* Is the version inside any of them? *ret_fixed: the first fix behind it in its range, empty when there is none. */
bool ranges_match(struct str ranges, enum version_scheme scheme, struct str version, struct str *ret_fixed);

/* Is it one of the lines, as text or as an equal version? */
bool versions_match(struct str versions, enum version_scheme scheme, struct str version);

#endif

/* changes: which packages the step from one intel database to another can make a difference to, as a set of keys. With
 * the keys of an inventory (scan/rescan.h) it says without looking anything up whether the inventory has to be matched
 * again: the set of an unchanged package is disjoint from it. Keys are hashes: a collision costs a needless look, no
 * more.
 */
#ifndef BULKHEAD_INTEL_CHANGES_H
#define BULKHEAD_INTEL_CHANGES_H

#include "intel/intel.h"

struct intel_changes {
    uint64_t *keys; /* sorted, each once */
    size_t n, cap;
};

enum { INTEL_CHANGES_SCORES = 1 }; /* EPSS scores count too: nearly all of them change every day */

/* Rows about packages, and what is said about ids (severity, CVSS, aliases, dates, titles, known exploited). Neither
 * handle may be used by others meanwhile. */
int intel_changes(struct intel *a, struct intel *b, int flags, struct intel_changes *ret, struct err *e);
void intel_changes_fini(struct intel_changes *c);
bool intel_changes_has(const struct intel_changes *c, uint64_t key);

uint64_t intel_key(struct str space, struct str name);
/* The keys of one package: where intel_match() would look, whatever the database. At most INTEL_KEYS. */
enum { INTEL_KEYS = 12 };
size_t intel_keys(struct arena *a, const struct package *p, const struct os_release *os,
                  uint64_t ret[static INTEL_KEYS]);

#endif

/* rescan: which stored inventories a new intel database concerns, without reading them.
 *
 * Each inventory is kept with its package keys: 64-bit hashes of where its packages are looked up, sorted, some 8 bytes
 * a package. When intel changes, intel_changes() gives the keys that can make a difference, and only inventories with
 * one of them are matched again. For 10,000 inventories of 400 packages that is 32 MB to run through.
 *
 *     struct str keys = rescan_keys(a, &inventory);                      once, when it is stored
 *     r = intel_changes(old, fresh, 0, &changes, e);
 *     if (rescan_concerned(keys, &changes)) ... assess() again ...
 */
#ifndef BULKHEAD_SCAN_RESCAN_H
#define BULKHEAD_SCAN_RESCAN_H

#include "intel/changes.h"
#include "scan/inventory.h"

struct str rescan_keys(struct arena *a, const struct inventory *inv);        /* bytes, for this machine's byte order */
bool rescan_concerned(struct str keys, const struct intel_changes *changes); /* of odd bytes: true */

#endif

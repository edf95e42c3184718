/* cache: layer records and image facts kept by digest, so that what was read once is not read again. Entries carry the
 * version of the record format and the SHA-256 of themselves; whatever is damaged, old or foreign counts as absent.
 * A cache only saves time: failing to write is not an error, and what it says was verified when it was stored.
 */
#ifndef BULKHEAD_SCAN_CACHE_H
#define BULKHEAD_SCAN_CACHE_H

#include "base/arena.h"
#include "base/err.h"

/* $XDG_CACHE_HOME/bulkhead, else /var/cache/bulkhead for root, else ~/.cache/bulkhead; NULL when there is no home. */
const char *cache_default_dir(struct arena *a);

/* kind: "layer" or "image"; digest: sha256:HEX. JSON text of the entry; -ENOENT. */
int cache_get(struct arena *a, const char *dir, const char *kind, struct str digest, struct str *ret);
void cache_put(const char *dir, const char *kind, struct str digest, struct str json);

#endif

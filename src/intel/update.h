/* update: intel over HTTP from any static server, with mirrors.
 *
 * A publication is a folder: index.json, each base as intel-SERIAL.db.zst, deltas from the last ones as
 * delta-FROM-TO. intel_publish() adds a signed database to it and keeps the newest PUBLISH_KEEP. The index needs no
 * signature: it only says where the files are. What comes out must verify with the key, must not be older than what is
 * there (serial, date) and must not have expired (intel_supersedes()), so a mirror can refuse to serve, but neither
 * roll back nor hold back for longer than the term that the signer set.
 *
 * intel_update() asks the mirrors in their order until one answers; If-None-Match makes "nothing new" cost one request.
 * A delta from what is there is taken when there is one, else the base. The file is replaced by rename.
 *
 *     index.json: {"format":"bulkhead/intel-index/1","revision":..,"serial":..,"built":..,"expires":..,"file":..,
 *                  "sha256":..,"size":..,"deltas":[{"from":SHA256,"file":..,"size":..}]}
 */
#ifndef BULKHEAD_INTEL_UPDATE_H
#define BULKHEAD_INTEL_UPDATE_H

#include "base/err.h"

#include <stddef.h>
#include <stdint.h>

enum { PUBLISH_KEEP = 8 };

/* db: signed by the key of key_path (public). */
int intel_publish(const char *db, const char *key_path, const char *folder, struct err *e);

enum intel_updated { INTEL_UNCHANGED, INTEL_BASE, INTEL_DELTA };
struct intel_update {
    const char *const *urls; /* of folders, in the order to try */
    size_t urls_n;
    const char *key_path, *output;
    const char *ca_file;                       /* NULL: the system's */
    void (*tell)(void *arg, const char *text); /* a mirror that failed; may be NULL */
    void *arg;
};
/* *ret_bytes: that came over the network. Errors are those of the last mirror. */
int intel_update(const struct intel_update *u, enum intel_updated *ret, uint64_t *ret_bytes, struct err *e);

#endif

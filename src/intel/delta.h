/* delta: what turns one intel.db into another, byte for byte: a header and one zstd frame made with the old file as its
 * dictionary (zstd --patch-from). The result carries its own signature, so a delta needs none: whoever applies one
 * opens the result with the key before using it. A delta for another file is refused by the digests in its header.
 *
 * Format: "BULKHEAD-INTEL-DELTA 1\n", "from SHA256 SIZE\n", "to SHA256 SIZE\n", "\n", the frame.
 *
 * Applying decompresses in the jail; memory is the two files, mapped.
 */
#ifndef BULKHEAD_INTEL_DELTA_H
#define BULKHEAD_INTEL_DELTA_H

#include "base/err.h"

#include <stdint.h>

struct delta_file {
    char sha256[65];
    uint64_t size;
};

int delta_make(const char *from, const char *to, const char *output, struct err *e);
/* -ESTALE: it is for another file; -EBADMSG. `output` appears whole or not at all, mode 0644. */
int delta_apply(const char *from, const char *delta, const char *output, struct err *e);

/* ---- for publication ---- */
int delta_digest(const char *path, struct delta_file *ret, struct err *e);
int delta_compress(const char *path, const char *output, struct err *e); /* the whole file as one zstd frame */
int delta_unpack(const char *path, uint64_t size, const char *output, struct err *e); /* in the jail */

#endif

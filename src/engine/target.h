/* target: what a user may name for a scan, `bulkhead scan TARGET`.
 *
 *     archive:FILE   oci:DIR[:TAG]   docker:REF   dir:PATH   a bare NAME (the local Docker engine)
 *
 * archive:- is standard input.
 *
 * registry: podman: containerd: sbom: are known prefixes of the contract that this version answers with -ENOTSUP.
 */
#ifndef BULKHEAD_ENGINE_TARGET_H
#define BULKHEAD_ENGINE_TARGET_H

#include "base/arena.h"
#include "base/err.h"

enum target_kind { TARGET_ARCHIVE, TARGET_OCI, TARGET_DOCKER, TARGET_DIR };

struct target {
    enum target_kind kind;
    bool bare;        /* no prefix was given */
    struct str text;  /* as given */
    const char *path; /* of archive, oci, dir */
    struct str ref;   /* docker: reference; oci: tag, empty without */
};

int target_parse(struct arena *a, const char *text, struct target *ret, struct err *e); /* -EINVAL, -ENOTSUP */

#endif

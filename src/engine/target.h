/* target: what a user may name for a scan, `bulkhead scan TARGET`.
 *
 *     registry:REF   docker:REF   podman:REF   containerd:REF (known, and answered with -ENOTSUP)
 *     archive:FILE[:NAME:TAG]   oci:DIR[:TAG]   dir:PATH   sbom:FILE
 *     a bare NAME: the local engines in this order, then the registry
 *
 * archive:- and sbom:- are standard input.
 */
#ifndef BULKHEAD_ENGINE_TARGET_H
#define BULKHEAD_ENGINE_TARGET_H

#include "engine/image_ref.h"

/* TARGET(ID, prefix) */
#define TARGETS(X)                                                                                                     \
    X(DOCKER, "docker:")                                                                                               \
    X(PODMAN, "podman:")                                                                                               \
    X(CONTAINERD, "containerd:")                                                                                       \
    X(REGISTRY, "registry:")                                                                                           \
    X(ARCHIVE, "archive:")                                                                                             \
    X(OCI, "oci:")                                                                                                     \
    X(DIR, "dir:")                                                                                                     \
    X(SBOM, "sbom:")

enum target_kind {
#define X(id, prefix) TARGET_##id,
    TARGETS(X)
#undef X
        TARGET_ANY /* no prefix was given */
};

struct target {
    enum target_kind kind;
    struct str text;        /* as given */
    const char *path;       /* of archive, oci, dir, sbom */
    struct str ref;         /* engines: reference; oci, archive: tag, empty without */
    struct image_ref image; /* registry; of any: host empty when it cannot be in a registry (an id) */
};

int target_parse(struct arena *a, const char *text, struct target *ret, struct err *e); /* -EINVAL */

#endif

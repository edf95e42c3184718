/* manifest: the JSON documents that lead from a reference to the layers of an image: OCI index and manifest (also
 * Docker's manifest list and schema 2, which have the same members; image-spec v1.1) and `docker save`'s manifest.json.
 *
 * Strict where an engine and we could read two different things: keys that differ only in case are refused, digests
 * must be sha256:HEX, sizes not negative. Everything lives in the arena or borrows from text.
 */
#ifndef BULKHEAD_FORMAT_MANIFEST_H
#define BULKHEAD_FORMAT_MANIFEST_H

#include "format/json.h"

struct oci_descriptor {
    struct str media_type, digest; /* digest: valid sha256:HEX */
    int64_t size;
    struct str os, arch, variant; /* platform; empty when not stated */
    struct str ref_name;          /* annotation org.opencontainers.image.ref.name */
    struct str image_name;        /* annotation io.containerd.image.name */
    bool attestation;             /* describes another manifest, is no image */
};

struct oci_document {
    bool index;                     /* else a manifest */
    struct oci_descriptor *entries; /* manifests of an index, layers of a manifest */
    size_t entries_n;
    struct oci_descriptor config; /* of a manifest */
};

/* Index or manifest, told by its members. -EBADMSG, -ENOTSUP for Docker schema 1. */
int oci_parse(struct arena *a, struct str text, struct oci_document *ret, struct err *e);

/* The manifest of an index to follow: the one whose ref_name or image_name is `tag` (empty: any), for this
 * platform ("os/arch[/variant]", empty: this machine's) or without one; a lone entry is taken whatever its platform.
 * -ENOENT, -EEXIST when several fit; the message lists what there is. */
int oci_choose(const struct oci_document *index, struct str tag, struct str platform, const struct oci_descriptor **ret,
               struct err *e);

struct docker_archive_image {
    struct str config; /* path of the config in the archive */
    struct str *tags;
    size_t tags_n;
    struct str *layers; /* paths, lowest first */
    size_t layers_n;
};
int docker_archive_parse(struct arena *a, struct str text, struct docker_archive_image **ret, size_t *ret_n,
                         struct err *e);

/* No two members of this object may have keys equal but for ASCII case. */
int json_unambiguous(const struct json_value *object, const char *what, struct err *e);

/* "amd64", "arm64" ... of the running kernel, as in platforms of indexes. */
const char *oci_machine(void);

#endif

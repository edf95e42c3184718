/* registry_push: writes blobs and manifests to a registry (OCI distribution-spec v1.1, "Push").
 *
 * Always to the registry itself, never to a mirror; logins, TLS and pauses are those of registry.h. A blob goes in one
 * piece: the caller maps it. What is there already is not sent again.
 *
 *     registry_push_blob(c, text, digest, e);
 *     registry_push_manifest(c, "application/vnd.oci.image.manifest.v1+json", text, e);
 */
#ifndef BULKHEAD_ENGINE_REGISTRY_PUSH_H
#define BULKHEAD_ENGINE_REGISTRY_PUSH_H

#include "engine/registry.h"
#include "format/digest.h"

/* digest: filled in, "sha256:HEX" */
int registry_push_blob(struct registry_conn *c, struct str bytes, char digest[static DIGEST_TEXT], struct err *e);
/* Under the tag of the reference. -EINVAL when it names a digest. */
int registry_push_manifest(struct registry_conn *c, const char *media_type, struct str bytes, struct err *e);

#endif

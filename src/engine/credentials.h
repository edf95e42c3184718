/* credentials: who we are at a registry, from where container tools keep it: Docker's config.json (auths, credHelpers,
 * credsStore) or, in the same format, containers' auth.json. Helpers are run as docker-credential-NAME get, with the
 * protocol of docker-credential-helpers.
 *
 * Order: the file given; $REGISTRY_AUTH_FILE; $DOCKER_CONFIG/config.json or ~/.docker/config.json;
 * $XDG_RUNTIME_DIR/containers/auth.json. The first that exists is read. Secrets live in the arena: wipe or keep it.
 */
#ifndef BULKHEAD_ENGINE_CREDENTIALS_H
#define BULKHEAD_ENGINE_CREDENTIALS_H

#include "engine/image_ref.h"

struct credentials {
    struct str user, password;
    struct str identity_token; /* instead of a password: for the token server only */
};

/* 1 found, 0 there are none for this host, <0: the file is damaged or the helper failed. */
int credentials_find(struct arena *a, const char *file, const struct image_ref *ref, struct credentials *ret,
                     struct err *e);

/* For tests: as above from the text of a config.json. */
int credentials_parse(struct arena *a, struct str text, const struct image_ref *ref, struct credentials *ret,
                      struct err *e);

#endif

/* image_ref: the name of an image in a registry, as users write it: [HOST[:PORT]/]REPOSITORY[:TAG][@DIGEST].
 *
 * Docker's rules (distribution/reference, normalize.go): the first part is a host when it has a '.' or ':' or is
 * "localhost"; without one it is docker.io, and a repository there without a '/' is in "library"; without tag and
 * digest the tag is "latest"; with a digest the tag is only decoration.
 */
#ifndef BULKHEAD_ENGINE_IMAGE_REF_H
#define BULKHEAD_ENGINE_IMAGE_REF_H

#include "base/arena.h"
#include "base/err.h"

struct image_ref {
    struct str host;       /* with the port when there is one: "docker.io" "localhost:5000" */
    struct str repository; /* "library/nginx" */
    struct str tag;        /* empty only with a digest */
    struct str digest;     /* sha256:HEX, empty without */
};

int image_ref_parse(struct arena *a, struct str text, struct image_ref *ret, struct err *e); /* -EINVAL */
struct str image_ref_name(struct arena *a, const struct image_ref *r);                       /* HOST/REPOSITORY:TAG */
/* A host as the registry's clients reach it: "registry-1.docker.io" for docker.io. */
struct str image_ref_server(const struct image_ref *r);
bool image_host_valid(struct str host); /* a name or address, with or without a port */
bool host_is_loopback(struct str host); /* localhost, 127.0.0.1, [::1], with or without a port */

#endif

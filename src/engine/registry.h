/* registry: reads images from a registry (OCI distribution-spec v1.1, Docker Registry HTTP API V2).
 *
 * TLS is always verified; plain http is spoken to localhost only, when no TLS answers there. Anonymous, basic and
 * bearer token authentication, asked for by the server; credentials go to the registry and to the token server it
 * names (https), never to where a blob is redirected to. Documents and blobs are handed on as bytes, unparsed: the
 * jail reads and verifies them. A transfer that breaks off goes on where it was; what may pass (429, 5xx, connection
 * errors) is tried again after a growing pause, or the pause the server asks for.
 *
 * Threads: a struct registry is shared (tokens, cancelling), each thread has its own registry_conn.
 *
 *     registry_open(&ref, &opts, &reg, e);  registry_connect(reg, &c, e);
 *     registry_get(c, REGISTRY_ROOT, STR(""), LIMIT_SCAN_DOCUMENT, sink, ctx, e);
 */
#ifndef BULKHEAD_ENGINE_REGISTRY_H
#define BULKHEAD_ENGINE_REGISTRY_H

#include "engine/image_ref.h"

struct registry_opts {
    const char *ca_file;              /* trust this CA (for the registry nothing else); NULL: /etc/docker/certs.d */
    const char *cert_file, *key_file; /* client certificate */
    const char *auth_file;            /* config.json; NULL: where tools keep it (credentials.h) */
    const char *const *mirrors;       /* HOST[:PORT] or https://HOST/PREFIX, asked before the registry */
    size_t mirrors_n;
    int64_t backoff; /* first pause in microseconds; 0: 500 ms */
};

enum registry_what { REGISTRY_ROOT, REGISTRY_MANIFEST, REGISTRY_BLOB };

struct registry;
struct registry_conn;

int registry_open(const struct image_ref *ref, const struct registry_opts *o, struct registry **ret, struct err *e);
void registry_free(struct registry *r); /* connections first; NULL is fine */
void registry_cancel(struct registry *r);
int registry_connect(struct registry *r, struct registry_conn **ret, struct err *e);
void registry_disconnect(struct registry_conn *c); /* NULL is fine */

/* REGISTRY_ROOT: what the reference names, digest is empty. At most max bytes go to the sink, which may end it.
 * -ENOENT no such image, -EACCES/-EKEYREJECTED refused, -EAGAIN over its rate limit, -ECANCELED ... */
int registry_get(struct registry_conn *c, enum registry_what what, struct str digest, uint64_t max,
                 int (*sink)(void *ctx, const void *p, size_t n, struct err *e), void *ctx, struct err *e);

#endif

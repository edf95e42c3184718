/* identity: who this agent is to the console: a key that never leaves the host, a certificate, the CA, the address.
 *
 * Files in the directory given (the uplink's own, STATE/console): agent.key, agent.pem, ca.pem (0600), address. An
 * identity is complete only with all four; the certificate is written last, so its presence means that an enrolment was
 * finished.
 */
#ifndef BULKHEAD_AGENT_IDENTITY_H
#define BULKHEAD_AGENT_IDENTITY_H

#include "base/arena.h"
#include "base/err.h"

struct identity {
    struct str key, certificate, ca; /* PEM */
    struct str address;              /* https://HOST:PORT of the agents' port, no trailing '/' */
    int64_t begins, ends;            /* of the certificate */
};

/* -ENOENT: not enrolled. -EBADMSG: a file is damaged, or key and certificate do not belong together. */
int identity_load(struct arena *a, const char *dir, struct identity *ret, struct err *e);
bool identity_exists(const char *dir);

/* A PKCS#10 request signed by `key` (PEM), or by a new ECDSA P-256 key when it is empty; both PEM. Nothing is stored.
 */
int identity_request(struct arena *a, struct str key, struct str *ret_key, struct str *ret_csr, struct err *e);

/* Check that the certificate is for the key and was issued by the ca, then store all four. begins and ends are not
 * read. */
int identity_store(struct arena *a, const char *dir, const struct identity *id, struct err *e);

#endif

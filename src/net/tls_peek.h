/* tls_peek: look at the certificates a server shows, without trusting it: for pinning a CA at the first login.
 *
 * The handshake is done and the connection closed; nothing is sent over it and nothing read from it.
 */
#ifndef BULKHEAD_NET_TLS_PEEK_H
#define BULKHEAD_NET_TLS_PEEK_H

#include "base/arena.h"
#include "base/err.h"

#define TLS_FINGERPRINT 65 /* 64 hex digits and a NUL */

struct tls_peek {
    bool trusted;  /* the system store vouches for chain and name */
    struct str ca; /* PEM of the last certificate of the chain when it is an authority; else empty */
    char fingerprint[TLS_FINGERPRINT]; /* SHA-256 of its SubjectPublicKeyInfo; empty without ca */
    struct str ca_name;                /* its subject */
};

/* url: https://HOST[:PORT]... -ECONNREFUSED, -ETIMEDOUT, -EBADMSG no TLS. */
int tls_peek(struct arena *a, const char *url, struct tls_peek *ret, struct err *e);

/* SHA-256 of the SubjectPublicKeyInfo of the first certificate in the PEM. */
int tls_fingerprint(struct str pem, char ret[static TLS_FINGERPRINT], struct err *e);

#endif

/* pki: the console's certificate authority, and keys and requests for those it certifies. ECDSA P-256, SHA-256.
 *
 * The authority is a key (0600) and a certificate in a directory, made at the first opening. Certificates carry what
 * we decide: of a request only the public key is taken, after its proof of possession; its names and extensions are
 * ignored. Serials are 16 random bytes, written as hex.
 *
 *     if ((r = pki_open(dir, &p, e)) < 0) return r;
 *     if ((r = pki_sign_agent(p, a, csr, id, 7 * TIME_DAY, &cert, e)) < 0) return r;
 *
 * Thread-safe after pki_open.
 */
#ifndef BULKHEAD_NET_PKI_H
#define BULKHEAD_NET_PKI_H

#include "base/arena.h"
#include "base/err.h"

struct pki;

struct pki_cert {
    struct str pem;
    struct str serial; /* hex, lower case */
    struct str name;   /* common name */
    struct str *names; /* subject alternative names: DNS and IP addresses as text */
    size_t names_n;
    int64_t starts, expires; /* instants */
};

/* ---- the authority ---- */
int pki_open(const char *dir, struct pki **ret, struct err *e); /* DIR/ca.key, DIR/ca.pem */
void pki_close(struct pki *p);                                  /* NULL is fine */
void pki_closep(struct pki **p);
struct str pki_ca(const struct pki *p); /* PEM */
/* A server's key and certificate in DIR/server.key and DIR/server.pem: kept when they are of this authority, for
 * exactly these names and not past half of their life; else made anew. */
int pki_server(struct pki *p, struct arena *a, const char *dir, const struct str *names, size_t names_n, int64_t life,
               struct str *ret_key, struct pki_cert *ret, struct err *e);
/* -EBADMSG: no request, no valid proof of possession, or not a P-256 key. */
int pki_sign_agent(struct pki *p, struct arena *a, struct str csr, struct str name, int64_t life, struct pki_cert *ret,
                   struct err *e);

/* ---- those who ask ---- */
int pki_key(struct arena *a, struct str *ret, struct err *e); /* a new private key, PKCS#8 PEM: keep it 0600 */
int pki_request(struct arena *a, struct str key, const char *name, struct str *ret, struct err *e); /* PKCS#10 PEM */
int pki_read(struct arena *a, struct str pem, struct pki_cert *ret,
             struct err *e); /* first certificate of a PEM text */

#endif

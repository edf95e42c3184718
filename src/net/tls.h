/* tls: what a server of ours shows and asks for. TLS 1.2 at least; there is no switch that weakens it.
 *
 * PEM texts are copied. One object may serve several servers; it must outlive them.
 *
 *     if ((r = tls_server_new(cert_and_chain, key, client_ca, &t, e)) < 0) return r;
 */
#ifndef BULKHEAD_NET_TLS_H
#define BULKHEAD_NET_TLS_H

#include "base/err.h"
#include "base/str.h"

struct tls_server;

/* cert: server certificate and chain; client_ca: when set, clients are asked for a certificate of these authorities.
 * Showing none is not refused here (enrolment has none yet), showing a bad one is, at each request.
 * -EINVAL: not PEM, or the key is another certificate's. */
int tls_server_new(struct str cert, struct str key, struct str client_ca, struct tls_server **ret, struct err *e);
void tls_server_free(struct tls_server *t); /* NULL is fine; wipes the key */
void tls_server_freep(struct tls_server **t);

/* for httpd */
const char *tls_server_cert(const struct tls_server *t);
const char *tls_server_key(const struct tls_server *t);
const char *tls_server_client_ca(const struct tls_server *t); /* NULL: none */
#define TLS_PRIORITIES "SECURE128:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2:-RSA:%SERVER_PRECEDENCE"

#endif

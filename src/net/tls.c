#include "net/tls.h"

#include "base/cleanup.h"
#include "base/fs.h"

#include <gnutls/gnutls.h>
#include <gnutls/x509.h>

struct tls_server {
    char *cert, *key, *client_ca;
    size_t key_n;
};

static char *copy(struct str s)
{
    char *p = malloc(s.n + 1);
    if (!p)
        abort();
    if (s.n)
        memcpy(p, s.p, s.n);
    p[s.n] = 0;
    return p;
}

static void credentials_freep(gnutls_certificate_credentials_t *c)
{
    if (*c)
        gnutls_certificate_free_credentials(*c);
}

int tls_server_new(struct str cert, struct str key, struct str client_ca, struct tls_server **ret, struct err *e)
{
    _cleanup_(credentials_freep) gnutls_certificate_credentials_t c = NULL;
    gnutls_datum_t cert_d = {(unsigned char *)cert.p, (unsigned)cert.n},
                   key_d = {(unsigned char *)key.p, (unsigned)key.n},
                   ca_d = {(unsigned char *)client_ca.p, (unsigned)client_ca.n};
    int r = gnutls_certificate_allocate_credentials(&c);
    if (r < 0)
        return err_set(e, ENOMEM, "tls: %s", gnutls_strerror(r));
    if ((r = gnutls_certificate_set_x509_key_mem(c, &cert_d, &key_d, GNUTLS_X509_FMT_PEM)) < 0)
        return err_set(e, EINVAL, "tls: certificate and key: %s", gnutls_strerror(r));
    if (client_ca.n && (r = gnutls_certificate_set_x509_trust_mem(c, &ca_d, GNUTLS_X509_FMT_PEM)) <= 0)
        return err_set(e, EINVAL, "tls: client authority: %s", r ? gnutls_strerror(r) : "no certificate in it");
    struct tls_server *t = calloc(1, sizeof(*t));
    if (!t)
        abort();
    t->cert = copy(cert);
    t->key = copy(key);
    t->key_n = key.n;
    t->client_ca = client_ca.n ? copy(client_ca) : NULL;
    *ret = t;
    return 0;
}

void tls_server_free(struct tls_server *t)
{
    if (!t)
        return;
    fs_wipe(t->key, t->key_n);
    free(t->cert);
    free(t->key);
    free(t->client_ca);
    free(t);
}

void tls_server_freep(struct tls_server **t)
{
    tls_server_free(*t);
}
const char *tls_server_cert(const struct tls_server *t)
{
    return t->cert;
}
const char *tls_server_key(const struct tls_server *t)
{
    return t->key;
}
const char *tls_server_client_ca(const struct tls_server *t)
{
    return t->client_ca;
}

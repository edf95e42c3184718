#include "agent/identity.h"

#include "base/cleanup.h"
#include "base/fs.h"
#include "base/time.h"
#include "net/pki.h"

#include <gnutls/x509.h>

#define PEM_MAX (64u << 10)

static void crt_fini(gnutls_x509_crt_t *c)
{
    if (*c)
        gnutls_x509_crt_deinit(*c);
}
static void key_fini(gnutls_x509_privkey_t *k)
{
    if (*k)
        gnutls_x509_privkey_deinit(*k);
}
static gnutls_datum_t datum(struct str s)
{
    return (gnutls_datum_t){(unsigned char *)s.p, (unsigned)s.n};
}

static const char *file(struct arena *a, const char *dir, const char *name)
{
    return arena_printf(a, "%s/%s", dir, name);
}

static int tls_err(struct err *e, int code, const char *what)
{
    return err_set(e, EBADMSG, "%s: %s", what, gnutls_strerror(code));
}

bool identity_exists(const char *dir)
{
    _cleanup_(arena_freep) struct arena *a = arena_new(64 << 10);
    return fs_exists(file(a, dir, "agent.key")) && fs_exists(file(a, dir, "agent.pem")) &&
           fs_exists(file(a, dir, "ca.pem")) && fs_exists(file(a, dir, "address"));
}

/* Same public key, issued by ca, and when. Dates are not judged here: an expired certificate is still an identity. */
static int check_pair(struct str key_pem, struct str cert_pem, struct str ca_pem, struct identity *ret, struct err *e)
{
    _cleanup_(crt_fini) gnutls_x509_crt_t crt = NULL;
    _cleanup_(crt_fini) gnutls_x509_crt_t ca = NULL;
    _cleanup_(key_fini) gnutls_x509_privkey_t key = NULL;
    gnutls_datum_t k = datum(key_pem), c = datum(cert_pem), i = datum(ca_pem);
    unsigned char id1[64], id2[64];
    size_t n1 = sizeof(id1), n2 = sizeof(id2);
    unsigned status = 0;
    int r;
    if ((r = gnutls_x509_privkey_init(&key)) < 0 || (r = gnutls_x509_privkey_import(key, &k, GNUTLS_X509_FMT_PEM)) < 0)
        return tls_err(e, r, "agent.key");
    if ((r = gnutls_x509_crt_init(&crt)) < 0 || (r = gnutls_x509_crt_import(crt, &c, GNUTLS_X509_FMT_PEM)) < 0)
        return tls_err(e, r, "agent.pem");
    if ((r = gnutls_x509_crt_init(&ca)) < 0 || (r = gnutls_x509_crt_import(ca, &i, GNUTLS_X509_FMT_PEM)) < 0)
        return tls_err(e, r, "ca.pem");
    if ((r = gnutls_x509_privkey_get_key_id(key, GNUTLS_KEYID_USE_SHA256, id1, &n1)) < 0 ||
        (r = gnutls_x509_crt_get_key_id(crt, GNUTLS_KEYID_USE_SHA256, id2, &n2)) < 0)
        return tls_err(e, r, "key id");
    if (n1 != n2 || memcmp(id1, id2, n1) != 0)
        return err_set(e, EBADMSG, "the certificate is for another key");
    r = gnutls_x509_crt_verify(crt, &ca, 1, GNUTLS_VERIFY_DISABLE_TIME_CHECKS, &status);
    if (r < 0 || status)
        return err_set(e, EBADMSG, "the certificate was not issued by this CA");
    ret->begins = (int64_t)gnutls_x509_crt_get_activation_time(crt) * TIME_SECOND;
    ret->ends = (int64_t)gnutls_x509_crt_get_expiration_time(crt) * TIME_SECOND;
    return 0;
}

int identity_load(struct arena *a, const char *dir, struct identity *ret, struct err *e)
{
    struct identity x = {0};
    int r;
    if ((r = fs_read(a, file(a, dir, "agent.key"), PEM_MAX, &x.key, e)) < 0 ||
        (r = fs_read(a, file(a, dir, "agent.pem"), PEM_MAX, &x.certificate, e)) < 0 ||
        (r = fs_read(a, file(a, dir, "ca.pem"), PEM_MAX, &x.ca, e)) < 0 ||
        (r = fs_read(a, file(a, dir, "address"), 4096, &x.address, e)) < 0)
        return r;
    x.address = str_trim(x.address);
    if ((r = check_pair(x.key, x.certificate, x.ca, &x, e)) < 0)
        return r;
    *ret = x;
    return 0;
}

int identity_request(struct arena *a, struct str key, struct str *ret_key, struct str *ret_csr, struct err *e)
{
    int r;
    if (!key.n && (r = pki_key(a, &key, e)) < 0)
        return r;
    if ((r = pki_request(a, key, "bulkhead-agent", ret_csr, e)) < 0)
        return r;
    *ret_key = key;
    return 0;
}

int identity_store(struct arena *a, const char *dir, const struct identity *id, struct err *e)
{
    struct identity checked;
    int r;
    if ((r = check_pair(id->key, id->certificate, id->ca, &checked, e)) < 0 ||
        (r = fs_write(file(a, dir, "agent.key"), id->key, 0600, e)) < 0 ||
        (r = fs_write(file(a, dir, "ca.pem"), id->ca, 0600, e)) < 0 ||
        (r = fs_write(file(a, dir, "address"), id->address, 0600, e)) < 0)
        return r;
    return fs_write(file(a, dir, "agent.pem"), id->certificate, 0600, e);
}

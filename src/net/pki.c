#include "net/pki.h"

#include "base/cleanup.h"
#include "base/encode.h"
#include "base/fs.h"
#include "base/time.h"

#include <arpa/inet.h>
#include <gnutls/abstract.h>
#include <gnutls/gnutls.h>
#include <gnutls/x509.h>

#define CA_LIFE (10 * 365 * TIME_DAY)
#define SKEW    (5 * 60 * TIME_SECOND) /* clocks of the other side may be behind by so much */
#define PEM_MAX (64u << 10)
#define CSR_MAX (16u << 10)

struct pki {
    gnutls_x509_privkey_t key;
    gnutls_x509_crt_t crt;
    char *pem;
};

static void key_deinitp(gnutls_x509_privkey_t *k)
{
    if (*k)
        gnutls_x509_privkey_deinit(*k);
}
static void crt_deinitp(gnutls_x509_crt_t *c)
{
    if (*c)
        gnutls_x509_crt_deinit(*c);
}
static void crq_deinitp(gnutls_x509_crq_t *c)
{
    if (*c)
        gnutls_x509_crq_deinit(*c);
}
static void pubkey_deinitp(gnutls_pubkey_t *k)
{
    if (*k)
        gnutls_pubkey_deinit(*k);
}
static void datum_finip(gnutls_datum_t *d)
{
    gnutls_free(d->data);
}

#define _cleanup_key_    _cleanup_(key_deinitp)
#define _cleanup_crt_    _cleanup_(crt_deinitp)
#define _cleanup_crq_    _cleanup_(crq_deinitp)
#define _cleanup_pubkey_ _cleanup_(pubkey_deinitp)
#define _cleanup_datum_  _cleanup_(datum_finip)

static gnutls_datum_t datum(struct str s)
{
    return (gnutls_datum_t){(unsigned char *)s.p, (unsigned)s.n};
}

static int fault(struct err *e, int code, const char *what, int r)
{
    return err_set(e, code, "%s: %s", what, gnutls_strerror(r));
}

static int key_make(gnutls_x509_privkey_t *ret, struct err *e)
{
    _cleanup_key_ gnutls_x509_privkey_t k = NULL;
    int r = gnutls_x509_privkey_init(&k);
    if (r >= 0)
        r = gnutls_x509_privkey_generate2(k, GNUTLS_PK_ECDSA, GNUTLS_CURVE_TO_BITS(GNUTLS_ECC_CURVE_SECP256R1), 0, NULL,
                                          0);
    if (r < 0)
        return fault(e, EIO, "a new key", r);
    *ret = TAKE(k);
    return 0;
}

static int key_read(struct str pem, gnutls_x509_privkey_t *ret, struct err *e)
{
    _cleanup_key_ gnutls_x509_privkey_t k = NULL;
    gnutls_datum_t d = datum(pem);
    int r = gnutls_x509_privkey_init(&k);
    if (r >= 0)
        r = gnutls_x509_privkey_import2(k, &d, GNUTLS_X509_FMT_PEM, NULL, 0);
    if (r < 0)
        return fault(e, EBADMSG, "private key", r);
    *ret = TAKE(k);
    return 0;
}

static int key_text(struct arena *a, gnutls_x509_privkey_t k, struct str *ret, struct err *e)
{
    _cleanup_datum_ gnutls_datum_t d = {NULL, 0};
    int r = gnutls_x509_privkey_export2_pkcs8(k, GNUTLS_X509_FMT_PEM, NULL, GNUTLS_PKCS_PLAIN, &d);
    if (r < 0)
        return fault(e, EIO, "private key", r);
    *ret = arena_str(a, str_n((char *)d.data, d.size));
    fs_wipe(d.data, d.size);
    return 0;
}

static int crt_text(struct arena *a, gnutls_x509_crt_t c, struct str *ret, struct err *e)
{
    _cleanup_datum_ gnutls_datum_t d = {NULL, 0};
    int r = gnutls_x509_crt_export2(c, GNUTLS_X509_FMT_PEM, &d);
    if (r < 0)
        return fault(e, EIO, "certificate", r);
    *ret = arena_str(a, str_n((char *)d.data, d.size));
    return 0;
}

static int crt_read(struct str pem, gnutls_x509_crt_t *ret, struct err *e)
{
    _cleanup_crt_ gnutls_x509_crt_t c = NULL;
    gnutls_datum_t d = datum(pem);
    int r = gnutls_x509_crt_init(&c);
    if (r >= 0)
        r = gnutls_x509_crt_import(c, &d, GNUTLS_X509_FMT_PEM);
    if (r < 0)
        return fault(e, EBADMSG, "certificate", r);
    *ret = TAKE(c);
    return 0;
}

static int describe(struct arena *a, gnutls_x509_crt_t made, struct pki_cert *ret, struct err *e)
{
    struct pki_cert out = {0};
    unsigned char serial[64];
    char name[256], hex[129], san[256], ip[INET6_ADDRSTRLEN];
    size_t serial_n = sizeof(serial), name_n = sizeof(name), cap = 0;
    _cleanup_crt_ gnutls_x509_crt_t c = NULL; /* read back: GnuTLS does not show names of one it just made */
    int r = crt_text(a, made, &out.pem, e);
    if (r < 0 || (r = crt_read(out.pem, &c, e)) < 0)
        return r;
    if ((r = gnutls_x509_crt_get_serial(c, serial, &serial_n)) < 0 ||
        (r = gnutls_x509_crt_get_dn_by_oid(c, GNUTLS_OID_X520_COMMON_NAME, 0, 0, name, &name_n)) < 0)
        return fault(e, EBADMSG, "certificate", r);
    hex_encode(serial, serial_n, hex);
    out.serial = arena_str(a, str_c(hex));
    out.name = arena_str(a, str_n(name, name_n));
    out.starts = gnutls_x509_crt_get_activation_time(c) * TIME_SECOND;
    out.expires = gnutls_x509_crt_get_expiration_time(c) * TIME_SECOND;
    for (unsigned i = 0;; i++) {
        size_t n = sizeof(san);
        if ((r = gnutls_x509_crt_get_subject_alt_name(c, i, san, &n, NULL)) < 0)
            break;
        if (r == GNUTLS_SAN_IPADDRESS && !inet_ntop(n == 4 ? AF_INET : AF_INET6, san, ip, sizeof(ip)))
            continue;
        out.names = arena_grow(a, out.names, out.names_n, &cap, sizeof(*out.names));
        out.names[out.names_n++] = arena_str(a, r == GNUTLS_SAN_IPADDRESS ? str_c(ip) : str_n(san, n));
    }
    *ret = out;
    return 0;
}

/* ---- issuing ---- */

enum { USE_CA, USE_SERVER, USE_CLIENT };

static int add_name(gnutls_x509_crt_t c, struct str name)
{
    unsigned char ip[16];
    char text[256];
    if (name.n >= sizeof(text))
        return GNUTLS_E_INVALID_REQUEST;
    memcpy(text, name.p, name.n);
    text[name.n] = 0;
    if (inet_pton(AF_INET, text, ip) == 1)
        return gnutls_x509_crt_set_subject_alt_name(c, GNUTLS_SAN_IPADDRESS, ip, 4, GNUTLS_FSAN_APPEND);
    if (inet_pton(AF_INET6, text, ip) == 1)
        return gnutls_x509_crt_set_subject_alt_name(c, GNUTLS_SAN_IPADDRESS, ip, 16, GNUTLS_FSAN_APPEND);
    return gnutls_x509_crt_set_subject_alt_name(c, GNUTLS_SAN_DNSNAME, text, (unsigned)name.n, GNUTLS_FSAN_APPEND);
}

static int fill(gnutls_x509_crt_t c, gnutls_pubkey_t key, struct str name, int64_t life, int use)
{
    int64_t now = time_now();
    unsigned char serial[16], id[64];
    size_t id_n = sizeof(id);
    fs_random(serial, sizeof(serial));
    serial[0] = (unsigned char)((serial[0] & 0x3f) | 0x40); /* positive, and always 16 bytes */
    int r;
    if ((r = gnutls_x509_crt_set_version(c, 3)) < 0 ||
        (r = gnutls_x509_crt_set_serial(c, serial, sizeof(serial))) < 0 ||
        (r = gnutls_x509_crt_set_activation_time(c, (time_t)((now - SKEW) / TIME_SECOND))) < 0 ||
        (r = gnutls_x509_crt_set_expiration_time(c, (time_t)((now + life) / TIME_SECOND))) < 0 ||
        (r = gnutls_x509_crt_set_dn_by_oid(c, GNUTLS_OID_X520_COMMON_NAME, 0, name.p, (unsigned)name.n)) < 0 ||
        (r = gnutls_x509_crt_set_pubkey(c, key)) < 0 ||
        (r = gnutls_x509_crt_set_basic_constraints(c, use == USE_CA, use == USE_CA ? 0 : -1)) < 0 ||
        (r = gnutls_x509_crt_set_key_usage(c, use == USE_CA ? GNUTLS_KEY_KEY_CERT_SIGN | GNUTLS_KEY_CRL_SIGN
                                                            : GNUTLS_KEY_DIGITAL_SIGNATURE)) < 0)
        return r;
    if (use != USE_CA && (r = gnutls_x509_crt_set_key_purpose_oid(
                              c, use == USE_SERVER ? GNUTLS_KP_TLS_WWW_SERVER : GNUTLS_KP_TLS_WWW_CLIENT, 0)) < 0)
        return r;
    if ((r = gnutls_pubkey_get_key_id(key, 0, id, &id_n)) < 0)
        return r;
    return gnutls_x509_crt_set_subject_key_id(c, id, id_n > 20 ? 20 : id_n);
}

static int issue(struct pki *p, gnutls_pubkey_t key, struct str name, const struct str *names, size_t names_n,
                 int64_t life, int use, gnutls_x509_crt_t *ret, struct err *e)
{
    _cleanup_crt_ gnutls_x509_crt_t c = NULL;
    unsigned char id[64];
    size_t id_n = sizeof(id);
    int r = gnutls_x509_crt_init(&c);
    if (r >= 0)
        r = fill(c, key, name, life, use);
    for (size_t i = 0; r >= 0 && i < names_n; i++)
        r = add_name(c, names[i]);
    if (r >= 0)
        r = gnutls_x509_crt_get_subject_key_id(use == USE_CA ? c : p->crt, id, &id_n, NULL);
    if (r >= 0)
        r = gnutls_x509_crt_set_authority_key_id(c, id, id_n);
    if (r >= 0)
        r = gnutls_x509_crt_sign2(c, use == USE_CA ? c : p->crt, p->key, GNUTLS_DIG_SHA256, 0);
    if (r < 0)
        return fault(e, EIO, "making a certificate", r);
    *ret = TAKE(c);
    return 0;
}

static int public_half(gnutls_x509_privkey_t key, gnutls_pubkey_t *ret, struct err *e)
{
    /* through an abstract private key: the only way GnuTLS offers */
    gnutls_privkey_t abstract = NULL;
    _cleanup_pubkey_ gnutls_pubkey_t pub = NULL;
    int r = gnutls_privkey_init(&abstract);
    if (r >= 0 && (r = gnutls_privkey_import_x509(abstract, key, 0)) >= 0 && (r = gnutls_pubkey_init(&pub)) >= 0)
        r = gnutls_pubkey_import_privkey(pub, abstract, 0, 0);
    if (abstract)
        gnutls_privkey_deinit(abstract);
    if (r < 0)
        return fault(e, EIO, "public key", r);
    *ret = TAKE(pub);
    return 0;
}

/* ---- the authority ---- */

static int ca_make(struct arena *a, const char *key_path, const char *crt_path, struct err *e)
{
    struct pki made = {0};
    _cleanup_key_ gnutls_x509_privkey_t key = NULL;
    _cleanup_crt_ gnutls_x509_crt_t crt = NULL;
    _cleanup_pubkey_ gnutls_pubkey_t pub = NULL;
    unsigned char tag[4];
    char hex[9];
    struct str pem;
    int r = key_make(&key, e);
    if (r < 0 || (r = public_half(key, &pub, e)) < 0)
        return r;
    made.key = key;
    fs_random(tag, sizeof(tag));
    hex_encode(tag, sizeof(tag), hex);
    if ((r = issue(&made, pub, arena_strf(a, "Bulkhead authority %s", hex), NULL, 0, CA_LIFE, USE_CA, &crt, e)) < 0 ||
        (r = key_text(a, key, &pem, e)) < 0 || (r = fs_write(key_path, pem, 0600, e)) < 0)
        return r;
    fs_wipe((void *)pem.p, pem.n);
    if ((r = crt_text(a, crt, &pem, e)) < 0)
        return r;
    return fs_write(crt_path, pem, 0644, e);
}

static int ca_load(struct pki *p, struct arena *a, const char *key_path, const char *crt_path, struct err *e)
{
    struct str key, pem;
    int r = fs_read(a, key_path, PEM_MAX, &key, e);
    if (r < 0 || (r = fs_read(a, crt_path, PEM_MAX, &pem, e)) < 0)
        return r;
    r = key_read(key, &p->key, e);
    fs_wipe((void *)key.p, key.n);
    if (r < 0)
        return err_wrap(e, "%s", key_path);
    if ((r = crt_read(pem, &p->crt, e)) < 0)
        return err_wrap(e, "%s", crt_path);
    _cleanup_pubkey_ gnutls_pubkey_t pub = NULL;
    unsigned char mine[64], its[64];
    size_t mine_n = sizeof(mine), its_n = sizeof(its);
    if ((r = public_half(p->key, &pub, e)) < 0)
        return r;
    if (gnutls_pubkey_get_key_id(pub, 0, mine, &mine_n) < 0 || gnutls_x509_crt_get_key_id(p->crt, 0, its, &its_n) < 0 ||
        mine_n != its_n || memcmp(mine, its, mine_n))
        return err_set(e, EBADMSG, "%s and %s do not belong together", key_path, crt_path);
    return 0;
}

int pki_open(const char *dir, struct pki **ret, struct err *e)
{
    _cleanup_(arena_freep) struct arena *a = arena_new(1u << 20);
    _cleanup_(pki_closep) struct pki *p = calloc(1, sizeof(*p));
    if (!p)
        abort();
    const char *key_path = arena_printf(a, "%s/ca.key", dir), *crt_path = arena_printf(a, "%s/ca.pem", dir);
    int r = fs_mkdirs(dir, 0700, e);
    if (r < 0)
        return r;
    /* Only when both are missing: half an authority is a damaged state directory, not a reason for a new one. */
    if (!fs_exists(key_path) && !fs_exists(crt_path))
        r = ca_make(a, key_path, crt_path, e);
    if (r >= 0)
        r = ca_load(p, a, key_path, crt_path, e);
    struct str pem;
    if (r < 0 || (r = crt_text(a, p->crt, &pem, e)) < 0)
        return err_wrap(e, "certificate authority");
    p->pem = strdup(pem.p);
    *ret = TAKE(p);
    return 0;
}

void pki_close(struct pki *p)
{
    if (!p)
        return;
    key_deinitp(&p->key);
    crt_deinitp(&p->crt);
    free(p->pem);
    free(p);
}

void pki_closep(struct pki **p)
{
    pki_close(*p);
}
struct str pki_ca(const struct pki *p)
{
    return str_c(p->pem);
}

static bool same_names(const struct pki_cert *c, const struct str *names, size_t n)
{
    if (c->names_n != n)
        return false;
    for (size_t i = 0; i < n; i++)
        if (!str_eq(c->names[i], names[i]))
            return false;
    return true;
}

/* The kept one, if it still serves. */
static bool server_kept(struct pki *p, struct arena *a, const char *key_path, const char *crt_path,
                        const struct str *names, size_t names_n, struct str *ret_key, struct pki_cert *ret)
{
    struct str pem, key;
    struct pki_cert c;
    _cleanup_crt_ gnutls_x509_crt_t crt = NULL;
    unsigned status = 0;
    if (!fs_exists(key_path) || fs_read(a, key_path, PEM_MAX, &key, NULL) < 0 ||
        fs_read(a, crt_path, PEM_MAX, &pem, NULL) < 0 || crt_read(pem, &crt, NULL) < 0 ||
        describe(a, crt, &c, NULL) < 0)
        return false;
    int64_t now = time_now();
    if (gnutls_x509_crt_verify(crt, &p->crt, 1, 0, &status) < 0 || status || !same_names(&c, names, names_n) ||
        now < c.starts || now > c.starts + (c.expires - c.starts) / 2)
        return false;
    *ret_key = key;
    *ret = c;
    return true;
}

int pki_server(struct pki *p, struct arena *a, const char *dir, const struct str *names, size_t names_n, int64_t life,
               struct str *ret_key, struct pki_cert *ret, struct err *e)
{
    const char *key_path = arena_printf(a, "%s/server.key", dir), *crt_path = arena_printf(a, "%s/server.pem", dir);
    if (server_kept(p, a, key_path, crt_path, names, names_n, ret_key, ret))
        return 0;
    _cleanup_key_ gnutls_x509_privkey_t key = NULL;
    _cleanup_pubkey_ gnutls_pubkey_t pub = NULL;
    _cleanup_crt_ gnutls_x509_crt_t crt = NULL;
    struct str pem;
    struct pki_cert c;
    int r;
    if (!names_n)
        return err_set(e, EINVAL, "a server certificate needs a name");
    if ((r = key_make(&key, e)) < 0 || (r = public_half(key, &pub, e)) < 0 ||
        (r = issue(p, pub, names[0], names, names_n, life, USE_SERVER, &crt, e)) < 0 ||
        (r = describe(a, crt, &c, e)) < 0 || (r = key_text(a, key, &pem, e)) < 0 ||
        (r = fs_write(key_path, pem, 0600, e)) < 0 || (r = fs_write(crt_path, c.pem, 0644, e)) < 0)
        return r;
    *ret_key = pem;
    *ret = c;
    return 0;
}

int pki_sign_agent(struct pki *p, struct arena *a, struct str csr, struct str name, int64_t life, struct pki_cert *ret,
                   struct err *e)
{
    _cleanup_crq_ gnutls_x509_crq_t crq = NULL;
    _cleanup_pubkey_ gnutls_pubkey_t pub = NULL;
    _cleanup_crt_ gnutls_x509_crt_t crt = NULL;
    _cleanup_datum_ gnutls_datum_t x = {NULL, 0}, y = {NULL, 0};
    gnutls_ecc_curve_t curve = GNUTLS_ECC_CURVE_INVALID;
    gnutls_datum_t d = datum(csr);
    int r;
    if (csr.n > CSR_MAX)
        return err_set(e, EBADMSG, "certificate request: larger than %u bytes", CSR_MAX);
    if ((r = gnutls_x509_crq_init(&crq)) < 0 || (r = gnutls_x509_crq_import(crq, &d, GNUTLS_X509_FMT_PEM)) < 0)
        return fault(e, EBADMSG, "certificate request", r);
    if (gnutls_x509_crq_get_pk_algorithm(crq, NULL) != GNUTLS_PK_ECDSA)
        return err_set(e, EBADMSG, "certificate request: the key is not ECDSA P-256");
    if ((r = gnutls_x509_crq_verify(crq, 0)) < 0)
        return fault(e, EBADMSG, "certificate request: proof of possession", r);
    if ((r = gnutls_pubkey_init(&pub)) < 0 || (r = gnutls_pubkey_import_x509_crq(pub, crq, 0)) < 0 ||
        (r = gnutls_pubkey_export_ecc_raw2(pub, &curve, &x, &y, 0)) < 0)
        return fault(e, EBADMSG, "certificate request", r);
    if (curve != GNUTLS_ECC_CURVE_SECP256R1)
        return err_set(e, EBADMSG, "certificate request: the key is not ECDSA P-256");
    if ((r = issue(p, pub, name, NULL, 0, life, USE_CLIENT, &crt, e)) < 0)
        return r;
    return describe(a, crt, ret, e);
}

/* ---- those who ask ---- */

int pki_key(struct arena *a, struct str *ret, struct err *e)
{
    _cleanup_key_ gnutls_x509_privkey_t k = NULL;
    int r = key_make(&k, e);
    return r < 0 ? r : key_text(a, k, ret, e);
}

int pki_request(struct arena *a, struct str key, const char *name, struct str *ret, struct err *e)
{
    _cleanup_key_ gnutls_x509_privkey_t k = NULL;
    _cleanup_crq_ gnutls_x509_crq_t crq = NULL;
    _cleanup_datum_ gnutls_datum_t d = {NULL, 0};
    int r = key_read(key, &k, e);
    if (r < 0)
        return r;
    if ((r = gnutls_x509_crq_init(&crq)) < 0 || (r = gnutls_x509_crq_set_version(crq, 1)) < 0 ||
        (r = gnutls_x509_crq_set_dn_by_oid(crq, GNUTLS_OID_X520_COMMON_NAME, 0, name, (unsigned)strlen(name))) < 0 ||
        (r = gnutls_x509_crq_set_key(crq, k)) < 0 || (r = gnutls_x509_crq_sign2(crq, k, GNUTLS_DIG_SHA256, 0)) < 0 ||
        (r = gnutls_x509_crq_export2(crq, GNUTLS_X509_FMT_PEM, &d)) < 0)
        return fault(e, EIO, "certificate request", r);
    *ret = arena_str(a, str_n((char *)d.data, d.size));
    return 0;
}

int pki_read(struct arena *a, struct str pem, struct pki_cert *ret, struct err *e)
{
    _cleanup_crt_ gnutls_x509_crt_t c = NULL;
    int r = crt_read(pem, &c, e);
    return r < 0 ? r : describe(a, c, ret, e);
}

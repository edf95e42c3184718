#include "net/sign.h"

#include "base/arena.h"
#include "base/cleanup.h"
#include "base/encode.h"
#include "base/fs.h"

#include <gnutls/abstract.h>
#include <gnutls/crypto.h>
#include <gnutls/gnutls.h>

static void privkey_free(gnutls_privkey_t *k)
{
    if (*k)
        gnutls_privkey_deinit(*k);
}

static void pubkey_free(gnutls_pubkey_t *k)
{
    if (*k)
        gnutls_pubkey_deinit(*k);
}

static void datum_free(gnutls_datum_t *d)
{
    gnutls_free(d->data);
}

static gnutls_datum_t datum(struct str s)
{
    return (gnutls_datum_t){(unsigned char *)s.p, (unsigned)s.n};
}

static int load_private(const char *path, gnutls_privkey_t key, struct err *e)
{
    _cleanup_(arena_freep) struct arena *a = arena_new(4 * SIGN_PEM_MAX);
    struct str pem;
    int r = fs_read(a, path, SIGN_PEM_MAX, &pem, e);
    if (r < 0)
        return err_wrap(e, "key"), r;
    gnutls_datum_t d = datum(pem);
    r = gnutls_privkey_import_x509_raw(key, &d, GNUTLS_X509_FMT_PEM, NULL, 0);
    fs_wipe((char *)pem.p, pem.n);
    if (r < 0 || gnutls_privkey_get_pk_algorithm(key, NULL) != GNUTLS_PK_EDDSA_ED25519)
        return err_set(e, EINVAL,
                       "key %s: not an ed25519 private key in PKCS#8 PEM (openssl genpkey -algorithm ed25519)", path);
    return 0;
}

/* Of a private key its public half: who signs checks the own work. */
static int load_public(struct str pem, gnutls_pubkey_t key, struct err *e)
{
    gnutls_datum_t d = datum(pem);
    int r = pem.n > SIGN_PEM_MAX ? GNUTLS_E_PARSING_ERROR : gnutls_pubkey_import(key, &d, GNUTLS_X509_FMT_PEM);
    if (r < 0 && pem.n <= SIGN_PEM_MAX) {
        _cleanup_(privkey_free) gnutls_privkey_t private = NULL;
        if (gnutls_privkey_init(&private) == 0 &&
            gnutls_privkey_import_x509_raw(private, &d, GNUTLS_X509_FMT_PEM, NULL, 0) == 0)
            r = gnutls_pubkey_import_privkey(key, private, 0, 0);
    }
    if (r < 0 || gnutls_pubkey_get_pk_algorithm(key, NULL) != GNUTLS_PK_EDDSA_ED25519)
        return err_set(e, EINVAL, "not an ed25519 key in PEM (openssl pkey -pubout)");
    return 0;
}

static int key_id(gnutls_pubkey_t key, char out[static SIGN_ID], struct err *e)
{
    _cleanup_(datum_free) gnutls_datum_t der = {0};
    uint8_t sum[32];
    if (gnutls_pubkey_export2(key, GNUTLS_X509_FMT_DER, &der) < 0 ||
        gnutls_hash_fast(GNUTLS_DIG_SHA256, der.data, der.size, sum) < 0)
        return err_set(e, EINVAL, "key: cannot be exported");
    hex_encode(sum, sizeof(sum), out);
    return 0;
}

int sign_bytes(const char *key_path, struct str message, struct signature *ret, struct err *e)
{
    _cleanup_(privkey_free) gnutls_privkey_t key = NULL;
    _cleanup_(pubkey_free) gnutls_pubkey_t public = NULL;
    _cleanup_(datum_free) gnutls_datum_t sig = {0};
    gnutls_datum_t d = datum(message);
    int r;
    if (gnutls_privkey_init(&key) < 0 || gnutls_pubkey_init(&public) < 0)
        return err_set(e, ENOMEM, "key");
    if ((r = load_private(key_path, key, e)) < 0)
        return r;
    if (gnutls_pubkey_import_privkey(public, key, 0, 0) < 0)
        return err_set(e, EINVAL, "key %s: has no public half", key_path);
    if ((r = key_id(public, ret->id, e)) < 0)
        return r;
    if (gnutls_privkey_sign_data2(key, GNUTLS_SIGN_EDDSA_ED25519, 0, &d, &sig) < 0 || sig.size != SIGN_SIZE)
        return err_set(e, EIO, "key %s: cannot sign", key_path);
    memcpy(ret->bytes, sig.data, SIGN_SIZE);
    return 0;
}

int sign_check(struct str public_pem, struct str message, const struct signature *s, struct err *e)
{
    _cleanup_(pubkey_free) gnutls_pubkey_t key = NULL;
    gnutls_datum_t d = datum(message), sig = {(unsigned char *)s->bytes, SIGN_SIZE};
    char id[SIGN_ID];
    int r;
    if (gnutls_pubkey_init(&key) < 0)
        return err_set(e, ENOMEM, "key");
    if ((r = load_public(public_pem, key, e)) < 0 || (r = key_id(key, id, e)) < 0)
        return r;
    if (strcmp(id, s->id))
        return err_set(e, EKEYREJECTED, "it was signed with another key");
    if (gnutls_pubkey_verify_data2(key, GNUTLS_SIGN_EDDSA_ED25519, 0, &d, &sig) < 0)
        return err_set(e, EKEYREJECTED, "its content is not what was signed");
    return 0;
}

int sign_id(struct str public_pem, char out[static SIGN_ID], struct err *e)
{
    _cleanup_(pubkey_free) gnutls_pubkey_t key = NULL;
    int r = gnutls_pubkey_init(&key) < 0 ? err_set(e, ENOMEM, "key") : load_public(public_pem, key, e);
    return r < 0 ? r : key_id(key, out, e);
}

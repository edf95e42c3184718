#include "base/cleanup.h"
#include "base/encode.h"
#include "base/fs.h"
#include "format/digest.h"
#include "intel/database.h"

#include <gnutls/abstract.h>
#include <gnutls/gnutls.h>
#include <sys/mman.h>
#include <sys/stat.h>

#define MAGIC "BULKHEAD-INTEL-SIGNATURE 1\n"
enum { KEY_FILE_MAX = 16384, SIGNATURE_SIZE = 64, TERMS_TEXT = 80 };

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

static int load_private(const char *path, gnutls_privkey_t key, struct err *e)
{
    _cleanup_(arena_freep) struct arena *a = arena_new(4 * KEY_FILE_MAX);
    struct str pem;
    int r = fs_read(a, path, KEY_FILE_MAX, &pem, e);
    if (r < 0)
        return err_wrap(e, "key");
    gnutls_datum_t data = {(unsigned char *)pem.p, (unsigned)pem.n};
    r = gnutls_privkey_import_x509_raw(key, &data, GNUTLS_X509_FMT_PEM, NULL, 0);
    fs_wipe((char *)pem.p, pem.n);
    if (r < 0 || gnutls_privkey_get_pk_algorithm(key, NULL) != GNUTLS_PK_EDDSA_ED25519)
        return err_set(e, EINVAL,
                       "key %s: not an ed25519 private key in PKCS#8 PEM (openssl genpkey -algorithm ed25519)", path);
    return 0;
}

static int load_public(const char *path, gnutls_pubkey_t key, struct err *e)
{
    _cleanup_(arena_freep) struct arena *a = arena_new(4 * KEY_FILE_MAX);
    struct str pem;
    int r = fs_read(a, path, KEY_FILE_MAX, &pem, e);
    if (r < 0)
        return err_wrap(e, "key");
    gnutls_datum_t data = {(unsigned char *)pem.p, (unsigned)pem.n};
    r = gnutls_pubkey_import(key, &data, GNUTLS_X509_FMT_PEM);
    if (r < 0) { /* the signer checks its own work: the public half of its key */
        _cleanup_(privkey_free) gnutls_privkey_t private = NULL;
        if (gnutls_privkey_init(&private) == 0 &&
            gnutls_privkey_import_x509_raw(private, &data, GNUTLS_X509_FMT_PEM, NULL, 0) == 0)
            r = gnutls_pubkey_import_privkey(key, private, 0, 0);
        fs_wipe((char *)pem.p, pem.n);
    }
    if (r < 0 || gnutls_pubkey_get_pk_algorithm(key, NULL) != GNUTLS_PK_EDDSA_ED25519)
        return err_set(e, EINVAL, "key %s: not an ed25519 key in PEM (openssl pkey -pubout)", path);
    return 0;
}

static int key_id(gnutls_pubkey_t key, char out[static 65], struct err *e)
{
    _cleanup_(datum_free) gnutls_datum_t der = {0};
    uint8_t sum[SHA256_SIZE];
    if (gnutls_pubkey_export2(key, GNUTLS_X509_FMT_DER, &der) < 0)
        return err_set(e, EINVAL, "key: cannot be exported");
    sha256_of((struct str){(const char *)der.data, der.size}, sum);
    hex_encode(sum, sizeof(sum), out);
    return 0;
}

/* "serial 41\nexpires 1790000000000000\n", each only when it is set */
static const char *terms_text(const struct signature_terms *t, char out[static TERMS_TEXT])
{
    int n = 0;
    out[0] = 0;
    if (t->serial)
        n = snprintf(out, TERMS_TEXT, "serial %" PRIu64 "\n", t->serial);
    if (t->expires > 0)
        snprintf(out + n, (size_t)(TERMS_TEXT - n), "expires %" PRId64 "\n", t->expires);
    return out;
}

/* What is signed: the digest of the content, its length, and what it is for. */
static int message(const void *p, size_t n, const struct signature_terms *t, char *out, size_t size)
{
    char terms[TERMS_TEXT];
    uint8_t sum[SHA256_SIZE];
    char hex[2 * SHA256_SIZE + 1];
    sha256_of((struct str){p, n}, sum);
    hex_encode(sum, sizeof(sum), hex);
    return snprintf(out, size, "bulkhead intel.db %d\nsize %zu\nsha256 %s\n%s", INTEL_FORMAT, n, hex,
                    terms_text(t, terms));
}

/* The one trailer that belongs to these values. */
static void trailer(size_t size, const char *key, const struct signature_terms *t,
                    const uint8_t sig[static SIGNATURE_SIZE], char out[static INTEL_TRAILER])
{
    char hex[2 * SIGNATURE_SIZE + 1], text[INTEL_TRAILER], terms[TERMS_TEXT];
    hex_encode(sig, SIGNATURE_SIZE, hex);
    int n =
        snprintf(text, sizeof(text), MAGIC "size %zu\nkey %s\n%ssignature %s\n", size, key, terms_text(t, terms), hex);
    memset(out, '\n', INTEL_TRAILER);
    memcpy(out, text, (size_t)n);
}

bool signature_present(const void *p, size_t n)
{
    return n > INTEL_TRAILER && !memcmp((const char *)p + n - INTEL_TRAILER, MAGIC, sizeof(MAGIC) - 1);
}

static int signature_find(const char *text, struct signature_terms *t, uint8_t out[static SIGNATURE_SIZE])
{
    struct str rest = {text, INTEL_TRAILER}, line, name, value;
    *t = (struct signature_terms){0};
    while (str_cut(&rest, '\n', &line)) {
        if (!str_split(line, ' ', &name, &value))
            continue;
        if (str_eqc(name, "signature"))
            return hex_decode(value, out, SIGNATURE_SIZE);
        if ((str_eqc(name, "serial") && str_u64(value, &t->serial) < 0) ||
            (str_eqc(name, "expires") && str_i64(value, &t->expires) < 0))
            return -EINVAL;
    }
    return -EINVAL;
}

int signature_verify(const void *p, size_t n, const char *key_path, size_t *ret_size, struct signature_terms *ret_terms,
                     struct err *e)
{
    struct signature_terms terms;
    _cleanup_(pubkey_free) gnutls_pubkey_t key = NULL;
    char id[65], want[INTEL_TRAILER], text[256];
    uint8_t sig[SIGNATURE_SIZE];
    int r;
    if (gnutls_pubkey_init(&key) < 0)
        return err_set(e, ENOMEM, "key");
    if ((r = load_public(key_path, key, e)) < 0 || (r = key_id(key, id, e)) < 0)
        return r;
    if (!signature_present(p, n))
        return err_set(e, EKEYREJECTED, "it is not signed, or its signature is damaged");
    size_t size = n - INTEL_TRAILER;
    const char *have = (const char *)p + size;
    if (signature_find(have, &terms, sig) < 0)
        return err_set(e, EKEYREJECTED, "its signature is malformed");
    trailer(size, id, &terms, sig, want);
    if (memcmp(have, want, INTEL_TRAILER))
        return err_set(e, EKEYREJECTED, "it was signed with another key, or its signature is damaged");
    int length = message(p, size, &terms, text, sizeof(text));
    gnutls_datum_t data = {(unsigned char *)text, (unsigned)length}, signature = {sig, sizeof(sig)};
    if (gnutls_pubkey_verify_data2(key, GNUTLS_SIGN_EDDSA_ED25519, 0, &data, &signature) < 0)
        return err_set(e, EKEYREJECTED, "its content is not what was signed");
    *ret_size = size;
    *ret_terms = terms;
    return 0;
}

static int make(const void *p, size_t n, const char *key_path, const struct signature_terms *terms,
                char out[static INTEL_TRAILER], struct err *e)
{
    _cleanup_(privkey_free) gnutls_privkey_t key = NULL;
    _cleanup_(pubkey_free) gnutls_pubkey_t public = NULL;
    _cleanup_(datum_free) gnutls_datum_t sig = {0};
    char id[65], text[256];
    int r;
    if (gnutls_privkey_init(&key) < 0 || gnutls_pubkey_init(&public) < 0)
        return err_set(e, ENOMEM, "key");
    if ((r = load_private(key_path, key, e)) < 0)
        return r;
    if (gnutls_pubkey_import_privkey(public, key, 0, 0) < 0)
        return err_set(e, EINVAL, "key %s: has no public half", key_path);
    if ((r = key_id(public, id, e)) < 0)
        return r;
    gnutls_datum_t data = {(unsigned char *)text, (unsigned)message(p, n, terms, text, sizeof(text))};
    if (gnutls_privkey_sign_data2(key, GNUTLS_SIGN_EDDSA_ED25519, 0, &data, &sig) < 0 || sig.size != SIGNATURE_SIZE)
        return err_set(e, EIO, "key %s: cannot sign", key_path);
    trailer(n, id, terms, sig.data, out);
    return 0;
}

int signature_append(int fd, const char *key_path, const struct signature_terms *terms, struct err *e)
{
    struct stat st;
    char text[INTEL_TRAILER];
    if (fstat(fd, &st) < 0)
        return err_errno(e, "fstat");
    void *p = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (p == MAP_FAILED)
        return err_errno(e, "mmap");
    int r = make(p, (size_t)st.st_size, key_path, terms, text, e);
    munmap(p, (size_t)st.st_size);
    if (r < 0)
        return r;
    if (lseek(fd, st.st_size, SEEK_SET) < 0)
        return err_errno(e, "lseek");
    return fs_write_all(fd, text, sizeof(text), e);
}

#include "base/cleanup.h"
#include "base/encode.h"
#include "base/fs.h"
#include "format/digest.h"
#include "intel/database.h"
#include "net/sign.h"

#include <sys/mman.h>
#include <sys/stat.h>

#define MAGIC "BULKHEAD-INTEL-SIGNATURE 1\n"
enum { SIGNATURE_SIZE = SIGN_SIZE, TERMS_TEXT = 80 };

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
    struct signature sig;
    struct str pem;
    _cleanup_(arena_freep) struct arena *a = arena_new(4 * SIGN_PEM_MAX);
    char want[INTEL_TRAILER], text[256];
    int r = fs_read(a, key_path, SIGN_PEM_MAX, &pem, e);
    if (r < 0 || (r = sign_id(pem, sig.id, e)) < 0)
        return err_wrap(e, "key %s", key_path), r;
    if (!signature_present(p, n))
        return err_set(e, EKEYREJECTED, "it is not signed, or its signature is damaged");
    size_t size = n - INTEL_TRAILER;
    const char *have = (const char *)p + size;
    if (signature_find(have, &terms, sig.bytes) < 0)
        return err_set(e, EKEYREJECTED, "its signature is malformed");
    trailer(size, sig.id, &terms, sig.bytes, want);
    if (memcmp(have, want, INTEL_TRAILER))
        return err_set(e, EKEYREJECTED, "it was signed with another key, or its signature is damaged");
    int length = message(p, size, &terms, text, sizeof(text));
    if ((r = sign_check(pem, str_n(text, (size_t)length), &sig, e)) < 0)
        return r;
    *ret_size = size;
    *ret_terms = terms;
    return 0;
}

static int make(const void *p, size_t n, const char *key_path, const struct signature_terms *terms,
                char out[static INTEL_TRAILER], struct err *e)
{
    struct signature sig;
    char text[256];
    int length = message(p, n, terms, text, sizeof(text)),
        r = sign_bytes(key_path, str_n(text, (size_t)length), &sig, e);
    if (r < 0)
        return r;
    trailer(n, sig.id, terms, sig.bytes, out);
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

#include "format/digest.h"

#include "base/encode.h"

#include <gnutls/crypto.h>
#include <gnutls/gnutls.h>

/* GnuTLS's hashing fails only without memory or on a wrong algorithm; both are the program's end. */
static void must(int r)
{
    if (r < 0) {
        fprintf(stderr, "bulkhead: sha256: %s\n", gnutls_strerror(r));
        abort();
    }
}

void sha256_init(struct sha256 *h)
{
    gnutls_hash_hd_t handle;
    must(gnutls_hash_init(&handle, GNUTLS_DIG_SHA256));
    h->handle = handle;
}

void sha256_update(struct sha256 *h, const void *p, size_t n)
{
    if (n > 0)
        must(gnutls_hash(h->handle, p, n));
}

void sha256_final(struct sha256 *h, uint8_t out[static SHA256_SIZE])
{
    gnutls_hash_deinit(h->handle, out);
    h->handle = NULL;
}

void sha256_fini(struct sha256 *h)
{
    if (h->handle)
        gnutls_hash_deinit(h->handle, NULL);
    h->handle = NULL;
}

void sha256_of(struct str s, uint8_t out[static SHA256_SIZE])
{
    must(gnutls_hash_fast(GNUTLS_DIG_SHA256, s.n ? s.p : "", s.n, out));
}

const char *digest_text(const uint8_t sum[static SHA256_SIZE], char out[static DIGEST_TEXT])
{
    memcpy(out, "sha256:", 7);
    hex_encode(sum, SHA256_SIZE, out + 7);
    return out;
}

bool digest_valid(struct str s)
{
    if (s.n != DIGEST_TEXT - 1 || !str_starts(s, STR("sha256:")))
        return false;
    for (size_t i = 7; i < s.n; i++)
        if (!((s.p[i] >= '0' && s.p[i] <= '9') || (s.p[i] >= 'a' && s.p[i] <= 'f')))
            return false;
    return true;
}

int digest_parse(struct str s, uint8_t out[static SHA256_SIZE], struct err *e)
{
    if (!digest_valid(s))
        return err_set(e, EINVAL, "expected sha256:<64 lower-case hex digits>, found \"" STR_FMT "\"",
                       STR_ARG(str_sub(s, 0, 100)));
    return hex_decode(str_sub(s, 7, s.n), out, SHA256_SIZE);
}

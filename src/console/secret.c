/* secret: random secrets, their hashes, and passwords. */
#include "base/encode.h"
#include "base/fs.h"
#include "console/console.h"
#include "format/digest.h"

#include <sodium.h>

#define HASHING_MAX  2 /* argon2id runs at once: 64 MB and a core each */
#define PASSWORD_MIN 12
#define PASSWORD_MAX 1024

struct str secret_new(struct arena *a)
{
    unsigned char raw[32];
    fs_random(raw, sizeof(raw));
    struct str s = base64url_encode(a, str_n((char *)raw, sizeof(raw)));
    fs_wipe(raw, sizeof(raw));
    return s;
}

struct str secret_hash(struct arena *a, struct str secret)
{
    uint8_t sum[SHA256_SIZE];
    char *hex = arena_alloc(a, 2 * SHA256_SIZE + 1);
    sha256_of(secret, sum);
    hex_encode(sum, sizeof(sum), hex);
    return str_n(hex, 2 * SHA256_SIZE);
}

bool secret_matches(struct arena *a, struct str secret, struct str hash)
{
    struct str mine = secret_hash(a, secret);
    return hash.n == mine.n && !sodium_memcmp(mine.p, hash.p, mine.n);
}

int password_good(struct str password, struct err *e)
{
    if (password.n < PASSWORD_MIN || password.n > PASSWORD_MAX)
        return err_set(e, EINVAL, "a password has %d to %d bytes", PASSWORD_MIN, PASSWORD_MAX);
    return 0;
}

static int hashing(struct console *c, struct err *e)
{
    if (atomic_fetch_add(&c->hashing, 1) < HASHING_MAX)
        return 0;
    atomic_fetch_sub(&c->hashing, 1);
    return err_set(e, EAGAIN, "too many logins at once");
}

int password_hash(struct console *c, struct arena *a, struct str password, struct str *ret, struct err *e)
{
    char out[crypto_pwhash_STRBYTES];
    int r = hashing(c, e);
    if (r < 0)
        return r;
    r = crypto_pwhash_str(out, password.p, password.n, crypto_pwhash_OPSLIMIT_INTERACTIVE,
                          crypto_pwhash_MEMLIMIT_INTERACTIVE);
    atomic_fetch_sub(&c->hashing, 1);
    if (r)
        return err_set(e, ENOMEM, "no memory to hash a password");
    *ret = arena_str(a, str_c(out));
    return 0;
}

int password_check(struct console *c, struct str password, struct str hash, bool *ret, struct err *e)
{
    char text[crypto_pwhash_STRBYTES] = {0};
    int r = hashing(c, e);
    if (r < 0)
        return r;
    struct str h = hash.n && hash.n < sizeof(text) ? hash : c->nobody;
    memcpy(text, h.p, h.n);
    bool same = !crypto_pwhash_str_verify(text, password.p ? password.p : "", password.n);
    atomic_fetch_sub(&c->hashing, 1);
    *ret = same && hash.n;
    return 0;
}

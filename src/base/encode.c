#include "base/encode.h"

#include "base/err.h"
#include "base/fs.h"

#include <pthread.h>

void hex_encode(const void *p, size_t n, char *out)
{
    static const char digits[] = "0123456789abcdef";
    const unsigned char *u = p;
    for (size_t i = 0; i < n; i++) {
        *out++ = digits[u[i] >> 4];
        *out++ = digits[u[i] & 15];
    }
    *out = '\0';
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

int hex_decode(struct str s, void *out, size_t n)
{
    if (s.n / 2 != n || s.n % 2)
        return -EINVAL;
    for (size_t i = 0; i < s.n; i++)
        if (hex_digit(s.p[i]) < 0)
            return -EINVAL;
    unsigned char *u = out;
    for (size_t i = 0; i < n; i++)
        u[i] = (unsigned char)(hex_digit(s.p[2 * i]) << 4 | hex_digit(s.p[2 * i + 1]));
    return 0;
}

static const char standard[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
static const char url_safe[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

static struct str encode64(struct arena *a, struct str s, const char *alphabet, bool pad)
{
    char *out = arena_array(a, s.n / 3 + 2, 4), *o = out;
    const unsigned char *u = (const unsigned char *)s.p;
    size_t i = 0;
    for (; i + 3 <= s.n; i += 3) {
        uint32_t v = (uint32_t)u[i] << 16 | (uint32_t)u[i + 1] << 8 | u[i + 2];
        *o++ = alphabet[v >> 18];
        *o++ = alphabet[v >> 12 & 63];
        *o++ = alphabet[v >> 6 & 63];
        *o++ = alphabet[v & 63];
    }
    size_t left = s.n - i;
    if (left) {
        uint32_t v = (uint32_t)u[i] << 16 | (left == 2 ? (uint32_t)u[i + 1] << 8 : 0);
        *o++ = alphabet[v >> 18];
        *o++ = alphabet[v >> 12 & 63];
        if (left == 2)
            *o++ = alphabet[v >> 6 & 63];
        for (size_t k = left; pad && k < 3; k++)
            *o++ = '=';
    }
    *o = '\0';
    return str_n(out, (size_t)(o - out));
}

struct str base64_encode(struct arena *a, struct str s)
{
    return encode64(a, s, standard, true);
}

struct str base64url_encode(struct arena *a, struct str s)
{
    return encode64(a, s, url_safe, false);
}

static int digit64(char c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    if (c == '+' || c == '-')
        return 62;
    if (c == '/' || c == '_')
        return 63;
    return -1;
}

int base64_decode(struct arena *a, struct str s, struct str *ret)
{
    size_t pad = 0;
    while (pad < 2 && s.n && s.p[s.n - 1] == '=') {
        s.n--;
        pad++;
    }
    if (s.n % 4 == 1 || (pad && (s.n + pad) % 4))
        return -EINVAL;
    char *out = arena_alloc(a, s.n / 4 * 3 + 4), *o = out;
    uint32_t v = 0;
    unsigned bits = 0;
    for (size_t i = 0; i < s.n; i++) {
        int d = digit64(s.p[i]);
        if (d < 0)
            return -EINVAL;
        v = v << 6 | (uint32_t)d;
        bits += 6;
        if (bits >= 8) {
            bits -= 8;
            *o++ = (char)(v >> bits & 255);
        }
    }
    if (v & ((1u << bits) - 1)) /* left-over bits must be zero, else two texts mean the same bytes */
        return -EINVAL;
    *ret = str_n(out, (size_t)(o - out));
    return 0;
}

/* The last ULID handed out, so that the next of the same millisecond is greater. A counter, like a metric. */
static struct {
    pthread_mutex_t lock;
    int64_t ms;
    unsigned char random[10];
} ulid_last = {.lock = PTHREAD_MUTEX_INITIALIZER, .ms = -1};

const char *ulid_make(int64_t time_us, char out[static ULID_TEXT])
{
    static const char crockford[] = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
    unsigned char b[16];
    int64_t ms = time_us / 1000;
    pthread_mutex_lock(&ulid_last.lock);
    if (ms > ulid_last.ms) {
        ulid_last.ms = ms;
        fs_random(ulid_last.random, sizeof(ulid_last.random));
        ulid_last.random[0] &= 0x7f; /* room to count up */
    } else {
        for (size_t i = sizeof(ulid_last.random); i-- && ++ulid_last.random[i] == 0;)
            ;
    }
    ms = ulid_last.ms;
    memcpy(b + 6, ulid_last.random, sizeof(ulid_last.random));
    pthread_mutex_unlock(&ulid_last.lock);
    for (unsigned i = 0; i < 6; i++)
        b[i] = (unsigned char)(ms >> (40 - 8 * i) & 255);
    /* 128 bits are written as 26 digits of 5 bits; the first carries only 3 */
    for (unsigned i = 0; i < 26; i++) {
        unsigned v = 0;
        for (unsigned k = 0; k < 5; k++) {
            int bit = (int)(i * 5 + k) - 2;
            v = v << 1 | (bit < 0 ? 0u : (unsigned)(b[bit / 8] >> (7 - bit % 8) & 1));
        }
        out[i] = crockford[v];
    }
    out[26] = '\0';
    return out;
}

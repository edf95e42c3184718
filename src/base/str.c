#include "base/str.h"

#include <errno.h>
#include <stdlib.h>

static unsigned char lower(char c)
{
    unsigned char u = (unsigned char)c;
    return u >= 'A' && u <= 'Z' ? u + 32 : u;
}

bool str_ieq(struct str a, struct str b)
{
    if (a.n != b.n)
        return false;
    for (size_t i = 0; i < a.n; i++)
        if (lower(a.p[i]) != lower(b.p[i]))
            return false;
    return true;
}

int str_cmp(struct str a, struct str b)
{
    size_t n = a.n < b.n ? a.n : b.n;
    int c = n ? memcmp(a.p, b.p, n) : 0;
    return c ? c : (a.n > b.n) - (a.n < b.n);
}

bool str_starts(struct str s, struct str prefix)
{
    return s.n >= prefix.n && (!prefix.n || !memcmp(s.p, prefix.p, prefix.n));
}

bool str_ends(struct str s, struct str suffix)
{
    return s.n >= suffix.n && (!suffix.n || !memcmp(s.p + s.n - suffix.n, suffix.p, suffix.n));
}

bool str_has(struct str s, struct str needle)
{
    return str_find(s, needle) >= 0;
}

ptrdiff_t str_find(struct str s, struct str needle)
{
    if (!needle.n)
        return 0;
    const char *p = s.n ? memmem(s.p, s.n, needle.p, needle.n) : NULL;
    return p ? p - s.p : -1;
}

ptrdiff_t str_chr(struct str s, char c)
{
    const char *p = s.n ? memchr(s.p, c, s.n) : NULL;
    return p ? p - s.p : -1;
}

ptrdiff_t str_rchr(struct str s, char c)
{
    const char *p = s.n ? memrchr(s.p, c, s.n) : NULL;
    return p ? p - s.p : -1;
}

struct str str_sub(struct str s, size_t from, size_t to)
{
    if (to > s.n)
        to = s.n;
    if (from > to)
        from = to;
    return s.p ? str_n(s.p + from, to - from) : STR_NONE;
}

static bool blank(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

struct str str_trim(struct str s)
{
    while (s.n && blank(s.p[0]))
        s = str_sub(s, 1, s.n);
    while (s.n && blank(s.p[s.n - 1]))
        s.n--;
    return s;
}

/* Where *rest points when only the empty part behind a final separator is left ("a," yields "a" and ""). */
static const char pending[1];

bool str_cut(struct str *rest, char sep, struct str *ret)
{
    if (!rest->n) {
        if (rest->p != pending)
            return false;
        *ret = *rest;
        *rest = STR_NONE;
        return true;
    }
    ptrdiff_t at = str_chr(*rest, sep);
    if (at < 0) {
        *ret = *rest;
        *rest = STR_NONE;
        return true;
    }
    *ret = str_n(rest->p, (size_t)at);
    *rest = (size_t)at + 1 == rest->n ? str_n(pending, 0) : str_sub(*rest, (size_t)at + 1, rest->n);
    return true;
}

bool str_split(struct str s, char sep, struct str *left, struct str *right)
{
    ptrdiff_t at = str_chr(s, sep);
    if (at < 0) {
        *left = s;
        *right = STR_NONE;
        return false;
    }
    *left = str_sub(s, 0, (size_t)at);
    *right = str_sub(s, (size_t)at + 1, s.n);
    return true;
}

int str_u64(struct str s, uint64_t *ret)
{
    uint64_t v = 0;
    bool over = false;
    if (!s.n)
        return -EINVAL;
    for (size_t i = 0; i < s.n; i++) {
        unsigned d = (unsigned)(unsigned char)s.p[i] - '0';
        if (d > 9)
            return -EINVAL;
        over |= __builtin_mul_overflow(v, (uint64_t)10, &v) || __builtin_add_overflow(v, (uint64_t)d, &v);
    }
    if (over)
        return -ERANGE;
    *ret = v;
    return 0;
}

int str_i64(struct str s, int64_t *ret)
{
    bool minus = s.n && s.p[0] == '-';
    uint64_t v;
    int r = str_u64(minus ? str_sub(s, 1, s.n) : s, &v);
    if (r < 0)
        return r;
    if (v > (uint64_t)INT64_MAX + minus)
        return -ERANGE;
    *ret = minus ? (int64_t)(0 - v) : (int64_t)v;
    return 0;
}

static size_t digit_run(struct str s, size_t at)
{
    size_t n = 0;
    while (at + n < s.n && s.p[at + n] >= '0' && s.p[at + n] <= '9')
        n++;
    return n;
}

int str_double(struct str s, double *ret)
{
    size_t i = s.n && s.p[0] == '-', n = digit_run(s, i);
    if (!n || (n > 1 && s.p[i] == '0'))
        return -EINVAL;
    i += n;
    if (i < s.n && s.p[i] == '.') {
        if (!(n = digit_run(s, i + 1)))
            return -EINVAL;
        i += 1 + n;
    }
    if (i < s.n && (s.p[i] == 'e' || s.p[i] == 'E')) {
        i++;
        if (i < s.n && (s.p[i] == '+' || s.p[i] == '-'))
            i++;
        if (!(n = digit_run(s, i)))
            return -EINVAL;
        i += n;
    }
    char text[512];
    if (i != s.n)
        return -EINVAL;
    if (s.n >= sizeof(text))
        return -ERANGE;
    memcpy(text, s.p, s.n);
    text[s.n] = '\0';
    double v = strtod(text, NULL); /* the house never calls setlocale, so the point is a point */
    if (v - v != 0)
        return -ERANGE;
    *ret = v;
    return 0;
}

int str_size(struct str s, uint64_t *ret)
{
    static const char units[] = "kmgtp";
    size_t n = digit_run(s, 0);
    uint64_t v, factor = 1;
    int r = str_u64(str_sub(s, 0, n), &v);
    if (r < 0)
        return r;
    struct str unit = str_sub(s, n, s.n);
    if (unit.n && !str_ieq(unit, STR("b"))) {
        const char *u = strchr(units, lower(unit.p[0]));
        struct str tail = str_sub(unit, 1, unit.n);
        if (!u || !*u || (tail.n && !str_ieq(tail, STR("b")) && !str_ieq(tail, STR("ib"))))
            return -EINVAL;
        factor = UINT64_C(1) << (10 * (u - units + 1));
    }
    if (__builtin_mul_overflow(v, factor, &v))
        return -ERANGE;
    *ret = v;
    return 0;
}

/* The last '*' and the last '**' are remembered. An earlier star never needs another try: whatever it could have
 * taken, a later star of the same or a wider kind takes as well, and a '*' cannot move over a '/'. */
bool str_glob(struct str pattern, struct str s, bool flat)
{
    size_t p = 0, i = 0;
    size_t one_p = SIZE_MAX, one_i = 0; /* behind the last '*', and how far it reaches */
    size_t two_p = SIZE_MAX, two_i = 0;
    for (;;) {
        if (p < pattern.n && pattern.p[p] == '*') {
            bool wide = flat;
            while (p < pattern.n && pattern.p[p] == '*') {
                p++;
                wide |= p < pattern.n && pattern.p[p] == '*';
            }
            if (wide) {
                two_p = p;
                two_i = i;
                one_p = SIZE_MAX;
            } else {
                one_p = p;
                one_i = i;
            }
            continue;
        }
        if (i == s.n && p == pattern.n)
            return true;
        if (i < s.n && p < pattern.n) {
            if (pattern.p[p] == '?' ? flat || s.p[i] != '/' : pattern.p[p] == s.p[i]) {
                p++;
                i++;
                continue;
            }
        }
        if (one_p != SIZE_MAX && one_i < s.n && s.p[one_i] != '/') {
            i = ++one_i;
            p = one_p;
        } else if (two_p != SIZE_MAX && two_i < s.n) {
            /* Stuck in this part of the path: as long as no '/' is asked for before the last star, a later start
             * within the same part would be stuck as well. */
            if (one_p != SIZE_MAX && !memchr(pattern.p + two_p, '/', one_p - two_p)) {
                if (one_i >= s.n)
                    return false;
                two_i = one_i;
            }
            i = ++two_i;
            p = two_p;
            one_p = SIZE_MAX;
        } else {
            return false;
        }
    }
}

bool str_utf8(struct str s)
{
    const unsigned char *p = (const unsigned char *)s.p, *end = p + s.n;
    while (p < end) {
        uint64_t eight;
        while (end - p >= 8 && (memcpy(&eight, p, 8), !(eight & UINT64_C(0x8080808080808080))))
            p += 8;
        if (p == end)
            break;
        unsigned c = *p++;
        if (c < 0x80)
            continue;
        unsigned more, low = 0x80, high = 0xbf; /* bounds of the second byte: Unicode, table 3-7 */
        if (c >= 0xc2 && c <= 0xdf) {
            more = 1;
        } else if (c >= 0xe0 && c <= 0xef) {
            more = 2;
            low = c == 0xe0 ? 0xa0 : low;
            high = c == 0xed ? 0x9f : high;
        } else if (c >= 0xf0 && c <= 0xf4) {
            more = 3;
            low = c == 0xf0 ? 0x90 : low;
            high = c == 0xf4 ? 0x8f : high;
        } else {
            return false;
        }
        if ((size_t)(end - p) < more || *p < low || *p > high)
            return false;
        for (unsigned k = 1; k < more; k++)
            if ((p[k] & 0xc0) != 0x80)
                return false;
        p += more;
    }
    return true;
}

uint64_t str_hash(struct str s)
{
    uint64_t h = UINT64_C(0x9e3779b97f4a7c15) ^ s.n, w;
    size_t i = 0;
    for (; i + 8 <= s.n; i += 8) {
        memcpy(&w, s.p + i, 8);
        h = (h ^ w) * UINT64_C(0xff51afd7ed558ccd);
        h ^= h >> 32;
    }
    w = 0;
    if (i < s.n)
        memcpy(&w, s.p + i, s.n - i);
    h = (h ^ w) * UINT64_C(0xc4ceb9fe1a85ec53);
    return h ^ h >> 29;
}

#define ROTL(x, b) (((x) << (b)) | ((x) >> (64 - (b))))
#define ROUND                                                                                                          \
    do {                                                                                                               \
        v0 += v1, v1 = ROTL(v1, 13) ^ v0;                                                                              \
        v0 = ROTL(v0, 32), v2 += v3;                                                                                   \
        v3 = ROTL(v3, 16) ^ v2, v0 += v3;                                                                              \
        v3 = ROTL(v3, 21) ^ v0, v2 += v1;                                                                              \
        v1 = ROTL(v1, 17) ^ v2, v2 = ROTL(v2, 32);                                                                     \
    } while (0)

uint64_t str_hash_keyed(const uint64_t seed[2], struct str s)
{
    uint64_t v0 = seed[0] ^ 0x736f6d6570736575u, v1 = seed[1] ^ 0x646f72616e646f6du;
    uint64_t v2 = seed[0] ^ 0x6c7967656e657261u, v3 = seed[1] ^ 0x7465646279746573u;
    uint64_t m;
    size_t i = 0;
    for (; i + 8 <= s.n; i += 8) {
        memcpy(&m, s.p + i, 8);
        v3 ^= m;
        ROUND;
        v0 ^= m;
    }
    m = (uint64_t)s.n << 56;
    for (size_t k = 0; i + k < s.n; k++)
        m |= (uint64_t)(unsigned char)s.p[i + k] << (8 * k);
    v3 ^= m;
    ROUND;
    v0 ^= m;
    v2 ^= 0xff;
    ROUND;
    ROUND;
    ROUND;
    return v0 ^ v1 ^ v2 ^ v3;
}

size_t str_distance(struct str a, struct str b)
{
    size_t row[64];
    if (a.n >= 64 || b.n >= 64)
        return 64;
    for (size_t k = 0; k <= b.n; k++)
        row[k] = k;
    for (size_t i = 1; i <= a.n; i++) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t k = 1; k <= b.n; k++) {
            size_t up = row[k], best = diagonal + (a.p[i - 1] != b.p[k - 1]);
            if (up + 1 < best)
                best = up + 1;
            if (row[k - 1] + 1 < best)
                best = row[k - 1] + 1;
            row[k] = best;
            diagonal = up;
        }
    }
    return row[b.n];
}

/* Debian Policy 5.6.12 and deb-version(7): [epoch:]upstream[-revision]. */
#include "intel/version_parts.h"

struct evr {
    struct str epoch, upstream, revision;
};

static bool characters(struct str s, bool colon, bool hyphen)
{
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        if (!part_alpha(c) && !part_digit(c) && c != '.' && c != '+' && c != '~' && !(colon && c == ':') &&
            !(hyphen && c == '-'))
            return false;
    }
    return true;
}

static int parse(struct str v, struct evr *ret)
{
    *ret = (struct evr){.upstream = v};
    ptrdiff_t at = str_chr(v, ':');
    if (at >= 0) {
        ret->epoch = str_sub(v, 0, (size_t)at);
        ret->upstream = part_from(v, (size_t)at + 1);
        if (!part_all_digits(ret->epoch) || part_number_cmp(ret->epoch, STR("2147483647")) > 0)
            return -EINVAL;
    }
    at = str_rchr(ret->upstream, '-');
    if (at >= 0) {
        ret->revision = part_from(ret->upstream, (size_t)at + 1);
        ret->upstream = str_sub(ret->upstream, 0, (size_t)at);
        if (!ret->revision.n)
            return -EINVAL;
    }
    if (!ret->upstream.n || !part_digit(ret->upstream.p[0]) || !characters(ret->upstream, true, true) ||
        !characters(ret->revision, false, false))
        return -EINVAL;
    return 0;
}

/* '~' sorts before the end, the end before letters, letters before everything else. */
static int rank(struct str s)
{
    if (!s.n || part_digit(s.p[0]))
        return 0;
    if (s.p[0] == '~')
        return -1;
    return part_alpha(s.p[0]) ? (unsigned char)s.p[0] : (unsigned char)s.p[0] + 256;
}

static int compare(struct str a, struct str b)
{
    while (a.n || b.n) {
        while ((a.n && !part_digit(a.p[0])) || (b.n && !part_digit(b.p[0]))) {
            int diff = rank(a) - rank(b);
            if (diff)
                return part_sign(diff);
            a = part_from(a, 1); /* equal ranks: both are the same character */
            b = part_from(b, 1);
        }
        int diff = part_number_cmp(part_digits(&a), part_digits(&b));
        if (diff)
            return diff;
    }
    return 0;
}

int version_dpkg(struct str a, struct str b, int *ret)
{
    struct evr x, y;
    if (parse(a, &x) < 0 || parse(b, &y) < 0)
        return -EINVAL;
    if (!(*ret = part_number_cmp(x.epoch, y.epoch)) && !(*ret = compare(x.upstream, y.upstream)))
        *ret = compare(x.revision, y.revision);
    return 0;
}

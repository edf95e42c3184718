/* Semantic Versioning 2.0.0 (semver.org), read leniently: a leading v or =, any number of numbers (what is missing is
 * 0), a pre-release without its hyphen. npm, Go, pub and NuGet are dialects of it. */
#include "intel/version_parts.h"

struct semver {
    struct str numbers; /* digits and dots */
    struct str pre, build;
    bool joined; /* the pre-release was written without hyphen: "rc1" stands for rc.1 */
};

static int parse(struct str v, struct semver *ret)
{
    *ret = (struct semver){0};
    part_skip(&v, '=');
    if (v.n > 1 && (v.p[0] == 'v' || v.p[0] == 'V'))
        v = part_from(v, 1);
    size_t n = 0;
    while (n < v.n && (part_digit(v.p[n]) || (v.p[n] == '.' && n + 1 < v.n && part_digit(v.p[n + 1]))))
        n++;
    if (!n || !part_digit(v.p[0]))
        return -EINVAL;
    ret->numbers = str_sub(v, 0, n);
    v = part_from(v, n);
    if (str_split(v, '+', &v, &ret->build) && !ret->build.n)
        return -EINVAL;
    if (part_skip(&v, '-')) {
        if (!v.n)
            return -EINVAL;
    } else {
        part_skip(&v, '.');
        ret->joined = v.n > 0;
    }
    for (size_t i = 0; i < v.n; i++)
        if (!part_digit(v.p[i]) && !part_alpha(v.p[i]) && v.p[i] != '.' && v.p[i] != '-' && v.p[i] != '_')
            return -EINVAL;
    ret->pre = v;
    return 0;
}

static int numbers_cmp(struct str a, struct str b)
{
    while (a.n || b.n) {
        int diff = part_number_cmp(part_digits(&a), part_digits(&b));
        if (diff)
            return diff;
        part_skip(&a, '.');
        part_skip(&b, '.');
    }
    return 0;
}

/* Next dot-separated identifier; of a joined one also the digits behind the letters. */
static struct str identifier(struct str *s, bool joined)
{
    size_t n = 0;
    while (n < s->n && s->p[n] != '.' && !(joined && n && part_digit(s->p[n]) && !part_digit(s->p[n - 1])))
        n++;
    struct str id = {s->p, n};
    *s = part_from(*s, n);
    part_skip(s, '.');
    return id;
}

static int identifiers_cmp(struct str a, bool a_joined, struct str b, bool b_joined, bool fold)
{
    while (a.n && b.n) {
        struct str x = identifier(&a, a_joined), y = identifier(&b, b_joined);
        bool xd = part_all_digits(x), yd = part_all_digits(y);
        int diff = xd && yd   ? part_number_cmp(x, y)
                   : xd != yd ? (xd ? -1 : 1)
                   : fold     ? part_text_icmp(x, y)
                              : part_text_cmp(x, y);
        if (diff)
            return diff;
    }
    return part_size_cmp(a.n, b.n);
}

static int compare(const struct semver *a, const struct semver *b, bool fold)
{
    int diff = numbers_cmp(a->numbers, b->numbers);
    if (diff)
        return diff;
    if (!a->pre.n || !b->pre.n)
        return part_size_cmp(!a->pre.n, !b->pre.n);
    return identifiers_cmp(a->pre, a->joined, b->pre, b->joined, fold);
}

static int compare_all(struct str a, struct str b, bool fold, struct semver *x, struct semver *y, int *ret)
{
    if (parse(a, x) < 0 || parse(b, y) < 0)
        return -EINVAL;
    *ret = compare(x, y, fold);
    return 0;
}

int version_semver(struct str a, struct str b, int *ret)
{
    struct semver x, y;
    return compare_all(a, b, false, &x, &y, ret);
}

int version_npm(struct str a, struct str b, int *ret)
{
    return version_semver(a, b, ret);
}

static struct str go_strip(struct str v)
{
    return str_starts(v, STR("go")) ? part_from(v, 2) : v;
}

/* Module versions with their v, and the toolchain's own: go1.22rc1. Pseudo-versions and +incompatible order as semver.
 */
int version_go(struct str a, struct str b, int *ret)
{
    return version_semver(go_strip(a), go_strip(b), ret);
}

/* pub_semver: build metadata counts, behind the version without it. */
int version_pub(struct str a, struct str b, int *ret)
{
    struct semver x, y;
    int r = compare_all(a, b, false, &x, &y, ret);
    if (r < 0 || *ret)
        return r;
    *ret = !x.build.n || !y.build.n ? part_size_cmp(x.build.n, y.build.n)
                                    : identifiers_cmp(x.build, false, y.build, false, false);
    return 0;
}

/* NuGet: four numbers, pre-releases whatever their case. */
int version_nuget(struct str a, struct str b, int *ret)
{
    struct semver x, y;
    return compare_all(a, b, true, &x, &y, ret);
}

#include "intel/version.h"

#include "base/cleanup.h"
#include "intel/version_parts.h"

struct str part_digits(struct str *s)
{
    size_t n = 0;
    while (n < s->n && part_digit(s->p[n]))
        n++;
    struct str digits = {s->p, n};
    *s = part_from(*s, n);
    return digits;
}

bool part_all_digits(struct str s)
{
    struct str rest = s;
    return part_digits(&rest).n && !rest.n;
}

bool part_zero(struct str digits)
{
    for (size_t i = 0; i < digits.n; i++)
        if (digits.p[i] != '0')
            return false;
    return true;
}

bool part_skip(struct str *s, char c)
{
    if (!s->n || s->p[0] != c)
        return false;
    *s = part_from(*s, 1);
    return true;
}

static struct str strip_zeros(struct str s)
{
    while (s.n && s.p[0] == '0')
        s = part_from(s, 1);
    return s;
}

int part_number_cmp(struct str a, struct str b)
{
    a = strip_zeros(a);
    b = strip_zeros(b);
    return a.n != b.n ? part_size_cmp(a.n, b.n) : part_text_cmp(a, b);
}

int part_text_cmp(struct str a, struct str b)
{
    return part_sign(str_cmp(a, b));
}

int part_text_icmp(struct str a, struct str b)
{
    for (size_t i = 0; i < a.n && i < b.n; i++) {
        int diff = (unsigned char)part_fold(a.p[i]) - (unsigned char)part_fold(b.p[i]);
        if (diff)
            return part_sign(diff);
    }
    return part_size_cmp(a.n, b.n);
}

static const char *const names[] = {
#define X(id, name) name,
    VERSION_SCHEMES(X)
#undef X
};

const char *version_scheme_name(enum version_scheme scheme)
{
    return names[scheme];
}

int version_scheme_parse(struct str name, enum version_scheme *ret)
{
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        if (str_eqc(name, names[i])) {
            *ret = (enum version_scheme)i;
            return 0;
        }
    return -EINVAL;
}

bool version_valid(enum version_scheme scheme, struct str v)
{
    int ignored;
    if (version_compare(scheme, v, v, &ignored) < 0)
        return false;
    return scheme == VERSION_APK ? version_apk_valid(v) : scheme == VERSION_PEP440 ? version_pep440_valid(v) : true;
}

/* No ecosystem has blanks or control characters inside; those at the ends are noise of the source. */
static bool plausible(struct str v)
{
    for (size_t i = 0; i < v.n; i++)
        if ((unsigned char)v.p[i] <= ' ' || v.p[i] == 0x7f)
            return false;
    return v.n > 0;
}

int version_compare(enum version_scheme scheme, struct str a, struct str b, int *ret)
{
    typedef int compare_fn(struct str, struct str, int *);
    static compare_fn *const by_scheme[] = {
        [VERSION_DPKG] = version_dpkg,         [VERSION_RPM] = version_rpm,     [VERSION_APK] = version_apk,
        [VERSION_SEMVER] = version_semver,     [VERSION_NPM] = version_npm,     [VERSION_PEP440] = version_pep440,
        [VERSION_GEM] = version_gem,           [VERSION_MAVEN] = version_maven, [VERSION_GO] = version_go,
        [VERSION_COMPOSER] = version_composer, [VERSION_NUGET] = version_nuget, [VERSION_PUB] = version_pub,
        [VERSION_GENERIC] = version_generic,
    };
    if ((size_t)scheme >= ARRAY_LEN(by_scheme) || !plausible(a) || !plausible(b))
        return -EINVAL;
    int r, order = 0;
    if ((r = by_scheme[scheme](a, b, &order)) < 0)
        return r;
    *ret = order;
    return 0;
}

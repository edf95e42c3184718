#include "format/purl.h"

#include "base/cleanup.h"

#include <errno.h>

enum { PURL_MAX = 4096 };

static int hex(char c)
{
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
}

static struct str decode(struct arena *a, struct str s)
{
    char *out = arena_alloc(a, s.n + 1);
    size_t n = 0;
    for (size_t i = 0; i < s.n; i++) {
        bool encoded = s.p[i] == '%' && i + 2 < s.n && hex(s.p[i + 1]) >= 0 && hex(s.p[i + 2]) >= 0;
        out[n++] = encoded ? (char)(hex(s.p[i + 1]) * 16 + hex(s.p[i + 2])) : s.p[i];
        i += encoded ? 2 : 0;
    }
    return (struct str){out, n};
}

static struct str lower(struct arena *a, struct str s)
{
    char *out = arena_alloc(a, s.n + 1);
    for (size_t i = 0; i < s.n; i++)
        out[i] = s.p[i] >= 'A' && s.p[i] <= 'Z' ? (char)(s.p[i] | 0x20) : s.p[i];
    return (struct str){out, s.n};
}

static void take_qualifiers(struct arena *a, struct purl *p)
{
    struct str rest = p->qualifiers, pair, key, value;
    while (p->qualifiers_n < sizeof(p->qualifier_keys) / sizeof(p->qualifier_keys[0]) && str_cut(&rest, '&', &pair))
        if (str_split(pair, '=', &key, &value)) {
            p->qualifier_keys[p->qualifiers_n] = lower(a, key);
            p->qualifier_values[p->qualifiers_n++] = decode(a, value);
        }
}

int purl_parse(struct arena *a, struct str text, struct purl *ret)
{
    struct purl p = {0};
    struct str rest, type;
    if (text.n > PURL_MAX || !str_starts(text, STR("pkg:")))
        return -EINVAL;
    rest = str_sub(text, 4, text.n);
    while (rest.n && rest.p[0] == '/')
        rest = str_sub(rest, 1, rest.n);
    ptrdiff_t hash = str_rchr(rest, '#'), question;
    if (hash >= 0)
        rest = str_sub(rest, 0, (size_t)hash);
    if ((question = str_rchr(rest, '?')) >= 0) {
        p.qualifiers = str_sub(rest, (size_t)question + 1, rest.n);
        rest = str_sub(rest, 0, (size_t)question);
    }
    if (!str_cut(&rest, '/', &type) || !type.n || !rest.n)
        return -EINVAL;
    p.type = lower(a, type);
    ptrdiff_t at = str_rchr(rest, '@'), slash = str_rchr(rest, '/');
    if (at > 0 && at > slash) {
        p.version = decode(a, str_sub(rest, (size_t)at + 1, rest.n));
        rest = str_sub(rest, 0, (size_t)at);
        slash = str_rchr(rest, '/');
    }
    p.namespace = slash < 0 ? STR_NONE : decode(a, str_sub(rest, 0, (size_t)slash));
    p.name = decode(a, slash < 0 ? rest : str_sub(rest, (size_t)slash + 1, rest.n));
    if (!p.name.n)
        return -EINVAL;
    take_qualifiers(a, &p);
    *ret = p;
    return 0;
}

struct str purl_qualifier(const struct purl *p, const char *key)
{
    for (size_t i = 0; i < p->qualifiers_n; i++)
        if (str_eqc(p->qualifier_keys[i], key))
            return p->qualifier_values[i];
    return STR_NONE;
}

struct str purl_package_name(struct arena *a, const struct purl *p)
{
    static const char *const with_slash[] = {"npm", "composer", "golang", "swift"};
    if (!p->namespace.n)
        return p->name;
    if (str_eqc(p->type, "maven"))
        return arena_strf(a, STR_FMT ":" STR_FMT, STR_ARG(p->namespace), STR_ARG(p->name));
    for (size_t i = 0; i < ARRAY_LEN(with_slash); i++)
        if (str_eqc(p->type, with_slash[i]))
            return arena_strf(a, STR_FMT "/" STR_FMT, STR_ARG(p->namespace), STR_ARG(p->name));
    return p->name;
}

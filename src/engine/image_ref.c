#include "engine/image_ref.h"

#include "format/digest.h"

static bool all_in(struct str s, const char *chars)
{
    for (size_t i = 0; i < s.n; i++)
        if (!((s.p[i] >= 'a' && s.p[i] <= 'z') || (s.p[i] >= '0' && s.p[i] <= '9') ||
              (s.p[i] && strchr(chars, s.p[i]))))
            return false;
    return s.n > 0;
}

/* Lower case, digits, and '.', '_', '-' inside; parts between slashes are not empty. */
static bool repository_valid(struct str s)
{
    struct str rest = s, part;
    if (s.n == 0 || s.n > 255)
        return false;
    while (str_cut(&rest, '/', &part))
        if (!all_in(part, "._-") || strchr("._-", part.p[0]) || strchr("._-", part.p[part.n - 1]))
            return false;
    return s.p[s.n - 1] != '/';
}

bool image_host_valid(struct str s)
{
    struct str host = s, port = STR("0");
    ptrdiff_t colon = str_rchr(s, ':');
    uint64_t n;
    if (s.n && s.p[0] == '[') {
        ptrdiff_t end = str_chr(s, ']');
        if (end < 0 || !all_in(str_sub(s, 1, (size_t)end), "ABCDEF:."))
            return false;
        struct str after = str_sub(s, (size_t)end + 1, s.n);
        return after.n == 0 || (after.p[0] == ':' && str_u64(str_sub(after, 1, after.n), &n) == 0 && n < 65536);
    }
    if (colon >= 0) {
        host = str_sub(s, 0, (size_t)colon);
        port = str_sub(s, (size_t)colon + 1, s.n);
    }
    return s.n <= 255 && all_in(host, "ABCDEFGHIJKLMNOPQRSTUVWXYZ.-") && !strchr(".-", host.p[0]) &&
           str_u64(port, &n) == 0 && n < 65536;
}

static bool tag_valid(struct str s)
{
    return s.n <= 128 && all_in(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZ._-") && s.p[0] != '.' && s.p[0] != '-';
}

int image_ref_parse(struct arena *a, struct str text, struct image_ref *ret, struct err *e)
{
    struct image_ref r = {.host = STR("docker.io"), .tag = STR(""), .digest = STR("")};
    struct str rest, first, name = text;
    if (str_split(text, '@', &name, &r.digest) && !digest_valid(r.digest))
        return err_set(e, EINVAL, "\"" STR_FMT "\" is no sha256 digest", STR_ARG(str_sub(r.digest, 0, 100)));
    if (str_split(name, '/', &first, &rest) &&
        (str_chr(first, '.') >= 0 || str_chr(first, ':') >= 0 || str_eqc(first, "localhost"))) {
        r.host = str_eqc(first, "index.docker.io") ? STR("docker.io") : first;
        name = rest;
    }
    ptrdiff_t colon = str_rchr(name, ':');
    if (colon >= 0) {
        r.tag = str_sub(name, (size_t)colon + 1, name.n);
        name = str_sub(name, 0, (size_t)colon);
        if (!tag_valid(r.tag))
            return err_set(e, EINVAL, "\"" STR_FMT "\" is no tag", STR_ARG(str_sub(r.tag, 0, 150)));
    } else if (r.digest.n == 0) {
        r.tag = STR("latest");
    }
    r.repository = name;
    if (str_eqc(r.host, "docker.io") && str_chr(name, '/') < 0)
        r.repository = arena_strf(a, "library/" STR_FMT, STR_ARG(name));
    if (!image_host_valid(r.host) || !repository_valid(r.repository))
        return err_set(e, EINVAL, "\"" STR_FMT "\" is no image reference", STR_ARG(str_sub(text, 0, 200)));
    *ret = r;
    return 0;
}

struct str image_ref_name(struct arena *a, const struct image_ref *r)
{
    return r->tag.n ? arena_strf(a, STR_FMT "/" STR_FMT ":" STR_FMT, STR_ARG(r->host), STR_ARG(r->repository),
                                 STR_ARG(r->tag))
                    : arena_strf(a, STR_FMT "/" STR_FMT, STR_ARG(r->host), STR_ARG(r->repository));
}

struct str image_ref_server(const struct image_ref *r)
{
    return str_eqc(r->host, "docker.io") ? STR("registry-1.docker.io") : r->host;
}

bool host_is_loopback(struct str host)
{
    static const char *const names[] = {"localhost", "127.0.0.1", "[::1]"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        struct str n = str_c(names[i]);
        if (str_starts(host, n) && (host.n == n.n || host.p[n.n] == ':'))
            return true;
    }
    return false;
}

#include "engine/target.h"

#include "base/cleanup.h"
#include "base/fs.h"
#include "engine/docker.h"

static const struct {
    const char *prefix;
    enum target_kind kind;
} prefixes[] = {
#define X(id, prefix) {prefix, TARGET_##id},
    TARGETS(X)
#undef X
};

/* PATH[:TAG]: the longest existing path wins, so that names with colons work. */
static void path_split(struct arena *a, struct str rest, struct target *t)
{
    t->path = arena_cstr(a, rest);
    for (size_t i = rest.n; !fs_exists(t->path) && i-- > 1;) {
        const char *shorter = rest.p[i] == ':' ? arena_cstr(a, str_sub(rest, 0, i)) : NULL;
        if (!shorter || !fs_exists(shorter))
            continue;
        t->path = shorter;
        t->ref = str_sub(rest, i + 1, rest.n);
    }
}

int target_parse(struct arena *a, const char *text, struct target *ret, struct err *e)
{
    struct target t = {.kind = TARGET_ANY, .text = arena_str(a, str_c(text)), .ref = STR("")};
    struct str rest = t.text;
    for (size_t i = 0; i < ARRAY_LEN(prefixes) && t.kind == TARGET_ANY; i++) {
        struct str prefix = str_c(prefixes[i].prefix);
        if (!str_starts(t.text, prefix))
            continue;
        rest = str_sub(t.text, prefix.n, t.text.n);
        if (rest.n == 0)
            return err_set(e, EINVAL, "%s: what is to be scanned is missing", prefixes[i].prefix);
        t.kind = prefixes[i].kind;
    }
    switch (t.kind) {
    case TARGET_ARCHIVE:
    case TARGET_OCI:
        path_split(a, rest, &t);
        break;
    case TARGET_DIR:
    case TARGET_SBOM:
        t.path = arena_cstr(a, rest);
        break;
    case TARGET_REGISTRY: {
        int r = image_ref_parse(a, rest, &t.image, e);
        if (r < 0)
            return r;
        t.ref = rest;
        break;
    }
    default:
        t.ref = rest;
        if (!docker_ref_valid(t.ref))
            return err_set(e, EINVAL, "\"" STR_FMT "\" is no image reference", STR_ARG(str_sub(t.ref, 0, 200)));
        if (t.kind == TARGET_ANY && image_ref_parse(a, rest, &t.image, NULL) < 0)
            t.image = (struct image_ref){0};
    }
    *ret = t;
    return 0;
}

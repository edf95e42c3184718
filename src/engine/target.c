#include "engine/target.h"

#include "base/cleanup.h"
#include "base/fs.h"
#include "engine/docker.h"

static const struct {
    const char *prefix;
    enum target_kind kind;
} prefixes[] = {
    {"archive:", TARGET_ARCHIVE},
    {"oci:", TARGET_OCI},
    {"docker:", TARGET_DOCKER},
    {"dir:", TARGET_DIR},
};
static const char *const later[] = {"registry:", "podman:", "containerd:", "sbom:"};

/* oci:DIR[:TAG]: the longest existing directory wins, so that a directory with a colon in its name works. */
static void oci_split(struct arena *a, struct str rest, struct target *t)
{
    t->path = arena_cstr(a, rest);
    ptrdiff_t colon = str_rchr(rest, ':');
    if (fs_exists(t->path) || colon < 1)
        return;
    t->path = arena_cstr(a, str_sub(rest, 0, (size_t)colon));
    t->ref = str_sub(rest, (size_t)colon + 1, rest.n);
}

int target_parse(struct arena *a, const char *text, struct target *ret, struct err *e)
{
    struct target t = {.text = arena_str(a, str_c(text)), .ref = STR("")};
    for (size_t i = 0; i < ARRAY_LEN(later); i++)
        if (str_starts(t.text, str_c(later[i])))
            return err_set(e, ENOTSUP, "%s is not supported by this version (archive: oci: docker: dir: are)",
                           later[i]);
    for (size_t i = 0; i < ARRAY_LEN(prefixes); i++) {
        struct str prefix = str_c(prefixes[i].prefix), rest;
        if (!str_starts(t.text, prefix))
            continue;
        rest = str_sub(t.text, prefix.n, t.text.n);
        if (rest.n == 0)
            return err_set(e, EINVAL, "%s: what is to be scanned is missing", prefixes[i].prefix);
        t.kind = prefixes[i].kind;
        if (t.kind == TARGET_OCI)
            oci_split(a, rest, &t);
        else if (t.kind == TARGET_DOCKER)
            t.ref = rest;
        else
            t.path = arena_cstr(a, rest);
        break;
    }
    if (t.path == NULL && t.ref.n == 0) {
        t.kind = TARGET_DOCKER;
        t.bare = true;
        t.ref = t.text;
    }
    if (t.kind == TARGET_DOCKER && !docker_ref_valid(t.ref))
        return err_set(e, EINVAL, "\"" STR_FMT "\" is no image reference", STR_ARG(str_sub(t.ref, 0, 200)));
    *ret = t;
    return 0;
}

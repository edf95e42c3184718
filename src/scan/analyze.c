/* The analyzers: one file's bytes -> struct layer_file. */
#include "base/cleanup.h"
#include "base/limits.h"
#include "format/apkdb.h"
#include "format/deb822.h"
#include "scan/layer.h"

typedef int analyze_fn(struct arena *a, struct str content, struct layer_file *ret, struct err *e);

static int analyze_dpkg(struct arena *a, struct str content, struct layer_file *ret, struct err *e)
{
    return dpkg_parse(a, content, &ret->packages, &ret->packages_n, e);
}

static int analyze_apk(struct arena *a, struct str content, struct layer_file *ret, struct err *e)
{
    return apkdb_parse(a, content, &ret->packages, &ret->packages_n, e);
}

static int analyze_os_release(struct arena *a, struct str content, struct layer_file *ret, struct err *e)
{
    int r = os_release_parse(a, content, &ret->os);
    return r < 0 ? err_set(e, -r, "os-release: malformed") : 0;
}

#define ANALYZER(id, name, pattern, parser) {name, {pattern, sizeof(pattern) - 1}, parser},
static const struct {
    const char *name;
    struct str pattern;
    analyze_fn *parse;
} analyzers[] = {
#include "scan/analyzers.tbl.h"
};
#undef ANALYZER

int layer_analyzer(struct str path)
{
    /* distroless images keep checksums beside the paragraphs */
    if (str_ends(path, STR(".md5sums")))
        return -ENOENT;
    for (size_t i = 0; path.n && i < ARRAY_LEN(analyzers); i++) {
        const struct str *t = &analyzers[i].pattern; /* most differ in the first or last byte */
        char first = t->p[0], last = t->p[t->n - 1];
        if ((first == path.p[0] || first == '*') && (last == path.p[path.n - 1] || last == '*') &&
            str_glob(*t, path, false))
            return (int)i;
    }
    return -ENOENT;
}

bool layer_path_matters(struct str path)
{
    if (path.n == 0 || layer_analyzer(path) >= 0)
        return true;
    for (size_t i = 0; i < ARRAY_LEN(analyzers); i++) {
        struct str pattern = analyzers[i].pattern;
        if (pattern.n > path.n && pattern.p[path.n] == '/' && !memcmp(pattern.p, path.p, path.n))
            return true;
    }
    return false;
}

int layer_file_parse(struct arena *a, struct str path, struct str content, struct layer_file *ret)
{
    int which = layer_analyzer(path);
    if (which < 0)
        return which;
    struct err e = ERR_INIT;
    *ret = (struct layer_file){.analyzer = (enum analyzer)which, .path = path};
    if (analyzers[which].parse(a, content, ret, &e) < 0) {
        *ret = (struct layer_file){.analyzer = (enum analyzer)which, .path = path};
        ret->problem = arena_strf(a, STR_FMT ": %s", STR_ARG(path), e.msg);
    }
    for (size_t i = 0; i < ret->packages_n; i++)
        ret->packages[i].path = path;
    return 0;
}

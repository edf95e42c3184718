/* The analyzers: one file's bytes -> struct layer_file. */
#include "base/cleanup.h"
#include "base/limits.h"
#include "format/apkdb.h"
#include "format/cargo.h"
#include "format/composer.h"
#include "format/deb822.h"
#include "format/golang.h"
#include "format/java.h"
#include "format/npm.h"
#include "format/nuget.h"
#include "format/pypi.h"
#include "format/rpmdb.h"
#include "format/rubygems.h"
#include "scan/layer.h"

typedef int analyze_fn(struct package_list *list, struct str path, struct str content, struct layer_file *ret,
                       struct err *e);

/* Parsers that give packages and nothing else. */
#define PACKAGES(parser)                                                                                               \
    static int analyze_##parser(struct package_list *list, struct str path, struct str content,                        \
                                struct layer_file *ret, struct err *e)                                                 \
    {                                                                                                                  \
        return parser(list, path, content, e);                                                                         \
    }
PACKAGES(npm_installed)
PACKAGES(npm_lock)
PACKAGES(npm_yarn)
PACKAGES(npm_pnpm)
PACKAGES(pypi_metadata)
PACKAGES(pypi_requirements)
PACKAGES(pypi_lock)
PACKAGES(pypi_pipfile)
PACKAGES(rubygems_spec)
PACKAGES(rubygems_lock)
PACKAGES(java_archive)
PACKAGES(golang_mod)
PACKAGES(cargo_lock)
PACKAGES(composer_packages)
PACKAGES(nuget_deps)
PACKAGES(nuget_lock)
#undef PACKAGES

static int analyze_dpkg(struct package_list *list, struct str path, struct str content, struct layer_file *ret,
                        struct err *e)
{
    return dpkg_parse(list->a, content, &list->v, &list->n, e);
}

static void own(struct package_list *list, struct layer_file *ret, size_t *cap, struct str file)
{
    while (file.n && file.p[0] == '/')
        file = str_sub(file, 1, file.n);
    if (file.n == 0)
        return;
    ret->owns = arena_grow(list->a, ret->owns, ret->owns_n, cap, sizeof(*ret->owns));
    ret->owns[ret->owns_n++] = file;
}

/* One path a line. */
static int analyze_dpkg_list(struct package_list *list, struct str path, struct str content, struct layer_file *ret,
                             struct err *e)
{
    size_t cap = 0;
    for (struct str line; str_cut(&content, '\n', &line);)
        own(list, ret, &cap, line);
    return 0;
}

/* "MD5  path" */
static int analyze_dpkg_sums(struct package_list *list, struct str path, struct str content, struct layer_file *ret,
                             struct err *e)
{
    size_t cap = 0;
    for (struct str line, sum, file; str_cut(&content, '\n', &line);)
        if (str_split(line, ' ', &sum, &file))
            own(list, ret, &cap, str_trim(file));
    return 0;
}

static void own_all(struct package_list *list, struct layer_file *ret)
{
    size_t cap = 0;
    for (size_t i = 0; i < list->n; i++)
        for (size_t k = 0; k < list->v[i].files_n; k++)
            own(list, ret, &cap, list->v[i].files[k]);
    for (size_t i = 0; i < list->n; i++)
        list->v[i].files_n = 0;
}

static int analyze_apk(struct package_list *list, struct str path, struct str content, struct layer_file *ret,
                       struct err *e)
{
    int r = apkdb_parse(list->a, content, &list->v, &list->n, e);
    own_all(list, ret);
    return r;
}

static int analyze_rpm(struct package_list *list, struct str path, struct str content, struct layer_file *ret,
                       struct err *e)
{
    if (content.n == 0) /* as image builders leave the one that is not used */
        return 0;
    int r = rpmdb_parse(list, content, e);
    own_all(list, ret);
    return r;
}

static int analyze_rpm_manifest(struct package_list *list, struct str path, struct str content, struct layer_file *ret,
                                struct err *e)
{
    return rpm_manifest_parse(list, content, e);
}

static int analyze_os_release(struct package_list *list, struct str path, struct str content, struct layer_file *ret,
                              struct err *e)
{
    int r = os_release_parse(list->a, content, &ret->os);
    return r < 0 ? err_set(e, -r, "os-release: malformed") : 0;
}

static int analyze_redhat_release(struct package_list *list, struct str path, struct str content,
                                  struct layer_file *ret, struct err *e)
{
    redhat_release_parse(list->a, content, &ret->os);
    return 0;
}

#define ANALYZER(id, kind, folder, name, parser) {ANALYZER_##kind, folder, STR(name), parser},
static const struct {
    enum analyzer_kind kind;
    const char *folder;
    struct str name;
    analyze_fn *parse;
} analyzers[] = {
#include "scan/analyzers.tbl.h"
};
#undef ANALYZER

static bool name_fits(struct str pattern, struct str name)
{
    if (pattern.p[0] != '*')
        return str_eq(pattern, name);
    return name.n >= pattern.n - 1 && !memcmp(name.p + name.n - (pattern.n - 1), pattern.p + 1, pattern.n - 1);
}

static bool folder_fits(const char *pattern, struct str folder)
{
    if (!strcmp(pattern, "**") || str_glob(str_c(pattern), folder, false))
        return true;
    return !strncmp(pattern, "**/", 3) && str_glob(str_c(pattern + 3), folder, false);
}

/* What other packages brought with them says what their authors used, not what is here. */
static bool inside_package(struct str path)
{
    static const char *const folders[] = {"node_modules/",  "site-packages/",   "dist-packages/", "gems/",
                                          "vendor/",        "pkg/mod/",         "registry/src/",  "GOROOT/",
                                          "usr/share/doc/", "usr/local/go/src/"};
    for (size_t i = 0; i < ARRAY_LEN(folders); i++) {
        ptrdiff_t at = str_find(path, str_c(folders[i]));
        if (at == 0 || (at > 0 && path.p[at - 1] == '/'))
            return true;
    }
    return false;
}

int layer_analyzer(struct str path)
{
    ptrdiff_t slash = str_rchr(path, '/');
    struct str name = str_sub(path, (size_t)(slash + 1), path.n);
    struct str folder = slash < 0 ? STR("") : str_sub(path, 0, (size_t)slash);
    for (size_t i = 0; i < ARRAY_LEN(analyzers); i++)
        if (name_fits(analyzers[i].name, name) && folder_fits(analyzers[i].folder, folder))
            return analyzers[i].kind == ANALYZER_LOCKED && inside_package(path) ? -ENOENT : (int)i;
    return -ENOENT;
}

enum analyzer_kind layer_analyzer_kind(enum analyzer a)
{
    return (size_t)a < ARRAY_LEN(analyzers) ? analyzers[a].kind : ANALYZER_FOUND;
}

bool layer_path_matters(struct str path)
{
    for (size_t i = 0; i < ARRAY_LEN(analyzers); i++) {
        struct str folder = str_c(analyzers[i].folder);
        if (analyzers[i].kind != ANALYZER_OS)
            continue;
        if (str_eq(folder, path) || (folder.n > path.n && folder.p[path.n] == '/' && !memcmp(folder.p, path.p, path.n)))
            return true;
    }
    int which = layer_analyzer(path);
    return which >= 0 && analyzers[which].kind == ANALYZER_OS;
}

int layer_file_parse(struct arena *a, struct str path, struct str content, struct layer_file *ret)
{
    int which = layer_analyzer(path);
    if (which < 0)
        return which;
    struct err e = ERR_INIT;
    struct package_list list = PACKAGE_LIST(a);
    *ret = (struct layer_file){.analyzer = (enum analyzer)which, .path = path};
    if (analyzers[which].parse(&list, path, content, ret, &e) < 0 || package_list_check(&list, &e) < 0) {
        *ret = (struct layer_file){.analyzer = (enum analyzer)which, .path = path};
        ret->problem = arena_strf(a, STR_FMT ": %s", STR_ARG(path), e.msg);
        return 0;
    }
    ret->packages = list.v;
    ret->packages_n = list.n;
    for (size_t i = 0; i < ret->packages_n; i++)
        if (ret->packages[i].path.n == 0) /* else it is inside of this one */
            ret->packages[i].path = path;
    return 0;
}

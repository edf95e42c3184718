/* The entries of a layer, in the order of the archive. */
#include "base/cleanup.h"
#include "base/limits.h"
#include "scan/layer_internal.h"

void layer_problem(struct layer *l, struct str text)
{
    if (l->rec.problems_n == LIMIT_SCAN_PROBLEMS)
        return;
    l->rec.problems = arena_grow(l->a, l->rec.problems, l->rec.problems_n, &l->problems_cap, sizeof(struct str));
    l->rec.problems[l->rec.problems_n++] = text;
}

static bool inside(struct str path, struct str dir)
{
    return dir.n == 0 || (path.n > dir.n && path.p[dir.n] == '/' && !memcmp(path.p, dir.p, dir.n));
}

static void drop(struct layer *l, size_t i)
{
    map_del(l->by_path, l->rec.files[i].path);
    l->rec.files[i] = l->rec.files[--l->rec.files_n];
    if (i < l->rec.files_n)
        map_put(l->by_path, l->rec.files[i].path, (void *)(uintptr_t)(i + 1));
}

/* Forget what this layer itself had put at or below path. */
static void forget(struct layer *l, struct str path)
{
    uintptr_t at = (uintptr_t)map_get(l->by_path, path);
    if (at)
        drop(l, at - 1);
    if (path.n && !map_has(l->folders, path))
        return;
    for (size_t i = l->rec.files_n; i-- > 0;)
        if (inside(l->rec.files[i].path, path))
            drop(l, i);
    map_del(l->folders, path);
}

int layer_file_add(struct layer *l, const struct layer_file *f, struct err *e)
{
    if (l->rec.files_n >= LIMIT_SCAN_FILES_COUNT)
        return err_set(e, E2BIG, "more than %u files with packages", LIMIT_SCAN_FILES_COUNT);
    l->rec.files = arena_grow(l->a, l->rec.files, l->rec.files_n, &l->files_cap, sizeof(*f));
    struct layer_file *x = &l->rec.files[l->rec.files_n++];
    *x = *f;
    x->path = arena_str(l->a, f->path);
    for (size_t i = 0; i < x->packages_n; i++)
        if (x->packages[i].path.n == 0)
            x->packages[i].path = x->path;
    for (size_t i = 0; i < x->issues_n; i++)
        if (x->issues[i].path.n == 0)
            x->issues[i].path = x->path;
    map_put(l->by_path, x->path, (void *)(uintptr_t)l->rec.files_n);
    for (size_t i = x->path.n, depth = 0; i-- > 0 && depth < 64;)
        if (x->path.p[i] == '/') {
            if (map_put(l->folders, str_sub(x->path, 0, i), l))
                break;
            depth++;
        }
    return 0;
}

/* Nothing more comes: keep what somebody had to say about it. */
static int file_done(struct layer *l, struct err *e)
{
    const struct layer_file *f = &l->file;
    bool os = f->analyzer != ANALYZERS && layer_analyzer_kind(f->analyzer) == ANALYZER_OS;
    bool said = os || f->packages_n || f->issues_n || f->problem.n;
    return said ? layer_file_add(l, f, e) : 0;
}

static int other(struct layer *l, const struct tar_entry *ent, struct str path, struct err *e)
{
    layer_probes_entry(l, ent, path);
    return file_done(l, e);
}

/* Links that builders of systems make: merged /usr, and rpm's folder, which has moved. */
static bool usual_link(struct str path, struct str target)
{
    static const char *const usual[][2] = {{"lib", "usr/lib"},
                                           {"var/lib/rpm", "usr/lib/sysimage/rpm"},
                                           {"var/lib/rpm", "usr/share/rpm"},
                                           {"usr/share/rpm", "usr/lib/sysimage/rpm"},
                                           {"usr/lib/sysimage/rpm", "usr/share/rpm"}};
    while (str_starts(target, STR("../")))
        target = str_sub(target, 3, target.n);
    if (target.n && target.p[0] == '/')
        target = str_sub(target, 1, target.n);
    for (size_t i = 0; i < ARRAY_LEN(usual); i++)
        if (str_eqc(path, usual[i][0]) && str_eqc(target, usual[i][1]))
            return true;
    return false;
}

/* Any other link could lead the package database out of sight; os-release is one by custom. Language packages are read
 * where they are. */
static int symbolic_link(struct layer *l, const struct tar_entry *ent, struct str path, struct err *e)
{
    int which = layer_analyzer(path);
    layer_probes_entry(l, ent, path);
    if (which >= 0 && layer_analyzer_kind((enum analyzer)which) == ANALYZER_OS) {
        l->file.analyzer = (enum analyzer)which;
        l->file.link = arena_str(l->a, ent->link);
        return file_done(l, e);
    }
    if (layer_path_matters(path) && !usual_link(path, ent->link))
        layer_problem(l, arena_strf(l->a, STR_FMT " is a symbolic link to " STR_FMT ": what is behind it is not read",
                                    STR_ARG(path), STR_ARG(str_sub(ent->link, 0, 200))));
    return file_done(l, e);
}

static int hard_link(struct layer *l, const struct tar_entry *ent, struct str path, struct err *e)
{
    struct str target;
    if (tar_clean(l->scratch, ent->link, &target) < 0)
        target = STR_NONE;
    uintptr_t at = target.n ? (uintptr_t)map_get(l->by_path, target) : 0;
    int which = layer_analyzer(path);
    if (at && which < 0 && l->rec.files[at - 1].issues_n == 0) { /* the same program again, as busybox does */
        forget(l, path);
        return other(l, ent, path, e);
    }
    if (at) {
        struct layer_file f = l->rec.files[at - 1];
        f.path = path;
        forget(l, path);
        return layer_file_add(l, &f, e);
    }
    if (which >= 0 && layer_analyzer(target) < 0)
        layer_problem(l, arena_strf(l->a, STR_FMT " is a hard link to " STR_FMT ", which was not read", STR_ARG(path),
                                    STR_ARG(str_sub(ent->link, 0, 200))));
    forget(l, path);
    return other(l, ent, path, e);
}

static int whiteout(struct layer *l, struct str dir, struct str base)
{
    if (str_eqc(base, ".wh..opq")) { /* the caller took ".wh." off ".wh..wh..opq" */
        layer_paths_add(&l->rec.paths, LAYER_PATH_OPAQUE, dir);
        return 0;
    }
    if (str_starts(base, STR(".wh."))) /* aufs' own records */
        return 0;
    struct str path = base; /* of a bare ".wh." engines remove the folder it is in */
    if (dir.n)
        path = base.n ? arena_strf(l->scratch, STR_FMT "/" STR_FMT, STR_ARG(dir), STR_ARG(base)) : dir;
    forget(l, path);
    layer_paths_add(&l->rec.paths, LAYER_PATH_GONE, path);
    return 0;
}

void layer_whiteout(struct layer *l, struct str path, bool opaque)
{
    layer_paths_add(&l->rec.paths, opaque ? LAYER_PATH_OPAQUE : LAYER_PATH_GONE, path);
}

/* A regular file: 1 when somebody wants its content. */
static int regular_file(struct layer *l, const struct tar_entry *ent, struct str path, struct err *e)
{
    int which = layer_analyzer(path);
    bool probed = layer_probes_entry(l, ent, path);
    l->held = which >= 0;
    l->seen = probed;
    l->file.analyzer = which >= 0 ? (enum analyzer)which : ANALYZERS;
    if (which >= 0 && (ent->sparse || ent->size > LIMIT_SCAN_FILE)) {
        l->held = false;
        l->file.problem =
            arena_strf(l->a, STR_FMT " is %s", STR_ARG(path), ent->sparse ? "stored as a sparse file" : "too large");
    }
    buf_reset(&l->body);
    if (l->held)
        buf_room(&l->body, ent->size);
    return l->held || l->seen ? 1 : file_done(l, e);
}

int layer_entry(void *ctx, const struct tar_entry *ent, struct err *e)
{
    struct layer *l = ctx;
    if (++l->entries > LIMIT_SCAN_ENTRIES)
        return err_set(e, E2BIG, "more than %u entries", LIMIT_SCAN_ENTRIES);
    arena_reset(l->scratch);
    struct str path;
    if (tar_clean(l->scratch, ent->name, &path) < 0) {
        layer_problem(l, arena_strf(l->a, "an entry's path leads out of the root: " STR_FMT,
                                    STR_ARG(str_sub(ent->name, 0, 200))));
        return 0;
    }
    ptrdiff_t slash = str_rchr(path, '/');
    struct str base = str_sub(path, (size_t)(slash + 1), path.n);
    struct str dir = slash < 0 ? STR("") : str_sub(path, 0, (size_t)slash);
    if (!l->tree && str_starts(base, STR(".wh.")))
        return whiteout(l, dir, str_sub(base, 4, base.n));
    if (path.n == 0)
        return 0;
    layer_paths_add(&l->rec.paths, ent->type == TAR_DIR ? LAYER_PATH_DIR : LAYER_PATH_FILE, path);
    l->path = path;
    l->file = (struct layer_file){.analyzer = ANALYZERS, .path = l->path};
    l->file_packages_cap = l->file_issues_cap = 0;
    if (ent->type == TAR_DIR && map_has(l->by_path, path)) /* a directory in the place of the file */
        forget(l, path);
    if (ent->type == TAR_DIR)
        return other(l, ent, path, e);
    if (ent->type == TAR_HARDLINK)
        return hard_link(l, ent, path, e);
    forget(l, path);
    if (ent->type == TAR_FILE)
        return regular_file(l, ent, path, e);
    return ent->type == TAR_SYMLINK ? symbolic_link(l, ent, path, e) : other(l, ent, path, e);
}

int layer_data(void *ctx, const void *p, size_t n, struct err *e)
{
    struct layer *l = ctx;
    if (l->held)
        buf_put(&l->body, p, n);
    if (l->seen)
        l->seen = layer_probes_data(l, p, n);
    return 0;
}

/* File lists know a file of merged /usr by either of its names. */
static struct str owned_as(struct str path)
{
    static const char *const folders[] = {"usr/bin/",   "usr/sbin/",  "usr/lib/",
                                          "usr/lib32/", "usr/lib64/", "usr/libx32/"};
    for (size_t i = 0; i < ARRAY_LEN(folders); i++)
        if (str_starts(path, str_c(folders[i])))
            return str_sub(path, 4, path.n);
    return path;
}

static int by_value(const void *x, const void *y)
{
    uint64_t a = *(const uint64_t *)x, b = *(const uint64_t *)y;
    return a < b ? -1 : a > b;
}

void layer_settle_owned(struct layer *l)
{
    if (l->owned.n == 0)
        return;
    qsort(l->owned.v, l->owned.n, sizeof(*l->owned.v), by_value);
    for (size_t i = 0; i < l->rec.files_n; i++) {
        struct layer_file *f = &l->rec.files[i];
        uint64_t key = layer_path_hash(owned_as(f->path)) | LAYER_PATH_FILE;
        if (layer_analyzer_kind(f->analyzer) != ANALYZER_FOUND ||
            !bsearch(&key, l->owned.v, l->owned.n, sizeof(key), by_value))
            continue;
        f->owned = true;
        f->packages_n = 0;
        f->problem = STR("");
    }
}

/* What the analyzer read lives in l->parsed, and goes to the results with what the probes had said. */
static void take_parsed(struct layer *l, const struct layer_file *f)
{
    l->file.problem = arena_str(l->a, f->problem);
    l->file.os = (struct os_release){.id = arena_str(l->a, f->os.id),
                                     .version_id = arena_str(l->a, f->os.version_id),
                                     .codename = arena_str(l->a, f->os.codename),
                                     .pretty = arena_str(l->a, f->os.pretty)};
    for (size_t i = 0; i < f->owns_n; i++)
        layer_paths_add(&l->owned, LAYER_PATH_FILE, owned_as(f->owns[i]));
    for (size_t i = 0; i < f->packages_n; i++) {
        struct package p = f->packages[i];
        probe_package(l, &p);
    }
}

int layer_end(void *ctx, struct err *e)
{
    struct layer *l = ctx;
    if (l->seen)
        layer_probes_end(l);
    if (l->held) {
        struct layer_file f;
        int r = buf_check(&l->body, e);
        if (r < 0 || (r = layer_file_parse(l->parsed, l->path, buf_str(&l->body), &f)) < 0)
            return r;
        take_parsed(l, &f);
        arena_reset(l->parsed);
        if (l->body.cap > (8u << 20))
            buf_fini(&l->body);
    }
    return file_done(l, e);
}

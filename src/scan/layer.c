#include "scan/layer.h"

#include "base/cleanup.h"
#include "base/limits.h"
#include "base/map.h"
#include "format/digest.h"
#include "format/tar.h"
#include "format/unpack.h"

struct layer {
    struct arena *a;       /* results */
    struct arena *scratch; /* names, reset for each entry */
    struct sha256 blob, content;
    struct unpack *unpack;
    struct tar *tar;
    bool no_tar;
    uint64_t size, content_size, held;
    unsigned char first[512];
    size_t first_n;
    struct buf body; /* content of the wanted file */
    struct str path; /* its name, in a */
    struct layer_record rec;
    struct map *by_path; /* of rec.files: index + 1 */
    size_t removed_cap, opaque_cap, files_cap, problems_cap;
};

static void problem(struct layer *l, struct str text)
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

/* Forget what this layer itself had put at or below path. Nothing is below an analyzer's file, so that the many of a
 * status.d cost one look-up each. */
static void forget(struct layer *l, struct str path)
{
    uintptr_t at = (uintptr_t)map_get(l->by_path, path);
    if (at)
        drop(l, at - 1);
    if (layer_analyzer(path) >= 0 || !layer_path_matters(path))
        return;
    for (size_t i = l->rec.files_n; i-- > 0;)
        if (inside(l->rec.files[i].path, path))
            drop(l, i);
}

/* Only a handful of removed paths can matter (they are prefixes of analyzers' patterns or held files of status.d). */
static void add_path(struct layer *l, struct str **list, size_t *n, size_t *cap, struct str path)
{
    for (size_t i = 0; i < *n && i < 64; i++)
        if (str_eq((*list)[i], path))
            return;
    if (*n >= LIMIT_SCAN_FILES_COUNT) {
        problem(l, STR("too many removed paths"));
        return;
    }
    *list = arena_grow(l->a, *list, *n, cap, sizeof(struct str));
    (*list)[(*n)++] = arena_str(l->a, path);
}

static int add_file(struct layer *l, const struct layer_file *f, struct err *e)
{
    if (l->rec.files_n >= LIMIT_SCAN_FILES_COUNT)
        return err_set(e, E2BIG, "more than %u package records", LIMIT_SCAN_FILES_COUNT);
    l->rec.files = arena_grow(l->a, l->rec.files, l->rec.files_n, &l->files_cap, sizeof(*f));
    l->rec.files[l->rec.files_n++] = *f;
    map_put(l->by_path, f->path, (void *)(uintptr_t)l->rec.files_n);
    return 0;
}

/* Something else than a regular file or a directory at a path that matters. Merged /usr makes lib a link to usr/lib
 * and os-release is one by custom; any other link could lead the package database out of sight. */
static int odd_entry(struct layer *l, const struct tar_entry *ent, struct str path, struct err *e)
{
    add_path(l, &l->rec.removed, &l->rec.removed_n, &l->removed_cap, path);
    if (ent->type != TAR_SYMLINK)
        return 0;
    int which = layer_analyzer(path);
    if (which >= 0)
        return add_file(l,
                        &(struct layer_file){.analyzer = (enum analyzer)which,
                                             .path = arena_str(l->a, path),
                                             .link = arena_str(l->a, ent->link)},
                        e);
    if (!str_eqc(path, "lib") || !(str_eqc(ent->link, "usr/lib") || str_eqc(ent->link, "/usr/lib")))
        problem(l, arena_strf(l->a, STR_FMT " is a symbolic link to " STR_FMT ": what is behind it is not read",
                              STR_ARG(path), STR_ARG(str_sub(ent->link, 0, 200))));
    return 0;
}

static int hard_link(struct layer *l, const struct tar_entry *ent, struct str path, struct err *e)
{
    struct str target;
    if (tar_clean(l->scratch, ent->link, &target) < 0)
        target = STR_NONE;
    uintptr_t at = target.n ? (uintptr_t)map_get(l->by_path, target) : 0;
    if (at) {
        struct layer_file f = l->rec.files[at - 1];
        f.path = arena_str(l->a, path);
        forget(l, path);
        return add_file(l, &f, e);
    }
    if (layer_analyzer(path) >= 0)
        problem(l, arena_strf(l->a, STR_FMT " is a hard link to " STR_FMT ", which was not read", STR_ARG(path),
                              STR_ARG(str_sub(ent->link, 0, 200))));
    return 0;
}

static int whiteout(struct layer *l, struct str dir, struct str base)
{
    if (str_eqc(base, ".wh..opq")) { /* the caller took ".wh." off ".wh..wh..opq" */
        if (layer_path_matters(dir))
            add_path(l, &l->rec.opaque, &l->rec.opaque_n, &l->opaque_cap, dir);
        return 0;
    }
    if (str_starts(base, STR(".wh."))) /* aufs' own records */
        return 0;
    struct str path = dir.n ? arena_strf(l->scratch, STR_FMT "/" STR_FMT, STR_ARG(dir), STR_ARG(base)) : base;
    forget(l, path);
    if (layer_path_matters(path))
        add_path(l, &l->rec.removed, &l->rec.removed_n, &l->removed_cap, path);
    return 0;
}

static int on_entry(void *ctx, const struct tar_entry *ent, struct err *e)
{
    struct layer *l = ctx;
    if (tar_entries(l->tar) > LIMIT_SCAN_ENTRIES)
        return err_set(e, E2BIG, "more than %u entries", LIMIT_SCAN_ENTRIES);
    arena_reset(l->scratch);
    struct str path;
    if (tar_clean(l->scratch, ent->name, &path) < 0) {
        problem(l, arena_strf(l->a, "an entry's path leads out of the root: " STR_FMT,
                              STR_ARG(str_sub(ent->name, 0, 200))));
        return 0;
    }
    ptrdiff_t slash = str_rchr(path, '/');
    struct str base = str_sub(path, (size_t)(slash + 1), path.n);
    struct str dir = slash < 0 ? STR("") : str_sub(path, 0, (size_t)slash);
    if (str_starts(base, STR(".wh.")))
        return whiteout(l, dir, str_sub(base, 4, base.n));
    if (path.n == 0 || !layer_path_matters(path))
        return 0;
    if (ent->type == TAR_DIR) {
        if (layer_analyzer(path) >= 0) { /* a directory in the place of the file */
            forget(l, path);
            add_path(l, &l->rec.removed, &l->rec.removed_n, &l->removed_cap, path);
        }
        return 0;
    }
    if (ent->type == TAR_HARDLINK)
        return hard_link(l, ent, path, e);
    forget(l, path);
    if (ent->type != TAR_FILE)
        return odd_entry(l, ent, path, e);
    int which = layer_analyzer(path);
    l->path = arena_str(l->a, path);
    if (which < 0) {
        add_path(l, &l->rec.removed, &l->rec.removed_n, &l->removed_cap, path); /* a file where a directory was */
        return 0;
    }
    if (ent->sparse || ent->size > LIMIT_SCAN_FILE || l->held + ent->size > LIMIT_SCAN_FILES) {
        struct layer_file f = {.analyzer = (enum analyzer)which, .path = l->path};
        f.problem =
            arena_strf(l->a, STR_FMT " is %s", STR_ARG(path), ent->sparse ? "stored as a sparse file" : "too large");
        return add_file(l, &f, e);
    }
    l->held += ent->size;
    buf_reset(&l->body);
    return 1;
}

static int on_data(void *ctx, const void *p, size_t n, struct err *e)
{
    struct layer *l = ctx;
    buf_put(&l->body, p, n);
    return 0;
}

static int on_end(void *ctx, struct err *e)
{
    struct layer *l = ctx;
    struct layer_file f;
    int r = buf_check(&l->body, e);
    if (r < 0 || (r = layer_file_parse(l->a, l->path, arena_str(l->a, buf_str(&l->body)), &f)) < 0)
        return r;
    return add_file(l, &f, e);
}

/* Content after unpacking. Whether it is a tar archive at all shows in its first block. */
static int on_content(void *ctx, const void *p, size_t n, struct err *e)
{
    struct layer *l = ctx;
    l->content_size += n;
    if (unpack_format(l->unpack) != UNPACK_PLAIN)
        sha256_update(&l->content, p, n);
    if (l->no_tar)
        return 0;
    if (l->first_n < sizeof(l->first)) {
        size_t take = sizeof(l->first) - l->first_n < n ? sizeof(l->first) - l->first_n : n;
        memcpy(l->first + l->first_n, p, take);
        l->first_n += take;
        if (l->first_n < sizeof(l->first))
            return 0;
        static const unsigned char zero[512];
        if (!tar_is_header(l->first) && memcmp(l->first, zero, sizeof(zero)) != 0) {
            l->no_tar = true;
            return 0;
        }
        int r = tar_feed(l->tar, l->first, sizeof(l->first), e);
        if (r < 0)
            return r;
        p = (const char *)p + take;
        n -= take;
    }
    return tar_feed(l->tar, p, n, e);
}

struct layer *layer_new(struct arena *a)
{
    struct layer *l = calloc(1, sizeof(*l));
    if (!l)
        abort();
    l->a = a;
    l->scratch = arena_new(16u << 20);
    l->by_path = map_new(LIMIT_SCAN_FILES_COUNT + 1);
    sha256_init(&l->blob);
    sha256_init(&l->content);
    l->unpack = unpack_new(on_content, l);
    l->tar = tar_new(&(struct tar_sink){on_entry, on_data, on_end}, l);
    l->body = BUF_INIT(LIMIT_SCAN_FILE);
    return l;
}

void layer_free(struct layer *l)
{
    if (!l)
        return;
    arena_free(l->scratch);
    map_free(l->by_path);
    sha256_fini(&l->blob);
    sha256_fini(&l->content);
    unpack_free(l->unpack);
    tar_free(l->tar);
    buf_fini(&l->body);
    free(l);
}

void layer_freep(struct layer **l)
{
    layer_free(*l);
}

int layer_feed(struct layer *l, const void *p, size_t n, struct err *e)
{
    l->size += n;
    sha256_update(&l->blob, p, n);
    return unpack_feed(l->unpack, p, n, e);
}

int layer_finish(struct layer *l, struct layer_record *ret, struct err *e)
{
    int r = unpack_finish(l->unpack, e);
    if (r < 0)
        return r;
    bool short_file = l->first_n > 0 && l->first_n < sizeof(l->first);
    l->rec.tar = !l->no_tar && !short_file;
    if (l->rec.tar && (r = tar_finish(l->tar, e)) < 0)
        return r;
    uint8_t sum[SHA256_SIZE];
    char text[DIGEST_TEXT];
    sha256_final(&l->blob, sum);
    l->rec.digest = arena_str(l->a, str_c(digest_text(sum, text)));
    if (unpack_format(l->unpack) != UNPACK_PLAIN) {
        sha256_final(&l->content, sum);
        digest_text(sum, text);
    }
    l->rec.diff_id = arena_str(l->a, str_c(text));
    l->rec.compression = str_c(unpack_format_name(unpack_format(l->unpack)));
    l->rec.size = (int64_t)l->size;
    l->rec.content_size = (int64_t)l->content_size;
    l->rec.entries = (int64_t)tar_entries(l->tar);
    *ret = l->rec;
    return 0;
}

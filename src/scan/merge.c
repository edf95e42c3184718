#include "scan/merge.h"

#include "base/cleanup.h"
#include "base/limits.h"
#include "base/map.h"

/* One path of the merged file system. */
struct slot {
    struct str path;
    const struct layer_file *file; /* NULL: gone */
    struct str layer;              /* diff id of the layer it is from */
    struct map *origins;           /* "name version arch" -> diff id, of dpkg and apk databases */
};

struct merge {
    struct arena *a;
    struct slot *slots;
    size_t n, cap;
};

void inventory_problem(struct arena *a, struct inventory *inv, struct str text)
{
    inv->incomplete = true;
    if (inv->problems_n >= LIMIT_SCAN_PROBLEMS)
        return;
    if (!inv->problems)
        inv->problems = arena_array(a, LIMIT_SCAN_PROBLEMS, sizeof(struct str));
    inv->problems[inv->problems_n++] = text;
}

static void clear(struct slot *s)
{
    map_free(s->origins);
    s->origins = NULL;
    s->file = NULL;
}

static struct slot *slot_of(struct merge *m, struct map *index, struct str path)
{
    void *at = map_get(index, path);
    if (at)
        return &m->slots[(uintptr_t)at - 1];
    m->slots = arena_grow(m->a, m->slots, m->n, &m->cap, sizeof(*m->slots));
    m->slots[m->n] = (struct slot){.path = path};
    map_put(index, path, (void *)(uintptr_t)(m->n + 1));
    return &m->slots[m->n++];
}

static struct str package_key(struct arena *a, const struct package *p)
{
    return arena_strf(a, STR_FMT "\n" STR_FMT "\n" STR_FMT, STR_ARG(p->name), STR_ARG(p->version), STR_ARG(p->arch));
}

/* A database was rewritten by this layer: what it knew before keeps its layer, the rest is this layer's. */
static void place(struct merge *m, struct slot *s, const struct layer_file *f, const struct str *layer)
{
    struct map *before = TAKE(s->origins);
    s->file = f;
    s->layer = *layer;
    s->origins = map_new(LIMIT_SCAN_PACKAGES);
    for (size_t i = 0; i < f->packages_n; i++) {
        struct str key = package_key(m->a, &f->packages[i]);
        const void *origin = before ? map_get(before, key) : NULL;
        map_put(s->origins, key, (void *)(uintptr_t)(origin ? origin : (const void *)layer));
    }
    map_free(before);
}

static int by_identity(const void *x, const void *y)
{
    const struct package *a = x, *b = y;
    int r = str_cmp(a->type, b->type);
    if (r == 0)
        r = str_cmp(a->name, b->name);
    if (r == 0)
        r = str_cmp(a->version, b->version);
    if (r == 0)
        r = str_cmp(a->arch, b->arch);
    return r ? r : str_cmp(a->path, b->path);
}

static const struct slot *find(const struct merge *m, const char *path)
{
    for (size_t i = 0; i < m->n; i++)
        if (m->slots[i].file && str_eqc(m->slots[i].path, path))
            return &m->slots[i];
    return NULL;
}

/* etc/os-release first, as os-release(5) says; it usually is a link to the other. */
static void operating_system(struct merge *m, struct inventory *inv)
{
    const struct slot *etc = find(m, "etc/os-release"), *usr = find(m, "usr/lib/os-release");
    if (etc && etc->file->link.n == 0)
        inv->os = etc->file->os;
    else if (usr && usr->file->link.n == 0)
        inv->os = usr->file->os;
    else if (etc || usr)
        inventory_problem(m->a, inv, STR("os-release is a link to a file that was not read"));
}

static void collect(struct merge *m, struct inventory *inv)
{
    size_t total = 0;
    for (size_t i = 0; i < m->n; i++)
        total += m->slots[i].file ? m->slots[i].file->packages_n : 0;
    if (total > LIMIT_SCAN_PACKAGES) {
        inventory_problem(m->a, inv, STR("too many packages"));
        return;
    }
    inv->packages = arena_array(m->a, total, sizeof(*inv->packages));
    for (size_t i = 0; i < m->n; i++) {
        const struct slot *s = &m->slots[i];
        if (!s->file)
            continue;
        if (s->file->problem.n)
            inventory_problem(m->a, inv, s->file->problem);
        if (s->file->link.n && !str_ends(s->path, STR("os-release")))
            inventory_problem(m->a, inv,
                              arena_strf(m->a, STR_FMT " is a symbolic link to " STR_FMT ": not read", STR_ARG(s->path),
                                         STR_ARG(str_sub(s->file->link, 0, 200))));
        for (size_t k = 0; k < s->file->packages_n; k++) {
            struct package *p = &inv->packages[inv->packages_n++];
            *p = s->file->packages[k];
            const struct str *layer = map_get(s->origins, package_key(m->a, p));
            p->path = s->path;
            p->layer = layer ? *layer : s->layer;
        }
    }
    qsort(inv->packages, inv->packages_n, sizeof(*inv->packages), by_identity);
    size_t n = 0; /* the same record twice, as in dpkg's status and status.d, counts once */
    for (size_t i = 0; i < inv->packages_n; i++)
        if (n == 0 || by_identity(&inv->packages[n - 1], &inv->packages[i]) != 0)
            inv->packages[n++] = inv->packages[i];
    inv->packages_n = n;
}

static struct map *path_set(const struct str *paths, size_t n)
{
    struct map *m = map_new(n + 1);
    for (size_t i = 0; i < n; i++)
        map_put(m, paths[i], m);
    return m;
}

/* The path itself or a folder above it was removed, or a folder above it is opaque. */
static bool hidden(struct str path, const struct map *removed, const struct map *opaque)
{
    if (map_has(removed, path) || map_has(opaque, STR("")))
        return true;
    for (size_t i = path.n; i-- > 0;)
        if (path.p[i] == '/' && (map_has(removed, str_sub(path, 0, i)) || map_has(opaque, str_sub(path, 0, i))))
            return true;
    return false;
}

static void hide(struct merge *m, const struct layer_record *l)
{
    if (l->removed_n == 0 && l->opaque_n == 0)
        return;
    _cleanup_(map_freep) struct map *removed = path_set(l->removed, l->removed_n);
    _cleanup_(map_freep) struct map *opaque = path_set(l->opaque, l->opaque_n);
    for (size_t i = 0; i < m->n; i++)
        if (m->slots[i].file && hidden(m->slots[i].path, removed, opaque))
            clear(&m->slots[i]);
}

void merge_layers(struct arena *a, const struct layer_record *layers, size_t n, struct inventory *inv)
{
    struct merge m = {.a = a};
    _cleanup_(map_freep) struct map *index = map_new(LIMIT_SCAN_FILES_COUNT * LIMIT_SCAN_LAYERS);
    for (size_t i = 0; i < n; i++) {
        const struct layer_record *l = &layers[i];
        hide(&m, l);
        for (size_t k = 0; k < l->files_n; k++)
            place(&m, slot_of(&m, index, l->files[k].path), &l->files[k], &l->diff_id);
        for (size_t k = 0; k < l->problems_n; k++)
            inventory_problem(a, inv,
                              arena_strf(a, "layer " STR_FMT ": " STR_FMT, STR_ARG(str_sub(l->diff_id, 0, 19)),
                                         STR_ARG(l->problems[k])));
    }
    operating_system(&m, inv);
    collect(&m, inv);
    for (size_t i = 0; i < m.n; i++)
        clear(&m.slots[i]);
}

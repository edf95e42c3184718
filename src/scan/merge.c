#include "scan/merge.h"

#include "base/cleanup.h"
#include "base/limits.h"
#include "base/map.h"
#include "scan/issue.h"

/* One path of the merged file system. */
struct slot {
    struct str path;
    const struct layer_file *file; /* NULL: gone */
    struct str layer;              /* diff id of the layer it is from */
    bool fresh;                    /* placed by the layer under way */
    bool owned;                    /* a package of the system brought it, in this layer or in one below */
    struct str *origins;           /* diff id for each package; NULL: all are from layer */
};

struct merge {
    struct arena *a;
    struct slot *slots;
    size_t n, cap;
    struct finding *found;
    size_t found_n, found_cap;
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

static void report(struct merge *m, const struct slot *s, bool hidden)
{
    for (size_t i = 0; i < s->file->issues_n; i++) {
        if (hidden && s->file->issues[i].kind == FINDING_CHECK) /* put right by a later layer */
            continue;
        m->found = arena_grow(m->a, m->found, m->found_n, &m->found_cap, sizeof(*m->found));
        struct finding *d = &m->found[m->found_n++];
        *d = s->file->issues[i];
        d->layer = s->layer;
        d->hidden = hidden;
    }
}

static void clear(struct merge *m, struct slot *s)
{
    report(m, s, true);
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
static void place(struct merge *m, struct slot *s, const struct layer_file *f, struct str layer)
{
    struct slot before = *s;
    if (before.file)
        clear(m, s);
    s->file = f;
    s->layer = layer;
    s->owned = s->owned || f->owned; /* also when a layer above changed no more than its mode */
    if (!before.file || before.file->packages_n == 0 || f->packages_n == 0)
        return;
    _cleanup_(map_freep) struct map *known = map_new(LIMIT_SCAN_PACKAGES + 1);
    for (size_t i = 0; i < before.file->packages_n; i++)
        map_put(known, package_key(m->a, &before.file->packages[i]),
                before.origins ? &before.origins[i] : &before.layer);
    s->origins = arena_array(m->a, f->packages_n, sizeof(struct str));
    for (size_t i = 0; i < f->packages_n; i++) {
        const struct str *origin = map_get(known, package_key(m->a, &f->packages[i]));
        s->origins[i] = origin ? *origin : layer;
    }
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
    const struct slot *sbom = find(m, SBOM_PATH);
    if (sbom && sbom->file->os.id.n) {
        inv->os = sbom->file->os;
        return;
    }
    const struct slot *etc = find(m, "etc/os-release"), *usr = find(m, "usr/lib/os-release");
    const struct slot *old = find(m, "etc/redhat-release");
    if (etc && etc->file->link.n == 0)
        inv->os = etc->file->os;
    else if (usr && usr->file->link.n == 0)
        inv->os = usr->file->os;
    else if (old && old->file->link.n == 0)
        inv->os = old->file->os;
    else if (etc || usr)
        inventory_problem(m->a, inv, STR("os-release is a link to a file that was not read"));
}

/* The file itself, or one inside it: "a.jar!/b.jar". */
static bool inside_of(struct str path, struct str file)
{
    return str_starts(path, file) && (path.n == file.n || path.p[file.n] == '!');
}

static void collect(struct merge *m, struct inventory *inv)
{
    size_t total = 0;
    for (size_t i = 0; i < m->n; i++)
        total += m->slots[i].file && !m->slots[i].owned ? m->slots[i].file->packages_n : 0;
    if (total > LIMIT_SCAN_PACKAGES) {
        inventory_problem(m->a, inv, STR("too many packages"));
        return;
    }
    inv->packages = arena_array(m->a, total, sizeof(*inv->packages));
    for (size_t i = 0; i < m->n; i++) {
        const struct slot *s = &m->slots[i];
        if (!s->file)
            continue;
        report(m, s, false);
        if (s->owned)
            continue;
        if (s->file->problem.n)
            inventory_problem(m->a, inv, s->file->problem);
        if (s->file->link.n && !str_ends(s->path, STR("-release")))
            inventory_problem(m->a, inv,
                              arena_strf(m->a, STR_FMT " is a symbolic link to " STR_FMT ": not read", STR_ARG(s->path),
                                         STR_ARG(str_sub(s->file->link, 0, 200))));
        for (size_t k = 0; k < s->file->packages_n; k++) {
            struct package *p = &inv->packages[inv->packages_n++];
            *p = s->file->packages[k];
            if (!inside_of(p->path, s->path) &&
                !(p->path.n && str_eqc(s->path, SBOM_PATH))) /* a hard link to the file that was read */
                p->path = s->path;
            p->layer = s->origins ? s->origins[k] : s->layer;
        }
    }
    qsort(inv->packages, inv->packages_n, sizeof(*inv->packages), by_identity);
    size_t n = 0; /* the same record twice, as in dpkg's status and status.d, counts once */
    for (size_t i = 0; i < inv->packages_n; i++)
        if (n == 0 || by_identity(&inv->packages[n - 1], &inv->packages[i]) != 0)
            inv->packages[n++] = inv->packages[i];
    inv->packages_n = n;
}

/* What this layer hides of those below. What it puts at the very path of a file of theirs is placed over it, so that a
 * package keeps the layer it came with. */
static void hide(struct merge *m, const struct layer_paths *hits, bool itself)
{
    for (size_t i = 0; hits->n && i < m->n; i++)
        if (m->slots[i].file && !m->slots[i].fresh && layer_paths_hide(hits, m->slots[i].path, itself))
            clear(m, &m->slots[i]);
}

void merge_layers(struct arena *a, const struct layer_record *layers, size_t n, struct inventory *inv)
{
    struct merge m = {.a = a};
    _cleanup_(map_freep) struct map *index = map_new((size_t)LIMIT_SCAN_FILES_COUNT * LIMIT_SCAN_LAYERS);
    _cleanup_(path_set_freep) struct path_set *set = path_set_new();
    for (size_t i = 0; i < n; i++) {
        const struct layer_record *l = &layers[i];
        struct layer_paths hits = path_set_hits(set, &l->paths);
        for (size_t k = 0; k < m.n; k++)
            m.slots[k].fresh = false;
        hide(&m, &hits, false);
        for (size_t k = 0; k < l->files_n; k++) {
            struct slot *s = slot_of(&m, index, l->files[k].path);
            place(&m, s, &l->files[k], l->diff_id);
            s->fresh = true;
        }
        hide(&m, &hits, true);
        layer_paths_fini(&hits);
        for (size_t k = 0; k < l->files_n; k++)
            path_set_add(set, l->files[k].path);
        for (size_t k = 0; k < l->problems_n; k++)
            inventory_problem(a, inv,
                              arena_strf(a, "layer " STR_FMT ": " STR_FMT, STR_ARG(str_sub(l->diff_id, 0, 19)),
                                         STR_ARG(l->problems[k])));
    }
    operating_system(&m, inv);
    collect(&m, inv);
    if (m.found_n > 1)
        qsort(m.found, m.found_n, sizeof(*m.found), issue_order);
    inv->issues = m.found;
    inv->issues_n = m.found_n;
}

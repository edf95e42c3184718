/* The probes of probes.tbl.h at work on a layer. */
#include "base/limits.h"
#include "scan/layer_internal.h"

#define PROBE(id) extern const struct probe probe_##id;
#include "scan/probes.tbl.h"
#undef PROBE

#define PROBE(id) &probe_##id,
static const struct probe *const all[PROBES + 1] = {
#include "scan/probes.tbl.h"
};
#undef PROBE

void layer_probes_open(struct layer *l, const struct probe_setup *setup)
{
    for (size_t i = 0; all[i]; i++)
        if (!(setup->off & (1u << i)))
            l->probes[l->probes_n++] = (struct layer_probe){.ops = all[i], .state = all[i]->open(setup, l)};
}

void layer_probes_close(struct layer *l)
{
    for (size_t i = 0; i < l->probes_n; i++)
        l->probes[i].ops->close(l->probes[i].state);
}

bool layer_probes_entry(struct layer *l, const struct tar_entry *ent, struct str path)
{
    bool any = false;
    for (size_t i = 0; i < l->probes_n; i++) {
        struct layer_probe *p = &l->probes[i];
        p->wants = p->ops->entry(p->state, ent, path) > 0 && ent->type == TAR_FILE;
        any |= p->wants;
    }
    return any;
}

bool layer_probes_data(struct layer *l, const void *p, size_t n)
{
    bool any = false;
    for (size_t i = 0; i < l->probes_n; i++) {
        struct layer_probe *x = &l->probes[i];
        if (!x->wants)
            continue;
        if (x->ops->data(x->state, p, n) > 0) {
            any = true;
        } else {
            x->wants = false;
            x->ops->end(x->state);
        }
    }
    return any;
}

void layer_probes_end(struct layer *l)
{
    for (size_t i = 0; i < l->probes_n; i++)
        if (l->probes[i].wants) {
            l->probes[i].wants = false;
            l->probes[i].ops->end(l->probes[i].state);
        }
}

void probe_package(struct layer *l, const struct package *p)
{
    struct layer_file *f = &l->file;
    if (++l->packages_n > LIMIT_SCAN_PACKAGES) {
        layer_problem(l, STR("too many packages"));
        return;
    }
    f->packages = arena_grow(l->a, f->packages, f->packages_n, &l->file_packages_cap, sizeof(*p));
    f->packages[f->packages_n] = package_copy(l->a, p);
    f->packages_n++;
}

void probe_issue(struct layer *l, const struct finding *d)
{
    struct layer_file *f = &l->file;
    if (++l->issues_n > LIMIT_SCAN_LAYER_ISSUES) {
        layer_problem(l, STR("too many issues"));
        return;
    }
    f->issues = arena_grow(l->a, f->issues, f->issues_n, &l->file_issues_cap, sizeof(*d));
    struct finding *x = &f->issues[f->issues_n++];
    *x = *d;
    x->id = arena_str(l->a, d->id);
    x->title = arena_str(l->a, d->title);
    x->match = arena_str(l->a, d->match);
    x->path = arena_str(l->a, d->path); /* empty: the entry's own, put in when it is kept */
    x->engine = arena_str(l->a, d->engine);
    x->sha256 = arena_str(l->a, d->sha256);
    x->origin = ORIGIN_FILE;
    x->layer = STR("");
    x->hidden = false;
}

void probe_problem(struct layer *l, struct str text)
{
    layer_problem(l, arena_str(l->a, text));
}

#include "base/cleanup.h"
#include "base/map.h"
#include "base/time.h"
#include "scan/vex.h"

enum { NONE = 0 }; /* indexes below are one more than the place in the list */

/* Statements by the ids they are about; those about any id. Each in the order of the list. */
struct index {
    struct map *first; /* id -> place + 1 of its first statement */
    struct link {
        uint32_t statement, next;
    } * links;
    uint32_t links_n;
    uint32_t *any;
    size_t any_n;
};

static struct str folded(struct arena *a, struct str id)
{
    char *p = arena_cstr(a, id);
    for (size_t i = 0; i < id.n; i++)
        p[i] = p[i] >= 'a' && p[i] <= 'z' ? (char)(p[i] - 32) : p[i];
    return (struct str){p, id.n};
}

static void index_build(struct arena *a, const struct vex *vex, struct index *x)
{
    size_t total = 0;
    for (size_t i = 0; i < vex->n; i++)
        total += vex->v[i].ids_n;
    x->first = map_new(total + 1);
    x->links = arena_array(a, total + 1, sizeof(*x->links));
    x->any = arena_array(a, vex->n + 1, sizeof(*x->any));
    for (size_t i = vex->n; i-- > 0;) { /* backwards, so that the lists come out forwards */
        if (!vex->v[i].ids_n)
            x->any[x->any_n++] = (uint32_t)i;
        for (size_t k = 0; k < vex->v[i].ids_n; k++) {
            struct str id = folded(a, vex->v[i].ids[k]);
            struct link *l = &x->links[++x->links_n];
            l->statement = (uint32_t)i;
            l->next = (uint32_t)(uintptr_t)map_get(x->first, id);
            map_put(x->first, id, (void *)(uintptr_t)x->links_n);
        }
    }
}

struct applying {
    struct arena *a;
    const struct vex *vex;
    const struct inventory *inv;
    int64_t now;
    struct index index;
    bool *used;
    int64_t until;
};

static void look(struct applying *p, const struct finding *f, struct str id, size_t *best)
{
    for (uint32_t at = (uint32_t)(uintptr_t)map_get(p->index.first, folded(p->a, id)); at != NONE;
         at = p->index.links[at].next) {
        size_t s = p->index.links[at].statement;
        if (s < *best && vex_about(p->a, &p->vex->v[s], p->inv, f, p->now))
            *best = s;
    }
}

static const struct vex_statement *statement_for(struct applying *p, const struct finding *f)
{
    size_t best = p->vex->n;
    look(p, f, f->id, &best);
    for (size_t i = 0; i < f->aliases_n; i++)
        look(p, f, f->aliases[i], &best);
    for (size_t i = 0; i < p->index.any_n; i++)
        if (p->index.any[i] < best && vex_about(p->a, &p->vex->v[p->index.any[i]], p->inv, f, p->now))
            best = p->index.any[i];
    if (best == p->vex->n)
        return NULL;
    p->used[best] = true;
    if (p->vex->v[best].expires && p->vex->v[best].expires < p->until)
        p->until = p->vex->v[best].expires;
    return &p->vex->v[best];
}

static void set_status(struct arena *a, const struct vex_statement *s, struct finding *f)
{
    bool harmless = s->status == VULN_NOT_AFFECTED || s->status == VULN_FIXED;
    struct str why = s->justification.n ? s->justification : s->note;
    if (harmless)
        f->status = VULN_NOT_AFFECTED;
    else if (s->status == VULN_UNDER_INVESTIGATION || f->status == VULN_NOT_AFFECTED)
        f->status = s->status;
    f->vex = arena_strf(a, "%s%s" STR_FMT " (" STR_FMT ")", vuln_status_name(s->status), why.n ? ": " : "",
                        STR_ARG(why), STR_ARG(s->origin));
}

static void tell_stale(struct applying *p, struct vex_result *ret)
{
    ret->stale = arena_array(p->a, p->vex->n + 1, sizeof(*ret->stale));
    for (size_t i = 0; i < p->vex->n; i++) {
        const struct vex_statement *s = &p->vex->v[i];
        bool expired = s->expires && s->expires <= p->now;
        char date[TIME_TEXT];
        if (p->used[i] || s->by_policy)
            continue;
        struct str what = s->ids_n ? s->ids[0] : s->name.n ? s->name : STR("a rule");
        ret->stale[ret->stale_n++] = expired
                                         ? arena_strf(p->a, STR_FMT ": " STR_FMT " expired %.10s", STR_ARG(s->origin),
                                                      STR_ARG(what), time_format(s->expires, date))
                                         : arena_strf(p->a, STR_FMT ": " STR_FMT " is about nothing in this image",
                                                      STR_ARG(s->origin), STR_ARG(what));
    }
}

void vex_apply(struct arena *a, const struct vex *vex, const struct inventory *inv, int64_t now,
               struct finding *findings, size_t *n, struct vex_result *ret)
{
    _cleanup_(arena_freep) struct arena *scratch = arena_new((size_t)4 << 30);
    struct applying p = {.a = a, .vex = vex, .inv = inv, .now = now, .until = TIME_NEVER};
    size_t kept = 0;
    *ret = (struct vex_result){0};
    p.used = arena_array(a, vex->n + 1, sizeof(*p.used));
    index_build(a, vex, &p.index);
    ret->suppressed = arena_array(a, *n + 1, sizeof(*ret->suppressed));
    p.a = scratch; /* for what only comparing needs */
    for (size_t i = 0; i < *n; i++) {
        const struct vex_statement *s = statement_for(&p, &findings[i]);
        arena_reset(scratch);
        if (s && s->effect == VEX_IGNORE) {
            ret->suppressed[ret->suppressed_n++] = (struct vex_suppressed){findings[i], s};
            continue;
        }
        if (s)
            set_status(a, s, &findings[i]);
        findings[kept++] = findings[i];
    }
    *n = kept;
    p.a = a;
    ret->used = p.used;
    ret->until = p.until;
    tell_stale(&p, ret);
    map_free(p.index.first);
}

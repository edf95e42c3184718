#include "scan/assess.h"

#include "base/cleanup.h"
#include "base/limits.h"
#include "base/map.h"
#include "base/time.h"
#include "scan/image_config.h"
#include "scan/issue.h"

struct list {
    struct arena *a;
    struct finding *v;
    size_t n, cap;
    struct map *seen; /* "id type name version" */
};

static int worst_first(const void *x, const void *y)
{
    const struct finding *a = x, *b = y;
    if (a->severity != b->severity)
        return a->severity > b->severity ? -1 : 1;
    if (a->kev != b->kev)
        return a->kev ? -1 : 1;
    int r = str_cmp(a->id, b->id);
    if (r == 0)
        r = str_cmp(a->package->type, b->package->type);
    if (r == 0)
        r = str_cmp(a->package->name, b->package->name);
    return r ? r : str_cmp(a->package->version, b->package->version);
}

static bool is_new(struct list *l, const struct finding *f)
{
    const struct package *p = f->package;
    struct str key = arena_strf(l->a, STR_FMT "\n" STR_FMT "\n" STR_FMT "\n" STR_FMT, STR_ARG(f->id), STR_ARG(p->type),
                                STR_ARG(p->name), STR_ARG(p->version));
    if (map_has(l->seen, key))
        return false;
    map_put(l->seen, key, l->a);
    return true;
}

static int add(struct list *l, const struct finding *f, struct err *e)
{
    if (!is_new(l, f))
        return 0;
    if (l->n >= LIMIT_SCAN_FINDINGS)
        return err_set(e, E2BIG, "more than %u findings", LIMIT_SCAN_FINDINGS);
    l->v = arena_grow(l->a, l->v, l->n, &l->cap, sizeof(*l->v));
    l->v[l->n++] = *f;
    return 0;
}

static int match(struct list *l, struct intel *intel, const struct package *p, const struct os_release *os,
                 struct err *e)
{
    struct advisory *hits;
    size_t n;
    int r = intel_match(intel, l->a, p, os, &hits, &n, e);
    if (r < 0)
        return err_wrap(e, "intel: " STR_FMT, STR_ARG(p->name));
    for (size_t i = 0; i < n; i++) {
        const struct advisory *h = &hits[i];
        struct finding f = {
            .kind = FINDING_VULN,
            .id = h->id,
            .package = p,
            .severity = h->severity,
            .severity_source = h->severity_source,
            .status = h->status,
            .fixed = h->fixed,
            .published = h->published,
            .fix_published = h->fix_published,
            .cvss = h->cvss,
            .epss = h->epss,
            .kev = h->kev,
            .headers_only = h->headers_only,
            .aliases = h->aliases,
            .aliases_n = h->aliases_n,
            .title = h->title,
            .advisory = h->advisory,
            .path = p->path,
            .layer = p->layer,
        };
        if ((r = add(l, &f, e)) < 0)
            return r;
    }
    return 0;
}

static int vulns(struct list *l, const struct assess_input *in, struct assessment *as, struct err *e)
{
    const struct inventory *inv = in->inventory;
    int r = 0;
    if (!in->intel) {
        as->intel_revision = inv->intel_revision.n ? inv->intel_revision : STR("");
        as->intel_built = inv->intel_built;
        as->intel_signed = inv->intel_signed;
        for (size_t i = 0; i < inv->findings_n && r >= 0; i++)
            r = add(l, &inv->findings[i], e);
        return r;
    }
    as->intel_revision = intel_revision(in->intel);
    as->intel_built = intel_built(in->intel);
    as->intel_signed = intel_signed(in->intel);
    for (size_t i = 0; i < inv->packages_n && r >= 0; i++)
        r = match(l, in->intel, &inv->packages[i], &inv->os, e);
    return r;
}

static void layers_of(struct arena *a, const struct inventory *inv, struct image_facts *f)
{
    f->layers = arena_array(a, inv->layers_n, sizeof(struct str));
    for (size_t i = 0; i < inv->layers_n; i++) {
        f->layers[f->layers_n++] = inv->layers[i].diff_id;
        f->size += inv->layers[i].content_size;
    }
}

/* What the builder wrote down (image-spec, annotations.md). */
static void base_of(struct arena *a, const struct image_config *c, struct image_facts *f)
{
    f->base = arena_array(a, 2, sizeof(struct str));
    for (size_t i = 0; i < c->labels_n && f->base_n < 2; i++)
        if (str_eqc(c->label_keys[i], "org.opencontainers.image.base.name") ||
            str_eqc(c->label_keys[i], "org.opencontainers.image.base.digest"))
            f->base[f->base_n++] = c->label_values[i];
}

/* The statements given, and behind them those of the policies that select the image. */
struct carried {
    const struct policy_vex **v;
    size_t n, first; /* place of the first statement of v[0] */
};

static struct vex statements(struct arena *a, const struct assess_input *in, struct carried *ret)
{
    const struct inventory *inv = in->inventory;
    struct vex all = {0};
    *ret = (struct carried){0};
    ret->n = policy_vex(a, in->policy, in->names ? in->names : inv->names, in->names ? in->names_n : inv->names_n,
                        inv->image_id, &ret->v);
    if (!ret->n)
        return in->vex ? *in->vex : all;
    for (size_t i = 0; in->vex && i < in->vex->n; i++)
        *vex_add(a, &all, STR("")) = in->vex->v[i];
    ret->first = all.n;
    for (size_t i = 0; i < ret->n; i++)
        for (size_t k = 0; k < ret->v[i]->vex.n; k++)
            *vex_add(a, &all, STR("")) = ret->v[i]->vex.v[k];
    return all;
}

/* Told as exceptions are: entries of policies that expired, or are about nothing here. */
static void stale_statements(struct arena *a, const struct assess_input *in, const struct carried *c,
                             struct assessment *as)
{
    struct verdict *v = &as->verdict;
    struct stale_exception *list = arena_array(a, v->stale_n + c->n, sizeof(*list));
    size_t at = c->first;
    if (v->stale_n)
        memcpy(list, v->stale, v->stale_n * sizeof(*list));
    v->stale = list;
    for (size_t i = 0; i < c->n; i++) {
        const struct policy_vex *x = c->v[i];
        bool used = false, expired = x->expires <= in->now;
        for (size_t k = 0; k < x->vex.n; k++)
            used |= as->vex.used[at++];
        if (!used)
            list[v->stale_n++] = (struct stale_exception){.policy = x->policy,
                                                          .what = x->what,
                                                          .package = x->package,
                                                          .owner = x->owner,
                                                          .expires = x->expires,
                                                          .expired = expired,
                                                          .unused = !expired};
    }
}

int assess(struct arena *a, const struct assess_input *in, struct assessment *ret, struct err *e)
{
    const struct inventory *inv = in->inventory;
    struct assessment as = {0};
    _cleanup_(map_freep) struct map *seen = map_new(LIMIT_SCAN_FINDINGS + 1);
    struct list l = {.a = a, .seen = seen};
    int r = vulns(&l, in, &as, e);
    if (r < 0)
        return r;
    if (l.n > 1)
        qsort(l.v, l.n, sizeof(*l.v), worst_first);

    struct finding *all = arena_array(a, l.n + inv->issues_n + inv->packages_n, sizeof(*all));
    if (l.n)
        memcpy(all, l.v, l.n * sizeof(*all));
    if (inv->issues_n)
        memcpy(all + l.n, inv->issues, inv->issues_n * sizeof(*all));
    size_t at = l.n + inv->issues_n;
    struct carried c;
    struct vex vex = statements(a, in, &c);
    as.vex.until = TIME_NEVER;
    if (vex.n) {
        vex_apply(a, &vex, inv, in->now, all, &at, &as.vex);
        for (l.n = 0; l.n < at && all[l.n].kind == FINDING_VULN;)
            l.n++;
    }
    for (size_t i = 0; i < inv->packages_n; i++) {
        const struct package *p = &inv->packages[i];
        all[at + i] = (struct finding){.kind = FINDING_PACKAGE,
                                       .id = package_purl(a, p, &inv->os),
                                       .package = p,
                                       .cvss = -1,
                                       .epss = -1,
                                       .path = p->path,
                                       .layer = p->layer};
    }
    as.vulns = all;
    as.vulns_n = l.n;
    as.issues = all + l.n;
    as.issues_n = at - l.n;
    as.facts = (struct image_facts){
        .image_id = inv->image_id.p ? inv->image_id : STR(""),
        .names = in->names ? (struct str *)(uintptr_t)in->names : inv->names,
        .names_n = in->names ? in->names_n : inv->names_n,
        .os = inv->os,
        .config = inv->config,
        .findings = all,
        .findings_n = at + inv->packages_n,
        .looked_for = inv->looked_for,
        .looked_for_n = inv->looked_for_n,
        .base_layers = inv->base_layers,
        .scanned = inv->scanned,
        .intel_built = as.intel_built,
        .intel_signed = as.intel_signed,
        .incomplete = inv->incomplete,
    };
    layers_of(a, inv, &as.facts);
    base_of(a, &inv->config, &as.facts);
    struct verdict_input vi = {.facts = &as.facts,
                               .intel_revision = as.intel_revision,
                               .fail_on = in->fail_on,
                               .now = in->now,
                               .running = in->running,
                               .running_since = in->running_since};
    if ((r = policy_verdict(a, in->policy, &vi, &as.verdict, e)) < 0)
        return r;
    stale_statements(a, in, &c, &as);
    if (as.vex.until < as.verdict.valid_until)
        as.verdict.valid_until = as.vex.until;
    *ret = as;
    return 0;
}

static void put_instant(struct json_writer *w, const char *key, int64_t t)
{
    char text[TIME_TEXT];
    json_w_kstr(w, key, t ? str_c(time_format(t, text)) : STR_NONE);
}

static void put_number(struct json_writer *w, const char *key, double v)
{
    json_w_key(w, key);
    if (v < 0)
        json_w_null(w);
    else
        json_w_double(w, v);
}

static void finding_write(struct json_writer *w, struct arena *a, const struct finding *f, const struct os_release *os)
{
    const struct package *p = f->package;
    json_w_object(w);
    json_w_kstrz(w, "kind", "vuln");
    json_w_kstr(w, "id", f->id);
    json_w_kstrz(w, "severity", vuln_severity_name(f->severity));
    json_w_kstr(w, "severity_source", f->severity_source.n ? f->severity_source : STR_NONE);
    json_w_kstrz(w, "status", vuln_status_name(f->status));
    json_w_kstr(w, "fixed", f->fixed.n ? f->fixed : STR_NONE);
    json_w_kobject(w, "package");
    json_w_kstr(w, "type", p->type);
    json_w_kstr(w, "name", p->name);
    json_w_kstr(w, "version", p->version);
    json_w_kstr(w, "arch", p->arch.p ? p->arch : STR(""));
    json_w_kstr(w, "purl", package_purl(a, p, os));
    json_w_end(w);
    json_w_kbool(w, "kev", f->kev);
    json_w_kbool(w, "headers_only", f->headers_only);
    put_number(w, "cvss", f->cvss);
    put_number(w, "epss", f->epss);
    put_instant(w, "published", f->published);
    put_instant(w, "fix_published", f->fix_published);
    scan_strings_write(w, "aliases", f->aliases, f->aliases_n);
    json_w_kstr(w, "title", f->title.n ? f->title : STR_NONE);
    json_w_kstr(w, "advisory", f->advisory.n ? f->advisory : STR_NONE);
    if (f->vex.n)
        json_w_kstr(w, "vex", f->vex);
    json_w_end(w);
}

static void suppressed_write(struct json_writer *w, const struct assessment *as)
{
    if (as->vex.suppressed_n)
        json_w_karray(w, "suppressed");
    for (size_t i = 0; i < as->vex.suppressed_n; i++) {
        const struct vex_suppressed *s = &as->vex.suppressed[i];
        const struct package *p = s->finding.package;
        json_w_object(w);
        json_w_kstrz(w, "kind", finding_kind_name(s->finding.kind));
        json_w_kstr(w, "id", s->finding.id);
        json_w_kstrz(w, "severity", vuln_severity_name(s->finding.severity));
        json_w_kstr(w, "package", p ? p->name : STR_NONE);
        json_w_kstr(w, "version", p ? p->version : STR_NONE);
        json_w_kstr(w, "path", s->finding.path.n ? s->finding.path : STR_NONE);
        json_w_kstr(w, "by", s->by->origin);
        json_w_kstr(w, "note", s->by->note.n ? s->by->note : STR_NONE);
        json_w_end(w);
    }
    if (as->vex.suppressed_n)
        json_w_end(w);
    if (as->vex.stale_n)
        scan_strings_write(w, "stale", as->vex.stale, as->vex.stale_n);
}

void assess_write(struct json_writer *w, const struct inventory *inv, const struct assessment *as)
{
    _cleanup_(arena_freep) struct arena *a = arena_new(64u << 20);
    json_w_object(w);
    inventory_write(w, inv);
    json_w_key(w, "intel");
    if (as->intel_revision.n) {
        json_w_object(w);
        json_w_kstr(w, "revision", as->intel_revision);
        put_instant(w, "built", as->intel_built);
        json_w_kbool(w, "signed", as->intel_signed);
        json_w_end(w);
    } else {
        json_w_null(w);
    }
    json_w_karray(w, "findings");
    for (size_t i = 0; i < as->vulns_n; i++) {
        finding_write(w, a, &as->vulns[i], &inv->os);
        arena_reset(a);
    }
    for (size_t i = 0; i < as->issues_n; i++)
        issue_write(w, &as->issues[i]);
    json_w_end(w);
    suppressed_write(w, as);
    json_w_key(w, "verdict");
    verdict_write(w, &as->verdict);
    json_w_end(w);
}

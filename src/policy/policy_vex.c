/* `vex` of an ImagePolicy: statements about vulnerabilities, written out or as a document of somebody else. */
#include "base/cleanup.h"
#include "base/time.h"
#include "format/json.h"
#include "policy/policy_internal.h"

static int read_statement(struct reading *r, const struct yml *v, const char *where, struct policy_vex *x)
{
    static const char *const known[] = {"finding", "status", "package", "justification",
                                        "note",    "owner",  "expires", NULL};
    static const char *const statuses[] = {"not_affected", "fixed", "affected", "under_investigation", NULL};
    static const enum vuln_status means[] = {VULN_NOT_AFFECTED, VULN_FIXED, VULN_AFFECTED, VULN_UNDER_INVESTIGATION};
    struct vex_statement *s = vex_add(r->a, &x->vex, STR(""));
    struct str *id = arena_array(r->a, 1, sizeof(*id));
    char at[60];
    int choice, rc = read_map(r, v, where, known);
    const struct {
        const char *key;
        struct str *to;
    } texts[] = {{"finding", id}, {"package", &x->package}, {"justification", &s->justification}, {"note", &s->note}};
    if (rc < 0)
        return rc;
    if (!yml_get(v, "finding") || !yml_get(v, "status"))
        return read_fail(r, v, "%s: a statement names finding, status, owner and expires", where);
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        const struct yml *t = yml_get(v, texts[i].key);
        snprintf(at, sizeof(at), "%s.%s", where, texts[i].key);
        if (t && (rc = read_text(r, t, at, texts[i].to)) < 0)
            return rc;
    }
    snprintf(at, sizeof(at), "%s.status", where);
    if ((rc = read_choice(r, yml_get(v, "status"), at, statuses, &choice)) < 0)
        return rc;
    s->status = means[choice];
    if (s->status == VULN_NOT_AFFECTED && !s->justification.n && !s->note.n)
        return read_fail(r, v, "%s: not_affected needs a justification or a note: why is it not?", where);
    s->ids = id;
    s->ids_n = 1;
    if (str_starts(x->package, STR("pkg:")))
        s->product = x->package;
    else
        s->name = x->package;
    x->what = *id;
    return 0;
}

static int read_document(struct reading *r, const struct yml *v, const char *where, struct policy_vex *x)
{
    static const char *const known[] = {"document", "owner", "expires", NULL};
    struct str text;
    struct err e = ERR_INIT;
    char at[60];
    int rc = read_map(r, v, where, known);
    snprintf(at, sizeof(at), "%s.document", where);
    if (rc < 0 || (rc = read_text(r, yml_get(v, "document"), at, &text)) < 0)
        return rc;
    if (vex_parse(r->a, STR(""), text, &x->vex, &e) < 0)
        return read_fail(r, yml_get(v, "document"), "%s: %s", at, e.msg);
    x->what = x->vex.n && x->vex.v[0].ids_n ? arena_strf(r->a, "VEX document on " STR_FMT "%s",
                                                         STR_ARG(x->vex.v[0].ids[0]), x->vex.n > 1 ? " and others" : "")
                                            : STR("VEX document");
    return 0;
}

static int read_one(struct reading *r, const struct yml *v, const char *where, struct policy_vex *x)
{
    struct str date;
    char at[60];
    *x = (struct policy_vex){.policy = r->name, .package = STR("")};
    int rc = v->kind != YML_MAP       ? read_fail(r, v, "%s: expected a statement or a document", where)
             : yml_get(v, "document") ? read_document(r, v, where, x)
                                      : read_statement(r, v, where, x);
    if (rc < 0)
        return rc;
    if (!yml_get(v, "owner") || !yml_get(v, "expires"))
        return read_fail(r, v, "%s: names no owner or no expires; statements rot, so somebody looks again", where);
    snprintf(at, sizeof(at), "%s.owner", where);
    if ((rc = read_text(r, yml_get(v, "owner"), at, &x->owner)) < 0)
        return rc;
    snprintf(at, sizeof(at), "%s.expires", where);
    if ((rc = read_text(r, yml_get(v, "expires"), at, &date)) < 0)
        return rc;
    if (time_parse(date, &x->expires) < 0)
        return read_fail(r, yml_get(v, "expires"), "%s: expected a date like 2027-01-31 or an instant", at);
    for (size_t i = 0; i < x->vex.n; i++) {
        struct vex_statement *s = &x->vex.v[i];
        s->origin = arena_strf(r->a, "policy " STR_FMT ", " STR_FMT, STR_ARG(r->name), STR_ARG(x->owner));
        s->by_policy = true;
        s->expires = s->expires && s->expires < x->expires ? s->expires : x->expires;
    }
    return 0;
}

int image_vex_read(struct reading *r, const struct yml *list, struct image_policy *p)
{
    char at[40];
    int rc;
    if (list && list->kind != YML_LIST)
        return read_fail(r, list, "vex: expected a list of statements and documents");
    p->vex = arena_array(r->a, list ? list->count : 0, sizeof(*p->vex));
    YML_EACH(list, it)
    {
        snprintf(at, sizeof(at), "vex[%zu]", p->vex_n);
        if ((rc = read_one(r, it, at, &p->vex[p->vex_n])) < 0)
            return rc;
        p->vex_n++;
    }
    return 0;
}

size_t policy_vex(struct arena *a, const struct policy_set *s, const struct str *names, size_t names_n,
                  struct str image_id, const struct policy_vex ***ret)
{
    const struct policy_vex **v = NULL;
    size_t n = 0, cap = 0;
    for (size_t i = 0; s && i < s->images_n; i++) {
        const struct image_policy *p = &s->images[i];
        if (p->select.images.given && !select_images(&p->select.images, names, names_n, image_id))
            continue;
        for (size_t k = 0; k < p->vex_n; k++) {
            v = arena_grow(a, v, n, &cap, sizeof(*v));
            v[n++] = &p->vex[k];
        }
    }
    *ret = v;
    return n;
}

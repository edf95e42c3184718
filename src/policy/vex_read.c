/* The three formats of VEX. OpenVEX: https://github.com/openvex/spec; CSAF 2.0 profile 5; CycloneDX: vulnerabilities
 * with an analysis. */
#include "base/cleanup.h"
#include "base/map.h"
#include "format/json.h"
#include "format/purl.h"
#include "policy/vex.h"

struct vex_statement *vex_add(struct arena *a, struct vex *vex, struct str origin)
{
    vex->v = arena_grow(a, vex->v, vex->n, &vex->cap, sizeof(*vex->v));
    struct vex_statement *s = &vex->v[vex->n++];
    *s = (struct vex_statement){.origin = origin, .kind = FINDING_VULN};
    return s;
}

struct reading {
    struct arena *a;
    struct str origin;
    struct vex *vex;
};

static struct vex_statement *begin(struct reading *r, struct err *e)
{
    if (r->vex->n < LIMIT_VEX_STATEMENTS)
        return vex_add(r->a, r->vex, r->origin);
    err_set(e, E2BIG, "more than %d statements", LIMIT_VEX_STATEMENTS);
    return NULL;
}

static size_t strings(struct arena *a, const struct json_value *list, struct str **ret)
{
    size_t n = 0;
    struct str *v = arena_array(a, list ? list->count + 1 : 1, sizeof(*v));
    JSON_EACH (list && list->type == JSON_ARRAY ? list : NULL, it)
        if (json_str(it).n)
            v[n++] = json_str(it);
    *ret = v;
    return n;
}

/* ---- OpenVEX ---- */

/* A product or subcomponent: {"@id": ..., "identifiers": {"purl": ...}}, in old documents a string. */
static struct str component_id(const struct json_value *v)
{
    struct str purl = json_str(json_path(v, "identifiers.purl")), id = json_str(json_get(v, "@id"));
    return purl.n ? purl : id.n ? id : json_str(v);
}

static size_t openvex_ids(struct arena *a, const struct json_value *statement, struct str **ret)
{
    const struct json_value *v = json_get(statement, "vulnerability");
    const struct json_value *aliases = json_get(v, "aliases");
    struct str name = json_str(json_get(v, "name")), id = json_str(json_get(v, "@id"));
    struct str *ids = NULL;
    size_t n = strings(a, aliases, &ids), total = 0;
    struct str *all = arena_array(a, n + 3, sizeof(*all));
    if (json_str(v).n) /* documents before 0.2.0 */
        all[total++] = json_str(v);
    if (name.n)
        all[total++] = name;
    else if (id.n)
        all[total++] = str_sub(id, (size_t)(str_rchr(id, '/') + 1), id.n);
    for (size_t i = 0; i < n; i++)
        all[total++] = ids[i];
    *ret = all;
    return total;
}

static int openvex_statement(struct reading *r, const struct json_value *v, struct err *e)
{
    struct arena *a = r->a;
    struct vex_statement base = {.origin = r->origin, .kind = FINDING_VULN};
    base.ids_n = openvex_ids(a, v, &base.ids);
    base.justification = json_str(json_get(v, "justification"));
    base.note = json_str(json_get(v, "impact_statement"));
    if (!base.note.n)
        base.note = json_str(json_get(v, "action_statement"));
    if (!base.ids_n)
        return err_set(e, EBADMSG, "a statement without a vulnerability");
    if (vuln_status_parse(json_str(json_get(v, "status")), &base.status) < 0)
        return err_set(e, EBADMSG, "a statement on " STR_FMT " with the status \"" STR_FMT "\"", STR_ARG(base.ids[0]),
                       STR_ARG(json_str(json_get(v, "status"))));
    const struct json_value *products = json_get(v, "products");
    size_t n = 0;
    JSON_EACH (products, product) {
        struct vex_statement *s = begin(r, e);
        if (!s)
            return -E2BIG;
        *s = base;
        s->product = component_id(product);
        const struct json_value *parts = json_get(product, "subcomponents");
        parts = parts ? parts : json_get(v, "subcomponents");
        s->components = arena_array(a, parts ? parts->count + 1 : 1, sizeof(*s->components));
        JSON_EACH (parts, part)
            s->components[s->components_n++] = component_id(part);
        n++;
    }
    if (!n) { /* about whatever the document is about */
        struct vex_statement *s = begin(r, e);
        if (!s)
            return -E2BIG;
        *s = base;
    }
    return 0;
}

static int openvex(struct reading *r, const struct json_value *doc, struct err *e)
{
    JSON_EACH (json_get(doc, "statements"), it) {
        int q = openvex_statement(r, it, e);
        if (q < 0)
            return q;
    }
    return 0;
}

/* ---- CSAF ---- */

struct csaf_product {
    struct str purl, component, platform; /* the last two: product ids of a relationship */
};

static void csaf_product(struct reading *r, struct map *products, const struct json_value *v)
{
    struct str id = json_str(json_get(v, "product_id"));
    struct str purl = json_str(json_path(v, "product_identification_helper.purl"));
    if (!id.n || map_count(products) >= LIMIT_VEX_STATEMENTS)
        return;
    struct csaf_product *p = map_get(products, id);
    if (!p) {
        p = arena_new_of(r->a, struct csaf_product);
        map_put(products, id, p);
    }
    if (purl.n)
        p->purl = purl;
}

static void csaf_branches(struct reading *r, struct map *products, const struct json_value *list)
{
    JSON_EACH (list, it) { /* as deep as the JSON, which is capped */
        csaf_product(r, products, json_get(it, "product"));
        csaf_branches(r, products, json_get(it, "branches"));
    }
}

static struct map *csaf_products(struct reading *r, const struct json_value *tree)
{
    struct map *products = map_new(LIMIT_VEX_STATEMENTS + 1);
    csaf_branches(r, products, json_get(tree, "branches"));
    JSON_EACH (json_get(tree, "full_product_names"), it)
        csaf_product(r, products, it);
    JSON_EACH (json_get(tree, "relationships"), it) {
        csaf_product(r, products, json_get(it, "full_product_name"));
        struct csaf_product *p = map_get(products, json_str(json_path(it, "full_product_name.product_id")));
        if (p) {
            p->component = json_str(json_get(it, "product_reference"));
            p->platform = json_str(json_get(it, "relates_to_product_reference"));
        }
    }
    return products;
}

static struct str csaf_flag(const struct json_value *vuln, struct str product)
{
    JSON_EACH (json_get(vuln, "flags"), flag) {
        const struct json_value *ids = json_get(flag, "product_ids");
        bool about = !ids || !ids->count;
        JSON_EACH (ids, id)
            about = about || str_eq(json_str(id), product);
        if (about)
            return json_str(json_get(flag, "label"));
    }
    return STR_NONE;
}

static struct str csaf_impact(const struct json_value *vuln)
{
    JSON_EACH (json_get(vuln, "threats"), it)
        if (str_eqc(json_str(json_get(it, "category")), "impact"))
            return json_str(json_get(it, "details"));
    return STR_NONE;
}

static int csaf_status(struct reading *r, const struct map *products, const struct json_value *vuln,
                       const struct json_value *list, enum vuln_status status, struct err *e)
{
    struct str *ids = arena_array(r->a, 1, sizeof(*ids));
    ids[0] = json_str(json_get(vuln, "cve"));
    if (!ids[0].n)
        ids[0] = json_str(json_path(vuln, "ids.text"));
    JSON_EACH (ids[0].n ? list : NULL, it) {
        const struct csaf_product *p = map_get(products, json_str(it));
        const struct csaf_product *component = p && p->component.n ? map_get(products, p->component) : NULL;
        const struct csaf_product *platform = p && p->platform.n ? map_get(products, p->platform) : NULL;
        struct str purl = component && component->purl.n ? component->purl : p ? p->purl : STR_NONE;
        if (!purl.n) /* nothing by which it could be known */
            continue;
        struct vex_statement *s = begin(r, e);
        if (!s)
            return -E2BIG;
        s->ids = ids;
        s->ids_n = 1;
        s->status = status;
        s->justification = csaf_flag(vuln, json_str(it));
        s->note = csaf_impact(vuln);
        s->product = purl;
        if (platform && platform->purl.n) {
            s->product = platform->purl;
            s->components = arena_array(r->a, 1, sizeof(*s->components));
            s->components[s->components_n++] = purl;
        }
    }
    return 0;
}

static int csaf(struct reading *r, const struct json_value *doc, struct err *e)
{
    static const struct {
        const char *key;
        enum vuln_status status;
    } lists[] = {{"known_not_affected", VULN_NOT_AFFECTED},
                 {"fixed", VULN_FIXED},
                 {"known_affected", VULN_AFFECTED},
                 {"under_investigation", VULN_UNDER_INVESTIGATION}};
    _cleanup_(map_freep) struct map *products = csaf_products(r, json_get(doc, "product_tree"));
    int q = 0;
    JSON_EACH (json_get(doc, "vulnerabilities"), vuln)
        for (size_t i = 0; i < ARRAY_LEN(lists) && q == 0; i++)
            q = csaf_status(r, products, vuln, json_get(json_get(vuln, "product_status"), lists[i].key),
                            lists[i].status, e);
    return q;
}

/* ---- CycloneDX ---- */

static void cyclonedx_components(struct reading *r, struct map *refs, const struct json_value *list)
{
    JSON_EACH (list, it) { /* as deep as the JSON, which is capped */
        struct str ref = json_str(json_get(it, "bom-ref")), purl = json_str(json_get(it, "purl"));
        if (ref.n && purl.n && map_count(refs) < LIMIT_VEX_STATEMENTS) {
            struct str *copy = arena_new_of(r->a, struct str);
            *copy = purl;
            map_put(refs, ref, copy);
        }
        cyclonedx_components(r, refs, json_get(it, "components"));
    }
}

/* "urn:cdx:SERIAL/VERSION#REF"; REF may be a package URL, also percent-encoded */
static struct str cyclonedx_ref(struct reading *r, const struct map *refs, struct str ref)
{
    const struct str *known = map_get(refs, ref);
    if (known)
        return *known;
    ptrdiff_t hash = str_starts(ref, STR("urn:cdx:")) ? str_chr(ref, '#') : -1;
    if (hash >= 0)
        ref = str_sub(ref, (size_t)hash + 1, ref.n);
    known = map_get(refs, ref);
    if (!known && str_starts(ref, STR("pkg%3A"))) {
        struct purl p; /* decodes */
        struct str text = arena_strf(r->a, "pkg:x/" STR_FMT, STR_ARG(ref));
        if (purl_parse(r->a, text, &p) == 0)
            return p.name;
    }
    return known ? *known : ref;
}

static bool cyclonedx_state(struct str state, enum vuln_status *ret)
{
    static const struct {
        const char *state;
        enum vuln_status status;
    } states[] = {{"resolved", VULN_FIXED},
                  {"resolved_with_pedigree", VULN_FIXED},
                  {"exploitable", VULN_AFFECTED},
                  {"in_triage", VULN_UNDER_INVESTIGATION},
                  {"false_positive", VULN_NOT_AFFECTED},
                  {"not_affected", VULN_NOT_AFFECTED}};
    for (size_t i = 0; i < ARRAY_LEN(states); i++)
        if (str_eqc(state, states[i].state)) {
            *ret = states[i].status;
            return true;
        }
    return false;
}

static int cyclonedx(struct reading *r, const struct json_value *doc, struct err *e)
{
    _cleanup_(map_freep) struct map *refs = map_new(LIMIT_VEX_STATEMENTS + 1);
    struct str image = json_str(json_path(doc, "metadata.component.purl"));
    struct str root = json_str(json_path(doc, "metadata.component.bom-ref"));
    cyclonedx_components(r, refs, json_get(doc, "components"));
    JSON_EACH (json_get(doc, "vulnerabilities"), vuln) {
        const struct json_value *analysis = json_get(vuln, "analysis"), *affects = json_get(vuln, "affects");
        struct str *ids = arena_array(r->a, 1, sizeof(*ids));
        enum vuln_status status;
        ids[0] = json_str(json_get(vuln, "id"));
        if (!ids[0].n || !cyclonedx_state(json_str(json_get(analysis, "state")), &status))
            continue; /* without an analysis it is a finding, not a statement */
        size_t n = 0;
        JSON_EACH (affects, it) {
            struct str ref = json_str(json_get(it, "ref"));
            struct vex_statement *s = begin(r, e);
            if (!s)
                return -E2BIG;
            s->ids = ids;
            s->ids_n = 1;
            s->status = status;
            s->justification = json_str(json_get(analysis, "justification"));
            s->note = json_str(json_get(analysis, "detail"));
            s->product = root.n && str_eq(ref, root) ? image : cyclonedx_ref(r, refs, ref);
            n++;
        }
        if (!n) {
            struct vex_statement *s = begin(r, e);
            if (!s)
                return -E2BIG;
            s->ids = ids;
            s->ids_n = 1;
            s->status = status;
            s->product = image;
        }
    }
    return 0;
}

int vex_parse(struct arena *a, struct str origin, struct str text, struct vex *ret, struct err *e)
{
    struct json_value *doc;
    struct reading r = {a, arena_str(a, origin), ret};
    int q = json_parse(a, text, 0, &doc, e);
    if (q < 0)
        return q;
    if (str_starts(json_str(json_get(doc, "@context")), STR("https://openvex.dev/")))
        return openvex(&r, doc, e);
    if (json_path(doc, "document.csaf_version"))
        return csaf(&r, doc, e);
    if (str_eqc(json_str(json_get(doc, "bomFormat")), "CycloneDX"))
        return cyclonedx(&r, doc, e);
    return err_set(e, EBADMSG, "not a VEX document: expected OpenVEX, CSAF or CycloneDX");
}

/* CSAF 2.0 (https://docs.oasis-open.org/csaf/csaf/v2.0/): advisories and VEX of Red Hat and SUSE. A product of the
 * status lists is a relationship: a component (with a purl, or a name-version) as part of a platform (with a CPE). */
#include "base/cleanup.h"
#include "base/map.h"
#include "format/purl.h"
#include "intel/feed.h"
#include "intel/oval.h"
#include "intel/redhat.h"

enum { PRODUCTS_MAX = 500000, BRANCH_DEPTH = LIMIT_JSON_DEPTH };

struct product {
    struct str space; /* of a platform */
    const char *feed;
    struct purl purl; /* of a component */
    bool has_purl;
    const struct product *component, *platform; /* of a relationship */
};

struct csaf {
    struct feed *f;
    struct map *products; /* product_id -> struct product */
    struct map *statuses; /* product_id -> the word on why it has no fix */
    const char *feed;
};

static struct product *product_of(struct csaf *c, struct str id)
{
    struct product *p = map_get(c->products, id);
    if (p || !id.n || map_count(c->products) >= PRODUCTS_MAX)
        return p;
    p = arena_new_of(c->f->a, struct product);
    map_put(c->products, id, p);
    return p;
}

static void take_product(struct csaf *c, const struct json_value *v)
{
    struct arena *a = c->f->a;
    struct product *p = product_of(c, json_str(json_get(v, "product_id")));
    struct str cpe = json_str(json_path(v, "product_identification_helper.cpe"));
    struct str purl = json_str(json_path(v, "product_identification_helper.purl"));
    if (!p)
        return;
    if (purl.n && purl_parse(a, purl, &p->purl) == 0)
        p->has_purl = true;
    if (!cpe.n)
        return;
    p->space = redhat_space(a, cpe);
    p->feed = "redhat";
    if (!p->space.n) {
        enum version_scheme scheme;
        p->space = oval_space(a, json_str(json_get(v, "name")), &scheme, &p->feed);
    }
}

static void take_branches(struct csaf *c, const struct json_value *list)
{
    JSON_EACH (list, branch) { /* as deep as the JSON, which is capped */
        const struct json_value *product = json_get(branch, "product");
        if (product && product->type == JSON_OBJECT)
            take_product(c, product);
        take_branches(c, json_get(branch, "branches"));
    }
}

static void take_relationships(struct csaf *c, const struct json_value *list)
{
    JSON_EACH (list, it) {
        struct product *p = product_of(c, json_str(json_path(it, "full_product_name.product_id")));
        if (!p)
            continue;
        p->component = map_get(c->products, json_str(json_get(it, "product_reference")));
        p->platform = map_get(c->products, json_str(json_get(it, "relates_to_product_reference")));
        take_product(c, json_get(it, "full_product_name")); /* newer files name the purl here too */
    }
}

static bool is_debug(struct str name)
{
    return str_ends(name, STR("-debuginfo")) || str_ends(name, STR("-debugsource"));
}

/* The rows' name: "module:stream::name"; "src:name" for what is told by source only. */
static struct str row_name(struct arena *a, const struct purl *p, struct str product_id)
{
    struct str module = purl_qualifier(p, "rpmmod"), name, stream;
    bool source = str_eqc(purl_qualifier(p, "arch"), "src");
    ptrdiff_t at = str_find(product_id, STR("::")); /* "PRODUCT:name-0:1-2.arch::module:stream" */
    if (!module.n && at >= 0)
        module = str_sub(product_id, (size_t)at + 2, product_id.n);
    if (module.n && str_cut(&module, ':', &name) && str_cut(&module, ':', &stream))
        return arena_strf(a, STR_FMT ":" STR_FMT "::%s" STR_FMT, STR_ARG(name), STR_ARG(stream), source ? "src:" : "",
                          STR_ARG(p->name));

    return source ? arena_strf(a, "src:" STR_FMT, STR_ARG(p->name)) : p->name;
}

/* "1:3.0.7-27.el9" of a purl with its epoch as a qualifier */
static struct str evr(struct arena *a, const struct purl *p)
{
    struct str epoch = purl_qualifier(p, "epoch");
    return epoch.n && !str_eqc(epoch, "0") ? arena_strf(a, STR_FMT ":" STR_FMT, STR_ARG(epoch), STR_ARG(p->version))
                                           : p->version;
}

/* Of what is told of binary packages too, the source package says nothing more. */
static bool has_binaries(const struct csaf *c, const struct json_value *list, struct str space)
{
    JSON_EACH (list, it) {
        const struct product *p = map_get(c->products, json_str(it));
        if (p && p->platform && str_eq(p->platform->space, space) && p->component && p->component->has_purl &&
            !str_eqc(purl_qualifier(&p->component->purl, "arch"), "src") && !is_debug(p->component->purl.name))
            return true;
    }
    return false;
}

static void take_status_list(struct csaf *c, struct str id, const struct json_value *list, enum vuln_status status,
                             enum vuln_severity severity)
{
    struct arena *a = c->f->a;
    struct str last_space = STR_NONE;
    bool binaries = false;
    JSON_EACH (list, it) {
        const struct product *p = map_get(c->products, json_str(it));
        const struct product *component = p && p->component ? p->component : p;
        const struct product *platform = p ? p->platform : NULL;
        if (!platform || !platform->space.n)
            continue;
        const struct purl *purl = component && component->has_purl ? &component->purl : p->has_purl ? &p->purl : NULL;
        if (!purl || !str_eqc(purl->type, "rpm") || is_debug(purl->name))
            continue;
        bool source = str_eqc(purl_qualifier(purl, "arch"), "src");
        if (!last_space.n || !str_eq(last_space, platform->space)) {
            last_space = platform->space;
            binaries = has_binaries(c, list, last_space);
        }
        if (source && binaries)
            continue;
        struct str category = str_c(map_get(c->statuses, json_str(it)));
        struct feed_row row = {.feed = platform->feed,
                               .space = platform->space,
                               .name = row_name(a, purl, json_str(it)),
                               .id = id,
                               .scheme = VERSION_RPM,
                               .status = status,
                               .severity = severity};
        if (status == VULN_FIXED)
            row.fixed = evr(a, purl);
        else if (status == VULN_AFFECTED && category.n)
            row.status = str_eqc(category, "Will not fix")           ? VULN_WILL_NOT_FIX
                         : str_eqc(category, "Fix deferred")         ? VULN_FIX_DEFERRED
                         : str_eqc(category, "Out of support scope") ? VULN_END_OF_LIFE
                                                                     : VULN_AFFECTED;
        if (status == VULN_FIXED && !row.fixed.n)
            continue;
        c->feed = platform->feed;
        feed_row(c->f, &row);
    }
}

/* Why there is no fix: no_fix_planned and none_available, in the words of their details. */
static void take_remediations(struct csaf *c, const struct json_value *list)
{
    static const char *const words[] = {"Will not fix", "Fix deferred", "Out of support scope", "Affected"};
    JSON_EACH (list, it) {
        struct str category = json_str(json_get(it, "category")), details = json_str(json_get(it, "details"));
        const char *word = str_eqc(category, "no_fix_planned") ? words[0] : NULL;
        if (!word && !str_eqc(category, "none_available"))
            continue;
        for (size_t i = 0; i < ARRAY_LEN(words); i++)
            if (str_ieq(details, str_c(words[i])))
                word = words[i];
        JSON_EACH (json_get(it, "product_ids"), id)
            if (word && map_count(c->statuses) < PRODUCTS_MAX)
                map_put(c->statuses, json_str(id), (void *)(uintptr_t)word);
    }
}

static void take_score(const struct json_value *list, struct feed_vuln *v)
{
    JSON_EACH (list, it) {
        const struct json_value *s = json_get(it, "cvss_v4");
        s = s ? s : json_get(it, "cvss_v3");
        s = s ? s : json_get(it, "cvss_v2");
        double score = json_double(json_get(s, "baseScore"), -1);
        if (score < 0 || v->cvss >= 0)
            continue;
        v->cvss = score;
        v->vector = json_str(json_get(s, "vectorString"));
    }
}

static enum vuln_severity impact(const struct json_value *vuln, const struct json_value *doc)
{
    JSON_EACH (json_get(vuln, "threats"), it)
        if (str_eqc(json_str(json_get(it, "category")), "impact"))
            return feed_severity(json_str(json_get(it, "details")));
    return feed_severity(json_str(json_path(doc, "document.aggregate_severity.text")));
}

static void take_vulnerability(struct csaf *c, const struct json_value *doc, const struct json_value *v)
{
    static const struct {
        const char *key;
        enum vuln_status status;
    } lists[] = {{"fixed", VULN_FIXED},
                 {"first_fixed", VULN_FIXED},
                 {"recommended", VULN_FIXED},
                 {"known_affected", VULN_AFFECTED},
                 {"under_investigation", VULN_UNDER_INVESTIGATION}};
    struct str id = json_str(json_get(v, "cve"));
    const struct json_value *status = json_get(v, "product_status");
    if (!feed_is_cve(id))
        return;
    _cleanup_(map_freep) struct map *statuses = map_new(PRODUCTS_MAX + 1);
    c->statuses = statuses;
    take_remediations(c, json_get(v, "remediations"));
    for (size_t i = 0; i < ARRAY_LEN(lists); i++)
        take_status_list(c, id, json_get(status, lists[i].key), lists[i].status, impact(v, doc));
    struct feed_vuln vuln = {.feed = c->feed,
                             .id = id,
                             .cvss = -1,
                             .published = feed_date(c->f->a, json_str(json_get(v, "release_date"))),
                             .title = json_str(json_get(v, "title"))};
    if (!vuln.title.n && str_eqc(json_str(json_path(doc, "document.category")), "csaf_vex"))
        vuln.title = json_str(json_path(doc, "document.title"));
    take_score(json_get(v, "scores"), &vuln);
    if (c->feed[0])
        feed_vuln(c->f, &vuln);
}

int feed_csaf(struct feed *f, struct err *e)
{
    struct json_value *doc;
    int r = feed_json_read(f, &doc, e);
    if (r < 0)
        return r;
    _cleanup_(map_freep) struct map *products = map_new(PRODUCTS_MAX + 1);
    bool suse = str_has(json_str(json_path(doc, "document.publisher.name")), STR("SUSE"));
    struct csaf c = {.f = f, .products = products, .feed = suse ? "suse" : "redhat"};
    const struct json_value *tree = json_get(doc, "product_tree");
    take_branches(&c, json_get(tree, "branches"));
    take_relationships(&c, json_get(tree, "relationships"));
    feed_saw_date(f, feed_date(f->a, json_str(json_path(doc, "document.tracking.current_release_date"))));
    JSON_EACH (json_get(doc, "vulnerabilities"), v)
        take_vulnerability(&c, doc, v);
    return f->w->code;
}

/* ---- https://access.redhat.com/hydra/rest/securitydata/cve/CVE.json ---- */

static struct str nvr_version(struct str package, struct str *name)
{
    ptrdiff_t colon = str_chr(package, ':');
    struct str head = colon < 0 ? package : str_sub(package, 0, (size_t)colon);
    ptrdiff_t dash = str_rchr(head, '-');
    if (colon < 0) { /* name-version-release */
        dash = dash > 0 ? str_rchr(str_sub(head, 0, (size_t)dash), '-') : -1;
    }
    if (dash <= 0)
        return STR_NONE;
    *name = str_sub(package, 0, (size_t)dash);
    return str_sub(package, (size_t)dash + 1, package.n);
}

static enum vuln_status fix_state(struct str s)
{
    return str_ieq(s, STR("Will not fix"))           ? VULN_WILL_NOT_FIX
           : str_ieq(s, STR("Fix deferred"))         ? VULN_FIX_DEFERRED
           : str_ieq(s, STR("Out of support scope")) ? VULN_END_OF_LIFE
           : str_ieq(s, STR("Not affected"))         ? VULN_NOT_AFFECTED
           : str_ieq(s, STR("Under investigation"))  ? VULN_UNDER_INVESTIGATION
                                                     : VULN_AFFECTED;
}

int feed_redhat_api(struct feed *f, struct err *e)
{
    struct json_value *doc;
    struct arena *a = f->a;
    int r = feed_json_read(f, &doc, e);
    if (r < 0)
        return r;
    struct str id = json_str(json_get(doc, "name"));
    struct feed_row row = {.feed = "redhat", .id = id, .scheme = VERSION_RPM};
    row.severity = feed_severity(json_str(json_get(doc, "threat_severity")));
    if (!feed_is_cve(id))
        return err_set(e, EBADMSG, "no CVE id");
    /* packages are named by their source here */
    JSON_EACH (json_get(doc, "affected_release"), it) {
        struct str name = STR_NONE;
        row.space = redhat_space(a, json_str(json_get(it, "cpe")));
        row.fixed = nvr_version(json_str(json_get(it, "package")), &name);
        row.status = VULN_FIXED;
        row.name = arena_strf(a, "src:" STR_FMT, STR_ARG(name));
        if (row.space.n && row.fixed.n)
            feed_row(f, &row);
    }
    row.fixed = STR_NONE;
    JSON_EACH (json_get(doc, "package_state"), it) {
        row.space = redhat_space(a, json_str(json_get(it, "cpe")));
        row.status = fix_state(json_str(json_get(it, "fix_state")));
        row.name = arena_strf(a, "src:" STR_FMT, STR_ARG(json_str(json_get(it, "package_name"))));
        if (row.space.n && row.status != VULN_NOT_AFFECTED && row.name.n > 4)
            feed_row(f, &row);
    }
    struct feed_vuln v = {.feed = "redhat", .id = id, .title = json_str(json_path(doc, "bugzilla.description"))};
    v.cvss = -1;
    if (str_double(json_str(json_path(doc, "cvss3.cvss3_base_score")), &v.cvss) < 0)
        v.cvss = -1;
    v.vector = json_str(json_path(doc, "cvss3.cvss3_scoring_vector"));
    v.published = feed_date(a, json_str(json_get(doc, "public_date")));
    feed_vuln(f, &v);
    return f->w->code;
}

/* Advisories of language ecosystems in formats of their own: ruby-advisory-db and FriendsOfPHP (YAML), RustSec (TOML in
 * Markdown), Node.js' security working group and retire.js (JSON). What they say in requirements is kept as such
 * (ranges.h). Their severities are vendors' words or CVSS. */
#include "intel/feed_language.h"
#include "base/cleanup.h"
#include "intel/cvss.h"
#include "intel/ecosystem.h"
#include "intel/feed.h"

static void add_ids(struct arena *a, const struct json_value *v, const char *prefix, struct str *ids, size_t *n)
{
    struct str s = json_str(v);
    if (s.n && *n < FEED_ALIASES_MAX)
        ids[(*n)++] = str_starts(s, str_c(prefix)) ? s : arena_strf(a, "%s" STR_FMT, prefix, STR_ARG(s));
}

void feed_advisory(struct feed *f, const struct feed_advisory *adv)
{
    struct arena *a = f->a;
    if (!adv->ids_n)
        return;
    struct feed_row row = {.feed = adv->feed,
                           .space = str_c(adv->space),
                           .name = ecosystem_name(a, str_c(adv->space), adv->package),
                           .id = adv->ids[0],
                           .scheme = adv->scheme,
                           .status = VULN_AFFECTED,
                           .severity = adv->severity,
                           .ranges = adv->ranges};
    feed_row(f, &row);
    struct feed_vuln v = {.feed = adv->feed,
                          .id = adv->ids[0],
                          .aliases = feed_join(a, adv->ids + 1, adv->ids_n - 1),
                          .severity = adv->severity,
                          .cvss = adv->cvss,
                          .vector = adv->vector,
                          .published = adv->published,
                          .title = adv->title};
    double score;
    int version;
    if (v.vector.n && v.vector.n <= 512 && cvss_score(v.vector, &score, &version) == 0)
        v.cvss = score;
    feed_vuln(f, &v);
}

/* "P" and each requirement of a list as a line. */
static void add_lines(struct buf *b, char kind, const struct json_value *list)
{
    JSON_EACH (list && list->type == JSON_ARRAY ? list : NULL, it) {
        struct str s = json_str(it);
        if (!s.n || str_chr(s, '\n') >= 0)
            continue;
        buf_printf(b, "%c " STR_FMT "\n", kind, STR_ARG(s));
    }
}

/* 2019-07-31 */
static int64_t day(struct arena *a, struct str s)
{
    return feed_date(a, s.n == 10 ? arena_strf(a, STR_FMT "T00:00:00Z", STR_ARG(s)) : s);
}

static double number(const struct json_value *v)
{
    double d;
    return str_double(json_str(v), &d) == 0 ? d : -1;
}

/* ---- https://github.com/rubysec/ruby-advisory-db: vulnerable is what is neither patched nor unaffected ---- */

int feed_rubysec(struct feed *f, struct err *e)
{
    struct arena *a = f->a;
    struct json_value *doc = NULL;
    _cleanup_(buf_fini) struct buf b = BUF_INIT(RECORD_MAX / 8);
    int r = feed_yaml_read(f, &doc, e);
    if (r < 0)
        return r;
    struct str gem = json_str(json_get(doc, "gem")), engine = json_str(json_get(doc, "engine"));
    struct str ids[FEED_ALIASES_MAX];
    size_t n = 0;
    add_ids(a, json_get(doc, "cve"), "CVE-", ids, &n);
    add_ids(a, json_get(doc, "ghsa"), "GHSA-", ids, &n);
    add_ids(a, json_get(doc, "osvdb"), "OSVDB-", ids, &n);
    if (!gem.n && !engine.n)
        return err_set(e, EBADMSG, "neither gem nor engine");
    add_lines(&b, 'P', json_get(doc, "patched_versions"));
    add_lines(&b, 'U', json_get(doc, "unaffected_versions"));
    if (!b.n)
        buf_putz(&b, "I 0\n");
    struct feed_advisory adv = {.feed = "rubysec",
                                .space = gem.n ? "RubyGems" : "cpe",
                                .package = gem.n ? gem
                                           : str_eqc(engine, "ruby")
                                               ? STR("ruby-lang:ruby")
                                               : arena_strf(a, STR_FMT ":" STR_FMT, STR_ARG(engine), STR_ARG(engine)),
                                .scheme = gem.n ? VERSION_GEM : VERSION_GENERIC,
                                .ids = ids,
                                .ids_n = n,
                                .cvss = number(json_get(doc, "cvss_v4")),
                                .published = day(a, json_str(json_get(doc, "date"))),
                                .title = json_str(json_get(doc, "title")),
                                .ranges = buf_str(&b)};
    if (adv.cvss >= 0)
        adv.vector = STR("CVSS:4.0");
    else if ((adv.cvss = number(json_get(doc, "cvss_v3"))) >= 0)
        adv.vector = STR("CVSS:3.1");
    else
        adv.cvss = number(json_get(doc, "cvss_v2"));
    feed_saw_date(f, adv.published);
    if (buf_check(&b, e) < 0)
        return -E2BIG;
    feed_advisory(f, &adv);
    return f->w->code;
}

/* ---- https://github.com/FriendsOfPHP/security-advisories ---- */

int feed_php(struct feed *f, struct err *e)
{
    struct arena *a = f->a;
    struct json_value *doc = NULL;
    _cleanup_(buf_fini) struct buf b = BUF_INIT(RECORD_MAX / 8);
    int r = feed_yaml_read(f, &doc, e);
    if (r < 0)
        return r;
    struct str reference = json_str(json_get(doc, "reference")), ids[FEED_ALIASES_MAX];
    size_t n = 0;
    int64_t first = 0;
    add_ids(a, json_get(doc, "cve"), "CVE-", ids, &n);
    if (!n && feed_id_ok(json_str(json_get(doc, "link"))))
        ids[n++] = json_str(json_get(doc, "link")); /* many have no other name */
    if (!str_starts(reference, STR("composer://")))
        return err_set(e, EBADMSG, "reference is no composer://");
    JSON_EACH (json_get(doc, "branches"), branch) {
        struct str joined = STR_NONE, time = json_str(json_get(branch, "time"));
        JSON_EACH (json_get(branch, "versions"), it)
            joined = arena_strf(a, STR_FMT "%s" STR_FMT, STR_ARG(joined), joined.n ? ", " : "", STR_ARG(json_str(it)));
        if (joined.n && str_chr(joined, '\n') < 0)
            buf_printf(&b, "R " STR_FMT "\n", STR_ARG(joined));
        int64_t t = day(a, str_sub(time, 0, 10));
        first = t > 0 && (!first || t < first) ? t : first;
        feed_saw_date(f, t);
    }
    struct feed_advisory adv = {.feed = "php",
                                .space = "Packagist",
                                .package = str_sub(reference, 11, reference.n),
                                .scheme = VERSION_COMPOSER,
                                .ids = ids,
                                .ids_n = n,
                                .cvss = -1,
                                .published = first,
                                .title = json_str(json_get(doc, "title")),
                                .ranges = buf_str(&b)};
    if ((r = buf_check(&b, e)) < 0)
        return r;
    if (b.n)
        feed_advisory(f, &adv);
    return f->w->code;
}

/* ---- https://github.com/nodejs/security-wg: vuln/npm and vuln/core ---- */

static int node_read(struct feed *f, const struct json_value *doc)
{
    struct arena *a = f->a;
    struct str module = json_str(json_get(doc, "module_name")), ids[FEED_ALIASES_MAX];
    const struct json_value *cves = json_get(doc, module.n ? "cves" : "cve");
    struct str vulnerable = json_str(json_get(doc, module.n ? "vulnerable_versions" : "vulnerable"));
    struct str patched = json_str(json_get(doc, module.n ? "patched_versions" : "patched"));
    size_t n = 0;
    JSON_EACH (cves && cves->type == JSON_ARRAY ? cves : NULL, it)
        add_ids(a, it, "CVE-", ids, &n);
    if (!n && json_i64(json_get(doc, "id"), 0) > 0)
        ids[n++] = arena_strf(a, "NSWG-ECO-%" PRId64, json_i64(json_get(doc, "id"), 0));
    if (!vulnerable.n && !patched.n)
        return 0;
    struct feed_advisory adv = {.feed = "nodejs",
                                .space = module.n ? "npm" : "cpe",
                                .package = module.n ? module : STR("nodejs:node.js"),
                                .scheme = module.n ? VERSION_NPM : VERSION_GENERIC,
                                .ids = ids,
                                .ids_n = n > 1 ? 1 : n,
                                .severity = feed_severity(json_str(json_get(doc, "severity"))),
                                .cvss = json_double(json_get(doc, "cvss_score"), -1),
                                .vector = json_str(json_get(doc, "cvss_vector")),
                                .published = day(a, json_str(json_get(doc, "publish_date"))),
                                .title = json_str(json_get(doc, "title"))};
    if (!adv.title.n)
        adv.title = json_str(json_get(doc, "overview"));
    feed_saw_date(f, adv.published);
    adv.ranges = vulnerable.n ? arena_strf(a, "R " STR_FMT "\n", STR_ARG(feed_text(a, vulnerable))) : STR_NONE;
    if (patched.n)
        adv.ranges = arena_strf(a, STR_FMT "P " STR_FMT "\n", STR_ARG(adv.ranges), STR_ARG(feed_text(a, patched)));
    feed_advisory(f, &adv);
    for (size_t i = 1; i < n; i++) { /* several CVEs in one are several vulnerabilities */
        adv.ids = ids + i;
        feed_advisory(f, &adv);
    }
    return f->w->code;
}

/* One advisory, or all of core by their number (index.json). */
int feed_node(struct feed *f, struct err *e)
{
    struct json_value *doc;
    int r = feed_json_read(f, &doc, e);
    if (r < 0 || json_get(doc, "vulnerable") || json_get(doc, "module_name"))
        return r < 0 ? r : node_read(f, doc);
    JSON_EACH (doc, it)
        node_read(f, it);
    return f->w->code;
}

/* ---- https://github.com/RetireJS/retire.js: {package: {vulnerabilities: [{atOrAbove, below, identifiers}]}} ---- */

static void retire_entry(struct feed *f, struct str package, const struct json_value *v)
{
    struct arena *a = f->a;
    const struct json_value *identifiers = json_get(v, "identifiers");
    struct str below = json_str(json_get(v, "below")), from = json_str(json_get(v, "atOrAbove")), ids[FEED_ALIASES_MAX];
    size_t n = 0;
    JSON_EACH (json_get(identifiers, "CVE"), it)
        add_ids(a, it, "CVE-", ids, &n);
    size_t cves = n;
    add_ids(a, json_get(identifiers, "githubID"), "GHSA-", ids, &n);
    if (!below.n || str_chr(below, '\n') >= 0 || str_chr(from, '\n') >= 0)
        return;
    if (!n && feed_id_ok(json_str(json_get(identifiers, "bug"))))
        ids[n++] = arena_strf(a, "retire-" STR_FMT "-" STR_FMT, STR_ARG(package),
                              STR_ARG(json_str(json_get(identifiers, "bug"))));
    struct feed_advisory adv = {.feed = "retirejs",
                                .space = "npm",
                                .package = package,
                                .scheme = VERSION_NPM,
                                .ids = ids,
                                .ids_n = cves > 1 ? 1 : n,
                                .severity = feed_severity(json_str(json_get(v, "severity"))),
                                .cvss = -1,
                                .title = json_str(json_get(identifiers, "summary"))};
    adv.ranges = arena_strf(a, "I " STR_FMT "\nF " STR_FMT "\n", STR_ARG(from.n ? from : STR("0")), STR_ARG(below));
    feed_advisory(f, &adv);
    for (size_t i = 1; i < cves; i++) {
        adv.ids = ids + i;
        feed_advisory(f, &adv);
    }
}

int feed_retire(struct feed *f, struct err *e)
{
    _cleanup_(json_closep) struct json *j = feed_json(f);
    int t = json_expect(j, JSON_OBJECT, e);
    while (t >= 0 && (t = json_next(j, e)) == JSON_KEY) {
        arena_reset(f->a);
        struct str key = arena_str(f->a, json_text(j)), names[1] = {key};
        struct json_value *v;
        if ((t = json_value_read(j, f->a, &v, e)) < 0)
            return t;
        struct str npm = json_str(json_get(v, "npmname")); /* the repository for browsers names it where it differs */
        if (npm.n)
            names[0] = npm;
        JSON_EACH (json_get(v, "vulnerabilities"), it)
            retire_entry(f, names[0], it);
    }
    return t < 0 ? t : json_next(j, e);
}

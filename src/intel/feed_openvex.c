/* OpenVEX documents that a distribution publishes about its packages (Ubuntu: one a CVE). Products are package URLs,
 * pkg:deb/ubuntu/curl@7.81.0-1ubuntu1.24?arch=source&distro=jammy; only the source packages are taken, as Ubuntu's
 * others go with them. Of what is fixed they name the version of today, not the first one with the fix: that is left to
 * the tracker and to OSV. A document about anything but a distribution's packages is told as unusable here: it belongs
 * to `bulkhead scan --vex`. */
#include "base/cleanup.h"
#include "format/purl.h"
#include "intel/feed.h"

struct statement {
    struct str id;
    enum vuln_status status;
};

/* distro=jammy, distro=esm-infra/bionic; "fips/..." and the like are other products */
static struct str space_of(struct arena *a, struct str distro)
{
    struct str left, right;
    if (!distro.n)
        return STR_NONE;
    if (!str_split(distro, '/', &left, &right))
        return arena_strf(a, "ubuntu/" STR_FMT, STR_ARG(distro));
    return str_starts(left, STR("esm")) ? arena_strf(a, "ubuntu/esm/" STR_FMT, STR_ARG(right)) : STR_NONE;
}

static bool take_product(struct feed *f, const struct statement *s, struct str text)
{
    struct purl p;
    if (purl_parse(f->a, text, &p) < 0 || !str_eqc(p.type, "deb") || !str_eqc(p.namespace, "ubuntu"))
        return false;
    struct feed_row row = {.feed = "ubuntu",
                           .space = space_of(f->a, purl_qualifier(&p, "distro")),
                           .name = p.name,
                           .id = s->id,
                           .scheme = VERSION_DPKG,
                           .status = s->status};
    struct str arch = purl_qualifier(&p, "arch");
    if (!row.space.n || (arch.n && !str_eqc(arch, "source")))
        return true;
    if (s->status != VULN_NOT_AFFECTED && s->status != VULN_FIXED)
        feed_row(f, &row);
    return true;
}

static bool status_of(struct str s, enum vuln_status *ret)
{
    return vuln_status_parse(s, ret) == 0;
}

int feed_openvex(struct feed *f, struct err *e)
{
    struct json_value *doc;
    bool any = false;
    int r = feed_json_read(f, &doc, e);
    if (r < 0)
        return r;
    feed_saw_date(f, feed_date(f->a, json_str(json_get(doc, "timestamp"))));
    JSON_EACH (json_get(doc, "statements"), it) {
        struct statement s = {json_str(json_path(it, "vulnerability.name")), VULN_AFFECTED};
        if (!feed_id_ok(s.id) || !status_of(json_str(json_get(it, "status")), &s.status))
            continue;
        JSON_EACH (json_get(it, "products"), product) {
            bool ours = take_product(f, &s, json_str(json_get(product, "@id")));
            any = any || ours;
        }
        struct feed_vuln v = {.feed = "ubuntu", .id = s.id, .cvss = -1};
        v.title = json_str(json_path(it, "vulnerability.description"));
        v.published = feed_date(f->a, json_str(json_get(it, "timestamp")));
        if (any)
            feed_vuln(f, &v);
    }
    return any ? f->w->code
               : err_set(e, EBADMSG, "this OpenVEX document is about no distribution's packages; use scan --vex");
}

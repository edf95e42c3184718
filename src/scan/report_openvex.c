/* OpenVEX 0.2.0 (https://github.com/openvex/spec): what is known, and what VEX documents and ignore files said. A draft
 * that people edit and give back with --vex. */
#include "base/cleanup.h"
#include "base/encode.h"
#include "base/limits.h"
#include "base/time.h"
#include "format/digest.h"
#include "scan/report.h"

/* pkg:oci/NAME@sha256:...: the image, empty for trees and the like */
static struct str image_purl(struct arena *a, const struct inventory *inv)
{
    struct str digest = inv->digest.n ? inv->digest : inv->image_id, name = inv->names_n ? inv->names[0] : STR("image");
    ptrdiff_t at = str_chr(name, '@'), slash;
    if (at >= 0)
        name = str_sub(name, 0, (size_t)at);
    slash = str_rchr(name, '/');
    name = str_sub(name, (size_t)(slash + 1), name.n);
    ptrdiff_t colon = str_chr(name, ':');
    if (colon >= 0)
        name = str_sub(name, 0, (size_t)colon);
    return str_starts(digest, STR("sha256:")) ? arena_strf(a, "pkg:oci/" STR_FMT "@sha256%%3A" STR_FMT, STR_ARG(name),
                                                           STR_ARG(str_sub(digest, 7, digest.n)))
                                              : STR_NONE;
}

static const char *status_of(const struct finding *f, bool ignored)
{
    return ignored || f->status == VULN_NOT_AFFECTED ? "not_affected"
           : f->status == VULN_UNDER_INVESTIGATION   ? "under_investigation"
                                                     : "affected";
}

static void statement(struct json_writer *w, struct arena *a, const struct report *r, const struct finding *f,
                      const struct vex_statement *by)
{
    const char *status = status_of(f, by != NULL);
    struct str image = image_purl(a, r->inventory), purl = package_purl(a, f->package, &r->inventory->os);
    json_w_object(w);
    json_w_kobject(w, "vulnerability");
    json_w_kstr(w, "name", f->id);
    json_w_karray(w, "aliases");
    for (size_t i = 0; i < f->aliases_n; i++)
        json_w_str(w, f->aliases[i]);
    json_w_end(w);
    json_w_end(w);
    json_w_karray(w, "products");
    json_w_object(w);
    json_w_kstr(w, "@id", image.n ? image : purl);
    if (image.n) {
        json_w_karray(w, "subcomponents");
        json_w_object(w);
        json_w_kstr(w, "@id", purl);
        json_w_end(w);
        json_w_end(w);
    }
    json_w_end(w);
    json_w_end(w);
    json_w_kstrz(w, "status", status);
    if (!strcmp(status, "not_affected")) /* one of both must be there */
        json_w_kstr(w, "impact_statement", by && by->note.n ? by->note : f->vex.n ? f->vex : STR("ignored"));
    if (!strcmp(status, "affected"))
        json_w_kstr(w, "action_statement",
                    f->fixed.n
                        ? arena_strf(a, "update " STR_FMT " to " STR_FMT, STR_ARG(f->package->name), STR_ARG(f->fixed))
                        : arena_strf(a, "no fix (%s)", vuln_status_name(f->status)));
    json_w_end(w);
}

static void statements(struct json_writer *w, const struct report *r)
{
    _cleanup_(arena_freep) struct arena *a = arena_new(64u << 20);
    const struct assessment *as = r->assessment;
    json_w_karray(w, "statements");
    for (size_t i = 0; i < as->vulns_n; i++) {
        statement(w, a, r, &as->vulns[i], NULL);
        arena_reset(a);
    }
    for (size_t i = 0; i < as->vex.suppressed_n; i++)
        if (as->vex.suppressed[i].finding.kind == FINDING_VULN)
            statement(w, a, r, &as->vex.suppressed[i].finding, as->vex.suppressed[i].by);
    json_w_end(w);
}

void report_openvex(struct buf *b, const struct report *r)
{
    struct json_writer w = JSON_WRITER(b);
    const struct verdict *v = &r->assessment->verdict;
    char date[TIME_TEXT], id[2 * SHA256_SIZE + 1], seed[256];
    uint8_t sum[SHA256_SIZE];
    int n =
        snprintf(seed, sizeof(seed), "%.*s %s", r->inventory->image_id.n > 100 ? 100 : (int)r->inventory->image_id.n,
                 r->inventory->image_id.n ? r->inventory->image_id.p : "", time_format(v->evaluated, date));
    sha256_of((struct str){seed, (size_t)n}, sum);
    hex_encode(sum, sizeof(sum), id);
    json_w_object(&w);
    json_w_kstrz(&w, "@context", "https://openvex.dev/ns/v0.2.0");
    json_w_key(&w, "@id");
    char address[128];
    snprintf(address, sizeof(address), "https://openvex.dev/docs/public/vex-%s", id);
    json_w_str(&w, str_c(address));
    json_w_kstrz(&w, "author", "bulkhead scan");
    json_w_kstr(&w, "timestamp", str_c(time_format(v->evaluated, date)));
    json_w_ki64(&w, "version", 1);
    statements(&w, r);
    json_w_end(&w);
    buf_putc(b, '\n');
}

/* CycloneDX 1.6 (ECMA-424), JSON. */
#include "scan/report.h"

#include "base/cleanup.h"
#include "base/encode.h"
#include "base/limits.h"
#include "base/map.h"
#include "base/time.h"
#include "format/digest.h"
#include "scan/issue.h"

static void property(struct json_writer *w, const char *name, struct str value)
{
    if (value.n == 0)
        return;
    json_w_object(w);
    json_w_kstrz(w, "name", name);
    json_w_kstr(w, "value", value);
    json_w_end(w);
}

/* The same image, intel and instant give the same serial number: a UUID of version 8 (RFC 9562). */
static void serial(struct json_writer *w, const struct report *r)
{
    struct sha256 h;
    uint8_t sum[SHA256_SIZE];
    char hex[33], text[64];
    sha256_init(&h);
    sha256_update(&h, r->inventory->image_id.p, r->inventory->image_id.n);
    sha256_update(&h, r->inventory->target.p, r->inventory->target.n);
    sha256_update(&h, r->assessment->intel_revision.p, r->assessment->intel_revision.n);
    sha256_update(&h, &r->inventory->scanned, sizeof(r->inventory->scanned));
    sha256_final(&h, sum);
    sum[6] = (sum[6] & 0x0f) | 0x80;
    sum[8] = (sum[8] & 0x3f) | 0x80;
    hex_encode(sum, 16, hex);
    snprintf(text, sizeof(text), "urn:uuid:%.8s-%.4s-%.4s-%.4s-%.12s", hex, hex + 8, hex + 12, hex + 16, hex + 20);
    json_w_kstrz(w, "serialNumber", text);
}

/* CycloneDX has no place for what is found in files: properties of the image tell of it. */
static void issue_properties(struct json_writer *w, struct arena *a, const struct assessment *as)
{
    for (size_t i = 0; i < as->issues_n; i++) {
        const struct finding *f = &as->issues[i];
        property(w, arena_printf(a, "bulkhead:%s", finding_kind_name(f->kind)),
                 arena_strf(a, STR_FMT " %s " STR_FMT, STR_ARG(f->id), vuln_severity_name(f->severity),
                            STR_ARG(issue_place(a, f))));
    }
}

static void metadata(struct json_writer *w, struct arena *a, const struct inventory *inv, const struct assessment *as)
{
    char t[TIME_TEXT];
    json_w_kobject(w, "metadata");
    json_w_kstrz(w, "timestamp", time_format(inv->scanned, t));
    json_w_kobject(w, "tools");
    json_w_karray(w, "components");
    json_w_object(w);
    json_w_kstrz(w, "type", "application");
    json_w_kstrz(w, "name", "bulkhead");
    json_w_kstr(w, "version", inv->scanner);
    json_w_end(w);
    json_w_end(w);
    json_w_end(w);
    json_w_kobject(w, "component");
    json_w_kstrz(w, "type", inv->image_id.n ? "container" : "file");
    json_w_kstrz(w, "bom-ref", "target");
    json_w_kstr(w, "name", inv->names_n ? inv->names[0] : inv->target);
    if (inv->image_id.n)
        json_w_kstr(w, "version", inv->image_id);
    json_w_karray(w, "properties");
    property(w, "bulkhead:image:id", inv->image_id);
    property(w, "bulkhead:image:digest", inv->digest);
    for (size_t i = 0; i < inv->layers_n; i++)
        property(w, "bulkhead:image:layer", inv->layers[i].diff_id);
    issue_properties(w, a, as);
    json_w_end(w);
    json_w_end(w);
    json_w_end(w);
}

static struct str package_ref(struct arena *a, size_t i)
{
    return arena_strf(a, "package-%zu", i);
}

static void component(struct json_writer *w, struct arena *a, const struct inventory *inv, size_t i)
{
    const struct package *p = &inv->packages[i];
    json_w_object(w);
    json_w_kstrz(w, "type", "library");
    json_w_kstr(w, "bom-ref", package_ref(a, i));
    json_w_kstr(w, "name", p->name);
    json_w_kstr(w, "version", p->version);
    if (p->license.n) {
        json_w_karray(w, "licenses");
        json_w_object(w);
        json_w_kobject(w, "license");
        json_w_kstr(w, "name", p->license);
        json_w_end(w);
        json_w_end(w);
        json_w_end(w);
    }
    json_w_kstr(w, "purl", package_purl(a, p, &inv->os));
    json_w_karray(w, "properties");
    property(w, "bulkhead:source:name", p->source_name);
    property(w, "bulkhead:source:version", p->source_version);
    property(w, "bulkhead:layer", p->layer);
    property(w, "bulkhead:path", p->path);
    json_w_end(w);
    json_w_end(w);
}

static void components(struct json_writer *w, struct arena *a, const struct inventory *inv)
{
    json_w_karray(w, "components");
    if (inv->os.id.n) {
        json_w_object(w);
        json_w_kstrz(w, "type", "operating-system");
        json_w_kstrz(w, "bom-ref", "operating-system");
        json_w_kstr(w, "name", inv->os.id);
        if (inv->os.version_id.n)
            json_w_kstr(w, "version", inv->os.version_id);
        json_w_end(w);
    }
    for (size_t i = 0; i < inv->packages_n; i++)
        component(w, a, inv, i);
    json_w_end(w);
}

static const char *rating(enum vuln_severity s)
{
    return s == VULN_NEGLIGIBLE ? "info" : vuln_severity_name(s); /* the schema's words */
}

/* vulns[from..to) share an id and severity. */
static void vulnerability(struct json_writer *w, struct arena *a, const struct report *r, size_t from, size_t to)
{
    const struct finding *f = &r->assessment->vulns[from];
    char t[TIME_TEXT];
    json_w_object(w);
    json_w_kstr(w, "id", f->id);
    if (f->advisory.n || f->severity_source.n) {
        json_w_kobject(w, "source");
        if (f->severity_source.n)
            json_w_kstr(w, "name", f->severity_source);
        if (f->advisory.n)
            json_w_kstr(w, "url", f->advisory);
        json_w_end(w);
    }
    json_w_karray(w, "ratings");
    json_w_object(w);
    if (f->cvss >= 0) {
        json_w_key(w, "score");
        json_w_double(w, f->cvss);
    }
    json_w_kstrz(w, "severity", rating(f->severity));
    json_w_end(w);
    json_w_end(w);
    if (f->title.n)
        json_w_kstr(w, "description", f->title);
    if (f->fixed.n)
        json_w_kstr(w, "recommendation",
                    arena_strf(a, "Upgrade " STR_FMT " to " STR_FMT, STR_ARG(f->package->name), STR_ARG(f->fixed)));
    if (f->published)
        json_w_kstrz(w, "published", time_format(f->published, t));
    json_w_karray(w, "affects");
    for (size_t i = from; i < to; i++) {
        json_w_object(w);
        size_t index = (size_t)(r->assessment->vulns[i].package - r->inventory->packages);
        json_w_kstr(w, "ref", package_ref(a, index));
        json_w_end(w);
    }
    json_w_end(w);
    json_w_karray(w, "properties");
    property(w, "bulkhead:status", str_c(vuln_status_name(f->status)));
    property(w, "bulkhead:kev", f->kev ? STR("true") : STR_NONE);
    json_w_end(w);
    json_w_end(w);
}

void report_cyclonedx(struct buf *b, const struct report *r)
{
    _cleanup_(arena_freep) struct arena *a = arena_new(LIMIT_SCAN_ARENA);
    const struct assessment *as = r->assessment;
    struct json_writer w = JSON_WRITER(b);
    json_w_object(&w);
    json_w_kstrz(&w, "$schema", "http://cyclonedx.org/schema/bom-1.6.schema.json");
    json_w_kstrz(&w, "bomFormat", "CycloneDX");
    json_w_kstrz(&w, "specVersion", "1.6");
    serial(&w, r);
    json_w_ki64(&w, "version", 1);
    metadata(&w, a, r->inventory, as);
    components(&w, a, r->inventory);
    if (as->intel_revision.n && r->list != REPORT_PACKAGES) {
        json_w_karray(&w, "vulnerabilities");
        for (size_t i = 0, to; i < as->vulns_n; i = to) {
            for (to = i + 1; to < as->vulns_n && str_eq(as->vulns[to].id, as->vulns[i].id) &&
                             as->vulns[to].severity == as->vulns[i].severity;)
                to++;
            vulnerability(&w, a, r, i, to);
        }
        json_w_end(&w);
    }
    json_w_end(&w);
    buf_putc(b, '\n');
}

/* SARIF 2.1.0 (OASIS), as code scanning services read it: a rule for each advisory, secret, malware or policy rule and
 * a result for each place it was found. Places are files of the image; SARIF wants a line, an image has none: it is 1.
 */
#include "scan/report.h"

#include "base/cleanup.h"
#include "base/encode.h"
#include "base/limits.h"
#include "base/map.h"
#include "format/digest.h"

static const char *level(enum vuln_severity s)
{
    return s >= VULN_HIGH ? "error" : s == VULN_MEDIUM || s == VULN_UNKNOWN ? "warning" : "note";
}

/* The figure by which code scanning services rank: CVSS where there is one, else the middle of the severity's band. */
static double rank(const struct finding *f)
{
    static const double middle[] = {[VULN_UNKNOWN] = 0,  [VULN_NEGLIGIBLE] = 0.1, [VULN_LOW] = 2,
                                    [VULN_MEDIUM] = 5.5, [VULN_HIGH] = 8,         [VULN_CRITICAL] = 9.5};
    return f->cvss >= 0 ? f->cvss : middle[f->severity];
}

static void text(struct json_writer *w, const char *key, struct str s)
{
    json_w_kobject(w, key);
    json_w_kstr(w, "text", s);
    json_w_end(w);
}

static void rule(struct json_writer *w, struct arena *a, const struct finding *f)
{
    json_w_object(w);
    json_w_kstr(w, "id", f->id);
    json_w_kstrz(w, "name", report_kind(f->kind));
    text(w, "shortDescription", f->title.n ? f->title : f->id);
    if (f->advisory.n)
        json_w_kstr(w, "helpUri", f->advisory);
    json_w_kobject(w, "defaultConfiguration");
    json_w_kstrz(w, "level", level(f->severity));
    json_w_end(w);
    json_w_kobject(w, "properties");
    json_w_kstr(w, "security-severity", arena_strf(a, "%.1f", rank(f)));
    json_w_karray(w, "tags");
    json_w_str(w, STR("security"));
    json_w_str(w, str_c(report_kind(f->kind)));
    if (f->kev)
        json_w_str(w, STR("exploited"));
    json_w_end(w);
    json_w_end(w);
    json_w_end(w);
}

/* A relative reference in a URI: everything but unreserved characters and '/' escaped. */
static struct str uri(struct arena *a, struct str path)
{
    static const char hex[] = "0123456789ABCDEF";
    char *p = arena_alloc(a, path.n * 3 + 1);
    size_t n = 0;
    for (size_t i = 0; i < path.n; i++) {
        unsigned char c = (unsigned char)path.p[i];
        if ((c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || memchr("-._~/", c, 5)) {
            p[n++] = (char)c;
        } else {
            p[n++] = '%';
            p[n++] = hex[c >> 4];
            p[n++] = hex[c & 15];
        }
    }
    return str_n(p, n);
}

static void location(struct json_writer *w, struct arena *a, const struct report *r, struct str path, struct str what)
{
    const struct inventory *inv = r->inventory;
    struct str name = inv->names_n ? inv->names[0] : inv->target;
    json_w_karray(w, "locations");
    json_w_object(w);
    json_w_kobject(w, "physicalLocation");
    json_w_kobject(w, "artifactLocation");
    json_w_kstr(w, "uri", uri(a, path.n ? path : name));
    json_w_end(w);
    json_w_kobject(w, "region");
    json_w_ki64(w, "startLine", 1);
    json_w_end(w);
    json_w_end(w);
    json_w_karray(w, "logicalLocations");
    json_w_object(w);
    json_w_kstr(w, "fullyQualifiedName",
                what.n ? arena_strf(a, STR_FMT ": " STR_FMT, STR_ARG(name), STR_ARG(what)) : name);
    json_w_end(w);
    json_w_end(w);
    json_w_end(w);
    json_w_end(w);
}

/* The same finding has the same print in the next scan, also of the next version of the image. */
static void fingerprint(struct json_writer *w, struct str id, struct str where, struct str what)
{
    struct sha256 h;
    uint8_t sum[SHA256_SIZE];
    char hex[2 * SHA256_SIZE + 1];
    sha256_init(&h);
    sha256_update(&h, id.p, id.n);
    sha256_update(&h, "\n", 1);
    sha256_update(&h, where.p, where.n);
    sha256_update(&h, "\n", 1);
    sha256_update(&h, what.p, what.n);
    sha256_final(&h, sum);
    hex_encode(sum, sizeof(sum), hex);
    json_w_kobject(w, "partialFingerprints");
    json_w_kstrz(w, "bulkhead/v1", hex);
    json_w_end(w);
}

/* An exception of the policy: the finding stays, and who answers for it is told. */
static void suppression(struct json_writer *w, const struct report *r, const struct finding *f)
{
    const struct reason *why = report_reason(r, f);
    if (!why || !why->exception.n)
        return;
    json_w_karray(w, "suppressions");
    json_w_object(w);
    json_w_kstrz(w, "kind", "external");
    json_w_kstr(w, "justification", why->exception);
    json_w_end(w);
    json_w_end(w);
}

static void result(struct json_writer *w, struct arena *a, const struct report *r, const struct finding *f, int64_t at)
{
    struct str what = report_what(a, f), path = f->path.n ? f->path : f->package ? f->package->path : STR_NONE;
    json_w_object(w);
    json_w_kstr(w, "ruleId", f->id);
    json_w_ki64(w, "ruleIndex", at);
    json_w_kstrz(w, "level", level(f->severity));
    text(w, "message", report_sentence(a, f));
    location(w, a, r, path, what);
    fingerprint(w, f->id, path, f->package ? f->package->name : f->match);
    suppression(w, r, f);
    json_w_end(w);
}

/* What the policy refuses of the image itself: there is no finding to hang it on. */
static void reason(struct json_writer *w, struct arena *a, const struct report *r, const struct reason *why)
{
    json_w_object(w);
    json_w_kstr(w, "ruleId", arena_strf(a, "policy/" STR_FMT, STR_ARG(why->policy)));
    json_w_kstrz(w, "level", why->deny ? "error" : "warning");
    text(w, "message", why->text);
    location(w, a, r, STR_NONE, STR_NONE);
    fingerprint(w, why->policy, why->rule, STR_NONE);
    json_w_end(w);
}

static void driver(struct json_writer *w, struct arena *a, const struct report *r, struct map *index)
{
    int64_t rules = 0;
    json_w_kobject(w, "tool");
    json_w_kobject(w, "driver");
    json_w_kstrz(w, "name", "bulkhead");
    json_w_kstr(w, "version", r->inventory->scanner);
    json_w_karray(w, "rules");
    for (const struct finding *f = NULL; (f = report_next(r, f));)
        if (!map_get(index, f->id)) {
            map_put(index, f->id, (void *)(uintptr_t)++rules);
            rule(w, a, f);
        }
    json_w_end(w);
    json_w_end(w);
    json_w_end(w);
}

void report_sarif(struct buf *b, const struct report *r)
{
    _cleanup_(arena_freep) struct arena *a = arena_new(LIMIT_SCAN_ARENA);
    const struct verdict *v = &r->assessment->verdict;
    struct json_writer w = JSON_WRITER(b);
    _cleanup_(map_freep) struct map *index = map_new(LIMIT_SCAN_FINDINGS);
    json_w_object(&w);
    json_w_kstrz(&w, "$schema", "https://json.schemastore.org/sarif-2.1.0.json");
    json_w_kstrz(&w, "version", "2.1.0");
    json_w_karray(&w, "runs");
    json_w_object(&w);
    driver(&w, a, r, index);
    json_w_karray(&w, "results");
    for (const struct finding *f = NULL; (f = report_next(r, f));)
        result(&w, a, r, f, (int64_t)(uintptr_t)map_get(index, f->id) - 1);
    for (size_t i = 0; i < v->reasons_n; i++)
        if (!v->reasons[i].finding.n || !map_get(index, v->reasons[i].finding))
            reason(&w, a, r, &v->reasons[i]);
    json_w_end(&w);
    json_w_karray(&w, "invocations");
    json_w_object(&w);
    json_w_kbool(&w, "executionSuccessful", !r->inventory->incomplete);
    json_w_end(&w);
    json_w_end(&w);
    json_w_kobject(&w, "properties");
    json_w_kstr(&w, "imageId", r->inventory->image_id);
    json_w_kstr(&w, "intelRevision", r->assessment->intel_revision);
    json_w_kstr(&w, "policyRevision", v->policy_revision);
    json_w_kbool(&w, "allow", v->allow);
    json_w_end(&w);
    json_w_end(&w);
    json_w_end(&w);
    json_w_end(&w);
    buf_putc(b, '\n');
}

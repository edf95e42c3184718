/* One page without scripts and without anything from elsewhere (its own policy forbids both): the verdict and why, what
 * to upgrade first, every finding, the packages and the layers. Everything from the image is escaped. */
#include "scan/report.h"

#include "base/cleanup.h"
#include "base/embedded.h"
#include "base/limits.h"
#include "base/time.h"

extern const struct embedded scan_files[];

#define FIX_ROWS 25u /* what to do first is a short list */

struct page {
    struct buf *b;
    struct arena *a;
    const struct report *r;
};

static void put(struct page *p, struct str s)
{
    report_xml(p->b, s);
}

static void cell(struct page *p, struct str s)
{
    buf_putz(p->b, "<td>");
    put(p, s);
    buf_putz(p->b, "</td>");
}

static void severity_cell(struct page *p, enum vuln_severity s)
{
    buf_printf(p->b, "<td class=\"%s\">%s</td>", vuln_severity_name(s), vuln_severity_name(s));
}

static void fact(struct page *p, const char *name, struct str value)
{
    if (!value.n)
        return;
    buf_printf(p->b, "<dt>%s</dt><dd>", name);
    put(p, value);
    buf_putz(p->b, "</dd>\n");
}

static struct str day(struct arena *a, int64_t t)
{
    char text[TIME_TEXT];
    return t ? arena_strf(a, "%.10s", time_format(t, text)) : STR_NONE;
}

static void head(struct page *p)
{
    const struct inventory *inv = p->r->inventory;
    const struct assessment *as = p->r->assessment;
    struct str name = inv->names_n ? inv->names[0] : inv->target;
    buf_putz(p->b, "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\n"
                   "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src "
                   "'unsafe-inline'\">\n<meta name=\"viewport\" content=\"width=device-width\">\n<title>");
    put(p, name);
    buf_putz(p->b, "</title>\n<style>\n");
    buf_puts(p->b, embedded_str(&scan_files[0]));
    buf_putz(p->b, "</style></head><body><main>\n<div class=\"head\"><h1>");
    put(p, name);
    buf_printf(p->b, "</h1><span class=\"badge %s\">%s</span></div>\n<dl>\n", as->verdict.allow ? "allow" : "deny",
               as->verdict.allow ? (p->r->judged ? "allowed" : "nothing refused: no policy was given") : "refused");
    fact(p, "Image", inv->image_id);
    fact(p, "System", inv->os.pretty.n ? inv->os.pretty : inv->os.id);
    fact(p, "Runs as", inv->image_id.n ? inv->config.user.n ? inv->config.user : STR("root") : STR_NONE);
    fact(p, "Made", day(p->a, inv->config.created));
    fact(p, "Scanned", day(p->a, inv->scanned));
    fact(p, "Content", arena_strf(p->a, "%zu packages, %zu layers", inv->packages_n, inv->layers_n));
    fact(p, "Intelligence",
         as->intel_revision.n
             ? arena_strf(p->a, "of " STR_FMT ", revision " STR_FMT ", %s", STR_ARG(day(p->a, as->intel_built)),
                          STR_ARG(str_sub(as->intel_revision, 0, 12)), as->intel_signed ? "signed" : "not signed")
             : STR("none: vulnerabilities were not looked up"));
    fact(p, "Policy", as->verdict.policy_revision);
    for (size_t i = 0; i < inv->problems_n; i++)
        fact(p, "Incomplete", inv->problems[i]);
    buf_putz(p->b, "</dl>\n");
}

static void cards(struct page *p)
{
    size_t count[VULN_CRITICAL + 1] = {0}, fixable = 0, other[FINDING_KINDS] = {0};
    for (const struct finding *f = NULL; (f = report_next(p->r, f));) {
        if (f->kind == FINDING_VULN) {
            count[f->severity]++;
            fixable += f->fixed.n > 0;
        }
        other[f->kind]++;
    }
    buf_putz(p->b, "<div class=\"cards\">\n");
    for (int s = VULN_CRITICAL; s >= VULN_UNKNOWN; s--)
        buf_printf(p->b, "<div class=\"card\"><b class=\"%s\">%zu</b>%s</div>\n",
                   vuln_severity_name((enum vuln_severity)s), count[s], vuln_severity_name((enum vuln_severity)s));
    buf_printf(p->b, "<div class=\"card\"><b>%zu</b>with a fix</div>\n", fixable);
    for (int k = 0; k < FINDING_KINDS; k++)
        if (k != FINDING_VULN && other[k])
            buf_printf(p->b, "<div class=\"card\"><b class=\"critical\">%zu</b>%s</div>\n", other[k],
                       report_kind((enum finding_kind)k));
    buf_putz(p->b, "</div>\n");
}

static void reasons(struct page *p)
{
    const struct verdict *v = &p->r->assessment->verdict;
    if (!v->reasons_n)
        return;
    buf_putz(p->b, "<h2>What the policy says</h2>\n<table><tr><th></th><th>Policy</th><th>Why</th></tr>\n");
    for (size_t i = 0; i < v->reasons_n; i++) {
        const struct reason *why = &v->reasons[i];
        buf_putz(p->b, why->deny ? "<tr><td class=\"critical\">refused</td>" : "<tr><td class=\"medium\">warning</td>");
        cell(p, why->policy);
        cell(p, why->text);
        buf_putz(p->b, "</tr>\n");
    }
    buf_putz(p->b, "</table>\n");
}

/* ---- what to upgrade first ---- */

struct fix {
    struct str source, version, fixed; /* fixed: of the worst finding */
    size_t count[VULN_CRITICAL + 1], kev;
};

static int by_source(const void *x, const void *y)
{
    const struct finding *a = *(const struct finding *const *)x, *b = *(const struct finding *const *)y;
    int r = str_cmp(a->package->source_name, b->package->source_name);
    if (!r)
        r = str_cmp(a->package->version, b->package->version);
    if (!r)
        r = str_cmp(a->id, b->id);
    return r ? r : (a > b) - (a < b);
}

static int worst_first(const void *x, const void *y)
{
    const struct fix *a = x, *b = y;
    if (a->kev != b->kev)
        return a->kev < b->kev ? 1 : -1;
    for (int s = VULN_CRITICAL; s >= 0; s--)
        if (a->count[s] != b->count[s])
            return a->count[s] < b->count[s] ? 1 : -1;
    return str_cmp(a->source, b->source);
}

static void fixes(struct page *p)
{
    const struct assessment *as = p->r->assessment;
    const struct finding **v = arena_array(p->a, as->vulns_n + 1, sizeof(*v));
    struct fix *fix = arena_array(p->a, as->vulns_n + 1, sizeof(*fix));
    size_t n = 0, m = 0;
    for (size_t i = 0; i < as->vulns_n; i++)
        if (as->vulns[i].fixed.n && as->vulns[i].package)
            v[n++] = &as->vulns[i];
    if (!n)
        return;
    qsort(v, n, sizeof(*v), by_source);
    for (size_t i = 0; i < n; i++) {
        const struct package *pk = v[i]->package;
        bool same = i && str_eq(v[i - 1]->package->source_name, pk->source_name);
        if (!same || !str_eq(v[i - 1]->package->version, pk->version))
            fix[m++] = (struct fix){.source = pk->source_name, .version = pk->version};
        else if (str_eq(v[i]->id, v[i - 1]->id))
            continue; /* another binary package of the same source */
        fix[m - 1].count[v[i]->severity]++;
        fix[m - 1].kev += v[i]->kev;
    }
    qsort(fix, m, sizeof(*fix), worst_first);
    buf_putz(p->b, "<h2>Upgrade first</h2>\n<table><tr><th>Package</th><th>Installed</th><th "
                   "class=\"n\">critical</th><th class=\"n\">high</th>"
                   "<th class=\"n\">medium</th><th class=\"n\">lower</th><th></th></tr>\n");
    for (size_t i = 0; i < m && i < FIX_ROWS; i++) {
        const struct fix *f = &fix[i];
        buf_putz(p->b, "<tr>");
        cell(p, f->source);
        cell(p, f->version);
        buf_printf(p->b,
                   "<td class=\"n\">%zu</td><td class=\"n\">%zu</td><td class=\"n\">%zu</td><td class=\"n\">%zu</td>",
                   f->count[VULN_CRITICAL], f->count[VULN_HIGH], f->count[VULN_MEDIUM],
                   f->count[VULN_LOW] + f->count[VULN_NEGLIGIBLE] + f->count[VULN_UNKNOWN]);
        buf_putz(p->b, f->kev ? "<td><b class=\"kev\">EXPLOITED</b></td></tr>\n" : "<td></td></tr>\n");
    }
    buf_putz(p->b, "</table>\n");
    if (m > FIX_ROWS)
        buf_printf(p->b, "<p class=\"soft\">and %zu more packages with fixes below</p>\n", m - FIX_ROWS);
}

/* ---- lists ---- */

static void finding_row(struct page *p, const struct finding *f)
{
    buf_putz(p->b, "<tr>");
    severity_cell(p, f->severity);
    buf_putz(p->b, "<td>");
    if (str_starts(f->advisory, STR("https://"))) {
        buf_putz(p->b, "<a rel=\"noreferrer\" href=\"");
        put(p, f->advisory);
        buf_putz(p->b, "\">");
        put(p, f->id);
        buf_putz(p->b, "</a>");
    } else {
        put(p, f->id);
    }
    buf_putz(p->b, f->kev ? " <b class=\"kev\">EXPLOITED</b></td>" : "</td>");
    cell(p, report_what(p->a, f));
    cell(p, f->kind != FINDING_VULN ? f->match : f->fixed.n ? f->fixed : str_c(vuln_status_name(f->status)));
    cell(p, f->title);
    buf_putz(p->b, "</tr>\n");
}

static void findings(struct page *p)
{
    for (int k = 0; k < FINDING_KINDS; k++) {
        size_t n = 0;
        for (const struct finding *f = NULL; (f = report_next(p->r, f));)
            n += (int)f->kind == k;
        if (!n)
            continue;
        bool vuln = k == FINDING_VULN;
        buf_printf(p->b,
                   "<details open><summary>%s (%zu)</summary>\n<table><tr><th>Severity</th><th>Id</th><th>%s</th>"
                   "<th>%s</th><th></th></tr>\n",
                   vuln ? "Vulnerabilities" : report_kind((enum finding_kind)k), n, vuln ? "Package" : "Where",
                   vuln ? "Fixed in" : "What");
        for (const struct finding *f = NULL; (f = report_next(p->r, f));)
            if ((int)f->kind == k)
                finding_row(p, f);
        buf_putz(p->b, "</table></details>\n");
    }
}

static void contents(struct page *p)
{
    const struct inventory *inv = p->r->inventory;
    buf_printf(p->b,
               "<details><summary>Packages (%zu)</summary>\n<table><tr><th>Type</th><th>Name</th><th>Version</th>"
               "<th>Licence</th></tr>\n",
               inv->packages_n);
    for (size_t i = 0; i < inv->packages_n; i++) {
        const struct package *k = &inv->packages[i];
        buf_putz(p->b, "<tr>");
        cell(p, k->type);
        cell(p, k->name);
        cell(p, k->version);
        cell(p, k->license);
        buf_putz(p->b, "</tr>\n");
    }
    buf_printf(p->b,
               "</table></details>\n<details><summary>Layers (%zu)</summary>\n<table><tr><th>Layer</th>"
               "<th>Bytes</th><th>Made by</th></tr>\n",
               inv->layers_n);
    for (size_t i = 0; i < inv->layers_n; i++) {
        buf_putz(p->b, "<tr>");
        cell(p, str_sub(inv->layers[i].diff_id, 0, 19));
        buf_printf(p->b, "<td class=\"n\">%" PRId64 "</td>", inv->layers[i].content_size);
        cell(p, inv->layers[i].created_by);
        buf_putz(p->b, "</tr>\n");
    }
    buf_putz(p->b, "</table></details>\n");
}

void report_html(struct buf *b, const struct report *r)
{
    _cleanup_(arena_freep) struct arena *a = arena_new(LIMIT_SCAN_ARENA);
    struct page p = {b, a, r};
    head(&p);
    cards(&p);
    reasons(&p);
    fixes(&p);
    findings(&p);
    contents(&p);
    buf_putz(b, "<footer>bulkhead ");
    put(&p, r->inventory->scanner);
    buf_putz(b, "</footer>\n</main></body></html>\n");
}

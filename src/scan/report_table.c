/* The report for people: what was looked at, what is wrong with it, worst first, what the verdict is and why. */
#include "scan/report.h"

#include "base/cleanup.h"
#include "base/limits.h"
#include "base/time.h"
#include "scan/issue.h"

#define ISSUES_SHOWN 40u /* of one kind */

struct view {
    struct buf *b;
    const struct report *r;
    struct arena *a;
};

static const char *color(const struct view *v, const char *code)
{
    return v->r->color ? code : "";
}
#define BOLD   "\033[1m"
#define RED    "\033[31;1m"
#define GREEN  "\033[32;1m"
#define YELLOW "\033[33m"
#define PLAIN  "\033[0m"

/* At least `width` columns, one blank behind; long texts push the rest to the right rather than being cut. */
static void cell(struct view *v, struct str s, size_t width)
{
    size_t columns = 0;
    for (size_t i = 0; i < s.n; i++)
        columns += ((unsigned char)s.p[i] & 0xc0) != 0x80;
    report_puts(v->b, s);
    for (; columns < width; columns++)
        buf_putc(v->b, ' ');
    buf_putc(v->b, ' ');
}

static struct str size_text(struct arena *a, int64_t n)
{
    if (n < 10 * 1024)
        return arena_strf(a, "%" PRId64 " B", n);
    if (n < INT64_C(10) << 20)
        return arena_strf(a, "%.1f KiB", (double)n / 1024);
    return arena_strf(a, "%.0f MiB", (double)n / (1 << 20));
}

static void day(char out[static TIME_TEXT], int64_t t)
{
    time_format(t, out);
    out[10] = 0;
}

static void label(struct view *v, const char *name)
{
    buf_printf(v->b, "%-10s", name);
}

static void line(struct view *v, const char *name, struct str value)
{
    if (value.n == 0)
        return;
    label(v, name);
    report_puts(v->b, value);
    buf_putc(v->b, '\n');
}

static void head(struct view *v)
{
    const struct inventory *inv = v->r->inventory;
    const struct assessment *as = v->r->assessment;
    int64_t size = 0;
    line(v, "target", inv->target);
    for (size_t i = 0; i < inv->names_n && i < 5; i++)
        line(v, i ? "" : "name", inv->names[i]);
    line(v, "image", inv->image_id);
    label(v, "system");
    report_puts(v->b, inv->os.pretty.n ? inv->os.pretty : inv->os.id.n ? inv->os.id : STR("unknown"));
    if (inv->config.arch.n) {
        buf_putz(v->b, ", ");
        report_puts(v->b, inv->config.arch);
    }
    if (inv->image_id.n) {
        buf_putz(v->b, ", runs as ");
        report_puts(v->b, inv->config.user.n ? inv->config.user : STR("root"));
    }
    buf_putc(v->b, '\n');
    for (size_t i = 0; i < inv->layers_n; i++)
        size += inv->layers[i].content_size;
    label(v, "content");
    buf_printf(v->b, "%zu packages", inv->packages_n);
    if (inv->layers_n)
        buf_printf(v->b, " in %zu layer%s, " STR_FMT, inv->layers_n, inv->layers_n == 1 ? "" : "s",
                   STR_ARG(size_text(v->a, size)));
    buf_putc(v->b, '\n');
    label(v, "intel");
    if (as->intel_revision.n) {
        char t[TIME_TEXT];
        day(t, as->intel_built);
        buf_printf(v->b, "of %s, revision " STR_FMT ", %s\n", as->intel_built ? t : "unknown date",
                   STR_ARG(str_sub(as->intel_revision, 0, 12)), as->intel_signed ? "signed" : "NOT SIGNED");
    } else {
        buf_putz(v->b, "none: vulnerabilities were not looked up (--intel FILE)\n");
    }
    for (size_t i = 0; i < inv->problems_n; i++)
        line(v, i ? "" : "INCOMPLETE", inv->problems[i]);
}

/* Binary packages of one source share a line: vulns[from..to) have the same id, source and fix. */
static size_t same_row(const struct finding *f, size_t from, size_t n)
{
    size_t to = from + 1;
    while (to < n && str_eq(f[to].id, f[from].id) && f[to].severity == f[from].severity &&
           str_eq(f[to].package->source_name, f[from].package->source_name) && str_eq(f[to].fixed, f[from].fixed) &&
           f[to].status == f[from].status)
        to++;
    return to;
}

static void finding_row(struct view *v, const struct finding *f, size_t n)
{
    const struct package *p = f->package;
    struct str what =
        arena_strf(v->a, STR_FMT " " STR_FMT, STR_ARG(n > 1 ? p->source_name : p->name), STR_ARG(p->version));
    if (n > 1)
        what = arena_strf(v->a, STR_FMT " (%zu packages)", STR_ARG(what), n);
    buf_putz(v->b, "  ");
    cell(v, f->id, 18);
    cell(v, what, 46);
    struct str fix =
        f->fixed.n ? arena_strf(v->a, "fixed in " STR_FMT, STR_ARG(f->fixed)) : str_c(vuln_status_name(f->status));
    if (f->kev)
        fix = arena_strf(v->a, STR_FMT "  EXPLOITED", STR_ARG(fix));
    report_puts(v->b, fix);
    buf_putc(v->b, '\n');
}

static void findings(struct view *v)
{
    const struct assessment *as = v->r->assessment;
    for (size_t i = 0; i < as->vulns_n;) {
        enum vuln_severity s = as->vulns[i].severity;
        size_t end = i;
        while (end < as->vulns_n && as->vulns[end].severity == s)
            end++;
        buf_printf(v->b, "\n%s%s%s (%zu)\n",
                   color(v, s >= VULN_HIGH     ? RED
                            : s == VULN_MEDIUM ? YELLOW
                                               : BOLD),
                   vuln_severity_name(s), color(v, PLAIN), end - i);
        while (i < end) {
            size_t to = same_row(as->vulns, i, end);
            finding_row(v, &as->vulns[i], to - i);
            i = to;
        }
    }
    if (as->vulns_n == 0 && as->intel_revision.n)
        buf_putz(v->b, "\nno known vulnerabilities\n");
}

/* Rows of one kind; what no container sees is said. */
static void issues(struct view *v)
{
    static const char *const headings[FINDING_KINDS] = {[FINDING_MALWARE] = "malware",
                                                        [FINDING_SECRET] = "secrets",
                                                        [FINDING_DYNAMIC] = "when it was run",
                                                        [FINDING_CHECK] = "configuration"};
    const struct assessment *as = v->r->assessment;
    size_t told = 0;
    for (size_t i = 0; i < as->issues_n; i++) {
        const struct finding *f = &as->issues[i];
        bool first = i == 0 || as->issues[i - 1].kind != f->kind;
        if (first) {
            size_t n = 0;
            while (i + n < as->issues_n && as->issues[i + n].kind == f->kind)
                n++;
            bool bad = f->kind == FINDING_MALWARE || f->kind == FINDING_SECRET;
            buf_printf(v->b, "\n%s%s%s (%zu)\n", color(v, bad ? RED : BOLD), headings[f->kind], color(v, PLAIN), n);
            told = 0;
        }
        if (++told > ISSUES_SHOWN) {
            if (told == ISSUES_SHOWN + 1)
                buf_putz(v->b, "  ... (--format json has all)\n");
            continue;
        }
        buf_putz(v->b, "  ");
        cell(v, str_c(vuln_severity_name(f->severity)), 10);
        cell(v, f->id, 22);
        report_puts(v->b, f->path.n ? issue_place(v->a, f) : f->title);
        if (f->match.n) {
            buf_putz(v->b, "  ");
            report_puts(v->b, f->match);
        }
        if (f->hidden)
            buf_putz(v->b, "  (deleted by a later layer)");
        buf_putc(v->b, '\n');
    }
}

static void packages(struct view *v)
{
    const struct inventory *inv = v->r->inventory;
    buf_putz(v->b, "\n");
    for (size_t i = 0; i < inv->packages_n; i++) {
        const struct package *p = &inv->packages[i];
        buf_putz(v->b, "  ");
        cell(v, p->type, 4);
        cell(v, p->name, 34);
        cell(v, p->version, 36);
        report_puts(v->b, p->layer.n ? str_sub(p->layer, 0, 19) : p->path);
        buf_putc(v->b, '\n');
    }
}

static void reasons(struct view *v)
{
    const struct verdict *d = &v->r->assessment->verdict;
    bool denied = false;
    for (size_t i = 0; i < d->reasons_n; i++) {
        const struct reason *why = &d->reasons[i];
        if (i >= 200) {
            buf_printf(v->b, "  ... and %zu more (--format json has all)\n", d->reasons_n - i);
            break;
        }
        const struct reason *last = i ? &d->reasons[i - 1] : NULL;
        if (!last || last->deny != why->deny || !str_eq(last->policy, why->policy) || !str_eq(last->rule, why->rule)) {
            buf_printf(v->b, "  %s%s%s ", color(v, why->deny ? RED : YELLOW), why->deny ? "deny" : "warn",
                       color(v, PLAIN));
            report_puts(v->b, why->policy);
            buf_putz(v->b, why->rule.n ? ": " : "");
            report_puts(v->b, why->rule);
            buf_putc(v->b, '\n');
        }
        buf_putz(v->b, "       ");
        report_puts(v->b, why->text);
        if (why->exception.n) {
            buf_putz(v->b, " [excepted by ");
            report_puts(v->b, why->exception);
            buf_putz(v->b, "]");
        }
        buf_putc(v->b, '\n');
        denied |= why->deny && why->finding.n > 0;
    }
    if (denied)
        buf_putz(v->b, "\n  To lift a finding for a while, the owner of the policy adds to it:\n"
                       "    exceptions: [{finding: ID, package: NAME, reason: \"why\", owner: WHO, expires: DATE}]\n");
}

static void verdict(struct view *v)
{
    const struct inventory *inv = v->r->inventory;
    const struct verdict *d = &v->r->assessment->verdict;
    char t[TIME_TEXT];
    buf_putc(v->b, '\n');
    if (!d->allow)
        buf_printf(v->b, "verdict   %sDENY%s", color(v, RED), color(v, PLAIN));
    else if (inv->incomplete)
        buf_printf(v->b, "verdict   %sNONE, the scan is incomplete%s", color(v, RED), color(v, PLAIN));
    else
        buf_printf(v->b, "verdict   %sALLOW%s", color(v, GREEN), color(v, PLAIN));
    if (d->valid_until != TIME_NEVER && d->valid_until)
        buf_printf(v->b, ", until %s", time_format(d->valid_until, t));
    buf_putc(v->b, '\n');
    reasons(v);
    for (size_t i = 0; i < d->stale_n; i++) {
        const struct stale_exception *x = &d->stale[i];
        buf_putz(v->b, "  stale exception of ");
        report_puts(v->b, x->owner);
        buf_putz(v->b, " for ");
        report_puts(v->b, x->what);
        buf_printf(v->b, ": %s\n", x->expired ? "expired" : "lifts nothing in this image");
    }
}

void report_table(struct buf *b, const struct report *r)
{
    _cleanup_(arena_freep) struct arena *a = arena_new(LIMIT_SCAN_ARENA);
    struct view v = {.b = b, .r = r, .a = a};
    head(&v);
    if (r->list == REPORT_PACKAGES)
        packages(&v);
    else {
        findings(&v);
        issues(&v);
    }
    verdict(&v);
}

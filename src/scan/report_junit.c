/* JUnit XML, as the CI systems read it: one suite for the verdict, one for each kind of finding. A test case fails when
 * the verdict refuses it; when nothing judged (no policy, no --fail-on) every finding fails, so that none is
 * overlooked. */
#include "scan/report.h"

#include "base/cleanup.h"
#include "base/limits.h"
#include "base/time.h"

static void attribute(struct buf *b, const char *name, struct str value)
{
    buf_printf(b, " %s=\"", name);
    report_xml(b, value);
    buf_putc(b, '"');
}

static bool fails(const struct report *r, const struct reason *why)
{
    return why ? why->deny : !r->judged;
}

static void suite(struct buf *b, const char *name, size_t tests, size_t failures, const struct report *r)
{
    char t[TIME_TEXT];
    time_format(r->inventory->scanned, t);
    t[19] = 0; /* the format knows no fraction and no zone */
    buf_printf(b,
               "  <testsuite name=\"%s\" tests=\"%zu\" failures=\"%zu\" errors=\"0\" skipped=\"0\" timestamp=\"%s\" "
               "time=\"0\" hostname=\"bulkhead\">\n",
               name, tests, failures, t);
}

static void test(struct buf *b, struct str class, struct str name, struct str failure, bool failed, struct str note)
{
    buf_putz(b, "    <testcase");
    attribute(b, "classname", class);
    attribute(b, "name", name);
    buf_putz(b, " time=\"0\"");
    if (!failed && !note.n) {
        buf_putz(b, "/>\n");
        return;
    }
    buf_putz(b, ">\n");
    if (failed) {
        buf_putz(b, "      <failure type=\"denied\"");
        attribute(b, "message", failure);
        buf_putz(b, ">");
        report_xml(b, note.n ? note : failure);
        buf_putz(b, "</failure>\n");
    } else {
        buf_putz(b, "      <system-out>");
        report_xml(b, note);
        buf_putz(b, "</system-out>\n");
    }
    buf_putz(b, "    </testcase>\n");
}

/* Reasons that belong to no listed finding, and the verdict itself. */
static void verdict(struct buf *b, const struct report *r, struct str image, bool count, size_t *tests, size_t *failed)
{
    const struct verdict *v = &r->assessment->verdict;
    for (size_t i = 0; i < v->reasons_n; i++) {
        const struct reason *why = &v->reasons[i];
        if (why->finding.n && !str_starts(why->finding, STR("pkg:")))
            continue;
        ++*tests;
        *failed += why->deny;
        if (!count)
            test(b, image, why->rule.n ? why->rule : why->policy, why->text, why->deny, why->text);
    }
    ++*tests;
    *failed += !v->allow;
    if (!count)
        test(b, image, STR("verdict: allow"), STR("the image is refused"), !v->allow, STR_NONE);
}

static void findings(struct buf *b, struct arena *a, const struct report *r, int kind, bool count, size_t *tests,
                     size_t *failed)
{
    for (const struct finding *f = NULL; (f = report_next(r, f));) {
        if ((int)f->kind != kind)
            continue;
        const struct reason *why = report_reason(r, f);
        bool fail = fails(r, why);
        ++*tests;
        *failed += fail;
        if (count)
            continue;
        test(b, report_what(a, f), arena_strf(a, "%s " STR_FMT, vuln_severity_name(f->severity), STR_ARG(f->id)),
             report_sentence(a, f), fail, why ? why->text : STR_NONE);
    }
}

void report_junit(struct buf *b, const struct report *r)
{
    _cleanup_(arena_freep) struct arena *a = arena_new(LIMIT_SCAN_ARENA);
    struct str image = r->inventory->names_n ? r->inventory->names[0] : r->inventory->target;
    size_t tests[FINDING_KINDS + 1] = {0}, failed[FINDING_KINDS + 1] = {0}, all = 0, all_failed = 0;
    verdict(b, r, image, true, &tests[FINDING_KINDS], &failed[FINDING_KINDS]);
    for (int k = 0; k < FINDING_KINDS; k++)
        findings(b, a, r, k, true, &tests[k], &failed[k]);
    for (int k = 0; k <= FINDING_KINDS; k++)
        all += tests[k], all_failed += failed[k];
    buf_putz(b, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites");
    attribute(b, "name", image);
    buf_printf(b, " tests=\"%zu\" failures=\"%zu\" errors=\"0\" time=\"0\">\n", all, all_failed);
    suite(b, "verdict", tests[FINDING_KINDS], failed[FINDING_KINDS], r);
    size_t n = 0, m = 0;
    verdict(b, r, image, false, &n, &m);
    buf_putz(b, "  </testsuite>\n");
    for (int k = 0; k < FINDING_KINDS; k++) {
        if (!tests[k])
            continue;
        suite(b, report_kind((enum finding_kind)k), tests[k], failed[k], r);
        findings(b, a, r, k, false, &n, &m);
        buf_putz(b, "  </testsuite>\n");
    }
    buf_putz(b, "</testsuites>\n");
}

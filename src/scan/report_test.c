/* Views of a report, its way through JSON, and the assessment of stored findings. */
#include "scan/report.h"

#include "base/cleanup.h"
#include "base/limits.h"
#include "base/time.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define DIFF "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
#define ID   "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

static struct arena *a;
static struct package packages[3];
static struct finding findings[3];
static struct inventory_layer layer;
static struct str label_key, label_value, name;
static struct inventory inv;
static struct assessment as;

static struct package deb(const char *n, const char *v)
{
    return (struct package){.type = STR("deb"),
                            .name = str_c(n),
                            .version = str_c(v),
                            .arch = STR("amd64"),
                            .source_name = STR("src"),
                            .source_version = str_c(v),
                            .path = STR("var/lib/dpkg/status"),
                            .layer = STR(DIFF)};
}

static int assess_now(enum vuln_severity fail_on)
{
    struct assess_input in = {.inventory = &inv, .fail_on = fail_on, .now = 1764000000 * TIME_SECOND};
    struct err e = ERR_INIT;
    int r = assess(a, &in, &as, &e);
    if (r < 0)
        print_message("%s\n", e.msg);
    return r;
}

static int setup(void **state)
{
    a = arena_new(64u << 20);
    packages[0] = deb("bar", "1:2-3");
    packages[1] = deb("evil\x1b[2J\tname\nx", "1");
    packages[2] = deb("foo", "2");
    for (int i = 0; i < 3; i++)
        findings[i] = (struct finding){.kind = FINDING_VULN,
                                       .id = STR("CVE-2023-1"),
                                       .package = &packages[i],
                                       .cvss = -1,
                                       .epss = 0.5,
                                       .severity = VULN_LOW,
                                       .status = VULN_AFFECTED};
    findings[2].id = STR("CVE-2024-9");
    findings[2].severity = VULN_CRITICAL;
    findings[2].status = VULN_FIXED;
    findings[2].fixed = STR("3");
    findings[2].published = 1700000000 * TIME_SECOND;
    layer = (struct inventory_layer){
        .diff_id = STR(DIFF), .digest = STR(DIFF), .compression = STR("none"), .size = 10, .content_size = 10};
    label_key = STR("team");
    label_value = STR("shop");
    name = STR("app:1");
    inv = (struct inventory){
        .target = STR("archive:x.tar"),
        .image_id = STR(ID),
        .names = &name,
        .names_n = 1,
        .os = {.id = STR("debian"), .version_id = STR("12"), .pretty = STR("Debian 12")},
        .config = {.user = STR("app"), .label_keys = &label_key, .label_values = &label_value, .labels_n = 1},
        .layers = &layer,
        .layers_n = 1,
        .packages = packages,
        .packages_n = 3,
        .scanned = 1764000000 * TIME_SECOND,
        .scanner = STR("1"),
        .findings = findings,
        .findings_n = 3,
        .intel_revision = STR("abc"),
    };
    return 0;
}

static int teardown(void **state)
{
    arena_free(a);
    return 0;
}

static void test_assess(void **state)
{
    assert_int_equal(assess_now(VULN_UNKNOWN), 0);
    assert_true(as.verdict.allow);
    assert_int_equal(as.vulns_n, 3);
    assert_true(str_eqc(as.vulns[0].id, "CVE-2024-9")); /* worst first */
    assert_int_equal(as.facts.findings_n, 6);           /* and one for each package */
    assert_int_equal(as.facts.findings[3].kind, FINDING_PACKAGE);
    assert_true(str_starts(as.facts.findings[3].id, STR("pkg:deb/debian/bar@1")));
    assert_int_equal(assess_now(VULN_CRITICAL), 0);
    assert_false(as.verdict.allow);
    findings[2].severity = VULN_HIGH;
    assert_int_equal(assess_now(VULN_CRITICAL), 0);
    assert_true(as.verdict.allow);
    inv.incomplete = true; /* never an allow that looks like one */
    assert_int_equal(assess_now(VULN_UNKNOWN), 0);
    assert_true(as.facts.incomplete);
}

static void test_json_and_back(void **state)
{
    _cleanup_(buf_fini) struct buf one = BUF_INIT(1u << 20), two = BUF_INIT(1u << 20);
    struct json_value *v;
    struct err e = ERR_INIT;
    assert_int_equal(assess_now(VULN_UNKNOWN), 0);
    report_json(&one, &(struct report){.inventory = &inv, .assessment = &as});
    assert_int_equal(json_parse(a, buf_str(&one), 0, &v, &e), 0);
    struct inventory back;
    assert_int_equal(inventory_read(a, v, &back, &e), 0);
    assert_int_equal(back.findings_n, 3);
    assert_ptr_equal(back.findings[0].package, &back.packages[2]);
    inv = back;
    assert_int_equal(assess_now(VULN_UNKNOWN), 0);
    report_json(&two, &(struct report){.inventory = &inv, .assessment = &as});
    assert_true(str_eq(buf_str(&one), buf_str(&two)));
}

static void test_refused(void **state)
{
    static const struct {
        const char *from, *to;
    } edits[] = {
        {"bulkhead/scan-report/1", "bulkhead/scan-report/9"},
        {"\"image_id\":\"sha256:e3", "\"image_id\":\"sha256:ZZ"},
        {"\"diff_id\":\"sha256:ba", "\"diff_id\":\"sha512:ba"},
        {"\"severity\":\"critical\"", "\"severity\":\"grave\""},
        {"\"name\":\"foo\",\"version\":\"2\",\"arch\":\"amd64\",\"purl\"",
         "\"name\":\"fog\",\"version\":\"2\",\"arch\":\"amd64\",\"purl\""},
        {"\"names\":[\"app:1\"]", "\"names\":[1]"},
    };
    _cleanup_(buf_fini) struct buf b = BUF_INIT(1u << 20);
    assert_int_equal(assess_now(VULN_UNKNOWN), 0);
    report_json(&b, &(struct report){.inventory = &inv, .assessment = &as});
    for (size_t i = 0; i < ARRAY_LEN(edits); i++) {
        struct str text = buf_str(&b);
        ptrdiff_t at = str_find(text, str_c(edits[i].from));
        struct err e = ERR_INIT;
        struct inventory back;
        struct json_value *v;
        assert_true(at > 0);
        text = arena_strf(a, STR_FMT "%s" STR_FMT, STR_ARG(str_sub(text, 0, (size_t)at)), edits[i].to,
                          STR_ARG(str_sub(text, (size_t)at + strlen(edits[i].from), text.n)));
        assert_int_equal(json_parse(a, text, 0, &v, &e), 0);
        assert_int_equal(inventory_read(a, v, &back, &e), -EBADMSG);
    }
}

static void test_text(void **state)
{
    _cleanup_(buf_fini) struct buf b = BUF_INIT(1u << 20);
    assert_int_equal(assess_now(VULN_UNKNOWN), 0);
    struct report r = {.inventory = &inv, .assessment = &as};
    report_tsv(&b, &r);
    assert_true(str_starts(buf_str(&b), STR("deb\tbar\t1:2-3\tpkg:deb/debian/bar@1")));
    assert_true(str_has(buf_str(&b), STR("\ndeb\tevil?[2J?name?x\t1\t")));
    buf_reset(&b);
    r.list = REPORT_FINDINGS;
    report_tsv(&b, &r);
    assert_true(str_eq(buf_str(&b), STR("CVE-2023-1\tlow\tdeb\tbar\t1:2-3\t\taffected\n"
                                        "CVE-2023-1\tlow\tdeb\tevil?[2J?name?x\t1\t\taffected\n"
                                        "CVE-2024-9\tcritical\tdeb\tfoo\t2\t3\tfixed\n")));
    buf_reset(&b);
    r.list = REPORT_DEFAULT;
    report_table(&b, &r);
    assert_int_equal(str_chr(buf_str(&b), '\x1b'), -1);
    assert_true(str_has(buf_str(&b), STR("verdict   ALLOW")));
    assert_true(str_find(buf_str(&b), STR("CVE-2024-9")) < str_find(buf_str(&b), STR("CVE-2023-1")));
}

static void test_cyclonedx(void **state)
{
    _cleanup_(buf_fini) struct buf b = BUF_INIT(1u << 20);
    struct json_value *v;
    struct err e = ERR_INIT;
    assert_int_equal(assess_now(VULN_UNKNOWN), 0);
    report_cyclonedx(&b, &(struct report){.inventory = &inv, .assessment = &as});
    assert_int_equal(json_parse(a, buf_str(&b), 0, &v, &e), 0);
    const struct json_value *vulns = json_get(v, "vulnerabilities");
    assert_int_equal(json_get(v, "components")->count, 4); /* with the operating system */
    assert_int_equal(vulns->count, 2);
    assert_true(str_eqc(json_str(json_get(json_get(vulns->first, "affects")->first, "ref")), "package-2"));
    assert_int_equal(json_get(vulns->first->next, "affects")->count, 2);
}

int main(void)
{
#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
    const struct CMUnitTest tests[] = {T(test_assess), T(test_json_and_back), T(test_refused), T(test_text),
                                       T(test_cyclonedx)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

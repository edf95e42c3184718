#include "scan/vex.h"

#include "base/cleanup.h"
#include "base/time.h"

#include <setjmp.h>
#include <stdarg.h>
// cmocka needs the two above
#include <cmocka.h>

static struct str names[] = {STR("registry.example/shop/web:7")};
static const struct inventory image = {
    .image_id = STR("sha256:1111111111111111111111111111111111111111111111111111111111111111"),
    .digest = STR("sha256:2222222222222222222222222222222222222222222222222222222222222222"),
    .names = names,
    .names_n = 1,
    .os = {.id = STR("debian"), .version_id = STR("12"), .codename = STR("bookworm")},
};
static const struct package openssl = {.type = STR("deb"),
                                       .name = STR("libssl3"),
                                       .version = STR("3.0.9-1"),
                                       .arch = STR("amd64"),
                                       .source_name = STR("openssl"),
                                       .source_version = STR("3.0.9-1"),
                                       .path = STR("var/lib/dpkg/status")};
static const struct package lodash = {.type = STR("npm"),
                                      .name = STR("lodash"),
                                      .version = STR("4.17.20"),
                                      .path = STR("app/node_modules/lodash/package.json")};
static struct str ghsa[] = {STR("GHSA-35jh-r3h4-6jhm")};

static int64_t noon(void)
{
    int64_t t;
    assert_int_equal(time_parse(STR("2026-11-23T12:00:00Z"), &t), 0);
    return t;
}

struct outcome {
    struct arena *a;
    struct finding f[3];
    size_t n;
    struct vex_result r;
};

static struct outcome apply(struct arena *a, const char *text, bool ignore)
{
    struct outcome o = {.a = a, .n = 3};
    struct vex vex = {0};
    struct err e = ERR_INIT;
    int r = (ignore ? ignore_parse : vex_parse)(a, STR("file"), str_c(text), &vex, &e);
    if (r < 0)
        fail_msg("%s", e.msg);
    o.f[0] = (struct finding){.kind = FINDING_VULN,
                              .id = STR("CVE-2024-0727"),
                              .package = &openssl,
                              .path = openssl.path,
                              .status = VULN_FIXED,
                              .fixed = STR("3.0.13-1")};
    o.f[1] = (struct finding){.kind = FINDING_VULN,
                              .id = STR("CVE-2021-23337"),
                              .package = &lodash,
                              .path = lodash.path,
                              .aliases = ghsa,
                              .aliases_n = 1,
                              .status = VULN_WILL_NOT_FIX};
    o.f[2] = (struct finding){.kind = FINDING_SECRET, .id = STR("private-key"), .path = STR("root/.ssh/id_rsa")};
    vex_apply(a, &vex, &image, noon(), o.f, &o.n, &o.r);
    return o;
}

#define OPENVEX(status, product)                                                                                       \
    "{\"@context\":\"https://openvex.dev/ns/v0.2.0\",\"@id\":\"x\",\"author\":\"a\",\"timestamp\":"                    \
    "\"2026-01-01T00:00:00Z\",\"version\":1,\"statements\":[{\"vulnerability\":{\"name\":\"CVE-2024-0727\"},"          \
    "\"products\":[" product "],\"status\":\"" status "\",\"justification\":\"vulnerable_code_not_present\"}]}"

static void test_products(void **state)
{
    static const struct {
        const char *product;
        bool about;
    } cases[] = {
        {"{\"@id\":\"pkg:deb/debian/libssl3\"}", true},
        {"{\"@id\":\"pkg:deb/debian/libssl3@3.0.9-1?arch=amd64&distro=debian-12\"}", true},
        {"{\"@id\":\"pkg:deb/debian/libssl3@3.0.9-1?distro=12\"}", true},
        {"{\"@id\":\"pkg:deb/debian/openssl?arch=source\"}", true},
        {"{\"@id\":\"pkg:deb/debian/openssl\"}", false},
        {"{\"@id\":\"pkg:deb/debian/libssl3@3.0.8-1\"}", false},
        {"{\"@id\":\"pkg:deb/debian/libssl3?arch=arm64\"}", false},
        {"{\"@id\":\"pkg:deb/ubuntu/libssl3\"}", false},
        {"{\"@id\":\"pkg:npm/libssl3\"}", false},
        {"{\"@id\":\"pkg:oci/web\"}", true},
        {"{\"@id\":\"pkg:oci/web@sha256%3A2222222222222222222222222222222222222222222222222222222222222222\"}", true},
        {"{\"@id\":\"pkg:oci/web@sha256:3222222222222222222222222222222222222222222222222222222222222222\"}", false},
        {"{\"@id\":\"pkg:oci/db\"}", false},
        {"{\"@id\":\"registry.example/shop/web:7\"}", true},
        {"{\"@id\":\"pkg:oci/web\",\"subcomponents\":[{\"@id\":\"pkg:deb/debian/libssl3\"}]}", true},
        {"{\"@id\":\"pkg:oci/web\",\"subcomponents\":[{\"@id\":\"pkg:npm/lodash@4.17.20\"}]}", false},
        {"{\"@id\":\"pkg:oci/db\",\"subcomponents\":[{\"@id\":\"pkg:deb/debian/libssl3\"}]}", false},
    };
    _cleanup_(arena_freep) struct arena *a = arena_new(64u << 20);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        const char *text = arena_printf(a,
                                        "{\"@context\":\"https://openvex.dev/ns/v0.2.0\",\"statements\":[{"
                                        "\"vulnerability\":{\"name\":\"CVE-2024-0727\"},\"products\":[%s],"
                                        "\"status\":\"not_affected\"}]}",
                                        cases[i].product);
        struct outcome o = apply(a, text, false);
        assert_int_equal(o.n, 3);
        if ((o.f[0].status == VULN_NOT_AFFECTED) != cases[i].about)
            fail_msg("%s", cases[i].product);
        assert_int_equal(o.f[1].status, VULN_WILL_NOT_FIX);
        assert_int_equal(o.r.stale_n, cases[i].about ? 0 : 1);
    }
}

static void test_statuses(void **state)
{
    _cleanup_(arena_freep) struct arena *a = arena_new(64u << 20);
    struct outcome o = apply(a, OPENVEX("not_affected", "{\"@id\":\"pkg:deb/debian/libssl3\"}"), false);
    assert_true(str_eqc(o.f[0].vex, "not_affected: vulnerable_code_not_present (file)"));
    o = apply(a, OPENVEX("fixed", "{\"@id\":\"pkg:deb/debian/libssl3\"}"), false);
    assert_int_equal(o.f[0].status, VULN_NOT_AFFECTED);
    o = apply(a, OPENVEX("under_investigation", "{\"@id\":\"pkg:deb/debian/libssl3\"}"), false);
    assert_int_equal(o.f[0].status, VULN_UNDER_INVESTIGATION);
    o = apply(a, OPENVEX("affected", "{\"@id\":\"pkg:deb/debian/libssl3\"}"), false);
    assert_int_equal(o.f[0].status, VULN_FIXED); /* the fix is known still */
    struct vex vex = {0};
    struct err e = ERR_INIT;
    assert_int_equal(vex_parse(a, STR("x"), STR("{\"hello\":1}"), &vex, &e), -EBADMSG);
    assert_true(vex_parse(a, STR("x"), STR(OPENVEX("harmless", "{\"@id\":\"a\"}")), &vex, &e) < 0);
}

static void test_csaf(void **state)
{
    static const char text[] =
        "{\"document\":{\"category\":\"csaf_vex\",\"csaf_version\":\"2.0\"},\"product_tree\":{\"branches\":[{"
        "\"branches\":"
        "[{\"product\":{\"product_id\":\"P1\",\"product_identification_helper\":{\"purl\":\"pkg:npm/"
        "lodash@4.17.20\"}}},"
        "{\"product\":{\"product_id\":\"WEB\",\"product_identification_helper\":{\"purl\":\"pkg:oci/web\"}}},"
        "{\"product\":{\"product_id\":\"SSL\",\"product_identification_helper\":{\"purl\":\"pkg:deb/debian/"
        "libssl3\"}}}]}],"
        "\"relationships\":[{\"category\":\"default_component_of\",\"product_reference\":\"SSL\","
        "\"relates_to_product_reference\":\"WEB\",\"full_product_name\":{\"product_id\":\"WEB:SSL\"}}]},"
        "\"vulnerabilities\":[{\"cve\":\"CVE-2021-23337\",\"product_status\":{\"known_not_affected\":[\"P1\"]},"
        "\"flags\":"
        "[{\"label\":\"component_not_present\",\"product_ids\":[\"P1\"]}]},{\"cve\":\"CVE-2024-0727\","
        "\"product_status\":{\"under_investigation\":[\"WEB:SSL\"]}}]}";
    _cleanup_(arena_freep) struct arena *a = arena_new(64u << 20);
    struct outcome o = apply(a, text, false);
    assert_int_equal(o.f[0].status, VULN_UNDER_INVESTIGATION);
    assert_int_equal(o.f[1].status, VULN_NOT_AFFECTED);
    assert_true(str_eqc(o.f[1].vex, "not_affected: component_not_present (file)"));
    assert_int_equal(o.r.stale_n, 0);
}

static void test_cyclonedx(void **state)
{
    static const char text[] =
        "{\"bomFormat\":\"CycloneDX\",\"specVersion\":\"1.5\",\"components\":[{\"bom-ref\":\"c1\",\"purl\":"
        "\"pkg:npm/lodash@4.17.20\"}],\"vulnerabilities\":[{\"id\":\"GHSA-35jh-r3h4-6jhm\",\"analysis\":{\"state\":"
        "\"not_affected\",\"justification\":\"code_not_reachable\",\"detail\":\"template() is never "
        "called\"},\"affects\":"
        "[{\"ref\":\"c1\"}]},{\"id\":\"CVE-2024-0727\",\"analysis\":{\"state\":\"in_triage\"},\"affects\":[{\"ref\":"
        "\"urn:cdx:3e671687-395b-41f5-a30f-a58921a69b79/1#pkg:deb/debian/"
        "libssl3@3.0.9-1\"}]},{\"id\":\"CVE-2000-0001\"}]}";
    _cleanup_(arena_freep) struct arena *a = arena_new(64u << 20);
    struct outcome o = apply(a, text, false);
    assert_int_equal(o.f[1].status, VULN_NOT_AFFECTED); /* by its alias */
    assert_true(str_eqc(o.f[1].vex, "not_affected: code_not_reachable (file)"));
    assert_int_equal(o.f[0].status, VULN_UNDER_INVESTIGATION);
}

static void test_trivyignore(void **state)
{
    _cleanup_(arena_freep) struct arena *a = arena_new(64u << 20);
    struct outcome o = apply(a,
                             "# accepted\nCVE-2024-0727 exp:2027-01-31\n\nprivate-key # a test key\n"
                             "CVE-2021-23337 exp:2026-01-31\nCVE-1999-0001\n",
                             true);
    assert_int_equal(o.n, 1);
    assert_true(str_eqc(o.f[0].id, "CVE-2021-23337"));
    assert_int_equal(o.r.suppressed_n, 2);
    assert_true(str_eqc(o.r.suppressed[1].by->note, "a test key"));
    assert_int_equal(o.r.stale_n, 2);
    assert_true(str_eqc(o.r.stale[0], "file:5: CVE-2021-23337 expired 2026-01-31"));
    assert_true(str_eqc(o.r.stale[1], "file:6: CVE-1999-0001 is about nothing in this image"));
    o = apply(a,
              "vulnerabilities:\n  - id: CVE-2021-23337\n    paths: [\"app/**\"]\n    statement: build only\n"
              "  - id: CVE-2024-0727\n    purls: [\"pkg:deb/debian/zlib1g\"]\n    expired_at: 2027-01-01\n"
              "secrets:\n  - id: private-key\n    paths: [\"opt/**\"]\n",
              true);
    assert_int_equal(o.n, 2);
    assert_true(str_eqc(o.r.suppressed[0].finding.id, "CVE-2021-23337"));
    assert_int_equal(o.r.stale_n, 2);
    struct vex vex = {0};
    struct err e = ERR_INIT;
    assert_true(ignore_parse(a, STR("x"), STR("CVE-1 exp:soon\n"), &vex, &e) < 0);
    assert_true(ignore_parse(a, STR("x"), STR("CVE-1 CVE-2\n"), &vex, &e) < 0);
}

static void test_grype(void **state)
{
    _cleanup_(arena_freep) struct arena *a = arena_new(64u << 20);
    struct outcome o =
        apply(a,
              "ignore:\n  - vulnerability: CVE-2024-0727\n    fix-state: fixed\n    package: {name: libssl3, "
              "type: deb}\n    reason: ours\n  - fix-state: wont-fix\n",
              true);
    assert_int_equal(o.n, 1);
    assert_int_equal(o.f[0].kind, FINDING_SECRET);
    o = apply(a, "ignore:\n  - vulnerability: CVE-2024-0727\n    package: {version: 3.0.8-1}\n", true);
    assert_int_equal(o.n, 3);
    struct vex vex = {0};
    struct err e = ERR_INIT;
    assert_true(ignore_parse(a, STR("x"), STR("ignore:\n  - namespace: nvd\n"), &vex, &e) < 0);
    assert_true(ignore_parse(a, STR("x"), STR("ignore:\n  - reason: all\n"), &vex, &e) < 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_products),  cmocka_unit_test(test_statuses),    cmocka_unit_test(test_csaf),
        cmocka_unit_test(test_cyclonedx), cmocka_unit_test(test_trivyignore), cmocka_unit_test(test_grype),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

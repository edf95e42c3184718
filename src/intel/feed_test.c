/* One database out of every format (test/data/feeds), and what it says of packages just below and at the fixes that the
 * documents themselves name. */
#include "base/cleanup.h"
#include "base/fs.h"
#include "intel/build.h"
#include "intel/constraint.h"
#include "intel/intel.h"

#include <setjmp.h>
#include <stdarg.h>
// cmocka needs the two above
#include <cmocka.h>

struct fixture {
    char dir[64], db[128];
    struct arena *a;
    struct intel *intel;
};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    const char *data = getenv("BULKHEAD_TEST_DATA");
    struct err e = ERR_INIT;
    struct intel_build_report rep;
    f->a = arena_new(256u << 20);
    memcpy(f->dir, "/tmp/bh-feed-test-XXXXXX", 25);
    assert_non_null(mkdtemp(f->dir));
    snprintf(f->db, sizeof(f->db), "%s/intel.db", f->dir);
    struct intel_build b = {.dir = arena_printf(f->a, "%s/feeds", data ? data : "test/data"), .output = f->db};
    if (intel_build(&b, &rep, &e) < 0 || intel_open(f->db, NULL, INTEL_UNSIGNED_OK, &f->intel, &e) < 0)
        fail_msg("%s", e.msg);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    intel_unref(f->intel);
    fs_remove_tree(f->dir, NULL);
    arena_free(f->a);
    free(f);
    return 0;
}

struct row {
    const char *os, *release, *type, *name, *version, *source, *module;
    const char *id, *status, *severity, *fixed; /* status NULL: not hit */
};

static void check(struct fixture *f, const struct row *r)
{
    struct os_release os = {.id = str_c(r->os), .version_id = str_c(r->release)};
    struct package p = {.type = str_c(r->type), .name = str_c(r->name), .version = str_c(r->version)};
    struct advisory *v;
    size_t n;
    struct err e = ERR_INIT;
    p.source_name = str_c(r->source ? r->source : r->name);
    p.source_version = p.version;
    p.module = str_c(r->module);
    if (intel_match(f->intel, f->a, &p, r->os ? &os : NULL, &v, &n, &e) < 0)
        fail_msg("%s", e.msg);
    for (size_t i = 0; i < n; i++) {
        if (!str_eqc(v[i].id, r->id))
            continue;
        if (!r->status)
            fail_msg("%s %s: %s is told", r->name, r->version, r->id);
        assert_string_equal(vuln_status_name(v[i].status), r->status);
        if (!str_eqc(v[i].fixed, r->fixed))
            fail_msg("%s %s %s: fixed in " STR_FMT, r->name, r->version, r->id, STR_ARG(v[i].fixed));
        if (r->severity)
            assert_string_equal(vuln_severity_name(v[i].severity), r->severity);
        return;
    }
    if (r->status)
        fail_msg("%s %s: %s is missing", r->name, r->version, r->id);
}

static void test_formats(void **state)
{
    static const struct row rows[] = {
        /* Oracle's OVAL */
        {"ol", "5.8", "rpm", "bind-libs", "30:9.3.3-7.el5", NULL, NULL, "CVE-2007-0493", "fixed", "medium",
         "30:9.3.3-8.el5"},
        {"ol", "5.8", "rpm", "bind-libs", "30:9.3.3-8.el5", NULL, NULL, "CVE-2007-0493", NULL, NULL, ""},
        {"ol", "6.10", "rpm", "bind-libs", "30:9.3.3-7.el5", NULL, NULL, "CVE-2007-0493", NULL, NULL, ""},
        {"ol", "6.10", "rpm", "kernel-uek", "2.6.39-400.302.1.el6uek", NULL, NULL, "CVE-2018-7566", "fixed", "high",
         "0:2.6.39-400.302.2.el6uek"},
        /* SUSE's: the release with its service pack */
        {"sles", "15", "rpm", "krb5", "1.15.2-4.24", NULL, NULL, "CVE-2010-1323", "fixed", NULL, "1.15.2-4.25"},
        {"sles", "15", "rpm", "krb5", "1.15.2-4.25", NULL, NULL, "CVE-2010-1323", NULL, NULL, ""},
        {"sles", "15.1", "rpm", "kernel-default", "4.12.14-197.89.1", NULL, NULL, "CVE-2021-29154", "fixed", "high",
         "4.12.14-197.89.2"},
        {"sles", "15", "rpm", "kernel-default", "4.12.14-150.72.1", NULL, NULL, "CVE-2021-29154", NULL, NULL, ""},
        /* Red Hat's VEX: the fix of the release and what has none */
        {"rhel", "9.4", "rpm", "openssl-libs", "1:3.0.7-26.el9", "openssl", NULL, "CVE-2024-0727", "fixed", "low",
         "1:3.0.7-27.el9"},
        {"rhel", "9.4", "rpm", "openssl-libs", "1:3.0.7-27.el9", "openssl", NULL, "CVE-2024-0727", NULL, NULL, ""},
        {"rhel", "8.9", "rpm", "openssl-libs", "1:1.1.1k-12.el8_9", "openssl", NULL, "CVE-2024-0727", "fix_deferred",
         "low", ""},
        {"rhel", "8.9", "rpm", "edk2-ovmf", "20220126-6.el8", "edk2", NULL, "CVE-2024-0727", "will_not_fix", "low", ""},
        {"rhel", "8.9", "rpm", "openssl-debuginfo", "1:1.1.1k-12.el8_9", NULL, NULL, "CVE-2024-0727", NULL, NULL, ""},
        /* its API: by source; of two fixes the first */
        {"rhel", "9.5", "rpm", "python3", "3.9.18-3.el9_4.4", "python3.9", NULL, "CVE-2024-8088", "fixed", "medium",
         "0:3.9.18-3.el9_4.5"},
        {"rhel", "9.5", "rpm", "python3", "3.9.18-3.el9_4.5", "python3.9", NULL, "CVE-2024-8088", NULL, NULL, ""},
        /* its OVAL: a module's rows are for that stream only; EUS is not the release */
        {"rhel", "8.3", "rpm", "httpd", "2.4.37-21.module+el8.2.0+5008+cca404a3", NULL, "httpd:2.4:82:9f9e2e7e",
         "CVE-2018-17189", "fixed", "medium", "0:2.4.37-30.module+el8.3.0+7001+0766b9e7"},
        {"rhel", "8.3", "rpm", "httpd", "2.4.37-21.el8", NULL, NULL, "CVE-2018-17189", NULL, NULL, ""},
        {"rhel", "8.3", "rpm", "httpd", "2.4.37-21.el8", NULL, "httpd:2.6:1:2", "CVE-2018-17189", NULL, NULL, ""},
        {"rhel", "8.3", "rpm", "evolution", "3.28.5-12.el8", NULL, NULL, "CVE-2020-11879", "will_not_fix", "medium",
         ""},
        /* updateinfo */
        {"amzn", "2023", "rpm", "demo", "1:1.2-2.amzn2023", NULL, NULL, "CVE-2099-4001", "fixed", "high",
         "1:1.2-3.amzn2023"},
        {"amzn", "2023", "rpm", "demo", "1:1.2-2.amzn2023", NULL, NULL, "CVE-2099-4003", NULL, NULL, ""},
        {"amzn", "2", "rpm", "demo", "1:1.2-2.amzn2", NULL, NULL, "CVE-2099-4001", NULL, NULL, ""},
        {"almalinux", "8.9", "rpm", "nodejs", "1:18.18.0-1", NULL, "nodejs:18:8090020:5f0e1e9e", "CVE-2099-5001",
         "fixed", "medium", "1:18.19.0-1.module_el8.9.0+1"},
        {"almalinux", "8.9", "rpm", "nodejs", "1:18.18.0-1", NULL, "nodejs:20:1:2", "CVE-2099-5001", NULL, NULL, ""},
        {"photon", "4.0", "rpm", "demo", "1.2-2.ph4", NULL, NULL, "CVE-2099-6001", "fixed", NULL, "1.2-3.ph4"},
        {"photon", "4.0", "rpm", "demo", "1.2-3.ph4", NULL, NULL, "CVE-2099-6001", NULL, NULL, ""},
        {"photon", "4.0", "rpm", "demo", "9", NULL, NULL, "CVE-2099-6002", "affected", NULL, ""},
        {"wolfi", "20230201", "apk", "demo", "1.2-r2", NULL, NULL, "CVE-2099-7001", "fixed", NULL, "1.2-r3"},
        {"wolfi", "20230201", "apk", "demo", "1.2-r2", NULL, NULL, "CVE-2099-7002", NULL, NULL, ""},
        /* Ubuntu: tracker as text, of vuln-list, OSV, VEX, OVAL by binary package; ESM only for who has it */
        {"ubuntu", "22.04", "deb", "demou", "1.2-3", NULL, NULL, "CVE-2099-8001", "fixed", "high", "1.2-3ubuntu0.1"},
        {"ubuntu", "22.04", "deb", "demou", "1.2-3ubuntu0.1", NULL, NULL, "CVE-2099-8001", NULL, NULL, ""},
        {"ubuntu", "24.04", "deb", "demou", "1.0", NULL, NULL, "CVE-2099-8001", NULL, NULL, ""},
        {"ubuntu", "20.04", "deb", "demou", "1.2-3", NULL, NULL, "CVE-2099-8001", "fix_deferred", "high", ""},
        {"ubuntu", "18.04", "deb", "demou", "1.2-3", NULL, NULL, "CVE-2099-8001", "affected", "high", ""},
        {"ubuntu", "14.04", "deb", "demou", "1.2-3", NULL, NULL, "CVE-2099-8001", "end_of_life", "high", ""},
        {"ubuntu", "16.04", "deb", "demou", "1.2-3", NULL, NULL, "CVE-2099-8001", "affected", "high", ""},
        {"ubuntu", "16.04", "deb", "demou", "1.2-3ubuntu0.1+esm1", NULL, NULL, "CVE-2099-8001", "fixed", "high",
         "1.2-3ubuntu0.1+esm2"},
        {"ubuntu", "16.04", "deb", "demou", "1.2-3ubuntu0.1+esm2", NULL, NULL, "CVE-2099-8001", NULL, NULL, ""},
        {"ubuntu", "18.04", "deb", "xen", "1.2.2", NULL, NULL, "CVE-2020-1234", "fixed", "medium", "1.2.3"},
        {"ubuntu", "20.04", "deb", "xen", "1.2.2", NULL, NULL, "CVE-2020-1234", "under_investigation", "medium", ""},
        {"ubuntu", "18.04", "deb", "libwayland-bin", "1.16.0-1ubuntu1.1~18.04.3", "wayland", NULL, "CVE-2021-3782",
         "fixed", "medium", "1.16.0-1ubuntu1.1~18.04.4"},
        {"ubuntu", "18.04", "deb", "libwayland-bin", "1.16.0-1ubuntu1.1~18.04.4", "wayland", NULL, "CVE-2021-3782",
         NULL, NULL, ""},
        {"ubuntu", "16.04", "deb", "libwayland-bin", "1.12.0-1~ubuntu16.04.3", "wayland", NULL, "CVE-2021-3782",
         "affected", "medium", ""},
        {"ubuntu", "14.04", "deb", "dietlibc", "0.33", NULL, NULL, "CVE-2016-20013", "affected", NULL, ""},
        {"ubuntu", "22.04", "deb", "libdemo1", "1.2-3ubuntu0.1", "demo", NULL, "CVE-2099-8002", "fixed", "medium",
         "1.2-3ubuntu0.2"},
        {"ubuntu", "22.04", "deb", "libdemo1", "1.2-3ubuntu0.2", "demo", NULL, "CVE-2099-8002", NULL, NULL, ""},
        {"ubuntu", "22.04", "deb", "libother1", "1", "other", NULL, "CVE-2099-8002", "fix_deferred", "medium", ""},
        /* Debian's list, where the tracker says nothing of the release */
        {"debian", "11", "deb", "xserver-common", "2:1.20.11-1+deb11u5", "xorg-server", NULL, "CVE-2023-1393", "fixed",
         NULL, "2:1.20.11-1+deb11u6"},
        {"debian", "11", "deb", "xserver-common", "2:1.20.11-1+deb11u6", "xorg-server", NULL, "CVE-2023-1393", NULL,
         NULL, ""},
        /* languages: patched "~> 1.1.3", "~> 1.2.5", "~> 1.3.6", ">= 1.4.0" */
        {NULL, NULL, "gem", "rack", "1.2.4", NULL, NULL, "CVE-2011-5036", "fixed", "medium", "1.2.5"},
        {NULL, NULL, "gem", "rack", "1.2.5", NULL, NULL, "CVE-2011-5036", NULL, NULL, ""},
        {NULL, NULL, "gem", "rack", "1.1.3", NULL, NULL, "CVE-2011-5036", NULL, NULL, ""},
        {NULL, NULL, "gem", "rack", "1.0.1", NULL, NULL, "CVE-2011-5036", "fixed", "medium", "1.1.3"},
        /* patched ">= 0.12.3, < 0.13.0", ">= 0.13.1", unaffected "< 0.12" */
        {NULL, NULL, "cargo", "tokio-rustls", "0.13.0", NULL, NULL, "CVE-2020-35875", "fixed", "high", "0.13.1"},
        {NULL, NULL, "cargo", "tokio-rustls", "0.12.2", NULL, NULL, "CVE-2020-35875", "fixed", "high", "0.12.3"},
        {NULL, NULL, "cargo", "tokio-rustls", "0.12.3", NULL, NULL, "CVE-2020-35875", NULL, NULL, ""},
        {NULL, NULL, "cargo", "tokio-rustls", "0.11.9", NULL, NULL, "CVE-2020-35875", NULL, NULL, ""},
        {NULL, NULL, "composer", "twig/markdown-extra", "3.25.9", NULL, NULL, "CVE-2026-46637", "fixed", NULL,
         "3.26.0"},
        {NULL, NULL, "composer", "twig/markdown-extra", "3.26.0", NULL, NULL, "CVE-2026-46637", NULL, NULL, ""},
        {NULL, NULL, "composer", "twig/markdown-extra", "2.11.0", NULL, NULL, "CVE-2026-46637", NULL, NULL, ""},
        {NULL, NULL, "npm", "c3", "0.4.10", NULL, NULL, "CVE-2016-1000240", "fixed", "medium", "0.4.11"},
        {NULL, NULL, "npm", "c3", "0.4.11", NULL, NULL, "CVE-2016-1000240", NULL, NULL, ""},
        {NULL, NULL, "npm", "angular", "1.7.9", NULL, NULL, "CVE-2020-7676", "fixed", "medium", "1.8.0"},
        /* programs by their bytes: CPEs of NVD, Node.js' own list */
        {NULL, NULL, "generic", "openssl", "1.1.1m", NULL, NULL, "CVE-2022-0778", "fixed", "high", "1.1.1n"},
        {NULL, NULL, "generic", "openssl", "1.1.1n", NULL, NULL, "CVE-2022-0778", NULL, NULL, ""},
        {NULL, NULL, "generic", "openssl", "1.0.2zc", NULL, NULL, "CVE-2022-0778", "fixed", "high", "1.0.2zd"},
        {NULL, NULL, "generic", "openssl", "1.0.2zd", NULL, NULL, "CVE-2022-0778", NULL, NULL, ""},
        {NULL, NULL, "generic", "openssl", "3.0.2", NULL, NULL, "CVE-2022-0778", NULL, NULL, ""},
        {NULL, NULL, "generic", "node", "20.20.1", NULL, NULL, "CVE-2026-21713", "fixed", "medium", "20.20.2"},
        {NULL, NULL, "generic", "node", "20.20.2", NULL, NULL, "CVE-2026-21713", NULL, NULL, ""},
        {NULL, NULL, "generic", "node", "23.1.0", NULL, NULL, "CVE-2026-21713", NULL, NULL, ""},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        check(*state, &rows[i]);
}

static void test_constraints(void **state)
{
    static const struct {
        enum version_scheme scheme;
        const char *text, *version;
        bool holds;
    } cases[] = {
        {VERSION_GEM, "~> 2.1.3", "2.1.9", true},
        {VERSION_GEM, "~> 2.1.3", "2.2.0", false},
        {VERSION_GEM, "~> 2.1", "2.9", true},
        {VERSION_GEM, "~> 2.1", "3.0", false},
        {VERSION_GEM, ">= 1, < 2", "2.0", false},
        {VERSION_GEM, "!= 1.5", "1.5.0", false},
        {VERSION_SEMVER, "^0.2.3", "0.2.9", true},
        {VERSION_SEMVER, "^0.2.3", "0.3.0", false},
        {VERSION_SEMVER, "^1.2.3", "1.9.0", true},
        {VERSION_SEMVER, "^0.0.3", "0.0.4", false},
        {VERSION_COMPOSER, "~1.2", "1.9.9", true},
        {VERSION_COMPOSER, "~1.2.3", "1.3.0", false},
        {VERSION_COMPOSER, "1.2.*", "1.2.7", true},
        {VERSION_COMPOSER, "1.2.*", "1.3.0", false},
        {VERSION_GENERIC, "18.x || 20.x", "20.1", true},
        {VERSION_GENERIC, "18.x || 20.x", "19.1", false},
        {VERSION_GENERIC, "*", "1", true},
        {VERSION_GENERIC, "", "1", false},
        {VERSION_NPM, ">=1.2.3 <2", "1.9.9", true},
        {VERSION_GENERIC, ">1.0 <=1.4", "1.4", true},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        if (constraint_holds(cases[i].scheme, str_c(cases[i].text), str_c(cases[i].version)) != cases[i].holds)
            fail_msg("%s for %s", cases[i].text, cases[i].version);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_formats),
        cmocka_unit_test(test_constraints),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}

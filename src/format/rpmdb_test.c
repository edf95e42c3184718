/* rpm's three databases against what rpm itself says of them (rpm -qa). */
#include "format/rpmdb.h"

#include "base/cleanup.h"
#include "format/test_data.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

struct row {
    const char *name, *version, *arch, *source, *source_version, *module, *vendor, *license;
    size_t files;
};

static void check(const char *file, const struct row *rows, size_t n)
{
    _cleanup_(arena_freep) struct arena *a = arena_new(64u << 20);
    struct package_list list = PACKAGE_LIST(a);
    struct err e = ERR_INIT;
    int r = rpmdb_parse(&list, test_data(a, file), &e);
    assert_string_equal(e.msg, "");
    assert_int_equal(r, 0);
    assert_int_equal(list.n, n);
    for (size_t i = 0; i < n; i++) {
        const struct package *p = NULL;
        for (size_t k = 0; k < n; k++)
            if (str_eqc(list.v[k].name, rows[i].name))
                p = &list.v[k];
        assert_non_null(p);
        assert_true(str_eqc(p->type, "rpm"));
        assert_true(str_eqc(p->version, rows[i].version));
        assert_true(str_eqc(p->arch, rows[i].arch));
        assert_true(str_eqc(p->source_name, rows[i].source));
        assert_true(str_eqc(p->source_version, rows[i].source_version));
        assert_true(str_eqc(p->module, rows[i].module));
        assert_true(str_eqc(p->vendor, rows[i].vendor));
        assert_true(str_eqc(p->license, rows[i].license));
        assert_int_equal(p->files_n, rows[i].files);
    }
}

static void test_bdb(void **state)
{
    static const struct row rows[] = {
        {"libuuid", "2.32.1-42.el8_8", "x86_64", "util-linux", "2.32.1-42.el8_8", "", "Red Hat, Inc.", "BSD", 7}};
    check("rpm/bdb.gz", rows, ARRAY_LEN(rows));
}

static void test_ndb(void **state)
{
    static const struct row rows[] = {
        {"libz1", "1.2.11-3.21.1", "x86_64", "zlib", "1.2.11-3.21.1", "", "SUSE LLC <https://www.suse.com/>", "Zlib",
         4},
        {"libattr1", "2.4.47-2.19", "x86_64", "attr", "2.4.47-2.19", "", "SUSE LLC <https://www.suse.com/>",
         "GPL-2.0-or-later AND LGPL-2.1-or-later", 5},
    };
    check("rpm/ndb.gz", rows, ARRAY_LEN(rows));
}

static void test_sqlite(void **state)
{
#define MODULE "nodejs:18:8100020240718093037:489197e6"
#define NODE   "1:18.20.4-1.module+el8.10.0+22202+761b9a65"
    static const struct row rows[] = {
        {"nodejs", NODE, "x86_64", "nodejs", NODE, MODULE, "Bulkhead tests", "MIT AND Apache-2.0", 1},
        {"npm", "1:10.7.0-1.18.20.4.1.module+el8.10.0+22202+761b9a65", "noarch", "nodejs", NODE, MODULE,
         "Bulkhead tests", "MIT AND Apache-2.0", 1},
        {"openssl-libs", "3.0.7-27.el9", "x86_64", "openssl-libs", "3.0.7-27.el9", "", "", "ASL 2.0", 0},
        {"zlib", "1.2.11~rc1-3^git", "x86_64", "openssl-libs", "3.0.7-27.el9", "", "", "ASL 2.0", 0},
    };
    check("rpm/sqlite.gz", rows, ARRAY_LEN(rows));
}

/* Cut anywhere, each is an error or gives no more than the whole. */
static void test_cut(void **state)
{
    static const char *const files[] = {"rpm/bdb.gz", "rpm/ndb.gz", "rpm/sqlite.gz"};
    for (size_t i = 0; i < ARRAY_LEN(files); i++) {
        _cleanup_(arena_freep) struct arena *a = arena_new(256u << 20);
        struct str whole = test_data(a, files[i]);
        for (size_t n = 0; n < whole.n; n += whole.n / 50) {
            _cleanup_(arena_freep) struct arena *b = arena_new(64u << 20);
            struct package_list list = PACKAGE_LIST(b);
            struct err e = ERR_INIT;
            if (rpmdb_parse(&list, str_sub(whole, 0, n), &e) < 0)
                assert_string_not_equal(e.msg, "");
            assert_true(list.n <= 4);
        }
    }
}

static void test_manifest(void **state)
{
    _cleanup_(arena_freep) struct arena *a = arena_new(1u << 20);
    struct package_list list = PACKAGE_LIST(a);
    static const char text[] =
        "mariner-release\t2.0-12.cm2\t1653816591\t1653753130\tMicrosoft Corporation\t(none)\t580\tnoarch\t0\t"
        "mariner-release-2.0-12.cm2.src.rpm\n"
        "openssl-libs\t1.1.1k-17.cm2\t1653816591\t1653753130\tMicrosoft Corporation\t(none)\t580\tx86_64\t1\t"
        "openssl-1.1.1k-17.cm2.src.rpm\n";
    assert_int_equal(rpm_manifest_parse(&list, str_c(text), NULL), 0);
    assert_int_equal(list.n, 2);
    assert_true(str_eqc(list.v[0].version, "2.0-12.cm2"));
    assert_true(str_eqc(list.v[1].version, "1:1.1.1k-17.cm2"));
    assert_true(str_eqc(list.v[1].source_name, "openssl"));
    assert_true(str_eqc(list.v[1].vendor, "Microsoft Corporation"));
    assert_true(rpm_manifest_parse(&list, STR("<html>"), NULL) < 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_bdb), cmocka_unit_test(test_ndb),
                                       cmocka_unit_test(test_sqlite), cmocka_unit_test(test_cut),
                                       cmocka_unit_test(test_manifest)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

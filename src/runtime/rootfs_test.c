#include "runtime/rootfs.h"

#include "base/cleanup.h"
#include "base/fs.h"

#include <pwd.h>
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static void users_as_the_c_library_says(void **state)
{
    (void)state;
    _cleanup_(arena_freep) struct arena *a = arena_new(4u << 20);
    struct str text, name;
    struct err e = ERR_INIT;
    assert_int_equal(fs_read(a, "/etc/passwd", 1u << 20, &text, &e), 0);
    const int64_t uids[] = {0, 1, 2, 33, 65534};
    for (size_t i = 0; i < ARRAY_LEN(uids); i++) {
        const struct passwd *pw = getpwuid((uid_t)uids[i]);
        bool found = rootfs_parse_passwd(text, uids[i], &name);
        assert_int_equal(found, pw != NULL);
        if (found)
            assert_true(str_eqc(name, pw->pw_name));
    }
    assert_false(rootfs_parse_passwd(STR("a\x1b[31mb:x:7:7::/:/bin/sh\n"), 7, &name)); /* not on a terminal */
    assert_false(rootfs_parse_passwd(STR("no colons\n::::\nx:x:\n"), 0, &name));
}

static void files_as_dpkg_lists_them(void **state)
{
    (void)state;
    _cleanup_(arena_freep) struct arena *a = arena_new(4u << 20);
    struct str text;
    if (fs_read(a, "/var/lib/dpkg/info/dpkg.list", 1u << 20, &text, NULL) < 0) {
        skip(); /* no Debian */
        return;
    }
    assert_true(rootfs_parse_list(text, STR("/usr/bin/dpkg")));
    assert_false(rootfs_parse_list(text, STR("/usr/bin/dpk")));
    assert_true(rootfs_parse_list(STR("/.\n/bin\n/bin/x\n"), STR("/usr/bin/x"))); /* /bin is a link there */
    assert_false(rootfs_parse_list(STR("/.\n/bin\n/bin/x\n"), STR("/opt/bin/x")));
}

/* The form of lib/apk/db/installed: apk-tools' apk-installed(5). */
static void files_as_apk_lists_them(void **state)
{
    (void)state;
    struct rootfs_package p;
    struct str text =
        STR("P:musl\nV:1.2.4-r2\nF:lib\nR:libc.so\na:0:0:755\n\nP:curl\nV:8.5.0-r0\nF:usr\nF:usr/bin\nR:curl\n\n");
    assert_true(rootfs_parse_apk(text, STR("/usr/bin/curl"), &p));
    assert_true(str_eqc(p.name, "curl") && str_eqc(p.version, "8.5.0-r0"));
    assert_true(rootfs_parse_apk(text, STR("/usr/lib/libc.so"), &p)); /* /lib is a link there */
    assert_true(str_eqc(p.name, "musl"));
    assert_false(rootfs_parse_apk(text, STR("/usr/bin/libc.so"), &p));
    assert_false(rootfs_parse_apk(STR("R:curl\nF:\n"), STR("/curl"), &p)); /* of no package */
    assert_false(rootfs_parse_apk(text, STR("curl"), &p));
}

static void layers_of_the_right_overlay(void **state)
{
    (void)state;
    _cleanup_(arena_freep) struct arena *a = arena_new(1u << 20);
    struct str upper, lower;
    struct str text = STR("30 29 0:77 / /mine rw - overlay x rw,lowerdir=/a,upperdir=/etc,workdir=/w\n"
                          "21 20 0:49 / / rw,relatime master:1 - overlay overlay "
                          "rw,lowerdir=/l/A:/l/B,upperdir=/d\\040x/diff,workdir=/d/work\n"
                          "22 21 0:50 / /tmp rw - tmpfs tmpfs rw\n");
    assert_true(rootfs_parse_overlay(a, text, 49, &upper, &lower));
    assert_true(str_eqc(upper, "/d x/diff") && str_eqc(lower, "/l/A:/l/B"));
    assert_false(rootfs_parse_overlay(a, text, 50, &upper, &lower)); /* no overlay */
    assert_false(rootfs_parse_overlay(a, text, 51, &upper, &lower));
    assert_false(rootfs_parse_overlay(a, text, 8u << 20 | 49, &upper, &lower));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(users_as_the_c_library_says),
        cmocka_unit_test(files_as_dpkg_lists_them),
        cmocka_unit_test(files_as_apk_lists_them),
        cmocka_unit_test(layers_of_the_right_overlay),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

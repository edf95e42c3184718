#include "format/deb822.h"

#include "base/cleanup.h"
#include "base/fs.h"
#include "base/limits.h"
#include "format/apkdb.h"

#include <fcntl.h>
#include <setjmp.h>
#include <spawn.h>
#include <stdarg.h>
#include <sys/wait.h>

#include <cmocka.h>

extern char **environ;

static int by_row(const void *x, const void *y)
{
    return str_cmp(*(const struct str *)x, *(const struct str *)y);
}

/* dpkg-query's own view of this machine's database, rows sorted bytewise; false when there is no dpkg here. */
static bool dpkg_query(struct arena *a, struct str **ret, size_t *ret_n)
{
    char path[] = "/tmp/bulkhead-dpkg-XXXXXX";
    int fd = mkostemp(path, O_CLOEXEC), status;
    const char *argv[] = {
        "dpkg-query", "-W", "-f",
        "${db:Status-Status} ${Package} ${Version} ${Architecture} ${source:Package} ${source:Version}\n", NULL};
    posix_spawn_file_actions_t files;
    pid_t pid;
    struct str text, row;
    assert_true(fd >= 0);
    posix_spawn_file_actions_init(&files);
    posix_spawn_file_actions_adddup2(&files, fd, STDOUT_FILENO);
    int r = posix_spawnp(&pid, argv[0], &files, NULL, (char *const *)(uintptr_t)argv, environ);
    posix_spawn_file_actions_destroy(&files);
    if (r == 0)
        waitpid(pid, &status, 0);
    close(fd);
    r = r == 0 && status == 0 ? fs_read(a, path, 64u << 20, &text, NULL) : -1;
    unlink(path);
    if (r < 0)
        return false;
    size_t cap = 0, n = 0;
    struct str *rows = NULL;
    while (str_cut(&text, '\n', &row)) {
        struct str state, rest;
        if (row.n == 0 || !str_split(row, ' ', &state, &rest) || str_eqc(state, "config-files") ||
            str_eqc(state, "not-installed"))
            continue;
        rows = arena_grow(a, rows, n, &cap, sizeof(*rows));
        rows[n++] = rest;
    }
    qsort(rows, n, sizeof(*rows), by_row);
    *ret = rows;
    *ret_n = n;
    return true;
}

static void test_this_machine(void **state)
{
    _cleanup_(arena_freep) struct arena *a = arena_new(LIMIT_SCAN_ARENA);
    struct str text, *want;
    struct package *list;
    struct err e = ERR_INIT;
    size_t n, want_n;
    if (fs_read(a, "/var/lib/dpkg/status", LIMIT_SCAN_FILE, &text, NULL) < 0 || !dpkg_query(a, &want, &want_n))
        skip();
    assert_int_equal(dpkg_parse(a, text, &list, &n, &e), 0);
    assert_int_equal(n, want_n);
    struct str *have = arena_array(a, n, sizeof(*have));
    for (size_t i = 0; i < n; i++)
        have[i] = arena_strf(a, STR_FMT " " STR_FMT " " STR_FMT " " STR_FMT " " STR_FMT, STR_ARG(list[i].name),
                             STR_ARG(list[i].version), STR_ARG(list[i].arch), STR_ARG(list[i].source_name),
                             STR_ARG(list[i].source_version));
    qsort(have, n, sizeof(*have), by_row);
    for (size_t i = 0; i < n; i++) {
        if (!str_eq(have[i], want[i]))
            print_message("have " STR_FMT "\nwant " STR_FMT "\n", STR_ARG(have[i]), STR_ARG(want[i]));
        assert_true(str_eq(have[i], want[i]));
    }
}

/* States as dpkg defines them (dpkg(1), "Package states"). */
static const struct {
    const char *state;
    size_t present;
} states[] = {{"installed", 1},        {"half-installed", 1},   {"unpacked", 1},     {"half-configured", 1},
              {"triggers-awaited", 1}, {"triggers-pending", 1}, {"config-files", 0}, {"not-installed", 0}};

static void test_states(void **state)
{
    _cleanup_(arena_freep) struct arena *a = arena_new(1u << 20);
    for (size_t i = 0; i < ARRAY_LEN(states); i++) {
        struct package *list;
        size_t n;
        struct str text = arena_strf(a, "Package: a\nStatus: deinstall ok %s\nVersion: 1\n", states[i].state);
        assert_int_equal(dpkg_parse(a, text, &list, &n, NULL), 0);
        assert_int_equal(n, states[i].present);
    }
}

static void test_fields(void **state)
{
    static const char text[] =
        "# comment\n\n\nPackage: libssl3\nDescription: a\n b: c\n .\n\td\nversion:  3.0.11-1~deb12u2 \n"
        "Source: openssl (3.0.11-1)\n\n\nPackage: x\r\nVersion: 1:2\r\n";
    _cleanup_(arena_freep) struct arena *a = arena_new(1u << 20);
    struct package *list;
    size_t n;
    assert_int_equal(dpkg_parse(a, str_n(text, sizeof(text) - 1), &list, &n, NULL), 0);
    assert_int_equal(n, 2);
    assert_true(str_eqc(list[0].name, "libssl3") && str_eqc(list[0].version, "3.0.11-1~deb12u2"));
    assert_true(str_eqc(list[0].source_name, "openssl") && str_eqc(list[0].source_version, "3.0.11-1"));
    assert_true(str_eqc(list[1].version, "1:2") && str_eqc(list[1].source_name, "x") &&
                str_eqc(list[1].source_version, "1:2"));
}

/* Records in the form that apk-tools 2 writes (alpine 3.18's musl and busybox-binsh, files shortened). */
static const char apk_text[] =
    "C:Q1z3FJ5CDlVQCcW2mGTuvf5yBgqDM=\nP:musl\nV:1.2.4-r2\nA:x86_64\nS:388955\nI:634880\n"
    "T:the musl c library (libc) implementation\nU:https://musl.libc.org/\nL:MIT\no:musl\n"
    "m:Timo Teras <timo.teras@iki.fi>\nt:1698850206\nc:7af0e56b0f9a4b09eacb0a4e8ce49a27bae0a4b9\n"
    "p:so:libc.musl-x86_64.so.1=1\nF:lib\nR:ld-musl-x86_64.so.1\na:0:0:755\nZ:Q1KOFpGhoQ+MDb7YbFvhBbzqAQ8fQ=\n\n"
    "C:Q1pZLwZDlYuJfEhXzVIhmtZdBRSbw=\nP:busybox-binsh\nV:1.36.1-r5\nA:x86_64\nL:GPL-2.0-only\no:busybox\nr:busybox\n\n"
    "P:local\nV:0\n";

static void test_apk(void **state)
{
    _cleanup_(arena_freep) struct arena *a = arena_new(1u << 20);
    struct package *list;
    size_t n;
    assert_int_equal(apkdb_parse(a, str_n(apk_text, sizeof(apk_text) - 1), &list, &n, NULL), 0);
    assert_int_equal(n, 3);
    assert_true(str_eqc(list[0].name, "musl") && str_eqc(list[0].version, "1.2.4-r2") &&
                str_eqc(list[0].arch, "x86_64") && str_eqc(list[0].license, "MIT") && str_eqc(list[0].type, "apk"));
    assert_true(str_eqc(list[1].name, "busybox-binsh") && str_eqc(list[1].source_name, "busybox"));
    assert_true(str_eqc(list[2].source_name, "local") && list[2].license.n == 0);
    assert_int_equal(apkdb_parse(a, STR("P:x\n\n"), &list, &n, NULL), -EBADMSG);
    assert_int_equal(apkdb_parse(a, STR("PX\n"), &list, &n, NULL), -EBADMSG);
    assert_int_equal(apkdb_parse(a, STR(""), &list, &n, NULL), 0);
    assert_int_equal(n, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_this_machine), cmocka_unit_test(test_states),
                                       cmocka_unit_test(test_fields), cmocka_unit_test(test_apk)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

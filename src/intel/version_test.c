#include "intel/version.h"

#include "base/cleanup.h"
#include "base/fs.h"

#include <setjmp.h>
#include <spawn.h>
#include <stdarg.h>
#include <sys/wait.h>
// cmocka needs the three above
#include <cmocka.h>

extern char **environ;

static struct str vectors(struct arena *a, const char *name)
{
    const char *data = getenv("BULKHEAD_TEST_DATA");
    struct str text;
    struct err e = ERR_INIT;
    if (fs_read(a, arena_printf(a, "%s/vectors/%s.tsv", data ? data : "test/data", name), 4u << 20, &text, &e) < 0)
        fail_msg("%s", e.msg);
    return text;
}

static char sign(int r)
{
    return r < 0 ? '<' : r > 0 ? '>' : '=';
}

/* a, op, b, source: what the upstream suites say, and the same the other way round. */
static void check_vectors(const char *file, enum version_scheme scheme)
{
    _cleanup_(arena_freep) struct arena *arena = arena_new(8u << 20);
    struct str text = vectors(arena, file), line, a, op, b;
    size_t lines = 0, bad = 0;
    while (str_cut(&text, '\n', &line)) {
        if (!line.n || str_starts(line, STR("# ")))
            continue;
        assert_true(str_cut(&line, '\t', &a) && str_cut(&line, '\t', &op) && str_cut(&line, '\t', &b));
        int r = 0, back = 0;
        lines++;
        if (version_compare(scheme, a, b, &r) < 0 || version_compare(scheme, b, a, &back) < 0 || sign(r) != op.p[0] ||
            back != -r) {
            print_error("%s: " STR_FMT " " STR_FMT " " STR_FMT ": got %c\n", file, STR_ARG(a), STR_ARG(op), STR_ARG(b),
                        sign(r));
            bad++;
        }
    }
    assert_true(lines > 10);
    assert_int_equal(bad, 0);
}

static void test_vectors(void **state)
{
    static const struct {
        const char *file;
        enum version_scheme scheme;
    } files[] = {{"dpkg", VERSION_DPKG},     {"apk", VERSION_APK},     {"rpm", VERSION_RPM},
                 {"semver", VERSION_SEMVER}, {"semver", VERSION_NPM},  {"pep440", VERSION_PEP440},
                 {"gem", VERSION_GEM},       {"maven", VERSION_MAVEN}, {"composer", VERSION_COMPOSER},
                 {"nuget", VERSION_NUGET},   {"pub", VERSION_PUB}};
    for (size_t i = 0; i < ARRAY_LEN(files); i++)
        check_vectors(files[i].file, files[i].scheme);
}

static void test_npm_range(void **state)
{
    _cleanup_(arena_freep) struct arena *arena = arena_new(1u << 20);
    struct str text = vectors(arena, "npm-range"), line, range, want, version;
    while (str_cut(&text, '\n', &line)) {
        if (!line.n || line.p[0] == '#')
            continue;
        assert_true(str_cut(&line, '\t', &range) && str_cut(&line, '\t', &want) && str_cut(&line, '\t', &version));
        bool in = false;
        version_npm_range(range, version, &in);
        if (in != str_eqc(want, "in"))
            fail_msg("\"" STR_FMT "\" " STR_FMT " " STR_FMT, STR_ARG(range), STR_ARG(want), STR_ARG(version));
    }
    bool in;
    assert_int_equal(version_npm_range(STR(">=1 blerg"), STR("1.2.3"), &in), -EINVAL);
    assert_int_equal(version_npm_range(STR("1"), STR("1.2"), &in), -EINVAL);
}

/* What the vectors do not hold; from the documents named in the sources. */
static void test_cases(void **state)
{
    static const struct {
        enum version_scheme scheme;
        const char *a;
        char op;
        const char *b;
    } cases[] = {
        {VERSION_GO, "v1.2.3", '<', "v1.2.4"},
        {VERSION_GO, "v0.0.0-20190101000000-aaaaaaaaaaaa", '<', "v0.0.0-20200101000000-000000000000"},
        {VERSION_GO, "v1.2.4-0.20200101000000-aaaaaaaaaaaa", '<', "v1.2.4"},
        {VERSION_GO, "v2.0.0+incompatible", '=', "v2.0.0"},
        {VERSION_GO, "go1.22rc1", '<', "go1.22"},
        {VERSION_GO, "go1.22rc1", '=', "1.22.0-rc.1"},
        {VERSION_GO, "go1.9.7", '<', "1.10.0"},
        {VERSION_GO, "go1.22rc2", '>', "1.22.0-0"},
        {VERSION_RPM, "1:1.0-1", '>', "2.0-1"},
        {VERSION_RPM, "0:1.0-1", '=', "1.0-1"},
        {VERSION_DPKG, "1:1.0", '>', "2.0"},
        {VERSION_DPKG, "2.36-9+deb12u3", '<', "2.36-9+deb12u10"},
        {VERSION_APK, "1.1.1d-r3", '>', "1.1.1d-r2"},
        {VERSION_APK, "1.1.1d-r3", '>', "1.1.1-r9"},
        {VERSION_APK, "3.0.0_alpha1-r0", '<', "3.0.0-r0"},
        {VERSION_GENERIC, "1.36.1", '>', "1.9"},
        {VERSION_GENERIC, "1.0-rc1", '<', "1.0"},
        {VERSION_GENERIC, "9.9p1", '>', "9.9"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        int r = 9;
        assert_int_equal(version_compare(cases[i].scheme, str_c(cases[i].a), str_c(cases[i].b), &r), 0);
        if (sign(r) != cases[i].op)
            fail_msg("%s %c %s: got %c", cases[i].a, cases[i].op, cases[i].b, sign(r));
    }
}

static void test_invalid(void **state)
{
    static const struct {
        enum version_scheme scheme;
        const char *v;
    } cases[] = {
        {VERSION_DPKG, ""},
        {VERSION_DPKG, "1 2"},
        {VERSION_DPKG, "a:1"},
        {VERSION_DPKG, "1-"},
        {VERSION_DPKG, "abc"},
        {VERSION_DPKG, "1_2"},
        {VERSION_DPKG, ":1"},
        {VERSION_DPKG, "99999999999:1"},
        {VERSION_APK, ""},
        {VERSION_APK, "abc"},
        {VERSION_SEMVER, "latest"},
        {VERSION_SEMVER, "1.0.0-"},
        {VERSION_NPM, "not a version"},
        {VERSION_GEM, "1..2"},
        {VERSION_GEM, "junk"},
        {VERSION_GO, "master"},
        {VERSION_COMPOSER, "abc"},
        {VERSION_NUGET, "x.y"},
        {VERSION_PUB, "-1"},
        {VERSION_MAVEN, ""},
        {VERSION_PEP440, ""},
        {VERSION_RPM, ""},
        {VERSION_GENERIC, ".."},
        {VERSION_DPKG, "1\n"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        int r;
        if (version_compare(cases[i].scheme, str_c(cases[i].v), STR("1.0"), &r) != -EINVAL)
            fail_msg("case %zu: \"%s\" passed as a version", i, cases[i].v);
        assert_false(version_valid(cases[i].scheme, str_c(cases[i].v)));
    }
    assert_false(version_valid(VERSION_APK, STR("1-r-1")));
    assert_false(version_valid(VERSION_PEP440, STR("trunk")));
    assert_true(version_valid(VERSION_APK, STR("1.2.3_git20240101-r0")));
    enum version_scheme scheme;
    assert_int_equal(version_scheme_parse(STR("dpkg"), &scheme), 0);
    assert_int_equal(scheme, VERSION_DPKG);
    assert_int_equal(version_scheme_parse(STR("DPKG"), &scheme), -EINVAL);
}

/* ---- random versions against the real dpkg ---- */

static bool dpkg_says(const char *a, const char *op, const char *b)
{
    char *argv[] = {(char *)"dpkg", (char *)"--compare-versions", (char *)a, (char *)op, (char *)b, NULL};
    pid_t pid;
    int status;
    assert_int_equal(posix_spawnp(&pid, "dpkg", NULL, NULL, argv, environ), 0);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) < 2);
    return WEXITSTATUS(status) == 0;
}

static const char *random_version(char *out, size_t size)
{
    static const char *const pieces[] = {"0", "1", "9",  "10",  "01", ".", "+",  "~",
                                         "a", "b", "rc", "deb", "u",  "Z", "~~", ".0"};
    unsigned char dice[16];
    fs_random(dice, sizeof(dice));
    size_t n = (size_t)snprintf(out, size, "%s%u", dice[0] < 32 ? "1:" : "", dice[1] % 3);
    for (size_t i = 2; i < 2 + dice[15] % 8u; i++)
        n += (size_t)snprintf(out + n, size - n, "%s", pieces[dice[i] % ARRAY_LEN(pieces)]);
    if (dice[14] < 128)
        snprintf(out + n, size - n, "-%u%s", dice[13] % 3, pieces[dice[12] % ARRAY_LEN(pieces)]);
    return out;
}

static void test_against_dpkg(void **state)
{
    char *argv[] = {(char *)"dpkg", (char *)"--compare-versions", (char *)"1", (char *)"eq", (char *)"1", NULL};
    pid_t pid;
    int status;
    if (posix_spawnp(&pid, "dpkg", NULL, NULL, argv, environ)) {
        print_message("skipped: there is no dpkg here\n");
        skip();
    }
    waitpid(pid, &status, 0);
    for (int i = 0; i < 300; i++) {
        char a[128], b[128];
        random_version(a, sizeof(a));
        random_version(b, sizeof(b));
        int r = 9;
        assert_int_equal(version_compare(VERSION_DPKG, str_c(a), str_c(b), &r), 0);
        const char *op = r < 0 ? "lt" : r > 0 ? "gt" : "eq";
        if (!dpkg_says(a, op, b))
            fail_msg("dpkg does not agree: %s %s %s", a, op, b);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_vectors), cmocka_unit_test(test_npm_range),    cmocka_unit_test(test_cases),
        cmocka_unit_test(test_invalid), cmocka_unit_test(test_against_dpkg),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

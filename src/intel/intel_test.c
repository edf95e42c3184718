/* The whole way: feeds in test/data/feeds -> intel.db -> what it says about packages. */
#include "intel/intel.h"

#include "base/cleanup.h"
#include "base/fs.h"
#include "base/time.h"
#include "format/json.h"
#include "intel/build.h"
#include "intel/cvss.h"
#include "intel/diff.h"
#include "intel/feed.h"

#include <fcntl.h>
#include <setjmp.h>
#include <spawn.h>
#include <stdarg.h>
#include <sys/stat.h>
#include <sys/wait.h>
// cmocka needs the three above
#include <cmocka.h>

extern char **environ;

struct fixture {
    char dir[64];
    char db[128], key[128], pub[128];
    struct arena *a;
};

static const struct os_release bookworm = {.id = STR("debian"), .version_id = STR("12"), .codename = STR("bookworm")};
static const struct os_release alpine = {.id = STR("alpine"), .version_id = STR("3.11.6")};
static const struct os_release jammy = {.id = STR("ubuntu"), .version_id = STR("22.04")};

static int run(const char *program, ...)
{
    char *argv[16] = {(char *)program};
    pid_t pid;
    int status, n = 1;
    va_list ap;
    va_start(ap, program);
    while (n < 15 && (argv[n] = va_arg(ap, char *)))
        n++;
    va_end(ap);
    if (posix_spawnp(&pid, program, NULL, NULL, argv, environ))
        return -1;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static const char *feeds(struct arena *a)
{
    const char *data = getenv("BULKHEAD_TEST_DATA");
    return arena_printf(a, "%s/feeds", data ? data : "test/data");
}

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    f->a = arena_new(256u << 20);
    memcpy(f->dir, "/tmp/bh-intel-test-XXXXXX", 26);
    assert_non_null(mkdtemp(f->dir));
    snprintf(f->db, sizeof(f->db), "%s/intel.db", f->dir);
    snprintf(f->key, sizeof(f->key), "%s/intel.key", f->dir);
    snprintf(f->pub, sizeof(f->pub), "%s/intel.pub", f->dir);
    assert_int_equal(run("openssl", "genpkey", "-algorithm", "ed25519", "-out", f->key, NULL), 0);
    assert_int_equal(run("openssl", "pkey", "-in", f->key, "-pubout", "-out", f->pub, NULL), 0);
    struct intel_build b = {.dir = feeds(f->a), .output = f->db, .key = f->key};
    struct intel_build_report rep;
    struct err e = ERR_INIT;
    if (intel_build(&b, &rep, &e) < 0)
        fail_msg("%s", e.msg);
    assert_int_equal(rep.unknown, 1); /* KEV's schema */
    assert_int_equal(rep.kev, 2);
    assert_int_equal(rep.scores, 8);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    fs_remove_tree(f->dir, NULL);
    arena_free(f->a);
    free(f);
    return 0;
}

static struct intel *open_db(struct fixture *f)
{
    struct intel *i = NULL;
    struct err e = ERR_INIT;
    if (intel_open(f->db, f->pub, 0, &i, &e) < 0)
        fail_msg("%s", e.msg);
    assert_true(intel_signed(i));
    return i;
}

static struct package package(const char *type, const char *name, const char *version)
{
    return (struct package){.type = str_c(type),
                            .name = str_c(name),
                            .version = str_c(version),
                            .source_name = str_c(name),
                            .source_version = str_c(version)};
}

static size_t match(struct fixture *f, struct intel *i, struct package p, const struct os_release *os,
                    struct advisory **ret)
{
    size_t n = 0;
    struct err e = ERR_INIT;
    if (intel_match(i, f->a, &p, os, ret, &n, &e) < 0)
        fail_msg("%s", e.msg);
    return n;
}

static const struct advisory *find(const struct advisory *v, size_t n, const char *id)
{
    for (size_t i = 0; i < n; i++)
        if (str_eqc(v[i].id, id))
            return &v[i];
    return NULL;
}

/* ---- Debian: test/data/feeds/debian/handmade.json, read as docs of the tracker and trivy-db have it ---- */

static void test_debian_semantics(void **state)
{
    static const struct {
        const char *id;
        enum vuln_status status;
        enum vuln_severity severity;
        const char *source, *fixed;
    } want[] = {
        {"CVE-2099-0001", VULN_FIXED, VULN_MEDIUM, "debian", "1.2-3"},
        {"CVE-2099-0002", VULN_AFFECTED, VULN_HIGH, "debian", ""},
        {"CVE-2099-0003", VULN_AFFECTED, VULN_UNKNOWN, "", ""},
        {"CVE-2099-0004", VULN_WILL_NOT_FIX, VULN_LOW, "debian", ""},
        {"CVE-2099-0005", VULN_FIX_DEFERRED, VULN_LOW, "debian", ""},
        {"CVE-2099-0006", VULN_END_OF_LIFE, VULN_UNKNOWN, "", ""},
        {"CVE-2099-0007", VULN_AFFECTED, VULN_LOW, "debian", ""},
        {"CVE-2099-0010", VULN_FIXED, VULN_UNKNOWN, "", "1.2-3"},
        {"CVE-2023-27314", VULN_AFFECTED, VULN_HIGH, "nvd", ""},  /* 7.5 */
        {"CVE-2023-5631", VULN_AFFECTED, VULN_MEDIUM, "nvd", ""}, /* 6.1 */
        {"TEMP-0290435-0B57B5", VULN_AFFECTED, VULN_LOW, "debian", ""},
    };
    struct fixture *f = *state;
    _cleanup_(intel_unrefp) struct intel *i = open_db(f);
    struct advisory *v;
    size_t n = match(f, i, package("deb", "demo", "1.2-2"), &bookworm, &v);
    for (size_t k = 0; k < ARRAY_LEN(want); k++) {
        const struct advisory *adv = find(v, n, want[k].id);
        if (!adv)
            fail_msg("%s is missing", want[k].id);
        assert_string_equal(vuln_status_name(adv->status), vuln_status_name(want[k].status));
        assert_string_equal(vuln_severity_name(adv->severity), vuln_severity_name(want[k].severity));
        assert_true(str_eqc(adv->severity_source, want[k].source));
        assert_true(str_eqc(adv->fixed, want[k].fixed));
        assert_true(str_eqc(adv->source, "debian"));
        assert_false(adv->headers_only);
    }
    assert_int_equal(n, ARRAY_LEN(want)); /* neither undetermined, nor "0", nor another release's */
    for (size_t k = 1; k < n; k++)
        assert_true(v[k - 1].severity >= v[k].severity);
    const struct advisory *kev = find(v, n, "CVE-2023-5631");
    assert_true(kev->kev);
    assert_float_equal(kev->epss, 0.75873, 1e-9);
    assert_float_equal(kev->cvss, 6.1, 1e-9);
    assert_true(str_eqc(kev->title, "known to be exploited"));
    char date[64];
    int64_t want_date;
    snprintf(date, sizeof(date), "2023-10-12T19:15:11.747Z");
    assert_int_equal(time_parse(str_c(date), &want_date), 0);
    assert_int_equal(find(v, n, "CVE-2023-27314")->published, want_date);
    assert_true(
        str_eqc(find(v, n, "CVE-2023-27314")->advisory, "https://security-tracker.debian.org/tracker/CVE-2023-27314"));
    /* at the fix the fixed ones are gone */
    n = match(f, i, package("deb", "demo", "1.2-3"), &bookworm, &v);
    assert_null(find(v, n, "CVE-2099-0001"));
    assert_null(find(v, n, "CVE-2099-0010"));
    assert_non_null(find(v, n, "CVE-2099-0002"));
}

static void test_debian_source(void **state)
{
    struct fixture *f = *state;
    _cleanup_(intel_unrefp) struct intel *i = open_db(f);
    struct advisory *v;
    /* by source and source version, not by the binary's */
    struct package p = package("deb", "libdemo1", "9.9-1");
    p.source_name = STR("demo");
    p.source_version = STR("1.2-2");
    assert_true(match(f, i, p, &bookworm, &v) > 5);
    assert_int_equal(match(f, i, package("deb", "libdemo1", "1.2-2"), &bookworm, &v), 0);
    /* built again: 1.2-3+b1 has the fix of 1.2-3, and 1.2-2+b9 has not */
    size_t n = match(f, i, package("deb", "demo", "1.2-3+b1"), &bookworm, &v);
    assert_null(find(v, n, "CVE-2099-0001"));
    n = match(f, i, package("deb", "demo", "1.2-2+b9"), &bookworm, &v);
    assert_non_null(find(v, n, "CVE-2099-0001"));
    /* the kernel's headers are told apart */
    p = package("deb", "linux-libc-dev", "6.1.90-1");
    p.source_name = STR("linux");
    assert_int_equal(match(f, i, p, &bookworm, &v), 1);
    assert_true(v[0].headers_only);
    /* signed kernels: the fix of linux 6.1.99-1 is in linux-signed-amd64 6.1.99+1 */
    p = package("deb", "linux-image-6.1.0-22-amd64", "6.1.98+1");
    p.source_name = STR("linux-signed-amd64");
    assert_int_equal(match(f, i, p, &bookworm, &v), 1);
    assert_false(v[0].headers_only);
    p.version = p.source_version = STR("6.1.99+1");
    assert_int_equal(match(f, i, p, &bookworm, &v), 0);
    /* another release has its own rows; one that no feed knows is not covered */
    struct os_release trixie = {.id = STR("debian"), .version_id = STR("13")};
    n = match(f, i, package("deb", "demo", "1.2-3"), &trixie, &v);
    assert_int_equal(n, 2);
    assert_true(str_eqc(find(v, n, "CVE-2099-0001")->fixed, "1.9-1"));
    struct os_release buster = {.id = STR("debian"), .version_id = STR("9")}, fedora = {.id = STR("fedora")};
    assert_true(intel_covers(i, &bookworm) && intel_covers(i, &trixie) && intel_covers(i, &alpine) &&
                intel_covers(i, NULL));
    assert_false(intel_covers(i, &buster) || intel_covers(i, &fedora));
}

/* Every advisory of real packages at versions around the fixes: hit exactly when dpkg says lt. */
static void test_debian_against_dpkg(void **state)
{
    static const char *const versions[] = {"3.0.9-1", "3.0.11-1~deb12u2", "1.1.1n-0+deb11u5", "3.5.0-1",
                                           "1:1.2.13.dfsg-1"};
    static const char *const sources[] = {"openssl", "zlib"};
    struct fixture *f = *state;
    _cleanup_(intel_unrefp) struct intel *i = open_db(f);
    char tracker[256], json[512];
    struct json_value *doc;
    struct str text;
    struct err e = ERR_INIT;
    if (run("dpkg", "--compare-versions", "1", "eq", "1", NULL) != 0) {
        print_message("skipped: there is no dpkg here\n");
        skip();
    }
    snprintf(tracker, sizeof(tracker), "%s/debian/tracker.json.gz", feeds(f->a));
    snprintf(json, sizeof(json), "zcat %s > %s/tracker.json", tracker, f->dir);
    assert_int_equal(run("sh", "-c", json, NULL), 0);
    snprintf(json, sizeof(json), "%s/tracker.json", f->dir);
    assert_int_equal(fs_read(f->a, json, 1 << 20, &text, &e), 0);
    assert_int_equal(json_parse(f->a, text, 0, &doc, &e), 0);
    for (size_t s = 0; s < ARRAY_LEN(sources); s++)
        for (size_t k = 0; k < ARRAY_LEN(versions); k++) {
            struct advisory *v;
            size_t n = match(f, i, package("deb", sources[s], versions[k]), &bookworm, &v), hits = 0;
            JSON_EACH (json_get(doc, sources[s]), cve) {
                struct str fixed = json_str(json_path(cve, "releases.bookworm.fixed_version"));
                bool hit = run("dpkg", "--compare-versions", versions[k], "lt", arena_cstr(f->a, fixed), NULL) == 0;
                const struct advisory *adv = find(v, n, arena_cstr(f->a, cve->key));
                if (hit != !!adv)
                    fail_msg("%s %s: " STR_FMT " fixed in " STR_FMT ": %s", sources[s], versions[k], STR_ARG(cve->key),
                             STR_ARG(fixed), hit ? "missed" : "false");
                hits += hit;
            }
            assert_int_equal(n, hits);
        }
}

/* ---- Alpine: secdb v3.11 main; the lines quoted are in there ---- */

static void test_alpine(void **state)
{
    struct fixture *f = *state;
    _cleanup_(intel_unrefp) struct intel *i = open_db(f);
    struct advisory *v;
    /* openssl: "1.1.1d-r3": CVE-2019-1551; "1.1.1d-r1": three; "1.1.1b-r1": one; "1.1.1a-r0": two */
    assert_int_equal(match(f, i, package("apk", "openssl", "1.1.1d-r3"), &alpine, &v), 0);
    assert_int_equal(match(f, i, package("apk", "openssl", "1.1.1d-r2"), &alpine, &v), 1);
    assert_true(str_eqc(v[0].id, "CVE-2019-1551") && str_eqc(v[0].fixed, "1.1.1d-r3") && v[0].status == VULN_FIXED);
    assert_float_equal(v[0].epss, 0.14298, 1e-9);
    assert_int_equal(match(f, i, package("apk", "openssl", "1.1.1d-r0"), &alpine, &v), 4);
    assert_int_equal(match(f, i, package("apk", "openssl", "1.1.1-r0"), &alpine, &v), 7);
    /* by origin */
    struct package p = package("apk", "libssl1.1", "1.1.1d-r2");
    assert_int_equal(match(f, i, p, &alpine, &v), 0);
    p.source_name = STR("openssl");
    assert_int_equal(match(f, i, p, &alpine, &v), 1);
    /* busybox: CVE-2019-5747 stands at 1.29.3-r10 and 1.30.1-r2: the later one counts */
    size_t n = match(f, i, package("apk", "busybox", "1.30.1-r1"), &alpine, &v);
    assert_int_equal(n, 1);
    assert_true(str_eqc(v[0].fixed, "1.30.1-r2"));
    /* xen: "4.7.0-r0": ["CVE-2016-6258 XSA-182", ...]: one vulnerability of two names */
    n = match(f, i, package("apk", "xen", "4.6.0-r0"), &alpine, &v);
    const struct advisory *adv = find(v, n, "CVE-2016-6258");
    assert_non_null(adv);
    assert_null(find(v, n, "XSA-182"));
    assert_non_null(find(v, n, "XSA-207")); /* has no CVE */
    /* the YAML edition: openssl "1.0.2h-r0": CVE-2016-2107, "1.0.2h-r1": CVE-2016-2177 */
    struct os_release old = {.id = STR("alpine"), .version_id = STR("3.3.3")};
    n = match(f, i, package("apk", "openssl", "1.0.2h-r0"), &old, &v);
    assert_null(find(v, n, "CVE-2016-2107"));
    assert_true(str_eqc(find(v, n, "CVE-2016-2177")->fixed, "1.0.2h-r1"));
    struct os_release other = {.id = STR("alpine"), .version_id = STR("3.12.0")};
    assert_int_equal(match(f, i, package("apk", "openssl", "1.1.1-r0"), &other, &v), 0);
    assert_false(intel_covers(i, &other));
}

/* ---- OSV: test/data/feeds/osv/handmade ---- */

static void test_osv(void **state)
{
    static const struct {
        const char *version, *fixed; /* of CVE-2099-2001; NULL: not hit */
    } merged[] = {{"1.0", "1.5"},   {"1.5", NULL},   {"1.9", NULL},   {"2.0", "2.3.1"},
                  {"2.3", "2.3.1"}, {"2.3.1", NULL}, {"2.0rc1", NULL}};
    struct fixture *f = *state;
    _cleanup_(intel_unrefp) struct intel *i = open_db(f);
    struct advisory *v;
    for (size_t k = 0; k < ARRAY_LEN(merged); k++) {
        size_t n = match(f, i, package("pypi", "Demo.Package", merged[k].version), NULL, &v);
        const struct advisory *adv = find(v, n, "CVE-2099-2001");
        if (!!adv != !!merged[k].fixed)
            fail_msg("%s", merged[k].version);
        if (!adv)
            continue;
        assert_true(str_eqc(adv->fixed, merged[k].fixed));
        assert_int_equal(adv->status, VULN_FIXED);
        assert_null(find(v, n, "PYSEC-2099-1"));
        assert_null(find(v, n, "GHSA-aaaa-bbbb-cccc"));
        assert_int_equal(adv->severity, VULN_MEDIUM); /* GitHub's word before the score of 9.8 */
        assert_true(str_eqc(adv->severity_source, "ghsa"));
        assert_int_equal(adv->aliases_n, 2);
        assert_float_equal(adv->cvss, 9.8, 1e-9);
    }
    /* last_affected is inclusive; versions count beside ranges, as equal versions too */
    assert_int_equal(match(f, i, package("pypi", "demo-package", "1.2"), NULL, &v), 2);
    size_t n = match(f, i, package("pypi", "demo-package", "1.2.0"), NULL, &v);
    const struct advisory *last = find(v, n, "GHSA-dddd-eeee-ffff");
    assert_non_null(last);
    assert_int_equal(last->status, VULN_AFFECTED);
    assert_int_equal(last->severity, VULN_CRITICAL); /* 9.8, nobody has a word for it */
    n = match(f, i, package("pypi", "demo-package", "1.3"), NULL, &v);
    assert_null(find(v, n, "GHSA-dddd-eeee-ffff"));
    n = match(f, i, package("pypi", "demo-package", "0.9-1"), NULL, &v);
    assert_non_null(find(v, n, "GHSA-dddd-eeee-ffff"));
    /* withdrawn */
    assert_null(find(v, n, "GHSA-gggg-hhhh-iiii"));
    /* the newer of two copies counts: 1.4.2 and everything before 1.0.0 are not affected any more */
    assert_int_equal(match(f, i, package("npm", "@demo/thing", "0.9.0"), NULL, &v), 0);
    assert_int_equal(match(f, i, package("npm", "@demo/thing", "1.4.1"), NULL, &v), 1);
    assert_true(str_eqc(v[0].fixed, "1.4.2"));
    assert_int_equal(match(f, i, package("npm", "@demo/thing", "1.4.2"), NULL, &v), 0);
    assert_int_equal(match(f, i, package("npm", "@demo/thing", "2.0.0-beta.1"), NULL, &v), 1);
    assert_true(str_eqc(v[0].fixed, "2.1.0"));
    /* Go's own versions */
    assert_int_equal(match(f, i, package("golang", "stdlib", "go1.21.7"), NULL, &v), 1);
    assert_true(str_eqc(v[0].id, "CVE-2099-2002") && str_eqc(v[0].fixed, "1.21.8"));
    assert_int_equal(match(f, i, package("golang", "stdlib", "1.21.8"), NULL, &v), 0);
    assert_int_equal(match(f, i, package("golang", "stdlib", "go1.22rc1"), NULL, &v), 1);
    assert_int_equal(match(f, i, package("golang", "stdlib", "go1.22.1"), NULL, &v), 0);
    /* PyPA's YAML: introduced 0, fixed 2.11.3 */
    assert_int_equal(match(f, i, package("pypi", "Jinja2", "2.11.2"), NULL, &v), 1);
    assert_true(str_eqc(v[0].id, "CVE-2020-28493") && str_eqc(v[0].fixed, "2.11.3"));
    assert_int_equal(match(f, i, package("pypi", "Jinja2", "2.11.3"), NULL, &v), 0);
    /* a distribution's notice about two CVEs is told as these */
    n = match(f, i, package("deb", "demo", "1.0-1"), &jammy, &v);
    assert_int_equal(n, 2);
    const struct advisory *ubuntu = find(v, n, "CVE-2099-3001");
    assert_non_null(ubuntu);
    assert_int_equal(ubuntu->severity, VULN_MEDIUM);
    assert_non_null(find(v, n, "CVE-2099-3002"));
    assert_int_equal(match(f, i, package("deb", "demo", "1.0-2ubuntu1"), &jammy, &v), 0);
    /* a kind of package that no feed has */
    assert_int_equal(match(f, i, package("conan", "zlib", "1.0"), NULL, &v), 0);
}

/* ---- the file ---- */

static int try_open(const char *path, const char *pub, int flags)
{
    struct intel *i = NULL;
    struct err e = ERR_INIT;
    int r = intel_open(path, pub, flags, &i, &e);
    intel_unref(i);
    if (r < 0)
        assert_true(e.msg[0]);
    return r;
}

static void test_tamper(void **state)
{
    struct fixture *f = *state;
    struct str file;
    struct err e = ERR_INIT;
    char copy[160], other[160], other_pub[160];
    snprintf(copy, sizeof(copy), "%s/copy.db", f->dir);
    assert_int_equal(fs_read(f->a, f->db, 64u << 20, &file, &e), 0);
    char *bytes = (char *)file.p;
    for (size_t k = 0; k < 400; k++) {
        size_t at = k < 16 ? k * 7 : k < 100 ? file.n - 1 - (k - 16) * 6 : file.n / 300 * (k - 100);
        bytes[at] ^= (char)(1 << (k % 8));
        assert_int_equal(fs_write(copy, file, 0600, &e), 0);
        int r = try_open(copy, f->pub, 0);
        if (r != -EKEYREJECTED)
            fail_msg("byte %zu of %zu flipped: %d", at, file.n, r);
        bytes[at] ^= (char)(1 << (k % 8));
    }
    assert_int_equal(fs_write(copy, file, 0600, &e), 0);
    assert_int_equal(try_open(copy, f->pub, 0), 0);
    /* cut, extended, without trailer */
    for (size_t cut = 1; cut < 5000; cut += 511) {
        assert_int_equal(fs_write(copy, str_sub(file, 0, file.n - cut), 0600, &e), 0);
        assert_int_equal(try_open(copy, f->pub, 0), -EKEYREJECTED);
    }
    assert_int_equal(fs_write(copy, str_sub(file, 0, file.n - 512), 0600, &e), 0);
    assert_int_equal(try_open(copy, NULL, INTEL_UNSIGNED_OK), 0);
    assert_int_equal(try_open(copy, NULL, 0), -EKEYREJECTED);
    assert_int_equal(fs_write(copy, str_sub(file, 0, file.n - 513), 0600, &e), 0);
    assert_int_equal(try_open(copy, NULL, INTEL_UNSIGNED_OK), -EBADMSG);
    assert_int_equal(fs_write(copy, STR("nonsense"), 0600, &e), 0);
    assert_int_equal(try_open(copy, NULL, INTEL_UNSIGNED_OK), -EBADMSG);
    assert_int_equal(try_open("/nonexistent/intel.db", f->pub, 0), -ENOENT);
    assert_int_equal(try_open(f->db, f->key, 0), 0); /* the signer's own key has the public half */
    /* another key */
    snprintf(other, sizeof(other), "%s/other.key", f->dir);
    snprintf(other_pub, sizeof(other_pub), "%s/other.pub", f->dir);
    run("openssl", "genpkey", "-algorithm", "ed25519", "-out", other, NULL);
    run("openssl", "pkey", "-in", other, "-pubout", "-out", other_pub, NULL);
    assert_int_equal(try_open(f->db, other_pub, 0), -EKEYREJECTED);
    run("openssl", "genpkey", "-algorithm", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", other, NULL);
    run("openssl", "pkey", "-in", other, "-pubout", "-out", other_pub, NULL);
    assert_int_equal(try_open(f->db, other_pub, 0), -EINVAL);
}

static void test_reproducible(void **state)
{
    struct fixture *f = *state;
    char again[160];
    struct str one, two, json;
    struct err e = ERR_INIT;
    struct intel_build_report rep;
    snprintf(again, sizeof(again), "%s/again.db", f->dir);
    struct intel_build b = {.dir = feeds(f->a), .output = again, .key = f->key};
    assert_int_equal(intel_build(&b, &rep, &e), 0);
    assert_int_equal(fs_read(f->a, f->db, 64u << 20, &one, &e), 0);
    assert_int_equal(fs_read(f->a, again, 64u << 20, &two, &e), 0);
    assert_true(str_eq(one, two));
    _cleanup_(intel_unrefp) struct intel *i = open_db(f);
    assert_int_equal(intel_check(i, &e), 0);
    assert_true(str_eqc(intel_revision(i), rep.revision));
    int64_t built;
    assert_int_equal(time_parse(STR("2026-08-16"), &built), 0); /* the EPSS scores are the newest */
    assert_true(intel_built(i) >= built);
    assert_int_equal(intel_info(i, f->a, &json, &e), 0);
    assert_true(str_has(json, STR("\"alpine/v3.11\"")));
    assert_int_equal(intel_show(i, f->a, STR("PYSEC-2099-1"), &json, &e), 0);
    assert_true(str_has(json, STR("CVE-2099-2001")) && str_has(json, STR("GHSA-aaaa-bbbb-cccc")));
    assert_int_equal(intel_show(i, f->a, STR("CVE-1900-1"), &json, &e), -ENOENT);
}

static void count_change(void *arg, const struct intel_change *c)
{
    size_t *n = arg;
    n[c->sign == '+' ? 0 : c->sign == '-' ? 1 : 2]++;
}

static void write_file(struct fixture *f, const char *dir, const char *name, struct str text)
{
    struct err e = ERR_INIT;
    const char *path = arena_printf(f->a, "%s/%s", f->dir, dir);
    assert_int_equal(fs_mkdirs(path, 0755, &e), 0);
    assert_int_equal(fs_write(arena_printf(f->a, "%s/%s", path, name), text, 0644, &e), 0);
}

#define TRACKER(cves) "{\"demo\": {" cves "}}"
#define FIXED(cve, version)                                                                                            \
    "\"" cve "\": {\"releases\": {\"bookworm\": {\"status\": \"resolved\", \"fixed_version\": \"" version              \
    "\", \"urgency\": \"low\"}}}"

static void test_diff(void **state)
{
    struct fixture *f = *state;
    struct intel *db[2] = {0};
    struct err e = ERR_INIT;
    struct intel_build_report rep;
    size_t changes[3] = {0};
    struct intel_diff d = {count_change, changes};
    write_file(
        f, "a", "t.json",
        STR(TRACKER(FIXED("CVE-2099-0001", "1") "," FIXED("CVE-2099-0002", "1") "," FIXED("CVE-2099-0003", "1"))));
    write_file(
        f, "b", "t.json",
        STR(TRACKER(FIXED("CVE-2099-0001", "1") "," FIXED("CVE-2099-0003", "2") "," FIXED("CVE-2099-0004", "1"))));
    for (int k = 0; k < 2; k++) {
        const char *out = arena_printf(f->a, "%s/%c.db", f->dir, 'a' + k);
        struct intel_build b = {.dir = arena_printf(f->a, "%s/%c", f->dir, 'a' + k), .output = out};
        assert_int_equal(intel_build(&b, &rep, &e), 0);
        assert_int_equal(intel_open(out, NULL, INTEL_UNSIGNED_OK, &db[k], &e), 0);
        assert_false(intel_signed(db[k]));
    }
    assert_int_equal(intel_diff(db[0], db[1], &d, &e), 0);
    assert_int_equal(changes[0], 1);
    assert_int_equal(changes[1], 1);
    assert_int_equal(changes[2], 1);
    assert_false(str_eq(intel_revision(db[0]), intel_revision(db[1])));
    intel_unref(db[0]);
    intel_unref(db[1]);
}

struct told {
    char bad[512], unknown[512];
    size_t bads, unknowns;
};

static void listen(void *arg, enum intel_build_event event, struct str text)
{
    struct told *t = arg;
    if (event == INTEL_BUILD_BAD && ++t->bads)
        snprintf(t->bad, sizeof(t->bad), STR_FMT, STR_ARG(text));
    if (event == INTEL_BUILD_UNKNOWN && ++t->unknowns)
        snprintf(t->unknown, sizeof(t->unknown), STR_FMT, STR_ARG(text));
}

/* A broken file ends the build, is told with its place, and leaves the old output alone. */
static void test_broken(void **state)
{
    static const struct {
        const char *name;
        struct str text;
        const char *where;
    } cases[] = {
        {"cut.json", STR("{\"demo\": {\"CVE-2099-0001\": {\"releases\": {\"bookworm\": {\"status\": \"resol"),
         "line 1"},
        {"status.json", STR(TRACKER("\"CVE-2099-1\": {\"releases\": {\"sid\": {\"status\": \"solved\"}}}")),
         "demo CVE-2099-1"},
        {"osv.json", STR("{\"id\": \"GHSA-1\", \"modified\": \"2024-01-01T00:00:00Z\", \"affected\": [}"), "line 1"},
        {"epss.csv", STR("#model_version:v1,score_date:2026-01-01\ncve,epss,percentile\nCVE-2099-1,2.5,0.1\n"),
         "line 3"},
        {"kev.json", STR("{\"catalogVersion\": \"1\", \"vulnerabilities\": [{\"cveID\": 7}]}"), "entry 1"},
        {"secdb.json",
         STR("{\"distroversion\": \"v3.1\", \"reponame\": \"main\", \"packages\": [{\"pkg\": {\"name\": \"a\", "
             "\"secfixes\": []}}]}"),
         "package a"},
        {"broken.json", STR("{\"anything\": tru"), "line 1"},
        {"osv.yaml", STR("id: PYSEC-1\nmodified: 2024-01-01\naffected:\n- package: [\n"), "line"},
        {"alias.yaml", STR("id: PYSEC-1\nmodified: &a 2024-01-01\naffected: *a\n"), "an alias at line 3"},
        {"bad.gz", STR("\x1f\x8b\x08\0\0\0\0\0\0\x03 this is no deflate stream"), "unpacking"},
    };
    struct fixture *f = *state;
    for (size_t k = 0; k < ARRAY_LEN(cases); k++) {
        struct err e = ERR_INIT;
        struct intel_build_report rep;
        struct told t = {0};
        struct str content;
        const char *dir = arena_printf(f->a, "bad%zu", k), *out = arena_printf(f->a, "%s/bad.db", f->dir);
        write_file(f, dir, "good.json", STR(TRACKER(FIXED("CVE-2099-0001", "1"))));
        write_file(f, dir, cases[k].name, cases[k].text);
        assert_int_equal(fs_write(out, STR("old"), 0644, &e), 0);
        struct intel_build b = {
            .dir = arena_printf(f->a, "%s/%s", f->dir, dir), .output = out, .tell = listen, .arg = &t};
        int r = intel_build(&b, &rep, &e);
        if (r != -EBADMSG || t.bads != 1 || !strstr(t.bad, cases[k].name) || !strstr(t.bad, cases[k].where))
            fail_msg("%s: %d, %zu told: %s", cases[k].name, r, t.bads, t.bad);
        assert_int_equal(fs_read(f->a, out, 100, &content, &e), 0);
        assert_true(str_eqc(content, "old"));
    }
    /* nothing is left beside the output */
    char *list = arena_printf(f->a, "! ls %s | grep -q -e stage -e new-", f->dir);
    assert_int_equal(run("sh", "-c", list, NULL), 0);
}

static void test_unknown(void **state)
{
    struct fixture *f = *state;
    struct err e = ERR_INIT;
    struct intel_build_report rep;
    struct told t = {0};
    write_file(f, "unknown", "good.json", STR(TRACKER(FIXED("CVE-2099-0001", "1"))));
    write_file(f, "unknown", "notes.txt", STR("hello"));
    write_file(f, "unknown", "empty", STR(""));
    write_file(f, "unknown", "csaf.json", STR("{\"document\": {}, \"vulnerabilities\": [{\"cve\": \"CVE-2024-1\"}]}"));
    struct intel_build b = {.dir = arena_printf(f->a, "%s/unknown", f->dir),
                            .output = arena_printf(f->a, "%s/u.db", f->dir),
                            .tell = listen,
                            .arg = &t};
    if (intel_build(&b, &rep, &e) < 0)
        fail_msg("%s", e.msg);
    assert_int_equal(t.bads, 0);
    assert_int_equal(rep.affected, 1);
    assert_true(t.unknowns >= 2);
}

/* Vectors and scores of the specifications: CVSS 3.1 examples document, CVSS 2 guide section 3.3. */
static void test_cvss(void **state)
{
    static const struct {
        const char *vector;
        double score;
        int version;
    } cases[] = {
        {"CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H", 9.8, 3},
        {"CVSS:3.0/AV:N/AC:L/PR:N/UI:N/S:C/C:H/I:H/A:H", 10.0, 3},
        {"CVSS:3.1/AV:N/AC:L/PR:N/UI:R/S:C/C:L/I:L/A:N", 6.1, 3},
        {"CVSS:3.1/AV:N/AC:H/PR:N/UI:R/S:U/C:L/I:N/A:N", 3.1, 3},
        {"CVSS:3.1/AV:N/AC:L/PR:L/UI:N/S:C/C:L/I:L/A:N", 6.4, 3},
        {"CVSS:3.1/AV:L/AC:L/PR:N/UI:R/S:U/C:H/I:H/A:H", 7.8, 3},
        {"CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:N/A:N", 7.5, 3},
        {"CVSS:3.1/AV:P/AC:L/PR:N/UI:N/S:U/C:N/I:N/A:N", 0.0, 3},
        {"AV:N/AC:L/Au:N/C:N/I:N/A:C", 7.8, 2},
        {"AV:N/AC:L/Au:N/C:C/I:C/A:C", 10.0, 2},
        {"AV:L/AC:H/Au:N/C:C/I:C/A:C", 6.2, 2},
    };
    for (size_t k = 0; k < ARRAY_LEN(cases); k++) {
        double score = -1;
        int version = 0;
        assert_int_equal(cvss_score(str_c(cases[k].vector), &score, &version), 0);
        assert_float_equal(score, cases[k].score, 1e-9);
        assert_int_equal(version, cases[k].version);
    }
    /* version 4: scores of ae-cvss-calculator */
    struct fixture *f = *state;
    struct str text, line, vector, want;
    struct err e = ERR_INIT;
    const char *path = arena_printf(f->a, "%s/../vectors/cvss4.tsv", feeds(f->a));
    assert_int_equal(fs_read(f->a, path, 1 << 20, &text, &e), 0);
    size_t lines = 0;
    while (str_cut(&text, '\n', &line) && str_split(line, '\t', &vector, &want)) {
        double expected, got = -1;
        int v = 0;
        assert_int_equal(str_double(want, &expected), 0);
        assert_int_equal(cvss_score(vector, &got, &v), 0);
        if (got < expected - 0.01 || got > expected + 0.01)
            fail_msg(STR_FMT ": %.1f", STR_ARG(line), got);
        assert_int_equal(v, 4);
        lines++;
    }
    assert_int_equal(lines, 90);
    double score;
    int version;
    assert_int_equal(cvss_score(STR("CVSS:4.0/AV:N/AC:L"), &score, &version), -EINVAL);
    assert_int_equal(cvss_score(STR("CVSS:3.1/AV:N"), &score, &version), -EINVAL);
    assert_int_equal(cvss_score(STR("high"), &score, &version), -EINVAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_debian_semantics),
        cmocka_unit_test(test_debian_source),
        cmocka_unit_test(test_debian_against_dpkg),
        cmocka_unit_test(test_alpine),
        cmocka_unit_test(test_osv),
        cmocka_unit_test(test_tamper),
        cmocka_unit_test(test_reproducible),
        cmocka_unit_test(test_diff),
        cmocka_unit_test(test_broken),
        cmocka_unit_test(test_unknown),
        cmocka_unit_test(test_cvss),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}

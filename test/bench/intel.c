/* Look-ups in an intel.db of 800,000 rows: what src/intel/README.md and docs/decisions/0040 claim. Makes its own feed.
 *
 *   ninja -C build test/bench/intel_bench && build/test/bench/intel_bench
 */
#include "intel/intel.h"
#include "base/cleanup.h"
#include "base/fs.h"
#include "base/time.h"
#include "intel/build.h"

enum { SOURCES = 4000, CVES = 40, ROUNDS = 20000 };

static void feed_write(const char *path)
{
    static const char *const releases[] = {"bullseye", "bookworm", "trixie", "forky", "sid"};
    FILE *f = fopen(path, "w");
    if (!f)
        abort();
    for (int s = 0; s < SOURCES; s++) {
        fprintf(f, "%s\"src%d\":{", s ? "," : "{", s);
        for (int c = 0; c < CVES; c++) {
            fprintf(f, "%s\"CVE-20%02d-%d\":{\"description\":\"A problem in src%d\",\"releases\":{", c ? "," : "",
                    c % 25, s * CVES + c + 1000, s);
            for (size_t r = 0; r < ARRAY_LEN(releases); r++)
                fprintf(f, "%s\"%s\":{\"status\":\"resolved\",\"fixed_version\":\"1.%d-2\",\"urgency\":\"low\"}",
                        r ? "," : "", releases[r], c);
            fputs("}}", f);
        }
        fputs("}", f);
    }
    fputs("}", f);
    if (fclose(f))
        abort();
}

static void measure(struct intel *i, const char *what, const char *name, const char *version)
{
    static const struct os_release os = {.id = STR("debian"), .version_id = STR("12")};
    _cleanup_(arena_freep) struct arena *a = arena_new((size_t)1 << 28);
    size_t hits = 0;
    int64_t start = time_monotonic();
    for (int k = 0; k < ROUNDS; k++) {
        struct advisory *v;
        size_t n;
        struct package p = {.type = STR("deb"), .version = str_c(version)};
        p.name = p.source_name = arena_strf(a, "%s%d", name, k * 7919 % SOURCES);
        if (intel_match(i, a, &p, &os, &v, &n, NULL) < 0)
            abort();
        hits += n;
        arena_reset(a);
    }
    double us = (double)(time_monotonic() - start);
    printf("%-44s %8.2f us a package", what, us / ROUNDS);
    if (hits)
        printf(", %.2f us an advisory", us / (double)hits);
    putchar('\n');
}

int main(void)
{
    char dir[] = "/tmp/bulkhead-intel-bench-XXXXXX";
    _cleanup_(arena_freep) struct arena *a = arena_new(1 << 20);
    _cleanup_(intel_unrefp) struct intel *i = NULL;
    struct intel_build_report rep;
    struct err e = ERR_INIT;
    if (!mkdtemp(dir) || fs_mkdirs(arena_printf(a, "%s/feeds", dir), 0755, &e) < 0)
        return 3;
    feed_write(arena_printf(a, "%s/feeds/tracker.json", dir));
    char *db = arena_printf(a, "%s/intel.db", dir);
    struct intel_build b = {.dir = arena_printf(a, "%s/feeds", dir), .output = db};
    int64_t start = time_monotonic();
    int r = intel_build(&b, &rep, &e);
    printf("build of %" PRIu64 " rows: %.1f s\n", rep.affected, (double)(time_monotonic() - start) / 1e6);
    if (r == 0 && (r = intel_open(db, NULL, INTEL_UNSIGNED_OK, &i, &e)) == 0) {
        measure(i, "no advisories", "none", "1.0-1");
        measure(i, "40 rows, none hits", "src", "1.99-1");
        measure(i, "40 rows, all hit", "src", "1.0-1");
    }
    fs_remove_tree(dir, NULL);
    if (r < 0)
        fprintf(stderr, "%s\n", e.msg);
    return r < 0 ? 3 : 0;
}

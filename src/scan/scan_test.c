/* Whole scans of archives made here, good and hostile, through the jail. */
#include "scan/scan.h"

#include "base/cleanup.h"
#include "base/fs.h"
#include "base/limits.h"
#include "format/digest.h"
#include "format/unpack.h"
#include <fcntl.h>

#include <setjmp.h>
#include <stdarg.h>
#include <zstd.h>

#include <cmocka.h>

/* ---- a tar writer ---- */

static void tar_put(struct buf *b, char type, const char *name, const char *link, struct str body)
{
    char h[512] = {0};
    unsigned sum = 0;
    snprintf(h, 100, "%s", name);
    memcpy(h + 100, "0000644\0000000000\0000000000\0", 24);
    snprintf(h + 124, 12, "%011o", (unsigned)body.n);
    memcpy(h + 136, "00000000000", 12);
    memset(h + 148, ' ', 8);
    h[156] = type;
    snprintf(h + 157, 100, "%s", link ? link : "");
    memcpy(h + 257, "ustar\00000", 8);
    for (size_t i = 0; i < sizeof(h); i++)
        sum += (unsigned char)h[i];
    snprintf(h + 148, 8, "%06o", sum);
    buf_put(b, h, sizeof(h));
    buf_puts(b, body);
    static const char zero[512];
    buf_put(b, zero, -body.n & 511);
}

static void tar_file(struct buf *b, const char *name, const char *body)
{
    tar_put(b, '0', name, NULL, str_c(body));
}

static void tar_end(struct buf *b)
{
    static const char zero[1024];
    buf_put(b, zero, sizeof(zero));
}

/* ---- an image ---- */

struct image {
    struct buf layers[4];
    size_t layers_n;
    struct buf archive;
    const char *config_extra;  /* members for the config JSON */
    const char *wrong_diff_id; /* instead of the true one of the first layer */
    bool manifest_first, zstd;
    size_t cut; /* bytes taken off the end of the archive */
};

static void image_fini(struct image *im)
{
    for (size_t i = 0; i < 4; i++)
        buf_fini(&im->layers[i]);
    buf_fini(&im->archive);
}

static struct image image_new(size_t layers)
{
    struct image im = {.layers_n = layers, .archive = BUF_INIT(UINT64_C(1) << 30)};
    for (size_t i = 0; i < 4; i++)
        im.layers[i] = BUF_INIT(UINT64_C(1) << 30);
    return im;
}

static struct buf config_of(struct image *im, char id[static DIGEST_TEXT])
{
    struct buf c = BUF_INIT(1u << 20);
    uint8_t sum[SHA256_SIZE];
    char text[DIGEST_TEXT];
    buf_printf(&c, "{\"architecture\":\"amd64\",\"os\":\"linux\"%s,\"rootfs\":{\"type\":\"layers\",\"diff_ids\":[",
               im->config_extra ? im->config_extra : "");
    for (size_t i = 0; i < im->layers_n; i++) {
        sha256_of(buf_str(&im->layers[i]), sum);
        buf_printf(&c, "%s\"%s\"", i ? "," : "",
                   i == 0 && im->wrong_diff_id ? im->wrong_diff_id : digest_text(sum, text));
    }
    buf_putz(&c, "]}}");
    sha256_of(buf_str(&c), sum);
    digest_text(sum, id);
    return c;
}

static void put_layers(struct image *im)
{
    char name[32];
    for (size_t i = 0; i < im->layers_n; i++) {
        snprintf(name, sizeof(name), "l%zu/layer.tar", i);
        if (!im->zstd) {
            tar_put(&im->archive, '0', name, NULL, buf_str(&im->layers[i]));
            continue;
        }
        size_t room = ZSTD_compressBound(im->layers[i].n);
        char *p = malloc(room);
        size_t n = ZSTD_compress(p, room, im->layers[i].p, im->layers[i].n, 1);
        assert_false(ZSTD_isError(n));
        tar_put(&im->archive, '0', name, NULL, str_n(p, n));
        free(p);
    }
}

/* Write the archive, scan it. */
static int run(struct arena *a, struct image *im, struct inventory *inv, char id[static DIGEST_TEXT], struct err *e)
{
    _cleanup_(buf_fini) struct buf config = config_of(im, id), manifest = BUF_INIT(1u << 20);
    char name[80], path[] = "/tmp/bulkhead-scan-test-XXXXXX";
    snprintf(name, sizeof(name), "%s.json", id + 7);
    buf_printf(&manifest, "[{\"Config\":\"%s\",\"RepoTags\":[\"test:1\"],\"Layers\":[", name);
    for (size_t i = 0; i < im->layers_n; i++)
        buf_printf(&manifest, "%s\"l%zu/layer.tar\"", i ? "," : "", i);
    buf_putz(&manifest, "]}]");
    if (!im->manifest_first)
        put_layers(im);
    tar_put(&im->archive, '0', name, NULL, buf_str(&config));
    tar_put(&im->archive, '0', "manifest.json", NULL, buf_str(&manifest));
    if (im->manifest_first)
        put_layers(im);
    tar_end(&im->archive);

    _cleanup_close_ int fd = mkostemp(path, O_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(fs_write_all(fd, im->archive.p, im->archive.n - im->cut, e), 0);
    char *target = arena_printf(a, "archive:%s", path);
    int r = scan_target(a, target, &(struct scan_opts){0}, inv, e);
    unlink(path);
    return r;
}

#define STATUS(name, version)                                                                                          \
    "Package: " name "\nStatus: install ok installed\nArchitecture: amd64\nVersion: " version "\n\n"
#define OS "ID=debian\nVERSION_ID=\"12\"\n"

static const struct package *package(const struct inventory *inv, const char *name)
{
    for (size_t i = 0; i < inv->packages_n; i++)
        if (str_eqc(inv->packages[i].name, name))
            return &inv->packages[i];
    return NULL;
}

static struct arena *arena;
static struct inventory inv;
static struct err err;
static char image_id[DIGEST_TEXT];

static int scan_ok(struct image *im)
{
    err = ERR_INIT;
    int r = run(arena, im, &inv, image_id, &err);
    if (r < 0)
        print_message("%s\n", err.msg);
    return r;
}

static int fresh(void **state)
{
    arena = arena_new(LIMIT_SCAN_ARENA);
    inv = (struct inventory){0};
    return 0;
}

static int stale(void **state)
{
    arena_free(TAKE(arena));
    return 0;
}

/* ---- the merged file system ---- */

static void test_two_layers(void **state)
{
    for (int variant = 0; variant < 4; variant++) {
        _cleanup_(image_fini) struct image im = image_new(2);
        im.manifest_first = variant & 1;
        im.zstd = variant & 2;
        im.config_extra = ",\"config\":{\"User\":\"app\",\"Env\":[\"A=1\"],\"ExposedPorts\":{\"80/tcp\":{}},"
                          "\"Labels\":{\"team\":\"shop\"}}";
        tar_file(&im.layers[0], "./var/lib/dpkg/status", STATUS("a", "1") STATUS("b", "1"));
        tar_file(&im.layers[0], "usr/lib/os-release", OS);
        tar_put(&im.layers[0], '2', "etc/os-release", "../usr/lib/os-release", STR(""));
        tar_file(&im.layers[1], "var/lib/dpkg/status", STATUS("a", "1") STATUS("b", "2") STATUS("c", "1:3-4"));
        assert_int_equal(scan_ok(&im), 0);
        assert_false(inv.incomplete);
        assert_string_equal(inv.image_id.p, image_id);
        assert_string_equal(inv.os.id.p, "debian");
        assert_string_equal(inv.config.user.p, "app");
        assert_int_equal(inv.config.labels_n, 1);
        assert_int_equal(inv.packages_n, 3);
        assert_true(str_eq(package(&inv, "a")->layer, inv.layers[0].diff_id));
        assert_true(str_eq(package(&inv, "b")->layer, inv.layers[1].diff_id));
        assert_true(str_eqc(package(&inv, "b")->version, "2"));
        assert_true(str_eqc(package(&inv, "c")->version, "1:3-4"));
        assert_true(str_eqc(inv.names[0], "test:1"));
    }
}

/* What the second layer does to a package database in the first, and how many packages are left. */
static const struct {
    const char *what, *first, *entry, *body;
    char type;
    size_t left;
} changes[] = {
    {"whiteout of the file", "var/lib/dpkg/status", "var/lib/dpkg/.wh.status", "", '0', 0},
    {"whiteout of a folder", "var/lib/dpkg/status", "var/lib/.wh.dpkg", "", '0', 0},
    {"whiteout of the top", "var/lib/dpkg/status", ".wh.var", "", '0', 0},
    {"whiteout with ./", "./var/lib/dpkg/status", "./var/.wh.lib", "", '0', 0},
    {"opaque folder", "var/lib/dpkg/status", "var/lib/dpkg/.wh..wh..opq", "", '0', 0},
    {"opaque root", "var/lib/dpkg/status", ".wh..wh..opq", "", '0', 0},
    {"opaque elsewhere", "var/lib/dpkg/status", "var/lib/apt/.wh..wh..opq", "", '0', 1},
    {"whiteout elsewhere", "var/lib/dpkg/status", "var/lib/dpkg/.wh.status-old", "", '0', 1},
    {"a file where a folder was", "var/lib/dpkg/status", "var/lib/dpkg", "x", '0', 0},
    {"a folder where the file was", "var/lib/dpkg/status", "var/lib/dpkg/status", "", '5', 0},
    {"a device where a folder was", "var/lib/dpkg/status", "var/lib", "", '3', 0},
    {"aufs bookkeeping", "var/lib/dpkg/status", "var/lib/dpkg/.wh..wh.plnk", "", '0', 1},
    {"one of status.d", "var/lib/dpkg/status.d/a", "var/lib/dpkg/status.d/.wh.a", "", '0', 0},
    {"another of status.d", "var/lib/dpkg/status.d/a", "var/lib/dpkg/status.d/.wh.b", "", '0', 1},
    {"emptied", "var/lib/dpkg/status", "var/lib/dpkg/status", "", '0', 0},
    {"a folder again", "var/lib/dpkg/status", "var/lib/dpkg/", "", '5', 1},
};

static void test_changes(void **state)
{
    for (size_t i = 0; i < ARRAY_LEN(changes); i++) {
        _cleanup_(image_fini) struct image im = image_new(2);
        tar_file(&im.layers[0], changes[i].first, STATUS("a", "1"));
        tar_put(&im.layers[1], changes[i].type, changes[i].entry, NULL, str_c(changes[i].body));
        print_message("%s\n", changes[i].what);
        assert_int_equal(scan_ok(&im), 0);
        assert_int_equal(inv.packages_n, changes[i].left);
        assert_false(inv.incomplete);
    }
}

static void test_order_in_layer(void **state)
{
    _cleanup_(image_fini) struct image im = image_new(2);
    tar_file(&im.layers[0], "var/lib/dpkg/status.d/old", STATUS("old", "1"));
    tar_file(&im.layers[1], "var/lib/dpkg/status.d/new", STATUS("new", "1"));
    tar_file(&im.layers[1], "var/lib/dpkg/status.d/.wh..wh..opq", ""); /* spares its own layer, wherever it stands */
    tar_file(&im.layers[1], "var/lib/dpkg/status", STATUS("gone", "1"));
    tar_file(&im.layers[1], "var/lib/dpkg/.wh.status", "");
    tar_file(&im.layers[1], "lib/apk/db/installed", "P:x\nV:1-r0\n\n");
    tar_file(&im.layers[1], "lib/apk/db/installed", "P:musl\nV:1.2.4-r2\nA:x86_64\no:musl\nL:MIT\n\n");
    assert_int_equal(scan_ok(&im), 0);
    assert_int_equal(inv.packages_n, 2);
    assert_non_null(package(&inv, "new"));
    assert_true(str_eqc(package(&inv, "musl")->license, "MIT"));
}

static void test_links(void **state)
{
    _cleanup_(image_fini) struct image im = image_new(1);
    tar_file(&im.layers[0], "var/lib/dpkg/status.d/a", STATUS("a", "1"));
    tar_put(&im.layers[0], '1', "var/lib/dpkg/status", "var/lib/dpkg/status.d/a", STR(""));
    tar_put(&im.layers[0], '2', "lib", "usr/lib", STR(""));
    assert_int_equal(scan_ok(&im), 0);
    assert_int_equal(inv.packages_n, 2); /* two records in two files */
    assert_false(inv.incomplete);
}

/* The database is led out of sight: never an empty list that looks complete. */
static void test_hidden(void **state)
{
    static const struct {
        const char *path, *target;
    } links[] = {{"var/lib/dpkg", "/opt/dpkg"},
                 {"var", "/opt"},
                 {"var/lib/dpkg/status", "/opt/status"},
                 {"lib/apk", "../opt"},
                 {"lib", "opt"}};
    for (size_t i = 0; i < ARRAY_LEN(links); i++) {
        _cleanup_(image_fini) struct image im = image_new(1);
        tar_put(&im.layers[0], '2', links[i].path, links[i].target, STR(""));
        assert_int_equal(scan_ok(&im), 0);
        assert_true(inv.incomplete);
    }
}

static void test_long_names(void **state)
{
    static const char name[] =
        "./././././././././././././././././././././././././././././././././././././././././././././././"
        "./././././././var/lib/dpkg/status";
    _cleanup_(image_fini) struct image im = image_new(2);
    tar_put(&im.layers[0], 'L', "././@LongLink", NULL, str_n(name, sizeof(name)));
    tar_file(&im.layers[0], "cut off", STATUS("a", "1"));
    tar_put(&im.layers[1], 'g', "global", NULL, STR("24 path=somewhere/else\n\n"));
    tar_put(&im.layers[1], 'x', "pax", NULL, STR("28 path=var/lib/dpkg/status\n"));
    tar_file(&im.layers[1], "cut off", STATUS("b", "1"));
    assert_int_equal(scan_ok(&im), 0);
    assert_int_equal(inv.packages_n, 1);
    assert_non_null(package(&inv, "b"));
}

static void test_many_entries(void **state)
{
    _cleanup_(image_fini) struct image im = image_new(1);
    char name[32];
    for (int i = 0; i < 100000; i++) {
        snprintf(name, sizeof(name), "f/%d", i);
        tar_file(&im.layers[0], name, "");
    }
    tar_file(&im.layers[0], "var/lib/dpkg/status", STATUS("a", "1"));
    assert_int_equal(scan_ok(&im), 0);
    assert_int_equal(inv.packages_n, 1);
}

static void test_no_layers(void **state)
{
    _cleanup_(image_fini) struct image none = image_new(0);
    assert_int_equal(scan_ok(&none), 0);
    assert_int_equal(inv.packages_n, 0);
    assert_int_equal(inv.layers_n, 0);

    _cleanup_(image_fini) struct image twice = image_new(2); /* the same content twice is two layers */
    tar_file(&twice.layers[0], "var/lib/dpkg/status", STATUS("a", "1"));
    tar_file(&twice.layers[1], "var/lib/dpkg/status", STATUS("a", "1"));
    assert_int_equal(scan_ok(&twice), 0);
    assert_int_equal(inv.packages_n, 1);
    assert_int_equal(inv.layers_n, 2);
}

/* ---- hostile ---- */

static void test_truncated(void **state)
{
    for (size_t cut = 512; cut < 4096; cut += 700) {
        _cleanup_(image_fini) struct image im = image_new(1);
        tar_file(&im.layers[0], "var/lib/dpkg/status", STATUS("a", "1"));
        im.cut = cut;
        int r = scan_ok(&im);
        assert_true(cut <= 1024 ? r == 0 : r < 0); /* without the end mark it is still whole */
    }
}

static void test_wrong_diff_id(void **state)
{
    _cleanup_(image_fini) struct image im = image_new(1);
    tar_file(&im.layers[0], "var/lib/dpkg/status", STATUS("a", "1"));
    im.wrong_diff_id = "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    assert_int_equal(scan_ok(&im), -EBADMSG);
    assert_non_null(strstr(err.msg, "not what the image config says"));
}

static void test_bomb(void **state)
{
    _cleanup_(image_fini) struct image im = image_new(1);
    static char zeros[1 << 20];
    size_t room = ZSTD_compressBound(sizeof(zeros)) * 2;
    _cleanup_free_ char *frame = malloc(room);
    size_t n = ZSTD_compress(frame, room, zeros, sizeof(zeros), 19);
    for (int i = 0; i < 1400; i++) /* 1.4 GiB from some tens of KiB */
        buf_put(&im.layers[0], frame, n);
    im.wrong_diff_id = "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    assert_int_equal(scan_ok(&im), -E2BIG);
    assert_non_null(strstr(err.msg, "bomb"));
}

static void test_path_tricks(void **state)
{
    _cleanup_(image_fini) struct image im = image_new(1);
    tar_file(&im.layers[0], "a/../var/lib/dpkg/status", STATUS("a", "1"));
    tar_file(&im.layers[0], "/usr/lib/os-release", OS);
    assert_int_equal(scan_ok(&im), 0);
    assert_int_equal(inv.packages_n, 1); /* as Go's path.Clean */
    assert_false(inv.incomplete);

    _cleanup_(image_fini) struct image out = image_new(1);
    tar_file(&out.layers[0], "../../etc/passwd", "root::0:0::/:/bin/sh\n");
    assert_int_equal(scan_ok(&out), 0);
    assert_true(inv.incomplete);
}

static void test_ambiguous_config(void **state)
{
    static const char *const extra[] = {
        ",\"config\":{\"User\":\"app\"},\"Config\":{\"User\":\"root\"}",
        ",\"config\":{\"User\":\"app\",\"user\":\"root\"}",
        ",\"config\":{\"User\":\"app\",\"User\":\"root\"}",
        ",\"config\":[]",
    };
    for (size_t i = 0; i < ARRAY_LEN(extra); i++) {
        _cleanup_(image_fini) struct image im = image_new(1);
        tar_file(&im.layers[0], "x", "");
        im.config_extra = extra[i];
        assert_int_equal(scan_ok(&im), -EBADMSG);
    }
    _cleanup_(image_fini) struct image im = image_new(1); /* labels may differ in case */
    tar_file(&im.layers[0], "x", "");
    im.config_extra = ",\"config\":{\"Labels\":{\"name\":\"a\",\"Name\":\"b\"}}";
    assert_int_equal(scan_ok(&im), 0);
    assert_int_equal(inv.config.labels_n, 2);
}

static void test_damaged_databases(void **state)
{
    static const struct {
        const char *path, *body;
    } damaged[] = {
        {"var/lib/dpkg/status", "Package: a\nno field\n"},
        {"var/lib/dpkg/status", "Package: a\nStatus: install ok installed\n\n"},
        {"lib/apk/db/installed", "P:a\nV:1\n\nnonsense\n"},
        {"lib/apk/db/installed", "V:1\n\n"},
    };
    for (size_t i = 0; i < ARRAY_LEN(damaged); i++) {
        _cleanup_(image_fini) struct image im = image_new(1);
        tar_file(&im.layers[0], damaged[i].path, damaged[i].body);
        assert_int_equal(scan_ok(&im), 0);
        assert_true(inv.incomplete);
        assert_int_equal(inv.problems_n, 1);
    }
}

int main(void)
{
#define T(fn) cmocka_unit_test_setup_teardown(fn, fresh, stale)
    const struct CMUnitTest tests[] = {
        T(test_two_layers),  T(test_changes),          T(test_order_in_layer),    T(test_links),         T(test_hidden),
        T(test_long_names),  T(test_many_entries),     T(test_truncated),         T(test_wrong_diff_id), T(test_bomb),
        T(test_path_tricks), T(test_ambiguous_config), T(test_damaged_databases), T(test_no_layers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

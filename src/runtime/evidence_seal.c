/* The chain of bundles, and their verification. */
#include "runtime/evidence.h"

#include "base/cleanup.h"
#include "base/encode.h"
#include "base/fs.h"
#include "base/map.h"
#include "base/time.h"
#include "format/digest.h"
#include "format/json.h"
#include "format/tar.h"
#include "format/unpack.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

#define CHAIN_MAX    (64u << 20)
#define MANIFEST_MAX (8u << 20)
#define HEX          (2 * SHA256_SIZE + 1)

static void hex_of(struct str s, char hex[static HEX])
{
    uint8_t sum[SHA256_SIZE];
    sha256_of(s, sum);
    hex_encode(sum, SHA256_SIZE, hex);
}

static int hash_of(const char *path, char hex[static HEX], int64_t *size, struct err *e)
{
    uint8_t sum[SHA256_SIZE];
    struct sha256 h;
    _cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    _cleanup_free_ char *block = malloc(1 << 16);
    ssize_t n = -1;
    if (fd < 0 || !block)
        return err_errno(e, "%s", path);
    sha256_init(&h);
    *size = 0;
    while ((n = read(fd, block, 1 << 16)) > 0) {
        sha256_update(&h, block, (size_t)n);
        *size += n;
    }
    int r = n < 0 ? err_errno(e, "%s", path) : 0;
    sha256_final(&h, sum);
    hex_encode(sum, SHA256_SIZE, hex);
    return r;
}

static const char *in(struct arena *a, const char *state, const char *name)
{
    return arena_printf(a, "%s/evidence/%s", state, name);
}

static int chain(struct arena *a, const char *state, struct str *ret, struct err *e)
{
    *ret = STR_NONE;
    const char *path = in(a, state, "chain");
    return fs_exists(path) ? fs_read(a, path, CHAIN_MAX, ret, e) : 0;
}

static struct str last_line(struct str text)
{
    struct str line, last = STR_NONE;
    while (str_cut(&text, '\n', &line))
        if (line.n)
            last = line;
    return last;
}

/* A line is bound to the one before by that one's hash; the first to nothing. */
int evidence_seal(const struct evidence_order *o, const char *name, int64_t time, struct err *e)
{
    _cleanup_(arena_freep) struct arena *a = arena_new(CHAIN_MAX * 2);
    struct str text, last;
    char before[HEX] = "", hash[HEX], t[TIME_TEXT];
    int64_t size;
    int r = chain(a, o->state, &text, e);
    if (r < 0 || (r = hash_of(in(a, o->state, name), hash, &size, e)) < 0)
        return r;
    if ((last = last_line(text)).n)
        hex_of(last, before);
    _cleanup_(buf_fini) struct buf b = BUF_INIT(65536);
    struct json_writer w = JSON_WRITER(&b);
    json_w_object(&w);
    json_w_kstrz(&w, "bundle", name);
    json_w_kstrz(&w, "sha256", hash);
    json_w_ki64(&w, "size", size);
    json_w_kstrz(&w, "time", time_format(time, t));
    json_w_kstr(&w, "container", o->id);
    json_w_kstr(&w, "name", o->name.n ? o->name : STR_NONE);
    json_w_kstr(&w, "reason", o->reason.n ? str_sub(o->reason, 0, 1024) : STR_NONE);
    json_w_kstr(&w, "before", before[0] ? str_c(before) : STR_NONE);
    json_w_end(&w);
    buf_putc(&b, '\n');
    if ((r = buf_check(&b, e)) < 0)
        return r;
    _cleanup_close_ int fd =
        open(in(a, o->state, "chain"), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return err_errno(e, "evidence/chain");
    off_t end = lseek(fd, 0, SEEK_END);
    if ((r = fs_write_all(fd, b.p, b.n, e)) < 0) { /* half a line would break the chain */
        if (ftruncate(fd, end) < 0)
            err_wrap(e, "and the chain could not be mended");
        return r;
    }
    return fsync(fd) < 0 ? err_errno(e, "evidence/chain") : 0;
}

static bool name_ok(struct str name)
{
    for (size_t i = 0; i < name.n; i++)
        if (!strchr("0123456789abcdefT.-tarzst", name.p[i]) || !name.p[i])
            return false;
    return name.n && name.n < 100 && name.p[0] != '.' && str_ends(name, STR(".tar.zst"));
}

int evidence_list(struct arena *a, const char *state, struct evidence_item **ret, size_t *n, struct err *e)
{
    struct str text, line;
    struct evidence_item *v = NULL;
    size_t count = 0, cap = 0;
    int r = chain(a, state, &text, e);
    if (r < 0)
        return r;
    while (str_cut(&text, '\n', &line)) {
        struct json_value *j;
        if (!line.n)
            continue;
        if ((r = json_parse(a, line, 0, &j, e)) < 0)
            return err_wrap(e, "line %zu of the chain", count + 1);
        v = arena_grow(a, v, count, &cap, sizeof(*v));
        struct evidence_item *it = &v[count++];
        *it = (struct evidence_item){.name = json_str(json_get(j, "bundle")),
                                     .sha256 = json_str(json_get(j, "sha256")),
                                     .id = json_str(json_get(j, "container")),
                                     .container = json_str(json_get(j, "name")),
                                     .reason = json_str(json_get(j, "reason")),
                                     .time = json_str(json_get(j, "time")),
                                     .size = json_i64(json_get(j, "size"), 0)};
        it->present = name_ok(it->name) && fs_exists(in(a, state, arena_cstr(a, it->name)));
    }
    *ret = v;
    *n = count;
    return 0;
}

/* ---- reading a bundle ---- */

struct reading {
    struct arena *a;
    struct tar *tar;
    struct map *sums; /* name to hex */
    struct str name;
    struct sha256 hash;
    bool open;
    struct buf manifest;
};

static int on_entry(void *ctx, const struct tar_entry *entry, struct err *e)
{
    struct reading *r = ctx;
    if (r->manifest.n)
        return err_set(e, EBADMSG, "something stands behind the manifest");
    if (map_count(r->sums) >= EVIDENCE_FILES)
        return err_set(e, EBADMSG, "too many files");
    r->name = arena_str(r->a, entry->name);
    sha256_init(&r->hash);
    r->open = true;
    return 1;
}

static int on_data(void *ctx, const void *p, size_t n, struct err *e)
{
    struct reading *r = ctx;
    sha256_update(&r->hash, p, n);
    if (str_eqc(r->name, "manifest.json"))
        buf_put(&r->manifest, p, n);
    return 0;
}

static int on_end(void *ctx, struct err *e)
{
    struct reading *r = ctx;
    uint8_t sum[SHA256_SIZE];
    char *hex = arena_alloc(r->a, HEX);
    sha256_final(&r->hash, sum);
    r->open = false;
    hex_encode(sum, SHA256_SIZE, hex);
    if (!str_eqc(r->name, "manifest.json"))
        map_put(r->sums, r->name, hex);
    return 0;
}

static int feed(void *ctx, const void *p, size_t n, struct err *e)
{
    struct reading *r = ctx;
    return tar_feed(r->tar, p, n, e);
}

static int read_bundle(struct arena *a, const char *path, struct reading *rd, struct err *e)
{
    static const struct tar_sink sink = {on_entry, on_data, on_end};
    _cleanup_(unpack_freep) struct unpack *u = unpack_new(feed, rd);
    _cleanup_free_ char *block = malloc(1 << 16);
    _cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0 || !block)
        return err_errno(e, "%s", path);
    rd->a = a;
    rd->tar = tar_new(&sink, rd);
    int r = 0;
    for (ssize_t n; r == 0 && (n = read(fd, block, 1 << 16)) > 0;)
        r = unpack_feed(u, block, (size_t)n, e);
    if (r == 0 && (r = unpack_finish(u, e)) == 0)
        r = tar_finish(rd->tar, e);
    tar_free(rd->tar);
    if (rd->open)
        sha256_fini(&rd->hash);
    return r < 0 ? r : buf_check(&rd->manifest, e);
}

/* Each file as the manifest says, and no other. */
static int verify_bundle(const char *path, struct err *e)
{
    _cleanup_(arena_freep) struct arena *a = arena_new(MANIFEST_MAX * 8);
    _cleanup_(map_freep) struct map *sums = map_new(EVIDENCE_FILES + 1);
    struct reading rd = {.sums = sums, .manifest = BUF_INIT(MANIFEST_MAX)};
    struct json_value *v = NULL;
    int r = read_bundle(a, path, &rd, e);
    if (r == 0 && (r = json_parse(a, buf_str(&rd.manifest), 0, &v, e)) < 0)
        err_wrap(e, "manifest.json");
    size_t listed = 0;
    for (const struct json_value *it = r < 0 || !json_get(v, "files") ? NULL : json_get(v, "files")->first;
         it && r == 0; it = it->next, listed++) {
        const char *have = map_get(sums, json_str(json_get(it, "name")));
        if (!have || !str_eqc(json_str(json_get(it, "sha256")), have))
            r = err_set(e, EBADMSG, "\"" STR_FMT "\" is not what the manifest says",
                        STR_ARG(str_sub(json_str(json_get(it, "name")), 0, 100)));
    }
    if (r == 0 && listed != map_count(sums))
        r = err_set(e, EBADMSG, "it holds files that the manifest does not list");
    buf_fini(&rd.manifest);
    return r;
}

int evidence_verify(const char *state, struct str name, size_t *checked, struct err *e)
{
    _cleanup_(arena_freep) struct arena *a = arena_new(CHAIN_MAX * 6);
    struct str text, line;
    struct evidence_item *v;
    char before[HEX] = "", hash[HEX];
    size_t n, at = 0;
    int64_t size;
    *checked = 0;
    int r = chain(a, state, &text, e);
    if (r < 0 || (r = evidence_list(a, state, &v, &n, e)) < 0)
        return r;
    for (; str_cut(&text, '\n', &line); at++) {
        struct json_value *j;
        if (!line.n)
            break;
        if (json_parse(a, line, 0, &j, e) < 0 || !str_eqc(json_str(json_get(j, "before")), before))
            return err_set(e, EBADMSG, "the chain is broken at line %zu", at + 1);
        hex_of(line, before);
    }
    for (size_t i = 0; i < n; i++) {
        if ((name.n && !str_eq(name, v[i].name)) || !v[i].present)
            continue;
        const char *path = in(a, state, arena_cstr(a, v[i].name));
        if ((r = hash_of(path, hash, &size, e)) < 0)
            return r;
        if (!str_eqc(v[i].sha256, hash))
            return err_set(e, EBADMSG, STR_FMT " was changed: its hash is not that of the chain", STR_ARG(v[i].name));
        if ((r = verify_bundle(path, e)) < 0)
            return err_wrap(e, STR_FMT, STR_ARG(v[i].name));
        ++*checked;
    }
    return name.n && !*checked ? err_set(e, ENOENT, "no bundle \"" STR_FMT "\"", STR_ARG(str_sub(name, 0, 100))) : 0;
}

int evidence_manifest(struct arena *a, const char *state, struct str name, struct str *ret, struct err *e)
{
    _cleanup_(map_freep) struct map *sums = map_new(EVIDENCE_FILES + 1);
    struct reading rd = {.sums = sums, .manifest = BUF_INIT(MANIFEST_MAX)};
    if (!name_ok(name))
        return err_set(e, EINVAL, "\"" STR_FMT "\" is no bundle", STR_ARG(str_sub(name, 0, 100)));
    int r = read_bundle(a, in(a, state, arena_cstr(a, name)), &rd, e);
    if (r == 0)
        *ret = arena_str(a, buf_str(&rd.manifest));
    buf_fini(&rd.manifest);
    return r;
}

/* Oldest first until number and size are within their caps, with room for one more. */
void evidence_prune(const char *state)
{
    _cleanup_(arena_freep) struct arena *a = arena_new(CHAIN_MAX * 4);
    struct evidence_item *v;
    size_t n, present = 0;
    uint64_t total = 0;
    if (evidence_list(a, state, &v, &n, NULL) < 0)
        return;
    for (size_t i = 0; i < n; i++)
        if (v[i].present) {
            present++;
            total += (uint64_t)v[i].size;
        }
    for (size_t i = 0; i < n && (present >= EVIDENCE_BUNDLES || total > EVIDENCE_TOTAL - EVIDENCE_BUNDLE); i++)
        if (v[i].present && unlink(in(a, state, arena_cstr(a, v[i].name))) == 0) {
            present--;
            total -= (uint64_t)v[i].size;
        }
}

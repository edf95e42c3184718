#include "engine/publication.h"

#include "base/cleanup.h"
#include "base/fs.h"
#include "base/time.h"
#include "engine/registry_internal.h"
#include "engine/registry_push.h"
#include "format/json.h"
#include "intel/delta.h"
#include "intel/intel.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#define TYPE_MANIFEST "application/vnd.oci.image.manifest.v1+json"
#define TYPE_ARTIFACT "application/vnd.bulkhead.intel.v1"
#define TYPE_INDEX    "application/vnd.bulkhead.intel.index.v1+json"
#define TYPE_BASE     "application/vnd.bulkhead.intel.base.v1+zstd"
#define TYPE_DELTA    "application/vnd.bulkhead.intel.delta.v1"
#define TITLE         "org.opencontainers.image.title"
#define KEY_SHA256    "bulkhead.intel.sha256" /* of a base, unpacked; size and serial likewise */
#define KEY_SIZE      "bulkhead.intel.size"
#define KEY_SERIAL    "bulkhead.intel.serial"

enum { DOCUMENT_MAX = 1 << 20 };

struct publication {
    struct arena *a;
    struct registry *reg;
    struct registry_conn *c;
    struct json_value *manifest;
};

/* ---- reading ---- */

struct verified {
    struct sha256 hash;
    http_sink_fn *sink;
    void *ctx;
};

static int take(void *arg, const void *p, size_t n, struct err *e)
{
    struct verified *v = arg;
    sha256_update(&v->hash, p, n);
    return v->sink(v->ctx, p, n, e);
}

static int collect(void *arg, const void *p, size_t n, struct err *e)
{
    struct buf *b = arg;
    buf_put(b, p, n);
    return buf_check(b, e);
}

/* digest is empty only for what a tag names */
static int get(struct registry_conn *c, enum registry_what what, struct str digest, uint64_t max, http_sink_fn *sink,
               void *ctx, char ret_digest[static DIGEST_TEXT], struct err *e)
{
    struct verified v = {.sink = sink, .ctx = ctx};
    uint8_t sum[SHA256_SIZE];
    sha256_init(&v.hash);
    int r = registry_get(c, what, what == REGISTRY_ROOT ? STR("") : digest, max, take, &v, e);
    sha256_final(&v.hash, sum);
    if (r == 0 && digest.n && !str_eqc(digest, digest_text(sum, ret_digest)))
        return err_set(e, EBADMSG, STR_FMT ": the registry sent something else", STR_ARG(digest));
    digest_text(sum, ret_digest);
    return r;
}

static int get_text(struct publication *p, enum registry_what what, struct str digest, struct str *ret,
                    char ret_digest[static DIGEST_TEXT], struct err *e)
{
    _cleanup_(buf_fini) struct buf b = BUF_INIT(DOCUMENT_MAX);
    int r = get(p->c, what, digest, DOCUMENT_MAX, collect, &b, ret_digest, e);
    if (r == 0)
        *ret = arena_str(p->a, buf_str(&b));
    return r;
}

static int open_at(const struct registry_opts *opts, struct arena *a, const char *url, struct publication **ret,
                   struct image_ref *ref, struct err *e)
{
    struct publication *p = arena_alloc(a, sizeof(*p));
    struct str at = str_c(url);
    *p = (struct publication){.a = a};
    if (!str_starts(at, STR(PUBLICATION_SCHEME)))
        return err_set(e, EINVAL, "%s: no address like " PUBLICATION_SCHEME "HOST/REPOSITORY:TAG", url);
    int r = image_ref_parse(a, str_sub(at, strlen(PUBLICATION_SCHEME), at.n), ref, e);
    if (r < 0 || (r = registry_open(ref, opts, &p->reg, e)) < 0)
        return r;
    if ((r = registry_connect(p->reg, &p->c, e)) < 0) {
        registry_free(p->reg);
        return r;
    }
    *ret = p;
    return 0;
}

static void close_it(void *ctx)
{
    struct publication *p = ctx;
    registry_disconnect(p->c);
    registry_free(p->reg);
}

static int read_manifest(struct publication *p, struct str wanted, char digest[static DIGEST_TEXT], struct err *e)
{
    struct str text;
    int r = get_text(p, REGISTRY_ROOT, wanted, &text, digest, e);
    if (r < 0 || (r = json_parse(p->a, text, 0, &p->manifest, e)) < 0)
        return r;
    if (!str_eqc(json_str(json_get(p->manifest, "artifactType")), TYPE_ARTIFACT))
        return err_set(e, EBADMSG, "an image or another artifact, but no intel");
    return 0;
}

static int source_index(void *ctx, struct arena *a, struct str known, struct str *ret, struct str *ret_tag,
                        struct err *e)
{
    struct publication *p = ctx;
    char digest[DIGEST_TEXT], config[DIGEST_TEXT];
    *ret = STR_NONE;
    int r = read_manifest(p, p->reg->ref.digest, digest, e);
    if (r < 0)
        return r;
    *ret_tag = arena_str(a, str_c(digest));
    if (str_eq(known, *ret_tag))
        return 0;
    struct str at = json_str(json_get(json_get(p->manifest, "config"), "digest"));
    if (!digest_valid(at))
        return err_set(e, EBADMSG, "manifest: malformed");
    return get_text(p, REGISTRY_BLOB, at, ret, config, e);
}

static const struct json_value *layer_of(const struct publication *p, struct str name)
{
    JSON_EACH (json_get(p->manifest, "layers"), l)
        if (str_eq(json_str(json_get(json_get(l, "annotations"), TITLE)), name))
            return l;
    return NULL;
}

static int source_file(void *ctx, struct str name, uint64_t max, http_sink_fn *sink, void *sink_ctx, struct err *e)
{
    struct publication *p = ctx;
    char digest[DIGEST_TEXT];
    struct str at = json_str(json_get(layer_of(p, name), "digest"));
    if (!digest_valid(at))
        return err_set(e, ENOENT, STR_FMT " is not in the publication", STR_ARG(name));
    return get(p->c, REGISTRY_BLOB, at, max, sink, sink_ctx, digest, e);
}

int publication_open(const struct registry_opts *opts, struct arena *a, const char *url, struct intel_source *ret,
                     struct err *e)
{
    struct publication *p;
    struct image_ref ref;
    int r = open_at(opts, a, url, &p, &ref, e);
    if (r < 0)
        return r;
    *ret = (struct intel_source){source_index, source_file, close_it, p};
    return 0;
}

/* ---- writing ---- */

struct push {
    struct publication *p;
    const char *folder; /* temporary: a publication as in intel/update.h */
    struct json_writer *w;
    const struct json_value *index;
};

static int to_file(void *arg, const void *p, size_t n, struct err *e)
{
    return fs_write_all(*(int *)arg, p, n, e);
}

/* An earlier base, so that a delta can be made from it. What is no base of ours just gives no delta. */
static int fetch_base(struct push *x, const struct json_value *layer, struct err *e)
{
    struct arena *a = x->p->a;
    const struct json_value *notes = json_get(layer, "annotations");
    struct str sha = json_str(json_get(notes, KEY_SHA256)), digest = json_str(json_get(layer, "digest"));
    char full[DIGEST_TEXT + 8], got[DIGEST_TEXT];
    uint64_t size = 0, serial = 0, packed = (uint64_t)json_i64(json_get(layer, "size"), 0);
    snprintf(full, sizeof(full), "sha256:%.*s", (int)(sha.n > 64 ? 65 : sha.n), sha.n ? sha.p : "");
    if (str_u64(json_str(json_get(notes, KEY_SIZE)), &size) < 0 || size > LIMIT_CONSOLE_INTEL ||
        str_u64(json_str(json_get(notes, KEY_SERIAL)), &serial) < 0 || !digest_valid(str_c(full)) ||
        !digest_valid(digest) || packed > LIMIT_CONSOLE_INTEL)
        return 0;
    const char *temporary = arena_printf(a, "%s/fetched", x->folder);
    const char *to = arena_printf(a, "%s/kept/%020" PRIu64 "-" STR_FMT ".db", x->folder, serial, STR_ARG(sha));
    _cleanup_close_ int fd = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return err_errno(e, "%s", temporary);
    int r = get(x->p->c, REGISTRY_BLOB, digest, packed, to_file, &fd, got, e);
    if (r == 0)
        r = delta_unpack(temporary, size, to, e);
    unlink(temporary);
    return r == -EBADMSG ? 0 : r;
}

static int fetch_bases(struct push *x, struct err *e)
{
    int n = 0, r = 0;
    JSON_EACH (json_get(x->p->manifest, "layers"), l) {
        if (!str_eqc(json_str(json_get(l, "mediaType")), TYPE_BASE) || n++ == PUBLISH_KEEP)
            continue;
        if ((r = fetch_base(x, l, e)) < 0)
            return r;
    }
    return 0;
}

static int push_file(struct push *x, const char *path, char digest[static DIGEST_TEXT], int64_t *ret_size,
                     struct err *e)
{
    _cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
    struct stat st;
    if (fd < 0 || fstat(fd, &st) < 0)
        return err_errno(e, "%s", path);
    char *bytes = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (bytes == MAP_FAILED)
        return err_errno(e, "%s", path);
    int r = registry_push_blob(x->p->c, str_n(bytes, (size_t)st.st_size), digest, e);
    munmap(bytes, (size_t)st.st_size);
    *ret_size = st.st_size;
    return r;
}

static void descriptor(struct json_writer *w, const char *type, const char *digest, int64_t size)
{
    json_w_object(w);
    json_w_kstrz(w, "mediaType", type);
    json_w_kstrz(w, "digest", digest);
    json_w_ki64(w, "size", size);
}

/* Annotations are strings, numbers too. */
static void note(struct json_writer *w, const char *key, int64_t v)
{
    char text[32];
    snprintf(text, sizeof(text), "%" PRId64, v);
    json_w_kstrz(w, key, text);
}

static int push_layer(struct push *x, struct str name, bool base, struct err *e)
{
    char digest[DIGEST_TEXT];
    int64_t size = 0;
    int r = push_file(x, arena_printf(x->p->a, "%s/" STR_FMT, x->folder, STR_ARG(name)), digest, &size, e);
    if (r < 0)
        return r;
    descriptor(x->w, base ? TYPE_BASE : TYPE_DELTA, digest, size);
    json_w_kobject(x->w, "annotations");
    json_w_kstr(x->w, TITLE, name);
    if (base) {
        json_w_kstr(x->w, KEY_SHA256, json_str(json_get(x->index, "sha256")));
        note(x->w, KEY_SIZE, json_i64(json_get(x->index, "size"), 0));
        note(x->w, KEY_SERIAL, json_i64(json_get(x->index, "serial"), 0));
    }
    json_w_end(x->w);
    json_w_end(x->w);
    return 0;
}

static int push_layers(struct push *x, struct err *e)
{
    struct str base = json_str(json_get(x->index, "file"));
    int n = 1, r;
    json_w_karray(x->w, "layers");
    if ((r = push_layer(x, base, true, e)) < 0)
        return r;
    JSON_EACH (json_get(x->index, "deltas"), d)
        if ((r = push_layer(x, json_str(json_get(d, "file")), false, e)) < 0)
            return r;
    JSON_EACH (json_get(x->p->manifest, "layers"), l) /* bases of earlier, in this repository already */
        if (str_eqc(json_str(json_get(l, "mediaType")), TYPE_BASE) &&
            !str_eq(json_str(json_get(json_get(l, "annotations"), TITLE)), base) && n++ < PUBLISH_KEEP)
            json_w_value(x->w, l);
    json_w_end(x->w);
    return 0;
}

static int push_all(struct push *x, struct err *e)
{
    _cleanup_(buf_fini) struct buf b = BUF_INIT(DOCUMENT_MAX);
    struct json_writer w = JSON_WRITER(&b);
    struct arena *a = x->p->a;
    const char *path = arena_printf(a, "%s/index.json", x->folder);
    struct json_value *index;
    struct str text;
    char digest[DIGEST_TEXT];
    int r = fs_read(a, path, DOCUMENT_MAX, &text, e);
    if (r < 0 || (r = json_parse(a, text, 0, &index, e)) < 0 || (r = registry_push_blob(x->p->c, text, digest, e)) < 0)
        return r;
    x->index = index;
    x->w = &w;
    json_w_object(&w);
    json_w_ki64(&w, "schemaVersion", 2);
    json_w_kstrz(&w, "mediaType", TYPE_MANIFEST);
    json_w_kstrz(&w, "artifactType", TYPE_ARTIFACT);
    json_w_key(&w, "config");
    descriptor(&w, TYPE_INDEX, digest, (int64_t)text.n);
    json_w_end(&w);
    if ((r = push_layers(x, e)) < 0)
        return r;
    json_w_kobject(&w, "annotations");
    json_w_kstr(&w, "org.opencontainers.image.created", json_str(json_get(index, "built")));
    json_w_kstr(&w, "org.opencontainers.image.revision", json_str(json_get(index, "revision")));
    json_w_end(&w);
    json_w_end(&w);
    return (r = buf_check(&b, e)) < 0 ? r : registry_push_manifest(x->p->c, TYPE_MANIFEST, buf_str(&b), e);
}

static int in_folder(struct push *x, const char *db, const char *key_path, struct err *e)
{
    const char *kept = arena_printf(x->p->a, "%s/kept", x->folder);
    char digest[DIGEST_TEXT];
    if (mkdir(kept, 0700) < 0)
        return err_errno(e, "%s", kept);
    int r = read_manifest(x->p, STR_NONE, digest, e);
    if (r == -ENOENT) { /* the first one */
        x->p->manifest = NULL;
        *e = ERR_INIT;
    } else if (r < 0 || (r = fetch_bases(x, e)) < 0) {
        return r;
    }
    return (r = intel_publish(db, key_path, x->folder, e)) < 0 ? r : push_all(x, e);
}

int publication_push(const struct registry_opts *opts, const char *url, const char *db, const char *key_path,
                     struct err *e)
{
    _cleanup_(arena_freep) struct arena *a = arena_new(64u << 20);
    const char *tmp = getenv("TMPDIR");
    struct push x = {0};
    struct image_ref ref;
    int r = open_at(opts, a, url, &x.p, &ref, e);
    if (r < 0)
        return r;
    char *folder = arena_printf(a, "%s/bulkhead-intel-XXXXXX", tmp && tmp[0] == '/' ? tmp : "/tmp");
    if (ref.digest.n) {
        r = err_set(e, EINVAL, "%s: publishing needs a tag, not a digest", url);
    } else if (!mkdtemp(folder)) {
        r = err_errno(e, "%s", folder);
    } else {
        struct err ignored = ERR_INIT;
        x.folder = folder;
        r = in_folder(&x, db, key_path, e);
        fs_remove_tree(folder, &ignored);
    }
    close_it(x.p);
    return r < 0 ? err_wrap(e, "%s", url) : 0;
}

/* Images told by OCI documents: index -> manifest -> config and layers. The documents and layers come from an image
 * layout or a content store (files below a directory), or from lanes that the other process fills (registries). */
#include "base/cleanup.h"
#include "base/fs.h"
#include "base/limits.h"
#include "scan/worker.h"

#include <fcntl.h>
#include <pthread.h>
#include <sys/stat.h>

struct oci {
    const struct worker *w;
    struct arena *a;
    int out;
    const struct oci_descriptor *layers;
    pthread_mutex_t lock;
};

static const char *blob_path(struct str digest, char out[static 128])
{
    snprintf(out, 128, "blobs/sha256/%.64s", digest.p + 7);
    return out;
}

/* Regular files only: a fifo would block for ever. */
static int open_file(int tree, const char *path, int *ret, struct stat *st, struct err *e)
{
    _cleanup_close_ int fd = openat(tree, path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0)
        return err_errno(e, "%s", path);
    if (fstat(fd, st) < 0)
        return err_errno(e, "%s", path);
    if (!S_ISREG(st->st_mode))
        return err_set(e, EBADMSG, "%s: not a regular file", path);
    *ret = TAKE_FD(fd);
    return 0;
}

static int read_file(int tree, struct arena *a, const char *path, struct str *ret, struct err *e)
{
    _cleanup_close_ int fd = -1;
    struct stat st;
    int r = open_file(tree, path, &fd, &st, e);
    if (r < 0)
        return r;
    r = fs_read_fd(a, fd, LIMIT_SCAN_DOCUMENT, ret, e);
    return r < 0 ? err_wrap(e, "%s", path) : 0;
}

static int collect(void *ctx, const void *p, size_t n, struct err *e)
{
    buf_put(ctx, p, n);
    return 0;
}

static int fetch_document(struct oci *o, const char *kind, struct str digest, struct str *ret, struct err *e)
{
    _cleanup_(buf_fini) struct buf b = BUF_INIT(LIMIT_SCAN_DOCUMENT);
    int r = worker_fetch(o->w, 0, kind, digest, LIMIT_SCAN_DOCUMENT, NULL, o->out, collect, &b, e);
    if (r >= 0)
        *ret = arena_str(o->a, buf_str(&b));
    return r;
}

static int check_document(struct str text, struct str digest, struct err *e)
{
    uint8_t sum[SHA256_SIZE];
    char is[DIGEST_TEXT];
    sha256_of(text, sum);
    return str_eqc(digest, digest_text(sum, is))
               ? 0
               : err_set(e, EBADMSG, STR_FMT ": its content is %s", STR_ARG(digest), is);
}

static int document(struct oci *o, const char *kind, struct str digest, struct str *ret, struct err *e)
{
    char path[128];
    int r = o->w->kind == WORKER_LANES ? fetch_document(o, kind, digest, ret, e)
                                       : read_file(o->w->tree, o->a, blob_path(digest, path), ret, e);
    return r < 0 ? r : check_document(*ret, digest, e);
}

/* The first one: by the digest asked for, else what the layout lists or the tag names. */
static int first_document(struct oci *o, struct str *ret, struct str *digest, struct err *e)
{
    const struct worker *w = o->w;
    uint8_t sum[SHA256_SIZE];
    char text[DIGEST_TEXT];
    int r;
    if (w->root.n) {
        *digest = w->root;
        r = document(o, "manifest", w->root, ret, e);
    } else if (w->kind == WORKER_LANES) {
        r = fetch_document(o, "root", STR(""), ret, e);
        if (r >= 0) {
            sha256_of(*ret, sum);
            *digest = arena_str(o->a, str_c(digest_text(sum, text)));
        }
    } else {
        r = read_file(w->tree, o->a, "index.json", ret, e);
    }
    if (r >= 0 && digest->n)
        r = worker_tell(o->out, "root", *digest, e);
    return r;
}

static int resolve(struct oci *o, struct oci_document *d, struct worker_image *im, struct err *e)
{
    const struct oci_descriptor *next;
    struct str text, digest = STR_NONE, name = STR_NONE, tag = o->w->tag;
    int r = first_document(o, &text, &digest, e);
    for (int depth = 0;; depth++) {
        if (r < 0 || (r = oci_parse(o->a, text, d, e)) < 0)
            return r;
        if (!d->index)
            break;
        if (depth == 4)
            return err_set(e, EBADMSG, "indexes nested too deep");
        bool by_name = depth == 0 && digest.n == 0;
        if ((r = oci_choose(d, by_name ? tag : STR(""), o->w->platform, &next, e)) < 0)
            return r;
        digest = next->digest;
        if (name.n == 0)
            name = next->image_name.n ? next->image_name : next->ref_name;
        r = document(o, "manifest", digest, &text, e);
    }
    im->digest = digest;
    if (name.n) {
        im->names = arena_array(o->a, 1, sizeof(struct str));
        im->names[im->names_n++] = name;
    }
    if ((r = document(o, "blob", d->config.digest, &text, e)) < 0 || (r = worker_config(o->a, text, im, e)) < 0)
        return r;
    if (d->entries_n != im->layers.n)
        return err_set(e, EBADMSG, "the manifest has %zu layers, the image config %zu", d->entries_n, im->layers.n);
    return 0;
}

static int file_layer(void *ctx, size_t i, unsigned lane, worker_feed_fn *feed, void *feed_ctx, struct err *e)
{
    struct oci *o = ctx;
    const struct oci_descriptor *d = &o->layers[i];
    _cleanup_close_ int fd = -1;
    char path[128];
    struct stat st;
    int r = open_file(o->w->tree, blob_path(d->digest, path), &fd, &st, e);
    if (r < 0)
        return r;
    if (st.st_size != d->size)
        return err_set(e, EBADMSG, "%" PRId64 " bytes, the manifest says %" PRId64, (int64_t)st.st_size, d->size);
    return worker_pump_quiet(fd, 0, UINT64_MAX, feed, feed_ctx, e);
}

static int lane_layer(void *ctx, size_t i, unsigned lane, worker_feed_fn *feed, void *feed_ctx, struct err *e)
{
    struct oci *o = ctx;
    const struct oci_descriptor *d = &o->layers[i];
    return worker_fetch(o->w, lane, "blob", d->digest, (uint64_t)d->size, &o->lock, o->out, feed, feed_ctx, e);
}

int worker_oci(const struct worker *w, struct arena *a, int out, struct err *e)
{
    struct oci o = {.w = w, .a = a, .out = out, .lock = PTHREAD_MUTEX_INITIALIZER};
    struct oci_document d;
    struct worker_image im = {0};
    int r = resolve(&o, &d, &im, e);
    if (r < 0 || (r = worker_tell_image(out, &im, e)) < 0)
        return r;
    o.layers = d.entries;
    struct worker_source src = {.layer = w->kind == WORKER_LANES ? lane_layer : file_layer, .ctx = &o, .lock = &o.lock};
    return worker_layers(w, a, &im, d.entries, &src, out, e);
}

#include "scan/worker.h"

#include "base/cleanup.h"
#include "base/fs.h"
#include "base/limits.h"
#include "scan/issue.h"
#include "scan/secret.h"

#include <fcntl.h>

#define BLOCK         (256u << 10)
#define PROGRESS_STEP (UINT64_C(16) << 20)

/* No secret of the config goes any further than this. */
static void redact(struct arena *a, struct worker_image *im)
{
    _cleanup_(secrets_freep) struct secrets *s = secrets_new();
    struct image_layers *l = &im->layers;
    struct str *before = arena_array(a, l->history_n, sizeof(*before));
    for (size_t i = 0; i < l->history_n; i++)
        before[i] = l->history[i];
    secret_config(s, a, &im->config, l->history, l->history_n, &im->issues, &im->issues_n);
    for (size_t i = 0, k = 0; i < l->n; i++) {
        while (k < l->history_n && before[k].p != l->created_by[i].p)
            k++;
        if (k < l->history_n)
            l->created_by[i] = l->history[k];
    }
}

int worker_config(struct arena *a, struct str text, struct worker_image *ret, struct err *e)
{
    uint8_t sum[SHA256_SIZE];
    char id[DIGEST_TEXT];
    int r = image_config_parse(a, text, &ret->config, &ret->layers, e);
    if (r < 0)
        return r;
    sha256_of(text, sum);
    ret->image_id = arena_str(a, str_c(digest_text(sum, id)));
    redact(a, ret);
    return 0;
}

static int send(int out, struct buf *b, struct err *e)
{
    buf_putc(b, '\n');
    int r = buf_check(b, e);
    return r < 0 ? r : fs_write_all(out, b->p, b->n, e);
}

int worker_tell(int out, const char *key, struct str value, struct err *e)
{
    _cleanup_(buf_fini) struct buf b = BUF_INIT(LIMIT_JSON_STRING);
    struct json_writer w = JSON_WRITER(&b);
    json_w_object(&w);
    json_w_kstr(&w, key, value);
    json_w_end(&w);
    return send(out, &b, e);
}

int worker_tell_number(int out, const char *key, uint64_t value, struct err *e)
{
    _cleanup_(buf_fini) struct buf b = BUF_INIT(4096);
    struct json_writer w = JSON_WRITER(&b);
    json_w_object(&w);
    json_w_ki64(&w, key, (int64_t)value);
    json_w_end(&w);
    return send(out, &b, e);
}

int worker_tell_image(int out, const struct worker_image *im, struct err *e)
{
    _cleanup_(buf_fini) struct buf b = BUF_INIT(LIMIT_REPORT);
    struct json_writer w = JSON_WRITER(&b);
    json_w_object(&w);
    json_w_kobject(&w, "image");
    json_w_kstr(&w, "id", im->image_id);
    json_w_kstr(&w, "digest", im->digest);
    scan_strings_write(&w, "names", im->names, im->names_n);
    json_w_key(&w, "config");
    image_config_write(&w, &im->config);
    scan_strings_write(&w, "history", im->layers.history, im->layers.history_n);
    issues_write(&w, "issues", im->issues, im->issues_n);
    json_w_karray(&w, "layers");
    for (size_t i = 0; i < im->layers.n; i++) {
        json_w_object(&w);
        json_w_kstr(&w, "diff_id", im->layers.diff_ids[i]);
        json_w_kstr(&w, "created_by", im->layers.created_by[i]);
        json_w_end(&w);
    }
    json_w_end(&w);
    json_w_end(&w);
    json_w_end(&w);
    return send(out, &b, e);
}

int worker_tell_layer(int out, const struct layer_record *l, struct err *e)
{
    _cleanup_(buf_fini) struct buf b = BUF_INIT(LIMIT_REPORT);
    struct json_writer w = JSON_WRITER(&b);
    json_w_object(&w);
    json_w_key(&w, "layer");
    layer_record_write(&w, l);
    json_w_end(&w);
    return send(out, &b, e);
}

int worker_check_layer(const struct layer_record *l, struct str diff_id, struct err *e)
{
    if (!l->tar)
        return err_set(e, EBADMSG, "layer " STR_FMT ": not a tar archive", STR_ARG(str_sub(diff_id, 0, 19)));
    if (!str_eq(l->diff_id, diff_id))
        return err_set(e, EBADMSG, "layer " STR_FMT ": its content is " STR_FMT ", not what the image config says",
                       STR_ARG(diff_id), STR_ARG(l->diff_id));
    return 0;
}

int worker_pump(const struct worker *w, int fd, int out, int (*feed)(void *ctx, const void *p, size_t n, struct err *e),
                void *ctx, struct err *e)
{
    _cleanup_free_ char *block = malloc(BLOCK);
    uint64_t done = 0, told = 0;
    if (!block)
        abort();
    posix_fadvise(fd, 0, 0, POSIX_FADV_SEQUENTIAL);
    for (;;) {
        ssize_t n = read(fd, block, BLOCK);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return err_errno(e, "read");
        if (n == 0)
            return 0;
        int r = feed(ctx, block, (size_t)n, e);
        if (r < 0)
            return r;
        done += (uint64_t)n;
        if (w->progress && done - told >= PROGRESS_STEP) {
            if ((r = worker_tell_number(out, "progress", done - told, e)) < 0)
                return r;
            told = done;
        }
    }
}

int worker_pump_quiet(int fd, uint64_t off, uint64_t n, worker_feed_fn *feed, void *ctx, struct err *e)
{
    _cleanup_free_ char *block = malloc(BLOCK);
    if (!block)
        abort();
    posix_fadvise(fd, (off_t)off, n < INT64_MAX ? (off_t)n : 0, POSIX_FADV_SEQUENTIAL);
    while (n > 0) {
        ssize_t got = pread(fd, block, n < BLOCK ? (size_t)n : BLOCK, (off_t)off);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return err_errno(e, "read");
        if (got == 0)
            return n > INT64_MAX ? 0 : err_set(e, EBADMSG, "ends too early");
        int r = feed(ctx, block, (size_t)got, e);
        if (r < 0)
            return r;
        off += (uint64_t)got;
        if (n != UINT64_MAX)
            n -= (uint64_t)got;
    }
    return 0;
}

int worker_run(const struct worker *w, int out, struct err *e)
{
    static int (*const kinds[])(const struct worker *, struct arena *, int,
                                struct err *) = {[WORKER_ARCHIVE] = worker_archive,
                                                 [WORKER_OCI] = worker_oci,
                                                 [WORKER_DIR] = worker_dir,
                                                 [WORKER_LANES] = worker_oci,
                                                 [WORKER_SBOM] = worker_sbom};
    _cleanup_(arena_freep) struct arena *a = arena_new(LIMIT_SCAN_ARENA);
    return kinds[w->kind](w, a, out, e);
}

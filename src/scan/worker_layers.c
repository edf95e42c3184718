/* The layers of an image, several at once. What is known from an earlier scan is not read. */
#include "base/cleanup.h"
#include "base/fs.h"
#include "base/limits.h"
#include "scan/worker.h"

#include <pthread.h>

#define PROGRESS_STEP (UINT64_C(16) << 20)

struct run {
    const struct worker *w;
    const struct worker_image *im;
    const struct oci_descriptor *blobs;
    const struct worker_source *src;
    int out;
    pthread_mutex_t *lock; /* for all below, and for writing to out */
    bool *wanted;
    size_t next, failed; /* failed: the lowest layer that did; im->layers.n: none */
    int code;
    struct err err;
};

struct hand {
    struct run *run;
    unsigned lane;
    struct layer *layer;
    uint64_t done, told;
    pthread_t thread;
};

static int ask(const struct run *run, size_t i, bool *ret, struct err *e)
{
    char c = 0;
    ssize_t n;
    *ret = true;
    if (run->w->answer < 0)
        return 0;
    int r = worker_tell_number(run->out, "at", i, e);
    if (r < 0 || (r = worker_tell(run->out, "want", run->im->layers.diff_ids[i], e)) < 0)
        return r;
    do
        n = read(run->w->answer, &c, 1);
    while (n < 0 && errno == EINTR);
    *ret = n != 1 || c != WORKER_KNOWN;
    return 0;
}

static int feed(void *ctx, const void *p, size_t n, struct err *e)
{
    struct hand *h = ctx;
    int r = layer_feed(h->layer, p, n, e);
    h->done += n;
    if (r < 0 || !h->run->w->progress || h->done - h->told < PROGRESS_STEP)
        return r;
    pthread_mutex_lock(h->run->lock);
    r = worker_tell_number(h->run->out, "progress", h->done - h->told, e);
    pthread_mutex_unlock(h->run->lock);
    h->told = h->done;
    return r;
}

static int one(struct hand *h, size_t i, struct err *e)
{
    struct run *run = h->run;
    _cleanup_(arena_freep) struct arena *a = arena_new(LIMIT_SCAN_ARENA);
    _cleanup_(layer_freep) struct layer *l = layer_new(a, run->w->probes);
    const struct oci_descriptor *d = run->blobs ? &run->blobs[i] : NULL;
    struct layer_record rec;
    h->layer = l;
    int r = run->src->layer(run->src->ctx, i, h->lane, feed, h, e);
    if (r < 0 || (r = layer_finish(l, &rec, e)) < 0)
        return r;
    if (d && (!str_eq(rec.digest, d->digest) || rec.size != d->size))
        return err_set(e, EBADMSG, "the blob is " STR_FMT ", %" PRId64 " bytes, the manifest says %" PRId64,
                       STR_ARG(rec.digest), rec.size, d->size);
    if ((r = worker_check_layer(&rec, run->im->layers.diff_ids[i], e)) < 0)
        return r;
    pthread_mutex_lock(run->lock);
    if ((r = worker_tell_number(run->out, "at", i, e)) >= 0)
        r = worker_tell_layer(run->out, &rec, e);
    pthread_mutex_unlock(run->lock);
    return r;
}

static void *work(void *arg)
{
    struct hand *h = arg;
    struct run *run = h->run;
    for (;;) {
        pthread_mutex_lock(run->lock);
        while (run->next < run->im->layers.n && !run->wanted[run->next])
            run->next++;
        size_t i = run->code < 0 ? run->im->layers.n : run->next++;
        pthread_mutex_unlock(run->lock);
        if (i >= run->im->layers.n)
            return NULL;
        struct err e = ERR_INIT;
        struct str name = run->blobs ? run->blobs[i].digest : run->im->layers.diff_ids[i];
        int r = one(h, i, &e);
        if (r >= 0)
            continue;
        pthread_mutex_lock(run->lock);
        if (run->code == 0 || i < run->failed) {
            err_wrap(&e, "layer " STR_FMT, STR_ARG(str_sub(name, 0, 19)));
            run->code = r;
            run->failed = i;
            run->err = e;
        }
        pthread_mutex_unlock(run->lock);
    }
}

int worker_layers(const struct worker *w, struct arena *a, const struct worker_image *im,
                  const struct oci_descriptor *blobs, const struct worker_source *src, int out, struct err *e)
{
    struct run run = {.w = w, .im = im, .blobs = blobs, .src = src, .out = out, .lock = src->lock, .err = ERR_INIT};
    size_t todo = 0;
    run.wanted = arena_array(a, im->layers.n, sizeof(bool));
    for (size_t i = 0; i < im->layers.n; i++) {
        int r = ask(&run, i, &run.wanted[i], e);
        if (r < 0)
            return r;
        todo += run.wanted[i];
    }
    unsigned threads = w->threads ? w->threads : 1;
    if (threads > todo)
        threads = (unsigned)todo;
    struct hand *hands = arena_array(a, threads, sizeof(*hands));
    unsigned started = 0;
    for (unsigned i = 0; i < threads; i++) {
        hands[i] = (struct hand){.run = &run, .lane = i};
        if (i + 1 < threads && pthread_create(&hands[i].thread, NULL, work, &hands[i]) == 0)
            started = i + 1;
        else
            break;
    }
    if (threads) {
        struct hand mine = {.run = &run, .lane = started};
        work(&mine);
    }
    for (unsigned i = 0; i < started; i++)
        pthread_join(hands[i].thread, NULL);
    return run.code < 0 ? err_set(e, -run.code, "%s", run.err.msg) : 0;
}

/* ---- frames of a lane: length (4 bytes, host order) and bytes; 0 ends, LANE_BROKEN: the sender gave up ---- */

static int read_full(int fd, void *p, size_t n, struct err *e)
{
    for (size_t got = 0; got < n;) {
        ssize_t r = read(fd, (char *)p + got, n - got);
        if (r < 0 && errno == EINTR)
            continue;
        if (r < 0)
            return err_errno(e, "read");
        if (r == 0)
            return err_set(e, EPIPE, "the transfer broke off");
        got += (size_t)r;
    }
    return 0;
}

int worker_fetch(const struct worker *w, unsigned lane, const char *kind, struct str digest, uint64_t max,
                 pthread_mutex_t *lock, int out, worker_feed_fn *sink, void *ctx, struct err *e)
{
    _cleanup_(buf_fini) struct buf b = BUF_INIT(4096);
    _cleanup_free_ char *block = malloc(LANE_BLOCK);
    struct json_writer j = JSON_WRITER(&b);
    if (!block)
        abort();
    json_w_object(&j);
    json_w_kobject(&j, "fetch");
    json_w_ki64(&j, "lane", lane);
    json_w_kstrz(&j, "kind", kind);
    json_w_kstr(&j, "digest", digest);
    json_w_ki64(&j, "max", (int64_t)max);
    json_w_end(&j);
    json_w_end(&j);
    buf_putc(&b, '\n');
    if (lock)
        pthread_mutex_lock(lock);
    int r = fs_write_all(out, b.p, b.n, e);
    if (lock)
        pthread_mutex_unlock(lock);
    uint64_t got = 0;
    while (r >= 0) {
        uint32_t n;
        if ((r = read_full(w->lanes[lane], &n, sizeof(n), e)) < 0)
            return r;
        if (n == 0)
            return 0;
        if (n == LANE_BROKEN)
            return err_set(e, EIO, "the transfer failed");
        if (n > LANE_BLOCK || (got += n) > max)
            return err_set(e, E2BIG, "more than the announced %" PRIu64 " bytes", max);
        if ((r = read_full(w->lanes[lane], block, n, e)) >= 0)
            r = sink(ctx, block, n, e);
    }
    return r;
}

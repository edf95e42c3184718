#include "base/cleanup.h"
#include "base/fs.h"
#include "format/digest.h"
#include "scan/scan_internal.h"

#include <fcntl.h>
#include <signal.h>

struct lane {
    struct lanes *l;
    int out; /* write end */
    pthread_t thread;
    bool started, busy;
    struct str kind;
    char digest[DIGEST_TEXT];
    uint64_t max;
    void *conn;
};

struct lanes {
    struct lane_source src;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    bool stop;
    int code; /* of the first transfer that failed */
    struct err err;
    int *ends; /* read ends; -1: closed */
    unsigned n;
    struct lane *lane;
};

static int frame(void *ctx, const void *p, size_t n, struct err *e)
{
    struct lane *x = ctx;
    while (n > 0) {
        uint32_t take = n < LANE_BLOCK ? (uint32_t)n : LANE_BLOCK;
        int r = fs_write_all(x->out, &take, sizeof(take), e);
        if (r < 0 || (r = fs_write_all(x->out, p, take, e)) < 0)
            return r;
        p = (const char *)p + take;
        n -= take;
    }
    return 0;
}

static void serve(struct lane *x)
{
    struct err e = ERR_INIT;
    int r = x->conn ? 0 : x->l->src.connect(x->l->src.ctx, &x->conn, &e);
    if (r >= 0)
        r = x->l->src.get(x->conn, x->kind, str_c(x->digest), x->max, frame, x, &e);
    uint32_t end = r < 0 ? LANE_BROKEN : 0;
    pthread_mutex_lock(&x->l->lock);
    if (r < 0 && x->l->code == 0 && r != -EPIPE) {
        x->l->code = r;
        x->l->err = e;
    }
    x->busy = false;
    pthread_mutex_unlock(&x->l->lock);
    fs_write_all(x->out, &end, sizeof(end), NULL); /* a worker that is gone is not interested */
}

static void *lane_main(void *arg)
{
    struct lane *x = arg;
    struct lanes *l = x->l;
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGPIPE); /* the worker may end first: then write() tells */
    pthread_sigmask(SIG_BLOCK, &set, NULL);
    for (;;) {
        pthread_mutex_lock(&l->lock);
        while (!x->busy && !l->stop)
            pthread_cond_wait(&l->wake, &l->lock);
        bool stop = l->stop;
        pthread_mutex_unlock(&l->lock);
        if (stop)
            break;
        serve(x);
    }
    if (x->conn)
        l->src.disconnect(x->conn);
    return NULL;
}

int lanes_new(const struct lane_source *src, unsigned n, struct lanes **ret, struct err *e)
{
    _cleanup_(lanes_freep) struct lanes *l = calloc(1, sizeof(*l));
    if (!l || !(l->lane = calloc(n, sizeof(*l->lane))) || !(l->ends = calloc(n, sizeof(int))))
        abort();
    l->src = *src;
    l->err = ERR_INIT;
    pthread_mutex_init(&l->lock, NULL);
    pthread_cond_init(&l->wake, NULL);
    for (; l->n < n; l->n++) {
        int p[2];
        if (pipe2(p, O_CLOEXEC) < 0)
            return err_errno(e, "pipe");
        fcntl(p[1], F_SETPIPE_SZ, 1 << 20);
        l->ends[l->n] = p[0];
        l->lane[l->n] = (struct lane){.l = l, .out = p[1]};
    }
    *ret = TAKE(l);
    return 0;
}

const int *lanes_read_ends(const struct lanes *l)
{
    return l->ends;
}

int lanes_request(struct lanes *l, const struct json_value *v, struct err *e)
{
    static const char *const kinds[] = {"root", "manifest", "blob"};
    int64_t n = json_i64(json_get(v, "lane"), -1), max = json_i64(json_get(v, "max"), -1);
    struct str kind = json_str(json_get(v, "kind")), digest = json_str(json_get(v, "digest"));
    struct lane *x = n >= 0 && n < l->n ? &l->lane[n] : NULL;
    size_t k = 0;
    while (k < ARRAY_LEN(kinds) && !str_eqc(kind, kinds[k]))
        k++;
    if (!x || max < 0 || k == ARRAY_LEN(kinds) || (k == 0 ? digest.n != 0 : !digest_valid(digest)))
        return err_set(e, EBADMSG, "worker: malformed request");
    int r = 0;
    pthread_mutex_lock(&l->lock);
    if (x->busy) {
        r = err_set(e, EBADMSG, "worker: two requests at once");
    } else {
        x->kind = str_c(kinds[k]);
        snprintf(x->digest, sizeof(x->digest), STR_FMT, STR_ARG(digest));
        x->max = (uint64_t)max;
        x->busy = true;
        if (!x->started) {
            r = pthread_create(&x->thread, NULL, lane_main, x);
            x->started = r == 0;
            r = r ? err_set(e, r, "cannot start a thread") : 0;
        }
        pthread_cond_broadcast(&l->wake);
    }
    pthread_mutex_unlock(&l->lock);
    return r;
}

int lanes_stop(struct lanes *l, struct err *e)
{
    for (unsigned i = 0; i < l->n; i++) { /* who still writes gets EPIPE */
        if (l->ends[i] >= 0)
            close(l->ends[i]);
        l->ends[i] = -1;
    }
    pthread_mutex_lock(&l->lock);
    l->stop = true;
    int code = l->code;
    if (code < 0)
        err_set(e, -code, "%s", l->err.msg);
    pthread_cond_broadcast(&l->wake);
    pthread_mutex_unlock(&l->lock);
    l->src.cancel(l->src.ctx);
    for (unsigned i = 0; i < l->n; i++)
        if (l->lane[i].started) {
            pthread_join(l->lane[i].thread, NULL);
            l->lane[i].started = false;
        }
    return code;
}

void lanes_free(struct lanes *l)
{
    if (!l)
        return;
    lanes_stop(l, NULL);
    for (unsigned i = 0; i < l->n; i++)
        close(l->lane[i].out);
    pthread_mutex_destroy(&l->lock);
    pthread_cond_destroy(&l->wake);
    free(l->lane);
    free(l->ends);
    free(l);
}

void lanes_freep(struct lanes **l)
{
    lanes_free(*l);
}

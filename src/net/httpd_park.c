/* httpd_park: the minder thread (deadlines of connections and of parked calls) and what wakes parked calls.
 *
 * A wake between a handler's look and its park is not lost: httpd_run() notes each topic's counter before the handler
 * starts, and a call whose topic moved since then is ready at once. Ready calls are fed to the pool as it has room. */
#include "net/httpd_internal.h"

#include <sys/socket.h>

#define MINDER_TICK  (500 * 1000) /* microseconds; resolution of the connection deadlines */
#define MINDER_RETRY (5 * 1000)   /* when the pool was full */

int httpd_park(struct httpd_request *rq, unsigned topics, int64_t deadline)
{
    struct call *c = (struct call *)rq;
    c->topics = topics;
    c->park_until = deadline;
    return HTTPD_PARKED;
}

int httpd_defer(struct httpd_request *rq)
{
    return HTTPD_DEFERRED;
}

static bool moved(const struct call *c)
{
    for (unsigned t = 0; t < HTTPD_TOPICS; t++)
        if ((c->topics & 1u << t) && atomic_load(&c->h->wakes[t]) != c->seen[t])
            return true;
    return false;
}

void httpd_park_call(struct call *c)
{
    struct httpd *h = c->h;
    pthread_mutex_lock(&h->lock);
    c->state = CALL_PARKED;
    c->ready = moved(c);
    c->rq.woken = c->ready;
    c->prev = NULL;
    c->next = h->parked;
    if (h->parked)
        h->parked->prev = c;
    h->parked = c;
    pthread_cond_signal(&h->changed);
    pthread_mutex_unlock(&h->lock);
}

void httpd_wake(struct httpd *h, unsigned topics)
{
    if (!h)
        return;
    for (unsigned t = 0; t < HTTPD_TOPICS; t++)
        if (topics & 1u << t)
            atomic_fetch_add(&h->wakes[t], 1);
    pthread_mutex_lock(&h->lock);
    bool any = false;
    for (struct call *c = h->parked; c; c = c->next)
        if (!c->ready && (c->topics & topics))
            c->ready = c->rq.woken = any = true;
    if (any)
        pthread_cond_signal(&h->changed);
    pthread_mutex_unlock(&h->lock);
}

void httpd_deadline(struct call *c, int64_t deadline)
{
    pthread_mutex_lock(&c->h->lock);
    if (c->conn)
        c->conn->deadline = deadline;
    pthread_mutex_unlock(&c->h->lock);
}

static void unlink_call(struct httpd *h, struct call *c)
{
    *(c->prev ? &c->prev->next : &h->parked) = c->next;
    if (c->next)
        c->next->prev = c->prev;
    c->prev = c->next = NULL;
}

/* Feed ready and expired calls to the pool; returns when to look again. */
static int64_t feed(struct httpd *h, int64_t now)
{
    int64_t next = now + MINDER_TICK;
    for (struct call *c = h->parked, *after; c; c = after) {
        after = c->next;
        bool expired = now >= c->park_until || atomic_load(&h->stopping);
        if (!c->ready && !expired) {
            next = c->park_until < next ? c->park_until : next;
            continue;
        }
        unlink_call(h, c);
        c->rq.expired = expired && !c->ready;
        c->ready = false;
        c->state = CALL_RUNNING;
        if (pool_run(h->pool, httpd_run, c))
            continue;
        c->state = CALL_PARKED; /* the pool is full: soon again */
        c->ready = c->rq.woken;
        c->next = h->parked;
        if (h->parked)
            h->parked->prev = c;
        h->parked = c;
        return now + MINDER_RETRY;
    }
    return next;
}

static void *mind(void *arg)
{
    struct httpd *h = arg;
    int64_t conns_next = 0;
    pthread_mutex_lock(&h->lock);
    while (!atomic_load(&h->minder_stop)) {
        int64_t now = time_monotonic(), next = feed(h, now);
        if (now >= conns_next) {
            for (struct conn *k = h->conns; k; k = k->next)
                if (now >= k->deadline) {
                    shutdown(k->fd, SHUT_RDWR); /* the event thread reads the end and cleans up */
                    k->deadline = TIME_NEVER;
                }
            conns_next = now + MINDER_TICK;
        }
        int64_t wait = next < conns_next ? next - now : conns_next - now;
        struct timespec ts;
        clock_gettime(CLOCK_MONOTONIC, &ts);
        int64_t at = ts.tv_sec * TIME_SECOND + ts.tv_nsec / 1000 + (wait > 0 ? wait : 0);
        ts = (struct timespec){at / TIME_SECOND, at % TIME_SECOND * 1000};
        pthread_cond_timedwait(&h->changed, &h->lock, &ts);
    }
    pthread_mutex_unlock(&h->lock);
    return NULL;
}

int httpd_minder_start(struct httpd *h, struct err *e)
{
    int r = pthread_create(&h->minder, NULL, mind, h);
    return r ? err_set(e, r, "http server: no thread") : 0;
}

void httpd_minder_stop(struct httpd *h)
{
    pthread_mutex_lock(&h->lock);
    atomic_store(&h->minder_stop, true);
    pthread_cond_signal(&h->changed);
    pthread_mutex_unlock(&h->lock);
    pthread_join(h->minder, NULL);
}

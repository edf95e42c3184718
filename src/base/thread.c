#include "base/thread.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

struct job {
    void (*fn)(void *arg);
    void *arg;
};

struct pool {
    pthread_mutex_t lock;
    pthread_cond_t more;
    struct job *ring;
    size_t ring_n, head, count;
    bool stop;
    pthread_t *threads;
    size_t threads_n;
};

static void __attribute__((noreturn)) die(const char *what)
{
    fprintf(stderr, "fatal: pool: %s\n", what);
    abort();
}

static void *work(void *arg)
{
    struct pool *p = arg;
    pthread_mutex_lock(&p->lock);
    for (;;) {
        while (!p->count && !p->stop)
            pthread_cond_wait(&p->more, &p->lock);
        if (!p->count)
            break;
        struct job j = p->ring[p->head];
        p->head = (p->head + 1) % p->ring_n;
        p->count--;
        pthread_mutex_unlock(&p->lock);
        j.fn(j.arg);
        pthread_mutex_lock(&p->lock);
    }
    pthread_mutex_unlock(&p->lock);
    return NULL;
}

struct pool *pool_new(size_t threads, size_t queue_max)
{
    struct pool *p = calloc(1, sizeof(*p));
    if (!p)
        die("out of memory");
    p->ring_n = queue_max ? queue_max : 1;
    p->ring = calloc(p->ring_n, sizeof(*p->ring));
    p->threads = calloc(threads ? threads : 1, sizeof(*p->threads));
    if (!p->ring || !p->threads)
        die("out of memory");
    pthread_mutex_init(&p->lock, NULL);
    pthread_cond_init(&p->more, NULL);
    for (p->threads_n = 0; p->threads_n < (threads ? threads : 1); p->threads_n++)
        if (pthread_create(&p->threads[p->threads_n], NULL, work, p))
            break;
    if (!p->threads_n)
        die("no thread could be started");
    return p;
}

bool pool_run(struct pool *p, void (*fn)(void *arg), void *arg)
{
    bool queued = false;
    pthread_mutex_lock(&p->lock);
    if (p->count < p->ring_n && !p->stop) {
        p->ring[(p->head + p->count++) % p->ring_n] = (struct job){fn, arg};
        queued = true;
        pthread_cond_signal(&p->more);
    }
    pthread_mutex_unlock(&p->lock);
    return queued;
}

void pool_free(struct pool *p)
{
    if (!p)
        return;
    pthread_mutex_lock(&p->lock);
    p->stop = true;
    pthread_cond_broadcast(&p->more);
    pthread_mutex_unlock(&p->lock);
    for (size_t i = 0; i < p->threads_n; i++)
        pthread_join(p->threads[i], NULL);
    pthread_cond_destroy(&p->more);
    pthread_mutex_destroy(&p->lock);
    free(p->threads);
    free(p->ring);
    free(p);
}

/* thread: a fixed pool of workers over a bounded queue. Workers run straight-line blocking code. */
#ifndef BULKHEAD_BASE_THREAD_H
#define BULKHEAD_BASE_THREAD_H

#include <stdbool.h>
#include <stddef.h>

struct pool;

struct pool *pool_new(size_t threads, size_t queue_max);
/* Queue fn(arg); false when the queue is full (the caller answers 503 or does it itself). */
bool pool_run(struct pool *p, void (*fn)(void *arg), void *arg);
void pool_free(struct pool *p); /* runs what is queued, then joins; NULL is fine */

#endif

/* backoff: how long to wait before the next try: doubling from first to most, each wait drawn from its upper half so
 * that a fleet does not come back in step.
 *
 *     struct backoff b = BACKOFF(TIME_SECOND, 300 * TIME_SECOND);
 *     on failure: wait(backoff_next(&b));    on success: backoff_reset(&b);
 */
#ifndef BULKHEAD_AGENT_BACKOFF_H
#define BULKHEAD_AGENT_BACKOFF_H

#include <stdint.h>

struct backoff {
    int64_t first, most; /* microseconds */
    int64_t step;        /* 0: no failure yet */
};

#define BACKOFF(f, m) ((struct backoff){.first = (f), .most = (m)})

int64_t backoff_next(struct backoff *b); /* microseconds, within [step/2, step] */
static inline void backoff_reset(struct backoff *b)
{
    b->step = 0;
}

#endif

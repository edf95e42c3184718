/* limiter: token buckets by name, for what strangers may try. A fixed table: names that meet in a slot share its
 * bucket, so memory is constant and the worst that happens is a stricter limit. Thread-safe.
 *
 *     if (!limiter_take(l, "login:", user, 5, 10 * TIME_SECOND)) -> 429
 *     on success: limiter_give(l, "login:", user, 5);
 */
#ifndef BULKHEAD_CONSOLE_LIMITER_H
#define BULKHEAD_CONSOLE_LIMITER_H

#include "base/str.h"

struct limiter;
struct limiter *limiter_new(void);
void limiter_free(struct limiter *l);
/* One try: `burst` at once, then one every `refill` microseconds. */
bool limiter_take(struct limiter *l, const char *kind, struct str name, unsigned burst, int64_t refill);
void limiter_give(struct limiter *l, const char *kind, struct str name,
                  unsigned burst); /* it does not count after all */

#endif

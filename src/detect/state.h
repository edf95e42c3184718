/* state: what counts and sequences remember: by key, bounded, the one touched longest ago goes first.
 *
 * Keys and counted values are 64-bit hashes (keyed, so nobody outside can make them collide).
 */
#ifndef BULKHEAD_DETECT_STATE_H
#define BULKHEAD_DETECT_STATE_H

#include "base/str.h"

struct states;
struct states *states_new(size_t max);
void states_free(struct states *st);
uint64_t states_hash(struct str s);

/* The value happened at `time`. True when at_least different ones (each call its own, where the caller makes them so)
 * happened within the time; then counting begins anew. *first: the oldest of them. */
bool states_count(struct states *st, uint64_t key, uint64_t value, uint64_t at_least, int64_t time, int64_t within,
                  int64_t *first);
/* Steps done so far; 0: none. */
unsigned states_at(struct states *st, uint64_t key);
/* Step `step` (from 0) of `steps` happened. True when it was the last one and all before were in time. */
bool states_step(struct states *st, uint64_t key, unsigned step, size_t steps, int64_t time, int64_t within,
                 int64_t *first);
size_t states_number(const struct states *st);

#endif

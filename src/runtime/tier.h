/* tier: which of the two tiers this host can carry, found by trying; and what belongs to each. */
#ifndef BULKHEAD_RUNTIME_TIER_H
#define BULKHEAD_RUNTIME_TIER_H

#include "runtime/sensor.h"

/* AUTO: lsm when its probe denied an exec of our own child, else trace when its probe killed one. */
int tier_choose(enum sensor_tier wanted, enum sensor_tier *ret, struct err *e);
/* Load the probe of this tier and let it act on a child of ours. 0: it acted; what was seen is in `seen`. */
int tier_probe(enum sensor_tier t, char *seen, size_t n, struct err *e);
bool tier_wants(enum sensor_tier t, const struct sensor_opts *o, const char *program);
/* A kernel may lack this program's hook; the rest goes on without it and doctor says so. */
bool tier_may_miss(const char *program);
/* A descriptor of the root of the cgroup2 hierarchy, wherever that is mounted; -1: none. */
int tier_cgroup_root(void);

#endif

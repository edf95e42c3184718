/* kernel_isolation: which containers one may reach all the same (isolation.allow), in the pinned map of
 * bpf/isolation.bpf.c. Works on the pins alone, as kernel_policy does. */
#ifndef BULKHEAD_RUNTIME_KERNEL_ISOLATION_H
#define BULKHEAD_RUNTIME_KERNEL_ISOLATION_H

#include "base/err.h"
#include "base/str.h"

#define ISOLATION_PAIRS 16384 /* of a host, as in the kernel */

/* From now on container `id` may reach exactly these others (ids of 64 digits). -ENOENT: no isolation programs here;
 * -E2BIG: the table is full, and what fitted counts. */
int kernel_isolation_put(const char *bpf_dir, struct str id, const struct str *others, size_t n, struct err *e);

#endif

/* lockdown: what the policy of a container changes in the configuration it starts with (config.json of its bundle).
 *
 * In mode enforce, and only towards less:
 *
 *   privilege.capabilities   what the list does not name is taken out of every set
 *   privilege.compat: block  the filter knows the native architecture alone: a 32-bit call ends the process
 *   syscalls.profile         learned: calls the image's stable profile does not have are taken out of the engine's
 *                            filter, or become a filter where there was none; without a stable profile nothing changes
 *                            default: a container without a filter gets one; PATH: this filter replaces the engine's
 *
 * The kernel enforces it from the first instruction on, whoever dies, at the level `block`, without an event.
 */
#ifndef BULKHEAD_RUNC_LOCKDOWN_H
#define BULKHEAD_RUNC_LOCKDOWN_H

#include "base/arena.h"
#include "format/json.h"
#include "policy/policy.h"
#include "runtime/profile.h"

struct lockdown {
    bool changed;
    bool sealed;      /* the 32-bit entry is closed */
    const char *said; /* what of the policy is not in force, for an event; NULL: all is */
};

/* The bundle's config.json is rewritten, whole or not at all. profile: NULL when there is no stable one. */
int lockdown_bundle(struct arena *a, const char *bundle, const struct container_policy *p,
                    const struct profile *profile, struct lockdown *ret, struct err *e);
/* What the process of an `exec` may hold: the file is its `process` member alone. */
int lockdown_process(struct arena *a, const char *path, const struct container_policy *p, struct err *e);
/* The same on text, for tests. */
int lockdown_config(struct arena *a, struct str config, const struct container_policy *p, const struct profile *profile,
                    struct buf *out, struct lockdown *ret, struct err *e);

#endif

/* install: puts what the console sent into the state directory, whole and verified, or not at all.
 *
 * The sender is not trusted: a policy set must parse, an intel database must carry a good signature by the owner's key
 * and be no older than the one in place. Root side of the uplink only.
 */
#ifndef BULKHEAD_AGENT_INSTALL_H
#define BULKHEAD_AGENT_INSTALL_H

#include "base/arena.h"
#include "policy/policy.h"

/* Replace STATE/policy by these documents: one file `console.yaml`, others are removed behind it. revision: 65 bytes.
 * 1 it changed, 0 it was the same already. */
int install_policy(const char *state, const struct policy_source *docs, size_t n, char revision[static 65],
                   struct err *e);

struct install_intel {
    char *state, *key; /* key: PEM that is to become intel.pub; NULL: the one in place is pinned */
    int fd;
    uint64_t size, got;
    char revision[65];
};
#define INSTALL_INTEL_INIT ((struct install_intel){.fd = -1})

/* 1: go on, send size bytes. 0: this revision is in place. -E2BIG, -EINVAL. `key` empty: pinned. */
int install_intel_begin(struct install_intel *x, const char *state, struct str revision, uint64_t size, struct str key,
                        struct err *e);
int install_intel_data(struct install_intel *x, struct str bytes, struct err *e);
/* Verify and move into place; clears x in any case. -EKEYREJECTED, -EBADMSG, -ESTALE older than the one in place. */
int install_intel_end(struct install_intel *x, struct err *e);
void install_intel_fini(struct install_intel *x); /* gives up: the partial file goes */

#endif

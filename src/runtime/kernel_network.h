/* kernel_network: what a container may talk to, in the pinned kernel maps of bpf/net.h. Works on the pins alone, like
 * kernel_policy, which calls it: only cuts and bad addresses are asked for directly.
 *
 * The lists of a policy become one trie a container: an address finds the ranges of every element that covers it. Each
 * change raises the generation of the rules, so that connections that are open are judged again at their next packet.
 *
 *     kernel_network_cut(dir, id, true, e);    // from now on nothing in or out, whatever the policy; loopback too
 *     kernel_network_cut(dir, id, false, e);   // as the policy says again
 */
#ifndef BULKHEAD_RUNTIME_KERNEL_NETWORK_H
#define BULKHEAD_RUNTIME_KERNEL_NETWORK_H

#include "base/err.h"
#include "bpf/network.h"
#include "policy/policy.h"

/* What the lists mean for one container here and now. */
struct kernel_network {
    const uint8_t (*resolvers)[16]; /* whose answers bind names; none: those that are in the kernel stay */
    size_t resolvers_n;
    const uint8_t (*own)[16]; /* its own addresses: always allowed */
    size_t own_n;
    size_t (*peer)(void *ctx, struct str who, uint8_t (*ret)[16],
                   size_t max); /* addresses of a peer: element; NULL: none */
    void *ctx;
    const struct str *egress, *ingress; /* more allow elements: the learned profile */
    size_t egress_n, ingress_n;
    bool learned; /* these rule, also when the policy has no list of its own */
};

/* n may be NULL. Notices are added to *notices (arena), one line each. id: BH_ID bytes; all NUL: the host default. */
int kernel_network_put(struct arena *a, const char *bpf_dir, const char *id, const struct container_policy *p,
                       const struct kernel_network *n, struct str **notices, size_t *notices_n, struct err *e);
int kernel_network_del(const char *bpf_dir, const char *id, struct err *e);
/* -ENOENT: no such rules. */
int kernel_network_get(const char *bpf_dir, struct str id, struct bh_net *ret, struct err *e);

/* Cut off, or not any more. Stays when the agent dies; ends with the container's policy or by cut == false. */
int kernel_network_cut(const char *bpf_dir, struct str id, bool cut, struct err *e);
bool kernel_network_is_cut(const char *bpf_dir, struct str id);

/* Replace the list of known bad addresses: lines of ADDRESS or CIDR, # comments. *n: how many are in force; more than
 * BH_BAD is -E2BIG, a line that is none -EINVAL with its number; both change nothing. */
int kernel_network_bad(const char *bpf_dir, struct str text, size_t *n, struct err *e);

#endif

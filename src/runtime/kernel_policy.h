/* kernel_policy: the policy of each container in the pinned kernel maps, where the BPF programs read it.
 *
 * Works on the pins alone, so the agent, the gate and bulkhead-runc use it alike and it needs no agent: bulkhead-runc
 * writes a container's policy before its first instruction, also while the agent is dead. -ENOENT: nothing is pinned
 * under bpf_dir (no sensor ever ran since boot). Puts replace; lists are written before the policy that names them,
 * so a container is never judged by half of one.
 *
 * What a list can hold in the kernel: exact paths up to 247 bytes (any number, together LIMIT below), and up to
 * BH_GLOBS patterns of up to 127 bytes a list. Elements that the kernel cannot judge (sha256:, user names) are not
 * silently dropped: each is told as a notice. A deny, allow or users list with such an element still holds for all
 * its other elements. More than fits is -E2BIG and changes nothing.
 */
#ifndef BULKHEAD_RUNTIME_KERNEL_POLICY_H
#define BULKHEAD_RUNTIME_KERNEL_POLICY_H

#include "base/err.h"
#include "bpf/event.h"
#include "policy/policy.h"
#include "runtime/kernel_network.h"

#define KERNEL_POLICY_PATHS 4096u /* exact paths in all lists of one container */

struct kernel_policy_extra {
    struct str image_id; /* novelty is kept per image; empty: per container */
    bool tell_all;       /* tell every exec of this container, not only new ones */
    bool starts;         /* by bulkhead-runc: nothing of an earlier run of this container lasts */
    bool sealed;         /* bulkhead-runc closes the 32-bit entry of this container: stays set in later puts */
    /* added to process.allow as exact paths: the learned profile */
    const struct str *allow;
    size_t allow_n;
    bool has_allow;                       /* the profile is in force even when empty */
    const struct kernel_network *network; /* what network lists mean here; NULL: addresses only */
};

/* extra may be NULL. Notices (one line each) live in the arena; both out parameters may be NULL. */
int kernel_policy_put(struct arena *a, const char *bpf_dir, struct str id, const struct container_policy *p,
                      const struct kernel_policy_extra *extra, const struct str **notices, size_t *notices_n,
                      struct err *e);
/* The container is gone. An absent id is fine. */
int kernel_policy_del(const char *bpf_dir, struct str id, struct err *e);
/* The host default: what rules containers whose id has no policy yet. Stays when the agent dies. */
int kernel_policy_default(struct arena *a, const char *bpf_dir, const struct container_policy *p,
                          const struct str **notices, size_t *notices_n, struct err *e);
/* What is in force; -ENOENT when the id has none of its own. id empty: the host default. */
int kernel_policy_get(const char *bpf_dir, struct str id, struct bh_policy *ret, struct err *e);
/* Ids that have a policy in the kernel, in no order: for the agent to drop those of containers that are gone. */
int kernel_policy_list(struct arena *a, const char *bpf_dir, const struct str **ids, size_t *n, struct err *e);
/* Is there a sensor's pin to write to? */
bool kernel_policy_present(const char *bpf_dir);

#endif

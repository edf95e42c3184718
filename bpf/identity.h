/* identity: which container a task belongs to, known before its first instruction, without user space.
 *
 * The engine names the container's cgroup after its id; we read that name in the kernel and remember the answer per
 * cgroup. The outermost such name counts, so a container that may make cgroups cannot pose as another one. Looked at
 * in turn: the default (v2) hierarchy, v1's pids and memory, then the table of mount namespaces that user space keeps
 * for engines that name no cgroup.
 */
#ifndef BULKHEAD_BPF_IDENTITY_H
#define BULKHEAD_BPF_IDENTITY_H

#include "maps.h"

struct ident_walk {
    struct kernfs_node *kn;
    struct ident *found;
};

/* 64 hex digits alone, or behind "crio-", "docker-" / "libpod-", "cri-containerd-", with or without ".scope". Only
 * the length of the prefix is looked at; that of the monitors' cgroups ("libpod-conmon-") is none of these. */
static long ident_step(__u32 i, struct ident_walk *w)
{
    char name[88];
    struct kernfs_node *kn = w->kn;
    if (!kn)
        return 1;
    const char *p = READ(kn, name);
    long len = bpf_probe_read_kernel_str(name, sizeof(name), p) - 1;
    w->kn = kernfs_parent(kn);
    if (len < BH_ID || len > 64 + 15 + 6)
        return 0;
    long base = len - BH_ID;
    if (base >= 6 && base != 7 && base != 15)
        base -= 6; /* .scope */
    if (base != 0 && base != 5 && base != 7 && base != 15)
        return 0;
    if (bpf_probe_read_kernel(name, BH_ID, p + base))
        return 0;
    __u64 good = 1; /* without branches: 64 of them would be too many for the verifier */
    for (int k = 0; k < BH_ID; k++) {
        __u64 digit = (__u32)((__u8)name[k] - '0'), letter = (__u32)((__u8)name[k] - 'a');
        good &= ((digit - 10) | (letter - 6)) >> 63;
    }
    if (!good)
        return 0;
    __u32 zero = 0;
    struct bh_config *cfg = bpf_map_lookup_elem(&config, &zero);
    if (cfg && cfg->own_id[0]) {
        __u32 differs = 0;
        for (int k = 0; k < BH_ID; k++)
            differs |= (__u8)name[k] ^ (__u8)cfg->own_id[k];
        if (!differs)
            return 0;
    }
    w->found->has = 1;
    __builtin_memcpy(w->found->id, name, BH_ID);
    return 0;
}

__noinline int ident_learn(__u64 cgroup)
{
    struct cgroup *cg = (void *)cgroup;
    struct ident found = {};
    struct ident_walk w = {.kn = READ(cg, kn), .found = &found};
    struct ident_key key = {.kn = READ(cg, kn, id), .hierarchy = READ(cg, root, hierarchy_id)};
    found.kn = key.kn;
    bpf_loop(4096, ident_step, &w, 0);
    bpf_map_update_elem(&idents, &key, &found, BPF_ANY);
    return found.has;
}

static __always_inline struct ident *ident_of_cgroup(struct cgroup *cg)
{
    struct ident_key key = {.kn = READ(cg, kn, id), .hierarchy = READ(cg, root, hierarchy_id)};
    struct ident *i = bpf_map_lookup_elem(&idents, &key);
    if (!i) {
        ident_learn((__u64)cg);
        i = bpf_map_lookup_elem(&idents, &key);
    }
    return i;
}

/* The id of the task's container, in a map's memory; NULL: it is the host's. */
static __always_inline const char *ident_of_task(struct task_struct *t, __u64 *cgroup)
{
    struct css_set *set = READ(t, cgroups);
    struct cgroup *dfl = READ(set, dfl_cgrp), *cg = dfl;
#pragma clang loop unroll(disable)
    for (int i = 0; i < 3; i++) {
        if (i == 1)
            cg = READ(set, subsys[bpf_core_enum_value(enum cgroup_subsys_id, pids_cgrp_id)], cgroup);
        else if (i == 2)
            cg = READ(set, subsys[bpf_core_enum_value(enum cgroup_subsys_id, memory_cgrp_id)], cgroup);
        if (!cg || (i && cg == dfl))
            continue;
        struct ident *ident = ident_of_cgroup(cg);
        if (ident && ident->has) {
            *cgroup = ident->kn;
            return ident->id;
        }
    }
    __u32 ns = READ(t, nsproxy, mnt_ns, ns.inum);
    struct id_key *by_ns = bpf_map_lookup_elem(&mnt_namespaces, &ns);
    if (!by_ns)
        return NULL;
    *cgroup = READ(dfl, kn, id);
    return by_ns->id;
}

static __always_inline struct task_state *task_state(struct task_struct *t)
{
    return bpf_task_storage_get(&tasks, t, NULL, 0);
}

static __always_inline bool task_entered(void)
{
    struct task_state *st = task_state(bpf_get_current_task_btf());
    return st && (st->flags & TASK_ENTERED);
}

#endif

/* maps: every map of the kernel side. All programs of all objects share them: the loader creates each once, by name,
 * and pins it, so they outlive programs and agents.
 */
#ifndef BULKHEAD_BPF_MAPS_H
#define BULKHEAD_BPF_MAPS_H

#include "event.h"
#include "kernel.h"

#define PATH_BUF 4096

struct ident_key {
    __u64 kn;
    __u32 hierarchy;
    __u32 pad;
};
struct ident { /* is this cgroup a container's, and whose */
    __u64 kn;
    __u32 has;
    __u32 pad;
    char id[BH_ID];
};

/* State of a task in a container; none for tasks of the host. */
struct task_state {
    __u32 flags;
    __u32 pending; /* what is looked at again when the call returns (return.h) */
    __u64 scope;   /* of novelty: its image, else its container; 0 not known yet */
    __u64 caps;    /* credentials as last seen: they never grow between two execs (creds.h) */
    __u32 uid, euid, suid, user_ns;
    __u32 policy, generation; /* flags of its policy, and which generation of policies that was (plus one) */
    __u64 allowed;            /* capabilities by its policy */
    __u32 root_dev, pad;
};
enum task_flags {
    TASK_ENTERED = 1, /* it, or an ancestor, has run a program inside: the engine's set-up code before is not judged */
    TASK_TOLD = 2,    /* its exec was told, so its exit is */
    TASK_CREDS = 4,   /* its credentials are noted */
};

struct novel_key {
    __u64 scope, object, object2;
    __u32 op, pad;
};
struct novel {
    __u64 told;
    __u64 repeats;
};

struct walk { /* where path_walk() starts */
    __u64 mnt, dentry;
};

/* What one decision needs, too big for the stack. Four to a CPU, because a program may be interrupted by another. */
struct scratch {
    struct bh_event ev;
    char spill[2048]; /* room for the verifier's idea of the last append */
    char path[PATH_BUF + 512];
    struct bh_path_key key;
    struct bh_policy policy;
    struct bh_container container;
    struct walk walk;
    __u32 path_off, path_len;
    __u32 path_cut; /* longer than we can tell: denied by every list, never waved through */
    __u32 data_n;
    __u32 inside;
    __u32 glob_i, glob_list;
    __u32 fresh;               /* first program of a container that no guard sealed: told, so that the agent wakes */
    char text[PATH_BUF + 512]; /* the path again, from index 0, NUL behind */
};
struct scratch_busy {
    __u32 slot[4];
};

#define MAP(kind, entries, ktype, vtype, name)                                                                         \
    struct {                                                                                                           \
        __uint(type, BPF_MAP_TYPE_##kind);                                                                             \
        __uint(max_entries, entries);                                                                                  \
        __type(key, ktype);                                                                                            \
        __type(value, vtype);                                                                                          \
    } name SEC(".maps")
#define MAP_LAZY(kind, entries, ktype, vtype, name)                                                                    \
    struct {                                                                                                           \
        __uint(type, BPF_MAP_TYPE_##kind);                                                                             \
        __uint(max_entries, entries);                                                                                  \
        __uint(map_flags, BPF_F_NO_PREALLOC);                                                                          \
        __type(key, ktype);                                                                                            \
        __type(value, vtype);                                                                                          \
    } name SEC(".maps")

struct id_key {
    char id[BH_ID];
};
MAP(ARRAY, 1, __u32, struct bh_config, config);
MAP_LAZY(HASH, 16384, struct id_key, struct bh_policy, policies);
MAP(ARRAY, 1, __u32, struct bh_policy, host_default);
MAP_LAZY(HASH, 65536, struct bh_path_key, __u32, paths);
MAP_LAZY(HASH, 16384, struct bh_glob_key, struct bh_globs, globs);
MAP_LAZY(HASH, 16384, struct id_key, struct bh_container, containers);
MAP_LAZY(HASH, 16384, __u32, struct id_key, mnt_namespaces);
MAP_LAZY(HASH, 4096, struct id_key, struct bh_calls, learned_calls); /* of containers that learn */
MAP(LRU_HASH, 16384, struct ident_key, struct ident, idents);
MAP(LRU_HASH, 65536, struct novel_key, struct novel, novelty);
MAP(PERCPU_ARRAY, 4, __u32, struct scratch, scratches);
MAP(PERCPU_ARRAY, 1, __u32, struct scratch_busy, scratch_busy);
MAP(PERCPU_ARRAY, 2, __u32, struct bh_loss, losses);
MAP_LAZY(HASH, 64, struct bh_inode, __u32, engine_sockets);
MAP(ARRAY, 2, __u32, __u32, changes); /* 0: containers made that no guard sealed; 1: policies written: demand.h */
MAP_LAZY(TASK_STORAGE, 0, int, struct task_state, tasks);
struct {
    __uint(type, BPF_MAP_TYPE_RINGBUF);
    __uint(max_entries, 1 << 20);
} alerts SEC(".maps");
struct {
    __uint(type, BPF_MAP_TYPE_RINGBUF);
    __uint(max_entries, 4 << 20);
} telemetry SEC(".maps");

static __always_inline struct scratch *scratch_at(__u32 slot)
{
    slot &= 3;
    return bpf_map_lookup_elem(&scratches, &slot);
}

static __always_inline struct scratch *scratch_take(__u32 *slot)
{
    __u32 zero = 0;
    struct scratch_busy *b = bpf_map_lookup_elem(&scratch_busy, &zero);
    if (!b)
        return NULL;
    for (int i = 0; i < 4; i++)
        if (!__sync_val_compare_and_swap(&b->slot[i], 0, 1)) {
            *slot = i;
            return scratch_at(i);
        }
    struct bh_loss *l = bpf_map_lookup_elem(&losses, &zero);
    if (l) {
        __sync_fetch_and_add(&l->seq, 1);
        __sync_fetch_and_add(&l->lost, 1);
    }
    return NULL;
}

static __always_inline void scratch_give(__u32 slot)
{
    __u32 zero = 0;
    struct scratch_busy *b = bpf_map_lookup_elem(&scratch_busy, &zero);
    if (b)
        __sync_val_compare_and_swap(&b->slot[slot & 3], 1, 0);
}

#endif

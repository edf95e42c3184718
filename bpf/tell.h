/* tell: fill an event and put it into its ring, counting what did not fit. */
#ifndef BULKHEAD_BPF_TELL_H
#define BULKHEAD_BPF_TELL_H

#include "identity.h"
#include "path.h"

#define NSEC           1000000000ull
#define RING_ALERTS    0
#define RING_TELEMETRY 1

static __always_inline __u64 id_hash(const char *id)
{
    const __u64 *w = (const void *)id;
    __u64 h = 0xcbf29ce484222325ull;
    for (int i = 0; i < BH_ID / 8; i++)
        h = (h ^ w[i]) * 0x100000001b3ull;
    return h;
}

/* Append path[] to data[]; a longer one keeps its end. Returns 1 when it was cut. */
__noinline int tell_path(__u32 slot, __u32 max)
{
    struct scratch *s = scratch_at(slot);
    if (!s)
        return 0;
    __u32 len = s->path_len, off = s->path_off, at = s->data_n, cut = s->path_cut;
    if (max > BH_PATH)
        max = BH_PATH;
    if (len >= max) {
        off += len - (max - 1);
        len = max - 1;
        cut = 1;
    }
    if (at + len > BH_DATA)
        return 1;
    bpf_probe_read_kernel(&s->ev.data[at & (BH_DATA - 1)], len & (BH_PATH - 1), &s->path[off & (PATH_BUF - 1)]);
    s->data_n = at + len;
    return cut;
}

static __always_inline struct bh_span tell_span(struct scratch *s, __u32 from)
{
    return (struct bh_span){.off = from, .len = s->data_n - from};
}

static __always_inline int tell_file_path(struct scratch *s, __u32 slot, struct path *p, __u32 max, struct bh_span *ret)
{
    __u32 from = s->data_n;
    s->walk.mnt = (__u64)READ(p, mnt);
    s->walk.dentry = (__u64)READ(p, dentry);
    path_walk(slot);
    int cut = tell_path(slot, max);
    *ret = tell_span(s, from);
    return cut;
}

/* The path in path[] becomes the event's path. */
static __always_inline void tell_walked(struct scratch *s, __u32 slot)
{
    __u32 from = s->data_n;
    if (tell_path(slot, BH_PATH))
        s->ev.truncated |= BH_TRUNCATED_PATH;
    s->ev.path = tell_span(s, from);
}

static __always_inline __u32 ns_id(struct user_namespace *ns, __u32 kid)
{
    for (int i = 0; i < 5; i++) {
        struct uid_gid_extent x;
        bpf_core_read(&x, sizeof(x), &ns->uid_map.extent[i]);
        if (kid - x.lower_first < x.count)
            return x.first + (kid - x.lower_first);
    }
    return kid;
}

/* Header, credentials, namespaces: what every event has. */
__noinline int tell_begin(__u32 slot, __u32 type)
{
    struct scratch *s = scratch_at(slot);
    if (!s)
        return 0;
    struct bh_event *e = &s->ev;
    struct task_struct *t = (void *)bpf_get_current_task();
    struct task_struct *leader = READ(t, group_leader);
    const struct cred *cred = READ(t, cred);
    struct user_namespace *uns = READ(cred, user_ns);
    struct nsproxy *ns = READ(t, nsproxy);
    __u64 pid_tgid = bpf_get_current_pid_tgid();
    __u32 zero = 0;
    struct bh_config *cfg = bpf_map_lookup_elem(&config, &zero);

    __builtin_memset(&e->size, 0, __builtin_offsetof(struct bh_event, id));
    __builtin_memset(&e->old_caps, 0, 16);
    __builtin_memset(&e->exe, 0, 8 + 8);
    __builtin_memset(&e->file, 0,
                     __builtin_offsetof(struct bh_event, parents) - __builtin_offsetof(struct bh_event, file));
    s->data_n = 0;
    e->layout = BH_LAYOUT;
    e->type = type;
    e->time = bpf_ktime_get_boot_ns();
    e->cpu = bpf_get_smp_processor_id();
    e->tier = cfg ? cfg->tier : 0;
    e->revision = s->policy.revision;
    e->mode = s->policy.mode;
    e->pid = pid_tgid >> 32;
    e->tid = (__u32)pid_tgid;
    struct pid *pid = READ(leader, thread_pid);
    __u32 level = READ(pid, level);
    struct upid up = {};
    bpf_core_read(&up, sizeof(up),
                  (void *)pid + bpf_core_field_offset(struct pid, numbers) +
                      (level & 31) * bpf_core_type_size(struct upid));
    e->ns_pid = up.nr;
    e->ppid = READ(leader, real_parent, tgid);
    e->started = READ(leader, start_boottime);
    e->uid = READ(cred, uid.val);
    e->gid = READ(cred, gid.val);
    e->euid = READ(cred, euid.val);
    e->egid = READ(cred, egid.val);
    e->ns_uid = ns_id(uns, e->uid);
    e->ns_euid = ns_id(uns, e->euid);
    e->caps = cap_bits((void *)cred + bpf_core_field_offset(struct cred, cap_effective));
    e->mnt_ns = READ(ns, mnt_ns, ns.inum);
    e->pid_ns = READ(up.ns, ns.inum);
    e->net_ns = READ(ns, net_ns, ns.inum);
    e->user_ns = READ(uns, ns.inum);
    bpf_get_current_comm(e->comm, sizeof(e->comm));
    return 0;
}

/* Ancestors, nearest first; each with the path of its program. */
__noinline int tell_parents(__u32 slot)
{
    struct scratch *s = scratch_at(slot);
    if (!s)
        return 0;
    struct task_struct *t = (void *)bpf_get_current_task();
    t = READ(t, group_leader);
    __u32 n = 0;
    for (int i = 0; i < BH_PARENTS; i++) {
        struct task_struct *p = READ(t, real_parent, group_leader);
        if (!p || p == t || READ(p, tgid) == 0)
            break;
        t = p;
        struct bh_parent *q = &s->ev.parents[i];
        q->pid = READ(p, tgid);
        q->started = READ(p, start_boottime);
        bpf_core_read(q->comm, sizeof(q->comm), &p->comm);
        q->exe = (struct bh_span){};
        struct file *f = READ(p, mm, exe_file);
        if (f)
            tell_file_path(s, slot, (void *)f + bpf_core_field_offset(struct file, f_path), 256, &q->exe);
        n++;
    }
    s->ev.parents_n = n;
    return 0;
}

/* The program the task runs now. */
static __always_inline void tell_exe(struct scratch *s, __u32 slot)
{
    struct task_struct *t = (void *)bpf_get_current_task();
    struct file *f = READ(t, mm, exe_file);
    if (f && tell_file_path(s, slot, (void *)f + bpf_core_field_offset(struct file, f_path), BH_PATH, &s->ev.exe))
        s->ev.truncated |= BH_TRUNCATED_EXE;
}

static __always_inline void tell_filename(struct scratch *s, const char *name)
{
    __u32 at = s->data_n;
    if (at > BH_DATA - BH_PATH)
        return;
    long n = bpf_probe_read_kernel_str(&s->ev.data[at & (BH_DATA - 1)], BH_PATH, name);
    if (n <= 1)
        return;
    s->data_n = at + ((n - 1) & (BH_PATH - 1));
    s->ev.path = tell_span(s, at);
}

/* 1: to be told. Equal ones within `again` ns are counted and kept back (0: told once for all). */
static __always_inline bool novel(struct scratch *s, __u64 scope, __u64 object, __u64 object2, __u32 op, __u64 again)
{
    struct novel_key k = {.scope = scope, .object = object, .object2 = object2, .op = op};
    __u64 now = bpf_ktime_get_boot_ns();
    struct novel *n = bpf_map_lookup_elem(&novelty, &k);
    if (n) {
        if (!again || now - n->told < again) {
            __sync_fetch_and_add(&n->repeats, 1);
            return false;
        }
        s->ev.repeats = n->repeats;
        n->repeats = 0;
        n->told = now;
        return true;
    }
    struct novel v = {.told = now};
    bpf_map_update_elem(&novelty, &k, &v, BPF_ANY);
    return true;
}
/* It did not fit into the ring: it is still new. */
static __always_inline void novel_undo(__u64 scope, __u64 object, __u64 object2, __u32 op)
{
    struct novel_key k = {.scope = scope, .object = object, .object2 = object2, .op = op};
    bpf_map_delete_elem(&novelty, &k);
}

/* 0 told, negative lost (and counted). */
__noinline int tell_send(__u32 slot, __u32 ring)
{
    struct scratch *s = scratch_at(slot);
    ring &= 1;
    struct bh_loss *l = bpf_map_lookup_elem(&losses, &ring);
    if (!s || !l)
        return -1;
    __u32 size = __builtin_offsetof(struct bh_event, data) + s->data_n;
    if (size > sizeof(struct bh_event))
        size = sizeof(struct bh_event);
    s->ev.ring = ring;
    s->ev.size = size;
    s->ev.seq = __sync_fetch_and_add(&l->seq, 1);
    int r = ring == RING_ALERTS ? bpf_ringbuf_output(&alerts, &s->ev, size, 0)
                                : bpf_ringbuf_output(&telemetry, &s->ev, size, 0);
    if (r)
        __sync_fetch_and_add(&l->lost, 1);
    return r;
}

#endif

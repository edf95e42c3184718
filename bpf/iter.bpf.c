/* iter: run once at start over all tasks: those of containers that ran before us are inside already. */
#include "judge.h"

char _license[] SEC("license") = "Dual BSD/GPL";

SEC("iter/task")
int on_task(struct bpf_iter__task *ctx)
{
    struct task_struct *t = ctx->task;
    __u64 cgroup;
    const char *id = t ? ident_of_task(t, &cgroup) : NULL;
    struct bh_container *c = id ? bpf_map_lookup_elem(&containers, id) : NULL;
    if (!c)
        return 0;
    struct dentry *root = READ(t, fs, root.dentry);
    if (READ(root, d_sb, s_dev) != c->root_dev && READ(t, nsproxy, mnt_ns, ns.inum) != c->mnt_ns)
        return 0; /* the engine, setting one up or entering it */
    struct task_state *st = bpf_task_storage_get(&tasks, t, NULL, BPF_LOCAL_STORAGE_GET_F_CREATE);
    if (st)
        st->flags |= TASK_ENTERED;
    return 0;
}

/* iter: run once at start over all tasks: those of containers that ran before us are inside already. */
#include "judge.h"

char _license[] SEC("license") = "Dual BSD/GPL";

SEC("iter/task")
int on_task(struct bpf_iter__task *ctx)
{
    struct task_struct *t = ctx->task;
    struct id_key id;
    __u64 cgroup;
    if (!t || !ident_of_task(t, &id, &cgroup))
        return 0;
    struct bh_container *c = bpf_map_lookup_elem(&containers, &id);
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

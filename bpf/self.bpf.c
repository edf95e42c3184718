/* self: the agent's processes, programs, maps, files and sockets are out of reach of containers, privileged ones
 * included, whatever their policy says. Who belongs to us is told by user space (runtime/self.h). self_lsm_* belong to
 * the lsm tier and refuse; self_trace_kill to the trace tier: whoever signals the agent dies, the signal is on its way.
 */
#include "judge.h"

char _license[] SEC("license") = "Dual BSD/GPL";

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)
struct kernel_siginfo {
    int si_code;
};
struct bpf_map {
    __u32 id;
};
struct bpf_link {
    __u32 id;
};
struct unix_sock___self {
    struct path path;
};
#pragma clang attribute pop

struct self_id {
    __u32 kind, id; /* enum bh_self */
};
struct self_file {
    __u64 ino;
    __u32 dev, pad;
};
MAP(HASH, 64, __u32, __u64, self_tasks); /* by thread group: its start, in clock ticks since boot */
MAP(HASH, 4096, struct self_id, __u32, self_ids);
MAP(HASH, 256, struct self_file, __u32, self_files); /* enum bh_self_file */
MAP(HASH, 64, __u32, __u32, self_devs);              /* superblocks that hold any of them; 1: is all ours (pins) */

#define TICK  10000000ull /* ns; USER_HZ is 100 on every architecture we know */
#define DEPTH 24
/* commands of bpf() */
#define LINK_UPDATE 29
#define LINK_DETACH 34

static __always_inline bool by_container(void)
{
    __u64 cgroup;
    return task_entered() && ident_of_task(bpf_get_current_task_btf(), &cgroup);
}

#define CASE(type, what, level) ((type) | (what) << 8 | (level) << 16)

/* It is refused, or its caller dies. */
__noinline int self_refuse(__u32 is, __u64 a0, __u64 a1, __u64 mnt, __u64 dentry)
{
    __u32 what = is >> 8 & 0xff, level = is >> 16;
    __u32 slot = 0;
    struct scratch *s = judge_begin(&slot, true);
    if (!s)
        return -EPERM;
    tell_begin(slot, is & 0xff);
    struct bh_event *e = &s->ev;
    e->action = BH_BLOCK;
    e->control = BH_CONTROL_sensor;
    e->known = s->inside == 2;
    e->would = e->acted = level;
    e->arg[0] = a0;
    e->arg[1] = a1;
    e->arg[3] = what;
    e->why = BH_WHY_CONTROL;
    if (dentry) {
        s->walk.mnt = mnt;
        s->walk.dentry = dentry;
        path_walk(slot);
        tell_walked(s, slot);
    }
    if (level == BH_LEVEL_KILL)
        bpf_send_signal(SIGKILL);
    tell_exe(s, slot);
    judge_send(slot, what, a1);
    scratch_give(slot);
    return -EPERM;
}

/* ---- processes ---- */

static __always_inline bool is_task(__u32 tgid, struct task_struct *p)
{
    __u64 *started = bpf_map_lookup_elem(&self_tasks, &tgid);
    return started && (!p || READ(p, group_leader, start_boottime) / TICK == *started);
}

static __always_inline int on_task(struct task_struct *p, __u32 type, __u64 a0, __u32 level)
{
    __u32 tgid = READ(p, tgid);
    if (!is_task(tgid, p) || !by_container())
        return 0;
    return self_refuse(CASE(type, BH_SELF_PROCESS, level), a0, tgid, 0, 0);
}

SEC("lsm/task_kill")
int BPF_PROG(self_lsm_kill, struct task_struct *p, struct kernel_siginfo *info, int sig, const struct cred *cred)
{
    return sig ? on_task(p, BH_SIGNAL, sig, BH_LEVEL_BLOCK) : 0;
}

SEC("lsm/ptrace_access_check")
int BPF_PROG(self_lsm_ptrace, struct task_struct *child, unsigned int mode)
{
    return mode & 2 /* PTRACE_MODE_ATTACH */ ? on_task(child, BH_PTRACE, mode, BH_LEVEL_BLOCK) : 0;
}

SEC("lsm/task_setscheduler")
int BPF_PROG(self_lsm_scheduler, struct task_struct *p)
{
    return on_task(p, BH_CALL, 0, BH_LEVEL_BLOCK);
}

SEC("lsm/task_setnice")
int BPF_PROG(self_lsm_nice, struct task_struct *p, int nice)
{
    return on_task(p, BH_CALL, 0, BH_LEVEL_BLOCK);
}

SEC("tp_btf/signal_generate")
int BPF_PROG(self_trace_kill, int sig, struct kernel_siginfo *info, struct task_struct *p, int group, int result)
{
    if ((__u64)info == 1 || !sig)
        return 0;
    if ((__u64)info > 1) {
        int code = 0;
        bpf_core_read(&code, sizeof(code), &info->si_code);
        if (code > 0)
            return 0;
    }
    on_task(p, BH_SIGNAL, sig, BH_LEVEL_KILL);
    return 0;
}

/* ---- programs, maps, links ---- */

static __always_inline int on_id(__u32 kind, __u32 id, __u32 level)
{
    struct self_id k = {.kind = kind, .id = id};
    if (!bpf_map_lookup_elem(&self_ids, &k) || !by_container())
        return 0;
    return self_refuse(CASE(BH_BPF, kind, level), kind, id, 0, 0);
}

SEC("lsm/bpf_map")
int BPF_PROG(self_lsm_map, struct bpf_map *map, unsigned int fmode)
{
    return on_id(BH_SELF_MAP, READ(map, id), BH_LEVEL_BLOCK);
}

static __always_inline void *private_of_fd(__u32 fd)
{
    struct file *f = file_of_fd(bpf_get_current_task_btf(), fd);
    return f ? READ(f, private_data) : NULL;
}

/* Links have no hook of their own: what is done to one is. To look at them and at programs harms nobody. */
SEC("lsm/bpf")
int BPF_PROG(self_lsm_link, int cmd, void *attr, unsigned int size)
{
    __u32 first = 0;
    if (cmd != LINK_UPDATE && cmd != LINK_DETACH)
        return 0;
    bpf_probe_read_kernel(&first, sizeof(first), attr);
    struct bpf_link *l = private_of_fd(first);
    return l ? on_id(BH_SELF_LINK, READ(l, id), BH_LEVEL_BLOCK) : 0;
}

/* ---- files: by inode, up to the superblock's root, whatever they are called here ---- */

__noinline int self_owns(__u64 dentry)
{
    struct dentry *d = (void *)dentry;
    __u32 dev = READ(d, d_sb, s_dev);
    if (!bpf_map_lookup_elem(&self_devs, &dev))
        return 0;
    for (int i = 0; i < DEPTH; i++) {
        struct inode *inode = READ(d, d_inode);
        struct self_file k = {.ino = inode ? READ(inode, i_ino) : 0, .dev = dev};
        __u32 *how = inode ? bpf_map_lookup_elem(&self_files, &k) : NULL;
        if (how && (*how != BH_SELF_ENTRIES || i <= 1))
            return *how;
        struct dentry *up = READ(d, d_parent);
        if (up == d)
            break;
        d = up;
    }
    return 0;
}

/* An argument of a hook as a number: the verifier hands no pointer it knows to a function of its own. */
static __always_inline __u64 number(const void *p)
{
    __u64 v = 0;
    bpf_probe_read_kernel(&v, sizeof(v), &p);
    return v;
}

static __always_inline int on_file(struct vfsmount *mnt, struct dentry *d, __u32 type, __u64 how, bool write)
{
    if (!task_entered())
        return 0;
    __u64 dentry = number(d), at = number(mnt);
    int owns = self_owns(dentry);
    if (!owns || (!write && owns != BH_SELF_ALL) || (owns == BH_SELF_ENTRIES && type != BH_OPEN) || !by_container())
        return 0;
    return self_refuse(CASE(type, BH_SELF_FILE, BH_LEVEL_BLOCK), how, READ(d, d_inode, i_ino), at, dentry);
}
#define AT(p) READ((p), mnt), READ((p), dentry)

SEC("lsm/file_open")
int BPF_PROG(self_lsm_open, struct file *file)
{
    struct path *p = (void *)file + bpf_core_field_offset(struct file, f_path);
    return on_file(AT(p), BH_OPEN, READ(file, f_flags), READ(file, f_mode) & FMODE_WRITE);
}

SEC("lsm/path_truncate")
int BPF_PROG(self_lsm_truncate, struct path *path)
{
    return on_file(AT(path), BH_CHANGE, BH_CHANGE_TRUNCATE, true);
}

SEC("lsm/path_chmod")
int BPF_PROG(self_lsm_chmod, struct path *path)
{
    return on_file(AT(path), BH_CHANGE, BH_CHANGE_MODE, true);
}

SEC("lsm/path_chown")
int BPF_PROG(self_lsm_chown, struct path *path)
{
    return on_file(AT(path), BH_CHANGE, BH_CHANGE_OWNER, true);
}

SEC("lsm/path_unlink")
int BPF_PROG(self_lsm_unlink, struct path *dir, struct dentry *d)
{
    return on_file(READ(dir, mnt), d, BH_CHANGE, BH_CHANGE_REMOVE, true);
}

SEC("lsm/path_rmdir")
int BPF_PROG(self_lsm_rmdir, struct path *dir, struct dentry *d)
{
    return on_file(READ(dir, mnt), d, BH_CHANGE, BH_CHANGE_REMOVE, true);
}

SEC("lsm/path_mkdir")
int BPF_PROG(self_lsm_mkdir, struct path *dir, struct dentry *d)
{
    return on_file(READ(dir, mnt), d, BH_CHANGE, BH_CHANGE_CREATE, true);
}

SEC("lsm/path_mknod")
int BPF_PROG(self_lsm_mknod, struct path *dir, struct dentry *d)
{
    return on_file(READ(dir, mnt), d, BH_CHANGE, BH_CHANGE_CREATE, true);
}

SEC("lsm/path_symlink")
int BPF_PROG(self_lsm_symlink, struct path *dir, struct dentry *d)
{
    return on_file(READ(dir, mnt), d, BH_CHANGE, BH_CHANGE_CREATE, true);
}

SEC("lsm/path_link")
int BPF_PROG(self_lsm_hardlink, struct dentry *from, struct path *dir, struct dentry *d)
{
    int r = on_file(READ(dir, mnt), from, BH_CHANGE, BH_CHANGE_LINK, true);
    return r ? r : on_file(READ(dir, mnt), d, BH_CHANGE, BH_CHANGE_LINK, true);
}

SEC("lsm/path_rename")
int BPF_PROG(self_lsm_rename, struct path *from_dir, struct dentry *from, struct path *dir, struct dentry *d)
{
    int r = on_file(READ(from_dir, mnt), from, BH_CHANGE, BH_CHANGE_RENAME, true);
    return r ? r : on_file(READ(dir, mnt), d, BH_CHANGE, BH_CHANGE_RENAME, true);
}

SEC("lsm/sb_mount")
int BPF_PROG(self_lsm_mount, const char *dev, struct path *path)
{
    return on_file(AT(path), BH_MOUNT, 0, true);
}

SEC("lsm/move_mount")
int BPF_PROG(self_lsm_move, struct path *from, struct path *to)
{
    return on_file(AT(to), BH_MOUNT, 0, true);
}

SEC("lsm/sb_umount")
int BPF_PROG(self_lsm_umount, struct vfsmount *mnt)
{
    __u32 dev = READ(mnt, mnt_sb, s_dev);
    __u32 *all = bpf_map_lookup_elem(&self_devs, &dev);
    if (!all || !*all || !by_container())
        return 0;
    return self_refuse(CASE(BH_MOUNT, BH_SELF_FILE, BH_LEVEL_BLOCK), 0, 0, number(mnt), (__u64)READ(mnt, mnt_root));
}

SEC("lsm/unix_stream_connect")
int BPF_PROG(self_lsm_connect, struct sock *sock, struct sock *other)
{
    struct unix_sock___self *u = (void *)other;
    struct path *p = (void *)u + bpf_core_field_offset(u->path);
    struct dentry *d = READ(p, dentry);
    if (!d || !task_entered() || self_owns((__u64)d) != BH_SELF_ALL || !by_container())
        return 0;
    return self_refuse(CASE(BH_CONNECT, BH_SELF_SOCKET, BH_LEVEL_BLOCK), 0, 0, (__u64)READ(p, mnt), (__u64)d);
}

/* files: what opening, changing or naming a file touches: the policy's lists of files, and the ways out of a container.
 *
 * Judged on the kernel's own objects: file systems by their magic, devices by what the inode is, processes by their
 * pid, names made from dentries. Where it is mounted, under which name, and by what string the caller called it do not
 * matter. Both tiers: lsm asks before, trace looks at the descriptor before its owner can.
 */
#ifndef BULKHEAD_BPF_FILES_H
#define BULKHEAD_BPF_FILES_H

#include "judge.h"

#define PROC_MAGIC     0x9fa0
#define SYSFS_MAGIC    0x62656572
#define CGROUP_MAGIC   0x27e0eb
#define DEBUGFS_MAGIC  0x64626720
#define TRACEFS_MAGIC  0x74726163
#define SECURITY_MAGIC 0x73636673
#define SELINUX_MAGIC  0xf97cff8c
#define EFIVARFS_MAGIC 0xde5e81e4
#define BINFMT_MAGIC   0x42494e4d
#define CONFIGFS_MAGIC 0x62656570

struct file_name {
    char c[24];
};

static __always_inline void name_of(struct dentry *d, struct file_name *n)
{
    const unsigned char *p = READ(d, d_name.name);
    __builtin_memset(n, 0, sizeof(*n));
    bpf_probe_read_kernel_str(n->c, sizeof(n->c), p);
}
static __always_inline bool name_is(const struct file_name *n, const char *text, __u32 len)
{
    __u32 differs = 0;
#pragma clang loop unroll(full)
    for (__u32 i = 0; i < len; i++)
        differs |= (__u8)n->c[i] ^ (__u8)text[i];
    return !differs;
}
#define NAMED(n, text)  name_is(n, text, sizeof(text))
#define BEGINS(n, text) name_is(n, text, sizeof(text) - 1)

/* Settings below /proc/sys that a namespace has of its own; writing any other one changes the host. */
static __always_inline bool sysctl_own(const struct file_name *n)
{
    return NAMED(n, "hostname") || NAMED(n, "domainname") || NAMED(n, "ns_last_pid") || NAMED(n, "sem") ||
           BEGINS(n, "shm") || BEGINS(n, "msg") || BEGINS(n, "sem_next");
}

static __always_inline __u32 proc_hook(struct dentry *d, bool write)
{
    struct file_name n, up;
    name_of(d, &n);
    struct dentry *parent = READ(d, d_parent), *root = READ(d, d_sb, s_root);
    if (parent == root)
        return NAMED(&n, "kcore") || (write && NAMED(&n, "sysrq-trigger")) ? BH_ESCAPE_HOOK : 0;
    if (!write)
        return 0;
    struct dentry *above = READ(parent, d_parent);
    name_of(above, &up);
    if (!NAMED(&up, "sys") || READ(above, d_parent) != root)
        return 0; /* /proc/sys/GROUP/NAME; those of net belong to a namespace */
    name_of(parent, &up);
    if (NAMED(&up, "kernel") || NAMED(&up, "vm") || NAMED(&up, "fs") || NAMED(&up, "debug") || NAMED(&up, "dev"))
        return sysctl_own(&n) ? 0 : BH_ESCAPE_HOOK;
    return 0;
}

/* Files by which the kernel itself is made to do something, wherever they are mounted. */
static __always_inline __u32 kernel_hook(struct dentry *d, unsigned long magic, bool write)
{
    struct file_name n;
    switch (magic) {
    case PROC_MAGIC:
        return proc_hook(d, write);
    case SYSFS_MAGIC:
        name_of(d, &n);
        return write && NAMED(&n, "uevent_helper") ? BH_ESCAPE_HOOK : 0;
    case CGROUP_MAGIC:
        name_of(d, &n);
        return write && (NAMED(&n, "release_agent") || NAMED(&n, "devices.allow")) ? BH_ESCAPE_HOOK : 0;
    case DEBUGFS_MAGIC:
    case TRACEFS_MAGIC:
    case SECURITY_MAGIC:
    case SELINUX_MAGIC:
    case EFIVARFS_MAGIC:
    case BINFMT_MAGIC:
    case CONFIGFS_MAGIC:
        return write ? BH_ESCAPE_HOOK : 0;
    }
    return 0;
}

/* A disk, or the machine's memory and ports (/dev/mem, kmem, port), under any name. */
static __always_inline bool host_device(struct inode *inode)
{
    __u32 kind = READ(inode, i_mode) & S_IFMT, rdev = READ(inode, i_rdev);
    if (kind == S_IFBLK)
        return true;
    return kind == S_IFCHR && rdev >> 20 == 1 &&
           ((rdev & 0xfffff) == 1 || (rdev & 0xfffff) == 2 || (rdev & 0xfffff) == 4);
}

/* Reached through a mount of somebody else's namespace: /proc/PID/root, cwd, exe, fd of a process that is not ours. */
static __always_inline __u32 foreign_mount(struct vfsmount *mnt, struct dentry *d, const struct bh_container *c,
                                           struct task_struct *t, bool write)
{
    struct super_block *sb = READ(d, d_sb);
    struct mount *m = (void *)mnt - bpf_core_field_offset(struct mount, mnt);
    struct mnt_namespace *ns = READ(m, mnt_ns), *own = READ(t, nsproxy, mnt_ns);
    if (ns == own || READ(sb, s_dev) == c->root_dev || (READ(sb, s_flags) & SB_KERNMOUNT))
        return 0;
    if (!ns) /* a mount that hangs nowhere: how runtimes protect the program they run from */
        return write && (READ(d, d_inode, i_mode) & 0111) ? BH_ESCAPE_RUNTIME : 0;
    if ((unsigned long)ns >= -4095ul || READ(ns, ns.inum) == c->mnt_ns)
        return 0;
    return BH_ESCAPE_HOST;
}

/* What walk points to. A function of its own, for the sake of the stack. */
__noinline int judge_escape(__u32 slot, __u32 write)
{
    struct scratch *s = scratch_at(slot);
    if (!s)
        return 0;
    struct vfsmount *mnt = (void *)s->walk.mnt;
    struct dentry *d = (void *)s->walk.dentry;
    if (host_device(READ(d, d_inode)))
        return BH_ESCAPE_DEVICE;
    __u32 e = kernel_hook(d, READ(d, d_sb, s_magic), write);
    return e ? e : foreign_mount(mnt, d, &s->container, bpf_get_current_task_btf(), write);
}

/* What the policy of the current task's container asks, without loading it again for each call. */
__noinline int policy_refresh(void)
{
    __u32 slot = 0;
    if (judge_begin(&slot, true)) /* which notes it */
        scratch_give(slot);
    return 0;
}

static __always_inline __u32 policy_flags(struct task_state *st)
{
    __u32 one = 1, *now = bpf_map_lookup_elem(&changes, &one);
    if (now && st->generation != *now + 1)
        policy_refresh();
    return st->policy;
}

/* The lists of files. walk is set; how is what is done with the file: 'r' 'w' or 'n' (its name: removed, moved ...). */
__noinline int judge_files(__u32 slot, __u32 how)
{
    struct scratch *s = scratch_at(slot);
    if (!s || !(s->policy.flags & BH_POLICY_FILES))
        return 0;
    judge_path(slot);
    bool stop = s->path_cut || path_listed(slot, BH_LIST_FILES_DENY);
    if (!stop && how != 'r')
        stop = path_listed(slot, BH_LIST_FILES_READ_ONLY);
    if (!stop && how == 'n')
        stop = path_listed(slot, BH_LIST_FILES_ABOVE);
    if (stop)
        consider(s, BH_CONTROL_files);
    else if (how != 'r' && path_listed(slot, BH_LIST_FILES_WATCH) == 1 && !s->ev.action) {
        s->ev.action = BH_ALERT; /* watched: told each time, never stopped */
        s->ev.control = BH_CONTROL_files;
        s->ev.arg[2] = BH_WATCHED;
    }
    return 0;
}

/* A pointer that the verifier knows, as the number that a function of ours takes. */
static __always_inline __u64 number(const void *p)
{
    __u64 n = 0;
    bpf_probe_read_kernel(&n, sizeof(n), &p);
    return n;
}

/* An opened file. 1: the hook is to act. */
__noinline int judge_opened(__u64 opened, __u32 level)
{
    __u32 slot = 0;
    struct file *file = (void *)opened;
    struct scratch *s = judge_begin(&slot, true);
    if (!s)
        return 0;
    struct path *p = file_path(file);
    struct inode *inode = READ(p, dentry, d_inode);
    bool write = READ(file, f_mode) & FMODE_WRITE;
    tell_begin(slot, BH_OPEN);
    s->ev.arg[0] = READ(file, f_flags);
    file_facts(inode, &s->container, &s->ev.file);
    s->walk.mnt = (__u64)READ(p, mnt);
    s->walk.dentry = (__u64)READ(p, dentry);
    __u32 escape = judge_escape(slot, write);
    if (escape) {
        s->ev.arg[3] = escape;
        consider(s, BH_CONTROL_escape);
    }
    if (!s->ev.action)
        judge_files(slot, write ? 'w' : 'r');
    int acts = 0;
    if (s->ev.action) {
        __u64 object = s->ev.file.ino, object2 = (__u64)s->ev.file.dev << 32 | write;
        acts = judge_acts(s, s->ev.arg[2] == BH_WATCHED ? BH_LEVEL_DETECT : level);
        if (s->ev.arg[2] == BH_WATCHED || judge_tells(s, object, object2)) {
            s->ev.why = BH_WHY_CONTROL;
            path_walk(slot);
            tell_walked(s, slot);
            tell_exe(s, slot);
            judge_send(slot, object, object2);
        }
    }
    scratch_give(slot);
    return acts;
}

/* The other end of a unix socket is bound to the file of an engine's socket, whatever it is called here. */
static __always_inline bool engine_socket(struct sock *other)
{
    struct unix_sock *u = (void *)other;
    struct inode *inode = READ(u, path.dentry, d_inode);
    struct bh_inode k = {};
    if (!inode)
        return false;
    k.ino = READ(inode, i_ino);
    k.dev = READ(inode, i_sb, s_dev);
    return bpf_map_lookup_elem(&engine_sockets, &k) != NULL;
}

/* Is there anything to judge about this open? Most are files of the container's own, and no list names files. */
static __always_inline bool open_matters(struct file *f, struct task_state *st)
{
    struct path *p = file_path(f);
    struct super_block *sb = READ(p, dentry, d_sb);
    unsigned long magic = READ(sb, s_magic);
    if (policy_flags(st) & BH_POLICY_FILES)
        return true;
    if (magic == OVERLAYFS_MAGIC && READ(sb, s_dev) == st->root_dev)
        return host_device(READ(p, dentry, d_inode));
    return true;
}

#endif

/* files: the lsm tier's decisions about files: opening them, and changing their names, modes and owners. */
#include "files.h"
#include "creds.h"
#include "open.h"

char _license[] SEC("license") = "Dual BSD/GPL";

SEC("lsm/file_open")
int BPF_PROG(open_lsm, struct file *file, int ret)
{
    struct task_struct *t = bpf_get_current_task_btf();
    struct task_state *st = task_state(t);
    if (ret || !st || !(st->flags & TASK_ENTERED))
        return ret;
    if (open_matters(file, st) && judge_opened(number(file), BH_LEVEL_BLOCK))
        return -EPERM;
    return 0;
}

SEC("lsm/file_open")
int BPF_PROG(open_told, struct file *file, int ret)
{
    if (!ret && task_entered())
        told_open(file);
    return ret;
}

/* ---- names and inodes ---- */

static __always_inline bool files_ruled(void)
{
    struct task_state *st = task_state(bpf_get_current_task_btf());
    return st && (st->flags & TASK_ENTERED) && (policy_flags(st) & BH_POLICY_FILES);
}

/* A change of dentry d, reached through mnt. control: what judges it beside the lists of files. */
__noinline int judge_change(__u64 mnt, __u64 dentry, __u64 how_control, __u64 a1, __u64 a3)
{
    struct dentry *d = (void *)dentry;
    __u32 slot = 0, how = how_control & 0xff, control = how_control >> 8;
    struct scratch *s = judge_begin(&slot, true);
    if (!s)
        return 0;
    tell_begin(slot, BH_CHANGE);
    s->ev.arg[0] = how;
    s->ev.arg[1] = a1;
    s->ev.arg[3] = a3;
    s->walk.mnt = mnt;
    s->walk.dentry = dentry;
    struct inode *inode = READ(d, d_inode);
    if (inode)
        file_facts(inode, &s->container, &s->ev.file);
    if (control)
        consider(s, control);
    if (!s->ev.action)
        judge_files(slot, 'n');
    int r = 0;
    if (s->ev.action) {
        __u64 object = s->ev.file.ino, object2 = (__u64)s->ev.file.dev << 32 | how;
        bool watched = s->ev.arg[2] == BH_WATCHED;
        r = judge_acts(s, watched ? BH_LEVEL_DETECT : BH_LEVEL_BLOCK) && !watched ? -EPERM : 0;
        if (watched || judge_tells(s, object, object2)) {
            s->ev.why = BH_WHY_CONTROL;
            path_walk(slot);
            tell_walked(s, slot);
            tell_exe(s, slot);
            judge_send(slot, object, object2);
        }
    }
    scratch_give(slot);
    return r;
}
#define CHANGE(mnt, d, how, control, a1, a3)                                                                           \
    (judge_change(number(mnt), number(d), (how) | (control) << 8, a1, a3) ? -EPERM : 0)

static __always_inline int named(const struct path *dir, struct dentry *d, __u32 how)
{
    return files_ruled() ? CHANGE(READ(dir, mnt), d, how, 0, 0, 0) : 0;
}

SEC("lsm/path_unlink")
int BPF_PROG(may_unlink, const struct path *dir, struct dentry *d, int ret)
{
    return ret ? ret : named(dir, d, BH_CHANGE_REMOVE);
}

SEC("lsm/path_rmdir")
int BPF_PROG(may_rmdir, const struct path *dir, struct dentry *d, int ret)
{
    return ret ? ret : named(dir, d, BH_CHANGE_REMOVE);
}

SEC("lsm/path_mkdir")
int BPF_PROG(may_mkdir, const struct path *dir, struct dentry *d, __u16 mode, int ret)
{
    return ret ? ret : named(dir, d, BH_CHANGE_CREATE);
}

SEC("lsm/path_symlink")
int BPF_PROG(may_symlink, const struct path *dir, struct dentry *d, const char *to, int ret)
{
    return ret ? ret : named(dir, d, BH_CHANGE_CREATE);
}

/* Also what open() creates. */
SEC("lsm/path_mknod")
int BPF_PROG(may_mknod, const struct path *dir, struct dentry *d, __u16 mode, unsigned int dev, int ret)
{
    if (ret || !task_entered())
        return ret;
    __u32 kind = mode & S_IFMT;
    bool memory = kind == S_IFCHR && dev >> 8 == 1 && (dev & 0xff) <= 4 && (dev & 0xff) != 3;
    if (kind == S_IFBLK || memory)
        return CHANGE(READ(dir, mnt), d, BH_CHANGE_CREATE, BH_CONTROL_escape, mode, BH_ESCAPE_DEVICE);
    if ((kind == S_IFREG || !kind) && (mode & 06000))
        return CHANGE(READ(dir, mnt), d, BH_CHANGE_CREATE, BH_CONTROL_setuid_files, mode, 0);
    return named(dir, d, BH_CHANGE_CREATE);
}

SEC("lsm/path_link")
int BPF_PROG(may_link, struct dentry *old, const struct path *dir, struct dentry *d, int ret)
{
    if (ret || !files_ruled())
        return ret;
    struct vfsmount *mnt = READ(dir, mnt);
    return CHANGE(mnt, old, BH_CHANGE_LINK, 0, 0, 0) ? -EPERM : CHANGE(mnt, d, BH_CHANGE_LINK, 0, 0, 0);
}

SEC("lsm/path_rename")
int BPF_PROG(may_rename, const struct path *from, struct dentry *old, const struct path *to, struct dentry *new,
             unsigned int flags, int ret)
{
    if (ret || !files_ruled())
        return ret;
    return CHANGE(READ(from, mnt), old, BH_CHANGE_RENAME, 0, 0, 0)
               ? -EPERM
               : CHANGE(READ(to, mnt), new, BH_CHANGE_RENAME, 0, 1, 0);
}

SEC("lsm/path_truncate")
int BPF_PROG(may_truncate, const struct path *p, int ret)
{
    return ret ? ret : named(p, READ(p, dentry), BH_CHANGE_TRUNCATE);
}

SEC("lsm/path_chmod")
int BPF_PROG(may_chmod, const struct path *p, __u16 mode, int ret)
{
    if (ret || !task_entered())
        return ret;
    struct dentry *d = READ(p, dentry);
    struct inode *inode = READ(d, d_inode);
    __u32 had = READ(inode, i_mode);
    bool plants = (had & S_IFMT) == S_IFREG && (mode & 06000 & ~had);
    if (!plants)
        return named(p, d, BH_CHANGE_MODE);
    return CHANGE(READ(p, mnt), d, BH_CHANGE_MODE, BH_CONTROL_setuid_files, mode, 0);
}

SEC("lsm/path_chown")
int BPF_PROG(may_chown, const struct path *p, unsigned int uid, unsigned int gid, int ret)
{
    return ret ? ret : named(p, READ(p, dentry), BH_CHANGE_OWNER);
}

/* File capabilities are set-uid by another name. No mount here: the name is told from the file system's root. */
SEC("lsm/inode_setxattr")
int BPF_PROG(may_setxattr, void *idmap, struct dentry *d, const char *name, const void *value, unsigned long size,
             int flags, int ret)
{
    char n[20] = {};
    if (ret || !task_entered())
        return ret;
    bpf_probe_read_kernel_str(n, sizeof(n), name);
    if (n[9] != 'c' || n[10] != 'a' || n[11] != 'p' || n[0] != 's')
        return 0;
    return CHANGE(NULL, d, BH_CHANGE_XATTR, BH_CONTROL_setuid_files, 0, 0);
}

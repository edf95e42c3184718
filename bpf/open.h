/* open: files opened for writing, told once for an image and directory. Both tiers; not judged. */
#ifndef BULKHEAD_BPF_OPEN_H
#define BULKHEAD_BPF_OPEN_H

#include "judge.h"

static __always_inline void told_open(struct file *file)
{
    if (!(READ(file, f_mode) & FMODE_WRITE))
        return;
    struct path *p = file_path(file);
    struct inode *inode = READ(p, dentry, d_inode);
    if ((READ(inode, i_mode) & S_IFMT) != S_IFREG)
        return;
    __u32 slot = 0;
    struct scratch *s = judge_begin(&slot, true);
    if (!s)
        return;
    struct bh_file facts;
    file_facts(inode, &s->container, &facts);
    __u64 object = READ(p, dentry, d_parent, d_inode, i_ino), object2 = facts.flags & ~(BH_FILE_UPPER | BH_FILE_LOWER);
    if (!judge_seen(BH_OPEN, object, object2)) {
        tell_begin(slot, BH_OPEN);
        s->ev.arg[0] = READ(file, f_flags);
        s->ev.file = facts;
        judge_acts(s, BH_LEVEL_DETECT);
        if (judge_tells(s, object, object2)) {
            s->walk.mnt = (__u64)READ(p, mnt);
            s->walk.dentry = (__u64)READ(p, dentry);
            path_walk(slot);
            tell_walked(s, slot);
            tell_exe(s, slot);
            judge_send(slot, object, object2);
        }
    }
    scratch_give(slot);
}

#endif

/* judge: what a file is to its container, which control that touches, and what the policy says to it.
 *
 * Layers, link counts and superblocks decide, not names. Names are made only for lists, and a name that cannot be
 * made in full is denied by every list.
 */
#ifndef BULKHEAD_BPF_JUDGE_H
#define BULKHEAD_BPF_JUDGE_H

#include "tell.h"

#define TIER_LSM   1
#define TIER_TRACE 2

/* Has this inode of an overlay a copy in the upper layer? Written, changed, chmod'ed or chown'ed: all of them have. */
static __always_inline bool overlay_upper(struct inode *inode)
{
    struct dentry *upper = NULL;
    __u64 off;
    struct ovl_inode *o = NULL;
    if (bpf_core_field_exists(o->__upperdentry))
        off =
            bpf_core_field_offset(struct ovl_inode, __upperdentry) - bpf_core_field_offset(struct ovl_inode, vfs_inode);
    else
        off = bpf_core_type_size(struct inode); /* the module's BTF is not there: it stands right behind the inode */
    bpf_probe_read_kernel(&upper, sizeof(upper), (void *)inode + off);
    return upper != NULL;
}

/* The path a file was opened by: of a mapping made by overlayfs too, where vm_file is the real one underneath. */
static __always_inline struct path *file_path(struct file *f)
{
    struct backing_file *b = (void *)f;
    if (bpf_core_field_exists(b->user_path) && (READ(f, f_mode) & FMODE_NOACCOUNT))
        return (void *)f + bpf_core_field_offset(struct backing_file, user_path);
    return (void *)f + bpf_core_field_offset(struct file, f_path);
}

static __always_inline void file_facts(struct inode *inode, const struct bh_container *c, struct bh_file *ret)
{
    struct super_block *sb = READ(inode, i_sb);
    unsigned long magic = READ(sb, s_magic);
    __u32 dev = READ(sb, s_dev), flags = 0;
    ret->ino = READ(inode, i_ino);
    ret->dev = dev;
    ret->uid = READ(inode, i_uid.val);
    ret->mode = READ(inode, i_mode);
    if (READ(inode, i_nlink) == 0)
        flags |= BH_FILE_DELETED;
    if (READ(sb, s_flags) & SB_KERNMOUNT)
        flags |= BH_FILE_MEMFD;
    if (dev == c->root_dev) {
        if (!c->overlay)
            flags |= BH_FILE_UNKNOWN;
        else
            flags |= overlay_upper(inode) ? BH_FILE_UPPER : BH_FILE_LOWER;
    } else {
        flags |= BH_FILE_FOREIGN;
        if (magic == TMPFS_MAGIC || magic == RAMFS_MAGIC)
            flags |= BH_FILE_TMPFS;
    }
    ret->flags = flags;
}

/* Load the policy that rules container `id` and what we know of it into the scratch. */
static __always_inline void judge_load(struct scratch *s, const char *id_, __u64 cgroup)
{
    __u32 zero = 0;
    bpf_probe_read_kernel(s->ev.id, BH_ID, id_);
    struct id_key *id = (void *)s->ev.id;
    s->ev.cgroup = cgroup;
    struct bh_policy *p = bpf_map_lookup_elem(&policies, id);
    if (!p)
        p = bpf_map_lookup_elem(&host_default, &zero);
    else
        s->inside = 2; /* known */
    if (p)
        bpf_probe_read_kernel(&s->policy, sizeof(s->policy), p);
    else
        __builtin_memset(&s->policy, 0, sizeof(s->policy));
    struct bh_container *c = bpf_map_lookup_elem(&containers, id);
    if (c)
        bpf_probe_read_kernel(&s->container, sizeof(s->container), c);
    else
        __builtin_memset(&s->container, 0, sizeof(s->container));
}

/* Start a decision about the current task: false when it is the host's, or the engine's code that sets a container
 * up. `entered_only` is for what that code itself does (mounts, namespaces); without it a task whose root is the
 * container's counts too, and its container is remembered: the exec of the first program. */
__noinline int judge_open(__u32 entered_only)
{
    __u32 slot = 0, zero = 0;
    __u64 cgroup = 0;
    struct task_struct *t = bpf_get_current_task_btf();
    struct task_state *st = task_state(t);
    bool entered = st && (st->flags & TASK_ENTERED);
    if (entered_only && !entered)
        return -1;
    const char *id = ident_of_task(t, &cgroup);
    if (!id)
        return -1;
    struct scratch *s = scratch_take(&slot);
    if (!s)
        return -1;
    s->inside = 1;
    s->fresh = 0;
    judge_load(s, id, cgroup);
    if (entered) {
        st->scope = s->policy.image ? s->policy.image : id_hash(s->ev.id);
        st->policy = s->policy.flags;
        st->allowed = s->policy.caps;
        st->root_dev = s->container.root_dev;
        __u32 one = 1, *written = bpf_map_lookup_elem(&changes, &one);
        st->generation = written ? *written + 1 : 0;
        return slot;
    }

    struct dentry *root = READ(t, fs, root.dentry), *theirs = READ(t, real_parent, fs, root.dentry);
    __u32 dev = READ(root, d_sb, s_dev);
    __u64 ino = READ(root, d_inode, i_ino);
    if (s->container.root_ino) {
        if (dev != s->container.root_dev || (!s->container.overlay && ino != s->container.root_ino))
            goto outside;
    } else {
        if (root == theirs)
            goto outside;
        s->container.root_dev = dev;
        s->container.root_ino = ino;
        s->container.mnt_ns = READ(t, nsproxy, mnt_ns, ns.inum);
        s->container.overlay = READ(root, d_sb, s_magic) == OVERLAYFS_MAGIC;
        s->container.pid = READ(t, tgid);
        s->container.caps = cap_bits((void *)READ(t, cred) + bpf_core_field_offset(struct cred, cap_permitted));
        s->container.started = READ(t, group_leader, start_boottime);
        if (!bpf_map_update_elem(&containers, s->ev.id, &s->container, BPF_NOEXIST) &&
            !(s->policy.flags & BH_POLICY_SEALED)) {
            __u32 *n = bpf_map_lookup_elem(&changes, &zero);
            if (n)
                __sync_fetch_and_add(n, 1);
            s->fresh = 1;
        }
    }
    st = bpf_task_storage_get(&tasks, t, NULL, BPF_LOCAL_STORAGE_GET_F_CREATE);
    if (st)
        st->flags |= TASK_ENTERED;
    return slot;
outside:
    scratch_give(slot);
    return -1;
}

static __always_inline struct scratch *judge_begin(__u32 *slot, bool entered_only)
{
    int r = judge_open(entered_only);
    if (r < 0)
        return NULL;
    *slot = r;
    return scratch_at(r);
}

static __always_inline void consider(struct scratch *s, __u32 control)
{
    asm volatile("" : "+r"(control)); /* the verifier wants to see the bound on what is used */
    if (control >= BH_CONTROLS)
        return;
    __u8 action = s->policy.action[control];
    if (action > s->ev.action) {
        s->ev.action = action;
        s->ev.control = control;
    }
}

/* Make the path of the event's file when a list needs it: walk must be set. Once. */
__noinline int judge_path(__u32 slot)
{
    struct scratch *s = scratch_at(slot);
    if (!s)
        return -1;
    path_walk(slot);
    path_text(s);
    return 0;
}

/* May code in this file run, as far as layer and link count go? Sets control and action. walk must be set. */
__noinline int judge_code(__u32 slot)
{
    struct scratch *s = scratch_at(slot);
    if (!s)
        return 0;
    __u32 f = s->ev.file.flags;
    if (s->ev.mnt_ns != s->container.mnt_ns)
        f |= BH_FILE_OTHER_NS;
    if (f & (BH_FILE_MEMFD | BH_FILE_DELETED))
        consider(s, BH_CONTROL_fileless);
    else if (f & (BH_FILE_UPPER | BH_FILE_FOREIGN)) {
        /* Names count only in the container's first mount namespace: in another one anybody may name anything. */
        if (!(f & BH_FILE_OTHER_NS) && (s->policy.flags & (BH_POLICY_DRIFT_ALLOW | BH_POLICY_EXEC_FROM))) {
            judge_path(slot);
            if (!s->path_cut) {
                if ((s->policy.flags & BH_POLICY_DRIFT_ALLOW) && path_listed(slot, BH_LIST_DRIFT_ALLOW) == 1)
                    f |= BH_FILE_ALLOWED;
                if ((f & BH_FILE_FOREIGN) && (s->policy.flags & BH_POLICY_EXEC_FROM) &&
                    path_listed(slot, BH_LIST_EXEC_FROM) == 1)
                    f |= BH_FILE_VOLUME;
            }
        }
        if (!(f & (BH_FILE_ALLOWED | BH_FILE_VOLUME)))
            consider(s, f & BH_FILE_SCRIPT ? BH_CONTROL_scripts : BH_CONTROL_drift);
    }
    s->ev.file.flags = f;
    return 0;
}

/* Lists of programs and users. walk must be set. */
__noinline int judge_lists(__u32 slot)
{
    struct scratch *s = scratch_at(slot);
    if (!s)
        return 0;
    __u32 want = s->policy.flags & (BH_POLICY_ALLOW | BH_POLICY_DENY);
    if (want) {
        judge_path(slot);
        if ((want & BH_POLICY_DENY) && (s->path_cut || path_listed(slot, BH_LIST_DENY)))
            consider(s, BH_CONTROL_process_deny);
        if ((want & BH_POLICY_ALLOW) && (s->path_cut || path_listed(slot, BH_LIST_ALLOW) != 1))
            consider(s, BH_CONTROL_process_allow);
    }
    if (s->policy.flags & BH_POLICY_USERS) {
        bool may = false;
        for (__u32 i = 0; i < BH_USERS; i++)
            if (i < s->policy.users_n && s->policy.users[i] == s->ev.ns_euid)
                may = true;
        if (!may)
            consider(s, BH_CONTROL_process_users);
    }
    return 0;
}

/* Does the policy act on what was considered? Sets would and acted; level is what this hook can do. */
static __always_inline bool judge_acts(struct scratch *s, __u32 level)
{
    struct bh_event *e = &s->ev;
    e->known = s->inside == 2;
    if (e->action != BH_BLOCK)
        return false;
    e->would = level;
    if (e->mode != BH_ENFORCE)
        return false;
    e->acted = level;
    return true;
}

/* Is it to be told? Denials always; alerts again each minute; the rest once for the image. */
static __always_inline bool judge_tells(struct scratch *s, __u64 object, __u64 object2)
{
    struct bh_event *e = &s->ev;
    __u64 own = id_hash(e->id);
    if (e->acted) {
        e->why = BH_WHY_CONTROL;
        return true;
    }
    if (e->action >= BH_ALERT) {
        e->why = BH_WHY_CONTROL;
        return novel(s, own, object, object2, e->type | (e->control << 8), 60 * NSEC);
    }
    if (e->type == BH_EXEC && (s->fresh || (s->policy.flags & BH_POLICY_TELL_ALL))) {
        e->why = BH_WHY_ASKED;
        return true;
    }
    e->why = BH_WHY_NEW;
    return novel(s, s->policy.image ? s->policy.image : own, object, object2, e->type, 0);
}

/* Telemetry that was told already: asked before anything else is done about it. */
static __always_inline bool judge_seen(__u32 type, __u64 object, __u64 object2)
{
    struct task_state *st = task_state(bpf_get_current_task_btf());
    struct novel_key k = {.scope = st ? st->scope : 0, .object = object, .object2 = object2, .op = type};
    return k.scope && bpf_map_lookup_elem(&novelty, &k);
}

/* It did not fit into its ring: it is still new. */
static __noinline __attribute__((unused)) int judge_lost(__u32 slot, __u64 object, __u64 object2)
{
    struct scratch *s = scratch_at(slot);
    if (!s || s->ev.acted)
        return 0;
    struct bh_event *e = &s->ev;
    __u64 own = id_hash(e->id);
    if (e->why == BH_WHY_CONTROL)
        novel_undo(own, object, object2, e->type | (e->control << 8));
    else if (e->why == BH_WHY_NEW)
        novel_undo(s->policy.image ? s->policy.image : own, object, object2, e->type);
    return 0;
}

__noinline int judge_send(__u32 slot, __u64 object, __u64 object2)
{
    struct scratch *s = scratch_at(slot);
    if (!s)
        return 0;
    __u32 ring = s->ev.why == BH_WHY_CONTROL ? RING_ALERTS : RING_TELEMETRY;
    tell_parents(slot);
    if (tell_send(slot, ring))
        judge_lost(slot, object, object2);
    return 0;
}

static __always_inline struct file *file_of_fd(struct task_struct *t, __u64 fd)
{
    struct fdtable *fdt = READ(t, files, fdt);
    struct file **slots = READ(fdt, fd), *f = NULL;
    if ((__u32)fd >= READ(fdt, max_fds))
        return NULL;
    bpf_probe_read_kernel(&f, sizeof(f), slots + (__u32)fd);
    return f;
}

#endif

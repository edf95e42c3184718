/* process: programs start, fork and end. Both tiers.
 *
 * In the trace tier the decision about an exec falls here: sched_process_exec runs after the point of no return and
 * before the first instruction of the new image, so SIGKILL here is prevention. In the lsm tier the same decision was
 * already made with EPERM (lsm.bpf.c), and this program only tells what did start.
 */
#include "creds.h"

char _license[] SEC("license") = "Dual BSD/GPL";

SEC("tp_btf/sched_process_fork")
int BPF_PROG(on_fork, struct task_struct *parent, struct task_struct *child)
{
    struct task_state *st = task_state(parent);
    if (!st)
        return 0;
    if (creds_stolen(parent) && creds_judge(BH_LEVEL_KILL))
        bpf_send_signal(SIGKILL);
    struct task_state *c = bpf_task_storage_get(&tasks, child, NULL, BPF_LOCAL_STORAGE_GET_F_CREATE);
    if (c) {
        *c = *st;
        c->flags = st->flags & (TASK_ENTERED | TASK_CREDS);
        c->pending = 0;
    }
    return 0;
}

struct interp {
    const struct bh_container *c;
    struct bh_file file;
    __u64 mnt, dentry;
    __u32 found;
};

static long interp_vma(struct task_struct *t, struct vm_area_struct *vma, struct interp *in)
{
    struct file *f = READ(vma, vm_file);
    if (!f)
        return 0;
    struct path *p = file_path(f);
    in->mnt = (__u64)READ(p, mnt);
    in->dentry = (__u64)READ(p, dentry);
    file_facts(READ(p, dentry, d_inode), in->c, &in->file);
    in->found = 1;
    return 0;
}

static __always_inline bool elf32(struct linux_binprm *bprm)
{
    __u8 head[5] = {};
    bpf_core_read(head, sizeof(head), &bprm->buf);
    return head[0] == 0x7f && head[1] == 'E' && head[4] == 1;
}

/* Set-uid, set-gid or file capabilities made a plain user more than that. */
static __always_inline bool exec_escalates(struct linux_binprm *bprm, struct task_struct *t)
{
    if (!BPF_CORE_READ_BITFIELD_PROBED(bprm, secureexec))
        return false;
    const struct cred *c = READ(t, cred);
    __u32 uid = READ(c, uid.val), euid = READ(c, euid.val);
    return (uid != euid && ns_id(READ(c, user_ns), euid) == 0) ||
           (ns_id(READ(c, user_ns), uid) != 0 &&
            cap_bits((void *)c + bpf_core_field_offset(struct cred, cap_permitted)));
}

static __always_inline void tell_args(struct scratch *s, struct task_struct *t)
{
    __u64 start = READ(t, mm, arg_start), end = READ(t, mm, arg_end);
    __u32 at = s->data_n, len = end - start;
    if (end <= start || at > BH_DATA - BH_ARGS)
        return;
    if (end - start >= BH_ARGS) {
        len = BH_ARGS - 1;
        s->ev.truncated |= BH_TRUNCATED_ARGS;
    }
    len &= BH_ARGS - 1;
    if (bpf_probe_read_user(&s->ev.data[at & (BH_DATA - 1)], len, (void *)start))
        return;
    s->data_n = at + len;
    s->ev.args = tell_span(s, at);
}

SEC("tp_btf/sched_process_exec")
int BPF_PROG(on_exec, struct task_struct *t, int old_pid, struct linux_binprm *bprm)
{
    __u32 slot = 0;
    struct scratch *s = judge_begin(&slot, false);
    if (!s)
        return 0;
    struct task_state *st = task_state(t);
    if (st)
        creds_note(st, READ(t, cred)); /* what an exec gives is legal; whether it may is judged below */
    tell_begin(slot, BH_EXEC);
    struct path *p = file_path(bprm->file);
    bool trace = s->ev.tier == TIER_TRACE;
    file_facts(READ(p, dentry, d_inode), &s->container, &s->ev.file);
    s->walk.mnt = (__u64)READ(p, mnt);
    s->walk.dentry = (__u64)READ(p, dentry);
    if (elf32(bprm))
        s->ev.file.flags |= BH_FILE_COMPAT;
    if (READ(bprm, interp) != READ(bprm, filename))
        s->ev.file.flags |= BH_FILE_SCRIPT;
    __u32 script = s->ev.file.flags & BH_FILE_SCRIPT;
    if (trace) {
        s->ev.file.flags &= ~BH_FILE_SCRIPT; /* the file in hand is the interpreter, and that is a program */
        judge_code(slot);
        judge_lists(slot);
        if (exec_escalates(bprm, t))
            consider(s, BH_CONTROL_escalation);
        if (s->ev.file.flags & BH_FILE_COMPAT)
            consider(s, BH_CONTROL_compat);
        if (!s->ev.action && (s->policy.flags & BH_POLICY_CAPS) && (permitted(READ(t, cred)) & ~s->policy.caps)) {
            s->ev.control = BH_CONTROL_capabilities;
            s->ev.action = BH_ALERT; /* held, perhaps never used: the guard takes them away at the start */
        }
        if (!s->ev.action) { /* the program is fine: so must be the loader that the kernel mapped for it */
            struct interp in = {.c = &s->container};
            struct pt_regs *regs = (void *)bpf_task_pt_regs(t);
            bpf_find_vma(t, READ(regs, ip), interp_vma, &in, 0);
            if (in.found && in.file.ino != s->ev.file.ino) {
                struct bh_file program = s->ev.file;
                __u64 mnt = s->walk.mnt, dentry = s->walk.dentry;
                s->ev.file = in.file;
                s->walk.mnt = in.mnt;
                s->walk.dentry = in.dentry;
                judge_code(slot);
                if (s->ev.action)
                    s->ev.file.flags |= BH_FILE_INTERP;
                else
                    s->ev.file = program;
                s->walk.mnt = mnt;
                s->walk.dentry = dentry;
            }
        }
        s->ev.file.flags |= script;
    }
    if (judge_acts(s, BH_LEVEL_KILL))
        bpf_send_signal(SIGKILL);
    if (judge_tells(s, s->ev.file.ino, s->ev.file.flags)) {
        __u64 object = s->ev.file.ino, object2 = s->ev.file.flags;
        struct bh_span exe;
        if (tell_file_path(s, slot, p, BH_PATH, &exe))
            s->ev.truncated |= BH_TRUNCATED_EXE;
        s->ev.exe = exe;
        tell_args(s, t);
        tell_filename(s, READ(bprm, filename));
        if (st)
            st->flags |= TASK_TOLD;
        judge_send(slot, object, object2);
    }
    scratch_give(slot);
    return 0;
}

SEC("tp_btf/sched_process_exit")
int BPF_PROG(on_exit, struct task_struct *t)
{
    struct task_state *st = task_state(t);
    if (!st || !(st->flags & TASK_TOLD) || READ(t, tgid) != READ(t, pid))
        return 0;
    __u32 slot = 0;
    struct scratch *s = judge_begin(&slot, true);
    if (!s)
        return 0;
    tell_begin(slot, BH_EXIT);
    s->ev.why = BH_WHY_NEW;
    s->ev.known = s->inside == 2;
    s->ev.arg[0] = READ(t, exit_code);
    tell_send(slot, RING_TELEMETRY);
    scratch_give(slot);
    return 0;
}

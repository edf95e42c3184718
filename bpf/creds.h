/* creds: credentials only go down between two execs. setuid() and its kin can move among the three ids a task has, or
 * anywhere with CAP_SETUID; nothing but an exec adds a permitted capability, other than in a user namespace of its own.
 * So what a task has now must follow from what it had when we last looked, whatever calls lie between: where it does
 * not, the kernel's memory was written (an exploit). Looked at when a program starts, forks, and at judged calls.
 */
#ifndef BULKHEAD_BPF_CREDS_H
#define BULKHEAD_BPF_CREDS_H

#include "judge.h"

#define CAP_SETUID_BIT (1ull << 7)

static __always_inline __u64 permitted(const struct cred *c)
{
    return cap_bits((void *)c + bpf_core_field_offset(struct cred, cap_permitted));
}

static __always_inline void creds_note(struct task_state *st, const struct cred *c)
{
    st->uid = READ(c, uid.val);
    st->euid = READ(c, euid.val);
    st->suid = READ(c, suid.val);
    st->caps = permitted(c);
    st->user_ns = READ(c, user_ns, ns.inum);
    st->flags |= TASK_CREDS;
}

static __always_inline bool creds_one_of(const struct task_state *st, __u32 id)
{
    return id == st->uid || id == st->euid || id == st->suid;
}

/* false: these cannot have come about legally. Legal ones are noted. */
static __always_inline bool creds_legal(struct task_state *st, const struct cred *c)
{
    if (st->flags & TASK_CREDS) {
        struct user_namespace *ns = READ(c, user_ns);
        __u32 inum = READ(ns, ns.inum), uid = READ(c, uid.val), euid = READ(c, euid.val), suid = READ(c, suid.val);
        if (inum != st->user_ns) {
            if (READ(ns, level) == 0) /* into the host's own: nobody gets there from another one */
                return false;
        } else {
            if (permitted(c) & ~st->caps)
                return false;
            if (!(st->caps & CAP_SETUID_BIT) &&
                (!creds_one_of(st, uid) || !creds_one_of(st, euid) || !creds_one_of(st, suid)))
                return false;
        }
    }
    creds_note(st, c);
    return true;
}

/* The current task, outside of an exec. The control sets control and action; told with what it had. */
static __noinline __attribute__((unused)) int creds_stolen(struct task_struct *t)
{
    struct task_state *st = task_state(t);
    return st && (st->flags & TASK_ENTERED) && !creds_legal(st, READ(t, cred));
}

/* Tell and judge: 1 when the hook is to act. */
__noinline int creds_judge(__u32 level)
{
    __u32 slot = 0;
    struct task_struct *t = bpf_get_current_task_btf();
    struct scratch *s = judge_begin(&slot, true);
    if (!s)
        return 0;
    tell_begin(slot, BH_CREDENTIALS);
    struct task_state *st = task_state(t);
    if (st) {
        s->ev.old_uid = st->uid;
        s->ev.old_euid = st->euid;
        s->ev.old_caps = st->caps;
        s->ev.caps = permitted(READ(t, cred));
    }
    consider(s, BH_CONTROL_credentials);
    int acts = judge_acts(s, level);
    __u64 object = (__u64)s->ev.old_euid << 32 | s->ev.euid;
    if (s->ev.action && judge_tells(s, object, s->ev.pid)) {
        tell_exe(s, slot);
        judge_send(slot, object, s->ev.pid);
    }
    scratch_give(slot);
    return acts;
}

#endif

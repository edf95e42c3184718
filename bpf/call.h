/* call: the arguments of the system call the task is in, read where the entry left them. */
#ifndef BULKHEAD_BPF_CALL_H
#define BULKHEAD_BPF_CALL_H

#include "tell.h"

#define ARGV_MAX 20

struct argv_walk {
    struct scratch *s;
    __u64 argv;
    __u32 compat, cut;
};

static long argv_step(__u32 i, struct argv_walk *w)
{
    struct scratch *s = w->s;
    __u64 p = 0;
    __u32 at = s->data_n & (BH_DATA - 1);
    if (w->compat ? bpf_probe_read_user(&p, 4, (void *)(w->argv + 4 * i))
                  : bpf_probe_read_user(&p, 8, (void *)(w->argv + 8 * i)))
        return 1;
    if (!p)
        return 1;
    w->cut = 1;
    if (at > BH_DATA - 512)
        return 1;
    long n = bpf_probe_read_user_str(&s->ev.data[at], 512, (void *)p);
    if (n <= 0)
        return 1;
    s->data_n = at + (n & 1023);
    w->cut = i + 1 == ARGV_MAX;
    return 0;
}

/* argv of the execve or execveat this task is in, from its own memory: an exec that is refused has no new memory yet.
 */
__noinline int tell_call_args(__u32 slot)
{
    struct scratch *s = scratch_at(slot);
    if (!s)
        return 0;
    struct task_struct *t = bpf_get_current_task_btf();
    struct pt_regs *regs = (void *)bpf_task_pt_regs(t);
    __u64 nr = READ(regs, orig_ax);
    struct argv_walk w = {.s = s, .compat = in_compat(t)};
    if (w.compat)
        w.argv = nr == 358 ? READ(regs, dx) : READ(regs, cx);
    else
        w.argv = nr == 322 ? READ(regs, dx) : READ(regs, si);
    __u32 from = s->data_n;
    bpf_loop(ARGV_MAX, argv_step, &w, 0);
    s->ev.args = tell_span(s, from);
    if (w.cut)
        s->ev.truncated |= BH_TRUNCATED_ARGS;
    return 0;
}

#endif

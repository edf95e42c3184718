/* return: look again when a system call returns, before its caller runs on: what was mapped, connected or accepted is
 * then the kernel's own object and no descriptor that another thread may have swapped.
 *
 * Since 6.18 by a task work of this one call, which costs other calls nothing. Before that by sys_exit tracepoints
 * (names that begin with exit_), which cost each call on the host a few ns; the sensor attaches them only where the
 * kernel has no bpf_task_work.
 */
#ifndef BULKHEAD_BPF_RETURN_H
#define BULKHEAD_BPF_RETURN_H

#include "judge.h"

enum pending { PENDING_MMAP = 1, PENDING_MPROTECT, PENDING_CONNECT, PENDING_ACCEPT };

struct bpf_map {
    __u32 id;
} __attribute__((preserve_access_index));
struct bpf_task_work {
    __u64 opaque;
} __attribute__((aligned(8)));
typedef int (*task_work_fn)(struct bpf_map *map, void *key, void *value);
extern int bpf_task_work_schedule_resume_impl(struct task_struct *task, struct bpf_task_work *work, void *map,
                                              task_work_fn fn, void *aux) __ksym __weak;

struct returning {
    struct bpf_task_work work;
    __u64 kind, a0, a1;
};
MAP_LAZY(HASH, 4096, __u32, struct returning, returns);

/* fn runs with the result of the call in at_result(); it ends with `return returned()`. */
#define at_return(t, kind_, arg0, arg1, fn)                                                                            \
    do {                                                                                                               \
        struct task_state *state_ = task_state(t);                                                                     \
        if (state_)                                                                                                    \
            state_->pending = kind_;                                                                                   \
        if (bpf_task_work_schedule_resume_impl) {                                                                      \
            struct returning fresh_ = {.kind = kind_, .a0 = arg0, .a1 = arg1}, *r_;                                    \
            __u32 tid_ = (__u32)bpf_get_current_pid_tgid();                                                            \
            bpf_map_delete_elem(&returns, &tid_);                                                                      \
            bpf_map_update_elem(&returns, &tid_, &fresh_, BPF_NOEXIST);                                                \
            r_ = bpf_map_lookup_elem(&returns, &tid_);                                                                 \
            if (r_)                                                                                                    \
                bpf_task_work_schedule_resume_impl(t, &r_->work, &returns, fn, NULL);                                  \
        }                                                                                                              \
    } while (0)

/* Last act of fn: the entry is free again. */
static __always_inline int returned(void)
{
    __u32 tid = (__u32)bpf_get_current_pid_tgid();
    bpf_map_delete_elem(&returns, &tid);
    return 0;
}

static __always_inline __s64 at_result(struct task_struct *t)
{
    struct pt_regs *regs = (void *)bpf_task_pt_regs(t);
    __s64 r = READ(regs, ax);
    return in_compat(t) ? (__s64)(__u32)r : r;
}

static __always_inline bool at_failed(__s64 r)
{
    return r < 0 && r > -4096;
}

#endif

/* probe: proves what this kernel lets BPF do, on one child of ours and nobody else. Never pinned. */
#include "kernel.h"

char _license[] SEC("license") = "Dual BSD/GPL";

__u32 target; /* thread group of the child, in the initial pid namespace; 0: nobody */
__u32 hits;

static __always_inline bool ours(void)
{
    if (!target || bpf_get_current_pid_tgid() >> 32 != target)
        return false;
    __sync_fetch_and_add(&hits, 1);
    return true;
}

SEC("lsm/bprm_check_security")
int BPF_PROG(probe_lsm, struct linux_binprm *bprm, int ret)
{
    return ret ? ret : ours() ? -EPERM : 0;
}

SEC("tp_btf/sched_process_exec")
int BPF_PROG(probe_trace, struct task_struct *t, int old_pid, struct linux_binprm *bprm)
{
    if (ours())
        bpf_send_signal(SIGKILL);
    return 0;
}

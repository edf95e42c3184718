/* learn: the system calls of containers whose policy learns, one bit each in learned_calls. The raw entry is what
 * costs every call on the host, so this is attached while a container learns and at no other time
 * (src/runtime/demand.h). What seccomp refused does not come this far; 32-bit calls have other numbers and are not
 * learned.
 */
#include "identity.h"

char _license[] SEC("license") = "Dual BSD/GPL";

SEC("tp_btf/sys_enter")
int BPF_PROG(learn_enter, struct pt_regs *r, long id)
{
    struct task_struct *t = bpf_get_current_task_btf();
    __u64 cgroup;
    if ((__u64)id >= BH_CALLS || t->thread_info.status & TS_COMPAT || !task_entered())
        return 0;
    const char *container = ident_of_task(t, &cgroup);
    struct bh_calls *c = container ? bpf_map_lookup_elem(&learned_calls, container) : NULL;
    if (!c)
        return 0;
    __u64 bit = 1ull << (id & 63), *word = &c->seen[(id >> 6) & (BH_CALLS / 64 - 1)];
    if (!(*word & bit))
        __sync_fetch_and_or(word, bit);
    return 0;
}

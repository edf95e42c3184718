/* isolation: what one container does to another, or to the host, where they share a namespace: signals, ptrace,
 * System V memory, abstract sockets. iso_lsm_* belong to the lsm tier, iso_trace_* to the trace tier.
 */
#include "judge.h"
#include "network.h"

char _license[] SEC("license") = "Dual BSD/GPL";

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)
struct hlist_node {
    struct hlist_node *next;
};
struct hlist_head {
    struct hlist_node *first;
};
struct pid___bh {
    struct hlist_head tasks[4];
};
struct task_struct___bh {
    struct hlist_node pid_links[4];
};
struct sock___bh {
    struct pid *sk_peer_pid;
};
struct unix_address {
    int len; /* and behind it struct sockaddr_un */
};
struct sockaddr_un___bh {
    char sun_path[108];
};
struct unix_sock___bh {
    struct unix_address *addr;
    struct sock *peer;
};
struct kern_ipc_perm {
    int id;
};
struct shmid_kernel {
    struct kern_ipc_perm shm_perm;
    struct pid *shm_cprid;
};
struct kernel_siginfo {
    int si_code;
};
#pragma clang attribute pop

/* Pairs of containers that may reach each other: hashes of their ids, who acts first. */
struct iso_pair {
    __u64 from, to;
};
MAP_LAZY(HASH, 16384, struct iso_pair, __u32, iso_pairs);

#define PIDTYPE_TGID 1

static __always_inline struct task_struct *pid_task(struct pid *pid)
{
    struct pid___bh *p = (void *)pid;
    struct hlist_node *first = pid ? READ(p, tasks[PIDTYPE_TGID].first) : NULL;
    struct task_struct___bh *none = NULL;
    if (!first)
        return NULL;
    return (void *)first - bpf_core_field_offset(none->pid_links[PIDTYPE_TGID]);
}

/* Does the task that runs reach over its container's edge to `other`? Then begin an event: its path is the id of the
 * other one, empty for the host. */
static __always_inline struct scratch *crosses(struct task_struct *other, __u32 *slot, __u32 type, __u32 control)
{
    __u64 cg = 0, cg2 = 0;
    if (!other || !task_entered())
        return NULL;
    const char *mine = ident_of_task(bpf_get_current_task_btf(), &cg), *theirs = ident_of_task(other, &cg2);
    if (!mine || mine == theirs)
        return NULL;
    struct iso_pair pair = {};
    if (theirs) {
        const __u64 *a = (const void *)mine, *b = (const void *)theirs;
        __u64 differs = 0;
        for (int i = 0; i < BH_ID / 8; i++)
            differs |= a[i] ^ b[i];
        if (!differs)
            return NULL;
        pair.from = id_hash(mine);
        pair.to = id_hash(theirs);
        if (bpf_map_lookup_elem(&iso_pairs, &pair))
            return NULL;
    }
    struct scratch *s = judge_begin(slot, true);
    if (!s)
        return NULL;
    tell_begin(*slot, type);
    consider(s, control);
    if (theirs) {
        __u32 at = s->data_n & (BH_DATA - 1);
        if (at < BH_DATA - BH_ID) {
            bpf_probe_read_kernel(&s->ev.data[at], BH_ID, theirs);
            s->data_n = at + BH_ID;
            s->ev.path = (struct bh_span){.off = at, .len = BH_ID};
        }
    }
    return s;
}

/* Finish it; what the call is to answer. */
static __always_inline int crossed(struct scratch *s, __u32 slot, __u32 level, __u64 object)
{
    bool acts = judge_acts(s, level);
    if (acts && level == BH_LEVEL_KILL)
        bpf_send_signal(SIGKILL);
    if (s->ev.action && judge_tells(s, object, s->ev.arg[1])) {
        tell_exe(s, slot);
        judge_send(slot, object, s->ev.arg[1]);
    }
    scratch_give(slot);
    return acts ? -EPERM : 0;
}

static __always_inline int signalled(struct task_struct *p, int sig, __u32 level)
{
    __u32 slot = 0;
    struct scratch *s = crosses(p, &slot, BH_SIGNAL, BH_CONTROL_iso_signals);
    if (!s)
        return 0;
    s->ev.arg[0] = sig;
    s->ev.arg[1] = READ(p, tgid);
    return crossed(s, slot, level, sig);
}

SEC("lsm/task_kill")
int BPF_PROG(iso_lsm_kill, struct task_struct *p, struct kernel_siginfo *info, int sig, const struct cred *cred,
             int ret)
{
    return ret || !sig ? ret : signalled(p, sig, BH_LEVEL_BLOCK);
}

/* The signal is on its way already: who sent it dies, and nothing more is claimed. */
SEC("tp_btf/signal_generate")
int BPF_PROG(iso_trace_kill, int sig, struct kernel_siginfo *info, struct task_struct *p, int group, int result)
{
    if ((__u64)info == 1 || !sig) /* the kernel's own */
        return 0;
    if ((__u64)info > 1) {
        int code = 0;
        bpf_core_read(&code, sizeof(code), &info->si_code);
        if (code > 0)
            return 0;
    }
    signalled(p, sig, BH_LEVEL_KILL);
    return 0;
}

#define PTRACE_MODE_ATTACH 2

SEC("lsm/ptrace_access_check")
int BPF_PROG(iso_lsm_ptrace, struct task_struct *child, unsigned int mode, int ret)
{
    __u32 slot = 0;
    if (ret || !(mode & PTRACE_MODE_ATTACH))
        return ret;
    struct scratch *s = crosses(child, &slot, BH_PTRACE, BH_CONTROL_iso_ptrace);
    if (!s)
        return 0;
    s->ev.arg[1] = READ(child, tgid);
    return crossed(s, slot, BH_LEVEL_BLOCK, 1);
}

/* Pathname sockets are shared by whoever mounted the path; an abstract one needs nothing but the network namespace. */
static __always_inline bool is_abstract(struct sock *sk)
{
    struct unix_sock___bh *u = (void *)sk;
    struct unix_address *a = READ(u, addr);
    char c[3] = {1, 1, 1};
    if (!a || READ(a, len) < 3)
        return false;
    bpf_probe_read_kernel(c, sizeof(c), (void *)a + 8);
    return !c[2];
}

static __always_inline struct task_struct *peer_task(struct sock *sk)
{
    struct sock___bh *k = (void *)sk;
    return pid_task(READ(k, sk_peer_pid)); /* of a listening socket: who called listen() */
}

static __always_inline int local_socket(struct task_struct *other, __u32 level)
{
    __u32 slot = 0;
    struct scratch *s = crosses(other, &slot, BH_IPC, BH_CONTROL_iso_sockets);
    if (!s)
        return 0;
    s->ev.arg[0] = BH_IPC_UNIX;
    s->ev.arg[1] = READ(other, tgid);
    return crossed(s, slot, level, BH_IPC_UNIX);
}

SEC("lsm/unix_stream_connect")
int BPF_PROG(iso_lsm_connect, struct sock *sock, struct sock *other, struct sock *newsk, int ret)
{
    return ret || !is_abstract(other) ? ret : local_socket(peer_task(other), BH_LEVEL_BLOCK);
}

SEC("lsm/shm_shmat")
int BPF_PROG(iso_lsm_shmat, struct kern_ipc_perm *perm, char *addr, int flags, int ret)
{
    struct shmid_kernel *none = NULL, *shm = (void *)perm - bpf_core_field_offset(none->shm_perm);
    struct task_struct *other = ret ? NULL : pid_task(READ(shm, shm_cprid));
    __u32 slot = 0;
    struct scratch *s = other ? crosses(other, &slot, BH_IPC, BH_CONTROL_iso_memory) : NULL;
    if (!s)
        return ret;
    s->ev.arg[0] = BH_IPC_SHM;
    s->ev.arg[1] = READ(other, tgid);
    return crossed(s, slot, BH_LEVEL_BLOCK, BH_IPC_SHM);
}

/* Trace tier: connected, but the caller never comes back to use it. */
struct sys_exit {
    __u64 common;
    __s64 nr, ret;
};

SEC("tp/syscalls/sys_exit_connect")
int iso_trace_connect(struct sys_exit *ctx)
{
    if (ctx->ret || !task_entered())
        return 0;
    struct task_struct *t = bpf_get_current_task_btf();
    struct pt_regs *regs = (void *)bpf_task_pt_regs(t);
    __u32 fd = READ(regs, di);
    struct fdtable *fdt = READ(t, files, fdt);
    struct file **slots = READ(fdt, fd), *f = NULL;
    if (fd >= READ(fdt, max_fds))
        return 0;
    bpf_probe_read_kernel(&f, sizeof(f), slots + fd);
    if (!f || (READ(f, f_inode, i_mode) & S_IFMT) != S_IFSOCK)
        return 0;
    struct socket *sock = READ(f, private_data);
    struct sock *sk = READ(sock, sk);
    if (READ(sk, __sk_common.skc_family) != AF_UNIX)
        return 0;
    struct unix_sock___bh *u = (void *)sk;
    struct sock *peer = READ(u, peer);
    if (peer && is_abstract(peer))
        local_socket(peer_task(sk), BH_LEVEL_KILL);
    return 0;
}

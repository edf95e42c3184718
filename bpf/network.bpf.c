/* network: connections made, accepted and waited for. Told once for an image, program and remote end; not judged yet.
 * net_lsm_* belong to the lsm tier, net_trace_* to the trace tier.
 */
#include "files.h"
#include "return.h"

char _license[] SEC("license") = "Dual BSD/GPL";

static __always_inline void addr_of_sock(struct bh_addr *a, struct sock *sk, bool remote)
{
    a->family = READ(sk, __sk_common.skc_family);
    a->local_port = READ(sk, __sk_common.skc_num);
    if (remote)
        a->port = bpf_ntohs(READ(sk, __sk_common.skc_dport));
    else
        a->port = a->local_port;
    if (a->family == AF_INET) {
        __u32 v4 = remote ? READ(sk, __sk_common.skc_daddr) : READ(sk, __sk_common.skc_rcv_saddr);
        __builtin_memcpy(a->addr, &v4, 4);
    } else if (a->family == AF_INET6) {
        if (remote)
            bpf_core_read(a->addr, 16, &sk->__sk_common.skc_v6_daddr);
        else
            bpf_core_read(a->addr, 16, &sk->__sk_common.skc_v6_rcv_saddr);
    }
}

static __always_inline struct sock *sock_of_fd(__u64 fd)
{
    struct file *f = file_of_fd(bpf_get_current_task_btf(), fd);
    if (!f || (READ(f, f_inode, i_mode) & S_IFMT) != S_IFSOCK)
        return NULL;
    struct socket *sock = READ(f, private_data);
    return READ(sock, sk);
}

#define UNIX_NAME 112

/* The remote end, or the local one; of a unix socket its name (UNIX_NAME bytes; NULL: it has none). Once for an image,
 * program and end. Only inet and unix sockets are told. */
static __always_inline void tell_net(__u32 type, struct bh_addr *a, const char *name, struct sock *sk, __u64 fd)
{
    if (a->family != AF_INET && a->family != AF_INET6 && a->family != AF_UNIX)
        return;
    __u64 w[2];
    __builtin_memcpy(w, a->addr, 16);
    struct task_struct *t = bpf_get_current_task_btf();
    __u64 object = w[0] * 31 + w[1] + ((__u64)a->family << 48);
    __u64 object2 = t->mm->exe_file->f_inode->i_ino << 20 | (type == BH_ACCEPT ? a->local_port : a->port);
    if (a->family == AF_UNIX && name) {
        object = 0;
        for (int i = 0; i < 14; i++)
            object = object * 31 + ((const __u64 *)name)[i];
    }
    __u32 slot = 0;
    if (judge_seen(type, object, object2))
        return;
    if (!sk && !(sk = sock_of_fd(fd)))
        return;
    a->protocol = (__u8)READ(sk, sk_protocol);
    struct scratch *s = judge_begin(&slot, true);
    if (!s)
        return;
    tell_begin(slot, type);
    s->ev.peer = *a;
    judge_acts(s, BH_LEVEL_DETECT);
    if (judge_tells(s, object, object2)) {
        if (a->family == AF_UNIX && name) {
            __u32 at = s->data_n & (BH_DATA - 1);
            __u64 skip = !name[0];
            asm volatile("" : "+r"(skip)); /* no arithmetic by "or" on a pointer */
            long len = bpf_probe_read_kernel_str(&s->ev.data[at], 108, name + skip);
            if (len > 1) {
                s->data_n = at + ((len - 1) & 127);
                s->ev.path = tell_span(s, at);
            }
        }
        tell_exe(s, slot);
        judge_send(slot, object, object2);
    }
    scratch_give(slot);
}

static __always_inline void told_sock(__u32 type, struct sock *sk, bool remote)
{
    struct bh_addr a = {};
    addr_of_sock(&a, sk, remote);
    tell_net(type, &a, NULL, sk, 0);
}

/* A sockaddr, of the kernel or of the caller. sk NULL: that of the caller's descriptor fd, looked up when there is
 * something to tell. */
static __always_inline void told_addr(__u32 type, struct sock *sk, __u64 fd, const void *sa, __u32 len)
{
    __u32 slot = 0;
    struct scratch *room = len < 2 ? NULL : scratch_take(&slot); /* for the name: the stack is small */
    if (!room)
        return;
    char *name = room->text;
    struct bh_addr addr = {}, *a = &addr;
    for (int i = 0; i < UNIX_NAME / 8; i++)
        ((__u64 *)name)[i] = 0;
    if (len > 110)
        len = 110;
    asm volatile("" : "+r"(len)); /* the verifier wants to see the mask */
    if (!sk)
        bpf_probe_read_user(name, len & 127, sa);
    else
        bpf_probe_read_kernel(name, len & 127, sa);
    __u8 *raw = (void *)name;
    a->family = raw[0] | (__u16)raw[1] << 8;
    if (a->family == AF_INET || a->family == AF_INET6) {
        a->port = (__u16)raw[2] << 8 | raw[3];
        if (a->family == AF_INET)
            __builtin_memcpy(a->addr, raw + 4, 4);
        else
            __builtin_memcpy(a->addr, raw + 8, 16);
    } else if (a->family == AF_UNIX) {
        __u64 *w = (void *)name;
        for (int i = 0; i < 13; i++) /* the name alone, from index 0 */
            w[i] = w[i] >> 16 | w[i + 1] << 48;
        w[13] >>= 16;
    }
    tell_net(type, a, name, sk, fd);
    scratch_give(slot);
}

/* ---- lsm ---- */

SEC("lsm/socket_connect")
int BPF_PROG(net_lsm_connect, struct socket *sock, struct sockaddr *sa, int len, int ret)
{
    if (!ret && task_entered())
        told_addr(BH_CONNECT, READ(sock, sk), 0, sa, len);
    return ret;
}

SEC("lsm/socket_bind")
int BPF_PROG(net_lsm_bind, struct socket *sock, struct sockaddr *sa, int len, int ret)
{
    if (!ret && task_entered())
        told_addr(BH_BIND, READ(sock, sk), 0, sa, len);
    return ret;
}

SEC("lsm/socket_listen")
int BPF_PROG(net_lsm_listen, struct socket *sock, int backlog, int ret)
{
    if (!ret && task_entered())
        told_sock(BH_LISTEN, READ(sock, sk), false);
    return ret;
}

SEC("lsm/sock_graft") /* accept() hands the connected sock to its socket */
int BPF_PROG(net_lsm_accept, struct sock *sk, struct socket *parent)
{
    if (task_entered() && READ(sk, __sk_common.skc_dport))
        told_sock(BH_ACCEPT, sk, true);
    return 0;
}

/* ---- trace: the tracepoints of these calls alone; addresses from the caller's memory, for telling only ---- */

struct sys_enter {
    __u64 common;
    __s64 nr;
    __u64 arg[6];
};
struct sys_exit {
    __u64 common;
    __s64 nr, ret;
};

static __always_inline void told_user(__u32 type, struct sys_enter *ctx)
{
    if (task_entered())
        told_addr(type, NULL, ctx->arg[0], (void *)ctx->arg[1], (__u32)ctx->arg[2]);
}

/* A local connection is made by now, but nothing was sent: is it to an engine? */
static __always_inline void connected(__u64 fd)
{
    struct sock *sk = sock_of_fd(fd), *peer = NULL;
    __u32 slot = 0;
    if (sk && READ(sk, __sk_common.skc_family) == AF_UNIX)
        peer = READ((struct unix_sock *)sk, peer);
    struct scratch *s = peer && engine_socket(peer) ? judge_begin(&slot, true) : NULL;
    if (!s)
        return;
    tell_begin(slot, BH_CONNECT);
    s->ev.peer.family = AF_UNIX;
    s->ev.arg[3] = BH_ESCAPE_ENGINE;
    consider(s, BH_CONTROL_escape);
    if (judge_acts(s, BH_LEVEL_KILL))
        bpf_send_signal(SIGKILL);
    if (judge_tells(s, BH_ESCAPE_ENGINE, 0)) {
        tell_exe(s, slot);
        judge_send(slot, BH_ESCAPE_ENGINE, 0);
    }
    scratch_give(slot);
}

static int on_connect_returns(struct bpf_map *map, void *key, struct returning *r)
{
    connected(r->a0);
    return returned();
}

SEC("tp/syscalls/sys_enter_connect")
int net_trace_connect(struct sys_enter *ctx)
{
    told_user(BH_CONNECT, ctx);
    struct task_struct *t = bpf_get_current_task_btf();
    struct sock *sk = task_entered() ? sock_of_fd(ctx->arg[0]) : NULL;
    if (sk && READ(sk, __sk_common.skc_family) == AF_UNIX)
        at_return(t, PENDING_CONNECT, ctx->arg[0], 0, (task_work_fn)on_connect_returns);
    return 0;
}

SEC("tp/syscalls/sys_enter_bind")
int net_trace_bind(struct sys_enter *ctx)
{
    told_user(BH_BIND, ctx);
    return 0;
}

SEC("tp/syscalls/sys_enter_listen")
int net_trace_listen(struct sys_enter *ctx)
{
    struct sock *sk = task_entered() ? sock_of_fd(ctx->arg[0]) : NULL;
    if (sk)
        told_sock(BH_LISTEN, sk, false);
    return 0;
}

static __always_inline void accepted(__s64 fd)
{
    struct sock *sk = fd >= 0 ? sock_of_fd(fd) : NULL;
    if (sk)
        told_sock(BH_ACCEPT, sk, true);
}

static int on_accept_returns(struct bpf_map *map, void *key, struct returning *r)
{
    accepted(at_result(bpf_get_current_task_btf()));
    return returned();
}

/* A look at what comes back costs some us: one a second for each program and descriptor it waits on. Which peers may
 * come is judged elsewhere (cgroup programs), for every one of them. */
static __always_inline int accepting(struct sys_enter *ctx)
{
    struct task_struct *t = bpf_get_current_task_btf();
    struct task_state *st = task_state(t);
    if (!st || !(st->flags & TASK_ENTERED))
        return 0;
    struct novel_key k = {
        .scope = st->scope, .object = t->mm->exe_file->f_inode->i_ino, .object2 = ctx->arg[0], .op = BH_ACCEPT << 16};
    struct novel *n = bpf_map_lookup_elem(&novelty, &k), now = {.told = bpf_ktime_get_boot_ns()};
    if (n && now.told - n->told < NSEC)
        return 0;
    bpf_map_update_elem(&novelty, &k, &now, BPF_ANY);
    at_return(t, PENDING_ACCEPT, 0, 0, (task_work_fn)on_accept_returns);
    return 0;
}

SEC("tp/syscalls/sys_enter_accept")
int net_trace_accept(struct sys_enter *ctx)
{
    return accepting(ctx);
}

SEC("tp/syscalls/sys_enter_accept4")
int net_trace_accept4(struct sys_enter *ctx)
{
    return accepting(ctx);
}

static __always_inline int accept_exits(struct sys_exit *ctx)
{
    struct task_state *st = task_state(bpf_get_current_task_btf());
    if (st && st->pending == PENDING_ACCEPT) {
        st->pending = 0;
        accepted(ctx->ret);
    }
    return 0;
}

SEC("tp/syscalls/sys_exit_accept")
int exit_accept(struct sys_exit *ctx)
{
    return accept_exits(ctx);
}

SEC("tp/syscalls/sys_exit_accept4")
int exit_accept4(struct sys_exit *ctx)
{
    return accept_exits(ctx);
}

SEC("tp/syscalls/sys_exit_connect")
int exit_connect(struct sys_exit *ctx)
{
    struct task_struct *t = bpf_get_current_task_btf();
    struct task_state *st = task_state(t);
    if (st && st->pending == PENDING_CONNECT) {
        struct pt_regs *regs = (void *)bpf_task_pt_regs(t);
        st->pending = 0;
        connected(READ(regs, di));
    }
    return 0;
}

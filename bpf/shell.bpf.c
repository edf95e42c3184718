/* shell: programs that take their commands from a network connection: bind and reverse shells. Both tiers, at exec.
 *
 * Not how it was spelled counts (nc -e, /dev/tcp, python, socat, io_uring), but what the new program holds: a shell or
 * interpreter without a script of its own whose input or output is a connection, or a pipe, socket pair or terminal
 * whose other end is held by an ancestor that also holds a connection. Programs that hand out shells by design (sshd
 * and the like) are no such ancestor. What never runs a program (code that interprets by itself) is not seen here.
 */
#include "judge.h"
#include "network.h"

char _license[] SEC("license") = "Dual BSD/GPL";

#define S_IFIFO         0010000
#define S_IFCHR         0020000
#define TCP_ESTABLISHED 1
#define ANCESTORS       4
#define FDS             64

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)
struct unix_sock___bh {
    struct sock *peer;
};
struct sock_common___bh {
    unsigned char skc_state;
};
struct sock___bh {
    struct sock_common___bh __sk_common;
};
struct tty_struct {
    struct tty_struct *link;
};
struct tty_file_private {
    struct tty_struct *tty;
};
#pragma clang attribute pop

enum { NO_SHELL, A_SHELL, AN_INTERPRETER, A_BUSYBOX };

struct shell_look { /* in a map: the verifier need not follow the values */
    char name[16];
    char args[256];
    __u32 n, at, kind;
    __u32 arg, script, command, word;
    __u64 other;  /* what an ancestor must hold: inode of the pipe, peer of the socket, master of the terminal */
    __u64 other1; /* the same for output */
    __u32 holds, connected;
    __u64 files, fds;
};
MAP(PERCPU_ARRAY, 1, __u32, struct shell_look, shell_looks);

static __always_inline __u64 first8(const char *s)
{
    __u64 v;
    __builtin_memcpy(&v, s, 8);
    return v;
}
#define W(a, b, c, d, e, f, g, h)                                                                                      \
    ((__u64)(a) | (__u64)(b) << 8 | (__u64)(c) << 16 | (__u64)(d) << 24 | (__u64)(e) << 32 | (__u64)(f) << 40 |        \
     (__u64)(g) << 48 | (__u64)(h) << 56)
#define LOW(n) ((1ull << 8 * (n)) - 1)

static __always_inline struct shell_look *look(void)
{
    __u32 zero = 0;
    return bpf_map_lookup_elem(&shell_looks, &zero);
}

__noinline int kind_of(void)
{
    struct shell_look *l = look();
    if (!l)
        return NO_SHELL;
    const char *name = l->name;
    __u64 v = first8(name);
    if (v == W('s', 'h', 0, 0, 0, 0, 0, 0) || v == W('b', 'a', 's', 'h', 0, 0, 0, 0) ||
        v == W('d', 'a', 's', 'h', 0, 0, 0, 0) || v == W('a', 's', 'h', 0, 0, 0, 0, 0) ||
        v == W('z', 's', 'h', 0, 0, 0, 0, 0) || v == W('k', 's', 'h', 0, 0, 0, 0, 0) ||
        v == W('m', 'k', 's', 'h', 0, 0, 0, 0) || v == W('f', 'i', 's', 'h', 0, 0, 0, 0) ||
        v == W('t', 'c', 's', 'h', 0, 0, 0, 0) || v == W('c', 's', 'h', 0, 0, 0, 0, 0) ||
        v == W('r', 'b', 'a', 's', 'h', 0, 0, 0) || v == W('h', 'u', 's', 'h', 0, 0, 0, 0) ||
        v == W('k', 's', 'h', '9', '3', 0, 0, 0) || v == W('y', 'a', 's', 'h', 0, 0, 0, 0) ||
        v == W('p', 'w', 's', 'h', 0, 0, 0, 0))
        return A_SHELL;
    if (v == W('b', 'u', 's', 'y', 'b', 'o', 'x', 0) || v == W('t', 'o', 'y', 'b', 'o', 'x', 0, 0))
        return A_BUSYBOX;
    __u64 six = v & LOW(6), four = v & LOW(4), three = v & LOW(3);
    if (six == W('p', 'y', 't', 'h', 'o', 'n', 0, 0) || four == W('p', 'e', 'r', 'l', 0, 0, 0, 0) ||
        four == W('r', 'u', 'b', 'y', 0, 0, 0, 0) || three == W('p', 'h', 'p', 0, 0, 0, 0, 0) ||
        four == W('n', 'o', 'd', 'e', 0, 0, 0, 0) || three == W('l', 'u', 'a', 0, 0, 0, 0, 0) ||
        three == W('t', 'c', 'l', 0, 0, 0, 0, 0))
        return AN_INTERPRETER;
    return NO_SHELL;
}

/* Programs whose work it is to give a shell to who has logged in. */
__noinline int gives_shells(void)
{
    struct shell_look *l = look();
    if (!l)
        return 0;
    const char *name = l->name;
    __u64 v = first8(name);
    return (v & LOW(4)) == W('s', 's', 'h', 'd', 0, 0, 0, 0) || v == W('d', 'r', 'o', 'p', 'b', 'e', 'a', 'r') ||
           v == W('l', 'o', 'g', 'i', 'n', 0, 0, 0) || v == W('t', 'e', 'l', 'n', 'e', 't', 'd', 0) ||
           v == W('i', 'n', '.', 't', 'e', 'l', 'n', 'e');
}

/* One byte of the arguments: words are counted, options told from operands. */
static long args_step(__u32 i, struct shell_look **from)
{
    struct shell_look *l = *from;
    if (i >= l->n || i >= 255)
        return 1;
    char c = l->args[i & 255], next = l->args[(i + 1) & 255];
    if (!l->word) { /* the first byte of a word */
        l->word = 1;
        if (l->arg && c && c != '-' && c != '+' && !l->command)
            l->script = 1;
        if (l->arg && c == '-' && next == 'm' && l->kind == AN_INTERPRETER)
            l->script = 1; /* a module */
    }
    if (l->arg && l->word == 1 && c == '-' && next != '-')
        l->word = 2; /* short options */
    if (l->word == 2) {
        if (c == 'c' || (c == 'e' && l->kind == AN_INTERPRETER))
            l->command = 1;
        if (c == 's' && l->kind == A_SHELL)
            l->script = 2; /* -s: operands are no script */
    }
    if (!c) {
        l->word = 0;
        l->arg++;
    }
    return l->script != 0;
}

static __always_inline struct file *fd_at(struct task_struct *t, __u32 fd)
{
    struct fdtable *fdt = READ(t, files, fdt);
    struct file **slots = READ(fdt, fd), *f = NULL;
    if (fd >= READ(fdt, max_fds))
        return NULL;
    bpf_probe_read_kernel(&f, sizeof(f), slots + fd);
    return f;
}

static __always_inline struct sock *file_sock(struct file *f)
{
    struct socket *s = READ(f, private_data);
    return READ(s, sk);
}

static __always_inline bool is_inet(struct file *f)
{
    if (!f || (READ(f, f_inode, i_mode) & S_IFMT) != S_IFSOCK)
        return false;
    __u16 family = READ(file_sock(f), __sk_common.skc_family);
    return family == AF_INET || family == AF_INET6;
}

/* What whoever is at the other end of this file holds. */
static __always_inline __u64 other_end(struct file *f)
{
    if (!f)
        return 0;
    __u32 type = READ(f, f_inode, i_mode) & S_IFMT;
    if (type == S_IFIFO)
        return (__u64)READ(f, f_inode);
    if (type == S_IFSOCK) {
        struct sock *sk = file_sock(f);
        struct unix_sock___bh *u = (void *)sk;
        return READ(sk, __sk_common.skc_family) == AF_UNIX ? (__u64)READ(u, peer) : 0;
    }
    if (type == S_IFCHR) {
        struct tty_file_private *p = READ(f, private_data);
        return p ? (__u64)READ(p, tty, link) : 0;
    }
    return 0;
}

static long fds_step(__u32 i, struct shell_look **from)
{
    struct shell_look *l = *from;
    struct file *f = NULL;
    if (i >= l->fds)
        return 1;
    bpf_probe_read_kernel(&f, sizeof(f), (void *)(l->files + 8 * i));
    if (!f)
        return 0;
    __u32 type = READ(f, f_inode, i_mode) & S_IFMT;
    __u64 mine = 0;
    if (type == S_IFIFO) {
        mine = (__u64)READ(f, f_inode);
    } else if (type == S_IFSOCK) {
        struct sock *sk = file_sock(f);
        struct sock___bh *state = (void *)sk;
        __u16 family = READ(sk, __sk_common.skc_family);
        mine = (__u64)sk;
        if ((family == AF_INET || family == AF_INET6) && READ(state, __sk_common.skc_state) == TCP_ESTABLISHED)
            l->connected = 1;
    } else if (type == S_IFCHR) {
        struct tty_file_private *p = READ(f, private_data);
        mine = p ? (__u64)READ(p, tty) : 0;
    }
    if (mine && (mine == l->other || mine == l->other1))
        l->holds |= mine == l->other ? 1 : 2;
    return 0;
}

static __always_inline void name_of_exe(struct task_struct *t, char *to)
{
    const unsigned char *p = READ(t, mm, exe_file, f_path.dentry, d_name.name);
    __builtin_memset(to, 0, 16);
    bpf_probe_read_kernel_str(to, 16, p);
}

/* Which ancestor inside the container feeds it? 0: none */
__noinline int relayed(void)
{
    struct shell_look *l = look();
    struct task_struct *t = bpf_get_current_task_btf();
    if (!l)
        return 0;
#pragma clang loop unroll(disable)
    for (int i = 0; i < ANCESTORS; i++) {
        struct task_struct *p = READ(t, real_parent, group_leader);
        if (!p || p == t || READ(p, tgid) <= 1)
            return 0;
        t = p;
        name_of_exe(t, l->name);
        if (gives_shells())
            return 0;
        struct fdtable *fdt = READ(t, files, fdt);
        l->files = (__u64)READ(fdt, fd);
        l->fds = READ(fdt, max_fds);
        l->connected = 0;
        bpf_loop(FDS, fds_step, &l, 0);
        if (l->connected && (l->holds & 1) && (l->holds == 3 || l->other == l->other1))
            return READ(t, tgid);
    }
    return 0;
}

static long slash_step(__u32 i, struct shell_look **from)
{
    struct shell_look *l = *from;
    char c = l->args[i & 127];
    if (c == '/')
        l->at = i + 1;
    return !c;
}

/* As sh, or as busybox sh? Then args begin with the applet. */
__noinline int busybox(void)
{
    struct shell_look *l = look();
    if (!l)
        return 0;
    l->at = 0;
    bpf_loop(127, slash_step, &l, 0);
    __u64 v = 0;
    __u32 at = l->at & 127;
    bpf_probe_read_kernel(&v, 8, &l->args[at]);
    if ((v & LOW(7)) == W('b', 'u', 's', 'y', 'b', 'o', 'x', 0)) {
        at = (at + 8) & 127;
        bpf_probe_read_kernel(&v, 8, &l->args[at]);
    }
    bpf_probe_read_kernel(l->args, 128, &l->args[at]);
    l->n = l->n > at ? l->n - at : 0;
    l->kind = A_SHELL;
    return (v & LOW(3)) == W('s', 'h', 0, 0, 0, 0, 0, 0) || (v & LOW(4)) == W('a', 's', 'h', 0, 0, 0, 0, 0) ||
           (v & LOW(5)) == W('b', 'a', 's', 'h', 0, 0, 0, 0) || (v & LOW(5)) == W('h', 'u', 's', 'h', 0, 0, 0, 0);
}

__noinline int words(void)
{
    struct shell_look *l = look();
    if (l)
        bpf_loop(256, args_step, &l, 0);
    return 0;
}

SEC("tp_btf/sched_process_exec")
int BPF_PROG(on_shell, struct task_struct *t, int old_pid, struct linux_binprm *bprm)
{
    struct shell_look *l = look();
    if (!l || !task_entered())
        return 0;
    name_of_exe(t, l->name);
    l->kind = kind_of();
    if (!l->kind)
        return 0;
    struct file *in = fd_at(t, 0), *out = fd_at(t, 1);
    bool in_net = is_inet(in), out_net = is_inet(out);
    l->other = in_net ? 0 : other_end(in);
    l->other1 = out_net ? 0 : other_end(out);
    if (!in_net && !out_net && !l->other)
        return 0;

    __u64 start = READ(t, mm, arg_start), end = READ(t, mm, arg_end);
    __u32 n = end > start ? end - start : 0;
    l->n = n > 255 ? 255 : n;
    l->arg = l->script = l->command = l->word = l->holds = 0;
    __builtin_memset(l->args, 0, 16);
    if (bpf_probe_read_user(l->args, l->n & 255, (void *)start))
        return 0;
    if (l->kind == A_BUSYBOX && !busybox())
        return 0;
    words();
    if (l->script == 1)
        return 0; /* it runs a script: what that reads is its business */
    if (l->command && !(in_net && out_net))
        return 0;

    __u32 why = 0, by = 0;
    if (in_net || out_net)
        why = BH_NET_SHELL_SOCKET;
    else if ((by = relayed()))
        why = BH_NET_SHELL_RELAY;
    if (!why)
        return 0;
    __u32 slot = 0;
    struct scratch *s = judge_begin(&slot, true);
    if (!s)
        return 0;
    tell_begin(slot, BH_EXEC);
    consider(s, BH_CONTROL_shells);
    s->ev.arg[0] = why;
    s->ev.arg[1] = by;
    struct file *f = in_net ? in : out_net ? out : NULL;
    if (f) {
        struct sock *sk = file_sock(f);
        struct bh_addr *a = &s->ev.peer;
        a->family = READ(sk, __sk_common.skc_family);
        a->port = bpf_ntohs(READ(sk, __sk_common.skc_dport));
        a->local_port = READ(sk, __sk_common.skc_num);
        a->protocol = (__u8)READ(sk, sk_protocol);
        if (a->family == AF_INET) {
            __u32 v4 = READ(sk, __sk_common.skc_daddr);
            __builtin_memcpy(a->addr, &v4, 4);
        } else {
            bpf_core_read(a->addr, 16, &sk->__sk_common.skc_v6_daddr);
        }
    }
    if (judge_acts(s, BH_LEVEL_KILL))
        bpf_send_signal(SIGKILL);
    if (s->ev.action && judge_tells(s, why, s->ev.pid)) {
        tell_exe(s, slot);
        judge_send(slot, why, s->ev.pid);
    }
    scratch_give(slot);
    return 0;
}

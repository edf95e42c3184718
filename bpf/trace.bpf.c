/* trace: the trace tier's look at system calls. Each watched call (calls.tbl.h) has a tracepoint of its own, which
 * costs other calls some ns; these do not see 32-bit entry, so compat_enter on the raw entry is attached while a
 * container may use that one (src/runtime/demand.h).
 *
 * SIGKILL here means: the call may still run, its caller does not. That is prevention for what only hands something
 * to the caller (executable memory, descriptors, another namespace), not for what the call does to others; the
 * table of levels (src/runtime/doctor.c) tells which is which.
 */
#include "call.h"
#include "creds.h"
#include "files.h"
#include "open.h"
#include "return.h"

char _license[] SEC("license") = "Dual BSD/GPL";

enum op { /* those of calls.tbl.h */
          OP_NONE,
          OP_MMAP,
          OP_OLD_MMAP,
          OP_MPROTECT,
          OP_EXEC,
          OP_PTRACE,
          OP_VM_READ,
          OP_VM_WRITE,
          OP_MOUNT,
          OP_SETNS,
          OP_UNSHARE,
          OP_CLONE,
          OP_CLONE3,
          OP_MODULE,
          OP_BPF,
          OP_IO_URING,
          OP_KEYRING,
          OP_PERF,
          OP_USERFAULTFD,
          OP_HANDLE,
          OP_PORTS,
          OP_MKNOD,
          OP_CHMOD,
          OP_FCHMODAT,
          OP_CREDS,
};

struct call {
    __u64 arg[6];
    __u32 nr, compat;
};

#define NR_COMPAT(c) ((c)->nr | (c)->compat << 16) /* which call, as one argument of a function */

static __always_inline void tell_call(struct scratch *s, __u32 nr_compat)
{
    s->ev.syscall = nr_compat & 0xffff;
    if (nr_compat >> 16)
        s->ev.file.flags |= BH_FILE_COMPAT;
}

/* Judge the file in hand as executable memory; kill and tell. */
__noinline int judge_mapping(__u32 slot)
{
    struct scratch *s = scratch_at(slot);
    if (!s)
        return 0;
    __u32 keep = s->ev.file.flags & (BH_FILE_COMPAT | BH_FILE_MPROTECT | BH_FILE_UNRESOLVED);
    judge_code(slot);
    s->ev.file.flags |= keep;
    if (!s->ev.action)
        return 0; /* code of the image: what programs load is not told */
    if (judge_acts(s, BH_LEVEL_KILL))
        bpf_send_signal(SIGKILL);
    if (judge_tells(s, s->ev.file.ino, s->ev.file.flags)) {
        __u64 object = s->ev.file.ino, object2 = s->ev.file.flags;
        path_walk(slot);
        tell_walked(s, slot);
        tell_exe(s, slot);
        judge_send(slot, object, object2);
    }
    return 0;
}

static __always_inline bool map_file(struct scratch *s, struct path *p)
{
    struct inode *inode = READ(p, dentry, d_inode);
    if ((READ(inode, i_mode) & S_IFMT) != S_IFREG)
        return false; /* /dev/zero and other devices: memory, not a file */
    __u32 keep = s->ev.file.flags;
    file_facts(inode, &s->container, &s->ev.file);
    s->ev.file.flags |= keep;
    s->walk.mnt = (__u64)READ(p, mnt);
    s->walk.dentry = (__u64)READ(p, dentry);
    return true;
}

/* A shared mapping of a memfd is how JITs write and run their own code; nothing is loaded by it. */
static __always_inline bool jit_memory(const struct bh_file *f, bool shared)
{
    return shared && (f->flags & BH_FILE_MEMFD);
}

struct vma_at {
    struct scratch *s; /* its file and walk: of the mapping looked at */
    __u64 end;
    __u32 found, shared;
};

static long vma_step(struct task_struct *t, struct vm_area_struct *vma, struct vma_at *at)
{
    struct file *f = READ(vma, vm_file);
    at->end = READ(vma, vm_end);
    if (!f)
        return 0;
    struct path *p = file_path(f);
    struct inode *inode = READ(p, dentry, d_inode);
    if ((READ(inode, i_mode) & S_IFMT) != S_IFREG)
        return 0;
    at->s->walk.mnt = (__u64)READ(p, mnt);
    at->s->walk.dentry = (__u64)READ(p, dentry);
    at->shared = !!(READ(vma, vm_flags) & VM_SHARED);
    file_facts(inode, &at->s->container, &at->s->ev.file);
    at->found = 1;
    return 0;
}

/* The first mapping of [addr, addr + len) whose file may not become code decides. */
static __always_inline bool judge_range(struct scratch *s, __u32 slot, __u64 addr, __u64 len, __u32 flags)
{
    struct vma_at at = {.s = s};
    __u64 end = addr + len;
    bool busy = false;
    for (int i = 0; i < 8 && addr < end; i++) {
        at.found = 0;
        long r = bpf_find_vma(bpf_get_current_task_btf(), addr, vma_step, &at, 0);
        if (r) {
            busy = r == -16; /* EBUSY: another thread holds the map */
            break;
        }
        addr = at.end;
        if (!at.found || jit_memory(&s->ev.file, at.shared) || s->ev.action)
            continue;
        s->ev.file.flags |= flags;
        judge_mapping(slot);
        if (s->ev.action)
            break;
    }
    return busy;
}

/* The file of a descriptor may be another one by the time the call uses it, and a range of memory cannot be looked at
 * while another thread keeps the map locked: both are looked at again when the call returns. */
static int on_map_returns(struct bpf_map *map, void *key, struct returning *r);

static __always_inline void look_again(__u32 kind, __u64 a0, __u64 a1)
{
    struct task_struct *t = bpf_get_current_task_btf();
    if (kind == PENDING_MPROTECT || READ(t, files, count.counter) > 1)
        at_return(t, kind, a0, a1, (task_work_fn)on_map_returns);
}

/* Functions of their own, for the sake of the stack. 1: to be looked at again. */
__noinline int on_mmap(__u64 addr, __u64 len, __u64 prot_flags, __u64 fd, __u32 nr_compat)
{
    struct task_struct *t = bpf_get_current_task_btf();
    __u64 prot = (__u32)prot_flags, flags = prot_flags >> 32;
    if ((prot & PROT_READ) && (READ(t, personality) & READ_IMPLIES_EXEC))
        prot |= PROT_EXEC;
    if (!(prot & PROT_EXEC) || (flags & MAP_ANONYMOUS) || !task_entered())
        return 0;
    __u32 slot = 0;
    struct scratch *s = judge_begin(&slot, true);
    if (!s)
        return 0;
    tell_begin(slot, BH_MMAP);
    tell_call(s, nr_compat);
    s->ev.arg[0] = addr;
    s->ev.arg[1] = len;
    s->ev.arg[2] = prot;
    struct file *f = file_of_fd(t, fd);
    if (f && map_file(s, file_path(f)) && !jit_memory(&s->ev.file, flags & MAP_SHARED))
        judge_mapping(slot);
    bool told = s->ev.action;
    scratch_give(slot);
    return !told;
}

__noinline int on_mprotect(__u64 addr, __u64 len, __u64 prot, __u32 nr_compat)
{
    struct task_struct *t = bpf_get_current_task_btf();
    if ((prot & PROT_READ) && (READ(t, personality) & READ_IMPLIES_EXEC))
        prot |= PROT_EXEC;
    if (!(prot & PROT_EXEC) || !task_entered())
        return 0;
    __u32 slot = 0;
    struct scratch *s = judge_begin(&slot, true);
    if (!s)
        return 0;
    tell_begin(slot, BH_MMAP);
    tell_call(s, nr_compat);
    s->ev.arg[0] = addr;
    s->ev.arg[1] = len;
    s->ev.arg[2] = prot;
    bool busy = judge_range(s, slot, addr, len, BH_FILE_MPROTECT | (nr_compat >> 16 ? BH_FILE_COMPAT : 0));
    scratch_give(slot);
    return busy;
}

static __always_inline void map_returned(__u64 kind, __u64 a0, __u64 a1, __s64 result)
{
    __u32 slot = 0;
    if (at_failed(result))
        return;
    struct scratch *s = judge_begin(&slot, true);
    if (!s)
        return;
    tell_begin(slot, BH_MMAP);
    s->ev.syscall = kind == PENDING_MMAP ? 9 : 10;
    s->ev.arg[0] = kind == PENDING_MMAP ? (__u64)result : a0;
    s->ev.arg[1] = a1;
    s->ev.arg[2] = PROT_EXEC;
    judge_range(s, slot, s->ev.arg[0], kind == PENDING_MMAP ? 1 : a1, kind == PENDING_MMAP ? 0 : BH_FILE_MPROTECT);
    scratch_give(slot);
}

static int on_map_returns(struct bpf_map *map, void *key, struct returning *r)
{
    struct task_struct *t = bpf_get_current_task_btf();
    struct task_state *st = task_state(t);
    if (st && st->pending == r->kind) {
        st->pending = 0;
        map_returned(r->kind, r->a0, r->a1, at_result(t));
    }
    return returned();
}

/* A call that a control names: judged by the control alone. */
__noinline int judge_call(__u32 type_control, __u32 nr_compat, __u64 a0, __u64 a1, __u64 a3)
{
    __u32 slot = 0, control = type_control & 0xff;
    struct scratch *s = judge_begin(&slot, true);
    if (!s)
        return 0;
    tell_begin(slot, type_control >> 8);
    s->ev.syscall = nr_compat & 0xffff;
    if (nr_compat >> 16)
        s->ev.file.flags |= BH_FILE_COMPAT;
    s->ev.arg[0] = a0;
    s->ev.arg[1] = a1;
    s->ev.arg[3] = a3;
    if (control < BH_CONTROLS)
        consider(s, control);
    if (nr_compat >> 16)
        consider(s, BH_CONTROL_compat);
    if (judge_acts(s, BH_LEVEL_KILL))
        bpf_send_signal(SIGKILL);
    __u64 object = s->ev.syscall | (__u64)s->ev.control << 32;
    if (judge_tells(s, object, a0)) {
        tell_exe(s, slot);
        judge_send(slot, object, a0);
    }
    scratch_give(slot);
    return 0;
}
#define JUDGE(type, control, a0, a1, a3) judge_call((type) << 8 | (control), NR_COMPAT(c), a0, a1, a3)

/* again: what is not certain yet is looked at when the call returns. */
static __always_inline int on_call(__u32 op, struct call *c, bool again)
{
    struct task_struct *t = bpf_get_current_task_btf();
    switch (op) {
    case OP_MMAP:
        if (on_mmap(c->arg[0], c->arg[1], (__u32)c->arg[2] | c->arg[3] << 32, c->arg[4], NR_COMPAT(c)) && again)
            look_again(PENDING_MMAP, 0, 0);
        break;
    case OP_MPROTECT:
        if (on_mprotect(c->arg[0], c->arg[1], c->arg[2], NR_COMPAT(c)) && again)
            look_again(PENDING_MPROTECT, c->arg[0], c->arg[1]);
        break;
    case OP_EXEC:
        if (creds_stolen(t) && creds_judge(BH_LEVEL_KILL))
            bpf_send_signal(SIGKILL);
        break;
    case OP_PTRACE:
        JUDGE(BH_PTRACE, BH_CONTROL_ptrace, c->arg[0], c->arg[1], 0);
        break;
    case OP_VM_READ:
    case OP_VM_WRITE:
        JUDGE(BH_PTRACE, BH_CONTROL_ptrace, op == OP_VM_WRITE ? -1ull : -2ull, c->arg[0], 0);
        break;
    case OP_MOUNT:
        JUDGE(BH_MOUNT, BH_CONTROL_mount, c->nr == 165 && !c->compat ? c->arg[3] : 0, 0, 0);
        break;
    case OP_SETNS:
        JUDGE(BH_NAMESPACE, BH_CONTROL_namespaces, c->arg[1], 1, 0);
        break;
    case OP_UNSHARE:
        if (c->arg[0] & CLONE_NEW_ANY)
            JUDGE(BH_NAMESPACE, BH_CONTROL_namespaces, c->arg[0] & CLONE_NEW_ANY, 0, 0);
        break;
    case OP_CLONE3:
        if (!task_entered() || bpf_probe_read_user(&c->arg[0], 8, (void *)c->arg[0]))
            break;
        /* fall through */
    case OP_CLONE:
        if (c->arg[0] & CLONE_NEW_BY_CLONE)
            JUDGE(BH_NAMESPACE, BH_CONTROL_namespaces, c->arg[0] & CLONE_NEW_BY_CLONE, 0, 0);
        break;
    case OP_MODULE:
        JUDGE(BH_MODULE, BH_CONTROL_modules, 0, 0, 0);
        break;
    case OP_BPF:
        JUDGE(BH_BPF, BH_CONTROL_bpf, c->arg[0], 0, 0);
        break;
    case OP_IO_URING:
        JUDGE(BH_IO_URING, BH_CONTROL_io_uring, c->arg[0], 0, 0);
        break;
    case OP_KEYRING:
        JUDGE(BH_CALL, BH_CONTROL_keyring, c->arg[0], c->arg[1], 0);
        break;
    case OP_PERF:
        JUDGE(BH_CALL, BH_CONTROL_perf, c->arg[1], c->arg[2], 0);
        break;
    case OP_USERFAULTFD:
        JUDGE(BH_CALL, BH_CONTROL_userfaultfd, c->arg[0], 0, 0);
        break;
    case OP_HANDLE:
        JUDGE(BH_CALL, BH_CONTROL_escape, c->arg[0], 0, BH_ESCAPE_HANDLE);
        break;
    case OP_PORTS:
        JUDGE(BH_CALL, BH_CONTROL_escape, c->arg[0], c->arg[1], BH_ESCAPE_DEVICE);
        break;
    case OP_MKNOD: {
        __u64 mode = c->nr == 259 || c->nr == 297 ? c->arg[2] : c->arg[1];
        if ((mode & S_IFMT) == S_IFBLK)
            JUDGE(BH_CHANGE, BH_CONTROL_escape, BH_CHANGE_CREATE, mode, BH_ESCAPE_DEVICE);
        break;
    }
    case OP_CHMOD:
    case OP_FCHMODAT: {
        __u64 mode = op == OP_CHMOD ? c->arg[1] : c->arg[2];
        if (mode & 06000)
            JUDGE(BH_CHANGE, BH_CONTROL_setuid_files, BH_CHANGE_MODE, mode, 0);
        break;
    }
    case OP_CREDS: /* told, not judged: what was asked for, by whom. What was got, before it is used: creds.h */
        if (creds_stolen(t) && creds_judge(BH_LEVEL_KILL))
            bpf_send_signal(SIGKILL);
        JUDGE(BH_CREDENTIALS, BH_CONTROL_none, c->arg[0], c->arg[1], 0);
        break;
    default: /* any other 32-bit call */
        if (c->compat)
            JUDGE(BH_CALL, BH_CONTROL_compat, c->arg[0], c->arg[1], 0);
    }
    return 0;
}

/* From the registers: the record of a tracepoint has only as many arguments as its call takes. */
static __always_inline void call_of(struct call *c, __u32 nr)
{
    struct pt_regs *r = (void *)bpf_task_pt_regs(bpf_get_current_task_btf());
    c->arg[0] = r->di, c->arg[1] = r->si, c->arg[2] = r->dx;
    c->arg[3] = r->r10, c->arg[4] = r->r8, c->arg[5] = r->r9;
    c->nr = nr;
    c->compat = 0;
}

#define CALL(op, name, nr64, nr32)                                                                                     \
    SEC("tp/syscalls/sys_enter_" #name) int call_##name(void *ctx)                                                     \
    {                                                                                                                  \
        struct call c;                                                                                                 \
        call_of(&c, nr64);                                                                                             \
        return on_call(OP_##op, &c, true);                                                                             \
    }
#include "calls.tbl.h"
#undef CALL

/* ---- 32-bit entry, on demand: costs every call on the host ---- */

static const __u8 ops32[512] = {
    [90] = OP_OLD_MMAP,
#define CALL(op, name, nr64, nr32) [nr32] = OP_##op,
#include "calls.tbl.h"
#undef CALL
};

static __always_inline int compat(struct pt_regs *r, long id, bool again)
{
    struct task_struct *t = bpf_get_current_task_btf();
    if (!(t->thread_info.status & TS_COMPAT) || !task_entered())
        return 0;
    struct call c = {.arg = {(__u32)r->bx, (__u32)r->cx, (__u32)r->dx, (__u32)r->si, (__u32)r->di, (__u32)r->bp},
                     .nr = (__u32)id & 0xffff,
                     .compat = 1};
    __u64 at = (__u64)id < 512 ? id : 0;
    asm volatile("%0 &= 511" : "+r"(at)); /* the verifier wants to see the bound on what is used */
    __u32 op = at ? ops32[at] : OP_NONE;
    if (op == OP_OLD_MMAP) {
        __u32 *a = (void *)c.arg[0], one = 0;
        for (int i = 0; i < 6; i++) {
            if (bpf_probe_read_user(&one, sizeof(one), a + i))
                return 0;
            c.arg[i] = one;
        }
        op = OP_MMAP;
    }
    return on_call(op, &c, again);
}
SEC("tp_btf/sys_enter")
int BPF_PROG(compat_enter, struct pt_regs *r, long id)
{
    return compat(r, id, true);
}
/* Where BPF has no task work: there the stack is shorter, too. */
SEC("tp_btf/sys_enter")
int BPF_PROG(compat_plain, struct pt_regs *r, long id)
{
    return compat(r, id, false);
}

/* ---- the way out of calls, where the kernel has no task work for BPF ---- */

struct sys_exit {
    __u64 common;
    __s64 nr, ret;
};

static __always_inline int exit_map(struct sys_exit *ctx, __u32 kind)
{
    struct task_struct *t = bpf_get_current_task_btf();
    struct task_state *st = task_state(t);
    if (!st || st->pending != kind)
        return 0;
    st->pending = 0;
    struct pt_regs *regs = (void *)bpf_task_pt_regs(t);
    map_returned(kind, READ(regs, di), READ(regs, si), ctx->ret);
    return 0;
}
SEC("tp/syscalls/sys_exit_mmap")
int exit_mmap(struct sys_exit *ctx)
{
    return exit_map(ctx, PENDING_MMAP);
}
SEC("tp/syscalls/sys_exit_mprotect")
int exit_mprotect(struct sys_exit *ctx)
{
    return exit_map(ctx, PENDING_MPROTECT);
}

/* ---- opens, on demand: these tracepoints cost every open on the host ---- */
static __noinline int opened_matters(struct file *f) /* functions of their own, for the sake of the stack */
{
    struct task_state *st = task_state(bpf_get_current_task_btf());
    return st && open_matters(f, st);
}
static __noinline int opened_tell(struct file *f)
{
    told_open(f);
    return 0;
}
static __always_inline int opened(__s64 fd)
{
    struct file *f = fd >= 0 && task_entered() ? file_of_fd(bpf_get_current_task_btf(), fd) : NULL;
    if (!f)
        return 0;
    if (opened_matters(f) && judge_opened((__u64)f, BH_LEVEL_KILL))
        bpf_send_signal(SIGKILL);
    opened_tell(f);
    return 0;
}
#define OPEN_EXIT(call)                                                                                                \
    SEC("tp/syscalls/sys_exit_" #call) int open_trace_##call(struct sys_exit *ctx)                                     \
    {                                                                                                                  \
        return opened(ctx->ret);                                                                                       \
    }
OPEN_EXIT(open)
OPEN_EXIT(openat)
OPEN_EXIT(openat2)
OPEN_EXIT(creat)

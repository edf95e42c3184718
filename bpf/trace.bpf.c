/* trace: the trace tier's look at system calls. One program on the raw entry, because that one sees 32-bit entry too
 * (the tracepoints of single calls do not), and costs other calls no more than a table look-up.
 *
 * SIGKILL here means: the call may still run, its caller does not. That is prevention for what only hands something
 * to the caller (executable memory, descriptors, another namespace), not for what the call does to others; the
 * table of levels (src/runtime/doctor.c) tells which is which.
 */
#include "judge.h"
#include "open.h"

char _license[] SEC("license") = "Dual BSD/GPL";

enum op {
    OP_MMAP = 1,
    OP_OLD_MMAP,
    OP_MPROTECT,
    OP_PTRACE,
    OP_VM_WRITE,
    OP_MOUNT,
    OP_SETNS,
    OP_UNSHARE,
    OP_CLONE,
    OP_CLONE3,
    OP_MODULE,
    OP_BPF,
    OP_IO_URING,
    OP_CREDS,
};

/* op by number of the call, in the 64-bit table and in the 32-bit one; arg is the argument that says how. */
static const __u8 ops64[512] = {
    [9] = OP_MMAP,       [10] = OP_MPROTECT,
    [329] = OP_MPROTECT, [101] = OP_PTRACE,
    [311] = OP_VM_WRITE, [438] = OP_PTRACE /* pidfd_getfd */,
    [165] = OP_MOUNT,    [155] = OP_MOUNT,
    [429] = OP_MOUNT,    [428] = OP_MOUNT,
    [430] = OP_MOUNT,    [432] = OP_MOUNT,
    [442] = OP_MOUNT,    [467] = OP_MOUNT,
    [308] = OP_SETNS,    [272] = OP_UNSHARE,
    [56] = OP_CLONE,     [435] = OP_CLONE3,
    [175] = OP_MODULE,   [313] = OP_MODULE,
    [176] = OP_MODULE,   [246] = OP_MODULE /* kexec_load */,
    [320] = OP_MODULE,   [321] = OP_BPF,
    [425] = OP_IO_URING, [105] = OP_CREDS,
    [106] = OP_CREDS,    [113] = OP_CREDS,
    [114] = OP_CREDS,    [117] = OP_CREDS,
    [119] = OP_CREDS,    [126] = OP_CREDS,
};
static const __u8 ops32[512] = {
    [192] = OP_MMAP,     [90] = OP_OLD_MMAP, [125] = OP_MPROTECT, [380] = OP_MPROTECT, [26] = OP_PTRACE,
    [348] = OP_VM_WRITE, [438] = OP_PTRACE,  [21] = OP_MOUNT,     [217] = OP_MOUNT,    [429] = OP_MOUNT,
    [428] = OP_MOUNT,    [430] = OP_MOUNT,   [432] = OP_MOUNT,    [442] = OP_MOUNT,    [467] = OP_MOUNT,
    [346] = OP_SETNS,    [310] = OP_UNSHARE, [120] = OP_CLONE,    [435] = OP_CLONE3,   [128] = OP_MODULE,
    [350] = OP_MODULE,   [129] = OP_MODULE,  [283] = OP_MODULE,   [357] = OP_BPF,      [425] = OP_IO_URING,
    [213] = OP_CREDS,    [214] = OP_CREDS,   [203] = OP_CREDS,    [204] = OP_CREDS,    [208] = OP_CREDS,
    [210] = OP_CREDS,    [23] = OP_CREDS,    [46] = OP_CREDS,     [185] = OP_CREDS,
};

struct call {
    __u64 arg[6];
    __u32 nr, compat;
};

static __always_inline void call_args(struct call *c, struct pt_regs *r)
{
    if (c->compat) {
        c->arg[0] = (__u32)r->bx, c->arg[1] = (__u32)r->cx, c->arg[2] = (__u32)r->dx;
        c->arg[3] = (__u32)r->si, c->arg[4] = (__u32)r->di, c->arg[5] = (__u32)r->bp;
    } else {
        c->arg[0] = r->di, c->arg[1] = r->si, c->arg[2] = r->dx;
        c->arg[3] = r->r10, c->arg[4] = r->r8, c->arg[5] = r->r9;
    }
}

static __always_inline struct file *file_of_fd(struct task_struct *t, __u64 fd)
{
    struct fdtable *fdt = READ(t, files, fdt);
    struct file **slots = READ(fdt, fd), *f = NULL;
    if ((__u32)fd >= READ(fdt, max_fds))
        return NULL;
    bpf_probe_read_kernel(&f, sizeof(f), slots + (__u32)fd);
    return f;
}

static __always_inline void tell_call(struct scratch *s, const struct call *c)
{
    s->ev.syscall = c->nr;
    if (c->compat)
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

static __always_inline void on_mmap(struct call *c, struct task_struct *t)
{
    __u64 addr = c->arg[0], len = c->arg[1], prot = c->arg[2], flags = c->arg[3], fd = c->arg[4];
    if ((prot & PROT_READ) && (READ(t, personality) & READ_IMPLIES_EXEC))
        prot |= PROT_EXEC;
    if (!(prot & PROT_EXEC) || (flags & MAP_ANONYMOUS))
        return;
    struct task_state *st = task_state(t);
    if (!st || !(st->flags & TASK_ENTERED))
        return;
    __u32 slot = 0;
    struct scratch *s = judge_begin(&slot, true);
    if (!s)
        return;
    st->pending = 1; /* another thread may swap the descriptor under us: on_mmap_exit() looks at what was mapped */
    tell_begin(slot, BH_MMAP);
    tell_call(s, c);
    s->ev.arg[0] = addr;
    s->ev.arg[1] = len;
    s->ev.arg[2] = prot;
    struct file *f = file_of_fd(t, fd);
    if (f && map_file(s, file_path(f)) && !jit_memory(&s->ev.file, flags & MAP_SHARED))
        judge_mapping(slot);
    if (s->ev.action)
        st->pending = 0; /* told already */
    scratch_give(slot);
}

struct vma_at {
    const struct bh_container *c;
    struct bh_file file;
    __u64 mnt, dentry, end;
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
    at->mnt = (__u64)READ(p, mnt);
    at->dentry = (__u64)READ(p, dentry);
    at->shared = !!(READ(vma, vm_flags) & VM_SHARED);
    file_facts(inode, at->c, &at->file);
    at->found = 1;
    return 0;
}

/* The first mapping of [addr, addr + len) whose file may not become code decides. */
static __always_inline void judge_range(struct scratch *s, __u32 slot, __u64 addr, __u64 len, __u32 flags)
{
    struct vma_at at = {.c = &s->container};
    __u64 end = addr + len;
    for (int i = 0; i < 8 && addr < end; i++) {
        at.found = 0;
        long r = bpf_find_vma(bpf_get_current_task_btf(), addr, vma_step, &at, 0);
        if (r) {
            if (r == -16) /* EBUSY: another thread holds the map; looked at again when the call returns */
                flags |= BH_FILE_UNRESOLVED;
            break;
        }
        addr = at.end;
        if (!at.found || jit_memory(&at.file, at.shared) || s->ev.action)
            continue;
        s->ev.file = at.file;
        s->ev.file.flags |= flags;
        s->walk.mnt = at.mnt;
        s->walk.dentry = at.dentry;
        judge_mapping(slot);
        if (s->ev.action)
            break;
    }
}

static __always_inline void on_mprotect(struct call *c, struct task_struct *t)
{
    __u64 prot = c->arg[2];
    if ((prot & PROT_READ) && (READ(t, personality) & READ_IMPLIES_EXEC))
        prot |= PROT_EXEC;
    if (!(prot & PROT_EXEC))
        return;
    __u32 slot = 0;
    struct scratch *s = judge_begin(&slot, true);
    if (!s)
        return;
    tell_begin(slot, BH_MMAP);
    tell_call(s, c);
    s->ev.arg[0] = c->arg[0];
    s->ev.arg[1] = c->arg[1];
    s->ev.arg[2] = prot;
    judge_range(s, slot, c->arg[0], c->arg[1], BH_FILE_MPROTECT | (c->compat ? BH_FILE_COMPAT : 0));
    scratch_give(slot);
}

/* A call that a control names: judged by the control alone. */
static __always_inline void on_control(struct call *c, __u32 type, __u32 control, __u64 a0, __u64 a1)
{
    __u32 slot = 0;
    struct scratch *s = judge_begin(&slot, true);
    if (!s)
        return;
    tell_begin(slot, type);
    tell_call(s, c);
    s->ev.arg[0] = a0;
    s->ev.arg[1] = a1;
    consider(s, control);
    if (judge_acts(s, BH_LEVEL_KILL))
        bpf_send_signal(SIGKILL);
    if (judge_tells(s, c->nr | (__u64)control << 32, a0)) {
        tell_exe(s, slot);
        judge_send(slot, c->nr | (__u64)control << 32, a0);
    }
    scratch_give(slot);
}

SEC("tp_btf/sys_enter")
int BPF_PROG(on_sys_enter, struct pt_regs *regs, long id)
{
    __u32 nr = id & 511;
    if (!(ops64[nr] | ops32[nr]) || (__u64)id > 511)
        return 0;
    struct task_struct *t = bpf_get_current_task_btf();
    struct call c = {.nr = nr, .compat = !!(t->thread_info.status & TS_COMPAT)};
    __u32 op = c.compat ? ops32[nr] : ops64[nr];
    if (!op)
        return 0;
    call_args(&c, regs);
    if (op == OP_OLD_MMAP) {
        __u32 a[6];
        if (bpf_probe_read_user(a, sizeof(a), (void *)c.arg[0]))
            return 0;
        for (int i = 0; i < 6; i++)
            c.arg[i] = a[i];
        op = OP_MMAP;
    }
    switch (op) {
    case OP_MMAP:
        on_mmap(&c, t);
        break;
    case OP_MPROTECT:
        on_mprotect(&c, t);
        break;
    case OP_PTRACE:
    case OP_VM_WRITE:
        on_control(&c, BH_PTRACE, BH_CONTROL_ptrace, op == OP_VM_WRITE ? -1ull : c.arg[0], c.arg[1]);
        break;
    case OP_MOUNT:
        on_control(&c, BH_MOUNT, BH_CONTROL_mount, c.arg[3], 0);
        break;
    case OP_SETNS:
        on_control(&c, BH_NAMESPACE, BH_CONTROL_namespaces, c.arg[1], 1);
        break;
    case OP_UNSHARE:
        if (c.arg[0] & CLONE_NEW_ANY)
            on_control(&c, BH_NAMESPACE, BH_CONTROL_namespaces, c.arg[0] & CLONE_NEW_ANY, 0);
        break;
    case OP_CLONE3:
        if (bpf_probe_read_user(&c.arg[0], 8, (void *)c.arg[0]))
            return 0;
        /* fall through */
    case OP_CLONE:
        if (c.arg[0] & CLONE_NEW_BY_CLONE)
            on_control(&c, BH_NAMESPACE, BH_CONTROL_namespaces, c.arg[0] & CLONE_NEW_BY_CLONE, 0);
        break;
    case OP_MODULE:
        on_control(&c, BH_MODULE, BH_CONTROL_modules, 0, 0);
        break;
    case OP_BPF:
        on_control(&c, BH_BPF, BH_CONTROL_bpf, c.arg[0], 0);
        break;
    case OP_CREDS: /* told, not judged: what was asked for, by whom */
        on_control(&c, BH_CREDENTIALS, BH_CONTROL_none, c.arg[0], c.arg[1]);
        break;
    case OP_IO_URING:
        on_control(&c, BH_IO_URING, BH_CONTROL_io_uring, c.arg[0], 0);
        break;
    }
    return 0;
}

struct sys_exit {
    __u64 common;
    __s64 nr, ret;
};

SEC("tp/syscalls/sys_exit_mmap")
int on_mmap_exit(struct sys_exit *ctx)
{
    struct task_struct *t = bpf_get_current_task_btf();
    struct task_state *st = task_state(t);
    if (!st || !st->pending)
        return 0;
    st->pending = 0;
    if (ctx->ret < 0 && ctx->ret > -4096)
        return 0;
    __u32 slot = 0;
    struct scratch *s = judge_begin(&slot, true);
    if (!s)
        return 0;
    tell_begin(slot, BH_MMAP);
    s->ev.syscall = 9;
    s->ev.arg[0] = ctx->ret;
    s->ev.arg[2] = PROT_EXEC;
    judge_range(s, slot, ctx->ret, 1, 0);
    scratch_give(slot);
    return 0;
}

/* ---- files opened for writing, on request only: these tracepoints cost every open on the host ---- */
#define OPEN_EXIT(call)                                                                                                \
    SEC("tp/syscalls/sys_exit_" #call) int open_trace_##call(struct sys_exit *ctx)                                     \
    {                                                                                                                  \
        struct file *f = ctx->ret >= 0 && task_entered() ? file_of_fd(bpf_get_current_task_btf(), ctx->ret) : NULL;    \
        if (f)                                                                                                         \
            told_open(f);                                                                                              \
        return 0;                                                                                                      \
    }
OPEN_EXIT(open)
OPEN_EXIT(openat)
OPEN_EXIT(openat2)
OPEN_EXIT(creat)

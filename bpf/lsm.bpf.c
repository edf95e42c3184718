/* lsm: the lsm tier's decisions. Each hook says EPERM before anything happened. */
#include "call.h"
#include "creds.h"
#include "files.h"
#include "judge.h"

char _license[] SEC("license") = "Dual BSD/GPL";

/* ---- code ---- */

/* Runs for the script, then for its interpreter: every file of the exec is judged. What did start is told by
 * process.bpf.c; only what a control says is told here. */
SEC("lsm/bprm_check_security")
int BPF_PROG(on_bprm_check, struct linux_binprm *bprm, int ret)
{
    if (ret)
        return ret;
    __u32 slot = 0;
    struct scratch *s = judge_begin(&slot, false);
    if (!s)
        return 0;
    tell_begin(slot, BH_EXEC);
    __u8 head[5] = {};
    bpf_core_read(head, sizeof(head), &bprm->buf);
    struct path *p = file_path(bprm->file);
    file_facts(READ(p, dentry, d_inode), &s->container, &s->ev.file);
    s->walk.mnt = (__u64)READ(p, mnt);
    s->walk.dentry = (__u64)READ(p, dentry);
    if (head[0] == '#' && head[1] == '!')
        s->ev.file.flags |= BH_FILE_SCRIPT;
    if (head[0] == 0x7f && head[4] == 1)
        s->ev.file.flags |= BH_FILE_COMPAT;
    bool compat = s->ev.file.flags & BH_FILE_COMPAT;
    judge_code(slot);
    if (compat)
        consider(s, BH_CONTROL_compat);
    if (!(s->ev.file.flags & BH_FILE_SCRIPT))
        judge_lists(slot);
    int r = judge_acts(s, BH_LEVEL_BLOCK) ? -EPERM : 0;
    __u64 object = s->ev.file.ino, object2 = s->ev.file.flags;
    if (s->ev.action && judge_tells(s, object, object2)) {
        struct bh_span exe;
        if (tell_file_path(s, slot, p, BH_PATH, &exe))
            s->ev.truncated |= BH_TRUNCATED_EXE;
        s->ev.exe = exe;
        tell_call_args(slot);
        tell_filename(s, READ(bprm, filename));
        judge_send(slot, object, object2);
    }
    scratch_give(slot);
    return r;
}

SEC("lsm/bprm_check_security")
int BPF_PROG(on_bprm_stolen, struct linux_binprm *bprm, int ret)
{
    if (!ret && creds_stolen(bpf_get_current_task_btf()) && creds_judge(BH_LEVEL_BLOCK))
        return -EPERM;
    return ret;
}

SEC("lsm/bprm_creds_from_file")
int BPF_PROG(on_bprm_creds, struct linux_binprm *bprm, struct file *file, int ret)
{
    if (ret)
        return ret;
    const struct cred *old = READ(bpf_get_current_task_btf(), cred), *new = READ(bprm, cred);
    __u32 uid = READ(old, euid.val), euid = READ(new, euid.val);
    __u64 had = cap_bits((void *)old + bpf_core_field_offset(struct cred, cap_permitted));
    __u64 gets = cap_bits((void *)new + bpf_core_field_offset(struct cred, cap_permitted));
    if (uid == euid && !(gets & ~had))
        return 0;
    __u32 slot = 0;
    struct scratch *s = judge_begin(&slot, true);
    if (!s)
        return 0;
    tell_begin(slot, BH_EXEC);
    int r = 0;
    struct user_namespace *ns = READ(old, user_ns);
    if (ns_id(ns, uid) != 0 && (ns_id(ns, euid) == 0 || (gets & ~had)))
        consider(s, BH_CONTROL_escalation);
    if (judge_acts(s, BH_LEVEL_BLOCK))
        r = -EPERM;
    if (s->ev.action) {
        struct path *p = file_path(file);
        file_facts(READ(p, dentry, d_inode), &s->container, &s->ev.file);
        s->ev.old_caps = had;
        s->ev.old_euid = uid;
        s->ev.caps = gets;
        if (judge_tells(s, s->ev.file.ino, euid)) {
            __u64 object = s->ev.file.ino;
            struct bh_span exe;
            tell_file_path(s, slot, p, BH_PATH, &exe);
            s->ev.exe = exe;
            tell_call_args(slot);
            judge_send(slot, object, euid);
        }
    }
    scratch_give(slot);
    return r;
}

/* A file becomes executable memory. walk and file are set. */
__noinline int judge_memory(__u32 slot)
{
    struct scratch *s = scratch_at(slot);
    if (!s)
        return 0;
    __u32 keep = s->ev.file.flags;
    judge_code(slot);
    s->ev.file.flags |= keep;
    if (!s->ev.action)
        return 0;
    int r = judge_acts(s, BH_LEVEL_BLOCK) ? -EPERM : 0;
    __u64 object = s->ev.file.ino, object2 = s->ev.file.flags;
    if (judge_tells(s, object, object2)) {
        path_walk(slot);
        tell_walked(s, slot);
        tell_exe(s, slot);
        judge_send(slot, object, object2);
    }
    return r;
}

static __always_inline int judge_file(struct file *f, __u32 flags, bool shared, __u64 addr, __u64 prot)
{
    struct path *p = file_path(f);
    struct inode *inode = READ(p, dentry, d_inode);
    if ((READ(inode, i_mode) & S_IFMT) != S_IFREG)
        return 0;
    __u32 slot = 0;
    struct scratch *s = judge_begin(&slot, true);
    if (!s)
        return 0;
    tell_begin(slot, BH_MMAP);
    s->ev.arg[0] = addr;
    s->ev.arg[2] = prot;
    file_facts(inode, &s->container, &s->ev.file);
    int r = 0;
    if (!(shared && (s->ev.file.flags & BH_FILE_MEMFD))) { /* a JIT's own memory */
        s->ev.file.flags |= flags;
        s->walk.mnt = (__u64)READ(p, mnt);
        s->walk.dentry = (__u64)READ(p, dentry);
        r = judge_memory(slot);
    }
    scratch_give(slot);
    return r ? -EPERM : 0;
}

SEC("lsm/mmap_file")
int BPF_PROG(on_mmap_file, struct file *file, unsigned long reqprot, unsigned long prot, unsigned long flags, int ret)
{
    if (ret || !(prot & PROT_EXEC) || !file)
        return ret;
    struct task_struct *t = bpf_get_current_task_btf();
    if (BPF_CORE_READ_BITFIELD_PROBED(t, in_execve) && READ(t, mm, exe_file, f_inode) == READ(file, f_inode))
        return 0; /* the program itself: judged by on_bprm_check; its loader was not */
    return judge_file(file, 0, flags & MAP_SHARED, 0, prot);
}

SEC("lsm/file_mprotect")
int BPF_PROG(on_file_mprotect, struct vm_area_struct *vma, unsigned long reqprot, unsigned long prot, int ret)
{
    if (ret || !(prot & PROT_EXEC))
        return ret;
    struct file *f = READ(vma, vm_file);
    unsigned long flags = READ(vma, vm_flags);
    if (!f || (flags & VM_EXEC))
        return 0;
    return judge_file(f, BH_FILE_MPROTECT, flags & VM_SHARED, READ(vma, vm_start), prot);
}

/* ---- privilege: judged by the control alone ---- */

#define BH_QUIET 0xffff /* as type: acts and tells nothing */
__noinline int judge_control(__u32 type, __u32 control, __u64 a0, __u64 a1, __u64 a3)
{
    bool quiet = type == BH_QUIET;
    __u32 slot = 0;
    struct scratch *s = judge_begin(&slot, true);
    if (!s)
        return 0;
    tell_begin(slot, quiet ? BH_CALL : type);
    s->ev.arg[0] = a0;
    s->ev.arg[1] = a1;
    s->ev.arg[3] = a3;
    if (control < BH_CONTROLS)
        consider(s, control);
    int r = judge_acts(s, BH_LEVEL_BLOCK) ? -EPERM : 0;
    if (quiet) {
        scratch_give(slot);
        return r;
    }
    if (judge_tells(s, (__u64)control << 32, a0)) {
        tell_exe(s, slot);
        judge_send(slot, (__u64)control << 32, a0);
    }
    scratch_give(slot);
    return r;
}
#define DENY(type, control, a0, a1) (judge_control(type, control, a0, a1, 0) ? -EPERM : 0)

#define PTRACE_MODE_ATTACH 2 /* also /proc/PID/mem, process_vm_writev, pidfd_getfd */
SEC("lsm/ptrace_access_check")
int BPF_PROG(on_ptrace, struct task_struct *child, unsigned int mode, int ret)
{
    __u64 cgroup;
    if (ret || !task_entered())
        return ret;
    if (mode & PTRACE_MODE_ATTACH)
        ret = DENY(BH_PTRACE, BH_CONTROL_ptrace, mode, READ(child, tgid));
    if (!ret && !ident_of_task(child, &cgroup) &&
        !task_state(child)) /* a process of the host: its root, cwd, memory, files */
        ret = judge_control(BH_PTRACE, BH_CONTROL_escape, mode, READ(child, tgid), BH_ESCAPE_HOST) ? -EPERM : 0;
    return ret;
}

SEC("lsm/ptrace_traceme")
int BPF_PROG(on_traceme, struct task_struct *parent, int ret)
{
    return ret ? ret : DENY(BH_PTRACE, BH_CONTROL_ptrace, 0, READ(parent, tgid));
}

SEC("lsm/sb_mount")
int BPF_PROG(on_mount, const char *dev, struct path *path, const char *type, unsigned long flags, void *data, int ret)
{
    return ret ? ret : DENY(BH_MOUNT, BH_CONTROL_mount, flags, 0);
}

SEC("lsm/move_mount")
int BPF_PROG(on_move_mount, struct path *from, struct path *to, int ret)
{
    return ret ? ret : DENY(BH_MOUNT, BH_CONTROL_mount, 0, 1);
}

SEC("lsm/sb_pivotroot")
int BPF_PROG(on_pivot_root, struct path *from, struct path *to, int ret)
{
    return ret ? ret : DENY(BH_MOUNT, BH_CONTROL_mount, 0, 2);
}

SEC("lsm/sb_umount")
int BPF_PROG(on_umount, struct vfsmount *mnt, int flags, int ret)
{
    return ret ? ret : DENY(BH_MOUNT, BH_CONTROL_mount, flags, 3);
}

SEC("lsm/userns_create")
int BPF_PROG(on_userns_create, const struct cred *cred, int ret)
{
    return ret ? ret : DENY(BH_NAMESPACE, BH_CONTROL_namespaces, 0x10000000, 0);
}

SEC("lsm/task_alloc")
int BPF_PROG(on_task_alloc, struct task_struct *task, unsigned long flags, int ret)
{
    if (ret || !(flags & CLONE_NEW_BY_CLONE))
        return ret;
    return DENY(BH_NAMESPACE, BH_CONTROL_namespaces, flags & CLONE_NEW_BY_CLONE, 0);
}

/* unshare, setns and open_by_handle_at have no hook of their own, but ask for a capability first. A capability that
 * the policy does not name is refused to whoever asks for it; quietly where the kernel only wonders. */
#define CAP_OPT_NOAUDIT 2
static __always_inline int capability_used(const struct task_state *st, int cap, unsigned int opts)
{
    if (!(st->policy & BH_POLICY_CAPS) || (st->allowed >> (cap & 63) & 1))
        return 0;
    if (opts & CAP_OPT_NOAUDIT)
        return judge_control(BH_QUIET, BH_CONTROL_capabilities, cap, 0, 0) ? -EPERM : 0;
    return DENY(BH_CALL, BH_CONTROL_capabilities, cap, 0);
}

SEC("lsm/capable")
int BPF_PROG(on_capable, const struct cred *cred, struct user_namespace *ns, int cap, unsigned int opts, int ret)
{
    struct task_struct *t = bpf_get_current_task_btf();
    struct task_state *st = task_state(t);
    if (ret || !st || !(st->flags & TASK_ENTERED))
        return ret;
    policy_flags(st);
    if ((ret = capability_used(st, cap, opts)))
        return ret;
    if (cap != CAP_SYS_ADMIN && cap != CAP_DAC_READ_SEARCH)
        return 0;
    struct pt_regs *regs = (void *)bpf_task_pt_regs(t);
    __u64 nr = READ(regs, orig_ax);
    bool compat = in_compat(t);
    if (cap == CAP_DAC_READ_SEARCH) {
        if (nr != (compat ? 342 : 304))
            return 0;
        return judge_control(BH_CALL, BH_CONTROL_escape, nr, 0, BH_ESCAPE_HANDLE) ? -EPERM : 0;
    }
    if (nr == (compat ? 310 : 272))
        return DENY(BH_NAMESPACE, BH_CONTROL_namespaces, (compat ? READ(regs, bx) : READ(regs, di)) & CLONE_NEW_ANY, 0);
    if (nr == (compat ? 346 : 308))
        return DENY(BH_NAMESPACE, BH_CONTROL_namespaces, compat ? READ(regs, cx) : READ(regs, si), 1);
    return 0;
}

SEC("lsm/unix_stream_connect")
int BPF_PROG(on_unix_connect, struct sock *sock, struct sock *other, struct sock *newsk, int ret)
{
    if (ret || !task_entered() || !engine_socket(other))
        return ret;
    return judge_control(BH_CONNECT, BH_CONTROL_escape, 0, 0, BH_ESCAPE_ENGINE) ? -EPERM : 0;
}

/* ---- calls with a control of their own ---- */

static __always_inline bool in_keyring_call(void)
{
    struct task_struct *t = bpf_get_current_task_btf();
    struct pt_regs *regs = (void *)bpf_task_pt_regs(t);
    __u64 nr = READ(regs, orig_ax);
    return in_compat(t) ? nr >= 286 && nr <= 288 : nr >= 248 && nr <= 250;
}

SEC("lsm/key_alloc")
int BPF_PROG(on_key_alloc, void *key, const struct cred *cred, unsigned long flags, int ret)
{
    return ret || !task_entered() || !in_keyring_call() ? ret : DENY(BH_CALL, BH_CONTROL_keyring, 0, 0);
}

SEC("lsm/key_permission")
int BPF_PROG(on_key, void *key, const struct cred *cred, unsigned int need, int ret)
{
    return ret || !task_entered() || !in_keyring_call() ? ret : DENY(BH_CALL, BH_CONTROL_keyring, 1, 0);
}

SEC("lsm/perf_event_open")
int on_perf(void *ctx) /* its arguments changed in 6.11; nobody asks us after a refusal */
{
    return DENY(BH_CALL, BH_CONTROL_perf, 0, 0);
}

#define READING_MODULE 2
SEC("lsm/kernel_read_file")
int BPF_PROG(on_kernel_read_file, struct file *file, int id, bool contents, int ret)
{
    return ret || id != READING_MODULE ? ret : DENY(BH_MODULE, BH_CONTROL_modules, 0, 0);
}

SEC("lsm/kernel_load_data")
int BPF_PROG(on_kernel_load_data, int id, bool contents, int ret)
{
    return ret || id != READING_MODULE ? ret : DENY(BH_MODULE, BH_CONTROL_modules, 0, 0);
}

SEC("lsm/bpf")
int BPF_PROG(on_bpf, int cmd, union bpf_attr *attr, unsigned int size, int ret)
{
    return ret ? ret : DENY(BH_BPF, BH_CONTROL_bpf, cmd, 0);
}

/* io_uring_setup has no hook before 6.15; the file of the ring has. */
SEC("lsm/inode_init_security_anon")
int BPF_PROG(on_anon_inode, struct inode *inode, const struct qstr *name, const struct inode *context, int ret)
{
    char n[12] = {};
    if (ret)
        return ret;
    bpf_probe_read_kernel_str(n, sizeof(n), READ(name, name));
    if (n[0] == '[' && n[1] == 'i' && n[2] == 'o' && n[3] == '_' && n[4] == 'u')
        return DENY(BH_IO_URING, BH_CONTROL_io_uring, 0, 0);
    if (n[0] == '[' && n[1] == 'u' && n[2] == 's' && n[3] == 'e' && n[4] == 'r' && n[5] == 'f')
        return DENY(BH_CALL, BH_CONTROL_userfaultfd, 0, 0);
    return 0;
}

SEC("lsm/task_fix_setuid")
int BPF_PROG(on_setuid, struct cred *new, const struct cred *old, int flags, int ret)
{
    if (ret || !task_entered())
        return ret;
    __u32 slot = 0;
    struct scratch *s = judge_begin(&slot, true);
    if (!s)
        return 0;
    tell_begin(slot, BH_CREDENTIALS);
    s->ev.old_uid = s->ev.uid;
    s->ev.old_euid = s->ev.euid;
    s->ev.uid = READ(new, uid.val);
    s->ev.euid = READ(new, euid.val);
    judge_acts(s, BH_LEVEL_BLOCK);
    if (judge_tells(s, (__u64)s->ev.old_euid << 32 | s->ev.euid, s->ev.uid)) {
        __u64 object = (__u64)s->ev.old_euid << 32 | s->ev.euid, object2 = s->ev.uid;
        tell_exe(s, slot);
        judge_send(slot, object, object2);
    }
    scratch_give(slot);
    return 0;
}

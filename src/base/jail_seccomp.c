#include "base/cleanup.h"
#include "base/jail_child.h"

#include <fcntl.h>
#include <sched.h>
#include <seccomp.h>
#include <sys/mman.h>

/* What computing needs. Nothing here reaches beyond the process and its descriptors. */
static const int allowed[] = {
    SCMP_SYS(read),
    SCMP_SYS(write),
    SCMP_SYS(readv),
    SCMP_SYS(writev),
    SCMP_SYS(pread64),
    SCMP_SYS(pwrite64),
    SCMP_SYS(lseek),
    SCMP_SYS(close),
    SCMP_SYS(fstat),
    SCMP_SYS(poll),
    SCMP_SYS(ppoll),
    SCMP_SYS(ftruncate),
    SCMP_SYS(fadvise64),
    SCMP_SYS(brk),
    SCMP_SYS(munmap),
    SCMP_SYS(mremap),
    SCMP_SYS(madvise),
    SCMP_SYS(futex),
    SCMP_SYS(rt_sigaction),
    SCMP_SYS(rt_sigprocmask),
    SCMP_SYS(rt_sigreturn),
    SCMP_SYS(sigaltstack),
    SCMP_SYS(restart_syscall),
    SCMP_SYS(exit),
    SCMP_SYS(exit_group),
    SCMP_SYS(getpid),
    SCMP_SYS(gettid),
    SCMP_SYS(getuid),
    SCMP_SYS(geteuid),
    SCMP_SYS(getgid),
    SCMP_SYS(getegid),
    SCMP_SYS(getrandom),
    SCMP_SYS(clock_gettime),
    SCMP_SYS(clock_getres),
    SCMP_SYS(gettimeofday),
    SCMP_SYS(time),
    SCMP_SYS(nanosleep),
    SCMP_SYS(clock_nanosleep),
    SCMP_SYS(sched_yield),
    SCMP_SYS(sched_getaffinity),
    SCMP_SYS(getrusage),
    SCMP_SYS(uname),
    SCMP_SYS(sysinfo),
    SCMP_SYS(set_robust_list),
    SCMP_SYS(rseq),
    SCMP_SYS(getcpu),
};

/* Reading below the given directory. */
static const int allowed_tree[] = {
    SCMP_SYS(getdents64), SCMP_SYS(newfstatat), SCMP_SYS(statx), SCMP_SYS(readlinkat), SCMP_SYS(fstatfs),
};

/* No parser ever has a reason for these: being asked for one means that somebody took over. */
static const int deadly[] = {
    SCMP_SYS(execve),
    SCMP_SYS(execveat),
    SCMP_SYS(socket),
    SCMP_SYS(socketpair),
    SCMP_SYS(connect),
    SCMP_SYS(bind),
    SCMP_SYS(sendto),
    SCMP_SYS(sendmsg),
    SCMP_SYS(ptrace),
    SCMP_SYS(process_vm_readv),
    SCMP_SYS(process_vm_writev),
    SCMP_SYS(bpf),
    SCMP_SYS(perf_event_open),
    SCMP_SYS(io_uring_setup),
    SCMP_SYS(userfaultfd),
    SCMP_SYS(mount),
    SCMP_SYS(umount2),
    SCMP_SYS(pivot_root),
    SCMP_SYS(unshare),
    SCMP_SYS(setns),
    SCMP_SYS(keyctl),
    SCMP_SYS(add_key),
    SCMP_SYS(request_key),
    SCMP_SYS(init_module),
    SCMP_SYS(finit_module),
    SCMP_SYS(delete_module),
    SCMP_SYS(kexec_load),
    SCMP_SYS(open_by_handle_at),
    SCMP_SYS(memfd_create),
    SCMP_SYS(pidfd_open),
    SCMP_SYS(pidfd_getfd),
    SCMP_SYS(fork),
    SCMP_SYS(vfork),
};

static void release(scmp_filter_ctx *c)
{
    if (*c)
        seccomp_release(*c);
}

static int add_all(scmp_filter_ctx c, uint32_t action, const int *calls, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        int r = seccomp_rule_add(c, action, calls[i], 0);
        if (r < 0)
            return r;
    }
    return 0;
}

static int add_memory(scmp_filter_ctx c)
{
    struct scmp_arg_cmp no_exec = SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0);
    int r = seccomp_rule_add(c, SCMP_ACT_ALLOW, SCMP_SYS(mmap), 1, no_exec);
    return r < 0 ? r : seccomp_rule_add(c, SCMP_ACT_ALLOW, SCMP_SYS(mprotect), 1, no_exec);
}

/* abort() and raise() of the process itself, whose ids it keeps (no fork). */
static int add_abort(scmp_filter_ctx c)
{
    return seccomp_rule_add(c, SCMP_ACT_ALLOW, SCMP_SYS(tgkill), 1, SCMP_A0(SCMP_CMP_EQ, (scmp_datum_t)getpid()));
}

static int add_fcntl(scmp_filter_ctx c)
{
    static const int commands[] = {F_GETFL, F_GETFD, F_SETFD};
    for (size_t i = 0; i < ARRAY_LEN(commands); i++) {
        int r =
            seccomp_rule_add(c, SCMP_ACT_ALLOW, SCMP_SYS(fcntl), 1, SCMP_A1(SCMP_CMP_EQ, (scmp_datum_t)commands[i]));
        if (r < 0)
            return r;
    }
    return 0;
}

static int add_tree(scmp_filter_ctx c)
{
    const scmp_datum_t writing = O_ACCMODE | O_CREAT | O_TRUNC | O_APPEND | (O_TMPFILE & ~O_DIRECTORY);
    int r = add_all(c, SCMP_ACT_ALLOW, allowed_tree, ARRAY_LEN(allowed_tree));
    return r < 0 ? r
                 : seccomp_rule_add(c, SCMP_ACT_ALLOW, SCMP_SYS(openat), 1,
                                    SCMP_A2(SCMP_CMP_MASKED_EQ, writing, O_RDONLY));
}

/* clone() as pthread_create calls it: a thread, never a process or a namespace. clone3 hides its flags in memory, so it
 * is "not there" and glibc falls back to clone. */
static int add_threads(scmp_filter_ctx c)
{
    const scmp_datum_t looked_at = CLONE_THREAD | CLONE_VM | CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWPID |
                                   CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWCGROUP;
    int r = seccomp_rule_add(c, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0);
    return r < 0 ? r
                 : seccomp_rule_add(c, SCMP_ACT_ALLOW, SCMP_SYS(clone), 1,
                                    SCMP_A0(SCMP_CMP_MASKED_EQ, looked_at, CLONE_THREAD | CLONE_VM));
}

int jail_seccomp(const struct jail_opts *o, struct err *e)
{
    /* everything else answers EPERM: libraries probe, and survive it */
    _cleanup_(release) scmp_filter_ctx c = seccomp_init(SCMP_ACT_ERRNO(EPERM));
    if (!c)
        return err_set(e, ENOTSUP, "%s: seccomp: no filter", o->name);
    int r = seccomp_attr_set(c, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS);
    if (r >= 0)
        r = seccomp_attr_set(c, SCMP_FLTATR_CTL_OPTIMIZE, 2);
    if (r >= 0)
        r = add_all(c, SCMP_ACT_ALLOW, allowed, ARRAY_LEN(allowed));
    if (r >= 0)
        r = add_all(c, SCMP_ACT_KILL_PROCESS, deadly, ARRAY_LEN(deadly));
    if (r >= 0)
        r = add_memory(c);
    if (r >= 0)
        r = add_abort(c);
    if (r >= 0)
        r = add_fcntl(c);
    if (r >= 0 && o->tree)
        r = add_tree(c);
    else if (r >= 0) /* fstat() of glibc is newfstatat(fd, "", AT_EMPTY_PATH) */
        r = seccomp_rule_add(c, SCMP_ACT_ALLOW, SCMP_SYS(newfstatat), 1, SCMP_A3(SCMP_CMP_EQ, AT_EMPTY_PATH));
    if (r >= 0 && (o->flags & JAIL_THREADS))
        r = add_threads(c);
    if (r >= 0)
        r = seccomp_load(c);
    if (r < 0)
        return err_set(e, ENOTSUP,
                       "%s: this host has no usable seccomp (%s), and without it hostile bytes are not read", o->name,
                       strerror(-r));
    return 0;
}

#include "runtime/calls.h"

#include "base/cleanup.h"
#include "runtime/pin.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <seccomp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool calls_any(const struct calls *c)
{
    uint64_t all = 0;
    for (size_t i = 0; i < ARRAY_LEN(c->bits); i++)
        all |= c->bits[i];
    return all != 0;
}

bool calls_merge(struct calls *into, const struct calls *more)
{
    uint64_t fresh = 0;
    for (size_t i = 0; i < ARRAY_LEN(into->bits); i++) {
        fresh |= more->bits[i] & ~into->bits[i];
        into->bits[i] |= more->bits[i];
    }
    return fresh != 0;
}

const char *call_name(unsigned number, char out[static CALL_NAME])
{
    char *name = seccomp_syscall_resolve_num_arch(SCMP_ARCH_NATIVE, (int)number);
    if (name)
        snprintf(out, CALL_NAME, "%s", name);
    else
        snprintf(out, CALL_NAME, "#%u", number);
    free(name);
    return out;
}

int call_number(struct str name)
{
    char text[CALL_NAME];
    uint64_t number;
    if (name.n && name.p[0] == '#')
        return str_u64(str_sub(name, 1, name.n), &number) == 0 && number < BH_CALLS ? (int)number : -ENOENT;
    if (!name.n || name.n >= sizeof(text))
        return -ENOENT;
    memcpy(text, name.p, name.n);
    text[name.n] = '\0';
    int nr = seccomp_syscall_resolve_name_arch(SCMP_ARCH_NATIVE, text);
    return nr >= 0 && nr < (int)BH_CALLS ? nr : -ENOENT;
}

void calls_add_basic(struct calls *c)
{
    static const char *const names[] = {
        "access",
        "alarm",
        "arch_prctl",
        "brk",
        "capget",
        "capset",
        "chdir",
        "clock_getres",
        "clock_gettime",
        "clock_nanosleep",
        "clone",
        "close",
        "close_range",
        "dup",
        "dup2",
        "dup3",
        "epoll_create",
        "epoll_create1",
        "epoll_ctl",
        "epoll_pwait",
        "epoll_pwait2",
        "epoll_wait",
        "eventfd2",
        "execve",
        "exit",
        "exit_group",
        "faccessat",
        "faccessat2",
        "fchdir",
        "fchown",
        "fcntl",
        "fstat",
        "fstatfs",
        "futex",
        "getcpu",
        "getcwd",
        "getdents",
        "getdents64",
        "getegid",
        "geteuid",
        "getgid",
        "getgroups",
        "getitimer",
        "getpgid",
        "getpgrp",
        "getpid",
        "getppid",
        "getpriority",
        "getrandom",
        "getresgid",
        "getresuid",
        "getrlimit",
        "getrusage",
        "getsid",
        "gettid",
        "gettimeofday",
        "getuid",
        "lseek",
        "lstat",
        "madvise",
        "membarrier",
        "mmap",
        "mprotect",
        "mremap",
        "munmap",
        "nanosleep",
        "newfstatat",
        "open",
        "openat",
        "openat2",
        "pause",
        "pipe",
        "pipe2",
        "poll",
        "ppoll",
        "prctl",
        "pread64",
        "preadv",
        "prlimit64",
        "pselect6",
        "pwrite64",
        "pwritev",
        "read",
        "readlink",
        "readlinkat",
        "readv",
        "restart_syscall",
        "rseq",
        "rt_sigaction",
        "rt_sigpending",
        "rt_sigprocmask",
        "rt_sigreturn",
        "rt_sigsuspend",
        "rt_sigtimedwait",
        "sched_getaffinity",
        "sched_getparam",
        "sched_getscheduler",
        "sched_yield",
        "select",
        "set_robust_list",
        "set_tid_address",
        "setgid",
        "setgroups",
        "setitimer",
        "setuid",
        "sigaltstack",
        "stat",
        "statfs",
        "statx",
        "sysinfo",
        "tgkill",
        "time",
        "times",
        "umask",
        "uname",
        "vfork",
        "wait4",
        "waitid",
        "write",
        "writev",
    };
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        int nr = call_number(str_c(names[i]));
        if (nr >= 0)
            calls_add(c, (unsigned)nr);
    }
}

/* ---- the kernel's side ---- */

static int table(const char *bpf_dir, struct str id, int *fd, struct err *e)
{
    if (id.n != BH_ID)
        return err_set(e, EINVAL, "not a container id: '" STR_FMT "'", STR_ARG(id));
    return pin_map(bpf_dir, "learned_calls", BH_ID, sizeof(struct bh_calls), fd, e);
}

int calls_watch(const char *bpf_dir, struct str id, struct err *e)
{
    static const struct bh_calls none;
    _cleanup_close_ int fd = -1;
    int r = table(bpf_dir, id, &fd, e);
    if (r < 0)
        return r;
    if (bpf_map_update_elem(fd, id.p, &none, BPF_NOEXIST) < 0 && errno != EEXIST)
        return err_errno(e, "map learned_calls");
    return 0;
}

int calls_seen(const char *bpf_dir, struct str id, struct calls *ret, struct err *e)
{
    struct bh_calls seen;
    _cleanup_close_ int fd = -1;
    int r = table(bpf_dir, id, &fd, e);
    if (r < 0)
        return r;
    if (bpf_map_lookup_elem(fd, id.p, &seen) < 0)
        return err_errno(e, "the calls of this container are not noted");
    memcpy(ret->bits, seen.seen, sizeof(ret->bits));
    return 0;
}

void calls_forget(const char *bpf_dir, struct str id)
{
    _cleanup_close_ int fd = -1;
    if (table(bpf_dir, id, &fd, NULL) == 0)
        bpf_map_delete_elem(fd, id.p);
}

#include "runtime/try.h"

#include "base/cleanup.h"
#include "format/event.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <linux/io_uring.h>
#include <linux/keyctl.h>
#include <linux/perf_event.h>
#include <linux/userfaultfd.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#define NOBODY 65534
#define OTHER  65533

/* A try answers 0 when it worked, a negative errno when it was refused, SKIP with the reason in *why. */
#define SKIP 1

static int result(long r)
{
    return r < 0 ? -errno : 0;
}

static int copy(const char *from, const char *to, int fd)
{
    char block[65536];
    _cleanup_close_ int in = open(from, O_RDONLY | O_CLOEXEC);
    _cleanup_close_ int made = fd >= 0 ? -1 : open(to, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0755);
    int out = fd >= 0 ? fd : made;
    if (in < 0 || out < 0)
        return -errno;
    for (ssize_t n; (n = read(in, block, sizeof(block))) != 0;)
        if (n < 0 || write(out, block, (size_t)n) != n)
            return -EIO;
    return 0;
}

static int run(const char *program)
{
    char *argv[] = {(char *)program, NULL}, *envp[] = {NULL};
    return result(execve(program, argv, envp));
}

static int try_drift(const char **why)
{
    return copy("/stranger", "/dropped", -1) < 0 ? (*why = "cannot write a file", SKIP) : run("/dropped");
}

static int try_fileless(const char **why)
{
    int fd = memfd_create("try", 0);
    char *argv[] = {(char *)"try", NULL}, *envp[] = {NULL};
    if (fd < 0 || copy("/stranger", NULL, fd) < 0)
        return *why = "no memfd", SKIP;
    return result(syscall(SYS_execveat, fd, "", argv, envp, AT_EMPTY_PATH));
}

static int try_scripts(const char **why)
{
    int fd = open("/script", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0755);
    static const char text[] = "#!/bin/sh\n";
    if (fd < 0 || write(fd, text, sizeof(text) - 1) < 0 || close(fd) < 0)
        return *why = "cannot write a script", SKIP;
    return run("/script");
}

static int try_process_allow(const char **why)
{
    return run("/stranger");
}

static int try_process_deny(const char **why)
{
    return run("/denied");
}

/* The policy has root and nobody. */
static int try_process_users(const char **why)
{
    if (setgid(OTHER) < 0 || setuid(OTHER) < 0)
        return *why = "cannot become another user", SKIP;
    return run("/try");
}

static int try_escalation(const char **why)
{
    if (setgid(NOBODY) < 0 || setuid(NOBODY) < 0)
        return *why = "cannot become another user", SKIP;
    return run("/suid");
}

static int try_namespaces(const char **why)
{
    return result(unshare(CLONE_NEWUTS));
}

static int try_ptrace(const char **why)
{
    return result(ptrace(PTRACE_SEIZE, getppid(), 0, 0)); /* ends with us */
}

static int try_mount(const char **why)
{
    mkdir("/mounted", 0755);
    return result(mount("try", "/mounted", "tmpfs", 0, NULL));
}

static int try_modules(const char **why)
{
    int fd = open("/denied", O_RDONLY | O_CLOEXEC); /* no module: the kernel would say ENOEXEC */
    int r = result(syscall(SYS_finit_module, fd, "", 0));
    return r == -ENOSYS ? (*why = "this kernel has no modules", SKIP) : r;
}

static int try_bpf(const char **why)
{
    union bpf_attr attr = {.map_type = BPF_MAP_TYPE_ARRAY, .key_size = 4, .value_size = 4, .max_entries = 1};
    return result(syscall(SYS_bpf, BPF_MAP_CREATE, &attr, sizeof(attr)));
}

static int try_io_uring(const char **why)
{
    struct io_uring_params p = {0};
    int r = result(syscall(SYS_io_uring_setup, 1, &p));
    return r == -ENOSYS ? (*why = "this kernel has no io_uring", SKIP) : r;
}

static int try_capabilities(const char **why)
{
    return result(chroot("/"));
}

static int try_setuid_files(const char **why)
{
    int fd = open("/planted", O_WRONLY | O_CREAT | O_CLOEXEC, 0755);
    return fd < 0 ? (*why = "cannot write a file", SKIP) : result(fchmod(fd, 04755));
}

static int try_keyring(const char **why)
{
    int r = result(syscall(SYS_keyctl, KEYCTL_GET_KEYRING_ID, KEY_SPEC_PROCESS_KEYRING, 1));
    return r == -ENOSYS ? (*why = "this kernel has no keyrings", SKIP) : r;
}

static int try_perf(const char **why)
{
    struct perf_event_attr a = {
        .type = PERF_TYPE_SOFTWARE, .size = sizeof(a), .config = PERF_COUNT_SW_CPU_CLOCK, .exclude_kernel = 1};
    int r = result(syscall(SYS_perf_event_open, &a, 0, -1, -1, 0));
    return r == -ENOSYS ? (*why = "this kernel has no performance counters", SKIP) : r;
}

static int try_userfaultfd(const char **why)
{
    int r = result(syscall(SYS_userfaultfd, UFFD_USER_MODE_ONLY));
    return r == -ENOSYS ? (*why = "this kernel has no userfaultfd", SKIP) : r;
}

static int try_compat(const char **why)
{
    int r = run("/try32");
    return r == -ENOEXEC ? (*why = "this kernel has no 32-bit entry", SKIP) : r;
}

static int try_escape(const char **why)
{
    return result(mknod("/try-disk", S_IFBLK | 0600, makedev(7, 0)));
}

static int try_files(const char **why)
{
    return result(open("/protected", O_WRONLY | O_CLOEXEC));
}

static const struct {
    enum event_control control;
    int (*try)(const char **why);
} tries[] = {
#define CONTROL_ROW(c, ...) {CONTROL_##c, try_##c},
#define CONTROL_ATTACHED(c, ...)
#include "runtime/control.tbl.h"
};

static void tell(size_t i, int status, const char *why)
{
    printf("%s\t", event_control_name(tries[i].control));
    if (why)
        printf("skipped %s\n", why);
    else if (WIFSIGNALED(status))
        printf(WTERMSIG(status) == SIGKILL ? "killed\n" : "skipped it ended by signal %d\n", WTERMSIG(status));
    else if (WEXITSTATUS(status))
        printf("refused %d\n", WEXITSTATUS(status));
    else
        printf("ran\n");
    fflush(stdout);
}

/* One deed in a child: a refusal is its exit status, the reason of a skip comes through the pipe. */
static void try_one(size_t i)
{
    int pipes[2], status = 0;
    char text[128];
    if (pipe2(pipes, O_CLOEXEC) < 0)
        return tell(i, 0, "no pipe");
    pid_t pid = fork();
    if (pid == 0) {
        const char *why = NULL;
        int r = tries[i].try(&why);
        if (r == SKIP && write(pipes[1], why, strlen(why)) < 0)
            _exit(0);
        _exit(r < 0 && r > -256 ? -r : 0);
    }
    close(pipes[1]);
    ssize_t n = read(pipes[0], text, sizeof(text) - 1);
    close(pipes[0]);
    if (pid > 0)
        while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
            ;
    if (n > 0)
        text[n] = '\0';
    tell(i, status, pid < 0 ? "cannot fork" : n > 0 ? text : NULL);
}

int try_main(void)
{
    for (size_t i = 0; i < ARRAY_LEN(tries); i++)
        try_one(i);
    return 0;
}

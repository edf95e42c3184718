/* How the uplink process gives up its privileges. */
#include "agent/dialer.h"

#include "base/cleanup.h"

#include <fcntl.h>
#include <grp.h>
#include <linux/landlock.h>
#include <sched.h>
#include <seccomp.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#define READ  (LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR)
#define WRITE (READ | LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_MAKE_REG | LANDLOCK_ACCESS_FS_REMOVE_FILE)
/* ABI 1: everything it can govern */
#define ALL_ACCESS                                                                                                     \
    (LANDLOCK_ACCESS_FS_EXECUTE | WRITE | LANDLOCK_ACCESS_FS_REMOVE_DIR | LANDLOCK_ACCESS_FS_MAKE_CHAR |               \
     LANDLOCK_ACCESS_FS_MAKE_DIR | LANDLOCK_ACCESS_FS_MAKE_SOCK | LANDLOCK_ACCESS_FS_MAKE_FIFO |                       \
     LANDLOCK_ACCESS_FS_MAKE_BLOCK | LANDLOCK_ACCESS_FS_MAKE_SYM)

static void allow(int ruleset, int fd, uint64_t access)
{
    struct landlock_path_beneath_attr rule = {.allowed_access = access, .parent_fd = fd};
    if (fd >= 0)
        syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &rule, 0);
}

/* Own directory, and what a resolver and a TLS library read. Kernels without Landlock: uid and seccomp remain. */
static int landlock(int dirfd, struct err *e)
{
    static const char *const readable[] = {"/etc",      "/usr",        "/lib", "/lib64", "/run/systemd/resolve",
                                           "/proc/sys", "/dev/urandom"};
    struct landlock_ruleset_attr attr = {.handled_access_fs = ALL_ACCESS};
    _cleanup_close_ int ruleset = (int)syscall(SYS_landlock_create_ruleset, &attr, sizeof(attr), 0);
    if (ruleset < 0)
        return 0;
    allow(ruleset, dirfd, WRITE);
    for (size_t i = 0; i < ARRAY_LEN(readable); i++) {
        _cleanup_close_ int fd = open(readable[i], O_PATH | O_CLOEXEC);
        allow(ruleset, fd, i < ARRAY_LEN(readable) - 1 ? READ : LANDLOCK_ACCESS_FS_READ_FILE);
    }
    if (syscall(SYS_landlock_restrict_self, ruleset, 0) < 0)
        return err_errno(e, "landlock");
    return 0;
}

static int seccomp(struct err *e)
{
    static const int refused[] = {
        SCMP_SYS(execve),
        SCMP_SYS(execveat),
        SCMP_SYS(fork),
        SCMP_SYS(vfork),
        SCMP_SYS(ptrace),
        SCMP_SYS(process_vm_readv),
        SCMP_SYS(process_vm_writev),
        SCMP_SYS(kcmp),
        SCMP_SYS(pidfd_getfd),
        SCMP_SYS(bpf),
        SCMP_SYS(perf_event_open),
        SCMP_SYS(userfaultfd),
        SCMP_SYS(mount),
        SCMP_SYS(umount2),
        SCMP_SYS(pivot_root),
        SCMP_SYS(chroot),
        SCMP_SYS(move_mount),
        SCMP_SYS(open_tree),
        SCMP_SYS(fsopen),
        SCMP_SYS(fsmount),
        SCMP_SYS(unshare),
        SCMP_SYS(setns),
        SCMP_SYS(init_module),
        SCMP_SYS(finit_module),
        SCMP_SYS(delete_module),
        SCMP_SYS(kexec_load),
        SCMP_SYS(kexec_file_load),
        SCMP_SYS(reboot),
        SCMP_SYS(add_key),
        SCMP_SYS(request_key),
        SCMP_SYS(keyctl),
        SCMP_SYS(io_uring_setup),
        SCMP_SYS(setuid),
        SCMP_SYS(setreuid),
        SCMP_SYS(setresuid),
        SCMP_SYS(setgid),
        SCMP_SYS(setregid),
        SCMP_SYS(setresgid),
        SCMP_SYS(mknod),
        SCMP_SYS(mknodat),
        SCMP_SYS(open_by_handle_at),
        SCMP_SYS(fanotify_init),
        SCMP_SYS(swapon),
        SCMP_SYS(syslog),
    };
    scmp_filter_ctx f = seccomp_init(SCMP_ACT_ALLOW);
    int r = f ? 0 : -ENOMEM;
    for (size_t i = 0; r == 0 && i < ARRAY_LEN(refused); i++) {
        r = seccomp_rule_add(f, SCMP_ACT_ERRNO(EPERM), refused[i], 0);
        if (r == -EDOM) /* not on this architecture */
            r = 0;
    }
    /* Threads, no processes: clone() without CLONE_THREAD is refused; clone3() hides its flags, glibc then uses
     * clone(). */
    if (r == 0)
        r = seccomp_rule_add(f, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(clone), 1,
                             SCMP_A0(SCMP_CMP_MASKED_EQ, CLONE_THREAD, 0));
    if (r == 0)
        r = seccomp_rule_add(f, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0);
    if (r == 0)
        r = seccomp_load(f);
    if (f)
        seccomp_release(f);
    return r < 0 ? err_set(e, -r, "seccomp: %s", strerror(-r)) : 0;
}

int dialer_lock_down(int dirfd, unsigned uid, unsigned gid, struct err *e)
{
    struct rlimit none = {0, 0}, files = {256, 256};
    int r;
    if (fchdir(dirfd) < 0)
        return err_errno(e, "its directory");
    setrlimit(RLIMIT_CORE, &none);
    setrlimit(RLIMIT_NOFILE, &files);
    umask(077);
    if (uid != 0 && (setgroups(0, NULL) < 0 || setresgid(gid, gid, gid) < 0 || setresuid(uid, uid, uid) < 0))
        return err_errno(e, "giving up root");
    if (uid != 0 && (setuid(0) == 0 || seteuid(0) == 0))
        return err_set(e, EPERM, "root came back");
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || prctl(PR_SET_DUMPABLE, 0) < 0)
        return err_errno(e, "prctl");
    if ((r = landlock(dirfd, e)) < 0)
        return r;
    return seccomp(e);
}

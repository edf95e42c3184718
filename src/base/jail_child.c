#include "base/jail_child.h"

#include "base/cleanup.h"
#include "base/str.h"

#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#if defined(__has_feature)
#define SANITIZED_CLANG __has_feature(address_sanitizer)
#else
#define SANITIZED_CLANG 0
#endif
#if defined(__SANITIZE_ADDRESS__) || SANITIZED_CLANG
static const bool sanitized = true; /* its shadow memory is terabytes of address space, its reports go to stderr */
#else
static const bool sanitized = false;
#endif

enum { NOBODY = 65534 };

static void tell(int status, uint32_t kind, unsigned have, int code, const char *text)
{
    struct jail_message m = {.kind = kind, .have = have, .code = code};
    if (text) {
        size_t n = strnlen(text, sizeof(m.text) - 1);
        memcpy(m.text, text, n);
    }
    ssize_t n = write(status, &m, sizeof(m)); /* the parent notices what is missing */
    (void)n;
}

static bool kept(int fd, const struct jail_opts *o, int out, int status)
{
    if (fd == out || fd == status || (o->tree && fd == *o->tree))
        return true;
    for (size_t i = 0; i < o->fds_n; i++)
        if (o->fds[i] == fd)
            return true;
    return false;
}

/* Close everything but what is kept; the standard descriptors become /dev/null. */
static int close_others(const struct jail_opts *o, int out, int status, struct err *e)
{
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (null < 0)
        return err_errno(e, "/dev/null");
    for (int fd = 0; fd <= 2; fd++)
        if (fd != null && !kept(fd, o, out, status) && !(sanitized && fd == 2) && dup2(null, fd) < 0)
            return err_errno(e, "/dev/null");
    int last = out > status ? out : status;
    for (size_t i = 0; i < o->fds_n; i++)
        last = o->fds[i] > last ? o->fds[i] : last;
    if (o->tree && *o->tree > last)
        last = *o->tree;
    for (int fd = 3; fd < last; fd++)
        if (!kept(fd, o, out, status))
            close(fd);
    if (last < 2)
        last = 2;
    if (syscall(SYS_close_range, (unsigned)last + 1, ~0u, 0) < 0)
        return err_errno(e, "close_range");
    return 0;
}

static int signals_reset(struct err *e)
{
    struct sigaction dfl = {.sa_handler = SIG_DFL};
    for (int sig = 1; sig < 32; sig++)
        if (sig != SIGKILL && sig != SIGSTOP)
            sigaction(sig, &dfl, NULL);
    sigset_t none;
    sigemptyset(&none);
    return sigprocmask(SIG_SETMASK, &none, NULL) < 0 ? err_errno(e, "signal mask") : 0;
}

/* Can this root become nobody? Not in a user namespace that has no such id (rootless engines, unshare -r). */
static bool nobody_exists(const char *map)
{
    char text[4096];
    int fd = open(map, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text));
    struct str rest = {text, n > 0 ? (size_t)n : 0}, line, word;
    if (fd >= 0)
        close(fd);
    while (str_cut(&rest, '\n', &line)) { /* inside, outside, length */
        uint64_t v[3] = {0};
        for (size_t i = 0; i < 3 && str_cut(&line, ' ', &word);)
            if (word.n && str_u64(word, &v[i]) == 0)
                i++;
        if (v[0] <= NOBODY && NOBODY - v[0] < v[2])
            return true;
    }
    return false;
}

static bool can_become_nobody(void)
{
    return setgroups(0, NULL) == 0 && nobody_exists("/proc/self/uid_map") && nobody_exists("/proc/self/gid_map");
}

/* Each namespace for itself, so that one that the host refuses does not cost the others. */
static unsigned namespaces(void)
{
    unsigned have = 0;
    if ((geteuid() != 0 || !can_become_nobody()) && unshare(CLONE_NEWUSER) < 0)
        return 0;
    if (unshare(CLONE_NEWNET) == 0)
        have |= 1u << JAIL_NETNS_BIT;
    if (unshare(CLONE_NEWIPC) == 0)
        have |= 1u << JAIL_IPCNS_BIT;
    if (unshare(CLONE_NEWNS) == 0 && mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0)
        have |= 1u << JAIL_MOUNTNS_BIT;
    return have;
}

/* The tree becomes the root, or an empty read-only file system does. */
static unsigned new_root(const struct jail_opts *o, unsigned have)
{
    if (o->tree) {
        if (fchdir(*o->tree) < 0 || chroot(".") < 0 || chdir("/") < 0)
            return 0;
        return 1u << JAIL_ROOT_BIT;
    }
    if (!(have & (1u << JAIL_MOUNTNS_BIT)))
        return 0;
    if (mount("none", "/proc", "tmpfs", MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC, "size=4k,nr_inodes=2,mode=555") <
            0 ||
        chdir("/proc") < 0 || chroot(".") < 0 || chdir("/") < 0)
        return 0;
    return 1u << JAIL_ROOT_BIT;
}

static int capabilities_set(uint64_t keep, struct err *e)
{
    struct __user_cap_header_struct h = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct d[2] = {{.effective = (uint32_t)keep, .permitted = (uint32_t)keep},
                                          {.effective = (uint32_t)(keep >> 32), .permitted = (uint32_t)(keep >> 32)}};
    return syscall(SYS_capset, &h, d) < 0 ? err_errno(e, "capset") : 0;
}

static int drop_privileges(const struct jail_opts *o, struct err *e)
{
    bool root = geteuid() == 0;
    int r;
    uint64_t keep = root && o->tree && (o->flags & JAIL_READ_ALL) ? UINT64_C(1) << CAP_DAC_READ_SEARCH : 0;
    if (root) {
        if (keep && prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) < 0)
            return err_errno(e, "PR_SET_KEEPCAPS");
        if (setgroups(0, NULL) < 0 || setresgid(NOBODY, NOBODY, NOBODY) < 0 || setresuid(NOBODY, NOBODY, NOBODY) < 0)
            return err_errno(e, "cannot become nobody");
    }
    if ((r = capabilities_set(keep, e)) < 0)
        return r;
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
        return err_errno(e, "PR_SET_NO_NEW_PRIVS");
    return prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0 ? err_errno(e, "PR_SET_DUMPABLE") : 0;
}

static int limit(int what, uint64_t value, struct err *e)
{
    struct rlimit now, want;
    if (getrlimit((__rlimit_resource_t)what, &now) < 0)
        return err_errno(e, "getrlimit");
    want.rlim_max = now.rlim_max < value ? now.rlim_max : value;
    want.rlim_cur = want.rlim_max;
    return setrlimit((__rlimit_resource_t)what, &want) < 0 ? err_errno(e, "setrlimit %d", what) : 0;
}

/* Bytes of address space the process has mapped already. */
static uint64_t mapped(void)
{
    uint64_t pages = 0;
    char text[64];
    int fd = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text));
    if (fd >= 0)
        close(fd);
    for (ssize_t i = 0; i < n && text[i] >= '0' && text[i] <= '9'; i++)
        pages = pages * 10 + (uint64_t)(text[i] - '0');
    return pages * (uint64_t)sysconf(_SC_PAGESIZE);
}

static int limits(const struct jail_opts *o, uint64_t before, struct err *e)
{
    int r = 0;
    if (!sanitized)
        r = limit(RLIMIT_AS, before + (o->memory ? o->memory : UINT64_C(1) << 30), e);
    if (r >= 0)
        r = limit(RLIMIT_CPU, o->cpu_seconds ? o->cpu_seconds : 600, e);
    if (r >= 0)
        r = limit(RLIMIT_FSIZE, o->file_max, e);
    if (r >= 0)
        r = limit(RLIMIT_CORE, 0, e);
    if (r >= 0)
        r = limit(RLIMIT_MEMLOCK, 0, e);
    if (r >= 0 && !(o->flags & JAIL_THREADS))
        r = limit(RLIMIT_NPROC, 0, e);
    return r;
}

/* As in <linux/landlock.h>, with the members that newer kernels know. */
struct landlock_ruleset {
    uint64_t fs, net, scoped;
};
struct landlock_beneath {
    uint64_t access;
    int32_t fd;
} __attribute__((packed));
enum {
    LANDLOCK_FS_READ_FILE = 1 << 2,
    LANDLOCK_FS_READ_DIR = 1 << 3,
    LANDLOCK_VERSION = 1, /* flag of landlock_create_ruleset */
    LANDLOCK_BENEATH = 1, /* rule type */
};

/* Handle (and so deny) all that the running kernel's version knows: Documentation/userspace-api/landlock.rst. */
static unsigned landlock(const struct jail_opts *o)
{
    static const uint64_t fs[] = {0x1fff, 0x3fff, 0x7fff, 0x7fff, 0xffff, 0xffff}; /* by version, 1 up */
    long version = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_VERSION);
    if (version < 1)
        return 0;
    if (version > (long)ARRAY_LEN(fs))
        version = ARRAY_LEN(fs);
    struct landlock_ruleset rules = {
        .fs = fs[version - 1], .net = version >= 4 ? 3 : 0, .scoped = version >= 6 ? 3 : 0};
    size_t size = version >= 6 ? sizeof(rules) : version >= 4 ? 2 * sizeof(uint64_t) : sizeof(uint64_t);
    long fd = syscall(SYS_landlock_create_ruleset, &rules, size, 0);
    if (fd < 0)
        return 0;
    long r = 0;
    if (o->tree) {
        struct landlock_beneath beneath = {.access = LANDLOCK_FS_READ_FILE | LANDLOCK_FS_READ_DIR, .fd = *o->tree};
        r = syscall(SYS_landlock_add_rule, fd, LANDLOCK_BENEATH, &beneath, 0);
    }
    if (r == 0)
        r = syscall(SYS_landlock_restrict_self, fd, 0);
    close((int)fd);
    return r == 0 ? 1u << JAIL_LANDLOCK_BIT : 0;
}

static int lock_down(const struct jail_opts *o, pid_t parent, int out, int status, unsigned *ret_have, struct err *e)
{
    if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) < 0)
        return err_errno(e, "PR_SET_PDEATHSIG");
    if (getppid() != parent)
        return err_set(e, ESRCH, "the caller is gone");
    int r = signals_reset(e);
    if (r < 0)
        return r;
    if ((r = close_others(o, out, status, e)) < 0)
        return r;
    uint64_t before = mapped();
    unsigned have = namespaces();
    have |= new_root(o, have);
    if ((r = drop_privileges(o, e)) < 0)
        return r;
    have |= 1u << JAIL_UNPRIVILEGED_BIT;
    /* credentials changed, which clears the death signal */
    if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) < 0)
        return err_errno(e, "PR_SET_PDEATHSIG");
    if ((r = limits(o, before, e)) < 0)
        return r;
    have |= landlock(o);
    if (o->tree && !(have & (1u << JAIL_ROOT_BIT | 1u << JAIL_LANDLOCK_BIT)))
        return err_set(e, ENOTSUP,
                       "this host can neither chroot nor Landlock, so reading cannot be held to one directory");
    if ((r = jail_seccomp(o, e)) < 0)
        return r;
    *ret_have = have | 1u << JAIL_SECCOMP_BIT;
    return 0;
}

_Noreturn void jail_child(const struct jail_opts *o, pid_t parent, int out, int status)
{
    struct err e = ERR_INIT;
    unsigned have = 0;
    int r = lock_down(o, parent, out, status, &have, &e);
    if (r < 0) {
        err_wrap(&e, "jail");
        tell(status, JAIL_MESSAGE_DONE, 0, r, e.msg);
        _exit(0);
    }
    tell(status, JAIL_MESSAGE_READY, have, 0, NULL);
    r = o->child(o->arg, out, &e);
    tell(status, JAIL_MESSAGE_DONE, have, r < 0 ? r : 0, r < 0 ? e.msg : NULL);
    _exit(0);
}

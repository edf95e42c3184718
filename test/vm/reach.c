/* reach: ways out of a container and at protected files, and calls that a control names; the sibling of attacks.c.
 * `reach GROUP...` prints a line a variant, GROUP.NAME and, as attacks does: ran, killed, refused ERRNO, failed. Static.
 * Groups: calls, escape, opens (files by opening them), names (files by their names), benign. `reach listen PATH` waits
 * for one local connection; `reach exec32` enters by the 32-bit door.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/keyctl.h>
#include <linux/perf_event.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#define RAN 42
#define SETUP 43

static void done(long r)
{
    _exit(r < 0 ? 100 + (errno & 127) : RAN);
}
static void setup_failed(const char *what)
{
    fprintf(stderr, "%s: %s\n", what, strerror(errno));
    _exit(SETUP);
}
static void try_open(const char *path, int flags) { done(open(path, flags | O_CLOEXEC, 0644)); }

/* ---- calls ---- */
static void a_keyctl(void) { done(syscall(SYS_keyctl, KEYCTL_GET_KEYRING_ID, KEY_SPEC_PROCESS_KEYRING, 1)); }
static void a_add_key(void) { done(syscall(SYS_add_key, "user", "bulkhead", "x", 1, KEY_SPEC_PROCESS_KEYRING)); }
static void a_perf(void)
{
    struct perf_event_attr a = {.type = PERF_TYPE_SOFTWARE, .size = sizeof(a), .config = PERF_COUNT_SW_CPU_CLOCK, .exclude_kernel = 1};
    done(syscall(SYS_perf_event_open, &a, 0, -1, -1, 0));
}
static void a_userfaultfd(void) { done(syscall(SYS_userfaultfd, 1)); }
static void a_umount(void)
{
    if (mount("t", "/mnt", "tmpfs", 0, NULL) < 0)
        setup_failed("mount"); /* allowed by nobody here: see a_umount's caller */
    done(umount2("/mnt", 0));
}
static void a_vm_read(void)
{
    static char to[8], from[8];
    pid_t pid = fork();
    if (pid == 0) {
        pause();
        _exit(0);
    }
    struct iovec l = {to, 8}, r = {from, 8};
    long n = process_vm_readv(pid, &l, 1, &r, 1, 0);
    int saved = errno;
    kill(pid, SIGKILL);
    errno = saved;
    done(n);
}
static void a_setuid_file(void)
{
    int fd = open("/tmp/planted", O_CREAT | O_WRONLY | O_CLOEXEC, 0755);
    if (fd < 0)
        setup_failed("open");
    done(fchmod(fd, 04755));
}
static void a_setuid_chmod(void)
{
    close(open("/tmp/planted2", O_CREAT | O_WRONLY | O_CLOEXEC, 0755));
    done(chmod("/tmp/planted2", 06755));
}
static void a_compat(void)
{
    long r = 20; /* getpid */
    __asm__ volatile("int $0x80" : "+a"(r) : : "memory", "r8", "r9", "r10", "r11");
    errno = (int)-r;
    done(r);
}

/* ---- escape: opening is enough, nothing is written ---- */
static void a_core_pattern(void) { try_open("/proc/sys/kernel/core_pattern", O_WRONLY); }
static void a_sysrq(void) { try_open("/proc/sysrq-trigger", O_WRONLY); }
static void a_modprobe(void) { try_open("/proc/self/root/proc/sys/kernel/randomize_va_space", O_WRONLY); }
static void a_second_proc(void)
{
    if (mount("p", "/mnt", "proc", 0, NULL) < 0)
        setup_failed("proc");
    try_open("/mnt/sys/kernel/core_pattern", O_WRONLY);
}
static void a_link_proc(void)
{
    unlink("/tmp/harmless");
    if (symlink("/proc/sys/kernel/core_pattern", "/tmp/harmless") < 0)
        setup_failed("symlink");
    try_open("/tmp/harmless", O_WRONLY);
}
static void a_release_agent(void)
{
    if (mount("c", "/mnt", "cgroup", 0, "none,name=bulkhead-test") < 0)
        setup_failed("cgroup");
    try_open("/mnt/release_agent", O_WRONLY);
}
static void a_mknod(void) { done(mknod("/tmp/disk", S_IFBLK | 0600, makedev(8, 0))); }
static void a_handle(void)
{
    static union {
        struct file_handle h;
        char room[sizeof(struct file_handle) + 128];
    } u;
    int id, dir = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    u.h.handle_bytes = 128;
    if (name_to_handle_at(dir, ".", &u.h, &id, AT_EMPTY_PATH) < 0) {
        u.h.handle_bytes = 8;
        u.h.handle_type = 1;
    }
    done(open_by_handle_at(dir, &u.h, O_RDONLY));
}
static void a_engine(void)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX, .sun_path = "/vol/harmless"};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    done(connect(fd, (void *)&a, sizeof(a)));
}

/* ---- files ---- */
static void f_read(void) { try_open("/etc/secret", O_RDONLY); }
static void f_read_link(void)
{
    unlink("/tmp/s");
    if (symlink("/etc/../etc/secret", "/tmp/s") < 0)
        setup_failed("symlink");
    try_open("/tmp/s", O_RDONLY);
}
static void f_read_fd(void)
{
    char path[40];
    int fd = open("/etc/secret", O_PATH | O_CLOEXEC);
    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    try_open(path, O_RDONLY);
}
static void f_read_root(void) { try_open("/proc/self/root/etc/secret", O_RDONLY); }
static void f_read_chroot(void)
{
    if (chroot("/etc") < 0)
        setup_failed("chroot");
    try_open("/secret", O_RDONLY);
}
static void f_read_bind(void)
{
    if (unshare(CLONE_NEWNS) < 0 || mount("/etc/secret", "/mnt/cover", NULL, MS_BIND, NULL) < 0)
        setup_failed("bind");
    try_open("/mnt/cover", O_RDONLY);
}
static void f_write(void) { try_open("/etc/passwd", O_WRONLY); }
static void f_append(void) { try_open("/etc/passwd", O_RDWR | O_APPEND); }
static void n_unlink(void) { done(unlink("/etc/passwd")); }
static void n_rename(void) { done(rename("/etc/secret", "/tmp/moved")); }
static void n_rename_over(void)
{
    close(open("/tmp/passwd", O_CREAT | O_WRONLY | O_CLOEXEC, 0644));
    done(rename("/tmp/passwd", "/etc/passwd"));
}
static void n_rename_folder(void) { done(rename("/etc", "/etc2")); }
static void n_link(void) { done(link("/etc/secret", "/tmp/hard")); }
static void n_truncate(void) { done(truncate("/etc/passwd", 0)); }
static void n_chmod(void) { done(chmod("/etc/passwd", 0666)); }
static void n_chown(void) { done(chown("/etc/passwd", 1, 1)); }
static void n_create(void) { try_open("/etc/cron.d/job", O_CREAT | O_WRONLY); }
static void n_symlink(void) { done(symlink("/tmp/x", "/etc/cron.d/link")); }
static void n_mkdir(void) { done(mkdir("/etc/cron.d/sub", 0755)); }

/* ---- benign ---- */
static void b_read(void) { try_open("/etc/passwd", O_RDONLY); }
static void b_write(void) { try_open("/tmp/own", O_CREAT | O_WRONLY); }
static void b_rename(void)
{
    close(open("/tmp/a", O_CREAT | O_WRONLY | O_CLOEXEC, 0644));
    done(rename("/tmp/a", "/tmp/b"));
}
static void b_chmod(void)
{
    close(open("/tmp/c", O_CREAT | O_WRONLY | O_CLOEXEC, 0644));
    done(chmod("/tmp/c", 0755));
}
static void b_proc(void) { try_open("/proc/self/status", O_RDONLY); }
static void b_sysctl(void) { try_open("/proc/sys/kernel/core_pattern", O_RDONLY); }
static void b_null(void) { try_open("/dev/zero", O_RDWR | O_CREAT); }
static void b_setuid(void) { done(setresuid(1000, 1000, 1000)); }
static void b_fork(void)
{
    int st;
    pid_t pid = fork();
    if (pid == 0)
        _exit(setuid(1000) == 0 && setuid(0) < 0 ? RAN : SETUP);
    waitpid(pid, &st, 0);
    _exit(WIFEXITED(st) ? WEXITSTATUS(st) : SETUP);
}

static const struct {
    const char *group, *name;
    void (*fn)(void);
} variants[] = {
    {"calls", "keyctl", a_keyctl}, {"calls", "add_key", a_add_key}, {"calls", "perf", a_perf},
    {"calls", "userfaultfd", a_userfaultfd}, {"calls", "vm_read", a_vm_read}, {"calls", "setuid_file", a_setuid_file},
    {"calls", "setuid_chmod", a_setuid_chmod}, {"calls", "umount", a_umount}, {"compat", "compat", a_compat},
    {"escape", "core_pattern", a_core_pattern}, {"escape", "sysrq", a_sysrq}, {"escape", "randomize", a_modprobe},
    {"escape", "second_proc", a_second_proc}, {"escape", "link_proc", a_link_proc},
    {"escape", "release_agent", a_release_agent}, {"escape", "mknod", a_mknod}, {"escape", "handle", a_handle},
    {"escape", "engine", a_engine},
    {"opens", "read", f_read}, {"opens", "read_link", f_read_link}, {"opens", "read_fd", f_read_fd},
    {"opens", "read_root", f_read_root}, {"opens", "read_chroot", f_read_chroot}, {"opens", "read_bind", f_read_bind},
    {"opens", "write", f_write}, {"opens", "append", f_append},
    {"names", "unlink", n_unlink}, {"names", "rename", n_rename}, {"names", "rename_over", n_rename_over},
    {"names", "rename_folder", n_rename_folder}, {"names", "link", n_link}, {"names", "truncate", n_truncate},
    {"names", "chmod", n_chmod}, {"names", "chown", n_chown}, {"names", "create", n_create},
    {"names", "symlink", n_symlink}, {"names", "mkdir", n_mkdir},
    {"benign", "read", b_read}, {"benign", "write", b_write}, {"benign", "rename", b_rename},
    {"benign", "chmod", b_chmod}, {"benign", "proc", b_proc}, {"benign", "sysctl", b_sysctl},
    {"benign", "null", b_null}, {"benign", "setuid", b_setuid}, {"benign", "fork", b_fork},
};

static void attempt(const char *name, void (*fn)(void))
{
    int st = 0;
    fflush(stdout); /* or the child would print it too */
    pid_t pid = fork();
    if (pid == 0) {
        fn();
        _exit(SETUP);
    }
    while (waitpid(pid, &st, 0) < 0 && errno == EINTR)
        ;
    umount2("/mnt", MNT_DETACH);
    if (WIFSIGNALED(st))
        printf("%s %s\n", name, WTERMSIG(st) == SIGKILL ? "killed" : "failed signal");
    else if (WEXITSTATUS(st) == RAN)
        printf("%s ran\n", name);
    else if (WEXITSTATUS(st) > 100)
        printf("%s refused %d\n", name, WEXITSTATUS(st) - 100);
    else
        printf("%s failed %d\n", name, WEXITSTATUS(st));
    fflush(stdout);
}

int main(int argc, char **argv)
{
    if (argc > 2 && !strcmp(argv[1], "listen")) {
        struct sockaddr_un a = {.sun_family = AF_UNIX};
        int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        snprintf(a.sun_path, sizeof(a.sun_path), "%s", argv[2]);
        if (bind(fd, (void *)&a, sizeof(a)) < 0 || listen(fd, 8) < 0)
            return 1;
        for (char c; read(0, &c, 1) > 0;)
            ;
        return 0;
    }
    for (size_t i = 0; i < sizeof(variants) / sizeof(*variants); i++)
        for (int k = 1; k < argc; k++)
            if (!strcmp(argv[k], variants[i].group)) {
                printf("%s.", variants[i].group);
                attempt(variants[i].name, variants[i].fn);
            }
    return 0;
}

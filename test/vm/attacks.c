/* attacks: every way we know to run code that was not in the image, and every privileged call that a control guards.
 * Static, part of a test image as /attacks. `attacks GROUP` tries each variant of the group in a child and prints
 *
 *     NAME ran | killed | refused ERRNO | failed WHAT
 *
 * `ran` means that the code did run (or the call did succeed), `failed` that the attack could not even be set up.
 * Groups: code (needs a static image), loader (needs /lib64/ld-linux-x86-64.so.2, /dyn, /dyn.so), privilege, benign.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/personality.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#define RAN 42
#define SETUP 43

static char payload[] = "payload";
static char *const run_args[] = {payload, NULL}, *const run_env[] = {NULL};

static void setup_failed(const char *what)
{
    fprintf(stderr, "%s: %s\n", what, strerror(errno));
    _exit(SETUP);
}

static void refused(void)
{
    _exit(100 + (errno & 127));
}

static void copy_to(int out, const char *from)
{
    static char buf[1 << 16];
    int in = open(from, O_RDONLY | O_CLOEXEC);
    ssize_t n;
    if (in < 0 || out < 0)
        setup_failed(from);
    while ((n = read(in, buf, sizeof(buf))) > 0)
        if (write(out, buf, (size_t)n) != n)
            setup_failed("write");
    close(in);
}

static const char *drop(const char *path, const char *from)
{
    unlink(path);
    int fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0755);
    copy_to(fd, from);
    close(fd);
    return path;
}

static void run(const char *path)
{
    execve(path, run_args, run_env);
    refused();
}

static void put(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0 || write(fd, text, strlen(text)) < 0)
        setup_failed(path);
    close(fd);
}

static void own_namespaces(void)
{
    if (unshare(CLONE_NEWUSER | CLONE_NEWNS) < 0)
        setup_failed("unshare");
    put("/proc/self/uid_map", "0 0 1");
    put("/proc/self/setgroups", "deny");
    put("/proc/self/gid_map", "0 0 1");
}

/* ---- code ---- */
static void a_drop(void) { run(drop("/tmp/p", "/attacks")); }
static void a_rename(void)
{
    if (rename(drop("/tmp/p", "/attacks"), "/victim") < 0)
        setup_failed("rename");
    run("/victim");
}
static void a_hardlink(void)
{
    unlink("/tmp/h");
    if (link("/victim2", "/tmp/h") < 0)
        setup_failed("link");
    run("/tmp/h");
}
static void a_symlink(void)
{
    drop("/tmp/p", "/attacks");
    unlink("/tmp/s");
    if (symlink("/tmp/p", "/tmp/s") < 0)
        setup_failed("symlink");
    run("/tmp/s");
}
static void a_chmod(void)
{
    if (chmod("/victim3", 0777) < 0)
        setup_failed("chmod");
    run("/victim3");
}
static int memfd(void)
{
    int fd = memfd_create("x", MFD_CLOEXEC);
    copy_to(fd, "/attacks");
    return fd;
}
static void run_fd(int fd)
{
    syscall(SYS_execveat, fd, "", run_args, run_env, AT_EMPTY_PATH);
    refused();
}
static void a_memfd(void) { run_fd(memfd()); }
static void a_deleted(void)
{
    int fd = open(drop("/tmp/d", "/attacks"), O_PATH | O_CLOEXEC);
    unlink("/tmp/d");
    run_fd(fd);
}
static void a_deleted_image(void)
{
    int fd = open("/victim4", O_PATH | O_CLOEXEC);
    unlink("/victim4");
    run_fd(fd);
}
static void a_tmpfs(void)
{
    own_namespaces();
    if (mount("t", "/mnt", "tmpfs", 0, NULL) < 0)
        setup_failed("mount");
    run(drop("/mnt/p", "/attacks"));
}
static void a_bind(void)
{
    drop("/tmp/p", "/attacks");
    own_namespaces();
    if (mount("/tmp/p", "/victim5", NULL, MS_BIND, NULL) < 0)
        setup_failed("mount");
    run("/victim5");
}
static void a_volume(void) { run(drop("/vol/p", "/attacks")); }
static void a_shebang(void)
{
    drop("/tmp/p", "/attacks");
    unlink("/tmp/script");
    int fd = open("/tmp/script", O_CREAT | O_WRONLY | O_CLOEXEC, 0755);
    if (write(fd, "#!/tmp/p\n", 9) != 9)
        setup_failed("write");
    close(fd);
    run("/tmp/script");
}
static void a_chroot(void)
{
    mkdir("/tmp/root", 0755);
    drop("/tmp/root/attacks", "/attacks");
    if (chroot("/tmp/root") < 0 || chdir("/") < 0)
        setup_failed("chroot");
    run("/attacks");
}
static void a_long_path(void)
{
    char path[2400] = "/tmp", name[201];
    memset(name, 'a', 200);
    name[200] = 0;
    for (int i = 0; i < 10; i++) {
        size_t n = strlen(path);
        snprintf(path + n, sizeof(path) - n, "/%s", name);
        mkdir(path, 0755);
    }
    size_t n = strlen(path);
    snprintf(path + n, sizeof(path) - n, "/p");
    run(drop(path, "/attacks"));
}
static void a_exec32(void)
{
    drop("/tmp/p", "/attacks");
    /* the 32-bit entry takes pointers below 4 GiB */
    char *low = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);
    if (low == MAP_FAILED)
        setup_failed("mmap");
    memcpy(low, "/tmp/p", 7);
    uint32_t *argv = (uint32_t *)(low + 64);
    argv[0] = (uint32_t)(uintptr_t)low;
    memcpy(low + 32, payload, sizeof(payload));
    argv[0] = (uint32_t)(uintptr_t)low + 32;
    long r;
    __asm__ volatile("int $0x80" : "=a"(r) : "a"(11), "b"(low), "c"(argv), "d"(argv + 1) : "memory", "r8", "r9", "r10", "r11");
    errno = (int)-r;
    refused();
}

/* ---- executable mappings: the first byte of the file is read back through the mapping ---- */
static void use_map(void *p)
{
    if (p == MAP_FAILED)
        refused();
    _exit(*(volatile char *)p == 0x7f ? RAN : SETUP);
}
static int dropped(void) { return open(drop("/tmp/m", "/attacks"), O_RDONLY | O_CLOEXEC); }
static void a_mmap(void) { use_map(mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE, dropped(), 0)); }
static void a_mmap_shared(void) { use_map(mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_SHARED, dropped(), 0)); }
static void a_mmap_memfd(void) { use_map(mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE, memfd(), 0)); }
static void a_mprotect(void)
{
    void *p = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, dropped(), 0);
    if (p == MAP_FAILED)
        setup_failed("mmap");
    use_map(mprotect(p, 4096, PROT_READ | PROT_EXEC) < 0 ? MAP_FAILED : p);
}
static void a_mprotect_behind(void) /* the file mapping hides behind an anonymous one */
{
    char *p = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (mmap(p + 4096, 4096, PROT_READ, MAP_PRIVATE | MAP_FIXED, dropped(), 0) == MAP_FAILED)
        setup_failed("mmap");
    use_map(mprotect(p, 8192, PROT_READ | PROT_EXEC) < 0 ? MAP_FAILED : p + 4096);
}
static void a_read_implies_exec(void)
{
    int fd = dropped();
    if (personality(READ_IMPLIES_EXEC) < 0)
        setup_failed("personality");
    use_map(mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, fd, 0));
}
static void a_mmap32(void)
{
    int fd = dropped();
    long r;
    __asm__ volatile("push %%rbp\n xor %%ebp, %%ebp\n int $0x80\n pop %%rbp"
                     : "=a"(r)
                     : "a"(192), "b"(0), "c"(4096), "d"(PROT_READ | PROT_EXEC), "S"(MAP_PRIVATE), "D"(fd)
                     : "memory", "r8", "r9", "r10", "r11");
    if (r < 0 && r > -4096) {
        errno = (int)-r;
        refused();
    }
    use_map((void *)(uintptr_t)(uint32_t)r);
}

/* ---- loader: ld.so itself, LD_PRELOAD, dlopen. /dyn exits RAN when it, or a library it loads, runs ---- */
static void loader(const char *a0, const char *a1, const char *a2, const char *env)
{
    char *const argv[] = {(char *)a0, (char *)a1, (char *)a2, NULL}, *const envp[] = {(char *)env, NULL};
    execve(a0, argv, envp);
    refused();
}
static void a_ldso(void) { loader("/lib64/ld-linux-x86-64.so.2", drop("/tmp/dyn", "/dyn"), "exit", NULL); }
static void a_preload(void)
{
    drop("/tmp/evil.so", "/dyn.so");
    loader("/dyn", "nothing", NULL, "LD_PRELOAD=/tmp/evil.so");
}
static void a_dlopen(void) { loader("/dyn", "dlopen", drop("/tmp/evil.so", "/dyn.so"), NULL); }
static void a_interpreter(void) /* the loader of the image is replaced: an image program then runs ours */
{
    drop("/tmp/ld", "/attacks");
    if (rename("/tmp/ld", "/lib64/ld-linux-x86-64.so.2") < 0)
        setup_failed("rename");
    loader("/dyn", "payload", NULL, NULL);
}

/* ---- privilege ---- */
static void done(long r)
{
    if (r < 0)
        refused();
    _exit(RAN);
}
static void a_userns(void) { done(unshare(CLONE_NEWUSER)); }
static void a_mountns(void) { done(unshare(CLONE_NEWNS)); }
static void a_clone(void)
{
    long r = syscall(SYS_clone, CLONE_NEWUSER | SIGCHLD, 0, 0, 0, 0);
    if (r == 0)
        _exit(0);
    done(r);
}
static void a_clone3(void)
{
    struct clone_args c = {.flags = CLONE_NEWUSER, .exit_signal = SIGCHLD};
    long r = syscall(SYS_clone3, &c, sizeof(c));
    if (r == 0)
        _exit(0);
    done(r);
}
static void a_setns(void)
{
    int fd = open("/proc/self/ns/mnt", O_RDONLY | O_CLOEXEC);
    done(setns(fd, CLONE_NEWNS));
}
static void a_mount(void) { done(mount("t", "/mnt", "tmpfs", 0, NULL)); }
static void a_ptrace(void)
{
    pid_t pid = fork();
    if (pid == 0) {
        pause();
        _exit(0);
    }
    long r = ptrace(PTRACE_ATTACH, pid, 0, 0);
    int saved = errno;
    kill(pid, SIGKILL);
    errno = saved;
    done(r);
}
static void a_traceme(void) { done(ptrace(PTRACE_TRACEME, 0, 0, 0)); }
static void a_vm_write(void)
{
    static char to[8], from[8];
    pid_t pid = fork();
    if (pid == 0) {
        pause();
        _exit(0);
    }
    struct iovec l = {from, 8}, r = {to, 8};
    long n = process_vm_writev(pid, &l, 1, &r, 1, 0);
    int saved = errno;
    kill(pid, SIGKILL);
    errno = saved;
    done(n);
}
static void a_bpf(void)
{
    union bpf_attr a = {.map_type = BPF_MAP_TYPE_ARRAY, .key_size = 4, .value_size = 4, .max_entries = 1};
    done(syscall(SYS_bpf, BPF_MAP_CREATE, &a, sizeof(a)));
}
static void a_io_uring(void)
{
    char params[256] = {0};
    done(syscall(SYS_io_uring_setup, 4, params));
}
static void a_setuid(void) /* /suid is a set-uid copy of this program in the image */
{
    if (setgid(1000) < 0 || setuid(1000) < 0)
        setup_failed("setuid");
    run("/suid");
}

/* ---- benign: all of these must run ---- */
static void b_image(void) { run("/victim6"); }
static void b_image_long(void) { run("/../victim6"); }
static void b_script(void) { run("/script"); }
static void b_anonymous(void)
{
    unsigned char *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED)
        refused();
    p[0] = 0xc3;
    ((void (*)(void))(void *)p)();
    _exit(RAN);
}
static void b_jit(void)
{
    int fd = memfd_create("doublemapper", MFD_CLOEXEC);
    if (ftruncate(fd, 4096) < 0)
        setup_failed("ftruncate");
    void *p = mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_SHARED, fd, 0);
    done(p == MAP_FAILED ? -1 : 0);
}
static void b_image_map(void)
{
    use_map(mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE, open("/attacks", O_RDONLY | O_CLOEXEC), 0));
}
static void b_data(void) { use_map(mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, dropped(), 0)); }
static void b_fork(void)
{
    int st;
    pid_t pid = fork();
    if (pid == 0)
        _exit(RAN);
    waitpid(pid, &st, 0);
    _exit(WIFEXITED(st) ? WEXITSTATUS(st) : SETUP);
}
static void b_dynamic(void) { loader("/dyn", "exit", NULL, NULL); }
static void b_dlopen(void) { loader("/dyn", "dlopen", "/dyn.so", NULL); }

static const struct {
    const char *group, *name;
    void (*fn)(void);
} variants[] = {
    {"code", "drop", a_drop}, {"code", "rename", a_rename}, {"code", "hardlink", a_hardlink}, {"code", "symlink", a_symlink},
    {"code", "chmod", a_chmod}, {"code", "memfd", a_memfd}, {"code", "deleted", a_deleted},
    {"code", "deleted_image", a_deleted_image}, {"code", "tmpfs", a_tmpfs}, {"code", "bind", a_bind},
    {"code", "shebang", a_shebang}, {"code", "chroot", a_chroot}, {"code", "long_path", a_long_path},
    {"code", "exec32", a_exec32}, {"code", "mmap", a_mmap}, {"code", "mmap_shared", a_mmap_shared},
    {"code", "mmap_memfd", a_mmap_memfd}, {"code", "mprotect", a_mprotect}, {"code", "mprotect_behind", a_mprotect_behind},
    {"code", "read_implies_exec", a_read_implies_exec}, {"code", "mmap32", a_mmap32}, {"code", "volume", a_volume},
    {"loader", "ldso", a_ldso}, {"loader", "preload", a_preload}, {"loader", "dlopen", a_dlopen},
    {"loader", "interpreter", a_interpreter},
    {"privilege", "userns", a_userns}, {"privilege", "mountns", a_mountns}, {"privilege", "clone", a_clone},
    {"privilege", "clone3", a_clone3}, {"privilege", "setns", a_setns}, {"privilege", "mount", a_mount},
    {"privilege", "ptrace", a_ptrace}, {"privilege", "traceme", a_traceme}, {"privilege", "vm_write", a_vm_write},
    {"privilege", "bpf", a_bpf}, {"privilege", "io_uring", a_io_uring}, {"privilege", "setuid", a_setuid},
    {"benign", "image", b_image}, {"benign", "image_dots", b_image_long}, {"benign", "script", b_script},
    {"benign", "anonymous", b_anonymous}, {"benign", "jit", b_jit}, {"benign", "image_map", b_image_map},
    {"benign", "data", b_data}, {"benign", "fork", b_fork}, {"benign", "dynamic", b_dynamic}, {"benign", "dlopen", b_dlopen},
};

static void attempt(const char *name, void (*fn)(void))
{
    int st = 0;
    fflush(stdout);
    pid_t pid = fork();
    if (pid == 0) {
        fn();
        _exit(SETUP);
    }
    while (waitpid(pid, &st, 0) < 0 && errno == EINTR)
        ;
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
    if (argc < 1 || !strcmp(argv[0], payload) ||
        (argc > 1 && (!strcmp(argv[1], payload) || !strcmp(argv[1], "/tmp/script"))))
        _exit(RAN);
    if (argc > 2 && !strcmp(argv[1], "flood")) { /* one marked drift a second, opens and forks as fast as it goes */
        int seconds = 0, killed = 0;
        for (const char *p = argv[2]; *p >= '0' && *p <= '9'; p++)
            seconds = 10 * seconds + (*p - '0');
        for (int i = 0; i < seconds; i++) {
            char path[32];
            snprintf(path, sizeof(path), "/tmp/marked-%d", i);
            drop(path, "/attacks");
            pid_t pid = fork();
            if (pid == 0)
                run(path);
            int st;
            waitpid(pid, &st, 0);
            killed += WIFSIGNALED(st) || (WIFEXITED(st) && WEXITSTATUS(st) == 101);
            sleep(1);
        }
        printf("flood %d of %d stopped\n", killed, seconds);
        return 0;
    }
    for (size_t i = 0; i < sizeof(variants) / sizeof(*variants); i++)
        if (argc > 1 && (!strcmp(argv[1], variants[i].group) || (argc > 2 && !strcmp(argv[2], variants[i].name))))
            attempt(variants[i].name, variants[i].fn);
    return 0;
}

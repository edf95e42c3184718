#include "base/arena.h"
#include "base/cleanup.h"
#include "base/fs.h"
#include "base/jail.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <grp.h>
#include <netinet/in.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
// cmocka needs setjmp, stdarg and stddef
#include <cmocka.h>

/* ---- children, each one an attempt ---- */

static int works(void *arg, int out, struct err *e)
{
    const int *fd = arg;
    char text[64];
    ssize_t n = read(*fd, text, sizeof(text));
    if (n < 0)
        return err_errno(e, "read");
    void *heap = malloc(1 << 20);
    memset(heap, 1, 1 << 20);
    free(heap);
    return fs_write_all(out, text, (size_t)n, e);
}

static int fails(void *arg, int out, struct err *e)
{
    return err_set(e, EBADMSG, "bad magic at %d", 7);
}

static int opens_host_file(void *arg, int out, struct err *e)
{
    static const char *const paths[] = {"/etc/passwd", "/proc/self/environ", "/", "../../../../etc/passwd"};
    for (size_t i = 0; i < ARRAY_LEN(paths); i++)
        if (open(paths[i], O_RDONLY) >= 0 || errno != EPERM)
            return err_set(e, EEXIST, "opened %s", paths[i]);
    if (open("/tmp/bh-jail-escape", O_RDWR | O_CREAT, 0600) >= 0 || syscall(SYS_open, "/etc/passwd", O_RDONLY) >= 0)
        return err_set(e, EEXIST, "created a file");
    if (unlink("/tmp/x") == 0 || errno != EPERM || rename("/tmp/a", "/tmp/b") == 0 || errno != EPERM ||
        chmod("/etc/passwd", 0666) == 0 || errno != EPERM)
        return err_set(e, EEXIST, "changed the file system");
    if (syscall(SYS_openat2, AT_FDCWD, "/etc/passwd", NULL, 0) >= 0 || errno != EPERM)
        return err_set(e, EEXIST, "openat2");
    return 0;
}

static int makes_socket(void *arg, int out, struct err *e)
{
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    return err_set(e, EEXIST, "socket gave %d", fd);
}

static int execs(void *arg, int out, struct err *e)
{
    char *argv[] = {(char *)"/bin/true", NULL};
    execv("/bin/true", argv);
    return err_set(e, EEXIST, "execve came back");
}

static int forks(void *arg, int out, struct err *e)
{
    pid_t pid = fork();
    if (pid == 0)
        _exit(0);
    return pid < 0 && errno == EPERM ? 0 : err_set(e, EEXIST, "fork gave %d", pid);
}

static int kills(void *arg, int out, struct err *e)
{
    return kill(getppid(), 0) < 0 && errno == EPERM ? 0 : err_set(e, EEXIST, "signalled its parent");
}

static int maps_code(void *arg, int out, struct err *e)
{
    void *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p != MAP_FAILED || errno != EPERM)
        return err_set(e, EEXIST, "mapped memory that may be executed");
    p = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED)
        return err_errno(e, "mmap");
    return mprotect(p, 4096, PROT_READ | PROT_EXEC) < 0 && errno == EPERM ? 0 : err_set(e, EEXIST, "mprotect");
}

static int is_nobody(void *arg, int out, struct err *e)
{
    if (geteuid() == 0 || getuid() == 0 || getegid() == 0)
        return err_set(e, EEXIST, "still uid %d", (int)geteuid());
    return setuid(0) == 0 ? err_set(e, EEXIST, "became root again") : 0;
}

static int keeps_no_other_fd(void *arg, int out, struct err *e)
{
    const int *secret = arg;
    char c;
    return read(*secret, &c, 1) < 0 && errno == EBADF ? 0 : err_set(e, EEXIST, "read a descriptor it was not given");
}

static int eats_memory(void *arg, int out, struct err *e)
{
    for (size_t i = 0; i < 4096; i++) {
        char *p = malloc(1 << 20);
        if (!p)
            abort();
        memset(p, 1, 1 << 20);
    }
    return 0;
}

static int loops(void *arg, int out, struct err *e)
{
    for (volatile unsigned long i = 0;; i++)
        ;
    return 0;
}

static int floods(void *arg, int out, struct err *e)
{
    static const char block[65536];
    int r = 0;
    while (r == 0)
        r = fs_write_all(out, block, sizeof(block), e);
    return r;
}

static int crashes(void *arg, int out, struct err *e)
{
    raise(SIGSEGV);
    return 0;
}

static int exits(void *arg, int out, struct err *e)
{
    _exit(0);
}

static int lies(void *arg, int out, struct err *e)
{
    memset(e, 'A', sizeof(*e)); /* no NUL, silly code */
    memcpy(e->msg, "\033[2J", 4);
    return INT32_MIN;
}

static void *thread_main(void *arg)
{
    return arg;
}

static int threads(void *arg, int out, struct err *e)
{
    pthread_t t;
    int r = pthread_create(&t, NULL, thread_main, NULL);
    if (r)
        return err_set(e, r, "pthread_create");
    pthread_join(t, NULL);
    pid_t pid = fork();
    if (pid == 0)
        _exit(0);
    return pid < 0 ? 0 : err_set(e, EEXIST, "forked");
}

static int reads_tree(void *arg, int out, struct err *e)
{
    const int *tree = arg;
    int fd = openat(*tree, "inside", O_RDONLY);
    char text[16];
    if (fd < 0 || read(fd, text, sizeof(text)) != 2)
        return err_errno(e, "inside");
    static const char *const outside[] = {"../outside", "/etc/passwd", "link"};
    for (size_t i = 0; i < ARRAY_LEN(outside); i++)
        if (openat(*tree, outside[i], O_RDONLY) >= 0)
            return err_set(e, EEXIST, "opened %s", outside[i]);
    if (openat(*tree, "inside", O_RDWR) >= 0 || openat(*tree, "new", O_WRONLY | O_CREAT, 0600) >= 0)
        return err_set(e, EEXIST, "opened for writing");
    return 0;
}

static int reads_private(void *arg, int out, struct err *e)
{
    const int *tree = arg;
    return openat(*tree, "private", O_RDONLY) >= 0 ? 0 : err_errno(e, "private");
}

/* ---- the parent's side ---- */

static int collect(void *arg, const void *p, size_t n, struct err *e)
{
    return 0;
}

static int run(int (*child)(void *, int, struct err *), struct jail_opts o, struct err *e)
{
    struct jail_report report = {0};
    *e = ERR_INIT;
    o.name = "test";
    o.child = child;
    int r = jail_run(&o, &report, e);
    if (r == 0) {
        assert_true(report.have & (1u << JAIL_SECCOMP_BIT));
        assert_true(report.have & (1u << JAIL_UNPRIVILEGED_BIT));
    }
    return r;
}

static void test_confined(void **state)
{
    static const struct {
        int (*child)(void *, int, struct err *);
        int want;
    } cases[] = {
        {opens_host_file, 0}, {makes_socket, -EPERM}, {execs, -EPERM},   {forks, 0},          {kills, 0},
        {maps_code, 0},       {is_nobody, 0},         {fails, -EBADMSG}, {crashes, -EBADMSG}, {exits, -EBADMSG},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct err e;
        int r = run(cases[i].child, (struct jail_opts){0}, &e);
        if (r != cases[i].want)
            fail_msg("case %zu: %d instead of %d: %s", i, r, cases[i].want, e.msg);
    }
    struct err e;
    run(fails, (struct jail_opts){0}, &e);
    assert_string_equal(e.msg, "bad magic at 7");
    assert_int_equal(run(lies, (struct jail_opts){0}, &e), -EBADMSG);
    assert_null(strchr(e.msg, '\033'));
}

struct taken {
    int fd;
    char text[64];
    size_t n;
};

static int take(void *arg, const void *p, size_t n, struct err *e)
{
    struct taken *t = arg;
    if (t->n + n > sizeof(t->text))
        return err_set(e, E2BIG, "too much");
    memcpy(t->text + t->n, p, n);
    t->n += n;
    return 0;
}

static int temporary(const char *content)
{
    char path[] = "/tmp/bh-jail-test-XXXXXX";
    int fd = mkostemp(path, O_CLOEXEC);
    assert_true(fd >= 0);
    unlink(path);
    assert_int_equal(write(fd, content, strlen(content)), strlen(content));
    assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
    return fd;
}

static void test_works(void **state)
{
    _cleanup_close_ int fd = temporary("hello");
    struct taken t = {.fd = fd};
    struct err e;
    struct jail_opts o = {.fds = &fd, .fds_n = 1, .output_max = 64, .output = take, .arg = &t};
    assert_int_equal(run(works, o, &e), 0);
    assert_int_equal(t.n, 5);
    assert_memory_equal(t.text, "hello", 5);
    assert_int_equal(run(keeps_no_other_fd, (struct jail_opts){.arg = &fd}, &e), 0);
    assert_int_equal(run(threads, (struct jail_opts){.flags = JAIL_THREADS}, &e), 0);
}

static void test_caps(void **state)
{
    struct err e;
    struct jail_opts small = {.memory = 64u << 20, .output = collect, .output_max = 1 << 20};
#if !defined(__SANITIZE_ADDRESS__)
    assert_int_equal(run(eats_memory, small, &e), -ENOMEM);
#endif
    assert_int_equal(run(loops, (struct jail_opts){.cpu_seconds = 1}, &e), -ETIMEDOUT);
    assert_int_equal(run(loops, (struct jail_opts){.wall_seconds = 1}, &e), -ETIMEDOUT);
    assert_int_equal(run(floods, small, &e), -E2BIG);
}

static void test_tree(void **state)
{
    char dir[] = "/tmp/bh-jail-tree-XXXXXX";
    assert_non_null(mkdtemp(dir));
    char path[128];
    struct err e = ERR_INIT;
    snprintf(path, sizeof(path), "%s/tree", dir);
    assert_int_equal(chmod(dir, 0755), 0);
    assert_int_equal(fs_mkdirs(path, 0755, &e), 0);
    _cleanup_close_ int tree = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    snprintf(path, sizeof(path), "%s/outside", dir);
    assert_int_equal(fs_write(path, STR("no"), 0644, &e), 0);
    snprintf(path, sizeof(path), "%s/tree/inside", dir);
    assert_int_equal(fs_write(path, STR("in"), 0644, &e), 0);
    snprintf(path, sizeof(path), "%s/tree/private", dir);
    assert_int_equal(fs_write(path, STR("in"), 0600, &e), 0);
    snprintf(path, sizeof(path), "%s/tree/link", dir);
    assert_int_equal(symlink("../outside", path), 0);
    struct jail_opts o = {.tree = &tree, .arg = &tree};
    int r = run(reads_tree, o, &e);
    if (r == -ENOTSUP)
        print_message("skipped: %s\n", e.msg);
    else if (r < 0)
        fail_msg("%s", e.msg);
    if (r == 0 && geteuid() == 0 && setgroups(0, NULL) == 0) { /* not in a user namespace, where all files are ours */
        assert_int_equal(run(reads_private, o, &e), -EACCES);
        o.flags = JAIL_READ_ALL;
        if (run(reads_private, o, &e) < 0)
            fail_msg("%s", e.msg);
    }
    assert_int_equal(fs_remove_tree(dir, &e), 0);
}

static void test_report(void **state)
{
    char text[256];
    struct jail_report none = {0}, all = {~0u}, some = {~(1u << JAIL_LANDLOCK_BIT)};
    assert_string_equal(jail_missing(&all, text, sizeof(text)), "");
    assert_string_equal(jail_missing(&some, text, sizeof(text)), "landlock");
    assert_non_null(strstr(jail_missing(&none, text, sizeof(text)), "seccomp, "));
    struct jail_report here;
    struct err e = ERR_INIT;
    struct jail_opts o = {.name = "test", .child = kills};
    assert_int_equal(jail_run(&o, &here, &e), 0);
    print_message("missing on this host: %s\n", jail_missing(&here, text, sizeof(text)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_works), cmocka_unit_test(test_confined), cmocka_unit_test(test_caps),
        cmocka_unit_test(test_tree),  cmocka_unit_test(test_report),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

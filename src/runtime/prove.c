#include "runtime/prove.h"

#include "base/cleanup.h"
#include "base/encode.h"
#include "base/fs.h"
#include "base/time.h"
#include "runtime/kernel_policy.h"
#include "runtime/pin.h"
#include "runtime/tier.h"

#include <elf.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/wait.h>

enum {
#define EVENT_CONTROL(...) +1
    CONTROLS = 0
#include "format/event.tbl.h"
#undef EVENT_CONTROL
};
#define SAYS    256u
#define LONGEST (60 * TIME_SECOND) /* on an emulated CPU; usually some milliseconds */

struct prove {
    char id[BH_ID + 1], bpf_dir[PIN_PATH];
    int cgroups; /* the hierarchy's root */
    pid_t pid;
    int out;         /* -1: ended */
    char text[2048]; /* of an unfinished line */
    size_t text_n;
    char said[CONTROLS][SAYS]; /* what became of the try */
    bool told[CONTROLS];
    enum event_outcome outcome[CONTROLS];
};

#define DOC(c, policy) "---\nkind: ContainerPolicy\nname: prove-" #c "\nmode: enforce\n" policy "\n"
static const char policies[] =
#define CONTROL_ROW(c, lsm, trace, policy, ...) DOC(c, policy)
#define CONTROL_ATTACHED(...)
#include "runtime/control.tbl.h"
    ;

static int put_policy(const struct prove *p, struct err *e)
{
    _cleanup_(arena_freep) struct arena *a = arena_new(64u << 20);
    struct policy_source source = {.origin = STR("prove"), .text = str_sub(str_c(policies), 4, sizeof(policies))};
    struct container_subject subject = {.id = str_c(p->id), .name = STR("prove")};
    struct container_policy policy;
    struct policy_set *set = NULL;
    int r = policy_set_parse(&source, 1, &set, e);
    if (r < 0)
        return r;
    policy_container(a, set, &subject, &policy);
    r = kernel_policy_put(a, p->bpf_dir, str_c(p->id), &policy, NULL, NULL, NULL, e);
    policy_set_unref(set);
    return r;
}

/* ---- the container: from here on in the child ---- */

static int copy(int from, const char *to, mode_t mode)
{
    struct stat st;
    off_t at = 0;
    int fd = open(to, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0700);
    if (fd < 0 || from < 0 || fstat(from, &st) < 0)
        return -1;
    while (at < st.st_size)
        if (sendfile(fd, from, &at, (size_t)(st.st_size - at)) <= 0)
            return -1;
    return fchmod(fd, mode) < 0 ? -1 : close(fd);
}

/* A 32-bit program that ends at once. */
static int program32(const char *path)
{
    static const unsigned char code[] = {0x31, 0xdb, 0x8d, 0x43, 0x01, 0xcd, 0x80}; /* exit(0) */
    struct {
        Elf32_Ehdr h;
        Elf32_Phdr p;
        unsigned char code[sizeof(code)];
    } f = {.h = {.e_ident = {0x7f, 'E', 'L', 'F', ELFCLASS32, ELFDATA2LSB, EV_CURRENT},
                 .e_type = ET_EXEC,
                 .e_machine = EM_386,
                 .e_version = EV_CURRENT,
                 .e_entry = 0x10000 + offsetof(typeof(f), code),
                 .e_phoff = offsetof(typeof(f), p),
                 .e_ehsize = sizeof(Elf32_Ehdr),
                 .e_phentsize = sizeof(Elf32_Phdr),
                 .e_phnum = 1},
           .p = {.p_type = PT_LOAD,
                 .p_vaddr = 0x10000,
                 .p_filesz = sizeof(f),
                 .p_memsz = sizeof(f),
                 .p_flags = PF_R | PF_X,
                 .p_align = 0x1000}};
    memcpy(f.code, code, sizeof(code));
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0755);
    ssize_t n = fd < 0 ? -1 : write(fd, &f, sizeof(f));
    return fd < 0 || close(fd) < 0 || n != sizeof(f) ? -1 : 0;
}

/* A fresh overlay over the host's root: the image. Its programs: ourselves as `try`, and copies of something small. */
static const char *stage(int self)
{
    int small = -1;
    static const char *const programs[] = {"/bin/true", "/usr/bin/true", "/bin/busybox", "/bin/sh"};
    for (size_t i = 0; i < ARRAY_LEN(programs) && small < 0; i++)
        small = open(programs[i], O_RDONLY | O_CLOEXEC);
    umask(0);
    if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
        return "a mount namespace";
    if (mount("prove", "/tmp", "tmpfs", 0, "size=256m") < 0)
        return "a tmpfs";
    static const char *const folders[] = {"/tmp/image", "/tmp/upper", "/tmp/work", "/tmp/root"};
    for (size_t i = 0; i < ARRAY_LEN(folders); i++)
        if (mkdir(folders[i], 0755) < 0)
            return "folders";
    if (copy(self, "/tmp/image/try", 0755) < 0 || copy(small, "/tmp/image/stranger", 0755) < 0 ||
        copy(small, "/tmp/image/denied", 0755) < 0 || copy(small, "/tmp/image/suid", 04755) < 0 ||
        copy(small, "/tmp/image/protected", 0644) < 0 || program32("/tmp/image/try32") < 0)
        return "an image";
    if (mount("prove", "/tmp/root", "overlay", 0, "lowerdir=/tmp/image:/,upperdir=/tmp/upper,workdir=/tmp/work") < 0)
        return "an overlay over the host's root";
    return NULL;
}

static void enter(const struct prove *p, int self, int cgroup)
{
    char *argv[] = {(char *)"bulkhead-agent", (char *)"try", NULL}, *envp[] = {NULL};
    const char *missing = stage(self);
    int procs = openat(cgroup, "cgroup.procs", O_WRONLY | O_CLOEXEC);
    if (!missing && (procs < 0 || write(procs, "0", 1) < 0))
        missing = "a cgroup";
    if (!missing && (chroot("/tmp/root") < 0 || chdir("/") < 0))
        missing = "a root of its own";
    if (!missing) {
        execve("/try", argv, envp);
        missing = "its first program";
    }
    dprintf(STDOUT_FILENO, "*\t%s: %s\n", missing, strerror(errno));
    _exit(1);
}

static int start(struct prove *p, struct err *e)
{
    int out[2];
    _cleanup_close_ int self = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
    _cleanup_close_ int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    _cleanup_close_ int cgroup = -1;
    if (mkdirat(p->cgroups, p->id, 0755) < 0 ||
        (cgroup = openat(p->cgroups, p->id, O_RDONLY | O_DIRECTORY | O_CLOEXEC)) < 0)
        return err_errno(e, "a throw-away cgroup");
    if (pipe2(out, O_CLOEXEC) < 0)
        return err_errno(e, "pipe");
    p->pid = fork();
    if (p->pid == 0) {
        sigset_t none;
        sigemptyset(&none);
        sigprocmask(SIG_SETMASK, &none, NULL);
        dup2(null, STDIN_FILENO);
        dup2(out[1], STDOUT_FILENO);
        dup2(null, STDERR_FILENO);
        enter(p, self, cgroup);
    }
    close(out[1]);
    p->out = out[0];
    return p->pid < 0 ? err_errno(e, "fork") : fcntl(p->out, F_SETFL, O_NONBLOCK) < 0 ? err_errno(e, "pipe") : 0;
}

static int prepare(struct prove **ret, const char *bpf_dir, struct err *e)
{
    _cleanup_(prove_freep) struct prove *p = calloc(1, sizeof(*p));
    unsigned char random[BH_ID / 2];
    if (!p)
        abort();
    p->out = -1;
    fs_random(random, sizeof(random));
    hex_encode(random, sizeof(random), p->id);
    snprintf(p->bpf_dir, sizeof(p->bpf_dir), "%s", bpf_dir ? bpf_dir : SENSOR_BPF_DIR);
    p->cgroups = tier_cgroup_root();
    if (p->cgroups < 0)
        p->cgroups = open("/sys/fs/cgroup/pids", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (p->cgroups < 0)
        return err_errno(e, "no cgroup hierarchy to try in");
    int r = put_policy(p, e);
    if (r == 0)
        *ret = TAKE(p);
    return r;
}

int prove_start(struct prove **ret, const char *bpf_dir, struct err *e)
{
    _cleanup_(prove_freep) struct prove *p = NULL;
    int r = prepare(&p, bpf_dir, e);
    if (r < 0 || (r = start(p, e)) < 0)
        return r;
    *ret = TAKE(p);
    return 0;
}

/* Whoever is left in the cgroup, and a moment for the kernel to take it away. */
static void end_all(const struct prove *p)
{
    _cleanup_(arena_freep) struct arena *a = arena_new(1u << 20);
    char path[BH_ID + 32];
    struct str text, line;
    int64_t pid;
    snprintf(path, sizeof(path), "%s/cgroup.procs", p->id);
    _cleanup_close_ int fd = openat(p->cgroups, path, O_RDONLY | O_CLOEXEC);
    if (fd >= 0 && fs_read_fd(a, fd, 65536, &text, NULL) == 0)
        while (str_cut(&text, '\n', &line))
            if (str_i64(line, &pid) == 0 && pid > 1)
                kill((pid_t)pid, SIGKILL);
    poll(NULL, 0, 10);
}

void prove_free(struct prove *p)
{
    if (!p)
        return;
    if (p->pid > 0) {
        kill(p->pid, SIGKILL);
        while (waitpid(p->pid, NULL, 0) < 0 && errno == EINTR)
            ;
    }
    if (p->out >= 0)
        close(p->out);
    if (p->cgroups >= 0) {
        for (int i = 0; i < 50 && unlinkat(p->cgroups, p->id, AT_REMOVEDIR) < 0 && errno == EBUSY; i++)
            end_all(p);
        close(p->cgroups);
    }
    kernel_policy_del(p->bpf_dir, str_c(p->id), NULL);
    free(p);
}

void prove_freep(struct prove **p)
{
    prove_free(*p);
}

/* ---- what came of it ---- */

static void note_line(struct prove *p, struct str line)
{
    struct str name, what;
    str_split(line, '\t', &name, &what);
    for (int c = 0; c < (int)CONTROLS; c++)
        if (str_eqc(name, "*") || str_eqc(name, event_control_name((enum event_control)c)))
            snprintf(p->said[c], SAYS, "%s" STR_FMT, str_eqc(name, "*") ? "skipped this host refuses " : "",
                     STR_ARG(str_sub(what, 0, SAYS - 40)));
}

int prove_fd(const struct prove *p)
{
    return p->out;
}

bool prove_read(struct prove *p)
{
    if (p->out < 0)
        return false;
    ssize_t n;
    while ((n = read(p->out, p->text + p->text_n, sizeof(p->text) - p->text_n)) > 0) {
        struct str rest = str_n(p->text, p->text_n + (size_t)n), line;
        while (str_chr(rest, '\n') >= 0 && str_cut(&rest, '\n', &line))
            note_line(p, line);
        memmove(p->text, rest.p, rest.n);
        p->text_n = rest.n;
    }
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return true;
    close(p->out);
    p->out = -1;
    while (waitpid(p->pid, NULL, 0) < 0 && errno == EINTR)
        ;
    p->pid = 0;
    return false;
}

bool prove_id(const struct prove *p, struct str id)
{
    return str_eqc(id, p->id);
}

bool prove_event(struct prove *p, const struct sensor_event *ev)
{
    if (!prove_id(p, ev->id))
        return false;
    if (ev->control != CONTROL_none && (!p->told[ev->control] || ev->outcome > p->outcome[ev->control])) {
        p->told[ev->control] = true;
        p->outcome[ev->control] = ev->outcome;
    }
    return true;
}

bool prove_complete(const struct prove *p)
{
    for (size_t c = 0; c < CONTROLS; c++)
        if (p->said[c][0] && strncmp(p->said[c], "skipped", 7) && !p->told[c])
            return false;
    return p->out < 0;
}

enum proof prove_result(const struct prove *p, enum event_control c, enum event_level level, char *text, size_t n)
{
    const char *said = p->said[c];
    if (!said[0] || !strncmp(said, "skipped", 7)) {
        snprintf(text, n, "not tried: %s", said[0] ? said + 8 : "it cannot be done without harm");
        return PROOF_UNTRIED;
    }
    bool killed = !strcmp(said, "killed") && p->told[c] && p->outcome[c] == OUTCOME_killed;
    bool refused = !strncmp(said, "refused", 7) && p->told[c] && p->outcome[c] == OUTCOME_prevented;
    int64_t error = 0;
    if (refused)
        str_i64(str_c(said + 8), &error);
    if (level == LEVEL_block && refused)
        snprintf(text, n, "tried by a child of ours: refused (%s), and told", strerror((int)error));
    else if (level == LEVEL_kill && killed)
        snprintf(text, n, "tried by a child of ours: killed, and told");
    else if (level == LEVEL_detect && p->told[c])
        snprintf(text, n, "tried by a child of ours: told");
    else {
        snprintf(text, n, "tried by a child of ours: it %s, and the kernel %s", said,
                 p->told[c] ? "told of it otherwise" : "told nothing");
        return PROOF_NONE;
    }
    return PROOF_PROVEN;
}

/* ---- all at once ---- */

static int on_event(void *ctx, const struct sensor_event *ev)
{
    prove_event(ctx, ev);
    return 0;
}

/* Whoever is in force takes the container for a strange one: it is told that nothing is to be said of it. */
static void hush(const char *bpf_dir, const struct prove *p, bool on)
{
    _cleanup_(arena_freep) struct arena *a = arena_new(4u << 20);
    struct container_policy off = {.mode = MODE_AUDIT};
    if (on)
        kernel_policy_put(a, bpf_dir, str_c(p->id), &off, NULL, NULL, NULL, NULL);
    else
        kernel_policy_del(bpf_dir, str_c(p->id), NULL);
}

int prove_host(const char *bpf_dir, enum sensor_tier tier, struct prove **ret, struct err *e)
{
    char dir[PIN_PATH];
    const char *in_force = bpf_dir ? bpf_dir : SENSOR_BPF_DIR;
    snprintf(dir, sizeof(dir), "%s-doctor-%d", in_force, getpid());
    _cleanup_(sensor_closep) struct sensor *s = NULL;
    _cleanup_(arena_freep) struct arena *a = arena_new(4u << 20);
    struct container_policy off = {.mode = MODE_AUDIT};
    struct sensor_opts o = {.bpf_dir = dir, .tier = tier};
    _cleanup_(prove_freep) struct prove *p = NULL;
    int r = sensor_open(&o, &s, e);
    if (r == 0 && (r = kernel_policy_default(a, dir, &off, NULL, NULL, e)) == 0 && (r = prepare(&p, dir, e)) == 0) {
        hush(in_force, p, true);
        r = start(p, e);
        for (int64_t end = time_monotonic() + LONGEST; prove_read(p) && time_monotonic() < end;) {
            struct pollfd fd = {.fd = prove_fd(p), .events = POLLIN};
            poll(&fd, 1, 20);
            sensor_poll(s, 0, on_event, p, NULL);
        }
        for (int64_t end = time_monotonic() + TIME_SECOND / 2; !prove_complete(p) && time_monotonic() < end;)
            sensor_poll(s, 50, on_event, p, NULL);
        hush(in_force, p, false);
    }
    sensor_close(TAKE(s));
    sensor_remove(dir, NULL);
    if (r == 0)
        *ret = TAKE(p);
    return r;
}

#include "sandbox/sandbox.h"

#include "base/cleanup.h"
#include "base/fs.h"
#include "base/time.h"
#include "engine/docker.h"
#include "engine/target.h"
#include "format/digest.h"
#include "runtime/kernel_policy.h"
#include "sandbox/layers.h"
#include "sandbox/observe.h"

#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#define NAMESERVER "198.19.255.254"
#define TOLD       400u

struct sandbox {
    struct arena *a;
    const struct sandbox_opts *o;
    struct inventory *inv;
    const char *runtime; /* path of crun or runc */
    char dir[64], bpf_dir[64];
    struct str id;
    int netns;
    struct sandbox_user user;
    struct sensor *sensor;
    struct sink *sink;
    struct observe *observe;
    pid_t pid; /* of the runtime's `run` */
    int said;  /* what it and the container print */
    char told[TOLD];
    size_t told_n;
};

/* ---- the image ---- */

struct source {
    struct sandbox *s;
    sandbox_put_fn *put;
    void *ctx;
};

static int feed_file(void *ctx, sandbox_put_fn *put, void *put_ctx, struct err *e)
{
    static char block[1 << 16];
    const char *path = ctx;
    _cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n;
    int r = 0;
    if (fd < 0)
        return err_errno(e, "%s", path);
    while (r >= 0 && (n = read(fd, block, sizeof(block))) != 0)
        r = n < 0 ? err_errno(e, "%s", path) : put(put_ctx, block, (size_t)n, e);
    return r;
}

static int feed_engine(void *ctx, sandbox_put_fn *put, void *put_ctx, struct err *e)
{
    struct sandbox *s = ctx;
    const char *host = getenv("DOCKER_HOST");
    const char *url = s->o->engine_url ? s->o->engine_url : host && host[0] ? host : DOCKER_DEFAULT_URL;
    _cleanup_(docker_closep) struct docker *d = NULL;
    int r = docker_open(url, &d, e);
    return r < 0 ? r : docker_image_export(d, s->inv->image_id, put, put_ctx, e);
}

static int unpack(struct sandbox *s, struct err *e)
{
    struct target t;
    int r = target_parse(s->a, s->o->target, &t, e);
    if (r < 0)
        return r;
    if (t.kind == TARGET_ARCHIVE && strcmp(t.path, "-") != 0)
        return sandbox_unpack(s->inv, feed_file, (void *)(uintptr_t)t.path, s->dir, &s->user, e);
    if (t.kind == TARGET_DOCKER || t.kind == TARGET_ANY)
        return sandbox_unpack(s->inv, feed_engine, s, s->dir, &s->user, e);
    return err_set(e, ENOTSUP, "images are run from archive:FILE and from Docker only (docker:NAME)");
}

/* ---- the container ---- */

static const char *find_runtime(struct arena *a)
{
    /* crun does not run where version 1 of cgroups is mounted as well */
    bool v2 = fs_exists("/sys/fs/cgroup/cgroup.controllers");
    static const char *const folders[] = {"/usr/bin", "/usr/sbin", "/usr/local/bin", "/usr/local/sbin"};
    for (int want = v2 ? 0 : 1; want < 2; want++)
        for (size_t i = 0; i < ARRAY_LEN(folders); i++) {
            const char *path = arena_printf(a, "%s/%s", folders[i], want ? "runc" : "crun");
            if (access(path, X_OK) == 0)
                return path;
        }
    return NULL;
}

static void strings(struct json_writer *w, const char *key, const char *const *list, size_t n)
{
    json_w_karray(w, key);
    for (size_t i = 0; i < n; i++)
        json_w_str(w, str_c(list[i]));
    json_w_end(w);
}

static void mount_entry(struct json_writer *w, const char *to, const char *type, const char *const *options, size_t n)
{
    json_w_object(w);
    json_w_kstrz(w, "destination", to);
    json_w_kstrz(w, "type", type);
    json_w_kstrz(w, "source", type);
    strings(w, "options", options, n);
    json_w_end(w);
}

static void write_process(struct sandbox *s, struct json_writer *w)
{
    static const char *const caps[] = {"CAP_CHOWN",  "CAP_DAC_OVERRIDE", "CAP_FOWNER",           "CAP_FSETID",
                                       "CAP_SETGID", "CAP_SETUID",       "CAP_NET_BIND_SERVICE", "CAP_KILL"};
    const struct image_config *c = &s->inv->config;
    bool path = false;
    json_w_kobject(w, "process");
    json_w_kstr(w, "cwd", c->working_dir.n && c->working_dir.p[0] == '/' ? c->working_dir : STR("/"));
    json_w_kbool(w, "noNewPrivileges", true);
    json_w_karray(w, "env");
    for (size_t i = 0; i < c->env_n; i++) {
        path = path || str_starts(c->env[i], STR("PATH="));
        json_w_str(w, c->env[i]);
    }
    if (!path)
        json_w_str(w, STR("PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"));
    json_w_end(w);
    json_w_karray(w, "args");
    for (size_t i = 0; i < c->entrypoint_n; i++)
        json_w_str(w, c->entrypoint[i]);
    for (size_t i = 0; i < c->cmd_n; i++)
        json_w_str(w, c->cmd[i]);
    json_w_end(w);
    json_w_kobject(w, "user");
    json_w_ki64(w, "uid", s->user.uid);
    json_w_ki64(w, "gid", s->user.gid);
    json_w_end(w);
    json_w_kobject(w, "capabilities");
    strings(w, "bounding", caps, ARRAY_LEN(caps));
    strings(w, "effective", caps, ARRAY_LEN(caps));
    strings(w, "permitted", caps, ARRAY_LEN(caps));
    json_w_end(w);
    json_w_karray(w, "rlimits");
    json_w_object(w);
    json_w_kstrz(w, "type", "RLIMIT_CORE");
    json_w_ki64(w, "hard", 0);
    json_w_ki64(w, "soft", 0);
    json_w_end(w);
    json_w_end(w);
    json_w_end(w);
}

static void write_linux(struct sandbox *s, struct json_writer *w)
{
    static const char *const spaces[] = {"pid", "mount", "ipc", "uts"};
    static const char *const masked[] = {
        "/proc/acpi",        "/proc/kcore", "/proc/keys",    "/proc/latency_stats", "/proc/timer_list",
        "/proc/sched_debug", "/proc/scsi",  "/sys/firmware", "/proc/sysrq-trigger", "/proc/interrupts"};
    static const char *const readonly[] = {"/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys"};
    json_w_kobject(w, "linux");
    json_w_kstr(w, "cgroupsPath", arena_strf(s->a, "/bulkhead-dynamic/" STR_FMT, STR_ARG(s->id)));
    json_w_karray(w, "namespaces");
    for (size_t i = 0; i < ARRAY_LEN(spaces); i++) {
        json_w_object(w);
        json_w_kstrz(w, "type", spaces[i]);
        json_w_end(w);
    }
    json_w_object(w);
    json_w_kstrz(w, "type", "network");
    json_w_kstr(w, "path", arena_strf(s->a, "/proc/%d/fd/%d", getpid(), s->netns));
    json_w_end(w);
    json_w_end(w);
    strings(w, "maskedPaths", masked, ARRAY_LEN(masked));
    strings(w, "readonlyPaths", readonly, ARRAY_LEN(readonly));
    json_w_kobject(w, "resources");
    json_w_kobject(w, "memory");
    json_w_ki64(w, "limit", 1 << 30);
    json_w_end(w);
    json_w_kobject(w, "pids");
    json_w_ki64(w, "limit", 512);
    json_w_end(w);
    json_w_kobject(w, "cpu");
    json_w_ki64(w, "quota", 100000);
    json_w_ki64(w, "period", 100000);
    json_w_end(w);
    json_w_karray(w, "devices");
    json_w_object(w);
    json_w_kbool(w, "allow", false);
    json_w_kstrz(w, "access", "rwm");
    json_w_end(w);
    json_w_end(w);
    json_w_end(w);
    json_w_end(w);
}

static int write_bundle(struct sandbox *s, struct err *e)
{
    static const char *const safe[] = {"nosuid", "noexec", "nodev"};
    static const char *const safe_ro[] = {"nosuid", "noexec", "nodev", "ro"};
    static const char *const dev[] = {"nosuid", "mode=755", "size=65536k"};
    static const char *const pts[] = {"nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620"};
    static const char *const shm[] = {"nosuid", "nodev", "mode=1777", "size=64m"};
    _cleanup_(buf_fini) struct buf b = BUF_INIT(4u << 20);
    struct json_writer w = JSON_WRITER(&b);
    json_w_object(&w);
    json_w_kstrz(&w, "ociVersion", "1.0.2");
    json_w_kstrz(&w, "hostname", "sandbox");
    json_w_kobject(&w, "root");
    json_w_kstrz(&w, "path", "merged");
    json_w_end(&w);
    write_process(s, &w);
    json_w_karray(&w, "mounts");
    mount_entry(&w, "/proc", "proc", safe, ARRAY_LEN(safe));
    mount_entry(&w, "/dev", "tmpfs", dev, ARRAY_LEN(dev));
    mount_entry(&w, "/dev/pts", "devpts", pts, ARRAY_LEN(pts));
    mount_entry(&w, "/dev/shm", "tmpfs", shm, ARRAY_LEN(shm));
    mount_entry(&w, "/sys", "sysfs", safe_ro, ARRAY_LEN(safe_ro));
    json_w_end(&w);
    write_linux(s, &w);
    json_w_end(&w);
    int r = buf_check(&b, e);
    return r < 0 ? r : fs_write(arena_printf(s->a, "%s/config.json", s->dir), buf_str(&b), 0600, e);
}

/* In a mount namespace of its own, so that nothing is left on the host: the overlay with its upper layer in memory. */
static int stage(struct sandbox *s, struct err *e)
{
    const char *top = arena_printf(s->a, "%s/top", s->dir), *merged = arena_printf(s->a, "%s/merged", s->dir);
    struct err sub = ERR_INIT;
    if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 || mkdir(top, 0755) < 0 ||
        mkdir(merged, 0755) < 0 || mount("tmpfs", top, "tmpfs", 0, "mode=0755,size=1g") < 0)
        return err_errno(e, "mounts");
    const char *upper = arena_printf(s->a, "%s/upper", top), *work = arena_printf(s->a, "%s/work", top);
    if (mkdir(upper, 0755) < 0 || mkdir(work, 0755) < 0 || mkdir(arena_printf(s->a, "%s/etc", upper), 0755) < 0 ||
        fs_write(arena_printf(s->a, "%s/etc/resolv.conf", upper), STR("nameserver " NAMESERVER "\n"), 0644, &sub) < 0 ||
        fs_write(arena_printf(s->a, "%s/etc/hosts", upper), STR("127.0.0.1 localhost sandbox\n::1 localhost\n"), 0644,
                 &sub) < 0)
        return err_errno(e, "upper layer");
    if (mount("overlay", merged, "overlay", 0,
              arena_printf(s->a, "lowerdir=%s/rootfs,upperdir=%s,workdir=%s", s->dir, upper, work)) < 0)
        return err_errno(e, "overlay");
    return 0;
}

static int start(struct sandbox *s, struct err *e)
{
    int out[2];
    const char *state = arena_printf(s->a, "%s/state", s->dir), *id = arena_cstr(s->a, s->id);
    if (pipe2(out, O_CLOEXEC | O_NONBLOCK) < 0)
        return err_errno(e, "pipe");
    s->pid = fork();
    if (s->pid < 0)
        return err_errno(e, "fork");
    if (s->pid == 0) {
        struct err sub = ERR_INIT;
        int null = open("/dev/null", O_RDWR | O_CLOEXEC);
        fcntl(out[1], F_SETFL, 0);
        dup2(null, 0);
        dup2(out[1], 1);
        dup2(out[1], 2);
        setsid();
        if (stage(s, &sub) < 0)
            fprintf(stderr, "%s\n", sub.msg);
        else
            execl(s->runtime, s->runtime, "--root", state, "run", "--bundle", s->dir, id, (char *)NULL);
        _exit(127);
    }
    close(out[1]);
    s->said = out[0];
    return 0;
}

static void listen_in(struct sandbox *s)
{
    char block[4096];
    for (ssize_t n; (n = read(s->said, block, sizeof(block))) > 0;)
        for (ssize_t i = 0; i < n && s->told_n < TOLD - 1; i++)
            s->told[s->told_n++] = block[i] >= ' ' && block[i] < 127 ? block[i] : ' ';
}

/* Everything in it dies; the runtime knows how on either version of cgroups. */
static void stop(struct sandbox *s)
{
    const char *state = arena_printf(s->a, "%s/state", s->dir), *id = arena_cstr(s->a, s->id);
    pid_t pid = fork();
    if (pid == 0) {
        int null = open("/dev/null", O_RDWR | O_CLOEXEC);
        dup2(null, 0);
        dup2(null, 1);
        dup2(null, 2);
        execl(s->runtime, s->runtime, "--root", state, "delete", "--force", id, (char *)NULL);
        _exit(127);
    }
    if (pid > 0)
        waitpid(pid, NULL, 0);
    if (s->pid > 0) {
        kill(s->pid, SIGKILL);
        waitpid(s->pid, NULL, 0);
        s->pid = 0;
    }
}

static int watch(struct sandbox *s, struct err *e)
{
    int64_t until = time_now() + (int64_t)s->o->seconds * TIME_SECOND, now;
    int r = 0;
    _cleanup_close_ int pidfd = (int)syscall(SYS_pidfd_open, s->pid, 0);
    while (r >= 0 && (now = time_now()) < until) {
        struct pollfd p[] = {{.fd = sensor_fd(s->sensor), .events = POLLIN},
                             {.fd = sink_fd(s->sink), .events = POLLIN},
                             {.fd = s->said, .events = POLLIN},
                             {.fd = pidfd, .events = POLLIN}};
        int64_t left = (until - now) / (TIME_SECOND / 1000) + 1;
        if (poll(p, ARRAY_LEN(p), left < 500 ? (int)left : 500) < 0 && errno != EINTR)
            return err_errno(e, "poll");
        sink_serve(s->sink);
        listen_in(s);
        r = sensor_poll(s->sensor, 0, observe_event, s->observe, e);
        if (p[3].revents)
            break;
    }
    stop(s);
    while (r > 0 || (r == 0 && (r = sensor_poll(s->sensor, 100, observe_event, s->observe, e)) > 0))
        r = sensor_poll(s->sensor, 100, observe_event, s->observe, e);
    listen_in(s);
    sink_serve(s->sink);
    if (r >= 0 && !observe_executed(s->observe))
        return err_set(e, EIO, "the image's command did not start: %s", s->told_n ? s->told : "nothing was seen");
    return r;
}

/* ---- the network: made in a namespace that nobody else has ---- */

static int make_network(struct sandbox *s, struct err *e)
{
    int fds[SINK_SOCKETS], r;
    _cleanup_close_ int ours = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
    if (ours < 0 || unshare(CLONE_NEWNET) < 0)
        return err_errno(e, "network namespace");
    s->netns = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
    r = s->netns < 0 ? err_errno(e, "network namespace") : sink_sockets(fds, e);
    if (setns(ours, CLONE_NEWNET) < 0)
        abort(); /* not in a namespace that leads nowhere */
    return r < 0 ? r : sink_open(s->netns, fds, &s->sink, e);
}

static int prepare(struct sandbox *s, struct err *e)
{
    uint8_t random[32];
    struct container_policy policy;
    const char *tmp = getenv("TMPDIR");
    int r;
    snprintf(s->dir, sizeof(s->dir), "%.30s/bulkhead-dynamic-XXXXXX", tmp && tmp[0] == '/' ? tmp : "/var/tmp");
    if (!mkdtemp(s->dir))
        return err_errno(e, "%s", s->dir);
    snprintf(s->bpf_dir, sizeof(s->bpf_dir), SENSOR_BPF_DIR "-dynamic-%d", getpid());
    fs_random(random, sizeof(random));
    char digest[DIGEST_TEXT];
    s->id = arena_str(s->a, str_c(digest_text(random, digest) + 7));
    if ((r = unpack(s, e)) < 0 || (r = make_network(s, e)) < 0 || (r = write_bundle(s, e)) < 0 ||
        (r = observe_new(s->a, s->inv, s->id, s->dir, &s->observe, e)) < 0)
        return r;
    struct sensor_opts so = {.bpf_dir = s->bpf_dir, .opens = true};
    if ((r = sensor_open(&so, &s->sensor, e)) < 0)
        return err_wrap(e, "sensor"), r;
    policy_container(s->a, NULL, NULL, &policy);
    struct kernel_policy_extra extra = {.image_id = s->inv->image_id, .tell_all = true};
    return kernel_policy_put(s->a, s->bpf_dir, s->id, &policy, &extra, NULL, NULL, e);
}

static void clean(struct sandbox *s)
{
    if (s->pid > 0)
        stop(s);
    if (s->sensor) {
        sensor_close(s->sensor);
        sensor_remove(s->bpf_dir, NULL);
    }
    sink_close(s->sink);
    observe_free(s->observe);
    if (s->netns >= 0)
        close(s->netns);
    if (s->said >= 0)
        close(s->said);
    if (s->dir[0])
        fs_remove_tree(s->dir, NULL);
}

int sandbox_run(struct arena *a, const struct sandbox_opts *o, struct inventory *inv, struct err *e)
{
    struct sandbox s = {.a = a, .o = o, .inv = inv, .runtime = find_runtime(a), .netns = -1, .said = -1};
    if (geteuid() != 0)
        return err_set(e, EPERM, "--dynamic needs root: it makes namespaces and loads the sensor");
    if (!s.runtime)
        return err_set(e, ENOENT, "--dynamic needs %s in /usr/bin or /usr/sbin",
                       fs_exists("/sys/fs/cgroup/cgroup.controllers") ? "crun or runc" : "runc");
    if (!inv->config.entrypoint_n && !inv->config.cmd_n)
        return err_set(e, EINVAL, "the image names no command, there is nothing to run");
    if (inv->incomplete)
        return err_set(e, EINVAL, "an image that could not be read completely is not run");
    int r = prepare(&s, e);
    if (r >= 0)
        r = start(&s, e);
    if (r >= 0)
        r = watch(&s, e);
    if (r >= 0) {
        observe_finish(s.observe, s.sink, inv);
        if (o->profile_out)
            r = observe_profile(s.observe, o->profile_out, e);
    }
    clean(&s);
    return r < 0 ? err_wrap(e, "dynamic analysis"), r : 0;
}

#include "runtime/tier.h"

#include "base/cleanup.h"
#include "runtime/demand.h"
#include "runtime/object.h"

#include <bpf/bpf.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <unistd.h>

#define CGROUP2_MAGIC 0x63677270

/* ---- what belongs to a tier ---- */

/* The kernel can call us back when a system call returns (6.18): nothing on the way out of all calls then. */
static bool tier_task_work(void)
{
    return libbpf_find_vmlinux_btf_id("bpf_task_work_schedule_resume_impl", 0) > 0;
}

bool tier_wants(enum sensor_tier t, const struct sensor_opts *o, const char *program)
{
    if (!strncmp(program, "exit_", 5))
        return t == SENSOR_TRACE && !tier_task_work();
    if (!strncmp(program, "compat_", 7))
        return t == SENSOR_TRACE && demand_compat_possible() && !strcmp(program, "compat_plain") != tier_task_work();
    if (!strncmp(program, "net_lsm_", 8) || !strncmp(program, "iso_lsm_", 8) || !strncmp(program, "self_lsm_", 9))
        return t == SENSOR_LSM;
    if (!strncmp(program, "net_trace_", 10) || !strncmp(program, "iso_trace_", 10) ||
        !strncmp(program, "self_trace_", 11))
        return t == SENSOR_TRACE;
    return true;
}

bool tier_may_miss(const char *program)
{
    return !strncmp(program, "call_", 5) || !strncmp(program, "exit_", 5) || !strncmp(program, "net_", 4) ||
           !strncmp(program, "iso_", 4) || !strncmp(program, "self_", 5) || !strncmp(program, "open_", 5) ||
           !strncmp(program, "may_", 4);
}

int tier_cgroup_root(void)
{
    static const char *const places[] = {"/sys/fs/cgroup", "/sys/fs/cgroup/unified"};
    for (size_t i = 0; i < ARRAY_LEN(places); i++) {
        struct statfs st;
        if (statfs(places[i], &st) == 0 && st.f_type == CGROUP2_MAGIC)
            return open(places[i], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    }
    return -1;
}

/* ---- the probe ---- */

/* The child waits until it is the target, then tries to become another program; 100 + errno when it may not. */
static pid_t start_child(const int go[2])
{
    pid_t pid = fork();
    if (pid != 0)
        return pid;
    char c;
    close(go[1]); /* ours, or the end would never be seen */
    while (read(go[0], &c, 1) < 0 && errno == EINTR)
        ;
    /* the last one for an image that holds nothing but the agent */
    static const char *const programs[] = {"/bin/true", "/usr/bin/true", "/bin/busybox", "/bin/sh", "/proc/self/exe"};
    dup2(go[0], STDOUT_FILENO);
    int last = ENOENT;
    for (size_t i = 0; i < ARRAY_LEN(programs); i++) {
        char *argv[] = {(char *)"true", (char *)"--version", NULL}, *envp[] = {NULL};
        execve(programs[i], argv, envp);
        last = errno;
        if (last != ENOENT)
            break;
    }
    _exit(100 + last);
}

static int set_target(struct bpf_object *obj, uint32_t pid, struct err *e)
{
    struct bpf_map *bss = bpf_object__find_map_by_name(obj, "probe.bss");
    uint32_t zero = 0, v[2] = {pid, 0};
    if (!bss || bpf_map__value_size(bss) != sizeof(v))
        return err_set(e, EINVAL, "the probe has no variables");
    return bpf_map__update_elem(bss, &zero, sizeof(zero), v, sizeof(v), BPF_ANY) < 0 ? err_errno(e, "probe") : 0;
}

static int run_child(struct bpf_object *obj, enum sensor_tier t, char *seen, size_t n, struct err *e)
{
    int go[2], status = 0;
    if (pipe2(go, O_CLOEXEC) < 0)
        return err_errno(e, "pipe");
    pid_t pid = start_child(go);
    close(go[0]);
    int r = pid < 0 ? err_errno(e, "fork") : set_target(obj, (uint32_t)pid, e);
    close(go[1]);
    if (pid > 0)
        while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
            ;
    if (r < 0)
        return r;
    if (t == SENSOR_LSM && WIFEXITED(status) && WEXITSTATUS(status) == 100 + EPERM) {
        snprintf(seen, n, "an exec by a child of ours was refused with EPERM");
        return 0;
    }
    if (t == SENSOR_TRACE && WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL) {
        snprintf(seen, n, "a child of ours was killed before the first instruction of the program it started");
        return 0;
    }
    return err_set(e, ENOTSUP, "the probe was loaded but did not act (status %#x)", (unsigned)status);
}

int tier_probe(enum sensor_tier t, char *seen, size_t n, struct err *e)
{
    const char *program = t == SENSOR_LSM ? "probe_lsm" : "probe_trace";
    struct bpf_object *obj;
    int r = object_open(object_find("probe"), NULL, 0, &obj, e);
    if (r < 0)
        return r;
    struct bpf_program *p;
    bpf_object__for_each_program(p, obj) bpf_program__set_autoload(p, !strcmp(bpf_program__name(p), program));
    struct bpf_link *link = NULL;
    if ((r = object_load(obj, "probe", e)) == 0) {
        link = bpf_program__attach(bpf_object__find_program_by_name(obj, program));
        r = link ? run_child(obj, t, seen, n, e) : err_errno(e, "the kernel refused to attach %s", program);
    }
    bpf_link__destroy(link);
    bpf_object__close(obj);
    return r;
}

int tier_choose(enum sensor_tier wanted, enum sensor_tier *ret, struct err *e)
{
    static const enum sensor_tier order[] = {SENSOR_LSM, SENSOR_TRACE};
    char seen[128];
    int r = 0;
    object_quiet();
    for (size_t i = 0; i < ARRAY_LEN(order); i++) {
        if (wanted != SENSOR_AUTO && wanted != order[i])
            continue;
        if ((r = tier_probe(order[i], seen, sizeof(seen), e)) == 0) {
            *ret = order[i];
            return 0;
        }
    }
    char why[sizeof(e->msg)];
    snprintf(why, sizeof(why), "%s", e ? e->msg : "");
    err_set(e, ENOTSUP, "%s", why);
    return err_wrap(e, "this kernel cannot carry the %s tier", wanted == SENSOR_LSM ? "lsm" : "trace");
}

#include "runtime/demand.h"

#include "base/cleanup.h"
#include "base/str.h"
#include "runtime/pin.h"

#include <bpf/bpf.h>
#include <dirent.h>
#include <fcntl.h>
#include <linux/perf_event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static const struct {
    enum demand demand;
    const char *program, *tracepoint; /* tracepoint NULL: a BTF one, which knows where it belongs */
} programs[] = {
    {DEMAND_COMPAT, "compat_enter", NULL},
    {DEMAND_COMPAT, "compat_plain", NULL},
    {DEMAND_LEARN, "learn_enter", NULL},
    {DEMAND_OPENS, "open_trace_open", "sys_exit_open"},
    {DEMAND_OPENS, "open_trace_openat", "sys_exit_openat"},
    {DEMAND_OPENS, "open_trace_openat2", "sys_exit_openat2"},
    {DEMAND_OPENS, "open_trace_creat", "sys_exit_creat"},
};

bool demand_has(const char *program)
{
    for (size_t i = 0; i < ARRAY_LEN(programs); i++)
        if (!strcmp(programs[i].program, program))
            return true;
    return false;
}

int demand_keep(struct bpf_program *p, const char *links_dir, struct err *e)
{
    char path[PIN_PATH];
    if ((size_t)snprintf(path, sizeof(path), "%s/demand-%s", links_dir, bpf_program__name(p)) >= sizeof(path))
        return err_set(e, ENAMETOOLONG, "%s: path too long", links_dir);
    return bpf_program__pin(p, path) < 0 ? err_errno(e, "cannot pin %s", path) : 0;
}

static int tracepoint_open(const char *name, struct err *e)
{
    static const char *const places[] = {"/sys/kernel/tracing", "/sys/kernel/debug/tracing"};
    char path[PIN_PATH], text[24] = "";
    for (size_t i = 0; i < ARRAY_LEN(places); i++) {
        snprintf(path, sizeof(path), "%s/events/syscalls/%s/id", places[i], name);
        _cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
        if (fd >= 0 && read(fd, text, sizeof(text) - 1) > 0)
            break;
    }
    uint64_t id;
    if (str_u64(str_trim(str_c(text)), &id) < 0)
        return err_set(e, ENOENT, "this kernel has no tracepoint %s", name);
    struct perf_event_attr a = {.type = PERF_TYPE_TRACEPOINT, .size = sizeof(a), .config = id};
    int fd = (int)syscall(SYS_perf_event_open, &a, -1, 0, -1, PERF_FLAG_FD_CLOEXEC);
    return fd < 0 ? err_errno(e, "tracepoint %s", name) : fd;
}

static int attach(const char *program, const char *tracepoint, const char *link, struct err *e)
{
    _cleanup_close_ int prog = bpf_obj_get(program), event = -1, fd = -1;
    if (prog < 0)
        return errno == ENOENT ? 0 : err_errno(e, "%s", program);
    if (tracepoint && (event = tracepoint_open(tracepoint, e)) < 0)
        return event;
    fd = tracepoint ? bpf_link_create(prog, event, BPF_PERF_EVENT, NULL) : bpf_raw_tracepoint_open(NULL, prog);
    if (fd < 0)
        return err_errno(e, "cannot attach %s", program);
    return bpf_obj_pin(fd, link) < 0 && errno != EEXIST ? err_errno(e, "cannot pin %s", link) : 0;
}

static int set_in(const char *dir, enum demand d, bool on, struct err *e)
{
    char program[PIN_PATH + 64], link[PIN_PATH + 64];
    int r = 0;
    for (size_t i = 0; i < ARRAY_LEN(programs) && r == 0; i++) {
        if (programs[i].demand != d)
            continue;
        snprintf(program, sizeof(program), "%s/demand-%s", dir, programs[i].program);
        snprintf(link, sizeof(link), "%s/%s", dir, programs[i].program);
        bool there = access(link, F_OK) == 0;
        if (on && !there)
            r = attach(program, programs[i].tracepoint, link, e);
        else if (!on && there && unlink(link) < 0 && errno != ENOENT)
            r = err_errno(e, "%s", link);
    }
    return r;
}

int demand_set(const char *bpf_dir, enum demand d, bool on, struct err *e)
{
    DIR *top = opendir(bpf_dir);
    if (!top)
        return errno == ENOENT ? 0 : err_errno(e, "%s", bpf_dir);
    char dir[PIN_PATH];
    int r = 0;
    for (struct dirent *de; r == 0 && (de = readdir(top));)
        if (!strncmp(de->d_name, "links-", 6) &&
            (size_t)snprintf(dir, sizeof(dir), "%s/%s", bpf_dir, de->d_name) < sizeof(dir))
            r = set_in(dir, d, on, e);
    closedir(top);
    return r;
}

/* Which demands do the containers that run, and the policies that wait for one, make? */
static int wanted(const char *bpf_dir, bool on[DEMANDS], struct err *e)
{
    int policies = -1, containers = -1, r;
    if ((r = pin_map(bpf_dir, "policies", BH_ID, sizeof(struct bh_policy), &policies, e)) == 0)
        r = pin_map(bpf_dir, "containers", BH_ID, sizeof(struct bh_container), &containers, e);
    char at[BH_ID], next[BH_ID];
    struct bh_policy p;
    struct bh_container c;
    const char *from = NULL;
    bool none = true;
    for (; r == 0 && bpf_map_get_next_key(containers, from, next) == 0; from = memcpy(at, next, BH_ID)) {
        none = false;
        if (bpf_map_lookup_elem(policies, next, &p) < 0)
            p.flags = 0;
        if (!(p.flags & BH_POLICY_SEALED))
            on[DEMAND_COMPAT] = true;
        if (bpf_map_lookup_elem(containers, next, &c) == 0 && (c.caps & BH_ADMIN_CAPS))
            on[DEMAND_OPENS] = true;
    }
    for (from = NULL; r == 0 && bpf_map_get_next_key(policies, from, next) == 0; from = memcpy(at, next, BH_ID))
        if (bpf_map_lookup_elem(policies, next, &p) == 0) {
            on[DEMAND_OPENS] |= !!(p.flags & BH_POLICY_FILES);
            on[DEMAND_LEARN] |= p.mode == BH_LEARN;
        }
    on[DEMAND_COMPAT] |= none;
    if (policies >= 0)
        close(policies);
    if (containers >= 0)
        close(containers);
    return r;
}

int demand_tend(const char *bpf_dir, unsigned always, struct err *e)
{
    bool on[DEMANDS] = {0};
    int r = wanted(bpf_dir, on, e);
    for (int d = 0; d < DEMANDS && r == 0; d++)
        r = demand_set(bpf_dir, (enum demand)d, on[d] || (always & (1u << d)), e);
    return r;
}

bool demand_compat_possible(void)
{
    pid_t pid = fork();
    if (pid == 0) {
        long r = 20; /* getpid */
        __asm__ volatile("int $0x80" : "+a"(r) : : "memory", "r8", "r9", "r10", "r11");
        _exit(r > 0 ? 0 : 1);
    }
    int status;
    while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    return pid > 0 && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

/* Self-protection: tells the kernel what of ours containers may not reach (runtime/self.h), sees when pinned programs
 * or maps are gone all the same, tells it, and puts them back. */
#include "agent/loop.h"

#include "base/cleanup.h"
#include "base/fs.h"
#include "base/log.h"
#include "runtime/pin.h"
#include "runtime/self.h"

#include <libgen.h>
#include <sys/epoll.h>

#define EVERY   (10 * TIME_SECOND) /* programs that come on demand, a new dialer */
#define PATHS   128u
#define CGROUPS "/sys/fs/cgroup"

struct list {
    struct arena *a;
    struct self_path v[PATHS];
    size_t n;
};

static void add(struct list *l, const char *path, enum bh_self_file how)
{
    if (path && l->n < PATHS)
        l->v[l->n++] = (struct self_path){path, how};
}

/* Whoever may freeze, starve or move our cgroup stops us as well as a signal. */
static void add_cgroups(struct list *l)
{
    struct str text, line, number, rest, controllers, path;
    if (fs_read(l->a, "/proc/self/cgroup", 65536, &text, NULL) < 0)
        return;
    while (str_cut(&text, '\n', &line)) {
        if (!str_split(line, ':', &number, &rest) || !str_split(rest, ':', &controllers, &path) || path.n < 2)
            continue; /* the root cgroup can be neither frozen nor limited */
        struct str first = controllers;
        str_cut(&controllers, ',', &first);
        const char *top = first.n                         ? arena_strf(l->a, CGROUPS "/" STR_FMT, STR_ARG(first)).p
                          : fs_exists(CGROUPS "/unified") ? CGROUPS "/unified"
                                                          : CGROUPS;
        add(l, arena_strf(l->a, "%s" STR_FMT, top, STR_ARG(path)).p, BH_SELF_WRITES);
        for (ptrdiff_t at; (at = str_rchr(path, '/')) > 0;) {
            path = str_sub(path, 0, (size_t)at);
            add(l, arena_strf(l->a, "%s" STR_FMT, top, STR_ARG(path)).p, BH_SELF_ENTRIES);
        }
    }
}

static void add_programs(struct list *l)
{
    static const char *const beside[] = {"bulkhead", "bulkhead-runc", "bulkhead-agent"};
    char exe[4096];
    ssize_t n = readlink("/proc/self/exe", exe, sizeof(exe) - 1);
    if (n < 0)
        return;
    exe[n] = '\0';
    const char *dir = dirname(exe);
    for (size_t i = 0; i < ARRAY_LEN(beside); i++)
        add(l, arena_strf(l->a, "%s/%s", dir, beside[i]).p, BH_SELF_WRITES);
}

static void collect(struct agent *g, struct list *l)
{
    const struct config *c = &g->config;
    add(l, c->state, BH_SELF_ALL);
    add(l, c->bpf_dir, BH_SELF_ALL);
    add(l, "/run/bulkhead", BH_SELF_ALL);
    if (g->plugin)
        add(l, c->authz_socket ? c->authz_socket : PLUGIN_SOCKET, BH_SELF_ALL);
    add(l, "/etc/bulkhead", BH_SELF_WRITES);
    add(l, c->config, BH_SELF_WRITES);
    add(l, c->scanner, BH_SELF_WRITES);
    if (c->events && strcmp(c->events, "-") != 0)
        add(l, c->events, BH_SELF_WRITES);
    for (size_t i = 0; i < c->policy.n; i++)
        add(l, c->policy.v[i], BH_SELF_WRITES);
    for (size_t i = 0; i < c->rules.n; i++)
        add(l, c->rules.v[i], BH_SELF_WRITES);
    add_programs(l);
    add_cgroups(l);
}

static void protect(struct agent *g, const char *dir)
{
    _cleanup_(arena_freep) struct arena *a = arena_new(1u << 20);
    struct list l = {.a = a};
    struct err e = ERR_INIT;
    pid_t pids[2] = {getpid(), g->uplink ? uplink_pid(g->uplink) : 0};
    if (!g->config.no_self_protection)
        collect(g, &l);
    int r = g->config.no_self_protection ? self_release(dir, &e) : self_protect(dir, pids, 2, l.v, l.n, &e);
    if (r < 0 && !g->self_error) {
        g->self_error = true;
        say_problem(g, EVENT_TYPE_agent, "Self-protection is not in force", e.msg);
    }
}

/* The programs that still run stay until the new ones are attached: sensor_open() removes their folder last. */
static void put_back(struct loop *l, const char *dir)
{
    struct agent *g = l->g;
    struct err e = ERR_INIT;
    epoll_ctl(l->epoll, EPOLL_CTL_DEL, sensor_fd(g->sensor), NULL);
    sensor_close(g->sensor);
    g->sensor = NULL;
    if (pin_set_aside(dir, &e) < 0)
        log_error("%s", e.msg);
    setup_sensor(g);
    if (!g->sensor || setup_watch(l, sensor_fd(g->sensor), ON_SENSOR, &e) < 0) {
        say_problem(g, EVENT_TYPE_agent, "Kernel programs could not be put back", g->sensor ? e.msg : g->sensor_error);
        return;
    }
    force_all(g);
    say(g, EVENT_TYPE_agent, CONTROL_sensor, SEVERITY_info, ACTION_off, "Kernel programs put back", STR_NONE);
}

void tamper_step(struct loop *l)
{
    struct agent *g = l->g;
    const char *dir = g->config.bpf_dir;
    int64_t now = time_monotonic();
    if (!g->sensor || now - g->self_looked < TIME_SECOND)
        return;
    g->self_looked = now;
    size_t pins = self_pins(dir);
    if (pins < g->pins) {
        _cleanup_(arena_freep) struct arena *a = arena_new(4096);
        log_error("%zu of %zu pinned kernel programs and maps were removed", g->pins - pins, g->pins);
        say(g, EVENT_TYPE_agent, CONTROL_sensor, SEVERITY_critical, ACTION_alert, "Pinned kernel programs removed",
            arena_strf(a, "{\"removed\":%zu,\"were\":%zu}", g->pins - pins, g->pins));
        put_back(l, dir);
        pins = self_pins(dir);
        g->self_due = 0;
    }
    g->pins = pins;
    if (now < g->self_due)
        return;
    g->self_due = now + EVERY;
    protect(g, dir);
}

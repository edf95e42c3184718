#include "runtime/sensor.h"

#include "base/cleanup.h"
#include "base/fs.h"
#include "base/time.h"
#include "runtime/demand.h"
#include "runtime/object.h"
#include "runtime/pin.h"
#include "runtime/seed.h"
#include "runtime/tier.h"

#include <bpf/bpf.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <time.h>

enum { RING_ALERTS, RING_TELEMETRY, RINGS };
#define TEND_EVERY 10000000 /* us: containers also end */

struct sensor {
    char bpf_dir[PIN_PATH];
    enum sensor_tier tier;
    bool took_over;
    int lock; /* flock on bpf_dir: one consumer */
    struct ring_buffer *rings;
    int losses, containers, changes;
    unsigned always;  /* demands that stay on */
    uint32_t seen[2]; /* of the map changes, when demands were looked at last */
    int64_t tended;
    /* one poll */
    int (*fn)(void *ctx, const struct sensor_event *ev);
    void *ctx;
    int told, result;
};

static int lock_dir(const char *dir, int *ret, struct err *e)
{
    int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return err_errno(e, "%s", dir);
    if (flock(fd, LOCK_EX | LOCK_NB) < 0) {
        int r = errno == EWOULDBLOCK ? err_set(e, EBUSY, "%s: another agent reads the kernel's events", dir)
                                     : err_errno(e, "%s", dir);
        close(fd);
        return r;
    }
    *ret = fd;
    return 0;
}

/* Pin the link under its program's name. Pins, not this process, keep programs attached. */
static int attach_pinned(struct bpf_program *p, const char *links_dir, struct err *e)
{
    char path[PIN_PATH];
    const char *section = bpf_program__section_name(p);
    if ((size_t)snprintf(path, sizeof(path), "%s/%s", links_dir, bpf_program__name(p)) >= sizeof(path))
        return err_set(e, ENAMETOOLONG, "%s: path too long", links_dir);
    struct bpf_link *link;
    if (!strncmp(section, "cgroup", 6)) {
        _cleanup_close_ int cg = tier_cgroup_root();
        if (cg < 0)
            return err_set(e, ENOTSUP, "no cgroup2 hierarchy is mounted");
        link = bpf_program__attach_cgroup(p, cg);
    } else {
        link = bpf_program__attach(p);
    }
    if (!link)
        return err_errno(e, "cannot attach %s", section);
    int r = bpf_link__pin(link, path) < 0 ? err_errno(e, "cannot pin %s", path) : 0;
    bpf_link__destroy(link); /* our descriptor only: the pin holds it */
    return r;
}

/* The maps hold what the programs obey from their first run: tier and default policy are there before they attach. */
static int configure(struct bpf_object *obj, enum sensor_tier tier, const struct sensor_opts *o, bool fresh,
                     struct err *e)
{
    uint32_t zero = 0;
    struct bpf_map *config = bpf_object__find_map_by_name(obj, "config");
    struct bpf_map *deflt = bpf_object__find_map_by_name(obj, "host_default");
    if (!config || !deflt)
        return err_set(e, EINVAL, "kernel programs without a configuration");
    struct bh_config c = {.layout = BH_LAYOUT, .tier = (uint32_t)tier};
    c.flags = (o->host ? BH_CONFIG_TELL_HOST : 0) | (o->opens || tier == SENSOR_LSM ? BH_CONFIG_OPENS : 0);
    seed_own_id(c.own_id);
    if (bpf_map__update_elem(config, &zero, sizeof(zero), &c, sizeof(c), BPF_ANY) < 0)
        return err_errno(e, "map config");
    if (!fresh)
        return 0;
    struct bh_policy p = {.mode = BH_AUDIT}; /* until kernel_policy_default() says otherwise */
    for (int i = 1; i < BH_CONTROLS; i++)
        p.action[i] = i == BH_CONTROL_scripts ? BH_ALERT : BH_BLOCK;
    if (bpf_map__update_elem(deflt, &zero, sizeof(zero), &p, sizeof(p), BPF_ANY) < 0)
        return err_errno(e, "map host_default");
    return 0;
}

/* A hook that this kernel does not have must not cost us the rest of the object. */
static bool has_hook(struct bpf_program *p)
{
    const char *section = bpf_program__section_name(p);
    return strncmp(section, "lsm/", 4) != 0 || libbpf_find_vmlinux_btf_id(section + 4, BPF_LSM_MAC) > 0;
}

static int load_object(const struct object *o, struct sensor *s, const struct sensor_opts *opts, const char *maps,
                       const char *links, bool fresh, struct err *e)
{
    struct bpf_object *obj;
    int r = object_open(o, maps, opts->ring, &obj, e);
    if (r < 0)
        return r;
    struct bpf_program *p;
    bpf_object__for_each_program(p, obj) if (!tier_wants(s->tier, opts, bpf_program__name(p)) || !has_hook(p))
        bpf_program__set_autoload(p, false);
    r = object_load(obj, o->name, e);
    if (r == 0)
        r = configure(obj, s->tier, opts, fresh, e);
    bpf_object__for_each_program(p, obj) if (r == 0 && bpf_program__autoload(p))
    {
        if (demand_has(bpf_program__name(p))) {
            r = demand_keep(p, links, e);
            continue;
        }
        r = attach_pinned(p, links, e);
        if (r < 0 && tier_may_miss(bpf_program__name(p)))
            r = 0;
    }
    bpf_object__close(obj);
    return r;
}

/* New programs are attached and pinned before the old directory of links is removed: no moment without any. */
static int load_all(struct sensor *s, const struct sensor_opts *o, uint64_t version, bool fresh, struct err *e)
{
    char maps[PIN_PATH], links[PIN_PATH], whole[PIN_PATH + 16];
    int r = pin_maps_dir(s->bpf_dir, maps, e);
    if (r < 0 || (r = pin_links_dir(s->bpf_dir, version, links, e)) < 0)
        return r;
    snprintf(whole, sizeof(whole), "%s/whole", links);
    if (fs_exists(whole)) {
        s->took_over = true;
        return 0;
    }
    if ((r = pin_remove(links, e)) < 0) /* an agent that died while loading */
        return r;
    if (mkdir(links, 0700) < 0)
        return err_errno(e, "%s", links);
    size_t n;
    const struct object *list = object_list(&n);
    for (size_t i = 0; i < n && r == 0; i++)
        if (list[i].tiers & (1u << s->tier)) {
            r = load_object(&list[i], s, o, maps, links, fresh, e);
            if (r < 0 && list[i].optional)
                r = 0;
        }
    if (r == 0 && mkdir(whole, 0700) < 0)
        r = err_errno(e, "%s", whole);
    if (r < 0) {
        struct err ignored;
        pin_remove(links, &ignored);
    }
    return r;
}

static int on_record(void *ctx, void *data, size_t size);

static int open_rings(struct sensor *s, struct err *e)
{
    static const char *const names[RINGS] = {"alerts", "telemetry"};
    for (int i = 0; i < RINGS; i++) {
        int fd, r = pin_map(s->bpf_dir, names[i], 0, 0, &fd, e);
        if (r < 0)
            return r;
        if (i == 0 && !(s->rings = ring_buffer__new(fd, on_record, s, NULL)))
            r = err_errno(e, "ring %s", names[i]);
        else if (i > 0 && ring_buffer__add(s->rings, fd, on_record, s) < 0)
            r = err_errno(e, "ring %s", names[i]);
        close(fd);
        if (r < 0)
            return r;
    }
    return 0;
}

int sensor_open(const struct sensor_opts *o, struct sensor **ret, struct err *e)
{
    object_quiet();
    _cleanup_(sensor_closep) struct sensor *s = calloc(1, sizeof(*s));
    if (!s)
        abort();
    s->lock = s->losses = s->containers = s->changes = -1;
    const char *dir = o->bpf_dir ? o->bpf_dir : SENSOR_BPF_DIR;
    if (strlen(dir) >= sizeof(s->bpf_dir) - 64)
        return err_set(e, ENAMETOOLONG, "%s: path too long", dir);
    memcpy(s->bpf_dir, dir, strlen(dir) + 1);
    int r;
    if ((r = pin_prepare(dir, e)) < 0 || (r = lock_dir(dir, &s->lock, e)) < 0)
        return r;
    if ((r = tier_choose(o->tier, &s->tier, e)) < 0)
        return r;
    uint64_t version = object_version(s->tier, (o->opens ? 1u : 0) | (o->host ? 2u : 0));
    int fd;
    struct err none = ERR_INIT;
    bool fresh = pin_map(dir, "config", 0, 0, &fd, &none) < 0;
    if (!fresh)
        close(fd);
    if ((r = load_all(s, o, version, fresh, e)) < 0)
        return r;
    s->always = o->opens ? 1u << DEMAND_OPENS : 0;
    if (s->tier == SENSOR_TRACE && (r = demand_set(dir, DEMAND_COMPAT, true, e)) < 0)
        return r;
    if (!s->took_over && (r = pin_remove_links(dir, version, e)) < 0)
        return r;
    if ((r = pin_remove_maps(dir, false, e)) < 0)
        return r;
    if ((r = pin_map(dir, "losses", 4, sizeof(struct bh_loss), &s->losses, e)) < 0 ||
        (r = pin_map(dir, "containers", BH_ID, sizeof(struct bh_container), &s->containers, e)) < 0 ||
        (r = pin_map(dir, "changes", 4, 4, &s->changes, e)) < 0 || (r = open_rings(s, e)) < 0)
        return r;
    if (!s->took_over && (r = seed_running(dir, s->containers, e)) < 0)
        return r;
    if ((r = sensor_tend(s, e)) < 0)
        return r;
    *ret = TAKE(s);
    return 0;
}

void sensor_close(struct sensor *s)
{
    if (!s)
        return;
    ring_buffer__free(s->rings);
    if (s->rings && s->tier == SENSOR_TRACE) /* nobody looks after containers to come */
        demand_set(s->bpf_dir, DEMAND_COMPAT, true, &(struct err){0});
    int fds[] = {s->lock, s->losses, s->containers, s->changes};
    for (size_t i = 0; i < ARRAY_LEN(fds); i++)
        if (fds[i] >= 0)
            close(fds[i]);
    free(s);
}

void sensor_closep(struct sensor **s)
{
    sensor_close(*s);
}

enum sensor_tier sensor_tier(const struct sensor *s)
{
    return s->tier;
}

const char *sensor_tier_name(enum sensor_tier t)
{
    return t == SENSOR_LSM ? "lsm" : t == SENSOR_TRACE ? "trace" : "auto";
}

bool sensor_took_over(const struct sensor *s)
{
    return s->took_over;
}

int sensor_fd(const struct sensor *s)
{
    return ring_buffer__epoll_fd(s->rings);
}

/* ---- events ---- */

static struct str span(const struct bh_event *ev, size_t data, struct bh_span s)
{
    return (size_t)s.off + s.len <= data ? str_n((const char *)ev->data + s.off, s.len) : STR_NONE;
}

static const enum event_type types[BH_TYPES] = {
    [BH_EXEC] = EVENT_TYPE_exec,     [BH_MMAP] = EVENT_TYPE_mmap,       [BH_EXIT] = EVENT_TYPE_exit,
    [BH_OPEN] = EVENT_TYPE_open,     [BH_CONNECT] = EVENT_TYPE_connect, [BH_BIND] = EVENT_TYPE_bind,
    [BH_LISTEN] = EVENT_TYPE_listen, [BH_ACCEPT] = EVENT_TYPE_accept,   [BH_CREDENTIALS] = EVENT_TYPE_credentials,
    [BH_MOUNT] = EVENT_TYPE_mount,   [BH_PTRACE] = EVENT_TYPE_ptrace,   [BH_NAMESPACE] = EVENT_TYPE_namespace,
    [BH_CHANGE] = EVENT_TYPE_change, [BH_CALL] = EVENT_TYPE_call,       [BH_MODULE] = EVENT_TYPE_module,
    [BH_BPF] = EVENT_TYPE_bpf,       [BH_IO_URING] = EVENT_TYPE_bpf,    [BH_SOCKET] = EVENT_TYPE_socket,
    [BH_SIGNAL] = EVENT_TYPE_signal, [BH_IPC] = EVENT_TYPE_ipc,
};
static const enum event_control controls[BH_CONTROLS] = {
#define BH_X(n) [BH_CONTROL_##n] = CONTROL_##n,
    BH_CONTROL_LIST(BH_X)
#undef BH_X
};

static int64_t wall(uint64_t boot_ns)
{
    struct timespec b, w;
    clock_gettime(CLOCK_BOOTTIME, &b);
    clock_gettime(CLOCK_REALTIME, &w);
    int64_t offset = ((int64_t)w.tv_sec - b.tv_sec) * 1000000000 + (w.tv_nsec - b.tv_nsec);
    return ((int64_t)boot_ns + offset) / 1000;
}

static int on_record(void *ctx, void *data, size_t size)
{
    struct sensor *s = ctx;
    const struct bh_event *ev = data;
    size_t head = offsetof(struct bh_event, data);
    if (size < head || ev->layout != BH_LAYOUT || ev->type >= BH_TYPES || !ev->type || ev->control >= BH_CONTROLS ||
        ev->parents_n > BH_PARENTS)
        return 0; /* of another build: its own agent read it or counted it */
    size_t n = size - head;
    struct sensor_event d = {
        .raw = ev,
        .time = wall(ev->time),
        .started = ev->started ? wall(ev->started) : 0,
        .id = ev->id[0] ? str_n(ev->id, BH_ID) : STR_NONE,
        .exe = span(ev, n, ev->exe),
        .path = span(ev, n, ev->path),
        .args = span(ev, n, ev->args),
        .comm = str_n(ev->comm, strnlen(ev->comm, sizeof(ev->comm))),
        .type = types[ev->type],
        .control = controls[ev->control],
        .action = (enum event_action)ev->action,
        .level = (enum event_level)ev->acted,
        .would = (enum event_level)ev->would,
        .outcome = ev->acted == BH_LEVEL_BLOCK  ? OUTCOME_prevented
                   : ev->acted == BH_LEVEL_KILL ? OUTCOME_killed
                   : ev->action                 ? OUTCOME_detected
                                                : OUTCOME_allowed,
    };
    s->told++;
    s->result = s->fn(s->ctx, &d);
    return s->result < 0 ? s->result : 0;
}

static void engine_sockets(const char *bpf_dir);

int sensor_tend(struct sensor *s, struct err *e)
{
    int64_t now = time_monotonic();
    uint32_t seen[2] = {0};
    for (uint32_t i = 0; i < 2; i++)
        bpf_map_lookup_elem(s->changes, &i, &seen[i]);
    bool changed = memcmp(seen, s->seen, sizeof(seen)) != 0;
    if (s->tended && !changed && now - s->tended < TEND_EVERY)
        return 0;
    memcpy(s->seen, seen, sizeof(seen));
    s->tended = now;
    engine_sockets(s->bpf_dir);
    return s->tier == SENSOR_TRACE ? demand_tend(s->bpf_dir, s->always, e) : 0;
}

int sensor_poll(struct sensor *s, int timeout_ms, int (*fn)(void *ctx, const struct sensor_event *ev), void *ctx,
                struct err *e)
{
    s->fn = fn;
    s->ctx = ctx;
    s->told = s->result = 0;
    int r = ring_buffer__consume(s->rings); /* in order of adding: alerts first */
    if (r == 0 && timeout_ms != 0 && s->result >= 0)
        r = ring_buffer__poll(s->rings, timeout_ms);
    if (s->result < 0)
        return s->result;
    if (r >= 0 && (r = sensor_tend(s, e)) < 0)
        return r;
    if (r < 0 && r != -EINTR) {
        errno = -r;
        return err_errno(e, "reading the kernel's events");
    }
    return s->told;
}

size_t sensor_args(const struct sensor_event *ev, struct str *out, size_t max)
{
    struct str rest = ev->args, arg;
    size_t n = 0;
    if (rest.n && rest.p[rest.n - 1] == '\0')
        rest.n--;
    while (n < max && str_cut(&rest, '\0', &arg))
        out[n++] = arg;
    return n;
}

struct str sensor_parent_exe(const struct sensor_event *ev, size_t i)
{
    return i < ev->raw->parents_n
               ? span(ev->raw, ev->raw->size - offsetof(struct bh_event, data), ev->raw->parents[i].exe)
               : STR_NONE;
}

int sensor_loss(struct sensor *s, struct sensor_loss *ret, struct err *e)
{
    int cpus = libbpf_num_possible_cpus();
    if (cpus < 1)
        return err_set(e, EIO, "number of CPUs");
    _cleanup_free_ struct bh_loss *v = calloc((size_t)cpus, sizeof(*v));
    if (!v)
        abort();
    struct sensor_loss sum = {0};
    for (uint32_t ring = 0; ring < RINGS; ring++) {
        if (bpf_map_lookup_elem(s->losses, &ring, v) < 0)
            return err_errno(e, "map losses");
        for (int i = 0; i < cpus; i++) {
            sum.told[ring] += v[i].seq - v[i].lost;
            sum.lost[ring] += v[i].lost;
        }
    }
    *ret = sum;
    return 0;
}

static int id_check(struct str id, struct err *e)
{
    if (id.n != BH_ID)
        return err_set(e, EINVAL, "not a container id: '" STR_FMT "'", STR_ARG(id));
    return 0;
}

int sensor_container(struct sensor *s, struct str id, struct bh_container *ret, struct err *e)
{
    int r = id_check(id, e);
    if (r < 0)
        return r;
    struct bh_container c;
    if (bpf_map_lookup_elem(s->containers, id.p, &c) < 0)
        return err_errno(e, "container " STR_FMT, STR_ARG(id));
    *ret = c;
    return 0;
}

int sensor_container_forget(struct sensor *s, struct str id, struct err *e)
{
    int r = id_check(id, e);
    if (r < 0)
        return r;
    if (bpf_map_delete_elem(s->containers, id.p) < 0 && errno != ENOENT)
        return err_errno(e, "container " STR_FMT, STR_ARG(id));
    return 0;
}

int sensor_mnt_ns_put(const char *bpf_dir, uint32_t mnt_ns, struct str id, struct err *e)
{
    int fd, r = id_check(id, e);
    if (r < 0 || (r = pin_map(bpf_dir ? bpf_dir : SENSOR_BPF_DIR, "mnt_namespaces", 4, BH_ID, &fd, e)) < 0)
        return r;
    if (bpf_map_update_elem(fd, &mnt_ns, id.p, BPF_ANY) < 0)
        r = err_errno(e, "map mnt_namespaces");
    close(fd);
    return r;
}

int sensor_mnt_ns_del(const char *bpf_dir, uint32_t mnt_ns, struct err *e)
{
    int fd, r = pin_map(bpf_dir ? bpf_dir : SENSOR_BPF_DIR, "mnt_namespaces", 4, BH_ID, &fd, e);
    if (r < 0)
        return r;
    if (bpf_map_delete_elem(fd, &mnt_ns) < 0 && errno != ENOENT)
        r = err_errno(e, "map mnt_namespaces");
    close(fd);
    return r;
}

int sensor_engine_socket(const char *bpf_dir, const char *path, struct err *e)
{
    struct stat st;
    int fd, r;
    if (stat(path, &st) < 0)
        return err_errno(e, "%s", path);
    struct bh_inode key = {.ino = st.st_ino, .dev = major(st.st_dev) << 20 | minor(st.st_dev)};
    uint32_t one = 1;
    if ((r = pin_map(bpf_dir ? bpf_dir : SENSOR_BPF_DIR, "engine_sockets", sizeof(key), 4, &fd, e)) < 0)
        return r;
    if (bpf_map_update_elem(fd, &key, &one, BPF_ANY) < 0)
        r = err_errno(e, "map engine_sockets");
    close(fd);
    return r;
}

/* An engine that starts again makes its socket again. */
static void engine_sockets(const char *bpf_dir)
{
    static const char *const places[] = {"/run/docker.sock",
                                         "/run/containerd/containerd.sock",
                                         "/run/podman/podman.sock",
                                         "/run/crio/crio.sock",
                                         "/run/cri-dockerd.sock",
                                         "/run/buildkit/buildkitd.sock",
                                         "/run/k3s/containerd/containerd.sock"};
    for (size_t i = 0; i < ARRAY_LEN(places); i++)
        sensor_engine_socket(bpf_dir, places[i], &(struct err){0});
}

int sensor_remove(const char *bpf_dir, struct err *e)
{
    const char *dir = bpf_dir ? bpf_dir : SENSOR_BPF_DIR;
    int r = pin_remove_links(dir, 0, e);
    if (r == 0)
        r = pin_remove_maps(dir, true, e);
    if (r == 0 && rmdir(dir) < 0 && errno != ENOENT && errno != EBUSY)
        r = err_errno(e, "%s", dir);
    return r;
}

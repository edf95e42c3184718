/* bulkhead-agent: options, setting up, the main loop, and the way down. */
#include "agent/agent.h"

#include "agent/dialer.h"
#include "agent/engine.h"
#include "agent/notify.h"
#include "base/cleanup.h"
#include "base/fs.h"
#include "base/log.h"
#include "base/time.h"
#include "runtime/kernel_policy.h"

#include <malloc.h>
#include <pthread.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/signalfd.h>
#include <sys/stat.h>

#define READY_WAIT   (5 * TIME_SECOND)  /* for engines to answer, before the agent says that it is ready */
#define RELOAD_DELAY (TIME_SECOND / 5)  /* an editor writes several times */
#define STATUS_EVERY (300 * TIME_SECOND)
#define LEARNED_MAX  1024u

/* Ids of containers that the gate created, on their way from its threads to ours. */
struct learned {
    pthread_mutex_t lock;
    char ids[LEARNED_MAX][IDENTITY_TEXT];
    size_t n;
};

struct loop {
    struct agent *g;
    struct learned learned;
    int epoll, signals, inotify;
    int inbox_watch;
    int64_t reload_at;  /* monotonic; 0: nothing changed */
    bool ready;
};

enum { ON_SIGNAL, ON_SENSOR, ON_WATCHERS, ON_INOTIFY, ON_WAKE, ON_UPLINK };

/* ---- the gate's callbacks: on its threads ---- */

static void gate_tell(void *ctx, const struct event *ev)
{
    struct loop *l = ctx;
    struct event copy = *ev;
    journal_put(l->g->journal, &copy);
    journal_flush(l->g->journal);
    agent_wake(l->g);
}

static int gate_scan(void *ctx, struct str image_id, struct str ref, struct err *e)
{
    struct loop *l = ctx;
    return images_scan(l->g->images, image_id, ref, l->g->engines_n ? l->g->engines[0].url : NULL, e);
}

static void gate_learned(void *ctx, const struct subject *s)
{
    struct loop *l = ctx;
    pthread_mutex_lock(&l->learned.lock);
    if (l->learned.n < LEARNED_MAX && s->id.n == IDENTITY_TEXT - 1)
        memcpy(l->learned.ids[l->learned.n++], s->id.p, s->id.n);
    pthread_mutex_unlock(&l->learned.lock);
    agent_wake(l->g);
}

static bool gate_running(void *ctx, struct str image_id, int64_t *since)
{
    struct loop *l = ctx;
    return images_running(l->g->images, image_id, since);
}

static void take_learned(struct loop *l)
{
    for (;;) {
        char id[IDENTITY_TEXT] = "";
        pthread_mutex_lock(&l->learned.lock);
        if (l->learned.n)
            memcpy(id, l->learned.ids[--l->learned.n], IDENTITY_TEXT);
        pthread_mutex_unlock(&l->learned.lock);
        if (!id[0])
            return;
        struct container *c = containers_seen(l->g->containers, str_c(id), time_now());
        if (!c->force.put)
            force_container(l->g, c);
    }
}

/* ---- the uplink's callbacks: on this thread ---- */

static void up_policy(void *ctx, struct str revision)
{
    struct loop *l = ctx;
    force_load(l->g, &(struct err){0});
}

static void up_intel(void *ctx, struct str revision)
{
    struct loop *l = ctx;
    struct err e = ERR_INIT;
    l->g->config.intel = NULL; /* what the console delivered rules from now on */
    if (advisories_install(l->g, &e) < 0)
        say_problem(l->g, EVENT_TYPE_policy, "Intel refused", e.msg);
}

static void up_changed(void *ctx)
{
    struct loop *l = ctx;
    const struct uplink_info *u = uplink_info(l->g->uplink);
    log_info("console: %s%s" STR_FMT, uplink_phase_name(u->phase), u->story.n ? ": " : "", STR_ARG(u->story));
    l->g->status_changed = true;
}

static void up_status_wanted(void *ctx)
{
    struct loop *l = ctx;
    l->g->status_changed = true;
    l->g->status_due = 0;
}

static uint64_t up_ring_lost(void *ctx)
{
    struct loop *l = ctx;
    return l->g->ring_lost[0] + l->g->ring_lost[1];
}

/* ---- setting up ---- */

static char *path_in(const char *dir, const char *name)
{
    char *p = NULL;
    if (asprintf(&p, "%s/%s", dir, name) < 0)
        abort();
    return p;
}

static int folders(struct agent *g, struct err *e)
{
    const char *s = g->config.state;
    int r = fs_mkdirs(s, 0700, e);
    g->profiles_dir = path_in(s, "profiles");
    g->containers_dir = path_in(s, "containers");
    g->policy_dir = path_in(s, "policy");
    g->inbox_dir = path_in(s, "inbox");
    g->inventories_dir = path_in(s, "inventories");
    _cleanup_free_ char *verdicts = path_in(s, "verdicts");
    const char *const all[] = {g->profiles_dir, g->containers_dir, g->policy_dir, g->inbox_dir, g->inventories_dir, verdicts};
    if (r == 0 && chmod(s, 0700) < 0)
        r = err_errno(e, "%s", s);
    for (size_t i = 0; i < ARRAY_LEN(all) && r == 0; i++)
        r = fs_mkdirs(all[i], 0700, e);
    return r;
}

static void machine_id(char out[static 33])
{
    _cleanup_(arena_freep) struct arena *a = arena_new(8192);
    struct str s = STR_NONE;
    if (fs_read(a, "/etc/machine-id", 256, &s, NULL) == 0 && (s = str_trim(s)).n == 32)
        memcpy(out, s.p, 32);
}

static int watch_fd(struct loop *l, int fd, uint32_t what, struct err *e)
{
    struct epoll_event ev = {.events = EPOLLIN, .data.u32 = what};
    return epoll_ctl(l->epoll, EPOLL_CTL_ADD, fd, &ev) < 0 ? err_errno(e, "epoll") : 0;
}

/* Folders whose change means: load policies again. Repeated after each load, because a folder may have been replaced. */
static void watch_folders(struct loop *l)
{
    struct agent *g = l->g;
    const uint32_t changes = IN_CLOSE_WRITE | IN_MOVED_TO | IN_MOVED_FROM | IN_DELETE | IN_MOVE_SELF | IN_DELETE_SELF;
    inotify_add_watch(l->inotify, g->policy_dir, changes | IN_ONLYDIR);
    for (size_t i = 0; i < g->config.policy.n; i++) {
        struct stat st;
        const char *p = g->config.policy.v[i], *slash = strrchr(p, '/');
        _cleanup_free_ char *parent = slash ? strndup(p, slash == p ? 1 : (size_t)(slash - p)) : strdup(".");
        inotify_add_watch(l->inotify, stat(p, &st) == 0 && S_ISDIR(st.st_mode) ? p : parent, changes | IN_ONLYDIR);
    }
}

static int open_sensor(struct agent *g)
{
    struct sensor_opts o = {.bpf_dir = g->config.bpf_dir, .tier = g->config.tier, .opens = g->config.opens, .host = g->config.telemetry};
    struct err e = ERR_INIT;
    int r = sensor_open(&o, &g->sensor, &e);
    if (r < 0) {
        snprintf(g->sensor_error, sizeof(g->sensor_error), "%s", e.msg);
        log_error("no kernel sensor: %s", e.msg);
        return r;
    }
    struct sensor_loss loss;
    if (sensor_loss(g->sensor, &loss, NULL) == 0)
        memcpy(g->ring_lost, loss.lost, sizeof(g->ring_lost)); /* what an earlier agent lost, it has told */
    return 0;
}

static int engines(struct agent *g, struct err *e)
{
    g->watchers = watchers_new();
    if (!g->config.engine.n && fs_exists("/var/run/docker.sock"))
        g->config.engine.v[g->config.engine.n++] = "unix:///var/run/docker.sock";
    for (size_t i = 0; i < g->config.engine.n; i++) {
        int r = watchers_add(g->watchers, g->config.engine.v[i], e);
        if (r < 0)
            return r;
        g->engines[g->engines_n++].url = g->config.engine.v[i];
    }
    return 0;
}

static int start_gate(struct loop *l, struct err *e)
{
    struct agent *g = l->g;
    const char *socket = g->config.authz_socket;
    if (socket && !strcmp(socket, "none"))
        return 0;
    if (!socket && !g->config.engine.n && !fs_exists("/var/run/docker.sock"))
        return 0;
    struct plugin_opts o = {.socket = socket,
                            .state = g->config.state,
                            .engine = g->config.engine.n ? g->config.engine.v[0] : "unix:///var/run/docker.sock",
                            .gate = g->gate,
                            .ctx = l,
                            .tell = gate_tell,
                            .scan = gate_scan,
                            .learned = gate_learned,
                            .running = gate_running};
    return plugin_start(&o, &g->plugin, e);
}

static int start_uplink(struct loop *l, struct err *e)
{
    struct agent *g = l->g;
    if (!uplink_wanted(g->config.state, g->config.token_file)) {
        if (g->config.console)
            return err_set(e, EINVAL, "--console needs --token-file: this agent has not enrolled yet");
        return 0;
    }
    struct uplink_opts o = {.state = g->config.state,
                            .console = g->config.console,
                            .token_file = g->config.token_file,
                            .host = str_c(g->config.host),
                            .journal = g->journal,
                            .intel_key_pinned = g->config.intel_key != NULL,
                            .on = {l, up_policy, up_intel, up_changed, up_status_wanted, up_ring_lost}};
    int r = uplink_start(&o, &g->uplink, e);
    if (r < 0)
        return r;
    journal_spool(g->journal, true);
    return watch_fd(l, uplink_fd(g->uplink), ON_UPLINK, e);
}

/* What runs already: containers of every process that is there. */
static void found(void *ctx, const struct process *p)
{
    struct agent *g = ctx;
    bool before = containers_get(g->containers, str_c(p->id)) != NULL;
    struct container *c = containers_seen(g->containers, str_c(p->id), time_now());
    c->running = true;
    if (!c->started || (p->started && p->started < c->started))
        c->started = p->started;
    if (!before)
        force_container(g, c);
}

static void tell_started(struct agent *g)
{
    _cleanup_(buf_fini) struct buf b = BUF_INIT(16384);
    struct json_writer w = JSON_WRITER(&b);
    json_w_object(&w);
    json_w_kstrz(&w, "version", BULKHEAD_VERSION);
    json_w_kstr(&w, "tier", g->sensor ? str_c(sensor_tier_name(sensor_tier(g->sensor))) : STR_NONE);
    json_w_kbool(&w, "took_over", g->sensor && sensor_took_over(g->sensor));
    if (!g->sensor)
        json_w_kstrz(&w, "why", g->sensor_error);
    json_w_kobject(&w, "controls");
    for (int c = CONTROL_drift; g->sensor && c <= CONTROL_io_uring; c++)
        json_w_kstrz(&w, event_control_name((enum event_control)c),
                     event_level_name(sensor_control_level(sensor_tier(g->sensor), (enum event_control)c)));
    json_w_end(&w);
    json_w_end(&w);
    say(g, EVENT_TYPE_agent, CONTROL_none, g->sensor ? SEVERITY_info : SEVERITY_high, g->sensor ? ACTION_off : ACTION_alert,
        g->sensor ? "Agent started" : "Agent started without a kernel sensor", buf_str(&b));
}

static int set_up(struct loop *l, struct err *e)
{
    struct agent *g = l->g;
    int r;
    if ((r = folders(g, e)) < 0)
        return r;
    struct journal_opts jo = {.dir = NULL, .events = g->config.events, .host = str_c(g->config.host), .telemetry = g->config.telemetry};
    _cleanup_free_ char *journal = path_in(g->config.state, "journal");
    jo.dir = journal;
    sigset_t set;
    sigemptyset(&set);
    const int wanted[] = {SIGTERM, SIGINT, SIGHUP, SIGCHLD};
    for (size_t i = 0; i < ARRAY_LEN(wanted); i++)
        sigaddset(&set, wanted[i]);
    sigprocmask(SIG_BLOCK, &set, NULL);
    signal(SIGPIPE, SIG_IGN);
    machine_id(g->machine);
    g->started = time_now();
    if ((l->epoll = epoll_create1(EPOLL_CLOEXEC)) < 0 || (l->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK)) < 0 ||
        (l->inotify = inotify_init1(IN_CLOEXEC | IN_NONBLOCK)) < 0 || (g->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) < 0)
        return err_errno(e, "descriptors of the main loop");
    if ((r = watch_fd(l, l->signals, ON_SIGNAL, e)) < 0 || (r = watch_fd(l, l->inotify, ON_INOTIFY, e)) < 0 ||
        (r = watch_fd(l, g->wake, ON_WAKE, e)) < 0 || (r = journal_open(&jo, &g->journal, e)) < 0)
        return r;
    g->gate = gate_open(g->config.state);
    g->containers = containers_new(g->config.state);
    g->tree = processes_new(0);
    g->profiles = profiles_new(g->profiles_dir, g->config.learn_starts, g->config.learn_time);
    l->inbox_watch = inotify_add_watch(l->inotify, g->inbox_dir, IN_CLOSE_WRITE | IN_MOVED_TO | IN_ONLYDIR);

    open_sensor(g);
    if ((r = advisories_install(g, e)) < 0) {
        say_problem(g, EVENT_TYPE_policy, "Intel refused", e->msg);
        if (g->config.intel)
            return r;
    }
    if (force_load(g, e) < 0 && !g->policies && (r = policy_set_parse(NULL, 0, &g->policies, e)) < 0)
        return r;
    force_all(g); /* also when the set was bad: the host default */
    tell_started(g);
    g->images = images_new(g);
    processes_scan(g->tree);
    processes_each(g->tree, NULL, found, g);
    watch_folders(l);
    inbox_take(g);
    if ((r = start_gate(l, e)) < 0 || (r = start_uplink(l, e)) < 0 || (r = engines(g, e)) < 0 ||
        (r = watch_fd(l, watchers_fd(g->watchers), ON_WATCHERS, e)) < 0)
        return r;
    return g->sensor ? watch_fd(l, sensor_fd(g->sensor), ON_SENSOR, e) : 0;
}

/* ---- the loop ---- */

static void say_ready(struct loop *l)
{
    struct agent *g = l->g;
    _cleanup_(buf_fini) struct buf b = BUF_INIT(65536);
    struct json_writer w = JSON_WRITER(&b);
    json_w_object(&w);
    json_w_kbool(&w, "ready", true);
    json_w_kstrz(&w, "program", "bulkhead-agent");
    json_w_kstrz(&w, "version", BULKHEAD_VERSION);
    json_w_ki64(&w, "pid", getpid());
    json_w_kstrz(&w, "state", g->config.state);
    json_w_kstr(&w, "tier", g->sensor ? str_c(sensor_tier_name(sensor_tier(g->sensor))) : STR_NONE);
    if (!g->sensor)
        json_w_kstrz(&w, "sensor_error", g->sensor_error);
    json_w_karray(&w, "engines");
    for (size_t i = 0; i < g->engines_n; i++) {
        json_w_object(&w);
        json_w_kstrz(&w, "url", g->engines[i].url);
        json_w_kbool(&w, "connected", g->engines[i].connected);
        json_w_end(&w);
    }
    json_w_end(&w);
    json_w_kstr(&w, "authz_socket", g->plugin ? str_c(g->config.authz_socket ? g->config.authz_socket : PLUGIN_SOCKET) : STR_NONE);
    json_w_ki64(&w, "containers", (int64_t)containers_count(g->containers));
    json_w_kstr(&w, "policy_revision", policy_set_revision(g->policies));
    json_w_kbool(&w, "console", g->uplink != NULL);
    json_w_end(&w);
    buf_putc(&b, '\n');
    if (fs_write_all(STDOUT_FILENO, b.p, b.n, NULL) < 0)
        log_warn("nobody reads standard output");
    notify_ready();
    l->ready = true;
}

static void maybe_ready(struct loop *l)
{
    struct agent *g = l->g;
    bool all = true;
    for (size_t i = 0; i < g->engines_n; i++)
        all = all && (g->engines[i].error[0] || (g->engines[i].connected && g->synced));
    if (l->ready || !(all || time_now() - g->started > READY_WAIT))
        return;
    if (!g->engines_n)
        log_info("no container engine here: watching the kernel alone");
    status_save(g);
    say_ready(l);
}

static void tell_profile(void *ctx, const struct profile *p)
{
    struct agent *g = ctx;
    _cleanup_(buf_fini) struct buf b = BUF_INIT(8192);
    struct json_writer w = JSON_WRITER(&b);
    json_w_object(&w);
    json_w_kstr(&w, "image_id", p->image_id);
    json_w_kstr(&w, "image", p->image);
    json_w_kbool(&w, "stable", p->stable);
    json_w_ki64(&w, "executables", (int64_t)p->executables_n);
    json_w_ki64(&w, "starts", p->starts);
    json_w_end(&w);
    say(g, EVENT_TYPE_profile, CONTROL_process_allow, SEVERITY_info, ACTION_off,
        p->stable ? "Profile is stable" : "Profile changed: something new was seen", buf_str(&b));
    for (struct container *c = NULL; (c = containers_next(g->containers, c));)
        if (!c->removed && str_eq(c->s.image_id, p->image_id) && c->force.mode != MODE_LEARN)
            force_container(g, c);
    g->status_changed = true;
}

static void gone(void *ctx, struct container *c)
{
    struct agent *g = ctx;
    kernel_policy_del(g->config.bpf_dir, c->s.id, NULL);
    if (g->sensor)
        sensor_container_forget(g->sensor, c->s.id, NULL);
    subject_remove(g->config.state, c->s.id, NULL);
    g->status_changed = true;
}

static void on_signals(struct loop *l)
{
    struct signalfd_siginfo si;
    while (read(l->signals, &si, sizeof(si)) == sizeof(si)) {
        if (si.ssi_signo == SIGHUP)
            l->reload_at = time_monotonic();
        else if (si.ssi_signo == SIGTERM || si.ssi_signo == SIGINT)
            l->g->stopping = true;
    }
}

static void on_inotify(struct loop *l)
{
    char block[8192] __attribute__((aligned(__alignof__(struct inotify_event))));
    bool inbox = false;
    for (ssize_t n; (n = read(l->inotify, block, sizeof(block))) > 0;)
        for (char *p = block; p < block + n;) {
            const struct inotify_event *ev = (const struct inotify_event *)(const void *)p;
            p += sizeof(*ev) + ev->len;
            if (ev->wd == l->inbox_watch)
                inbox = true;
            else if (!ev->len || ev->name[0] != '.')
                l->reload_at = time_monotonic() + RELOAD_DELAY;
        }
    if (inbox)
        inbox_take(l->g);
}

static void reload(struct loop *l)
{
    struct err e = ERR_INIT;
    l->reload_at = 0;
    force_load(l->g, &e);
    if (advisories_install(l->g, &e) < 0)
        say_problem(l->g, EVENT_TYPE_policy, "Intel refused", e.msg);
    watch_folders(l);
}

/* Once a round: what is due by time. */
static void tick(struct loop *l)
{
    struct agent *g = l->g;
    int64_t now = time_now(), mono = time_monotonic();
    static const int64_t second = TIME_SECOND;
    if (l->reload_at && mono >= l->reload_at)
        reload(l);
    observe_held(g, false);
    observe_loss(g);
    images_step(g->images, now);
    profiles_tick(g->profiles, now, tell_profile, g);
    containers_sweep(g->containers, now, gone, g);
    maybe_ready(l);
    if (g->uplink)
        uplink_dispatch(g->uplink);
    if (l->ready && (mono - g->status_due > STATUS_EVERY || (g->status_changed && mono - g->status_due > second))) {
        g->status_changed = false;
        g->status_due = mono;
        status_save(g);
    }
    journal_flush(g->journal);
    if (g->uplink)
        uplink_wake(g->uplink);
}

static int timeout_of(const struct loop *l)
{
    return l->g->held || l->reload_at || !l->ready ? 50 : 1000;
}

static int run(struct loop *l, struct err *e)
{
    struct agent *g = l->g;
    while (!g->stopping) {
        struct epoll_event ev[16];
        int n = epoll_wait(l->epoll, ev, ARRAY_LEN(ev), timeout_of(l));
        if (n < 0 && errno != EINTR)
            return err_errno(e, "epoll");
        for (int i = 0; i < n; i++) {
            uint64_t count;
            int r;
            switch (ev[i].data.u32) {
            case ON_SIGNAL:
                on_signals(l);
                break;
            case ON_SENSOR:
                if ((r = sensor_poll(g->sensor, 0, observe_event, g, e)) < 0)
                    return r;
                break;
            case ON_WATCHERS:
                for (struct watch *m; (m = watchers_next(g->watchers)); watch_free(m))
                    engines_message(g, m);
                break;
            case ON_INOTIFY:
                on_inotify(l);
                break;
            case ON_WAKE:
                if (read(g->wake, &count, sizeof(count)) > 0)
                    take_learned(l);
                break;
            case ON_UPLINK:
                uplink_dispatch(g->uplink);
                break;
            }
        }
        tick(l);
    }
    return 0;
}

/* Everything but enforcement ends: what is in the kernel stays there. */
static void tear_down(struct loop *l)
{
    struct agent *g = l->g;
    struct err e = ERR_INIT;
    notify_stopping();
    plugin_stop(g->plugin);
    watchers_free(g->watchers);
    if (g->containers && g->tree && g->journal)
        observe_held(g, true);
    if (g->profiles && profiles_save(g->profiles, &e) < 0)
        log_error("%s", e.msg);
    if (g->journal && g->policies)
        say(g, EVENT_TYPE_agent, CONTROL_none, SEVERITY_info, ACTION_off, "Agent stopped, enforcement stays in the kernel", STR_NONE);
    if (g->journal)
        journal_flush(g->journal);
    uplink_stop(g->uplink);
    images_free(g->images);
    held_free(g->held);
    sensor_close(g->sensor);
    profiles_free(g->profiles);
    containers_free(g->containers);
    processes_free(g->tree);
    gate_close(g->gate);
    policy_set_unref(g->policies);
    journal_close(g->journal);
    char *const owned[] = {g->profiles_dir, g->containers_dir, g->policy_dir, g->inbox_dir, g->inventories_dir};
    for (size_t i = 0; i < ARRAY_LEN(owned); i++)
        free(owned[i]);
}

static int agent_main(struct config config)
{
    struct err e = ERR_INIT;
    struct loop *l = calloc(1, sizeof(*l));
    struct agent *g = calloc(1, sizeof(*g));
    if (!l || !g)
        abort();
    l->g = g;
    g->config = config;
    pthread_mutex_init(&l->learned.lock, NULL);
    int lock = -1;
    _cleanup_free_ char *lock_path = path_in(config.state, "agent.lock");
    int r = fs_mkdirs(config.state, 0700, &e);
    if (r == 0 && (r = fs_lock(lock_path, &lock, &e)) == -EBUSY)
        err_wrap(&e, "another agent uses this state directory");
    if (r == 0 && (r = set_up(l, &e)) == 0)
        r = run(l, &e);
    if (r < 0)
        log_error("%s", e.msg);
    tear_down(l);
    free(g);
    free(l);
    return r < 0 ? r == -EINVAL ? 2 : 3 : 0;
}

/* ---- subcommands ---- */

static int remove_main(int argc, char **argv)
{
    _cleanup_(arena_freep) struct arena *a = arena_new(1u << 20);
    struct config c;
    struct err e = ERR_INIT;
    if (config_parse(a, argc, argv, &c, &e) < 0) {
        log_error("%s", e.msg);
        return 2;
    }
    if (sensor_remove(c.bpf_dir, &e) < 0) {
        log_error("%s", e.msg);
        return 3;
    }
    printf("removed: nothing of Bulkhead is in the kernel under %s any more\n", c.bpf_dir);
    return 0;
}

int main(int argc, char **argv)
{
    /* Few threads, small and short-lived blocks: one heap, and large blocks go back at once. */
    mallopt(M_ARENA_MAX, 2);
    mallopt(M_MMAP_THRESHOLD, 128 << 10);
    mallopt(M_TRIM_THRESHOLD, 256 << 10);
    if (argc > 1 && !strcmp(argv[1], "uplink"))
        return dialer_main(argc, argv);
    log_setup("bulkhead-agent", LOG_INFO_, false);
    if (argc > 1 && !strcmp(argv[1], "--version")) {
        printf("bulkhead-agent %s\n", BULKHEAD_VERSION);
        return 0;
    }
    if (argc > 1 && !strcmp(argv[1], "doctor"))
        return doctor_main(argc - 1, argv + 1);
    if (argc > 1 && !strcmp(argv[1], "remove"))
        return remove_main(argc - 1, argv + 1);
    if (argc > 1 && !strcmp(argv[1], "engine"))
        return engine_main(argc - 1, argv + 1);
    _cleanup_(arena_freep) struct arena *a = arena_new(1u << 20);
    struct config c;
    struct err e = ERR_INIT;
    if (config_parse(a, argc, argv, &c, &e) < 0) {
        log_error("%s", e.msg);
        return 2;
    }
    if (c.help) {
        config_help(stdout);
        return 0;
    }
    if (geteuid() != 0) {
        log_error("needs root: it loads kernel programs and reads the engine's files");
        return 3;
    }
    log_setup("bulkhead-agent", LOG_INFO_, c.json);
    return agent_main(c);
}

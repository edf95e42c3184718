/* The agent's way up and down: folders, descriptors, sensor, gate, engines, uplink; and what the gate's threads and the
 * uplink call. */
#include "agent/loop.h"

#include "agent/detection.h"
#include "agent/notify.h"
#include "base/cleanup.h"
#include "base/fs.h"
#include "base/log.h"
#include "base/time.h"

#include <signal.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/signalfd.h>
#include <sys/stat.h>

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

static void gate_exec(void *ctx, struct str container, struct str user, struct str args)
{
    struct loop *l = ctx;
    who_exec(l->g->who, container, user, args);
}

void setup_take_learned(struct loop *l)
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
    char text[512];
    snprintf(text, sizeof(text), "%s%s%.*s", uplink_phase_name(u->phase), u->story.n ? ": " : "",
             (int)(u->story.n < 400 ? u->story.n : 400), u->story.n ? u->story.p : "");
    if (strcmp(text, l->console_said)) { /* the same is not said twice */
        snprintf(l->console_said, sizeof(l->console_said), "%s", text);
        log_info("console: %s", text);
    }
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
    const char *const all[] = {g->profiles_dir, g->containers_dir,  g->policy_dir,
                               g->inbox_dir,    g->inventories_dir, verdicts};
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

int setup_watch(struct loop *l, int fd, uint32_t what, struct err *e)
{
    struct epoll_event ev = {.events = EPOLLIN, .data.u32 = what};
    return epoll_ctl(l->epoll, EPOLL_CTL_ADD, fd, &ev) < 0 ? err_errno(e, "epoll") : 0;
}

/* Folders whose change means: load policies again. Repeated after each load, because a folder may have been replaced.
 */
void setup_watch_folders(struct loop *l)
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

int setup_sensor(struct agent *g)
{
    struct sensor_opts o = {
        .bpf_dir = g->config.bpf_dir, .tier = g->config.tier, .opens = g->config.opens, .host = g->config.telemetry};
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
    static const char *const usual[] = {"unix:///var/run/docker.sock", "unix:///run/podman/podman.sock"};
    if (!g->config.engine.n)
        for (size_t i = 0; i < ARRAY_LEN(usual); i++)
            if (fs_exists(usual[i] + strlen("unix://")))
                g->config.engine.v[g->config.engine.n++] = usual[i];
    containers_root(g->containers, STR("podman"), str_c(g->config.podman_root));
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
                            .exec = gate_exec,
                            .running = gate_running};
    return plugin_start(&o, &g->plugin, e);
}

static void up_inventory(void *ctx, struct str image_id, struct str report)
{
    struct loop *l = ctx;
    images_inventory(l->g->images, image_id, report);
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
                            .on = {.ctx = l,
                                   .policy = up_policy,
                                   .intel = up_intel,
                                   .changed = up_changed,
                                   .status_wanted = up_status_wanted,
                                   .inventory = up_inventory,
                                   .ring_lost = up_ring_lost}};
    int r = uplink_start(&o, &g->uplink, e);
    if (r < 0)
        return r;
    journal_spool(g->journal, true);
    return setup_watch(l, uplink_fd(g->uplink), ON_UPLINK, e);
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
    for (int c = CONTROL_drift; g->sensor && c < CONTROL_resources; c++)
        json_w_kstrz(&w, event_control_name((enum event_control)c),
                     event_level_name(sensor_control_level(sensor_tier(g->sensor), (enum event_control)c)));
    json_w_end(&w);
    json_w_end(&w);
    say(g, EVENT_TYPE_agent, CONTROL_none, g->sensor ? SEVERITY_info : SEVERITY_high,
        g->sensor ? ACTION_off : ACTION_alert, g->sensor ? "Agent started" : "Agent started without a kernel sensor",
        buf_str(&b));
}

int setup_all(struct loop *l, struct err *e)
{
    struct agent *g = l->g;
    int r;
    if ((r = folders(g, e)) < 0)
        return r;
    sigset_t set;
    sigemptyset(&set);
    const int wanted[] = {SIGTERM, SIGINT, SIGHUP, SIGCHLD};
    for (size_t i = 0; i < ARRAY_LEN(wanted); i++)
        sigaddset(&set, wanted[i]);
    sigprocmask(SIG_BLOCK, &set, NULL);
    signal(SIGPIPE, SIG_IGN);
    machine_id(g->machine);
    if (!g->config.host) {
        gethostname(g->host_name, sizeof(g->host_name) - 1);
        g->config.host = g->host_name[0] ? g->host_name : "localhost";
    }
    g->started = time_now();
    _cleanup_free_ char *journal = path_in(g->config.state, "journal");
    struct journal_opts jo = {.dir = journal,
                              .events = g->config.events,
                              .host = str_c(g->config.host),
                              .telemetry = g->config.telemetry,
                              /* from the first event on, the start itself included */
                              .spool = uplink_wanted(g->config.state, g->config.token_file)};
    if ((l->epoll = epoll_create1(EPOLL_CLOEXEC)) < 0 ||
        (l->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK)) < 0 ||
        (l->inotify = inotify_init1(IN_CLOEXEC | IN_NONBLOCK)) < 0 ||
        (g->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) < 0)
        return err_errno(e, "descriptors of the main loop");
    if ((r = setup_watch(l, l->signals, ON_SIGNAL, e)) < 0 || (r = setup_watch(l, l->inotify, ON_INOTIFY, e)) < 0 ||
        (r = setup_watch(l, g->wake, ON_WAKE, e)) < 0 || (r = journal_open(&jo, &g->journal, e)) < 0)
        return r;
    g->gate = gate_open(g->config.state);
    g->containers = containers_new(g->config.state);
    g->tree = processes_new(0);
    g->who = who_new();
    g->profiles = profiles_new(g->profiles_dir, g->config.learn_starts, g->config.learn_time);
    l->inbox_watch = inotify_add_watch(l->inotify, g->inbox_dir, IN_CLOSE_WRITE | IN_MOVED_TO | IN_ONLYDIR);

    setup_sensor(g);
    if ((r = advisories_install(g, e)) < 0) {
        say_problem(g, EVENT_TYPE_policy, "Intel refused", e->msg);
        if (g->config.intel)
            return r;
    }
    if (force_load(g, e) < 0 && !g->policies && (r = policy_set_parse(NULL, 0, &g->policies, e)) < 0)
        return r;
    if (detection_load(g, e) < 0 && g->config.rules.n)
        return -EINVAL;
    force_all(g); /* also when the set was bad: the host default */
    tell_started(g);
    g->responder = responder_new(g);
    g->canary = canary_new();
    g->images = images_new(g);
    processes_scan(g->tree);
    processes_each(g->tree, NULL, found, g);
    setup_watch_folders(l);
    inbox_take(g);
    if ((r = start_gate(l, e)) < 0 || (r = start_uplink(l, e)) < 0 || (r = engines(g, e)) < 0 ||
        (r = setup_watch(l, watchers_fd(g->watchers), ON_WATCHERS, e)) < 0)
        return r;
    return g->sensor ? setup_watch(l, sensor_fd(g->sensor), ON_SENSOR, e) : 0;
}

/* Everything but enforcement ends: what is in the kernel stays there. */
void setup_undo(struct loop *l)
{
    struct agent *g = l->g;
    struct err e = ERR_INIT;
    notify_stopping();
    plugin_stop(g->plugin);
    watchers_free(g->watchers);
    if (g->containers && g->tree && g->journal)
        observe_held(g, true);
    detection_tick(g, time_now(), true);
    if (g->profiles && profiles_save(g->profiles, &e) < 0)
        log_error("%s", e.msg);
    if (g->journal && g->policies)
        say(g, EVENT_TYPE_agent, CONTROL_none, SEVERITY_info, ACTION_off,
            "Agent stopped, enforcement stays in the kernel", STR_NONE);
    if (g->journal)
        journal_flush(g->journal);
    uplink_stop(g->uplink);
    responder_free(g->responder);
    canary_free(g->canary);
    images_free(g->images);
    held_free(g->held);
    detection_free(g->detection);
    sensor_close(g->sensor);
    profiles_free(g->profiles);
    containers_free(g->containers);
    processes_free(g->tree);
    who_free(g->who);
    gate_close(g->gate);
    policy_set_unref(g->policies);
    journal_close(g->journal);
    char *const owned[] = {g->profiles_dir, g->containers_dir, g->policy_dir, g->inbox_dir, g->inventories_dir};
    for (size_t i = 0; i < ARRAY_LEN(owned); i++)
        free(owned[i]);
}

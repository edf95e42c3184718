#include "agent/loop.h"

#include "agent/detection.h"
#include "agent/notify.h"
#include "base/cleanup.h"
#include "base/fs.h"
#include "base/log.h"
#include "base/time.h"
#include "runtime/kernel_policy.h"

#include <signal.h>
#include <sys/epoll.h>
#include <sys/inotify.h>
#include <sys/signalfd.h>

#define READY_WAIT   (5 * TIME_SECOND) /* for engines to answer, before the agent says that it is ready */
#define RELOAD_DELAY (TIME_SECOND / 5) /* an editor writes several times */
#define STATUS_EVERY (300 * TIME_SECOND)

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
    json_w_kstr(&w, "authz_socket",
                g->plugin ? str_c(g->config.authz_socket ? g->config.authz_socket : PLUGIN_SOCKET) : STR_NONE);
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
    detection_load(l->g, &e);
    setup_watch_folders(l);
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
    detection_tick(g, now, false);
    observe_calls(g, now);
    profiles_tick(g->profiles, now, tell_profile, g);
    engines_orphans(g, now);
    tamper_step(l);
    canary_step(g);
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
    return l->g->held || canary_out(l->g) || l->reload_at || !l->ready ? 50 : 1000;
}

int loop_run(struct loop *l, struct err *e)
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
                r = sensor_poll(g->sensor, 0, observe_event, g, e);
                if (r == -ENOENT) /* its maps are not pinned any more: tamper_step() puts them back */
                    g->self_looked = 0;
                else if (r < 0)
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
                    setup_take_learned(l);
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

/* What the engines tell: containers come, start, end and go. */
#include "agent/agent.h"

#include "base/cleanup.h"
#include "base/log.h"
#include "runtime/kernel_policy.h"
#include "runtime/respond.h"

#include <signal.h>

#define ORPHANS_EVERY (10 * TIME_SECOND)

static struct agent_engine *engine_of(struct agent *g, const char *url)
{
    for (size_t i = 0; i < g->engines_n; i++)
        if (!strcmp(g->engines[i].url, url))
            return &g->engines[i];
    return NULL;
}

static void life(struct agent *g, const struct container *c, int64_t time, const char *rule, struct str detail)
{
    struct event ev = {.type = EVENT_TYPE_container,
                       .rule = str_c(rule),
                       .time = time,
                       .severity = SEVERITY_info,
                       .outcome = OUTCOME_detected,
                       .policy_name = c->force.policy,
                       .policy_revision = c->force.revision,
                       .detail = detail};
    subject_for_event(&c->s, &ev.container);
    journal_put(g->journal, &ev);
}

static bool subject_differs(const struct subject *x, const struct subject *y)
{
    return !str_eq(x->name, y->name) || !str_eq(x->image, y->image) || !str_eq(x->image_id, y->image_id) ||
           !str_eq(x->image_digest, y->image_digest) || x->names_n != y->names_n;
}

/* Keep it for bulkhead-runc and for the agent after us; the gate may have written it already. */
static void remember(struct agent *g, const struct container *c)
{
    _cleanup_(arena_freep) struct arena *a = arena_new(8u << 20);
    struct subject there;
    if (subject_read(a, g->config.state, c->s.id, &there, NULL) == 0 && !subject_differs(&there, &c->s))
        return;
    struct err e = ERR_INIT;
    if (subject_write(g->config.state, &c->s, &e) < 0)
        log_error("%s", e.msg);
}

static void learned(struct agent *g, struct watch *m)
{
    bool changed, fresh = !containers_get(g->containers, m->s.id);
    struct container *c = containers_learn(g->containers, &m->s, time_now(), &changed);
    bool started = m->kind == WATCH_STARTED;
    c->url = m->url;
    c->removed = 0;
    if (m->running || started) {
        c->running = true;
        if (m->started)
            c->started = m->started;
    }
    if (changed || !c->force.put)
        force_container(g, c);
    if (changed || started)
        network_moved(g, c);
    if (changed && c->known && c->s.image_id.n)
        remember(g, c);
    if (started) {
        if (c->force.mode == MODE_LEARN && c->s.image_id.n)
            profiles_started(g->profiles, c->s.image_id, c->s.image, time_now());
        life(g, c, m->time, "Container started", STR_NONE);
    } else if (fresh && m->running && c->force.mode == MODE_LEARN) {
        if (c->s.image_id.n)
            profiles_started(g->profiles, c->s.image_id, c->s.image, time_now());
    }
    if (c->running)
        images_started(g->images, c);
    if (c->running && changed)
        observe_running(g, c);
    g->status_changed = true;
}

static void ended(struct agent *g, struct watch *m)
{
    struct container *c = containers_get(g->containers, m->s.id);
    if (!c && m->s.name.n) /* one that we never heard of: events of it may still wait */
        c = containers_learn(g->containers, &m->s, time_now(), NULL);
    if (!c)
        return;
    c->running = false;
    network_moved(g, c);
    if (m->kind == WATCH_REMOVED) {
        respond_forget(g->config.state, m->s.id);
        if (g->sensor && m->s.id.n)
            sensor_container_forget(g->sensor, m->s.id, NULL); /* no process is left: it makes no demands */
        containers_removed(g->containers, m->s.id, time_now());
    } else {
        char detail[64];
        uint64_t code;
        int n =
            str_u64(m->text, &code) == 0 ? snprintf(detail, sizeof(detail), "{\"exit_code\":%" PRIu64 "}", code) : 0;
        life(g, c, m->time, "Container ended", str_n(detail, (size_t)n));
    }
    g->status_changed = true;
}

/* What we thought is there and is not went while nobody looked. */
static void synced(struct agent *g, struct watch *m)
{
    for (struct container *c = NULL; (c = containers_next(g->containers, c));) {
        bool there = false;
        if (c->removed || (c->url && strcmp(c->url, m->url)) || (!c->url && g->engines_n > 1))
            continue;
        for (size_t i = 0; i < m->ids_n && !there; i++)
            there = str_eq(m->ids[i], c->s.id);
        if (!there)
            containers_removed(g->containers, c->s.id, time_now());
    }
    g->synced = time_now();
    force_sweep(g);
}

void engines_message(struct agent *g, struct watch *m)
{
    struct agent_engine *en = engine_of(g, m->url);
    switch (m->kind) {
    case WATCH_ENGINE:
        containers_root(g->containers, m->s.engine, m->root_dir);
        if (en) {
            if (!en->connected)
                log_info("engine %s: connected, " STR_FMT " " STR_FMT, m->url, STR_ARG(m->s.engine),
                         STR_ARG(m->version));
            en->connected = true;
            en->error[0] = '\0';
            snprintf(en->name, sizeof(en->name), STR_FMT, STR_ARG(m->s.engine));
            snprintf(en->version, sizeof(en->version), STR_FMT, STR_ARG(m->version));
        }
        break;
    case WATCH_LOST:
        if (en) {
            en->connected = false;
            snprintf(en->error, sizeof(en->error), STR_FMT, STR_ARG(m->text));
            log_warn("engine %s: " STR_FMT, m->url, STR_ARG(m->text));
        }
        break;
    case WATCH_CONTAINER:
    case WATCH_STARTED:
        learned(g, m);
        observe_held(g, false);
        break;
    case WATCH_ENDED:
    case WATCH_REMOVED:
        ended(g, m);
        observe_held(g, false);
        break;
    case WATCH_SYNCED:
        synced(g, m);
        break;
    case WATCH_IMAGE:
        images_changed(g->images);
        break;
    }
    g->status_changed = true;
}

/* ---- containers that no engine of ours knows: they end when their last process does ---- */

struct alive {
    size_t n;
    int64_t gone[32];
    size_t gone_n;
};

static void look(void *ctx, const struct process *p)
{
    struct alive *l = ctx;
    if (kill((pid_t)p->pid, 0) == 0 || errno != ESRCH)
        l->n++;
    else if (l->gone_n < ARRAY_LEN(l->gone))
        l->gone[l->gone_n++] = p->pid;
}

void engines_orphans(struct agent *g, int64_t now)
{
    if (now - g->orphans_looked < ORPHANS_EVERY)
        return;
    g->orphans_looked = now;
    for (struct container *c = NULL; (c = containers_next(g->containers, c));) {
        char id[IDENTITY_TEXT] = "";
        struct alive l = {0};
        if (c->url || c->removed || now - c->seen < ORPHANS_EVERY || c->s.id.n != IDENTITY_TEXT - 1)
            continue;
        memcpy(id, c->s.id.p, c->s.id.n);
        processes_each(g->tree, id, look, &l);
        for (size_t i = 0; i < l.gone_n; i++)
            processes_exit(g->tree, l.gone[i]);
        if (!l.n) {
            containers_removed(g->containers, c->s.id, now);
            g->status_changed = true;
        }
    }
}

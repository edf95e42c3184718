/* What is done about an event: the policy's `respond` by severity, in a thread of its own because evidence takes time,
 * and never more often than the rates allow: a rule that is wrong must not stop a host. What is held back is told. */
#include "agent/agent.h"

#include "base/cleanup.h"
#include "base/log.h"
#include "runtime/respond.h"

#include <pthread.h>

#define QUEUE     64u
#define MINUTE    (60 * TIME_SECOND)
#define POLICIES  32u
#define ORDER_MAX (64u << 10)
#define LIMIT     20 /* a minute, unless configured */

struct job {
    struct arena *a;
    struct respond_order order;
    struct event ev; /* what it is about: told again with what was done */
    struct str url;
    int64_t pids[8];
};

struct rate {
    char policy[64];
    int64_t minute; /* its start */
    unsigned spent, held;
};

struct responder {
    struct agent *g;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct job *queue[QUEUE];
    size_t n;
    bool stopping;
    struct rate host, policies[POLICIES]; /* main thread alone */
};

/* ---- the thread ---- */

static void tell_done(struct agent *g, const struct job *j, const struct respond_done *done, int r, const char *error)
{
    _cleanup_(buf_fini) struct buf b = BUF_INIT(LIMIT_EVENT / 2);
    struct json_writer w = JSON_WRITER(&b);
    struct event ev = j->ev;
    const char *what = resource_action_name(j->order.action);
    json_w_object(&w);
    json_w_kstrz(&w, "response", what);
    json_w_kstr(&w, "because", j->ev.rule);
    if (done->evidence[0])
        json_w_kstrz(&w, "evidence", done->evidence);
    if (done->notice[0])
        json_w_kstrz(&w, "notice", done->notice);
    if (r < 0)
        json_w_kstrz(&w, "error", error);
    else if (j->order.action == RESOURCE_THROTTLE || j->order.action == RESOURCE_FREEZE ||
             j->order.action == RESOURCE_ISOLATE)
        json_w_kstrz(&w, "release", "bulkhead-agent respond release CONTAINER");
    json_w_end(&w);
    _cleanup_(arena_freep) struct arena *a = arena_new(8192);
    ev.id = NULL;
    ev.time = 0;
    ev.type = EVENT_TYPE_container;
    ev.rule = r < 0 ? STR("Response failed") : arena_strf(a, "Response: %s", what);
    ev.action = ACTION_block;
    ev.level = r < 0 ? LEVEL_detect : LEVEL_respond;
    ev.outcome = r < 0 ? OUTCOME_detected : OUTCOME_responded;
    ev.detail = buf_str(&b);
    journal_put(g->journal, &ev);
    journal_flush(g->journal);
    agent_wake(g);
    if (r < 0)
        log_error("response %s: %s", what, error);
    else
        log_warn("response %s on container " STR_FMT, what, STR_ARG(str_sub(j->order.id, 0, 12)));
}

static void carry_out(struct agent *g, struct job *j)
{
    struct respond_place place = {
        .state = g->config.state, .bpf_dir = g->config.bpf_dir, .engine = j->url.n ? arena_cstr(j->a, j->url) : NULL};
    struct respond_done done;
    struct err e = ERR_INIT;
    int r = respond_apply(&place, &j->order, &done, &e);
    bool dead = r == -ESRCH && j->order.action == RESOURCE_KILL; /* of what the kernel did to it */
    if (r == -EALREADY || dead) {
        log_info("response %s: %s", resource_action_name(j->order.action), e.msg);
        return;
    }
    tell_done(g, j, &done, r, e.msg);
}

static void *work(void *ctx)
{
    struct responder *r = ctx;
    pthread_mutex_lock(&r->lock);
    for (;;) {
        while (!r->n && !r->stopping)
            pthread_cond_wait(&r->changed, &r->lock);
        if (!r->n)
            break;
        struct job *j = r->queue[0];
        memmove(r->queue, r->queue + 1, --r->n * sizeof(r->queue[0]));
        pthread_mutex_unlock(&r->lock);
        carry_out(r->g, j);
        arena_free(j->a);
        pthread_mutex_lock(&r->lock);
    }
    pthread_mutex_unlock(&r->lock);
    return NULL;
}

struct responder *responder_new(struct agent *g)
{
    struct responder *r = calloc(1, sizeof(*r));
    if (!r)
        abort();
    r->g = g;
    pthread_mutex_init(&r->lock, NULL);
    pthread_cond_init(&r->changed, NULL);
    if (pthread_create(&r->thread, NULL, work, r) != 0)
        abort();
    return r;
}

void responder_free(struct responder *r)
{
    if (!r)
        return;
    pthread_mutex_lock(&r->lock);
    r->stopping = true;
    pthread_cond_signal(&r->changed);
    pthread_mutex_unlock(&r->lock);
    pthread_join(r->thread, NULL);
    pthread_mutex_destroy(&r->lock);
    pthread_cond_destroy(&r->changed);
    free(r);
}

/* ---- rates ---- */

static struct rate *rate_of(struct responder *r, struct str policy)
{
    struct rate *oldest = &r->policies[0];
    policy = str_sub(policy, 0, sizeof(oldest->policy) - 1);
    for (size_t i = 0; i < POLICIES; i++) {
        if (str_eqc(policy, r->policies[i].policy))
            return &r->policies[i];
        if (r->policies[i].minute < oldest->minute)
            oldest = &r->policies[i];
    }
    *oldest = (struct rate){0};
    memcpy(oldest->policy, policy.p, policy.n);
    return oldest;
}

static bool spend(struct rate *rate, int64_t limit, int64_t now)
{
    if (now - rate->minute >= MINUTE || !rate->minute) {
        rate->minute = now;
        rate->spent = rate->held = 0;
    }
    if (rate->spent >= limit) {
        rate->held++;
        return false;
    }
    rate->spent++;
    return true;
}

static void tell_held(struct agent *g, const struct event *about, const char *rule, const char *why,
                      enum resource_action action)
{
    _cleanup_(buf_fini) struct buf b = BUF_INIT(8192);
    struct json_writer w = JSON_WRITER(&b);
    struct event ev = *about;
    json_w_object(&w);
    json_w_kstrz(&w, "response", resource_action_name(action));
    json_w_kstr(&w, "because", about->rule);
    json_w_kstrz(&w, "why", why);
    json_w_kobject(&w, "would");
    json_w_kstrz(&w, "action", "block");
    json_w_kstrz(&w, "level", event_level_name(LEVEL_respond));
    json_w_end(&w);
    json_w_end(&w);
    ev.id = NULL;
    ev.time = 0;
    ev.type = EVENT_TYPE_container;
    ev.rule = str_c(rule);
    ev.action = ACTION_alert;
    ev.level = LEVEL_detect;
    ev.outcome = OUTCOME_detected;
    ev.detail = buf_str(&b);
    journal_put(g->journal, &ev);
}

/* ---- an event ---- */

static struct job *job_new(const struct container *c, const struct event *ev, int64_t first,
                           enum resource_action action)
{
    struct arena *a = arena_new(ORDER_MAX * 16);
    struct job *j = arena_new_of(a, struct job);
    size_t n = 0;
    j->a = a;
    j->ev = (struct event){.control = ev->control,
                           .rule = arena_str(a, ev->rule),
                           .severity = ev->severity,
                           .user_name = arena_str(a, ev->user_name),
                           .user_via = arena_str(a, ev->user_via),
                           .policy_name = arena_str(a, ev->policy_name),
                           .policy_revision = ev->policy_revision};
    j->ev.container = (struct event_container){.id = arena_str(a, ev->container.id),
                                               .name = arena_str(a, ev->container.name),
                                               .image = arena_str(a, ev->container.image),
                                               .image_id = arena_str(a, ev->container.image_id),
                                               .image_digest = arena_str(a, ev->container.image_digest),
                                               .engine = arena_str(a, ev->container.engine)};
    j->ev.process = (struct event_process){.pid = ev->process.pid,
                                           .exe = arena_str(a, ev->process.exe),
                                           .uid = ev->process.uid,
                                           .user = arena_str(a, ev->process.user),
                                           .started = ev->process.started};
    struct str *args = arena_array(a, ev->process.args_n, sizeof(*args));
    for (size_t i = 0; i < ev->process.args_n; i++)
        args[i] = arena_str(a, ev->process.args[i]);
    j->ev.process.args = args;
    j->ev.process.args_n = ev->process.args_n;
    j->pids[n++] = first;
    j->pids[n++] = ev->process.pid;
    for (size_t i = 0; i < ev->process.parents_n && n < ARRAY_LEN(j->pids); i++)
        j->pids[n++] = ev->process.parents[i].pid;
    j->url = arena_str(a, str_c(c->url));
    j->order = (struct respond_order){.id = j->ev.container.id,
                                      .name = j->ev.container.name,
                                      .action = action,
                                      .pids = j->pids,
                                      .pids_n = n,
                                      .pid = ev->process.pid,
                                      .started = ev->process.started,
                                      .reason = j->ev.rule,
                                      .by = arena_strf(a, "policy " STR_FMT, STR_ARG(ev->policy_name)),
                                      .memory = c->force.respond_memory};
    return j;
}

/* Is it, or something stronger, in force already? The file says so, also after a restart or a release by hand. */
static bool in_force(struct agent *g, struct str id, enum resource_action action)
{
    _cleanup_(arena_freep) struct arena *a = arena_new(1u << 20);
    struct respond_state s;
    if (respond_read(a, g->config.state, id, &s, NULL) < 0)
        return false;
    return (action == RESOURCE_THROTTLE && s.throttled) || (action == RESOURCE_ISOLATE && s.isolated) ||
           (action <= RESOURCE_FREEZE && s.frozen);
}

enum resource_action respond_wanted(const struct container *c, enum event_control control, enum event_severity severity,
                                    struct str rule)
{
    struct str name = control == CONTROL_rules ? rule : str_c(event_control_name(control));
    return policy_respond(c->force.responds, c->force.responds_n, (int)severity, name);
}

void respond_event(struct agent *g, const struct container *c, const struct event *ev, int64_t first)
{
    struct responder *r = g->responder;
    enum resource_action action = respond_wanted(c, ev->control, ev->severity, ev->rule);
    int64_t now = time_monotonic(), limit = g->config.respond_limit ? g->config.respond_limit : LIMIT;
    if (!r || action == RESOURCE_ALERT || ev->action == ACTION_off || ev->control == CONTROL_none ||
        c->s.id.n != IDENTITY_TEXT - 1 || (action == RESOURCE_KILL && ev->outcome == OUTCOME_killed) ||
        in_force(g, c->s.id, action))
        return;
    struct rate *rate = rate_of(r, ev->policy_name);
    if (c->force.mode != MODE_ENFORCE) {
        if (spend(rate, limit / 2 + 1, now))
            tell_held(g, ev, "Response held back: the policy does not enforce", "mode of the policy", action);
        return;
    }
    if (!spend(rate, limit / 2 + limit % 2, now) || !spend(&r->host, limit, now)) {
        if (rate->held == 1 || r->host.held == 1)
            tell_held(g, ev, "Responses held back: too many", "the limit of responses a minute is reached", action);
        return;
    }
    struct job *j = job_new(c, ev, first, action);
    pthread_mutex_lock(&r->lock);
    bool room = r->n < QUEUE;
    if (room)
        r->queue[r->n++] = j;
    pthread_cond_signal(&r->changed);
    pthread_mutex_unlock(&r->lock);
    if (!room) {
        tell_held(g, ev, "Responses held back: too many", "the queue is full", action);
        arena_free(j->a);
    }
}

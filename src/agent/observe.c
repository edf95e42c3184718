/* From the kernel's events to the journal: who is it, was it seen before, what does it mean. */
#include "agent/agent.h"

#include "agent/detection.h"
#include "base/cleanup.h"
#include "base/log.h"
#include "detect/story.h"

#include <netinet/in.h>

#define HOLD_MAX    512u /* events that wait for the name of their container */
#define HOLD_TIME   (2 * TIME_SECOND)
#define HOLD_BYTES  (4u << 20)
#define EVENT_ARENA (4u << 20)
#define PUT_AGAIN   (2 * TIME_SECOND)

struct held {
    struct held *next;
    int64_t since;
    size_t size;
    struct sensor_event ev;
    char raw[] __attribute__((aligned(16)));
};

/* ---- learning ---- */

static const char *where(uint32_t flags)
{
    if (flags & BH_FILE_LOWER)
        return "image";
    if (flags & BH_FILE_VOLUME)
        return "volume";
    return flags & BH_FILE_UNKNOWN ? "unknown" : NULL;
}

/* What may become part of a profile: a program of the image or of an allowed volume, on which no control fired. */
static void learn(struct agent *g, const struct container *c, const struct sensor_event *ev)
{
    const struct bh_event *r = ev->raw;
    const uint32_t never =
        BH_FILE_UPPER | BH_FILE_TMPFS | BH_FILE_MEMFD | BH_FILE_DELETED | BH_FILE_UNRESOLVED | BH_FILE_INTERP;
    const char *lies = where(r->file.flags);
    if (ev->type != EVENT_TYPE_exec || c->force.mode != MODE_LEARN || !c->s.image_id.n || !lies ||
        (r->file.flags & never) || ev->control == CONTROL_drift || ev->control == CONTROL_fileless ||
        r->truncated & BH_TRUNCATED_EXE)
        return;
    struct profile_seen s = {.path = ev->exe, .uid = r->ns_uid, .where = lies};
    if (r->parents_n)
        s.parent = sensor_parent_exe(ev, 0);
    if (profiles_observe(g->profiles, c->s.image_id, c->s.image, &s, time_now()))
        g->status_changed = true;
}

/* Peers, folders written to and capabilities, of what no control had anything against. */
static void learn_more(struct agent *g, const struct container *c, const struct sensor_event *ev)
{
    _cleanup_(arena_freep) struct arena *a = NULL;
    const struct bh_event *r = ev->raw;
    struct str id = c->s.image_id, peer;
    int64_t now = time_now();
    bool fresh = false;
    if (c->force.mode != MODE_LEARN || !id.n || ev->control != CONTROL_none)
        return;
    if (ev->type == EVENT_TYPE_exec)
        fresh = profiles_capabilities(g->profiles, id, c->s.image, r->caps, now);
    if (ev->type == EVENT_TYPE_open && ev->path.n && str_chr(ev->path, '/') == 0) {
        ptrdiff_t slash = str_rchr(ev->path, '/');
        fresh =
            profiles_folder(g->profiles, id, c->s.image, slash ? str_sub(ev->path, 0, (size_t)slash) : STR("/"), now);
    }
    bool ours = ev->type == EVENT_TYPE_listen, theirs = ev->type == EVENT_TYPE_connect;
    if ((ours || theirs) && (r->peer.family == AF_INET || r->peer.family == AF_INET6) && r->peer.port) {
        a = arena_new(65536);
        peer = sensor_peer(a, ev);
        peer = str_sub(peer, 0, (size_t)str_rchr(peer, ':'));
        if (str_starts(peer, STR("[")))
            peer = str_sub(peer, 1, peer.n - 1);
        struct profile_peer s = {.address = peer,
                                 .port = r->peer.port,
                                 .ingress = ours,
                                 .protocol = r->peer.protocol == IPPROTO_UDP ? STR("udp") : STR("tcp")};
        fresh = profiles_peer(g->profiles, id, c->s.image, &s, now);
    }
    g->status_changed = g->status_changed || fresh;
}

struct running_learn {
    struct agent *g;
    struct container *c;
};

static void learn_process(void *ctx, const struct process *p)
{
    struct running_learn *l = ctx;
    struct profile_seen s = {.path = p->exe, .uid = p->uid, .where = "unknown"};
    profiles_observe(l->g->profiles, l->c->s.image_id, l->c->s.image, &s, time_now());
}

void observe_running(struct agent *g, struct container *c)
{
    char id[IDENTITY_TEXT];
    struct running_learn l = {g, c};
    if (c->force.mode != MODE_LEARN || !c->s.image_id.n || c->s.id.n != IDENTITY_TEXT - 1)
        return;
    memcpy(id, c->s.id.p, c->s.id.n);
    id[c->s.id.n] = '\0';
    processes_each(g->tree, id, learn_process, &l);
}

/* System calls come as bits that the kernel side keeps: they are fetched, not told. */
void observe_calls(struct agent *g, int64_t now)
{
    struct calls made;
    for (struct container *c = NULL; g->sensor && (c = containers_next(g->containers, c));)
        if (c->force.mode == MODE_LEARN && c->s.image_id.n && c->s.id.n == IDENTITY_TEXT - 1 &&
            calls_seen(g->config.bpf_dir, c->s.id, &made, NULL) == 0 &&
            profiles_calls(g->profiles, c->s.image_id, c->s.image, &made, now))
            g->status_changed = true;
}

/* ---- the process tree ---- */

static void track(struct agent *g, const struct sensor_event *ev)
{
    const struct bh_event *r = ev->raw;
    if (ev->type == EVENT_TYPE_exec && ev->outcome != OUTCOME_prevented && ev->outcome != OUTCOME_killed) {
        struct process p = {
            .pid = r->pid, .ppid = r->ppid, .uid = r->uid, .started = ev->started, .exe = ev->exe, .args = ev->args};
        if (ev->id.n == IDENTITY_TEXT - 1)
            memcpy(p.id, ev->id.p, ev->id.n);
        processes_exec(g->tree, &p);
    } else if (ev->type == EVENT_TYPE_exit) {
        processes_exit(g->tree, r->pid);
    }
}

/* ---- telling ---- */

void observe_explain(struct agent *g, struct arena *a, struct container *c, const struct sensor_event *ev,
                     struct event *out, struct who_event *who)
{
    struct explain_context x = {.tree = g->tree,
                                .policy_name = g->default_policy[0] ? str_c(g->default_policy) : STR("default"),
                                .policy_revision = g->default_revision};
    if (c && ev->raw->known) {
        x.policy_name = c->force.policy;
        x.policy_revision = c->force.revision;
        x.learned = c->force.learned;
    }
    struct bh_container first = {0};
    *who = (struct who_event){0};
    if (ev->id.n && sensor_container(g->sensor, ev->id, &first, NULL) == 0)
        who_asks(g->who, a, g->tree, ev, &first, who);
    x.user = who->user;
    x.package = who->has_package ? &who->package : NULL;
    explain(a, ev, &x, out);
    if (c)
        subject_for_event(&c->s, &out->container);
    else if (ev->id.n)
        out->container = (struct event_container){.id = ev->id};
    if (c && !c->s.engine.n)
        out->container.engine = STR_NONE;
    bool session = c && str_eqc(c->s.engine, "docker") && who->exec;
    out->user_via = session ? STR("docker-exec") : STR_NONE;
    out->user_name = session ? who->by : STR_NONE;
}

int64_t observe_first(struct agent *g, const struct container *c)
{
    struct bh_container first;
    return sensor_container(g->sensor, c->s.id, &first, NULL) == 0 ? first.pid : 0;
}

static void tell(struct agent *g, struct container *c, const struct sensor_event *ev)
{
    _cleanup_(arena_freep) struct arena *a = arena_new(EVENT_ARENA);
    struct who_event who;
    struct event out;
    observe_explain(g, a, c, ev, &out, &who);
    if (ev->control != CONTROL_none)
        story_parents(a, g->tree, &out.process);
    journal_put(g->journal, &out);
    if (c)
        respond_event(g, c, &out, observe_first(g, c));
}

static bool wanted(const struct agent *g, const struct sensor_event *ev)
{
    return g->config.telemetry || (ev->control != CONTROL_none && ev->action != ACTION_off);
}

/* ---- holding: an event of a container whose name is not known yet waits for it, but not for long ---- */

static struct str rebased(struct str s, const void *from, size_t size, char *to)
{
    if (s.p < (const char *)from || s.p >= (const char *)from + size)
        return s;
    return str_n(to + (s.p - (const char *)from), s.n);
}

static size_t held_count(const struct agent *g, size_t *bytes)
{
    size_t n = 0;
    *bytes = 0;
    for (const struct held *h = g->held; h; h = h->next, n++)
        *bytes += h->size;
    return n;
}

static bool hold(struct agent *g, const struct sensor_event *ev)
{
    size_t size = ev->raw->size, bytes, n = held_count(g, &bytes);
    if (n >= HOLD_MAX || bytes + size > HOLD_BYTES)
        return false;
    struct held *h = calloc(1, sizeof(*h) + size);
    if (!h)
        abort();
    memcpy(h->raw, ev->raw, size);
    h->size = size;
    h->since = time_monotonic();
    h->ev = *ev;
    h->ev.raw = (const struct bh_event *)(const void *)h->raw;
    struct str *const strings[] = {&h->ev.id, &h->ev.exe, &h->ev.path, &h->ev.comm, &h->ev.args};
    for (size_t i = 0; i < ARRAY_LEN(strings); i++)
        *strings[i] = rebased(*strings[i], ev->raw, size, h->raw);
    struct held **end = &g->held;
    while (*end)
        end = &(*end)->next;
    *end = h;
    return true;
}

void held_free(struct held *h)
{
    for (struct held *next; h; h = next) {
        next = h->next;
        free(h);
    }
}

void observe_held(struct agent *g, bool all)
{
    int64_t now = time_monotonic();
    for (struct held **at = &g->held; *at;) {
        struct held *h = *at;
        struct container *c = containers_seen(g->containers, h->ev.id, time_now());
        if (!all && !(c->known && c->s.image_id.n) && now - h->since < HOLD_TIME) {
            at = &h->next;
            continue;
        }
        if (!detection_event(g, c, &h->ev)) {
            learn(g, c, &h->ev);
            learn_more(g, c, &h->ev);
        }
        if (wanted(g, &h->ev))
            tell(g, c, &h->ev);
        *at = h->next;
        free(h);
    }
}

/* ---- */

int observe_event(void *ctx, const struct sensor_event *ev)
{
    struct agent *g = ctx;
    struct container *c = NULL;
    if (canary_event(g, ev))
        return 0;
    track(g, ev);
    if (ev->id.n) {
        bool before = containers_get(g->containers, ev->id) != NULL;
        c = containers_seen(g->containers, ev->id, time_now());
        c->running = c->running || !c->removed;
        bool lost = !ev->raw->known && time_monotonic() - c->put_tried > PUT_AGAIN;
        if ((!before && c->known) || lost) /* the host default ruled: give it its own policy now */
            force_container(g, c);
    }
    if (c && !(c->known && c->s.image_id.n) &&
        (wanted(g, ev) || ev->type == EVENT_TYPE_exec || detection_wants(g->detection, ev)) && hold(g, ev))
        return 0;
    if (!detection_event(g, c, ev) && c) {
        learn(g, c, ev);
        learn_more(g, c, ev);
    }
    if (wanted(g, ev))
        tell(g, c, ev);
    return 0;
}

void observe_loss(struct agent *g)
{
    struct sensor_loss loss;
    static const char *const what[] = {"the kernel's ring of alerts was full",
                                       "the kernel's ring of telemetry was full"};
    if (!g->sensor || sensor_loss(g->sensor, &loss, NULL) < 0)
        return;
    for (size_t i = 0; i < 2; i++) {
        if (loss.lost[i] <= g->ring_lost[i]) {
            g->ring_lost[i] = loss.lost[i]; /* the maps were made anew */
            continue;
        }
        uint64_t count = loss.lost[i] - g->ring_lost[i];
        g->ring_lost[i] = loss.lost[i];
        journal_gap(g->journal, 0, 0, count, str_c(what[i]));
        g->status_changed = true;
    }
}

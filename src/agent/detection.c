#include "agent/detection.h"

#include "agent/agent.h"
#include "base/cleanup.h"
#include "base/embedded.h"
#include "base/log.h"
#include "detect/detector.h"
#include "detect/incident.h"
#include "detect/story.h"

#define SUBJECT_ARENA (8u << 20)

extern const struct embedded detect_shipped[]; /* rules/ */

struct detection {
    struct detect_rules *rules;
    struct detector *detector;
    struct incidents *incidents;
    struct arena *a, *story; /* what fields make; what alerts tell */
};

/* One event on its way through the rules. */
struct running {
    struct agent *g;
    struct container *c;
    const struct sensor_event *ev;
    bool always;
    bool explained;
    struct arena *a;
    struct event out;
    struct who_event who;
};

void detection_free(struct detection *d)
{
    if (!d)
        return;
    detector_free(d->detector);
    detect_rules_free(d->rules);
    incidents_free(d->incidents);
    arena_free(d->a);
    arena_free(d->story);
    free(d);
}

/* ---- loading ---- */

static int read_all(struct agent *g, struct detect_rules *rs, struct err *e)
{
    int r = 0;
    for (const struct embedded *f = detect_shipped; f->name && r == 0 && !g->config.no_shipped_rules; f++)
        r = detect_rules_add(rs, f->name, embedded_str(f), e);
    for (size_t i = 0; i < g->config.rules.n && r == 0; i++)
        r = detect_rules_read(rs, g->config.rules.v[i], e);
    if (r < 0)
        return r;
    detect_rules_compile(rs);
    const struct detect_notice *notices;
    size_t n = detect_rules_notices(rs, &notices), left_out = 0;
    for (size_t i = 0; i < n; i++) {
        if (notices[i].kind == NOTICE_ERROR)
            return err_set(e, EINVAL, "%s: line %zu: " STR_FMT ": " STR_FMT, notices[i].file, notices[i].line,
                           STR_ARG(notices[i].rule), STR_ARG(notices[i].text));
        left_out += notices[i].kind == NOTICE_UNSUPPORTED;
    }
    if (left_out)
        log_info("rules: %zu things that this host does not see; bulkhead rules check names them", left_out);
    return 0;
}

static void tell_loaded(struct agent *g, const struct detect_rules *rs)
{
    _cleanup_(buf_fini) struct buf b = BUF_INIT(8192);
    struct json_writer w = JSON_WRITER(&b);
    struct detect_rule *const *list;
    json_w_object(&w);
    json_w_ki64(&w, "rules", (int64_t)detect_rules_list(rs, &list));
    json_w_ki64(&w, "in_force", (int64_t)detect_rules_in_force(rs));
    json_w_karray(&w, "files");
    for (size_t i = 0; i < g->config.rules.n; i++)
        json_w_str(&w, str_c(g->config.rules.v[i]));
    json_w_end(&w);
    json_w_end(&w);
    say(g, EVENT_TYPE_policy, CONTROL_rules, SEVERITY_info, ACTION_off, "Detection rules loaded", buf_str(&b));
}

int detection_load(struct agent *g, struct err *e)
{
    struct detect_rules *rs = detect_rules_new();
    int r = read_all(g, rs, e);
    if (r < 0) {
        detect_rules_free(rs);
        say_problem(g, EVENT_TYPE_policy, "Detection rules refused", e->msg);
        return r;
    }
    if (g->detection && detect_rules_fingerprint(g->detection->rules) == detect_rules_fingerprint(rs)) {
        detect_rules_free(rs); /* nothing changed: counts and incidents go on */
        return 0;
    }
    struct detection *d = g->detection, *fresh = calloc(1, sizeof(*fresh));
    if (!fresh)
        abort();
    fresh->rules = rs;
    fresh->detector = detector_new(rs);
    fresh->a = arena_new(SUBJECT_ARENA);
    fresh->story = arena_new(SUBJECT_ARENA);
    fresh->incidents = incidents_new();
    if (d)
        detection_tick(g, time_now(), true);
    detection_free(d);
    g->detection = fresh;
    tell_loaded(g, rs);
    return 0;
}

/* ---- alerts ---- */

static uint64_t incident_key(const struct detect_rule *r, const struct detect_subject *s)
{
    uint64_t parts[] = {r->index, str_hash(s->container.id), str_hash(s->exe), str_hash(s->via)};
    return str_hash(str_n((const char *)parts, sizeof(parts)));
}

static void put(struct agent *g, struct arena *a, struct event *ev, const struct incident *in, struct str rest)
{
    char first[TIME_TEXT], last[TIME_TEXT];
    ev->detail =
        arena_strf(a, "{\"incident\":{\"id\":\"%s\",\"count\":%" PRIu64 ",\"first\":\"%s\",\"last\":\"%s\"}%s" STR_FMT,
                   in->id, in->count, time_format(in->first, first), time_format(in->last, last), rest.n > 2 ? "," : "",
                   STR_ARG(str_sub(rest, 1, rest.n)));
    journal_put(g->journal, ev);
}

static void keep(struct incident *in, const struct event *ev)
{
    _cleanup_(buf_fini) struct buf b = BUF_INIT(LIMIT_EVENT * 2);
    struct json_writer w = JSON_WRITER(&b);
    event_write(&w, ev);
    if (!b.full)
        incidents_keep(in, buf_str(&b));
}

static void explain_once(struct running *run, struct detect_subject *s)
{
    if (run->explained)
        return;
    run->explained = true;
    observe_explain(run->g, run->a, run->c, run->ev, &run->out, &run->who);
    story_parents(run->a, run->g->tree, &run->out.process);
}

static void on_alert(void *ctx, const struct detect_alert *alert, struct detect_subject *s)
{
    struct running *run = ctx;
    struct incident *in;
    const struct detect_rule *rule = alert->rule;
    enum event_severity severity = detect_priority_severity(rule->priority);
    run->always = run->always || rule->always;
    bool fresh = incidents_alert(run->g->detection->incidents, incident_key(rule, s), s->time, &in);
    bool act = run->c && respond_wanted(run->c, CONTROL_rules, severity, rule->name) != RESOURCE_ALERT;
    if (!fresh && !act) /* a repeat is counted; what the policy wants done about it is done each time */
        return;
    explain_once(run, s);
    struct story story = {.alert = alert,
                          .subject = s,
                          .tree = run->g->tree,
                          .session = run->who.exec,
                          .by = run->who.by,
                          .user = run->who.user,
                          .event = run->out.detail};
    struct event ev = run->out;
    ev.control = CONTROL_rules;
    ev.rule = rule->name;
    ev.severity = severity;
    ev.action = ACTION_alert;
    ev.level = LEVEL_detect;
    ev.outcome = OUTCOME_detected;
    if (fresh) {
        struct str rest = story_detail(run->a, &story);
        ev.detail = rest;
        keep(in, &ev);
        put(run->g, run->a, &ev, in, rest);
    }
    if (act)
        respond_event(run->g, run->c, &ev, observe_first(run->g, run->c));
}

static const struct json_value *ask_detail(void *ctx, struct arena *a)
{
    struct running *run = ctx;
    struct json_value *v = NULL;
    explain_once(run, NULL);
    return json_parse(a, run->out.detail, 0, &v, NULL) < 0 ? NULL : v;
}

bool detection_named(const struct detection *d, struct str pattern)
{
    struct detect_rule *const *list;
    size_t n = d ? detect_rules_list(d->rules, &list) : 0;
    for (size_t i = 0; i < n; i++)
        if (list[i]->steps_n && str_glob(pattern, list[i]->name, true))
            return true;
    return false;
}

bool detection_wants(const struct detection *d, const struct sensor_event *ev)
{
    return d && detector_wants(d->detector, detect_subject_kind(ev));
}

bool detection_event(struct agent *g, struct container *c, const struct sensor_event *ev)
{
    struct detection *d = g->detection;
    if (!detection_wants(d, ev))
        return false;
    struct running run = {.g = g, .c = c, .ev = ev, .a = d->story};
    arena_reset(d->a);
    arena_reset(d->story);
    struct detect_subject s = {.a = d->a,
                               .tree = g->tree,
                               .live = true,
                               .host = str_c(g->config.host),
                               .ask_detail = ask_detail,
                               .ask_ctx = &run};
    detect_subject_sensor(&s, ev);
    if (c) {
        subject_for_event(&c->s, &s.container);
        s.container_started = c->started;
    }
    detector_run(d->detector, &s, on_alert, &run);
    return run.always;
}

static void tell_repeats(void *ctx, const struct incident *in)
{
    struct agent *g = ctx;
    _cleanup_(arena_freep) struct arena *a = arena_new(SUBJECT_ARENA);
    struct event ev;
    if (in->event.n && inbox_event(a, in->event, &ev, NULL) == 0) {
        ev.time = in->last;
        put(g, a, &ev, in, ev.detail.n ? ev.detail : STR("{}"));
    }
}

void detection_tick(struct agent *g, int64_t now, bool all)
{
    if (g->detection)
        incidents_tick(g->detection->incidents, now, all, tell_repeats, g);
}

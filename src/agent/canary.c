/* The canary: each minute a throw-away container of our own does what every control must stop (runtime/prove.h), ruled
 * by the programs and maps that are in force. A control that no longer acts, or is no longer told, is an event and is
 * in the status; so is its return. */
#include "agent/agent.h"

#include "base/cleanup.h"
#include "base/log.h"
#include "runtime/prove.h"

#define EVERY (60 * TIME_SECOND)
#define LATE  (20 * TIME_SECOND) /* for an answer, on a host that is very busy */

enum {
#define EVENT_CONTROL(...) +1
    CONTROLS = 0
#include "format/event.tbl.h"
#undef EVENT_CONTROL
};

struct canary {
    struct prove *prove; /* NULL: none is out */
    int64_t sent, done;  /* monotonic; instant of the last one that came back */
    bool failed[CONTROLS];
    char id[IDENTITY_TEXT]; /* its container, once it was heard */
    size_t failed_n;
    char error[256]; /* why none could be sent; "" fine */
};

struct canary *canary_new(void)
{
    struct canary *c = calloc(1, sizeof(*c));
    if (!c)
        abort();
    c->sent = time_monotonic();
    return c;
}

void canary_free(struct canary *c)
{
    if (c)
        prove_free(c->prove);
    free(c);
}

bool canary_event(struct agent *g, const struct sensor_event *ev)
{
    struct canary *c = g->canary;
    if (!c || !c->prove || !prove_event(c->prove, ev))
        return false;
    memcpy(c->id, ev->id.p, ev->id.n);
    return true;
}

static void tell(struct agent *g, bool bad, const char *rule, struct str detail)
{
    say(g, EVENT_TYPE_agent, CONTROL_sensor, bad ? SEVERITY_critical : SEVERITY_info, bad ? ACTION_alert : ACTION_off,
        rule, detail);
    g->status_changed = true;
}

static const enum event_control tried[] = {
#define CONTROL_ROW(c, ...) CONTROL_##c,
#define CONTROL_ATTACHED(...)
#include "runtime/control.tbl.h"
};

static void judge(struct agent *g, struct canary *c)
{
    _cleanup_(buf_fini) struct buf b = BUF_INIT(LIMIT_EVENT / 2);
    struct json_writer w = JSON_WRITER(&b);
    bool worse = false;
    size_t n = 0;
    json_w_object(&w);
    json_w_karray(&w, "controls");
    for (size_t i = 0; i < ARRAY_LEN(tried); i++) {
        char text[512];
        enum event_level level = sensor_control_level(sensor_tier(g->sensor), tried[i]);
        bool bad = level >= LEVEL_kill && prove_result(c->prove, tried[i], level, text, sizeof(text)) == PROOF_NONE;
        worse |= bad && !c->failed[tried[i]];
        c->failed[tried[i]] = bad;
        if (!bad)
            continue;
        n++;
        json_w_object(&w);
        json_w_kstrz(&w, "control", event_control_name(tried[i]));
        json_w_kstrz(&w, "seen", text);
        json_w_end(&w);
    }
    json_w_end(&w);
    json_w_end(&w);
    if (worse) {
        log_error("the canary: %zu controls do not act as they should", n);
        tell(g, true, "Sensing failed", buf_str(&b));
    } else if (c->failed_n && !n) {
        tell(g, false, "Sensing works again", STR_NONE);
    }
    c->failed_n = n;
    c->done = time_now();
    g->status_changed = true;
}

void canary_step(struct agent *g)
{
    struct canary *c = g->canary;
    struct err e = ERR_INIT;
    int64_t now = time_monotonic(), every = g->config.canary ? g->config.canary : EVERY;
    if (!c || !g->sensor)
        return;
    if (c->prove) {
        bool runs = prove_read(c->prove);
        if (runs && now - c->sent < LATE)
            return;
        if (!prove_complete(c->prove) && now - c->sent < TIME_SECOND + every / 2)
            return; /* the kernel's events may be on their way */
        judge(g, c);
        prove_free(c->prove);
        sensor_container_forget(g->sensor, str_c(c->id), NULL);
        c->prove = NULL;
    }
    if (now - c->sent < every)
        return;
    c->sent = now;
    if (prove_start(&c->prove, g->config.bpf_dir, &e) < 0 && strcmp(c->error, e.msg)) {
        snprintf(c->error, sizeof(c->error), "%.250s", e.msg);
        say_problem(g, EVENT_TYPE_agent, "The canary could not be sent", e.msg);
    }
}

bool canary_out(const struct agent *g)
{
    return g->canary && g->canary->prove;
}

void canary_status(const struct agent *g, struct json_writer *w)
{
    const struct canary *c = g->canary;
    char t[TIME_TEXT];
    json_w_kobject(w, "canary");
    json_w_kstr(w, "time", c && c->done ? str_c(time_format(c->done, t)) : STR_NONE);
    json_w_karray(w, "failed");
    for (size_t i = 0; c && i < ARRAY_LEN(tried); i++)
        if (c->failed[tried[i]])
            json_w_str(w, str_c(event_control_name(tried[i])));
    json_w_end(w);
    json_w_kstr(w, "error", c && c->error[0] ? str_c(c->error) : STR_NONE);
    json_w_end(w);
}

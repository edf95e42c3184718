#include "agent/agent.h"

#include "base/cleanup.h"
#include "base/log.h"

void say(struct agent *g, enum event_type type, enum event_control control, enum event_severity severity,
         enum event_action action, const char *rule, struct str detail)
{
    struct event ev = {.type = type,
                       .control = control,
                       .rule = str_c(rule),
                       .severity = severity,
                       .action = action,
                       .level = LEVEL_detect,
                       .outcome = OUTCOME_detected,
                       .detail = detail};
    journal_put(g->journal, &ev);
}

void say_problem(struct agent *g, enum event_type type, const char *rule, const char *problem)
{
    _cleanup_(buf_fini) struct buf b = BUF_INIT(8192);
    struct json_writer w = JSON_WRITER(&b);
    json_w_object(&w);
    json_w_kstrz(&w, "error", problem);
    json_w_end(&w);
    log_error("%s: %s", rule, problem);
    say(g, type, CONTROL_none, SEVERITY_high, ACTION_alert, rule, buf_str(&b));
}

void agent_wake(struct agent *g)
{
    uint64_t one = 1;
    if (write(g->wake, &one, sizeof(one)) < 0)
        return; /* the counter is full: the main thread wakes anyway */
}

/* bulkhead rules test: the rules on recorded events. */
#include "cli/rules.h"

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/fs.h"
#include "base/time.h"
#include "cli/table.h"
#include "detect/replay.h"

struct printing {
    bool json;
    size_t fired;
    struct arena *a;
};

static void print_alert(void *ctx, const struct detect_alert *alert, struct detect_subject *s)
{
    struct printing *p = ctx;
    char when[TIME_TEXT];
    const struct detect_rule *r = alert->rule;
    p->fired++;
    if (!p->json) {
        printf("%s  %-8s %s: %s\n", time_format(s->time, when),
               event_severity_name(detect_priority_severity(r->priority)), plain(s->a, r->name),
               plain(s->a, alert->message));
        return;
    }
    _cleanup_(buf_fini) struct buf b = BUF_INIT(LIMIT_EVENT * 2);
    struct json_writer w = JSON_WRITER(&b);
    json_w_object(&w);
    json_w_kstrz(&w, "time", time_format(s->time, when));
    json_w_kstr(&w, "rule", r->name);
    json_w_kstrz(&w, "priority", detect_priority_name(r->priority));
    json_w_kstrz(&w, "severity", event_severity_name(detect_priority_severity(r->priority)));
    json_w_kstr(&w, "output", alert->message);
    json_w_ki64(&w, "count", (int64_t)alert->count);
    json_w_karray(&w, "mitre");
    for (size_t i = 0; i < r->mitre_n; i++)
        json_w_str(&w, r->mitre[i]);
    json_w_end(&w);
    json_w_kstr(&w, "container", s->container.id.n ? s->container.id : STR_NONE);
    json_w_ki64(&w, "pid", s->pid);
    json_w_end(&w);
    buf_putc(&b, '\n');
    fs_write_all(STDOUT_FILENO, b.p, b.n, NULL);
}

int rules_test(const struct detect_rules *rs, const char *events, bool json, struct err *e)
{
    struct printing p = {.json = json};
    struct replay_result result = {0};
    int r = detect_replay(rs, events, print_alert, &p, &result, e);
    if (r < 0)
        return r;
    if (!json)
        printf("%zu events, %zu alerts\n", result.events, p.fired);
    return p.fired ? 1 : 0;
}

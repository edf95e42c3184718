#include "format/event.h"

#include "base/cleanup.h"
#include "base/time.h"

#define EVENT_TYPE(n) #n,
static const char *const types[] = {
#include "format/event.tbl.h"
};
#undef EVENT_TYPE
#define EVENT_CONTROL(id, name, doc) name,
static const char *const controls[] = {
#include "format/event.tbl.h"
};
#undef EVENT_CONTROL
#define EVENT_SEVERITY(n) #n,
static const char *const severities[] = {
#include "format/event.tbl.h"
};
#undef EVENT_SEVERITY
#define EVENT_ACTION(n) #n,
static const char *const actions[] = {
#include "format/event.tbl.h"
};
#undef EVENT_ACTION
#define EVENT_LEVEL(n) #n,
static const char *const levels[] = {
#include "format/event.tbl.h"
};
#undef EVENT_LEVEL
#define EVENT_OUTCOME(n) #n,
static const char *const outcomes[] = {
#include "format/event.tbl.h"
};
#undef EVENT_OUTCOME

#define NAME(table, v) ((size_t)(v) < ARRAY_LEN(table) ? table[(v)] : "unknown")

const char *event_type_name(enum event_type t)
{
    return NAME(types, t);
}

const char *event_control_name(enum event_control c)
{
    return NAME(controls, c);
}

const char *event_severity_name(enum event_severity s)
{
    return NAME(severities, s);
}

const char *event_action_name(enum event_action a)
{
    return NAME(actions, a);
}

const char *event_level_name(enum event_level l)
{
    return NAME(levels, l);
}

const char *event_outcome_name(enum event_outcome o)
{
    return NAME(outcomes, o);
}

size_t event_names(enum event_list l, const char *const **ret)
{
    static const struct {
        const char *const *v;
        size_t n;
    } lists[] = {
        [EVENT_LIST_TYPE] = {types, ARRAY_LEN(types)},
        [EVENT_LIST_CONTROL] = {controls, ARRAY_LEN(controls)},
        [EVENT_LIST_SEVERITY] = {severities, ARRAY_LEN(severities)},
        [EVENT_LIST_ACTION] = {actions, ARRAY_LEN(actions)},
        [EVENT_LIST_LEVEL] = {levels, ARRAY_LEN(levels)},
        [EVENT_LIST_OUTCOME] = {outcomes, ARRAY_LEN(outcomes)},
    };
    *ret = lists[l].v;
    return lists[l].n;
}

int event_find(enum event_list l, struct str s)
{
    const char *const *names;
    size_t n = event_names(l, &names);
    for (size_t i = 0; i < n; i++)
        if (str_eqc(s, names[i]))
            return (int)i;
    return -EINVAL;
}

int event_severity_parse(struct str s, enum event_severity *ret)
{
    int i = event_find(EVENT_LIST_SEVERITY, s);
    if (i >= 0)
        *ret = (enum event_severity)i;
    return i < 0 ? i : 0;
}

int event_action_parse(struct str s, enum event_action *ret)
{
    int i = event_find(EVENT_LIST_ACTION, s);
    if (i >= 0)
        *ret = (enum event_action)i;
    return i < 0 ? i : 0;
}

static void put_text(struct json_writer *w, const char *key, struct str s)
{
    json_w_kstr(w, key, s.n ? s : STR_NONE);
}

static void put_time(struct json_writer *w, const char *key, int64_t t)
{
    char text[TIME_TEXT];
    json_w_kstr(w, key, t ? str_c(time_format(t, text)) : STR_NONE);
}

static void put_container(struct json_writer *w, const struct event_container *c)
{
    json_w_kobject(w, "container");
    put_text(w, "id", c->id);
    put_text(w, "name", c->name);
    put_text(w, "image", c->image);
    put_text(w, "image_id", c->image_id);
    put_text(w, "image_digest", c->image_digest);
    put_text(w, "engine", c->engine);
    json_w_key(w, "labels");
    if (c->labels && c->labels->type == JSON_OBJECT)
        json_w_value(w, c->labels);
    else
        json_w_raw(w, STR("{}"));
    json_w_end(w);
}

static void put_parent_args(struct json_writer *w, const struct event_parent *p)
{
    struct str rest = p->args, one;
    json_w_karray(w, "args");
    while (str_cut(&rest, '\0', &one))
        json_w_str(w, one);
    json_w_end(w);
    json_w_ki64(w, "uid", p->uid);
}

static void put_process(struct json_writer *w, const struct event_process *p)
{
    json_w_kobject(w, "process");
    json_w_ki64(w, "pid", p->pid);
    put_text(w, "exe", p->exe);
    json_w_karray(w, "args");
    for (size_t i = 0; i < p->args_n; i++)
        json_w_str(w, p->args[i].p ? p->args[i] : STR(""));
    json_w_end(w);
    json_w_ki64(w, "uid", p->uid);
    put_text(w, "user", p->user);
    put_time(w, "started", p->started);
    json_w_karray(w, "parents");
    for (size_t i = 0; i < p->parents_n; i++) {
        json_w_object(w);
        json_w_ki64(w, "pid", p->parents[i].pid);
        put_text(w, "exe", p->parents[i].exe);
        if (p->parents[i].args.n)
            put_parent_args(w, &p->parents[i]);
        json_w_end(w);
    }
    json_w_end(w);
    json_w_end(w);
}

void event_write(struct json_writer *w, const struct event *ev)
{
    json_w_object(w);
    json_w_kstrz(w, "id", ev->id);
    put_time(w, "time", ev->time);
    json_w_ki64(w, "seq", (int64_t)ev->seq);
    put_text(w, "host", ev->host);
    json_w_kstrz(w, "type", event_type_name(ev->type));
    json_w_kstrz(w, "control", event_control_name(ev->control));
    put_text(w, "rule", ev->rule);
    json_w_kstrz(w, "severity", event_severity_name(ev->severity));
    json_w_kstrz(w, "action", event_action_name(ev->action));
    json_w_kstrz(w, "level", event_level_name(ev->level));
    json_w_kstrz(w, "outcome", event_outcome_name(ev->outcome));
    if (ev->container.id.n)
        put_container(w, &ev->container);
    if (ev->process.pid)
        put_process(w, &ev->process);
    json_w_key(w, "user");
    if (ev->user_name.n || ev->user_via.n) {
        json_w_object(w);
        put_text(w, "name", ev->user_name);
        put_text(w, "via", ev->user_via);
        json_w_end(w);
    } else {
        json_w_null(w);
    }
    json_w_key(w, "policy");
    if (ev->policy_name.n) {
        json_w_object(w);
        json_w_kstr(w, "name", ev->policy_name);
        json_w_ki64(w, "revision", ev->policy_revision);
        json_w_end(w);
    } else {
        json_w_null(w);
    }
    json_w_key(w, "detail");
    json_w_raw(w, ev->detail.n ? ev->detail : STR("{}"));
    json_w_end(w);
}

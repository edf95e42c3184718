#include "detect/story.h"

#include "base/cleanup.h"
#include "base/time.h"

static void put_args(struct json_writer *w, struct str args)
{
    struct str one;
    while (args.n && args.p[args.n - 1] == '\0')
        args.n--;
    json_w_karray(w, "args");
    while (str_cut(&args, '\0', &one))
        json_w_str(w, one);
    json_w_end(w);
}

static bool is_cron(struct str exe)
{
    static const char *const names[] = {"cron", "crond", "anacron", "atd", "fcron", "supercronic"};
    struct str name = str_sub(exe, (size_t)(str_rchr(exe, '/') + 1), exe.n);
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        if (str_eqc(name, names[i]))
            return true;
    return false;
}

/* The outermost process of the chain that is still inside the container, and cron's, where cron is in the chain. */
static void put_cause(struct json_writer *w, const struct story *st)
{
    const struct detect_subject *s = st->subject;
    struct detect_parent top = {.pid = s->pid, .exe = s->exe, .args = s->args, .uid = s->uid};
    const char *kind = st->session ? "exec-session" : "unknown";
    bool cron = false;
    for (size_t i = 0; i < s->parents_n && st->tree; i++) {
        const struct process *p = processes_get(st->tree, s->parents[i].pid, 0);
        if (!p || !str_eqc(s->container.id, p->id))
            break;
        cron = cron || is_cron(p->exe);
        top = (struct detect_parent){.pid = p->pid, .exe = p->exe, .args = p->args, .uid = p->uid};
    }
    if (cron)
        kind = "cron";
    else if (!st->session && s->container.id.n)
        kind = "entrypoint";
    json_w_kobject(w, "cause");
    json_w_kstrz(w, "kind", kind);
    json_w_kstr(w, "user", st->by.n ? st->by : STR_NONE);
    json_w_kobject(w, "process");
    json_w_ki64(w, "pid", top.pid);
    json_w_kstr(w, "exe", top.exe.n ? top.exe : STR_NONE);
    put_args(w, top.args);
    json_w_ki64(w, "uid", top.uid);
    json_w_end(w);
    json_w_end(w);
}

static void put_list(struct json_writer *w, const char *key, const struct str *v, size_t n)
{
    json_w_karray(w, key);
    for (size_t i = 0; i < n; i++)
        json_w_str(w, v[i]);
    json_w_end(w);
}

struct str story_detail(struct arena *a, const struct story *st)
{
    const struct detect_alert *al = st->alert;
    const struct detect_rule *r = al->rule;
    const struct detect_subject *s = st->subject;
    _cleanup_(buf_fini) struct buf b = BUF_INIT(LIMIT_EVENT - 4096);
    struct json_writer w = JSON_WRITER(&b);
    char since[TIME_TEXT];
    json_w_object(&w);
    json_w_kstr(&w, "message", al->message);
    json_w_kstr(&w, "reason", str_sub(r->desc, 0, 4096));
    if (r->advice.n)
        json_w_kstr(&w, "advice", str_sub(r->advice, 0, 2048));
    json_w_kstrz(&w, "priority", detect_priority_name(r->priority));
    put_list(&w, "tags", r->tags, r->tags_n < 32 ? r->tags_n : 32);
    put_list(&w, "mitre", r->mitre, r->mitre_n < 16 ? r->mitre_n : 16);
    json_w_kbool(&w, "always", r->always);
    put_cause(&w, st);
    if (s->control != CONTROL_none) {
        json_w_kobject(&w, "control");
        json_w_kstrz(&w, "name", event_control_name(s->control));
        json_w_kstrz(&w, "level", event_level_name(s->level));
        json_w_kstrz(&w, "outcome", event_outcome_name(s->outcome));
        json_w_end(&w);
    }
    if (r->at_least || r->steps_n > 1) {
        json_w_kobject(&w, "counted");
        json_w_ki64(&w, "count", (int64_t)al->count);
        json_w_kstrz(&w, "since", time_format(al->first, since));
        json_w_end(&w);
    }
    if (st->event.n && b.n + st->event.n < LIMIT_EVENT - 8192) {
        json_w_key(&w, "event");
        json_w_raw(&w, st->event);
    }
    json_w_end(&w);
    return b.full ? STR("{}") : arena_str(a, buf_str(&b));
}

void story_parents(struct arena *a, struct processes *tree, struct event_process *p)
{
    for (size_t i = 0; i < p->parents_n && tree; i++) {
        const struct process *known = processes_get(tree, p->parents[i].pid, 0);
        if (!known)
            continue;
        p->parents[i].args = arena_str(a, known->args);
        p->parents[i].uid = known->uid;
        if (!p->parents[i].exe.n)
            p->parents[i].exe = arena_str(a, known->exe);
    }
}

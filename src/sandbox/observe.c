#include "sandbox/observe.h"

#include "base/cleanup.h"
#include "base/embedded.h"
#include "base/fs.h"
#include "base/time.h"
#include "detect/detector.h"
#include "runtime/profile.h"
#include "scan/issue.h"

#define FINDINGS_MAX  1000u
#define SUBJECT_ARENA (8u << 20)

extern const struct embedded detect_shipped[];

struct observe {
    struct arena *a, *scratch;
    const struct inventory *inv;
    struct str id, image;
    struct detect_rules *rules;
    struct detector *detector;
    struct processes *tree;
    struct profiles *profiles;
    struct finding *list;
    size_t n, cap, executed;
};

int observe_new(struct arena *a, const struct inventory *inv, struct str id, const char *dir, struct observe **ret,
                struct err *e)
{
    _cleanup_(observe_freep) struct observe *o = calloc(1, sizeof(*o));
    if (!o)
        abort();
    *o = (struct observe){.a = a, .inv = inv, .id = id, .image = inv->names_n ? inv->names[0] : inv->target};
    o->scratch = arena_new(SUBJECT_ARENA);
    o->rules = detect_rules_new();
    o->tree = processes_new(0);
    o->profiles = profiles_new(dir, 1, 0);
    for (const struct embedded *f = detect_shipped; f->name; f++) {
        int r = detect_rules_add(o->rules, f->name, embedded_str(f), e);
        if (r < 0)
            return r;
    }
    detect_rules_compile(o->rules);
    o->detector = detector_new(o->rules);
    profiles_started(o->profiles, inv->image_id, o->image, time_now());
    *ret = TAKE(o);
    return 0;
}

void observe_free(struct observe *o)
{
    if (!o)
        return;
    detector_free(o->detector);
    detect_rules_free(o->rules);
    processes_free(o->tree);
    profiles_free(o->profiles);
    arena_free(o->scratch);
    free(o);
}

void observe_freep(struct observe **o)
{
    observe_free(*o);
}

/* Once each. */
static void add(struct observe *o, const struct finding *f)
{
    for (size_t i = 0; i < o->n; i++)
        if (str_eq(o->list[i].id, f->id) && str_eq(o->list[i].type, f->type) && str_eq(o->list[i].path, f->path) &&
            str_eq(o->list[i].address, f->address))
            return;
    if (o->n == FINDINGS_MAX)
        return;
    o->list = arena_grow(o->a, o->list, o->n, &o->cap, sizeof(*f));
    struct finding *d = &o->list[o->n++];
    *d = *f;
    d->kind = FINDING_DYNAMIC;
    d->origin = ORIGIN_CONFIG;
    d->id = arena_str(o->a, f->id);
    d->title = arena_str(o->a, f->title);
    d->path = arena_str(o->a, f->path);
    d->address = arena_str(o->a, f->address);
    d->match = arena_str(o->a, f->match);
}

static enum vuln_severity severity(enum event_severity s)
{
    enum vuln_severity v;
    return vuln_severity_parse(str_c(event_severity_name(s)), &v) < 0 ? VULN_LOW : v;
}

static void on_alert(void *ctx, const struct detect_alert *alert, struct detect_subject *s)
{
    struct observe *o = ctx;
    add(o, &(struct finding){.id = alert->rule->name,
                             .type = STR("rule"),
                             .severity = severity(detect_priority_severity(alert->rule->priority)),
                             .title = str_sub(alert->message, 0, alert->message.n < 400 ? alert->message.n : 400),
                             .path = s->exe});
}

static void learn(struct observe *o, const struct sensor_event *ev)
{
    const struct bh_event *r = ev->raw;
    struct profile_seen s = {.path = ev->exe, .uid = r->ns_uid, .where = "image"};
    if (r->parents_n)
        s.parent = sensor_parent_exe(ev, 0);
    profiles_observe(o->profiles, o->inv->image_id, o->image, &s, time_now());
    profiles_capabilities(o->profiles, o->inv->image_id, o->image, r->caps, time_now());
}

static void executed(struct observe *o, const struct sensor_event *ev)
{
    const struct bh_event *r = ev->raw;
    struct process p = {
        .pid = r->pid, .ppid = r->ppid, .uid = r->uid, .started = ev->started, .exe = ev->exe, .args = ev->args};
    memcpy(p.id, ev->id.p, ev->id.n);
    processes_exec(o->tree, &p);
    o->executed++;
    uint32_t dropped = BH_FILE_UPPER | BH_FILE_TMPFS | BH_FILE_MEMFD | BH_FILE_DELETED;
    if (r->file.flags & dropped)
        add(o, &(struct finding){.id = r->file.flags & BH_FILE_MEMFD ? STR("fileless") : STR("drift"),
                                 .type = STR("exec"),
                                 .severity = VULN_HIGH,
                                 .title = STR("ran a program that is not in the image"),
                                 .path = ev->exe});
    else if (r->file.flags & BH_FILE_LOWER && !(r->truncated & BH_TRUNCATED_EXE))
        learn(o, ev);
}

int observe_event(void *observe, const struct sensor_event *ev)
{
    struct observe *o = observe;
    if (!str_eq(ev->id, o->id))
        return 0;
    arena_reset(o->scratch);
    struct detect_subject s = {.a = o->scratch, .tree = o->tree, .live = true, .host = STR("sandbox")};
    detect_subject_sensor(&s, ev);
    s.container = (struct event_container){.id = o->id, .image = o->image, .image_id = o->inv->image_id};
    if (ev->type == EVENT_TYPE_exec)
        executed(o, ev);
    detector_run(o->detector, &s, on_alert, o);
    if (ev->type == EVENT_TYPE_exit)
        processes_exit(o->tree, ev->raw->pid);
    return 0;
}

size_t observe_executed(const struct observe *o)
{
    return o->executed;
}

static void flows(struct observe *o, const struct sink *sink)
{
    const struct sink_flow *f;
    size_t n = sink_flows(sink, &f);
    for (size_t i = 0; i < n; i++) {
        bool dns = str_eqc(f[i].kind, "dns");
        struct str name = f[i].name.n ? arena_strf(o->a, " (" STR_FMT ")", STR_ARG(f[i].name)) : STR("");
        struct str title = dns ? arena_strf(o->a, "asked for the name " STR_FMT, STR_ARG(f[i].address))
                               : arena_strf(o->a, "sent to " STR_FMT STR_FMT " over " STR_FMT, STR_ARG(f[i].address),
                                            STR_ARG(name), STR_ARG(f[i].kind));
        add(o, &(struct finding){.id = dns ? STR("dns") : STR("connect"),
                                 .type = dns ? STR("dns") : STR("connect"),
                                 .severity = VULN_LOW,
                                 .title = title,
                                 .address = f[i].address,
                                 .match = f[i].head});
    }
}

void observe_finish(struct observe *o, const struct sink *sink, struct inventory *inv)
{
    if (sink)
        flows(o, sink);
    struct finding *all = arena_array(o->a, inv->issues_n + o->n, sizeof(*all));
    struct str *looked = arena_array(o->a, inv->looked_for_n + 1, sizeof(*looked));
    if (inv->issues_n)
        memcpy(all, inv->issues, inv->issues_n * sizeof(*all));
    if (o->n)
        memcpy(all + inv->issues_n, o->list, o->n * sizeof(*all));
    inv->issues = all;
    inv->issues_n += o->n;
    if (inv->issues_n > 1)
        qsort(all, inv->issues_n, sizeof(*all), issue_order);
    if (inv->looked_for_n)
        memcpy(looked, inv->looked_for, inv->looked_for_n * sizeof(*looked));
    looked[inv->looked_for_n++] = STR("dynamic");
    inv->looked_for = looked;
}

int observe_profile(struct observe *o, const char *file, struct err *e)
{
    _cleanup_(buf_fini) struct buf b = BUF_INIT(PROFILE_FILE);
    const struct profile *p = profiles_get(o->profiles, o->inv->image_id);
    if (!p || !p->executables_n)
        return err_set(e, ENOENT, "the image ran no program of its own: there is no profile to write");
    profile_policy(&b, p, "audit");
    int r = buf_check(&b, e);
    return r < 0 ? r : fs_write(file, buf_str(&b), 0644, e);
}

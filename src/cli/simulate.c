/* bulkhead policy simulate: what a draft would have said of stored scan reports, or of recorded events. */
#include "cli/policy.h"

#include "base/fs.h"
#include "base/map.h"
#include "base/time.h"
#include "cli/command.h"
#include "cli/table.h"
#include "policy/policy.h"
#include "scan/assess.h"

#include <dirent.h>
#include <fcntl.h>
#include <getopt.h>

#define POLICIES_MAX 64u
#define REPORT_ARENA ((size_t)1 << 30)
#define GROUPS_MAX   100000u

struct simulation {
    const char *inventories, *events, *intel_path, *intel_key;
    const char *policies[POLICIES_MAX];
    size_t policies_n;
    bool json;
    struct policy_set *set;
    struct intel *intel;
    struct buf out; /* --json */
    struct json_writer w;
    size_t stopped; /* went through then, would be stopped by the draft */
    size_t total;
};

/* ---- stored scan reports ---- */

static int one_report(struct simulation *s, const char *path, struct err *e)
{
    _cleanup_(arena_freep) struct arena *a = arena_new(REPORT_ARENA);
    struct inventory inv;
    struct assessment as;
    struct json_value *report;
    struct verdict then;
    struct str text;
    int r = fs_read(a, path, LIMIT_REQUEST_ARENA, &text, e);
    if (r < 0)
        return r;
    if ((r = json_parse(a, text, 0, &report, e)) < 0 || (r = inventory_read(a, report, &inv, e)) < 0) {
        err_wrap(e, "%s", path);
        return r;
    }
    struct assess_input in = {.inventory = &inv, .intel = s->intel, .now = time_now()};
    /* the verdict of that time is part of the report; a bare inventory counts as let through */
    bool allowed = verdict_read(a, json_get(report, "verdict"), &then, NULL) < 0 || then.allow;
    in.policy = s->set;
    if ((r = assess(a, &in, &as, e)) < 0)
        return r;
    const struct verdict *v = &as.verdict;
    struct str name = inv.names_n ? inv.names[0] : inv.image_id.n ? inv.image_id : inv.target;
    s->total++;
    s->stopped += allowed && !v->allow;
    if (s->json) {
        json_w_object(&s->w);
        json_w_kstr(&s->w, "name", name);
        json_w_kbool(&s->w, "allowed_before", allowed);
        json_w_key(&s->w, "verdict");
        verdict_write(&s->w, v);
        json_w_end(&s->w);
        return 0;
    }
    printf("%-5s -> %-5s  %s\n", allowed ? "allow" : "deny", v->allow ? "allow" : "deny", plain(a, name));
    for (size_t i = 0; i < v->reasons_n; i++)
        printf("                 %s %s: %s\n", v->reasons[i].deny ? "deny" : "warn", plain(a, v->reasons[i].policy),
               plain(a, v->reasons[i].text));
    return 0;
}

static int reports_only(const struct dirent *d)
{
    return d->d_name[0] != '.' && str_ends(str_c(d->d_name), STR(".json"));
}

static int reports(struct simulation *s, struct err *e)
{
    struct dirent **names;
    char path[4096];
    int n = scandir(s->inventories, &names, reports_only, alphasort), r = 0;
    if (n < 0)
        return err_errno(e, "%s", s->inventories);
    for (int i = 0; i < n; i++) {
        int len = snprintf(path, sizeof(path), "%s/%s", s->inventories, names[i]->d_name);
        if (r == 0 && len < (int)sizeof(path))
            r = one_report(s, path, e);
        free(names[i]);
    }
    free(names);
    if (r == 0 && !s->json)
        printf("%zu image%s, %zu newly denied\n", s->total, s->total == 1 ? "" : "s", s->stopped);
    return r;
}

/* ---- recorded events ---- */

struct group {
    const char *action, *control;
    struct str container, exe, policy;
    size_t count;
};

static bool on_list(const struct str *v, size_t n, struct str exe)
{
    for (size_t i = 0; i < n; i++)
        if (str_glob(v[i], exe, false))
            return true;
    return false;
}

/* The draft's setting for the control an event is about; lists are judged for what was executed. */
static bool setting(const struct container_policy *p, struct str control, struct str type, struct str exe,
                    enum event_action *action, const char **name)
{
    const struct {
        const char *name;
        enum event_action action;
    } controls[] = {
#define X(name, section, key) {event_control_name(CONTROL_##name), p->name},
        POLICY_ACTIONS(X)
#undef X
    };
    for (size_t i = 0; i < ARRAY_LEN(controls); i++)
        if (str_eqc(control, controls[i].name)) {
            *action = controls[i].action;
            *name = controls[i].name;
            if (i == 0 && on_list(p->drift_allow, p->drift_allow_n, exe))
                *action = ACTION_off;
            return true;
        }
    if (!str_eqc(type, "exec") || !exe.n)
        return false;
    *action = ACTION_block;
    *name = "process.deny";
    if (on_list(p->deny, p->deny_n, exe))
        return true;
    *name = "process.allow";
    return p->has_allow && !on_list(p->allow, p->allow_n, exe);
}

static void one_event(struct simulation *s, struct arena *keep, struct arena *a, const struct json_value *ev,
                      struct map *groups)
{
    const struct json_value *c = json_get(ev, "container");
    struct container_subject subject = {
        .id = json_str(json_get(c, "id")),
        .name = json_str(json_get(c, "name")),
        .image = json_str(json_get(c, "image")),
        .image_id = json_str(json_get(c, "image_id")),
        .image_digest = json_str(json_get(c, "image_digest")),
        .labels = json_get(c, "labels"),
    };
    struct container_policy p;
    enum event_action action;
    const char *control;
    struct str exe = json_str(json_path(ev, "process.exe")), outcome = json_str(json_get(ev, "outcome"));
    if (!subject.id.n)
        return;
    policy_container(a, s->set, &subject, &p);
    if (!setting(&p, json_str(json_get(ev, "control")), json_str(json_get(ev, "type")), exe, &action, &control))
        return;
    bool stops = action == ACTION_block && p.mode == MODE_ENFORCE;
    bool went = str_eqc(outcome, "detected") || str_eqc(outcome, "allowed");
    const char *says = stops ? "block" : action == ACTION_block ? "would block" : event_action_name(action);
    struct str name = subject.name.n ? subject.name : str_sub(subject.id, 0, 12);
    struct str key = arena_strf(a, "%s %s " STR_FMT "\n" STR_FMT "\n" STR_FMT, says, control, STR_ARG(name),
                                STR_ARG(exe), STR_ARG(p.name));
    struct group *g = map_get(groups, key);
    if (!g && map_count(groups) < GROUPS_MAX) {
        g = arena_new_of(keep, struct group);
        *g = (struct group){says, control, arena_str(keep, name), arena_str(keep, exe), arena_str(keep, p.name), 0};
        map_put(groups, key, g);
    }
    if (g)
        g->count++;
    s->total++;
    s->stopped += stops && went;
}

static ssize_t read_fd(void *ctx, void *p, size_t n, struct err *e)
{
    ssize_t r;
    do
        r = read(*(int *)ctx, p, n);
    while (r < 0 && errno == EINTR);
    return r < 0 ? err_errno(e, "read") : r;
}

static int events(struct simulation *s, struct err *e)
{
    _cleanup_(arena_freep) struct arena *a = arena_new(REPORT_ARENA), *keep = arena_new(REPORT_ARENA);
    _cleanup_(map_freep) struct map *groups = map_new(GROUPS_MAX);
    _cleanup_close_ int fd = open(s->events, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return err_errno(e, "%s", s->events);
    _cleanup_(json_closep) struct json *j = json_open(read_fd, &fd, JSON_LINES);
    struct json_value *ev;
    int r;
    while ((r = json_value_read(j, a, &ev, e)) == 0) {
        one_event(s, keep, a, ev, groups);
        arena_reset(a);
    }
    if (r != -ENOENT) {
        err_wrap(e, "%s", s->events);
        return r;
    }
    MAP_EACH (groups, it) {
        const struct group *g = it->value;
        if (s->json) {
            json_w_object(&s->w);
            json_w_kstrz(&s->w, "action", g->action);
            json_w_kstrz(&s->w, "control", g->control);
            json_w_kstr(&s->w, "container", g->container);
            json_w_kstr(&s->w, "exe", g->exe);
            json_w_kstr(&s->w, "policy", g->policy);
            json_w_ki64(&s->w, "count", (int64_t)g->count);
            json_w_end(&s->w);
        } else {
            printf("%8zu  %-11s  %-13s  %s  %s  (policy %s)\n", g->count, g->action, g->control,
                   plain(keep, g->container), plain(keep, g->exe), plain(keep, g->policy));
        }
    }
    if (!s->json)
        printf("%zu events judged, %zu that went through would be stopped\n", s->total, s->stopped);
    return 0;
}

int policy_preview(struct policy_set *set, const char *path, size_t *stopped, struct err *e)
{
    struct simulation s = {.events = path, .set = set};
    int r = events(&s, e);
    *stopped = s.stopped;
    return r;
}

int policy_simulate(int argc, char **argv)
{
    static const struct option options[] = {
        {"inventories", required_argument, NULL, 'i'},
        {"events", required_argument, NULL, 'e'},
        {"console", required_argument, NULL, 'c'},
        {"policy", required_argument, NULL, 'p'},
        {"intel", required_argument, NULL, 'd'},
        {"intel-key", required_argument, NULL, 'k'},
        {"json", no_argument, NULL, 'j'},
        {"help", no_argument, NULL, 'h'},
        {0},
    };
    struct simulation s = {.out = BUF_INIT(512u << 20)};
    const char *console = NULL;
    struct err e = ERR_INIT;
    optind = 1;
    for (int c; (c = getopt_long(argc, argv, "h", options, NULL)) != -1;)
        switch (c) {
        case 'i':
            s.inventories = optarg;
            break;
        case 'e':
            s.events = optarg;
            break;
        case 'c':
            console = optarg;
            break;
        case 'p':
            if (s.policies_n == POLICIES_MAX) {
                fprintf(stderr, "bulkhead policy simulate: at most %u --policy\n", POLICIES_MAX);
                return 2;
            }
            s.policies[s.policies_n++] = optarg;
            break;
        case 'd':
            s.intel_path = optarg;
            break;
        case 'k':
            s.intel_key = optarg;
            break;
        case 'j':
            s.json = true;
            break;
        case 'h':
            return cmd_policy(2, (char *[]){argv[0], (char[]){"--help"}, NULL});
        default:
            return 2;
        }
    while (optind < argc && s.policies_n < POLICIES_MAX) /* --policy a.yaml b.yaml */
        s.policies[s.policies_n++] = argv[optind++];
    if (console && !s.inventories && !s.events && !s.policies_n != !s.intel_path)
        return simulate_console(console, s.policies, s.policies_n, s.intel_path, s.json);
    if (console) {
        fprintf(stderr, "bulkhead policy simulate: --console goes with either --policy FILE or --intel FILE\n");
        return 2;
    }
    if (!s.policies_n || !s.inventories == !s.events) {
        fprintf(stderr, "bulkhead policy simulate: needs --policy FILE and one of --inventories DIR, --events FILE; or "
                        "--console URL\n");
        return 2;
    }
    int r = policy_set_load(s.policies, s.policies_n, &s.set, &e);
    if (r == 0 && s.intel_path)
        r = intel_open(s.intel_path, s.intel_key, s.intel_key ? 0 : INTEL_UNSIGNED_OK, &s.intel, &e);
    if (r == 0) {
        s.w = JSON_WRITER(&s.out);
        if (s.json)
            json_w_array(&s.w);
        r = s.inventories ? reports(&s, &e) : events(&s, &e);
    }
    if (r == 0 && s.json) {
        json_w_end(&s.w);
        buf_putc(&s.out, '\n');
        r = buf_check(&s.out, &e);
        fwrite(s.out.p, 1, r < 0 ? 0 : s.out.n, stdout);
    }
    if (r < 0)
        fprintf(stderr, "bulkhead policy simulate: %s\n", e.msg);
    policy_set_unref(s.set);
    intel_unref(s.intel);
    buf_fini(&s.out);
    return r < 0 ? err_exit_code(r) : s.stopped ? 1 : 0;
}

/* bulkhead-agent respond and evidence: by hand, with or without an agent that runs; all they need is on this host. */
#include "agent/agent.h"

#include "base/cleanup.h"
#include "base/encode.h"
#include "base/fs.h"
#include "base/log.h"
#include "runtime/evidence.h"
#include "runtime/respond.h"

#include <stdio.h>

static const char usage_respond[] =
    "usage: bulkhead-agent respond list | release CONTAINER | VERB CONTAINER [OPTIONS]\n\n"
    "VERB      throttle (a tenth of one processor), isolate (no network), freeze, stop (with evidence, for good)\n"
    "release   ends throttle, isolate and freeze\n"
    "CONTAINER id, unique beginning of one, or name\n\n"
    "  --state DIR    the agent's state directory (default /var/lib/bulkhead)\n"
    "  --bpf-dir DIR  where kernel programs are pinned\n"
    "  --engine URL   told of a stop (default unix:///var/run/docker.sock)\n"
    "  --json         list as JSON lines\n";
static const char usage_evidence[] =
    "usage: bulkhead-agent evidence list | show BUNDLE | verify [BUNDLE] | take CONTAINER [OPTIONS]\n\n"
    "list      the bundles that were taken, oldest first\n"
    "show      the manifest of one; the bundle itself is a tar.zst in STATE/evidence\n"
    "verify    the chain, and every bundle against it and against its manifest\n"
    "take      a bundle of a running container, which is frozen meanwhile\n\n"
    "  --state DIR    the agent's state directory (default /var/lib/bulkhead)\n"
    "  --bpf-dir DIR  where kernel programs are pinned\n"
    "  --json         list as JSON lines\n";

struct by_hand {
    struct respond_place place;
    const char *verb, *what;
    bool json;
};

static bool parse(int argc, char **argv, struct by_hand *h)
{
    h->place = (struct respond_place){.state = "/var/lib/bulkhead", .bpf_dir = SENSOR_BPF_DIR};
    const struct {
        const char *name, **value;
    } options[] = {{"--state", &h->place.state}, {"--bpf-dir", &h->place.bpf_dir}, {"--engine", &h->place.engine}};
    for (int i = 1; i < argc; i++) {
        size_t k = 0;
        while (k < ARRAY_LEN(options) && strcmp(argv[i], options[k].name))
            k++;
        if (k < ARRAY_LEN(options) && i + 1 < argc)
            *options[k].value = argv[++i];
        else if (!strcmp(argv[i], "--json"))
            h->json = true;
        else if (argv[i][0] == '-' || h->what)
            return false;
        else
            *(h->verb ? &h->what : &h->verb) = argv[i];
    }
    if (!h->place.engine && fs_exists("/var/run/docker.sock"))
        h->place.engine = "unix:///var/run/docker.sock";
    return h->verb != NULL;
}

/* ---- which container, and its processes ---- */

struct search {
    struct arena *a;
    const struct by_hand *h;
    char id[IDENTITY_TEXT], name[256];
    bool several;
    int64_t *pids;
    size_t n, cap;
};

static void consider(void *ctx, const struct process *p)
{
    struct search *s = ctx;
    struct subject subject;
    bool fits = str_starts(str_c(p->id), str_c(s->h->what)) && strlen(s->h->what) >= 4;
    if (!fits && subject_read(s->a, s->h->place.state, str_c(p->id), &subject, NULL) == 0)
        fits = str_eqc(subject.name, s->h->what);
    if (!fits)
        return;
    if (s->id[0] && strcmp(s->id, p->id)) {
        s->several = true;
        return;
    }
    memcpy(s->id, p->id, sizeof(s->id));
    s->pids = arena_grow(s->a, s->pids, s->n, &s->cap, sizeof(*s->pids));
    s->pids[s->n++] = p->pid;
}

static int search(struct search *s, struct err *e)
{
    struct processes *tree = processes_new(0);
    struct subject subject;
    processes_scan(tree);
    processes_each(tree, NULL, consider, s);
    processes_free(tree);
    if (s->several)
        return err_set(e, EEXIST, "\"%s\" is the beginning of several container ids", s->h->what);
    if (!s->id[0])
        return err_set(e, ENOENT, "no running container \"%s\"", s->h->what);
    if (subject_read(s->a, s->h->place.state, str_c(s->id), &subject, NULL) == 0)
        snprintf(s->name, sizeof(s->name), STR_FMT, STR_ARG(str_sub(subject.name, 0, 200)));
    return 0;
}

/* ---- telling ---- */

/* Into the inbox: the agent journals it, now or when it runs again. */
static void tell(struct arena *a, const struct by_hand *h, struct str id, const char *rule, const char *evidence)
{
    char ulid[ULID_TEXT];
    _cleanup_(buf_fini) struct buf b = BUF_INIT(LIMIT_EVENT), d = BUF_INIT(8192);
    struct json_writer w = JSON_WRITER(&b), dw = JSON_WRITER(&d);
    struct subject subject;
    const char *user = getenv("SUDO_USER");
    json_w_object(&dw);
    json_w_kstrz(&dw, "response", h->verb);
    json_w_kstrz(&dw, "because", "an administrator's command");
    if (evidence && evidence[0])
        json_w_kstrz(&dw, "evidence", evidence);
    json_w_end(&dw);
    struct event ev = {.type = EVENT_TYPE_container,
                       .rule = str_c(rule),
                       .severity = SEVERITY_medium,
                       .action = ACTION_alert,
                       .level = LEVEL_respond,
                       .outcome = OUTCOME_responded,
                       .user_name = str_c(user ? user : "root"),
                       .user_via = STR("command"),
                       .detail = buf_str(&d)};
    if (subject_read(a, h->place.state, id, &subject, NULL) == 0)
        subject_for_event(&subject, &ev.container);
    ev.container.id = id;
    ev.id = ulid_make(time_now(), ulid);
    ev.time = time_now();
    event_write(&w, &ev);
    if (!b.full && fs_mkdirs(arena_printf(a, "%s/inbox", h->place.state), 0700, NULL) == 0)
        fs_write(arena_printf(a, "%s/inbox/%s.json", h->place.state, ulid), buf_str(&b), 0600, NULL);
}

/* ---- respond ---- */

static int list(struct arena *a, const struct by_hand *h, struct err *e)
{
    struct respond_state *v;
    size_t n;
    char t[TIME_TEXT];
    int r = respond_list(a, h->place.state, &v, &n, e);
    for (size_t i = 0; r == 0 && i < n; i++) {
        const char *what[] = {v[i].throttled ? "throttled" : "", v[i].isolated ? "isolated" : "",
                              v[i].frozen ? "frozen" : ""};
        if (h->json) {
            _cleanup_(buf_fini) struct buf b = BUF_INIT(65536);
            struct json_writer w = JSON_WRITER(&b);
            json_w_object(&w);
            json_w_kstr(&w, "id", v[i].id);
            json_w_kstr(&w, "name", v[i].name);
            json_w_kstrz(&w, "since", time_format(v[i].since, t));
            json_w_karray(&w, "in_force");
            for (size_t k = 0; k < ARRAY_LEN(what); k++)
                if (what[k][0])
                    json_w_str(&w, str_c(what[k]));
            json_w_end(&w);
            json_w_kstr(&w, "reason", v[i].reason);
            json_w_kstr(&w, "by", v[i].by);
            json_w_end(&w);
            printf(STR_FMT "\n", STR_ARG(buf_str(&b)));
        } else {
            printf(STR_FMT "  %-20.*s %s%s%s%s%s  since %s  " STR_FMT " (" STR_FMT ")\n",
                   STR_ARG(str_sub(v[i].id, 0, 12)), STR_ARG(v[i].name), what[0], v[i].throttled ? " " : "", what[1],
                   v[i].isolated ? " " : "", what[2], time_format(v[i].since, t), STR_ARG(v[i].reason),
                   STR_ARG(v[i].by));
        }
    }
    return r;
}

static int release(struct arena *a, const struct by_hand *h, struct err *e)
{
    struct respond_state *v, *found = NULL;
    size_t n;
    int r = respond_list(a, h->place.state, &v, &n, e);
    for (size_t i = 0; r == 0 && i < n; i++)
        if (str_eqc(v[i].name, h->what) || (strlen(h->what) >= 4 && str_starts(v[i].id, str_c(h->what)))) {
            if (found)
                return err_set(e, EEXIST, "\"%s\" stands for several containers", h->what);
            found = &v[i];
        }
    if (r == 0 && !found)
        return err_set(e, ENOENT, "nothing is in force on a container \"%s\"", h->what);
    if (r == 0 && (r = respond_release(&h->place, found->id, e)) == 0) {
        tell(a, h, found->id, "Response released", NULL);
        printf("released " STR_FMT "\n", STR_ARG(found->id));
    }
    return r;
}

static int act(struct arena *a, const struct by_hand *h, enum resource_action action, struct err *e)
{
    struct search s = {.a = a, .h = h};
    struct respond_done done;
    int r = search(&s, e);
    if (r < 0)
        return r;
    struct respond_order o = {.id = str_c(s.id),
                              .name = str_c(s.name),
                              .action = action,
                              .pids = s.pids,
                              .pids_n = s.n,
                              .reason = STR("an administrator's command"),
                              .by = str_c(getenv("SUDO_USER") ? getenv("SUDO_USER") : "root")};
    if ((r = respond_apply(&h->place, &o, &done, e)) < 0)
        return r;
    tell(a, h, o.id, arena_printf(a, "Response: %s", h->verb), done.evidence);
    printf("%s %s\n", h->verb, s.id);
    if (done.evidence[0])
        printf("evidence %s\n", done.evidence);
    if (done.notice[0])
        printf("notice: %s\n", done.notice);
    return 0;
}

static int result(int r, const struct err *e)
{
    if (r < 0)
        log_error("%s", e->msg);
    return r < 0 ? 3 : 0;
}

int respond_main(int argc, char **argv)
{
    struct by_hand h = {0};
    struct err e = ERR_INIT;
    _cleanup_(arena_freep) struct arena *a = arena_new(256u << 20);
    if (argc > 1 && !strcmp(argv[1], "--help")) {
        fputs(usage_respond, stdout);
        return 0;
    }
    bool fine = parse(argc, argv, &h);
    if (fine && !strcmp(h.verb, "list") && !h.what)
        return result(list(a, &h, &e), &e);
    if (fine && h.what && !strcmp(h.verb, "release"))
        return result(release(a, &h, &e), &e);
    for (int k = RESOURCE_THROTTLE; fine && h.what && k <= RESOURCE_STOP; k++)
        if (!strcmp(h.verb, resource_action_name((enum resource_action)k)))
            return result(act(a, &h, (enum resource_action)k, &e), &e);
    fputs(usage_respond, stderr);
    return 2;
}

/* ---- evidence ---- */

static int bundles(struct arena *a, const struct by_hand *h, struct err *e)
{
    struct evidence_item *v;
    size_t n;
    int r = evidence_list(a, h->place.state, &v, &n, e);
    for (size_t i = 0; r == 0 && i < n; i++) {
        if (!h->json) {
            printf(STR_FMT "  %8" PRId64 "  " STR_FMT "  " STR_FMT "%s\n", STR_ARG(v[i].name), v[i].size,
                   STR_ARG(v[i].container.n ? v[i].container : str_sub(v[i].id, 0, 12)), STR_ARG(v[i].reason),
                   v[i].present ? "" : "  (removed to make room)");
            continue;
        }
        _cleanup_(buf_fini) struct buf b = BUF_INIT(65536);
        struct json_writer w = JSON_WRITER(&b);
        json_w_object(&w);
        json_w_kstr(&w, "bundle", v[i].name);
        json_w_kstr(&w, "sha256", v[i].sha256);
        json_w_ki64(&w, "size", v[i].size);
        json_w_kstr(&w, "time", v[i].time);
        json_w_kstr(&w, "container", v[i].id);
        json_w_kstr(&w, "name", v[i].container);
        json_w_kstr(&w, "reason", v[i].reason);
        json_w_kbool(&w, "present", v[i].present);
        json_w_end(&w);
        printf(STR_FMT "\n", STR_ARG(buf_str(&b)));
    }
    return r;
}

static int take(struct arena *a, const struct by_hand *h, struct err *e)
{
    struct search s = {.a = a, .h = h};
    struct cgroup c;
    struct err why = ERR_INIT;
    char name[128];
    int r = search(&s, e);
    if (r < 0 || (r = cgroup_find(str_c(s.id), (pid_t)s.pids[0], &c, e)) < 0)
        return r;
    bool before = cgroup_frozen(&c), froze = !before && cgroup_freeze(&c, true, &why) == 0;
    struct evidence_order o = {.state = h->place.state,
                               .bpf_dir = h->place.bpf_dir,
                               .id = str_c(s.id),
                               .name = str_c(s.name),
                               .reason = STR("an administrator's command"),
                               .by = str_c(getenv("SUDO_USER") ? getenv("SUDO_USER") : "root"),
                               .cgroup = &c};
    r = evidence_take(&o, name, sizeof(name), e);
    if (froze)
        cgroup_freeze(&c, false, &why);
    if (r == 0)
        printf("%s\n", name);
    return r;
}

int evidence_main(int argc, char **argv)
{
    struct by_hand h = {0};
    struct err e = ERR_INIT;
    _cleanup_(arena_freep) struct arena *a = arena_new(1u << 30);
    struct str text;
    size_t n;
    int r;
    if (argc > 1 && !strcmp(argv[1], "--help")) {
        fputs(usage_evidence, stdout);
        return 0;
    }
    bool fine = parse(argc, argv, &h);
    if (fine && !strcmp(h.verb, "list") && !h.what)
        return result(bundles(a, &h, &e), &e);
    if (fine && !strcmp(h.verb, "take") && h.what)
        return result(take(a, &h, &e), &e);
    if (fine && !strcmp(h.verb, "show") && h.what) {
        if ((r = evidence_manifest(a, h.place.state, str_c(h.what), &text, &e)) == 0)
            printf(STR_FMT "\n", STR_ARG(text));
        return result(r, &e);
    }
    if (fine && !strcmp(h.verb, "verify")) {
        if ((r = evidence_verify(h.place.state, str_c(h.what), &n, &e)) == 0)
            printf("the chain is whole, %zu bundle%s verified\n", n, n == 1 ? "" : "s");
        return result(r, &e);
    }
    fputs(usage_evidence, stderr);
    return 2;
}

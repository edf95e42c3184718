/* From policy documents to the kernel's maps, and what of them is really in force. */
#include "agent/agent.h"

#include "agent/detection.h"
#include "base/cleanup.h"
#include "base/fs.h"
#include "base/log.h"
#include "runtime/kernel_policy.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>

#define POLICY_ARENA (64u << 20)
#define FORCE_ARENA  (64u << 20)

/* ---- the set ---- */

static bool is_policy(const char *name)
{
    struct str n = str_c(name);
    return name[0] != '.' && (str_ends(n, STR(".yaml")) || str_ends(n, STR(".yml")));
}

static int copy_file(struct arena *a, const char *from, const char *dir, unsigned *number, struct err *e)
{
    struct str text;
    const char *slash = strrchr(from, '/');
    int r = fs_read(a, from, LIMIT_POLICY_FILE, &text, e);
    if (r < 0)
        return r;
    const char *base = slash ? slash + 1 : from;
    bool suffix = str_ends(str_c(base), STR(".yaml")) || str_ends(str_c(base), STR(".yml"));
    return fs_write(arena_printf(a, "%s/%03u-%s%s", dir, (*number)++, base, suffix ? "" : ".yaml"), text, 0600, e);
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static int copy_path(struct arena *a, const char *path, const char *dir, unsigned *number, struct err *e)
{
    struct stat st;
    if (stat(path, &st) < 0)
        return err_errno(e, "%s", path);
    if (!S_ISDIR(st.st_mode))
        return copy_file(a, path, dir, number, e);
    DIR *d = opendir(path);
    if (!d)
        return err_errno(e, "%s", path);
    char **names = NULL;
    size_t n = 0, cap = 0;
    for (struct dirent *de; (de = readdir(d)) && n < LIMIT_POLICY_DOCS;)
        if (is_policy(de->d_name)) {
            names = arena_grow(a, names, n, &cap, sizeof(*names));
            names[n++] = arena_cstr(a, str_c(de->d_name));
        }
    closedir(d);
    if (n)
        qsort(names, n, sizeof(*names), by_name);
    int r = 0;
    for (size_t i = 0; i < n && r == 0; i++)
        r = copy_file(a, arena_printf(a, "%s/%s", path, names[i]), dir, number, e);
    return r;
}

/* The gate and bulkhead-runc read STATE/policy: what --policy names is copied there, in one move, once it parses. */
static int install(struct agent *g, struct err *e)
{
    _cleanup_(arena_freep) struct arena *a = arena_new(POLICY_ARENA * 2);
    _cleanup_(policy_set_unrefp) struct policy_set *wanted = NULL, *there = NULL;
    int r = policy_set_load(g->config.policy.v, g->config.policy.n, &wanted, e);
    if (r < 0)
        return r;
    if (policy_set_load((const char *const[]){g->policy_dir}, 1, &there, NULL) == 0 &&
        str_eq(policy_set_revision(there), policy_set_revision(wanted)))
        return 0;
    char *fresh = arena_printf(a, "%s.new", g->policy_dir);
    unsigned number = 0;
    if ((fs_exists(fresh) && (r = fs_remove_tree(fresh, e)) < 0) || (r = fs_mkdirs(fresh, 0700, e)) < 0)
        return r;
    for (size_t i = 0; i < g->config.policy.n && r == 0; i++)
        r = copy_path(a, g->config.policy.v[i], fresh, &number, e);
    if (r < 0)
        return r;
    if (renameat2(AT_FDCWD, fresh, AT_FDCWD, g->policy_dir, RENAME_EXCHANGE) < 0 && rename(fresh, g->policy_dir) < 0)
        return err_errno(e, "%s", g->policy_dir);
    if (fs_exists(fresh))
        fs_remove_tree(fresh, NULL);
    return 0;
}

static void tell_loaded(struct agent *g, bool first)
{
    const struct policy_doc *docs;
    const struct str *notices;
    _cleanup_(buf_fini) struct buf b = BUF_INIT(LIMIT_EVENT / 2);
    struct json_writer w = JSON_WRITER(&b);
    size_t n = policy_set_docs(g->policies, &docs), notes = policy_set_notices(g->policies, &notices);
    json_w_object(&w);
    json_w_kstr(&w, "revision", policy_set_revision(g->policies));
    json_w_ki64(&w, "documents", (int64_t)n);
    json_w_karray(&w, "names");
    for (size_t i = 0; i < n && i < 200; i++)
        json_w_str(&w, docs[i].name);
    json_w_end(&w);
    json_w_karray(&w, "notices");
    for (size_t i = 0; i < notes && i < 50; i++)
        json_w_str(&w, notices[i]);
    json_w_end(&w);
    json_w_end(&w);
    say(g, EVENT_TYPE_policy, CONTROL_none, SEVERITY_info, ACTION_off, first ? "Policies loaded" : "Policies changed",
        buf_str(&b));
    log_info("%zu policy documents in force, revision " STR_FMT, n,
             STR_ARG(str_sub(policy_set_revision(g->policies), 0, 12)));
    for (size_t i = 0; i < notes; i++)
        log_warn(STR_FMT, STR_ARG(notices[i]));
}

#define CONSOLE_FILE "console.yaml"
#define MARK         "---\n# revision: "

static bool console_rules(const struct agent *g)
{
    char path[4096];
    snprintf(path, sizeof(path), "%s/" CONSOLE_FILE, g->policy_dir);
    return g->uplink && fs_exists(path);
}

/* The console's set carries the revision of each document as a comment (install.c); equal documents are an equal set,
 * so this is the gate's set with the numbers that people know. */
static int with_revisions(const struct agent *g, struct policy_set **ret, struct err *e)
{
    _cleanup_(arena_freep) struct arena *a = arena_new(POLICY_ARENA * 2);
    struct policy_source *v = NULL;
    size_t n = 0, cap = 0;
    struct str text;
    int r = fs_read(a, arena_printf(a, "%s/" CONSOLE_FILE, g->policy_dir), POLICY_ARENA, &text, e);
    ptrdiff_t at = r < 0 ? -1 : str_find(text, STR(MARK));
    while (at >= 0) {
        text = str_sub(text, (size_t)at + sizeof(MARK) - 1, text.n);
        struct str line, body;
        at = str_find(text, STR(MARK));
        str_split(at < 0 ? text : str_sub(text, 0, (size_t)at), '\n', &line, &body);
        v = arena_grow(a, v, n, &cap, sizeof(*v));
        v[n] = (struct policy_source){.origin = STR("console"), .text = body};
        if (str_i64(str_trim(line), &v[n++].revision) < 0)
            return err_set(e, EBADMSG, "%s/" CONSOLE_FILE ": no revision", g->policy_dir);
    }
    return r < 0 ? r : policy_set_parse(v, n, ret, e);
}

/* A set that is refused while nothing rules yet: what was in force before the restart is in STATE/policy. */
static int load(struct agent *g, struct policy_set **ret, struct err *e)
{
    struct policy_set *numbered = NULL;
    int r = fs_mkdirs(g->policy_dir, 0700, e);
    if (r == 0 && g->config.policy.n && !console_rules(g))
        r = install(g, e);
    if (r < 0)
        return r;
    if ((r = gate_policies(g->gate, ret, e)) < 0)
        return r;
    if (with_revisions(g, &numbered, NULL) == 0 && str_eq(policy_set_revision(numbered), policy_set_revision(*ret))) {
        policy_set_unref(*ret);
        *ret = numbered;
    } else {
        policy_set_unref(numbered);
    }
    return 0;
}

int force_load(struct agent *g, struct err *e)
{
    struct policy_set *set = NULL;
    int r = load(g, &set, e);
    if (r < 0 && !g->policies)
        gate_policies(g->gate, &g->policies, NULL);
    if (r < 0) {
        if (strcmp(g->policy_error, e->msg)) { /* the same fault is told once */
            snprintf(g->policy_error, sizeof(g->policy_error), "%s", e->msg);
            say_problem(g, EVENT_TYPE_policy, g->policies ? "Policies refused, the old ones stay" : "Policies refused",
                        e->msg);
        }
        g->status_changed = true;
        return r;
    }
    bool same =
        g->policies && !g->policy_error[0] && str_eq(policy_set_revision(set), policy_set_revision(g->policies));
    g->policy_error[0] = '\0';
    if (same) {
        policy_set_unref(set);
        return 0;
    }
    bool first = !g->policies;
    policy_set_unref(g->policies);
    g->policies = set;
    tell_loaded(g, first);
    force_all(g);
    if (g->images)
        images_changed(g->images);
    g->status_changed = true;
    return 0;
}

/* ---- one container ---- */

static enum event_action setting(const struct container_policy *p, enum event_control c)
{
    switch (c) {
#define X(name, section, key)                                                                                          \
    case CONTROL_##name:                                                                                               \
        return p->name;
        POLICY_ACTIONS(X)
#undef X
    case CONTROL_process_allow:
        return p->has_allow ? ACTION_block : ACTION_off;
    case CONTROL_process_deny:
        return p->deny_n ? ACTION_block : ACTION_off;
    case CONTROL_process_users:
        return p->has_users ? ACTION_block : ACTION_off;
    default:
        return ACTION_off;
    }
}

/* The learned profile rules where the policy has no list of its own, and is past learning. */
static void learned_allow(struct agent *g, struct arena *a, const struct container *c, const struct container_policy *p,
                          struct kernel_policy_extra *x, struct container_force *f)
{
    if (p->mode == MODE_LEARN || p->has_allow || !c->s.image_id.n)
        return;
    const struct profile *pr = profiles_get(g->profiles, c->s.image_id);
    if (!pr || !pr->stable) {
        f->no_profile = p->mode == MODE_ENFORCE;
        return;
    }
    struct str *v = arena_array(a, pr->executables_n + 1, sizeof(*v));
    for (size_t i = 0; i < pr->executables_n; i++)
        v[i] = pr->executables[i].path;
    x->allow = v;
    x->allow_n = pr->executables_n;
    x->has_allow = true;
    f->learned = true;
    f->action[CONTROL_process_allow] = ACTION_block;
}

static void notice(struct arena *a, struct container_force *f, struct str text)
{
    f->notices = arena_grow(a, f->notices, f->notices_n, &f->notices_cap, sizeof(*f->notices));
    f->notices[f->notices_n++] = text;
}

/* Names in `respond.rules` that nothing here has. */
static void respond_check(struct agent *g, struct arena *a, struct container_force *f)
{
    for (size_t i = 0; i < f->responds_n; i++)
        for (size_t k = 0; k < f->responds[i].rules_n; k++) {
            struct str name = f->responds[i].rules[k].name;
            bool there = detection_named(g->detection, name);
            for (int n = CONTROL_none + 1; n <= CONTROL_sensor && !there; n++)
                there = str_glob(name, str_c(event_control_name((enum event_control)n)), true);
            if (!there)
                notice(a, f,
                       arena_strf(a, "respond.rules: no rule and no control is named \"" STR_FMT "\"", STR_ARG(name)));
        }
}

void force_container(struct agent *g, struct container *c)
{
    _cleanup_(arena_freep) struct arena *tmp = arena_new(POLICY_ARENA);
    struct container_policy p;
    struct container_subject subject = subject_for_policy(&c->s);
    struct err e = ERR_INIT;
    const struct str *notices = NULL;
    size_t notices_n = 0;

    arena_free(c->force_arena);
    c->force_arena = arena_new(FORCE_ARENA);
    c->force = (struct container_force){0};
    c->put_tried = time_monotonic();
    struct container_force *f = &c->force;
    policy_container(tmp, g->policies, &subject, &p);
    f->policy = arena_str(c->force_arena, p.name);
    f->revision = p.revision;
    f->mode = p.mode;
    f->responds = policy_respond_copy(c->force_arena, p.responds, p.responds_n);
    f->responds_n = p.responds_n;
    f->respond_memory = p.respond_memory;
    for (int k = 0; k < CONTROL_sensor; k++)
        f->action[k] = setting(&p, (enum event_control)k);
    struct kernel_policy_extra x = {.image_id = c->s.image_id,
                                    .tell_all = true /* detection rules want each exec, not only new ones */};
    learned_allow(g, tmp, c, &p, &x, f);
    struct kernel_network here;
    network_here(g, tmp, c, &here);
    x.network = &here;
    f->peers = network_names_peers(&p);
    int r = g->sensor ? kernel_policy_put(tmp, g->config.bpf_dir, c->s.id, &p, &x, &notices, &notices_n, &e)
                      : err_set(&e, ENOTSUP, "no sensor on this host: %s", g->sensor_error);
    if (r == 0)
        r = network_isolation(g, tmp, c, &p, &e);
    f->put = r == 0;
    if (r < 0) {
        f->error = arena_strf(c->force_arena, "%s", e.msg);
        if (g->sensor)
            say_problem(g, EVENT_TYPE_policy, "A container's policy could not be put into the kernel", e.msg);
    }
    for (size_t i = 0; i < notices_n; i++)
        notice(c->force_arena, f, arena_str(c->force_arena, notices[i]));
    respond_check(g, c->force_arena, f);
    g->status_changed = true;
}

void force_all(struct agent *g)
{
    _cleanup_(arena_freep) struct arena *a = arena_new(POLICY_ARENA);
    struct container_policy p;
    struct container_subject nobody = {0};
    struct err e = ERR_INIT;
    if (g->sensor) {
        policy_container(a, g->policies, &nobody, &p);
        snprintf(g->default_policy, sizeof(g->default_policy), STR_FMT, STR_ARG(p.name));
        g->default_revision = p.revision;
        if (kernel_policy_default(a, g->config.bpf_dir, &p, NULL, NULL, &e) < 0)
            say_problem(g, EVENT_TYPE_policy, "The host default could not be put into the kernel", e.msg);
    }
    for (struct container *c = NULL; (c = containers_next(g->containers, c));)
        if (!c->removed)
            force_container(g, c);
}

static void count_one(void *ctx, const struct process *p)
{
    ++*(size_t *)ctx;
}

void force_sweep(struct agent *g)
{
    _cleanup_(arena_freep) struct arena *a = arena_new(POLICY_ARENA);
    const struct str *ids;
    size_t n;
    if (!g->sensor || kernel_policy_list(a, g->config.bpf_dir, &ids, &n, NULL) < 0)
        return;
    for (size_t i = 0; i < n; i++) {
        size_t alive = 0;
        if (containers_get(g->containers, ids[i]))
            continue;
        processes_each(g->tree, arena_cstr(a, ids[i]), count_one, &alive);
        if (!alive) { /* neither an engine nor /proc knows it */
            kernel_policy_del(g->config.bpf_dir, ids[i], NULL);
            sensor_container_forget(g->sensor, ids[i], NULL);
        }
    }
}

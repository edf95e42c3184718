/* bulkhead-runc: the OCI runtime guard, the last door before a container exists.
 *
 * Registered as the engine's runtime it sees what the engine's API never shows to plugins: restart policies, restarts
 * of the engine, swarm tasks, RUN steps of the classic builder. For create, run and restore it asks the same gate as
 * the plugin, writes the container's policy into the kernel and only then becomes the real runtime; other commands pass
 * through at once. It needs neither agent nor engine nor network, and answers in the runtime's own log, which is what
 * containerd shows to the user. Fail modes: docs/decisions/0021-runtime-guard.md.
 */
#include "base/cleanup.h"
#include "base/encode.h"
#include "base/fs.h"
#include "base/time.h"
#include "gate/decision.h"
#include "runc/args.h"
#include "runc/identity.h"
#include "runc/lockdown.h"
#include "runtime/kernel_policy.h"
#include "runtime/profile.h"

#include <fcntl.h>

#define ARENA (256u << 20)

static const char *const runtimes[] = {"/usr/bin/runc", "/usr/sbin/runc", "/usr/local/bin/runc",
                                       "/usr/local/sbin/runc"};

/* Say no where the engine looks: the last "error" line of the log file, and stderr. */
static int refuse(const struct args *a, const char *text)
{
    _cleanup_(buf_fini) struct buf b = BUF_INIT(16u << 10);
    char now[TIME_TEXT];
    if (a->log_json) {
        struct json_writer w = JSON_WRITER(&b);
        json_w_object(&w);
        json_w_kstrz(&w, "level", "error");
        json_w_kstrz(&w, "msg", text);
        json_w_kstrz(&w, "time", time_format(time_now(), now));
        json_w_end(&w);
        buf_putc(&b, '\n');
    } else {
        buf_printf(&b, "level=error msg=\"%s\"\n", text);
    }
    _cleanup_close_ int fd = a->log ? open(a->log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644) : -1;
    if (fd >= 0)
        fs_write_all(fd, b.p, b.n, NULL);
    fprintf(stderr, "%s\n", text);
    return 1;
}

static void become(const struct args *a)
{
    const char *path = a->runtime;
    for (size_t i = 0; !path && i < ARRAY_LEN(runtimes); i++)
        if (access(runtimes[i], X_OK) == 0)
            path = runtimes[i];
    if (!path) {
        refuse(a, "bulkhead: there is no runc to start containers with; tell where it is with --bulkhead-runtime");
        return;
    }
    /* rest[-1] is argv[0] or the last of our own options: in both cases a slot that we may use. */
    char **argv = a->rest - 1;
    argv[0] = (char *)path;
    execv(path, argv);
    struct err e = ERR_INIT;
    err_errno(&e, "bulkhead: %s", path);
    refuse(a, e.msg);
}

/* Leave an event for the agent. That it cannot be left changes nothing about what is decided. */
static void leave(struct arena *a, const char *state, struct event *ev)
{
    char id[ULID_TEXT];
    _cleanup_(buf_fini) struct buf b = BUF_INIT(LIMIT_EVENT);
    struct json_writer w = JSON_WRITER(&b);
    ev->id = ulid_make(time_now(), id);
    ev->time = time_now();
    event_write(&w, ev);
    if (buf_check(&b, NULL) == 0 && fs_mkdirs(arena_printf(a, "%s/inbox", state), 0700, NULL) == 0)
        fs_write(arena_printf(a, "%s/inbox/%s.json", state, id), buf_str(&b), 0600, NULL);
}

static struct str detail(struct arena *a, const struct args *args, const char *reason)
{
    _cleanup_(buf_fini) struct buf b = BUF_INIT(16u << 10);
    struct json_writer w = JSON_WRITER(&b);
    json_w_object(&w);
    json_w_kstrz(&w, "door", "runtime");
    json_w_kstrz(&w, "command", args->command);
    json_w_kstrz(&w, "reason", reason);
    json_w_end(&w);
    return arena_str(a, buf_str(&b));
}

static int denied(struct arena *a, const struct args *args, const struct subject *s, const struct gate_decision *d)
{
    char *text = arena_printf(a, "bulkhead: " STR_FMT, STR_ARG(d->text));
    struct event ev = {
        .type = EVENT_TYPE_gate,
        .control = CONTROL_image,
        .rule = d->answer == GATE_SCAN ? STR("Unscanned image")
                : d->verdict           ? STR("Image denied")
                                       : STR("Image not judged"),
        .severity = SEVERITY_high,
        .action = ACTION_block,
        .level = LEVEL_block,
        .outcome = OUTCOME_prevented,
        .policy_name = d->policy,
        .detail = detail(a, args, text),
    };
    subject_for_event(s, &ev.container);
    leave(a, args->state, &ev);
    return refuse(args, text);
}

/* The container runs with less than its policy says; that is worth an alert, not an outage. */
static void unprotected(struct arena *a, const struct args *args, const struct subject *s,
                        const struct container_policy *p, const char *rule, const char *why)
{
    struct event ev = {
        .type = EVENT_TYPE_gate,
        .control = CONTROL_sensor,
        .rule = str_c(rule),
        .severity = p->mode == MODE_ENFORCE ? SEVERITY_high : SEVERITY_medium,
        .action = ACTION_alert,
        .level = LEVEL_detect,
        .outcome = OUTCOME_detected,
        .policy_name = p->name,
        .policy_revision = p->revision,
        .detail = detail(a, args, why),
    };
    subject_for_event(s, &ev.container);
    leave(a, args->state, &ev);
}

static bool stable_profile(struct arena *a, const struct args *args, const struct subject *s, struct profile *ret)
{
    return image_id_valid(s->image_id) &&
           profile_load(a, arena_printf(a, "%s/profiles", args->state), s->image_id, ret, NULL) == 0 && ret->stable;
}

/* The learned profile rules where the policy has no list of its own, and is past learning: as in the agent. */
static void learned_allow(struct arena *a, const struct container_policy *p, const struct profile *pr,
                          struct kernel_policy_extra *x)
{
    x->tell_all = p->mode == MODE_LEARN;
    if (p->mode == MODE_LEARN || p->has_allow || !pr)
        return;
    struct str *v = arena_array(a, pr->executables_n + 1, sizeof(*v));
    for (size_t i = 0; i < pr->executables_n; i++)
        v[i] = pr->executables[i].path;
    x->allow = v;
    x->allow_n = pr->executables_n;
    x->has_allow = true;
}

static void put_policy(struct arena *a, const struct args *args, struct gate *g, const struct subject *s)
{
    struct err e = ERR_INIT;
    struct container_policy p;
    struct profile known;
    struct lockdown l;
    _cleanup_(policy_set_unrefp) struct policy_set *set = NULL;
    if (gate_policies(g, &set, &e) < 0)
        return; /* then nothing was allowed */
    struct container_subject c = subject_for_policy(s);
    struct kernel_policy_extra extra = {.image_id = s->image_id, .starts = true};
    policy_container(a, set, &c, &p);
    const struct profile *profile = stable_profile(a, args, s, &known) ? &known : NULL;
    learned_allow(a, &p, profile, &extra);
    if (lockdown_bundle(a, args->bundle, &p, profile, &l, &e) < 0 || l.said)
        unprotected(a, args, s, &p, "Policy not in the container's configuration", l.said ? l.said : e.msg);
    extra.sealed = l.sealed;
    if (kernel_policy_put(a, args->bpf_dir, s->id, &p, &extra, NULL, NULL, &e) < 0)
        unprotected(a, args, s, &p, "Policy not in the kernel", e.msg);
}

/* 0: go on. */
static int guard(struct arena *a, const struct args *args)
{
    struct subject s;
    struct gate_decision d;
    _cleanup_(gate_closep) struct gate *g = gate_open(args->state);
    identity_find(a, args->state, args->bundle, str_c(args->id), &s);
    struct gate_question q = {
        .image_id = s.image_id, .image = s.image, .names = s.names, .names_n = s.names_n, .now = time_now()};
    gate_decide(g, a, &q, &d);
    if (d.answer != GATE_ALLOW)
        return denied(a, args, &s, &d);
    if (hex_id_valid(s.id))
        put_policy(a, args, g, &s);
    return 0;
}

/* A process joins: the filter is the container's, its capabilities are its own. */
static void joins(struct arena *a, const struct args *args)
{
    struct subject s;
    struct err e = ERR_INIT;
    struct container_policy p;
    _cleanup_(policy_set_unrefp) struct policy_set *set = NULL;
    _cleanup_(gate_closep) struct gate *g = gate_open(args->state);
    identity_find(a, args->state, args->bundle, str_c(args->id), &s);
    if (gate_policies(g, &set, &e) < 0)
        return;
    struct container_subject c = subject_for_policy(&s);
    policy_container(a, set, &c, &p);
    if (lockdown_process(a, args->process, &p, &e) < 0)
        unprotected(a, args, &s, &p, "Policy not in the process's configuration", e.msg);
}

int main(int argc, char **argv)
{
    struct args args;
    struct err e = ERR_INIT;
    if (args_parse(argv, &args, &e) < 0) {
        fprintf(stderr, "bulkhead-runc: %s\n", e.msg);
        return 1;
    }
    if (args.starts) {
        _cleanup_(arena_freep) struct arena *a = arena_new(ARENA);
        int r = guard(a, &args);
        if (r != 0)
            return r;
    }
    if (args.process) {
        _cleanup_(arena_freep) struct arena *a = arena_new(ARENA);
        joins(a, &args);
    }
    become(&args);
    return 1;
}

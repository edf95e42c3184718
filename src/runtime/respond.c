#include "runtime/respond.h"

#include "base/cleanup.h"
#include "base/fs.h"
#include "base/time.h"
#include "format/json.h"
#include "net/http.h"
#include "runtime/evidence.h"
#include "runtime/identity.h"
#include "runtime/kernel_network.h"

#include <dirent.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/pidfd.h>

#define STATE_MAX (64u << 10)
#define TOLERANCE (2 * TIME_SECOND)

static bool id_ok(struct str id)
{
    for (size_t i = 0; i < id.n; i++)
        if (!strchr("0123456789abcdef", id.p[i]) || !id.p[i])
            return false;
    return id.n == 64;
}

/* ---- the file ---- */

static const char *path_of(struct arena *a, const char *state, struct str id)
{
    return arena_printf(a, "%s/responses/" STR_FMT ".json", state, STR_ARG(id));
}

static int write_state(struct arena *a, const char *state, const struct respond_state *s, struct err *e)
{
    char t[TIME_TEXT];
    _cleanup_(buf_fini) struct buf b = BUF_INIT(STATE_MAX);
    struct json_writer w = JSON_WRITER(&b);
    json_w_object(&w);
    json_w_kstr(&w, "id", s->id);
    json_w_kstr(&w, "name", s->name);
    json_w_kstr(&w, "reason", str_sub(s->reason, 0, 1024));
    json_w_kstr(&w, "by", str_sub(s->by, 0, 256));
    json_w_kstrz(&w, "since", time_format(s->since, t));
    json_w_kbool(&w, "frozen", s->frozen);
    json_w_kbool(&w, "isolated", s->isolated);
    json_w_kbool(&w, "throttled", s->throttled);
    json_w_kstrz(&w, "throttle_was", s->throttle_was);
    json_w_kstrz(&w, "unified", s->cgroup.unified);
    json_w_kstrz(&w, "freezer", s->cgroup.freezer);
    json_w_kstrz(&w, "cpu", s->cgroup.cpu);
    json_w_end(&w);
    int r = buf_check(&b, e);
    if (r == 0 && (r = fs_mkdirs(arena_printf(a, "%s/responses", state), 0700, e)) == 0)
        r = fs_write(path_of(a, state, s->id), buf_str(&b), 0600, e);
    return r;
}

static void text_of(const struct json_value *v, const char *key, char *ret, size_t n)
{
    struct str s = json_str(json_get(v, key));
    snprintf(ret, n, STR_FMT, STR_ARG(str_sub(s, 0, n - 1)));
}

int respond_read(struct arena *a, const char *state, struct str id, struct respond_state *ret, struct err *e)
{
    struct str text;
    struct json_value *v;
    if (!id_ok(id))
        return err_set(e, EINVAL, "not a container id");
    int r = fs_read(a, path_of(a, state, id), STATE_MAX, &text, e);
    if (r < 0 || (r = json_parse(a, text, 0, &v, e)) < 0)
        return r;
    struct respond_state s = {.id = arena_str(a, id),
                              .name = json_str(json_get(v, "name")),
                              .reason = json_str(json_get(v, "reason")),
                              .by = json_str(json_get(v, "by")),
                              .frozen = json_bool(json_get(v, "frozen"), false),
                              .isolated = json_bool(json_get(v, "isolated"), false),
                              .throttled = json_bool(json_get(v, "throttled"), false)};
    time_parse(json_str(json_get(v, "since")), &s.since);
    text_of(v, "throttle_was", s.throttle_was, sizeof(s.throttle_was));
    text_of(v, "unified", s.cgroup.unified, CGROUP_PATH);
    text_of(v, "freezer", s.cgroup.freezer, CGROUP_PATH);
    text_of(v, "cpu", s.cgroup.cpu, CGROUP_PATH);
    *ret = s;
    return 0;
}

int respond_list(struct arena *a, const char *state, struct respond_state **ret, size_t *n, struct err *e)
{
    struct respond_state *v = NULL, one;
    size_t count = 0, cap = 0;
    DIR *d = opendir(arena_printf(a, "%s/responses", state));
    for (struct dirent *de; d && count < RESPOND_MAX && (de = readdir(d));) {
        struct str name = str_c(de->d_name);
        if (!str_ends(name, STR(".json")) || respond_read(a, state, str_sub(name, 0, name.n - 5), &one, NULL) < 0)
            continue;
        v = arena_grow(a, v, count, &cap, sizeof(*v));
        v[count++] = one;
    }
    if (d)
        closedir(d);
    *ret = v;
    *n = count;
    return 0;
}

void respond_forget(const char *state, struct str id)
{
    _cleanup_(arena_freep) struct arena *a = arena_new(65536);
    if (id_ok(id))
        unlink(path_of(a, state, id));
}

/* ---- the deeds ---- */

/* The engine must know that this stop is meant, or it would start the container again. */
static int engine_stop(struct arena *a, const char *engine, struct str id, struct err *e)
{
    static const char unix_url[] = "unix://";
    if (strncmp(engine, unix_url, sizeof(unix_url) - 1) != 0)
        return err_set(e, ENOTSUP, "engine %s cannot be told to stop a container", engine);
    _cleanup_(http_closep) struct http *h = NULL;
    struct http_opts o = {.unix_socket = engine + sizeof(unix_url) - 1, .total_timeout = 15 * TIME_SECOND};
    struct http_request q = {.method = "POST",
                             .url = arena_printf(a, "http://docker/containers/" STR_FMT "/stop?t=1", STR_ARG(id)),
                             .max_body = LIMIT_HTTP_ERROR};
    struct http_response s = {0};
    int r = http_open(&o, &h, e);
    if (r == 0 && (r = http_run(h, a, &q, &s, e)) == 0)
        r = http_check(&s, e);
    return r;
}

static int find(const struct respond_order *o, struct cgroup *c, struct err *e)
{
    int r = err_set(e, ESRCH, "no process of the container is known");
    for (size_t i = 0; i < o->pids_n; i++)
        if (o->pids[i] > 1 && (r = cgroup_find(o->id, (pid_t)o->pids[i], c, e)) == 0)
            return 0;
    return r;
}

/* A handle of the offender, which can no longer be taken for another process; checked against container and start. */
static int offender(const struct respond_order *o, struct err *e)
{
    char id[IDENTITY_TEXT];
    _cleanup_close_ int fd = o->pid > 1 ? pidfd_open((pid_t)o->pid, 0) : -1;
    int64_t started = 0;
    if (fd < 0 || identity_of_pid((pid_t)o->pid, id) < 0 || !str_eqc(o->id, id) ||
        evidence_started((pid_t)o->pid, &started) < 0 ||
        (o->started && (started - o->started > TOLERANCE || o->started - started > TOLERANCE)))
        return err_set(e, ESRCH, "process %" PRId64 " has ended already", o->pid);
    return TAKE_FD(fd);
}

static void take_evidence(const struct respond_place *p, const struct respond_order *o, const struct cgroup *c,
                          struct respond_done *done)
{
    struct err e = ERR_INIT;
    struct evidence_order order = {.state = p->state,
                                   .bpf_dir = p->bpf_dir,
                                   .id = o->id,
                                   .name = o->name,
                                   .reason = o->reason,
                                   .by = o->by,
                                   .pid = o->pid,
                                   .memory = o->memory,
                                   .cgroup = c};
    if (!p->no_evidence && evidence_take(&order, done->evidence, sizeof(done->evidence), &e) < 0)
        snprintf(done->notice, sizeof(done->notice), "no evidence: %.200s", e.msg);
}

static int kill_one(const struct respond_place *p, const struct respond_order *o, const struct cgroup *c,
                    struct respond_done *done, struct err *e)
{
    _cleanup_close_ int fd = offender(o, e);
    if (fd < 0)
        return fd;
    pidfd_send_signal(fd, SIGSTOP, NULL, 0);
    take_evidence(p, o, c, done);
    return pidfd_send_signal(fd, SIGKILL, NULL, 0) < 0 ? err_errno(e, "process %" PRId64, o->pid) : 0;
}

static int stop(const struct respond_place *p, const struct respond_order *o, const struct cgroup *c,
                struct respond_done *done, struct err *e)
{
    struct err why = ERR_INIT;
    _cleanup_(arena_freep) struct arena *a = arena_new(4u << 20);
    if (cgroup_freeze(c, true, &why) < 0)
        snprintf(done->notice, sizeof(done->notice), "not frozen meanwhile: %.200s", why.msg);
    take_evidence(p, o, c, done);
    int r = cgroup_kill(c, e);
    if (r == 0 && p->engine && engine_stop(a, p->engine, o->id, &why) < 0)
        snprintf(done->notice, sizeof(done->notice), "the engine was not told: %.200s", why.msg);
    respond_forget(p->state, o->id);
    return r;
}

int respond_apply(const struct respond_place *p, const struct respond_order *o, struct respond_done *done,
                  struct err *e)
{
    _cleanup_(arena_freep) struct arena *a = arena_new(4u << 20);
    struct respond_state s = {0};
    struct cgroup c;
    *done = (struct respond_done){0};
    if (!id_ok(o->id))
        return err_set(e, EINVAL, "not a container id");
    int r = find(o, &c, e);
    if (r < 0)
        return r;
    if (o->action == RESOURCE_KILL)
        return kill_one(p, o, &c, done, e);
    if (o->action == RESOURCE_STOP)
        return stop(p, o, &c, done, e);
    if (respond_read(a, p->state, o->id, &s, NULL) < 0)
        s = (struct respond_state){.id = o->id, .name = o->name, .reason = o->reason, .by = o->by, .since = time_now()};
    s.cgroup = c;
    bool *flag = o->action == RESOURCE_FREEZE     ? &s.frozen
                 : o->action == RESOURCE_ISOLATE  ? &s.isolated
                 : o->action == RESOURCE_THROTTLE ? &s.throttled
                                                  : NULL;
    if (!flag)
        return 0;
    if (*flag || s.frozen)
        return err_set(e, EALREADY, "that is in force already");
    *flag = true;
    if ((r = write_state(a, p->state, &s, e)) < 0) /* first: what nobody can undo must not be done */
        return r;
    if (o->action == RESOURCE_FREEZE)
        r = cgroup_freeze(&c, true, e);
    else if (o->action == RESOURCE_ISOLATE)
        r = kernel_network_cut(p->bpf_dir, o->id, true, e);
    else if ((r = cgroup_throttle(&c, RESPOND_THROTTLE, s.throttle_was, e)) == 0)
        r = write_state(a, p->state, &s, e);
    if (r < 0 && r != -ETIMEDOUT) {
        *flag = false;
        if (s.frozen || s.isolated || s.throttled)
            write_state(a, p->state, &s, NULL);
        else
            respond_forget(p->state, o->id);
    }
    return r == -ETIMEDOUT ? 0 : r;
}

int respond_release(const struct respond_place *p, struct str id, struct err *e)
{
    _cleanup_(arena_freep) struct arena *a = arena_new(4u << 20);
    struct respond_state s;
    struct err why = ERR_INIT;
    int r = respond_read(a, p->state, id, &s, e), failed = 0;
    if (r < 0)
        return r == -ENOENT ? err_set(e, ENOENT, "nothing is in force on this container") : r;
    bool alive = fs_exists(s.cgroup.unified) || fs_exists(s.cgroup.freezer) || fs_exists(s.cgroup.cpu);
    if (s.throttled && alive && (r = cgroup_throttle(&s.cgroup, 0, s.throttle_was, &why)) < 0)
        failed = r;
    if (s.isolated && (r = kernel_network_cut(p->bpf_dir, id, false, &why)) < 0 && r != -ENOENT)
        failed = r;
    if (s.frozen && alive && (r = cgroup_freeze(&s.cgroup, false, &why)) < 0)
        failed = r;
    if (failed)
        return err_set(e, -failed, "%s", why.msg);
    respond_forget(p->state, id);
    return 0;
}

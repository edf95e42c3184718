/* Events that bulkhead-runc left in STATE/inbox (it works while the agent is dead): one JSON file each, journaled and
 * removed. */
#include "agent/agent.h"

#include "base/cleanup.h"
#include "base/fs.h"
#include "base/log.h"

#include <dirent.h>
#include <fcntl.h>

#define INBOX_ROUND 500u /* files taken at a time */
#define PARENTS_MAX 64u

/* Index of a name in one of the closed lists; the name functions answer "unknown" past the end. */
static int index_of(struct str name, const char *(*name_of)(int))
{
    for (int i = 0; i < 64; i++) {
        const char *n = name_of(i);
        if (str_eqc(name, n))
            return str_eqc(name, "unknown") ? -EINVAL : i;
        if (!strcmp(n, "unknown"))
            break;
    }
    return -EINVAL;
}

#define NAMES(kind)                                                                                                    \
    static const char *kind##_name(int i)                                                                              \
    {                                                                                                                  \
        return event_##kind##_name((enum event_##kind)i);                                                              \
    }
NAMES(type)
NAMES(control)
NAMES(severity)
NAMES(action)
NAMES(level)
NAMES(outcome)

static void read_process(struct arena *a, const struct json_value *v, struct event_process *p)
{
    const struct json_value *args = json_get(v, "args"), *parents = json_get(v, "parents");
    if (!v || v->type != JSON_OBJECT)
        return;
    p->pid = json_i64(json_get(v, "pid"), 0);
    p->exe = json_str(json_get(v, "exe"));
    p->uid = json_i64(json_get(v, "uid"), 0);
    if (time_parse(json_str(json_get(v, "started")), &p->started) < 0)
        p->started = 0;
    if (args && args->type == JSON_ARRAY) {
        p->args = arena_array(a, args->count + 1, sizeof(*p->args));
        JSON_EACH (args, it)
            p->args[p->args_n++] = json_str(it);
    }
    p->parents = arena_array(a, PARENTS_MAX, sizeof(*p->parents));
    JSON_EACH (parents, it) {
        if (p->parents_n == PARENTS_MAX)
            break;
        p->parents[p->parents_n++] =
            (struct event_parent){.pid = json_i64(json_get(it, "pid"), 0), .exe = json_str(json_get(it, "exe"))};
    }
}

int inbox_event(struct arena *a, struct str text, struct event *ret, struct err *e)
{
    struct json_value *v;
    int r = json_parse(a, text, 0, &v, e);
    if (r < 0)
        return r;
    int type = index_of(json_str(json_get(v, "type")), type_name);
    int control = index_of(json_str(json_get(v, "control")), control_name);
    int severity = index_of(json_str(json_get(v, "severity")), severity_name);
    int action = index_of(json_str(json_get(v, "action")), action_name);
    int level = index_of(json_str(json_get(v, "level")), level_name);
    int outcome = index_of(json_str(json_get(v, "outcome")), outcome_name);
    if (type < 0 || control < 0 || severity < 0 || action < 0 || level < 0 || outcome < 0)
        return err_set(e, EBADMSG, "not an event: a name is not in its list");
    if ((outcome == OUTCOME_prevented && level != LEVEL_block) || (outcome == OUTCOME_killed && level != LEVEL_kill) ||
        (outcome == OUTCOME_responded && level != LEVEL_respond))
        return err_set(e, EBADMSG, "not an event: outcome %s with level %s",
                       event_outcome_name((enum event_outcome)outcome), event_level_name((enum event_level)level));
    struct event ev = {.type = (enum event_type)type,
                       .control = (enum event_control)control,
                       .rule = json_str(json_get(v, "rule")),
                       .severity = (enum event_severity)severity,
                       .action = (enum event_action)action,
                       .level = (enum event_level)level,
                       .outcome = (enum event_outcome)outcome,
                       .user_name = json_str(json_path(v, "user.name")),
                       .user_via = json_str(json_path(v, "user.via")),
                       .policy_name = json_str(json_path(v, "policy.name")),
                       .policy_revision = json_i64(json_path(v, "policy.revision"), 0)};
    if (time_parse(json_str(json_get(v, "time")), &ev.time) < 0)
        ev.time = 0;
    struct str id = json_str(json_path(v, "container.id"));
    const struct json_value *labels = json_path(v, "container.labels"), *detail = json_get(v, "detail");
    if (id.n && !hex_id_valid(id))
        return err_set(e, EBADMSG, "not an event: container.id");
    if (id.n)
        ev.container = (struct event_container){.id = id,
                                                .name = json_str(json_path(v, "container.name")),
                                                .image = json_str(json_path(v, "container.image")),
                                                .image_id = json_str(json_path(v, "container.image_id")),
                                                .image_digest = json_str(json_path(v, "container.image_digest")),
                                                .engine = json_str(json_path(v, "container.engine")),
                                                .labels = labels && labels->type == JSON_OBJECT ? labels : NULL};
    read_process(a, json_get(v, "process"), &ev.process);
    if (detail && detail->type == JSON_OBJECT) {
        _cleanup_(buf_fini) struct buf b = BUF_INIT(LIMIT_EVENT);
        struct json_writer w = JSON_WRITER(&b);
        json_w_value(&w, detail);
        ev.detail = b.full ? STR_NONE : arena_str(a, buf_str(&b));
    }
    *ret = ev;
    return 0;
}

static void take(struct agent *g, int dir, const char *name)
{
    _cleanup_(arena_freep) struct arena *a = arena_new(8u << 20);
    _cleanup_close_ int fd = openat(dir, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    struct str text;
    struct event ev;
    struct err e = ERR_INIT;
    if (fd < 0)
        return;
    if (fs_read_fd(a, fd, LIMIT_EVENT, &text, &e) < 0 || inbox_event(a, text, &ev, &e) < 0) {
        log_error("inbox/%s: %s", name, e.msg);
        journal_gap(g->journal, 0, 0, 1, STR("an event in the inbox could not be read"));
    } else {
        if (ev.container.id.n) { /* the guard knows what the files say; the agent may know more */
            struct container *c = containers_seen(g->containers, ev.container.id, time_now());
            if (c->known)
                subject_for_event(&c->s, &ev.container);
        }
        journal_put(g->journal, &ev);
    }
    journal_flush(g->journal); /* before the file goes: a kill in between tells it twice rather than never */
    unlinkat(dir, name, 0);
}

void inbox_take(struct agent *g)
{
    DIR *d = opendir(g->inbox_dir);
    unsigned n = 0;
    if (!d)
        return;
    for (struct dirent *de; (de = readdir(d)) && n < INBOX_ROUND;)
        if (de->d_name[0] != '.' && str_ends(str_c(de->d_name), STR(".json"))) {
            take(g, dirfd(d), de->d_name);
            n++;
        }
    closedir(d);
    if (n == INBOX_ROUND)
        agent_wake(g);
}

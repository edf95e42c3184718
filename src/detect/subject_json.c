/* A recorded event (a line of the journal) as a subject: the same rules on the same history. */
#include "detect/subject.h"

#include "base/cleanup.h"
#include "base/encode.h"
#include "base/time.h"

#include <netinet/in.h>
#include <sched.h>
#include <sys/socket.h>

/* The tables end where the name is "unknown". */
static int index_of(struct str name, const char *(*names)(int))
{
    for (int i = 0; strcmp(names(i), "unknown") != 0; i++)
        if (str_eqc(name, names(i)))
            return i;
    return -1;
}

static const char *type_name(int i)
{
    return event_type_name((enum event_type)i);
}
static const char *control_name(int i)
{
    return event_control_name((enum event_control)i);
}
static const char *level_name(int i)
{
    return event_level_name((enum event_level)i);
}
static const char *outcome_name(int i)
{
    return event_outcome_name((enum event_outcome)i);
}

static enum detect_kind kind_of(const struct detect_subject *s)
{
    if (s->type == EVENT_TYPE_namespace)
        return s->entered ? KIND_setns : KIND_unshare;
    if (s->type == EVENT_TYPE_bpf && (s->control == CONTROL_io_uring || json_get(s->detail, "entries")))
        return KIND_io_uring;
    static const char *const changes[] = {"create", "remove", "rename", "link", "mode", "owner", "truncate", "xattr"};
    for (unsigned i = 0; s->type == EVENT_TYPE_change && i < ARRAY_LEN(changes); i++)
        if (str_eqc(json_str(json_get(s->detail, "change")), changes[i]))
            return (enum detect_kind)(KIND_change_create + i);
    for (unsigned k = 0; k < KIND_other; k++)
        if (detect_kind_type((enum detect_kind)k) == s->type)
            return (enum detect_kind)k;
    return KIND_other;
}

static uint32_t file_flags(struct arena *a, const struct json_value *list)
{
    uint32_t flags = 0;
    JSON_EACH (list, it)
        for (uint32_t bit = 0; bit < 32; bit++)
            if (str_eq(json_str(it), sensor_file_flags(a, 1u << bit)))
                flags |= 1u << bit;
    return flags;
}

static struct str args_of(struct arena *a, const struct json_value *list)
{
    size_t n = 0, at = 0;
    JSON_EACH (list, it)
        n += json_str(it).n + 1;
    char *p = arena_alloc(a, n + 1);
    JSON_EACH (list, it) {
        struct str one = json_str(it);
        if (one.n)
            memcpy(p + at, one.p, one.n);
        at += one.n + 1;
    }
    return str_n(p, at ? at - 1 : 0);
}

/* As sensor_peer() wrote it. */
static void peer(struct detect_subject *s, struct str text)
{
    struct expr_net net;
    uint64_t port;
    ptrdiff_t colon = str_rchr(text, ':');
    s->family = 0;
    if (str_starts(text, STR("unix:"))) {
        s->family = AF_UNIX;
        s->path = str_sub(text, 5, text.n);
        return;
    }
    if (str_eqc(text, "netlink"))
        s->family = AF_NETLINK;
    if (str_eqc(text, "packet"))
        s->family = AF_PACKET;
    if (colon <= 0 || str_u64(str_sub(text, (size_t)colon + 1, text.n), &port) < 0 || port > 65535)
        return;
    struct str host = str_sub(text, 0, (size_t)colon);
    bool v6 = str_starts(host, STR("["));
    if (expr_net_parse(v6 ? str_sub(host, 1, host.n - 1) : host, &net) < 0 || net.bits != 128)
        return;
    s->family = v6 ? AF_INET6 : AF_INET;
    s->port = (uint16_t)port;
    memcpy(s->addr, net.addr, sizeof(s->addr));
}

static uint64_t namespaces(const struct json_value *list)
{
    static const struct {
        const char *name;
        uint64_t flag;
    } names[] = {{"mnt", CLONE_NEWNS},  {"pid", CLONE_NEWPID}, {"net", CLONE_NEWNET},      {"user", CLONE_NEWUSER},
                 {"ipc", CLONE_NEWIPC}, {"uts", CLONE_NEWUTS}, {"cgroup", CLONE_NEWCGROUP}};
    uint64_t set = 0;
    JSON_EACH (list, it)
        for (size_t i = 0; i < ARRAY_LEN(names); i++)
            if (str_eqc(json_str(it), names[i].name))
                set |= names[i].flag;
    return set;
}

static void container(struct detect_subject *s, const struct json_value *c)
{
    s->container = (struct event_container){.id = json_str(json_get(c, "id")),
                                            .name = json_str(json_get(c, "name")),
                                            .image = json_str(json_get(c, "image")),
                                            .image_id = json_str(json_get(c, "image_id")),
                                            .image_digest = json_str(json_get(c, "image_digest")),
                                            .engine = json_str(json_get(c, "engine")),
                                            .labels = json_get(c, "labels")};
}

static void process(struct detect_subject *s, const struct json_value *p)
{
    s->pid = s->tid = json_i64(json_get(p, "pid"), -1);
    s->uid = json_i64(json_get(p, "uid"), -1);
    s->exe = json_str(json_get(p, "exe"));
    s->args = args_of(s->a, json_get(p, "args"));
    if (time_parse(json_str(json_get(p, "started")), &s->started) < 0)
        s->started = 0;
    JSON_EACH (json_get(p, "parents"), it) {
        struct detect_parent *to = &s->parents[s->parents_n];
        if (s->parents_n++ == DETECT_PARENTS) {
            s->parents_n = DETECT_PARENTS;
            break;
        }
        const struct json_value *args = json_get(it, "args");
        *to = (struct detect_parent){.pid = json_i64(json_get(it, "pid"), -1),
                                     .exe = json_str(json_get(it, "exe")),
                                     .uid = json_i64(json_get(it, "uid"), -1)};
        if (args) {
            to->args = args_of(s->a, args);
            to->name = detect_name(STR_NONE, to->exe, to->args);
        }
    }
    s->ppid = s->parents_n ? s->parents[0].pid : -1;
}

static bool hex_caps(struct str text, uint64_t *ret)
{
    uint8_t raw[8];
    *ret = 0;
    if (hex_decode(text, raw, sizeof(raw)) < 0)
        return false;
    for (size_t i = 0; i < sizeof(raw); i++)
        *ret = *ret << 8 | raw[i];
    return true;
}

static void object(struct detect_subject *s, const struct json_value *d)
{
    static const char *const protocols[][2] = {{"tcp", "\6"}, {"udp", "\21"}, {"icmp", "\1"}, {"raw", "\377"}};
    const struct json_value *file = json_get(d, "file");
    s->detail = d;
    s->path = json_str(json_get(d, "path"));
    if (!s->path.n && s->type != EVENT_TYPE_exec)
        s->path = json_str(json_get(file, "path"));
    s->path2 = json_str(json_get(d, "target"));
    s->comm = json_str(json_get(d, "comm"));
    s->file_flags = file_flags(s->a, json_get(file, "flags"));
    s->inode = json_i64(json_get(file, "inode"), -1);
    s->open_flags = json_i64(json_get(d, "open_flags"), -1);
    s->request = json_i64(json_get(d, "request"), 0);
    s->target = json_i64(json_get(d, "target_pid"), -1);
    s->ns_pid = json_i64(json_get(d, "container_pid"), -1);
    s->ns_uid = json_i64(json_get(d, "container_uid"), s->uid);
    s->new_uid = json_i64(json_get(d, "euid"), -1);
    s->entered = str_eqc(json_str(json_get(d, "how")), "entered");
    s->namespaces = namespaces(json_get(d, "namespaces"));
    s->has_caps = hex_caps(json_str(json_get(d, "capabilities")), &s->caps);
    s->local_port = (uint16_t)json_i64(json_get(d, "local_port"), 0);
    s->peer_name = json_str(json_get(d, "peer_name"));
    peer(s, json_str(json_get(d, "peer")));
    s->protocol = s->family == AF_INET || s->family == AF_INET6 ? IPPROTO_TCP : 0;
    for (size_t i = 0; i < ARRAY_LEN(protocols); i++)
        if (str_eqc(json_str(json_get(d, "protocol")), protocols[i][0]))
            s->protocol = (uint8_t)protocols[i][1][0];
}

int detect_subject_json(struct detect_subject *s, const struct json_value *event, struct err *e)
{
    int type = index_of(json_str(json_get(event, "type")), type_name);
    int control_ = index_of(json_str(json_get(event, "control")), control_name);
    int level = index_of(json_str(json_get(event, "level")), level_name);
    int outcome = index_of(json_str(json_get(event, "outcome")), outcome_name);
    if (!event || event->type != JSON_OBJECT || type < 0)
        return err_set(e, EBADMSG, "not an event: no type that is known");
    s->type = (enum event_type)type;
    s->control = control_ < 0 ? CONTROL_none : (enum event_control)control_;
    s->level = level < 0 ? LEVEL_detect : (enum event_level)level;
    s->outcome = outcome < 0 ? OUTCOME_detected : (enum event_outcome)outcome;
    if (event_action_parse(json_str(json_get(event, "action")), &s->action) < 0)
        s->action = ACTION_off;
    if (time_parse(json_str(json_get(event, "time")), &s->time) < 0)
        return err_set(e, EBADMSG, "not an event: no time");
    s->host = json_str(json_get(event, "host"));
    s->via = json_str(json_get(json_get(event, "user"), "via"));
    s->pid = s->tid = s->ppid = s->uid = s->gid = -1;
    s->parents_n = 0;
    container(s, json_get(event, "container"));
    process(s, json_get(event, "process"));
    object(s, json_get(event, "detail"));
    s->kind = kind_of(s);
    return 0;
}

/* A live event of the sensor as a subject. */
#include "detect/subject.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>

enum detect_kind detect_subject_kind(const struct sensor_event *ev)
{
    if (ev->type == EVENT_TYPE_namespace)
        return ev->raw->arg[1] ? KIND_setns : KIND_unshare;
    if (ev->raw->type == BH_IO_URING)
        return KIND_io_uring;
    if (ev->raw->type == BH_CHANGE)
        return ev->raw->arg[0] >= 1 && ev->raw->arg[0] < BH_CHANGES
                   ? (enum detect_kind)(KIND_change_create + (ev->raw->arg[0] - 1))
                   : KIND_other;
    for (unsigned k = 0; k < KIND_other; k++)
        if (detect_kind_type((enum detect_kind)k) == ev->type)
            return (enum detect_kind)k;
    return KIND_other;
}

static void parents(struct detect_subject *s, const struct sensor_event *ev)
{
    const struct bh_event *r = ev->raw;
    size_t n = r->parents_n < BH_PARENTS ? r->parents_n : BH_PARENTS;
    for (size_t i = 0; i < n; i++) {
        struct detect_parent *p = &s->parents[s->parents_n++];
        size_t comm = strnlen(r->parents[i].comm, sizeof(r->parents[i].comm));
        *p = (struct detect_parent){.pid = r->parents[i].pid,
                                    .exe = sensor_parent_exe(ev, i),
                                    .name = str_n(r->parents[i].comm, comm),
                                    .uid = -1};
    }
}

static void peer(struct detect_subject *s, const struct bh_addr *p)
{
    s->family = p->family;
    s->port = p->port;
    s->local_port = p->local_port;
    s->protocol = p->protocol;
    if (!p->protocol && (p->family == AF_INET || p->family == AF_INET6) && s->kind != KIND_bind)
        s->protocol = IPPROTO_TCP; /* listen and accept exist for streams alone; a connect that says nothing is one */
    memset(s->addr, 0, sizeof(s->addr));
    if (p->family == AF_INET) {
        s->addr[10] = s->addr[11] = 0xff;
        memcpy(s->addr + 12, p->addr, 4);
    } else if (p->family == AF_INET6) {
        memcpy(s->addr, p->addr, sizeof(s->addr));
    }
}

void detect_subject_sensor(struct detect_subject *s, const struct sensor_event *ev)
{
    const struct bh_event *r = ev->raw;
    s->kind = detect_subject_kind(ev);
    s->type = ev->type;
    s->control = ev->control;
    s->action = ev->action;
    s->level = ev->level;
    s->outcome = ev->outcome;
    s->time = ev->time;
    s->container.id = ev->id;
    s->pid = r->pid;
    s->tid = r->tid;
    s->ns_pid = r->ns_pid;
    s->ppid = r->ppid;
    s->uid = r->uid;
    s->ns_uid = r->ns_uid;
    s->gid = r->gid;
    s->started = ev->started;
    s->exe = ev->exe;
    s->comm = ev->comm;
    s->args = ev->args;
    s->has_caps = true;
    s->caps = r->caps;
    s->path = ev->path;
    s->file_flags = r->file.flags;
    s->inode = r->file.ino ? (int64_t)r->file.ino : -1;
    s->device = r->file.ino ? (int64_t)r->file.dev : -1;
    s->open_flags = s->kind == KIND_open ? (int64_t)r->arg[0] : -1;
    s->request = s->kind == KIND_ptrace ? (int64_t)r->arg[0] : 0;
    s->target = s->kind == KIND_ptrace ? (int64_t)r->arg[1] : -1;
    s->namespaces = ev->type == EVENT_TYPE_namespace ? r->arg[0] : 0;
    s->new_uid = s->kind == KIND_credentials ? (int64_t)r->ns_euid : -1;
    s->syscall = r->syscall;
    s->cpu = r->cpu;
    s->parents_n = 0;
    parents(s, ev);
    if (!s->args.n && s->kind != KIND_exec && s->tree) {
        const struct process *known = processes_get(s->tree, s->pid, s->started);
        if (known)
            s->args = arena_str(s->a, known->args);
    }
    peer(s, &r->peer);
}

#include "agent/who.h"

#include "base/cleanup.h"
#include "base/time.h"

#include <pthread.h>

#define EARLY (2 * TIME_SECOND)  /* the kernel counts starts in ticks, and the clock may be set */
#define LATE  (30 * TIME_SECOND) /* from the engine's request to the process, on a busy host */

struct session {
    char id[IDENTITY_TEXT], user[128], args[512];
    size_t args_n;
    int64_t at;
    int64_t pid, started; /* its first process, once found */
};

struct who {
    pthread_mutex_t lock;
    struct session v[WHO_SESSIONS];
    size_t next;
    struct rootfs *files;
};

struct who *who_new(void)
{
    struct who *w = calloc(1, sizeof(*w));
    if (!w)
        abort();
    pthread_mutex_init(&w->lock, NULL);
    w->files = rootfs_new();
    return w;
}

void who_free(struct who *w)
{
    if (!w)
        return;
    pthread_mutex_destroy(&w->lock);
    rootfs_free(w->files);
    free(w);
}

void who_exec(struct who *w, struct str id, struct str user, struct str args)
{
    if (id.n != IDENTITY_TEXT - 1 || !user.n || user.n >= sizeof(w->v[0].user))
        return;
    pthread_mutex_lock(&w->lock);
    struct session *s = &w->v[w->next++ % WHO_SESSIONS];
    *s = (struct session){.at = time_now(), .args_n = args.n < sizeof(s->args) ? args.n : sizeof(s->args)};
    memcpy(s->id, id.p, id.n);
    memcpy(s->user, user.p, user.n);
    if (s->args_n)
        memcpy(s->args, args.p, s->args_n);
    pthread_mutex_unlock(&w->lock);
}

/* Both may be cut: the kernel's at BH_ARGS, the tree's at half of PROCESS_TEXT. */
static bool same_args(const struct session *s, struct str args)
{
    size_t n = s->args_n < args.n ? s->args_n : args.n;
    bool cut = s->args_n == sizeof(s->args) || args.n >= PROCESS_TEXT / 2;
    return n && (cut || s->args_n == args.n) && !memcmp(s->args, args.p, n);
}

/* The one session that this first process can belong to; two that fit equally well are none, unless one person had
 * both. */
static struct session *session_of(struct who *w, const char *id, int64_t pid, int64_t started, struct str args)
{
    struct session *best = NULL;
    bool best_args = false, several = false;
    for (size_t i = 0; i < WHO_SESSIONS; i++) {
        struct session *s = &w->v[i];
        if (!s->at || strcmp(s->id, id))
            continue;
        if (s->pid == pid && s->started == started)
            return s;
        if (s->pid || started < s->at - EARLY || started > s->at + LATE)
            continue;
        bool fits = same_args(s, args);
        if (!best || (fits && !best_args)) {
            best = s;
            best_args = fits;
            several = false;
        } else if (fits == best_args && strcmp(s->user, best->user)) {
            several = true;
        }
    }
    return several ? NULL : best;
}

static struct str session_user(struct who *w, struct arena *a, const struct process *top)
{
    pthread_mutex_lock(&w->lock);
    struct session *s = session_of(w, top->id, top->pid, top->started, top->args);
    struct str user = STR_NONE;
    if (s) {
        s->pid = top->pid;
        s->started = top->started;
        user = arena_str(a, str_c(s->user));
    }
    pthread_mutex_unlock(&w->lock);
    return user;
}

/* Did it come in by an exec session? Then the outermost process of its chain inside the container is not the
 * container's first. */
static bool outermost(struct processes *tree, const struct sensor_event *ev, const struct bh_container *c,
                      struct process *top)
{
    const struct bh_event *r = ev->raw;
    if (!c->pid || r->ns_pid == 1 || ev->id.n != IDENTITY_TEXT - 1)
        return false;
    *top = (struct process){
        .pid = r->pid, .started = ev->started, .args = ev->type == EVENT_TYPE_exec ? ev->args : STR_NONE};
    memcpy(top->id, ev->id.p, ev->id.n);
    for (size_t i = 0; i < r->parents_n && i < BH_PARENTS; i++) {
        const struct process *p = processes_get(tree, r->parents[i].pid, 0);
        if (!p || !str_eqc(ev->id, p->id))
            break;
        *top = *p;
    }
    if (r->parents_n >= BH_PARENTS)
        for (const struct process *p; (p = processes_get(tree, top->pid, 0)) && p->ppid > 0;) {
            const struct process *up = processes_get(tree, p->ppid, 0);
            if (!up || !str_eqc(ev->id, up->id))
                break;
            *top = *up;
        }
    return top->pid != (int64_t)c->pid;
}

void who_asks(struct who *w, struct arena *a, struct processes *tree, const struct sensor_event *ev,
              const struct bh_container *c, struct who_event *ret)
{
    const struct bh_event *r = ev->raw;
    int64_t pids[2 + BH_PARENTS] = {c->pid, r->pid};
    struct rootfs_root root = {.id = ev->id, .pids = pids, .pids_n = 2, .dev = c->root_dev};
    struct process top;
    *ret = (struct who_event){0};
    for (size_t i = 0; i < r->parents_n && i < BH_PARENTS; i++)
        pids[root.pids_n++] = r->parents[i].pid;
    ret->user = arena_str(a, rootfs_user(w->files, &root, r->ns_uid));
    if (outermost(tree, ev, c, &top)) {
        ret->exec = true;
        ret->by = session_user(w, a, &top);
    }
    if ((ev->control == CONTROL_drift || ev->control == CONTROL_scripts) && r->file.flags & BH_FILE_UPPER)
        ret->has_package = rootfs_package(
            w->files, a, &root, ev->type == EVENT_TYPE_exec && !(r->file.flags & BH_FILE_SCRIPT) ? ev->exe : ev->path,
            &ret->package);
}

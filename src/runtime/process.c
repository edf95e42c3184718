#include "runtime/process.h"

#include "base/cleanup.h"
#include "base/time.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <uthash.h>

#define TOLERANCE (2 * TIME_SECOND)

struct entry {
    struct process p;
    int64_t pid;                 /* hash key */
    struct entry *newer, *older; /* order of change, for forgetting */
    UT_hash_handle hh;
    char text[]; /* exe, args */
};

struct processes {
    struct entry *by_pid;
    struct entry *newest, *oldest; /* live ones */
    struct entry *ended_newest, *ended_oldest;
    size_t max;
    int64_t boot; /* instant of boot */
    long ticks;
    bool only_told;
};

static void unlink_entry(struct processes *t, struct entry *n)
{
    struct entry **newest = n->p.ended ? &t->ended_newest : &t->newest;
    struct entry **oldest = n->p.ended ? &t->ended_oldest : &t->oldest;
    if (n->newer)
        n->newer->older = n->older;
    else
        *newest = n->older;
    if (n->older)
        n->older->newer = n->newer;
    else
        *oldest = n->newer;
    n->newer = n->older = NULL;
}

static void link_entry(struct processes *t, struct entry *n)
{
    struct entry **newest = n->p.ended ? &t->ended_newest : &t->newest;
    struct entry **oldest = n->p.ended ? &t->ended_oldest : &t->oldest;
    n->older = *newest;
    n->newer = NULL;
    if (*newest)
        (*newest)->newer = n;
    else
        *oldest = n;
    *newest = n;
}

static void drop(struct processes *t, struct entry *n)
{
    unlink_entry(t, n);
    HASH_DEL(t->by_pid, n);
    free(n);
}

struct processes *processes_new(size_t max)
{
    struct processes *t = calloc(1, sizeof(*t));
    if (!t)
        abort();
    t->max = max ? max : PROCESS_MAX;
    t->ticks = sysconf(_SC_CLK_TCK);
    t->boot = time_now() - time_monotonic();
    return t;
}

void processes_free(struct processes *t)
{
    if (!t)
        return;
    while (t->newest)
        drop(t, t->newest);
    while (t->ended_newest)
        drop(t, t->ended_newest);
    free(t);
}

size_t processes_count(const struct processes *t)
{
    return HASH_COUNT(t->by_pid);
}

void processes_only_told(struct processes *t)
{
    t->only_told = true;
}

static struct entry *find(struct processes *t, int64_t pid)
{
    struct entry *n;
    HASH_FIND(hh, t->by_pid, &pid, sizeof(pid), n);
    return n;
}

static struct entry *put(struct processes *t, const struct process *p)
{
    struct entry *old = find(t, p->pid);
    if (old)
        drop(t, old);
    while (HASH_COUNT(t->by_pid) >= t->max)
        drop(t, t->ended_oldest ? t->ended_oldest : t->oldest);
    struct str exe = str_sub(p->exe, 0, PROCESS_TEXT / 2), args = str_sub(p->args, 0, PROCESS_TEXT / 2);
    struct entry *n = calloc(1, sizeof(*n) + exe.n + args.n + 1);
    if (!n)
        abort();
    n->p = *p;
    n->p.ended = false;
    n->pid = p->pid;
    if (exe.n)
        memcpy(n->text, exe.p, exe.n);
    if (args.n)
        memcpy(n->text + exe.n, args.p, args.n);
    n->p.exe = str_n(n->text, exe.n);
    n->p.args = str_n(n->text + exe.n, args.n);
    link_entry(t, n);
    HASH_ADD(hh, t->by_pid, pid, sizeof(n->pid), n);
    return n;
}

/* ---- /proc ---- */

static struct str slurp(int dir, const char *name, char *p, size_t n)
{
    _cleanup_close_ int fd = openat(dir, name, O_RDONLY | O_CLOEXEC);
    size_t got = 0;
    for (ssize_t r; fd >= 0 && got < n && (r = read(fd, p + got, n - got)) > 0;)
        got += (size_t)r;
    return str_n(p, got);
}

/* "pid (comm) S ppid ... starttime(22) ...": comm may hold anything, so fields count from the last ')'. */
static bool parse_stat(struct str s, int64_t *ppid, uint64_t *start)
{
    ptrdiff_t at = str_rchr(s, ')');
    if (at < 0)
        return false;
    struct str rest = str_trim(str_sub(s, (size_t)at + 1, s.n)), field;
    bool ok = false;
    for (int i = 3; str_cut(&rest, ' ', &field); i++) {
        if (i == 4 && str_i64(field, ppid) < 0)
            return false;
        if (i == 22) {
            ok = str_u64(field, start) == 0;
            break;
        }
    }
    return ok;
}

static struct entry *from_proc(struct processes *t, int64_t pid)
{
    char path[64], stat_text[1024], args[PROCESS_TEXT / 2], exe[PROCESS_TEXT / 2];
    snprintf(path, sizeof(path), "/proc/%" PRId64, pid);
    _cleanup_close_ int dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (t->only_told || pid <= 0 || dir < 0)
        return NULL;
    struct process p = {.pid = pid};
    uint64_t start;
    struct stat st;
    if (!parse_stat(slurp(dir, "stat", stat_text, sizeof(stat_text)), &p.ppid, &start) || fstat(dir, &st) < 0)
        return NULL;
    p.started = t->boot + (int64_t)(start * (uint64_t)TIME_SECOND / (uint64_t)t->ticks);
    p.uid = st.st_uid;
    p.args = slurp(dir, "cmdline", args, sizeof(args));
    if (p.args.n && p.args.p[p.args.n - 1] == '\0')
        p.args.n--;
    ssize_t n = readlinkat(dir, "exe", exe, sizeof(exe));
    p.exe = str_n(exe, n > 0 ? (size_t)n : 0);
    if (str_ends(p.exe, STR(" (deleted)")))
        p.exe.n -= 10;
    if (identity_of_pid((pid_t)pid, p.id) < 0)
        p.id[0] = '\0';
    return put(t, &p);
}

size_t processes_scan(struct processes *t)
{
    DIR *d = opendir("/proc");
    size_t n = 0;
    for (struct dirent *de; d && (de = readdir(d));) {
        int64_t pid;
        if (str_i64(str_c(de->d_name), &pid) < 0)
            continue;
        struct entry *en = from_proc(t, pid);
        n += en && en->p.id[0];
    }
    if (d)
        closedir(d);
    return n;
}

/* ---- */

void processes_exec(struct processes *t, const struct process *p)
{
    put(t, p);
}

void processes_exit(struct processes *t, int64_t pid)
{
    struct entry *n = find(t, pid);
    if (!n || n->p.ended)
        return;
    unlink_entry(t, n);
    n->p.ended = true;
    link_entry(t, n);
}

static bool same(const struct process *p, int64_t started)
{
    if (!started || !p->started)
        return true;
    int64_t d = p->started - started;
    return d < TOLERANCE && d > -TOLERANCE;
}

const struct process *processes_get(struct processes *t, int64_t pid, int64_t started)
{
    struct entry *n = find(t, pid);
    if (n && same(&n->p, started))
        return &n->p;
    if (!(n = from_proc(t, pid)))
        return NULL;
    return same(&n->p, started) ? &n->p : NULL;
}

size_t processes_parents(struct processes *t, struct arena *a, int64_t pid, bool beyond, struct event_parent **ret)
{
    struct event_parent *v = arena_array(a, PROCESS_PARENTS, sizeof(*v));
    size_t n = 0;
    const struct process *p = processes_get(t, pid, 0);
    char id[IDENTITY_TEXT] = "";
    if (p)
        memcpy(id, p->id, sizeof(id));
    while (p && n < PROCESS_PARENTS && p->ppid > 0) {
        int64_t ppid = p->ppid;
        if (!(p = processes_get(t, ppid, 0)) || (!beyond && strcmp(p->id, id)))
            break;
        v[n++] = (struct event_parent){.pid = ppid, .exe = arena_str(a, p->exe)};
    }
    *ret = v;
    return n;
}

void processes_each(struct processes *t, const char *id, void (*fn)(void *ctx, const struct process *p), void *ctx)
{
    for (struct entry *n = t->by_pid, *next; n; n = next) {
        next = n->hh.next;
        if (!n->p.ended && (id ? !strcmp(n->p.id, id) : n->p.id[0] != 0))
            fn(ctx, &n->p);
    }
}

#include "runtime/cgroup.h"

#include "base/cleanup.h"
#include "base/fs.h"
#include "base/time.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>

#define TEXT_MAX (1u << 20)
#define DEPTH    16
#define PERIOD   100000u

bool cgroup_line(struct str line, struct str id, struct str *controllers, struct str *path)
{
    struct str number, rest;
    if (!str_split(line, ':', &number, &rest) || !str_split(rest, ':', controllers, path))
        return false;
    ptrdiff_t at = str_find(*path, id);
    if (at < 0 || id.n != 64)
        return false;
    size_t end = (size_t)at + id.n;
    while (end < path->n && path->p[end] != '/')
        end++;
    *path = str_sub(*path, 0, end); /* not what it made below */
    return path->p[0] == '/';
}

/* Where a hierarchy is mounted: of the whole of it, or of the part that holds the path. */
static bool mounted(struct str mountinfo, const char *type, struct str controller, struct str path, char *ret)
{
    struct str line;
    while (str_cut(&mountinfo, '\n', &line)) {
        struct str field[5] = {0}, fs, source, options, one;
        for (int i = 0; i < 5; i++)
            str_cut(&line, ' ', &field[i]);
        ptrdiff_t at = str_find(line, STR(" - "));
        if (at < 0)
            continue;
        line = str_sub(line, (size_t)at + 3, line.n);
        if (!str_cut(&line, ' ', &fs) || !str_eqc(fs, type) || !str_cut(&line, ' ', &source))
            continue;
        options = line;
        bool has = !controller.n;
        while (!has && str_cut(&options, ',', &one))
            has = str_eq(one, controller);
        struct str root = str_eqc(field[3], "/") ? STR("") : field[3];
        if (!has || !str_starts(path, root))
            continue;
        struct str below = str_sub(path, root.n, path.n);
        if (field[4].n + below.n >= CGROUP_PATH)
            continue;
        snprintf(ret, CGROUP_PATH, STR_FMT STR_FMT, STR_ARG(field[4]), STR_ARG(below));
        struct stat st;
        if (stat(ret, &st) == 0 && S_ISDIR(st.st_mode))
            return true;
        ret[0] = '\0';
    }
    return false;
}

int cgroup_find(struct str id, pid_t pid, struct cgroup *ret, struct err *e)
{
    _cleanup_(arena_freep) struct arena *a = arena_new(TEXT_MAX * 8);
    struct str text, mountinfo, line;
    struct cgroup c = {0};
    char path[64];
    snprintf(path, sizeof(path), "/proc/%d/cgroup", pid);
    if (fs_read(a, path, TEXT_MAX, &text, NULL) < 0)
        return err_set(e, ESRCH, "process %d is gone", pid);
    int r = fs_read(a, "/proc/self/mountinfo", TEXT_MAX, &mountinfo, e);
    if (r < 0)
        return r;
    while (str_cut(&text, '\n', &line)) {
        struct str controllers, folder, one;
        if (!cgroup_line(line, id, &controllers, &folder))
            continue;
        if (!controllers.n) {
            mounted(mountinfo, "cgroup2", STR_NONE, folder, c.unified);
            continue;
        }
        while (str_cut(&controllers, ',', &one)) {
            char *place = str_eqc(one, "freezer") ? c.freezer : str_eqc(one, "cpu") ? c.cpu : c.any;
            if (!place[0] && !str_starts(one, STR("name=")))
                mounted(mountinfo, "cgroup", one, folder, place);
        }
    }
    if (!c.unified[0] && !c.freezer[0] && !c.any[0])
        return err_set(e, ESRCH, "process %d is in no cgroup of container " STR_FMT, pid, STR_ARG(str_sub(id, 0, 12)));
    *ret = c;
    return 0;
}

static int put(const char *dir, const char *file, const char *text, struct err *e)
{
    char path[CGROUP_PATH + 64];
    snprintf(path, sizeof(path), "%s/%s", dir, file);
    _cleanup_close_ int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0 || write(fd, text, strlen(text)) < 0)
        return err_errno(e, "%s", path);
    return 0;
}

static bool get(const char *dir, const char *file, char *text, size_t n)
{
    char path[CGROUP_PATH + 64];
    if (!dir[0])
        return false;
    snprintf(path, sizeof(path), "%s/%s", dir, file);
    _cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t got = fd < 0 ? -1 : read(fd, text, n - 1);
    if (got < 0)
        return false;
    while (got > 0 && text[got - 1] == '\n')
        got--;
    text[got] = '\0';
    return true;
}

/* ---- freezing ---- */

static bool v2_freezer(const struct cgroup *c)
{
    char text[8];
    return get(c->unified, "cgroup.freeze", text, sizeof(text));
}

bool cgroup_frozen(const struct cgroup *c)
{
    char text[512];
    if (v2_freezer(c))
        return get(c->unified, "cgroup.events", text, sizeof(text)) && strstr(text, "frozen 1");
    return get(c->freezer, "freezer.state", text, sizeof(text)) && !strcmp(text, "FROZEN");
}

int cgroup_freeze(const struct cgroup *c, bool on, struct err *e)
{
    int r;
    if (v2_freezer(c))
        r = put(c->unified, "cgroup.freeze", on ? "1" : "0", e);
    else if (c->freezer[0])
        r = put(c->freezer, "freezer.state", on ? "FROZEN" : "THAWED", e);
    else
        return err_set(e, ENOTSUP, "this container has no cgroup that can be frozen");
    for (int64_t end = time_monotonic() + TIME_SECOND; r == 0 && cgroup_frozen(c) != on; poll(NULL, 0, 2))
        if (time_monotonic() > end)
            return err_set(e, ETIMEDOUT, "the container is not yet %s", on ? "frozen" : "thawed");
    return r;
}

/* ---- throttling ---- */

int cgroup_throttle(const struct cgroup *c, unsigned percent, char was[static 64], struct err *e)
{
    char now[64], text[64];
    bool v2 = get(c->unified, "cpu.max", now, sizeof(now));
    if (!v2 && !get(c->cpu, "cpu.cfs_quota_us", now, sizeof(now)))
        return err_set(e, ENOTSUP, "this container has no cgroup with a limit of processor time");
    if (percent && !was[0])
        snprintf(was, 64, "%s", now);
    if (v2) {
        snprintf(text, sizeof(text), "%u %u", percent * (PERIOD / 100), PERIOD);
        return put(c->unified, "cpu.max", percent ? text : was[0] ? was : "max", e);
    }
    char period[64];
    uint64_t us = PERIOD;
    if (get(c->cpu, "cpu.cfs_period_us", period, sizeof(period)))
        str_u64(str_c(period), &us);
    snprintf(text, sizeof(text), "%" PRIu64, percent * us / 100);
    return put(c->cpu, "cpu.cfs_quota_us", percent ? text : was[0] ? was : "-1", e);
}

/* ---- all of its processes ---- */

struct listing {
    struct arena *a;
    int64_t *v;
    size_t n, cap;
};

static void list_folder(int dir, struct listing *l, int depth)
{
    struct str text, line;
    int64_t pid;
    _cleanup_close_ int procs = openat(dir, "cgroup.procs", O_RDONLY | O_CLOEXEC);
    if (procs >= 0 && fs_read_fd(l->a, procs, TEXT_MAX, &text, NULL) == 0)
        while (str_cut(&text, '\n', &line) && l->n < CGROUP_PIDS)
            if (str_i64(line, &pid) == 0 && pid > 0) {
                l->v = arena_grow(l->a, l->v, l->n, &l->cap, sizeof(*l->v));
                l->v[l->n++] = pid;
            }
    int copy = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *d = copy < 0 ? NULL : fdopendir(copy);
    for (struct dirent *de; d && depth < DEPTH && l->n < CGROUP_PIDS && (de = readdir(d));) {
        if (de->d_type != DT_DIR || de->d_name[0] == '.')
            continue;
        _cleanup_close_ int sub = openat(dir, de->d_name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (sub >= 0)
            list_folder(sub, l, depth + 1);
    }
    if (d)
        closedir(d);
}

int cgroup_pids(const struct cgroup *c, struct arena *a, int64_t **ret, size_t *n, struct err *e)
{
    const char *dir = c->unified[0] ? c->unified : c->freezer[0] ? c->freezer : c->any[0] ? c->any : c->cpu;
    struct listing l = {.a = a};
    _cleanup_close_ int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return err_errno(e, "%s", dir);
    list_folder(fd, &l, 0);
    *ret = l.v;
    *n = l.n;
    return 0;
}

int cgroup_kill(const struct cgroup *c, struct err *e)
{
    char text[8];
    struct err none = ERR_INIT;
    int r = 0;
    bool frozen = v2_freezer(c) || c->freezer[0];
    if (c->unified[0] && put(c->unified, "cgroup.kill", "1", &none) == 0) { /* Linux 5.14; also kills what is frozen */
        if (v2_freezer(c))
            put(c->unified, "cgroup.freeze", "0", &none);
        return 0;
    }
    if (frozen)
        cgroup_freeze(c, true, &none);
    for (int round = 0; round < (frozen ? 1 : 20); round++) {
        _cleanup_(arena_freep) struct arena *a = arena_new(TEXT_MAX * 64);
        int64_t *v;
        size_t n;
        if ((r = cgroup_pids(c, a, &v, &n, e)) < 0 || !n)
            break;
        for (size_t i = 0; i < n; i++)
            kill((pid_t)v[i], SIGKILL);
    }
    if (get(c->unified, "cgroup.freeze", text, sizeof(text)))
        put(c->unified, "cgroup.freeze", "0", &none);
    else if (c->freezer[0])
        put(c->freezer, "freezer.state", "THAWED", &none);
    return r;
}

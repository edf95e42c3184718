#include "runtime/self.h"

#include "base/cleanup.h"
#include "base/str.h"
#include "runtime/demand.h"
#include "runtime/pin.h"

#include <bpf/bpf.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

struct self_id {
    uint32_t kind, id;
};
struct self_file {
    uint64_t ino;
    uint32_t dev, pad;
};

struct maps {
    int tasks, ids, files, devs;
};

static void maps_fini(struct maps *m)
{
    int fds[] = {m->tasks, m->ids, m->files, m->devs};
    for (size_t i = 0; i < ARRAY_LEN(fds); i++)
        if (fds[i] >= 0)
            close(fds[i]);
}

static int maps_init(const char *bpf_dir, struct maps *m, struct err *e)
{
    *m = (struct maps){-1, -1, -1, -1};
    int r = pin_map(bpf_dir, "self_tasks", 4, 8, &m->tasks, e);
    if (r < 0 || (r = pin_map(bpf_dir, "self_ids", sizeof(struct self_id), 4, &m->ids, e)) < 0 ||
        (r = pin_map(bpf_dir, "self_files", sizeof(struct self_file), 4, &m->files, e)) < 0)
        return r;
    return pin_map(bpf_dir, "self_devs", 4, 4, &m->devs, e);
}

/* What is in the map and not in `keep` goes: what stays protected is so without a gap. */
static void drop_others(int fd, size_t size, const void *keep, size_t keep_n)
{
    char at[16], next[16];
    void *from = NULL;
    while (bpf_map_get_next_key(fd, from, next) == 0) {
        bool kept = false;
        for (size_t i = 0; i < keep_n && !kept; i++)
            kept = !memcmp(next, (const char *)keep + i * size, size);
        if (kept)
            from = memcpy(at, next, size);
        else if (bpf_map_delete_elem(fd, next) < 0)
            return;
    }
}

/* ---- pins ---- */

struct each {
    int fd; /* of the map of ids; -1: only count */
    struct self_id ids[2048];
    size_t n, count;
};

static void add_id(struct each *x, uint32_t kind, uint32_t id)
{
    uint32_t one = 1;
    if (x->n == ARRAY_LEN(x->ids))
        return;
    x->ids[x->n] = (struct self_id){kind, id};
    bpf_map_update_elem(x->fd, &x->ids[x->n++], &one, BPF_ANY);
}

/* Descriptors of the kernel say what they are by the name of their file. */
static void add_pin(struct each *x, const char *path)
{
    _cleanup_close_ int fd = bpf_obj_get(path);
    char link[64], what[64];
    uint32_t info[64] = {0}, size = sizeof(info);
    snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
    ssize_t n = fd < 0 ? -1 : readlink(link, what, sizeof(what) - 1);
    if (n < 0 || bpf_obj_get_info_by_fd(fd, info, &size) < 0)
        return;
    what[n] = '\0';
    if (strstr(what, "map"))
        add_id(x, BH_SELF_MAP, info[1]);
    else if (strstr(what, "link"))
        add_id(x, BH_SELF_LINK, info[1]);
}

static void each_pin(struct each *x, const char *dir, int depth)
{
    char path[PIN_PATH];
    DIR *d = opendir(dir);
    for (struct dirent *de; d && (de = readdir(d));) {
        if (de->d_name[0] == '.' || (size_t)snprintf(path, sizeof(path), "%s/%s", dir, de->d_name) >= sizeof(path))
            continue;
        struct stat st;
        if (lstat(path, &st) < 0)
            continue;
        if (S_ISDIR(st.st_mode)) {
            if (depth < 2)
                each_pin(x, path, depth + 1);
            continue;
        }
        x->count += !demand_has(de->d_name);
        if (x->fd >= 0)
            add_pin(x, path);
    }
    if (d)
        closedir(d);
}

size_t self_pins(const char *bpf_dir)
{
    static const struct each none;
    struct each x = none;
    x.fd = -1;
    each_pin(&x, bpf_dir, 0);
    return x.count;
}

/* ---- processes and files ---- */

/* Field 22 of /proc/PID/stat, as the kernel's own division makes it. */
static bool started(pid_t pid, uint64_t *ret)
{
    char path[64], text[1024];
    snprintf(path, sizeof(path), "/proc/%d/stat", pid);
    _cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text));
    struct str rest = str_n(text, n > 0 ? (size_t)n : 0), field = STR_NONE;
    ptrdiff_t at = str_rchr(rest, ')');
    if (at < 0)
        return false;
    rest = str_trim(str_sub(rest, (size_t)at + 1, rest.n));
    for (int i = 3; i <= 22; i++)
        if (!str_cut(&rest, ' ', &field))
            return false;
    return str_u64(field, ret) == 0;
}

static void put_tasks(int fd, const pid_t *pids, size_t n)
{
    uint32_t keep[64];
    size_t kept = 0;
    for (size_t i = 0; i < n && kept < ARRAY_LEN(keep); i++) {
        uint64_t at;
        uint32_t tgid = (uint32_t)pids[i];
        if (pids[i] > 0 && started(pids[i], &at) && bpf_map_update_elem(fd, &tgid, &at, BPF_ANY) == 0)
            keep[kept++] = tgid;
    }
    drop_others(fd, 4, keep, kept);
}

static void put_files(const struct maps *m, const struct self_path *paths, size_t n, const char *bpf_dir)
{
    struct self_file files[128];
    uint32_t devs[128];
    size_t kept = 0;
    for (size_t i = 0; i < n && kept < ARRAY_LEN(files); i++) {
        struct stat st;
        if (!paths[i].path || stat(paths[i].path, &st) < 0)
            continue;
        uint32_t dev = major(st.st_dev) << 20 | minor(st.st_dev), how = paths[i].how;
        uint32_t all = !strcmp(paths[i].path, bpf_dir), had = 0;
        bpf_map_lookup_elem(m->devs, &dev, &had);
        all |= had;
        files[kept] = (struct self_file){.ino = st.st_ino, .dev = dev};
        if (bpf_map_update_elem(m->files, &files[kept], &how, BPF_ANY) == 0 &&
            bpf_map_update_elem(m->devs, &dev, &all, BPF_ANY) == 0)
            devs[kept++] = dev;
    }
    drop_others(m->files, sizeof(files[0]), files, kept);
    drop_others(m->devs, 4, devs, kept);
}

static void maps_finip(struct maps *m)
{
    maps_fini(m);
}

int self_protect(const char *bpf_dir, const pid_t *pids, size_t pids_n, const struct self_path *paths, size_t paths_n,
                 struct err *e)
{
    _cleanup_(maps_finip) struct maps m;
    static const struct each none;
    struct each x = none;
    int r = maps_init(bpf_dir, &m, e);
    if (r < 0)
        return r;
    x.fd = m.ids;
    each_pin(&x, bpf_dir, 0);
    drop_others(m.ids, sizeof(x.ids[0]), x.ids, x.n);
    put_tasks(m.tasks, pids, pids_n);
    put_files(&m, paths, paths_n, bpf_dir);
    return 0;
}

int self_release(const char *bpf_dir, struct err *e)
{
    _cleanup_(maps_finip) struct maps m;
    int r = maps_init(bpf_dir, &m, e);
    if (r < 0)
        return r;
    drop_others(m.tasks, 4, NULL, 0);
    drop_others(m.ids, sizeof(struct self_id), NULL, 0);
    drop_others(m.files, sizeof(struct self_file), NULL, 0);
    drop_others(m.devs, 4, NULL, 0);
    return 0;
}

#include "runtime/seed.h"

#include "base/cleanup.h"
#include "base/map.h"
#include "runtime/object.h"
#include "runtime/pin.h"

#include <bpf/bpf.h>
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <unistd.h>

#define OVERLAYFS_MAGIC 0x794c7630

static bool name_id(struct str name, char id[static BH_ID])
{
    if (str_ends(name, STR(".scope")))
        name.n -= 6;
    if (name.n < BH_ID)
        return false;
    size_t base = name.n - BH_ID;
    if (base != 0 && base != 5 && base != 7 && base != 15) /* crio- docker- libpod- cri-containerd- */
        return false;
    for (size_t i = base; i < name.n; i++)
        if (!((name.p[i] >= '0' && name.p[i] <= '9') || (name.p[i] >= 'a' && name.p[i] <= 'f')))
            return false;
    memcpy(id, name.p + base, BH_ID);
    return true;
}

bool seed_cgroup_id(struct str line, char id[static BH_ID])
{
    struct str part, rest = line;
    if (!str_cut(&rest, ':', &part) || !str_cut(&rest, ':', &part))
        return false;
    while (str_cut(&rest, '/', &part))
        if (name_id(part, id))
            return true; /* outermost first */
    return false;
}

static bool process_id(const char *pid, char id[static BH_ID])
{
    char path[64], line[4096];
    snprintf(path, sizeof(path), "/proc/%s/cgroup", pid);
    _cleanup_fclose_ FILE *f = fopen(path, "re");
    while (f && fgets(line, sizeof(line), f))
        if (seed_cgroup_id(str_trim(str_c(line)), id))
            return true;
    return false;
}

void seed_own_id(char id[static BH_ID])
{
    memset(id, 0, BH_ID);
    process_id("self", id);
}

/* Parent and start time: fields 4 and 22 of stat, counted behind the name's closing parenthesis. */
static bool process_stat(const char *pid, uint64_t *parent, uint64_t *started)
{
    char path[64], line[1024];
    snprintf(path, sizeof(path), "/proc/%s/stat", pid);
    _cleanup_fclose_ FILE *f = fopen(path, "re");
    char *p = f && fgets(line, sizeof(line), f) ? strrchr(line, ')') : NULL;
    if (!p || p[1] != ' ')
        return false;
    struct str rest = str_c(p + 2), field;
    *parent = *started = 0;
    for (int i = 3; str_cut(&rest, ' ', &field); i++) {
        if (i == 4)
            str_u64(field, parent);
        if (i == 22)
            return str_u64(field, started) == 0;
    }
    return false;
}

static bool process_root(const char *pid, struct stat *st, bool *overlay)
{
    char path[64];
    struct statfs fs;
    snprintf(path, sizeof(path), "/proc/%s/root/", pid);
    if (stat(path, st) < 0 || statfs(path, &fs) < 0)
        return false;
    *overlay = fs.f_type == OVERLAYFS_MAGIC;
    return true;
}

static uint32_t process_mnt_ns(const char *pid)
{
    char path[64];
    struct stat st;
    snprintf(path, sizeof(path), "/proc/%s/ns/mnt", pid);
    return stat(path, &st) == 0 ? (uint32_t)st.st_ino : 0;
}

static bool process_container(const char *pid, struct bh_container *ret)
{
    uint64_t parent, started;
    struct stat root, theirs;
    bool overlay, unused;
    char ppid[24];
    if (!process_stat(pid, &parent, &started) || !process_root(pid, &root, &overlay))
        return false;
    snprintf(ppid, sizeof(ppid), "%llu", (unsigned long long)parent);
    /* The engine's code on the way in still has the root of whoever started it. */
    if (parent && process_root(ppid, &theirs, &unused) && theirs.st_dev == root.st_dev && theirs.st_ino == root.st_ino)
        return false;
    uint64_t n;
    *ret = (struct bh_container){
        .root_dev = major(root.st_dev) << 20 | minor(root.st_dev),
        .root_ino = root.st_ino,
        .mnt_ns = process_mnt_ns(pid),
        .overlay = overlay,
        .pid = str_u64(str_c(pid), &n) == 0 ? (uint32_t)n : 0,
        .started = started * (1000000000u / (uint64_t)sysconf(_SC_CLK_TCK)),
    };
    return ret->mnt_ns != 0;
}

static int mark_tasks(const char *bpf_dir, struct err *e)
{
    char maps[PIN_PATH];
    struct bpf_object *obj;
    int r = pin_maps_dir(bpf_dir, maps, e);
    if (r < 0 || (r = object_open(object_find("iter"), maps, 0, &obj, e)) < 0)
        return r;
    struct bpf_link *link = NULL;
    if ((r = object_load(obj, "iter", e)) == 0) {
        link = bpf_program__attach_iter(bpf_object__find_program_by_name(obj, "on_task"), NULL);
        _cleanup_close_ int fd = link ? bpf_iter_create(bpf_link__fd(link)) : -1;
        char buf[64];
        if (fd < 0)
            r = err_errno(e, "iterating over tasks");
        else
            while (read(fd, buf, sizeof(buf)) > 0)
                ;
    }
    bpf_link__destroy(link);
    bpf_object__close(obj);
    return r;
}

int seed_running(const char *bpf_dir, int containers, struct err *e)
{
    _cleanup_(map_freep) struct map *found = map_new(1u << 16);
    DIR *proc = opendir("/proc");
    if (!proc)
        return err_errno(e, "/proc");
    struct dirent *de;
    while ((de = readdir(proc))) {
        char id[BH_ID];
        struct bh_container c, *old;
        if (de->d_name[0] < '1' || de->d_name[0] > '9' || !process_id(de->d_name, id) ||
            !process_container(de->d_name, &c))
            continue;
        old = map_get(found, str_n(id, BH_ID));
        if (old && old->started <= c.started)
            continue;
        struct bh_container *copy = malloc(sizeof(*copy));
        if (!copy)
            abort();
        *copy = c;
        free(map_put(found, str_n(id, BH_ID), copy));
    }
    closedir(proc);
    MAP_EACH (found, it) { /* NOEXIST: what the kernel saw itself is better */
        bpf_map_update_elem(containers, it->key.p, it->value, BPF_NOEXIST);
        free(it->value);
    }
    return mark_tasks(bpf_dir, e);
}

#include "runtime/pin.h"

#include "base/cleanup.h"
#include "base/fs.h"
#include "base/str.h"

#include <bpf/bpf.h>
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#define BPFFS_MAGIC 0xcafe4a11

static bool is_bpffs(const char *path)
{
    struct statfs st;
    return statfs(path, &st) == 0 && (unsigned long)st.f_type == BPFFS_MAGIC;
}

static int join(char ret[static PIN_PATH], struct err *e, const char *fmt, const char *dir, const char *name)
{
    if ((size_t)snprintf(ret, PIN_PATH, fmt, dir, name) >= PIN_PATH)
        return err_set(e, ENAMETOOLONG, "%s: path too long", dir);
    return 0;
}

int pin_prepare(const char *bpf_dir, struct err *e)
{
    const char *shared = "/sys/fs/bpf";
    bool below = !strncmp(bpf_dir, "/sys/fs/bpf/", 12);
    const char *mountpoint = below ? shared : bpf_dir;
    int r;
    if (!below && (r = fs_mkdirs(bpf_dir, 0700, e)) < 0)
        return r;
    if (!is_bpffs(mountpoint) && mount("bpf", mountpoint, "bpf", MS_NOSUID | MS_NODEV | MS_NOEXEC, "mode=0700") < 0)
        return err_errno(e, "cannot mount the bpf file system on %s", mountpoint);
    char dir[PIN_PATH];
    if (mkdir(bpf_dir, 0700) < 0 && errno != EEXIST)
        return err_errno(e, "%s", bpf_dir);
    if ((r = pin_maps_dir(bpf_dir, dir, e)) < 0)
        return r;
    if (mkdir(dir, 0700) < 0 && errno != EEXIST)
        return err_errno(e, "%s", dir);
    return 0;
}

int pin_maps_dir(const char *bpf_dir, char ret[static PIN_PATH], struct err *e)
{
    char name[32];
    snprintf(name, sizeof(name), "%d", BH_LAYOUT);
    return join(ret, e, "%s/maps-%s", bpf_dir, name);
}

int pin_links_dir(const char *bpf_dir, uint64_t version, char ret[static PIN_PATH], struct err *e)
{
    char name[32];
    snprintf(name, sizeof(name), "%016llx", (unsigned long long)version);
    return join(ret, e, "%s/links-%s", bpf_dir, name);
}

int pin_map(const char *bpf_dir, const char *name, size_t key, size_t value, int *ret_fd, struct err *e)
{
    char dir[PIN_PATH], path[PIN_PATH];
    int r = pin_maps_dir(bpf_dir, dir, e);
    if (r < 0 || (r = join(path, e, "%s/%s", dir, name)) < 0)
        return r;
    int fd = bpf_obj_get(path);
    if (fd < 0)
        return errno == ENOENT ? err_set(e, ENOENT, "no sensor is in force under %s", bpf_dir)
                               : err_errno(e, "%s", path);
    struct bpf_map_info info = {0};
    __u32 n = sizeof(info);
    if (bpf_obj_get_info_by_fd(fd, &info, &n) < 0 || (key && info.key_size != key) ||
        (value && info.value_size != value)) {
        close(fd);
        return err_set(e, ESTALE, "%s: not the map of this version", path);
    }
    *ret_fd = fd;
    return 0;
}

int pin_remove(const char *dir, struct err *e)
{
    DIR *d = opendir(dir);
    if (!d)
        return errno == ENOENT ? 0 : err_errno(e, "%s", dir);
    struct dirent *de;
    int r = 0;
    while (!r && (de = readdir(d)))
        if (de->d_name[0] != '.' && unlinkat(dirfd(d), de->d_name, de->d_type == DT_DIR ? AT_REMOVEDIR : 0) < 0)
            r = err_errno(e, "%s/%s", dir, de->d_name);
    closedir(d);
    if (!r && rmdir(dir) < 0)
        r = err_errno(e, "%s", dir);
    return r;
}

static int remove_dirs(const char *bpf_dir, const char *prefix, const char *keep, struct err *e)
{
    DIR *d = opendir(bpf_dir);
    if (!d)
        return errno == ENOENT ? 0 : err_errno(e, "%s", bpf_dir);
    struct dirent *de;
    int r = 0;
    char path[PIN_PATH];
    while (!r && (de = readdir(d)))
        if (!strncmp(de->d_name, prefix, strlen(prefix)) && !(r = join(path, e, "%s/%s", bpf_dir, de->d_name)) &&
            strcmp(path, keep) != 0)
            r = pin_remove(path, e);
    closedir(d);
    return r;
}

int pin_remove_links(const char *bpf_dir, uint64_t keep, struct err *e)
{
    char path[PIN_PATH] = "";
    int r = keep ? pin_links_dir(bpf_dir, keep, path, e) : 0;
    return r < 0 ? r : remove_dirs(bpf_dir, "links-", path, e);
}

int pin_set_aside(const char *bpf_dir, struct err *e)
{
    char from[PIN_PATH], to[PIN_PATH];
    struct dirent *de;
    int r = 0;
    DIR *d = opendir(bpf_dir);
    if (!d)
        return err_errno(e, "%s", bpf_dir);
    while (!r && (de = readdir(d)))
        if (!strncmp(de->d_name, "links-", 6) && !strstr(de->d_name, "-aside") &&
            !(r = join(from, e, "%s/%s", bpf_dir, de->d_name)) &&
            !(r = join(to, e, "%s/%s-aside", bpf_dir, de->d_name)))
            r = rename(from, to) < 0 ? err_errno(e, "%s", from) : 0;
    closedir(d);
    return r;
}

int pin_remove_maps(const char *bpf_dir, bool all, struct err *e)
{
    char path[PIN_PATH] = "";
    int r = all ? 0 : pin_maps_dir(bpf_dir, path, e);
    return r < 0 ? r : remove_dirs(bpf_dir, "maps-", path, e);
}

#include "runtime/rootfs.h"

#include "base/cleanup.h"
#include "base/fs.h"
#include "base/time.h"
#include "runtime/identity.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#define USERS      256u
#define USER_AGE   (60 * TIME_SECOND)
#define LAYERS_MAX 128u

struct known_user {
    char id[IDENTITY_TEXT], name[ROOTFS_USER];
    int64_t uid, at;
};

struct rootfs {
    struct known_user users[USERS];
    size_t next;
    int64_t second; /* of the budget */
    unsigned spent;
};

struct rootfs *rootfs_new(void)
{
    struct rootfs *fs = calloc(1, sizeof(*fs));
    if (!fs)
        abort();
    return fs;
}

void rootfs_free(struct rootfs *fs)
{
    free(fs);
}

static bool may_look(struct rootfs *fs)
{
    int64_t now = time_monotonic() / TIME_SECOND;
    if (now != fs->second) {
        fs->second = now;
        fs->spent = 0;
    }
    return fs->spent++ < ROOTFS_BUDGET;
}

/* ---- files ---- */

/* Below dir and on its superblock, whatever stands there. O_NONBLOCK: a fifo must not hold us up. */
static int open_below(int dir, const char *path, int flags, uint64_t resolve)
{
    struct open_how how = {.flags = (uint64_t)(O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK | flags),
                           .resolve = RESOLVE_NO_XDEV | RESOLVE_NO_MAGICLINKS | resolve};
    return (int)syscall(SYS_openat2, dir, path, &how, sizeof(how));
}

static bool read_below(struct arena *a, int dir, const char *path, uint64_t resolve, struct str *ret)
{
    struct stat st;
    _cleanup_close_ int fd = open_below(dir, path, 0, resolve);
    return fd >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && fs_read_fd(a, fd, ROOTFS_FILE, ret, NULL) == 0;
}

/* The root of a process of this container, if it is the one the kernel remembers. Asking with DONT_SYNC: were it a FUSE
 * of the container's making it would not be asked. */
static int open_root(const struct rootfs_root *r)
{
    for (size_t i = 0; i < r->pids_n; i++) {
        char path[64], id[IDENTITY_TEXT];
        struct statx sx;
        if (r->pids[i] <= 0 || identity_of_pid((pid_t)r->pids[i], id) < 0 || !str_eqc(r->id, id))
            continue;
        snprintf(path, sizeof(path), "/proc/%d/root", (int)r->pids[i]);
        _cleanup_close_ int fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
        if (fd >= 0 && statx(fd, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, STATX_TYPE, &sx) == 0 &&
            sx.stx_dev_major == r->dev >> 20 && sx.stx_dev_minor == (r->dev & 0xfffff))
            return TAKE_FD(fd);
    }
    return -1;
}

bool rootfs_upper(const struct rootfs_root *r, struct arena *a, struct str *upper, struct str *lower)
{
    for (size_t i = 0; i < r->pids_n; i++) {
        char path[64], id[IDENTITY_TEXT];
        struct str text;
        if (r->pids[i] <= 0 || identity_of_pid((pid_t)r->pids[i], id) < 0 || !str_eqc(r->id, id))
            continue;
        snprintf(path, sizeof(path), "/proc/%d/mountinfo", (int)r->pids[i]);
        if (fs_read(a, path, ROOTFS_FILE, &text, NULL) == 0 && rootfs_parse_overlay(a, text, r->dev, upper, lower))
            return true;
    }
    return false;
}

/* ---- users ---- */

static struct known_user *user_find(struct rootfs *fs, struct str id, int64_t uid)
{
    int64_t now = time_monotonic();
    for (size_t i = 0; i < USERS; i++)
        if (fs->users[i].uid == uid && str_eqc(id, fs->users[i].id) && now - fs->users[i].at < USER_AGE)
            return &fs->users[i];
    return NULL;
}

struct str rootfs_user(struct rootfs *fs, const struct rootfs_root *r, int64_t uid)
{
    struct known_user *u = user_find(fs, r->id, uid);
    if (u)
        return str_c(u->name);
    if (r->id.n != IDENTITY_TEXT - 1 || !may_look(fs))
        return STR_NONE;
    _cleanup_(arena_freep) struct arena *a = arena_new(ROOTFS_FILE * 2);
    struct str text, name = STR_NONE;
    _cleanup_close_ int root = open_root(r);
    if (root < 0)
        return STR_NONE; /* perhaps of a process that has just gone: asked again with the next event */
    if (read_below(a, root, "etc/passwd", RESOLVE_IN_ROOT, &text))
        rootfs_parse_passwd(text, uid, &name);
    u = &fs->users[fs->next++ % USERS];
    *u = (struct known_user){.uid = uid, .at = time_monotonic()};
    memcpy(u->id, r->id.p, r->id.n);
    if (name.n)
        memcpy(u->name, name.p, name.n);
    return str_c(u->name);
}

/* ---- packages ---- */

/* The upper layer holds the file list of exactly those packages that were installed or upgraded in the container. */
static bool by_dpkg(struct arena *a, int upper, struct str path, struct rootfs_package *ret)
{
    int fd = open_below(upper, "var/lib/dpkg/info", O_DIRECTORY, RESOLVE_IN_ROOT | RESOLVE_NO_SYMLINKS);
    DIR *d = fd < 0 ? NULL : fdopendir(fd);
    if (!d && fd >= 0)
        close(fd);
    bool found = false;
    size_t looked = 0, total = 0;
    for (struct dirent *de; d && !found && (de = readdir(d)) && looked < ROOTFS_LISTS && total < ROOTFS_TOTAL;) {
        struct str file = str_c(de->d_name), text;
        if (!str_ends(file, STR(".list")))
            continue;
        looked++;
        _cleanup_(arena_freep) struct arena *tmp = arena_new(ROOTFS_FILE * 2);
        if (!read_below(tmp, dirfd(d), de->d_name, RESOLVE_IN_ROOT | RESOLVE_NO_SYMLINKS, &text))
            continue;
        total += text.n;
        if ((found = rootfs_parse_list(text, path))) {
            struct str name, architecture;
            str_split(str_sub(file, 0, file.n - 5), ':', &name, &architecture);
            *ret = (struct rootfs_package){.manager = "dpkg", .name = arena_str(a, name)};
        }
    }
    if (d)
        closedir(d);
    return found;
}

static const char *const apk_databases[] = {"lib/apk/db/installed", "usr/lib/apk/db/installed"};

/* Relative layers (Docker, when there are many) are so to the folder that holds the layers' folders.
 * apk writes its whole database again: what stands there with the same version in the image came with the image. */
static bool by_apk(struct arena *a, int upper, struct str upper_path, struct str lower, struct str path,
                   struct rootfs_package *ret)
{
    _cleanup_(arena_freep) struct arena *tmp = arena_new(ROOTFS_FILE * 8);
    struct str text, layer;
    struct rootfs_package now, before;
    bool there = false;
    for (size_t i = 0; i < ARRAY_LEN(apk_databases) && !there; i++)
        there = read_below(tmp, upper, apk_databases[i], RESOLVE_IN_ROOT | RESOLVE_NO_SYMLINKS, &text);
    if (!there || !rootfs_parse_apk(text, path, &now))
        return false;
    for (size_t n = 0; n < LAYERS_MAX && str_cut(&lower, ':', &layer); n++) {
        _cleanup_(arena_freep) struct arena *one = arena_new(ROOTFS_FILE * 4);
        const char *from = layer.n && layer.p[0] == '/'
                               ? arena_cstr(one, layer)
                               : arena_printf(one, STR_FMT "/../../" STR_FMT, STR_ARG(upper_path), STR_ARG(layer));
        _cleanup_close_ int fd = open(from, O_PATH | O_DIRECTORY | O_CLOEXEC);
        bool has = false;
        for (size_t i = 0; fd >= 0 && i < ARRAY_LEN(apk_databases) && !has; i++)
            has = read_below(one, fd, apk_databases[i], RESOLVE_IN_ROOT | RESOLVE_NO_SYMLINKS, &text);
        if (!has)
            continue;
        if (rootfs_parse_apk(text, path, &before) && str_eq(before.name, now.name) &&
            str_eq(before.version, now.version))
            return false;
        break; /* the topmost one is the image's */
    }
    *ret = (struct rootfs_package){"apk", arena_str(a, now.name), arena_str(a, now.version)};
    return true;
}

bool rootfs_package(struct rootfs *fs, struct arena *a, const struct rootfs_root *r, struct str path,
                    struct rootfs_package *ret)
{
    struct str upper, lower;
    if (!path.n || path.p[0] != '/' || !may_look(fs))
        return false;
    _cleanup_(arena_freep) struct arena *tmp = arena_new(ROOTFS_FILE * 4);
    if (!rootfs_upper(r, tmp, &upper, &lower))
        return false;
    _cleanup_close_ int fd = open(arena_cstr(tmp, upper), O_PATH | O_DIRECTORY | O_CLOEXEC);
    return fd >= 0 && (by_dpkg(a, fd, path, ret) || by_apk(a, fd, upper, lower, path, ret));
}

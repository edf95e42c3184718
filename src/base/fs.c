#include "base/fs.h"

#include "base/cleanup.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>

#define TREE_DEPTH 128u

int fs_read_fd(struct arena *a, int fd, size_t max, struct str *ret, struct err *e)
{
    struct stat st;
    if (fstat(fd, &st) < 0)
        return err_errno(e, "stat");
    if (S_ISDIR(st.st_mode))
        return err_set(e, EISDIR, "is a directory");
    _cleanup_(buf_fini) struct buf b = BUF_INIT(max < SIZE_MAX - 1 ? max + 1 : max);
    size_t want = S_ISREG(st.st_mode) && st.st_size > 0 && (uint64_t)st.st_size <= max ? (size_t)st.st_size + 1 : 65536;
    for (;;) {
        if (want > b.max - b.n)
            want = b.max - b.n;
        if (!want)
            return err_set(e, E2BIG, "larger than %zu bytes", max);
        char *p = buf_room(&b, want);
        ssize_t n = read(fd, p, want);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return err_errno(e, "read");
        if (!n)
            break;
        b.n += (size_t)n;
        want = b.cap > b.n ? b.cap - b.n : b.n;
    }
    if (b.n > max)
        return err_set(e, E2BIG, "larger than %zu bytes", max);
    *ret = arena_str(a, buf_str(&b));
    return 0;
}

int fs_read(struct arena *a, const char *path, size_t max, struct str *ret, struct err *e)
{
    _cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    if (fd < 0)
        return err_errno(e, "%s", path);
    int r = fs_read_fd(a, fd, max, ret, e);
    if (r < 0)
        err_wrap(e, "%s", path);
    return r;
}

int fs_write_all(int fd, const void *p, size_t n, struct err *e)
{
    const char *c = p;
    while (n) {
        ssize_t w = write(fd, c, n);
        if (w < 0 && errno == EINTR)
            continue;
        if (w < 0)
            return err_errno(e, "write");
        c += w;
        n -= (size_t)w;
    }
    return 0;
}

int fs_write(const char *path, struct str content, mode_t mode, struct err *e)
{
    const char *slash = strrchr(path, '/');
    const char *name = slash ? slash + 1 : path;
    _cleanup_free_ char *dir = slash ? strndup(path, slash == path ? 1 : (size_t)(slash - path)) : strdup(".");
    if (!dir)
        abort();
    _cleanup_close_ int dirfd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (dirfd < 0)
        return err_errno(e, "%s", dir);
    unsigned char random[8];
    char suffix[17], temp[300];
    fs_random(random, sizeof(random));
    for (size_t i = 0; i < sizeof(random); i++)
        snprintf(suffix + 2 * i, 3, "%02x", random[i]);
    snprintf(temp, sizeof(temp), ".%.*s.%s", 200, name, suffix);
    _cleanup_close_ int fd = openat(dirfd, temp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return err_errno(e, "%s: temporary file", path);
    int r = fs_write_all(fd, content.p, content.n, e);
    if (r == 0 && fchmod(fd, mode) < 0)
        r = err_errno(e, "chmod");
    if (r == 0 && fsync(fd) < 0)
        r = err_errno(e, "fsync");
    if (r == 0 && renameat(dirfd, temp, dirfd, name) < 0)
        r = err_errno(e, "rename");
    if (r < 0) {
        unlinkat(dirfd, temp, 0);
        err_wrap(e, "%s", path);
        return r;
    }
    if (fsync(dirfd) < 0 && errno != EINVAL && errno != EROFS)
        return err_errno(e, "%s: fsync of the directory", path);
    return 0;
}

int fs_mkdirs(const char *path, mode_t mode, struct err *e)
{
    _cleanup_free_ char *p = strdup(path);
    if (!p)
        abort();
    for (char *c = p + 1; p[0]; c++) {
        if (*c && *c != '/')
            continue;
        char was = *c;
        *c = '\0';
        if (mkdir(p, mode) < 0 && errno != EEXIST)
            return err_errno(e, "%s", p);
        *c = was;
        if (!was)
            break;
    }
    struct stat st;
    if (stat(path, &st) < 0)
        return err_errno(e, "%s", path);
    if (!S_ISDIR(st.st_mode))
        return err_set(e, ENOTDIR, "%s: is not a directory", path);
    return 0;
}

int fs_lock(const char *path, int *ret_fd, struct err *e)
{
    _cleanup_close_ int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return err_errno(e, "%s", path);
    if (flock(fd, LOCK_EX | LOCK_NB) < 0) {
        if (errno == EWOULDBLOCK)
            return err_set(e, EBUSY, "%s: is held by another process", path);
        return err_errno(e, "%s: lock", path);
    }
    *ret_fd = TAKE_FD(fd);
    return 0;
}

bool fs_exists(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0;
}

static void closedirp(DIR **d)
{
    if (*d)
        closedir(*d);
}

static int remove_at(int dirfd, const char *name, dev_t dev, unsigned depth, struct err *e)
{
    struct stat st;
    if (fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return errno == ENOENT ? 0 : err_errno(e, "%s", name);
    if (!S_ISDIR(st.st_mode)) {
        if (unlinkat(dirfd, name, 0) < 0 && errno != ENOENT)
            return err_errno(e, "%s", name);
        return 0;
    }
    if (depth && st.st_dev != dev)
        return err_set(e, EXDEV, "%s: is another file system", name);
    if (depth >= TREE_DEPTH)
        return err_set(e, E2BIG, "%s: more than %u folders deep", name, TREE_DEPTH);
    _cleanup_close_ int fd = openat(dirfd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return err_errno(e, "%s", name);
    _cleanup_(closedirp) DIR *d = fdopendir(fd);
    if (!d)
        return err_errno(e, "%s", name);
    int own = TAKE_FD(fd);
    struct dirent *it;
    while ((errno = 0, it = readdir(d))) {
        if (!strcmp(it->d_name, ".") || !strcmp(it->d_name, ".."))
            continue;
        int r = remove_at(own, it->d_name, st.st_dev, depth + 1, e);
        if (r < 0) {
            err_wrap(e, "%s", name);
            return r;
        }
    }
    if (errno)
        return err_errno(e, "%s", name);
    if (unlinkat(dirfd, name, AT_REMOVEDIR) < 0 && errno != ENOENT)
        return err_errno(e, "%s", name);
    return 0;
}

int fs_remove_tree(const char *path, struct err *e)
{
    return remove_at(AT_FDCWD, path, 0, 0, e);
}

int fs_random(void *p, size_t n)
{
    char *c = p;
    while (n) {
        ssize_t r = getrandom(c, n, 0);
        if (r < 0 && errno == EINTR)
            continue;
        if (r <= 0) {
            fprintf(stderr, "fatal: getrandom: %s\n", strerror(errno));
            abort();
        }
        c += r;
        n -= (size_t)r;
    }
    return 0;
}

void fs_wipe(void *p, size_t n)
{
    explicit_bzero(p, n);
}

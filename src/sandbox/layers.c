#include "sandbox/layers.h"

#include "base/arena.h"
#include "base/cleanup.h"
#include "base/fs.h"
#include "format/digest.h"
#include "format/tar.h"
#include "format/unpack.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/openat2.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#define DEPTH_MAX 512u

/* What the child answers. */
struct answer {
    int result;
    struct err e;
    struct sandbox_user user;
};

struct work {
    const struct inventory *inv;
    struct arena *a; /* of one entry */
    int root;        /* of the new file system */
    int fd;          /* file being written; -1 */
    uint32_t mode;
    uint64_t uid, gid, bytes, entries;
    struct sha256 sum;
    struct tar *tar;
};

/* ---- paths: always below the root, links included ---- */

static int open_in(int root, const char *path, int flags)
{
    struct open_how how = {.flags = (uint64_t)flags | O_CLOEXEC, .resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS};
    return (int)syscall(SYS_openat2, root, path, &how, sizeof(how));
}

static int open_folder(struct work *w, struct str path)
{
    int at = open_in(w->root, path.n ? arena_str(w->a, path).p : ".", O_PATH | O_DIRECTORY);
    if (at >= 0 || errno != ENOENT)
        return at;
    for (size_t i = 1; i <= path.n; i++) {
        if (i < path.n && path.p[i] != '/')
            continue;
        struct str upto = arena_str(w->a, str_sub(path, 0, i));
        ptrdiff_t slash = str_rchr(upto, '/');
        at = open_in(w->root, upto.p, O_PATH | O_DIRECTORY);
        if (at < 0 && errno == ENOENT) {
            _cleanup_close_ int up = open_in(
                w->root, slash > 0 ? arena_str(w->a, str_sub(upto, 0, (size_t)slash)).p : ".", O_PATH | O_DIRECTORY);
            if (up < 0 || mkdirat(up, upto.p + slash + 1, 0755) < 0)
                return -1;
            at = openat(up, upto.p + slash + 1, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        }
        if (at < 0 || i == path.n)
            return at;
        close(at);
    }
    return -1;
}

static int remove_at(int dir, const char *name, unsigned depth);

static int empty_at(int dir, const char *name, unsigned depth)
{
    int fd = openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    DIR *d = fd < 0 ? NULL : fdopendir(fd);
    if (!d) {
        if (fd >= 0)
            close(fd);
        return -1;
    }
    int r = 0;
    for (struct dirent *de; r == 0 && (de = readdir(d));)
        if (strcmp(de->d_name, ".") != 0 && strcmp(de->d_name, "..") != 0)
            r = remove_at(dirfd(d), de->d_name, depth + 1);
    closedir(d);
    return r;
}

static int remove_at(int dir, const char *name, unsigned depth)
{
    if (unlinkat(dir, name, 0) == 0 || errno == ENOENT)
        return 0;
    if (errno != EISDIR || depth > DEPTH_MAX)
        return -1;
    return empty_at(dir, name, depth) < 0 ? -1 : unlinkat(dir, name, AT_REMOVEDIR);
}

/* ---- one layer ---- */

static int make_link(struct work *w, int dir, const char *name, const struct tar_entry *t)
{
    struct str path;
    if (tar_clean(w->a, t->link, &path) < 0 || !path.n)
        return 0;
    ptrdiff_t slash = str_rchr(path, '/');
    _cleanup_close_ int from = open_folder(w, slash > 0 ? str_sub(path, 0, (size_t)slash) : STR(""));
    return from < 0 ? -1 : linkat(from, arena_str(w->a, str_sub(path, (size_t)(slash + 1), path.n)).p, dir, name, 0);
}

static int make(struct work *w, int dir, const char *name, const struct tar_entry *t)
{
    struct stat st;
    uid_t uid = (uid_t)t->uid;
    gid_t gid = (gid_t)t->gid;
    if (t->type == TAR_DIR) {
        if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && !S_ISDIR(st.st_mode) && remove_at(dir, name, 0) < 0)
            return -1;
        if (mkdirat(dir, name, 0700) < 0 && errno != EEXIST)
            return -1;
        return fchownat(dir, name, uid, gid, AT_SYMLINK_NOFOLLOW) < 0 ? -1 : fchmodat(dir, name, t->mode & 07777, 0);
    }
    if (remove_at(dir, name, 0) < 0)
        return -1;
    switch (t->type) {
    case TAR_FILE:
        w->fd = openat(dir, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
        w->mode = t->mode & 07777;
        w->uid = uid;
        w->gid = gid;
        return w->fd < 0 ? -1 : 1;
    case TAR_SYMLINK:
        return symlinkat(arena_str(w->a, t->link).p, dir, name) < 0
                   ? -1
                   : fchownat(dir, name, uid, gid, AT_SYMLINK_NOFOLLOW);
    case TAR_HARDLINK:
        return make_link(w, dir, name, t);
    case TAR_FIFO:
        return mkfifoat(dir, name, t->mode & 0777) < 0 ? -1 : fchownat(dir, name, uid, gid, AT_SYMLINK_NOFOLLOW);
    default: /* devices: none in a sandbox */
        return 0;
    }
}

static int file_entry(void *ctx, const struct tar_entry *t, struct err *e)
{
    struct work *w = ctx;
    struct str path;
    arena_reset(w->a);
    if (++w->entries > SANDBOX_ENTRIES)
        return err_set(e, E2BIG, "more than %u files", SANDBOX_ENTRIES);
    int r = tar_clean(w->a, t->name, &path);
    if (r < 0)
        return err_set(e, EBADMSG, "a path leads out of the image");
    if (!path.n)
        return 0;
    ptrdiff_t slash = str_rchr(path, '/');
    struct str name = arena_str(w->a, str_sub(path, (size_t)(slash + 1), path.n));
    _cleanup_close_ int dir = open_folder(w, slash > 0 ? str_sub(path, 0, (size_t)slash) : STR(""));
    if (dir < 0)
        r = -1;
    else if (str_eqc(name, ".wh..wh..opq"))
        r = empty_at(dir, ".", 0);
    else if (str_starts(name, STR(".wh.")))
        r = name.n > 4 && strcmp(name.p + 4, ".") != 0 && strcmp(name.p + 4, "..") != 0 ? remove_at(dir, name.p + 4, 0)
                                                                                        : 0;
    else
        r = make(w, dir, name.p, t);
    return r < 0 ? err_errno(e, "unpack " STR_FMT, STR_ARG(str_sub(path, 0, path.n < 200 ? path.n : 200))) : r;
}

static int file_data(void *ctx, const void *p, size_t n, struct err *e)
{
    struct work *w = ctx;
    if ((w->bytes += n) > SANDBOX_BYTES)
        return err_set(e, E2BIG, "more than %llu bytes", SANDBOX_BYTES);
    return fs_write_all(w->fd, p, n, e);
}

static int file_end(void *ctx, struct err *e)
{
    struct work *w = ctx;
    int r = fchown(w->fd, (uid_t)w->uid, (gid_t)w->gid) < 0 || fchmod(w->fd, w->mode) < 0 ? err_errno(e, "unpack") : 0;
    close(w->fd);
    w->fd = -1;
    return r;
}

static int feed_tar(void *ctx, const void *p, size_t n, struct err *e)
{
    struct work *w = ctx;
    return tar_feed(w->tar, p, n, e);
}

/* Everything from fd, unpacked, through a tar reader. */
static int read_tar(struct work *w, int fd, const struct tar_sink *sink, struct err *e)
{
    static char block[1 << 16];
    _cleanup_(unpack_freep) struct unpack *u = unpack_new(feed_tar, w);
    _cleanup_(tar_freep) struct tar *t = tar_new(sink, w);
    ssize_t n;
    int r = 0;
    w->tar = t;
    while (r >= 0 && (n = read(fd, block, sizeof(block))) != 0)
        r = n < 0 ? (errno == EINTR ? 0 : err_errno(e, "read")) : unpack_feed(u, block, (size_t)n, e);
    return r < 0 || (r = unpack_finish(u, e)) < 0 ? r : tar_finish(t, e);
}

/* ---- the archive: files by their digest ---- */

static int blob_entry(void *ctx, const struct tar_entry *t, struct err *e)
{
    struct work *w = ctx;
    if (t->type != TAR_FILE)
        return 0;
    if (++w->entries > SANDBOX_ENTRIES)
        return err_set(e, E2BIG, "more than %u files", SANDBOX_ENTRIES);
    w->fd = open("/blob", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    sha256_init(&w->sum);
    return w->fd < 0 ? err_errno(e, "unpack") : 1;
}

static int blob_data(void *ctx, const void *p, size_t n, struct err *e)
{
    struct work *w = ctx;
    sha256_update(&w->sum, p, n);
    return file_data(ctx, p, n, e);
}

static int blob_end(void *ctx, struct err *e)
{
    struct work *w = ctx;
    uint8_t sum[SHA256_SIZE];
    char text[DIGEST_TEXT];
    sha256_final(&w->sum, sum);
    sha256_fini(&w->sum);
    close(w->fd);
    w->fd = -1;
    digest_text(sum, text);
    for (size_t i = 0; i < w->inv->layers_n; i++)
        if (str_eqc(w->inv->layers[i].digest, text) || str_eqc(w->inv->layers[i].diff_id, text))
            return rename("/blob", text) < 0 ? err_errno(e, "unpack") : 0;
    return 0;
}

static int open_blob(const struct inventory_layer *l, struct arena *a)
{
    int fd = open(arena_str(a, l->digest).p, O_RDONLY | O_CLOEXEC);
    return fd >= 0 ? fd : open(arena_str(a, l->diff_id).p, O_RDONLY | O_CLOEXEC);
}

/* ---- whose process it is ---- */

/* Number in field `want` of the line of FILE whose first field is name (or whose third is, with by_id). */
static bool look_up(struct work *w, const char *file, struct str name, bool by_id, size_t want, uint32_t *ret)
{
    struct str text, line, field, rest;
    uint64_t v;
    _cleanup_close_ int fd = open_in(w->root, file, O_RDONLY | O_NONBLOCK | O_NOCTTY);
    if (fd < 0 || fs_read_fd(w->a, fd, 1 << 20, &text, NULL) < 0)
        return false;
    while (text.n) {
        ptrdiff_t nl = str_chr(text, '\n');
        line = str_sub(text, 0, nl < 0 ? text.n : (size_t)nl);
        text = str_sub(text, nl < 0 ? text.n : (size_t)nl + 1, text.n);
        struct str fields[4] = {0};
        for (size_t i = 0; i < 4; i++) {
            ptrdiff_t colon = str_chr(line, ':');
            field = str_sub(line, 0, colon < 0 ? line.n : (size_t)colon);
            rest = str_sub(line, colon < 0 ? line.n : (size_t)colon + 1, line.n);
            fields[i] = field;
            line = rest;
        }
        if (str_eq(fields[by_id ? 2 : 0], name) && str_u64(fields[want], &v) >= 0 && v < UINT32_MAX) {
            *ret = (uint32_t)v;
            return true;
        }
    }
    return false;
}

static int who(struct work *w, struct sandbox_user *user, struct err *e)
{
    struct str name = w->inv->config.user, group = STR("");
    uint64_t n;
    ptrdiff_t colon = str_chr(name, ':');
    if (colon >= 0) {
        group = str_sub(name, (size_t)colon + 1, name.n);
        name = str_sub(name, 0, (size_t)colon);
    }
    *user = (struct sandbox_user){0};
    bool number = name.n && str_u64(name, &n) >= 0 && n < UINT32_MAX;
    if (number)
        user->uid = (uint32_t)n;
    else if (name.n && !look_up(w, "etc/passwd", name, false, 2, &user->uid))
        return err_set(e, ENOENT, "the image has no user \"" STR_FMT "\"", STR_ARG(str_sub(name, 0, 64)));
    if (!group.n)
        look_up(w, "etc/passwd", name, number, 3, &user->gid);
    else if (str_u64(group, &n) >= 0 && n < UINT32_MAX)
        user->gid = (uint32_t)n;
    else if (!look_up(w, "etc/group", group, false, 2, &user->gid))
        return err_set(e, ENOENT, "the image has no group \"" STR_FMT "\"", STR_ARG(str_sub(group, 0, 64)));
    return 0;
}

/* ---- the child ---- */

static int confine(const char *dir, struct err *e)
{
    const uint32_t keep = 1u << CAP_CHOWN | 1u << CAP_DAC_OVERRIDE | 1u << CAP_FOWNER | 1u << CAP_FSETID;
    struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct caps[2] = {{.effective = keep, .permitted = keep}, {0}};
    struct rlimit time = {1200, 1200}, memory = {2ull << 30, 2ull << 30};
    if (unshare(CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWIPC) < 0 || chdir(dir) < 0 || chroot(".") < 0)
        return err_errno(e, "a closed room for the unpacker");
    for (int c = 0; c < 64; c++)
        if (c > 31 || !(keep & 1u << c))
            prctl(PR_CAPBSET_DROP, c, 0, 0, 0);
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || syscall(SYS_capset, &head, caps) < 0 ||
        setrlimit(RLIMIT_CPU, &time) < 0 || setrlimit(RLIMIT_AS, &memory) < 0)
        return err_errno(e, "a closed room for the unpacker");
    return 0;
}

static int unpack_all(struct work *w, int in, const char *dir, struct answer *out)
{
    static const struct tar_sink blobs = {blob_entry, blob_data, blob_end};
    static const struct tar_sink files = {file_entry, file_data, file_end};
    struct err *e = &out->e;
    umask(0);
    int r = confine(dir, e);
    if (r < 0 || (r = read_tar(w, in, &blobs, e)) < 0)
        return r;
    w->bytes = w->entries = 0;
    if (mkdir("/rootfs", 0755) < 0 || (w->root = open("/rootfs", O_PATH | O_DIRECTORY | O_CLOEXEC)) < 0)
        return err_errno(e, "unpack");
    for (size_t i = 0; i < w->inv->layers_n; i++) {
        _cleanup_close_ int fd = open_blob(&w->inv->layers[i], w->a);
        if (fd < 0)
            return err_set(e, ENOENT, "layer %zu is not in the archive", i + 1);
        if ((r = read_tar(w, fd, &files, e)) < 0)
            return r;
    }
    arena_reset(w->a);
    return who(w, &out->user, e);
}

static int put(void *ctx, const void *p, size_t n, struct err *e)
{
    int fd = *(int *)ctx;
    for (const char *at = p; n;) {
        ssize_t k = send(fd, at, n, MSG_NOSIGNAL);
        if (k < 0 && errno == EINTR)
            continue;
        if (k < 0)
            return err_errno(e, "unpack");
        at += k;
        n -= (size_t)k;
    }
    return 0;
}

int sandbox_unpack(const struct inventory *inv, sandbox_feed_fn *feed, void *ctx, const char *dir,
                   struct sandbox_user *user, struct err *e)
{
    int pair[2], status;
    struct answer *answer = mmap(NULL, sizeof(*answer), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (answer == MAP_FAILED || socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
        return err_errno(e, "unpack");
    answer->result = -EIO;
    pid_t pid = fork();
    if (pid < 0) {
        close(pair[0]);
        close(pair[1]);
        return err_errno(e, "unpack");
    }
    if (pid == 0) {
        close(pair[1]);
        struct work w = {.inv = inv, .a = arena_new(4u << 20), .root = -1, .fd = -1};
        dup2(pair[0], 3);
        close_range(4, ~0u, 0);
        answer->result = unpack_all(&w, 3, dir, answer);
        _exit(0);
    }
    close(pair[0]);
    int r = feed(ctx, put, &pair[1], e);
    close(pair[1]);
    waitpid(pid, &status, 0);
    struct answer got = *answer;
    munmap(answer, sizeof(*answer));
    got.e.msg[sizeof(got.e.msg) - 1] = 0;
    if (!WIFEXITED(status))
        return err_set(e, EBADMSG, "the unpacker crashed");
    if (got.result < 0)
        return err_set(e, -got.result, "%s", got.e.msg);
    if (r < 0)
        return r;
    *user = got.user;
    return 0;
}

/* A directory tree: the jail may open the files below for reading. */
#include "base/cleanup.h"
#include "base/fs.h"
#include "base/limits.h"
#include "scan/worker.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/xattr.h>

#define TREE_BLOCK (256u << 10)
#define TREE_DEPTH 256u

struct tree {
    const struct worker *w;
    struct layer *layer;
    int out;
    dev_t dev;
    unsigned depth;
    struct buf path;
    char *block;
};

static int tree_content(struct tree *t, int fd, uint64_t size, struct err *e)
{
    for (uint64_t left = size; left > 0;) { /* no more than was announced, should it grow meanwhile */
        ssize_t n = read(fd, t->block, left < TREE_BLOCK ? (size_t)left : TREE_BLOCK);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return err_errno(e, "%s", buf_cstr(&t->path));
        if (n == 0)
            break;
        int r = layer_data(t->layer, t->block, (size_t)n, e);
        if (r < 0)
            return r;
        left -= (uint64_t)n;
    }
    return layer_end(t->layer, e);
}

static int tree_file(struct tree *t, int dir, const char *name, struct tar_entry *ent, struct err *e)
{
    _cleanup_close_ int fd = openat(dir, name, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY | O_NOFOLLOW);
    char capabilities[64];
    ssize_t n = fd < 0 ? -1 : fgetxattr(fd, "security.capability", capabilities, sizeof(capabilities));
    ent->capabilities = n > 0 ? str_n(capabilities, (size_t)n) : STR_NONE;
    int r = layer_entry(t->layer, ent, e);
    if (r <= 0)
        return r;
    if (fd < 0)
        return err_errno(e, "%s", buf_cstr(&t->path));
    return tree_content(t, fd, ent->size, e);
}

static int tree_folder(struct tree *t, int fd, struct err *e);

/* overlayfs: a removed name is a device 0/0, an opaque folder says so in an attribute. */
static int tree_special(struct tree *t, int dir, const char *name, const struct stat *st, struct tar_entry *ent,
                        struct err *e)
{
    char link[LIMIT_TAR_PATH];
    if (S_ISLNK(st->st_mode)) {
        ssize_t n = readlinkat(dir, name, link, sizeof(link));
        if (n < 0)
            return err_errno(e, "%s", buf_cstr(&t->path));
        ent->type = TAR_SYMLINK;
        ent->link = str_n(link, (size_t)n);
        return layer_entry(t->layer, ent, e);
    }
    if (S_ISCHR(st->st_mode) && st->st_rdev == 0 && t->w->overlay) {
        layer_whiteout(t->layer, buf_str(&t->path), false);
        return 0;
    }
    ent->type = S_ISCHR(st->st_mode) ? TAR_CHAR : S_ISBLK(st->st_mode) ? TAR_BLOCK : TAR_FIFO;
    return layer_entry(t->layer, ent, e);
}

static int tree_one(struct tree *t, int dir, const char *name, struct err *e)
{
    struct stat st;
    if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return errno == ENOENT ? 0 : err_errno(e, "%s", buf_cstr(&t->path));
    struct tar_entry ent = {
        .type = TAR_DIR, .name = buf_str(&t->path), .mode = st.st_mode & 07777, .uid = st.st_uid, .gid = st.st_gid};
    if (S_ISREG(st.st_mode)) {
        ent.type = TAR_FILE;
        ent.size = (uint64_t)st.st_size;
        return tree_file(t, dir, name, &ent, e);
    }
    if (!S_ISDIR(st.st_mode))
        return tree_special(t, dir, name, &st, &ent, e);
    int r = layer_entry(t->layer, &ent, e);
    if (r < 0 || st.st_dev != t->dev) /* other file systems (proc, volumes) are not the image's */
        return r;
    _cleanup_close_ int fd = openat(dir, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        return err_errno(e, "%s", buf_cstr(&t->path));
    char opaque = 0;
    if (t->w->overlay && fgetxattr(fd, "trusted.overlay.opaque", &opaque, 1) == 1 && opaque == 'y')
        layer_whiteout(t->layer, buf_str(&t->path), true);
    return tree_folder(t, TAKE_FD(fd), e);
}

static int tree_folder(struct tree *t, int fd, struct err *e)
{
    size_t before = t->path.n;
    if (t->depth >= TREE_DEPTH) {
        close(fd);
        return err_set(e, E2BIG, "%s: folders nested too deep", buf_cstr(&t->path));
    }
    DIR *d = fdopendir(fd);
    if (!d) {
        close(fd);
        return err_errno(e, "%s", buf_cstr(&t->path));
    }
    t->depth++;
    int r = 0;
    for (struct dirent *de; r >= 0 && (de = readdir(d));) {
        if (!strcmp(de->d_name, ".") || !strcmp(de->d_name, ".."))
            continue;
        if (before)
            buf_putc(&t->path, '/');
        buf_putz(&t->path, de->d_name);
        r = t->path.n > LIMIT_TAR_PATH ? err_set(e, E2BIG, "%s: path too long", buf_cstr(&t->path))
                                       : tree_one(t, dirfd(d), de->d_name, e);
        t->path.n = before;
    }
    t->depth--;
    closedir(d);
    return r;
}

int worker_dir(const struct worker *w, struct arena *a, int out, struct err *e)
{
    _cleanup_(layer_freep) struct layer *l = layer_new_tree(a, w->probes);
    _cleanup_free_ char *block = malloc(TREE_BLOCK);
    struct tree t = {.w = w, .layer = l, .out = out, .block = block, .path = BUF_INIT(2 * LIMIT_TAR_PATH)};
    struct layer_record rec;
    struct stat st;
    if (!block)
        abort();
    _cleanup_close_ int fd = openat(w->tree, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &st) < 0)
        return err_errno(e, "cannot open the tree");
    t.dev = st.st_dev;
    int r = tree_folder(&t, TAKE_FD(fd), e);
    buf_fini(&t.path);
    if (r < 0)
        return r;
    layer_finish_tree(l, &rec);
    return worker_tell_layer(out, &rec, e);
}

/* OCI layouts and directory trees: files below a directory that the jail may open for reading. */
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

/* Regular files only: a fifo would block for ever. */
static int open_file(int tree, const char *path, int *ret, struct stat *st, struct err *e)
{
    _cleanup_close_ int fd = openat(tree, path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0)
        return err_errno(e, "%s", path);
    if (fstat(fd, st) < 0)
        return err_errno(e, "%s", path);
    if (!S_ISREG(st->st_mode))
        return err_set(e, EBADMSG, "%s: not a regular file", path);
    *ret = TAKE_FD(fd);
    return 0;
}

static int read_file(int tree, struct arena *a, const char *path, size_t max, struct str *ret, struct stat *st,
                     struct err *e)
{
    _cleanup_close_ int fd = -1;
    int r = open_file(tree, path, &fd, st, e);
    if (r < 0)
        return r;
    r = fs_read_fd(a, fd, max, ret, e);
    return r < 0 ? err_wrap(e, "%s", path) : 0;
}

/* ---- oci ---- */

static const char *blob_path(struct arena *a, struct str digest)
{
    return arena_printf(a, "blobs/sha256/" STR_FMT, STR_ARG(str_sub(digest, 7, digest.n)));
}

static int blob_document(const struct worker *w, struct arena *a, struct str digest, struct str *ret, struct err *e)
{
    uint8_t sum[SHA256_SIZE];
    char text[DIGEST_TEXT];
    struct stat st;
    int r = read_file(w->tree, a, blob_path(a, digest), LIMIT_SCAN_DOCUMENT, ret, &st, e);
    if (r < 0)
        return r;
    sha256_of(*ret, sum);
    if (!str_eqc(digest, digest_text(sum, text)))
        return err_set(e, EBADMSG, STR_FMT ": its content is %s", STR_ARG(digest), text);
    return 0;
}

static int feed_layer(void *ctx, const void *p, size_t n, struct err *e)
{
    return layer_feed(ctx, p, n, e);
}

static int read_layer(const struct worker *w, struct arena *a, int out, const struct oci_descriptor *d,
                      struct str diff_id, struct err *e)
{
    _cleanup_close_ int fd = -1;
    _cleanup_(layer_freep) struct layer *l = layer_new(a, w->probes);
    struct layer_record rec;
    struct stat st;
    int r = open_file(w->tree, blob_path(a, d->digest), &fd, &st, e);
    if (r < 0)
        return r;
    if (st.st_size != d->size)
        return err_set(e, EBADMSG, "%" PRId64 " bytes, the manifest says %" PRId64, (int64_t)st.st_size, d->size);
    if ((r = worker_pump(w, fd, out, feed_layer, l, e)) < 0 || (r = layer_finish(l, &rec, e)) < 0)
        return r;
    if (!str_eq(rec.digest, d->digest))
        return err_set(e, EBADMSG, "the blob's content is " STR_FMT, STR_ARG(rec.digest));
    if ((r = worker_check_layer(&rec, diff_id, e)) < 0)
        return r;
    return worker_tell_layer(out, &rec, e);
}

static int wanted(const struct worker *w, int out, struct str diff_id, struct err *e)
{
    char c = 0;
    if (w->answer < 0)
        return 1;
    int r = worker_tell(out, "want", diff_id, e);
    if (r < 0)
        return r;
    ssize_t n;
    do
        n = read(w->answer, &c, 1);
    while (n < 0 && errno == EINTR);
    return n == 1 && c == WORKER_KNOWN ? 0 : 1;
}

int worker_oci(const struct worker *w, struct arena *a, int out, struct err *e)
{
    struct str text, digest = STR_NONE, name = STR_NONE;
    struct oci_document d;
    const struct oci_descriptor *next;
    struct worker_image im = {0};
    struct stat st;
    int r = read_file(w->tree, a, "index.json", LIMIT_SCAN_DOCUMENT, &text, &st, e);
    for (int depth = 0;; depth++) {
        if (r < 0 || (r = oci_parse(a, text, &d, e)) < 0)
            return r;
        if (!d.index)
            break;
        if (depth == 4)
            return err_set(e, EBADMSG, "indexes nested too deep");
        if ((r = oci_choose(&d, depth == 0 ? w->tag : STR(""), &next, e)) < 0)
            return r;
        digest = next->digest;
        if (name.n == 0)
            name = next->image_name.n ? next->image_name : next->ref_name;
        r = blob_document(w, a, digest, &text, e);
    }
    if ((r = blob_document(w, a, d.config.digest, &text, e)) < 0 || (r = worker_config(a, text, &im, e)) < 0)
        return r;
    if (d.entries_n != im.layers.n)
        return err_set(e, EBADMSG, "the manifest has %zu layers, the image config %zu", d.entries_n, im.layers.n);
    im.digest = digest;
    im.names = &name;
    im.names_n = name.n ? 1 : 0;
    if ((r = worker_tell_image(out, &im, e)) < 0)
        return r;
    for (size_t i = 0; i < d.entries_n; i++) {
        if ((r = wanted(w, out, im.layers.diff_ids[i], e)) == 0)
            continue;
        _cleanup_(arena_freep) struct arena *la = arena_new(LIMIT_SCAN_ARENA);
        if (r < 0 || (r = read_layer(w, la, out, &d.entries[i], im.layers.diff_ids[i], e)) < 0)
            return err_wrap(e, "layer " STR_FMT, STR_ARG(str_sub(d.entries[i].digest, 0, 19)));
    }
    return 0;
}

/* ---- dir ---- */

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

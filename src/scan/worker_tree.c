/* OCI layouts and directory trees: files below a directory that the jail may open for reading. */
#include "base/cleanup.h"
#include "base/fs.h"
#include "base/limits.h"
#include "scan/worker.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>

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
    _cleanup_(layer_freep) struct layer *l = layer_new(a);
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
    struct arena *a;
    struct layer_record rec;
    size_t cap;
    struct {
        dev_t dev;
        ino_t ino;
    } * seen; /* lib may be a link to usr/lib: the same file under two of our names */
    size_t seen_n, seen_cap;
};

static void take_file(struct tree *t, const char *path)
{
    struct layer_file f = {0};
    struct err err = ERR_INIT;
    struct str content;
    struct stat st;
    int which = layer_analyzer(str_c(path));
    if (which < 0 || t->rec.files_n >= LIMIT_SCAN_FILES_COUNT)
        return;
    int r = read_file(t->w->tree, t->a, path, LIMIT_SCAN_FILE, &content, &st, &err);
    if (r == -ENOENT || r == -ENOTDIR)
        return;
    struct str name = arena_str(t->a, str_c(path));
    for (size_t i = 0; i < t->seen_n && r >= 0; i++)
        if (t->seen[i].dev == st.st_dev && t->seen[i].ino == st.st_ino)
            return;
    if (r < 0) {
        f = (struct layer_file){
            .analyzer = (enum analyzer)which, .path = name, .problem = arena_str(t->a, str_c(err.msg))};
    } else {
        t->seen = arena_grow(t->a, t->seen, t->seen_n, &t->seen_cap, sizeof(*t->seen));
        t->seen[t->seen_n].dev = st.st_dev;
        t->seen[t->seen_n++].ino = st.st_ino;
        layer_file_parse(t->a, name, content, &f);
    }
    t->rec.files = arena_grow(t->a, t->rec.files, t->rec.files_n, &t->cap, sizeof(f));
    t->rec.files[t->rec.files_n++] = f;
}

static int take_folder(struct tree *t, const char *path, struct err *e)
{
    _cleanup_close_ int fd = openat(t->w->tree, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return errno == ENOENT || errno == ENOTDIR ? 0 : err_errno(e, "%s", path);
    DIR *d = fdopendir(fd);
    if (!d)
        return err_errno(e, "%s", path);
    fd = -1;
    for (struct dirent *de; (de = readdir(d));)
        if (de->d_name[0] != '.')
            take_file(t, arena_printf(t->a, "%s/%s", path, de->d_name));
    closedir(d);
    return 0;
}

int worker_dir(const struct worker *w, struct arena *a, int out, struct err *e)
{
#define ANALYZER(id, name, pattern, parser) pattern,
    static const char *const patterns[] = {
#include "scan/analyzers.tbl.h"
    };
#undef ANALYZER
    struct tree t = {.w = w, .a = a};
    for (size_t i = 0; i < ARRAY_LEN(patterns); i++) {
        struct str p = str_c(patterns[i]);
        if (!str_ends(p, STR("/*"))) {
            take_file(&t, patterns[i]);
            continue;
        }
        int r = take_folder(&t, arena_cstr(a, str_sub(p, 0, p.n - 2)), e);
        if (r < 0)
            return r;
    }
    return worker_tell_layer(out, &t.rec, e);
}

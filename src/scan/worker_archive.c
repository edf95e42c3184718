/* docker save and OCI archives. A plain file is looked through for what it holds, header by header, and the layers of
 * the image are then read from where they are. What comes through a pipe, or is compressed as a whole, is read in one
 * sequential pass: whatever may be a layer is read as one when it comes by, small JSON documents are held, and the
 * manifest, which may come last, picks from them. */
#include "base/cleanup.h"
#include "base/limits.h"
#include "base/map.h"
#include "format/tar.h"
#include "format/unpack.h"
#include "scan/worker.h"

#include <pthread.h>
#include <sys/stat.h>

struct blob {
    struct str path;
    struct str link;     /* path it stands for */
    struct str document; /* held */
    bool held;
    struct layer_record layer;
    struct str problem; /* it could not be read as a layer */
    uint64_t off, size; /* where it is, when the archive is indexed */
    int code;
};

struct archive {
    const struct worker *w;
    struct arena *a;
    struct map *blobs; /* path -> struct blob */
    struct tar *tar;
    struct unpack *unpack;
    struct blob *now;
    struct layer *layer;
    struct buf body; /* of a document that is coming in */
    bool first, skip, indexed;
    uint64_t at; /* of the header under way */
    uint64_t size, held;
    struct err failed; /* of the layer that is coming in */
};

static int archive_entry(void *ctx, const struct tar_entry *ent, struct err *e)
{
    struct archive *ar = ctx;
    struct str path, link;
    if (ent->type != TAR_FILE && ent->type != TAR_HARDLINK && ent->type != TAR_SYMLINK)
        return 0;
    if (tar_clean(ar->a, ent->name, &path) < 0 || path.n == 0)
        return err_set(e, EBADMSG, "an entry's path leads out of the archive: " STR_FMT,
                       STR_ARG(str_sub(ent->name, 0, 200)));
    if (map_count(ar->blobs) >= LIMIT_SCAN_BLOBS)
        return err_set(e, E2BIG, "more than %u files", LIMIT_SCAN_BLOBS);
    struct blob *b = arena_new_of(ar->a, struct blob);
    b->path = path;
    map_put(ar->blobs, path, b);
    if (ent->type != TAR_FILE) {
        /* a symbolic link is relative to its folder, a hard link to the root */
        ptrdiff_t slash = ent->type == TAR_SYMLINK ? str_rchr(path, '/') : -1;
        struct str whole = arena_strf(ar->a, STR_FMT "/" STR_FMT,
                                      STR_ARG(str_sub(path, 0, slash > 0 ? (size_t)slash : 0)), STR_ARG(ent->link));
        if (ent->link.n == 0 || tar_clean(ar->a, whole, &link) < 0)
            return err_set(e, EBADMSG, STR_FMT ": a link that leads out of the archive", STR_ARG(path));
        b->link = link;
        return 0;
    }
    if (ent->sparse)
        return err_set(e, ENOTSUP, STR_FMT ": stored as a sparse file", STR_ARG(path));
    if (ar->indexed) {
        b->off = ar->at;
        b->size = ent->size;
        return 0;
    }
    ar->now = b;
    ar->first = true;
    ar->size = ent->size;
    return 1;
}

static int archive_data(void *ctx, const void *p, size_t n, struct err *e)
{
    struct archive *ar = ctx;
    if (ar->first) {
        ar->first = false;
        ar->skip = false;
        char c = *(const char *)p;
        ar->now->held = (c == '{' || c == '[') && ar->size <= LIMIT_SCAN_DOCUMENT;
        buf_reset(&ar->body);
        if (!ar->now->held)
            ar->layer = layer_new(ar->a, ar->w->probes);
    }
    if (ar->now->held) {
        buf_put(&ar->body, p, n);
        return 0;
    }
    if (ar->skip)
        return 0;
    struct err err = ERR_INIT;
    int r = layer_feed(ar->layer, p, n, &err);
    if (r < 0) { /* only a fault when the image needs it */
        ar->now->code = -r;
        ar->now->problem = arena_str(ar->a, str_c(err.msg));
        ar->skip = true;
    }
    return 0;
}

static int archive_end(void *ctx, struct err *e)
{
    struct archive *ar = ctx;
    struct blob *b = ar->now;
    struct err err = ERR_INIT;
    int r;
    if (ar->first) { /* empty */
        b->held = true;
        return 0;
    }
    if (b->held) {
        ar->held += ar->body.n;
        if (ar->held > LIMIT_SCAN_DOCUMENTS)
            return err_set(e, E2BIG, "more than %u MiB of documents", LIMIT_SCAN_DOCUMENTS >> 20);
        b->document = arena_str(ar->a, buf_str(&ar->body));
        return 0;
    }
    if (!ar->skip && (r = layer_finish(ar->layer, &b->layer, &err)) < 0) {
        b->code = -r;
        b->problem = arena_str(ar->a, str_c(err.msg));
    }
    layer_free(TAKE(ar->layer));
    return 0;
}

static int archive_bytes(void *ctx, const void *p, size_t n, struct err *e)
{
    return tar_feed(((struct archive *)ctx)->tar, p, n, e);
}

static int archive_feed(void *ctx, const void *p, size_t n, struct err *e)
{
    return unpack_feed(((struct archive *)ctx)->unpack, p, n, e);
}

static struct blob *find(const struct archive *ar, struct str path)
{
    for (int hops = 0; hops < 16; hops++) {
        struct blob *b = map_get(ar->blobs, path);
        if (!b || b->link.n == 0)
            return b;
        path = b->link;
    }
    return NULL;
}

static int take(void *ctx, const void *p, size_t n, struct err *e)
{
    buf_put(ctx, p, n);
    return 0;
}

static int read_at(const struct archive *ar, const struct blob *b, struct str *ret, struct err *e)
{
    _cleanup_(buf_fini) struct buf body = BUF_INIT(LIMIT_SCAN_DOCUMENT);
    int r = b->size > LIMIT_SCAN_DOCUMENT
                ? err_set(e, E2BIG, STR_FMT ": over %u bytes", STR_ARG(b->path), LIMIT_SCAN_DOCUMENT)
                : worker_pump_quiet(ar->w->in, b->off, b->size, take, &body, e);
    if (r >= 0)
        *ret = arena_str(ar->a, buf_str(&body));
    return r;
}

static int document(const struct archive *ar, struct str path, struct str *ret, struct err *e)
{
    struct str clean;
    struct blob *b = tar_clean(ar->a, path, &clean) < 0 ? NULL : find(ar, clean);
    if (!b)
        return err_set(e, ENOENT, "the archive has no " STR_FMT, STR_ARG(str_sub(path, 0, 200)));
    if (ar->indexed)
        return read_at(ar, b, ret, e);
    if (!b->held)
        return err_set(e, EBADMSG, STR_FMT ": not a JSON document, or too large", STR_ARG(str_sub(path, 0, 200)));
    *ret = b->document;
    return 0;
}

static int document_by_digest(const struct archive *ar, struct str digest, struct str *ret, struct err *e)
{
    struct str path = arena_strf(ar->a, "blobs/sha256/" STR_FMT, STR_ARG(str_sub(digest, 7, digest.n)));
    uint8_t sum[SHA256_SIZE];
    char text[DIGEST_TEXT];
    int r = document(ar, path, ret, e);
    if (r < 0)
        return r;
    sha256_of(*ret, sum);
    if (!str_eqc(digest, digest_text(sum, text)))
        return err_set(e, EBADMSG, STR_FMT ": its content is %s", STR_ARG(digest), text);
    return 0;
}

/* The record of a layer; bytes that looked like a document when they came by are read as a layer now. */
static int layer_at(const struct archive *ar, struct str path, struct layer_record *ret, struct err *e)
{
    struct str clean;
    struct blob *b = tar_clean(ar->a, path, &clean) < 0 ? NULL : find(ar, clean);
    if (!b)
        return err_set(e, ENOENT, "the archive has no " STR_FMT, STR_ARG(str_sub(path, 0, 200)));
    if (b->problem.n)
        return err_set(e, b->code, STR_FMT ": " STR_FMT, STR_ARG(str_sub(path, 0, 200)), STR_ARG(b->problem));
    if (!b->held) {
        *ret = b->layer;
        return 0;
    }
    _cleanup_(layer_freep) struct layer *l = layer_new(ar->a, ar->w->probes);
    int r = layer_feed(l, b->document.p, b->document.n, e);
    return r < 0 ? r : layer_finish(l, ret, e);
}

struct found {
    struct worker_image image;
    struct str *paths;                  /* of the layers */
    const struct oci_descriptor *blobs; /* what an OCI manifest says about them; NULL */
};

static int count_layers(struct arena *a, struct found *f, size_t n, struct err *e)
{
    if (n != f->image.layers.n)
        return err_set(e, EBADMSG, "the manifest has %zu layers, the image config %zu", n, f->image.layers.n);
    f->paths = arena_array(a, n, sizeof(*f->paths));
    return 0;
}

/* The image that is meant: by tag, or the only one. */
static int choose(const struct docker_archive_image *list, size_t n, struct str tag, size_t *ret, struct err *e)
{
    char names[600] = "";
    size_t used = 0, found = n;
    for (size_t i = 0; i < n; i++) {
        bool fits = tag.n == 0;
        for (size_t k = 0; k < list[i].tags_n; k++) {
            struct str t = list[i].tags[k];
            fits |= str_eq(t, tag) || (str_ends(t, STR(":latest")) && str_eq(str_sub(t, 0, t.n - 7), tag));
            if (used < sizeof(names) - 200)
                used += (size_t)snprintf(names + used, sizeof(names) - used, "%s" STR_FMT, used ? ", " : "",
                                         STR_ARG(str_sub(t, 0, 150)));
        }
        if (fits && found < n && !str_eq(list[found].config, list[i].config))
            return err_set(e, EEXIST, "the archive holds several images, name one (archive:FILE:NAME:TAG): %s", names);
        if (fits && found == n)
            found = i;
    }
    if (found == n)
        return err_set(e, ENOENT,
                       n ? "no \"" STR_FMT "\" in the archive; it holds: %s"
                         : "the archive holds no image" STR_FMT "%s",
                       STR_ARG(tag), names);
    *ret = found;
    return 0;
}

static int from_docker(const struct archive *ar, struct found *f, struct err *e)
{
    struct docker_archive_image *list;
    size_t n;
    struct str text;
    int r = document(ar, STR("manifest.json"), &text, e);
    if (r < 0 || (r = docker_archive_parse(ar->a, text, &list, &n, e)) < 0)
        return r;
    size_t at = 0;
    if ((r = choose(list, n, ar->w->tag, &at, e)) < 0)
        return r;
    if ((r = document(ar, list[at].config, &text, e)) < 0 || (r = worker_config(ar->a, text, &f->image, e)) < 0)
        return r;
    struct str named = list[at].config, hex = str_sub(f->image.image_id, 7, f->image.image_id.n);
    ptrdiff_t slash = str_rchr(named, '/');
    named = str_sub(named, (size_t)(slash + 1), named.n);
    if (str_ends(named, STR(".json")))
        named.n -= 5;
    if (named.n == hex.n && !str_eq(named, hex))
        return err_set(e, EBADMSG, "image config " STR_FMT ": its content is sha256:" STR_FMT, STR_ARG(list[at].config),
                       STR_ARG(hex));
    if ((r = count_layers(ar->a, f, list[at].layers_n, e)) < 0)
        return r;
    for (size_t i = 0; i < list[at].layers_n; i++)
        f->paths[i] = list[at].layers[i];
    for (size_t i = 0; i < n; i++) {
        if (!str_eq(list[i].config, list[at].config))
            continue;
        size_t have = f->image.names_n;
        struct str *names = arena_array(ar->a, have + list[i].tags_n, sizeof(*names));
        for (size_t k = 0; k < have; k++)
            names[k] = f->image.names[k];
        for (size_t k = 0; k < list[i].tags_n; k++)
            names[have + k] = list[i].tags[k];
        f->image.names = names;
        f->image.names_n = have + list[i].tags_n;
    }
    return 0;
}

static int from_oci(const struct archive *ar, struct found *f, struct err *e)
{
    struct str text, digest = STR_NONE, name = STR_NONE;
    struct oci_document d;
    const struct oci_descriptor *next;
    int r = document(ar, STR("index.json"), &text, e);
    for (int depth = 0;; depth++) {
        if (r < 0 || (r = oci_parse(ar->a, text, &d, e)) < 0)
            return r;
        if (!d.index)
            break;
        if (depth == 4)
            return err_set(e, EBADMSG, "indexes nested too deep");
        if ((r = oci_choose(&d, depth == 0 ? ar->w->tag : STR(""), ar->w->platform, &next, e)) < 0)
            return r;
        digest = next->digest;
        if (name.n == 0)
            name = next->image_name.n ? next->image_name : next->ref_name;
        r = document_by_digest(ar, digest, &text, e);
    }
    if ((r = document_by_digest(ar, d.config.digest, &text, e)) < 0 ||
        (r = worker_config(ar->a, text, &f->image, e)) < 0 || (r = count_layers(ar->a, f, d.entries_n, e)) < 0)
        return r;
    f->image.digest = digest;
    if (name.n) {
        f->image.names = arena_array(ar->a, 1, sizeof(struct str));
        f->image.names[f->image.names_n++] = name;
    }
    f->blobs = d.entries;
    for (size_t i = 0; i < d.entries_n; i++)
        f->paths[i] = arena_strf(ar->a, "blobs/sha256/" STR_FMT, STR_ARG(str_sub(d.entries[i].digest, 7, 71)));
    return 0;
}

/* An archive may be both; engines differ in which they read, so both must lead to the same image. */
static int resolve(const struct archive *ar, struct found *f, struct err *e)
{
    bool docker = map_has(ar->blobs, STR("manifest.json")), oci = map_has(ar->blobs, STR("index.json"));
    struct found other = {0};
    int r;
    if (!docker && !oci)
        return err_set(e, EBADMSG, "neither manifest.json nor index.json: not an image archive");
    if (!docker)
        return from_oci(ar, f, e);
    if ((r = from_docker(ar, f, e)) < 0 || !oci)
        return r;
    if ((r = from_oci(ar, &other, e)) < 0)
        return err_wrap(e, "index.json");
    if (!str_eq(f->image.image_id, other.image.image_id))
        return err_set(e, EBADMSG, "manifest.json and index.json name different images");
    f->image.digest = other.image.digest;
    return 0;
}

static void archive_fini(struct archive *ar)
{
    map_free(ar->blobs);
    tar_free(ar->tar);
    unpack_free(ar->unpack);
    layer_free(ar->layer);
    buf_fini(&ar->body);
}

static int tell_layer(const struct archive *ar, const struct found *f, size_t i, int out, struct err *e)
{
    const struct oci_descriptor *want = f->blobs ? &f->blobs[i] : NULL;
    struct layer_record rec;
    int r = layer_at(ar, f->paths[i], &rec, e);
    if (r < 0 || (r = worker_check_layer(&rec, f->image.layers.diff_ids[i], e)) < 0)
        return r;
    if (want && (!str_eq(want->digest, rec.digest) || want->size != rec.size))
        return err_set(e, EBADMSG, "layer " STR_FMT ": the blob is " STR_FMT ", %" PRId64 " bytes",
                       STR_ARG(want->digest), STR_ARG(rec.digest), rec.size);
    if ((r = worker_tell_number(out, "at", i, e)) < 0)
        return r;
    return worker_tell_layer(out, &rec, e);
}

static int sequential(struct archive *ar, int out, struct err *e)
{
    struct found f = {0};
    int r = worker_pump(ar->w, ar->w->in, out, archive_feed, ar, e);
    if (r < 0 || (r = unpack_finish(ar->unpack, e)) < 0 || (r = tar_finish(ar->tar, e)) < 0 ||
        (r = resolve(ar, &f, e)) < 0 || (r = worker_tell_image(out, &f.image, e)) < 0)
        return r;
    for (size_t i = 0; i < f.image.layers.n; i++)
        if ((r = tell_layer(ar, &f, i, out, e)) < 0)
            return r;
    return 0;
}

/* ---- indexed ---- */

struct indexed {
    const struct archive *ar;
    const struct found *f;
    pthread_mutex_t lock;
};

static int read_layer(void *ctx, size_t i, unsigned lane, worker_feed_fn *feed, void *feed_ctx, struct err *e)
{
    const struct indexed *x = ctx;
    struct str path = x->f->paths[i];
    struct blob *b = map_get(x->ar->blobs, path); /* cleaned and followed before the threads started */
    if (!b)
        return err_set(e, ENOENT, "the archive has no " STR_FMT, STR_ARG(str_sub(path, 0, 200)));
    return worker_pump_quiet(x->ar->w->in, b->off, b->size, feed, feed_ctx, e);
}

static int build_index(struct archive *ar, uint64_t size, struct err *e)
{
    unsigned char block[512];
    uint64_t at = 0;
    int r = 0;
    while (at < size && !tar_ended(ar->tar)) {
        size_t n = size - at < sizeof(block) ? (size_t)(size - at) : sizeof(block);
        ssize_t got = pread(ar->w->in, block, n, (off_t)at);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return got < 0 ? err_errno(e, "read") : err_set(e, EBADMSG, "tar: ends too early, at %" PRIu64, at);
        at += (uint64_t)got;
        ar->at = at;
        if ((r = tar_feed(ar->tar, block, (size_t)got, e)) < 0)
            return r;
        uint64_t skip = tar_skip(ar->tar);
        if (skip > size - at)
            return err_set(e, EBADMSG, "tar: ends too early, at %" PRIu64, size);
        at += skip;
    }
    return tar_finish(ar->tar, e);
}

static int indexed(struct archive *ar, uint64_t size, struct arena *a, int out, struct err *e)
{
    struct found f = {0};
    struct indexed x = {.ar = ar, .f = &f, .lock = PTHREAD_MUTEX_INITIALIZER};
    ar->indexed = true;
    int r = build_index(ar, size, e);
    if (r < 0 || (r = resolve(ar, &f, e)) < 0 || (r = worker_tell_image(out, &f.image, e)) < 0)
        return r;
    for (size_t i = 0; i < f.image.layers.n; i++) {
        struct str clean;
        struct blob *b = tar_clean(a, f.paths[i], &clean) < 0 ? NULL : find(ar, clean);
        if (!b)
            return err_set(e, ENOENT, "the archive has no " STR_FMT, STR_ARG(str_sub(f.paths[i], 0, 200)));
        f.paths[i] = b->path;
    }
    struct worker_source src = {.layer = read_layer, .ctx = &x, .lock = &x.lock};
    return worker_layers(ar->w, a, &f.image, f.blobs, &src, out, e);
}

int worker_archive(const struct worker *w, struct arena *a, int out, struct err *e)
{
    _cleanup_(archive_fini) struct archive ar = {.w = w, .a = a, .body = BUF_INIT(LIMIT_SCAN_DOCUMENT)};
    unsigned char block[512];
    struct stat st;
    ar.blobs = map_new(LIMIT_SCAN_BLOBS + 1);
    ar.tar = tar_new(&(struct tar_sink){archive_entry, archive_data, archive_end}, &ar);
    ar.unpack = unpack_new(archive_bytes, &ar);
    bool file = fstat(w->in, &st) == 0 && S_ISREG(st.st_mode) && pread(w->in, block, sizeof(block), 0) == sizeof(block);
    return file && tar_is_header(block) ? indexed(&ar, (uint64_t)st.st_size, a, out, e) : sequential(&ar, out, e);
}

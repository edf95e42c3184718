/* What a target names is opened here: descriptors and connections for the worker. */
#include "base/cleanup.h"
#include "base/fs.h"
#include "base/limits.h"
#include "engine/docker.h"
#include "scan/scan_internal.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>

#define PODMAN_DEFAULT_URL "unix:///run/podman/podman.sock"

static struct str platform(const struct scan *s)
{
    return s->o->platform ? str_c(s->o->platform) : STR("");
}

/* The pipe through which the worker learns which layers are known. */
static int open_answer(struct scan *s, int *theirs, int *mine, struct err *e)
{
    int p[2];
    if (pipe2(p, O_CLOEXEC) < 0)
        return err_errno(e, "pipe");
    *theirs = p[0];
    *mine = s->answer = p[1];
    return 0;
}

static int scan_archive(struct scan *s, const struct target *t, struct err *e)
{
    bool piped = !strcmp(t->path, "-");
    _cleanup_close_ int fd =
        piped ? fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3) : open(t->path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    _cleanup_close_ int theirs = -1, mine = -1;
    struct stat st;
    if (fd < 0 || fstat(fd, &st) < 0)
        return err_errno(e, "%s", t->path);
    if (S_ISDIR(st.st_mode))
        return err_set(e, EINVAL, "%s is a directory (oci:DIR reads a layout, dir:PATH a file tree)", t->path);
    int r = open_answer(s, &theirs, &mine, e);
    if (r < 0)
        return r;
    s->worker = (struct worker){.kind = WORKER_ARCHIVE,
                                .in = fd,
                                .tree = -1,
                                .answer = theirs,
                                .tag = t->ref,
                                .platform = platform(s),
                                .threads = scan_threads(s->o)};
    int fds[] = {fd, theirs};
    r = scan_jailed(s, fds, 2, NULL, e);
    s->answer = -1;
    return r;
}

static int open_tree(const char *path, int *ret, struct err *e)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return err_errno(e, "%s", path);
    *ret = fd;
    return 0;
}

static int scan_oci(struct scan *s, const struct target *t, struct err *e)
{
    _cleanup_close_ int tree = -1, theirs = -1, mine = -1;
    int r = open_tree(t->path, &tree, e);
    if (r < 0 || (r = open_answer(s, &theirs, &mine, e)) < 0)
        return r;
    s->worker = (struct worker){.kind = WORKER_OCI,
                                .in = -1,
                                .tree = tree,
                                .answer = theirs,
                                .tag = t->ref,
                                .platform = platform(s),
                                .threads = scan_threads(s->o)};
    r = scan_jailed(s, &theirs, 1, &tree, e);
    s->answer = -1;
    return r;
}

static int scan_dir(struct scan *s, const struct target *t, struct err *e)
{
    _cleanup_close_ int tree = -1;
    int r = open_tree(t->path, &tree, e);
    if (r < 0)
        return r;
    s->worker = (struct worker){.kind = WORKER_DIR, .in = -1, .tree = tree, .answer = -1};
    return scan_jailed(s, NULL, 0, &tree, e);
}

static int scan_sbom(struct scan *s, const struct target *t, struct err *e)
{
    bool piped = !strcmp(t->path, "-");
    _cleanup_close_ int fd =
        piped ? fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3) : open(t->path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    if (fd < 0)
        return err_errno(e, "%s", t->path);
    s->worker = (struct worker){.kind = WORKER_SBOM, .in = fd, .tree = -1, .answer = -1};
    return scan_jailed(s, &fd, 1, NULL, e);
}

/* ---- registry ---- */

static int registry_lane(void *ctx, void **ret, struct err *e)
{
    struct registry_conn *c;
    int r = registry_connect(ctx, &c, e);
    if (r >= 0)
        *ret = c;
    return r;
}

static int registry_fetch(void *conn, struct str kind, struct str digest, uint64_t max, worker_feed_fn *sink,
                          void *sink_ctx, struct err *e)
{
    enum registry_what what = str_eqc(kind, "root")       ? REGISTRY_ROOT
                              : str_eqc(kind, "manifest") ? REGISTRY_MANIFEST
                                                          : REGISTRY_BLOB;
    return registry_get(conn, what, digest, max, sink, sink_ctx, e);
}

static void registry_done(void *conn)
{
    registry_disconnect(conn);
}

static void registry_stop(void *ctx)
{
    registry_cancel(ctx);
}

static int run_lanes(struct scan *s, const struct lane_source *src, struct str root, struct err *e)
{
    _cleanup_(lanes_freep) struct lanes *lanes = NULL;
    _cleanup_close_ int theirs = -1, mine = -1;
    unsigned n = scan_threads(s->o);
    int fds[16];
    int r = lanes_new(src, n, &lanes, e);
    if (r < 0 || (r = open_answer(s, &theirs, &mine, e)) < 0)
        return r;
    s->lanes = lanes;
    s->worker = (struct worker){.kind = WORKER_LANES,
                                .in = -1,
                                .tree = -1,
                                .answer = theirs,
                                .root = root,
                                .platform = platform(s),
                                .lanes = lanes_read_ends(lanes),
                                .threads = n};
    memcpy(fds, lanes_read_ends(lanes), n * sizeof(int));
    fds[n] = theirs;
    struct err story = ERR_INIT;
    r = scan_jailed(s, fds, n + 1, NULL, &story);
    s->answer = -1;
    s->lanes = NULL;
    int why = lanes_stop(lanes, e); /* a transfer that failed is the story, not what the worker made of it */
    if (r < 0)
        return why < 0 ? why : err_set(e, -r, "%s", story.msg);
    return 0;
}

static int scan_registry(struct scan *s, const struct target *t, struct err *e)
{
    const struct image_ref *ref = &t->image;
    struct registry *reg = NULL;
    int r = registry_open(ref, &s->o->registry, &reg, e);
    if (r < 0)
        return r;
    struct lane_source src = {registry_lane, registry_fetch, registry_done, registry_stop, reg};
    r = run_lanes(s, &src, ref->digest, e);
    registry_free(reg);
    if (r < 0)
        return r;
    s->inv->names = arena_array(s->a, 2, sizeof(struct str));
    s->inv->names_n = 0;
    if (ref->tag.n)
        s->inv->names[s->inv->names_n++] = image_ref_name(s->a, ref);
    s->inv->names[s->inv->names_n++] = arena_strf(s->a, STR_FMT "/" STR_FMT "@" STR_FMT, STR_ARG(ref->host),
                                                  STR_ARG(ref->repository), STR_ARG(s->root));
    return 0;
}

/* ---- docker: a thread carries the engine's stream into the worker's pipe ---- */

struct feeder {
    const struct docker *d;
    struct str ref;
    int out, r;
    struct err e;
};

static int feeder_sink(void *ctx, const void *p, size_t n, struct err *e)
{
    return fs_write_all(((struct feeder *)ctx)->out, p, n, e);
}

static void *feeder_main(void *arg)
{
    struct feeder *f = arg;
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGPIPE); /* the worker may end first: then write() tells */
    pthread_sigmask(SIG_BLOCK, &set, NULL);
    f->r = docker_image_export(f->d, f->ref, feeder_sink, f, &f->e);
    close(f->out);
    return NULL;
}

static int docker_stream(struct scan *s, const struct docker *d, struct str ref, struct err *e)
{
    int p[2];
    if (pipe2(p, O_CLOEXEC) < 0)
        return err_errno(e, "pipe");
    fcntl(p[1], F_SETPIPE_SZ, 1 << 20);
    int in = p[0];
    struct feeder f = {.d = d, .ref = ref, .out = p[1], .e = ERR_INIT};
    pthread_t thread;
    int r = pthread_create(&thread, NULL, feeder_main, &f);
    if (r != 0) {
        close(in);
        close(p[1]);
        return err_set(e, r, "cannot start a thread");
    }
    s->worker = (struct worker){.kind = WORKER_ARCHIVE, .in = in, .tree = -1, .answer = -1};
    r = scan_jailed(s, &in, 1, NULL, e);
    close(in); /* a feeder that is still writing gets EPIPE */
    pthread_join(thread, NULL);
    if (f.r < 0 && f.r != -EPIPE) /* the stream broke off: that is the story, not what the worker made of the rest */
        return err_set(e, -f.r, "%s", f.e.msg);
    return r;
}

static const char *docker_where(const struct scan_opts *o)
{
    const char *host = getenv("DOCKER_HOST");
    if (o->engine_url)
        return o->engine_url;
    return host && host[0] ? host : DOCKER_DEFAULT_URL;
}

/* -ENOENT, -ECONNREFUSED: not here. */
static int scan_engine(struct scan *s, const char *url, struct str ref, struct err *e)
{
    _cleanup_(docker_closep) struct docker *d = NULL;
    struct docker_image im;
    int r = docker_open(url, &d, e);
    if (r < 0 || (r = docker_image_inspect(d, s->a, ref, &im, e)) < 0)
        return r;
    if (scan_cached(s, im.id) < 0) {
        /* by id: a tag could move between the two calls */
        if ((r = docker_stream(s, d, im.id, e)) < 0)
            return r;
    }
    if (!str_eq(s->inv->image_id, im.id) && !str_eq(s->inv->digest, im.id))
        return err_set(e, EBADMSG, "the engine's image is " STR_FMT ", what it exported is " STR_FMT, STR_ARG(im.id),
                       STR_ARG(s->inv->image_id));
    s->inv->names = arena_array(s->a, im.tags_n + im.digests_n, sizeof(struct str));
    s->inv->names_n = 0;
    for (size_t i = 0; i < im.tags_n; i++)
        s->inv->names[s->inv->names_n++] = im.tags[i];
    for (size_t i = 0; i < im.digests_n; i++)
        s->inv->names[s->inv->names_n++] = im.digests[i];
    return 0;
}

static int scan_docker(struct scan *s, const struct target *t, struct err *e)
{
    return scan_engine(s, docker_where(s->o), t->ref, e);
}

/* podman speaks Docker's API on its own socket. */
static int scan_podman(struct scan *s, const struct target *t, struct err *e)
{
    const char *url = getenv("CONTAINER_HOST");
    return scan_engine(s, url && url[0] ? url : PODMAN_DEFAULT_URL, t->ref, e);
}

static int scan_containerd(struct scan *s, const struct target *t, struct err *e)
{
    return err_set(e, ENOTSUP,
                   "images in containerd are not read by this version; export one (ctr images export) for archive:");
}

/* ---- a bare name ---- */

static bool elsewhere(int r)
{
    return r == -ENOENT || r == -ECONNREFUSED;
}

static int scan_any(struct scan *s, const struct target *t, struct err *e)
{
    int r = scan_docker(s, t, e);
    if (elsewhere(r)) {
        int p = scan_podman(s, t, NULL);
        if (p >= 0)
            return p;
    }
    if (!elsewhere(r) || t->image.host.n == 0)
        return r;
    if ((r = scan_registry(s, t, e)) < 0)
        return err_wrap(e, "in no local engine, and"), r;
    return 0;
}

int scan_open(struct scan *s, const struct target *t, struct err *e)
{
    static int (*const kinds[])(struct scan *, const struct target *, struct err *) = {
        [TARGET_DOCKER] = scan_docker, [TARGET_REGISTRY] = scan_registry, [TARGET_ARCHIVE] = scan_archive,
        [TARGET_OCI] = scan_oci,       [TARGET_DIR] = scan_dir,           [TARGET_SBOM] = scan_sbom,
        [TARGET_ANY] = scan_any,       [TARGET_PODMAN] = scan_podman,     [TARGET_CONTAINERD] = scan_containerd,
    };
    return kinds[t->kind](s, t, e);
}

#include "intel/build.h"

#include "base/cleanup.h"
#include "intel/database.h"
#include "intel/feed.h"
#include "intel/stage.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>

enum { BATCH = 32, DEPTH_MAX = 16, FILES_MAX = 4000000, PATHS_ARENA = 1 << 30 };

struct build {
    const struct intel_build *o;
    struct intel_build_report *report;
    struct stage stage;
    struct arena *a;
    struct str *paths; /* relative to the directory, in the order of names */
    size_t paths_n, paths_cap;
    /* the batch in the jail */
    size_t first, fds_n;
    int fds[BATCH];
    size_t at;               /* file that is being read */
    uint64_t unknown_inside; /* members of it in no known format */
    char unknown_first[300];
    struct record_reader reader;
};

static void build_fini(struct build *b)
{
    for (size_t i = 0; i < b->fds_n; i++)
        close(b->fds[i]);
    stage_close(&b->stage);
    buf_fini(&b->reader.b);
    arena_free(b->a);
}

static void tell(struct build *b, enum intel_build_event event, struct str text)
{
    if (b->o->tell)
        b->o->tell(b->o->arg, event, text);
}

/* ---- the directory ---- */

static int by_name(const struct dirent **a, const struct dirent **b)
{
    return strcmp((*a)->d_name, (*b)->d_name);
}

static int walk(struct build *b, const char *relative, unsigned depth, struct err *e);

static int walk_entry(struct build *b, const char *relative, const char *name, unsigned depth, struct err *e)
{
    struct stat st;
    char *below = relative[0] ? arena_printf(b->a, "%s/%s", relative, name) : arena_printf(b->a, "%s", name);
    const char *path = arena_printf(b->a, "%s/%s", b->o->dir, below);
    if (stat(path, &st) < 0)
        return err_errno(e, "%s", path);
    if (S_ISDIR(st.st_mode)) {
        struct stat link;
        if (lstat(path, &link) == 0 && S_ISLNK(link.st_mode))
            return 0; /* a loop could hide there */
        return walk(b, below, depth + 1, e);
    }
    if (!S_ISREG(st.st_mode))
        return 0;
    if (b->paths_n == FILES_MAX)
        return err_set(e, E2BIG, "more than %d files", FILES_MAX);
    b->paths = arena_grow(b->a, b->paths, b->paths_n, &b->paths_cap, sizeof(*b->paths));
    b->paths[b->paths_n++] = str_c(below);
    return 0;
}

static int walk(struct build *b, const char *relative, unsigned depth, struct err *e)
{
    struct dirent **names;
    const char *path = relative[0] ? arena_printf(b->a, "%s/%s", b->o->dir, relative) : b->o->dir;
    if (depth > DEPTH_MAX)
        return err_set(e, E2BIG, "%s: deeper than %d directories", path, DEPTH_MAX);
    int n = scandir(path, &names, NULL, by_name), r = 0;
    if (n < 0)
        return err_errno(e, "%s", path);
    for (int i = 0; i < n; i++) {
        if (r == 0 && names[i]->d_name[0] != '.')
            r = walk_entry(b, relative, names[i]->d_name, depth, e);
        free(names[i]);
    }
    free(names);
    return r;
}

/* ---- the jail's side ---- */

static int child(void *arg, int out, struct err *e)
{
    struct build *b = arg;
    struct record_writer w = {.fd = out, .b = BUF_INIT(RECORD_MAX + (1u << 20)), .e = e};
    int r = 0;
    for (size_t i = 0; i < b->fds_n && r == 0; i++) {
        char number[16];
        int n = snprintf(number, sizeof(number), "%zu", i);
        RECORD_WRITE(&w, FILE, str_n(number, (size_t)n), STR_NONE);
        if ((r = record_flush(&w)) == 0) /* so that a crash is told of the right file */
            r = feed_file(b->fds[i], (unsigned)i, &w, e);
    }
    if (r == 0)
        r = record_flush(&w);
    return r;
}

/* ---- the parent's side ---- */

static struct str path_of(const struct build *b)
{
    return b->paths[b->at];
}

static void tell_unknown(struct build *b)
{
    char text[1024];
    if (!b->unknown_inside)
        return;
    int n = b->unknown_inside == 1 && !b->unknown_first[0] ? snprintf(text, sizeof(text), STR_FMT, STR_ARG(path_of(b)))
            : b->unknown_inside == 1
                ? snprintf(text, sizeof(text), STR_FMT ": %s", STR_ARG(path_of(b)), b->unknown_first)
                : snprintf(text, sizeof(text), STR_FMT ": %" PRIu64 " files inside, the first is %s",
                           STR_ARG(path_of(b)), b->unknown_inside, b->unknown_first);
    tell(b, INTEL_BUILD_UNKNOWN, str_n(text, (size_t)n < sizeof(text) ? (size_t)n : sizeof(text) - 1));
    b->unknown_inside = 0;
}

static int take_number(struct build *b, const struct record *r, struct err *e)
{
    uint64_t number;
    if (str_u64(r->f[0], &number) < 0 || number >= b->fds_n)
        return err_set(e, EBADMSG, "the feed parser sent garbage");
    if (b->first + number != b->at)
        tell_unknown(b);
    b->at = b->first + number;
    return 0;
}

static void take_unknown(struct build *b, const struct record *r)
{
    b->report->unknown++;
    if (!b->unknown_inside++)
        snprintf(b->unknown_first, sizeof(b->unknown_first), STR_FMT, STR_ARG(r->f[1]));
}

static void take_bad(struct build *b, const struct record *r)
{
    char text[2048];
    int n = snprintf(text, sizeof(text), STR_FMT ": " STR_FMT, STR_ARG(path_of(b)), STR_ARG(r->f[1]));
    b->report->bad++;
    tell(b, INTEL_BUILD_BAD, str_n(text, (size_t)n < sizeof(text) ? (size_t)n : sizeof(text) - 1));
}

static int take(void *arg, const struct record *r, struct err *e)
{
    struct build *b = arg;
    int q = 0;
    if (r->type == RECORD_FILE || r->type == RECORD_UNKNOWN || r->type == RECORD_BAD)
        q = take_number(b, r, e);
    if (q < 0)
        return q;
    if (r->type == RECORD_FILE && r->f[1].n == 0)
        tell(b, INTEL_BUILD_PROGRESS, path_of(b));
    b->report->files += r->type == RECORD_FILE && r->f[1].n > 0;
    if (r->type == RECORD_UNKNOWN)
        take_unknown(b, r);
    else if (r->type == RECORD_BAD)
        take_bad(b, r);
    return stage_take(&b->stage, r, e);
}

static int output(void *arg, const void *p, size_t n, struct err *e)
{
    struct build *b = arg;
    return record_feed(&b->reader, p, n, e);
}

static int run_batch(struct build *b, struct err *e)
{
    struct jail_opts o = {.name = "feed parser",
                          .fds = b->fds,
                          .fds_n = b->fds_n,
                          .memory = UINT64_C(2) << 30,
                          .cpu_seconds = 3600,
                          .wall_seconds = 4 * 3600,
                          .output_max = UINT64_C(64) << 30,
                          .child = child,
                          .output = output,
                          .arg = b};
    b->at = b->first;
    int r = jail_run(&o, &b->report->jail, e);
    tell_unknown(b);
    if (r < 0)
        err_wrap(e, "%s/" STR_FMT, b->o->dir, STR_ARG(path_of(b)));
    else if (b->reader.b.n)
        r = err_set(e, EBADMSG, "the feed parser stopped in the middle");
    for (size_t i = 0; i < b->fds_n; i++)
        close(b->fds[i]);
    b->fds_n = 0;
    return r;
}

static int read_all(struct build *b, struct err *e)
{
    for (size_t i = 0; i < b->paths_n; i++) {
        char path[8192];
        snprintf(path, sizeof(path), "%s/" STR_FMT, b->o->dir, STR_ARG(b->paths[i]));
        int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
        if (fd < 0)
            return err_errno(e, "%s", path);
        if (!b->fds_n)
            b->first = i;
        b->fds[b->fds_n++] = fd;
        if (b->fds_n == BATCH || i + 1 == b->paths_n) {
            int r = run_batch(b, e);
            if (r < 0)
                return r;
        }
    }
    return 0;
}

/* ---- the result ---- */

static int finish(struct build *b, const char *temporary, int fd, struct err *e)
{
    int r = stage_write(&b->stage, temporary, b->report, e);
    if (r == 0 && b->o->key)
        r = signature_append(fd, b->o->key, &b->o->terms, e);
    if (r < 0)
        return r;
    if (fchmod(fd, 0644) < 0 || fsync(fd) < 0)
        return err_errno(e, "%s", temporary);
    if (rename(temporary, b->o->output) < 0)
        return err_errno(e, "cannot rename to %s", b->o->output);
    return 0;
}

static int write_out(struct build *b, struct err *e)
{
    char temporary[4096];
    if (snprintf(temporary, sizeof(temporary), "%s.new-XXXXXX", b->o->output) >= (int)sizeof(temporary))
        return err_set(e, ENAMETOOLONG, "%s", b->o->output);
    _cleanup_close_ int fd = mkostemp(temporary, O_CLOEXEC);
    if (fd < 0)
        return err_errno(e, "cannot write beside %s", b->o->output);
    int r = finish(b, temporary, fd, e);
    if (r < 0)
        unlink(temporary);
    return r;
}

int intel_build(const struct intel_build *o, struct intel_build_report *ret, struct err *e)
{
    struct intel_build_report report = {0};
    _cleanup_(build_fini) struct build b = {.o = o, .report = &report};
    b.a = arena_new(PATHS_ARENA);
    b.reader = (struct record_reader){.b = BUF_INIT(2 * RECORD_MAX), .take = take, .arg = &b};
    int r;
    if (o->key && access(o->key, R_OK) < 0)
        return err_errno(e, "key %s", o->key);
    if ((r = walk(&b, "", 0, e)) < 0 || (r = stage_open(&b.stage, o->output, e)) < 0 || (r = read_all(&b, e)) < 0)
        return r;
    *ret = report;
    if (report.bad)
        return err_set(e, EBADMSG, "%" PRIu64 " of the files could not be parsed; nothing was written", report.bad);
    if (!b.paths_n)
        return err_set(e, ENOENT, "%s: there is no file inside", o->dir);
    if ((r = write_out(&b, e)) < 0)
        return r;
    *ret = report;
    return 0;
}

#include "intel/delta.h"

#include "base/arena.h"
#include "base/buf.h"
#include "base/cleanup.h"
#include "base/encode.h"
#include "base/fs.h"
#include "base/jail.h"
#include "base/limits.h"
#include "format/digest.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <zstd.h>

enum { LEVEL = 10, BLOCK = 1 << 20, WINDOW_LOG_MIN = 20, WINDOW_LOG_MAX = 31 };
#define MAGIC "BULKHEAD-INTEL-DELTA 1\n"

struct mapped {
    const void *p;
    size_t n;
};

static void unmap(struct mapped *m)
{
    if (m->p)
        munmap((void *)(uintptr_t)m->p, m->n);
}

static int map(const char *path, struct mapped *ret, struct err *e)
{
    _cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    struct stat st;
    if (fd < 0)
        return err_errno(e, "%s", path);
    if (fstat(fd, &st) < 0)
        return err_errno(e, "%s", path);
    if (!S_ISREG(st.st_mode) || st.st_size <= 0 || (uint64_t)st.st_size > LIMIT_CONSOLE_INTEL)
        return err_set(e, EBADMSG, "%s: no file of a usable size", path);
    void *p = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (p == MAP_FAILED)
        return err_errno(e, "%s", path);
    *ret = (struct mapped){p, (size_t)st.st_size};
    return 0;
}

static void digest(const struct mapped *m, struct delta_file *ret)
{
    uint8_t sum[SHA256_SIZE];
    sha256_of((struct str){m->p, m->n}, sum);
    hex_encode(sum, sizeof(sum), ret->sha256);
    ret->size = m->n;
}

int delta_digest(const char *path, struct delta_file *ret, struct err *e)
{
    _cleanup_(unmap) struct mapped m = {0};
    int r = map(path, &m, e);
    if (r == 0)
        digest(&m, ret);
    return r;
}

static void free_cctx(ZSTD_CCtx **c)
{
    ZSTD_freeCCtx(*c);
}

/* The window must reach over the dictionary and what was written. */
static int window_log(size_t n)
{
    int log = WINDOW_LOG_MIN;
    while (log < WINDOW_LOG_MAX && ((uint64_t)1 << log) < n)
        log++;
    return log;
}

static int compress(const struct mapped *dictionary, const struct mapped *in, struct buf *out, struct err *e)
{
    _cleanup_(free_cctx) ZSTD_CCtx *c = ZSTD_createCCtx();
    if (!c)
        abort();
    ZSTD_CCtx_setParameter(c, ZSTD_c_compressionLevel, LEVEL);
    ZSTD_CCtx_setParameter(c, ZSTD_c_checksumFlag, 1);
    if (dictionary) {
        ZSTD_CCtx_setParameter(c, ZSTD_c_enableLongDistanceMatching, 1);
        ZSTD_CCtx_setParameter(c, ZSTD_c_windowLog, window_log(dictionary->n + in->n));
        ZSTD_CCtx_refPrefix(c, dictionary->p, dictionary->n);
    }
    size_t bound = ZSTD_compressBound(in->n);
    char *room = buf_room(out, bound);
    if (!room)
        return buf_check(out, e);
    size_t n = ZSTD_compress2(c, room, bound, in->p, in->n);
    if (ZSTD_isError(n))
        return err_set(e, EIO, "zstd: %s", ZSTD_getErrorName(n));
    out->n += n;
    return 0;
}

int delta_make(const char *from, const char *to, const char *output, struct err *e)
{
    _cleanup_(unmap) struct mapped a = {0};
    _cleanup_(unmap) struct mapped b = {0};
    _cleanup_(buf_fini) struct buf out = BUF_INIT(LIMIT_CONSOLE_INTEL);
    struct delta_file x, y;
    int r;
    if ((r = map(from, &a, e)) < 0 || (r = map(to, &b, e)) < 0)
        return r;
    digest(&a, &x);
    digest(&b, &y);
    buf_printf(&out, MAGIC "from %s %" PRIu64 "\nto %s %" PRIu64 "\n\n", x.sha256, x.size, y.sha256, y.size);
    r = compress(&a, &b, &out, e);
    return r < 0 ? r : fs_write(output, buf_str(&out), 0644, e);
}

int delta_compress(const char *path, const char *output, struct err *e)
{
    _cleanup_(unmap) struct mapped m = {0};
    _cleanup_(buf_fini) struct buf out = BUF_INIT(LIMIT_CONSOLE_INTEL);
    int r = map(path, &m, e);
    if (r == 0)
        r = compress(NULL, &m, &out, e);
    return r < 0 ? r : fs_write(output, buf_str(&out), 0644, e);
}

/* ---- unpacking, in the jail ---- */

struct unpacking {
    struct mapped dictionary, frame;
    uint64_t size;
    int fd; /* of the parent */
    uint64_t got;
};

static void free_dctx(ZSTD_DCtx **d)
{
    ZSTD_freeDCtx(*d);
}

static int child(void *arg, int out, struct err *e)
{
    struct unpacking *u = arg;
    _cleanup_(free_dctx) ZSTD_DCtx *d = ZSTD_createDCtx();
    _cleanup_free_ char *block = malloc(BLOCK);
    if (!d || !block)
        abort();
    ZSTD_DCtx_setParameter(d, ZSTD_d_windowLogMax, WINDOW_LOG_MAX);
    if (u->dictionary.n)
        ZSTD_DCtx_refPrefix(d, u->dictionary.p, u->dictionary.n);
    ZSTD_inBuffer in = {u->frame.p, u->frame.n, 0};
    size_t left = 1;
    while (left) {
        ZSTD_outBuffer o = {block, BLOCK, 0};
        left = ZSTD_decompressStream(d, &o, &in);
        if (ZSTD_isError(left))
            return err_set(e, EBADMSG, "zstd: %s", ZSTD_getErrorName(left));
        u->got += o.pos;
        if (u->got > u->size)
            return err_set(e, EBADMSG, "it unpacks to more than it says");
        int r = fs_write_all(out, block, o.pos, e);
        if (r < 0)
            return r;
        if (left && in.pos == in.size && o.pos < BLOCK)
            return err_set(e, EBADMSG, "it is truncated");
    }
    return in.pos == in.size ? 0 : err_set(e, EBADMSG, "there are bytes behind its end");
}

static int output(void *arg, const void *p, size_t n, struct err *e)
{
    struct unpacking *u = arg;
    return fs_write_all(u->fd, p, n, e);
}

static int unpack_to(struct unpacking *u, const char *temporary, const char *path, const struct delta_file *want,
                     struct err *e)
{
    struct jail_opts o = {.name = "unpacker",
                          .memory = (UINT64_C(1) << 30) + 3 * (u->size + u->dictionary.n),
                          .cpu_seconds = 600,
                          .wall_seconds = 1200,
                          .output_max = u->size,
                          .child = child,
                          .output = output,
                          .arg = u};
    struct delta_file have;
    int r = jail_run(&o, NULL, e);
    if (r == 0 && fsync(u->fd) < 0)
        r = err_errno(e, "%s", temporary);
    if (r == 0)
        r = delta_digest(temporary, &have, e);
    if (r == 0 && (have.size != u->size || (want && strcmp(have.sha256, want->sha256) != 0)))
        r = err_set(e, EBADMSG, "it does not give the file that it is for");
    if (r == 0 && (fchmod(u->fd, 0644) < 0 || rename(temporary, path) < 0))
        r = err_errno(e, "%s", path);
    return r;
}

static int unpack(struct unpacking *u, const char *path, const struct delta_file *want, struct err *e)
{
    char temporary[4096];
    if (snprintf(temporary, sizeof(temporary), "%s.new-XXXXXX", path) >= (int)sizeof(temporary))
        return err_set(e, ENAMETOOLONG, "%s", path);
    _cleanup_close_ int fd = mkostemp(temporary, O_CLOEXEC);
    if (fd < 0)
        return err_errno(e, "cannot write beside %s", path);
    u->fd = fd;
    int r = unpack_to(u, temporary, path, want, e);
    if (r < 0)
        unlink(temporary);
    return r;
}

int delta_unpack(const char *path, uint64_t size, const char *output, struct err *e)
{
    _cleanup_(unmap) struct mapped m = {0};
    int r = map(path, &m, e);
    if (r < 0)
        return r;
    if (size == 0 || size > LIMIT_CONSOLE_INTEL)
        return err_set(e, E2BIG, "%s: unpacks to %" PRIu64 " bytes", path, size);
    struct unpacking u = {.frame = m, .size = size};
    return unpack(&u, output, NULL, e);
}

/* "from SHA256 SIZE" */
static bool header_line(struct str *rest, const char *word, struct delta_file *ret)
{
    struct str line, part, sum;
    if (!str_cut(rest, '\n', &line) || !str_cut(&line, ' ', &part) || !str_eqc(part, word) ||
        !str_cut(&line, ' ', &sum) || sum.n != 64 || str_u64(line, &ret->size) < 0)
        return false;
    memcpy(ret->sha256, sum.p, 64);
    ret->sha256[64] = 0;
    return true;
}

int delta_apply(const char *from, const char *delta, const char *path, struct err *e)
{
    _cleanup_(unmap) struct mapped a = {0};
    _cleanup_(unmap) struct mapped d = {0};
    struct delta_file have, want_from, want_to;
    struct str line;
    int r;
    if ((r = map(from, &a, e)) < 0 || (r = map(delta, &d, e)) < 0)
        return r;
    struct str rest = {d.p, d.n};
    if (!str_starts(rest, STR(MAGIC)))
        return err_set(e, EBADMSG, "%s: not a delta of intel", delta);
    rest = str_sub(rest, sizeof(MAGIC) - 1, rest.n);
    if (!header_line(&rest, "from", &want_from) || !header_line(&rest, "to", &want_to) ||
        !str_cut(&rest, '\n', &line) || line.n || want_to.size == 0 || want_to.size > LIMIT_CONSOLE_INTEL)
        return err_set(e, EBADMSG, "%s: its header is malformed", delta);
    digest(&a, &have);
    if (have.size != want_from.size || strcmp(have.sha256, want_from.sha256) != 0)
        return err_set(e, ESTALE, "%s: is for another file than %s", delta, from);
    struct unpacking u = {.dictionary = a, .frame = {rest.p, rest.n}, .size = want_to.size};
    r = unpack(&u, path, &want_to, e);
    return r < 0 ? (err_wrap(e, "%s", delta), r) : 0;
}
